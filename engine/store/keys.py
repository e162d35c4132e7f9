"""The shelf of keys: what opens a door here, for whom, until when. The keys themselves are kept by nobody."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, ColumnElement, Row, and_, bindparam, or_, select, type_coerce, update

from engine.store.inboxes import Scope, write_down
from engine.store.moves import Desk
from engine.store.pages import Page, Slice, page
from engine.store.tables import api_key, inbox


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """What is known of a key."""

    id: str
    prefix: str  #: how it begins, so that people can tell theirs apart
    name: str
    scope: Scope
    scope_id: str  #: empty: everybody here
    permissions: Mapping[str, bool] | None  #: None: everything within its scope
    created_at: datetime
    updated_at: datetime
    used_at: datetime | None = None
    expires_at: datetime | None = None
    hash: str = field(repr=False, default="")  #: the SHA-256 of the key


_FIELDS = [api_key.c[name] for name in ApiKey.__dataclass_fields__]
_MADE: ColumnElement[int] = type_coerce(api_key.c.created_at, BigInteger)
_GOOD = api_key.c.revoked_at.is_(None)


def _key(row: Row[Any]) -> ApiKey:
    return ApiKey(**{name: getattr(row, name) for name in ApiKey.__dataclass_fields__})


class Keys:
    """One transaction's hands on them. What was revoked is not there any more."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._db = desk.db

    def hashed(self, digest: str) -> ApiKey | None:
        """The key that has this hash."""
        return self._one(api_key.c.hash == digest)

    def get(self, key_id: str) -> ApiKey | None:
        return self._one(api_key.c.id == key_id)

    def any_ever(self) -> bool:
        """Has anybody made one, whatever became of it?"""
        return self._db.scalar(select(api_key.c.id).limit(1)) is not None

    def any_good(self) -> bool:
        """Is there one that opens a door now?"""
        lasts = or_(api_key.c.expires_at.is_(None), api_key.c.expires_at > self._desk.now)
        return self._db.scalar(select(api_key.c.id).where(_GOOD, lasts).limit(1)) is not None

    def add(self, new: ApiKey) -> None:
        fields = {name: getattr(new, name) for name in ApiKey.__dataclass_fields__}
        self._db.execute(api_key.insert().values(**fields | {"permissions": _stored(new.permissions)}))
        write_down(self._desk, "key: create", f"{new.id} {new.name}")

    def change(self, key: ApiKey) -> ApiKey | None:
        """Its name, and what it may; nothing else of a key ever changes. None: it was revoked meanwhile."""
        permissions = _stored(key.permissions)
        return self._change(key.id, "key: change", name=key.name, permissions=permissions)

    def revoke(self, key_id: str) -> bool:
        """It opens nothing any more. False: it did not before."""
        return self._change(key_id, "key: revoke", revoked_at=self._desk.now) is not None

    def note_uses(self, uses: Mapping[str, datetime]) -> None:
        """When each of them was used last. Another process may know of a later time."""
        if not uses:
            return
        which = api_key.c.id == bindparam("which")
        earlier = or_(api_key.c.used_at.is_(None), api_key.c.used_at < bindparam("at"))
        used = update(api_key).where(which, earlier).values(used_at=bindparam("at"))
        self._db.execute(used, [{"which": one, "at": at} for one, at in sorted(uses.items())])

    def _one(self, which: ColumnElement[bool]) -> ApiKey | None:
        row = self._db.execute(select(*_FIELDS).where(which, _GOOD)).one_or_none()
        return None if row is None else _key(row)

    def _change(self, key_id: str, what: str, **values: Any) -> ApiKey | None:
        changed = update(api_key).where(api_key.c.id == key_id, _GOOD)
        row = self._db.execute(
            changed.values(**values, updated_at=self._desk.now).returning(*_FIELDS)
        ).one_or_none()
        if row is None:
            return None
        write_down(self._desk, what, f"{key_id} {row.name}")
        return _key(row)

    def list(self, part: Slice, *, scope: Scope = "organization", scope_id: str = "") -> Page[ApiKey]:
        """Those of everybody; of a pod and the inboxes in it; or of one inbox. The newest first."""
        query = select(*_FIELDS).where(_GOOD, *_reaching(scope, scope_id))
        return page(self._db, query, _MADE, api_key.c.id, part, read=_key)


def _reaching(scope: Scope, scope_id: str) -> Collection[ColumnElement[bool]]:
    """Keys that open nothing beyond it."""
    if scope == "organization":
        return ()
    own = and_(api_key.c.scope == scope, api_key.c.scope_id == scope_id)
    if scope == "inbox":
        return (own,)
    theirs = select(inbox.c.id).where(inbox.c.pod_id == scope_id)
    return (or_(own, and_(api_key.c.scope == "inbox", api_key.c.scope_id.in_(theirs))),)


def _stored(permissions: Mapping[str, bool] | None) -> Any:
    """`null`, so that nothing said is another thing than nothing allowed."""
    return JSON.NULL if permissions is None else dict(permissions)
