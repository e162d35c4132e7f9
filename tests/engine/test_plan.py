"""The planner: what comes next, when, and why then."""

from dataclasses import replace
from datetime import timedelta

import pytest

from engine.errors import Refused
from engine.limits import Place
from engine.model import Enrollment
from engine.plan import Done, Happened, History, NothingLeft, Planned, Said, Waiting, plan
from engine.states import EnrollmentState
from engine.wording import lacking, rehearse
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
    planned = plan(sequence(), enrollment(), History(), MONDAY)
    assert planned == Planned(
        step="step-1",
        subject="Quick question",
        text="Hello\n",
        send_at=MONDAY,
        reason="right after enrolment",
        place=Place(
            inbox=SAM,
            company="nordic.example",
            domain="nordic.example",
            opener=True,
            seed=f"Quick question/{IDA}/step-1",
        ),
    )


def test_a_wait_is_counted_from_when_the_mail_before_it_really_left():
    left = MONDAY + timedelta(days=2, hours=5)
    planned = plan(sequence(), enrollment(), History(said=(Said("step-1", left),)), left)
    assert (planned.step, planned.send_at, planned.reason) == (
        "step-2",
        left + timedelta(days=3),
        "3d after step-1",
    )


def test_what_should_have_gone_already_goes_now_and_never_in_the_past():
    now = MONDAY + timedelta(days=30)
    planned = plan(sequence(), enrollment(), History(said=(Said("step-1", MONDAY),)), now)
    assert (planned.send_at, planned.reason) == (now, "3d after step-1 has passed already")


def test_a_window_is_waited_for_in_the_persons_zone():
    office = {"schedule": {"windows": "mon-fri 09:00-17:00"}}
    for zone, hour in (("Europe/Oslo", 9), ("America/New_York", 14), ("", 9)):
        planned = plan(sequence(**office), enrollment(timezone=zone), History(), MONDAY)
        assert planned.send_at.hour == hour


def test_when_everything_was_said_nothing_is_left():
    said = tuple(Said(f"step-{number}", MONDAY) for number in (1, 2, 3))
    assert plan(sequence(), enrollment(), History(said=said), MONDAY) == NothingLeft()


@pytest.mark.parametrize("state", [EnrollmentState.PAUSED, EnrollmentState.STOPPED, EnrollmentState.FINISHED])
def test_whoever_is_not_active_gets_nothing_and_hears_why(state):
    assert plan(sequence(), enrollment(state, "replied"), History(), MONDAY) == Waiting("replied")


def test_the_same_question_has_the_same_answer():
    asked = [plan(sequence(), enrollment(), History(), MONDAY) for _ in range(5)]
    assert all(answer == asked[0] for answer in asked)


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
        plan(sequence({"subject": "Hi", "body": "{{ email }}"}), enrollment(), History(), MONDAY).text
        == f"{IDA}\n"
    )


@pytest.mark.parametrize("company", ["A\nBcc: x@y.example", "A\rB", "A\x0bB", "A\u2028B", "A\x85B", "A\x00B"])
def test_a_line_break_never_reaches_a_header(company):
    with pytest.raises(Refused, match="step-1: the subject has a line break"):
        rehearse(sequence({"subject": "Hi {{ company }} x", "body": "x"}), IDA, {"company": company})


def test_a_mail_that_would_be_empty_is_refused():
    with pytest.raises(Refused, match="step-1: the text is empty"):
        rehearse(sequence({"subject": "Hi", "body": "{{ note | default('') }}"}), IDA, {})


def test_a_value_that_looks_like_a_template_stays_text():
    planned = plan(
        sequence({"subject": "Hi", "body": "{{ x }}"}), enrollment(x="{{ 7 * 7 }}"), History(), MONDAY
    )
    assert planned.text == "{{ 7 * 7 }}\n"


# --- the ways through ---

DAY = timedelta(days=1)
OPENER = {"id": "opener", "subject": "Hi", "body": "Hello"}


NOTHING_YET = History()


def _next(steps, history=NOTHING_YET, now=MONDAY, **variables):
    return plan(sequence(OPENER, *steps), enrollment(**variables), history, now)


def _said(**steps):
    return tuple(Said(step, at) for step, at in steps.items())


def test_a_step_that_is_skipped_adds_no_delay():
    steps = (
        {"id": "proof", "after": "4d", "if": 'industry == "saas"', "body": "Proof"},
        {"id": "last", "after": "1w", "body": "Last"},
    )
    past = History(said=_said(opener=MONDAY))
    assert _next(steps, past, industry="saas").step == "proof"
    skipped = _next(steps, past, industry="farming")
    assert (skipped.step, skipped.send_at) == ("last", MONDAY + 7 * DAY)
    assert _next(steps, past).step == "last"


