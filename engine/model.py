"""The records: nouns, frozen and innocent. They know neither the database that keeps them nor the story they are in."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal

from engine.states import DraftState, EnrollmentState

#: The hour of a letter that has none: whoever forgets to ask sends it late, and not early.
NEVER = datetime(9999, 1, 1, tzinfo=UTC)

DraftKind = Literal["plain", "reply", "reply_all", "forward"]
Hidden = Literal["deleted", "trash", "blocked", "spam", "unauthenticated"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prospect:
    """Somebody to be written to, and what is known of them."""

    email: str
    variables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrollment:
    """One person in one sequence."""

    id: str
    sequence: str
    version: str
    inbox_id: str
    email: str
    contact: str  #: the address as a key: see engine/addresses.py
    variables: Mapping[str, str]
    state: EnrollmentState
    reason: str | None  #: why it stopped, or what it waits for
    thread_id: str  #: the thread it speaks in now; known from the first moment on
    created_at: datetime
    company: str | None = None  #: where they work, if that can be told
    wake_at: datetime | None = None  #: when to look again, while no draft is pending


@dataclass(frozen=True, slots=True, kw_only=True)
class Inbox:
    """One of our addresses."""

    id: str  #: the address, as a key: see engine/addresses.py
    pod_id: str
    created_at: datetime
    updated_at: datetime
    display_name: str | None = None
    client_id: str | None = None
    paused: bool = False  #: nothing leaves it, and nothing comes in
    metadata: Mapping[str, str | float | bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Thread:
    """A conversation. This row is what cancel, gate and next step lock first."""

    id: str
    inbox_id: str
    contact: str
    subject: str
    enrollment_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A file that goes with a letter. What is in it is kept once, however many letters carry it."""

    name: str
    content_type: str
    sha: str  #: the SHA-256 of what is in it
    size: int
    id: str = ""
    disposition: Literal["attachment", "inline"] = "attachment"
    content_id: str | None = None  #: how the letter's HTML speaks of it


@dataclass(frozen=True, slots=True, kw_only=True)
class Enclosure:
    """A file in the envelope."""

    name: str
    content_type: str
    content: bytes = field(repr=False)
    disposition: Literal["attachment", "inline"] = "attachment"
    content_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A letter that has not left yet, or that once had not."""

    id: str
    inbox_id: str
    thread_id: str
    enrollment_id: str | None  #: None: no sequence made it
    step: str
    state: DraftState
    send_at: datetime
    to: str
    subject: str
    text: str
    message_id: str  #: stored before anything leaves; the same draft has the same one
    reason: str  #: why this hour
    content_sha: str
    approved_sha: str | None = None
    approved_by: str | None = None
    approved_head: int | None = None  #: where its conversation stood at a human's yes; a rule's yes has none
    approved_name: str | None = None  #: the name its sender went by at a human's yes; "": by none
    approved_until: datetime | None = None  #: a human's yes grows old
    hour_by: str | None = None  #: who chose its hour; None: the rules did
    asked_at: datetime | None = (
        None  #: since when only a human's yes lets it go; None: its author's word may do
    )
    yes_by: datetime | None = None  #: how long it waits for a human's yes
    oddities: tuple[str, ...] = ()  #: what a reviewer should look at twice
    rank: int = 0  #: the odder, the lower: the review begins there
    alike: str | None = None  #: letters of one way to say one step have the same; None: this one was reworded
    held_until: datetime | None = None
    claim_token: str | None = None
    claim_owner: str | None = None
    lease_until: datetime | None = None
    gate_at: datetime | None = None
    carrier: str | None = None  #: the mailbox that has, or had, it in its hands
    attempt: int = 0
    outcome: str | None = None  #: what became of it, in a word or in the server's own words
    recalled: str | None = None  #: somebody answered while it was leaving: it must not be put back
    variant: str | None = None  #: which of several ways to say it
    opener: bool = False  #: the first letter of a conversation: it stands back when there is little room
    company: str | None = None  #: whose letters are counted together; None: nobody's
    domain: str | None = None  #: the same
    html: str | None = None  #: the same words with more than plain text can show
    cc: tuple[str, ...] = ()
    bcc: tuple[str, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    also_to: tuple[str, ...] = ()  #: whom it is for besides `to`; who is named second is no less written to
    names: Mapping[str, str] = field(default_factory=dict)  #: of addresses, as people read them
    reply_to: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    in_reply_to: str | None = (
        None  #: the letter that it answers; None: the last of ours in its thread, if there is one
    )
    forward_of: str | None = None  #: the letter that it passes on, with its files
    goes_into: str | None = (
        None  #: the conversation that it is for, as its author said: nobody has looked yet
    )
    kind: DraftKind = "plain"
    labels: tuple[str, ...] = ()  #: what people call it
    client_id: str | None = None  #: the name that its author gave it, so that it is made once

    @property
    def everybody(self) -> tuple[str, ...]:
        """Whoever gets it."""
        return (*((self.to,) if self.to else ()), *self.also_to, *self.cc, *self.bcc)

    @property
    def has_an_hour(self) -> bool:
        return self.send_at != NEVER

    @property
    def unplaced(self) -> bool:
        """It answers something, and nobody has looked yet whether that is there."""
        return self.goes_into is not None or (self.kind == "plain" and self.in_reply_to is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A letter that left or came in."""

    message_id: str
    inbox_id: str
    thread_id: str
    direction: Literal["sent", "received"]
    sender: str
    to: tuple[str, ...]
    subject: str
    text: str
    timestamp: datetime
    in_reply_to: str | None = None
    references: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    draft_id: str | None = None
    enrollment_id: str | None = None
    step: str | None = None
    html: str | None = None
    cc: tuple[str, ...] = ()
    bcc: tuple[str, ...] = ()  #: only of what we sent; nobody who received it knows
    names: Mapping[str, str] = field(default_factory=dict)  #: of addresses, as people read them
    reply_to: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    attachments: tuple[Attachment, ...] = ()
    size: int = 0
    hidden: Hidden | None = None  #: why it is not shown without being asked for
    updated_at: datetime | None = None  #: None: nobody has changed its labels


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """What a mailbox carries: composed, addressed, and safe to hand over twice."""

    key: str  #: the draft's id; a mailbox that saw it before answers as it did then
    message_id: str
    sender: str
    to: str
    subject: str
    text: str
    in_reply_to: str | None = None
    references: tuple[str, ...] = ()
    html: str | None = None
    cc: tuple[str, ...] = ()
    bcc: tuple[str, ...] = ()
    attachments: tuple[Enclosure, ...] = ()
    also_to: tuple[str, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)
    reply_to: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    inside: frozenset[str] = (
        frozenset()
    )  #: those of its readers who live here: no transport carries it to them

    @property
    def everybody(self) -> tuple[str, ...]:
        """Whoever gets it."""
        return (*((self.to,) if self.to else ()), *self.also_to, *self.cc, *self.bcc)


