"""Letters: one thread, as RFC 5322 wants it, and everything that goes with it."""

import hashlib
from dataclasses import replace
from typing import Any

import pytest

from engine.compose import compose, forward_subject, outside, reply_subject
from engine.errors import PermanentFailure
from engine.ids import message_id, new_id
from engine.model import Attachment, Draft, Enclosure, Letter, Message, content_sha
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


@pytest.mark.parametrize("subject", ["Hi", "Fwd: Hi", "FW: Hi", "fwd: Fw:  Hi"])
def test_fwd_stands_once(subject):
    assert forward_subject(subject) == "Fwd: Hi"


def test_a_long_thread_keeps_its_first_letter_and_its_latest(store, clock):
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
        {"attachments": (replace(PRICES, content_id="logo"),)},
        {"also_to": ("kim@acme.example",)},
        {"names": {IDA: "Ida"}},
        {"reply_to": ("kim@acme.example",)},
        {"headers": {"X-Campaign": "north"}},
        {"in_reply_to": "<plan@nordic.example>"},
        {"forward_of": "<plan@nordic.example>"},
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


# --- which letter it answers, or passes on ---


def message(message_id: str, **more: Any) -> Message:
    usual: dict[str, Any] = {
        "message_id": message_id,
        "inbox_id": SAM,
        "thread_id": "thr_1",
        "direction": "sent",
        "sender": SAM,
        "to": (IDA,),
        "subject": "Hi",
        "text": "x",
        "timestamp": MONDAY,
    }
    return Message(**usual | more)


def test_a_reply_answers_the_letter_that_it_names_and_no_other():
    asked = message("<asked@nordic.example>", direction="received", references=("<0@x>", "<1@acme.example>"))
    thread = [message("<1@acme.example>"), asked, message("<2@acme.example>")]

    letter = compose(draft(in_reply_to=asked.message_id), thread, source=asked)

    assert letter.in_reply_to == "<asked@nordic.example>"
    assert letter.references == ("<0@x>", "<1@acme.example>", "<asked@nordic.example>")
    assert letter.text == "Hello\n"


def test_a_letter_without_references_is_still_known_to_answer_one():
    asked = message("<asked@nordic.example>", in_reply_to="<0@x>")

    assert compose(draft(in_reply_to=asked.message_id), [], source=asked).references == (
        "<0@x>",
        "<asked@nordic.example>",
    )


def test_a_reply_in_a_long_conversation_keeps_its_first_letter_and_the_latest():
    asked = message("<asked@x>", references=tuple(f"<{number}@x>" for number in range(200)))

    references = compose(draft(in_reply_to=asked.message_id), [], source=asked).references

    assert len(references) == 50
    assert (references[0], references[-1]) == ("<0@x>", "<asked@x>")


@pytest.mark.parametrize("odd", ["<a b@x>", "<ü@x>", "<a@x>\r\nBcc: e@x.test", "", "<" + "x" * 1000 + "@x>"])
def test_an_id_that_no_header_can_hold_is_not_repeated(odd):
    asked = message("<asked@x>", references=("<0@x>", odd))
    assert compose(draft(in_reply_to="<asked@x>"), [], source=asked).references == ("<0@x>", "<asked@x>")

    letter = compose(draft(in_reply_to=odd), [], source=message(odd, references=("<0@x>",)))
    assert (letter.in_reply_to, letter.references) == (None, ("<0@x>",))


def test_a_forward_takes_the_words_and_the_files_along():
    plan = replace(PRICES, name="plan.pdf", content_id="not a word", disposition="inline")
    asked = message("<asked@x>", text="The plan.", html="<p>The plan.</p>", attachments=(plan,))

    letter = compose(
        draft(forward_of="<asked@x>", attachments=(PRICES,)), [], {PRICES.sha: b"%PDF"}, source=asked
    )

    assert letter.text.startswith("Hello\n\n------")
    assert letter.text.endswith("The plan.")
    assert letter.html is not None
    assert [(file.name, file.content_id) for file in letter.attachments] == [
        ("prices.pdf", None),
        ("plan.pdf", None),
    ]
    assert letter.in_reply_to == letter.references[-1] == "<asked@x>"


def test_a_forward_without_its_files_does_not_go():
    asked = message("<asked@x>", attachments=(PRICES,))
    with pytest.raises(PermanentFailure, match=r"prices\.pdf is not there any more"):
        compose(draft(forward_of="<asked@x>"), [], {}, source=asked)


def test_all_that_its_author_said_is_on_the_letter():
    said: dict[str, Any] = {
        "also_to": ("ole@nordic.example",),
        "names": {IDA: "Ida Berg"},
        "reply_to": ("desk@acme.example",),
        "headers": {"X-Campaign": "north"},
    }
    logo = replace(PRICES, disposition="inline", content_id="logo")
    letter = compose(draft(**said, attachments=(logo,)), [], {PRICES.sha: b"%PDF"})

    assert {name: getattr(letter, name) for name in said} == said
    assert [(file.disposition, file.content_id) for file in letter.attachments] == [("inline", "logo")]


# --- to whom it is carried ---


def letter_to(to: str, **more: Any) -> Letter:
    return Letter(
        key="drf_1", message_id="<one@acme.example>", sender=SAM, to=to, subject="Hi", text="x", **more
    )


def test_everybody_is_carried_to_once_and_whom_it_is_to_comes_first():
    copies: dict[str, Any] = {
        "cc": ("kim@acme.example", "IDA@nordic.example"),
        "bcc": ("Ole@nordic.example",),
    }
    letter = letter_to(IDA, also_to=("ole@nordic.example", IDA), **copies)

    assert outside(letter) == (IDA, "ole@nordic.example", "kim@acme.example")


def test_nobody_who_lives_here_is_carried_to():
    inside = frozenset({"kim@acme.example", IDA})

    assert outside(letter_to("Kim@Acme.example", cc=(IDA, "ole@x.test"), inside=inside)) == ("ole@x.test",)
    assert outside(letter_to(IDA, inside=inside)) == ()
    assert outside(letter_to("", bcc=("ole@x.test",))) == ("ole@x.test",)
