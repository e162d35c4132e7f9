"""Links to what is kept: a letter as it is on the wire, a file. They need no key, and are good for an hour."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from engine.errors import NotFound
from engine.model import Attachment, Message
from engine.states import DraftState
from engine.store import Ledger
from engine.store.letters import Sieve
from mailroom import wire
from mailroom.api.frame import Asked, Endpoint, File, reading
from mailroom.raw import file_name, kind_of, raw

_GOOD_FOR = timedelta(hours=1)
_PURPOSE = "download"
_LONGEST_NAME = 120  # characters of a file's name in its link

What = Literal["message", "file"]
Holder = Literal["message", "thread", "draft"]


def attached(
    asked: Asked, inbox_id: str, holder: Holder, name: str, files: Iterable[Attachment]
) -> wire.AttachmentResponse:
    """The one of these files that the path names, and where it can be had. Raises NotFound.

    `holder`, `name`: what has them. When it has them no more, the link leads nowhere.
    """
    known = {wire.attachment_id(each): each for each in files}
    found = next((known[name] for name in asked.path["attachment_id"] if name in known), None)
    if found is None:
        raise NotFound(f"There is no attachment {asked.id('attachment_id')} here.")
    title, suffix = _shortened(file_name(found))
    url, until = _link(asked, "file", inbox_id, holder, name, found.sha, kind_of(found), title + suffix)
    return wire.attachment_link(found, url, until)


def as_sent(asked: Asked, message: Message, ledger: Ledger) -> wire.RawMessageResponse:
    """The whole letter, and where it can be had."""
    url, until = _link(asked, "message", message.inbox_id, message.message_id)
    return {
        "message_id": message.message_id,
        "size": len(_bytes(message, ledger)),
        "download_url": url,
        "expires_at": wire.moment(until),
    }


def download(asked: Asked) -> File:
    """Whoever has the link has what it leads to, while that is there."""
    said = asked.desk.seal.open(_PURPOSE, asked.id("token"))
    if said is None or datetime.fromtimestamp(said[1], UTC) <= asked.now:
        raise NotFound("This link is not good, or not any more. Ask for another one.")
    with reading(asked) as ledger:
        if ledger.inboxes.get(said[2]) is not None:
            found: File | None = _LED_TO[said[0]](ledger, *said[2:])
            if found is not None:
                return found
    raise NotFound("What this link leads to is not there any more.")


def _link(asked: Asked, what: What, *said: str) -> tuple[str, datetime]:
    until = (asked.now + _GOOD_FOR).replace(microsecond=0)
    token = asked.desk.seal.close(_PURPOSE, [what, int(until.timestamp()), *said])
    return asked.link(f"/v0/downloads/{token}"), until


def _shortened(name: str) -> tuple[str, str]:
    head, dot, suffix = name.rpartition(".")
    if not head or len(suffix) > _LONGEST_NAME // 4:
        return name[:_LONGEST_NAME], ""
    return head[:_LONGEST_NAME], dot + suffix


def _message(ledger: Ledger, inbox_id: str, message_id: str) -> File | None:
    message = ledger.letters.get(inbox_id, message_id)
    if message is None:
        return None
    return File(content=_bytes(message, ledger), content_type="message/rfc822", name="message.eml")


def _file(
    ledger: Ledger, inbox_id: str, holder: Holder, name: str, sha: str, kind: str, title: str
) -> File | None:
    """What is in it may be kept for somebody else who has the same."""
    if sha not in {each.sha for each in _HELD[holder](ledger, inbox_id, name)}:
        return None
    content = ledger.letters.content(sha)
    return None if content is None else File(content=content, content_type=kind, name=title)


def _in_message(ledger: Ledger, inbox_id: str, message_id: str) -> tuple[Attachment, ...]:
    message = ledger.letters.get(inbox_id, message_id)
    return message.attachments if message else ()


def _in_thread(ledger: Ledger, inbox_id: str, thread_id: str) -> tuple[Attachment, ...]:
    talk = ledger.letters.conversation(Sieve(inbox_id=inbox_id), thread_id)
    return talk.attachments if talk else ()


def _in_draft(ledger: Ledger, inbox_id: str, draft_id: str) -> tuple[Attachment, ...]:
    """Or in the message that it has become."""
    found = ledger.written.get(draft_id)
    if found is None or found.draft.state == DraftState.CANCELLED:
        return ()
    if found.draft.state == DraftState.SENT:
        return _in_message(ledger, inbox_id, found.draft.message_id)
    return found.draft.attachments


_LED_TO: dict[str, Any] = {"message": _message, "file": _file}
_HELD: dict[Holder, Callable[[Ledger, str, str], tuple[Attachment, ...]]] = {
    "message": _in_message,
    "thread": _in_thread,
    "draft": _in_draft,
}


def _bytes(message: Message, ledger: Ledger) -> bytes:
    contents = {file.sha: ledger.letters.content(file.sha) for file in message.attachments}
    return raw(message, {sha: content for sha, content in contents.items() if content is not None})


ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/v0/downloads/{token}",
        handler=download,
        name="downloads.get",
        summary="Fetch what a `download_url` leads to; the link itself is the key.",
        answers=bytes,
        open=True,
    ),
)
