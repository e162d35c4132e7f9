"""Whoever asked for it hears what happened: at least once, believably, and at nobody else's expense."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from base64 import b64decode
from collections import Counter
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_network
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from sqlalchemy import event as sqlalchemy_event
from svix.webhooks import Webhook, WebhookVerificationError

from engine.brake import stop
from engine.calls import WAITS, Answer
from engine.errors import NotFound, Refused
from engine.model import Message
from engine.outbox import (
    NotOurs,
    NotTold,
    SwitchedOff,
    Told,
    ToldLater,
    Turns,
    forget,
    redeliver,
    tell_next,
)
from engine.subscribers import Change, Subscription, change, rotate, subscribe, unsubscribe
from relent.worker import Tellings
from tests.api.tools import eventually, listening
from tests.makers import IDA, SAM, enrolled, open_thread, pending
from tests.webhooks.test_sender import Endpoint, headers_of, says, stays_silent
from webhooks.sender import Sender

HOME = (ip_network("127.0.0.0/8"),)
NOBODY = "http://127.0.0.1:9/hook"
DAY = timedelta(days=1)
A_MINUTE = timedelta(minutes=1)
YES, NO, SILENCE = Answer(200, ""), Answer(500, "no"), Answer(None, "no answer within 15 s")


def spell(told, letter, shown):
    """A stand-in for AgentMail's shapes: every fact, and nothing else."""
    said = {"event_type": told.kind, "event_id": told.id, "inbox_id": told.inbox_id, "says": told.says}
    if letter:
        said |= {"text": letter.text, "labels": letter.labels}
    if shown:
        said |= {"thread": [shown.message_count, shown.labels, shown.last_at.isoformat()]}
    return json.dumps(said, sort_keys=True).encode()


class Others:
    """The other side of every webhook: remembers what it was told, and answers as a test says."""

    def __init__(self, *answers):
        self.told = []
        self.answers = list(answers)

    def __call__(self, call, now):
        self.told.append(call)
        return self.answers.pop(0) if self.answers else YES


@pytest.fixture
def hears(store, clock):
    """Somebody who wants to be told."""

    def hears(url=NOBODY, *kinds, **more):
        wanted = Subscription(url=url, event_types=kinds or ("message.sent",), **more)
        return subscribe(wanted, by="a test", judge=lambda url: None, store=store, clock=clock)

    return hears


@pytest.fixture
def happens(store, clock):
    def happens(kind="message.sent", inbox_id=SAM, **says):
        with store.transaction(clock.now(), "a test") as ledger:
            ledger.outbox.tell(kind, inbox_id=inbox_id, **says)

    return happens


@pytest.fixture
def turns():
    return Turns()


@pytest.fixture
def tell(store, clock, turns):
    """Everything that is due, by one pair of hands."""

    def tell(post=None, patience=5.0):
        post = post or Sender(secret=None, allow=HOME, patience=patience).post
        outcomes = []
        while more := tell_next(store=store, clock=clock, post=post, render=spell, turns=turns):
            outcomes += more
        return outcomes

    return tell


def log(store, clock, webhook_id=None):
    with store.reading(clock.now()) as ledger:
        return list(ledger.outbox.log(webhook_id))


def standing(store, clock, subscriber):
    with store.reading(clock.now()) as ledger:
        return ledger.subscribers.get(subscriber.id)


def kinds_of(outcomes):
    return Counter(type(each).__name__ for each in outcomes)


# --- it is told ---


