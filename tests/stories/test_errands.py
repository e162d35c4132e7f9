"""What a sequence does that is no letter: done once, or known to be undone; and never at a letter's expense."""

import json
import threading
import time
from dataclasses import replace
from datetime import timedelta

import pytest
import typer
from typer.testing import CliRunner

from engine.brake import suppress
from engine.calls import WAITS, Answer, Rests
from engine.dispatch import dispatch_due
from engine.errands import LeftToAHuman, NotOurs, Ran, TriesAgain, done, retry, run_next
from engine.errors import ConfigError, NotFound, Refused
from engine.label import label_reply
from engine.react import react
from engine.resume import resume
from engine.wake import wake_due
from relent.assemble import House
from relent.cli_errands import register
from relent.config import Config, load_config
from relent.first_day import new_secret
from relent.worker import Worker, WorkerThread
from tests.makers import IDA, SAM, SECRET, enrolled, pending, people, reply, sequence
from tests.webhooks.test_sender import Endpoint, headers_of, says, stays_silent

KIM = "kim@nordic.example"
CRM = "https://crm.example/hook?key=secret-token"
DAY = timedelta(days=1)
YES, NO, SILENCE = Answer(200, ""), Answer(500, "the queue is full"), Answer(None, "no answer within 15 s")

HELLO = {"id": "hello", "subject": "Hi", "body": "Hello"}
TELL = {"id": "tell", "webhook": CRM, "with": {"company": "{{ company }}"}}
BUMP = {"id": "bump", "after": "3d", "body": "Did you see it?"}


class Others:
    """The other side of every webhook: remembers what it was told, and answers as a test says."""

    def __init__(self, *answers: Answer) -> None:
        self.told = []
        self.answers = list(answers)

    def __call__(self, call, now):
        self.told.append(call)
        return self.answers.pop(0) if self.answers else YES


@pytest.fixture
def run(store, clock):
    """Everything that is due, by one pair of hands."""
    rests = Rests()

    def run(others=None, pools=None):
        outcomes = []
        while more := run_next(
            store=store, clock=clock, post=others or Others(), pools=pools or {}, rests=rests
        ):
            outcomes += more
        return outcomes

    return run


@pytest.fixture
def send_all(store, clock, mailbox, pace):
    return lambda: list(dispatch_due(store=store, mailbox=mailbox, clock=clock, pace=pace))


@pytest.fixture
def calls(store, clock):
    """A person whose first letter has left, and whose sequence has told the world so. Returns their enrollment's id."""

    def calls(email=IDA, *steps, **above):
        wants = sequence(*(steps or (HELLO, TELL, BUMP)), **above)
        return enrolled(store, clock.now(), email, wants, company="Nordic")

    return calls


def errands(store, clock, *, ended=False):
    with store.reading(clock.now()) as ledger:
        return list(ledger.past.errands(ended=ended))


def tasks(store, clock, *, ended=False):
    with store.reading(clock.now()) as ledger:
        return list(ledger.past.tasks(ended=ended))


def standing(store, clock):
    return {
        (each["email"], each["sequence"]): each["stop_reason"] or each["state"]
        for each in people(store, clock.now())
    }


# --- webhooks ---


def test_a_step_tells_the_world_once_and_the_letters_go_on(store, clock, calls, send_all, run):
    calls()
    assert errands(store, clock) == []
    send_all()
    clock.pass_(timedelta(seconds=2))
    others = Others()

    [outcome] = run(others)

    assert isinstance(outcome, Ran)
    [call] = others.told
    assert call.url == CRM
    assert json.loads(call.body) == {
        "type": "sequence.step",
        "id": call.id,
        "sequence": "Quick question",
        "step": "tell",
        "email": IDA,
        "at": "2026-03-02T09:00:00.000Z",
        "data": {"company": "Nordic"},
    }
    clock.pass_(DAY)
    assert run(others) == []
    assert errands(store, clock) == []
    [told] = errands(store, clock, ended=True)
    assert (told["state"], told["outcome"], told["tries"]) == ("over", "answered 200", 1)
    assert [draft["step"] for draft in pending(store, clock.now())] == ["bump"]


def test_a_webhook_waits_for_its_hour_and_for_the_letter_before_it(store, clock, calls, send_all, run):
    calls(IDA, HELLO, TELL | {"after": "2d"}, BUMP)
    send_all()
    others = Others()
    wake_due(store=store, clock=clock)
    assert run(others) == []
    clock.pass_(2 * DAY)

    assert wake_due(store=store, clock=clock) == 1
    run(others)

    assert len(others.told) == 1
    assert [draft["step"] for draft in pending(store, clock.now())] == ["bump"]


