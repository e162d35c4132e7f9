"""A share is told with what it is worth."""

import pytest
from hypothesis import given
from hypothesis import strategies as some

from engine.odds import odds


@pytest.mark.parametrize(
    ("number", "of", "low", "high"),
    [  # as R's prop.test(number, of, correct = FALSE) has them
        (0, 10, 0.0, 0.2775),
        (1, 10, 0.0179, 0.4042),
        (5, 10, 0.2366, 0.7634),
        (10, 10, 0.7225, 1.0),
        (81, 263, 0.2553, 0.3662),
    ],
)
def test_the_range_is_the_one_of_the_books(number, of, low, high):
    told = odds(number, of)

    assert told.low == pytest.approx(low, abs=1e-4)
    assert told.high == pytest.approx(high, abs=1e-4)


def test_where_nobody_was_asked_everything_is_possible():
    told = odds(0, 0)

    assert told.says_nothing
    assert (told.low, told.share, told.high) == (0.0, 0.0, 1.0)


def test_more_letters_say_more():
    few, many = odds(3, 30), odds(300, 3000)

    assert few.share == many.share
    assert few.low < many.low < many.high < few.high


def test_whoever_wants_to_be_surer_gets_a_wider_range():
    assert odds(5, 40, sure=0.99).low < odds(5, 40).low < odds(5, 40).high < odds(5, 40, sure=0.99).high


@given(some.integers(0, 10**7), some.integers(1, 10**7))
def test_the_range_holds_the_share_and_nothing_impossible(number, of):
    told = odds(number, of)

    assert 0.0 <= told.low <= told.share <= told.high <= 1.0
