"""What people ask to see. Nothing here changes anything; names of keys are promises: docs/json.md."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, func, literal_column, select, true

from engine.addresses import CANARY, contact, domain
from engine.consent import Consent, consent_of
from engine.hours import Absence
from engine.ids import follow_up_label
from engine.model import Draft
from engine.plan import Done, Happened, History, Said
from engine.states import DRAFT_ENDS, DraftState, HoldReason, StopReason
from engine.store.drafts import record
from engine.store.inbound import REFUSED
from engine.store.tables import (
    absence,
    draft,
    enrollment,
    errand,
    happening,
    inbound_event,
    message,
    suppression,
    tally,
    thread,
    thread_label,
)

#: AgentMail's words for a draft's life.
_SEND_STATUS = {
    DraftState.SCHEDULED: "scheduled",
    DraftState.CLAIMED: "sending",
    DraftState.RELEASING: "sending",
    DraftState.FAILED: "failed",
    DraftState.UNCERTAIN: "failed",
}
#: Reasons that come from outside, by a webhook.
_HEARD = [StopReason.REPLIED, StopReason.BOUNCED, StopReason.COMPLAINED, StopReason.UNSUBSCRIBED]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """What a brake would stop."""

    people: int
    drafts: int


@dataclass(frozen=True, slots=True)
class Before:
    """The letter that somebody has before them."""

    step: str
    send_at: datetime
    state: str
    outcome: str | None
    why_then: str


class Views:
    """One consistent look."""

    def __init__(self, db: Connection) -> None:
        self._db = db

    def drafts(self, *, ended: bool = False, canary: bool = False) -> Iterator[dict[str, Any]]:
        """The pending ones, or all; the next to leave first. Those of the canary only for whoever asks for it."""
        tag = thread_label.c.label
        query = select(draft, tag.label("tag")).outerjoin(
            thread_label, (thread_label.c.thread_id == draft.c.thread_id) & (tag == "follow-up:" + draft.c.id)
        )
        query = query.where(_is_of(draft.c.inbox_id, canary))
        if not ended:
            query = query.where(draft.c.state.not_in(sorted(DRAFT_ENDS)))
        for row in self._rows(query.order_by(draft.c.send_at, draft.c.id)):
            yield draft_shown(record(row), followed=row.tag is not None)

    def messages(self, *, canary: bool = False) -> Iterator[dict[str, Any]]:
        """What left and what came in, oldest first."""
        tags: dict[str, list[str]] = {}
        for row in self._db.execute(select(thread_label).order_by(thread_label.c.label)):
            tags.setdefault(row.thread_id, []).append(row.label)
        for row in self._rows(
            select(message, draft.c.variant)
            .outerjoin(draft, draft.c.id == message.c.draft_id)
            .where(message.c.hidden.is_distinct_from("deleted"), _is_of(message.c.inbox_id, canary))
            .order_by(message.c.timestamp, message.c.thread_id, message.c.position)
        ):
            yield {
                "message_id": row.message_id,
                "inbox_id": row.inbox_id,
                "thread_id": row.thread_id,
                "direction": row.direction,
                "from": row.sender,
                "to": row.to,
                "subject": row.subject,
                "text": row.text,
                "html": row.html,
                "cc": row.cc,
                "attachments": _enclosed(row.attachments),
                "in_reply_to": row.in_reply_to,
                "references": row.references,
                "labels": row.labels + tags.get(row.thread_id, []),
                "timestamp": row.timestamp,
                "draft_id": row.draft_id,
                "enrollment_id": row.enrollment_id,
                "step": row.step,
                "variant": row.variant,
            }

    def people(self, *, canary: bool = False) -> Iterator[dict[str, Any]]:
        """Who stands where."""
        pending = draft.c.state.not_in(sorted(DRAFT_ENDS))
        query = (
            select(enrollment, draft.c.step, draft.c.send_at, draft.c.state.label("draft_state"))
            .add_columns(draft.c.outcome, draft.c.reason.label("why_then"))
            .outerjoin(draft, (draft.c.enrollment_id == enrollment.c.id) & pending)
            .where(_is_of(enrollment.c.inbox_id, canary))
            .order_by(enrollment.c.created_at, enrollment.c.id)
        )
        for row in self._rows(query):
            ahead = Before(row.step, row.send_at, row.draft_state, row.outcome, row.why_then)
            yield person_shown(row, ahead if row.draft_state else None)

    def status(self, now: datetime) -> dict[str, Any]:
        """The state of things, counted."""
        drafts = self._counted(draft.c.state, draft.c.inbox_id)
        late = draft.c.state == DraftState.SCHEDULED, draft.c.send_at < now - timedelta(minutes=1)
        held_late = draft.c.state == DraftState.HELD, draft.c.outcome == HoldReason.LATE
        answered = draft.c.state == DraftState.CANCELLED, draft.c.outcome.in_(_HEARD)
        return {
            "drafts": {state: drafts.get(state, 0) for state in DraftState},
            "enrollments": self._counted(enrollment.c.state, enrollment.c.inbox_id),
            "webhooks": {
                "received": self._db.scalar(select(func.count()).select_from(inbound_event)) or 0,
                "refused": self._db.scalar(select(tally.c.number).where(tally.c.name == REFUSED)) or 0,
                "cancelled": self._number(*answered),
            },
            "uncertain": drafts.get(DraftState.UNCERTAIN, 0),
            "late": self._number(*late) + self._number(*held_late),
        }

    def could_leave(self) -> Pending:
        """What would leave by itself, and whom a sequence speaks to."""
        would = draft.c.state.in_([DraftState.SCHEDULED, DraftState.CLAIMED])
        active = select(func.count()).select_from(enrollment).where(enrollment.c.state == "active")
        return Pending(people=self._db.scalar(active) or 0, drafts=self._number(would))

    def leaving(self, sequence: str | None = None) -> list[str]:
        """What is past the gate, and whose fate is not known yet; in this sequence, or anywhere."""
        found = select(draft.c.id).where(draft.c.state == literal_column(f"'{DraftState.RELEASING}'"))
        if sequence is not None:
            theirs = enrollment.c.id == draft.c.enrollment_id
            found = found.join(enrollment, theirs).where(enrollment.c.sequence == sequence)
        return list(self._db.scalars(found))

    def waiting(self, now: datetime) -> dict[str, int]:
        """What goes by itself, and what waits for a yes because it should have gone before."""
        scheduled, held = draft.c.state == DraftState.SCHEDULED, draft.c.state == DraftState.HELD
        return {
            "scheduled": self._number(scheduled),
            "due": self._number(scheduled, draft.c.send_at <= now),
            "restored": self._number(held, draft.c.outcome == HoldReason.RESTORED),
            "late": self._number(held, draft.c.outcome == HoldReason.LATE),
        }

    def histories(self, enrollments: Collection[str]) -> dict[str, History]:
        """What has been between us and each of these people."""
        said = (
            select(thread.c.enrollment_id, message.c.step, message.c.timestamp)
            .join(message, message.c.thread_id == thread.c.id)
            .join(draft, draft.c.id == message.c.draft_id)
            .where(message.c.direction == "sent", message.c.enrollment_id == thread.c.enrollment_id)
        )
        said = said.where(thread.c.enrollment_id.in_(enrollments))
        done = select(errand).where(errand.c.enrollment_id.in_(enrollments))
        away = select(absence).where(absence.c.enrollment_id.in_(enrollments))
        happened = (
            select(
                enrollment.c.id.label("enrollment_id"), happening.c.name, happening.c.value, happening.c.at
            )
            .join(happening, happening.c.contact == enrollment.c.contact)
            .where(enrollment.c.id.in_(enrollments))
        )
        told = self._by_enrollment(said.order_by(message.c.timestamp, draft.c.created_at))
        ended = self._by_enrollment(done.order_by(errand.c.at))
        came = self._by_enrollment(happened.order_by(happening.c.at))
        absent = self._by_enrollment(away.order_by(absence.c.since))
        return {
            one: History(
                said=tuple(Said(row.step, row.timestamp) for row in told.get(one, ())),
                done=tuple(Done(row.step, row.at, row.ended_at) for row in ended.get(one, ())),
                happened=tuple(Happened(row.name, row.value, row.at) for row in came.get(one, ())),
                absences=tuple(Absence(row.since, row.until) for row in absent.get(one, ())),
            )
            for one in enrollments
        }

    def changed(self, draft_id: str) -> datetime:
        """Since when a draft is what it is now."""
        at: datetime = self._db.scalars(select(draft.c.updated_at).where(draft.c.id == draft_id)).one()
        return at

    def suppressed_since(self, address: str) -> tuple[str, datetime] | None:
        """Why this address, or everybody at its domain, is never written to, and since when."""
        key = contact(address)
        found = select(suppression).where(suppression.c.address.in_([key, domain(key)]))
        row = self._db.execute(found.order_by(suppression.c.created_at).limit(1)).one_or_none()
        return None if row is None else (row.reason, row.created_at)

    def _by_enrollment(self, query: Select[Any]) -> dict[str, list[Any]]:
        found: dict[str, list[Any]] = {}
        for row in self._rows(query):
            found.setdefault(row.enrollment_id, []).append(row)
        return found

    def _counted(self, state: Any, inbox_id: Any) -> dict[str, int]:
        """Without the canary's: those are few, and found by an index."""
        counted = select(state, func.count()).group_by(state)
        hers = {row[0]: row[1] for row in self._db.execute(counted.where(inbox_id == CANARY))}
        rows = self._db.execute(counted.order_by(state))
        return {row[0]: number for row in rows if (number := row[1] - hers.get(row[0], 0))}

    def _number(self, *where: Any) -> int:
        return self._db.scalar(select(func.count()).select_from(draft).where(*where)) or 0

    def _rows(self, query: Select[Any]) -> Iterator[Any]:
        yield from self._db.execute(query.execution_options(yield_per=1000))


