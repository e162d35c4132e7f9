"""Names for things: lower-case, sortable by birth, safe in a path and in a label; and Message-IDs.

A mailbox may fold labels to lower case, and `follow-up:<draft_id>` must survive that.
"""

import hashlib
import hmac
import secrets
from base64 import b32encode
from datetime import datetime
from threading import Lock

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's: no i, l, o, u to misread
_TIME_DIGITS, _CHANCE_DIGITS = 10, 14
_CHANCES = 32**_CHANCE_DIGITS

#: Before the label that somebody gave an answer, on its thread.
ANSWER = "reply:"
FOLLOW_UP = "follow-up:"


class _Birth:
    """Twins of one millisecond are numbered on, so that the first born sorts first."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._last = (0, 0)

    def number(self, milliseconds: int) -> tuple[int, int]:
        with self._lock:
            if milliseconds == self._last[0]:
                self._last = milliseconds, self._last[1] + 1 + secrets.randbelow(1 << 32)
            else:
                self._last = milliseconds, secrets.randbelow(_CHANCES // 2)
            return self._last


_birth = _Birth()


def new_id(prefix: str, born: datetime) -> str:
    """`drf_01k9…`: ten digits of milliseconds, fourteen of chance."""
    milliseconds, chance = _birth.number(int(born.timestamp() * 1000))
    return f"{prefix}_{_digits(milliseconds, _TIME_DIGITS)}{_digits(chance, _CHANCE_DIGITS)}"


def message_id(key: bytes, draft_id: str, step: str, sender: str) -> str:
    """The RFC 5322 Message-ID of a draft: the same draft has the same id, and no outsider can guess it.

    Recipients de-duplicate by it, a Sent folder is searched by it, and somebody who could guess it
    could forge an In-Reply-To and so stop a send.
    """
    digest = hmac.digest(key, f"{draft_id}|{step}".encode(), hashlib.sha256)
    return f"<{b32encode(digest).decode()[:26].lower()}@{sender.rpartition('@')[2]}>"


def answer_label(label: str) -> str:
    """What a human has called an answer."""
    return f"{ANSWER}{label}"


def follow_up_label(draft_id: str) -> str:
    return FOLLOW_UP + draft_id


def _digits(number: int, width: int) -> str:
    digits = ""
    for _ in range(width):
        number, rest = divmod(number, 32)
        digits = _ALPHABET[rest] + digits
    return digits
