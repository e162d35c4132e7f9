"""What letters were called, and what no more: every label that somebody put on or took away, the last one first."""

from mailroom import forms, wire
from mailroom.api.frame import Asked, Endpoint, inbox_of, reading


def page(asked: Asked) -> wire.InboxEvents:
    whose = asked.desk.organization_id
    with reading(asked) as ledger:
        inbox = inbox_of(asked, ledger)
        found = ledger.letters.label_events(inbox.id, asked.part())
    return asked.listed(
        wire.InboxEvents,
        found,
        lambda each: wire.inbox_event(each, organization_id=whose, pod_id=inbox.pod_id),
    )


ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/v0/inboxes/{inbox_id}/events",
        handler=page,
        name="inboxes.events.list",
        summary="List every label that was put on a message or taken away, the last one first.",
        needs="message_read",
        query=forms.Sorted,
        answers=wire.InboxEvents,
    ),
)
