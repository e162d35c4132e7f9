"""Numbers that take long to count keep nobody waiting."""

import threading
import time
from threading import Event

from dashboard.counted import Counted, Known
from tests.doubles import FrozenClock


def counted_by(**more) -> Counted:
    return Counted(**{"now": FrozenClock().now} | more)


class Slow:
    """A count that ends when it is told to."""

    def __init__(self) -> None:
        self.may_end, self.begun = Event(), 0

    def __call__(self) -> int:
        self.begun += 1
        assert self.may_end.wait(10)
        return self.begun


def _until(is_so) -> None:
    until = time.monotonic() + 10
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.005)


def test_what_is_counted_quickly_is_fresh_each_time():
    numbers = iter([1, 2])
    counted = counted_by(patience=5)
    assert counted.see("sent", lambda: next(numbers)) == Known(1)
    assert counted.see("sent", lambda: next(numbers)) == Known(2)


def test_whoever_asks_for_a_long_count_waits_no_longer_than_a_moment():
    counted, slow = counted_by(patience=0.02), Slow()
    begun = time.monotonic()
    assert counted.see("sent", slow) == Known(None)
    assert time.monotonic() - begun < 1
    slow.may_end.set()


def test_a_long_count_is_told_with_its_hour_and_is_not_begun_again_at_once():
    clock = FrozenClock()
    counted, slow = counted_by(patience=0.02, rest=3600, now=clock.now), Slow()
    counted.see("sent", slow)
    counted.see("sent", slow)
    assert slow.begun == 1
    time.sleep(0.03)  # so that it has taken longer than anybody's patience
    slow.may_end.set()
    _until(lambda: counted.see("sent", slow).value is not None)
    assert counted.see("sent", slow) == Known(1, clock.now())
    assert slow.begun == 1


def test_after_a_while_it_is_counted_anew_and_nobody_waits_for_it():
    seconds = [0.0]
    counted = counted_by(patience=0.02, rest=30, elapsed=lambda: seconds[0] + time.monotonic())
    slow = Slow()
    counted.see("sent", slow)
    time.sleep(0.03)
    slow.may_end.set()
    _until(lambda: counted.see("sent", slow).value == 1)
    seconds[0] = 60
    slow.may_end.clear()
    begun = time.monotonic()
    assert counted.see("sent", slow).value == 1
    assert time.monotonic() - begun < 1
    slow.may_end.set()
    _until(lambda: counted.see("sent", slow).value > 1)


def test_several_are_counted_beside_each_other():
    counted = counted_by(patience=0.3)
    begun = time.monotonic()
    found = counted.see_all({f"count {each}": lambda: time.sleep(0.2) or 1 for each in range(5)})
    assert time.monotonic() - begun < 0.9
    assert len(found) == 5


def test_a_count_that_fails_leaves_what_was_known():
    counted = counted_by(patience=5)
    counted.see("sent", lambda: 7)

    def fails() -> int:
        raise OSError("the disk is away")

    assert counted.see("sent", fails) == Known(7, FrozenClock().now())


def test_what_somebody_has_just_changed_is_counted_anew_however_slow_it_was():
    counted, numbers = counted_by(patience=0.02, rest=3600), [1]

    def slowly() -> int:
        number = numbers[0]
        time.sleep(0.1)
        return number

    counted.see("people", slowly)
    time.sleep(0.2)
    assert counted.see("people", slowly).value == 1
    numbers[0] = 2
    assert counted.see("people", slowly).value == 1

    counted.forget("people", "nobody has asked for this")
    counted.see("people", slowly)
    time.sleep(0.2)

    assert counted.see("people", slowly).value == 2


def test_before_the_database_is_closed_whoever_counts_in_it_has_ended():
    counted, slow = counted_by(patience=0.02), Slow()
    counted.see("sent", slow)
    threading.Timer(0.2, slow.may_end.set).start()
    counted.close()
    assert slow.may_end.is_set()
    assert counted.see("answered", lambda: 7) == Known(None)  # and nobody begins again
