"""The watch, beside the worker: what the door overheard is written down, and everything is compared with everything.

It sends nothing and nobody waits for it, so it has a hand of its own. Of many that watch one has its turn.
"""

import logging
import os
import socket
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from threading import Event, Thread

from sqlalchemy.exc import SQLAlchemyError

from engine import canary, owner, vigil
from engine.errors import UnreadableEvent
from engine.reconcile import SOON, sweep
from engine.vigil import Overheard, Rules, Skewed
from mailroom.hearsay import told
from relent import __version__
from relent.assemble import House
from relent.knock import knock
from webhooks.signature import AnotherClock

log = logging.getLogger("relent.watching")

_POLL = 1.0
_PATIENCE = 5.0
_LOOK_EVERY = timedelta(seconds=15)
_GRACE = timedelta(minutes=10)
_SHOW_EVERY = timedelta(seconds=5)
_FORGOTTEN = timedelta(hours=1)

#: How the signs of workers begin.
WORKER = "worker/"


class Hand(ABC):
    """A thread that does something now and then. What goes wrong in it keeps nobody's mail waiting."""

    def __init__(self, house: House, enough: Event) -> None:
        self._house = house
        self._enough = enough
        self._hand: Thread | None = None

    @abstractmethod
    def work_off(self) -> None:
        """Whatever it is time for."""

    @property
    def are_beside(self) -> bool:
        """Does it run by itself?"""
        return self._hand is not None

    def __enter__(self) -> None:
        name = f"relent-{type(self).__name__.lower()}"
        self._hand = Thread(target=self._run, name=name, daemon=True)
        self._hand.start()

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        if self._hand is not None:
            self._hand.join(_PATIENCE)
        self._hand = None

    def _run(self) -> None:
        while not self._enough.is_set():
            try:
                self.work_off()
            except SQLAlchemyError as error:  # whoever sends the letters says so, louder
                log.debug("the database does not answer, nothing is watched meanwhile: %s", error)
            except Exception:
                log.exception("our own mistake; the watch goes on")
            self._enough.wait(_POLL)


class Presence:
    """A worker shows that it is there, whichever machine it is on; and when it last looked for what is due."""

    def __init__(self, house: House, looked_at: Callable[[], datetime | None]) -> None:
        self._house = house
        self._looked_at = looked_at
        self._name = f"{WORKER}{owner.me()}"
        self._since: datetime | None = None
        self._shown_at: datetime | None = None

    def show(self) -> None:
        """And whoever is proven dead, or was not seen for an hour, is shown no more."""
        now = self._house.clock.now()
        if _is_early(self._shown_at, _SHOW_EVERY, now):
            return
        self._shown_at = now
        self._since = self._since or now
        looked = self._looked_at()
        with self._house.store.transaction(now, "worker") as ledger:
            due = ledger.drafts.next_hour()
            ledger.watch.sign(
                self._name,
                host=socket.gethostname(),
                pid=os.getpid(),
                since=self._since.isoformat(timespec="seconds"),
                version=__version__,
                looked_at=looked and looked.isoformat(timespec="milliseconds"),
                late_seconds=max((now - due).total_seconds(), 0.0) if due else 0.0,
            )
            names = [sign.name.removeprefix(WORKER) for sign in ledger.watch.signs(WORKER)]
            for gone in owner.dead(names):
                ledger.watch.unsign(WORKER + gone)
            ledger.watch.fade(WORKER, now - _FORGOTTEN)

    def leave(self) -> None:
        with self._house.store.transaction(self._house.clock.now(), "worker") as ledger:
            ledger.watch.unsign(self._name)


