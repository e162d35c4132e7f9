"""What in a letter its author wrote for everybody, what filled a gap, and what a human changed by hand. Pure.

Word by word where that is cheap, line by line where it is not, and from both ends where nothing is: a letter of one
line that is a megabyte long is told apart as quickly as any other.
"""

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import accumulate, groupby
from typing import Literal

#: said: by the template. filled: by a gap of it. changed: by hand. removed: it stood there, and was taken out by hand.
Kind = Literal["said", "filled", "changed", "removed"]

# A gap is one word. What may stand in it is bounded, or a line of braces would be read again from each of them.
_WORDS = re.compile(r"\{\{[^{}]{0,300}\}\}|\{%[^{}%]{0,300}%\}|\w+|\s+|[^\w\s]")
_GAP = re.compile(r"\{\{[^{}]{0,300}\}\}")
_LINES = re.compile(r"[^\n]*\n|[^\n]+")
#: Of a text longer than this, lines are compared and not words.
_LONGEST = 100_000
#: So many pairs of equal words may be looked at. Two letters of a page each have a few hundred.
_PAIRS = 20_000


@dataclass(frozen=True, slots=True)
class Piece:
    """Some of a letter, and where it comes from."""

    text: str
    kind: Kind


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Some of the one text, and what stands in its place in the other."""

    same: bool
    old: str
    new: str


def differences(template: str | None, planned: str | None, actual: str) -> tuple[Piece, ...]:
    """Where each word of `actual` comes from; all of it that was not removed, joined, is `actual`.

    `template`: as the file has it; None: nobody knows. `planned`: what it says to this person; None: nobody knows, and
    nothing counts as changed by hand.
    """
    intended = tuple(_origins(template, actual if planned is None else planned))
    if planned is None or planned == actual:
        return _joined(intended)
    return _joined(_edited(intended, planned, actual))


def _origins(template: str | None, planned: str) -> Iterator[Piece]:
    """What the template says itself, and what filled its gaps."""
    if template is None:
        yield Piece(planned, "said")
        return
    for stretch in _filled(template, planned) or _compared(template, planned):
        yield Piece(stretch.new, "said" if stretch.same or stretch.new.isspace() else "filled")


def _filled(template: str, planned: str) -> list[_Stretch] | None:
    """Of a template that has words and gaps and no conditions. None: it does not say this.

    Compared word by word, a word of the template that also fills a gap would cut what fills it in two.
    """
    if "{%" in template:
        return None
    first, *others = _GAP.split(template)
    if not others or not planned.startswith(first):
        return None
    stretches, at = [_both(first)], len(first)
    for number, words in enumerate(others, start=1):
        found = _next(words, planned, at, is_last=number == len(others))
        if found < at:
            return None
        stretches += [_Stretch(False, "", planned[at:found]), _both(words)]
        at = found + len(words)
    return [*stretches, _Stretch(False, "", planned[at:])]  # such as a signature


def _next(words: str, planned: str, at: int, *, is_last: bool) -> int:
    """Where a gap is over and the template goes on; -1: nowhere, or nobody can say."""
    if is_last and planned.endswith(words):
        return len(planned) - len(words)
    return planned.find(words, at) if words or is_last else -1


def _edited(intended: Sequence[Piece], planned: str, actual: str) -> Iterator[Piece]:
    """What was left as it was meant keeps its origin."""
    ends = list(accumulate(len(each.text) for each in intended))
    at = 0
    for stretch in _compared(planned, actual):
        here, at = at, at + len(stretch.old)
        if not stretch.same:
            yield Piece(stretch.old, "removed")
            yield Piece(stretch.new, "changed")
            continue
        for number in range(bisect_right(ends, here), len(intended)):
            piece, begin = intended[number], ends[number] - len(intended[number].text)
            if begin >= at:
                break
            yield Piece(piece.text[max(here - begin, 0) : at - begin], piece.kind)


def _compared(old: str, new: str) -> list[_Stretch]:
    """Both texts from their beginning to their end, cut where one differs from the other."""
    if old == new:
        return [_Stretch(True, old, new)]
    for cut in (_WORDS, _LINES):
        if cut is _WORDS and max(len(old), len(new)) > _LONGEST:
            continue
        before, after = cut.findall(old), cut.findall(new)
        head, tail = _in_common(before, after)
        middle = before[head : len(before) - tail], after[head : len(after) - tail]
        if _pairs(*middle) <= _PAIRS:
            break
    same = before[:head], before[len(before) - tail :]
    compared = _matched(*middle) if _pairs(*middle) <= _PAIRS else [_Stretch(False, *map("".join, middle))]
    return [_both("".join(same[0])), *compared, _both("".join(same[1]))]


def _both(text: str) -> _Stretch:
    return _Stretch(True, text, text)


def _in_common(before: Sequence[str], after: Sequence[str]) -> tuple[int, int]:
    """How many words are the same from the beginning, and how many of the others from the end."""
    shorter = min(len(before), len(after))
    head = next((at for at in range(shorter) if before[at] != after[at]), shorter)
    rest = shorter - head
    return head, next((at for at in range(rest) if before[-1 - at] != after[-1 - at]), rest)


def _pairs(before: Sequence[str], after: Sequence[str]) -> int:
    """What comparing these will cost: so often a word of the one stands in the other."""
    there = Counter(each for each in after if not each.isspace())
    return sum(there[each] for each in before)


def _matched(before: Sequence[str], after: Sequence[str]) -> list[_Stretch]:
    # a gap between two words is the same everywhere: it follows the words beside it
    matcher = SequenceMatcher(str.isspace, before, after, autojunk=False)
    return [
        _Stretch(tag == "equal", "".join(before[i:j]), "".join(after[k:end]))
        for tag, i, j, k, end in matcher.get_opcodes()
    ]


def _joined(pieces: Iterable[Piece]) -> tuple[Piece, ...]:
    """Neighbours of one kind are one."""
    alike = groupby((each for each in pieces if each.text), key=lambda each: each.kind)
    return tuple(Piece("".join(each.text for each in some), kind) for kind, some in alike)
