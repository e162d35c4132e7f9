"""Draft + thread so far -> Letter. RFC 5322, section 3.6.4. Pure."""

import re
from collections.abc import Sequence

from engine.model import Draft, Letter, Message

_REPLY = re.compile(r"^(?:\s*re\s*:\s*)+", re.IGNORECASE)
_MOST_REFERENCES = 50


def compose(draft: Draft, thread: Sequence[Message]) -> Letter:
    """The follow-up answers the last letter that we sent; the references tell the whole thread, oldest first."""
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
    )


def reply_subject(subject: str) -> str:
    """`Re:` once, whatever stood there before."""
    return f"Re: {_REPLY.sub('', subject)}"


def _chain(ids: list[str]) -> tuple[str, ...]:
    """Long threads keep the first letter and the latest ones, as RFC 5322 allows."""
    if len(ids) <= _MOST_REFERENCES:
        return tuple(ids)
    return (ids[0], *ids[-_MOST_REFERENCES + 1 :])
