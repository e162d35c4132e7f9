"""Messages: sent, answered, passed on, received, listed, labelled, deleted."""

import base64
from collections.abc import Callable
from datetime import timedelta
from urllib.request import urlopen

import pytest
from agentmail import AgentMail, MessageRejectedError, NotFoundError, SendAttachment, ValidationError
from agentmail.core.api_error import ApiError

from tests.api.tools import PROSPECT, eventually

Receive = Callable[..., str]


def ids(page) -> list[str]:
    return [one.message_id for one in page.messages]


def test_a_sent_message_has_an_id_in_angle_brackets_and_a_thread(client: AgentMail, inbox: str):
    sent = client.inboxes.messages.send(inbox, to=[PROSPECT], subject="Hello", text="Good day.")

    assert sent.message_id.startswith("<")
    assert sent.message_id.endswith(">")
    assert sent.thread_id


def test_ids_of_ours_have_no_sign_that_cuts_a_path(client: AgentMail, inbox: str):
    sent = client.inboxes.messages.send(inbox, to=PROSPECT, text="Good day.")

    assert not set("/#?% ") & set(sent.message_id + sent.thread_id)


def test_a_sent_message_can_be_read(client: AgentMail, inbox: str):
    sent = client.inboxes.messages.send(
        inbox, to=PROSPECT, cc=["c@x.test"], subject="Hello", text="Good day."
    )
    read = client.inboxes.messages.get(inbox, sent.message_id)

    assert (read.to, read.cc, read.subject, read.text) == ([PROSPECT], ["c@x.test"], "Hello", "Good day.")


def test_a_message_is_from_one_string(client: AgentMail, inbox: str):
    sent = client.inboxes.messages.send(inbox, to=PROSPECT, text="Good day.")

    assert inbox in client.inboxes.messages.get(inbox, sent.message_id).from_


def test_a_display_name_is_in_the_from_line(client: AgentMail, inbox: str):
    client.inboxes.update(inbox, display_name="Sam Sender")
    sent = client.inboxes.messages.send(inbox, to=PROSPECT, text="Good day.")

    assert client.inboxes.messages.get(inbox, sent.message_id).from_ == f"Sam Sender <{inbox}>"


def test_a_sent_message_is_labelled_sent(client: AgentMail, inbox: str):
    sent = client.inboxes.messages.send(inbox, to=PROSPECT, text="Good day.", labels=["Hot"])

    assert {"sent", "hot"} <= set(client.inboxes.messages.get(inbox, sent.message_id).labels)


def test_a_message_to_nobody_cannot_be_processed(client: AgentMail, inbox: str):
    with pytest.raises(ApiError) as told:
        client.inboxes.messages.send(inbox, subject="Hello", text="Good day.")

    assert told.value.status_code == 422


def test_fifty_recipients_are_enough(client: AgentMail, inbox: str):
    crowd = [f"p{number}@x.test" for number in range(51)]

    with pytest.raises(ValidationError):
        client.inboxes.messages.send(inbox, to=crowd[:25], cc=crowd[25:], text="Good day.")


def test_sending_from_an_inbox_that_is_not_there_is_not_found(client: AgentMail):
    with pytest.raises(NotFoundError):
        client.inboxes.messages.send("nobody@house.test", to=PROSPECT, text="Good day.")


def test_a_blocked_recipient_is_written_to_by_nobody(client: AgentMail, inbox: str):
    client.inboxes.lists.create(inbox, "send", "block", entry=PROSPECT)

    with pytest.raises(MessageRejectedError) as told:
        client.inboxes.messages.send(inbox, to=PROSPECT, text="Good day.")

    assert told.value.body.code == "message_rejected"


def test_a_header_of_the_callers_own_is_kept(client: AgentMail, inbox: str):
    sent = client.inboxes.messages.send(inbox, to=PROSPECT, text="Good day.", headers={"X-Campaign": "north"})

    assert client.inboxes.messages.get(inbox, sent.message_id).headers["X-Campaign"] == "north"


def test_a_header_cannot_smuggle_another(client: AgentMail, inbox: str):
    with pytest.raises(ValidationError):
        client.inboxes.messages.send(inbox, to=PROSPECT, text="-", headers={"X-A": "1\r\nBcc: e@x.test"})


