"""Story: a human says stop: for one person, for a sequence, for the whole house, or for good."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from difflib import get_close_matches
from time import monotonic, sleep

from engine.addresses import contact, domain, valid_address
from engine.errors import NotFound, Refused
from engine.seams import Clock
from engine.sequence import Sequence
from engine.states import StopReason
from engine.store import CalledBack, Ledger, Reach, Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What the brake did: whom it stopped, what it voided, and what was already leaving."""

    held_at: datetime
    people: int
    drafts: int  #: that would have left
    already_leaving: int  #: past the gate when the brake came
    left: int = 0  #: of these, whose fate is not known yet: they may still leave


#: Why somebody is paused whose whole sequence was stopped.
SEQUENCE_STOPPED = "relent stop --sequence"
#: How every reason begins for which a whole sequence pauses.
OF_A_SEQUENCE = (SEQUENCE_STOPPED, "bounce_rate: ", "complaint_rate: ")
_AT_ONCE = 500
_PATIENCE = 10.0
_LOOK_EVERY = 0.05


def stop(email: str, *, by: str, store: Store, clock: Clock) -> Receipt:
    """Nothing more to this person, in any sequence that runs now."""
    person = contact(email)
    with store.transaction(clock.now(), by) as ledger:
        if not ledger.threads.of_people([person], ()):
            raise NotFound(f"nobody here writes to {email}")
        called_back = ledger.call_back(Reach(threads=(), contacts=frozenset({person})), StopReason.BY_HAND)
        return _receipt(called_back, ledger.now)


def stop_enrollment(enrollment_id: str, *, by: str, store: Store, clock: Clock) -> Receipt:
    """The same in this one sequence; in others they go on."""
    with store.transaction(clock.now(), by) as ledger:
        if (life := ledger.enrollments.some([enrollment_id]).get(enrollment_id)) is None:
            raise NotFound(f"there is no enrollment {enrollment_id}")
        called_back = ledger.call_back(Reach(threads=(life.thread_id,)), StopReason.BY_HAND)
        return _receipt(called_back, ledger.now)


def stop_everything(*, by: str, store: Store, clock: Clock, gate_deadline: timedelta) -> Receipt:
    """Nothing leaves this house until somebody releases the brake. Nothing is cancelled either."""
    begun = monotonic()
    with store.transaction(clock.now(), by) as ledger:
        ledger.watch.brake(f"by hand: {by} stopped everything", firmly=not _is_doubted(ledger))
    with store.reading(clock.now()) as ledger:
        held_at, counted = clock.now(), ledger.views.could_leave()
        leaving = set(ledger.views.leaving())
    left = _wait_for(leaving, lambda: _leaving(None, store, clock), begun, gate_deadline)
    return Receipt(
        held_at=held_at,
        people=counted.people,
        drafts=counted.drafts,
        already_leaving=len(leaving),
        left=len(left),
    )


def stop_sequence(name: str, *, by: str, store: Store, clock: Clock, gate_deadline: timedelta) -> Receipt:
    """Everybody in it is paused, some of them at a time: each with their conversation locked, as an answer would do it."""
    begun, people, drafts = monotonic(), 0, 0
    with store.reading(clock.now()) as ledger:
        refuse_unknown(name, ledger.enrollments.sequences())
    while True:
        with store.transaction(clock.now(), by) as ledger:
            active = ledger.enrollments.active_in(name, at_most=_AT_ONCE)
            if not active:
                break
            ledger.threads.lock([each.thread_id for each in active])
            which = [each.id for each in active]
            ledger.enrollments.pause(which, SEQUENCE_STOPPED)
            people, drafts = people + len(which), drafts + ledger.drafts.number_waiting(which)
    held_at = clock.now()
    leaving = set(_leaving(name, store, clock))
    left = _wait_for(leaving, lambda: _leaving(name, store, clock), begun, gate_deadline)
    return Receipt(
        held_at=held_at, people=people, drafts=drafts, already_leaving=len(leaving), left=len(left)
    )


def _leaving(sequence: str | None, store: Store, clock: Clock) -> list[str]:
    with store.reading(clock.now()) as ledger:
        return ledger.views.leaving(sequence)


def _wait_for(
    seen: set[str], leaving: Callable[[], list[str]], begun: float, gate_deadline: timedelta
) -> set[str]:
    """A gate that was just opening when the brake came is open within its deadline, or never. `seen` gets what left by it."""
    while True:
        asked, now = monotonic(), set(leaving())
        seen |= now
        if asked - begun > gate_deadline.total_seconds() and not now:
            return now
        if asked - begun > gate_deadline.total_seconds() + _PATIENCE:
            return now
        sleep(_LOOK_EVERY)


def _is_doubted(ledger: Ledger) -> bool:
    """Then the brake is on for a better reason than a human's, and it stays."""
    return ledger.lineage.doubt() is not None


def refuse_unknown(name: str, known: Iterable[str]) -> None:
    """Raises NotFound, with the name that was perhaps meant."""
    names = sorted(known)
    if name not in names:
        close = get_close_matches(name, names, n=1)
        hint = f'Did you mean "{close[0]}"?' if close else f"There are: {', '.join(names) or 'none'}."
        raise NotFound(f'nobody is in a sequence called "{name}". {hint}')


def suppress(whom: str, *, why: str, by: str, store: Store, clock: Clock) -> Receipt:
    """Never again, from any inbox here: an address, or everybody at a domain."""
    key = contact(whom).removeprefix("@")
    key = contact(valid_address(key)) if "@" in key else _domain(key, whom)
    with store.transaction(clock.now(), by) as ledger:
        ledger.inbound.suppress(key, why)
        people = frozenset(ledger.enrollments.living_at(key))
        called_back = ledger.call_back(Reach(threads=(), contacts=people), StopReason.SUPPRESSED)
        return _receipt(called_back, ledger.now)


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


def _receipt(called_back: CalledBack, now: datetime) -> Receipt:
    return Receipt(
        held_at=now,
        people=len(called_back.enrollments),
        drafts=len(called_back.drafts),
        already_leaving=len(called_back.in_the_air),
        left=len(called_back.in_the_air),
    )
