"""We knock at somebody's door: signed, only where we may go, and never for longer than agreed."""

import base64
import json
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network

import pytest
import trustme
from svix.webhooks import Webhook, WebhookVerificationError

from engine.calls import Answer, Call
from tests.makers import SECRET
from webhooks.sender import Sender, may_be_called
from webhooks.signature import Verifier, decode_secret

KEY = decode_secret(SECRET)
HOME = (ip_network("127.0.0.0/8"),)
BODY = json.dumps({"type": "sequence.step", "id": "cal_1", "email": "ida@nordic.example"}).encode()
Behaviour = Callable[["Endpoint", socket.socket], None]


class Endpoint:
    """Somebody's server, that remembers what it was asked and answers as a test says."""

    def __init__(
        self, behave: Behaviour, *, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None
    ) -> None:
        self.asked: list[bytes] = []
        self.visits = 0
        self.closing = threading.Event()
        self._behave, self._tls = behave, tls
        self._door = socket.create_server((host, 0))
        self.port: int = self._door.getsockname()[1]
        self.url = f"http{'s' if tls else ''}://{host}:{self.port}/hook"
        self._threads = [threading.Thread(target=self._open)]

    def __enter__(self) -> "Endpoint":
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        with suppress(OSError):
            self._door.shutdown(socket.SHUT_RDWR)
        self._door.close()
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive()

    def _open(self) -> None:
        while True:
            try:
                sock, _ = self._door.accept()
            except OSError:
                return
            self.visits += 1
            self._threads.append(threading.Thread(target=self._converse, args=[sock]))
            self._threads[-1].start()

    def _converse(self, sock: socket.socket) -> None:
        with suppress(OSError), sock:
            sock.settimeout(5)
            if self._tls:
                sock = self._tls.wrap_socket(sock, server_side=True)
            with sock:
                self._behave(self, sock)

    def listen(self, sock: socket.socket) -> None:
        data = b""
        while b"\r\n\r\n" not in data:
            data += self._more(sock)
        head, _, body = data.partition(b"\r\n\r\n")
        length = next(
            int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.startswith(b"Content-L")
        )
        while len(body) < length:
            body += self._more(sock)
        self.asked.append(head + b"\r\n\r\n" + body)

    def _more(self, sock: socket.socket) -> bytes:
        if not (data := sock.recv(65536)):
            raise ConnectionResetError
        return data


def says(status: int, body: bytes = b"", *more: str) -> Behaviour:
    def behave(endpoint: Endpoint, sock: socket.socket) -> None:
        endpoint.listen(sock)
        head = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body)}", *more, "", ""]
        sock.sendall("\r\n".join(head).encode() + body)

    return behave


def drips(beginning: bytes) -> Behaviour:
    """A byte now and then: each of them in time, all of them much too late."""

    def behave(endpoint: Endpoint, sock: socket.socket) -> None:
        endpoint.listen(sock)
        sock.sendall(beginning)
        while not endpoint.closing.wait(0.05):
            sock.sendall(b"x")

    return behave


def streams(beginning: bytes, again: bytes) -> Behaviour:
    """As fast as it can, and for ever."""

    def behave(endpoint: Endpoint, sock: socket.socket) -> None:
        endpoint.listen(sock)
        sock.sendall(beginning)
        while not endpoint.closing.is_set():
            sock.sendall(again)

    return behave


def stays_silent(endpoint: Endpoint, sock: socket.socket) -> None:
    endpoint.closing.wait(5)


def hangs_up(endpoint: Endpoint, sock: socket.socket) -> None:
    endpoint.listen(sock)


def resets(endpoint: Endpoint, sock: socket.socket) -> None:
    endpoint.listen(sock)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def is_no_http(endpoint: Endpoint, sock: socket.socket) -> None:
    endpoint.listen(sock)
    sock.sendall(b"220 mail.example ESMTP\x1b[31m\r\n")


