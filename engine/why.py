"""Story: why does this person get nothing just now? Reads only; the planner and the shelves have the answer already.

What is told: the rule that binds, since when, the earliest next instant, and the smallest change that would release it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from zoneinfo import ZoneInfo

from engine.addresses import contact
from engine.advance import look_ahead
from engine.errors import NotFound, Refused
from engine.limits import next_room
from engine.model import Draft, Enrollment
from engine.plan import (
    NOT_DONE,
    Errand,
    Planned,
    Waiting,
    calendar_of,
    hour_of_a_yes,
    place_of_draft,
    zone_of,
)
from engine.room import no_room
from engine.seams import Clock
from engine.sequence import Sequence
from engine.states import DraftState, EnrollmentState, HoldReason, StopReason
from engine.store import Ledger, Life, Store
from engine.wording import lacking

_LIMITS = frozenset({"per_mailbox", "ramp", "per_company", "per_domain", "gap"})
#: What stands in a planner's reason, and what in the file would have to change.
_RULES = {
    "holiday": "take that day out of schedule.holidays",
    "skipped": "take those days out of schedule.skip",
    "window opens": "widen schedule.windows",
}
_WAITS = "waits for "  #: how the planner begins when an event would end it
_EDIT = "in the file (relent plan shows what that does), or wait"
_WORKING = "is relent serve or relent work running? They do what is due"
_BY_ITSELF = "nothing: it goes on by itself"
#: Our own words for why something is held or stopped.
_MEANS: dict[str, str] = {
    HoldReason.APPROVAL: "a human has to say yes",
    HoldReason.REJECTED: "a human said no to it as it is",
    HoldReason.EXPIRED: "nobody said yes to it in time",
    HoldReason.CHANGED: "it is not what a human said yes to any more",
    HoldReason.LATE: "its hour passed too long ago",
    HoldReason.RESTORED: "the database was restored or copied, and it may have left already",
    HoldReason.UNVERIFIED: "an answer came that the mail provider does not vouch for",
    HoldReason.OUT_OF_OFFICE: "they are away",
    StopReason.REPLIED: "they answered",
    StopReason.BOUNCED: "the letter came back",
    StopReason.COMPLAINED: "they called it spam",
    StopReason.UNSUBSCRIBED: "they want no more",
    StopReason.SUPPRESSED: "this address is never to be written to",
    StopReason.MEETING: "they booked a meeting",
    StopReason.BY_HAND: "somebody here said so",
}


class Remedy(StrEnum):
    """What kind of thing would help: a page has a button where a command line has a command."""

    WORDS = "words"  #: only what `release` says
    EDIT = "edit"  #: `change`, in the sequence's file
    YES = "yes"  #: to the letter
    YES_EARLIER = "yes_earlier"  #: it goes on by itself; a yes does not wait for that
    YES_OR_STOP = "yes_or_stop"  #: by whether it was an answer
    RESUME = "resume"
    RESUME_OR_STOP = "resume_or_stop"  #: by whether it was an answer
    RESUME_OR_YES = "resume_or_yes"  #: when they are back, or at once
    SETTLE = "settle"  #: say whether it left
    LET_GO = "let_go"  #: the brake of the whole house


@dataclass(frozen=True, slots=True)
class Help:
    """The smallest change: in words, of which kind, and what it is in the file."""

    words: str
    remedy: Remedy = Remedy.WORDS
    change: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where somebody stands in one sequence, and why nothing more has happened yet."""

    enrollment_id: str
    sequence: str
    version: str
    state: EnrollmentState
    reason: str  #: the rule that binds
    since: datetime
    release: str  #: the smallest change that would help
    zone: str  #: theirs
    step: str | None = None
    draft_id: str | None = None
    next_at: datetime | None = None  #: None: never, unless something changes

    @property
    def local_time(self) -> datetime | None:
        return self.next_at and self.next_at.astimezone(ZoneInfo(self.zone))


