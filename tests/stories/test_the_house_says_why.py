"""Why did this one not go? The house says it: the rule that binds, since when, until when, and what would help."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import update

from engine.approve import Reviewer, approve
from engine.brake import stop, suppress
from engine.dispatch import dispatch_due
from engine.enroll import Waits, enroll, prepare
from engine.errors import NotFound, PermanentFailure, TemporaryFailure
from engine.events import AutoReply
from engine.happen import happen
from engine.model import Prospect
from engine.react import react
from engine.recover import recover
from engine.resume import resume
from engine.states import DraftState, EnrollmentState
from engine.store.tables import draft
from engine.wake import wake_due
from engine.why import why
from tests.makers import IDA, SAM, enrolled, pending, people, reply, sequence

HELLO = {"id": "hello", "subject": "Quick question", "body": "Hello"}
BUMP = {"id": "bump", "after": "3d", "body": "Did you see it?"}
OFFICE = {"windows": "mon-fri 09:00-17:00", "fallback_timezone": "Europe/Oslo"}


@pytest.fixture
def ask(store, clock):
    def one(email=IDA):
        """Where they stand, in the one sequence that they are in."""
        [standing] = why(email, store=store, clock=clock).standings
        return standing

    return one


@pytest.fixture
def send(store, clock, mailbox, pace):
    def due(**time):
        clock.pass_(timedelta(**time))
        wake_due(store=store, clock=clock)
        return list(dispatch_due(store=store, mailbox=mailbox, clock=clock, pace=pace))

    return due


def draft_id(store, clock):
    return pending(store, clock.now())[0]["draft_id"]


@pytest.mark.parametrize(
    ("steps", "above", "reason", "release"),
    [
        ([HELLO | {"after": "3d"}], {}, "3d after enrolment", 'shorten "after" of hello'),
        (
            [HELLO | {"after": "10h"}],
            {"schedule": OFFICE},
            "window opens Tue 03 Mar 09:00 Europe/Oslo",
            "widen schedule.windows",
        ),
        (
            [HELLO | {"after": "1d"}],
            {"schedule": OFFICE | {"skip": "2026-03-03"}},
            "03 Mar is skipped, window opens Wed 04 Mar 09:00 Europe/Oslo",
            "take those days out of schedule.skip",
        ),
        (
            [HELLO | {"after": "60d"}],
            {"schedule": OFFICE | {"holidays": ["NO"]}},
            "01 May is a holiday in NO, window opens Mon 04 May 09:00 Europe/Oslo",
            "take that day out of schedule.holidays",
        ),
    ],
)
def test_a_letter_that_waits_for_its_hour(store, clock, ask, steps, above, reason, release):
    enrolled(store, clock.now(), wants=sequence(*steps, **above))
    told = ask()
    assert told.state == EnrollmentState.ACTIVE
    assert told.reason == reason
    assert told.release == f"{release} in the file (relent plan shows what that does), or wait"
    assert told.next_at == pending(store, clock.now())[0]["send_at"]
    assert told.since == clock.now()


def test_the_hour_is_told_on_their_own_clock_too(store, clock, ask):
    enrolled(store, clock.now(), wants=sequence(HELLO, schedule=OFFICE), timezone="America/New_York")
    told = ask()
    assert told.zone == "America/New_York"
    assert f"{told.next_at:%a %H:%M}" == "Mon 14:00"
    assert f"{told.local_time:%a %H:%M}" == "Mon 09:00"


def test_a_limit_that_is_full(store, clock, ask):
    wants = sequence(HELLO, limits={"per_mailbox": "1/day"})
    enrolled(store, clock.now(), "first@harbour.example", wants=wants)
    enrolled(store, clock.now(), wants=wants)
    told = ask()
    assert told.reason == "per_mailbox 1/day is full until Tue 03 Mar 00:00 UTC"
    assert told.release.startswith("raise limits.per_mailbox in the file")


def test_what_is_due_asks_for_somebody_who_does_it(store, clock, ask):
    enrolled(store, clock.now(), wants=sequence(HELLO))
    told = ask()
    assert (told.reason, told.next_at) == ("it is due", clock.now())
    assert "relent serve" in told.release


def test_a_yes_that_is_waited_for(store, clock, ask, send):
    enrolled(store, clock.now(), wants=sequence(HELLO, BUMP, approval="first"))
    since = clock.now()
    clock.pass_(timedelta(hours=2))
    told = ask()
    assert told.reason == "held: approval (a human has to say yes)"
    assert told.since == since
    assert told.release == f"relent approve {told.draft_id}"

    approve(told.draft_id, by=Reviewer(id="kim"), store=store, clock=clock)
    assert len(send()) == 1


def test_a_yes_on_a_saturday_would_let_it_go_on_monday(store, clock, ask):
    enrolled(store, clock.now(), wants=sequence(HELLO, approval="first", schedule=OFFICE))
    clock.pass_(timedelta(days=5))
    told = ask()
    assert f"{told.next_at:%a %d %b %H:%M}" == "Mon 09 Mar 08:00"


def test_a_yes_on_a_full_day_would_let_it_go_on_the_next(store, clock, ask, send):
    limits = {"per_mailbox": "1/day"}
    enrolled(store, clock.now(), wants=sequence(HELLO, approval="first", limits=limits))
    clock.pass_(timedelta(days=1))
    enrolled(store, clock.now(), "first@harbour.example", wants=sequence(HELLO, limits=limits))
    send()
    told = ask()
    assert f"{told.next_at:%a %d %b %H:%M}" == "Wed 04 Mar 00:00"


def test_what_was_due_and_finds_no_room_says_so(store, clock, ask, send, mailbox, pace):
    wants = sequence(HELLO, limits={"per_mailbox": "1/day"})
    enrolled(store, clock.now(), "first@harbour.example", wants=wants)
    enrolled(store, clock.now(), wants=wants)
    clock.pass_(timedelta(days=1))
    one = replace(pace, batch=1)
    list(dispatch_due(store=store, mailbox=mailbox, clock=clock, pace=one))
    with store.transaction(clock.now(), "a test") as ledger:  # as long as nobody has looked at it again
        ledger.drafts.redate(ledger.drafts.get(draft_id(store, clock)), send_at=clock.now(), why="due")
    told = ask()
    assert told.reason == "it was due Tue 03 Mar 2026 09:00 UTC, and per_mailbox 1/day is full"
    assert told.release.startswith("raise limits.per_mailbox in the file")
    assert told.next_at == clock.now().replace(day=4, hour=0)


def test_what_was_due_when_its_window_has_closed_since_says_so(store, clock, ask):
    enrolled(store, clock.now(), wants=sequence(HELLO, schedule=OFFICE))
    clock.pass_(timedelta(hours=9))
    told = ask()
    assert told.reason == (
        "it was due Mon 02 Mar 2026 09:00 UTC, and window opens Tue 03 Mar 09:00 Europe/Oslo"
    )
    assert f"{told.local_time:%a %H:%M}" == "Tue 09:00"


def test_an_absence_without_end_is_ended_by_a_human(store, clock, ask, send, pace):
    enrolled(store, clock.now(), wants=sequence(HELLO, BUMP, out_of_office={"resume": "never"}))
    send()
    thread = people(store, clock.now())[0]["thread_id"]
    event = AutoReply(id="evt_1", inbox_id=SAM, thread_id=thread, message_id="<a@x>", sender=IDA)
    react(event, b"", store=store, clock=clock, pace=pace)
    told = ask()
    assert told.reason == "held: out_of_office (they are away)"
    assert told.release == (
        f"relent resume {IDA} when they are back; relent approve {told.draft_id} does not wait for that"
    )
    resume(IDA, by="kim", store=store, clock=clock)
    assert ask().next_at == clock.now() + timedelta(days=3)


def test_an_absence_that_ends_by_itself(store, clock, ask, send, pace):
    enrolled(store, clock.now(), wants=sequence(HELLO, BUMP))
    send()
    thread = people(store, clock.now())[0]["thread_id"]
    event = AutoReply(id="evt_1", inbox_id=SAM, thread_id=thread, message_id="<a@x>", sender=IDA)
    react(event, b"", store=store, clock=clock, pace=pace)
    told = ask()
    assert told.reason == "held: out_of_office (they are away) until Mon 09 Mar 2026 09:00 UTC"
    assert told.release.startswith("nothing: it goes on by itself")
    assert told.next_at == clock.now() + timedelta(days=10)


def test_an_answer_that_nobody_vouches_for(store, clock, ask, send, pace):
    enrolled(store, clock.now(), wants=sequence(HELLO, BUMP))
    send()
    thread = people(store, clock.now())[0]["thread_id"]
    react(reply(thread, verified=False), b"", store=store, clock=clock, pace=pace)
    told = ask()
    assert told.reason.startswith("held: unverified")
    assert told.release == f"relent approve {told.draft_id} if it is no answer, relent stop {IDA} if it is"


def test_a_letter_that_came_too_late(store, clock, ask, mailbox, pace):
    enrolled(store, clock.now(), wants=sequence(HELLO))
    clock.pass_(timedelta(days=3))
    recover(store=store, mailbox=mailbox, clock=clock, pace=pace)
    told = ask()
    assert told.reason == "held: late (its hour passed too long ago)"
    assert told.next_at == clock.now()


def test_a_server_that_said_not_now(store, clock, ask, send, mailbox):
    enrolled(store, clock.now(), wants=sequence(HELLO))

    def busy(letter):
        raise TemporaryFailure("421 too busy")

    mailbox.before_gate = busy
    send()
    told = ask()
    assert told.reason == "tried once: 421 too busy"
    assert told.next_at == clock.now() + timedelta(minutes=1)
    assert told.release.startswith("nothing: it goes on by itself")


def test_a_server_that_said_never(store, clock, ask, send, mailbox):
    enrolled(store, clock.now(), wants=sequence(HELLO))

    def no(letter):
        raise PermanentFailure("550 no such user")

    mailbox.before_gate = no
    send()
    told = ask()
    assert (told.reason, told.next_at) == ("failed: 550 no such user", None)
    assert told.release == f"relent approve {told.draft_id} tries again; relent stop {IDA} gives up"


@pytest.mark.parametrize("stopped", [False, True])
def test_a_letter_that_may_have_left(store, clock, ask, stopped):
    enrolled(store, clock.now(), wants=sequence(HELLO))
    with store.database.begin() as db:
        db.execute(update(draft).values(state=DraftState.UNCERTAIN, outcome="silence"))
    if stopped:
        stop(IDA, by="a test", store=store, clock=clock)
    told = ask()
    assert (told.reason, told.next_at) == ("uncertain: silence", None)
    assert told.release.endswith(f"relent settle {told.draft_id} --left or --did-not-leave")


def test_a_letter_in_mid_send(store, clock, ask, send, mailbox):
    enrolled(store, clock.now(), wants=sequence(HELLO))
    seen = []
    mailbox.after_gate = lambda letter: seen.append(ask())
    send()
    assert [told.reason for told in seen] == ["it is leaving now"]


def test_a_wait_for_something_that_somebody_does(store, clock, ask, send):
    wait = {"id": "w", "wait_for": 'clicked("report")', "up_to": "3d", "then": [BUMP], "else": []}
    enrolled(store, clock.now(), wants=sequence(HELLO, wait))
    send()
    told = ask()
    assert told.reason == 'waits for clicked("report")'
    assert told.next_at == clock.now() + timedelta(days=3)
    assert told.release == f"relent event clicked --email {IDA} --value report, or wait"

    happen("evt_1", "clicked", IDA, "report", by="a test", store=store, clock=clock)
    assert ask().reason == "3d after w"


def test_a_task_that_comes_next(store, clock, ask, send):
    enrolled(store, clock.now(), wants=sequence(HELLO, {"id": "call", "after": "2d", "task": "Call them"}))
    send()
    told = ask()
    assert (told.reason, told.step) == ("next is the task call", "call")
    assert told.next_at == clock.now() + timedelta(days=2)


def test_a_task_that_is_not_done(store, clock, ask, send):
    call = {"id": "call", "task": "Call them", "blocking": "true"}
    enrolled(store, clock.now(), wants=sequence(HELLO, call, BUMP))
    send()
    told = ask()
    assert told.reason == "paused: call is not done"
    assert "relent done TASK_ID" in told.release


def test_something_that_is_missing(store, clock, ask):
    wants = sequence(HELLO | {"body": "About {{ site }}"})
    with store.transaction(clock.now(), "a test") as ledger:
        assert isinstance(enroll(prepare(Prospect(email=IDA), wants), ledger=ledger), Waits)
    told = ask()
    assert (told.state, told.reason, told.next_at) == ("paused", "paused: site is missing", None)
    assert told.release == "hand the list in with it again: relent enroll FILE PEOPLE.csv"


@pytest.mark.parametrize(
    ("reason", "release"),
    [
        ("bounce_rate: 7 of 60 letters, more than 5.0%", f"relent resume {IDA}"),
        ("unverified", f"relent resume {IDA} if it is no answer, relent stop {IDA} if it is"),
        ("cannot be planned: no such zone", f"then relent resume {IDA}"),
    ],
)
def test_a_pause(store, clock, ask, reason, release):
    enrollment_id = enrolled(store, clock.now(), wants=sequence(HELLO, BUMP))
    clock.pass_(timedelta(hours=1))
    with store.transaction(clock.now(), "a test") as ledger:
        ledger.enrollments.pause([enrollment_id], reason)
    told = ask()
    assert told.reason.startswith(f"paused: {reason}")
    assert told.since == clock.now()
    assert told.next_at is None
    assert told.release.endswith(release)


@pytest.mark.parametrize(
    ("above", "release"),
    [
        ({}, "nothing; enroll.again_after in the file would allow it again"),
        (
            {"enroll": {"again_after": "30d"}},
            "relent enroll, from Wed 01 Apr 2026 09:00 UTC on (enroll.again_after 30d)",
        ),
    ],
)
def test_somebody_who_answered(store, clock, ask, send, pace, above, release):
    enrolled(store, clock.now(), wants=sequence(HELLO, BUMP, **above))
    send()
    react(
        reply(people(store, clock.now())[0]["thread_id"], verified=True),
        b"",
        store=store,
        clock=clock,
        pace=pace,
    )
    told = ask()
    assert (told.state, told.reason) == ("stopped", "stopped: replied (they answered)")
    assert (told.since, told.release) == (clock.now(), release)


def test_somebody_to_whom_everything_was_said(store, clock, ask, send):
    enrolled(store, clock.now(), wants=sequence(HELLO))
    send()
    assert (ask().state, ask().reason) == ("finished", "everything was said")


def test_somebody_who_is_never_to_be_written_to(store, clock, ask):
    enrolled(store, clock.now(), wants=sequence(HELLO))
    suppress(IDA, why="she asked us", by="kim", store=store, clock=clock)
    told = why(IDA, store=store, clock=clock)
    assert (told.suppressed, told.suppressed_since) == ("she asked us", clock.now())
    assert told.standings[0].release == "nothing: nobody here writes to this address again"


def test_a_domain_that_is_never_to_be_written_to_says_so_of_strangers_too(store, clock):
    suppress("nordic.example", why="a competitor", by="kim", store=store, clock=clock)
    told = why(IDA, store=store, clock=clock)
    assert (told.suppressed, told.standings) == ("a competitor", ())


def test_where_they_are_now_comes_before_where_they_were(store, clock, send):
    enrolled(store, clock.now(), wants=sequence(HELLO, name="First"))
    send()
    clock.pass_(timedelta(days=1))
    enrolled(store, clock.now(), wants=sequence(HELLO, BUMP, name="Second"))
    told = why("IDA@Nordic.example ", store=store, clock=clock)
    assert [each.sequence for each in told.standings] == ["Second", "First"]


@pytest.mark.parametrize("email", ["nobody@nowhere.example", "no address", ""])
def test_somebody_of_whom_nobody_has_heard(store, clock, email):
    with pytest.raises(NotFound, match="nobody here has ever written"):
        why(email, store=store, clock=clock)


def test_asking_changes_nothing(store, clock, ask):
    enrolled(store, clock.now(), wants=sequence(HELLO, BUMP))
    before = pending(store, clock.now()), people(store, clock.now())
    ask()
    assert (pending(store, clock.now()), people(store, clock.now())) == before
