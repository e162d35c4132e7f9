"""Drafts that no sequence made: written, given an hour, changed, sent now, thrown away. One winner each, and never twice."""

import random
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial
from threading import Event, Thread

import pytest

from engine.dispatch import dispatch_due
from engine.errors import (
    Busy,
    Forbidden,
    Invalid,
    NotFound,
    PermanentFailure,
    Rejected,
    TemporaryFailure,
    Unprocessable,
)
from engine.ids import follow_up_label
from engine.model import Enclosure
from engine.post import Counter, Key, forget_keys, post, take
from engine.react import Stopped, react
from engine.recover import recover
from engine.states import DraftState
from engine.store.pages import Slice
from engine.store.written import Which
from engine.wish import Author, Wish
from engine.write import Change, discard, update, write
from tests.makers import IDA, SAM, reply

ANN = Author(id="key_ann")
INTERN = Author(id="key_intern", may_send=False)
HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def inbox(store, clock):
    with store.transaction(clock.now(), "a test") as ledger:
        ledger.threads.open_inbox(SAM)


@pytest.fixture
def counter(store, clock, pace, mailbox):
    @contextmanager
    def lend():
        yield mailbox

    return Counter(store=store, clock=clock, pace=pace, lend=lend)


@pytest.fixture
def wish():
    return Wish(inbox_id=SAM, to=(IDA,), subject="Hello", text="Good day.")


@pytest.fixture
def writes(store, clock):
    return lambda wish, by=ANN: write(wish, by=by, store=store, clock=clock).draft


@pytest.fixture
def changes(store, clock):
    return lambda draft, by=ANN, **what: (
        update(draft.id, Change(**what), by=by, store=store, clock=clock).draft
    )


@pytest.fixture
def now_is_due(store, clock, mailbox, pace):
    def go(after=HOUR):
        clock.pass_(after)
        return list(dispatch_due(store=store, mailbox=mailbox, clock=clock, pace=pace))

    return go


def state(store, clock, draft):
    with store.reading(clock.now()) as ledger:
        return ledger.drafts.get(draft.id).state


def test_without_an_hour_nothing_leaves(writes, wish, now_is_due, mailbox):
    assert writes(wish).state == DraftState.WRITTEN
    now_is_due(timedelta(days=400))

    assert mailbox.sent == []


def test_with_an_hour_it_leaves_once_at_that_hour(writes, wish, clock, now_is_due, mailbox):
    writes(replace(wish, send_at=clock.now() + HOUR))
    now_is_due(HOUR / 2)
    assert mailbox.sent == []
    now_is_due(HOUR / 2)
    now_is_due()

    assert [letter.to for letter in mailbox.sent] == [IDA]


def test_a_new_hour_moves_it_and_none_keeps_it(writes, changes, wish, clock, now_is_due, mailbox):
    draft = writes(replace(wish, send_at=clock.now() + HOUR))
    later = changes(draft, send_at=clock.now() + 3 * HOUR)
    assert later.send_at == clock.now() + 3 * HOUR
    now_is_due(2 * HOUR)
    kept = changes(draft, send_at=None)
    now_is_due(10 * HOUR)

    assert (kept.state, kept.has_an_hour, mailbox.sent) == (DraftState.WRITTEN, False, [])


def test_an_hour_that_has_passed_is_refused_and_one_just_passed_is_now(writes, wish, clock):
    with pytest.raises(Invalid, match="has passed"):
        writes(replace(wish, send_at=clock.now() - HOUR))

    assert writes(replace(wish, send_at=clock.now() - timedelta(seconds=30))).send_at == clock.now()


def test_a_failed_one_leaves_at_a_new_hour(writes, changes, wish, clock, now_is_due, mailbox, store):
    def refuse(letter):
        raise PermanentFailure("no such user")

    mailbox.before_gate = refuse
    draft = writes(replace(wish, send_at=clock.now() + HOUR))
    now_is_due()
    assert state(store, clock, draft) == DraftState.FAILED
    mailbox.before_gate = lambda letter: None
    changes(draft, to=("tom@nordic.example",), send_at=clock.now() + HOUR)
    now_is_due()

    assert [letter.to for letter in mailbox.sent] == ["tom@nordic.example"]


