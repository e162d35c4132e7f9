"""Sequence + enrollment + history + now -> what comes next, or why nothing does. Pure.

Preview, simulation, tests in a file and production are this one function with another clock and another diary.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from engine.addresses import contact, domain
from engine.companies import company
from engine.errors import Refused
from engine.hours import Absence, Calendar, Opening, calendar, country_of, parse_country
from engine.limits import Diary, Place, next_room
from engine.measures import Wait, parse_zone
from engine.model import Draft, Enrollment
from engine.render import holds
from engine.sequence import Sequence, Step
from engine.states import EnrollmentState, HoldReason
from engine.wording import Say, chosen, known_of, lacking, say_errand, word

NOT_DONE = " is not done"  #: how every reason ends that a task is waited for


@dataclass(frozen=True, slots=True)
class Said:
    """A mail that has left, and when it really did."""

    step: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Done:
    """A task that was given, a webhook that was called."""

    step: str
    at: datetime
    ended: datetime | None = None  #: when the task was done


@dataclass(frozen=True, slots=True)
class Happened:
    """Something that this person did, or that was done to them elsewhere."""

    name: str
    value: str | None
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What has been between us so far. Each in the order of time."""

    said: tuple[Said, ...] = ()
    done: tuple[Done, ...] = ()
    happened: tuple[Happened, ...] = ()
    absences: tuple[Absence, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """The next letter."""

    step: str
    subject: str | None  #: None: the same thread goes on
    text: str
    send_at: datetime
    reason: str  #: why then
    place: Place
    html: str | None = None
    variant: str | None = None
    cc: tuple[str, ...] = ()
    bcc: tuple[str, ...] = ()
    attachments: tuple[str, ...] = ()
    held: bool = False  #: a human must release it


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """The next thing to do that is no letter: give somebody a task, call a webhook."""

    step: str
    kind: str
    at: datetime
    says: Mapping[str, Any]
    due: datetime | None = None


@dataclass(frozen=True, slots=True)
class NothingLeft:
    """Every step was said."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """Nothing can be planned, and this is what it waits for; until then at most, if there is a then."""

    reason: str
    until: datetime | None = None


Plan = Planned | Errand | NothingLeft | Waiting


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Somebody who is written to, as far as it stays the same from the first letter to the last."""

    known: Mapping[str, Any]
    calendar: Calendar
    missing: str | None  #: what has to be known before the first letter


def reader_of(sequence: Sequence, email: str, variables: Mapping[str, str]) -> Reader:
    """Raises Refused when their zone or country is none."""
    return Reader(
        known=known_of(sequence, email, variables),
        calendar=calendar_of(sequence, variables),
        missing=lacking(sequence, variables),
    )


def plan(
    sequence: Sequence,
    enrollment: Enrollment,
    history: History,
    now: datetime,
    *,
    diary: Diary | None = None,
    winners: Mapping[str, str] | None = None,
    reader: Reader | None = None,
    say: Say = word,
) -> Plan:
    """`winners`: by step, the variant that everybody gets from now on. `reader`: whoever asks often keeps it."""
    if enrollment.state != EnrollmentState.ACTIVE:
        return Waiting(enrollment.reason or enrollment.state)
    reader = reader or reader_of(sequence, enrollment.email, enrollment.variables)
    if reader.missing:
        return Waiting(reader.missing)
    walk = _Walk(sequence=sequence, enrollment=enrollment, history=history, now=now, reader=reader)
    try:
        walk.through(sequence.steps, ())
    except _Next as found:
        return _what(found, walk, diary or Diary(), winners or {}, say)
    return NothingLeft()


def passed_over(
    sequence: Sequence, enrollment: Enrollment, history: History, now: datetime
) -> frozenset[str]:
    """The steps that stand before where this person is, and were never theirs: nobody goes back for them."""
    reader = reader_of(sequence, enrollment.email, enrollment.variables)
    walk = _Walk(sequence=sequence, enrollment=enrollment, history=history, now=now, reader=reader)
    with suppress(_Next):
        walk.through(sequence.steps, ())
    return frozenset(walk.passed)


def hour_of_a_yes(
    draft: Draft, sequence: Sequence, enrollment: Enrollment, history: History, now: datetime
) -> Opening:
    """When a letter that waits for a human leaves, if the human says yes now: at its hour, or as soon as it may.

    A yes on a Sunday is no Sunday's mail, and nobody is written to while they are known to be away: unless it is for
    just this that the letter is held. Then a human knows better, and it goes as if they were here.
    """
    why = None
    if draft.outcome == HoldReason.OUT_OF_OFFICE:
        at = _as_if_they_were_here(draft, sequence, enrollment, history, now)
    else:
        at, why = _not_while_away(max(draft.send_at, now), history.absences)
    if at == draft.send_at:
        return Opening(at, None)
    opens = calendar_of(sequence, enrollment.variables).next_open(at)
    return Opening(opens.at, opens.reason or why)


def _as_if_they_were_here(
    draft: Draft, sequence: Sequence, enrollment: Enrollment, history: History, now: datetime
) -> datetime:
    """Its own hour, had nobody said that they are away now; not one that has passed."""
    at = max(draft.send_at, now)
    if draft.held_until is None:  # a hold without an end has left it its hour
        return at
    before = tuple(away for away in history.absences if not away.since <= now < away.until)
    try:
        planned = plan(sequence, enrollment, replace(history, absences=before), now)
    except (Refused, ValueError, LookupError):
        return at
    if isinstance(planned, Planned) and planned.step == draft.step:
        return min(planned.send_at, at)
    return at


def not_done(step: str) -> str:
    """Why somebody waits whose next letter waits for a task."""
    return f"{step}{NOT_DONE}"


def calendar_of(sequence: Sequence, variables: Mapping[str, str]) -> Calendar:
    """This person's own hours. Raises Refused when their zone or country is none."""
    try:
        zone = zone_of(sequence, variables)
        return calendar(sequence.schedule, zone, _country_of(sequence, variables))
    except ValueError as error:
        raise Refused(str(error)) from error


def zone_of(sequence: Sequence, variables: Mapping[str, str]) -> str:
    schedule = sequence.schedule
    if schedule.timezone != "recipient":
        return schedule.timezone
    return _own_zone(sequence, variables) or schedule.fallback_timezone


def _own_zone(sequence: Sequence, variables: Mapping[str, str]) -> str | None:
    own = _own("timezone", sequence, variables)
    try:
        return parse_zone(own) if own else None
    except ValueError as error:
        raise Refused(f"timezone: {error}") from error


def _country_of(sequence: Sequence, variables: Mapping[str, str]) -> str | None:
    """Their own word for it; else where their own clock stands. The sender's zone is nobody's country."""
    if sequence.schedule.holidays != "recipient":
        return None
    if own := _own("country", sequence, variables):
        try:
            return parse_country(own)
        except ValueError as error:
            raise Refused(f"country: {error}") from error
    zone = _own_zone(sequence, variables)
    return country_of(zone) if zone else None


def _own(name: str, sequence: Sequence, variables: Mapping[str, str]) -> str:
    return variables.get(name, "").strip() or sequence.defaults.get(name, "").strip()


def place_of(enrollment: Enrollment, sequence: Sequence, step: str, *, opener: bool) -> Place:
    """Everything that a limit can count about this letter."""
    return Place(
        inbox=enrollment.inbox_id,
        company=company(enrollment.contact),
        domain=domain(enrollment.contact),
        opener=opener,
        seed=seed_of(sequence, enrollment.contact, step),
    )


def place_of_draft(draft: Draft, sequence: Sequence) -> Place:
    """The same about a letter that is written already."""
    return Place(
        inbox=draft.inbox_id,
        company=draft.company,
        domain=draft.domain or domain(draft.to),
        opener=draft.opener,
        seed=seed_of(sequence, contact(draft.to), draft.step),
    )


def seed_of(sequence: Sequence, person: str, step: str) -> str:
    """What chance is drawn from: never from what is new each time."""
    return f"{sequence.name}/{person}/{step}"


# --- the way through the steps ---


class _Next(Exception):
    """Found: the first thing that has not been yet."""

    def __init__(self, step: Step, at: datetime, reason: str) -> None:
        super().__init__()
        self.step, self.at, self.reason = step, at, reason


@dataclass(slots=True, kw_only=True)
class _Walk:
    """Top to bottom, along what has been, until something has not. Nobody goes back for what they have passed."""

    sequence: Sequence
    enrollment: Enrollment
    history: History
    now: datetime
    reader: Reader
    since: datetime = field(
        init=False
    )  #: when the last letter really left, or the last wait for something ended
    whose: str = field(default="enrolment", init=False)
    said: dict[str, datetime] = field(init=False)
    done: dict[str, Done] = field(init=False)
    passed: set[str] = field(default_factory=set, init=False)  #: what has not been, though later steps have

    def __post_init__(self) -> None:
        self.since = self.enrollment.created_at
        self.said = {entry.step: entry.at for entry in self.history.said}
        self.done = {entry.step: entry for entry in self.history.done}

    def through(self, steps: tuple[Step, ...], waits: tuple[Wait, ...], over: datetime | None = None) -> None:
        """`waits`: what a choice around these steps has asked for, until the next letter has used it up.

        `over`: when a later step came. Whatever has not been by then is passed.
        """
        for step, passed in zip(steps, self._over(steps, over), strict=True):
            if step.when is not None and not self._was_here(step) and not holds(step.when, self.reader.known):
                continue
            whose = self.whose
            self._pass(step, (*waits, step.after), passed)
            if self.whose != whose:
                waits = ()

    def _over(self, steps: tuple[Step, ...], over: datetime | None) -> list[datetime | None]:
        """For each step, when the first of those below it came."""
        if not (self.said or self.done):
            return [over] * len(steps)
        found: list[datetime | None] = []
        for step in reversed(steps):
            found.append(over)
            over = min((at for at in (self._came_to(step), over) if at is not None), default=None)
        return found[::-1]

    def _came_to(self, step: Step) -> datetime | None:
        """When its first part was said or done."""
        if step.id in self.said:
            return self.said[step.id]
        if step.id in self.done:
            return self.done[step.id].at
        return min((at for inner in step.inner if (at := self._came_to(inner)) is not None), default=None)

    def _pass(self, step: Step, waits: tuple[Wait, ...], over: datetime | None) -> None:
        match step.kind:
            case "mail":
                self._pass_mail(step, waits, over)
            case "task" | "webhook":
                self._pass_errand(step, waits, over)
            case "wait_for":
                self._pass_wait(step, waits, over)
            case _:
                self.through(self._chosen(step), waits, over)

    def _pass_mail(self, step: Step, waits: tuple[Wait, ...], over: datetime | None) -> None:
        if step.id in self.said:
            self._from(step.id, self.said[step.id])
        elif step.id in self.done:  # a human passed it over: the wait for the next is counted from then
            self._from(step.id, self.done[step.id].at)
        else:
            self._not_yet(step, waits, over)

    def _pass_errand(self, step: Step, waits: tuple[Wait, ...], over: datetime | None) -> None:
        if step.id not in self.done:
            self._not_yet(step, waits, over)
            return
        done = self.done[step.id]
        if step.blocking and done.ended is None and over is None:
            raise _Next(step, done.at, not_done(step.id))
        if step.blocking and done.ended and done.ended > self.since:
            self._from(step.id, done.ended)

    def _not_yet(self, step: Step, waits: tuple[Wait, ...], over: datetime | None) -> None:
        if over is not None:
            self.passed.add(step.id)
            return
        self._from_the_last_letter()
        raise _Next(step, self._after(waits), self._words(waits))

    def _pass_wait(self, step: Step, waits: tuple[Wait, ...], over: datetime | None) -> None:
        """One that is passed has ended by then, or was never waited for."""
        begin, now = self._after(waits), self.now if over is None else over
        end = self._add(step.up_to or Wait(0, "d"), begin)
        came = self._came(step, min(end, now))
        if any(map(self._was_here, step.then)) or (came and not any(map(self._was_here, step.otherwise))):
            self._from(step.id, max(begin, came.at) if came else begin)
            self.through(step.then, (), over)
        elif now >= end or any(map(self._was_here, step.otherwise)):
            self._from(step.id, end)
            self.through(step.otherwise, (), over)
        elif over is None:
            raise _Next(step, end, f"waits for {step.wait_for}")
        else:
            self.passed.add(step.id)

    def _came(self, step: Step, end: datetime) -> Happened | None:
        """What came before the wait began counts too, if it came after enrolment."""
        name, _, value = (step.wait_for or "").partition("(")
        wanted = value.rstrip(")").strip().strip("\"'")
        for event in self.history.happened:
            in_time = self.enrollment.created_at <= event.at <= end
            if in_time and event.name == name.strip() and wanted in ("", event.value):
                return event
        return None

    def _chosen(self, step: Step) -> tuple[Step, ...]:
        """Who has gone one way stays on it, whatever is known by now."""
        for choice in step.choose or ():
            if any(map(self._was_here, choice.steps)):
                return choice.steps
        return chosen(step, self.reader.known)

    def _was_here(self, step: Step) -> bool:
        return step.id in self.said or step.id in self.done or any(map(self._was_here, step.inner))

    def _from_the_last_letter(self) -> None:
        """Which may be one that the file has no more, or has further down: no wait is counted from before it."""
        last = max(self.history.said, key=lambda said: said.at, default=None)
        if last and last.at > self.since:
            self._from(last.step, last.at)

    def _from(self, whose: str, since: datetime) -> None:
        self.since, self.whose = since, whose

    def _after(self, waits: tuple[Wait, ...]) -> datetime:
        at = self.since
        for wait in waits:
            at = self._add(wait, at) if wait.amount else at
        return at

    def _add(self, wait: Wait, since: datetime) -> datetime:
        return self.reader.calendar.add_around(wait, since, self.history.absences)

    def _words(self, waits: tuple[Wait, ...]) -> str:
        real = [str(wait) for wait in waits if wait.amount]
        return f"{' and '.join(real)} after {self.whose}" if real else f"right after {self.whose}"


def _what(found: _Next, walk: _Walk, diary: Diary, winners: Mapping[str, str], say: Say) -> Plan:
    step = found.step
    if step.kind == "mail":
        return _letter(found, walk, diary, winners, say)
    if step.kind == "wait_for" or step.id in walk.done:
        return Waiting(found.reason, found.at if step.kind == "wait_for" else None)
    return Errand(
        step=step.id,
        kind=step.kind,
        at=max(found.at, walk.now),
        says=say_errand(step, walk.reader.known),
        due=walk.reader.calendar.add(step.due, max(found.at, walk.now)) if step.due else None,
    )


def _letter(found: _Next, walk: _Walk, diary: Diary, winners: Mapping[str, str], say: Say) -> Planned:
    step, sequence, enrollment = found.step, walk.sequence, walk.enrollment
    worded = say(step, sequence, walk.reader.known, person=enrollment.contact, winner=winners.get(step.id))
    place = place_of(enrollment, sequence, step.id, opener=not walk.said)
    earliest, reason = _earliest(found, walk)
    room = next_room(earliest, place, calendar=walk.reader.calendar, sequence=sequence, diary=diary)
    return Planned(
        step=step.id,
        subject=worded.subject,
        text=worded.text,
        html=worded.html,
        variant=worded.variant,
        cc=worded.cc,
        bcc=worded.bcc,
        attachments=step.attachments,
        send_at=room.at,
        reason=room.reason or reason,
        place=place,
        held=needs_a_yes(step, sequence, first=not walk.said),
    )


def _earliest(found: _Next, walk: _Walk) -> tuple[datetime, str]:
    """Its wait is over, it is not in the past, and nobody is away."""
    at, reason = found.at, found.reason
    if at < walk.now and walk.said:
        reason = f"{found.reason} has passed already"
    at, away = _not_while_away(max(at, walk.now), walk.history.absences)
    return at, away or reason


def _not_while_away(at: datetime, absences: tuple[Absence, ...]) -> tuple[datetime, str | None]:
    """The first instant from there on at which they are back, and why not earlier."""
    why = None
    for absence in sorted(absences, key=lambda absence: absence.since):
        if absence.since <= at < absence.until:
            at, why = absence.until, "away until then"
    return at, why


def needs_a_yes(step: Step, sequence: Sequence, *, first: bool) -> bool:
    """Must a human release this letter? The step's own word counts more than the rule above."""
    if step.approve is not None:
        return step.approve
    steps = sequence.approval.steps
    return steps == "all" or (steps == "first" and first) or (isinstance(steps, tuple) and step.id in steps)
