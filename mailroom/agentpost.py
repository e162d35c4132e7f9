"""AgentPost's dialect: drafts, as its pages on them say. Over the same drafts as all others.

Two things are its own. What a draft answers is looked for when it leaves, and not before. And a draft that was sent is gone
from that moment on: whoever sends it once more hears that there is none, also while the first letter is in the air.
"""

import base64
import binascii
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator
from typing_extensions import TypedDict

from engine.addresses import contact, valid_address
from engine.errors import Busy, Invalid, Issue, NotFound, Refused
from engine.keys import covers, may
from engine.model import Attachment, Draft, Enclosure, Message
from engine.post import take
from engine.states import REWORDABLE, DraftState
from engine.store import Ledger
from engine.store.pages import Slice
from engine.store.written import Filed, Which
from engine.wish import Author, Wish
from engine.write import Change, discard, update, write
from mailroom.api.door import Dialect
from mailroom.api.frame import Asked, Endpoint, inbox_of, reading
from mailroom.api.openapi import document as described
from mailroom.forms import Labels, Line

# --- what is answered ---

Moment = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]


class AgentPostReader(TypedDict):
    """Somebody, and how people read them."""

    email: str
    name: str | None


class AgentPostAttachment(TypedDict):
    """A file that goes along. Its `key` is good for saying, in a change, that it stays."""

    key: str
    filename: str
    mime_type: str
    size: int


class AgentPostDraft(TypedDict):
    """A letter that has not left."""

    id: str
    inbox_id: str
    thread_id: str | None
    in_reply_to: str | None
    subject: str
    to_addresses: list[AgentPostReader]
    cc_addresses: list[AgentPostReader]
    bcc_addresses: list[AgentPostReader]
    text_body: str | None
    html_body: str | None
    attachments_meta: list[AgentPostAttachment]
    created_at: Moment
    updated_at: Moment


class AgentPostDrafts(TypedDict):
    """Some of them, the latest change first. `next_cursor`, if there is one, leads to more."""

    data: list[AgentPostDraft]
    next_cursor: str | None


class AgentPostMessage(TypedDict):
    """The letter that a draft became."""

    id: str
    inbox_id: str
    thread_id: str
    direction: Literal["inbound", "outbound"]
    in_reply_to: str | None
    subject: str
    from_address: AgentPostReader
    to_addresses: list[AgentPostReader]
    cc_addresses: list[AgentPostReader]
    bcc_addresses: list[AgentPostReader]
    text_body: str | None
    html_body: str | None
    extracted_text: str | None
    labels: list[str]
    has_attachments: bool
    created_at: Moment


# --- what is asked ---

_LONGEST_ADDRESS = 320
_MOST_READERS, _MOST_FILES = 50, 100
_KIND = r"[A-Za-z0-9!#$&^_.+-]{1,127}/[A-Za-z0-9!#$&^_.+-]{1,127}"


def _address(value: object) -> str:
    if not isinstance(value, str) or len(value) > _LONGEST_ADDRESS:
        raise ValueError(f"An address is a text of at most {_LONGEST_ADDRESS} characters.")
    try:
        return valid_address(value)
    except Refused as error:
        raise ValueError(str(error)) from None


class _Asked(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)


class AgentPostRecipient(_Asked):
    """Somebody who is to get it."""

    email: Annotated[str, BeforeValidator(_address), WithJsonSchema({"type": "string", "format": "email"})]
    name: Line | None = None


