"""What is measured, each as a process of its own: plain yardsticks, and `relent serve`.

`python -m bench.servers starlette --port 8000` is one of the yardsticks.
"""

import argparse
import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bench import processor
from bench.people import PATH
from relent.listen import listen

ROOT = Path(__file__).parents[1]
KEY = "bench"
_PATIENCE = 60.0
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class Running:
    """A server that answers."""

    port: int
    process: psutil.Process
    log: Path
    profiled: bool = False

    def cpu(self) -> float:
        """Seconds of processor time so far, of it and of every process that it has begun."""
        return processor.used(self.family())

    def family(self) -> list[psutil.Process]:
        return [self.process, *self.process.children(recursive=True)]

    def begin_profile(self) -> None:
        """If there is one: what was before, its start for instance, is not in it."""
        if self.profiled:
            self.process.send_signal(signal.SIGUSR1)

    def said(self) -> str:
        return self.log.read_text("utf-8", "replace")[-2000:]


@contextmanager
def yardstick(kind: str, *words: str) -> Iterator[Running]:
    port = _free_port()
    module = ["bench.published"] if kind == "published" else ["bench.servers", kind]
    command = [sys.executable, "-m", *module, "--port", str(port), *words]
    with _running(command, port, {}) as server:
        yield server


@contextmanager
def relent(url: str, secret: str, *, profile: Path | None = None) -> Iterator[Running]:
    """`relent serve` as it is, in an empty folder; what it logs goes into a file, as a service's log does."""
    port = _free_port()
    settings = {
        "RELENT_DATABASE__URL": url,
        "RELENT_WEBHOOKS__SECRETS": json.dumps([secret]),
        "RELENT_SERVER__API_KEYS": json.dumps([KEY]),
        "RELENT_SERVER__RATE": "1000000",
    }
    module = ["relent"] if profile is None else ["bench.sampled", str(profile)]
    command = [sys.executable, "-m", *module, "serve", "--port", str(port)]
    with _running(command, port, settings, profiled=profile is not None) as server:
        yield server


@contextmanager
def _running(
    command: list[str], port: int, settings: dict[str, str], *, profiled: bool = False
) -> Iterator[Running]:
    bare = {name: value for name, value in os.environ.items() if not name.startswith("RELENT_")}
    surroundings = bare | {"PYTHONPATH": str(ROOT)} | settings
    with (
        tempfile.TemporaryDirectory(prefix="relent-bench-") as folder,
        (Path(folder) / "log").open("w") as log,
    ):
        process = subprocess.Popen(
            command, cwd=folder, env=surroundings, stdout=log, stderr=log, preexec_fn=_end_with_parent
        )
        server = Running(port, psutil.Process(process.pid), Path(folder) / "log", profiled)
        try:
            _wait(server, process)
            yield server
        finally:
            process.terminate()
            try:
                process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait(server: Running, process: "subprocess.Popen[bytes]") -> None:
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until:
        if process.poll() is not None:
            raise RuntimeError(f"it did not start:\n{server.said()}")
        try:
            with socket.create_connection(("127.0.0.1", server.port), timeout=5) as line:
                line.sendall(b"GET /healthz HTTP/1.1\r\nhost: bench\r\nconnection: close\r\n\r\n")
                if line.recv(100).startswith(b"HTTP/1.1"):
                    return
        except OSError:
            time.sleep(0.02)
    raise RuntimeError(f"it does not answer:\n{server.said()}")


def _end_with_parent() -> None:
    """Also when the benchmark is killed, where the system can do that."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as one:
        return int(one.getsockname()[1])


# --- the yardsticks ---


async def _answer(_: Request) -> Response:
    return Response(status_code=204)


async def _read_and_answer(request: Request) -> Response:
    await request.body()
    return Response(status_code=204)


def _serve(kind: str, port: int) -> None:
    handler = _read_and_answer if kind == "starlette-body" else _answer
    app = Starlette(routes=[Route(PATH, handler, methods=["POST"])])
    listener = socket.create_server(("127.0.0.1", port), backlog=2048)
    if kind == "starlette-plain":
        uvicorn.Server(uvicorn.Config(app, log_config=None)).run(sockets=[listener])
    else:
        listen(app, listener)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.servers", description=__doc__)
    parser.add_argument("kind", choices=["starlette", "starlette-body", "starlette-plain"])
    parser.add_argument("--port", type=int, required=True)
    chosen = parser.parse_args()
    _serve(chosen.kind, chosen.port)


if __name__ == "__main__":
    main()
