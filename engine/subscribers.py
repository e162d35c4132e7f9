"""Story: somebody wants to be told what happens here, changes their mind, and leaves."""

import secrets
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from engine.addresses import contact
from engine.calls import why_no_header
from engine.errors import Forbidden, Invalid, Issue, NotFound
from engine.ids import new_id
from engine.seams import Clock
from engine.store import Ledger, Store
from engine.store.subscribers import EVERYBODY, Subscriber, Within

#: What can be told, by AgentMail's names; and what only this house has to say.
KINDS = (
    "message.received",
    "message.received.spam",
    "message.received.blocked",
    "message.received.unauthenticated",
    "message.sent",
    "message.delivered",
    "message.bounced",
    "message.complained",
    "message.rejected",
    "message.opened",
    "domain.verified",
    "followup.cancelled",
    "enrollment.stopped",
    "draft.held",
    "draft.failed",
    "draft.uncertain",
)

#: What becomes of what is on its way to somebody who does not want it any more.
SWITCHED_OFF = "the webhook was switched off"
DELETED = "the webhook was deleted"

#: For so long the old secret signs beside the new one.
BOTH_SECRETS = timedelta(hours=24)

_MOST_PLACES = 10
_MOST_HEADERS = 20
_LONGEST_URL = 2048
_KEY_BYTES = 32

