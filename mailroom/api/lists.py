"""Who may be written to, and who may write: addresses and domains that are allowed, and those that are blocked."""

from typing import cast, get_args

from engine.errors import NotFound
from engine.store import Ledger
from engine.store.lists import Direction, Entry, Kind, Place
from mailroom import forms, wire
from mailroom.api.frame import Asked, Endpoint, everywhere, reading, where


def create(asked: Asked) -> wire.ListEntry:
    wish: forms.NewEntry = asked.body
    with asked.desk.store.transaction(asked.now, asked.caller.key_id) as ledger:
        place = _place(asked, ledger)
        return _shown(asked, ledger, place, ledger.lists.add(place, wish.entry, wish.reason))


def page(asked: Asked) -> wire.ListEntries:
    with reading(asked) as ledger:
        place = _place(asked, ledger)
        found = ledger.lists.list(place, asked.part())
        return asked.listed(wire.ListEntries, found, lambda each: _shown(asked, ledger, place, each))


def get(asked: Asked) -> wire.ListEntry:
    with reading(asked) as ledger:
        place = _place(asked, ledger)
        return _shown(asked, ledger, place, _entry(asked, ledger, place))


def delete(asked: Asked) -> None:
    with asked.desk.store.transaction(asked.now, asked.caller.key_id) as ledger:
        place = _place(asked, ledger)
        ledger.lists.remove(place, _entry(asked, ledger, place).entry)


def _place(asked: Asked, ledger: Ledger) -> Place:
    """Which list the path means. Raises NotFound: there are six of them for everybody."""
    direction, kind = asked.id("direction"), asked.id("type")
    if direction not in get_args(Direction) or kind not in get_args(Kind):
        raise NotFound("There is no such list: it is send, receive or reply, and allow or block.")
    here = where(asked, ledger)
    return Place(
        scope=here.scope,
        scope_id=here.id,
        direction=cast("Direction", direction),
        kind=cast("Kind", kind),
    )


def _entry(asked: Asked, ledger: Ledger, place: Place) -> Entry:
    for name in asked.path["entry"]:
        if found := ledger.lists.get(place, name):
            return found
    raise NotFound(f"{asked.id('entry')} is not on this list.")


def _shown(asked: Asked, ledger: Ledger, place: Place, entry: Entry) -> wire.ListEntry:
    whose = {"organization_id": asked.desk.organization_id}
    match place.scope:
        case "organization":
            return wire.list_entry(entry, place, **whose)
        case "pod":
            return wire.scoped_list_entry(entry, place, **whose, pod_id=place.scope_id, inbox_id=None)
        case "inbox":
            inbox = ledger.inboxes.get(place.scope_id)
            pod_id = inbox.pod_id if inbox else ""
            return wire.scoped_list_entry(entry, place, **whose, pod_id=pod_id, inbox_id=place.scope_id)


_LISTS = (
    Endpoint(
        method="GET",
        path="/v0/lists/{direction}/{type}",
        handler=page,
        name="lists.list",
        summary="List who is on it, by name.",
        needs="list_entry_read",
        query=forms.Paged,
        answers=wire.ListEntries,
        errors=(404,),
    ),
    Endpoint(
        method="POST",
        path="/v0/lists/{direction}/{type}",
        handler=create,
        name="lists.create",
        summary="Put an address or a domain on it.",
        needs="list_entry_create",
        body=forms.NewEntry,
        answers=wire.ListEntry,
    ),
    Endpoint(
        method="GET",
        path="/v0/lists/{direction}/{type}/{entry}",
        handler=get,
        name="lists.get",
        summary="Look whether somebody is on it.",
        needs="list_entry_read",
        answers=wire.ListEntry,
    ),
    Endpoint(
        method="DELETE",
        path="/v0/lists/{direction}/{type}/{entry}",
        handler=delete,
        name="lists.delete",
        summary="Take somebody off it.",
        needs="list_entry_delete",
    ),
)

_SCOPED = {wire.ListEntry: wire.ScopedListEntry, wire.ListEntries: wire.ScopedListEntries}

ENDPOINTS = tuple(scoped for each in _LISTS for scoped in everywhere(each, inside=_SCOPED.get(each.answers)))
