"""What the SDK does not show: query forms, path ids, paging tokens and the shape of errors, over plain HTTP."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from urllib.parse import quote
from uuid import uuid4

import httpx
import pytest

from tests.api.tools import PROSPECT, SLOW, at, eventually

Receive = Callable[..., str]


@pytest.fixture
def drafts(inbox: str) -> str:
    return f"/v0/inboxes/{inbox}/drafts"


def own(tail: str) -> str:
    """A Message-ID that nobody had before."""
    return f"<{uuid4().hex}.{tail[1:]}"


@pytest.fixture
def messages(inbox: str) -> str:
    return f"/v0/inboxes/{inbox}/messages"


def made(raw: httpx.Client, path: str, **body) -> dict:
    answer = raw.post(path, json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


# What a query may look like.


@pytest.mark.parametrize(
    "query",
    [
        "labels=%5B%22a%22%2C+%22b%22%5D",  # the Python and the Node SDK
        "labels=a&labels=b",
        "labels=a,b",  # the Go command line
        "labels=a%2Cb",
        "labels[]=a&labels[]=b",
        "labels=A&labels=B",
    ],
)
def test_a_list_may_be_asked_in_many_ways(raw: httpx.Client, drafts: str, query: str):
    both = made(raw, drafts, labels=["a", "b"])
    made(raw, drafts, labels=["a"])

    assert [one["draft_id"] for one in raw.get(f"{drafts}?{query}").json()["drafts"]] == [both["draft_id"]]


def test_a_bare_value_is_a_list_of_one(raw: httpx.Client, drafts: str):  # as curl examples write it
    one = made(raw, drafts, labels=["a"])

    assert [each["draft_id"] for each in raw.get(f"{drafts}?labels=a").json()["drafts"]] == [one["draft_id"]]


def test_a_comma_in_json_belongs_to_the_label(raw: httpx.Client, drafts: str):
    made(raw, drafts, labels=["a,b"])

    assert raw.get(drafts, params={"labels": json.dumps(["a,b"])}).json()["count"] == 1
    assert raw.get(drafts, params={"labels": "a,b"}).json()["count"] == 0


def test_an_empty_list_is_no_filter(raw: httpx.Client, drafts: str):
    made(raw, drafts)

    assert raw.get(f"{drafts}?labels=%5B%5D").json()["count"] == 1


def test_a_plus_sign_in_a_query_is_a_space(raw: httpx.Client, drafts: str):
    made(raw, drafts, labels=["x y"])

    assert raw.get(f"{drafts}?labels=x+y").json()["count"] == 1


def test_what_is_not_known_in_a_query_is_passed_over(raw: httpx.Client, drafts: str):
    assert raw.get(f"{drafts}?colour=red").status_code == 200


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=-1", "limit=many", "ascending=perhaps", "before=yesterday"]
)
def test_a_query_that_means_nothing_is_refused(raw: httpx.Client, drafts: str, query: str):
    assert raw.get(f"{drafts}?{query}").status_code == 400


def test_a_limit_beyond_a_hundred_is_a_hundred(raw: httpx.Client, drafts: str):
    assert raw.get(f"{drafts}?limit=1000").json()["limit"] == 100


def test_without_a_limit_a_page_has_fifty(raw: httpx.Client, drafts: str):
    for _ in range(51):
        made(raw, drafts)

    assert raw.get(drafts).json()["count"] == 50


# Null, and nothing.


def test_what_is_empty_is_left_out_of_an_answer(raw: httpx.Client, drafts: str):
    assert None not in made(raw, drafts, subject=None).values()


def test_the_last_page_has_no_token(raw: httpx.Client, drafts: str):
    made(raw, drafts)

    assert "next_page_token" not in raw.get(drafts).json()


def test_a_full_last_page_has_no_token_either(raw: httpx.Client, drafts: str):
    for _ in range(2):
        made(raw, drafts)

    assert "next_page_token" not in raw.get(f"{drafts}?limit=2").json()


def test_an_empty_list_is_still_a_list(raw: httpx.Client, drafts: str):
    assert raw.get(drafts).json() == {"count": 0, "limit": 50, "drafts": []}


def test_an_inbox_is_made_without_any_body(raw: httpx.Client):
    assert raw.post("/v0/inboxes").status_code == 200


def test_an_unscheduled_draft_mentions_no_moment(raw: httpx.Client, drafts: str):
    one = made(raw, drafts, to=[PROSPECT], send_at=at(hours=1))
    changed = raw.patch(f"{drafts}/{one['draft_id']}", json={"send_at": None}).json()

    assert not {"send_at", "send_status"} & set(changed)


def test_the_wire_says_from_and_not_from_underscore(
    raw: httpx.Client, messages: str, receive: Receive, inbox: str
):
    receive(inbox)

    said = raw.get(messages).json()["messages"][0]
    assert isinstance(said["from"], str)
    assert "from_" not in said


def test_a_moment_is_utc_with_milliseconds(raw: httpx.Client, drafts: str):
    said = made(raw, drafts)["created_at"]

    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", said)


def test_a_listed_draft_is_an_item_without_its_text(raw: httpx.Client, drafts: str):
    made(raw, drafts, text="Hi", html="<p>Hi</p>")

    assert not {"text", "html", "created_at", "client_id"} & set(raw.get(drafts).json()["drafts"][0])


# Ids in a path.

STRANGE = ["<a+b@x.test>", "<a=b;c@x.test>", "<a/b/c@x.test>", "<a$~!*'()b@x.test>", "<a/reply@x.test>"]


@pytest.mark.parametrize("message_id", STRANGE)
def test_a_message_id_is_understood_as_the_sdk_writes_it(
    raw: httpx.Client, messages: str, receive: Receive, inbox: str, message_id: str
):
    receive(inbox, message_id=(message_id := own(message_id)))

    assert raw.get(f"{messages}/{message_id}").json()["message_id"] == message_id


@pytest.mark.parametrize(
    "message_id", [*STRANGE, "<a#b@x.test>", "<a?b@x.test>", "<a%b@x.test>", "<a%41b@x.test>"]
)
def test_a_message_id_is_understood_when_all_of_it_is_escaped(
    raw: httpx.Client, messages: str, receive: Receive, inbox: str, message_id: str
):
    receive(inbox, message_id=(message_id := own(message_id)))
    path = quote(message_id, safe="")

    assert raw.get(f"{messages}/{path}").json()["message_id"] == message_id


@pytest.mark.parametrize("message_id", ["<a%b@x.test>", "<a%41b@x.test>", "<a%2Fb@x.test>"])
def test_a_percent_sign_that_the_sdk_left_alone_is_understood(
    raw: httpx.Client, messages: str, receive: Receive, inbox: str, message_id: str
):
    receive(inbox, message_id=(message_id := own(message_id)))

    assert raw.get(f"{messages}/{message_id}").status_code == 200


def test_the_angle_brackets_may_be_left_out(raw: httpx.Client, messages: str, receive: Receive, inbox: str):
    got = receive(inbox)

    assert raw.get(f"{messages}/{got[1:-1]}").json()["message_id"] == got


def test_an_escaped_inbox_id_is_understood(raw: httpx.Client, inbox: str):
    assert raw.get(f"/v0/inboxes/{quote(inbox, safe='')}").json()["inbox_id"] == inbox


def test_an_address_is_the_same_in_capitals(raw: httpx.Client, inbox: str):
    assert raw.get(f"/v0/inboxes/{inbox.upper()}").json()["inbox_id"] == inbox


def test_a_reply_to_an_id_with_slashes_is_routed(
    raw: httpx.Client, messages: str, receive: Receive, inbox: str
):
    got = receive(inbox, message_id=own("<a/b@x.test>"))

    assert raw.post(f"{messages}/{got}/reply", json={"text": "Hi"}).status_code == 200


@pytest.mark.parametrize("path", ["drafts/", "", "messages/", "threads/"])
def test_an_empty_id_deletes_nothing(raw: httpx.Client, inbox: str, path: str):
    assert raw.delete(f"/v0/inboxes/{inbox}/{path}").status_code in (404, 405)
    assert raw.get(f"/v0/inboxes/{inbox}").status_code == 200


def test_an_empty_id_is_not_sent_elsewhere(raw: httpx.Client, inbox: str):
    assert raw.get(f"/v0/inboxes/{inbox}/drafts/").status_code == 404


# Paging.


@pytest.mark.parametrize("token", ["nonsense", "é", "AAAA", "e30", "x" * 5000])
def test_a_token_of_nobodys_is_refused(raw: httpx.Client, drafts: str, token: str):
    answer = raw.get(drafts, params={"page_token": token})

    assert (answer.status_code, answer.json()["code"]) == (400, "validation_error")


def test_an_empty_token_is_the_first_page(raw: httpx.Client, drafts: str):
    assert raw.get(f"{drafts}?page_token=").status_code == 200


def test_a_token_of_another_list_is_refused(raw: httpx.Client, drafts: str, messages: str):
    for _ in range(2):
        made(raw, drafts)
    token = raw.get(f"{drafts}?limit=1").json()["next_page_token"]

    assert raw.get(messages, params={"page_token": token}).status_code == 400


def test_a_page_is_not_shifted_by_what_arrives_meanwhile(
    raw: httpx.Client, messages: str, receive: Receive, inbox: str
):
    older, newer = receive(inbox), receive(inbox)
    first = raw.get(f"{messages}?limit=1").json()
    receive(inbox)
    second = raw.get(messages, params={"limit": 1, "page_token": first["next_page_token"]}).json()

    assert [page["messages"][0]["message_id"] for page in (first, second)] == [newer, older]


def test_what_came_in_the_same_instant_is_paged_without_loss(raw: httpx.Client, drafts: str):
    wanted = {made(raw, drafts)["draft_id"] for _ in range(20)}
    seen: list[str] = []
    token: dict[str, str] = {}
    while True:
        page = raw.get(drafts, params={"limit": 3, **token}).json()
        seen += [one["draft_id"] for one in page["drafts"]]
        if "next_page_token" not in page:
            break
        token = {"page_token": page["next_page_token"]}

    assert len(seen) == 20
    assert set(seen) == wanted


def test_ascending_turns_every_page_around(raw: httpx.Client, drafts: str):
    ids = [made(raw, drafts)["draft_id"] for _ in range(3)]
    first = raw.get(f"{drafts}?limit=2&ascending=true").json()
    second = raw.get(
        drafts, params={"limit": 2, "ascending": "true", "page_token": first["next_page_token"]}
    ).json()

    assert [one["draft_id"] for page in (first, second) for one in page["drafts"]] == ids


def test_before_understands_an_offset(raw: httpx.Client, drafts: str):
    made(raw, drafts)
    said = (datetime.now(UTC) + timedelta(hours=8, minutes=1)).strftime("%Y-%m-%dT%H:%M:%S+08:00")

    assert raw.get(drafts, params={"before": said}).json()["count"] == 1


# The shape of a refusal.


def told(answer: httpx.Response, status: int, code: str) -> dict:
    """The body of a refusal, which is an object in JSON whatever was asked (the SDK fails on any other)."""
    assert (answer.status_code, answer.headers["content-type"].partition(";")[0]) == (
        status,
        "application/json",
    )
    body = answer.json()
    assert body["code"] == code
    assert body["name"]
    assert body["message"]
    return body


def test_a_400_names_the_field(raw: httpx.Client, drafts: str):
    body = told(raw.post(drafts, json={"to": 7}), 400, "validation_error")

    assert body["name"] == "ValidationError"
    assert body["errors"][0]["path"][0] == "to"
    assert body["errors"][0]["message"]


def test_a_400_names_every_field(raw: httpx.Client, drafts: str):
    body = told(raw.post(drafts, json={"to": 7, "send_at": "soon"}), 400, "validation_error")

    assert {one["path"][0] for one in body["errors"]} == {"to", "send_at"}


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", b'"x"', b"\xff", b'{"to": NaN}', b"[" * 100_000]
)
def test_a_body_that_is_no_object_is_a_400(raw: httpx.Client, inbox: str, content: bytes):
    told(raw.post(f"/v0/inboxes/{inbox}/messages/send", content=content), 400, "validation_error")


def test_a_404_is_a_404_for_what_never_was(raw: httpx.Client, drafts: str):
    assert told(raw.get(f"{drafts}/drf_nothing"), 404, "not_found")["name"] == "NotFoundError"


def test_a_path_of_nobodys_is_a_404_in_the_same_shape(raw: httpx.Client):
    told(raw.get("/v0/nothing/here"), 404, "not_found")


def test_a_verb_of_nobodys_is_a_405_in_the_same_shape(raw: httpx.Client, drafts: str):
    told(raw.put(drafts, json={}), 405, "method_not_allowed")


def test_a_409_has_the_same_shape(raw: httpx.Client, drafts: str):
    slow = made(raw, drafts, to=[SLOW], text="Hi", send_at=at(seconds=1))["draft_id"]
    eventually(lambda: raw.get(f"{drafts}/{slow}").json().get("send_status") == "sending")

    told(raw.patch(f"{drafts}/{slow}", json={"text": "Wait"}), 409, "conflict")


def test_a_409_is_no_work_when_asked_three_times(raw: httpx.Client, drafts: str):
    slow = made(raw, drafts, to=[SLOW], text="Hi", send_at=at(seconds=1))["draft_id"]
    eventually(lambda: raw.get(f"{drafts}/{slow}").json().get("send_status") == "sending")
    answers = [raw.delete(f"{drafts}/{slow}").status_code for _ in range(3)]

    # before its last bytes leave it can still be called back, once
    assert answers == [204, 404, 404] or (
        set(answers) <= {409, 404} and answers == sorted(answers, reverse=True)
    )


def test_a_422_has_the_same_shape(raw: httpx.Client, messages: str):
    told(raw.post(f"{messages}/send", json={"text": "Hi"}), 422, "unprocessable")


def test_a_deletion_answers_with_nothing(raw: httpx.Client, drafts: str):
    answer = raw.delete(f"{drafts}/{made(raw, drafts)['draft_id']}")

    assert (answer.status_code, answer.content) == (204, b"")


def test_what_is_made_answers_200(raw: httpx.Client, drafts: str):
    assert raw.post(drafts, json={}).status_code == 200
