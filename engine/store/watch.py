"""The watch: the brake of the whole house, and the signs by which its parts show that they are alive."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, delete, func, insert, literal, or_, select, update

from engine.store.moves import Desk
from engine.store.tables import UtcDateTime, audit, draft, inbox, instance, sign

_TURN = "turn/"
_RELEASED = "released"


@dataclass(frozen=True, slots=True)
class Brake:
    """Nothing leaves while somebody, or something, stands on it."""

    why: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Sign:
    """Somebody was here, and what they had to say."""

    name: str
    at: datetime
    says: Mapping[str, Any]


_RATION = "ration"
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
_ALIVE = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Ration:
    """A share of so many letters a minute. Time that nobody used is not saved up: not for more than a second."""

    letters: int  #: that may be taken now
    each: timedelta
    used_until: datetime

    @classmethod
    def of(cls, a_minute: int, used_until: datetime, now: datetime) -> "Ration":
        each = timedelta(minutes=1) / a_minute
        at_once = max(1, a_minute // 60)
        # an hour that is still far away is a clock's that was wrong
        begin = max(used_until, now - at_once * each) if used_until <= now + timedelta(minutes=1) else now
        return cls(max(0, (now - begin) // each), each, begin)


def nobody_brakes() -> ColumnElement[bool]:
    """For the claim and for the gate: one row, looked at by its key."""
    return ~select(instance.c.id).where(instance.c.id == 1, instance.c.braked_at.is_not(None)).exists()


def drift(signs: Iterable[Sign]) -> dict[str, float]:
    """What reconciliation found, by kind: `drift/labels` says how many, or `drift` says it of all kinds at once."""
    found: dict[str, float] = {}
    for each in signs:
        beginning, _, kind = each.name.partition("/")
        if beginning != "drift":
            continue
        if kind and (number := _a_number(each.says.get("number"))) is not None:
            found[kind] = number
        elif not kind:
            found |= {
                name: number for name, said in each.says.items() if (number := _a_number(said)) is not None
            }
    return found


def workers(signs: Iterable[Sign], now: datetime) -> list[Sign]:
    """Those that were seen of late."""
    return [each for each in signs if each.name.startswith("worker/") and now - each.at <= _ALIVE]


def _a_number(said: object) -> float | None:
    return float(said) if isinstance(said, int | float) and not isinstance(said, bool) else None


class Watch:
    """One transaction's look at how the house fares."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._db = desk.db

    # --- the brake ---

    def brake(self, why: str, *, firmly: bool = False, since: datetime | None = None) -> bool:
        """False: somebody stands on it already, and their reason stays.

        `firmly`: this reason takes the place of theirs, so that nobody releases it with them. `since`: it was on before.
        """
        free = instance.c.braked_why.is_distinct_from(why) if firmly else instance.c.braked_at.is_(None)
        at = func.coalesce(instance.c.braked_at, literal(since or self._desk.now, UtcDateTime))
        put_on = update(instance).where(instance.c.id == 1, free).values(braked_at=at, braked_why=why)
        return self._noted("brake", why, bool(self._db.execute(put_on.returning(instance.c.id)).all()))

    def release(self, why: str, *, only: str = "") -> bool:
        """False: nobody stood on it; or nobody whose reason begins so: those take off what they put on, and know of nothing else."""
        held = instance.c.id == 1, instance.c.braked_at.is_not(None)
        theirs = instance.c.braked_why.startswith(only, autoescape=True)
        taken_off = update(instance).where(*held, theirs).values(braked_at=None, braked_why=None)
        done = bool(self._db.execute(taken_off.returning(instance.c.id)).all())
        if done and not only:
            self.sign(_RELEASED, why=why)
        return self._noted("release", why, done)

    def braked(self) -> Brake | None:
        row = self._db.execute(select(instance.c.braked_why, instance.c.braked_at)).one()
        return None if row.braked_at is None else Brake(row.braked_why, row.braked_at)

    def released_at(self) -> datetime | None:
        """When a human last said that it may go on. What was known before then was known to them."""
        found: datetime | None = self._db.scalar(select(sign.c.at).where(sign.c.name == _RELEASED))
        return found

    def _noted(self, what: str, why: str, done: bool) -> bool:
        if done:
            line = {"at": self._desk.now, "actor": self._desk.by, "what": f"house: {what}", "detail": why}
            self._db.execute(insert(audit), [line])
        return done

    # --- not too many at once ---

    def ration(self, a_minute: int) -> Ration:
        """How many letters may be taken now. Nobody else may count on the same until this transaction is over."""
        self._desk.insert_once(sign, name=_RATION, at=_LONG_AGO, says={})
        used = self._db.scalars(select(sign.c.at).where(sign.c.name == _RATION).with_for_update()).one()
        return Ration.of(a_minute, used, self._desk.now)

    def use(self, ration: Ration, letters: int) -> None:
        used = ration.used_until + letters * ration.each
        self._db.execute(update(sign).where(sign.c.name == _RATION).values(at=used))

    # --- does anything leave? ---

    def first_letter_after(self, moment: datetime, *, but_not_by: str) -> datetime | None:
        """When the first of them left; an inbox after the other, because so their index has it."""
        left = (
            select(draft.c.gate_at)
            .where(
                draft.c.inbox_id == inbox.c.id,
                draft.c.gate_at.is_not(None),
                draft.c.gate_at > moment,
                draft.c.carrier != but_not_by,
            )
            .order_by(draft.c.gate_at)
            .limit(1)
            .scalar_subquery()
        )
        first: datetime | None = self._db.scalar(select(func.min(left)).select_from(inbox))
        return first

    # --- which database is this? ---

    def boot(self) -> str | None:
        """What was written here when it was last opened; and beside it, if it is still the same one."""
        return self._db.scalar(select(instance.c.boot))

    def reboot(self, boot: str) -> None:
        self._db.execute(update(instance).values(boot=boot))

    # --- signs of life ---

    def sign(self, name: str, **says: Any) -> None:
        """The latest one stands."""
        now = self._desk.now
        if not self._desk.insert_once(sign, name=name, at=now, says=says):
            self._db.execute(update(sign).where(sign.c.name == name).values(at=now, says=says))

    def signs(self, beginning: str = "") -> list[Sign]:
        found = select(sign).where(sign.c.name.startswith(beginning, autoescape=True)).order_by(sign.c.name)
        return [Sign(row.name, row.at, row.says) for row in self._db.execute(found)]

    def last(self, name: str, *, to_change: bool = False) -> Sign | None:
        """This one alone. `to_change`: nobody else gives it until this transaction is over."""
        found = select(sign).where(sign.c.name == name)
        row = self._db.execute(found.with_for_update() if to_change else found).one_or_none()
        return None if row is None else Sign(row.name, row.at, row.says)

    def unsign(self, name: str) -> None:
        self._db.execute(delete(sign).where(sign.c.name == name))

    def fade(self, beginning: str, before: datetime) -> None:
        """Of whoever has given none for so long nobody needs to know any more."""
        old = sign.c.name.startswith(beginning, autoescape=True), sign.c.at < before
        self._db.execute(delete(sign).where(*old))

    def turn(self, what: str, every: timedelta) -> bool:
        """Is it time for this once more? Of many who ask, one hears yes."""
        now, name = self._desk.now, _TURN + what
        if self._desk.insert_once(sign, name=name, at=now, says={}):
            return True
        # a clock that was set back must not make everybody wait for the hour that it showed
        due = or_(sign.c.at <= now - every, sign.c.at > now + every)
        taken = update(sign).where(sign.c.name == name, due).values(at=now)
        return bool(self._db.execute(taken.returning(sign.c.name)).all())
