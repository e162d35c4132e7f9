"""What a worker keeps an eye on besides letters: the clock, what needs a human, and the brake."""

import logging
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from sqlalchemy.exc import OperationalError

from engine.errors import NoAnswer
from engine.model import Pace
from relent.assemble import House, SystemClock
from relent.guard import Guard, WrongClock
from relent.worker import Trouble, Worker
from tests.makers import enrolled, pending

DAY = timedelta(days=1)


class Steady:
    """Goes on evenly, when a test says so."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def steady() -> Steady:
    return Steady()


@pytest.fixture
def worker(house: House, steady: Steady) -> Worker:
    worker = Worker(house)
    worker.__dict__["_guard"] = Guard(house, steady)
    return worker


def _brake(house: House) -> str | None:
    with house.store.reading(house.clock.now()) as ledger:
        found = ledger.watch.braked()
    return found and found.why


def _pass(clock, steady, time: timedelta) -> None:
    clock.pass_(time)
    steady.seconds += time.total_seconds()


def test_a_clock_that_goes_evenly_is_no_news(house, clock, steady, caplog):
    guard = Guard(house, steady)
    for time in (timedelta(seconds=1), timedelta(hours=8), 900 * DAY):
        _pass(clock, steady, time)
        assert not guard.jumped()
    assert not caplog.records


@pytest.mark.parametrize("jump", [timedelta(hours=3), timedelta(hours=-3), timedelta(seconds=3), -400 * DAY])
def test_a_clock_that_was_set_is_told_once_and_what_is_due_is_looked_at_anew(
    house, clock, steady, caplog, jump
):
    guard = Guard(house, steady)
    clock.pass_(jump)
    assert guard.jumped()
    assert not guard.jumped()
    assert "the clock of this machine jumped by" in caplog.text
    assert _brake(house) is None


def test_a_clock_that_jumps_by_years_sends_nothing_and_spoils_nothing(
    house, worker, clock, steady, mailbox, store
):
    enrolled(store, clock.now() + DAY)
    worker.tick()
    clock.pass_(366 * DAY)

    worker.tick()

    assert mailbox.sent == []
    assert _brake(house).startswith("the clock of a machine jumped by +366 days")
    assert [draft["state"] for draft in pending(store, clock.now())] == ["scheduled"]
    clock.pass_(-365 * DAY)
    with store.transaction(clock.now(), "kim") as ledger:
        ledger.watch.release("the clock is right again")
    worker.tick()
    assert len(mailbox.sent) == 1


def test_while_the_house_is_braked_nobody_spins(worker, clock, store):
    enrolled(store, clock.now())
    assert worker._until_next() == pytest.approx(0.05)
    with store.transaction(clock.now(), "kim") as ledger:
        ledger.watch.brake("by hand")
    assert worker._until_next() == 1.0


class AheadClock(SystemClock):
    """By ten minutes."""

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(minutes=10)


def test_a_machine_whose_clock_is_not_the_databases_sends_nothing(house, store):
    guard = Guard(replace(house, clock=AheadClock()))
    if store.database.dialect.name == "postgresql":
        with pytest.raises(WrongClock, match=r"is \+0:(10:00|09:59) away from the database's"):
            guard.look()
    else:
        guard.look()  # a file has no clock of its own
    Guard(replace(house, clock=SystemClock())).look()


def test_what_is_uncertain_is_told_now_and_then_and_not_at_every_look(
    house, worker, mailbox, clock, store, caplog, monkeypatch
):
    monkeypatch.setattr("relent.guard._LOOK_EVERY", 0.0)

    def silent(letter):
        raise NoAnswer("no answer to the dot")

    mailbox.after_gate = silent
    enrolled(store, clock.now())
    worker.tick()
    for _ in range(5):
        worker.tick()
    told = [record for record in caplog.records if record.name == "relent.guard"]
    assert len(told) == 1
    assert told[0].levelno == logging.WARNING
    assert "1 draft is uncertain, and not sent again by themselves" in told[0].getMessage()
    [draft] = pending(store, clock.now())
    assert draft["draft_id"] in told[0].getMessage()

    monkeypatch.setattr("relent.guard._REMIND_EVERY", 0.0)
    worker.tick()
    assert len([record for record in caplog.records if record.name == "relent.guard"]) == 2


def test_trouble_is_told_once_while_it_lasts_and_when_it_is_over(caplog):
    caplog.set_level(logging.INFO)
    trouble, full = Trouble(), OperationalError("", {}, Exception("database or disk is full"))
    for _ in range(10):
        trouble.is_there(full)
    trouble.is_there(OperationalError("", {}, Exception("database is locked")))
    trouble.is_over()
    trouble.is_over()
    assert [record.getMessage() for record in caplog.records] == [
        "nothing is sent meanwhile, and tried again each second: "
        "there is no room on the disk of the database: make some",
        "nothing is sent meanwhile, and tried again each second: another process holds the database",
        "letters leave again, after 0 s",
    ]


def test_ten_thousand_at_once_leave_at_the_rate_that_was_set(house, clock, mailbox, store):
    """After a downtime, say. Two workers share the rate, and none of them saves up what it did not use."""
    for number in range(60):
        enrolled(store, clock.now(), f"p{number}@nordic.example")
    slow = replace(house, pace=Pace(gate_deadline=timedelta(seconds=30), rate=30))
    first, second = Worker(slow), Worker(slow)
    clock.pass_(timedelta(hours=5))

    left = []
    for _ in range(60):
        first.tick()
        second.tick()
        left.append(len(mailbox.sent))
        clock.pass_(timedelta(seconds=1))

    assert left[0] <= 1
    assert left[-1] in {30, 31}
    assert all(later - earlier <= 1 for earlier, later in pairwise(left))


def test_a_higher_rate_is_kept_by_the_second_and_a_clock_set_back_does_not_stop_it(
    house, clock, mailbox, store
):
    for number in range(40):
        enrolled(store, clock.now(), f"p{number}@nordic.example")
    worker = Worker(replace(house, pace=Pace(gate_deadline=timedelta(seconds=30), rate=600)))
    worker.tick()
    assert len(mailbox.sent) == 10
    worker.tick()
    assert len(mailbox.sent) == 10
    clock.pass_(timedelta(milliseconds=500))
    worker.tick()
    assert len(mailbox.sent) == 15
    clock.pass_(timedelta(days=365))
    worker.tick()  # what is a year late is held
    clock.pass_(timedelta(days=-365))
    with store.transaction(clock.now(), "a test") as ledger:
        assert ledger.watch.ration(600).letters == 0
    clock.pass_(timedelta(seconds=1))
    with store.transaction(clock.now(), "a test") as ledger:
        assert ledger.watch.ration(600).letters == 10
