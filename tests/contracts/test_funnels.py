"""How a sequence fares is counted as a patient person would count it, on every database."""

from datetime import timedelta

from sqlalchemy import event as listened

from engine.brake import OF_A_SEQUENCE, stop, stop_sequence, suppress
from engine.canary import sequence as hers
from engine.dispatch import dispatch_due
from engine.enroll import enroll_all, prepare
from engine.events import AutoReply, Bounce, Complaint
from engine.model import Prospect
from engine.react import react
from engine.resume import resume
from engine.states import StopReason
from engine.store import Reach
from engine.store.funnels import Stage
from tests.makers import IDA, SAM, enrolled, people, reply, sequence

OLA, PER, EVA = "ola@nordic.example", "per@quarry.example", "eva@harbour.example"
TO_THE_SECOND, TO_THE_THIRD = timedelta(days=3), timedelta(days=5)
NAME = "Quick question"


def _enter(store, clock, *emails, wants=None):
    with store.transaction(clock.now(), "a test") as ledger:
        enroll_all(
            [prepare(Prospect(email=each, variables={}), wants or sequence()) for each in emails],
            ledger=ledger,
        )


def _send(store, mailbox, clock, pace):
    return list(dispatch_due(store=store, mailbox=mailbox, clock=clock, pace=pace))


def _thread(store, clock, email):
    return next(one["thread_id"] for one in people(store, clock.now()) if one["email"] == email)


def _answer(store, clock, pace, email):
    event = reply(
        _thread(store, clock, email), id=f"evt_{email}", sender=email, message_id=f"<answer-of-{email}>"
    )
    return react(event, b"{}", store=store, clock=clock, pace=pace)


def _stages(store, clock, name=NAME) -> dict[str, Stage]:
    with store.reading(clock.now()) as ledger:
        return {each.step: each for each in ledger.funnels.of(name)}


def _figures(stage):
    return {
        name: number
        for name in ("planned", "sent", "replied", "bounced", "unsubscribed", "complained")
        if (number := getattr(stage, name))
    }


def test_each_step_tells_how_many_wait_and_how_many_left(store, clock, mailbox, pace):
    _enter(store, clock, IDA, OLA, PER)
    _send(store, mailbox, clock, pace)

    stages = _stages(store, clock)

    assert _figures(stages["step-1"]) == {"sent": 3}
    assert _figures(stages["step-2"]) == {"planned": 3}


def test_an_answer_is_put_down_to_the_last_letter_before_it(store, clock, mailbox, pace):
    _enter(store, clock, IDA, OLA, PER, EVA)
    _send(store, mailbox, clock, pace)
    _answer(store, clock, pace, IDA)
    clock.pass_(TO_THE_SECOND)
    _send(store, mailbox, clock, pace)
    _answer(store, clock, pace, OLA)

    stages = _stages(store, clock)

    assert _figures(stages["step-1"]) == {"sent": 4, "replied": 1}
    assert _figures(stages["step-2"]) == {"sent": 3, "replied": 1}
    assert _figures(stages["step-3"]) == {"planned": 2}


def test_who_answers_when_everything_was_said_answers_the_last_letter(store, clock, mailbox, pace):
    _enter(store, clock, IDA)
    for wait in (TO_THE_SECOND, TO_THE_THIRD, TO_THE_THIRD):
        _send(store, mailbox, clock, pace)
        clock.pass_(wait)
    _answer(store, clock, pace, IDA)

    stages = _stages(store, clock)

    assert {step: _figures(stage) for step, stage in stages.items()} == {
        "step-1": {"sent": 1},
        "step-2": {"sent": 1},
        "step-3": {"sent": 1, "replied": 1},
    }


def test_a_colleague_who_was_stopped_along_has_not_answered(store, clock, mailbox, pace):
    _enter(store, clock, IDA, OLA, wants=sequence(stop={"reply": "company"}))
    _send(store, mailbox, clock, pace)
    _answer(store, clock, pace, IDA)

    assert {one["email"]: one["stop_reason"] for one in people(store, clock.now())} == {
        IDA: "replied",
        OLA: "replied",
    }
    assert _figures(_stages(store, clock)["step-1"]) == {"sent": 2, "replied": 1}


def test_what_came_back_and_what_was_called_spam_stand_apart(store, clock, mailbox, pace):
    _enter(store, clock, IDA, PER, wants=sequence(pause_if={"min_sent": 1000}))
    _send(store, mailbox, clock, pace)
    for kind, email, more in (
        (Bounce, IDA, {"permanent": True}),
        (Complaint, PER, {}),
    ):
        event = kind(
            id=f"evt_{email}",
            inbox_id=SAM,
            thread_id=_thread(store, clock, email),
            recipients=(email,),
            **more,
        )
        react(event, b"{}", store=store, clock=clock, pace=pace)

    assert _figures(_stages(store, clock)["step-1"]) == {"sent": 2, "bounced": 1, "complained": 1}


def test_who_wants_no_more_is_counted_at_the_letter_that_they_had_last(store, clock, mailbox, pace):
    _enter(store, clock, IDA)
    _send(store, mailbox, clock, pace)
    with store.transaction(clock.now(), "a test") as ledger:
        ledger.call_back(Reach(threads=(), contacts=frozenset({IDA})), StopReason.UNSUBSCRIBED)

    stages = _stages(store, clock)

    assert _figures(stages["step-1"]) == {"sent": 1, "unsubscribed": 1}
    assert _figures(stages["step-2"]) == {}


