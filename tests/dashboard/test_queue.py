"""The review queue over HTTP: every verb has one consequence, nobody is overrun, and nothing that a stranger wrote runs."""

import re
from datetime import timedelta
from html import unescape
from threading import Barrier, Thread
from urllib.parse import parse_qs, urlsplit

import pytest
from sqlalchemy import update

from engine.react import react
from engine.store.tables import draft
from engine.wish import Author, Wish
from engine.write import write
from tests.dashboard import hostile
from tests.dashboard.visitors import come_in
from tests.makers import IDA, enrolled, pending, people, reply, sequence

SAYS_YES = {"approval": "all"}
NIGHTS = {
    "subject": "{{ company }} and the night shift",
    "body": "Hello {{ first_name }},\n\nhow are the nights at {{ company }}?\n\nSam",
}
HOSTILE = "<script>alert(1)</script><svg onload=alert(2)>\"'><img src=x onerror=alert(3)> javascript:alert(4) \u202egnp"


@pytest.fixture
def wants():
    return sequence(NIGHTS, {"after": "3d", "body": "Did you see it?"}, **SAYS_YES)


@pytest.fixture
def waits(store, clock, wants):
    """Somebody whose first letter waits; the letter's id."""

    def one(email=IDA, **variables):
        known = {"first_name": "Ida", "company": "Nordic"} | variables
        enrolled(store, clock.now(), email, wants, **known)
        return next(each["draft_id"] for each in pending(store, clock.now()) if each["to"] == email)

    return one


@pytest.fixture
def state(store, clock):
    def of(draft_id):
        with store.reading(clock.now()) as ledger:
            return ledger.drafts.get(draft_id)

    return of


def form_of(page, action):
    """What the form with this action would send: its hidden fields."""
    found = re.search(rf'<form[^>]*action="{re.escape(action)}"[^>]*>(.*?)</form>', page, re.DOTALL)
    assert found, f"there is no form for {action}"
    hidden = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', found[1])
    return {name: unescape(value) for name, value in hidden if name != "csrf"}


def says(visitor, draft_id, verb, *, page=None, **fields):
    """Look, and press the button."""
    shown = page or visitor.get(f"/review?draft={draft_id}").text
    action = f"/drafts/{draft_id}/{verb}"
    return visitor.post_form(action, data=form_of(shown, action) | fields)


def next_page(visitor, answer):
    assert answer.status_code == 303, answer.text
    return visitor.get(answer.headers["location"])


def chosen(answer):
    return parse_qs(urlsplit(answer.headers["location"]).query).get("draft", [None])[0]


# --- looking ---


def test_nothing_to_review_says_when_the_next_letter_leaves(as_viewer, store, clock):
    assert "No letter is planned" in as_viewer.get("/review").text
    enrolled(store, clock.now(), wants=sequence({"after": "2d", "subject": "Hi", "body": "Hi"}))
    page = as_viewer.get("/review").text
    assert "Nothing waits for you" in page
    assert "leaves Wed 4 Mar 2026, 09:00 UTC" in page


def test_the_odd_ones_come_first_and_say_why(as_viewer, waits):
    calm, odd = waits("bo@nordic.example"), waits("chi@nordic.example", company="tbd")
    page = as_viewer.get("/review").text
    assert page.index(odd) < page.index(calm)
    assert "company reads like a stopgap: tbd" in page
    assert "2 letters wait for a yes" in page


def test_a_letter_is_shown_as_its_reader_will_see_it_and_what_filled_a_gap_stands_out(as_viewer, waits):
    page = as_viewer.get(f"/review?draft={waits()}").text
    assert "sam@acme.example" in page
    assert IDA in page
    assert "Leaves, if approved" in page
    assert "Mon 2 Mar 2026, 09:00 UTC" in page
    filled = re.findall(r'<mark class="filled">.*?</span>(.*?)<span', page)
    assert "Ida" in filled
    assert "Nordic" in filled


