"""Story: what somebody must see before they say yes to a letter; and what is kept of it when they did. Changes nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from engine.errors import NotFound, Refused
from engine.model import Draft, Enrollment, Message
from engine.oddity import version_in
from engine.plan import zone_of
from engine.resume import hour_if_approved
from engine.seams import Clock
from engine.sequence import Sequence
from engine.store import Ledger, Review, Store
from engine.wording import known_of, way_of, word

_LATEST = 50  #: letters of the conversation; nobody reads more before a yes
_KEPT_OF_A_LETTER = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """A letter, and everything around it that a yes is said to."""

    draft: Draft
    head: int  #: where the conversation stands: an answer moves it
    sender_name: str  #: which it would leave under; "": none
    thread: tuple[Message, ...]  #: what was said so far, the oldest first
    enrollment: Enrollment | None
    sequence: Sequence | None
    template: str | None  #: the words as the file has them
    template_subject: str | None
    planned: str | None  #: the same, said to this person
    variables: Mapping[str, str]  #: what is known of them, defaults too
    reviews: tuple[Review, ...]  #: what was said of it before, the last word first
    leaves_at: datetime  #: if it is approved now
    why_then: str
    zone: str  #: their own
    may_say_yes: tuple[str, ...]  #: empty: anybody who may approve at all

    def snapshot(self) -> dict[str, Any]:
        """What is kept with a yes, so that it can be said later what it was said to."""
        draft = self.draft
        return {
            "content_sha": draft.content_sha,
            "from": draft.inbox_id,
            "from_name": self.sender_name or None,
            "to": [each for each in (draft.to, *draft.also_to) if each],
            "cc": list(draft.cc),
            "bcc": list(draft.bcc),
            "names": dict(draft.names),
            "reply_to": list(draft.reply_to),
            "headers": dict(draft.headers),
            "in_reply_to": draft.in_reply_to,
            "forward_of": draft.forward_of,
            "subject": draft.subject,
            "text": draft.text,
            "html": draft.html,
            "attachments": [
                {
                    "name": each.name,
                    "content_type": each.content_type,
                    "size": each.size,
                    "sha": each.sha,
                    "content_id": each.content_id,
                }
                for each in draft.attachments
            ],
            "thread_id": draft.thread_id,
            "thread_head": self.head,
            "thread": [
                {
                    "message_id": each.message_id,
                    "direction": each.direction,
                    "at": each.timestamp.isoformat(),
                    "text": each.text[:_KEPT_OF_A_LETTER],
                }
                for each in self.thread[-3:]
            ],
            "sequence": self.sequence.name if self.sequence else None,
            "version": self.sequence.version if self.sequence else None,
            "step": draft.step or None,
            "variant": draft.variant,
            "variables": dict(self.variables),
            "send_at": self.leaves_at.isoformat(),
            "why_then": self.why_then,
            "oddities": list(draft.oddities),
        }


def look(draft_id: str, *, store: Store, clock: Clock) -> Evidence:
    """Raises NotFound."""
    with store.reading(clock.now()) as ledger:
        draft = ledger.drafts.get(draft_id)
        if draft is None:
            raise NotFound(f"there is no draft {draft_id}")
        return evidence_of(draft, ledger)


def evidence_of(draft: Draft, ledger: Ledger) -> Evidence:
    """In somebody's transaction."""
    enrollment = ledger.enrollments.get(draft.enrollment_id) if draft.enrollment_id else None
    rules = _rules(enrollment, ledger)
    sequence = _written_by(draft, ledger) or rules
    way = way_of(draft.step, draft.variant, sequence) if sequence else None
    at, why = _hour(draft, ledger)
    return Evidence(
        draft=draft,
        head=ledger.drafts.head(draft.thread_id),
        sender_name=ledger.drafts.sender_name(draft),
        thread=tuple(ledger.threads.messages(draft.thread_id, last=_LATEST)),
        enrollment=enrollment,
        sequence=sequence,
        template=(way.body or way.html) if way else None,
        template_subject=way.subject if way else None,
        planned=_planned(draft, sequence, enrollment),
        variables=_known(sequence, enrollment),
        reviews=tuple(ledger.reviews.of(draft.id)),
        leaves_at=at,
        why_then=why,
        zone=_zone(sequence, enrollment),
        may_say_yes=tuple(rules.approval.by) if rules else (),
    )


def _rules(enrollment: Enrollment | None, ledger: Ledger) -> Sequence | None:
    return _version(enrollment.version, ledger) if enrollment else None


def _written_by(draft: Draft, ledger: Ledger) -> Sequence | None:
    """The version that it was written by; the person may be on a newer one by now."""
    if draft.alike is None:
        return None
    return _version(version_in(draft.alike), ledger)


def _version(version: str, ledger: Ledger) -> Sequence | None:
    try:
        return ledger.enrollments.version(version)
    except ValueError:  # of a newer Relent, or not there
        return None


def _planned(draft: Draft, sequence: Sequence | None, enrollment: Enrollment | None) -> str | None:
    if sequence is None or enrollment is None:
        return None
    step = next((each for each in sequence.every_step() if each.id == draft.step), None)
    if step is None or step.kind != "mail" or draft.variant not in {way.id for way in step.ways}:
        return None
    known = known_of(sequence, enrollment.email, enrollment.variables)
    try:
        return word(step, sequence, known, person=enrollment.contact, winner=draft.variant).text
    except (Refused, ValueError, LookupError):
        return None


def _known(sequence: Sequence | None, enrollment: Enrollment | None) -> Mapping[str, str]:
    if enrollment is None:
        return {}
    return {**(sequence.defaults if sequence else {}), **enrollment.variables}


def _hour(draft: Draft, ledger: Ledger) -> tuple[datetime, str]:
    try:
        opening = hour_if_approved(draft, ledger)
    except (Refused, ValueError, LookupError):
        return max(draft.send_at, ledger.now), draft.reason
    return opening.at, opening.reason or draft.reason


def _zone(sequence: Sequence | None, enrollment: Enrollment | None) -> str:
    if sequence is None or enrollment is None:
        return "UTC"
    try:
        return zone_of(sequence, enrollment.variables)
    except Refused:
        return "UTC"
