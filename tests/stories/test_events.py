"""What happens elsewhere is heard: it stops whom it should, ends the wait for it, and is never heard twice."""

import threading
from datetime import timedelta

import pytest

from engine.advance import advance
from engine.dispatch import dispatch_due
from engine.enroll import NotWanted, enroll, prepare
from engine.errors import Refused
from engine.happen import happen
from engine.model import Prospect
from engine.wake import wake_due
from tests.doubles import FrozenClock
from tests.makers import IDA, enrolled, pending, people, sequence

KIM = "kim@nordic.example"
DAY = timedelta(days=1)

#: A letter, a wait for a click on the report, and another letter either way.
WAIT = sequence(
    {"id": "hello", "subject": "A report", "body": "Hello"},
    {
        "id": "reads",
        "wait_for": 'clicked("report")',
        "up_to": "5d",
        "then": [{"id": "thanks", "body": "You have read it"}],
        "else": [{"id": "bump", "body": "Did you read it?"}],
    },
)


@pytest.fixture
def hear(store, clock):
    def hear(name, email=IDA, value=None, event_id=None):
        hear.heard += 1
        named = event_id or f"evt_{hear.heard}"
        return happen(named, name, email, value, by="a test", store=store, clock=clock)

    hear.heard = 0
    return hear


@pytest.fixture
def send_all(store, clock, mailbox, pace):
    return lambda: list(dispatch_due(store=store, mailbox=mailbox, clock=clock, pace=pace))


def states(store, clock):
    return {
        (each["email"], each["sequence"]): each["stop_reason"] or each["state"]
        for each in people(store, clock.now())
    }


def steps(store, clock):
    return [draft["step"] for draft in pending(store, clock.now())]


# --- whom it stops ---


def test_whoever_has_booked_a_meeting_gets_no_follow_up(store, clock, hear, send_all, mailbox):
    enrolled(store, clock.now())
    send_all()

    noted = hear("meeting_booked")

    assert (noted.new, noted.people, noted.stopped) == (True, 1, 1)
    assert pending(store, clock.now()) == []
    assert states(store, clock) == {(IDA, "Quick question"): "meeting"}
    clock.pass_(30 * DAY)
    assert send_all() == []
    assert len(mailbox.sent) == 1


@pytest.mark.parametrize(
    ("scope", "kim_is"),
    [("person", "active"), ("company", "meeting"), ("never", "active")],
)
def test_the_sequence_says_whether_a_meeting_stops_colleagues_too(store, clock, hear, scope, kim_is):
    wants = sequence(stop={"meeting": scope})
    other = sequence(name="Another")
    for email in (IDA, KIM):
        enrolled(store, clock.now(), email, wants)
    enrolled(store, clock.now(), KIM, other)
    enrolled(store, clock.now(), "ida@elsewhere.example", wants)

    hear("meeting_booked")

    assert states(store, clock) == {
        (IDA, "Quick question"): "active" if scope == "never" else "meeting",
        (KIM, "Quick question"): kim_is,
        (KIM, "Another"): "active",
        ("ida@elsewhere.example", "Quick question"): "active",
    }


def test_a_mailbox_at_gmail_is_nobodys_colleague(store, clock, hear):
    wants = sequence(stop={"meeting": "company"})
    for email in ("ida@gmail.com", "kim@gmail.com"):
        enrolled(store, clock.now(), email, wants)

    hear("meeting_booked", "ida@gmail.com")

    assert states(store, clock)["kim@gmail.com", "Quick question"] == "active"


def test_a_sequence_that_waits_for_a_meeting_goes_on_with_it(store, clock, hear, send_all):
    wants = sequence(
        {"id": "hello", "subject": "Hi", "body": "Hello"},
        {
            "id": "meet",
            "wait_for": "meeting_booked",
            "up_to": "9d",
            "then": [{"id": "agenda", "body": "For Monday:"}],
        },
    )
    enrolled(store, clock.now(), wants=wants)
    send_all()

    noted = hear("meeting_booked")

    assert (noted.stopped, noted.went_on) == (0, 1)
    assert steps(store, clock) == ["agenda"]


@pytest.mark.parametrize(
    "name",
    ["reply", "bounce", "complaint", "unsubscribe", "meeting", "copy", "json", "model_fields", "deal_won"],
)
def test_any_other_word_stops_nobody(store, clock, hear, name):
    """A rule called so, or a method of the program, is no event that stops."""
    enrolled(store, clock.now(), wants=sequence(stop={"reply": "company"}))
    assert hear(name).stopped == 0
    assert states(store, clock) == {(IDA, "Quick question"): "active"}


