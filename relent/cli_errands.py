"""The commands for what is no letter: tasks, webhooks, events from elsewhere, labels for answers."""

from dataclasses import asdict
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer

from engine import errands as story
from engine.happen import Noted, happen
from engine.ids import new_id
from engine.label import label_reply
from relent import show
from relent.assemble import SystemClock
from relent.options import AsJson, AsLines, ConfigFile, configured, looking, opened

_BY = "the command line"


def register(app: typer.Typer) -> None:
    for command in (tasks, done, errands, retry, event, label):
        app.command()(command)


def tasks(
    context: typer.Context,
    every: Annotated[bool, typer.Option("--all", help="Also those that are done.")] = False,
    config: ConfigFile = None,
    as_json: AsJson = False,
    as_lines: AsLines = False,
) -> None:
    """What somebody has to do, the most urgent first."""
    columns = ("task_id", "email", "task", "assign", "due")
    with looking(configured(context, config)) as ledger:
        rows = ledger.past.tasks(ended=every)
        shown = (*columns, "done_at") if every else columns
        show.as_list(
            rows, shown, as_json=as_json, as_lines=as_lines, for_people=_marked, empty="nothing to do"
        )


def done(
    context: typer.Context,
    task_ids: Annotated[list[str], typer.Argument(help="What is done; or an errand, to call it off.")],
    config: ConfigFile = None,
) -> None:
    """Say that a task is done. Whoever waits for it goes on."""
    with opened(configured(context, config)) as store:
        for task_id in task_ids:
            finished = story.done(task_id, by=_BY, store=store, clock=SystemClock())
            show.say(f"{task_id}  {finished.what}{f', {finished.goes_on}' if finished.goes_on else ''}")


def errands(
    context: typer.Context,
    every: Annotated[bool, typer.Option("--all", help="Also those that are over.")] = False,
    config: ConfigFile = None,
    as_json: AsJson = False,
    as_lines: AsLines = False,
) -> None:
    """Webhooks that were not answered yet, and who enters another sequence later."""
    columns = ("errand_id", "email", "to", "next_try_at", "outcome")
    with looking(configured(context, config)) as ledger:
        rows = ledger.past.errands(ended=every)
        show.as_list(rows, columns, as_json=as_json, as_lines=as_lines, for_people=_briefly)


def retry(
    context: typer.Context,
    errand_ids: Annotated[list[str], typer.Argument(help="Webhooks that failed: see `relent errands`.")],
    config: ConfigFile = None,
) -> None:
    """Call a webhook again that nobody answered in time."""
    with opened(configured(context, config)) as store:
        for errand_id in errand_ids:
            story.retry(errand_id, by=_BY, store=store, clock=SystemClock())
            show.say(f"{errand_id}  is called again")


def event(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="clicked, meeting_booked, unsubscribed, any name of your own")],
    email: Annotated[str, typer.Option(help="Whom it is about.")],
    value: Annotated[str | None, typer.Option(help="What it carries: which link was clicked.")] = None,
    event_id: Annotated[
        str | None, typer.Option("--id", help="Told twice under one id, it is one event.")
    ] = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Something happened elsewhere: it may stop somebody, or end their wait."""
    clock = SystemClock()
    named = new_id("evt", clock.now()) if event_id is None else event_id
    with opened(configured(context, config)) as store:
        noted = happen(named, name, email, value, by=_BY, store=store, clock=clock)
    if as_json:
        show.as_json({"event_id": named, **asdict(noted)})
    else:
        show.say(_in_words(noted, email))


def label(
    context: typer.Context,
    email: Annotated[str, typer.Argument(help="Somebody who answered.")],
    name: Annotated[str, typer.Argument(metavar="LABEL", help="A label under on_reply.")],
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Say what an answer was: the sequence does what it says under on_reply."""
    with opened(configured(context, config)) as store:
        effects = label_reply(email, name, by=_BY, store=store, clock=SystemClock())
    if as_json:
        show.as_json([asdict(effect) for effect in effects])
        return
    for effect in effects:
        show.say(f"{effect.sequence}: {effect.what}{f'  {effect.errand_id}' if effect.errand_id else ''}")
    if not effects:
        show.say("nothing new: it had this label")


def _in_words(noted: Noted, email: str) -> str:
    if not noted.new:
        return "heard before"
    ban = f"; {email} is never written to again" if noted.suppressed else ""
    if not noted.people:
        return f"nobody here writes to {email}; kept{ban}"
    return f"kept: {noted.stopped} stopped, {noted.went_on} went on{ban}"


def _marked(row: dict[str, Any]) -> dict[str, Any]:
    due = f"{row['due']:%a %d %b %H:%M} UTC" if row["due"] else None
    return row | {"due": f"{due}, overdue" if row["overdue"] else due}


def _briefly(row: dict[str, Any]) -> dict[str, Any]:
    """A host says enough at a glance."""
    return row | {"to": urlsplit(row["to"]).hostname if row["kind"] == "webhook" else row["to"]}
