"""The whole review: by keyboard alone, by mouse alone; what is on the page is what happens."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.towns import MIA, NILS, OLGA, Town
from tests.browser.visits import Visit, Visits


def _who(page: Page) -> str:
    return page.locator("#letter").get_attribute("data-draft") or ""


def _say_yes(page: Page) -> None:
    """By key. One that is pressed at once was meant for the letter before, and is not taken."""
    page.wait_for_timeout(900)
    page.keyboard.press("a")


def _done(page: Page, words: str) -> None:
    expect(page.locator(".notice[role=status]")).to_contain_text(words)


def _state(town: Town, draft_id: str) -> str:
    return next(each["state"] for each in town.drafts() if each["draft_id"] == draft_id)


def _text(town: Town, draft_id: str) -> str:
    return next(each["text"] for each in town.drafts() if each["draft_id"] == draft_id)


@pytest.fixture
def page(visit: Visit) -> Page:
    """The queue, open."""
    page = visit.open("/review")
    expect(page.locator("#letter")).to_be_visible()
    return page


# --- by keyboard alone ---


def test_one_comes_to_the_queue_by_tab_and_enter(visit: Visit):
    page = visit.open("/")
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.getAttribute('href')") == "/review":
            break
    page.keyboard.press("Enter")

    expect(page).to_have_url(re.compile("/review$"))
    expect(page.locator("#letter")).to_be_visible()


def test_j_and_k_go_through_the_queue_and_back(page: Page):
    seen = [_who(page)]
    for _ in range(3):
        page.keyboard.press("j")
        expect(page.locator("#letter")).not_to_have_attribute("data-draft", seen[-1])
        seen.append(_who(page))
    assert len(set(seen)) == 4

    page.keyboard.press("k")
    expect(page.locator("#letter")).to_have_attribute("data-draft", seen[-2])


def test_the_odd_ones_come_first(page: Page, town: Town):
    first = page.locator("[data-queue] [data-draft]").first
    expect(first.locator(".badge.doubt").first).to_be_visible()
    odd = {town.draft(email)["draft_id"] for email in ("rosa@pottery.example", "sven@lindqvist.example")}
    shown = [each.get_attribute("data-draft") for each in page.locator("[data-queue] [data-draft]").all()]
    assert odd <= set(shown[:4])


def test_a_approves_and_it_leaves(page: Page, town: Town):
    draft_id = _who(page)
    _say_yes(page)

    _done(page, "Approved.")
    expect(page.locator("#letter")).not_to_have_attribute("data-draft", draft_id)
    assert _state(town, draft_id) == "scheduled"
    town.work()
    assert _state(town, draft_id) == "sent"


def test_e_edits_and_what_was_typed_is_what_leaves(page: Page, town: Town):
    draft_id = _who(page)
    page.keyboard.press("e")
    expect(page.get_by_label("Text", exact=True)).to_be_focused()
    page.keyboard.press("Control+End")
    page.keyboard.type("\nPS. The coffee is on me: j k a e r ?")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")

    _done(page, "Saved and approved.")
    town.work()
    assert _state(town, draft_id) == "sent"
    assert "PS. The coffee is on me: j k a e r ?" in _text(town, draft_id)


def test_r_rejects_with_a_reason(page: Page, town: Town):
    draft_id = _who(page)
    page.keyboard.press("r")
    expect(page.get_by_label("Why not?")).to_be_focused()
    page.keyboard.type("not like this, a bit warmer")
    page.keyboard.press("Enter")

    _done(page, "Rejected.")
    assert _state(town, draft_id) == "held"
    with town.house.store.reading(town.clock.now()) as ledger:
        verdicts = {(each.verdict, each.why) for each in ledger.reviews.of(draft_id)}
    assert ("rejected", "not like this, a bit warmer") in verdicts


def test_a_question_mark_shows_the_keys_and_escape_hides_them(page: Page):
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    expect(page.get_by_role("dialog")).to_contain_text("approve")
    page.keyboard.press("a")  # nothing happens behind it
    page.keyboard.press("Escape")

    expect(page.get_by_role("dialog")).to_have_count(0)
    assert page.locator(".notice[role=status]").count() == 0


def test_a_key_that_is_typed_into_a_field_is_a_letter(page: Page, town: Town):
    draft_id = _who(page)
    page.keyboard.press("e")
    page.keyboard.type("aaarrrjjj")

    assert _who(page) == draft_id
    assert "aaarrrjjj" in page.get_by_label("Text", exact=True).input_value()
    assert _state(town, draft_id) == "held"


def test_a_whole_queue_is_worked_off_without_a_mouse(page: Page, town: Town):
    waiting = [each["draft_id"] for each in town.drafts() if each["state"] == "held"]
    for _ in waiting:
        draft_id = _who(page)
        _say_yes(page)
        _done(page, "Approved.")
        expect(page.locator(f'#letter[data-draft="{draft_id}"]')).to_have_count(0)

    expect(page.locator("main")).to_contain_text("Nothing waits for you")
    assert [each for each in town.drafts() if each["state"] == "held"] == []


def test_a_viewer_has_no_key_that_changes(visits: Visits, town: Town):
    page = visits.by(town, "viewer").open("/review")
    draft_id = _who(page)
    for key in "aers":
        page.keyboard.press(key)
    page.wait_for_timeout(300)

    assert _who(page) == draft_id
    assert _state(town, draft_id) == "held"
    assert page.get_by_role("button", name=re.compile("^Approve")).count() == 0


# --- by mouse alone ---


def _choose(page: Page, town: Town, email: str) -> str:
    draft_id = town.draft(email)["draft_id"]
    page.locator(f'[data-queue] [data-draft="{draft_id}"] a').click()
    expect(page.locator("#letter")).to_have_attribute("data-draft", draft_id)
    return str(draft_id)


def test_one_letter_is_chosen_and_approved_by_mouse(page: Page, town: Town):
    draft_id = _choose(page, town, NILS)
    expect(page.locator("#letter")).to_contain_text("What was said so far")
    page.get_by_role("button", name="Approve", exact=False).first.click()

    _done(page, "Approved.")
    town.work()
    assert _state(town, draft_id) == "sent"


def test_one_letter_is_edited_by_mouse(page: Page, town: Town):
    draft_id = _choose(page, town, OLGA)
    page.locator("summary", has_text="Edit").click()
    page.get_by_label("Text", exact=True).fill("Dear Olga, the clock strikes again. May I come?")
    page.get_by_role("button", name="Save without approving").click()

    _done(page, "Saved.")
    assert _text(town, draft_id).strip() == "Dear Olga, the clock strikes again. May I come?"
    assert _state(town, draft_id) == "held"
    expect(page.locator("#letter ins.changed").first).to_be_visible()


def test_one_letter_gets_another_hour_by_mouse(page: Page, town: Town):
    draft_id = _choose(page, town, MIA)
    page.locator("summary", has_text=re.compile("^(Another )?[Hh]our")).click()
    page.get_by_label("Leaves at").fill("2026-04-07T11:30")
    page.get_by_role("button", name="Change its hour").click()

    _done(page, "Its hour is")
    [draft] = [each for each in town.drafts() if each["draft_id"] == draft_id]
    assert f"{draft['send_at']:%Y-%m-%d %H:%M}" == "2026-04-07 09:30"  # eleven thirty in Oslo, in summer


def test_alike_ones_are_approved_at_once_and_the_odd_ones_are_left(page: Page, town: Town):
    _choose(page, town, "tove@bindery.example")
    page.locator("summary", has_text="alike").click()
    page.get_by_role("button", name=re.compile(r"^Approve \d+ letters$")).click()

    expect(page.locator(".notice[role=status]")).to_contain_text("letters approved")
    assert town.draft("tove@bindery.example")["state"] == "scheduled"
    assert town.draft("uma@seeds.example")["state"] == "scheduled"
    for odd in ("rosa@pottery.example", "sven@lindqvist.example", "yara@glashuette.example"):
        assert town.draft(odd)["state"] == "held"


def test_a_yes_is_taken_back_by_mouse(visit: Visit, town: Town):
    draft_id = town.draft(NILS)["draft_id"]
    page = visit.open(f"/drafts/{draft_id}")
    page.locator("summary", has_text=re.compile("^(Another )?[Hh]our")).click()
    page.get_by_label("Leaves at").fill("2026-04-07T11:30")
    page.get_by_role("button", name="Change its hour").click()
    page.get_by_role("button", name=re.compile("^Approve")).first.click()
    _done(page, "Approved.")
    page.locator("summary", has_text="Take the yes back").click()
    page.get_by_role("button", name="Take the yes back").click()

    _done(page, "taken back")
    assert _state(town, draft_id) == "held"


def test_ones_own_deed_closes_no_letter(visit: Visit, town: Town):
    page = visit.open(f"/drafts/{town.draft(NILS)['draft_id']}")
    page.get_by_role("button", name=re.compile("^Approve")).first.click()
    _done(page, "Approved.")
    page.locator("summary", has_text=re.compile("^Hour")).click()
    page.get_by_label("Leaves at").fill("2026-04-07T11:30")
    page.get_by_role("button", name="Change its hour").click()
    _done(page, "Its hour is")

    page.wait_for_timeout(3000)  # until it is told of its own deed
    expect(page.locator("#letter")).not_to_have_attribute("data-moved", re.compile(".*"))
    expect(page.locator("[data-moved-banner]")).to_be_hidden()


def test_a_letter_that_needs_no_yes_does_not_speak_of_one(visit: Visit, town: Town):
    [draft] = [
        each
        for each in town.drafts()
        if each["to"] == "dora@mapworks.example" and each["state"] == "scheduled"
    ]
    page = visit.open(f"/drafts/{draft['draft_id']}")
    expect(page.locator("h1")).to_have_text("A letter that has its hour")
    expect(page.locator("#letter")).to_contain_text("Nobody's: this step needs no yes.")
    expect(page.locator("#letter")).not_to_contain_text("Approved by")


def test_cancel_closes_what_was_opened_and_loads_nothing(page: Page):
    draft_id = _who(page)
    page.keyboard.press("e")
    page.evaluate("document.body.dataset.same = 'yes'")
    page.get_by_role("link", name="Cancel").click()

    expect(page.locator(".verb[open]")).to_have_count(0)
    assert _who(page) == draft_id
    assert page.evaluate("document.body.dataset.same") == "yes"


def test_of_two_reviewers_one_is_first_and_the_other_is_told(visits: Visits, town: Town):
    draft_id = town.draft(NILS)["draft_id"]
    first, second = visits.by(town, "reviewer"), visits.by(town, "admin", scripts=False)
    slow = second.open(f"/drafts/{draft_id}")
    quick = first.open(f"/drafts/{draft_id}")
    quick.locator("summary", has_text="Edit").click()
    quick.get_by_label("Text", exact=True).fill("Dear Nils, in other words.")
    quick.get_by_role("button", name="Save and approve").click()
    _done(quick, "Saved and approved.")
    slow.get_by_role("button", name=re.compile("^Approve")).first.click()

    told = slow.get_by_role("alert").filter(has_text=re.compile("reviewer@acme.example|changed|approved"))
    expect(told.first).to_be_visible()
    assert _text(town, draft_id).strip() == "Dear Nils, in other words."
