"""The commands for the log: what was done, by whom and when; and whether it is still what was written."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any

import typer

from engine.errors import Refused
from engine.measures import parse_near_instant, parse_wait
from engine.seal import Head, Verdict
from engine.seal import verify as verify_log
from engine.store import Store
from engine.store.blocks import About
from relent import show
from relent.assemble import SystemClock
from relent.config import Config
from relent.options import AsJson, AsLines, ConfigFile, configured, looking, opened, progress

_HEAD = re.compile(r"(\d{1,18}):([0-9a-f]{16,64})")


def register(app: typer.Typer) -> None:
    audit = typer.Typer(
        help="The log: what was done, by whom, when and why; and whether anybody has changed it.",
        no_args_is_help=True,
    )
    audit.command("list")(list_lines)
    audit.command("verify")(verify)
    app.add_typer(audit, name="audit")


def list_lines(
    context: typer.Context,
    draft: Annotated[str | None, typer.Option(help="What became of this draft.", show_default=False)] = None,
    person: Annotated[
        str | None, typer.Option(help="What concerned somebody, by their address.", show_default=False)
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(help="2h, 30d, or an instant like 2026-03-02T09:00:00+01:00.", show_default=False),
    ] = None,
    last: Annotated[
        int | None, typer.Option(help="Only the last so many lines.", min=1, show_default=False)
    ] = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
    as_lines: AsLines = False,
) -> None:
    """What was done, the oldest first."""
    about = About(draft_id=draft, person=person, since=_since(since))
    with looking(configured(context, config)) as ledger:
        show.as_list(
            map(_row, ledger.blocks.told(about, last=last)),
            ("at", "actor", "what", "detail", *(() if draft else ("draft_id",))),
            as_json=as_json,
            as_lines=as_lines,
            empty="nothing of that was written down",
        )


def _row(line: dict[str, Any]) -> dict[str, Any]:
    return {
        name: line[name] for name in ("seq", "at", "actor", "what", "draft_id", "enrollment_id", "detail")
    }


def verify(
    context: typer.Context,
    head: Annotated[
        str | None,
        typer.Option(
            help="NUMBER:HASH, as it was told and noted elsewhere: is it still in the chain?",
            show_default=False,
        ),
    ] = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Is every line what it was when it was sealed? 0: yes. 1: no, and where. Nothing is changed."""
    noted = _noted(head)
    with _looked_at(configured(context, config)) as (store, step):
        verdict = verify_log(store, SystemClock(), noted=noted, progress=step)
    if as_json:
        show.as_json(_as_dict(verdict))
    else:
        _show(verdict, noted)
    if not verdict.whole:
        raise typer.Exit(1)


@contextmanager
def _looked_at(settings: Config) -> Iterator[tuple[Store, Callable[[int], None]]]:
    with opened(settings, looks_only=True) as store, progress("lines of the log:") as step:
        yield store, step


def _noted(said: str | None) -> Head | None:
    if said is None:
        return None
    found = _HEAD.fullmatch(said.strip().lower())
    if not found:
        raise typer.BadParameter(
            f'--head "{said}": write it as `relent audit verify` tells it, like 17:0a1b2c3d4e5f6071, '
            "with at least sixteen letters of the hash"
        )
    return Head(int(found[1]), found[2])


def _since(said: str | None) -> datetime | None:
    if said is None:
        return None
    now = SystemClock().now()
    try:
        wait = parse_wait(said)
        if not wait.in_business_days:
            return now - wait.delta
    except (ValueError, OverflowError, Refused):
        pass
    try:
        return parse_near_instant(said.strip())
    except ValueError:
        raise typer.BadParameter(
            f'--since "{said}": write 2h, 30d, or an instant like 2026-03-02T09:00:00+01:00'
        ) from None


def _as_dict(verdict: Verdict) -> dict[str, Any]:
    told = asdict(verdict)
    return {"whole": verdict.whole} | told | {"head": told["head"] and _head(verdict.head)}


def _head(head: Head | None) -> str:
    return f"{head.number}:{head.hash}" if head else ""


def _show(verdict: Verdict, noted: Head | None) -> None:
    for each in verdict.broken:
        where = f"block {each.block}: " if each.block is not None and each.what != "head" else ""
        show.say(f"{where}{each.says}", style="bold red")
    if verdict.more:
        show.say(f"and {verdict.more:,} more", style="bold red")
    until = f", sealed until {verdict.sealed_at:%a %d %b %Y %H:%M:%S} UTC" if verdict.sealed_at else ""
    show.say(f"{_many(verdict.lines, 'line')} in {_many(verdict.blocks, 'block')}{until}")
    if verdict.waiting_since:
        since = f"{verdict.waiting_since:%a %d %b %Y %H:%M:%S} UTC"
        show.say(f"{_many(verdict.waiting, 'line')} not sealed yet, the oldest of {since}", style="yellow")
    if not verdict.whole:
        return
    if noted:
        show.say(f"the head that was noted, {noted.number}, is still there")
    if verdict.head:
        show.say(f"whole. Head {_head(verdict.head)}")
        show.say(
            "Note it elsewhere: that later ones still stand on it says `relent audit verify --head`",
            style="dim",
        )


def _many(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
