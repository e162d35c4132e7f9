"""The server: doors, the worker beside them, and one table that turns errors into answers."""

import logging
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from http import HTTPStatus
from typing import Any

import anyio
from sqlalchemy.exc import SQLAlchemyError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from engine.errors import (
    BadSignature,
    NotFound,
    Refused,
    RelentError,
    StillSending,
    Unavailable,
    UnreadableEvent,
)
from engine.keys import Keyring
from mailroom import agentpost, feather
from mailroom.api import manual
from mailroom.api.door import Api
from mailroom.api.table import AGENTMAIL, described
from relent import __version__
from relent.assemble import House, desk, verifier
from relent.worker import Worker, WorkerThread
from webhooks.receiver import Receiver

log = logging.getLogger("relent.web")

#: What a caller is told. The nearest class in an error's family decides.
STATUS: dict[type[Exception], int] = {
    NotFound: 404,
    Refused: 409,
    StillSending: 503,
    Unavailable: 503,
    BadSignature: 401,
    UnreadableEvent: 422,
    RelentError: 500,
}

_FIX = {
    400: "Send the request as the documentation shows it.",
    401: "Sign the exact bytes of the body with a secret that stands in webhooks.secrets, and check both clocks.",
    404: "Look at the path and the id.",
    405: "Look at the method.",
    413: "Send less, or raise webhooks.max_body.",
    422: "The signature is right, the event is not readable; it was kept for a human.",
    503: "Send the same request again after the time in Retry-After.",
}
_DOCS = "docs/webhooks.md"
_NOTE_USES_EVERY = 60.0
_TOO_LONG_AGO = timedelta(seconds=30)


def create_app(house: House, *, with_worker: bool = True) -> Starlette:
    """Without a worker somebody else moves the time on: the demo, or `relent work`."""
    worker = WorkerThread(house) if with_worker else None
    table = desk(house)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with anyio.create_task_group() as beside:
            beside.start_soon(_note_uses, table.keys)
            if worker is not None:
                await run_in_threadpool(worker.__enter__)
            try:
                yield
            finally:
                beside.cancel_scope.cancel()
                with anyio.CancelScope(shield=True):
                    if worker is not None:
                        await run_in_threadpool(worker.__exit__)
                    await run_in_threadpool(_note_uses_now, table.keys)

    hear, agentmail = _webhook(house), Api(table, AGENTMAIL)
    routes = [
        Route("/webhooks/agentmail", hear, methods=["POST"]),
        # a redirect is a failure to whoever sends webhooks
        Route("/webhooks/agentmail/", hear, methods=["POST"]),
        Mount("/v0", agentmail),
        Route("/v0", agentmail),
        Mount("/api/v1", Api(table, agentpost.AGENTPOST)),
        Mount("/v1/email", Api(table, feather.FEATHER)),
        *manual.routes([described(), agentpost.document(), feather.document()], version=__version__),
        Route("/healthz", _healthz, methods=["GET"]),
        Route("/readyz", _readyz(house, worker.worker if worker else None), methods=["GET"]),
    ]
    handlers: dict[Any, Any] = {HTTPException: _http_error, RelentError: _relent_error, Exception: _our_fault}
    app = Starlette(routes=routes, exception_handlers=handlers, lifespan=lifespan)
    app.router.redirect_slashes = False
    return app


async def _note_uses(keys: Keyring) -> None:
    """When each key was used last. A key that opens a door writes nothing: that would make asking slow."""
    while True:
        await anyio.sleep(_NOTE_USES_EVERY)
        await run_in_threadpool(_note_uses_now, keys)


def _note_uses_now(keys: Keyring) -> None:
    try:
        keys.write_down_uses(at_once=True)
    except SQLAlchemyError as error:
        log.warning("the database did not take when keys were used last: %s", error)


def _webhook(house: House) -> Any:
    receiver = Receiver(
        verifier=house.ears.over(verifier(house.config)),
        mailbox=house.mailbox,
        store=house.store,
        clock=house.clock,
        pace=house.pace,
        max_body=house.config.webhooks.max_body,
    )

    async def hear(request: Request) -> Response:
        try:
            return await receiver.receive(request)
        except (BadSignature, UnreadableEvent):
            house.refusals.count()
            raise
        except HTTPException as error:
            if error.status_code < 500:  # ours are not refusals
                house.refusals.count()
            raise

    return hear


async def _healthz(_: Request) -> Response:
    return JSONResponse({"status": "alive"})


def _readyz(house: House, worker: Worker | None) -> Any:
    def look() -> dict[str, Any]:
        now = house.clock.now()
        with house.store.reading(now) as ledger:
            ledger.drafts.next_due()
        looked = worker.lag.looked_at if worker and worker.lag else None
        behind = bool(worker) and (looked is None or now - looked > _TOO_LONG_AGO)
        return {"ready": not behind, "database": "answers", "worker_looked_at": looked and looked.isoformat()}

    async def readyz(_: Request) -> Response:
        try:
            state = await run_in_threadpool(look)
        except SQLAlchemyError:
            state = {"ready": False, "database": "does not answer"}
        return JSONResponse(state, status_code=200 if state["ready"] else 503)

    return readyz


def error_body(status: int, name: str, message: str) -> dict[str, str]:
    """AgentMail's shape of an error."""
    body = {"name": name, "message": message, "code": _snake(name), "docs": _DOCS}
    return body | ({"fix": _FIX[status]} if status in _FIX else {})


async def _http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 (Starlette chose the handler by this class)
    name = HTTPStatus(error.status_code).phrase.title().replace(" ", "").replace("-", "") + "Error"
    return JSONResponse(
        error_body(error.status_code, name, error.detail),
        error.status_code,
        headers=dict(error.headers or {}),
    )


async def _relent_error(_: Request, error: Exception) -> Response:
    status = next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)
    headers = {"Retry-After": "5"} if status == 503 else {}
    return JSONResponse(error_body(status, type(error).__name__, str(error)), status, headers=headers)


async def _our_fault(_: Request, error: Exception) -> Response:
    return JSONResponse(error_body(500, "InternalError", "Our fault, and it is in the log."), 500)


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