def test_whoever_does_not_take_it_is_told_again_later_and_later_and_then_a_human_is(
    store, clock, calls, send_all, run
):
    calls()
    send_all()
    others = Others(*[NO] * 20)

    for wait in WAITS:
        [outcome] = run(others)
        assert isinstance(outcome, TriesAgain)
        assert wait <= outcome.at - clock.now() <= wait * 1.1
        clock.pass_(outcome.at - clock.now() - timedelta(milliseconds=5))
        assert run(others) == []
        clock.pass_(timedelta(milliseconds=10))
    [last] = run(others)

    assert isinstance(last, LeftToAHuman)
    assert len(others.told) == 8
    assert len({(call.id, call.body) for call in others.told}) == 1
    clock.pass_(365 * DAY)
    assert run(others) == []
    [failed] = errands(store, clock)
    assert (failed["state"], failed["outcome"]) == ("failed", "failed: answered 500: the queue is full")
    assert len(pending(store, clock.now())) == 1


def test_two_who_failed_together_do_not_come_back_together(store, clock, calls, send_all, run):
    for number in range(5):
        calls(f"ida{number}@nordic.example")
    send_all()
    hours = {outcome.at for outcome in run(Others(*[NO] * 5))}
    assert len(hours) == 5


def test_a_human_can_have_it_called_again(store, clock, calls, send_all, run):
    calls()
    send_all()
    with store.transaction(clock.now(), "a test") as ledger:
        [due] = ledger.past.due_errands(9)
        ledger.past.leave_errand(due, "failed: answered 500", tries=8)
    others = Others()

    retry(due.id, by="a test", store=store, clock=clock)
    run(others)

    assert [call.id for call in others.told] == [due.id]
    with pytest.raises(Refused, match="has not failed: it is over, answered 200"):
        retry(due.id, by="a test", store=store, clock=clock)


def test_what_tries_again_by_itself_is_left_alone(store, clock, calls, send_all, run):
    """It may be in somebody's hands at this moment."""
    calls()
    send_all()
    [outcome] = run(Others(NO))
    with pytest.raises(Refused, match="by itself"):
        retry(outcome.errand_id, by="a test", store=store, clock=clock)


def test_what_is_called_off_is_not_called(store, clock, calls, send_all, run):
    calls()
    send_all()
    [waiting] = errands(store, clock)
    finished = done(waiting["errand_id"], by="a test", store=store, clock=clock)
    others = Others()
    assert finished.what == "called off"
    assert run(others) == []
    assert others.told == []


def test_what_is_called_off_in_mid_call_stays_so(store, clock, calls, send_all, run):
    calls()
    send_all()

    def meanwhile(call, now):
        done(call.id, by="a test", store=store, clock=clock)
        return NO

    [outcome] = run(meanwhile)
    assert isinstance(outcome, NotOurs)
    assert errands(store, clock) == []


def test_an_answer_does_not_unsay_what_was_already_due(store, clock, calls, send_all, run, pace):
    """That the letter left stays true; and what comes after the answer is not done."""
    enrollment_id = calls(IDA, HELLO, TELL, {"id": "later", "after": "1d", "webhook": CRM}, BUMP)
    send_all()
    with store.reading(clock.now()) as ledger:
        thread = ledger.enrollments.get(enrollment_id).thread_id
    react(reply(thread), b"", store=store, clock=clock, pace=pace)
    others = Others()
    clock.pass_(9 * DAY)
    wake_due(store=store, clock=clock)

    run(others)

    assert [json.loads(call.body)["step"] for call in others.told] == ["tell"]


def test_many_hands_never_post_the_same_one_at_once(store, clock, calls, send_all):
    for number in range(12):
        calls(f"ida{number}@nordic.example")
    send_all()
    under_way, told, twice = set(), [], []
    lock, rests = threading.Lock(), Rests()

    def post(call, now):
        with lock:
            twice.extend({call.id} & under_way)
            under_way.add(call.id)
            told.append(call.id)
        time.sleep(0.01)
        with lock:
            under_way.discard(call.id)
        return YES

    def work():
        deadline = time.monotonic() + 60
        while len(told) < 12 and time.monotonic() < deadline:
            run_next(store=store, clock=clock, post=post, pools={}, rests=rests)

    hands = [threading.Thread(target=work) for _ in range(4)]
    for hand in hands:
        hand.start()
    for hand in hands:
        hand.join(90)

    assert twice == []
    assert (len(told), len(set(told))) == (12, 12)


