"""The calendar: what leaves on which day from which inbox, the letters of a day, and another hour for one of them."""

import html
import re
from datetime import timedelta

import pytest

from dashboard.counted import Counted
from dashboard.days import days, instant_of
from dashboard.picture import BARS, Row, picture
from dashboard.show import zone_named
from engine.brake import stop_everything
from engine.errors import Invalid
from engine.store.agenda import Load
from tests.dashboard.hostile import LINE, nothing_runs
from tests.doubles import MONDAY
from tests.makers import IDA, SAM, enrolled, pending, sequence

DAY = timedelta(days=1)
OSLO = zone_named("Europe/Oslo")


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """A machine that is busy with other things counts slowly; and then a page says so, which is not what is asked here."""
    monkeypatch.setitem(Counted.__init__.__kwdefaults__, "patience", 30.0)


def _words(page):
    return html.unescape(re.sub(r"<[^>]*>", " ", page))


@pytest.fixture
def planned(store, clock):
    """A letter for Ida, in two days at nine."""
    enrolled(store, clock.now(), wants=sequence({"after": "2d", "subject": "Hi", "body": "Hello"}))
    [draft] = pending(store, clock.now())
    return draft


# --- the picture ---


def test_nothing_planned_says_how_to_begin(as_viewer):
    page = as_viewer.get("/calendar")
    assert page.status_code == 200
    assert "relent enroll" in page.text
    assert '<svg class="agenda-picture"' not in page.text


def test_a_day_shows_its_letters_against_what_may_leave(as_viewer, store, clock):
    limits = {"per_mailbox": "40/day"}
    for name in "ida", "tom", "kim":
        enrolled(store, clock.now(), f"{name}@nordic.example", sequence(limits=limits))
    page = as_viewer.get("/calendar").text
    assert "3 planned, at most 40 a day" in page
    assert "Quick question" in page  # where the line comes from
    assert 'role="img"' in page
    assert '<th scope="row">' in page  # the same in numbers


def test_the_days_are_those_of_the_readers_zone(as_viewer, store, clock):
    enrolled(store, MONDAY.replace(hour=23), wants=sequence())
    as_viewer.cookies.set("relent_zone", "Asia/Tokyo", domain="127.0.0.1", path="/")
    page = as_viewer.get("/calendar?from=2026-03-03&day=2026-03-03").text
    assert "Days are those of Asia/Tokyo" in page
    assert "08:00" in page  # of the next day there
    assert "Mon 2 Mar 2026, 23:00 UTC" in page  # and in theirs


def test_of_many_inboxes_twenty_are_shown_and_the_others_are_found(as_viewer, store, clock):
    for number in range(23):
        enrolled(
            store, clock.now(), f"p{number}@nordic.example", sequence(**{"from": f"box{number}@acme.example"})
        )
    page = as_viewer.get("/calendar").text
    assert page.count('class="inbox-name"') == 20
    assert "And 3 more inboxes" in page
    assert as_viewer.get("/calendar?inbox=box22").text.count('class="inbox-name"') == 1
    assert "No inbox with" in as_viewer.get("/calendar?inbox=nowhere").text


def test_a_house_that_is_stopped_says_so_in_its_calendar(as_viewer, store, clock, planned):
    stop_everything(by="kim", store=store, clock=clock, gate_deadline=timedelta(0))
    assert "Nothing leaves this house just now" in as_viewer.get("/calendar").text


@pytest.mark.parametrize(
    "query",
    ["from=yesterday", "from=0001-01-01", "from=9999-12-31", "day=x&what=all", "after=%00&day=2026-03-02",
     "day=2026-03-02&after=WzEsMl0", "inbox=%F0%9F", "from=1970-01-03", "day=8999-12-31"],
)  # fmt: skip
def test_what_cannot_be_read_of_an_address_is_passed_over(as_viewer, planned, query):
    assert as_viewer.get(f"/calendar?{query}").status_code == 200


