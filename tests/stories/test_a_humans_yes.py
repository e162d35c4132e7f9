"""A yes is bound to what was seen. One winner; whoever comes too late is told what has changed, by whom and when."""

from contextlib import nullcontext
from dataclasses import replace
from datetime import timedelta
from threading import Barrier, Thread

import pytest
from sqlalchemy import select, update

from engine.approve import (
    Approved,
    Left,
    Reviewer,
    Seen,
    Words,
    approve,
    approve_alike,
    approve_restored,
    edit,
    expire,
    reject,
    reschedule,
    send_now,
    submit,
    withdraw,
)
from engine.dispatch import dispatch_due
from engine.errors import Busy, Forbidden, Invalid, NotFound, Refused, Stale
from engine.events import AutoReply
from engine.evidence import look
from engine.inboxes import Change as Renamed
from engine.inboxes import update as rename
from engine.model import Pace
from engine.post import Counter, post, take
from engine.react import react
from engine.recover import recover
from engine.resume import resume
from engine.settle import Delivered
from engine.states import HoldReason
from engine.store.tables import audit, thread
from engine.wish import NEEDS_REVIEW, Author, Wish
from engine.write import Change, write
from engine.write import update as update_draft
from tests.doubles import FrozenClock
from tests.makers import IDA, SAM, enrolled, pending, people, reply, sequence

AUTHOR = Author(id="key_1")
KIM, LEA = Reviewer(id="kim@acme.example"), Reviewer(id="lea@acme.example")


@pytest.fixture
def hands(store, clock):
    return {"store": store, "clock": clock}


@pytest.fixture
def go(store, clock, mailbox, pace):
    return lambda: list(dispatch_due(store=store, mailbox=mailbox, clock=clock, pace=pace))


def held(store, clock, **above):
    """Somebody's first letter, waiting for a yes."""
    enrolled(store, clock.now(), wants=sequence(**{"approval": "all"} | above))
    return pending(store, clock.now())[0]["draft_id"]


def follow_up(store, clock, go, **above):
    """Their next one, waiting for a yes: the first has left with one."""
    approve(held(store, clock, **above), by=KIM, store=store, clock=clock)
    go()
    return pending(store, clock.now())[0]["draft_id"]


def draft(draft_id, store, clock):
    with store.reading(clock.now()) as ledger:
        return ledger.drafts.get(draft_id)


def seen(draft_id, hands):
    found = look(draft_id, **hands)
    return Seen(content_sha=found.draft.content_sha, head=found.head, sender_name=found.sender_name)


def call_sam(name, hands):
    rename(SAM, Renamed(words={"display_name": name}), by="kim", **hands)


def state_of(email, store, clock):
    return next(each for each in people(store, clock.now()) if each["email"] == email)["state"]


def test_nothing_leaves_without_a_yes_and_with_one_exactly_what_was_seen(store, clock, mailbox, hands, go):
    which = held(store, clock)
    assert go() == []

    found = look(which, **hands)
    approve(which, by=KIM, seen=seen(which, hands), **hands)
    assert go() == [Delivered(which)]

    (letter,) = mailbox.sent
    assert letter.text == found.draft.text
    (said,) = look(which, **hands).reviews
    assert (said.verdict, said.by, said.content_sha) == ("approved", KIM.id, found.draft.content_sha)
    assert said.evidence["text"] == letter.text
    assert said.evidence["version"] == found.sequence.version
    assert said.evidence["thread_head"] == 0
    assert said.evidence["why_then"]


def test_a_second_yes_is_told_who_said_the_first(store, clock, hands):
    which = held(store, clock)
    looked = seen(which, hands)
    approve(which, by=KIM, seen=looked, **hands)
    with pytest.raises(Stale, match=r"approved by kim@acme.example already") as told:
        approve(which, by=LEA, seen=looked, **hands)
    assert told.value.changed["by"] == KIM.id


def test_of_many_who_say_yes_at_once_one_wins(store, clock, hands):
    which = held(store, clock)
    looked, start, won, lost = seen(which, hands), Barrier(6), [], []

    def say(number):
        start.wait()
        try:
            won.append(approve(which, by=Reviewer(id=f"r{number}"), seen=looked, **hands))
        except Stale as error:
            lost.append(error)

    crowd = [Thread(target=say, args=(number,)) for number in range(6)]
    for each in crowd:
        each.start()
    for each in crowd:
        each.join()
    assert len(won) == 1
    assert len(lost) == 5
    assert len(look(which, **hands).reviews) == 1


def test_a_yes_to_words_that_were_changed_is_none(store, clock, hands):
    which = held(store, clock)
    looked = seen(which, hands)
    edit(which, Words(text="Something else"), yes=False, by=LEA, seen=looked, **hands)
    with pytest.raises(Stale, match=r"lea@acme.example changed it") as told:
        approve(which, by=KIM, seen=looked, **hands)
    assert told.value.changed["content_sha"] == draft(which, store, clock).content_sha
    assert draft(which, store, clock).state == "held"


