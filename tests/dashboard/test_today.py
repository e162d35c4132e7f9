"""Today: what is due, what was sent, who answered; and one button that stops everything, with its receipt."""

import re
from datetime import timedelta
from html import unescape

import pytest

from engine.approve import Reviewer, reject
from engine.dispatch import dispatch_due
from engine.errors import NoAnswer
from engine.model import Letter
from relent.assemble import House
from relent.config import Config
from relent.first_day import set_up
from tests.makers import IDA, SECRET, enrolled, pending, received, sequence, signed

SAYS_YES = {"approval": "all"}


def _stat(page: str, label: str) -> str:
    """The number beside this word."""
    after = page.split(f">{label}</", 1)[1]
    return after.split('class="figure">', 1)[1].split("<", 1)[0]


def test_who_is_not_in_sees_nothing_of_it(front):
    answer = front.get("/")
    assert (answer.status_code, answer.headers["location"]) == (303, "/login")


def test_an_empty_house_shows_the_first_steps(as_viewer):
    page = as_viewer.get("/").text
    assert "Nobody is written to yet" in page
    assert "Somebody is in it" in page
    assert "Nothing can leave this machine" in page


def test_the_day_is_counted_from_midnight_in_the_readers_zone(as_viewer, house, clock):
    enrolled(house.store, clock.now())
    list(dispatch_due(store=house.store, mailbox=house.mailbox, clock=clock, pace=house.pace))
    as_viewer.cookies.set("relent_zone", "Pacific/Kiritimati", domain="127.0.0.1", path="/")
    page = as_viewer.get("/").text
    assert "midnight, Pacific/Kiritimati" in page
    assert _stat(page, "Sent today") == "1"
    clock.pass_(timedelta(hours=2))  # there it is Tuesday now
    assert _stat(as_viewer.get("/").text, "Sent today") == "0"
    as_viewer.cookies.set("relent_zone", "UTC", domain="127.0.0.1", path="/")
    assert _stat(as_viewer.get("/").text, "Sent today") == "1"


def test_an_answer_is_counted_and_what_was_planned_has_gone(as_viewer, house, clock, mailbox):
    enrolled(house.store, clock.now())
    list(dispatch_due(store=house.store, mailbox=mailbox, clock=clock, pace=house.pace))
    [waits] = pending(house.store, clock.now())
    assert IDA in as_viewer.get("/").text
    heard = as_viewer.post("/webhooks/agentmail", **signed(received(waits["thread_id"]), clock.now()))
    assert heard.status_code == 204
    page = as_viewer.get("/").text
    assert _stat(page, "Answered today") == "1"
    assert "No letter is planned." in page


def test_an_answer_that_cancelled_a_letter_is_timed_also_without_a_canary(as_viewer, house, clock, mailbox):
    enrolled(house.store, clock.now())
    list(dispatch_due(store=house.store, mailbox=mailbox, clock=clock, pace=house.pace))
    assert "no answer has cancelled a letter yet" in as_viewer.get("/").text
    clock.pass_(timedelta(hours=1))
    [waits] = pending(house.store, clock.now())
    written_at = (clock.now() - timedelta(seconds=1.25)).isoformat()
    told = received(waits["thread_id"], timestamp=written_at)
    assert as_viewer.post("/webhooks/agentmail", **signed(told, clock.now())).status_code == 204
    page = as_viewer.get("/").text
    assert "From their letter to the cancel" in page
    assert "1.25\u00a0s" in page


def test_what_waits_for_a_yes_leads_to_the_review(as_viewer, house, clock):
    enrolled(house.store, clock.now(), wants=sequence(**SAYS_YES))
    page = as_viewer.get("/").text
    assert _stat(page, "Held") == "1"
    assert "Waiting for a yes: 1 letter." in page


def test_what_somebody_said_no_to_is_not_counted_for_a_yes(as_reviewer, house, clock):
    enrolled(house.store, clock.now(), wants=sequence(**SAYS_YES))
    [waits] = pending(house.store, clock.now())
    by = {"by": Reviewer(id="reviewer@acme.example"), "store": house.store, "clock": clock}
    reject(waits["draft_id"], why="too soon", then="pause", **by)
    assert _stat(as_reviewer.get("/").text, "Held") == "0"


