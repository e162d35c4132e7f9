"""How often one key may ask: so many a second, and twice that at once."""

import math
from collections.abc import Callable
from threading import Lock
from time import monotonic

from engine.errors import TooMany


class Rate:
    """A bucket a key. Only keys that somebody knows have one, so nobody can fill our memory with them."""

    def __init__(self, a_second: float = 200.0, watch: Callable[[], float] = monotonic) -> None:
        self._a_second, self._watch = a_second, watch
        self._buckets: dict[str, tuple[float, float]] = {}  # what is left, and when that was so
        self._lock = Lock()

    def take(self, key_id: str) -> None:
        """One request more. Raises TooMany."""
        with self._lock:
            now = self._watch()
            left, since = self._buckets.get(key_id, (self._most, now))
            left = min(self._most, left + (now - since) * self._a_second)
            self._buckets[key_id] = (max(left - 1, 0) if left >= 1 else left, now)
        if left < 1:
            raise TooMany(max(1, math.ceil((1 - left) / self._a_second)))

    @property
    def _most(self) -> float:
        return max(2 * self._a_second, 1)