def test_a_viewer_sees_everything_and_no_verb(as_viewer, waits, state):
    which = waits()
    page = as_viewer.get(f"/review?draft={which}").text
    assert "a reviewer decides" in page
    assert f"/drafts/{which}/approve" not in page
    for verb in ("approve", "edit", "send-now", "reschedule", "reject", "withdraw", "submit"):
        assert as_viewer.post_form(f"/drafts/{which}/{verb}", content_sha="x").status_code == 403
    assert as_viewer.post_form("/review/approve-alike", alike="x").status_code == 403
    assert state(which).state == "held"


def test_looking_changes_nothing(as_reviewer, waits, state):
    which = waits()
    for verb in ("approve", "edit", "send-now", "reschedule", "reject", "withdraw", "submit"):
        assert as_reviewer.get(f"/drafts/{which}/{verb}").status_code == 405
    assert state(which).state == "held"


def test_the_queue_goes_on_by_pages_and_a_letter_finds_its_neighbours(as_viewer, waits):
    names = [waits(f"p{number:02}@firm.example") for number in range(30)]
    first = as_viewer.get("/review").text
    assert sum(f'<li data-draft="{name}"' in first for name in names) == 25
    on = unescape(re.search(r'href="(/review\?after=[^"]+)"[^>]*rel="next"', first)[1])
    second = as_viewer.get(on).text
    assert sum(f'<li data-draft="{name}"' in second for name in names) == 5
    shown = as_viewer.get(f"/review?draft={names[27]}").text
    assert f'data-key="k" href="/review?draft={names[26]}"' in shown
    assert f'data-key="j" href="/review?draft={names[28]}"' in shown
    assert f'<li data-draft="{names[27]}"' in shown


@pytest.mark.parametrize(
    "query", ["after=x", "before=%00", "after=WzEsMSwxXQ", "draft=nobody", "outcome=x", "batch=%27"]
)
def test_a_link_that_makes_no_sense_does_no_harm(as_viewer, waits, query):
    waits()
    assert as_viewer.get(f"/review?{query}").status_code in (200, 404)


# --- yes ---


def test_an_approved_letter_goes_at_its_hour_and_the_next_one_is_shown(as_reviewer, waits, state):
    first, second = waits("a@nordic.example"), waits("b@nordic.example")
    answer = says(as_reviewer, first, "approve")
    assert chosen(answer) == second
    page = next_page(as_reviewer, answer).text
    assert "Approved. It leaves" in page
    assert (state(first).state, state(first).approved_by) == ("scheduled", "reviewer@acme.example")
    assert state(second).state == "held"


def test_on_its_own_page_a_letter_stays_before_ones_eyes(as_reviewer, waits):
    which = waits()
    page = as_reviewer.get(f"/drafts/{which}").text
    answer = says(as_reviewer, which, "approve", page=page)
    assert answer.headers["location"] == f"/drafts/{which}"
    after = next_page(as_reviewer, answer).text
    assert "A letter that is approved" in after
    assert "reviewer@acme.example" in after


def test_a_double_click_approves_once_and_says_so(as_reviewer, waits, state):
    which = waits()
    page = as_reviewer.get(f"/review?draft={which}").text
    assert says(as_reviewer, which, "approve", page=page).status_code == 303
    again = says(as_reviewer, which, "approve", page=page)
    assert again.status_code == 409
    assert "This letter is approved by reviewer@acme.example already" in again.text
    assert again.headers["hx-push-url"] == f"/review?draft={which}"
    assert state(which).state == "scheduled"


def test_of_two_reviewers_one_wins_and_the_other_is_told_who(front, house, waits, state):
    which = waits()
    visitors = [come_in(front, house, "reviewer", f"{name}@acme.example") for name in ("kim", "lea")]
    pages = [visitor.get(f"/review?draft={which}").text for visitor in visitors]
    ready, answers = Barrier(2), []

    def press(visitor, page):
        ready.wait()
        answers.append((visitor.member.email, says(visitor, which, "approve", page=page)))

    hands = [Thread(target=press, args=each) for each in zip(visitors, pages, strict=True)]
    for hand in hands:
        hand.start()
    for hand in hands:
        hand.join()
    winners = [email for email, answer in answers if answer.status_code == 303]
    losers = [answer for _, answer in answers if answer.status_code == 409]
    assert (len(winners), len(losers)) == (1, 1)
    assert state(which).approved_by == winners[0]
    assert f"is approved by {winners[0]} already" in losers[0].text


