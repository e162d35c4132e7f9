"""The whole way by real SMTP: what the server says becomes what the draft is."""

from datetime import timedelta

import pytest

from engine.dispatch import dispatch_due
from engine.react import react
from engine.settle import Delivered, GaveUp, InDoubt, Postponed
from mailroom.local import LocalMailbox
from mailroom.smtp_out import SmtpSettings, SmtpTransport
from tests import smtp_server
from tests.makers import enrolled, pending, reply
from tests.smtp_server import SmtpServer


@pytest.fixture
def server():
    with SmtpServer() as server:
        yield server


@pytest.fixture
def post(server, clock):
    settings = SmtpSettings("127.0.0.1", server.port, tls="none", timeout=1, answer_timeout=0.5)
    mailbox = LocalMailbox(SmtpTransport(settings, clock))
    yield mailbox
    mailbox.rest()


def _send(store, post, clock, pace):
    return list(dispatch_due(store=store, mailbox=post, clock=clock, pace=pace))


def test_three_mails_in_one_thread_on_the_wire(store, server, post, clock, pace):
    enrolled(store, clock.now())
    for days in (3, 5, 0):
        _send(store, post, clock, pace)
        clock.pass_(timedelta(days=days))

    raw = [letter.data.decode() for letter in server.accepted]
    ids = [
        line.split(": ")[1] for text in raw for line in text.split("\r\n") if line.startswith("Message-ID: ")
    ]
    assert len(raw) == 3
    assert f"In-Reply-To: {ids[0]}" in raw[1]
    assert f"In-Reply-To: {ids[1]}" in raw[2]
    assert "In-Reply-To" not in raw[0]
    assert [text.count("Re: Quick question") for text in raw] == [0, 1, 1]


@pytest.mark.parametrize(
    ("fault", "outcome", "state"),
    [
        (smtp_server.say("451 greylisted"), Postponed, "scheduled"),
        (smtp_server.say("550 no such user"), GaveUp, "failed"),
        (smtp_server.hang_up, InDoubt, "uncertain"),
        (smtp_server.stay_silent, InDoubt, "uncertain"),
    ],
    ids=["4xx", "5xx", "it hangs up", "silence"],
)
def test_what_the_server_answers_to_the_dot_decides(store, server, post, clock, pace, fault, outcome, state):
    enrolled(store, clock.now())
    server.faults["DOT"] = fault

    [found] = _send(store, post, clock, pace)

    assert isinstance(found, outcome)
    assert pending(store, clock.now())[0]["state"] == state


def test_a_reply_that_comes_while_the_text_is_on_its_way_keeps_the_dot_back(store, server, post, clock, pace):
    """The whole text is with the server already; only the dot is not."""
    enrolled(store, clock.now())
    thread_id = pending(store, clock.now())[0]["thread_id"]
    real = post.send

    def send(letter, gate):
        def answered_just_now():
            react(reply(thread_id), b"", store=store, clock=clock, pace=pace)
            return gate()

        return real(letter, answered_just_now)

    post.send = send
    _send(store, post, clock, pace)

    assert server.accepted == []
    assert server.dots == 0
    assert [draft["state"] for draft in pending(store, clock.now(), ended=True)] == ["cancelled"]


def test_a_batch_travels_over_one_connection(store, server, post, clock, pace):
    for number in range(5):
        enrolled(store, clock.now(), f"p{number}@nordic.example")

    outcomes = _send(store, post, clock, pace)

    assert [type(outcome) for outcome in outcomes] == [Delivered] * 5
    assert server.connections == 1