class Killed(BaseException):
    """As if the process were gone."""


def test_who_dies_after_the_post_repeats_it_under_the_same_id(store, clock, calls, send_all, run):
    calls()
    send_all()
    told = []

    def post(call, now):
        told.append((call.id, call.body))
        raise Killed

    with pytest.raises(Killed):
        run(post)
    others = Others()
    clock.pass_(timedelta(seconds=59))
    assert run(others) == []
    clock.pass_(timedelta(seconds=2))
    run(others)

    assert [(call.id, call.body) for call in others.told] == told


def test_what_kills_everybody_who_tries_it_is_left_to_a_human(store, clock, calls, send_all, run):
    calls()
    send_all()

    def post(call, now):
        raise Killed

    for _ in range(8):
        with pytest.raises(Killed):
            run(post)
        clock.pass_(timedelta(minutes=2))
    [outcome] = run(post)

    assert isinstance(outcome, LeftToAHuman)
    assert errands(store, clock)[0]["state"] == "failed"


def test_one_silence_is_enough_and_everybody_else_is_told(store, clock, calls, send_all, run):
    """A hundred thousand calls to a dead host must not keep the living ones waiting."""
    for number in range(30):
        calls(f"ida{number}@nordic.example")
    calls(KIM, HELLO, TELL | {"webhook": "https://erp.example/"}, BUMP)
    send_all()
    others = Others(SILENCE)
    told = []

    def post(call, now):
        told.append(call.url)
        return YES if "erp" in call.url else SILENCE

    outcomes = run(post)

    assert sorted(told) == [CRM, "https://erp.example/"]
    assert sum(isinstance(each, TriesAgain) for each in outcomes) == 30
    assert {each["tries"] for each in errands(store, clock)} == {1}
    clock.pass_(timedelta(minutes=1))
    run(others)
    assert len(others.told) == 1  # asked again, after a while; once


def test_whoever_met_the_silence_is_tried_at_every_hour(store, clock, calls, send_all, run):
    calls()
    send_all()
    others = Others(*[SILENCE] * 20)
    for _ in WAITS:
        [outcome] = run(others)
        clock.pass_(outcome.at - clock.now() + timedelta(milliseconds=5))
    assert isinstance(run(others)[0], LeftToAHuman)
    assert len(others.told) == 8


def test_a_no_is_no_silence(store, clock, calls, send_all, run):
    for number in range(3):
        calls(f"ida{number}@nordic.example")
    send_all()
    others = Others(NO, NO, NO)
    run(others)
    assert len(others.told) == 3


# --- in the house ---


OUTBOUND = new_secret()


@pytest.fixture
def open_house(store, clock, mailbox, pace):
    """A house whose webhooks may go to this machine."""
    webhooks = {"secrets": [SECRET], "outbound": {"secret": OUTBOUND, "allow": ["127.0.0.1"]}}
    return House(config=Config(webhooks=webhooks), store=store, mailbox=mailbox, clock=clock, pace=pace)


def test_a_worker_posts_what_is_due_when_the_letters_are_out(store, clock, mailbox, calls, open_house):
    with Endpoint(says(204)) as endpoint:
        calls(IDA, HELLO, TELL | {"webhook": endpoint.url}, BUMP)
        Worker(open_house).tick()

    assert len(mailbox.sent) == 1
    [asked] = endpoint.asked
    assert headers_of(asked)["webhook-id"] == json.loads(asked.partition(b"\r\n\r\n")[2])["id"]
    assert errands(store, clock) == []


def test_an_address_inside_is_called_only_if_the_configuration_names_it(store, clock, calls, open_house):
    webhooks = {"secrets": [SECRET], "outbound": {"secret": OUTBOUND}}
    house = replace(open_house, config=Config(webhooks=webhooks))
    with Endpoint(says(204)) as endpoint:
        calls(IDA, HELLO, TELL | {"webhook": endpoint.url}, BUMP)
        Worker(house).tick()

    assert endpoint.visits == 0
    [waiting] = errands(store, clock)
    assert "webhooks.outbound.allow" in waiting["outcome"]


