"""Settings, for admins: who may come in, what opens the API, which secrets there are, and how the house is set up."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast
from urllib.parse import quote

from dashboard.frame import Answer, Asked, Door, Shown, Went, reading
from dashboard.marks import mark_of, word_of
from dashboard.pages.deliveries import host, once
from engine import canary
from engine.addresses import contact
from engine.errors import Invalid, Issue, NotFound, Refused
from engine.keys import WORDS, Caller, Keyring
from engine.members import LINK_LASTS, ROLES, Invited
from engine.seal import Verdict, glance, verify
from engine.store import HEAD
from engine.store.keys import ApiKey
from engine.store.members import Member, Role
from engine.store.pages import Mark, Slice
from engine.store.watch import Sign

_AT_ONCE = 50

#: What a key may do, in words of ours.
_MAY: Mapping[str, str] = {
    "read": "Read: see inboxes, letters and drafts",
    "draft": "Draft: and write drafts, which a human sends",
    "send": "Send: and send letters",
    "admin": "Everything: and make keys and webhooks",
}
_LASTS: Mapping[str, int | None] = {"7": 7, "30": 30, "90": 90, "365": 365, "never": None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A key, as people look at it. The key itself is kept by nobody."""

    key: ApiKey
    may: str
    place: str
    ended: bool


def everything(asked: Asked) -> Answer:
    return _shown(asked, {})


def _shown(asked: Asked, filled: Mapping[str, Any], *, status: int = 200) -> Answer:
    office = asked.office
    with reading(asked) as ledger:
        flight = ledger.watch.last(canary.SIGN)
        readers = list(ledger.subscribers.everybody())
    keys, more, first = _keys(asked)
    seal = office.counted.see("audit chain", lambda: glance(office.store, office.clock))
    members = office.members.list()
    admins = [each for each in members if each.role == "admin" and not each.disabled_at]
    context = {
        "members": [(each, href_of(each)) for each in members],
        "only_admin": admins[0].email if len(admins) == 1 else None,
        "roles": ROLES,
        "keys": keys,
        "has_keys": office.keys is not None,
        "more_keys": more,
        "first_keys": first,
        "may": _MAY,
        "lasts": tuple(_LASTS),
        "readers": [(each.id, host(each.url), each) for each in readers],
        "secrets": office.secrets,
        "settings": office.settings,
        "flight": _flight(flight),
        "seal": seal.value,
        "seal_as_of": seal.as_of,
        "version": office.version,
        "schema": HEAD,
        "filled": {"form": "", "error": "", "email": "", "name": "", "teams": "", "inbox": "", **filled},
    }
    return Shown("settings.html", context, status)


def _flight(sign: Sign | None) -> Mapping[str, Any] | None:
    if sign is None:
        return None
    says = sign.says
    return {
        "at": sign.at,
        "in_time": bool(says.get("in_time")),
        "seconds": says.get("seconds"),
        "why": says.get("why"),
        "flights": says.get("flights", 0),
    }


# --- members ---


def invite(asked: Asked) -> Answer:
    email, teams = asked.said("email").strip(), asked.said("teams")
    try:
        made = asked.office.members.invite(
            email, _role(asked.said("role")), teams=_named(teams), by=asked.member.email
        )
    except Refused as error:
        told = {"form": "invite", "email": email, "teams": teams, "error": _for_a_page(str(error))}
        return _shown(asked, told, status=422)
    return _link(
        asked,
        made,
        f"{made.invitation.email} comes in by it as {made.invitation.role}, and chooses a password.",
    )


def reset(asked: Asked) -> Answer:
    made = asked.office.members.reset(asked.path["email"], by=asked.member.email)
    return _link(
        asked,
        made,
        f"{made.invitation.email} chooses another password by it. Until then the old one is good.",
    )


def _link(asked: Asked, made: Invited, words: str) -> Answer:
    hours = LINK_LASTS // timedelta(hours=1)
    return once(
        title="A link that opens once",
        secret=f"{asked.base}/welcome/{made.token}",
        words=f"{words} It opens once, within {hours} hours. Give it to nobody else: whoever has it first comes in.",
        until=made.invitation.expires_at,
        back="/settings#members",
    )


def give_role(asked: Asked) -> Answer:
    try:
        now = asked.office.members.give_role(
            asked.path["email"], _role(asked.said("role")), by=asked.member.email
        )
    except Refused as error:
        return Went("/settings", _for_a_page(str(error)), "bad")
    return _changed(asked, now, f"{now.email} is a {now.role} from now on, and signs in again.")


def _changed(asked: Asked, now: Member, words: str) -> Answer:
    """Whoever has changed themselves may be no admin any more."""
    mine = now.email == asked.member.email
    return Went("/" if mine else "/settings", words)


def give_teams(asked: Asked) -> Answer:
    try:
        now = asked.office.members.give_teams(
            asked.path["email"], _named(asked.said("teams")), by=asked.member.email
        )
    except Refused as error:
        return Went("/settings", _for_a_page(str(error)), "bad")
    return Went("/settings", f"{now.email} is in {', '.join(now.teams) or 'no team'} from now on.")


