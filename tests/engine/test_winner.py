"""Which of several ways to say it does best."""

import pytest

from engine.sequence import Winner
from engine.winner import Score, winner

RULE = Winner(min_sent=200, confidence=0.95)


@pytest.mark.parametrize(
    ("scores", "best"),
    [
        ([("a", 200, 30), ("b", 200, 10)], "a"),
        ([("a", 200, 10), ("b", 200, 30)], "b"),
        ([("a", 199, 60), ("b", 200, 10)], None),  # too early
        ([("a", 200, 12), ("b", 200, 10)], None),  # may be chance
        ([("a", 200, 0), ("b", 200, 0)], None),
        ([("a", 200, 200), ("b", 200, 200)], None),
        ([("a", 300, 60), ("b", 300, 20), ("c", 300, 55)], None),  # two good ones
        ([("a", 300, 60), ("b", 300, 20), ("c", 300, 30)], "a"),
        ([("a", 300, 60)], None),
    ],
)
def test_the_best_way_is_known_when_chance_is_no_longer_a_good_explanation(scores, best):
    assert winner(RULE, [Score(*score) for score in scores]) == best
