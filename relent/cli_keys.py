"""The commands for keys: who may use the API, and for what."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Annotated, Any

import typer

from engine.addresses import contact
from engine.errors import Refused
from engine.keys import PERMISSIONS, WORDS, Keyring
from engine.measures import parse_wait
from engine.store import Store
from engine.store.inboxes import Scope
from engine.store.keys import ApiKey
from engine.store.pages import Slice
from relent import show
from relent.assemble import SystemClock
from relent.options import AsJson, AsLines, ConfigFile, configured, opened

_AT_ONCE = 500


def register(app: typer.Typer) -> None:
    keys = typer.Typer(
        help="Keys for the API: make one, see who has used theirs, take one back.", no_args_is_help=True
    )
    for name, command in (("create", create), ("list", list_keys), ("revoke", revoke)):
        keys.command(name)(command)
    app.add_typer(keys, name="key")


def create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Whose it is, or what for: you will see it in the list.")],
    inbox: Annotated[str | None, typer.Option(help="For this inbox only.")] = None,
    pod: Annotated[str | None, typer.Option(help="For the inboxes of this pod only.")] = None,
    can: Annotated[
        list[str] | None,
        typer.Option(
            help=f"{', '.join(WORDS)}; each holds those before it. Or AgentMail's names, like draft_create. "
            "[default: everything]",
            show_default=False,
        ),
    ] = None,
    expires: Annotated[str | None, typer.Option(help="30d, 12h: it opens nothing after that.")] = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Make a key. It is printed once, and kept by nobody here."""
    scope, scope_id = _scope(inbox, pod)
    permissions = None if can is None else dict.fromkeys(_known(can), True)
    with opened(configured(context, config)) as store:
        made = _ring(store).make(
            name,
            scope=scope,
            scope_id=scope_id,
            permissions=permissions,
            expires_at=_end(expires),
        )
    if as_json:
        show.as_json({"api_key": made.secret, **_row(made.key)})
        return
    print(made.secret)  # noqa: T201 (alone, so that KEY=$(relent key create …) is the key)
    show.say(
        f"{made.key.id}: {made.key.name}, {_reach(made.key)}, {_allowed(made.key)}. "
        "You will not see this key again; `relent key revoke` takes it back.",
        on=show.complaints,
    )


def list_keys(
    context: typer.Context,
    config: ConfigFile = None,
    as_json: AsJson = False,
    as_lines: AsLines = False,
) -> None:
    """Which keys there are, and when each was used last. Those that stand in the configuration are not among them."""
    with opened(configured(context, config)) as store:
        show.as_list(
            map(_row, _all(_ring(store))),
            ("api_key_id", "prefix", "name", "for", "can", "used_at", "expires_at"),
            as_json=as_json,
            as_lines=as_lines,
            for_people=_briefly,
            empty="no keys: relent key create makes one",
        )


def revoke(
    context: typer.Context,
    key_ids: Annotated[list[str], typer.Argument(help="As `relent key list` names them.")],
    config: ConfigFile = None,
) -> None:
    """Take keys back: a running server knows it within a second."""
    with opened(configured(context, config)) as store:
        ring = _ring(store)
        for key_id in key_ids:
            ring.revoke(key_id)
            show.say(f"revoked  {key_id}")


def _ring(store: Store) -> Keyring:
    return Keyring(store=store, clock=SystemClock())


def _all(ring: Keyring) -> Iterator[ApiKey]:
    part = Slice(limit=_AT_ONCE)
    while True:
        page = ring.list(part)
        yield from page.items
        if page.next is None:
            return
        part = Slice(limit=_AT_ONCE, after=page.next)


def _scope(inbox: str | None, pod: str | None) -> tuple[Scope, str]:
    if inbox is not None and pod is not None:
        raise typer.BadParameter("a key is for one inbox or for one pod: name one of them")
    if inbox is not None:
        return "inbox", contact(inbox)
    return ("organization", "") if pod is None else ("pod", pod)


def _known(can: list[str]) -> list[str]:
    names = [name.strip() for each in can for name in each.split(",")]
    for name in names:
        if name not in WORDS and name not in PERMISSIONS:
            raise typer.BadParameter(f'--can "{name}": write {", ".join(WORDS)}, or a name like draft_create')
    return names


def _end(expires: str | None) -> datetime | None:
    if expires is None:
        return None
    try:
        wait = parse_wait(expires)
        if wait.in_business_days or not wait.delta:
            raise ValueError
        return SystemClock().now() + wait.delta
    except (ValueError, OverflowError, Refused):
        raise typer.BadParameter(f'--expires "{expires}": write 12h, 30d or 52w') from None


def _row(key: ApiKey) -> dict[str, Any]:
    return {
        "api_key_id": key.id,
        "prefix": key.prefix,
        "name": key.name,
        "scope": key.scope,
        "pod_id": key.scope_id if key.scope == "pod" else None,
        "inbox_id": key.scope_id if key.scope == "inbox" else None,
        "permissions": key.permissions,
        "created_at": key.created_at,
        "used_at": key.used_at,
        "expires_at": key.expires_at,
    }


def _briefly(row: dict[str, Any]) -> dict[str, Any]:
    return row | {
        "for": row["inbox_id"] or row["pod_id"] or "everybody here",
        "can": _word(row["permissions"]),
    }


def _reach(key: ApiKey) -> str:
    return f"for {key.scope_id}" if key.scope_id else "for everybody here"


def _allowed(key: ApiKey) -> str:
    return f"can {_word(key.permissions)}"


def _word(permissions: Mapping[str, bool] | None) -> str:
    """As short as it can be said."""
    if permissions is None:
        return "everything"
    granted = frozenset(name for name, so in permissions.items() if so)
    words = [word for word, names in WORDS.items() if names == granted]
    return words[0] if words else ", ".join(sorted(granted)) or "nothing"