class AgentPostFile(_Asked):
    """A file in base64; or, in a change, the `key` of one that stays."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": ["key"]}, {"required": ["content"]}]})

    key: Line | None = None
    filename: Line | None = None
    mime_type: Annotated[str, Field(pattern=f"^{_KIND}$")] | None = None
    content: str | None = None

    @model_validator(mode="after")
    def _is_one_or_the_other(self) -> Self:
        if (self.key is None) == (self.content is None):
            raise ValueError(
                "Send `content`, in base64, or the `key` of a file that the draft has. Nothing is uploaded ahead here."
            )
        if self.content is not None:
            self.enclosure()
        return self

    def enclosure(self) -> Enclosure:
        try:
            content = base64.b64decode("".join((self.content or "").split()), validate=True)
        except (binascii.Error, ValueError):
            raise ValueError("content is not base64.") from None
        kind = (self.mime_type or "application/octet-stream").lower()
        return Enclosure(name=self.filename or "", content_type=kind, content=content)


Recipients = Annotated[list[AgentPostRecipient], Field(max_length=_MOST_READERS)]


class AgentPostWords(_Asked):
    """What a draft says. In a change, what is absent stays as it is, and null clears it."""

    to: Recipients | None = None
    cc: Recipients | None = None
    bcc: Recipients | None = None
    subject: Line | None = None
    text_body: str | None = None
    html_body: str | None = None
    thread_id: Line | None = None
    in_reply_to: Line | None = None
    attachments: Annotated[list[AgentPostFile], Field(max_length=_MOST_FILES)] | None = None
    labels: Labels | None = None

    @property
    def names(self) -> dict[str, str]:
        everybody = (*(self.to or ()), *(self.cc or ()), *(self.bcc or ()))
        return {each.email: each.name for each in everybody if each.name}


def _last(value: object) -> object:
    """Said twice, the last one is meant."""
    return value[-1] if isinstance(value, list) and value else value


def _limit(value: object) -> int:
    said = str(_last(value))
    if not re.fullmatch("0*[1-9][0-9]{0,99}", said):
        raise ValueError("A limit is a number from 1 on; more than 100 is 100.")
    return min(int(said), 100)


class AgentPostPaged(BaseModel):
    """Which part of a list."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    limit: Annotated[int, BeforeValidator(_limit), WithJsonSchema({"type": "integer", "minimum": 1})] = 50
    cursor: Annotated[str, BeforeValidator(_last)] = ""


# --- the same drafts as everybody's ---

#: Their names of our fields, and what is there when it is cleared.
_WORDS: Mapping[str, tuple[str, Any]] = {
    "subject": ("subject", ""),
    "text_body": ("text", ""),
    "html_body": ("html", None),
    "thread_id": ("goes_into", None),
    "in_reply_to": ("in_reply_to", None),
}


def create(asked: Asked) -> AgentPostDraft:
    body: AgentPostWords = asked.body
    with reading(asked) as ledger:
        inbox = inbox_of(asked, ledger)
    wish = Wish(
        inbox_id=inbox.id,
        to=_addresses(body.to),
        cc=_addresses(body.cc),
        bcc=_addresses(body.bcc),
        names=body.names,
        subject=body.subject or "",
        text=body.text_body or "",
        html=body.html_body,
        files=_added(body),
        labels=tuple(body.labels or ()),
        in_reply_to=body.in_reply_to or None,
        goes_into=body.thread_id or None,
        on_trust=True,
    )
    _kept(body, ())
    return _shown(write(wish, by=_author(asked), store=asked.desk.store, clock=asked.desk.clock))


def page(asked: Asked) -> AgentPostDrafts:
    with reading(asked) as ledger:
        inbox = inbox_of(asked, ledger)
        part = Slice(limit=asked.query.limit, after=_after(asked, inbox.id))
        found = ledger.written.page_of(Which(inbox_id=inbox.id), part)
    cursor = asked.desk.seal.close(_purpose(inbox.id), found.next) if found.next else None
    return {"data": [_shown(each) for each in found.items], "next_cursor": cursor}


def get(asked: Asked) -> AgentPostDraft:
    with reading(asked) as ledger:
        return _shown(_draft_of(asked, ledger))


def change(asked: Asked) -> AgentPostDraft:
    body: AgentPostWords = asked.body
    with reading(asked) as ledger:
        old = _draft_of(asked, ledger)
    said = body.model_fields_set
    _stays_where_it_is(body, old)
    words = {ours: getattr(body, name) or empty for name, (ours, empty) in _WORDS.items() if name in said}
    if old.draft.kind != "plain":
        words = {name: value for name, value in words.items() if name not in {"goes_into", "in_reply_to"}}
    words |= {name: _addresses(getattr(body, name)) for name in ("cc", "bcc") if name in said}
    if body.names:
        words["names"] = {**old.draft.names, **body.names}
    files = "attachments" in said
    kept = _kept(body, old.draft.attachments)
    asks = Change(
        words=words,
        to=_addresses(body.to) if "to" in said else None,
        add_files=_added(body),
        remove_files=frozenset(each.id for each in old.draft.attachments if files and each.id not in kept),
        add_labels=tuple(body.labels or ()),
        remove_labels=frozenset(
            each for each in old.draft.labels if "labels" in said and each not in (body.labels or ())
        ),
    )
    desk = asked.desk
    return _shown(update(old.draft.id, asks, by=_author(asked), store=desk.store, clock=desk.clock))


