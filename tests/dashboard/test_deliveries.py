"""What was told to us and what we told others, as people look at it."""

import json
import re
from datetime import timedelta
from html import unescape

import pytest
from sqlalchemy import event as listened

from dashboard.pages.deliveries import came_of
from engine.calls import Answer
from engine.dispatch import dispatch_due
from engine.outbox import Turns, tell_next
from engine.store.pages import Slice
from engine.subscribers import Change, Subscription, change, subscribe
from mailroom.telling import render
from relent.web import create_app
from tests.dashboard.folders import HOSTILE, be_patient
from tests.dashboard.visitors import Visitor, come_in
from tests.makers import IDA, SAM, enrolled, pending, received, signed

HOOK = "https://crm.example/hook/very-secret-path?token=another-secret"


@pytest.fixture(autouse=True)
def _patience(monkeypatch):
    be_patient(monkeypatch)


@pytest.fixture
def thread_id(store, clock, mailbox, pace):
    enrolled(store, clock.now())
    list(dispatch_due(store=store, mailbox=mailbox, clock=clock, pace=pace))
    return pending(store, clock.now())[0]["thread_id"]


def _knock(front, clock, thread_id, **more):
    body = json.dumps(received(thread_id, **more)).encode()
    return front.post("/webhooks/agentmail", **signed(body, clock.now(), delivery_id=f"msg_{len(body)}"))


def _plain(html):
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())


def _subscriber(store, clock, url=HOOK):
    return subscribe(
        Subscription(url=url, event_types=("followup.cancelled", "enrollment.stopped")),
        by="a test",
        judge=lambda _: None,
        store=store,
        clock=clock,
    )


def _tell_all(store, clock, answer):
    turns = Turns()
    while tell_next(store=store, clock=clock, post=lambda call, now: answer, render=render, turns=turns):
        pass


# --- told to us ---


def test_an_answer_stands_there_with_who_it_was_and_what_it_stopped(front, as_viewer, clock, thread_id):
    assert _knock(front, clock, thread_id).status_code == 204

    page = _plain(as_viewer.get("/deliveries").text)

    assert "an answer" in page
    assert IDA in page
    assert "stopped replied, 1 cancelled" in page


def test_what_cannot_be_read_stands_there_too(front, as_viewer, clock):
    front.post("/webhooks/agentmail", **signed(b'{"no": "event"}', clock.now()))

    page = _plain(as_viewer.get("/deliveries").text)

    assert "unreadable" in page
    assert "something else" in page


def test_what_nobody_believed_is_only_counted(as_viewer, store, clock):
    with store.transaction(clock.now(), "a test") as ledger:
        ledger.inbound.count("webhooks refused", 7)

    page = _plain(as_viewer.get("/deliveries").text)

    assert "Refused 7" in page


def test_where_nothing_was_told_the_page_says_what_to_do(as_viewer):
    assert "relent webhook test --self" in as_viewer.get("/deliveries").text


def test_an_admin_reads_the_bytes_as_text_and_nobody_else_does(
    front, as_admin, as_reviewer, as_viewer, clock, thread_id
):
    _knock(front, clock, thread_id, text=f"Yes! {HOSTILE}", event_id="evt/1?x#y")

    href = unescape(re.search(r'href="(/deliveries/in/[^"]+)"', as_admin.get("/deliveries").text)[1])
    page = as_admin.get(href)

    assert page.status_code == 200
    assert "<script>alert" not in page.text
    assert "\\u202e" in page.text
    assert "<script>alert(1)" in unescape(page.text)
    for other in (as_reviewer, as_viewer):
        assert "/deliveries/in/" not in other.get("/deliveries").text
        assert other.get(href).status_code == 403
    assert as_admin.get("/deliveries/in/agentmail/evt_nobodys").status_code == 404


def test_a_megabyte_is_neither_read_for_the_list_nor_shown_whole(front, as_admin, clock, thread_id):
    _knock(front, clock, thread_id, text="x" * 900_000)

    listed = as_admin.get("/deliveries").text
    href = unescape(re.search(r'href="(/deliveries/in/[^"]+)"', listed)[1])
    page = as_admin.get(href).text

    assert "a long one" in listed
    assert len(page) < 100_000
    assert re.search(r"83\d,\d{3} more bytes are not shown", page)


