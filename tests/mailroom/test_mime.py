"""What goes over the wire is what was written, and nothing that somebody smuggled into it."""

import hashlib
import quopri
import re
from datetime import timedelta
from email import message_from_bytes
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.policy import SMTP, default
from email.utils import getaddresses
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import PermanentFailure
from engine.model import Enclosure, Letter
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


# --- more than text ---

PDF = Enclosure(name="prices.pdf", content_type="application/pdf", content=bytes(range(256)) * 9)
HTML = "<p>Hello <b>Ida</b></p>\n"


def kinds(message: EmailMessage) -> list[str]:
    """Outside first."""
    return [part.get_content_type() for part in message.walk()]


def test_a_letter_of_nothing_but_text_is_what_it_always_was():
    assert wire() == (
        b"From: sam@acme.example\r\n"
        b"To: ida@nordic.example\r\n"
        b"Subject: Quick question\r\n"
        b"Date: Mon, 02 Mar 2026 09:00:00 +0000\r\n"
        b"Message-ID: <one@acme.example>\r\n"
        b'Content-Type: text/plain; charset="utf-8"\r\n'
        b"Content-Transfer-Encoding: 7bit\r\n"
        b"MIME-Version: 1.0\r\n"
        b"\r\n"
        b"Hello Ida\r\n"
    )


@pytest.mark.parametrize(
    ("more", "shape"),
    [
        ({"html": HTML}, ["multipart/alternative", "text/plain", "text/html"]),
        ({"attachments": (PDF,)}, ["multipart/mixed", "text/plain", "application/pdf"]),
        (
            {"html": HTML, "attachments": (PDF, PDF)},
            ["multipart/mixed", "multipart/alternative", "text/plain", "text/html"] + ["application/pdf"] * 2,
        ),
    ],
)
def test_text_comes_first_then_html_then_files(more, shape):
    message = parsed(**more)

    assert kinds(message) == shape
    assert [part.defects for part in message.walk()] == [[]] * len(shape)
    assert [part["MIME-Version"] for part in message.walk()] == ["1.0"] + [None] * (len(shape) - 1)
    body = message.get_body(("plain",))
    assert body is not None
    assert body.get_content() == "Hello Ida\r\n"
    if "html" in more:
        page = message.get_body(("html",))
        assert page is not None
        assert page.get_content().startswith("<!doctype html>\r\n<html>")
        assert "\r\n<p>Hello <b>Ida</b></p>\r\n</body>" in page.get_content()
    assert [part.get_content() for part in message.iter_attachments()] == [
        file.content for file in more.get("attachments", ())
    ]


@pytest.mark.parametrize("page", ["<!DOCTYPE html><html><body>x</body></html>", " <html lang=de>x</html>"])
def test_a_whole_page_is_not_put_into_another(page):
    body = parsed(html=page).get_body(("html",))

    assert body is not None
    assert body.get_content() == f"{page}\r\n"


@settings(deadline=None)
@given(text=_awkward, html=_awkward)
def test_html_arrives_as_it_was_written(text, html):
    data = wire(text=text, html=f"<html>{html}", attachments=(PDF,))

    assert not _LONE.search(data)
    assert data.isascii()
    assert max(map(len, data.split(b"\r\n"))) <= 998
    message = message_from_bytes(data, policy=default)
    found = [part.get_payload(decode=True) for part in message.walk() if not part.is_multipart()]
    for payload, written in zip(found, (text, f"<html>{html}"), strict=False):
        assert isinstance(payload, bytes)
        assert unified(payload.decode()).removesuffix("\n") == unified(written).removesuffix("\n")
    assert found[2] == PDF.content


def test_the_same_letter_is_the_same_to_the_last_byte():
    assert wire(html=HTML, attachments=(PDF,)) == wire(html=HTML, attachments=(PDF,))
    one, other = wire(html=HTML), wire(html=HTML, message_id="<two@acme.example>")
    assert boundaries(one).isdisjoint(boundaries(other))


def boundaries(data: bytes) -> set[bytes]:
    return set(re.findall(rb'boundary="([^"]+)"', data))


def test_a_letter_that_knows_its_own_boundary_gets_another():
    [known] = boundaries(wire(html=HTML))
    text = f"Hello\n--{known.decode()}\n--{known.decode()}--\nIda\n"

    message = parsed(html=HTML, text=text)

    assert known not in boundaries(message.as_bytes())
    assert kinds(message) == ["multipart/alternative", "text/plain", "text/html"]
    body = message.get_body(("plain",))
    assert body is not None
    assert unified(body.get_content()) == text


