"""Story: what the dead left behind, and what time has changed. Harmless to run anywhere, any time, by anybody."""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from engine import owner
from engine.errors import MailboxError, NotFound, Refused
from engine.model import Draft, Pace
from engine.ready import as_it_left
from engine.seams import Clock, Mailbox, Trace
from engine.settle import INSIDE, departed
from engine.states import DraftState
from engine.store import Doubtful, Ledger, Store
from engine.trail import about, span

log = logging.getLogger("relent.recover")

_AT_ONCE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """How many drafts were found, and what became of them."""

    freed: int = 0  #: their worker is gone; they are due again
    doubted: int = 0  #: their worker is gone, and they may have left
    woken: int = 0  #: the absence is over
    late: int = 0  #: too late to go without a human's word
    proven: int = 0  #: the mailbox could say whether they left


def recover(*, store: Store, mailbox: Mailbox, clock: Clock, pace: Pace) -> Recovered:
    with span("recover") as told:
        found = _recover(store=store, mailbox=mailbox, clock=clock, pace=pace)
        told.says(**{name: number for name, number in asdict(found).items() if number})
        if found != Recovered():
            log.info("recovered: %s", found)
    return found


def _recover(*, store: Store, mailbox: Mailbox, clock: Clock, pace: Pace) -> Recovered:
    with store.transaction(clock.now(), "recovery") as ledger:
        gone = owner.dead(ledger.drafts.owners())
        freed = ledger.drafts.free_abandoned(gone)
        doubted = ledger.drafts.doubt_abandoned(gone, fence=pace.fence)
        going = ledger.watch.braked() is None  # else nothing leaves anyway, and perhaps the clock is wrong
        woken = ledger.drafts.wake() if going else ()
        late = ledger.drafts.hold_late(pace.max_lateness) if going else ()
        void = ledger.drafts.void_old()
        for kind, rows in {"draft.uncertain": doubted, "draft.held": [*late, *void]}.items():
            _tell(kind, rows, ledger)
    proven = sum(_proves(each, store, mailbox, clock) for each in _doubtful(store, mailbox, clock))
    return Recovered(freed=len(freed), doubted=len(doubted), woken=len(woken), late=len(late), proven=proven)


def _doubtful(store: Store, mailbox: Mailbox, clock: Clock) -> Iterator[Doubtful]:
    """Some at a time, and only what somebody can be asked about."""
    after = ""
    while True:
        with store.reading(clock.now()) as ledger:
            page = ledger.drafts.doubtful({INSIDE, mailbox.name}, after=after, at_most=_AT_ONCE)
        yield from page
        if len(page) < _AT_ONCE:
            return
        after = page[-1].id


def _tell(kind: str, rows: Iterable[Any], ledger: Ledger) -> None:
    for row in rows:
        ledger.outbox.tell(
            kind,
            inbox_id=row.inbox_id,
            thread_id=row.thread_id,
            message_id=row.message_id,
            draft_id=row.id,
            reason=row.outcome,
        )


def settle_doubt(draft_id: str, *, left: bool, by: str, store: Store, clock: Clock) -> None:
    """A human looked into the mailbox: it went out, or it did not. Raises NotFound, or Refused when there is no doubt."""
    with store.transaction(clock.now(), by) as ledger:
        if (seen := ledger.drafts.get(draft_id)) is None:
            raise NotFound(f"there is no draft {draft_id}")
        ledger.threads.lock([seen.thread_id])
        draft = ledger.drafts.get(draft_id) or seen
        if draft.state != DraftState.UNCERTAIN:
            raise Refused(f"{draft_id} is {draft.state}: there is no doubt about it")
        _write_down(draft, left, f"{by} says so", ledger)


def _proves(doubtful: Doubtful, store: Store, mailbox: Mailbox, clock: Clock) -> bool:
    """One about which nothing can be noted must not keep everybody else's letters waiting."""
    with about(draft_id=doubtful.id, enrollment_id=doubtful.enrollment_id):
        try:
            return _prove(doubtful, store, mailbox, clock)
        except SQLAlchemyError:
            raise
        except Exception:
            log.exception("%s: our own mistake; the doubt stays", doubtful.id)
            return False


def _prove(doubtful: Doubtful, store: Store, mailbox: Mailbox, clock: Clock) -> bool:
    """Ask who carried it. Whoever cannot say leaves it to a human: a doubled letter is worse than a missing one."""
    trace = _trace(doubtful, mailbox)
    if trace is Trace.UNKNOWN:
        return False
    with store.transaction(clock.now(), "recovery") as ledger:
        return _settled(doubtful, trace is Trace.FOUND, ledger)


def _settled(doubtful: Doubtful, left: bool, ledger: Ledger) -> bool:
    """False: somebody was faster, and what was asked about is another try of it."""
    seen = ledger.drafts.get(doubtful.id)
    if seen is None:
        return False
    ledger.threads.lock([seen.thread_id])
    draft = ledger.drafts.get(doubtful.id) or seen
    if draft.state != DraftState.UNCERTAIN or draft.claim_token != doubtful.claim_token:
        return False
    _write_down(draft, left, f"{draft.carrier} says so", ledger)
    return True


def _trace(draft: Doubtful, mailbox: Mailbox) -> Trace:
    if draft.carrier == INSIDE:
        return Trace.ABSENT  # that it arrived would stand in the books, together with that it left
    if draft.carrier != mailbox.name:
        return Trace.UNKNOWN
    try:
        return mailbox.find(draft.message_id)
    except MailboxError as error:
        log.warning("%s: the mailbox cannot be asked: %s", draft.id, error)
        return Trace.UNKNOWN


def _write_down(draft: Draft, left: bool, why: str, ledger: Ledger) -> None:
    if left:
        departed(draft, as_it_left(draft, ledger), why, ledger=ledger)
    elif not ledger.drafts.disprove(draft, f"it did not leave: {why}"):
        ledger.threads.untag_ended(draft.id)