def disable(asked: Asked) -> Answer:
    try:
        now = asked.office.members.disable(asked.path["email"], by=asked.member.email)
    except Refused as error:
        return Went("/settings", _for_a_page(str(error)), "bad")
    return _changed(
        asked, now, f"{now.email} is out, and comes in no more until somebody invites them again."
    )


def _role(word: str) -> Role:
    found = next((role for role in ROLES if role == word), None)
    if found is None:
        raise Invalid(Issue(("role",), f"choose one of {', '.join(ROLES)}"))
    return found


def _named(teams: str) -> list[str]:
    return [name for each in teams.split(",") if (name := each.strip())]


def _for_a_page(words: str) -> str:
    """What the engine tells of the command line is on this page, too."""
    return (
        words.replace(
            "`relent member role` changes what they may do, `relent member reset` makes",
            "Below you change what they may do, or make",
        )
        .replace("`relent member invite` lets them in again", "Invite them, and they are let in again")
        .replace("`relent member list` names them", "The list names them")
    )


# --- keys ---


def _keys(asked: Asked) -> tuple[list[Key], str | None, str | None]:
    ring = asked.office.keys
    if ring is None:
        return [], None, None
    after = cast("Mark | None", mark_of(asked.query.get("keys", ""), int, str))
    page = ring.list(Slice(limit=_AT_ONCE, after=after))
    onward = f"/settings?keys={word_of(page.next)}#api-keys" if page.next else None
    return [_key(each, asked.now) for each in page.items], onward, "/settings#api-keys" if after else None


def _key(key: ApiKey, now: datetime) -> Key:
    return Key(
        key=key,
        may=_may(key.permissions),
        place=key.scope_id or "everywhere here",
        ended=key.expires_at is not None and key.expires_at <= now,
    )


def _may(permissions: Mapping[str, bool] | None) -> str:
    if permissions is None:
        return "everything"
    granted = frozenset(name for name, so in permissions.items() if so)
    words = next((word for word, names in WORDS.items() if names == granted), None)
    return words or f"{len(granted)} permissions of its own"


def make_key(asked: Asked) -> Answer:
    ring = _ring(asked)
    name, inbox = asked.said("name").strip(), asked.said("inbox").strip()
    try:
        made = ring.make(
            name,
            scope="inbox" if inbox else "organization",
            scope_id=contact(inbox),
            permissions=_permissions(asked.said("may")),
            expires_at=_end(asked.said("lasts"), asked.now),
            by=_as_caller(asked),
        )
    except (Refused, NotFound) as error:
        told = {"form": "key", "name": name, "inbox": inbox, "error": str(error)}
        return _shown(asked, told, status=422)
    return once(
        title="A new key",
        secret=made.secret,
        words=f"{made.key.name}. {_MAY[asked.said('may')]}; {made.key.scope_id or 'everywhere here'}.",
        until=made.key.expires_at,
        back="/settings#api-keys",
    )


def revoke_key(asked: Asked) -> Answer:
    _ring(asked).revoke(asked.path["key_id"], by=_as_caller(asked))
    return Went("/settings", "It opens nothing any more: here at once, in other processes within a second.")


def _ring(asked: Asked) -> Keyring:
    if asked.office.keys is None:
        raise NotFound("No keys are kept here.")
    return asked.office.keys


def _as_caller(asked: Asked) -> Caller:
    """An admin may do everything; and the log says who it was."""
    return Caller(key_id=asked.member.email, name=asked.member.name)


def _permissions(word: str) -> Mapping[str, bool]:
    if word not in WORDS:
        raise Invalid(Issue(("may",), f"choose one of {', '.join(WORDS)}"))
    return {word: True}


def _end(word: str, now: datetime) -> datetime | None:
    if word not in _LASTS:
        raise Invalid(Issue(("lasts",), "choose how long it lasts"))
    days = _LASTS[word]
    return None if days is None else now + timedelta(days=days)


# --- the log ---


def audit(asked: Asked) -> Answer:
    """The whole chain, from the first line. It takes its time, and the page says so."""
    office = asked.office

    def look() -> Verdict:
        return verify(office.store, office.clock)

    seen = office.counted.see("audit chain, all of it", look)
    return Shown("settings_audit.html", {"verdict": seen.value, "as_of": seen.as_of})


def href_of(member: Member) -> str:
    """What is done to somebody is done there."""
    return f"/settings/members/{quote(member.email, safe='')}"


_MEMBER = "/settings/members/{email}"
DOORS = (
    Door("GET", "/settings", everything, name="settings", role="admin"),
    Door("GET", "/settings/audit", audit, name="settings.audit", role="admin"),
    Door("POST", "/settings/members", invite, name="settings.invite", role="admin"),
    Door("POST", f"{_MEMBER}/role", give_role, name="settings.role", role="admin"),
    Door("POST", f"{_MEMBER}/teams", give_teams, name="settings.teams", role="admin"),
    Door("POST", f"{_MEMBER}/reset", reset, name="settings.reset", role="admin"),
    Door("POST", f"{_MEMBER}/disable", disable, name="settings.disable", role="admin"),
    Door("POST", "/settings/keys", make_key, name="settings.make_key", role="admin"),
    Door("POST", "/settings/keys/{key_id}/revoke", revoke_key, name="settings.revoke_key", role="admin"),
)