def test_edited_and_approved_leaves_as_edited(store, clock, mailbox, hands, go):
    which = held(store, clock)
    done = edit(
        which, Words(subject="Hello", text="Better words"), yes=True, by=KIM, seen=seen(which, hands), **hands
    )
    assert done.approved
    go()
    assert [(each.subject, each.text) for each in mailbox.sent] == [("Hello", "Better words\n")]
    assert [each.verdict for each in look(which, **hands).reviews] == ["approved", "edited"]


def test_an_edit_after_a_yes_voids_it(store, clock, mailbox, hands, go):
    which = held(store, clock)
    approve(which, by=KIM, **hands)
    edit(which, Words(text="Other words"), yes=False, by=LEA, seen=seen(which, hands), **hands)
    assert go() == []
    assert draft(which, store, clock).outcome == "approval"
    assert not mailbox.sent


@pytest.mark.parametrize("text", ["", "  \n", "a\0b", "a\x1bb", "\ud800"])
def test_words_that_cannot_be_sent_are_refused_and_nothing_changes(store, clock, hands, text):
    which = held(store, clock)
    before = draft(which, store, clock)
    with pytest.raises(Invalid):
        edit(which, Words(text=text), yes=True, by=KIM, seen=seen(which, hands), **hands)
    assert draft(which, store, clock) == before


@pytest.mark.parametrize("subject", ["", "a\nb", "a\u2028b", "x" * 999])
def test_a_subject_that_is_no_line_is_refused(store, clock, hands, subject):
    with pytest.raises(Invalid):
        edit(
            which := held(store, clock),
            Words(subject=subject),
            yes=True,
            by=KIM,
            seen=seen(which, hands),
            **hands,
        )


def test_a_follow_up_keeps_the_subject_of_its_conversation(store, clock, hands, go):
    bump = follow_up(store, clock, go)
    with pytest.raises(Invalid, match="keeps the subject"):
        edit(bump, Words(subject="New"), yes=True, by=KIM, seen=seen(bump, hands), **hands)


def test_an_answer_takes_the_letter_and_the_yes_away(store, clock, mailbox, pace, hands, go):
    bump = follow_up(store, clock, go)
    looked = seen(bump, hands)
    react(reply(draft(bump, store, clock).thread_id), b"{}", pace=pace, **hands)
    with pytest.raises(Stale, match=r"was cancelled \(replied\)"):
        approve(bump, by=KIM, seen=looked, **hands)


def test_an_answer_that_stops_nothing_still_voids_a_yes_said_before_it(
    store, clock, mailbox, pace, hands, go
):
    bump = follow_up(store, clock, go, stop={"reply": "never"})
    looked = seen(bump, hands)
    approve(bump, by=KIM, seen=looked, **hands)
    react(reply(draft(bump, store, clock).thread_id), b"{}", pace=pace, **hands)

    assert (draft(bump, store, clock).state, draft(bump, store, clock).outcome) == ("held", "changed")
    with pytest.raises(Stale, match=f"{IDA} has written in this conversation"):
        approve(bump, by=KIM, seen=looked, **hands)
    clock.pass_(timedelta(days=4))
    assert go() == []
    approve(bump, by=KIM, seen=seen(bump, hands), **hands)
    assert go() == [Delivered(bump)]


def test_the_gate_asks_again_whether_anybody_has_written(store, clock, mailbox, hands, go):
    """Also when nobody looked after the draft: the conversation itself has moved on."""
    which = held(store, clock)
    approve(which, by=KIM, **hands)
    with store.transaction(clock.now(), "a test") as ledger:
        ledger._db.execute(update(thread).values(last_position=7))
    go()
    assert not mailbox.sent
    assert draft(which, store, clock).outcome == "changed"
    assert draft(which, store, clock).approved_sha is None


def test_a_yes_was_said_to_the_name_of_the_sender_too(store, clock, mailbox, hands, go):
    which = held(store, clock)
    call_sam("Sam of Acme", hands)
    approve(which, by=KIM, seen=seen(which, hands), **hands)
    call_sam("The Board", hands)
    go()
    assert not mailbox.sent
    assert draft(which, store, clock).outcome == "changed"

    approve(which, by=LEA, seen=seen(which, hands), **hands)
    go()
    assert len(mailbox.sent) == 1
    assert mailbox.sent[0].names[SAM] == "The Board"


@pytest.mark.parametrize(("before", "after"), [("Sam", "The Board"), ("Sam", None), (None, "The Board")])
def test_who_saw_another_name_is_told(store, clock, hands, before, after):
    which = held(store, clock)
    call_sam(before, hands)
    looked = seen(which, hands)
    call_sam(after, hands)
    with pytest.raises(Stale, match="was renamed") as told:
        approve(which, by=KIM, seen=looked, **hands)
    assert told.value.changed["why"] == "renamed"