@pytest.mark.parametrize(
    "name",
    [
        "prices.pdf",
        "our prices (2026), final; v2.pdf",
        'the "best" prices.pdf',
        "100%25 =?utf-8?q?x?=.pdf",
        "Größe & Preis.pdf",
        "価格表.pdf",
        "😀.pdf",
        "x" * 200 + ".pdf",
        "ü漢" * 60 + ".pdf",
        "it's.pdf",
        ".hidden",
        "no ending",
    ],
)
def test_a_file_arrives_under_its_own_name(name):
    data = wire(attachments=(Enclosure(name=name, content_type="application/pdf", content=b"%PDF"),))

    assert max(map(len, data.split(b"\r\n"))) <= 80
    [file] = message_from_bytes(data, policy=default).iter_attachments()
    assert file.get_filename() == name
    assert file.get_content_disposition() == "attachment"
    assert file.get_content() == b"%PDF"


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        ".",
        "..",
        "a/b.pdf",
        "..\\b.pdf",
        "a\r\nBcc: x@y.example",
        "a\n",
        "a\x00b",
        "a\u2028b",
        "a\ud800",
    ],
)
def test_a_files_name_is_a_name_and_nothing_else(name):
    with pytest.raises(PermanentFailure, match=r"a file's name .*found '"):
        wire(attachments=(Enclosure(name=name, content_type="application/pdf", content=b""),))


@pytest.mark.parametrize(
    "kind", ["", "pdf", "text/plain\r\nBcc: x@y.example", "text/plain; name=x", "a/b/c", "ü/x"]
)
def test_a_files_kind_is_a_kind_and_nothing_else(kind):
    with pytest.raises(PermanentFailure, match=r"x\.pdf: a kind of file"):
        wire(attachments=(Enclosure(name="x.pdf", content_type=kind, content=b""),))


@pytest.mark.parametrize("kind", ["message/rfc822", "multipart/mixed"])
def test_a_letter_inside_a_letter_is_only_a_file(kind):
    [file] = parsed(
        attachments=(Enclosure(name="x.eml", content_type=kind, content=b"\x00Hi"),)
    ).iter_attachments()

    assert file.get_content_type() == "application/octet-stream"
    assert file.get_content() == b"\x00Hi"


@pytest.mark.parametrize("size", [0, 1, 56, 57, 58, 100_000])
def test_a_file_arrives_to_the_byte(size):
    content = hashlib.shake_256(b"seed").digest(size)
    [file] = parsed(
        attachments=(Enclosure(name="x.bin", content_type="application/x-bin", content=content),)
    ).iter_attachments()

    assert file.get_content() == content


def test_copies_are_told_and_blind_ones_are_not():
    data = wire(cc=("kim@acme.example", "ola@acme.example"), bcc=("crm@acme.example",))
    message = message_from_bytes(data, policy=default)

    assert message["Cc"] == "kim@acme.example, ola@acme.example"
    assert message["Bcc"] is None
    assert b"crm" not in data


def test_a_hundred_copies_are_told_line_by_line():
    everybody = tuple(f"{number:03}.{'x' * 50}@acme.example" for number in range(100))
    data = wire(cc=everybody)

    assert max(map(len, data.split(b"\r\n"))) <= 998
    assert message_from_bytes(data, policy=default)["Cc"].split(", ") == list(everybody)


@pytest.mark.parametrize(
    "address", ["a@b.example\r\nBcc: x@y.example", "a@b.example, c@d.example", "Kim <a@b.example>", ""]
)
def test_a_copy_goes_to_one_plain_address(address):
    with pytest.raises(PermanentFailure, match="Cc is a plain address"):
        wire(cc=("kim@acme.example", address))


def test_half_a_character_in_the_html_is_refused_in_words():
    with pytest.raises(PermanentFailure, match="half a character"):
        wire(html="\ud83d")


# --- several readers, and what they are called ---


def people_of(data: bytes, field: str) -> list[tuple[str, str]]:
    """Name and address of each, by the older half of the library: as written, then decoded."""
    found = getaddresses(message_from_bytes(data).get_all(field, []))
    return [(str(make_header(decode_header(name))), address) for name, address in found]


