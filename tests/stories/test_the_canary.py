"""Somebody made up is written to and answers: how fast is the brake, and what if it is slow, or silent?"""

import json
import time
from datetime import timedelta
from threading import Event, Thread

import pytest
from sqlalchemy import delete, func, select, update

from engine import canary
from engine.addresses import CANARY, CANARYS_READER
from engine.calls import Answer
from engine.canary import Flight, fly, judge
from engine.dispatch import dispatch_due
from engine.enroll import enroll, prepare
from engine.model import Pace, Prospect
from engine.reconcile import look
from engine.store.pages import Slice
from engine.store.tables import audit, delivery, draft, inbox, metadata, telling, webhook
from mailroom.hearsay import told
from mailroom.local import LocalMailbox
from mailroom.smtp_out import SmtpSettings, SmtpTransport
from tests.makers import SAM, enrolled, pending, people, sequence, signed
from tests.smtp_server import SmtpServer

LIMIT = timedelta(seconds=20)
IN_TIME = Flight(sent_after=0.5, cancelled_after=0.01, answered_after=0.02)
SLOW = Flight(sent_after=0.5, cancelled_after=0.01, answered_after=20.5)
SILENT = Flight(sent_after=0.5, why="our own door did not take her answer: it cannot be reached")
HOLLOW = Flight(
    sent_after=0.5, answered_after=0.02, hollow=True, why="her answer was taken, and nothing was cancelled"
)


@pytest.fixture
def working(store, clock, mailbox, pace):
    """Somebody sends what is due, as a worker does."""
    enough = Event()

    def work():
        while not enough.wait(0.02):
            list(dispatch_due(store=store, mailbox=mailbox, clock=clock, pace=pace))

    hand = Thread(target=work)
    hand.start()
    yield
    enough.set()
    hand.join()


@pytest.fixture
def flies(store, clock, door):
    """One flight, by the real door."""

    def once(knock=None, **more):
        def at_our_door(body):
            said = signed(body, clock.now(), delivery_id="knock_1")
            return Answer(door.post("/webhooks/agentmail", **said).status_code, "")

        usual = {"knock": knock or at_our_door, "read": told, "store": store, "clock": clock, "limit": LIMIT}
        return fly(**usual | more)

    return once


@pytest.fixture
def judged(store, clock):
    def one(*flights):
        return [judge(flight, limit=LIMIT, store=store, clock=clock) for flight in flights][-1]

    return one


def brake(store, clock):
    with store.reading(clock.now()) as ledger:
        found = ledger.watch.braked()
    return found and found.why


def rows(store):
    """How many there are of everything but what is meant to stay."""
    stays = {"instance", "pod", "sign", "inbox", "sequence_version"}
    with store.database.connect() as db:
        return {
            name: number
            for name, table in metadata.tables.items()
            if name not in stays and (number := db.scalar(select(func.count()).select_from(table)))
        }


def test_she_goes_all_the_way_and_is_measured(store, clock, mailbox, flies, working):
    flight = flies()

    assert flight.why is None
    assert flight.sent_after > 0
    assert 0 < flight.cancelled_after <= flight.seconds
    assert 0 < flight.answered_after <= flight.seconds < LIMIT.total_seconds()
    assert mailbox.sent == [], "no transport ever gets a letter of hers"


def test_nothing_of_her_stays(store, clock, flies, working):
    before = rows(store)
    for _ in range(3):
        flies()
    assert rows(store) == before == {}
    with store.database.connect() as db:
        assert set(db.scalars(select(inbox.c.id))) == {CANARY, CANARYS_READER}


def test_what_a_fall_left_behind_is_cleared_away_by_the_next(store, clock, flies, working):
    with store.transaction(clock.now(), "a test") as ledger:
        ledger.threads.open_inbox(CANARYS_READER)
        enroll(prepare(Prospect(email=CANARYS_READER), canary.sequence()), ledger=ledger)
    assert flies().why is None
    assert rows(store) == {}


