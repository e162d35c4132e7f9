"""What the webhook path costs, as a ratio against bare Starlette in the same run. Absolute figures say little: ratios do.

`python -m bench webhook --rounds 5 --requests 4000 --database postgresql://…`
"""

import argparse
import asyncio
import json
import multiprocessing
import secrets
import socket
import statistics
import tempfile
import time
from datetime import UTC, datetime
from typing import Any

import uvicorn
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from engine.enroll import enroll, prepare
from engine.model import Prospect
from engine.sequence import Sequence
from mailroom.telling import received_event
from relent.assemble import assemble
from relent.config import Config, Database, Webhooks
from relent.first_day import new_secret
from relent.logs import set_up_logs
from relent.web import create_app
from webhooks.signature import decode_secret, sign

_CONNECTIONS = 64
_COLLEAGUES = (
    3  # who answers may stop their colleagues, so they are looked for: nobody's list is one large company
)
_INBOX = "sam@acme.example"
_SEQUENCE = Sequence.model_validate(
    {"name": "Bench", "from": _INBOX, "steps": [{"subject": "Hi", "body": "Hello", "after": "30d"}]}
)


async def _bare(request: Request) -> Response:
    await request.body()
    return Response(status_code=204)


def _serve_bare(listener: socket.socket) -> None:
    _run(Starlette(routes=[Route("/webhooks/agentmail", _bare, methods=["POST"])]), listener)


def _serve_relent(listener: socket.socket, url: str, secret: str) -> None:
    set_up_logs(level=50)
    config = Config(database=Database(url=url), webhooks=Webhooks(secrets=(SecretStr(secret),)))
    _run(create_app(assemble(config)), listener)


def _run(app: Starlette, listener: socket.socket) -> None:
    uvicorn.Server(uvicorn.Config(app, log_config=None)).run(sockets=[listener])


class _Caller(asyncio.Protocol):
    """One keep-alive connection that sends its requests one after the other."""

    def __init__(self, requests: list[bytes], times: list[float], done: asyncio.Future[None]) -> None:
        self._requests, self._times, self._done = iter(requests), times, done
        self._sent_at = 0.0

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._next()

    def data_received(self, data: bytes) -> None:
        if not data.startswith(b"HTTP/1.1 204"):
            self._done.set_exception(RuntimeError(data.decode()))
            return
        self._times.append(time.perf_counter() - self._sent_at)
        self._next()

    def _next(self) -> None:
        if (request := next(self._requests, None)) is None:
            self._transport.close()
            self._done.set_result(None)
            return
        self._sent_at = time.perf_counter()
        self._transport.write(request)


async def _load(port: int, requests: list[bytes]) -> tuple[float, list[float]]:
    loop = asyncio.get_running_loop()
    times: list[float] = []
    done = [loop.create_future() for _ in range(_CONNECTIONS)]
    begun = time.perf_counter()
    for number, future in enumerate(done):
        share = requests[number::_CONNECTIONS]
        await loop.create_connection(lambda s=share, f=future: _Caller(s, times, f), "127.0.0.1", port)  # type: ignore[misc]
    await asyncio.gather(*done)
    return len(requests) / (time.perf_counter() - begun), times


def _measure(target: Any, arguments: tuple[Any, ...], requests: list[bytes]) -> tuple[float, list[float]]:
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)
    process = multiprocessing.get_context("fork").Process(target=target, args=(listener, *arguments))
    process.start()
    try:
        asyncio.run(_load(listener.getsockname()[1], requests[:_CONNECTIONS]))  # warm
        return asyncio.run(_load(listener.getsockname()[1], requests[_CONNECTIONS:]))
    finally:
        process.terminate()
        process.join()
        listener.close()


def _people(url: str, secret: str, number: int) -> list[bytes]:
    """A signed reply of everybody in a fresh sequence, each with a follow-up still to come."""
    house = assemble(Config(database=Database(url=url), webhooks=Webhooks(secrets=(SecretStr(secret),))))
    now, batch = datetime.now(UTC), secrets.token_hex(4)
    with house.store.transaction(now, "bench") as ledger:
        for index in range(number):
            email = f"p{index}@firm{index // _COLLEAGUES}-{batch}.example"
            enroll(prepare(Prospect(email=email), _SEQUENCE), ledger=ledger)
    with house.store.reading(now) as ledger:
        waiting = [person for person in ledger.views.people() if person["state"] == "active"]
    house.store.close()
    return [_reply(person, decode_secret(secret), now) for person in waiting]


def _reply(person: dict[str, Any], secret: bytes, now: datetime) -> bytes:
    name = person["enrollment_id"]
    event = received_event(
        event_id=f"evt_{name}",
        inbox_id=_INBOX,
        thread_id=person["thread_id"],
        message_id=f"<{name}@there.example>",
        sender=person["email"],
        to=_INBOX,
        subject="Re: Hi",
        text="Yes, please. " * 40,
        at=now,
    )
    body = json.dumps(event).encode()
    headers = sign(body, secret, delivery_id=f"msg_{name}", now=now) | {"content-length": str(len(body))}
    lines = "".join(f"{key}: {value}\r\n" for key, value in headers.items())
    return f"POST /webhooks/agentmail HTTP/1.1\r\nhost: bench\r\n{lines}\r\n".encode() + body


def add_flags(words: argparse.ArgumentParser) -> None:
    words.add_argument("--rounds", type=int, default=3)
    words.add_argument("--requests", type=int, default=2000)
    words.add_argument("--database", help="default: a fresh SQLite file")


def run(chosen: argparse.Namespace) -> None:
    secret, ratios = new_secret(), []
    with tempfile.TemporaryDirectory(prefix="relent-bench-") as folder:
        for number in range(chosen.rounds):
            url = chosen.database or f"sqlite:///{folder}/{number}.db"
            requests = _people(url, secret, chosen.requests + _CONNECTIONS)
            bare, _ = _measure(_serve_bare, (), requests)
            ours, times = _measure(_serve_relent, (url, secret), requests)
            ratios.append(ours / bare)
            ranked = sorted(times)
            p50, p99 = (ranked[int(len(ranked) * share)] * 1000 for share in (0.5, 0.99))
            print(
                f"round {number + 1}: bare Starlette {bare:,.0f}/s, reply → 204 {ours:,.0f}/s = {ours / bare:.1%}; "
                f"p50 {p50:.1f} ms, p99 {p99:.1f} ms at {_CONNECTIONS} connections"
            )
    print(f"median: a reply that cancels costs {statistics.median(ratios):.1%} of bare Starlette's rate")