@dataclass(frozen=True, slots=True, kw_only=True)
class Why:
    """All that is known of somebody."""

    email: str
    suppressed: str | None  #: why they are never to be written to
    suppressed_since: datetime | None
    standings: tuple[Standing, ...]  #: one a sequence; where they are now comes first
    helps: Mapping[str, Help] = field(default_factory=dict)  #: `release` with its kind, by the enrollment


def why(email: str, *, store: Store, clock: Clock) -> Why:
    """Raises NotFound for somebody of whom nobody here has heard."""
    with store.reading(clock.now()) as ledger:
        lives = ledger.enrollments.lives(contact(email))
        suppressed, since = ledger.views.suppressed_since(email) or (None, None)
        if not lives and suppressed is None:
            raise NotFound(f"nobody here has ever written to {email}, and nobody forbade it")
        latest = {life.enrollment.sequence: life for life in lives}
        looks = [_Look(life, ledger, suppressed) for life in latest.values()]
        told = [look.tell() for look in looks]
    told.sort(key=lambda each: each.since, reverse=True)
    told.sort(key=lambda each: each.state in {EnrollmentState.STOPPED, EnrollmentState.FINISHED})
    return Why(
        email=email,
        suppressed=suppressed,
        suppressed_since=since,
        standings=tuple(told),
        helps={look.person.id: look.help() for look in looks},
    )


@dataclass(frozen=True, slots=True)
class _Found:
    """The binding rule and what would help."""

    reason: str
    release: str
    since: datetime
    next_at: datetime | None = None
    step: str | None = None
    remedy: Remedy = Remedy.WORDS
    change: str = ""