def test_what_happened_is_told_and_the_library_of_others_believes_it(clock, hears, happens, tell):
    clock.pass_(datetime.now(UTC) - clock.now())
    with listening() as ear, listening() as other:
        mine, theirs = hears(ear.url), hears(other.url)
        happens(recipients=[IDA])
        told = tell()

    [heard] = ear.heard
    assert heard.event["says"] == {"recipients": [IDA]}
    assert heard.headers["svix-id"] in {each.delivery_id for each in told}
    Webhook(mine.secret).verify(heard.body, heard.headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(theirs.secret).verify(heard.body, heard.headers)


def test_what_did_not_happen_is_not_told(store, clock, hears, tell):
    hears()

    def fall():
        with store.transaction(clock.now(), "a test") as ledger:
            ledger.outbox.tell("message.sent", inbox_id=SAM)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fall()
    assert tell(Others()) == []


def test_when_nobody_listens_it_costs_one_look(store, clock, hears):
    hears(NOBODY, "message.bounced")
    asked = []
    with store.transaction(clock.now(), "a test") as ledger:
        sqlalchemy_event.listen(
            store.database, "before_cursor_execute", lambda *about: asked.append(about[2])
        )
        for _ in range(3):
            ledger.outbox.tell("message.received", inbox_id=SAM, thread_id="thr_1", message_id="<1@x>")
    assert [statement.split()[0] for statement in asked] == ["SELECT"]
    assert log(store, clock) == []


def test_under_one_id_it_is_told_once(hears, happens, tell):
    hears()
    happens(event_id="evt_1")
    happens(event_id="evt_1")
    others = Others()
    tell(others)
    assert len(others.told) == 1


def test_one_event_to_two_of_them_is_one_event_in_two_envelopes(hears, happens, tell):
    hears()
    hears()
    happens()
    others = Others()
    tell(others)
    first, second = others.told
    assert first.id != second.id
    assert json.loads(first.body)["event_id"] == json.loads(second.body)["event_id"]


@pytest.mark.parametrize(
    ("kind", "asked", "told"),
    [
        ("message.received", "message.received", True),
        ("message.received.spam", "message.received", False),
        ("message.received.blocked", "message.received", False),
        ("message.received.unauthenticated", "message.received", False),
        ("message.received.unauthenticated", "message.received.unauthenticated", True),
        ("message.received", "message.received.spam", False),
    ],
)
def test_doubtful_mail_is_told_only_to_who_asked_for_it(hears, happens, tell, kind, asked, told):
    hears(NOBODY, asked)
    happens(kind)
    assert bool(tell(Others())) is told


def test_headers_of_their_own_travel_with_it(hears, happens, tell):
    with Endpoint(says(204)) as endpoint:
        hears(endpoint.url, headers={"Authorization": "Bearer abc", "User-Agent": "theirs"})
        happens()
        tell()
    headers = headers_of(endpoint.asked[0])
    assert (headers["Authorization"], headers["User-Agent"]) == ("Bearer abc", "theirs")
    assert endpoint.asked[0].lower().count(b"user-agent:") == 1


# --- which of them ---


def test_who_named_inboxes_or_pods_hears_of_any_of_them(store, clock, hears, happens, tell):
    open_thread(store, clock.now())
    open_thread(store, clock.now(), "kim@acme.example")
    here, pod, neither = hears(inbox_ids=[SAM]), hears(pod_ids=["pod_default"]), hears()
    happens(inbox_id="kim@acme.example")
    tell(Others())
    assert {each["webhook_id"] for each in log(store, clock)} == {pod.id, neither.id}
    happens(inbox_id=SAM)
    tell(Others())
    assert [each["webhook_id"] for each in log(store, clock)].count(here.id) == 1


def test_an_inbox_that_was_deleted_is_still_in_its_pod(store, clock, hears, happens, tell):
    hears(pod_ids=["pod_default"])
    happens(inbox_id="nobody@acme.example")
    assert tell(Others()) == []


def test_who_is_switched_off_hears_nothing_and_what_was_on_its_way_ends(store, clock, hears, happens, tell):
    webhook = hears()
    happens()
    change(webhook.id, Change(enabled=False), by="a test", store=store, clock=clock)
    happens()
    assert tell(Others()) == []
    [ended] = log(store, clock)
    assert (ended["state"], ended["outcome"]) == ("failed", "the webhook was switched off")
    change(webhook.id, Change(enabled=True), by="a test", store=store, clock=clock)
    assert tell(Others()) == []


def test_who_was_deleted_while_something_was_told_to_them_ends_too(store, clock, hears, happens, tell):
    webhook = hears()
    happens()

    def post(call, now):
        unsubscribe(webhook.id, by="a test", store=store, clock=clock)
        return NO

    assert kinds_of(tell(post)) == {"NotOurs": 1}
    assert log(store, clock)[0]["outcome"] == "the webhook was deleted"


def test_what_was_begun_at_the_moment_of_the_switch_is_called_off(store, clock, hears, happens, tell):
    """Whoever tells reads who listens a moment before somebody is switched off."""
    webhook = hears()
    with store.transaction(clock.now(), "a test") as ledger:
        assert ledger.outbox.wants("message.sent")
        ledger.subscribers.switch_off(webhook, "for the test")
        ledger.outbox.tell("message.sent", inbox_id=SAM)
    others = Others()
    assert kinds_of(tell(others)) == {"NotTold": 1}
    assert others.told == []


# --- until they say yes ---


def test_it_is_told_again_as_agreed_with_the_same_id_and_the_same_bytes(store, clock, hears, happens, tell):
    hears()
    happens()
    others = Others(*[NO] * 8)
    [failed] = tell(others)
    for number, wait in enumerate(WAITS, start=1):
        assert isinstance(failed, ToldLater)
        assert wait <= failed.at - clock.now() <= wait * 1.1
        clock.pass_(failed.at - clock.now() - timedelta(seconds=1))
        assert tell(others) == []
        clock.pass_(timedelta(seconds=1))
        assert len(others.told) == number
        [failed] = tell(others)

    assert isinstance(failed, NotTold)
    assert {call.id for call in others.told} == {failed.delivery_id}
    assert len({call.body for call in others.told}) == 1
    clock.pass_(30 * DAY)
    assert tell(others) == []
    [shown] = log(store, clock)
    assert (shown["state"], shown["tries"], shown["status"]) == ("failed", 8, 500)
    assert [each["number"] for each in shown["log"]] == list(range(1, 9))
    assert {each["words"] for each in shown["log"]} == {"no"}


@pytest.mark.parametrize("status", [300, 302, 307, 400, 404, 410, 429, 500, 503])
def test_whatever_is_no_yes_is_tried_again(store, clock, hears, happens, tell, status):
    with (
        Endpoint(says(204)) as elsewhere,
        Endpoint(says(status, b"", f"Location: {elsewhere.url}")) as endpoint,
    ):
        webhook = hears(endpoint.url)
        happens()
        [failed] = tell()
        assert isinstance(failed, ToldLater)
        assert elsewhere.visits == 0
    assert log(store, clock)[0]["status"] == status
    assert standing(store, clock, webhook).enabled


@pytest.mark.parametrize("url", ["http://169.254.169.254/latest", "http://10.0.0.1/", "http://[::1]/"])
def test_nobody_is_told_at_an_address_of_ours(store, clock, hears, happens, tell, url):
    hears(url)
    happens()
    [failed] = tell()
    assert "is not out in the world" in failed.why


def test_a_name_that_leads_inside_is_judged_when_it_is_called(hears, happens, tell):
    hears("http://localhost:9/")
    happens()
    [failed] = tell(Sender(secret=None).post)
    assert "is not out in the world" in failed.why


def test_who_is_away_for_a_while_misses_nothing(store, clock, hears, happens, tell):
    with listening() as ear:
        hears(ear.url)
    for number in range(20):
        happens(number=number)
        tell()
        clock.pass_(timedelta(seconds=20))
    assert {each["state"] for each in log(store, clock)} == {"waits"}

    with back_at(urlsplit(ear.url).port) as heard:
        clock.pass_(timedelta(minutes=40))
        tell()
    assert sorted(json.loads(body)["says"]["number"] for body in heard) == list(range(20))
    assert {each["state"] for each in log(store, clock)} == {"delivered"}


@contextmanager
def back_at(port):
    """Up again, where it was before."""
    heard = []

    class Door(BaseHTTPRequestHandler):
        def do_POST(self):
            heard.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *said):
            pass

    with ThreadingHTTPServer(("127.0.0.1", port), Door) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield heard
        server.shutdown()
        thread.join()


