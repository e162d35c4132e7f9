"""Numbers that take long to count: whoever asks waits for a moment, and gets the last known one if that is not enough."""

import logging
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime
from threading import Lock, Thread
from time import monotonic
from typing import Any, Generic, TypeVar

log = logging.getLogger("relent.dashboard")

T = TypeVar("T")

#: Seconds. A page has a tenth of one, and does other things besides.
PATIENCE = 0.06

_MOST_NAMES = 512  #: of numbers that are remembered; those nobody has asked for longest are forgotten


@dataclass(frozen=True, slots=True)
class Known(Generic[T]):
    """A number; or the last one known, and when that was."""

    value: T | None  #: None: it was never counted yet
    as_of: datetime | None = None  #: None: it is as it is now


@dataclass(slots=True)
class _Kept:
    """What is known of one number."""

    counting: Future[None] | None = None
    value: Any = None
    counted_at: datetime | None = None
    took: float = 0.0
    ended: float = 0.0
    failed: bool = False  #: the last time


class Counted:
    """One count of a thing at a time, each in a thread of its own: a page that is asked for again does not count again."""

    def __init__(
        self,
        *,
        now: Callable[[], datetime],
        patience: float | None = None,
        rest: float = 30.0,
        elapsed: Callable[[], float] = monotonic,
    ) -> None:
        self._patience = PATIENCE if patience is None else patience
        self._rest = rest
        self._elapsed, self._now = elapsed, now
        self._lock = Lock()
        self._over = False
        self._under_way: set[Future[None]] = set()
        self._kept: OrderedDict[str, _Kept] = OrderedDict()

    def see(self, name: str, count: Callable[[], T]) -> Known[T]:
        """Fresh each time while it is quick; of one that was slow the last, and it is counted anew now and then."""
        return self.see_all({name: count})[name]

    def see_all(self, counts: dict[str, Callable[[], T]]) -> dict[str, Known[T]]:
        """Several beside each other, and nobody waits longer for all of them than for one."""
        until = self._elapsed() + self._patience
        under_way = {name: self._begin(name, count) for name, count in counts.items()}
        return {name: self._wait(kept, fresh, until) for name, (kept, fresh) in under_way.items()}

    def close(self) -> None:
        """Before the database is closed: nobody counts in it any more."""
        with self._lock:
            self._over = True
            under_way = list(self._under_way)
        for counting in under_way:
            counting.result()

    def forget(self, *names: str) -> None:
        """Somebody has just changed what they count: the next who asks waits for them, as if they had always been quick."""
        with self._lock:
            for name in names:
                if (kept := self._kept.get(name)) is not None:  # what is under way began before the change
                    self._kept[name] = _Kept(value=kept.value, counted_at=kept.counted_at)

    def _begin(self, name: str, count: Callable[[], Any]) -> tuple[_Kept, Future[None] | None]:
        """What is known, and what is worth waiting for."""
        with self._lock:
            kept = self._kept.setdefault(name, _Kept())
            self._kept.move_to_end(name)
            while len(self._kept) > _MOST_NAMES:
                self._kept.popitem(last=False)
            was_slow = kept.took > self._patience
            rests = self._over or (was_slow and self._elapsed() - kept.ended < self._rest)
            if kept.counting is None and not rests:
                kept.counting = Future()
                self._under_way.add(kept.counting)
                # a daemon: nobody who wants to end waits for a number
                asks = (name, kept, kept.counting, count)
                Thread(target=self._count, args=asks, name="relent-counting", daemon=True).start()
            return kept, None if was_slow and kept.counted_at else kept.counting

    def _count(self, name: str, kept: _Kept, counting: Future[None], count: Callable[[], Any]) -> None:
        begun, asked_at = self._elapsed(), self._now()
        failed, value = False, None
        try:
            value = count()
        except Exception:
            log.exception("%s could not be counted", name)
            failed = True
        with self._lock:
            if not failed:
                kept.value, kept.counted_at = value, asked_at
            kept.failed, kept.ended = failed, self._elapsed()
            kept.took, kept.counting = kept.ended - begun, None
            self._under_way.discard(counting)
        counting.set_result(None)

    def _wait(self, kept: _Kept, fresh: Future[None] | None, until: float) -> Known[Any]:
        if fresh is not None:
            try:
                fresh.result(max(until - self._elapsed(), 0.0))
            except TimeoutError:
                return Known(kept.value, kept.counted_at)
            if not kept.failed:
                return Known(kept.value)
        return Known(kept.value, kept.counted_at)
