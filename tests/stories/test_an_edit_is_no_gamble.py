"""An edit is no gamble: what a changed file does to everybody in flight is shown first, and done as it was shown."""

from datetime import timedelta

import pytest
from sqlalchemy import select, update

from engine.approve import Reviewer, approve, reschedule
from engine.brake import stop
from engine.dispatch import dispatch_due
from engine.enroll import enroll, prepare
from engine.errors import Refused
from engine.events import AutoReply
from engine.happen import happen
from engine.model import Prospect
from engine.react import react
from engine.recover import recover
from engine.resume import resume
from engine.revise import Fate, apply, look
from engine.states import HoldReason
from engine.store.tables import audit, draft
from engine.wake import wake_due
from tests.makers import IDA, SAM, enrolled, pending, people, sequence

TOM = "tom@harbour.example"
EVA = "eva@mill.example"
HELLO = {"id": "hello", "subject": "Quick question", "body": "Hello"}
BUMP = {"id": "bump", "after": "3d", "body": "Did you see it?"}
LAST = {"id": "last", "after": "5d", "body": "I stop here."}
DAY = timedelta(days=1)


@pytest.fixture
def hands(store, clock, mailbox, pace):
    return Hands(store, clock, mailbox, pace)


class Hands:
    """What a person at the command line, the clock and the worker can do."""

    def __init__(self, store, clock, mailbox, pace):
        self.store, self.clock, self.mailbox, self.pace = store, clock, mailbox, pace

    def look(self, wants):
        return look(wants, store=self.store, clock=self.clock)

    def apply(self, wants, token=None):
        token = token or self.look(wants).token
        return apply(wants, token, by="a test", store=self.store, clock=self.clock)

    def send(self):
        wake_due(store=self.store, clock=self.clock)
        return list(dispatch_due(store=self.store, mailbox=self.mailbox, clock=self.clock, pace=self.pace))

    def after(self, **time):
        self.clock.pass_(timedelta(**time))
        return self.send()

    def be_away(self):
        """An out-of-office message of Ida's."""
        thread = self.person()["thread_id"]
        event = AutoReply(id="evt_1", inbox_id=SAM, thread_id=thread, message_id="<a@x>", sender=IDA)
        react(event, b"", store=self.store, clock=self.clock, pace=self.pace)

    def to(self, email):
        return [letter.text for letter in self.mailbox.sent if letter.to == email]

    def draft(self, email=IDA):
        return next((one for one in pending(self.store, self.clock.now()) if one["to"] == email), None)

    def person(self, email=IDA):
        return next(one for one in people(self.store, self.clock.now()) if one["email"] == email)


def fates(revision):
    return {change.email: change.fate for change in revision.changes}


def test_with_nobody_in_flight_there_is_nothing_to_lose(hands, store, clock):
    wants = sequence(HELLO)
    plan = hands.look(wants)
    assert plan.changes == ()
    assert hands.apply(wants, plan.token).left == ()
    with store.reading(clock.now()) as ledger:
        assert ledger.enrollments.version(wants.version) == wants


def test_who_is_on_this_version_already_is_none_of_its_business(hands, store, clock):
    wants = sequence(HELLO, BUMP)
    enrolled(store, clock.now(), wants=wants)
    assert hands.look(wants).changes == ()


def test_other_sequences_and_who_has_come_to_an_end_are_none_of_its_business(hands, store, clock):
    enrolled(store, clock.now(), wants=sequence(HELLO, BUMP, name="Another"))
    enrolled(store, clock.now(), TOM, wants=sequence(HELLO, BUMP))
    stop(TOM, by="a test", store=store, clock=clock)
    assert hands.look(sequence(HELLO, BUMP, LAST)).changes == ()


def test_a_plan_changes_nothing(hands, store, clock):
    enrolled(store, clock.now(), wants=sequence(HELLO, BUMP))
    hands.send()
    before = hands.draft(), hands.person()
    hands.look(sequence(HELLO, BUMP | {"after": "9d"}))
    assert (hands.draft(), hands.person()) == before


def test_what_is_pending_keeps_its_words_and_what_comes_later_follows_the_new_file(hands, store, clock):
    enrolled(store, clock.now(), wants=sequence(HELLO, BUMP, LAST))
    hands.send()
    edited = sequence(HELLO, BUMP | {"body": "A better bump"}, LAST | {"body": "A better end"})

    assert fates(hands.look(edited)) == {IDA: Fate.UNTOUCHED}
    before = hands.draft()
    hands.apply(edited)
    assert hands.draft() == before
    assert hands.person()["version"] == edited.version
    hands.after(days=3)
    hands.after(days=5)
    assert hands.to(IDA) == ["Hello\n", "Did you see it?\n", "A better end\n"]


