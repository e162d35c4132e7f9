"""Sequence + enrollment + history + now -> the next draft, or why there is none. Pure."""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from engine.errors import Refused
from engine.hours import add, next_open
from engine.model import Enrollment
from engine.render import gaps, render
from engine.sequence import Sequence, Step, parse_zone
from engine.states import EnrollmentState


@dataclass(frozen=True, slots=True)
class Said:
    """A step that has left, and when it really did."""

    step: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """The next letter."""

    step: str
    subject: str | None  #: None: the same thread goes on
    text: str
    send_at: datetime
    reason: str  #: why then


@dataclass(frozen=True, slots=True)
class NothingLeft:
    """Every step was said."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """No letter can be planned, and this is what it waits for."""

    reason: str


def plan(
    sequence: Sequence, enrollment: Enrollment, history: tuple[Said, ...], now: datetime
) -> Planned | NothingLeft | Waiting:
    if enrollment.state != EnrollmentState.ACTIVE:
        return Waiting(enrollment.reason or enrollment.state)
    said = {entry.step for entry in history}
    step = next((step for step in sequence.steps if step.id not in said), None)
    if step is None:
        return NothingLeft()
    if missing := lacking(sequence, enrollment.variables):
        return Waiting(missing)
    subject, text = _words(step, variables_for(sequence, enrollment.email, enrollment.variables))
    send_at, reason = _hour(sequence, step, enrollment, history, now)
    return Planned(step=step.id, subject=subject, text=text, send_at=send_at, reason=reason)


def lacking(sequence: Sequence, variables: Mapping[str, str]) -> str | None:
    """What is missing before anybody is written to: `company is missing`. Every step is looked at, not the first only."""
    needed = list(sequence.requires)
    for step in sequence.steps:
        needed += [*gaps(step.subject or ""), *gaps(step.body)]
    known = variables_for(sequence, "somebody", variables)
    missing = [name for name in dict.fromkeys(needed) if not known.get(name, "").strip()]
    if not missing:
        return None
    return f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing"


def rehearse(sequence: Sequence, email: str, variables: Mapping[str, str]) -> None:
    """Say every step once, to nobody. Raises Refused when one of them cannot be said."""
    known = variables_for(sequence, email, variables)
    for step in sequence.steps:
        try:
            _words(step, known)
        except Refused as error:
            raise Refused(f"{step.id}: {error}") from error


def variables_for(sequence: Sequence, email: str, variables: Mapping[str, str]) -> dict[str, str]:
    """What a template sees: the person's own words, else the sequence's defaults. An empty cell says nothing."""
    given = {name: value for name, value in variables.items() if value.strip()}
    return {**sequence.defaults, **given, "email": email}


def zone_of(sequence: Sequence, variables: Mapping[str, str]) -> ZoneInfo:
    if sequence.schedule is None:
        return ZoneInfo("UTC")
    if sequence.schedule.timezone != "recipient":
        return ZoneInfo(sequence.schedule.timezone)
    own = variables_for(sequence, "", variables).get("timezone", "").strip()
    return ZoneInfo(parse_zone(own) if own else sequence.schedule.fallback_timezone)


def _words(step: Step, variables: Mapping[str, str]) -> tuple[str | None, str]:
    text = render(step.body, variables).strip()
    if not text:
        raise Refused("the text is empty")
    return (None if step.subject is None else _one_line(render(step.subject, variables))), text + "\n"


def _one_line(subject: str) -> str:
    """A header is one line; a control character in it is somebody's attempt to write another header."""
    subject = subject.strip()
    if not subject:
        raise Refused("the subject is empty")
    if any(unicodedata.category(letter) in {"Cc", "Zl", "Zp"} for letter in subject):
        raise Refused("the subject has a line break or a control character in it")
    return subject


def _hour(
    sequence: Sequence, step: Step, enrollment: Enrollment, history: tuple[Said, ...], now: datetime
) -> tuple[datetime, str]:
    zone = zone_of(sequence, enrollment.variables)
    if history:
        since, whose = history[-1].at, history[-1].step
    else:
        since, whose = enrollment.created_at, "enrolment"
    due = add(step.after, since, zone)
    opening = next_open(max(due, now), sequence.schedule, zone)
    if opening.reason:
        return opening.at, opening.reason
    if due < now and history:
        return opening.at, f"{step.after} after {whose} has passed already"
    return opening.at, f"{step.after} after {whose}" if step.after.amount else f"right after {whose}"
