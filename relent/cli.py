"""The command line: a command reads its words, calls a story, and shows what came of it."""

import io
import os
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import typer
from sqlalchemy.exc import SQLAlchemyError

from engine.brake import suppress as suppress_whom
from engine.errors import ConfigError, RelentError, SequenceError
from engine.model import Prospect
from engine.recover import settle_doubt
from engine.sequence import Sequence
from engine.store import GONE, Ledger, in_words
from engine.store.watch import drift, workers
from relent import __version__, show
from relent.assemble import SystemClock, assemble, exposition
from relent.cli_audit import register as register_audit
from relent.cli_brake import register as register_brake
from relent.cli_brake import show_receipt
from relent.cli_doctor import register as register_doctor
from relent.cli_errands import register as register_errands
from relent.cli_foresee import register as register_foresee
from relent.cli_keys import register as register_keys
from relent.cli_members import register as register_members
from relent.cli_migrate import register as register_migrate
from relent.cli_review import register as register_review
from relent.cli_revise import register as register_revise
from relent.cli_webhooks import register as register_webhooks
from relent.config import Config, load_config
from relent.demo import play
from relent.enrolling import enroll_all, look_at_all, show_report
from relent.exposition import shown_at
from relent.first_day import set_up
from relent.guard import warn
from relent.logs import secrets_of, set_up_logs
from relent.options import (
    AsJson,
    AsLines,
    ConfigFile,
    TheCanary,
    configured,
    looking,
    opened,
    progress,
    variables_of,
)
from relent.serve import serve as listen
from relent.stay import settle_in
from relent.traces import drawing
from relent.worker import Worker
from sequences.loader import load
from sequences.people import BadRow, read_people
from sequences.schema import render_schema
from sequences.templates import read_attachments

#: What a shell is told. Anything else that goes wrong is 1: something is wrong in the world.
EXIT: dict[type[RelentError], int] = {ConfigError: 2, SequenceError: 2}