def test_a_received_message_is_unread(client: AgentMail, inbox: str, receive: Receive):
    got = client.inboxes.messages.get(inbox, receive(inbox))

    assert {"received", "unread"} <= set(got.labels)


def test_the_text_of_an_answer_is_taken_from_its_quotes(client: AgentMail, inbox: str, receive: Receive):
    answer = receive(inbox, text="Yes.\n\nOn Monday, Sam wrote:\n> Would you?\n")

    assert client.inboxes.messages.get(inbox, answer).extracted_text.strip() == "Yes."


def test_a_reply_goes_to_who_wrote_under_the_same_subject(client: AgentMail, inbox: str, receive: Receive):
    asked = receive(inbox, subject="Price")
    sent = client.inboxes.messages.reply(inbox, asked, text="Ten.")
    read = client.inboxes.messages.get(inbox, sent.message_id)

    assert PROSPECT in read.to[0]
    assert (read.subject, read.in_reply_to) == ("Re: Price", asked)


def test_re_is_said_once(client: AgentMail, inbox: str, receive: Receive):
    sent = client.inboxes.messages.reply(inbox, receive(inbox, subject="Re: Price"), text="Ten.")

    assert client.inboxes.messages.get(inbox, sent.message_id).subject == "Re: Price"


def test_a_reply_stays_in_its_thread(client: AgentMail, inbox: str, receive: Receive):
    asked = receive(inbox)
    sent = client.inboxes.messages.reply(inbox, asked, text="Ten.")

    assert sent.thread_id == client.inboxes.messages.get(inbox, asked).thread_id


def test_a_reply_to_ones_own_mail_goes_to_whom_it_went(client: AgentMail, inbox: str):
    first = client.inboxes.messages.send(inbox, to=PROSPECT, text="Good day.")
    second = client.inboxes.messages.reply(inbox, first.message_id, text="Still there?")

    assert client.inboxes.messages.get(inbox, second.message_id).to == [PROSPECT]


def test_a_reply_may_name_its_own_recipient(client: AgentMail, inbox: str, receive: Receive):
    sent = client.inboxes.messages.reply(inbox, receive(inbox), to="other@x.test", text="Ten.")

    assert client.inboxes.messages.get(inbox, sent.message_id).to == ["other@x.test"]


def test_a_reply_to_all_may_not_name_recipients(client: AgentMail, inbox: str, receive: Receive):
    with pytest.raises(ValidationError):
        client.inboxes.messages.reply(inbox, receive(inbox), reply_all=True, to="other@x.test", text="Ten.")


def test_a_reply_to_all_reaches_all_but_oneself(client: AgentMail, inbox: str, receive: Receive):
    asked = receive(inbox, to=[inbox, "second@x.test"], cc=["third@x.test"])
    read = client.inboxes.messages.get(
        inbox, client.inboxes.messages.reply_all(inbox, asked, text="Ten.").message_id
    )
    everybody = " ".join([*read.to, *(read.cc or [])])

    assert all(one in everybody for one in (PROSPECT, "second@x.test", "third@x.test"))
    assert inbox not in everybody


def test_a_reply_to_what_is_not_there_is_not_found(client: AgentMail, inbox: str):
    with pytest.raises(NotFoundError):
        client.inboxes.messages.reply(inbox, "<nothing@x.test>", text="Ten.")


def test_a_forwarded_message_takes_its_files_along(client: AgentMail, inbox: str, receive: Receive):
    asked = receive(inbox, subject="Plan", attachments={"plan.txt": b"one two"})
    sent = client.inboxes.messages.forward(inbox, asked, to="boss@x.test", text="See below.")
    read = client.inboxes.messages.get(inbox, sent.message_id)

    assert read.to == ["boss@x.test"]
    assert [one.filename for one in read.attachments] == ["plan.txt"]


def test_the_newest_message_is_listed_first(client: AgentMail, inbox: str, receive: Receive):
    older, newer = receive(inbox), receive(inbox)

    assert ids(client.inboxes.messages.list(inbox)) == [newer, older]
    assert ids(client.inboxes.messages.list(inbox, ascending=True)) == [older, newer]


