"""The shelf of what does not agree: the database with its drafts, the drafts with their labels, answers with what they stop.

Nothing here ought ever to be found. It is looked for all the same, a piece at a time, so that a look costs the same however
much there is; and whatever is found is judged once more by the statement that repairs it.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    BindParameter,
    Boolean,
    ColumnElement,
    Select,
    Text,
    and_,
    case,
    delete,
    func,
    literal_column,
    or_,
    select,
    tuple_,
)

from engine.ids import FOLLOW_UP, follow_up_label
from engine.model import Draft, Message
from engine.states import DRAFT_ENDS, HoldReason
from engine.store.moves import Desk
from engine.store.tables import (
    UNMATCHED,
    absence,
    arrival,
    audit,
    draft,
    enrollment,
    inbound_event,
    inbound_message,
    message,
    thread,
    thread_label,
)
from engine.store.threads import letter

#: Where a walk has come to: what its rows are sorted by, of the last one that was seen.
Mark = tuple[int | str, ...]

_DRAFT = FOLLOW_UP + "drf_"
#: Literals, all of them: only so are SQLite and PostgreSQL certain of the partial indexes.
_PENDING: ColumnElement[bool] = literal_column("draft.state NOT IN ('sent', 'cancelled')")
_ALIVE: ColumnElement[bool] = literal_column("enrollment.state IN ('active', 'paused')")
#: The states in which a draft can be wrong and nobody is about to see to it.
_WALKED = ("scheduled", "held", "claimed", "failed")
#: What somebody's letter makes of a draft, or of a person, when it ends nothing.
_MINDED = [HoldReason.OUT_OF_OFFICE, HoldReason.UNVERIFIED, HoldReason.ANSWERED]


class Drift(StrEnum):
    """In which way two places disagree."""

    STALE_LABEL = "stale_label"  #: a label names a draft that has had its end, is none, or is another inbox's
    MISSING_LABEL = "missing_label"  #: a follow-up is pending, and its thread does not name it
    LEAK = "leak"  #: a letter is pending to somebody whose sequence is over
    LOST = "lost"  #: somebody is being followed up, and nothing is pending for them and nothing is waited for
    UNHEARD = "unheard"  #: a letter came in, a follow-up is pending after it, and nobody has heard it
    UNMATCHED = "unmatched"  #: an event was about nobody whom we knew, and now we do
    STUCK = "stuck"  #: in the hands of somebody who is gone, and nobody has freed it


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One disagreement, by the name of what disagrees."""

    kind: Drift
    name: str
    thread_id: str = ""
    words: str = ""  #: for whoever reads of it


@dataclass(frozen=True, slots=True)
class Leg:
    """A piece of a walk: what was found on it, and where the next one begins. None: there is none."""

    found: list[Finding]
    next: Mark | None


@dataclass(frozen=True, slots=True)
class Unmatched:
    """What was said of nobody whom we knew."""

    source: str
    event_id: str
    raw: bytes


def nobody_unheard(readers: Collection[str | BindParameter[str]] = ()) -> ColumnElement[bool]:
    """For the gate: of a draft, that whatever came into its conversation was heard.

    `readers`: its own, if some of them are inboxes of this house. Of a letter from one of those that is just landing
    nobody knows yet what it says.
    """
    if not readers:
        return _heard()
    landing = select(arrival.c.id).where(
        arrival.c.ended_at.is_(None),
        arrival.c.inbox_id == draft.c.inbox_id,
        arrival.c.from_inbox.in_(list(readers)),
        draft.c.enrollment_id.is_not(None),
    )
    return and_(_heard(), ~landing.exists())


@cache
def _heard() -> ColumnElement[bool]:
    """Spelt once: the gate is asked for every letter, and to put this together costs more than to ask it."""
    asked = select(draft.c.id).where(~unheard()).compile(compile_kwargs={"literal_binds": True})
    return literal_column(f"({str(asked).partition('WHERE')[2]})", Boolean)


