"""Before somebody is resumed, one sees when they would be written to; and then it is so."""

from datetime import timedelta

from engine.brake import stop_sequence
from engine.rehearse import rehearse
from engine.resume import resume
from engine.states import HoldReason
from tests.makers import IDA, enrolled, pending, sequence

DAY = timedelta(days=1)


def _pause(store, clock, *lives, why="somebody said so"):
    with store.transaction(clock.now(), "a test") as ledger:
        ledger.enrollments.pause(lives, why)


def _dates(store, clock):
    return [each["send_at"] for each in pending(store, clock.now())]


def test_the_date_that_is_shown_is_the_date_that_it_gets(store, clock):
    life = enrolled(store, clock.now(), wants=sequence({"after": "2d", "subject": "Hi", "body": "Hello"}))
    [before] = _dates(store, clock)
    clock.pass_(DAY)
    _pause(store, clock, life)
    clock.pass_(9 * DAY)

    [told] = rehearse(IDA, store=store, clock=clock)
    assert (told.was_at, told.paused_for, told.needs_yes) == (before, "somebody said so", False)
    assert told.at == clock.now() + DAY  # what was left of the wait

    resume(IDA, by="a test", store=store, clock=clock)
    assert _dates(store, clock) == [told.at]


def test_looking_changes_nothing(store, clock):
    enrolled(store, clock.now())
    stop_sequence("Quick question", by="a test", store=store, clock=clock, gate_deadline=timedelta(0))
    before = pending(store, clock.now())
    clock.pass_(DAY)
    rehearse(IDA, store=store, clock=clock)
    assert pending(store, clock.now()) == before


def test_who_still_needs_a_yes_is_told_so(store, clock):
    life = enrolled(store, clock.now(), wants=sequence(approval="all"))
    _pause(store, clock, life)
    [told] = rehearse(IDA, store=store, clock=clock)
    assert told.needs_yes


def test_without_a_letter_the_next_one_is_told(store, clock):
    steps = ({"id": "call", "task": "call her"}, {"after": "5d", "subject": "Hi", "body": "Bye"})
    life = enrolled(store, clock.now(), wants=sequence(*steps))
    _pause(store, clock, life)
    [told] = rehearse(IDA, store=store, clock=clock)
    assert told.sequence == "Quick question"
    assert told.at is not None or told.why


def test_whoever_is_away_until_somebody_says_they_are_back_is_told_too(store, clock):
    life = enrolled(store, clock.now(), wants=sequence({"after": "2d", "subject": "Hi", "body": "Hello"}))
    clock.pass_(DAY)
    with store.transaction(clock.now(), "a test") as ledger:
        draft = ledger.drafts.of(life)
        ledger.drafts.hold(draft, HoldReason.OUT_OF_OFFICE, send_at=draft.send_at, until=None)
    clock.pass_(9 * DAY)

    [told] = rehearse(IDA, store=store, clock=clock)
    assert told.paused_for == "out_of_office"

    resume(IDA, by="a test", store=store, clock=clock)
    assert _dates(store, clock) == [told.at]


def test_nobody_is_rehearsed_who_is_not_paused(store, clock):
    enrolled(store, clock.now())
    assert rehearse(IDA, store=store, clock=clock) == []
    assert rehearse("nobody@nordic.example", store=store, clock=clock) == []