class _Look:
    """A look at one life: at the letter before it, else at what the planner says."""

    def __init__(self, life: Life, ledger: Ledger, suppressed: str | None) -> None:
        self.life, self.ledger, self.now, self.suppressed = life, ledger, ledger.now, suppressed
        self.person: Enrollment = life.enrollment
        self.draft: Draft | None = ledger.drafts.of(self.person.id)
        self.sequence = _version(self.person, ledger)
        self._found = self._find()

    def help(self) -> Help:
        return Help(self._found.release, self._found.remedy, self._found.change)

    def tell(self) -> Standing:
        found = self._found
        return Standing(
            enrollment_id=self.person.id,
            sequence=self.person.sequence,
            version=self.person.version,
            state=self.person.state,
            reason=found.reason,
            since=found.since,
            release=found.release,
            zone=_zone(self.sequence, self.person),
            step=self.draft.step if self.draft else found.step,
            draft_id=self.draft.id if self.draft else None,
            next_at=found.next_at,
        )

    def _find(self) -> _Found:
        if self.draft and self.draft.state == DraftState.UNCERTAIN:
            return self._in_doubt(self.draft)
        match self.person.state:
            case EnrollmentState.PAUSED:
                return self._paused()
            case EnrollmentState.ACTIVE:
                return self._letter(self.draft) if self.draft else self._waiting()
            case _:
                return self._ended()

    # --- a letter is before them ---

    def _letter(self, draft: Draft) -> _Found:
        match draft.state:
            case DraftState.HELD:
                return self._held(draft)
            case DraftState.FAILED:
                again = f"relent approve {draft.id} tries again; relent stop {self.person.email} gives up"
                return _Found(f"failed: {draft.outcome}", again, self._changed(draft))
            case DraftState.SCHEDULED:
                return self._scheduled(draft)
            case _:
                return _Found("it is leaving now", _BY_ITSELF, self._changed(draft), self.now)

    def _in_doubt(self, draft: Draft) -> _Found:
        settle = f"look into the mailbox, then relent settle {draft.id} --left or --did-not-leave"
        return _Found(f"uncertain: {draft.outcome}", settle, self._changed(draft), remedy=Remedy.SETTLE)

    def _held(self, draft: Draft) -> _Found:
        reason = f"held: {_in_words(draft.outcome or draft.reason)}"
        yes, since = f"relent approve {draft.id}", self._changed(draft)
        release, remedy = yes, Remedy.YES
        if draft.outcome == HoldReason.UNVERIFIED:
            release = f"{yes} if it is no answer, relent stop {self.person.email} if it is"
            remedy = Remedy.YES_OR_STOP
        if draft.held_until:
            reason += f" until {_say(draft.held_until)}"
            release = f"{_BY_ITSELF}; {release} does not wait for that"
            at = max(draft.send_at, self.now)
            return _Found(reason, release, since, at, remedy=Remedy.YES_EARLIER)
        if draft.outcome == HoldReason.OUT_OF_OFFICE:
            release = f"relent resume {self.person.email} when they are back; {yes} does not wait for that"
            remedy = Remedy.RESUME_OR_YES
        return _Found(reason, release, since, self._after_a_yes(draft), remedy=remedy)

    def _scheduled(self, draft: Draft) -> _Found:
        since = self._changed(draft)
        if draft.send_at <= self.now:
            return self._due(draft, since)
        if draft.outcome and draft.attempt:
            again = f"{_BY_ITSELF}: it is tried again then"
            at = self._room(draft, draft.send_at)
            return _Found(f"tried {_times(draft.attempt)}: {draft.outcome}", again, since, at)
        would = _what_would_help(draft.reason, draft.step)
        return _helped(draft.reason, would, since, draft.send_at)

    def _due(self, draft: Draft, since: datetime) -> _Found:
        """Its hour has come, and so has somebody who does it; or there is no room for it after all."""
        if brake := self.ledger.watch.braked():
            words = f"nothing leaves this house: {brake.why}"
            return _Found(words, "relent resume --all", brake.since, remedy=Remedy.LET_GO)
        try:
            full = no_room(draft, self.ledger)
        except (Refused, ValueError):
            full = None
        if full is None:
            return _Found("it is due", _WORKING, since, self.now)
        at = self._room(draft, full.until)
        would = _what_would_help(full.why, draft.step)
        return _helped(f"it was due {_say(draft.send_at)}, and {full.why}", would, since, at)

    def _after_a_yes(self, draft: Draft) -> datetime:
        """When it leaves at the earliest, if it is said now."""
        if self.sequence is None:
            return max(draft.send_at, self.now)
        history = self.ledger.past.of(self.person.id, self.person.contact)
        try:
            at = hour_of_a_yes(draft, self.sequence, self.person, history, self.now).at
        except (Refused, ValueError):
            return max(draft.send_at, self.now)
        return at if at == draft.send_at else self._room(draft, at)

    def _room(self, draft: Draft, earliest: datetime) -> datetime:
        """The first instant from there on at which a window is open and no limit is in the way."""
        if self.sequence is None:
            return earliest
        try:
            calendar = calendar_of(self.sequence, self.person.variables)
            place = place_of_draft(draft, self.sequence)
            diary = self.ledger.diaries.booked_besides(draft.id, self.sequence.limits)
            return next_room(earliest, place, calendar=calendar, sequence=self.sequence, diary=diary).at
        except (Refused, ValueError):
            return earliest

    def _changed(self, draft: Draft) -> datetime:
        return self.ledger.views.changed(draft.id)

    # --- no letter is before them ---

    def _waiting(self) -> _Found:
        ahead = look_ahead(self.person, self.ledger).plan
        said = self.ledger.past.of(self.person.id, self.person.contact).said
        since = max([self.life.since, *(one.at for one in said)])
        match ahead:
            case Waiting(reason, until):
                return _helped(reason, self._end_of_the_wait(reason, until), since, until)
            case Errand(step=step, kind=kind, at=at):
                release = _WORKING if at <= self.now else _BY_ITSELF
                return _Found(f"next is the {kind} {step}", release, since, at, step)
            case Planned(step=step, send_at=at, reason=reason):
                return _Found(reason, _WORKING, since, at, step)
            case _:
                return _Found("nothing is left to be said", _WORKING, since)

    def _end_of_the_wait(self, reason: str, until: datetime | None) -> Help:
        if until is not None and until <= self.now:
            return Help(_WORKING)
        if not reason.startswith(_WAITS):
            return self._of_a_pause(reason)
        name, _, value = reason.removeprefix(_WAITS).partition("(")
        value = value.rstrip(")").strip().strip("\"'")
        told = f" --value {value}" if value else ""
        return Help(f"relent event {name.strip()} --email {self.person.email}{told}, or wait")

    # --- nothing goes by itself ---

    def _paused(self) -> _Found:
        reason = self.person.reason or "somebody here said so"
        return _helped(f"paused: {_in_words(reason)}", self._of_a_pause(reason), self.life.since)

    def _of_a_pause(self, reason: str) -> Help:
        goes_on = f"relent resume {self.person.email}"
        if self.sequence and reason == _lacking(self.sequence, self.person):
            return Help("hand the list in with it again: relent enroll FILE PEOPLE.csv")
        if reason.endswith(NOT_DONE):
            return Help("relent tasks shows it; relent done TASK_ID lets them go on")
        if reason.startswith("cannot be planned"):
            return Help(f"correct the file; relent plan, relent apply, then {goes_on}")
        if reason == HoldReason.UNVERIFIED:
            words = f"{goes_on} if it is no answer, relent stop {self.person.email} if it is"
            return Help(words, Remedy.RESUME_OR_STOP)
        return Help(goes_on, Remedy.RESUME)

    def _ended(self) -> _Found:
        since, state = self.life.since, self.person.state
        told = f"{state}: {_in_words(self.person.reason)}" if self.person.reason else "everything was said"
        if self.suppressed:
            return _Found(told, "nothing: nobody here writes to this address again", since)
        again_after = self.sequence.enroll.again_after if self.sequence else None
        if self.sequence is None or again_after is None:
            return _Found(told, "nothing; enroll.again_after in the file would allow it again", since)
        try:
            at = calendar_of(self.sequence, self.person.variables).add(again_after, since)
        except Refused as error:
            return _Found(told, f"nothing: {error}", since)
        release = f"relent enroll, from {_say(at)} on (enroll.again_after {again_after})"
        return _Found(told, release, since, max(at, self.now))