def test_who_dies_between_the_post_and_the_note_repeats_it_under_the_same_id(
    store, clock, hears, happens, turns
):
    hears()
    happens()
    heard = []

    def post(call, now):
        heard.append(call)
        if len(heard) == 1:
            raise KeyboardInterrupt
        return YES

    tell = {"store": store, "clock": clock, "post": post, "render": spell, "turns": turns}
    with pytest.raises(KeyboardInterrupt):
        tell_next(**tell)
    assert tell_next(**tell) == []
    clock.pass_(A_MINUTE)
    assert kinds_of(tell_next(**tell)) == {"Told": 1}
    first, second = heard
    assert (first.id, first.body) == (second.id, second.body)


def test_whoever_was_thought_dead_changes_nothing_when_it_comes_back(store, clock, hears, happens):
    hears()
    happens()
    tell = {"store": store, "clock": clock, "render": spell}

    def slow(call, now):
        clock.pass_(2 * A_MINUTE)
        [told] = tell_next(**tell, post=Others(), turns=Turns())
        assert isinstance(told, Told)
        return NO

    [late] = tell_next(**tell, post=slow, turns=Turns())
    assert isinstance(late, NotOurs)
    assert log(store, clock)[0]["state"] == "delivered"


def test_whoever_was_thought_dead_takes_it_out_of_nobody_elses_hands(store, clock, hears, happens):
    hears()
    happens()
    with store.transaction(clock.now(), "a hand") as ledger:
        (due,) = ledger.outbox.due(1, but_not=(), only_well=False)
        first = ledger.outbox.take(due, until=clock.now() + A_MINUTE)
    clock.pass_(2 * A_MINUTE)
    with store.transaction(clock.now(), "another") as ledger:
        (due,) = ledger.outbox.due(1, but_not=(), only_well=False)
        second = ledger.outbox.take(due, until=clock.now() + A_MINUTE)
    later = clock.now() + DAY
    with store.transaction(clock.now(), "the first hand") as ledger:
        assert not ledger.outbox.postpone(first, later, "no", status=500, tries=first.tries)
    with store.transaction(clock.now(), "the other") as ledger:
        assert ledger.outbox.postpone(second, later, "no", status=500, tries=second.tries)


