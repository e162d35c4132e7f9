"""Which endpoint a path means, and which names are in it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailroom.api.frame import Endpoint
from mailroom.api.paths import Map, readings


def endpoint(method: str, path: str) -> Endpoint:
    return Endpoint(method=method, path=path, handler=lambda asked: None, name=f"{method} {path}", summary="")  # type: ignore[arg-type]


WAYS = Map(
    [
        endpoint("GET", "/v0/inboxes/{inbox_id}/messages/{message_id:path}"),
        endpoint("DELETE", "/v0/inboxes/{inbox_id}/messages/{message_id:path}"),
        endpoint("GET", "/v0/inboxes/{inbox_id}"),
        endpoint("DELETE", "/v0/inboxes/{inbox_id}"),
        endpoint("GET", "/v0/inboxes/search"),
        endpoint("POST", "/v0/inboxes"),
        endpoint("GET", "/v0/inboxes/{inbox_id}/messages/search"),
        endpoint("POST", "/v0/inboxes/{inbox_id}/messages/{message_id:path}/reply"),
        endpoint("POST", "/v0/inboxes/{inbox_id}/messages/{message_id:path}/reply-all"),
        endpoint("GET", "/v0/inboxes/{inbox_id}/messages/{message_id:path}/attachments/{attachment_id}"),
        endpoint("GET", "/v0/inboxes/{inbox_id}/messages/{message_id:path}/raw"),
    ]
)


def meant(method: str, path: str) -> tuple[str, dict[str, str]] | None:
    found = WAYS.find(method, path)
    return found.endpoint and (
        found.endpoint.path,
        {name: ways[0] for name, ways in found.path.items()},
    )


@pytest.mark.parametrize(
    ("method", "path", "route", "names"),
    [
        ("GET", "search", "search", {}),
        ("GET", "a@x.test", "{inbox_id}", {"inbox_id": "a@x.test"}),
        ("GET", "a%2Bb%40x.test", "{inbox_id}", {"inbox_id": "a+b@x.test"}),
        ("GET", "a+b@x.test", "{inbox_id}", {"inbox_id": "a+b@x.test"}),
        ("GET", "a%2Fb", "{inbox_id}", {"inbox_id": "a/b"}),
        ("GET", "a/messages/search", "{inbox_id}/messages/search", {"inbox_id": "a"}),
        (
            "GET",
            "a/messages/%3Cb/c@x%3E",
            "{inbox_id}/messages/{message_id:path}",
            {"inbox_id": "a", "message_id": "<b/c@x>"},
        ),
        (
            "POST",
            "a/messages/%3Cb/reply@x%3E/reply",
            "{inbox_id}/messages/{message_id:path}/reply",
            {"inbox_id": "a", "message_id": "<b/reply@x>"},
        ),
        (
            "POST",
            "a/messages/%3Cb%3E/reply-all",
            "{inbox_id}/messages/{message_id:path}/reply-all",
            {"inbox_id": "a", "message_id": "<b>"},
        ),
        (
            "GET",
            "a/messages/%3Cb/raw@x%3E/raw",
            "{inbox_id}/messages/{message_id:path}/raw",
            {"inbox_id": "a", "message_id": "<b/raw@x>"},
        ),
        (
            "GET",
            "a/messages/%3Cb/attachments/c@x%3E/attachments/att_1",
            "{inbox_id}/messages/{message_id:path}/attachments/{attachment_id}",
            {"inbox_id": "a", "message_id": "<b/attachments/c@x>", "attachment_id": "att_1"},
        ),
    ],
)
def test_of_two_that_fit_the_more_exact_one_is_meant(
    method: str, path: str, route: str, names: dict[str, str]
) -> None:
    assert meant(method, f"/v0/inboxes/{path}") == (f"/v0/inboxes/{route}", names)


@pytest.mark.parametrize(
    "path",
    [
        "/v0/inboxes/",
        "/v0//inboxes",
        "/v0/inboxes/a/",
        "/v0/inboxes/a/messages/",
        "/v0",
        "",
        "/v0/inboxes/%00",
    ],
)
def test_an_empty_name_means_nothing(path: str) -> None:
    assert meant("DELETE", path) is None


def test_who_asks_with_another_method_hears_which_there_are() -> None:
    assert set(WAYS.find("PUT", "/v0/inboxes/a").methods) == {"GET", "DELETE"}
    assert WAYS.find("PUT", "/v0/nothing").methods == ()


@pytest.mark.parametrize("path", ["search", "a/messages/b/raw", "a/messages/b/reply", "a/messages/search"])
def test_a_suffix_is_no_part_of_a_name_whatever_the_method(path: str) -> None:
    assert meant("DELETE", f"/v0/inboxes/{path}") is None


@pytest.mark.parametrize(
    ("text", "ways"),
    [
        ("%3Ca%41b@x%3E", ("<aAb@x>", "<a%41b@x>")),  # the SDK leaves a percent sign alone
        ("%3Ca%2Fb@x%3E", ("<a/b@x>", "<a%2Fb@x>")),
        ("%3Ca%25b@x%3E", ("<a%b@x>", "<a%25b@x>")),
        ("%3Ca%25%34%31b@x%3E", ("<a%41b@x>", "<a%25%34%31b@x>")),  # decoded once, not twice
        ("%3Cb%3E", ("<b>",)),
        ("b", ("b",)),
        ("%C3%A9", ("é",)),
        ("%FF", ()),
        ("%00", ()),
        ("a" * 5000, ()),
    ],
)
def test_a_name_is_read_in_the_ways_that_it_can_be_meant(text: str, ways: tuple[str, ...]) -> None:
    assert readings(text) == ways


@given(st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=60))
def test_no_path_is_a_surprise(text: str) -> None:
    for way in readings(text):
        assert "\0" not in way
        way.encode()
    WAYS.find("GET", f"/v0/inboxes/{text}")