def test_a_bar_of_one_letter_is_seen_and_the_fullest_reaches_the_top():
    shown = days(MONDAY.date(), 2, now=MONDAY, zone=OSLO)
    row = Row(inbox_id=SAM, loads=(Load(planned=1), Load(planned=10_000)), caps=(None, None))
    one, many = picture([row], shown).lines[0].columns
    assert one.bars[0].height >= 2
    assert many.bars[0].height == BARS


def test_a_line_far_above_the_bars_is_not_drawn_and_still_told():
    shown = days(MONDAY.date(), 2, now=MONDAY, zone=OSLO)
    row = Row(inbox_id=SAM, loads=(Load(planned=2), Load(planned=1)), caps=(100_000, 3))
    far, near = picture([row], shown).lines[0].columns
    assert far.cap_y is None
    assert "at most 100,000 a day" in far.says
    assert near.cap_y is not None
    assert picture([row], shown).lines[0].allowed == "at most 3 to 100,000 a day"


def test_an_inbox_says_beside_its_name_what_may_leave_also_where_no_line_is_drawn(as_viewer, store, clock):
    enrolled(store, clock.now(), wants=sequence(limits={"per_mailbox": "40/day"}))
    page = as_viewer.get("/calendar").text
    assert f"{SAM} , at most 40 a day" in _words(page)
    assert '<line class="cap"' not in page  # forty are far above one
    assert "at most so many a day" not in page


# --- a day ---


def test_a_letter_of_a_day_says_when_there_and_why(as_viewer, planned):
    page = as_viewer.get("/calendar?day=2026-03-04").text
    assert "09:00" in page
    assert planned["reason"] in _words(page)
    assert f'href="/drafts/{planned["draft_id"]}"' in page


def test_a_day_is_read_page_by_page(as_viewer, store, clock):
    for number in range(55):
        enrolled(
            store, clock.now(), f"p{number:02}@nordic.example", sequence(limits={"per_mailbox": "1000/day"})
        )
    first = as_viewer.get("/calendar?day=2026-03-02").text
    onward = html.unescape(re.search(r'href="([^"]*after=[^"]*)" rel="next"', first)[1])
    second = as_viewer.get(onward).text
    assert (first.count('class="day-letter"'), second.count('class="day-letter"')) == (40, 15)
    assert "From the beginning" in second


@pytest.mark.parametrize("what", ["planned", "held", "left"])
def test_a_day_without_letters_says_so(as_viewer, planned, what):
    assert "on this day" in as_viewer.get(f"/calendar?day=2026-03-03&what={what}").text.replace(
        "for this", "on this"
    )


def test_what_is_held_is_found_on_its_day(as_viewer, store, clock):
    enrolled(store, clock.now(), wants=sequence(approval="all"))
    assert IDA in as_viewer.get("/calendar?day=2026-03-02&what=held").text
    assert "1 held" in as_viewer.get("/calendar").text


def test_a_day_opens_at_the_first_list_that_has_something_and_each_says_how_much(as_viewer, store, clock):
    enrolled(store, clock.now(), wants=sequence(approval="all"))
    page = as_viewer.get("/calendar?day=2026-03-02").text
    assert IDA in page
    assert "Planned 0 Held 1 Left 0" in " ".join(_words(page).split())
    assert re.search(r'aria-current="page">Held', page)

    [planned] = re.findall(r'href="([^"]*what=planned[^"]*)"', page)
    assert "Nothing is planned for this day" in as_viewer.get(html.unescape(planned).partition("#")[0]).text


# --- another hour ---


def test_a_letter_gets_the_hour_that_somebody_writes(as_reviewer, store, clock, planned):
    page = as_reviewer.get("/calendar?day=2026-03-04").text
    fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page))
    fields = {name: html.unescape(fields[name]) for name in ("draft", "sha", "zone", "back")}
    answer = as_reviewer.post_form("/calendar/move", data=fields | {"at": "2026-03-06T10:30"})
    assert answer.status_code == 303, answer.text
    assert answer.headers["location"].startswith("/calendar?")
    [draft] = pending(store, clock.now())
    assert f"{draft['send_at']:%Y-%m-%d %H:%M}" == "2026-03-06 10:30"


