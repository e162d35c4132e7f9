"""Labels say what people mean, trash hides, deletion is for good; and a label that names a follow-up is a promise."""

import threading
from dataclasses import replace
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
from sqlalchemy import select

from engine.dispatch import dispatch_due
from engine.errors import Busy, Invalid, NotFound
from engine.ids import follow_up_label, new_id
from engine.model import Attachment, Message, Thread
from engine.react import react
from engine.shelve import bury_message, bury_thread, label_message, label_messages, label_thread
from engine.states import DraftState
from engine.store.letters import Conversation, Sieve
from engine.store.pages import Slice
from engine.store.tables import draft, label_event, message, message_label
from tests.doubles import FrozenClock
from tests.makers import IDA, SAM, enrolled, label_a_follow_up, pending, people, reply

SECOND = timedelta(seconds=1)
OURS = Sieve(inbox_id=SAM)


class Box:
    """Sam's inbox, and whoever tidies it up."""

    def __init__(self, store: Any, clock: FrozenClock) -> None:
        self.store, self.clock, self._number = store, clock, count(1)
        self.how = {"by": "a test", "store": store, "clock": clock}

    def thread(self, inbox: str = SAM) -> str:
        thread_id = new_id("thr", self.clock.now())
        with self.store.transaction(self.clock.now(), "a test") as ledger:
            ledger.threads.open_inbox(inbox)
            ledger.threads.add(
                Thread(id=thread_id, inbox_id=inbox, contact=IDA, subject="Hi", enrollment_id=None)
            )
        return thread_id

    def comes(self, thread_id: str, inbox: str = SAM, **more: Any) -> str:
        hidden = more.get("hidden")
        usual: dict[str, Any] = {
            "direction": "received",
            "sender": IDA,
            "to": (inbox,),
            "labels": ("received", "unread", *([hidden] if hidden else [])),
        }
        return self._keep(thread_id, inbox, **usual | more)

    def leaves(self, thread_id: str, inbox: str = SAM, **more: Any) -> str:
        usual: dict[str, Any] = {"direction": "sent", "sender": inbox, "to": (IDA,), "labels": ("sent",)}
        return self._keep(thread_id, inbox, **usual | more)

    def _keep(self, thread_id: str, inbox: str, **more: Any) -> str:
        self.clock.pass_(SECOND)
        usual: dict[str, Any] = {
            "message_id": f"<{next(self._number):04}@nordic.example>",
            "inbox_id": inbox,
            "thread_id": thread_id,
            "subject": "Hi",
            "text": "Good day.",
            "timestamp": self.clock.now(),
        }
        new = Message(**usual | more)
        with self.store.transaction(self.clock.now(), "a test") as ledger:
            ledger.threads.lock([thread_id])
            assert ledger.threads.keep(new)
        return new.message_id

    def follow_up(self, thread_id: str, answers: str | None = None, inbox: str = SAM) -> str:
        """A draft that waits for its hour, and that no label names."""
        self.clock.pass_(SECOND)
        draft_id = label_a_follow_up(
            self.store, self.clock.now(), thread_id, self.clock.now() + timedelta(days=3)
        )
        with self.store.transaction(self.clock.now(), "a test") as ledger:
            ledger.threads.untag([draft_id])
        with self.store.database.begin() as db:
            db.execute(
                draft.update().where(draft.c.id == draft_id).values(in_reply_to=answers, inbox_id=inbox)
            )
        return draft_id

    def tag(self, thread_id: str, *labels: str, remove: tuple[str, ...] = ()) -> list[str]:
        self.clock.pass_(SECOND)
        return label_thread(SAM, thread_id, labels, remove, **self.how)

    def call(self, name: str, *labels: str, remove: tuple[str, ...] = ()) -> tuple[str, ...]:
        self.clock.pass_(SECOND)
        return label_message(SAM, [name], labels, remove, **self.how).labels

    def talk(self, thread_id: str) -> Conversation | None:
        with self.store.reading(self.clock.now()) as ledger:
            return ledger.letters.conversation(OURS, thread_id)

    def letter(self, name: str) -> Message | None:
        with self.store.reading(self.clock.now()) as ledger:
            return ledger.letters.get(SAM, name)

    def state(self, draft_id: str) -> str:
        with self.store.reading(self.clock.now()) as ledger:
            return str(ledger.drafts.get(draft_id).state)

    def listed(self, **asked: Any) -> list[str]:
        with self.store.reading(self.clock.now()) as ledger:
            found = ledger.letters.page_of(replace(OURS, **asked), Slice())
            return [each.message_id for each in found.items]

    def events(self) -> list[tuple[str, str]]:
        with self.store.database.connect() as db:
            rows = db.execute(select(label_event.c.what, label_event.c.label).order_by(label_event.c.id))
            return [tuple(row) for row in rows]


