"""Database, drafts and labels agree; where they do not, that is found, told and put right, and nothing is ever sent for it."""

import logging
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import delete, insert, select, update
from sqlalchemy.exc import OperationalError

from engine import reconcile
from engine.dispatch import dispatch_due
from engine.errors import NotFound
from engine.ids import follow_up_label
from engine.model import Message
from engine.react import Ignored, react
from engine.reconcile import look, sweep
from engine.store.drift import Drift
from engine.store.tables import draft, enrollment, inbound_event, message, thread_label
from tests.doubles import MONDAY
from tests.makers import IDA, SAM, enrolled, label_a_follow_up, open_thread, pending, people, received, reply

OLA = "ola@fjord.example"


@pytest.fixture
def tools(store, clock, mailbox, pace):
    return {"store": store, "mailbox": mailbox, "clock": clock, "pace": pace}


@pytest.fixture
def change(store):
    """By a hand that knows no rules."""

    def done(statement):
        with store.database.begin() as db:
            db.execute(statement)

    return done


def found(tools):
    return {(each.kind, each.name) for each in look(**tools)}


def labels(store):
    with store.database.connect() as db:
        return {(row.thread_id, row.label) for row in db.execute(select(thread_label))}


def sign(store, clock, name=reconcile.SIGN):
    with store.reading(clock.now()) as ledger:
        one = ledger.watch.last(name)
    return one and one.says


def only(store, clock):
    [one] = pending(store, clock.now())
    return one


def test_what_the_stories_leave_behind_is_no_drift(store, clock, mailbox, pace, tools):
    """Somebody waits, somebody answered, somebody is held, somebody is through, and somebody is paused."""
    for name in ("a", "b", "c", "d", "e"):
        enrolled(store, clock.now(), f"{name}@nordic.example")
    by = {each["email"][0]: each for each in people(store, clock.now())}
    list(dispatch_due(store=store, mailbox=mailbox, clock=clock, pace=pace))
    for who, event in {
        "b": reply(by["b"]["thread_id"]),
        "c": reply(by["c"]["thread_id"], verified=False),
    }.items():
        said = replace(event, id=f"evt_{who}", message_id=f"<{who}@x>", sender=f"{who}@nordic.example")
        react(said, b"", store=store, clock=clock, pace=pace)
    for _ in range(3):
        clock.pass_(timedelta(days=5))
        list(dispatch_due(store=store, mailbox=mailbox, clock=clock, pace=pace))

    assert found(tools) == set()
    assert sweep(**tools).drift == 0


# --- what goes wrong on the way ---


def _stale(store, change):
    """Two labels too many."""
    for name in ("drf_0", "drf_1"):
        thread_id = open_thread(store, MONDAY)
        change(insert(thread_label).values(thread_id=thread_id, label=follow_up_label(name)))


def test_what_cannot_be_put_right_keeps_nothing_else_from_it(
    store, clock, tools, change, monkeypatch, caplog
):
    _stale(store, change)
    take_off = reconcile._REPAIRS[Drift.STALE_LABEL]

    def stumbles(found, tools):
        if found.name == "drf_0":
            raise NotFound("nobody of that name")
        return take_off(found, tools)

    monkeypatch.setitem(reconcile._REPAIRS, Drift.STALE_LABEL, stumbles)
    for _ in range(2):
        current = sweep(**tools)
        assert current.over
    assert {label for _, label in labels(store)} == {follow_up_label("drf_0")}
    assert (current.drift, sign(store, clock)["stale_label"]) == (1, 1)
    assert "stays as it is" in caplog.text


def test_who_stumbles_on_one_walk_makes_the_others(store, clock, tools, change, monkeypatch, caplog):
    _stale(store, change)

    def stumbles(after, tools):
        raise ValueError("what is that?")

    monkeypatch.setitem(reconcile._WALKS, "unmatched", stumbles)
    current = sweep(**tools)
    assert current.over
    assert (current.drift, labels(store)) == (2, set())
    assert "of unmatched no more is looked at" in caplog.text


def test_while_the_database_is_away_nobody_says_that_nothing_drifts(store, clock, tools, monkeypatch):
    def is_away(after, tools):
        raise OperationalError("", {}, Exception("gone"))

    monkeypatch.setitem(reconcile._WALKS, "labels", is_away)
    with pytest.raises(OperationalError):
        sweep(**tools)
    assert sign(store, clock) is None


# --- labels ---


def test_a_label_of_a_draft_that_has_had_its_end_goes(store, clock, tools, change):
    enrolled(store, clock.now())
    gone = only(store, clock)
    change(update(draft).values(state="cancelled"))
    change(update(enrollment).values(state="stopped", reason="replied"))

    assert found(tools) == {(Drift.STALE_LABEL, gone["draft_id"])}
    assert sweep(**tools).repaired["stale_label"] == 1
    assert labels(store) == set()
    assert found(tools) == set()


