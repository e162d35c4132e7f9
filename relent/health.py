"""The doors for those who watch over us: are we alive, are we ready, and how do we fare?

`/healthz` asks nobody: whoever answers it is alive. `/readyz` asks the database and the worker. `/metrics` is for whoever
sits at this machine, and for whoever has a key; it is answered also while the database is away, because that is when
somebody wants to know.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import anyio
from anyio.to_thread import run_sync
from pydantic import SecretStr
from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from engine.errors import Forbidden, Unauthorized
from engine.keys import Keyring, asks_this_machine, is_loopback, may
from engine.store import HEAD, version_of
from engine.store.watch import Brake
from mailroom.api.door import bearer
from mailroom.api.refusals import refusal
from relent.assemble import House, exposition
from relent.exposition import Lookout
from relent.show import iso
from relent.worker import Worker

_TOO_LONG_AGO = timedelta(seconds=30)
_PATIENCE = 3.0
_PATIENCE_WITH_REDIS, _LEISURE = 0.5, 2.0  #: nobody depends on it, so nobody waits for it
_AT_ONCE = 4
#: Somebody in between passes on what others ask for: that they sit at this machine says nothing.
_PASSED_ON = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")
_NOT_KEPT = {"Cache-Control": "no-store"}


def routes(house: House, keys: Keyring, worker: Worker | None) -> list[Route]:
    return [
        Route("/healthz", _healthz, methods=["GET"]),
        Route("/readyz", _readyz(house, worker), methods=["GET"]),
        Route("/metrics", _metrics(house, keys), methods=["GET"]),
    ]


async def _healthz(_: Request) -> Response:
    return JSONResponse({"status": "alive"})


# --- are we ready? ---


@dataclass(frozen=True, slots=True)
class _Seen:
    """What the database said of itself."""

    version: str | None
    braked: Brake | None
    has_moved: bool


def _readyz(house: House, worker: Worker | None) -> Callable[[Request], Awaitable[Response]]:
    def look() -> _Seen:
        version = version_of(house.store)
        with house.store.reading(house.clock.now()) as ledger:
            ledger.drafts.next_due()
            return _Seen(version, ledger.watch.braked(), ledger.lineage.moved() is not None)

    lookout, threads = Lookout(look, patience=_PATIENCE), anyio.CapacityLimiter(_AT_ONCE)
    redis_answers = _asks_redis(house)

    def answer() -> Response:
        now, seen = house.clock.now(), lookout.see()
        looked_at = worker.lag.looked_at if worker and worker.lag else None
        why = _why_not(seen, worker is not None, looked_at, now)
        said: dict[str, Any] = {
            "ready": why is None,
            "why": why,
            "database": "answers" if seen else "does not answer",
            "version": seen and seen.version,
            "worker_looked_at": looked_at and iso(looked_at),
            "tick_lag_seconds": looked_at and max((now - looked_at).total_seconds(), 0.0),
            "braked_since": seen and seen.braked and iso(seen.braked.since),
            "redis": {None: None, True: "answers", False: "does not answer"}[redis_answers()],
        }
        return JSONResponse(said, 503 if why else 200, headers=_NOT_KEPT)

    async def readyz(_: Request) -> Response:
        return await run_sync(answer, limiter=threads)

    return readyz


def _why_not(seen: _Seen | None, has_worker: bool, looked_at: datetime | None, now: datetime) -> str | None:
    """A brake is no reason: whoever stands on it wants answers to be heard. Nor is Redis: without it things take longer."""
    if seen is None:
        return "the database does not answer"
    if seen.version != HEAD:
        return f"the database has version {seen.version}, this Relent knows {HEAD}"
    if seen.has_moved:  # whereto is nobody's business who has no key
        return "everything here has moved to another database"
    if has_worker and looked_at is None:
        return "the worker has not looked yet"
    if has_worker and looked_at is not None and now - looked_at > _TOO_LONG_AGO:
        return f"the worker has not looked for {(now - looked_at).total_seconds():.0f} seconds"
    return None


# --- how do we fare? ---


def _metrics(house: House, keys: Keyring) -> Callable[[Request], Awaitable[Response]]:
    told, threads = exposition(house), anyio.CapacityLimiter(_AT_ONCE)

    def answer(request: Request) -> Response:
        try:
            _admit(request, keys)
        except (Unauthorized, Forbidden, SQLAlchemyError) as error:
            no = refusal(error)
            return JSONResponse(no.body, no.status, headers=_NOT_KEPT | dict(no.headers))
        text, kind = told.text(request.headers.get("accept", ""))
        return Response(text, headers=_NOT_KEPT | {"Content-Type": kind})

    async def metrics(request: Request) -> Response:
        return await run_sync(answer, request, limiter=threads)

    return metrics


def _admit(request: Request, keys: Keyring) -> None:
    """Raises Unauthorized or Forbidden. These are everybody's numbers: a key for one inbox is not enough."""
    host = request.headers.get("host", "")
    if "authorization" not in request.headers and _sits_here(request, host):
        return
    caller = keys.know(bearer(request.headers), host)
    if caller is None:
        raise Unauthorized("Nobody here has that key.", "unknown_api_key")
    if caller.scope != "organization" or not may(caller, "metrics_read"):
        raise Forbidden(
            "This key lacks the permission metrics_read in the organization.", "missing_permission"
        )


def _sits_here(request: Request, host: str) -> bool:
    """Not a page in somebody's browser that had its own name point here, and not a proxy that speaks for the world."""
    headers: Mapping[str, str] = request.headers
    here = request.client is not None and is_loopback(request.client.host)
    return here and asks_this_machine(host) and not any(name in headers for name in _PASSED_ON)


def _asks_redis(house: House) -> Callable[[], bool | None]:
    """None: there is none."""
    ask, url = house.redis_answers, house.config.redis.url
    if ask is None and url is None:
        return lambda: None
    lookout = Lookout(
        ask or (lambda: url is not None and _answers(url)), patience=_PATIENCE_WITH_REDIS, leisure=_LEISURE
    )
    return lambda: bool(lookout.see())


def _answers(url: SecretStr) -> bool:
    from relent.dispatchers import why_silent  # only whoever has a Redis has what speaks to it

    return why_silent(url) is None
