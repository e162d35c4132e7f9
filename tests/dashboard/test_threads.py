"""Threads: conversations as they went; and the HTML of a stranger, which runs nowhere and loads nothing."""

import html
import re
from datetime import timedelta
from typing import Any

import pytest

from engine.model import Attachment, Message
from tests.dashboard.hostile import ALL, LINE, LONG, nothing_runs
from tests.makers import IDA, SAM, label_a_follow_up, open_thread

SECOND = timedelta(seconds=1)


@pytest.fixture
def say(store, clock):
    """A letter of Ida's; the conversation's id."""

    def said(thread_id: str = "", **more: Any) -> str:
        clock.pass_(SECOND)
        thread_id = thread_id or open_thread(store, clock.now(), more.get("inbox_id", SAM))
        usual: dict[str, Any] = {
            "message_id": f"<{clock.now().timestamp()}@x>",
            "inbox_id": SAM,
            "sender": IDA,
        }
        usual |= {
            "thread_id": thread_id,
            "direction": "received",
            "to": (SAM,),
            "subject": "Hi",
            "text": "Hello",
        }
        with store.transaction(clock.now(), "a test") as ledger:
            ledger.threads.lock([thread_id])
            ledger.threads.keep(Message(**usual | {"timestamp": clock.now()} | more))
        return thread_id

    return said


def _words(page):
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", page)).split())


# --- the list ---


def test_before_anything_was_said_one_learns_how_it_begins(as_viewer):
    assert "Nobody has said anything yet" in as_viewer.get("/threads").text


def test_the_conversation_that_spoke_last_comes_first(as_viewer, say):
    older, newer = say(subject="Older"), say(subject="Newer")
    page = as_viewer.get("/threads").text
    assert page.index(f"/threads/{newer}") < page.index(f"/threads/{older}")


def test_a_conversation_says_who_was_written_to_and_whether_they_have_spoken(as_viewer, say):
    thread_id = say(direction="sent", sender=SAM, to=(IDA,))
    assert f"to {IDA} , from {SAM}" in _words(as_viewer.get("/threads").text)

    say(thread_id)
    assert f"with {IDA} , in {SAM}" in _words(as_viewer.get("/threads").text)


def test_they_are_looked_for_by_inbox(as_viewer, say):
    here, there = say(), say(inbox_id="tom@acme.example")
    page = as_viewer.get("/threads?inbox=Tom@acme.example").text
    assert there in page
    assert here not in page
    assert "No thread in this inbox" in as_viewer.get("/threads?inbox=nobody").text


def test_spam_is_shown_to_whoever_asks_for_it(as_viewer, say):
    spam = say(hidden="spam", labels=("received", "spam"))
    assert spam not in as_viewer.get("/threads").text
    assert spam in as_viewer.get("/threads?also=hidden").text


def test_the_list_goes_on_page_by_page(as_viewer, say):
    made = [say() for _ in range(45)]
    first = as_viewer.get("/threads").text
    onward = html.unescape(re.search(r'href="([^"]*after=[^"]*)" rel="next"', first)[1])
    second = as_viewer.get(onward).text
    assert [each in first for each in made] == [False] * 5 + [True] * 40
    assert [each in second for each in made] == [True] * 5 + [False] * 40
    assert as_viewer.get("/threads?after=nonsense").status_code == 200


# --- one of them ---


def test_a_conversation_is_read_from_old_to_new_with_labels_and_files(as_viewer, say):
    file = Attachment(name="offer.pdf", content_type="application/pdf", sha="0", size=1234)
    talk = say(text="First words", labels=("received", "hot"), attachments=(file,), names={IDA: "Ida Berg"})
    say(talk, text="Second words", direction="sent", sender=SAM, to=(IDA,))
    page = _words(as_viewer.get(f"/threads/{talk}").text)
    assert page.index("First words") < page.index("Second words")
    for words in "Ida Berg", "hot", "offer.pdf", "1,234 bytes", "They wrote:", "We wrote:":
        assert words in page


def test_a_long_conversation_begins_with_its_end(as_viewer, say):
    talk = say(text="letter number 0.")
    for number in range(1, 25):
        say(talk, text=f"letter number {number}.")
    last = as_viewer.get(f"/threads/{talk}").text
    earlier = html.unescape(re.search(r'href="([^"]*before=[^"]*)"', last)[1])
    first = as_viewer.get(earlier).text
    assert [f"letter number {number}." in last for number in range(25)] == [False] * 5 + [True] * 20
    assert [f"letter number {number}." in first for number in range(25)] == [True] * 5 + [False] * 20


