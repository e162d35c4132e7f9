"""The queue of what waits for a human: by what a naive reader would say, and by what a page of it may cost."""

import random
from datetime import timedelta

import pytest
from sqlalchemy import insert, text, update

from engine.states import HoldReason
from engine.store.queue import Which
from engine.store.tables import draft
from tests.makers import SAM, enrolled, open_thread, pending, sequence
from tests.plans import plans_of

KINDS = (None, "one", "other", "third")
OUTCOMES = ("approval", "approval", "approval", "late", "answered", "rejected")
SAYS_YES = {"approval": "all"}


def waiting(store, now, thread_id, number, **more):
    """A row as the house would have written it."""
    return {
        "id": f"drf_{number:05}",
        "inbox_id": SAM,
        "thread_id": thread_id,
        "step": "s",
        "state": "held",
        "send_at": now + timedelta(minutes=number),
        "to": f"p{number}@firm.example",
        "subject": f"Letter {number}",
        "text": "x\n\ny" * 200,
        "message_id": f"<{number}@acme.example>",
        "reason": "r",
        "content_sha": "sha",
        "outcome": "approval",
        "rank": 0,
        "oddities": [],
        "alike": None,
        "created_at": now,
        "updated_at": now,
    } | more


@pytest.fixture
def rows(store, clock):
    """Of all kinds, in no order; some of them wait for nobody."""
    chance, now = random.Random(6), clock.now()
    where = open_thread(store, now)
    made = []
    for number in range(240):
        odd = chance.choice([0, 0, 0, 1, 2, 3])
        made.append(
            waiting(
                store,
                now,
                where,
                number,
                rank=-odd,
                oddities=["odd"] * odd,
                alike=chance.choice(KINDS),
                outcome=chance.choice(OUTCOMES),
                send_at=now + timedelta(minutes=chance.randrange(20)),
                state="held" if number % 10 else "scheduled",
                held_until=now + timedelta(days=1) if number % 17 == 0 else None,
            )
        )
    with store.database.begin() as db:
        db.execute(insert(draft), made)
    return made


def of_human_interest(rows, which=None):
    which = which or Which()
    found = [
        row
        for row in rows
        if row["state"] == "held"
        and row["held_until"] is None
        and row["outcome"] != "rejected"
        and which.batch in (None, row["alike"])
        and which.outcome in (None, row["outcome"])
    ]
    order = (
        (lambda row: (row["rank"], row["id"]))
        if which.batch
        else (lambda row: (row["rank"], row["send_at"], row["id"]))
    )
    return [row["id"] for row in sorted(found, key=order)]


ASKED = [Which(), Which(batch="one"), Which(outcome="late"), Which(batch="other", outcome="answered")]


@pytest.mark.parametrize("which", ASKED, ids=str)
def test_page_by_page_everybody_comes_once_the_odd_ones_first_and_the_way_back_is_the_same(
    store, clock, rows, which
):
    expected = of_human_interest(rows, which)
    with store.reading(clock.now()) as ledger:
        pages, place = [], None
        while True:
            stretch = ledger.queue.page(which, after=place, at_most=7)
            pages.append(stretch)
            place = stretch.next
            if place is None:
                break
        assert [each.id for page in pages for each in page.items] == expected
        back, place = [], pages[-1].previous
        while place is not None:
            stretch = ledger.queue.page(which, before=place, at_most=7)
            back.insert(0, stretch)
            place = stretch.previous
    before_the_last = [each.id for page in pages[:-1] for each in page.items]
    assert [each.id for page in back for each in page.items] == before_the_last


def test_the_neighbours_are_those_of_the_list(store, clock, rows):
    for which in (Which(), Which(batch="one"), Which(outcome="late")):
        names = of_human_interest(rows, which)
        with store.reading(clock.now()) as ledger:
            for number, name in enumerate(names):
                beside = ledger.queue.beside(name, which)
                assert beside.previous == (names[number - 1] if number else None)
                assert beside.next == (names[number + 1] if number + 1 < len(names) else None)


def test_what_waits_for_nobody_is_in_no_queue(store, clock, rows):
    names = set(of_human_interest(rows))
    with store.reading(clock.now()) as ledger:
        assert ledger.queue.number() == len(names)
        for row in rows:
            assert (ledger.queue.place(row["id"]) is not None) == (row["id"] in names)
            if row["id"] not in names:
                assert ledger.queue.beside(row["id"]).next is None


