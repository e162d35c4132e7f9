"""A letter that is passed on can be read below the words of whoever passes it on."""

from time import monotonic
from typing import Any

import pytest

from engine.model import Message
from engine.quote import passed_on
from tests.doubles import MONDAY
from tests.engine.test_compose import draft
from tests.makers import IDA, SAM


def source(**more: Any) -> Message:
    usual: dict[str, Any] = {
        "message_id": "<plan@nordic.example>",
        "inbox_id": SAM,
        "thread_id": "thr_1",
        "direction": "received",
        "sender": IDA,
        "to": (SAM, "kim@acme.example"),
        "subject": "The plan",
        "text": "One.\nTwo.\n",
        "timestamp": MONDAY,
        "names": {IDA: "Ida Berg"},
    }
    return Message(**usual | more)


def test_as_text_its_head_and_its_words_follow():
    text, html = passed_on(draft(text="See below.\n"), source(cc=("ola@acme.example",)))

    assert html is None
    assert text == (
        "See below.\n"
        "\n"
        "---------- Forwarded message ---------\n"
        f"From: Ida Berg <{IDA}>\n"
        "Date: Mon, 02 Mar 2026 09:00:00 +0000\n"
        "Subject: The plan\n"
        f"To: {SAM}, kim@acme.example\n"
        "Cc: ola@acme.example\n"
        "\n"
        "One.\nTwo.\n"
    )


def test_whoever_adds_no_word_passes_on_the_letter_alone():
    text, _ = passed_on(draft(text=" \n"), source())

    assert text.startswith("---------- Forwarded")


def test_of_blind_copies_nobody_is_told():
    text, html = passed_on(draft(html="<p>Look</p>"), source(direction="sent", bcc=("crm@acme.example",)))

    assert "crm" not in f"{text}{html}"


def test_html_comes_along_and_is_made_of_text_where_there_is_none():
    _, both = passed_on(draft(html="<p>Look</p>"), source(html="<p>One.</p>"))
    _, theirs = passed_on(draft(text="Look & see"), source(html="<p>One.</p>"))
    _, ours = passed_on(draft(html="<p>Look</p>"), source(text="1 < 2"))

    assert both is not None
    assert both.index("Look") < both.index("Ida Berg") < both.index("<p>One.</p>")
    assert theirs is not None
    assert theirs.index("Look &amp; see") < theirs.index("<p>One.</p>")
    assert ours is not None
    assert ours.index("<p>Look</p>") < ours.index("1 &lt; 2")


def test_a_name_is_no_markup():
    _, html = passed_on(draft(html="<p>Look</p>"), source(names={IDA: "<script>x</script>"}, subject="<b>"))

    assert html is not None
    assert "<script>" not in html
    assert "Subject:</b> &lt;b&gt;" in html


def test_a_page_stands_in_a_page_only_by_what_is_in_it():
    page = '<!doctype html>\n<html><head><title>x</title></head><BODY class="a">{}</body ></html>\n'
    _, html = passed_on(draft(html=page.format("<p>Look</p>")), source(html=page.format("<p>One.</p>")))

    assert html is not None
    assert html.lower().count("<body") == html.lower().count("</body") == html.count("<title>") == 1
    assert html.index("<p>Look</p>") < html.index("<p>One.</p>") < html.index("</body >")


def test_a_head_stays_on_its_lines():
    text, _ = passed_on(draft(), source(subject="Hi\r\nTo: everybody", names={IDA: "Ida\nBcc: x"}))

    assert "Subject: Hi To: everybody\n" in text
    assert f"From: Ida Bcc: x <{IDA}>\n" in text


@pytest.mark.parametrize(
    "page", ["<body" * 200_000, "</body" * 200_000, "</body>" * 100_000, "<body " + "x" * 1_000_000]
)
def test_a_page_that_was_made_to_keep_us_busy_does_not(page):
    began = monotonic()
    passed_on(draft(html=page), source(html=page))

    assert monotonic() - began < 2