def test_a_yes_grows_old(store, clock, mailbox, pace, hands, go):
    which = held(store, clock)
    approve(which, by=KIM, **hands)
    clock.pass_(timedelta(days=8))
    recover(store=store, mailbox=mailbox, clock=clock, pace=pace)
    assert go() == []
    assert draft(which, store, clock).state == "held"
    assert not mailbox.sent


def test_only_whom_the_sequence_names_may_say_yes(store, clock, hands):
    rules = {"steps": "all", "by": ["kim@acme.example", "team:sales"]}
    enrolled(store, clock.now(), wants=sequence(approval=rules))
    which = pending(store, clock.now())[0]["draft_id"]
    with pytest.raises(Forbidden, match=r"only kim@acme.example or team:sales"):
        approve(which, by=Reviewer(id="lea@acme.example", names=frozenset({"lea@acme.example"})), **hands)
    for deed in (send_now, lambda *a, **k: reschedule(*a, clock.now() + timedelta(days=1), **k)):
        with pytest.raises(Forbidden):
            deed(which, by=LEA, **hands)
    assert approve(which, by=Reviewer(id="joe", names=frozenset({"team:sales"})), **hands).draft_id == which


def test_rejected_its_person_waits_until_it_is_reworded(store, clock, mailbox, hands, go):
    which = held(store, clock)
    reject(which, why="too pushy", then="pause", by=KIM, seen=seen(which, hands), **hands)
    assert state_of(IDA, store, clock) == "paused"
    with pytest.raises(Stale, match=r"rejected by kim@acme.example.*too pushy"):
        approve(which, by=LEA, **hands)
    assert go() == []

    resume(IDA, by="kim", **hands)
    assert draft(which, store, clock).outcome == "approval"
    edit(which, Words(text="Gently"), yes=True, by=KIM, seen=seen(which, hands), **hands)
    assert go() == [Delivered(which)]
    assert mailbox.sent[0].text == "Gently\n"


def test_rejected_the_sequence_goes_on_without_that_step(store, clock, mailbox, hands, go):
    bump = follow_up(store, clock, go)
    clock.pass_(timedelta(days=2))
    reject(bump, why="not needed", then="skip", by=KIM, seen=seen(bump, hands), **hands)

    (last,) = pending(store, clock.now())
    assert last["step"] == "step-3"
    assert last["send_at"] == clock.now() + timedelta(days=5)  # the wait is counted from the no
    assert draft(bump, store, clock).state == "cancelled"
    approve(last["draft_id"], by=KIM, **hands)
    clock.pass_(timedelta(days=5))
    assert go() == [Delivered(last["draft_id"])]
    assert state_of(IDA, store, clock) == "finished"


def test_what_would_answer_nothing_is_not_skipped_to(store, clock, hands):
    which = held(store, clock)
    with pytest.raises(Refused, match="the next ones answer it"):
        reject(which, why="no", then="skip", by=KIM, **hands)
    assert draft(which, store, clock).state == "held"


def test_rejected_its_person_hears_nothing_more(store, clock, hands):
    which = held(store, clock)
    reject(which, why="a customer already", then="stop", by=KIM, **hands)
    assert state_of(IDA, store, clock) == "stopped"
    assert draft(which, store, clock).state == "cancelled"
    with pytest.raises(Stale):
        approve(which, by=KIM, **hands)


def test_a_no_needs_a_reason(store, clock, hands):
    which = held(store, clock)
    with pytest.raises(Invalid, match="say why"):
        reject(which, why="  ", then="stop", by=KIM, **hands)


def test_a_yes_can_be_taken_back_until_it_has_left(store, clock, hands, go):
    which = held(store, clock)
    approve(which, by=KIM, **hands)
    withdraw(which, why="second thoughts", by=LEA, **hands)
    assert go() == []
    approve(which, by=KIM, **hands)
    go()
    with pytest.raises(Stale, match="has left"):
        withdraw(which, by=LEA, **hands)


def test_sent_now_it_waits_for_no_window(store, clock, mailbox, hands, go):
    schedule = {"timezone": "UTC", "windows": "mon-fri 13:00-14:00"}
    which = held(store, clock, schedule=schedule)
    assert send_now(which, by=KIM, seen=seen(which, hands), **hands).send_at == clock.now()
    assert go() == [Delivered(which)]


def test_what_no_human_had_to_see_can_be_sent_now_too(store, clock, hands, go):
    enrolled(store, clock.now(), wants=sequence())
    go()
    bump = pending(store, clock.now())[0]["draft_id"]
    send_now(bump, by=KIM, **hands)
    assert go() == [Delivered(bump)]
    assert look(bump, **hands).reviews[0].by == KIM.id


