"""Our own mailbox: letters go through a transport and are kept in our own database, where the story writes them."""

from collections.abc import Sequence
from typing import Protocol

from engine.events import Event
from engine.model import Letter, Sent, Withdrawn
from engine.seams import Gate, Trace
from mailroom.heard import read_event


class Transport(Protocol):
    """How a letter leaves the machine, or does not."""

    @property
    def name(self) -> str: ...

    def send(self, letter: Letter, gate: Gate) -> Sent | Withdrawn: ...

    def find(self, message_id: str) -> Trace: ...

    def rest(self) -> None: ...


class Capture:
    """Nothing leaves the machine: a letter is kept, and that is all."""

    name = "capture"

    def send(self, letter: Letter, gate: Gate) -> Sent | Withdrawn:
        return Sent("captured") if gate() else Withdrawn()

    def find(self, message_id: str) -> Trace:
        # Keeping it and noting that it was sent are one transaction: what is not noted was not kept.
        return Trace.ABSENT

    def rest(self) -> None:
        """There is nothing to let go of."""


class LocalMailbox:
    """Speaks AgentMail's dialect, so that local and hosted take one road."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    @property
    def name(self) -> str:
        return self._transport.name

    def send(self, letter: Letter, gate: Gate) -> Sent | Withdrawn:
        return self._transport.send(letter, gate)

    def find(self, message_id: str) -> Trace:
        return self._transport.find(message_id)

    def answers_to(self, letter: Letter, thread_id: str) -> Sequence[Event]:
        # What comes in here stands in our own books: the gate itself looks whether all of it was heard.
        return ()

    def rest(self) -> None:
        self._transport.rest()

    def read(self, body: bytes, delivery_id: str) -> Event | None:
        return read_event(body, delivery_id)
