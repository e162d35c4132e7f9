"""What `/v0` answers: every shape as the official SDK wants it, nothing null, nothing that nobody named."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from agentmail.api_keys.types import BearerApiKey, CreateApiKeyResponse
from agentmail.attachments.types import AttachmentResponse
from agentmail.auth.types import Identity
from agentmail.drafts.types import Draft as SdkDraft
from agentmail.drafts.types import DraftItem
from agentmail.inboxes.types import Inbox as SdkInbox
from agentmail.lists.types import ListEntry, PodListEntry
from agentmail.messages.types import Message as SdkMessage
from agentmail.messages.types import MessageItem
from agentmail.organizations.types import Organization as SdkOrganization
from agentmail.pods.types import Pod as SdkPod
from agentmail.threads.types import Thread as SdkThread
from agentmail.threads.types import ThreadItem
from agentmail.webhooks.types import Webhook as SdkWebhook
from pydantic import TypeAdapter

from engine.inboxes import Organization
from engine.keys import Caller, Made
from engine.model import NEVER, Attachment, Draft, Inbox, Message
from engine.states import DraftState
from engine.store.inboxes import Pod
from engine.store.keys import ApiKey
from engine.store.letters import Conversation
from engine.store.lists import Entry, Place
from engine.store.subscribers import Subscriber
from engine.store.written import Filed
from mailroom import wire

AT = datetime(2026, 2, 1, 9, 0, 0, 123456, tzinfo=UTC)
SHOWN = "2026-02-01T09:00:00.123Z"

FILE = Attachment(
    name="plan.txt", content_type="text/plain", sha="a" * 64, size=7, id="att_1", content_id="plan"
)
OLD_FILE = Attachment(name="", content_type="", sha="b" * 64, size=0)

INBOX = Inbox(
    id="sam@house.test",
    pod_id="pod_default",
    created_at=AT,
    updated_at=AT,
    display_name="Sam",
    client_id="c1",
    paused=True,
    metadata={"team": "north", "size": 3, "open": True},
)
MESSAGE = Message(
    message_id="<m1@house.test>",
    inbox_id="sam@house.test",
    thread_id="thr_1",
    direction="sent",
    sender="sam@house.test",
    to=("ida@x.test", "Bob@x.test"),
    cc=("cy@x.test",),
    bcc=("di@x.test",),
    names={"sam@house.test": "Sam", "bob@x.test": "Doe, Bob", "di@x.test": ""},
    reply_to=("desk@house.test",),
    subject="Hello",
    text="Yes.\n\nOn Monday, Ida wrote:\n> Well?",
    html="<p>Yes.</p>",
    timestamp=AT,
    in_reply_to="<m0@x.test>",
    references=("<m0@x.test>",),
    labels=("sent", "hot"),
    draft_id="drf_1",
    headers={"X-Campaign": "north"},
    attachments=(FILE, OLD_FILE),
    size=70,
    updated_at=AT + timedelta(hours=1),
)
BARE_MESSAGE = Message(
    message_id="<m2@x.test>",
    inbox_id="sam@house.test",
    thread_id="thr_1",
    direction="received",
    sender="ida@x.test",
    to=(),
    subject="",
    text="",
    timestamp=AT,
)
TALK = Conversation(
    id="thr_1",
    inbox_id="sam@house.test",
    subject="Hello",
    last_at=AT,
    last_message_id="<m1@house.test>",
    message_count=2,
    size=80,
    created_at=AT,
    updated_at=AT,
    received_at=AT,
    sent_at=AT,
    senders=("sam@house.test",),
    recipients=("ida@x.test",),
    preview="Yes.",
    labels=("sent", "hot"),
    attachments=(FILE,),
)
DRAFT = Draft(
    id="drf_1",
    inbox_id="sam@house.test",
    thread_id="thr_1",
    enrollment_id=None,
    step="",
    state=DraftState.SCHEDULED,
    send_at=AT,
    to="ida@x.test",
    also_to=("bob@x.test",),
    cc=("cy@x.test",),
    bcc=("di@x.test",),
    names={"ida@x.test": 'Ida "I" Doe'},
    reply_to=("desk@house.test",),
    subject="Hello",
    text="Hi",
    html="<p>Hi</p>",
    message_id="<d1@house.test>",
    reason="asked for",
    content_sha="x",
    in_reply_to="<m0@x.test>",
    forward_of="<m0@x.test>",
    labels=("hot",),
    client_id="c1",
    attachments=(FILE,),
)
BARE_DRAFT = Draft(
    id="drf_2",
    inbox_id="sam@house.test",
    thread_id="thr_1",
    enrollment_id=None,
    step="",
    state=DraftState.WRITTEN,
    send_at=NEVER,
    to="",
    subject="",
    text="",
    message_id="<d2@house.test>",
    reason="asked for",
    content_sha="x",
)
HOOK = Subscriber(
    id="ep_1",
    url="https://x.test/hook",
    event_types=("message.sent",),
    inbox_ids=("sam@house.test",),
    pod_ids=("pod_1",),
    pod_id="pod_1",
    inbox_id="sam@house.test",
    client_id="c1",
    secret="whsec_x",
    created_at=AT,
    updated_at=AT,
)
PLACE = Place(direction="send", kind="block")
KEY = ApiKey(
    id="key_1",
    prefix="am_123",
    name="one",
    scope="inbox",
    scope_id="sam@house.test",
    permissions={"draft_read": True, "draft_send": False},
    created_at=AT,
    updated_at=AT,
    used_at=AT,
    expires_at=AT,
)
OPEN_KEY = replace(KEY, scope="organization", scope_id="", permissions=None, used_at=None, expires_at=None)


def filed(draft: Draft) -> Filed:
    return Filed(draft=draft, created_at=AT, edited_at=AT, moved_at=AT)


SHAPES: list[tuple[Any, Any, Any]] = [
    (wire.inbox(INBOX), wire.Inbox, SdkInbox),
    (wire.inbox(Inbox(id="a@b.test", pod_id="p", created_at=AT, updated_at=AT)), wire.Inbox, SdkInbox),
    (wire.pod(Pod(id="pod_1", name="one", created_at=AT, updated_at=AT, client_id="c")), wire.Pod, SdkPod),
    (wire.pod(Pod(id="pod_1", name="one", created_at=AT, updated_at=AT)), wire.Pod, SdkPod),
    (wire.message_item(MESSAGE), wire.MessageItem, MessageItem),
    (wire.message_item(BARE_MESSAGE), wire.MessageItem, MessageItem),
    (wire.message(MESSAGE), wire.Message, SdkMessage),
    (wire.message(BARE_MESSAGE), wire.Message, SdkMessage),
    (wire.thread_item(TALK), wire.ThreadItem, ThreadItem),
    (
        wire.thread_item(replace(TALK, received_at=None, sent_at=None, preview=None)),
        wire.ThreadItem,
        ThreadItem,
    ),
    (wire.thread(TALK, [MESSAGE], {"count": 1, "limit": 50, "next_page_token": "x"}), wire.Thread, SdkThread),
    (wire.draft_item(filed(DRAFT)), wire.DraftItem, DraftItem),
    (wire.draft_item(filed(BARE_DRAFT)), wire.DraftItem, DraftItem),
    (wire.draft(filed(DRAFT), ["<m0@x.test>"]), wire.Draft, SdkDraft),
    (wire.draft(filed(BARE_DRAFT)), wire.Draft, SdkDraft),
    (wire.attachment_link(FILE, "http://x.test/f", AT), wire.AttachmentResponse, AttachmentResponse),
    (wire.webhook(HOOK), wire.Webhook, SdkWebhook),
    (
        wire.webhook(replace(HOOK, inbox_ids=(), pod_ids=(), pod_id=None, inbox_id=None)),
        wire.Webhook,
        SdkWebhook,
    ),
    (
        wire.list_entry(Entry(entry="x.test", created_at=AT), PLACE, organization_id="org"),
        wire.ListEntry,
        ListEntry,
    ),
    (
        wire.scoped_list_entry(
            Entry(entry="a@x.test", created_at=AT, reason="no", read_only=True),
            PLACE,
            organization_id="org",
            pod_id="pod_1",
            inbox_id="sam@house.test",
        ),
        wire.ScopedListEntry,
        PodListEntry,
    ),
    (wire.api_key(KEY), wire.ApiKey, BearerApiKey),
    (wire.api_key(OPEN_KEY), wire.ApiKey, BearerApiKey),
    (wire.api_key_made(Made(secret="am_1", key=KEY)), wire.ApiKeyMade, CreateApiKeyResponse),
    (
        wire.organization(Organization(id="org", inbox_count=1, domain_count=1, created_at=AT)),
        wire.Organization,
        SdkOrganization,
    ),
    (wire.identity(Caller(key_id="key_1"), organization_id="org", pod_id=None), wire.Identity, Identity),
    (
        wire.identity(
            Caller(key_id="k", scope="inbox", scope_id="a@b"), organization_id="org", pod_id="pod_1"
        ),
        wire.Identity,
        Identity,
    ),
]


def unnamed(said: Any, shape: Any) -> set[str]:
    """What is in an answer that its shape does not name."""
    return set(said) - set(shape.__annotations__)


def nulls(said: Any) -> bool:
    if isinstance(said, Mapping):
        return any(nulls(each) for each in said.values())
    return any(nulls(each) for each in said) if isinstance(said, list) else said is None


@pytest.mark.parametrize(("said", "shape", "model"), SHAPES)
def test_an_answer_has_the_shape_that_it_promises(said: Any, shape: Any, model: Any) -> None:
    TypeAdapter(shape).validate_python(said, strict=True)
    assert not unnamed(said, shape)
    assert not nulls(said)


@pytest.mark.parametrize(("said", "shape", "model"), SHAPES)
def test_an_answer_is_what_the_sdk_wants(said: Any, shape: Any, model: Any) -> None:
    """Strictly, although it reads leniently."""
    model(**said)


def test_a_moment_is_utc_with_milliseconds() -> None:
    assert wire.moment(AT.astimezone(timezone(timedelta(hours=8)))) == SHOWN
    assert wire.moment(datetime(2026, 1, 1, tzinfo=UTC)) == "2026-01-01T00:00:00.000Z"


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("Ann", "Ann <a@x.test>"),
        ("Ann Ødegård", "Ann Ødegård <a@x.test>"),
        ("Doe, Ann", '"Doe, Ann" <a@x.test>'),
        ('Ann "A" Doe', r'"Ann \"A\" Doe" <a@x.test>'),
        ("a@x.test", '"a@x.test" <a@x.test>'),
        ("back\\slash", r'"back\\slash" <a@x.test>'),
        ("", "a@x.test"),
    ],
)
def test_a_name_that_would_be_misread_stands_in_quotes(name: str, written: str) -> None:
    assert wire.addresses(["a@x.test"], {"A@X.test": name}) == [written]


def test_a_message_is_from_one_string() -> None:
    said: Any = wire.message(MESSAGE)

    assert said["from"] == "Sam <sam@house.test>"
    assert said["to"] == ["ida@x.test", '"Doe, Bob" <Bob@x.test>']
    assert said["bcc"] == ["di@x.test"]


def test_the_message_of_a_draft_is_found_by_a_label() -> None:
    assert wire.message(MESSAGE)["labels"] == ["sent", "hot", "draft:drf_1"]


def test_the_text_of_an_answer_is_taken_from_its_quotes() -> None:
    assert wire.message(MESSAGE)["extracted_text"] == "Yes."


def test_a_message_that_nobody_relabelled_was_changed_when_it_came() -> None:
    assert wire.message_item(BARE_MESSAGE)["updated_at"] == SHOWN
    assert wire.message_item(MESSAGE)["updated_at"] == "2026-02-01T10:00:00.123Z"


def test_a_preview_is_one_short_line() -> None:
    assert wire.preview("Hello\n\n  Ida,\tyes") == "Hello Ida, yes"
    assert len(wire.preview("word " * 1000)) <= 210


def test_a_file_of_old_is_named_after_what_is_in_it() -> None:
    assert wire.attachment_id(OLD_FILE) == "att_" + "b" * 24


@pytest.mark.parametrize(
    ("state", "status", "labels", "has_an_hour"),
    [
        (DraftState.WRITTEN, None, ["hot"], False),
        (DraftState.SCHEDULED, "scheduled", ["hot", "scheduled"], True),
        (DraftState.HELD, None, ["hot", "held"], False),
        (DraftState.CLAIMED, "sending", ["hot"], True),
        (DraftState.RELEASING, "sending", ["hot"], True),
        (DraftState.FAILED, "failed", ["hot"], True),
        (DraftState.UNCERTAIN, "failed", ["hot"], True),
        (DraftState.SENT, None, ["hot"], False),
        (DraftState.CANCELLED, None, ["hot"], False),
    ],
)
def test_a_draft_says_where_it_stands(
    state: DraftState, status: str | None, labels: list[str], has_an_hour: bool
) -> None:
    said = wire.draft(filed(replace(DRAFT, state=state)))

    assert (said.get("send_status"), said["labels"], "send_at" in said) == (status, labels, has_an_hour)


def test_a_letter_that_is_just_being_sent_and_never_had_an_hour_shows_none() -> None:
    assert "send_at" not in wire.draft_item(filed(replace(BARE_DRAFT, state=DraftState.CLAIMED)))


def test_a_key_that_may_nothing_is_another_than_one_that_may_everything() -> None:
    assert wire.api_key(replace(KEY, permissions={}))["permissions"] == {}
    assert "permissions" not in wire.api_key(OPEN_KEY)


def test_a_listed_draft_is_an_item_without_its_text() -> None:
    assert not {"text", "html", "created_at", "client_id", "reply_to", "references"} & set(
        wire.draft_item(filed(DRAFT))
    )
