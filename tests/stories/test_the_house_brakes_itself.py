"""Nobody tells us anything any more, or by a wrong clock: then nothing leaves. And no stranger can bring that about."""

import json
import logging
from dataclasses import replace
from datetime import timedelta
from threading import Event

import pytest

from engine.canary import Flight, judge
from engine.dispatch import dispatch_due
from engine.vigil import SIGN
from relent.config import Config
from relent.watching import Watch
from tests.makers import IDA, SECRET, enrolled, pending, received, signed

LATE = timedelta(minutes=9)


@pytest.fixture
def settings():
    return {}


@pytest.fixture
def house(house, settings):
    return replace(house, config=Config(webhooks={"secrets": [SECRET]}, watch=settings))


@pytest.fixture
def watch(house):
    return Watch(house, Event(), lambda: None)


@pytest.fixture
def brake(store, clock):
    def why():
        with store.reading(clock.now()) as ledger:
            found = ledger.watch.braked()
        return found and found.why

    return why


@pytest.fixture
def post(door, clock):
    """As somebody who knows our secret, and whose clock is `off`."""

    def one(event_id, off=timedelta(0), **more):
        body = received(event_id=event_id, **{"thread_id": "thr_unknown"} | more)
        said = signed(body, clock.now() + off, delivery_id=f"msg_{event_id}")
        return door.post("/webhooks/agentmail", **said).status_code

    return one


def looks(watch, clock):
    clock.pass_(timedelta(seconds=30))
    watch.work_off()


def release(store, clock):
    with store.transaction(clock.now(), "a human") as ledger:
        assert ledger.watch.release("mended")


# --- another clock ---


@pytest.mark.parametrize(("off", "words"), [(-LATE, "9 min behind ours"), (LATE, "9 min ahead of ours")])
def test_three_answers_by_a_wrong_clock_brake_the_house(
    store, clock, mailbox, pace, post, watch, brake, off, words
):
    enrolled(store, clock.now())
    assert [post(f"evt_{number}", off) for number in range(2)] == [401, 401]
    looks(watch, clock)
    assert brake() is None

    assert post("evt_2", off) == 401
    looks(watch, clock)

    assert words in brake()
    assert list(dispatch_due(store=store, mailbox=mailbox, clock=clock, pace=pace)) == []
    assert mailbox.sent == []
    assert len(pending(store, clock.now())) == 1


def test_one_answer_that_is_tried_again_and_again_is_one(clock, post, watch, brake):
    for _ in range(5):
        post("evt_1", -LATE)
        looks(watch, clock)
    assert brake() is None


def test_what_was_heard_and_is_posted_again_by_whoever_overheard_it_brakes_nothing(
    store, clock, door, watch, brake
):
    """A stranger has the bytes and the signature. That is no secret holder's word any more."""
    overheard = []
    for number in range(5):
        overheard.append(
            signed(received("thr_1", event_id=f"evt_{number}"), clock.now(), delivery_id=f"m{number}")
        )
        assert door.post("/webhooks/agentmail", **overheard[-1]).status_code == 204
    clock.pass_(timedelta(hours=1))
    for _ in range(10):
        for each in overheard:
            assert door.post("/webhooks/agentmail", **each).status_code == 401
    looks(watch, clock)
    assert brake() is None


def test_whoever_overheard_one_makes_us_write_once_and_drowns_nobody(house, clock, door, post, watch, brake):
    overheard = signed(received("thr_1", event_id="evt_0"), clock.now(), delivery_id="m0")
    assert door.post("/webhooks/agentmail", **overheard).status_code == 204
    clock.pass_(timedelta(hours=1))
    for number in range(1, 4):
        post(f"evt_{number}", -LATE)
    for _ in range(30):
        door.post("/webhooks/agentmail", **overheard)
    looks(watch, clock)
    assert brake() is not None, "the three are not pushed out"

    for _ in range(30):
        door.post("/webhooks/agentmail", **overheard)
    assert not house.ears.urgent