def test_messages_are_paged_without_loss(client: AgentMail, inbox: str, receive: Receive):
    made = [receive(inbox) for _ in range(3)]
    first = client.inboxes.messages.list(inbox, limit=2)
    second = client.inboxes.messages.list(inbox, limit=2, page_token=first.next_page_token)

    assert [*ids(first), *ids(second)] == made[::-1]
    assert second.next_page_token is None


def test_all_labels_asked_for_must_be_there(client: AgentMail, inbox: str):
    both = client.inboxes.messages.send(inbox, to=PROSPECT, text="-", labels=["a", "b"])
    client.inboxes.messages.send(inbox, to=PROSPECT, text="-", labels=["a"])

    assert ids(client.inboxes.messages.list(inbox, labels=["a", "b"])) == [both.message_id]


def test_before_and_after_leave_the_moment_itself_out(client: AgentMail, inbox: str, receive: Receive):
    moment = client.inboxes.messages.get(inbox, receive(inbox)).timestamp
    around = timedelta(seconds=1)

    assert client.inboxes.messages.list(inbox, before=moment).count == 0
    assert client.inboxes.messages.list(inbox, after=moment).count == 0
    assert client.inboxes.messages.list(inbox, after=moment - around, before=moment + around).count == 1


def test_messages_are_found_by_sender_recipient_and_subject(client: AgentMail, inbox: str, receive: Receive):
    wanted = receive(inbox, sender="ann@x.test", subject="Price list")
    receive(inbox, sender="ann@x.test", subject="Holiday")
    receive(inbox, sender="bob@x.test", subject="Price list")

    assert ids(client.inboxes.messages.list(inbox, from_=["ann@"], subject=["price"])) == [wanted]


@pytest.mark.parametrize(
    ("mail", "label", "asked"),
    [
        ({"spam": True}, "spam", "include_spam"),
        ({"authentication": "none"}, "unauthenticated", "include_unauthenticated"),
    ],
)
def test_doubtful_mail_is_listed_only_when_asked_for(
    client: AgentMail, inbox: str, receive: Receive, mail, label, asked
):
    got = receive(inbox, **mail)

    assert client.inboxes.messages.list(inbox).count == 0
    assert ids(client.inboxes.messages.list(inbox, **{asked: True})) == [got]
    assert label in client.inboxes.messages.get(inbox, got).labels


def test_forged_mail_is_dropped(client: AgentMail, inbox: str, receive: Receive):
    receive(inbox, authentication="fail")

    assert client.inboxes.messages.list(inbox, include_spam=True, include_unauthenticated=True).count == 0


def test_mail_from_a_blocked_sender_is_blocked(client: AgentMail, inbox: str, receive: Receive):
    client.inboxes.lists.create(inbox, "receive", "block", entry="prospect.test")
    receive(inbox)

    assert client.inboxes.messages.list(inbox).count == 0
    assert "blocked" in client.inboxes.messages.list(inbox, include_blocked=True).messages[0].labels


def test_the_label_trash_hides_a_message(client: AgentMail, inbox: str, receive: Receive):
    got = receive(inbox)
    client.inboxes.messages.update(inbox, got, add_labels="trash")

    assert client.inboxes.messages.list(inbox).count == 0
    assert ids(client.inboxes.messages.list(inbox, include_trash=True)) == [got]


def test_labels_are_kept_in_lower_case(client: AgentMail, inbox: str, receive: Receive):
    changed = client.inboxes.messages.update(inbox, receive(inbox), add_labels=["Very Hot"])

    assert "very hot" in changed.labels


def test_reading_is_told_by_taking_unread_away(client: AgentMail, inbox: str, receive: Receive):
    assert (
        "unread" not in client.inboxes.messages.update(inbox, receive(inbox), remove_labels="unread").labels
    )


def test_a_label_both_added_and_removed_is_removed(client: AgentMail, inbox: str, receive: Receive):
    assert (
        "x"
        not in client.inboxes.messages.update(inbox, receive(inbox), add_labels="x", remove_labels="x").labels
    )


@pytest.mark.parametrize(
    "label", ["received", "sent", "delivered", "bounced", "complained", "rejected", "scheduled"]
)
def test_what_the_house_says_of_a_message_nobody_else_says(
    client: AgentMail, inbox: str, receive: Receive, label: str
):
    with pytest.raises(ValidationError):
        client.inboxes.messages.update(inbox, receive(inbox), add_labels=label)


