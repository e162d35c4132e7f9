"""The commands that look ahead: the tests in a file, every letter of a preview, every day of a simulation."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from engine.errors import ConfigError, SequenceError
from engine.measures import parse_near_instant, parse_percent
from engine.model import Prospect
from engine.sequence import Sequence
from engine.trial import stand_in
from relent import show, show_foresight
from relent.assemble import SystemClock
from relent.calendar_page import calendar_page
from relent.config import Config
from relent.fate import Chances
from relent.foretell import LONGEST, Mail, Preview
from relent.options import AsJson, AsLines, ConfigFile, configured, progress, variables_of, write_file
from relent.simulation import Simulation, simulate
from relent.trials import junit, try_file
from sequences.loader import load
from sequences.people import BadRow, read_people

Var = Annotated[
    list[str] | None,
    typer.Option(help="first_name=Ida: of this person, or of everybody whose row does not say"),
]
Start = Annotated[
    str | None,
    typer.Option(help="When they begin, like 2026-03-02T09:00:00+01:00; also in the past. [default: now]"),
]


def register(app: typer.Typer) -> None:
    app.command(name="test")(run_tests)
    app.command()(preview)
    app.command(name="simulate")(simulate_list)


def run_tests(
    context: typer.Context,
    files: Annotated[
        list[Path] | None,
        typer.Argument(help="Sequences. [default: all in sequences.path]", show_default=False),
    ] = None,
    report: Annotated[
        Path | None, typer.Option("--junit", help="Also write it down here, as CI servers read it.")
    ] = None,
    config: ConfigFile = None,
) -> None:
    """The tests that sit in the sequences, on a virtual clock. 0: all passed, 1: one failed, 2: a file is wrong."""
    tried = []
    for path in files or _all_sequences(configured(context, config)):
        tried.append(try_file(path))
        show_foresight.tried(tried[-1])
    show_foresight.tried_in_all(tried)
    if report:
        write_file(report, junit(tried))
    if complaints := [words for file in tried for words in file.complaints]:
        raise SequenceError(*complaints)
    if any(file.failed for file in tried):
        raise typer.Exit(1)


def preview(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="A sequence.")],
    email: Annotated[str | None, typer.Option(help="One person.")] = None,
    var: Var = None,
    people: Annotated[Path | None, typer.Option(help="A list, instead: CSV with a column email.")] = None,
    start: Start = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
    as_lines: AsLines = False,
) -> None:
    """Every mail with its text and its hour, and why then, if nobody answers; the earliest first. Nothing is sent."""
    if (people is None) == (email is None):
        raise typer.BadParameter("name one person with --email, or a list with --people")
    given, sequence, begin = variables_of(var or []), load(file), _start(start)
    rows = read_people(people) if people else iter([Prospect(email=email or "")])
    foretold = Preview(sequence, _inboxes(sequence, context, config), begin)
    with progress(f"{sequence.name}: looking at people") as step:
        foretold.admit(_knowing(rows, given), step)
    if as_json or as_lines:
        show.as_rows((told.row() for told in foretold.play() if isinstance(told, Mail)), as_lines=as_lines)
        show_foresight.aside_one_by_one(foretold.aside)
    else:
        show_foresight.told(foretold.play())
        show_foresight.aside(foretold.aside)
    if any(one.kind == "refused" for one in foretold.aside):
        raise typer.Exit(2)


def simulate_list(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="A sequence.")],
    people: Annotated[Path, typer.Argument(help="A list: CSV with a column email.")],
    start: Start = None,
    days: Annotated[
        int | None,
        typer.Option(
            help="How far to look. [default: until all is over, three years at most]", min=1, max=3660
        ),
    ] = None,
    replies: Annotated[str, typer.Option(help="How many of the people answer.")] = "8%",
    ooo: Annotated[str, typer.Option(help="How many are away when the first letter comes.")] = "3%",
    bounces: Annotated[str, typer.Option(help="How many addresses do not exist.")] = "2%",
    seed: Annotated[
        int, typer.Option(help="Another number, other luck; the same number, the same luck.")
    ] = 7,
    var: Var = None,
    page: Annotated[Path | None, typer.Option("--html", help="Also write it here, as one page.")] = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """What a whole list would come to: how much leaves on which day, who is held and why, and when it is over.

    Who answers does so within three days, half of them within four hours; half as many answer each letter as the one before. Who is away says so after the first letter and is back within a fortnight. Clicks and other events do not come; a human's yes and a task are taken as done at once.
    """
    given, sequence, begin = variables_of(var or []), load(file), _start(start)
    chances = Chances(
        replies=_share("--replies", replies),
        ooo=_share("--ooo", ooo),
        bounces=_share("--bounces", bounces),
        seed=seed,
    )
    until = begin + (timedelta(days=days) if days else LONGEST)
    inboxes = _inboxes(sequence, context, config)
    rows = _knowing(read_people(people), given)
    with progress(f"{sequence.name}: people and letters") as step:
        found = simulate(
            rows, sequence, inboxes=inboxes, start=begin, until=until, chances=chances, progress=step
        )
    if page:
        write_file(page, calendar_page(found).encode())
    _show_simulation(found, as_json)
    if found.people["refused"]:
        raise typer.Exit(2)


def _show_simulation(found: Simulation, as_json: bool) -> None:
    if as_json:
        show.as_json(found.as_dict())
    else:
        show_foresight.simulated(found)


def _start(text: str | None) -> datetime:
    try:
        start = parse_near_instant(text.strip()) if text else SystemClock().now()
    except ValueError as error:
        raise typer.BadParameter(f"--start: {error}") from error
    return start.replace(microsecond=0)


def _share(name: str, text: str) -> float:
    try:
        return parse_percent(text)
    except ValueError as error:
        raise typer.BadParameter(f"{name}: {error}") from error


def _knowing(rows: Iterable[Prospect | BadRow], given: dict[str, str]) -> Iterator[Prospect | BadRow]:
    for row in rows:
        yield row if isinstance(row, BadRow) else replace(row, variables={**given, **row.variables})


def _inboxes(sequence: Sequence, context: typer.Context, own: Path | None) -> tuple[str, ...]:
    """Who writes. To look ahead, no configuration is needed; one that is there is asked who is in a pool."""
    if isinstance(sequence.sender, str):
        return (sequence.sender,)
    pool = sequence.sender.pool
    named = own or context.obj or os.environ.get("RELENT_CONFIG")
    pools = configured(context, own).pools if named or Path("config.yaml").is_file() else {}
    if addresses := pools.get(pool):
        return addresses
    show.say(
        f'there is no pool "{pool}" in a config.yaml: {stand_in(pool)} writes for it', on=show.complaints
    )
    return (stand_in(pool),)


def _all_sequences(config: Config) -> list[Path]:
    found = sorted(Path(config.sequences.path).glob("*.y*ml"))
    if not found:
        raise ConfigError(f"{config.sequences.path}: no sequences here")
    return found
