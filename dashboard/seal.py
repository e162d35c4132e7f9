"""A notice on its way to the next page: a cookie that only we can write, good for one browser and one minute."""

import base64
import binascii
import hashlib
import hmac
import json
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from dashboard.frame import Kind

LASTS = timedelta(minutes=1)
_MARK = 16  #: bytes of the proof
_LONGEST = 600  #: letters of a notice
_ROOM = 2700  #: bytes of it: as a cookie, with its name, they are below 3,800


@dataclass(frozen=True, slots=True)
class Notice:
    """What is to be said once, at the top of the next page."""

    text: str
    kind: Kind = "good"


def sealed(notice: Notice, *, key: bytes, reader: str, now: datetime) -> str:
    """`reader`: the word that their browser keeps. Nobody else is shown it."""
    text = notice.text[:_LONGEST]
    while len(plain := _plain(replace(notice, text=text), now)) > _ROOM:
        text = text[: len(text) * 9 // 10]
    return base64.urlsafe_b64encode(_proof(plain, key, reader) + plain).decode().rstrip("=")


def opened(word: str, *, key: bytes, reader: str, now: datetime) -> Notice | None:
    """None: that was not us, or not for them, or too long ago."""
    try:
        whole = base64.b64decode(word + "=" * (-len(word) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    proof, plain = whole[:_MARK], whole[_MARK:]
    if not hmac.compare_digest(proof, _proof(plain, key, reader)):
        return None
    at, text, kind = json.loads(plain)
    return Notice(text, kind) if 0 <= now.timestamp() - at + 1 <= LASTS.total_seconds() + 1 else None


def _plain(notice: Notice, now: datetime) -> bytes:
    said = [int(now.timestamp()), notice.text, notice.kind]
    return json.dumps(said, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace")


def _proof(plain: bytes, key: bytes, reader: str) -> bytes:
    return hmac.digest(key, b"a notice\0" + reader.encode() + b"\0" + plain, hashlib.sha256)[:_MARK]
