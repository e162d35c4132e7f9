"""Today, for whoever looks at it: what left, who answered, what waits for a human; and which letters have just moved on.

All of it from indexes: a page that is open all day must not become a burden, however many letters there are.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, and_, exists, func, literal_column, or_, select

from engine.addresses import CANARY
from engine.model import NEVER
from engine.states import DraftState, HoldReason, StopReason
from engine.store.glance import MOST
from engine.store.moves import Desk
from engine.store.nest import EVENT
from engine.store.tables import audit, draft, enrollment, inbound_event, inbox, sequence_version

_OUR_OWN = 5  #: of those who told us something last so many may be the canary's
_LATELY = 300  #: so many of what was heard last are looked through for answers that stopped something
_SHORT = 64 * 1024  #: bytes; what is larger is not read for a number
#: How the verdict on whatever stopped nobody's letter ends.
_NOTHING = ", 0 cancelled"
#: How the answers are named that no webhook told.
_FOUND = "missed/"
#: Words of ours. Anything else that stands beside a letter may be a stranger's.
_REASONS = frozenset({*StopReason, *HoldReason})


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaving:
    """A letter, and when it goes."""

    draft_id: str
    enrollment_id: str | None
    inbox_id: str
    email: str
    subject: str
    send_at: datetime
    state: str
    wanted: bool  #: False: whom it is for is paused, so it stays


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubted:
    """It may have left."""

    draft_id: str
    enrollment_id: str | None
    inbox_id: str
    email: str
    subject: str
    message_id: str
    carrier: str | None
    gate_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """Something has become of a letter."""

    seq: int  #: of the line in the log
    at: datetime
    draft_id: str
    state: str  #: as it is now
    what: str
    why: str | None  #: in a word of ours, or not at all
    enrollment_id: str | None
    email: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancelling:
    """A webhook that cancelled something: when it did, and its bytes."""

    event_id: str
    at: datetime
    raw: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Furnished:
    """What there is in a house that was just moved into."""

    inbox: str | None  #: one of them
    sequence: str | None  #: one that somebody was enrolled in
    person: bool
    letter: bool  #: one has left
    answer: bool  #: a webhook was heard


class Today:
    """One transaction's look at a day."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._db = desk.db

    # --- numbers ---

    def sent(self, since: datetime) -> int:
        """Letters that left; an inbox after the other, because so their index has it."""
        theirs = (
            select(func.count())
            .select_from(draft)
            .where(
                draft.c.inbox_id == inbox.c.id,
                draft.c.gate_at.is_not(None),
                draft.c.gate_at >= since,
                _is(DraftState.SENT),
            )
            .scalar_subquery()
        )
        counted = select(theirs.label("number")).select_from(inbox).where(inbox.c.id != CANARY).subquery()
        return int(self._db.scalar(select(func.coalesce(func.sum(counted.c.number), 0))) or 0)

    def stopped(self, since: datetime) -> Mapping[str, int]:
        """Who is written to no more, by the reason."""
        stopped = enrollment.c.state == literal_column("'stopped'"), enrollment.c.updated_at >= since
        some = select(enrollment.c.reason).where(*stopped).limit(MOST).subquery()
        rows = self._db.execute(select(some.c.reason, func.count()).group_by(some.c.reason))
        return {row[0] or "": row[1] for row in rows}

    def held(self) -> Mapping[str, int]:
        """What waits for a human, by the reason."""
        some = select(draft.c.outcome).where(*_TO_REVIEW).limit(MOST).subquery()
        rows = self._db.execute(select(some.c.outcome, func.count()).group_by(some.c.outcome))
        return {row[0] or "": row[1] for row in rows}

    def failed(self) -> int:
        """Refused for good: a human tries again, or lets it be."""
        in_order: ColumnElement[bool] = literal_column("(state || '')") == DraftState.FAILED.value
        some = select(literal_column("1")).select_from(draft).where(in_order).limit(MOST).subquery()
        return self._db.scalar(select(func.count()).select_from(some)) or 0

    def scheduled(self) -> int:
        due = _is(DraftState.SCHEDULED), draft.c.send_at <= NEVER
        some = select(draft.c.send_at).where(*due).limit(MOST).subquery()
        return self._db.scalar(select(func.count()).select_from(some)) or 0

    # --- a few of them ---

    def next_to_leave(self, at_most: int) -> list[Leaving]:
        """In the order in which they go."""
        first = (
            select(draft)
            .where(_is(DraftState.SCHEDULED), draft.c.send_at < NEVER)
            .order_by(draft.c.send_at)
            .limit(at_most + 1)  # the canary may be among them
            .subquery()
        )
        active = exists().where(enrollment.c.id == first.c.enrollment_id, enrollment.c.state == "active")
        wanted = or_(first.c.enrollment_id.is_(None), active)
        rows = self._db.execute(select(first, wanted.label("wanted")).order_by(first.c.send_at, first.c.id))
        return [_leaving(row) for row in rows if row.inbox_id != CANARY][:at_most]

    def uncertain(self, at_most: int) -> list[Doubted]:
        """Of which nobody knows whether they left."""
        found = select(draft).where(_is(DraftState.UNCERTAIN), draft.c.id > "", draft.c.inbox_id != CANARY)
        return [_doubted(row) for row in self._db.execute(found.order_by(draft.c.id).limit(at_most))]

    def heard_at(self) -> datetime | None:
        """When somebody told us something last; what we tell ourselves does not count."""
        last = (
            select(inbound_event.c.received_at, inbound_event.c.event_id)
            .order_by(inbound_event.c.received_at.desc(), inbound_event.c.event_id.desc())
            .limit(_OUR_OWN)
        )
        rows = self._db.execute(last).all()
        return next((row.received_at for row in rows if not row.event_id.startswith(EVENT)), None)

    def cancelling(self, at_most: int) -> list[Cancelling]:
        """The last that cancelled a letter, the latest first, among those heard lately; not what we tell ourselves."""
        lately = (
            select(*_RECEIPT, inbound_event.c.received_at, inbound_event.c.verdict)
            .order_by(inbound_event.c.received_at.desc(), inbound_event.c.event_id.desc())
            .limit(_LATELY)
        )
        found = [row for row in self._db.execute(lately) if _cancelled(row)][:at_most]
        if not found:
            return []
        these = or_(
            *(
                and_(inbound_event.c.source == row.source, inbound_event.c.event_id == row.event_id)
                for row in found
            )
        )
        short = func.length(inbound_event.c.raw) <= _SHORT
        read = select(*_RECEIPT, inbound_event.c.raw).where(these, short)
        raws = {(row.source, row.event_id): bytes(row.raw) for row in self._db.execute(read)}
        return [
            Cancelling(event_id=row.event_id, at=row.received_at, raw=raw)
            for row in found
            if (raw := raws.get((row.source, row.event_id))) is not None
        ]

    def furnished(self) -> Furnished:
        """How far a newcomer has come."""
        one_inbox = select(inbox.c.id).where(inbox.c.deleted_at.is_(None), inbox.c.id != CANARY)
        one_life = select(enrollment.c.sequence).where(enrollment.c.inbox_id != CANARY)
        left = select(draft.c.id).where(
            literal_column("(state || '')") == DraftState.SENT.value, draft.c.inbox_id != CANARY
        )
        sequence = self._first(one_life)
        return Furnished(
            inbox=self._first(one_inbox.order_by(inbox.c.created_at)),
            sequence=sequence or self._first(select(sequence_version.c.name).where(_IS_OURS)),
            person=sequence is not None,
            letter=self._first(left) is not None,
            answer=self.heard_at() is not None,
        )

    def _first(self, query: Select[Any]) -> str | None:
        found: str | None = self._db.scalar(query.limit(1))
        return found

    # --- what has just moved ---

    def last_line(self) -> int:
        """The number of the newest line in the log; 0: it is empty."""
        return self._db.scalar(select(func.max(audit.c.seq))) or 0

    def moved(self, after: int, at_most: int, *, but_not: Collection[int] = ()) -> list[Moved]:
        """What the log says of letters since then, oldest first."""
        lines = select(audit.c.seq, audit.c.at, audit.c.what, audit.c.detail, draft)
        lines = lines.join(draft, draft.c.id == audit.c.draft_id).where(audit.c.seq > after)
        rows = self._db.execute(lines.order_by(audit.c.seq).limit(at_most + len(but_not)))
        return [_moved(row) for row in rows if row.seq not in but_not][:at_most]