@dataclass(frozen=True, slots=True)
class Sent:
    """The mailbox took it."""

    note: str = ""  #: the server's own words
    refused: Mapping[str, str] = field(
        default_factory=dict
    )  #: who of its readers will not get it, and what the server said


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """The gate was closed: nothing left."""

    why: str = "called back"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How dispatching goes about its work."""

    batch: int = 100  #: letters claimed at once
    lease: timedelta = timedelta(minutes=2)  #: how long a claim is good for
    retries: tuple[timedelta, ...] = tuple(timedelta(minutes=m) for m in (1, 5, 30, 120))  #: the last repeats
    max_lateness: timedelta = timedelta(days=2)  #: later than this, a human decides
    rate: int | None = None  #: letters a minute, from all inboxes together; None: as many as there are
    gate_deadline: timedelta = timedelta(seconds=1)  #: a gate that took longer is no gate
    fence: timedelta = timedelta(seconds=600)  #: longer than any mail server keeps a silent connection open
    patience_to_listen: timedelta = timedelta(
        seconds=10
    )  #: a mailbox that took longer has not said who answered
    ack_wait: timedelta = timedelta(
        seconds=8
    )  #: how long an answer to a webhook waits for a letter in the air


def content_sha(draft: Draft) -> str:
    """What an approval is bound to: change a word, a reader or a file, and it is another letter."""
    said = "\0".join((draft.inbox_id, draft.to, draft.subject, draft.text, draft.thread_id))
    if draft.html is not None or draft.cc or draft.bcc or draft.attachments:
        # only then, so that what was approved before there was more than text stays approved
        files = [(each.name, each.content_type, each.sha) for each in draft.attachments]
        said += "\0" + json.dumps([draft.html, draft.cc, draft.bcc, files])
    more = [
        draft.also_to, dict(draft.names), draft.reply_to, dict(draft.headers), draft.in_reply_to, draft.forward_of,
        [each.content_id for each in draft.attachments if each.content_id],
    ]  # fmt: skip
    if draft.goes_into is not None:
        more.append(draft.goes_into)
    if any(more):
        said += "\0" + json.dumps(more, sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()
