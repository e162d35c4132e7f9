"""The door: who asks, how often, what for; and how they are told why not."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import anyio
import httpx2 as httpx
import pytest
from sqlalchemy.exc import OperationalError
from starlette.testclient import TestClient

from engine.keys import Keyring
from mailroom.api import refusals
from mailroom.api.door import Api, Dialect
from mailroom.api.frame import Asked, Endpoint
from relent.assemble import House, desk
from relent.config import Config
from relent.web import create_app
from tests.mailroom.api.conftest import KEY
from tests.makers import SECRET


def told(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The body of a refusal, which is an object in JSON whatever was asked."""
    kind = answer.headers["content-type"].partition(";")[0]
    assert (answer.status_code, kind) == (status, "application/json"), answer.text
    body: dict[str, Any] = answer.json()
    assert body["code"] == code
    assert body["name"]
    assert body["message"]
    assert None not in body.values()
    return body


@pytest.fixture
def stranger(api: TestClient) -> TestClient:
    return TestClient(api.app)


# --- who asks ---


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (None, "missing_authorization"),
        ("", "missing_authorization"),
        ("Basic abc", "invalid_token_type"),
        (f"bearer {KEY}", "invalid_token_type"),
        (KEY, "invalid_token_type"),
        ("Bearer", "invalid_token_type"),
        ("Bearer ", "invalid_token_type"),
        (f"Bearer {KEY} {KEY}", "invalid_token_type"),
        ("Bearer \xe9", "invalid_token_type"),
        ("Bearer am_nobody", "unknown_api_key"),
        (f"Bearer {KEY}x", "unknown_api_key"),
        (f"Bearer {KEY[:-1]}", "unknown_api_key"),
        ("Bearer " + "x" * 10_000, "unknown_api_key"),
    ],
)
def test_a_stranger_is_told_why(stranger: TestClient, said: str | None, code: str) -> None:
    headers = [(b"authorization", said.encode("latin-1"))] if said is not None else []
    answer = stranger.get("/v0/inboxes", headers=headers)

    assert told(answer, 401, code)["name"] == "UnauthorizedError"
    assert answer.headers["www-authenticate"] == "Bearer"


def test_who_shows_two_keys_shows_none(stranger: TestClient) -> None:
    twice = [("Authorization", f"Bearer {KEY}")] * 2

    told(stranger.get("/v0/inboxes", headers=twice), 401, "invalid_token_type")


@pytest.mark.parametrize(
    "path", ["/v0/inboxes", "/v0/inboxes/sam@house.test", "/v0/nothing", "/v0/domains", "/v0/", "/v0/%00"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "PUT", "OPTIONS"])
def test_a_stranger_learns_nothing(stranger: TestClient, method: str, path: str) -> None:
    body = told(stranger.request(method, path), 401, "missing_authorization")

    assert body == stranger.get("/v0/inboxes").json()


def test_the_body_of_a_stranger_is_not_read(stranger: TestClient) -> None:
    def endless() -> Iterator[bytes]:
        yield b"{"
        raise AssertionError("somebody reads it")

    told(stranger.post("/v0/inboxes", content=endless()), 401, "missing_authorization")


@pytest.mark.parametrize("path", ["/v0/nothing/here", "/v0/auth/me", "/v0/echo"])
def test_who_has_a_key_is_heard_out_so_that_they_hear_the_answer(house: House, path: str) -> None:
    """Who is hung up on in the middle of a sentence sees a broken connection, and the SDK does not ask again."""
    left = [b"x" * 100 for _ in range(5)]

    def body() -> Iterator[bytes]:
        while left:
            yield left.pop()

    api = Api(desk(house), Dialect(endpoints=[_echo()]))
    client = TestClient(api, headers={"Authorization": f"Bearer {KEY}"})
    answer = client.post(path, content=body(), headers={"Content-Type": "text/plain"})
    assert answer.status_code == (415 if path == "/v0/echo" else 404)
    assert not left


def test_nobody_is_heard_out_for_ever(house: House) -> None:
    heard, answered = [], []

    async def receive() -> dict[str, Any]:
        heard.append(100)
        return {"type": "http.request", "body": b"x" * 100, "more_body": True}

    async def send(message: Any) -> None:
        answered.append(message)

    head = [(b"authorization", f"Bearer {KEY}".encode()), (b"transfer-encoding", b"chunked")]
    scope = {"type": "http", "method": "POST", "path": "/v0/nothing", "query_string": b"", "headers": head}
    anyio.run(Api(replace(desk(house), max_body=300), Dialect(endpoints=[_echo()])), scope, receive, send)
    assert answered[0]["status"] == 404
    assert sum(heard) == 400


