"""What a batch reads once may be old when its last letter leaves: nothing that forbids a letter gets past its gate for that."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from functools import partial
from threading import Event, Thread
from time import sleep

import pytest
from sqlalchemy import select, text
from sqlalchemy import update as update_row
from sqlalchemy.exc import OperationalError

from engine import dispatch
from engine.brake import stop, suppress
from engine.dispatch import Helpers, dispatch_due
from engine.enroll import enroll_all, prepare
from engine.errors import PermanentFailure, TemporaryFailure
from engine.inboxes import Change, update
from engine.model import Draft, Letter, Prospect, content_sha
from engine.react import react
from engine.recover import recover
from engine.sequence import Sequence
from engine.settle import CalledOff, Delivered, GaveUp, Postponed
from engine.store import Forecast, Store, enrollments
from engine.store.lists import Place
from engine.store.tables import enrollment, sequence_version
from engine.wake import wake_due
from tests.doubles import FrozenClock, MemoryMailbox
from tests.makers import IDA, SAM, enrolled, pending, people, reply, sequence

OLE = "ole@fjord.example"
DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def brake_off(store: Store, clock: FrozenClock) -> Iterator[None]:
    yield
    with store.transaction(clock.now(), "a test") as ledger:
        ledger.watch.release("the test is over")


def enter(store, now, number, wants: Sequence | None = None) -> None:
    those = [
        prepare(Prospect(email=f"p{each}@firm{each}.example"), wants or sequence()) for each in range(number)
    ]
    with store.transaction(now, "a test") as ledger:
        enroll_all(those, ledger=ledger)


def due_draft(store: Store, clock: FrozenClock, to: str) -> Draft:
    [waiting] = [each for each in pending(store, clock.now()) if each["to"] == to]
    with store.reading(clock.now()) as ledger:
        found = ledger.drafts.get(waiting["draft_id"])
    assert found is not None
    return found


# --- somebody says no while the letter before is on its way ---


def _is_suppressed(store, clock, pace):
    with store.transaction(clock.now(), "a test") as ledger:
        ledger.inbound.suppress(OLE, "bounced")


def _their_domain_is_suppressed(store, clock, pace):
    suppress("fjord.example", why="they asked", by="kim", store=store, clock=clock)


def _is_blocked(store, clock, pace):
    with store.transaction(clock.now(), "a test") as ledger:
        ledger.lists.add(Place(scope="inbox", scope_id=SAM, direction="send", kind="block"), OLE)


def _others_only_are_allowed(store, clock, pace):
    with store.transaction(clock.now(), "a test") as ledger:
        ledger.lists.add(Place(direction="send", kind="allow"), IDA)


def _answers(store, clock, pace):
    thread_id = due_draft(store, clock, OLE).thread_id
    react(reply(thread_id, sender=OLE), b"", store=store, clock=clock, pace=pace)


def _is_stopped(store, clock, pace):
    stop(OLE, by="kim", store=store, clock=clock)


def _is_paused(store, clock, pace):
    theirs = [one["enrollment_id"] for one in people(store, clock.now()) if one["email"] == OLE]
    with store.transaction(clock.now(), "a test") as ledger:
        ledger.enrollments.pause(theirs, "by hand")


def _is_written_other_words_to(store, clock, pace):
    """And whoever wrote them has approved them as well."""
    seen = due_draft(store, clock, OLE)
    sha = content_sha(replace(seen, text="Other words"))
    other = text('UPDATE draft SET "text" = :said, content_sha = :sha, approved_sha = :sha WHERE id = :which')
    with store.database.begin() as db:
        db.execute(other, {"said": "Other words", "sha": sha, "which": seen.id})


def _has_words_that_nobody_approved(store, clock, pace):
    seen = due_draft(store, clock, OLE)
    with store.database.begin() as db:
        db.execute(text("UPDATE draft SET content_sha = 'other' WHERE id = :which"), {"which": seen.id})


def _their_inbox_is_paused(store, clock, pace):
    update(SAM, Change(words={"paused": True}), by="kim", store=store, clock=clock)


def _the_house_brakes(store, clock, pace):
    with store.transaction(clock.now(), "a test") as ledger:
        ledger.watch.brake("somebody pulled it")


def _the_lease_ends(store, clock, pace):
    clock.pass_(pace.lease + timedelta(seconds=1))


FORBIDS: list[tuple[Callable[..., None], bool]] = [  # and whether the letter before still leaves
    (_is_suppressed, True),
    (_their_domain_is_suppressed, True),
    (_is_blocked, True),
    (_others_only_are_allowed, True),
    (_answers, True),
    (_is_stopped, True),
    (_is_paused, True),
    (_is_written_other_words_to, True),
    (_has_words_that_nobody_approved, True),
    (_their_inbox_is_paused, False),
    (_the_house_brakes, False),
    (_the_lease_ends, False),
]


@pytest.mark.parametrize(("forbid", "first_leaves"), FORBIDS, ids=[each.__name__ for each, _ in FORBIDS])
def test_what_has_changed_since_the_batch_was_read_is_seen_at_the_gate(
    store, clock, mailbox, pace, forbid, first_leaves
):
    enrolled(store, clock.now(), IDA)
    enrolled(store, clock.now(), OLE)
    done = []

    def meanwhile(letter: Letter) -> None:
        if not done:
            done.append(letter.to)
            forbid(store, clock, pace)

    mailbox.before_gate = meanwhile
    outcomes = list(dispatch_due(store=store, mailbox=mailbox, clock=clock, pace=pace))

    assert done == [IDA]  # so what was read for the other one was read before
    assert [letter.to for letter in mailbox.sent] == ([IDA] if first_leaves else [])
    assert not any(isinstance(outcome, Delivered) for outcome in outcomes[-1:])


def test_a_window_that_closes_in_the_middle_of_a_batch_is_closed_for_the_rest_of_it(
    store, clock, mailbox, pace
):
    wants = sequence(schedule={"timezone": "UTC", "windows": "08:00-09:01"})
    enter(store, clock.now(), 4, wants)
    mailbox.after_gate = lambda letter: clock.pass_(timedelta(seconds=31))

    outcomes = list(dispatch_due(store=store, mailbox=mailbox, clock=clock, pace=pace))

    assert [type(outcome) for outcome in outcomes] == [Delivered, Delivered, Postponed, Postponed]
    assert outcomes[-1].why.startswith("window opens Tue 03 Mar 08:00")
    assert [draft["attempt"] for draft in pending(store, clock.now()) if draft["step"] == "step-1"] == [0, 0]


def test_every_letter_of_a_batch_answers_the_last_one_of_its_own_conversation(store, clock, mailbox, pace):
    enter(store, clock.now(), 5)
    for _ in range(3):
        list(dispatch_due(store=store, mailbox=mailbox, clock=clock, pace=pace))
        clock.pass_(5 * DAY)

    told: dict[str, list[Letter]] = {}
    for letter in mailbox.sent:
        told.setdefault(letter.to, []).append(letter)
    assert [len(letters) for letters in told.values()] == [3] * 5
    for first, second, third in told.values():
        assert (first.in_reply_to, first.references) == (None, ())
        assert (second.in_reply_to, second.references) == (first.message_id, (first.message_id,))
        assert third.in_reply_to == second.message_id
        assert third.references == (first.message_id, second.message_id)


def test_the_next_steps_of_a_batch_do_not_crowd_one_hour(store, clock, mailbox, pace):
    """What is booked is counted once for the batch; and what the batch itself books is added."""
    hello = {"subject": "Hi", "body": "Hello"}
    slow = sequence(hello, {"after": "2h", "body": "x"}, name="Slow", limits={"per_mailbox": "90/hour"})
    quick = sequence(hello, {"after": "1h", "body": "x"}, name="Quick", limits={"per_mailbox": "12/hour"})
    for wants, number in ((slow, 10), (quick, 12)):
        enter(store, clock.now(), number, wants)
        list(dispatch_due(store=store, mailbox=mailbox, clock=clock, pace=pace))
        clock.pass_(timedelta(hours=1))

    assert len(mailbox.sent) == 22
    hours = Counter(draft["send_at"].hour for draft in pending(store, clock.now()))
    assert hours == {11: 12, 12: 10}


def test_what_took_long_to_count_is_kept_and_the_rest_is_counted_for_every_batch():
    forecast, asked = Forecast(), []

    def quickly() -> int:
        asked.append("quickly")
        return 3

    def slowly() -> int:
        asked.append("slowly")
        sleep(0.02)
        return 5

    now = FrozenClock().now()
    quick = ("booked", "mailbox", SAM, now, now + DAY, True)
    slow = ("booked", "mailbox", "kim@acme.example", now, now + DAY, True)
    for _ in range(3):
        forecast.begin()
        assert [forecast.count(quick, quickly) for _ in range(2)] == [3, 3]
        assert [forecast.count(slow, slowly) for _ in range(2)] == [5, 5]

    assert Counter(asked) == {"quickly": 3, "slowly": 1}


# --- room that is kept ---


def _works(store, mailbox, clock, pace):
    while list(dispatch_due(store=store, mailbox=mailbox, clock=clock, pace=pace)):
        pass


@pytest.mark.parametrize(("cap", "batch"), [(31, 4), (40, 7), (9, 5)])
def test_a_cap_is_reached_and_never_exceeded_however_many_keep_room_below_it(
    store, clock, mailbox, pace, cap, batch
):
    wants = sequence(limits={"per_mailbox": f"{cap}/day"})
    enter(store, clock.now(), 60, wants)
    clock.pass_(9 * DAY)  # everybody's hour has come
    mailbox.before_gate = lambda letter: sleep(0.002)
    patient = replace(pace, batch=batch, max_lateness=30 * DAY)

    workers = [Thread(target=_works, args=(store, mailbox, clock, patient)) for _ in range(5)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    assert len(mailbox.sent) == cap


def test_what_is_kept_for_one_worker_no_other_counts_on(store, clock, mailbox, pace):
    """The first has two letters in hand and room for both; meanwhile a second one takes what is left, and no more."""
    wants = sequence(limits={"per_mailbox": "4/day"})
    enter(store, clock.now(), 8, wants)
    clock.pass_(3 * DAY)
    patient = replace(pace, batch=2, max_lateness=30 * DAY)
    other = MemoryMailbox()
    outcomes = []

    def meanwhile(letter: Letter) -> None:
        mailbox.before_gate = lambda letter: None
        found = dispatch_due(store=store, mailbox=other, clock=clock, pace=replace(patient, batch=6))
        outcomes.extend(map(type, found))

    mailbox.before_gate = meanwhile
    first = [type(each) for each in dispatch_due(store=store, mailbox=mailbox, clock=clock, pace=patient)]

    assert first == [Delivered, Delivered]
    assert Counter(outcomes) == {Delivered: 2, Postponed: 4}


def test_room_that_was_kept_in_vain_is_there_for_others(store, clock, mailbox, pace):
    wants = sequence(limits={"per_mailbox": "4/day"})
    enter(store, clock.now(), 6, wants)
    clock.pass_(3 * DAY)
    patient = replace(pace, batch=2, max_lateness=30 * DAY)
    begun = dispatch_due(store=store, mailbox=mailbox, clock=clock, pace=patient)
    next(begun)
    begun.close()

    _works(store, mailbox, clock, patient)

    assert len(mailbox.sent) == 4
    assert all(draft["attempt"] == 0 for draft in pending(store, clock.now()) if draft["step"] == "step-1")


def test_a_batch_that_could_not_be_looked_at_is_let_go(store, clock, mailbox, pace, monkeypatch):
    def is_away(*_: object) -> None:
        raise OperationalError("SELECT", {}, Exception("the database is away"))

    enter(store, clock.now(), 3)
    monkeypatch.setattr(dispatch, "keep_room", is_away)
    with pytest.raises(OperationalError):
        list(dispatch_due(store=store, mailbox=mailbox, clock=clock, pace=pace))
    assert {(each["state"], each["attempt"]) for each in pending(store, clock.now())} == {("scheduled", 0)}

    monkeypatch.undo()
    _works(store, mailbox, clock, pace)
    assert len(mailbox.sent) == 3


def _a_newer_relent_wrote_it(body):
    body["steps"][0]["telepathy"] = "on"


def _its_zone_is_gone(body):
    body["schedule"]["timezone"] = "Mars/Base"


@pytest.mark.parametrize("spoil", [_a_newer_relent_wrote_it, _its_zone_is_gone])
def test_a_sequence_that_nobody_can_read_any_more_stops_its_own_letters_alone(
    store, clock, mailbox, pace, monkeypatch, spoil
):
    enter(store, clock.now(), 5)
    enrolled(store, clock.now(), OLE, sequence(name="Spoilt"))
    [theirs] = [each for each in people(store, clock.now()) if each["email"] == OLE]
    with store.database.begin() as db:
        life = db.execute(select(enrollment).where(enrollment.c.id == theirs["enrollment_id"])).one()
        its = sequence_version.c.id == life.version
        body = db.scalar(select(sequence_version.c.body).where(its))
        spoil(body)
        db.execute(update_row(sequence_version).where(its).values(body=body))
    monkeypatch.setattr(enrollments, "_read", {})

    for _ in range(3):
        list(dispatch_due(store=store, mailbox=mailbox, clock=clock, pace=pace))

    assert sorted(letter.to for letter in mailbox.sent) == [
        f"p{each}@firm{each}.example" for each in range(5)
    ]
    stayed = due_draft(store, clock, OLE)
    assert (stayed.state, stayed.attempt) == ("scheduled", 1)
    assert stayed.outcome.startswith("our own mistake, see the log")
    assert stayed.send_at == clock.now() + pace.retries[0]


def test_a_letter_that_somebody_looks_at_just_now_goes_without_room_of_its_own(store, clock, mailbox, pace):
    """An answer holds its rows: whoever keeps room waits for nobody, and it is asked for at the gate."""
    enter(store, clock.now(), 3)
    with store.transaction(clock.now(), "a test") as ledger:
        claimed = ledger.drafts.claim(token="t", owner="o", lease=pace.lease, at_most=3)
        until = {each.id: clock.now() + DAY for each in claimed}
    with store.reading(clock.now()) as looker, store.transaction(clock.now(), "a test") as ledger:
        if store.database.dialect.name == "postgresql":
            looker.drafts.lock([claimed[0].id])
        kept = ledger.drafts.keep_room(claimed, until)
    looked_at = {claimed[0].id} if store.database.dialect.name == "postgresql" else set()
    assert set(kept) == {each.id for each in claimed} - looked_at


def test_room_is_kept_for_this_hour_and_asked_for_anew_in_the_next(store, clock, mailbox, pace):
    wants = sequence(limits={"per_mailbox": "6/hour"})
    clock.pass_(timedelta(minutes=59, seconds=30))
    enter(store, clock.now(), 3, wants)
    hours = []
    mailbox.after_gate = lambda letter: (hours.append(clock.now().hour), clock.pass_(timedelta(seconds=20)))

    list(dispatch_due(store=store, mailbox=mailbox, clock=clock, pace=replace(pace, batch=3)))

    assert hours == [9, 9, 10]
    with store.reading(clock.now()) as ledger:
        began = clock.now().replace(minute=0, second=0, microsecond=0)
        left = ledger.diaries.left().count("mailbox", SAM, began, began + timedelta(hours=1), openers=True)
    assert left == 1


# --- several lines ---


def _lines(number: int) -> list[MemoryMailbox]:
    return [MemoryMailbox() for _ in range(number)]


def test_several_lines_carry_each_letter_once(store, clock, mailbox, pace):
    enter(store, clock.now(), 90)
    beside = _lines(3)
    for line in (mailbox, *beside):
        line.before_gate = lambda letter: sleep(0.003)

    outcomes = list(dispatch_due(store=store, mailbox=mailbox, clock=clock, pace=pace, beside=beside))

    assert Counter(map(type, outcomes)) == {Delivered: 90}
    sent = Counter(letter.to for line in (mailbox, *beside) for letter in line.sent)
    assert len(sent) == 90
    assert set(sent.values()) == {1}
    assert all(line.sent for line in (mailbox, *beside))
    assert [line.rested for line in (mailbox, *beside)] == [1] * 4
    assert len({draft["to"] for draft in pending(store, clock.now()) if draft["step"] == "step-2"}) == 90


def test_for_few_letters_nobody_opens_another_line(store, clock, mailbox, pace):
    enter(store, clock.now(), 15)
    [other] = _lines(1)

    list(dispatch_due(store=store, mailbox=mailbox, clock=clock, pace=pace, beside=[other]))

    assert (len(mailbox.sent), len(other.sent), other.rested) == (15, 0, 0)


def test_what_goes_wrong_on_one_line_keeps_no_other_waiting(store, clock, mailbox, pace):
    enter(store, clock.now(), 60)
    refusing, mistaken = _lines(2)

    def refuse(letter: Letter) -> None:
        sleep(0.002)
        raise PermanentFailure("550 no such user")

    def trip(letter: Letter) -> None:
        sleep(0.002)
        raise ZeroDivisionError

    refusing.before_gate, mistaken.before_gate = refuse, trip
    mailbox.before_gate = lambda letter: sleep(0.002)

    outcomes = list(
        dispatch_due(store=store, mailbox=mailbox, clock=clock, pace=pace, beside=[refusing, mistaken])
    )

    kinds = Counter(map(type, outcomes))
    assert sum(kinds.values()) == 60
    assert kinds[Delivered] == len(mailbox.sent)
    assert min(kinds[Delivered], kinds[GaveUp], kinds[Postponed]) > 0


def test_a_line_that_cannot_be_opened_is_left_alone_for_the_rest_of_the_batch(store, clock, mailbox, pace):
    """A server that gives nobody a second connection costs one letter its minute, and not half of them."""
    enter(store, clock.now(), 60)
    [refused] = _lines(1)

    def turned_away(letter: Letter) -> None:
        raise TemporaryFailure("421 too many connections")

    refused.before_gate = turned_away
    mailbox.before_gate = lambda letter: sleep(0.002)

    outcomes = list(dispatch_due(store=store, mailbox=mailbox, clock=clock, pace=pace, beside=[refused]))

    assert Counter(map(type, outcomes)) == {Delivered: 59, Postponed: 1}


def test_a_letter_that_stays_for_another_reason_ends_no_line(store, clock, mailbox, pace):
    """That its window is closed says nothing about the mail server."""
    enter(store, clock.now(), 30, sequence(schedule={"timezone": "UTC", "windows": "08:00-09:01"}))
    clock.pass_(timedelta(minutes=2))
    enter(store, clock.now(), 60, sequence(name="At any hour"))
    [other] = _lines(1)
    for line in (mailbox, other):
        line.before_gate = lambda letter: sleep(0.002)

    outcomes = list(dispatch_due(store=store, mailbox=mailbox, clock=clock, pace=pace, beside=[other]))

    assert Counter(map(type, outcomes)) == {Postponed: 30, Delivered: 60}
    assert len(other.sent) > 10


def test_whoever_has_had_enough_finds_every_line_at_rest_and_the_rest_put_back(store, clock, mailbox, pace):
    enter(store, clock.now(), 60)
    beside = _lines(2)
    for line in (mailbox, *beside):
        line.before_gate = lambda letter: sleep(0.01)

    due = dispatch_due(store=store, mailbox=mailbox, clock=clock, pace=pace, beside=beside)
    next(due)
    due.close()

    assert [line.rested for line in (mailbox, *beside)] == [1] * 3
    sent = {letter.to for line in (mailbox, *beside) for letter in line.sent}
    assert 0 < len(sent) <= 9
    firsts = [draft for draft in pending(store, clock.now()) if draft["step"] == "step-1"]
    assert {draft["to"] for draft in firsts}.isdisjoint(sent)
    assert {(draft["state"], draft["attempt"]) for draft in firsts} == {("scheduled", 0)}


@pytest.fixture
def slow() -> Iterator[MemoryMailbox]:
    """Its server takes its time to answer the last dot of the first letter: until `answers` is set."""
    line = MemoryMailbox()
    line.answers, line.asked = Event(), Event()

    def ponder(letter: Letter) -> None:
        line.asked.set()
        assert line.answers.wait(30)

    line.after_gate = ponder
    yield line
    line.answers.set()


def test_a_slow_line_keeps_one_letter_waiting_and_no_other(store, clock, mailbox, pace, slow):
    enter(store, clock.now(), 60)
    mailbox.before_gate = lambda letter: slow.asked.wait(30)
    helpers, beside = Helpers(), [slow, *_lines(1)]
    send = partial(
        dispatch_due, store=store, mailbox=mailbox, clock=clock, pace=pace, beside=beside, helpers=helpers
    )

    first = list(send(not_now=slow.asked.is_set))
    after_it = Counter(draft["state"] for draft in pending(store, clock.now()) if draft["step"] == "step-1")
    then = list(send())
    still = Counter(draft["state"] for draft in pending(store, clock.now()) if draft["step"] == "step-1")
    slow.answers.set()
    last = [*helpers.finish(), *send()]

    assert after_it["releasing"] == 1
    assert after_it["scheduled"] == 60 - 1 - len(first)
    assert after_it["claimed"] == 0
    assert still == {"releasing": 1}
    assert len(first) + len(then) == 59
    assert beside[1].sent  # the line that was free
    assert [type(each) for each in last] == [Delivered]
    assert slow.rested == 1
    sent = Counter(letter.to for line in (mailbox, *beside) for letter in line.sent)
    assert (len(sent), set(sent.values())) == (60, {1})


def test_what_a_slow_line_carries_is_let_go_by_nobody_and_found_in_doubt_when_nobody_answers(
    store, clock, mailbox, pace, slow
):
    """Its server says yes after all, when the fence is over: then it is known, and it left once."""
    enter(store, clock.now(), 30)
    mailbox.before_gate = lambda letter: slow.asked.wait(30)
    helpers = Helpers()
    send = partial(
        dispatch_due, store=store, mailbox=mailbox, clock=clock, pace=pace, beside=[slow], helpers=helpers
    )
    list(send())

    clock.pass_(pace.fence + timedelta(seconds=1))
    recover(store=store, mailbox=mailbox, clock=clock, pace=pace)
    assert list(send()) == []
    [doubtful] = [draft for draft in pending(store, clock.now()) if draft["step"] == "step-1"]
    assert doubtful["state"] == "uncertain"
    slow.answers.set()

    assert [type(each) for each in helpers.finish()] == [Delivered]
    assert len(slow.sent) + len(mailbox.sent) == 30
    assert [draft for draft in pending(store, clock.now()) if draft["step"] == "step-1"] == []


def test_a_batch_ends_when_somebody_says_not_now(store, clock, mailbox, pace):
    """On every line, between two letters; what nobody has begun keeps its hour and its patience."""
    enter(store, clock.now(), 60)
    [other] = _lines(1)
    for line in (mailbox, other):
        line.before_gate = lambda letter: sleep(0.002)
    outcomes = list(
        dispatch_due(
            store=store,
            mailbox=mailbox,
            clock=clock,
            pace=pace,
            beside=[other],
            not_now=lambda: len(mailbox.sent) + len(other.sent) >= 5,
        )
    )

    assert len(outcomes) in (5, 6)
    firsts = [draft for draft in pending(store, clock.now()) if draft["step"] == "step-1"]
    assert {(draft["state"], draft["attempt"]) for draft in firsts} == {("scheduled", 0)}
    assert len(firsts) == 60 - len(outcomes)


def test_an_answer_that_comes_while_several_lines_are_busy_stops_its_letter(store, clock, mailbox, pace):
    """Each line is asked at its own gate, also where several go through theirs in one commit."""
    enter(store, clock.now(), 80)
    beside, answered = _lines(3), []
    last = {f"p{number}@firm{number}.example" for number in range(60, 80)}
    threads = {one["email"]: one["thread_id"] for one in people(store, clock.now())}

    def meanwhile(letter: Letter) -> None:
        sleep(0.003)
        if last and letter.to not in last:
            who = last.pop()
            if not any(sent.to == who for line in (mailbox, *beside) for sent in line.sent):
                event = reply(threads[who], id=f"evt_{who}", message_id=f"<{who}>", sender=who)
                react(event, b"", store=store, clock=clock, pace=pace)
                if not any(sent.to == who for line in (mailbox, *beside) for sent in line.sent):
                    answered.append(who)

    for line in (mailbox, *beside):
        line.before_gate = meanwhile
    outcomes = list(dispatch_due(store=store, mailbox=mailbox, clock=clock, pace=pace, beside=beside))

    sent = Counter(letter.to for line in (mailbox, *beside) for letter in line.sent)
    assert answered
    assert sent.keys().isdisjoint(answered)
    assert set(sent.values()) == {1}
    assert sum(isinstance(outcome, CalledOff) for outcome in outcomes) >= len(answered)


def test_who_sleeps_while_nothing_is_due_is_not_woken_by_a_batch(store, clock, mailbox, pace):
    """The next letter needs no alarm of its own: its hour is one."""
    enrolled(store, clock.now())
    list(dispatch_due(store=store, mailbox=mailbox, clock=clock, pace=pace))
    with store.reading(clock.now()) as ledger:
        assert ledger.enrollments.next_waking() is None
    clock.pass_(DAY)
    assert wake_due(store=store, clock=clock) == 0
