"""The commands for members: who may come in by the dashboard, and what they may do there."""

from typing import Annotated, Any

import typer

from engine.members import LINK_LASTS, ROLES, Invited, Members
from engine.store import Store
from engine.store.members import Member, Role
from relent import show
from relent.assemble import SystemClock
from relent.config import Config
from relent.options import AsJson, AsLines, ConfigFile, configured, opened
from relent.serve import front_of

_ME = "the command line"
_ROLES = ", ".join(ROLES)

Email = Annotated[str, typer.Argument(help="Their e-mail address.")]
Port = Annotated[
    int | None,
    typer.Option(
        help="Where relent serve listens, for the link. [default: server.port]",
        show_default=False,
        min=1,
        max=65535,
    ),
]


def register(app: typer.Typer) -> None:
    members = typer.Typer(
        help="Members: who may come in by the dashboard, and what they may do there.", no_args_is_help=True
    )
    for name, command in (
        ("invite", invite),
        ("list", list_members),
        ("role", role),
        ("disable", disable),
        ("reset", reset),
    ):
        members.command(name)(command)
    app.add_typer(members, name="member")


def invite(
    context: typer.Context,
    email: Email,
    as_what: Annotated[
        str, typer.Option("--role", help=f"{_ROLES}; each may do what those before it may.")
    ] = "reviewer",
    team: Annotated[
        list[str] | None,
        typer.Option(
            help="A team that they are in, as `approval: {by: team:sales}` names it.", show_default=False
        ),
    ] = None,
    port: Port = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Make a link by which somebody becomes a member. It is printed once, and opens once."""
    settings = configured(context, config)
    with opened(settings) as store:
        made = _members(store).invite(email, _known(as_what), teams=team or (), by=_ME)
    what_for = f"{made.invitation.email} becomes a {made.invitation.role} with it"
    _show_link(made, settings, port, as_json, what_for)


def reset(
    context: typer.Context,
    email: Email,
    port: Port = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Make a link by which a member chooses another password. The old one is good until it is used."""
    settings = configured(context, config)
    with opened(settings) as store:
        made = _members(store).reset(email, by=_ME)
    _show_link(made, settings, port, as_json, f"{made.invitation.email} chooses another password with it")


def list_members(
    context: typer.Context, config: ConfigFile = None, as_json: AsJson = False, as_lines: AsLines = False
) -> None:
    """Who may come in, as what, and who may not any more."""
    with opened(configured(context, config)) as store:
        show.as_list(
            map(_row, _members(store).list()),
            ("email", "name", "role", "teams", "created_at", "disabled_at"),
            as_json=as_json,
            as_lines=as_lines,
            for_people=lambda row: row | {"teams": ", ".join(row["teams"])},
            empty="no members: relent serve prints a link for the first admin, relent member invite makes others",
        )


def role(
    context: typer.Context,
    email: Email,
    new: Annotated[str, typer.Argument(metavar="ROLE", help=f"{_ROLES}.")],
    config: ConfigFile = None,
) -> None:
    """Change what somebody may do. They are signed out, and come in again as what they are then."""
    with opened(configured(context, config)) as store:
        there = _members(store).give_role(email, _known(new), by=_ME)
    show.say(f"{there.role}  {there.email}")


def disable(context: typer.Context, email: Email, config: ConfigFile = None) -> None:
    """Let somebody in no more: they are signed out everywhere at once. `relent member invite` undoes it."""
    with opened(configured(context, config)) as store:
        there = _members(store).disable(email, by=_ME)
    show.say(f"disabled  {there.email}")


def _members(store: Store) -> Members:
    return Members(store=store, clock=SystemClock())


def _known(role: str) -> Role:
    for known in ROLES:
        if role == known:
            return known
    raise typer.BadParameter(f'"{role}" is no role: write {_ROLES}')


def _show_link(made: Invited, settings: Config, port: int | None, as_json: bool, what_for: str) -> None:
    port = port or settings.server.port
    link = f"{front_of(settings.server, port)}/welcome/{made.token}"
    if as_json:
        show.as_json(
            {
                "link": link,
                "email": made.invitation.email,
                "role": made.invitation.role,
                "teams": made.invitation.teams,
                "expires_at": made.invitation.expires_at,
            }
        )
        return
    print(link)  # noqa: T201 (alone, so that LINK=$(relent member invite …) is the link)
    hours = f"{LINK_LASTS.total_seconds() / 3600:.0f}"
    show.say(f"{what_for}, once, within {hours} hours. You will not see this link again.", on=show.complaints)
    if not settings.server.public_url:
        show.say(
            f"Port {port} must be the one that relent serve listens on: else say --port.", on=show.complaints
        )


def _row(member: Member) -> dict[str, Any]:
    return {
        "member_id": member.id,
        "email": member.email,
        "name": member.name,
        "role": member.role,
        "teams": list(member.teams),
        "created_at": member.created_at,
        "disabled_at": member.disabled_at,
    }
