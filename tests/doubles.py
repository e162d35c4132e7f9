"""Honest doubles: for time, and for a mailbox's failure. Everything else in the tests is real."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from engine.events import Event
from engine.model import Letter, Sent, Withdrawn
from engine.seams import Gate, Trace
from mailroom.heard import read_event

MONDAY = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


class FrozenClock:
    """Stands still until a test moves it."""

    def __init__(self, now: datetime = MONDAY) -> None:
        self._now = now

    def now(self) -> datetime:
        return self._now

    def pass_(self, time: timedelta) -> None:
        self._now += time


class MemoryMailbox:
    """Remembers what left; fails, or lets something happen in mid-send, when a test says so."""

    name = "the tests' own double"

    def __init__(self) -> None:
        self.sent: list[Letter] = []
        self.before_gate: Callable[[Letter], None] = lambda letter: None
        self.after_gate: Callable[[Letter], None] = lambda letter: None
        self.knows: Trace = Trace.UNKNOWN
        self.rested = 0
        self.hears: Callable[[], Sequence[Event]] = lambda: ()
        self.asked_about: list[str] = []

    def send(self, letter: Letter, gate: Gate) -> Sent | Withdrawn:
        self.before_gate(letter)
        if not gate():
            return Withdrawn()
        self.after_gate(letter)
        self.sent.append(letter)
        return Sent("250 taken")

    def find(self, message_id: str) -> Trace:
        return self.knows

    def answers_to(self, letter: Letter, thread_id: str) -> Sequence[Event]:
        self.asked_about.append(thread_id)
        return self.hears()

    def rest(self) -> None:
        self.rested += 1

    def read(self, body: bytes, delivery_id: str) -> Event | None:
        return read_event(body, delivery_id)
