"""A real SMTP server that can be told to fail at every verb, and that remembers what it really accepted.

A fault stands in for the server's ordinary answer to one verb: `BANNER`, `EHLO`, `STARTTLS`, `AUTH`, `MAIL`, `RCPT`,
`DATA`, `DOT`, `RSET` or `QUIT`. It is a function of the conversation, and `server.faults["RCPT"] = say("550 no")` sets it.
"""

import base64
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal, Self

Fault = Callable[["Conversation"], None]
_END = b"\r\n.\r\n"


@dataclass(frozen=True)
class Accepted:
    """A letter for which the server took responsibility, with its dots as they were written."""

    sender: str
    to: str
    data: bytes
    copies: tuple[str, ...] = ()  #: who else gets it


class HangUp(Exception):
    """This conversation is over."""


def say(*lines: str | bytes) -> Fault:
    """The server says this, whatever was asked."""
    words = b"".join(line if isinstance(line, bytes) else line.encode() + b"\r\n" for line in lines)
    return lambda conversation: conversation.write(words)


def refuse(*addresses: str, words: str = "550 5.1.1 no such user") -> Fault:
    """A fault for RCPT: these addresses are not known here, everybody else is."""

    def fault(conversation: "Conversation") -> None:
        if any(f"<{address}>" in conversation.asked for address in addresses):
            say(words)(conversation)
        else:
            conversation.take_recipient()

    return fault


def at_the(number: int, verb: str, fault: Fault) -> Fault:
    """A fault for the first, second … time that this is asked; before and after it, the server does what it always does."""
    asked = []

    def now_or_not(conversation: "Conversation") -> None:
        asked.append(conversation.asked)
        if len(asked) == number:
            fault(conversation)
        else:
            conversation.do(verb)

    return now_or_not


def say_and_hang_up(*lines: str) -> Fault:
    def fault(conversation: "Conversation") -> None:
        say(*lines)(conversation)
        raise HangUp

    return fault


def hang_up(conversation: "Conversation") -> None:
    raise HangUp


def reset(conversation: "Conversation") -> None:
    """As a firewall does it: not goodbye, but a slap."""
    conversation.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    raise HangUp


def stay_silent(conversation: "Conversation") -> None:
    """Nothing at all, until the server is shut down or the other side has had enough."""
    while conversation.sock.recv(4096):
        pass
    raise HangUp


def go_deaf(conversation: "Conversation") -> None:
    """Asks for the letter, and reads none of it."""
    conversation.write(b"354 go on\r\n")
    conversation.server.closing.wait(10)
    raise HangUp


def hang_up_in_mid_letter(conversation: "Conversation") -> None:
    """Asks for the letter, reads a little of it, and is gone."""
    conversation.write(b"354 go on\r\n")
    conversation.sock.recv(100)
    reset(conversation)


def drip(line: str, pause: float) -> Fault:
    """One byte at a time: each of them in time, all of them much too late."""

    def fault(conversation: "Conversation") -> None:
        for byte in line.encode():
            conversation.write(bytes([byte]))
            if conversation.server.closing.wait(pause):
                raise HangUp

    return fault


def slip_in_before_the_handshake(conversation: "Conversation") -> None:
    """CVE-2011-0411: somebody on the way adds an answer to the one that is still in the clear."""
    conversation.write(b"220 go ahead\r\n250-injected\r\n250 AUTH PLAIN\r\n")
    conversation.encrypt()


class SmtpServer:
    """Listens on a port of its own, one thread a conversation."""

    def __init__(
        self,
        *,
        tls: Literal["starttls", "implicit", "none"] = "none",
        context: ssl.SSLContext | None = None,
        login: tuple[str, str] | None = None,
        offers: tuple[str, ...] = (),
    ) -> None:
        self.tls, self.context, self.login, self.offers = tls, context, login, offers
        self.faults: dict[str, Fault] = {}
        self.accepted: list[Accepted] = []
        self.verbs: list[str] = []
        self.data = b""  #: what has arrived since the last 354
        self.chunks: list[bytes] = []  #: the same, in the pieces in which it arrived
        self.dots = 0
        self.connections = 0
        self.arrived = threading.Condition()
        self.closing = threading.Event()
        self._conversations: list[Conversation] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.host, self.port = self._listener.getsockname()

    def __enter__(self) -> Self:
        self._start(self._listen)
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        socket.create_connection((self.host, self.port)).close()  # wakes up who listens
        self.hang_up_on_everybody()
        for thread in self._threads:
            thread.join(5)
        self._listener.close()

    def hang_up_on_everybody(self) -> None:
        for conversation in self._conversations:
            conversation.end()

    def blurt_out(self, words: bytes) -> None:
        """Say something to everybody, whoever's turn it is."""
        for conversation in self._conversations:
            with suppress(OSError):
                conversation.write(words)

    def has_heard(self, ending: bytes, patience: float = 3.0) -> bool:
        """Wait until the letter's data, so far, ends like this."""
        with self.arrived:
            return self.arrived.wait_for(lambda: self.data.endswith(ending), patience)

    def quiet(self, patience: float = 3.0) -> bool:
        """Wait until every conversation is over, so that nothing can be accepted any more."""
        for thread in self._threads[1:]:
            thread.join(patience)
        return not any(thread.is_alive() for thread in self._threads[1:])

    def _listen(self) -> None:
        while True:
            sock, _ = self._listener.accept()
            if self.closing.is_set():
                sock.close()
                return
            self.connections += 1
            conversation = Conversation(self, sock)
            self._conversations.append(conversation)
            self._start(conversation.run)

    def _start(self, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work)
        self._threads.append(thread)
        thread.start()


