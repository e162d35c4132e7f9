"""A key sees its inbox, its pod, or everything; and of the rest it has never heard."""

from collections.abc import Callable
from typing import Any

import pytest
from starlette.testclient import TestClient

Holding = Callable[..., TestClient]


@pytest.fixture
def pod(api: TestClient) -> str:
    return str(api.post("/v0/pods", json={"name": "north"}).json()["pod_id"])


@pytest.fixture
def neighbour(api: TestClient, pod: str) -> str:
    """An inbox in that pod."""
    return str(api.post(f"/v0/pods/{pod}/inboxes", json={"username": "kim"}).json()["inbox_id"])


@pytest.fixture
def holding(api: TestClient) -> Holding:
    """Somebody with a key for this place only."""

    def one(place: str = "", **permissions: bool) -> TestClient:
        wanted: dict[str, Any] = {"name": "one"}
        if permissions:
            wanted["permissions"] = permissions
        made = api.post(f"/v0{place}/api-keys", json=wanted)
        assert made.status_code == 200, made.text
        return TestClient(api.app, headers={"Authorization": f"Bearer {made.json()['api_key']}"})

    return one


def test_a_key_of_a_pod_knows_whose_it_is(holding: Holding, pod: str) -> None:
    said = holding(f"/pods/{pod}").get("/v0/auth/me").json()

    assert (said["scope_type"], said["scope_id"], said["pod_id"]) == ("pod", pod, pod)


def test_a_key_of_an_inbox_knows_its_pod(holding: Holding, pod: str, neighbour: str) -> None:
    said = holding(f"/inboxes/{neighbour}").get("/v0/auth/me").json()

    assert (said["scope_type"], said["inbox_id"], said["pod_id"]) == ("inbox", neighbour, pod)


def test_what_is_in_another_place_was_never_heard_of(
    api: TestClient, holding: Holding, inbox: str, pod: str, neighbour: str
) -> None:
    other = api.post("/v0/api-keys", json={"name": "two"}).json()["api_key_id"]
    for place in (f"/pods/{pod}", f"/inboxes/{neighbour}"):
        caller = holding(place)
        for path in (
            f"/v0/inboxes/{inbox}",
            f"/v0/inboxes/{inbox}/events",
            f"/v0/inboxes/{inbox}/lists/send/block",
            f"/v0/inboxes/{inbox}/api-keys",
            f"/v0/pods/pod_default/inboxes/{inbox}",
            f"/v0/pods/{pod}/inboxes/{inbox}",
            "/v0/pods/pod_default/inboxes",
            "/v0/pods/pod_default/lists/send/block",
            f"/v0/api-keys/{other}",
        ):
            answer = caller.get(path)
            assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), path


def test_a_pod_that_is_not_ones_own_is_not_there(holding: Holding, pod: str) -> None:
    assert holding(f"/pods/{pod}").get("/v0/pods/pod_default").status_code == 404
    assert holding(f"/pods/{pod}").get(f"/v0/pods/{pod}").status_code == 200


def test_a_list_of_everything_is_a_list_of_what_the_key_is_for(
    holding: Holding, inbox: str, pod: str, neighbour: str
) -> None:
    for place, path, name, wanted in (
        (f"/pods/{pod}", "/v0/inboxes", "inboxes", [neighbour]),
        (f"/inboxes/{inbox}", "/v0/inboxes", "inboxes", [inbox]),
        (f"/inboxes/{inbox}", "/v0/inboxes/search?q=house", "inboxes", [inbox]),
        (f"/pods/{pod}", "/v0/pods", "pods", [pod]),
    ):
        found = holding(place).get(path).json()[name]
        assert [each.get("inbox_id") or each["pod_id"] for each in found] == wanted


def test_a_key_of_a_pod_opens_inboxes_in_its_pod(holding: Holding, pod: str) -> None:
    assert holding(f"/pods/{pod}").post("/v0/inboxes").json()["pod_id"] == pod


