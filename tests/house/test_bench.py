"""The benchmarks run, and tell their ratios; how fast anything is, no test can know."""

import re
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from socketserver import BaseRequestHandler, ThreadingTCPServer

import pytest

from bench.load import Requests, WrongAnswer
from bench.people import KINDS, Kind, StillComing, check, count_cancelled, people, reply
from engine.react import react
from relent.assemble import assemble
from relent.config import Config
from tests.makers import SECRET

pytestmark = pytest.mark.timeout(300)  # on a busy machine, processes take their time to start

ROOT = Path(__file__).parents[2]
TINY = {
    "webhook": "--rounds 1 --requests 20 --bare 100 --seconds 0.02 --kinds by-hand",
    "pending": "--rounds 1 --calls 1 --replies 20 --drafts 400",
    "memory": "--rounds 1 --seconds 1 --replies 20 --drafts 600",
    "language": "--rounds 1 --people 100",
    "mailbox": "--rounds 1 --calls 1 --drafts 500",
    "sending": "--rounds 1 --letters 60",
}


def _ran(*words: str) -> str:
    return subprocess.run(
        [sys.executable, "-m", "bench", *words],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
        timeout=300,
        check=True,
    ).stdout


class _Sleepy(BaseRequestHandler):
    """Answers everybody, after a nap before the very first."""

    def handle(self) -> None:
        self.request.recv(1000)
        time.sleep(0.3)
        self.request.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
        while self.request.recv(1000):
            self.request.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")


@pytest.mark.parametrize("in_python", [False, True])
@pytest.mark.parametrize(("rate", "median"), [(0, (0, 100)), (100, (100, 1_000))])
def test_who_was_due_while_the_server_slept_has_waited(
    in_python: bool, rate: float, median: tuple[float, float]
):
    with ThreadingTCPServer(("127.0.0.1", 0), _Sleepy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with Requests([b"POST / HTTP/1.1\r\n\r\n"] * 20, in_python) as prepared:
            told = prepared.send(server.server_address[1], number=20, connections=1, rate=rate)
        server.shutdown()

    assert (told.requests, told.wrong) == (20, 0)
    assert told.longest >= 300
    assert median[0] <= told.p50 <= median[1]


@pytest.mark.parametrize("in_python", [False, True])
def test_a_wrong_answer_ends_the_measurement(in_python: bool):
    with ThreadingTCPServer(("127.0.0.1", 0), _Sleepy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with (
            Requests([b"POST / HTTP/1.1\r\n\r\n"], in_python) as prepared,
            pytest.raises(WrongAnswer, match=r"1 of 1 answers were not 200; the first:\s+HTTP/1.1 204"),
        ):
            prepared.send(server.server_address[1], number=1, status=200)
        server.shutdown()


@pytest.mark.parametrize("kind", KINDS)
def test_whoever_would_get_another_letter_ends_the_measurement(database_url: str, kind: Kind):
    known = people(database_url, kind, 40)
    heard, unheard = known.everybody[:4], known.everybody[4]
    house = assemble(Config(database={"url": database_url}, webhooks={"secrets": [SECRET]}))
    for each in heard:
        body = reply(each, datetime.now(UTC))
        event = house.mailbox.read(body, each.draft_id)
        assert event
        react(event, body, store=house.store, clock=house.clock, pace=house.pace)
    house.store.close()

    check(database_url, heard)
    assert count_cancelled(database_url) == 4
    with pytest.raises(StillComing, match=f"{unheard.draft_id} would go out"):
        check(database_url, [*heard, unheard])


def test_the_webhook_path_is_measured_against_bare_starlette():
    told = _ran("webhook", *TINY["webhook"].split(), "--only", "SQLite")
    for what in (
        "signed reply to 204, drafts by hand with labels, of bare Starlette",
        "the published handler's rate goes into ours",
    ):
        assert re.search(rf"^  SQLite +{what} +[\d.,]+ ?[%x] +≥", told, re.M), told
    assert len(re.findall(r"^  SQLite +reply received to 204, p\d+ +[\d.,]+ ms +≤", told, re.M)) == 2


def test_the_webhook_path_is_measured_on_postgresql_too():
    words = "--only PostgreSQL --without published open yardsticks"
    told = _ran("webhook", *TINY["webhook"].split(), *words.split())
    assert re.search(
        r"^  PostgreSQL +signed reply to 204, .* bare Starlette +[\d.,]+ % +≥ 25.0 %", told, re.M
    )


def test_many_pending_drafts_are_measured_against_few():
    told = _ran("pending", *TINY["pending"].split())
    for deed in (
        "when the next draft is due",
        "find and claim 100 due drafts",
        "cancel by thread: a reply",
        "replies over 64 connections",
    ):
        assert len(re.findall(rf"^  \w+ +{deed}, among 400 against 300 +[\d.]+x +≤ 1\.30x", told, re.M)) == 2


def test_the_memory_of_the_server_is_measured_among_many_drafts_and_few():
    told = _ran("memory", *TINY["memory"].split(), "--only", "SQLite")
    for when in ("after start", "after a minute", "after replies"):
        what = f"memory {when}, more among 600 than among 300"
        assert re.search(rf"^  SQLite +{what} +-?[\d.]+ MB +≤ 20.0 MB", told, re.M), told


def test_the_language_is_measured_against_plain_yardsticks():
    told = _ran("language", *TINY["language"].split())
    ratios = re.findall(r"^  ratio: (.*) costs \d+\.\d+x (.*)$", told, re.M)
    assert [what for what, _ in ratios] == [
        "reading a file",
        "a plan",
        "a person among 10",
        "a person among 100",
        "a person among 10",
        "a person among 100",
    ]
    assert len(re.findall(r"\d+\.\dx bare inserts$", told, re.M)) == 3
    assert re.findall(r"^  ([\d,]+) people ", told, re.M) == ["1", "10", "100"] * 2


def test_a_large_mailbox_is_measured_against_a_small_one():
    told = _ran("mailbox", *TINY["mailbox"].split())
    assert re.findall(r"^(\w+): ([\d,]+) drafts", told, re.M) == [
        ("SQLite", "50"),
        ("SQLite", "500"),
        ("PostgreSQL", "50"),
        ("PostgreSQL", "500"),
    ]
    for deed in ("get a draft", "everywhere, scheduled: middle", "create a draft", "delete a draft"):
        assert len(re.findall(rf"^  {deed} (?: +[\d.]+ +[\d.]+ ms +[\d.]+x[! ]){{2}}$", told, re.M)) == 2
    assert len(re.findall(r"^  among 500 drafts, against 50; above 1\.5x: ", told, re.M)) == 2


def test_sending_is_measured_against_raw_smtp():
    told = _ran("sending", *TINY["sending"].split())
    assert re.findall(r"^  (\w+) +due drafts sent, (.*?) +[\d.,]+ ?[%x]", told, re.M) == [
        ("SQLite", "of raw SMTP"),
        ("SQLite", "of raw SMTP with bytes at hand"),
        ("PostgreSQL", "of raw SMTP"),
        ("PostgreSQL", "of raw SMTP with bytes at hand"),
        ("PostgreSQL", "2 workers against one"),
    ]
    assert re.search(r"of raw SMTP +[\d.,]+ % +≥ 50.0 %", told), told
    assert re.search(r"against one +[\d.,]+x +≥ 1.70x", told), told