def test_another_hour_is_kept_by_a_yes_and_by_the_gate(store, clock, mailbox, hands, go):
    which = held(store, clock, schedule={"timezone": "UTC", "windows": "mon-fri 13:00-14:00"})
    saturday = clock.now() + timedelta(days=5, hours=1)
    reschedule(which, saturday, by=KIM, seen=seen(which, hands), **hands)
    assert approve(which, by=KIM, seen=seen(which, hands), **hands).send_at == saturday
    clock.pass_(timedelta(days=5))
    assert go() == []
    clock.pass_(timedelta(hours=1))
    assert go() == [Delivered(which)]


def test_an_approved_letter_keeps_its_yes_at_another_hour(store, clock, mailbox, hands, go):
    which = held(store, clock)
    approve(which, by=KIM, **hands)
    later = clock.now() + timedelta(days=10)
    reschedule(which, later, by=LEA, seen=seen(which, hands), **hands)
    assert draft(which, store, clock).approved_until == later + timedelta(days=7)
    clock.pass_(timedelta(days=10))
    recover(store=store, mailbox=mailbox, clock=clock, pace=Pace())
    assert go() == [Delivered(which)]


def test_no_letter_is_moved_into_the_past(store, clock, hands):
    which = held(store, clock)
    for when in (clock.now(), clock.now() - timedelta(days=1)):
        with pytest.raises(Invalid, match="no hour to come"):
            reschedule(which, when, by=KIM, **hands)


def test_alike_letters_are_approved_at_once_and_the_odd_ones_left(store, clock, hands):
    asks = sequence(
        {"subject": "Hi", "body": "Hello {{ first_name }}, how is {{ company }}?"}, approval="all"
    )
    for number in range(5):
        enrolled(store, clock.now(), f"p{number}@x{number}.example", asks, first_name="Al", company="Mill")
    enrolled(store, clock.now(), "odd@odd.example", asks, first_name="Al", company="N/A")
    changed = pending(store, clock.now())[0]["draft_id"]
    kind = draft(changed, store, clock).alike
    as_of = clock.now()
    clock.pass_(timedelta(seconds=1))
    edit(changed, Words(text="By hand"), yes=False, by=LEA, seen=seen(changed, hands), **hands)
    enrolled(store, clock.now(), "late@late.example", asks, first_name="Al", company="Mill")

    done = list(approve_alike(kind, as_of=as_of, by=KIM, **hands))

    assert [type(each) for each in done] == [Approved] * 4
    left = {each["to"] for each in pending(store, clock.now()) if each["state"] == "held"}
    assert left == {"odd@odd.example", "late@late.example", draft(changed, store, clock).to}
    assert draft(
        next(e["draft_id"] for e in pending(store, clock.now()) if e["to"] == "odd@odd.example"), store, clock
    ).oddities == ("company reads like a stopgap: N/A",)


def test_of_the_alike_whoever_cannot_be_approved_is_named(store, clock, hands):
    asks = sequence({"subject": "Hi", "body": "Hello"}, approval="all")
    for number in range(2):
        enrolled(store, clock.now(), f"p{number}@x{number}.example", asks)
    kind = draft(pending(store, clock.now())[0]["draft_id"], store, clock).alike
    with store.transaction(clock.now(), "a test") as ledger:
        ledger.enrollments.pause([pending(store, clock.now())[0]["enrollment_id"]], "a test")
    done = list(approve_alike(kind, as_of=clock.now(), by=KIM, **hands))
    assert sorted(type(each).__name__ for each in done) == ["Approved", "Left"]
    assert "resume" in next(each.why for each in done if isinstance(each, Left))


@pytest.mark.parametrize(("then", "state"), [("hold", "held"), ("skip", "cancelled")])
def test_who_is_not_answered_in_time(store, clock, hands, go, then, state):
    rules = {"steps": ["step-2"], "expires": "2d", "on_expire": then}
    enrolled(store, clock.now(), wants=sequence(approval=rules))
    go()
    bump = pending(store, clock.now())[0]["draft_id"]
    clock.pass_(timedelta(days=1, hours=23))
    assert expire(**hands) == 0
    clock.pass_(timedelta(hours=2))
    assert expire(**hands) == 1
    assert expire(**hands) == 0
    assert draft(bump, store, clock).state == state
    assert draft(bump, store, clock).outcome == "expired"
    if then == "hold":
        approve(bump, by=KIM, **hands)
        clock.pass_(timedelta(days=1))
        assert go() == [Delivered(bump)]
    else:
        assert pending(store, clock.now())[0]["step"] == "step-3"


def test_a_first_letter_is_not_passed_over_because_nobody_looked(store, clock, hands):
    which = held(store, clock, approval={"steps": "all", "expires": "2d", "on_expire": "skip"})
    clock.pass_(timedelta(days=3))
    expire(**hands)
    assert (draft(which, store, clock).state, draft(which, store, clock).outcome) == ("held", "expired")