def test_the_same_letter_under_another_events_name_brakes_nothing(store, clock, post, watch, brake):
    enrolled(store, clock.now())
    thread = pending(store, clock.now())[0]["thread_id"]
    assert post("evt_0", thread_id=thread, message_id="<one@x>", **{"from": IDA}) == 204
    for number in range(1, 6):
        post(f"evt_{number}", -LATE, message_id="<one@x>")
    looks(watch, clock)
    assert brake() is None


def test_no_stranger_brakes_the_house(store, clock, door, watch, brake, caplog):
    """Whatever is posted without the secret, however much of it, and by whatever clock."""
    import base64

    wrong = "whsec_" + base64.b64encode(b"another twenty-four bytes").decode()
    with caplog.at_level(logging.WARNING):
        for number in range(60):
            body = received("thr_1", event_id=f"evt_{number}")
            said = signed(body, clock.now() - LATE * (number % 3), secret=wrong, delivery_id=f"m{number}")
            assert door.post("/webhooks/agentmail", **said).status_code == 401
            assert door.post("/webhooks/agentmail", content=b"garbage").status_code == 401
        looks(watch, clock)
        looks(watch, clock)
    assert brake() is None
    [told] = [line for line in caplog.messages if "refused this hour" in line]
    assert "60 because no signature in it is ours" in told
    assert "60 because a header of the signature is missing" in told


def test_what_is_signed_and_nothing_to_us_brakes_nothing(clock, door, watch, brake):
    for number in range(5):
        for body in ({"event_type": "message.sent", "event_id": f"evt_{number}"}, b"{", b""):
            said = signed(body, clock.now() - LATE, delivery_id=f"m{number}")
            assert door.post("/webhooks/agentmail", **said).status_code == 401
    looks(watch, clock)
    assert brake() is None


def test_what_was_known_at_the_release_does_not_brake_again(store, clock, post, watch, brake):
    for number in range(3):
        post(f"evt_{number}", -LATE)
    looks(watch, clock)
    clock.pass_(timedelta(minutes=1))
    release(store, clock)
    looks(watch, clock)
    assert brake() is None
    for number in range(3, 6):
        post(f"evt_{number}", -LATE)
    looks(watch, clock)
    assert brake() is not None


def test_what_became_known_under_the_canarys_brake_brakes_when_she_takes_it_off(
    store, clock, post, watch, brake
):
    """She knows how fast an answer is, and nothing of clocks."""
    limit = timedelta(seconds=20)
    judge(Flight(cancelled_after=25.0, answered_after=25.0), limit=limit, store=store, clock=clock)
    for number in range(3):
        post(f"evt_{number}", -LATE)
    looks(watch, clock)
    assert brake().startswith("canary: ")
    clock.pass_(timedelta(minutes=1))
    judge(Flight(cancelled_after=0.1, answered_after=0.1), limit=limit, store=store, clock=clock)
    assert brake() is None
    looks(watch, clock)
    assert brake().startswith("watch: ")


def test_three_in_a_day_are_not_three_in_an_hour(clock, post, watch, brake):
    for number in range(6):
        post(f"evt_{number}", -LATE)
        looks(watch, clock)
        clock.pass_(timedelta(minutes=31))
    assert brake() is None


@pytest.mark.parametrize("settings", [{"skewed": None}])
def test_whoever_does_not_want_it_is_only_told(clock, post, watch, brake, caplog):
    with caplog.at_level(logging.WARNING):
        for number in range(4):
            post(f"evt_{number}", -LATE)
        looks(watch, clock)
    assert brake() is None
    assert sum("signed with our secret" in line for line in caplog.messages) == 4


# --- silence ---

SILENCE = pytest.mark.parametrize("settings", [{"silence": "12h"}])


@pytest.fixture
def letters(store, clock, mailbox, pace):
    """One leaves now, from a sequence of its own making."""
    numbers = iter(range(100))

    def leave():
        enrolled(store, clock.now(), f"p{next(numbers)}@nordic.example")
        [outcome] = dispatch_due(store=store, mailbox=mailbox, clock=clock, pace=pace)
        return outcome

    return leave


def passes(clock, watch, hours):
    for _ in range(hours):
        clock.pass_(timedelta(hours=1))
        watch.work_off()