def _is_of(inbox_id: Any, canary: bool) -> ColumnElement[bool]:
    """The canary is nobody whom people write to."""
    found: ColumnElement[bool] = true() if canary else inbox_id != CANARY
    return found


def draft_shown(one: Draft, *, followed: bool) -> dict[str, Any]:
    """As `relent drafts --json` has it, and `/v1`. `followed`: its thread bears the label that names it."""
    scheduled = ["scheduled"] if one.state == DraftState.SCHEDULED else []
    consent = consent_of(one)
    return {
        "draft_id": one.id,
        "inbox_id": one.inbox_id,
        "thread_id": one.thread_id,
        "enrollment_id": one.enrollment_id,
        "step": one.step,
        "to": one.to,
        "subject": one.subject,
        "text": one.text,
        "send_at": one.send_at if one.has_an_hour else None,
        "state": str(one.state),
        "send_status": _SEND_STATUS.get(one.state),
        # the word that scripts have always known: a rule's yes is one, too
        "approval_state": str(Consent.APPROVED if consent == Consent.AUTO_APPROVED else consent),
        "reason": one.outcome or one.reason,
        "labels": ([follow_up_label(one.id)] if followed else []) + scheduled,
        "html": one.html,
        "also_to": list(one.also_to),
        "cc": list(one.cc),
        "bcc": list(one.bcc),
        "attachments": [
            {"name": each.name, "content_type": each.content_type, "size": each.size}
            for each in one.attachments
        ],
        "variant": one.variant,
        "message_id": one.message_id,
        "held_until": one.held_until,
        "attempt": one.attempt,
        "content_sha": one.content_sha,
        "approved_by": one.approved_by if one.approved_sha == one.content_sha else None,
        "oddities": list(one.oddities),
        "yes_by": one.yes_by,
    }


