"""The tests that sit in a sequence: what they can promise, and how they say that it is not so."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from engine.sequence import Sequence, Trial
from engine.trial import run
from sequences.loader import load

ROOT = Path(__file__).parents[2]
FILES = [
    *sorted((ROOT / "tests" / "fixtures" / "sequences").glob("*.yaml")),
    *sorted((ROOT / "sequences").glob("*.yaml")),
]
IDA = {"email": "ida@nordic.example", "first_name": "Ida", "timezone": "Europe/Oslo"}

#: A week in Oslo: an opener, a report that may be clicked, and an end.
WEEK = Sequence.model_validate(
    {
        "name": "Week",
        "from": {"pool": "emea"},
        "requires": ["first_name"],
        "schedule": {"windows": "mon-fri 09:00-17:00"},
        "enroll": {"skip_if": "is_customer"},
        "steps": [
            {"id": "opener", "subject": "Hi {{ first_name }}", "body": "x"},
            {
                "id": "wait",
                "wait_for": 'clicked("report")',
                "up_to": "2d",
                "then": [{"id": "call", "task": "Call {{ first_name }}"}],
                "else": [{"id": "bump", "body": "y"}],
            },
            {"id": "crm", "webhook": "https://crm.example.com/hook"},
            {"id": "end", "after": "1w", "subject": "Bye", "body": "z"},
        ],
    }
)
TUESDAY = "2026-03-24T10:00:00+01:00"  # the clock is changed on the Sunday after


def tried(expect, *events, recipient=IDA, start=TUESDAY, sequence=WEEK):
    data = {
        "name": "a test",
        "start": start,
        "recipient": recipient,
        "events": list(events),
        "expect": expect,
    }
    return run(sequence, Trial.model_validate(data))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_what_our_own_examples_promise_is_so(file):
    sequence = load(file)
    assert {trial.name: run(sequence, trial) for trial in sequence.tests} == {
        trial.name: () for trial in sequence.tests
    }


def test_what_reaches_further_than_calendars_do_fails_in_words():
    far = Trial.model_validate(
        {"name": "far", "start": TUESDAY, "recipient": IDA, "expect": {"sent": []}}
    ).model_copy(update={"start": datetime(9999, 12, 30, tzinfo=UTC)})

    assert run(WEEK, far) == ("it cannot be played: it reaches further than calendars do",)


def test_the_example_of_the_whole_language_has_its_four_tests():
    assert len(load(FILES[2]).tests) == 4


@pytest.mark.parametrize(
    ("event", "expect"),
    [
        ({"at": "1d", "reply": "Yes"}, {"sent": ["opener"], "state": "replied"}),
        ({"at": "1m", "bounce": "no such user"}, {"sent": ["opener"], "state": "bounced"}),
        ({"at": "1d", "complaint": "spam"}, {"sent": ["opener"], "state": "complained"}),
        ({"at": "1d", "unsubscribe": "please"}, {"sent": ["opener"], "state": "unsubscribed"}),
        ({"at": "1d", "event": "meeting_booked"}, {"sent": ["opener"], "state": "meeting"}),
        (
            {"at": "1d", "event": "deal_won", "value": "gold"},
            {"sent": ["opener", "bump", "end"], "tasks": []},
        ),
        (
            {"at": "1d", "click": "report"},
            {"sent": ["opener", "end"], "tasks": ["call"], "state": "finished"},
        ),
        ({"at": "1d", "click": "pricing"}, {"sent": ["opener", "bump", "end"], "tasks": []}),
        (
            {"at": "1d", "out_of_office": "2026-04-02"},
            {"not_before": {"bump": "2026-04-03", "end": "2026-04-10"}},
        ),
        (
            {"at": "1d", "out_of_office": "unknown"},
            {"not_before": {"bump": "2026-04-01"}, "state": "finished"},
        ),
    ],
    ids=lambda value: next((key for key in value if key not in ("at", "sent")), "") if "at" in value else "",
)
def test_everything_that_can_happen_happens(event, expect):
    assert tried(expect, event) == ()


@pytest.mark.parametrize(
    ("expect", "words"),
    [
        ({"sent": ["opener"]}, "sent: expected opener; got opener, bump, end"),
        ({"sent": ["bump", "opener", "end"]}, "sent: expected bump, opener, end; got opener, bump, end"),
        ({"sent": []}, "sent: expected nothing; got opener, bump, end"),
        ({"tasks": ["call"]}, "tasks: expected call; got nothing"),
        ({"webhooks": []}, "webhooks: expected nothing; got crm"),
        ({"state": "replied"}, "state: expected replied; got finished"),
        ({"state": "active"}, "state: expected active; got finished"),
        (
            {"not_before": {"bump": "2026-03-27"}},
            "not_before: expected bump on 2026-03-27 or later; got Thu 26 Mar 2026 10:00 Europe/Oslo",
        ),
        (
            {"not_before": {"bump": "2026-03-26T10:00:01+01:00"}},
            "not_before: expected bump on 2026-03-26T10:00:01+01:00 or later; got Thu 26 Mar 2026 10:00 Europe/Oslo",
        ),
        (
            {"not_before": {"call": "2026-03-01"}},
            "not_before: expected call on 2026-03-01 or later; it was not sent",
        ),
        (
            {"within": "mon-wed 09:00-17:00"},
            "within: expected bump in mon-wed 09:00-17:00; got Thu 26 Mar 2026 10:00 Europe/Oslo",
        ),
        (
            {"within": ["thu 08:00-12:00", "tue 10:01-17:00"]},
            "within: expected opener in thu 08:00-12:00 or tue 10:01-17:00; got Tue 24 Mar 2026 10:00 Europe/Oslo",
        ),
    ],
)
def test_what_went_otherwise_is_said_in_words(expect, words):
    assert words in tried(expect)


def test_every_expectation_is_looked_at():
    assert len(tried({"sent": [], "tasks": ["call"], "webhooks": [], "state": "replied"})) == 4


@pytest.mark.parametrize("expect", [{}, {"sent": ["opener", "bump", "end"], "webhooks": ["crm"]}])
def test_what_went_as_expected_is_not_talked_about(expect):
    assert tried(expect) == ()


@pytest.mark.parametrize(("day", "failures"), [("2026-03-26", 0), ("2026-03-27", 1)])
def test_a_day_is_one_of_the_persons_own(day, failures):
    """It is Thursday evening in Oslo, and Friday morning in Tokyo, or the other way round."""
    tokyo = IDA | {"timezone": "Asia/Tokyo"}
    bump = tried({"not_before": {"bump": day}}, recipient=tokyo, start="2026-03-24T01:00:00+00:00")
    assert len(bump) == failures


def test_the_zone_of_a_sequence_is_not_the_persons():
    """The windows are Oslo's; at that hour it is not yet six in New York."""
    oslo = WEEK.model_copy(update={"schedule": WEEK.schedule.model_copy(update={"timezone": "Europe/Oslo"})})
    ola = IDA | {"timezone": "America/New_York"}
    assert tried({"within": "mon-fri 09:00-17:00"}, sequence=oslo) == ()
    assert (
        "got Tue 24 Mar 2026 05:00 America/New_York"
        in tried({"within": "mon-fri 09:00-17:00"}, recipient=ola, sequence=oslo)[0]
    )


