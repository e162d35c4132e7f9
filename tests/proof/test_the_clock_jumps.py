"""Somebody sets the clock of a machine while letters wait, and later sets it right: no burst, no loss, nothing twice.

The clock is virtual, and so is the one that goes on evenly. What the guard says and does at a jump is tried in
tests/relent/test_guard.py; here whole sequences live through it, and one person answers while the clock is wrong.
"""

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest

from engine.react import react
from engine.store import Store
from relent.assemble import House
from relent.guard import Guard
from relent.worker import Worker
from tests.doubles import FrozenClock, MemoryMailbox
from tests.makers import enrolled, pending, people, reply, sequence

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
TEN_YEARS = timedelta(days=3652)
PEOPLE = 6
APART = 2 * HOUR  #: from a letter to the next one
IN_WORDS = {
    HOUR: "an hour ahead",
    -HOUR: "an hour back",
    TEN_YEARS: "ten years ahead",
    -TEN_YEARS: "ten years back",
}


class Days:
    """A house that goes from tick to tick, and remembers how many letters left in each."""

    def __init__(self, house: House, clock: FrozenClock, mailbox: MemoryMailbox) -> None:
        self.clock, self._mailbox, self._seconds = clock, mailbox, 0.0
        # one letter a tick, however long it has been since the last one: nobody saves up
        self._worker = Worker(replace(house, pace=replace(house.pace, rate=30)))
        self._worker.__dict__["_guard"] = Guard(house, lambda: self._seconds)
        self.left: list[tuple[str, str, float]] = []  #: to whom, what, and when by the clock that goes evenly

    def tick(self) -> int:
        self._worker.tick()
        new = self._mailbox.sent[len(self.left) :]
        self.left += [(each.to, each.text.strip(), self._seconds) for each in new]
        return len(new)

    def go_on(self, time: timedelta) -> list[int]:
        """A tick every ten minutes: how many left in each."""
        found = []
        for _ in range(time // (10 * MINUTE)):
            self.clock.pass_(10 * MINUTE)
            self._seconds += 600.0
            found.append(self.tick())
        return found


@pytest.fixture
def days(house: House, clock: FrozenClock, mailbox: MemoryMailbox) -> Days:
    return Days(house, clock, mailbox)


def _braked(store: Store, clock: FrozenClock) -> bool:
    with store.reading(clock.now()) as ledger:
        return ledger.watch.braked() is not None


def _release(store: Store, clock: FrozenClock) -> None:
    with store.transaction(clock.now(), "kim") as ledger:
        ledger.watch.release("the clock is right again")


@pytest.mark.parametrize("jump", IN_WORDS, ids=IN_WORDS.values())
def test_a_clock_that_was_wrong_for_a_while_costs_nobody_a_letter_and_gives_nobody_two(
    house, store, clock, days, jump
):
    words = sequence(
        {"subject": "Hello", "body": "One"},
        {"after": "2h", "body": "Two"},
        {"after": "2h", "body": "Three"},
    )
    for number in range(PEOPLE):
        enrolled(store, clock.now() + number * HOUR / 4, f"p{number}@firm{number}.example", words)
    in_each = days.go_on(HOUR / 3)

    clock.pass_(jump)
    in_each += [days.tick(), *days.go_on(HOUR / 2)]
    while_wrong = sum(in_each[-4:])
    answers = next(each for each in people(store, clock.now()) if each["email"] == "p0@firm0.example")
    said = reply(answers["thread_id"], sender="p0@firm0.example")
    react(said, b"", store=store, clock=clock, pace=house.pace)

    clock.pass_(-jump)
    in_each.append(days.tick())
    # by years: ahead it jumps once, either when it is set wrong or when it is set right
    assert _braked(store, clock) == (abs(jump) == TEN_YEARS)
    if abs(jump) == TEN_YEARS:
        assert while_wrong == 0
        assert sum(days.go_on(HOUR / 2)) == 0
        _release(store, clock)
    for _ in range(10):
        in_each += days.go_on(HOUR) if pending(store, clock.now()) else []

    assert max(in_each) == 1, "letters left in a burst"
    got = Counter((to, text) for to, text, _ in days.left)
    assert set(got.values()) == {1}
    assert {text for to, text in got if to == "p0@firm0.example"} == {"One"}
    assert len(got) == 1 + 3 * (PEOPLE - 1)
    assert pending(store, clock.now()) == []
    assert Counter(each["state"] for each in people(store, clock.now())) == {
        "stopped": 1,
        "finished": PEOPLE - 1,
    }
    _came_apart(days)


def _came_apart(days: Days) -> None:
    """By the clock that goes evenly: a jump of an hour may bring a letter an hour nearer, and not more."""
    came: dict[str, list[float]] = {}
    for to, _, seconds in days.left:
        came.setdefault(to, []).append(seconds)
    waits = [later - before for each in came.values() for before, later in pairwise(each)]
    assert min(waits) >= (APART - HOUR).total_seconds()
