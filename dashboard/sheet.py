"""A letter as a reviewer has it before them: as its reader will see it, and around it everything that helps to decide."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from dashboard.frame import Asked
from dashboard.tricks import tricks
from engine.addresses import contact
from engine.consent import THE_SEQUENCE
from engine.differences import Piece, differences
from engine.evidence import Evidence
from engine.model import Draft, Message
from engine.states import REWORDABLE, DraftState, HoldReason, StopReason

#: So many signs of a letter are shown at first; of those before it fewer.
LONGEST, _LONGEST_SAID, _LONGEST_LINE, _LONGEST_NAME = 20_000, 3_000, 1_000, 200
_OPEN, _MOST_SAID = 2, 20
_MOST_VARIABLES, _LONGEST_VALUE = 40, 300
_MOST_REVIEWS = 8

_SAID_BETTER = ("the domain of ", "it has signs that cannot be seen")

#: Why it waits, as people say it.
WAITS: dict[str, str] = {
    HoldReason.APPROVAL: "The sequence wants a yes before it goes.",
    HoldReason.CHANGED: "It is not what somebody said yes to any more.",
    HoldReason.LATE: "Its hour passed too long ago.",
    HoldReason.ANSWERED: "Somebody has written in this conversation since it was written.",
    HoldReason.RESTORED: "The database was restored or copied: it may have left already.",
    HoldReason.UNVERIFIED: "An answer came that the mail provider does not vouch for. If it is real, stop.",
    HoldReason.EXPIRED: "Nobody said yes in time.",
    HoldReason.INBOX_PAUSED: "Its inbox is paused: it goes when the inbox is open again.",
    HoldReason.OUT_OF_OFFICE: "Its reader is away.",
    HoldReason.REJECTED: "Somebody said no to it.",
}


#: Why it will never leave.
ENDED: dict[str, str] = {
    StopReason.REPLIED: "They answered.",
    StopReason.BOUNCED: "They could not be reached: the mail came back.",
    StopReason.COMPLAINED: "They called it spam.",
    StopReason.UNSUBSCRIBED: "They unsubscribed.",
    StopReason.SUPPRESSED: "They are never to be written to.",
    StopReason.MEETING: "They booked a meeting.",
    StopReason.BY_HAND: "Somebody here stopped it.",
}


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody in the head of a letter."""

    address: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """Who writes to whom."""

    sender: Person
    to: tuple[Person, ...]
    cc: tuple[Person, ...]
    bcc: tuple[Person, ...]
    reply_to: tuple[Person, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A letter before it."""

    message: Message
    text: str
    cut: bool

    @property
    def ours(self) -> bool:
        return self.message.direction == "sent"


@dataclass(frozen=True, slots=True)
class Known:
    """One thing that is known of its reader."""

    name: str
    value: str
    cut: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class May:
    """What whoever looks may do with it."""

    approve: bool
    edit: bool
    reject: bool
    send_now: bool
    reschedule: bool
    withdraw: bool
    submit: bool

    @property
    def anything(self) -> bool:
        return self.approve or self.edit or self.reject or self.withdraw or self.submit


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """What lies before a reviewer."""

    evidence: Evidence
    head: Head
    subject: tuple[Piece, ...]
    text: tuple[Piece, ...]
    hidden: int  #: so many signs of the text are not shown
    earlier: tuple[Said, ...]
    latest: tuple[Said, ...]
    unshown: bool  #: there is more in the conversation
    variables: tuple[Known, ...]
    warnings: tuple[str, ...]
    waits: str | None
    may: May
    as_the_file_says: bool  #: False: the file has other words by now, and nobody here has changed these
    not_named: bool  #: the sequence names others who may say yes
    first_letter: bool

    @property
    def draft(self) -> Draft:
        return self.evidence.draft

    @property
    def who(self) -> str:
        """Its reader, as short as can be."""
        first = next(iter(self.head.to), None)
        return (first.name or first.address) if first else "nobody yet"

    @property
    def by_itself(self) -> bool:
        """Its step asks no human."""
        return self.draft.approved_by == THE_SEQUENCE

    @property
    def answers(self) -> str | None:
        """The message that it answers, if that is none of those beside it."""
        named = self.draft.in_reply_to
        beside = {each.message.message_id for each in (*self.earlier, *self.latest)}
        return named if named not in beside else None

    @property
    def oddities(self) -> tuple[str, ...]:
        """Without what the warnings say more exactly."""
        if not self.warnings:
            return self.draft.oddities
        return tuple(each for each in self.draft.oddities if not each.startswith(_SAID_BETTER))

    @property
    def ended(self) -> str | None:
        """Why it was cancelled; None: it was not, or nobody said why."""
        if self.draft.state != DraftState.CANCELLED or not self.draft.outcome:
            return None
        return ENDED.get(self.draft.outcome, self.draft.outcome)

    @property
    def compared(self) -> bool:
        """Is there anything to tell apart?"""
        return any(piece.kind != "said" for piece in (*self.subject, *self.text))

    @property
    def changed(self) -> bool:
        return any(piece.kind in ("changed", "removed") for piece in (*self.subject, *self.text))


def sheet(evidence: Evidence, asked: Asked, *, everything: bool = False) -> Sheet:
    """`everything`: of the text, however long it is."""
    draft = evidence.draft
    head = _head(evidence)
    named = _is_named(evidence, asked)
    by_hand = any(each.verdict == "edited" for each in evidence.reviews)
    as_the_file_says = by_hand or evidence.planned in (None, draft.text)
    template = evidence.template if as_the_file_says else None
    compared = differences(template, evidence.planned if by_hand else None, draft.text)
    text = compared if everything else tuple(_cut(compared, LONGEST))
    said = [_said(each) for each in evidence.thread[-_MOST_SAID:]]
    people = [*head.reply_to, head.sender, *head.to, *head.cc, *head.bcc]
    return Sheet(
        evidence=evidence,
        head=head,
        subject=tuple(_cut(differences(evidence.template_subject, None, draft.subject), _LONGEST_LINE)),
        text=text,
        hidden=_length(compared) - _length(text),
        earlier=tuple(said[:-_OPEN]),
        latest=tuple(said[-_OPEN:]),
        unshown=len(evidence.thread) > _MOST_SAID,
        variables=tuple(_variables(evidence)),
        warnings=tricks({each.address: each.name for each in people}, subject=draft.subject, text=draft.text),
        waits=WAITS.get(draft.outcome or "") if draft.state == DraftState.HELD else None,
        may=_may(evidence, asked, named=named),
        not_named=not named,
        as_the_file_says=as_the_file_says,
        first_letter=evidence.head == 0,
    )


def _head(evidence: Evidence) -> Head:
    draft = evidence.draft
    names = {contact(address): str(name) for address, name in draft.names.items()}  # as it goes on the wire

    def named(addresses: Iterable[str]) -> tuple[Person, ...]:
        return tuple(
            Person(each[:_LONGEST_LINE], names.get(contact(each), "")[:_LONGEST_NAME])
            for each in addresses
            if each
        )

    return Head(
        sender=Person(draft.inbox_id, evidence.sender_name[:_LONGEST_NAME]),
        to=named((draft.to, *draft.also_to)),
        cc=named(draft.cc),
        bcc=named(draft.bcc),
        reply_to=named(draft.reply_to),
    )


def _is_named(evidence: Evidence, asked: Asked) -> bool:
    """May they say yes at all? Nobody is named: everybody may who reviews."""
    may = {name.lower() for name in evidence.may_say_yes}
    return not may or bool(may & asked.reviewer.names)


def _may(evidence: Evidence, asked: Asked, *, named: bool) -> May:
    draft = evidence.draft
    if not asked.may("reviewer"):
        return May(**dict.fromkeys(May.__dataclass_fields__, False))
    refused = draft.state == DraftState.HELD and draft.outcome == HoldReason.REJECTED
    held, scheduled = draft.state == DraftState.HELD and not refused, draft.state == DraftState.SCHEDULED
    return May(
        approve=named and (held or draft.state == DraftState.FAILED),
        edit=draft.state in REWORDABLE,
        reject=draft.state in REWORDABLE and not refused,
        send_now=named and (held or scheduled),
        reschedule=named and (held or scheduled),
        withdraw=scheduled,
        submit=draft.state == DraftState.WRITTEN,
    )


def _said(message: Message) -> Said:
    text = message.text.strip()
    return Said(message=message, text=text[:_LONGEST_SAID], cut=len(text) > _LONGEST_SAID)


def _variables(evidence: Evidence) -> Iterator[Known]:
    for name, value in sorted(evidence.variables.items())[:_MOST_VARIABLES]:
        said = str(value)
        yield Known(name[:_LONGEST_VALUE], said[:_LONGEST_VALUE], len(said) > _LONGEST_VALUE)


def _cut(pieces: Iterable[Piece], most: int) -> Iterator[Piece]:
    left = most
    for piece in pieces:
        if left <= 0:
            return
        yield replace(piece, text=piece.text[:left])
        left -= len(piece.text)


def _length(pieces: Iterable[Piece]) -> int:
    return sum(len(piece.text) for piece in pieces)