def test_a_new_step_goes_to_those_who_have_not_come_so_far(hands, store, clock):
    enrolled(store, clock.now(), wants=sequence(HELLO, BUMP))
    hands.send()
    hands.apply(sequence(HELLO, BUMP, LAST))
    hands.after(days=3)
    hands.after(days=5)
    assert hands.to(IDA)[-1] == "I stop here.\n"


@pytest.mark.parametrize(
    ("edit", "above", "moved"),
    [
        ({"after": "5d"}, {}, {"days": 2}),
        ({"after": "1d"}, {}, {"days": -2}),
        ({}, {"schedule": {"windows": "fri 10:00-12:00"}}, {"days": 1, "hours": 1}),
        ({}, {"schedule": {"windows": "mon-sun 00:00-24:00", "skip": ["2026-03-05"]}}, {"hours": 15}),
    ],
)
def test_another_wait_or_window_gives_the_same_words_another_hour(hands, store, clock, edit, above, moved):
    enrolled(store, clock.now(), wants=sequence(HELLO, BUMP, LAST))
    hands.send()
    before = hands.draft()
    edited = sequence(HELLO, BUMP | edit | {"body": "Other words"}, LAST, **above)

    [change] = hands.look(edited).changes
    assert change.fate == Fate.REDATED
    assert (change.old, change.new) == (before["send_at"], before["send_at"] + timedelta(**moved))
    hands.apply(edited)
    after = hands.draft()
    assert after["send_at"] == change.new
    assert after["reason"] == change.why
    assert (after["text"], after["state"], after["approval_state"]) == (
        before["text"],
        "scheduled",
        "approved",
    )


def test_a_wait_that_is_over_by_the_new_file_ends_at_once(hands, store, clock):
    enrolled(store, clock.now(), wants=sequence(HELLO, BUMP))
    hands.send()
    clock.pass_(2 * DAY)
    hands.apply(sequence(HELLO, BUMP | {"after": "1d"}))
    assert len(hands.send()) == 1


def test_an_hour_that_came_between_plan_and_apply_keeps_to_the_new_windows(hands, store, clock):
    above = {"schedule": {"windows": "mon-fri 09:00-17:00"}}
    enrolled(store, clock.now(), wants=sequence(HELLO, BUMP, **above))
    hands.send()
    clock.pass_(timedelta(days=1, hours=7, minutes=50))
    edited = sequence(HELLO, BUMP | {"after": "1d"}, **above)
    plan = hands.look(edited)
    assert plan.changes[0].new == clock.now()

    clock.pass_(timedelta(minutes=20))
    hands.apply(edited, plan.token)
    assert f"{hands.draft()['send_at']:%a %H:%M}" == "Wed 09:00"


def test_what_moved_for_another_reason_than_the_edit_keeps_its_hour(hands, store, clock):
    """A yes that came late, say: the planner would not give that hour any more, and nobody has asked it to."""
    above = {"approval": "all"}
    enrolled(store, clock.now(), wants=sequence(HELLO, BUMP, **above))
    clock.pass_(timedelta(hours=1))
    approve(hands.draft()["draft_id"], by=Reviewer(id="kim"), store=store, clock=clock)
    clock.pass_(timedelta(hours=1))
    assert fates(hands.look(sequence(HELLO, BUMP | {"body": "Other words"}, **above))) == {
        IDA: Fate.UNTOUCHED
    }


def test_another_limit_moves_only_those_for_whom_there_is_no_room(hands, store, clock):
    for number in range(6):
        wants = sequence(HELLO, BUMP, limits={"per_mailbox": "3/day"})
        enrolled(store, clock.now(), f"p{number}@c{number}.example", wants=wants)
    hours = {one["to"]: one["send_at"] for one in pending(store, clock.now())}
    assert sorted((hour - clock.now()).days for hour in hours.values()) == [0, 0, 0, 0, 0, 0]

    edited = sequence(HELLO, BUMP, limits={"per_mailbox": "2/day"})
    plan = hands.look(edited)
    found = sorted(change.fate for change in plan.changes)
    assert found == [Fate.REDATED] * 3 + [Fate.UNTOUCHED] * 3
    hands.apply(edited, plan.token)
    days = sorted(one["send_at"].date().day for one in pending(store, clock.now()))
    assert days == [2, 2, 3, 3, 4, 4]


# --- twice ---


