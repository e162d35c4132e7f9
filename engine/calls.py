"""Calls to somebody else's server: what is posted, what they said, and when it is tried again."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Lock

from engine.limits import share_of_chance

#: Waits before a call is tried again; the first try is at once. After the last of them it is over.
WAITS = tuple(
    timedelta(seconds=seconds) for seconds in (5, 5 * 60, 30 * 60, 2 * 3600, 5 * 3600, 10 * 3600, 10 * 3600)
)
#: Longer than any call takes: whoever has not come back by then is dead.
LEASE = timedelta(minutes=1)
_JITTER = 0.1
_REST = timedelta(seconds=30)

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")  # RFC 9110, section 5.6.2
_VALUE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e\t]{0,4094}[\x21-\x7e])?")
#: These frame a request, or say by whom and for whom it is: they are ours to write.
_OURS = re.compile(
    "host|content-.*|connection|keep-alive|proxy-connection|transfer-encoding|te|trailer|upgrade|expect"
    "|accept-encoding|svix-.*|webhook-.*",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What is posted. The same errand has the same id and the same bytes, however often it is tried."""

    id: str
    url: str = field(repr=False)  #: it may have a secret in it
    body: bytes = field(repr=False)
    secrets: tuple[bytes, ...] = field(
        default=(), repr=False
    )  #: what signs it, all of them; none: the sender's own
    headers: Mapping[str, str] = field(
        default_factory=dict, repr=False
    )  #: what they want to find in it besides


@dataclass(frozen=True, slots=True)
class Answer:
    """What the other side said."""

    status: int | None  #: None: nobody answered, or it is no place where we go
    words: str

    @property
    def is_yes(self) -> bool:
        return self.status is not None and 200 <= self.status < 300

    def __str__(self) -> str:
        return ": ".join(
            part for part in (f"answered {self.status}" if self.status else "", self.words) if part
        )


#: Never raises: that nobody answers is an answer.
Post = Callable[[Call, datetime], Answer]


def wait_after(tries: int, what: str, waits: Sequence[timedelta] = WAITS) -> timedelta | None:
    """Each by a little chance of its own: those who failed together should not come back together. None: it is over."""
    if tries > len(waits):
        return None
    return waits[tries - 1] * (1 + _JITTER * share_of_chance(f"{what}/{tries}"))


def why_no_header(name: str, value: str) -> str | None:
    """Why this cannot stand at the head of a call; None: it can."""
    if not _NAME.fullmatch(name):
        return "a header's name is letters, digits and hyphens, at most 100"
    if _OURS.fullmatch(name):
        return f"{name} is for us to write"
    if not _VALUE.fullmatch(value):
        return (
            "a header's value is one line of printable ASCII, at most 4,096 characters, no blanks around it"
        )
    return None


class Rests:
    """Hosts that were silent a moment ago. What is due for them counts as tried: one silence is enough at a time.

    Without it a hundred thousand calls to a dead host would keep everybody else's waiting, fifteen seconds each. The
    errand that met the silence keeps all its tries: it goes and looks for the others.
    """

    def __init__(self) -> None:
        self._silent: dict[str, tuple[datetime, str, str]] = {}
        self._lock = Lock()

    def note(self, host: str, errand_id: str, answer: Answer, now: datetime) -> None:
        with self._lock:
            if answer.status is None:
                self._silent[host] = now + _REST, errand_id, answer.words
            else:
                self._silent.pop(host, None)

    def why_not(self, host: str, errand_id: str, now: datetime) -> str | None:
        """What it was when somebody last tried; None: nothing speaks against it."""
        with self._lock:
            until, scout, words = self._silent.get(host, (now, "", ""))
        return words if until > now and errand_id != scout else None
