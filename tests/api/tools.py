"""Small things that the conformance tests say again and again."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeVar

from agentmail.core.request_options import RequestOptions

T = TypeVar("T")

PROSPECT = "prospect@prospect.test"
BROKEN = "anyone@broken.test"  #: what is sent here always fails for good
SLOW = "anyone@slow.test"  #: what is sent here takes three seconds
BOUNCING = "anyone@bouncing.test"  #: what is sent here is taken, and bounces a moment later
ONCE: RequestOptions = {"max_retries": 0}  #: the SDK asks a 409 three times; once is enough to see it


def at(**ahead: float) -> str:
    """That long from now, written as the published snippets write it."""
    return (datetime.now(UTC) + timedelta(**ahead)).replace(tzinfo=None).isoformat() + "Z"


def eventually(look: Callable[[], T], *, within: float = 15) -> T:
    """What `look` says once it says something; the last answer when time is up."""
    end = time.monotonic() + within
    while not (seen := look()) and time.monotonic() < end:
        time.sleep(0.1)
    return seen


def never(look: Callable[[], object], *, during: float = 3) -> bool:
    """That `look` says nothing for that long."""
    return not eventually(look, within=during)


@dataclass
class Heard:
    """One request that a subscriber got."""

    headers: dict[str, str]
    body: bytes

    @property
    def event(self) -> dict[str, Any]:
        return json.loads(self.body)  # type: ignore[no-any-return]


@dataclass
class Subscriber:
    """A listening address; it answers with `answers` in turn, then with 204."""

    url: str = ""
    heard: list[Heard] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)

    def events(self, kind: str) -> list[dict[str, Any]]:
        return [one.event for one in self.heard if one.event["event_type"] == kind]


@contextmanager
def listening() -> Iterator[Subscriber]:
    """A subscriber on a port of its own."""
    ear = Subscriber()

    class Door(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            ear.heard.append(Heard({k.lower(): v for k, v in self.headers.items()}, body))
            self.send_response(ear.answers.pop(0) if ear.answers else 204)
            self.end_headers()

        def log_message(self, *said: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    ear.url = f"http://127.0.0.1:{server.server_port}/hook"
    try:
        yield ear
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
