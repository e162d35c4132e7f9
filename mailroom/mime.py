"""Bytes of a letter.

The header lines are written here and not by the library: `EmailMessage` reads encoded words out of what it is given, so
that `=?utf-8?q?=0ABcc...?=` in somebody's company name becomes a second header (CVE-2024-6923), and it folds a
Message-ID that is longer than a line into something that no reader will find again.
"""

import re
import unicodedata
from collections.abc import Iterable
from datetime import datetime
from email.header import Header
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from engine.errors import PermanentFailure
from engine.model import Letter

_LINE, _LONGEST_LINE = 76, 980  # RFC 5322, section 2.1.1: better 78, at most 998
_UNSEEN = frozenset({"Cc", "Cs", "Zl", "Zp"})  # controls, half characters, and Unicode's own line breaks
_LOCAL = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]+"
_ADDRESS = re.compile(rf"(?=.{{3,254}}\Z){_LOCAL}@[A-Za-z0-9._-]+")
_MESSAGE_ID = re.compile(r"[!-~]{1,980}")
_PLAIN = re.compile(r"[\t\n -~]*")


def to_bytes(letter: Letter, *, date: datetime) -> bytes:
    """The message as it goes over the wire, before any dot is doubled: CRLF everywhere, 7-bit everywhere."""
    lines = [
        f"From: {bare_address('From', letter.sender)}",
        f"To: {bare_address('To', letter.to)}",
        f"Subject: {_subject(letter.subject)}",
        f"Date: {format_datetime(date)}",
        f"Message-ID: {_ids('Message-ID', [letter.message_id])}",
    ]
    if letter.in_reply_to:
        lines.append(f"In-Reply-To: {_ids('In-Reply-To', [letter.in_reply_to])}")
    if letter.references:
        lines.append(f"References: {_ids('References', letter.references)}")
    return "\r\n".join(lines).encode("ascii") + b"\r\n" + _body(letter.text)


def bare_address(field: str, address: str) -> str:
    """The address, if it is one and only one, and may stand in a header and on an envelope as it is."""
    if not _ADDRESS.fullmatch(address):
        raise PermanentFailure(f"{field} is a plain address, like sam@acme.example; found {address!r}")
    return address


def _subject(text: str) -> str:
    if any(unicodedata.category(character) in _UNSEEN for character in text):
        raise PermanentFailure(f"Subject is one line without control characters; found {text!r}")
    if text.isascii() and "=?" not in text and len(text) <= _LONGEST_LINE:
        return text  # not folded: encoded words in a plain subject look like something to hide
    # Everything else as encoded words: what the recipient reads is what was written, also if that looks encoded.
    return Header(text, "utf-8", maxlinelen=_LINE, header_name="Subject").encode(linesep="\r\n")


def _ids(field: str, ids: Iterable[str]) -> str:
    """One to a line: an id is never broken, however long the thread."""
    ids = tuple(ids)
    for one in ids:
        if not _MESSAGE_ID.fullmatch(one):
            raise PermanentFailure(
                f"{field} holds Message-IDs, like <a1@acme.example>, without spaces or control characters; "
                f"found {one!r}"
            )
    return "\r\n ".join(ids)


def _body(text: str) -> bytes:
    """Its MIME lines, the empty line and the text. A bare CR or LF is how one mail is smuggled inside another."""
    text = re.sub(r"\r\n?", "\n", text)
    part = EmailMessage(SMTP)
    try:
        part.set_content(text, charset="utf-8", cte=_encoding(text))
    except UnicodeEncodeError as error:
        raise PermanentFailure(f"the text holds half a character: {error.reason}") from error
    return part.as_bytes()


def _encoding(text: str) -> str:
    short = all(len(line) <= _LINE for line in text.split("\n"))
    return "7bit" if short and _PLAIN.fullmatch(text) else "quoted-printable"
