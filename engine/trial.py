"""The tests that sit in a sequence: one person on a virtual clock, and whether it went as its author expects. Pure."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from engine.addresses import valid_address
from engine.errors import Refused
from engine.foresee import Deed, Foresight, Life, World
from engine.measures import Window, parse_day, parse_instant, parse_zone
from engine.model import Prospect
from engine.plan import Errand, Planned, Reader, reader_of
from engine.sequence import Expectation, Happening, Sequence, Trial
from engine.states import EnrollmentState
from engine.wording import rehearse

_LONGEST = timedelta(days=3 * 366)
_SKIPPED = "skipped"


def run(sequence: Sequence, trial: Trial) -> tuple[str, ...]:
    """What went otherwise than expected, in words; empty: it passed."""
    try:
        outcome = _play(sequence, trial)
    except (Refused, ValueError) as error:
        return (f"it cannot be played: {error}",)
    except OverflowError:
        return ("it cannot be played: it reaches further than calendars do",)
    return tuple(_otherwise(trial.expect, outcome))


def stand_in(pool: str) -> str:
    """Who writes, where nobody knows yet who is in a pool."""
    return f"{pool}@pool.example"


def zone_of_person(reader: Reader) -> ZoneInfo:
    """The clock on their own wall, also where the sequence goes by another."""
    try:
        return ZoneInfo(parse_zone(str(reader.known.get("timezone", ""))))
    except ValueError:
        return reader.calendar.zone


@dataclass(slots=True, kw_only=True)
class _Outcome(World):
    """What was written down on the way."""

    zone: ZoneInfo
    letters: list[Planned] = field(default_factory=list)
    errands: list[Errand] = field(default_factory=list)
    states: tuple[str, ...] = ()  #: where it ended, in every word for it; the one to show is the first

    def letter(self, life: Life, letter: Planned) -> Iterable[Deed]:
        self.letters.append(letter)
        return ()

    def errand(self, life: Life, errand: Errand) -> None:
        self.errands.append(errand)

    def when(self, letter: Planned) -> datetime:
        return letter.send_at.astimezone(self.zone)

    def steps(self, kind: str) -> list[str]:
        return [errand.step for errand in self.errands if errand.kind == kind]


def _play(sequence: Sequence, trial: Trial) -> _Outcome:
    prospect = _prospect(trial)
    reader = reader_of(sequence, prospect.email, prospect.variables)
    if reader.missing is None:
        rehearse(sequence, prospect.email, prospect.variables)
    outcome = _Outcome(zone=zone_of_person(reader))
    foresight = Foresight(sequence=sequence, start=trial.start, world=outcome)
    if foresight.rule_against(prospect):
        outcome.states = (_SKIPPED,)
        return outcome
    inbox = sequence.sender if isinstance(sequence.sender, str) else stand_in(sequence.sender.pool)
    deeds = [_deed(happening, trial.start, reader) for happening in trial.events]
    life = foresight.enter(prospect, inbox, deeds)
    foresight.play(trial.start + _LONGEST)
    outcome.states = tuple(_words_for(life))
    return outcome


def _prospect(trial: Trial) -> Prospect:
    variables = dict(trial.recipient)
    return Prospect(email=valid_address(variables.pop("email", "")), variables=variables)


def _deed(happening: Happening, start: datetime, reader: Reader) -> Deed:
    at, kind, said = reader.calendar.add(happening.at, start), happening.kind, happening.said
    match kind:
        case "click":
            return Deed(at=at, kind="event", name="clicked", value=said)
        case "event":
            return Deed(at=at, kind="event", name=said, value=happening.value)
        case "out_of_office":
            return Deed(at=at, kind=kind, back=None if said == "unknown" else parse_day(said))
        case _:
            return Deed(at=at, kind=kind)


def _words_for(life: Life) -> Iterator[str]:
    state, reason = life.enrollment.state, life.enrollment.reason
    if state == EnrollmentState.STOPPED:
        yield from (reason or state, state)
    elif state == EnrollmentState.PAUSED:
        yield from (f"held: {reason}", "held", state, reason or state)
    else:
        yield state


# --- what was expected ---


def _otherwise(expect: Expectation, outcome: _Outcome) -> Iterator[str]:
    lists: tuple[tuple[str, tuple[str, ...] | None, list[str]], ...] = (
        ("sent", expect.sent, [letter.step for letter in outcome.letters]),
        ("tasks", expect.tasks, outcome.steps("task")),
        ("webhooks", expect.webhooks, outcome.steps("webhook")),
    )
    for name, expected, got in lists:
        if expected is not None and list(expected) != got:
            yield f"{name}: expected {_listed(expected)}; got {_listed(got)}"
    if expect.state is not None and expect.state.strip() not in outcome.states:
        yield f"state: expected {expect.state.strip()}; got {outcome.states[0]}"
    for step, earliest in expect.not_before.items():
        yield from _too_early(step, earliest, outcome)
    if expect.within is not None:
        yield from _outside(expect.within, outcome)


def _too_early(step: str, earliest: str, outcome: _Outcome) -> Iterator[str]:
    letters = [letter for letter in outcome.letters if letter.step == step]
    is_early = _day_or_instant(earliest)
    if not letters:
        yield f"not_before: expected {step} on {earliest} or later; it was not sent"
    for letter in letters:
        if is_early(outcome.when(letter)):
            yield f"not_before: expected {step} on {earliest} or later; got {_clock(outcome.when(letter))}"


def _day_or_instant(text: str) -> Callable[[datetime], bool]:
    """A day is one of the person's own."""
    if len(text) == len("2026-03-13"):
        day: date = parse_day(text)
        return lambda local: local.date() < day
    instant = parse_instant(text)
    return lambda local: local < instant


def _outside(windows: tuple[Window, ...], outcome: _Outcome) -> Iterator[str]:
    for letter in outcome.letters:
        local = outcome.when(letter)
        if not any(_is_in(local, window) for window in windows):
            allowed = " or ".join(map(_in_short, windows))
            yield f"within: expected {letter.step} in {allowed}; got {_clock(local)}"


def _is_in(local: datetime, window: Window) -> bool:
    since_midnight = timedelta(hours=local.hour, minutes=local.minute, seconds=local.second)
    begin, end = timedelta(minutes=window.start), timedelta(minutes=window.end)
    return local.weekday() in window.days and begin <= since_midnight < end


def _in_short(window: Window) -> str:
    """`mon-fri 08:30-17:00`, as an author writes it."""
    days, _, hours = str(window).partition(" ")
    names = days.split(",")
    whole = len(names) > 2 and max(window.days) - min(window.days) == len(window.days) - 1
    return f"{names[0]}-{names[-1]} {hours}" if whole else f"{days} {hours}"


def _listed(steps: Iterable[str]) -> str:
    return ", ".join(steps) or "nothing"


def _clock(local: datetime) -> str:
    zone = local.tzinfo.key if isinstance(local.tzinfo, ZoneInfo) else "UTC"
    return f"{local:%a %d %b %Y %H:%M} {zone}"