def test_htmx_gets_the_part_that_changes(as_viewer, house, clock):
    enrolled(house.store, clock.now())
    part = as_viewer.get("/", headers={"hx-request": "true"}).text
    assert "<html" not in part
    assert "Due now" in part


def test_the_first_steps_are_ticked_by_what_is_there(as_viewer, house, clock, mailbox):
    assert as_viewer.get("/start").text.count("(done)") == 2  # a secret, and a folder of sequences
    enrolled(house.store, clock.now())
    list(dispatch_due(store=house.store, mailbox=mailbox, clock=clock, pace=house.pace))
    page = as_viewer.get("/start").text
    assert page.count("(done)") == 4
    assert "Nothing can leave this machine" in page
    assert "letters are kept in the database" in page


def test_where_to_point_a_webhook_is_said_also_without_a_public_url(as_viewer):
    page = as_viewer.get("/start").text
    assert "<code>server: { public_url: https://your-name }</code>" in page
    assert re.search(r"<code[^>]*>http://[^<]+/webhooks/agentmail</code>", page)
    assert "relent webhook test --self" in page


def test_where_nothing_waits_for_a_yes_the_first_hour_is_told(as_viewer, house, clock):
    wants = sequence({"after": "3h", "subject": "Hi", "body": "Hello"})
    enrolled(house.store, clock.now(), wants=wants)
    page = as_viewer.get("/start").text
    assert "The first leaves Mon 2 Mar 2026, 12:00 UTC." in page
    assert 'href="/calendar">Look at the calendar' in page
    clock.pass_(timedelta(hours=4))
    assert "The first is due now" in as_viewer.get("/start").text


def test_where_something_waits_for_a_yes_the_review_is_the_way(as_viewer, house, clock):
    enrolled(house.store, clock.now(), wants=sequence(**SAYS_YES))
    page = as_viewer.get("/start").text
    assert "1 letter waits for your yes." in page
    assert 'href="/review">Review' in page


class TestWhereInitHasWritten:
    @pytest.fixture
    def house(self, tmp_path, store, clock, mailbox, pace):
        folder = tmp_path / "a house"
        list(set_up(folder))
        config = Config(webhooks={"secrets": [SECRET]}, sequences={"path": str(folder / "sequences")})
        return House(config=config, store=store, mailbox=mailbox, clock=clock, pace=pace)

    def test_commands_are_typed_there_and_the_list_is_named(self, as_viewer, tmp_path):
        page = unescape(as_viewer.get("/start").text)
        assert f"<code tabindex=\"0\">cd '{tmp_path}/a house'</code>" in page
        assert "relent preview sequences/quick-question.yaml<" in page
        assert "relent enroll sequences/quick-question.yaml \\\n  --email you@example.org" in page
        assert "relent enroll sequences/quick-question.yaml people.csv<" in page
        assert "<code>--email</code>" in page


@pytest.mark.parametrize("path", ["/", "/start"])
def test_words_of_strangers_are_only_words(as_viewer, house, clock, path):
    hostile = "</bdi><script>alert(1)</script>\u202e"
    enrolled(house.store, clock.now(), wants=sequence({"subject": hostile, "body": "Hello"}, name=hostile))
    page = as_viewer.get(path).text
    assert "<script>alert" not in page


# --- stop everything ---


def test_stop_everything_gives_a_receipt_and_nothing_leaves(as_reviewer, house, clock, mailbox):
    enrolled(house.store, clock.now())
    receipt = as_reviewer.post_form("/stop")
    assert receipt.status_code == 200
    assert "<dt>Letters held back</dt><dd><strong>1</strong> that would have left" in receipt.text
    assert "<dt>People in sequences</dt><dd><strong>1</strong>" in receipt.text
    assert "reviewer@acme.example" in receipt.text
    list(dispatch_due(store=house.store, mailbox=mailbox, clock=clock, pace=house.pace))
    assert mailbox.sent == []
    assert "Everything is stopped" in as_reviewer.get("/").text
    elsewhere = as_reviewer.get("/review").text
    assert 'class="halt on" href="/resume"' in elsewhere
    assert "Stop everything" not in elsewhere