CHOICE = {
    "id": "angle",
    "after": "4d",
    "choose": [
        {"if": "headcount | int >= 1000", "then": [{"id": "big", "body": "Big"}]},
        {"if": 'trigger == "funding"', "then": [{"id": "funding", "after": "1d", "body": "Funding"}]},
        {"else": [{"id": "generic", "body": "Generic"}]},
    ],
}


@pytest.mark.parametrize(
    ("variables", "step", "days"),
    [
        ({"headcount": "4000", "trigger": "funding"}, "big", 4),
        ({"headcount": "80", "trigger": "funding"}, "funding", 5),
        ({"headcount": "80"}, "generic", 4),
        ({}, "generic", 4),
    ],
)
def test_the_first_way_that_is_true_is_taken_after_the_wait_around_it(variables, step, days):
    planned = _next((CHOICE,), History(said=_said(opener=MONDAY)), **variables)
    assert (planned.step, planned.send_at) == (step, MONDAY + days * DAY)


def test_whoever_has_gone_one_way_stays_on_it():
    past = History(said=_said(opener=MONDAY, generic=MONDAY + 4 * DAY))
    last = {"id": "last", "after": "1d", "body": "Last"}
    assert _next((CHOICE, last), past, headcount="4000").step == "last"


WAIT = {
    "id": "report",
    "wait_for": 'clicked("report")',
    "up_to": "3d",
    "then": [{"id": "call", "task": "Call {{ first_name }}"}],
    "else": [{"id": "bump", "body": "Bump"}],
}


def test_a_wait_for_something_ends_when_it_comes():
    past = History(said=_said(opener=MONDAY), happened=(Happened("clicked", "report", MONDAY + DAY),))
    errand = _next((WAIT,), past, MONDAY + DAY, first_name="Ida")
    assert (errand.step, errand.kind, errand.at) == ("call", "task", MONDAY + DAY)
    assert errand.says == {"task": "Call Ida"}


def test_a_wait_for_something_ends_when_its_time_is_over():
    past = History(said=_said(opener=MONDAY))
    waiting = _next((WAIT,), past, MONDAY + DAY, first_name="Ida")
    assert waiting == Waiting('waits for clicked("report")', MONDAY + 3 * DAY)
    bump = _next((WAIT,), past, MONDAY + 3 * DAY, first_name="Ida")
    assert (bump.step, bump.send_at) == ("bump", MONDAY + 3 * DAY)


def test_something_that_came_before_the_wait_began_counts():
    past = History(said=_said(opener=MONDAY + DAY), happened=(Happened("clicked", "report", MONDAY),))
    assert _next((WAIT,), past, MONDAY + DAY, first_name="Ida").step == "call"


@pytest.mark.parametrize(
    "happened",
    [
        Happened("clicked", "another link", MONDAY + DAY),
        Happened("meeting_booked", None, MONDAY + DAY),
        Happened("clicked", "report", MONDAY - DAY),
        Happened("clicked", "report", MONDAY + 4 * DAY),
    ],
    ids=["another link", "another event", "before enrolment", "too late"],
)
def test_something_else_does_not_end_a_wait(happened):
    past = History(said=_said(opener=MONDAY), happened=(happened,))
    assert _next((WAIT,), past, MONDAY + 5 * DAY, first_name="Ida").step == "bump"


def test_a_task_stalls_nothing_unless_it_says_so():
    task = {"id": "call", "task": "Call", "blocking": "true"}
    bump = {"id": "bump", "after": "2d", "body": "Bump"}
    given = History(said=_said(opener=MONDAY), done=(Done("call", MONDAY),))
    assert _next((task, bump), given) == Waiting("call is not done")
    assert _next((task | {"blocking": "false"}, bump), given).step == "bump"
    ended = History(said=_said(opener=MONDAY), done=(Done("call", MONDAY, MONDAY + 5 * DAY),))
    assert _next((task, bump), ended, MONDAY + 5 * DAY).send_at == MONDAY + 7 * DAY


# --- what was passed ---

LAST = {"id": "last", "after": "1d", "body": "Last"}


@pytest.mark.parametrize(
    "new",
    [
        {"id": "new", "after": "1d", "body": "New"},
        {"id": "new", "task": "Call"},
        {"id": "new", "webhook": "https://crm.example.com/hook"},
        {"id": "new", "wait_for": "ping", "up_to": "9d", "then": [{"id": "then", "body": "It came"}]},
        {"id": "new", "wait_for": "ping", "up_to": "1d", "else": [{"id": "late", "body": "It did not"}]},
        {"id": "new", "choose": [{"else": [{"id": "chosen", "body": "New"}]}]},
    ],
    ids=["mail", "task", "webhook", "wait", "wait that is over", "choice"],
)
def test_nobody_goes_back_for_a_step_that_stands_before_where_they_are(new):
    bump = {"id": "bump", "after": "2d", "body": "Bump"}
    past = History(said=_said(opener=MONDAY, bump=MONDAY + 2 * DAY))
    planned = _next((new, bump, LAST), past, MONDAY + 2 * DAY)
    assert (planned.step, planned.send_at) == ("last", MONDAY + 3 * DAY)
    assert _next((new, bump), past, MONDAY + 2 * DAY) == NothingLeft()


