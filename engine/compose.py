"""Draft + thread so far -> Letter. RFC 5322, section 3.6.4. Pure."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from engine.addresses import contact
from engine.errors import PermanentFailure
from engine.headers import content_id_trouble
from engine.model import Attachment, Draft, Enclosure, Letter, Message
from engine.quote import passed_on

_REPLY = re.compile(r"^(?:\s*re\s*:\s*)+", re.IGNORECASE)
_FORWARD = re.compile(r"^(?:\s*fwd?\s*:\s*)+", re.IGNORECASE)
_MESSAGE_ID = re.compile(r"[!-~]{1,980}")
_MOST_REFERENCES = 50


class Said(Protocol):
    """A letter of the conversation, as far as one that follows speaks of it."""

    @property
    def message_id(self) -> str: ...

    @property
    def direction(self) -> str: ...


def compose(
    draft: Draft,
    thread: Sequence[Said],
    files: Mapping[str, bytes] | None = None,
    *,
    source: Message | None = None,
) -> Letter:
    """The follow-up answers the last letter that we sent; the references tell the whole thread, oldest first.

    `source`: the letter that it answers instead, or passes on with its words and its files.
    `files`: what is in its attachments, by their SHA-256. Without all of them it is another letter, and does not go.
    """
    earlier = [message.message_id for message in thread if message.direction == "sent"]
    answered = earlier[-1] if earlier else None
    if source is not None:
        earlier = _known_to(source)
        answered = source.message_id if source.message_id in earlier else None
    text, html = passed_on(draft, source) if source and draft.forward_of else (draft.text, draft.html)
    return Letter(
        key=draft.id,
        message_id=draft.message_id,
        sender=draft.inbox_id,
        to=draft.to,
        also_to=draft.also_to,
        names=draft.names,
        reply_to=draft.reply_to,
        subject=draft.subject,
        headers=draft.headers,
        text=text,
        in_reply_to=answered,
        references=_chain(earlier),
        html=html,
        cc=draft.cc,
        bcc=draft.bcc,
        attachments=tuple(_enclosed(each, files or {}) for each in enclosed(draft, source)),
    )


def enclosed(draft: Draft, source: Message | None) -> tuple[Attachment, ...]:
    """Its own files, and those of the letter that it passes on."""
    if source is None or not draft.forward_of:
        return draft.attachments
    return (*draft.attachments, *(_taken_along(each) for each in source.attachments))


def outside(letter: Letter) -> tuple[str, ...]:
    """To whom it has to be carried, each once, and first of all whom it is to: all its readers but those who live here."""
    readers: dict[str, str] = {}
    for address in letter.everybody:
        readers.setdefault(contact(address), address)
    return tuple(address for key, address in readers.items() if key not in letter.inside)


def reply_subject(subject: str) -> str:
    """`Re:` once, whatever stood there before."""
    return f"Re: {_REPLY.sub('', subject)}"


def forward_subject(subject: str) -> str:
    """`Fwd:` once."""
    return f"Fwd: {_FORWARD.sub('', subject)}"


def _known_to(source: Message) -> list[str]:
    """It, and what stands before it, oldest first. An id that no header can hold was made up by somebody: left out."""
    before = source.references or ([source.in_reply_to] if source.in_reply_to else [])
    return [each for each in (*before, source.message_id) if _MESSAGE_ID.fullmatch(each)]


def _taken_along(attachment: Attachment) -> Attachment:
    if attachment.content_id is None or content_id_trouble(attachment.content_id) is None:
        return attachment
    return replace(attachment, content_id=None)


def _enclosed(attachment: Attachment, files: Mapping[str, bytes]) -> Enclosure:
    content = files.get(attachment.sha)
    if content is None or len(content) != attachment.size:
        raise PermanentFailure(f"the attachment {attachment.name} is not there any more")
    return Enclosure(
        name=attachment.name,
        content_type=attachment.content_type,
        content=content,
        disposition=attachment.disposition,
        content_id=attachment.content_id,
    )


def _chain(ids: list[str]) -> tuple[str, ...]:
    """Long threads keep the first letter and the latest ones, as RFC 5322 allows."""
    if len(ids) <= _MOST_REFERENCES:
        return tuple(ids)
    return (ids[0], *ids[-_MOST_REFERENCES + 1 :])
