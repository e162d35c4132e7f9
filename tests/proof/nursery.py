"""Processes of Relent that live two seconds: each is forked from one that has read all the code and done nothing with it.

To read the code takes longer than most of them live. `python -m tests.proof.nursery` takes one request a line on its
standard input and answers each with one line; when that input ends, so do all who were born here.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).parents[2]


class Nursery:
    """What the others see of it. Only one thread at a time may ask."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        kept = {key: value for key, value in os.environ.items() if not key.startswith("RELENT_")}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.proof.nursery"],
            cwd=ROOT,
            env=kept | {"COLUMNS": "200"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def start(self, *words: str, log: str, **environment: str) -> int:
        """The number of a process that does what `relent WORDS` does."""
        born = {"words": words, "folder": str(self._folder), "log": log, "environment": environment}
        return int(self._ask({"start": born}))

    def bury(self) -> dict[int, int]:
        """Who is dead since the last time, and how they ended."""
        return {int(process): code for process, code in self._ask({"bury": True}).items()}

    def _ask(self, request: Mapping[str, Any]) -> Any:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: Any) -> None:
        """It ends when it hears no more."""
        self._process.__exit__(*error)


def _read_the_code() -> None:
    """Whatever the commands import when they are asked for."""
    import psycopg  # noqa: F401
    import uvicorn.protocols.http.httptools_impl  # noqa: F401

    import relent.cli
    import relent.dispatchers
    import relent.serve  # noqa: F401


def _be(born: Mapping[str, Any]) -> None:
    """From here on this is `relent`, in a folder of its user."""
    import relent.cli

    os.chdir(born["folder"])
    os.environ.update(born["environment"])
    nothing = os.open(os.devnull, os.O_RDONLY)
    log = os.open(born["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    for here, there in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(here, there)
    sys.argv = ["relent", *born["words"]]
    relent.cli.main()


def _bear(born: Mapping[str, Any]) -> int:
    if process := os.fork():
        return process
    code = 70
    try:
        _be(born)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    finally:
        os._exit(code)


def _bury(alive: set[int]) -> dict[int, int]:
    dead = {}
    for process in sorted(alive):
        found, status = os.waitpid(process, os.WNOHANG)
        if found:
            dead[process] = os.waitstatus_to_exitcode(status)
    alive -= set(dead)
    return dead


def main() -> None:
    _read_the_code()
    alive: set[int] = set()
    answer: Any
    for line in sys.stdin:
        request = json.loads(line)
        if "start" in request:
            alive.add(answer := _bear(request["start"]))
        else:
            answer = _bury(alive)
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    for process in alive:
        os.kill(process, signal.SIGKILL)
    for process in alive:
        os.waitpid(process, 0)


if __name__ == "__main__":
    main()