app = typer.Typer(
    help="Outreach follow-ups that stop the moment somebody answers.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """The console script."""
    _open_streams()
    try:
        try:
            app()
        finally:
            sys.stdout.flush()
    except RelentError as error:
        _complain(str(error))
        sys.exit(next((EXIT[kind] for kind in type(error).__mro__ if kind in EXIT), 1))
    except SQLAlchemyError as error:
        words = in_words(error)
        _complain(words if words.startswith(GONE) else f"the database does not answer: {words}")
        sys.exit(1)
    except BrokenPipeError:
        show.nobody_reads()
    except OSError as error:
        _complain(f"could not write: {error.strerror or error}")
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def _open_streams() -> None:
    """In UTF-8; whoever has closed one (`>&-`) does not want to read it, and no file of ours may take its place."""
    for name in ("stdin", "stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            nowhere = Path(os.devnull).open("r" if name == "stdin" else "w")  # noqa: SIM115 - open to the end
            setattr(sys, name, nowhere)
        elif isinstance(stream, io.TextIOWrapper) and name != "stdin":
            stream.reconfigure(encoding="utf-8")


def _tell_version(wanted: bool) -> None:
    if wanted:
        version()
        raise typer.Exit


@app.callback()
def everything(
    context: typer.Context,
    config: ConfigFile = None,
    _: Annotated[
        bool, typer.Option("--version", help="Which Relent this is.", callback=_tell_version, is_eager=True)
    ] = False,
) -> None:
    context.obj = config


@app.command()
def init(folder: Annotated[Path, typer.Argument(help="Where.")] = Path()) -> None:
    """Write a config.yaml with fresh secrets, a first sequence and a list of people."""
    for written in set_up(folder):
        show.say(f"{'wrote' if written.new else 'kept '}  {written.path}")
    if not load_config(folder / "config.yaml").webhooks.secrets:
        raise ConfigError(
            f"the {folder / 'config.yaml'} that was there has no webhooks.secrets: use another folder"
        )
    show.say(
        "\nNothing leaves this machine until you set mailbox.transport to smtp. Next:\n"
        "  relent enroll sequences/quick-question.yaml people.csv\n"
        "  relent serve\n"
        "The key for the API stands in config.yaml, under server.api_keys."
    )


@app.command()
def check(
    context: typer.Context,
    files: Annotated[
        list[Path] | None,
        typer.Argument(help="Sequences. [default: all in sequences.path]", show_default=False),
    ] = None,
    people: Annotated[
        Path | None, typer.Option(help="A list: who of them lacks what, and who cannot be written to.")
    ] = None,
    config: ConfigFile = None,
) -> None:
    """Every mistake in these sequences, with file, line and column."""
    complaints: list[str] = []
    somebody_lacks = False
    wrong_list = _complaints_about(people) if people else []
    for file in files or _all_sequences(configured(context, config)):
        try:
            sequence = load(file)
        except SequenceError as error:
            complaints += error.complaints
        else:
            show.say(f"{file}: good. {sequence.name}, {_mails(sequence)}")
            somebody_lacks |= people is not None and not wrong_list and _lacks(people, sequence)
    if complaints or wrong_list:
        raise SequenceError(*complaints, *wrong_list)
    if somebody_lacks:
        raise typer.Exit(2)


def _complaints_about(people: Path) -> list[str]:
    """What keeps a file from being a list of people: told once, however many sequences there are."""
    try:
        read_people(people)
    except SequenceError as error:
        return list(error.complaints)
    return []


def _mails(sequence: Sequence) -> str:
    mails = sum(step.kind == "mail" for step in sequence.every_step())
    return f"{mails} {'mail' if mails == 1 else 'mails'}"


def _lacks(people: Path, sequence: Sequence) -> bool:
    """Is there anybody in the list who could not be enrolled and written to?"""
    with progress(f"{sequence.name}: looking at people") as step:
        report = look_at_all(read_people(people), sequence, progress=step)
    show_report(report)
    return bool(report.counted["held"] or report.counted["refused"])


@app.command()
def schema() -> None:
    """The language as a JSON schema, for editors: point yaml-language-server at it."""
    sys.stdout.write(render_schema())


@app.command(name="enroll")
def enroll_people(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="A sequence.")],
    people: Annotated[Path | None, typer.Argument(help="A list: CSV with a column email.")] = None,
    email: Annotated[str | None, typer.Option(help="One person, instead of a list.")] = None,
    var: Annotated[
        list[str] | None,
        typer.Option(help="first_name=Ida: of this person, or of everybody whose row does not say"),
    ] = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Begin a sequence with these people. Harmless to repeat."""
    if (people is None) == (email is None):
        raise typer.BadParameter("name a list of people, or one with --email")
    given = variables_of(var or [])
    sequence = load(file)
    rows = read_people(people) if people else iter([Prospect(email=email or "")])
    settings = configured(context, config)
    with opened(settings) as store, progress(f"{sequence.name}: enrolling") as step:
        known = (_knowing(row, given) for row in rows)
        report = enroll_all(
            known,
            sequence,
            pools=settings.pools,
            files=read_attachments(file, sequence),
            store=store,
            clock=SystemClock(),
            progress=step,
            line_by_line=as_json,
        )
        with store.reading(SystemClock().now()) as ledger:
            next_hour = ledger.drafts.next_hour()
    if as_json:
        show.as_json(report.lines)
    else:
        show_report(report)
        if next_hour and report.counted["enrolled"]:
            show.say(
                f"        the next letter leaves {next_hour:%a %d %b %H:%M} UTC; relent drafts says why then"
            )
    if report.counted["refused"]:
        raise typer.Exit(2)


@app.command()
def serve(
    context: typer.Context,
    host: Annotated[str | None, typer.Option(help="[default: server.host]", show_default=False)] = None,
    port: Annotated[
        int | None, typer.Option(help="[default: server.port]", show_default=False, min=0, max=65535)
    ] = None,
    workers: Annotated[int, typer.Option(help="Processes that share the port.", min=1, max=64)] = 1,
    config: ConfigFile = None,
) -> None:
    """Listen for answers, and send what is due: one process, nothing else needed."""
    listen(_observed(context, config), host=host, port=port, workers=workers)


@app.command()
def work(
    context: typer.Context,
    burst: Annotated[bool, typer.Option(help="Send what is due now, and leave.")] = False,
    metrics: Annotated[
        int | None,
        typer.Option(
            help="Show this worker's metrics at http://127.0.0.1:PORT/metrics.",
            metavar="PORT",
            show_default=False,
            min=0,
            max=65535,
        ),
    ] = None,
    config: ConfigFile = None,
) -> None:
    """Send what is due: one more pair of hands beside `relent serve`, here or on another machine."""
    settings = _observed(context, config)
    house = assemble(settings)
    try:
        warn(house)
        with drawing(settings.traces.endpoint), shown_at(metrics, exposition(house)):
            worker = Worker(house, listens=True)
            settle_in()
            if burst:
                show.say(f"{len(worker.tick())} looked after")
                worker.leave()
            else:
                worker.run_until_signalled()
    finally:
        house.store.close()


@app.command()
def status(context: typer.Context, config: ConfigFile = None, as_json: AsJson = False) -> None:
    """How things stand, counted."""
    settings = configured(context, config)
    with looking(settings) as ledger:
        state = ledger.views.status(ledger.now) | {"mode": settings.mailbox.transport}
        state["switched_off"] = ledger.subscribers.switched_off()
        state |= _standing(ledger)
    if as_json:
        show.as_json(state)
    else:
        show.as_status(state)


@app.command()
def drafts(
    context: typer.Context,
    every: Annotated[
        bool, typer.Option("--all", help="Also those that have left or were cancelled.")
    ] = False,
    canary: TheCanary = False,
    config: ConfigFile = None,
    as_json: AsJson = False,
    as_lines: AsLines = False,
) -> None:
    """What is still to be said."""
    with looking(configured(context, config)) as ledger:
        rows = ledger.views.drafts(ended=every, canary=canary)
        show.as_list(
            rows,
            ("draft_id", "to", "step", "subject", "send_at", "state", "reason"),
            as_json=as_json,
            as_lines=as_lines,
        )


@app.command()
def messages(
    context: typer.Context,
    canary: TheCanary = False,
    config: ConfigFile = None,
    as_json: AsJson = False,
    as_lines: AsLines = False,
) -> None:
    """What left and what came in, oldest first."""
    with looking(configured(context, config)) as ledger:
        columns = ("timestamp", "direction", "from", "to", "subject", "step")
        show.as_list(ledger.views.messages(canary=canary), columns, as_json=as_json, as_lines=as_lines)


@app.command()
def people(
    context: typer.Context,
    canary: TheCanary = False,
    config: ConfigFile = None,
    as_json: AsJson = False,
    as_lines: AsLines = False,
) -> None:
    """Who stands where."""
    with looking(configured(context, config)) as ledger:
        columns = ("email", "sequence", "state", "step", "next_send_at", "reason")
        show.as_list(ledger.views.people(canary=canary), columns, as_json=as_json, as_lines=as_lines)


@app.command()
def suppress(
    context: typer.Context,
    whom: Annotated[str, typer.Argument(help="An address, or a domain.")],
    why: Annotated[str, typer.Option(help="For whoever wonders later.")] = "by hand",
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Never write to this address or domain again, from any inbox here."""
    with opened(configured(context, config)) as store:
        receipt = suppress_whom(whom, why=why, by="the command line", store=store, clock=SystemClock())
        show_receipt(receipt, as_json)


@app.command()
def settle(
    context: typer.Context,
    draft_id: Annotated[str, typer.Argument(help="A draft that is uncertain.")],
    left: Annotated[
        bool | None,
        typer.Option("--left/--did-not-leave", help="What you found in the mailbox.", show_default=False),
    ] = None,
    config: ConfigFile = None,
) -> None:
    """Say of an uncertain draft whether it left; if it did not, it is sent again."""
    if left is None:
        raise typer.BadParameter("look into the mailbox, and say --left or --did-not-leave")
    with opened(configured(context, config)) as store:
        settle_doubt(draft_id, left=left, by="the command line", store=store, clock=SystemClock())
        show.say(f"{draft_id}  {'left' if left else 'waits again'}")


@app.command()
def version() -> None:
    """Which Relent this is."""
    show.say(f"relent {__version__}")


@app.command()
def demo(
    dashboard: Annotated[
        bool, typer.Option(help="Leave the dashboard open at the end, with work for a human.")
    ] = True,
) -> None:
    """A month of a small campaign in seconds: the real engine, server and webhooks; simulated people. No mail leaves."""
    play(dashboard=dashboard)


def _standing(ledger: Ledger) -> dict[str, Any]:
    """What /metrics knows as well."""
    seen = ledger.glance.standing()
    return {
        "due": seen.due,
        "in_flight": seen.in_flight,
        "braked": asdict(seen.braked) if seen.braked else None,
        "drift": drift(seen.signs),
        "workers": [{**each.says, "seen_at": each.at} for each in workers(seen.signs, ledger.now)],
    }


def _observed(context: typer.Context, config: Path | None) -> Config:
    """The settings of somebody who stays for long: their log begins here."""
    settings = configured(context, config)
    set_up_logs(settings.log.format, settings.log.level, secrets=secrets_of(settings))
    return settings


def _all_sequences(config: Config) -> list[Path]:
    folder = Path(config.sequences.path)
    found = sorted(folder.glob("*.y*ml"))
    if not found:
        raise ConfigError(f"{folder}: no sequences here")
    return found


def _knowing(row: Prospect | BadRow, given: dict[str, str]) -> Prospect | BadRow:
    return replace(row, variables={**given, **row.variables}) if isinstance(row, Prospect) else row


def _complain(text: str) -> None:
    for line in text.splitlines():
        show.complaints.print(line, style="red", highlight=False, markup=False, soft_wrap=True)


register_foresee(app)
register_review(app)
register_revise(app)
register_errands(app)
register_webhooks(app)
register_audit(app)
register_keys(app)
register_members(app)
register_brake(app)
register_migrate(app)
register_doctor(app)