@pytest.mark.parametrize("wrong", ["10.0.0.5/8", "crm.example", "", "10.0.0.0/33", 7])
def test_a_network_that_is_none_is_no_permission(tmp_path, wrong):
    file = tmp_path / "config.yaml"
    file.write_text(json.dumps({"webhooks": {"outbound": {"allow": [wrong]}}}))
    with pytest.raises(
        ConfigError, match=r"webhooks\.outbound\.allow: .* is no network\. Write 10\.0\.0\.0/8"
    ):
        load_config(file)


def test_a_slow_endpoint_keeps_no_letter_waiting(store, clock, mailbox, calls, open_house, send_all):
    with Endpoint(stays_silent) as endpoint:
        for number in range(9):
            calls(f"ida{number}@nordic.example", HELLO, TELL | {"webhook": endpoint.url}, BUMP)
        send_all()
        with WorkerThread(open_house):
            _wait_for(lambda: endpoint.visits >= 4)  # every hand hangs
            enrolled(store, clock.now(), KIM)
            _wait_for(lambda: mailbox.sent[-1].to == KIM)
            assert len(errands(store, clock)) == 9
            endpoint.closing.set()


def test_the_log_tells_no_secret(clock, calls, open_house, caplog):
    with Endpoint(says(500, b"no")) as endpoint:
        url = f"{endpoint.url}?key=secret-token"
        calls(IDA, HELLO, TELL | {"webhook": url}, BUMP)
        with caplog.at_level("DEBUG"):
            Worker(open_house).tick()

    assert "answered 500: no" in caplog.text
    assert "secret-token" not in caplog.text
    assert SECRET not in caplog.text
    assert OUTBOUND not in caplog.text


def test_what_we_tell_others_stops_nobody_when_it_comes_back(store, clock, mailbox, calls, open_house, door):
    """It is signed with a secret of its own, which our door does not believe."""
    with Endpoint(says(204)) as endpoint:
        calls(IDA, HELLO, TELL | {"webhook": endpoint.url}, BUMP)
        Worker(open_house).tick()
    before = pending(store, clock.now())
    [asked] = endpoint.asked
    headers = {name: value for name, value in headers_of(asked).items() if name.startswith("webhook-")}

    answer = door.post("/webhooks/agentmail", content=asked.partition(b"\r\n\r\n")[2], headers=headers)

    assert answer.status_code == 401
    assert pending(store, clock.now()) == before


def _wait_for(what, seconds=20):
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until
        time.sleep(0.02)


# --- tasks ---

CALL = {"id": "call", "task": "Call {{ company }}", "assign": "kim", "due": "1d"}


def test_a_task_is_for_somebody_and_the_letters_go_on(store, clock, calls, send_all):
    calls(IDA, HELLO, CALL, BUMP)
    assert tasks(store, clock) == []
    send_all()

    [task] = tasks(store, clock)
    assert (task["email"], task["step"], task["task"], task["assign"]) == (IDA, "call", "Call Nordic", "kim")
    assert (task["due"], task["overdue"], task["done_at"]) == (clock.now() + DAY, False, None)
    assert [draft["step"] for draft in pending(store, clock.now())] == ["bump"]
    clock.pass_(2 * DAY)
    assert tasks(store, clock)[0]["overdue"]

    finished = done(task["task_id"], by="a test", store=store, clock=clock)

    assert (finished.what, finished.goes_on) == ("done", None)
    assert tasks(store, clock) == []
    [over] = tasks(store, clock, ended=True)
    assert (over["overdue"], over["done_at"]) == (False, clock.now())


def test_the_next_letter_waits_until_a_blocking_task_is_done(store, clock, calls, send_all):
    calls(IDA, HELLO, CALL | {"blocking": True}, BUMP)
    send_all()
    assert standing(store, clock) == {(IDA, "Quick question"): "paused"}
    assert pending(store, clock.now()) == []
    clock.pass_(10 * DAY)
    [task] = tasks(store, clock)

    finished = done(task["task_id"], by="a test", store=store, clock=clock)

    assert finished.goes_on == f"{IDA} goes on"
    assert standing(store, clock) == {(IDA, "Quick question"): "active"}
    assert [(draft["step"], draft["send_at"]) for draft in pending(store, clock.now())] == [
        ("bump", clock.now() + 3 * DAY)
    ]


