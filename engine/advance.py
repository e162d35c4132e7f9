"""One more step for one enrollment: its next draft and the label that names it, or its end.

Both stories that can bring a next step, enrolment and delivery, call this inside their own transaction.
"""

from dataclasses import replace

from engine.compose import reply_subject
from engine.errors import Refused
from engine.ids import follow_up_label, message_id, new_id
from engine.model import Draft, Enrollment, Thread, content_sha
from engine.plan import NothingLeft, Planned, Said, Waiting, plan
from engine.states import DraftState
from engine.store import Ledger


def advance(enrollment: Enrollment, ledger: Ledger) -> Planned | NothingLeft | Waiting:
    """The caller holds the enrollment's lock: an answer is either seen here, or sees what is made here."""
    said = tuple(Said(step, at) for step, at in ledger.threads.said(enrollment.id))
    try:
        sequence = ledger.enrollments.version(enrollment.version)
        planned = plan(sequence, enrollment, said, ledger.now)
    except (Refused, ValueError, LookupError) as error:
        # Rehearsed at enrolment, so this is a rare day: a zone that is gone, a sequence of a newer Relent.
        # What has just left must be noted all the same; a human will want to know.
        planned = Waiting(f"cannot be planned: {error}")
    match planned:
        case Planned():
            _create(planned, enrollment, ledger)
        case NothingLeft():
            ledger.enrollments.finish(enrollment)
        case Waiting(reason):
            ledger.enrollments.pause([enrollment.id], reason)
    return planned


def _create(planned: Planned, enrollment: Enrollment, ledger: Ledger) -> None:
    if ledger.drafts.made(enrollment.id, planned.step):
        return
    thread = _thread_for(planned, enrollment, ledger)
    subject = planned.subject or reply_subject(thread.subject)
    draft_id = new_id("drf", ledger.now)
    content = content_sha(
        sender=enrollment.inbox_id,
        to=enrollment.email,
        subject=subject,
        text=planned.text,
        thread_id=thread.id,
    )
    draft = Draft(
        id=draft_id,
        inbox_id=enrollment.inbox_id,
        thread_id=thread.id,
        enrollment_id=enrollment.id,
        step=planned.step,
        state=DraftState.SCHEDULED,
        send_at=planned.send_at,
        to=enrollment.email,
        subject=subject,
        text=planned.text,
        message_id=message_id(ledger.instance_key(), draft_id, planned.step, enrollment.inbox_id),
        reason=planned.reason,
        content_sha=content,
        approved_sha=content,
        approved_by="the sequence",
    )
    if ledger.drafts.add(draft):
        ledger.threads.tag(thread.id, follow_up_label(draft_id))


def _thread_for(planned: Planned, enrollment: Enrollment, ledger: Ledger) -> Thread:
    """No subject: the thread goes on. A subject: a new one, unless the present one has none yet."""
    thread = ledger.threads.get(enrollment.thread_id)
    if planned.subject is None:
        return thread
    if not thread.subject:
        ledger.threads.name(thread.id, planned.subject)
        return thread
    fresh = replace(thread, id=new_id("thr", ledger.now), subject=planned.subject)
    ledger.threads.add(fresh)
    ledger.enrollments.speak_in(enrollment, fresh.id)
    return fresh
