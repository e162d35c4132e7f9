"""What Today asks of every database: few questions, all of them answered by an index."""

import re
from datetime import timedelta

import pytest
from sqlalchemy import text, update

from engine.brake import stop
from engine.dispatch import dispatch_due
from engine.store.tables import draft, enrollment
from engine.store.today import Furnished
from tests.makers import IDA, SAM, enrolled, sequence
from tests.plans import overheard, plan_of

OLA = "ola@nordic.example"


@pytest.fixture
def today(store, clock):
    def ask(verb: str, *args, **more):
        with store.reading(clock.now()) as ledger:
            return getattr(ledger.today, verb)(*args, **more)

    return ask


def _send(store, clock, mailbox, pace) -> None:
    list(dispatch_due(store=store, mailbox=mailbox, clock=clock, pace=pace))


def test_what_left_since_then_is_counted(store, clock, mailbox, pace, today):
    enrolled(store, clock.now())
    _send(store, clock, mailbox, pace)
    assert today("sent", clock.now()) == 1
    assert today("sent", clock.now() + timedelta(seconds=1)) == 0


def test_what_only_may_have_left_is_not_counted(store, clock, mailbox, pace, today):
    enrolled(store, clock.now(), wants=sequence({"subject": "Hello", "body": "Hello"}))
    _send(store, clock, mailbox, pace)
    with store.database.begin() as db:
        db.execute(update(draft).where(draft.c.state == "sent").values(state="uncertain"))
    assert today("sent", clock.now()) == 0
    [doubted] = today("uncertain", 5)
    assert (doubted.email, doubted.carrier, doubted.gate_at) == (IDA, mailbox.name, clock.now())


def test_who_is_written_to_no_more_is_counted_by_the_reason(store, clock, today):
    enrolled(store, clock.now())
    enrolled(store, clock.now(), OLA)
    stop(IDA, by="kim", store=store, clock=clock)
    assert today("stopped", clock.now()) == {"by_hand": 1}
    assert today("stopped", clock.now() + timedelta(seconds=1)) == {}


def test_what_waits_for_a_human_is_counted_by_the_reason(store, clock, today):
    enrolled(store, clock.now(), wants=sequence(approval="all"))
    enrolled(store, clock.now(), OLA)
    assert today("held") == {"approval": 1}
    assert today("scheduled") == 1
    assert today("failed") == 0


def test_the_next_letters_in_the_order_in_which_they_go(store, clock, mailbox, pace, today):
    enrolled(store, clock.now())
    _send(store, clock, mailbox, pace)
    clock.pass_(timedelta(hours=1))
    enrolled(store, clock.now(), OLA)
    assert [each.email for each in today("next_to_leave", 5)] == [OLA, IDA]
    assert [each.email for each in today("next_to_leave", 1)] == [OLA]


def test_of_somebody_who_is_paused_it_is_said_that_their_letter_stays(store, clock, today):
    enrolled(store, clock.now())
    with store.database.begin() as db:
        db.execute(update(enrollment).values(state="paused"))
    [leaving] = today("next_to_leave", 5)
    assert not leaving.wanted


def test_what_has_moved_is_told_once_and_in_order(store, clock, today):
    before = today("last_line")
    enrolled(store, clock.now(), wants=sequence(approval="all"))
    stop(IDA, by="kim", store=store, clock=clock)
    moved = today("moved", before, 10)
    assert [each.state for each in moved] == ["cancelled"] * len(moved)
    assert [each.seq for each in moved] == sorted(each.seq for each in moved)
    assert (moved[-1].why, moved[-1].email) == ("by_hand", IDA)
    assert today("moved", before, 10, but_not={each.seq for each in moved}) == []
    assert today("moved", today("last_line"), 10) == []


def test_a_reason_in_a_strangers_words_is_left_out(store, clock, today):
    enrolled(store, clock.now())
    with store.database.begin() as db:
        db.execute(update(draft).values(outcome="550 <script>alert(1)</script>"))
    assert {each.why for each in today("moved", 0, 100)} == {None}


def test_how_far_a_newcomer_has_come(store, clock, mailbox, pace, today):
    assert today("furnished") == Furnished(
        inbox=None, sequence=None, person=False, letter=False, answer=False
    )
    enrolled(store, clock.now())
    _send(store, clock, mailbox, pace)
    there = today("furnished")
    assert there == Furnished(inbox=SAM, sequence="Quick question", person=True, letter=True, answer=False)


def test_the_last_webhooks_that_cancelled_a_letter_come_with_their_bytes(store, clock, today):
    with store.transaction(clock.now(), "webhook") as ledger:
        for event_id, verdict in (
            ("evt_changes_nothing", "ignored: changes nothing"),
            ("evt_nothing_pending", "stopped: replied, 0 cancelled"),
            ("evt_1", "stopped: replied, 1 cancelled"),
            ("canary/thr_1", "stopped: replied, 1 cancelled"),
            ("missed/1", "stopped: replied, 1 cancelled"),
        ):
            ledger.inbound.note_receipt("agentmail", event_id, event_id.encode(), verdict)
    clock.pass_(timedelta(seconds=1))
    with store.transaction(clock.now(), "webhook") as ledger:
        for event_id, raw in ("evt_2", b"two"), ("evt_3", b"three" * 20_000):
            ledger.inbound.note_receipt("agentmail", event_id, raw, "stopped: bounced, 2 cancelled")
    found = today("cancelling", 3)  # of the three the longest is not read
    assert [(each.event_id, each.raw) for each in found] == [("evt_2", b"two"), ("evt_1", b"evt_1")]
    assert found[0].at == clock.now()
    assert [each.event_id for each in today("cancelling", 2)] == ["evt_2"]


def test_the_bytes_of_what_cancelled_are_found_by_their_key(store, clock, today):
    with store.transaction(clock.now(), "webhook") as ledger:
        ledger.inbound.note_receipt("agentmail", "evt_1", b"one", "stopped: replied, 1 cancelled")
    with overheard(store) as asked:
        assert len(today("cancelling", 5)) == 1
    with store.database.connect() as db:
        if db.dialect.name == "postgresql":
            db.execute(text("SET LOCAL enable_seqscan = off"))
        plan = plan_of(db, *asked[-1])
    assert re.search("inbound_event_pk|sqlite_autoindex_inbound_event", plan)


@pytest.mark.parametrize(
    ("verb", "args", "index"),
    [
        ("stopped", ("now",), "enrollment_stopped"),
        ("held", (), "draft_review|draft_alike|draft_asleep"),
        ("scheduled", (), "draft_due"),
        ("next_to_leave", (8,), "draft_due"),
        ("uncertain", (5,), "draft_doubtful"),
        ("heard_at", (), "inbound_heard"),
        ("cancelling", (5,), "inbound_heard"),
        ("sent", ("now",), "draft_left_by_inbox_id"),
        ("failed", (), "draft_state_all"),
    ],
)
def test_each_question_is_answered_by_its_index(store, clock, verb, args, index):
    with overheard(store) as asked, store.reading(clock.now()) as ledger:
        getattr(ledger.today, verb)(*(clock.now() if each == "now" else each for each in args))
    said = next(each for each in reversed(asked) if each[0].startswith("SELECT"))
    with store.database.connect() as db:
        if db.dialect.name == "postgresql":
            db.execute(text("SET LOCAL enable_seqscan = off"))
        plan = plan_of(db, *said)
    # which of several indexes an empty PostgreSQL takes depends on what it remembers of tables that were full
    assert re.search(index, plan) or (store.database.dialect.name == "postgresql" and "Seq Scan" not in plan)
