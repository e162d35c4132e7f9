"""One transaction's view of everything; and the one verb that reaches across all shelves: call back."""

import logging
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from threading import Condition
from time import sleep
from typing import TypeVar
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, Engine, select
from sqlalchemy.exc import SQLAlchemyError

from engine.model import Draft, Enrollment, Thread
from engine.states import DraftState, StopReason
from engine.store.agenda import Agenda
from engine.store.answers import Answers
from engine.store.arrivals import Arrivals
from engine.store.blocks import Blocks
from engine.store.diaries import Diaries
from engine.store.drafts import Drafts
from engine.store.drift import Drifts
from engine.store.enrollments import Enrollments
from engine.store.faces import Faces
from engine.store.filing import Filing
from engine.store.funnels import Funnels
from engine.store.glance import Glance
from engine.store.heard import Hearings
from engine.store.inbound import Inbound
from engine.store.inboxes import Inboxes
from engine.store.keys import Keys
from engine.store.letters import Letters
from engine.store.lineage import Lineage
from engine.store.lists import Lists
from engine.store.members import Members
from engine.store.moves import Desk
from engine.store.nest import Nest
from engine.store.outbox import Outbox
from engine.store.overview import Overview
from engine.store.past import Past
from engine.store.prepared import ask
from engine.store.queue import Queue
from engine.store.reviews import Reviews
from engine.store.subscribers import Subscribers
from engine.store.tables import instance
from engine.store.talks import Talks
from engine.store.threads import Threads
from engine.store.today import Today
from engine.store.views import Views
from engine.store.watch import Watch
from engine.store.written import Written

log = logging.getLogger("relent.store")

T = TypeVar("T")

_NO_MORE = object()
_FIRST_IN_A_ROW = 4  #: who may go first lets one of the others through after so many
#: Nobody changes it, so whoever has read it once need not ask again.
_keys: WeakKeyDictionary[Engine, bytes] = WeakKeyDictionary()


def pauses() -> Iterator[None]:
    """Four seconds altogether: nothing is given up for one unlucky moment of the database."""
    for wait in 0.05, 0.2, 1.0, 3.0:
        sleep(wait)
        yield


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """Whom an event is about: these conversations, and these people wherever a sequence speaks to them."""

    threads: tuple[str, ...]
    contacts: frozenset[str] = frozenset()
    home: str | None = None  #: the conversation in which it was said


@dataclass(frozen=True, slots=True, kw_only=True)
class CalledBack:
    """What was stopped, and what was already leaving."""

    enrollments: list[str]
    drafts: list[str]
    in_the_air: list[str]


class Undone(SQLAlchemyError):
    """The whole transaction is gone, and with it what had been done well before."""


