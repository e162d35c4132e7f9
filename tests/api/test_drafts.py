"""Drafts: written, scheduled, changed, sent, cancelled."""

import asyncio
import base64
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from uuid import uuid4

import pytest
from agentmail import AgentMail, AsyncAgentMail, ConflictError, NotFoundError, SendAttachment, ValidationError
from agentmail.core.api_error import ApiError

from tests.api.house import Running
from tests.api.tools import BROKEN, ONCE, PROSPECT, SLOW, at, eventually, never

Receive = Callable[..., str]


def gone(client: AgentMail, inbox: str, draft_id: str) -> bool:
    """That the draft is no longer there."""
    try:
        client.inboxes.drafts.get(inbox, draft_id)
    except NotFoundError:
        return True
    return False


def sent_from(client: AgentMail, inbox: str, draft_id: str) -> list[str]:
    """The messages that came of a draft."""
    return [
        one.message_id for one in client.inboxes.messages.list(inbox, labels=[f"draft:{draft_id}"]).messages
    ]


@pytest.fixture
def leaving(client: AgentMail, inbox: str, server: Running) -> str:
    """A draft that can no longer be called back, and takes its time."""
    slow = client.inboxes.drafts.create(inbox, to=[SLOW], text="Hello", send_at=at(seconds=1)).draft_id
    assert eventually(lambda: server.state(slow) == "releasing")
    assert client.inboxes.drafts.get(inbox, slow).send_status == "sending"
    return slow


def test_a_draft_is_kept_as_it_was_written(client: AgentMail, inbox: str):
    made = client.inboxes.drafts.create(
        inbox,
        to=["a@x.test"],
        cc=["c@x.test"],
        bcc=["b@x.test"],
        subject="Hello",
        text="Hi",
        html="<p>Hi</p>",
    )
    read = client.inboxes.drafts.get(inbox, made.draft_id)

    assert (read.to, read.cc, read.bcc) == (["a@x.test"], ["c@x.test"], ["b@x.test"])
    assert (read.subject, read.text, read.html) == ("Hello", "Hi", "<p>Hi</p>")


def test_the_id_of_a_draft_survives_the_folding_of_labels(client: AgentMail, inbox: str):
    assert re.fullmatch(r"[a-z0-9_-]+", client.inboxes.drafts.create(inbox).draft_id)


def test_a_draft_may_be_empty(client: AgentMail, inbox: str):
    assert client.inboxes.drafts.create(inbox).labels == []


def test_an_unscheduled_draft_has_no_status(client: AgentMail, inbox: str):
    made = client.inboxes.drafts.create(inbox, to=[PROSPECT])

    assert (made.send_status, made.send_at) == (None, None)


def test_a_null_when_making_a_draft_is_the_same_as_nothing(client: AgentMail, inbox: str):
    made = client.inboxes.drafts.create(
        inbox, to=[PROSPECT], subject=None, in_reply_to=None, send_at=None, client_id=None
    )

    assert made.send_status is None


def test_a_recipient_may_be_a_bare_string(client: AgentMail, inbox: str):
    assert client.inboxes.drafts.create(inbox, to=PROSPECT).to == [PROSPECT]


def test_a_draft_in_no_inbox_is_not_found(client: AgentMail):
    with pytest.raises(NotFoundError):
        client.inboxes.drafts.create("nobody@house.test", to=[PROSPECT])


def test_a_sent_draft_becomes_a_message(client: AgentMail, inbox: str):
    made = client.inboxes.drafts.create(inbox, to=[PROSPECT], subject="Hello", text="Hi")
    sent = client.inboxes.drafts.send(inbox, made.draft_id)
    read = client.inboxes.messages.get(inbox, sent.message_id)

    assert (read.to, read.subject, read.text, read.thread_id) == ([PROSPECT], "Hello", "Hi", sent.thread_id)


def test_a_sent_draft_is_gone(client: AgentMail, inbox: str):
    made = client.inboxes.drafts.create(inbox, to=[PROSPECT], text="Hi")
    client.inboxes.drafts.send(inbox, made.draft_id)

    assert gone(client, inbox, made.draft_id)


