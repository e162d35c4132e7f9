"""Story: a file was changed. What that does to everybody in flight is shown first, and then done as it was shown.

A plan bears its instant, and is asked for once more as of that instant: so it differs only if something has moved. It
is asked for in a reading transaction, which holds nobody up. What it says is then written down a few hundred people at
a time, each of them locked and looked at once more; a webhook never waits for more than one such handful.
"""

import hashlib
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Sequence as Row
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from engine.errors import Refused
from engine.hours import Absence
from engine.limits import Diary, What, counted
from engine.model import Draft, Enrollment
from engine.plan import (
    Errand,
    History,
    NothingLeft,
    Plan,
    Planned,
    Said,
    Waiting,
    calendar_of,
    passed_over,
    place_of_draft,
    plan,
)
from engine.seams import Clock
from engine.sequence import Sequence, Step
from engine.states import DraftState, EnrollmentState
from engine.store import Ledger, Life, Store, pauses
from engine.wording import known_of, lacking, may_reach

_GOOD_FOR = timedelta(hours=1)  #: an older plan says little about the hours to come
_AT_ONCE = 250  #: people in one transaction
_LONGEST_PERIOD = timedelta(days=9)  #: what a limit by the week looks back on, and a day to spare
_BY_ITSELF = "the sequence"  #: who says yes where no human has to
_NAMES = 3

Words = frozenset[tuple[str, ...]]


class Fate(StrEnum):
    """What applying does to somebody."""

    UNTOUCHED = "untouched"  #: what is pending keeps its words and its hour
    REDATED = "redated"  #: the same words at another hour
    APPROVAL_VOID = "approval_void"  #: the same, and a human had said yes to the old hour: held for a new yes
    STEP_GONE = "step_gone"  #: what is pending stands in the new file no more; it still goes
    HELD = "held"  #: the new file needs what nobody knows of them
    FINISHES = "finishes"  #: nothing is left for them, after what is pending
    GOES_ON = "goes_on"  #: paused for something that the new file does not need
    TWICE = "twice"  #: they would be told the same once more: so nothing is applied


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One person, and what applying does to them."""

    enrollment_id: str
    email: str
    fate: Fate
    step: str | None  #: of the letter that is pending, or of what comes next
    state: DraftState | None  #: of the letter that is pending
    old: datetime | None
    new: datetime | None
    why: str = ""
    reworded: bool = False  #: what is pending keeps the words that it has; the new file has others
    passed: tuple[str, ...] = ()  #: steps that the new file has before where they are: never theirs


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """What applying would do to everybody in flight."""

    sequence: str
    version: str
    as_of: datetime
    changes: tuple[Change, ...]

    def of(self, fate: Fate) -> list[Change]:
        return [change for change in self.changes if change.fate == fate]

    @property
    def token(self) -> str:
        """The plan's own hash. `relent apply` does this plan and no other."""
        lines = sorted(
            f"{each.enrollment_id} {each.state} {each.fate} {each.old} {each.new}" for each in self.changes
        )
        said = hashlib.sha256("\n".join([self.version, *lines]).encode()).hexdigest()
        return f"{_milliseconds(self.as_of):x}-{self.version[:8]}-{said[:16]}"

    @property
    def refusal(self) -> str | None:
        """Why it cannot be applied at all, and what would help."""
        if not (twice := self.of(Fate.TWICE)):
            return None
        told: dict[str, list[str]] = defaultdict(list)
        for each in twice:
            told[each.why].append(each.email)
        would = "person would" if len(twice) == 1 else "people would"
        lines = [f"{len(twice):,} {would} be told the same twice, so nothing is applied:"]
        lines += [f"  {why} ({some(emails)})" for why, emails in told.items()]
        return "\n".join([*lines, "A step that is new needs an id of its own; or say it in other words."])


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """It is done, for everybody but those who were moving just then."""

    version: str
    counts: Mapping[Fate, int]
    left: tuple[str, ...]  #: they keep the version that they had


def look(sequence: Sequence, *, store: Store, clock: Clock) -> Revision:
    """What applying would do, and nothing is done."""
    as_of = datetime.fromtimestamp(_milliseconds(clock.now()) / 1000, UTC)
    return _revision(sequence, as_of, _cases(sequence, as_of, store))


