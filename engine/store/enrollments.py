"""The enrollments' shelf: who stands where, in which version of which sequence."""

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import Row, select, update

from engine.model import Enrollment
from engine.sequence import Sequence
from engine.states import FINISH, PAUSE, RESUME, STOP, EnrollmentState
from engine.store.moves import Desk
from engine.store.tables import enrollment, sequence_version

_FIELDS = [enrollment.c[name] for name in Enrollment.__dataclass_fields__]

_read: dict[str, Sequence] = {}


def _record(row: Row[Any]) -> Enrollment:
    fields = {name: getattr(row, name) for name in Enrollment.__dataclass_fields__}
    return Enrollment(**fields | {"state": EnrollmentState(row.state)})


class Enrollments:
    """One transaction's hands on the enrollments."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._db = desk.db

    def paused(self, contact: str) -> list[Enrollment]:
        found = select(*_FIELDS).where(
            enrollment.c.contact == contact, enrollment.c.state == EnrollmentState.PAUSED
        )
        return [_record(row) for row in self._db.execute(found.order_by(enrollment.c.id))]

    def living_at(self, key: str) -> list[str]:
        """Everybody at this address, or at this domain, whom a sequence speaks to now."""
        theirs = (
            enrollment.c.contact == key
            if "@" in key
            else enrollment.c.contact.endswith(f"@{key}", autoescape=True)
        )
        living = enrollment.c.state.in_(sorted(STOP.sources))
        return list(self._db.scalars(select(enrollment.c.contact).where(theirs, living).distinct()))

    def keep_version(self, sequence: Sequence) -> None:
        self._desk.insert_once(
            sequence_version,
            id=sequence.version,
            name=sequence.name,
            body=sequence.dump(),
            created_at=self._desk.now,
        )

    def version(self, version: str) -> Sequence:
        """It is named by what it says, so whoever has read it once need not ask again."""
        if version not in _read:
            body = self._db.scalar(select(sequence_version.c.body).where(sequence_version.c.id == version))
            _read[version] = Sequence.model_validate(body)
        return _read[version]

    def add(self, new: Enrollment) -> bool:
        """False: somebody enrolled the same person at the same moment."""
        values = {name: getattr(new, name) for name in Enrollment.__dataclass_fields__}
        values |= {"created_at": self._desk.now, "updated_at": self._desk.now}
        made = self._desk.insert_once(enrollment, **values)
        self._desk.note(enrollment, "create", made, new.reason)
        return bool(made)

    def of(self, sequence: str, contact: str) -> Enrollment | None:
        """This person's latest life in this sequence."""
        found = (
            select(*_FIELDS)
            .where(enrollment.c.sequence == sequence, enrollment.c.contact == contact)
            .order_by(enrollment.c.created_at.desc())
            .limit(1)
        )
        row = self._db.execute(found).one_or_none()
        return None if row is None else _record(row)

    def lock(self, enrollment_id: str) -> Enrollment:
        """Read it, and let nobody stop it until this transaction is over. The thread is locked before."""
        found = select(*_FIELDS).where(enrollment.c.id == enrollment_id).with_for_update()
        return _record(self._db.execute(found).one())

    def pause(self, which: Collection[str], reason: str) -> None:
        """A human has to look."""
        self._desk.move(enrollment, PAUSE, enrollment.c.id.in_(which), why=reason, reason=reason)

    def lock_all(self, which: Collection[str]) -> None:
        """No next step is made for any of them meanwhile."""
        locked = select(enrollment.c.id).where(enrollment.c.id.in_(which)).order_by(enrollment.c.id)
        self._db.execute(locked.with_for_update()).all()

    def resume(self, waiting: Enrollment, *, variables: Mapping[str, str], version: str) -> bool:
        """What it waited for is here."""
        moved = self._desk.move(
            enrollment,
            RESUME,
            enrollment.c.id == waiting.id,
            why="it goes on",
            reason=None,
            variables=dict(variables),
            version=version,
        )
        return bool(moved)

    def speak_in(self, speaking: Enrollment, thread_id: str) -> None:
        """A new subject, a new thread."""
        self._db.execute(update(enrollment).where(enrollment.c.id == speaking.id).values(thread_id=thread_id))

    def finish(self, done: Enrollment) -> None:
        self._desk.move(enrollment, FINISH, enrollment.c.id == done.id, why="everything was said")

    def stop(self, which: Collection[str], reason: str) -> list[str]:
        """Whoever was active or paused, and is not any more."""
        stopped = self._desk.move(enrollment, STOP, enrollment.c.id.in_(which), why=reason, reason=reason)
        return [row.id for row in stopped]
