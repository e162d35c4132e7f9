"""Webhooks: who hears what, signed how, how often, and where they may not lead."""

from collections.abc import Callable
from uuid import uuid4

import pytest
from agentmail import AgentMail, NotFoundError, ValidationError
from agentmail.events.types.message_bounced_event import MessageBouncedEvent
from agentmail.events.types.message_received_event import MessageReceivedEvent
from agentmail.events.types.message_sent_event import MessageSentEvent
from svix.webhooks import Webhook, WebhookVerificationError

from tests.api.tools import BOUNCING, PROSPECT, Subscriber, eventually, listening, never

Receive = Callable[..., str]


@pytest.fixture
def hook(client: AgentMail, inbox: str, subscriber: Subscriber):
    """A webhook that hears what arrives in `inbox` and what leaves it."""
    kinds = ["message.received", "message.sent", "message.bounced"]
    return client.webhooks.create(url=subscriber.url, event_types=kinds, inbox_ids=[inbox])


def test_a_webhook_gets_a_secret(hook):
    assert hook.secret.startswith("whsec_")
    assert hook.enabled is True


def test_a_secret_can_be_read_again(client: AgentMail, hook):
    assert client.webhooks.get(hook.webhook_id).secret == hook.secret


def test_a_webhook_must_say_what_it_wants_to_hear(client: AgentMail, subscriber: Subscriber):
    with pytest.raises(ValidationError):
        client.webhooks.create(url=subscriber.url, event_types=[])


def test_a_webhook_may_not_want_what_does_not_exist(client: AgentMail, subscriber: Subscriber):
    with pytest.raises(ValidationError):
        client.webhooks.create(url=subscriber.url, event_types=["message.dreamt"])


def test_the_same_client_id_gives_the_first_webhook_again(client: AgentMail, subscriber: Subscriber):
    mark = uuid4().hex
    ends = [
        client.webhooks.create(url=subscriber.url, event_types=["message.sent"], client_id=mark)
        for _ in range(2)
    ]

    assert ends[0].webhook_id == ends[1].webhook_id


def test_a_webhook_of_an_inbox_is_listed_there(client: AgentMail, inbox: str, subscriber: Subscriber):
    made = client.inboxes.webhooks.create(inbox, url=subscriber.url, event_types=["message.sent"])

    assert [one.webhook_id for one in client.inboxes.webhooks.list(inbox).webhooks] == [made.webhook_id]


def test_the_newest_webhook_is_listed_first(client: AgentMail, hook, subscriber: Subscriber):
    newer = client.webhooks.create(url=subscriber.url, event_types=["message.sent"])

    listed = [one.webhook_id for one in client.webhooks.list(limit=2).webhooks]
    assert listed == [newer.webhook_id, hook.webhook_id]


def test_kinds_named_anew_replace_the_old(client: AgentMail, hook):
    assert client.webhooks.update(hook.webhook_id, event_types=["message.sent"]).event_types == [
        "message.sent"
    ]


def test_no_kinds_named_change_nothing(client: AgentMail, hook):
    assert len(client.webhooks.update(hook.webhook_id, event_types=[]).event_types) == 3


def test_the_values_of_headers_are_not_told(client: AgentMail, hook):
    client.webhooks.update_headers(hook.webhook_id, headers={"X-Token": "secret"})

    assert client.webhooks.get_headers(hook.webhook_id).header_names == ["X-Token"]


def test_headers_travel_with_every_event(
    client: AgentMail, inbox: str, hook, subscriber: Subscriber, receive: Receive
):
    client.webhooks.update_headers(hook.webhook_id, headers={"X-Token": "secret"})
    receive(inbox)

    assert eventually(lambda: subscriber.heard)[0].headers["x-token"] == "secret"


def test_a_deleted_webhook_is_gone(client: AgentMail, hook):
    client.webhooks.delete(hook.webhook_id)

    with pytest.raises(NotFoundError):
        client.webhooks.get(hook.webhook_id)


def test_what_arrives_is_told_as_the_sdk_wants_it(inbox: str, hook, subscriber: Subscriber, receive: Receive):
    got = receive(inbox)
    told = MessageReceivedEvent(**eventually(lambda: subscriber.events("message.received"))[0])

    assert (told.message.message_id, told.message.inbox_id) == (got, inbox)
    assert told.thread.last_message_id == got


def test_what_leaves_is_told_as_the_sdk_wants_it(client: AgentMail, inbox: str, hook, subscriber: Subscriber):
    sent = client.inboxes.messages.send(inbox, to=PROSPECT, text="Hi")
    told = MessageSentEvent(**eventually(lambda: subscriber.events("message.sent"))[0])

    assert (told.send.message_id, told.send.recipients) == (sent.message_id, [PROSPECT])


