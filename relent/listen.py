"""How the server treats strangers: who says nothing, or says too much, is shown out before it costs anything.

uvicorn bounds neither how long a request's head may be nor how long it may take to come. A webhook is open to the world,
and the process that hears it is the one that sends.
"""

import resource
import signal
import socket
from asyncio import TimerHandle
from time import perf_counter
from types import FrameType
from typing import Any

import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from relent.worker import end_in_any_case

#: When it came, by `perf_counter`; in the scope of a request.
LAST_BYTE = "relent.last_byte"

_LONGEST_HEAD = 32 * 1024
_SLOWEST_HEAD = 10.0
_KEPT_FOR_US = 128  #: open files for the database, the log and the mail server

_TOO_LONG = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


def most_connections() -> int:
    """As many as the system lets us open, but for what we need ourselves."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 10_000 if soft == resource.RLIM_INFINITY else max(min(soft - _KEPT_FOR_US, 10_000), 16)


class GuardedProtocol(HttpToolsProtocol):
    """One connection, that has so long to say so much before it must have said what it wants."""

    _head = 0
    _reading_head = True
    _patience: TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        if len(self.connections) >= most_connections():
            transport.abort()
            return
        super().connection_made(transport)
        self._await_head()

    def data_received(self, data: bytes) -> None:
        if self.transport is None or self.transport.is_closing():
            return
        self._head += len(data)
        if self._reading_head and self._patience is None:
            self._await_head()
        super().data_received(data)
        if self._head > _LONGEST_HEAD and not self.transport.is_closing():
            self.transport.write(_TOO_LONG)
            self._show_out()

    def on_headers_complete(self) -> None:
        self._reading_head, self._head = False, 0
        self._patient_again()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._head = 0  # what is neither head nor body are trailers, and they are headers too
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._reading_head, self._head = True, 0
        scope: Any = self.scope
        scope[LAST_BYTE] = perf_counter()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Whoever was answered before they had said everything has nothing more to say."""
        super().on_response_complete()
        if self.cycle.response_complete and not self._reading_head:
            self._show_out()

    def connection_lost(self, exc: Exception | None) -> None:
        self._patient_again()
        if self.transport is not None:
            super().connection_lost(exc)

    def _await_head(self) -> None:
        self._patience = self.loop.call_later(_SLOWEST_HEAD, self._show_out)

    def _patient_again(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _show_out(self) -> None:
        self._patient_again()
        if not self.transport.is_closing():
            self.transport.close()


class PoliteServer(uvicorn.Server):
    """Asked to end, it ends: uvicorn would raise the signal once more, and what comes after the server never ran."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True
        self._end_streams()
        end_in_any_case()

    def _end_streams(self) -> None:
        """Who listens to what moves would be waited for."""
        state = getattr(self.config.app, "state", None)
        if ending := getattr(state, "ending", None):
            ending.set()


def listen(app: Starlette, listener: socket.socket) -> None:
    settings = uvicorn.Config(
        app,
        http=GuardedProtocol,
        ws="none",
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=15,
    )
    PoliteServer(settings).run(sockets=[listener])
