"""One connection to a mail server: smtplib's side of the conversation, with answers that have an end."""

import re
import smtplib
import socket
import ssl
import struct
import sys
from collections.abc import Iterator, Sequence
from time import monotonic

_DOT = b".\r\n"
_REPLY = re.compile(rb"([2-5]\d\d)(?:([ -])(.*))?", re.DOTALL)
_MOST_LINES, _MOST_BYTES = 100, 4096
_CHUNK = 256 * 1024
_GROUP = 4096  # what fits into any server's buffers: neither side waits for the other

Answer = tuple[int, bytes]


class Line(smtplib.SMTP):
    """smtplib's side of the conversation, with an answer that has a deadline as a whole, an end, and one code."""

    heard = b""  #: arrived and not yet read

    def send(self, s: bytes | str) -> None:  # type: ignore[override]
        self.stay_in_turn()
        self._write(s.encode("ascii") if isinstance(s, str) else s)

    def say(self, *lines: str) -> None:
        """Commands. Whether somebody spoke unasked is looked for before the letter, and once more before its dot."""
        if self.heard:
            self.stay_in_turn()
        if any("\r" in each or "\n" in each for each in lines):
            raise ValueError("a command is one line")
        self._write("".join(f"{each}\r\n" for each in lines).encode("ascii"))

    def _write(self, data: bytes) -> None:
        try:
            for start in range(0, len(data), _CHUNK):  # each in its own time: what is enclosed may be large
                self._socket().sendall(data[start : start + _CHUNK])
        except OSError as error:
            self.close()
            raise smtplib.SMTPServerDisconnected(f"the server hung up: {error}") from error

    def converse(self, asked: Sequence[str]) -> Iterator[Answer]:
        """The answers, one after the other. Whoever needs no more of them stops asking.

        A server that offers PIPELINING, RFC 2920, hears everything at once, as long as that is little. What comes after
        the last of these questions is never among it: a letter is sent when all of them are answered.
        """
        at_once = self.has_extn("pipelining") and sum(map(len, asked)) <= _GROUP
        if at_once:
            self.say(*asked)
        for each in asked:
            if not at_once:
                self.say(each)
            yield self.getreply()

    def finish(self, patience: float) -> tuple[int, bytes]:
        """The dot, in a segment of its own, and the answer to it."""
        self._write(_DOT)
        usual, self.timeout = self.timeout, patience
        try:
            return self.getreply()
        finally:
            self.timeout = usual

    def getreply(self) -> tuple[int, bytes]:
        try:
            return self._reply(monotonic() + self.timeout)
        except BaseException:
            self.close()
            raise

    def stay_in_turn(self) -> None:
        """A server that speaks unasked is out of step: its next answer would be taken for another one's."""
        if not self.heard:
            self._listen(0.0)
        if self.heard:
            raise smtplib.SMTPException(
                f"the server spoke out of turn: {self.heard.decode('utf-8', 'replace')}"
            )

    def tune(self, patience: float) -> None:
        """For a connection that may be silent for ten minutes, and whose last three bytes must not dawdle."""
        sock, tcp = self._socket(), socket.IPPROTO_TCP
        # Whoever closes this socket, be it the kernel after a crash, throws away what has not left yet.
        at_once = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        # The dot leaves when the gate has opened, and not when Nagle likes.
        sock.setsockopt(tcp, socket.TCP_NODELAY, 1)
        for name, value in (("TCP_KEEPIDLE", 60), ("TCP_USER_TIMEOUT", int(patience * 1000))):
            if hasattr(socket, name):  # a minute: before a firewall on the way forgets us
                sock.setsockopt(tcp, getattr(socket, name), value)

    def _reply(self, deadline: float) -> tuple[int, bytes]:
        codes: set[bytes] = set()
        words: list[bytes] = []
        while True:
            said = _REPLY.fullmatch(self._one_line(deadline))
            if said is None or len(codes | {said[1]}) > 1:
                raise smtplib.SMTPException("the server said something that is no SMTP")
            codes.add(said[1])
            if len(words) < _MOST_LINES:
                words.append((said[3] or b"").strip())
            if said[2] != b"-":
                return int(said[1]), b"\n".join(words)

    def _one_line(self, deadline: float) -> bytes:
        while b"\n" not in self.heard:
            self.heard = self.heard[:_MOST_BYTES]  # its code stands at its head, and nobody reads on
            if (left := deadline - monotonic()) <= 0:
                raise TimeoutError
            self._listen(left)
        line, _, self.heard = self.heard.partition(b"\n")
        return line.rstrip(b"\r")

    def _listen(self, patience: float) -> None:
        sock = self._socket()
        usual = sock.gettimeout()
        sock.settimeout(patience)
        try:
            data = sock.recv(_MOST_BYTES)
        except (BlockingIOError, ssl.SSLWantReadError):
            return  # nothing, when nothing was to be expected
        finally:
            sock.settimeout(usual)
        if not data:
            raise smtplib.SMTPServerDisconnected
        self.heard += data

    def _socket(self) -> socket.socket:
        if self.sock is None:
            raise smtplib.SMTPServerDisconnected
        return self.sock


class TlsLine(Line, smtplib.SMTP_SSL):
    """The same, encrypted from the first byte on."""