@pytest.fixture
def box(store, clock) -> Box:
    return Box(store, clock)


@pytest.fixture
def thread_id(box) -> str:
    return box.thread()


# --- labels ---


def test_a_label_is_kept_in_lower_case_and_found(box, thread_id):
    name = box.comes(thread_id)
    assert box.call(name, " Very Hot ", "Very hot") == ("received", "unread", "very hot")
    assert box.letter(name).labels == ("received", "unread", "very hot")
    assert box.listed(labels=("very hot",)) == [name]


def test_what_a_letter_says_and_what_finds_it_are_one(box, thread_id):
    name = box.comes(thread_id)
    box.call(name, "hot", "b", remove=("unread",))
    box.call(name, "c", remove=("hot",))
    with box.store.database.connect() as db:
        found = set(db.scalars(select(message_label.c.label)))
    assert found == set(box.letter(name).labels) == {"received", "b", "c"}


def test_what_is_added_and_removed_is_removed(box, thread_id):
    name = box.comes(thread_id)
    assert "x" not in box.call(name, "x", remove=("X",))
    assert "x" not in box.tag(thread_id, "x", remove=("X",))


def test_every_change_of_a_letters_labels_is_noted_once(box, thread_id):
    name = box.comes(thread_id)
    box.call(name, "hot")
    box.call(name, "hot")
    box.call(name, remove=("hot", "never there"))
    assert box.events() == [("added", "hot"), ("removed", "hot")]


def test_a_change_of_nothing_changes_nothing(box, thread_id):
    name = box.comes(thread_id)
    before, talk = box.letter(name), box.talk(thread_id)
    assert box.call(name) == before.labels
    assert (box.letter(name), box.talk(thread_id)) == (before, talk)


def test_a_changed_label_is_a_change_of_letter_and_conversation(box, thread_id):
    name = box.comes(thread_id)
    box.call(name, "hot")
    assert box.letter(name).updated_at == box.talk(thread_id).updated_at == box.clock.now()


@pytest.mark.parametrize(
    "label",
    [
        "received",
        "SENT",
        "delivered",
        "bounced",
        "complained",
        "delayed",
        "rejected",
        "opened",
        "scheduled",
        "draft:drf_1",
        "failed:bounced",
        "",
        "  ",
        "a\nb",
        "a\0b",
        "x" * 257,
    ],
)
@pytest.mark.parametrize("way", ["add", "remove"])
def test_what_happened_is_not_for_people_to_say(box, thread_id, label, way):
    name = box.comes(thread_id)
    change = {"add": ((label,), ()), "remove": ((), (label,))}[way]
    for deed in (
        lambda: label_thread(SAM, thread_id, *change, **box.how),
        lambda: label_message(SAM, [name], *change, **box.how),
        lambda: label_messages(SAM, [name], *change, **box.how),
    ):
        with pytest.raises(Invalid) as told:
            deed()
        assert told.value.issues[0].path == (f"{way}_labels", 0)


def test_labels_of_a_conversation_are_its_own_and_those_of_its_letters(box, thread_id):
    name = box.comes(thread_id)
    box.call(name, "letters")
    assert box.tag(thread_id, "own") == ["letters", "own", "received", "unread"]
    assert "own" not in box.letter(name).labels


def test_a_new_letter_does_not_inherit_and_does_not_hide_a_label(box, thread_id):
    box.comes(thread_id)
    box.tag(thread_id, "own")
    assert "own" not in box.letter(box.comes(thread_id)).labels
    assert "own" in box.talk(thread_id).labels


