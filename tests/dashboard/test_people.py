"""People: who they are, where they stand and why, everything that was said and decided; and what can be done about it."""

import html
import re
from datetime import timedelta

import pytest

from engine.approve import Reviewer, reject
from engine.brake import stop, suppress
from engine.dispatch import dispatch_due
from engine.store.tables import enrollment
from mailroom.local import Capture, LocalMailbox
from tests.dashboard.hostile import LINE, nothing_runs
from tests.makers import IDA, enrolled, open_thread, pending, people, sequence

DAY = timedelta(days=1)


@pytest.fixture
def ida(store, clock):
    return enrolled(store, clock.now(), first_name="Ida", company="Nordic")


def _pause(store, clock, life, why="until the fair is over"):
    with store.transaction(clock.now(), "kim@acme.example") as ledger:
        ledger.enrollments.pause([life], why)


def _words(page):
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", page)).split())


def _state(store, clock):
    return [each["state"] for each in people(store, clock.now())]


# --- the list ---


def test_where_nobody_is_one_learns_how_they_enter(as_viewer):
    assert "relent enroll" in as_viewer.get("/people").text


def test_the_list_says_who_stands_where_and_what_comes_next(as_viewer, ida):
    page = _words(as_viewer.get("/people").text)
    for words in IDA, "Quick question", "active", "Mon 2 Mar 2026, 09:00 UTC":
        assert words in page


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("q=ida", True),
        ("q=IDA%40nordic.example", True),
        ("q=nordic.example", True),
        ("q=%40nordic.example", True),
        ("q=da", False),
        ("q=%25", False),
        ("state=active", True),
        ("state=paused", False),
        ("state=none+of+ours", True),
        ("sequence=Quick+question", True),
        ("sequence=Other", False),
        ("after=nonsense", True),
    ],
)
def test_somebody_is_looked_for(as_viewer, ida, query, found):
    answer = as_viewer.get(f"/people?{query}")
    assert answer.status_code == 200
    assert (f"/people/{ida}" in answer.text) == found
    assert found or "Nobody was found" in answer.text


def test_the_list_goes_on_page_by_page(as_viewer, store, clock):
    for number in range(55):
        enrolled(store, clock.now(), f"p{number:02}@nordic.example")
    first = as_viewer.get("/people").text
    onward = html.unescape(re.search(r'href="([^"]*after=[^"]*)" rel="next"', first)[1])
    second = as_viewer.get(onward).text
    assert (first.count('<th scope="row">'), second.count('<th scope="row">')) == (50, 5)


# --- one of them ---


@pytest.mark.parametrize("who", ["id", IDA, "IDA%40Nordic.example"])
def test_somebody_is_found_by_their_id_and_by_their_address(as_viewer, ida, who):
    answer = as_viewer.get(f"/people/{ida if who == 'id' else who}")
    assert answer.status_code == 200
    assert IDA in answer.text


@pytest.mark.parametrize("who", ["enr_nobody", "nobody@nordic.example", "%3Cscript%3E", "x" * 1500])
def test_of_whom_nobody_has_heard_there_is_no_page(as_viewer, ida, who):
    answer = as_viewer.get(f"/people/{who}")
    assert answer.status_code == 404
    assert nothing_runs(answer.text)


def test_a_page_says_where_they_stand_why_since_when_and_what_would_help(as_viewer, store, clock, ida):
    _pause(store, clock, ida)
    page = _words(as_viewer.get(f"/people/{ida}").text)
    for words in (
        "until the fair is over",
        "A reviewer resumes them.",
        "Their next letter: step-1",
        "Mon 2 Mar 2026, 09:00 UTC",
        "first_name",
        "Nordic",
    ):
        assert words in page


def test_what_would_help_names_what_the_page_has_and_no_command(as_reviewer, store, clock, ida):
    waits = enrolled(store, clock.now(), "ola@nordic.example", wants=sequence(approval="all", name="Asks"))
    page = as_reviewer.get(f"/people/{waits}").text
    [held] = [each for each in pending(store, clock.now()) if each["state"] == "held"]
    assert f'<a href="/drafts/{held["draft_id"]}">say yes to their letter</a>' in page
    assert "relent approve" not in page
    _pause(store, clock, ida)
    page = _words(as_reviewer.get(f"/people/{ida}").text)
    assert "Resume them (the button is on this page)." in page
    assert "relent resume" not in page


