"""Simulated people: what they do with a letter is written in their address."""

from datetime import timedelta

import pytest

from engine.events import AutoReply, Bounce, Reply
from engine.model import Message
from mailroom.heard import read_event
from mailroom.simulate import Deed, answer_to
from tests.doubles import MONDAY
from tests.makers import SAM


def letter(to: str) -> Message:
    return Message(
        message_id="<one@acme.example>",
        inbox_id=SAM,
        thread_id="thr_1",
        direction="sent",
        sender=SAM,
        to=(to,),
        subject="Hi",
        text="Hello",
        timestamp=MONDAY,
    )


@pytest.mark.parametrize(
    ("address", "deed", "after", "kind"),
    [
        ("ida+reply@nordic.example", Deed.REPLY, timedelta(hours=5), Reply),
        ("ida+reply-2d@nordic.example", Deed.REPLY, timedelta(days=2), Reply),
        ("ida+reply-3h@nordic.example", Deed.REPLY, timedelta(hours=3), Reply),
        ("ida+bounce@nordic.example", Deed.BOUNCE, timedelta(minutes=1), Bounce),
        ("ida+AWAY@nordic.example", Deed.AWAY, timedelta(minutes=1), AutoReply),
    ],
)
def test_the_tag_says_what_comes_back_and_the_mailbox_understands_it(address, deed, after, kind):
    import json

    answer = answer_to([letter(address)])
    assert answer
    assert (answer.deed, answer.at) == (deed, MONDAY + after)
    event = read_event(json.dumps(answer.event).encode())
    assert isinstance(event, kind)
    assert (event.inbox_id, event.thread_id) == (SAM, "thr_1")


@pytest.mark.parametrize("address", ["ida@nordic.example", "ida+news@nordic.example", "reply@nordic.example"])
def test_anybody_else_is_silent(address):
    assert answer_to([letter(address)]) is None


def test_everybody_acts_once():
    assert answer_to([letter("ida+reply@nordic.example")] * 2) is None