def test_who_only_drafts_may_give_no_hour_and_change_no_letter_that_has_one(writes, changes, wish, clock):
    draft = writes(wish, by=INTERN)
    with pytest.raises(Forbidden):
        changes(draft, by=INTERN, send_at=clock.now() + HOUR)
    with pytest.raises(Forbidden):
        writes(replace(wish, send_at=clock.now() + HOUR), by=INTERN)
    changes(draft, send_at=clock.now() + HOUR)

    with pytest.raises(Forbidden):
        changes(draft, by=INTERN, words={"text": "Buy!"})


def test_a_change_names_what_it_changes_and_leaves_the_rest(writes, changes, wish):
    changed = changes(writes(wish), words={"text": "Dear"}, add_labels=("hot",))

    assert (changed.text, changed.subject, changed.to, changed.labels) == ("Dear", "Hello", IDA, ("hot",))


def test_files_are_added_and_taken_away(writes, changes, wish):
    plan = Enclosure(name="plan.txt", content_type="text/plain", content=b"one two")
    draft = changes(writes(wish), add_files=(plan,))
    assert [each.size for each in draft.attachments] == [7]

    assert changes(draft, remove_files=frozenset({draft.attachments[0].id})).attachments == ()


def test_what_is_thrown_away_never_leaves(writes, wish, clock, store, now_is_due, mailbox):
    draft = writes(replace(wish, send_at=clock.now() + HOUR))
    discard(draft.id, by="ann", store=store, clock=clock)
    now_is_due()
    assert mailbox.sent == []

    with pytest.raises(NotFound):
        discard(draft.id, by="ann", store=store, clock=clock)


def test_the_same_name_is_the_same_draft_also_after_its_end(writes, wish, clock, store):
    named = replace(wish, client_id="first-to-ida")
    draft = writes(named)
    assert writes(replace(named, text="Other words")).id == draft.id
    discard(draft.id, by="ann", store=store, clock=clock)

    again = writes(replace(named, send_at=clock.now() + HOUR))
    assert (again.id, again.state) == (draft.id, DraftState.CANCELLED)


def test_a_letter_posted_has_left_when_that_is_said(wish, counter, mailbox):
    posted = post(wish, key=None, by=ANN, counter=counter)

    assert [letter.message_id for letter in mailbox.sent] == [posted.message_id]


def test_what_cannot_be_posted_at_once_leaves_by_itself(wish, counter, mailbox, now_is_due):
    def busy(letter):
        raise TemporaryFailure("greylisted")

    mailbox.before_gate = busy
    posted = post(wish, key=None, by=ANN, counter=counter)
    mailbox.before_gate = lambda letter: None
    now_is_due()

    assert [letter.message_id for letter in mailbox.sent] == [posted.message_id]


def test_a_letter_to_nobody_is_not_posted_and_uses_no_key_up(wish, counter, mailbox):
    once = Key(name="k", request="r")
    with pytest.raises(Unprocessable):
        post(replace(wish, to=()), key=once, by=ANN, counter=counter)

    assert post(wish, key=once, by=ANN, counter=counter).message_id == mailbox.sent[0].message_id


def test_who_is_never_to_be_written_to_is_not(wish, counter, store, clock, mailbox):
    with store.transaction(clock.now(), "a test") as ledger:
        ledger.inbound.suppress(IDA, "complained")
    with pytest.raises(Rejected, match="may not be written to"):
        post(replace(wish, to=("tom@x.example", IDA)), key=None, by=ANN, counter=counter)

    assert mailbox.sent == []