def test_a_yes_to_words_that_somebody_has_changed_is_told_what_changed_and_shown_the_new_ones(
    front, house, waits, state
):
    which = waits()
    kim, lea = (come_in(front, house, "reviewer", f"{name}@acme.example") for name in ("kim", "lea"))
    seen_by_lea = lea.get(f"/review?draft={which}").text
    says(kim, which, "edit", text="Something else altogether.", subject="New", yes="no")

    answer = says(lea, which, "approve", page=seen_by_lea)

    assert answer.status_code == 409
    assert "kim@acme.example changed it" in answer.text
    assert "Something else altogether." in answer.text
    assert state(which).state == "held"
    assert says(lea, which, "approve", page=answer.text).status_code == 303
    assert state(which).approved_by == "lea@acme.example"


def test_a_yes_after_an_answer_is_none(as_reviewer, waits, state, store, clock, pace):
    which = waits()
    page = as_reviewer.get(f"/review?draft={which}").text
    react(reply(state(which).thread_id), b"{}", store=store, clock=clock, pace=pace)
    answer = says(as_reviewer, which, "approve", page=page)
    assert answer.status_code == 409
    assert "was cancelled (replied)" in answer.text
    assert f"/drafts/{which}/approve" not in answer.text
    assert state(which).state == "cancelled"


def test_a_form_that_does_not_say_what_was_seen_is_no_yes(as_reviewer, waits, state):
    which = waits()
    answer = as_reviewer.post_form(f"/drafts/{which}/approve")
    assert answer.status_code == 422
    assert state(which).state == "held"


def test_only_who_is_named_may_say_yes_and_the_others_see_who_that_is(front, house, store, clock):
    by = {"approval": {"steps": "all", "by": ["kim@acme.example", "team:leads"]}}
    enrolled(store, clock.now(), wants=sequence(**by))
    which = pending(store, clock.now())[0]["draft_id"]
    lea = come_in(front, house, "reviewer", "lea@acme.example")
    page = lea.get(f"/review?draft={which}").text
    assert "Only kim@acme.example or team:leads may say yes" in page
    assert f"/drafts/{which}/approve" not in page
    other = form_of(page, f"/drafts/{which}/edit")
    assert lea.post_form(f"/drafts/{which}/approve", data=other).status_code == 403
    leads = come_in(front, house, "reviewer", "max@acme.example", teams=("leads",))
    assert says(leads, which, "approve").status_code == 303


# --- all like these ---


def test_all_like_these_are_approved_and_the_exceptions_left(as_reviewer, waits, state):
    calm = [waits(f"p{number}@firm.example", company=f"Firm {number}") for number in range(4)]
    odd = waits("odd@firm.example", company="N/A")
    page = as_reviewer.get(f"/review?draft={calm[0]}").text
    assert "4 letters say this in the same way" in page
    assert "1 other of them is odd" in page
    answer = as_reviewer.post_form("/review/approve-alike", data=form_of(page, "/review/approve-alike"))
    after = next_page(as_reviewer, answer).text
    assert "4 letters approved. Each leaves at its own hour" in after
    assert answer.headers["location"] == "/review"
    assert {state(each).state for each in calm} == {"scheduled"}
    assert state(odd).state == "held"
    assert odd in after