def test_a_sequence_has_its_part_of_it_and_a_letter_says_what_a_list_shows(store, clock):
    for number, name in enumerate(("Nights", "Days", "Nights")):
        enrolled(store, clock.now(), f"p{number}@firm.example", sequence(name=name, **SAYS_YES))
    with store.reading(clock.now()) as ledger:
        of_it = ledger.queue.page(Which(sequence="Nights")).items
        assert {each.to for each in of_it} == {"p0@firm.example", "p2@firm.example"}
        assert not ledger.queue.page(Which(sequence="Evenings")).items
        one = ledger.queue.page(Which(sequence="Days")).items[0]
    assert (one.sequence, one.subject, one.preview, one.outcome) == (
        "Days",
        "Quick question",
        "Hello",
        "approval",
    )


def test_what_is_looked_for_among_very_many_is_found_some_at_a_time(store, clock, monkeypatch, rows):
    monkeypatch.setattr("engine.store.queue._LOOKED_THROUGH", 20)
    which = Which(outcome="answered")
    found, place, asked = [], None, 0
    with store.reading(clock.now()) as ledger:
        while True:
            stretch = ledger.queue.page(which, after=place, at_most=7)
            found += [each.id for each in stretch.items]
            place, asked = stretch.next, asked + 1
            if place is None:
                break
    assert found == of_human_interest(rows, which)
    assert asked > len(found) // 7 + 1


def test_those_that_are_alike_are_counted_and_so_are_those_among_them_that_need_eyes(store, clock, rows):
    names = set(of_human_interest(rows))
    theirs = [row for row in rows if row["id"] in names]
    with store.reading(clock.now()) as ledger:
        batches = {each.alike: each for each in ledger.queue.batches()}
        assert set(batches) == {"one", "other", "third"}
        for alike, batch in batches.items():
            those = [row for row in theirs if row["alike"] == alike]
            assert batch.number == len(those)
            assert batch.calm == sum(row["rank"] == 0 and row["outcome"] == "approval" for row in those)
            assert ledger.queue.batch(alike) == batch
        assert ledger.queue.batch("nobody") is None


def test_a_rejected_letter_waits_for_nobodys_yes(store, clock):
    enrolled(store, clock.now(), wants=sequence(**SAYS_YES))
    (one,) = pending(store, clock.now())
    with store.database.begin() as db:
        db.execute(update(draft).values(outcome=HoldReason.REJECTED))
    with store.reading(clock.now()) as ledger:
        assert ledger.queue.number() == 0
        assert ledger.queue.place(one["draft_id"]) is None


@pytest.fixture
def many(store, clock):
    """Two thousand that wait among six thousand."""
    now = clock.now()
    where = open_thread(store, now)
    with store.database.begin() as db:
        made = [
            waiting(
                store,
                now,
                where,
                number,
                state="held" if number % 3 == 0 else "sent",
                rank=-(number % 50 == 0),
                alike=f"kind-{number % 7}",
            )
            for number in range(6_000)
        ]
        db.execute(insert(draft), made)
    if store.database.dialect.name == "postgresql":
        with store.database.connect().execution_options(isolation_level="AUTOCOMMIT") as db:
            db.execute(text("ANALYZE draft"))
    return store


LOOKS = {
    "first": (lambda queue: queue.page(), "draft_review"),
    "further": (lambda queue: queue.page(after=(0, 1_772_500_000_000, "drf_03000")), "draft_review"),
    "back": (lambda queue: queue.page(before=(0, 1_772_500_000_000, "drf_03000")), "draft_review"),
    "late": (lambda queue: queue.page(Which(outcome="late")), "draft_review"),
    "batch": (lambda queue: queue.page(Which(batch="kind-3"), after=(0, 0, "drf_03000")), "draft_alike"),
    "batches": (lambda queue: queue.batches(), "draft_alike"),
    "number": (lambda queue: queue.number(), "draft_review"),
}


@pytest.mark.parametrize("name", LOOKS)
def test_it_is_read_from_its_index_and_nothing_is_sorted(many, clock, name, monkeypatch):
    monkeypatch.setattr("engine.store.queue._LOOKED_THROUGH", 100)
    look, index = LOOKS[name]

    def ask():
        with many.reading(clock.now()) as ledger:
            look(ledger.queue)

    found = plans_of(many, ask, having="FROM draft")
    assert any(index in plan for plan in found), found
    for plan in found:
        if index in plan:
            assert "TEMP B-TREE" not in plan
            assert "Sort Key" not in plan
            assert "Seq Scan on draft" not in plan
