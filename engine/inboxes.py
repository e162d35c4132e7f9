"""Story: an inbox is opened, renamed, paused, deleted with everything that it still had to say; and the pods that inboxes are in."""

import hashlib
import hmac
import math
import re
import secrets
from base64 import b32encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from engine.addresses import valid_address
from engine.errors import Busy, Forbidden, Invalid, Issue, NotFound, Refused
from engine.headers import name_trouble
from engine.model import Inbox
from engine.seams import Clock
from engine.states import StopReason
from engine.store import Ledger, Reach, Store
from engine.store.inboxes import Pod
from engine.store.tables import DEFAULT_POD

#: Where an inbox lives that asks for no domain, in a house that has none.
NOWHERE = "relent.local"

Metadata = Mapping[str, str | float | bool]

_USERNAME = re.compile(r"[a-z0-9][a-z0-9._+-]{0,63}", re.ASCII)
_CLIENT_ID = re.compile(r"[A-Za-z0-9._~-]{1,256}", re.ASCII)
_LONGEST_KEY, _LONGEST_VALUE, _MOST_KEYS = 256, 4096, 256
_RANDOM_SIGNS, _RANDOM_LENGTH = "abcdefghjkmnpqrstvwxyz0123456789", 12
_AT_ONCE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """An inbox as it is asked for. None: whatever you like."""

    username: str | None = None
    domain: str | None = None
    display_name: str | None = None
    client_id: str | None = None
    paused: bool = False
    metadata: Metadata = field(default_factory=dict)
    pod_id: str = DEFAULT_POD


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What becomes different. What is not named stays."""

    words: Mapping[str, Any] = field(default_factory=dict)  #: `display_name`, `paused`
    #: merged with what is there: None takes one away, and all of them if there is nothing else
    metadata: Mapping[str, str | float | bool | None] | str | None = "as it is"


@dataclass(frozen=True, slots=True, kw_only=True)
class Organization:
    """Whose house this is: there is one."""

    id: str
    inbox_count: int
    domain_count: int
    created_at: datetime


def organization_id(instance_key: bytes) -> str:
    """The same for ever, and it tells nothing of the key."""
    digest = hmac.digest(instance_key, b"relent: the organization", hashlib.sha256)
    return f"org_{b32encode(digest).decode()[:24].lower()}"


def organization(ledger: Ledger) -> Organization:
    count = ledger.inboxes.count()
    return Organization(
        id=organization_id(ledger.instance_key()),
        inbox_count=count.inboxes,
        domain_count=count.domains,
        created_at=count.created_at,
    )


# --- opened and changed ---


def open_inbox(
    wanted: Wanted,
    *,
    domains: Sequence[str],
    anywhere: bool = False,
    by: str,
    store: Store,
    clock: Clock,
) -> Inbox:
    """Under a `client_id` that was given before, the inbox that was opened then.

    `domains`: those that are served here; none: any at which somebody lives already, and our own; `anywhere`: or any.
    Raises Forbidden where somebody lives already, or where nobody can; NotFound for a pod that is none.
    """
    _check(wanted)
    with store.transaction(clock.now(), by) as ledger:
        if ledger.inboxes.enter_pod(wanted.pod_id) is None:
            raise NotFound(f"There is no pod {wanted.pod_id}.")
        if wanted.client_id is not None and (first := ledger.inboxes.called(wanted.client_id)) is not None:
            return _of_this_pod(first, wanted)
        at = _domain(wanted, domains, anywhere, ledger)
        made = ledger.inboxes.create(
            Inbox(
                id=_address(wanted.username, at),
                pod_id=wanted.pod_id,
                created_at=ledger.now,
                updated_at=ledger.now,
                display_name=wanted.display_name or None,
                client_id=wanted.client_id,
                paused=wanted.paused,
                metadata=wanted.metadata,
            )
        )
        if made is None:
            raise Forbidden(f"{wanted.username}@{at} is taken.", "resource_taken")
        return _of_this_pod(made, wanted)


def update(inbox_id: str, change: Change, *, by: str, store: Store, clock: Clock) -> Inbox:
    """Raises Invalid for a change of nothing."""
    values = dict(change.words)
    if unknown := values.keys() - {"display_name", "paused"}:
        raise Invalid(*(Issue((name,), "this never changes") for name in sorted(unknown)))
    if not values and isinstance(change.metadata, str):
        raise Invalid(Issue((), "nothing is to be changed: name display_name, status or metadata"))
    if "display_name" in values:
        _check_name(values["display_name"])
        values["display_name"] = values["display_name"] or None
    with store.transaction(clock.now(), by) as ledger:
        found = ledger.inboxes.lock(inbox_id)
        if found is None:
            raise NotFound(f"There is no inbox {inbox_id}.")
        if not isinstance(change.metadata, str):
            values["metadata"] = _merged(found.metadata, change.metadata)
        changed = ledger.inboxes.update(inbox_id, **values)
        if changed and changed.display_name != found.display_name:
            ledger.drafts.void_from(inbox_id, changed.display_name or "")
    if changed is None:
        raise NotFound(f"There is no inbox {inbox_id}.")
    return changed


def _of_this_pod(found: Inbox, wanted: Wanted) -> Inbox:
    """A name that somebody has given in another pod is nobody's business here."""
    if found.pod_id != wanted.pod_id:
        raise Forbidden(f"The client_id {wanted.client_id} is taken.", "resource_taken")
    return found


