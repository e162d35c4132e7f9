"""Bytes of a letter.

The header lines are written here and not by the library: `EmailMessage` reads encoded words out of what it is given, so
that `=?utf-8?q?=0ABcc...?=` in somebody's company name becomes a second header (CVE-2024-6923), and it folds a
Message-ID that is longer than a line into something that no reader will find again.
"""

import base64
import hashlib
import re
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import datetime
from email.header import Header
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from urllib.parse import quote

from engine.errors import PermanentFailure
from engine.model import Enclosure, Letter

_LINE, _LONGEST_LINE = 76, 980  # RFC 5322, section 2.1.1: better 78, at most 998
_UNSEEN = frozenset({"Cc", "Cs", "Zl", "Zp"})  # controls, half characters, and Unicode's own line breaks
_LOCAL = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]+"
_ADDRESS = re.compile(rf"(?=.{{3,254}}\Z){_LOCAL}@[A-Za-z0-9._-]+")
_MESSAGE_ID = re.compile(r"[!-~]{1,980}")
_PLAIN = re.compile(r"[\t\n -~]*")
_QUOTABLE = re.compile(r"[ -~]{1,60}")
_KIND = re.compile(r"[A-Za-z0-9!#$&^_.+-]{1,100}/[A-Za-z0-9!#$&^_.+-]{1,100}")
_WHOLE_PAGE = re.compile(r"\s*<(!doctype|html)\b", re.IGNORECASE)
_PIECE = 20  # characters of a file's name on one line, each of which may need three


def to_bytes(letter: Letter, *, date: datetime) -> bytes:
    """The message as it goes over the wire, before any dot is doubled: CRLF everywhere, 7-bit everywhere."""
    lines = [
        f"From: {bare_address('From', letter.sender)}",
        f"To: {bare_address('To', letter.to)}",
        *([f"Cc: {_addresses(letter.cc)}"] if letter.cc else []),  # and never a word about the blind copies
        f"Subject: {_subject(letter.subject)}",
        f"Date: {format_datetime(date)}",
        f"Message-ID: {_ids('Message-ID', [letter.message_id])}",
    ]
    if letter.in_reply_to:
        lines.append(f"In-Reply-To: {_ids('In-Reply-To', [letter.in_reply_to])}")
    if letter.references:
        lines.append(f"References: {_ids('References', letter.references)}")
    return "\r\n".join(lines).encode("ascii") + b"\r\n" + _content(letter)


def bare_address(field: str, address: str) -> str:
    """The address, if it is one and only one, and may stand in a header and on an envelope as it is."""
    if not _ADDRESS.fullmatch(address):
        raise PermanentFailure(f"{field} is a plain address, like sam@acme.example; found {address!r}")
    return address


def _addresses(addresses: Iterable[str]) -> str:
    return ",\r\n ".join(bare_address("Cc", address) for address in addresses)


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


def _content(letter: Letter) -> bytes:
    """Its MIME lines, the empty line, and all that it says. Text alone is text, and no parcel with one thing in it."""
    content = _body(letter.text)
    if letter.html is not None:
        content = _parcel("alternative", [content, _body(_page(letter.html), "html")], letter)
    if letter.attachments:
        content = _parcel("mixed", [content, *map(_enclosed, letter.attachments)], letter)
    return content


def _body(text: str, kind: str = "plain") -> bytes:
    """A bare CR or LF is how one mail is smuggled inside another."""
    text = re.sub(r"\r\n?", "\n", text)
    part = EmailMessage(SMTP)
    try:
        part.set_content(text, subtype=kind, charset="utf-8", cte=_encoding(text))
    except UnicodeEncodeError as error:
        raise PermanentFailure(f"the text holds half a character: {error.reason}") from error
    return part.as_bytes()


def _page(html: str) -> str:
    if _WHOLE_PAGE.match(html):
        return html
    return (
        '<!doctype html>\n<html>\n<head><meta charset="utf-8"></head>\n'
        f"<body>\n{html.rstrip()}\n</body>\n</html>\n"
    )


def _parcel(kind: str, parts: Sequence[bytes], letter: Letter) -> bytes:
    boundary = _boundary(kind, parts, letter)
    # RFC 2045, section 4: the version stands on the outside, once.
    inside = [part.replace(b"MIME-Version: 1.0\r\n", b"", 1) for part in parts]
    line = b"--" + boundary.encode("ascii")
    head = f'Content-Type: multipart/{kind}; boundary="{boundary}"\r\nMIME-Version: 1.0\r\n\r\n'
    middle = b"".join(line + b"\r\n" + part + b"\r\n" for part in inside)
    return head.encode("ascii") + middle + line + b"--\r\n"


def _boundary(kind: str, parts: Sequence[bytes], letter: Letter) -> str:
    """The same for the same letter, and nowhere in it: it is looked for, however unlikely."""
    number = 0
    while True:
        seed = f"{letter.message_id}\0{kind}\0{number}".encode("utf-8", "replace")
        boundary = f"=_{hashlib.sha256(seed).hexdigest()[:32]}"
        if not any(boundary.encode("ascii") in part for part in parts):
            return boundary
        number += 1


# --- files ---


def _enclosed(file: Enclosure) -> bytes:
    kind = file.content_type
    if not _KIND.fullmatch(kind):
        raise PermanentFailure(f"{file.name}: a kind of file is written like application/pdf; found {kind!r}")
    if kind.lower().startswith(("multipart/", "message/")):
        kind = "application/octet-stream"  # RFC 2046, section 5: those may not travel in base64
    lines = [
        f"Content-Type: {kind}",
        "Content-Transfer-Encoding: base64",
        "Content-Disposition: attachment;",
        f" {_file_name(file.name)}",
        "MIME-Version: 1.0",
    ]
    coded = base64.encodebytes(file.content).replace(b"\n", b"\r\n")
    return "\r\n".join(lines).encode("ascii") + b"\r\n\r\n" + coded


def _file_name(name: str) -> str:
    """In RFC 2231's way when it is more than a short word in ASCII: `filename*0*=utf-8''Gr%C3%BC;`."""
    if any(unicodedata.category(sign) in _UNSEEN for sign in name) or not name.strip(" ."):
        raise PermanentFailure(f"a file's name is one line with a letter in it; found {name!r}")
    if "/" in name or "\\" in name:
        raise PermanentFailure(f"a file's name leads to no folder; found {name!r}")
    if _QUOTABLE.fullmatch(name) and "=?" not in name:
        return 'filename="{}"'.format(name.replace('"', '\\"'))
    coded = "utf-8''" + quote(name, safe="")
    pieces = re.findall(rf"(?:%[0-9A-F]{{2}}|.){{1,{_PIECE}}}", coded)  # never in the middle of a `%C3`
    if len(pieces) == 1:
        return f"filename*={coded}"
    return ";\r\n ".join(f"filename*{number}*={piece}" for number, piece in enumerate(pieces))


def _encoding(text: str) -> str:
    short = all(len(line) <= _LINE for line in text.split("\n"))
    return "7bit" if short and _PLAIN.fullmatch(text) else "quoted-printable"
