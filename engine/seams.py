"""The exchangeable outsides: what time it is, and how letters travel."""

from collections.abc import Callable, Sequence
from datetime import datetime
from enum import Enum
from typing import Protocol

from engine.events import Event
from engine.model import Letter, Sent, Withdrawn

#: Asked once, right before the last irrevocable byte. True: it may leave. False: nothing of it may.
Gate = Callable[[], bool]


class Clock(Protocol):
    """Somebody who knows the time."""

    def now(self) -> datetime:
        """The present instant, aware, in UTC."""
        ...


class Trace(Enum):
    """What a mailbox knows about a letter that may have left."""

    FOUND = "found"  #: it left
    ABSENT = "absent"  #: it certainly did not
    UNKNOWN = "unknown"  #: this mailbox cannot tell


class Mailbox(Protocol):
    """Letters leave through it, and it understands what its own world says. See docs/adding-a-mailbox.md."""

    @property
    def name(self) -> str:
        """What it is called in the books. Only the mailbox that carried a letter can say whether it left."""
        ...

    def send(self, letter: Letter, gate: Gate) -> Sent | Withdrawn:
        """Carry the letter up to its last byte, ask the gate, and only then let it go.

        Raises TemporaryFailure, PermanentFailure or, after the gate only, NoAnswer.
        """
        ...

    def find(self, message_id: str) -> Trace:
        """Did a letter with this Message-ID leave?"""
        ...

    def answers_to(self, letter: Letter, thread_id: str) -> Sequence[Event]:
        """What came in, in the conversation that this letter goes on: asked right before its gate, in mid-send.

        Empty: nothing, or this mailbox cannot tell. Raises TemporaryFailure when it could tell, and does not just now:
        then the letter waits.
        """
        ...

    def rest(self) -> None:
        """Nothing more to carry for now: let go of what is held open."""
        ...

    def read(self, body: bytes, delivery_id: str) -> Event | None:
        """A webhook's body, already believed. None: nothing that concerns us. Raises UnreadableEvent."""
        ...
