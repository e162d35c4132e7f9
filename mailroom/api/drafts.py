"""Drafts: written, listed, changed, sent now, thrown away; of an inbox, of a pod, of everybody."""

from typing import Any

from engine.errors import NotFound
from engine.keys import covers, may
from engine.model import Inbox
from engine.post import take
from engine.states import DraftState
from engine.store import Ledger
from engine.store.written import Filed, Which
from engine.wish import Author, Wish
from engine.write import Change, discard, update, write
from mailroom import forms, wire
from mailroom.api.files import attached
from mailroom.api.frame import Asked, Endpoint, Where, inbox_of, pod_of, reading, where
from mailroom.forms import addresses, names

_CLEARED: dict[str, Any] = {"subject": "", "text": "", "html": None}


def author(asked: Asked) -> Author:
    """Whose word it is, and whether it is enough for a letter to leave."""
    return Author(id=asked.caller.key_id, may_send=may(asked.caller, "draft_send"))


def create(asked: Asked) -> wire.Draft:
    body: forms.NewDraft = asked.body
    with reading(asked) as ledger:
        inbox = inbox_of(asked, ledger)
    wish = Wish(
        inbox_id=inbox.id,
        to=None if body.to is None else addresses(body.to),
        cc=None if body.cc is None else addresses(body.cc),
        bcc=None if body.bcc is None else addresses(body.bcc),
        names=names(body.to, body.cc, body.bcc, body.reply_to),
        reply_to=addresses(body.reply_to),
        subject=body.subject,
        text=body.text or "",
        html=body.html,
        headers=body.headers,
        files=tuple(file.enclosure() for file in body.attachments),
        labels=tuple(body.labels),
        in_reply_to=body.in_reply_to,
        forward_of=body.forward_of,
        reply_all=body.reply_all,
        send_at=body.send_at,
        client_id=body.client_id,
    )
    made = write(wish, by=author(asked), store=asked.desk.store, clock=asked.desk.clock)
    return _whole(made, asked)


def page(asked: Asked) -> wire.Drafts:
    query: forms.Filtered = asked.query
    with reading(asked) as ledger:
        found = ledger.written.page_of(_which(where(asked, ledger), query), asked.part())
    return asked.listed(wire.Drafts, found, wire.draft_item)


def get(asked: Asked) -> wire.Draft:
    with reading(asked) as ledger:
        found = _draft_of(asked, ledger)
    return _whole(found, asked)


def change(asked: Asked) -> wire.Draft:
    body: forms.DraftChange = asked.body
    with reading(asked) as ledger:
        old = _draft_of(asked, ledger).draft
    words: dict[str, Any] = {
        name: getattr(body, name) if getattr(body, name) is not None else empty
        for name, empty in _CLEARED.items()
        if body.said(name)
    }
    words |= {
        name: addresses(getattr(body, name) or ()) for name in ("cc", "bcc", "reply_to") if body.said(name)
    }
    if known := names(body.to, body.cc, body.bcc, body.reply_to):
        words["names"] = {**old.names, **known}
    asks = Change(
        words=words,
        to=addresses(body.to or ()) if body.said("to") else None,
        send_at=body.send_at if body.said("send_at") else "as it is",
        add_files=tuple(file.enclosure() for file in body.add_attachments or ()),
        remove_files=frozenset(body.remove_attachments or ()),
        add_labels=tuple(body.add_labels),
        remove_labels=frozenset(body.remove_labels),
    )
    changed = update(old.id, asks, by=author(asked), store=asked.desk.store, clock=asked.desk.clock)
    return _whole(changed, asked)


def send(asked: Asked) -> wire.SendMessageResponse:
    body: forms.LabelChange = asked.body
    with reading(asked) as ledger:
        inbox = inbox_of(asked, ledger)
        known = ledger.drafts.get(asked.id("draft_id"))
        if known is None or known.inbox_id != inbox.id:
            raise NotFound(f"There is no draft {asked.id('draft_id')} in {inbox.id}.")
    posted = take(
        known.id,
        add_labels=tuple(body.add_labels),
        remove_labels=frozenset(body.remove_labels),
        key=asked.once,
        by=author(asked),
        counter=asked.counter,
    )
    return {"message_id": posted.message_id, "thread_id": posted.thread_id}


def delete(asked: Asked) -> None:
    with reading(asked) as ledger:
        known = _draft_of(asked, ledger).draft
    discard(known.id, by=asked.caller.key_id, store=asked.desk.store, clock=asked.desk.clock)


def attachment(asked: Asked) -> wire.AttachmentResponse:
    with reading(asked) as ledger:
        known = _draft_of(asked, ledger).draft
    return attached(asked, known.inbox_id, "draft", known.id, known.attachments)