def test_a_label_taken_from_a_conversation_is_taken_from_its_letters(box, thread_id):
    both = [box.comes(thread_id) for _ in range(2)]
    for name in both:
        box.call(name, "hot")
    assert box.tag(thread_id, remove=("hot", "unread")) == ["received"]
    assert all(box.letter(name).labels == ("received",) for name in both)
    assert box.events()[-4:] == [("removed", "unread"), ("removed", "hot")] * 2


def test_nobody_labels_what_is_not_there(box, thread_id):
    name = box.comes(thread_id)
    with pytest.raises(NotFound):
        label_message("other@acme.example", [name], ["x"], [], **box.how)
    with pytest.raises(NotFound):
        label_thread("other@acme.example", thread_id, ["x"], [], **box.how)
    with pytest.raises(NotFound):
        label_thread(SAM, box.thread(), ["x"], [], **box.how)  # nothing was said in it
    bury_message(SAM, [name], **box.how)
    with pytest.raises(NotFound):
        label_message(SAM, [name], ["x"], [], **box.how)


def test_many_letters_are_labelled_wholly_or_not_at_all(box, thread_id):
    first, second = box.comes(thread_id), box.comes(box.thread())
    done = label_messages(SAM, [second.strip("<>"), first], ["hot"], ["unread"], **box.how)
    assert {each.message_id: each.labels for each in done} == {
        first: ("received", "hot"),
        second: ("received", "hot"),
    }
    with pytest.raises(Invalid) as told:
        label_messages(SAM, [first, "<nobody@x.test>"], ["cold"], [], **box.how)
    assert told.value.issues[0].path == ("message_ids", 1)
    assert box.letter(first).labels == ("received", "hot")


# --- trash ---


def test_trash_hides_a_letter_and_the_conversation_that_has_no_other(box, thread_id):
    name = box.comes(thread_id)
    box.call(name, "trash")
    assert box.listed() == []
    assert box.listed(shown=frozenset({"trash"})) == [name]
    assert box.talk(thread_id).hidden == "trash"
    box.call(name, remove=("trash",))
    assert box.listed() == [name]
    assert box.talk(thread_id).hidden is None


def test_a_conversation_sums_up_what_is_seen_of_it(box, thread_id):
    kept = box.comes(thread_id, text="Kept.", size=10)
    at = box.clock.now()
    trashed = box.comes(thread_id, sender="ann@x.test", text="Trashed.", size=20)
    box.call(trashed, "trash")
    talk = box.talk(thread_id)
    assert (talk.hidden, talk.message_count, talk.size) == (None, 1, 10)
    assert (talk.last_message_id, talk.last_at, talk.received_at) == (kept, at, at)
    assert (talk.senders, talk.preview) == ((IDA,), "Kept.")
    box.call(trashed, remove=("trash",))
    talk = box.talk(thread_id)
    assert (talk.message_count, talk.size, talk.last_message_id) == (2, 30, trashed)


@pytest.mark.parametrize("why", ["spam", "blocked", "unauthenticated"])
def test_what_comes_out_of_the_trash_is_as_doubtful_as_before(box, thread_id, why):
    name = box.comes(thread_id, hidden=why)
    box.call(name, "trash")
    assert box.letter(name).hidden == "trash"
    box.call(name, remove=("trash",))
    assert box.letter(name).hidden == why
    box.call(name, remove=(why,))
    assert box.letter(name).hidden is None


def test_another_label_leaves_hidden_what_is_hidden(box, thread_id):
    name = box.comes(thread_id, hidden="spam")
    box.call(name, "hot")
    assert (box.letter(name).hidden, box.talk(thread_id).hidden) == ("spam", "spam")


def test_a_conversation_in_the_trash_takes_its_letters_there_and_back(box, thread_id):
    both = [box.comes(thread_id), box.leaves(thread_id)]
    assert "trash" in box.tag(thread_id, "trash")
    assert box.listed() == []
    assert box.talk(thread_id).hidden == "trash"
    assert "trash" not in box.tag(thread_id, remove=("trash",))
    assert box.listed() == both[::-1]
    assert box.talk(thread_id).hidden is None


def test_whoever_answers_what_is_in_the_trash_begins_it_anew(box, thread_id):
    box.comes(thread_id)
    box.tag(thread_id, "trash")
    name = box.comes(thread_id)
    talk = box.talk(thread_id)
    assert (talk.hidden, talk.message_count, talk.last_message_id) == (None, 1, name)


# --- deletion ---