def test_a_letter_by_hand_can_ask_for_a_yes(store, clock, hands, go):
    with store.transaction(clock.now(), "a test") as ledger:
        ledger.threads.open_inbox(SAM)
    author = Author(id="key_1")
    filed = write(Wish(inbox_id=SAM, to=(IDA,), subject="Hi", text="Hello"), by=author, **hands)
    submit(filed.draft.id, by=Reviewer(id="key_1"), **hands)
    assert go() == []
    approve(filed.draft.id, by=KIM, seen=seen(filed.draft.id, hands), **hands)
    assert go() == [Delivered(filed.draft.id)]


def test_what_is_not_there_is_not_found(hands):
    with pytest.raises(NotFound):
        approve("drf_none", by=KIM, **hands)


def test_the_last_word_is_who_came_last_whatever_their_clock_says(store, clock, hands):
    """Whoever waited for the others has looked at the clock before them."""
    which = held(store, clock)
    early, late = hands | {"clock": FrozenClock(clock.now() - timedelta(minutes=5))}, hands
    approve(which, by=KIM, **late)
    withdraw(which, by=LEA, **early)
    reject(which, why="no", then="pause", by=KIM, **late)
    edit(which, Words(text="Other words"), yes=False, by=LEA, seen=None, **early)
    said = [each.verdict for each in look(which, **hands).reviews]
    assert said == ["edited", "rejected", "withdrawn", "approved"]


def test_every_word_stands_in_the_log_with_who_said_it(store, clock, hands):
    which = held(store, clock)
    edit(which, Words(text="Other"), yes=True, by=KIM, seen=seen(which, hands), **hands)
    withdraw(which, why="wait", by=LEA, **hands)
    with store.reading(clock.now()) as ledger:
        lines = ledger._db.execute(select(audit).where(audit.c.draft_id == which).order_by(audit.c.seq)).all()
    told = [(line.what, line.actor, line.detail) for line in lines]
    assert ("draft: rewrite", KIM.id, None) in told
    assert any(what == "draft: approve" and by == KIM.id for what, by, _ in told)
    assert ("draft: hold", LEA.id, "wait") in told


# --- a human's yes is nobody else's ---


def by_hand(hands, store, clock, **wish):
    """A letter that somebody with a key has written, and that waits for a human's yes."""
    with store.transaction(clock.now(), "a test") as ledger:
        ledger.threads.open_inbox(SAM)
    asked = Wish(inbox_id=SAM, to=(IDA,), subject="Hi", text="Hello", labels=(NEEDS_REVIEW,), **wish)
    return write(asked, by=AUTHOR, **hands).draft.id


def rest(store, clock, mailbox, pace):
    return Counter(store=store, clock=clock, pace=pace, lend=lambda: nullcontext(mailbox))


@pytest.mark.parametrize("approved", [True, False])
def test_its_author_cannot_put_other_words_under_a_yes(store, clock, mailbox, pace, hands, go, approved):
    which = by_hand(hands, store, clock)
    if approved:
        approve(which, by=KIM, seen=seen(which, hands), **hands)
    change = Change(
        words={"text": "Evil"}, to=("boss@evil.example",), remove_labels=frozenset({NEEDS_REVIEW})
    )
    update_draft(which, change, by=AUTHOR, **hands)
    assert draft(which, store, clock).approved_sha is None
    assert go() == []
    with pytest.raises(Busy, match="waits for a human's yes"):
        take(which, key=None, by=AUTHOR, counter=rest(store, clock, mailbox, pace))
    assert not mailbox.sent


def test_taken_out_of_the_review_it_comes_back_to_it(store, clock, mailbox, pace, hands, go):
    which = by_hand(hands, store, clock)
    no_hour = Change(send_at=None, remove_labels=frozenset({NEEDS_REVIEW}))
    update_draft(which, no_hour, by=AUTHOR, **hands)
    with pytest.raises(Busy):
        take(which, key=None, by=AUTHOR, counter=rest(store, clock, mailbox, pace))
    update_draft(which, Change(send_at=clock.now() + timedelta(minutes=1)), by=AUTHOR, **hands)
    assert draft(which, store, clock).state == "held"
    clock.pass_(timedelta(hours=1))
    assert go() == []
    approve(which, by=KIM, **hands)
    assert go() == [Delivered(which)]


