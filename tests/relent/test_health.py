"""Are we alive, are we ready? What a supervisor asks, and what it hears."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

import pytest
from pydantic import SecretStr
from sqlalchemy.exc import OperationalError
from starlette.testclient import TestClient

from engine.store import HEAD, Store
from relent.assemble import House
from relent.config import Redis
from relent.web import create_app
from relent.worker import Lag, Worker


@contextmanager
def with_worker(house: House, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[TestClient, Worker]]:
    """A server whose worker looks when the test says so."""
    made: list[Worker] = []

    def run(self: Worker) -> None:
        made.append(self)

    monkeypatch.setattr(Worker, "run", run)
    with TestClient(create_app(house)) as door:
        yield door, made[0]


def test_whoever_answers_is_alive(door):
    assert door.get("/healthz").json() == {"status": "alive"}


def test_who_has_no_worker_is_ready_when_the_database_answers(door):
    answer = door.get("/readyz")
    assert answer.status_code == 200
    assert answer.json() == {
        "ready": True,
        "why": None,
        "database": "answers",
        "version": HEAD,
        "worker_looked_at": None,
        "tick_lag_seconds": None,
        "braked_since": None,
        "redis": None,
    }


def test_a_worker_that_has_not_looked_yet_is_not_ready_and_says_so(house, monkeypatch):
    with with_worker(house, monkeypatch) as (door, _):
        answer = door.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["why"] == "the worker has not looked yet"


def test_how_long_ago_the_worker_looked_is_told_and_half_a_minute_is_too_long(house, monkeypatch, clock):
    with with_worker(house, monkeypatch) as (door, worker):
        worker.lag = Lag(clock.now())
        clock.pass_(timedelta(seconds=29))
        answer = door.get("/readyz")
        assert (answer.status_code, answer.json()["tick_lag_seconds"]) == (200, 29)
        assert answer.json()["worker_looked_at"] == "2026-03-02T09:00:00.000Z"

        clock.pass_(timedelta(seconds=2))
        answer = door.get("/readyz")
        assert (answer.status_code, answer.json()["tick_lag_seconds"]) == (503, 31)
        assert answer.json()["why"] == "the worker has not looked for 31 seconds"


def test_a_brake_is_told_and_answers_are_still_heard(door, store, clock):
    with store.transaction(clock.now(), "a test") as ledger:
        ledger.watch.brake("sam@acme.example says so")

    answer = door.get("/readyz")
    assert answer.status_code == 200
    assert answer.json()["braked_since"] == "2026-03-02T09:00:00.000Z"
    assert "acme" not in answer.text  # why is for whoever asks `relent status`


def test_a_database_that_is_away_is_told(house, monkeypatch):
    def away(*_: object) -> None:
        raise OperationalError("SELECT", {}, Exception("the password is sesame"))

    with TestClient(create_app(house, with_worker=False)) as door:
        monkeypatch.setattr(Store, "reading", away)
        answer = door.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["why"] == "the database does not answer"
    assert "sesame" not in answer.text


def test_a_database_of_another_version_is_not_ours_to_write_to(house, monkeypatch):
    monkeypatch.setattr("relent.health.version_of", lambda store: "9999")
    with TestClient(create_app(house, with_worker=False)) as door:
        answer = door.get("/readyz")
    assert answer.status_code == 503
    assert "9999" in answer.json()["why"]


def test_a_database_that_has_moved_away_takes_nothing_and_says_so(door, store, clock):
    with store.transaction(clock.now(), "a test") as ledger:
        ledger.lineage.close("postgresql://db.acme.example/relent", None)
    try:
        answer = door.get("/readyz")
        assert answer.status_code == 503
        assert answer.json()["why"] == "everything here has moved to another database"
        assert "acme" not in answer.text
    finally:
        with store.transaction(clock.now(), "a test") as ledger:
            ledger.lineage.reopen()


@pytest.mark.parametrize(("answers", "told"), [(True, "answers"), (False, "does not answer")])
def test_without_redis_things_take_longer_and_that_is_all(house, answers, told):
    with TestClient(create_app(replace(house, redis_answers=lambda: answers), with_worker=False)) as door:
        answer = door.get("/readyz")
    assert (answer.status_code, answer.json()["redis"]) == (200, told)


def test_a_redis_that_froze_keeps_nobody_waiting_and_is_asked_once(house, own_redis):
    config = house.config.model_copy(update={"redis": Redis(url=SecretStr(own_redis.url))})
    with TestClient(create_app(replace(house, config=config), with_worker=False)) as door:
        assert door.get("/readyz").json()["redis"] == "answers"
        own_redis.freeze()
        time.sleep(0.1)  # what was seen just now is believed for a moment
        begun = time.monotonic()
        answers = [door.get("/readyz") for _ in range(2)]
        assert time.monotonic() - begun < 3
    assert {(each.status_code, each.json()["redis"]) for each in answers} == {(200, "does not answer")}
