"""Story: what would come if this person were resumed now? Reads only, and finds the dates that a resume would find."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from engine.addresses import contact
from engine.advance import winners_of
from engine.errors import Refused
from engine.hours import Absence
from engine.model import Draft, Enrollment
from engine.plan import Errand, Plan, Planned, Waiting, hour_of_a_yes, plan, zone_of
from engine.seams import Clock
from engine.sequence import Sequence
from engine.states import DraftState, EnrollmentState, HoldReason
from engine.store import Ledger, Life, Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsed:
    """How one enrollment would go on."""

    enrollment_id: str
    sequence: str
    paused_for: str | None  #: what it waits for now
    zone: str  #: theirs
    next: str  #: the step, or what is said in its place
    at: datetime | None  #: None: nothing has a date then either
    why: str  #: why then
    was_at: datetime | None = None  #: the hour that it had before
    needs_yes: bool = False  #: and then a human has to say yes besides


def rehearse(email: str, *, store: Store, clock: Clock) -> list[Rehearsed]:
    """Nobody: this person is not paused."""
    person = contact(email)
    with store.reading(clock.now()) as ledger:
        lives = ledger.enrollments.lives(person)
        waiting = [since for life in lives if (since := _since(life, ledger))]
        return [_rehearse(life, ledger) for life in waiting]


def _since(life: Life, ledger: Ledger) -> Life | None:
    """And since when they wait for a human: paused, or away until somebody says that they are back. None: they do not."""
    if life.enrollment.state == EnrollmentState.PAUSED:
        return life
    if life.enrollment.state != EnrollmentState.ACTIVE:
        return None
    draft = ledger.drafts.of(life.enrollment.id)
    if draft is None or draft.state != DraftState.HELD or draft.held_until is not None:
        return None
    is_away = draft.outcome == HoldReason.OUT_OF_OFFICE
    return Life(life.enrollment, ledger.views.changed(draft.id)) if is_away else None


def _rehearse(life: Life, ledger: Ledger) -> Rehearsed:
    person = replace(life.enrollment, state=EnrollmentState.ACTIVE, reason=None)
    pending = ledger.drafts.of(person.id)
    told = Rehearsed(
        enrollment_id=person.id,
        sequence=person.sequence,
        paused_for=life.enrollment.reason or (pending.outcome if pending else None),
        zone="UTC",
        next=pending.step if pending else "",
        at=pending.send_at if pending else None,
        why=pending.reason if pending else "",
        was_at=pending.send_at if pending else None,
        needs_yes=pending is not None and pending.state == DraftState.HELD and not _has_its_yes(pending),
    )
    try:
        sequence = ledger.enrollments.version(person.version)
        told = replace(told, zone=zone_of(sequence, person.variables))
        return replace(told, **dict(_then(sequence, person, life.since, pending, ledger)))
    except (Refused, ValueError, LookupError) as error:
        return replace(told, next=told.next or "nothing", why=f"cannot be planned: {error}")


def _then(
    sequence: Sequence, person: Enrollment, since: datetime, pending: Draft | None, ledger: Ledger
) -> Iterator[tuple[str, Any]]:
    """What is different from now. The time between does not use up a wait."""
    history = ledger.past.of(person.id, person.contact)
    history = replace(history, absences=(*history.absences, Absence(since, ledger.now)))
    diary = ledger.diaries.booked_besides(pending.id if pending else None, sequence.limits)
    planned = plan(sequence, person, history, ledger.now, diary=diary, winners=winners_of(sequence, ledger))
    if pending is None:
        yield from _anew(planned, ledger.now)
    elif isinstance(planned, Planned) and planned.step == pending.step:
        yield from (("at", planned.send_at), ("why", planned.reason))
    elif pending.state == DraftState.HELD:
        hour = hour_of_a_yes(replace(pending, outcome=None), sequence, person, history, ledger.now)
        yield from (("at", hour.at), ("why", hour.reason or pending.reason))


def _anew(planned: Plan, now: datetime) -> Iterator[tuple[str, Any]]:
    """No letter lies there: what the planner would do."""
    match planned:
        case Planned():
            yield from (("next", planned.step), ("at", planned.send_at), ("why", planned.reason))
            yield "needs_yes", planned.held
        case Errand():
            yield from (("next", planned.step), ("at", max(planned.at, now)), ("why", f"a {planned.kind}"))
        case Waiting():
            yield from (("next", "nothing"), ("at", planned.until), ("why", planned.reason))
        case _:
            yield from (("next", "nothing"), ("why", "everything was said"))


def _has_its_yes(draft: Draft) -> bool:
    return draft.approved_sha == draft.content_sha
