"""What it costs to send with gate and settle, as a ratio against raw SMTP over one reused connection in the same run.

`python -m bench sending --rounds 5 --letters 2000 --only SQLite`
"""

import argparse
import asyncio
import multiprocessing
import os
import smtplib
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from bench.databases import NAMES
from bench.figures import Figures
from engine.enroll import enroll_all, prepare
from engine.model import Prospect
from engine.sequence import Sequence
from engine.store import Store
from relent.assemble import assemble
from relent.config import Config, Database, Dispatch, Mailbox, Smtp, Webhooks
from relent.first_day import new_secret
from relent.logs import set_up_logs
from relent.stay import settle_in
from relent.worker import Worker

_SENDER = "sam@acme.example"
_WORDS = (
    "I have looked at what you wrote, and there is one thing that I would like to know before Friday.\n" * 6
)
_SEQUENCE = Sequence.model_validate(
    {
        "name": "Bench",
        "from": _SENDER,
        "schedule": {"timezone": "UTC", "windows": "00:00-24:00"},
        "limits": {"per_mailbox": "1000000/day"},
        "steps": [
            {"subject": "A question to {{ company }}", "body": "Hello {{ first_name }},\n\n" + _WORDS},
            {"after": "3d", "body": "{{ first_name }}, did you see it?"},
        ],
    }
)
_AT_ONCE = 500
_WORKERS = 2
_PATIENCE = 600.0
_processes = multiprocessing.get_context("spawn")


# --- where the letters go ---


class _Sink(asyncio.Protocol):
    """A mail server that answers at once, believes everything, and only counts."""

    def __init__(self, taken: Any, extensions: bytes) -> None:
        self._taken, self._extensions = taken, extensions
        self._heard, self._in_letter = b"", False

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        transport.write(b"220 sink\r\n")

    def data_received(self, data: bytes) -> None:
        self._heard += data
        while self._letter() if self._in_letter else self._command():
            pass

    def _letter(self) -> bool:
        if not self._heard.startswith(b".\r\n"):
            end = self._heard.find(b"\r\n.\r\n")
            if end < 0:
                return False
            self._heard = self._heard[end + 2 :]
        self._heard, self._in_letter = self._heard[3:], False
        self._taken.value += 1
        self._transport.write(b"250 2.0.0 taken\r\n")
        return True

    def _command(self) -> bool:
        line, found, self._heard = self._heard.partition(b"\r\n")
        if not found:
            self._heard = line
            return False
        verb = line[:4].upper()
        if verb == b"DATA":
            self._in_letter = True
        self._transport.write(
            {b"EHLO": self._extensions, b"DATA": b"354 go on\r\n", b"QUIT": b"221 bye\r\n"}.get(
                verb, b"250 2.1.0 OK\r\n"
            )
        )
        return True


def _take_letters(port: Any, taken: Any, pipelining: bool) -> None:
    extensions = b"250-sink\r\n250-PIPELINING\r\n250 8BITMIME\r\n" if pipelining else b"250 sink\r\n"

    async def listen() -> None:
        server = await asyncio.get_running_loop().create_server(
            lambda: _Sink(taken, extensions), "127.0.0.1", 0
        )
        port.value = server.sockets[0].getsockname()[1]
        await server.serve_forever()

    asyncio.run(listen())


@dataclass(frozen=True, slots=True)
class _Sinkhole:
    """Where it listens, and how many letters it took."""

    _port: Any
    _taken: Any

    @property
    def port(self) -> int:
        return int(self._port.value)

    @property
    def taken(self) -> int:
        return int(self._taken.value)


@contextmanager
def _sink(pipelining: bool) -> Iterator[_Sinkhole]:
    port, taken = _processes.Value("i", 0), _processes.Value("i", 0, lock=False)
    process = _processes.Process(target=_take_letters, args=(port, taken, pipelining), daemon=True)
    process.start()
    try:
        until = time.monotonic() + _PATIENCE
        while not port.value and time.monotonic() < until:
            time.sleep(0.02)
        yield _Sinkhole(port, taken)
    finally:
        process.terminate()
        process.join()


# --- by hand ---


def _built(number: int) -> EmailMessage:
    """As anybody would who reads the library's examples."""
    letter = EmailMessage()
    letter["From"] = _SENDER
    letter["To"] = f"p{number}@firm{number}.example"
    letter["Subject"] = f"A question to Firm {number}"
    letter["Message-ID"] = f"<{number}.bench@acme.example>"
    letter.set_content(f"Hello P{number},\n\n{_WORDS}")
    return letter


def _raw(port: int, letters: int) -> float:
    """Letters a second, each built and sent by the library, over one connection."""
    with smtplib.SMTP("127.0.0.1", port) as line:
        begun = time.perf_counter()
        for number in range(letters):
            line.send_message(_built(number))
        return letters / (time.perf_counter() - begun)


def _prebuilt(port: int, letters: int) -> float:
    """The same bytes again and again: what the protocol alone costs."""
    same = _built(0).as_bytes()
    with smtplib.SMTP("127.0.0.1", port) as line:
        begun = time.perf_counter()
        for number in range(letters):
            line.sendmail(_SENDER, [f"p{number}@firm{number}.example"], same)
        return letters / (time.perf_counter() - begun)


# --- with gate and settle ---