def test_what_nobody_ever_comes_back_from_ends(store, clock, hears, happens, turns):
    hears()
    happens()

    def deadly(call, now):
        raise KeyboardInterrupt

    tell = {"store": store, "clock": clock, "post": deadly, "render": spell, "turns": turns}
    for _ in range(len(WAITS) + 1):
        with pytest.raises(KeyboardInterrupt):
            tell_next(**tell)
        clock.pass_(A_MINUTE)
    [ended] = tell_next(**tell)
    assert ended == NotTold(ended.delivery_id, "nobody came back to say what became of it")


def test_a_letter_is_told_as_it_was_however_late(store, clock, hears, happens, tell):
    hears(NOBODY, "message.received")
    thread_id = open_thread(store, clock.now())
    answer = letter(thread_id, clock.now())
    with store.transaction(clock.now(), "a test") as ledger:
        ledger.threads.keep(answer)
        ledger.threads.tag(thread_id, "follow-up:drf_1")
        ledger.outbox.tell(
            "message.received", inbox_id=SAM, thread_id=thread_id, message_id=answer.message_id
        )
    others = Others(NO)
    tell(others)
    with store.transaction(clock.now(), "a test") as ledger:
        ledger.threads.untag_here([thread_id], ["drf_1"])
        ledger.threads.keep(letter(thread_id, clock.now() + DAY, "<2@nordic.example>", labels=("received",)))
    clock.pass_(A_MINUTE)
    tell(others)

    first, second = others.told
    assert first.body == second.body
    said = json.loads(first.body)
    assert said["text"] == "Let us talk."
    assert said["labels"] == ["received", "unread"]
    assert said["thread"] == [1, ["follow-up:drf_1", "received", "unread"], "2026-03-02T09:00:00+00:00"]


