"""Story: from due to sent. Whatever is due is claimed, and carried a letter at a time; by several hands, if there are many."""

import logging
import secrets
from collections import deque
from collections.abc import Collection, Generator, Iterator, Sequence
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
from engine.store import Forecast, Store, Together
from engine.trail import story

log = logging.getLogger("relent.dispatch")

_WORTH_A_LINE = 20  #: for fewer letters nobody opens another connection


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
    forecast: Forecast | None = None,
) -> Generator[Outcome]:
    """Claim what is due and send it. Nothing is claimed that this call does not also let go.

    `only`: of these drafts, those that are due. `waited`: what has been due for so long, and nobody took it. `beside`:
    more lines out, each of which takes letters of the same batch, in hands of its own. `forecast`: what whoever calls
    this again and again has counted before.
    """
    enough = enough or Event()
    hands = Hands(store, mailbox, clock, pace, enough)
    claimed = _claim(hands, only, waited)
    if not claimed:
        mailbox.rest()
        return
    batch = _look_around(claimed, hands, (forecast or Forecast()).begin())
    table = _Table(deque(claimed), batch, until=monotonic() + pace.lease.total_seconds() / 2)
    lines = beside[: (len(claimed) - 1) // _WORTH_A_LINE]
    together = Together(store) if lines else None
    hands = replace(hands, together=together)
    helpers = [_Helper(table, replace(hands, mailbox=each)) for each in lines]
    try:
        for each in helpers:
            each.start()
        for draft in table.taken(hands):
            yield _carry(draft, hands, batch)
            yield from table.became()
        for each in helpers:
            each.finish()
            yield from table.became()
    finally:  # also when the caller has had enough
        waiting = table.clear()
        for each in helpers:
            each.finish()
        mailbox.rest()
        if waiting:
            let_go(waiting, hands)


def _carry(draft: Draft, hands: Hands, batch: Batch) -> Outcome:
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


def _look_around(claimed: list[Draft], hands: Hands, forecast: Forecast) -> Batch:
    """What all of them need to know is read once, and room is kept for them as far as there is plenty.

    After they were claimed, not with it: whoever waits for a turn to count holds no letter that an answer waits for.
    """
    try:
        with hands.store.transaction(hands.clock.now(), "dispatch") as ledger:
            around = look_around(claimed, ledger)
            kept = keep_room(claimed, around.whose, ledger, forecast)
            return Batch(around=around, kept=kept, forecast=forecast)
    except BaseException:
        let_go(claimed, hands)
        raise


@dataclass(frozen=True, slots=True)
class _Table:
    """Where the letters of a batch lie. Whoever has a hand free takes the next one, and says what became of it."""

    waiting: deque[Draft]
    batch: Batch
    until: float
    done: deque[Outcome] = field(default_factory=deque, init=False)

    def taken(self, hands: Hands) -> Iterator[Draft]:
        """One after the other, for as long as there are any and the claim is good for one more."""
        while not hands.enough.is_set() and monotonic() <= self.until:
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
        self._table, self._hands = table, hands

    def finish(self) -> None:
        """Whatever is at hand."""
        if self.ident is not None:
            self.join()

    def run(self) -> None:
        try:
            for draft in self._table.taken(self._hands):
                became = _carry(draft, self._hands, self._table.batch)
                self._table.done.append(became)
                if isinstance(became, Postponed):  # by a server that wants no second line from us, say
                    return
        except Exception:
            log.exception("our own mistake; recovery sees to the letter that was in these hands")
        finally:
            self._hands.mailbox.rest()