def test_what_is_still_to_be_said_leads_to_its_letter(as_viewer, store, clock, say):
    talk = say()
    draft_id = label_a_follow_up(store, clock.now(), talk, clock.now() + timedelta(days=1))
    assert f'href="/drafts/{draft_id}"' in as_viewer.get(f"/threads/{talk}").text


@pytest.mark.parametrize("path", ["thr_nobody", "thr_nobody/messages/1/mail", "%3Cscript%3E", "x" * 1000])
def test_what_is_not_there_is_not_found(as_viewer, path):
    answer = as_viewer.get(f"/threads/{path}")
    assert answer.status_code == 404
    assert nothing_runs(answer.text)


@pytest.mark.parametrize("place", ["0", "2", "-1", "x", "1e3", "9" * 30, "²", "mail"])
def test_a_letter_that_is_not_in_it_is_not_found(as_viewer, say, place):
    talk = say(html="<b>x</b>")
    assert as_viewer.get(f"/threads/{talk}/messages/{place}/mail").status_code == 404


def test_a_letter_of_another_conversation_is_not_found_in_this_one(as_viewer, say):
    talk, other = say(text="plain"), say(html="<b>secret</b>")
    say(other, html="<b>secret</b>")
    assert as_viewer.get(f"/threads/{talk}/messages/2/mail").status_code == 404


# --- behind glass ---


def test_the_html_of_a_mail_may_do_nothing(as_viewer, say):
    talk = say(html=ALL)
    page = as_viewer.get(f"/threads/{talk}").text
    frame = re.search(r"<iframe[^>]*>", page)[0]
    assert re.search(r"<iframe sandbox [^>]*title=", frame)
    assert f'src="/threads/{talk}/messages/1/mail"' in frame
    answer = as_viewer.get(f"/threads/{talk}/messages/1/mail")
    policy = answer.headers["content-security-policy"]
    for words in (
        "default-src 'none'",
        "style-src 'unsafe-inline'",
        "img-src data:",
        "sandbox",
        "frame-ancestors 'self'",
    ):
        assert words in policy
    assert "allow-" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-frame-options"] == "SAMEORIGIN"
    assert "no-store" in answer.headers["cache-control"]
    assert answer.headers["content-type"] == "text/html; charset=utf-8"


def test_a_mail_is_shown_as_its_sender_wrote_it(as_viewer, say):
    talk = say(html="<p>Grüße 👋 " + "x" * 1_000_000)
    answer = as_viewer.get(f"/threads/{talk}/messages/1/mail")
    assert "Grüße 👋 xxx" in answer.text
    assert len(answer.text) > 1_000_000


def test_a_mail_is_for_whoever_is_in(front, as_viewer, say):
    talk = say(html="<b>secret</b>")
    answer = front.get(f"/threads/{talk}/messages/1/mail")
    assert answer.status_code in (303, 401)
    assert "secret" not in answer.text


def test_of_a_letter_of_a_million_signs_the_page_shows_the_beginning_and_the_rest_is_a_link_away(
    as_viewer, say
):
    talk = say(text=LONG)
    page = as_viewer.get(f"/threads/{talk}").text
    assert len(page) < 60_000
    assert "1,000,000 characters" in page
    answer = as_viewer.get(f"/threads/{talk}/messages/1/text")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert "sandbox" in answer.headers["content-security-policy"]
    assert len(answer.text) == 1_000_000


# --- strangers ---


def test_nothing_that_strangers_wrote_runs(as_viewer, store, clock, say):
    file = Attachment(name=LINE, content_type=LINE, sha="0", size=1)
    talk = say(
        subject=LINE,
        text=ALL,
        sender=f'"{LINE}"@evil.example',
        to=(LINE, SAM),
        cc=(LINE,),
        names={SAM: LINE},
        labels=("received", LINE),
        attachments=(file,),
        html=ALL,
    )
    for path in f"/threads/{talk}", "/threads", f"/people/{IDA}":
        page = as_viewer.get(path)
        assert page.status_code == 200
        assert "stolen" in page.text
        assert nothing_runs(page.text)
    for name in "inbox", "also", "after", "before":
        assert nothing_runs(as_viewer.get("/threads", params={name: LINE}).text)
    assert nothing_runs(as_viewer.get(f"/threads/{talk}", params={"before": LINE}).text)
