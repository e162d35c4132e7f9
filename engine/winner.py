"""Which of several ways to say it does best, once that can be told. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist

from engine.sequence import Winner


@dataclass(frozen=True, slots=True)
class Score:
    """How one way has done."""

    variant: str
    sent: int
    won: int

    @property
    def share(self) -> float:
        return self.won / self.sent if self.sent else 0.0


def winner(rule: Winner, scores: Sequence[Score]) -> str | None:
    """The one that beats every other with the confidence asked for. None: nobody can tell yet."""
    if len(scores) < 2 or any(score.sent < rule.min_sent for score in scores):
        return None
    best = max(scores, key=lambda score: score.share)
    others = [score for score in scores if score is not best]
    if all(_confidence(best, other) >= rule.confidence for other in others):
        return best.variant
    return None


def _confidence(best: Score, other: Score) -> float:
    """That the one is really better than the other: a test of two shares."""
    together = (best.won + other.won) / (best.sent + other.sent)
    spread = sqrt(together * (1 - together) * (1 / best.sent + 1 / other.sent))
    return NormalDist().cdf((best.share - other.share) / spread) if spread else 0.0