def test_what_an_edit_would_change_leads_to_what_it_would_do(as_viewer, store, clock):
    wants = sequence({"after": "2d", "subject": "Hi", "body": "Hello"}, name="A/B")
    life = enrolled(store, clock.now(), wants=wants)
    page = as_viewer.get(f"/people/{life}").text
    assert 'shorten "after" of step-1 in the file' in _words(page)
    assert 'href="/sequences/A%2FB/plan"' in page


def test_a_page_holds_nothing_back_of_what_was_cancelled_and_why(as_viewer, store, clock, ida):
    clock.pass_(timedelta(hours=1))
    stop(IDA, by="kim@acme.example", store=store, clock=clock)
    page = _words(as_viewer.get(f"/people/{ida}").text)
    for words in (
        "A letter was cancelled",
        "somebody here said so",
        "by kim@acme.example",
        "Stopped",
        "Entered a sequence",
    ):
        assert words in page


def test_the_story_goes_on_page_by_page_and_ends(as_viewer, store, clock, ida):
    for number in range(30):
        clock.pass_(timedelta(minutes=1))
        _pause(store, clock, ida, f"reason number {number}")
        with store.transaction(clock.now(), "kim") as ledger:
            life = ledger.enrollments.get(ida)
            ledger.enrollments.resume(life, variables=life.variables, version=life.version)
    first = as_viewer.get(f"/people/{ida}").text
    onward = html.unescape(re.search(r'href="([^"]*after=[^"]*)" rel="next"', first)[1])
    second = as_viewer.get(onward).text
    told = _words(first) + _words(second)
    assert all(f"reason number {number}" in told for number in range(30))
    assert 'rel="next"' not in second


def test_whoever_is_known_by_a_conversation_alone_has_a_page(as_viewer, store, clock):
    open_thread(store, clock.now())
    assert "They are in no sequence" in as_viewer.get(f"/people/{IDA}").text


def test_a_letter_that_somebody_said_no_to_is_called_rejected(as_viewer, store, clock):
    life = enrolled(store, clock.now(), wants=sequence(approval="all"))
    [held] = pending(store, clock.now())
    by = {"by": Reviewer(id="kim@acme.example"), "store": store, "clock": clock}
    reject(held["draft_id"], why="too long", then="pause", **by)
    page = _words(as_viewer.get(f"/people/{life}").text)
    assert "A letter was rejected" in page
    assert "A letter waits for a yes" not in page
    assert page.count("A letter was rejected") + page.count("A reviewer said no") == 1


def test_that_a_letter_was_captured_is_not_said_of_each(as_viewer, store, clock, ida, pace):
    list(dispatch_due(store=store, mailbox=LocalMailbox(Capture()), clock=clock, pace=pace))
    page = _words(as_viewer.get(f"/people/{ida}").text)
    assert "A letter left" in page
    assert "captured" not in page.partition("Everything that was said")[2]


# --- stop ---


def test_stop_stops_and_gives_a_receipt(as_reviewer, store, clock, ida):
    answer = as_reviewer.post_form(f"/people/{ida}/stop")
    assert answer.status_code == 303
    page = _words(as_reviewer.get(answer.headers["location"]).text)
    assert "1 enrollment stopped, 1 letter cancelled, none was leaving; Mon 2 Mar 2026, 09:00 UTC." in page
    assert (_state(store, clock), pending(store, clock.now())) == (["stopped"], [])
    assert "by reviewer@acme.example" in page


# --- resume ---


@pytest.fixture
def away(store, clock):
    """Paused a day after the beginning, nine days ago; a day of the wait is left."""
    life = enrolled(store, clock.now(), wants=sequence({"after": "2d", "subject": "Hi", "body": "Hello"}))
    clock.pass_(DAY)
    _pause(store, clock, life)
    clock.pass_(9 * DAY)
    return life