def test_whoever_wants_no_more_is_never_written_to_again_by_anybody(store, clock, hear):
    enrolled(store, clock.now())
    enrolled(store, clock.now(), wants=sequence(name="Another"))
    enrolled(store, clock.now(), KIM)

    noted = hear("unsubscribed", "Ida@Nordic.example")

    assert (noted.stopped, noted.suppressed) == (2, True)
    assert states(store, clock) == {
        (IDA, "Quick question"): "unsubscribed",
        (IDA, "Another"): "unsubscribed",
        (KIM, "Quick question"): "active",
    }
    assert [draft["to"] for draft in pending(store, clock.now())] == [KIM]
    with store.transaction(clock.now(), "a test") as ledger:
        again = enroll(prepare(Prospect(email=IDA), sequence(name="A third")), ledger=ledger)
    assert again == NotWanted("unsubscribed")


@pytest.mark.parametrize(
    ("scope", "kim_is"),
    [("person", "active"), ("company", "unsubscribed")],
)
def test_an_unsubscribe_may_mean_this_sequence_only(store, clock, hear, scope, kim_is):
    wants = sequence(stop={"unsubscribe": scope})
    for email in (IDA, KIM):
        enrolled(store, clock.now(), email, wants)
    enrolled(store, clock.now(), wants=sequence(name="Another", stop={"unsubscribe": "person"}))

    noted = hear("unsubscribed")

    assert not noted.suppressed
    assert states(store, clock)[IDA, "Quick question"] == "unsubscribed"
    assert states(store, clock)[IDA, "Another"] == "unsubscribed"
    assert states(store, clock)[KIM, "Quick question"] == kim_is


def test_an_unsubscribe_counts_after_the_last_letter_too(store, clock, hear, send_all):
    enrolled(store, clock.now(), wants=sequence({"subject": "Hi", "body": "Once"}))
    send_all()
    assert states(store, clock) == {(IDA, "Quick question"): "finished"}

    noted = hear("unsubscribed")

    assert (noted.people, noted.suppressed) == (0, True)


def test_a_stranger_who_wants_nothing_gets_nothing(store, clock, hear):
    assert hear("unsubscribed").suppressed
    with store.transaction(clock.now(), "a test") as ledger:
        assert enroll(prepare(Prospect(email=IDA), sequence()), ledger=ledger) == NotWanted("unsubscribed")


# --- whose wait it ends ---


def test_an_event_ends_the_wait_for_it(store, clock, hear, send_all):
    enrolled(store, clock.now(), wants=WAIT)
    send_all()
    assert steps(store, clock) == []
    clock.pass_(DAY)

    noted = hear("clicked", value="report")

    assert noted.went_on == 1
    assert [(draft["step"], draft["send_at"]) for draft in pending(store, clock.now())] == [
        ("thanks", clock.now())
    ]


def test_an_event_that_came_before_the_wait_counts(store, clock, hear, send_all):
    enrolled(store, clock.now(), wants=WAIT)
    assert hear("clicked", value="report").went_on == 0
    send_all()
    assert steps(store, clock) == ["thanks"]


@pytest.mark.parametrize(
    ("name", "value"), [("clicked", "price list"), ("clicked", None), ("opened", "report")]
)
def test_another_event_ends_nothing(store, clock, hear, send_all, name, value):
    enrolled(store, clock.now(), wants=WAIT)
    send_all()
    assert hear(name, value=value).went_on == 0
    assert steps(store, clock) == []


def test_an_event_that_came_before_they_were_enrolled_does_not_count(store, clock, hear, send_all):
    assert hear("clicked", value="report").people == 0
    clock.pass_(DAY)
    enrolled(store, clock.now(), wants=WAIT)
    send_all()
    assert steps(store, clock) == []


def test_when_nothing_comes_the_wait_ends_by_itself(store, clock, send_all):
    enrolled(store, clock.now(), wants=WAIT)
    send_all()
    clock.pass_(5 * DAY - timedelta(seconds=1))
    assert wake_due(store=store, clock=clock) == 0
    clock.pass_(timedelta(seconds=1))

    assert wake_due(store=store, clock=clock) == 1

    assert steps(store, clock) == ["bump"]
    assert wake_due(store=store, clock=clock) == 0


def test_an_event_of_this_very_instant_ends_a_wait_however_finely_the_clock_ticks(store, mailbox, pace):
    """The books round to milliseconds: what just happened must not seem to lie ahead."""
    clock = FrozenClock(FrozenClock().now() + timedelta(microseconds=999_600))
    enrolled(store, clock.now(), wants=WAIT)
    clock.pass_(timedelta(seconds=1))
    list(dispatch_due(store=store, mailbox=mailbox, clock=clock, pace=pace))
    clock.pass_(DAY)

    noted = happen("evt_1", "clicked", IDA, "report", by="a test", store=store, clock=clock)

    assert noted.went_on == 1
    assert steps(store, clock) == ["thanks"]