def test_what_came_or_changed_after_the_page_was_shown_is_not_approved_with_the_others(
    as_reviewer, waits, state, clock
):
    before = [waits(f"p{number}@firm.example") for number in range(3)]
    page = as_reviewer.get(f"/review?draft={before[0]}").text
    clock.pass_(timedelta(seconds=5))
    after = waits("late@firm.example")
    says(as_reviewer, before[2], "edit", text="Reworded.", yes="no")
    as_reviewer.post_form("/review/approve-alike", data=form_of(page, "/review/approve-alike"))
    assert [state(each).state for each in before] == ["scheduled", "scheduled", "held"]
    assert state(after).state == "held"


def test_the_kinds_of_letters_stand_together(as_reviewer, waits):
    for number in range(3):
        waits(f"p{number}@firm.example")
    page = as_reviewer.get("/review/alike").text
    assert "Approve all that have nothing odd" in page
    link = unescape(re.search(r'href="(/review\?batch=[^"]+)"', page)[1])
    assert "Letters that are alike" in as_reviewer.get(link).text


@pytest.mark.parametrize("as_of", ["", "yesterday", "2026-03-02T09:00:00"])
def test_all_of_them_are_approved_as_of_a_moment_or_not_at_all(as_reviewer, waits, state, as_of):
    which = waits()
    answer = as_reviewer.post_form("/review/approve-alike", alike=state(which).alike, as_of=as_of)
    assert answer.status_code == 422
    assert state(which).state == "held"


# --- other words, another hour, no ---


def test_an_edited_letter_says_what_was_written_and_is_approved_with_it(as_reviewer, waits, state):
    which = waits()
    page = next_page(
        as_reviewer,
        says(as_reviewer, which, "edit", text="Hello Ida,\r\n\r\nshort.", subject="New", yes="yes"),
    ).text
    assert "Saved and approved." in page
    assert (state(which).text, state(which).subject) == ("Hello Ida,\n\nshort.\n", "New")
    assert state(which).state == "scheduled"


def test_saved_without_a_yes_it_stays_before_ones_eyes_with_the_difference(as_reviewer, waits, state):
    which, _ = waits(), waits("b@nordic.example")
    answer = says(as_reviewer, which, "edit", text=state(which).text.replace("how are", "how were"), yes="no")
    assert chosen(answer) == which
    page = next_page(as_reviewer, answer).text
    assert "Saved. It waits for a yes" in page
    assert state(which).state == "held"


def test_what_cannot_be_saved_is_said_and_nothing_typed_is_lost(as_reviewer, waits, state):
    which = waits()
    answer = says(
        as_reviewer, which, "edit", text="My many words", subject="two\r\nBcc: all@acme.example", yes="yes"
    )
    assert answer.status_code == 422
    assert "My many words" in answer.text
    assert "subject" in answer.text
    assert state(which).state == "held"


def test_send_now_waits_for_no_hour(as_reviewer, store, clock, state):
    night = sequence(NIGHTS, schedule={"timezone": "UTC", "windows": "20:00-21:00"}, **SAYS_YES)
    enrolled(store, clock.now(), wants=night, first_name="Ida", company="Nordic")
    which = pending(store, clock.now())[0]["draft_id"]
    page = next_page(as_reviewer, says(as_reviewer, which, "send-now")).text
    assert "It leaves at once" in page
    assert (state(which).state, state(which).send_at) == ("scheduled", clock.now())


@pytest.mark.parametrize("verb", ["approve", "send-now"])
def test_while_everything_is_stopped_no_yes_promises_an_hour(as_reviewer, waits, verb):
    which = waits()
    as_reviewer.post_form("/stop")
    page = next_page(as_reviewer, says(as_reviewer, which, verb)).text
    assert "Approved. Everything is stopped: it leaves when somebody lets it go on." in page
    assert "at once" not in page


def test_a_cancelled_letter_says_why(as_reviewer, waits, store, clock):
    which = waits()
    with store.transaction(clock.now(), "a test") as ledger:
        ledger.drafts.cancel([which], "replied")
    page = as_reviewer.get(f"/drafts/{which}").text
    assert "Would have left" in page
    assert "They answered." in page


