"""Whose yes a letter has: a human's, a rule's, or nobody's yet; and why nobody was asked. Pure.

The words are Feather's, so that `/v1`, its list of drafts and the command line speak of one thing by one name.
"""

from datetime import datetime
from enum import StrEnum

from engine.model import Draft
from engine.sequence import Sequence
from engine.states import DraftState, HoldReason

#: Who says yes where no human has to.
THE_SEQUENCE = "the sequence"


class Consent(StrEnum):
    UNSUBMITTED = "unsubmitted"  #: somebody is still writing it; nobody was asked
    PENDING = "pending"  #: a human has to say yes
    APPROVED = "approved"  #: a human has seen these very words, and said yes
    REJECTED = "rejected"  #: a human said no; or it ended before anybody said yes
    AUTO_APPROVED = "auto_approved"  #: no human was asked, and `why_unasked` says why


class Held(StrEnum):
    """What a held letter is held for: it decides who moves it on."""

    SUBMITTED = "submitted"  #: for a human's yes
    REJECTED = "rejected"  #: a human said no; it is reworded, or never leaves
    ASLEEP = "asleep"  #: it has its yes, and waits for a day that comes by itself


#: How far a letter has come; a held one by what it is held for.
Stage = DraftState | Held


def stage_of(draft: Draft) -> Stage:
    if draft.state != DraftState.HELD:
        return draft.state
    if draft.outcome == HoldReason.REJECTED:
        return Held.REJECTED
    has_its_yes = draft.approved_sha == draft.content_sha
    return Held.ASLEEP if has_its_yes and draft.held_until is not None else Held.SUBMITTED


def consent_of(draft: Draft, *, rejected: bool = False) -> Consent:
    """`rejected`: the last that a human said of it was no."""
    match stage_of(draft):
        case Held.SUBMITTED:
            return Consent.PENDING
        case Held.REJECTED:
            return Consent.REJECTED
        case DraftState.WRITTEN:
            return Consent.UNSUBMITTED
        case DraftState.CANCELLED if rejected:
            return Consent.REJECTED
    if not draft.has_an_hour:
        return Consent.UNSUBMITTED
    if draft.approved_sha == draft.content_sha:
        return Consent.APPROVED if _by_a_human(draft) else Consent.AUTO_APPROVED
    return Consent.REJECTED if draft.state == DraftState.CANCELLED else Consent.PENDING


def _by_a_human(draft: Draft) -> bool:
    """A human's yes is bound to where the conversation stood. Before there was that, to a letter that a sequence wrote."""
    if draft.approved_head is not None:
        return True
    return draft.enrollment_id is not None and draft.approved_by not in (None, THE_SEQUENCE)


def why_void(draft: Draft, *, head: int, sender_name: str, now: datetime) -> str | None:
    """What has become of a yes since it was said; None: it holds.

    `head`: where the conversation stands now. `sender_name`: which it would leave under now.
    """
    if draft.approved_sha is None:
        return "nobody has said yes to it"
    if draft.approved_sha != draft.content_sha:
        return "it is not what was approved"
    if draft.approved_head not in (None, head):
        return "somebody has written in its conversation since it was approved"
    if draft.approved_name not in (None, sender_name):
        return f"{draft.inbox_id} goes by another name since it was approved"
    if draft.approved_until is not None and draft.approved_until <= now:
        return "the yes is too old"
    return None


def why_unasked(draft: Draft, sequence: Sequence | None) -> str | None:
    """Why this letter leaves, or has left, without a human's yes, in words; None: somebody was asked, or still is.

    `sequence`: the one whose step it is, as it was when the letter was written.
    """
    if consent_of(draft) != Consent.AUTO_APPROVED:
        return None
    if draft.enrollment_id is None:
        return f"written by {draft.approved_by}, who may send" if draft.approved_by else "asked for"
    if sequence is None:
        return f"{draft.approved_by or THE_SEQUENCE} asked nobody"
    step = next((each for each in sequence.every_step() if each.id == draft.step), None)
    if step is not None and step.approve is False:
        return f"approve: false at {draft.step}"
    return _by_the_rule(sequence, draft.step)


def _by_the_rule(sequence: Sequence, step: str) -> str:
    match sequence.approval.steps:
        case "none":
            return "approval: none in the sequence"
        case "first":
            return f"approval: first, and this is {step}"
        case "all":
            return f"approval: all since, and {step} was written before"
        case named:
            return f"approval: {', '.join(named)}, and this is {step}"