def send(asked: Asked) -> AgentPostMessage:
    with reading(asked) as ledger:
        known = _draft_of(asked, ledger).draft
    try:
        posted = take(known.id, key=None, by=_author(asked), counter=asked.counter)
    except Busy:
        if _has_gone(known.id, asked):
            raise NotFound(f"{known.id} is being sent already.") from None
        raise
    with reading(asked) as ledger:
        left = ledger.threads.letter(known.inbox_id, posted.message_id)
        draft = ledger.drafts.get(known.id) or known
    return _sent(draft, left, asked.now)


def delete(asked: Asked) -> None:
    with reading(asked) as ledger:
        known = _draft_of(asked, ledger).draft
    discard(known.id, by=asked.caller.key_id, store=asked.desk.store, clock=asked.desk.clock)


def _author(asked: Asked) -> Author:
    return Author(id=asked.caller.key_id, may_send=may(asked.caller, "draft_send"))


def _draft_of(asked: Asked, ledger: Ledger) -> Filed:
    """The draft that the path names. Raises NotFound, also when it has left, and when it is none of the caller's."""
    name = asked.id("draft_id")
    found = ledger.written.get(name)
    inbox = ledger.inboxes.get(found.draft.inbox_id) if found else None
    if found is None or inbox is None or not covers(asked.caller, inbox):
        raise NotFound(f"There is no draft {name}.")
    draft = found.draft
    if draft.state == DraftState.SENT:
        raise NotFound(f"{name} has left: it is message {draft.message_id} of thread {draft.thread_id}.")
    if draft.state == DraftState.CANCELLED:
        raise NotFound(f"{name} was called back: {draft.outcome}.")
    return found


def _has_gone(draft_id: str, asked: Asked) -> bool:
    """Nobody can take it any more: somebody else has."""
    with reading(asked) as ledger:
        now = ledger.drafts.get(draft_id)
    return now is None or now.state not in REWORDABLE


def _stays_where_it_is(body: AgentPostWords, old: Filed) -> None:
    """What it answers was looked for, and found: from then on that is settled."""
    if old.draft.kind == "plain":
        return
    now = _shown(old)
    for name, found in (("thread_id", now["thread_id"]), ("in_reply_to", now["in_reply_to"])):
        if name in body.model_fields_set and getattr(body, name) != found:
            raise Invalid(
                Issue((name,), f"{old.draft.id} answers {found}. Write another draft to answer another.")
            )


def _added(body: AgentPostWords) -> tuple[Enclosure, ...]:
    return tuple(each.enclosure() for each in body.attachments or () if each.content is not None)


def _kept(body: AgentPostWords, files: Iterable[Attachment]) -> set[str]:
    keys = {each.key for each in body.attachments or () if each.key is not None}
    for number, each in enumerate(body.attachments or ()):
        if each.key is not None and each.key not in {file.id for file in files}:
            raise Invalid(Issue(("attachments", number, "key"), f"This draft has no file {each.key}."))
    return keys


def _addresses(said: Iterable[AgentPostRecipient] | None) -> tuple[str, ...]:
    """Nobody twice."""
    return tuple({contact(each.email): each.email for each in reversed(tuple(said or ()))}.values())[::-1]


def _after(asked: Asked, inbox_id: str) -> tuple[int | str, str] | None:
    if not asked.query.cursor:
        return None
    mark = asked.desk.seal.open(_purpose(inbox_id), asked.query.cursor)
    if mark is None:
        raise Invalid(Issue(("cursor",), "This is no cursor of this list.", "invalid_cursor"))
    return mark[0], str(mark[1])


def _purpose(inbox_id: str) -> str:
    return f"agentpost: drafts of {inbox_id}"


# --- records as AgentPost has them ---