def test_while_somebody_has_a_letter_of_hers_in_hand_she_waits(store, clock, flies):
    with store.transaction(clock.now(), "a test") as ledger:
        ledger.threads.open_inbox(CANARYS_READER)
        enroll(prepare(Prospect(email=CANARYS_READER), canary.sequence()), ledger=ledger)
    with store.database.begin() as db:
        db.execute(update(draft).values(state="releasing", gate_at=clock.now()))
    assert flies() is None


def test_nobody_sees_her_who_does_not_ask(store, clock, flies, working):
    """In the middle of a flight: not among people, drafts and letters, not counted, not told to anybody."""
    enrolled(store, clock.now())
    with store.transaction(clock.now(), "a test") as ledger:
        ledger.subscribers._db.execute(
            webhook.insert().values(
                id="ep_1",
                url="https://x.example/",
                event_types=[],
                secret="whsec_x",
                created_at=clock.now(),
                updated_at=clock.now(),
            )
        )
    seen = {}

    def look_around(_):
        with store.reading(clock.now()) as ledger:
            views = ledger.views
            seen["status"] = views.status(clock.now())
            seen["usual"] = [*views.people(), *views.drafts(ended=True), *views.messages()]
            seen["asked"] = [
                *views.people(canary=True),
                *views.drafts(ended=True, canary=True),
                *views.messages(canary=True),
            ]
            seen["inboxes"] = [each.id for each in ledger.inboxes.search([], Slice()).items]
            seen["count"] = ledger.inboxes.count().inboxes
        return Answer(204, "")

    flies(look_around)

    hers = [row for row in seen["asked"] if row["inbox_id"] == CANARY]
    assert len(hers) == 1 + 2 + 1
    assert all(row["inbox_id"] == SAM for row in seen["usual"])
    assert sum(seen["status"]["enrollments"].values()) == 1
    assert sum(seen["status"]["drafts"].values()) == len(pending(store, clock.now(), ended=True)) == 2
    assert (seen["inboxes"], seen["count"]) == ([SAM], 1)
    with store.database.connect() as db:
        assert not set(db.scalars(select(telling.c.inbox_id))) & {CANARY, CANARYS_READER}
        assert db.scalar(select(func.count()).select_from(delivery)) == db.scalar(
            select(func.count()).select_from(telling)
        )
        assert not [row for row in db.execute(select(audit)) if "canary" in str(row)]


def test_under_a_brake_she_answers_what_could_not_leave(store, clock, flies, working):
    """Else she could never take her own brake off again."""
    with store.transaction(clock.now(), "a human") as ledger:
        ledger.watch.brake("by hand: a quiet day")
    flight = flies()
    assert (flight.sent_after, flight.why) == (None, None)
    assert flight.seconds < LIMIT.total_seconds()
    assert brake(store, clock) == "by hand: a quiet day"


def test_when_whoever_sends_is_busy_she_answers_all_the_same(store, clock, flies):
    flight = flies(patience=0.2)
    assert (flight.sent_after, flight.why) == (None, None)


def test_whoever_wants_us_to_stop_is_not_kept_waiting(store, clock, flies):
    enough = Event()
    enough.set()
    began = time.monotonic()
    assert flies(enough=enough) is None
    assert time.monotonic() - began < 10
    assert rows(store) == {}


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Answer(None, "it cannot be reached"), "it cannot be reached"),
        (Answer(401, "BadSignature"), "answered 401"),
        (Answer(503, ""), "answered 503"),
    ],
)
def test_a_door_that_does_not_take_her_answer_is_told(flies, working, answer, words):
    flight = flies(lambda _: answer)
    assert words in flight.why
    assert flight.seconds is None


def test_a_yes_that_cancelled_nothing_is_the_worst(flies, working):
    flight = flies(lambda _: Answer(204, ""))
    assert flight.hollow
    assert "nothing was cancelled" in flight.why


# --- what comes of it ---


def test_in_time_is_well(store, clock, judged):
    assert judged(IN_TIME, IN_TIME) is None
    assert brake(store, clock) is None
    with store.reading(clock.now()) as ledger:
        says = ledger.watch.last(canary.SIGN).says
    assert (says["in_time"], says["seconds"], says["flights"], says["failures"]) == (True, 0.02, 2, 0)
    assert says["figures"] == [0.02, 0.02]
    assert json.dumps(says)


