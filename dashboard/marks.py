"""Where a list goes on, as a word in a link. It is nobody's secret, and whoever changes it sees another part of the list."""

import base64
import binascii
import json

_LONGEST = 2_000
_FURTHEST = 1 << 62

Mark = tuple[int | str, ...]


def word_of(mark: Mark | None) -> str | None:
    """None: the list ends here."""
    if mark is None:
        return None
    plain = json.dumps(mark, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(plain).decode().rstrip("=")


def mark_of(word: str, *kinds: type) -> Mark | None:
    """None: that is no mark of such a list, and so it begins at its beginning."""
    if not word or len(word) > _LONGEST:
        return None
    try:
        plain = base64.b64decode(word + "=" * (-len(word) % 4), altchars=b"-_", validate=True)
        found = json.loads(plain)
    except (binascii.Error, ValueError, RecursionError):
        return None
    if not isinstance(found, list) or [type(each) for each in found] != list(kinds):
        return None
    return tuple(found) if all(map(_can_be_kept, found)) else None


def _can_be_kept(value: int | str) -> bool:
    """No database knows larger numbers, nor a NUL, nor half of a sign."""
    if isinstance(value, str):
        return "\0" not in value and not any("\ud800" <= sign <= "\udfff" for sign in value)
    return abs(value) < _FURTHEST
