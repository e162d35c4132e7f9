"""Story: from due to sent. Whatever is due is claimed, and carried a letter at a time."""

import secrets
from collections import deque
from collections.abc import Collection, Generator
from datetime import timedelta
from threading import Event
from time import monotonic

from engine import owner
from engine.carry import Hands, carry, let_go
from engine.model import Draft, Pace
from engine.seams import Clock, Mailbox
from engine.settle import Outcome
from engine.store import Store
from engine.trail import story


def dispatch_due(
    *,
    store: Store,
    mailbox: Mailbox,
    clock: Clock,
    pace: Pace,
    enough: Event | None = None,
    only: Collection[str] | None = None,
    waited: timedelta = timedelta(0),
) -> Generator[Outcome]:
    """Claim what is due and send it. Nothing is claimed that this call does not also let go.

    `only`: of these drafts, those that are due. `waited`: what has been due for so long, and nobody took it.
    """
    hands = Hands(store, mailbox, clock, pace, enough or Event())
    with store.transaction(clock.now(), "dispatch") as ledger:
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
        if ration and claimed:
            ledger.watch.use(ration, len(claimed))
    begun, waiting = monotonic(), deque(claimed)
    try:
        while waiting and not hands.enough.is_set() and monotonic() - begun <= pace.lease.total_seconds() / 2:
            yield _carry(waiting.popleft(), hands)
    finally:  # also when the caller has had enough
        mailbox.rest()
        if waiting:
            let_go(waiting, hands)


def _carry(draft: Draft, hands: Hands) -> Outcome:
    """Each letter is a story of its own, in whoever's tick its hour came."""
    with story():
        return carry(draft, hands)
