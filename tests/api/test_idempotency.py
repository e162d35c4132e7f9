"""Said twice, done once: client ids and idempotency keys."""

import asyncio
from collections.abc import Callable
from uuid import uuid4

import httpx
import pytest
from agentmail import AgentMail, AsyncAgentMail, ConflictError, NotFoundError, ValidationError
from agentmail.core.api_error import ApiError

from tests.api.tools import BROKEN, ONCE, PROSPECT, at

Receive = Callable[..., str]


@pytest.fixture
def mark() -> str:
    return uuid4().hex


def test_a_send_repeated_with_its_key_sends_nothing_more(client: AgentMail, inbox: str, mark: str):
    first = client.inboxes.messages.send(inbox, to=PROSPECT, text="Hi", idempotency_key=mark)
    again = client.inboxes.messages.send(inbox, to=PROSPECT, text="Hi", idempotency_key=mark)

    assert (again.message_id, again.thread_id) == (first.message_id, first.thread_id)
    assert client.inboxes.messages.list(inbox).count == 1


def test_a_send_repeated_without_a_key_sends_twice(client: AgentMail, inbox: str):
    for _ in range(2):
        client.inboxes.messages.send(inbox, to=PROSPECT, text="Hi")

    assert client.inboxes.messages.list(inbox).count == 2


def test_a_key_used_for_something_else_is_refused(client: AgentMail, inbox: str, mark: str):
    client.inboxes.messages.send(inbox, to=PROSPECT, text="Hi", idempotency_key=mark)

    with pytest.raises(ConflictError):
        client.inboxes.messages.send(
            inbox, to=PROSPECT, text="Ho", idempotency_key=mark, request_options=ONCE
        )


def test_a_key_used_in_another_inbox_is_refused(client: AgentMail, inbox: str, new_inbox, mark: str):
    client.inboxes.messages.send(inbox, to=PROSPECT, text="Hi", idempotency_key=mark)
    other = new_inbox().inbox_id

    with pytest.raises(ConflictError):
        client.inboxes.messages.send(
            other, to=PROSPECT, text="Hi", idempotency_key=mark, request_options=ONCE
        )


def test_a_key_used_for_another_call_is_refused(client: AgentMail, inbox: str, receive: Receive, mark: str):
    client.inboxes.messages.reply(inbox, got := receive(inbox), text="Hi", idempotency_key=mark)

    with pytest.raises(ConflictError):
        client.inboxes.messages.reply_all(inbox, got, text="Hi", idempotency_key=mark, request_options=ONCE)


def test_a_key_does_not_care_for_the_order_of_a_body(raw: httpx.Client, inbox: str, mark: str):
    path, key = f"/v0/inboxes/{inbox}/messages/send", {"Idempotency-Key": mark}
    first = raw.post(path, headers=key, content=b'{"to":"p@x.test","text":"Hi"}')
    again = raw.post(path, headers=key, content=b'{ "text": "Hi", "to": "p@x.test" }')

    assert first.json() == again.json()


@pytest.mark.parametrize("call", ["reply", "reply_all", "forward"])
def test_answers_and_forwards_know_keys_too(
    client: AgentMail, inbox: str, receive: Receive, mark: str, call: str
):
    got = receive(inbox)
    more = {"to": "boss@x.test"} if call == "forward" else {}
    ends = [
        getattr(client.inboxes.messages, call)(inbox, got, text="Hi", idempotency_key=mark, **more)
        for _ in "ab"
    ]

    assert ends[0].message_id == ends[1].message_id


def test_a_draft_sent_again_with_its_key_answers_as_before(client: AgentMail, inbox: str, mark: str):
    made = client.inboxes.drafts.create(inbox, to=[PROSPECT], text="Hi")
    first = client.inboxes.drafts.send(inbox, made.draft_id, idempotency_key=mark)

    assert (
        client.inboxes.drafts.send(inbox, made.draft_id, idempotency_key=mark).message_id == first.message_id
    )


def test_an_old_sdk_may_send_the_key_as_a_header(client: AgentMail, inbox: str, mark: str):
    old = {"additional_headers": {"Idempotency-Key": mark}}
    ends = [client.inboxes.messages.send(inbox, to=PROSPECT, text="Hi", request_options=old) for _ in "ab"]

    assert ends[0].message_id == ends[1].message_id


