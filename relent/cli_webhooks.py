"""The commands for those who are told what happens here: who they are, what they were told, and whether it arrives."""

import json
import time
from collections.abc import Iterator
from itertools import islice
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer

from engine import outbox, subscribers
from engine.calls import Answer
from engine.errors import ConfigError, NotFound, Unavailable
from engine.ids import new_id
from engine.store import Ledger
from engine.store.subscribers import Subscriber
from relent import show
from relent.assemble import SystemClock, judge, render_telling, sender
from relent.config import Config
from relent.first_day import new_secret
from relent.knock import knock, our_door
from relent.options import AsJson, AsLines, ConfigFile, configured, looking, opened
from webhooks.signature import decode_secret

_BY = "the command line"

WebhookId = Annotated[str, typer.Argument(help="ep_…: see `relent webhook list`.")]


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="Those who are told what happens here.", no_args_is_help=True)
    group.command(name="list")(everybody)
    group.command(name="test")(try_out)
    for command in (deliveries, redeliver, rotate, enable):
        group.command()(command)
    app.add_typer(group, name="webhook")


def everybody(
    context: typer.Context, config: ConfigFile = None, as_json: AsJson = False, as_lines: AsLines = False
) -> None:
    """Who is told what, and whether they take it."""
    columns = ("webhook_id", "to", "event_types", "state", "waiting", "why_off")
    with looking(configured(context, config)) as ledger:
        show.as_list(_listed(ledger), columns, as_json=as_json, as_lines=as_lines, for_people=_briefly)


def try_out(
    context: typer.Context,
    where: Annotated[
        str | None, typer.Argument(metavar="[URL|ID]", help="Where to post: a URL, or a webhook, ep_…")
    ] = None,
    itself: Annotated[
        bool, typer.Option("--self", help="Our own door: can those who tell us of answers reach it?")
    ] = False,
    secret: Annotated[
        str | None, typer.Option(help="whsec_…: what a URL that is no webhook here is signed with.")
    ] = None,
    config: ConfigFile = None,
) -> None:
    """Sign a sample, post it, and show what came back. Nothing of it is kept."""
    if (where is None) != itself:
        raise typer.BadParameter("name a URL or a webhook; or say --self")
    settings, began = configured(context, config), time.monotonic()
    url, answer = _knock_at_our_own(settings) if where is None else _knock(settings, where, secret)
    took = int((time.monotonic() - began) * 1000)
    if not answer.is_yes:
        raise Unavailable(f"{_host(url)}: {answer}")
    show.say(f"{_host(url)}: {answer}, in {took} ms")


def deliveries(
    context: typer.Context,
    webhook_id: Annotated[str | None, typer.Argument(help="Of this webhook only.")] = None,
    last: Annotated[int, typer.Option(min=1, help="So many, the latest first.")] = 100,
    config: ConfigFile = None,
    as_json: AsJson = False,
    as_lines: AsLines = False,
) -> None:
    """What was told to whom, and what they said to it."""
    columns = ("delivery_id", "to", "event_type", "at", "state", "tries", "next_try_at", "outcome")
    with looking(configured(context, config)) as ledger:
        rows = islice(ledger.outbox.log(webhook_id), last)
        show.as_list(
            rows, columns, as_json=as_json, as_lines=as_lines, for_people=_briefly, empty="nothing was told"
        )


def redeliver(
    context: typer.Context,
    delivery_ids: Annotated[list[str], typer.Argument(help="msg_…: see `relent webhook deliveries`.")],
    config: ConfigFile = None,
) -> None:
    """Tell it once more: the same event, under a delivery's id of its own."""
    with opened(configured(context, config)) as store:
        for each in delivery_ids:
            again = outbox.redeliver(each, by=_BY, store=store, clock=SystemClock())
            show.say(f"{each}  is tried at once" if again == each else f"{each}  is told again as {again}")


def rotate(context: typer.Context, webhook_id: WebhookId, config: ConfigFile = None) -> None:
    """Make a new secret. For 24 hours the old one signs beside it."""
    with opened(configured(context, config)) as store:
        changed = subscribers.rotate(webhook_id, by=_BY, store=store, clock=SystemClock())
    show.say(f"{changed.secret}\nThe old one signs beside it until {changed.old_until:%a %d %b %H:%M} UTC.")


def enable(context: typer.Context, webhook_id: WebhookId, config: ConfigFile = None) -> None:
    """Switch a webhook on again. What it missed stays missed: see `relent webhook redeliver`."""
    wish = subscribers.Change(enabled=True)
    with opened(configured(context, config)) as store:
        subscribers.change(webhook_id, wish, by=_BY, store=store, clock=SystemClock())
    show.say(f"{webhook_id}  is told what happens from now on")


def _listed(ledger: Ledger) -> Iterator[dict[str, Any]]:
    waiting = ledger.outbox.waiting()
    for each in ledger.subscribers.everybody():
        yield {
            "webhook_id": each.id,
            "to": each.url,
            "event_types": each.event_types,
            "inbox_ids": each.inbox_ids,
            "pod_ids": each.pod_ids,
            "inbox_id": each.inbox_id,
            "pod_id": each.pod_id,
            "state": _state(each),
            "failing_since": each.failing_since,
            "why_off": each.why_off,
            "waiting": waiting.get(each.id, 0),
            "created_at": each.created_at,
        }


def _state(of: Subscriber) -> str:
    if not of.enabled:
        return "off"
    return "on" if of.failing_since is None else "failing"


def _briefly(row: dict[str, Any]) -> dict[str, Any]:
    """A host says enough at a glance; the rest of a URL may be a secret."""
    return row | {"to": _host(row["to"])}


def _host(url: str) -> str:
    return str(urlsplit(url).netloc.rpartition("@")[2])


# --- knocking ---


def _knock(settings: Config, where: str, secret: str | None) -> tuple[str, Answer]:
    with looking(settings) as ledger:
        reader = _known(where, ledger)
    if reader is None:
        if why := judge(settings)(where):
            raise ConfigError(why)
        reader = _stranger(where, secret)
    answer = outbox.try_out(reader, post=sender(settings).post, render=render_telling, clock=SystemClock())
    return reader.url, answer


def _known(where: str, ledger: Ledger) -> Subscriber | None:
    """By its id, or by its URL."""
    if not where.startswith("ep_"):
        return next((each for each in ledger.subscribers.everybody() if each.url == where), None)
    if (found := ledger.subscribers.get(where)) is None:
        raise NotFound(f"There is no webhook {where}.")
    return found


def _stranger(url: str, secret: str | None) -> Subscriber:
    """Nobody here yet: whoever checks the signature has to be told what it is made with."""
    if secret is None:
        secret = new_secret()
        show.say(f"signed with {secret}", on=show.complaints)
    decode_secret(secret)
    now = SystemClock().now()
    return Subscriber(
        id=new_id("ep", now), url=url, event_types=(), secret=secret, created_at=now, updated_at=now
    )


def _knock_at_our_own(settings: Config) -> tuple[str, Answer]:
    """As those knock who tell us of answers. It says nothing that changes anything."""
    clock = SystemClock()
    said = {"type": "event", "event_type": "relent.test", "event_id": new_id("evt", clock.now())}
    return our_door(settings), knock(settings, json.dumps(said).encode(), clock)
