"""The door of an API: who asks, how often, what for; then a story is told in a thread, and its end is written down.

The order is the promise: a stranger gets the same cheap 401 whatever they ask for, and nothing of theirs is read.
"""

import json
import logging
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar
from urllib.parse import parse_qsl, quote

import anyio
from anyio.to_thread import run_sync
from pydantic import BaseModel, ValidationError
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocketClose

from engine.errors import Forbidden, Invalid, Issue, NotFound, Unauthorized
from engine.keys import Caller, may
from mailroom.api.frame import Asked, Desk, Endpoint, File
from mailroom.api.paths import Found, Map
from mailroom.api.refusals import Refusal, Turned, refusal
from mailroom.strict import NotStrict, read_object

log = logging.getLogger("relent.api")

T = TypeVar("T")

_SLOWEST_BODY = 60.0
_PATIENCE = 5.0  #: with what comes after the answer is known
_MOST_FIELDS = 200
_LONGEST_KEY = 256
_MOST_ISSUES = 50
_AT_ONCE = 16  #: requests whose story is being told; webhooks have threads of their own

_KIND = re.compile(r"[a-z0-9!#$&^_.+-]{1,127}/[a-z0-9!#$&^_.+-]{1,127}", re.IGNORECASE)
_PLAIN = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}


def bearer(headers: Headers) -> str:
    """The token of `Authorization: Bearer …`. Raises Unauthorized."""
    said = headers.getlist("authorization")
    if not said or not any(said):
        raise Unauthorized("There is no Authorization header.", "missing_authorization")
    scheme, _, token = said[0].partition(" ")
    token = token.strip()
    if len(said) > 1 or scheme != "Bearer" or not token or " " in token or not token.isascii():
        raise Unauthorized('The Authorization header is not "Bearer <key>".', "invalid_token_type")
    return token


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """A family of endpoints, and how it speaks of what they have in common."""

    endpoints: Iterable[Endpoint]
    token: Callable[[Headers], str] = bearer
    refused: Callable[[Exception], Refusal] = refusal
    offered: Callable[[str], bool] = lambda path: True  #: False: this path is somebody's, and not ours


