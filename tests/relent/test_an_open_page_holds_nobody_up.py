"""Somebody has the dashboard open: the server ends all the same, and at once."""

import http.client
import signal
import time

from engine.members import Members
from engine.store import open_store
from relent.assemble import SystemClock
from tests.relent.processes import Folder


def test_a_page_that_listens_does_not_keep_the_server_from_ending(tmp_path):
    folder = Folder(tmp_path, "sqlite:///relent.db")
    with folder.serving() as process:
        store = open_store(f"sqlite:///{folder.path / 'relent.db'}")
        members = Members(store=store, clock=SystemClock())
        link = members.invite("ada@acme.example", "viewer", by="a test")
        guest = members.accept(link.token, "four plain words together")
        store.close()
        connection = http.client.HTTPConnection("127.0.0.1", folder.port, timeout=30)
        connection.request("GET", "/live", headers={"Cookie": f"relent_visit={guest.token}"})
        answer = connection.getresponse()
        assert answer.getheader("content-type").startswith("text/event-stream")
        assert answer.readline()

        begun = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(40) == 0

    assert time.monotonic() - begun < 10, "uvicorn would have waited fifteen seconds for the page"
    connection.close()
