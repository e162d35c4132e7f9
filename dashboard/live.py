"""Who has a page open is told what moves: one look at the log a second, for all who listen, and none while nobody does."""

import json
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from threading import Event, Lock, Thread
from time import monotonic

import anyio
from anyio import to_thread
from sqlalchemy.exc import SQLAlchemyError

from engine.errors import RelentError
from engine.seams import Clock
from engine.store import Store
from engine.store.today import Moved

log = logging.getLogger("relent.dashboard")

#: Pages that may listen to one process at a time, and those of one member.
MOST, MOST_EACH = 100, 5

_LOOK_EVERY = 1.0
_SHOW_EVERY = 0.25
_PULSE_EVERY = 15.0
_ASK_EVERY = 30.0
_ASK_BEFORE_NEWS = 1.0  #: seconds since they were known to be in: who has gone is told nothing
_OF_LATE = 15.0
_DEAF = 60.0  #: whoever has not read for so long has gone without a word
_AT_ONCE = 200
#: On PostgreSQL a line may be seen after one with a higher number: so far back one looks again.
_BACK = 200
_MOST_UNREAD = 1000
_OURS = frozenset({"seq", "at"})  #: of no use to a page

_HELLO = b"retry: 3000\n\n"
_PULSE = b"event: pulse\ndata: {}\n\n"
_MANY = b"event: moved\ndata: {}\n\n"
_BYE = b"event: bye\ndata: {}\n\n"


@dataclass(eq=False, slots=True)
class Listener:
    """One open page."""

    member_id: str
    read_at: float  #: by `monotonic`
    unread: deque[bytes] = field(default_factory=lambda: deque(maxlen=_MOST_UNREAD))
    gone: Event = field(default_factory=Event)  #: it should end


class Live:
    """All who listen to this process, and the one thread that looks for them."""

    def __init__(self, *, look_every: float = _LOOK_EVERY) -> None:
        self._look_every = look_every
        self._lock = Lock()
        self._listeners: list[Listener] = []
        self._looks = False
        self._over = Event()
        self._watcher: Thread | None = None
        self._told: deque[tuple[float, list[Moved]]] = deque()  #: of late, for whoever has just come

    def __len__(self) -> int:
        with self._lock:
            return len(self._listeners)

    def join(self, member_id: str, store: Store, clock: Clock) -> Listener | None:
        """None: too many listen already. Who has too many pages open loses the oldest of them."""
        with self._lock:
            theirs = [each for each in self._listeners if each.member_id == member_id]
            for oldest in theirs[: max(len(theirs) - MOST_EACH + 1, 0)]:
                self._drop(oldest)
            if len(self._listeners) >= MOST or self._over.is_set():
                return None
            listener = Listener(member_id, monotonic())
            self._listeners.append(listener)
            for _, news in self._told:
                listener.unread.extend(_lines(news, late=True))
            if not self._looks:
                self._looks = True
                self._watcher = Thread(
                    target=self._watch, args=(_Log(store, clock),), name="relent-live", daemon=True
                )
                self._watcher.start()
            return listener

    def leave(self, listener: Listener) -> None:
        with self._lock:
            self._drop(listener)

    def close(self) -> None:
        """Before the database is closed: nobody looks into it any more."""
        self._over.set()
        with self._lock:
            for listener in list(self._listeners):
                self._drop(listener)
            watcher = self._watcher
        if watcher is not None:
            watcher.join()

    def _drop(self, listener: Listener) -> None:
        listener.gone.set()
        if listener in self._listeners:
            self._listeners.remove(listener)

    # --- the one who looks ---

    def _watch(self, log_of: "_Log") -> None:
        """For as long as anybody listens."""
        while self._is_wanted():
            try:
                self._tell(*log_of.news())
            except SQLAlchemyError as error:
                log.debug("the database does not answer: %s", error)
            except Exception:
                log.exception("our own mistake; the look at the log goes on")
            self._over.wait(self._look_every)

    def _is_wanted(self) -> bool:
        with self._lock:
            for listener in [each for each in self._listeners if monotonic() - each.read_at > _DEAF]:
                self._drop(listener)
            self._looks = bool(self._listeners)
            if not self._looks:
                self._told.clear()
            return self._looks

    def _tell(self, news: list[Moved], late: bool) -> None:
        now = monotonic()
        with self._lock:
            while self._told and now - self._told[0][0] > _OF_LATE:
                self._told.popleft()
            if news:
                self._told.append((now, news))
                for listener in self._listeners:
                    listener.unread.extend(_lines(news, late=late))


class _Log:
    """The log of every change, and how far it was read."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store, self._clock = store, clock
        self._last: int | None = None
        self._seen: set[int] = set()

    def news(self) -> tuple[list[Moved], bool]:
        """And whether they are late: the first time they are, because a page is a moment older than its first look."""
        now = self._clock.now()
        with self._store.reading(now) as ledger:
            if self._last is None:
                self._last = ledger.today.last_line()
                back = ledger.today.moved(self._last - _BACK, _BACK)
                self._note(back)
                return [each for each in back if now - each.at <= timedelta(seconds=_OF_LATE)], True
            found = ledger.today.moved(self._last - _BACK, _AT_ONCE, but_not=self._seen)
            if len(found) == _AT_ONCE:  # too many to be told one by one: what lies between is passed over
                self._last = ledger.today.last_line()
        self._note(found)
        return found, False

    def _note(self, found: list[Moved]) -> None:
        numbers = {each.seq for each in found}
        self._last = max(self._last or 0, *numbers, 0)
        self._seen = {each for each in self._seen | numbers if each > self._last - _BACK}


def _lines(news: list[Moved], *, late: bool) -> list[bytes]:
    """As an EventSource reads them. Very much at once is told as one thing: look again."""
    if len(news) >= _AT_ONCE:
        return [_MANY]
    said = ({name: value for name, value in asdict(each).items() if name not in _OURS} for each in news)
    return [f"event: moved\ndata: {json.dumps(each | {'late': late})}\n\n".encode() for each in said]


# --- one who listens ---


async def listening(
    listener: Listener, live: Live, *, lasts: Callable[[], bool], ending: Event
) -> AsyncIterator[bytes]:
    """What one page is sent, until it is closed, its visit has ended, or the server does."""
    try:
        yield _HELLO
        pulse_at = asked_at = monotonic()
        while not (listener.gone.is_set() or ending.is_set()):
            now = listener.read_at = monotonic()
            if now - asked_at >= (_ASK_BEFORE_NEWS if listener.unread else _ASK_EVERY):
                if not await _is_in(lasts):
                    yield _BYE
                    return
                asked_at = monotonic()
            while listener.unread and monotonic() - asked_at < _ASK_BEFORE_NEWS:
                yield listener.unread.popleft()
            if now - pulse_at >= _PULSE_EVERY:
                pulse_at = now
                yield _PULSE
            await anyio.sleep(_SHOW_EVERY)
        if listener.gone.is_set():
            yield _BYE
    finally:
        live.leave(listener)


async def _is_in(lasts: Callable[[], bool]) -> bool:
    try:
        return await to_thread.run_sync(lasts)
    except (RelentError, SQLAlchemyError):
        return True  # a database that is away for a moment has sent nobody out