def test_a_letter_that_has_its_hour_keeps_it(store, clock, hear):
    enrolled(store, clock.now())
    before = pending(store, clock.now())
    assert hear("clicked", value="report").went_on == 0
    assert pending(store, clock.now()) == before


def test_an_event_does_not_wake_whom_a_human_paused(store, clock, hear, send_all):
    enrollment_id = enrolled(store, clock.now(), wants=WAIT)
    send_all()
    with store.transaction(clock.now(), "a test") as ledger:
        ledger.enrollments.pause([enrollment_id], "let me look first")

    assert hear("clicked", value="report").went_on == 0

    assert states(store, clock) == {(IDA, "Quick question"): "paused"}


# --- what is heard, and how often ---


def test_heard_twice_is_heard_once(store, clock, hear, send_all):
    enrolled(store, clock.now(), wants=WAIT)
    send_all()
    assert hear("clicked", value="report", event_id="crm-77").new
    send_all()
    assert not hear("clicked", value="report", event_id="crm-77").new
    assert not hear("meeting_booked", event_id="crm-77").new
    assert states(store, clock) == {(IDA, "Quick question"): "finished"}


def test_an_event_about_nobody_is_kept(store, clock, hear):
    noted = hear("clicked", value="report", event_id="crm-77")
    assert (noted.new, noted.people) == (True, 0)
    assert not hear("clicked", value="report", event_id="crm-77").new


@pytest.mark.parametrize(
    ("name", "right"),
    [
        ('clicked("security-report")', "relent event clicked --value security-report"),
        ("clicked(report)", "relent event clicked --value report"),
        ("Meeting Booked", "relent event meeting_booked"),
        ("deal-won", "relent event deal_won"),
        ("", "relent event meeting_booked"),
        ("42", "relent event meeting_booked"),
        ("größer", "relent event gr_er"),
        ("x" * 65, "relent event meeting_booked"),
    ],
)
def test_a_name_that_is_none_is_refused_with_the_right_one(store, hear, name, right):
    with pytest.raises(Refused, match="is no name of an event") as refused:
        hear(name)
    assert right in str(refused.value)


@pytest.mark.parametrize(
    "wrong",
    [
        {"email": "nobody"},
        {"value": "x" * 201},
        {"value": "two\nlines"},
        {"event_id": "nul\0"},
        {"event_id": "x" * 201},
    ],
)
def test_what_cannot_be_kept_is_refused(hear, wrong):
    with pytest.raises(Refused):
        hear("clicked", **wrong)


def test_colleagues_who_book_at_the_same_moment_do_not_wait_for_each_other_for_ever(store, clock):
    wants = sequence(stop={"meeting": "company"})
    for number in range(10):
        for who in ("ida", "kim"):
            enrolled(store, clock.now(), f"{who}@firm{number}.example", wants)
    failures: list[BaseException] = []

    def book(who: str) -> None:
        try:
            for number in range(10):
                email = f"{who}@firm{number}.example"
                happen(f"{who}{number}", "meeting_booked", email, None, by="a test", store=store, clock=clock)
        except BaseException as error:  # noqa: BLE001
            failures.append(error)

    threads = [threading.Thread(target=book, args=[who]) for who in ("ida", "kim")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert failures == []
    assert set(states(store, clock).values()) == {"meeting"}


# --- waking ---


def test_two_workers_wake_somebody_once(store, clock, send_all):
    for number in range(20):
        enrolled(store, clock.now(), f"ida{number}@nordic.example", WAIT)
    send_all()
    clock.pass_(5 * DAY)
    woken: list[int] = []

    threads = [
        threading.Thread(target=lambda: woken.append(wake_due(store=store, clock=clock))) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert sum(woken) == 20
    assert steps(store, clock) == ["bump"] * 20


def test_one_who_cannot_be_woken_does_not_keep_the_others_asleep(store, clock, send_all, monkeypatch):
    broken = enrolled(store, clock.now(), wants=WAIT)
    enrolled(store, clock.now(), KIM, WAIT)
    send_all()
    clock.pass_(5 * DAY)

    def stumble(enrollment, ledger):
        if enrollment.id == broken:
            raise RuntimeError("our own mistake")
        return advance(enrollment, ledger)

    monkeypatch.setattr("engine.wake.advance", stumble)

    assert wake_due(store=store, clock=clock) == 2

    assert [draft["to"] for draft in pending(store, clock.now())] == [KIM]
    [ida] = [each for each in people(store, clock.now()) if each["email"] == IDA]
    assert ida["state"] == "paused"
    assert "our own mistake" in ida["reason"]
    assert wake_due(store=store, clock=clock) == 0
