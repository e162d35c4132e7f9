"""`relent serve`, as a user has it running: real processes, real time, real kills."""

import random
import signal
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.makers import received, signed
from tests.relent.processes import SEQUENCE, Folder


@pytest.fixture
def folder(tmp_path: Path, database_url: str) -> Folder:
    return Folder(tmp_path, database_url)


def _write_slower(folder: Folder, wait: str) -> None:
    """The same sequence, for what must not be overtaken by it on a busy machine."""
    (folder.path / "slower.yaml").write_text(SEQUENCE.replace("1s", wait))


def _answer(folder: Folder, thread_id: str, event_id: str = "evt_1") -> int | None:
    """Somebody answers, now."""
    post = signed(received(thread_id, event_id=event_id), datetime.now(UTC), delivery_id=f"msg_{event_id}")
    return folder.post(post["content"], post["headers"])


def test_who_does_not_answer_gets_three_mails_in_one_thread(folder):
    with folder.serving():
        folder.run("enroll", "seconds.yaml", "--email", "ida@nordic.example", "--var", "first_name=Ida")
        folder.wait_for(lambda: folder.json("people")[0]["state"] == "finished")

    first, second, third = folder.json("messages")
    assert len({first["thread_id"], second["thread_id"], third["thread_id"]}) == 1
    assert [mail["subject"] for mail in (first, second, third)] == [
        "Hello Ida",
        "Re: Hello Ida",
        "Re: Hello Ida",
    ]
    assert [mail["in_reply_to"] for mail in (first, second, third)] == [
        None,
        first["message_id"],
        second["message_id"],
    ]
    assert third["references"] == [first["message_id"], second["message_id"]]
    assert all(
        mail["direction"] == "sent" and mail["timestamp"].endswith("Z") for mail in (first, second, third)
    )


def test_who_answers_gets_nothing_more(folder):
    _write_slower(folder, "10s")
    with folder.serving():
        folder.run("enroll", "slower.yaml", "--email", "ida@nordic.example", "--var", "first_name=Ida")
        [bump] = folder.wait_for(
            lambda: [draft for draft in folder.json("drafts") if draft["step"] == "step-2"]
        )
        assert _answer(folder, bump["thread_id"]) == 204
        assert datetime.now(UTC) < datetime.fromisoformat(bump["send_at"]), "this machine is too slow to say"
        while datetime.now(UTC) < datetime.fromisoformat(bump["send_at"]) + timedelta(seconds=2):
            time.sleep(0.1)

    assert [mail["step"] for mail in folder.json("messages") if mail["direction"] == "sent"] == ["step-1"]
    assert folder.json("drafts") == []
    assert folder.json("people")[0]["stop_reason"] == "replied"
    assert folder.json("status")["webhooks"] == {"received": 1, "refused": 0, "cancelled": 1}


def test_killed_at_any_moment_nothing_is_sent_twice_or_lost_or_after_an_answer(folder):
    """kill -9, again and again, while letters leave and people answer; then whatever is left is done in peace."""
    chance = random.Random(7)
    people = "\n".join(f"p{number}@nordic.example,P{number}" for number in range(40))
    (folder.path / "people.csv").write_text(f"email,first_name\n{people}\n")
    folder.run("enroll", "seconds.yaml", "people.csv")
    threads = {person["email"]: person["thread_id"] for person in folder.json("people")}
    acknowledged: dict[str, datetime] = {}
    enough = threading.Event()

    def answer_now_and_then() -> None:
        for number, (email, thread_id) in enumerate(list(threads.items())[::3]):
            while not enough.is_set():
                if _answer(folder, thread_id, f"evt_{number}") == 204:
                    acknowledged[email] = datetime.now(UTC)
                    break
                time.sleep(0.05)
            if enough.wait(0.15):
                return

    answering = threading.Thread(target=answer_now_and_then)
    answering.start()
    try:
        for _ in range(5):
            process = folder.start("serve")
            folder.wait_until_ready(process)
            time.sleep(chance.uniform(0.0, 0.6))
            process.send_signal(signal.SIGKILL)
            process.wait(10)
        with folder.serving():
            folder.wait_for(lambda: all(person["state"] != "active" for person in folder.json("people")), 120)
    finally:
        enough.set()
        answering.join()

    sent = [mail for mail in folder.json("messages") if mail["direction"] == "sent"]
    steps = [(mail["thread_id"], mail["step"]) for mail in sent]
    assert len(steps) == len(set(steps))
    for person in folder.json("people"):
        got = [mail for mail in sent if mail["thread_id"] == person["thread_id"]]
        if person["email"] in acknowledged:
            answered = acknowledged[person["email"]]
            assert all(datetime.fromisoformat(mail["timestamp"]) <= answered for mail in got)
        else:
            assert (person["state"], len(got)) == ("finished", 3)
    assert acknowledged
    assert folder.json("drafts") == []
    assert folder.json("status")["uncertain"] == 0


def test_a_polite_end_is_quick_and_clean(folder):
    with folder.serving() as process:
        begun = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    assert time.monotonic() - begun < 5
    assert "Traceback" not in (folder.path / "log.txt").read_text()


def test_a_worker_beside_the_server_sends_too_and_stops_politely(folder):
    worker = folder.start("work")
    folder.run("enroll", "seconds.yaml", "--email", "ida@nordic.example", "--var", "first_name=Ida")
    folder.wait_for(lambda: len(folder.json("messages")) == 3)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(10) == 0


def test_a_burst_sends_what_is_due_and_leaves(folder):
    _write_slower(folder, "1h")
    folder.run("enroll", "slower.yaml", "--email", "ida@nordic.example", "--var", "first_name=Ida")
    folder.run("work", "--burst")
    assert [mail["step"] for mail in folder.json("messages")] == ["step-1"]


def test_a_port_that_is_taken_is_told_in_words(folder):
    with folder.serving():
        assert "could not listen" in folder.run("serve", code=1)
