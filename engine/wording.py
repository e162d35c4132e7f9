"""What a letter says to one person, and what is missing before it can be said. Pure."""

import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from engine.addresses import valid_address
from engine.errors import Refused
from engine.limits import share_of_chance
from engine.markup import html_part, letter_parts, text_of
from engine.render import gaps, holds, render
from engine.sequence import Sequence, Step, Variant

Known = Mapping[str, Any]  #: what a template sees

_MOST_KNOWN = 1_000
_of_everybody: dict[
    str, tuple[str, ...]
] = {}  #: what each version of a sequence needs, if that depends on nobody


@dataclass(frozen=True, slots=True, kw_only=True)
class Worded:
    """A letter, said to somebody."""

    subject: str | None  #: None: the same thread goes on
    text: str
    html: str | None
    variant: str | None
    cc: tuple[str, ...] = ()
    bcc: tuple[str, ...] = ()


class Say(Protocol):
    """Who finds the words."""

    def __call__(
        self, step: Step, sequence: Sequence, known: Known, *, person: str, winner: str | None = None
    ) -> Worded: ...


def known_of(sequence: Sequence, email: str, variables: Mapping[str, str]) -> dict[str, Any]:
    """What a template sees: what we always know, else the person's own words, else the sequence's defaults.

    An empty cell says nothing; a column that is called like what we always know does not either.
    """
    given = {name: value for name, value in variables.items() if value.strip()}
    about = {"email": email, "sequence": sequence.name} | (
        {"owner": sequence.owner} if sequence.owner else {}
    )
    known = {**sequence.defaults, **given, **about}
    known.pop("step", None)  # each step says its own
    return known


def word(step: Step, sequence: Sequence, known: Known, *, person: str, winner: str | None = None) -> Worded:
    """Raises Refused, in words, when it cannot be said."""
    way = _way(step, sequence, person, winner)
    known = {**known, "step": {"id": step.id}}
    text, html = _parts(way, sequence.signature, known)
    if not text.strip():
        raise Refused("the text is empty")
    return Worded(
        subject=None if way.subject is None else one_line(render(way.subject, known), "the subject"),
        text=text.strip() + "\n",
        html=html,
        variant=way.id,
        cc=tuple(_copies(step.cc, known, "cc")),
        bcc=tuple(_copies(step.bcc, known, "bcc")),
    )


def unsaid(step: Step, sequence: Sequence, known: Known, *, person: str, winner: str | None = None) -> Worded:
    """Which letter it would be, without its words: where only the dates are looked at, nobody reads them."""
    way = _way(step, sequence, person, winner)
    return Worded(subject=way.subject and "", text="", html=None, variant=way.id)


def rehearse(sequence: Sequence, email: str, variables: Mapping[str, str]) -> None:
    """Say everything that may be said to this person once, to nobody. Raises Refused when something cannot be said."""
    known = known_of(sequence, email, variables)
    for step in may_reach(sequence.steps, known):
        try:
            for way in step.ways if step.kind == "mail" else ():
                word(step, sequence, known, person=email, winner=way.id)
            say_errand(step, known)
        except Refused as error:
            raise Refused(f"{step.id}: {error}") from error


def lacking(sequence: Sequence, variables: Mapping[str, str]) -> str | None:
    """What is missing before anybody is written to: `company is missing`. Every step is looked at, not the first only."""
    known = known_of(sequence, "somebody", variables)
    missing = [name for name in _all_needed(sequence, known) if not str(known.get(name, "")).strip()]
    if not missing:
        return None
    return f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing"


def _all_needed(sequence: Sequence, known: Known) -> tuple[str, ...]:
    """Where everybody goes one way, everybody needs the same: that is asked at every letter, and found out once."""
    if (found := _of_everybody.get(sequence.version)) is not None:
        return found
    needed = dict.fromkeys(sequence.requires)
    for step in may_reach(sequence.steps, known):
        needed |= dict.fromkeys(_needed(step, sequence))
    needed.pop("step", None)
    if not any(step.when or step.choose for step in sequence.every_step()):
        if len(_of_everybody) >= _MOST_KNOWN:
            _of_everybody.clear()
        _of_everybody[sequence.version] = tuple(needed)
    return tuple(needed)


def may_reach(steps: tuple[Step, ...], known: Known) -> Iterator[Step]:
    """Every step that this person may come to. What they are told depends on them; what they do, nobody knows yet."""
    for step in steps:
        if step.when is not None and not holds(step.when, known):
            continue
        yield step
        if step.choose is not None:
            yield from may_reach(chosen(step, known), known)
        else:
            yield from may_reach(tuple(step.inner), known)


def chosen(step: Step, known: Known) -> tuple[Step, ...]:
    """The first way that is true, else the last, if there is one."""
    for choice in step.choose or ():
        if choice.when is None or holds(choice.when, known):
            return choice.steps
    return ()


def say_errand(step: Step, known: Known) -> dict[str, Any]:
    """A task, or what a webhook is told, in this person's words."""
    known = {**known, "step": {"id": step.id}}
    if step.task is not None:
        said = {"task": one_line(render(step.task, known), "the task")}
        return said | ({"assign": one_line(render(step.assign, known), "assign")} if step.assign else {})
    if step.webhook is not None:
        return {"url": step.webhook, "with": {key: render(text, known) for key, text in step.with_.items()}}
    return {}


def one_line(text: str, what: str) -> str:
    """A header is one line; a control character in it is somebody's attempt to write another header."""
    text = text.strip()
    if not text:
        raise Refused(f"{what} is empty")
    if any(unicodedata.category(letter) in {"Cc", "Zl", "Zp"} for letter in text):
        raise Refused(f"{what} has a line break or a control character in it")
    return text


def _copies(addresses: Iterable[str], known: Known, what: str) -> Iterator[str]:
    """Each is one plain address, or none: a cell of the list does not add recipients."""
    for address in addresses:
        if not (said := render(address, known).strip()):
            continue
        said = one_line(said, what)
        try:
            yield valid_address(said)
        except Refused as error:
            raise Refused(f"{what}: {error}") from error


def _needed(step: Step, sequence: Sequence) -> Iterator[str]:
    texts = [step.task, step.assign, *step.with_.values(), *step.cc, *step.bcc]
    if step.kind == "mail":
        texts.append(sequence.signature)
        for way in step.ways:
            texts += [way.subject, way.body, way.html]
    for text in texts:
        yield from gaps(text) if text else ()


def way_of(step_id: str, variant: str | None, sequence: Sequence) -> Variant | None:
    """How a letter was said that is written already; None: this sequence has no such letter."""
    step = next((each for each in sequence.every_step() if each.id == step_id and each.kind == "mail"), None)
    if step is None:
        return None
    return next((way for way in step.ways if way.id == variant), step.ways[0])


def _way(step: Step, sequence: Sequence, person: str, winner: str | None) -> Variant:
    """The same for the same person, however often it is asked."""
    ways = step.ways
    if len(ways) == 1:
        return ways[0]
    if winner is not None:
        return next(way for way in ways if way.id == winner)
    drawn = share_of_chance(f"{sequence.name}/{person}/{step.id}/variant") * sum(way.weight for way in ways)
    for way in ways:
        drawn -= way.weight
        if drawn < 0:
            return way
    return ways[-1]


def _parts(way: Variant, signature: str | None, known: Known) -> tuple[str, str | None]:
    if way.html is None:
        parts = letter_parts(way.body or "", known, signature)
        return parts.text, parts.html
    html = html_part(way.html, known, signature)
    return (letter_parts(way.body, known, signature).text if way.body else text_of(html)), html
