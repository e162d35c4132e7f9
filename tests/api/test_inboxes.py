"""Inboxes: made, found, changed, paused, deleted."""

from collections.abc import Callable
from uuid import uuid4

import pytest
from agentmail import AgentMail, NotFoundError, ValidationError
from agentmail.core.api_error import ApiError
from agentmail.inboxes.types import CreateInboxRequest, Inbox

from tests.api.tools import ONCE, PROSPECT, at, eventually

NewInbox = Callable[..., Inbox]


def test_an_inbox_made_of_nothing_has_an_address(client: AgentMail):
    assert "@" in client.inboxes.create().email


def test_the_id_of_an_inbox_is_its_address(client: AgentMail):
    made = client.inboxes.create()

    assert made.inbox_id == made.email


def test_an_inbox_says_when_it_was_made_and_in_which_pod(client: AgentMail):
    made = client.inboxes.create()

    assert made.pod_id
    assert made.created_at.utcoffset() is not None
    assert made.updated_at >= made.created_at


def test_an_inbox_gets_the_name_it_asks_for(client: AgentMail):
    name = f"sam-{uuid4().hex[:8]}"

    made = client.inboxes.create(request=CreateInboxRequest(username=name, domain="house.test"))

    assert made.inbox_id == f"{name}@house.test"


def test_a_name_that_is_taken_is_refused_at_once(client: AgentMail, new_inbox: NewInbox):
    taken = new_inbox().inbox_id.partition("@")[0]

    with pytest.raises(ApiError) as told:
        client.inboxes.create(request=CreateInboxRequest(username=taken, domain="house.test"))

    assert (told.value.status_code, told.value.body["code"]) == (403, "resource_taken")


def test_a_domain_that_is_not_served_is_refused(client: AgentMail):
    with pytest.raises(ApiError) as told:
        client.inboxes.create(request=CreateInboxRequest(domain="elsewhere.test"))

    assert (told.value.status_code, told.value.body["code"]) == (403, "domain_not_verified")


def test_the_same_client_id_gives_the_first_inbox_again(client: AgentMail):
    ours = CreateInboxRequest(client_id=uuid4().hex)

    assert client.inboxes.create(request=ours).inbox_id == client.inboxes.create(request=ours).inbox_id


def test_the_same_client_id_with_another_body_changes_nothing(client: AgentMail):
    mark = uuid4().hex
    client.inboxes.create(request=CreateInboxRequest(client_id=mark, display_name="First"))

    again = client.inboxes.create(request=CreateInboxRequest(client_id=mark, display_name="Second"))

    assert again.display_name == "First"


@pytest.mark.parametrize("mark", ["", "a@b", "a:b", "a b", "x" * 257])
def test_a_client_id_of_other_signs_is_refused(client: AgentMail, mark: str):
    with pytest.raises(ValidationError):
        client.inboxes.create(request=CreateInboxRequest(client_id=mark))


def test_an_inbox_is_found_by_its_address(client: AgentMail, inbox: str):
    assert client.inboxes.get(inbox).email == inbox


def test_an_inbox_with_a_plus_sign_is_found(client: AgentMail, new_inbox: NewInbox):
    name = f"sam+{uuid4().hex[:8]}"
    new_inbox(username=name)

    assert client.inboxes.get(f"{name}@house.test").inbox_id == f"{name}@house.test"


def test_an_inbox_that_is_not_there_is_not_found(client: AgentMail):
    with pytest.raises(NotFoundError):
        client.inboxes.get("nobody@house.test")


def test_the_newest_inbox_is_listed_first(client: AgentMail, new_inbox: NewInbox):
    older, newer = new_inbox().inbox_id, new_inbox().inbox_id

    assert [one.inbox_id for one in client.inboxes.list(limit=2).inboxes] == [newer, older]


def test_inboxes_are_paged_without_loss(client: AgentMail, new_inbox: NewInbox):
    made = {new_inbox().inbox_id for _ in range(3)}
    first = client.inboxes.list(limit=2)
    second = client.inboxes.list(limit=2, page_token=first.next_page_token)

    assert made <= {one.inbox_id for page in (first, second) for one in page.inboxes}


def test_inboxes_are_searched_by_a_piece_of_their_name(client: AgentMail, new_inbox: NewInbox):
    mark = uuid4().hex[:10]
    made = new_inbox(username=f"box-{mark}")

    assert [one.inbox_id for one in client.inboxes.search(q=mark).inboxes] == [made.inbox_id]


def test_a_search_for_nothing_is_refused(client: AgentMail):
    with pytest.raises(ValidationError):
        client.inboxes.search(q="")


def test_a_display_name_can_be_changed(client: AgentMail, inbox: str):
    assert client.inboxes.update(inbox, display_name="Sam").display_name == "Sam"


def test_a_change_of_nothing_is_refused(client: AgentMail, inbox: str):
    with pytest.raises(ValidationError):
        client.inboxes.update(inbox)


def test_metadata_is_merged(client: AgentMail, inbox: str):
    client.inboxes.update(inbox, metadata={"team": "north", "size": 3})

    assert client.inboxes.update(inbox, metadata={"size": 4}).metadata == {"team": "north", "size": 4}


def test_a_null_takes_one_key_of_metadata_away(client: AgentMail, inbox: str):
    client.inboxes.update(inbox, metadata={"team": "north", "size": 3})

    assert client.inboxes.update(inbox, metadata={"size": None}).metadata == {"team": "north"}


def test_null_metadata_clears_it(client: AgentMail, inbox: str):
    client.inboxes.update(inbox, metadata={"team": "north"})

    assert not client.inboxes.update(inbox, metadata=None).metadata


def test_an_active_inbox_says_nothing_of_its_status(client: AgentMail, inbox: str):
    assert client.inboxes.get(inbox).status is None


def test_a_paused_inbox_sends_nothing(client: AgentMail, inbox: str):
    client.inboxes.update(inbox, status="paused")

    with pytest.raises(ApiError) as told:
        client.inboxes.messages.send(inbox, to=PROSPECT, text="Hello")

    assert (told.value.status_code, told.value.body.code) == (403, "inbox_paused")


def test_a_resumed_inbox_sends_again(client: AgentMail, inbox: str):
    client.inboxes.update(inbox, status="paused")
    client.inboxes.update(inbox, status="active")

    assert client.inboxes.messages.send(inbox, to=PROSPECT, text="Hello").message_id


def test_a_draft_that_falls_due_in_a_paused_inbox_fails(client: AgentMail, inbox: str):
    drafts = client.inboxes.drafts
    due = drafts.create(inbox, to=[PROSPECT], text="Hello", send_at=at(seconds=2))
    client.inboxes.update(inbox, status="paused")

    assert eventually(lambda: drafts.get(inbox, due.draft_id).send_status == "failed")


def test_a_paused_inbox_keeps_no_mail(client: AgentMail, inbox: str, receive: Callable[..., str]):
    client.inboxes.update(inbox, status="paused")
    receive(inbox)

    assert client.inboxes.messages.list(inbox).count == 0


def test_a_deleted_inbox_is_gone(client: AgentMail, inbox: str):
    client.inboxes.delete(inbox)

    with pytest.raises(NotFoundError):
        client.inboxes.get(inbox, request_options=ONCE)


def test_deleting_an_inbox_cancels_what_it_still_had_to_send(client: AgentMail, inbox: str):
    waiting = client.inboxes.drafts.create(inbox, to=[PROSPECT], text="Hello", send_at=at(hours=1))
    client.inboxes.delete(inbox)

    assert waiting.draft_id not in [one.draft_id for one in client.drafts.list(limit=100).drafts]