class Ledger:
    """What one transaction can do, shelf by shelf."""

    def __init__(self, db: Connection, now: datetime, by: str) -> None:
        desk = Desk(db, now, by)
        self.now = now
        self.drafts = Drafts(desk)
        self.enrollments = Enrollments(desk)
        self.threads = Threads(desk)
        self.letters = Letters(desk)
        self.filing = Filing(desk)
        self.inbound = Inbound(desk)
        self.heard = Hearings(desk)
        self.inboxes = Inboxes(desk)
        self.lists = Lists(desk)
        self.keys = Keys(desk)
        self.members = Members(desk)
        self.written = Written(desk)
        self.arrivals = Arrivals(desk)
        self.blocks = Blocks(desk)
        self.outbox = Outbox(desk)
        self.overview = Overview(desk)
        self.queue = Queue(desk)
        self.reviews = Reviews(desk)
        self.subscribers = Subscribers(desk)
        self.past = Past(desk)
        self.watch = Watch(desk)
        self.answers = Answers(desk)
        self.agenda = Agenda(desk)
        self.faces = Faces(desk)
        self.talks = Talks(desk)
        self.glance = Glance(desk)
        self.today = Today(desk)
        self.funnels = Funnels(desk)
        self.lineage = Lineage(desk)
        self.drift = Drifts(desk)
        self.nest = Nest(desk)
        self.diaries = Diaries(db)
        self.views = Views(db)
        self._db = db

    @contextmanager
    def apart(self) -> Iterator[None]:
        """What fails in here is undone alone. Raises Undone when that cannot be said any more.

        A full disk, or one that cannot be read, makes SQLite undo the whole transaction in its middle, and nobody would
        be told at its end: Python's driver commits nothing when nothing was begun.
        """
        ask(self._db, "SAVEPOINT apart")
        try:
            yield
        except Exception as error:
            self._to_the_savepoint("ROLLBACK TO SAVEPOINT apart", error)
            self._to_the_savepoint("RELEASE SAVEPOINT apart", error)
            raise
        self._to_the_savepoint("RELEASE SAVEPOINT apart")

    def _to_the_savepoint(self, words: str, why: Exception | None = None) -> None:
        try:
            ask(self._db, words)
        except SQLAlchemyError as error:
            raise Undone(f"nothing of this transaction is left: {why or error}") from (why or error)

    def tell_of(self, cancelled: Collection[str], stopped: Collection[str], reason: StopReason) -> None:
        """The same for drafts and enrollments that were called back by their names."""
        if self.outbox.wants("followup.cancelled") or self.outbox.wants("enrollment.stopped"):
            drafts = [found for each in cancelled if (found := self.drafts.get(each))]
            self._tell(drafts, list(stopped), reason)

    def instance_key(self) -> bytes:
        """What our Message-IDs are made with."""
        engine = self._db.engine
        if engine not in _keys:
            _keys[engine] = bytes(self._db.scalars(select(instance.c.key)).one())
        return _keys[engine]

    def call_back(
        self, reach: Reach, reason: StopReason, *, sparing: frozenset[str] = frozenset()
    ) -> CalledBack:
        """Stop these enrollments and cancel every follow-up of theirs, and every one that a label here names.

        `sparing`: enrollments whose sequence does not stop for this.
        """
        threads = self._lock(reach)
        reached = _enrollments(threads) - sparing
        stopped = self.enrollments.stop(reached, reason)
        if len(stopped) < len(reached):
            self.enrollments.note_answer(reached, reason)
        follow_ups = self.drafts.not_of(sparing, self._follow_ups(reach, threads))
        self.drafts.lock(follow_ups)
        cancelled = self.drafts.cancel(follow_ups, reason)
        leaving = self.drafts.recall(follow_ups, reason)
        named = self.drafts.not_of(sparing, self.threads.follow_ups(reach.threads))
        stale = set(named) - {each.id for each in leaving}
        self.threads.untag_here(reach.threads, stale)
        self.threads.untag({each.id for each in cancelled})
        self._tell(cancelled, stopped, reason)
        return CalledBack(
            enrollments=stopped,
            drafts=[each.id for each in cancelled],
            in_the_air=[each.id for each in leaving if each.state == DraftState.RELEASING],
        )

    def _tell(self, cancelled: list[Draft], stopped: list[str], reason: StopReason) -> None:
        """Whoever asked for it hears of it, if this transaction comes to its end."""
        for each in cancelled:
            self.outbox.tell(
                "followup.cancelled",
                inbox_id=each.inbox_id,
                thread_id=each.thread_id,
                draft_id=each.id,
                reason=reason,
                recipients=list(each.everybody),
                enrollment_id=each.enrollment_id,
            )
        if not stopped or not self.outbox.wants("enrollment.stopped"):
            return
        for life in map(self.enrollments.get, stopped):
            self.outbox.tell(
                "enrollment.stopped",
                inbox_id=life.inbox_id,
                thread_id=life.thread_id,
                enrollment_id=life.id,
                reason=reason,
                sequence=life.sequence,
                email=life.email,
            )

    def in_the_air(self, reach: Reach) -> list[str]:
        """What was called back too late, and whose fate is not known yet."""
        threads = self.threads.of_people(reach.contacts, reach.threads)
        named = self.drafts.in_the_air(self._follow_ups(reach, threads))
        return sorted({*named, *self.written.in_the_air(reach.threads)})

    def waiting(self, reach: Reach) -> list[Draft]:
        """The follow-ups that a hold can reach, with their threads locked."""
        threads = self._lock(reach)
        self.enrollments.lock_all(_enrollments(threads))
        return self.drafts.pending(self._follow_ups(reach, threads))

    def lives(self, reach: Reach) -> list[Enrollment]:
        """Who is written to now, and is reached."""
        threads = self.threads.of_people(reach.contacts, reach.threads)
        return self.enrollments.living_among(_enrollments(threads))

    def pause(self, reach: Reach, reason: str, *, but_not: set[str | None]) -> None:
        """These people get nothing more until a human says so. The caller has locked their threads."""
        threads = self.threads.of_people(reach.contacts, reach.threads)
        self.enrollments.pause(_enrollments(threads) - but_not, reason)

    def _lock(self, reach: Reach) -> list[Thread]:
        threads = self.threads.of_people(reach.contacts, reach.threads)
        self.threads.lock([each.id for each in threads])
        return threads

    def _follow_ups(self, reach: Reach, threads: list[Thread]) -> list[str]:
        """By enrollment, and by label: a label reaches only into its own inbox."""
        inboxes = {each.inbox_id for each in threads if each.id in reach.threads}
        named = self.threads.follow_ups(reach.threads)
        return self.drafts.follow_ups(_enrollments(threads), named, inboxes)


