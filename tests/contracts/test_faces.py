"""People as they are looked at: listed, found, and everything that was said and decided; from every database, by index."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event, insert, text

from engine.approve import Reviewer, approve, reject
from engine.brake import stop, suppress
from engine.dispatch import dispatch_due
from engine.errands import done
from engine.happen import happen
from engine.hours import Absence
from engine.ids import new_id
from engine.model import Message
from engine.resume import resume
from engine.store import Store
from engine.store import faces as shelf
from engine.store.faces import Crowd, Note
from engine.store.pages import Slice
from engine.store.tables import audit, enrollment
from tests.doubles import MONDAY, FrozenClock
from tests.makers import IDA, SAM, enrolled, label_a_follow_up, open_thread, pending, sequence

SECOND = timedelta(seconds=1)


def _crowd(store: Store, clock: FrozenClock, ask: Callable[[Any, Slice], Crowd], limit: int = 2) -> list[str]:
    """All pages of a list."""
    found, after = [], None
    while True:
        with store.reading(clock.now()) as ledger:
            part = ask(ledger.faces, Slice(limit=limit, after=after))
        assert len(part.items) <= limit
        found += [each.email for each in part.items]
        if (after := part.next) is None:
            return found


def _story(store: Store, clock: FrozenClock, contact: str = IDA, limit: int = 3) -> list[Note]:
    found, after = [], None
    while True:
        with store.reading(clock.now()) as ledger:
            part = ledger.faces.story(contact, limit=limit, after=after)
        assert len(part.notes) <= limit
        found += part.notes
        if (after := part.next) is None:
            return found


@pytest.fixture
def five(store: Store, clock: FrozenClock) -> list[str]:
    """Five people, in two sequences, one after the other; one of them paused, and one stopped."""
    names = [f"{name}@nordic.example" for name in ("ada", "bea", "cleo", "ida", "ida.b")]
    for number, name in enumerate(names):
        clock.pass_(SECOND)
        enrolled(store, clock.now(), name, sequence(name="Other" if number % 2 else "Quick question"))
    with store.transaction(clock.now(), "a test") as ledger:
        [cleo] = ledger.enrollments.living("cleo@nordic.example")
        ledger.enrollments.pause([cleo.id], "somebody said so")
    stop("ida@nordic.example", by="a test", store=store, clock=clock)
    return names


# --- a page of them ---


def test_the_newest_come_first_page_by_page(store, clock, five):
    assert _crowd(store, clock, lambda faces, part: faces.page(part)) == five[::-1]


def test_they_are_told_apart_by_where_they_stand(store, clock, five):
    def of(**which: str) -> list[str]:
        return _crowd(store, clock, lambda faces, part: faces.page(part, **which))

    assert of(state="paused") == [five[2]]
    assert of(state="stopped") == [five[3]]
    assert of(sequence="Other") == [five[3], five[1]]
    assert of(sequence="Other", state="active") == [five[1]]
    assert of(sequence="None of ours") == []


def test_somebody_rare_is_looked_for_a_stretch_at_a_time(store, clock, five, monkeypatch):
    monkeypatch.setattr(shelf, "WALK", 2)
    with store.reading(clock.now()) as ledger:
        first = ledger.faces.page(Slice(), sequence="Quick question", state="active")
        assert [each.email for each in first.items] == [five[4]]
        assert first.walked
    found = _crowd(store, clock, lambda faces, part: faces.page(part, sequence="Quick question"))
    assert found == [five[4], five[2], five[0]]


def test_a_face_shows_the_letter_before_it(store, clock, five):
    with store.reading(clock.now()) as ledger:
        [stopped, *_] = ledger.faces.page(Slice(), state="stopped").items
        [active, *_] = ledger.faces.page(Slice(), state="active").items
    assert (stopped.step, stopped.send_at, stopped.reason) == (None, None, "by_hand")
    assert active.draft_state == "scheduled"
    assert active.send_at is not None


# --- who is looked for ---


def test_somebody_is_found_by_how_their_address_begins(store, clock, five):
    def of(text: str) -> list[str]:
        return _crowd(store, clock, lambda faces, part: faces.beginning_with(text, part), limit=1)

    assert sorted(of("ida")) == ["ida.b@nordic.example", "ida@nordic.example"]
    assert of(" Ida@Nordic.example ") == ["ida@nordic.example"]
    assert of("ida@") == ["ida@nordic.example"]
    assert of("da") == of("%") == of("_da") == []


def test_all_of_a_company_who_are_written_to_are_found(store, clock, five):
    found = _crowd(store, clock, lambda faces, part: faces.at_company("nordic.example", part))
    assert found == [five[4], five[2], five[1], five[0]]
    assert _crowd(store, clock, lambda faces, part: faces.at_company("acme.example", part)) == []


def test_whose_life_it_is_can_be_told(store, clock, five):
    with store.reading(clock.now()) as ledger:
        [face] = ledger.faces.page(Slice(), state="paused").items
        assert ledger.faces.contact_of(face.id) == "cleo@nordic.example"
        assert ledger.faces.contact_of("enr_nobody") is None
        assert ledger.faces.knows("cleo@nordic.example")
        assert not ledger.faces.knows("nobody@nordic.example")


# --- all that was said and decided ---


@pytest.fixture
def told(store: Store, clock: FrozenClock) -> list[Note]:
    """Everything that can be in somebody's story."""
    steps = (
        {"subject": "Hi", "body": "Hello"},
        {"id": "call", "after": "1d", "task": "call her"},
        {"after": "5d", "body": "Bye"},
    )
    life = enrolled(store, clock.now(), wants=sequence(*steps))
    clock.pass_(SECOND)
    with store.reading(clock.now()) as ledger:
        talk = ledger.enrollments.get(life).thread_id
    label_a_follow_up(store, clock.now(), talk, clock.now() + timedelta(days=9))
    clock.pass_(SECOND)
    happen("hap_1", "booked", IDA, None, by="a test", store=store, clock=clock)
    clock.pass_(SECOND)
    with store.transaction(clock.now(), "a test") as ledger:
        said = {"inbox_id": SAM, "thread_id": talk, "direction": "received", "sender": IDA, "to": (SAM,)}
        ledger.threads.keep(
            Message(message_id="<1@x>", subject="Re: Hi", text="Yes " * 500, timestamp=clock.now(), **said)
        )
    clock.pass_(SECOND)
    stop(IDA, by="kim@acme.example", store=store, clock=clock)
    return _story(store, clock)


