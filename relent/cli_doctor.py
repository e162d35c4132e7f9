"""`relent doctor`: what is wrong, and what to do about it."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Annotated

import typer
from sqlalchemy.exc import SQLAlchemyError

from engine.errors import Unavailable
from engine.model import Pace
from engine.reconcile import look, sweep
from engine.store import Store
from engine.store.checkup import missing_file
from engine.store.drift import Finding
from mailroom.local import Capture, LocalMailbox
from relent import show
from relent.assemble import SystemClock
from relent.config import Config
from relent.doctor import Diagnosis, Patient, beside_the_database, drift, examine_all, of_the_database
from relent.options import AsJson, ConfigFile, configured, opened, progress

_STYLES = {"well": "green", "ill": "bold red", "off": "dim"}


def register(app: typer.Typer) -> None:
    app.command()(doctor)


def doctor(
    context: typer.Context,
    fix: Annotated[
        bool,
        typer.Option(
            "--fix", help="Put right what disagrees, where that is safe. Nothing is ever sent for it."
        ),
    ] = False,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Is everything there that the promises stand on? What to do about what is not."""
    settings = configured(context, config)
    found: list[Diagnosis] = []
    counted: dict[str, int] = {}
    repaired: int | None = None
    for each, numbers, mended in _examined(settings, fix):
        found.append(each)
        counted, repaired = numbers or counted, repaired if mended is None else mended
        if not as_json:
            _show(each)
    well = all(each.state != "ill" for each in found)
    if as_json:
        told = {"well": well, "checks": [asdict(each) for each in found], "drift": counted}
        show.as_json(told | ({"repaired": repaired} if fix else {}))
    elif repaired:
        show.say(f"repaired {repaired}")
    if not well:
        raise typer.Exit(1)


_Told = tuple[Diagnosis, dict[str, int], int | None]


def _examined(settings: Config, fix: bool) -> Iterator[_Told]:
    try:
        if file := missing_file(settings.database.url):
            raise Unavailable(f"there is no {file}: the first `relent serve` or `relent enroll` makes it")
        with opened(settings, looks_only=not fix) as store:
            for each in examine_all(Patient(settings, store)):
                yield each, {}, None
            yield _drift(store, fix)
    except (Unavailable, SQLAlchemyError) as error:
        yield of_the_database(error), {}, None
        for each in beside_the_database(settings):
            yield each, {}, None


def _drift(store: Store, fix: bool) -> _Told:
    """Whatever transport letters leave by: what came in is read alike."""
    mailbox, clock, pace = LocalMailbox(Capture()), SystemClock(), Pace()
    repaired = None
    if fix:
        done = sweep(store=store, mailbox=mailbox, clock=clock, pace=pace, go_on=False)
        while not done.over:
            done = sweep(store=store, mailbox=mailbox, clock=clock, pace=pace)
        repaired = sum(done.repaired.values())
    with progress("comparing database, drafts and labels:") as step:

        def counted() -> Iterator[Finding]:
            for each in look(store=store, mailbox=mailbox, clock=clock, pace=pace):
                step(1)
                yield each

        diagnosis, numbers = drift(counted())
    return diagnosis, numbers, repaired


def _show(each: Diagnosis) -> None:
    show.say(f"{each.state:<5}{each.check:<12}{each.says}", style=_STYLES[each.state])
    if each.do:
        show.say(f"{'':<17}→ {each.do}", style="yellow" if each.state == "ill" else "dim")
