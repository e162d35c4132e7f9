"""Without JavaScript: every verb by a plain form, and each says what it has done."""

import re

import pytest
from playwright.sync_api import Page, expect

from engine.model import Draft
from engine.states import DraftState
from tests.browser.towns import IDA, MIA, NILS, OLGA, Town
from tests.browser.visits import Visits


@pytest.fixture
def plain(visits: Visits, town: Town) -> Page:
    """An admin whose browser runs nothing."""
    return visits.by(town, "admin", scripts=False).page


def _letter(plain: Page, town: Town, email: str) -> str:
    draft_id = str(town.draft(email)["draft_id"])
    plain.goto(f"{town.url}/drafts/{draft_id}")
    return draft_id


def _draft(town: Town, draft_id: str) -> Draft:
    with town.house.store.reading(town.clock.now()) as ledger:
        found = ledger.drafts.get(draft_id)
    assert found
    return found


def _open(plain: Page, words: str) -> None:
    plain.locator("summary", has_text=re.compile(words)).first.click()


def _press(plain: Page, words: str) -> None:
    plain.get_by_role("button", name=re.compile(words)).first.click()


def _told(plain: Page, words: str) -> None:
    expect(plain.locator("main")).to_contain_text(re.compile(words, re.IGNORECASE))


# --- a letter ---


def test_approve(plain, town):
    draft_id = _letter(plain, town, NILS)
    _press(plain, "^Approve( a)?$")

    _told(plain, "approved")
    assert _draft(town, draft_id).approved_by == "admin@acme.example"


def test_edit_and_approve(plain, town):
    draft_id = _letter(plain, town, NILS)
    _open(plain, "^Edit")
    plain.get_by_label("Text", exact=True).fill("Dear Nils,\n\nmay I come?")
    _press(plain, "^Save and approve")

    _told(plain, "saved and approved")
    assert _draft(town, draft_id).text.split() == ["Dear", "Nils,", "may", "I", "come?"]
    assert _draft(town, draft_id).state == DraftState.SCHEDULED


def test_what_was_opened_is_closed_by_cancel_and_no_key_is_offered(plain, town):
    draft_id = _letter(plain, town, NILS)
    assert plain.locator("kbd:visible").count() == 0
    _open(plain, "^Edit")
    plain.get_by_label("Text", exact=True).fill("Never mind.")
    plain.get_by_role("link", name="Cancel").click()

    expect(plain.locator(".verb[open]")).to_have_count(0)
    assert "Never mind." not in _draft(town, draft_id).text


def test_send_now(plain, town):
    draft_id = _letter(plain, town, OLGA)
    _open(plain, "^Send now")
    _press(plain, "^Yes, send it now")

    _told(plain, "leaves at once")
    town.work()
    assert _draft(town, draft_id).state == DraftState.SENT


def test_reschedule(plain, town):
    draft_id = _letter(plain, town, OLGA)
    _open(plain, "[Hh]our")
    plain.get_by_label("Leaves at").fill("2026-04-08T10:15")
    _press(plain, "^Change its hour")

    _told(plain, "its hour is")
    assert f"{_draft(town, draft_id).send_at:%Y-%m-%dT%H:%M}" == "2026-04-08T10:15"


@pytest.mark.parametrize(
    ("then", "state", "outcome"),
    [("Pause this person", "held", "rejected"), ("Skip this letter", "cancelled", None), ("Stop this person", "cancelled", None)],
)  # fmt: skip
def test_reject(plain, town, then, state, outcome):
    draft_id = _letter(plain, town, NILS)
    _open(plain, "^Reject")
    plain.get_by_label("Why not?").fill("too soon")
    plain.get_by_label(re.compile(f"^{then}")).check()
    _press(plain, "^Reject it")

    _told(plain, "rejected")
    assert _draft(town, draft_id).state == state
    if outcome:
        assert _draft(town, draft_id).outcome == outcome


def test_withdraw(plain, town):
    draft_id = _letter(plain, town, OLGA)
    _open(plain, "[Hh]our")
    plain.get_by_label("Leaves at").fill("2026-04-08T10:15")
    _press(plain, "^Change its hour")
    _press(plain, "^Approve( a)?$")
    _open(plain, "^Take the yes back")
    _press(plain, "^Take the yes back")

    _told(plain, "taken back")
    assert _draft(town, draft_id).state == DraftState.HELD


def test_approve_all_that_are_alike(plain, town):
    plain.goto(f"{town.url}/review/alike")
    _open(plain, r"^Approve \d")
    _press(plain, r"^Approve \d+ letters?$")

    _told(plain, "letters? approved")


