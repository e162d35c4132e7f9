"""Two servers on one database: what is due leaves once, and whoever calls it back meanwhile hears the truth."""

import json
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiosmtpd.controller import Controller

from tests.makers import SAM, SECRET
from tests.relent.processes import Folder, free_port

KEY = "am_" + "k" * 43


@dataclass
class World:
    """Takes every letter, and remembers what it said by its Message-ID."""

    port: int
    came: list[tuple[str, str]] = field(default_factory=list)

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 (aiosmtpd calls it so)
        letter = message_from_bytes(envelope.content, policy=default)
        self.came.append((letter["Subject"], letter.get_content().strip()))
        return "250 OK"


@pytest.fixture
def world() -> Iterator[World]:
    taking = World(free_port())
    controller = Controller(taking, hostname="127.0.0.1", port=taking.port)
    controller.start()
    yield taking
    controller.stop()


@pytest.fixture
def servers(tmp_path: Path, database_url: str, world: World) -> Iterator[list[httpx.Client]]:
    with ExitStack() as open_ones:
        found = []
        for name in ("one", "two"):
            folder = Folder(tmp_path / name, database_url)
            (folder.path / "config.yaml").write_text(
                json.dumps(
                    {
                        "database": {"url": database_url},
                        "mailbox": {
                            "transport": "smtp",
                            "smtp": {"host": "127.0.0.1", "port": world.port, "tls": "none"},
                        },
                        "webhooks": {"secrets": [SECRET]},
                        "server": {
                            "port": folder.port,
                            "api_keys": [KEY],
                            "rate": 10_000,
                            "domains": ["acme.example"],
                        },
                    }
                )
            )
            open_ones.enter_context(folder.serving())
            url, headers = f"http://127.0.0.1:{folder.port}/v0", {"Authorization": f"Bearer {KEY}"}
            found.append(open_ones.enter_context(httpx.Client(base_url=url, headers=headers, timeout=60)))
        opened = found[0].post("/inboxes", json={"username": "sam", "domain": "acme.example"})
        assert opened.status_code == 200, opened.text
        yield found


def in_(**ahead: float) -> str:
    return (datetime.now(UTC) + timedelta(**ahead)).isoformat()


def make(server: httpx.Client, name: str, send_at: str) -> str:
    letter = {"to": f"{name}@nordic.example", "subject": name, "text": "as written", "send_at": send_at}
    answer = server.post(f"/inboxes/{SAM}/drafts", json=letter)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["draft_id"])


def wait_until(look: Callable[[], object], seconds: float) -> None:
    until = time.monotonic() + seconds
    while not look():
        assert time.monotonic() < until, "it takes too long"
        time.sleep(0.1)


@pytest.mark.timeout(300)
def test_a_thousand_drafts_due_in_one_second_leave_once_each(servers, world):
    due = in_(seconds=25)
    names = [f"p{number}" for number in range(1000)]
    with ThreadPoolExecutor(8) as hands:
        list(hands.map(lambda each: make(servers[int(each[1:]) % 2], each, due), names))
    wait_until(lambda: len(world.came) >= len(names), 150)
    time.sleep(2)

    assert Counter(subject for subject, _ in world.came) == Counter(names)
    assert servers[0].get(f"/inboxes/{SAM}/drafts").json()["count"] == 0


@pytest.mark.timeout(300)
def test_whoever_calls_back_or_changes_what_is_leaving_hears_the_truth(servers, world):
    due = datetime.now(UTC) + timedelta(seconds=12)
    names = [f"p{number}" for number in range(200)]
    with ThreadPoolExecutor(8) as hands:
        made = dict(
            zip(names, hands.map(lambda each: make(servers[0], each, due.isoformat()), names), strict=True)
        )
        chance = random.Random(7)
        deeds = [(name, deed, chance.uniform(-0.2, 3)) for name in names for deed in ("delete", "change")]
        deeds.sort(key=lambda each: each[2])

        def do(deed: tuple[str, str, float]) -> tuple[str, str, int]:
            name, what, when = deed
            time.sleep(max(0.0, (due - datetime.now(UTC)).total_seconds() + when))
            path, server = f"/inboxes/{SAM}/drafts/{made[name]}", servers[len(name) % 2]
            if what == "delete":
                return name, what, server.delete(path).status_code
            return name, what, server.patch(path, json={"text": "as changed"}).status_code

        answers = list(hands.map(do, deeds))
    wait_until(lambda: servers[1].get(f"/inboxes/{SAM}/drafts").json()["count"] == 0, 60)
    time.sleep(1)

    came = dict(world.came)
    assert len(came) == len(world.came), "somebody got two"
    said = {(name, what): status for name, what, status in answers}
    assert {status for (_, what), status in said.items() if what == "delete"} <= {204, 404, 409}
    assert {status for (_, what), status in said.items() if what == "change"} <= {200, 404, 409}
    for name in names:
        deleted, changed = said[name, "delete"], said[name, "change"]
        assert (deleted == 204) == (name not in came), (name, deleted)
        if changed == 200 and name in came:
            assert came[name] == "as changed"
        if changed in (404, 409) and name in came:
            assert came[name] == "as written"
    assert 0 < sum(name in came for name in names) < len(names), "nothing raced"
