"""Bytes of a letter.

The header lines are written here and not by the library: `EmailMessage` reads encoded words out of what it is given, so
that `=?utf-8?q?=0ABcc...?=` in somebody's company name becomes a second header (CVE-2024-6923), and it folds a
Message-ID that is longer than a line into something that no reader will find again.
"""

import base64
import hashlib
import re
from binascii import b2a_qp
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from email.header import Header
from email.utils import format_datetime
from functools import lru_cache
from urllib.parse import quote

from engine.addresses import contact
from engine.errors import PermanentFailure
from engine.headers import content_id_trouble, header_trouble, is_one_line
from engine.model import Enclosure, Letter

_LINE, _LONGEST_LINE = 76, 980  # RFC 5322, section 2.1.1: better 78, at most 998
_LOCAL = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]+"
_ADDRESS = re.compile(rf"(?=.{{3,254}}\Z){_LOCAL}@[A-Za-z0-9._-]+")
_MESSAGE_ID = re.compile(r"[!-~]{1,980}")
_PLAIN = re.compile(rb"[\t\r\n -~]*")
_BREAK = re.compile(r"\r\n?")
_HEAD = (
    'Content-Type: text/{kind}; charset="utf-8"\r\n'
    "Content-Transfer-Encoding: {coding}\r\nMIME-Version: 1.0\r\n\r\n"
)
_QUOTABLE = re.compile(r"[ -~]{1,60}")
_WORDS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?: [A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_KIND = re.compile(r"[A-Za-z0-9!#$&^_.+-]{1,100}/[A-Za-z0-9!#$&^_.+-]{1,100}")
_WHOLE_PAGE = re.compile(r"\s*<(!doctype|html)\b", re.IGNORECASE)
_FOLD = "\r\n "
_PIECE = 20  # characters of a file's name on one line, each of which may need three


def to_bytes(letter: Letter, *, date: datetime) -> bytes:
    """The message as it goes over the wire, before any dot is doubled: CRLF everywhere, 7-bit everywhere."""
    names = {contact(address): name for address, name in letter.names.items()}
    lines = [
        f"From: {_person('From', letter.sender, names)}",
        *_readers(letter, names),  # and never a word about the blind copies
        f"Subject: {_words('Subject', letter.subject)}",
        f"Date: {_in_words(date.replace(microsecond=0))}",
        f"Message-ID: {_ids('Message-ID', [letter.message_id])}",
    ]
    if letter.in_reply_to:
        lines.append(f"In-Reply-To: {_ids('In-Reply-To', [letter.in_reply_to])}")
    if letter.references:
        lines.append(f"References: {_ids('References', letter.references)}")
    lines += [_further(name, value) for name, value in letter.headers.items()]
    return "\r\n".join(lines).encode("ascii") + b"\r\n" + _content(letter)


@lru_cache(maxsize=4)
def _in_words(second: datetime) -> str:
    """Many leave within one."""
    return format_datetime(second)


def bare_address(field: str, address: str) -> str:
    """The address, if it is one and only one, and may stand in a header and on an envelope as it is."""
    if not _ADDRESS.fullmatch(address):
        raise PermanentFailure(f"{field} is a plain address, like sam@acme.example; found {address!r}")
    return address


def _readers(letter: Letter, names: Mapping[str, str]) -> list[str]:
    """Whom it is for, and where an answer goes."""
    if not letter.everybody:
        bare_address("To", letter.to)
    to = (letter.to, *letter.also_to) if letter.to else ()
    fields = {"To": to, "Cc": letter.cc, "Reply-To": letter.reply_to}
    lines = [f"{field}: {_people(field, people, names)}" for field, people in fields.items() if people]
    if to or letter.cc:
        return lines
    return ["To: undisclosed-recipients:;", *lines]  # RFC 5322, section 3.4: a group of nobody


def _people(field: str, addresses: Iterable[str], names: Mapping[str, str]) -> str:
    """One to a line, so that no line grows too long."""
    return ",\r\n ".join(_person(field, address, names) for address in addresses)


def _person(field: str, address: str, names: Mapping[str, str]) -> str:
    bare = bare_address(field, address)
    name = names.get(contact(address), "").strip(" ")
    if not name:
        return bare
    called = _phrase(field, name)
    short = len(field) + len(called.rpartition("\r\n")[2]) + len(bare) <= _LINE - 5
    return f"{called}{' ' if short else _FOLD}<{bare}>"


def _phrase(field: str, name: str) -> str:
    """A name in quotes, or encoded: nothing in it is taken for an address, a comment, or the end of the line."""
    if not is_one_line(name):
        raise PermanentFailure(f"a name in {field} is one line without control characters; found {name!r}")
    if _QUOTABLE.fullmatch(name) and "=?" not in name:
        return name if _WORDS.fullmatch(name) else _quoted(name)
    return _encoded(field, name)


def _quoted(text: str) -> str:
    return '"{}"'.format(re.sub(r'(["\\])', r"\\\1", text))


def _words(field: str, text: str) -> str:
    if not is_one_line(text):
        raise PermanentFailure(f"{field} is one line without control characters; found {text!r}")
    if text.isascii() and "=?" not in text and len(text) <= _LONGEST_LINE:
        return text  # not folded: encoded words in a plain subject look like something to hide
    return _encoded(field, text)


def _encoded(field: str, text: str) -> str:
    """As encoded words: what is read is what was written, also if that looks encoded. RFC 2047."""
    return Header(text, "utf-8", maxlinelen=_LINE, header_name=field).encode(linesep="\r\n")


def _further(name: str, value: str) -> str:
    if trouble := header_trouble(name, value):
        raise PermanentFailure(trouble)
    return f"{name}: {_words(name, value)}"


def _ids(field: str, ids: Iterable[str]) -> str:
    """One to a line: an id is never broken, however long the thread."""
    ids = tuple(ids)
    for one in ids:
        if not _MESSAGE_ID.fullmatch(one):
            raise PermanentFailure(
                f"{field} holds Message-IDs, like <a1@acme.example>, without spaces or control characters; "
                f"found {one!r}"
            )
    return _FOLD.join(ids)


def _content(letter: Letter) -> bytes:
    """Its MIME lines, the empty line, and all that it says. Text alone is text, and no parcel with one thing in it."""
    content, shown = _body(letter.text), []
    if letter.html is not None:
        page = _body(_page(letter.html), "html")
        if shown := [file for file in letter.attachments if _is_shown(file)]:
            page = _parcel("related", [page, *map(_enclosed, shown)], letter, '; type="text/html"')
        content = _parcel("alternative", [content, page], letter)
    if files := [file for file in letter.attachments if file not in shown]:
        content = _parcel("mixed", [content, *map(_enclosed, files)], letter)
    return content


def _is_shown(file: Enclosure) -> bool:
    """In the page, at a place that names it. RFC 2387: such things travel with their page."""
    return file.disposition == "inline" and bool(file.content_id)


def _body(text: str, kind: str = "plain") -> bytes:
    """A bare CR or LF is how one mail is smuggled inside another.

    `EmailMessage` reads the same out of it, and would need ten times as long to put it together.
    """
    try:
        lines = _BREAK.sub("\n", text).encode().removesuffix(b"\n").split(b"\n")
    except UnicodeEncodeError as error:
        raise PermanentFailure(f"the text holds half a character: {error.reason}") from error
    said = b"\r\n".join(lines) + b"\r\n"
    short = max(map(len, lines)) <= _LINE and _PLAIN.fullmatch(said)
    coding, content = ("7bit", said) if short else ("quoted-printable", b2a_qp(said))
    return _HEAD.format(kind=kind, coding=coding).encode() + content


def _page(html: str) -> str:
    if _WHOLE_PAGE.match(html):
        return html
    return (
        '<!doctype html>\n<html>\n<head><meta charset="utf-8"></head>\n'
        f"<body>\n{html.rstrip()}\n</body>\n</html>\n"
    )


def _parcel(kind: str, parts: Sequence[bytes], letter: Letter, more: str = "") -> bytes:
    boundary = _boundary(kind, parts, letter)
    # RFC 2045, section 4: the version stands on the outside, once.
    inside = [part.replace(b"MIME-Version: 1.0\r\n", b"", 1) for part in parts]
    line = b"--" + boundary.encode("ascii")
    head = f'Content-Type: multipart/{kind}; boundary="{boundary}"{more}\r\nMIME-Version: 1.0\r\n\r\n'
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
        *_content_id(file),
        f"Content-Disposition: {'inline' if file.disposition == 'inline' else 'attachment'};",
        f" {_file_name(file.name)}",
        "MIME-Version: 1.0",
    ]
    coded = base64.encodebytes(file.content).replace(b"\n", b"\r\n")
    return "\r\n".join(lines).encode("ascii") + b"\r\n\r\n" + coded


def _content_id(file: Enclosure) -> list[str]:
    if not file.content_id:
        return []
    name = file.content_id.removeprefix("<").removesuffix(">")
    if trouble := content_id_trouble(name):
        raise PermanentFailure(f"{file.name}: {trouble}")
    return [f"Content-ID: <{name}>"]


def _file_name(name: str) -> str:
    """In RFC 2231's way when it is more than a short word in ASCII: `filename*0*=utf-8''Gr%C3%BC;`."""
    if not is_one_line(name) or not name.strip(" ."):
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