def post(
    url: str, *, patience: float = 5.0, now: datetime | None = None, sender: Sender | None = None
) -> Answer:
    sender = sender or Sender(secret=KEY, allow=HOME, patience=patience)
    return sender.post(Call(id="cal_1", url=url, body=BODY), now or datetime.now(UTC))


def known_as(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> list[str]:
    """From now on every name has these addresses. Returns who was looked up."""
    asked: list[str] = []

    def look_up(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        asked.append(host)
        return [
            (
                (socket.AF_INET6, socket.SOCK_STREAM, 6, "", (address, port, 0, 0))
                if ":" in address
                else (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
            )
            for address in addresses
        ]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return asked


def headers_of(asked: bytes) -> dict[str, str]:
    head = asked.partition(b"\r\n\r\n")[0].decode()
    return dict(line.split(": ", 1) for line in head.split("\r\n")[1:])


# --- what is said ---


def test_whoever_is_called_can_believe_it_is_us():
    with Endpoint(says(204)) as endpoint:
        assert post(endpoint.url).is_yes

    [asked] = endpoint.asked
    body, headers = asked.partition(b"\r\n\r\n")[2], headers_of(asked)
    assert body == BODY
    assert headers["webhook-id"] == "cal_1"
    Webhook(SECRET).verify(body, headers)  # raises unless the library of others believes it
    pairs = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    assert Verifier(secrets=(KEY,), tolerance=timedelta(minutes=1)).verify(body, pairs, datetime.now(UTC))


def test_it_is_signed_at_the_hour_of_the_story_not_of_the_machine():
    hour = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
    with Endpoint(says(204)) as endpoint:
        post(endpoint.url, now=hour)
    assert headers_of(endpoint.asked[0])["webhook-timestamp"] == str(int(hour.timestamp()))


def test_the_url_arrives_as_it_was_written():
    with Endpoint(says(204)) as endpoint:
        post(f"http://127.0.0.1:{endpoint.port}/hook/%20/ø?who=ida%40nordic.example&ø=1#never-told")

    request = endpoint.asked[0].split(b"\r\n")
    assert request[0] == b"POST /hook/%20/%C3%B8?who=ida%40nordic.example&%C3%B8=1 HTTP/1.1"
    assert f"Host: 127.0.0.1:{endpoint.port}".encode() in request


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_two_hundred_and_something_is_a_yes(status):
    with Endpoint(says(status)) as endpoint:
        assert post(endpoint.url) == Answer(status, "")


@pytest.mark.parametrize("status", [300, 304, 400, 401, 404, 410, 413, 429, 500, 503, 599])
def test_anything_else_is_no_yes(status):
    with Endpoint(says(status)) as endpoint:
        answer = post(endpoint.url)
    assert (answer.is_yes, answer.status) == (False, status)


def test_a_human_reads_the_first_words_of_what_was_said_and_no_escape_sequence():
    with Endpoint(says(500, b"\x1b[31mThe\r\nqueue  is full" + b"." * 5000)) as endpoint:
        answer = post(endpoint.url)
    assert answer.words.startswith("[31mThe queue is full...")
    assert len(answer.words) == 200
    assert answer.words.isprintable()


def test_without_a_secret_nothing_is_sent_and_it_says_so():
    with Endpoint(says(204)) as endpoint:
        answer = post(endpoint.url, sender=Sender(secret=None, allow=HOME))
    assert "webhooks.outbound.secret" in answer.words
    assert endpoint.visits == 0


def test_a_secret_is_shown_to_nobody():
    sender = Sender(secret=KEY, allow=HOME)
    assert "blackbird" not in repr(sender)
    assert KEY.decode() not in repr(sender)
    call = Call(id="cal_1", url="https://hooks.example/T0/secret-token", body=BODY)
    assert "secret-token" not in repr(call)
    with Endpoint(hangs_up) as endpoint:
        answer = post(endpoint.url + "?token=secret-token")
    assert "secret-token" not in str(answer)


# --- for how long ---


@pytest.mark.parametrize(
    "behave",
    [
        stays_silent,
        drips(b"HTTP/1.1 200 "),
        drips(b"HTTP/1.1 200 OK\r\nSlowly: "),
        streams(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        streams(b"HTTP/1.1 200 OK\r\n", b"Another: header\r\n"),
    ],
    ids=["silent", "slow status", "slow headers", "endless 100", "endless headers"],
)
def test_who_never_comes_to_an_end_has_not_answered(behave):
    with Endpoint(behave) as endpoint:
        began = time.monotonic()
        answer = post(endpoint.url, patience=0.4)
        took = time.monotonic() - began
    assert answer.status is None
    assert answer.words
    assert took < 2


@pytest.mark.parametrize(
    "behave",
    [
        drips(b"HTTP/1.1 500 No\r\nContent-Length: 1000000\r\n\r\nSorry"),
        streams(b"HTTP/1.1 500 No\r\n\r\nSorry", b"!" * 65536),
        streams(b"HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\n", b"5\r\nSorry\r\n"),
    ],
    ids=["slow body", "endless body", "endless chunks"],
)
def test_a_no_that_never_ends_is_still_a_no(behave):
    with Endpoint(behave) as endpoint:
        began = time.monotonic()
        answer = post(endpoint.url, patience=0.4)
        took = time.monotonic() - began
    assert answer.status == 500
    assert answer.words.startswith("Sorry")
    assert len(answer.words) <= 200
    assert took < 2


def test_a_yes_need_not_be_read_to_its_end():
    with Endpoint(streams(b"HTTP/1.1 200 OK\r\n\r\n", b"!" * 65536)) as endpoint:
        assert post(endpoint.url) == Answer(200, "")


def test_a_handshake_has_an_end_too():
    with Endpoint(stays_silent) as endpoint:
        answer = post(endpoint.url.replace("http:", "https:"), patience=0.3)
    assert answer.status is None


def test_a_resolver_that_hangs_is_not_waited_for(monkeypatch):
    over = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: over.wait(10) and [])
    began = time.monotonic()
    answer = post("https://crm.example/hook", patience=0.3)
    took = time.monotonic() - began
    over.set()
    assert answer == Answer(None, "no answer within 0.3 s")
    assert took < 2


@pytest.mark.parametrize("behave", [hangs_up, resets, is_no_http])
def test_who_hangs_up_has_not_answered(behave):
    with Endpoint(behave) as endpoint:
        answer = post(endpoint.url)
    assert answer.status is None
    assert answer.words
    assert answer.words.isprintable()


def test_where_nobody_listens_nobody_answers():
    with Endpoint(says(204)) as endpoint:
        pass
    assert post(endpoint.url).status is None


def test_of_several_addresses_one_that_can_be_reached_is_enough(monkeypatch):
    with Endpoint(says(204), host="127.0.0.3") as endpoint:
        known_as(monkeypatch, "127.0.0.2", "127.0.0.3")
        assert post(f"http://crm.example:{endpoint.port}/").is_yes
    assert headers_of(endpoint.asked[0])["Host"] == f"crm.example:{endpoint.port}"


# --- where to ---


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_followed_nowhere(status):
    with (
        Endpoint(says(204)) as elsewhere,
        Endpoint(says(status, b"", f"Location: {elsewhere.url}")) as endpoint,
    ):
        answer = post(endpoint.url)
    assert answer.status == status
    assert not answer.is_yes
    assert elsewhere.visits == 0


@pytest.mark.parametrize(
    "address",
    ["8.8.8.8", "1.1.1.1", "93.184.216.34", "2606:4700:4700::1111", "2a00:1450:400f:80c::200e"],
)
def test_the_world_may_be_called(address):
    assert may_be_called(address)


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.5",
        "100.64.0.1",
        "100.100.100.200",  # a cloud's metadata
        "127.0.0.1",
        "127.255.255.254",
        "168.63.129.16",  # another cloud's, in the world by its number
        "169.254.0.1",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.192",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.1.1",
        "198.18.0.1",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "224.0.1.1",
        "239.255.255.250",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:10.0.0.5",
        "::ffff:127.0.0.1",
        "::ffff:8.8.8.8",
        "64:ff9b::7f00:1",
        "64:ff9b:1::1",
        "100::1",
        "2001::1",
        "2001:db8::1",
        "2002:7f00:1::1",
        "3fff::1",
        "5f00::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "ff02::1",
        "ff0e::1",
    ],
)
def test_our_own_networks_and_nobodys_may_not_be_called(address):
    assert not may_be_called(address)


@pytest.mark.parametrize(
    ("address", "network", "may"),
    [
        ("10.1.2.3", "10.1.0.0/16", True),
        ("10.2.2.3", "10.1.0.0/16", False),
        ("127.0.0.1", "127.0.0.1/32", True),
        ("::ffff:10.1.2.3", "10.1.0.0/16", False),
        ("fd12::1", "fd12::/16", True),
        ("fd13::1", "10.1.0.0/16", False),
    ],
)
def test_a_network_that_is_named_may_be_called(address, network, may):
    assert may_be_called(address, (ip_network(network),)) == may


@pytest.mark.parametrize(
    "addresses",
    [["127.0.0.1"], ["::1"], ["::ffff:127.0.0.1"], ["10.0.0.5"], ["8.8.8.8", "127.0.0.1"]],
)
def test_a_name_that_leads_inside_leads_nowhere(monkeypatch, addresses):
    with Endpoint(says(204)) as endpoint:
        known_as(monkeypatch, *addresses)
        answer = post(f"http://innocent.example:{endpoint.port}/", sender=Sender(secret=KEY))
    assert answer.status is None
    assert "webhooks.outbound.allow" in answer.words
    assert endpoint.visits == 0


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.1", "0x7f.1", "2130706433", "0177.0.0.1", "localhost", "0", "[::ffff:127.0.0.1]"],
)
def test_our_own_door_has_no_spelling_by_which_it_opens(host):
    with Endpoint(says(204)) as endpoint:
        answer = post(f"http://{host}:{endpoint.port}/", sender=Sender(secret=KEY))
    assert answer.status is None
    assert endpoint.visits == 0


