"""How often somebody may try a password: for an address, and from a place. In memory, so each process counts its own."""

import math
from collections import OrderedDict
from datetime import datetime
from ipaddress import ip_address
from threading import Lock

from engine.errors import TooMany

_FOR_AN_ADDRESS = (6.0, 60.0)  #: from one place: so many at once, and one more after so many seconds
_IN_ALL = (
    30.0,
    50.0,
)  #: for an address from everywhere; one place alone never uses these up, and locks nobody out
_FROM_A_PLACE = (30.0, 20.0)  #: a whole office may sit behind one address
_LONGEST = 320  #: letters of an address; whoever writes more of them gets no more room for it
_REMEMBERED = 20_000  #: buckets; who fills more pushes out the oldest, and has long met a limit of their own


class Slower(TooMany):
    """Too many tries."""

    def __init__(self, after: int) -> None:
        super().__init__(after)
        self.args = (f"Too many tries. Nothing was looked at this time: try again in {_in_words(after)}.",)


_Key = tuple[str, str]
_Bucket = tuple[float, float]


class Patience:
    """Buckets: for every address, for it from every place, and for every place."""

    def __init__(self) -> None:
        self._left: OrderedDict[_Key, tuple[float, datetime]] = OrderedDict()
        self._lock = Lock()

    def take(self, email: str, address: str, now: datetime) -> None:
        """One try more, whatever comes of it: many that come at once are many. Raises Slower."""
        buckets = _buckets(email, address)
        with self._lock:
            if wait := max(self._wait(key, bucket, now) for key, bucket in buckets.items()):
                raise Slower(math.ceil(wait))
            for key, bucket in buckets.items():
                self._spend(key, bucket, now)

    def forgive(self, email: str, address: str, now: datetime) -> None:
        """It was they: what they mistyped before does not count, and nobody beside them has had one try less."""
        here, *others = _buckets(email, address).items()
        with self._lock:
            self._left.pop(here[0], None)
            for key, bucket in others:
                self._spend(key, bucket, now, tries=-1)

    def _now_left(self, key: _Key, bucket: _Bucket, now: datetime) -> float:
        left, since = self._left.get(key, (bucket[0], now))
        return min(bucket[0], left + max((now - since).total_seconds(), 0.0) / bucket[1])

    def _wait(self, key: _Key, bucket: _Bucket, now: datetime) -> float:
        left = self._now_left(key, bucket, now)
        return 0.0 if left >= 1 else (1 - left) * bucket[1]

    def _spend(self, key: _Key, bucket: _Bucket, now: datetime, tries: int = 1) -> None:
        self._left[key] = self._now_left(key, bucket, now) - tries, now
        self._left.move_to_end(key)
        while len(self._left) > _REMEMBERED:
            self._left.popitem(last=False)


def _buckets(email: str, address: str) -> dict[_Key, _Bucket]:
    whom, here = email[:_LONGEST], place(address)
    return {(here, whom): _FOR_AN_ADDRESS, ("for", whom): _IN_ALL, ("from", here): _FROM_A_PLACE}


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
