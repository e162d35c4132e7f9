"""One writer for all who wait: whoever comes while it writes is written down next, all of them in one commit.

A commit that is safe from a power loss costs the same for one answer as for two hundred. Nobody lingers: the commit at
hand is what the next ones gather behind. A queue that is full says so at once, since who is told "later" will come again.
"""

import logging
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Condition, Thread
from time import monotonic
from typing import Generic, TypeVar

from engine.chorus import Heard, Said, hear_alone, hear_together
from engine.errors import Overwhelmed
from engine.seams import Clock
from engine.store import Store

log = logging.getLogger("relent.scribe")

T = TypeVar("T")

_AT_ONCE = 256
_MOST_WAITING = 4096
_HANDS = 8  #: for those that are heard alone, on a database in which they may have to wait


@dataclass(frozen=True, slots=True)
class Entry(Generic[T]):
    """What was said, and whom to tell when it is safe."""

    said: Said
    ticket: T
    since: float


class Scribe(Generic[T]):
    """Writes down what was said, in the order in which it came, and says of whole batches when they are safe."""

    def __init__(
        self, *, store: Store, clock: Clock, tell: Callable[[Sequence[tuple[T, Heard]]], None]
    ) -> None:
        self._store = store
        self._clock = clock
        self._tell = tell
        self._waiting: deque[Entry[T]] = deque()
        self._news = Condition()
        self._thread: Thread | None = None
        self._enough = False
        self._hands = ThreadPoolExecutor(_HANDS, "relent-listener")

    def write(self, said: Said, ticket: T) -> None:
        """Raises Overwhelmed when too many wait already."""
        with self._news:
            if len(self._waiting) >= _MOST_WAITING:
                raise Overwhelmed
            self._waiting.append(Entry(said, ticket, monotonic()))
            if self._thread is None:
                self._begin()
            elif len(self._waiting) == 1:
                self._news.notify()

    def behind(self) -> float:
        """For how many seconds the first of those who wait has waited."""
        with self._news:
            return monotonic() - self._waiting[0].since if self._waiting else 0.0

    def close(self) -> None:
        """Whoever has come is still written down."""
        with self._news:
            self._enough = True
            thread, self._thread = self._thread, None
            self._news.notify_all()
        if thread is not None:
            thread.join()
        self._hands.shutdown()

    def _begin(self) -> None:
        self._enough = False
        self._thread = Thread(target=self._run, name="relent-scribe", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while batch := self._next():
            self._hear(batch)

    def _next(self) -> list[Entry[T]]:
        """All who wait. Nobody: it is over."""
        with self._news:
            while not self._waiting and not self._enough:
                self._news.wait()
            return [self._waiting.popleft() for _ in range(min(len(self._waiting), _AT_ONCE))]

    def _hear(self, batch: list[Entry[T]]) -> None:
        try:
            heard = hear_together([each.said for each in batch], store=self._store, clock=self._clock)
        except Exception as error:  # noqa: BLE001 (a writer that is gone writes nobody down)
            heard = [error] * len(batch)
        safe = [(each.ticket, found) for each, found in zip(batch, heard, strict=True) if found is not None]
        if safe:
            self._tell(safe)
        for each, found in zip(batch, heard, strict=True):
            if found is None:
                self._hands.submit(self._hear_alone, each)

    def _hear_alone(self, entry: Entry[T]) -> None:
        self._tell([(entry.ticket, hear_alone(entry.said, store=self._store, clock=self._clock))])
