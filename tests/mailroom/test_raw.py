"""Whatever is kept can be had as a letter; read again, it says what was kept."""

import email
import email.policy
from dataclasses import replace
from datetime import UTC, datetime
from email.message import EmailMessage

from hypothesis import given
from hypothesis import strategies as st

from engine.model import Attachment, Message
from mailroom.raw import raw
from tests.doubles import MONDAY
from tests.makers import IDA, SAM

PLAN = Attachment(name="Plan für Ida.txt", content_type="text/plain", sha="1" * 64, size=7, id="att_1")
LETTER = Message(
    message_id="<a1@nordic.example>",
    inbox_id=SAM,
    thread_id="thr_1",
    direction="received",
    sender=IDA,
    to=(SAM, "second@x.test"),
    cc=("third@x.test",),
    names={IDA: "Ida Ø.", "third@x.test": "The Third"},
    reply_to=("desk@nordic.example",),
    subject="Grüße",
    text="Good day.\nAnd: grüß Gott.\n",
    html="<p>Good day.</p>",
    timestamp=MONDAY,
    in_reply_to="<first@acme.example>",
    references=("<zero@acme.example>", "<first@acme.example>"),
    headers={"X-Campaign": "north", "Auto-Submitted": "no"},
    attachments=(PLAN,),
)
FILES = {PLAN.sha: b"one two"}


def _read(letter: Message) -> EmailMessage:
    read = email.message_from_bytes(raw(letter, FILES), policy=email.policy.default)
    assert isinstance(read, EmailMessage)
    return read


def test_a_kept_letter_says_again_what_it_said():
    read = _read(LETTER)

    assert read["From"] == f'"Ida Ø." <{IDA}>'
    assert read["To"] == f"{SAM}, second@x.test"
    assert read["Cc"] == "The Third <third@x.test>"
    assert (read["Reply-To"], read["Subject"]) == ("desk@nordic.example", "Grüße")
    assert read["Message-ID"] == "<a1@nordic.example>"
    assert read["In-Reply-To"] == "<first@acme.example>"
    assert read["References"].split() == ["<zero@acme.example>", "<first@acme.example>"]
    assert (read["X-Campaign"], read["Auto-Submitted"]) == ("north", "no")
    assert read["Date"].datetime == MONDAY
    body = read.get_body(("plain",))
    assert body is not None
    assert body.get_content().replace("\r\n", "\n") == "Good day.\nAnd: grüß Gott.\n"
    [file] = read.iter_attachments()
    assert (file.get_filename(), file.get_content()) == ("Plan für Ida.txt", "one two")


def test_it_is_the_same_however_often():
    assert raw(LETTER, FILES) == raw(LETTER, FILES)


def test_nobody_hears_of_blind_copies():
    read = raw(replace(LETTER, direction="sent", sender=SAM, bcc=("secret@x.test",)), FILES)
    assert b"secret" not in read


def test_a_letter_to_blind_copies_only_names_nobody():
    assert _read(replace(LETTER, to=(), cc=(), bcc=("secret@x.test",)))["To"] == "undisclosed-recipients:;"


def test_a_file_that_is_gone_is_left_out():
    read = email.message_from_bytes(raw(LETTER, {}), policy=email.policy.default)
    assert not list(read.iter_attachments())


def test_what_says_where_a_letter_goes_is_not_taken_from_its_further_headers():
    read = _read(
        replace(LETTER, headers={"Bcc": "e@x.test", "X-A": "1\r\nBcc: e@x.test", "From": "e@x.test"})
    )
    assert read["Bcc"] is None
    assert read.get_all("From") == [f'"Ida Ø." <{IDA}>']


_ANYTHING = st.text(st.characters(), max_size=30)
_PEOPLE = st.lists(_ANYTHING | st.sampled_from([IDA, SAM, "a@b", "@", "a b@x"]), max_size=3).map(tuple)


@given(
    sender=_ANYTHING,
    to=_PEOPLE,
    cc=_PEOPLE,
    bcc=_PEOPLE,
    words=st.tuples(_ANYTHING, _ANYTHING, _ANYTHING),
    ids=st.tuples(_ANYTHING, _ANYTHING, _ANYTHING),
    headers=st.dictionaries(_ANYTHING | st.sampled_from(["X-A", "x-a", "Subject"]), _ANYTHING, max_size=3),
    file=st.tuples(_ANYTHING, _ANYTHING, _ANYTHING, st.sampled_from(["inline", "attachment"])),
)
def test_anything_that_can_be_kept_can_be_had(sender, to, cc, bcc, words, ids, headers, file):
    name, kind, content_id, disposition = file
    enclosed = Attachment(
        name=name, content_type=kind, sha=PLAN.sha, size=7, content_id=content_id, disposition=disposition
    )
    odd = Message(
        message_id=ids[0],
        inbox_id=SAM,
        thread_id="thr_1",
        direction="received",
        sender=sender,
        to=to,
        cc=cc,
        bcc=bcc,
        names={sender: words[0], IDA: words[1]},
        subject=words[0],
        text=words[1],
        html=words[2],
        timestamp=datetime(2026, 3, 2, tzinfo=UTC),
        in_reply_to=ids[1],
        references=ids,
        headers=headers,
        attachments=(enclosed,),
    )
    written = raw(odd, FILES)
    head = written.partition(b"\r\n\r\n")[0]
    assert all(line.isascii() for line in head.split(b"\r\n"))
    assert sum(line.lower().startswith(b"from:") for line in head.split(b"\r\n")) == 1