def test_everybody_is_named_as_they_are_called():
    names = {
        "sam@acme.example": "Sam",
        "IDA@nordic.example": "Ida Berg",
        "ole@nordic.example": "Åse, the boss",
        "kim@acme.example": 'Kim "the cat" O. <x@y.example>',
        "desk@acme.example": "Help desk",
    }
    data = wire(
        also_to=("ole@nordic.example", "per@nordic.example"),
        cc=("kim@acme.example",),
        reply_to=("desk@acme.example", "sam@acme.example"),
        names=names,
    )

    assert people_of(data, "From") == [("Sam", "sam@acme.example")]
    assert people_of(data, "To") == [
        ("Ida Berg", "ida@nordic.example"),
        ("Åse, the boss", "ole@nordic.example"),
        ("", "per@nordic.example"),
    ]
    assert people_of(data, "Cc") == [('Kim "the cat" O. <x@y.example>', "kim@acme.example")]
    assert people_of(data, "Reply-To") == [("Help desk", "desk@acme.example"), ("Sam", "sam@acme.example")]


def test_names_that_are_plain_words_stay_as_they_are():
    data = wire(names={"sam@acme.example": "Sam Hill", "ida@nordic.example": "Dr. Berg, Ida"})

    assert b"From: Sam Hill <sam@acme.example>\r\n" in data
    assert b'To: "Dr. Berg, Ida" <ida@nordic.example>\r\n' in data


@pytest.mark.parametrize(
    "name",
    [
        "a" * 61,
        "x" * 300,
        "漢字" * 80,
        "Ida\u202egro.live <boss@bank.example>",
        "=?utf-8?q?Ida?=",
        _SMUGGLED,
        'a" <x@y.example>, "b',
        "\\",
        '"',
        "(comment) Ida",
        "Ida; group: x",
        "a@b.example",
        "😀",
    ],
)
def test_a_name_arrives_as_it_was_written_and_is_no_second_address(name):
    data = wire(names={"ida@nordic.example": name}, also_to=("ole@nordic.example",))

    assert people_of(data, "To") == [(name, "ida@nordic.example"), ("", "ole@nordic.example")]
    assert max(map(len, data.split(b"\r\n"))) <= 998


@pytest.mark.parametrize("name", ["", " ", "   "])
def test_whoever_has_no_name_has_an_address(name):
    assert b"To: ida@nordic.example\r\n" in wire(names={"ida@nordic.example": name})


_LINE_ENDS = ["\r\nBcc: x@y.example", "\n", "\r", "\x00", "\x0b", "\x1c", "\x7f", "\x85", "\u2028", "\ud800"]


@pytest.mark.parametrize("trick", _LINE_ENDS)
@pytest.mark.parametrize(
    "whose", ["sam@acme.example", "ida@nordic.example", "kim@acme.example", "desk@acme.example"]
)
def test_a_name_with_a_control_character_is_refused_in_words(whose, trick):
    with pytest.raises(PermanentFailure, match=r"a name in (From|To|Cc|Reply-To) is one line .*found '"):
        wire(cc=("kim@acme.example",), reply_to=("desk@acme.example",), names={whose: f"Ida{trick}"})


@pytest.mark.parametrize("field", ["also_to", "cc", "reply_to"])
def test_every_address_is_a_plain_one(field):
    with pytest.raises(PermanentFailure, match="is a plain address"):
        wire(**{field: ("kim@acme.example", "ida@b.example\r\nBcc: x@y.example")})


def test_a_letter_for_copies_only_has_no_reader_of_its_own():
    told, blind = parsed(to="", cc=("kim@acme.example",)), parsed(to="", bcc=("crm@acme.example",))

    assert (told["To"], told["Cc"]) == (None, "kim@acme.example")
    assert str(blind["To"]) == "undisclosed-recipients:;"
    assert b"crm" not in blind.as_bytes()


# --- headers of somebody's own ---


def test_further_headers_go_along():
    message = parsed(
        headers={"X-Campaign": "north", "Auto-Submitted": "auto-generated", "X-City": "Århus", "X-No": ""}
    )

    assert (message["X-Campaign"], message["Auto-Submitted"]) == ("north", "auto-generated")
    assert (str(message["X-City"]), message["X-No"]) == ("Århus", "")
    assert message.defects == []


@pytest.mark.parametrize("value", ["=?utf-8?q?x?=", _SMUGGLED, "漢字" * 200, "x" * 980, "a  b"])
def test_a_further_header_says_what_was_written(value):
    data = wire(headers={"X-Note": value})

    assert max(map(len, data.split(b"\r\n"))) <= 998
    assert str(make_header(decode_header(message_from_bytes(data)["X-Note"]))) == value