def test_a_step_put_in_between_steps_without_ids_is_refused_with_what_would_help(hands, store, clock):
    was = sequence()
    for email in (IDA, TOM):
        enrolled(store, clock.now(), email, wants=was)
    hands.send()
    shifted = sequence(
        {"subject": "Quick question", "body": "Hello"},
        {"after": "1d", "body": "Something new"},
        {"after": "3d", "body": "Did you see it?"},
        {"after": "5d", "body": "I stop here."},
    )
    plan = hands.look(shifted)

    assert fates(plan) == {IDA: Fate.TWICE, TOM: Fate.TWICE}
    with pytest.raises(Refused) as told:
        hands.apply(shifted, plan.token)
    assert '"step-2" stands in the new file as "step-3": write "id: step-2" there' in str(told.value)
    assert IDA in str(told.value)
    assert TOM in str(told.value)
    assert hands.person()["version"] == was.version


def test_the_same_edit_with_the_ids_that_were_is_no_trouble(hands, store, clock):
    enrolled(store, clock.now(), wants=sequence())
    hands.send()
    kept = sequence(
        {"subject": "Quick question", "body": "Hello"},
        {"id": "new", "after": "1d", "body": "Something new"},
        {"id": "step-2", "after": "3d", "body": "Did you see it?"},
        {"id": "step-3", "after": "5d", "body": "I stop here."},
    )
    [change] = hands.look(kept).changes
    assert (change.fate, change.why) == (Fate.UNTOUCHED, "new: passed already, so not for them")
    hands.apply(kept)
    for days in (3, 1, 4, 1):
        hands.after(days=days)
    assert hands.to(IDA) == ["Hello\n", "Did you see it?\n", "I stop here.\n"]


def test_a_step_that_is_new_goes_to_whoever_has_not_come_so_far(hands, store, clock):
    was = sequence(HELLO, BUMP, LAST)
    enrolled(store, clock.now(), wants=was)
    hands.send()
    hands.after(days=3)
    enrolled(store, clock.now(), TOM, wants=was)
    hands.send()
    fresh = {"id": "fresh", "after": "1d", "body": "Something new"}
    later = {"id": "later", "after": "1d", "body": "One thing more"}
    edited = sequence(HELLO, fresh, BUMP, LAST, later)

    told = {change.email: change for change in hands.look(edited).changes}
    assert (told[IDA].fate, told[IDA].passed) == (Fate.UNTOUCHED, ("fresh",))
    assert (told[TOM].fate, told[TOM].passed) == (Fate.UNTOUCHED, ("fresh",))  # their next one is written
    hands.apply(edited)
    enrolled(store, clock.now(), EVA, wants=edited)
    for _ in range(40):
        hands.after(hours=12)
    everything = ["Hello\n", "Did you see it?\n", "I stop here.\n", "One thing more\n"]
    assert hands.to(IDA) == hands.to(TOM) == everything
    assert hands.to(EVA) == ["Hello\n", "Something new\n", *everything[1:]]


def test_a_new_step_before_the_last_letter_keeps_nobody_waiting(hands, store, clock):
    enrolled(store, clock.now(), wants=sequence(HELLO, BUMP))
    hands.send()
    [change] = hands.look(sequence(HELLO, {"id": "fresh", "body": "Something new"}, BUMP)).changes
    assert (change.fate, change.passed) == (Fate.UNTOUCHED, ("fresh",))
    hands.apply(sequence(HELLO, {"id": "fresh", "body": "Something new"}, BUMP))
    hands.after(days=3)
    assert hands.person()["state"] == "finished"


def test_what_is_put_in_before_a_letter_that_gets_another_hour_is_told_too(hands, store, clock):
    enrolled(store, clock.now(), wants=sequence(HELLO, BUMP, LAST))
    hands.send()
    hands.after(days=3)
    edited = sequence(HELLO, {"id": "fresh", "body": "Something new"}, BUMP, LAST | {"after": "9d"})
    [change] = hands.look(edited).changes
    assert (change.fate, change.passed) == (Fate.REDATED, ("fresh",))
    assert change.why == "9d after bump; fresh: passed already, so not for them"
    hands.apply(edited)
    assert hands.draft()["reason"] == "9d after bump"


def test_one_person_who_would_be_told_twice_stops_it_for_all(hands, store, clock):
    enrolled(store, clock.now(), wants=sequence(HELLO, BUMP))
    hands.send()
    clock.pass_(DAY)
    enrolled(store, clock.now(), TOM, wants=sequence(HELLO, BUMP))
    renamed = sequence(HELLO, BUMP | {"id": "nudge"})

    plan = hands.look(renamed)
    assert fates(plan) == {IDA: Fate.TWICE, TOM: Fate.UNTOUCHED}
    with pytest.raises(Refused, match="1 person would be told the same twice"):
        hands.apply(renamed, plan.token)
    assert {hands.person(IDA)["version"], hands.person(TOM)["version"]} == {sequence(HELLO, BUMP).version}


