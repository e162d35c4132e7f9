"""Everybody can use every page: by axe nothing serious, in light and in dark, on a desk and on a phone."""

import pytest

from tests.browser.visits import THEMES, Visit

FULL = (
    "today", "review", "draft", "calendar", "people", "person", "threads", "thread", "sequences", "sequence",
    "deliveries", "suppressions", "settings", "start", "account", "nowhere",
)  # fmt: skip
EMPTY = (
    "today", "review", "calendar", "people", "threads", "sequences", "deliveries", "suppressions", "settings", "start",
)  # fmt: skip
OUTSIDE = {"login": ("/login", 200), "a link that opens nothing": ("/welcome/nobody-knows-this-one", 404)}


def _unfit(visit: Visit) -> list[str]:
    found = []
    for theme in THEMES:
        for width in (1280, 375):
            visit.look(theme, width)
            found += [f"{theme}, {width} px: {each}" for each in visit.unfit()]
    return found


@pytest.mark.parametrize("name", FULL)
def test_every_page_can_be_used_by_everybody(visits, still_towns, name):
    town = still_towns("full")
    visit = visits.by(town, "admin")
    visit.open(town.pages()[name])

    assert _unfit(visit) == []


@pytest.mark.parametrize("name", EMPTY)
def test_every_empty_page_can_be_used_by_everybody(visits, still_towns, name):
    town = still_towns("empty")
    visit = visits.by(town, "admin")
    visit.open(town.pages()[name])

    assert _unfit(visit) == []


@pytest.mark.parametrize("name", OUTSIDE)
def test_so_can_the_pages_before_somebody_is_in(visits, still_towns, name):
    visit = visits.by(still_towns("full"), None)
    visit.open(*OUTSIDE[name])

    assert _unfit(visit) == []