def test_an_event_after_two_days_keeps_its_hour_across_a_clock_change():
    """At ten in the morning, Oslo time, on either side; the bump would leave a second later."""
    friday = {"start": "2026-03-27T10:00:01+01:00"}
    click = {"at": "2d", "click": "report"}
    assert tried({"sent": ["opener", "end"], "tasks": ["call"]}, click, **friday) == ()


@pytest.mark.parametrize("state", ["paused", "held", "first_name is missing", "held: first_name is missing"])
def test_somebody_who_lacks_something_is_held_in_any_word_for_it(state):
    assert tried({"sent": [], "state": state}, recipient={"email": "ida@nordic.example"}) == ()


def test_a_hold_that_was_not_expected_says_what_is_missing():
    failures = tried({"state": "finished"}, recipient={"email": "ida@nordic.example"})
    assert failures == ("state: expected finished; got held: first_name is missing",)


def test_whom_a_rule_leaves_out_is_skipped():
    customer = IDA | {"is_customer": "yes"}
    assert tried({"sent": [], "state": "skipped"}, recipient=customer) == ()
    assert tried({"state": "finished"}, recipient=customer) == ("state: expected finished; got skipped",)


@pytest.mark.parametrize(
    ("recipient", "words"),
    [
        ({"first_name": "Ida"}, "there is no e-mail address"),
        ({"email": "ida", "first_name": "Ida"}, "is no e-mail address"),
        (IDA | {"timezone": "Europe/Atlantis"}, "Europe/Atlantis"),
        (IDA | {"first_name": "I\nda"}, "opener: the subject has a line break"),
    ],
)
def test_somebody_who_cannot_be_written_to_is_a_failure_and_no_crash(recipient, words):
    [failure] = tried({"sent": []}, recipient=recipient)
    assert failure.startswith("it cannot be played: ")
    assert words in failure


def test_a_person_nobody_answers_for_ever_has_an_end():
    """Three years are watched; what takes longer is still going on."""
    slow = WEEK.model_copy(
        update={
            "steps": (
                WEEK.steps[0],
                WEEK.steps[-1].model_copy(update={"after": WEEK.steps[-1].after.__class__(2000, "d")}),
            )
        }
    )
    assert tried({"sent": ["opener"], "state": "active"}, sequence=slow) == ()
