"""Real processes of Relent, as a user would start them."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.makers import SECRET

ROOT = Path(__file__).parents[2]

SEQUENCE = """\
name: Seconds
from: sam@acme.example
schedule: {windows: 00:00-24:00}
limits: {per_mailbox: 100000/day}
steps:
  - subject: Hello {{ first_name }}
    body: One
  - after: 1s
    body: Two
  - after: 1s
    body: Three
"""


class Folder:
    """A user's folder: config.yaml, a sequence, and commands run in it."""

    def __init__(self, path: Path, database_url: str) -> None:
        path.mkdir(exist_ok=True)
        self.path = path
        self.environment: dict[str, str] = {}
        self.port = free_port()
        (path / "seconds.yaml").write_text(SEQUENCE)
        (path / "config.yaml").write_text(
            json.dumps(  # JSON is YAML
                {
                    "database": {"url": database_url},
                    "webhooks": {"secrets": [SECRET]},
                    "server": {"port": self.port},
                }
            )
        )

    def run(self, *words: str, code: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "relent", *words],
            cwd=self.path,
            env=self._environment(),
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout if code == 0 else done.stdout + done.stderr

    def shell(self, line: str) -> "subprocess.CompletedProcess[str]":
        """As typed, with `relent` where it stands."""
        line = line.replace("relent ", f"{sys.executable} -m relent ", 1)
        return subprocess.run(
            ["bash", "-c", line],
            cwd=self.path,
            env=self._environment(),
            capture_output=True,
            text=True,
            timeout=120,
        )

    def json(self, *words: str) -> Any:
        return json.loads(self.run(*words, "--json"))

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        log = (self.path / "log.txt").open("ab")
        with log:
            return subprocess.Popen(
                [sys.executable, "-m", "relent", *words],
                cwd=self.path,
                env=self._environment(),
                stdout=log,
                stderr=log,
            )

    @contextmanager
    def serving(self) -> Iterator[subprocess.Popen[bytes]]:
        process = self.start("serve")
        try:
            self.wait_until_ready(process)
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            process.wait(40)

    def wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        until = time.monotonic() + 60
        while time.monotonic() < until:
            assert process.poll() is None, (self.path / "log.txt").read_text()
            if self.get("/readyz") == 200:
                return
            time.sleep(0.05)
        raise AssertionError("it never became ready")

    def get(self, path: str) -> int | None:
        return self._ask(urllib.request.Request(f"http://127.0.0.1:{self.port}{path}"))

    def text(self, path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=15) as answer:
            return str(answer.read(), "utf-8")

    def post(self, content: bytes, headers: dict[str, str]) -> int | None:
        url = f"http://127.0.0.1:{self.port}/webhooks/agentmail"
        return self._ask(urllib.request.Request(url, data=content, headers=headers, method="POST"))

    def _environment(self) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith("RELENT_")}
        return kept | {"PYTHONPATH": str(ROOT), "COLUMNS": "200"} | self.environment

    def _ask(self, request: urllib.request.Request) -> int | None:
        """None: nobody answered, or not to the end."""
        try:
            with urllib.request.urlopen(request, timeout=15) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code
        except OSError:
            return None

    def wait_for(self, what: Any, seconds: float = 60) -> Any:
        until = time.monotonic() + seconds
        while not (found := what()):
            assert time.monotonic() < until, (self.path / "log.txt").read_text()[-2000:]
            time.sleep(0.1)
        return found


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