def apply(sequence: Sequence, token: str, *, by: str, store: Store, clock: Clock) -> Applied:
    """Do what was shown. Raises Refused, in words, when something has moved since, or somebody would be told twice."""
    as_of = _as_of(token, clock.now())
    cases = _cases(sequence, as_of, store)
    revision = _revision(sequence, as_of, cases)
    if revision.token != token:
        raise Refused(f"something moved since: {_what_moved(revision, token, store)}. Run relent plan again")
    if why := revision.refusal:
        raise Refused(why)
    store.insist(
        lambda ledger: ledger.enrollments.keep_version(sequence), now=clock.now, by=by, pauses=pauses()
    )
    left: list[_Case] = []
    for begin in range(0, len(cases), _AT_ONCE):
        left += _write(cases[begin : begin + _AT_ONCE], sequence, by=by, store=store, clock=clock)
    behind = {case.change.enrollment_id for case in left}
    done = [change for change in revision.changes if change.enrollment_id not in behind]
    return Applied(
        version=sequence.version,
        counts={fate: sum(change.fate == fate for change in done) for fate in Fate},
        left=tuple(case.change.email for case in left),
    )


def some(names: Row[str]) -> str:
    """The first of them by name."""
    more = f" and {len(names) - _NAMES:,} more" if len(names) > _NAMES else ""
    return ", ".join(names[:_NAMES]) + more


# --- who stands where ---


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stand:
    """Somebody in flight: by which version, with which letter before them, after what."""

    life: Life
    draft: Draft | None
    history: History
    was: Sequence

    @property
    def person(self) -> Enrollment:
        return self.life.enrollment

    @property
    def active(self) -> bool:
        return self.person.state == EnrollmentState.ACTIVE

    @property
    def movable(self) -> bool:
        """Whether another hour can be given to what is pending. What is leaving now is left alone."""
        pending = self.draft is not None and self.draft.state in {DraftState.HELD, DraftState.SCHEDULED}
        return pending and self.active

    @property
    def been(self) -> frozenset[str]:
        """The steps that were said or done, and the one that is pending."""
        steps = {one.step for one in self.history.said} | {one.step for one in self.history.done}
        return frozenset(steps | {self.draft.step} if self.draft else steps)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """Somebody, what is to become of them, and what has to be written down for it."""

    stand: _Stand
    change: Change
    reason: str = ""
    wake_at: datetime | None = None


def _revision(sequence: Sequence, as_of: datetime, cases: Iterable[_Case]) -> Revision:
    return Revision(
        sequence=sequence.name,
        version=sequence.version,
        as_of=as_of,
        changes=tuple(case.change for case in cases),
    )


def _cases(sequence: Sequence, as_of: datetime, store: Store) -> list[_Case]:
    """Everybody in flight, each planned anew; and the database need not wait for that."""
    with store.reading(as_of) as ledger:
        stands = list(_stands(sequence, ledger))
        diary = _diary(sequence, stands, ledger)
    desk = _Desk(new=sequence, now=as_of, diary=diary)
    for each in stands:
        desk.strike(each)
    return [desk.look_at(each) for each in sorted(stands, key=_turn)]


def _stands(sequence: Sequence, ledger: Ledger) -> Iterator[_Stand]:
    lives = ledger.enrollments.in_flight(sequence.name, but_not=sequence.version)
    for begin in range(0, len(lives), _AT_ONCE):
        some_lives = lives[begin : begin + _AT_ONCE]
        ids = [life.enrollment.id for life in some_lives]
        drafts, histories = ledger.drafts.of_all(ids), ledger.views.histories(ids)
        for life in some_lives:
            person = life.enrollment
            yield _Stand(
                life=life,
                draft=drafts.get(person.id),
                history=histories[person.id],
                was=ledger.enrollments.version(person.version),
            )


def _diary(sequence: Sequence, stands: Iterable[_Stand], ledger: Ledger) -> Diary:
    """What is booked, as far as any of these people's rules count it; known by heart."""
    inboxes = {each.person.inbox_id for each in stands}
    rules = {each.was.version: each.was for each in stands}.values()
    counts = {what for each in (sequence, *rules) for what in counted(each.limits)}
    booked: dict[tuple[str, str | None], list[tuple[datetime, bool]]] = defaultdict(list)
    alone = inboxes if counts <= {"mailbox"} else None
    for row in ledger.drafts.booked_since(ledger.now - _LONGEST_PERIOD, alone) if counts else ():
        for what, key in (("mailbox", row.inbox_id), ("company", row.company), ("domain", row.domain)):
            booked[what, key].append((row.send_at, row.opener))
    began = {inbox: ledger.diaries.first(inbox) for inbox in inboxes if counts}

    def by_heart(what: What, key: str, begin: datetime, end: datetime) -> Iterable[tuple[datetime, bool]]:
        found = booked.get((what, key), [])
        return found[bisect_left(found, (begin,)) : bisect_left(found, (end,))]

    return Diary(by_heart, began.get, counts=counts)


