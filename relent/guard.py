"""What a worker keeps an eye on besides letters: is it still the same database, is the clock right, what needs a human?"""

import logging
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from time import monotonic

from engine.errors import Unavailable
from engine.safe import RESTORED, ask_the_mailbox, look
from engine.store import file_of, network_disk
from engine.witness import Nobody
from relent import show
from relent.assemble import House, SystemClock

log = logging.getLogger("relent.guard")

_LOOK_EVERY = 3.0  # what happened since is not remembered, so it is short; and it costs an fsync at most
_REMIND_EVERY = 600.0
_NAMED = 3  # of what is uncertain
_JUMP = timedelta(seconds=2)
_APART = timedelta(minutes=1)  # well within the ten that the promises assume


class WrongClock(Unavailable):
    """The clock of this machine and that of the database are too far apart to send by."""


class Guard:
    """One worker's. `steady` goes on evenly, whatever anybody does to the clock."""

    def __init__(self, house: House, steady: Callable[[], float] | None = None) -> None:
        self._house = house
        self._memory = house.memory
        self._on = not isinstance(house.witness, Nobody)
        self._machine = isinstance(house.clock, SystemClock)
        self._steady = steady or (_since_boot if self._machine else None)
        self._drift = self._apart()
        self._looked_at: float | None = None
        self._reminded_at: float | None = None
        self._uncertain = 0

    def look(self) -> None:
        """Now and then. Raises Unavailable while nothing may be sent from here, and goes on by itself afterwards."""
        if self._looked_at is not None and monotonic() - self._looked_at < _LOOK_EVERY:
            return
        house = self._house
        if self._on:
            self._memory = look(self._memory, house.witness, store=house.store, clock=house.clock)
        self._refuse_a_wrong_clock()
        self._remind()
        self._looked_at = monotonic()

    def leave(self) -> None:
        """What happened to the end is remembered too."""
        if self._on:
            look(self._memory, self._house.witness, store=self._house.store, clock=self._house.clock)

    def jumped(self) -> bool:
        """Has somebody set the clock? By years: then nothing leaves until a human has looked at it."""
        before, self._drift = self._drift, self._apart()
        if before is None or self._drift is None or abs(self._drift - before) <= _JUMP:
            return False
        jump, house = self._drift - before, self._house
        log.warning("the clock of this machine jumped by %s: what is due is looked at anew", _signed(jump))
        if jump > house.pace.max_lateness:
            why = (
                f"the clock of a machine jumped by {_signed(jump)}, to {house.clock.now():%d %b %Y %H:%M} UTC"
            )
            with house.store.transaction(house.clock.now(), "the clock") as ledger:
                ledger.watch.brake(why, firmly=ledger.lineage.doubt() is None)
            log.error("nothing is sent: %s. When the clock is right: relent resume --all", why)
        return True

    def _refuse_a_wrong_clock(self) -> None:
        """Letters leave by one clock; each machine has its own, and the database has one for all."""
        if not self._machine:
            return
        with self._house.store.reading(self._house.clock.now()) as ledger:
            theirs, ours = ledger.lineage.time(), self._house.clock.now()
        if theirs is not None and abs(ours - theirs) > _APART:
            raise WrongClock(
                f"the clock of this machine is {_signed(ours - theirs)} away from the database's: "
                "nothing is sent from here until one of them is set right"
            )

    def _remind(self) -> None:
        """Of what only a human can end: at once when there is more of it, and every ten minutes."""
        house = self._house
        with house.store.reading(house.clock.now()) as ledger:
            (doubtful, first), brake = ledger.drafts.in_doubt(_NAMED), ledger.watch.braked()
        if brake and brake.why.startswith(RESTORED):
            self._ask()
        more, self._uncertain = doubtful > self._uncertain, doubtful
        if not more and self._reminded_at and monotonic() - self._reminded_at < _REMIND_EVERY:
            return
        self._reminded_at = monotonic()
        if doubtful:
            log.warning(
                "%s uncertain, and not sent again by themselves: they may have left. Look into the mailbox, then say "
                "`relent settle DRAFT_ID --left` or `--did-not-leave`. The first: %s",
                _drafts(doubtful),
                ", ".join(first),
            )
        if brake:
            log.warning(
                "nothing leaves since %s: %s. `relent resume --all` lets it go", _said(brake.since), brake.why
            )

    def _ask(self) -> None:
        """A mailbox that remembers can say of what was held whether it left."""
        if self._reminded_at and monotonic() - self._reminded_at < _REMIND_EVERY:
            return
        house = self._house
        if found := ask_the_mailbox(store=house.store, mailbox=house.mailbox, clock=house.clock):
            log.info("the mailbox says that %d of the drafts that were held had left", found)

    def _apart(self) -> timedelta | None:
        """How far the clock is from what goes on evenly."""
        if self._steady is None:
            return None
        return self._house.clock.now() - datetime.fromtimestamp(
            self._steady(), self._house.clock.now().tzinfo
        )


def warn(house: House) -> None:
    """Whoever starts it hears at once what keeps everything from leaving, and what is not safe."""
    with house.store.reading(house.clock.now()) as ledger:
        brake = ledger.watch.braked()
    if brake:
        words = f"Nothing leaves since {_said(brake.since)}: {brake.why}.\nWebhooks are heard all the same. "
        show.say(f"{words}When it may go on: relent resume --all", style="bold red", on=show.complaints)
    file = file_of(house.store)
    if file is not None and (kind := network_disk(file)):
        words = f"{file} lies on a network ({kind}), where two machines may write at once and lose what the other wrote."
        show.say(f"{words} Use a disk of this machine, or PostgreSQL.", style="yellow", on=show.complaints)


def _since_boot() -> float:
    """With the time in which the machine slept: whoever wakes up has a clock that is right."""
    counted = getattr(time, "CLOCK_BOOTTIME", None)
    return monotonic() if counted is None else time.clock_gettime(counted)


def _signed(jump: timedelta) -> str:
    whole = timedelta(seconds=round(abs(jump).total_seconds()))
    return f"{'-' if jump < timedelta(0) else '+'}{whole}"


def _said(at: datetime) -> str:
    return f"{at:%a %d %b %H:%M} UTC"


def _drafts(number: int) -> str:
    return "1 draft is" if number == 1 else f"{number:,} drafts are"
