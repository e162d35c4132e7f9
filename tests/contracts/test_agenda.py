"""What is planned by day and by inbox: the same answers from every database, and from indexes."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import insert, text

from engine.addresses import CANARY
from engine.store import Store
from engine.store.agenda import Hours, Load
from engine.store.tables import draft, inbox, thread
from tests.doubles import MONDAY, FrozenClock
from tests.makers import IDA, SAM, enrolled, sequence
from tests.plans import plans_of

DAY = timedelta(days=1)
EDGES = [MONDAY + number * DAY for number in range(4)]
TOM = "tom@acme.example"


class Book:
    """Letters with an hour, and nothing else that matters here."""

    def __init__(self, store: Store, clock: FrozenClock) -> None:
        self.store, self.clock, self._number = store, clock, 0

    def letter(self, hours: float = 1, *, inbox_id: str = SAM, state: str = "scheduled", **more: Any) -> str:
        self._number += 1
        now, at = self.clock.now(), MONDAY + timedelta(hours=hours)
        name = f"drf_{self._number:04}"
        born = {"created_at": now, "updated_at": now}
        new = {"id": name, "inbox_id": inbox_id, "thread_id": f"thr_{inbox_id}", "step": name, "state": state}
        new |= {"send_at": at, "to": IDA, "subject": "Hi", "text": "-", "message_id": f"<{name}@x>"}
        new |= {"reason": "asked for", "content_sha": "-"} | born
        with self.store.database.begin() as db:
            if not db.execute(inbox.select().where(inbox.c.id == inbox_id)).first():
                db.execute(insert(inbox).values(id=inbox_id, created_at=now))
                talk = {"id": f"thr_{inbox_id}", "inbox_id": inbox_id, "contact": IDA, "subject": "Hi"}
                db.execute(insert(thread).values(**talk, created_at=now))
            db.execute(insert(draft).values(**new | more))
        return name

    def gone(self, hours: float, **more: Any) -> str:
        return self.letter(hours, state="sent", gate_at=MONDAY + timedelta(hours=hours), **more)

    def loads(self) -> dict[str, tuple[Load, ...]]:
        with self.store.reading(self.clock.now()) as ledger:
            return ledger.agenda.loads(EDGES)

    def listed(self, what: Any, *, limit: int = 50, **of: Any) -> list[str]:
        """All pages of a day."""
        found, after = [], None
        while True:
            with self.store.reading(self.clock.now()) as ledger:
                part = ledger.agenda.letters(
                    what, Hours(begin=MONDAY, end=MONDAY + DAY, **of), limit=limit, after=after
                )
            found += [each.id for each in part.items]
            if (after := part.next) is None:
                return found


@pytest.fixture
def book(store: Store, clock: FrozenClock) -> Book:
    return Book(store, clock)


def test_a_day_counts_what_is_planned_held_and_gone(book):
    book.letter(1)
    book.letter(25)
    book.letter(26, inbox_id=TOM)
    book.letter(2, state="held")
    book.letter(3, state="held", held_until=MONDAY + 2 * DAY)
    book.gone(4)
    book.letter(5, state="cancelled")
    book.letter(6, state="written")
    assert book.loads() == {
        SAM: (Load(planned=1, held=2, left=1), Load(planned=1), Load()),
        TOM: (Load(), Load(planned=1), Load()),
    }


def test_the_hour_at_which_a_day_begins_is_its_own_and_the_next_days_is_not(book):
    book.letter(0)
    book.letter(24)
    book.letter(72)
    assert book.loads() == {SAM: (Load(planned=1), Load(planned=1), Load())}


def test_a_letter_of_somebody_who_is_paused_is_not_among_those_that_leave(store, clock, book):
    life = enrolled(store, clock.now(), wants=sequence())
    with store.transaction(clock.now(), "a test") as ledger:
        ledger.enrollments.pause([life], "somebody said so")
    [load, *_] = book.loads()[SAM]
    assert (load.planned, load.paused) == (0, 1)
    with store.reading(clock.now()) as ledger:
        [entry] = ledger.agenda.letters("planned", Hours(begin=EDGES[0], end=EDGES[1])).items
    assert entry.paused
    assert entry.sequence == "Quick question"


def test_the_canary_is_not_in_the_calendar(book):
    book.letter(1, inbox_id=CANARY)
    book.gone(1, inbox_id=CANARY)
    book.letter(1, inbox_id=CANARY, state="held")
    assert book.loads() == {}
    assert [book.listed(what) for what in ("planned", "held", "left")] == [[], [], []]


def test_letters_of_one_instant_come_page_by_page_and_none_is_lost(book):
    late = book.letter(2)
    made = [book.letter(1, to=f"{number}@nordic.example") for number in range(5)]
    follow_up = book.letter(1, opener=True)
    assert book.listed("planned", limit=2) == [*made, follow_up, late]
    assert book.listed("planned", limit=2, inbox_id=SAM) == [*made, follow_up, late]
    assert book.listed("planned", inbox_id=TOM) == []


def test_what_is_held_comes_in_the_order_of_its_hour_whatever_it_waits_for(book):
    asleep = book.letter(2, state="held", held_until=MONDAY + 3 * DAY)
    odd = book.letter(3, state="held", rank=-2)
    plain = book.letter(1, state="held")
    book.letter(30, state="held")
    assert book.listed("held", limit=1) == book.listed("held", inbox_id=SAM) == [plain, asleep, odd]


def test_what_has_left_comes_inbox_by_inbox(book):
    second, first = book.gone(2, inbox_id=TOM), book.gone(1, inbox_id=TOM)
    sams = [book.gone(3), book.gone(4)]
    book.letter(3, state="failed", gate_at=MONDAY)
    assert book.listed("left", limit=1) == [*sams, first, second]
    assert book.listed("left", inbox_id=TOM) == [first, second]


def test_held_letters_whose_hour_has_passed_are_counted(book):
    for hours in -1, -2, 1:
        book.letter(hours, state="held")
    book.letter(-1, state="held", outcome="rejected")
    with book.store.reading(book.clock.now()) as ledger:
        assert ledger.agenda.overdue(MONDAY) == 2


def test_a_sequence_speaks_as_long_as_somebody_stands_in_it(store, clock):
    life = enrolled(store, clock.now())
    with store.transaction(clock.now(), "a test") as ledger:
        assert ledger.agenda.speaking() == ["Quick question"]
        ledger.enrollments.stop([life], "by_hand")
        assert ledger.agenda.speaking() == []


# --- how it is looked for ---


@pytest.fixture
def crowd(book: Book) -> None:
    """Enough letters that a database has something to choose from, and knows it."""
    now = book.clock.now()
    for box in SAM, TOM:
        book.letter(inbox_id=box)
    born = {"created_at": now, "updated_at": now, "edited_at": now, "step": "", "to": IDA, "subject": "Hi"}
    born |= {"text": "-", "reason": "-", "content_sha": "-"}
    rows = []
    for number in range(4000):
        box, state = (SAM, TOM)[number % 2], ("sent", "scheduled", "cancelled", "held")[number % 4]
        at = MONDAY + timedelta(minutes=20 * number)
        rows.append(
            born
            | {"id": f"drf_x{number:05}", "message_id": f"<{number}@x>", "inbox_id": box, "state": state}
            | {"thread_id": f"thr_{box}", "send_at": at, "rank": -(number % 3)}
            | {"gate_at": at if state == "sent" else None}
        )
    with book.store.database.begin() as db:
        db.execute(insert(draft), rows)
    with book.store.database.connect().execution_options(isolation_level="AUTOCOMMIT") as db:
        db.execute(text("ANALYZE"))


@pytest.fixture
def plans(store: Store, crowd: None) -> Callable[[Callable[[], Any]], str]:
    """How the database would look for what is asked, in its own words."""
    return lambda ask: "\n".join(plans_of(store, ask))


@pytest.mark.parametrize(
    ("what", "index"),
    [("planned", "draft_due"), ("held", "draft_review"), ("left", "draft_left_by_inbox_id")],
)
def test_the_letters_of_a_day_come_from_an_index(book, plans, what, index):
    plan = plans(lambda: book.listed(what, limit=100))
    assert index in plan
    assert "SCAN draft\n" not in plan
    assert "Seq Scan on draft" not in plan


def test_the_letters_of_a_day_of_one_inbox_come_from_an_index(book, plans):
    plan = plans(lambda: book.listed("planned", limit=5, inbox_id=SAM))
    assert "draft_mailbox" in plan or "draft_due" in plan
    assert "SCAN draft\n" not in plan
    assert "Seq Scan on draft" not in plan


def test_the_days_are_counted_from_indexes(book, plans):
    plan = plans(book.loads)
    for index in "draft_due", "draft_review", "draft_left_by_inbox_id":
        assert index in plan
    assert "SCAN draft\n" not in plan


def test_a_day_may_be_long_or_short(store, clock, book):
    """Where a clock is changed, a day has 23 hours, or 25."""
    book.letter(23.5)
    with store.reading(clock.now()) as ledger:
        short = ledger.agenda.loads([MONDAY, MONDAY + timedelta(hours=23), MONDAY + timedelta(hours=47)])
        long = ledger.agenda.loads([MONDAY, MONDAY + timedelta(hours=25), MONDAY + timedelta(hours=49)])
    assert [each.planned for each in short[SAM]] == [0, 1]
    assert [each.planned for each in long[SAM]] == [1, 0]