#: What is to be reviewed, as its indexes have it.
_TO_REVIEW = draft.c.state == literal_column(f"'{DraftState.HELD}'"), draft.c.held_until.is_(None)
_RECEIPT = inbound_event.c.source, inbound_event.c.event_id
_IS_OURS = sequence_version.c.name.not_like("relent:%")


def _is(state: DraftState) -> ColumnElement[bool]:
    """A literal: else no planner would be certain of the index."""
    return draft.c.state == literal_column(f"'{state}'")


def _cancelled(row: Any) -> bool:
    """A webhook: not the canary, and not what we found ourselves where nobody had told us."""
    told = not row.event_id.startswith((EVENT, _FOUND))
    return told and row.verdict.startswith("stopped: ") and not row.verdict.endswith(_NOTHING)


def _leaving(row: Row[Any]) -> Leaving:
    return Leaving(
        draft_id=row.id,
        enrollment_id=row.enrollment_id,
        inbox_id=row.inbox_id,
        email=row.to,
        subject=row.subject,
        send_at=row.send_at,
        state=row.state,
        wanted=bool(row.wanted),
    )


def _doubted(row: Row[Any]) -> Doubted:
    return Doubted(
        draft_id=row.id,
        enrollment_id=row.enrollment_id,
        inbox_id=row.inbox_id,
        email=row.to,
        subject=row.subject,
        message_id=row.message_id,
        carrier=row.carrier,
        gate_at=row.gate_at,
    )


def _moved(row: Row[Any]) -> Moved:
    reason = row.detail if row.detail in _REASONS else row.outcome
    return Moved(
        seq=row.seq,
        at=row.at,
        draft_id=row.id,
        state=row.state,
        what=row.what,
        why=reason if reason in _REASONS else None,
        enrollment_id=row.enrollment_id,
        email=row.to,
    )
