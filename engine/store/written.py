"""The shelf of drafts as their authors see them: written, changed, listed, found by the name that somebody gave them."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    FromClause,
    Row,
    Text,
    and_,
    delete,
    false,
    func,
    insert,
    literal,
    literal_column,
    not_,
    select,
    true,
    type_coerce,
    update,
)

from engine.consent import Held, Stage
from engine.model import Draft
from engine.states import (
    HOLD,
    REDATE,
    REWORDABLE,
    SCHEDULE,
    TAKE,
    UNSCHEDULE,
    WITHDRAW,
    DraftState,
    HoldReason,
    Move,
)
from engine.store.drafts import NOBODYS, record, values
from engine.store.moves import Desk
from engine.store.pages import Page, Slice, page
from engine.store.tables import UtcDateTime, audit, draft, draft_label, idempotency, inbox, message

#: Labels that are no more than another word for a state.
_STATES = {"scheduled": DraftState.SCHEDULED, "held": DraftState.HELD}
#: Spelt as the partial indices are: only so are SQLite and PostgreSQL certain of them.
_SHOWN: ColumnElement[bool] = draft.c.state.not_in(
    [literal_column(f"'{DraftState.SENT}'"), literal_column(f"'{DraftState.CANCELLED}'")]
)
#: Whether there are more than these does not matter.
_MANY = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Filed:
    """A draft, and when its author made and changed it."""

    draft: Draft
    created_at: datetime
    edited_at: datetime
    moved_at: datetime  #: when anybody last did anything with it


@dataclass(frozen=True, slots=True, kw_only=True)
class Which:
    """Whose drafts are asked for, and which of them."""

    inbox_id: str | None = None
    pod_id: str | None = None
    labels: tuple[str, ...] = ()  #: all of them
    before: datetime | None = None
    after: datetime | None = None


@dataclass(frozen=True, slots=True)
class Deed:
    """Somebody did something."""

    by: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Reserved:
    """What was asked for under a key."""

    request_sha: str
    draft_id: str


def _apart(column: ColumnElement[str]) -> ColumnElement[str]:
    """Spelt as the index by birth is: a plain one SQLite would take also where a letter is claimed, and sort all that wait."""
    return literal_column(f"(draft.{column.key} || '')", Text)


def _yes_of(written: Draft, by: str) -> dict[str, str]:
    """Whoever lets it go says yes, unless a human has."""
    if written.asked_at is not None and written.approved_sha == written.content_sha:
        return {}
    return {"approved_sha": written.content_sha, "approved_by": by}


@dataclass(frozen=True, slots=True)
class _Trail:
    """Drafts in the order of their last change, as one index has them."""

    label: str | None
    table: FromClause
    id: ColumnElement[str]
    order: ColumnElement[int]  #: spelt as the index is
    where: ColumnElement[bool]

    @property
    def inbox_id(self) -> ColumnElement[str]:
        return self.table.c.inbox_id

    @property
    def moment(self) -> ColumnElement[int]:
        return type_coerce(self.table.c.edited_at, BigInteger)


def _trail(label: str | None, which: Which, *, again: bool = False) -> _Trail:
    """Of all drafts, of those in a state, or of those that somebody calls so; in an inbox or everywhere.

    `again`: beside one that is walked already, so that its inbox is known.
    """
    named = label is not None and label not in _STATES
    table: FromClause = draft_label if named else draft
    table = table.alias() if again else table
    moment = type_coerce(table.c.edited_at, BigInteger)
    if named:
        return _Trail(label, table, table.c.draft_id, moment, table.c.label == label)
    where = true() if label is None else _is(table, _STATES[label])
    if again or which.inbox_id is not None:
        return _Trail(label, table, table.c.id, moment, where)
    if label is not None:
        where = _apart(draft.c.state) == literal_column(f"'{_STATES[label]}'")
    return _Trail(label, table, table.c.id, literal_column("draft.edited_at + 0", BigInteger), where)


def _is_called(label: str, lead: _Trail, which: Which) -> ColumnElement[bool]:
    """Asked of an index alone, and nearby in it. By its id alone it would be looked for all over the table."""
    if label in _STATES and lead.table is draft:
        return _is(draft, _STATES[label])
    other = _trail(label, which, again=True)
    here = other.inbox_id == lead.inbox_id, other.moment == lead.moment, other.id.concat("") == lead.id
    # the offset is for PostgreSQL: it shall ask for each, and not join two walks through everything
    return select(other.id).where(other.where, *here).offset(0).exists()


def _is(which: FromClause, state: DraftState) -> ColumnElement[bool]:
    """Spelt as the partial indices are."""
    is_so: ColumnElement[bool] = which.c.state == literal_column(f"'{state}'")
    return is_so


def _at(stage: Stage) -> tuple[ColumnElement[bool], ...]:
    """How far it has come, as `engine/consent.py` has it."""
    if isinstance(stage, DraftState):
        return (_apart(draft.c.state) == stage,)
    held = _apart(draft.c.state) == DraftState.HELD
    said_no = func.coalesce(draft.c.outcome == HoldReason.REJECTED, false())
    has_its_yes = func.coalesce(draft.c.approved_sha == draft.c.content_sha, false())
    asleep = and_(has_its_yes, draft.c.held_until.is_not(None))
    match stage:
        case Held.REJECTED:
            return held, said_no
        case Held.SUBMITTED:
            return held, not_(said_no), not_(asleep)
        case Held.ASLEEP:
            return held, not_(said_no), asleep


def _asked(which: Which, trail: _Trail) -> list[ColumnElement[bool]]:
    """The moments are asked for as the index spells them: else it is read from its beginning."""
    asked: list[ColumnElement[bool]] = []
    if which.inbox_id is not None:
        asked.append(trail.inbox_id == which.inbox_id)
    if which.pod_id is not None:
        # in no index's words: SQLite would read all that these inboxes have, and sort it
        here = func.coalesce(trail.inbox_id, "")
        asked.append(here.in_(select(inbox.c.id).where(inbox.c.pod_id == which.pod_id)))
    if which.before is not None:
        asked.append(trail.order < literal(which.before, UtcDateTime()))
    if which.after is not None:
        asked.append(trail.order > literal(which.after, UtcDateTime()))
    return asked


def _filed(row: Row[Any]) -> Filed:
    return Filed(
        draft=record(row), created_at=row.created_at, edited_at=row.edited_at, moved_at=row.updated_at
    )


def _follows_up_in(threads: Collection[str]) -> tuple[ColumnElement[bool], ...]:
    """It answers a letter of ours, and no sequence made it."""
    own = select(message.c.message_id).where(
        message.c.inbox_id == draft.c.inbox_id,
        message.c.message_id == draft.c.in_reply_to,
        message.c.direction == "sent",
    )
    return draft.c.thread_id.in_(threads), draft.c.enrollment_id.is_(None), own.exists()


class Written:
    """One transaction's hands on them."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._db = desk.db

    # --- made and found ---

    def make(self, new: Draft) -> bool:
        """False: the name that its author gave it is taken. A twin that is just being made is waited for."""
        times: dict[str, Any] = dict.fromkeys(("created_at", "updated_at", "edited_at"), self._desk.now)
        rows = self._desk.insert_once(draft, **values(new), **times)
        self._desk.note(draft, "write", rows)
        if rows:
            self._file_under(new)
        return bool(rows)

    def get(self, draft_id: str) -> Filed | None:
        return self._one(draft.c.id == draft_id)

    def called(self, inbox_id: str, client_id: str) -> Filed | None:
        """By the name that its author gave it; also what has had its end."""
        return self._one(draft.c.inbox_id == inbox_id, draft.c.client_id == client_id)

    def page_of(self, which: Which, part: Slice) -> Page[Filed]:
        """The one that was changed last comes first."""
        if len(_STATES.keys() & set(which.labels)) > 1:  # a draft is in one state
            return Page([], None)
        lead = self._rarest(which)
        others = [_is_called(label, lead, which) for label in which.labels if label != lead.label]
        query = select(draft).where(_SHOWN, lead.where, *_asked(which, lead), *others)
        if lead.table is not draft:
            query = query.join(lead.table, lead.id == draft.c.id)
        whole = lead.table is draft and which.inbox_id is None
        return page(self._db, query, lead.order, lead.id, part, read=_filed, expression=whole)

    def every(
        self,
        part: Slice,
        *,
        stages: Collection[Stage] = (),
        thread_id: str | None = None,
        inbox_id: str | None = None,
        pod_id: str | None = None,
    ) -> Page[Filed]:
        """Also those that have had their end. Who was born last comes first: an id sorts by birth."""
        gone = select(inbox.c.id).where(inbox.c.id == draft.c.inbox_id, inbox.c.deleted_at.is_not(None))
        query = select(draft).where(~gone.exists()).order_by(draft.c.id.desc()).limit(part.limit + 1)
        if part.after is not None:
            query = query.where(draft.c.id < part.after[1])
        if thread_id is not None:
            query = query.where(draft.c.thread_id == thread_id)
        if inbox_id is not None:
            query = query.where(_apart(draft.c.inbox_id) == inbox_id)
        if pod_id is not None:
            theirs = select(inbox.c.id).where(inbox.c.pod_id == pod_id)
            query = query.where(_apart(draft.c.inbox_id).in_(theirs))
        # a state at a time, for then an index has each of them in order
        each = [query.where(*_at(stage)) for stage in sorted(stages)] or [query]
        rows = [row for one in each for row in self._db.execute(one)]
        rows.sort(key=lambda row: row.id, reverse=True)
        shown = rows[: part.limit]
        more = len(rows) > part.limit
        return Page([_filed(row) for row in shown], (shown[-1].id, shown[-1].id) if more else None)

    def signed(self, drafts: Collection[str]) -> dict[str, dict[str, Deed]]:
        """What was done with each of them, and by whom: the last time, by the name of what was done."""
        lines = select(audit.c.draft_id, audit.c.what, audit.c.actor, audit.c.at)
        found: dict[str, dict[str, Deed]] = {each: {} for each in drafts}
        for row in self._db.execute(lines.where(audit.c.draft_id.in_(drafts)).order_by(audit.c.seq)):
            found[row.draft_id][row.what.partition(": ")[2]] = Deed(row.actor, row.at)
        return found

    def last_deed(self, draft_id: str) -> Deed | None:
        """What was done with it last, and by whom."""
        lines = select(audit.c.actor, audit.c.at).where(audit.c.draft_id == draft_id)
        row = self._db.execute(lines.order_by(audit.c.seq.desc()).limit(1)).one_or_none()
        return None if row is None else Deed(row.actor, row.at)

    def _rarest(self, which: Which) -> "_Trail":
        """The label that the fewest bear: whatever leads is looked at one by one until the page is full."""
        trails = [_trail(label, which) for label in which.labels]
        if len(trails) < 2:
            return trails[0] if trails else _trail(None, which)
        return min(trails, key=lambda each: self._length(each, which))

    def _length(self, trail: "_Trail", which: Which) -> int:
        some = select(trail.id).where(trail.where, *_asked(which, trail)).order_by(trail.order).limit(_MANY)
        return self._db.scalar(select(func.count()).select_from(some.subquery())) or 0

    def _one(self, *where: ColumnElement[bool]) -> Filed | None:
        row = self._db.execute(select(draft).where(*where)).one_or_none()
        return None if row is None else _filed(row)

    # --- changed. The caller has locked its thread ---

    def rewrite(self, old: Draft, new: Draft) -> bool:
        """Other words for the same draft. False: it is not what it was, or nobody may change it any more."""
        fields = {
            name: value
            for name, value in values(new).items()
            if name not in {"id", "state", "send_at", "message_id"}
            and getattr(old, name) != getattr(new, name)
        }
        changed = (
            update(draft)
            .where(
                draft.c.id == old.id,
                draft.c.state.in_(sorted(REWORDABLE)),
                draft.c.content_sha == old.content_sha,
            )
            .values(**fields, edited_at=self._desk.now, updated_at=self._desk.now)
            .returning(*draft.c)
        )
        rows = self._db.execute(changed).all()
        self._desk.note(draft, "rewrite", rows)
        if rows:
            self._file_under(new)
        return bool(rows)

    def schedule(self, written: Draft, send_at: datetime, *, by: str) -> bool:
        """An hour is a yes: whoever gives it may say so. A human's stays a human's."""
        move = REDATE if written.state == DraftState.SCHEDULED else SCHEDULE
        more: dict[str, Any] = NOBODYS | {"attempt": 0} if move is SCHEDULE else {}
        yes = _yes_of(written, by)
        return self._move(move, written, send_at=send_at, hour_by=None, outcome=None, **yes, **more)

    def unschedule(self, waiting: Draft, never: datetime) -> bool:
        """And without a human's yes, if it had one: that was to a letter with an hour."""
        none = dict.fromkeys(("approved_head", "approved_name", "approved_until", "hour_by", "yes_by"))
        if waiting.asked_at is not None:
            none |= {"approved_sha": None, "approved_by": None}
        return self._move(
            UNSCHEDULE, waiting, send_at=never, outcome=None, held_until=None, **none, **NOBODYS
        )

    def take(self, written: Draft, *, token: str, owner: str, lease: timedelta, by: str) -> Draft | None:
        """Into the hands of whoever asks for it now. None: somebody was faster."""
        rows = self._desk.move(
            draft,
            TAKE,
            draft.c.id == written.id,
            draft.c.enrollment_id.is_(None),
            draft.c.content_sha == written.content_sha,
            draft.c.recalled.is_(None),
            send_at=self._desk.now,
            **_yes_of(written, by),
            held_until=None,
            outcome=None,
            attempt=1,
            claim_token=token,
            claim_owner=owner,
            lease_until=self._desk.now + lease,
            room_until=None,
        )
        return record(rows[0]) if rows else None

    def hold_answered(self, threads: Collection[str]) -> list[str]:
        """What waits in these conversations to follow up on a letter of ours, and bears no label. Somebody has answered."""
        rows = self._desk.move(
            draft,
            HOLD,
            *_follows_up_in(threads),
            draft.c.state != DraftState.HELD,
            why=HoldReason.ANSWERED,
            outcome=HoldReason.ANSWERED,
            held_until=None,
            **NOBODYS,
        )
        return [row.id for row in rows]

    def recall_answered(self, threads: Collection[str]) -> list[str]:
        """The same for those past the gate: they must not be put back. Which of them nobody has seen land."""
        rows = self._db.execute(
            update(draft)
            .where(*_follows_up_in(threads), draft.c.state.in_(sorted(WITHDRAW.sources)))
            .values(recalled=HoldReason.ANSWERED)
            .returning(draft.c.id, draft.c.state)
        )
        return [row.id for row in rows if row.state == DraftState.RELEASING]

    def in_the_air(self, threads: Collection[str]) -> list[str]:
        """What was called back there too late, whether or not a label named it."""
        leaving = draft.c.state == DraftState.RELEASING, draft.c.recalled.is_not(None)
        return list(self._db.scalars(select(draft.c.id).where(draft.c.thread_id.in_(threads), *leaving)))

    def _move(self, move: Move, written: Draft, **more: Any) -> bool:
        moved = self._desk.move(
            draft,
            move,
            draft.c.id == written.id,
            draft.c.content_sha == written.content_sha,
            edited_at=self._desk.now,
            **more,
        )
        if moved:
            self._file_under(written)
        return bool(moved)

    def _file_under(self, new: Draft) -> None:
        """Its labels, as they are asked for; sorted by the same moment as itself."""
        self._db.execute(delete(draft_label).where(draft_label.c.draft_id == new.id))
        rows = [
            {"draft_id": new.id, "label": label, "inbox_id": new.inbox_id, "edited_at": self._desk.now}
            for label in new.labels
        ]
        if rows:
            self._db.execute(insert(draft_label), rows)

    # --- asked for once ---

    def reserve(self, key: str, request_sha: str, draft_id: str) -> bool:
        """False: the key was used before. A twin that is just being made is waited for."""
        made = self._desk.insert_once(
            idempotency, key=key, request_sha=request_sha, draft_id=draft_id, created_at=self._desk.now
        )
        return bool(made)

    def reserved(self, key: str) -> Reserved | None:
        found = select(idempotency.c.request_sha, idempotency.c.draft_id).where(idempotency.c.key == key)
        row = self._db.execute(found).one_or_none()
        return None if row is None else Reserved(row.request_sha, row.draft_id)

    def forget_keys(self, before: datetime, at_most: int) -> None:
        old = select(idempotency.c.key).where(idempotency.c.created_at < before).limit(at_most)
        self._db.execute(delete(idempotency).where(idempotency.c.key.in_(old)))
