"""Story: something happened elsewhere: a click, a meeting, a deal won. It may stop somebody, or end their wait."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from engine.addresses import contact, valid_address
from engine.advance import advance
from engine.companies import company
from engine.errors import Refused
from engine.model import Enrollment
from engine.plan import Errand, Waiting
from engine.seams import Clock
from engine.sequence import Stops
from engine.states import EnrollmentState, StopReason
from engine.store import CalledBack, Ledger, Reach, Store
from engine.verdict import MEETING, stop_scope

UNSUBSCRIBED = "unsubscribed"
_LONGEST = 200
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}", re.ASCII)
_CALL = re.compile(r"""([a-z][a-z0-9_]{0,63})\(\s*["']?([^"'()]*)["']?\s*\)""", re.ASCII)
#: What a sequence's `stop:` says about an event, and why a life ends by it. Any other event stops nobody.
_STOPS = {
    MEETING: (MEETING, StopReason.MEETING),
    UNSUBSCRIBED: ("unsubscribe", StopReason.UNSUBSCRIBED),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted:
    """What came of it."""

    new: bool  #: False: heard before
    people: int = 0  #: sequences that speak to this person; 0: nobody here does, and it is kept all the same
    stopped: int = 0
    went_on: int = 0
    suppressed: bool = False  #: never to be written to again


@dataclass(frozen=True, slots=True)
class _Stopping:
    """One life that ends by it, and the threads of everybody who is stopped with it."""

    life: Enrollment
    threads: tuple[str, ...]


def happen(
    event_id: str, name: str, email: str, value: str | None, *, by: str, store: Store, clock: Clock
) -> Noted:
    """Kept first, so that it counts also for a wait that has not begun. Raises Refused for what is no event."""
    person = contact(valid_address(email))
    _check(event_id, name, value)
    with store.transaction(clock.now(), by) as ledger:
        # The books know milliseconds: rounded up, it would lie ahead of us, and nobody's wait would end by it.
        at = ledger.now.replace(microsecond=ledger.now.microsecond // 1000 * 1000)
        if not ledger.past.happen(event_id, person, name, value, at):
            return Noted(new=False)
        lives = ledger.enrollments.living(person)
        stopping = [found for life in lives if (found := _stopping(life, name, ledger))]
        # All at once and in order: whoever locks one after the other may wait for somebody who waits for them.
        own = [each.id for each in ledger.threads.of_people([person], ())]
        ledger.threads.lock([*own, *(thread for each in stopping for thread in each.threads)])
        ended = _end(person, name, stopping, ledger)
        spoken = {each.life.id for each in stopping}
        went_on = [life for life in lives if life.id not in spoken and _go_on(life, ledger)]
        return Noted(
            new=True,
            people=len(lives),
            stopped=len(ended.stopped),
            went_on=len(went_on),
            suppressed=ended.suppressed,
        )


def _check(event_id: str, name: str, value: str | None) -> None:
    if not _NAME.fullmatch(name):
        raise Refused(f'"{name}" is no name of an event. {_right(name)}')
    for what, text in (("its id", event_id), ("its value", value or "")):
        if len(text) > _LONGEST or not text.isprintable():
            raise Refused(f"{what} is no line of at most {_LONGEST} letters")
    if not event_id:
        raise Refused("its id is empty")


def _right(name: str) -> str:
    """What they may have meant."""
    if found := _CALL.fullmatch(name.strip()):
        return f"Write: relent event {found[1]} --value {found[2].strip() or 'security-report'}"
    close = re.sub(r"[^a-z0-9]+", "_", name.strip().lower()).strip("_")
    return f"Write: relent event {close if _NAME.fullmatch(close) else 'meeting_booked'}"


# --- whom it stops ---


@dataclass(frozen=True, slots=True)
class _Ended:
    stopped: frozenset[str]
    suppressed: bool


def _scope(life: Enrollment, name: str, ledger: Ledger) -> str | None:
    if name not in _STOPS:
        return None
    return stop_scope(_STOPS[name][0], ledger.enrollments.version(life.version))


def _stopping(life: Enrollment, name: str, ledger: Ledger) -> _Stopping | None:
    scope = _scope(life, name, ledger)
    if scope is None:
        return None
    threads = [life.thread_id]
    if scope == "company" and (employer := company(life.contact)):
        everybody = ledger.enrollments.colleagues(employer)
        threads += [one.thread_id for one in everybody if one.sequence == life.sequence]
    return _Stopping(life, tuple(dict.fromkeys(threads)))


def _end(person: str, name: str, stopping: Iterable[_Stopping], ledger: Ledger) -> _Ended:
    stopped: set[str] = set()
    for each in stopping:
        stopped.update(_call_back(Reach(threads=each.threads), name, ledger).enrollments)
    suppressed = name == UNSUBSCRIBED and _is_for_good(person, ledger)
    if suppressed:
        ledger.inbound.suppress(person, UNSUBSCRIBED)
        everywhere = Reach(threads=(), contacts=frozenset({person}))
        stopped.update(_call_back(everywhere, name, ledger).enrollments)
    return _Ended(frozenset(stopped), suppressed)


def _call_back(reach: Reach, name: str, ledger: Ledger) -> CalledBack:
    return ledger.call_back(reach, _STOPS[name][1])


def _is_for_good(person: str, ledger: Ledger) -> bool:
    """If any sequence that ever spoke to them says so; and if none did: whoever wants no more is believed."""
    rules = [ledger.enrollments.version(version).stop for version in ledger.past.versions_of(person)]
    return any(rule.unsubscribe == "everywhere" for rule in rules or [Stops()])


# --- whose wait it ends ---


def _go_on(life: Enrollment, ledger: Ledger) -> bool:
    """Only who waits: what has its hour already keeps it."""
    found = ledger.enrollments.lock(life.id)
    if found.state != EnrollmentState.ACTIVE or ledger.drafts.of(found.id) is not None:
        return False
    match advance(found, ledger):
        case Waiting(until=until) | Errand(at=until) if until is not None:
            return until != found.wake_at
    return True
