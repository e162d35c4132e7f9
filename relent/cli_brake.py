"""The brake and its release: for one person, for a sequence, for the whole house."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Annotated, Any

import typer

from engine.brake import Receipt, stop_everything, stop_sequence
from engine.brake import stop as stop_person
from engine.model import Pace
from engine.resume import Resumed, resume_sequence
from engine.resume import resume as resume_person
from engine.safe import Released
from engine.safe import resume as resume_house
from engine.store import Store
from relent import show
from relent.assemble import SystemClock, believing
from relent.config import Config
from relent.options import AsJson, ConfigFile, configured, opened, progress

_ME = "the command line"
_GATE = Pace().gate_deadline

Email = Annotated[str | None, typer.Argument(help="Somebody who is written to.", show_default=False)]
OfSequence = Annotated[
    str | None, typer.Option("--sequence", help="Everybody in it, by its name.", show_default=False)
]
Everything = Annotated[bool, typer.Option("--all", help="The whole house.")]


def register(app: typer.Typer) -> None:
    """Hang these commands on the front door."""
    app.command()(stop)
    app.command()(resume)


def stop(
    context: typer.Context,
    email: Email = None,
    sequence: OfSequence = None,
    everything: Everything = False,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Nothing more to this person: what is pending is cancelled. Or hold a sequence, or the house, until you resume it."""
    _one_of(email, sequence, everything)
    with _at_work(context, config) as (_, store):
        if everything:
            receipt = stop_everything(by=_ME, store=store, clock=SystemClock(), gate_deadline=_GATE)
        elif sequence is not None:
            receipt = stop_sequence(sequence, by=_ME, store=store, clock=SystemClock(), gate_deadline=_GATE)
        else:
            receipt = stop_person(email or "", by=_ME, store=store, clock=SystemClock())
        show_receipt(receipt, as_json)
    if receipt.left and email is None:
        raise typer.Exit(1)


def resume(
    context: typer.Context,
    email: Email = None,
    sequence: OfSequence = None,
    everything: Everything = False,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Go on with somebody, with a sequence or with the house: what comes next is planned anew, nothing bursts out."""
    _one_of(email, sequence, everything)
    with _at_work(context, config) as (settings, store):
        if everything:
            _show_released(_released(settings, store), as_json)
        else:
            _show_resumed(_resumed(email, sequence, store), as_json)


def _resumed(email: str | None, sequence: str | None, store: Store) -> Iterator[Resumed]:
    if sequence is None:
        yield from resume_person(email or "", by=_ME, store=store, clock=SystemClock())
        return
    with progress(f"{sequence}: planned anew") as step:
        for each in resume_sequence(sequence, by=_ME, store=store, clock=SystemClock()):
            step(1)
            yield each


def _released(settings: Config, store: Store) -> Released:
    return resume_house(believing(settings), by=_ME, store=store, clock=SystemClock())


@contextmanager
def _at_work(context: typer.Context, config: Any) -> Iterator[tuple[Config, Store]]:
    settings = configured(context, config)
    with opened(settings) as store:
        yield settings, store


def _one_of(email: str | None, sequence: str | None, everything: bool) -> None:
    if (email is not None) + (sequence is not None) + everything != 1:
        raise typer.BadParameter(
            "name somebody, or a sequence with --sequence NAME, or everything with --all"
        )


def show_receipt(receipt: Receipt, as_json: bool) -> None:
    """When it was held, what was voided, what is left, what was already gone."""
    gone = receipt.already_leaving
    if as_json:
        show.as_json(asdict(receipt) | {"voided": receipt.drafts, "already_gone": gone})
        return
    people = "1 person" if receipt.people == 1 else f"{receipt.people:,} people"
    show.say(
        f"held at {receipt.held_at:%a %d %b %H:%M:%S} UTC: {people}; voided {receipt.drafts:,}, "
        f"{receipt.left:,} left, already gone {gone:,}"
    )
    if receipt.left:
        show.say("what is left was past the gate: `relent drafts` says what became of it", style="yellow")


def _show_resumed(resumed: Iterator[Resumed], as_json: bool) -> None:
    rows = [asdict(each) for each in resumed]
    if as_json:
        show.as_json(rows)
        return
    for each in rows:
        words = f"still waits: {each['waits_for']}" if each["waits_for"] else "goes on"
        show.say(f"{each['enrollment_id']}  {words}")
    if not rows:
        show.say("nobody in it is paused as a whole")


def _show_released(released: Released, as_json: bool) -> None:
    if as_json:
        show.as_json(asdict(released))
        return
    if released.brake:
        since = f"{released.brake.since:%a %d %b %H:%M:%S} UTC"
        show.say(f"released: nothing has left since {since}, {released.brake.why}")
    else:
        show.say("nobody stood on the brake")
    if released.doubt:
        show.say(f"this database is believed from now on, although {released.doubt}")
    show.say(
        f"{released.scheduled:,} scheduled, {released.due:,} of them due: they leave at the ordinary limits"
    )
    for number, why, words in (
        (released.restored, "restored", "may have left already: relent approve --restored lets them go"),
        (released.late, "late", "should have left long ago: relent drafts, relent approve"),
    ):
        if number:
            show.say(f"{number:,} held ({why}): {words}", style="yellow")
    if released.held.people:
        show.say(f"{released.held.people:,} people paused: relent people says why", style="yellow")