def _draft_of(asked: Asked, ledger: Ledger) -> Filed:
    """The draft that the path names. Raises NotFound, also when it has had its end: then with what became of it."""
    name = asked.id("draft_id")
    inbox = inbox_of(asked, ledger) if "inbox_id" in asked.path else None
    found = ledger.written.get(name)
    if found is None or not _is_here(found, inbox, asked, ledger):
        raise NotFound(f"There is no draft {name}.")
    draft = found.draft
    if draft.state == DraftState.SENT:
        raise NotFound(f"{name} has left: it is message {draft.message_id} of thread {draft.thread_id}.")
    if draft.state == DraftState.CANCELLED:
        raise NotFound(f"{name} was called back: {draft.outcome}.")
    return found


def _is_here(found: Filed, inbox: Inbox | None, asked: Asked, ledger: Ledger) -> bool:
    if inbox is not None:
        return found.draft.inbox_id == inbox.id
    own = ledger.inboxes.get(found.draft.inbox_id)
    if own is None or not covers(asked.caller, own):
        return False
    return "pod_id" not in asked.path or own.pod_id == pod_of(asked, ledger).id


def _whole(found: Filed, asked: Asked) -> wire.Draft:
    """With the letters before it, if it answers one."""
    draft = found.draft
    if draft.in_reply_to is None:
        return wire.draft(found)
    with reading(asked) as ledger:
        answered = ledger.threads.letter(draft.inbox_id, draft.in_reply_to)
    before = (*answered.references, answered.message_id) if answered else ()
    return wire.draft(found, references=before)


def _which(place: Where, query: forms.Filtered) -> Which:
    return Which(
        inbox_id=place.id if place.scope == "inbox" else None,
        pod_id=place.id if place.scope == "pod" else None,
        labels=tuple(query.labels),
        before=query.before,
        after=query.after,
    )


_SCHEDULED = "A draft; with `send_at` it leaves by itself at that time"

ENDPOINTS = (
    Endpoint(
        method="POST",
        path="/v0/inboxes/{inbox_id}/drafts",
        handler=create,
        name="inboxes.drafts.create",
        summary=_SCHEDULED,
        needs="draft_create",
        body=forms.NewDraft,
        bare=True,
        answers=wire.Draft,
        errors=(400, 404),
    ),
    *(
        endpoint
        for scope, prefix in (
            ("inboxes.", "/v0/inboxes/{inbox_id}"),
            ("", "/v0"),
            ("pods.", "/v0/pods/{pod_id}"),
        )
        for endpoint in (
            Endpoint(
                method="GET",
                path=f"{prefix}/drafts",
                handler=page,
                name=f"{scope}drafts.list",
                summary="What has not left, the latest change first",
                needs="draft_read",
                query=forms.Filtered,
                answers=wire.Drafts,
                errors=(400, 404),
            ),
            Endpoint(
                method="GET",
                path=f"{prefix}/drafts/{{draft_id}}",
                handler=get,
                name=f"{scope}drafts.get",
                summary="One draft",
                needs="draft_read",
                answers=wire.Draft,
                errors=(404,),
            ),
            Endpoint(
                method="GET",
                path=f"{prefix}/drafts/{{draft_id}}/attachments/{{attachment_id}}",
                handler=attachment,
                name=f"{scope}drafts.get_attachment",
                summary="A link to one of its files",
                needs="draft_read",
                answers=wire.AttachmentResponse,
                errors=(404,),
            ),
        )
    ),
    Endpoint(
        method="PATCH",
        path="/v0/inboxes/{inbox_id}/drafts/{draft_id}",
        handler=change,
        name="inboxes.drafts.update",
        summary="Other words, or another hour; null takes the hour away",
        needs="draft_update",
        body=forms.DraftChange,
        answers=wire.Draft,
        errors=(400, 404, 409),
    ),
    Endpoint(
        method="POST",
        path="/v0/inboxes/{inbox_id}/drafts/{draft_id}/send",
        handler=send,
        name="inboxes.drafts.send",
        summary="It leaves now",
        needs="draft_send",
        body=forms.LabelChange,
        bare=True,
        once=True,
        answers=wire.SendMessageResponse,
        errors=(400, 403, 404, 409, 422),
    ),
    Endpoint(
        method="DELETE",
        path="/v0/inboxes/{inbox_id}/drafts/{draft_id}",
        handler=delete,
        name="inboxes.drafts.delete",
        summary="It never leaves",
        needs="draft_delete",
        errors=(404, 409),
    ),
)