def letter(thread_id, at, message_id="<1@nordic.example>", labels=("received", "unread")):
    return Message(
        message_id=message_id,
        inbox_id=SAM,
        thread_id=thread_id,
        direction="received",
        sender=IDA,
        to=(SAM,),
        subject="Re: Hi",
        text="Let us talk.",
        timestamp=at,
        labels=labels,
    )


# --- at nobody else's expense ---


def hands(number, store, clock, turns, post):
    """Pairs of hands, as the worker has them; they end when nothing is due for them."""

    def work():
        while tell_next(store=store, clock=clock, post=post, render=spell, turns=turns):
            pass

    threads = [threading.Thread(target=work) for _ in range(number)]
    for thread in threads:
        thread.start()
    return threads


def test_who_is_slow_holds_up_nobody_else(store, clock, hears, happens, turns):
    post = Sender(secret=None, allow=HOME, patience=3.0).post
    with Endpoint(stays_silent) as slow, listening() as swift:
        hears(slow.url)
        for _ in range(5):
            happens()
        clock.pass_(timedelta(seconds=1))
        hears(swift.url, "message.bounced")
        for _ in range(5):
            happens("message.bounced")
        began = time.monotonic()
        working = hands(2, store, clock, turns, post)
        assert eventually(lambda: len(swift.heard) == 5, within=2.5)
        assert time.monotonic() - began < 2.5
        assert slow.visits == 1
        slow.closing.set()
        for thread in working:
            thread.join(10)


def test_those_who_fail_never_have_all_the_hands(store, clock, hears, happens, turns, tell):
    others = [hears(f"http://127.0.0.1:9/{number}") for number in range(4)]
    happens()
    tell(Others(*[NO] * 4))
    assert all(standing(store, clock, each).failing_since for each in others)
    clock.pass_(A_MINUTE)
    hears("http://127.0.0.1:9/well", "message.bounced")
    happens("message.bounced")
    told, go_on = [], threading.Event()

    def post(call, now):
        told.append(call.url)
        if "well" not in call.url:
            go_on.wait(10)
        return YES

    working = hands(4, store, clock, turns, post)
    assert eventually(lambda: any("well" in url for url in told), within=5)
    assert len([url for url in told if "well" not in url]) <= 2
    go_on.set()
    for thread in working:
        thread.join(10)
    tell(Others())
    assert {each["state"] for each in log(store, clock)} == {"delivered"}


def test_who_answers_at_once_is_told_several_things_at_a_time(store, clock, hears, happens, turns, tell):
    hears()
    happens()
    tell(Others())
    for _ in range(6):
        happens()
    at_once, most, lock = [0], [0], threading.Lock()

    def post(call, now):
        with lock:
            at_once[0] += 1
            most[0] = max(most[0], at_once[0])
        time.sleep(0.2)
        with lock:
            at_once[0] -= 1
        return YES

    for thread in hands(4, store, clock, turns, post):
        thread.join(10)
    tell(Others())
    assert 1 < most[0] <= 3


def test_while_somebody_is_silent_what_is_due_for_them_counts_as_tried(store, clock, hears, happens, tell):
    silent, well = hears(), hears()
    for _ in range(3):
        happens()

    class Half(Others):
        def __call__(self, call, now):
            self.told.append(call)
            return SILENCE if call.secrets == keys else YES

    with store.reading(clock.now()) as ledger:
        keys = secrets_of(ledger.subscribers.get(silent.id))
    others = Half()
    outcomes = tell(others)
    assert kinds_of(outcomes) == {"Told": 3, "ToldLater": 3}
    assert len([call for call in others.told if call.secrets == keys]) == 1
    shown = log(store, clock, silent.id)
    assert {each["tries"] for each in shown} == {1}
    assert len([each for each in shown if each["log"][0]["words"].startswith("counted as tried: ")]) == 2
    assert {each["state"] for each in log(store, clock, well.id)} == {"delivered"}


