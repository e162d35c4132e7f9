"""The door: what strangers send, and the answer each of them gets."""

import json

import pytest
from sqlalchemy.exc import OperationalError

from engine import scribe
from engine.dispatch import dispatch_due
from tests.makers import IDA, SAM, SECRET, enrolled, pending, received, signed

PATH = "/webhooks/agentmail"


@pytest.fixture
def thread_id(store, clock, mailbox, pace):
    """Somebody with a follow-up still to come."""
    enrolled(store, clock.now())
    list(dispatch_due(store=store, mailbox=mailbox, clock=clock, pace=pace))
    return pending(store, clock.now())[0]["thread_id"]


def _receipts(store, clock):
    with store.reading(clock.now()) as ledger:
        return ledger.views.status(clock.now())["webhooks"]["received"]


def _with(post, **headers):
    return post | {
        "headers": post["headers"] | {name.replace("_", "-"): value for name, value in headers.items()}
    }


def _without(post, name):
    return post | {"headers": {key: value for key, value in post["headers"].items() if key != name}}


def _forgeries(post, now):
    good = post["headers"]
    moment = int(now.timestamp())
    yield "no signature", _without(post, "svix-signature")
    yield "no id", _without(post, "svix-id")
    yield "no timestamp", _without(post, "svix-timestamp")
    yield "no headers at all", post | {"headers": {}}
    for bad in (
        "",
        " ",
        ",",
        "v1",
        "v1,",
        "v1,,",
        "v1,AAAA",
        "v1,====",
        "v2," + good["svix-signature"][3:],
        "\t",
        "v1a," * 3,
    ):
        yield f"signature {bad!r}", _with(post, svix_signature=bad)
    yield "signature twice as long", _with(post, svix_signature=good["svix-signature"] * 2)
    yield "ten thousand entries", _with(post, svix_signature="v1,AAAA " * 10_000)
    for bad in (
        "",
        "nan",
        "inf",
        "1e400",
        "0x10",
        f"+{moment}",
        f" {moment} ",
        f"{moment}.0",
        "-1",
        "9" * 5000,
        "1_7",
    ):
        yield f"timestamp {bad[:12]!r}", _with(post, svix_timestamp=bad)
    for bad in ("", "msg.1", "msg 1", "x" * 10_000):
        yield f"id {bad[:12]!r}", _with(post, svix_id=bad)
    for seconds in (-301, 301, -86400, 10**9):
        from datetime import timedelta

        yield f"{seconds} s off", signed(post["content"], now + timedelta(seconds=seconds))
    yield "another secret", signed(post["content"], now, secret="whsec_" + "B" * 32)
    yield "another body", post | {"content": post["content"] + b" "}
    yield "another body of equal length", post | {"content": post["content"].replace(b"Ida", b"Eda")}
    yield (
        "two families that disagree",
        _with(
            post,
            webhook_id="msg_2",
            webhook_timestamp=good["svix-timestamp"],
            webhook_signature=good["svix-signature"],
        ),
    )
    yield "re-split", _with(post, svix_id=f"msg_1.{moment}", svix_timestamp="1")


def test_what_is_not_signed_by_us_gets_401_and_changes_nothing(door, store, clock, thread_id):
    post = signed(received(thread_id), clock.now())
    before = pending(store, clock.now())

    answers = {name: door.post(PATH, **forged) for name, forged in _forgeries(post, clock.now())}

    assert {name: answer.status_code for name, answer in answers.items() if answer.status_code != 401} == {}
    assert len({answer.text for answer in answers.values()}) == 1  # a stranger learns nothing
    assert pending(store, clock.now()) == before
    assert _receipts(store, clock) == 0


def test_a_header_that_comes_twice_is_not_believed(door, clock, thread_id):
    post = signed(received(thread_id), clock.now())
    for name in ("svix-id", "svix-timestamp", "svix-signature"):
        twice = [*post["headers"].items(), (name, post["headers"][name])]
        assert door.post(PATH, content=post["content"], headers=twice).status_code == 401


def test_standard_webhooks_headers_are_believed_too(door, store, clock, thread_id):
    post = signed(received(thread_id), clock.now())
    headers = {name.replace("svix-", "webhook-"): value for name, value in post["headers"].items()}

    assert door.post(PATH, content=post["content"], headers=headers).status_code == 204
    assert pending(store, clock.now()) == []


