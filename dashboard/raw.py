"""Bytes that a stranger sent, as text that can be looked at: not all of them, and none that a screen would obey. Pure."""

from dataclasses import dataclass

#: Whoever wants more has `relent` and the database.
MOST = 64 * 1024
_PLAIN = "\n\t"


@dataclass(frozen=True, slots=True)
class Peek:
    """What can be seen."""

    text: str
    left_out: int  #: bytes, at the end


def peek(raw: bytes, most: int = MOST) -> Peek:
    """What turns the direction of writing, moves a cursor or is no letter at all is written out as its number."""
    shown = raw[:most].decode("utf-8", "replace")
    text = "".join(each if each.isprintable() or each in _PLAIN else f"\\u{ord(each):04x}" for each in shown)
    return Peek(text, max(0, len(raw) - most))
