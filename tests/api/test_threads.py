"""Threads: gathered, listed, labelled, deleted; in an inbox, and over all inboxes."""

from collections.abc import Callable

import pytest
from agentmail import AgentMail, NotFoundError, ValidationError

from tests.api.tools import PROSPECT

Receive = Callable[..., str]


@pytest.fixture
def sent(client: AgentMail, inbox: str):
    """A first letter; its thread is what the promises are about."""
    return client.inboxes.messages.send(inbox, to=PROSPECT, subject="Hello", text="Good day.")


def test_an_answer_joins_the_thread_by_in_reply_to(client: AgentMail, inbox: str, receive: Receive, sent):
    answer = receive(inbox, in_reply_to=sent.message_id)

    assert client.inboxes.messages.get(inbox, answer).thread_id == sent.thread_id


def test_an_answer_joins_the_thread_by_references(client: AgentMail, inbox: str, receive: Receive, sent):
    answer = receive(inbox, references=[sent.message_id])

    assert client.inboxes.messages.get(inbox, answer).thread_id == sent.thread_id


def test_a_subject_alone_makes_no_thread(client: AgentMail, inbox: str, receive: Receive, sent):
    stray = receive(inbox, subject="Re: Hello")

    assert client.inboxes.messages.get(inbox, stray).thread_id != sent.thread_id


def test_a_thread_reads_from_old_to_new(client: AgentMail, inbox: str, receive: Receive, sent):
    answer = receive(inbox, in_reply_to=sent.message_id)

    read = client.inboxes.threads.get(inbox, sent.thread_id)
    assert [one.message_id for one in read.messages] == [sent.message_id, answer]


def test_a_thread_sums_up_its_messages(client: AgentMail, inbox: str, receive: Receive, sent):
    answer = receive(inbox, in_reply_to=sent.message_id)
    read = client.inboxes.threads.get(inbox, sent.thread_id)

    assert (read.message_count, read.last_message_id, read.subject) == (2, answer, "Hello")
    assert read.received_timestamp == read.timestamp
    assert read.sent_timestamp <= read.received_timestamp


def test_a_thread_knows_who_wrote_and_who_was_written_to(
    client: AgentMail, inbox: str, receive: Receive, sent
):
    receive(inbox, in_reply_to=sent.message_id)
    read = client.inboxes.threads.get(inbox, sent.thread_id)

    assert any(PROSPECT in one for one in read.senders)
    assert any(PROSPECT in one for one in read.recipients)


def test_the_first_page_of_a_thread_is_its_end(client: AgentMail, inbox: str, receive: Receive, sent):
    answers = [receive(inbox, in_reply_to=sent.message_id) for _ in range(2)]
    first = client.inboxes.threads.get(inbox, sent.thread_id, limit=2)
    rest = client.inboxes.threads.get(inbox, sent.thread_id, limit=2, page_token=first.next_page_token)

    assert [one.message_id for one in first.messages] == answers
    assert [one.message_id for one in rest.messages] == [sent.message_id]
    assert (first.count, first.message_count, rest.next_page_token) == (2, 3, None)


def test_a_thread_has_the_labels_of_its_messages(client: AgentMail, inbox: str, receive: Receive, sent):
    receive(inbox, in_reply_to=sent.message_id)

    assert {"sent", "received", "unread"} <= set(client.inboxes.threads.get(inbox, sent.thread_id).labels)


def test_a_label_put_on_a_thread_is_on_it(client: AgentMail, inbox: str, sent):
    assert "hot" in client.inboxes.threads.update(inbox, sent.thread_id, add_labels=["hot"]).labels
    assert "hot" in client.inboxes.threads.get(inbox, sent.thread_id).labels


def test_a_label_put_on_a_thread_outlives_an_answer(client: AgentMail, inbox: str, receive: Receive, sent):
    client.inboxes.threads.update(inbox, sent.thread_id, add_labels=["hot"])
    receive(inbox, in_reply_to=sent.message_id)

    assert "hot" in client.inboxes.threads.get(inbox, sent.thread_id).labels


def test_a_new_message_does_not_inherit_a_label(client: AgentMail, inbox: str, receive: Receive, sent):
    client.inboxes.threads.update(inbox, sent.thread_id, add_labels=["hot"])
    answer = receive(inbox, in_reply_to=sent.message_id)

    assert "hot" not in client.inboxes.messages.get(inbox, answer).labels