def test_a_name_is_asked_once_and_the_answer_holds(monkeypatch):
    """Whoever owns a name may change what it means between a look and a step."""
    answers = iter([["127.0.0.2"], ["127.0.0.1"], ["127.0.0.1"]])
    asked = []

    def look_up(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in next(answers)]

    with Endpoint(says(204), host="127.0.0.2") as endpoint:
        monkeypatch.setattr(socket, "getaddrinfo", look_up)
        only = Sender(secret=KEY, allow=(ip_network("127.0.0.2/32"),))
        assert post(f"http://fickle.example:{endpoint.port}/", sender=only).is_yes
    assert asked == ["fickle.example"]


@pytest.mark.parametrize(
    "url",
    [
        "ftp://127.0.0.1/hook",
        "file:///etc/passwd",
        "gopher://127.0.0.1/",
        "http:///hook",
        "http://[::1/hook",
        "http://127.0.0.1:99999/",
        "http://sam:secret-word@127.0.0.1/",
        "http://a b.example/",
        "http://crm.example\r\nX-Evil: 1/",
        "//127.0.0.1/",
        "https://" + "a" * 300 + "/",
        "",
    ],
)
def test_what_is_no_url_of_the_web_is_called_nowhere(monkeypatch, url):
    asked = known_as(monkeypatch, "127.0.0.1")
    answer = post(url)
    assert answer.status is None
    assert answer.words
    assert "secret-word" not in answer.words
    assert asked in ([], ["crm.example"])  # a line break in a host is dropped by the parser, and is no header