def _enrollments(threads: list[Thread]) -> set[str]:
    return {each.enrollment_id for each in threads if each.enrollment_id}


class Store:
    """The database, opened. Writers queue up for it; readers do not wait."""

    def __init__(self, database: Engine) -> None:
        self.database = database
        # SQLite has one writer at a time: better that ours stand in line here than poll the file for a lock.
        self._turn = Turnstile() if database.dialect.name == "sqlite" else None

    @property
    def waits_for_rows(self) -> bool:
        """May a transaction have to wait for another one in its middle? On SQLite it waits before it begins."""
        return self._turn is None

    @contextmanager
    def transaction(self, now: datetime, by: str, *, first: bool = False) -> Iterator[Ledger]:
        """All of it, or nothing of it. `by` signs the audit log. `first`: a letter waits at its gate for this."""
        with self._in_turn(first), self.database.begin() as db:
            yield Ledger(db, now, by)

    def insist(
        self, deed: Callable[[Ledger], T], *, now: Callable[[], datetime], by: str, pauses: Iterator[None]
    ) -> T:
        """For a deed that is harmless to repeat: tried again after every pause. Raises when there are no more of them."""
        while True:
            try:
                with self.transaction(now(), by) as ledger:
                    return deed(ledger)
            except SQLAlchemyError as error:
                log.warning("the database did not answer: %s", error)
                if next(pauses, _NO_MORE) is _NO_MORE:
                    raise

    @contextmanager
    def reading(self, now: datetime) -> Iterator[Ledger]:
        """One look, holding nobody up."""
        with self.database.connect().execution_options(relent_reading=True) as db, db.begin():
            yield Ledger(db, now, "a reader")

    def close(self) -> None:
        self.database.dispose()

    @contextmanager
    def _in_turn(self, first: bool) -> Iterator[None]:
        if self._turn is None:
            yield
        else:
            with self._turn.passed(first):
                yield


class Turnstile:
    """One goes through at a time; and before all who wait those who may go first, but not for ever."""

    def __init__(self) -> None:
        self._free = Condition()
        self._taken = False
        self._waiting = {True: 0, False: 0}  #: of those who may go first, and of the others
        self._in_a_row = 0  #: went first while others waited

    @contextmanager
    def passed(self, first: bool) -> Iterator[None]:
        self._enter(first)
        try:
            yield
        finally:
            self._leave()

    def _enter(self, first: bool) -> None:
        with self._free:
            self._waiting[first] += 1
            try:
                while self._taken or not self._is_turn_of(first):
                    self._free.wait()
            except BaseException:
                self._free.notify_all()  # who waited for us waits for nobody now
                raise
            finally:
                self._waiting[first] -= 1
            self._in_a_row = self._in_a_row + 1 if first and self._waiting[False] else 0
            self._taken = True

    def _is_turn_of(self, first: bool) -> bool:
        others_too = self._waiting[True] and self._waiting[False]
        return not others_too or first == (self._in_a_row < _FIRST_IN_A_ROW)

    def _leave(self) -> None:
        with self._free:
            self._taken = False
            self._free.notify_all()