def test_a_label_taken_from_a_thread_is_taken_from_its_messages(client: AgentMail, inbox: str, sent):
    client.inboxes.messages.update(inbox, sent.message_id, add_labels="hot")

    assert "hot" not in client.inboxes.threads.update(inbox, sent.thread_id, remove_labels=["hot"]).labels
    assert "hot" not in client.inboxes.messages.get(inbox, sent.message_id).labels


def test_taking_away_a_label_that_is_not_there_is_no_error(client: AgentMail, inbox: str, sent):
    assert (
        client.inboxes.threads.update(inbox, sent.thread_id, remove_labels=["hot"]).thread_id
        == sent.thread_id
    )


def test_a_long_thread_can_be_labelled(client: AgentMail, inbox: str, receive: Receive, sent):
    for _ in range(100):
        receive(inbox, in_reply_to=sent.message_id)

    assert "hot" in client.inboxes.threads.update(inbox, sent.thread_id, add_labels=["hot"]).labels


def test_system_labels_of_a_thread_are_the_houses(client: AgentMail, inbox: str, sent):
    with pytest.raises(ValidationError):
        client.inboxes.threads.update(inbox, sent.thread_id, remove_labels=["sent"])


def test_the_thread_that_spoke_last_is_listed_first(client: AgentMail, inbox: str, receive: Receive, sent):
    second = client.inboxes.messages.send(inbox, to=PROSPECT, subject="Other", text="Good day.")
    receive(inbox, in_reply_to=sent.message_id)

    listed = [one.thread_id for one in client.inboxes.threads.list(inbox).threads]
    assert listed == [sent.thread_id, second.thread_id]


def test_threads_are_filtered_by_label(client: AgentMail, inbox: str, sent):
    client.inboxes.messages.send(inbox, to=PROSPECT, subject="Other", text="Good day.")
    client.inboxes.threads.update(inbox, sent.thread_id, add_labels=["a, b"])

    listed = client.inboxes.threads.list(inbox, labels=["a, b"]).threads
    assert [one.thread_id for one in listed] == [sent.thread_id]


def test_threads_are_filtered_by_sender_and_recipient(client: AgentMail, inbox: str, receive: Receive, sent):
    receive(inbox, sender="ann@x.test")

    assert client.inboxes.threads.list(inbox, senders=["ann@x.test"]).count == 1
    assert client.inboxes.threads.list(inbox, recipients=[PROSPECT]).threads[0].thread_id == sent.thread_id


def test_threads_are_searched_by_what_they_say(client: AgentMail, inbox: str, sent):
    client.inboxes.messages.send(inbox, to=PROSPECT, subject="Other", text="The zeppelin lands at noon.")

    assert client.inboxes.threads.search(inbox, q="zeppelin").count == 1


def test_a_thread_of_any_inbox_is_read_without_naming_the_inbox(client: AgentMail, sent):
    assert client.threads.get(sent.thread_id).messages[0].message_id == sent.message_id


def test_threads_of_all_inboxes_are_listed_together(client: AgentMail, new_inbox):
    made = [
        client.inboxes.messages.send(new_inbox().inbox_id, to=PROSPECT, text="-").thread_id for _ in range(2)
    ]

    assert [one.thread_id for one in client.threads.list(limit=2).threads] == made[::-1]


def test_a_thread_of_any_inbox_is_labelled(client: AgentMail, sent):
    assert "hot" in client.threads.update(sent.thread_id, add_labels=["hot"]).labels


def test_a_thread_is_not_found_in_another_inbox(client: AgentMail, new_inbox, sent):
    with pytest.raises(NotFoundError):
        client.inboxes.threads.get(new_inbox().inbox_id, sent.thread_id)


def test_a_deleted_thread_takes_its_messages_along(client: AgentMail, inbox: str, sent):
    client.inboxes.threads.delete(inbox, sent.thread_id)

    with pytest.raises(NotFoundError):
        client.inboxes.messages.get(inbox, sent.message_id)


def test_an_attachment_is_reached_through_its_thread(client: AgentMail, inbox: str, receive: Receive):
    got = client.inboxes.messages.get(inbox, receive(inbox, attachments={"plan.txt": b"one two"}))
    told = client.inboxes.threads.get_attachment(inbox, got.thread_id, got.attachments[0].attachment_id)

    assert (told.filename, told.size) == ("plan.txt", 7)


def test_a_pod_lists_the_threads_of_its_inboxes(client: AgentMail, inbox: str, sent):
    pod = client.inboxes.get(inbox).pod_id

    assert sent.thread_id in [one.thread_id for one in client.pods.threads.list(pod).threads]
