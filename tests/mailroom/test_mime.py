"""What goes over the wire is what was written, and nothing that somebody smuggled into it."""

import re
from email import message_from_bytes
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.policy import default
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import PermanentFailure
from engine.model import Letter
from mailroom.mime import to_bytes
from tests.doubles import MONDAY

_LONE = re.compile(rb"(?<!\r)\n|\r(?!\n)")
_SMUGGLED = "=?utf-8?q?hello=0D=0ABcc:_everybody=40acme.example?="
_awkward = st.text(
    st.one_of(st.sampled_from("\r\n.=? \t\x0b\x0c\x1c\x85\u2028Å€漢😀-"), st.characters(codec="utf-8"))
)


def letter(**more: Any) -> Letter:
    usual: dict[str, Any] = {
        "key": "drf_1",
        "message_id": "<one@acme.example>",
        "sender": "sam@acme.example",
        "to": "ida@nordic.example",
        "subject": "Quick question",
        "text": "Hello Ida",
    }
    return Letter(**usual | more)


def wire(**more: Any) -> bytes:
    return to_bytes(letter(**more), date=MONDAY)


def parsed(**more: Any) -> EmailMessage:
    message = message_from_bytes(wire(**more), policy=default)
    assert isinstance(message, EmailMessage)
    return message


def subject_of(data: bytes) -> str:
    """As a reader shows it, by the older half of the library, which has no part in writing it."""
    return str(make_header(decode_header(message_from_bytes(data)["Subject"])))


def unified(text: str) -> str:
    return re.sub(r"\r\n?", "\n", text)


def test_a_letter_has_every_header_that_a_mail_needs():
    message = parsed(in_reply_to="<nought@acme.example>", references=("<nought@acme.example>",))

    assert message["From"] == "sam@acme.example"
    assert message["To"] == "ida@nordic.example"
    assert message["Subject"] == "Quick question"
    assert message["Date"].datetime == MONDAY
    assert message["Message-ID"] == "<one@acme.example>"
    assert message["In-Reply-To"] == message["References"] == "<nought@acme.example>"
    assert message["MIME-Version"] == "1.0"
    assert message.get_content() == "Hello Ida\r\n"
    assert message.defects == []


def test_the_first_letter_answers_nobody():
    message = parsed()

    assert message["In-Reply-To"] is None
    assert message["References"] is None


@pytest.mark.parametrize("length", [10, 90, 250])
def test_fifty_references_survive_whole(length):
    ids = tuple(f"<{number:02}{'x' * length}@acme.example>" for number in range(50))

    data = wire(references=ids, message_id=ids[0], in_reply_to=ids[-1])

    message = message_from_bytes(data)
    assert tuple(message["References"].split()) == ids
    assert message["Message-ID"] == ids[0]
    assert message["In-Reply-To"] == ids[-1]
    assert max(map(len, data.split(b"\r\n"))) <= 998


@given(text=_awkward)
def test_the_text_arrives_as_it_was_written(text):
    data = wire(text=text)

    assert not _LONE.search(data)
    assert data.isascii()
    assert max(map(len, data.split(b"\r\n"))) <= 998
    body = message_from_bytes(data).get_payload(decode=True)
    assert isinstance(body, bytes)
    assert unified(body.decode()).removesuffix("\n") == unified(text).removesuffix("\n")


@pytest.mark.parametrize("text", ["one\ntwo", "one\rtwo", "one\r\ntwo", "one\n\r\ntwo", "\r\r\n\n", ""])
def test_there_is_never_a_lone_cr_or_lf(text):
    assert not _LONE.search(wire(text=text))


def test_a_plain_text_stays_readable_on_the_wire():
    assert b"\r\n\r\nHello = Ida\r\n" in wire(text="Hello = Ida")


def test_a_line_of_ten_thousand_letters_is_folded_and_unfolded_again():
    data = wire(text="x" * 10_000)

    assert max(map(len, data.split(b"\r\n"))) <= 998
    assert message_from_bytes(data).get_payload(decode=True) == b"x" * 10_000 + b"\r\n"


@pytest.mark.parametrize(
    "text", ["Re: Grüße aus Århus", "漢字" * 80, "x" * 300, "a  b " * 60 + "c", "=?", _SMUGGLED]
)
def test_a_subject_arrives_as_it_was_written(text):
    assert subject_of(wire(subject=text)) == text


def test_an_encoded_word_in_a_company_name_is_no_second_header():
    message = message_from_bytes(wire(subject=_SMUGGLED))

    assert message["Bcc"] is None
    assert b"Bcc:" not in wire(subject=_SMUGGLED)


@pytest.mark.parametrize(
    "trick", ["\r\nBcc: x@y.example", "\n", "\r", "\x00", "\x0b", "\x7f", "\x85", "\u2028", "\ud800"]
)
@pytest.mark.parametrize("field", ["sender", "to", "subject", "message_id", "in_reply_to", "references"])
def test_a_header_with_a_control_character_is_refused_in_words(field, trick):
    value = getattr(letter(in_reply_to="<a@b>"), field) or "<a@b>"
    more = {field: (value + trick,) if field == "references" else value + trick}

    with pytest.raises(PermanentFailure, match=r"found '"):
        wire(**more)


@pytest.mark.parametrize(
    "address",
    [
        "a@b.example, c@d.example",
        "Ida <ida@b.example>",
        "<ida@b.example>",
        "ida",
        "",
        "i da@b.example",
        "ïda@b.example",
    ],
)
def test_only_one_plain_address_is_written_to(address):
    with pytest.raises(PermanentFailure, match="To is a plain address"):
        wire(to=address)


def test_half_a_character_in_the_text_is_refused_in_words():
    with pytest.raises(PermanentFailure, match="half a character"):
        wire(text="\ud83d")
