"""We knock at somebody's door: a signed POST that goes only where it may, follows nobody, and has an end.

Whoever can write a URL, or owns the name in it, must not reach our own network by it. So a name is looked up once, every
address that it has is judged, and the connection goes to one that was judged, whatever the name says a moment later.
"""

import io
import re
import socket
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from http.client import HTTPException, HTTPResponse
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from threading import Thread
from time import monotonic
from typing import Any, cast
from urllib.parse import SplitResult, quote, urlsplit

from engine.calls import Answer, Call, why_no_header
from webhooks.signature import sign

Network = IPv4Network | IPv6Network

_ENOUGH = 64 * 1024  #: bytes of an answer; what comes after them is not read
_FEW_WORDS = 200
_PER_ADDRESS = 5.0  #: seconds; a name may have an address that nobody can reach, and one that everybody can
_PORTS = {"http": 80, "https": 443}
_LONGEST_HOST = 253
_HOST = re.compile(r"[a-z0-9._-]+|[0-9a-f:.]+", re.IGNORECASE)
_INSIDE = "and that is not out in the world. If it is meant, name its network in webhooks.outbound.allow"
_AS_WRITTEN = "/:?#[]@!$&'()*+,;=%-._~"

#: Addresses of today's world that anybody may own. Of IPv6, nothing else has been handed out.
_WORLD = ip_network("2000::/3")
#: In the world by their number, and yet not somebody's: they lead to an IPv4 address that is hidden in them, to the
#: nearest of many, or to the cloud's own servers beside the machine.
_NOBODYS = tuple(
    ip_network(network)
    for network in (
        "192.0.0.0/24",
        "192.88.99.0/24",
        "168.63.129.16/32",
        "2001::/23",
        "2001:db8::/32",
        "2002::/16",
        "3fff::/20",
    )
)


def may_be_called(address: str, allow: Sequence[Network] = ()) -> bool:
    """Is it somebody out there, or on a network of ours that is named?"""
    ip = ip_address(address)
    if any(ip in network for network in allow):
        return True
    if isinstance(ip, IPv6Address) and ip not in _WORLD:
        return False
    return ip.is_global and not ip.is_multicast and not any(ip in network for network in _NOBODYS)