def test_to_let_it_go_on_asks_first_and_says_what_will_leave(as_reviewer, house, clock, mailbox):
    enrolled(house.store, clock.now())
    as_reviewer.post_form("/stop")
    asks = as_reviewer.get("/resume").text
    assert "<strong>1 letter</strong> has reached its hour: it leaves now" in asks
    went = as_reviewer.post_form("/resume", why=_braked(house, clock).why)
    assert "It goes on" in went.text
    list(dispatch_due(store=house.store, mailbox=mailbox, clock=clock, pace=house.pace))
    assert len(mailbox.sent) == 1


def test_nobody_lets_go_a_brake_that_they_have_not_seen(as_admin, house, clock):
    as_admin.post_form("/stop")
    seen = _braked(house, clock).why
    with house.store.transaction(clock.now(), "the canary") as ledger:
        ledger.watch.brake("canary: an answer took 9 s", firmly=True)
    answer = as_admin.post_form("/resume", why=seen)
    assert answer.status_code == 409
    assert "an answer took 9 s" in answer.text
    assert _braked(house, clock)


def test_a_brake_that_nobody_put_on_by_hand_is_an_admins(as_reviewer, house, clock):
    with house.store.transaction(clock.now(), "the canary") as ledger:
        ledger.watch.brake("canary: an answer took 9 s")
    assert "An admin looks at why" in as_reviewer.get("/resume").text
    answer = as_reviewer.post_form("/resume", why="canary: an answer took 9 s")
    assert answer.status_code == 403
    assert _braked(house, clock)


def test_to_let_go_what_nobody_holds_is_no_mistake(as_reviewer):
    answer = as_reviewer.post_form("/resume", why="whatever")
    assert (answer.status_code, answer.headers["location"]) == (303, "/")


@pytest.mark.parametrize("path", ["/stop", "/resume", "/uncertain/drf_1"])
def test_a_viewer_stops_nothing(as_viewer, house, clock, path):
    assert as_viewer.post_form(path).status_code == 403
    assert "Stop everything" not in as_viewer.get("/").text
    assert _braked(house, clock) is None


def test_nothing_is_stopped_by_looking(as_reviewer, house, clock):
    assert as_reviewer.get("/stop").status_code == 200
    assert _braked(house, clock) is None


# --- what may have left ---


def test_of_a_letter_that_may_have_left_a_human_says_whether_it_did(as_reviewer, house, clock):
    draft_id = _doubted(house, clock)
    page = as_reviewer.get("/").text
    assert "Did these leave?" in page
    assert draft_id in page
    answer = as_reviewer.post_form(f"/uncertain/{draft_id}", left="yes")
    assert answer.headers["location"] == "/"
    with house.store.reading(clock.now()) as ledger:
        assert ledger.drafts.get(draft_id).state == "sent"


def test_whoever_does_not_say_which_changes_nothing(as_reviewer, house, clock):
    draft_id = _doubted(house, clock)
    assert as_reviewer.post_form(f"/uncertain/{draft_id}", left="perhaps").status_code == 422
    with house.store.reading(clock.now()) as ledger:
        assert ledger.drafts.get(draft_id).state == "uncertain"


def test_a_doubt_that_is_settled_already_is_said_to_be(as_reviewer, house, clock):
    draft_id = _doubted(house, clock)
    as_reviewer.post_form(f"/uncertain/{draft_id}", left="yes")
    assert as_reviewer.post_form(f"/uncertain/{draft_id}", left="no").status_code == 409


def _doubted(house, clock) -> str:
    """It was handed over, and the line went dead."""
    enrolled(house.store, clock.now())

    def goes_dead(letter: Letter) -> None:
        raise NoAnswer("the line went dead")

    house.mailbox.after_gate = goes_dead
    list(dispatch_due(store=house.store, mailbox=house.mailbox, clock=clock, pace=house.pace))
    [draft] = pending(house.store, clock.now())
    assert draft["state"] == "uncertain"
    return draft["draft_id"]


def _braked(house, clock):
    with house.store.reading(clock.now()) as ledger:
        return ledger.watch.braked()
