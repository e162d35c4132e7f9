"""Real stories, a step at a time, out of any situation into which they can come.

A story stands still wherever somebody else could come between: before each of its transactions and looks, and before its
dot. From there it takes one step, up to the next such place, for real: in a database that holds exactly what it held in
that situation. To be brought there, it is played from its beginning and told the answers that it was given on its way.
So a step costs what the step costs, and not what led to it; and what a story will do depends on nothing but what it
has been told, and what stands in the database.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import datetime
from time import monotonic
from types import FunctionType, MethodType
from typing import Any

from sqlalchemy import Connection, event

from engine.sequence import Sequence
from engine.store.moves import Desk
from tests.proof.rooms import Room

_PATIENCE = 30.0
_LOOK_EVERY = 0.01
_THE_MIDDLE, _THE_COMMIT = "in mid-transaction", "before its commit"
_MORE, _A_WHILE = "more is asked of it", "it lasts a while"
_ASKING = (Connection, Desk, FunctionType, MethodType)

#: What happened at one instant, and to what: see tests/proof/oracle.py.
Told = list[tuple[str, str]]


class Again(Exception):
    """The story goes back to its beginning, and waits until somebody else has moved."""


class _Struck(BaseException):
    """It is brought no further: nothing of it runs any more."""


@dataclass(slots=True)
class _Lines:
    """What one transaction was told, in order."""

    answers: list[Any] = field(default_factory=list)
    known: dict[str, Any] = field(default_factory=dict)  #: what it only had to look at

    def __repr__(self) -> str:
        return repr(self.answers)


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a story stands, and what it has been told."""

    name: str
    at: str = ""
    heard: tuple[_Lines | str, ...] = ()
    mind: int = 0  #: what it has been told, as a hash
    waits: bool = False
    gone: str = ""  #: over, or dead

    @property
    def may_move(self) -> bool:
        return not (self.waits or self.gone)

    @property
    def writes(self) -> bool:
        """Its next step is a transaction that somebody else's may overlap."""
        return self.may_move and self.at.startswith(_BEGINS)


_BEGINS, _LOOKS = "before a transaction of ", "before a look"


@dataclass(slots=True, eq=False)
class _Actor:
    """A story, while it is brought somewhere and takes a step."""

    name: str
    recites: deque[_Lines | str]
    heard: list[_Lines | str]
    stops_after: int | None = None  #: so many statements; and before its commit in any case
    live: bool = False  #: it has come to where it stood
    at: str = ""
    stands: bool = False
    over: bool = False
    again: bool = False
    struck: bool = False
    names: int = 0
    backend: int | None = None  #: whom to ask the database about
    error: BaseException | None = None
    told: Told = field(default_factory=list)
    go: threading.Event = field(default_factory=threading.Event)


