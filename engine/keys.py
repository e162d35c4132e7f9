"""Story: who asks, and what they may. A key is made, known again, changed, revoked."""

import hashlib
import hmac
import re
import secrets
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from ipaddress import ip_address
from threading import Lock
from typing import Final

from engine.errors import Forbidden, Invalid, Issue, NotFound
from engine.headers import name_trouble
from engine.ids import new_id
from engine.model import Inbox
from engine.seams import Clock
from engine.store import Ledger, Store
from engine.store.inboxes import Scope
from engine.store.keys import ApiKey
from engine.store.pages import Page, Slice

# --- what one may be allowed to do: AgentMail's names, and four words of ours ---

_OF_INBOXES = ("inbox_read", "inbox_create", "inbox_update", "inbox_delete")
_OF_MESSAGES = ("message_read", "message_reply", "message_send", "message_update", "message_delete")
_OF_LABELS = ("label_spam_read", "label_blocked_read", "label_unauthenticated_read", "label_trash_read")
_OF_DRAFTS = ("draft_read", "draft_create", "draft_update", "draft_delete", "draft_send")
_OF_WEBHOOKS = ("webhook_read", "webhook_create", "webhook_update", "webhook_delete")
_OF_LISTS = ("list_entry_read", "list_entry_create", "list_entry_delete")
_OF_KEYS = ("api_key_read", "api_key_create", "api_key_update", "api_key_delete")
_OF_PODS = ("pod_read", "pod_create", "pod_update", "pod_delete")
_OF_WHAT_IS_NOT_HERE = (
    "agent_armor_release", "app_connect", "app_share_owner", "account_update", "metrics_read",
    "domain_read", "domain_create", "domain_update", "domain_delete",
    "calendar_read", "calendar_update",
    "calendar_event_read", "calendar_event_create", "calendar_event_update", "calendar_event_delete",
    "file_read", "file_create", "file_update", "file_delete",
)  # fmt: skip

#: Every name that a permission may have.
PERMISSIONS: Final = frozenset(
    (
        *_OF_INBOXES, *_OF_MESSAGES, *_OF_LABELS, *_OF_DRAFTS, *_OF_WEBHOOKS, *_OF_LISTS, *_OF_KEYS, *_OF_PODS,
        *_OF_WHAT_IS_NOT_HERE,
    )
)  # fmt: skip

# A webhook hears every letter, and whoever reads it reads its secret: so webhooks are for `admin`, as keys are.
_READ = frozenset(
    ("inbox_read", "message_read", *_OF_LABELS, "draft_read", "list_entry_read", "pod_read", "metrics_read")
)
_DRAFT = _READ | {"draft_create", "draft_update", "draft_delete", "message_update"}
_SEND = _DRAFT | {"draft_send", "message_send", "message_reply"}
#: Our words. Each holds what those before it hold.
WORDS: Final[Mapping[str, frozenset[str]]] = {
    "read": _READ,
    "draft": _DRAFT,
    "send": _SEND,
    "admin": PERMISSIONS,
}

#: What nobody has whose key ends at a pod, or at an inbox: it would reach beyond.
_BEYOND: Mapping[Scope, frozenset[str]] = {
    "organization": frozenset(),
    "pod": frozenset({"pod_create", "pod_delete"}),
    "inbox": frozenset({"inbox_create", *_OF_PODS}),
}

# --- who asks ---

_KEY = re.compile(r"am_[A-Za-z0-9_-]{43}", re.ASCII)
_PREFIX = 12
_BELIEVED_FOR = timedelta(seconds=1)
_WRITTEN_EVERY = timedelta(minutes=1)
_LONGEST_TOKEN = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Somebody who has shown a key."""

    key_id: str
    scope: Scope = "organization"
    scope_id: str = ""  #: empty: everybody here
    permissions: frozenset[str] | None = None  #: None: everything within the scope
    name: str = ""
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A new key; the only time that anybody sees it."""

    secret: str = field(repr=False)
    key: ApiKey


def may(caller: Caller, what: str) -> bool:
    """By AgentMail's name of it. A name that nobody knows allows nothing."""
    if what not in PERMISSIONS or what in _BEYOND[caller.scope]:
        return False
    return caller.permissions is None or what in caller.permissions


def covers(caller: Caller, inbox: Inbox) -> bool:
    """Is this inbox one of those that the key is for?"""
    match caller.scope:
        case "organization":
            return True
        case "pod":
            return inbox.pod_id == caller.scope_id
        case "inbox":
            return inbox.id == caller.scope_id


def spelt_out(permissions: Mapping[str, bool | None]) -> dict[str, bool]:
    """With our words replaced by what they stand for. What is named and not true is denied, also inside of a word.

    Raises Invalid for a name that nobody knows.
    """
    unknown = [name for name in permissions if name not in PERMISSIONS and name not in WORDS]
    if unknown:
        known = ", ".join(WORDS)
        raise Invalid(
            *(
                Issue(("permissions", name), f"there is no permission of that name. In short: {known}")
                for name in unknown
            )
        )
    granted = {name: True for word, so in permissions.items() if so and word in WORDS for name in WORDS[word]}
    return granted | {name: bool(so) for name, so in permissions.items() if name not in WORDS}


