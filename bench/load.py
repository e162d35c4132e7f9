"""Many keep-alive connections that send prepared requests, and how long the answers took.

A small C program does it, compiled when it is asked for, so that whoever measures is not the bottleneck. Without a
compiler, or without epoll, Python does the same, and costs as much of a core as what it measures.
"""

import asyncio
import atexit
import json
import os
import shutil
import struct
import subprocess
import tempfile
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

CONNECTIONS = 64
_SOURCE = Path(__file__).with_name("load.c")
_LENGTH = struct.Struct("=I")
_LONGEST = 300.0


@dataclass(frozen=True, slots=True)
class Answers:
    """How long they took, in milliseconds; in the open loop since the moment at which the request was due."""

    requests: int
    seconds: float
    per_second: float
    p50: float
    p99: float
    p999: float
    longest: float
    wrong: int  #: with another status than the one that was awaited
    broken: int  #: connections that the server closed
    most_waiting: int  #: requests that were due at one moment while every connection was busy


class WrongAnswer(Exception):
    """Somebody was not answered as they should be: whatever was measured is worth nothing."""


def who() -> str:
    """Who sends."""
    return "a C program" if compiled() else "Python, for want of a C compiler: figures are too low"


@cache
def compiled() -> str | None:
    """The program; None: it cannot be made here."""
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        return None
    folder = tempfile.mkdtemp(prefix="relent-bench-load-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    program = f"{folder}/load"
    made = subprocess.run([compiler, "-O2", "-o", program, str(_SOURCE)], capture_output=True, check=False)
    return program if made.returncode == 0 else None


@dataclass(slots=True)
class Requests:
    """As they go over the wire, written down for whoever sends them."""

    all: Sequence[bytes]
    in_python: bool = field(default_factory=lambda: compiled() is None)
    _file: Any = field(init=False)

    def __enter__(self) -> "Requests":
        self._file = tempfile.NamedTemporaryFile(prefix="relent-bench-")
        for each in self.all:
            self._file.write(_LENGTH.pack(len(each)) + each)
        self._file.flush()
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def send(
        self,
        port: int,
        *,
        first: int = 0,
        number: int,
        connections: int = CONNECTIONS,
        rate: float = 0,
        status: int = 204,
    ) -> Answers:
        """So many, beginning with that one; after the last of them comes the first again. Raises WrongAnswer."""
        connections = min(connections, number)
        if (program := compiled()) and not self.in_python:
            words = (port, self._file.name, first, number, connections, rate, status)
            answers, wrong = _by(program, *map(str, words))
        else:
            part = [self.all[each % len(self.all)] for each in range(first, first + number)]
            answers, wrong = asyncio.run(_by_python(port, part, connections, rate, status))
        if answers.wrong:
            raise WrongAnswer(f"{answers.wrong} of {number} answers were not {status}; the first:\n{wrong}")
        return answers


def _by(program: str, *words: str) -> tuple[Answers, str]:
    told = subprocess.run(
        [program, *words],
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=_LONGEST,
        check=False,
    )
    if told.returncode:
        raise WrongAnswer(told.stderr.strip())
    return Answers(**json.loads(told.stdout)), told.stderr


# --- the same in Python ---


@dataclass(slots=True)
class _Crowd:
    """All connections: whose turn it is, what is due, and what took how long."""

    requests: Sequence[bytes]
    rate: float
    status: bytes
    done: asyncio.Future[None]
    begun: float = 0.0
    sent: int = 0
    wrong: int = 0
    most_waiting: int = 0
    first_wrong: bytes = b""
    times: list[float] = field(default_factory=list)
    idle: deque["_Caller"] = field(default_factory=deque)

    def go_on(self) -> None:
        """Whatever is due, as long as somebody is free to send it."""
        now = time.perf_counter()
        while self.idle and self.sent < len(self.requests) and self._due(self.sent) <= now:
            self.idle.popleft().ask(self.requests[self.sent], self._due(self.sent) or now)
            self.sent += 1
        if not self.rate or self.sent >= len(self.requests):
            return
        if not self.idle:
            late = int((now - self.begun) * self.rate) + 1 - self.sent
            self.most_waiting = max(self.most_waiting, late)
            return
        asyncio.get_running_loop().call_later(max(self._due(self.sent) - now, 0), self.go_on)

    def note(self, answer: bytes, since: float) -> None:
        self.times.append((time.perf_counter() - since) * 1000)
        if not answer.startswith(self.status):
            self.wrong += 1
            self.first_wrong = self.first_wrong or answer
        if len(self.times) == len(self.requests) and not self.done.done():
            self.done.set_result(None)

    def _due(self, number: int) -> float:
        return self.begun + number / self.rate if self.rate else 0.0


class _Caller(asyncio.Protocol):
    """One connection. Its answers have no body worth waiting for."""

    def __init__(self, crowd: _Crowd) -> None:
        self._crowd = crowd
        self._since: float | None = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._crowd.idle.append(self)

    def ask(self, request: bytes, since: float) -> None:
        self._since = since
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        if self._since is None:
            return
        since, self._since = self._since, None
        self._crowd.note(data, since)
        self._crowd.idle.append(self)
        self._crowd.go_on()

    def connection_lost(self, _: Exception | None) -> None:
        if not self._crowd.done.done():
            self._crowd.done.set_exception(WrongAnswer("the server hung up"))

    def hang_up(self) -> None:
        self._transport.close()


async def _by_python(
    port: int, requests: Sequence[bytes], connections: int, rate: float, status: int
) -> tuple[Answers, str]:
    loop = asyncio.get_running_loop()
    crowd = _Crowd(requests, rate, f"HTTP/1.1 {status}".encode(), loop.create_future())
    for _ in range(connections):
        await loop.create_connection(lambda: _Caller(crowd), "127.0.0.1", port)
    callers = list(crowd.idle)
    crowd.begun = time.perf_counter()
    crowd.go_on()
    await asyncio.wait_for(crowd.done, _LONGEST)
    seconds, times = time.perf_counter() - crowd.begun, sorted(crowd.times)
    for each in callers:
        each.hang_up()
    p50, p99, p999 = (times[min(int(len(times) * share), len(times) - 1)] for share in (0.5, 0.99, 0.999))
    answers = Answers(
        requests=len(times),
        seconds=seconds,
        per_second=len(times) / seconds,
        p50=p50,
        p99=p99,
        p999=p999,
        longest=times[-1],
        wrong=crowd.wrong,
        broken=0,
        most_waiting=crowd.most_waiting,
    )
    return answers, crowd.first_wrong.decode(errors="replace")
