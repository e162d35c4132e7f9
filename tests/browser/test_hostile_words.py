"""Whatever strangers wrote, on every page: it is shown as they wrote it, and nothing of it runs or breaks anything."""

from collections.abc import Iterator

import pytest

from tests.browser.towns import HACK, Town
from tests.browser.visits import Visit, Visits

_PLANTED = """() => [...document.querySelectorAll(
    '[onerror], [onload], [onmouseover], [onfocus], [onclick], base, style, script:not([src]), object, embed, '
    + 'a[href^="javascript:" i], iframe[src^="javascript:" i], form[action^="http"], link[href*="evil"]')]
  .map(each => each.outerHTML.slice(0, 160))"""


def _every_place(town: Town) -> Iterator[str]:
    """Every page, and everybody's own."""
    yield from town.pages().values()
    with town.house.store.reading(town.clock.now()) as ledger:
        people = list(ledger.views.people())
    for each in people:
        yield f"/people/{each['enrollment_id']}"
        yield f"/threads/{each['thread_id']}"
    for draft in town.drafts():
        yield f"/drafts/{draft['draft_id']}"


def _harm(visit: Visit) -> list[str]:
    """In a frame for a mail nothing can run at all: that it is such a frame is looked at below."""
    ran = visit.page.evaluate("() => window.__hacked")
    return [*(["it ran"] if ran is not None else []), *visit.page.evaluate(_PLANTED)]


@pytest.mark.parametrize("width", [375, 1280])
def test_nothing_runs_and_nothing_breaks(visits: Visits, still_towns, width):
    town = still_towns("hostile")
    visit = visits.by(town, "admin")
    visit.look("light", width)
    found = {}
    for path in dict.fromkeys(_every_place(town)):
        visit.open(path)
        harm = _harm(visit)
        if over := visit.overflow():
            harm.append(f"{over} px too wide: {visit.sticks_out()}")
        if harm:
            found[path] = harm

    assert found == {}


def test_it_is_shown_as_it_was_written(visits: Visits, still_towns):
    town = still_towns("hostile")
    visit = visits.by(town, "admin")
    told = {name: visit.open(path).locator("body").inner_text() for name, path in town.pages().items()}

    assert f"<script>{HACK}</script>" in told["sequences"]
    assert f"<script>{HACK}</script>" in told["people"] + told["person"]
    assert f"<script>{HACK}</script>" in told["thread"]
    drafts = [town.draft(f"h{number}@evil{number}.example")["draft_id"] for number in (4, 5)]
    broken_out, gaps = (visit.open(f"/drafts/{each}").locator("main").inner_text() for each in drafts)
    assert f"</script><script>{HACK}</script>" in broken_out
    assert "{{7*7}}" in gaps
    assert "49" not in gaps.split("{{7*7}}")[1][:40]


def test_a_hostile_mail_is_kept_in_a_frame_where_nothing_runs_or_is_fetched(visits: Visits, still_towns):
    town = still_towns("hostile")
    visit = visits.by(town, "reviewer")
    page = visit.open(f"/threads/{town.person('ida0@evil0.example')['thread_id']}")
    page.evaluate("() => document.querySelectorAll('details').forEach(each => { each.open = true })")
    frames = page.locator("iframe")
    assert frames.count() >= 1
    for frame in frames.all():
        sandbox = frame.get_attribute("sandbox")
        assert sandbox is not None
        assert "allow-scripts" not in sandbox
        assert "allow-same-origin" not in sandbox
    page.wait_for_timeout(500)

    assert _harm(visit) == []
    assert page.url.startswith(visit.url)


def test_what_is_searched_for_is_not_believed(visits: Visits, still_towns):
    """A link that somebody sent: its words are shown, if at all, as words."""
    town = still_towns("full")
    visit = visits.by(town, "admin")
    bad = "%22%3E%3Cscript%3E" + HACK + "%3C%2Fscript%3E"
    names = (
        "q",
        "after",
        "before",
        "batch",
        "state",
        "day",
        "from",
        "inbox",
        "sequence",
        "of",
        "what",
    )
    query = "&".join(f"{name}={bad}" for name in names)
    for path in town.pages().values():
        visit.open(f"{path}?{query}")
        assert _harm(visit) == [], path