@pytest.mark.parametrize("bad", ["", "x" * 257])
def test_a_key_that_is_none_is_refused(client: AgentMail, inbox: str, bad: str):
    with pytest.raises(ValidationError):
        client.inboxes.messages.send(inbox, to=PROSPECT, text="Hi", idempotency_key=bad)


def test_a_refusal_does_not_use_a_key_up(client: AgentMail, inbox: str, mark: str):
    with pytest.raises(ApiError):
        client.inboxes.messages.send(inbox, text="Hi", idempotency_key=mark)

    assert client.inboxes.messages.send(inbox, to=PROSPECT, text="Hi", idempotency_key=mark).message_id


def test_a_send_that_fails_for_good_is_told_the_same_way_twice(client: AgentMail, inbox: str, mark: str):
    for _ in range(2):
        with pytest.raises(ApiError) as told:
            client.inboxes.messages.send(inbox, to=BROKEN, text="Hi", idempotency_key=mark)
        assert told.value.status_code == 403


@pytest.mark.anyio
async def test_many_sends_at_once_with_one_key_send_one(async_client: AsyncAgentMail, inbox: str, mark: str):
    calls = (
        async_client.inboxes.messages.send(inbox, to=PROSPECT, text="Hi", idempotency_key=mark)
        for _ in range(8)
    )
    ends = await asyncio.gather(*calls)

    assert len({one.message_id for one in ends}) == 1
    assert (await async_client.inboxes.messages.list(inbox)).count == 1


def test_the_same_client_id_gives_the_first_draft_again(client: AgentMail, inbox: str, mark: str):
    first = client.inboxes.drafts.create(inbox, to=[PROSPECT], subject="First", client_id=mark)
    again = client.inboxes.drafts.create(inbox, to=[PROSPECT], subject="Second", client_id=mark)

    assert (again.draft_id, again.subject) == (first.draft_id, "First")


def test_a_client_id_belongs_to_its_inbox(client: AgentMail, inbox: str, new_inbox, mark: str):
    first = client.inboxes.drafts.create(inbox, client_id=mark)

    assert client.inboxes.drafts.create(new_inbox().inbox_id, client_id=mark).draft_id != first.draft_id


def test_the_client_id_of_a_sent_draft_makes_no_new_one(client: AgentMail, inbox: str, mark: str):
    first = client.inboxes.drafts.create(inbox, to=[PROSPECT], text="Hi", client_id=mark)
    client.inboxes.drafts.send(inbox, first.draft_id)
    again = client.inboxes.drafts.create(
        inbox, to=[PROSPECT], text="Hi", client_id=mark, send_at=at(seconds=1)
    )

    assert (again.draft_id, again.send_status) == (first.draft_id, None)
    assert client.inboxes.drafts.list(inbox).count == 0


def test_the_client_id_of_a_deleted_draft_makes_no_new_one(client: AgentMail, inbox: str, mark: str):
    first = client.inboxes.drafts.create(inbox, to=[PROSPECT], text="Hi", client_id=mark)
    client.inboxes.drafts.delete(inbox, first.draft_id)

    assert client.inboxes.drafts.create(inbox, to=[PROSPECT], client_id=mark).draft_id == first.draft_id
    with pytest.raises(NotFoundError):
        client.inboxes.drafts.get(inbox, first.draft_id)


@pytest.mark.anyio
async def test_many_drafts_made_at_once_with_one_client_id_are_one(
    async_client: AsyncAgentMail, inbox: str, mark: str
):
    ends = await asyncio.gather(
        *(async_client.inboxes.drafts.create(inbox, client_id=mark) for _ in range(8))
    )

    assert len({one.draft_id for one in ends}) == 1


@pytest.mark.parametrize("bad", ["", "a@b", "a:b", "é", "x" * 257])
def test_a_client_id_of_other_signs_is_refused(client: AgentMail, inbox: str, bad: str):
    with pytest.raises(ValidationError):
        client.inboxes.drafts.create(inbox, client_id=bad)
