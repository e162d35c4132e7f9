"""Story: what webhooks missed, and what does not agree, is found, counted, told, and repaired where that is safe.

Safe is to put a label right, to cancel, to hold, to hear. To send is never safe: whoever is followed up by nothing at all
is paused, and a human says how it goes on.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from engine.addresses import contact
from engine.errors import UnreadableEvent
from engine.heed import hear_missed
from engine.model import Pace
from engine.react import hear_and_keep
from engine.seams import Clock, Mailbox
from engine.store import Ledger, Store
from engine.store.drift import Drift, Finding, Leg, Mark, Unmatched, leeway

log = logging.getLogger("relent.reconcile")

#: The sign that tells of the last whole round: by kind, how much of it is still there.
SIGN = "drift"
_ROUND = "sweep"  # and of one that is not over
#: A round that is not over goes on so soon.
SOON = timedelta(seconds=10)

_BY = "the watch"
_AT_ONCE = 2_000  #: rows of one look into the database: some milliseconds
_IN_ONE_GO = 10  #: of those; what is left is for the next go
_MOST_UNMATCHED = 200  #: each of them has to be read
_MOST_REPAIRS = 500
_NAMES = 5
_REMEMBERED = timedelta(days=7)
_LOST = "lost: nothing was pending and nothing was waited for. `relent resume` plans what comes next"

Marks = dict[str, Mark | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """Once around everything: in one go, or in several."""

    marks: Marks  #: walks that are not over, and where they are
    found: Mapping[str, int] = field(default_factory=dict)
    repaired: Mapping[str, int] = field(default_factory=dict)
    names: Mapping[str, list[str]] = field(default_factory=dict)  #: by kind, the first few

    @property
    def over(self) -> bool:
        return not self.marks

    @property
    def drift(self) -> int:
        return sum(self.found.values())

    def and_(self, found: Iterable[Finding], repaired: Iterable[Finding], marks: Marks) -> "Round":
        names = {kind: list(few) for kind, few in self.names.items()}
        for each in found:
            few = names.setdefault(each.kind, [])
            if len(few) < _NAMES and each.name not in few:
                few.append(each.name)
        return Round(
            marks=marks,
            found=_plus(self.found, found),
            repaired=_plus(self.repaired, repaired),
            names=names,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tools:
    store: Store
    mailbox: Mailbox
    clock: Clock
    pace: Pace


_Walk = Callable[[Mark | None, _Tools], Leg]


def sweep(*, store: Store, mailbox: Mailbox, clock: Clock, pace: Pace, go_on: bool = True) -> Round:
    """One go: so much of a round that it is a matter of milliseconds, whatever there is. The sign says how it went.

    `go_on`: where the go before has ended, whoever made it; else from the beginning.
    """
    tools = _Tools(store=store, mailbox=mailbox, clock=clock, pace=pace)
    with store.reading(clock.now()) as ledger:
        before = ledger.watch.last(_ROUND) if go_on else None
    current = _noted(before.says) if before else Round(marks=dict.fromkeys(_WALKS))
    found, marks = _look(current.marks, tools, _IN_ONE_GO)
    repaired = _repair(found[:_MOST_REPAIRS], tools)
    current = current.and_(found, repaired, marks)
    if found:
        log.warning("%s", in_words(found, repaired))
    with store.transaction(clock.now(), _BY) as ledger:
        _tell(current, found, ledger)
    return current


def look(*, store: Store, mailbox: Mailbox, clock: Clock, pace: Pace) -> Iterator[Finding]:
    """The whole round, and nothing is touched."""
    tools = _Tools(store=store, mailbox=mailbox, clock=clock, pace=pace)
    marks: Marks = dict.fromkeys(_WALKS)
    while marks:
        found, marks = _look(marks, tools, 1)
        yield from found


def in_words(found: Iterable[Finding], repaired: Iterable[Finding]) -> str:
    """One line, which names the first few."""
    kinds: dict[str, list[str]] = {}
    for each in found:
        kinds.setdefault(each.kind, []).append(each.name)
    told = [
        f"{len(names)} {kind} ({', '.join(names[:_NAMES])}{', …' if len(names) > _NAMES else ''})"
        for kind, names in kinds.items()
    ]
    return f"drift: {'; '.join(told)}; repaired {len(list(repaired))}"


# --- looking ---


def _look(marks: Marks, tools: _Tools, goes: int) -> tuple[list[Finding], Marks]:
    """What was found on the way, and where it goes on."""
    found, left = [], dict(marks)
    for _ in range(goes):
        if not left:
            break
        name = next(iter(left))
        leg = _a_leg(name, left[name], tools)
        found += leg.found
        if leg.next is None:
            del left[name]
        else:
            left[name] = leg.next
    return found, left


def _a_leg(name: str, after: Mark | None, tools: _Tools) -> Leg:
    """Whoever stumbles goes no further in this round; the other walks are made all the same."""
    try:
        return _WALKS[name](after, tools)
    except SQLAlchemyError:
        raise
    except Exception:
        log.exception("our own mistake; of %s no more is looked at in this round", name)
        return Leg([], None)


def _labels(after: Mark | None, tools: _Tools) -> Leg:
    with tools.store.reading(tools.clock.now()) as ledger:
        return ledger.drift.labels(after, _AT_ONCE)


def _drafts(after: Mark | None, tools: _Tools) -> Leg:
    with tools.store.reading(tools.clock.now()) as ledger:
        return ledger.drift.drafts(after, _AT_ONCE)


def _lives(after: Mark | None, tools: _Tools) -> Leg:
    with tools.store.reading(tools.clock.now()) as ledger:
        return ledger.drift.lives(after, _AT_ONCE)


def _stuck(_: Mark | None, tools: _Tools) -> Leg:
    with tools.store.reading(tools.clock.now()) as ledger:
        return Leg(ledger.drift.stuck(*leeway(ledger.now, tools.pace.fence)), None)


def _unmatched(after: Mark | None, tools: _Tools) -> Leg:
    with tools.store.reading(tools.clock.now()) as ledger:
        waiting, end = ledger.drift.unmatched(ledger.now - _REMEMBERED, after, _MOST_UNMATCHED)
        found = [finding for each in waiting if (finding := _known_by_now(each, tools, ledger))]
    return Leg(found, end)


#: In this order: the few that are urgent first.
_WALKS: dict[str, _Walk] = {
    "stuck": _stuck,
    "unmatched": _unmatched,
    "drafts": _drafts,
    "lives": _lives,
    "labels": _labels,
}


def _known_by_now(said: Unmatched, tools: _Tools, ledger: Ledger) -> Finding | None:
    """Whether it speaks of a conversation, or a letter, that is ours by now.

    Not by whom it is from: who is enrolled after they wrote is written to, and that is meant.
    """
    try:
        event = tools.mailbox.read(said.raw, said.event_id)
    except UnreadableEvent:
        return None
    if event is None:
        return None
    threads = ledger.threads.spoken_of(contact(event.inbox_id), event.thread_id, event.speaks_of)
    if not threads:
        return None
    return Finding(
        kind=Drift.UNMATCHED,
        name=said.event_id,
        thread_id=threads[-1].id,
        words=f"{said.event_id} was about nobody we knew; it is about {threads[-1].id}",
    )


# --- repairing ---


def _repair(found: Iterable[Finding], tools: _Tools) -> list[Finding]:
    """Each in a transaction of its own, and judged once more in it."""
    return [each for each in found if _is_repaired(each, tools)]


def _is_repaired(found: Finding, tools: _Tools) -> bool:
    """What cannot be put right stays drift, and keeps nothing else from being put right."""
    try:
        return _REPAIRS[found.kind](found, tools)
    except SQLAlchemyError:
        raise
    except Exception:
        log.exception("our own mistake; %s %s stays as it is", found.kind, found.name)
        return False


def _take_off(found: Finding, tools: _Tools) -> bool:
    with tools.store.transaction(tools.clock.now(), _BY) as ledger:
        ledger.threads.lock([found.thread_id])
        return ledger.drift.take_off(found.thread_id, found.name)


def _put_on(found: Finding, tools: _Tools) -> bool:
    with tools.store.transaction(tools.clock.now(), _BY) as ledger:
        ledger.threads.lock([found.thread_id])
        return ledger.drift.put_on(found.name)


def _cancel(found: Finding, tools: _Tools) -> bool:
    with tools.store.transaction(tools.clock.now(), _BY) as ledger:
        ledger.threads.lock([found.thread_id])
        if (why := ledger.drift.over(found.name)) is None:
            return False
        cancelled = ledger.drafts.cancel([found.name], why)
        ledger.threads.untag([each.id for each in cancelled])
        for each in cancelled:
            ledger.outbox.tell(
                "followup.cancelled",
                inbox_id=each.inbox_id,
                thread_id=each.thread_id,
                draft_id=each.id,
                reason=why,
                recipients=list(each.everybody),
                enrollment_id=each.enrollment_id,
            )
        return bool(cancelled)


def _pause(found: Finding, tools: _Tools) -> bool:
    with tools.store.transaction(tools.clock.now(), _BY) as ledger:
        ledger.threads.lock([found.thread_id])
        ledger.enrollments.lock(found.name)
        if not ledger.drift.is_lost(found.name):
            return False
        ledger.enrollments.pause([found.name], _LOST)
        return True


def _hear(found: Finding, tools: _Tools) -> bool:
    return bool(hear_missed(found.thread_id, store=tools.store, clock=tools.clock))


def _match(found: Finding, tools: _Tools) -> bool:
    with tools.store.transaction(tools.clock.now(), _BY) as ledger:
        said = ledger.inbound.reopen(found.name)
        event = tools.mailbox.read(said, found.name) if said is not None else None
        if said is None or event is None:
            return False
        hear_and_keep(event, said, ledger)
    return True


def _free(found: Finding, tools: _Tools) -> bool:
    with tools.store.transaction(tools.clock.now(), _BY) as ledger:
        freed = [
            *ledger.drafts.free_abandoned(()),
            *ledger.drafts.doubt_abandoned((), fence=tools.pace.fence),
        ]
        stuck = ledger.drift.stuck(*leeway(ledger.now, tools.pace.fence))
    return bool(freed) or found.name not in {each.name for each in stuck}


_REPAIRS: dict[Drift, Callable[[Finding, _Tools], bool]] = {
    Drift.STALE_LABEL: _take_off,
    Drift.MISSING_LABEL: _put_on,
    Drift.LEAK: _cancel,
    Drift.LOST: _pause,
    Drift.UNHEARD: _hear,
    Drift.UNMATCHED: _match,
    Drift.STUCK: _free,
}


# --- telling ---


def _noted(said: Mapping[str, Any]) -> Round:
    """As it was written down; of a walk that is not known any more nothing is."""
    marks = {name: tuple(mark) if mark else None for name, mark in said["marks"].items() if name in _WALKS}
    return Round(marks=marks, **{name: said[name] for name in ("found", "repaired", "names")})


def _tell(current: Round, found: Iterable[Finding], ledger: Ledger) -> None:
    """By kind, what is still there. Besides: what was `found` and `repaired`, the first `names`, and what was `ever` found."""
    so_far: dict[str, Any] = {
        "found": dict(current.found),
        "repaired": dict(current.repaired),
        "names": dict(current.names),
    }
    last = ledger.watch.last(SIGN)
    said = dict(last.says) if last else {}
    said["ever"] = _plus(said.get("ever", {}), found)
    if current.over:
        ledger.watch.unsign(_ROUND)
        still = {kind: number - current.repaired[kind] for kind, number in current.found.items()}
        said |= {**still, **so_far, "ended_at": ledger.now.isoformat(timespec="milliseconds")}
    else:
        marks = {name: list(mark) if mark else None for name, mark in current.marks.items()}
        ledger.watch.sign(_ROUND, **so_far, marks=marks)
    ledger.watch.sign(SIGN, **said)


def _plus(counted: Mapping[str, int], more: Iterable[Finding]) -> dict[str, int]:
    """Every kind has its number, also if it is none."""
    new = Counter(each.kind.value for each in more)
    return {kind.value: counted.get(kind.value, 0) + new[kind.value] for kind in Drift}
