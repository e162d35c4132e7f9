"""The writer at the door: whoever comes is told, whatever becomes of threads, and nobody waits unseen."""

import threading

import pytest

from engine import scribe as scribe_room
from engine.chorus import Said
from engine.errors import Overwhelmed
from engine.scribe import Scribe
from tests.makers import Ticket, tell

SAID = Said(event=None, raw=b"yes")


@pytest.fixture
def scribe(clock):
    scribe = Scribe(store=None, clock=clock, tell=tell)
    yield scribe
    scribe.close()


@pytest.fixture(autouse=True)
def hearing(monkeypatch):
    """Everything is heard at once, and together."""
    monkeypatch.setattr(scribe_room, "hear_together", lambda said, **_: ["heard"] * len(said))
    monkeypatch.setattr(scribe_room, "hear_alone", lambda said, **_: "heard alone")


def _said(scribe, said=SAID):
    ticket = Ticket()
    scribe.write(said, ticket)
    return ticket


def test_whoever_waits_to_be_heard_alone_is_counted_as_well(scribe, monkeypatch):
    go_on = threading.Event()
    monkeypatch.setattr(scribe_room, "_MOST_WAITING", 20)
    monkeypatch.setattr(scribe_room, "hear_together", lambda said, **_: [None] * len(said))
    monkeypatch.setattr(scribe_room, "hear_alone", lambda said, **_: go_on.wait(30) and "heard alone")

    waiting = [_said(scribe) for _ in range(20)]
    with pytest.raises(Overwhelmed):
        _said(scribe)
    assert scribe.behind() > 0
    go_on.set()
    for each in waiting:
        assert each.told.wait(10)
    assert scribe.behind() == 0
    assert _said(scribe).told.wait(10)


def test_who_cannot_begin_to_write_says_so_and_begins_when_it_can(scribe, monkeypatch):
    usual = threading.Thread.start

    def refused(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refused)
    with pytest.raises(Overwhelmed):
        _said(scribe)
    assert scribe.behind() == 0
    monkeypatch.setattr(threading.Thread, "start", usual)
    assert _said(scribe).told.wait(10)


def test_without_another_hand_the_writer_hears_them_alone(scribe, monkeypatch):
    def refused(*_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(scribe_room, "hear_together", lambda said, **_: [None] * len(said))
    monkeypatch.setattr(scribe._hands, "submit", refused)
    ticket = _said(scribe)
    assert ticket.told.wait(10)
    assert ticket.heard == "heard alone"
    assert _said(scribe).told.wait(10)


def test_a_mistake_in_telling_takes_nobody_else_with_it(scribe, monkeypatch, caplog):
    usual = scribe._tell
    monkeypatch.setattr(scribe, "_tell", lambda safe: 1 / 0)
    _said(scribe)
    while scribe.behind():
        pass
    monkeypatch.setattr(scribe, "_tell", usual)
    assert _said(scribe).told.wait(10)
    assert "nobody was told" in caplog.text


def test_when_it_is_over_nobody_is_taken_in(clock):
    scribe = Scribe(store=None, clock=clock, tell=tell)
    last = _said(scribe)
    scribe.close()
    assert last.told.is_set()
    with pytest.raises(Overwhelmed):
        _said(scribe)
    scribe.close()


def test_what_is_long_shares_a_commit_with_few(scribe, monkeypatch):
    batches, held, go_on = [], threading.Event(), threading.Event()

    def slow(said, **_):
        batches.append(len(said))
        held.set()
        go_on.wait(30)
        return ["heard"] * len(said)

    monkeypatch.setattr(scribe_room, "hear_together", slow)
    monkeypatch.setattr(scribe_room, "_BYTES_AT_ONCE", 1000)
    first = _said(scribe)
    assert held.wait(10)
    others = [_said(scribe, Said(event=None, raw=b"x" * 400)) for _ in range(6)]
    go_on.set()
    for each in [first, *others]:
        assert each.told.wait(10)
    assert batches == [1, 3, 3]
