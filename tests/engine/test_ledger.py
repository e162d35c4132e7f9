"""Who waits for the one place at the desk, and in which order they go."""

from threading import Thread
from time import monotonic, sleep

import pytest

from engine.store.ledger import Turnstile


def _queue(turn: Turnstile, went: list[str], *, first: int, others: int) -> list[Thread]:
    """All of them wait when this returns."""

    def go(may_go_first: bool) -> None:
        with turn.passed(may_go_first):
            went.append("first" if may_go_first else "other")

    waiting = [Thread(target=go, args=(each < first,)) for each in range(first + others)]
    for each in waiting:
        each.start()
    until = monotonic() + 10
    while turn._waiting != {True: first, False: others} and monotonic() < until:
        sleep(0.001)
    return waiting


def test_who_may_go_first_goes_first_and_keeps_nobody_waiting_for_ever():
    turn, went = Turnstile(), []
    with turn.passed(first=False):
        waiting = _queue(turn, went, first=10, others=3)
    for each in waiting:
        each.join(10)

    assert went == ["first"] * 4 + ["other"] + ["first"] * 4 + ["other"] + ["first"] * 2 + ["other"]


def test_where_nobody_else_waits_as_many_go_as_may_go_first():
    turn, went = Turnstile(), []
    for _ in range(9):
        with turn.passed(first=True):
            pass
    with turn.passed(first=True):
        waiting = _queue(turn, went, first=4, others=1)
    for each in waiting:
        each.join(10)

    assert went == ["first"] * 4 + ["other"]


@pytest.mark.parametrize("first", [True, False])
def test_who_is_called_away_while_waiting_is_waited_for_by_nobody(monkeypatch, first):
    def called_away(*_: object) -> None:
        raise KeyboardInterrupt

    turn, went = Turnstile(), []
    with turn.passed(first=True):
        with monkeypatch.context() as patched:
            patched.setattr(turn._free, "wait", called_away)
            with pytest.raises(KeyboardInterrupt), turn.passed(first):
                went.append("never")
        waiting = _queue(turn, went, first=1, others=1)
    for each in waiting:
        each.join(10)

    assert went == ["first", "other"]
