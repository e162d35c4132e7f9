"""Strangers at the socket: none of them may cost us much, or keep anybody else waiting."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from relent import listen as listening
from relent.web import create_app
from tests.makers import enrolled, pending, received, signed


@pytest.fixture
def port(house, monkeypatch) -> Iterator[int]:
    """The real server with its real protocol, on a real socket; a little less patient, so that nobody waits."""
    monkeypatch.setattr(listening, "_SLOWEST_HEAD", 0.5)
    listener = socket.create_server(("127.0.0.1", 0))
    servers: list[listening.PoliteServer] = []
    real = listening.PoliteServer.run

    def run(self, sockets=None):
        servers.append(self)
        real(self, sockets)

    monkeypatch.setattr(listening.PoliteServer, "run", run)
    thread = threading.Thread(target=listening.listen, args=(create_app(house, with_worker=False), listener))
    thread.start()
    while not servers or not servers[0].started:
        time.sleep(0.01)
    yield listener.getsockname()[1]
    servers[0].should_exit = True
    thread.join()
    listener.close()


@contextmanager
def _connected(port: int) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as sock:
        yield sock


def _answer(sock: socket.socket) -> bytes:
    """All that comes until the other side hangs up or falls silent."""
    said = b""
    try:
        while part := sock.recv(65536):
            said += part
    except (TimeoutError, ConnectionError):
        pass
    return said


def _pour(sock: socket.socket) -> int:
    """Headers without end; how many bytes of them somebody was ready to take."""
    sent = 0
    with suppress(ConnectionError, TimeoutError):
        while sent < 100_000_000:
            sock.sendall(b"X: " + b"a" * 65000 + b"\r\n")
            sent += 65000
            time.sleep(0.001)
    return sent


def _reply(port: int, store, clock) -> bytes:
    thread_id = pending(store, clock.now())[0]["thread_id"]
    post = signed(received(thread_id), clock.now())
    lines = "".join(f"{name}: {value}\r\n" for name, value in post["headers"].items())
    head = f"POST /webhooks/agentmail HTTP/1.1\r\nhost: x\r\n{lines}content-length: {len(post['content'])}\r\nconnection: close\r\n\r\n"
    with _connected(port) as sock:
        sock.sendall(head.encode() + post["content"])
        return _answer(sock)


def test_a_head_without_end_is_cut_off(port):
    with _connected(port) as sock:
        sock.sendall(b"POST /webhooks/agentmail HTTP/1.1\r\nhost: x\r\n")
        assert _pour(sock) < 30_000_000


@pytest.mark.parametrize(
    "head",
    [
        b"POST /webhooks/agentmail HTTP/1.1\r\nhost: x\r\nx: " + b"a" * 1_000_000 + b"\r\n\r\n",
        b"POST /webhooks/agentmail HTTP/1.1\r\nhost: x\r\n"
        + b"".join(b"x%d: y\r\n" % n for n in range(10_000))
        + b"\r\n",
        b"POST /" + b"a" * 100_000 + b" HTTP/1.1\r\nhost: x\r\n\r\n",
    ],
    ids=["one long header", "ten thousand headers", "a long path"],
)
def test_a_head_that_is_too_long_is_refused_and_nothing_breaks(port, head):
    with _connected(port) as sock:
        try:
            sock.sendall(head)
            said = _answer(sock)
        except ConnectionError:
            said = b""
    assert said[:12] in {b"", b"HTTP/1.1 431", b"HTTP/1.1 401", b"HTTP/1.1 404", b"HTTP/1.1 400"}


@pytest.mark.parametrize("begun", [b"", b"P", b"POST /webhooks/agentmail HTTP/1.1\r\nContent-Le"])
def test_whoever_says_nothing_is_shown_out(port, begun):
    with _connected(port) as sock:
        sock.sendall(begun)
        asked = time.monotonic()
        _answer(sock)
    assert time.monotonic() - asked < 3


def test_a_slow_head_on_a_connection_that_was_used_is_shown_out_too(port):
    with _connected(port) as sock:
        sock.sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
        assert sock.recv(65536).startswith(b"HTTP/1.1 200")
        sock.sendall(b"GET /heal")
        asked = time.monotonic()
        _answer(sock)
    assert time.monotonic() - asked < 3


@pytest.mark.parametrize(
    "head",
    [
        b"POST /nowhere HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\n",
        b"POST /healthz HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\n",
        b"POST /webhooks/agentmail HTTP/1.1\r\nhost: x\r\ncontent-encoding: gzip\r\ncontent-length: 1000000\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
        b"sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    ],
    ids=["no such page", "no such method", "packed", "another protocol"],
)
def test_whoever_was_answered_early_cannot_go_on_dripping(port, head):
    with _connected(port) as sock:
        sock.sendall(head)
        assert sock.recv(65536).startswith(b"HTTP/1.1 ")
        with suppress(ConnectionError):
            sock.sendall(b"a")
        asked = time.monotonic()
        _answer(sock)
    assert time.monotonic() - asked < 3


@pytest.mark.parametrize("path", [b"/webhooks/agentmail", b"/nowhere"])
def test_trailers_without_end_are_cut_off(port, path):
    with _connected(port) as sock:
        sock.sendall(b"POST " + path + b" HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n0\r\n")
        assert _pour(sock) < 30_000_000


def test_silent_strangers_keep_nobody_waiting(port, store, clock, monkeypatch):
    monkeypatch.setattr(listening, "most_connections", lambda: 20)
    enrolled(store, clock.now())
    strangers = [socket.create_connection(("127.0.0.1", port)) for _ in range(40)]
    try:
        time.sleep(1)  # they have had their time
        assert _reply(port, store, clock).startswith(b"HTTP/1.1 204")
    finally:
        for stranger in strangers:
            stranger.close()
    assert pending(store, clock.now()) == []


ODDITIES = {
    "HTTP/1.0": b"POST /webhooks/agentmail HTTP/1.0\r\ncontent-length: 2\r\n\r\n{}",
    "an absolute path": b"POST http://x/webhooks/agentmail HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}",
    "two lengths": b"POST /webhooks/agentmail HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\ncontent-length: 3\r\nconnection: close\r\n\r\n{}",
    "a length and chunks": b"POST /webhooks/agentmail HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n0\r\n\r\n",
    "a chunk that is none": b"POST /webhooks/agentmail HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nZZ\r\n",
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "a header with strange bytes": b"POST /webhooks/agentmail HTTP/1.1\r\nhost: x\r\nsvix-id: \xff\xfe\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
    "another verb": b"BREW /webhooks/agentmail HTTP/1.1\r\nhost: x\r\n\r\n",
}


@pytest.mark.parametrize("said", ODDITIES.values(), ids=ODDITIES)
def test_what_is_hardly_http_is_no_fault_of_ours(port, said):
    with _connected(port) as sock:
        sock.sendall(said)
        answer = _answer(sock)
    assert not answer.startswith(b"HTTP/1.1 5")


def test_a_body_that_is_too_large_is_hung_up_on(port):
    with _connected(port) as sock:
        sock.sendall(b"POST /webhooks/agentmail HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n")
        try:
            for _ in range(100):
                sock.sendall(b"10000\r\n" + b"x" * 65536 + b"\r\n")
            said = _answer(sock)
        except ConnectionError:
            said = b"HTTP/1.1 413"
    assert said.startswith(b"HTTP/1.1 413")


def test_a_slash_at_the_end_is_no_reason_to_miss_an_answer(door, store, clock):
    enrolled(store, clock.now())
    thread_id = pending(store, clock.now())[0]["thread_id"]
    answer = door.post(
        "/webhooks/agentmail/", **signed(received(thread_id), clock.now()), follow_redirects=False
    )
    assert answer.status_code == 204
