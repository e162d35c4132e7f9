"""What our webhooks tell: as the SDK's strict models want it, and in the same bytes each time."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from agentmail.events.types import (
    MessageBouncedEvent,
    MessageComplainedEvent,
    MessageDeliveredEvent,
    MessageOpenedEvent,
    MessageReceivedEvent,
    MessageRejectedEvent,
    MessageSentEvent,
)

from engine.events import Bounce, Complaint, Reply
from engine.store.letters import Conversation
from engine.store.outbox import Telling
from engine.subscribers import KINDS
from mailroom.heard import read_event
from mailroom.telling import bounced_event, received_event, render
from tests.mailroom.test_wire import BARE_MESSAGE, MESSAGE, TALK

AT = datetime(2026, 2, 1, 9, 0, tzinfo=UTC)


def told(kind: str, **says: Any) -> Telling:
    return Telling(
        id="evt_1",
        kind=kind,
        inbox_id="sam@house.test",
        thread_id="thr_1",
        message_id="<m1@house.test>",
        draft_id="drf_1",
        says=says,
        at=AT,
    )


def said(kind: str, thread: Conversation | None = TALK, **says: Any) -> Any:
    return json.loads(render(told(kind, **says), MESSAGE, thread))


MODELS = {
    "message.received": MessageReceivedEvent,
    "message.received.spam": MessageReceivedEvent,
    "message.received.blocked": MessageReceivedEvent,
    "message.received.unauthenticated": MessageReceivedEvent,
    "message.sent": MessageSentEvent,
    "message.delivered": MessageDeliveredEvent,
    "message.bounced": MessageBouncedEvent,
    "message.complained": MessageComplainedEvent,
    "message.rejected": MessageRejectedEvent,
    "message.opened": MessageOpenedEvent,
}


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("letter", [MESSAGE, BARE_MESSAGE])
@pytest.mark.parametrize("thread", [TALK, None])
@pytest.mark.parametrize(
    "says",
    [
        {},
        {"recipients": ["ida@x.test"], "reason": "550 no such user", "labels": ["received"]},
        {
            "recipients": [{"address": "ida@x.test", "status": "5.1.1"}],
            "type": "Transient",
            "sub_type": "Full",
        },
    ],
)
def test_an_event_is_what_the_sdk_wants(kind: str, letter: Any, thread: Any, says: dict[str, Any]) -> None:
    payload = json.loads(render(told(kind, **says), letter, thread))

    assert (payload["type"], payload["event_type"], payload["event_id"]) == ("event", kind, "evt_1")
    MODELS[kind](**payload)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_bytes_each_time(kind: str) -> None:
    one = render(told(kind, recipients=["a@x.test"], reason="é"), MESSAGE, TALK)

    assert render(told(kind, reason="é", recipients=["a@x.test"]), MESSAGE, TALK) == one
    assert b'": ' not in one


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_told_of_a_message_that_is_gone_can_still_be_read(kind: str) -> None:
    assert json.loads(render(told(kind), None, None))["event_id"] == "evt_1"


def test_a_letter_is_told_as_it_was_called_then() -> None:
    payload = said("message.received", labels=["received", "unread"])

    assert payload["message"]["labels"] == ["received", "unread"]
    assert payload["thread"]["labels"] == ["sent", "hot"]


def test_a_very_large_letter_is_told_without_its_words() -> None:
    large = replace(MESSAGE, text="x" * 1_200_000)
    body = render(told("message.received"), large, TALK)
    payload = json.loads(body)

    assert len(body) < 1024**2
    assert not {"text", "html", "extracted_text"} & set(payload["message"])
    MessageReceivedEvent(**payload)


def test_a_large_letter_is_told_with_its_words() -> None:
    payload = json.loads(render(told("message.received"), replace(MESSAGE, text="x" * 400_000), TALK))

    assert len(payload["message"]["text"]) == 400_000


def test_everybody_who_got_it_is_told_when_nobody_else_is_named() -> None:
    assert said("message.sent")["send"]["recipients"] == [
        "ida@x.test",
        "Bob@x.test",
        "cy@x.test",
        "di@x.test",
    ]


def test_what_only_we_have_to_say_stands_under_its_own_name() -> None:
    payload = said("followup.cancelled", reason="replied", enrollment_id=None)

    assert payload["followup"] == {
        "inbox_id": "sam@house.test",
        "thread_id": "thr_1",
        "message_id": "<m1@house.test>",
        "draft_id": "drf_1",
        "timestamp": "2026-02-01T09:00:00.000Z",
        "reason": "replied",
    }
    assert set(said("draft.held")) == {"type", "event_type", "event_id", "draft"}
    assert set(said("enrollment.stopped")) == {"type", "event_type", "event_id", "enrollment"}


def test_what_we_tell_we_understand() -> None:
    heard = read_event(render(told("message.received"), MESSAGE, TALK))

    assert isinstance(heard, Reply)
    assert (heard.message_id, heard.sender, heard.to) == (
        "<m1@house.test>",
        "sam@house.test",
        ("ida@x.test", "Bob@x.test"),
    )
    assert isinstance(read_event(render(told("message.bounced"), MESSAGE, None)), Bounce)
    assert isinstance(read_event(render(told("message.complained"), MESSAGE, None)), Complaint)


def test_what_a_mailbox_elsewhere_would_tell_us_is_what_the_sdk_wants() -> None:
    shared: dict[str, Any] = {
        "event_id": "evt_1",
        "inbox_id": "sam@house.test",
        "thread_id": "thr_1",
        "at": AT,
    }
    MessageReceivedEvent(
        **received_event(
            **shared,
            message_id="<m1@x.test>",
            sender="a@x.test",
            to="sam@house.test",
            subject="Hi",
            text="Yes",
        )
    )
    MessageBouncedEvent(**bounced_event(**shared, message_id="<m1@x.test>", recipient="a@x.test"))
