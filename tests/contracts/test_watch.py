"""What the watch keeps in every database: the brake, signs of life, and whose turn it is."""

from datetime import timedelta
from threading import Thread

import pytest
from sqlalchemy import update

from engine.settle import INSIDE
from engine.store.tables import draft
from tests.makers import enrolled, sequence


@pytest.fixture
def watch(store, clock):
    """One deed, in a transaction of its own."""

    def do(deed, by="a test"):
        with store.transaction(clock.now(), by) as ledger:
            return deed(ledger.watch)

    return do


def test_a_brake_is_taken_off_by_whoever_may(watch, clock):
    assert watch(lambda w: w.brake("canary: too slow"))
    assert not watch(lambda w: w.brake("again"))
    assert not watch(lambda w: w.release("well again", only="watch: "))
    assert watch(lambda w: w.braked()).why == "canary: too slow"
    assert watch(lambda w: w.released_at()) is None
    assert watch(lambda w: w.release("well again", only="canary: "))
    assert watch(lambda w: w.braked()) is None
    assert not watch(lambda w: w.release("nobody stands on it"))


def test_what_was_known_is_known_to_a_human_who_releases_and_to_nobody_else(watch, clock):
    watch(lambda w: w.brake("canary: too slow"))
    watch(lambda w: w.release("well again", only="canary: "))
    assert watch(lambda w: w.released_at()) is None
    watch(lambda w: w.brake("canary: too slow"))
    watch(lambda w: w.release("a human says so"))
    assert watch(lambda w: w.released_at()) == clock.now()


def test_nobody_releases_a_reason_that_only_looks_alike(watch):
    watch(lambda w: w.brake("by hand: canary: %"))
    assert not watch(lambda w: w.release("", only="canary: "))
    assert not watch(lambda w: w.release("", only="%"))
    assert watch(lambda w: w.release("", only="by hand: "))


def test_a_sign_is_the_latest_and_old_ones_fade(watch, clock):
    watch(lambda w: w.sign("worker/one", busy=True))
    clock.pass_(timedelta(minutes=1))
    watch(lambda w: w.sign("worker/two", busy=False))
    watch(lambda w: w.sign("drift", lost=0))
    assert watch(lambda w: w.last("worker/one")).says == {"busy": True}
    watch(lambda w: w.fade("worker/", clock.now()))
    assert [sign.name for sign in watch(lambda w: w.signs())] == ["drift", "worker/two"]
    assert watch(lambda w: w.last("worker/one")) is None


def test_of_many_who_ask_one_has_its_turn(store, clock, watch):
    asked = []

    def ask():
        with store.transaction(clock.now(), "a test") as ledger:
            asked.append(ledger.watch.turn("sweep", timedelta(minutes=5)))

    for expected in (1, 1):
        hands = [Thread(target=ask) for _ in range(4)]
        for hand in hands:
            hand.start()
        for hand in hands:
            hand.join()
        assert asked.count(True) == expected
        asked.clear()
        clock.pass_(timedelta(minutes=5))


def test_a_clock_that_was_set_back_keeps_nobody_from_their_turn(clock, watch):
    assert watch(lambda w: w.turn("sweep", timedelta(minutes=5)))
    clock.pass_(-timedelta(minutes=4))
    assert not watch(lambda w: w.turn("sweep", timedelta(minutes=5)))
    clock.pass_(-timedelta(days=4))
    assert watch(lambda w: w.turn("sweep", timedelta(minutes=5)))


def test_the_first_letter_after_a_moment_is_found_among_all_inboxes(store, clock, watch):
    began = clock.now()
    for number, (inbox, carrier, minutes) in enumerate(
        [("sam@acme.example", "smtp", -1), ("sam@acme.example", INSIDE, 1), ("kim@acme.example", "smtp", 3)]
    ):
        one = enrolled(store, began, f"p{number}@x.example", sequence(**{"from": inbox}))
        with store.database.begin() as db:
            db.execute(
                update(draft)
                .where(draft.c.enrollment_id == one)
                .values(gate_at=began + timedelta(minutes=minutes), carrier=carrier, state="sent")
            )
    found = watch(lambda w: w.first_letter_after(began, but_not_by=INSIDE))
    assert found == began + timedelta(minutes=3)
    assert watch(lambda w: w.first_letter_after(found, but_not_by=INSIDE)) is None
