"""A letter that is kept, as bytes once more: the same ones however often, and as near to what went over the wire as is known."""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping

from engine.errors import PermanentFailure
from engine.headers import content_id_trouble, header_trouble, is_one_line, name_trouble
from engine.model import Attachment, Enclosure, Letter, Message
from mailroom.mime import bare_address, to_bytes

_NOBODY = "unknown@unknown.invalid"  # RFC 2606: nobody is ever called that
_MESSAGE_ID = re.compile(r"[!-~]{1,980}")
_KIND = re.compile(r"[A-Za-z0-9!#$&^_.+-]{1,100}/[A-Za-z0-9!#$&^_.+-]{1,100}")
_NO_KIND = "application/octet-stream"


def raw(message: Message, files: Mapping[str, bytes]) -> bytes:
    """`files`: what is in its attachments, by their SHA-256. What cannot stand in a letter is left out of this one."""
    return to_bytes(_letter(message, files), date=message.timestamp)


def file_name(file: Attachment) -> str:
    """One word that leads to no folder."""
    name = _line(file.name).replace("/", "_").replace("\\", "_")
    return name if name.strip(" .") else "attachment"


def kind_of(file: Attachment) -> str:
    """What it says that it is, if that can be said in a header."""
    return file.content_type if _KIND.fullmatch(file.content_type) else _NO_KIND


def _letter(message: Message, files: Mapping[str, bytes]) -> Letter:
    to, cc, bcc = (tuple(_people(each)) for each in (message.to, message.cc, message.bcc))
    if not (to or cc or bcc):
        to = (message.inbox_id,)
    return Letter(
        key=message.message_id,
        message_id=next(_ids([message.message_id]), f"<{_NOBODY}>"),
        sender=next(_people([message.sender]), _NOBODY),
        to=to[0] if to else "",
        also_to=to[1:],
        cc=cc,
        bcc=bcc,
        names={address: name for address, name in message.names.items() if not name_trouble(name)},
        reply_to=tuple(_people(message.reply_to)),
        subject=_line(message.subject),
        text=_whole(message.text),
        html=None if message.html is None else _whole(message.html),
        in_reply_to=next(_ids([message.in_reply_to or ""]), None),
        references=tuple(_ids(message.references)),
        headers={name: value for name, value in message.headers.items() if not header_trouble(name, value)},
        attachments=tuple(_file(each, files[each.sha]) for each in message.attachments if each.sha in files),
    )


def _people(addresses: Iterable[str]) -> Iterator[str]:
    for address in addresses:
        try:
            yield bare_address("To", address)
        except PermanentFailure:
            continue


def _ids(said: Iterable[str]) -> Iterator[str]:
    return (each for each in said if _MESSAGE_ID.fullmatch(each))


def _line(text: str) -> str:
    return "".join(sign if is_one_line(sign) else " " for sign in text)


def _whole(text: str) -> str:
    """Without half characters."""
    return "".join(
        "\N{REPLACEMENT CHARACTER}" if unicodedata.category(sign) == "Cs" else sign for sign in text
    )


def _file(file: Attachment, content: bytes) -> Enclosure:
    named = file.content_id and not content_id_trouble(file.content_id.removeprefix("<").removesuffix(">"))
    return Enclosure(
        name=file_name(file),
        content_type=kind_of(file),
        content=content,
        disposition=file.disposition,
        content_id=file.content_id if named else None,
    )
