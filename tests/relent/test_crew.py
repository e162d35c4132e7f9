"""`relent serve --workers N`: several processes, one port, and nobody left behind."""

import errno
import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest

from relent import crew
from tests.makers import received, signed
from tests.relent.processes import SEQUENCE, Folder


@pytest.fixture
def folder(tmp_path: Path, database_url: str) -> Folder:
    return Folder(tmp_path, database_url)


@pytest.fixture
def anywhere(tmp_path: Path, empty_sqlite: Path) -> Folder:
    """For what has nothing to do with a database."""
    return Folder(tmp_path, f"sqlite:///{shutil.copy(empty_sqlite, tmp_path / 'relent.db')}")


@contextmanager
def _serving(folder: Folder, number: int) -> Iterator[psutil.Process]:
    process = folder.start("serve", "--workers", str(number))
    seen_to = psutil.Process(process.pid)
    try:
        folder.wait_until_ready(process)
        yield seen_to
    finally:
        for each in seen_to.children() if process.poll() is None else []:
            each.kill()
        process.kill()
        process.wait(20)


def _crew(seen_to: psutil.Process) -> list[psutil.Process]:
    return [each for each in seen_to.children() if each.status() != psutil.STATUS_ZOMBIE]


def test_several_answer_at_one_port_and_who_dies_is_replaced(folder):
    (folder.path / "slower.yaml").write_text(SEQUENCE.replace("1s", "1h"))
    with _serving(folder, 2) as seen_to:
        folder.run("enroll", "slower.yaml", "--email", "ida@nordic.example", "--var", "first_name=Ida")
        first, second = folder.wait_for(lambda: len(_crew(seen_to)) == 2 and _crew(seen_to))
        first.kill()
        [thread_id] = {person["thread_id"] for person in folder.json("people")}
        post = signed(received(thread_id), datetime.now(UTC))
        assert folder.post(post["content"], post["headers"]) == 204
        folder.wait_for(lambda: len(_crew(seen_to)) == 2 and first not in _crew(seen_to))
        assert second in _crew(seen_to)
        for _ in range(20):
            assert folder.get("/healthz") == 200
        seen_to.terminate()
        assert seen_to.wait(30) == 0
        assert psutil.wait_procs([second], 5)[1] == []

    assert folder.json("people")[0]["stop_reason"] == "replied"
    log = (folder.path / "log.txt").read_text()
    assert log.count("was killed by signal 9; another one takes its place") == 1
    assert "Traceback" not in log


def test_when_the_one_that_sees_to_them_is_killed_they_end(anywhere):
    with _serving(anywhere, 2) as seen_to:
        left = anywhere.wait_for(lambda: len(_crew(seen_to)) == 2 and _crew(seen_to))
        seen_to.kill()
        assert psutil.wait_procs(left, 30)[1] == []
    assert anywhere.get("/healthz") is None


def test_what_is_wrong_is_told_once_and_ends_it(anywhere):
    assert anywhere.run("serve", "--workers", "0", code=2)
    anywhere.environment["RELENT_WEBHOOKS__SECRETS"] = "short"
    told = anywhere.run("serve", "--workers", "3", code=2)
    assert told.count("webhooks.secrets") == 1
    anywhere.environment = {"RELENT_SERVER__HOST": "203.0.113.7"}
    assert "could not listen" in anywhere.run("serve", "--workers", "2", code=1)


def test_a_machine_that_has_no_room_for_another_process_is_asked_again(monkeypatch, caplog):
    """Those who are there go on; and whoever is missing takes its place when there is room."""
    now = time.monotonic()
    monkeypatch.setattr(crew, "monotonic", lambda: now)
    seen_to, tried = crew._Crew(2), []
    healthy, missing = seen_to._places
    healthy.process = 1

    def fork() -> int:
        tried.append(now)
        if len(tried) < 4:
            raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
        return 4711

    monkeypatch.setattr(os, "fork", fork)
    waits = []
    while not missing.process:
        assert seen_to._fill(missing) is False
        waits.append(missing.free_at - now)
        now = max(now, missing.free_at)

    assert waits[:3] == pytest.approx([0.5, 1, 2])
    assert (healthy.process, missing.process) == (1, 4711)
    assert caplog.text.count("process 2 of 2 cannot begin, and is tried again in") == 3
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, []) & set(crew._HEEDED)


def test_who_falls_again_and_again_is_given_ever_more_time(monkeypatch, caplog):
    """The time between, without the processes."""
    now = time.monotonic()
    monkeypatch.setattr(crew, "monotonic", lambda: now)
    place, waits = crew._Place(1), []
    seen_to = crew._Crew(1)
    for _ in range(9):
        place.process, place.since = 1, now
        seen_to._free(place, -signal.SIGKILL)
        waits.append(place.free_at - now)
    place.process, place.since = 1, now - 3600
    seen_to._free(place, 1)

    assert waits == pytest.approx([0.5, 1, 2, 4, 8, 16, 30, 30, 30])
    assert place.free_at == now
    assert "ended with 1; another one takes its place" in caplog.text