def test_the_list_goes_on_where_it_ended(front, as_viewer, store, clock):
    for number in range(120):
        clock.pass_(timedelta(seconds=number % 3 == 0))
        with store.transaction(clock.now(), "a test") as ledger:
            ledger.inbound.note_receipt("agentmail", f"evt_{number:03}", b"{}", "ignored: a test")

    seen, path = [], "/deliveries"
    while path:
        page = as_viewer.get(path).text
        seen += re.findall(r"evt_\d{3}", page)
        onward = re.search(r'href="([^"]+)" rel="next"', page)
        path = unescape(onward[1]) if onward else ""

    assert seen == [f"evt_{number:03}" for number in reversed(range(120))]


@pytest.mark.parametrize("after", ["x", "W10", "WzEsMl0", "é" * 10, "A" * 5000])
def test_a_page_that_nobody_made_is_the_first_one(as_viewer, after):
    assert as_viewer.get("/deliveries", params={"after": after}).status_code == 200
    assert as_viewer.get("/deliveries/out", params={"after": after, "webhook": after}).status_code == 200


def test_the_canarys_answers_are_not_there(as_viewer, store, clock):
    with store.transaction(clock.now(), "a test") as ledger:
        ledger.inbound.note_receipt("agentmail", "canary/thr_1", b"{}", "stopped: replied, 1 cancelled")
        assert ledger.heard.page_of(Slice()).items == []


def test_a_page_of_what_was_heard_is_read_from_its_index(store, clock):
    with store.reading(clock.now()) as ledger:
        asked: list[tuple[str, object]] = []
        listened.listen(
            store.database, "before_cursor_execute", lambda *told: asked.append((told[2], told[3]))
        )
        ledger.heard.page_of(Slice(limit=2, after=(5, "evt_x")))
    statement, parameters = asked[0]
    if store.database.dialect.name == "sqlite":
        with store.database.connect() as db:
            plan = db.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
        assert "USING INDEX inbound_heard" in str(plan)
        assert "TEMP B-TREE" not in str(plan)


# --- told to others ---


def test_who_is_told_is_shown_without_what_may_be_a_secret(as_admin, store, clock):
    new = _subscriber(store, clock)

    page = as_admin.get("/deliveries/out").text

    assert "crm.example" in page
    for secret in ("very-secret-path", "another-secret", new.secret, new.secret.removeprefix("whsec_")):
        assert secret not in page


def test_a_delivery_that_failed_is_shown_with_every_try_and_told_again(
    front, as_reviewer, store, clock, thread_id
):
    _subscriber(store, clock)
    _knock(front, clock, thread_id)
    _tell_all(store, clock, Answer(500, "<b>out of order</b>"))

    page = as_reviewer.get("/deliveries/out").text
    assert "followup.cancelled" in page
    assert "<b>out of order" not in page
    assert "out of order" in page
    delivery_id = re.search(r"/deliveries/out/(msg_[^/]+)/redeliver", page)[1]
    with store.reading(clock.now()) as ledger:
        before = ledger.outbox.delivery(delivery_id)

    answer = as_reviewer.post_form(f"/deliveries/out/{delivery_id}/redeliver")

    assert answer.headers["location"] == "/deliveries/out"
    with store.reading(clock.now()) as ledger:
        after = ledger.outbox.delivery(delivery_id)
    assert before.next_try_at > clock.now()
    assert after.next_try_at == clock.now()
    assert "It is tried at once." in as_reviewer.get("/deliveries/out").text


def test_one_that_was_delivered_is_told_again_under_another_name(front, as_reviewer, store, clock, thread_id):
    reader = _subscriber(store, clock)
    _knock(front, clock, thread_id)
    _tell_all(store, clock, Answer(204, ""))
    with store.reading(clock.now()) as ledger:
        [*ids] = [each["delivery_id"] for each in ledger.outbox.log()]

    as_reviewer.post_form(f"/deliveries/out/{ids[0]}/redeliver", webhook=reader.id)

    with store.reading(clock.now()) as ledger:
        now = [each["delivery_id"] for each in ledger.outbox.log()]
    assert len(now) == len(ids) + 1
    assert (
        f"It is told once more, as {now[0]}." in as_reviewer.get(f"/deliveries/out?webhook={reader.id}").text
    )


def test_who_is_switched_off_is_told_nothing_again_and_the_page_says_why(
    front, as_admin, store, clock, thread_id
):
    reader = _subscriber(store, clock)
    _knock(front, clock, thread_id)
    change(reader.id, Change(enabled=False), by="a test", store=store, clock=clock)
    with store.reading(clock.now()) as ledger:
        delivery_id = next(ledger.outbox.log())["delivery_id"]

    as_admin.post_form(f"/deliveries/out/{delivery_id}/redeliver")
    told = _plain(as_admin.get("/deliveries/out").text)
    assert "is switched off. Switch it on first" in told
    assert "relent webhook enable" not in told

    as_admin.post_form(f"/deliveries/webhooks/{reader.id}/switch", on="yes")
    with store.reading(clock.now()) as ledger:
        assert ledger.subscribers.get(reader.id).enabled