def test_an_hour_is_one_of_the_zone_that_is_said(as_reviewer, store, clock, planned):
    answer = as_reviewer.post_form(
        "/calendar/move", draft=planned["draft_id"], at="2026-03-06T10:30", zone="America/New_York"
    )
    assert answer.status_code == 303, answer.text
    [draft] = pending(store, clock.now())
    assert f"{draft['send_at']:%H:%M}" == "15:30"


@pytest.mark.parametrize(
    "at", ["", "tomorrow", "2026-03-06", "2026-03-06T25:00", "9999-12-31T00:00", "2026-03-06T10:00+01:00"]
)
def test_what_is_no_hour_is_refused_kindly(as_reviewer, store, clock, planned, at):
    answer = as_reviewer.post_form("/calendar/move", draft=planned["draft_id"], at=at, zone="UTC")
    assert answer.status_code in (422, 303)
    if at != "2026-03-06":
        assert answer.status_code == 422
        assert pending(store, clock.now())[0]["send_at"] == planned["send_at"]


def test_an_hour_that_has_passed_is_refused(as_reviewer, store, clock, planned):
    answer = as_reviewer.post_form(
        "/calendar/move", draft=planned["draft_id"], at="2026-03-01T10:00", zone="UTC"
    )
    assert answer.status_code == 422
    assert pending(store, clock.now())[0]["send_at"] == planned["send_at"]


def test_whoever_moves_what_was_changed_meanwhile_is_told(as_reviewer, store, clock, planned):
    answer = as_reviewer.post_form(
        "/calendar/move", draft=planned["draft_id"], sha="0" * 64, at="2026-03-06T10:30", zone="UTC"
    )
    assert answer.status_code == 409
    assert pending(store, clock.now())[0]["send_at"] == planned["send_at"]


def test_a_viewer_moves_nothing_and_is_offered_nothing(as_viewer, store, clock, planned):
    assert "/calendar/move" not in as_viewer.get("/calendar?day=2026-03-04").text
    answer = as_viewer.post_form("/calendar/move", draft=planned["draft_id"], at="2026-03-06T10:30")
    assert answer.status_code == 403
    assert as_viewer.get("/calendar/move").status_code == 405
    assert pending(store, clock.now())[0]["send_at"] == planned["send_at"]


@pytest.mark.parametrize(
    "back", ["https://evil.example/", "//evil.example", "javascript:alert(1)", "/\\evil.example"]
)
def test_afterwards_one_is_at_home_and_nowhere_else(as_reviewer, planned, back):
    answer = as_reviewer.post_form(
        "/calendar/move", draft=planned["draft_id"], at="2026-03-06T10:30", zone="UTC", back=back
    )
    assert answer.headers["location"] == "/calendar"


def test_an_hour_that_a_spring_night_skips_is_none():
    with pytest.raises(Invalid, match="there is no 02:30"):
        instant_of("2026-03-29T02:30", OSLO)


def test_a_day_on_which_the_clock_is_changed_is_shorter():
    [short] = days(MONDAY.date().replace(day=29), 1, now=MONDAY, zone=OSLO)
    assert short.end - short.begin == timedelta(hours=23)


# --- strangers ---


def test_nothing_that_strangers_wrote_runs(as_reviewer, store, clock):
    wants = sequence({"subject": "{{ company }}", "body": "Hello"}, name=LINE[:150])
    enrolled(store, clock.now(), wants=wants, company=LINE)
    page = as_reviewer.get("/calendar?day=2026-03-02")
    assert page.status_code == 200
    assert "stolen" in page.text
    assert nothing_runs(page.text)
    for query in "inbox", "of", "from", "what":
        assert nothing_runs(as_reviewer.get("/calendar", params={query: LINE, "day": "2026-03-02"}).text)