#: Why nothing can ever be posted to this URL; None: nothing speaks against it.
Judge = Callable[[str], str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """Where somebody wants to be told, and what."""

    url: str = field(repr=False)
    event_types: Sequence[str]
    inbox_ids: Sequence[str] = ()
    pod_ids: Sequence[str] = ()
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    client_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What is to be another way. What is not said stays as it is."""

    event_types: Sequence[str] = ()
    enabled: bool | None = None
    add_inbox_ids: Sequence[str] = ()
    remove_inbox_ids: Sequence[str] = ()
    add_pod_ids: Sequence[str] = ()
    remove_pod_ids: Sequence[str] = ()

    @property
    def says_something(self) -> bool:
        places = self.add_inbox_ids, self.remove_inbox_ids, self.add_pod_ids, self.remove_pod_ids
        return self.enabled is not None or any((self.event_types, *places))


def subscribe(
    wanted: Subscription, *, within: Within = EVERYBODY, by: str, judge: Judge, store: Store, clock: Clock
) -> Subscriber:
    """The same `client_id` gives the same subscriber, unchanged. Raises Invalid, or Forbidden for a name that is taken."""
    with store.transaction(clock.now(), by) as ledger:
        inboxes = _inboxes(wanted.inbox_ids)
        _refuse(
            *_wrong_url(wanted.url, judge),
            *_wrong_kinds(wanted.event_types, needed=True),
            *_wrong_headers(wanted.headers),
            *_wrong_places("inbox_ids", inboxes, inboxes, within, ledger),
            *_wrong_places("pod_ids", wanted.pod_ids, wanted.pod_ids, within, ledger),
        )
        new = Subscriber(
            id=new_id("ep", ledger.now),
            url=wanted.url,
            event_types=_once(wanted.event_types),
            inbox_ids=inboxes,
            pod_ids=_once(wanted.pod_ids),
            pod_id=within.pod_id or _pod_of(within.inbox_id, ledger),
            inbox_id=within.inbox_id,
            headers=dict(wanted.headers),
            client_id=wanted.client_id,
            secret=_secret(),
            created_at=ledger.now,
            updated_at=ledger.now,
        )
        there = ledger.subscribers.add(new)
    if (there.pod_id, there.inbox_id) != (new.pod_id, new.inbox_id):
        raise Forbidden(f"The client_id {wanted.client_id} is taken.", "resource_taken")
    return there


def change(
    subscriber_id: str, wish: Change, *, within: Within = EVERYBODY, by: str, store: Store, clock: Clock
) -> Subscriber:
    """Raises NotFound, or Invalid. Whoever is switched on again begins anew: what was missed is not told by itself."""
    with store.transaction(clock.now(), by) as ledger:
        here = _locked(subscriber_id, within, ledger)
        inboxes = _changed(here.inbox_ids, _inboxes(wish.add_inbox_ids), _inboxes(wish.remove_inbox_ids))
        pods = _changed(here.pod_ids, wish.add_pod_ids, wish.remove_pod_ids)
        _refuse(
            *_wrong_kinds(wish.event_types, needed=False),
            *_wrong_places("add_inbox_ids", inboxes, _inboxes(wish.add_inbox_ids), within, ledger),
            *_wrong_places("add_pod_ids", pods, wish.add_pod_ids, within, ledger),
        )
        if not wish.says_something:
            return here
        if wish.enabled is False:
            ledger.outbox.end_all(here.id, SWITCHED_OFF)
        anew = {"enabled": wish.enabled, "failing_since": None, "why_off": None}
        return ledger.subscribers.change(
            here,
            "change",
            event_types=_once(wish.event_types) or here.event_types,
            inbox_ids=inboxes,
            pod_ids=pods,
            **({} if wish.enabled is None else anew),
        )


def change_headers(
    subscriber_id: str,
    headers: Mapping[str, str],
    remove: Sequence[str] = (),
    *,
    within: Within = EVERYBODY,
    by: str,
    store: Store,
    clock: Clock,
) -> Subscriber:
    """What stands at the head of every delivery to them. Raises NotFound, or Invalid."""
    with store.transaction(clock.now(), by) as ledger:
        here = _locked(subscriber_id, within, ledger)
        replaced = {name.lower() for name in (*headers, *remove)}
        kept = {name: value for name, value in here.headers.items() if name.lower() not in replaced}
        _refuse(*_wrong_headers(headers), *_too_many("headers", {**kept, **headers}, _MOST_HEADERS))
        if not headers and kept == here.headers:
            return here
        return ledger.subscribers.change(here, "change headers", headers={**kept, **headers})


def rotate(
    subscriber_id: str, *, within: Within = EVERYBODY, by: str, store: Store, clock: Clock
) -> Subscriber:
    """A new secret; for a day the one that it replaces signs beside it. Raises NotFound."""
    with store.transaction(clock.now(), by) as ledger:
        here = _locked(subscriber_id, within, ledger)
        old = {"old_secret": here.secret, "old_until": ledger.now + BOTH_SECRETS}
        return ledger.subscribers.change(here, "rotate the secret", secret=_secret(), **old)


def unsubscribe(
    subscriber_id: str, *, within: Within = EVERYBODY, by: str, store: Store, clock: Clock
) -> None:
    """They hear nothing more. Raises NotFound."""
    with store.transaction(clock.now(), by) as ledger:
        here = _locked(subscriber_id, within, ledger)
        ledger.outbox.end_all(here.id, DELETED)
        ledger.subscribers.delete(here)


def _locked(subscriber_id: str, within: Within, ledger: Ledger) -> Subscriber:
    if (here := ledger.subscribers.lock(subscriber_id, within)) is None:
        raise NotFound(f"There is no webhook {subscriber_id}.")
    return here


def _secret() -> str:
    return "whsec_" + b64encode(secrets.token_bytes(_KEY_BYTES)).decode()


def _once(values: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values))


def _inboxes(ids: Sequence[str]) -> tuple[str, ...]:
    return _once([contact(each) for each in ids])


def _changed(so_far: Sequence[str], more: Sequence[str], less: Sequence[str]) -> tuple[str, ...]:
    return tuple(each for each in _once([*so_far, *more]) if each not in less)


def _pod_of(inbox_id: str | None, ledger: Ledger) -> str | None:
    here = ledger.inboxes.get(inbox_id) if inbox_id else None
    return here.pod_id if here else None


# --- what is wrong with it ---


def _refuse(*issues: Issue) -> None:
    if issues:
        raise Invalid(*issues)


def _wrong_url(url: str, judge: Judge) -> Iterator[Issue]:
    if len(url) > _LONGEST_URL:
        yield Issue(("url",), f"a URL has at most {_LONGEST_URL:,} characters", "too_long")
    elif not url.isprintable() or " " in url:
        yield Issue(("url",), "a URL has no blanks and no control characters in it", "invalid_url")
    elif why := judge(url):
        yield Issue(("url",), why, "invalid_url")


def _wrong_kinds(kinds: Sequence[str], *, needed: bool) -> Iterator[Issue]:
    if needed and not kinds:
        yield Issue(("event_types",), "say at least one event that it wants to hear of", "too_short")
    for number, kind in enumerate(kinds):
        if kind not in KINDS:
            known = ", ".join(KINDS)
            yield Issue(("event_types", number), f'there is no event "{kind}". There are: {known}')


def _wrong_headers(headers: Mapping[str, str]) -> Iterator[Issue]:
    yield from _too_many("headers", headers, _MOST_HEADERS)
    for name, value in headers.items():
        if why := why_no_header(name, value):
            yield Issue(("headers", name), why)
    if len({name.lower() for name in headers}) < len(headers):
        yield Issue(("headers",), "the same name twice: large and small letters are one")


def _wrong_places(
    name: str, all_of_them: Sequence[str], new: Sequence[str], within: Within, ledger: Ledger
) -> Iterator[Issue]:
    if new and (within.inbox_id or (within.pod_id and "pod" in name)):
        yield Issue((name,), "what belongs to one place hears of no other")
        return
    yield from _too_many(name, all_of_them, _MOST_PLACES)
    for number, each in enumerate(new[:_MOST_PLACES]):
        if not _is_there(name, each, within, ledger):
            yield Issue((name, number), f'there is no {"pod" if "pod" in name else "inbox"} "{each}" here')


def _is_there(name: str, place: str, within: Within, ledger: Ledger) -> bool:
    if "pod" in name:
        return ledger.inboxes.pod(place) is not None
    here = ledger.inboxes.get(place)
    return here is not None and within.pod_id in (None, here.pod_id)


def _too_many(name: str, values: Sequence[str] | Mapping[str, str], most: int) -> Iterator[Issue]:
    if len(values) > most:
        yield Issue((name,), f"at most {most} of them", "too_many")
