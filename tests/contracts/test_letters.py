"""What is read of an inbox: the same answers from every database, and as quickly from a large one."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
from sqlalchemy import insert, text, update

from engine.ids import new_id
from engine.model import Attachment, Message, Thread
from engine.store import Ledger, Store
from engine.store.letters import Letters, Sieve
from engine.store.pages import Page, Slice
from engine.store.tables import inbox, message, message_label, thread
from engine.tags import relabelling
from tests.doubles import MONDAY, FrozenClock
from tests.makers import IDA, SAM, label_a_follow_up
from tests.plans import plans_of

ANN = "ann@x.test"
OURS = Sieve(inbox_id=SAM)
ALL = Sieve()


class Post:
    """Letters that come in, a second apart."""

    def __init__(self, store: Store, clock: FrozenClock) -> None:
        self.store, self.clock, self._number = store, clock, count(1)

    def thread(self, inbox: str = SAM, subject: str = "Hi") -> str:
        thread_id = new_id("thr", self.clock.now())
        with self.store.transaction(self.clock.now(), "a test") as ledger:
            ledger.threads.open_inbox(inbox)
            new = Thread(id=thread_id, inbox_id=inbox, contact=IDA, subject=subject, enrollment_id=None)
            ledger.threads.add(new)
        return thread_id

    def letter(self, thread_id: str = "", inbox: str = SAM, **more: Any) -> str:
        """Its Message-ID."""
        self.clock.pass_(timedelta(seconds=1))
        thread_id = thread_id or self.thread(inbox, more.get("subject", "Hi"))
        hidden = more.get("hidden")
        usual: dict[str, Any] = {
            "message_id": f"<{next(self._number):04}@nordic.example>",
            "inbox_id": inbox,
            "thread_id": thread_id,
            "direction": "received",
            "sender": IDA,
            "to": (inbox,),
            "subject": "Hi",
            "text": "Good day.",
            "timestamp": self.clock.now(),
            "labels": ("received", "unread", *([hidden] if hidden else [])),
            "size": 10,
        }
        message = Message(**usual | more)
        with self.store.transaction(self.clock.now(), "a test") as ledger:
            ledger.threads.lock([thread_id])
            ledger.threads.keep(message)
        return message.message_id

    @contextmanager
    def reading(self) -> Iterator[Letters]:
        with self.store.reading(self.clock.now()) as ledger:
            yield ledger.letters

    def do(self, deed: Callable[[Ledger], Any]) -> Any:
        self.clock.pass_(timedelta(seconds=1))
        with self.store.transaction(self.clock.now(), "a test") as ledger:
            return deed(ledger)

    def call(self, name: str, *labels: str, inbox: str = SAM) -> None:
        self.do(lambda ledger: ledger.filing.relabel(inbox, [name], relabelling(labels, ())))

    def listed(self, sieve: Sieve = OURS, part: Slice | None = None) -> list[str]:
        with self.reading() as letters:
            return [each.message_id for each in letters.page_of(sieve, part or Slice()).items]

    def talks(self, sieve: Sieve = OURS, part: Slice | None = None) -> list[str]:
        with self.reading() as letters:
            return [each.id for each in letters.conversations(sieve, part or Slice()).items]

    def found(self, *words: str) -> list[str]:
        with self.reading() as letters:
            return [each.message_id for each in letters.search(words, OURS, Slice()).items]

    def found_talks(self, *words: str, sieve: Sieve = OURS) -> list[str]:
        with self.reading() as letters:
            return [each.id for each in letters.search_conversations(words, sieve, Slice()).items]


@pytest.fixture
def post(store: Store, clock: FrozenClock) -> Post:
    return Post(store, clock)


def _pages(turn: Callable[[Slice], Page[Any]], **part: Any) -> list[list[Any]]:
    """All pages of a list."""
    pages, after = [], None
    while True:
        found = turn(Slice(limit=2, after=after, **part))
        pages.append(found.items)
        if (after := found.next) is None:
            return pages


# --- letters ---


def test_the_newest_letter_is_listed_first(post):
    older, newer = post.letter(), post.letter()
    assert post.listed() == [newer, older]
    assert post.listed(part=Slice(ascending=True)) == [older, newer]


@pytest.mark.parametrize("ascending", [False, True])
def test_pages_lose_no_letter_also_of_one_instant(post, ascending):
    made = [post.letter(timestamp=post.clock.now()) for _ in range(5)]
    with post.reading() as letters:
        pages = _pages(lambda part: letters.page_of(OURS, part), ascending=ascending)
    found = [each.message_id for page in pages for each in page]
    assert found == (made if ascending else made[::-1])
    assert [len(page) for page in pages] == [2, 2, 1]


def test_a_list_shows_the_beginning_of_a_letter_and_a_look_at_it_the_whole(post):
    name = post.letter(text="word " * 1000, html="<p>word</p>")
    with post.reading() as letters:
        [glance] = letters.page_of(OURS, Slice()).items
        whole = letters.get(SAM, name)
    assert (len(glance.text), glance.html) == (800, None)
    assert (len(whole.text), whole.html) == (5000, "<p>word</p>")


@pytest.mark.parametrize("way", ["<0001@nordic.example>", "0001@nordic.example"])
def test_a_letter_is_found_with_and_without_its_brackets(post, way):
    name = post.letter()
    with post.reading() as letters:
        assert letters.get(SAM, "<nobody@x.test>", way).message_id == name
        assert letters.get("other@acme.example", way) is None


def test_several_come_in_the_order_asked_for_and_each_once(post):
    first, second = post.letter(), post.letter()
    with post.reading() as letters:
        found = letters.glances(SAM, [second, "<nobody@x.test>", first.strip("<>"), second])
    assert [each.message_id for each in found] == [second, first]


def test_all_labels_must_be_there(post):
    both, one = post.letter(), post.letter()
    post.call(both, "a", "b")
    post.call(one, "a")
    assert post.listed(replace(OURS, labels=("a", "b"))) == [both]
    assert post.listed(replace(OURS, labels=("a", "received"))) == [one, both]
    assert post.listed(replace(OURS, labels=("a", "sent"))) == []


def test_letters_with_a_label_are_paged(post):
    made = [post.letter() for _ in range(5)]
    for name in made:
        post.call(name, "hot")
    post.letter()
    with post.reading() as letters:
        pages = _pages(lambda part: letters.page_of(replace(OURS, labels=("hot",)), part))
    assert [each.message_id for page in pages for each in page] == made[::-1]


def test_a_letter_is_called_after_the_draft_that_it_was(post):
    thread_id = post.thread()
    draft_id = label_a_follow_up(post.store, post.clock.now(), thread_id, post.clock.now())
    sent = post.letter(
        thread_id, direction="sent", sender=SAM, to=(IDA,), labels=("sent",), draft_id=draft_id
    )
    post.letter(thread_id)
    assert post.listed(replace(OURS, labels=(f"draft:{draft_id}",))) == [sent]
    assert post.listed(replace(OURS, labels=(f"draft:{draft_id}", "sent"))) == [sent]
    assert post.listed(replace(OURS, labels=(f"draft:{draft_id}", "received"))) == []
    assert post.talks(replace(OURS, labels=(f"draft:{draft_id}",))) == [thread_id]


def test_before_and_after_leave_the_moment_itself_out(post):
    thread_id = post.thread()
    name = post.letter(thread_id)
    at, second = post.clock.now(), timedelta(seconds=1)
    for sieve in replace(OURS, before=at), replace(OURS, after=at), replace(ALL, before=at):
        assert post.listed(replace(sieve, inbox_id=SAM)) == post.talks(sieve) == []
    around = replace(OURS, after=at - second, before=at + second)
    assert (post.listed(around), post.talks(around)) == ([name], [thread_id])
    assert post.talks(replace(around, inbox_id=None)) == [thread_id]


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"senders": ("ANN@",)}, True),
        ({"senders": ("önig",)}, True),
        ({"senders": ("ÖNIG", "x.test")}, True),
        ({"senders": ("sam",)}, False),
        ({"recipients": ("sam",)}, True),
        ({"recipients": ("Sam the",)}, True),
        ({"recipients": ("önig",)}, False),
        ({"recipients": ('", "',)}, False),
        ({"subjects": ("PRICE", "list")}, True),
        ({"subjects": ("grüne",)}, True),
        ({"subjects": ("price", "holiday")}, False),
        ({"subjects": ("100%",)}, True),
        ({"subjects": ("10%%",)}, False),
        ({"subjects": ("p_ice",)}, False),
        ({"subjects": ("/",)}, False),
    ],
)
def test_pieces_are_found_in_whatever_case_and_stand_for_themselves(post, asked, found):
    names = {ANN: "Ann König", "Sam@acme.example": "Sam the Sender"}
    name = post.letter(
        sender=ANN, to=("sam@acme.example", "1@x.test"), names=names, subject="GRÜNE price list, 100% off"
    )
    post.letter(sender=IDA, to=("nobody@x.test",), subject="Holiday")
    assert post.listed(replace(OURS, **asked)) == ([name] if found else [])


@pytest.mark.parametrize("odd", ['"a b"@x.test', "[1]@x.test", "1@x.test", "$.x@x.test", ""])
def test_an_odd_sender_breaks_no_list(post, odd):
    name = post.letter(sender=odd, names={odd: "Odd One", "other@x.test": "Somebody"})
    assert post.listed(replace(OURS, senders=("odd one",))) == [name]
    assert post.listed(replace(OURS, senders=("somebody",))) == []


@pytest.mark.parametrize("why", ["spam", "blocked", "unauthenticated", "trash"])
def test_what_is_hidden_is_shown_to_those_who_ask_for_it(post, why):
    thread_id = post.thread()
    hidden = post.letter(thread_id, hidden=why)
    seen = post.letter()
    assert post.listed() == [seen]
    assert thread_id not in post.talks()
    wanted = replace(OURS, shown=frozenset({why}))
    assert post.listed(wanted) == [seen, hidden]
    assert thread_id in post.talks(wanted)
    assert thread_id in post.talks(replace(wanted, inbox_id=None))


def test_what_was_deleted_is_shown_to_nobody(post):
    thread_id = post.thread()
    name = post.letter(thread_id)
    post.do(lambda ledger: ledger.filing.erase(SAM, name))
    wanted = replace(OURS, shown=frozenset({"deleted", "trash", "spam"}))
    assert post.listed(wanted) == post.talks(wanted) == post.found("good") == []
    with post.reading() as letters:
        assert letters.get(SAM, name) is None
        assert letters.several(SAM, [name]) == []
        assert letters.conversation(OURS, thread_id) is None


def test_every_label_put_on_or_taken_away_is_remembered_in_order(post):
    name = post.letter()
    for number in range(3):
        post.call(name, f"label {number}")
    post.do(lambda ledger: ledger.filing.relabel(SAM, [name], relabelling((), ["label 1"])))
    with post.reading() as letters:
        pages = _pages(lambda part: letters.label_events(SAM, part))
        first = letters.label_events(SAM, Slice(limit=1, ascending=True)).items[0]
        assert letters.label_events("kim@acme.example", Slice()).items == []
    assert [(each.what, each.label) for page in pages for each in page] == [
        ("removed", "label 1"),
        ("added", "label 2"),
        ("added", "label 1"),
        ("added", "label 0"),
    ]
    assert (first.label, first.message_id, first.inbox_id) == ("label 0", name, SAM)


# --- conversations ---


def test_the_conversation_that_spoke_last_comes_first(post):
    first, second = post.thread(), post.thread("kim@acme.example")
    post.letter(first)
    post.letter(second, "kim@acme.example")
    post.letter(first)
    assert post.talks() == [first]
    assert post.talks(ALL) == [first, second]


@pytest.mark.parametrize("sieve", [OURS, ALL, Sieve(pod_id="pod_default")])
@pytest.mark.parametrize("ascending", [False, True])
def test_pages_lose_no_conversation(post, sieve, ascending):
    made = [post.thread() for _ in range(5)]
    now = post.clock.now()
    for thread_id in made:
        post.letter(thread_id, timestamp=now)
    with post.reading() as letters:
        pages = _pages(lambda part: letters.conversations(sieve, part), ascending=ascending)
    assert [each.id for page in pages for each in page] == (made if ascending else made[::-1])


def test_a_conversation_in_which_nothing_was_said_is_not_shown(post):
    thread_id = post.thread()
    assert post.talks() == []
    with post.reading() as letters:
        assert letters.conversation(OURS, thread_id) is None


def test_a_conversation_sums_up_its_letters(post):
    plan = Attachment(name="plan.txt", content_type="text/plain", sha="0" * 64, size=7, id="att_1")
    thread_id = post.thread(subject="Plan")
    post.letter(thread_id, direction="sent", sender=SAM, to=(IDA,), labels=("sent",), attachments=(plan,))
    sent_at = post.clock.now()
    last = post.letter(thread_id, sender=ANN, cc=("c@x.test",), text="Yes.\nDo it.")
    post.do(lambda ledger: ledger.threads.tag(thread_id, "hot"))
    with post.reading() as letters:
        talk = letters.conversation(ALL, "thr_nobody", thread_id)
    assert (talk.subject, talk.message_count, talk.last_message_id) == ("Plan", 2, last)
    assert (talk.sent_at, talk.received_at) == (sent_at, talk.last_at)
    assert (talk.senders, talk.recipients) == ((SAM, ANN), (IDA, SAM, "c@x.test"))
    assert (talk.preview, talk.size, talk.attachments) == ("Yes. Do it.", 20, (plan,))
    assert talk.labels == ("hot", "received", "sent", "unread")


def test_summed_up_anew_a_conversation_is_what_it_was(post):
    thread_id = post.thread()
    post.letter(thread_id, direction="sent", sender=SAM, to=(IDA,), labels=("sent",))
    post.letter(thread_id, hidden="spam", sender="spammer@x.test")
    post.letter(thread_id, text="Yes. " * 500)
    with post.reading() as letters:
        before = letters.conversation(OURS, thread_id)
    post.do(lambda ledger: ledger.filing.sum_up(thread_id))
    with post.reading() as letters:
        after = letters.conversation(OURS, thread_id)
    assert replace(after, updated_at=before.updated_at) == before


def test_conversations_of_another_inbox_are_not_there(post):
    thread_id = post.thread("kim@acme.example")
    post.letter(thread_id, "kim@acme.example")
    with post.reading() as letters:
        assert letters.conversation(OURS, thread_id) is None
        assert letters.conversation(Sieve(pod_id="pod_other"), thread_id) is None
        assert letters.conversation(Sieve(pod_id="pod_default"), thread_id) is not None


def test_conversations_of_a_deleted_inbox_are_nowhere(post):
    thread_id = post.thread()
    post.letter(thread_id)
    with post.store.database.begin() as db:
        db.execute(update(inbox).values(deleted_at=post.clock.now()))
    assert post.talks(ALL) == post.talks(Sieve(pod_id="pod_default")) == []
    with post.reading() as letters:
        assert letters.conversation(ALL, thread_id) is None


@pytest.mark.parametrize("few", [1000, 0])
@pytest.mark.parametrize("inbox_id", [SAM, None])
def test_conversations_are_found_by_their_labels_and_those_of_their_letters(post, monkeypatch, few, inbox_id):
    monkeypatch.setattr("engine.store.letters._A_FEW", few)
    own, letters_own, neither = post.thread(), post.thread(), post.thread()
    for thread_id in own, letters_own, neither:
        name = post.letter(thread_id)
        if thread_id == letters_own:
            post.call(name, "hot")
    post.do(lambda ledger: ledger.threads.tag(own, "hot"))
    post.do(lambda ledger: ledger.threads.tag(own, "a, b"))
    asked = Sieve(inbox_id=inbox_id, labels=("hot",))
    assert post.talks(asked) == [letters_own, own]
    assert post.talks(replace(asked, labels=("hot", "a, b"))) == [own]
    assert post.talks(replace(asked, labels=("hot", "unread"))) == [letters_own, own]
    assert post.talks(replace(asked, labels=("nothing",))) == []


def test_conversations_are_found_by_who_speaks_and_of_what(post):
    first, second = post.thread(subject="Price list"), post.thread(subject="Holiday")
    post.letter(first, sender=ANN)
    post.letter(second, cc=("boss@x.test",))
    assert post.talks(replace(OURS, senders=("ANN",))) == [first]
    assert post.talks(replace(OURS, recipients=("boss",))) == [second]
    assert post.talks(replace(OURS, subjects=("price", "LIST"))) == [first]
    assert post.talks(replace(OURS, subjects=("price",), senders=("ida",))) == []


def test_a_conversation_is_read_from_its_end_in_pages_that_read_forward(post):
    thread_id = post.thread()
    made = [post.letter(thread_id) for _ in range(5)]
    post.letter(thread_id, hidden="spam")
    with post.reading() as letters:
        talk = letters.conversation(OURS, thread_id)
        pages = _pages(lambda part: letters.letters_in(talk, part))
    names = [[each.message_id for each in page] for page in pages]
    assert names == [made[3:5], made[1:3], made[:1]]


def test_a_hidden_conversation_can_be_read_by_whoever_knows_of_it(post):
    thread_id = post.thread()
    name = post.letter(thread_id, hidden="spam")
    with post.reading() as letters:
        talk = letters.conversation(OURS, thread_id)
        assert [each.message_id for each in letters.letters_in(talk, Slice()).items] == [name]


# --- search ---


def test_a_subject_is_more_than_a_sender_and_that_is_more_than_the_text(post):
    subject = post.letter(subject="Zeppelin")
    sender = post.letter(sender="zeppelin@x.test")
    said = post.letter(text="The zeppelin lands at noon.")
    also_said = post.letter(text="A ZEPPELIN!")
    post.letter()
    assert post.found("zeppelin") == [subject, sender, also_said, said]


def test_all_words_must_be_there_wherever_they_stand(post):
    wanted = post.letter(subject="Zeppelin", text="It lands at noon.")
    post.letter(subject="Zeppelin")
    assert post.found("noon", "zeppelin") == [wanted]


def test_what_is_found_is_paged(post):
    made = [post.letter(text="zeppelin") for _ in range(3)]
    first = post.letter(subject="zeppelin")
    with post.reading() as letters:
        pages = _pages(lambda part: letters.search(["zeppelin"], OURS, part))
    assert [each.message_id for page in pages for each in page] == [first, *made[::-1]]


def test_what_is_hidden_is_not_found(post):
    post.letter(text="zeppelin", hidden="spam")
    assert post.found("zeppelin") == post.found_talks("zeppelin") == []


def test_search_looks_at_the_newest_only(post, monkeypatch):
    monkeypatch.setattr("engine.store.letters._NEWEST", 2)
    old = post.thread()
    post.letter(old, text="zeppelin")
    newer = [post.letter(text="zeppelin") for _ in range(2)]
    assert post.found("zeppelin") == newer[::-1]
    assert old not in post.found_talks("zeppelin")
    assert len(post.found_talks("zeppelin", sieve=ALL)) == 2


def test_a_conversation_is_found_by_what_was_said_in_any_of_its_letters(post):
    by_text, by_subject, other = post.thread(), post.thread(subject="Zeppelin"), post.thread()
    post.letter(by_subject)
    post.letter(by_text, text="The zeppelin lands.")
    post.letter(by_text, text="At noon.")
    post.letter(other)
    for sieve in OURS, ALL, Sieve(pod_id="pod_default"):
        assert post.found_talks("zeppelin", sieve=sieve) == [by_subject, by_text]
        assert post.found_talks("zeppelin", "noon", sieve=sieve) == [by_text]
        assert post.found_talks("%", sieve=sieve) == []


def test_search_keeps_to_its_time(post):
    early = post.letter(text="zeppelin")
    moment = post.clock.now()
    late = post.letter(text="zeppelin")
    with post.reading() as letters:
        for sieve, name in (
            (replace(OURS, after=moment), late),
            (replace(OURS, before=post.clock.now()), early),
        ):
            assert [each.message_id for each in letters.search(["zeppelin"], sieve, Slice()).items] == [name]
            assert len(letters.search_conversations(["zeppelin"], sieve, Slice()).items) == 1


# --- how they are looked for ---


@pytest.fixture
def crowd(store: Store, clock: FrozenClock) -> None:
    """Enough letters in enough inboxes that a database has something to choose from, and knows it."""
    now = clock.now()
    boxes = [f"box-{number}@acme.example" for number in range(99)] + [SAM]
    made = [(number, boxes[number % 100], now - timedelta(minutes=number)) for number in range(3000)]
    with store.database.begin() as db:
        db.execute(insert(inbox), [{"id": box, "created_at": now, "updated_at": now} for box in boxes])
        born: dict[str, Any] = {"subject": "Hi", "created_at": now, "updated_at": now}
        threads = [
            {"id": f"thr_{n:05}", "inbox_id": box, "contact": IDA, "last_at": at, "message_count": 1} | born
            for n, box, at in made
        ]
        db.execute(insert(thread), threads)
        said: dict[str, Any] = {
            "direction": "received",
            "sender": IDA,
            "subject": "Hi",
            "text": "-",
            "position": 1,
        }
        said |= {"to": [SAM], "references": [], "labels": ["hot"]}
        letters = [
            {"message_id": f"<{n:05}@x.test>", "inbox_id": box, "thread_id": f"thr_{n:05}", "timestamp": at}
            for n, box, at in made
        ]
        db.execute(insert(message), [each | said for each in letters])
        db.execute(insert(message_label), [each | {"label": "hot"} for each in letters])
    with store.database.connect().execution_options(isolation_level="AUTOCOMMIT") as db:
        db.execute(text("ANALYZE"))


@pytest.fixture
def plans(store: Store, crowd: None) -> Callable[[Callable[[], Any]], str]:
    """How the database would look for what is asked, in its own words."""
    return lambda ask: "\n".join(plans_of(store, ask, having="LIMIT"))


_READ_TO_THE_END = re.compile(
    r"SCAN (message|thread)\b|TEMP B-TREE FOR ORDER|Seq Scan on (message|thread)\b|Sort"
)
_A_MARK = int(MONDAY.timestamp() * 1000) - 3_600_000


@pytest.mark.parametrize(
    ("sieve", "index"),
    [
        (OURS, "message_shown"),
        (replace(OURS, shown=frozenset({"spam"})), "message_every"),
        (replace(OURS, labels=("hot",)), "message_label_time"),
    ],
)
def test_a_page_of_letters_comes_from_an_index(post, plans, sieve, index):
    plan = plans(lambda: post.listed(sieve, Slice(limit=2, after=(_A_MARK, "<x@x.test>"))))
    assert index in plan
    assert not _READ_TO_THE_END.search(plan)


def test_the_letter_of_a_draft_is_looked_up(post, plans):
    thread_id = post.thread()
    draft_id = label_a_follow_up(post.store, post.clock.now(), thread_id, post.clock.now())
    post.letter(thread_id, direction="sent", draft_id=draft_id)
    plan = plans(lambda: post.listed(replace(OURS, labels=(f"draft:{draft_id}",))))
    assert "message_id=" in plan.replace(" ", "")


@pytest.mark.parametrize(
    ("sieve", "index"),
    [(OURS, "thread_shown"), (ALL, "thread_shown_all"), (Sieve(pod_id="pod_default"), "thread_shown_all")],
)
@pytest.mark.parametrize("ascending", [False, True])
def test_a_page_of_conversations_comes_from_an_index(post, plans, sieve, index, ascending):
    part = Slice(limit=2, after=(_A_MARK, "thr_1"), ascending=ascending)
    plan = plans(lambda: post.talks(sieve, part))
    assert index in plan
    assert not _READ_TO_THE_END.search(plan)
