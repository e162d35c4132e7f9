"""What happened, as AgentMail's webhooks tell it: the same bytes however often they are sent.

What AgentMail has no name for is told under a name of ours, in the same envelope.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from engine import model
from engine.store.letters import Conversation
from engine.store.outbox import Telling
from mailroom import wire
from mailroom.wire import moment

_LONGEST = 1024**2  #: above it the words are left out, and must be fetched

_RECEIVED = "message.received"
#: Where the facts stand, by the kind of the event; ours stand under the first word of their names.
_PAYLOADS = {
    "message.sent": "send",
    "message.delivered": "delivery",
    "message.bounced": "bounce",
    "message.complained": "complaint",
    "message.rejected": "reject",
    "message.opened": "open",
}


# --- told to our subscribers ---


def render(told: Telling, message: model.Message | None, thread: Conversation | None) -> bytes:
    """`thread`: as it was then. Always the same bytes: whoever repeats a delivery signs the same thing."""
    payload = _envelope(told.kind, told.id) | _facts(told, message, thread)
    body = _bytes(payload)
    if len(body) > _LONGEST and "message" in payload:
        words = ("text", "html", "extracted_text", "extracted_html")
        short = {name: value for name, value in payload["message"].items() if name not in words}
        body = _bytes(payload | {"message": short})
    return body


def _facts(told: Telling, message: model.Message | None, thread: Conversation | None) -> dict[str, Any]:
    if told.kind.startswith(_RECEIVED):
        if message is None:
            return {}
        said = wire.message(message) | {
            "labels": list(told.says.get("labels") or wire.message_labels(message))
        }
        return {"message": said, "thread": wire.thread_item(thread) if thread else _alone(message, said)}
    about = {
        "inbox_id": told.inbox_id,
        "thread_id": told.thread_id or "",
        "message_id": told.message_id or "",
        "timestamp": moment(told.at),
    }
    if (key := _PAYLOADS.get(told.kind)) is None:
        return _of_our_own(told, about)
    return {key: about | _more(key, told.says, message)}


def _more(key: str, says: Mapping[str, Any], message: model.Message | None) -> dict[str, Any]:
    everybody = [*message.to, *message.cc, *message.bcc] if message else []
    recipients = [_recipient(each) for each in says.get("recipients") or everybody]
    kind = {"type": says.get("type") or "Permanent", "sub_type": says.get("sub_type") or "General"}
    match key:
        case "bounce":
            return kind | {"recipients": recipients}
        case "complaint":
            abuse = {"type": says.get("type") or "abuse", "sub_type": says.get("sub_type") or ""}
            return abuse | {"recipients": [each["address"] for each in recipients]}
        case "reject":
            return {"reason": str(says.get("reason") or "refused")}
        case "open":
            return {}
        case _:
            return {"recipients": [each["address"] for each in recipients]}


def _recipient(said: Any) -> dict[str, str]:
    """An address, perhaps with what was said of it."""
    if isinstance(said, Mapping):
        return {"address": str(said.get("address", "")), "status": str(said.get("status") or "5.0.0")}
    return {"address": str(said), "status": "5.0.0"}


def _of_our_own(told: Telling, about: dict[str, str]) -> dict[str, Any]:
    """`followup.cancelled` says what became of a follow-up, `draft.held` of a draft."""
    known = {name: value for name, value in about.items() if value}
    draft = {"draft_id": told.draft_id} if told.draft_id else {}
    says = {name: value for name, value in told.says.items() if value is not None}
    return {told.kind.partition(".")[0]: {**says, **known, **draft}}


def _alone(message: model.Message, said: Mapping[str, Any]) -> dict[str, Any]:
    """A conversation of which nothing is known but this letter of it."""
    shared = ("inbox_id", "thread_id", "labels", "timestamp", "size", "updated_at", "created_at")
    return {name: said[name] for name in shared} | {
        "senders": [said["from"]],
        "recipients": said["to"],
        "subject": message.subject,
        "last_message_id": message.message_id,
        "message_count": 1,
    }


def _bytes(payload: Mapping[str, Any]) -> bytes:
    return json.dumps(payload, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


# --- told to ourselves, as a mailbox elsewhere would tell it ---


def received_event(
    *,
    event_id: str,
    inbox_id: str,
    thread_id: str,
    message_id: str,
    sender: str,
    to: str | Sequence[str],
    subject: str,
    text: str,
    at: datetime,
    in_reply_to: str | None = None,
    references: Sequence[str] = (),
    headers: Mapping[str, str] | None = None,
    labels: Sequence[str] = ("received", "unread"),
    thread_labels: Sequence[str] = (),
) -> dict[str, Any]:
    """A `message.received` as AgentMail says it; its SDK refuses one with less in it."""
    when = moment(at)
    recipients = [to] if isinstance(to, str) else list(to)
    size = len(text.encode())
    shared = {
        "inbox_id": inbox_id,
        "thread_id": thread_id,
        "timestamp": when,
        "subject": subject,
        "size": size,
        "updated_at": when,
        "created_at": when,
    }
    message = shared | {
        "message_id": message_id,
        "labels": list(labels),
        "from": sender,
        "to": recipients,
        "text": text,
        "extracted_text": text,
        "in_reply_to": in_reply_to,
        "references": list(references),
        "headers": dict(headers or {}),
    }
    earlier = {*references, in_reply_to} - {None}
    thread = shared | {
        "labels": sorted({*labels, *thread_labels}),
        "senders": [sender],
        "recipients": recipients,
        "last_message_id": message_id,
        "message_count": len(earlier) + 1,
    }
    return _envelope(_RECEIVED, event_id) | {"message": message, "thread": thread}


def bounced_event(
    *, event_id: str, inbox_id: str, thread_id: str, message_id: str, recipient: str, at: datetime
) -> dict[str, Any]:
    """A `message.bounced` for good, as AgentMail says it."""
    bounce = {
        "inbox_id": inbox_id,
        "thread_id": thread_id,
        "message_id": message_id,
        "timestamp": moment(at),
        "type": "Permanent",
        "sub_type": "General",
        "recipients": [{"address": recipient, "status": "5.1.1"}],
    }
    return _envelope("message.bounced", event_id) | {"bounce": bounce}


def _envelope(kind: str, event_id: str) -> dict[str, Any]:
    return {"type": "event", "event_type": kind, "event_id": event_id}