def test_what_bounces_is_told_as_the_sdk_wants_it(
    client: AgentMail, inbox: str, hook, subscriber: Subscriber
):
    sent = client.inboxes.messages.send(inbox, to=BOUNCING, text="Hi")
    told = MessageBouncedEvent(**eventually(lambda: subscriber.events("message.bounced"))[0])

    assert (told.bounce.message_id, told.bounce.recipients[0].address) == (sent.message_id, BOUNCING)


def test_an_event_is_signed_as_svix_signs(inbox: str, hook, subscriber: Subscriber, receive: Receive):
    receive(inbox)
    one = eventually(lambda: subscriber.heard)[0]

    Webhook(hook.secret).verify(one.body, one.headers)


def test_a_changed_event_does_not_verify(inbox: str, hook, subscriber: Subscriber, receive: Receive):
    receive(inbox)
    one = eventually(lambda: subscriber.heard)[0]

    with pytest.raises(WebhookVerificationError):
        Webhook(hook.secret).verify(one.body + b" ", one.headers)


def test_an_event_is_told_again_until_it_is_taken(inbox: str, hook, subscriber: Subscriber, receive: Receive):
    subscriber.answers = [500, 503]
    receive(inbox)

    assert eventually(lambda: len(subscriber.heard) == 3)
    assert len({one.headers["svix-id"] for one in subscriber.heard}) == 1
    assert len({one.body for one in subscriber.heard}) == 1


def test_a_redirect_is_no_answer(inbox: str, hook, subscriber: Subscriber, receive: Receive):
    subscriber.answers = [302]
    receive(inbox)

    assert eventually(lambda: len(subscriber.heard) == 2)


def test_two_webhooks_hear_one_event_in_two_envelopes(
    client: AgentMail, inbox: str, hook, subscriber, receive: Receive
):
    with listening() as other:
        client.webhooks.create(url=other.url, event_types=["message.received"], inbox_ids=[inbox])
        receive(inbox)
        assert eventually(lambda: other.heard and subscriber.heard)

    assert other.heard[0].event["event_id"] == subscriber.heard[0].event["event_id"]
    assert other.heard[0].headers["svix-id"] != subscriber.heard[0].headers["svix-id"]


def test_a_webhook_hears_only_its_inboxes(hook, subscriber: Subscriber, new_inbox, receive: Receive):
    receive(new_inbox().inbox_id)

    assert never(lambda: subscriber.heard)


def test_a_disabled_webhook_hears_nothing(
    client: AgentMail, inbox: str, hook, subscriber: Subscriber, receive: Receive
):
    client.webhooks.update(hook.webhook_id, enabled=False)
    receive(inbox)

    assert never(lambda: subscriber.heard)


def test_doubtful_mail_is_told_only_to_who_asked_for_it(
    client: AgentMail, inbox: str, hook, subscriber: Subscriber, receive: Receive
):
    with listening() as curious:
        client.webhooks.create(
            url=curious.url, event_types=["message.received.unauthenticated"], inbox_ids=[inbox]
        )
        receive(inbox, authentication="none")
        assert eventually(lambda: curious.events("message.received.unauthenticated"))

    assert subscriber.heard == []


def test_a_very_large_message_is_told_without_its_text(
    inbox: str, hook, subscriber: Subscriber, receive: Receive
):
    receive(inbox, text="x" * 1_200_000)
    one = eventually(lambda: subscriber.heard)[0]

    assert len(one.body) < 1_048_576
    assert not one.event["message"].get("text")
    MessageReceivedEvent(**one.event)


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest",
        "http://10.0.0.1/",
        "http://[::1]/",
        "http://[::ffff:10.0.0.1]/",
        "http://0x0a000001/",
        "http://user:word@x.test/",
        "file:///etc/passwd",
        "ftp://x.test/",
        "x.test",
        "",
    ],
)
def test_a_webhook_leads_to_no_private_place(client: AgentMail, url: str):
    with pytest.raises(ValidationError):
        client.webhooks.create(url=url, event_types=["message.sent"])


def test_eleven_inboxes_are_too_many_for_one_webhook(client: AgentMail, subscriber: Subscriber):
    crowd = [f"b{number}@house.test" for number in range(11)]

    with pytest.raises(ValidationError):
        client.webhooks.create(url=subscriber.url, event_types=["message.sent"], inbox_ids=crowd)
