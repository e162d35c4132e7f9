"""What people may do in a simulation: who answers, who is away, whose letter bounces; always the same for one seed."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from engine.foresee import Deed, Life
from engine.limits import share_of_chance
from engine.render import holds
from engine.sequence import Step
from engine.wording import Known, chosen

_FASTEST, _SLOWEST = timedelta(minutes=10), timedelta(days=3)
_LONGEST_HOLIDAY = 14


@dataclass(frozen=True, slots=True, kw_only=True)
class Chances:
    """Shares of all people, and the seed that decides who they are.

    Each is drawn from the seed and the address alone, so nobody's fate depends on who else is in the list.

    - Of those who answer, half as many answer each letter as the one before it: the first gets the most answers. An
      answer takes from ten minutes to three days, half of them less than four hours.
    - Who is away says so a minute after the first letter, and is back one to fourteen days later.
    - Who bounces does so within ten minutes of the first letter.
    """

    replies: float = 0.08
    ooo: float = 0.03
    bounces: float = 0.02
    seed: int = 7


class Fate:
    """Who answers what, and when."""

    def __init__(self, chances: Chances, steps: tuple[Step, ...]) -> None:
        self._chances, self._steps = chances, steps
        self._answers: dict[str, int] = {}  #: by person, which of their letters they will answer

    def after(self, life: Life, at: datetime) -> Iterator[Deed]:
        """What comes of the letter that has just left."""
        person, chances, number = life.enrollment.contact, self._chances, len(life.history.said)
        if number == 1:
            if self._draw(person, "bounces") < chances.bounces:
                yield Deed(at=at + self._draw(person, "bounce") * _FASTEST, kind="bounce")
                return
            if self._draw(person, "ooo") < chances.ooo:
                yield self._away(life, at)
            if self._draw(person, "replies") < chances.replies:
                self._answers[person] = self._which(life)
        if self._answers.get(person) == number:
            yield Deed(at=at + self._delay(person), kind="reply")

    def _draw(self, person: str, what: str) -> float:
        return share_of_chance(f"{self._chances.seed}/{person}/{what}")

    def _delay(self, person: str) -> timedelta:
        return timedelta(
            seconds=round(_FASTEST.total_seconds() * (_SLOWEST / _FASTEST) ** self._draw(person, "delay"))
        )

    def _away(self, life: Life, at: datetime) -> Deed:
        days = 1 + int(_LONGEST_HOLIDAY * self._draw(life.enrollment.contact, "absence"))
        at += timedelta(minutes=1)
        today = at.astimezone(life.reader.calendar.zone).date()
        return Deed(at=at, kind="out_of_office", back=today + timedelta(days=days))

    def _which(self, life: Life) -> int:
        letters = max(_letters_ahead(self._steps, life.reader.known), 1)
        weights = [2.0**-number for number in range(letters)]
        drawn = self._draw(life.enrollment.contact, "which") * sum(weights)
        for number, weight in enumerate(weights, start=1):
            drawn -= weight
            if drawn < 0:
                return number
        return letters


def _letters_ahead(steps: tuple[Step, ...], known: Known) -> int:
    """How many this person gets if nothing that is waited for ever comes; here it never does."""
    number = 0
    for step in steps:
        if step.when is not None and not holds(step.when, known):
            continue
        if step.kind == "mail":
            number += 1
        elif step.kind == "choose":
            number += _letters_ahead(chosen(step, known), known)
        elif step.kind == "wait_for":
            number += _letters_ahead(step.otherwise, known)
    return number
