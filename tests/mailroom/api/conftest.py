"""The API over HTTP, as curl speaks it. `tests/api` speaks to it as the official SDK does."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from starlette.testclient import TestClient

from relent.assemble import House
from relent.config import Config
from relent.web import create_app
from tests.makers import SECRET

KEY = "am_the-key-of-this-house"


@pytest.fixture
def house(house: House) -> House:
    """It serves `house.test`, and knows one key, which may do everything."""
    server = {"api_keys": [KEY], "domains": ["house.test"], "rate": 1_000_000}
    return replace(house, config=Config(webhooks={"secrets": [SECRET]}, server=server))


@pytest.fixture
def api(house: House) -> Iterator[TestClient]:
    """With the key."""
    headers = {"Authorization": f"Bearer {KEY}"}
    with TestClient(create_app(house, with_worker=False), headers=headers) as client:
        yield client


@pytest.fixture
def inbox(api: TestClient) -> str:
    answer = api.post("/v0/inboxes", json={"username": "sam", "domain": "house.test"})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["inbox_id"])
