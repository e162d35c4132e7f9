"""One more step for one enrollment: its next draft and the label that names it, its next errand, or its end.

Every story that can bring a next step calls this inside its own transaction.
"""

from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

from engine.compose import reply_subject
from engine.errors import Refused
from engine.ids import follow_up_label, message_id, new_id
from engine.model import Attachment, Draft, Enrollment, Thread, content_sha
from engine.oddity import alike, oddities, rank
from engine.plan import Errand, NothingLeft, Plan, Planned, Waiting, calendar_of, plan
from engine.sequence import Sequence
from engine.states import DraftState, HoldReason
from engine.store import Forecast, Ledger
from engine.winner import Score, winner
from engine.wording import way_of

#: The labels that make an answer a good one.
#: The labels of an answer that count as a good one.
POSITIVE = ("interested", "positive")


def advance(
    enrollment: Enrollment, ledger: Ledger, *, forecast: Forecast | None = None, near: Thread | None = None
) -> Plan:
    """The caller holds the enrollment's lock: an answer is either seen here, or sees what is made here.

    `forecast`: whoever brings many next steps counts what is booked once for all of them. `near`: a conversation that
    the caller has read, most likely the one that goes on.
    """
    while True:
        ahead = look_ahead(enrollment, ledger, forecast=forecast)
        sequence, planned = ahead.sequence, ahead.plan
        if not (isinstance(planned, Errand) and planned.at <= ledger.now):
            break
        ledger.past.note_errand(enrollment.id, planned)
    match planned:
        case Planned():
            if _create(planned, enrollment, sequence, ledger, near) and forecast:
                forecast.book(planned.place, planned.send_at)
        case Errand(at=at):
            ledger.enrollments.sleep(enrollment.id, at)
        case NothingLeft():
            ledger.enrollments.finish(enrollment)
        case Waiting(reason, None):
            ledger.enrollments.pause([enrollment.id], reason)
        case Waiting(_, until):
            ledger.enrollments.sleep(enrollment.id, until)
    return planned


@dataclass(frozen=True, slots=True)
class Ahead:
    """What comes next, and by which rules."""

    sequence: Sequence | None
    plan: Plan


def look_ahead(
    enrollment: Enrollment, ledger: Ledger, *, besides: Draft | None = None, forecast: Forecast | None = None
) -> Ahead:
    """What comes next, and nothing is done about it. `besides`: a draft that is being planned anew."""
    sequence = None
    try:
        sequence = ledger.enrollments.version(enrollment.version)
        diary = ledger.diaries.booked_besides(besides.id if besides else None, sequence.limits, forecast)
        history = ledger.past.of(enrollment.id, enrollment.contact)
        winners = winners_of(sequence, ledger)
        return Ahead(sequence, plan(sequence, enrollment, history, ledger.now, diary=diary, winners=winners))
    except (Refused, ValueError, LookupError) as error:
        # Rehearsed at enrolment, so this is a rare day: a zone that is gone, a sequence of a newer Relent.
        # What has just left must be noted all the same; a human will want to know.
        return Ahead(sequence, Waiting(f"cannot be planned: {error}"))


def winners_of(sequence: Sequence, ledger: Ledger) -> dict[str, str]:
    """By step, the way to say it that has proved best; from then on everybody gets it."""
    found = {}
    for step in sequence.every_step():
        if step.winner and step.variants:
            labels = POSITIVE if step.winner.by == "positive_reply" else None
            scores = {
                score.variant: score for score in ledger.enrollments.scores(sequence.name, step.id, labels)
            }
            ways = [way.id for way in step.variants if way.weight and way.id]
            if best := winner(step.winner, [scores.get(way) or Score(way, 0, 0) for way in ways]):
                found[step.id] = best
    return found


def draft_of(
    planned: Planned, enrollment: Enrollment, thread: Thread, sequence: Sequence, ledger: Ledger, key: bytes
) -> Draft:
    """The letter, with its hour and its own Message-ID."""
    draft_id = new_id("drf", ledger.now)
    subject = planned.subject or reply_subject(thread.subject)
    draft = Draft(
        id=draft_id,
        inbox_id=enrollment.inbox_id,
        thread_id=thread.id,
        enrollment_id=enrollment.id,
        step=planned.step,
        state=DraftState.HELD if planned.held else DraftState.SCHEDULED,
        send_at=planned.send_at,
        to=enrollment.email,
        subject=subject,
        text=planned.text,
        html=planned.html,
        cc=planned.cc,
        bcc=planned.bcc,
        attachments=tuple(
            Attachment(name=PurePosixPath(name).name, **sequence.enclosed[name].model_dump())
            for name in planned.attachments
        ),
        message_id=message_id(key, draft_id, planned.step, enrollment.inbox_id),
        reason=planned.reason,
        content_sha="",
        outcome=HoldReason.APPROVAL if planned.held else None,
        variant=planned.variant,
        opener=planned.place.opener,
        company=planned.place.company,
        domain=planned.place.domain,
    )
    sha = content_sha(draft)
    if planned.held:
        return replace(draft, content_sha=sha, **_for_review(draft, enrollment, sequence, ledger))
    return replace(draft, content_sha=sha, approved_sha=sha, approved_by="the sequence")


def _for_review(draft: Draft, enrollment: Enrollment, sequence: Sequence, ledger: Ledger) -> dict[str, Any]:
    """What helps whoever looks at it, and how long it waits for them."""
    way = way_of(draft.step, draft.variant, sequence)
    template = (way.body or way.html) if way else None
    known = {**sequence.defaults, **enrollment.variables}
    found = oddities(draft.text, draft.to, template=template, known=known)
    expires = sequence.approval.expires
    return {
        "oddities": found,
        "rank": rank(found),
        "alike": alike(sequence.version, draft.step, draft.variant),
        "yes_by": calendar_of(sequence, enrollment.variables).add(expires, ledger.now) if expires else None,
    }


def _create(
    planned: Planned,
    enrollment: Enrollment,
    sequence: Sequence | None,
    ledger: Ledger,
    near: Thread | None,
) -> bool:
    """False: this step exists already."""
    if sequence is None:
        return False
    if planned.subject is not None and ledger.drafts.made(enrollment.id, planned.step):
        return False  # nor does it begin another conversation
    thread = _thread_for(planned, enrollment, ledger, near)
    draft = draft_of(planned, enrollment, thread, sequence, ledger, ledger.instance_key())
    if not ledger.drafts.add(draft):
        return False
    ledger.threads.tag(thread.id, follow_up_label(draft.id))
    if enrollment.wake_at is not None:
        ledger.enrollments.sleep(enrollment.id, None)
    return True


def _thread_for(planned: Planned, enrollment: Enrollment, ledger: Ledger, near: Thread | None) -> Thread:
    """No subject: the thread goes on. A subject: a new one, unless the present one has none yet."""
    present = near and near.id == enrollment.thread_id
    thread = near if near and present else ledger.threads.get(enrollment.thread_id)
    if planned.subject is None:
        return thread
    if not thread.subject:
        ledger.threads.name(thread.id, planned.subject)
        return thread
    fresh = replace(thread, id=new_id("thr", ledger.now), subject=planned.subject)
    ledger.threads.add(fresh)
    ledger.enrollments.speak_in(enrollment, fresh.id)
    return fresh