def person_shown(one: Any, pending: Before | None) -> dict[str, Any]:
    """As `relent people --json` has somebody, and `/v1`. `one`: an enrollment, or a row of one."""
    leaves = {DraftState.SCHEDULED, DraftState.CLAIMED, DraftState.RELEASING}
    goes = pending is not None and pending.state in leaves
    then = pending and (_standing(pending.state, pending.outcome) or pending.why_then)
    return {
        "enrollment_id": one.id,
        "email": one.email,
        "sequence": one.sequence,
        "version": one.version,
        "state": str(one.state),
        "stop_reason": one.reason if one.state == "stopped" else None,
        "thread_id": one.thread_id,
        "step": pending and pending.step,
        "next_send_at": pending.send_at if pending and goes else None,
        "reason": one.reason or then,
        "inbox_id": one.inbox_id,
    }


def _enclosed(attachments: list[dict[str, Any]] | None) -> list[dict[str, Any]]:
    return [{key: each[key] for key in ("name", "content_type", "size")} for each in attachments or ()]


def _standing(draft_state: str | None, outcome: str | None) -> str | None:
    """What a letter that cannot go by itself waits for."""
    if draft_state in {DraftState.HELD, DraftState.FAILED, DraftState.UNCERTAIN}:
        return f"{draft_state}: {outcome}"
    return outcome