def test_a_new_secret_is_shown_once_and_the_old_one_signs_for_a_day(as_admin, store, clock):
    reader = _subscriber(store, clock)

    answer = as_admin.post_form(f"/deliveries/webhooks/{reader.id}/rotate")

    with store.reading(clock.now()) as ledger:
        now = ledger.subscribers.get(reader.id)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert now.secret in unescape(answer.text)
    assert reader.secret not in unescape(answer.text)
    assert now.old_secret == reader.secret
    page = unescape(as_admin.get("/deliveries/out").text)
    assert "Two secrets sign" in page
    assert now.secret not in page
    assert reader.secret not in page


def test_somebody_more_is_told_if_their_address_is_one(as_admin, store, clock):
    wrong = as_admin.post_form("/deliveries/webhooks", url="http://127.0.0.1/x", kinds=["message.received"])
    assert wrong.status_code == 422
    assert 'role="alert"' in wrong.text
    assert "url: " not in _plain(wrong.text)
    assert "Tell somebody more" not in wrong.text

    right = as_admin.post_form(
        "/deliveries/webhooks", url="https://crm.example/hook", kinds=["message.received", "draft.held"]
    )

    with store.reading(clock.now()) as ledger:
        [new] = ledger.subscribers.everybody()
    assert new.secret in unescape(right.text)
    assert new.event_types == ("message.received", "draft.held")
    as_admin.post_form(f"/deliveries/webhooks/{new.id}/remove")
    with store.reading(clock.now()) as ledger:
        assert list(ledger.subscribers.everybody()) == []


def test_a_sample_is_posted_and_what_they_said_is_told(house, front, store, clock, monkeypatch):
    reader, calls = _subscriber(store, clock), []

    class Told:
        def __init__(self, **_):
            pass

        def post(self, call, now):
            calls.append(call)
            return Answer(418, "a teapot")

    monkeypatch.setattr("relent.assemble.Sender", Told)
    visitor = come_in(Visitor(create_app(house, with_worker=False)), house, "reviewer")

    visitor.post_form(f"/deliveries/webhooks/{reader.id}/test")

    assert [call.url for call in calls] == [HOOK]
    assert "418" in _plain(visitor.get("/deliveries/out").text)


def test_of_whoever_could_not_be_reached_nobody_says_that_they_said_something():
    unknown = came_of(Answer(None, "crm.example is not known"), "crm.example")
    assert unknown == "It could not be reached: crm.example is not known"
    refused = came_of(Answer(None, "it cannot be reached: Connection refused"), "crm.example")
    assert refused == "crm.example could not be reached: Connection refused"
    assert came_of(Answer(418, "a teapot"), "crm.example") == "crm.example said: answered 418: a teapot"


@pytest.mark.parametrize("deed", ["rotate", "switch", "remove"])
def test_a_reviewer_changes_nobody_who_is_told(as_reviewer, as_viewer, store, clock, deed):
    reader = _subscriber(store, clock)

    for visitor in (as_reviewer, as_viewer):
        assert visitor.post_form(f"/deliveries/webhooks/{reader.id}/{deed}").status_code == 403
        assert f"/{deed}" not in visitor.get("/deliveries/out").text
    with store.reading(clock.now()) as ledger:
        assert ledger.subscribers.get(reader.id) == reader


def test_what_is_not_there_is_not_there(as_admin):
    for path in (
        "/deliveries/out/msg_x/redeliver",
        *(f"/deliveries/webhooks/ep_x/{deed}" for deed in ("test", "switch", "rotate", "remove")),
    ):
        assert as_admin.post_form(path).status_code == 404, path


def test_the_log_goes_on_where_it_ended(as_viewer, store, clock):
    reader = _subscriber(store, clock)
    for number in range(70):
        clock.pass_(timedelta(seconds=1))
        with store.transaction(clock.now(), "a test") as ledger:
            ledger.outbox.tell("followup.cancelled", inbox_id=SAM, number=number)

    for begin in ("/deliveries/out", f"/deliveries/out?webhook={reader.id}"):
        seen, path = [], begin
        while path:
            page = as_viewer.get(path).text
            seen += re.findall(r'class="mono hint">(msg_[^<]+)<', page)
            onward = re.search(r'href="([^"]+)" rel="next"', page)
            path = unescape(onward[1]) if onward else ""
        assert len(seen) == len(set(seen)) == 70
        assert seen == sorted(seen, reverse=True)
