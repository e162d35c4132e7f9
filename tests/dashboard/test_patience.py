"""How often somebody may try a password."""

from datetime import timedelta

import pytest

from dashboard.patience import Patience, Slower, place
from tests.doubles import MONDAY


def tries(patience, count, *, email="ada@acme.example", address="10.0.0.1", at=MONDAY):
    """How many of them are looked at."""
    done = 0
    for number in range(count):
        try:
            patience.take(email.format(number), address, at)
        except Slower:
            continue
        done += 1
    return done


def test_one_address_is_tried_six_times_and_then_once_a_minute():
    patience = Patience()

    assert tries(patience, 10) == 6
    assert tries(patience, 10, at=MONDAY + timedelta(seconds=59)) == 0
    assert tries(patience, 10, at=MONDAY + timedelta(seconds=61)) == 1
    assert tries(patience, 10, at=MONDAY + timedelta(hours=1)) == 6


def test_from_everywhere_together_one_address_is_tried_thirty_times_and_a_hundred_in_an_hour():
    patience = Patience()
    hour = [
        sum(
            tries(patience, 1, address=f"10.0.{minute}.{n}", at=MONDAY + timedelta(minutes=minute))
            for n in range(40)
        )
        for minute in range(60)
    ]

    assert hour[0] == 30
    assert sum(hour) <= 102


def test_who_mistypes_somebody_elses_password_for_hours_does_not_keep_them_out():
    patience = Patience()
    for second in range(0, 4 * 3600, 5):
        tries(patience, 1, address="10.6.6.6", at=MONDAY + timedelta(seconds=second))

    assert tries(patience, 1, address="10.6.6.6", at=MONDAY + timedelta(hours=4, seconds=-1)) == 0
    assert tries(patience, 6, at=MONDAY + timedelta(hours=4)) == 6


def test_one_place_tries_thirty_addresses():
    patience = Patience()

    assert tries(patience, 50, email="p{}@acme.example") == 30
    assert tries(patience, 1, email="new@acme.example", address="10.0.0.2") == 1


def test_whoever_has_a_network_of_ipv6_is_one_place():
    assert place("2001:db8:1:2::1") == place("2001:db8:1:2:ffff::7")
    assert place("2001:db8:1:2::1") != place("2001:db8:1:3::1")
    assert place("unix") == "unix"


def test_an_office_that_signs_in_in_the_morning_is_not_slowed_down():
    patience = Patience()
    for number in range(100):
        patience.take(f"p{number}@acme.example", "10.0.0.1", MONDAY)
        patience.forgive(f"p{number}@acme.example", "10.0.0.1", MONDAY)

    assert tries(patience, 50, email="q{}@acme.example") == 30, "and gains nothing by it"


def test_it_says_how_long_to_wait():
    patience = Patience()
    tries(patience, 6)

    with pytest.raises(Slower, match="try again in 60 seconds") as no:
        patience.take("ada@acme.example", "10.0.0.1", MONDAY)
    assert no.value.after == 60


def test_nobody_fills_our_memory():
    patience = Patience()
    for number in range(15_000):
        tries(patience, 1, email=f"{number}" + "x" * 1000, address=f"10.1.{number // 256}.{number % 256}")

    assert len(patience._left) <= 20_000
    assert max(len(key[1]) for key in patience._left) <= 320


def test_a_clock_that_goes_back_gives_nothing_away():
    patience = Patience()

    assert tries(patience, 10) == 6
    assert tries(patience, 10, at=MONDAY - timedelta(hours=1)) == 0