def _shown(filed: Filed) -> AgentPostDraft:
    draft = filed.draft
    alone = draft.kind == "plain" and draft.enrollment_id is None
    return {
        "id": draft.id,
        "inbox_id": draft.inbox_id,
        "thread_id": draft.goes_into if alone else draft.thread_id,
        "in_reply_to": draft.in_reply_to,
        "subject": draft.subject,
        "to_addresses": _people(_first(draft), draft.names),
        "cc_addresses": _people(draft.cc, draft.names),
        "bcc_addresses": _people(draft.bcc, draft.names),
        "text_body": draft.text or None,
        "html_body": draft.html,
        "attachments_meta": [
            {"key": each.id, "filename": each.name, "mime_type": each.content_type, "size": each.size}
            for each in draft.attachments
        ],
        "created_at": _moment(filed.created_at),
        "updated_at": _moment(filed.edited_at),
    }


def _sent(draft: Draft, left: Message | None, now: datetime) -> AgentPostMessage:
    """None: it could not be carried at once, and leaves by itself, as it stands in the draft."""
    letter = left or draft
    return {
        "id": draft.message_id,
        "inbox_id": draft.inbox_id,
        "thread_id": draft.thread_id,
        "direction": "outbound",
        "in_reply_to": letter.in_reply_to,
        "subject": letter.subject,
        "from_address": {"email": draft.inbox_id, "name": letter.names.get(draft.inbox_id)},
        "to_addresses": _people(left.to if left else _first(draft), letter.names),
        "cc_addresses": _people(letter.cc, letter.names),
        "bcc_addresses": _people(letter.bcc, letter.names),
        "text_body": letter.text or None,
        "html_body": letter.html,
        "extracted_text": letter.text or None,
        "labels": list(letter.labels),
        "has_attachments": bool(letter.attachments),
        "created_at": _moment(left.timestamp if left else now),
    }


def _first(draft: Draft) -> tuple[str, ...]:
    return (*((draft.to,) if draft.to else ()), *draft.also_to)


def _people(addresses: Iterable[str], names: Mapping[str, str]) -> list[AgentPostReader]:
    known = {address.lower(): name for address, name in names.items()}
    return [{"email": each, "name": known.get(each.lower()) or None} for each in addresses]


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


ENDPOINTS = (
    Endpoint(
        method="POST",
        path="/api/v1/inboxes/{inbox_id}/drafts",
        handler=create,
        name="agentpost.create_draft",
        summary="Write a draft. What it answers is looked for when it is sent.",
        needs="draft_create",
        body=AgentPostWords,
        bare=True,
        answers=AgentPostDraft,
    ),
    Endpoint(
        method="GET",
        path="/api/v1/inboxes/{inbox_id}/drafts",
        handler=page,
        name="agentpost.list_drafts",
        summary="List what has not left, the latest change first.",
        needs="draft_read",
        query=AgentPostPaged,
        answers=AgentPostDrafts,
    ),
    Endpoint(
        method="GET",
        path="/api/v1/drafts/{draft_id}",
        handler=get,
        name="agentpost.get_draft",
        summary="Look at a draft.",
        needs="draft_read",
        answers=AgentPostDraft,
    ),
    Endpoint(
        method="PATCH",
        path="/api/v1/drafts/{draft_id}",
        handler=change,
        name="agentpost.update_draft",
        summary="Change what a draft says.",
        needs="draft_update",
        body=AgentPostWords,
        answers=AgentPostDraft,
        errors=(409,),
    ),
    Endpoint(
        method="DELETE",
        path="/api/v1/drafts/{draft_id}",
        handler=delete,
        name="agentpost.delete_draft",
        summary="Throw a draft away.",
        needs="draft_delete",
        errors=(409,),
    ),
    Endpoint(
        method="POST",
        path="/api/v1/drafts/{draft_id}/send",
        handler=send,
        name="agentpost.send_draft",
        summary="Send a draft now. From then on it is gone, and there is a message.",
        needs="draft_send",
        answers=AgentPostMessage,
        errors=(409, 422),
    ),
)

AGENTPOST = Dialect(endpoints=ENDPOINTS)


@cache
def document() -> dict[str, Any]:
    """For /openapi.json."""
    return described(ENDPOINTS)
