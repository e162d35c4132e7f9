"""Allow and block lists: who may be written to, and who may write."""

from collections.abc import Callable

import pytest
from agentmail import AgentMail, NotFoundError, ValidationError
from agentmail.core.api_error import ApiError

from tests.api.tools import PROSPECT

Receive = Callable[..., str]


def test_an_entry_says_what_it_is(client: AgentMail, inbox: str):
    made = client.inboxes.lists.create(inbox, "send", "block", entry=PROSPECT, reason="asked us to stop")

    assert (made.entry, made.direction, made.list_type, made.entry_type) == (
        PROSPECT,
        "send",
        "block",
        "email",
    )
    assert (made.reason, made.inbox_id) == ("asked us to stop", inbox)
    assert made.organization_id
    assert made.pod_id


def test_a_domain_is_an_entry_too(client: AgentMail, inbox: str):
    assert client.inboxes.lists.create(inbox, "send", "block", entry="prospect.test").entry_type == "domain"


def test_an_entry_is_found_by_its_address(client: AgentMail, inbox: str):
    client.inboxes.lists.create(inbox, "receive", "allow", entry="a+b@x.test")

    assert client.inboxes.lists.get(inbox, "receive", "allow", "a+b@x.test").entry == "a+b@x.test"


def test_entries_are_listed_by_name(client: AgentMail, inbox: str):
    for entry in ("c.test", "a.test", "b.test"):
        client.inboxes.lists.create(inbox, "reply", "allow", entry=entry)

    listed = client.inboxes.lists.list(inbox, "reply", "allow")
    assert [one.entry for one in listed.entries] == ["a.test", "b.test", "c.test"]


def test_entries_are_paged_without_loss(client: AgentMail, inbox: str):
    for entry in ("c.test", "a.test", "b.test"):
        client.inboxes.lists.create(inbox, "send", "block", entry=entry)
    first = client.inboxes.lists.list(inbox, "send", "block", limit=2)
    second = client.inboxes.lists.list(inbox, "send", "block", limit=2, page_token=first.next_page_token)

    assert [one.entry for page in (first, second) for one in page.entries] == ["a.test", "b.test", "c.test"]


def test_a_deleted_entry_is_gone(client: AgentMail, inbox: str):
    client.inboxes.lists.create(inbox, "send", "block", entry=PROSPECT)
    client.inboxes.lists.delete(inbox, "send", "block", PROSPECT)

    with pytest.raises(NotFoundError):
        client.inboxes.lists.get(inbox, "send", "block", PROSPECT)


@pytest.mark.parametrize("entry", ["", "no address", "@", "a@@b"])
def test_an_entry_is_an_address_or_a_domain(client: AgentMail, inbox: str, entry: str):
    with pytest.raises(ValidationError):
        client.inboxes.lists.create(inbox, "send", "block", entry=entry)


def test_an_entry_of_the_organisation_holds_for_every_inbox(client: AgentMail, inbox: str):
    client.lists.create("send", "block", entry="everywhere-blocked.test")

    with pytest.raises(ApiError) as told:
        client.inboxes.messages.send(inbox, to="a@everywhere-blocked.test", text="Hello")
    assert told.value.status_code == 403


def test_an_inbox_has_the_last_word(client: AgentMail, inbox: str):
    client.lists.create("send", "block", entry="mostly-blocked.test")
    client.inboxes.lists.create(inbox, "send", "allow", entry="mostly-blocked.test")

    assert client.inboxes.messages.send(inbox, to="a@mostly-blocked.test", text="Hello").message_id


def test_a_block_beats_an_allowance(client: AgentMail, inbox: str):
    client.inboxes.lists.create(inbox, "send", "allow", entry=PROSPECT)
    client.inboxes.lists.create(inbox, "send", "block", entry="prospect.test")

    with pytest.raises(ApiError) as told:
        client.inboxes.messages.send(inbox, to=PROSPECT, text="Hello")
    assert told.value.status_code == 403


def test_an_answer_is_asked_only_what_the_reply_lists_say(client: AgentMail, inbox: str, receive: Receive):
    sent = client.inboxes.messages.send(inbox, to=PROSPECT, text="Hello")
    client.inboxes.lists.create(inbox, "receive", "block", entry=PROSPECT)
    receive(inbox, in_reply_to=sent.message_id)

    assert client.inboxes.threads.get(inbox, sent.thread_id).message_count == 2


def test_an_answer_from_a_blocked_answerer_is_blocked(client: AgentMail, inbox: str, receive: Receive):
    sent = client.inboxes.messages.send(inbox, to=PROSPECT, text="Hello")
    client.inboxes.lists.create(inbox, "reply", "block", entry=PROSPECT)
    answer = receive(inbox, in_reply_to=sent.message_id)

    assert "blocked" in client.inboxes.messages.get(inbox, answer).labels
