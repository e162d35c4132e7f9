"""Whatever somebody with a key sends, to whichever endpoint: an answer that can be read, and never our fault."""

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from mailroom.api.frame import Endpoint
from mailroom.api.table import ENDPOINTS

_HOLE = re.compile(r"\{(\w+)(?::path)?\}")

#: Names that a path may have: strange ones, and one that is there.
NAMES = [
    "x",
    "%00",
    "%FF",
    "%2e%2e",
    "..%2f..",
    "a" * 5000,
    "%3Ca%25%3E",
    "%5Cud800",
    "🙂",
    " ",
    "sam@house.test",
]

VALUES: list[Any] = [
    None,
    True,
    -1,
    2**63,
    10**400,
    "",
    "\0",
    "é🙂\u2028\u202e",
    "x" * 10_000,
    "2099-01-01T00:00:00Z",
    [None],
    [[]],
    ["a"] * 1000,
    {"a": {"b": []}},
    {"\0": "\0"},
]

QUERIES = [
    "",
    "-1",
    "9" * 400,
    "%00",
    "%FF",
    "[1]",
    "[%22%5Cu0000%22]",
    "[%22%5Cud800%22]",
    "x" * 4000,
    "0001-01-01T00:00:00%2B23:59",
    "%25",
]

BODIES = [
    b"",
    b"[]",
    b"\xff",
    b"[" * 100_000,
    b'{"a":1,"a":2}',
    b'{"a":NaN}',
    b'{"a":"\\ud800"}',
    b'{"a":1e999}',
]


def fields(endpoint: Endpoint) -> list[str]:
    return list(endpoint.body.model_fields) if endpoint.body else []


def asked_for(endpoint: Endpoint) -> list[str]:
    if endpoint.query is None:
        return []
    return [field.alias or name for name, field in endpoint.query.model_fields.items()]


def requests(endpoint: Endpoint, inbox: str) -> Iterator[tuple[str, dict[str, Any]]]:
    usual = {"inbox_id": inbox, "pod_id": "pod_default", "direction": "send", "type": "block"}
    plain = _HOLE.sub(lambda hole: usual.get(hole[1], "x"), endpoint.path)
    for name in NAMES:
        yield _HOLE.sub(lambda _, name=name: name, endpoint.path), {}  # type: ignore[misc]
    for body in BODIES if endpoint.body else ():
        yield plain, {"content": body}
    for field in fields(endpoint):
        for value in VALUES:
            yield plain, {"content": json.dumps({field: value}).encode()}
    for field in asked_for(endpoint):
        for value in QUERIES:
            yield f"{plain}?{quote(field)}={value}", {}
    yield plain, {"headers": [(b"Idempotency-Key", b"\xe9")]}


def is_an_answer(answer: Any) -> bool:
    """JSON in the one shape of a refusal, or no refusal at all; and never our fault."""
    if answer.status_code < 400:
        return True
    return answer.status_code < 500 and {"name", "message", "code"} <= set(answer.json())


FAMILIES = sorted({each.name.rpartition(".")[0] for each in ENDPOINTS})


@pytest.mark.parametrize("family", FAMILIES)
def test_no_nonsense_is_our_fault(api: TestClient, inbox: str, family: str) -> None:
    endpoints = [each for each in ENDPOINTS if each.name.rpartition(".")[0] == family]
    wrong = [
        (endpoint.name, path[:200], str(named)[:200], answer.status_code, answer.text[:300])
        for endpoint in sorted(endpoints, key=lambda each: each.method == "DELETE")
        for path, named in requests(endpoint, inbox)
        if not is_an_answer(answer := api.request(endpoint.method, path, **named))
    ]
    assert not wrong


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
BODIED = [each for each in ENDPOINTS if each.body]


@settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(endpoint=st.sampled_from(BODIED), data=st.data())
def test_nor_is_anything_that_nobody_has_thought_of(
    api: TestClient, inbox: str, endpoint: Endpoint, data: st.DataObject
) -> None:
    said = data.draw(st.dictionaries(st.sampled_from(fields(endpoint)), json_values, max_size=4))
    path = _HOLE.sub(lambda hole: inbox if hole[1] == "inbox_id" else "x", endpoint.path)
    answer = api.request(endpoint.method, path, content=json.dumps(said).encode())

    assert is_an_answer(answer), answer.text
