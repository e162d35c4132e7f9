"""The power fails while people answer: whatever was acknowledged is on the disk.

A real server on SQLite is killed in mid-traffic, and what it has left in the machine's memory is lost with it. fsynced.c
stands between it and its disk, and keeps of the database and of its log (the WAL) what they held before the last fsync
that succeeded. That is the strictest disk that is allowed: of what was not fsynced it keeps nothing, where a real one
keeps some, in any order. Such a state is a legal one, since SQLite syncs the log before it carries it over into the
database, and the database before it begins the log anew: the last database that is safe, with the last log that is safe,
is what a power loss between two of these leaves.

Of a write that was under way nothing is kept either, so torn pages are not modelled: the log has checksums against them,
and the database is written only from a log that is safe. Nor is it modelled that the name of a new file needs its folder
fsynced, which SQLite does; nor a disk that says "safe" and lies.

The same with synchronous=NORMAL must lose answers that were acknowledged. It guards the setting, and shows that this proof
can fail. And of a process that dies without a power loss nothing is lost either way.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from engine.enroll import enroll_all, prepare
from engine.model import Prospect
from engine.store import Store, damage, open_store
from engine.store.tables import inbound_event
from tests.makers import received, sequence, signed
from tests.relent.processes import Folder

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has LD_PRELOAD before fsync")

PEOPLE = 240
AT_ONCE = 16  #: connections, so that several answers share a commit
HERE = Path(__file__).parent
LAUNCHER = HERE / "with_pragma.py"


@dataclass(frozen=True)
class Person:
    """Who was written to; their next letter waits."""

    email: str
    thread_id: str
    draft_id: str

    @property
    def event_id(self) -> str:
        return f"evt_{self.draft_id}"


class Machine(Folder):
    """A server whose disk keeps what was fsynced."""

    def __init__(self, path: Path, empty: Path, library: Path, pragma: str | None) -> None:
        self.database, self.disk = path / "relent.db", path / "disk"
        super().__init__(path, f"sqlite:///{self.database}")
        self._pragma = pragma
        shutil.copy(empty, self.database)
        self.people = _written_to(f"sqlite:///{self.database}")
        self.disk.mkdir()
        assert not Path(f"{self.database}-wal").exists(), "what stands in a log is not in the file yet"
        shutil.copy(self.database, self.disk)
        self.environment = {
            "LD_PRELOAD": str(library),
            "FSYNCED_IN": str(path.resolve()),
            "FSYNCED_TO": str(self.disk),
        }

    def start(self, *words: str) -> "subprocess.Popen[bytes]":
        if self._pragma is None:
            return super().start(*words)
        command = [sys.executable, str(LAUNCHER), self._pragma, *words]
        with (self.path / "log.txt").open("ab") as log:
            return subprocess.Popen(command, cwd=self.path, env=self._environment(), stdout=log, stderr=log)

    def killed_in_mid_traffic(self) -> list[Person]:
        """Who was answered with a 204, read to its end, before that."""
        acknowledged: list[Person] = []
        process = self.start("serve")
        try:
            self.wait_until_ready(process)
            answers = [(each, _answer(each)) for each in self.people]
            with ThreadPoolExecutor(AT_ONCE) as hands:
                for first in range(AT_ONCE):
                    hands.submit(_post, self.port, answers[first::AT_ONCE], acknowledged)
                enough = random.randint(PEOPLE // 4, PEOPLE // 2)
                self.wait_for_moment(lambda: len(acknowledged) >= enough)
                time.sleep(random.uniform(0, 0.01))
                process.send_signal(signal.SIGKILL)
        finally:
            process.kill()
            process.wait(10)
        assert len(acknowledged) < PEOPLE, "it was not killed in mid-traffic"
        return acknowledged

    def wait_for_moment(self, come: Callable[[], bool]) -> None:
        until = time.monotonic() + 60
        while not come():
            assert time.monotonic() < until, (self.path / "log.txt").read_text()[-2000:]
            time.sleep(0.001)

    def after_a_power_loss(self) -> Path:
        return self.disk / self.database.name


def _written_to(url: str) -> list[Person]:
    """Each at a company of their own, so that nobody's answer stops somebody else."""
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    ready = [prepare(Prospect(email=f"ida@firm{number}.example"), sequence()) for number in range(PEOPLE)]
    with closing(open_store(url)) as store:
        with store.transaction(tomorrow, "a test") as ledger:
            enroll_all(ready, ledger=ledger)
        with store.reading(tomorrow) as ledger:
            found = [
                Person(each["to"], each["thread_id"], each["draft_id"]) for each in ledger.views.drafts()
            ]
    assert len(found) == PEOPLE
    return found


