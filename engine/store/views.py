"""What people ask to see. Nothing here changes anything; names of keys are promises: docs/json.md."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Select, func, select

from engine.ids import follow_up_label
from engine.states import DRAFT_ENDS, DraftState, HoldReason, StopReason
from engine.store.inbound import REFUSED
from engine.store.tables import draft, enrollment, inbound_event, message, tally, thread_label

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


class Views:
    """One consistent look."""

    def __init__(self, db: Connection) -> None:
        self._db = db

    def drafts(self, *, ended: bool = False) -> Iterator[dict[str, Any]]:
        """The pending ones, or all; the next to leave first."""
        tag = thread_label.c.label
        query = select(draft, tag.label("tag")).outerjoin(
            thread_label, (thread_label.c.thread_id == draft.c.thread_id) & (tag == "follow-up:" + draft.c.id)
        )
        if not ended:
            query = query.where(draft.c.state.not_in(sorted(DRAFT_ENDS)))
        for row in self._rows(query.order_by(draft.c.send_at, draft.c.id)):
            scheduled = ["scheduled"] if row.state == DraftState.SCHEDULED else []
            yield {
                "draft_id": row.id,
                "inbox_id": row.inbox_id,
                "thread_id": row.thread_id,
                "enrollment_id": row.enrollment_id,
                "step": row.step,
                "to": row.to,
                "subject": row.subject,
                "text": row.text,
                "send_at": row.send_at,
                "state": row.state,
                "send_status": _SEND_STATUS.get(DraftState(row.state)),
                "approval_state": "approved" if row.approved_sha == row.content_sha else "pending",
                "reason": row.outcome or row.reason,
                "labels": ([follow_up_label(row.id)] if row.tag else []) + scheduled,
                "message_id": row.message_id,
                "held_until": row.held_until,
                "attempt": row.attempt,
            }

    def messages(self) -> Iterator[dict[str, Any]]:
        """What left and what came in, oldest first."""
        tags: dict[str, list[str]] = {}
        for row in self._db.execute(select(thread_label).order_by(thread_label.c.label)):
            tags.setdefault(row.thread_id, []).append(row.label)
        for row in self._rows(
            select(message).order_by(message.c.timestamp, message.c.thread_id, message.c.position)
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
                "in_reply_to": row.in_reply_to,
                "references": row.references,
                "labels": row.labels + tags.get(row.thread_id, []),
                "timestamp": row.timestamp,
                "draft_id": row.draft_id,
                "enrollment_id": row.enrollment_id,
                "step": row.step,
            }

    def people(self) -> Iterator[dict[str, Any]]:
        """Who stands where."""
        pending = draft.c.state.not_in(sorted(DRAFT_ENDS))
        query = (
            select(enrollment, draft.c.step, draft.c.send_at, draft.c.state.label("draft_state"))
            .add_columns(draft.c.outcome, draft.c.reason.label("why_then"))
            .outerjoin(draft, (draft.c.enrollment_id == enrollment.c.id) & pending)
            .order_by(enrollment.c.created_at, enrollment.c.id)
        )
        for row in self._rows(query):
            waiting = row.draft_state in {DraftState.SCHEDULED, DraftState.CLAIMED, DraftState.RELEASING}
            yield {
                "enrollment_id": row.id,
                "email": row.email,
                "sequence": row.sequence,
                "version": row.version,
                "state": row.state,
                "stop_reason": row.reason if row.state == "stopped" else None,
                "thread_id": row.thread_id,
                "step": row.step,
                "next_send_at": row.send_at if waiting else None,
                "reason": row.reason or _standing(row.draft_state, row.outcome) or row.why_then,
                "inbox_id": row.inbox_id,
            }

    def status(self, now: datetime) -> dict[str, Any]:
        """The state of things, counted."""
        drafts = self._counted(draft.c.state)
        late = draft.c.state == DraftState.SCHEDULED, draft.c.send_at < now - timedelta(minutes=1)
        held_late = draft.c.state == DraftState.HELD, draft.c.outcome == HoldReason.LATE
        answered = draft.c.state == DraftState.CANCELLED, draft.c.outcome.in_(_HEARD)
        return {
            "drafts": {state: drafts.get(state, 0) for state in DraftState},
            "enrollments": self._counted(enrollment.c.state),
            "webhooks": {
                "received": self._db.scalar(select(func.count()).select_from(inbound_event)) or 0,
                "refused": self._db.scalar(select(tally.c.number).where(tally.c.name == REFUSED)) or 0,
                "cancelled": self._number(*answered),
            },
            "uncertain": drafts.get(DraftState.UNCERTAIN, 0),
            "late": self._number(*late) + self._number(*held_late),
        }

    def _counted(self, column: Any) -> dict[str, int]:
        rows = self._db.execute(select(column, func.count()).group_by(column).order_by(column))
        return {row[0]: row[1] for row in rows}

    def _number(self, *where: Any) -> int:
        return self._db.scalar(select(func.count()).select_from(draft).where(*where)) or 0

    def _rows(self, query: Select[Any]) -> Iterator[Any]:
        yield from self._db.execute(query.execution_options(yield_per=1000))


def _standing(draft_state: str | None, outcome: str | None) -> str | None:
    """What a letter that cannot go by itself waits for."""
    if draft_state in {DraftState.HELD, DraftState.FAILED, DraftState.UNCERTAIN}:
        return f"{draft_state}: {outcome}"
    return outcome