def test_before_a_resume_one_sees_the_new_dates_and_then_they_are_so(away, as_reviewer, store, clock):
    page = _words(as_reviewer.get(f"/people/{away}").text)
    assert "Resume with these dates" in page
    assert "Fri 13 Mar 2026, 09:00 UTC" in page
    assert "instead of Wed 4 Mar 2026, 09:00 UTC" in page
    assert _state(store, clock) == ["paused"]  # whoever looks changes nothing

    answer = as_reviewer.post_form(f"/people/{away}/resume")
    assert answer.status_code == 303
    assert "Fri 13 Mar 2026, 09:00 UTC" in _words(as_reviewer.get(answer.headers["location"]).text)
    [draft] = pending(store, clock.now())
    assert f"{draft['send_at']:%d %b %H:%M}" == "13 Mar 09:00"


def test_nobody_is_resumed_who_is_not_paused(as_reviewer, ida):
    assert "Resume" not in _words(as_reviewer.get(f"/people/{ida}").text)
    assert as_reviewer.post_form(f"/people/{ida}/resume").status_code == 404


# --- never again ---


def test_to_whom_nobody_writes_again_it_is_said_why(as_reviewer, store, clock, ida):
    answer = as_reviewer.post_form(f"/people/{ida}/suppress", why=" she asked us to,\r\n by phone ")
    assert answer.status_code == 303
    page = _words(as_reviewer.get(answer.headers["location"]).text)
    assert "Nobody here writes to this address again" in page
    assert "she asked us to, by phone" in page
    assert _state(store, clock) == ["stopped"]
    assert f"/people/{ida}/suppress" not in as_reviewer.get(f"/people/{ida}").text


@pytest.mark.parametrize("why", ["", "  ", "x" * 501])
def test_without_a_reason_nobody_is_suppressed(as_reviewer, store, clock, ida, why):
    assert as_reviewer.post_form(f"/people/{ida}/suppress", why=why).status_code == 422
    assert _state(store, clock) == ["active"]


def test_whoever_is_suppressed_and_was_never_written_to_has_a_page(as_viewer, store, clock):
    suppress("tom@nordic.example", why="a competitor", by="kim", store=store, clock=clock)
    assert "a competitor" in as_viewer.get("/people/tom@nordic.example").text


# --- who may not ---


@pytest.mark.parametrize("verb", ["stop", "resume", "suppress"])
def test_a_viewer_changes_nothing_and_is_offered_nothing(as_viewer, store, clock, ida, verb):
    _pause(store, clock, ida)
    assert f"/people/{ida}/{verb}" not in as_viewer.get(f"/people/{ida}").text
    assert as_viewer.post_form(f"/people/{ida}/{verb}", why="because").status_code == 403
    assert as_viewer.get(f"/people/{ida}/{verb}").status_code == 405
    assert _state(store, clock) == ["paused"]


@pytest.mark.parametrize("verb", ["stop", "resume", "suppress"])
def test_a_form_of_somebody_else_changes_nothing(as_reviewer, store, clock, ida, verb):
    _pause(store, clock, ida)
    assert as_reviewer.post_form(f"/people/{ida}/{verb}", csrf="0" * 64, why="because").status_code == 403
    foreign = {"origin": "https://evil.example", "sec-fetch-site": "cross-site"}
    assert as_reviewer.post_form(f"/people/{ida}/{verb}", headers=foreign, why="because").status_code == 403
    assert _state(store, clock) == ["paused"]


# --- strangers ---


def test_nothing_that_strangers_wrote_runs(as_reviewer, store, clock):
    wants = sequence({"subject": "{{ company }}", "body": "Hello"}, name=LINE[:150])
    life = enrolled(store, clock.now(), wants=wants, company=LINE, long="x" * 900)
    _pause(store, clock, life, LINE)
    with store.database.begin() as db:
        db.execute(enrollment.update().values(email=f'"{LINE}"@nordic.example'))
    for path in f"/people/{life}", "/people":
        page = as_reviewer.get(path)
        assert page.status_code == 200
        assert "stolen" in page.text
        assert nothing_runs(page.text)
        assert len(page.text) < 100_000
    for name in "q", "state", "sequence", "after":
        assert nothing_runs(as_reviewer.get("/people", params={name: LINE}).text)