def test_somebody_can_wait_for_a_task_before_the_first_letter(store, clock, calls):
    calls(IDA, CALL | {"blocking": True}, HELLO)
    [task] = tasks(store, clock)
    done(task["task_id"], by="a test", store=store, clock=clock)
    assert [draft["step"] for draft in pending(store, clock.now())] == ["hello"]


def test_of_two_that_block_both_must_be_done(store, clock, calls, send_all):
    calls(IDA, HELLO, CALL | {"blocking": True}, CALL | {"id": "visit", "blocking": True}, BUMP)
    send_all()
    [first] = tasks(store, clock)
    finished = done(first["task_id"], by="a test", store=store, clock=clock)
    assert finished.goes_on == f"{IDA} waits: visit is not done"
    [second] = tasks(store, clock)
    assert second["step"] == "visit"
    assert done(second["task_id"], by="a test", store=store, clock=clock).goes_on == f"{IDA} goes on"


def test_a_task_that_blocks_nothing_wakes_nobody(store, clock, calls, send_all):
    calls(IDA, HELLO, CALL | {"id": "note"}, CALL | {"blocking": True}, BUMP)
    send_all()
    [note] = [task for task in tasks(store, clock) if task["step"] == "note"]
    assert done(note["task_id"], by="a test", store=store, clock=clock).goes_on is None
    assert standing(store, clock) == {(IDA, "Quick question"): "paused"}


def test_a_pause_for_another_reason_stands(store, clock, calls, send_all):
    enrollment_id = calls(IDA, HELLO, CALL | {"blocking": True}, BUMP)
    send_all()
    with store.transaction(clock.now(), "a test") as ledger:
        ledger.enrollments.pause([enrollment_id], "let me look first")
    [task] = tasks(store, clock)

    assert done(task["task_id"], by="a test", store=store, clock=clock).goes_on is None
    assert standing(store, clock) == {(IDA, "Quick question"): "paused"}
    resume(IDA, by="a test", store=store, clock=clock)
    assert [draft["step"] for draft in pending(store, clock.now())] == ["bump"]


def test_a_task_does_not_bring_back_whoever_answered(store, clock, calls, send_all, pace):
    enrollment_id = calls(IDA, HELLO, CALL | {"blocking": True}, BUMP)
    send_all()
    _answer(enrollment_id, store, clock, pace)
    [task] = tasks(store, clock)

    assert done(task["task_id"], by="a test", store=store, clock=clock).goes_on is None
    assert standing(store, clock) == {(IDA, "Quick question"): "replied"}
    assert pending(store, clock.now()) == []


def test_a_task_is_done_once(store, clock, calls, send_all):
    calls(IDA, HELLO, CALL, BUMP)
    send_all()
    [task] = tasks(store, clock)
    done(task["task_id"], by="a test", store=store, clock=clock)
    with pytest.raises(Refused, match="is over already"):
        done(task["task_id"], by="a test", store=store, clock=clock)
    with pytest.raises(Refused, match="has not failed"):
        retry(task["task_id"], by="a test", store=store, clock=clock)
    with pytest.raises(NotFound, match="tsk_nothing"):
        done("tsk_nothing", by="a test", store=store, clock=clock)


def test_the_most_urgent_task_stands_first(store, clock, calls, send_all):
    calls("a@nordic.example", HELLO, CALL | {"due": "9d"})
    calls("b@nordic.example", HELLO, {"id": "call", "task": "Whenever"}, name="Another")
    calls("c@nordic.example", HELLO, CALL | {"due": "1d"}, name="A third")
    send_all()
    assert [task["email"][0] for task in tasks(store, clock)] == ["c", "a", "b"]


# --- labels for answers ---


def _answer(enrollment_id, store, clock, pace, **more):
    with store.reading(clock.now()) as ledger:
        thread = ledger.enrollments.get(enrollment_id).thread_id
    event = {"id": f"evt_{enrollment_id}_{clock.now()}", "message_id": f"<{enrollment_id}{clock.now():%s}@x>"}
    react(reply(thread, **event | more), b"", store=store, clock=clock, pace=pace)


@pytest.fixture
def label(store, clock):
    def label(what, email=IDA):
        effects = label_reply(email, what, by="a test", store=store, clock=clock)
        return [effect.what for effect in effects]

    return label