def test_of_a_deleted_letter_no_word_is_left(box, thread_id):
    plan = Attachment(name="plan.txt", content_type="text/plain", sha="0" * 64, size=7, id="att_1")
    kept = box.comes(thread_id)
    name = box.comes(
        thread_id,
        subject="Secret",
        text="A secret",
        html="<b>secret</b>",
        headers={"X-Secret": "1"},
        attachments=(plan,),
    )
    bury_message(SAM, [name.strip("<>")], **box.how)
    assert box.letter(name) is None
    assert box.listed() == [kept]
    assert (box.talk(thread_id).message_count, box.talk(thread_id).attachments) == (1, ())
    with box.store.database.connect() as db:
        row = db.execute(select(message).where(message.c.message_id == name)).one()
        assert "ecret" not in str(row)
        assert (row.hidden, row.attachments, row.labels) == ("deleted", [], [])
        assert set(db.scalars(select(message_label.c.message_id))) == {kept}
    with pytest.raises(NotFound):
        bury_message(SAM, [name], **box.how)


def test_a_conversation_of_which_nothing_is_left_is_gone(box, thread_id):
    for name in box.comes(thread_id), box.leaves(thread_id):
        bury_message(SAM, [name], **box.how)
    assert box.talk(thread_id) is None


def test_a_deleted_conversation_is_gone_with_its_letters(box, thread_id):
    name, other = box.comes(thread_id), box.comes(box.thread())
    box.tag(thread_id, "own")
    bury_thread(SAM, thread_id, **box.how)
    assert box.talk(thread_id) is None
    assert box.letter(name) is None
    assert box.listed() == [other]
    with pytest.raises(NotFound):
        bury_thread(SAM, thread_id, **box.how)


def test_whoever_answers_a_deleted_conversation_begins_it_anew(box, thread_id):
    box.comes(thread_id)
    box.tag(thread_id, "own")
    bury_thread(SAM, thread_id, **box.how)
    name = box.comes(thread_id)
    talk = box.talk(thread_id)
    assert (talk.message_count, talk.last_message_id, talk.hidden) == (1, name, None)
    assert talk.labels == ("received", "unread")


def test_nothing_more_leaves_in_a_deleted_conversation(box, thread_id, mailbox, pace):
    first = box.leaves(thread_id)
    by_hand, named, elsewhere = (
        box.follow_up(thread_id),
        box.follow_up(box.thread()),
        box.follow_up(box.thread()),
    )
    box.tag(thread_id, follow_up_label(named))
    bury_thread(SAM, thread_id, **box.how)
    assert (box.state(by_hand), box.state(named)) == ("cancelled", "cancelled")
    assert box.state(elsewhere) == "scheduled"
    assert box.letter(first) is None
    box.clock.pass_(timedelta(days=4))
    list(dispatch_due(store=box.store, mailbox=mailbox, clock=box.clock, pace=pace))
    assert len(mailbox.sent) == 1


def test_who_is_followed_up_in_a_deleted_conversation_is_stopped(box, mailbox, pace):
    enrolled(box.store, box.clock.now())
    list(dispatch_due(store=box.store, mailbox=mailbox, clock=box.clock, pace=pace))
    [person] = people(box.store, box.clock.now())
    bury_thread(SAM, person["thread_id"], **box.how)
    [person] = people(box.store, box.clock.now())
    assert (person["state"], person["stop_reason"]) == ("stopped", "by_hand")
    assert pending(box.store, box.clock.now()) == []


def test_an_answer_to_a_deleted_conversation_is_still_known_as_one(box, mailbox, pace):
    enrolled(box.store, box.clock.now())
    list(dispatch_due(store=box.store, mailbox=mailbox, clock=box.clock, pace=pace))
    [person] = people(box.store, box.clock.now())
    thread_id, sent = person["thread_id"], mailbox.sent[0].message_id
    bury_thread(SAM, thread_id, **box.how)
    answer = reply("thr_of_another_name", in_reply_to=sent)
    react(answer, b"", store=box.store, clock=box.clock, pace=pace)
    assert box.talk(thread_id).message_count == 1


