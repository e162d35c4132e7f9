"""The door at which strangers tell us that somebody answered: nothing is parsed before it is believed.

204 means: it is written down, and nothing more goes out to whoever answered.
"""

import logging
from dataclasses import dataclass

import anyio
from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from engine.errors import UnreadableEvent
from engine.model import Pace
from engine.react import Told, in_a_word, nobody, note_unreadable, react
from engine.seams import Clock, Mailbox
from engine.store import Store
from engine.trail import about, span
from webhooks.signature import Verifier

log = logging.getLogger("relent.webhooks")

_SLOWEST_BODY = 30.0
_HANG_UP = {"Connection": "close"}  # whoever goes on sending sends to nobody


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiver:
    """What it takes to believe somebody, and to act on it."""

    verifier: Verifier
    mailbox: Mailbox
    store: Store
    clock: Clock
    pace: Pace
    max_body: int
    told: Told = nobody

    async def receive(self, request: Request) -> Response:
        with span("webhook"):
            return await self._receive(request)

    async def _receive(self, request: Request) -> Response:
        with span("webhook receive"):
            body = await self._body(request)
        with span("webhook verify"):
            delivery_id = self.verifier.verify(body, request.headers.raw, self.clock.now())
        try:
            await run_in_threadpool(self._hear, body, delivery_id)
        except SQLAlchemyError as error:
            log.error("the database did not take a webhook; its sender will repeat it: %s", error)
            raise HTTPException(
                503, "the database does not answer; send it again", {"Retry-After": "5"}
            ) from error
        return Response(status_code=204)

    def _hear(self, body: bytes, delivery_id: str) -> None:
        try:
            event = self.mailbox.read(body, delivery_id)
        except UnreadableEvent as error:
            log.error("a signed webhook cannot be read, and is kept as %s: %s", delivery_id, error)
            note_unreadable(delivery_id, body, str(error), store=self.store, clock=self.clock)
            raise
        if event:
            with about(event_id=event.id):
                reaction = react(
                    event, body, store=self.store, clock=self.clock, pace=self.pace, told=self.told
                )
                log.info("%s %s: %s", type(event).__name__.lower(), event.id, in_a_word(reaction))

    async def _body(self, request: Request) -> bytes:
        """The bytes as they came, and not more of them than agreed."""
        if request.headers.get("content-encoding", "identity") != "identity":
            raise HTTPException(400, "send the body as it was signed, without Content-Encoding")
        chunks = bytearray()
        try:
            with anyio.fail_after(_SLOWEST_BODY):
                async for chunk in request.stream():
                    chunks += chunk
                    if len(chunks) > self.max_body:
                        raise HTTPException(413, f"the body is larger than {self.max_body:,} bytes", _HANG_UP)
        except TimeoutError as error:
            raise HTTPException(400, "the body did not arrive in time", _HANG_UP) from error
        except ClientDisconnect as error:
            raise HTTPException(400, "the body did not arrive") from error
        return bytes(chunks)
