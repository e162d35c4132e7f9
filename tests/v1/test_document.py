"""`/v1` in the house: mounted beside Feather's list, described in /openapi.json, readable at /docs."""

from pathlib import Path

import pytest

from mailroom.api.frame import Endpoint
from mailroom.v1.table import ENDPOINTS, described

LOCAL = {"Authorization": "Bearer anything", "host": "127.0.0.1"}


def test_it_is_mounted_and_feathers_list_is_still_feathers(door):
    assert door.get("/v1/drafts", headers=LOCAL).json() == {"count": 0, "limit": 50, "drafts": []}
    assert door.get("/v1/email/drafts", headers={"x-api-key": "a", "host": "127.0.0.1"}).json() == {
        "drafts": [],
        "next_cursor": None,
    }
    refused = door.get("/v1/email/drafts", headers=LOCAL)
    assert (refused.status_code, refused.json()["error"]) == (401, "missing_api_key")


def test_what_is_not_there_is_404_in_json_and_another_method_is_405(door):
    nothing = door.get("/v1/nothing", headers=LOCAL)
    assert (nothing.status_code, nothing.json()["name"]) == (404, "NotFoundError")
    wrong = door.delete("/v1/suppressions", headers=LOCAL)
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "GET, HEAD, POST")


def test_no_get_changes_anything():
    """Whatever a browser, a robot or a link may ask for."""
    assert {each.method for each in ENDPOINTS} == {"GET", "POST"}
    assert not [each.name for each in ENDPOINTS if each.method == "GET" and each.body is not None]


def test_it_stands_in_the_document_and_in_the_docs(door):
    document = door.get("/openapi.json").json()
    page = door.get("/docs").text

    for each in ENDPOINTS:
        said = document["paths"][each.path][each.method.lower()]
        assert said["operationId"] == each.name
        assert f"`{each.needs}`" in said["description"]
        assert each.summary in page.replace("&#x27;", "'")
    assert document["paths"]["/v1/email/drafts"]["get"]["tags"] == ["feather"]


def test_what_must_be_said_is_said_to_be_needed():
    shapes = described()["components"]["schemas"]

    for name in ("V1Approve", "V1Edit", "V1SendNow", "V1Yes"):
        assert "content_sha" in shapes[name]["required"]
        assert "default" not in shapes[name]["properties"]["content_sha"]
        assert shapes[name]["additionalProperties"] is False
    assert "content_sha" not in shapes["V1Reject"].get("required", ())


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda each: f"{each.method} {each.path}")
def test_every_endpoint_needs_a_permission_and_stands_on_the_page(endpoint: Endpoint):
    page = (Path(__file__).parents[2] / "docs" / "api-v1.md").read_text("utf-8")

    assert endpoint.needs
    assert endpoint.path.removeprefix("/v1").rpartition("/")[2] in page