def test_a_story_has_what_was_said_and_what_was_decided_the_newest_first(told):
    kinds = [(note.kind, note.what) for note in told]
    assert ("letter", "received") in kinds
    assert ("happened", "booked") in kinds
    assert ("decided", "enrollment: create") in kinds
    assert ("decided", "enrollment: stop") in kinds
    assert [note.at for note in told] == sorted((note.at for note in told), reverse=True)


def test_a_story_holds_nothing_back_of_what_was_cancelled_and_why(told):
    cancelled = [note for note in told if note.what == "draft: cancel"]
    assert {note.why for note in cancelled} == {"by_hand"}
    assert {note.by for note in cancelled} == {"kim@acme.example"}
    by_hand = [note for note in told if note.what == "draft: create" and note.enrollment_id is None]
    assert [note.why for note in by_hand] == ["asked for"]  # the one that no sequence made, too


def test_of_a_long_letter_a_story_shows_the_beginning(told):
    [letter] = [note for note in told if note.kind == "letter"]
    assert len(letter.why) == 400


@pytest.mark.parametrize("limit", [1, 2, 50])
def test_pages_of_a_story_lose_nothing_also_of_one_instant(store, clock, told, limit):
    """Many things are noted in one instant, on several shelves."""
    found = _story(store, clock, limit=limit)
    assert found == told
    assert len(found) == len({repr(note) for note in found})