@pytest.fixture
def answered(store, clock, calls, send_all, pace):
    """Somebody who has answered the first letter of a sequence with these labels."""

    def answered(on_reply, email=IDA, **above):
        enrollment_id = calls(email, HELLO, BUMP, on_reply=on_reply, **above)
        send_all()
        _answer(enrollment_id, store, clock, pace, sender=email)
        assert standing(store, clock)[email, above.get("name", "Quick question")] == "replied"
        return enrollment_id

    return answered


EVERYTHING = {
    "interested": {
        "label": "hot",
        "notify": "sales@acme.example",
        "task": "Ask {{ company }} about the budget",
        "resume": "Autumn",
        "after": "30d",
    },
    "not_now": {"label": "cold"},
}


def test_a_label_does_what_the_sequence_says_about_it(store, clock, answered, label):
    enrollment_id = answered(EVERYTHING, owner="kim@acme.example")

    did = label("interested")

    assert did == [
        "labelled hot",
        "told sales@acme.example",
        "a task: Ask Nordic about the budget",
        "enters Autumn on 01 Apr 2026",
    ]
    with store.reading(clock.now()) as ledger:
        thread = ledger.enrollments.get(enrollment_id).thread_id
        assert ledger.threads.labels(thread) == ["hot", "reply:interested"]
    assert [(task["task"], task["assign"]) for task in tasks(store, clock)] == [
        (f"{IDA} answered: interested", "sales@acme.example"),
        ("Ask Nordic about the budget", "kim@acme.example"),
    ]
    assert [(each["kind"], each["to"], each["next_try_at"]) for each in errands(store, clock)] == [
        ("enter", "Autumn", clock.now() + 30 * DAY)
    ]
    assert standing(store, clock) == {(IDA, "Quick question"): "replied"}


def test_the_same_label_twice_is_one_effect_and_another_adds_its_own(store, clock, answered, label):
    answered(EVERYTHING)
    assert len(label("interested")) == 4
    assert label("interested") == []
    assert label("not_now") == ["labelled cold"]
    assert (len(tasks(store, clock)), len(errands(store, clock))) == (2, 1)


def test_a_label_that_nobody_knows_is_refused_with_those_that_are_known(answered, label):
    answered(EVERYTHING)
    with pytest.raises(Refused, match=r"no label \"intrested\"\. Known: interested, not_now"):
        label("intrested")


def test_a_label_is_for_an_answer(store, clock, calls, label):
    with pytest.raises(NotFound, match="nobody here writes to"):
        label("interested")
    calls(IDA, HELLO, BUMP, on_reply=EVERYTHING)
    with pytest.raises(Refused, match="has not answered"):
        label("interested")


@pytest.mark.parametrize("stop", ["person", "never"])
def test_an_answer_to_the_last_letter_is_one_too(store, clock, calls, send_all, pace, label, stop):
    enrollment_id = calls(IDA, HELLO, on_reply=EVERYTHING, stop={"reply": stop})
    send_all()
    assert standing(store, clock) == {(IDA, "Quick question"): "finished"}
    _answer(enrollment_id, store, clock, pace)
    assert label("not_now") == ["labelled cold"]


def test_where_answers_stop_nobody_they_can_be_labelled_all_the_same(
    store, clock, calls, send_all, pace, label
):
    enrollment_id = calls(IDA, HELLO, BUMP, on_reply=EVERYTHING, stop={"reply": "never"})
    send_all()
    with pytest.raises(Refused, match="has not answered"):
        label("not_now")
    _answer(enrollment_id, store, clock, pace)
    assert label("not_now") == ["labelled cold"]
    assert [draft["step"] for draft in pending(store, clock.now())] == ["bump"]


def test_an_answer_that_nobody_vouches_for_stops_nobody_and_is_no_answer_yet(
    store, clock, calls, send_all, pace, label
):
    enrollment_id = calls(IDA, HELLO, BUMP, on_reply=EVERYTHING)
    send_all()
    _answer(enrollment_id, store, clock, pace, verified=False)
    with pytest.raises(Refused, match="has not answered"):
        label("not_now")


def test_a_sequence_without_labels_says_so(answered, label):
    answered({})
    with pytest.raises(Refused, match="on_reply"):
        label("interested")


def test_every_sequence_that_they_answered_does_its_own(store, clock, answered, label):
    answered({"later": {"task": "One"}})
    answered({"later": {"task": "Two"}}, name="Another")
    answered({"other": {"task": "Three"}}, name="A third")
    label("later")
    assert sorted(task["task"] for task in tasks(store, clock)) == ["One", "Two"]


