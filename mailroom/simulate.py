"""Addresses that reply, bounce, are away or stay silent: every branch is an address away.

The plus-tag says what its owner does, and when: `ida+reply-2d@…` answers two days after the first letter,
`tom+bounce@…` does not exist, `eva+away@…` has an out-of-office note. Anybody else is silent.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from engine.ids import new_id
from engine.model import Message
from mailroom.telling import bounced_event, received_event

_TAG = re.compile(
    r"^[^@]*\+(?P<deed>reply|bounce|away)(?:-(?P<amount>\d{1,3})(?P<unit>[hd]))?@", re.IGNORECASE
)
_AT_ONCE = {"bounce": timedelta(minutes=1), "away": timedelta(minutes=1), "reply": timedelta(hours=5)}


class Deed(StrEnum):
    """What somebody does with a letter."""

    REPLY = "reply"
    BOUNCE = "bounce"
    AWAY = "away"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What comes back, and when."""

    at: datetime
    deed: Deed
    email: str
    event: dict[str, Any]  #: as the mailbox's webhook would tell it


def answer_to(letters: Sequence[Message]) -> Answer | None:
    """What the last of these letters, one thread, all to one person, brings back. Everybody acts once: on the first."""
    first = letters[-1]
    person = first.to[0]
    found = _TAG.match(person)
    if found is None or len(letters) > 1:
        return None
    deed = Deed(found["deed"].lower())
    at = first.timestamp + _delay(deed, found["amount"], found["unit"])
    return Answer(at=at, deed=deed, email=person, event=_event(deed, person, first, at))


def _delay(deed: Deed, amount: str | None, unit: str | None) -> timedelta:
    if amount is None:
        return _AT_ONCE[deed]
    return timedelta(days=int(amount)) if unit == "d" else timedelta(hours=int(amount))


def _event(deed: Deed, person: str, letter: Message, at: datetime) -> dict[str, Any]:
    event_id = new_id("evt", at)
    if deed is Deed.BOUNCE:
        return bounced_event(
            event_id=event_id,
            inbox_id=letter.inbox_id,
            thread_id=letter.thread_id,
            message_id=letter.message_id,
            recipient=person,
            at=at,
        )
    away = deed is Deed.AWAY
    return received_event(
        event_id=event_id,
        inbox_id=letter.inbox_id,
        thread_id=letter.thread_id,
        message_id=f"<{new_id('msg', at)}@{person.rpartition('@')[2]}>",
        sender=person,
        to=[letter.inbox_id],
        subject=f"{'Automatic reply' if away else 'Re'}: {letter.subject.removeprefix('Re: ')}",
        text="I am out of the office."
        if away
        else "Thanks, that sounds interesting. Shall we talk on Thursday?",
        at=at,
        in_reply_to=letter.message_id,
        references=[letter.message_id],
        headers={"Auto-Submitted": "auto-replied"} if away else None,
    )
