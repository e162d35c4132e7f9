"""The first run: from nothing to the first safe sequence, a step at a time; what is done is seen, and not asked for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import PurePath

from dashboard.frame import Answer, Asked, Door, SequenceFile, Shown, reading
from engine.store.today import Furnished

_EXAMPLE = "quick-question.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of the first day."""

    title: str
    says: str
    done: bool
    commands: tuple[str, ...] = ()  #: what to type, if it is not done
    href: str = ""
    action: str = ""


def start(asked: Asked) -> Answer:
    return Shown("start.html", {"steps": checklist(asked), "capture": asked.office.mode == "capture"})


def checklist(asked: Asked) -> tuple[Step, ...]:
    office = asked.office
    with reading(asked) as ledger:
        there = ledger.today.furnished()
    held = office.counted.see("held", partial(_held, asked)).value or {}
    return (
        _secret(office.secrets),
        _sequence(office.folder, office.sequences()),
        _people(there, office.folder),
        _a_yes(there, sum(held.values())),
        _heard(there, office.public_url),
        _out_into_the_world(office.mode),
    )


def _held(asked: Asked) -> Mapping[str, int]:
    with reading(asked) as ledger:
        return ledger.today.held()


def _secret(secrets: int) -> Step:
    return Step(
        title="A secret signs what your mailbox tells us",
        says="Whoever does not know it cannot stop a letter, or make one leave. relent init has made one.",
        done=secrets > 0,
        commands=("relent init",),
    )


def _sequence(folder: str, files: Sequence[SequenceFile]) -> Step:
    broken = [each for each in files if each.sequence is None]
    readable = [each.name for each in files if each.sequence is not None]
    wrong = f" {len(broken)} of them cannot be read: relent check says why." if broken else ""
    return Step(
        title="A sequence says what is written, and when",
        says=f"{_named(readable)} in {folder}.{wrong}" if files else f"There is no file in {folder} yet.",
        done=bool(readable),
        commands=("relent init", f"relent check {folder}") if not files else (f"relent check {folder}",),
        href="/sequences",
        action="Look at the sequences",
    )


def _people(there: Furnished, folder: str) -> Step:
    file = PurePath(folder) / _EXAMPLE
    return Step(
        title="Somebody is in it",
        says="Begin with yourself: --email takes one person, a CSV with a column email takes many.",
        done=there.person,
        commands=(
            f"relent preview {file}",
            f"relent enroll {file} --email you@example.org --var first_name=You --var company=Yours",
        ),
        href="/people",
        action="Look at the people",
    )


def _a_yes(there: Furnished, held: int) -> Step:
    waiting = "1 letter waits" if held == 1 else f"{held:,} letters wait"
    return Step(
        title="The first letter has left",
        says=f"{waiting} for your yes."
        if held and not there.letter
        else "With approval: first it waits for your yes.",
        done=there.letter,
        href="/review",
        action="Review",
    )


def _heard(there: Furnished, public_url: str | None) -> Step:
    """Behind a proxy nobody knows how the world reaches us, unless it was said."""
    how = (
        ""
        if public_url
        else " For its address, first write the name by which the world reaches this server into config.yaml: "
        "server: { public_url: https://your-name }"
    )
    return Step(
        title="Your mailbox tells us of answers",
        says=f"Point its webhook here. As soon as one is heard, an answer stops what is pending.{how}",
        done=there.answer,
        commands=(f"{public_url.rstrip('/')}/webhooks/agentmail",) if public_url else (),
        href="/deliveries",
        action="Look at what was heard",
    )


def _out_into_the_world(mode: str) -> Step:
    return Step(
        title="Letters leave this machine",
        says="Last of all, and only when you want it: mailbox.transport: smtp in config.yaml, and the server after it.",
        done=mode != "capture",
        commands=("relent doctor",),
    )


def _named(names: Sequence[str]) -> str:
    if not names:
        return "Nothing readable is"
    shown = ", ".join(f"“{name}”" for name in names[:3])
    more = f" and {len(names) - 3:,} more" if len(names) > 3 else ""
    return f"{shown}{more} {'is' if len(names) == 1 else 'are'}"


DOORS = (Door(method="GET", path="/start", handler=start, name="start"),)
