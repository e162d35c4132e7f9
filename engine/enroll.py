"""Story: a prospect enters a sequence."""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass

from engine.addresses import contact, valid_address
from engine.advance import advance
from engine.errors import Refused
from engine.ids import new_id
from engine.model import Enrollment, Prospect, Thread
from engine.plan import lacking, rehearse, zone_of
from engine.sequence import Sequence
from engine.states import EnrollmentState
from engine.store import Ledger

_LONGEST_VALUE = 10_000


@dataclass(frozen=True, slots=True)
class Enrolled:
    """The first letter is a draft."""

    enrollment_id: str


@dataclass(frozen=True, slots=True)
class AlreadyIn:
    """Nothing was done: this person is in this sequence, or was."""

    enrollment_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Waits:
    """Enrolled, and not written to before what is missing comes."""

    enrollment_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class NotWanted:
    """This address is never to be written to."""

    reason: str


Enrolment = Enrolled | AlreadyIn | Waits | NotWanted


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """Looked at from all sides, without a database: somebody who can be enrolled."""

    email: str
    variables: Mapping[str, str]
    sequence: Sequence
    missing: str | None


def prepare(prospect: Prospect, sequence: Sequence) -> Ready:
    """Every letter is said once, to nobody. Raises Refused, in words, for whom one cannot be written."""
    email = valid_address(prospect.email)
    _check(prospect.variables, sequence, email)
    missing = lacking(sequence, prospect.variables)
    if not missing:
        rehearse(sequence, email, prospect.variables)
    return Ready(email=email, variables=prospect.variables, sequence=sequence, missing=missing)


def enroll(ready: Ready, *, ledger: Ledger) -> Enrolment:
    """Idempotent: a list may be handed in twice."""
    if why := ledger.inbound.suppressed(ready.email):
        return NotWanted(why)
    known = ledger.enrollments.of(ready.sequence.name, contact(ready.email))
    if known is None:
        return _enter(ready, ledger)
    if known.state == EnrollmentState.PAUSED:
        lacked = lacking(ledger.enrollments.version(known.version), known.variables)
        if known.reason == lacked and not ready.missing:
            return _go_on(known, ready, ledger)
        return Waits(known.id, known.reason or known.state)  # a human paused it, or only a human may judge
    return AlreadyIn(known.id, known.reason or known.state)


def _enter(ready: Ready, ledger: Ledger) -> Enrolment:
    email, sequence, missing = ready.email, ready.sequence, ready.missing
    enrollment = Enrollment(
        id=new_id("enr", ledger.now),
        sequence=sequence.name,
        version=sequence.version,
        inbox_id=contact(sequence.sender),
        email=email,
        contact=contact(email),
        variables=dict(ready.variables),
        state=EnrollmentState.PAUSED if missing else EnrollmentState.ACTIVE,
        reason=missing,
        thread_id=new_id("thr", ledger.now),
        created_at=ledger.now,
    )
    ledger.enrollments.keep_version(sequence)
    ledger.threads.open_inbox(enrollment.inbox_id)
    if not ledger.enrollments.add(enrollment):
        return AlreadyIn("", "enrolled at this very moment")
    ledger.threads.add(
        Thread(
            id=enrollment.thread_id,
            inbox_id=enrollment.inbox_id,
            contact=enrollment.contact,
            subject="",  # its first letter will give it one
            enrollment_id=enrollment.id,
        )
    )
    if missing:
        return Waits(enrollment.id, missing)
    advance(enrollment, ledger)
    return Enrolled(enrollment.id)


def _go_on(known: Enrollment, ready: Ready, ledger: Ledger) -> Enrolment:
    """Somebody handed in what was missing."""
    ledger.threads.lock([known.thread_id])
    current = ledger.enrollments.lock(known.id)
    if (current.state, current.reason) != (known.state, known.reason):  # it now waits for something else
        return AlreadyIn(known.id, current.reason or current.state)
    ledger.enrollments.keep_version(ready.sequence)
    ledger.enrollments.resume(known, variables=ready.variables, version=ready.sequence.version)
    advance(ledger.enrollments.lock(known.id), ledger)
    return Enrolled(known.id)


def _check(variables: Mapping[str, str], sequence: Sequence, email: str) -> None:
    """What would break a letter days from now is refused today, by name."""
    if contact(email) == contact(sequence.sender):
        raise Refused(f"{email} is the sender of this sequence")
    for name, value in variables.items():
        if len(value) > _LONGEST_VALUE:
            raise Refused(f"{name} is {len(value):,} characters long")
        if any(unicodedata.category(letter) in {"Cc", "Cs"} and letter not in "\n\r\t" for letter in value):
            raise Refused(f"{name} has a control character in it")
    try:
        zone_of(sequence, variables)
    except ValueError as error:
        raise Refused(f"timezone: {error}") from error