def test_words_that_their_author_wrote_twice_are_meant_twice(hands, store, clock):
    again = {"id": "again", "after": "5d", "body": BUMP["body"]}
    enrolled(store, clock.now(), wants=sequence(HELLO, BUMP, again))
    hands.send()
    assert fates(hands.look(sequence(HELLO, BUMP, again | {"after": "6d"}))) == {IDA: Fate.UNTOUCHED}


def test_words_that_only_others_can_reach_stop_nobody(hands, store, clock):
    elsewhere = {
        "id": "way",
        "choose": [
            {"if": "size == 'large'", "then": [BUMP | {"id": "bump-large"}]},
            {"else": [{"id": "other", "after": "3d", "body": "Something else"}]},
        ],
    }
    for email, size in ((IDA, "small"), (TOM, "large")):
        enrolled(store, clock.now(), email, wants=sequence(HELLO, BUMP), size=size)
    hands.send()
    assert fates(hands.look(sequence(HELLO, elsewhere))) == {IDA: Fate.STEP_GONE, TOM: Fate.TWICE}


def test_a_task_is_not_given_twice_either(hands, store, clock):
    call = {"id": "call", "task": "Call {{ email }}"}
    enrolled(store, clock.now(), wants=sequence(HELLO, call, BUMP))
    hands.send()
    renamed = sequence(HELLO, call | {"id": "ring"}, BUMP)
    assert fates(hands.look(renamed)) == {IDA: Fate.TWICE}


# --- a human's yes ---


def test_a_yes_to_another_hour_is_void(hands, store, clock):
    enrolled(store, clock.now(), wants=sequence(HELLO, BUMP, approval="all"))
    approve(hands.draft()["draft_id"], by=Reviewer(id="kim"), store=store, clock=clock)
    hands.send()
    approve(hands.draft()["draft_id"], by=Reviewer(id="kim"), store=store, clock=clock)
    edited = sequence(HELLO, BUMP | {"after": "2d"}, approval="all")

    assert fates(hands.look(edited)) == {IDA: Fate.APPROVAL_VOID}
    hands.apply(edited)
    found = hands.draft()
    assert (found["state"], found["reason"], found["approval_state"]) == (
        "held",
        HoldReason.CHANGED,
        "pending",
    )
    assert found["send_at"] == clock.now() + 2 * DAY
    assert hands.after(days=2) == []
    approve(found["draft_id"], by=Reviewer(id="kim"), store=store, clock=clock)
    assert len(hands.send()) == 1


def test_an_hour_that_a_human_chose_stands_whatever_the_file_says(hands, store, clock):
    enrolled(store, clock.now(), wants=sequence(HELLO, BUMP))
    hands.send()
    chosen = clock.now() + 4 * DAY
    waits = hands.draft()
    reschedule(waits["draft_id"], chosen, by=Reviewer(id="kim"), store=store, clock=clock)
    edited = sequence(HELLO, BUMP | {"after": "6d"})

    [change] = hands.look(edited).changes
    assert (change.fate, change.why) == (Fate.UNTOUCHED, "its hour was chosen by kim, and it keeps it")
    hands.apply(edited)
    assert hands.draft()["send_at"] == chosen
    assert hands.after(days=4) != []


def test_an_hour_that_a_human_chose_and_that_passed_without_a_yes_binds_nobody(hands, store, clock):
    enrolled(store, clock.now(), wants=sequence(HELLO | {"after": "1d"}, BUMP, approval="all"))
    reschedule(
        hands.draft()["draft_id"], clock.now() + 2 * DAY, by=Reviewer(id="kim"), store=store, clock=clock
    )
    clock.pass_(3 * DAY)
    edited = sequence(HELLO | {"after": "5d"}, BUMP, approval="all")
    assert fates(hands.look(edited)) == {IDA: Fate.REDATED}


@pytest.mark.parametrize(("body", "reworded"), [("Did you see it, perhaps?", True), (BUMP["body"], False)])
def test_a_plan_tells_whose_letter_keeps_words_that_the_file_has_no_more(hands, store, clock, body, reworded):
    enrolled(store, clock.now(), wants=sequence(HELLO, BUMP))
    hands.send()
    edited = sequence(HELLO, BUMP | {"after": "4d", "body": body})
    [change] = hands.look(edited).changes
    assert change.reworded is reworded
    hands.apply(edited)
    assert BUMP["body"] in hands.draft()["text"]