def test_a_refusal_for_good_is_told_each_time_and_leaves_no_draft(wish, counter, mailbox, store, clock):
    def refuse(letter):
        raise PermanentFailure("no such user")

    mailbox.before_gate = refuse
    for _ in range(2):
        with pytest.raises(Rejected, match="no such user"):
            post(wish, key=Key(name="k", request="r"), by=ANN, counter=counter)

    with store.reading(clock.now()) as ledger:
        assert ledger.written.page_of(Which(inbox_id=SAM), Slice()).items == []


def test_a_key_posts_once_and_something_else_under_it_is_refused(wish, counter, mailbox):
    ends = [post(wish, key=Key(name="k", request="r"), by=ANN, counter=counter) for _ in range(2)]
    assert ends[0] == ends[1]
    with pytest.raises(Busy, match="something else"):
        post(wish, key=Key(name="k", request="other"), by=ANN, counter=counter)

    assert len(mailbox.sent) == 1


def test_who_asks_again_while_it_is_under_way_hears_neither_yes_nor_no(wish, counter, mailbox):
    key, heard = Key(name="k", request="r"), []

    def ask_again(_):
        with pytest.raises(Busy) as refusal:
            post(wish, key=key, by=ANN, counter=counter)
        heard.append(refusal.value)

    mailbox.before_gate = mailbox.after_gate = ask_again
    post(wish, key=key, by=ANN, counter=counter)

    assert len(heard) == 2
    assert len(mailbox.sent) == 1


def test_words_that_nobody_said_yes_to_do_not_pass_the_gate(writes, wish, clock, store, now_is_due, mailbox):
    """However they came to be claimed."""
    draft = writes(replace(wish, send_at=clock.now() + HOUR))
    with store.transaction(clock.now(), "a test") as ledger:
        said_yes_to = replace(draft, approved_sha="other words", text="Not these.")
        assert ledger.written.rewrite(draft, said_yes_to)
    now_is_due()

    assert mailbox.sent == []
    assert state(store, clock, draft) == DraftState.HELD


def test_of_many_who_post_under_one_key_one_does(wish, counter, mailbox):
    def one(_):
        try:
            return post(wish, key=Key(name="k", request="r"), by=ANN, counter=counter).message_id
        except Busy:
            return None

    with ThreadPoolExecutor(8) as hands:
        said = set(hands.map(one, range(8))) - {None}

    assert (len(said), len(mailbox.sent)) == (1, 1)


def test_a_draft_is_taken_once_and_its_hour_goes_with_it(writes, wish, clock, counter, mailbox, now_is_due):
    draft = writes(replace(wish, send_at=clock.now() + HOUR, labels=("hot",)))
    posted = take(draft.id, key=None, by=ANN, counter=counter)
    with pytest.raises(NotFound, match=posted.message_id):
        take(draft.id, key=None, by=ANN, counter=counter)
    now_is_due()

    assert len(mailbox.sent) == 1


def test_of_many_who_take_change_and_discard_one_draft_all_hear_the_truth(
    writes, changes, wish, counter, mailbox, store, clock
):
    for _ in range(5):
        draft = writes(wish)
        before = len(mailbox.sent)
        deeds = [
            lambda it=draft: take(it.id, key=None, by=ANN, counter=counter),
            lambda it=draft: discard(it.id, by="ann", store=store, clock=clock),
            lambda it=draft: changes(it, words={"text": "Other"}),
            lambda it=draft: take(it.id, key=None, by=ANN, counter=counter),
        ]

        def honest(deed):
            try:
                deed()
            except (Busy, NotFound, Rejected) as error:
                return type(error).__name__
            return "done"

        with ThreadPoolExecutor(4) as hands:
            said = list(hands.map(honest, deeds))
        took = (said[0] == "done") + (said[3] == "done")
        assert took == len(mailbox.sent) - before <= 1
        assert took + (said[1] == "done") == 1, said


