"""The door of the dashboard: who comes in, with what role, from where; then a page is made in a thread, and shown.

The order is the promise. A name that is not ours is not spoken to. Who is not in is sent to the login, whatever they ask
for. A form is believed when it was sent by a page of ours and has the word that we wrote into it for this visit.
Only then does anybody look at what it says.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

import anyio
from anyio.to_thread import run_sync
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from dashboard import cookies, origin, seal
from dashboard.cupboard import Cupboard, File
from dashboard.forms import LARGEST, read_form, read_query
from dashboard.frame import Asked, Door, Entered, Kind, Left, Office, Raw, Shown, Streamed, Went
from dashboard.pages import DOORS
from dashboard.paths import Found, Map
from dashboard.refusals import Turned, refusal
from dashboard.seal import Notice
from dashboard.show import render
from engine.members import Guest, may
from engine.store.members import Member

log = logging.getLogger("relent.dashboard")

T = TypeVar("T")

_AT_ONCE = 16  #: pages that are made at the same time; what others ask of the house has threads of its own
_PATIENCE = 5.0  #: seconds, with what comes after the answer is known
_STRANGERS_AT_ONCE = 4  #: to look at a password takes long: who tries many holds up nobody who is in

HEADERS: Mapping[str, str] = {
    "content-security-policy": (
        "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'; object-src 'none'"
    ),
    "x-frame-options": "DENY",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cache-control": "no-store",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


class Front:
    """An ASGI application; `relent/web.py` has it behind everything else."""

    def __init__(self, office: Office, *, otherwise: ASGIApp, doors: Iterable[Door] = DOORS) -> None:
        """`otherwise`: who answers for a path that nobody knows, when it is no browser that asks."""
        self._office, self._otherwise = office, otherwise
        self._map = Map(doors)
        self._cupboard = Cupboard()
        self._threads = anyio.CapacityLimiter(_AT_ONCE)
        self._for_strangers = anyio.CapacityLimiter(_STRANGERS_AT_ONCE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        raw = _raw_path(request)
        method = "GET" if request.method == "HEAD" else request.method
        found = self._map.find(method, raw)
        file = self._cupboard.find(raw) if method == "GET" and not found.methods else None
        if not found.methods and file is None and "text/html" not in request.headers.get("accept", ""):
            await self._otherwise(scope, receive, send)
            return
        try:
            response = self._file(request, file) if file else await self._respond(request, method, found)
            await _hear_out(request)
        except ClientDisconnect:
            return
        if request.method == "HEAD":
            await _end(response)
            response = _bare(response)
        await response(scope, receive, send)

    def _file(self, request: Request, file: File) -> Response:
        kept = (
            {"cache-control": "public, max-age=31536000, immutable"} if request.query_params.get("v") else {}
        )
        return Response(file.content, 200, {**HEADERS, **kept, "content-type": file.kind})

    async def _respond(self, request: Request, method: str, found: Found) -> Response:
        asked = self._nobody(request, found)
        try:
            self._refuse_other_names(request)
            guest = await self._in_a_thread(self._guest, request)
            asked = self._known(asked, request, guest)
            if found.door is None:
                return _nowhere(method, found, partial(self._refused, request, asked))
            if guest is None and found.door.role != "anybody":
                return self._to_the_login(request, asked)
            if found.door.method == "POST":
                asked = replace(asked, form=await self._believed_form(request, found.door, asked))
            _permit(found.door, asked)
            threads = self._for_strangers if found.door.role == "anybody" else self._threads
            return await run_sync(self._tell, request, found.door, asked, limiter=threads)
        except ClientDisconnect:
            raise
        except Exception as error:  # noqa: BLE001 (whatever it is, who asked gets a page)
            return await self._in_a_thread(self._refused, request, asked, error)

    async def _in_a_thread(self, deed: Callable[..., T], *args: Any) -> T:
        return await run_sync(partial(deed, *args), limiter=self._threads)

    # --- who asks, and for what ---

    def _refuse_other_names(self, request: Request) -> None:
        host = request.headers.get("host", "")
        if not origin.is_ours(host, listens=self._office.host, public_url=self._office.public_url):
            raise Turned(
                421,
                f'This server was asked for as "{host[:80]}", a name that it does not know. '
                "Ask for http://127.0.0.1 and its port, or write the name into server.public_url in config.yaml.",
            )

    def _nobody(self, request: Request, found: Found) -> Asked:
        headers = request.headers
        htmx = headers.get("hx-request") == "true"
        whole = "true" in (headers.get("hx-boosted"), headers.get("hx-history-restore-request"))
        return Asked(
            office=self._office,
            member=nobody(self._office),
            path=found.path,
            query=read_query(request.scope["query_string"]),
            here=found.door.name if found.door else "",
            url=_url(request),
            partial=htmx and not whole,
            base=(self._office.public_url or str(request.base_url)).rstrip("/"),
            zone=cookies.zone(request.cookies),
            theme=cookies.theme(request.cookies),
            address=request.client.host if request.client else "",
            token=request.cookies.get(cookies.named(cookies.KNOCK, self._is_secure(request)), ""),
        )

    def _guest(self, request: Request) -> Guest | None:
        word = request.cookies.get(cookies.named(cookies.VISIT, self._is_secure(request)), "")
        return self._office.members.know(word) if word else None

    def _known(self, asked: Asked, request: Request, guest: Guest | None) -> Asked:
        if guest is None:
            return replace(asked, token=asked.token or cookies.fresh())
        lasts = partial(self._is_in, guest.token)
        return replace(asked, guest=guest, member=guest.member, token=guest.token, lasts=lasts)

    def _is_in(self, token: str) -> bool:
        return self._office.members.know(token) is not None

    async def _believed_form(
        self, request: Request, door: Door, asked: Asked
    ) -> Mapping[str, tuple[str, ...]]:
        """Raises Turned for what no page of ours has sent."""
        if not origin.comes_from_us(request.headers, public_url=self._office.public_url):
            raise Turned(403, "This was sent by a page that is not ours, so nothing was done.")
        form = await read_form(request, of_stranger=door.role == "anybody")
        if not origin.is_csrf(next(iter(form.get("csrf", ())), ""), asked.token, self._office.key):
            raise Turned(
                403,
                "This page was from before you signed in, or your browser keeps no cookies of ours. "
                "Nothing was done: go back and load it again.",
            )
        return form

    def _is_secure(self, request: Request) -> bool:
        """What a proxy says of itself is believed where the server believes it: see docs/dashboard.md."""
        public = self._office.public_url or ""
        return request.scope["scheme"] == "https" or public.lower().startswith("https://")

    # --- what is answered ---

    def _tell(self, request: Request, door: Door, asked: Asked) -> Response:
        answer = door.handler(asked)
        match answer:
            case Shown():
                return self._page(request, asked, answer)
            case Went():
                return self._elsewhere(request, asked, answer.to, answer.notice, answer.kind)
            case Entered():
                return self._let_in(request, asked, answer)
            case Left():
                return self._let_out(request, asked, answer)
            case Raw():
                headers = _with(answer.headers) | {"content-type": answer.content_type}
                return Response(answer.content, answer.status, headers)
            case Streamed():
                headers = _with(answer.headers) | {"content-type": answer.content_type}
                return StreamingResponse(answer.chunks(), 200, headers)

    def _page(self, request: Request, asked: Asked, shown: Shown) -> Response:
        secure = self._is_secure(request)
        word = request.cookies.get(cookies.named(cookies.NOTICE, secure), "")
        notice = None if asked.partial or not word else self._opened(word, asked)
        content = render(shown.template, {**_about(asked, notice, self._office.key), **shown.context})
        response = Response(
            content, shown.status, _with(shown.headers) | {"content-type": "text/html; charset=utf-8"}
        )
        if word and not asked.partial:
            cookies.drop(response, cookies.NOTICE, secure=secure)
        if asked.guest is None:
            cookies.give(response, cookies.KNOCK, asked.token, secure=secure)
        return response

    def _opened(self, word: str, asked: Asked) -> Notice | None:
        return seal.opened(word, key=self._office.key, reader=asked.token, now=asked.now)

    def _elsewhere(
        self, request: Request, asked: Asked, to: str, notice: str | None = None, kind: Kind = "good"
    ) -> Response:
        response = RedirectResponse(
            "/login" if to == "/login" else origin.own_path(_spelt(to)), 303, _with({})
        )
        if notice is not None:
            word = seal.sealed(Notice(notice, kind), key=self._office.key, reader=asked.token, now=asked.now)
            lasts = int(seal.LASTS.total_seconds())
            cookies.give(response, cookies.NOTICE, word, secure=self._is_secure(request), lasts=lasts)
        return response

    def _to_the_login(self, request: Request, asked: Asked) -> Response:
        """And back again, if they only wanted to look. htmx would put the login into the middle of a page."""
        if request.headers.get("hx-request") == "true":
            return Response(status_code=401, headers=_with({"HX-Redirect": "/login"}))
        if request.method not in ("GET", "HEAD"):
            response = self._elsewhere(
                request, asked, "/login", "You were signed out. Nothing was done.", "bad"
            )
            cookies.give(response, cookies.KNOCK, asked.token, secure=self._is_secure(request))
            return response
        back = f"?{urlencode({'next': asked.url})}" if asked.url != "/" else ""
        return RedirectResponse(f"/login{back}", 303, _with({}))

    def _let_in(self, request: Request, asked: Asked, entered: Entered) -> Response:
        """With another word than before: one that somebody has put into their browser is good for nothing."""
        now = replace(asked, guest=entered.guest, member=entered.guest.member, token=entered.guest.token)
        response = self._elsewhere(request, now, entered.to, entered.notice)
        secure = self._is_secure(request)
        cookies.give(response, cookies.VISIT, entered.guest.token, secure=secure, lasts=cookies.LONGEST)
        cookies.drop(response, cookies.KNOCK, secure=secure)
        return response

    def _let_out(self, request: Request, asked: Asked, left: Left) -> Response:
        knock = cookies.fresh()
        response = self._elsewhere(request, replace(asked, token=knock), left.to, left.notice)
        secure = self._is_secure(request)
        cookies.drop(response, cookies.VISIT, secure=secure)
        cookies.give(response, cookies.KNOCK, knock, secure=secure)
        return response

    def _refused(self, request: Request, asked: Asked, error: Exception) -> Response:
        told = refusal(error)
        if told.status == 500:  # a path may have somebody's token in it: it stays out of the log
            log.error("our own mistake, on the page %s", asked.here or "nowhere", exc_info=error)
        name = "refused_part.html" if asked.partial else "refused.html"
        context = {"status": told.status, "title": told.title, "message": told.message}
        try:
            return self._page(request, asked, Shown(name, context, told.status, told.headers))
        except Exception:
            log.exception("the page for an error could not be made")
            return PlainTextResponse(f"{told.title}. {told.message}", told.status, _with(told.headers))


async def _hear_out(request: Request) -> None:
    """To the end, within reason: who is hung up on while speaking may never hear the answer."""
    if request.method in ("GET", "HEAD") or "expect" in request.headers:
        return
    heard = 0
    with suppress(RuntimeError), anyio.move_on_after(_PATIENCE):  # RuntimeError: it was read to its end
        async for chunk in request.stream():
            heard += len(chunk)
            if heard > LARGEST:
                return


async def _end(response: Response) -> None:
    """Who asks for the head of a stream does not listen to it."""
    if isinstance(response, StreamingResponse):
        stream: Any = response.body_iterator
        await anext(stream, None)  # so that it has begun, and its end is an end
        await stream.aclose()


def _bare(response: Response) -> Response:
    """Its headers, and nothing more."""
    bare = Response(status_code=response.status_code)
    bare.raw_headers = list(response.raw_headers)
    return bare


def nobody(office: Office) -> Member:
    """Who is not in: a member without a name, for doors that are open to anybody."""
    now = office.clock.now()
    return Member(id="", email="", name="", role="viewer", created_at=now, updated_at=now)


def _about(asked: Asked, notice: Notice | None, key: bytes) -> Mapping[str, Any]:
    """What every page may speak of."""
    return {
        "asked": asked,
        "member": asked.member if asked.guest else None,
        "csrf": origin.csrf_of(asked.token, key),
        "notice": notice,
        "here": asked.here,
        "theme": asked.theme,
    }


def _nowhere(method: str, found: Found, refused: Callable[[Exception], Response]) -> Response:
    allow = ", ".join(sorted({*found.methods, *({"HEAD"} if "GET" in found.methods else ())}))
    if not found.methods:
        return refused(Turned(404, "Look at the address, or begin at the first page."))
    if method == "OPTIONS":
        return Response(status_code=204, headers=_with({"Allow": allow}))
    return refused(Turned(405, f"This page does not know {method[:20]}.", Allow=allow))


def _permit(door: Door, asked: Asked) -> None:
    if door.role != "anybody" and not may(asked.member, door.role):
        raise Turned(
            403,
            f"You are a {asked.member.role} here, and this is for {door.role}s. Nothing was changed: "
            "an admin can change what you may do.",
        )


def _spelt(to: str) -> str:
    """A letter that no address has is spelt out."""
    return "".join(sign if sign.isascii() else quote(sign, errors="replace") for sign in to)


def _with(headers: Mapping[str, str]) -> dict[str, str]:
    """Ours, but for those that are said otherwise."""
    return {**HEADERS, **{name.lower(): value for name, value in headers.items()}}


def _url(request: Request) -> str:
    query = request.scope["query_string"].decode("latin-1")
    return _raw_path(request) + (f"?{query}" if query else "")


def _raw_path(request: Request) -> str:
    raw: bytes = request.scope.get("raw_path") or quote(request.scope["path"]).encode()
    return raw.decode("latin-1").partition("?")[0]