def test_nobody_goes_back_for_a_condition_that_has_come_true():
    steps = ({"id": "proof", "if": "team", "body": "Proof"}, {"id": "bump", "body": "Bump"}, LAST)
    past = History(said=_said(opener=MONDAY, bump=MONDAY))
    assert _next(steps, past, team="red").step == "last"
    assert _next(steps, History(said=_said(opener=MONDAY)), team="red").step == "proof"


def test_what_is_new_inside_a_way_that_was_left_is_passed_too():
    ways = [{"else": [{"id": "way", "body": "Way"}, {"id": "new", "body": "New"}]}]
    steps = ({"id": "angle", "choose": ways}, {"id": "bump", "body": "Bump"}, LAST)
    assert _next(steps, History(said=_said(opener=MONDAY, way=MONDAY))).step == "new"
    assert _next(steps, History(said=_said(opener=MONDAY, way=MONDAY, bump=MONDAY))).step == "last"


def test_a_wait_that_was_lived_through_still_counts():
    wait = {"id": "wait", "wait_for": "ping", "up_to": "3d"}
    call = {"id": "call", "task": "Call"}
    past = History(said=_said(opener=MONDAY), done=(Done("call", MONDAY + 3 * DAY),))
    assert _next((wait, call, LAST), past, MONDAY + 3 * DAY).send_at == MONDAY + 4 * DAY
    came = replace(past, happened=(Happened("ping", None, MONDAY + DAY),), done=(Done("call", MONDAY + DAY),))
    assert _next((wait, call, LAST), came, MONDAY + DAY).send_at == MONDAY + 2 * DAY
    never = replace(past, done=(Done("call", MONDAY),))  # the wait was put in after that
    assert _next((wait, call, LAST), never).send_at == MONDAY + DAY


def test_a_task_that_became_blocking_when_it_was_passed_keeps_nobody():
    task = {"id": "call", "task": "Call", "blocking": "true"}
    past = History(said=_said(opener=MONDAY, bump=MONDAY + DAY), done=(Done("call", MONDAY),))
    assert _next((task, {"id": "bump", "body": "Bump"}, LAST), past, MONDAY + DAY).step == "last"


# --- whose holidays ---

MAY = MONDAY.replace(month=5, day=17, year=2027)  # a Monday, and Norway's day
HERE = {"timezone": "Europe/Oslo", "windows": "mon-fri 09:00-17:00", "holidays": "recipient"}


@pytest.mark.parametrize(
    ("schedule", "variables", "off"),
    [
        (HERE, {"timezone": "America/New_York"}, False),
        (HERE, {"timezone": "Europe/Oslo"}, True),
        (HERE, {"timezone": "America/New_York", "country": "NO"}, True),
        (HERE, {"timezone": "Europe/Oslo", "country": "US"}, False),
        (HERE, {}, False),
        (HERE | {"timezone": "recipient", "fallback_timezone": "Europe/Oslo"}, {}, False),
        (HERE | {"timezone": "recipient"}, {"timezone": "Europe/Oslo"}, True),
    ],
)
def test_holidays_are_those_of_the_persons_own_country_or_clock(schedule, variables, off):
    someone = replace(enrollment(**variables), created_at=MAY)
    planned = plan(sequence(schedule=schedule), someone, History(), MAY)
    assert ("holiday" in planned.reason) is off


# --- variants and approval ---


def test_a_variant_is_the_same_for_the_same_person_and_weighted():
    ways = [
        {"weight": "3", "id": "a", "subject": "A", "body": "a"},
        {"weight": "1", "id": "b", "subject": "B", "body": "b"},
    ]
    wants = sequence({"id": "opener", "variants": ways})
    told = [
        plan(wants, replace(enrollment(), contact=f"p{n}@x.example"), History(), MONDAY).variant
        for n in range(2000)
    ]
    assert told == [
        plan(wants, replace(enrollment(), contact=f"p{n}@x.example"), History(), MONDAY).variant
        for n in range(2000)
    ]
    assert 1400 < told.count("a") < 1600


@pytest.mark.parametrize(
    ("approval", "step", "held"),
    [
        ("first", {}, True),
        ("all", {}, True),
        ("none", {}, False),
        ({"steps": ["step-1"]}, {}, True),
        ({"steps": ["step-2"]}, {}, False),
        ("none", {"approve": "true"}, True),
        ("all", {"approve": "false"}, False),
    ],
)
def test_a_letter_that_wants_a_humans_yes_is_held(approval, step, held):
    wants = sequence({"subject": "Hi", "body": "x", **step}, {"after": "1d", "body": "y"}, approval=approval)
    assert plan(wants, enrollment(), History(), MONDAY).held is held