def test_without_any_key_it_is_open_to_this_machine_and_to_no_web_page(house: House) -> None:
    open_house = replace(house, config=Config(webhooks={"secrets": [SECRET]}))
    with TestClient(
        create_app(open_house, with_worker=False), headers={"Authorization": "Bearer x"}
    ) as client:
        assert client.get("/v0/inboxes", headers={"Host": "127.0.0.1:8025"}).status_code == 200
        told(client.get("/v0/inboxes", headers={"Host": "evil.example"}), 401, "unknown_api_key")


def test_nothing_is_said_of_other_origins(api: TestClient) -> None:
    answer = api.options("/v0/inboxes", headers={"Origin": "https://evil.example"})

    assert answer.status_code == 204
    assert not [name for name in answer.headers if name.startswith("access-control")]


# --- how often ---


def test_who_asks_too_often_is_told_when_to_ask_again(house: House) -> None:
    slow = house.config.server.model_copy(update={"rate": 1})
    slow_house = replace(house, config=house.config.model_copy(update={"server": slow}))
    with TestClient(
        create_app(slow_house, with_worker=False), headers={"Authorization": f"Bearer {KEY}"}
    ) as client:
        answers = [client.get("/v0/auth/me") for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert told(answers[-1], 429, "rate_limit_exceeded")["name"] == "RateLimitError"
    assert int(answers[-1].headers["retry-after"]) >= 1


# --- what for ---


@pytest.mark.parametrize(
    "path",
    [
        "/v0/nothing/here",
        "/v0/inboxes/",
        "/v0/inboxes/a@b/",
        "/v0/",
        "/v0/inboxes//",
        "/v0/lists/send",
        "/v0/inboxes/%FF",
    ],
)
def test_a_path_of_nobodys_is_not_found_and_leads_nowhere_else(api: TestClient, path: str) -> None:
    told(api.get(path, follow_redirects=False), 404, "not_found")


def test_the_path_above_all_paths_is_not_found_either(api: TestClient) -> None:
    assert api.get("/v0", follow_redirects=False).status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        "domains",
        "domains/x.test/verify",
        "pods/pod_1/domains",
        "inboxes/a@b.test/calendar/events/evt_1/instances",
        "inboxes/a@b.test/files",
        "apps/search",
        "accounts",
        "metrics/events",
        "inboxes/a@b.test/metrics/usage",
        "webhooks/polling",
        "pods/pod_1/webhooks/polling/x",
        "organizations/labs",
        "agent/sign-up",
        "inboxes/a@b.test/authorize",
        "inboxes/a@b.test/messages/<a/b@x>/agent-armor/release",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "DELETE"])
def test_what_is_not_offered_says_so_at_once(api: TestClient, method: str, path: str) -> None:
    assert told(api.request(method, f"/v0/{path}"), 404, "not_offered")["name"] == "NotFoundError"


def test_a_verb_of_nobodys_hears_which_there_are(api: TestClient) -> None:
    answer = api.put("/v0/inboxes", json={})

    told(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == "GET, HEAD, POST"


def test_a_look_at_the_head_is_a_look(api: TestClient) -> None:
    head, whole = api.head("/v0/inboxes"), api.get("/v0/inboxes")

    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == whole.headers["content-length"]


def test_no_answer_is_kept_by_anybody_in_between(api: TestClient) -> None:
    answer = api.get("/v0/inboxes")

    assert (answer.headers["cache-control"], answer.headers["x-content-type-options"]) == (
        "no-store",
        "nosniff",
    )


# --- what is said ---


@pytest.mark.parametrize(
    "content",
    [b"{", b"[]", b"null", b'"x"', b"\xff", b'{"name": NaN}', b"[" * 100_000, b'{"name": 1, "name": 2}'],
)
def test_a_body_that_is_no_object_is_a_400(api: TestClient, content: bytes) -> None:
    body = told(api.post("/v0/pods", content=content), 400, "validation_error")

    assert body["name"] == "ValidationError"
    assert body["errors"][0]["message"]


def test_a_body_may_be_left_out_where_nothing_in_it_is_needed(api: TestClient) -> None:
    assert api.post("/v0/inboxes").status_code == 200
    told(api.post("/v0/lists/send/block"), 400, "validation_error")


def test_a_400_names_every_field(api: TestClient) -> None:
    body = told(api.post("/v0/inboxes", json={"username": 7, "status": "asleep"}), 400, "validation_error")

    assert {each["path"][0] for each in body["errors"]} == {"username", "status"}
    assert all(each["code"] for each in body["errors"])


def test_a_nul_is_refused_wherever_it_is(api: TestClient) -> None:
    for answer in (
        api.post("/v0/inboxes", json={"metadata": {"a": "x\0"}}),
        api.post("/v0/inboxes", json={"metadata": {"x\0": "a"}}),
        api.get("/v0/inboxes?page_token=%00"),
        api.get("/v0/inboxes?%00=1"),
    ):
        told(answer, 400, "validation_error")


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=many", "ascending=perhaps", "page_token=nonsense", "page_token=%FF"]
)
def test_a_query_that_means_nothing_is_refused(api: TestClient, query: str) -> None:
    told(api.get(f"/v0/inboxes?{query}"), 400, "validation_error")