@SILENCE
def test_letters_leave_and_nobody_says_a_word(clock, watch, brake, letters):
    watch.work_off()
    clock.pass_(timedelta(minutes=1))
    letters()
    passes(clock, watch, 12)
    assert brake() is None
    passes(clock, watch, 1)
    assert "no webhook has come since" in brake()


@SILENCE
def test_who_says_a_word_now_and_then_keeps_everything_going(clock, watch, brake, letters, post):
    watch.work_off()
    for number in range(4):
        clock.pass_(timedelta(minutes=1))
        letters()
        passes(clock, watch, 10)
        assert post(f"evt_{number}") == 204
    assert brake() is None


@SILENCE
def test_nobody_answers_what_nobody_wrote(clock, watch, brake, letters):
    """A quiet week, and then a letter: it has its twelve hours."""
    watch.work_off()
    passes(clock, watch, 24 * 7)
    letters()
    passes(clock, watch, 12)
    assert brake() is None
    passes(clock, watch, 1)
    assert brake() is not None


@SILENCE
def test_to_knock_at_our_own_door_is_no_word_of_anybodys(clock, watch, brake, letters, door):
    watch.work_off()
    clock.pass_(timedelta(minutes=1))
    letters()
    for number in range(13):
        said = signed(
            {"event_type": "relent.test", "event_id": "e"}, clock.now(), delivery_id=f"knock_{number}"
        )
        assert door.post("/webhooks/agentmail", **said).status_code == 204
        passes(clock, watch, 1)
    assert brake() is not None


@SILENCE
def test_a_release_gives_them_as_long_again(store, clock, watch, brake, letters):
    watch.work_off()
    clock.pass_(timedelta(minutes=1))
    letters()
    passes(clock, watch, 13)
    release(store, clock)
    clock.pass_(timedelta(minutes=1))
    letters()
    passes(clock, watch, 12)
    assert brake() is None
    passes(clock, watch, 1)
    assert brake() is not None


@SILENCE
def test_whoever_was_away_is_given_time_to_be_told(house, clock, watch, brake, letters):
    """We were switched off for a day: whoever repeats their webhooks needs some minutes."""
    watch.work_off()
    clock.pass_(timedelta(minutes=1))
    letters()
    clock.pass_(timedelta(days=1))
    again = Watch(house, Event(), lambda: None)
    again.work_off()
    clock.pass_(timedelta(minutes=9))
    again.work_off()
    assert brake() is None
    clock.pass_(timedelta(minutes=2))
    again.work_off()
    assert brake() is not None


def test_unless_somebody_wants_it_silence_is_silence(clock, watch, brake, letters):
    letters()
    passes(clock, watch, 24)
    assert brake() is None


# --- how it is kept ---


def test_it_is_written_down_now_and_then_and_not_for_each(store, clock, watch, post):
    for number in range(3):
        post(f"evt_{number}")
    watch.work_off()
    with store.reading(clock.now()) as ledger:
        said = ledger.watch.last(SIGN).says
    assert said["heard_at"].startswith("2026-03-02T09:00:00")
    assert json.dumps(said)
    post("evt_9")
    clock.pass_(timedelta(seconds=5))
    watch.work_off()
    with store.reading(clock.now()) as ledger:
        assert ledger.watch.last(SIGN).says == said


def test_what_was_heard_last_is_written_down_on_leaving(store, clock, house, post):
    with Watch(house, Event(), lambda: None):
        pass
    post("evt_1")
    with Watch(house, Event(), lambda: None):
        pass
    with store.reading(clock.now()) as ledger:
        assert ledger.watch.last(SIGN).says["heard_at"]


def test_a_signature_by_a_wrong_clock_is_refused_like_any_other(door, clock):
    """Nobody learns from the answer that only the clock was wrong."""
    body = received("thr_1")
    late = door.post("/webhooks/agentmail", **signed(body, clock.now() - LATE))
    garbage = door.post("/webhooks/agentmail", content=b"x")
    assert (late.status_code, late.content) == (garbage.status_code, garbage.content) == (401, late.content)
