"""Several `relent work` on PostgreSQL with a Redis: real processes, real mail, real kills. Each letter leaves once."""

import asyncio
import json
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from subprocess import Popen
from typing import Any

import pytest
from aiosmtpd.controller import Controller

from engine.store import open_store
from engine.store.tables import DEFAULT_POD, metadata
from relent.assemble import SystemClock
from tests.makers import SECRET, enrolled, sequence
from tests.redis_server import RedisServer
from tests.relent.processes import Folder, free_port

ONE_LETTER = sequence({"subject": "Quick question", "body": "Hello"})


class World:
    """Takes every letter, and remembers to whom it was; or takes its time about one of them."""

    def __init__(self) -> None:
        self.port = free_port()
        self.came: Counter[str] = Counter()
        self.slow = threading.Event()
        self.asked = threading.Event()

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:  # noqa: N802 (aiosmtpd calls it so)

        if self.slow.is_set():
            self.slow.clear()
            self.asked.set()
            await asyncio.sleep(3600)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        await asyncio.sleep(0.04)  # no machine has sent everything before another one looks
        self.came.update(envelope.rcpt_tos)
        return "250 OK"


@pytest.fixture
def world() -> Iterator[World]:
    taking = World()
    controller = Controller(taking, hostname="127.0.0.1", port=taking.port)
    controller.start()
    yield taking
    controller.stop()


@pytest.fixture
def database_url(postgres_url: str, emptied_postgres: Any) -> str:
    """Only a PostgreSQL is on several machines."""
    from sqlalchemy import text

    names = ", ".join(f'"{name}"' for name in metadata.tables if name not in {"instance", "pod"})
    with emptied_postgres.database.begin() as db:
        db.execute(text(f"TRUNCATE {names}"))
        db.execute(text("DELETE FROM pod WHERE id <> :default"), {"default": DEFAULT_POD})
    return postgres_url


@pytest.fixture
def machines(tmp_path: Path, database_url: str, own_redis: RedisServer, world: World) -> list[Folder]:
    """Two of them, one database, one Redis."""
    folders = []
    for name in ("one", "two"):
        folder = Folder(tmp_path / name, database_url)
        smtp = {"host": "127.0.0.1", "port": world.port, "tls": "none"}
        (folder.path / "config.yaml").write_text(
            json.dumps(
                {
                    "database": {"url": database_url},
                    "redis": {"url": own_redis.url},
                    "mailbox": {"transport": "smtp", "smtp": smtp},
                    "webhooks": {"secrets": [SECRET]},
                    "dispatch": {"batch": 20},
                }
            )
        )
        folders.append(folder)
    return folders


@contextmanager
def _working(
    machines: list[Folder], redis: RedisServer, *, told: bool = True
) -> Iterator[list[Popen[bytes]]]:
    """Until they listen; and, in the end, until they have gone politely."""
    with ExitStack() as running:
        processes = []
        for folder in machines:
            processes.append(process := folder.start("work"))
            running.callback(process.wait, 40)
            running.callback(process.send_signal, signal.SIGTERM)
        if told:
            machines[0].wait_for(lambda: _listening(redis) == len(machines))
            time.sleep(1.5)  # until everybody has seen it
        yield processes


def _listening(redis: RedisServer) -> int:
    with redis.client() as client:
        return int(client.scard("rq:workers"))


def _enroll(database_url: str, number: int) -> Counter[str]:
    store, clock = open_store(database_url), SystemClock()
    addresses = [f"p{each}@firm{each}.example" for each in range(number)]
    for address in addresses:
        enrolled(store, clock.now(), address, ONE_LETTER)
    store.close()
    return Counter(addresses)


def _all_left(machines: list[Folder]) -> bool:
    counted = machines[0].json("status")["drafts"]
    return {state for state, number in counted.items() if number} == {"sent"}


def _sent_by(folder: Folder) -> int:
    return (folder.path / "log.txt").read_text().count('"event": "sent drf_')


@pytest.mark.timeout(200)
def test_two_machines_share_the_work_and_each_letter_leaves_once(machines, own_redis, world, database_url):
    with _working(machines, own_redis) as processes:
        wanted = _enroll(database_url, 120)
        machines[0].wait_for(lambda: len(world.came) == len(wanted), 120)
    assert world.came == wanted
    assert _all_left(machines)
    assert all(_sent_by(folder) for folder in machines), "one of them had nothing to do"
    assert [process.returncode for process in processes] == [0, 0]
    assert all("Traceback" not in (folder.path / "log.txt").read_text() for folder in machines)


@pytest.mark.timeout(200)
def test_redis_forgets_dies_and_comes_back_and_each_letter_leaves_once(
    machines, own_redis, world, database_url
):
    with _working(machines, own_redis):
        wanted = _enroll(database_url, 120)
        machines[0].wait_for(lambda: len(world.came) >= 20)
        with own_redis.client() as client:
            client.flushall()
        machines[0].wait_for(lambda: len(world.came) >= 50)
        own_redis.kill()
        machines[0].wait_for(lambda: len(world.came) >= 80)
        own_redis.start()
        machines[0].wait_for(lambda: len(world.came) == len(wanted), 120)
    assert world.came == wanted
    assert _all_left(machines)
    for folder in machines:
        log = (folder.path / "log.txt").read_text()
        assert log.count("is of no use") <= 2
        assert "Traceback" not in log


@pytest.mark.timeout(200)
def test_without_redis_for_the_whole_time_each_letter_leaves_once(machines, own_redis, world, database_url):
    own_redis.kill()
    with _working(machines, own_redis, told=False):
        wanted = _enroll(database_url, 60)
        machines[0].wait_for(lambda: len(world.came) == len(wanted), 120)
    assert world.came == wanted
    assert all((folder.path / "log.txt").read_text().count("is of no use") == 1 for folder in machines)


@pytest.mark.timeout(200)
def test_who_is_killed_with_a_hint_in_hand_takes_no_letter_along(machines, own_redis, world, database_url):
    world.slow.set()
    with _working(machines, own_redis) as processes:
        wanted = _enroll(database_url, 40)
        assert world.asked.wait(60)
        victim = _who_hangs(machines)
        processes[victim].kill()
        machines[0].wait_for(lambda: len(world.came) == len(wanted), 120)
    assert world.came == wanted
    assert _all_left(machines)


def _who_hangs(machines: list[Folder]) -> int:
    """Whoever sends no more, while there is something to send."""
    before = [_sent_by(folder) for folder in machines]
    time.sleep(1)
    after = [_sent_by(folder) for folder in machines]
    grown = [late - early for early, late in zip(before, after, strict=True)]
    return grown.index(min(grown))
