"""Story: a human says yes: to a letter that waits, to one that was refused, to a person who is paused."""

from dataclasses import dataclass
from datetime import datetime

from engine.addresses import contact
from engine.advance import advance, look_ahead
from engine.errors import NotFound, Refused
from engine.hours import Absence
from engine.model import Draft
from engine.plan import Planned, Waiting, calendar_of
from engine.seams import Clock
from engine.states import DraftState
from engine.store import Ledger, Life, Store


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
        return [_resume(life, ledger) for life in paused]


def _resume(life: Life, ledger: Ledger) -> Resumed:
    """The time between did not use up a wait; so nothing bursts out at once."""
    enrollment = life.enrollment
    ledger.enrollments.resume(enrollment, variables=enrollment.variables, version=enrollment.version)
    ledger.past.be_away(enrollment.id, Absence(life.since, ledger.now))
    active = ledger.enrollments.lock(enrollment.id)
    pending = ledger.drafts.of(enrollment.id)
    if pending is None:
        planned = advance(active, ledger)
        return Resumed(enrollment.id, planned.reason if isinstance(planned, Waiting) else None)
    planned = look_ahead(active, ledger, besides=pending).plan
    if isinstance(planned, Planned) and planned.step == pending.step:
        ledger.drafts.redate(pending, send_at=planned.send_at, why=planned.reason)
    return Resumed(enrollment.id, None)


def approve(draft_id: str, *, by: str, store: Store, clock: Clock) -> Approved:
    """One winner: who approves what has changed or gone meanwhile is told so."""
    with store.transaction(clock.now(), by) as ledger:
        draft = ledger.drafts.get(draft_id)
        if draft is None:
            raise NotFound(f"there is no draft {draft_id}")
        match draft.state:
            case DraftState.HELD:
                done = ledger.drafts.approve(draft, by=by, send_at=_hour(draft, ledger))
            case DraftState.FAILED:
                done = ledger.drafts.retry(draft)
            case _:
                raise Refused(f"{draft_id} is {draft.state}: there is nothing to approve")
        if not done:
            raise Refused(f"{draft_id} was called back or changed meanwhile")
    return Approved(draft_id)


def _hour(draft: Draft, ledger: Ledger) -> datetime:
    """Its own; or, if that has passed, as soon as this person may be written to: a yes on a Sunday is no Sunday's mail."""
    if draft.send_at >= ledger.now or draft.enrollment_id is None:
        return max(draft.send_at, ledger.now)
    enrollment = ledger.enrollments.get(draft.enrollment_id)
    sequence = ledger.enrollments.version(enrollment.version)
    return calendar_of(sequence, enrollment.variables).next_open(ledger.now).at