class Keyring:
    """Everything that opens a door here. One for a process: it remembers for a second whom it has just seen."""

    def __init__(
        self, *, store: Store, clock: Clock, configured: Collection[str] = (), at_home: bool = False
    ) -> None:
        """`configured`: keys that stand in the configuration. `at_home`: nobody but this machine can reach us."""
        self._store, self._clock, self._at_home = store, clock, at_home
        self._configured = {
            _digest(key): Caller(key_id=f"key_config_{number}", name=f"server.api_keys, number {number}")
            for number, key in enumerate(configured, 1)
        }
        self._seen: dict[str, tuple[Caller, datetime]] = {}  # by the hash; only those who were let in
        self._open: tuple[bool, datetime] | None = None
        self._uses: dict[str, datetime] = {}
        self._written_at = clock.now()
        self._lock = Lock()

    # --- known again ---

    def know(self, token: str, host: str = "") -> Caller | None:
        """Who has this key. `host`: how they have addressed us.

        While nobody has made a key, whoever sits at this machine needs none: any token will do. But not for a page in
        somebody's browser that has had its own name point here: it would ask for that name.
        """
        if not token or len(token) > _LONGEST_TOKEN:
            return None
        digest, now = _digest(token), self._clock.now()
        for known, configured in self._configured.items():
            if hmac.compare_digest(known, digest):
                return configured
        caller = self._stored(digest, now) if _KEY.fullmatch(token) else None
        if caller is None:
            return Caller(key_id="key_open", name="this machine") if self._is_open(host, now) else None
        if caller.expires_at is not None and caller.expires_at <= now:
            return None
        with self._lock:
            self._uses[caller.key_id] = now
        return caller

    def _stored(self, digest: str, now: datetime) -> Caller | None:
        with self._lock:
            seen = self._seen.get(digest)
        if seen is not None and abs(now - seen[1]) < _BELIEVED_FOR:
            return seen[0]
        with self._store.reading(now) as ledger:
            found = ledger.keys.hashed(digest)
        with self._lock:
            if found is None or not hmac.compare_digest(found.hash, digest):
                self._seen.pop(digest, None)
                return None
            caller = _caller(found)
            self._seen[digest] = caller, now
        return caller

    def _is_open(self, host: str, now: datetime) -> bool:
        if self._configured or not self._at_home or not asks_this_machine(host):
            return False
        if self._open is None or abs(now - self._open[1]) >= _BELIEVED_FOR:
            with self._store.reading(now) as ledger:
                self._open = not ledger.keys.any_ever(), now
        return self._open[0]

    def _forget(self) -> None:
        with self._lock:
            self._seen.clear()
            self._open = None

    # --- made, changed, revoked. `by`: nobody's key is asked of whoever sits at the machine itself ---

    def make(
        self,
        name: str,
        *,
        scope: Scope = "organization",
        scope_id: str = "",
        permissions: Mapping[str, bool | None] | None = None,
        expires_at: datetime | None = None,
        by: Caller | None = None,
    ) -> Made:
        """Raises Forbidden for a key that could do more than the one that makes it; NotFound for nobody's scope."""
        now = self._clock.now()
        granted = None if permissions is None else spelt_out(permissions)
        new = ApiKey(
            id=new_id("key", now),
            prefix="",
            name=_named(name),
            scope=scope,
            scope_id=scope_id,
            permissions=granted,
            created_at=now,
            updated_at=now,
            expires_at=_end(expires_at, now),
        )
        new = _no_more_than(by, new)
        secret = "am_" + secrets.token_urlsafe(32)
        new = replace(new, prefix=secret[:_PREFIX], hash=_digest(secret))
        with self._store.transaction(now, _signature(by)) as ledger:
            if not _is_there(scope, scope_id, ledger) or not _within(by, scope, scope_id, ledger):
                raise NotFound(f"There is no {scope} {scope_id}.")
            ledger.keys.add(new)
        self._forget()
        return Made(secret=secret, key=new)

    def change(
        self,
        key_id: str,
        *,
        name: str | None = None,
        permissions: Mapping[str, bool | None] | str | None = "as they are",
        by: Caller | None = None,
    ) -> ApiKey:
        """Another name, other permissions; no permissions at all: everything within its scope."""
        with self._store.transaction(self._clock.now(), _signature(by)) as ledger:
            key = self._of(key_id, by, ledger)
            if not isinstance(permissions, str):
                granted = None if permissions is None else spelt_out(permissions)
                wanted = replace(key, permissions=granted, expires_at=None)
                key = replace(key, permissions=_no_more_than(by, wanted).permissions)
            key = replace(key, name=key.name if name is None else _named(name))
            changed = ledger.keys.change(key)
        self._forget()
        if changed is None:
            raise NotFound(f"There is no key {key_id}.")
        return self._with_its_use(changed)

    def revoke(self, key_id: str, *, by: Caller | None = None) -> None:
        """At once here; within a second in every other process."""
        with self._store.transaction(self._clock.now(), _signature(by)) as ledger:
            self._of(key_id, by, ledger)
            ledger.keys.revoke(key_id)
        self._forget()

    # --- looked at ---

    def find(self, key_id: str, *, by: Caller | None = None) -> ApiKey:
        """Raises NotFound, also when it is none of theirs."""
        with self._store.reading(self._clock.now()) as ledger:
            return self._with_its_use(self._of(key_id, by, ledger))

    def list(self, part: Slice, *, scope: Scope = "organization", scope_id: str = "") -> Page[ApiKey]:
        """Those that open nothing beyond this scope."""
        with self._store.reading(self._clock.now()) as ledger:
            found = ledger.keys.list(part, scope=scope, scope_id=scope_id)
        return Page([self._with_its_use(key) for key in found.items], found.next)

    def write_down_uses(self, *, at_once: bool = False) -> None:
        """When each key was used last; not more often than once a minute, so that asking is not writing."""
        now = self._clock.now()
        with self._lock:
            if not self._uses or not (at_once or abs(now - self._written_at) >= _WRITTEN_EVERY):
                return
            uses, self._uses, self._written_at = self._uses, {}, now
        try:
            with self._store.transaction(now, "keys") as ledger:
                ledger.keys.note_uses(uses)
        except BaseException:
            with self._lock:
                self._uses = uses | self._uses
            raise

    def _of(self, key_id: str, by: Caller | None, ledger: Ledger) -> ApiKey:
        found = ledger.keys.get(key_id)
        if found is None or not _within(by, found.scope, found.scope_id, ledger):
            raise NotFound(f"There is no key {key_id}.")
        return found

    def _with_its_use(self, key: ApiKey) -> ApiKey:
        """Also what is not written down yet."""
        with self._lock:
            times = [at for at in (key.used_at, self._uses.get(key.id)) if at is not None]
        return replace(key, used_at=max(times, default=None))


