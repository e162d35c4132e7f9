"""How much may leave an inbox on a day, by the sequences that speak from it now. Reads only."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from dashboard.days import Day
from engine.addresses import contact
from engine.enroll import senders
from engine.errors import Refused
from engine.limits import mailbox_rates, sequence_zone
from engine.sequence import Sequence as Spoken
from engine.store import Ledger


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What one sequence says of its inboxes."""

    sequence: str
    says: str  #: `50/day`, and how it begins
    zone: str  #: whose midnight ends a day


@dataclass(frozen=True, slots=True)
class Caps:
    """By inbox, a number for each day; None: nothing counts by the day."""

    by_inbox: Mapping[str, tuple[int | None, ...]]
    rules: tuple[Rule, ...]


def caps(
    inboxes: Collection[str], days: Sequence[Day], *, pools: Mapping[str, tuple[str, ...]], ledger: Ledger
) -> Caps:
    """Letters of every sequence count; so the one that allows most says when nothing leaves any more."""
    speaking = [(each, _senders(each, pools)) for each in _speaking(ledger)]
    found = {}
    for inbox in inboxes:
        theirs = [sequence for sequence, addresses in speaking if inbox in addresses]
        began = ledger.diaries.first(inbox) if any(each.limits.ramp for each in theirs) else None
        found[inbox] = tuple(
            max((cap for each in theirs if (cap := _cap(each, began, day)) is not None), default=None)
            for day in days
        )
    rules = tuple(_rule(each) for each, addresses in speaking if not addresses.isdisjoint(inboxes))
    return Caps(found, rules)


def _speaking(ledger: Ledger) -> Iterator[Spoken]:
    """As they were kept last. What a newer Relent has kept cannot be read, and is left out."""
    for name in ledger.agenda.speaking():
        version = ledger.past.newest_version(name)
        try:
            if version is not None:
                yield ledger.enrollments.version(version)
        except ValueError:
            continue


def _senders(sequence: Spoken, pools: Mapping[str, tuple[str, ...]]) -> frozenset[str]:
    try:
        return frozenset(map(contact, senders(sequence, pools)))
    except Refused:
        return frozenset()


def _cap(sequence: Spoken, began: datetime | None, day: Day) -> int | None:
    noon = day.begin + (day.end - day.begin) / 2
    rates = mailbox_rates(sequence.limits, began, noon, sequence_zone(sequence))
    return min((rate.number for _, rate in rates if rate.period == "day"), default=None)


def _rule(sequence: Spoken) -> Rule:
    limits = sequence.limits
    says = f"{limits.per_mailbox}" + (f", {limits.ramp}" if limits.ramp else "")
    return Rule(sequence=sequence.name, says=says, zone=sequence_zone(sequence))