def _domain(wanted: Wanted, domains: Sequence[str], anywhere: bool, ledger: Ledger) -> str:
    if wanted.domain is None:
        return domains[0] if domains else NOWHERE
    at = wanted.domain.strip().lower()
    served = at in domains if domains else anywhere or at == NOWHERE or ledger.inboxes.serves(at)
    if not served:
        here = ", ".join(domains) if domains else f"{NOWHERE}, or name others in server.domains"
        raise Forbidden(f"{at[:100]} is not served here: {here}.", "domain_not_verified")
    return at


def _address(username: str | None, at: str) -> str:
    name = _made_up() if username is None else username.strip().lower()
    try:
        address = valid_address(f"{name}@{at}")
    except Refused as error:
        raise Invalid(Issue(("domain" if username is None else "username",), str(error))) from None
    if not _USERNAME.fullmatch(name):
        right = "letters, digits and . _ + -, a letter or a digit first"
        raise Invalid(Issue(("username",), f"{username!r} cannot stand in a path: write {right}"))
    return address.lower()


def _made_up() -> str:
    return "".join(secrets.choice(_RANDOM_SIGNS) for _ in range(_RANDOM_LENGTH))


def _check(wanted: Wanted) -> None:
    check_client_id(wanted.client_id)
    _check_name(wanted.display_name)
    _check_metadata(wanted.metadata)


def check_client_id(client_id: str | None) -> None:
    """Raises Invalid."""
    if client_id is not None and not _CLIENT_ID.fullmatch(client_id):
        raise Invalid(Issue(("client_id",), "1 to 256 of the signs A-Z a-z 0-9 - . _ ~ are a client_id"))


def _empty(name: str) -> str | None:
    return None if name.strip() else "there is nothing in it"


def _check_name(name: str | None) -> None:
    """It goes into the From of every letter."""
    if name is not None and (trouble := name_trouble(name)):
        raise Invalid(Issue(("display_name",), trouble))


def _check_metadata(metadata: Mapping[str, Any]) -> None:
    issues = []
    if len(metadata) > _MOST_KEYS:
        issues.append(Issue(("metadata",), f"at most {_MOST_KEYS} keys"))
    for key, value in metadata.items():
        if not key or len(key) > _LONGEST_KEY:
            issues.append(Issue(("metadata", key[:50]), f"a key has 1 to {_LONGEST_KEY} letters"))
        if isinstance(value, str) and len(value) > _LONGEST_VALUE:
            issues.append(Issue(("metadata", key[:50]), f"at most {_LONGEST_VALUE:,} letters"))
        if isinstance(value, float) and not math.isfinite(value):
            issues.append(Issue(("metadata", key[:50]), "this is no number"))
    if issues:
        raise Invalid(*issues)


