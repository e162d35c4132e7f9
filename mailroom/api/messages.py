"""Messages of an inbox: listed, searched, read, labelled, deleted; one of them, or many at once."""

from collections.abc import Collection
from typing import Any

from engine.errors import Invalid, Issue, NotFound
from engine.keys import Caller, may
from engine.model import Hidden, Message
from engine.shelve import bury_message, label_message, label_messages
from engine.store import Ledger
from engine.store.letters import Sieve
from engine.tags import CLASSES
from mailroom import forms, wire
from mailroom.api.files import as_sent, attached
from mailroom.api.frame import Asked, Endpoint, Method, inbox_of, reading

_MOST_WORDS = 20
_MOST_GOT, _MOST_CHANGED = 500, 50  #: in a batch


def page(asked: Asked) -> wire.Messages:
    query: forms.MessageFilter = asked.query
    with reading(asked) as ledger:
        sieve = Sieve(
            inbox_id=inbox_of(asked, ledger).id,
            labels=tuple(query.labels),
            before=query.before,
            after=query.after,
            senders=tuple(query.sender),
            recipients=tuple(query.to),
            subjects=tuple(query.subject),
            shown=allowed(asked.caller, query.hidden),
        )
        found = ledger.letters.page_of(sieve, asked.part())
    return asked.listed(wire.Messages, found, wire.message_item)


def search(asked: Asked) -> wire.FoundMessages:
    query: forms.FoundIn = asked.query
    with reading(asked) as ledger:
        sieve = Sieve(inbox_id=inbox_of(asked, ledger).id, before=query.before, after=query.after)
        found = ledger.letters.search(words(query.q), sieve, asked.part())
    return asked.listed(wire.FoundMessages, found, wire.message_item)


def get(asked: Asked) -> wire.Message:
    with reading(asked) as ledger:
        return wire.message(_message_of(asked, ledger))


def get_raw(asked: Asked) -> wire.RawMessageResponse:
    with reading(asked) as ledger:
        return as_sent(asked, _message_of(asked, ledger), ledger)


def get_attachment(asked: Asked) -> wire.AttachmentResponse:
    with reading(asked) as ledger:
        message = _message_of(asked, ledger)
    return attached(asked, message.inbox_id, "message", message.message_id, message.attachments)


def change(asked: Asked) -> wire.UpdateMessageResponse:
    body: forms.LabelChange = asked.body
    with reading(asked) as ledger:
        message = _message_of(asked, ledger)
    changed = label_message(
        message.inbox_id, [message.message_id], body.add_labels, body.remove_labels, **by(asked)
    )
    return _labels(changed)


def delete(asked: Asked) -> None:
    with reading(asked) as ledger:
        message = _message_of(asked, ledger)
    bury_message(message.inbox_id, [message.message_id], **by(asked))


def batch_get(asked: Asked) -> wire.BatchGot:
    with reading(asked) as ledger:
        inbox = inbox_of(asked, ledger)
        found = ledger.letters.glances(inbox.id, asked.body.message_ids)
    shown = [wire.message_item(each) for each in found if may_see(asked.caller, each.hidden)]
    return {"limit": _MOST_GOT, "count": len(shown), "messages": shown}


def batch_update(asked: Asked) -> wire.BatchUpdated:
    body: forms.BatchChange = asked.body
    with reading(asked) as ledger:
        inbox = inbox_of(asked, ledger)
        found = ledger.letters.glances(inbox.id, body.message_ids)
    if unseen := [each.message_id for each in found if not may_see(asked.caller, each.hidden)]:
        raise Invalid(
            *(Issue(("message_ids",), f"there is no message {name} in {inbox.id}") for name in unseen)
        )
    changed = label_messages(inbox.id, body.message_ids, body.add_labels, body.remove_labels, **by(asked))
    updates = [_labels(each) for each in changed]
    return {"limit": _MOST_CHANGED, "count": len(updates), "updates": updates}


