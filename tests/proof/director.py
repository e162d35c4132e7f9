"""Every schedule of some stories: all situations into which they can come, and every step out of each of them.

What a step does depends on what its story has been told and on what stands in the database, so where both are alike it is
taken once. Two situations that are alike in everything that can still matter are one: that is what keeps thousands of
schedules to hundreds of steps.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from tests.proof.oracle import Broken, Oracle
from tests.proof.rooms import Content, Room
from tests.proof.stage import Stage, Standing, Told

_THE_LAST = 1000  #: no transaction has so many statements


@dataclass(frozen=True, slots=True)
class Situation:
    """Everything on which it depends what can still happen."""

    content: Content
    standings: tuple[Standing, ...]
    oracle: Oracle

    @property
    def key(self) -> object:
        places = tuple((each.gone or each.at, each.mind, each.waits) for each in self.standings)
        return self.content.essence, places, self.oracle

    @property
    def dead(self) -> set[str]:
        return {each.name for each in self.standings if each.gone == "dead"}

    def then(self, content: Content, moved: dict[int, Standing], told: Told) -> "Situation":
        """Whoever waited for somebody to move may move again, but for those who have just moved."""
        standings = [
            moved.get(number) or replace(each, waits=False) for number, each in enumerate(self.standings)
        ]
        return Situation(content, tuple(standings), self.oracle.hears(told))


@dataclass(slots=True)
class Explored:
    """How much there was."""

    schedules: int = 0
    situations: int = 0
    steps: int = 0
    overlaps: int = 0

    def __str__(self) -> str:
        counted = f"{self.schedules:,} schedules, {self.situations:,} situations, {self.steps:,} steps played"
        return f"{counted}, {self.overlaps:,} of two at once" if self.overlaps else counted


@dataclass(slots=True, kw_only=True)
class Director:
    """`interrupted`: after which statements of a transaction somebody else comes in its midst; None: after none."""

    room: Room
    stage: Stage
    mortal: frozenset[str]
    finish: Callable[[Situation], None]
    interrupted: tuple[int, ...] | None = None
    here: Situation | None = None
    explored: Explored = field(default_factory=Explored)
    _after: dict[object, list[object]] = field(default_factory=dict)
    _taken: dict[object, Any] = field(default_factory=dict)
    _there: Content | None = None
    _choice: str = ""

    def explore(self) -> Explored:
        """Raises Broken, with the schedule that led there."""
        with self.stage.set_up():
            standings = tuple(map(self.stage.beginning, self.stage.stories))
            begin = Situation(self.room.look(), standings, Oracle())
            self._walk(begin)
        self.explored.situations = len(self._after)
        self.explored.schedules = self._ways(begin.key, {})
        return self.explored

    def _walk(self, begin: Situation) -> None:
        todo: list[tuple[Situation, tuple[str, ...]]] = [(begin, ())]
        self._after[begin.key] = []
        while todo:
            here, way = todo.pop()
            self.here = here
            try:
                for choice, there in self._onwards(here):
                    self._after[here.key].append(there.key)
                    if there.key not in self._after:
                        self._after[there.key] = []
                        todo.append((there, (*way, choice)))
                if not self._after[here.key]:
                    self._choice = "the end"
                    self._end(here)
            except Broken as broken:
                broken.add_note(", then ".join((*way, self._choice)))
                raise

    def _onwards(self, here: Situation) -> Iterator[tuple[str, Situation]]:
        able = [number for number, each in enumerate(here.standings) if each.may_move]
        for number in able:
            name = self._choice = here.standings[number].name
            yield name, self._step(here, number)
            if name in self.mortal:
                gone = Standing(name, gone="dead")
                yield f"the death of {name}", here.then(here.content, {number: gone}, [])
        writers = [number for number in able if here.standings[number].writes]
        for first in writers if self.interrupted is not None else ():
            for second in writers:
                if first != second:
                    yield from self._overlaps(here, first, second)

    def _step(self, here: Situation, number: int) -> Situation:
        standing = here.standings[number]
        (left, told), content = self._take(here, lambda: self.stage.step(standing), standing)
        return here.then(content, {number: left}, told)

    def _overlaps(self, here: Situation, first: int, second: int) -> Iterator[tuple[str, Situation]]:
        one, other = here.standings[first], here.standings[second]
        for after in (*(self.interrupted or ()), _THE_LAST):
            self._choice = f"{one.name} and in its midst {other.name}"
            found = self._take(
                here, lambda after=after: self.stage.overlap(one, other, after), one, other, after
            )
            (left, told, in_the_middle), content = found
            moved = dict(zip((first, second), left, strict=True))
            yield self._choice, here.then(content, moved, told)
            if not in_the_middle:
                return

    def _take(self, here: Situation, take: Callable[[], Any], *what: Standing | int) -> Any:
        """What comes of it, and what stands in the database then."""
        told = tuple((each.name, each.at, each.mind) if isinstance(each, Standing) else each for each in what)
        key = (told, here.content.essence, tuple(sorted(here.dead)))
        if key not in self._taken:
            self._go_to(here.content)
            self._there = None
            came = take()
            self._there = self.room.look()
            self._taken[key] = came, self._there
            self.explored.overlaps += len(what) > 1
            self.explored.steps += len(what) == 1
        return self._taken[key]

    def _end(self, here: Situation) -> None:
        key = here.content.essence, here.oracle, tuple(sorted(here.dead))
        if key not in self._taken:
            self._go_to(here.content)
            self._there = None
            self._taken[key] = self.finish(here)

    def _go_to(self, content: Content) -> None:
        if self._there is not content:
            self.room.put_back(content)

    def _ways(self, key: object, known: dict[object, int]) -> int:
        """How many lead from here to an end."""
        if key not in known:
            known[key] = sum(self._ways(each, known) for each in self._after[key]) or 1
        return known[key]
