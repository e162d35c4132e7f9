"""How much a share is worth: one of three says less than a hundred of three hundred. Pure."""

from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist

#: How sure a range is meant to be.
SURE = 0.95


@dataclass(frozen=True, slots=True)
class Odds:
    """So many of so many; and between which shares the true one lies, most likely."""

    number: int
    of: int
    low: float
    high: float

    @property
    def share(self) -> float:
        return self.number / self.of if self.of else 0.0

    @property
    def says_nothing(self) -> bool:
        """Nobody was asked yet."""
        return self.of == 0


def odds(number: int, of: int, *, sure: float = SURE) -> Odds:
    """Wilson's interval: it stays between none and all, and is wide where little is known.

    The usual one (share ± so much) says of 0 in 5 that it is 0 % and certain, which nobody who has sent five letters believes.
    Wilson, E. B. (1927): Probable inference, the law of succession, and statistical inference.
    """
    number = max(0, min(number, of))
    if of <= 0:
        return Odds(0, 0, 0.0, 1.0)
    z = NormalDist().inv_cdf((1 + sure) / 2)
    share = number / of
    middle = share + z * z / (2 * of)
    spread = z * sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    below = 1 + z * z / of
    low, high = (middle - spread) / below, (middle + spread) / below
    # at both ends it is exact, and arithmetic is not
    return Odds(number, of, 0.0 if number == 0 else max(0.0, low), 1.0 if number == of else min(1.0, high))