def test_another_hour_is_told_with_its_zone_and_is_no_yes(as_reviewer, waits, state):
    which = waits()
    answer = says(as_reviewer, which, "reschedule", at="2026-03-10T08:30", zone="Europe/Oslo")
    assert "Tue 10 Mar 2026, 08:30 Europe/Oslo" in next_page(as_reviewer, answer).text
    assert state(which).send_at.isoformat() == "2026-03-10T07:30:00+00:00"
    assert state(which).state == "held"


@pytest.mark.parametrize("at", ["2026-03-01T08:30", "", "tomorrow", "2026-13-01T08:30", "9999-12-31T23:59"])
def test_an_hour_that_has_passed_or_is_none_is_refused(as_reviewer, waits, state, at):
    which = waits()
    hour = state(which).send_at
    assert says(as_reviewer, which, "reschedule", at=at, zone="Mars/Base").status_code == 422
    assert state(which).send_at == hour


@pytest.mark.parametrize(
    ("then", "life", "end"), [("pause", "paused", "held"), ("stop", "stopped", "cancelled")]
)
def test_a_rejected_letter_does_not_go_and_its_person_waits_or_hears_no_more(
    as_reviewer, waits, state, store, clock, then, life, end
):
    which = waits()
    page = next_page(as_reviewer, says(as_reviewer, which, "reject", why="too pushy", then=then)).text
    assert "Rejected." in page
    assert state(which).state == end
    assert people(store, clock.now())[0]["state"] == life
    own = as_reviewer.get(f"/drafts/{which}").text
    assert "too pushy" in own
    assert f"/drafts/{which}/approve" not in own


def test_a_no_wants_a_reason(as_reviewer, waits, state):
    which = waits()
    answer = says(as_reviewer, which, "reject", why="  ", then="stop")
    assert answer.status_code == 422
    assert "say in a few words why" in answer.text
    assert state(which).state == "held"


def test_a_yes_is_taken_back(as_reviewer, waits, state):
    which = waits()
    says(as_reviewer, which, "approve")
    page = as_reviewer.get(f"/drafts/{which}").text
    after = next_page(as_reviewer, says(as_reviewer, which, "withdraw", page=page, why="wait")).text
    assert "The yes is taken back" in after
    assert state(which).state == "held"
    assert f"/drafts/{which}/approve" in after


def test_a_letter_written_by_hand_is_submitted_and_approved(as_reviewer, store, clock, state):
    with store.transaction(clock.now(), "a test") as ledger:
        ledger.threads.open_inbox("sam@acme.example")
    made = write(
        Wish(inbox_id="sam@acme.example", to=(IDA,), subject="By hand", text="Hello"),
        by=Author(id="somebody"),
        store=store,
        clock=clock,
    )
    which = made.draft.id
    page = as_reviewer.get(f"/drafts/{which}").text
    assert "written by hand" in page
    after = next_page(as_reviewer, says(as_reviewer, which, "submit", page=page)).text
    assert "Submitted" in after
    assert state(which).state == "held"
    assert which in as_reviewer.get("/review").text


# --- hostile ---


def strange(store, which, **values):
    with store.database.begin() as db:
        db.execute(update(draft).where(draft.c.id == which).values(**values))


def test_what_strangers_wrote_is_shown_and_never_run(as_reviewer, waits, store):
    which = waits(first_name=HOSTILE[:90], company=HOSTILE[:90])
    strange(
        store,
        which,
        subject=HOSTILE,
        text=HOSTILE + "\r\n</textarea><script>alert(5)</script>",
        names={IDA: HOSTILE + ' "a" <other@evil.example>'},
        oddities=[HOSTILE],
        reason=HOSTILE,
    )
    for path in (f"/review?draft={which}", f"/drafts/{which}", "/review", "/review/alike"):
        page = as_reviewer.get(path).text
        assert "<script>alert" not in page
        assert "<svg onload" not in page
        assert "<img src" not in page
        assert not re.search(r'(?:href|src|action)="\s*javascript:', page, re.IGNORECASE)
        assert "onerror=alert(3)>" not in page
    page = as_reviewer.get(f"/drafts/{which}").text
    assert "is another address: other@evil.example" in page
    assert "turn the direction of writing" in page