def test_a_sent_draft_cannot_be_sent_again(client: AgentMail, inbox: str):
    made = client.inboxes.drafts.create(inbox, to=[PROSPECT], text="Hi")
    client.inboxes.drafts.send(inbox, made.draft_id)

    with pytest.raises(NotFoundError):
        client.inboxes.drafts.send(inbox, made.draft_id)


def test_a_message_is_found_from_its_draft(client: AgentMail, inbox: str):
    made = client.inboxes.drafts.create(inbox, to=[PROSPECT], text="Hi")
    sent = client.inboxes.drafts.send(inbox, made.draft_id)

    assert sent_from(client, inbox, made.draft_id) == [sent.message_id]


def test_sending_may_change_labels(client: AgentMail, inbox: str):
    made = client.inboxes.drafts.create(inbox, to=[PROSPECT], text="Hi", labels=["draftish", "kept"])
    sent = client.inboxes.drafts.send(inbox, made.draft_id, add_labels=["new"], remove_labels=["draftish"])
    labels = client.inboxes.messages.get(inbox, sent.message_id).labels

    assert {"new", "kept"} <= set(labels)
    assert "draftish" not in labels


def test_a_draft_to_nobody_cannot_be_sent(client: AgentMail, inbox: str):
    made = client.inboxes.drafts.create(inbox, text="Hi")

    with pytest.raises(ApiError) as told:
        client.inboxes.drafts.send(inbox, made.draft_id)

    assert told.value.status_code == 422


def test_a_moment_to_send_at_makes_a_draft_scheduled(client: AgentMail, inbox: str):
    made = client.inboxes.drafts.create(inbox, to=[PROSPECT], text="Hi", send_at=at(hours=1))

    assert (made.send_status, made.labels) == ("scheduled", ["scheduled"])


HOUR = datetime(2099, 2, 1, 9, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    "said",
    [
        "2099-02-01T09:00:00Z",
        "2099-02-01T09:00:00.000000Z",
        "2099-02-01T09:00:00.000Z",
        "2099-02-01T09:00Z",
        "2099-02-01T10:00:00+01:00",
        "2099-02-01T10:00:00+0100",
        "2099-02-01T04:00:00-05:00",
        "20990201T090000Z",
        "2099-02-01T09:00:00",
        "2099-02-01 09:00:00Z",
        "2099-W05-7T09:00:00Z",
        HOUR,
        HOUR.astimezone(timezone(timedelta(hours=5, minutes=45))),
    ],
)
def test_a_moment_is_understood_in_every_form_of_iso_8601(client: AgentMail, inbox: str, said):
    assert client.inboxes.drafts.create(inbox, to=[PROSPECT], send_at=said).send_at == HOUR


@pytest.mark.parametrize(
    "said", ["tomorrow", "", "1769936400", "2099-13-01T09:00:00Z", "2099-02-30T09:00:00Z"]
)
def test_a_moment_that_is_none_is_refused(client: AgentMail, inbox: str, said: str):
    with pytest.raises(ValidationError):
        client.inboxes.drafts.create(inbox, to=[PROSPECT], send_at=said)


def test_a_moment_long_past_is_refused(client: AgentMail, inbox: str):
    with pytest.raises(ValidationError):
        client.inboxes.drafts.create(inbox, to=[PROSPECT], send_at=at(hours=-1))


def test_a_moment_just_past_is_now(client: AgentMail, inbox: str):
    made = client.inboxes.drafts.create(inbox, to=[PROSPECT], text="Hi", send_at=at(seconds=-5))

    assert eventually(lambda: sent_from(client, inbox, made.draft_id))


def test_a_scheduled_draft_goes_out_by_itself_once(client: AgentMail, inbox: str):
    made = client.inboxes.drafts.create(inbox, to=[PROSPECT], text="Hi", send_at=at(seconds=1))

    assert eventually(lambda: gone(client, inbox, made.draft_id))
    assert len(sent_from(client, inbox, made.draft_id)) == 1


def test_a_scheduled_draft_does_not_go_out_early(client: AgentMail, inbox: str):
    made = client.inboxes.drafts.create(inbox, to=[PROSPECT], text="Hi", send_at=at(minutes=5))

    assert never(lambda: gone(client, inbox, made.draft_id), during=2)


