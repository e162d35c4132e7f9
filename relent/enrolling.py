"""A list of people enters a sequence, and what is told about each of them."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice

from engine.enroll import (
    AlreadyIn,
    Enrolled,
    Enrolment,
    NotWanted,
    Pools,
    Ready,
    Skipped,
    Turns,
    Waits,
    prepare,
)
from engine.enroll import enroll_all as enroll_ready
from engine.errors import Refused
from engine.limits import Diary, What, counted
from engine.model import Prospect
from engine.seams import Clock
from engine.sequence import Sequence
from engine.store import Store, pauses
from relent import show
from sequences.people import BadRow

Line = dict[str, str | None]

AT_ONCE = 200  # people in one transaction: long lists are fast, and nobody waits long for the lock
_MOST_NAMES = 3
_MOST_REASONS = 1000  #: of one kind; a list may have a million lines, and each may be wrong in its own way

_WORDS = {
    "enrolled": "enrolled",
    "ready": "could be written to",
    "already": "in this sequence already",
    "held": "held until somebody sees to it",
    "skipped": "left out by the sequence's own rules",
    "suppressed": "never to be written to",
    "refused": "refused",
}


@dataclass(slots=True)
class _Reason:
    """Why it is so for some of them."""

    people: int = 0
    names: list[str] = field(default_factory=list)  #: the first few


@dataclass(slots=True)
class Report:
    """What became of each: counted, with the first names for each reason; and a line for each, if that is asked for."""

    kinds: tuple[str, ...]
    line_by_line: bool = True
    lines: dict[str, list[Line]] = field(init=False)
    counted: Counter[str] = field(default_factory=Counter, init=False)
    reasons: dict[str, dict[str | None, _Reason]] = field(init=False)
    unnamed: Counter[str] = field(default_factory=Counter, init=False)  #: people whose reason is not kept

    def __post_init__(self) -> None:
        self.lines = {kind: [] for kind in self.kinds}
        self.reasons = {kind: {} for kind in self.kinds}

    def __getitem__(self, kind: str) -> list[Line]:
        return self.lines[kind]

    def add(self, kind: str, line: Line) -> None:
        self.counted[kind] += 1
        if self.line_by_line:
            self.lines[kind].append(line)
        if kind not in ("enrolled", "ready"):
            self._note(kind, line)

    def _note(self, kind: str, line: Line) -> None:
        reasons, why = self.reasons[kind], line["reason"]
        if why not in reasons and len(reasons) == _MOST_REASONS:
            self.unnamed[kind] += 1
            return
        reason = reasons.setdefault(why, _Reason())
        reason.people += 1
        if len(reason.names) < _MOST_NAMES:
            reason.names.append(line["email"] or "no address")


def enroll_all(
    rows: Iterable[Prospect | BadRow],
    sequence: Sequence,
    *,
    pools: Pools,
    files: Mapping[str, bytes],
    store: Store,
    clock: Clock,
    progress: Callable[[int], None],
    line_by_line: bool = True,
) -> Report:
    """In the order of the list. Letters are rehearsed outside the transaction: a webhook must not wait for that."""
    report = Report(tuple(kind for kind in _WORDS if kind != "ready"), line_by_line)
    with store.transaction(clock.now(), "the command line") as ledger:
        ledger.drafts.keep_files(files)
    people, diary, turns = iter(rows), _diary(sequence, store, clock), Turns(sequence, pools)
    while chunk := list(islice(people, AT_ONCE)):
        looked_at = [_look_at(row, sequence) for row in chunk]
        for kind, line in _enter(looked_at, diary, turns, store=store, clock=clock):
            report.add(kind, line)
        progress(len(chunk))
    return report


def look_at_all(
    rows: Iterable[Prospect | BadRow], sequence: Sequence, *, progress: Callable[[int], None]
) -> Report:
    """Who could be enrolled, and who not; nothing is written down."""
    report = Report(("ready", "held", "refused"), line_by_line=False)
    for row in rows:
        found = _look_at(row, sequence)
        if not isinstance(found, Ready):
            report.add("refused", found)
        elif found.missing:
            report.add("held", _line(found.email, None, found.missing))
        else:
            report.add("ready", _line(found.email, None, None))
        progress(1)
    return report


def show_report(report: Report) -> None:
    """Counted, and the reasons by name."""
    for kind in report.kinds:
        if number := report.counted[kind]:
            show.say(f"{number:>6,}  {_WORDS[kind]}")
            _show_reasons(report, kind)
    if not report.counted:
        show.say("     0  people: the list has a header, and nobody in it")


def _show_reasons(report: Report, kind: str) -> None:
    for why, reason in report.reasons[kind].items():
        others = reason.people - len(reason.names)
        more = f" and {others:,} more" if others else ""
        show.say(f"        {', '.join(reason.names)}{more}: {why}")
    if unnamed := report.unnamed[kind]:
        show.say(f"        and {unnamed:,} more, for other reasons")


def _look_at(row: Prospect | BadRow, sequence: Sequence) -> Ready | Line:
    if isinstance(row, BadRow):
        return _line(row.email, None, f"line {row.line}: {row.reason}")
    try:
        return prepare(row, sequence)
    except Refused as error:
        return _line(row.email, None, str(error))


def _enter(
    looked_at: list[Ready | Line], diary: Diary, turns: Turns, *, store: Store, clock: Clock
) -> Iterator[tuple[str, Line]]:
    """Sorted by person inside: two lists that share people must not wait for each other in a circle."""
    ready = [each for each in looked_at if isinstance(each, Ready)]
    told = store.insist(
        lambda ledger: enroll_ready(ready, ledger=ledger, diary=diary, turns=turns),
        now=clock.now,
        by="the command line",
        pauses=pauses(),
    )
    by_person = {id(each): _tell(each.email, one) for each, one in zip(ready, told, strict=True)}
    for each in looked_at:
        yield by_person[id(each)] if isinstance(each, Ready) else ("refused", each)


def _diary(sequence: Sequence, store: Store, clock: Clock) -> Diary:
    """Kept for the whole list: what was looked up, and what it has booked itself, is known by heart."""

    def look(what: What, key: str, begin: datetime, end: datetime) -> list[tuple[datetime, bool]]:
        with store.reading(clock.now()) as ledger:
            return ledger.diaries.booked_between(what, key, begin, end)

    def first(inbox: str) -> datetime | None:
        with store.reading(clock.now()) as ledger:
            return ledger.diaries.first(inbox)

    return Diary(look, first, counts=counted(sequence.limits))


def _tell(email: str, outcome: Enrolment) -> tuple[str, Line]:
    match outcome:
        case Enrolled(enrollment_id):
            return "enrolled", _line(email, enrollment_id, None)
        case AlreadyIn(enrollment_id, reason):
            return "already", _line(email, enrollment_id, reason)
        case Waits(enrollment_id, reason):
            return "held", _line(email, enrollment_id, reason)
        case Skipped(reason):
            return "skipped", _line(email, None, reason)
        case NotWanted(reason):
            return "suppressed", _line(email, None, reason)


def _line(email: str, enrollment_id: str | None, reason: str | None) -> Line:
    return {"email": email, "enrollment_id": enrollment_id, "reason": reason}