class Conversation:
    """One client, from banner to goodbye."""

    def __init__(self, server: SmtpServer, sock: socket.socket) -> None:
        self.server, self.sock = server, sock
        self.asked = ""  #: the last line that the client said
        self._unread = b""
        self._sender = ""
        self._recipients: list[str] = []
        self._encrypted = False
        sock.settimeout(10)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def run(self) -> None:
        with suppress(OSError, HangUp, ValueError):
            self._converse()
        self.sock.close()

    def write(self, data: bytes) -> None:
        self.sock.sendall(data)

    def encrypt(self) -> None:
        assert self.server.context is not None
        self.sock = self.server.context.wrap_socket(self.sock, server_side=True)
        self._encrypted, self._unread = True, b""

    def end(self) -> None:
        """From another thread: wake up whoever reads."""
        with suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)

    @property
    def unread(self) -> list[str]:
        """What the client has said already and nobody has answered yet."""
        return self._unread.decode().splitlines()

    def do(self, verb: str) -> None:
        """The ordinary answer."""
        getattr(self, f"_{verb.lower()}", self._unknown)(self.asked)

    def _converse(self) -> None:
        if self.server.tls == "implicit":
            self.encrypt()
        self._answer("BANNER")
        while True:
            verb, space, rest = self._line().partition(" ")
            self.server.verbs.append(line := verb.upper() + space + rest)
            self.asked = line
            self._answer(verb.upper(), line)

    def _answer(self, verb: str, line: str = "") -> None:
        if fault := self.server.faults.get(verb):
            fault(self)
        else:
            self.do(verb)

    def _unknown(self, line: str) -> None:
        self.write(b"502 5.5.1 what?\r\n")

    def _banner(self, line: str) -> None:
        self.write(b"220 faulty.example ESMTP\r\n")

    def _ehlo(self, line: str) -> None:
        offers = ["faulty.example", "8BITMIME", *self.server.offers]
        if self.server.tls == "starttls" and not self._encrypted:
            offers.append("STARTTLS")
        if self.server.login and (self._encrypted or self.server.tls == "none"):
            offers.append("AUTH PLAIN LOGIN")
        self.write(b"".join(f"250-{offer}\r\n".encode() for offer in offers) + b"250 HELP\r\n")

    def _starttls(self, line: str) -> None:
        self.write(b"220 go ahead\r\n")
        self.encrypt()

    def _auth(self, line: str) -> None:
        assert self.server.login is not None
        right = base64.b64encode("\0{}\0{}".format(*self.server.login).encode()).decode()
        self.write(b"235 welcome\r\n" if line == f"AUTH PLAIN {right}" else b"535 5.7.8 bad credentials\r\n")

    def take_recipient(self) -> None:
        self._recipients.append(self.asked.partition(":")[2])
        self.write(b"250 2.1.5 recipient ok\r\n")

    def _mail(self, line: str) -> None:
        self._sender = line.partition(":")[2]
        self._recipients = []
        self.write(b"250 2.1.0 sender ok\r\n")

    def _rcpt(self, line: str) -> None:
        self.take_recipient()

    def _data(self, line: str) -> None:
        self.server.data, self.server.chunks = b"", []
        self.write(b"354 go on\r\n")
        self._read_letter()
        self.server.dots += 1
        self._answer("DOT")

    def _dot(self, line: str) -> None:
        to, *copies = self._recipients
        letter = Accepted(self._sender, to, self.server.data.removesuffix(b".\r\n"), tuple(copies))
        self.server.accepted.append(letter)
        self.write(f"250 2.0.0 Ok: queued as Q{len(self.server.accepted)}\r\n".encode())

    def _rset(self, line: str) -> None:
        self._sender, self._recipients = "", []
        self.write(b"250 2.0.0 forgotten\r\n")

    def _quit(self, line: str) -> None:
        self.write(b"221 2.0.0 bye\r\n")
        raise HangUp

    def _line(self) -> str:
        while b"\r\n" not in self._unread:
            self._unread += self._receive()
        line, _, self._unread = self._unread.partition(b"\r\n")
        return line.decode()

    def _read_letter(self) -> None:
        """What a letter is, is what stands before the first lone dot: whatever follows would be a command."""
        while _END not in b"\r\n" + self.server.data:
            chunk = self._receive()
            with self.server.arrived:
                self.server.data += chunk
                self.server.chunks.append(chunk)
                self.server.arrived.notify_all()
        letter, end, self._unread = (b"\r\n" + self.server.data).partition(_END)
        self.server.data = (letter + end)[2:]

    def _receive(self) -> bytes:
        data = self.sock.recv(65536)
        if not data:
            raise HangUp
        return data
