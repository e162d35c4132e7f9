"""The enrollments' shelf: who stands where, in which version of which sequence."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Row,
    Text,
    bindparam,
    case,
    func,
    literal_column,
    or_,
    select,
    update,
)

from engine.ids import answer_label
from engine.model import Enrollment
from engine.sequence import Sequence
from engine.states import (
    FINISH,
    PAUSE,
    RESUME,
    STOP,
    DraftState,
    EnrollmentState,
    HoldReason,
    StopReason,
)
from engine.store.moves import Desk
from engine.store.prepared import Prepared
from engine.store.tables import draft, enrollment, message, sequence_version, thread, thread_label
from engine.store.threads import FAILED
from engine.winner import Score

_FIELDS = [enrollment.c[name] for name in Enrollment.__dataclass_fields__]

_read: dict[str, Sequence] = {}


def _at(company: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """Literals, not parameters: only so are SQLite and PostgreSQL certain of the partial index."""
    active, paused = (enrollment.c.state == literal_column(f"'{state}'") for state in ("active", "paused"))
    return enrollment.c.company == company, or_(active, paused)


def _record(row: Row[Any]) -> Enrollment:
    fields = {name: getattr(row, name) for name in Enrollment.__dataclass_fields__}
    return Enrollment(**fields | {"state": EnrollmentState(row.state)})


def _values(new: Enrollment) -> dict[str, Any]:
    return {name: getattr(new, name) for name in Enrollment.__dataclass_fields__} | {
        "variables": dict(new.variables)
    }


def _of(found: tuple[Any, ...] | None, enrollment_id: str) -> Enrollment:
    if found is None:
        raise LookupError(f"there is no enrollment {enrollment_id}")
    fields = dict(zip(Enrollment.__dataclass_fields__, found, strict=True))
    return Enrollment(**fields | {"state": EnrollmentState(fields["state"])})


_ONE = Prepared(select(*_FIELDS).where(enrollment.c.id == bindparam("which")))
_LOCK = Prepared(select(*_FIELDS).where(enrollment.c.id == bindparam("which")).with_for_update())


@dataclass(frozen=True, slots=True)
class Life:
    """One person's time in one sequence, and when it last changed."""

    enrollment: Enrollment
    since: datetime


