"""What a sequence says above its steps, kept by the real stories: whom an answer stops, who enters, how much leaves."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from threading import Barrier, Thread
from time import sleep
from zoneinfo import ZoneInfo

import pytest

from engine.approve import Reviewer, approve
from engine.brake import stop, suppress
from engine.dispatch import dispatch_due
from engine.enroll import AlreadyIn, Enrolled, NotWanted, Skipped, enroll, enroll_all, prepare
from engine.errors import NoAnswer, NotFound, PermanentFailure, Refused
from engine.events import AutoReply, Bounce, Complaint
from engine.model import Prospect
from engine.react import Held, Ignored, Stopped, react
from engine.recover import recover
from engine.resume import resume
from engine.settle import Delivered, InDoubt, Postponed
from tests.makers import IDA, SAM, enrolled, pending, people, reply, sequence

DAY = timedelta(days=1)
OLA = "ola@nordic.example"


def _send_all(store, mailbox, clock, pace):
    return list(dispatch_due(store=store, mailbox=mailbox, clock=clock, pace=pace))


def _enter(store, now, *emails, wants, **variables):
    with store.transaction(now, "a test") as ledger:
        ready = [prepare(Prospect(email=email, variables=variables), wants) for email in emails]
        return enroll_all(ready, ledger=ledger)


def _states(store, now):
    return {one["email"]: one["stop_reason"] or one["state"] for one in people(store, now)}


# --- stop ---


def test_an_answer_stops_everybody_at_the_company_if_the_sequence_says_so(store, clock, mailbox, pace):
    wants = sequence(stop={"reply": "company"})
    _enter(store, clock.now(), IDA, OLA, "per@quarry.example", wants=wants)
    _send_all(store, mailbox, clock, pace)
    thread_id = next(one["thread_id"] for one in people(store, clock.now()) if one["email"] == IDA)

    reaction = react(reply(thread_id), b"", store=store, clock=clock, pace=pace)

    assert isinstance(reaction, Stopped)
    assert len(reaction.drafts) == 2
    assert _states(store, clock.now()) == {IDA: "replied", OLA: "replied", "per@quarry.example": "active"}


def test_an_answer_is_kept_in_its_own_conversation_not_in_a_colleagues(store, clock, pace):
    _enter(store, clock.now(), IDA, OLA, wants=sequence(stop={"reply": "company"}))
    threads = {one["email"]: one["thread_id"] for one in people(store, clock.now())}
    for number, email in enumerate((IDA, OLA)):
        event = reply(
            threads[email], sender=email, id=f"evt_{number}", message_id=f"<{number}@nordic.example>"
        )
        react(event, b"", store=store, clock=clock, pace=pace)
    with store.reading(clock.now()) as ledger:
        kept = {mail["from"]: mail["thread_id"] for mail in ledger.views.messages()}
    assert kept == threads


def test_an_answer_of_a_colleague_whom_nobody_wrote_to_counts_too(store, clock, pace):
    _enter(store, clock.now(), IDA, wants=sequence(stop={"reply": "company"}))
    boss = reply("thr_unknown", sender="boss@nordic.example")
    assert isinstance(react(boss, b"", store=store, clock=clock, pace=pace), Stopped)
    assert _states(store, clock.now()) == {IDA: "replied"}


@pytest.mark.parametrize("person", ["ida@gmail.com", "ida@outlook.com"])
def test_people_with_free_mail_are_nobodys_colleagues(store, clock, pace, person):
    domain = person.partition("@")[2]
    _enter(store, clock.now(), person, f"ola@{domain}", wants=sequence(stop={"reply": "company"}))
    thread_id = next(one["thread_id"] for one in people(store, clock.now()) if one["email"] == person)
    react(reply(thread_id, sender=person), b"", store=store, clock=clock, pace=pace)
    assert _states(store, clock.now()) == {person: "replied", f"ola@{domain}": "active"}


def test_a_sequence_of_another_rule_lets_the_colleagues_go_on(store, clock, pace):
    _enter(store, clock.now(), IDA, OLA, wants=sequence())
    thread_id = next(one["thread_id"] for one in people(store, clock.now()) if one["email"] == IDA)
    react(reply(thread_id), b"", store=store, clock=clock, pace=pace)
    assert _states(store, clock.now()) == {IDA: "replied", OLA: "active"}


def test_never_means_never_also_for_the_label(store, clock, mailbox, pace):
    enrolled(store, clock.now(), wants=sequence(stop={"reply": "never"}))
    [first] = pending(store, clock.now())
    reaction = react(reply(first["thread_id"]), b"", store=store, clock=clock, pace=pace)
    assert isinstance(reaction, Ignored)
    assert [draft["labels"][0] for draft in pending(store, clock.now())] == [f"follow-up:{first['draft_id']}"]
    assert [type(outcome) for outcome in _send_all(store, mailbox, clock, pace)] == [Delivered]


def test_colleagues_whom_other_inboxes_of_a_pool_write_to_are_stopped_too(store, clock, pace):
    wants = sequence(**{"from": {"pool": "north"}, "stop": {"reply": "company"}})
    with store.transaction(clock.now(), "a test") as ledger:
        ready = [prepare(Prospect(email=email), wants) for email in (IDA, OLA)]
        enroll_all(ready, ledger=ledger, pools=POOLS)
    by_email = {one["email"]: one for one in people(store, clock.now())}
    assert by_email[IDA]["inbox_id"] != by_email[OLA]["inbox_id"]
    event = reply(by_email[IDA]["thread_id"], inbox_id=by_email[IDA]["inbox_id"])
    react(event, b"", store=store, clock=clock, pace=pace)
    assert _states(store, clock.now()) == {IDA: "replied", OLA: "replied"}


def test_a_complaint_stops_colleagues_and_forbids_only_who_complained(store, clock, mailbox, pace):
    _enter(store, clock.now(), IDA, OLA, wants=sequence(stop={"complaint": "company"}))
    _send_all(store, mailbox, clock, pace)
    threads = {one["email"]: one["thread_id"] for one in people(store, clock.now())}
    event = Complaint(id="evt_1", inbox_id=SAM, thread_id=threads[IDA], recipients=(IDA,))
    assert isinstance(react(event, b"", store=store, clock=clock, pace=pace), Stopped)
    assert _states(store, clock.now()) == {IDA: "complained", OLA: "complained"}
    outcomes = _enter(store, clock.now(), IDA, OLA, wants=sequence(name="Another"))
    assert [type(outcome) for outcome in outcomes] == [NotWanted, Enrolled]


# --- out of office ---


def _away(thread_id, **more):
    return AutoReply(
        id="evt_1", inbox_id=SAM, thread_id=thread_id, sender=IDA, subject="Automatic reply", **more
    )


OFFICE = {"timezone": "Europe/Oslo", "windows": "mon-fri 09:00-17:00"}


def test_whoever_names_the_day_of_return_is_written_to_a_business_day_later(store, clock, mailbox, pace):
    enrolled(store, clock.now(), wants=sequence(schedule=OFFICE))
    _send_all(store, mailbox, clock, pace)  # Monday, 2 March, 10:00 in Oslo
    [bump] = pending(store, clock.now())

    away = _away(bump["thread_id"], text="I am out of the office and will be back on 12 March 2026.")
    reaction = react(away, b"", store=store, clock=clock, pace=pace)

    assert isinstance(reaction, Held)
    assert reaction.until == datetime(2026, 3, 12, 23, tzinfo=UTC)  # Friday begins in Oslo
    [held] = pending(store, clock.now())
    assert held["send_at"] == datetime(
        2026, 3, 16, 8, tzinfo=UTC
    )  # its three days begin again, then the window


def test_never_waits_for_a_human_when_somebody_is_away(store, clock, mailbox, pace):
    enrolled(store, clock.now(), wants=sequence(out_of_office={"resume": "never"}))
    [first] = pending(store, clock.now())
    react(_away(first["thread_id"]), b"", store=store, clock=clock, pace=pace)
    clock.pass_(365 * DAY)
    recover(store=store, mailbox=mailbox, clock=clock, pace=pace)
    assert _send_all(store, mailbox, clock, pace) == []
    approve(first["draft_id"], by=Reviewer(id="kim"), store=store, clock=clock)
    assert [type(outcome) for outcome in _send_all(store, mailbox, clock, pace)] == [Delivered]


def test_who_is_back_is_resumed_and_the_rest_of_the_wait_is_still_to_come(store, clock, mailbox, pace):
    wants = sequence(out_of_office={"resume": "never"}, schedule=OFFICE)
    enrolled(store, clock.now(), wants=wants)
    _send_all(store, mailbox, clock, pace)
    [bump] = pending(store, clock.now())
    clock.pass_(DAY)
    react(_away(bump["thread_id"]), b"", store=store, clock=clock, pace=pace)
    clock.pass_(17 * DAY)  # a Friday

    assert [each.waits_for for each in resume(IDA, by="kim", store=store, clock=clock)] == [None]

    [bump] = pending(store, clock.now())
    assert bump["state"] == "scheduled"
    assert bump["send_at"] == datetime(2026, 3, 23, 8, tzinfo=UTC)  # two days were left: Sunday, so Monday
    with pytest.raises(NotFound, match="nobody called"):
        resume(IDA, by="kim", store=store, clock=clock)


def test_who_is_back_and_wants_a_yes_still_wants_it(store, clock, mailbox, pace):
    wants = sequence(out_of_office={"resume": "never"}, approval="first")
    enrolled(store, clock.now(), wants=wants)
    [first] = pending(store, clock.now())
    react(_away(first["thread_id"]), b"", store=store, clock=clock, pace=pace)
    clock.pass_(DAY)

    assert [each.waits_for for each in resume(IDA, by="kim", store=store, clock=clock)] == ["approval"]

    assert _send_all(store, mailbox, clock, pace) == []
    [first] = pending(store, clock.now())
    assert (first["state"], first["reason"]) == ("held", "approval")
    approve(first["draft_id"], by=Reviewer(id="kim"), store=store, clock=clock)
    assert [type(outcome) for outcome in _send_all(store, mailbox, clock, pace)] == [Delivered]


def test_whoever_may_not_be_written_to_gets_no_copy_either(store, clock, mailbox, pace):
    copied = {"cc": ["boss@nordic.example", "kim@acme.example"], "bcc": ["crm@old.example"]}
    wants = sequence({"subject": "Hi", "body": "Hello"} | copied, {"after": "1d", "body": "Again"} | copied)
    _enter(store, clock.now(), IDA, wants=wants)
    _send_all(store, mailbox, clock, pace)
    for whom in ("boss@nordic.example", "old.example"):
        suppress(whom, why="asked by phone", by="kim", store=store, clock=clock)
    clock.pass_(DAY)
    _send_all(store, mailbox, clock, pace)
    assert [(letter.cc, letter.bcc) for letter in mailbox.sent] == [
        (("boss@nordic.example", "kim@acme.example"), ("crm@old.example",)),
        (("kim@acme.example",), ()),
    ]


# --- approval ---


def test_a_letter_that_wants_a_yes_is_held_until_somebody_says_it(store, clock, mailbox, pace):
    enrolled(store, clock.now(), wants=sequence(approval="first"))
    [first] = pending(store, clock.now())
    assert (first["state"], first["reason"], first["approval_state"]) == ("held", "approval", "pending")
    clock.pass_(DAY)
    recover(store=store, mailbox=mailbox, clock=clock, pace=pace)
    assert _send_all(store, mailbox, clock, pace) == []

    approve(first["draft_id"], by=Reviewer(id="kim"), store=store, clock=clock)

    assert [type(outcome) for outcome in _send_all(store, mailbox, clock, pace)] == [Delivered]
    assert [draft["state"] for draft in pending(store, clock.now())] == ["scheduled"]


def test_a_yes_on_a_sunday_is_no_sundays_mail(store, clock, mailbox, pace):
    enrolled(store, clock.now(), wants=sequence(approval="first", schedule=OFFICE))
    [first] = pending(store, clock.now())
    clock.pass_(6 * DAY)  # Sunday
    approve(first["draft_id"], by=Reviewer(id="kim"), store=store, clock=clock)
    assert [draft["send_at"] for draft in pending(store, clock.now())] == [
        datetime(2026, 3, 9, 8, tzinfo=UTC)
    ]


BACK = "I am away and back on 16 March 2026."
WHEN_BACK = datetime(2026, 3, 16, 23, tzinfo=UTC)  # Tuesday begins in Oslo: a business day is theirs


def test_a_yes_to_somebody_who_is_away_waits_until_they_are_back(store, clock, mailbox, pace):
    wants = sequence(approval={"steps": ["step-2"]}, schedule=OFFICE)
    enrolled(store, clock.now(), wants=wants)
    _send_all(store, mailbox, clock, pace)
    [bump] = pending(store, clock.now())
    react(_away(bump["thread_id"], text=BACK), b"", store=store, clock=clock, pace=pace)
    approve(bump["draft_id"], by=Reviewer(id="kim"), store=store, clock=clock)
    [bump] = pending(store, clock.now())
    assert bump["state"] == "scheduled"
    assert bump["send_at"] == WHEN_BACK + timedelta(hours=9)
    assert bump["reason"] == "window opens Tue 17 Mar 09:00 Europe/Oslo"


def test_a_second_try_does_not_go_into_an_absence(store, clock, mailbox, pace):
    enrolled(store, clock.now(), wants=sequence(schedule=OFFICE))

    def refuse(_):
        raise PermanentFailure("550 no")

    mailbox.before_gate = refuse
    _send_all(store, mailbox, clock, pace)
    mailbox.before_gate = lambda letter: None
    [failed] = pending(store, clock.now())
    react(_away(failed["thread_id"], text=BACK), b"", store=store, clock=clock, pace=pace)
    approve(failed["draft_id"], by=Reviewer(id="kim"), store=store, clock=clock)
    assert _send_all(store, mailbox, clock, pace) == []
    assert [draft["send_at"] for draft in pending(store, clock.now())] == [WHEN_BACK + timedelta(hours=9)]


@pytest.mark.parametrize(("days", "left"), [(1, 2), (4, 0)])
def test_a_yes_to_what_an_absence_holds_lets_it_go_as_if_they_were_here(
    store, clock, mailbox, pace, days, left
):
    enrolled(store, clock.now())
    _send_all(store, mailbox, clock, pace)
    [bump] = pending(store, clock.now())
    clock.pass_(timedelta(hours=1))
    react(_away(bump["thread_id"], text=BACK), b"", store=store, clock=clock, pace=pace)
    clock.pass_(days * DAY - timedelta(hours=1))
    approve(bump["draft_id"], by=Reviewer(id="kim"), store=store, clock=clock)
    assert [draft["send_at"] for draft in pending(store, clock.now())] == [clock.now() + left * DAY]


# --- enroll ---


@pytest.mark.parametrize("slept", [timedelta(minutes=1), timedelta(hours=11)])
def test_a_house_that_slept_past_the_window_waits_for_the_next_one(store, clock, mailbox, pace, slept):
    """Friday at 15:59 it was due; nobody is written to at four, at night, or on the Monday that is skipped."""
    wants = sequence(schedule={"timezone": "UTC", "windows": "mon-fri 09:00-16:00", "skip": ["2026-03-09"]})
    clock.pass_(datetime(2026, 3, 6, 15, 59, tzinfo=UTC) - clock.now())
    _enter(store, clock.now(), IDA, wants=wants)
    clock.pass_(slept)
    [postponed] = _send_all(store, mailbox, clock, pace)
    assert not mailbox.sent
    assert "window" in postponed.why
    [draft] = pending(store, clock.now())
    assert draft["send_at"] == datetime(2026, 3, 10, 9, tzinfo=UTC)
    with store.reading(clock.now()) as ledger:
        kept = ledger.drafts.get(draft["draft_id"])
    assert (kept.attempt, kept.reason) == (0, "09 Mar is skipped, window opens Tue 10 Mar 09:00 UTC")
    clock.pass_(draft["send_at"] - clock.now())
    assert _send_all(store, mailbox, clock, pace) == [Delivered(draft["draft_id"])]


def test_the_same_person_enters_once_more_when_enough_time_has_passed(store, clock, mailbox, pace):
    wants = sequence({"subject": "Hi", "body": "Hello"}, enroll={"again_after": "180d"})
    assert isinstance(_enter(store, clock.now(), IDA, wants=wants)[0], Enrolled)
    _send_all(store, mailbox, clock, pace)
    clock.pass_(179 * DAY)
    [too_early] = _enter(store, clock.now(), IDA, wants=wants)
    assert isinstance(too_early, AlreadyIn)
    assert "not again before" in too_early.reason
    clock.pass_(DAY)
    assert isinstance(_enter(store, clock.now(), IDA, wants=wants)[0], Enrolled)
    _send_all(store, mailbox, clock, pace)
    assert len(mailbox.sent) == 2


def test_an_exclusive_sequence_leaves_out_whom_another_writes_to(store, clock):
    enrolled(store, clock.now())
    [out] = _enter(store, clock.now(), IDA, wants=sequence(name="Other", enroll={"exclusive": "true"}))
    assert out == Skipped("exclusive: in Quick question already")


def test_a_quiet_period_is_kept(store, clock, mailbox, pace):
    enrolled(store, clock.now(), wants=sequence({"subject": "Hi", "body": "Hello"}))
    _send_all(store, mailbox, clock, pace)
    wants = sequence(name="Other", enroll={"quiet_period": "14d"})
    clock.pass_(13 * DAY)
    assert isinstance(_enter(store, clock.now(), IDA, wants=wants)[0], Skipped)
    clock.pass_(DAY)
    assert isinstance(_enter(store, clock.now(), IDA, wants=wants)[0], Enrolled)


def test_no_more_people_of_one_company_than_allowed_also_within_one_list(store, clock):
    wants = sequence(enroll={"per_company": "2"})
    emails = [f"p{number}@nordic.example" for number in range(4)]
    outcomes = _enter(store, clock.now(), *emails, "per@quarry.example", wants=wants)
    assert [type(outcome) for outcome in outcomes] == [Enrolled, Enrolled, Skipped, Skipped, Enrolled]
    assert isinstance(_enter(store, clock.now(), "p9@nordic.example", wants=wants)[0], Skipped)


@pytest.mark.parametrize("rule", [{"per_company": "1"}, {"exclusive": "true"}])
def test_whoever_enters_at_the_same_moment_is_counted_too(store, clock, rule):
    gate, told = Barrier(4), []

    def enter(number):
        firm = "per_company" in rule
        wants = sequence(name="Quick question" if firm else f"Sequence {number}", enroll=rule)
        ready = prepare(Prospect(email=f"p{number}@nordic.example" if firm else IDA), wants)
        gate.wait()
        with store.transaction(clock.now(), "a test") as ledger:
            told.extend(enroll_all([ready], ledger=ledger))

    lists = [Thread(target=enter, args=(number,)) for number in range(4)]
    for each in lists:
        each.start()
    for each in lists:
        each.join()
    assert Counter(type(outcome) for outcome in told) == {Enrolled: 1, Skipped: 3}


def test_a_condition_leaves_people_out(store, clock):
    wants = sequence(enroll={"skip_if": 'is_customer or stage in ["open_deal"]'})
    assert isinstance(_enter(store, clock.now(), IDA, wants=wants, is_customer="yes")[0], Skipped)
    assert isinstance(_enter(store, clock.now(), IDA, wants=wants, stage="open_deal")[0], Skipped)
    assert isinstance(_enter(store, clock.now(), IDA, wants=wants, is_customer="no")[0], Enrolled)


# --- pools ---

POOLS = {"north": ("sam@acme.example", "kim@acme.example", "lea@acme.example")}


@pytest.mark.parametrize("rotate", ["least_recent", "round_robin"])
def test_a_pool_takes_turns_and_follow_ups_keep_the_first_sender(store, clock, mailbox, pace, rotate):
    wants = sequence(**{"from": {"pool": "north", "rotate": rotate}})
    for number in range(9):
        with store.transaction(clock.now(), "a test") as ledger:
            enroll(prepare(Prospect(email=f"p{number}@x.example"), wants), ledger=ledger, pools=POOLS)
        clock.pass_(timedelta(seconds=1))
    assert Counter(one["inbox_id"] for one in people(store, clock.now())) == dict.fromkeys(POOLS["north"], 3)
    for days in (0, 3, 5):
        clock.pass_(days * DAY)
        _send_all(store, mailbox, clock, pace)
    senders = {
        to: {letter.sender for letter in mailbox.sent if letter.to == to}
        for to in {letter.to for letter in mailbox.sent}
    }
    assert len(mailbox.sent) == 27
    assert all(len(each) == 1 for each in senders.values())


def test_who_wrote_first_to_a_person_writes_the_next_time_too(store, clock, mailbox, pace):
    wants = sequence(
        {"subject": "Hi", "body": "Hello"},
        **{"from": {"pool": "north", "rotate": "round_robin"}, "enroll": {"again_after": "1d"}},
    )
    for pools in (POOLS, POOLS, {"north": POOLS["north"][1:]}):
        with store.transaction(clock.now(), "a test") as ledger:
            enroll(prepare(Prospect(email=IDA), wants), ledger=ledger, pools=pools)
        _send_all(store, mailbox, clock, pace)
        clock.pass_(2 * DAY)
    first, second, third = (letter.sender for letter in mailbox.sent)
    assert first == second == POOLS["north"][0]
    assert third != first  # it is no sender of this sequence any more


def test_a_pool_that_nobody_filled_is_told_by_name(store, clock):
    wants = sequence(**{"from": {"pool": "south"}})
    with store.transaction(clock.now(), "a test") as ledger, pytest.raises(Refused, match='no pool "south"'):
        enroll(prepare(Prospect(email=IDA), wants), ledger=ledger, pools=POOLS)


# --- limits ---


def test_no_more_leaves_on_a_day_than_allowed_and_follow_ups_go_first(store, clock, mailbox, pace):
    wants = sequence(
        {"subject": "Hi", "body": "Hello"}, {"after": "1d", "body": "Again"}, limits={"per_mailbox": "10/day"}
    )
    _enter(store, clock.now(), *(f"p{number}@x.example" for number in range(35)), wants=wants)
    left = Counter()
    for _ in range(24 * 10):
        while outcomes := _send_all(store, mailbox, clock, pace):
            left[clock.now().date()] += sum(isinstance(outcome, Delivered) for outcome in outcomes)
        clock.pass_(timedelta(hours=1))

    assert list(left.values())[:6] == [10] * 6
    assert all(number <= 10 for number in left.values())
    assert [letter.in_reply_to is None for letter in mailbox.sent[10:20]] == [False] * 10
    assert len(mailbox.sent) == 70


def test_letters_from_one_mailbox_keep_their_distance(store, clock, mailbox, pace):
    wants = sequence({"subject": "Hi", "body": "Hello"}, limits={"gap": "3m-9m"})
    _enter(store, clock.now(), *(f"p{number}@x.example" for number in range(20)), wants=wants)
    hours = sorted(draft["send_at"] for draft in pending(store, clock.now()))
    gaps = [later - earlier for earlier, later in pairwise(hours)]
    assert all(timedelta(minutes=3) <= gap <= timedelta(minutes=9) for gap in gaps)
    assert len(set(gaps)) > 5


def test_as_many_workers_as_you_like_share_one_limit(store, clock, mailbox, pace):
    """Each of them looks, and finds room; but only one at a time goes through the gate."""
    wants = sequence(limits={"per_mailbox": "5/day", "per_company": "1/day"})
    strangers = [f"p{number}@f{number}.example" for number in range(20)]
    _enter(store, clock.now(), *strangers, "ada@one.example", "ben@one.example", wants=wants)
    clock.pass_(10 * DAY)  # everybody's hour has come
    mailbox.before_gate = lambda letter: sleep(0.02)
    patient = replace(pace, batch=2, max_lateness=30 * DAY)

    def work():
        while _send_all(store, mailbox, clock, patient):
            pass

    workers = [Thread(target=work) for _ in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    assert len(mailbox.sent) == 5
    assert sum(letter.to.endswith("@one.example") for letter in mailbox.sent) <= 1


def test_a_letter_that_may_have_left_takes_its_room(store, clock, mailbox, pace):
    def no_answer(letter):
        raise NoAnswer("the line went dead")

    wants = sequence(limits={"per_mailbox": "2/day"})
    _enter(store, clock.now(), *(f"p{number}@x.example" for number in range(6)), wants=wants)
    clock.pass_(4 * DAY)  # everybody's hour has come
    mailbox.after_gate = no_answer
    outcomes = _send_all(store, mailbox, clock, replace(pace, max_lateness=30 * DAY))
    assert Counter(type(outcome) for outcome in outcomes) == {InDoubt: 2, Postponed: 4}


@pytest.mark.parametrize("late", [timedelta(seconds=90), timedelta(minutes=20, microseconds=600)])
def test_a_letter_that_was_late_keeps_the_next_one_at_its_distance(store, clock, mailbox, pace, late):
    """Also when it left between two of the milliseconds that the database counts in."""
    wants = sequence({"subject": "Hi", "body": "x"}, limits={"gap": "4m"})
    _enter(store, clock.now(), *(f"p{number}@x.example" for number in range(3)), wants=wants)
    clock.pass_(late)
    left = []
    for _ in range(30):
        left += [
            clock.now()
            for outcome in _send_all(store, mailbox, clock, pace)
            if isinstance(outcome, Delivered)
        ]
        clock.pass_(timedelta(seconds=30))
    assert len(left) == 3
    assert all(later - earlier >= timedelta(minutes=4) for earlier, later in pairwise(left))


def test_a_ramp_begins_with_the_first_letter_that_really_left(store, clock, mailbox, pace):
    wants = sequence({"subject": "Hi", "body": "x"}, limits={"ramp": "2/day to 40/day over 14d"})
    enrolled(store, clock.now(), "old@x.example", sequence({"subject": "Hi", "body": "x"}, approval="all"))
    stop("old@x.example", by="a test", store=store, clock=clock)
    clock.pass_(20 * DAY)
    _enter(store, clock.now(), *(f"p{number}@x.example" for number in range(9)), wants=wants)
    _send_all(store, mailbox, clock, pace)
    assert len(mailbox.sent) == 2


def test_a_day_and_an_hour_are_those_on_the_senders_wall(store, clock, mailbox, pace):
    """At 10:00 in Los Angeles and at 18:00 it is the same Monday there, and not in London; India is half an hour off."""
    monday = datetime(2026, 3, 2, 18, tzinfo=UTC)
    clock.pass_(monday - clock.now())
    always = {"timezone": "America/Los_Angeles", "windows": "00:00-24:00"}
    wants = sequence(
        {"subject": "Hi", "body": "x"}, schedule=always, limits={"ramp": "2/day to 8/day over 2d"}
    )
    _enter(store, clock.now(), *(f"p{number}@x.example" for number in range(20)), wants=wants)
    for hour in range(13):  # until seven on Tuesday morning in London: still Monday there
        if hour == 8:
            _enter(store, clock.now(), *(f"r{number}@x.example" for number in range(5)), wants=wants)
        _send_all(store, mailbox, clock, pace)
        clock.pass_(timedelta(hours=1))
    assert len(mailbox.sent) == 2

    india = sequence(
        {"subject": "Hi", "body": "x"},
        name="India",
        schedule={"timezone": "Asia/Kolkata", "windows": "09:00-12:00"},
        limits={"per_mailbox": "3/hour"},
        **{"from": "kim@acme.example"},
    )
    _enter(store, clock.now(), *(f"q{number}@x.example" for number in range(9)), wants=india)
    hours = [d["send_at"] for d in pending(store, clock.now()) if d["to"].startswith("q")]
    assert Counter(f"{hour.astimezone(ZoneInfo('Asia/Kolkata')):%H}" for hour in hours) == {
        "09": 3,
        "10": 3,
        "11": 3,
    }


def test_follow_ups_that_are_late_go_before_first_letters_that_are_late(store, clock, mailbox, pace):
    wants = sequence(
        {"subject": "Hi", "body": "Hello"}, {"after": "1d", "body": "Again"}, limits={"per_mailbox": "3/day"}
    )
    early, late = [[f"{who}{number}@x.example" for number in range(3)] for who in ("early", "late")]
    _enter(store, clock.now(), *early, wants=wants)
    _send_all(store, mailbox, clock, pace)
    _enter(store, clock.now(), *late, wants=sequence(name="Another", limits={"per_mailbox": "3/day"}))
    clock.pass_(DAY * 1.4)  # nothing was running: both are overdue, the first letters for longer
    _send_all(store, mailbox, clock, pace)
    assert [letter.to for letter in mailbox.sent[3:]] == early


def test_after_a_long_sleep_letters_still_keep_their_distance(store, clock, mailbox, pace):
    wants = sequence({"subject": "Hi", "body": "Hello"}, limits={"gap": "3m-9m"})
    _enter(store, clock.now(), *(f"p{number}@x.example" for number in range(5)), wants=wants)
    clock.pass_(DAY)
    outcomes = [type(outcome) for outcome in _send_all(store, mailbox, clock, pace)]
    assert outcomes.count(Delivered) == 1
    hours = sorted(draft["send_at"] for draft in pending(store, clock.now()))
    assert all(later - earlier >= timedelta(minutes=3) for earlier, later in pairwise(hours))
    assert hours[0] >= clock.now() + timedelta(minutes=3)


# --- pause_if ---


def test_a_sequence_that_bounces_too_often_pauses_itself_and_says_so(store, clock, mailbox, pace):
    wants = sequence(pause_if={"bounce_rate": "20%", "min_sent": "5"})
    _enter(store, clock.now(), *(f"p{number}@x{number}.example" for number in range(6)), wants=wants)
    _send_all(store, mailbox, clock, pace)
    threads = {one["email"]: one["thread_id"] for one in people(store, clock.now())}
    for number in range(2):
        email = f"p{number}@x{number}.example"
        bounce = Bounce(
            id=f"evt_{number}", inbox_id=SAM, thread_id=threads[email], permanent=True, recipients=(email,)
        )
        react(bounce, b"", store=store, clock=clock, pace=pace)

    states = Counter(one["state"] for one in people(store, clock.now()))
    assert states == {"stopped": 2, "paused": 4}
    assert people(store, clock.now())[-1]["reason"] == "bounce_rate: 2 of 6 letters, more than 20.0%"
    clock.pass_(4 * DAY)
    assert _send_all(store, mailbox, clock, pace) == []


def _bounce(email, number, store, clock, pace):
    thread = next(one["thread_id"] for one in people(store, clock.now()) if one["email"] == email)
    bounce = Bounce(id=f"evt_{number}", inbox_id=SAM, thread_id=thread, permanent=True, recipients=(email,))
    return react(bounce, b"", store=store, clock=clock, pace=pace)


def test_colleagues_who_are_stopped_along_have_not_bounced(store, clock, mailbox, pace):
    wants = sequence(stop={"bounce": "company"}, pause_if={"bounce_rate": "20%", "min_sent": "5"})
    emails = [f"p{number}@x{number}.example" for number in range(6)]
    _enter(store, clock.now(), IDA, OLA, "eva@nordic.example", *emails, wants=wants)
    _send_all(store, mailbox, clock, pace)
    _bounce(IDA, 1, store, clock, pace)
    assert Counter(one["state"] for one in people(store, clock.now())) == {"stopped": 3, "active": 6}


def test_what_comes_back_of_a_last_letter_counts(store, clock, mailbox, pace):
    wants = sequence(
        {"subject": "Hi", "body": "Hello"},
        limits={"per_mailbox": "6/day"},
        pause_if={"bounce_rate": "20%", "min_sent": "5"},
    )
    emails = [f"p{number}@x{number}.example" for number in range(9)]
    _enter(store, clock.now(), *emails, wants=wants)
    _send_all(store, mailbox, clock, pace)
    for number in range(2):
        _bounce(emails[number], number, store, clock, pace)
        _bounce(emails[number], f"{number} again", store, clock, pace)
    assert Counter(one["state"] for one in people(store, clock.now())) == {"finished": 6, "paused": 3}
    assert people(store, clock.now())[-1]["reason"] == "bounce_rate: 2 of 6 letters, more than 20.0%"


def test_bounces_count_also_where_nothing_stops_for_them(store, clock, mailbox, pace):
    wants = sequence(stop={"bounce": "never"}, pause_if={"bounce_rate": "20%", "min_sent": "5"})
    emails = [f"p{number}@x{number}.example" for number in range(6)]
    _enter(store, clock.now(), *emails, wants=wants)
    _send_all(store, mailbox, clock, pace)
    assert isinstance(_bounce(emails[0], 0, store, clock, pace), Ignored)
    assert isinstance(_bounce(emails[1], 1, store, clock, pace), Ignored)
    assert Counter(one["state"] for one in people(store, clock.now())) == {"paused": 6}


# --- resume ---


def test_resuming_is_no_burst_the_rest_of_the_wait_is_still_to_come(store, clock, mailbox, pace):
    enrolled(store, clock.now())
    _send_all(store, mailbox, clock, pace)
    clock.pass_(DAY)
    with store.transaction(clock.now(), "a test") as ledger:
        ledger.enrollments.pause([one["enrollment_id"] for one in people(store, clock.now())], "by hand")
    clock.pass_(30 * DAY)

    resume(IDA, by="kim", store=store, clock=clock)

    assert _send_all(store, mailbox, clock, pace) == []
    assert [draft["send_at"] for draft in pending(store, clock.now())] == [clock.now() + 2 * DAY]


# --- winner ---


def test_when_one_way_to_say_it_has_proved_best_everybody_gets_it(store, clock, mailbox, pace):
    wants = sequence(
        {
            "id": "opener",
            "variants": [{"subject": "A", "body": "a", "id": "a"}, {"subject": "B", "body": "b", "id": "b"}],
            "winner": {"by": "reply", "min_sent": "10", "confidence": "95%"},
        }
    )
    _enter(store, clock.now(), *(f"p{number}@x.example" for number in range(40)), wants=wants)
    _send_all(store, mailbox, clock, pace)
    said = {letter.to: letter.subject for letter in mailbox.sent}
    assert set(said.values()) == {"A", "B"}
    for one in people(store, clock.now()):
        if said[one["email"]] == "B":
            event = reply(
                one["thread_id"], sender=one["email"], id=one["email"], message_id=f"<{one['email']}>"
            )
            react(event, b"", store=store, clock=clock, pace=pace)

    _enter(store, clock.now(), *(f"q{number}@x.example" for number in range(10)), wants=wants)
    _send_all(store, mailbox, clock, pace)

    assert {letter.subject for letter in mailbox.sent if letter.to.startswith("q")} == {"B"}
