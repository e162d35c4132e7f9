"""Draft + thread so far -> Letter. RFC 5322, section 3.6.4. Pure."""

import re
from collections.abc import Mapping, Sequence

from engine.errors import PermanentFailure
from engine.model import Attachment, Draft, Enclosure, Letter, Message

_REPLY = re.compile(r"^(?:\s*re\s*:\s*)+", re.IGNORECASE)
_MOST_REFERENCES = 50


def compose(draft: Draft, thread: Sequence[Message], files: Mapping[str, bytes] | None = None) -> Letter:
    """The follow-up answers the last letter that we sent; the references tell the whole thread, oldest first.

    `files`: what is in its attachments, by their SHA-256. Without all of them it is another letter, and does not go.
    """
    ours = [message for message in thread if message.direction == "sent"]
    return Letter(
        key=draft.id,
        message_id=draft.message_id,
        sender=draft.inbox_id,
        to=draft.to,
        subject=draft.subject,
        text=draft.text,
        in_reply_to=ours[-1].message_id if ours else None,
        references=_chain([message.message_id for message in ours]),
        html=draft.html,
        cc=draft.cc,
        bcc=draft.bcc,
        attachments=tuple(_enclosed(each, files or {}) for each in draft.attachments),
    )


def reply_subject(subject: str) -> str:
    """`Re:` once, whatever stood there before."""
    return f"Re: {_REPLY.sub('', subject)}"


def _enclosed(attachment: Attachment, files: Mapping[str, bytes]) -> Enclosure:
    content = files.get(attachment.sha)
    if content is None or len(content) != attachment.size:
        raise PermanentFailure(f"the attachment {attachment.name} is not there any more")
    return Enclosure(name=attachment.name, content_type=attachment.content_type, content=content)


def _chain(ids: list[str]) -> tuple[str, ...]:
    """Long threads keep the first letter and the latest ones, as RFC 5322 allows."""
    if len(ids) <= _MOST_REFERENCES:
        return tuple(ids)
    return (ids[0], *ids[-_MOST_REFERENCES + 1 :])
