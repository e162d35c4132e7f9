"""What is kept with a yes: all that it was bound to, as JSON, so that it can be said later what it was said to."""

import json
from dataclasses import replace

import pytest

from engine.evidence import look
from engine.model import Attachment, Enclosure, content_sha
from engine.wish import Author, Wish
from engine.write import write
from tests.makers import IDA, SAM

HANDBOOK = Attachment(
    name="handbook.pdf", content_type="application/pdf", sha="0a", size=3, content_id="book"
)


@pytest.fixture
def seen(store, clock):
    wish = Wish(
        inbox_id=SAM,
        to=(IDA,),
        subject="Hello",
        text="Good day.",
        names={IDA: "Ida Holm"},
        reply_to=("desk@acme.example",),
        headers={"X-Campaign": "spring"},
        files=(Enclosure(name="plan.txt", content_type="text/plain", content=b"Two nights"),),
        labels=("needs-review",),
    )
    with store.transaction(clock.now(), "a test") as ledger:
        ledger.threads.open_inbox(SAM)
    made = write(wish, by=Author(id="ann"), store=store, clock=clock).draft
    return look(made.id, store=store, clock=clock)


def test_what_no_text_shows_is_kept_too(seen):
    kept = json.loads(json.dumps(seen.snapshot()))
    assert kept["names"] == {IDA: "Ida Holm"}
    assert (kept["reply_to"], kept["headers"]) == (["desk@acme.example"], {"X-Campaign": "spring"})
    assert (kept["in_reply_to"], kept["forward_of"]) == (None, None)
    [file] = kept["attachments"]
    assert (file["name"], file["content_type"], file["size"]) == ("plan.txt", "text/plain", 10)


@pytest.mark.parametrize(
    "other",
    [
        {"html": "<p>Good night.</p>"},
        {"also_to": ("lee@nordic.example",)},
        {"cc": ("lee@nordic.example",)},
        {"bcc": ("lee@nordic.example",)},
        {"names": {IDA: "The bank"}},
        {"reply_to": ("mallory@evil.example",)},
        {"headers": {"X-Campaign": "autumn"}},
        {"in_reply_to": "<a@nordic.example>"},
        {"forward_of": "<a@nordic.example>"},
        {"attachments": (HANDBOOK,)},
    ],
    ids=lambda other: next(iter(other)),
)
def test_what_makes_it_another_letter_makes_it_another_evidence(seen, other):
    changed = replace(seen.draft, **other)
    assert content_sha(changed) != seen.draft.content_sha
    assert replace(seen, draft=changed).snapshot() != seen.snapshot()


@pytest.mark.parametrize("other", [{"content_type": "text/html"}, {"sha": "0b"}, {"content_id": "page"}])
def test_of_a_file_it_is_kept_what_it_is_and_how_the_html_speaks_of_it(seen, other):
    one, two = (
        replace(seen, draft=replace(seen.draft, attachments=(each,)))
        for each in (HANDBOOK, replace(HANDBOOK, **other))
    )
    assert content_sha(one.draft) != content_sha(two.draft)
    assert one.snapshot() != two.snapshot()
