"""Story: a human says yes: to a letter that waits, to one that was refused, to a person who is paused."""

from dataclasses import dataclass

from engine.addresses import contact
from engine.advance import advance
from engine.errors import NotFound, Refused
from engine.model import Enrollment
from engine.plan import Waiting
from engine.seams import Clock
from engine.states import DraftState
from engine.store import Ledger, Store


@dataclass(frozen=True, slots=True)
class Approved:
    """It goes at its hour, or at once if that has passed."""

    draft_id: str


@dataclass(frozen=True, slots=True)
class Resumed:
    """This enrollment goes on, or still waits for something."""

    enrollment_id: str
    waits_for: str | None


def resume(email: str, *, by: str, store: Store, clock: Clock) -> list[Resumed]:
    """What was planned is planned anew: nothing is caught up on."""
    with store.transaction(clock.now(), by) as ledger:
        paused = ledger.enrollments.paused(contact(email))
        if not paused:
            raise NotFound(f"nobody called {email} is paused")
        ledger.threads.lock([each.id for each in ledger.threads.of_people([contact(email)], ())])
        return [_resume(enrollment, ledger) for enrollment in paused]


def _resume(enrollment: Enrollment, ledger: Ledger) -> Resumed:
    ledger.threads.lock([enrollment.thread_id])
    ledger.enrollments.resume(enrollment, variables=enrollment.variables, version=enrollment.version)
    planned = advance(ledger.enrollments.lock(enrollment.id), ledger)
    return Resumed(enrollment.id, planned.reason if isinstance(planned, Waiting) else None)


def approve(draft_id: str, *, by: str, store: Store, clock: Clock) -> Approved:
    """One winner: who approves what has changed or gone meanwhile is told so."""
    with store.transaction(clock.now(), by) as ledger:
        draft = ledger.drafts.get(draft_id)
        if draft is None:
            raise NotFound(f"there is no draft {draft_id}")
        match draft.state:
            case DraftState.HELD:
                done = ledger.drafts.approve(draft, by=by, send_at=max(draft.send_at, ledger.now))
            case DraftState.FAILED:
                done = ledger.drafts.retry(draft)
            case _:
                raise Refused(f"{draft_id} is {draft.state}: there is nothing to approve")
        if not done:
            raise Refused(f"{draft_id} was called back or changed meanwhile")
    return Approved(draft_id)
