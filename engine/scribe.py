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
_BYTES_AT_ONCE = 8 * 1024 * 1024  #: a database takes a sentence of so many without complaint
_MOST_WAITING = 4096
_HANDS = 8  #: for those that are heard alone, on a database in which they may have to wait


@dataclass(frozen=True, slots=True, eq=False)
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
        self._waiting: deque[Entry[T]] = deque()  #: nobody has begun with these
        self._untold: dict[Entry[T], None] = {}  #: whoever waits, in the order in which they came
        self._news = Condition()
        self._thread: Thread | None = None
        self._closed = False
        self._hands = ThreadPoolExecutor(_HANDS, "relent-listener")

    def write(self, said: Said, ticket: T) -> None:
        """Raises Overwhelmed when too many wait already, or when nobody is there any more who writes."""
        with self._news:
            if self._closed or len(self._untold) >= _MOST_WAITING:
                raise Overwhelmed
            if self._thread is None or not self._thread.is_alive():
                self._begin()
            entry = Entry(said, ticket, monotonic())
            self._waiting.append(entry)
            self._untold[entry] = None
            if len(self._waiting) == 1:
                self._news.notify()

    def behind(self) -> float:
        """For how many seconds the first of those who wait has waited."""
        with self._news:
            first = next(iter(self._untold), None)
            return monotonic() - first.since if first else 0.0

    def close(self) -> None:
        """Whoever has come is still written down."""
        with self._news:
            self._closed = True
            self._news.notify_all()
        if self._thread is not None:
            self._thread.join()
        self._hands.shutdown()

    def _begin(self) -> None:
        thread = Thread(target=self._run, name="relent-scribe", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # the system gives no more threads
            raise Overwhelmed from error
        self._thread = thread

    def _run(self) -> None:
        while batch := self._next():
            self._hear(batch)

    def _next(self) -> list[Entry[T]]:
        """As many of those who wait as share one commit well. Nobody: it is over."""
        with self._news:
            while not self._waiting and not self._closed:
                self._news.wait()
            batch: list[Entry[T]] = []
            size = 0
            while self._waiting and len(batch) < _AT_ONCE and size < _BYTES_AT_ONCE:
                batch.append(self._waiting.popleft())
                size += len(batch[-1].said.raw)
            return batch

    def _hear(self, batch: list[Entry[T]]) -> None:
        try:
            heard = hear_together([each.said for each in batch], store=self._store, clock=self._clock)
        except Exception as error:  # noqa: BLE001 (a writer that is gone writes nobody down)
            heard = [error] * len(batch)
        both = list(zip(batch, heard, strict=True))
        self._say([(each, found) for each, found in both if found is not None])
        for each, found in both:
            if found is None:
                self._put_aside(each)

    def _put_aside(self, entry: Entry[T]) -> None:
        try:
            self._hands.submit(self._hear_alone, entry)
        except RuntimeError:  # the system gives no more threads
            self._hear_alone(entry)

    def _hear_alone(self, entry: Entry[T]) -> None:
        self._say([(entry, hear_alone(entry.said, store=self._store, clock=self._clock))])

    def _say(self, heard: Sequence[tuple[Entry[T], Heard]]) -> None:
        if not heard:
            return
        with self._news:
            for each, _ in heard:
                del self._untold[each]
        try:
            self._tell([(each.ticket, found) for each, found in heard])
        except Exception:
            log.exception("our own mistake: %d answers are written down, and nobody was told", len(heard))
