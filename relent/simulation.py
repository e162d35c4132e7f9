"""A whole list, played through: how much leaves on which day, who is held and why, and when it is over."""

import gc
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from engine.foresee import Deed, Foresight, Life, World
from engine.limits import mailbox_rates, period, sequence_zone
from engine.model import Prospect
from engine.plan import Errand, Planned
from engine.sequence import Sequence
from engine.states import EnrollmentState, StopReason
from engine.wording import unsaid
from relent.fate import Chances, Fate
from relent.foretell import Admitted, Kind, Progress, admit
from sequences.people import BadRow

_MOST_NAMES = 3
_STATES: dict[str, str] = {
    StopReason.REPLIED: "stopped_with_a_colleague",
    StopReason.BOUNCED: "stopped_with_a_colleague",
    EnrollmentState.ACTIVE: "still_going",
}
_MOST_DAYS = 42  #: more are told by the week


@dataclass(slots=True, kw_only=True)
class Day:
    """What one mailbox sends on one day of its own zone."""

    day: date
    inbox: str
    first: int = 0
    follow_ups: int = 0
    cap: int | None = None  #: None: nothing counts by the day
    used: float = 0.0  #: the share of what the fullest of its limits allows
    _shares: dict[tuple[str, datetime], int] = field(default_factory=dict, repr=False)

    @property
    def letters(self) -> int:
        return self.first + self.follow_ups

    @property
    def full(self) -> bool:
        return self.used >= 1


@dataclass(slots=True, kw_only=True)
class Group:
    """People to whom the same happened, for the same reason."""

    kind: Kind
    reason: str
    people: int = 0
    examples: list[str] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class Simulation:
    """The whole list, counted."""

    sequence: str
    start: datetime
    until: datetime
    zone: str  #: whose midnight ends a day: the sender's
    chances: Chances
    people: dict[str, int]
    groups: list[Group]
    days: list[Day]
    tasks: dict[str, int]
    webhooks: dict[str, int]
    waited: dict[str, int]  #: by limit: how many letters left later because of it
    last: datetime | None
    over: bool  #: nothing is left to happen
    booked_until: datetime | None  #: where it is not over: the last date that is known already
    notes: list[str]

    @property
    def inboxes(self) -> list[str]:
        return sorted({day.inbox for day in self.days})

    @property
    def full(self) -> list[Day]:
        return [day for day in self.days if day.full]

    def as_dict(self) -> dict[str, Any]:
        chances = self.chances
        return {
            "sequence": self.sequence,
            "start": self.start,
            "until": self.until,
            "timezone": self.zone,
            "assumptions": {
                "replies": chances.replies,
                "ooo": chances.ooo,
                "bounces": chances.bounces,
                "seed": chances.seed,
            },
            "people": self.people,
            "reasons": [
                {
                    "kind": group.kind,
                    "reason": group.reason,
                    "people": group.people,
                    "examples": group.examples,
                }
                for group in self.groups
            ],
            "letters": {
                "first": sum(day.first for day in self.days),
                "follow_ups": sum(day.follow_ups for day in self.days),
            },
            "days": [_day_row(day) for day in self.days],
            "full": [{"date": f"{day.day}", "inbox_id": day.inbox} for day in self.full],
            "waited": self.waited,
            "tasks": self.tasks,
            "webhooks": self.webhooks,
            "last": self.last,
            "over": self.over,
            "booked_until": self.booked_until,
            "notes": self.notes,
        }