def test_the_queue_goes_on_to_the_next(plain, town):
    plain.goto(f"{town.url}/review")
    first = plain.locator("#letter").get_attribute("data-draft")
    plain.get_by_role("link", name=re.compile("Next")).first.click()

    assert plain.locator("#letter").get_attribute("data-draft") != first


# --- a person, a sequence, the house ---


def test_stop_one_person_and_never_write_again(plain, town):
    plain.goto(f"{town.url}/people/{town.person(MIA)['enrollment_id']}")
    _open(plain, "^Stop")
    _press(plain, "^Stop writing")

    assert town.draft(MIA)["state"] == "cancelled"
    plain.goto(f"{town.url}/people/{town.person(NILS)['enrollment_id']}")
    _open(plain, "^Never write again")
    if plain.get_by_label(re.compile("why", re.IGNORECASE)).count():
        plain.get_by_label(re.compile("why", re.IGNORECASE)).first.fill("asked")
    _press(plain, "^Never write to them again")
    assert town.draft(NILS)["state"] == "cancelled"


def test_stop_a_sequence_and_resume_it(plain, town):
    plain.goto(f"{town.url}/sequences/Spring%20visits")
    _open(plain, "^Stop this sequence")
    _press(plain, "^Yes, pause")

    assert town.person(MIA)["state"] == "paused"
    plain.goto(f"{town.url}/sequences/Spring%20visits")
    _open(plain, "^Resume this sequence")
    _press(plain, "^Yes, go on")
    assert town.person(MIA)["state"] == "active"


def test_stop_everything_and_let_it_go_on(plain, town):
    plain.goto(town.url)
    _press(plain, "^Stop everything")

    _told(plain, "held|nothing leaves|stopped")
    with town.house.store.reading(town.clock.now()) as ledger:
        assert ledger.watch.braked()
    plain.goto(f"{town.url}/resume")
    _press(plain, "^Let letters leave again")
    with town.house.store.reading(town.clock.now()) as ledger:
        assert not ledger.watch.braked()


# --- what is planned, and who is never written to ---


def test_a_letter_moves_in_the_calendar(plain, town):
    draft_id = town.draft("anna@weaver.example")["draft_id"]
    plain.goto(f"{town.url}/calendar")
    plain.locator('.day-strip a[data-day="2026-04-03"]').click()
    letter = plain.locator(".day-letter", has_text="anna@weaver.example")
    letter.locator("summary").click()
    letter.locator("input[type=datetime-local]").fill("2026-04-07T12:00")
    letter.get_by_role("button", name="Move it").click()

    assert f"{_draft(town, draft_id).send_at:%Y-%m-%dT%H:%M}" == "2026-04-07T12:00"


def test_a_domain_is_suppressed(plain, town):
    plain.goto(f"{town.url}/suppressions")
    plain.get_by_label("An address, or a domain").fill("clockworks.example")
    plain.get_by_label("Why", exact=True).fill("they asked us to")
    _press(plain, "^Never write to them again")

    _told(plain, "clockworks.example")
    assert town.draft(OLGA)["state"] == "cancelled"


# --- settings ---


def test_a_key_is_made_and_shown_once(plain, town):
    plain.goto(f"{town.url}/settings")
    _open(plain, "^Make a key")
    plain.get_by_label("Whose it is, or what for").fill("The night robot")
    _press(plain, "^Make it")

    _told(plain, "you see this once")
    secret = re.search(r"am_[\w-]+", plain.locator("main").inner_text())
    assert secret
    plain.goto(f"{town.url}/settings")
    _told(plain, "the night robot")
    assert secret[0] not in plain.content()


def test_somebody_is_invited(plain, town):
    plain.goto(f"{town.url}/settings")
    _open(plain, "^Invite somebody")
    plain.get_by_label("Their address").fill("nina@acme.example")
    _press(plain, "^Make the link")

    _told(plain, "/welcome/")
    link = re.search(r"/welcome/(\S+)", plain.locator("main").inner_text())
    assert link
    assert town.members.invited(link[1]).email == "nina@acme.example"


def test_a_password_is_changed(plain, town):
    plain.goto(f"{town.url}/account")
    fields = plain.locator("main input[type=password]").all()
    for field, word in zip(fields, ("a word between us two", *["another word of ours"] * 2), strict=True):
        field.fill(word)
    plain.locator("main form button").first.click()

    _told(plain, "your password is changed")
    assert town.members.sign_in("admin@acme.example", "another word of ours")


def test_somebody_who_left_us_is_found_and_read(plain, town):
    plain.goto(f"{town.url}/people")
    plain.get_by_role("link", name=re.compile(re.escape(IDA))).first.click()
    _told(plain, "replied|answered")
    plain.goto(f"{town.url}/threads/{town.person(IDA)['thread_id']}")
    _told(plain, "Thursday at ten suits me well")