class Api:
    """An ASGI application; `relent/web.py` mounts one for each dialect."""

    def __init__(self, desk: Desk, dialect: Dialect) -> None:
        self._desk, self._dialect = desk, dialect
        self._map = Map(dialect.endpoints)
        self._threads = anyio.CapacityLimiter(_AT_ONCE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await WebSocketClose()(scope, receive, send)
            return
        request = Request(scope, receive)
        try:
            response = await self._respond(request)
            if response.status_code != 401:
                await self._hear_out(request)
        except ClientDisconnect:
            return
        if request.method == "HEAD":
            response.body = b""  # its headers are those of the answer
        await response(scope, receive, send)

    async def _respond(self, request: Request) -> Response:
        method = "GET" if request.method == "HEAD" else request.method
        path = _raw_path(request)
        found = self._map.find(method, path)
        try:
            return await self._answer(request, method, path, found)
        except ClientDisconnect:
            raise
        except Exception as error:  # whatever it is, who asked gets an answer that can be read
            told = self._dialect.refused(error)
            if told.status >= 500:  # a path may be a key of its own: it stays out of the log
                name = found.endpoint.name if found.endpoint else "nowhere"
                log.error("%s: %s", name, error, exc_info=told.status == 500)
            return _json(told.status, told.body, told.headers)

    async def _answer(self, request: Request, method: str, path: str, found: Found) -> Response:
        endpoint = found.endpoint
        caller = None
        if endpoint is None or not endpoint.open:
            token = self._dialect.token(request.headers)
            caller = await self._in_a_thread(self._admit, token, request.headers.get("host", ""))
        if not self._dialect.offered(path):
            raise Turned(404, "This is not offered here.", "not_offered")
        if endpoint is None:
            return _nowhere(method, found)
        _permit(caller, endpoint)
        body = await self._body(request) if endpoint.body else b""
        return await self._in_a_thread(self._tell, request, endpoint, found.path, caller, body)

    async def _hear_out(self, request: Request) -> None:
        """To the end, within reason: who is hung up on while speaking may never hear the answer, or when to ask again.

        A stranger is not listened to, and who waits to be asked for a body is not asked.
        """
        said = request.headers.keys()
        if "expect" in said or not {"content-length", "transfer-encoding"}.intersection(said):
            return
        heard = 0
        with suppress(RuntimeError), anyio.move_on_after(_PATIENCE):  # RuntimeError: it was read to its end
            async for chunk in request.stream():
                heard += len(chunk)
                if heard > self._desk.max_body:
                    return

    async def _in_a_thread(self, deed: Callable[..., T], *args: Any) -> T:
        return await run_sync(partial(deed, *args), limiter=self._threads)

    def _admit(self, token: str, host: str) -> Caller:
        caller = self._desk.keys.know(token, host)
        if caller is None:
            raise Unauthorized("Nobody here has that key.", "unknown_api_key")
        self._desk.rate.take(caller.key_id)
        return caller

    def _tell(
        self,
        request: Request,
        endpoint: Endpoint,
        path: Mapping[str, tuple[str, ...]],
        caller: Any,
        body: bytes,
    ) -> Response:
        asked = Asked(
            desk=self._desk,
            endpoint=endpoint,
            caller=caller,
            path=path,
            query=_query(request.scope["query_string"], endpoint),
            body=_read(body, endpoint),
            key=_key(request.headers) if endpoint.once else None,
            origin=f"{request.url.scheme}://{request.headers.get('host', '')}",
        )
        answer = endpoint.handler(asked)
        if isinstance(answer, File):
            return _file(answer)
        return Response(status_code=204, headers=_PLAIN) if answer is None else _json(200, answer, {})

    async def _body(self, request: Request) -> bytes:
        """The bytes as they came, and not more of them than agreed."""
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind and kind != "application/json" and not kind.endswith("+json"):
            raise Turned(415, f"The body is {kind[:60]!r}, and not JSON.")
        if request.headers.get("content-encoding", "identity") != "identity":
            raise Turned(415, "The body is compressed.")
        chunks = bytearray()
        try:
            with anyio.fail_after(_SLOWEST_BODY):
                async for chunk in request.stream():
                    chunks += chunk
                    if len(chunks) > self._desk.max_body:
                        raise Turned(413, f"The body is larger than {self._desk.max_body:,} bytes.")
        except TimeoutError:
            raise Turned(408, "The body did not arrive in time.") from None
        return bytes(chunks)


def _nowhere(method: str, found: Found) -> Response:
    allow = ", ".join(sorted({*found.methods, *({"HEAD"} if "GET" in found.methods else ())}))
    if not found.methods:
        raise NotFound("There is nothing at this path.")
    if method == "OPTIONS":
        return Response(status_code=204, headers=_PLAIN | {"Allow": allow})
    raise Turned(405, f"This path does not know {method[:20]}.", allow=allow)


def _permit(caller: Caller | None, endpoint: Endpoint) -> None:
    if caller and endpoint.needs and not may(caller, endpoint.needs):
        raise Forbidden(f"This key lacks the permission {endpoint.needs}.", "missing_permission")


def _raw_path(request: Request) -> str:
    raw: bytes = request.scope.get("raw_path") or quote(request.scope["path"]).encode()
    return raw.decode("latin-1")


def _query(said: bytes, endpoint: Endpoint) -> BaseModel | None:
    if endpoint.query is None:
        return None
    try:
        pairs = parse_qsl(
            said.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS
        )
    except ValueError:
        raise Invalid(Issue(("query",), "The query cannot be read: too much of it, or not UTF-8.")) from None
    fields: dict[str, list[str]] = {}
    for name, value in pairs:
        fields.setdefault(name.removesuffix("[]"), []).append(value)
    _refuse_nul(fields)
    return _validated(endpoint.query, fields)


def _read(body: bytes, endpoint: Endpoint) -> BaseModel | None:
    if endpoint.body is None:
        return None
    if not body and endpoint.bare:
        return _validated(endpoint.body, {})
    try:
        found = read_object(body)
    except NotStrict as error:
        raise Invalid(Issue(("body",), f"The body cannot be read: {error}", "invalid_json")) from None
    if b"\\u0000" in body:
        _refuse_nul(found)
    return _validated(endpoint.body, found)


def _refuse_nul(found: object, path: tuple[str | int, ...] = ()) -> None:
    """No database keeps it, and no mail carries it."""
    if isinstance(found, str):
        if "\0" in found:
            raise Invalid(Issue(path, "There is a NUL in it."))
    elif isinstance(found, dict):
        for name, value in found.items():
            _refuse_nul(name, path)
            _refuse_nul(value, (*path, name))
    elif isinstance(found, list):
        for number, value in enumerate(found):
            _refuse_nul(value, (*path, number))


def _validated(model: type[BaseModel], found: object) -> BaseModel:
    try:
        return model.model_validate(found)
    except ValidationError as error:
        wrong = error.errors(include_url=False, include_context=False, include_input=False)
        raise Invalid(
            *(
                Issue(each["loc"], each["msg"].removeprefix("Value error, "), each["type"])
                for each in wrong[:_MOST_ISSUES]
            )
        ) from None


def _key(headers: Headers) -> str | None:
    """What makes a repeated send the same send."""
    said = headers.getlist("idempotency-key")
    if not said:
        return None
    key = said[0]
    if (
        len(said) > 1
        or not key.strip()
        or len(key) > _LONGEST_KEY
        or not (key.isascii() and key.isprintable())
    ):
        raise Invalid(
            Issue(
                ("Idempotency-Key",), f"One word of at most {_LONGEST_KEY} printable ASCII signs is wanted."
            )
        )
    return key


def _json(status: int, said: Any, headers: Mapping[str, str]) -> Response:
    content = json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    return Response(content, status, _PLAIN | dict(headers), "application/json")


def _file(file: File) -> Response:
    """Nothing that somebody sent us is run by a browser that trusts us."""
    headers = {
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(file.name, safe='')}",
        "Content-Security-Policy": "sandbox; default-src 'none'",
    }
    known = _KIND.fullmatch(file.content_type)
    kind = file.content_type if known else "application/octet-stream"
    return Response(file.content, 200, _PLAIN | headers | {"Content-Type": kind})
