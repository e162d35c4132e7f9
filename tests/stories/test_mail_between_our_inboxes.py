"""Two inboxes of one house: what one sends arrives in the other, and an answer stops what it stops."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial
from threading import Event
from time import sleep

import pytest

from engine.dispatch import dispatch_due
from engine.errors import NoAnswer
from engine.ids import follow_up_label
from engine.model import Enclosure
from engine.post import Counter, post
from engine.receive import Arrived, receive, receive_next, receive_sent
from engine.settle import Delivered, Postponed
from engine.states import DraftState
from engine.wish import Author, Wish
from engine.write import write
from mailroom.hearsay import told
from mailroom.local import Capture, LocalMailbox
from tests.makers import SAM, enrolled, people

KIM = "kim@acme.example"
ANN = Author(id="key_ann")
HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def inboxes(store, clock):
    with store.transaction(clock.now(), "a test") as ledger:
        ledger.threads.open_inbox(SAM)
        ledger.threads.open_inbox(KIM)


@pytest.fixture
def posts(store, clock, pace):
    @contextmanager
    def lend():
        yield LocalMailbox(Capture())

    counter = Counter(store=store, clock=clock, pace=pace, lend=lend)
    return lambda wish: post(wish, key=None, by=ANN, counter=counter)


@pytest.fixture
def arrives(store, clock, pace):
    return lambda: receive_next(read=told, store=store, clock=clock, pace=pace)


@pytest.fixture
def hello():
    return Wish(inbox_id=SAM, to=(KIM,), subject="Hello", text="Good day.", names={KIM: "Kim"})


def letters(store, clock, inbox_id):
    with store.reading(clock.now()) as ledger:
        return [each for each in ledger.views.messages() if each["inbox_id"] == inbox_id]


def test_what_one_sends_the_other_receives_once(posts, hello, arrives, store, clock):
    plan = Enclosure(name="plan.txt", content_type="text/plain", content=b"one two")
    sent = posts(replace(hello, files=(plan,), cc=("ida@nordic.example",), bcc=("tom@x.example",)))
    arrives()
    arrives()
    (got,) = letters(store, clock, KIM)

    assert (got["message_id"], got["direction"], got["from"]) == (sent.message_id, "received", SAM)
    assert (got["cc"], got["text"]) == (["ida@nordic.example"], "Good day.")
    assert [each["name"] for each in got["attachments"]] == ["plan.txt"]
    assert "tom@x.example" not in str(got)


def test_a_worker_that_died_on_the_way_loses_nothing_and_doubles_nothing(posts, hello, arrives, store, clock):
    posts(hello)
    with store.transaction(clock.now(), "somebody who dies") as ledger:
        assert ledger.arrivals.take(10, until=clock.now() + timedelta(minutes=1))
    arrives()
    assert letters(store, clock, KIM) == []
    clock.pass_(timedelta(minutes=2))
    arrives()

    assert len(letters(store, clock, KIM)) == 1


def test_an_answer_from_the_other_inbox_cancels_the_follow_up(posts, hello, arrives, store, clock):
    first = posts(hello)
    arrives()
    follow_up = write(
        Wish(inbox_id=SAM, in_reply_to=first.message_id, text="Still there?", send_at=clock.now() + HOUR),
        by=ANN,
        store=store,
        clock=clock,
    ).draft
    with store.transaction(clock.now(), "a test") as ledger:
        ledger.threads.tag(first.thread_id, follow_up_label(follow_up.id))
    posts(Wish(inbox_id=KIM, in_reply_to=first.message_id, text="Yes."))
    arrives()

    with store.reading(clock.now()) as ledger:
        assert ledger.drafts.get(follow_up.id).state == DraftState.CANCELLED
        assert ledger.threads.labels(first.thread_id) == []
    assert [each["thread_id"] for each in letters(store, clock, SAM)] == [first.thread_id] * 2


def test_who_answers_by_the_api_is_heard_before_they_are_told_so_whoever_has_the_letter_in_hand(
    posts, hello, arrives, store, clock, pace
):
    """A worker took it and is slow, or dead: the follow-up must not leave while it has the letter."""
    first = posts(hello)
    arrives()
    follow_up = write(
        Wish(inbox_id=SAM, in_reply_to=first.message_id, text="Still there?", send_at=clock.now() + HOUR),
        by=ANN,
        store=store,
        clock=clock,
    ).draft
    with store.transaction(clock.now(), "a test") as ledger:
        ledger.threads.tag(first.thread_id, follow_up_label(follow_up.id))

    def arrive(inbox_id, message_id):
        with store.transaction(clock.now(), "somebody who dies") as ledger:
            ledger.arrivals.take(10, until=clock.now() + timedelta(minutes=1))
        receive_sent(inbox_id, message_id, read=told, store=store, clock=clock, pace=pace)

    @contextmanager
    def lend():
        yield LocalMailbox(Capture())

    counter = Counter(store=store, clock=clock, pace=pace, lend=lend, arrive=arrive)
    post(Wish(inbox_id=KIM, in_reply_to=first.message_id, text="Yes."), key=None, by=ANN, counter=counter)

    with store.reading(clock.now()) as ledger:
        assert ledger.drafts.get(follow_up.id).state == DraftState.CANCELLED
    clock.pass_(timedelta(minutes=2))
    arrives()
    assert [each["text"] for each in letters(store, clock, SAM)].count("Yes.") == 1


def test_who_answers_while_the_follow_up_is_in_the_air_is_told_so_when_it_has_landed(
    posts, hello, arrives, store, clock, pace, mailbox
):
    first = posts(hello)
    arrives()
    write(
        Wish(inbox_id=SAM, in_reply_to=first.message_id, to=("ida@nordic.example",), send_at=clock.now()),
        by=ANN,
        store=store,
        clock=clock,
    )
    in_the_air, go_on = Event(), Event()

    def fly(letter):
        in_the_air.set()
        go_on.wait(10)

    @contextmanager
    def lend():
        yield LocalMailbox(Capture())

    mailbox.after_gate = fly
    arrive = partial(receive_sent, read=told, store=store, clock=clock, pace=pace)
    counter = Counter(store=store, clock=clock, pace=pace, lend=lend, arrive=arrive)
    with ThreadPoolExecutor(2) as hands:
        worker = hands.submit(
            lambda: list(dispatch_due(store=store, mailbox=mailbox, clock=clock, pace=pace))
        )
        assert in_the_air.wait(10)
        answer = Wish(inbox_id=KIM, in_reply_to=first.message_id, text="Yes.")
        told_so = hands.submit(post, answer, key=None, by=ANN, counter=counter)
        sleep(0.5)
        too_early = told_so.done()
        go_on.set()
        worker.result()
        told_so.result()

    assert not too_early


def test_an_answer_to_a_letter_in_doubt_stops_what_would_follow_it(lands, store, clock, pace, mailbox):
    """Nobody wrote down yet that it left, so it is no letter of any conversation; but its draft is."""

    def silence(letter):
        raise NoAnswer("no answer to the dot")

    @contextmanager
    def lend():
        yield mailbox

    mailbox.after_gate = silence
    doubtful = Wish(inbox_id=SAM, to=("ida@nordic.example",), subject="Hello", text="Hi")
    counter = Counter(store=store, clock=clock, pace=pace, lend=lend)
    first = post(doubtful, key=None, by=ANN, counter=counter)
    follow_up = write(
        replace(doubtful, to=("tom@else.example",), send_at=clock.now() + HOUR),
        by=ANN,
        store=store,
        clock=clock,
    ).draft
    with store.transaction(clock.now(), "a test") as ledger:
        ledger.threads.tag(first.thread_id, follow_up_label(follow_up.id))
    lands(in_reply_to=first.message_id, sender="ida@at-home.example", text="Yes.")

    with store.reading(clock.now()) as ledger:
        assert ledger.drafts.get(follow_up.id).state == DraftState.CANCELLED
    assert letters(store, clock, SAM)[0]["thread_id"] == first.thread_id


def test_an_answer_from_the_other_inbox_stops_a_sequence(posts, arrives, store, clock, pace):
    enrolled(store, clock.now(), KIM)
    mailbox = LocalMailbox(Capture())
    list(dispatch_due(store=store, mailbox=mailbox, clock=clock, pace=pace))
    arrives()
    (first,) = letters(store, clock, KIM)
    posts(Wish(inbox_id=KIM, in_reply_to=first["message_id"], text="Yes, please."))
    arrives()

    assert [each["state"] for each in people(store, clock.now())] == ["stopped"]


def test_what_is_for_the_other_inbox_and_cannot_be_noted_has_certainly_not_arrived(
    arrives, store, clock, pace, mailbox, monkeypatch
):
    """So there is no doubt about it: it is tried again, later and later."""

    def trips(*_, **__):
        raise ZeroDivisionError

    enrolled(store, clock.now(), KIM)
    with monkeypatch.context() as patched:
        patched.setattr("engine.carry.departed", trips)
        [outcome] = dispatch_due(store=store, mailbox=mailbox, clock=clock, pace=pace)
    assert isinstance(outcome, Postponed)
    assert list(dispatch_due(store=store, mailbox=mailbox, clock=clock, pace=pace)) == []

    clock.pass_(pace.retries[0])
    [outcome] = dispatch_due(store=store, mailbox=mailbox, clock=clock, pace=pace)
    arrives()
    assert isinstance(outcome, Delivered)
    assert len(letters(store, clock, KIM)) == 1


def test_a_paused_inbox_gets_nothing(posts, hello, arrives, store, clock):
    with store.transaction(clock.now(), "a test") as ledger:
        ledger.inboxes.update(KIM, paused=True)
    posts(hello)
    arrives()

    assert letters(store, clock, KIM) == []


@pytest.fixture
def lands(store, clock, pace):
    def one(**mail):
        usual = {
            "event_id": "evt_1",
            "inbox_id": SAM,
            "message_id": "<1@nordic.example>",
            "sender": "ida@nordic.example",
            "to": (SAM,),
        }
        return receive(Arrived(**usual | mail), read=told, store=store, clock=clock, pace=pace)

    return one


def test_every_letter_is_kept_also_one_that_answers_nothing(lands, store, clock):
    lands(subject="Hello", text="Anybody there?")
    lands(subject="Hello", text="Anybody there?")

    assert [each["text"] for each in letters(store, clock, SAM)] == ["Anybody there?"]


def test_a_letter_joins_the_thread_that_it_answers_and_no_other_by_its_subject(lands, posts, store, clock):
    first = posts(Wish(inbox_id=SAM, to=("ida@nordic.example",), subject="Hello", text="Hi"))
    lands(event_id="a", message_id="<a@x>", subject="Re: Hello", in_reply_to=first.message_id)
    lands(event_id="b", message_id="<b@x>", subject="Re: Hello", references=("<else@x>", first.message_id))
    lands(event_id="c", message_id="<c@x>", subject="Re: Hello")
    threads = [each["thread_id"] for each in letters(store, clock, SAM)]

    assert threads[:3] == [first.thread_id] * 3
    assert threads[3] != first.thread_id


def test_an_answer_of_another_inbox_does_not_find_our_thread(lands, posts, store, clock):
    first = posts(Wish(inbox_id=KIM, to=("ida@nordic.example",), subject="Hello", text="Hi"))
    lands(in_reply_to=first.message_id)

    assert letters(store, clock, SAM)[0]["thread_id"] != first.thread_id


def test_forged_mail_is_dropped(lands, store, clock):
    lands(authentic="fail")

    assert letters(store, clock, SAM) == []


@pytest.mark.parametrize("doubt", [{"spam": True}, {"authentic": "none"}])
def test_a_doubtful_answer_holds_and_cancels_nothing(lands, posts, store, clock, doubt):
    first = posts(Wish(inbox_id=SAM, to=("ida@nordic.example",), subject="Hello", text="Hi"))
    follow_up = write(
        Wish(inbox_id=SAM, in_reply_to=first.message_id, text="Still there?", send_at=clock.now() + HOUR),
        by=ANN,
        store=store,
        clock=clock,
    ).draft
    lands(in_reply_to=first.message_id, **doubt)

    with store.reading(clock.now()) as ledger:
        assert ledger.drafts.get(follow_up.id).state == DraftState.HELD