def test_an_automatic_reply_does_not_bring_back_a_yes_that_an_answer_took(
    store, clock, mailbox, pace, hands, go
):
    bump = follow_up(store, clock, go, stop={"reply": "never"})
    approve(bump, by=KIM, **hands)
    thread = draft(bump, store, clock).thread_id
    away = {"inbox_id": SAM, "thread_id": thread, "sender": IDA, "subject": "Away", "text": ""}
    react(AutoReply(id="a1", message_id="<a1@x>", **away), b"1", pace=pace, **hands)
    assert draft(bump, store, clock).approved_sha is not None
    react(reply(thread, id="r1", message_id="<r1@x>"), b"2", pace=pace, **hands)
    react(AutoReply(id="a2", message_id="<a2@x>", **away), b"3", pace=pace, **hands)
    assert draft(bump, store, clock).approved_sha is None
    clock.pass_(timedelta(days=15))
    recover(store=store, mailbox=mailbox, clock=clock, pace=Pace(max_lateness=timedelta(days=99)))
    assert go() == []


def test_a_usual_absence_takes_no_yes_away(store, clock, mailbox, pace, hands, go):
    bump = follow_up(store, clock, go)
    approve(bump, by=KIM, **hands)
    thread = draft(bump, store, clock).thread_id
    away = AutoReply(id="a1", inbox_id=SAM, thread_id=thread, message_id="<a1@x>", sender=IDA)
    react(away, b"1", pace=pace, **hands)
    clock.pass_(timedelta(days=10, minutes=1))
    recover(store=store, mailbox=mailbox, clock=clock, pace=pace)
    assert go() == [Delivered(bump)]


def test_an_answer_elsewhere_voids_a_yes_too(store, clock, mailbox, pace, hands, go):
    asks = sequence(
        {"subject": "One", "body": "Hello"},
        {"after": "3d", "subject": "Two", "body": "Another thing"},
        approval="all",
        stop={"reply": "never"},
    )
    enrolled(store, clock.now(), wants=asks)
    first = pending(store, clock.now())[0]["draft_id"]
    approve(first, by=KIM, **hands)
    go()
    second = pending(store, clock.now())[0]["draft_id"]
    approve(second, by=KIM, **hands)
    react(reply(draft(first, store, clock).thread_id), b"", pace=pace, **hands)
    assert draft(second, store, clock).outcome == "changed"


def test_who_answered_since_is_not_approved_with_the_others(store, clock, pace, hands, go):
    asks = sequence(
        {"subject": "Hi", "body": "Hello"},
        {"after": "1d", "body": "Still?"},
        approval={"steps": ["step-2"]},
        stop={"reply": "never"},
    )
    enrolled(store, clock.now(), wants=asks)
    go()
    (bump,) = pending(store, clock.now())
    as_of, kind = clock.now(), draft(bump["draft_id"], store, clock).alike
    clock.pass_(timedelta(minutes=1))
    react(reply(bump["thread_id"]), b"", pace=pace, **hands)
    assert list(approve_alike(kind, as_of=as_of, by=KIM, **hands)) == []


def test_what_was_rejected_is_not_approved_with_the_others(store, clock, hands):
    which = held(store, clock)
    kind = draft(which, store, clock).alike
    reject(which, why="a lie", then="pause", by=KIM, **hands)
    resume(IDA, by="kim", **hands)
    assert list(approve_alike(kind, as_of=clock.now(), by=KIM, **hands)) == []


def test_a_yes_to_a_letter_that_sleeps_can_be_taken_back(store, clock, mailbox, pace, hands, go):
    bump = follow_up(store, clock, go)
    approve(bump, by=KIM, **hands)
    thread = draft(bump, store, clock).thread_id
    react(
        AutoReply(id="a", inbox_id=SAM, thread_id=thread, message_id="<a@x>", sender=IDA),
        b"",
        pace=pace,
        **hands,
    )
    withdraw(bump, by=LEA, **hands)
    assert draft(bump, store, clock).outcome == "approval"
    assert draft(bump, store, clock).held_until is None


def test_the_first_letter_is_passed_over_when_what_comes_has_a_subject(store, clock, hands, go):
    asks = sequence(
        {"subject": "One", "body": "Hello"},
        {"after": "1d", "subject": "Two", "body": "New"},
        {"after": "1d", "body": "Re"},
        approval="all",
    )
    enrolled(store, clock.now(), wants=asks)
    first = pending(store, clock.now())[0]["draft_id"]
    reject(first, why="no", then="skip", by=KIM, **hands)
    (second,) = pending(store, clock.now())
    assert second["subject"] == "Two"
    approve(second["draft_id"], by=KIM, **hands)
    clock.pass_(timedelta(days=1))
    assert go() == [Delivered(second["draft_id"])]


# --- what a yes does not outlive, and what no yes outweighs ---


def may_have_left(store, clock):
    """The database was put back."""
    with store.transaction(clock.now(), "a test") as ledger:
        ledger.drafts.hold_what_may_have_left()


