"""What we hand out and believe when it comes back: page tokens, and links that need no key."""

import base64
import binascii
import hashlib
import hmac
import json
from typing import Any

_MARK = 16  #: bytes of the proof
_LONGEST = 4096


class Seal:
    """Nobody but this instance can make one, and none is good for anything but its own purpose."""

    def __init__(self, instance_key: bytes) -> None:
        self._key = hmac.digest(instance_key, b"relent: what is handed out over the API", hashlib.sha256)

    def close(self, purpose: str, said: Any) -> str:
        """`said` as a word that fits in an URL."""
        plain = json.dumps(said, separators=(",", ":")).encode()
        return base64.urlsafe_b64encode(self._proof(purpose, plain) + plain).decode().rstrip("=")

    def open(self, purpose: str, token: str) -> Any | None:
        """What was said; None when it was not us who said it, or not for this."""
        if len(token) > _LONGEST or not token.isascii():
            return None
        try:
            whole = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            return None
        proof, plain = whole[:_MARK], whole[_MARK:]
        return json.loads(plain) if hmac.compare_digest(proof, self._proof(purpose, plain)) else None

    def _proof(self, purpose: str, plain: bytes) -> bytes:
        said = len(purpose.encode()).to_bytes(4, "big") + purpose.encode() + plain
        return hmac.digest(self._key, said, hashlib.sha256)[:_MARK]