def _merged(old: Metadata, new: Mapping[str, str | float | bool | None] | None) -> Metadata:
    if new is None:
        return {}
    merged = {key: value for key, value in {**old, **new}.items() if value is not None}
    _check_metadata(merged)
    return merged


# --- deleted ---


def delete(inbox_id: str, *, by: str, store: Store, clock: Clock) -> None:
    """What it still had to say is not said, and nobody here is written to from it again; no other inbox is touched.

    Raises NotFound; and Busy while one of its letters is leaving, because nobody can say yet what to tell.
    """
    with store.transaction(clock.now(), by) as ledger:
        if ledger.inboxes.get(inbox_id) is None:
            raise NotFound(f"There is no inbox {inbox_id}.")
        ledger.inboxes.lock_threads(inbox_id)
        _refuse_while_leaving(inbox_id, ledger)
        for some in _some(ledger.inboxes.at_work(inbox_id)):
            ledger.call_back(Reach(threads=tuple(some)), StopReason.BY_HAND)
        _cancel(ledger.inboxes.still_to_be_said(inbox_id), ledger)
        if not ledger.inboxes.delete(inbox_id):
            raise NotFound(f"There is no inbox {inbox_id}.")
        _refuse_while_written_in(inbox_id, ledger)
        # last: until its row was ours, a letter could still be begun, leave, and be kept
        ledger.filing.erase_inbox(inbox_id)


def _cancel(drafts: Sequence[str], ledger: Ledger) -> None:
    """Those that no sequence made, and no label names."""
    for some in _some(drafts):
        ledger.drafts.lock(some)
        cancelled = ledger.drafts.cancel(some, StopReason.BY_HAND)
        ledger.drafts.recall(some, StopReason.BY_HAND)
        ledger.threads.untag(each.id for each in cancelled)


def _refuse_while_leaving(inbox_id: str, ledger: Ledger) -> None:
    if leaving := ledger.inboxes.leaving(inbox_id):
        raise Busy(f"{leaving} is leaving {inbox_id} at this moment. Ask again soon.")
    # what it says stands only here, until it is there
    if letter := ledger.inboxes.under_way(inbox_id):
        raise Busy(f"{letter} has left {inbox_id} and not arrived yet. Ask again soon.")


def _refuse_while_written_in(inbox_id: str, ledger: Ledger) -> None:
    """Somebody began a letter here while we were looking for those that there were."""
    if ledger.inboxes.waits(inbox_id):
        raise Busy(f"Somebody is just writing in {inbox_id}. Ask again soon.")


def _some(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for begin in range(0, len(ids), _AT_ONCE):
        yield ids[begin : begin + _AT_ONCE]


# --- pods ---


def open_pod(name: str | None, client_id: str | None, *, by: str, store: Store, clock: Clock) -> Pod:
    """Under a `client_id` that was given before, the pod that was opened then."""
    check_client_id(client_id)
    if name is not None and (trouble := name_trouble(name) or _empty(name)):
        raise Invalid(Issue(("name",), trouble))
    with store.transaction(clock.now(), by) as ledger:
        return ledger.inboxes.create_pod(name, client_id)


def delete_pod(pod_id: str, *, by: str, store: Store, clock: Clock) -> None:
    """Raises NotFound; and Forbidden while somebody lives in it, and always for the one that everybody else lives in."""
    with store.transaction(clock.now(), by) as ledger:
        if ledger.inboxes.lock_pod(pod_id) is None:
            raise NotFound(f"There is no pod {pod_id}.")
        if pod_id == DEFAULT_POD:
            raise Forbidden("Inboxes that are put nowhere else live in this pod.", "cannot_delete")
        if ledger.inboxes.lives_in(pod_id):
            raise Forbidden(f"There are inboxes in {pod_id}: delete them first.", "cannot_delete")
        ledger.inboxes.delete_pod(pod_id)
