"""Who is asking, and what they may: keys, scopes, the organisation, its pods, and the log of labels."""

from collections.abc import Callable, Iterator
from uuid import uuid4

import httpx
import pytest
from agentmail import AgentMail, AgentMailEnvironment, NotFoundError
from agentmail.api_keys.types import ApiKeyPermissions, CreateBearerApiKeyRequest
from agentmail.core.api_error import ApiError

from tests.api.tools import ONCE, PROSPECT

Receive = Callable[..., str]


@pytest.fixture
def holding(environment: AgentMailEnvironment) -> Iterator[Callable[[str], AgentMail]]:
    """The SDK with another key."""
    with httpx.Client(timeout=60, follow_redirects=True) as http:
        yield lambda key: AgentMail(environment=environment, api_key=key, httpx_client=http)


def status(call: Callable[[], object]) -> int:
    """With which error `call` ends; 200 when with none."""
    try:
        call()
    except ApiError as told:
        return told.status_code or 0
    return 200


def test_a_key_knows_its_organisation(client: AgentMail):
    me = client.auth.me()

    assert (me.scope_type, me.scope_id) == ("organization", me.organization_id)
    assert me.api_key_id


def test_a_key_of_an_inbox_knows_its_inbox(client: AgentMail, inbox: str, holding):
    made = client.inboxes.api_keys.create(inbox, request=CreateBearerApiKeyRequest(name="one"))
    me = holding(made.api_key).auth.me()

    assert (me.scope_type, me.scope_id, me.inbox_id) == ("inbox", inbox, inbox)


def test_a_key_is_shown_once(client: AgentMail):
    made = client.api_keys.create(request=CreateBearerApiKeyRequest(name="one"))

    assert made.api_key.startswith("am_")
    assert made.api_key.startswith(made.prefix)
    assert made.api_key not in str(client.api_keys.get(made.api_key_id))


def test_a_key_says_when_it_was_used_last(client: AgentMail, holding):
    made = client.api_keys.create(request=CreateBearerApiKeyRequest(name="one"))
    holding(made.api_key).auth.me()

    assert client.api_keys.get(made.api_key_id).used_at


def test_a_deleted_key_opens_nothing(client: AgentMail, holding):
    made = client.api_keys.create(request=CreateBearerApiKeyRequest(name="one"))
    client.api_keys.delete(made.api_key_id)

    assert status(holding(made.api_key).auth.me) == 401


def test_a_key_of_an_inbox_sees_no_other_inbox(client: AgentMail, inbox: str, new_inbox, holding):
    made = client.inboxes.api_keys.create(inbox, request=CreateBearerApiKeyRequest(name="one"))

    with pytest.raises(NotFoundError):
        holding(made.api_key).inboxes.get(new_inbox().inbox_id)


def test_a_key_that_may_only_read_does_not_send(client: AgentMail, inbox: str, holding):
    reading = CreateBearerApiKeyRequest(
        name="one", permissions=ApiKeyPermissions(inbox_read=True, message_read=True)
    )
    reader = holding(client.inboxes.api_keys.create(inbox, request=reading).api_key)

    assert status(lambda: reader.inboxes.messages.list(inbox)) == 200
    assert status(lambda: reader.inboxes.messages.send(inbox, to=PROSPECT, text="-")) == 403


def test_a_key_that_may_draft_does_not_send(client: AgentMail, inbox: str, holding):
    drafting = CreateBearerApiKeyRequest(
        name="one", permissions=ApiKeyPermissions(draft_read=True, draft_create=True)
    )
    writer = holding(client.inboxes.api_keys.create(inbox, request=drafting).api_key)
    made = writer.inboxes.drafts.create(inbox, to=[PROSPECT], text="-")

    assert status(lambda: writer.inboxes.drafts.send(inbox, made.draft_id)) == 403


