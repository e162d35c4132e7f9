"""What every mailbox must do. Whoever brings another one adds it to the fixture below, and inherits these tests."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from engine.errors import UnreadableEvent
from engine.events import Bounce, Reply
from engine.model import Letter, Sent, Withdrawn
from engine.seams import Mailbox, Trace
from mailroom.local import Capture, LocalMailbox
from mailroom.smtp_out import SmtpSettings, SmtpTransport
from tests.doubles import FrozenClock, MemoryMailbox
from tests.makers import IDA, SAM, received
from tests.smtp_server import SmtpServer

LETTER = Letter(
    key="drf_1",
    message_id="<one@acme.example>",
    sender=SAM,
    to=IDA,
    subject="Re: Hi",
    text="Did you see it?\n",
    in_reply_to="<zero@acme.example>",
    references=("<zero@acme.example>",),
)


@dataclass
class Candidate:
    """A mailbox, and how to see from outside how many letters have left it."""

    mailbox: Mailbox
    left: Callable[[], int]


@pytest.fixture(params=["capture", "smtp", "the tests' own double"])
def candidate(request: pytest.FixtureRequest) -> Iterator[Candidate]:
    if request.param == "capture":
        yield Candidate(LocalMailbox(Capture()), lambda: 0)
    elif request.param == "smtp":
        with SmtpServer() as server:
            settings = SmtpSettings("127.0.0.1", server.port, tls="none", timeout=5, answer_timeout=5)
            mailbox = LocalMailbox(SmtpTransport(settings, FrozenClock()))
            yield Candidate(mailbox, lambda: len(server.accepted))
            mailbox.rest()
    else:
        double = MemoryMailbox()
        yield Candidate(double, lambda: len(double.sent))


def test_the_gate_is_asked_once_and_before_anything_leaves(candidate):
    left_before = []

    def gate() -> bool:
        left_before.append(candidate.left())
        return True

    assert isinstance(candidate.mailbox.send(LETTER, gate), Sent)
    assert left_before == [0]


def test_a_closed_gate_keeps_everything_back(candidate):
    assert isinstance(candidate.mailbox.send(LETTER, lambda: False), Withdrawn)
    candidate.mailbox.rest()
    assert candidate.left() == 0


def test_after_a_closed_gate_the_next_letter_goes(candidate):
    candidate.mailbox.send(LETTER, lambda: False)
    assert isinstance(candidate.mailbox.send(LETTER, lambda: True), Sent)


def test_a_gate_that_fails_is_a_closed_gate(candidate):
    def gate() -> bool:
        raise RuntimeError("the database is away")

    with pytest.raises(RuntimeError):
        candidate.mailbox.send(LETTER, gate)
    candidate.mailbox.rest()
    assert candidate.left() == 0


def test_it_never_claims_to_have_sent_what_it_has_not(candidate):
    assert candidate.mailbox.find("<never@acme.example>") is not Trace.FOUND


def test_resting_is_harmless_and_it_goes_on_afterwards(candidate):
    candidate.mailbox.rest()
    candidate.mailbox.send(LETTER, lambda: True)
    candidate.mailbox.rest()
    candidate.mailbox.rest()
    assert isinstance(candidate.mailbox.send(LETTER, lambda: True), Sent)


def test_it_understands_what_its_own_world_says(candidate):
    body = json.dumps(received("thr_1")).encode()
    event = candidate.mailbox.read(body, "msg_1")
    assert isinstance(event, Reply)
    assert (event.id, event.inbox_id, event.thread_id, event.sender) == ("evt_1", SAM, "thr_1", IDA)

    bounce = {"inbox_id": SAM, "thread_id": "thr_1", "type": "Permanent", "recipients": [{"address": IDA}]}
    body = json.dumps({"event_type": "message.bounced", "event_id": "evt_2", "bounce": bounce}).encode()
    event = candidate.mailbox.read(body, "msg_2")
    assert isinstance(event, Bounce)
    assert event.permanent


def test_what_does_not_concern_us_is_nothing_and_what_cannot_be_read_is_told(candidate):
    assert candidate.mailbox.read(b'{"event_type":"domain.verified","event_id":"e"}', "msg_1") is None
    with pytest.raises(UnreadableEvent):
        candidate.mailbox.read(b"not json", "msg_1")


def test_whoever_is_asked_what_came_in_says_so_or_nothing_and_never_in_vain(candidate):
    """In mid-send, too: the connection of the letter is open meanwhile."""
    said = []

    def gate() -> bool:
        said.append(list(candidate.mailbox.answers_to(LETTER, "thr_1")))
        return True

    assert isinstance(candidate.mailbox.send(LETTER, gate), Sent)
    assert said == [[]]
