"""The shelf of what is planned: how much leaves on which day from which inbox, and the letters of one day."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Row,
    Select,
    case,
    exists,
    func,
    literal,
    literal_column,
    or_,
    select,
    tuple_,
    type_coerce,
)

from engine.addresses import CANARYS
from engine.states import DraftState, EnrollmentState, HoldReason
from engine.store.moves import Desk
from engine.store.tables import draft, enrollment, inbox, sequence_version

What = Literal["planned", "held", "left"]
#: Where a page of a day ended: the columns that it is sorted by.
Mark = tuple[int | str, ...]

#: What may have left counts as if it had.
_LEFT = [DraftState.RELEASING, DraftState.SENT, DraftState.UNCERTAIN]
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
_MOST_RANKS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What one inbox has on one day."""

    planned: int = 0  #: letters that leave by themselves
    paused: int = 0  #: that would, but for now nobody writes to these people
    held: int = 0  #: that wait for a human, or for somebody's return
    left: int = 0  #: that are gone

    @property
    def letters(self) -> int:
        """How many the day has, if nothing comes between."""
        return self.planned + self.held + self.left


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A letter of one day."""

    id: str
    inbox_id: str
    thread_id: str
    enrollment_id: str | None
    step: str
    state: DraftState
    send_at: datetime
    gate_at: datetime | None
    to: str
    subject: str
    reason: str
    outcome: str | None
    content_sha: str
    opener: bool
    sequence: str | None  #: None: no sequence made it
    version: str | None
    standing: str | None  #: of the person, in that sequence
    variables: dict[str, str] | None

    @property
    def paused(self) -> bool:
        """It has its hour, and will not leave then."""
        return self.standing == EnrollmentState.PAUSED


@dataclass(frozen=True, slots=True)
class Some:
    """Letters of a day, and where they go on; None: they do not."""

    items: list[Entry]
    next: Mark | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Hours:
    """Which letters are asked for: from this moment on and before that one, perhaps of one inbox."""

    begin: datetime
    end: datetime
    inbox_id: str | None = None


_OF_A_PERSON = {"sequence", "version", "standing", "variables"}
_ENTRY: list[ColumnElement[Any]] = [
    draft.c[name] for name in Entry.__dataclass_fields__ if name not in _OF_A_PERSON
]
_ENTRY += [enrollment.c.sequence, enrollment.c.version, enrollment.c.variables]
_ENTRY.append(enrollment.c.state.label("standing"))
_THEIRS = enrollment.c.id == draft.c.enrollment_id
_HOUR: ColumnElement[Any] = type_coerce(draft.c.send_at, BigInteger)
_GONE: ColumnElement[Any] = type_coerce(draft.c.gate_at, BigInteger)


class Agenda:
    """One transaction's look at it."""

    def __init__(self, desk: Desk) -> None:
        self._db = desk.db

    # --- how many ---

    def loads(self, edges: Sequence[datetime]) -> dict[str, tuple[Load, ...]]:
        """By inbox, what each day has; `edges`: where a day begins, and where the last one ends.

        One look each at what is planned, what is held and what has left. It takes longer, the more there is.
        """
        found: dict[str, list[Load]] = {}
        days = len(edges) - 1
        for name, rows in (
            ("planned", self._planned(edges)),
            ("held", self._held(edges)),
            ("left", self._gone(edges)),
        ):
            for inbox_id, day, is_paused, number in rows:
                loads = found.setdefault(inbox_id, [Load()] * days)
                which = "paused" if is_paused else name
                loads[day] = replace(loads[day], **{which: getattr(loads[day], which) + number})
        return {inbox_id: tuple(found[inbox_id]) for inbox_id in sorted(found)}

    def overdue(self, before: datetime) -> int:
        """Letters that wait for a yes, and whose hour has passed."""
        query = select(func.count()).select_from(draft)
        return self._db.scalar(query.where(*self._to_review(), _ours(), draft.c.send_at < before)) or 0

    def speaking(self) -> list[str]:
        """The sequences in which somebody stands now."""
        living = or_(
            enrollment.c.state == literal_column("'active'"), enrollment.c.state == literal_column("'paused'")
        )
        spoken_to = exists().where(enrollment.c.sequence == sequence_version.c.name, living)
        names = select(sequence_version.c.name).where(spoken_to).distinct()
        return sorted(self._db.scalars(names))

    def _planned(self, edges: Sequence[datetime]) -> Iterable[Any]:
        is_paused = func.coalesce(enrollment.c.state == EnrollmentState.PAUSED, literal_column("false"))
        query = self._counted(draft.c.send_at, edges, is_paused).outerjoin(enrollment, _THEIRS)
        return self._db.execute(query.where(_is(DraftState.SCHEDULED), _ours()))

    def _held(self, edges: Sequence[datetime]) -> Iterable[Any]:
        """Those that wait for a human; and those that wake by themselves, which are few."""
        query = self._counted(draft.c.send_at, edges, literal_column("false")).where(_ours())
        yield from self._db.execute(query.where(*self._to_review()))
        yield from self._db.execute(query.where(*_asleep()))

    def _gone(self, edges: Sequence[datetime]) -> Iterable[Any]:
        query = self._counted(draft.c.gate_at, edges, literal_column("false"))
        inboxes = select(inbox.c.id).where(inbox.c.id.not_in(CANARYS))
        return self._db.execute(query.where(draft.c.inbox_id.in_(inboxes), draft.c.state.in_(_LEFT)))

    def _counted(
        self, moment: ColumnElement[Any], edges: Sequence[datetime], mark: ColumnElement[Any]
    ) -> Select[Any]:
        """Days are counted as they are: one on which the clock is changed is no day of 24 hours."""
        day = case(*((moment < end, number) for number, end in enumerate(edges[1:])))
        query = select(draft.c.inbox_id, day.label("day"), mark.label("mark"), func.count())
        query = query.where(moment >= edges[0], moment < edges[-1])
        return query.select_from(draft).group_by(
            draft.c.inbox_id, literal_column("day"), literal_column("mark")
        )

    # --- which ---

    def letters(self, what: What, of: Hours, *, limit: int = 50, after: Mark | None = None) -> Some:
        """In the order of time; what has left by all inboxes, inbox by inbox."""
        match what:
            case "planned":
                return self._which_are_planned(of, limit, after)
            case "held":
                return self._which_are_held(of, limit, after)
            case "left":
                return self._which_left(of, limit, after)

    def _which_are_planned(self, of: Hours, limit: int, after: Mark | None) -> Some:
        """Of all inboxes in the order of the index of what is due: ten thousand may share one instant."""
        if of.inbox_id is not None:
            order: list[ColumnElement[Any]] = [_HOUR, draft.c.id]
        else:
            order = [_HOUR, draft.c.opener, draft.c.to, draft.c.id]
        where = _is(DraftState.SCHEDULED), *_within(draft.c.send_at, of)
        return self._some(select(*_ENTRY).where(*where), order, limit, after)

    def _which_are_held(self, of: Hours, limit: int, after: Mark | None) -> Some:
        """Two looks, each at an index of its own; then what comes first of both."""
        order: list[ColumnElement[Any]] = [_HOUR, draft.c.id]
        query = select(*_ENTRY).where(*_within(draft.c.send_at, of))
        parts = [
            self._some(each, order, limit, after)
            for each in (query.where(*self._to_review()), query.where(*_asleep()))
        ]
        items = sorted((each for part in parts for each in part.items), key=_by_hour)
        more = len(items) > limit or any(part.next for part in parts)
        shown = items[:limit]
        return Some(shown, _by_hour(shown[-1]) if more and shown else None)

    def _which_left(self, of: Hours, limit: int, after: Mark | None) -> Some:
        """One inbox after the other: so the index has them."""
        items: list[Entry] = []
        for inbox_id in self._that_sent(of, limit, str(after[0]) if after else ""):
            mark = after[1:] if after and after[0] == inbox_id else None
            where = draft.c.state.in_(_LEFT), *_within(draft.c.gate_at, replace(of, inbox_id=inbox_id))
            query = select(*_ENTRY).where(*where)
            found = self._some(query, [_GONE, draft.c.id], limit + 1 - len(items), mark)
            items += found.items
            if len(items) > limit:
                break
        shown = items[:limit]
        return Some(shown, _by_inbox(shown[-1]) if len(items) > limit else None)

    def _that_sent(self, of: Hours, at_most: int, first: str) -> list[str]:
        """The inboxes that anything left from."""
        if of.inbox_id is not None:
            return [of.inbox_id]
        gone = draft.c.inbox_id == inbox.c.id, draft.c.gate_at >= of.begin, draft.c.gate_at < of.end
        sent = exists().where(*gone, draft.c.state.in_(_LEFT))
        names = select(inbox.c.id).where(inbox.c.id >= first, inbox.c.id.not_in(CANARYS), sent)
        return list(self._db.scalars(names.order_by(inbox.c.id).limit(at_most + 1)))

    # --- how they are put together ---

    def _some(
        self, query: Select[Any], order: list[ColumnElement[Any]], limit: int, after: Mark | None
    ) -> Some:
        if after is not None:
            here = [literal(value, column.type) for value, column in zip(after, order, strict=True)]
            query = query.where(order[0] >= here[0], tuple_(*order) > tuple_(*here))
        marks = [column.label(f"_{number}") for number, column in enumerate(order)]
        query = query.outerjoin(enrollment, _THEIRS).add_columns(*marks).order_by(*order).limit(limit + 1)
        rows = self._db.execute(query).all()
        shown = rows[:limit]
        ends = [getattr(shown[-1], mark.name) for mark in marks] if len(rows) > limit else None
        return Some([_entry(row) for row in shown], tuple(map(_plain, ends)) if ends else None)

    def _to_review(self) -> tuple[ColumnElement[bool], ...]:
        """Spelt as the index of the review is, which begins with the rank: of those there are few."""
        waiting = _is(DraftState.HELD), self._awake()
        lowest, highest = (
            self._db.scalar(select(end(draft.c.rank)).where(*waiting)) or 0 for end in (func.min, func.max)
        )
        if highest - lowest >= _MOST_RANKS:
            return *waiting, _still_asked()
        return *waiting, _still_asked(), draft.c.rank.in_(range(lowest, highest + 1))

    def _awake(self) -> ColumnElement[bool]:
        """Until a human says something. That these are the most SQLite does not know, and looks for few elsewhere."""
        no_end: ColumnElement[bool] = draft.c.held_until.is_(None)
        if self._db.dialect.name != "sqlite":
            return no_end
        return func.likelihood(no_end, literal_column("0.99"))