def test_an_endless_query_is_refused(api: TestClient) -> None:
    told(api.get("/v0/inboxes?" + "a=1&" * 1000), 400, "validation_error")


@pytest.mark.parametrize(
    "kind", ["application/json", "application/json; charset=utf-8", "application/vnd.x+json", None]
)
def test_a_body_is_json(api: TestClient, kind: str | None) -> None:
    headers = {"Content-Type": kind} if kind else {}

    assert api.post("/v0/pods", content=b'{"name": "north"}', headers=headers).status_code == 200


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "x"]
)
def test_a_body_that_says_it_is_something_else_is_refused(api: TestClient, kind: str) -> None:
    answer = api.post("/v0/pods", content=b"{}", headers={"Content-Type": kind})

    told(answer, 415, "unsupported_media_type")


def test_a_compressed_body_is_refused(api: TestClient) -> None:
    told(
        api.post("/v0/pods", content=b"x", headers={"Content-Encoding": "gzip"}),
        415,
        "unsupported_media_type",
    )


def test_a_body_without_an_end_has_one(house: House) -> None:
    small = Api(replace(desk(house), max_body=10), Dialect(endpoints=[_echo()]))
    client = TestClient(small, headers={"Authorization": f"Bearer {KEY}"})

    told(client.post("/v0/echo", content=iter([b'{"a":', b'"', b"x" * 10, b'"}'])), 413, "payload_too_large")
    assert client.post("/v0/echo", content=b'{"a":"b"}').status_code == 200


# --- what goes wrong ---


def _echo(handler: Any = lambda asked: {}) -> Endpoint:
    from mailroom.forms import NewPod

    return Endpoint(
        method="POST",
        path="/v0/echo",
        handler=handler,
        name="echo",
        summary="",
        body=NewPod,
        bare=True,
        once=True,
    )


@pytest.fixture
def ask(house: House) -> Any:
    """What is answered when a story ends like this."""

    def one(handler: Any, **named: Any) -> httpx.Response:
        app = Api(desk(house), Dialect(endpoints=[_echo(handler)]))
        return TestClient(app, headers={"Authorization": f"Bearer {KEY}"}).post("/v0/echo", **named)

    return one


def raising(error: Exception) -> Any:
    def handler(asked: Asked) -> None:
        raise error

    return handler


def test_a_mistake_of_ours_is_told_without_its_secrets(ask: Any, caplog: pytest.LogCaptureFixture) -> None:
    answer = ask(raising(RuntimeError("the secret")))

    assert told(answer, 500, "internal_error")["name"] == "InternalError"
    assert "secret" not in answer.text
    assert "the secret" in caplog.text


def test_a_database_that_is_away_is_waited_for(ask: Any) -> None:
    answer = ask(raising(OperationalError("SELECT secret", {}, Exception("gone"))))

    told(answer, 503, "service_unavailable")
    assert int(answer.headers["retry-after"]) >= 1
    assert "SELECT" not in answer.text


@pytest.mark.parametrize(
    ("error", "status", "name", "code"),
    [
        (refusals.NotFound(), 404, "NotFoundError", "not_found"),
        (refusals.Refused("no"), 409, "ConflictError", "conflict"),
        (refusals.Unprocessable(), 422, "UnprocessableError", "unprocessable"),
        (refusals.Forbidden("no", "missing_permission"), 403, "ForbiddenError", "missing_permission"),
        (refusals.Rejected(), 403, "MessageRejectedError", "message_rejected"),
        (refusals.Rejected("no", "inbox_paused"), 403, "MessageRejectedError", "inbox_paused"),
        (refusals.TooMany(7), 429, "RateLimitError", "rate_limit_exceeded"),
        (refusals.Unavailable(), 503, "ServiceUnavailableError", "service_unavailable"),
    ],
)
def test_every_error_has_its_answer(ask: Any, error: Exception, status: int, name: str, code: str) -> None:
    assert told(ask(raising(error)), status, code)["name"] == name