def _turn(stand: _Stand) -> tuple[bool, datetime, str]:
    """Who is being followed up goes first; then by the hour that each of them had."""
    if stand.draft is None:
        return True, stand.person.wake_at or stand.person.created_at, stand.person.id
    return stand.draft.opener, stand.draft.send_at, stand.person.id


# --- what becomes of them ---


@dataclass(slots=True, kw_only=True)
class _Desk:
    """Where everybody is looked at, in turn; the same diary for all of them."""

    new: Sequence
    now: datetime
    diary: Diary
    _known: dict[tuple[str, frozenset[str]], tuple[tuple[str, str], ...]] = field(default_factory=dict)
    _said: dict[tuple[str, str], bool] = field(default_factory=dict)

    def strike(self, stand: _Stand) -> None:
        """All give up their hours before the first is planned anew: so those who come first find room first."""
        if stand.draft and stand.movable:
            self.diary.strike(place_of_draft(stand.draft, self.new), stand.draft.send_at)

    def look_at(self, stand: _Stand) -> _Case:
        if twin := self._twin(stand):
            said, stands = twin
            why = f'"{said}" stands in the new file as "{stands}": write "id: {said}" there'
            case = _case(stand, Fate.TWICE, why=why)
        elif stand.draft:
            case = self._with_letter(stand, stand.draft)
        else:
            case = self._without_letter(stand)
        if stand.draft and stand.movable and case.change.new is None:
            self.diary.book(place_of_draft(stand.draft, self.new), stand.draft.send_at)
        return _telling(case, self._passed(stand), reworded=self._reworded(stand))

    def _with_letter(self, stand: _Stand, draft: Draft) -> _Case:
        if missing := _missing(self.new, stand.person):
            return _case(stand, Fate.HELD, why=missing)
        gone = all(step.id != draft.step for step in self.new.every_step() if step.kind == "mail")
        planned = None if gone or not stand.movable else self._another_hour(stand, draft)
        chosen = _by_a_human(draft, self.now) if planned else ""
        if planned and not chosen:
            self.diary.book(planned.place, planned.send_at)
            fate = Fate.APPROVAL_VOID if _a_human_said_yes(draft) else Fate.REDATED
            return _case(stand, fate, new=planned.send_at, why=planned.reason)
        ends = self._ends(stand, draft, self.new)
        if gone:
            return _case(stand, Fate.STEP_GONE, why="nothing comes after it" if ends else "")
        if ends and not self._ends(stand, draft, stand.was):
            return _case(stand, Fate.FINISHES)
        return _case(stand, Fate.UNTOUCHED, why=chosen if stand.movable else _left_alone(stand, draft))

    def _without_letter(self, stand: _Stand) -> _Case:
        if not stand.active:
            return self._paused(stand)
        planned = self._ahead(self.new, stand.person, stand.history)
        if isinstance(planned, NothingLeft):
            return _case(stand, Fate.FINISHES)
        at = _hour(planned)
        if at is None:
            return _case(stand, Fate.HELD, why=_reason(planned))
        before = self._ahead(stand.was, stand.person, stand.history)
        if at == stand.person.wake_at or (type(before) is type(planned) and _hour(before) == at):
            return _case(stand, Fate.UNTOUCHED)
        return self._next(stand, Fate.REDATED, planned, at)

    def _paused(self, stand: _Stand) -> _Case:
        """Only what their own version found missing is ours to judge; the rest a human has to."""
        reason, missing = stand.person.reason, _missing(self.new, stand.person)
        if not _lacks_something(stand):
            return _case(stand, Fate.HELD if missing else Fate.UNTOUCHED, why=missing or f"paused: {reason}")
        if missing:
            return _case(stand, Fate.UNTOUCHED if missing == reason else Fate.HELD, why=missing)
        between = Absence(stand.life.since, self.now)
        history = replace(stand.history, absences=(*stand.history.absences, between))
        planned = self._ahead(self.new, replace(stand.person, state=EnrollmentState.ACTIVE), history)
        return self._next(stand, Fate.GOES_ON, planned, _hour(planned))

    def _next(self, stand: _Stand, fate: Fate, planned: Plan, at: datetime | None) -> _Case:
        if isinstance(planned, Planned):
            self.diary.book(planned.place, planned.send_at)
        wake_at = self.now if isinstance(planned, Planned) else at  # the clock itself then makes the letter
        case = _case(stand, fate, new=at, why=_reason(planned), step=_step(planned))
        return replace(case, wake_at=wake_at)

    def _another_hour(self, stand: _Stand, draft: Draft) -> Planned | None:
        """Only what the file has changed counts: a retry, or a yes that came late, has moved letters too."""
        planned = self._ahead(self.new, stand.person, stand.history)
        if not isinstance(planned, Planned) or planned.step != draft.step or planned.send_at == draft.send_at:
            return None
        before = self._ahead(stand.was, stand.person, stand.history)
        if isinstance(before, Planned) and (before.step, before.send_at) == (planned.step, planned.send_at):
            return None
        return planned

    def _reworded(self, stand: _Stand) -> bool:
        """Whether the new file says in other words what is pending."""
        if stand.draft is None:
            return False
        key = stand.was.version, stand.draft.step
        if key not in self._said:
            was, new = (
                next((_words(step) for step in each.every_step() if step.id == stand.draft.step), None)
                for each in (stand.was, self.new)
            )
            self._said[key] = was is not None and new is not None and was != new
        return self._said[key]

    def _ends(self, stand: _Stand, draft: Draft, sequence: Sequence) -> bool:
        """Whether nothing is left once this letter has gone."""
        if any(map(_goes_without_saying, _below(sequence.steps, stand.been))):
            return False
        person = replace(stand.person, state=EnrollmentState.ACTIVE)
        return isinstance(self._ahead(sequence, person, self._once_it_left(stand)), NothingLeft)

    def _once_it_left(self, stand: _Stand) -> History:
        if stand.draft is None:
            return stand.history
        left = Said(stand.draft.step, max(stand.draft.send_at, self.now))
        return replace(stand.history, said=(*stand.history.said, left))

    def _passed(self, stand: _Stand) -> tuple[str, ...]:
        """What the new file says before where they are, and the old one did not: nobody goes back for it."""
        if stand.been.issuperset(step.id for step in _above(self.new, stand.been)):
            return ()
        history = self._once_it_left(stand)
        try:
            new, before = (
                passed_over(each, stand.person, history, self.now) for each in (self.new, stand.was)
            )
        except (Refused, ValueError, LookupError):
            return ()  # cannot be planned, and that is said elsewhere
        return tuple(step.id for step in self.new.every_step() if step.id in new - before)

    def _ahead(self, sequence: Sequence, person: Enrollment, history: History) -> Plan:
        try:
            return plan(sequence, person, history, self.now, diary=self.diary)
        except (Refused, ValueError, LookupError) as error:
            return Waiting(f"cannot be planned: {error}")

    def _twin(self, stand: _Stand) -> tuple[str, str] | None:
        """A step that they know by one id and would meet again by another."""
        key = stand.was.version, stand.been
        if key not in self._known:
            self._known[key] = tuple(_twins(stand.was, self.new, stand.been))
        if not self._known[key]:
            return None
        known = known_of(self.new, stand.person.email, stand.person.variables)
        try:
            reached = {step.id for step in may_reach(self.new.steps, known)}
        except Refused:
            reached = {step.id for step in self.new.every_step()}
        return next((twin for twin in self._known[key] if twin[1] in reached), None)


