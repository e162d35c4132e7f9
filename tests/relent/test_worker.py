"""The tick, and how it ends."""

import signal
import subprocess
import sys
import time
from contextlib import suppress
from datetime import timedelta

from sqlalchemy.exc import OperationalError
from starlette.testclient import TestClient

from relent.web import create_app
from relent.worker import Worker
from tests.makers import enrolled
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
