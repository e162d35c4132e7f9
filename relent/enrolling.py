"""A list of people enters a sequence, and what is told about each of them."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from itertools import islice

from engine.enroll import AlreadyIn, Enrolled, Enrolment, NotWanted, Pools, Ready, Skipped, Waits, prepare
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
Report = dict[str, list[Line]]

_CHUNK = 200  # people in one transaction: long lists are fast, and nobody waits long for the lock
_MOST_NAMES = 3

_WORDS = {
    "enrolled": "enrolled",
    "ready": "could be written to",
    "already": "in this sequence already",
    "held": "held until somebody sees to it",
    "skipped": "left out by the sequence's own rules",
    "suppressed": "never to be written to",
    "refused": "refused",
}


def enroll_all(
    rows: Iterable[Prospect | BadRow],
    sequence: Sequence,
    *,
    pools: Pools,
    files: Mapping[str, bytes],
    store: Store,
    clock: Clock,
    progress: Callable[[int], None],
) -> Report:
    """In the order of the list. Letters are rehearsed outside the transaction: a webhook must not wait for that."""
    report: Report = {kind: [] for kind in _WORDS if kind != "ready"}
    with store.transaction(clock.now(), "the command line") as ledger:
        ledger.drafts.keep_files(files)
    people, diary = iter(rows), _diary(sequence, store, clock)
    while chunk := list(islice(people, _CHUNK)):
        looked_at = [_look_at(row, sequence) for row in chunk]
        for kind, line in _enter(looked_at, pools, diary, store=store, clock=clock):
            report[kind].append(line)
        progress(len(chunk))
    return report


def look_at_all(
    rows: Iterable[Prospect | BadRow], sequence: Sequence, *, progress: Callable[[int], None]
) -> Report:
    """Who could be enrolled, and who not; nothing is written down."""
    report: Report = {"ready": [], "held": [], "refused": []}
    for row in rows:
        found = _look_at(row, sequence)
        if not isinstance(found, Ready):
            report["refused"].append(found)
        elif found.missing:
            report["held"].append(_line(found.email, None, found.missing))
        else:
            report["ready"].append(_line(found.email, None, None))
        progress(1)
    return report


def show_report(report: Report) -> None:
    """Counted, and the reasons by name."""
    for kind, lines in report.items():
        if lines:
            show.console.print(f"{len(lines):>6,}  {_WORDS[kind]}", highlight=False)
        if kind not in ("enrolled", "ready"):
            _show_reasons(lines)
    if not any(report.values()):
        show.console.print("     0  people: the list has a header, and nobody in it", highlight=False)


def _show_reasons(lines: list[Line]) -> None:
    reasons: dict[str | None, list[str]] = defaultdict(list)
    for line in lines:
        reasons[line["reason"]].append(line["email"] or "no address")
    for reason, emails in reasons.items():
        more = f" and {len(emails) - _MOST_NAMES:,} more" if len(emails) > _MOST_NAMES else ""
        text = f"        {', '.join(emails[:_MOST_NAMES])}{more}: {reason}"
        show.console.print(text, highlight=False, markup=False, soft_wrap=True)


def _look_at(row: Prospect | BadRow, sequence: Sequence) -> Ready | Line:
    if isinstance(row, BadRow):
        return _line(row.email, None, f"line {row.line}: {row.reason}")
    try:
        return prepare(row, sequence)
    except Refused as error:
        return _line(row.email, None, str(error))


def _enter(
    looked_at: list[Ready | Line], pools: Pools, diary: Diary, *, store: Store, clock: Clock
) -> Iterator[tuple[str, Line]]:
    """Sorted by person inside: two lists that share people must not wait for each other in a circle."""
    ready = [each for each in looked_at if isinstance(each, Ready)]
    told = store.insist(
        lambda ledger: enroll_ready(ready, ledger=ledger, pools=pools, diary=diary),
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