@pytest.mark.parametrize("key", ["", " ", "x" * 257, "\xe9", "a\tb"])
def test_an_idempotency_key_that_is_none_is_refused(ask: Any, key: str) -> None:
    answer = ask(lambda asked: {}, headers=[(b"idempotency-key", key.encode("latin-1"))])

    assert told(answer, 400, "validation_error")["errors"][0]["path"] == ["Idempotency-Key"]


def test_an_idempotency_key_is_held_to_what_was_asked_and_not_to_how_it_was_written(ask: Any) -> None:
    def once(asked: Asked) -> dict[str, str]:
        assert asked.once
        return {"name": asked.once.name, "sha": asked.once.sha}

    named = {"headers": {"Idempotency-Key": "k1"}}
    one = ask(once, content=b'{"name": "a", "client_id": "b"}', **named).json()
    same = ask(once, content=b'{ "client_id": "b", "name": "a" }', **named).json()
    other = ask(once, content=b'{"name": "b", "client_id": "b"}', **named).json()

    assert one == same
    assert one["name"] == "k1"
    assert other["sha"] != one["sha"]
    assert ask(lambda asked: {"once": asked.once}).json() == {"once": None}


def test_when_a_key_was_used_is_written_down_when_the_server_ends(house: House) -> None:
    keys = Keyring(store=house.store, clock=house.clock)
    made = keys.make("one")
    with TestClient(create_app(house, with_worker=False)) as client:
        assert (
            client.get("/v0/auth/me", headers={"Authorization": f"Bearer {made.secret}"}).status_code == 200
        )

    assert keys.find(made.key.id).used_at == house.clock.now()


# --- pages ---


def pages(api: TestClient, path: str, name: str, **query: Any) -> list[Any]:
    """All of a list, page by page."""
    found: list[Any] = []
    token: dict[str, str] = {}
    while True:
        page = api.get(path, params={**query, **token}).json()
        assert page["count"] == len(page[name]) <= page["limit"]
        found += page[name]
        if "next_page_token" not in page:
            return found
        token = {"page_token": page["next_page_token"]}


def test_a_list_is_paged_without_loss_and_without_an_empty_end(api: TestClient) -> None:
    made = [api.post("/v0/pods", json={"name": f"p{number}"}).json()["pod_id"] for number in range(6)]
    wanted = [*made[::-1], "pod_default"]

    for limit in (1, 2, 6, 7, 8):
        assert [each["pod_id"] for each in pages(api, "/v0/pods", "pods", limit=limit)] == wanted
    assert [each["pod_id"] for each in pages(api, "/v0/pods", "pods", limit=2, ascending="true")] == wanted[
        ::-1
    ]


def test_a_token_belongs_to_its_list_and_its_filters(api: TestClient) -> None:
    for number in range(3):
        api.post("/v0/inboxes", json={"username": f"box{number}"})
    token = api.get("/v0/inboxes?limit=1").json()["next_page_token"]

    assert api.get("/v0/inboxes", params={"page_token": token, "limit": 2}).status_code == 200
    for path, more in (
        ("/v0/pods", {}),
        ("/v0/inboxes", {"ascending": "true"}),
        ("/v0/inboxes/search", {"q": "box"}),
    ):
        answer = api.get(path, params={"page_token": token, **more})
        assert told(answer, 400, "validation_error")["errors"][0]["path"] == ["page_token"]


@pytest.mark.parametrize("token", ["nonsense", "é", "AAAA", "e30", "x" * 5000])
def test_a_token_of_nobodys_is_refused(api: TestClient, token: str) -> None:
    told(api.get("/v0/inboxes", params={"page_token": token}), 400, "validation_error")


def test_an_empty_token_is_the_first_page(api: TestClient) -> None:
    assert api.get("/v0/inboxes?page_token=").json() == {"count": 0, "limit": 50, "inboxes": []}


def test_a_limit_beyond_a_hundred_is_a_hundred(api: TestClient) -> None:
    assert api.get("/v0/inboxes?limit=1000").json()["limit"] == 100


# --- what people read ---


def test_the_document_and_the_manual_need_no_key(stranger: TestClient) -> None:
    document, manual = stranger.get("/openapi.json"), stranger.get("/docs")

    assert document.json()["openapi"] == "3.1.0"
    assert "<h1>Relent: the API</h1>" in manual.text
    assert "script" not in manual.text
    assert "default-src 'none'" in manual.headers["content-security-policy"]
    assert json.dumps(document.json())