def test_a_deleted_message_is_gone(client: AgentMail, inbox: str, receive: Receive):
    got = receive(inbox)
    client.inboxes.messages.delete(inbox, got)

    with pytest.raises(NotFoundError):
        client.inboxes.messages.get(inbox, got)


def test_a_message_of_another_inbox_is_not_found(client: AgentMail, inbox: str, receive: Receive, new_inbox):
    with pytest.raises(NotFoundError):
        client.inboxes.messages.get(new_inbox().inbox_id, receive(inbox))


def test_many_are_got_at_once_and_missing_ones_left_out(client: AgentMail, inbox: str, receive: Receive):
    got = receive(inbox)
    batch = client.inboxes.messages.batch_get(inbox, message_ids=[got, "<nothing@x.test>"])

    assert (batch.count, ids(batch)) == (1, [got])


def test_many_are_changed_at_once(client: AgentMail, inbox: str, receive: Receive):
    both = [receive(inbox), receive(inbox)]
    batch = client.inboxes.messages.batch_update(inbox, message_ids=both, add_labels=["hot"])

    assert all("hot" in one.labels for one in batch.updates)


def test_many_are_changed_wholly_or_not_at_all(client: AgentMail, inbox: str, receive: Receive):
    got = receive(inbox)

    with pytest.raises(ValidationError):
        client.inboxes.messages.batch_update(inbox, message_ids=[got, "<nothing@x.test>"], add_labels=["hot"])

    assert "hot" not in client.inboxes.messages.get(inbox, got).labels


@pytest.mark.parametrize(("call", "most"), [("batch_get", 500), ("batch_update", 50)])
def test_a_batch_has_an_end(client: AgentMail, inbox: str, call: str, most: int):
    crowd = [f"<{number}@x.test>" for number in range(most + 1)]
    more = {"add_labels": ["hot"]} if call == "batch_update" else {}

    with pytest.raises(ValidationError):
        getattr(client.inboxes.messages, call)(inbox, message_ids=crowd, **more)


def test_the_raw_message_can_be_fetched(client: AgentMail, inbox: str, receive: Receive):
    got = receive(inbox, text="Good day to you.")
    told = client.inboxes.messages.get_raw(inbox, got)

    with urlopen(told.download_url) as answer:
        letter = answer.read()
    assert b"Good day to you." in letter
    assert told.size == len(letter)


def test_an_attachment_is_a_link_that_needs_no_key(client: AgentMail, inbox: str, receive: Receive):
    got = receive(inbox, attachments={"plan.txt": b"one two"})
    file = client.inboxes.messages.get(inbox, got).attachments[0]
    told = client.inboxes.messages.get_attachment(inbox, got, file.attachment_id)

    with urlopen(told.download_url) as answer:
        assert answer.read() == b"one two"


def test_an_attachment_travels(client: AgentMail, inbox: str):
    file = SendAttachment(
        filename="plan.txt", content_type="text/plain", content=base64.b64encode(b"one two").decode()
    )
    sent = client.inboxes.messages.send(inbox, to=PROSPECT, text="See.", attachments=[file])

    assert client.inboxes.messages.get(inbox, sent.message_id).attachments[0].size == 7


def test_an_attachment_of_broken_base64_is_refused(client: AgentMail, inbox: str):
    with pytest.raises(ValidationError):
        client.inboxes.messages.send(inbox, to=PROSPECT, attachments=[SendAttachment(content="%%%")])


def test_messages_are_searched_by_what_they_say(client: AgentMail, inbox: str, receive: Receive):
    wanted = receive(inbox, text="The zeppelin lands at noon.")
    receive(inbox, text="Nothing of interest.")

    assert ids(client.inboxes.messages.search(inbox, q="zeppelin")) == [wanted]


def test_a_message_from_one_inbox_to_another_arrives(client: AgentMail, inbox: str, new_inbox):
    other = new_inbox().inbox_id
    client.inboxes.messages.send(inbox, to=other, subject="Neighbour", text="Good day.")

    assert eventually(lambda: client.inboxes.messages.list(other).count) == 1
