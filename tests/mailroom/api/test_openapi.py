"""The document says what the server does, and the server has whatever the official SDK asks for, or says that it has not."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import agentmail
import pytest
from jsonschema import Draft202012Validator
from starlette.testclient import TestClient

from mailroom.api.openapi import merged
from mailroom.api.paths import Map
from mailroom.api.table import AGENTMAIL, ENDPOINTS, described

WHOLE = merged([described()], version="1")
_CALL = re.compile(r'\.request\(\s*f?"(?P<path>v0/[^"]*)",.*?method="(?P<method>\w+)"', re.DOTALL)
_NAME = re.compile(r"\{jsonable_encoder\((\w+)\)\}")


def calls_of_the_sdk() -> list[tuple[str, str]]:
    """Every method and path in its source."""
    found = {
        (call["method"], "/" + _NAME.sub("x", call["path"]))
        for file in Path(agentmail.__file__).parent.rglob("raw_client.py")
        for call in _CALL.finditer(file.read_text("utf-8"))
    }
    assert len(found) > 150
    return sorted(found)


@pytest.mark.parametrize(("method", "path"), calls_of_the_sdk())
def test_whatever_the_sdk_asks_for_is_there_or_is_said_not_to_be(method: str, path: str) -> None:
    found = Map(ENDPOINTS).find(method, path)

    assert found.endpoint is not None or not AGENTMAIL.offered(path)


def test_what_is_not_offered_are_whole_families() -> None:
    missing = {path for _, path in calls_of_the_sdk() if not AGENTMAIL.offered(path)}
    families = {
        re.sub(r"^/v0/(?:(?:inboxes|pods)/x/)?", "", path).split("/x")[0].split("/")[0] for path in missing
    }

    assert families == {
        "accounts", "agent", "apps", "authorize", "calendar", "domains", "files", "messages", "metrics", "organizations", "webhooks",
    }  # fmt: skip
    few = {path for path in missing if re.search(r"/(?:messages|organizations|webhooks)\b", path)}
    assert all(re.search(r"/(?:agent-armor/\w+|labs|polling(?:/x)?)$", path) for path in few)


def test_nothing_that_is_there_is_said_not_to_be() -> None:
    for each in ENDPOINTS:
        path = re.sub(r"\{\w+(:path)?\}", "x", each.path)
        assert AGENTMAIL.offered(path), path
        found = Map(ENDPOINTS).find(each.method, path)
        assert found.endpoint is each, f"{path} is taken for {found.endpoint}"


def test_every_endpoint_is_described_once() -> None:
    names = [said["operationId"] for methods in WHOLE["paths"].values() for said in methods.values()]

    assert sorted(names) == sorted(each.name for each in ENDPOINTS)
    assert len(set(names)) == len(names)


def references(said: Any) -> Iterator[str]:
    if isinstance(said, dict):
        yield from ([said["$ref"]] if "$ref" in said else ())
        for each in said.values():
            yield from references(each)
    elif isinstance(said, list):
        for each in said:
            yield from references(each)


def test_the_document_holds_together() -> None:
    shapes = WHOLE["components"]["schemas"]
    for schema in shapes.values():
        Draft202012Validator.check_schema(schema)

    assert {ref.rpartition("/")[2] for ref in references(WHOLE)} == set(shapes)
    for path, methods in WHOLE["paths"].items():
        for said in methods.values():
            named = {each["name"] for each in said.get("parameters", ()) if each["in"] == "path"}
            assert named == set(re.findall(r"\{(\w+)\}", path))


def test_documents_that_contradict_each_other_are_not_made_one() -> None:
    other = {"paths": {"/v0/inboxes": {}}}

    with pytest.raises(ValueError, match="two things"):
        merged([described(), other], version="1")
    assert merged([described(), {"paths": {"/v1/x": {}}}], version="1")["paths"]["/v1/x"] == {}


# --- what is answered is what is described ---


class Witness:
    """Looks at every answer whether it is what the document says."""

    def __init__(self, api: TestClient) -> None:
        self._api = api
        self.seen: set[str] = set()

    def __call__(self, method: str, path: str, **named: Any) -> Any:
        answer = self._api.request(method, path, **named)
        found = Map(ENDPOINTS).find(method, path.partition("?")[0])
        assert found.endpoint is not None, path
        said = WHOLE["paths"][re.sub(":path", "", found.endpoint.path)][method.lower()]
        described = said["responses"].get(str(answer.status_code), said["responses"]["default"])
        if "content" not in described:
            assert answer.content == b""
            return None
        schema = described["content"]["application/json"]["schema"] | {"components": WHOLE["components"]}
        Draft202012Validator(schema).validate(answer.json())
        self.seen.add(f"{found.endpoint.name} {answer.status_code}")
        return answer.json()


def test_what_is_answered_is_what_is_described(api: TestClient) -> None:
    ask = Witness(api)
    wanted = {
        "username": "sam",
        "display_name": "Sam",
        "client_id": "c",
        "metadata": {"a": 1},
        "status": "paused",
    }
    inbox = ask("POST", "/v0/inboxes", json=wanted)["inbox_id"]
    pod = ask("POST", "/v0/pods", json={"name": "north", "client_id": "c"})["pod_id"]
    ask("POST", f"/v0/pods/{pod}/inboxes", json={"username": "kim"})
    for path in ("/v0/inboxes", f"/v0/pods/{pod}/inboxes", "/v0/pods", "/v0/inboxes/search?q=sam"):
        ask("GET", path)
        ask("GET", path + ("&" if "?" in path else "?") + "limit=0")
    ask("GET", f"/v0/inboxes/{inbox}")
    ask("PATCH", f"/v0/inboxes/{inbox}", json={"status": "active"})
    ask("PATCH", f"/v0/inboxes/{inbox}", json={})
    ask("POST", "/v0/inboxes", json={"domain": "elsewhere.test"})
    ask("GET", f"/v0/inboxes/{inbox}/events")
    ask("GET", "/v0/auth/me")
    ask("GET", "/v0/organizations")
    for place in ("", f"/pods/{pod}", f"/inboxes/{inbox}"):
        ask("POST", f"/v0{place}/lists/send/block", json={"entry": "a@x.test", "reason": "no"})
        ask("GET", f"/v0{place}/lists/send/block")
        ask("GET", f"/v0{place}/lists/send/block/a@x.test")
        ask("DELETE", f"/v0{place}/lists/send/block/a@x.test")
        ask("GET", f"/v0{place}/lists/send/block/a@x.test")
        ask("POST", f"/v0{place}/lists/send/block", json={"entry": "no address"})
        key = ask("POST", f"/v0{place}/api-keys", json={"name": "one", "permissions": {"draft_read": True}})
        ask("GET", f"/v0{place}/api-keys")
        ask("GET", f"/v0{place}/api-keys/{key['api_key_id']}")
        ask("PATCH", f"/v0{place}/api-keys/{key['api_key_id']}", json={"name": "two"})
        ask("DELETE", f"/v0{place}/api-keys/{key['api_key_id']}")
    ask("DELETE", f"/v0/pods/{pod}")
    ask("DELETE", f"/v0/inboxes/{inbox}")

    assert len(ask.seen) > 40
    assert json.dumps(WHOLE)