def test_a_deleted_draft_is_cancelled(client: AgentMail, inbox: str):
    made = client.inboxes.drafts.create(inbox, to=[PROSPECT], text="Hi", send_at=at(seconds=3))
    client.inboxes.drafts.delete(inbox, made.draft_id)

    assert never(lambda: client.inboxes.messages.list(inbox).count, during=5)


def test_deleting_what_is_not_there_is_not_found(client: AgentMail, inbox: str):
    with pytest.raises(NotFoundError):
        client.inboxes.drafts.delete(inbox, "drf_nothing")


def test_a_new_moment_reschedules(client: AgentMail, inbox: str):
    made = client.inboxes.drafts.create(inbox, to=[PROSPECT], text="Hi", send_at=at(seconds=3))
    client.inboxes.drafts.update(inbox, made.draft_id, send_at=at(hours=1))

    assert never(lambda: gone(client, inbox, made.draft_id), during=5)


def test_a_null_moment_unschedules_and_keeps_the_draft(client: AgentMail, inbox: str):
    made = client.inboxes.drafts.create(inbox, to=[PROSPECT], text="Hi", send_at=at(hours=1))
    changed = client.inboxes.drafts.update(inbox, made.draft_id, send_at=None)

    assert (changed.send_at, changed.send_status, changed.labels) == (None, None, [])


def test_what_is_not_named_is_not_changed(client: AgentMail, inbox: str):
    made = client.inboxes.drafts.create(inbox, to=[PROSPECT], subject="Hello", text="Hi", send_at=at(hours=1))
    changed = client.inboxes.drafts.update(inbox, made.draft_id, text="Dear")

    assert (changed.to, changed.subject, changed.text, changed.send_at) == (
        [PROSPECT],
        "Hello",
        "Dear",
        made.send_at,
    )


def test_a_null_clears_a_field(client: AgentMail, inbox: str):
    made = client.inboxes.drafts.create(inbox, to=[PROSPECT], subject="Hello", text="Hi")

    assert client.inboxes.drafts.update(inbox, made.draft_id, subject=None).subject is None


@pytest.mark.parametrize("nobody", [None, []])
def test_null_and_an_empty_list_both_clear_recipients(client: AgentMail, inbox: str, nobody):
    made = client.inboxes.drafts.create(inbox, to=[PROSPECT], cc=["c@x.test"])

    assert not client.inboxes.drafts.update(inbox, made.draft_id, cc=nobody).cc


def test_a_change_of_nothing_changes_nothing(client: AgentMail, inbox: str):
    made = client.inboxes.drafts.create(inbox, to=[PROSPECT], text="Hi")

    assert client.inboxes.drafts.update(inbox, made.draft_id).text == "Hi"


def test_the_label_scheduled_is_not_for_callers(client: AgentMail, inbox: str):
    made = client.inboxes.drafts.create(inbox, to=[PROSPECT])

    with pytest.raises(ValidationError):
        client.inboxes.drafts.update(inbox, made.draft_id, add_labels=["scheduled"])


def test_a_scheduled_draft_may_be_sent_at_once_and_then_once_only(client: AgentMail, inbox: str):
    made = client.inboxes.drafts.create(inbox, to=[PROSPECT], text="Hi", send_at=at(seconds=3))
    client.inboxes.drafts.send(inbox, made.draft_id)

    assert never(lambda: len(sent_from(client, inbox, made.draft_id)) > 1, during=5)


def test_a_draft_on_its_way_cannot_be_changed(client: AgentMail, inbox: str, leaving: str):
    with pytest.raises(ConflictError):
        client.inboxes.drafts.update(inbox, leaving, text="Wait", request_options=ONCE)


def test_a_draft_on_its_way_cannot_be_sent(client: AgentMail, inbox: str, leaving: str):
    with pytest.raises(ConflictError):
        client.inboxes.drafts.send(inbox, leaving, request_options=ONCE)


def test_a_draft_on_its_way_cannot_be_deleted(client: AgentMail, inbox: str, leaving: str):
    with pytest.raises(ApiError) as told:
        client.inboxes.drafts.delete(inbox, leaving, request_options=ONCE)

    assert told.value.status_code == 409


def test_a_draft_on_its_way_is_not_labelled_scheduled(client: AgentMail, inbox: str, leaving: str):
    assert "scheduled" not in client.inboxes.drafts.get(inbox, leaving).labels