def test_a_void_yes_is_asked_for_again_although_they_are_away(hands, store, clock):
    enrolled(store, clock.now(), wants=sequence(HELLO, BUMP, approval={"steps": ["bump"]}))
    hands.send()
    approve(hands.draft()["draft_id"], by=Reviewer(id="kim"), store=store, clock=clock)
    hands.be_away()
    before = hands.draft()
    edited = sequence(HELLO, BUMP | {"after": "4d"}, approval={"steps": ["bump"]})
    assert fates(hands.look(edited)) == {IDA: Fate.APPROVAL_VOID}
    hands.apply(edited)
    after = hands.draft()
    assert (after["state"], after["reason"], after["held_until"]) == ("held", HoldReason.CHANGED, None)
    assert after["send_at"] == before["send_at"] + DAY


def test_a_yes_that_the_edit_does_not_concern_still_counts(hands, store, clock):
    enrolled(store, clock.now(), wants=sequence(HELLO, BUMP, approval="all"))
    approve(hands.draft()["draft_id"], by=Reviewer(id="kim"), store=store, clock=clock)
    hands.apply(sequence(HELLO, BUMP | {"after": "2d"}, approval="all"))
    assert len(hands.send()) == 1


def test_what_waits_for_its_first_yes_goes_on_waiting_at_its_new_hour(hands, store, clock):
    enrolled(store, clock.now(), wants=sequence(HELLO | {"after": "1d"}, BUMP, approval="all"))
    hands.apply(sequence(HELLO | {"after": "2d"}, BUMP, approval="all"))
    found = hands.draft()
    assert (found["state"], found["reason"]) == ("held", HoldReason.APPROVAL)
    assert found["send_at"] == clock.now() + 2 * DAY


def test_what_a_human_looks_at_for_another_reason_stays_so(hands, store, clock, mailbox, pace):
    enrolled(store, clock.now(), wants=sequence(HELLO, BUMP, approval="all"))
    approve(hands.draft()["draft_id"], by=Reviewer(id="kim"), store=store, clock=clock)
    clock.pass_(3 * DAY)
    recover(store=store, mailbox=mailbox, clock=clock, pace=pace)
    edited = sequence(HELLO | {"after": "9d"}, BUMP, approval="all")
    assert fates(hands.look(edited)) == {IDA: Fate.REDATED}
    hands.apply(edited)
    assert (hands.draft()["state"], hands.draft()["reason"]) == ("held", HoldReason.LATE)


def test_an_absence_goes_on_whatever_the_file_says(hands, store, clock):
    enrolled(store, clock.now(), wants=sequence(HELLO, BUMP))
    hands.send()
    hands.be_away()
    before = hands.draft()
    hands.apply(sequence(HELLO, BUMP | {"after": "4d"}))
    after = hands.draft()
    assert (after["state"], after["reason"], after["held_until"]) == (
        "held",
        HoldReason.OUT_OF_OFFICE,
        before["held_until"],
    )
    assert after["send_at"] == before["send_at"] + DAY


# --- what is gone, what is missing, what is left ---


def test_a_step_that_is_gone_still_goes_to_those_before_whom_it_is(hands, store, clock):
    enrolled(store, clock.now(), wants=sequence(HELLO, BUMP, LAST))
    hands.send()
    edited = sequence(HELLO, LAST)
    assert fates(hands.look(edited)) == {IDA: Fate.STEP_GONE}
    hands.apply(edited)
    for days in (3, 2, 3):
        hands.after(days=days)
    assert hands.to(IDA) == ["Hello\n", "Did you see it?\n", "I stop here.\n"]


def test_who_has_nothing_left_after_the_pending_letter_is_told_of(hands, store, clock):
    enrolled(store, clock.now(), wants=sequence(HELLO, BUMP, LAST))
    hands.send()
    edited = sequence(HELLO, BUMP)
    assert fates(hands.look(edited)) == {IDA: Fate.FINISHES}
    hands.apply(edited)
    hands.after(days=3)
    assert hands.person()["state"] == "finished"
    assert hands.to(IDA)[-1] == "Did you see it?\n"


def test_the_last_letter_is_the_last_letter_by_either_version(hands, store, clock):
    enrolled(store, clock.now(), wants=sequence(HELLO, BUMP))
    hands.send()
    assert fates(hands.look(sequence(HELLO, BUMP | {"body": "Other words"}))) == {IDA: Fate.UNTOUCHED}


