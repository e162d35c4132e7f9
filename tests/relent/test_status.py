"""`relent status`: how things stand, for a script and for somebody who has just been woken."""

import pytest

from engine.store import open_store
from relent.assemble import SystemClock
from tests.makers import IDA
from tests.relent.processes import Folder


@pytest.fixture
def folder(tmp_path, database_url):
    return Folder(tmp_path / "house", database_url)


def test_a_script_hears_what_is_due_who_sends_what_brakes_and_what_drifts(folder, database_url):
    folder.run("enroll", "seconds.yaml", "--email", IDA, "--var", "first_name=Ida")
    store = open_store(database_url)
    with store.transaction(SystemClock().now(), "a test") as ledger:
        ledger.watch.brake("the canary is silent")
        ledger.watch.sign("drift", labels=2, letters=0)
    store.close()

    with folder.serving():
        status = folder.json("status")
    assert {"drafts", "enrollments", "webhooks", "mode", "uncertain", "late", "switched_off"} < set(status)
    assert (status["due"], status["in_flight"], status["uncertain"]) == (1, 0, 0)
    assert status["braked"]["why"] == "the canary is silent"
    assert status["braked"]["since"].endswith("Z")
    assert status["drift"].items() >= {"labels": 2, "letters": 0}.items()
    [worker] = status["workers"]
    assert set(worker) >= {"host", "pid", "since", "version", "seen_at"}
    assert worker["seen_at"].endswith("Z")


def test_somebody_who_was_woken_reads_it_in_words(folder, database_url):
    folder.run("enroll", "seconds.yaml", "--email", IDA, "--var", "first_name=Ida")
    store = open_store(database_url)
    with store.transaction(SystemClock().now(), "a test") as ledger:
        ledger.watch.brake("the canary is silent")
        ledger.watch.sign("drift", labels=2, letters=0)
    store.close()

    told = folder.run("status")
    assert "nothing leaves since" in told
    assert "the canary is silent" in told
    assert "2 labels" in told
    assert "letters" not in told
    assert "1 due" in told
    assert "none was seen within half a minute" in told


def test_in_peace_little_is_said(folder):
    with folder.serving():
        told = folder.run("status")
    assert "braked" not in told
    assert "drift" not in told
    assert "process" in told
