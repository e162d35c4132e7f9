"""Inboxes: opened, found, renamed, paused, deleted; of everybody, or of a pod. The family to copy from."""

from typing import Any

from engine import inboxes as stories
from engine.store.tables import DEFAULT_POD
from mailroom import forms, wire
from mailroom.api.frame import Asked, Endpoint, Where, inbox_of, reading, where


def create(asked: Asked) -> wire.Inbox:
    wish: forms.NewInbox = asked.body
    with reading(asked) as ledger:
        here = where(asked, ledger)
    opened = stories.open_inbox(
        stories.Wanted(
            username=wish.username,
            domain=wish.domain,
            display_name=wish.display_name,
            client_id=wish.client_id,
            paused=wish.status == "paused",
            metadata={name: value for name, value in (wish.metadata or {}).items() if value is not None},
            pod_id=here.id if here.scope == "pod" else DEFAULT_POD,
        ),
        domains=asked.desk.domains,
        anywhere=asked.desk.anywhere,
        by=asked.caller.key_id,
        store=asked.desk.store,
        clock=asked.desk.clock,
    )
    return wire.inbox(opened)


def page(asked: Asked) -> wire.Inboxes:
    with reading(asked) as ledger:
        found = ledger.inboxes.list(asked.part(), **_of(where(asked, ledger)))
    return asked.listed(wire.Inboxes, found, wire.inbox)


def search(asked: Asked) -> wire.Inboxes:
    query: forms.Found = asked.query
    with reading(asked) as ledger:
        found = ledger.inboxes.search(query.q.split(), asked.part(), **_of(where(asked, ledger)))
    return asked.listed(wire.Inboxes, found, wire.inbox)


def get(asked: Asked) -> wire.Inbox:
    with reading(asked) as ledger:
        return wire.inbox(inbox_of(asked, ledger))


def change(asked: Asked) -> wire.Inbox:
    wish: forms.InboxChange = asked.body
    with reading(asked) as ledger:
        inbox = inbox_of(asked, ledger)
    words: dict[str, Any] = {"display_name": wish.display_name} if wish.said("display_name") else {}
    if wish.status is not None:
        words["paused"] = wish.status == "paused"
    changed = stories.update(
        inbox.id,
        stories.Change(words=words, metadata=wish.metadata if wish.said("metadata") else "as it is"),
        by=asked.caller.key_id,
        store=asked.desk.store,
        clock=asked.desk.clock,
    )
    return wire.inbox(changed)


def delete(asked: Asked) -> None:
    with reading(asked) as ledger:
        inbox = inbox_of(asked, ledger)
    stories.delete(inbox.id, by=asked.caller.key_id, store=asked.desk.store, clock=asked.desk.clock)


def _of(here: Where) -> dict[str, str]:
    """Whose inboxes, as the shelf asks it."""
    return {} if here.scope == "organization" else {f"{here.scope}_id": here.id}


def _all_of_them(before: str, name: str) -> tuple[Endpoint, ...]:
    return (
        Endpoint(
            method="POST",
            path=before,
            handler=create,
            name=f"{name}.create",
            summary="Open an inbox. With a client_id that was used before: the inbox that was opened then.",
            needs="inbox_create",
            body=forms.NewInbox,
            answers=wire.Inbox,
            errors=(422,),
            bare=True,
        ),
        Endpoint(
            method="GET",
            path=before,
            handler=page,
            name=f"{name}.list",
            summary="List inboxes, the newest first.",
            needs="inbox_read",
            query=forms.Sorted,
            answers=wire.Inboxes,
        ),
        Endpoint(
            method="GET",
            path=f"{before}/search",
            handler=search,
            name=f"{name}.search",
            summary="Find inboxes by pieces of their addresses and names.",
            needs="inbox_read",
            query=forms.Found,
            answers=wire.Inboxes,
        ),
    )


def _one_of_them(one: str, name: str) -> tuple[Endpoint, ...]:
    return (
        Endpoint(
            method="GET",
            path=one,
            handler=get,
            name=f"{name}.get",
            summary="Look at an inbox.",
            needs="inbox_read",
            answers=wire.Inbox,
        ),
        Endpoint(
            method="PATCH",
            path=one,
            handler=change,
            name=f"{name}.update",
            summary="Rename an inbox, pause or resume it, or change its metadata.",
            needs="inbox_update",
            body=forms.InboxChange,
            answers=wire.Inbox,
            errors=(409,),
        ),
        Endpoint(
            method="DELETE",
            path=one,
            handler=delete,
            name=f"{name}.delete",
            summary="Delete an inbox; what it still had to send is not sent.",
            needs="inbox_delete",
            errors=(409,),
        ),
    )


#: The same for everybody, and for a pod.
ENDPOINTS = tuple(
    endpoint
    for before, name in (("/v0/inboxes", "inboxes"), ("/v0/pods/{pod_id}/inboxes", "pods.inboxes"))
    for endpoint in (*_all_of_them(before, name), *_one_of_them(before + "/{inbox_id}", name))
)
