"""A draft that asks for a human's yes: its author gives it the label `needs-review`, in whichever dialect."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from agentmail import AgentMail, ConflictError, NotFoundError, ValidationError
from agentmail.inboxes.types import Inbox

from tests.api.house import Running
from tests.api.tools import ONCE, PROSPECT, at, eventually, never

ASKS = ["needs-review"]


@pytest.fixture
def to_review(raw: httpx.Client) -> Callable[[str], dict[str, Any]]:
    """A letter as somebody sees it who may say yes."""

    def look(draft_id: str) -> dict[str, Any]:
        answer = raw.get(f"/v1/drafts/{draft_id}")
        assert answer.status_code == 200, answer.text
        return answer.json()  # type: ignore[no-any-return]

    return look


@pytest.fixture
def approve(raw: httpx.Client, to_review: Callable[[str], dict[str, Any]]) -> Callable[[str], None]:
    def say_yes(draft_id: str) -> None:
        seen = to_review(draft_id)
        body = {"content_sha": seen["content_sha"], "head": seen["head"]}
        answer = raw.post(f"/v1/drafts/{draft_id}/approve", json=body)
        assert answer.status_code == 200, answer.text

    return say_yes


def sent(client: AgentMail, inbox: str, draft_id: str) -> list[Any]:
    return client.inboxes.messages.list(inbox, labels=[f"draft:{draft_id}"]).messages


def test_a_draft_with_the_label_waits_for_a_yes_and_then_leaves(client, inbox, to_review, approve):
    draft = client.inboxes.drafts.create(inbox, to=[PROSPECT], subject="Hello", text="Hi", labels=ASKS)

    assert (draft.send_status, set(draft.labels)) == (None, {"needs-review", "held"})
    assert to_review(draft.draft_id)["approval_state"] == "pending"
    assert draft.draft_id in {each.draft_id for each in client.drafts.list(labels=["held"]).drafts}
    approve(draft.draft_id)
    assert eventually(lambda: sent(client, inbox, draft.draft_id))


def test_with_an_hour_it_leaves_at_that_hour_and_not_without_a_yes(client, inbox, approve):
    early = client.inboxes.drafts.create(inbox, to=[PROSPECT], text="Hi", send_at=at(seconds=1), labels=ASKS)
    later = client.inboxes.drafts.create(inbox, to=[PROSPECT], text="Hi", send_at=at(days=1), labels=ASKS)
    approve(later.draft_id)

    assert client.inboxes.drafts.get(inbox, later.draft_id).send_status == "scheduled"
    assert never(lambda: sent(client, inbox, early.draft_id))
    approve(early.draft_id)
    assert eventually(lambda: sent(client, inbox, early.draft_id))


def test_the_label_may_come_later(client, inbox, to_review, approve):
    draft = client.inboxes.drafts.create(inbox, to=[PROSPECT], text="Hi", send_at=at(seconds=2))
    client.inboxes.drafts.update(inbox, draft.draft_id, add_labels=ASKS)

    assert to_review(draft.draft_id)["approval_state"] == "pending"
    assert never(lambda: sent(client, inbox, draft.draft_id))
    approve(draft.draft_id)
    assert eventually(lambda: sent(client, inbox, draft.draft_id))


def test_its_author_cannot_send_it_meanwhile(client, inbox, server: Running):
    draft = client.inboxes.drafts.create(inbox, to=[PROSPECT], text="Hi", labels=ASKS)
    with pytest.raises(ConflictError) as refused:
        client.inboxes.drafts.send(inbox, draft.draft_id, request_options=ONCE)

    assert f"/v1/drafts/{draft.draft_id}" in str(refused.value.body)
    assert server.state(draft.draft_id) == "held"


def test_other_words_after_the_yes_need_another_one(client, inbox, to_review, approve):
    draft = client.inboxes.drafts.create(inbox, to=[PROSPECT], text="Hi", send_at=at(days=1), labels=ASKS)
    approve(draft.draft_id)
    client.inboxes.drafts.update(inbox, draft.draft_id, text="Something else")

    seen = to_review(draft.draft_id)
    assert (seen["approval_state"], seen["state"], seen["text"]) == ("pending", "held", "Something else")


def test_another_label_after_the_yes_takes_nothing_away(client, inbox, to_review, approve):
    draft = client.inboxes.drafts.create(inbox, to=[PROSPECT], text="Hi", send_at=at(days=1), labels=ASKS)
    approve(draft.draft_id)
    client.inboxes.drafts.update(inbox, draft.draft_id, add_labels=["spring"])

    assert to_review(draft.draft_id)["approval_state"] == "approved"


def test_a_letter_that_leaves_at_once_cannot_ask(client, inbox):
    with pytest.raises(ValidationError, match="make it a draft"):
        client.inboxes.messages.send(inbox, to=[PROSPECT], text="Hi", labels=ASKS, request_options=ONCE)


def test_what_is_rejected_is_gone_and_says_why(client, raw, inbox):
    draft = client.inboxes.drafts.create(inbox, to=[PROSPECT], text="Hi", labels=ASKS)
    answer = raw.post(f"/v1/drafts/{draft.draft_id}/reject", json={"reason": "wrong person"})
    assert answer.json()["approval_state"] == "rejected"
    with pytest.raises(NotFoundError) as gone:
        client.inboxes.drafts.get(inbox, draft.draft_id)

    assert "wrong person" in str(gone.value.body)


def test_a_key_that_only_drafts_writes_for_somebody_who_approves(
    server: Running, raw, new_inbox: Callable[..., Inbox], approve, environment
):
    inbox = new_inbox().inbox_id
    made = raw.post("/v0/api-keys", json={"name": "a writer", "permissions": {"draft": True}}).json()
    with httpx.Client(timeout=60) as http:
        writer = AgentMail(environment=environment, api_key=made["api_key"], httpx_client=http)
        draft = writer.inboxes.drafts.create(
            inbox, to=[PROSPECT], subject="Hello", text="Hi", send_at=at(seconds=1), labels=ASKS
        )
        refused = http.post(
            f"{server.url}/v1/drafts/{draft.draft_id}/approve",
            json={"content_sha": "0"},
            headers={"Authorization": f"Bearer {made['api_key']}"},
        )
    assert refused.json()["code"] == "missing_permission"
    approve(draft.draft_id)

    assert eventually(lambda: server.state(draft.draft_id) == "sent")


def test_agentposts_drafts_ask_in_the_same_way(client, raw, inbox, to_review, approve):
    wanted = {"to": [{"email": PROSPECT}], "subject": "Hello", "text_body": "Hi"}
    asked = raw.post(f"/api/v1/inboxes/{inbox}/drafts", json=wanted | {"labels": ASKS}).json()
    plain = raw.post(f"/api/v1/inboxes/{inbox}/drafts", json=wanted).json()
    later = raw.patch(f"/api/v1/drafts/{plain['id']}", json={"labels": ASKS})
    assert later.status_code == 200, later.text

    for each in (asked, plain):
        assert to_review(each["id"])["approval_state"] == "pending"
        assert raw.post(f"/api/v1/drafts/{each['id']}/send").status_code == 409
        approve(each["id"])
        assert eventually(lambda name=each["id"]: sent(client, inbox, name))
