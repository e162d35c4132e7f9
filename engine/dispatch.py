"""Story: from due to sent. Whatever is due is claimed, and carried a letter at a time."""

import secrets
from collections import deque
from collections.abc import Generator
from threading import Event
from time import monotonic

from engine import owner
from engine.carry import Hands, carry, let_go
from engine.model import Pace
from engine.seams import Clock, Mailbox
from engine.settle import Outcome
from engine.store import Store


def dispatch_due(
    *, store: Store, mailbox: Mailbox, clock: Clock, pace: Pace, enough: Event | None = None
) -> Generator[Outcome]:
    """Claim what is due and send it. Nothing is claimed that this call does not also let go."""
    hands = Hands(store, mailbox, clock, pace, enough or Event())
    with store.transaction(clock.now(), "dispatch") as ledger:
        ration = ledger.watch.ration(pace.rate) if pace.rate else None
        claimed = ledger.drafts.claim(
            token=secrets.token_hex(16),
            owner=owner.me(),
            lease=pace.lease,
            at_most=pace.batch if ration is None else min(pace.batch, ration.letters),
            max_lateness=pace.max_lateness,
        )
        if ration and claimed:
            ledger.watch.use(ration, len(claimed))
    begun, waiting = monotonic(), deque(claimed)
    try:
        while waiting and not hands.enough.is_set() and monotonic() - begun <= pace.lease.total_seconds() / 2:
            yield carry(waiting.popleft(), hands)
    finally:  # also when the caller has had enough
        mailbox.rest()
        if waiting:
            let_go(waiting, hands)
