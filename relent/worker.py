"""The tick: recover what was left behind, send what is due, sleep until the next hour that matters."""

import logging
import os
import signal
from abc import ABC, abstractmethod
from collections.abc import Collection
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from threading import Event, Lock, Thread, Timer
from time import monotonic
from typing import Protocol

from sqlalchemy.exc import SQLAlchemyError

from engine import errands, outbox
from engine.approve import expire
from engine.calls import Rests
from engine.dispatch import Helpers, dispatch_due
from engine.errors import Unavailable
from engine.post import forget_keys
from engine.receive import receive_next
from engine.recover import recover
from engine.settle import Outcome
from engine.store import Forecast, in_words, passes
from engine.store.inbound import REFUSED
from engine.trail import span, story
from engine.wake import wake_due
from mailroom.hearsay import told
from relent.assemble import House, sender
from relent.guard import Guard
from relent.sealer import Sealer
from relent.watching import Canary, Watch
from webhooks.sender import Sender

log = logging.getLogger("relent.worker")

_POLL = 1.0  # a letter that another process made is found within this
_SOON = 0.05
_TOO_FAR_BEHIND = 5.0  #: seconds
_SAY_AGAIN_AFTER = 60.0
_LONGEST_GOODBYE = 30.0
_RECOVER_EVERY = timedelta(seconds=5)
_FORGET_EVERY = timedelta(minutes=1)
_HANDS = 4
_AT_ONCE = timedelta(0)
_PATIENCE = 5.0  # with a call that is under way when we leave: it is repeated, under the same id


@dataclass(frozen=True, slots=True)
class Lag:
    """When the worker last looked, for /readyz."""

    looked_at: datetime


class Told(Protocol):
    """Others are told of what is due; those who take it get it."""

    @property
    def patience(self) -> timedelta:
        """How long they get, before we look ourselves."""
        ...


