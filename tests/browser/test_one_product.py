"""All pages look like one product, on a phone, on a desk and on a wall; a picture of each is kept."""

import pytest

from tests.browser.test_everybody_can_use_it import EMPTY, FULL, OUTSIDE
from tests.browser.visits import THEMES, Visit

WIDTHS = (375, 1280, 1920)

_WAYS = "() => [...document.querySelectorAll('nav[aria-label=\"Pages\"] a')].map(each => each.getAttribute('href'))"


def _kept_pictures(visit: Visit, name: str) -> list[str]:
    """What does not fit, and where."""
    wide = []
    for theme in THEMES:
        for width in WIDTHS:
            visit.look(theme, width)
            visit.keep(f"{name}-{width}-{theme}")
            if over := visit.overflow():
                wide.append(f"{width} px, {theme}: {over} px too wide: {visit.sticks_out()}")
    return wide


@pytest.mark.parametrize("name", FULL)
def test_every_page_fits_and_is_of_one_kind(visits, still_towns, name):
    town = still_towns("full")
    visit = visits.by(town, "admin")
    page = visit.open(town.pages()[name])

    assert page.locator("h1").count() == 1
    assert page.locator("h1").is_visible()
    assert page.title().endswith(" · Relent")
    assert "/review" in page.evaluate(_WAYS)
    assert page.locator("main").count() == 1
    assert _kept_pictures(visit, name) == []


@pytest.mark.parametrize("name", EMPTY)
def test_every_empty_page_fits_and_says_what_to_do(visits, still_towns, name):
    town = still_towns("empty")
    visit = visits.by(town, "admin")
    page = visit.open(town.pages()[name])

    assert page.locator("h1").count() == 1
    assert _kept_pictures(visit, f"empty-{name}") == []


@pytest.mark.parametrize("name", OUTSIDE)
def test_the_pages_before_somebody_is_in_fit(visits, still_towns, name):
    visit = visits.by(still_towns("full"), None)
    page = visit.open(*OUTSIDE[name])

    assert page.locator("h1").count() == 1
    assert _kept_pictures(visit, name.replace(" ", "-")) == []


def test_every_page_has_the_same_ways(visits, still_towns):
    town = still_towns("full")
    visit = visits.by(town, "admin")
    ways = {}
    for name, path in town.pages().items():
        ways[name] = tuple(visit.open(path).evaluate(_WAYS))

    assert len(set(ways.values())) == 1, ways


def test_every_way_leads_somewhere(visits, still_towns):
    town = still_towns("full")
    visit = visits.by(town, "admin")
    for way in sorted(set(visit.open("/").evaluate(_WAYS))):
        page = visit.open(way)
        here = page.locator('nav[aria-label="Pages"] a[aria-current="page"]')

        assert {each.get_attribute("href") for each in here.all()} == {way}, way


def test_a_wish_for_the_dark_is_remembered(visits, still_towns):
    visit = visits.by(still_towns("full"), "viewer")
    page = visit.open("/")
    page.get_by_role("button", name="Dark", exact=True).first.click()

    assert visit.open("/people").locator("html").get_attribute("data-theme") == "dark"
