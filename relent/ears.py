"""What the door for webhooks hears, beside what it hears: that somebody tells us anything at all, and why others are refused.

It is kept in memory and written down now and then: a stranger cannot make us write to the database.
"""

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from threading import Lock
from time import monotonic

from engine.errors import BadSignature
from webhooks.signature import AnotherClock, Headers, Verifier

#: How the deliveries begin that we post to our own door: they prove that it is open, and not that anybody out there knocks.
OUR_OWN = "knock_"
#: Whether the delivery at hand is one of these: known once it is believed, to whoever goes on with it.
is_our_own: ContextVar[bool] = ContextVar("relent_is_our_own", default=False)
_MOST = 20  #: of those whom we know by their signature, and do not believe for their clock
_ONCE_IN = 300.0  #: seconds: whoever has overheard one can post it again as often as they like
_REMEMBERED = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """Since somebody last asked."""

    believed_at: datetime | None = None
    doubts: Mapping[str, int] = field(default_factory=dict)  #: in our own words, how often
    skewed: Sequence[AnotherClock] = ()

    def __bool__(self) -> bool:
        return bool(self.believed_at or self.doubts or self.skewed)


class Ears:
    """Many threads note, one asks."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._believed_at: datetime | None = None
        self._doubts: Counter[str] = Counter()
        self._skewed: deque[AnotherClock] = deque(maxlen=_MOST)
        self._known_until: dict[str, float] = {}

    def over(self, verifier: Verifier) -> Verifier:
        """The same judge, overheard."""
        return _Overheard(verifier.secrets, verifier.tolerance, self)

    def believed(self, delivery_id: str, now: datetime) -> None:
        ours = delivery_id.startswith(OUR_OWN)
        is_our_own.set(ours)
        if not ours:
            self._believed_at = now

    def doubted(self, error: BadSignature) -> None:
        with self._lock:
            self._doubts[str(error.__cause__)] += 1
            if isinstance(error.__cause__, AnotherClock) and self._is_new(error.__cause__.delivery_id):
                self._skewed.append(error.__cause__)

    def _is_new(self, delivery_id: str) -> bool:
        """It must neither be written down each time, nor push out others."""
        now = monotonic()
        if now < self._known_until.get(delivery_id, 0.0):
            return False
        self._known_until.pop(delivery_id, None)
        self._known_until[delivery_id] = now + _ONCE_IN
        if len(self._known_until) > _REMEMBERED:
            del self._known_until[next(iter(self._known_until))]
        return True

    @property
    def urgent(self) -> bool:
        return bool(self._skewed)

    def tell(self) -> Heard:
        """And forget it."""
        with self._lock:
            heard = Heard(
                believed_at=self._believed_at, doubts=dict(self._doubts), skewed=tuple(self._skewed)
            )
            self._believed_at = None
            self._doubts.clear()
            self._skewed.clear()
            return heard


@dataclass(frozen=True, slots=True)
class _Overheard(Verifier):
    ears: Ears = field(repr=False, compare=False)

    def verify(self, body: bytes, headers: Headers, now: datetime) -> str:
        try:
            delivery_id = Verifier.verify(self, body, headers, now)
        except BadSignature as error:
            self.ears.doubted(error)
            raise
        self.ears.believed(delivery_id, now)
        return delivery_id
