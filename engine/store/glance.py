"""How things stand, at a glance: from indexes alone, and no longer a look for a million drafts than for ten thousand."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, exists, func, literal_column, or_, select, text

from engine.states import DraftState
from engine.store.moves import Desk
from engine.store.tables import draft, enrollment
from engine.store.watch import Brake, Sign, Watch

#: Nobody counts further: whoever hears of so many knows enough.
MOST = 100_000
_LOOKED_AT = 1_000
_LATE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What is to be done, what is being done, and what nobody knows."""

    due: int  #: their hour has come
    late: int  #: a minute ago, or more
    oldest_due: datetime | None  #: the hour of the one that waits longest
    in_flight: int  #: in somebody's hands: claimed, or past the gate
    uncertain: int  #: they may have left
    braked: Brake | None
    signs: tuple[Sign, ...]


class Glance:
    """One transaction's look."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._db = desk.db

    def standing(self, *, at_most: timedelta = timedelta(seconds=2)) -> Standing:
        """Whoever asks every few seconds must not become a burden: past `at_most` PostgreSQL gives up."""
        self._hurry(at_most)
        now = self._desk.now
        hours, unwanted = self._first_due()
        number, late = self._due(now), self._due(now - _LATE)
        wanted = [hour for hour, is_wanted in hours if is_wanted]
        beyond = hours[-1][0] if number > len(hours) else None
        watch = Watch(self._desk)
        return Standing(
            due=max(number - len(unwanted), 0),
            late=max(late - sum(hour < now - _LATE for hour in unwanted), 0),
            oldest_due=wanted[0] if wanted else beyond,
            in_flight=self._number(_is(DraftState.CLAIMED), draft.c.lease_until > _ALWAYS)
            + self._number(_is(DraftState.RELEASING), draft.c.gate_at > _ALWAYS),
            uncertain=self._number(_is(DraftState.UNCERTAIN), draft.c.id > ""),
            braked=watch.braked(),
            signs=tuple(watch.signs()),
        )

    def by_state(self, *, at_most: timedelta = timedelta(seconds=30)) -> Mapping[str, int]:
        """How many drafts there are in each state. This one does take longer, the more there are."""
        self._hurry(at_most)
        state: ColumnElement[str] = literal_column(
            "(state || '')"
        )  # in the order of an index: a million are counted in a walk
        rows = self._db.execute(select(state, func.count()).select_from(draft).group_by(state))
        counted = {row[0]: row[1] for row in rows}
        return {each: counted.get(each, 0) for each in DraftState}

    def _hurry(self, at_most: timedelta) -> None:
        if self._db.dialect.name == "postgresql":
            self._db.execute(text(f"SET LOCAL statement_timeout = {int(at_most.total_seconds() * 1000)}"))

    def _first_due(self) -> tuple[list[tuple[datetime, bool]], list[datetime]]:
        """The hours of those that wait longest, and whether anybody still wants them said; of those not wanted, alone.

        The drafts of somebody who is paused stay where they are. They are not late, and there are few of them.
        """
        first = (
            select(draft.c.send_at, draft.c.enrollment_id)
            .where(*_scheduled_by(self._desk.now))
            .order_by(draft.c.send_at)
            .limit(_LOOKED_AT)
            .subquery()
        )
        active = exists().where(enrollment.c.id == first.c.enrollment_id, enrollment.c.state == "active")
        wanted = or_(first.c.enrollment_id.is_(None), active)
        rows = self._db.execute(select(first.c.send_at, wanted.label("wanted")).order_by(first.c.send_at))
        hours = [(row.send_at, bool(row.wanted)) for row in rows]
        return hours, [hour for hour, is_wanted in hours if not is_wanted]

    def _due(self, moment: datetime) -> int:
        return self._bounded(select(draft.c.send_at).where(*_scheduled_by(moment)))

    def _number(self, *where: ColumnElement[bool]) -> int:
        return self._bounded(select(literal_column("1")).select_from(draft).where(*where))

    def _bounded(self, query: Select[Any]) -> int:
        return self._db.scalar(select(func.count()).select_from(query.limit(MOST).subquery())) or 0


#: Says nothing, but that the column's own index may be used: SQLite would walk through a larger one.
_ALWAYS = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


def _is(state: DraftState) -> ColumnElement[bool]:
    return draft.c.state == literal_column(f"'{state}'")


def _scheduled_by(moment: datetime) -> tuple[ColumnElement[bool], ...]:
    return _is(DraftState.SCHEDULED), draft.c.send_at <= moment