def _twins(was: Sequence, new: Sequence, been: frozenset[str]) -> Iterator[tuple[str, str]]:
    """Words said before that stand in the new file under an id not used yet. What its author wrote twice, is meant twice."""
    before = {step.id: _words(step) for step in was.every_step()}
    for step in new.every_step():
        words = _words(step)
        if step.id in been or not words or before.get(step.id) == words:
            continue
        yield from ((one, step.id) for one in before if one in been and before[one] & words)


def _words(step: Step) -> Words:
    """What it says, in each of its ways."""
    match step.kind:
        case "mail":
            said = [(way.subject or "", way.body or "", way.html or "") for way in step.ways]
        case "task":
            said = [("task", step.task or "", step.assign or "")]
        case "webhook":
            said = [("webhook", step.webhook or "", str(sorted(step.with_.items())))]
        case _:
            return frozenset()
    return frozenset(tuple(part.strip() for part in way) for way in said)


def _missing(sequence: Sequence, person: Enrollment) -> str | None:
    try:
        return lacking(sequence, person.variables)
    except Refused as error:
        return f"cannot be planned: {error}"


def _lacks_something(stand: _Stand) -> bool:
    """Paused for a gap that nobody could fill, and for nothing else."""
    return not stand.active and stand.person.reason == _missing(stand.was, stand.person)


