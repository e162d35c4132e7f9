"""The tick, and how it ends."""

import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from threading import Event

from sqlalchemy.exc import OperationalError
from starlette.testclient import TestClient

from relent.web import create_app
from relent.worker import Worker
from tests.doubles import MemoryMailbox
from tests.makers import enrolled, pending
from tests.relent.processes import ROOT

HANGS = """
import time
from types import SimpleNamespace
from relent import worker
from relent.config import Config

worker._LONGEST_GOODBYE = 0.5
hanging = worker.Worker(SimpleNamespace(config=Config()))
hanging.tick = lambda: print("hangs", flush=True) or time.sleep(1000)
hanging.run_until_signalled()
"""


def test_a_long_queue_is_no_illness(house, clock, mailbox, store):
    for number in range(10):
        enrolled(store, clock.now(), f"p{number}@nordic.example")
    worker, seen = Worker(house), []

    def slowly(_):
        clock.pass_(timedelta(seconds=10))
        seen.append(clock.now() - worker.lag.looked_at)

    mailbox.before_gate = slowly
    worker.tick()

    assert seen == [timedelta(seconds=10)] * 10


def test_the_dead_are_seen_to_during_a_long_queue(house, clock, mailbox, store, monkeypatch):
    for number in range(house.pace.batch + 1):
        enrolled(store, clock.now(), f"p{number}@nordic.example")
    mailbox.before_gate = lambda letter: clock.pass_(timedelta(milliseconds=200))
    rounds = []
    monkeypatch.setattr("relent.worker.recover", lambda **_: rounds.append(len(mailbox.sent)))

    Worker(house).tick()

    assert rounds[0] == 0
    assert any(0 < sent <= house.pace.batch for sent in rounds)


def test_whoever_hangs_ends_all_the_same():
    process = subprocess.Popen([sys.executable, "-c", HANGS], cwd=ROOT, stdout=subprocess.PIPE)
    with process:
        assert process.stdout.readline() == b"hangs\n"
        process.send_signal(signal.SIGTERM)
        begun = time.monotonic()
        assert process.wait(20) == 1
    assert time.monotonic() - begun < 10


def test_refusals_are_counted_also_when_the_database_was_away_for_a_while(house, store, clock, monkeypatch):
    with TestClient(create_app(house, with_worker=False)) as door:
        assert door.post("/webhooks/agentmail", content=b"{}").status_code == 401
    worker = Worker(house)
    with monkeypatch.context() as patched:
        patched.setattr("engine.store.inbound.Inbound.count", _away)
        with suppress(OperationalError):
            worker.tick()
    worker.tick()
    worker.tick()  # and only once

    with store.reading(clock.now()) as ledger:
        assert ledger.views.status(clock.now())["webhooks"]["refused"] == 1


def _away(*_):
    raise OperationalError("INSERT", {}, Exception("the database is away"))


def test_nothing_is_sent_while_people_have_answered_who_are_not_heard_yet(house, store, clock):
    enrolled(store, clock.now())
    house.answers.behind = lambda: 6.0
    worker = Worker(house)

    assert worker.tick() == []
    house.answers.behind = lambda: 0.0
    assert len(worker.tick()) == 1


def test_nor_for_a_hint_nor_in_the_middle_of_a_batch(house, store, clock, mailbox):
    for number in range(10):
        enrolled(store, clock.now(), f"p{number}@nordic.example")
    worker, due = Worker(house), [draft["draft_id"] for draft in pending(store, clock.now())]

    house.answers.behind = lambda: 6.0
    assert worker.look_at(due) == 0
    assert {draft["state"] for draft in pending(store, clock.now())} == {"scheduled"}

    house.answers.behind = lambda: 6.0 if len(mailbox.sent) >= 3 else 0.0
    assert worker.look_at(due) == 3
    assert worker.tick() == []
    assert [draft["state"] for draft in pending(store, clock.now())] == ["scheduled"] * 10


def test_a_line_that_is_slow_keeps_no_worker_from_its_other_duties(house, store, clock, mailbox, monkeypatch):
    """Its server takes minutes to answer the last dot; others are sent to meanwhile, and nobody thinks that we are ill."""
    slow, asked, answers = MemoryMailbox(), Event(), Event()
    slow.after_gate = lambda letter: (asked.set(), answers.wait(30))
    mailbox.before_gate = lambda letter: asked.wait(30)
    rounds, carried = [], []
    monkeypatch.setattr("relent.worker.recover", lambda **_: rounds.append(clock.now()))
    monkeypatch.setattr(house.meters, "carried", carried.append)
    worker = Worker(replace(house, beside=(slow,)))
    for number in range(30):
        enrolled(store, clock.now(), f"p{number}@nordic.example")

    try:
        assert len(worker.tick()) == 29
        clock.pass_(timedelta(minutes=2))
        enrolled(store, clock.now())
        assert len(worker.tick()) == 1
        assert (worker.lag.looked_at, rounds[-1]) == (clock.now(), clock.now())
    finally:
        answers.set()
        worker.leave()

    assert len(slow.sent) == 1
    assert len({letter.to for letter in (*mailbox.sent, *slow.sent)}) == 31
    assert len(carried) == 31