def _helped(reason: str, would: Help, since: datetime, next_at: datetime | None = None) -> _Found:
    return _Found(reason, would.words, since, next_at, remedy=would.remedy, change=would.change)


def _what_would_help(reason: str, step: str) -> Help:
    """By the planner's own words."""
    rule = reason.partition(" ")[0]
    if rule in _LIMITS:
        return _edit(f"{'narrow' if rule == 'gap' else 'raise'} limits.{rule}")
    for words, change in _RULES.items():
        if words in reason:
            return _edit(change)
    if "away" in reason:
        return Help(_BY_ITSELF)
    return _edit(f'shorten "after" of {step}')


def _edit(change: str) -> Help:
    return Help(f"{change} {_EDIT}", Remedy.EDIT, change)


def _in_words(reason: str) -> str:
    """A word of ours, and what it means; anybody else's as it is."""
    return f"{reason} ({_MEANS[reason]})" if reason in _MEANS else reason


def _version(person: Enrollment, ledger: Ledger) -> Sequence | None:
    try:
        return ledger.enrollments.version(person.version)
    except ValueError:  # of a newer Relent
        return None


def _lacking(sequence: Sequence, person: Enrollment) -> str | None:
    try:
        return lacking(sequence, person.variables)
    except Refused:
        return None


def _zone(sequence: Sequence | None, person: Enrollment) -> str:
    try:
        return zone_of(sequence, person.variables) if sequence else "UTC"
    except Refused:
        return "UTC"


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"


def _say(at: datetime) -> str:
    return f"{at:%a %d %b %Y %H:%M} UTC"
