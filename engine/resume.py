"""Story: whoever is paused goes on: one person, or everybody in a sequence. Nothing is caught up on."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace

from engine.addresses import contact
from engine.advance import advance, look_ahead
from engine.brake import OF_A_SEQUENCE, refuse_unknown
from engine.errors import NotFound
from engine.hours import Absence, Opening
from engine.model import Draft
from engine.plan import Planned, Waiting, hour_of_a_yes
from engine.seams import Clock
from engine.states import HoldReason
from engine.store import Ledger, Life, Store

_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Resumed:
    """This enrollment goes on, or still waits for something."""

    enrollment_id: str
    waits_for: str | None


def resume(
    email: str, *, by: str, store: Store, clock: Clock, inboxes: Collection[str] | None = None
) -> list[Resumed]:
    """What was planned is planned anew: nothing is caught up on. `inboxes`: only where one of these writes to them."""
    person = contact(email)
    with store.transaction(clock.now(), by) as ledger:
        ledger.threads.lock([each.id for each in ledger.threads.of_people([person], ())])
        resumed = [_resume(life, ledger) for life in _of(inboxes, ledger.enrollments.paused(person))]
        away = ledger.enrollments.away_without_end(person)
        resumed += [_come_back(life, ledger) for life in _of(inboxes, away)]
        if not resumed:
            raise NotFound(f"nobody called {email} is paused")
        return list({each.enrollment_id: each for each in resumed}.values())


def _of(inboxes: Collection[str] | None, lives: Iterable[Life]) -> list[Life]:
    return [life for life in lives if inboxes is None or life.enrollment.inbox_id in inboxes]


def resume_sequence(name: str, *, by: str, store: Store, clock: Clock) -> Iterator[Resumed]:
    """Everybody whom it was that paused, by a human's word or by its own rules; each in a transaction of their own.

    Whoever waits for something of their own goes on waiting for it.
    """
    with store.reading(clock.now()) as ledger:
        refuse_unknown(name, ledger.enrollments.sequences())
    after = ""
    while True:
        with store.reading(clock.now()) as ledger:
            lives = ledger.enrollments.paused_in(name, OF_A_SEQUENCE, after=after, at_most=_AT_ONCE)
        for life in lives:
            yield from _resume_one(life, by, store, clock)
        if not lives:
            return
        after = lives[-1].enrollment.id


def _resume_one(seen: Life, by: str, store: Store, clock: Clock) -> Iterator[Resumed]:
    with store.transaction(clock.now(), by) as ledger:
        ledger.threads.lock([seen.enrollment.thread_id])
        still = ledger.enrollments.paused(seen.enrollment.contact)
        same = [
            life for life in still if life.enrollment.id == seen.enrollment.id and life.since == seen.since
        ]
        resumed = [_resume(life, ledger) for life in same]
    yield from resumed


def _resume(life: Life, ledger: Ledger) -> Resumed:
    """The time between did not use up a wait; so nothing bursts out at once."""
    enrollment = life.enrollment
    ledger.enrollments.resume(enrollment, variables=enrollment.variables, version=enrollment.version)
    ledger.past.be_away(enrollment.id, Absence(life.since, ledger.now))
    active = ledger.enrollments.lock(enrollment.id)
    pending = ledger.drafts.of(enrollment.id)
    if (
        pending and pending.outcome == HoldReason.REJECTED
    ):  # it is to be reworded, and stands in the queue again
        ledger.drafts.ask(pending, HoldReason.APPROVAL)
    if pending is None:
        planned = advance(active, ledger)
        return Resumed(enrollment.id, planned.reason if isinstance(planned, Waiting) else None)
    planned = look_ahead(active, ledger, besides=pending).plan
    if isinstance(planned, Planned) and planned.step == pending.step:
        ledger.drafts.redate(pending, send_at=planned.send_at, why=planned.reason)
    return Resumed(enrollment.id, None)


def _come_back(life: Life, ledger: Ledger) -> Resumed:
    """They are there again: what is left of the wait is still to come. A yes that was never said is still waited for."""
    enrollment = ledger.enrollments.lock(life.enrollment.id)
    ledger.past.be_away(enrollment.id, Absence(life.since, ledger.now))
    draft = ledger.drafts.of(enrollment.id)
    if draft is None:
        return Resumed(enrollment.id, None)
    planned = look_ahead(enrollment, ledger, besides=draft).plan
    hour = hour_if_approved(replace(draft, outcome=None), ledger)
    if isinstance(planned, Planned) and planned.step == draft.step:
        hour = Opening(planned.send_at, planned.reason)
    if draft.approved_sha != draft.content_sha:
        ledger.drafts.hold(draft, HoldReason.APPROVAL, send_at=hour.at, until=None)
        return Resumed(enrollment.id, HoldReason.APPROVAL)
    ledger.drafts.let_go(draft, send_at=hour.at, why=hour.reason)
    return Resumed(enrollment.id, None)


def hour_if_approved(draft: Draft, ledger: Ledger) -> Opening:
    """When it leaves, if this is a yes."""
    if draft.enrollment_id is None:  # whoever gave it no hour wants it gone as soon as somebody says yes
        return Opening(max(draft.send_at, ledger.now) if draft.has_an_hour else ledger.now, None)
    enrollment = ledger.enrollments.get(draft.enrollment_id)
    sequence = ledger.enrollments.version(enrollment.version)
    history = ledger.past.of(enrollment.id, enrollment.contact)
    return hour_of_a_yes(draft, sequence, enrollment, history, ledger.now)
