"""What is held against everything that happens: a log of what left, and a log of what was acknowledged."""

from collections.abc import Iterable
from dataclasses import dataclass

LEFT, ACKNOWLEDGED = "left", "acknowledged"


class Broken(AssertionError):
    """A promise was broken."""


@dataclass(frozen=True, slots=True)
class Oracle:
    """Whoever tells it something does so at the instant at which it happens."""

    left: tuple[str, ...] = ()  #: letters, in the order in which the mail server took them
    acknowledged: bool = False  #: from here on, none leaves any more

    def hears(self, told: Iterable[tuple[str, str]]) -> "Oracle":
        heard = self
        for what, about in told:
            heard = heard._left(about) if what == LEFT else Oracle(heard.left, True)
        return heard

    def _left(self, letter: str) -> "Oracle":
        if self.acknowledged:
            raise Broken(f"{letter} left after the answer was acknowledged")
        if letter in self.left:
            raise Broken(f"{letter} left twice")
        return Oracle((*self.left, letter), self.acknowledged)