def _day_row(day: Day) -> dict[str, Any]:
    return {
        "date": f"{day.day}",
        "inbox_id": day.inbox,
        "first": day.first,
        "follow_ups": day.follow_ups,
        "cap": day.cap,
        "used": round(day.used, 3),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A day, or a week where there are too many days to read."""

    first_day: date
    last_day: date
    days: tuple[Day, ...]

    @property
    def label(self) -> str:
        if self.first_day == self.last_day:
            return f"{self.first_day:%a %d %b %Y}"
        return f"{self.first_day:%d %b} to {self.last_day:%d %b %Y}"

    @property
    def first(self) -> int:
        return sum(day.first for day in self.days)

    @property
    def follow_ups(self) -> int:
        return sum(day.follow_ups for day in self.days)

    @property
    def letters(self) -> int:
        return self.first + self.follow_ups

    def of(self, inbox: str) -> "Span":
        return replace(self, days=tuple(day for day in self.days if day.inbox == inbox))

    @property
    def used(self) -> float:
        """The share of its caps, over the days on which anything leaves; else of the fullest limit."""
        caps = [day.cap for day in self.days if day.cap]
        if caps and len(caps) == len(self.days):
            return self.letters / sum(caps)
        return max((day.used for day in self.days), default=0.0)


def spans(simulation: Simulation) -> list[Span]:
    """In the order of time; where nothing leaves, there is none."""
    days = simulation.days
    by_week = bool(days) and (days[-1].day - days[0].day).days > _MOST_DAYS
    found: dict[date, list[Day]] = defaultdict(list)
    for day in days:
        found[day.day - timedelta(days=day.day.weekday()) if by_week else day.day].append(day)
    length = timedelta(days=6 if by_week else 0)
    return [
        Span(first_day=begin, last_day=begin + length, days=tuple(inside)) for begin, inside in found.items()
    ]


def simulate(
    rows: Iterable[Prospect | BadRow],
    sequence: Sequence,
    *,
    inboxes: tuple[str, ...],
    start: datetime,
    until: datetime,
    chances: Chances,
    progress: Progress = lambda _: None,
) -> Simulation:
    """The same planner and the same limits as everywhere; only what people do is made up."""
    tally = _Tally(sequence, Fate(chances, sequence.steps), progress)
    foresight = Foresight(sequence=sequence, start=start, world=tally, say=unsaid)
    tally.began = foresight.booked.began
    people: Counter[str] = Counter()
    groups: dict[tuple[Kind, str], Group] = {}
    begun: list[Life] = []
    with _nothing_is_rubbish():
        for admitted in admit(rows, foresight, inboxes):
            people[admitted.kind] += 1
            if admitted.kind == "begun":
                begun.append(foresight.lives[-1])
            if admitted.reason is not None:
                _count(admitted, groups)
            progress(1)
        foresight.play(until)
    return Simulation(
        sequence=sequence.name,
        start=start,
        until=until,
        zone=tally.zone.key,
        chances=chances,
        people=_people(people, begun, tally),
        groups=sorted(groups.values(), key=lambda group: (group.kind, -group.people)),
        days=tally.finished_days(),
        tasks=dict(tally.errands["task"]),
        webhooks=dict(tally.errands["webhook"]),
        waited=dict(tally.waited.most_common()),
        last=tally.last,
        over=foresight.next_at is None,
        booked_until=_last_booked(foresight),
        notes=tally.notes,
    )


@contextmanager
def _nothing_is_rubbish() -> Iterator[None]:
    """Everybody lives until the end: whoever looks among a hundred thousand for rubbish, looks long and finds none."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _count(admitted: Admitted, groups: dict[tuple[Kind, str], Group]) -> None:
    rule, _, _ = (admitted.reason or "").partition(": ")
    per_company = rule.startswith("per_company ")  # else there would be as many reasons as companies
    reason = f"{rule}: their company has as many already" if per_company else admitted.reason or ""
    group = groups.setdefault((admitted.kind, reason), Group(kind=admitted.kind, reason=reason))
    group.people += 1
    if len(group.examples) < _MOST_NAMES:
        group.examples.append(admitted.email or f"line {admitted.line}")


def _people(entered: Counter[str], begun: list[Life], tally: "_Tally") -> dict[str, int]:
    became = Counter(_became(life, tally) for life in begun)
    return {
        "listed": entered.total(),
        "begun": entered["begun"],
        "held": entered["held"],
        "skipped": entered["skipped"],
        "refused": entered["refused"],
        "written_to": tally.written_to,
        "replied": became["replied"],
        "stopped_with_a_colleague": became["stopped_with_a_colleague"],
        "bounced": became["bounced"],
        "away": tally.away,
        "finished": became["finished"],
        "paused": became["paused"],
        "still_going": became["still_going"],
    }


def _became(life: Life, tally: "_Tally") -> str:
    """In one word, so that the words add up to those who began: what they did counts before where they stand."""
    if life.enrollment.contact in tally.replied:
        return "replied"
    if life.enrollment.contact in tally.bounced:
        return "bounced"
    return _STATES.get(life.state, life.state)


def _last_booked(foresight: Foresight) -> datetime | None:
    return max(
        (life.next.send_at for life in foresight.lives if isinstance(life.next, Planned)), default=None
    )


class _Tally(World):
    """Counts, and lets fate decide what comes of each letter."""

    def __init__(self, sequence: Sequence, fate: Fate, progress: Progress) -> None:
        self.zone = ZoneInfo(sequence_zone(sequence))
        self.days: dict[tuple[int, str], Day] = {}
        self.errands: dict[str, Counter[str]] = defaultdict(Counter)
        self.waited: Counter[str] = Counter()
        self.replied: set[str] = set()
        self.bounced: set[str] = set()
        self.written_to = self.away = 0
        self.last: datetime | None = None
        self.notes: list[str] = []
        self._sequence, self._fate, self._progress = sequence, fate, progress
        self._letters = 0
        self.began: Callable[[str], datetime | None] = lambda _: None  #: as the limits count it
        self._counts: Counter[tuple[str, str, datetime]] = Counter()

    def letter(self, life: Life, letter: Planned) -> Iterable[Deed]:
        at, inbox, is_first = letter.send_at, life.enrollment.inbox_id, len(life.history.said) == 1
        day = self._day(at, inbox)
        day.first += is_first
        day.follow_ups += not is_first
        self.written_to += is_first
        self._letters += 1
        self._progress(1)
        self.last = at
        if rule := _waited_for(letter.reason):
            self.waited[rule] += 1
        return self._fate.after(life, at)

    def errand(self, life: Life, errand: Errand) -> None:
        self.errands[errand.kind][errand.step] += 1

    def deed(self, life: Life, deed: Deed) -> None:
        if deed.kind == "reply":
            self.replied.add(life.enrollment.contact)
        self.away += deed.kind == "out_of_office"
        if deed.kind == "bounce":
            self.bounced.add(life.enrollment.contact)
        if deed.kind == "bounce" and not self.notes:
            self._look_at_bounces(deed.at)

    def _look_at_bounces(self, at: datetime) -> None:
        rule = self._sequence.pause_if
        if self._letters >= rule.min_sent and len(self.bounced) / self._letters > rule.bounce_rate:
            self.notes.append(
                f"the sequence would pause itself on {at.astimezone(self.zone):%a %d %b %Y}: {len(self.bounced)} of"
                f" {self._letters:,} letters bounced, more than {rule.bounce_rate:.1%}. Here it goes on."
            )

    def _day(self, at: datetime, inbox: str) -> Day:
        local = at.astimezone(self.zone).date()
        found = self.days.get((local.toordinal(), inbox))
        if found is None:
            found = self.days[local.toordinal(), inbox] = Day(day=local, inbox=inbox)
        for name, rate in mailbox_rates(self._sequence.limits, self.began(inbox), at, self.zone.key):
            begin, _ = period(at, rate.period, self.zone.key)
            self._counts[inbox, name, begin] += 1
            found._shares[name, begin] = rate.number
            if rate.period == "day":
                found.cap = rate.number if found.cap is None else min(found.cap, rate.number)
        return found

    def finished_days(self) -> list[Day]:
        for day in self.days.values():
            shares = [
                self._counts[day.inbox, name, begin] / number for (name, begin), number in day._shares.items()
            ]
            day.used = max(shares, default=0.0)
        return [self.days[key] for key in sorted(self.days)]


def _waited_for(reason: str) -> str | None:
    """`per_mailbox 40/day`, `ramp`, `gap 3m-9m`: the limit that made it late; None if it was none of them."""
    for sign in (" is full until ", " keeps "):
        rule, found, _ = reason.partition(sign)
        if found and rule.partition(" ")[0] in ("per_mailbox", "per_company", "per_domain", "gap", "ramp"):
            return "ramp" if rule.startswith("ramp ") else rule
    return None