def unheard() -> ColumnElement[bool]:
    """Of a draft: there is a letter in its conversation that left no trace where letters that were heard leave one."""
    return _unheard_letters(message.c.message_id).correlate(draft).exists()


def _unheard_letters(*columns: ColumnElement[Any]) -> Select[Any]:
    """What stops somebody is noted by its Message-ID. What only holds them stands in the log, or among the absences.

    What somebody wrote by hand may answer the very letter: there only what came after they last touched it counts.
    """
    stopped = select(inbound_message.c.message_id).where(
        inbound_message.c.inbox_id == message.c.inbox_id,
        inbound_message.c.message_id == message.c.message_id,
    )
    minded = [
        audit.c.at >= message.c.timestamp,
        audit.c.what.in_(["draft: hold", "enrollment: pause"]),
        audit.c.detail.in_(_MINDED),
    ]
    person = select(audit.c.seq).where(audit.c.enrollment_id == draft.c.enrollment_id, *minded)
    itself = select(audit.c.seq).where(audit.c.draft_id == draft.c.id, *minded)
    away = select(absence.c.id).where(
        absence.c.enrollment_id == draft.c.enrollment_id, absence.c.since >= message.c.timestamp
    )
    traces = (each.correlate(message, draft).exists() for each in (stopped, person, itself, away))
    return select(*columns).where(
        message.c.thread_id == draft.c.thread_id,
        message.c.direction == "received",
        or_(draft.c.enrollment_id.is_not(None), message.c.timestamp > draft.c.edited_at),
        *(~each for each in traces),
    )


