"""A letter that lands here, as a mailbox elsewhere would tell us of it: local and hosted take one road."""

import json

from engine.events import Event
from engine.model import Message
from mailroom.heard import read_event
from mailroom.telling import received_event


def told(message: Message, kind: str, event_id: str) -> tuple[Event | None, bytes]:
    """The event, and the bytes that say so."""
    said = received_event(
        event_id=event_id,
        inbox_id=message.inbox_id,
        thread_id=message.thread_id,
        message_id=message.message_id,
        sender=message.sender,
        to=message.to,
        subject=message.subject,
        text=message.text,
        at=message.timestamp,
        in_reply_to=message.in_reply_to,
        references=message.references,
        headers=message.headers,
        labels=message.labels,
    )
    body = json.dumps(said | {"event_type": kind}, sort_keys=True).encode()
    return read_event(body), body