@pytest.mark.parametrize("host", [".crm.example", "crm..example", "a" * 64 + ".example", "*.example", "xn--"])
def test_a_host_that_no_certificate_can_bear_is_no_crash(monkeypatch, encrypted, trusting, host):
    known_as(monkeypatch, "127.0.0.1")
    answer = post(f"https://{host}:{encrypted.port}/", sender=trusting)
    assert answer.status is None
    assert answer.words
    assert encrypted.asked == []


def test_a_proxy_that_the_machine_knows_is_not_asked(monkeypatch):
    """It would look the name up once more, and go wherever it leads."""
    with Endpoint(says(204)) as proxy, Endpoint(says(204)) as endpoint:
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        assert post(endpoint.url).is_yes
    assert proxy.visits == 0


# --- encrypted ---


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def trusting(authority: trustme.CA) -> Sender:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return Sender(secret=KEY, allow=HOME, tls=context)


@pytest.fixture
def encrypted(authority: trustme.CA) -> Iterator[Endpoint]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("crm.example", "127.0.0.1").configure_cert(context)
    with Endpoint(says(204), tls=context) as endpoint:
        yield endpoint


@pytest.mark.parametrize("host", ["crm.example", "127.0.0.1"])
def test_a_certificate_that_bears_the_name_is_trusted(monkeypatch, encrypted, trusting, host):
    known_as(monkeypatch, "127.0.0.1")
    assert post(f"https://{host}:{encrypted.port}/hook", sender=trusting).is_yes