class Watch(Hand):
    """What is looked at now and then, by the house's own clock."""

    def __init__(self, house: House, enough: Event, looked_at: Callable[[], datetime | None]) -> None:
        super().__init__(house, enough)
        self._presence = Presence(house, looked_at)
        self._noted_at: datetime | None = None
        self._looked_at: datetime | None = None
        self._swept_at: datetime | None = None
        self._going_on = False  #: a round is not over
        self._begun: datetime | None = None

    def work_off(self) -> None:
        if self.are_beside:
            self._presence.show()
        self._write_down()
        self._keep()
        self._sweep()

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        with suppress(SQLAlchemyError):
            self._write_down(at_once=True)
            self._presence.leave()

    def _write_down(self, *, at_once: bool = False) -> None:
        """Now and then; but that a clock is wrong must not wait."""
        ears, now = self._house.ears, self._house.clock.now()
        if not (at_once or ears.urgent) and _is_early(self._noted_at, self._often, now):
            return
        first = self._noted_at is None and self._house.config.watch.silence is not None
        self._noted_at = now
        if (heard := ears.tell()) or first:
            skewed = [found for each in heard.skewed if (found := self._read(each))]
            overheard = Overheard(believed_at=heard.believed_at, doubts=heard.doubts, skewed=skewed)
            vigil.note(overheard, store=self._house.store, clock=self._house.clock)
            self._looked_at = None

    def _read(self, said: AnotherClock) -> Skewed | None:
        """What is nothing to us is no loss, whatever its clock."""
        try:
            event = self._house.mailbox.read(said.body, said.delivery_id)
        except UnreadableEvent:
            return None
        return Skewed(event, said.seconds) if event else None

    def _keep(self) -> None:
        """Who was not there could not be told: after a beginning, those who repeat their webhooks get some minutes."""
        settings, now = self._house.config.watch, self._house.clock.now()
        if _is_early(self._looked_at, self._often, now):
            return
        self._looked_at = now
        self._begun = self._begun or now
        silence = settings.silence
        if silence is not None and now - self._begun < min(_GRACE, silence):
            silence = None
        rules = Rules(skewed=settings.skewed, silence=silence)
        if rules != Rules(skewed=None):
            vigil.keep(rules, store=self._house.store, clock=self._house.clock)

    def _sweep(self) -> None:
        house, now = self._house, self._house.clock.now()
        every = min(SOON, house.config.watch.sweep) if self._going_on else house.config.watch.sweep
        if _is_early(self._swept_at, every, now):
            return
        self._swept_at = now
        with house.store.transaction(now, "the watch") as ledger:
            ours = ledger.watch.turn("sweep", every)
        if ours:
            done = sweep(store=house.store, mailbox=house.mailbox, clock=house.clock, pace=house.pace)
            self._going_on = not done.over

    @property
    def _often(self) -> timedelta:
        return min(_LOOK_EVERY, (self._house.config.watch.silence or _LOOK_EVERY) / 4)


class Canary(Hand):
    """She flies beside those who send, so that it is they who carry her letters: a tick alone has none."""

    def __init__(self, house: House, enough: Event) -> None:
        super().__init__(house, enough)
        self._flown_at: datetime | None = None

    def work_off(self) -> None:
        house, settings, now = self._house, self._house.config.canary, self._house.clock.now()
        if settings.every is None or not self.are_beside or _is_early(self._flown_at, settings.every, now):
            return
        self._flown_at = now
        with house.store.transaction(now, "the canary") as ledger:
            ours = ledger.watch.turn("canary", settings.every)
        if ours:
            self._fly(settings.limit)

    def _fly(self, limit: timedelta) -> None:
        house = self._house
        try:
            flight = canary.fly(
                knock=lambda body: knock(house.config, body, house.clock),
                read=told,
                store=house.store,
                clock=house.clock,
                limit=limit,
                enough=self._enough,
            )
        except SQLAlchemyError:  # while the database is away nothing is sent anyway
            raise
        except Exception as error:
            log.exception("our own mistake; the canary fell")
            flight = canary.Flight(why=f"she could not fly, see the log: {type(error).__name__}")
        if flight is not None:
            canary.judge(flight, limit=limit, store=house.store, clock=house.clock)


def _is_early(last: datetime | None, every: timedelta, now: datetime) -> bool:
    return last is not None and abs(now - last) < every