def _below(steps: tuple[Step, ...], been: frozenset[str]) -> tuple[Step, ...]:
    """Those after the last in which they have been."""
    last = max((place for place, step in enumerate(steps, 1) if _in_it(step, been)), default=0)
    return steps[last:]


def _above(sequence: Sequence, been: frozenset[str]) -> list[Step]:
    """All that is written before the last in which they have been."""
    steps = list(sequence.every_step())
    return steps[: max((place for place, step in enumerate(steps) if step.id in been), default=0)]


def _in_it(step: Step, been: frozenset[str]) -> bool:
    return step.id in been or any(_in_it(inner, been) for inner in step.inner)


def _goes_without_saying(step: Step) -> bool:
    """Whoever they are, whatever they do: its turn comes."""
    return step.when is None and step.kind in {"mail", "task", "webhook"}


def _a_human_said_yes(draft: Draft) -> bool:
    """And no other human's yes is waited for."""
    waits = draft.state == DraftState.HELD and draft.held_until is None
    return draft.approved_by not in {None, _BY_ITSELF} and not waits


def _by_a_human(draft: Draft, now: datetime) -> str:
    """An hour that a human chose stands, whatever the file says; but once it has passed with no yes, it binds nobody."""
    stands = draft.send_at > now or draft.state == DraftState.SCHEDULED
    return f"its hour was chosen by {draft.hour_by}, and it keeps it" if draft.hour_by and stands else ""


def _left_alone(stand: _Stand, draft: Draft) -> str:
    if not stand.active:
        return f"paused: {stand.person.reason}; planned anew when they go on"
    return f"{draft.state}: it is left alone"


def _case(
    stand: _Stand, fate: Fate, *, new: datetime | None = None, why: str = "", step: str | None = None
) -> _Case:
    draft = stand.draft
    change = Change(
        enrollment_id=stand.person.id,
        email=stand.person.email,
        fate=fate,
        step=draft.step if draft else step,
        state=draft.state if draft else None,
        old=draft.send_at if draft else stand.person.wake_at,
        new=new,
        why=why,
    )
    return _Case(stand=stand, change=change, reason=why)


def _telling(case: _Case, passed: tuple[str, ...], *, reworded: bool) -> _Case:
    """With what they are not told any more, and what they are told in other words than the file's."""
    if case.change.fate == Fate.TWICE:
        return case
    if reworded:
        case = replace(case, change=replace(case.change, reworded=True))
    if not passed:
        return case
    words = f"{', '.join(passed)}: passed already, so not for them"
    why = "; ".join(part for part in (case.change.why, words) if part)
    return replace(case, change=replace(case.change, why=why, passed=passed))


def _hour(planned: Plan) -> datetime | None:
    match planned:
        case Planned(send_at=at) | Errand(at=at):
            return at
        case Waiting(until=until):
            return until
        case NothingLeft():
            return None


def _reason(planned: Plan) -> str:
    return planned.reason if isinstance(planned, Planned | Waiting) else ""


def _step(planned: Plan) -> str | None:
    return planned.step if isinstance(planned, Planned | Errand) else None


# --- writing it down ---


def _write(cases: Row[_Case], sequence: Sequence, *, by: str, store: Store, clock: Clock) -> list[_Case]:
    """Returns those who were moving just then: nothing is done about them."""

    def deed(ledger: Ledger) -> list[_Case]:
        still, left = _looked_at_again(cases, sequence, ledger)
        _write_down(still, sequence, ledger)
        return left

    return store.insist(deed, now=clock.now, by=by, pauses=pauses())


def _looked_at_again(
    cases: Row[_Case], sequence: Sequence, ledger: Ledger
) -> tuple[list[_Case], list[_Case]]:
    """Threads first, as everywhere; from here on nobody moves them but us."""
    ids = [case.stand.person.id for case in cases]
    letters = [case.stand.draft for case in cases if case.stand.draft]
    ledger.threads.lock(
        {*(case.stand.person.thread_id for case in cases), *(each.thread_id for each in letters)}
    )
    ledger.enrollments.lock_all(ids)
    ledger.drafts.lock([each.id for each in letters])
    people = {each.id: each for each in ledger.enrollments.living_among(ids)}
    drafts = ledger.drafts.of_all(ids)
    still: list[_Case] = []
    left: list[_Case] = []
    for case in cases:
        person = people.get(case.stand.person.id)
        if person is None or person.version == sequence.version:
            continue  # stopped or finished meanwhile; or written down already, and only the answer was lost
        same = person == case.stand.person and _same_letter(case, drafts.get(person.id))
        (still if same else left).append(case)
    return still, left


