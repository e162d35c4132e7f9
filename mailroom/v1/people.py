"""Who is written to: enrolled, listed, stopped, and why they get nothing just now."""

from collections.abc import Iterator, Mapping
from typing import cast

from engine.brake import stop_enrollment
from engine.enroll import (
    AlreadyIn,
    Enrolled,
    Enrolment,
    NotWanted,
    Ready,
    Skipped,
    Waits,
    enroll_all,
    prepare,
)
from engine.errors import Busy, NotFound, Refused, SequenceError
from engine.model import Prospect
from engine.sequence import Sequence
from engine.store import Ledger, pauses
from engine.store.overview import WhichPeople
from engine.why import Why
from engine.why import why as why_somebody
from mailroom.api.frame import Asked, Endpoint, OnFile, reading
from mailroom.v1 import forms, wire
from mailroom.v1.scope import enrollment_of, is_theirs, place
from mailroom.v1.sequences import wanted

_AT_ONCE = 200  #: people in one transaction, as `relent enroll` does it

# --- in ---


def enroll(asked: Asked) -> wire.V1Enrolled:
    """Letters are rehearsed outside the transaction: a webhook must not wait for that."""
    body: forms.V1Enroll = asked.body
    here = wanted(asked, body.sequence, body.version)
    told: dict[str, list[wire.V1Entrant]] = {
        kind: [] for kind in ("enrolled", "already", "held", "skipped", "suppressed", "refused")
    }
    files = _files(here)
    with asked.desk.store.transaction(asked.now, asked.caller.key_id) as ledger:
        ledger.drafts.keep_files(files)
    people = [Prospect(email=each.email, variables=each.variables) for each in body.people]
    for some in _some(people):
        for kind, entrant in _enter(some, here.sequence, asked):
            told[kind].append(entrant)
    shown = {"sequence": here.sequence.name, "version": here.sequence.version, **told}
    return cast("wire.V1Enrolled", shown)


def _files(here: OnFile) -> Mapping[str, bytes]:
    try:
        return here.files()
    except SequenceError as error:  # somebody is writing one of them
        raise Busy(str(error)) from error


def _some(people: list[Prospect]) -> Iterator[list[Prospect]]:
    yield from (people[first : first + _AT_ONCE] for first in range(0, len(people), _AT_ONCE))


def _enter(people: list[Prospect], sequence: Sequence, asked: Asked) -> Iterator[tuple[str, wire.V1Entrant]]:
    looked_at = [(each, _look_at(each, sequence)) for each in people]
    ready = [found for _, found in looked_at if isinstance(found, Ready)]
    told = iter(
        asked.desk.store.insist(
            lambda ledger: enroll_all(ready, ledger=ledger, pools=asked.desk.pools),
            now=asked.desk.clock.now,
            by=asked.caller.key_id,
            pauses=pauses(),
        )
    )
    for person, found in looked_at:
        if isinstance(found, Ready):
            yield _tell(person.email, next(told))
        else:
            yield "refused", {"email": person.email, "enrollment_id": None, "reason": found}


def _look_at(person: Prospect, sequence: Sequence) -> Ready | str:
    try:
        return prepare(person, sequence)
    except Refused as error:
        return str(error)


def _tell(email: str, outcome: Enrolment) -> tuple[str, wire.V1Entrant]:
    match outcome:
        case Enrolled(enrollment_id):
            return "enrolled", {"email": email, "enrollment_id": enrollment_id, "reason": None}
        case AlreadyIn(enrollment_id, reason):
            return "already", {"email": email, "enrollment_id": enrollment_id or None, "reason": reason}
        case Waits(enrollment_id, reason):
            return "held", {"email": email, "enrollment_id": enrollment_id, "reason": reason}
        case Skipped(reason):
            return "skipped", {"email": email, "enrollment_id": None, "reason": reason}
        case NotWanted(reason):
            return "suppressed", {"email": email, "enrollment_id": None, "reason": reason}


# --- looked at ---


def page(asked: Asked) -> wire.V1Enrollments:
    query: forms.V1PeopleFilter = asked.query
    which = WhichPeople(place=place(asked), sequence=query.sequence, email=query.email, state=query.state)
    with reading(asked) as ledger:
        found = ledger.overview.people(which, asked.part())
        pending = ledger.drafts.of_all([each.enrollment.id for each in found.items])
        return asked.listed(
            wire.V1Enrollments,
            found,
            lambda life: wire.enrollment(life, pending.get(life.enrollment.id)),
        )


