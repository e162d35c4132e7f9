"""The server: doors, the worker beside them, and one table that turns errors into answers."""

import logging
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from time import perf_counter
from typing import Any

import anyio
from sqlalchemy.exc import SQLAlchemyError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dashboard.door import Front
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
from engine.react import Reaction
from engine.trail import begin
from mailroom import agentpost, feather
from mailroom.api import manual
from mailroom.api.door import Api
from mailroom.api.table import AGENTMAIL, described
from mailroom.v1 import table as v1
from relent import __version__, health
from relent.assemble import House, desk, office, verifier
from relent.ears import is_our_own
from relent.listen import LAST_BYTE
from relent.worker import WorkerThread
from webhooks.receiver import Means, Receiver

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
#: With a slash or without: a redirect is a failure to whoever sends webhooks.
HOOKS = frozenset({"/webhooks/agentmail", "/webhooks/agentmail/"})
#: Below these only programs ask, and what is not there is told them in JSON.
FOR_PROGRAMS = frozenset(
    {"v0", "v1", "api", "webhooks", "u", "openapi.json", "docs", "healthz", "readyz", "metrics"}
)
_HEARD: Message = {"type": "http.response.start", "status": 204, "headers": []}
_NOTHING_MORE: Message = {"type": "http.response.body", "body": b""}
_NOTE_USES_EVERY = 60.0


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
                    await run_in_threadpool(hook.close)
                    await run_in_threadpool(rooms.live.close)
                    await run_in_threadpool(rooms.counted.close)

    hook, agentmail, engine = Hook(house), Api(table, AGENTMAIL), Api(table, v1.ENGINE)
    routes = [
        *(Route(path, hook, methods=["POST"]) for path in HOOKS),
        Mount("/v0", agentmail),
        Route("/v0", agentmail),
        Mount("/api/v1", Api(table, agentpost.AGENTPOST)),
        Mount("/v1/email", Api(table, feather.FEATHER)),
        Mount("/v1", engine),
        Route("/v1", engine),
        *manual.routes(
            [described(), agentpost.document(), feather.document(), v1.described()], version=__version__
        ),
        *health.routes(house, table.keys, worker.worker if worker else None),
    ]
    handlers: dict[Any, Any] = {HTTPException: _http_error, RelentError: _relent_error, Exception: _our_fault}
    app = _Doors(hook, routes=routes, exception_handlers=handlers, lifespan=lifespan)
    app.router.redirect_slashes = False
    nobody = app.router.default
    rooms = office(house, table.keys)
    app.router.default = _Elsewhere(Front(rooms, otherwise=nobody), nobody)
    app.state.ending = rooms.ending
    return app


class _Elsewhere:
    """What no other route takes is for people, in a browser. But not below a path where programs ask."""

    def __init__(self, front: ASGIApp, nobody: ASGIApp) -> None:
        self._front, self._nobody = front, nobody

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        first = str(scope["path"]).split("/", 2)[1:2]
        for_people = scope["type"] == "http" and first != [] and first[0] not in FOR_PROGRAMS
        await (self._front if for_people else self._nobody)(scope, receive, send)


class Hook:
    """Where a mailbox elsewhere tells us that somebody answered.

    That we answer ourselves says nothing of the world: when we knock, only a no is counted.
    """

    def __init__(self, house: House) -> None:
        self._refusals, self._meters = house.refusals, house.meters
        self._receiver = Receiver(
            Means(
                verifier=house.ears.over(verifier(house.config)),
                mailbox=house.mailbox,
                store=house.store,
                clock=house.clock,
                pace=house.pace,
                max_body=house.config.webhooks.max_body,
                told=self._reacted,
            )
        )
        house.answers.behind = self._receiver.behind

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = perf_counter()
        begin()
        try:
            await self._receiver.receive(scope, receive)
        except Exception as error:  # noqa: BLE001 (whatever it is, somebody waits for an answer)
            answer = await self._refusal(error)
            await answer(scope, receive, send)
        else:
            await send(_HEARD)
            await send(_NOTHING_MORE)
            if not is_our_own.get():
                self._meters.acknowledged(perf_counter() - scope.get(LAST_BYTE, begun))

    def close(self) -> None:
        self._receiver.close()

    def _reacted(self, reaction: Reaction) -> None:
        if not is_our_own.get():
            self._meters.reacted(reaction)

    async def _refusal(self, error: Exception) -> Response:
        status = _status(error)
        self._meters.answered(status)
        if status < 500 and not isinstance(error, Refused):  # ours are not refusals
            self._refusals.count()
        nobody = Request({"type": "http"})
        match error:
            case HTTPException():
                return await _http_error(nobody, error)
            case RelentError():
                return await _relent_error(nobody, error)
        log.error("our own mistake: a webhook was not heard", exc_info=error)
        return await _our_fault(nobody, error)


class _Doors(Starlette):
    """Thousands may answer in one second: whoever does so comes in by a door of their own.

    Each request is a story. It has a task to itself, so its trail ends with it, and nothing must be put back.
    """

    def __init__(self, hook: Hook, **more: Any) -> None:
        super().__init__(**more)
        self._hook = hook

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] in HOOKS and scope["method"] == "POST":
            await self._hook(scope, receive, send)
            return
        if scope["type"] == "http":
            begin()
        await super().__call__(scope, receive, send)


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


def _status(error: Exception) -> int:
    if isinstance(error, HTTPException):
        return error.status_code
    return next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 500)


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
    status = _status(error)
    headers = {"Retry-After": "5"} if status == 503 else {}
    return JSONResponse(error_body(status, type(error).__name__, str(error)), status, headers=headers)


async def _our_fault(_: Request, error: Exception) -> Response:
    return JSONResponse(error_body(500, "InternalError", "Our fault, and it is in the log."), 500)


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