def test_what_goes_with_the_words_is_shown_too(as_viewer, waits, store):
    which = waits()
    bare = as_viewer.get(f"/drafts/{which}").text
    assert not any(f"<dt>{name}</dt>" in bare for name in ("Reply to", "Answers", "Forwards", "Headers"))
    strange(
        store,
        which,
        names={"Desk@acme.example": "The desk"},
        reply_to=["desk@acme.example"],
        headers={"X-Campaign": "spring"},
        in_reply_to="<a@nordic.example>",
        forward_of="<b@nordic.example>",
    )
    page = as_viewer.get(f"/drafts/{which}").text
    head = unescape(
        re.sub(r"<[^>]*>", " ", re.search(r'<dl class="envelope-head">.*?</dl>', page, re.DOTALL)[0])
    )
    head = " ".join(head.split())
    assert "Reply to The desk desk@acme.example" in head
    assert "Headers X-Campaign : spring" in head
    assert "Answers <a@nordic.example>" in head
    assert "Forwards <b@nordic.example> its words go below these" in head


def test_a_letter_that_answers_what_stands_beside_it_does_not_say_so_again(
    as_viewer, waits, store, clock, pace
):
    which = waits()
    with store.reading(clock.now()) as ledger:
        thread_id = ledger.drafts.get(which).thread_id
    react(reply(thread_id), b"{}", store=store, clock=clock, pace=pace)
    strange(store, which, in_reply_to="<answer@nordic.example>")
    page = as_viewer.get(f"/drafts/{which}").text
    assert "wrote</strong>" in page
    assert "<dt>Answers</dt>" not in page


def test_a_header_that_strangers_wrote_is_only_words(as_viewer, waits, store):
    which = waits()
    strange(
        store,
        which,
        names={"desk@acme.example": hostile.LINE},
        reply_to=["desk@acme.example", hostile.LINE],
        headers={"X-Strange": hostile.ALL, hostile.LINE: "\x1b[2J" + hostile.LONG},
        in_reply_to=hostile.LINE,
        forward_of=hostile.LINE,
    )
    page = as_viewer.get(f"/drafts/{which}").text
    assert hostile.nothing_runs(page)
    assert len(page) < 100_000


def test_a_line_of_a_megabyte_is_cut_and_can_be_shown(as_reviewer, waits, store):
    which = waits()
    strange(store, which, text="W" * 1_000_000)
    page = as_reviewer.get(f"/review?draft={which}")
    shown = re.search(r'<div class="letter-text".*?</div>', page.text, re.DOTALL)[0]
    assert 19_000 < len(shown) < 25_000
    assert "more signs are not shown" in page.text
    whole = as_reviewer.get(f"/drafts/{which}?all=1").text
    assert "W" * 1_000_000 in whole


def test_the_html_of_a_mail_stands_behind_glass(as_viewer, waits, store):
    which = waits()
    assert as_viewer.get(f"/drafts/{which}/mail").status_code == 404
    strange(store, which, html="<p>Hello</p><script>alert(1)</script><IFRAME src=//evil.example>")
    page = as_viewer.get(f"/drafts/{which}").text
    assert re.search(rf'<iframe[^>]* sandbox [^>]*src="/drafts/{which}/mail"', page)
    frame = as_viewer.get(f"/drafts/{which}/mail")
    policy = frame.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert re.search(r"sandbox(;|$)", policy)
    assert "script-src" not in policy
    assert frame.headers["x-frame-options"] == "SAMEORIGIN"
    assert "<p>Hello</p>" in frame.text
    assert "<iframe" not in frame.text.lower()


def test_who_is_not_in_sees_none_of_it(front, waits):
    which = waits()
    for path in ("/review", "/review/alike", f"/drafts/{which}", f"/drafts/{which}/mail"):
        answer = front.get(path)
        assert (answer.status_code, answer.headers["location"].split("?")[0]) == (303, "/login")
