"""The demo's house: in a folder of its own, with clocks of its own, on a free port. Nothing leaves it."""

import json
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from http.client import HTTPConnection
from pathlib import Path
from threading import Event, Lock, Thread
from time import monotonic, sleep

import uvicorn
from pydantic import SecretStr
from starlette.types import ASGIApp

from engine.errors import RelentError
from relent.config import Config, Database, Sequences, Webhooks
from webhooks.signature import sign

_GOODBYE = 1  #: seconds, for whoever still reads a page that goes on by itself


class VirtualClock:
    """Stands still until it is moved."""

    def __init__(self, now: datetime) -> None:
        self._now = now
        self._lock = Lock()

    def now(self) -> datetime:
        with self._lock:
            return self._now

    def move_to(self, later: datetime) -> None:
        with self._lock:
            self._now = max(self._now, later)


class OffsetClock:
    """Goes on from that instant, as fast as any other."""

    def __init__(self, begin: datetime) -> None:
        self._begin = begin
        self._since = monotonic()

    def now(self) -> datetime:
        return self._begin + timedelta(seconds=monotonic() - self._since)


def config_in(folder: Path, secret: str) -> Config:
    """Of the environment nothing is heard: it may name a database that is no game, or a mail server."""
    return Config.model_construct(
        database=Database(url=f"sqlite:///{folder / 'demo.db'}"),
        webhooks=Webhooks(secrets=(SecretStr(secret),)),
        sequences=Sequences(path=str(folder / "sequences")),
    )


@contextmanager
def serving(app: ASGIApp, ending: Event) -> Iterator[int]:
    """The real server, on a free port, in a thread. `ending`: what a page waits for that goes on by itself."""
    listener = socket.create_server(("127.0.0.1", 0))
    settings = uvicorn.Config(app, log_config=None, ws="none", timeout_graceful_shutdown=_GOODBYE)
    server = uvicorn.Server(settings)
    thread = Thread(target=server.run, kwargs={"sockets": [listener]}, name="relent-demo")
    thread.start()
    try:
        while not server.started:
            if not thread.is_alive():
                raise RelentError("the demo's server did not start")
            sleep(0.01)
        yield listener.getsockname()[1]
    finally:
        ending.set()
        server.should_exit = True
        thread.join()
        listener.close()


def post_webhook(port: int, event: Mapping[str, object], secret: bytes, now: Callable[[], datetime]) -> int:
    """As the mailbox would tell us of it; the status of what is answered."""
    body = json.dumps(event).encode()
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        headers = sign(body, secret, delivery_id=f"msg_{event['event_id']}", now=now())
        connection.request("POST", "/webhooks/agentmail", body, headers)
        return connection.getresponse().status
    finally:
        connection.close()