class Stage:
    """Stories by their names, and one database for all of them."""

    def __init__(self, room: Room, stories: Mapping[str, Callable[[], object]]) -> None:
        self._room, self.stories = room, stories
        self._here = threading.local()
        self._moved = threading.Condition()
        self._transaction, self._reading = room.store.transaction, room.store.reading

    @contextmanager
    def set_up(self) -> Iterator[None]:
        store: Any = self._room.store
        store.transaction, store.reading = self._one_at_a_time, self._one_look
        event.listen(store.database, "after_cursor_execute", self._one_statement)
        try:
            yield
        finally:
            store.transaction, store.reading = self._transaction, self._reading
            event.remove(store.database, "after_cursor_execute", self._one_statement)

    # --- for whoever directs ---

    def beginning(self, name: str) -> Standing:
        return self._leave(self._bring(Standing(name)))

    def step(self, standing: Standing) -> tuple[Standing, Told]:
        """Up to the next place; and what it told on its way there."""
        actor = self._bring(standing)
        self._let_go(actor)
        return self._leave(actor), actor.told

    def overlap(
        self, first: Standing, second: Standing, after: int
    ) -> tuple[tuple[Standing, Standing], Told, bool]:
        """The first stands still in mid-transaction, after so many statements, and the second takes its whole step.

        Unless the database makes it wait for the first. False: that had fewer statements, and stood before its commit.
        """
        one, other = self._bring(first), self._bring(second)
        one.stops_after = after
        self._let_go(one)
        in_the_middle, told = one.at == _THE_MIDDLE, list(one.told)
        free = self._let_go(other, but_for=one)
        one.stops_after = None
        if one.at in (_THE_MIDDLE, _THE_COMMIT):
            self._let_go(one)
        if not free:
            self._until_it_stands(other)
        told += other.told + one.told[len(told) :]
        return (self._leave(one), self._leave(other)), told, in_the_middle

    def _bring(self, standing: Standing) -> _Actor:
        actor = _Actor(standing.name, deque(standing.heard), list(standing.heard))
        threading.Thread(target=self._play, args=(actor,), daemon=True, name=standing.name).start()
        self._until_it_stands(actor)
        assert not standing.heard or actor.at == standing.at, f"{actor.at}, and not {standing.at}"
        return actor

    def _let_go(self, actor: _Actor, *, but_for: _Actor | None = None) -> bool:
        """Up to the next place. False: the database makes it wait for that other one."""
        with self._moved:
            actor.stands, actor.live = False, True
        actor.go.set()
        return self._until_it_stands(actor, but_for)

    def _until_it_stands(self, actor: _Actor, but_for: _Actor | None = None) -> bool:
        until = monotonic() + _PATIENCE
        with self._moved:
            while not self._moved.wait_for(lambda: actor.stands or actor.over, _LOOK_EVERY):
                if but_for and self._room.waits(actor.backend, but_for.backend):
                    return False
                assert monotonic() < until, f"{actor.name} stands nowhere after {actor.at}"
        if actor.error is not None:
            raise actor.error
        return True

    def _leave(self, actor: _Actor) -> Standing:
        """It goes no further; but it can be brought here again."""
        if actor.again:
            return Standing(actor.name, "before it begins again", waits=True)
        if actor.over:
            return Standing(actor.name, gone="over")
        actor.struck = True
        actor.go.set()
        return Standing(actor.name, actor.at, tuple(actor.heard), hash(repr(actor.heard)))

    # --- for whoever plays ---

    def tell(self, what: str, about: str) -> None:
        """Something left, or was acknowledged, at this very instant."""
        if self._here.actor.live:
            self._here.actor.told.append((what, about))

    def pause(self, where: str) -> None:
        """Somebody else may be next."""
        actor = self._here.actor
        if actor.recites:
            assert actor.recites.popleft() == where
        else:
            self._stand(actor, where)
            actor.heard.append(where)

    def whose(self) -> str:
        """Whose thread this is."""
        actor = getattr(self._here, "actor", None)
        return actor.name if actor else "the director"

    def new_name(self) -> str:
        """Whenever a story comes to this place it is the same."""
        if (actor := getattr(self._here, "actor", None)) is None:
            return "the director's"
        actor.names += 1
        return f"{actor.name} {actor.names}"

    # --- in the wings ---

    def _play(self, actor: _Actor) -> None:
        self._here.actor = actor
        try:
            self.stories[actor.name]()
        except Again:
            actor.again = True
        except _Struck:
            pass
        except BaseException as error:  # noqa: BLE001 (whoever directs raises it again)
            actor.error = error
        with self._moved:
            actor.over = True
            self._moved.notify_all()

    def _stand(self, actor: _Actor, where: str) -> None:
        if actor.struck:  # it does not tidy up either
            raise _Struck
        with self._moved:
            actor.at, actor.stands = where, True
            self._moved.notify_all()
        actor.go.wait()
        actor.go.clear()
        if actor.struck:
            raise _Struck

    @contextmanager
    def _one_at_a_time(self, now: datetime, by: str, **more: Any) -> Iterator[Any]:
        with self._told(f"{_BEGINS}{by}", lambda: self._transaction(now, by, **more)) as ledger:
            yield ledger

    @contextmanager
    def _one_look(self, now: datetime) -> Iterator[Any]:
        with self._told(_LOOKS, lambda: self._reading(now)) as ledger:
            yield ledger

    @contextmanager
    def _told(self, where: str, begin: Callable[[], Any]) -> Iterator[Any]:
        """The database answers; or, on the way to where it stood, the story is told what it was told then."""
        actor = getattr(self._here, "actor", None)
        if actor is None:
            with begin() as ledger:
                yield ledger
        elif actor.recites:
            yield _Reciting(actor.recites.popleft())
        else:
            self._stand(actor, where)
            lines = _Lines()
            with begin() as ledger:
                actor.backend = self._room.backend(ledger)
                yield _Listening(ledger, lines)
                if actor.stops_after is not None:
                    self._stand(actor, _THE_COMMIT)
            actor.backend = None
            actor.heard.append(lines)

    def _one_statement(self, *_: Any) -> None:
        actor = getattr(self._here, "actor", None)
        if actor is not None and actor.stops_after is not None:
            actor.stops_after -= 1
            if actor.stops_after == 0:
                self._stand(actor, _THE_MIDDLE)


class _Listening:
    """A ledger, or a shelf of it, whose answers are written down."""

    def __init__(self, of: Any, lines: _Lines) -> None:
        self._of, self._lines = of, lines

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._of, name)
        if callable(found):
            return lambda *args, **kwargs: self._ask(found, args, kwargs)
        if _is_plain(found):
            self._lines.known[name] = found
            return found
        return _Listening(found, self._lines)

    def _ask(self, method: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        try:
            answer = method(*args, **kwargs)
        except Exception as error:
            self._lines.answers.append(error)
            raise
        if hasattr(answer, "__enter__"):
            self._lines.answers.append(_A_WHILE)
            return answer
        if isinstance(answer, Iterator):
            answer = list(answer)
        plain = _is_plain(answer)
        self._lines.answers.append(answer if plain else _MORE)
        return answer if plain else _Listening(answer, self._lines)


class _Reciting:
    """The same answers again."""

    def __init__(self, lines: Any) -> None:
        self._known, self._answers = lines.known, deque(lines.answers)

    def __getattr__(self, name: str) -> Any:
        return self._known.get(name, self)

    def __call__(self, *_: Any, **__: Any) -> Any:
        answer = self._answers.popleft()
        if isinstance(answer, Exception):
            raise answer
        if answer is _A_WHILE:
            return nullcontext()
        return self if answer is _MORE else answer


def _is_plain(value: Any) -> bool:
    """A record, or a number: whatever one wants to know of it is no question to the database."""
    if isinstance(value, str | int | Sequence):
        return True
    if is_dataclass(value):
        return not any(isinstance(getattr(value, each.name, None), _ASKING) for each in fields(value))
    return not type(value).__module__.startswith("engine.")
