"""How often somebody may try a password: for an address, and from a place. In memory, so each process counts its own."""

import math
from collections import OrderedDict
from datetime import datetime
from ipaddress import ip_address
from threading import Lock

from engine.errors import TooMany

_FOR_AN_ADDRESS = (6.0, 60.0)  #: so many at once, and one more after so many seconds
_FROM_A_PLACE = (30.0, 20.0)  #: a whole office may sit behind one address
_LONGEST = 320  #: letters of an address; whoever writes more of them gets no more room for it
_REMEMBERED = 20_000  #: buckets; who fills more pushes out the oldest, and has long met a limit of their own


class Slower(TooMany):
    """Too many tries."""

    def __init__(self, after: int) -> None:
        super().__init__(after)
        self.args = (f"Too many tries. Nothing was looked at this time: try again in {_in_words(after)}.",)


class Patience:
    """A bucket for every address, and one for every place."""

    def __init__(self) -> None:
        self._left: OrderedDict[tuple[str, str], tuple[float, datetime]] = OrderedDict()
        self._lock = Lock()

    def take(self, email: str, address: str, now: datetime) -> None:
        """One try more, whatever comes of it: many that come at once are many. Raises Slower."""
        buckets = ((("for", email[:_LONGEST]), _FOR_AN_ADDRESS), (("from", place(address)), _FROM_A_PLACE))
        with self._lock:
            if wait := max(self._wait(key, bucket, now) for key, bucket in buckets):
                raise Slower(math.ceil(wait))
            for key, bucket in buckets:
                self._spend(key, bucket, now)

    def forgive(self, email: str, address: str, now: datetime) -> None:
        """It was they: what they mistyped before does not count, and nobody beside them has had one try less."""
        with self._lock:
            self._left.pop(("for", email[:_LONGEST]), None)
            self._spend(("from", place(address)), _FROM_A_PLACE, now, tries=-1)

    def _now_left(self, key: tuple[str, str], bucket: tuple[float, float], now: datetime) -> float:
        left, since = self._left.get(key, (bucket[0], now))
        return min(bucket[0], left + max((now - since).total_seconds(), 0.0) / bucket[1])

    def _wait(self, key: tuple[str, str], bucket: tuple[float, float], now: datetime) -> float:
        left = self._now_left(key, bucket, now)
        return 0.0 if left >= 1 else (1 - left) * bucket[1]

    def _spend(
        self, key: tuple[str, str], bucket: tuple[float, float], now: datetime, tries: int = 1
    ) -> None:
        self._left[key] = self._now_left(key, bucket, now) - tries, now
        self._left.move_to_end(key)
        while len(self._left) > _REMEMBERED:
            self._left.popitem(last=False)


def place(address: str) -> str:
    """Whoever has one address of IPv6 has a whole /64 of them."""
    try:
        found = ip_address(address)
    except ValueError:
        return address
    return address if found.version == 4 else found.exploded[:19]


def _in_words(seconds: int) -> str:
    if seconds < 90:
        return f"{seconds} seconds"
    return f"{math.ceil(seconds / 60)} minutes"
