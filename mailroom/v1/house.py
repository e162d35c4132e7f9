"""The brake and its release, who is never written to, what happened elsewhere, and the log."""

from collections.abc import Iterable

from engine import brake, resume, safe
from engine.addresses import contact
from engine.brake import Receipt
from engine.errors import NotFound
from engine.happen import happen
from engine.ids import new_id
from engine.resume import Resumed
from engine.store.overview import WhichLines
from mailroom.api.frame import Asked, Endpoint, reading
from mailroom.forms import Paged
from mailroom.v1 import forms, wire
from mailroom.v1.scope import is_theirs, place, whole_house

# --- the brake ---


def stop(asked: Asked) -> wire.V1Receipt:
    body: forms.V1Stop = asked.body
    desk, by = asked.desk, asked.caller.key_id
    deadline = desk.pace.gate_deadline
    if body.all:
        whole_house(asked, "draft_send")
        told = brake.stop_everything(by=by, store=desk.store, clock=desk.clock, gate_deadline=deadline)
    elif body.sequence is not None:
        whole_house(asked)
        told = brake.stop_sequence(
            body.sequence, by=by, store=desk.store, clock=desk.clock, gate_deadline=deadline
        )
    elif asked.caller.scope == "organization":
        told = brake.stop(body.email or "", by=by, store=desk.store, clock=desk.clock)
    else:
        told = _stop_theirs(asked, body.email or "")
    return wire.receipt(told)


def _stop_theirs(asked: Asked, email: str) -> Receipt:
    """Wherever an inbox of the caller's writes to them. Raises NotFound when none ever did."""
    with reading(asked) as ledger:
        lives = [life.enrollment for life in ledger.enrollments.lives(contact(email))]
        theirs = [each.id for each in lives if is_theirs(asked, each.inbox_id, ledger)]
    if not theirs:
        raise NotFound(f"nobody here writes to {email}")
    desk = asked.desk
    told = [
        brake.stop_enrollment(each, by=asked.caller.key_id, store=desk.store, clock=desk.clock)
        for each in theirs
    ]
    return Receipt(
        held_at=told[-1].held_at,
        people=sum(each.people for each in told),
        drafts=sum(each.drafts for each in told),
        already_leaving=sum(each.already_leaving for each in told),
        left=sum(each.left for each in told),
    )


def go_on(asked: Asked) -> wire.V1Released:
    body: forms.V1Resume = asked.body
    desk, by = asked.desk, asked.caller.key_id
    if body.all:
        whole_house(asked)
        released = safe.resume(desk.witness, by=by, store=desk.store, clock=desk.clock)
        return {"resumed": 0, "people": [], "house": wire.house(released)}
    if body.sequence is not None:
        whole_house(asked)
        return _resumed(resume.resume_sequence(body.sequence, by=by, store=desk.store, clock=desk.clock))
    inboxes = _their_inboxes(asked, body.email or "")
    return _resumed(
        resume.resume(body.email or "", by=by, store=desk.store, clock=desk.clock, inboxes=inboxes)
    )


def _their_inboxes(asked: Asked, email: str) -> set[str] | None:
    """Those that have written to this person, and are the caller's; None: all are."""
    if asked.caller.scope == "organization":
        return None
    with reading(asked) as ledger:
        inboxes = {life.enrollment.inbox_id for life in ledger.enrollments.lives(contact(email))}
        return {each for each in inboxes if is_theirs(asked, each, ledger)}


def _resumed(some: Iterable[Resumed]) -> wire.V1Released:
    number = 0
    named: list[wire.V1Resumed] = []
    for each in some:
        number += 1
        if len(named) < forms.MOST_AT_ONCE:
            named.append(wire.resumed(each))
    return {"resumed": number, "people": named, "house": None}


# --- never again ---


def suppressions(asked: Asked) -> wire.V1Suppressions:
    whole_house(asked)
    with reading(asked) as ledger:
        found = ledger.overview.suppressed(asked.part())
    return asked.listed(wire.V1Suppressions, found, wire.suppression)


def suppress(asked: Asked) -> wire.V1SuppressionMade:
    whole_house(asked)
    body: forms.V1Suppress = asked.body
    desk = asked.desk
    receipt = brake.suppress(
        body.address, why=body.reason, by=asked.caller.key_id, store=desk.store, clock=desk.clock
    )
    with reading(asked) as ledger:
        made = ledger.overview.suppression_of(contact(body.address).removeprefix("@"))
    if made is None:
        raise NotFound(f"{body.address} is not there any more.")
    return {**wire.suppression(made), "receipt": wire.receipt(receipt)}


# --- elsewhere ---


def event(asked: Asked) -> wire.V1Noted:
    whole_house(asked)
    body: forms.V1Event = asked.body
    named = body.event_id or new_id("evt", asked.now)
    noted = happen(
        named,
        body.name,
        body.email,
        body.value,
        by=asked.caller.key_id,
        store=asked.desk.store,
        clock=asked.desk.clock,
    )
    return wire.noted(named, noted)


# --- the log ---


def log(asked: Asked) -> wire.V1Log:
    query: forms.V1Lines = asked.query
    which = WhichLines(place=place(asked), draft_id=query.draft_id, enrollment_id=query.enrollment_id)
    with reading(asked) as ledger:
        found = ledger.overview.lines(which, asked.part())
    return asked.listed(wire.V1Log, found, wire.line)


ENDPOINTS = (
    Endpoint(
        method="POST",
        path="/v1/stop",
        handler=stop,
        name="v1_brake.stop",
        summary="Nothing more to a person, in a sequence, or from the whole house; with a receipt.",
        needs="draft_update",
        body=forms.V1Stop,
        answers=wire.V1Receipt,
        errors=(404,),
    ),
    Endpoint(
        method="POST",
        path="/v1/resume",
        handler=go_on,
        name="v1_brake.resume",
        summary="They go on: what comes next is planned anew, nothing bursts out.",
        needs="draft_send",
        body=forms.V1Resume,
        answers=wire.V1Released,
        errors=(404,),
    ),
    Endpoint(
        method="GET",
        path="/v1/suppressions",
        handler=suppressions,
        name="v1_suppressions.list",
        summary="Who is never written to, by the alphabet.",
        needs="list_entry_read",
        query=Paged,
        answers=wire.V1Suppressions,
    ),
    Endpoint(
        method="POST",
        path="/v1/suppressions",
        handler=suppress,
        name="v1_suppressions.create",
        summary="Never again, from any inbox here. Nobody takes it back over the API.",
        needs="list_entry_create",
        body=forms.V1Suppress,
        answers=wire.V1SuppressionMade,
        errors=(409,),
    ),
    Endpoint(
        method="POST",
        path="/v1/events",
        handler=event,
        name="v1_events.create",
        summary="Something happened elsewhere: it may stop somebody, or end their wait.",
        needs="draft_update",
        body=forms.V1Event,
        answers=wire.V1Noted,
        errors=(409,),
    ),
    Endpoint(
        method="GET",
        path="/v1/audit",
        handler=log,
        name="v1_audit.list",
        summary="The log: who did what, when and why; the last first.",
        needs="draft_read",
        query=forms.V1Lines,
        answers=wire.V1Log,
    ),
)