def _config(url: str, port: int, lines: int | None = None) -> Config:
    return Config(
        dispatch=Dispatch() if lines is None else Dispatch(lines=lines),
        database=Database(url=url),
        webhooks=Webhooks(secrets=(SecretStr(new_secret()),)),
        mailbox=Mailbox(transport="smtp", smtp=Smtp(host="127.0.0.1", port=port, tls="none")),
    )


def _work(url: str, port: int, lines: int | None, ready: Any, told: Any) -> None:
    """What `relent work` does, until nothing is due."""
    with Path(os.devnull).open("w") as nowhere:
        sys.stderr = nowhere  # the log is written as always, and read by nobody
        set_up_logs()
        house = assemble(_config(url, port, lines))
        worker = Worker(house)
        settle_in()
        ready.wait(_PATIENCE)
        begun, cpu = time.monotonic(), time.process_time()
        worker.tick()
        told.put((begun, time.monotonic(), time.process_time() - cpu))
        house.store.close()


@dataclass(frozen=True, slots=True)
class _Took:
    """What the workers needed."""

    rate: float  #: letters a second
    cpu: float  #: milliseconds of their own processors for a letter


def _sent(url: str, sink: _Sinkhole, letters: int, workers: int, lines: int | None) -> _Took:
    _enroll(url, sink.port, letters)
    before, ready, told = sink.taken, _processes.Barrier(workers), _processes.Queue()
    hands = [
        _processes.Process(target=_work, args=(url, sink.port, lines, ready, told), daemon=True)
        for _ in range(workers)
    ]
    for each in hands:
        each.start()
    found = [told.get(timeout=_PATIENCE) for _ in hands]
    for each in hands:
        each.join()
    if sink.taken - before != letters:
        raise RuntimeError(f"{sink.taken - before} letters of {letters} left")
    begun, ended = min(one[0] for one in found), max(one[1] for one in found)
    return _Took(letters / (ended - begun), sum(one[2] for one in found) / letters * 1000)


def _enroll(url: str, port: int, letters: int) -> None:
    house = assemble(_config(url, port))
    for first in range(0, letters, _AT_ONCE):
        people = [_person(number) for number in range(first, min(first + _AT_ONCE, letters))]
        with house.store.transaction(house.clock.now() - timedelta(seconds=5), "bench") as ledger:
            enroll_all([prepare(one, _SEQUENCE) for one in people], ledger=ledger)
    _look_around(house.store)
    house.store.close()


def _person(number: int) -> Prospect:
    who = {"first_name": f"P{number}", "company": f"Firm {number}"}
    return Prospect(email=f"p{number}@firm{number}.example", variables=who)


def _look_around(store: Store) -> None:
    """As PostgreSQL does by itself after a while."""
    if store.database.dialect.name == "postgresql":
        with store.database.connect().execution_options(isolation_level="AUTOCOMMIT") as db:
            db.exec_driver_sql("ANALYZE")


def add_flags(words: argparse.ArgumentParser) -> None:
    words.add_argument("--rounds", type=int, default=3)
    words.add_argument("--letters", type=int, default=2000, help="in each round")
    words.add_argument("--only", choices=NAMES, help="one of the databases")
    words.add_argument("--lines", type=int, help="connections of one worker to the mail server")
    words.add_argument(
        "--pipelining", action="store_true", help="the mail server lets whole groups of commands come at once"
    )


def run(chosen: argparse.Namespace) -> Figures:
    figures = Figures("sending", f"{chosen.rounds} rounds of {chosen.letters:,} letters")
    with _sink(chosen.pipelining) as sink:
        for name, databases in chosen.servers.opened(chosen.only):
            _tell(name, databases.new, sink, chosen, figures)
    figures.tell()
    return figures


def _tell(
    name: str, new_url: Callable[[], str], sink: _Sinkhole, chosen: argparse.Namespace, figures: Figures
) -> None:
    rounds, letters, lines = chosen.rounds, chosen.letters, chosen.lines
    ratios: dict[str, list[float]] = {}
    for number in range(rounds):
        raw, prebuilt = _raw(sink.port, letters), _prebuilt(sink.port, letters)
        one = _sent(new_url(), sink, letters, 1, lines)
        said = f"{one.rate:,.0f}/s and {one.cpu:.2f} ms of a processor each"
        ratios.setdefault("of raw SMTP", []).append(one.rate / raw)
        ratios.setdefault("of raw SMTP with bytes at hand", []).append(one.rate / prebuilt)
        if name == "PostgreSQL":
            more = _sent(new_url(), sink, letters, _WORKERS, lines)
            said += f"; {_WORKERS} workers {more.rate:,.0f}/s and {more.cpu:.2f} ms"
            ratios.setdefault(f"{_WORKERS} workers against one", []).append(more.rate / one.rate)
        print(
            f"{name}, round {number + 1}: raw SMTP {raw:,.0f}/s, with bytes at hand {prebuilt:,.0f}/s; sent {said}"
        )
    for what, found in ratios.items():
        unit, goal = ("x", 1.7) if "workers" in what else ("%", 50.0)
        aimed = (what == "of raw SMTP" and name == "SQLite") or unit == "x"
        title = f"due drafts sent, {what}"
        values = [each if unit == "x" else each * 100 for each in found]
        how = f"{letters:,} letters; raw SMTP is smtplib over one connection that is kept"
        figures.note(name, title, unit, values, how, **({"at_least": goal} if aimed else {}))