def test_a_new_gap_holds_those_who_cannot_fill_it_after_what_is_pending(hands, store, clock):
    for email, site in ((IDA, ""), (TOM, "harbour.example")):
        enrolled(store, clock.now(), email, wants=sequence(HELLO, BUMP, LAST), site=site)
    hands.send()
    edited = sequence(HELLO, BUMP, LAST | {"body": "Shall I look at {{ site }}?"})

    plan = hands.look(edited)
    assert fates(plan) == {IDA: Fate.HELD, TOM: Fate.UNTOUCHED}
    assert plan.of(Fate.HELD)[0].why == "site is missing"
    hands.apply(edited, plan.token)
    hands.after(days=3)
    assert hands.to(IDA)[-1] == "Did you see it?\n"
    assert (hands.person()["state"], hands.person()["reason"]) == ("paused", "site is missing")
    assert hands.person(TOM)["state"] == "active"


def test_a_default_lets_those_go_on_for_whom_it_was_missing(hands, store, clock):
    was = sequence(HELLO | {"body": "Hello {{ first_name }}"}, BUMP, requires=["site"])
    with store.transaction(clock.now(), "a test") as ledger:
        enroll(prepare(Prospect(email=IDA), was), ledger=ledger)
        enroll(prepare(Prospect(email=TOM, variables={"first_name": "Tom"}), was), ledger=ledger)
    assert hands.person()["reason"] == "site, first_name are missing"
    edited = sequence(
        HELLO | {"body": "Hello {{ first_name }}"}, BUMP, requires=["site"], defaults={"site": "it"}
    )

    assert fates(hands.look(edited)) == {IDA: Fate.HELD, TOM: Fate.GOES_ON}
    hands.apply(edited)
    assert (hands.person()["state"], hands.person()["reason"]) == ("paused", "first_name is missing")
    assert hands.person(TOM)["state"] == "active"
    hands.send()
    assert hands.to(TOM) == ["Hello Tom\n"]
    assert hands.to(IDA) == []


def test_who_goes_on_is_not_told_everything_at_once(hands, store, clock):
    """Paused in mid-sequence by one edit, released by the next: the wait between is not used up."""
    enrolled(store, clock.now(), wants=sequence(HELLO, BUMP, LAST))
    hands.send()
    hands.apply(sequence(HELLO, BUMP, LAST | {"body": "{{ site }}"}))
    hands.after(days=3)
    assert hands.person()["reason"] == "site is missing"
    clock.pass_(20 * DAY)
    hands.apply(sequence(HELLO, BUMP, LAST))
    hands.send()
    assert hands.draft()["send_at"] == clock.now() + 5 * DAY


def test_a_pause_by_hand_stays_one_and_is_planned_anew_when_it_ends(hands, store, clock):
    enrollment_id = enrolled(store, clock.now(), wants=sequence(HELLO, BUMP))
    hands.send()
    with store.transaction(clock.now(), "a test") as ledger:
        ledger.enrollments.pause([enrollment_id], "by hand")
    before, edited = hands.draft(), sequence(HELLO, BUMP | {"after": "4d"})
    [change] = hands.look(edited).changes
    assert (change.fate, change.why) == (Fate.UNTOUCHED, "paused: by hand; planned anew when they go on")
    hands.apply(edited)
    assert (hands.person()["state"], hands.person()["reason"]) == ("paused", "by hand")
    assert hands.draft()["send_at"] == before["send_at"]
    clock.pass_(10 * DAY)
    resume(IDA, by="kim", store=store, clock=clock)
    assert hands.draft()["send_at"] == clock.now() + 4 * DAY


# --- who waits for something else than an hour ---

WAIT = {
    "id": "wait",
    "wait_for": 'clicked("report")',
    "up_to": "3d",
    "then": [{"id": "thanks", "body": "Thank you for reading"}],
    "else": [BUMP | {"after": "0d"}],
}


def test_a_longer_wait_for_something_ends_later(hands, store, clock):
    enrolled(store, clock.now(), wants=sequence(HELLO, WAIT))
    hands.send()
    edited = sequence(HELLO, WAIT | {"up_to": "5d"})

    [change] = hands.look(edited).changes
    assert (change.fate, change.new - change.old) == (Fate.REDATED, 2 * DAY)
    hands.apply(edited)
    assert hands.after(days=3) == []
    hands.after(days=2)
    assert hands.to(IDA)[-1] == "Did you see it?\n"


def test_who_waits_for_what_the_new_file_does_not_wait_for_goes_on(hands, store, clock):
    enrolled(store, clock.now(), wants=sequence(HELLO, WAIT))
    hands.send()
    edited = sequence(HELLO, BUMP | {"after": "1d"})
    [change] = hands.look(edited).changes
    assert (change.fate, change.step, change.new) == (Fate.REDATED, "bump", clock.now() + DAY)
    hands.apply(edited)
    hands.send()
    assert hands.draft()["send_at"] == change.new