def test_whoever_says_never_again_is_believed_everywhere(store, clock, answered, calls, label):
    answered({"leave_me": {"suppress": "person"}})
    calls(IDA, HELLO, BUMP, name="Another")
    calls(KIM, HELLO, BUMP, name="Another")

    assert label("leave_me") == [f"never again: {IDA}"]

    assert standing(store, clock)[IDA, "Another"] == "suppressed"
    assert [draft["to"] for draft in pending(store, clock.now())] == [KIM]


def test_a_company_that_wants_no_more_gets_no_more(store, clock, answered, calls, label):
    answered({"leave_us": {"suppress": "company"}}, "ida@oslo.nordic.example")
    for email in (KIM, "per@bergen.nordic.example", "eva@elsewhere.example"):
        calls(email, HELLO, BUMP, name="Another")

    assert label("leave_us", "ida@oslo.nordic.example") == [
        "never again: nordic.example, oslo.nordic.example"
    ]

    assert standing(store, clock)[KIM, "Another"] == "suppressed"
    assert standing(store, clock)["per@bergen.nordic.example", "Another"] == "suppressed"
    assert [draft["to"] for draft in pending(store, clock.now())] == ["eva@elsewhere.example"]


def test_gmail_is_nobodys_company(store, clock, answered, calls, label):
    answered({"leave_us": {"suppress": "company"}}, "ida@gmail.com")
    calls("kim@gmail.com", HELLO, BUMP, name="Another")

    assert label("leave_us", "ida@gmail.com") == ["never again: ida@gmail.com"]

    assert standing(store, clock)["kim@gmail.com", "Another"] == "active"


def test_a_task_whose_words_have_a_gap_is_given_all_the_same(store, clock, answered, label):
    answered({"later": {"task": "Ask about {{ budgets_of_last_year }}"}})
    label("later")
    assert [task["task"] for task in tasks(store, clock)] == ["Ask about {{ budgets_of_last_year }}"]


# --- into another sequence, later ---

LATER = {"later": {"resume": "Autumn", "after": "30d"}}


def keep(store, clock, wants):
    with store.transaction(clock.now(), "a test") as ledger:
        ledger.enrollments.keep_version(wants)


def autumn(**above):
    hello = {"id": "again", "subject": "Autumn, {{ company }}", "body": "Hello again"}
    return sequence(hello, BUMP, **{"name": "Autumn"} | above)


def test_they_enter_the_newest_version_at_its_hour_with_what_was_known_of_them(
    store, clock, answered, label, run
):
    keep(store, clock, sequence(name="Autumn"))
    answered(LATER)
    label("later")
    clock.pass_(DAY)
    keep(store, clock, autumn())
    assert run() == []
    clock.pass_(29 * DAY)

    [outcome] = run()

    assert outcome.what == "entered Autumn"
    assert [(draft["to"], draft["subject"]) for draft in pending(store, clock.now())] == [
        (IDA, "Autumn, Nordic")
    ]
    assert run() == []


def test_at_once_if_no_hour_is_named(store, clock, answered, label, run):
    keep(store, clock, autumn())
    answered({"later": {"resume": "Autumn"}})
    label("later")
    assert [outcome.what for outcome in run()] == ["entered Autumn"]


def test_the_senders_of_a_pool_are_known_then(store, clock, answered, label, run):
    keep(store, clock, autumn(**{"from": {"pool": "emea"}}))
    answered(LATER)
    label("later")
    clock.pass_(30 * DAY)
    assert [outcome.what for outcome in run(pools={"emea": (SAM,)})] == ["entered Autumn"]


@pytest.mark.parametrize(
    ("meanwhile", "words"),
    [
        ("nothing is called so", 'there is no sequence called "Autumn"'),
        ("suppressed", "by hand"),
        ("there already", "active"),
        ("wrote again", "answered again"),
        ("answered there", "answered again"),
        ("no pool", 'there is no pool "emea"'),
        ("not wanted there", "skip_if"),
    ],
)
def test_what_happened_meanwhile_counts_more(
    store, clock, answered, calls, label, run, send_all, pace, meanwhile, words
):
    wants = autumn()
    if meanwhile == "no pool":
        wants = autumn(**{"from": {"pool": "emea"}})
    if meanwhile == "not wanted there":
        wants = autumn(enroll={"skip_if": 'company == "Nordic"'})
    if meanwhile != "nothing is called so":
        keep(store, clock, wants)
    enrollment_id = answered(LATER)
    label("later")
    clock.pass_(DAY)
    if meanwhile == "suppressed":
        suppress(IDA, why="by hand", by="a test", store=store, clock=clock)
    if meanwhile in {"there already", "answered there"}:
        there = enrolled(store, clock.now(), wants=wants, company="Nordic")
    if meanwhile == "wrote again":
        _answer(enrollment_id, store, clock, pace)
    if meanwhile == "answered there":
        send_all()
        _answer(there, store, clock, pace)
    before = pending(store, clock.now())
    clock.pass_(29 * DAY)

    [outcome] = run()

    assert outcome.what.startswith("not entered: ")
    assert words in outcome.what
    assert pending(store, clock.now()) == before
    assert errands(store, clock) == []


