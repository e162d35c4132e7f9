"""The calendar by mouse: a letter is drawn onto another day, and its hour stays."""

import re

from playwright.sync_api import expect

from tests.browser.towns import Town
from tests.browser.visits import Visits


def _hour(town: Town, email: str) -> str:
    return f"{town.draft(email)['send_at']:%Y-%m-%d %H:%M}"


def test_a_letter_is_drawn_onto_another_day(visits: Visits, town: Town):
    page = visits.by(town, "reviewer").open("/calendar?day=2026-04-03")
    letter = page.locator(".day-letter", has_text="anna@weaver.example")
    letter.locator(".hour").hover()
    page.mouse.down()
    page.mouse.move(300, 300)
    page.mouse.move(310, 310)  # by now it is drawn, and the days have come to the letter
    day = page.locator('[data-drop-strip] [data-day="2026-04-07"]')
    expect(day).to_be_visible()
    day.hover(force=True)
    day.hover(force=True)
    page.mouse.up()

    expect(page.locator(".notice[role=status]")).to_contain_text(re.compile("Tue 7 Apr"))
    assert _hour(town, "anna@weaver.example") == "2026-04-07 09:00"
    assert _hour(town, "bo@chandlery.example") == "2026-04-03 09:00"


def test_a_viewer_draws_nothing(visits: Visits, town: Town):
    page = visits.by(town, "viewer").open("/calendar?day=2026-04-03")

    assert page.locator(".day-letter").count() >= 2
    assert page.locator(".day-letter[draggable=true], .day-letter summary").count() == 0