def get(asked: Asked) -> wire.V1Enrollment:
    with reading(asked) as ledger:
        return _shown(asked, ledger)


def _shown(asked: Asked, ledger: Ledger) -> wire.V1Enrollment:
    one = enrollment_of(asked, ledger)
    life = next(each for each in ledger.enrollments.lives(one.contact) if each.enrollment.id == one.id)
    return wire.enrollment(life, ledger.drafts.of(one.id))


# --- and why ---


def why_one(asked: Asked) -> wire.V1Standing:
    with reading(asked) as ledger:
        one = enrollment_of(asked, ledger)
    told = why_somebody(one.email, store=asked.desk.store, clock=asked.desk.clock)
    here = next((each for each in told.standings if each.sequence == one.sequence), None)
    if here is None or here.enrollment_id != one.id:
        later = f" They came into it again: {here.enrollment_id}." if here else ""
        raise NotFound(f"{one.id} is over.{later}")
    return wire.standing(here)


def why(asked: Asked) -> wire.V1Why:
    query: forms.V1Whom = asked.query
    told = why_somebody(query.email, store=asked.desk.store, clock=asked.desk.clock)
    return wire.why(told if asked.caller.scope == "organization" else _of_theirs(told, asked))


def _of_theirs(told: Why, asked: Asked) -> Why:
    """Where an inbox of the caller's writes to them. Of who writes to nobody else knows nothing. Raises NotFound."""
    with reading(asked) as ledger:
        lives = ledger.enrollments.some([each.enrollment_id for each in told.standings])
        inboxes = {name: life.inbox_id for name, life in lives.items()}
        standings = tuple(
            each for each in told.standings if is_theirs(asked, inboxes[each.enrollment_id], ledger)
        )
    if not standings:
        raise NotFound(f"nobody here has ever written to {told.email}, and nobody forbade it")
    return Why(
        email=told.email,
        suppressed=told.suppressed,
        suppressed_since=told.suppressed_since,
        standings=standings,
    )


# --- out ---


def stop(asked: Asked) -> wire.V1Receipt:
    with reading(asked) as ledger:
        one = enrollment_of(asked, ledger)
    receipt = stop_enrollment(one.id, by=asked.caller.key_id, store=asked.desk.store, clock=asked.desk.clock)
    return wire.receipt(receipt)


_ONE = "/v1/enrollments/{enrollment_id}"

ENDPOINTS = (
    Endpoint(
        method="POST",
        path="/v1/enrollments",
        handler=enroll,
        name="v1_enrollments.create",
        summary="People enter a sequence. Harmless to repeat; the answer says what became of each.",
        needs="draft_send",
        body=forms.V1Enroll,
        answers=wire.V1Enrolled,
        errors=(404, 409, 422),
    ),
    Endpoint(
        method="GET",
        path="/v1/enrollments",
        handler=page,
        name="v1_enrollments.list",
        summary="Who stands where, whoever was enrolled last first.",
        needs="draft_read",
        query=forms.V1PeopleFilter,
        answers=wire.V1Enrollments,
    ),
    Endpoint(
        method="GET",
        path=_ONE,
        handler=get,
        name="v1_enrollments.get",
        summary="One person in one sequence.",
        needs="draft_read",
        answers=wire.V1Enrollment,
    ),
    Endpoint(
        method="GET",
        path=f"{_ONE}/why",
        handler=why_one,
        name="v1_enrollments.why",
        summary="Why they get nothing just now, and the smallest change that would help.",
        needs="draft_read",
        answers=wire.V1Standing,
    ),
    Endpoint(
        method="POST",
        path=f"{_ONE}/stop",
        handler=stop,
        name="v1_enrollments.stop",
        summary="Nothing more to them in this sequence.",
        needs="draft_update",
        body=forms.V1Nothing,
        bare=True,
        answers=wire.V1Receipt,
    ),
    Endpoint(
        method="GET",
        path="/v1/why",
        handler=why,
        name="v1_enrollments.why_email",
        summary="The same for a person, wherever they are.",
        needs="draft_read",
        query=forms.V1Whom,
        answers=wire.V1Why,
        errors=(404,),
    ),
)
