"""Letters: one thread, as RFC 5322 wants it, and everything that goes with it."""

import hashlib
from dataclasses import replace
from typing import Any

import pytest

from engine.compose import compose, reply_subject
from engine.errors import PermanentFailure
from engine.ids import message_id, new_id
from engine.model import Attachment, Draft, Enclosure, content_sha
from engine.states import DraftState
from tests.doubles import MONDAY
from tests.makers import IDA, SAM, enrolled

PRICES = Attachment(
    name="prices.pdf", content_type="application/pdf", sha=hashlib.sha256(b"%PDF").hexdigest(), size=4
)


def draft(**more: Any) -> Draft:
    usual: dict[str, Any] = {
        "id": "drf_1",
        "inbox_id": SAM,
        "thread_id": "thr_1",
        "enrollment_id": None,
        "step": "opener",
        "state": DraftState.SCHEDULED,
        "send_at": MONDAY,
        "to": IDA,
        "subject": "Hi",
        "text": "Hello\n",
        "message_id": "<one@acme.example>",
        "reason": "asked for",
        "content_sha": "",
    }
    return Draft(**usual | more)


@pytest.mark.parametrize("subject", ["Hi", "Re: Hi", "RE: Hi", "re: Re:  Hi", "Re:Hi"])
def test_re_stands_once(subject):
    assert reply_subject(subject) == "Re: Hi"


def test_a_word_that_only_begins_like_re_stays():
    assert reply_subject("Regarding: us") == "Re: Regarding: us"


def test_a_long_thread_keeps_its_first_letter_and_its_latest(store, clock):
    from engine.model import Message

    enrolled(store, clock.now())
    with store.transaction(clock.now(), "a test") as ledger:
        [draft] = ledger.drafts.claim(token="t", owner="o", lease=MONDAY - MONDAY, at_most=1)
    thread = [
        Message(
            message_id=f"<{number}@acme.example>",
            inbox_id=SAM,
            thread_id="thr_1",
            direction="sent",
            sender=SAM,
            to=(IDA,),
            subject="Hi",
            text="x",
            timestamp=MONDAY,
        )
        for number in range(200)
    ]
    letter = compose(draft, thread)
    assert len(letter.references) == 50
    assert (letter.references[0], letter.references[-1]) == ("<0@acme.example>", "<199@acme.example>")
    assert letter.in_reply_to == "<199@acme.example>"


def test_a_message_id_is_the_same_for_the_same_draft_and_nobody_can_guess_it():
    one = message_id(b"k" * 32, "drf_1", "step-1", SAM)
    assert one == message_id(b"k" * 32, "drf_1", "step-1", SAM)
    assert one != message_id(b"x" * 32, "drf_1", "step-1", SAM)
    assert one != message_id(b"k" * 32, "drf_2", "step-1", SAM)
    assert one.endswith("@acme.example>")
    assert len(one) == len("<@acme.example>") + 26


def test_ids_sort_by_birth_and_survive_being_folded_to_lower_case():
    ids = [new_id("drf", MONDAY) for _ in range(1000)]
    assert ids == sorted(set(ids))
    assert all(one == one.lower() and one.replace("_", "").isalnum() for one in ids)


def test_a_letter_carries_all_that_its_draft_says():
    more = {"html": "<p>Hello</p>\n", "cc": ("kim@acme.example",), "bcc": ("crm@acme.example",)}
    letter = compose(draft(**more, attachments=(PRICES,)), [], {PRICES.sha: b"%PDF"})

    assert (letter.text, letter.html) == ("Hello\n", "<p>Hello</p>\n")
    assert (letter.cc, letter.bcc) == (("kim@acme.example",), ("crm@acme.example",))
    assert letter.attachments == (
        Enclosure(name="prices.pdf", content_type="application/pdf", content=b"%PDF"),
    )
    assert "%PDF" not in repr(letter)


@pytest.mark.parametrize("files", [None, {}, {PRICES.sha: b"%P"}, {"another": b"%PDF"}])
def test_a_letter_does_not_go_without_its_files(files):
    with pytest.raises(PermanentFailure, match=r"prices\.pdf is not there any more"):
        compose(draft(attachments=(PRICES,)), [], files)


def test_what_was_approved_before_letters_had_more_than_text_stays_approved():
    said = "\0".join((SAM, IDA, "Hi", "Hello\n", "thr_1"))
    assert content_sha(draft()) == hashlib.sha256(said.encode()).hexdigest()


@pytest.mark.parametrize(
    "change",
    [
        {"inbox_id": "kim@acme.example"},
        {"to": "ole@nordic.example"},
        {"subject": "Hello"},
        {"text": "Hello!\n"},
        {"thread_id": "thr_2"},
        {"html": ""},
        {"html": "<p>Hello</p>"},
        {"cc": ("kim@acme.example",)},
        {"bcc": ("kim@acme.example",)},
        {"attachments": (PRICES,)},
        {"attachments": (replace(PRICES, name="other.pdf"),)},
        {"attachments": (replace(PRICES, content_type="text/plain"),)},
        {"attachments": (replace(PRICES, sha="0" * 64),)},
        {"attachments": (PRICES, PRICES)},
    ],
)
def test_whoever_changes_a_word_a_reader_or_a_file_has_another_letter(change):
    others = [content_sha(draft()), content_sha(draft(html="x", cc=("a@b.example", "c@d.example")))]
    changed = content_sha(draft(**change))

    assert changed not in others
    assert changed == content_sha(draft(**change, reason="another hour", send_at=MONDAY))


def test_two_readers_are_not_one_with_a_long_name():
    assert content_sha(draft(cc=("a@b.example", "c@d.example"))) != content_sha(
        draft(cc=("a@b.example\0c@d.example",))
    )
    assert content_sha(draft(cc=("a@b.example",))) != content_sha(draft(bcc=("a@b.example",)))