def test_a_story_is_of_one_person(store, clock, told):
    enrolled(store, clock.now(), "tom@nordic.example")
    assert _story(store, clock) == told
    assert _story(store, clock, "nobody@nordic.example") == []


def test_of_one_instant_what_came_of_it_stands_above_what_it_came_of(store, clock, mailbox, pace):
    """A frozen clock: they enter, somebody says yes, it leaves, and they answer, all at once."""
    enrolled(store, clock.now(), wants=sequence(approval="all"))
    [held] = pending(store, clock.now())
    approve(held["draft_id"], by=Reviewer(id="kim"), store=store, clock=clock)
    list(dispatch_due(store=store, mailbox=mailbox, clock=clock, pace=pace))
    with store.transaction(clock.now(), "a test") as ledger:
        said = {"inbox_id": SAM, "thread_id": held["thread_id"], "direction": "received", "sender": IDA}
        letter = {"subject": "Re: Hi", "text": "Yes", "timestamp": clock.now(), "to": (SAM,)}
        ledger.threads.keep(Message(message_id="<1@x>", **letter, **said))
    told = [note.what for note in _story(store, clock) if note.step != "step-2"]
    assert told[0] == "sent"
    assert told[-1] == "received"
    story = [each for each in told if each.startswith(("draft", "enrollment"))]
    assert story == [
        *("draft: settle", "draft: gate", "draft: claim", "draft: approve", "draft: create"),
        "enrollment: create",
    ]
    assert "approved" not in told  # the log's line says it already: of whom, and when


def test_a_no_is_told_once(store, clock):
    enrolled(store, clock.now(), wants=sequence(approval="all"))
    [held] = pending(store, clock.now())
    by = {"by": Reviewer(id="kim"), "store": store, "clock": clock}
    reject(held["draft_id"], why="too long", then="pause", **by)
    told = [(note.what, note.why) for note in _story(store, clock)]
    assert ("draft: submit", "rejected: too long") in told
    assert "rejected" not in dict(told)


def test_a_pause_is_no_absence(store, clock, mailbox, pace):
    life = enrolled(store, clock.now())
    with store.transaction(clock.now(), "kim") as ledger:
        ledger.enrollments.pause([life], "until the fair is over")
    clock.pass_(SECOND)
    resume(IDA, by="kim", store=store, clock=clock)
    told = [(note.kind, note.what) for note in _story(store, clock)]
    assert {("decided", "enrollment: pause"), ("decided", "enrollment: resume")} <= set(told)
    assert "away" not in dict(told)
    with store.transaction(clock.now(), "webhook") as ledger:
        ledger.past.be_away(life, Absence(clock.now(), clock.now() + timedelta(days=9)))
    assert "away" in {note.kind for note in _story(store, clock)}


# --- conversations ---


@pytest.fixture
def talk(store: Store, clock: FrozenClock) -> str:
    """A conversation of three letters; the second one is long, and has HTML."""
    thread_id = open_thread(store, clock.now())
    for number in 1, 2, 3:
        clock.pass_(SECOND)
        more: dict[str, Any] = (
            {"text": "x" * 1_000_000, "html": "<b>x</b>"} if number == 2 else {"text": "Hi"}
        )
        with store.transaction(clock.now(), "a test") as ledger:
            ledger.threads.lock([thread_id])
            said = {"inbox_id": SAM, "thread_id": thread_id, "direction": "received", "sender": IDA}
            said |= {"message_id": f"<{number}@x>", "to": (SAM,), "subject": "Hi", "timestamp": clock.now()}
            ledger.threads.keep(Message(**said | more))
    return thread_id


def test_a_conversation_is_read_from_its_end(store, clock, talk):
    with store.reading(clock.now()) as ledger:
        last = ledger.talks.letters(talk, None, limit=2)
        rest = ledger.talks.letters(talk, None, limit=2, before=last.before)
    assert [each.letter.message_id for each in last.letters] == ["<2@x>", "<3@x>"]
    assert [each.letter.message_id for each in rest.letters] == ["<1@x>"]
    assert rest.before is None


