"""The commands that answer before they act: what an edit would do to people in flight, and why somebody gets nothing."""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from shlex import quote
from typing import Annotated, Any

import typer

from engine import revise
from engine import why as story
from engine.revise import Change, Fate, Revision
from engine.why import Standing
from relent import show
from relent.assemble import SystemClock
from relent.options import AsJson, ConfigFile, configured, opened
from sequences.loader import load

_BY = "the command line"
_MOST_LINES = 3

_WORDS = {
    Fate.TWICE: "would be told the same twice",
    Fate.APPROVAL_VOID: "re-dated after a human's yes: held for a new one",
    Fate.REDATED: "re-dated: the same words at another hour",
    Fate.HELD: "held: what is pending still goes, then nothing until it is there",
    Fate.STEP_GONE: "what is pending is gone from the file: it still goes, what comes next is new",
    Fate.FINISHES: "finish: nothing is left for them after what is pending",
    Fate.GOES_ON: "go on: what they were paused for is not needed any more",
    Fate.UNTOUCHED: "untouched: what is pending keeps its words and its hour",
}


def register(app: typer.Typer) -> None:
    for command in (plan, apply, why):
        app.command()(command)


def plan(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="A sequence that was changed.")],
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """What a changed file would do to everybody in flight. Nothing is done."""
    sequence = load(file)
    with opened(configured(context, config)) as store, _patience("planning everybody anew"):
        revision = revise.look(sequence, store=store, clock=SystemClock())
    if as_json:
        show.as_json(_as_data(revision))
    else:
        _show_plan(revision, file)


def apply(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="A sequence that was changed.")],
    token: Annotated[str, typer.Option("--plan", help="What relent plan has printed.")],
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Do what `relent plan` has shown, if nothing has moved since."""
    sequence = load(file)
    with opened(configured(context, config)) as store, _patience("giving everybody the new version"):
        done = revise.apply(sequence, token, by=_BY, store=store, clock=SystemClock())
    if as_json:
        show.as_json({"sequence": sequence.name} | asdict(done))
    else:
        _say(f"{sequence.name}: version {done.version} is the one for everybody from now on")
        for fate, words in _WORDS.items():
            if done.counts[fate]:
                _say(f"{done.counts[fate]:>6,}  {words}")
        if done.left:
            _say(f"{len(done.left):>6,}  were moving just then and keep the version that they had:")
            _say(f"        {revise.some(done.left)}. Run relent plan again")
    if done.left:
        raise typer.Exit(1)


def why(
    context: typer.Context,
    email: Annotated[str, typer.Argument(help="Somebody who gets nothing, or not yet.")],
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Why somebody gets nothing just now, until when, and what would help."""
    with opened(configured(context, config)) as store:
        told = story.why(email, store=store, clock=SystemClock())
    if as_json:
        lines = [asdict(each) | {"local_time": _iso(each.local_time)} for each in told.standings]
        said = {key: value for key, value in asdict(told).items() if key != "helps"}  # `release` says it
        show.as_json(said | {"standings": lines})
        return
    if told.suppressed is not None and told.suppressed_since is not None:
        _say(f"never to be written to, since {_utc(told.suppressed_since)}: {told.suppressed}")
    for standing in told.standings:
        _show_standing(standing)


# --- how it looks ---


def _show_plan(revision: Revision, file: Path) -> None:
    people, number = revision.changes, len(revision.changes)
    if not people:
        _say(f"{revision.sequence}: nobody is in flight on another version than {revision.version}")
    else:
        are = "person is" if number == 1 else "people are"
        _say(f"{revision.sequence}: {number:,} {are} in flight on other versions than {revision.version}")
    for fate, words in _WORDS.items():
        if changes := revision.of(fate):
            _say(f"{len(changes):>6,}  {words}")
            if fate != Fate.TWICE:  # of whom the refusal tells
                _show_changes(changes)
    if kept := sum(change.reworded for change in people):
        keep, they = (
            ("letter", "keeps the words it has") if kept == 1 else ("letters", "keep the words they have")
        )
        _say(f"\n{kept:,} {keep} that {'waits' if kept == 1 else 'wait'} {they}")
    if revision.refusal:
        _say(f"\nIt cannot be applied so. {revision.refusal}")
    else:
        command = f"relent apply {quote(str(file))} --plan {revision.token}"
        _say(f"\nNothing was changed. To do it, within an hour:\n  {command}")


def _show_changes(changes: list[Change]) -> None:
    """Where hours change, person by person; else by the reason."""
    moved = [change for change in changes if change.new is not None]
    for change in moved[:_MOST_LINES]:
        was = f"{_utc(change.old)} → " if change.old else ""
        past = f" ({', '.join(change.passed)}: passed already, so not for them)" if change.passed else ""
        _say(f"        {change.email}: {change.step or 'waits'}, {was}{_utc(change.new)}{past}")
    if len(moved) > _MOST_LINES:
        _say(f"        and {len(moved) - _MOST_LINES:,} more")
    reasons: dict[str, list[str]] = defaultdict(list)
    for change in changes:
        if change.new is None:
            reasons[change.why].append(change.email)
    for reason, emails in reasons.items():
        _say(f"        {revise.some(emails)}{f': {reason}' if reason else ''}")


def _as_data(revision: Revision) -> dict[str, Any]:
    return {
        "sequence": revision.sequence,
        "version": revision.version,
        "plan": revision.token,
        "as_of": revision.as_of,
        "refused": revision.refusal,
        "counts": {fate: len(revision.of(fate)) for fate in Fate},
        "people": [_change_as_data(change) for change in revision.changes],
    }


def _change_as_data(change: Change) -> dict[str, Any]:
    """What they have passed is said in `why`."""
    return {key: value for key, value in asdict(change).items() if key not in {"passed", "reworded"}}


def _show_standing(standing: Standing) -> None:
    step = f", {standing.step}" if standing.step else ""
    _say(f"{standing.sequence}: {standing.state}{step}")
    _say(f"  {standing.reason}, since {_utc(standing.since)}")
    if standing.next_at is not None:
        local = f"{standing.local_time:%a %d %b %Y %H:%M} {standing.zone}"
        _say(f"  earliest next: {local if standing.zone == 'UTC' else f'{local}, {_utc(standing.next_at)}'}")
    _say(f"  what would help: {standing.release}")


def _utc(at: datetime | None) -> str:
    return f"{at:%a %d %b %Y %H:%M} UTC" if at else "never"


def _iso(at: datetime | None) -> str | None:
    """With their own offset."""
    return at.isoformat(timespec="minutes") if at else None


def _say(text: str) -> None:
    show.console.print(text, highlight=False, markup=False, soft_wrap=True)


@contextmanager
def _patience(words: str) -> Iterator[None]:
    """On a terminal only; stdout is for what was asked."""
    if show.complaints.is_terminal:
        with show.complaints.status(words):
            yield
    else:
        yield
