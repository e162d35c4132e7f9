"""Believe it, or not: did the bytes at the door come from somebody who knows our secret, and just now?

Svix and Standard Webhooks sign alike: HMAC-SHA256 over `id.timestamp.body`, under header names of their own.
"""

import hmac
import re
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from engine.errors import BadSignature, ConfigError

Headers = Sequence[tuple[bytes, bytes]]

_SVIX = (b"svix-id", b"svix-timestamp", b"svix-signature")
_STANDARD = (b"webhook-id", b"webhook-timestamp", b"webhook-signature")
_COMPLETE = (frozenset(_SVIX), frozenset(_STANDARD), frozenset(_SVIX + _STANDARD))
_NAMES = _COMPLETE[-1]

# No dot: `a.b` + `1` + body and `a` + `b.1` + body would be signed alike.
_ID = re.compile(rb"[A-Za-z0-9_-]{1,256}")
_TIMESTAMP = re.compile(rb"[0-9]{1,12}")
_LONGEST_SIGNATURE = 8 * 1024
_MOST_ENTRIES = 16
_LONG, _PIECE = 16 * 1024, 2047
_SCHEME = b"v1,"

_PREFIX = "whsec_"
_BASE64 = re.compile(r"[A-Za-z0-9+/]+(={0,2})")
_SHORTEST_KEY, _LONGEST_KEY = 24, 64  # Standard Webhooks, "Signature scheme"


class _Doubt(Exception):
    """Why we do not believe it: for the log. It never quotes what came in."""


class AnotherClock(_Doubt):
    """Signed by somebody who knows our secret, and at an hour that is too far from ours."""

    def __init__(self, delivery_id: str, body: bytes, seconds: int) -> None:
        super().__init__("its time is too far from ours")
        self.delivery_id = delivery_id
        self.body = body
        self.seconds = seconds  #: how far, and behind us if it is negative


@dataclass(frozen=True, slots=True)
class Verifier:
    """Knows our secrets; several while they are being exchanged."""

    secrets: tuple[bytes, ...] = field(repr=False)
    tolerance: timedelta  #: how far the sender's clock may be from ours, either way

    def verify(self, body: bytes, headers: Headers, now: datetime) -> str:
        """The delivery's id. Raises BadSignature, which says the same to everybody; its `__cause__` is for the log."""
        try:
            message_id, timestamp, signature = _signed_headers(headers)
            _look_at_the_form(message_id, timestamp, signature)
            if not self._is_ours(b".".join((message_id, timestamp, body)), _entries(signature)):
                raise _Doubt("no signature in it is ours")
            apart = int(timestamp) - now.timestamp()
            if abs(apart) > self.tolerance.total_seconds():
                raise AnotherClock(message_id.decode("ascii"), body, int(apart))
        except _Doubt as doubt:
            raise BadSignature from doubt
        return message_id.decode("ascii")

    def _is_ours(self, content: bytes, entries: list[bytes]) -> bool:
        """Compares everything with everything: how long it takes must not tell how near a guess was."""
        ours = False
        for secret in self.secrets:
            # As text, as they come: nothing of theirs is decoded, so nothing of theirs can be undecodable.
            right = _signature(secret, content)
            for entry in entries:
                ours |= hmac.compare_digest(right, entry)
        return ours


def sign(body: bytes, *secrets: bytes, delivery_id: str, now: datetime) -> dict[str, str]:
    """The headers that a Verifier with one of these secrets believes: for whoever plays the sender.

    Several of them while one takes another's place: whoever is told knows the old one until he has the new one.
    """
    timestamp = str(int(now.timestamp()))
    content = b".".join((delivery_id.encode(), timestamp.encode(), body))
    return {
        "svix-id": delivery_id,
        "svix-timestamp": timestamp,
        "svix-signature": b" ".join(_SCHEME + _signature(secret, content) for secret in secrets).decode(),
    }


def decode_secret(text: str) -> bytes:
    """The key in `whsec_…`, or in the base64 alone. Raises ConfigError, which never quotes it."""
    if complaint := _obvious_slip(text):
        raise ConfigError(complaint)
    encoded = text.removeprefix(_PREFIX)
    shape = _BASE64.fullmatch(encoded)
    if shape is None:
        raise ConfigError(f'The webhook secret is not "{_PREFIX}" and base64. Copy it whole, as it is shown.')
    missing = "" if shape[1] else "=" * (-len(encoded) % 4)
    try:
        key = b64decode(encoded + missing, validate=True)
    except NotBase64:
        # `from None`: what is near a secret stays out of tracebacks
        raise ConfigError(
            "The webhook secret is no whole base64. Copy all of it, to the last letter."
        ) from None
    if not _SHORTEST_KEY <= len(key) <= _LONGEST_KEY:
        raise ConfigError(
            f"The webhook secret holds {len(key)} bytes; a real one holds {_SHORTEST_KEY} to {_LONGEST_KEY}. "
            "Copy it whole, as it is shown."
        )
    return key


def _obvious_slip(text: str) -> str | None:
    if not text:
        return "The webhook secret is empty."
    if any(letter.isspace() for letter in text):
        return "The webhook secret has a blank or a line break in it. Copy it without."
    if text.startswith("v1,"):
        return f'The webhook secret starts with "v1,". Take that away: it starts with "{_PREFIX}".'
    if set("-_") & set(text.removeprefix(_PREFIX)):
        return 'The webhook secret has "-" or "_" in it: that is another base64. Copy it as it is shown.'
    return None


def _signature(secret: bytes, content: bytes) -> bytes:
    if len(content) > _LONG:
        return b64encode(hmac.digest(secret, content, "sha256"))
    # In pieces: more than 2047 bytes at once let other threads run, and coming back takes longer than the sum.
    running = hmac.new(secret, content[:_PIECE], "sha256")
    for start in range(_PIECE, len(content), _PIECE):
        running.update(content[start : start + _PIECE])
    return b64encode(running.digest())


def _signed_headers(headers: Headers) -> tuple[bytes, bytes, bytes]:
    """One id, one timestamp, one signature header, whatever family they are of; in doubt none."""
    found: dict[bytes, bytes] = {}
    for name, value in headers:
        key = name.lower()
        if key in _NAMES:
            if key in found:
                raise _Doubt("a header of the signature came twice")
            found[key] = value
    if found.keys() not in _COMPLETE:
        raise _Doubt("a header of the signature is missing")
    families = {(found[i], found[t], found[s]) for i, t, s in (_SVIX, _STANDARD) if i in found}
    if len(families) > 1:
        raise _Doubt("its svix-* and webhook-* headers disagree")
    return families.pop()


def _look_at_the_form(message_id: bytes, timestamp: bytes, signature: bytes) -> None:
    if not _ID.fullmatch(message_id):
        raise _Doubt("its id is no id")
    if not _TIMESTAMP.fullmatch(timestamp):
        raise _Doubt("its timestamp is no number of seconds")
    if len(signature) > _LONGEST_SIGNATURE:
        raise _Doubt("its signature header is too long")


def _entries(signature: bytes) -> list[bytes]:
    """What stands behind `v1,`. Other schemes, and what has no scheme, are for other readers."""
    entries = signature.split(b" ", _MOST_ENTRIES)
    if len(entries) > _MOST_ENTRIES:
        raise _Doubt("it has too many signatures")
    return [entry.removeprefix(_SCHEME) for entry in entries if entry.startswith(_SCHEME)]