def test_of_a_long_letter_a_page_has_the_beginning_and_its_place_has_the_whole(store, clock, talk):
    with store.reading(clock.now()) as ledger:
        long = ledger.talks.letters(talk, None).letters[1]
        whole = ledger.talks.letter_at(talk, long.place)
        assert ledger.talks.letter_at(talk, 99) is None
        assert ledger.talks.letter_at("thr_nobody", long.place) is None
    assert (len(long.letter.text), long.length, long.has_html, long.letter.html) == (
        20_000,
        1_000_000,
        True,
        None,
    )
    assert (len(whole.text), whole.html) == (1_000_000, "<b>x</b>")


def test_a_conversation_says_what_is_still_to_come(store, clock, talk):
    made = label_a_follow_up(store, clock.now(), talk, clock.now() + timedelta(days=1))
    with store.reading(clock.now()) as ledger:
        assert [each.id for each in ledger.talks.to_come(talk)] == [made]
    suppress(IDA, why="asked us", by="a test", store=store, clock=clock)
    with store.reading(clock.now()) as ledger:
        assert ledger.talks.to_come("thr_nobody") == []


# --- how it is looked for ---


@pytest.fixture
def town(store: Store, clock: FrozenClock) -> None:
    """Enough people that a database has something to choose from, and knows it."""
    enrolled(store, clock.now())
    with store.database.begin() as db:
        one = db.execute(enrollment.select()).mappings().one()
        rows = [
            dict(one) | {"id": new_id("enr", MONDAY), "contact": f"p{number}@x{number}.test", "company": "x"}
            for number in range(3000)
        ]
        db.execute(insert(enrollment), rows)
        lines = [{"at": MONDAY, "actor": "-", "what": "-", "enrollment_id": row["id"]} for row in rows]
        db.execute(insert(audit), lines)
    with store.database.connect().execution_options(isolation_level="AUTOCOMMIT") as db:
        db.execute(text("ANALYZE"))


@pytest.mark.parametrize(
    ("ask", "index"),
    [
        (lambda faces: faces.page(Slice(limit=5, after=("", "enr_2"))), "enrollment"),
        (lambda faces: faces.beginning_with("p77", Slice(limit=5)), "enrollment_contact"),
        (lambda faces: faces.story(IDA, limit=5), "audit_enrollment"),
        (lambda faces: faces.story(IDA, limit=5, after=(1_900_000_000_000, 1, 99_999)), "audit_enrollment"),
    ],
)
def test_whoever_is_looked_for_is_found_by_an_index(store, clock, town, ask, index):
    asked: list[tuple[str, Any]] = []

    def note(_db: Any, _cursor: Any, statement: str, values: Any, *_: Any) -> None:
        asked.append((statement, values))

    event.listen(store.database, "before_cursor_execute", note)
    with store.reading(clock.now()) as ledger:
        ask(ledger.faces)
    event.remove(store.database, "before_cursor_execute", note)
    word = "EXPLAIN QUERY PLAN " if store.database.dialect.name == "sqlite" else "EXPLAIN "
    with store.database.connect() as db:
        plan = "\n".join(
            str(row[-1]) for said, values in asked for row in db.exec_driver_sql(word + said, values)
        )
    assert index in plan
    for table in "enrollment", "audit":
        assert f"SCAN {table}\n" not in plan
        assert f"Seq Scan on {table}" not in plan


def test_a_task_that_was_done_is_told_when_it_was_given_and_when_it_was_done(store, clock):
    steps = ({"id": "call", "task": "call her"}, {"after": "5d", "subject": "Hi", "body": "Bye"})
    enrolled(store, clock.now(), wants=sequence(*steps))
    with store.reading(clock.now()) as ledger:
        [task] = ledger.past.tasks()
    clock.pass_(SECOND)
    done(task["task_id"], by="kim@acme.example", store=store, clock=clock)
    story = _story(store, clock)
    assert [note.why for note in story if note.kind == "given"] == ["call her"]
    assert [note.step for note in story if note.kind == "done"] == ["call"]
