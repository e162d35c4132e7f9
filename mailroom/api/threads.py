"""Threads: listed, searched, read from their end, labelled, deleted; of an inbox, of a pod, of everybody."""

from dataclasses import replace

from engine.errors import NotFound
from engine.shelve import bury_thread, label_thread
from engine.store import Ledger
from engine.store.letters import Conversation, Sieve
from mailroom import forms, wire
from mailroom.api.files import attached
from mailroom.api.frame import Asked, Endpoint, everywhere, reading, where
from mailroom.api.messages import allowed, by, may_see, words


def page(asked: Asked) -> wire.Threads:
    query: forms.ThreadFilter = asked.query
    with reading(asked) as ledger:
        sieve = replace(
            _sieve(asked, ledger),
            labels=tuple(query.labels),
            before=query.before,
            after=query.after,
            senders=tuple(query.senders),
            recipients=tuple(query.recipients),
            subjects=tuple(query.subject),
            shown=allowed(asked.caller, query.hidden),
        )
        found = ledger.letters.conversations(sieve, asked.part())
    return asked.listed(wire.Threads, found, wire.thread_item)


def search(asked: Asked) -> wire.FoundThreads:
    query: forms.FoundIn = asked.query
    with reading(asked) as ledger:
        sieve = replace(_sieve(asked, ledger), before=query.before, after=query.after)
        found = ledger.letters.search_conversations(words(query.q), sieve, asked.part())
    return asked.listed(wire.FoundThreads, found, wire.thread_item)


def get(asked: Asked) -> wire.Thread:
    with reading(asked) as ledger:
        talk = _thread_of(asked, ledger)
        letters = ledger.letters.letters_in(talk, asked.part())
    return wire.thread(talk, letters.items, asked.envelope(letters))


def get_attachment(asked: Asked) -> wire.AttachmentResponse:
    with reading(asked) as ledger:
        talk = _thread_of(asked, ledger)
    return attached(asked, talk.inbox_id, "thread", talk.id, talk.attachments)


def change(asked: Asked) -> wire.UpdateThreadResponse:
    body: forms.LabelChange = asked.body
    with reading(asked) as ledger:
        talk = _thread_of(asked, ledger)
    labels = label_thread(talk.inbox_id, talk.id, body.add_labels, body.remove_labels, **by(asked))
    return {"thread_id": talk.id, "labels": labels}


def delete(asked: Asked) -> None:
    with reading(asked) as ledger:
        talk = _thread_of(asked, ledger)
    bury_thread(talk.inbox_id, talk.id, **by(asked))


def _sieve(asked: Asked, ledger: Ledger) -> Sieve:
    """Whose threads the path speaks of, as the shelf asks it."""
    here = where(asked, ledger)
    return Sieve(
        inbox_id=here.id if here.scope == "inbox" else None, pod_id=here.id if here.scope == "pod" else None
    )


def _thread_of(asked: Asked, ledger: Ledger) -> Conversation:
    """The thread that the path names. Raises NotFound."""
    found = ledger.letters.conversation(_sieve(asked, ledger), *asked.path["thread_id"])
    if found is None or not may_see(asked.caller, found.hidden):
        raise NotFound(f"There is no thread {asked.id('thread_id')} here.")
    return found


_ONE = "/v0/threads/{thread_id}"
_THREADS = (
    Endpoint(
        method="GET",
        path="/v0/threads",
        handler=page,
        name="threads.list",
        summary="List threads; the one that spoke last comes first.",
        needs="message_read",
        query=forms.ThreadFilter,
        answers=wire.Threads,
        errors=(404,),
    ),
    Endpoint(
        method="GET",
        path="/v0/threads/search",
        handler=search,
        name="threads.search",
        summary="Find threads by words in their subject, their senders, or what was said in them.",
        needs="message_read",
        query=forms.FoundIn,
        answers=wire.FoundThreads,
        errors=(404,),
    ),
    Endpoint(
        method="GET",
        path=_ONE,
        handler=get,
        name="threads.get",
        summary="Read a thread: the first page is its end, and reads from old to new.",
        needs="message_read",
        query=forms.Paged,
        answers=wire.Thread,
        errors=(404,),
    ),
    Endpoint(
        method="PATCH",
        path=_ONE,
        handler=change,
        name="threads.update",
        summary="Label a thread. With follow-up:<draft_id>, an answer in it cancels that draft.",
        needs="message_update",
        body=forms.LabelChange,
        answers=wire.UpdateThreadResponse,
        errors=(404, 409),
    ),
    Endpoint(
        method="DELETE",
        path=_ONE,
        handler=delete,
        name="threads.delete",
        summary="Delete a thread and its messages for good; what it still had to send is not sent.",
        needs="message_delete",
        errors=(404, 409),
    ),
    Endpoint(
        method="GET",
        path=f"{_ONE}/attachments/{{attachment_id}}",
        handler=get_attachment,
        name="threads.get_attachment",
        summary="Where a file of a thread can be fetched.",
        needs="message_read",
        answers=wire.AttachmentResponse,
        errors=(404,),
    ),
)

ENDPOINTS = tuple(scoped for each in _THREADS for scoped in everywhere(each))