class _Unanswered(Exception):
    """Why nobody said anything, in words for a human. Never quotes more of the URL than its host."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """Posts to others what they asked to be told. What they say is their answer; that nobody answers is one too."""

    secret: bytes | None = field(repr=False)  #: what a call is signed with that brings no secret of its own
    allow: tuple[Network, ...] = ()  #: networks of our own that may be called
    tls: ssl.SSLContext | None = field(default=None, repr=False)  #: None: as this machine trusts
    patience: float = 15.0  #: seconds, for everything together

    def post(self, call: Call, now: datetime) -> Answer:
        try:
            return self._post(call, now, monotonic() + self.patience)
        except _Unanswered as unanswered:
            return Answer(None, str(unanswered))
        except TimeoutError:
            return Answer(None, f"no answer within {self.patience:g} s")
        except (OSError, HTTPException, ValueError) as error:
            return Answer(None, _in_words(error))

    def _post(self, call: Call, now: datetime, deadline: float) -> Answer:
        secrets = call.secrets or ((self.secret,) if self.secret else ())
        if not secrets:
            raise _Unanswered("webhooks.outbound.secret is empty: nothing can be signed")
        place = _Place.of(call.url)
        letter = _head(place, call, sign(call.body, *secrets, delivery_id=call.id, now=now)) + call.body
        with self._connected(place, deadline) as sock:
            line = _Line(sock, deadline)
            line.say(letter)
            return _answer(line)

    def _connected(self, place: "_Place", deadline: float) -> socket.socket:
        sock = _reached(self._judged(place, deadline), deadline)
        if not place.encrypted:
            return sock
        sock.settimeout(_left(deadline))
        try:
            return (self.tls or _trusting()).wrap_socket(sock, server_hostname=place.host)
        except BaseException:
            sock.close()
            raise

    def _judged(self, place: "_Place", deadline: float) -> list["_Found"]:
        """One address inside is enough for a no: nobody has a good reason to mix them."""
        found = _looked_up(place, _left(deadline))
        for each in found:
            if not may_be_called(each.address[0], self.allow):
                raise _Unanswered(f"{place.host} is {each.address[0]}, {_INSIDE}")
        return found


# --- where to ---


def why_never(url: str, allow: Sequence[Network] = ()) -> str | None:
    """Why nothing can ever be posted there, by what is written alone; None: nothing speaks against it.

    A name is not looked up: tomorrow it may be somebody else's. What it is, is judged at every connection.
    """
    try:
        host = _Place.of(url).host.rstrip(".").lower()
    except _Unanswered as unanswered:
        return str(unanswered)
    written = _written(host)
    if not written or any(may_be_called(address, allow) for address in written):
        return None
    return f"{host} is {written[0]}, {_INSIDE}"


def _written(host: str) -> list[str]:
    """The addresses that this can only be: a number in one of its many spellings, or this machine itself."""
    if host == "localhost" or host.endswith(".localhost"):
        return ["127.0.0.1", "::1"]
    try:
        return [str(ip_address(host))]
    except ValueError:
        pass
    try:
        return [socket.inet_ntoa(socket.inet_aton(host))]  # 127.1, 0x7f.1, 2130706433
    except OSError:
        return []


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """A URL, taken apart."""

    host: str
    port: int
    path: str
    encrypted: bool

    @classmethod
    def of(cls, url: str) -> "_Place":
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError as error:
            raise _Unanswered("its URL is none") from error
        if parts.scheme not in _PORTS or not host:
            raise _Unanswered("its URL does not begin with https:// or http:// and a host")
        if parts.username is not None or parts.password is not None:
            raise _Unanswered("its URL has a name or a password before the host. Take it out")
        return cls(
            host=_in_ascii(host),
            port=port or _PORTS[parts.scheme],
            path=_path(parts),
            encrypted=parts.scheme == "https",
        )

    @property
    def spoken(self) -> str:
        """As the Host header names it."""
        name = f"[{self.host}]" if ":" in self.host else self.host
        usual = self.port == _PORTS["https" if self.encrypted else "http"]
        return name if usual else f"{name}:{self.port}"


def _in_ascii(host: str) -> str:
    """What cannot be looked up, or stand in a certificate, is no name: empty labels, and those that are too long."""
    try:
        name = host.encode("idna").decode("ascii") if len(host) <= _LONGEST_HOST else ""
    except UnicodeError:
        name = ""
    if not _HOST.fullmatch(name):
        raise _Unanswered("the host in its URL is no name of one")
    return name


def _path(parts: SplitResult) -> str:
    asked = f"?{quote(parts.query, safe=_AS_WRITTEN)}" if parts.query else ""
    return (quote(parts.path, safe=_AS_WRITTEN) or "/") + asked


@dataclass(frozen=True, slots=True)
class _Found:
    """One address of a name."""

    family: int
    address: Any


def _looked_up(place: _Place, patience: float) -> list[_Found]:
    """The resolver has no deadline of its own, so it is asked aside, and may go on alone."""
    heard: list[list[_Found] | Exception] = []

    def ask() -> None:
        try:
            rows = socket.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)
            heard.append([_Found(row[0], row[4]) for row in rows])
        except (OSError, UnicodeError) as error:
            heard.append(error)

    asking = Thread(target=ask, name="relent-resolver", daemon=True)
    asking.start()
    asking.join(patience)
    if not heard:
        raise TimeoutError
    if isinstance(heard[0], Exception):
        raise _Unanswered(f"{place.host} is not known: {_in_words(heard[0])}") from heard[0]
    return heard[0]


def _reached(found: list[_Found], deadline: float) -> socket.socket:
    last: OSError = OSError("it has no address")
    for each in found:
        sock = socket.socket(each.family, socket.SOCK_STREAM)
        try:
            sock.settimeout(min(_left(deadline), _PER_ADDRESS))
            sock.connect(each.address)
        except OSError as error:
            sock.close()
            last = error
        else:
            return sock
    raise _Unanswered(f"it cannot be reached: {_in_words(last)}") from last


def _left(deadline: float) -> float:
    if (left := deadline - monotonic()) <= 0:
        raise TimeoutError
    return left


@cache
def _trusting() -> ssl.SSLContext:
    """Read once: the authorities of a machine are many."""
    return ssl.create_default_context()


# --- what is said ---


def _head(place: _Place, call: Call, signature: dict[str, str]) -> bytes:
    lines = {
        "Host": place.spoken,
        "User-Agent": "Relent",
        "Content-Type": "application/json",
        "Content-Length": str(len(call.body)),
        "Accept-Encoding": "identity",
        "Connection": "close",
        # Standard Webhooks signs as Svix does, under names of its own
        **{name.replace("svix-", "webhook-"): value for name, value in signature.items()},
        **(signature if call.secrets else {}),  # whoever has a secret of his own was promised Svix's names
    }
    wanted = _besides(call.headers)
    kept = {name: value for name, value in lines.items() if name.lower() not in map(str.lower, wanted)}
    said = (f"{name}: {value}" for name, value in (kept | wanted).items())
    return "\r\n".join([f"POST {place.path} HTTP/1.1", *said, "", ""]).encode("ascii")


def _besides(headers: Mapping[str, str]) -> dict[str, str]:
    """Judged once more: nothing that anybody wrote ends a line of ours, or speaks in our name."""
    for name, value in headers.items():
        if why := why_no_header(name, value):
            raise _Unanswered(f"one of its headers cannot be sent: {why}")
    return dict(headers)


class _Line(io.RawIOBase):
    """A socket on which everything together has one deadline, and an answer has an end."""

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        super().__init__()
        self._sock = sock
        self._deadline = deadline
        self._room = _ENOUGH

    def say(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            self._sock.settimeout(_left(self._deadline))
            rest = rest[self._sock.send(rest) :]

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        into = memoryview(buffer)[: self._room]
        if not into:
            return 0
        self._sock.settimeout(_left(self._deadline))
        number = self._sock.recv_into(into)
        self._room -= number
        return number

    def makefile(self, *_: object) -> io.BufferedReader:
        """What http.client asks a socket for."""
        return io.BufferedReader(self)


def _answer(line: _Line) -> Answer:
    with HTTPResponse(cast("socket.socket", line), method="POST") as response:
        response.begin()
        status = response.status
        if 200 <= status < 300:
            return Answer(status, "")
        if 300 <= status < 400:
            return Answer(status, "a redirect is not followed: write the URL it leads to")
        return Answer(status, _few_words(response))


def _few_words(response: HTTPResponse) -> str:
    """The beginning of what it says, for whoever looks into it; cut off in the middle if it never ends."""
    said = b""
    try:
        while more := response.read1(_ENOUGH):
            said += more
    except (OSError, HTTPException, ValueError):
        pass
    return _printable(said.decode("utf-8", "replace"))


def _in_words(error: Exception) -> str:
    match error:
        case ssl.SSLCertVerificationError():
            return f"its certificate is not to be trusted: {error.verify_message}"
        case OSError(strerror=str(words)) if words:
            return _printable(words)
        case _:
            return _printable(str(error)) or type(error).__name__


def _printable(text: str) -> str:
    """A stranger's words on one short line."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())[:_FEW_WORDS]
