"""Story: nothing was due for somebody but time itself: an errand, or the end of a wait for something."""

import logging

from sqlalchemy.exc import SQLAlchemyError

from engine.advance import advance
from engine.model import Enrollment
from engine.seams import Clock
from engine.states import EnrollmentState
from engine.store import Store

log = logging.getLogger("relent.wake")

_AT_ONCE = 100
_OUR_MISTAKE = "cannot be planned: our own mistake, and it is in the log"


def wake_due(*, store: Store, clock: Clock) -> int:
    """Go on with those who have slept long enough, each in a transaction of their own. How many were woken here."""
    with store.reading(clock.now()) as ledger:
        if ledger.watch.braked():  # perhaps because the clock is wrong
            return 0
        sleepers = ledger.enrollments.awake(_AT_ONCE)
    return sum(_wake(sleeper, store, clock) for sleeper in sleepers)


def _wake(sleeper: Enrollment, store: Store, clock: Clock) -> bool:
    """One who cannot be woken must not keep everybody else's letters waiting."""
    try:
        return _go_on(sleeper, store, clock)
    except SQLAlchemyError:
        raise
    except Exception:
        log.exception("%s cannot be woken", sleeper.id)
        with store.transaction(clock.now(), "the clock") as ledger:
            ledger.enrollments.pause([sleeper.id], _OUR_MISTAKE)
        return True


def _go_on(sleeper: Enrollment, store: Store, clock: Clock) -> bool:
    with store.transaction(clock.now(), "the clock") as ledger:
        ledger.threads.lock([sleeper.thread_id])
        found = ledger.enrollments.lock(sleeper.id)
        if found.wake_at is None or found.wake_at > ledger.now:
            return False  # somebody was faster
        ledger.enrollments.sleep(found.id, None)
        if found.state == EnrollmentState.ACTIVE and ledger.drafts.of(found.id) is None:
            advance(found, ledger)
        return True
