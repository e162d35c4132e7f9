"""How things are shown: tables for people, JSON for programs."""

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, NoReturn

from rich.console import Console
from rich.table import Table
from rich.text import Text

console = Console()
complaints = Console(stderr=True)


def say(text: str, *, style: str = "", on: Console | None = None) -> None:
    """A line as it is: what a stranger wrote is no markup, and a long line is for the terminal to break."""
    (on or console).print(text, style=style, highlight=False, markup=False, soft_wrap=True)


def iso(value: object) -> str:
    """ISO 8601 in UTC with `Z`."""
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return str(value)


def as_json(value: object) -> None:
    print(json.dumps(value, default=iso, ensure_ascii=False, indent=2))  # noqa: T201


def as_list(
    rows: Iterable[dict[str, Any]],
    columns: Sequence[str],
    *,
    as_json: bool,
    as_lines: bool,
    for_people: Callable[[dict[str, Any]], dict[str, Any]] = dict,
    empty: str = "nothing here",
) -> None:
    """A table of some columns; or for a program, everything."""
    if as_json or as_lines:
        as_rows(rows, as_lines=as_lines)
    else:
        as_table(map(for_people, rows), columns, empty=empty)


def as_rows(rows: Iterable[dict[str, Any]], *, as_lines: bool) -> None:
    """One array, or an object a line; a million rows do not have to fit into memory."""
    try:
        for text in _lines(rows) if as_lines else _array(rows):
            print(text, end="")  # noqa: T201
        print(end="", flush=True)  # noqa: T201
    except BrokenPipeError:
        nobody_reads()


def nobody_reads() -> NoReturn:
    """`| head` has seen enough: that is no mistake of anybody's."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(0)


def _lines(rows: Iterable[dict[str, Any]]) -> Iterator[str]:
    return (json.dumps(row, default=iso, ensure_ascii=False) + "\n" for row in rows)


def _array(rows: Iterable[dict[str, Any]]) -> Iterator[str]:
    before = "[\n"
    for row in rows:
        yield before + json.dumps(row, default=iso, ensure_ascii=False)
        before = ",\n"
    yield "[]\n" if before == "[\n" else "\n]\n"


def as_status(state: dict[str, Any]) -> None:
    for heading in ("drafts", "enrollments", "webhooks"):
        counted = ", ".join(f"{number:,} {name}" for name, number in state[heading].items() if number)
        console.print(f"{heading:<12} {counted or 'none'}", highlight=False)
    console.print(f"{'mode':<12} {state['mode']}", highlight=False)
    hands = ", ".join(f"{each['host']}, process {each['pid']}" for each in state["workers"])
    say(f"{'workers':<12} {hands or 'none was seen within half a minute'}")
    if state["due"] or state["in_flight"]:
        say(f"{'now':<12} {state['due']:,} due, {state['in_flight']:,} in flight")
    if brake := state["braked"]:
        since = f"{brake['since']:%a %d %b %H:%M:%S} UTC"
        say(
            f"{'braked':<12} nothing leaves since {since}: {brake['why']}. `relent resume --all`", style="red"
        )
    for kind, number in state["drift"].items():
        if number:
            say(f"{'drift':<12} {number:,.0f} {kind}: see `relent doctor`", style="yellow")
    for warning, number, meaning in (
        (
            "failed",
            state["drafts"]["failed"],
            "were refused for good: see `relent drafts`, then `relent approve` tries again",
        ),
        ("uncertain", state["uncertain"], "may or may not have left: look into the mailbox"),
        (
            "late",
            state["late"],
            "should have left already: is `relent serve` running? Held ones wait for `relent approve`",
        ),
    ):
        if number:
            console.print(f"{warning:<12} {number:,} {meaning}", style="yellow", highlight=False)
    for each in state["switched_off"]:
        say(
            f"{'off':<12} {each['webhook_id']} is told nothing: {each['why_off']}. "
            f"When it is well: `relent webhook enable {each['webhook_id']}`",
            style="yellow",
        )


def as_table(rows: Iterable[dict[str, Any]], columns: Sequence[str], *, empty: str) -> None:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        # an id is there to be copied
        table.add_column(column.replace("_", " "), overflow="fold", no_wrap=column.endswith("_id"))
    for row in rows:
        table.add_row(*(_cell(row[column]) for column in columns))
    if table.row_count:
        console.print(table)
    else:
        console.print(empty)


def _cell(value: object) -> Text:
    """Plain text: what a stranger wrote is no markup."""
    if isinstance(value, datetime):
        return Text(f"{value:%a %d %b %H:%M:%S} UTC")
    if isinstance(value, list | tuple):
        return Text(", ".join(map(str, value)))
    return Text("" if value is None else str(value))
