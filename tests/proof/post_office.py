"""A mail server in a process of its own that fails at every verb, and notes each dot at the instant at which it has read it.

Its log is only ever appended to. A line is one of

    dot NANOSECONDS MESSAGE_ID RECIPIENT     the final dot has been read, by the clock that all processes share
    refused MESSAGE_ID                       and it is about to say that it does not take the letter
    fault VERB KIND                          it is about to do something else than it should
"""

import os
import random
import re
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).parents[2]
_MESSAGE_ID = re.compile(rb"^message-id:\s*(<[^>]+>)", re.IGNORECASE | re.MULTILINE)
_KINDS = {"hang": 30, "close": 20, "reset": 12, "later": 22, "garbage": 10, "never": 6}
_REPLIES = {
    "later": b"451 4.3.0 not now\r\n",
    "never": b"554 5.0.0 no\r\n",
    "garbage": b"\x00\xfe what was that?\r\n",
}


class PostOffice:
    """What the others see of it."""

    def __init__(self, log: Path, seed: int, chance: float) -> None:
        words = [sys.executable, "-m", "tests.proof.post_office", str(log), str(seed), str(chance)]
        self._process = subprocess.Popen(
            words, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout
        self.port = int(self._process.stdout.readline())

    def behave(self) -> None:
        """From now on it does what a mail server should."""
        assert self._process.stdin
        self._process.stdin.write("behave\n")
        self._process.stdin.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: Any) -> None:
        """It ends when it hears no more."""
        self._process.__exit__(*error)


class _Log:
    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def note(self, *words: object) -> None:
        os.write(self._file, (" ".join(map(str, words)) + "\n").encode())


class _Moods:
    """Whether, and how, it fails this time."""

    def __init__(self, seed: int, chance: float) -> None:
        self._chance, self.share = random.Random(seed), chance
        self._lock = threading.Lock()

    def fault(self) -> str | None:
        with self._lock:
            if self._chance.random() >= self.share:
                return None
            return self._chance.choices([*_KINDS], [*_KINDS.values()])[0]

    def wait(self) -> float:
        with self._lock:
            return self._chance.random()


class _Over(Exception):
    """This conversation is."""


class _Conversation:
    def __init__(self, sock: socket.socket, log: _Log, moods: _Moods) -> None:
        self._sock, self._log, self._moods = sock, log, moods
        self._unread = b""
        self._recipient = ""

    def run(self) -> None:
        with self._sock, suppress(OSError, _Over):
            self._sock.settimeout(300)
            self._say("BANNER", b"220 moody.example ESMTP\r\n")
            while True:
                self._hear(self._until(b"\r\n"))

    def _hear(self, line: bytes) -> None:
        verb = line[:4].upper()
        if verb == b"DATA":
            self._take_letter()
        elif verb == b"QUIT":
            self._sock.sendall(b"221 2.0.0 bye\r\n")
            raise _Over
        elif verb in (b"EHLO", b"MAIL", b"RCPT"):
            offers = b"250-moody.example\r\n250-PIPELINING\r\n250 8BITMIME\r\n"
            said = self._say(verb.decode(), offers if verb == b"EHLO" else b"250 2.1.0 OK\r\n")
            address = line.partition(b"<")[2].partition(b">")[0].decode()
            self._recipient = address if said and verb == b"RCPT" else ""
        else:
            self._sock.sendall(b"250 2.0.0 OK\r\n")

    def _take_letter(self) -> None:
        if not self._recipient:
            self._sock.sendall(b"503 5.5.1 to whom?\r\n")
            return
        if not self._say("DATA", b"354 go on\r\n"):
            return
        letter = self._until(b"\r\n.\r\n")
        read_at = time.monotonic_ns()
        found = _MESSAGE_ID.search(letter)
        name = found[1].decode() if found else "<none>"
        self._log.note("dot", read_at, name, self._recipient)
        self._say("DOT", b"250 2.0.0 taken\r\n", refusing=lambda: self._log.note("refused", name))

    def _say(self, verb: str, words: bytes, *, refusing: Callable[[], None] | None = None) -> bool:
        """Or not. True: it did."""
        kind = self._moods.fault()
        if kind is None:
            self._sock.sendall(words)
            return True
        self._log.note("fault", verb, kind)
        if kind == "hang":
            time.sleep(self._moods.wait())
            self._sock.sendall(words)
            return True
        if kind == "reset":
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if kind in ("close", "reset"):
            raise _Over
        if refusing and kind != "garbage":
            refusing()
        self._sock.sendall(_REPLIES[kind])
        return False

    def _until(self, end: bytes) -> bytes:
        while end not in self._unread:
            more = self._sock.recv(65536)
            if not more:
                raise _Over
            self._unread += more
        found, _, self._unread = self._unread.partition(end)
        return found


def _listen(listener: socket.socket, log: _Log, moods: _Moods) -> None:
    while True:
        sock, _ = listener.accept()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=_Conversation(sock, log, moods).run, daemon=True).start()


def main(path: str, seed: str, chance: str) -> None:
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)
    moods = _Moods(int(seed), float(chance))
    threading.Thread(target=_listen, args=(listener, _Log(path), moods), daemon=True).start()
    sys.stdout.write(f"{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    for _ in sys.stdin:
        moods.share = 0.0


if __name__ == "__main__":
    main(*sys.argv[1:])