def secrets_of(subscriber):
    return (b64decode(subscriber.secret.removeprefix("whsec_")),)


# --- a secret takes another's place ---


def test_for_a_day_both_secrets_sign(store, clock, hears, happens, tell):
    clock.pass_(datetime.now(UTC) - clock.now())
    with listening() as ear:
        old = hears(ear.url)
        new = rotate(old.id, by="a test", store=store, clock=clock)
        assert new.secret != old.secret
        happens()
        tell()
        [both] = ear.heard
        assert both.headers["svix-signature"].count("v1,") == 2
        for secret in (old.secret, new.secret):
            Webhook(secret).verify(both.body, both.headers)

        clock.pass_(DAY)
        happens()
        tell()
    assert ear.heard[1].headers["svix-signature"].count("v1,") == 1


# --- who does not answer for days ---


@pytest.fixture
def five_days(store, clock, happens, tell):
    """Something happens twice a day, and nobody takes it."""

    def five_days(others):
        outcomes = []
        for _ in range(10):
            happens()
            outcomes += tell(others)
            clock.pass_(timedelta(hours=12))
        return outcomes

    return five_days


def test_who_takes_nothing_for_five_days_is_switched_off_and_it_is_said(
    store, clock, hears, happens, tell, five_days
):
    webhook = hears()
    others = Others(*[NO] * 500)
    assert kinds_of(five_days(others))["SwitchedOff"] == 0
    assert standing(store, clock, webhook).enabled
    happens()
    off = [each for each in tell(others) if isinstance(each, SwitchedOff)]

    assert [each.webhook_id for each in off] == [webhook.id]
    seen = standing(store, clock, webhook)
    assert not seen.enabled
    assert seen.why_off == "it has taken nothing since 02 Mar 2026 09:00 UTC; at last: answered 500: no"
    with store.reading(clock.now()) as ledger:
        assert [each["webhook_id"] for each in ledger.subscribers.switched_off()] == [webhook.id]
    assert "waits" not in {each["state"] for each in log(store, clock)}

    happens()
    clock.pass_(DAY)
    assert tell(others) == []


def test_one_yes_in_between_and_the_days_are_counted_anew(store, clock, hears, happens, tell, five_days):
    webhook = hears()
    five_days(Others(*[NO] * 500))
    happens()
    clock.pass_(timedelta(seconds=10))
    others = Others(YES, *[NO] * 500)
    tell(others)
    happens()
    tell(others)
    seen = standing(store, clock, webhook)
    assert seen.enabled
    assert seen.failing_since == clock.now()


def test_who_is_switched_on_again_hears_what_happens_from_then_on(
    store, clock, hears, happens, tell, five_days
):
    webhook = hears()
    others = Others(*[NO] * 500)
    five_days(others)
    happens()
    tell(others)
    missed = log(store, clock)[0]["delivery_id"]
    with pytest.raises(Refused, match=f"relent webhook enable {webhook.id}"):
        redeliver(missed, by="a test", store=store, clock=clock)

    on = change(webhook.id, Change(enabled=True), by="a test", store=store, clock=clock)
    assert (on.enabled, on.why_off, on.failing_since) == (True, None, None)
    well = Others()
    clock.pass_(DAY)
    assert tell(well) == []
    happens()
    assert kinds_of(tell(well)) == {"Told": 1}

    again = redeliver(missed, by="a test", store=store, clock=clock)
    assert again != missed
    assert kinds_of(tell(well)) == {"Told": 1}
    assert [call.id for call in well.told][1] == again


# --- once more ---


def test_told_once_more_it_is_the_same_event_in_another_envelope(store, clock, hears, happens, tell):
    hears()
    happens()
    others = Others()
    [told] = tell(others)
    again = redeliver(told.delivery_id, by="a test", store=store, clock=clock)
    tell(others)
    first, second = others.told
    assert (first.id, second.id) == (told.delivery_id, again)
    assert first.body == second.body


