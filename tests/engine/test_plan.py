"""The planner: what comes next, when, and why then."""

from datetime import timedelta

import pytest

from engine.errors import Refused
from engine.model import Enrollment
from engine.plan import NothingLeft, Planned, Said, Waiting, lacking, plan, rehearse
from engine.states import EnrollmentState
from tests.doubles import MONDAY
from tests.makers import IDA, SAM, sequence


def enrollment(state=EnrollmentState.ACTIVE, reason=None, **variables):
    return Enrollment(
        id="enr_1",
        sequence="Q",
        version="v",
        inbox_id=SAM,
        email=IDA,
        contact=IDA,
        variables=variables,
        state=state,
        reason=reason,
        thread_id="thr_1",
        created_at=MONDAY,
    )


def test_the_first_mail_goes_right_after_enrolment():
    planned = plan(sequence(), enrollment(), (), MONDAY)
    assert planned == Planned(
        step="step-1",
        subject="Quick question",
        text="Hello\n",
        send_at=MONDAY,
        reason="right after enrolment",
    )


def test_a_wait_is_counted_from_when_the_mail_before_it_really_left():
    left = MONDAY + timedelta(days=2, hours=5)
    planned = plan(sequence(), enrollment(), (Said("step-1", left),), left)
    assert (planned.step, planned.send_at, planned.reason) == (
        "step-2",
        left + timedelta(days=3),
        "3d after step-1",
    )


def test_what_should_have_gone_already_goes_now_and_never_in_the_past():
    now = MONDAY + timedelta(days=30)
    planned = plan(sequence(), enrollment(), (Said("step-1", MONDAY),), now)
    assert (planned.send_at, planned.reason) == (now, "3d after step-1 has passed already")


def test_a_window_is_waited_for_in_the_persons_zone():
    office = {"schedule": {"windows": "mon-fri 09:00-17:00"}}
    for zone, hour in (("Europe/Oslo", 9), ("America/New_York", 14), ("", 9)):
        planned = plan(sequence(**office), enrollment(timezone=zone), (), MONDAY)
        assert planned.send_at.hour == hour


def test_when_everything_was_said_nothing_is_left():
    said = tuple(Said(f"step-{number}", MONDAY) for number in (1, 2, 3))
    assert plan(sequence(), enrollment(), said, MONDAY) == NothingLeft()


@pytest.mark.parametrize("state", [EnrollmentState.PAUSED, EnrollmentState.STOPPED, EnrollmentState.FINISHED])
def test_whoever_is_not_active_gets_nothing_and_hears_why(state):
    assert plan(sequence(), enrollment(state, "replied"), (), MONDAY) == Waiting("replied")


def test_the_same_question_has_the_same_answer():
    answers = {plan(sequence(), enrollment(), (), MONDAY) for _ in range(5)}
    assert len(answers) == 1


WANTS = sequence(
    {"subject": "Hi {{ company }}", "body": "Hello {{ first_name | default('there') }} at {{ site }}"}
)


@pytest.mark.parametrize(
    ("variables", "missing"),
    [
        ({"company": "N", "site": "n.example"}, None),
        ({"company": "N"}, "site is missing"),
        ({"company": " ", "site": "n.example"}, "company is missing"),
        ({}, "company, site are missing"),
    ],
)
def test_what_is_missing_is_named_before_the_first_mail(variables, missing):
    assert lacking(WANTS, variables) == missing


def test_defaults_fill_in_and_requirements_do_not_wait_for_a_template():
    assert lacking(sequence(defaults={"company": "your company"}), {}) is None
    assert lacking(sequence(requires=["phone"]), {}) == "phone is missing"


def test_the_address_is_always_known():
    assert lacking(sequence({"subject": "Hi", "body": "{{ email }}"}), {}) is None
    assert (
        plan(sequence({"subject": "Hi", "body": "{{ email }}"}), enrollment(), (), MONDAY).text == f"{IDA}\n"
    )


@pytest.mark.parametrize("company", ["A\nBcc: x@y.example", "A\rB", "A\x0bB", "A\u2028B", "A\x85B", "A\x00B"])
def test_a_line_break_never_reaches_a_header(company):
    with pytest.raises(Refused, match="step-1: the subject has a line break"):
        rehearse(sequence({"subject": "Hi {{ company }} x", "body": "x"}), IDA, {"company": company})


def test_a_mail_that_would_be_empty_is_refused():
    with pytest.raises(Refused, match="step-1: the text is empty"):
        rehearse(sequence({"subject": "Hi", "body": "{{ note | default('') }}"}), IDA, {})


def test_a_value_that_looks_like_a_template_stays_text():
    planned = plan(sequence({"subject": "Hi", "body": "{{ x }}"}), enrollment(x="{{ 7 * 7 }}"), (), MONDAY)
    assert planned.text == "{{ 7 * 7 }}\n"