@pytest.mark.parametrize(
    "name",
    [
        "To",
        "bcc",
        "Subject",
        "CONTENT-TYPE",
        "Resent-To",
        "X A",
        "X-A\r\nBcc",
        "",
        "MIME-Version",
        "DKIM-Signature",
    ],
)
def test_a_header_that_is_ours_to_write_is_refused(name):
    with pytest.raises(PermanentFailure, match=r"header|leave it out"):
        wire(headers={name: "x@y.example"})


@pytest.mark.parametrize("trick", _LINE_ENDS)
def test_a_header_with_a_second_line_is_refused(trick):
    with pytest.raises(PermanentFailure, match="one line"):
        wire(headers={"X-A": f"1{trick}"})


# --- pictures in the page ---

LOGO = Enclosure(
    name="logo.png",
    content_type="image/png",
    content=b"\x89PNG",
    disposition="inline",
    content_id="logo@acme.example",
)


def test_a_picture_travels_with_the_page_that_shows_it():
    message = parsed(html='<img src="cid:logo@acme.example">', attachments=(LOGO, PDF))

    assert kinds(message) == [
        "multipart/mixed",
        "multipart/alternative",
        "text/plain",
        "multipart/related",
        "text/html",
        "image/png",
        "application/pdf",
    ]
    assert [part.defects for part in message.walk()] == [[]] * 7
    picture = list(message.walk())[5]
    assert picture["Content-ID"] == "<logo@acme.example>"
    assert (picture.get_content_disposition(), picture.get_filename()) == ("inline", "logo.png")
    assert picture.get_content() == b"\x89PNG"
    assert [part.get_filename() for part in message.iter_attachments()] == ["prices.pdf"]


def test_without_a_page_a_picture_is_a_file():
    message = parsed(attachments=(LOGO,))

    assert kinds(message) == ["multipart/mixed", "text/plain", "image/png"]
    assert list(message.walk())[2].get_content_disposition() == "inline"


def test_brackets_around_a_content_id_stand_once():
    page = wire(
        html="<p>x</p>",
        attachments=(Enclosure(name="x.png", content_type="image/png", content=b"", content_id="<logo>"),),
    )

    assert b"Content-ID: <logo>\r\n" in page


@pytest.mark.parametrize("name", ["lo go", "logo>\r\nBcc: x@y.example", "lögo", "<>"])
def test_a_content_id_is_one_word(name):
    file = Enclosure(
        name="x.png", content_type="image/png", content=b"", disposition="inline", content_id=name
    )
    with pytest.raises(PermanentFailure, match=r"x\.png: a content id is one word"):
        wire(html="<p>x</p>", attachments=(file,))


# --- whatever is written, nothing is added ---

_unseen = st.sampled_from("\r\n\t\x00\x0b\x0c\x1c\x85\u2028\ud800")
_seen = st.text(st.sampled_from(" :;,<>()[]\"\\=?@._'-/%~\u202e\xa0Å漢😀aBcC"), max_size=40)
_attacks = st.one_of(
    _seen,
    _seen,
    st.builds("=?utf-8?q?{}=0D=0ABcc:_x=40y.example?={}".format, _seen, _seen),
    st.builds('{}" <e@x.example>, "{}'.format, _seen, _seen),
    st.builds("{0}{1}".format, _seen, st.just("x" * 200)),
    st.builds("{}{}Bcc: everybody@x.example{}".format, _seen, _unseen, _seen),
)
_header_names = st.one_of(
    st.sampled_from(["X-A", "x-a", "X-" + "b" * 74, ".", "List-Unsubscribe", "Auto-Submitted"]),
    st.sampled_from(["Bcc", "To", "Content-Type", "X-A\r\nBcc", "X-A: 1", "Bcc ", ""]),
)
_people = ("sam@acme.example", "ida@nordic.example", "ole@nordic.example", "kim@acme.example")
_EXPECTED = {"from", "to", "cc", "reply-to", "subject", "date", "message-id", "content-type", "mime-version"}
_OF_A_PART = {"content-type", "content-transfer-encoding", "content-disposition", "content-id"}