@pytest.mark.parametrize("flights", [(SLOW,), (HOLLOW,), (SILENT, SILENT), (IN_TIME, SILENT, SILENT)])
def test_a_slow_or_silent_brake_holds_everything(store, clock, mailbox, pace, judged, flights):
    enrolled(store, clock.now())
    why = judged(*flights)

    assert why.startswith("canary: ")
    assert brake(store, clock) == why
    assert list(dispatch_due(store=store, mailbox=mailbox, clock=clock, pace=pace)) == []
    assert mailbox.sent == []


@pytest.mark.parametrize("flights", [(SILENT,), (SILENT, IN_TIME, SILENT)])
def test_once_may_be_an_accident(store, clock, judged, flights):
    assert judged(*flights) is None
    assert brake(store, clock) is None


def test_in_time_again_she_takes_off_her_own_brake_and_nobody_elses(store, clock, judged):
    judged(SLOW)
    assert brake(store, clock)
    judged(IN_TIME)
    assert brake(store, clock) is None

    with store.transaction(clock.now(), "a human") as ledger:
        ledger.watch.brake("by hand: canary: I do not like the look of it")
    judged(SLOW, IN_TIME)
    assert brake(store, clock) == "by hand: canary: I do not like the look of it"


def test_only_so_many_figures_are_kept(store, clock, judged):
    judged(*[IN_TIME] * 60)
    with store.reading(clock.now()) as ledger:
        says = ledger.watch.last(canary.SIGN).says
    assert (len(says["figures"]), says["flights"]) == (50, 60)


# --- she writes to nobody ---


def test_by_no_way_does_a_letter_of_hers_leave_the_house(store, clock, pace):
    """Her reader is gone, and so it would be for somebody outside; or somebody writes in her name."""
    mine = sequence(**{"from": CANARY})
    enrolled(store, clock.now(), "ida@nordic.example", mine)
    enrolled(store, clock.now(), CANARYS_READER, mine)
    with store.database.begin() as db:
        db.execute(delete(inbox).where(inbox.c.id == CANARYS_READER))
    with SmtpServer() as server:
        settings = SmtpSettings("127.0.0.1", server.port, tls="none", timeout=5, answer_timeout=5)
        mailbox = LocalMailbox(SmtpTransport(settings, clock))
        list(dispatch_due(store=store, mailbox=mailbox, clock=clock, pace=pace))
        assert server.accepted == []

    drafts = [row for row in _hers(store, clock) if row["state"] != "failed"]
    assert drafts == []
    assert all("never leaves the house" in row["reason"] for row in _hers(store, clock))


def _hers(store, clock):
    with store.reading(clock.now()) as ledger:
        return list(ledger.views.drafts(canary=True))


def test_she_is_no_drift(store, clock, mailbox, flies, working):
    found = []

    def look_for_drift(_):
        found.extend(look(store=store, mailbox=mailbox, clock=clock, pace=Pace()))
        return Answer(204, "")

    flies(look_for_drift)
    assert found == []


def test_nobody_is_limited_for_her(store, clock, flies, working):
    """One letter a day from each inbox, and hers do not count."""
    for _ in range(3):
        flies()
    enrolled(store, clock.now(), wants=sequence(limits={"per_mailbox": "1/day"}))
    assert people(store, clock.now())[0]["next_send_at"] == clock.now()


def test_she_takes_nobodys_turn_where_so_many_letters_a_minute_leave(store, clock, mailbox):
    one_a_minute = Pace(rate=1, gate_deadline=timedelta(seconds=30))
    with store.transaction(clock.now(), "a test") as ledger:
        ledger.threads.open_inbox(CANARYS_READER)
        enroll(prepare(Prospect(email=CANARYS_READER), canary.sequence()), ledger=ledger)
    list(dispatch_due(store=store, mailbox=mailbox, clock=clock, pace=one_a_minute))
    enrolled(store, clock.now())
    list(dispatch_due(store=store, mailbox=mailbox, clock=clock, pace=one_a_minute))
    assert [letter.to for letter in mailbox.sent] == ["ida@nordic.example"]
