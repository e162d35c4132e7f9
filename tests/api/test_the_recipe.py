"""The published follow-up recipe, word for word; and what it forgets, which the server remembers for it.

The only words changed are the addresses: an inbox of this house stands for `outreach@domain.com`.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from textwrap import dedent
from typing import Any

import pytest
from agentmail import AgentMail, NotFoundError, ValidationError

from tests.api.house import Running
from tests.api.tools import BOUNCING, PROSPECT, SLOW, Subscriber, at, eventually, never

pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")

Receive = Callable[..., str]

SEND_AND_SCHEDULE = """
from datetime import datetime, timedelta

inbox_id = "outreach@domain.com"

# Send initial email
initial = client.inboxes.messages.send(
    inbox_id=inbox_id,
    to=["prospect@example.com"],
    subject="Quick question about your workflow",
    text="Hi, I noticed your team is scaling quickly..."
)

# Schedule follow-up for 3 days later
follow_up_time = (datetime.utcnow() + timedelta(days=3)).replace(hour=9, minute=0, second=0)

follow_up = client.inboxes.drafts.create(
    inbox_id=inbox_id,
    to=["prospect@example.com"],
    subject="Re: Quick question about your workflow",
    text="Hi again — just bumping this in case it got buried...",
    in_reply_to=initial.message_id,
    send_at=follow_up_time.isoformat() + "Z"
)

# Tag the thread so your webhook handler can find the draft
client.inboxes.threads.update(
    inbox_id=inbox_id,
    thread_id=initial.thread_id,
    add_labels=[f"follow-up:{follow_up.draft_id}"]
)
"""

CANCEL_ON_REPLY = """
# In your webhook handler for "message.received":
thread = client.inboxes.threads.get(inbox_id=inbox_id, thread_id=thread_id)

for label in thread.labels:
    if label.startswith("follow-up:"):
        draft_id = label.split("follow-up:")[1]
        try:
            client.inboxes.drafts.delete(inbox_id=inbox_id, draft_id=draft_id)
        except Exception:
            pass # Draft may have already been sent
        client.inboxes.threads.update(
            inbox_id=inbox_id, thread_id=thread_id,
            remove_labels=[label]
        )
        break
"""

SCHEDULE = """
from datetime import datetime, timedelta

# Schedule an email for tomorrow at 9:00 AM UTC
send_time = (datetime.utcnow() + timedelta(days=1)).replace(
    hour=9, minute=0, second=0
)

scheduled_draft = client.inboxes.drafts.create(
    inbox_id="outreach@domain.com",
    to=["prospect@example.com"],
    subject="Following up on our conversation",
    text="Hi, just wanted to follow up on our chat yesterday...",
    send_at=send_time.isoformat() + "Z"
)

print(f"Draft scheduled for {scheduled_draft.send_at}")
# send_status will be "scheduled"
"""

RESCHEDULE_AND_CANCEL = """
# Reschedule to a different time
new_time = (datetime.utcnow() + timedelta(days=3)).replace(hour=14, minute=0, second=0)
client.inboxes.drafts.update(
    inbox_id="outreach@domain.com",
    draft_id=scheduled_draft.draft_id,
    send_at=new_time.isoformat() + "Z"
)

# Or cancel by deleting the draft entirely
client.inboxes.drafts.delete(
    inbox_id="outreach@domain.com",
    draft_id=scheduled_draft.draft_id
)
"""

LIST_SCHEDULED = """
# List all scheduled drafts in an inbox
scheduled = client.inboxes.drafts.list(
    inbox_id="outreach@domain.com",
    labels=["scheduled"]
)

for draft in scheduled.drafts:
    print(f"{draft.subject} — scheduled for {draft.send_at} ({draft.send_status})")
"""

ALL_DRAFTS = """
# Get all drafts across the entire organization
all_drafts = client.drafts.list()

