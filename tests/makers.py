"""Makers: a test spells out only what it is about."""

import base64
import json
import threading
from collections.abc import Mapping
from collections.abc import Sequence as Many
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from svix.webhooks import Webhook

from engine.enroll import Enrolled, enroll, prepare
from engine.events import Reply
from engine.ids import follow_up_label, message_id, new_id
from engine.model import Draft, Prospect, Thread, content_sha
from engine.sequence import Sequence
from engine.states import DraftState
from engine.store import Store

SAM = "sam@acme.example"
IDA = "ida@nordic.example"
AT_ANY_HOUR = {"timezone": "UTC", "windows": "00:00-24:00"}
SECRET = "whsec_" + base64.b64encode(b"twenty-four bytes at all").decode()


def sequence(*steps: Mapping[str, str], **above: Any) -> Sequence:
    """Three mails, three and five days apart, at any hour, unless a test says otherwise."""
    usual = (
        {"subject": "Quick question", "body": "Hello"},
        {"after": "3d", "body": "Did you see it?"},
        {"after": "5d", "body": "I stop here."},
    )
    data: dict[str, Any] = {
        "name": "Quick question",
        "from": SAM,
        "schedule": AT_ANY_HOUR,
        "limits": {"per_mailbox": "100000/day"},
        "steps": [dict(step) for step in steps or usual],
    }
    return Sequence.model_validate(data | above)


def enrolled(
    store: Store, now: datetime, email: str = IDA, wants: Sequence | None = None, **variables: str
) -> str:
    """Somebody in a sequence; the enrollment's id."""
    with store.transaction(now, "a test") as ledger:
        outcome = enroll(
            prepare(Prospect(email=email, variables=variables), wants or sequence()), ledger=ledger
        )
    assert isinstance(outcome, Enrolled), outcome
    return outcome.enrollment_id


def pending(store: Store, now: datetime, *, ended: bool = False) -> list[dict[str, Any]]:
    with store.reading(now) as ledger:
        return list(ledger.views.drafts(ended=ended))


def people(store: Store, now: datetime) -> list[dict[str, Any]]:
    with store.reading(now) as ledger:
        return list(ledger.views.people())


def reply(thread_id: str, **more: Any) -> Reply:
    usual: dict[str, Any] = {
        "id": "evt_1",
        "inbox_id": SAM,
        "thread_id": thread_id,
        "message_id": "<answer@nordic.example>",
        "sender": IDA,
    }
    return Reply(**usual | more)


def label_a_follow_up(store: Store, now: datetime, thread_id: str, send_at: datetime) -> str:
    """A draft that no sequence made, named by a label on its thread."""
    draft_id = new_id("drf", now)
    draft = Draft(
        id=draft_id,
        inbox_id=SAM,
        thread_id=thread_id,
        enrollment_id=None,
        step="",
        state=DraftState.SCHEDULED,
        send_at=send_at,
        to=IDA,
        subject="Re: Hi",
        text="bump",
        message_id=message_id(b"key", draft_id, "", SAM),
        reason="asked for",
        content_sha="",
    )
    content = content_sha(draft)
    draft = replace(draft, content_sha=content, approved_sha=content)
    with store.transaction(now, "a test") as ledger:
        assert ledger.drafts.add(draft)
        ledger.threads.tag(thread_id, follow_up_label(draft_id))
    return draft_id


def open_thread(store: Store, now: datetime, inbox: str = SAM) -> str:
    """A conversation that no sequence began."""
    thread_id = new_id("thr", now)
    with store.transaction(now, "a test") as ledger:
        ledger.threads.open_inbox(inbox)
        ledger.threads.add(
            Thread(id=thread_id, inbox_id=inbox, contact=IDA, subject="Hi", enrollment_id=None)
        )
    return thread_id


def received(
    thread_id: str, *, event_id: str = "evt_1", inbox_id: str = SAM, **message: Any
) -> dict[str, Any]:
    """The body of a `message.received`, as AgentMail writes it."""
    usual = {
        "inbox_id": inbox_id,
        "thread_id": thread_id,
        "message_id": f"<{event_id}@nordic.example>",
        "from": f"Ida <{IDA}>",
        "to": [inbox_id],
        "labels": ["received", "unread"],
    }
    return {
        "type": "event",
        "event_type": "message.received",
        "event_id": event_id,
        "message": usual | message,
    }


def signed(
    body: bytes | Mapping[str, Any], now: datetime, *, secret: str = SECRET, delivery_id: str = "msg_1"
) -> dict[str, Any]:
    """What to post: signed by the svix library, so that our own verifier never judges itself."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {
        "svix-id": delivery_id,
        "svix-timestamp": str(int(now.timestamp())),
        "svix-signature": Webhook(secret).sign(delivery_id, now, content.decode("utf-8", "replace")),
        "content-type": "application/json",
    }
    return {"content": content, "headers": headers}


@dataclass(eq=False)
class Ticket:
    """Somebody who waits until what they said is written down."""

    heard: Any = None
    told: threading.Event = field(default_factory=threading.Event)


def tell(safe: Many[tuple[Ticket, Any]]) -> None:
    """What a scribe says of them."""
    for ticket, heard in safe:
        ticket.heard = heard
        ticket.told.set()
