"""Who has a page open is told what moves, for as long as they are in; and nobody else is."""

import json
import threading
from collections.abc import Iterator
from datetime import timedelta

import anyio
import pytest

from dashboard.live import MOST, MOST_EACH, Listener, Live, listening
from engine.brake import stop as stop_person
from engine.store import Store
from tests.makers import IDA, enrolled, pending, sequence

NEVER = threading.Event()


@pytest.fixture
def live(store: Store) -> Iterator[Live]:
    """It is over before its database is."""
    live = Live(look_every=0.05)
    yield live
    live.close()


def _hear(
    live: Live, listener: Listener, *, until: str, meanwhile=lambda: None, ending=NEVER, lasts=lambda: True
) -> str:
    """Everything up to this word, or to the end."""

    async def listen() -> str:
        heard = b""
        with anyio.fail_after(20):
            chunks = listening(listener, live, lasts=lasts, ending=ending)
            async for chunk in chunks:
                if not heard:
                    await anyio.to_thread.run_sync(meanwhile)
                heard += chunk
                if until and until.encode() in heard:
                    await chunks.aclose()
                    break
        return heard.decode()

    return anyio.run(listen)


def _events(heard: str, name: str) -> list[dict]:
    lines = [part.splitlines() for part in heard.split("\n\n")]
    return [
        json.loads(part[1].removeprefix("data: ")) for part in lines if part and part[0] == f"event: {name}"
    ]


def test_an_answer_is_told_to_whoever_has_a_page_open(store, clock, live):
    enrolled(store, clock.now(), wants=sequence(approval="all"))
    [waits] = pending(store, clock.now())
    clock.pass_(timedelta(hours=1))  # what was before is no news
    listener = live.join("mem_1", store, clock)
    threading.Event().wait(0.3)

    heard = _hear(
        live,
        listener,
        until="cancelled",
        meanwhile=lambda: stop_person(IDA, by="kim", store=store, clock=clock),
    )

    [moved] = _events(heard, "moved")
    assert moved == {
        "draft_id": waits["draft_id"],
        "state": "cancelled",
        "what": "draft: cancel",
        "why": "by_hand",
        "enrollment_id": waits["enrollment_id"],
        "email": IDA,
        "late": False,
    }


def test_what_moved_while_the_page_was_still_loading_is_told(store, clock, live):
    enrolled(store, clock.now(), wants=sequence(approval="all"))
    stop_person(IDA, by="kim", store=store, clock=clock)
    first = _hear(live, live.join("mem_1", store, clock), until="cancelled")
    told = _events(first, "moved")[-1]
    assert (told["state"], told["late"]) == ("cancelled", True)


def test_whoever_comes_later_hears_what_was_told_of_late(store, clock, live):
    enrolled(store, clock.now(), wants=sequence(approval="all"))
    clock.pass_(timedelta(hours=1))
    stays = live.join("mem_1", store, clock)
    threading.Event().wait(0.3)
    stop_person(IDA, by="kim", store=store, clock=clock)
    _wait_until(lambda: stays.unread)
    late = live.join("mem_2", store, clock)
    assert "cancelled" in _hear(live, late, until="cancelled")


def test_nothing_that_a_stranger_wrote_is_told(store, clock, live):
    words = "<script>alert(1)</script>"
    enrolled(store, clock.now(), wants=sequence({"subject": words, "body": words}, approval="all"))
    heard = _hear(live, live.join("mem_1", store, clock), until="held")
    assert "script" not in heard


def test_it_ends_with_the_server(store, clock, live):
    ending = threading.Event()
    heard = _hear(live, live.join("mem_1", store, clock), until="", meanwhile=ending.set, ending=ending)
    assert "retry" in heard
    assert len(live) == 0


def test_it_ends_when_the_visit_has_ended(store, clock, live, monkeypatch):
    monkeypatch.setattr("dashboard.live._ASK_EVERY", 0.1)
    heard = _hear(live, live.join("mem_1", store, clock), until="", lasts=lambda: False)
    assert "event: bye" in heard
    assert len(live) == 0


def test_a_pulse_is_sent_while_nothing_moves(store, clock, live, monkeypatch):
    monkeypatch.setattr("dashboard.live._PULSE_EVERY", 0.1)
    assert "event: pulse" in _hear(live, live.join("mem_1", store, clock), until="pulse")


def test_whoever_opens_one_page_too_many_loses_the_oldest(store, clock, live):
    pages = [live.join("mem_1", store, clock) for _ in range(MOST_EACH + 1)]
    assert [each.gone.is_set() for each in pages] == [True, *[False] * MOST_EACH]
    assert "event: bye" in _hear(live, pages[0], until="")
    assert len(live) == MOST_EACH


def test_so_many_may_listen_and_no_more(store, clock, live):
    for number in range(MOST):
        assert live.join(f"mem_{number}", store, clock)
    assert live.join("mem_another", store, clock) is None


def test_nobody_looks_at_the_log_while_nobody_listens(store, clock, live):
    listener = live.join("mem_1", store, clock)
    assert _watchers()
    live.leave(listener)
    _wait_until(lambda: not _watchers())


def test_whoever_went_without_a_word_is_forgotten(store, clock, live, monkeypatch):
    monkeypatch.setattr("dashboard.live._DEAF", 0.1)
    live.join("mem_1", store, clock)
    _wait_until(lambda: len(live) == 0)


def test_very_much_at_once_is_told_as_one_thing(store, clock, live, monkeypatch):
    monkeypatch.setattr("dashboard.live._AT_ONCE", 2)
    for number in range(4):
        enrolled(store, clock.now(), f"reader{number}@nordic.example", sequence(approval="all"))
    clock.pass_(timedelta(hours=1))
    listener = live.join("mem_1", store, clock)
    threading.Event().wait(0.3)
    for number in range(4):
        stop_person(f"reader{number}@nordic.example", by="kim", store=store, clock=clock)
    assert "data: {}" in _hear(live, listener, until="data: {}")


# --- over HTTP ---


def test_who_is_not_in_hears_nothing(front):
    assert front.get("/live").status_code == 303


def test_a_full_house_says_so_kindly(as_viewer, house, monkeypatch):
    monkeypatch.setattr("dashboard.live.MOST", 0)
    answer = as_viewer.get("/live")
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "60"


def _watchers() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name == "relent-live"]


def _wait_until(is_so) -> None:
    for _ in range(400):
        if is_so():
            return
        threading.Event().wait(0.025)
    raise AssertionError("it never came to that")


def test_who_was_signed_out_is_told_no_news(store, clock, live, monkeypatch):
    monkeypatch.setattr("dashboard.live._ASK_BEFORE_NEWS", 0.0)
    enrolled(store, clock.now(), wants=sequence(approval="all"))
    stop_person(IDA, by="kim", store=store, clock=clock)
    heard = _hear(live, live.join("mem_1", store, clock), until="", lasts=lambda: False)
    assert "event: bye" in heard
    assert "cancelled" not in heard
