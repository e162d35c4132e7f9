"""Story: what the log says is sealed, some lines at a time, each block on top of the one before; and are the seals whole?

Writing a line costs what it did before. Lines that are committed are closed into blocks afterwards: a block's hash is made of
the hash before it and of every line in it, so whoever changes, takes away or slips in a line that is sealed has to make every
later block anew, and the last hash is another one then. See docs/audit.md.
"""

import hashlib
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import chain
from json import JSONEncoder
from typing import Literal

from engine.seams import Clock
from engine.store import Ledger, Store
from engine.store.blocks import Block, Gap, Line, Range
from engine.store.reviews import REVIEWED, digest

#: What the first block stands on.
GENESIS = "0" * 64

_BY = "the seal"
_AT_MOST = 5_000  #: lines in a block
_ROUND = 20  #: blocks, before others have their turn
_LATEST = timedelta(minutes=10)  #: by then whoever has taken a number has written its line, or never will
_MARK = 8
_TOLD = 1_000  #: broken places that are told one by one
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_json = JSONEncoder(separators=(",", ":")).encode

#: Who is told how many lines were looked at since they last were.
Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Head:
    """The last block: whoever has noted it elsewhere can tell whether the chain still holds it."""

    number: int
    hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """One place where the log is not what was sealed."""

    what: Literal["changed", "missing", "added", "block", "chain", "head", "review"]
    says: str
    block: int | None = None
    lines: tuple[Range, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What was found."""

    lines: int  #: that are sealed
    blocks: int
    head: Head | None
    sealed_at: datetime | None  #: when the last block was closed
    waiting: int  #: lines that nobody has sealed yet
    waiting_since: datetime | None  #: when the oldest of them was written
    broken: tuple[Broken, ...]
    more: int = 0  #: broken places that are not told one by one

    @property
    def whole(self) -> bool:
        return not self.broken


# --- the rules: what a line and a block are, as bytes ---


def line_as_bytes(line: Line) -> bytes:
    """One JSON array on a line of its own, without blanks, in ASCII: the same bytes whatever database it lies in."""
    return f"{_json(line)}\n".encode("ascii")


def hash_of(block: Block, lines: Iterable[bytes]) -> str:
    """What the block says of itself, but for its hash; and then its lines, in the order of their numbers."""
    gaps = [[gap.first, gap.last, gap.since] for gap in block.gaps]
    says = [
        block.number,
        _milliseconds(block.at),
        block.lines,
        block.ranges,
        block.up_to,
        gaps,
        block.marks,
        block.previous,
    ]
    made = hashlib.sha256(f"{_json(says)}\n".encode("ascii"))
    for line in lines:
        made.update(line)
    return made.hexdigest()


def mark_of(line: bytes) -> str:
    """Enough to name the line that was changed. That one was, its block's hash tells."""
    return hashlib.sha256(line).hexdigest()[:_MARK]


def close(before: Block | None, lines: Sequence[Line], at: datetime) -> Block:
    """These lines, in the order of their numbers, sealed on top of that block."""
    said = [line_as_bytes(line) for line in lines]
    open_block = Block(
        number=before.number + 1 if before else 1,
        at=_EPOCH + _milliseconds(at) * _MILLISECOND,
        lines=len(lines),
        ranges=as_ranges(line[0] for line in lines),
        up_to=max(before.up_to if before else 0, lines[-1][0] if lines else 0),
        gaps=gaps_after(before, lines, at),
        marks="".join(map(mark_of, said)),
        previous=before.hash if before else GENESIS,
        hash="",
    )
    return replace(open_block, hash=hash_of(open_block, said))


def gaps_after(before: Block | None, lines: Sequence[Line], at: datetime) -> tuple[Gap, ...]:
    """Numbers may be committed in another order than they were taken in: those that were passed over may still come."""
    too_late, now = _milliseconds(at - _LATEST), _milliseconds(at)
    seen, up_to = [line[0] for line in lines], before.up_to if before else 0
    found = [rest for gap in (before.gaps if before else ()) for rest in _without(gap, seen)]
    for line in lines:
        if line[0] > up_to + 1:
            found.append(Gap(up_to + 1, line[0] - 1, min(line[1], now)))
        up_to = max(up_to, line[0])
    return tuple(gap for gap in found if gap.since > too_late)


def as_ranges(numbers: Iterable[int]) -> tuple[Range, ...]:
    """They come in order."""
    found: list[list[int]] = []
    for number in numbers:
        if found and number == found[-1][1] + 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return tuple((first, last) for first, last in found)


def _without(gap: Gap, numbers: Sequence[int]) -> Iterator[Gap]:
    first = gap.first
    for number in numbers[bisect_right(numbers, gap.first - 1) : bisect_right(numbers, gap.last)]:
        if number > first:
            yield Gap(first, number - 1, gap.since)
        first = number + 1
    if first <= gap.last:
        yield Gap(first, gap.last, gap.since)


def _milliseconds(at: datetime) -> int:
    return (at - _EPOCH) // _MILLISECOND


# --- sealing ---


def seal(store: Store, clock: Clock, *, at_most: int = _ROUND) -> int:
    """Close what is committed and not sealed yet, some blocks of it. Says how many lines that were.

    What is sealed is read without holding anybody up; two that do it at once are told apart by the block's number, and
    the one who comes second looks again.
    """
    lines = 0
    for _ in range(at_most):
        block = _next(store, clock)
        if block is None:
            break
        with store.transaction(clock.now(), _BY) as ledger:
            if ledger.blocks.add(block):
                lines += block.lines
    return lines


def _next(store: Store, clock: Clock) -> Block | None:
    """None: there is nothing to be sealed."""
    with store.reading(clock.now()) as ledger:
        before = ledger.blocks.last()
        lines = _open_lines(ledger, before)
        if lines or (before and gaps_after(before, (), ledger.now) != before.gaps):
            return close(before, lines, ledger.now)
        return None


def _open_lines(ledger: Ledger, before: Block | None) -> list[Line]:
    """Those that came late, and then those that are new."""
    found: list[Line] = []
    for gap in before.gaps if before else ():
        found += ledger.blocks.lines_between(gap.first, gap.last, at_most=_AT_MOST - len(found))
        if len(found) == _AT_MOST:
            return found
    return found + ledger.blocks.lines(before.up_to if before else 0, at_most=_AT_MOST - len(found))


# --- are they whole? ---


def verify(
    store: Store, clock: Clock, *, noted: Head | None = None, progress: Progress = lambda lines: None
) -> Verdict:
    """All of them, from the first line. `noted`: a head that somebody wrote down elsewhere."""
    vouched = _Vouched(store, clock)
    return _look(store, clock, None, noted, progress, vouched)


def glance(store: Store, clock: Clock, *, blocks: int = 3) -> Verdict:
    """The last few only."""
    with store.reading(clock.now()) as ledger:
        last = ledger.blocks.last()
        before = ledger.blocks.get(last.number - blocks) if last else None
    return _look(store, clock, before, None, lambda lines: None)


def _look(
    store: Store,
    clock: Clock,
    before: Block | None,
    noted: Head | None,
    progress: Progress,
    vouched: "_Vouched | None" = None,
) -> Verdict:
    with store.reading(clock.now()) as ledger:
        last = ledger.blocks.last()
    walk = _Walk(before, _pages(store, clock, before, progress, vouched))
    for block in _blocks(store, clock, before, last):
        walk.take(block)
    walk.finish()
    reviews = vouched.finish() if vouched else ()
    told = (*walk.broken, *reviews, *_compared(noted, last, store, clock))
    return Verdict(
        lines=walk.lines,
        blocks=walk.blocks,
        head=Head(last.number, last.hash) if last else None,
        sealed_at=last.at if last else None,
        waiting=walk.waiting,
        waiting_since=None if walk.oldest is None else _EPOCH + walk.oldest * _MILLISECOND,
        broken=told,
        more=walk.more,
    )


def _blocks(store: Store, clock: Clock, before: Block | None, last: Block | None) -> Iterator[Block]:
    """Up to that one: what is sealed meanwhile stands on it."""
    after = before.number if before else -1
    while last is not None and after < last.number:
        with store.reading(clock.now()) as ledger:
            page = ledger.blocks.after(after, at_most=200)
        yield from (block for block in page if block.number <= last.number)
        if not page:
            return
        after = page[-1].number


def _pages(
    store: Store, clock: Clock, before: Block | None, progress: Progress, vouched: "_Vouched | None" = None
) -> Iterator[Line]:
    """Page by page, so that a million lines are never in memory, and no look lasts for long."""
    after = min([gap.first - 1 for gap in before.gaps] + [before.up_to]) if before else -(2**62)
    while True:
        with store.reading(clock.now()) as ledger:
            page = ledger.blocks.lines(after, at_most=_AT_MOST)
        if vouched:
            vouched.take(page)
        yield from page
        progress(len(page))
        if len(page) < _AT_MOST:
            return
        after = page[-1][0]


def _compared(noted: Head | None, last: Block | None, store: Store, clock: Clock) -> Iterator[Broken]:
    if noted is None:
        return
    with store.reading(clock.now()) as ledger:
        block = ledger.blocks.get(noted.number)
    if block is None:
        ends = f"ends with block {last.number}" if last else "has no block at all"
        says = f"the chain {ends}: block {noted.number} was cut off, or a backup from before it was put back"
        yield Broken(what="head", block=noted.number, says=says)
    elif not block.hash.startswith(noted.hash):
        says = f"block {noted.number} has the hash {block.hash}, not the one that was noted: the chain was made anew"
        yield Broken(what="head", block=noted.number, says=says)


class _Vouched:
    """What the log says of reviews, against the reviews that are there: what somebody saw must not be changed either."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store, self._clock = store, clock
        with store.reading(clock.now()) as ledger:
            self._number = ledger.reviews.count()
        self._found = 0
        self._broken: list[Broken] = []

    def take(self, page: Sequence[Line]) -> None:
        """Some lines of the log."""
        said = [(line[0], (line[6] or "").split(" ")) for line in page if line[3].startswith(REVIEWED)]
        named = [(number, words[0], words[1]) for number, words in said if len(words) > 1]
        if not named:
            return
        with self._store.reading(self._clock.now()) as ledger:
            there = ledger.reviews.some([name for _, name, _ in named])
        self._found += len(there)
        for number, name, known in named:
            review = there.get(name)
            if review is None:
                self._tell(number, f"the review {name}, of which line {number} tells, is missing")
            elif digest(review) != known:
                says = (
                    f"the review {name} of {review.draft_id} is not what it was when line {number} told of it"
                )
                self._tell(number, says)

    def finish(self) -> tuple[Broken, ...]:
        """Those that were said while we looked are told of by nobody yet, and are no more than were added since."""
        if self._found < self._number:
            says = f"{self._number - self._found} reviews are there of which no line tells"
            self._broken.append(Broken(what="review", says=says))
        return tuple(self._broken)

    def _tell(self, number: int, says: str) -> None:
        if len(self._broken) < _TOLD:
            self._broken.append(Broken(what="review", says=says, lines=((number, number),)))


class _Walk:
    """Along the chain, and along the lines beside it."""

    def __init__(self, before: Block | None, lines: Iterator[Line]) -> None:
        self._before = before
        self._lines = lines
        self._next = next(lines, None)
        self._behind = before.up_to if before else None  #: of what was sealed before we began nobody asks
        self._open = _Within(before.gaps) if before else None
        self._aside: dict[int, Line] = {}  #: passed by, and not sealed yet
        self.broken: list[Broken] = []
        self.more = self.lines = self.blocks = self.waiting = 0
        self.oldest: int | None = None

    def take(self, block: Block) -> None:
        """The next one."""
        self._stands(block)
        within = _Within(block.ranges)
        mine = [self._aside.pop(number) for number in sorted(self._aside) if number in within]
        for line in self._up_to(max([block.up_to, *(last for _, last in block.ranges)])):
            if line[0] in within:
                mine.append(line)
            else:
                self._aside[line[0]] = line
        self._compare(block, mine)
        still_open = _Within(block.gaps)
        self._uncovered(block, [number for number in self._aside if number not in still_open])
        self._before = block
        self.blocks += 1
        self.lines += len(mine)

    def finish(self) -> None:
        """Whatever is left was not sealed yet."""
        for line in chain(self._aside.values(), self._up_to(None)):
            self.waiting += 1
            self.oldest = line[1] if self.oldest is None else min(line[1], self.oldest)

    def _up_to(self, number: int | None) -> Iterator[Line]:
        while self._next is not None and (number is None or self._next[0] <= number):
            line, self._next = self._next, next(self._lines, None)
            if self._behind is None or line[0] > self._behind or (self._open and line[0] in self._open):
                yield line

    def _stands(self, block: Block) -> None:
        before = self._before
        due = before.number + 1 if before else 1
        if block.number > due:
            which = (
                f"block {due} is"
                if block.number == due + 1
                else f"the blocks {due} to {block.number - 1} are"
            )
            self._tell(Broken(what="chain", block=due, says=f"{which} missing"))
        elif block.number < due or block.previous != (before.hash if before else GENESIS):
            on = f"on block {before.number} as it is now" if before else "where a chain begins"
            self._tell(Broken(what="chain", block=block.number, says=f"it does not stand {on}"))

    def _compare(self, block: Block, mine: Sequence[Line]) -> None:
        said = [line_as_bytes(line) for line in mine]
        if hash_of(block, said) == block.hash:
            return
        missing = _missing(block.ranges, [line[0] for line in mine])
        changed = list(_changed(block, mine, said))
        when = f"sealed {block.at:%Y-%m-%d %H:%M:%S} UTC"
        if missing:
            says = f"{_named(missing)} {_be(missing)} missing, {when}"
            self._tell(Broken(what="missing", block=block.number, lines=missing, says=says))
        for line in changed:
            says = f"line {line[0]} is not as it was when it was {when}. Now it says: {_told(line)}"
            self._tell(Broken(what="changed", block=block.number, lines=((line[0], line[0]),), says=says))
        if not missing and not changed:
            says = "the block itself was changed: its hash is not that of what it says, and its lines are as they were"
            self._tell(Broken(what="block", block=block.number, says=says))

    def _uncovered(self, block: Block, numbers: Sequence[int]) -> None:
        """Nothing can cover them any more: they were written into a gap that is closed, or their seal was taken away."""
        if numbers:
            lines = as_ranges(sorted(numbers))
            says = (
                f"no seal covers {_named(lines)}. Line {lines[0][0]} says: {_told(self._aside[lines[0][0]])}"
            )
            self._tell(Broken(what="added", block=block.number, lines=lines, says=says))
        for number in numbers:
            del self._aside[number]

    def _tell(self, broken: Broken) -> None:
        if len(self.broken) < _TOLD:
            self.broken.append(broken)
        else:
            self.more += 1


class _Within:
    """Is a number in one of these ranges?"""

    def __init__(self, ranges: Iterable[Range | Gap]) -> None:
        plain = ((each.first, each.last) if isinstance(each, Gap) else each for each in ranges)
        self._ranges = sorted(plain)
        self._firsts = [first for first, _ in self._ranges]

    def __contains__(self, number: int) -> bool:
        place = bisect_right(self._firsts, number) - 1
        return place >= 0 and number <= self._ranges[place][1]


def _missing(ranges: Sequence[Range], found: Sequence[int]) -> tuple[Range, ...]:
    gaps = chain.from_iterable(_without(Gap(first, last, 0), found) for first, last in ranges)
    return tuple((gap.first, gap.last) for gap in gaps)


def _changed(block: Block, lines: Sequence[Line], said: Sequence[bytes]) -> Iterator[Line]:
    """Those whose marks are others."""
    places, before = [], 0
    for first, last in block.ranges:
        places.append((first, before))
        before += last - first + 1
    firsts = [first for first, _ in places]
    for line, each in zip(lines, said, strict=True):
        first, passed = places[bisect_right(firsts, line[0]) - 1]
        place = _MARK * (passed + line[0] - first)
        if block.marks[place : place + _MARK] != mark_of(each):
            yield line


def _named(lines: Sequence[Range]) -> str:
    told = [f"{first}" if first == last else f"{first} to {last}" for first, last in lines[:10]]
    more = f" and {len(lines) - 10:,} more places" if len(lines) > 10 else ""
    return f"{'line' if _is_one(lines) else 'lines'} {', '.join(told)}{more}"


def _be(lines: Sequence[Range]) -> str:
    return "is" if _is_one(lines) else "are"


def _is_one(lines: Sequence[Range]) -> bool:
    return len(lines) == 1 and lines[0][0] == lines[0][1]


def _told(line: Line) -> str:
    at = _EPOCH + line[1] * _MILLISECOND
    return f"{at:%Y-%m-%d %H:%M:%S} UTC, " + ", ".join(
        str(part)[:200] for part in line[2:] if part is not None
    )