def test_an_absence_a_stop_by_hand_and_a_suppression_are_no_answers(store, clock, mailbox, pace):
    _enter(store, clock, IDA, PER, EVA)
    _send(store, mailbox, clock, pace)
    stop(PER, by="a test", store=store, clock=clock)
    suppress(EVA, why="asked by phone", by="a test", store=store, clock=clock)
    away = AutoReply(
        id="evt_away",
        inbox_id=SAM,
        thread_id=_thread(store, clock, IDA),
        message_id="<away@nordic.example>",
        sender=IDA,
    )
    react(away, b"{}", store=store, clock=clock, pace=pace)

    assert _figures(_stages(store, clock)["step-1"]) == {"sent": 3}


def test_each_way_to_say_it_has_numbers_of_its_own(store, clock, mailbox, pace):
    wants = sequence(
        {
            "id": "hello",
            "variants": [
                {"id": "short", "subject": "Hi", "body": "Hi"},
                {"id": "long", "subject": "Hello", "body": "Hello there"},
            ],
        },
        {"id": "bump", "after": "3d", "body": "Did you see it?"},
    )
    _enter(store, clock, *(f"person{number}@company{number}.example" for number in range(30)), wants=wants)
    _send(store, mailbox, clock, pace)
    _answer(store, clock, pace, "person7@company7.example")

    with store.reading(clock.now()) as ledger:
        stages = ledger.funnels.of(NAME)
    hello = {each.variant: each for each in stages if each.step == "hello"}

    assert set(hello) == {"short", "long"}
    assert sum(each.sent for each in hello.values()) == 30
    assert sum(each.replied for each in hello.values()) == 1
    assert all(each.sent for each in hello.values())


def test_another_sequence_has_its_own_numbers_and_an_unknown_one_none(store, clock, mailbox, pace):
    _enter(store, clock, IDA)
    _enter(store, clock, PER, wants=sequence(name="Another"))
    _send(store, mailbox, clock, pace)

    assert _figures(_stages(store, clock, "Another")["step-1"]) == {"sent": 1}
    assert _stages(store, clock, "Nobody's") == {}


def test_people_are_counted_by_version_and_by_state(store, clock, mailbox, pace):
    second = sequence({"subject": "Quick question", "body": "Hello you"})
    _enter(store, clock, IDA, OLA)
    clock.pass_(timedelta(hours=1))
    _enter(store, clock, PER, wants=second)
    _send(store, mailbox, clock, pace)
    _answer(store, clock, pace, IDA)

    with store.reading(clock.now()) as ledger:
        crowds = {(each.version, each.state): each.number for each in ledger.funnels.people()}
        kept = ledger.funnels.versions(NAME)

    assert crowds == {
        (sequence().version, "active"): 1,
        (sequence().version, "stopped"): 1,
        (second.version, "finished"): 1,
    }
    assert [each.version for each in kept] == [second.version, sequence().version]
    assert kept[0].since - kept[1].since == timedelta(hours=1)


def test_who_is_paused_along_with_everybody_stands_apart(store, clock, mailbox, pace):
    _enter(store, clock, IDA, OLA)
    with store.transaction(clock.now(), "a test") as ledger:
        ledger.pause(Reach(threads=(), contacts=frozenset({IDA})), "she asked for time", but_not=set())
    stop_sequence(NAME, by="a test", store=store, clock=clock, gate_deadline=timedelta(0))

    with store.reading(clock.now()) as ledger:
        crowds = [(each.state, each.together, each.number) for each in ledger.funnels.people(OF_A_SEQUENCE)]

    assert crowds == [("paused", False, 1), ("paused", True, 1)]


def test_the_canary_is_nobody(store, clock):
    with store.transaction(clock.now(), "a test") as ledger:
        ledger.threads.open_inbox("canary-reads@relent.invalid")
    enrolled(store, clock.now(), "canary-reads@relent.invalid", hers())

    with store.reading(clock.now()) as ledger:
        assert ledger.funnels.people() == []


def test_somebody_who_came_back_is_counted_on(store, clock, mailbox, pace):
    """Paused and resumed: their letters are theirs as before."""
    _enter(store, clock, IDA)
    _send(store, mailbox, clock, pace)
    with store.transaction(clock.now(), "a test") as ledger:
        ledger.pause(Reach(threads=(), contacts=frozenset({IDA})), "a look", but_not=set())
    resume(IDA, by="a test", store=store, clock=clock)
    clock.pass_(TO_THE_SECOND)
    _send(store, mailbox, clock, pace)
    _answer(store, clock, pace, IDA)

    assert _figures(_stages(store, clock)["step-2"]) == {"sent": 1, "replied": 1}


def test_a_funnel_is_one_question_however_many_people_there_are(store, clock, mailbox, pace):
    _enter(store, clock, IDA, OLA, PER, EVA)
    _send(store, mailbox, clock, pace)
    asked: list[str] = []
    with store.reading(clock.now()) as ledger:
        listened.listen(
            store.database, "before_cursor_execute", lambda *told: asked.append(told[2]), named=False
        )
        ledger.funnels.of(NAME)

    assert len([each for each in asked if each.lstrip().startswith("SELECT")]) == 1