def test_who_only_waited_finishes_when_nothing_is_left(hands, store, clock):
    enrolled(store, clock.now(), wants=sequence(HELLO, WAIT))
    hands.send()
    edited = sequence(HELLO)
    assert fates(hands.look(edited)) == {IDA: Fate.FINISHES}
    hands.apply(edited)
    assert hands.person()["state"] == "finished"


def test_who_only_waited_is_held_for_what_is_missing(hands, store, clock):
    enrolled(store, clock.now(), wants=sequence(HELLO, WAIT))
    hands.send()
    hands.apply(sequence(HELLO, WAIT, LAST | {"body": "{{ site }}"}))
    assert (hands.person()["state"], hands.person()["reason"]) == ("paused", "site is missing")


def test_a_wait_that_the_edit_does_not_concern_goes_on(hands, store, clock):
    enrolled(store, clock.now(), wants=sequence(HELLO, WAIT))
    hands.send()
    hands.apply(sequence(HELLO, WAIT, LAST))
    happen("evt_1", "clicked", IDA, "report", by="a test", store=store, clock=clock)
    hands.send()
    assert hands.to(IDA)[-1] == "Thank you for reading\n"


# --- plan and apply ---


def test_a_plan_is_the_same_as_long_as_nothing_moves(hands, store, clock):
    for number in range(5):
        wants = sequence(HELLO, BUMP, limits={"gap": "3m-9m"})
        enrolled(store, clock.now(), f"p{number}@c{number}.example", wants=wants)
    hands.send()
    edited = sequence(HELLO, BUMP | {"after": "0d"}, limits={"gap": "2m-4m"})
    plan = hands.look(edited)
    clock.pass_(timedelta(minutes=50))
    assert hands.apply(edited, plan.token).left == ()


@pytest.mark.parametrize("moves", ["sent", "stopped", "enrolled", "edited"])
def test_what_moved_since_the_plan_is_told_and_nothing_is_done(hands, store, clock, moves):
    wants = sequence(HELLO, BUMP)
    enrolled(store, clock.now(), wants=wants)
    edited = sequence(HELLO, BUMP | {"after": "4d"})
    token = hands.look(edited).token
    clock.pass_(timedelta(minutes=1))
    if moves == "sent":
        hands.send()
    elif moves == "stopped":
        stop(IDA, by="a test", store=store, clock=clock)
    elif moves == "enrolled":
        enrolled(store, clock.now(), TOM, wants=wants)
    else:
        edited = sequence(HELLO, BUMP | {"after": "5d"})

    with pytest.raises(Refused) as told:
        hands.apply(edited, token)
    words = {"enrolled": TOM, "edited": "the file is another one"}.get(moves, f"1 person ({IDA})")
    assert "something moved since" in str(told.value)
    assert words in str(told.value)
    assert str(told.value).endswith("Run relent plan again")
    assert hands.person()["version"] == wants.version


@pytest.mark.parametrize("token", ["", "nonsense", "-", "zz-1-2", "fffffffffffffffffffff-1-2", "-1-2-3"])
def test_what_is_no_plan_is_told_so(hands, token):
    with pytest.raises(Refused, match="plan"):
        apply(sequence(), token, by="a test", store=hands.store, clock=hands.clock)


def test_yesterdays_plan_is_no_plan(hands, store, clock):
    wants = sequence(HELLO, BUMP)
    enrolled(store, clock.now(), wants=sequence(HELLO))
    token = hands.look(wants).token
    clock.pass_(timedelta(minutes=61))
    with pytest.raises(Refused, match="good for an hour"):
        hands.apply(wants, token)


def test_applied_twice_is_applied_once(hands, store, clock):
    enrolled(store, clock.now(), wants=sequence(HELLO, BUMP))
    edited = sequence(HELLO, BUMP, LAST)
    hands.apply(edited)
    assert hands.look(edited).changes == ()
    assert sum(hands.apply(edited).counts.values()) == 0


def in_the_very_moment(deed, monkeypatch, store):
    """Between the look at all and the handful that is being written down."""
    real = store.insist

    def insist(writing, **more):
        monkeypatch.setattr(store, "insist", real)
        deed()
        return real(writing, **more)

    monkeypatch.setattr(store, "insist", insist)


