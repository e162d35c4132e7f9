"""AgentMail's shapes: what `/v0` answers. Nobody else spells them.

In a shape stands first what is always there, then what may be absent; nothing is ever null. What we are asked is spelt in
`forms.py`, what a webhook of ours tells in `telling.py`, and what a mailbox elsewhere tells us is read in `heard.py`.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal, NotRequired, Required, cast

from typing_extensions import TypedDict  # of Python 3.11's own, pydantic knows too little

from engine import inboxes, keys, model
from engine.states import DraftState
from engine.store.inboxes import Pod as PodRecord
from engine.store.keys import ApiKey as KeyRecord
from engine.store.letters import Conversation, LabelEvent
from engine.store.lists import Entry, Place
from engine.store.subscribers import Subscriber
from engine.store.written import Filed
from engine.tags import DRAFT
from mailroom.quotes import said_anew

Moment = str  #: UTC, milliseconds, `Z`: 2026-08-02T08:28:47.206Z
Address = str  #: `a@b`, or `Name <a@b>`
SendStatus = Literal["scheduled", "sending", "failed"]


class Page(TypedDict):
    """What every list has; `next_page_token` is absent on the last page."""

    count: int
    limit: int
    next_page_token: NotRequired[str]


class Inbox(TypedDict):
    pod_id: str
    inbox_id: str
    email: str
    updated_at: Moment
    created_at: Moment
    display_name: NotRequired[str]
    client_id: NotRequired[str]
    status: NotRequired[Literal["paused"]]
    metadata: NotRequired[dict[str, str | int | float | bool]]


class Inboxes(Page):
    inboxes: list[Inbox]


class Attachment(TypedDict):
    attachment_id: str
    size: int
    filename: NotRequired[str]
    content_type: NotRequired[str]
    content_disposition: NotRequired[Literal["inline", "attachment"]]
    content_id: NotRequired[str]


class AttachmentResponse(Attachment):
    """A link that needs no key, for about an hour."""

    download_url: str
    expires_at: Moment
    text_url: NotRequired[str]


#: `from` is a word of Python, hence the functional form; it is one string, never a list.
_From = TypedDict("_From", {"from": Required[Address]})


class MessageItem(_From):
    inbox_id: str
    thread_id: str
    message_id: str
    labels: list[str]
    timestamp: Moment
    to: list[Address]
    size: int
    updated_at: Moment
    created_at: Moment
    cc: NotRequired[list[Address]]
    bcc: NotRequired[list[Address]]
    subject: NotRequired[str]
    preview: NotRequired[str]
    attachments: NotRequired[list[Attachment]]
    in_reply_to: NotRequired[str]
    references: NotRequired[list[str]]
    headers: NotRequired[dict[str, str]]


class Message(MessageItem):
    reply_to: NotRequired[list[Address]]
    text: NotRequired[str]
    html: NotRequired[str]
    extracted_text: NotRequired[str]
    extracted_html: NotRequired[str]


class FoundMessage(MessageItem):
    highlights: NotRequired[dict[str, list[str]]]


class Messages(Page):
    messages: list[MessageItem]


class FoundMessages(Page):
    messages: list[FoundMessage]


class BatchGot(TypedDict):
    limit: int
    count: int
    messages: list[MessageItem]


class SendMessageResponse(TypedDict):
    message_id: str
    thread_id: str


class UpdateMessageResponse(TypedDict):
    message_id: str
    labels: list[str]


class BatchUpdated(TypedDict):
    limit: int
    count: int
    updates: list[UpdateMessageResponse]


class RawMessageResponse(TypedDict):
    message_id: str
    size: int
    download_url: str
    expires_at: Moment


class ThreadItem(TypedDict):
    inbox_id: str
    thread_id: str
    labels: list[str]
    timestamp: Moment
    senders: list[Address]
    recipients: list[Address]
    last_message_id: str
    message_count: int
    size: int
    updated_at: Moment
    created_at: Moment
    received_timestamp: NotRequired[Moment]
    sent_timestamp: NotRequired[Moment]
    subject: NotRequired[str]
    preview: NotRequired[str]
    attachments: NotRequired[list[Attachment]]


class Thread(ThreadItem):
    """With a page of its messages, old to new; the first page is its end."""

    count: int
    messages: list[Message]
    limit: NotRequired[int]
    next_page_token: NotRequired[str]


class FoundThread(ThreadItem):
    highlights: NotRequired[dict[str, list[str]]]


class Threads(Page):
    threads: list[ThreadItem]


class FoundThreads(Page):
    threads: list[FoundThread]


class UpdateThreadResponse(TypedDict):
    thread_id: str
    labels: list[str]


class DraftItem(TypedDict):
    inbox_id: str
    draft_id: str
    labels: list[str]
    updated_at: Moment
    to: NotRequired[list[Address]]
    cc: NotRequired[list[Address]]
    bcc: NotRequired[list[Address]]
    subject: NotRequired[str]
    preview: NotRequired[str]
    attachments: NotRequired[list[Attachment]]
    in_reply_to: NotRequired[str]
    forward_of: NotRequired[str]
    send_status: NotRequired[SendStatus]
    send_at: NotRequired[Moment]


class Draft(DraftItem):
    created_at: Moment
    client_id: NotRequired[str]
    reply_to: NotRequired[list[Address]]
    text: NotRequired[str]
    html: NotRequired[str]
    references: NotRequired[list[str]]


class Drafts(Page):
    drafts: list[DraftItem]


class Webhook(TypedDict):
    webhook_id: str
    url: str
    secret: str
    enabled: bool
    updated_at: Moment
    created_at: Moment
    event_types: NotRequired[list[str]]
    pod_ids: NotRequired[list[str]]
    inbox_ids: NotRequired[list[str]]
    pod_id: NotRequired[str]
    inbox_id: NotRequired[str]
    client_id: NotRequired[str]


class Webhooks(Page):
    webhooks: list[Webhook]


class WebhookHeaderNames(TypedDict):
    header_names: list[str]


class ListEntry(TypedDict):
    entry: str
    organization_id: str
    direction: Literal["send", "receive", "reply"]
    list_type: Literal["allow", "block"]
    entry_type: Literal["email", "domain"]
    created_at: Moment
    reason: NotRequired[str]
    read_only: NotRequired[bool]


class ScopedListEntry(ListEntry):
    """The same under a pod or an inbox."""

    pod_id: str
    inbox_id: NotRequired[str]


class ListEntries(Page):
    entries: list[ListEntry]


class ScopedListEntries(Page):
    """The same under a pod or an inbox."""

    entries: list[ScopedListEntry]


class InboxEvent(TypedDict):
    organization_id: str
    pod_id: str
    inbox_id: str
    event_id: str
    event_type: Literal["label.added", "label.removed"]
    message_id: str
    label: str
    event_at: Moment
    created_at: Moment


class InboxEvents(Page):
    events: list[InboxEvent]


class Identity(TypedDict):
    scope_type: Literal["organization", "pod", "inbox"]
    scope_id: str
    organization_id: str
    pod_id: NotRequired[str]
    inbox_id: NotRequired[str]
    api_key_id: NotRequired[str]


class Organization(TypedDict):
    organization_id: str
    inbox_count: int
    domain_count: int
    updated_at: Moment
    created_at: Moment
    inbox_limit: NotRequired[int]
    domain_limit: NotRequired[int]


class Pod(TypedDict):
    pod_id: str
    name: str
    updated_at: Moment
    created_at: Moment
    client_id: NotRequired[str]


class Pods(Page):
    pods: list[Pod]


class ApiKey(TypedDict):
    type: Literal["bearer"]
    api_key_id: str
    prefix: str
    name: str
    created_at: Moment
    updated_at: Moment
    pod_id: NotRequired[str]
    inbox_id: NotRequired[str]
    used_at: NotRequired[Moment]
    permissions: NotRequired[dict[str, bool]]
    expires_at: NotRequired[Moment]


class ApiKeyMade(TypedDict):
    """The one answer that shows the key itself."""

    api_key_id: str
    api_key: str
    prefix: str
    name: str
    created_at: Moment
    pod_id: NotRequired[str]
    inbox_id: NotRequired[str]
    permissions: NotRequired[dict[str, bool]]
    expires_at: NotRequired[Moment]


class ApiKeys(Page):
    api_keys: list[ApiKey]


class Refusal(TypedDict):
    """Every 4xx and 5xx but 400: always an object in JSON."""

    name: str
    message: str
    code: str
    fix: NotRequired[str]
    docs: NotRequired[str]
    changed: NotRequired[dict[str, str]]  #: of a 409: what is so now, and by whom, when and why


class Issue(TypedDict):
    path: list[str | int]
    code: str
    message: str
    expected: NotRequired[str]


class ValidationRefusal(Refusal):
    """Every 400."""

    errors: list[Issue]


# --- small things ---

#: RFC 5322: with one of these in it, a name stands in quotation marks.
_SPECIAL = re.compile(r'[()<>[\]:;@\\,."]')
_PREVIEW = 200


def moment(at: datetime) -> Moment:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def addresses(said: Iterable[str], names: Mapping[str, str]) -> list[Address]:
    """As people write them: `Name <a@b>`."""
    known = {address.lower(): name for address, name in names.items() if name}
    return [_named(each, known.get(each.lower(), "")) for each in said]


def _named(address: str, name: str) -> Address:
    if not name:
        return address
    if _SPECIAL.search(name):
        name = '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return f"{name} <{address}>"


def _without_nothing(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None and value not in ("", [], {})}


def preview(text: str) -> str:
    """How it begins, on one line."""
    said = " ".join(text[: 4 * _PREVIEW].split())
    return said if len(said) <= _PREVIEW else said[:_PREVIEW].rsplit(" ", 1)[0] + " …"


# --- inboxes and pods ---


def inbox(record: model.Inbox) -> Inbox:
    shown = {
        "pod_id": record.pod_id,
        "inbox_id": record.id,
        "email": record.id,
        "updated_at": moment(record.updated_at),
        "created_at": moment(record.created_at),
    }
    more = _without_nothing(
        display_name=record.display_name,
        client_id=record.client_id,
        status="paused" if record.paused else None,
        metadata=dict(record.metadata),
    )
    return cast("Inbox", shown | more)


def pod(record: PodRecord) -> Pod:
    shown: dict[str, Any] = {
        "pod_id": record.id,
        "name": record.name,
        "updated_at": moment(record.updated_at),
        "created_at": moment(record.created_at),
    }
    return cast("Pod", shown | _without_nothing(client_id=record.client_id))


# --- letters ---


def attachment(record: model.Attachment) -> Attachment:
    shown: dict[str, Any] = {"attachment_id": attachment_id(record), "size": record.size}
    more = _without_nothing(
        filename=record.name,
        content_type=record.content_type,
        content_disposition=record.disposition,
        content_id=record.content_id,
    )
    return cast("Attachment", shown | more)


def attachment_id(record: model.Attachment) -> str:
    """What was kept before files had names of their own is named after what is in it."""
    return record.id or f"att_{record.sha[:24]}"


def attachment_link(record: model.Attachment, url: str, expires_at: datetime) -> AttachmentResponse:
    shown: dict[str, Any] = {**attachment(record), "download_url": url, "expires_at": moment(expires_at)}
    return cast("AttachmentResponse", shown)


def message_labels(record: model.Message) -> list[str]:
    """With the one by which the message of a draft is found."""
    return [*record.labels, *([f"{DRAFT}{record.draft_id}"] if record.draft_id else [])]


def message_item(record: model.Message) -> MessageItem:
    at = moment(record.timestamp)
    shown = {
        "inbox_id": record.inbox_id,
        "thread_id": record.thread_id,
        "message_id": record.message_id,
        "labels": message_labels(record),
        "timestamp": at,
        "from": addresses([record.sender], record.names)[0],
        "to": addresses(record.to, record.names),
        "size": record.size,
        "updated_at": moment(record.updated_at) if record.updated_at else at,
        "created_at": at,
    }
    more = _without_nothing(
        cc=addresses(record.cc, record.names),
        bcc=addresses(record.bcc, record.names),
        subject=record.subject,
        preview=preview(record.text),
        attachments=[attachment(each) for each in record.attachments],
        in_reply_to=record.in_reply_to,
        references=list(record.references),
        headers=dict(record.headers),
    )
    return cast("MessageItem", shown | more)


def message(record: model.Message) -> Message:
    more = _without_nothing(
        reply_to=addresses(record.reply_to, record.names),
        text=record.text,
        html=record.html,
        extracted_text=said_anew(record.text),
    )
    return cast("Message", {**message_item(record), **more})


def thread_item(record: Conversation) -> ThreadItem:
    shown = {
        "inbox_id": record.inbox_id,
        "thread_id": record.id,
        "labels": list(record.labels),
        "timestamp": moment(record.last_at),
        "senders": list(record.senders),
        "recipients": list(record.recipients),
        "last_message_id": record.last_message_id,
        "message_count": record.message_count,
        "size": record.size,
        "updated_at": moment(record.updated_at),
        "created_at": moment(record.created_at),
    }
    more = _without_nothing(
        received_timestamp=moment(record.received_at) if record.received_at else None,
        sent_timestamp=moment(record.sent_at) if record.sent_at else None,
        subject=record.subject,
        preview=record.preview,
        attachments=[attachment(each) for each in record.attachments],
    )
    return cast("ThreadItem", shown | more)


def thread(record: Conversation, letters: Iterable[model.Message], page: Mapping[str, Any]) -> Thread:
    """`page`: what every list has: `count`, `limit`, and perhaps `next_page_token`."""
    said = [message(each) for each in letters]
    return cast("Thread", {**thread_item(record), **page, "messages": said})


def inbox_event(record: LabelEvent, *, organization_id: str, pod_id: str) -> InboxEvent:
    return {
        "organization_id": organization_id,
        "pod_id": pod_id,
        "inbox_id": record.inbox_id,
        "event_id": record.id,
        "event_type": "label.added" if record.what == "added" else "label.removed",
        "message_id": record.message_id,
        "label": record.label,
        "event_at": moment(record.at),
        "created_at": moment(record.at),
    }


# --- drafts ---

_SEND_STATUS: dict[DraftState, SendStatus] = {
    DraftState.SCHEDULED: "scheduled",
    DraftState.CLAIMED: "sending",
    DraftState.RELEASING: "sending",
    DraftState.FAILED: "failed",
    DraftState.UNCERTAIN: "failed",
}


def draft_labels(record: model.Draft) -> list[str]:
    """What people call it, and what its state is called where there is a word for that."""
    states = {DraftState.SCHEDULED: "scheduled", DraftState.HELD: "held"}
    state = states.get(record.state)
    return [*(each for each in record.labels if each != state), *([state] if state else [])]


def draft_item(filed: Filed) -> DraftItem:
    record = filed.draft
    status = _SEND_STATUS.get(record.state)
    shown: dict[str, Any] = {
        "inbox_id": record.inbox_id,
        "draft_id": record.id,
        "labels": draft_labels(record),
        "updated_at": moment(filed.edited_at),
    }
    more = _without_nothing(
        to=addresses((*([record.to] if record.to else ()), *record.also_to), record.names),
        cc=addresses(record.cc, record.names),
        bcc=addresses(record.bcc, record.names),
        subject=record.subject,
        preview=preview(record.text),
        attachments=[attachment(each) for each in record.attachments],
        in_reply_to=record.in_reply_to,
        forward_of=record.forward_of,
        send_status=status,
        send_at=moment(record.send_at) if status and record.has_an_hour else None,
    )
    return cast("DraftItem", shown | more)


def draft(filed: Filed, references: Sequence[str] = ()) -> Draft:
    """`references`: those of the letter that it answers, and that letter."""
    record = filed.draft
    more = _without_nothing(
        client_id=record.client_id,
        reply_to=addresses(record.reply_to, record.names),
        text=record.text,
        html=record.html,
        references=list(references),
    )
    return cast("Draft", {**draft_item(filed), "created_at": moment(filed.created_at), **more})


# --- who is told, who may, who not ---


def webhook(record: Subscriber) -> Webhook:
    shown = {
        "webhook_id": record.id,
        "url": record.url,
        "secret": record.secret,
        "enabled": record.enabled,
        "updated_at": moment(record.updated_at),
        "created_at": moment(record.created_at),
    }
    more = _without_nothing(
        event_types=list(record.event_types),
        pod_ids=list(record.pod_ids),
        inbox_ids=list(record.inbox_ids),
        pod_id=record.pod_id,
        inbox_id=record.inbox_id,
        client_id=record.client_id,
    )
    return cast("Webhook", shown | more)


def list_entry(record: Entry, place: Place, *, organization_id: str) -> ListEntry:
    shown = {
        "entry": record.entry,
        "organization_id": organization_id,
        "direction": place.direction,
        "list_type": place.kind,
        "entry_type": "email" if "@" in record.entry else "domain",
        "created_at": moment(record.created_at),
    }
    more = _without_nothing(reason=record.reason, read_only=record.read_only or None)
    return cast("ListEntry", shown | more)


def scoped_list_entry(
    record: Entry, place: Place, *, organization_id: str, pod_id: str, inbox_id: str | None
) -> ScopedListEntry:
    shown: dict[str, Any] = {**list_entry(record, place, organization_id=organization_id), "pod_id": pod_id}
    return cast("ScopedListEntry", shown | _without_nothing(inbox_id=inbox_id))


def api_key(record: KeyRecord) -> ApiKey:
    shown: dict[str, Any] = {
        "type": "bearer",
        "api_key_id": record.id,
        "prefix": record.prefix,
        "name": record.name,
        "created_at": moment(record.created_at),
        "updated_at": moment(record.updated_at),
    }
    used = _without_nothing(used_at=moment(record.used_at) if record.used_at else None)
    return cast("ApiKey", shown | used | _reach(record))


def api_key_made(made: keys.Made) -> ApiKeyMade:
    shown: dict[str, Any] = {
        "api_key_id": made.key.id,
        "api_key": made.secret,
        "prefix": made.key.prefix,
        "name": made.key.name,
        "created_at": moment(made.key.created_at),
    }
    return cast("ApiKeyMade", shown | _reach(made.key))


def _reach(record: KeyRecord) -> dict[str, Any]:
    """Without permissions it may everything; with none of them true, nothing: those are two things."""
    shown = _without_nothing(
        pod_id=record.scope_id if record.scope == "pod" else None,
        inbox_id=record.scope_id if record.scope == "inbox" else None,
        expires_at=moment(record.expires_at) if record.expires_at else None,
    )
    return shown if record.permissions is None else shown | {"permissions": dict(record.permissions)}


# --- whose house it is ---


def organization(record: inboxes.Organization) -> Organization:
    born = moment(record.created_at)
    return {
        "organization_id": record.id,
        "inbox_count": record.inbox_count,
        "domain_count": record.domain_count,
        "updated_at": born,
        "created_at": born,
    }


def identity(caller: keys.Caller, *, organization_id: str, pod_id: str | None) -> Identity:
    """`pod_id`: the caller's own pod, or that of their inbox."""
    shown = {
        "scope_type": caller.scope,
        "scope_id": caller.scope_id or organization_id,
        "organization_id": organization_id,
        "api_key_id": caller.key_id,
    }
    inbox_id = caller.scope_id if caller.scope == "inbox" else None
    return cast("Identity", shown | _without_nothing(pod_id=pod_id, inbox_id=inbox_id))