def test_a_good_signature_counts_whatever_stands_beside_it(door, store, clock, thread_id):
    post = signed(received(thread_id), clock.now())
    crowded = _with(post, svix_signature=f"nonsense v9,xx v1,AAAA {post['headers']['svix-signature']} v1a,zz")
    assert door.post(PATH, **crowded).status_code == 204


@pytest.mark.parametrize("seconds", [-300, 300])
def test_five_minutes_either_way_are_believed(door, clock, thread_id, seconds):
    from datetime import timedelta

    assert (
        door.post(PATH, **signed(received(thread_id), clock.now() + timedelta(seconds=seconds))).status_code
        == 204
    )


UNREADABLE = {
    "nothing": b"",
    "no JSON": b"hello",
    "half an object": b'{"type":"event"',
    "a list": b"[]",
    "a number": b"7",
    "null": b"null",
    "a byte order mark": b'\xef\xbb\xbf{"event_type":"message.received"}',
    "UTF-16": '{"event_type":"message.received"}'.encode("utf-16"),
    "not UTF-8": b'{"event_type":"\xff\xfe"}',
    "NaN": b'{"event_type":"message.received","x":NaN}',
    "a huge number": b'{"event_type":"message.received","x":' + b"9" * 5000 + b"}",
    "equal keys": b'{"event_type":"domain.verified","event_type":"message.received"}',
    "a lone surrogate": b'{"event_type":"message.received","x":"\\ud800"}',
    "deep": b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "no type": b"{}",
    "a type that is no text": b'{"event_type":["message.received"]}',
    "no message": b'{"event_type":"message.received","event_id":"e"}',
    "a message that is no object": b'{"event_type":"message.received","event_id":"e","message":[]}',
    "no thread": b'{"event_type":"message.received","event_id":"e","message":{"inbox_id":"sam@acme.example"}}',
    "a thread that is a list": b'{"event_type":"message.received","event_id":"e","message":{"inbox_id":"a","thread_id":["t"]}}',
    "an empty inbox": b'{"event_type":"message.received","event_id":"e","message":{"inbox_id":"","thread_id":"t"}}',
}


@pytest.mark.parametrize("body", UNREADABLE.values(), ids=UNREADABLE)
def test_what_is_signed_but_cannot_be_read_gets_422_and_is_kept_for_a_human(
    door, store, clock, thread_id, body
):
    answer = door.post(PATH, **signed_bytes(body, clock.now()))

    assert answer.status_code == 422
    assert {"name", "message", "code", "fix", "docs"} <= answer.json().keys()
    assert _receipts(store, clock) == 1
    assert len(pending(store, clock.now())) == 1


def signed_bytes(body, now):
    """svix signs text only; these bodies are none. tests/webhooks/test_signature.py holds our signature equal to svix's."""
    from webhooks.signature import decode_secret, sign

    return {"content": body, "headers": sign(body, decode_secret(SECRET), delivery_id="msg_1", now=now)}


TOLERATED = {
    "text is null": {"text": None},
    "no sender": {"from": None},
    "a sender that is a list": {"from": [{"email": IDA, "name": "Ida"}]},
    "a sender that is nonsense": {"from": 17},
    "no Message-ID": {"message_id": None},
    "a Message-ID that is a list": {"message_id": ["<a@b>"]},
    "ten thousand recipients": {"to": [f"p{number}@x.example" for number in range(10_000)]},
    "references that are a number": {"references": 3},
    "headers that are a list": {"headers": [1, 2]},
    "NUL bytes": {"subject": "a\x00b", "text": "\x00"},
    "a long subject": {"subject": "x" * 200_000},
    "a strange time": {"timestamp": "yesterday"},
    "an inbox in capitals": {"inbox_id": SAM.upper()},
}


@pytest.mark.parametrize("more", TOLERATED.values(), ids=TOLERATED)
def test_what_is_not_needed_may_be_anything(door, store, clock, thread_id, more):
    assert door.post(PATH, **signed(received(thread_id, **more), clock.now())).status_code == 204
    assert pending(store, clock.now()) == []


