"""What many commands share: the options that name a configuration or ask for JSON, and the database that they open."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress, SpinnerColumn, TextColumn
from sqlalchemy.exc import SQLAlchemyError

from engine.errors import Unavailable
from engine.seal import seal
from engine.store import Ledger, Store, open_store
from relent import show
from relent.assemble import SystemClock
from relent.config import Config, load_config

_BLOCKS = 4  #: nobody waits for long
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")

ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        help="The configuration. [default: $RELENT_CONFIG, else ./config.yaml]",
        show_default=False,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="As JSON.")]
TheCanary = Annotated[bool, typer.Option("--canary", help="Also the canary's: see docs/doctor.md.")]
AsLines = Annotated[bool, typer.Option("--jsonl", help="A JSON object a line.")]


def configured(context: typer.Context, own: Path | None) -> Config:
    """`relent --config FILE status` and `relent status --config FILE` are the same."""
    return load_config(own or context.obj)


@contextmanager
def opened(config: Config, *, looks_only: bool = False) -> Iterator[Store]:
    """What was said in it is sealed when it is over; unless it is only looked at."""
    store = open_store(config.database.url)
    try:
        yield store
    finally:
        if not looks_only:
            with suppress(SQLAlchemyError, Unavailable):  # the next who comes does it
                seal(store, SystemClock(), at_most=_BLOCKS)
        store.close()


@contextmanager
def looking(config: Config) -> Iterator[Ledger]:
    """One consistent look, holding nobody up."""
    with opened(config, looks_only=True) as store, store.reading(SystemClock().now()) as ledger:
        yield ledger


def write_file(path: Path, content: bytes) -> None:
    """Raises Unavailable, with the name of what could not be written."""
    try:
        path.write_bytes(content)
    except OSError as error:
        raise Unavailable(f"{path} could not be written: {error.strerror or error}") from error


@contextmanager
def progress(words: str) -> Iterator[Callable[[int], None]]:
    """On a terminal only; stdout is for what was asked."""
    columns = SpinnerColumn(), TextColumn("{task.description} {task.completed:,}")
    quiet = not show.complaints.is_terminal
    with Progress(*columns, console=show.complaints, transient=True, disable=quiet) as bar:
        task = bar.add_task(words, total=None)
        yield lambda number: bar.advance(task, number)


def variables_of(pairs: list[str]) -> dict[str, str]:
    """What `--var name=value` gave. Raises BadParameter, in words."""
    variables = {}
    for pair in pairs:
        name, found, value = pair.partition("=")
        if not found or not _NAME.fullmatch(name):
            raise typer.BadParameter(f'"{pair}": write --var name=value, the name in letters, digits and "_"')
        variables[name] = value
    return variables
