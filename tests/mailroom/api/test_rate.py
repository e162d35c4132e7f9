"""How often one key may ask."""

import pytest

from engine.errors import TooMany
from mailroom.api.rate import Rate


class Watch:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def watch() -> Watch:
    return Watch()


def taken(rate: Rate, key: str = "key_1") -> int:
    """How many requests go through before one does not."""
    for number in range(1_000):
        try:
            rate.take(key)
        except TooMany:
            return number
    raise AssertionError("there is no end to it")


def test_at_once_it_is_twice_what_it_is_in_a_second(watch: Watch) -> None:
    assert taken(Rate(5, watch)) == 10


def test_after_a_second_so_many_more(watch: Watch) -> None:
    rate = Rate(5, watch)
    taken(rate)
    watch.seconds += 1

    assert taken(rate) == 5


def test_who_is_turned_away_is_told_at_least_a_second(watch: Watch) -> None:
    rate = Rate(5, watch)
    taken(rate)

    with pytest.raises(TooMany) as refusal:
        rate.take("key_1")
    assert refusal.value.after == 1


def test_a_slow_house_says_how_long(watch: Watch) -> None:
    rate = Rate(0.1, watch)
    taken(rate)

    with pytest.raises(TooMany) as refusal:
        rate.take("key_1")
    assert refusal.value.after == 10


def test_being_turned_away_costs_nothing(watch: Watch) -> None:
    rate = Rate(5, watch)
    for _ in range(5):
        taken(rate)
    watch.seconds += 1

    assert taken(rate) == 5


def test_one_key_is_not_the_other(watch: Watch) -> None:
    rate = Rate(5, watch)
    taken(rate)

    assert taken(rate, "key_2") == 10


def test_a_long_rest_is_worth_no_more_than_a_full_bucket(watch: Watch) -> None:
    rate = Rate(5, watch)
    taken(rate)
    watch.seconds += 3600

    assert taken(rate) == 10


def test_a_watch_that_goes_back_gives_nothing(watch: Watch) -> None:
    rate = Rate(5, watch)
    taken(rate)
    watch.seconds -= 3600

    assert taken(rate) == 0