class Enrollments:
    """One transaction's hands on the enrollments."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._db = desk.db

    def paused(self, contact: str) -> list[Life]:
        """Wherever this person waits for a human, and since when."""
        found = select(*_FIELDS, enrollment.c.updated_at).where(
            enrollment.c.contact == contact, enrollment.c.state == EnrollmentState.PAUSED
        )
        rows: Iterable[Any] = self._db.execute(found.order_by(enrollment.c.id))
        return [Life(_record(row), row.updated_at) for row in rows]

    def away_without_end(self, contact: str) -> list[Life]:
        """Wherever this person's letter waits until a human says that they are back, and since when."""
        # as an expression: SQLite would look for them among all that are held
        held = draft.c.state.concat("") == DraftState.HELD, draft.c.outcome == HoldReason.OUT_OF_OFFICE
        found = (
            select(*_FIELDS, draft.c.updated_at.label("since"))
            .join(draft, draft.c.enrollment_id == enrollment.c.id)
            .where(enrollment.c.contact == contact, enrollment.c.state == EnrollmentState.ACTIVE)
            .where(*held, draft.c.held_until.is_(None))
        )
        rows: Iterable[Any] = self._db.execute(found.order_by(enrollment.c.id))
        return [Life(_record(row), row.since) for row in rows]

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

    def add_all(self, new: Collection[Enrollment]) -> set[str]:
        """The ids of those whom nobody enrolled at the same moment."""
        times = {"created_at": self._desk.now, "updated_at": self._desk.now}
        made = self._desk.insert_all(enrollment, [_values(each) | times for each in new])
        self._desk.note(enrollment, "create", made, {each.id: each.reason for each in new})
        return {row.id for row in made}

    def one_by_one(self, doors: Collection[str]) -> None:
        """Until this transaction is over nobody else goes through any of these doors.

        SQLite has one writer at a time anyway.
        """
        if doors and self._db.dialect.name == "postgresql":
            turns = func.unnest(bindparam("doors", sorted(set(doors)), type_=ARRAY(Text))).column_valued(
                "door"
            )
            self._db.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(turns, 0)))).all()

    def of_all(self, sequence: str, contacts: Collection[str]) -> dict[str, Life]:
        """These people's latest lives in this sequence."""
        found = select(*_FIELDS, enrollment.c.updated_at).where(
            enrollment.c.sequence == sequence, enrollment.c.contact.in_(contacts)
        )
        rows: Iterable[Any] = self._db.execute(found.order_by(enrollment.c.created_at, enrollment.c.id))
        return {row.contact: Life(_record(row), row.updated_at) for row in rows}

    def living(self, contact: str) -> list[Enrollment]:
        """Wherever a sequence speaks to this person now."""
        found = select(*_FIELDS).where(
            enrollment.c.contact == contact, enrollment.c.state.in_(sorted(STOP.sources))
        )
        return [_record(row) for row in self._db.execute(found.order_by(enrollment.c.id))]

    def colleagues(self, company: str, versions: Collection[str] | None = None) -> list[Enrollment]:
        """Everybody at this company whom a sequence speaks to now; or one of these versions of sequences."""
        found = select(*_FIELDS).where(*_at(company))
        if versions is not None:
            found = found.where(enrollment.c.version.in_(versions))
        return [_record(row) for row in self._db.execute(found.order_by(enrollment.c.id))]

    def versions_at(self, company: str) -> list[str]:
        """By which versions of sequences anybody there is spoken to now."""
        found = select(enrollment.c.version).where(*_at(company)).distinct()
        return list(self._db.scalars(found.order_by(enrollment.c.version)))

    def living_among(self, which: Collection[str]) -> list[Enrollment]:
        """Those of them whom a sequence speaks to now."""
        found = select(*_FIELDS).where(
            enrollment.c.id.in_(which), enrollment.c.state.in_(sorted(STOP.sources))
        )
        return [_record(row) for row in self._db.execute(found.order_by(enrollment.c.id))]

    def last_uses(self, inboxes: Collection[str]) -> dict[str, tuple[datetime | None, int]]:
        """When each of them was last given somebody to write to, and how many it has."""
        used = (
            select(enrollment.c.inbox_id, func.max(enrollment.c.created_at), func.count())
            .where(enrollment.c.inbox_id.in_(inboxes))
            .group_by(enrollment.c.inbox_id)
        )
        found = {row[0]: (row[1], row[2]) for row in self._db.execute(used)}
        return {inbox: found.get(inbox, (None, 0)) for inbox in inboxes}

    def failures(self, sequence: str, reason: StopReason) -> int:
        """In how many conversations of it a letter failed so. Whoever was stopped along with somebody is none."""
        failed = (
            select(func.count())
            .select_from(thread_label)
            .join(thread, thread.c.id == thread_label.c.thread_id)
            .join(enrollment, enrollment.c.id == thread.c.enrollment_id)
            .where(thread_label.c.label == f"{FAILED}{reason}", enrollment.c.sequence == sequence)
        )
        return self._db.scalar(failed) or 0

    def letters(self, sequence: str) -> int:
        """How many have left."""
        left = (
            select(func.count())
            .select_from(message)
            .join(enrollment, enrollment.c.id == message.c.enrollment_id)
            .where(enrollment.c.sequence == sequence, message.c.direction == "sent")
        )
        return self._db.scalar(left) or 0

    def scores(self, sequence: str, step: str, labels: Collection[str] | None) -> list[Score]:
        """How each way to say it has done: by answers, or only by those with one of these labels."""
        answered = enrollment.c.reason == StopReason.REPLIED
        if labels is not None:
            answered &= (
                select(thread_label.c.label)
                .join(thread, thread.c.id == thread_label.c.thread_id)
                .where(thread.c.enrollment_id == enrollment.c.id)
                .where(thread_label.c.label.in_([answer_label(label) for label in labels]))
                .exists()
            )
        counted = (
            select(draft.c.variant, func.count(), func.sum(case((answered, 1), else_=0)))
            .join(enrollment, enrollment.c.id == draft.c.enrollment_id)
            .where(enrollment.c.sequence == sequence, draft.c.step == step, draft.c.state == DraftState.SENT)
            .where(draft.c.variant.is_not(None))
            .group_by(draft.c.variant)
        )
        return [Score(*row) for row in self._db.execute(counted)]

    def pause_sequence(self, sequence: str, reason: str) -> None:
        """Everybody in it."""
        self._desk.move(
            enrollment,
            PAUSE,
            enrollment.c.sequence == sequence,
            enrollment.c.state == EnrollmentState.ACTIVE,
            why=reason,
            reason=reason,
            wake_at=None,
        )

    def sequences(self) -> list[str]:
        """In which somebody is, or was."""
        return list(self._db.scalars(select(sequence_version.c.name).distinct()))

    def active_in(self, sequence: str, *, at_most: int) -> list[Enrollment]:
        found = select(*_FIELDS).where(
            enrollment.c.sequence == sequence, enrollment.c.state == literal_column("'active'")
        )
        return [_record(row) for row in self._db.execute(found.order_by(enrollment.c.id).limit(at_most))]

    def paused_in(self, sequence: str, reasons: Collection[str], *, after: str, at_most: int) -> list[Life]:
        """Who waits there for one of these reasons, and since when."""
        found = select(*_FIELDS, enrollment.c.updated_at).where(
            enrollment.c.sequence == sequence,
            enrollment.c.state == literal_column("'paused'"),
            or_(*(enrollment.c.reason.startswith(reason, autoescape=True) for reason in reasons)),
            enrollment.c.id > after,
        )
        rows: Iterable[Any] = self._db.execute(found.order_by(enrollment.c.id).limit(at_most))
        return [Life(_record(row), row.updated_at) for row in rows]

    def pause_sleepers(self, reason: str) -> int:
        """Whoever should have woken by now. How many."""
        asleep = enrollment.c.wake_at.is_not(None), enrollment.c.wake_at <= self._desk.now
        return len(self._desk.move(enrollment, PAUSE, *asleep, why=reason, reason=reason, wake_at=None))

    def sleep(self, which: str, until: datetime | None) -> None:
        """When to look again, while no draft is pending."""
        self._db.execute(update(enrollment).where(enrollment.c.id == which).values(wake_at=until))

    def awake(self, at_most: int) -> list[Enrollment]:
        """Those who have slept long enough."""
        due = select(*_FIELDS).where(
            enrollment.c.wake_at <= self._desk.now, enrollment.c.wake_at.is_not(None)
        )
        rows = self._db.execute(due.order_by(enrollment.c.wake_at).limit(at_most))
        return [_record(row) for row in rows]

    def next_waking(self) -> datetime | None:
        first = select(enrollment.c.wake_at).where(enrollment.c.wake_at.is_not(None))
        return self._db.scalar(first.order_by(enrollment.c.wake_at).limit(1))

    def get(self, enrollment_id: str) -> Enrollment:
        return _of(_ONE.one(self._db, which=enrollment_id), enrollment_id)

    def some(self, which: Collection[str]) -> dict[str, Enrollment]:
        """Those of them that there are, by their ids."""
        found = select(*_FIELDS).where(enrollment.c.id.in_(which))
        return {row.id: _record(row) for row in self._db.execute(found)}

    def lock(self, enrollment_id: str) -> Enrollment:
        """Read it, and let nobody stop it until this transaction is over. The thread is locked before."""
        return _of(_LOCK.one(self._db, which=enrollment_id), enrollment_id)

    def pause(self, which: Collection[str], reason: str) -> None:
        """A human has to look."""
        self._desk.move(
            enrollment, PAUSE, enrollment.c.id.in_(which), why=reason, reason=reason, wake_at=None
        )

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
        self._desk.move(
            enrollment, FINISH, enrollment.c.id == done.id, why="everything was said", wake_at=None
        )

    def stop(self, which: Collection[str], reason: str) -> list[str]:
        """Whoever was active or paused, and is not any more."""
        stopped = self._desk.move(
            enrollment, STOP, enrollment.c.id.in_(which), why=reason, reason=reason, wake_at=None
        )
        return [row.id for row in stopped]

    # --- all of somebody's lives, and another version ---

    def lives(self, contact: str) -> list[Life]:
        """Every time this person was in a sequence, the first time first."""
        found = select(*_FIELDS, enrollment.c.updated_at).where(enrollment.c.contact == contact)
        rows: Iterable[Any] = self._db.execute(found.order_by(enrollment.c.created_at, enrollment.c.id))
        return [Life(_record(row), row.updated_at) for row in rows]

    def in_flight(self, sequence: str, *, but_not: str) -> list[Life]:
        """Everybody whom this sequence speaks to by another version than that."""
        living = or_(
            enrollment.c.state == literal_column("'active'"), enrollment.c.state == literal_column("'paused'")
        )
        found = select(*_FIELDS, enrollment.c.updated_at).where(
            enrollment.c.sequence == sequence, living, enrollment.c.version != but_not
        )
        rows: Iterable[Any] = self._db.execute(found.order_by(enrollment.c.id))
        return [Life(_record(row), row.updated_at) for row in rows]

    def moved_since(self, at: datetime, sequence: str, *, but_not: str) -> list[str]:
        """To whom something has happened since then, by another version than that."""
        moved = or_(
            enrollment.c.updated_at > at,
            select(draft.c.id)
            .where(draft.c.enrollment_id == enrollment.c.id, draft.c.updated_at > at)
            .exists(),
        )
        theirs = enrollment.c.sequence == sequence, enrollment.c.version != but_not
        return list(
            self._db.scalars(select(enrollment.c.email).where(*theirs, moved).order_by(enrollment.c.id))
        )

    def revise(self, which: Collection[str], version: str) -> None:
        """Another version speaks to them from now on. A pause is not a day younger for that."""
        revised = (
            update(enrollment)
            .where(enrollment.c.id.in_(which), enrollment.c.state.in_(sorted(STOP.sources)))
            .values(version=version)
            .returning(enrollment.c.id)
        )
        self._desk.note(enrollment, "revise", self._db.execute(revised).all(), version)

    def sleep_all(self, until: Mapping[str, datetime]) -> None:
        """When to look again, for each of them."""
        if until:
            sleeper = update(enrollment).where(enrollment.c.id == bindparam("which"))
            rows = [{"which": one, "wake_at": at} for one, at in until.items()]
            self._db.execute(sleeper.values(wake_at=bindparam("wake_at")), rows)

    def finish_all(self, which: Collection[str], why: str) -> None:
        self._desk.move(enrollment, FINISH, enrollment.c.id.in_(which), why=why, wake_at=None)

    def wake_all(self, which: Collection[str], why: str) -> None:
        """Nothing keeps them any more: the clock goes on with them at once."""
        self._desk.move(
            enrollment, RESUME, enrollment.c.id.in_(which), why=why, reason=None, wake_at=self._desk.now
        )

    def lack(self, which: Collection[str], reason: str) -> None:
        """Paused they are already; now it is for this. A pause is not a day younger for that."""
        theirs = enrollment.c.id.in_(which), enrollment.c.state.in_(sorted(RESUME.sources))
        self._db.execute(update(enrollment).where(*theirs).values(reason=reason))

    def note_answer(self, which: Collection[str], reason: str) -> None:
        """Everything had been said to them already; that they answered is worth knowing all the same."""
        ended = enrollment.c.id.in_(which), enrollment.c.state == EnrollmentState.FINISHED
        self._db.execute(
            update(enrollment).where(*ended, enrollment.c.reason.is_(None)).values(reason=reason)
        )
