"""The entrance: in by a password, in by a link that opens once, out again; and another password."""

import logging
from dataclasses import dataclass

from dashboard.frame import Asked, Door, Entered, Left, Shown, Went
from dashboard.origin import own_path
from dashboard.refusals import refusal
from engine.addresses import contact
from engine.errors import Invalid, NotFound, Refused
from engine.members import USED_UP

log = logging.getLogger("relent.dashboard")

_WRONG = "That address and that password do not belong together. Look at both; capital letters count in the password."
_DIFFER = "The two passwords are not the same: write it twice, so that no slip of a finger locks you out."


@dataclass(frozen=True, slots=True)
class _Filled:
    """What somebody had written into a form before it was refused; never a password."""

    email: str = ""
    name: str = ""
    error: str | None = None
    wrong: frozenset[str] = frozenset()  #: the fields that it is about


def login(asked: Asked) -> Shown | Went:
    to = own_path(asked.query.get("next", ""))
    return Went(to) if asked.guest else _login(to)


def sign_in(asked: Asked) -> Shown | Entered:
    email, to = contact(asked.said("email")), own_path(asked.said("next"))
    asked.office.patience.take(email, asked.address, asked.now)
    guest = asked.office.members.sign_in(
        email, asked.said("password"), instead_of=asked.guest.token if asked.guest else None
    )
    if guest is None:
        log.warning(
            "a sign-in was refused, from %s", asked.address or "nowhere"
        )  # not as whom: it may be a password
        return _login(to, _Filled(email=asked.said("email"), error=_WRONG), status=401)
    asked.office.patience.forgive(email, asked.address, asked.now)
    return Entered(guest, to)


def sign_out(asked: Asked) -> Left:
    if asked.guest:
        asked.office.members.sign_out(asked.guest.token)
    return Left(notice="You are signed out.")


def welcome(asked: Asked) -> Shown:
    """Only shown: whoever looks at links before people do, a chat or a mail server, does not use it up."""
    return _welcome(asked, _Filled())


def come_in(asked: Asked) -> Shown | Entered:
    filled = _Filled(email=asked.said("email"), name=asked.said("name"))
    try:
        if asked.said("password") != asked.said("again"):
            raise Refused(_DIFFER)
        guest = asked.office.members.accept(
            asked.path["token"],
            asked.said("password"),
            email=filled.email,
            name=filled.name,
            instead_of=asked.guest.token if asked.guest else None,
        )
    except (Invalid, Refused) as error:
        return _welcome(asked, _refilled(filled, error), status=422)
    return Entered(guest, "/", "You are in.")


def account(asked: Asked) -> Shown:
    return Shown("account.html", {"filled": _Filled()})


def change_password(asked: Asked) -> Shown | Entered:
    if asked.guest is None:
        raise NotFound
    tries = f"account\0{asked.member.id}"  # no form has a NUL: nobody uses these up at the login
    asked.office.patience.take(tries, asked.address, asked.now)
    try:
        if asked.said("password") != asked.said("again"):
            raise Refused(_DIFFER)
        guest = asked.office.members.change_password(asked.guest, asked.said("old"), asked.said("password"))
    except Refused as error:
        return Shown("account.html", {"filled": _refilled(_Filled(), error)}, 422)
    asked.office.patience.forgive(tries, asked.address, asked.now)
    return Entered(guest, "/account", "Your password is changed. You are signed out everywhere but here.")


def _login(to: str, filled: _Filled | None = None, status: int = 200) -> Shown:
    return Shown("login.html", {"next": to, "filled": filled or _Filled()}, status)


def _welcome(asked: Asked, filled: _Filled, status: int = 200) -> Shown:
    token = asked.path["token"]
    invitation = asked.office.members.invited(token)
    if invitation is None:
        raise NotFound(USED_UP)
    there = asked.office.members.called(invitation.email) if invitation.email else None
    return Shown(
        "welcome.html", {"invitation": invitation, "there": there, "filled": filled, "token": token}, status
    )


def _refilled(filled: _Filled, error: Refused) -> _Filled:
    wrong = (
        frozenset(str(issue.path[0]) for issue in error.issues) if isinstance(error, Invalid) else frozenset()
    )
    said = "; ".join(issue.message for issue in error.issues) if isinstance(error, Invalid) else str(error)
    return _Filled(email=filled.email, name=filled.name, error=refusal(Refused(said)).message, wrong=wrong)


DOORS: tuple[Door, ...] = (
    Door(method="GET", path="/login", handler=login, name="login", role="anybody"),
    Door(method="POST", path="/login", handler=sign_in, name="login", role="anybody"),
    Door(method="POST", path="/logout", handler=sign_out, name="logout", role="viewer"),
    Door(method="GET", path="/welcome/{token}", handler=welcome, name="welcome", role="anybody"),
    Door(method="POST", path="/welcome/{token}", handler=come_in, name="welcome", role="anybody"),
    Door(method="GET", path="/account", handler=account, name="account"),
    Door(method="POST", path="/account", handler=change_password, name="account"),
)
