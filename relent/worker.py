"""The tick: recover what was left behind, send what is due, sleep until the next hour that matters."""

import logging
import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Event, Thread, Timer

from sqlalchemy.exc import SQLAlchemyError

from engine.dispatch import dispatch_due
from engine.recover import recover
from engine.settle import CalledOff, Delivered, GaveUp, InDoubt, Outcome, Postponed
from engine.store.inbound import REFUSED
from relent.assemble import House

log = logging.getLogger("relent.worker")

_POLL = 1.0  # a letter that another process made is found within this
_LONGEST_GOODBYE = 30.0
_RECOVER_EVERY = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class Lag:
    """When the worker last looked, for /readyz."""

    looked_at: datetime


class Worker:
    """One pair of hands. More of them, in more processes, do not get in each other's way."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._enough = Event()
        self._recovered_at: datetime | None = None
        self.lag: Lag | None = None

    def tick(self) -> list[Outcome]:
        """Everything that is due now, until nothing is."""
        self._count_refusals()
        done: list[Outcome] = []
        while not self._enough.is_set():
            self._recover_now_and_then()
            batch = self._send_a_batch()
            done += batch
            if not batch:
                break
        return done

    def _send_a_batch(self) -> list[Outcome]:
        house, done = self._house, []
        self._look()
        for outcome in dispatch_due(
            store=house.store,
            mailbox=house.mailbox,
            clock=house.clock,
            pace=house.pace,
            enough=self._enough,
        ):
            done.append(outcome)
            _tell(outcome)
            self._look()
        return done

    def _look(self) -> None:
        """Every letter is a sign of life: a long queue is no illness."""
        self.lag = Lag(self._house.clock.now())

    def run(self) -> None:
        """Until somebody says enough. A database that is away is waited for."""
        while not self._enough.is_set():
            try:
                self.tick()
                pause = self._until_next()
            except SQLAlchemyError as error:
                log.error("the database does not answer, nothing is sent meanwhile: %s", error)
                pause = _POLL
            except Exception:  # whatever it was, a worker that is gone sends nothing to anybody
                log.exception("our own mistake; the worker goes on")
                pause = _POLL
            self._enough.wait(pause)
        with suppress(SQLAlchemyError):
            self._count_refusals()

    def run_until_signalled(self) -> None:
        """In the main thread: an interrupt or a polite end lets the letter at hand be finished."""

        def end(*_: object) -> None:
            self.enough()
            end_in_any_case()

        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, end)
        self.run()

    def enough(self) -> None:
        """Finish the letter at hand, and stop."""
        self._enough.set()

    def _recover_now_and_then(self) -> None:
        house, now = self._house, self._house.clock.now()
        if self._recovered_at and abs(now - self._recovered_at) < _RECOVER_EVERY:
            return
        recover(store=house.store, mailbox=house.mailbox, clock=house.clock, pace=house.pace)
        self._recovered_at = now

    def _count_refusals(self) -> None:
        if number := self._house.refusals.number:
            with self._house.store.transaction(self._house.clock.now(), "webhook") as ledger:
                ledger.inbound.count(REFUSED, number)
            self._house.refusals.forget(number)

    def _until_next(self) -> float:
        now = self._house.clock.now()
        with self._house.store.reading(now) as ledger:
            due = ledger.drafts.next_due()
        return _POLL if due is None else min(max((due - now).total_seconds(), 0.05), _POLL)


def _tell(outcome: Outcome) -> None:
    """What a human should look at is a warning."""
    match outcome:
        case Delivered(draft_id):
            log.info("sent %s", draft_id)
        case CalledOff(draft_id, why):
            log.info("called off %s: %s", draft_id, why)
        case Postponed(draft_id, why):
            log.warning("postponed %s: %s", draft_id, why)
        case GaveUp(draft_id, why):
            log.warning("refused for good %s: %s", draft_id, why)
        case InDoubt(draft_id, why):
            log.warning("uncertain %s: %s", draft_id, why)


def end_in_any_case() -> None:
    """Whoever hangs, in a database that froze or with a mail server, hangs no longer. Any instant is a safe one to die."""
    last_word = Timer(_LONGEST_GOODBYE, os._exit, [1])
    last_word.daemon = True
    last_word.start()


class WorkerThread:
    """A worker beside the server, in one process."""

    def __init__(self, house: House) -> None:
        self.worker = Worker(house)
        self._thread = Thread(target=self.worker.run, name="relent-worker", daemon=True)

    def __enter__(self) -> Worker:
        self._thread.start()
        return self.worker

    def __exit__(self, *_: object) -> None:
        self.worker.enough()
        self._thread.join()