def _answer(person: Person) -> dict[str, Any]:
    said = received(
        person.thread_id, event_id=person.event_id, **{"from": person.email, "text": "Yes. " * 50}
    )
    return signed(said, datetime.now(UTC), delivery_id=f"msg_{person.draft_id}")


def _post(port: int, answers: Sequence[tuple[Person, dict[str, Any]]], acknowledged: list[Person]) -> None:
    """Over one connection, until it breaks: the server is gone then."""
    with closing(HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        for person, post in answers:
            try:
                connection.request("POST", "/webhooks/agentmail", post["content"], post["headers"])
                answer = connection.getresponse()
                answer.read()
            except (OSError, HTTPException):
                return
            if answer.status == 204:
                acknowledged.append(person)


def _lost(database: Path, acknowledged: Sequence[Person]) -> list[str]:
    """Whose answer is not there, or has not stopped what it was to stop."""
    with closing(open_store(f"sqlite:///{database}")) as store:
        assert damage(store) == []
        drafts, people = _states(store)
        with store.database.connect() as db:
            kept = set(db.scalars(select(inbound_event.c.event_id)))
    return [
        each.email
        for each in acknowledged
        if each.event_id not in kept
        or drafts[each.draft_id] != "cancelled"
        or people[each.email] != ("stopped", "replied")
    ]


def _states(store: Store) -> tuple[dict[str, str], dict[str, tuple[str, str]]]:
    with store.reading(datetime.now(UTC)) as ledger:
        drafts = {each["draft_id"]: each["state"] for each in ledger.views.drafts(ended=True)}
        people = {each["email"]: (each["state"], each["stop_reason"]) for each in ledger.views.people()}
    return drafts, people


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.fail("this proof needs a C compiler. On Debian: apt-get install gcc libc6-dev", pytrace=False)
    made = tmp_path_factory.mktemp("fsynced") / "fsynced.so"
    command = [compiler, "-O2", "-shared", "-fPIC", "-o", str(made), str(HERE / "fsynced.c"), "-ldl"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return made


@pytest.fixture
def machine(tmp_path: Path, empty_sqlite: Path, library: Path) -> Callable[[str | None], Machine]:
    return partial(Machine, tmp_path / "machine", empty_sqlite, library)


def test_a_power_loss_takes_no_answer_that_was_acknowledged(machine, counted):
    server = machine(None)

    acknowledged = server.killed_in_mid_traffic()

    assert _lost(server.after_a_power_loss(), acknowledged) == []
    counted(f"power loss: {len(acknowledged)} answers acknowledged before it, none lost")


def test_nor_while_the_log_is_carried_over_into_the_database_again_and_again(machine, counted):
    server = machine("wal_autocheckpoint=50")
    before = server.after_a_power_loss().read_bytes()

    acknowledged = server.killed_in_mid_traffic()

    assert server.after_a_power_loss().read_bytes() != before, "the log was never carried over"
    assert _lost(server.after_a_power_loss(), acknowledged) == []
    counted(f"power loss between checkpoints: {len(acknowledged)} answers acknowledged before it, none lost")


def test_with_synchronous_normal_it_takes_some_so_the_setting_is_needed(machine, counted):
    server = machine("synchronous=NORMAL")

    acknowledged = server.killed_in_mid_traffic()

    lost = _lost(server.after_a_power_loss(), acknowledged)
    assert lost, "synchronous=NORMAL has lost nothing: this proof proves nothing"
    assert _lost(server.database, acknowledged) == [], (
        "the machine went on, so what it had in memory is there"
    )
    counted(
        f"power loss with synchronous=NORMAL: {len(lost)} of {len(acknowledged)} acknowledged answers lost"
    )