def test_who_moves_in_the_very_moment_is_left_as_they_are(hands, store, clock, monkeypatch):
    wants = sequence(HELLO | {"after": "1m"}, BUMP)
    for email in (IDA, TOM, EVA):
        enrolled(store, clock.now(), email, wants=wants)
    edited = sequence(HELLO | {"after": "2m"}, BUMP)
    token = hands.look(edited).token

    def letters_are_taken_up_and_tom_has_answered():
        clock.pass_(timedelta(minutes=1))
        stop(TOM, by="a test", store=store, clock=clock)
        with store.transaction(clock.now(), "a test") as ledger:
            ledger.drafts.claim(token="t", owner="nobody/1/1", lease=timedelta(minutes=2), at_most=9)

    in_the_very_moment(letters_are_taken_up_and_tom_has_answered, monkeypatch, store)
    assert set(hands.apply(edited, token).left) == {IDA, EVA}
    assert hands.person(IDA)["version"] == wants.version
    assert hands.draft(IDA)["state"] == "claimed"
    assert hands.person(TOM)["state"] == "stopped"


@pytest.mark.parametrize("moves", ["sent", "paused"])
def test_who_was_to_be_untouched_and_moves_is_left_too(hands, store, clock, monkeypatch, moves):
    wants = sequence(HELLO, BUMP)
    enrollment_id = enrolled(store, clock.now(), wants=wants)
    edited = sequence(HELLO, BUMP, LAST)
    token = hands.look(edited).token

    def pause():
        with store.transaction(clock.now(), "a test") as ledger:
            ledger.enrollments.pause([enrollment_id], "by hand")

    in_the_very_moment(hands.send if moves == "sent" else pause, monkeypatch, store)
    assert hands.apply(edited, token).left == (IDA,)
    assert hands.person()["version"] == wants.version


def test_what_was_written_down_although_the_answer_was_lost_is_done(hands, store, clock, monkeypatch):
    enrolled(store, clock.now(), wants=sequence(HELLO, BUMP))
    edited = sequence(HELLO, BUMP, LAST)
    token, real = hands.look(edited).token, store.insist

    def insist(writing, **more):
        real(writing, **more)
        return real(writing, **more)

    monkeypatch.setattr(store, "insist", insist)
    assert hands.apply(edited, token).left == ()
    assert hands.person()["version"] == edited.version


def test_a_letter_in_a_workers_hands_is_left_alone_and_what_comes_next_is_new(hands, store, clock):
    enrolled(store, clock.now(), wants=sequence(HELLO, BUMP))
    edited = sequence(HELLO, BUMP | {"after": "9d"})
    seen = []

    def in_mid_send(letter):
        [change] = hands.look(edited).changes
        seen.append((change.fate, change.state))
        hands.apply(edited)

    hands.mailbox.before_gate = in_mid_send
    hands.send()
    assert seen == [(Fate.UNTOUCHED, "claimed")]
    assert hands.to(IDA) == ["Hello\n"]
    assert hands.draft()["send_at"] == clock.now() + 9 * DAY


def test_a_long_list_is_written_down_by_the_handful(hands, store, clock, monkeypatch):
    monkeypatch.setattr("engine.revise._AT_ONCE", 2)
    for number in range(5):
        enrolled(store, clock.now(), f"p{number}@c{number}.example", wants=sequence(HELLO, BUMP))
    hands.send()
    edited = sequence(HELLO, BUMP | {"after": "4d"})
    assert hands.apply(edited).counts[Fate.REDATED] == 5
    assert {one["send_at"] for one in pending(store, clock.now())} == {clock.now() + 4 * DAY}
    assert {one["version"] for one in people(store, clock.now())} == {edited.version}


def test_the_log_tells_who_was_revised_and_what_was_re_dated(hands, store, clock):
    enrolled(store, clock.now(), wants=sequence(HELLO, BUMP))
    hands.send()
    edited = sequence(HELLO, BUMP | {"after": "4d"})
    hands.apply(edited)
    with store.database.connect() as db:
        lines = db.execute(select(audit.c.what, audit.c.actor, audit.c.detail).order_by(audit.c.seq)).all()
    assert ("enrollment: revise", "a test", edited.version) in lines
    assert any(line[:2] == ("draft: redate", "a test") for line in lines)


def test_a_retry_keeps_its_hour(hands, store, clock):
    enrolled(store, clock.now(), wants=sequence(HELLO, BUMP))
    with store.database.begin() as db:
        db.execute(update(draft).values(send_at=clock.now() + timedelta(minutes=5), attempt=1))
    assert fates(hands.look(sequence(HELLO, BUMP | {"after": "4d"}))) == {IDA: Fate.UNTOUCHED}
