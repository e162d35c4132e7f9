"""A month in a second: people, a sequence and what the world may do, played through on a virtual clock. Pure.

The planner is the one that production asks, and so are the limits; so what is foreseen here is what happens there, if
the world does the same. Two things are taken as done at once, because nobody can know better: a human's yes, and a task.
"""

import heapq
from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Iterable, Iterator
from collections.abc import Sequence as Row
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from itertools import count

from engine.addresses import contact
from engine.companies import company
from engine.errors import Refused
from engine.limits import Diary, Place, What, counted, next_room, room_now
from engine.model import Enrollment, Pace, Prospect
from engine.plan import (
    Done,
    Errand,
    Happened,
    History,
    NothingLeft,
    Plan,
    Planned,
    Reader,
    Said,
    Waiting,
    plan,
    reader_of,
)
from engine.render import holds
from engine.sequence import Sequence
from engine.states import EnrollmentState, StopReason
from engine.verdict import absence, stop_scope
from engine.wording import Say, known_of, word

# At one instant: first what the world does, then who is being followed up.
_WORLD, _FOLLOW_UP, _LETTER = 0, 1, 2
_BATCH = Pace().batch  # letters that a worker takes in hand at once

_REASONS = {
    "reply": StopReason.REPLIED,
    "bounce": StopReason.BOUNCED,
    "complaint": StopReason.COMPLAINED,
    "unsubscribe": StopReason.UNSUBSCRIBED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """What somebody does, and when: a reply, a bounce, a complaint, an unsubscribe, an out_of_office or an event."""

    at: datetime
    kind: str
    name: str = ""  #: the event's
    value: str | None = None  #: and what it carries
    back: date | None = None  #: the day of return


@dataclass(slots=True, kw_only=True, eq=False)
class Life:
    """One person on the way through."""

    enrollment: Enrollment
    reader: Reader
    history: History = field(default_factory=History)
    next: Plan | None = None
    turn: int = 0  #: whatever was foreseen for an earlier turn is not true any more

    @property
    def email(self) -> str:
        return self.enrollment.email

    @property
    def ended(self) -> bool:
        return self.enrollment.state not in (EnrollmentState.ACTIVE, EnrollmentState.PAUSED)

    @property
    def state(self) -> str:
        """In a word: why it stopped, else where it stands."""
        if self.enrollment.state == EnrollmentState.STOPPED and self.enrollment.reason:
            return self.enrollment.reason
        return self.enrollment.state


_Entry = tuple[datetime, int, str, int, int, Life, Deed | None]


class World:
    """Looks on while things happen, and says what comes of a letter. This one says nothing."""

    def letter(self, life: Life, letter: Planned) -> Iterable[Deed]:
        """It has just left."""
        return ()

    def errand(self, life: Life, errand: Errand) -> None:
        """A task was given, or a webhook called."""

    def deed(self, life: Life, deed: Deed) -> None:
        """Somebody did something, whether or not it changes anything."""


@dataclass(slots=True)
class _Waiting:
    """What is booked; and which follow-ups have not left yet, also those whose hour is this very instant."""

    _booked: Diary
    _follow_ups: defaultdict[tuple[What, str | None], list[datetime]] = field(
        default_factory=lambda: defaultdict(list)
    )

    def book(self, place: Place, at: datetime) -> None:
        self._booked.book(place, at)
        for still in self._still(place):
            insort(still, at)

    def strike(self, place: Place, at: datetime) -> None:
        self._booked.strike(place, at)
        self.leave(place, at)

    def leave(self, place: Place, at: datetime) -> None:
        """It keeps its room, and nobody waits for it any more."""
        for still in self._still(place):
            still.pop(bisect_left(still, at))

    def to_come(self, what: What, key: str, now: datetime, end: datetime) -> int:
        return bisect_left(self._follow_ups[what, key], end)

    def count(self, what: What, key: str, begin: datetime, end: datetime, *, openers: bool) -> int:
        return self._booked.count(what, key, begin, end, openers=openers)

    def last(self, inbox: str, at: datetime, reach: timedelta) -> datetime | None:
        return self._booked.last(inbox, at, reach)

    def follow_up_near(self, inbox: str, at: datetime, reach: timedelta) -> datetime | None:
        return self._booked.follow_up_near(inbox, at, reach)

    def began(self, inbox: str) -> datetime | None:
        return self._booked.began(inbox)

    def _still(self, place: Place) -> Iterator[list[datetime]]:
        if not place.opener:
            yield self._follow_ups["mailbox", place.inbox]
            yield self._follow_ups["company", place.company]
            yield self._follow_ups["domain", place.domain]


@dataclass(slots=True, kw_only=True)
class Foresight:
    """Played on until nothing is left to happen, or until an end."""

    sequence: Sequence
    start: datetime
    world: World = field(default_factory=World)
    say: Say = word
    lives: list[Life] = field(default_factory=list)
    booked: Diary = field(init=False)
    sent: Diary = field(init=False)
    _waiting: _Waiting = field(init=False)
    _queue: list[_Entry] = field(default_factory=list)
    _count: Iterator[int] = field(default_factory=count)
    _companies: dict[str, list[Life]] | None = field(init=False)  #: None: nothing depends on them

    def __post_init__(self) -> None:
        counts = counted(self.sequence.limits)
        self.booked, self.sent = Diary(counts=counts), Diary(counts=counts)
        self._waiting = _Waiting(self.booked)
        self._companies = {} if _asks_for_companies(self.sequence) else None

    def rule_against(self, prospect: Prospect) -> str | None:
        """Which of the sequence's own rules leaves this person out; those that need a memory of other days do not."""
        rules, employer = self.sequence.enroll, self._employer(prospect.email)
        known = known_of(self.sequence, prospect.email, prospect.variables)
        if rules.skip_if and holds(rules.skip_if, known):
            return f"skip_if: {rules.skip_if}"
        inside = len(self._colleagues(employer))
        if rules.per_company is not None and inside >= rules.per_company:
            return f"per_company {rules.per_company}: {employer} has as many already"
        return None

    def enter(self, prospect: Prospect, inbox: str, deeds: Row[Deed] = ()) -> Life:
        """Somebody begins. Who cannot be written to is paused, and says why. Raises Refused for a zone that is none."""
        enrollment = _enrollment(prospect, inbox, self.sequence, self.start)
        reader = reader_of(self.sequence, prospect.email, prospect.variables)
        life = Life(enrollment=enrollment, reader=reader)
        self.lives.append(life)
        if self._companies is not None and (employer := self._employer(prospect.email)):
            self._companies.setdefault(employer, []).append(life)
        for deed in deeds:
            self._expect(deed, life)
        self._go_on(life, self.start)
        return life

    @property
    def next_at(self) -> datetime | None:
        """When something happens next, or might; None: nothing is left."""
        while self._queue:
            at, _, _, _, turn, life, deed = self._queue[0]
            if deed is not None or turn == life.turn:
                return at
            heapq.heappop(self._queue)
        return None

    def play(self, until: datetime) -> None:
        while self._queue and self._queue[0][0] <= until:
            now = self._queue[0][0]
            for _, _, _, _, turn, life, deed in self._at_once():
                if deed is not None:
                    self._happen(deed, life, now)
                elif turn == life.turn:
                    self._due(life, now)

    def _at_once(self) -> list[_Entry]:
        """What is next; letters of one instant are taken in hand together, as a worker does."""
        found = [heapq.heappop(self._queue)]
        at, rank = found[0][:2]
        while rank != _WORLD and len(found) < _BATCH and self._queue and self._queue[0][0] == at:
            found.append(heapq.heappop(self._queue))
        return found

    # --- what comes next ---

    def _go_on(self, life: Life, now: datetime) -> None:
        self._forget(life)
        found = self._plan(life, now)
        while isinstance(found, Errand) and found.at <= now:
            self._do(found, life)
            found = self._plan(life, now)
        life.next = found
        match found:
            case Planned():
                self._book(found, life)
            case Errand(at=at) | Waiting(until=datetime() as at):
                self._push(at, _WORLD, life)
            case Waiting(reason):
                if life.enrollment.state == EnrollmentState.ACTIVE:
                    self._end(life, EnrollmentState.PAUSED, reason)
            case NothingLeft():
                self._end(life, EnrollmentState.FINISHED, None)

    def _plan(self, life: Life, now: datetime) -> Plan:
        try:
            return plan(
                self.sequence,
                life.enrollment,
                life.history,
                now,
                diary=self.booked,
                reader=life.reader,
                say=self.say,
            )
        except Refused as error:
            return Waiting(str(error))

    def _do(self, errand: Errand, life: Life) -> None:
        done = Done(errand.step, errand.at, errand.at)
        life.history = replace(life.history, done=(*life.history.done, done))
        self.world.errand(life, errand)

    def _book(self, letter: Planned, life: Life) -> None:
        life.next = letter
        self._waiting.book(letter.place, letter.send_at)
        self._push(letter.send_at, _LETTER if letter.place.opener else _FOLLOW_UP, life)

    def _due(self, life: Life, now: datetime) -> None:
        if isinstance(life.next, Planned):
            self._leave(life.next, life, now)
        else:
            self._go_on(life, now)

    def _leave(self, letter: Planned, life: Life, now: datetime) -> None:
        if full := room_now(now, letter.place, sequence=self.sequence, sent=self.sent, waiting=self._waiting):
            self._move(letter, life, full.until, full.why)
            return
        self._waiting.leave(letter.place, letter.send_at)
        life.next = None
        life.history = replace(life.history, said=(*life.history.said, Said(letter.step, now)))
        self.sent.book(letter.place, now)
        for deed in self.world.letter(life, letter):
            self._expect(deed, life)
        self._go_on(life, now)

    def _move(self, letter: Planned, life: Life, earliest: datetime, why: str) -> None:
        """No room after all."""
        self._forget(life)
        room = next_room(
            earliest, letter.place, calendar=life.reader.calendar, sequence=self.sequence, diary=self.booked
        )
        self._book(replace(letter, send_at=room.at, reason=room.reason or why), life)

    def _forget(self, life: Life) -> None:
        life.turn += 1
        if isinstance(life.next, Planned):
            self._waiting.strike(life.next.place, life.next.send_at)
        life.next = None

    # --- what the world does ---

    def _happen(self, deed: Deed, life: Life, now: datetime) -> None:
        self.world.deed(life, deed)
        if deed.kind == "out_of_office":
            self._be_away(deed, life, now)
        elif deed.kind == "event":
            self._note(deed, life, now)
        elif scope := stop_scope(deed.kind, self.sequence):
            self._stop(life, scope, _REASONS[deed.kind])

    def _note(self, deed: Deed, life: Life, now: datetime) -> None:
        happened = (*life.history.happened, Happened(deed.name, deed.value, now))
        life.history = replace(life.history, happened=happened)
        if scope := stop_scope(deed.name, self.sequence):
            self._stop(life, scope, StopReason.MEETING)
        elif isinstance(life.next, Waiting) and not life.ended:
            self._go_on(life, now)

    def _be_away(self, deed: Deed, life: Life, now: datetime) -> None:
        if life.ended:
            return
        away = absence(self.sequence.out_of_office, life.reader.calendar, now, deed.back)
        if away is None:
            self._end(life, EnrollmentState.PAUSED, "out_of_office")
            return
        life.history = replace(life.history, absences=(*life.history.absences, away))
        if life.enrollment.state == EnrollmentState.ACTIVE:
            self._go_on(life, now)

    def _stop(self, life: Life, scope: str, reason: StopReason) -> None:
        colleagues = self._colleagues(self._employer(life.email)) if scope == "company" else []
        for one in colleagues or [life]:
            if not one.ended:
                self._end(one, EnrollmentState.STOPPED, reason)

    def _end(self, life: Life, state: EnrollmentState, reason: str | None) -> None:
        self._forget(life)
        life.enrollment = replace(life.enrollment, state=state, reason=reason)

    # --- companies ---

    def _employer(self, email: str) -> str | None:
        return None if self._companies is None else company(email)

    def _colleagues(self, employer: str | None) -> list[Life]:
        return [] if self._companies is None or employer is None else self._companies.get(employer, [])

    # --- the queue ---

    def _expect(self, deed: Deed, life: Life) -> None:
        heapq.heappush(self._queue, (deed.at, _WORLD, life.email, next(self._count), 0, life, deed))

    def _push(self, at: datetime, rank: int, life: Life) -> None:
        heapq.heappush(self._queue, (at, rank, life.email, next(self._count), life.turn, life, None))


def _asks_for_companies(sequence: Sequence) -> bool:
    return "company" in sequence.stop.model_dump().values() or sequence.enroll.per_company is not None


def _enrollment(prospect: Prospect, inbox: str, sequence: Sequence, start: datetime) -> Enrollment:
    return Enrollment(
        id="",
        sequence=sequence.name,
        version=sequence.version,
        inbox_id=contact(inbox),
        email=prospect.email,
        contact=contact(prospect.email),
        variables=prospect.variables,
        state=EnrollmentState.ACTIVE,
        reason=None,
        thread_id="",
        created_at=start,
    )