def test_a_label_that_names_nothing_or_what_is_elsewhere_goes_and_others_stay(store, clock, tools, change):
    enrolled(store, clock.now())
    one = only(store, clock)
    elsewhere = open_thread(store, clock.now(), "kim@acme.example")
    nearby = open_thread(store, clock.now())
    nothing = "drf_00000000000000000000000z"
    kept = {
        (one["thread_id"], follow_up_label(one["draft_id"])),
        (nearby, follow_up_label(one["draft_id"])),  # another conversation of the same inbox
        (nearby, "follow-up: next week"),
        (nearby, "vip"),
    }
    wrong = {(elsewhere, follow_up_label(one["draft_id"])), (nearby, follow_up_label(nothing))}
    for thread_id, label in (kept - labels(store)) | wrong:
        change(insert(thread_label).values(thread_id=thread_id, label=label))

    assert found(tools) == {(Drift.STALE_LABEL, one["draft_id"]), (Drift.STALE_LABEL, nothing)}
    sweep(**tools)
    assert labels(store) == kept


def test_a_follow_up_whose_label_is_missing_gets_it_back(store, clock, tools, change):
    enrolled(store, clock.now())
    before = labels(store)
    change(delete(thread_label))

    assert found(tools) == {(Drift.MISSING_LABEL, only(store, clock)["draft_id"])}
    sweep(**tools)
    assert labels(store) == before


def test_what_somebody_wrote_by_hand_needs_no_label(store, clock, tools, change):
    label_a_follow_up(store, clock.now(), open_thread(store, clock.now()), clock.now())
    change(delete(thread_label))
    assert found(tools) == set()


# --- lives and letters ---


@pytest.mark.parametrize(("state", "reason"), [("stopped", "replied"), ("finished", None)])
@pytest.mark.parametrize("standing", ["held", "scheduled", "claimed", "failed"])
def test_a_letter_to_somebody_whose_sequence_is_over_is_cancelled(
    store, clock, tools, change, state, reason, standing
):
    enrolled(store, clock.now())
    leak = only(store, clock)["draft_id"]
    change(update(enrollment).values(state=state, reason=reason))
    change(update(draft).values(state=standing, lease_until=clock.now() + timedelta(minutes=1)))

    assert found(tools) == {(Drift.LEAK, leak)}
    sweep(**tools)

    [after] = pending(store, clock.now(), ended=True)
    assert (after["state"], after["reason"]) == ("cancelled", reason or state)
    assert labels(store) == set()


@pytest.mark.parametrize("standing", ["releasing", "uncertain"])
def test_what_may_have_left_is_nobodys_to_cancel(store, clock, tools, change, standing):
    enrolled(store, clock.now())
    change(update(enrollment).values(state="stopped", reason="replied"))
    change(update(draft).values(state=standing, gate_at=clock.now(), recalled="replied"))
    assert found(tools) == set()


def test_whoever_was_lost_is_paused_and_a_human_says_how_it_goes_on(store, clock, tools, change):
    lost = enrolled(store, clock.now())
    enrolled(store, clock.now(), OLA)
    change(delete(thread_label))
    change(delete(draft).where(draft.c.enrollment_id == lost))

    assert (Drift.LOST, lost) in found(tools)
    sweep(**tools)

    ida, ola = people(store, clock.now())
    assert ida["state"] == "paused"
    assert "relent resume" in ida["reason"]
    assert ola["state"] == "active"
    assert found(tools) == set()


def test_whoever_only_sleeps_is_not_lost(store, clock, tools, change):
    enrolled(store, clock.now())
    change(delete(thread_label))
    change(delete(draft))
    change(update(enrollment).values(wake_at=clock.now() + timedelta(days=1)))
    assert found(tools) == set()


def test_a_claim_that_nobody_freed_is_freed_and_a_release_is_doubted(store, clock, tools, change):
    enrolled(store, clock.now())
    enrolled(store, clock.now(), OLA)
    ida, ola = (each["draft_id"] for each in pending(store, clock.now()))
    change(
        update(draft)
        .where(draft.c.id == ida)
        .values(state="claimed", claim_token="t", lease_until=clock.now())
    )
    change(
        update(draft).where(draft.c.id == ola).values(state="releasing", claim_token="t", gate_at=clock.now())
    )

    clock.pass_(timedelta(seconds=59))
    assert found(tools) == set()
    clock.pass_(timedelta(minutes=11))
    assert found(tools) == {(Drift.STUCK, ida), (Drift.STUCK, ola)}

    assert sweep(**tools).repaired["stuck"] == 2
    assert {each["draft_id"]: each["state"] for each in pending(store, clock.now())} == {
        ida: "scheduled",
        ola: "uncertain",
    }


# --- answers ---