def test_what_is_leaving_keeps_its_conversation_from_deletion(box, thread_id, mailbox, pace):
    box.leaves(thread_id)
    leaving, waiting = box.follow_up(thread_id), box.follow_up(thread_id)
    with box.store.transaction(box.clock.now(), "a test") as ledger:
        due = ledger.drafts.get(leaving)
        assert ledger.drafts.redate(due, send_at=box.clock.now(), why="a test")
    refused: list[str] = []

    def delete(_letter: Any) -> None:
        with pytest.raises(Busy) as told:
            bury_thread(SAM, thread_id, **box.how)
        refused.append(str(told.value))

    mailbox.after_gate = delete
    list(dispatch_due(store=box.store, mailbox=mailbox, clock=box.clock, pace=pace))
    assert len(refused) == len(mailbox.sent) == 1
    assert (box.state(leaving), box.state(waiting)) == ("sent", "scheduled")
    assert box.talk(thread_id).message_count == 2
    bury_thread(SAM, thread_id, **box.how)
    assert box.state(waiting) == "cancelled"


def test_a_letter_that_has_not_arrived_next_door_is_not_deleted(box, thread_id):
    name, other = box.leaves(thread_id), box.leaves(thread_id)
    with box.store.transaction(box.clock.now(), "a test") as ledger:
        ledger.arrivals.begin(inbox_id="kim@acme.example", message_id=name, from_inbox=SAM)
    for deed in (
        lambda: bury_message(SAM, [name], **box.how),
        lambda: bury_thread(SAM, thread_id, **box.how),
    ):
        with pytest.raises(Busy, match="has not arrived"):
            deed()
    bury_message(SAM, [other], **box.how)
    with box.store.transaction(box.clock.now(), "a test") as ledger:
        [taken] = ledger.arrivals.take(1, until=box.clock.now() + SECOND)
        ledger.arrivals.end(taken, "kept")
    bury_thread(SAM, thread_id, **box.how)


def test_a_whole_inbox_is_emptied(box, thread_id):
    box.comes(thread_id)
    kim = "kim@acme.example"
    theirs = box.thread(kim)
    box.comes(theirs, kim)
    with box.store.transaction(box.clock.now(), "a test") as ledger:
        ledger.filing.erase_inbox(SAM)
    assert box.listed(shown=frozenset({"trash"})) == []
    assert box.talk(thread_id) is None
    with box.store.reading(box.clock.now()) as ledger:
        assert ledger.letters.conversation(Sieve(), theirs).message_count == 1


# --- a label that names a follow-up ---


def test_the_label_comes_back_as_it_was_given_and_an_answer_cancels(box, thread_id, pace):
    first = box.leaves(thread_id)
    draft_id = box.follow_up(thread_id, answers=first)
    assert follow_up_label(draft_id) in box.tag(thread_id, follow_up_label(draft_id).upper())
    assert box.state(draft_id) == "scheduled"
    answer = reply(thread_id, in_reply_to=first)
    react(answer, b"", store=box.store, clock=box.clock, pace=pace)
    assert box.state(draft_id) == "cancelled"


@pytest.mark.parametrize(
    "rest",
    [
        "",
        ".",
        "..",
        "../..",
        "a/b",
        "drf_",
        "drf_" + "0" * 23,
        "drf_" + "0" * 25,
        " drf_" + "0" * 24,
        "drf_" + "u" * 24,
        "thr_" + "0" * 24,
    ],
)
def test_a_label_that_names_no_draft_is_refused(box, thread_id, rest):
    name = box.leaves(thread_id)
    for deed in (
        lambda: label_thread(SAM, thread_id, [f"follow-up:{rest}"], [], **box.how),
        lambda: label_message(SAM, [name], [f"follow-up:{rest}"], [], **box.how),
    ):
        with pytest.raises(Invalid, match="id of a draft"):
            deed()
    assert box.tag(thread_id, remove=(f"follow-up:{rest}",)) == ["sent"]


@pytest.mark.parametrize("own_thread", [False, True])
@pytest.mark.parametrize("refers", [True, False])
def test_an_answer_between_draft_and_label_cancels_at_once(box, thread_id, own_thread, refers):
    """The published recipe makes the draft and names it in two requests; an answer may come in between."""
    first = box.leaves(thread_id)
    draft_id = box.follow_up(box.thread() if own_thread else thread_id, answers=first if refers else None)
    box.comes(thread_id)
    labels = box.tag(thread_id, follow_up_label(draft_id))
    assert box.state(draft_id) == "cancelled"
    assert follow_up_label(draft_id) not in labels