def test_a_certificate_for_another_name_hears_nothing(monkeypatch, encrypted, trusting):
    known_as(monkeypatch, "127.0.0.1")
    answer = post(f"https://erp.example:{encrypted.port}/hook", sender=trusting)
    assert answer.status is None
    assert "certificate" in answer.words
    assert encrypted.asked == []


def test_a_certificate_that_nobody_vouches_for_hears_nothing(encrypted):
    answer = post(encrypted.url)
    assert answer.status is None
    assert "certificate" in answer.words
    assert encrypted.asked == []


def test_the_clear_is_not_taken_for_the_encrypted():
    with Endpoint(says(204)) as endpoint:
        answer = post(endpoint.url.replace("http:", "https:"), patience=0.5)
    assert answer.status is None
    assert endpoint.asked == []


# --- for one who has a secret of their own ---


def test_it_is_signed_with_all_of_theirs_and_none_of_ours():
    first, second = (
        decode_secret("whsec_" + base64.b64encode(letter * 32).decode()) for letter in (b"1", b"2")
    )
    with Endpoint(says(204)) as endpoint:
        call = Call(id="msg_1", url=endpoint.url, body=BODY, secrets=(first, second))
        Sender(secret=KEY, allow=HOME).post(call, datetime.now(UTC))

    headers = headers_of(endpoint.asked[0])
    assert {headers["svix-id"], headers["webhook-id"]} == {"msg_1"}
    assert headers["svix-signature"] == headers["webhook-signature"]
    for secret in (first, second):
        Webhook(base64.b64encode(secret).decode()).verify(BODY, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(BODY, headers)


def test_whose_secret_is_there_needs_none_of_the_configuration():
    with Endpoint(says(204)) as endpoint:
        call = Call(id="msg_1", url=endpoint.url, body=BODY, secrets=(KEY,))
        assert Sender(secret=None, allow=HOME).post(call, datetime.now(UTC)).is_yes


@pytest.mark.parametrize(
    ("name", "value"),
    [("Host", "x.test"), ("X-Token", "a\r\nHost: x.test"), ("svix-id", "msg_2"), ("X:", "a")],
)
def test_no_header_of_theirs_speaks_for_us_however_it_came_there(name, value):
    with Endpoint(says(204)) as endpoint:
        call = Call(id="msg_1", url=endpoint.url, body=BODY, headers={name: value})
        answer = Sender(secret=KEY, allow=HOME).post(call, datetime.now(UTC))
    assert "headers cannot be sent" in answer.words
    assert endpoint.visits == 0
