"""Story: a human says stop, for one person, or for good."""

from collections.abc import Iterable
from dataclasses import dataclass

from engine.addresses import contact, domain, valid_address
from engine.errors import NotFound, Refused
from engine.seams import Clock
from engine.sequence import Sequence
from engine.states import StopReason
from engine.store import CalledBack, Ledger, Reach, Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What the brake did: what was stopped and cancelled, and what was already leaving."""

    people: int
    drafts: int
    already_leaving: int


def stop(email: str, *, by: str, store: Store, clock: Clock) -> Receipt:
    """Nothing more to this person, in any sequence that runs now."""
    person = contact(email)
    with store.transaction(clock.now(), by) as ledger:
        if not ledger.threads.of_people([person], ()):
            raise NotFound(f"nobody here writes to {email}")
        return _receipt(ledger.call_back(Reach(threads=(), contacts=frozenset({person})), StopReason.BY_HAND))


def suppress(whom: str, *, why: str, by: str, store: Store, clock: Clock) -> Receipt:
    """Never again, from any inbox here: an address, or everybody at a domain."""
    key = contact(whom).removeprefix("@")
    key = contact(valid_address(key)) if "@" in key else _domain(key, whom)
    with store.transaction(clock.now(), by) as ledger:
        ledger.inbound.suppress(key, why)
        people = frozenset(ledger.enrollments.living_at(key))
        return _receipt(ledger.call_back(Reach(threads=(), contacts=people), StopReason.SUPPRESSED))


def pause_what_fails(lives: Iterable[str], ledger: Ledger) -> None:
    """A sequence that bounces, or is called spam, too often pauses itself and says so."""
    for version in {ledger.enrollments.get(each).version for each in lives}:
        sequence = ledger.enrollments.version(version)
        if why := _fails(sequence, ledger):
            ledger.enrollments.pause_sequence(sequence.name, why)


def _fails(sequence: Sequence, ledger: Ledger) -> str | None:
    rule, sent = sequence.pause_if, ledger.enrollments.letters(sequence.name)
    if sent < rule.min_sent:
        return None
    for name, reason, most in (
        ("bounce_rate", StopReason.BOUNCED, rule.bounce_rate),
        ("complaint_rate", StopReason.COMPLAINED, rule.complaint_rate),
    ):
        number = ledger.enrollments.failures(sequence.name, reason)
        if number / sent > most:
            return f"{name}: {number} of {sent:,} letters, more than {most:.1%}"
    return None


def _domain(key: str, whom: str) -> str:
    try:
        return domain(valid_address(f"somebody@{key}"))
    except Refused:
        raise Refused(f'"{whom}" is neither an address nor a domain') from None


def _receipt(called_back: CalledBack) -> Receipt:
    return Receipt(
        people=len(called_back.enrollments),
        drafts=len(called_back.drafts),
        already_leaving=len(called_back.in_the_air),
    )