def test_an_answer_between_letter_and_draft_cancels_what_follows_up_on_the_letter(box, thread_id):
    first = box.leaves(thread_id)
    box.comes(thread_id)
    draft_id = box.follow_up(thread_id, answers=first)
    box.tag(thread_id, follow_up_label(draft_id))
    assert box.state(draft_id) == "cancelled"


@pytest.mark.parametrize("refers", [True, False])
def test_what_was_said_before_cancels_nothing(box, thread_id, refers):
    box.leaves(thread_id)
    said = box.comes(thread_id)
    draft_id = box.follow_up(thread_id, answers=said if refers else None)
    assert follow_up_label(draft_id) in box.tag(thread_id, follow_up_label(draft_id))
    assert box.state(draft_id) == "scheduled"


@pytest.mark.parametrize(
    "mail",
    [
        {"sender": SAM},
        {"headers": {"Auto-Submitted": "auto-replied"}},
        {"headers": {"auto-submitted": " Auto-Replied; type=vacation"}},
    ],
)
def test_nobodys_answer_cancels_nothing(box, thread_id, mail):
    first = box.leaves(thread_id)
    draft_id = box.follow_up(thread_id, answers=first)
    box.comes(thread_id, **mail)
    box.tag(thread_id, follow_up_label(draft_id))
    assert box.state(draft_id) == "scheduled"


@pytest.mark.parametrize("headers", [{"Auto-Submitted": "no"}, {"Auto-Submitted": "auto-generated"}])
def test_what_is_not_surely_a_machine_is_somebody(box, thread_id, headers):
    first = box.leaves(thread_id)
    draft_id = box.follow_up(thread_id, answers=first)
    box.comes(thread_id, headers=headers)
    box.tag(thread_id, follow_up_label(draft_id))
    assert box.state(draft_id) == "cancelled"


@pytest.mark.parametrize("why", ["spam", "blocked", "unauthenticated"])
def test_a_doubtful_answer_in_between_holds(box, thread_id, why):
    first = box.leaves(thread_id)
    draft_id = box.follow_up(thread_id, answers=first)
    name = box.comes(thread_id, hidden=why)
    assert follow_up_label(draft_id) in box.tag(thread_id, follow_up_label(draft_id))
    assert box.state(draft_id) == "held"
    box.call(name, "trash")
    box.tag(thread_id, follow_up_label(draft_id))
    assert box.state(draft_id) == "held"


def test_an_answer_in_the_trash_is_an_answer_and_a_deleted_one_may_have_been(box, thread_id):
    first = box.leaves(thread_id)
    held, cancelled = box.follow_up(thread_id, answers=first), box.follow_up(thread_id, answers=first)
    name = box.comes(thread_id)
    box.call(name, "trash")
    box.tag(thread_id, follow_up_label(cancelled))
    bury_message(SAM, [name], **box.how)
    box.tag(thread_id, follow_up_label(held))
    assert (box.state(held), box.state(cancelled)) == ("held", "cancelled")


def test_a_letter_that_came_back_cancels_what_follows_it_up(box, thread_id):
    first = box.leaves(thread_id)
    draft_id = box.follow_up(thread_id, answers=first)
    with box.store.transaction(box.clock.now(), "a test") as ledger:
        ledger.threads.note_failure(thread_id, "bounced")
    box.tag(thread_id, follow_up_label(draft_id))
    assert box.state(draft_id) == "cancelled"


def test_the_label_of_what_has_ended_is_not_kept(box, thread_id, mailbox, pace):
    first = box.leaves(thread_id)
    sent, cancelled = box.follow_up(thread_id, answers=first), box.follow_up(thread_id, answers=first)
    with box.store.transaction(box.clock.now(), "a test") as ledger:
        ledger.drafts.cancel([cancelled], "by_hand")
    box.clock.pass_(timedelta(days=4))
    list(dispatch_due(store=box.store, mailbox=mailbox, clock=box.clock, pace=pace))
    assert box.state(sent) == "sent"
    labels = box.tag(thread_id, follow_up_label(sent), follow_up_label(cancelled), "own")
    assert labels == ["own", "sent"]