def test_what_is_leaving_is_neither_changed_nor_sent_nor_called_back(
    writes, changes, wish, clock, counter, mailbox, store, now_is_due
):
    draft = writes(replace(wish, send_at=clock.now() + HOUR))
    leaving, go_on = Event(), Event()

    def linger(letter):
        leaving.set()
        go_on.wait(20)

    mailbox.after_gate = linger
    worker = Thread(target=now_is_due)
    worker.start()
    assert leaving.wait(20)
    try:
        with pytest.raises(Busy):
            changes(draft, words={"text": "Wait"})
        with pytest.raises(Busy):
            take(draft.id, key=None, by=ANN, counter=counter)
        with pytest.raises(Busy):
            discard(draft.id, by="ann", store=store, clock=clock)
    finally:
        go_on.set()
        worker.join()
    assert len(mailbox.sent) == 1


# --- others were faster ---


def too_slow(store, clock, mailbox, pace, then=lambda: None):
    """Before the gate our claim is over, and whoever looks after what the dead left behind takes the letter from us."""

    def dawdle(_):
        mailbox.before_gate = lambda letter: None
        clock.pass_(pace.lease + timedelta(seconds=1))
        recover(store=store, mailbox=mailbox, clock=clock, pace=pace)
        then()

    mailbox.before_gate = dawdle


def test_a_letter_posted_too_slowly_goes_by_another_hand_and_is_told_so(
    wish, counter, mailbox, store, clock, pace, now_is_due
):
    too_slow(store, clock, mailbox, pace, lambda: now_is_due(timedelta()))
    key = Key(name="k", request="r")
    posted = post(wish, key=key, by=ANN, counter=counter)

    assert post(wish, key=key, by=ANN, counter=counter) == posted
    assert [letter.message_id for letter in mailbox.sent] == [posted.message_id]


def test_a_letter_of_which_the_answer_was_no_does_not_leave_later(
    wish, counter, mailbox, store, clock, pace, now_is_due
):
    too_slow(store, clock, mailbox, pace)
    key = Key(name="k", request="r")
    for _ in range(2):
        with pytest.raises(Rejected):
            post(wish, key=key, by=ANN, counter=counter)
    now_is_due()

    assert mailbox.sent == []


def test_a_draft_sent_too_slowly_is_told_to_leave_by_itself(
    writes, wish, counter, mailbox, store, clock, pace, now_is_due
):
    draft = writes(wish)
    too_slow(store, clock, mailbox, pace)
    taken = take(draft.id, key=None, by=ANN, counter=counter)
    now_is_due()

    assert [letter.message_id for letter in mailbox.sent] == [taken.message_id]


def test_of_many_who_write_with_the_same_files_nobody_waits_in_a_circle(wish, writes):
    def some(number):
        files = [
            Enclosure(name=f"{each}.txt", content_type="text/plain", content=f"{number // 6} {each}".encode())
            for each in range(6)
        ]
        random.Random(number).shuffle(files)
        return writes(replace(wish, files=tuple(files)))

    with ThreadPoolExecutor(6) as hands:
        made = list(hands.map(some, range(48)))

    assert len({draft.id for draft in made}) == 48


# --- the follow-up of the published recipe ---


@pytest.fixture
def first(wish, counter):
    return post(wish, key=None, by=ANN, counter=counter)


@pytest.fixture
def follow_up(first, writes, clock):
    return writes(
        Wish(inbox_id=SAM, in_reply_to=first.message_id, text="Still there?", send_at=clock.now() + 3 * HOUR)
    )


def answered(store, clock, pace, first, **more):
    said = reply(first.thread_id, in_reply_to=first.message_id, **more)
    return react(said, b"{}", store=store, clock=clock, pace=pace)


def test_a_follow_up_goes_to_whom_the_first_letter_went_in_its_thread(first, follow_up, now_is_due, mailbox):
    now_is_due(3 * HOUR)
    letter = mailbox.sent[-1]

    assert (letter.to, letter.subject) == (IDA, "Re: Hello")
    assert (letter.in_reply_to, letter.references) == (first.message_id, (first.message_id,))


