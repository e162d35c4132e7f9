"""The tick: recover what was left behind, send what is due, sleep until the next hour that matters."""

import logging
import os
import signal
from abc import ABC, abstractmethod
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from threading import Event, Thread, Timer
from time import monotonic

from sqlalchemy.exc import SQLAlchemyError

from engine import errands, outbox
from engine.calls import Rests
from engine.dispatch import dispatch_due
from engine.post import forget_keys
from engine.receive import receive_next
from engine.recover import recover
from engine.settle import CalledOff, Delivered, GaveUp, InDoubt, Outcome, Postponed
from engine.store.inbound import REFUSED
from engine.wake import wake_due
from mailroom.hearsay import told
from relent.assemble import House, sender
from relent.watching import Canary, Watch
from webhooks.sender import Sender

log = logging.getLogger("relent.worker")

_POLL = 1.0  # a letter that another process made is found within this
_LONGEST_GOODBYE = 30.0
_RECOVER_EVERY = timedelta(seconds=5)
_FORGET_EVERY = timedelta(minutes=1)
_HANDS = 4
_PATIENCE = 5.0  # with a call that is under way when we leave: it is repeated, under the same id


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
        self._forgot_at: datetime | None = None
        self._beside = (
            Errands(house, self._enough),
            Tellings(house, self._enough),
            Watch(house, self._enough, lambda: self.lag.looked_at if self.lag else None),
            Canary(house, self._enough),
        )
        self.lag: Lag | None = None

    def tick(self) -> list[Outcome]:
        """Everything that is due now, until nothing is."""
        self._count_refusals()
        done: list[Outcome] = []
        while not self._enough.is_set():
            self._recover_now_and_then()
            woken = wake_due(store=self._house.store, clock=self._house.clock)
            batch, came = self._send_a_batch(), self._let_in()
            done += batch
            if not batch and not woken and not came:
                break
        for hands in self._beside:
            if not hands.are_beside:
                hands.work_off()
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

    def _let_in(self) -> bool:
        """What one inbox of ours wrote to another. Whether there was anything."""
        house = self._house
        return bool(receive_next(read=told, store=house.store, clock=house.clock, pace=house.pace))

    def _look(self) -> None:
        """Every letter is a sign of life: a long queue is no illness."""
        self.lag = Lag(self._house.clock.now())

    def run(self) -> None:
        """Until somebody says enough. A database that is away is waited for."""
        with ExitStack() as beside:
            for hands in self._beside:
                beside.enter_context(hands)
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
        if self._forgot_at is None or abs(now - self._forgot_at) >= _FORGET_EVERY:
            outbox.forget(store=house.store, clock=house.clock)
            forget_keys(store=house.store, clock=house.clock)
            self._forgot_at = now

    def _count_refusals(self) -> None:
        if number := self._house.refusals.number:
            with self._house.store.transaction(self._house.clock.now(), "webhook") as ledger:
                ledger.inbound.count(REFUSED, number)
            self._house.refusals.forget(number)

    def _until_next(self) -> float:
        now = self._house.clock.now()
        with self._house.store.reading(now) as ledger:
            hours = ledger.drafts.next_due(), ledger.enrollments.next_waking(), ledger.arrivals.next_due()
        due = min((hour for hour in hours if hour is not None), default=None)
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


class Beside(ABC):
    """What is no letter, in hands of its own: whoever is slow to answer a call keeps nobody's mail waiting."""

    def __init__(self, house: House, enough: Event) -> None:
        self._house = house
        self._enough = enough
        self._hands: list[Thread] = []

    @abstractmethod
    def _next(self) -> bool:
        """One thing that is due. False: nothing is."""

    @cached_property
    def _sender(self) -> Sender:
        return sender(self._house.config)

    @property
    def are_beside(self) -> bool:
        """Do they run by themselves?"""
        return bool(self._hands)

    def work_off(self) -> None:
        """Everything that is due now, one after the other."""
        while not self._enough.is_set() and self._next():
            pass

    def __enter__(self) -> None:
        name = f"relent-{type(self).__name__.lower()}"
        self._hands = [
            Thread(target=self._run, name=f"{name}-{number}", daemon=True) for number in range(_HANDS)
        ]
        for hand in self._hands:
            hand.start()

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        until = monotonic() + _PATIENCE
        for hand in self._hands:
            hand.join(max(0.0, until - monotonic()))
        self._hands = []

    def _run(self) -> None:
        while not self._enough.is_set():
            try:
                self.work_off()
            except SQLAlchemyError as error:  # whoever sends the letters says so, louder
                log.debug("the database does not answer, nobody is called meanwhile: %s", error)
            except Exception:
                log.exception("our own mistake; the other calls go on")
            self._enough.wait(_POLL)


class Errands(Beside):
    """What a sequence does that is no letter."""

    def __init__(self, house: House, enough: Event) -> None:
        super().__init__(house, enough)
        self._rests = Rests()

    def _next(self) -> bool:
        house = self._house
        became = errands.run_next(
            store=house.store,
            clock=house.clock,
            post=self._sender.post,
            pools=house.config.pools,
            rests=self._rests,
            waits=house.config.webhooks.outbound.retries,
        )
        for each in became:
            _tell_errand(each)
        return bool(became)


class Tellings(Beside):
    """What happened here, told to those who asked for it."""

    def __init__(self, house: House, enough: Event) -> None:
        super().__init__(house, enough)
        self._turns = outbox.Turns(_HANDS)

    def _next(self) -> bool:
        house = self._house
        became = outbox.tell_next(
            store=house.store,
            clock=house.clock,
            post=self._sender.post,
            render=house.render,
            turns=self._turns,
            waits=house.config.webhooks.outbound.retries,
        )
        for each in became:
            _tell_telling(each)
        return bool(became)


def _tell_errand(became: errands.Outcome) -> None:
    match became:
        case errands.Ran(errand_id, what):
            log.info("%s: %s", errand_id, what)
        case errands.TriesAgain(errand_id, why, at):
            log.info("%s: %s; again at %s", errand_id, why, f"{at:%H:%M:%S}")
        case errands.LeftToAHuman(errand_id, why):
            log.warning("%s is left to a human: %s", errand_id, why)
        case errands.NotOurs(errand_id):
            log.info("%s: somebody else has it, or called it off", errand_id)


def _tell_telling(became: outbox.Outcome) -> None:
    match became:
        case outbox.Told(delivery_id, what):
            log.info("told %s: %s", delivery_id, what)
        case outbox.ToldLater(delivery_id, why, at):
            log.info("not told yet %s: %s; again at %s", delivery_id, why, f"{at:%H:%M:%S}")
        case outbox.NotTold(delivery_id, why):
            log.warning("not told %s: %s", delivery_id, why)
        case outbox.SwitchedOff(webhook_id, why):
            log.error("the webhook %s is switched off: %s", webhook_id, why)
        case outbox.NotOurs(delivery_id):
            log.info("%s: somebody else has it, or called it off", delivery_id)


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