class Worker:
    """One pair of hands. More of them, in more processes, do not get in each other's way."""

    def __init__(self, house: House, *, listens: bool = False) -> None:
        """`listens`: what the others tell over Redis is looked at by these hands, if there is a Redis."""
        self._house = house
        self._listens = listens
        self._enough = Event()
        self._hands = Lock()
        self._told: Told | None = None
        self._trouble = Trouble()
        self._recovered_at: datetime | None = None
        self._forgot_at: datetime | None = None
        self._beside = (
            Errands(house, self._enough),
            Tellings(house, self._enough),
            Watch(house, self._enough, lambda: self.lag.looked_at if self.lag else None),
            Canary(house, self._enough),
            Sealer(house, self._enough),
        )
        self._helpers = Helpers()
        self._forecast = Forecast()
        self.lag: Lag | None = None

    @cached_property
    def _guard(self) -> Guard:
        return Guard(self._house)

    def tick(self) -> list[Outcome]:
        """Everything that is due now, until nothing is."""
        with story(), span("tick") as told:
            done = self._until_nothing_is_due()
            if done:
                told.says(letters=len(done))
        for hands in self._beside:
            if not hands.are_beside:
                hands.work_off()
        return done

    def _until_nothing_is_due(self) -> list[Outcome]:
        self._count_refusals()
        done: list[Outcome] = []
        while not self._enough.is_set():
            self._guard.look()
            if self._guard.jumped():
                self._recovered_at = None
            self._recover_now_and_then()
            woken = wake_due(store=self._house.store, clock=self._house.clock)
            batch, came = self._send_a_batch(), self._let_in()
            done += batch
            if not batch and not woken and not came:
                break
        return done

    def look_at(self, draft_ids: Collection[str]) -> int:
        """Somebody says that these are due. Whatever of that is true leaves; how many did something."""
        try:
            with self._hands:
                self._guard.look()
                if self._enough.is_set() or self._people_wait_to_be_heard():
                    return 0
                return len(self._carry(only=draft_ids))
        except (SQLAlchemyError, Unavailable) as error:  # whoever looks by themselves says so, louder
            log.debug("nothing is sent just now, a hint is lost: %s", error)
        except Exception:
            log.exception("our own mistake; the worker goes on")
        return 0

    def _send_a_batch(self) -> list[Outcome]:
        """Unless these hands are full with what somebody hinted at, or people have answered who are not heard yet."""
        self._look()
        if self._people_wait_to_be_heard() or not self._hands.acquire(blocking=False):
            return []
        try:
            return self._carry(waited=self._patience)
        finally:
            self._hands.release()

    @property
    def _patience(self) -> timedelta:
        return self._told.patience if self._told else _AT_ONCE

    def _carry(self, *, only: Collection[str] | None = None, waited: timedelta = _AT_ONCE) -> list[Outcome]:
        house, done = self._house, []
        for outcome in dispatch_due(
            store=house.store,
            mailbox=house.mailbox,
            clock=house.clock,
            pace=house.pace,
            enough=self._enough,
            only=only,
            waited=waited,
            beside=house.beside,
            helpers=self._helpers,
            forecast=self._forecast,
            not_now=lambda: house.answers.behind() > _TOO_FAR_BEHIND,
        ):
            done.append(outcome)
            house.meters.carried(outcome)
            self._look()
        return done

    def _people_wait_to_be_heard(self) -> bool:
        """Who has answered, and is not written down yet, must not be written to."""
        behind = self._house.answers.behind()
        if behind > _TOO_FAR_BEHIND:
            log.warning("nothing is sent: answers wait for %.0f s to be written down", behind)
        return behind > _TOO_FAR_BEHIND

    def _let_in(self) -> bool:
        """What one inbox of ours wrote to another. Whether there was anything."""
        house = self._house
        reactions = receive_next(read=told, store=house.store, clock=house.clock, pace=house.pace)
        for each in reactions:
            house.meters.reacted(each)
        return bool(reactions)

    def _look(self) -> None:
        """Every letter is a sign of life: a long queue is no illness."""
        self.lag = Lag(self._house.clock.now())
        self._house.meters.looked(self.lag.looked_at)

    def run(self) -> None:
        """Until somebody says enough. A database that is away is waited for."""
        with ExitStack() as beside:
            for hands in self._beside:
                beside.enter_context(hands)
            if self._house.config.redis.url:
                from relent.dispatchers import Hints  # whoever has no Redis need not have its client either

                look = self.look_at if self._listens else None
                self._told = beside.enter_context(Hints(self._house, self._enough, look))
            while not self._enough.is_set():
                try:
                    self.tick()
                    pause = self._until_next()
                    self._trouble.is_over()
                except (SQLAlchemyError, Unavailable) as error:
                    self._trouble.is_there(error)
                    pause = _SOON if isinstance(error, SQLAlchemyError) and passes(error) else _POLL
                except Exception:  # whatever it was, a worker that is gone sends nothing to anybody
                    log.exception("our own mistake; the worker goes on")
                    pause = _POLL
                self._enough.wait(pause)
        self.leave()

    def leave(self) -> None:
        """What is on its way over a slow line arrives; what was counted and seen here is written down, if the database takes it."""
        for outcome in self._helpers.finish():
            self._house.meters.carried(outcome)
        with suppress(SQLAlchemyError, Unavailable):
            self._count_refusals()
            self._guard.leave()

    def run_until_signalled(self) -> None:
        """In the main thread: an interrupt or a polite end lets the letter at hand be finished."""

        def end(*_: object) -> None:
            end_in_any_case()
            self.enough()

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
        expire(store=house.store, clock=house.clock)
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
        now, patience = self._house.clock.now(), self._patience
        with self._house.store.reading(now) as ledger:
            if ledger.watch.braked():
                return _POLL
            letters = ledger.drafts.next_due()
            hours = (
                letters and letters + patience,
                ledger.enrollments.next_waking(),
                ledger.arrivals.next_due(),
            )
        due = min((hour for hour in hours if hour is not None), default=None)
        if due is None or self._hands.locked():
            return _POLL
        rate = self._house.pace.rate
        soon = _SOON if rate is None else min(max(60 / rate, _SOON), _POLL)
        return min(max((due - now).total_seconds(), soon), _POLL)


class Trouble:
    """What keeps everything from leaving is said once, once a minute while it lasts, and when it is over."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._said: tuple[str, float] | None = None

    def is_there(self, error: Exception) -> None:
        words, now = in_words(error) if isinstance(error, SQLAlchemyError) else str(error), monotonic()
        self._since = now if self._since is None else self._since
        if self._said is None or self._said[0] != words or now - self._said[1] >= _SAY_AGAIN_AFTER:
            log.error("nothing is sent meanwhile, and tried again each second: %s", words)
            self._said = words, now

    def is_over(self) -> None:
        if self._since is not None:
            log.info("letters leave again, after %.0f s", monotonic() - self._since)
        self._since = self._said = None


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
        with story():
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
        with story():
            became = outbox.tell_next(
                store=house.store,
                clock=house.clock,
                post=self._sender.post,
                render=house.render,
                turns=self._turns,
                waits=house.config.webhooks.outbound.retries,
            )
            for each in became:
                house.meters.told(each)
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