def written_by_hand(store, clock, hands):
    """With an hour, by somebody who may send."""
    with store.transaction(clock.now(), "a test") as ledger:
        ledger.threads.open_inbox(SAM)
    wish = Wish(inbox_id=SAM, to=(IDA,), subject="Hi", text="x", send_at=clock.now() + timedelta(days=1))
    return write(wish, by=AUTHOR, **hands).draft.id


@pytest.fixture
def counter(store, clock, mailbox, pace):
    return Counter(store=store, clock=clock, pace=pace, lend=lambda: nullcontext(mailbox))


def test_what_a_human_took_back_does_not_leave_by_its_authors_key(store, clock, mailbox, hands, go, counter):
    which = written_by_hand(store, clock, hands)
    withdraw(which, why="not this", by=KIM, **hands)
    with pytest.raises(Busy, match="waits for a human's yes"):
        take(which, key=None, by=AUTHOR, counter=counter)
    update_draft(which, Change(send_at=None), by=AUTHOR, **hands)
    update_draft(which, Change(send_at=clock.now() + timedelta(minutes=1)), by=AUTHOR, **hands)
    clock.pass_(timedelta(hours=1))
    go()
    assert draft(which, store, clock).state == "held"
    assert not mailbox.sent


def test_a_yes_that_is_void_is_said_anew(store, clock, mailbox, hands, go, counter):
    which = follow_up(store, clock, go)
    approve(which, by=KIM, seen=seen(which, hands), **hands)
    own = Wish(inbox_id=SAM, in_reply_to=mailbox.sent[0].message_id, to=(IDA,), text="By the way")
    post(own, key=None, by=AUTHOR, counter=counter)
    assert (draft(which, store, clock).state, draft(which, store, clock).outcome) == ("held", "changed")

    approve(which, by=LEA, seen=seen(which, hands), **hands)
    call_sam("The Board", hands)
    assert (draft(which, store, clock).state, draft(which, store, clock).outcome) == ("held", "changed")
    approve(which, by=LEA, seen=seen(which, hands), **hands)
    clock.pass_(timedelta(days=4))
    go()
    assert [each.names.get(SAM) for each in mailbox.sent] == [None, None, "The Board"]


def test_a_yes_that_went_bad_unseen_is_renewed_by_another_one(store, clock, mailbox, hands, go):
    """Nobody told the draft that its conversation had moved on; whoever looks at it sees that it has."""
    which = follow_up(store, clock, go)
    approve(which, by=KIM, seen=seen(which, hands), **hands)
    with store.transaction(clock.now(), "a test") as ledger:
        ledger._db.execute(update(thread).values(last_position=7))
    approve(which, by=LEA, seen=seen(which, hands), **hands)
    clock.pass_(timedelta(days=4))
    go()
    assert len(mailbox.sent) == 2


def test_a_name_that_comes_and_goes_is_not_in_the_letter(store, clock, mailbox, hands, pace):
    """The gate asks for the name that stands in the letter, not for the one that the inbox has by then."""
    which = held(store, clock)
    approve(which, by=KIM, seen=seen(which, hands), **hands)
    with store.transaction(clock.now(), "a test") as ledger:
        claimed = ledger.drafts.claim(token="t", owner="a worker", at_most=1, lease=pace.lease)[0]
    with store.transaction(clock.now(), "a test") as ledger:
        assert not ledger.drafts.pass_gate(claimed, name="Mallory, CEO")
        assert ledger.drafts.pass_gate(claimed, name="")


def test_alike_letters_under_another_name_are_left(store, clock, hands):
    which, as_of = held(store, clock), clock.now()
    clock.pass_(timedelta(minutes=1))
    call_sam("The Board", hands)
    assert not list(approve_alike(draft(which, store, clock).alike, as_of=as_of, by=KIM, **hands))
    assert draft(which, store, clock).state == "held"


def test_what_was_taken_back_is_not_approved_with_the_others(store, clock, hands):
    which = held(store, clock)
    alike = draft(which, store, clock).alike
    approve(which, by=KIM, **hands)
    withdraw(which, by=LEA, **hands)
    assert not list(approve_alike(alike, as_of=clock.now(), by=KIM, **hands))


def test_a_yes_lifts_no_hold_that_nobody_saw(store, clock, hands, go, mailbox):
    which = follow_up(store, clock, go)
    looked = replace(seen(which, hands), held_for="approval")
    with store.transaction(clock.now(), "a test") as ledger:
        found = draft(which, store, clock)
        ledger.drafts.hold(found, HoldReason.UNVERIFIED, send_at=found.send_at, until=None)
    for say in (approve, send_now):
        with pytest.raises(Stale, match="for another reason by now: unverified") as told:
            say(which, by=KIM, seen=looked, **hands)
        assert told.value.changed["held_for"] == "unverified"
    with pytest.raises(Stale, match="unverified"):
        edit(which, Words(text="Other"), yes=True, by=KIM, seen=looked, **hands)
    approve(which, by=KIM, seen=replace(looked, held_for="unverified"), **hands)
    assert draft(which, store, clock).state == "scheduled"


