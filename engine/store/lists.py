"""The shelf of who may write to whom: addresses and domains that are allowed, and those that are blocked."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Row,
    Select,
    and_,
    bindparam,
    delete,
    literal,
    or_,
    select,
    union_all,
)

from engine.addresses import contact, domain, valid_address
from engine.errors import Forbidden, Invalid, Issue, Refused
from engine.store.inboxes import Scope, write_down
from engine.store.moves import Desk
from engine.store.pages import Page, Slice
from engine.store.tables import inbox, list_entry, suppression

Direction = Literal["send", "receive", "reply"]
Kind = Literal["allow", "block"]

#: Whoever is nearer has the last word.
_NEAREST_FIRST: tuple[Scope, ...] = ("inbox", "pod", "organization")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One list: whose, and of what."""

    scope: Scope = "organization"
    scope_id: str = ""  #: empty: of everybody here
    direction: Direction
    kind: Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """Somebody on a list."""

    entry: str  #: an address, or a domain
    created_at: datetime
    reason: str | None = None
    read_only: bool = False  #: we put it there ourselves, and nobody takes it away: see `suppress`


def _here(scope: Scope) -> tuple[ColumnElement[bool], ...]:
    """What holds for an inbox, for one of the three reasons."""
    ids: dict[Scope, Any] = {
        "inbox": bindparam("inbox_id"),
        "pod": select(inbox.c.pod_id).where(inbox.c.id == bindparam("inbox_id")).scalar_subquery(),
        "organization": "",
    }
    direction = list_entry.c.direction == bindparam("direction")
    return list_entry.c.scope == scope, list_entry.c.scope_id == ids[scope], direction


# Asked for every letter, so put together once.
_NAMED = select(list_entry.c.scope, list_entry.c.kind, list_entry.c.entry).where(
    or_(*(and_(*_here(scope)) for scope in _NEAREST_FIRST)),
    list_entry.c.entry.in_(bindparam("keys", expanding=True)),
)
#: In each place the first who is allowed by name. Where there is one, only those get in who are.
_GUESTS = select(
    *(
        select(list_entry.c.entry)
        .where(*_here(scope), list_entry.c.kind == "allow")
        # there is an index in this order; without one PostgreSQL may look through everything for nobody
        .order_by(list_entry.c.entry)
        .limit(1)
        .scalar_subquery()
        .label(scope)
        for scope in _NEAREST_FIRST
    )
)


