"""Coming in and going: by a link, by a password, by keyboard; and what a wrong password is told."""

import re

from playwright.sync_api import expect

from tests.browser.towns import PASSWORD, Town
from tests.browser.visits import Visits


def _fill(page, email: str, password: str) -> None:
    page.get_by_label(re.compile("address|e-?mail", re.IGNORECASE)).fill(email)
    page.get_by_label("Password", exact=True).fill(password)
    page.keyboard.press("Enter")


def test_who_is_not_in_is_sent_to_the_login_and_then_to_where_they_wanted(visits: Visits, town: Town):
    visit = visits.by(town, None)
    page = visit.open("/people")

    assert visit.path == "/login"
    _fill(page, "reviewer@acme.example", PASSWORD)
    expect(page).to_have_url(re.compile("/people$"))


def test_a_wrong_password_is_told_kindly_and_opens_nothing(visits: Visits, town: Town):
    visit = visits.by(town, None)
    _fill(page := visit.open("/login"), "reviewer@acme.example", "not the one at all")

    expect(page.get_by_role("alert")).to_be_visible()
    assert visit.path == "/login"
    assert visit.open("/people").get_by_role("heading", level=1).count() == 1
    assert visit.path == "/login"


def test_who_signs_out_is_out(visits: Visits, town: Town):
    visit = visits.by(town, "reviewer")
    page = visit.open("/")
    page.get_by_role("button", name="Sign out").first.click()

    expect(page).to_have_url(re.compile("/login"))
    visit.open("/review")
    assert visit.path == "/login"
    assert town.members.know(town.session("reviewer")[1]) is None


def test_an_invitation_is_taken_in_the_browser_once(visits: Visits, town: Town):
    made = town.members.invite("new@acme.example", "reviewer", by="a test")
    visit = visits.by(town, None)
    page = visit.open(f"/welcome/{made.token}")
    page.get_by_label("What you are called").fill("Nina New")
    page.get_by_label("A password").fill("ropes and harbours and tar")
    page.get_by_label("The same once more").fill("ropes and harbours and tar")
    page.get_by_role("button", name="Come in").click()

    expect(page).to_have_url(f"{town.url}/")
    again = visits.by(town, None).open(f"/welcome/{made.token}", 404)
    assert "opens nothing any more" in (again.locator("main").text_content() or "")


def test_the_first_admin_comes_in_by_the_link_that_the_server_prints(visits: Visits, still_towns):
    town = still_towns("newborn")
    made = town.members.welcome()
    page = visits.by(town, None).open(f"/welcome/{made.token}")
    page.get_by_label("Your e-mail address").fill("first@acme.example")
    page.get_by_label("What you are called").fill("Fia First")
    page.get_by_label("A password").fill("ropes and harbours and tar")
    page.get_by_label("The same once more").fill("ropes and harbours and tar")
    page.keyboard.press("Enter")

    expect(page).to_have_url(f"{town.url}/")
    [admin] = town.members.list()
    assert (admin.email, admin.role) == ("first@acme.example", "admin")


def test_the_first_thing_that_tab_reaches_skips_to_the_content(visits: Visits, town: Town):
    page = visits.by(town, "viewer").open("/people")
    page.keyboard.press("Tab")
    skip = page.locator(":focus")

    assert skip.text_content() == "Skip to the content"
    expect(skip).to_be_in_viewport()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"


_RING = """() => {
  const at = document.activeElement, style = getComputedStyle(at);
  const ring = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0;
  return {what: at.outerHTML.slice(0, 120), body: at === document.body, seen: ring || style.boxShadow !== 'none'};
}"""


def test_wherever_the_keyboard_goes_one_sees_where_it_is(visits: Visits, still_towns):
    town = still_towns("full")
    visit = visits.by(town, "admin")
    for name in ("today", "review", "draft", "calendar", "person", "settings"):
        page = visit.open(town.pages()[name])
        for _ in range(40):
            page.keyboard.press("Tab")
            at = page.evaluate(_RING)
            assert at["body"] or at["seen"], f"{name}: {at['what']}"


def test_a_viewer_is_offered_nothing_that_changes(visits: Visits, still_towns):
    town = still_towns("full")
    visit = visits.by(town, "viewer")
    for name, path in town.pages().items():
        forms = visit.open(path, 403 if name == "settings" else 200).locator("form[method=post]")
        actions = {each.get_attribute("action") for each in forms.all()}
        assert actions <= {"/logout", "/account", "/account/password"}, name