@pytest.mark.parametrize(
    "kind", ["message.sent", "message.delivered", "domain.verified", "calendar.event.created", "x"]
)
def test_what_does_not_concern_us_is_204_and_changes_nothing(door, store, clock, thread_id, kind):
    event = received(thread_id) | {"event_type": kind}
    assert door.post(PATH, **signed(event, clock.now())).status_code == 204
    assert len(pending(store, clock.now())) == 1


@pytest.mark.parametrize("kind", ["spam", "blocked", "unauthenticated"])
def test_an_answer_that_the_provider_doubts_holds(door, store, clock, thread_id, kind):
    event = received(thread_id) | {"event_type": f"message.received.{kind}"}
    assert door.post(PATH, **signed(event, clock.now())).status_code == 204
    assert [draft["state"] for draft in pending(store, clock.now())] == ["held"]


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
def test_the_door_is_for_posting(door, method):
    answer = door.request(method, PATH)
    assert answer.status_code == 405
    assert answer.json()["name"] == "MethodNotAllowedError"


def test_a_path_that_is_not_there_is_told_in_the_same_shape(door):
    assert door.post("/webhooks/other").json()["code"] == "not_found_error"


def test_a_body_that_is_too_large_is_413(door, clock):
    assert door.post(PATH, content=b"x" * (1024**2 + 1)).status_code == 413
    chunks = (b"x" * 65536 for _ in range(17))
    assert door.post(PATH, content=chunks).status_code == 413


def test_an_encoded_body_is_refused(door, clock, thread_id):
    post = _with(signed(received(thread_id), clock.now()), content_encoding="gzip")
    assert door.post(PATH, **post).status_code == 400


def test_a_database_that_is_away_is_503_and_the_same_request_works_later(
    door, store, clock, thread_id, monkeypatch
):
    def away(now, by):
        raise OperationalError("BEGIN", {}, Exception("disk I/O error"))

    post = signed(received(thread_id), clock.now())
    with monkeypatch.context() as patch:
        patch.setattr(store, "transaction", away)
        answer = door.post(PATH, **post)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert door.post(PATH, **post).status_code == 204
    assert pending(store, clock.now()) == []


def test_refused_webhooks_are_counted_and_nothing_of_them_is_kept(door, house, store, clock):
    from relent.worker import Worker

    for _ in range(3):
        door.post(PATH, content=b"{}")
    Worker(house).tick()
    with store.reading(clock.now()) as ledger:
        assert ledger.views.status(clock.now())["webhooks"] == {"received": 0, "refused": 3, "cancelled": 0}


def test_events_that_come_in_the_wrong_order_take_nothing_back(door, store, clock, thread_id):
    def post(event_id, kind, key):
        message = {
            "inbox_id": SAM,
            "thread_id": thread_id,
            "message_id": "<x@y>",
            "type": "Permanent",
            "recipients": [IDA],
        }
        event = {"type": "event", "event_type": kind, "event_id": event_id, key: message}
        return door.post(PATH, **signed(event, clock.now(), delivery_id=event_id)).status_code

    assert door.post(PATH, **signed(received(thread_id), clock.now())).status_code == 204
    assert [post("e2", "message.bounced", "bounce"), post("e3", "message.sent", "send")] == [204, 204]
    with store.reading(clock.now()) as ledger:
        assert [person["stop_reason"] for person in ledger.views.people()] == ["replied"]


def test_a_storm_of_one_event_is_one_effect(door, store, clock, thread_id):
    from concurrent.futures import ThreadPoolExecutor

    post = signed(json.dumps(received(thread_id)).encode(), clock.now())
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: door.post(PATH, **post).status_code, range(100)))
    assert set(answers) == {204}
    assert _receipts(store, clock) == 1


def test_who_comes_when_too_many_wait_is_asked_to_come_again(door, clock, thread_id, monkeypatch):
    monkeypatch.setattr(scribe, "_MOST_WAITING", 0)
    answer = door.post(PATH, **signed(received(thread_id), clock.now()))

    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "1"
    monkeypatch.undo()
    assert door.post(PATH, **signed(received(thread_id), clock.now())).status_code == 204