class Drifts:
    """One transaction's look at them, and its hands on what may be repaired."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._db = desk.db

    # --- walks ---

    def labels(self, after: Mark | None, at_most: int) -> Leg:
        """Labels that name a draft which is not pending here."""
        begin = str(after[0]) if after else ""
        part, end = self._part(thread_label.c.thread_id, begin, at_most)
        pending = select(draft.c.id).where(
            draft.c.id == func.substr(thread_label.c.label, len(FOLLOW_UP) + 1),
            draft.c.inbox_id == thread.c.inbox_id,
            draft.c.state.not_in(sorted(DRAFT_ENDS)),
        )
        stale = (
            select(thread_label.c.thread_id, thread_label.c.label)
            .join(thread, thread.c.id == thread_label.c.thread_id)
            .where(*part, thread_label.c.label.startswith(_DRAFT, autoescape=True), ~pending.exists())
        )
        found = [
            Finding(
                kind=Drift.STALE_LABEL,
                name=row.label.removeprefix(FOLLOW_UP),
                thread_id=row.thread_id,
                words=f"{row.thread_id} bears {row.label}, and no such draft is pending",
            )
            for row in self._db.execute(stale)
        ]
        return Leg(found, None if end is None else (end,))

    def drafts(self, after: Mark | None, at_most: int) -> Leg:
        """Follow-ups without their label, letters to people whose sequence is over, answers that nobody heard.

        A state after the other, and in each by birth: so one index finds the place at once.
        """
        state, begin = (str(each) for each in after) if after else (_WALKED[0], "")
        here = literal_column("(draft.state || '')", Text) == literal_column(f"'{state}'")
        part, end = self._part(draft.c.id, begin, at_most, here)
        label = select(thread_label.c.label).where(
            thread_label.c.thread_id == draft.c.thread_id, thread_label.c.label == FOLLOW_UP + draft.c.id
        )
        kinds = {
            Drift.LEAK: _is_over(),
            Drift.UNHEARD: unheard(),
            Drift.MISSING_LABEL: and_(draft.c.enrollment_id.is_not(None), ~label.correlate(draft).exists()),
        }
        kind = case(*((wrong, name.value) for name, wrong in kinds.items()))
        found = select(draft.c.id, draft.c.thread_id, draft.c.to, kind.label("kind"))
        rows = self._db.execute(found.where(*part, or_(*kinds.values())))
        return Leg([_of_a_draft(row) for row in rows], _on((state, end), _WALKED))

    def lives(self, after: Mark | None, at_most: int) -> Leg:
        """People who are followed up, and for whom nothing is pending and nothing is waited for. By sequence."""
        sequence, begin = (str(each) for each in after) if after else (self._next_sequence(None), "")
        if sequence is None:
            return Leg([], None)
        here = enrollment.c.sequence == sequence
        part, end = self._part(enrollment.c.contact, begin, at_most, _ALIVE, here)
        lost = select(enrollment.c.id, enrollment.c.email, enrollment.c.thread_id)
        found = [
            Finding(
                kind=Drift.LOST,
                name=row.id,
                thread_id=row.thread_id,
                words=f"{row.email} is active, and nothing is pending for them",
            )
            for row in self._db.execute(lost.where(*part, *_is_lost()))
        ]
        if end is not None:
            return Leg(found, (sequence, end))
        following = self._next_sequence(sequence)
        return Leg(found, None if following is None else (following, ""))

    def _next_sequence(self, after: str | None) -> str | None:
        """In which anybody is alive."""
        there = select(enrollment.c.sequence).where(_ALIVE)
        if after is not None:
            there = there.where(enrollment.c.sequence > after)
        return self._db.scalar(there.order_by(enrollment.c.sequence).limit(1))

    def _part(
        self, order: ColumnElement[str], after: str, at_most: int, *among: ColumnElement[bool]
    ) -> tuple[list[ColumnElement[bool]], str | None]:
        """So many rows of an index, as a condition; and where it ends, if there are more."""
        begin = [*among, order > after]
        last = select(order).where(*begin).order_by(order).offset(at_most - 1).limit(1)
        end: str | None = self._db.scalar(last)
        return ([*begin, order <= end] if end is not None else begin), end

    def stuck(self, lease_over: datetime, gate_before: datetime) -> list[Finding]:
        """What recovery ought to have freed, or doubted, some time ago."""
        claimed = and_(
            draft.c.state == literal_column("'claimed'"), draft.c.lease_until < lease_over
        )  # each of them by an index of its own
        leaving = and_(draft.c.state == literal_column("'releasing'"), draft.c.gate_at < gate_before)
        found = []
        for where in (claimed, leaving):
            rows = self._db.execute(select(draft.c.id, draft.c.thread_id, draft.c.state).where(where))
            found += [
                Finding(
                    kind=Drift.STUCK,
                    name=row.id,
                    thread_id=row.thread_id,
                    words=f"{row.id} is {row.state}, and nobody has freed it",
                )
                for row in rows
            ]
        return found

    def unmatched(
        self, since: datetime, after: Mark | None, at_most: int
    ) -> tuple[list[Unmatched], Mark | None]:
        """What was said of nobody whom we knew, since then; in the order in which it came."""
        here = literal_column("inbound_event.received_at", BigInteger), inbound_event.c.event_id
        unknown: ColumnElement[bool] = literal_column(f"inbound_event.verdict = '{UNMATCHED}'")
        query = select(*here, inbound_event.c.source, inbound_event.c.raw).where(unknown)
        if after is None:
            query = query.where(inbound_event.c.received_at >= since)
        else:
            query = query.where(here[0] >= after[0], tuple_(*here) > tuple_(*after))
        rows = self._db.execute(query.order_by(*here).limit(at_most)).all()
        found = [Unmatched(row.source, row.event_id, bytes(row.raw)) for row in rows]
        return found, (rows[-1][0], rows[-1].event_id) if len(rows) == at_most else None

    # --- one of them, closely ---

    def waits_to_be_heard(self, of: Draft, readers: Collection[str] = ()) -> bool:
        """Is this why its gate was closed?"""
        found = select(draft.c.id).where(draft.c.id == of.id, ~nobody_unheard(readers))
        return self._db.scalar(found) is not None

    def unheard_in(self, thread_id: str) -> list[Message]:
        """The letters there that nobody heard, and after which something is pending. Oldest first."""
        fields = [message.c[name] for name in Message.__dataclass_fields__]
        pending = draft.c.thread_id == thread_id, draft.c.state.not_in(sorted(DRAFT_ENDS))
        rows = self._db.execute(_unheard_letters(*fields).where(*pending).order_by(message.c.position))
        found = {row.message_id: letter(row) for row in rows}
        return list(found.values())

    def over(self, draft_id: str) -> str | None:
        """Why the sequence is over in which this letter is still to be said. None: it is not."""
        found = (
            select(enrollment.c.state, enrollment.c.reason)
            .join(draft, draft.c.enrollment_id == enrollment.c.id)
            .where(draft.c.id == draft_id, enrollment.c.state.in_(["stopped", "finished"]))
        )
        row = self._db.execute(found).one_or_none()
        return None if row is None else str(row.reason or row.state)

    def is_lost(self, enrollment_id: str) -> bool:
        found = select(enrollment.c.id).where(enrollment.c.id == enrollment_id, *_is_lost())
        return self._db.scalar(found) is not None

    # --- labels, which anybody may put right ---

    def take_off(self, thread_id: str, draft_id: str) -> bool:
        """The label, if what it names is still not pending here. The caller has locked the thread."""
        pending = (
            select(draft.c.id)
            .join(thread, thread.c.inbox_id == draft.c.inbox_id)
            .where(draft.c.id == draft_id, thread.c.id == thread_id, draft.c.state.not_in(sorted(DRAFT_ENDS)))
        )
        stale = delete(thread_label).where(
            thread_label.c.thread_id == thread_id,
            thread_label.c.label == follow_up_label(draft_id),
            ~pending.exists(),
        )
        return bool(self._db.execute(stale.returning(thread_label.c.label)).all())

    def put_on(self, draft_id: str) -> bool:
        """The label, if its draft is still pending. The caller has locked the thread."""
        pending = draft.c.id == draft_id, draft.c.state.not_in(sorted(DRAFT_ENDS))
        where: str | None = self._db.scalar(select(draft.c.thread_id).where(*pending))
        if where is None:
            return False
        return bool(self._desk.insert_once(thread_label, thread_id=where, label=follow_up_label(draft_id)))


def _is_over() -> ColumnElement[bool]:
    over = select(enrollment.c.id).where(
        enrollment.c.id == draft.c.enrollment_id, enrollment.c.state.in_(["stopped", "finished"])
    )
    return over.correlate(draft).exists()


def _is_lost() -> tuple[ColumnElement[bool], ...]:
    pending = select(draft.c.id).where(draft.c.enrollment_id == enrollment.c.id, _PENDING)
    asleep = enrollment.c.wake_at.is_not(None)
    return enrollment.c.state == "active", ~asleep, ~pending.correlate(enrollment).exists()


def _on(place: tuple[str, str | None], states: Sequence[str]) -> Mark | None:
    """Where it goes on: there, or at the beginning of the next state."""
    state, end = place
    if end is not None:
        return state, end
    following = states[states.index(state) + 1 :]
    return (following[0], "") if following else None


_WORDS = {
    Drift.LEAK: "is pending, and its sequence is over",
    Drift.UNHEARD: "is pending after an answer that nobody heard",
    Drift.MISSING_LABEL: "is pending, and its thread does not name it",
}


def _of_a_draft(row: Any) -> Finding:
    kind = Drift(row.kind)
    return Finding(
        kind=kind, name=row.id, thread_id=row.thread_id, words=f"{row.id} to {row.to} {_WORDS[kind]}"
    )


def leeway(now: datetime, pace_fence: timedelta) -> tuple[datetime, datetime]:
    """Recovery looks every few seconds: what it has left lying for a minute it does not see."""
    a_minute = timedelta(minutes=1)
    return now - a_minute, now - pace_fence - a_minute
