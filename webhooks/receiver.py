"""The door at which strangers tell us that somebody answered: nothing is parsed before it is believed.

204 means: it is written down, and nothing more goes out to whoever answered.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope

from engine.chorus import Heard, Said
from engine.errors import Overwhelmed, UnreadableEvent
from engine.events import Event
from engine.model import Pace
from engine.react import (
    Hearing,
    Reaction,
    in_a_word,
    may_be_in_the_air,
    note_unreadable,
    wait_for_what_is_in_the_air,
)
from engine.scribe import Scribe
from engine.seams import Clock, Mailbox
from engine.store import Store
from engine.trail import about, span
from webhooks.signature import Verifier

log = logging.getLogger("relent.webhooks")

_SLOWEST_BODY = 30.0
_LONG = 64 * 1024  #: what takes longer to read must not keep everybody else waiting
_HANG_UP = {"Connection": "close"}  # whoever goes on sending sends to nobody
_SOON = {"Retry-After": "5"}
_MOST_WHO_WAIT = 64  #: for letters in the air
_MOST_WHO_READ = 4  #: what is long

_Answer = asyncio.Future[Heard]


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What it takes to believe somebody, and to act on it."""

    verifier: Verifier
    mailbox: Mailbox
    store: Store
    clock: Clock
    pace: Pace
    max_body: int
    told: Callable[
        [Reaction], None
    ]  #: whoever counts: once it is written down, and before anything is waited for


class Receiver:
    """Hears one request after the other; whoever comes at the same moment shares one commit."""

    def __init__(self, means: Means) -> None:
        self._means = means
        self._scribe: Scribe[_Answer] = Scribe(store=means.store, clock=means.clock, tell=_tell)
        self._waiting_room = CapacityLimiter(_MOST_WHO_WAIT)
        self._reading_room = CapacityLimiter(_MOST_WHO_READ)

    async def receive(self, scope: Scope, receive: Receive) -> None:
        """When this has returned, nothing more goes out to whoever answered."""
        with span("webhook"):
            await self._receive(scope, receive)

    async def _receive(self, scope: Scope, receive: Receive) -> None:
        means = self._means
        with span("webhook receive"):
            body = await self._body(scope, receive)
        with span("webhook verify"):
            delivery_id = means.verifier.verify(body, scope["headers"], means.clock.now())
        try:
            event = await self._read(body, delivery_id)
        except UnreadableEvent as error:
            await self._put_aside(delivery_id, body, error)
            raise
        if event is None:
            return
        with span("webhook hear"):
            heard = await self._written_down(Said(event, body))
        means.told(heard.reaction)
        if log.isEnabledFor(logging.INFO):
            with about(event_id=event.id):
                log.info("%s %s: %s", type(event).__name__.lower(), event.id, in_a_word(heard.reaction))
        if may_be_in_the_air(heard):
            await self._aside(
                self._waiting_room,
                partial(
                    wait_for_what_is_in_the_air, heard, store=means.store, clock=means.clock, pace=means.pace
                ),
            )

    def behind(self) -> float:
        """For how many seconds the first of those has waited who are not written down yet."""
        return self._scribe.behind()

    def close(self) -> None:
        """Whoever has been heard is still written down."""
        self._scribe.close()

    async def _read(self, body: bytes, delivery_id: str) -> Event | None:
        if len(body) < _LONG:
            return self._means.mailbox.read(body, delivery_id)
        return await run_sync(self._means.mailbox.read, body, delivery_id, limiter=self._reading_room)

    async def _written_down(self, said: Said) -> Hearing:
        answer: _Answer = asyncio.get_running_loop().create_future()
        try:
            self._scribe.write(said, answer)
        except Overwhelmed as error:
            raise HTTPException(503, str(error), {"Retry-After": "1"}) from error
        heard = await answer
        if isinstance(heard, Hearing):
            return heard
        if isinstance(heard, SQLAlchemyError):
            raise _away(heard) from heard
        raise heard.with_traceback(None)

    async def _put_aside(self, delivery_id: str, body: bytes, error: UnreadableEvent) -> None:
        log.error("a signed webhook cannot be read, and is kept as %s: %s", delivery_id, error)
        means = self._means
        await self._aside(
            self._reading_room,
            partial(note_unreadable, delivery_id, body, str(error), store=means.store, clock=means.clock),
        )

    async def _aside(self, room: CapacityLimiter, deed: Callable[[], object]) -> None:
        try:
            await run_sync(deed, limiter=room)
        except SQLAlchemyError as error:
            raise _away(error) from error

    async def _body(self, scope: Scope, receive: Receive) -> bytes:
        """The bytes as they came, and not more of them than agreed."""
        for name, value in scope["headers"]:
            if name == b"content-encoding" and value != b"identity":
                raise HTTPException(400, "send the body as it was signed, without Content-Encoding")
        try:
            async with asyncio.timeout(_SLOWEST_BODY):
                return await self._chunks(receive)
        except TimeoutError as error:
            raise HTTPException(400, "the body did not arrive in time", _HANG_UP) from error

    async def _chunks(self, receive: Receive) -> bytes:
        chunks = bytearray()
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise HTTPException(400, "the body did not arrive")
            chunks += message.get("body", b"")
            if len(chunks) > self._means.max_body:
                raise HTTPException(413, f"the body is larger than {self._means.max_body:,} bytes", _HANG_UP)
            if not message.get("more_body", False):
                return bytes(chunks)


def _away(error: Exception) -> HTTPException:
    log.error("the database did not take a webhook; its sender will repeat it: %s", error)
    return HTTPException(503, "the database does not answer; send it again", _SOON)


def _tell(safe: Sequence[tuple[_Answer, Heard]]) -> None:
    """From the writer's thread: whoever waits is told in their own, all of them in one go."""
    try:
        safe[0][0].get_loop().call_soon_threadsafe(_resolve, safe)
    except RuntimeError:  # the server is gone; whoever waited has been told nothing, and repeats it
        log.info("%d answers were written down after the server had ended", len(safe))


def _resolve(safe: Sequence[tuple[_Answer, Heard]]) -> None:
    for answer, heard in safe:
        if not answer.done():  # whoever has hung up waits for nothing
            answer.set_result(heard)
