"""What every database must do when somebody names the drafts that are to be claimed."""

from datetime import timedelta

from sqlalchemy import text

from engine.dispatch import dispatch_due
from engine.settle import Delivered
from tests.makers import enrolled, pending, sequence

LATER = {"after": "1h", "subject": "Hi", "body": "x"}


def _claim(store, clock, only=None, **more):
    with store.transaction(clock.now(), "a test") as ledger:
        claimed = ledger.drafts.claim(
            token="t", owner="nobody/1/1", lease=timedelta(minutes=2), at_most=100, only=only, **more
        )
    return [draft.id for draft in claimed]


def _ids(store, clock, number=4):
    for each in range(number):
        enrolled(store, clock.now(), f"p{each}@nordic.example")
    return [draft["draft_id"] for draft in pending(store, clock.now())]


def test_only_those_that_are_named_are_claimed_and_only_once(store, clock):
    first, second, *rest = _ids(store, clock)
    assert _claim(store, clock, [first, second, "drf_0unknown", "'; DROP TABLE draft; --"]) == [first, second]
    assert _claim(store, clock, [first, second]) == []
    assert _claim(store, clock, []) == []
    assert _claim(store, clock) == rest


def test_a_name_claims_nothing_that_is_not_due_not_wanted_or_braked(store, clock):
    enrolled(store, clock.now(), "later@nordic.example", sequence(LATER))
    [later] = [draft["draft_id"] for draft in pending(store, clock.now())]
    assert _claim(store, clock, [later]) == []
    [cancelled, held] = _ids(store, clock, 2)[:2]
    with store.transaction(clock.now(), "a test") as ledger:
        ledger.drafts.cancel([cancelled], "by hand")
        ledger.watch.brake("a test")
    assert _claim(store, clock, [cancelled, held]) == []
    with store.transaction(clock.now(), "a test") as ledger:
        ledger.watch.release("a test")
    assert _claim(store, clock, [cancelled, held]) == [held]


def test_what_is_far_too_late_is_no_hint_either(store, clock):
    [late] = _ids(store, clock, 1)
    clock.pass_(timedelta(days=3))
    assert _claim(store, clock, [late], max_lateness=timedelta(days=2)) == []
    with store.reading(clock.now()) as ledger:
        assert ledger.drafts.due(at_most=9, max_lateness=timedelta(days=2)) == []
        assert ledger.drafts.due(at_most=9) == [(late, 0)]


def test_what_others_were_told_of_is_left_to_them_for_a_while(store, clock):
    ids, second = _ids(store, clock), timedelta(seconds=1)
    assert _claim(store, clock, waited=second) == []
    clock.pass_(second)
    assert _claim(store, clock, waited=second) == ids


def test_what_is_due_is_told_in_order_with_how_often_it_was_tried(store, clock):
    ids = _ids(store, clock)
    enrolled(store, clock.now(), "later@nordic.example", sequence(LATER))
    with store.database.begin() as db:
        db.execute(text("UPDATE draft SET attempt = 2 WHERE id = :id"), {"id": ids[0]})
    with store.reading(clock.now()) as ledger:
        assert ledger.drafts.due(at_most=3) == [(ids[0], 2), (ids[1], 0), (ids[2], 0)]
        assert ledger.drafts.next_hour() == clock.now()
        assert ledger.drafts.next_hour(after=clock.now()) == clock.now() + timedelta(hours=1)
        ledger.drafts.due(at_most=9)
    assert {draft["state"] for draft in pending(store, clock.now())} == {"scheduled"}, "nothing was taken"


def test_a_hint_and_the_clock_carry_a_letter_once(store, clock, mailbox, pace):
    ids = _ids(store, clock)
    hands = {"store": store, "mailbox": mailbox, "clock": clock, "pace": pace}
    hinted = list(dispatch_due(**hands, only=ids[:2]))
    found = list(dispatch_due(**hands))
    assert {each.draft_id for each in hinted if isinstance(each, Delivered)} == set(ids[:2])
    assert sorted(letter.key for letter in mailbox.sent) == sorted(ids)
    assert len(hinted) + len(found) == len(ids)
