"""The first run: from nothing to the first safe sequence, a step at a time; what is done is seen, and not asked for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from shlex import quote

from dashboard.frame import Answer, Asked, Door, SequenceFile, Shown, reading
from dashboard.show import when
from engine.store.today import Furnished, Leaving

_A_FEW = 8  #: of the next letters those are looked at: one may be for somebody who is paused
_EXAMPLE = "quick-question.yaml"
_CONFIG, _LIST = "config.yaml", "people.csv"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of the first day."""

    title: str
    says: str  #: `what is typed` stands between backticks
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
        first = next((each for each in ledger.today.next_to_leave(_A_FEW) if each.wanted), None)
    held = office.counted.see("held", partial(_held, asked)).value or {}
    files = office.sequences()
    return (
        _secret(office.secrets),
        _sequence(office.folder, files),
        _people(there, office.folder, files),
        _a_yes(there, sum(held.values()), first, asked),
        _heard(there, asked),
        _out_into_the_world(office.mode),
    )


def _held(asked: Asked) -> Mapping[str, int]:
    with reading(asked) as ledger:
        return ledger.today.held()


def _secret(secrets: int) -> Step:
    return Step(
        title="A secret signs what your mailbox tells us",
        says="Whoever does not know it cannot stop a letter, or make one leave. `relent init` has made one.",
        done=secrets > 0,
        commands=("relent init",),
    )


def _sequence(folder: str, files: Sequence[SequenceFile]) -> Step:
    broken = [each for each in files if each.sequence is None]
    readable = [each.name for each in files if each.sequence is not None]
    wrong = f" {len(broken)} of them cannot be read: `relent check` says why." if broken else ""
    home = Path(folder).parent
    init = f"relent init {quote(str(home))}" if home.is_absolute() else "relent init"
    check = f"relent check {quote(folder)}"
    return Step(
        title="A sequence says what is written, and when",
        says=f"{_named(readable)} in `{folder}`.{wrong}" if files else f"There is no file in `{folder}` yet.",
        done=bool(readable),
        commands=(init, check) if not files else (check,),
        href="/sequences",
        action="Look at the sequences",
    )


def _people(there: Furnished, folder: str, files: Sequence[SequenceFile]) -> Step:
    """Typed where the configuration lies: there the paths are short, and `relent` finds it by itself."""
    home = Path(folder).parent
    at_home = (home / _CONFIG).is_file()
    file = quote(str(_one_of(folder, files).relative_to(home) if at_home else _one_of(folder, files)))
    go = (f"cd {quote(str(home))}",) if at_home and home.is_absolute() else ()
    listed = at_home and (home / _LIST).is_file()
    many = (f"relent enroll {file} {_LIST}",) if listed else ()
    begin = "Begin with yourself: `--email` takes one person, a CSV with a column `email` takes many."
    return Step(
        title="Somebody is in it",
        says=f"{begin} `{_LIST}` is such a list, with two made-up people." if listed else begin,
        done=there.person,
        commands=(
            *go,
            f"relent preview {file}",
            f"relent enroll {file} \\\n  --email you@example.org --var first_name=You --var company=Yours",
            *many,
        ),
        href="/people",
        action="Look at the people",
    )


def _one_of(folder: str, files: Sequence[SequenceFile]) -> Path:
    """The one that `relent init` writes, if it is there; else one that can be read."""
    example = Path(folder) / _EXAMPLE
    readable = [Path(each.file) for each in files if each.sequence is not None]
    return example if example in readable or not readable else readable[0]


def _a_yes(there: Furnished, held: int, first: Leaving | None, asked: Asked) -> Step:
    title, done = "The first letter has left", there.letter
    if held and not done:
        waiting = "1 letter waits" if held == 1 else f"{held:,} letters wait"
        return Step(title=title, says=f"{waiting} for your yes.", done=done, href="/review", action="Review")
    if first and not done:
        due = first.send_at <= asked.now
        hour = "now: `relent serve` or `relent work` sends it" if due else when(first.send_at, asked.zone)
        return Step(
            title=title,
            says=f"The first is due {hour}." if due else f"The first leaves {hour}.",
            done=done,
            href="/calendar",
            action="Look at the calendar",
        )
    return Step(
        title=title,
        says="At its hour, by the sequence; where it wants approval, after your yes.",
        done=done,
        href="/calendar",
        action="Look at the calendar",
    )


def _heard(there: Furnished, asked: Asked) -> Step:
    """Behind a proxy nobody knows how the world reaches us, unless it was said."""
    office = asked.office
    base = (office.public_url or asked.base).rstrip("/")
    says = "Point its webhook at the address below. As soon as one is heard, an answer stops what is pending."
    if not office.public_url:
        says += (
            " It is the address by which you have come; if the world knows this server by another name, write that "
            "into `config.yaml`: `server: { public_url: https://your-name }`."
        )
    if office.mode == "capture":
        says += " Until letters leave this machine nobody answers, and there is nothing to point yet."
    return Step(
        title="Your mailbox tells us of answers",
        says=f"{says} The command knocks at that door as your mailbox would, and leaves no trace.",
        done=there.answer,
        commands=(f"{base}/webhooks/agentmail", "relent webhook test --self"),
        href="/deliveries",
        action="Look at what was heard",
    )


def _out_into_the_world(mode: str) -> Step:
    return Step(
        title="Letters leave this machine",
        says="Last of all, and only when you want it: `mailbox.transport: smtp` in `config.yaml`, and the server after it.",
        done=mode != "capture",
        commands=("relent doctor",),
    )


def _named(names: Sequence[str]) -> str:
    if not names:
        return "Nothing readable is"
    quoted = [f"“{name}”".replace("`", "'") for name in names[:3]]
    shown = ", ".join(quoted)
    more = f" and {len(names) - 3:,} more" if len(names) > 3 else ""
    return f"{shown}{more} {'is' if len(names) == 1 else 'are'}"


DOORS = (Door(method="GET", path="/start", handler=start, name="start"),)