def test_who_lacks_something_there_waits_for_it(store, clock, answered, label, run):
    keep(store, clock, autumn(requires=["budget"]))
    answered(LATER)
    label("later")
    clock.pass_(30 * DAY)
    assert [outcome.what for outcome in run()] == ["entered Autumn, and waits: budget is missing"]


def test_a_human_can_call_it_off(store, clock, answered, label, run):
    keep(store, clock, autumn())
    answered(LATER)
    label("later")
    [waiting] = errands(store, clock)
    done(waiting["errand_id"], by="a test", store=store, clock=clock)
    clock.pass_(30 * DAY)
    assert run() == []
    assert standing(store, clock) == {(IDA, "Quick question"): "replied"}


# --- at the command line ---


@pytest.fixture
def relent(database_url, tmp_path, clock, monkeypatch):
    """The commands, over the same database and by the same clock."""
    monkeypatch.setattr("relent.options.SystemClock", lambda: clock)
    monkeypatch.setattr("relent.cli_errands.SystemClock", lambda: clock)
    config = tmp_path / "config.yaml"
    config.write_text(json.dumps({"database": {"url": database_url}}))
    app = typer.Typer()

    @app.callback()
    def everything(context: typer.Context) -> None:
        context.obj = config

    register(app)

    def relent(*words):
        result = CliRunner().invoke(app, list(words))
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == 0, result.output
        return " ".join(result.stdout.split())

    return relent


def test_the_commands_tell_a_whole_story(store, clock, calls, send_all, pace, relent):
    enrollment_id = calls(IDA, HELLO, CALL | {"blocking": True}, BUMP, on_reply=EVERYTHING)
    assert relent("tasks") == "nothing to do"
    send_all()

    [task] = json.loads(relent("tasks", "--json"))
    assert (task["task"], task["overdue"]) == ("Call Nordic", False)
    assert json.loads(relent("tasks", "--jsonl")) == task
    assert "overdue" not in relent("tasks")
    clock.pass_(2 * DAY)
    assert "overdue" in relent("tasks")
    assert relent("done", task["task_id"]) == f"{task['task_id']} done, {IDA} goes on"
    assert json.loads(relent("tasks", "--all", "--json"))[0]["done_at"]

    assert relent("event", "clicked", "--email", IDA, "--value", "report", "--id", "crm-1") == (
        "kept: 0 stopped, 0 went on"
    )
    assert relent("event", "clicked", "--email", IDA, "--id", "crm-1") == "heard before"
    assert relent("event", "clicked", "--email", KIM) == f"nobody here writes to {KIM}; kept"

    _answer(enrollment_id, store, clock, pace)
    assert relent("label", IDA, "not_now") == "Quick question: labelled cold"
    assert relent("label", IDA, "not_now") == "nothing new: it had this label"
    assert "enters Autumn" in relent("label", IDA, "interested")
    [waiting] = json.loads(relent("errands", "--json"))
    assert (waiting["kind"], waiting["state"]) == ("enter", "waits")
    assert "Autumn" in relent("errands").split()
    assert relent("done", waiting["errand_id"]) == f"{waiting['errand_id']} called off"
    assert relent("errands") == "nothing here"


def test_a_wrong_word_is_answered_with_the_right_one(store, relent):
    with pytest.raises(Refused, match="relent event clicked --value security-report"):
        relent("event", 'clicked("security-report")', "--email", IDA)
    with pytest.raises(NotFound):
        relent("done", "tsk_nothing")
    with pytest.raises(NotFound):
        relent("retry", "cal_nothing")
    with pytest.raises(NotFound):
        relent("label", IDA, "interested")