def test_a_draft_that_could_not_be_sent_says_so(client: AgentMail, inbox: str):
    made = client.inboxes.drafts.create(inbox, to=[BROKEN], text="Hi", send_at=at(seconds=1))

    assert eventually(lambda: client.inboxes.drafts.get(inbox, made.draft_id).send_status == "failed")


def test_a_failed_draft_is_not_listed_as_scheduled(client: AgentMail, inbox: str):
    made = client.inboxes.drafts.create(inbox, to=[BROKEN], text="Hi", send_at=at(seconds=1))
    eventually(lambda: client.inboxes.drafts.get(inbox, made.draft_id).send_status == "failed")

    assert client.inboxes.drafts.list(inbox, labels=["scheduled"]).count == 0


def test_a_failed_draft_is_tried_again_at_a_new_moment(client: AgentMail, inbox: str):
    made = client.inboxes.drafts.create(inbox, to=[BROKEN], text="Hi", send_at=at(seconds=1))
    eventually(lambda: client.inboxes.drafts.get(inbox, made.draft_id).send_status == "failed")
    client.inboxes.drafts.update(inbox, made.draft_id, to=[PROSPECT], send_at=at(seconds=1))

    assert eventually(lambda: sent_from(client, inbox, made.draft_id))


def test_a_draft_to_nobody_fails_when_it_is_due(client: AgentMail, inbox: str):
    made = client.inboxes.drafts.create(inbox, text="Hi", send_at=at(seconds=1))

    assert eventually(lambda: client.inboxes.drafts.get(inbox, made.draft_id).send_status == "failed")


def test_a_reply_takes_recipient_subject_and_thread_from_what_it_answers(
    client: AgentMail, inbox: str, receive: Receive
):
    asked = receive(inbox, subject="Price")
    made = client.inboxes.drafts.create(inbox, in_reply_to=asked, text="Ten.")
    sent = client.inboxes.drafts.send(inbox, made.draft_id)

    assert PROSPECT in made.to[0]
    assert (made.subject, made.references) == ("Re: Price", [asked])
    assert sent.thread_id == client.inboxes.messages.get(inbox, asked).thread_id


def test_a_reply_may_say_recipient_and_subject_itself(client: AgentMail, inbox: str, receive: Receive):
    made = client.inboxes.drafts.create(inbox, in_reply_to=receive(inbox), to=["o@x.test"], subject="Re: Own")

    assert (made.to, made.subject) == (["o@x.test"], "Re: Own")


def test_a_follow_up_of_ones_own_letter_goes_to_whom_it_went(client: AgentMail, inbox: str):
    first = client.inboxes.messages.send(inbox, to=PROSPECT, text="Hello")

    assert client.inboxes.drafts.create(inbox, in_reply_to=first.message_id, text="Still there?").to == [
        PROSPECT
    ]


def test_a_reply_to_all_takes_all_recipients(client: AgentMail, inbox: str, receive: Receive):
    asked = receive(inbox, to=[inbox, "second@x.test"], cc=["third@x.test"])
    made = client.inboxes.drafts.create(inbox, in_reply_to=asked, reply_all=True, text="Ten.")

    assert {"second@x.test", "third@x.test"} <= {*made.to, *(made.cc or [])}


def test_a_reply_to_all_may_not_name_recipients(client: AgentMail, inbox: str, receive: Receive):
    with pytest.raises(ValidationError):
        client.inboxes.drafts.create(inbox, in_reply_to=receive(inbox), reply_all=True, to=["o@x.test"])


def test_a_forward_takes_the_files_when_it_is_sent(client: AgentMail, inbox: str, receive: Receive):
    asked = receive(inbox, attachments={"plan.txt": b"one two"})
    made = client.inboxes.drafts.create(inbox, forward_of=asked, to=["boss@x.test"], text="See below.")
    sent = client.inboxes.drafts.send(inbox, made.draft_id)

    assert client.inboxes.messages.get(inbox, sent.message_id).attachments[0].filename == "plan.txt"


def test_a_draft_is_no_reply_and_forward_at_once(client: AgentMail, inbox: str, receive: Receive):
    asked = receive(inbox)

    with pytest.raises(ValidationError):
        client.inboxes.drafts.create(inbox, in_reply_to=asked, forward_of=asked)


