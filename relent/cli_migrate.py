"""`relent migrate`: the database to this version, or everything into another database."""

from time import monotonic
from typing import Annotated, Any

import typer
from rich.progress import Progress, SpinnerColumn, TextColumn

from engine.model import Pace
from engine.moving import Moved, move, rehearse
from engine.store import Copied, migrate_url, open_store
from relent import show
from relent.assemble import SystemClock, witness
from relent.config import Config
from relent.options import AsJson, ConfigFile, configured

_ME = "the command line"


def register(app: typer.Typer) -> None:
    """Hang this command on the front door."""
    app.command()(migrate)


def migrate(
    context: typer.Context,
    to: Annotated[
        str | None,
        typer.Option(help="Move everything into this database, which is empty.", show_default=False),
    ] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="With --to: this one goes on sending, and the copy is braked.")
    ] = False,
    dry: Annotated[
        bool, typer.Option("--dry", help="With --to: look whether it can be done, and count; write nothing.")
    ] = False,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Bring the database to this version; or with --to, everything in it into another one."""
    settings = configured(context, config)
    if to is None:
        if keep or dry:
            raise typer.BadParameter(
                "--keep and --dry say how to move: name the other database with --to URL"
            )
        _upgrade(settings.database.url, as_json)
        return
    begun = monotonic()
    moved = _move(settings, to, keep=keep, dry=dry)
    _show(moved, monotonic() - begun, dry=dry, as_json=as_json)


def _upgrade(url: str, as_json: bool) -> None:
    before, now = migrate_url(url)
    if as_json:
        show.as_json({"before": before, "now": now})
    else:
        show.say(f"{before or 'new'} → {now}" if before != now else f"{now}: nothing to do")


def _move(settings: Config, to: str, *, keep: bool, dry: bool) -> Moved:
    store = open_store(settings.database.url)
    columns = SpinnerColumn(), TextColumn("{task.description} {task.completed:,}")
    quiet = not show.complaints.is_terminal
    try:
        with Progress(*columns, console=show.complaints, transient=True, disable=quiet) as bar:
            task = bar.add_task("", total=None)

            def progress(table: str, rows: int) -> None:
                bar.update(task, description=table, advance=rows)

            if dry:
                return rehearse(to, store=store, progress=progress)
            return move(
                to,
                keep=keep,
                by=_ME,
                witness=witness(settings),
                store=store,
                clock=SystemClock(),
                pace=Pace(),
                progress=progress,
            )
    finally:
        store.close()


def _show(moved: Moved, seconds: float, *, dry: bool, as_json: bool) -> None:
    if as_json:
        show.as_json(
            {
                "from": moved.here,
                "to": moved.there,
                "rows": moved.rows,
                "seconds": round(seconds, 3),
                "written": not dry,
                "braked": moved.braked,
                "tables": [_row(each, dry) for each in moved.tables],
            }
        )
        return
    rows = [_row(each, dry) for each in moved.tables if each.here.rows]
    show.as_table(rows, ("table", "rows", "hash", "equal"), empty="nothing in it")
    if dry:
        show.say(f"\n{moved.rows:,} rows would go from {moved.here} to {moved.there}. Nothing was written.")
        return
    show.say(f"\n{moved.rows:,} rows, equal here and there, in {seconds:.1f} s.")
    if moved.braked:
        show.say(
            f"Nothing leaves {moved.here} any more, and webhooks are told to come again.\n"
            f"Now: write {moved.there} into database.url, with its password, and start Relent again."
        )
    else:
        show.say(
            f"{moved.here} goes on. The copy is braked: with it, relent resume --all would send everything twice."
        )


def _row(copied: Copied, dry: bool) -> dict[str, Any]:
    return {
        "table": copied.table,
        "rows": copied.here.rows,
        "hash": copied.here.hash,
        "equal": None if dry else copied.equal,
    }