def test_what_waits_for_its_next_try_is_tried_at_once(store, clock, hears, happens, tell):
    hears()
    happens()
    others = Others(NO, NO)
    tell(others)
    clock.pass_(timedelta(seconds=6))
    [failed] = tell(others)
    assert redeliver(failed.delivery_id, by="a test", store=store, clock=clock) == failed.delivery_id
    assert kinds_of(tell(others)) == {"Told": 1}
    assert len({call.id for call in others.told}) == 1


def test_there_must_be_something_and_somebody_to_tell_it_to(store, clock, hears, happens, tell):
    with pytest.raises(NotFound):
        redeliver("msg_1", by="a test", store=store, clock=clock)
    webhook = hears()
    happens()
    [told] = tell(Others())
    unsubscribe(webhook.id, by="a test", store=store, clock=clock)
    with pytest.raises(Refused, match="was deleted"):
        redeliver(told.delivery_id, by="a test", store=store, clock=clock)


# --- what is remembered ---


def test_what_everybody_has_heard_is_forgotten_after_thirty_days(store, clock, hears, happens, tell):
    hears()
    happens()
    [told] = tell(Others())
    clock.pass_(30 * DAY)
    assert forget(store=store, clock=clock) == 0
    clock.pass_(timedelta(seconds=1))
    happens()
    assert forget(store=store, clock=clock) == 1
    assert [each["state"] for each in log(store, clock)] == ["waits"]
    with pytest.raises(NotFound):
        redeliver(told.delivery_id, by="a test", store=store, clock=clock)


def test_what_somebody_has_yet_to_hear_is_not_forgotten(store, clock, hears, happens):
    hears()
    happens()
    clock.pass_(40 * DAY)
    assert forget(store=store, clock=clock) == 0


# --- what is told ---


def test_whoever_is_stopped_and_what_is_cancelled_is_told(store, clock, hears, tell):
    hears(NOBODY, "followup.cancelled", "enrollment.stopped")
    life = enrolled(store, clock.now())
    [draft] = pending(store, clock.now())
    stop(IDA, by="a test", store=store, clock=clock)
    others = Others()
    tell(others)
    said = [json.loads(call.body) for call in others.told]
    assert [each["event_type"] for each in said] == ["followup.cancelled", "enrollment.stopped"]
    assert said[0]["says"] == {"reason": "by_hand", "recipients": [IDA], "enrollment_id": life}
    assert said[1]["says"] == {
        "reason": "by_hand",
        "enrollment_id": life,
        "sequence": "Quick question",
        "email": IDA,
    }
    assert draft["draft_id"]


# --- the worker ---


def test_the_worker_tells_it_by_itself(house, hears, happens, clock):
    config = house.config.model_copy(deep=True)
    outbound = config.webhooks.outbound.model_copy(update={"allow": HOME})
    config = config.model_copy(update={"webhooks": config.webhooks.model_copy(update={"outbound": outbound})})
    with listening() as ear:
        hears(ear.url)
        happens()
        with Tellings(replace(house, config=config, render=spell), threading.Event()):
            assert eventually(lambda: ear.heard, within=5)


# --- the page ---


def test_what_the_page_shows_hears_what_happens(tmp_path, clock, hears, happens, tell):
    page = (Path(__file__).parents[2] / "docs" / "webhooks-out.md").read_text("utf-8")
    (tmp_path / "hear.py").write_text(page.partition("```python\n")[2].partition("```")[0])
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    clock.pass_(datetime.now(UTC) - clock.now())
    webhook = hears(f"http://127.0.0.1:{port}/")
    environment = os.environ | {"WEBHOOK_SECRET": webhook.secret}
    with subprocess.Popen(
        [sys.executable, "hear.py", str(port)],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as listener:
        try:
            assert eventually(lambda: is_open(port))
            happens(event_id="evt_1")
            [told] = tell()
            assert isinstance(told, Told)
            assert listener.stdout.readline() == b"message.sent evt_1\n"
        finally:
            listener.terminate()


def is_open(port):
    with socket.socket() as door:
        return door.connect_ex(("127.0.0.1", port)) == 0