@pytest.mark.parametrize("kind", ["in_reply_to", "forward_of"])
def test_a_reference_to_nothing_is_not_found(client: AgentMail, inbox: str, kind: str):
    with pytest.raises(NotFoundError):
        client.inboxes.drafts.create(inbox, to=[PROSPECT], **{kind: "<nothing@x.test>"})


def test_a_reference_is_looked_at_again_when_sending(client: AgentMail, inbox: str, receive: Receive):
    asked = receive(inbox)
    made = client.inboxes.drafts.create(inbox, in_reply_to=asked, text="Ten.")
    client.inboxes.messages.delete(inbox, asked)

    with pytest.raises(NotFoundError):
        client.inboxes.drafts.send(inbox, made.draft_id)


def test_a_file_can_be_added_and_taken_away(client: AgentMail, inbox: str):
    file = SendAttachment(filename="plan.txt", content=base64.b64encode(b"one two").decode())
    made = client.inboxes.drafts.create(inbox, to=[PROSPECT], text="See.")
    added = client.inboxes.drafts.update(inbox, made.draft_id, add_attachments=[file]).attachments[0]

    assert client.inboxes.drafts.get_attachment(inbox, made.draft_id, added.attachment_id).size == 7
    changed = client.inboxes.drafts.update(inbox, made.draft_id, remove_attachments=[added.attachment_id])
    assert not changed.attachments


def test_the_draft_changed_last_is_listed_first(client: AgentMail, inbox: str):
    first, second = (client.inboxes.drafts.create(inbox, text=text).draft_id for text in "ab")
    client.inboxes.drafts.update(inbox, first, text="c")

    assert [one.draft_id for one in client.inboxes.drafts.list(inbox).drafts] == [first, second]


def test_scheduled_drafts_are_listed_by_their_label(client: AgentMail, inbox: str):
    client.inboxes.drafts.create(inbox, text="Hi")
    made = client.inboxes.drafts.create(inbox, text="Hi", send_at=at(hours=1))

    assert [one.draft_id for one in client.inboxes.drafts.list(inbox, labels=["scheduled"]).drafts] == [
        made.draft_id
    ]


def test_drafts_are_paged_without_loss(client: AgentMail, inbox: str):
    made = {client.inboxes.drafts.create(inbox).draft_id for _ in range(3)}
    first = client.inboxes.drafts.list(inbox, limit=2)
    second = client.inboxes.drafts.list(inbox, limit=2, page_token=first.next_page_token)

    assert {one.draft_id for page in (first, second) for one in page.drafts} == made
    assert (first.count, second.count, second.next_page_token) == (2, 1, None)


def test_drafts_of_all_inboxes_are_listed_together(client: AgentMail, new_inbox):
    made = [client.inboxes.drafts.create(new_inbox().inbox_id).draft_id for _ in range(2)]

    assert [one.draft_id for one in client.drafts.list(limit=2).drafts] == made[::-1]


def test_a_draft_of_any_inbox_is_read_without_naming_the_inbox(client: AgentMail, inbox: str):
    made = client.inboxes.drafts.create(inbox, text="Hi")

    assert client.drafts.get(made.draft_id).text == "Hi"


def test_a_pod_lists_the_drafts_of_its_inboxes(client: AgentMail, inbox: str):
    made = client.inboxes.drafts.create(inbox)
    pod = client.inboxes.get(inbox).pod_id

    assert made.draft_id in [one.draft_id for one in client.pods.drafts.list(pod, limit=100).drafts]


@pytest.mark.anyio
async def test_of_many_who_send_one_draft_one_wins(async_client: AsyncAgentMail, inbox: str):
    drafts = async_client.inboxes.drafts
    made = await drafts.create(inbox, to=[PROSPECT], text="Hi", client_id=uuid4().hex)
    calls = (drafts.send(inbox, made.draft_id, request_options=ONCE) for _ in range(8))
    ends = await asyncio.gather(*calls, return_exceptions=True)

    losers = [end for end in ends if isinstance(end, Exception)]
    assert len(losers) == 7
    assert {one.status_code for one in losers if isinstance(one, ApiError)} <= {404, 409}