@settings(deadline=None, max_examples=500)
@given(
    subject=_attacks,
    names=st.dictionaries(st.sampled_from(_people), _attacks, max_size=4),
    headers=st.dictionaries(_header_names, _attacks, max_size=2),
    file=st.none()
    | st.tuples(_attacks.filter(lambda name: "/" not in name), st.sampled_from(["logo", "a b", "<x>"])),
)
def test_no_name_no_subject_no_header_and_no_file_makes_a_second_header(subject, names, headers, file):
    files = ()
    if file:
        picture = {"content_type": "image/png", "content": b"x", "disposition": "inline"}
        files = (Enclosure(name=file[0], content_id=file[1], **picture),)
    more = {"also_to": _people[2:3], "cc": _people[3:], "reply_to": _people[:1], "html": "<p>x</p>"}
    try:
        data = wire(subject=subject, names=names, headers=headers, attachments=files, **more)
    except PermanentFailure:  # it does not go at all
        return

    assert not _LONE.search(data)
    assert data.isascii()
    assert max(map(len, data.split(b"\r\n"))) <= 998
    message = message_from_bytes(data)
    assert sorted(map(str.lower, message)) == sorted([*_EXPECTED, *map(str.lower, headers)])
    assert {name.lower() for name in message_from_bytes(data, policy=default)} == set(map(str.lower, message))
    for field, people in {"From": _people[:1], "To": _people[1:3], "Cc": _people[3:]}.items():
        called = [(names.get(one, "").strip(" "), one) for one in people]
        assert people_of(data, field) == called
    parts = [part for part in message.walk() if not part.is_multipart()]
    assert len(parts) == 2 + len(files)
    assert all({name.lower() for name in part} <= _OF_A_PART for part in parts)


# --- what is put together by hand, against what the library puts together ---

_CORPUS = [
    "",
    "\n",
    "\n\n\n",
    "Hello Ida",
    "Hello Ida\n",
    "Hello Ida,\n\nwould Thursday do?\n\nSam\n",
    "Hello\r\nIda\rand Ole\n",
    "a" * 76,
    "a" * 77,
    "a" * 5_000,
    ("word " * 40 + "\n") * 30,
    "trailing blank \nand tab\t\n \n",
    ".\n..\n. \nFrom me\n>From you\n",
    "5 = 5, =3D is no code, and = at the end=\n",
    "Grüße aus Ålesund, 漢字 and 😀\n" * 20,
    "\x0b \x0c \x1c \x85 \u2028 \u2029\n",
    "x" * 75 + "ß" + "y" * 75,
    "\u00a0" * 100,
    "\ttabs\tall\tover\n" * 9,
    "<p>html</p>\n",
]


def by_the_library(text: str) -> EmailMessage:
    plain = EmailMessage(SMTP)
    plain.set_content(unified(text), subtype="plain", charset="utf-8", cte="quoted-printable")
    message = message_from_bytes(plain.as_bytes(), policy=default)
    assert isinstance(message, EmailMessage)
    return message


def _reads_the_same(text: str) -> None:
    data = wire(text=text)
    ours = message_from_bytes(data, policy=default)
    assert isinstance(ours, EmailMessage)
    assert ours.get_content() == by_the_library(text).get_content()
    assert ours["Content-Type"] == by_the_library(text)["Content-Type"]
    assert ours.defects == []
    body = data.partition(b"\r\n\r\n")[2]
    assert max(map(len, body.split(b"\r\n"))) <= 76
    assert body.isascii()
    assert body.endswith(b"\r\n")
    assert not _LONE.search(data)
    if ours["Content-Transfer-Encoding"] == "quoted-printable":
        assert quopri.decodestring(body) == by_the_library(text).get_payload(decode=True)


@pytest.mark.parametrize("text", _CORPUS)
def test_a_body_put_together_by_hand_reads_as_if_the_library_had_done_it(text):
    _reads_the_same(text)


@given(_awkward)
@settings(max_examples=300, deadline=None)
def test_so_does_any_other(text):
    _reads_the_same(text)


@given(st.text("\t abc=.\n", max_size=300))
@settings(max_examples=200, deadline=None)
def test_short_plain_lines_are_the_librarys_to_the_byte(text):
    data = wire(text=text)
    plain = EmailMessage(SMTP)
    if b"Content-Transfer-Encoding: 7bit" in data:
        plain.set_content(text, subtype="plain", charset="utf-8", cte="7bit")
        assert data.endswith(plain.as_bytes())
    else:
        assert any(len(line) > 76 for line in text.split("\n"))


def test_half_a_character_is_refused_as_before():
    with pytest.raises(PermanentFailure, match="half a character"):
        wire(text="broken \ud83d here")


def test_letters_of_one_second_bear_one_date_and_those_of_the_next_another():
    later = MONDAY + timedelta(milliseconds=999)
    dates = [to_bytes(letter(), date=date) for date in (MONDAY, later, later + timedelta(milliseconds=1))]
    assert dates[0] == dates[1]
    assert b"Date: Mon, 02 Mar 2026 09:00:00 +0000\r\n" in dates[1]
    assert b"Date: Mon, 02 Mar 2026 09:00:01 +0000\r\n" in dates[2]
