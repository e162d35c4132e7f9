"""A sequence as a picture: its steps from top to bottom, how many each has reached, and how many answered it. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from engine.measures import Wait
from engine.odds import Odds, odds
from engine.sequence import Sequence as Spoken
from engine.sequence import Step
from engine.store.funnels import Stage

_UNITS = {
    "s": "second",
    "m": "minute",
    "h": "hour",
    "d": "day",
    "w": "week",
    "bd": "business day",
}
_WIDE = 100.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One of the ways to say a step."""

    name: str | None
    weight: int
    subject: str | None
    body: str | None
    html: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A step, as its author wrote it."""

    id: str
    kind: str
    depth: int  #: how many steps it stands in
    after: str  #: as it is written: `3d`
    wait: str  #: the same in words
    only_if: str | None
    says: str  #: in short, whatever it is
    ways: tuple[Way, ...] = ()
    inside: str | None = None  #: on which way of the step around it


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """What became of a step, with how wide it is drawn: of a hundred."""

    step: str
    known: bool  #: False: no step of that name stands in the version that is shown
    after: str
    planned: int
    sent: int
    replied: Odds
    bounced: Odds
    unsubscribed: Odds
    complained: Odds
    sent_width: float
    planned_width: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """One way to say a step, and how it does beside the others."""

    name: str
    share_of: str  #: how often it is chosen, in words
    subject: str | None
    sent: int
    replied: Odds


@dataclass(frozen=True, slots=True, kw_only=True)
class Contest:
    """Several ways to say one step, side by side."""

    step: str
    rule: str  #: when one of them wins, in words
    best: str | None  #: everybody gets this one from now on
    ways: tuple[Contender, ...]


# --- what its author wrote ---


def lines(sequence: Spoken) -> list[Line]:
    """Top to bottom, those inside others too."""
    return list(_walk(sequence.steps, 0, None))


def _walk(steps: Iterable[Step], depth: int, inside: str | None) -> Iterator[Line]:
    for step in steps:
        yield _line(step, depth, inside)
        for choice in step.choose or ():
            way = f"if {choice.when}" if choice.then is not None else "else"
            yield from _walk(choice.steps, depth + 1, way)
        yield from _walk(step.then, depth + 1, f"when {step.wait_for} came")
        yield from _walk(step.otherwise, depth + 1, f"when {step.wait_for} did not come")


def _line(step: Step, depth: int, inside: str | None) -> Line:
    return Line(
        id=step.id,
        kind="wait" if step.kind == "wait_for" else step.kind,
        depth=min(depth, 3),
        after=str(step.after),
        wait=wait_in_words(step.after),
        only_if=step.when,
        says=_in_short(step),
        ways=_ways(step),
        inside=inside,
    )


def _ways(step: Step) -> tuple[Way, ...]:
    if step.kind != "mail":
        return ()
    return tuple(
        Way(
            name=each.id if step.variants else None,
            weight=int(each.weight),
            subject=each.subject,
            body=each.body,
            html=each.html is not None,
        )
        for each in step.ways
    )


def _in_short(step: Step) -> str:
    match step.kind:
        case "task":
            return f"{step.task}" + (f", for {step.assign}" if step.assign else "")
        case "webhook":  # the rest of an address may be a secret
            return f"calls {urlsplit(step.webhook or '').hostname}"
        case "wait_for":
            return f"waits for {step.wait_for}, up to {wait_in_words(step.up_to) if step.up_to else ''}"
        case "choose":
            return "the first of these that is true"
        case _:
            subject = step.ways[0].subject
            return subject if subject is not None else "in the same conversation"


def wait_in_words(wait: Wait) -> str:
    """`3 business days`; nothing to wait for: `at once`."""
    if wait.amount == 0:
        return "at once"
    unit = _UNITS[wait.unit]
    return f"{wait.amount} {unit if wait.amount == 1 else unit + 's'}"


# --- what became of it ---


def bars(sequence: Spoken | None, stages: Sequence[Stage]) -> list[Bar]:
    """A bar for every mail, in the order in which it is written; then what only earlier versions had."""
    together: dict[str, list[Stage]] = {}
    for stage in stages:
        together.setdefault(stage.step, []).append(stage)
    written = [step for step in sequence.every_step() if step.kind == "mail"] if sequence else []
    waits = {step.id: str(step.after) if step.after.amount else "at once" for step in written}
    names = [*waits, *(name for name in together if name not in waits)]
    most = max((_reached(together.get(name, [])) for name in names), default=0)
    return [_bar(name, together.get(name, []), waits.get(name), most) for name in names]


def _reached(stages: Sequence[Stage]) -> int:
    return sum(stage.sent + stage.planned for stage in stages)


def _bar(name: str, stages: Sequence[Stage], after: str | None, most: int) -> Bar:
    sent, planned = sum(stage.sent for stage in stages), sum(stage.planned for stage in stages)
    return Bar(
        step=name,
        known=after is not None,
        after=after or "",
        planned=planned,
        sent=sent,
        replied=odds(sum(stage.replied for stage in stages), sent),
        bounced=odds(sum(stage.bounced for stage in stages), sent),
        unsubscribed=odds(sum(stage.unsubscribed for stage in stages), sent),
        complained=odds(sum(stage.complained for stage in stages), sent),
        sent_width=round(_WIDE * sent / most, 2) if most else 0.0,
        planned_width=round(_WIDE * planned / most, 2) if most else 0.0,
    )


def widest(shown: Sequence[Bar]) -> float:
    """Where the scale of answers ends: a whole tenth that has every range of which something is known in it."""
    most = max((bar.replied.high for bar in shown if bar.sent), default=1.0)
    return next((tenths / 10 for tenths in (1, 2, 3, 4, 5, 6, 8) if most <= tenths / 10), 1.0)


def rough(share: float) -> str:
    """`7.5 %`, `42 %`: no more digits than anybody should believe."""
    each = 100 * share
    return f"{each:.0f} %" if each >= 10 or each == 0 else f"{each:.1f} %"