def test_a_draft_of_another_inbox_is_named_and_nothing_else(box, thread_id, pace):
    kim = "kim@acme.example"
    elsewhere = box.thread(kim)
    first = box.leaves(thread_id)
    draft_id = box.follow_up(elsewhere, inbox=kim)
    box.comes(thread_id)
    assert follow_up_label(draft_id) in box.tag(thread_id, follow_up_label(draft_id))
    react(reply(thread_id, in_reply_to=first), b"", store=box.store, clock=box.clock, pace=pace)
    assert box.state(draft_id) == "scheduled"


def test_a_draft_that_nobody_knows_may_be_named(box, thread_id):
    box.leaves(thread_id)
    label = follow_up_label(new_id("drf", box.clock.now()))
    assert label in box.tag(thread_id, label)
    assert label not in box.tag(thread_id, remove=(label,))


def test_what_is_past_the_gate_keeps_its_label_and_does_not_go_twice(box, thread_id, mailbox, pace):
    first = box.leaves(thread_id)
    draft_id = box.follow_up(thread_id, answers=first)
    box.clock.pass_(timedelta(days=4))
    seen: list[list[str]] = []

    def somebody_answers(_) -> None:
        box.comes(thread_id)
        seen.append(box.tag(thread_id, follow_up_label(draft_id)))

    mailbox.after_gate = somebody_answers
    list(dispatch_due(store=box.store, mailbox=mailbox, clock=box.clock, pace=pace))
    assert follow_up_label(draft_id) in seen[0]
    with box.store.reading(box.clock.now()) as ledger:
        assert ledger.drafts.get(draft_id).recalled == "replied"
    assert box.state(draft_id) == "sent"
    assert follow_up_label(draft_id) not in box.talk(thread_id).labels


def test_a_follow_up_named_on_a_letter_is_named_on_its_conversation(box, thread_id, pace):
    first = box.leaves(thread_id)
    draft_id = box.follow_up(thread_id, answers=first)
    label = follow_up_label(draft_id)
    assert label in box.call(first, label)
    react(reply(thread_id, in_reply_to=first), b"", store=box.store, clock=box.clock, pace=pace)
    assert box.state(draft_id) == "cancelled"


def test_taken_from_a_letter_it_is_taken_from_the_conversation_unless_another_names_it(box, thread_id):
    both = [box.leaves(thread_id), box.leaves(thread_id)]
    draft_id = box.follow_up(thread_id, answers=both[1])
    label = follow_up_label(draft_id)
    label_messages(SAM, both, [label], [], **box.how)
    for name, named in zip(both, ([draft_id], []), strict=True):
        box.call(name, remove=(label,))
        with box.store.reading(box.clock.now()) as ledger:
            assert ledger.threads.follow_ups([thread_id]) == named


def test_a_letter_of_a_sequence_that_is_named_too_late_takes_its_sequence_along(box, thread_id):
    enrolled(box.store, box.clock.now())
    [waiting] = pending(box.store, box.clock.now())
    box.comes(thread_id)
    box.tag(thread_id, follow_up_label(waiting["draft_id"]))
    assert box.state(waiting["draft_id"]) == "cancelled"
    [person] = people(box.store, box.clock.now())
    assert (person["state"], person["stop_reason"]) == ("stopped", "replied")


def test_an_answer_and_the_label_at_the_same_moment_leave_nothing_scheduled(box, pace):
    """Whoever is first, the other sees it."""
    rounds = []
    for number in range(8):
        thread_id = box.thread()
        first = box.leaves(thread_id)
        draft_id = box.follow_up(thread_id, answers=first)
        answer = reply(
            thread_id, id=f"evt_{number}", in_reply_to=first, message_id=f"<answer{number}@nordic.example>"
        )
        deeds = [
            lambda answer=answer: react(answer, b"", store=box.store, clock=box.clock, pace=pace),
            lambda thread_id=thread_id, draft_id=draft_id: label_thread(
                SAM, thread_id, [follow_up_label(draft_id)], [], **box.how
            ),
        ]
        rounds.append((draft_id, [threading.Thread(target=deed) for deed in deeds[:: (-1) ** number]]))
    for draft_id, hands in rounds:
        for hand in hands:
            hand.start()
        for hand in hands:
            hand.join()
        assert box.state(draft_id) in {DraftState.CANCELLED}