def test_an_answer_that_is_kept_and_that_nobody_heard_stops_what_is_pending(
    store, clock, mailbox, pace, tools
):
    enrolled(store, clock.now())
    list(dispatch_due(store=store, mailbox=mailbox, clock=clock, pace=pace))
    bump = only(store, clock)
    letter = Message(
        message_id="<quiet@nordic.example>",
        inbox_id=SAM,
        thread_id=bump["thread_id"],
        direction="received",
        sender=IDA,
        to=(SAM,),
        subject="Re: Hi",
        text="Yes",
        timestamp=clock.now(),
    )
    with store.transaction(clock.now(), "an importer") as ledger:
        ledger.threads.keep(letter)

    assert found(tools) == {(Drift.UNHEARD, bump["draft_id"])}
    assert sweep(**tools).repaired["unheard"] == 1
    assert pending(store, clock.now()) == []
    assert people(store, clock.now())[0]["stop_reason"] == "replied"


def test_an_event_about_nobody_we_knew_is_heard_when_we_know_them(store, clock, mailbox, pace, tools, change):
    """The conversation came later than what was said of it: out of a backup, or from another place."""
    enrolled(store, clock.now())
    thread_id = only(store, clock)["thread_id"]
    stranger = "thr_0000000000000000000000zz"
    import json

    raw = json.dumps(received(stranger)).encode()
    event = mailbox.read(raw, "msg_1")
    nobody = replace(event, sender="somebody@else.example")
    raw = raw.replace(IDA.encode(), b"somebody@else.example")
    assert isinstance(react(nobody, raw, store=store, clock=clock, pace=pace), Ignored)
    assert found(tools) == set()

    change(update(inbound_event).values(raw=raw.replace(stranger.encode(), thread_id.encode())))
    assert found(tools) == {(Drift.UNMATCHED, "evt_1")}
    assert sweep(**tools).repaired["unmatched"] == 1

    assert pending(store, clock.now()) == []
    assert people(store, clock.now())[0]["stop_reason"] == "replied"
    with store.database.connect() as db:
        assert db.scalars(select(inbound_event.c.verdict)).all() == ["stopped: replied, 1 cancelled"]
        assert db.scalars(select(message.c.direction)).all() == ["received"]


def test_whoever_is_enrolled_after_they_wrote_is_written_to(store, clock, pace, tools):
    """By whom it is from nobody is found later: an answer stops what runs at that moment."""
    react(reply("thr_unknown"), b'{"no": "event"}', store=store, clock=clock, pace=pace)
    enrolled(store, clock.now())
    assert found(tools) == set()


def test_of_what_was_said_long_ago_nothing_is_looked_for(store, clock, pace, tools, change):
    import json

    enrolled(store, clock.now())
    thread_id = only(store, clock)["thread_id"]
    react(reply("thr_unknown", sender="x@else.example"), b"{}", store=store, clock=clock, pace=pace)
    change(update(inbound_event).values(raw=json.dumps(received(thread_id)).encode()))
    assert found(tools) != set()
    clock.pass_(timedelta(days=8))
    assert found(tools) == set()


# --- how it is told ---


def test_it_is_counted_named_and_logged_in_one_line(store, clock, tools, change, caplog):
    for number in range(7):
        enrolled(store, clock.now(), f"p{number}@nordic.example")
    change(delete(thread_label))
    with caplog.at_level(logging.WARNING, "relent.reconcile"):
        sweep(**tools)
        clock.pass_(timedelta(minutes=5))
        sweep(**tools)

    [line] = caplog.messages
    assert line.startswith("drift: 7 missing_label (drf_")
    assert line.endswith("…); repaired 7")
    says = sign(store, clock)
    assert says["found"] == dict.fromkeys(Drift, 0)
    assert says["ever"]["missing_label"] == 7
    assert {kind: says[kind] for kind in Drift} == dict.fromkeys(Drift, 0)
    assert says["ended_at"]
    assert sign(store, clock, "sweep") is None


def test_a_round_is_walked_in_goes_and_each_goes_on_where_the_last_has_ended(
    store, clock, tools, change, monkeypatch
):
    for number in range(9):
        enrolled(store, clock.now(), f"p{number}@nordic.example")
    change(delete(thread_label))
    monkeypatch.setattr(reconcile, "_AT_ONCE", 2)
    monkeypatch.setattr(reconcile, "_IN_ONE_GO", 3)

    goes = [sweep(**tools)]
    while not goes[-1].over:
        assert len(goes) < 20
        assert sign(store, clock, "sweep")["marks"]
        goes.append(sweep(**tools))

    assert len(goes) > 4
    assert goes[-1].found["missing_label"] == goes[-1].repaired["missing_label"] == 9
    assert sign(store, clock)["found"]["missing_label"] == 9
    assert sweep(**tools).drift == 0


def test_to_look_touches_nothing(store, clock, tools, change):
    enrolled(store, clock.now())
    change(delete(thread_label))
    assert found(tools) == found(tools) != set()
    assert labels(store) == set()
    assert sign(store, clock) is None