def is_loopback(host: str) -> bool:
    """Is that this machine, as it calls itself?"""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def asks_this_machine(host: str) -> bool:
    """Does this Host header name the machine itself, and not a name that somebody has had point here?"""
    return is_loopback(_name(host))


def _name(host: str) -> str:
    """`[::1]:8025` without its port, and without its brackets."""
    found = re.fullmatch(r"(?:\[([0-9a-fA-F:.]+)\]|([^\[\]:]*))(?::\d{1,5})?", host.strip())
    return ((found[1] or found[2]) if found else "").lower()


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def _caller(key: ApiKey) -> Caller:
    granted = key.permissions
    return Caller(
        key_id=key.id,
        scope=key.scope,
        scope_id=key.scope_id,
        permissions=None if granted is None else frozenset(name for name, so in granted.items() if so),
        name=key.name,
        expires_at=key.expires_at,
    )


def _signature(by: Caller | None) -> str:
    return "the command line" if by is None else by.key_id


def _named(name: str) -> str:
    if trouble := name_trouble(name) or (None if name.strip() else "there is nothing in it"):
        raise Invalid(Issue(("name",), trouble))
    return name.strip()


def _end(expires_at: datetime | None, now: datetime) -> datetime | None:
    if expires_at is not None and expires_at <= now:
        raise Invalid(Issue(("expires_at",), f"{expires_at.isoformat()} has passed"))
    return expires_at


def _is_there(scope: Scope, scope_id: str, ledger: Ledger) -> bool:
    match scope:
        case "organization":
            return not scope_id
        case "pod":
            return ledger.inboxes.enter_pod(scope_id) is not None
        case "inbox":
            return ledger.inboxes.lock(scope_id) is not None


def _within(by: Caller | None, scope: Scope, scope_id: str, ledger: Ledger) -> bool:
    """Whoever is asked about something beyond their own scope has never heard of it."""
    if by is None or by.scope == "organization":
        return True
    if scope == by.scope:
        return scope_id == by.scope_id
    inbox = ledger.inboxes.get(scope_id) if scope == "inbox" else None
    return inbox is not None and covers(by, inbox)


def _no_more_than(by: Caller | None, wanted: ApiKey) -> ApiKey:
    """What is not said is as it is with the maker; what is said must not be more. Raises Forbidden."""
    if by is None:
        return wanted
    if wanted.scope == "organization" and by.scope != "organization":
        raise _escalation(f"it ends at this {by.scope}")
    if by.permissions is not None:
        more = [name for name in _granted(wanted) if name not in by.permissions]
        if wanted.permissions is None:
            wanted = replace(wanted, permissions=dict.fromkeys(sorted(by.permissions), True))
        elif more:
            raise _escalation(f"it has no {', '.join(more)}")
    if by.expires_at is not None:
        if wanted.expires_at is not None and wanted.expires_at > by.expires_at:
            raise _escalation(f"it ends at {by.expires_at.isoformat()}")
        wanted = replace(wanted, expires_at=wanted.expires_at or by.expires_at)
    return wanted


def _granted(key: ApiKey) -> Iterable[str]:
    return sorted(name for name, so in (key.permissions or {}).items() if so)


def _escalation(why: str) -> Forbidden:
    return Forbidden(f"A key makes no key that may do more than itself: {why}.", "permission_escalation")