def test_an_answer_cancels_every_labelled_follow_up(first, follow_up, writes, store, clock, pace):
    last = writes(
        Wish(inbox_id=SAM, in_reply_to=first.message_id, text="Last", send_at=clock.now() + 9 * HOUR)
    )
    with store.transaction(clock.now(), "a test") as ledger:
        for each in (follow_up, last):
            ledger.threads.tag(first.thread_id, follow_up_label(each.id))
    assert isinstance(answered(store, clock, pace, first), Stopped)

    assert {state(store, clock, each) for each in (follow_up, last)} == {DraftState.CANCELLED}


def test_an_answer_holds_a_follow_up_that_nobody_labelled(first, follow_up, store, clock, pace):
    answered(store, clock, pace, first)

    assert state(store, clock, follow_up) == DraftState.HELD


def test_what_is_held_is_given_a_new_hour_only_by_whoever_has_taken_the_old_one_away(
    first, follow_up, changes, store, clock, pace
):
    answered(store, clock, pace, first)
    with pytest.raises(Busy, match="held"):
        changes(follow_up, send_at=clock.now() + HOUR)
    assert state(store, clock, follow_up) == DraftState.HELD
    changes(follow_up, send_at=None)
    changes(follow_up, send_at=clock.now() + HOUR)

    assert state(store, clock, follow_up) == DraftState.SCHEDULED


def test_a_key_may_be_used_again_after_a_day(wish, counter, mailbox, store, clock):
    post(wish, key=Key(name="k", request="r"), by=ANN, counter=counter)
    clock.pass_(timedelta(hours=23))
    forget_keys(store=store, clock=clock)
    post(wish, key=Key(name="k", request="r"), by=ANN, counter=counter)
    assert len(mailbox.sent) == 1
    clock.pass_(timedelta(hours=2))
    forget_keys(store=store, clock=clock)
    post(wish, key=Key(name="k", request="r"), by=ANN, counter=counter)

    assert len(mailbox.sent) == 2


@pytest.mark.parametrize("as_a_draft", [False, True])
def test_a_follow_up_that_is_sent_while_somebody_answers_is_a_no_each_time(
    first, wish, writes, counter, mailbox, store, clock, pace, now_is_due, as_a_draft
):
    mailbox.before_gate = lambda letter: answered(store, clock, pace, first)
    mailbox.sent.clear()
    bump, key = (
        Wish(inbox_id=SAM, in_reply_to=first.message_id, text="Still there?"),
        Key(name="k", request="r"),
    )
    draft = writes(bump) if as_a_draft else None
    go = partial(take, draft.id) if draft else partial(post, bump)
    for _ in range(2):
        with pytest.raises(Rejected):
            go(key=key, by=ANN, counter=counter)
    now_is_due()

    assert mailbox.sent == []
    with store.reading(clock.now()) as ledger:
        there = ledger.written.page_of(Which(inbox_id=SAM), Slice(limit=10)).items
    assert [each.draft.id for each in there] == ([draft.id] if draft else [])


def test_an_answer_in_a_thread_of_its_own_reaches_the_follow_up_too(first, follow_up, store, clock, pace):
    with store.transaction(clock.now(), "a test") as ledger:
        ledger.threads.tag(first.thread_id, follow_up_label(follow_up.id))
    react(reply("thr_of_its_own"), b"{}", store=store, clock=clock, pace=pace)

    assert state(store, clock, follow_up) == DraftState.CANCELLED


def test_an_answer_to_them_leaves_a_letter_that_answers_them_alone(first, writes, store, clock, pace):
    answered(store, clock, pace, first, message_id="<q@nordic.example>")
    ours = writes(
        Wish(inbox_id=SAM, in_reply_to="<q@nordic.example>", text="Ten.", send_at=clock.now() + HOUR)
    )
    answered(store, clock, pace, first, id="evt_2", message_id="<q2@nordic.example>")

    assert (ours.to, state(store, clock, ours)) == (IDA, DraftState.SCHEDULED)