def test_a_key_that_may_draft_does_not_schedule(client: AgentMail, inbox: str, holding):
    drafting = CreateBearerApiKeyRequest(name="one", permissions=ApiKeyPermissions(draft_create=True))
    writer = holding(client.inboxes.api_keys.create(inbox, request=drafting).api_key)

    told = status(lambda: writer.inboxes.drafts.create(inbox, to=[PROSPECT], send_at="2099-01-01T09:00:00Z"))
    assert told == 403


def test_no_key_makes_one_that_may_more(client: AgentMail, inbox: str, holding):
    making = CreateBearerApiKeyRequest(name="one", permissions=ApiKeyPermissions(api_key_create=True))
    maker = holding(client.inboxes.api_keys.create(inbox, request=making).api_key)
    more = CreateBearerApiKeyRequest(name="two", permissions=ApiKeyPermissions(message_send=True))

    assert status(lambda: maker.inboxes.api_keys.create(inbox, request=more)) == 403


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (None, "missing_authorization"),
        ("Basic abc", "invalid_token_type"),
        ("bearer {key}", "invalid_token_type"),
        ("Bearer am_nobody", "unknown_api_key"),
        ("Bearer", "invalid_token_type"),
    ],
)
def test_a_stranger_is_told_why(base_url: str, key: str, said: str | None, code: str):
    headers = {"Authorization": said.format(key=key)} if said else {}
    answer = httpx.get(f"{base_url}/v0/inboxes", headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (401, code)


def test_a_stranger_does_not_learn_what_exists(base_url: str, inbox: str):
    answers = [httpx.get(f"{base_url}/v0/inboxes/{one}") for one in (inbox, "nobody@house.test")]

    assert [one.status_code for one in answers] == [401, 401]
    assert answers[0].json() == answers[1].json()


def test_the_organisation_counts_its_inboxes(client: AgentMail, new_inbox):
    before = client.organizations.get().inbox_count
    new_inbox()

    assert client.organizations.get().inbox_count == before + 1


def test_a_pod_is_made_found_and_deleted(client: AgentMail):
    made = client.pods.create(name="north")
    assert client.pods.get(made.pod_id).name == "north"

    client.pods.delete(made.pod_id)
    with pytest.raises(NotFoundError):
        client.pods.get(made.pod_id)


def test_the_same_client_id_gives_the_first_pod_again(client: AgentMail):
    mark = uuid4().hex

    assert (
        client.pods.create(name="a", client_id=mark).pod_id
        == client.pods.create(name="b", client_id=mark).pod_id
    )


def test_an_inbox_of_a_pod_is_listed_there_and_only_there(client: AgentMail):
    pod, other = client.pods.create(name="north"), client.pods.create(name="south")
    made = client.pods.inboxes.create(pod.pod_id, username=f"box-{uuid4().hex[:8]}", domain="house.test")

    assert [one.inbox_id for one in client.pods.inboxes.list(pod.pod_id).inboxes] == [made.inbox_id]
    assert client.pods.inboxes.list(other.pod_id).count == 0


def test_the_newest_pod_is_listed_first(client: AgentMail):
    older, newer = client.pods.create(name="a"), client.pods.create(name="b")

    assert [one.pod_id for one in client.pods.list(limit=2).pods] == [newer.pod_id, older.pod_id]


def test_every_label_put_on_or_taken_away_is_logged(client: AgentMail, inbox: str, receive: Receive):
    got = receive(inbox)
    client.inboxes.messages.update(inbox, got, add_labels="hot")
    client.inboxes.messages.update(inbox, got, remove_labels="hot")

    log = [
        (one.event_type, one.message_id)
        for one in client.inboxes.events.list(inbox).events
        if one.label == "hot"
    ]
    assert log == [("label.removed", got), ("label.added", got)]


def test_what_is_not_offered_says_so_at_once(client: AgentMail):
    with pytest.raises(ApiError) as told:
        client.domains.list(request_options=ONCE)

    assert (told.value.status_code, told.value.body["code"]) == (404, "not_offered")