def words(q: str) -> list[str]:
    """What is looked for, a word at a time; a word that is said twice is looked for once."""
    found = list(dict.fromkeys(q.split()))
    if len(found) > _MOST_WORDS:
        raise Invalid(Issue(("q",), f"These are more than {_MOST_WORDS} words."))
    return found


def allowed(caller: Caller, hidden: Collection[str]) -> frozenset[Hidden]:
    """Of what is hidden, that which this key may see."""
    return frozenset(kind for kind in CLASSES if kind in hidden and may_see(caller, kind))


def may_see(caller: Caller, hidden: Hidden | None) -> bool:
    return hidden is None or may(caller, f"label_{hidden}_read")


def _message_of(asked: Asked, ledger: Ledger) -> Message:
    """The message that the path names, in whichever way its id can be read. Raises NotFound."""
    inbox = inbox_of(asked, ledger)
    found = ledger.letters.get(inbox.id, *asked.path["message_id"])
    if found is None or not may_see(asked.caller, found.hidden):
        raise NotFound(f"There is no message {asked.id('message_id')} in {inbox.id}.")
    return found


def _labels(message: Message) -> wire.UpdateMessageResponse:
    return {"message_id": message.message_id, "labels": wire.message_labels(message)}


def by(asked: Asked) -> dict[str, Any]:
    return {"by": asked.caller.key_id, "store": asked.desk.store, "clock": asked.desk.clock}


_HERE = "/v0/inboxes/{inbox_id}/messages"
_ONE = f"{_HERE}/{{message_id:path}}"


def _endpoint(method: Method, path: str, handler: Any, name: str, summary: str, **more: Any) -> Endpoint:
    return Endpoint(
        method=method,
        path=path,
        handler=handler,
        name=f"inboxes.messages.{name}",
        summary=summary,
        **more,
    )


_READ: dict[str, Any] = {"needs": "message_read", "errors": (404,)}
_UPDATE: dict[str, Any] = {"needs": "message_update", "errors": (404, 409)}

ENDPOINTS = (
    _endpoint(
        "GET",
        _HERE,
        page,
        "list",
        "List messages, the newest first.",
        query=forms.MessageFilter,
        answers=wire.Messages,
        **_READ,
    ),
    _endpoint(
        "GET",
        f"{_HERE}/search",
        search,
        "search",
        "Find messages by words in their subject, sender or text.",
        query=forms.FoundIn,
        answers=wire.FoundMessages,
        **_READ,
    ),
    _endpoint(
        "POST",
        f"{_HERE}/batch-get",
        batch_get,
        "batch_get",
        "Look at many messages; those that are not there are left out.",
        body=forms.Batch,
        answers=wire.BatchGot,
        **_READ,
    ),
    _endpoint(
        "POST",
        f"{_HERE}/batch-update",
        batch_update,
        "batch_update",
        "Label many messages: all of them, or none.",
        body=forms.BatchChange,
        answers=wire.BatchUpdated,
        **_UPDATE,
    ),
    _endpoint("GET", _ONE, get, "get", "Read a message.", answers=wire.Message, **_READ),
    _endpoint(
        "PATCH",
        _ONE,
        change,
        "update",
        "Label a message.",
        body=forms.LabelChange,
        answers=wire.UpdateMessageResponse,
        **_UPDATE,
    ),
    _endpoint(
        "DELETE",
        _ONE,
        delete,
        "delete",
        "Delete a message for good.",
        needs="message_delete",
        errors=(404, 409),
    ),
    _endpoint(
        "GET",
        f"{_ONE}/raw",
        get_raw,
        "get_raw",
        "Where a message can be fetched as it is on the wire.",
        answers=wire.RawMessageResponse,
        **_READ,
    ),
    _endpoint(
        "GET",
        f"{_ONE}/attachments/{{attachment_id}}",
        get_attachment,
        "get_attachment",
        "Where a file of a message can be fetched.",
        answers=wire.AttachmentResponse,
        **_READ,
    ),
)
