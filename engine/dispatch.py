"""Story: from due to sent. Whatever is due is claimed, and carried a letter at a time; by several hands, if there are many."""

import logging
import secrets
from collections import deque
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from threading import Event, Thread
from time import monotonic

from engine import owner
from engine.addresses import CANARY
from engine.carry import Batch, Hands, carry, let_go
from engine.model import Draft, Pace
from engine.ready import look_around
from engine.room import keep_room
from engine.seams import Clock, Mailbox
from engine.settle import Outcome, Postponed
from engine.store import Forecast, Store, Together, is_outage
from engine.trail import story

log = logging.getLogger("relent.dispatch")

_WORTH_A_LINE = 20  #: for fewer letters nobody opens another connection
_A_MOMENT = 1.0  #: for whoever is slow, at the end of a batch


def dispatch_due(
    *,
    store: Store,
    mailbox: Mailbox,
    clock: Clock,
    pace: Pace,
    enough: Event | None = None,
    only: Collection[str] | None = None,
    waited: timedelta = timedelta(0),
    beside: Sequence[Mailbox] = (),
    helpers: "Helpers | None" = None,
    forecast: Forecast | None = None,
    not_now: Callable[[], bool] = lambda: False,
) -> Generator[Outcome]:
    """Claim what is due and send it. Nothing is claimed that this call does not also let go.

    `only`: of these drafts, those that are due. `waited`: what has been due for so long, and nobody took it. `beside`:
    more lines out, each of which takes letters of the same batch, in hands of its own. `helpers`, `forecast`: whose these
    hands are, and what they have counted, for whoever calls this again and again; else nobody is left at work when this is
    over. `not_now`: asked before each letter.
    """
    enough = enough or Event()
    hands = Hands(store, mailbox, clock, pace, enough)
    patience = None if helpers is None else _A_MOMENT
    helpers = helpers or Helpers()
    yield from helpers.became()
    claimed = _claim(hands, only, waited)
    if not claimed:
        mailbox.rest()
        return
    batch = _look_around(claimed, hands, (forecast or Forecast()).begin())
    table = _Table(deque(claimed), batch, not_now, until=monotonic() + pace.lease.total_seconds() / 2)
    lines = helpers.free(beside)[: (len(claimed) - 1) // _WORTH_A_LINE]
    together = Together(store) if lines else None
    hands = replace(hands, together=together)
    try:
        helpers.begin(_Helper(table, replace(hands, mailbox=each)) for each in lines)
        for draft in table.taken(hands):
            yield _carry(draft, hands, batch)
            yield from helpers.became()
    finally:  # also when the caller has had enough
        try:
            if waiting := table.clear():
                let_go(waiting, hands)
        finally:
            mailbox.rest()
            helpers.wait(table, patience)
    yield from helpers.became()


def _carry(draft: Draft, hands: Hands, batch: Batch | None) -> Outcome:
    """Each letter is a story of its own, in whoever's tick its hour came."""
    with story():
        return carry(draft, hands, batch)


def _claim(hands: Hands, only: Collection[str] | None, waited: timedelta) -> list[Draft]:
    pace = hands.pace
    with hands.store.transaction(hands.clock.now(), "dispatch") as ledger:
        ration = ledger.watch.ration(pace.rate) if pace.rate else None
        claimed = ledger.drafts.claim(
            token=secrets.token_hex(16),
            owner=owner.me(),
            lease=pace.lease,
            at_most=pace.batch if ration is None else min(pace.batch, ration.letters),
            max_lateness=pace.max_lateness,
            only=only,
            waited=waited,
        )
        if ration and (letters := sum(each.inbox_id != CANARY for each in claimed)):
            ledger.watch.use(ration, letters)
        return claimed


def _look_around(claimed: list[Draft], hands: Hands, forecast: Forecast) -> Batch | None:
    """What all of them need to know is read once, and room is kept for them as far as there is plenty.

    After they were claimed, not with it: whoever waits for a turn to count holds no letter that an answer waits for.
    None: one of them trips over a mistake of ours. Each is looked at when it is carried, so that none trips but that one.
    """
    try:
        with hands.store.transaction(hands.clock.now(), "dispatch") as ledger:
            around = look_around(claimed, ledger)
            kept = keep_room(claimed, around.whose, ledger, forecast)
            return Batch(around=around, kept=kept, forecast=forecast)
    except BaseException as error:
        if isinstance(error, Exception) and not is_outage(error):
            log.warning("%d letters cannot be looked at together", len(claimed), exc_info=True)
            return None
        let_go(claimed, hands)
        raise


@dataclass(frozen=True, slots=True)
class _Table:
    """Where the letters of a batch lie. Whoever has a hand free takes the next one, and says what became of it."""

    waiting: deque[Draft]
    batch: Batch | None
    not_now: Callable[[], bool]
    until: float
    done: deque[Outcome] = field(default_factory=deque, init=False)

    def taken(self, hands: Hands) -> Iterator[Draft]:
        """One after the other, for as long as there are any and the claim is good for one more."""
        while not hands.enough.is_set() and monotonic() <= self.until and not self.not_now():
            try:
                yield self.waiting.popleft()
            except IndexError:
                return

    def became(self) -> Iterator[Outcome]:
        while self.done:
            yield self.done.popleft()

    def clear(self) -> list[Draft]:
        """What nobody has taken, and nobody takes any more."""
        left: list[Draft] = []
        while self.waiting:
            try:
                left.append(self.waiting.popleft())
            except IndexError:
                break
        return left


class _Helper(Thread):
    """One more pair of hands, and a line of its own."""

    def __init__(self, table: _Table, hands: Hands) -> None:
        super().__init__(name="relent-line", daemon=True)
        self.table, self._hands = table, hands

    @property
    def line(self) -> Mailbox:
        return self._hands.mailbox

    def run(self) -> None:
        try:
            for draft in self.table.taken(self._hands):
                became = _carry(draft, self._hands, self.table.batch)
                self.table.done.append(became)
                if isinstance(became, Postponed) and became.turned_away:
                    return
        except Exception:
            log.exception("our own mistake; recovery sees to the letter that was in these hands")
        finally:
            self._hands.mailbox.rest()


class Helpers:
    """More pairs of hands. Who is slow with a letter keeps it, and the line, when its batch is over.

    A mail server may take ten minutes to answer the last dot. What it is to carry then is safe: it is claimed, or past its
    gate, and what becomes of it is written down by whoever carries it.
    """

    def __init__(self) -> None:
        self._busy: list[_Helper] = []

    def begin(self, new: Iterable[_Helper]) -> None:
        for each in new:
            each.start()
            self._busy.append(each)

    def free(self, lines: Sequence[Mailbox]) -> list[Mailbox]:
        taken = [each.line for each in self._busy if each.is_alive()]
        return [line for line in lines if not any(line is each for each in taken)]

    def became(self) -> Iterator[Outcome]:
        """What became of their letters since somebody last asked."""
        for each in list(self._busy):
            ended = not each.is_alive()  # asked first: then there is no more to come
            yield from each.table.became()
            if ended:
                self._busy.remove(each)

    def wait(self, at: _Table, patience: float | None) -> None:
        """Until the last of those at this table is free; or for so many seconds."""
        until = None if patience is None else monotonic() + patience
        for each in self._busy:
            if each.table is at:
                each.join(None if until is None else max(until - monotonic(), 0.0))

    def finish(self) -> Iterator[Outcome]:
        """Whatever is at hand."""
        for each in self._busy:
            each.join()
        yield from self.became()