def test_an_entry_that_a_key_makes_holds_where_the_key_does(
    api: TestClient, holding: Holding, pod: str, neighbour: str
) -> None:
    made = holding(f"/inboxes/{neighbour}").post("/v0/lists/send/block", json={"entry": "x.test"}).json()

    assert (made["inbox_id"], made["pod_id"]) == (neighbour, pod)
    assert api.get("/v0/lists/send/block").json()["entries"] == []


def test_a_key_made_by_a_key_reaches_no_further(holding: Holding, pod: str, neighbour: str) -> None:
    caller = holding(f"/pods/{pod}")

    assert caller.post("/v0/api-keys", json={"name": "two"}).json()["pod_id"] == pod
    assert caller.post(f"/v0/inboxes/{neighbour}/api-keys", json={}).json()["inbox_id"] == neighbour
    assert caller.post("/v0/pods/pod_default/api-keys", json={}).status_code == 404


def test_keys_are_found_where_they_belong(api: TestClient, inbox: str, pod: str, neighbour: str) -> None:
    key = api.post(f"/v0/inboxes/{neighbour}/api-keys", json={"name": "one"}).json()["api_key_id"]

    for place, status in (
        ("", 200),
        (f"/pods/{pod}", 200),
        (f"/inboxes/{neighbour}", 200),
        ("/pods/pod_default", 404),
        (f"/inboxes/{inbox}", 404),
    ):
        assert api.get(f"/v0{place}/api-keys/{key}").status_code == status
    assert api.delete(f"/v0/inboxes/{inbox}/api-keys/{key}").status_code == 404
    assert api.delete(f"/v0/inboxes/{neighbour}/api-keys/{key}").status_code == 204


@pytest.mark.parametrize(
    ("method", "path", "needs"),
    [
        ("GET", "/v0/inboxes", "inbox_read"),
        ("POST", "/v0/inboxes", "inbox_create"),
        ("PATCH", "/v0/inboxes/{inbox}", "inbox_update"),
        ("DELETE", "/v0/inboxes/{inbox}", "inbox_delete"),
        ("GET", "/v0/pods", "pod_read"),
        ("POST", "/v0/pods", "pod_create"),
        ("DELETE", "/v0/pods/pod_default", "pod_delete"),
        ("GET", "/v0/lists/send/block", "list_entry_read"),
        ("POST", "/v0/lists/send/block", "list_entry_create"),
        ("DELETE", "/v0/lists/send/block/x.test", "list_entry_delete"),
        ("GET", "/v0/api-keys", "api_key_read"),
        ("POST", "/v0/api-keys", "api_key_create"),
        ("GET", "/v0/inboxes/{inbox}/events", "message_read"),
    ],
)
def test_what_a_key_may_not_it_does_not(
    holding: Holding, inbox: str, method: str, path: str, needs: str
) -> None:
    everything_else = dict.fromkeys(
        ["inbox_read", "pod_read", "list_entry_read", "message_read", "draft_read", "api_key_read"], True
    ) | {needs: False}
    answer = holding(**everything_else).request(method, path.format(inbox=inbox), json={})

    assert (answer.status_code, answer.json()["code"]) == (403, "missing_permission")
    assert answer.json()["name"] == "ForbiddenError"


def test_no_key_makes_one_that_may_more(holding: Holding) -> None:
    maker = holding(api_key_create=True)
    answer = maker.post("/v0/api-keys", json={"name": "two", "permissions": {"message_send": True}})

    assert (answer.status_code, answer.json()["code"]) == (403, "permission_escalation")


def test_a_deleted_key_opens_nothing(api: TestClient, holding: Holding) -> None:
    caller = holding()
    me = caller.get("/v0/auth/me").json()["api_key_id"]
    assert api.delete(f"/v0/api-keys/{me}").status_code == 204

    assert caller.get("/v0/auth/me").json()["code"] == "unknown_api_key"
