"""Live: somebody answers while their letter is being looked at."""

import re

from playwright.sync_api import expect

from tests.browser.towns import MIA, OLGA, Town
from tests.browser.visits import Visits


def test_a_reply_takes_its_letter_out_of_the_open_queue_and_says_so(visits: Visits, town: Town):
    page = visits.by(town, "reviewer").open("/review")
    waiting = page.locator("main").get_by_text(MIA)
    expect(waiting.first).to_be_visible()
    page.wait_for_timeout(500)  # until it listens

    town.answers(MIA)

    expect(waiting).to_have_count(0)
    expect(
        page.locator('[aria-live="polite"]').filter(has_text=re.compile("mia", re.IGNORECASE))
    ).to_have_count(1)


def test_whoever_looks_at_the_letter_itself_is_told_too(visits: Visits, town: Town):
    page = visits.by(town, "reviewer").open(f"/drafts/{town.draft(OLGA)['draft_id']}")
    expect(page.get_by_role("button", name=re.compile("^Approve")).first).to_be_visible()
    page.wait_for_timeout(500)

    town.answers(OLGA)

    said = page.locator("[data-moved-banner]").filter(has_text=re.compile("answer|repl|olga", re.IGNORECASE))
    expect(said.first).to_be_visible()
    expect(page.get_by_role("link", name="Read the answer")).to_be_visible()


def test_a_yes_to_what_was_answered_meanwhile_is_an_honest_no(visits: Visits, town: Town):
    visit = visits.by(town, "reviewer", scripts=False)  # so that nothing changes before their eyes
    page = visit.open(f"/drafts/{town.draft(MIA)['draft_id']}")
    town.answers(MIA)
    page.get_by_role("button", name=re.compile("^Approve")).first.click()

    told = page.locator("main").inner_text()
    assert re.search("answer|repl|cancel|changed", told, re.IGNORECASE)
    assert town.draft(MIA)["state"] == "cancelled"


def test_today_counts_on_by_itself(visits: Visits, town: Town):
    page = visits.by(town, "viewer").open("/")
    before = page.locator("main").inner_text()
    page.wait_for_timeout(500)

    town.answers(MIA)

    page.wait_for_function("before => document.querySelector('main').innerText !== before", arg=before)
