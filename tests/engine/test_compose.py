"""Letters: one thread, as RFC 5322 wants it."""

import pytest

from engine.compose import compose, reply_subject
from engine.ids import message_id, new_id
from tests.doubles import MONDAY
from tests.makers import IDA, SAM, enrolled


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