print(f"Found {all_drafts.count} drafts pending review.")
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What the recipe made."""

    client: AgentMail
    inbox: str
    thread_id: str
    message_id: str
    draft_id: str

    def waits(self) -> bool:
        """That the follow-up is still to be sent."""
        try:
            return self.client.inboxes.drafts.get(self.inbox, self.draft_id).send_status == "scheduled"
        except NotFoundError:
            return False

    def sent(self) -> int:
        """How many messages the follow-up became."""
        return self.client.inboxes.messages.list(self.inbox, labels=[f"draft:{self.draft_id}"]).count

    def labels(self) -> list[str]:
        return self.client.inboxes.threads.get(self.inbox, self.thread_id).labels

    def hasten(self, **ahead: float) -> None:
        """Let the three days be over soon."""
        self.client.inboxes.drafts.update(self.inbox, self.draft_id, send_at=at(**ahead))

    def handle(self) -> None:
        """Run the published webhook handler."""
        run(CANCEL_ON_REPLY, client=self.client, inbox_id=self.inbox, thread_id=self.thread_id)

    def never_sends(self) -> bool:
        """That nothing leaves although its time has come."""
        return never(self.sent, during=4)


def run(published: str, *, inbox: str = "", prospect: str = PROSPECT, **names: Any) -> dict[str, Any]:
    """Run a snippet as it is printed, and hand back its names."""
    text = dedent(published).replace("outreach@domain.com", inbox).replace("prospect@example.com", prospect)
    exec(compile(text, "published snippet", "exec"), names)
    return names


def follow(client: AgentMail, inbox: str, prospect: str = PROSPECT) -> Recipe:
    """Run the first half of the recipe."""
    names = run(SEND_AND_SCHEDULE, client=client, inbox=inbox, prospect=prospect)
    initial, draft = names["initial"], names["follow_up"]
    return Recipe(
        client=client,
        inbox=inbox,
        thread_id=initial.thread_id,
        message_id=initial.message_id,
        draft_id=draft.draft_id,
    )


@pytest.fixture
def recipe(client: AgentMail, inbox: str) -> Recipe:
    return follow(client, inbox)


def test_the_snippet_for_scheduling_runs(client: AgentMail, inbox: str):
    assert run(SCHEDULE, client=client, inbox=inbox)["scheduled_draft"].send_status == "scheduled"


def test_the_snippet_for_rescheduling_and_cancelling_runs(client: AgentMail, inbox: str):
    names = run(SCHEDULE, client=client, inbox=inbox)
    run(RESCHEDULE_AND_CANCEL, inbox=inbox, **names)

    assert client.inboxes.drafts.list(inbox).count == 0


def test_the_snippet_for_listing_runs(client: AgentMail, inbox: str, capsys: pytest.CaptureFixture[str]):
    run(SCHEDULE, client=client, inbox=inbox)
    run(LIST_SCHEDULED, client=client, inbox=inbox)

    assert "(scheduled)" in capsys.readouterr().out


def test_the_snippet_for_all_inboxes_runs(client: AgentMail, recipe: Recipe):
    assert run(ALL_DRAFTS, client=client)["all_drafts"].count >= 1


def test_the_follow_up_is_scheduled_in_the_thread_of_the_first_letter(client: AgentMail, recipe: Recipe):
    draft = client.inboxes.drafts.get(recipe.inbox, recipe.draft_id)

    assert (draft.send_status, draft.in_reply_to) == ("scheduled", recipe.message_id)


def test_without_an_answer_the_follow_up_goes_out_in_the_same_thread(client: AgentMail, recipe: Recipe):
    recipe.hasten(seconds=1)

    assert eventually(recipe.sent) == 1
    assert client.inboxes.threads.get(recipe.inbox, recipe.thread_id).message_count == 2


def test_the_published_handler_still_runs_after_the_server_was_first(recipe: Recipe, receive: Receive):
    receive(recipe.inbox, in_reply_to=recipe.message_id)
    recipe.handle()

    assert not recipe.waits()
    assert f"follow-up:{recipe.draft_id}" not in recipe.labels()


# What the recipe forgets, in the order of the contract (7).


def test_1_an_answer_in_mid_send_leaves_a_trace(
    client: AgentMail, inbox: str, receive: Receive, server: Running
):
    recipe = follow(client, inbox, SLOW)
    recipe.hasten(seconds=1)
    assert eventually(lambda: server.state(recipe.draft_id) == "releasing")
    receive(inbox, in_reply_to=recipe.message_id, sender=SLOW)
    recipe.handle()

    assert eventually(recipe.sent) == 1


def test_2_an_answer_cancels_every_follow_up(client: AgentMail, recipe: Recipe, receive: Receive):
    second = client.inboxes.drafts.create(
        recipe.inbox, in_reply_to=recipe.message_id, text="Last try", send_at=at(days=7)
    )
    client.inboxes.threads.update(recipe.inbox, recipe.thread_id, add_labels=[f"follow-up:{second.draft_id}"])
    receive(recipe.inbox, in_reply_to=recipe.message_id)

    assert client.inboxes.drafts.list(recipe.inbox, labels=["scheduled"]).count == 0


def test_3_an_answer_cancels_though_no_handler_runs(recipe: Recipe, receive: Receive):
    receive(recipe.inbox, in_reply_to=recipe.message_id)

    assert not recipe.waits()


def test_4_a_follow_up_that_was_never_tagged_does_not_go_out_after_an_answer(
    recipe: Recipe, receive: Receive
):
    recipe.client.inboxes.threads.update(
        recipe.inbox, recipe.thread_id, remove_labels=[f"follow-up:{recipe.draft_id}"]
    )
    receive(recipe.inbox, in_reply_to=recipe.message_id)

    assert not recipe.waits()


def test_5_the_label_comes_back_as_it_was_given(recipe: Recipe):
    assert f"follow-up:{recipe.draft_id}" in recipe.labels()


@pytest.mark.parametrize("rest", ["", ".", "..", "../..", "a/b", "a?b", "%2e%2e"])
def test_5_a_label_whose_deletion_would_hit_something_else_is_refused(recipe: Recipe, rest: str):
    with pytest.raises(ValidationError):
        recipe.client.inboxes.threads.update(recipe.inbox, recipe.thread_id, add_labels=[f"follow-up:{rest}"])


@pytest.mark.parametrize("doubt", [{"spam": True}, {"authentication": "none"}])
def test_6_a_doubtful_answer_holds_the_follow_up(recipe: Recipe, receive: Receive, doubt: dict[str, Any]):
    receive(recipe.inbox, in_reply_to=recipe.message_id, **doubt)

    draft = recipe.client.inboxes.drafts.get(recipe.inbox, recipe.draft_id)
    assert (draft.send_status, draft.labels) == (None, ["held"])


def test_6_a_blocked_answer_holds_the_follow_up(recipe: Recipe, receive: Receive):
    recipe.client.inboxes.lists.create(recipe.inbox, "reply", "block", entry=PROSPECT)
    receive(recipe.inbox, in_reply_to=recipe.message_id)

    assert not recipe.waits()


def test_6_a_bounce_cancels_the_follow_up(client: AgentMail, inbox: str):
    recipe = follow(client, inbox, BOUNCING)

    assert eventually(lambda: not recipe.waits())


def test_7_an_automatic_answer_cancels_nothing_and_is_waited_out(recipe: Recipe, receive: Receive):
    receive(recipe.inbox, in_reply_to=recipe.message_id, headers={"Auto-Submitted": "auto-replied"})

    draft = recipe.client.inboxes.drafts.get(recipe.inbox, recipe.draft_id)
    assert (draft.send_status, draft.labels) == (None, ["held"])
    assert f"follow-up:{recipe.draft_id}" in recipe.labels()


def test_7_a_colleague_who_answers_cancels_it(recipe: Recipe, receive: Receive):
    receive(recipe.inbox, in_reply_to=recipe.message_id, sender="colleague@prospect.test")

    assert not recipe.waits()


def test_7_an_answer_in_a_new_thread_cancels_it(recipe: Recipe, receive: Receive):
    receive(recipe.inbox, subject="About your question")

    assert not recipe.waits()


def test_8_an_answer_cancels_while_the_subscriber_is_down(
    recipe: Recipe, receive: Receive, subscriber: Subscriber
):
    recipe.client.webhooks.create(
        url=subscriber.url, event_types=["message.received"], inbox_ids=[recipe.inbox]
    )
    subscriber.answers = [500] * 20
    receive(recipe.inbox, in_reply_to=recipe.message_id)

    assert not recipe.waits()


def test_9_a_message_that_arrives_twice_is_one(recipe: Recipe, receive: Receive):
    first = receive(recipe.inbox, in_reply_to=recipe.message_id)
    receive(recipe.inbox, in_reply_to=recipe.message_id, message_id=first)

    assert recipe.client.inboxes.threads.get(recipe.inbox, recipe.thread_id).message_count == 2


def test_9_a_label_that_names_a_draft_of_another_inbox_cancels_nothing(
    recipe: Recipe, receive: Receive, new_inbox
):
    other = follow(recipe.client, new_inbox().inbox_id, "second@elsewhere.test")
    recipe.client.inboxes.threads.update(
        recipe.inbox, recipe.thread_id, add_labels=[f"follow-up:{other.draft_id}"]
    )
    receive(recipe.inbox, in_reply_to=recipe.message_id)

    assert other.waits()


def test_10_microseconds_and_a_z_are_the_very_moment(client: AgentMail, inbox: str):
    names = run(SCHEDULE, client=client, inbox=inbox)

    said, kept = names["send_time"], names["scheduled_draft"].send_at.replace(tzinfo=None)
    assert abs((said - kept).total_seconds()) < 0.001


def test_11_a_copy_to_oneself_cancels_nothing(recipe: Recipe, receive: Receive):
    receive(recipe.inbox, in_reply_to=recipe.message_id, sender=recipe.inbox)

    assert recipe.waits()


def test_12_the_handler_is_done_in_time_for_its_webhook(recipe: Recipe, receive: Receive):
    receive(recipe.inbox, in_reply_to=recipe.message_id)
    began = time.monotonic()
    recipe.handle()

    assert time.monotonic() - began < 2


def test_a_cancelled_follow_up_stays_cancelled_when_its_time_comes(recipe: Recipe, receive: Receive):
    recipe.hasten(seconds=3)
    receive(recipe.inbox, in_reply_to=recipe.message_id)

    assert recipe.never_sends()