def _same_letter(case: _Case, now: Draft | None) -> bool:
    """What gets another hour must not have moved at all; the rest may be on its way by now."""
    before = case.stand.draft
    if before is None or now is None or case.change.new is not None:
        return before == now
    return before.id == now.id


def _write_down(cases: Row[_Case], sequence: Sequence, ledger: Ledger) -> None:
    ledger.enrollments.revise(_ids(cases), sequence.version)
    with_letter = [case for case in cases if case.stand.draft]
    without = [case for case in cases if case.stand.draft is None]
    _give_other_hours(with_letter, sequence, ledger)
    _let_wait_or_end(without, ledger)


def _give_other_hours(cases: Iterable[_Case], sequence: Sequence, ledger: Ledger) -> None:
    hours: dict[str, tuple[datetime, str]] = {}
    for case in cases:
        draft, at = case.stand.draft, case.change.new
        if draft is None or at is None:
            continue
        if at < ledger.now:  # its new hour has come since it was planned; the window may have closed
            at = calendar_of(sequence, case.stand.person.variables).next_open(ledger.now).at
        if case.change.fate == Fate.APPROVAL_VOID:
            ledger.drafts.take_back_the_yes(draft, send_at=at, why=case.reason)
        else:
            hours[draft.id] = at, case.reason
    ledger.drafts.redate_all(hours)


def _let_wait_or_end(cases: Row[_Case], ledger: Ledger) -> None:
    """Of those who had no letter before them."""
    of = {fate: [case for case in cases if case.change.fate == fate] for fate in Fate}
    ledger.enrollments.sleep_all(
        {case.stand.person.id: case.wake_at for case in of[Fate.REDATED] if case.wake_at}
    )
    if of[Fate.FINISHES]:
        ledger.enrollments.finish_all(_ids(of[Fate.FINISHES]), "nothing is left in the new version")
    for reason, held in _by_reason(of[Fate.HELD]).items():
        if active := [case for case in held if case.stand.active]:
            ledger.enrollments.pause(_ids(active), reason)
        if lacking_before := [case for case in held if _lacks_something(case.stand)]:
            ledger.enrollments.lack(_ids(lacking_before), reason)
    if of[Fate.GOES_ON]:
        ledger.enrollments.wake_all(_ids(of[Fate.GOES_ON]), "the new version needs nothing more of them")
    for case in of[Fate.GOES_ON]:  # the time between did not use up a wait, so nothing bursts out at once
        ledger.past.be_away(case.stand.person.id, Absence(case.stand.life.since, ledger.now))


def _by_reason(cases: Iterable[_Case]) -> dict[str, list[_Case]]:
    found: dict[str, list[_Case]] = defaultdict(list)
    for case in cases:
        found[case.reason].append(case)
    return found


def _ids(cases: Iterable[_Case]) -> list[str]:
    return [case.stand.person.id for case in cases]


# --- the plan's own name ---


def _milliseconds(at: datetime) -> int:
    return round(at.timestamp() * 1000)


def _as_of(token: str, now: datetime) -> datetime:
    try:
        as_of = datetime.fromtimestamp(int(token.partition("-")[0], 16) / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        raise Refused(f'"{token}" is no plan: write what `relent plan` prints') from None
    if not now - _GOOD_FOR <= as_of <= now + timedelta(milliseconds=1):
        raise Refused(
            f"this plan is of {as_of:%a %d %b %H:%M} UTC, and good for an hour. Run relent plan again"
        )
    return as_of


def _what_moved(revision: Revision, token: str, store: Store) -> str:
    if token.split("-")[1:2] != [revision.version[:8]]:
        return "the file is another one than the one that was planned"
    with store.reading(revision.as_of) as ledger:
        moved = ledger.enrollments.moved_since(revision.as_of, revision.sequence, but_not=revision.version)
    if moved:
        return f"{len(moved):,} {'person' if len(moved) == 1 else 'people'} ({some(moved)})"
    if not revision.changes:
        return "nobody is in flight on another version any more"
    return "its mailboxes have other letters before them"