class Lists:
    """One transaction's hands on them."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._db = desk.db

    def verdict(self, direction: Direction, inbox_id: str, address: str) -> Kind | None:
        """May this inbox write to this address, or hear from it? None: nobody has said anything about that."""
        return self.verdicts(direction, inbox_id, [address])[address]

    def verdicts(
        self, direction: Direction, inbox_id: str, addresses: Collection[str]
    ) -> dict[str, Kind | None]:
        """The same for several.

        The inbox decides before its pod, and that before everybody here. In one place a block beats an allowance;
        and where anybody is allowed by name, nobody else is.
        """
        keys = {key for address in addresses for key in _keys(address)}
        here = {"direction": direction, "inbox_id": inbox_id}
        named = self._db.execute(_NAMED, here | {"keys": sorted(keys)})
        said = {(row.scope, row.entry, row.kind) for row in named}
        guests = self._db.execute(_GUESTS, here).one()
        closed = {scope for scope, guest in zip(_NEAREST_FIRST, guests, strict=True) if guest is not None}
        return {address: _verdict(said, closed, _keys(address)) for address in addresses}

    def get(self, place: Place, entry: str) -> Entry | None:
        for name, source in _sources(place):
            row = self._db.execute(source.where(name == contact(entry))).one_or_none()
            if row is not None:
                return _entry(row)
        return None

    def add(self, place: Place, entry: str, reason: str | None = None) -> Entry:
        """Once: who is on it already stays as they are. Raises Invalid for what is neither an address nor a domain."""
        entry = _valid(entry)
        if (first := self.get(place, entry)) is not None:
            return first
        made = self._desk.insert_once(
            list_entry,
            scope=place.scope,
            scope_id=place.scope_id,
            direction=place.direction,
            kind=place.kind,
            entry=entry,
            reason=reason,
            created_at=self._desk.now,
        )
        if made:
            write_down(self._desk, f"list: {place.kind} {place.direction}", _in_words(place, entry))
        found = select(*_ENTRY).where(*_in(place), list_entry.c.entry == entry)
        return _entry(self._db.execute(found).one())

    def remove(self, place: Place, entry: str) -> bool:
        """False: they are not on it. Raises Forbidden for those whom we ourselves never write to again."""
        listed = self.get(place, entry)
        if listed is not None and listed.read_only:
            raise Forbidden(f"{entry} is never written to again: {listed.reason}", "cannot_delete")
        gone = delete(list_entry).where(*_in(place), list_entry.c.entry == contact(entry))
        removed = bool(self._db.execute(gone.returning(list_entry.c.entry)).all())
        if removed:
            write_down(self._desk, f"list: no more {place.kind} {place.direction}", _in_words(place, entry))
        return removed

    # below everything that speaks of lists as Python does
    def list(self, place: Place, part: Slice) -> Page[Entry]:
        """By name, from A to Z."""
        firsts = [_first(*source, part).subquery() for source in _sources(place)]
        merged = union_all(*(select(first) for first in firsts)).subquery("listed")
        rows = self._db.execute(select(merged).order_by(merged.c.entry, merged.c.read_only))
        found = [*{row.entry: _entry(row) for row in rows}.values()]
        shown, more = found[: part.limit], len(found) > part.limit
        return Page(shown, (shown[-1].entry, shown[-1].entry) if more else None)


_ENTRY = (
    list_entry.c.entry,
    list_entry.c.created_at,
    list_entry.c.reason,
    literal(False, Boolean).label("read_only"),
)
_BANNED = (
    suppression.c.address.label("entry"),
    suppression.c.created_at,
    suppression.c.reason,
    literal(True, Boolean).label("read_only"),
)


def _valid(entry: str) -> str:
    key = contact(entry)
    try:
        return contact(valid_address(key)) if "@" in key else domain(valid_address(f"somebody@{key}"))
    except Refused:
        wrong = f'"{entry[:100]}" is neither an address nor a domain: write kim@acme.example or acme.example'
        raise Invalid(Issue(("entry",), wrong)) from None


def _keys(address: str) -> tuple[str, str]:
    """Under what an address may be listed."""
    return contact(address), domain(address)


def _in(place: Place) -> tuple[ColumnElement[bool], ...]:
    return (
        list_entry.c.scope == place.scope,
        list_entry.c.scope_id == place.scope_id,
        list_entry.c.direction == place.direction,
        list_entry.c.kind == place.kind,
    )


def _sources(place: Place) -> tuple[tuple[ColumnElement[str], Select[Any]], ...]:
    """Who is never written to again stands among the blocked ones, and cannot be struck off."""
    own = list_entry.c.entry, select(*_ENTRY).where(*_in(place))
    if (place.scope, place.direction, place.kind) != ("organization", "send", "block"):
        return (own,)
    return (suppression.c.address, select(*_BANNED)), own


def _first(name: ColumnElement[str], source: Select[Any], part: Slice) -> Select[Any]:
    """As many of them as a page may need: each by its own index, and not the whole of both."""
    if part.after is not None:
        source = source.where(name > part.after[0])
    return source.order_by(name).limit(part.limit + 1)


def _entry(row: Row[Any]) -> Entry:
    return Entry(entry=row.entry, created_at=row.created_at, reason=row.reason, read_only=bool(row.read_only))


def _verdict(
    said: Collection[tuple[str, str, str]], closed: Collection[str], keys: tuple[str, str]
) -> Kind | None:
    for scope in _NEAREST_FIRST:
        kinds = {kind for kind in ("allow", "block") for key in keys if (scope, key, kind) in said}
        if "block" in kinds or (scope in closed and not kinds):
            return "block"
        if kinds:
            return "allow"
    return None


def _in_words(place: Place, entry: str) -> str:
    return f"{contact(entry)} ({place.scope_id or 'everybody here'})"
