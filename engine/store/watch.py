"""The watch: the brake of the whole house, and the signs by which its parts show that they are alive."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, delete, insert, select, update

from engine.store.moves import Desk
from engine.store.tables import audit, instance, sign


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


def nobody_brakes() -> ColumnElement[bool]:
    """For the claim and for the gate: one row, looked at by its key."""
    return ~select(instance.c.id).where(instance.c.id == 1, instance.c.braked_at.is_not(None)).exists()


class Watch:
    """One transaction's look at how the house fares."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._db = desk.db

    # --- the brake ---

    def brake(self, why: str) -> bool:
        """False: somebody stands on it already, and their reason stays."""
        free = instance.c.id == 1, instance.c.braked_at.is_(None)
        put_on = update(instance).where(*free).values(braked_at=self._desk.now, braked_why=why)
        return self._noted("brake", why, bool(self._db.execute(put_on.returning(instance.c.id)).all()))

    def release(self, why: str) -> bool:
        """False: nobody stood on it."""
        held = instance.c.id == 1, instance.c.braked_at.is_not(None)
        taken_off = update(instance).where(*held).values(braked_at=None, braked_why=None)
        return self._noted("release", why, bool(self._db.execute(taken_off.returning(instance.c.id)).all()))

    def braked(self) -> Brake | None:
        row = self._db.execute(select(instance.c.braked_why, instance.c.braked_at)).one()
        return None if row.braked_at is None else Brake(row.braked_why, row.braked_at)

    def _noted(self, what: str, why: str, done: bool) -> bool:
        if done:
            line = {"at": self._desk.now, "actor": self._desk.by, "what": f"house: {what}", "detail": why}
            self._db.execute(insert(audit), [line])
        return done

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

    def unsign(self, name: str) -> None:
        self._db.execute(delete(sign).where(sign.c.name == name))