@pytest.mark.parametrize("how", ["withdraw", "reply", "reject"])
def test_what_may_have_left_stays_so_until_somebody_knows(store, clock, mailbox, pace, hands, go, how):
    which = follow_up(store, clock, go, stop={"reply": "never"})
    approve(which, by=KIM, seen=seen(which, hands), **hands)
    clock.pass_(timedelta(days=3, hours=1))
    may_have_left(store, clock)
    if how == "withdraw":
        withdraw(which, by=LEA, **hands)
    elif how == "reply":
        react(reply(draft(which, store, clock).thread_id), b"", pace=pace, **hands)
    else:
        with pytest.raises(Refused, match="nobody knows whether"):
            reject(which, why="no", then="pause", by=LEA, **hands)
    assert draft(which, store, clock).outcome == "restored"


def test_its_author_does_not_send_again_what_may_have_left(store, clock, mailbox, hands, counter):
    which = written_by_hand(store, clock, hands)
    clock.pass_(timedelta(days=1, minutes=1))
    may_have_left(store, clock)
    with pytest.raises(Busy, match="may have left"):
        take(which, key=None, by=AUTHOR, counter=counter)
    with pytest.raises(Busy, match="may have left"):
        update_draft(which, Change(send_at=None), by=AUTHOR, **hands)
    assert not mailbox.sent


def test_what_may_have_left_stays_so_when_a_machine_rewords_it(store, clock, hands):
    which = by_hand(hands, store, clock, send_at=clock.now() + timedelta(days=1))
    approve(which, by=KIM, seen=seen(which, hands), **hands)
    clock.pass_(timedelta(days=1, minutes=1))
    may_have_left(store, clock)
    machine = Author(id="key_draft", may_send=False)
    update_draft(which, Change(words={"text": "a new word"}), by=machine, **hands)
    assert draft(which, store, clock).outcome == "restored"


def test_of_what_may_have_left_only_approved_words_go_by_the_one_yes(store, clock, mailbox, hands, go):
    which = held(store, clock)
    approve(which, by=KIM, seen=seen(which, hands), **hands)
    may_have_left(store, clock)
    edit(which, Words(text="Nobody has read this"), yes=False, by=LEA, seen=None, **hands)
    assert [type(each) for each in approve_restored(by=KIM, **hands)] == [Left]
    go()
    assert not mailbox.sent


def test_an_automatic_reply_that_comes_twice_brings_back_no_yes(
    store, clock, mailbox, pace, hands, go, counter
):
    which = follow_up(store, clock, go)
    approve(which, by=KIM, seen=seen(which, hands), **hands)
    away = {
        "inbox_id": SAM, "thread_id": draft(which, store, clock).thread_id,
        "message_id": "<auto@n>", "sender": IDA, "subject": "Away", "text": "away",
    }  # fmt: skip
    react(AutoReply(id="evt_a", **away), b"", pace=pace, **hands)
    with store.transaction(
        clock.now(), "a test"
    ) as ledger:  # somebody wrote there, and nobody told the draft
        ledger._db.execute(update(thread).values(last_position=thread.c.last_position + 1))
    head = draft(which, store, clock).approved_head
    react(AutoReply(id="evt_b", **away), b"", pace=pace, **hands)
    assert draft(which, store, clock).approved_head == head


def test_another_hour_by_its_author_is_no_other_yes(store, clock, hands):
    which = by_hand(hands, store, clock, send_at=clock.now() + timedelta(days=1))
    approve(which, by=KIM, seen=seen(which, hands), **hands)
    update_draft(which, Change(send_at=clock.now() + timedelta(days=2)), by=Author(id="key_other"), **hands)
    assert draft(which, store, clock).approved_by == KIM.id


def test_who_may_not_say_yes_is_not_told_that_they_did(store, clock, hands):
    which = held(store, clock, approval={"steps": "all", "by": [KIM.id]})
    approve(which, by=Reviewer(id=KIM.id, names=frozenset({KIM.id})), **hands)
    with pytest.raises(Forbidden):
        edit(which, Words(), yes=True, by=LEA, seen=seen(which, hands), **hands)


HELLO = {"subject": "Hi", "body": "Hello {{ first_name }}, may I come by this week?"}


def test_what_was_odd_about_its_values_is_so_in_other_words(store, clock, hands):
    enrolled(store, clock.now(), wants=sequence(HELLO, approval="all"), first_name="TBD")
    which = pending(store, clock.now())[0]["draft_id"]
    odd = draft(which, store, clock).oddities
    edit(which, Words(text=draft(which, store, clock).text + "\nBest"), yes=False, by=LEA, seen=None, **hands)
    assert odd
    assert draft(which, store, clock).oddities == odd
