"""A look for drift costs the same however much there is: it is told in steps of the database's own machine, not in seconds."""

import shutil

import pytest

from engine.enroll import enroll_all, prepare
from engine.model import Prospect
from engine.store import open_store
from tests.doubles import MONDAY
from tests.makers import sequence

AT_MOST = 40
FEW, MANY = 120, 1_200
WALKS = ("drafts", "lives", "labels")


@pytest.fixture(scope="module")
def stores(empty_sqlite, tmp_path_factory):
    """One with few people in it and one with many; SQLite, because it can count its steps."""
    opened = []
    for number in (FEW, MANY):
        path = shutil.copy(empty_sqlite, tmp_path_factory.mktemp("flat") / f"{number}.db")
        opened.append(store := open_store(f"sqlite:///{path}"))
        wants = sequence()
        people = [prepare(Prospect(email=f"p{each}@f{each}.example"), wants) for each in range(number)]
        with store.transaction(MONDAY, "a test") as ledger:
            enroll_all(people, ledger=ledger)
    yield opened
    for store in opened:
        store.close()


def legs(store, walk):
    """The steps of each leg, and how many there are."""
    counted, mark = [], None
    while True:
        with store.reading(MONDAY) as ledger:
            driver = ledger._db.connection.driver_connection
            steps = [0]

            def one_more(steps=steps):
                steps[0] += 1

            driver.set_progress_handler(one_more, 1)
            leg = getattr(ledger.drift, walk)(mark, AT_MOST)
            driver.set_progress_handler(None, 0)
        assert leg.found == []
        counted.append(steps[0])
        mark = leg.next
        if mark is None:
            return counted


@pytest.mark.parametrize("walk", WALKS)
def test_a_leg_costs_the_same_among_few_and_among_many(stores, walk):
    few, many = (legs(store, walk) for store in stores)
    assert len(many) > 4 * len(few)
    assert max(many) <= 1.3 * max(few)


def test_what_is_stuck_or_unmatched_is_found_by_an_index(stores):
    _, store = stores
    with store.reading(MONDAY) as ledger:
        driver = ledger._db.connection.driver_connection
        steps = [0]

        def one_more():
            steps[0] += 1

        driver.set_progress_handler(one_more, 1)
        assert ledger.drift.stuck(MONDAY, MONDAY) == []
        assert ledger.drift.unmatched(MONDAY, None, 100) == ([], None)
        driver.set_progress_handler(None, 0)
    assert steps[0] < 200
