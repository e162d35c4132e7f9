"""A newcomer in the demo, who has read nothing: in by the link, and within two minutes a review, an edit, a yes, a stop."""

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from relent.demo import _END, _month
from relent.demo_desk import Opened, Plan, leave_open
from relent.first_day import new_secret
from tests.browser.visits import Visits


@pytest.fixture
def demo(tmp_path: Path, visits: Visits) -> Iterator[Opened]:
    """At its end. Mia answers sooner than usual."""
    plan = Plan(folder=tmp_path / "demo", secret=new_secret(), begin=_END, answer_after=3)
    plan.folder.mkdir()
    _month(plan, and_work=True)
    opened = leave_open(plan)
    yield opened
    visits.leave()
    opened.process.terminate()
    opened.process.wait(20)


def test_a_newcomer_reviews_edits_approves_and_stops_within_two_minutes(visits: Visits, demo: Opened):
    begun = time.monotonic()
    url, _, way_in = demo.link.partition("/enter/")
    visit = visits.at(url)
    page = visit.open(f"/enter/{way_in}")
    visit.keep("demo-enter")
    page.get_by_role("button", name="Enter the demo").click()
    expect(page.locator(".notice[role=status]")).to_contain_text("letters wait for your yes: open Review")
    visit.keep("demo-today")

    page.get_by_role("navigation", name="Pages").get_by_role("link", name="Review").first.click()
    mia = page.locator("[data-queue]").get_by_text("mia@ropery.example")
    expect(mia).to_have_count(1)
    page.keyboard.press("e")
    page.get_by_label("Text", exact=True).fill("Hello, may I come by on Thursday?")
    page.get_by_role("button", name="Save and approve").click()
    expect(page.locator(".notice[role=status]")).to_contain_text("Saved and approved.")
    page.wait_for_timeout(900)
    page.keyboard.press("a")
    expect(page.locator(".notice[role=status]")).to_contain_text(re.compile("^\\W*Approved"))

    expect(mia).to_have_count(0, timeout=20_000)  # before our eyes, whatever we do meanwhile

    visit.keep("demo-review")
    visit.open("/")
    page.get_by_role("main").get_by_role("button", name="Stop everything").click()
    expect(page.get_by_role("main")).to_contain_text(
        re.compile("nothing (more )?leaves|stopped", re.IGNORECASE)
    )
    visit.keep("demo-stopped")
    assert time.monotonic() - begun < 120
