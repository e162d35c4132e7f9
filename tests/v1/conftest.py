"""`/v1` over HTTP, and whatever it answers held against its own document."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

from mailroom.api.door import Api
from mailroom.api.frame import Desk
from mailroom.v1.table import ENGINE, described
from relent.assemble import House, desk
from relent.config import Config
from tests.makers import SAM, SECRET

KEY = "v1-key-1"
KIM = "kim@acme.example"

Ask = Callable[..., Any]


class Asking:
    """A client that believes no answer which its document does not know."""

    def __init__(self, http: TestClient, key: str) -> None:
        self._http, self._key = http, key

    def __call__(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        status: int = 200,
        key: str | None = None,
        **query: Any,
    ) -> Any:
        answer = self._http.request(
            method,
            path,
            params={name: value for name, value in query.items() if value is not None},
            headers={"Authorization": f"Bearer {key or self._key}"},
            **({} if body is None else {"json": body}),
        )
        assert answer.status_code == status, f"{answer.status_code}: {answer.text}"
        fits(method, path, answer.status_code, answer.json())
        return answer.json()

    def get(self, path: str, **more: Any) -> Any:
        return self("GET", path, **more)

    def post(self, path: str, body: Any = None, **more: Any) -> Any:
        return self("POST", path, {} if body is None else body, **more)


def fits(method: str, path: str, status: int, said: Any) -> None:
    """The answer is of the shape that /openapi.json says."""
    whole = described()
    ways = sorted(whole["paths"], key=lambda template: template.count("{"))
    found = next(each for each in ways if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", each), path))
    responses = whole["paths"][found][method.lower()]["responses"]
    schema = responses.get(str(status), responses["default"])["content"]["application/json"]["schema"]
    validator = Draft202012Validator(
        {**schema, "components": whole["components"]}, format_checker=FormatChecker()
    )
    validator.validate(said)


@pytest.fixture
def laid(store, clock, mailbox, pace) -> Desk:
    config = Config(webhooks={"secrets": [SECRET]}, server={"api_keys": [KEY]})
    with store.transaction(clock.now(), "a test") as ledger:
        for each in (SAM, KIM):
            ledger.threads.open_inbox(each)
    return desk(House(config=config, store=store, mailbox=mailbox, clock=clock, pace=pace))


@pytest.fixture
def ask(laid: Desk) -> Iterator[Asking]:
    with TestClient(Starlette(routes=[Mount("/v1", Api(laid, ENGINE))])) as http:
        yield Asking(http, KEY)


@pytest.fixture
def key_of(laid: Desk) -> Callable[..., str]:
    """`key_of("draft", scope="inbox", scope_id=KIM)`: the secret of a new key."""

    def make(word: str | None = None, name: str = "a key", **more: Any) -> str:
        permissions = {word: True} if word else None
        return laid.keys.make(name, permissions=permissions, **more).secret

    return make