def _is(state: DraftState) -> ColumnElement[bool]:
    """A literal, not a parameter: only so are SQLite and PostgreSQL certain of the partial index."""
    return draft.c.state == literal_column(f"'{state}'")


def _still_asked() -> ColumnElement[bool]:
    """What a human refused waits for nobody's yes: the review does not show it either."""
    return func.coalesce(draft.c.outcome, "") != literal_column(f"'{HoldReason.REJECTED}'")


def _asleep() -> tuple[ColumnElement[bool], ...]:
    """They wake by themselves."""
    return _is(DraftState.HELD), draft.c.held_until > _LONG_AGO


def _ours() -> ColumnElement[bool]:
    """The canary is nobody whom people write to. Said so that nobody looks for it by the inbox."""
    return (draft.c.inbox_id + "").not_in(CANARYS)


def _within(moment: ColumnElement[Any], of: Hours) -> Collection[ColumnElement[bool]]:
    mine = _ours() if of.inbox_id is None else draft.c.inbox_id == of.inbox_id
    return mine, moment >= of.begin, moment < of.end


def _entry(row: Row[Any]) -> Entry:
    fields = {name: getattr(row, name) for name in Entry.__dataclass_fields__}
    return Entry(**fields | {"state": DraftState(row.state)})


def _by_hour(entry: Entry) -> Mark:
    return _milliseconds(entry.send_at), entry.id


def _by_inbox(entry: Entry) -> Mark:
    return entry.inbox_id, _milliseconds(entry.gate_at or entry.send_at), entry.id


def _milliseconds(at: datetime) -> int:
    return round(at.timestamp() * 1000)


def _plain(value: Any) -> int | str:
    return value if isinstance(value, str) else int(value)
