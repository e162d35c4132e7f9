"""AgentPost's dialect over real HTTP: the snippets of its page on drafts, and what they promise."""

import base64
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Event, Thread

import pytest
from jsonschema import Draft202012Validator, FormatChecker
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

from engine.enroll import Enrolled, enroll, prepare
from engine.errors import PermanentFailure, TemporaryFailure
from engine.model import Prospect
from engine.post import Counter, post
from engine.states import DraftState
from engine.wish import Author, Wish
from engine.write import Change, update
from mailroom.agentpost import AGENTPOST, document
from mailroom.api.door import Api
from mailroom.api.openapi import merged
from mailroom.api.table import described
from mailroom.feather import document as feather
from relent.assemble import House, desk
from relent.config import Config
from tests.makers import IDA, SAM, SECRET, sequence

KEY = "ap_sk_dev_1"
KIM = "kim@acme.example"
ANN = Author(id="key_ann")
LEGAL = [{"email": "legal@acmeco.example", "name": "Legal Team"}]
CFO = [{"email": "cfo@acmeco.example", "name": "CFO"}]


@pytest.fixture
def laid(store, clock, mailbox, pace):
    config = Config(webhooks={"secrets": [SECRET]}, server={"api_keys": [KEY]})
    with store.transaction(clock.now(), "a test") as ledger:
        for each in (SAM, KIM):
            ledger.threads.open_inbox(each)
    return desk(House(config=config, store=store, mailbox=mailbox, clock=clock, pace=pace))


@pytest.fixture
def client(laid):
    server = Starlette(routes=[Mount("/api/v1", Api(laid, AGENTPOST))])
    with TestClient(server, headers={"Authorization": f"Bearer {KEY}"}) as client:
        yield client


@pytest.fixture
def create(client):
    def one(inbox=SAM, **words):
        answer = client.post(f"/api/v1/inboxes/{inbox}/drafts", json=words)
        assert answer.status_code == 200, answer.text
        return answer.json()

    return one


@pytest.fixture
def first(laid):
    """A letter that Sam wrote to Ida, and so a conversation."""
    wish = Wish(inbox_id=SAM, to=(IDA,), subject="Hello", text="Good day.")
    return post(wish, key=None, by=ANN, counter=_counter(laid))


def _counter(laid):
    return Counter(store=laid.store, clock=laid.clock, pace=laid.pace, lend=laid.lend)


def stored(laid, draft_id):
    with laid.store.reading(laid.clock.now()) as ledger:
        return ledger.drafts.get(draft_id)


def test_a_draft_is_created_changed_and_sent_as_the_page_shows_it(client, create, mailbox):
    draft = create(
        to=LEGAL,
        subject="Contract review request: Vendor Agreement #891",
        text_body="Please review the attached vendor agreement.",
    )
    assert draft["id"].startswith("drf_")
    assert (draft["inbox_id"], draft["to_addresses"], draft["thread_id"]) == (SAM, LEGAL, None)

    changed = client.patch(f"/api/v1/drafts/{draft['id']}", json={"cc": CFO, "text_body": "Updated."}).json()
    assert (changed["cc_addresses"], changed["text_body"]) == (CFO, "Updated.")
    assert changed["subject"] == draft["subject"]

    message = client.post(f"/api/v1/drafts/{draft['id']}/send").json()
    letter = mailbox.sent[0]
    assert (letter.message_id, letter.text, letter.cc) == (message["id"], "Updated.", (CFO[0]["email"],))
    assert (message["direction"], message["to_addresses"], message["inbox_id"]) == ("outbound", LEGAL, SAM)
    assert message["from_address"]["email"] == SAM


def test_every_property_of_the_page_is_in_every_answer(client, create):
    wanted = {
        "id", "inbox_id", "thread_id", "in_reply_to", "subject", "to_addresses", "cc_addresses", "bcc_addresses",
        "text_body", "html_body", "attachments_meta",
    }  # fmt: skip
    draft = create()

    for answer in (draft, client.get(f"/api/v1/drafts/{draft['id']}").json()):
        assert set(answer) - {"created_at", "updated_at"} == wanted


def test_every_answer_is_what_the_document_promises(client, create, first):
    draft = create(to=LEGAL, thread_id=first.thread_id, attachments=[{"content": ""}])
    path = f"/api/v1/drafts/{draft['id']}"
    for shape, answer in (
        ("AgentPostDraft", client.get(path)),
        ("AgentPostDraft", client.patch(path, json={"cc": CFO})),
        ("AgentPostDrafts", client.get(f"/api/v1/inboxes/{SAM}/drafts")),
        ("AgentPostMessage", client.post(f"{path}/send")),
        ("Refusal", client.post(f"{path}/send")),
        ("ValidationRefusal", client.get(f"/api/v1/inboxes/{SAM}/drafts?limit=0")),
    ):
        schema = {"$ref": f"#/components/schemas/{shape}", **document()}
        Draft202012Validator(schema, format_checker=FormatChecker()).validate(answer.json())


def test_all_dialects_together_are_one_document():
    whole = merged([described(), document(), feather()], version="1")

    assert "/api/v1/drafts/{draft_id}/send" in whole["paths"]
    assert set(whole["components"]["securitySchemes"]) == {"key", "featherKey"}


def test_a_sent_draft_is_gone(client, create, mailbox):
    path = f"/api/v1/drafts/{create(to=LEGAL)['id']}"
    assert client.post(f"{path}/send").status_code == 200

    for method, more in (("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/send")):
        body = {"json": {}} if method == "PATCH" else {}
        answer = client.request(method, path + more, **body)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert client.get(f"/api/v1/inboxes/{SAM}/drafts").json()["data"] == []
    assert len(mailbox.sent) == 1


def test_of_many_who_send_it_one_does_and_the_others_hear_that_it_is_gone(client, create, mailbox):
    path = f"/api/v1/drafts/{create(to=LEGAL)['id']}/send"
    with ThreadPoolExecutor(6) as hands:
        said = sorted(hands.map(lambda _: client.post(path).status_code, range(6)))

    assert said == [200, 404, 404, 404, 404, 404]
    assert len(mailbox.sent) == 1


def test_while_it_is_in_the_air_it_is_gone_for_whoever_sends_it_and_nobody_is_told_that_it_was_deleted(
    client, create, mailbox
):
    path = f"/api/v1/drafts/{create(to=LEGAL)['id']}"
    leaving, go_on = Event(), Event()

    def linger(letter):
        leaving.set()
        go_on.wait(20)

    mailbox.after_gate = linger
    worker = Thread(target=client.post, args=[f"{path}/send"])
    worker.start()
    assert leaving.wait(20)
    try:
        assert client.post(f"{path}/send").status_code == 404
        assert client.patch(path, json={"subject": "Wait"}).status_code == 409
        assert client.delete(path).status_code == 409
    finally:
        go_on.set()
        worker.join()
    assert len(mailbox.sent) == 1


def test_what_is_deleted_never_leaves(client, create, mailbox):
    path = f"/api/v1/drafts/{create(to=LEGAL)['id']}"
    answer = client.delete(path)
    assert (answer.status_code, answer.content) == (204, b"")

    assert client.post(f"{path}/send").status_code == 404
    assert mailbox.sent == []


def test_a_list_has_what_has_not_left_the_latest_change_first_a_page_at_a_time(client, create, clock):
    drafts = []
    for number in range(5):
        drafts.append(create(subject=str(number))["id"])
        clock.pass_(timedelta(seconds=1))
    create(KIM, subject="Somebody else's")
    client.patch(f"/api/v1/drafts/{drafts[1]}", json={"subject": "Now"})

    found, cursor = [], ""
    while cursor is not None:
        page = client.get(f"/api/v1/inboxes/{SAM}/drafts", params={"limit": 2, "cursor": cursor}).json()
        assert len(page["data"]) <= 2
        found += [each["id"] for each in page["data"]]
        cursor = page["next_cursor"]
    assert found == [drafts[number] for number in (1, 4, 3, 2, 0)]


def test_a_longer_page_than_the_longest_is_the_longest(client, create):
    create()

    assert len(client.get(f"/api/v1/inboxes/{SAM}/drafts?limit={10**30}").json()["data"]) == 1


@pytest.mark.parametrize("query", ["limit=0", "limit=many", "limit=-1", "cursor=made-up"])
def test_a_list_that_cannot_be_is_refused(client, query):
    assert client.get(f"/api/v1/inboxes/{SAM}/drafts?{query}").status_code == 400


def test_a_cursor_is_good_for_its_own_inbox_only(client, create):
    for _ in range(2):
        create()
    cursor = client.get(f"/api/v1/inboxes/{SAM}/drafts?limit=1").json()["next_cursor"]

    assert client.get(f"/api/v1/inboxes/{KIM}/drafts", params={"cursor": cursor}).status_code == 400


# --- what it answers is looked for when it is sent ---


def test_a_linked_draft_leaves_in_its_conversation(client, create, first, mailbox):
    draft = create(
        thread_id=first.thread_id,
        in_reply_to=first.message_id,
        to=[{"email": IDA}],
        text_body="Working on this now.",
    )
    assert (draft["thread_id"], draft["in_reply_to"]) == (first.thread_id, first.message_id)
    message = client.post(f"/api/v1/drafts/{draft['id']}/send").json()

    letter = mailbox.sent[-1]
    assert (letter.in_reply_to, letter.references) == (first.message_id, (first.message_id,))
    assert (message["thread_id"], message["subject"], letter.subject) == (
        first.thread_id,
        "Re: Hello",
        "Re: Hello",
    )


def test_the_thread_alone_is_enough_and_a_message_without_its_brackets(client, create, first, mailbox):
    by_thread = create(thread_id=first.thread_id, to=LEGAL)
    by_message = create(in_reply_to=first.message_id.strip("<>"), to=LEGAL)
    # the second answers the first letter, and not the one between
    said = [client.post(f"/api/v1/drafts/{each['id']}/send").json() for each in (by_thread, by_message)]

    assert [each["thread_id"] for each in said] == [first.thread_id] * 2
    assert [each.in_reply_to for each in mailbox.sent[1:]] == [first.message_id] * 2


@pytest.mark.parametrize(
    "named",
    [
        {"thread_id": "thr_ghi789"},
        {"in_reply_to": "msg_def456"},
        {"thread_id": "thr_ghi789", "in_reply_to": "msg_def456"},
    ],
)
def test_what_is_not_there_is_found_out_when_it_is_sent_and_the_draft_stays(
    client, create, mailbox, laid, named
):
    draft = create(to=LEGAL, **named)
    path = f"/api/v1/drafts/{draft['id']}"
    assert draft["thread_id"] == named.get("thread_id")

    answer = client.post(f"{path}/send")
    assert (answer.status_code, answer.json()["code"]) == (422, "unprocessable")
    for name in named.values():
        assert name in answer.json()["message"]
    assert (client.get(path).json(), stored(laid, draft["id"]).state) == (draft, DraftState.WRITTEN)
    assert mailbox.sent == []

    mended = client.patch(path, json={"thread_id": None, "in_reply_to": None}).json()
    assert (mended["thread_id"], mended["in_reply_to"]) == (None, None)
    assert client.post(f"{path}/send").status_code == 200


def test_a_message_of_another_thread_is_no_answer_in_this_one(client, create, first, laid):
    other = post(Wish(inbox_id=SAM, to=(IDA,), subject="Other"), key=None, by=ANN, counter=_counter(laid))
    draft = create(to=LEGAL, thread_id=first.thread_id, in_reply_to=other.message_id)

    assert client.post(f"/api/v1/drafts/{draft['id']}/send").status_code == 422


def test_a_conversation_of_another_inbox_is_not_there(client, create, first):
    for named in ({"thread_id": first.thread_id}, {"in_reply_to": first.message_id}):
        draft = create(KIM, to=LEGAL, **named)
        assert client.post(f"/api/v1/drafts/{draft['id']}/send").status_code == 422


def test_a_draft_that_has_no_words_yet_is_no_conversation(client, create, laid):
    empty = stored(laid, create(to=LEGAL)["id"]).thread_id
    draft = create(to=LEGAL, thread_id=empty)

    assert client.post(f"/api/v1/drafts/{draft['id']}/send").status_code == 422


def test_what_answers_the_letter_can_be_written_before_the_letter(client, create, mailbox, laid):
    """Checked when it is sent: not before."""
    draft = create(to=[{"email": IDA}], subject="On it")
    answer = create(to=[{"email": IDA}], in_reply_to=stored(laid, draft["id"]).message_id)
    assert client.post(f"/api/v1/drafts/{answer['id']}/send").status_code == 422

    sent = client.post(f"/api/v1/drafts/{draft['id']}/send").json()
    again = client.post(f"/api/v1/drafts/{answer['id']}/send").json()
    assert (again["thread_id"], again["in_reply_to"]) == (sent["thread_id"], sent["id"])


def test_many_answers_that_leave_at_once_are_all_in_the_one_conversation(client, create, first, laid, clock):
    drafts = [create(to=LEGAL, thread_id=first.thread_id)["id"] for _ in range(6)]
    with ThreadPoolExecutor(6) as hands:
        said = list(hands.map(lambda each: client.post(f"/api/v1/drafts/{each}/send").json(), drafts))

    with laid.store.reading(clock.now()) as ledger:
        kept = {each.message_id for each in ledger.threads.messages(first.thread_id)}
    assert kept == {first.message_id, *(each["id"] for each in said)}


def test_an_hour_given_elsewhere_looks_for_it_too(create, first, laid, clock):
    draft = create(to=LEGAL, thread_id=first.thread_id)
    filed = update(
        draft["id"],
        Change(send_at=clock.now() + timedelta(hours=1)),
        by=ANN,
        store=laid.store,
        clock=laid.clock,
    )

    assert (filed.draft.thread_id, filed.draft.in_reply_to) == (first.thread_id, first.message_id)
    assert filed.draft.approved_sha == filed.draft.content_sha


def test_a_letter_refused_for_good_stays_a_draft_where_it_belongs(client, create, first, mailbox):
    def refuse(letter):
        raise PermanentFailure("no such user")

    mailbox.before_gate = refuse
    path = f"/api/v1/drafts/{create(to=LEGAL, thread_id=first.thread_id)['id']}"
    answer = client.post(f"{path}/send")
    assert (answer.status_code, answer.json()["message"]) == (403, "no such user")

    draft = client.get(path).json()
    assert (draft["thread_id"], draft["in_reply_to"]) == (first.thread_id, first.message_id)
    assert client.patch(path, json={"thread_id": first.thread_id}).status_code == 200
    assert client.patch(path, json={"thread_id": "thr_other"}).status_code == 400
    mailbox.before_gate = lambda letter: None
    assert client.post(f"{path}/send").status_code == 200


def test_what_cannot_be_carried_at_once_is_taken_and_gone_all_the_same(client, create, mailbox):
    def busy(letter):
        raise TemporaryFailure("greylisted")

    mailbox.before_gate = busy
    draft = create(to=LEGAL, subject="Hi", text_body="Good day.")
    message = client.post(f"/api/v1/drafts/{draft['id']}/send").json()

    assert (message["subject"], message["to_addresses"], message["text_body"]) == ("Hi", LEGAL, "Good day.")
    assert message["id"].startswith("<")


# --- words ---


def test_nobody_to_send_it_to_is_no_reason_not_to_write_it(client, create):
    draft = create(text_body="Dear")

    assert client.post(f"/api/v1/drafts/{draft['id']}/send").status_code == 422


def test_a_change_names_what_changes_and_null_clears(client, create):
    draft = create(to=LEGAL, cc=CFO, bcc=CFO, subject="S", text_body="T", html_body="<p>T</p>")
    path = f"/api/v1/drafts/{draft['id']}"
    same = client.patch(path, json={}).json()
    assert same == draft
    cleared = client.patch(
        path, json=dict.fromkeys(("to", "cc", "bcc", "subject", "text_body", "html_body"))
    ).json()

    assert (cleared["to_addresses"], cleared["cc_addresses"], cleared["bcc_addresses"]) == ([], [], [])
    assert (cleared["subject"], cleared["text_body"], cleared["html_body"]) == ("", None, None)


def test_files_come_with_the_request_and_stay_by_their_key(client, create, mailbox):
    plan = {
        "filename": "plan.txt",
        "mime_type": "text/plain",
        "content": base64.b64encode(b"one two").decode(),
    }
    draft = create(to=LEGAL, attachments=[plan, plan | {"filename": "other.txt"}])
    path = f"/api/v1/drafts/{draft['id']}"
    kept, _ = draft["attachments_meta"]
    assert (kept["filename"], kept["mime_type"], kept["size"]) == ("plan.txt", "text/plain", 7)

    more = plan | {"filename": "new.txt"}
    changed = client.patch(path, json={"attachments": [{"key": kept["key"]}, more]}).json()
    assert [each["filename"] for each in changed["attachments_meta"]] == ["plan.txt", "new.txt"]
    assert client.post(f"{path}/send").json()["has_attachments"] is True
    assert [each.content for each in mailbox.sent[0].attachments] == [b"one two"] * 2


@pytest.mark.parametrize(
    ("words", "where"),
    [
        ({"to": [{"email": "nobody"}]}, ["to", 0, "email"]),
        ({"to": ["ida@nordic.example"]}, ["to", 0]),
        ({"to": [{"name": "Ida"}]}, ["to", 0, "email"]),
        ({"subject": "two\nlines"}, ["subject"]),
        ({"text_body": 7}, ["text_body"]),
        ({"to": [{"email": IDA, "name": "a\r\nBcc: b@c.example"}]}, ["to", 0, "name"]),
        ({"attachments": [{"content": "not base64!"}]}, ["attachments", 0]),
        ({"attachments": [{}]}, ["attachments", 0]),
        ({"attachments": [{"key": "att_of_nobody"}]}, ["attachments", 0, "key"]),
    ],
)
def test_what_is_wrong_is_said_with_its_place(client, words, where):
    answer = client.post(f"/api/v1/inboxes/{SAM}/drafts", json=words)

    assert answer.status_code == 400
    assert [each["path"] for each in answer.json()["errors"]] == [where]


def test_more_readers_than_a_letter_may_have_are_refused(client):
    def many(number):
        return [{"email": f"ida{number}-{each}@nordic.example"} for each in range(30)]

    answer = client.post(f"/api/v1/inboxes/{SAM}/drafts", json={"to": many(1), "cc": many(2)})
    assert answer.status_code == 400


# --- whose ---


def test_who_has_no_key_or_the_wrong_one_reads_nothing(client):
    for headers in ({"Authorization": ""}, {"Authorization": "Bearer ap_sk_made_up"}):
        answer = client.get("/api/v1/drafts/drf_1", headers=headers)
        assert (answer.status_code, answer.json()["name"]) == (401, "UnauthorizedError")


def test_a_key_reaches_no_draft_beyond_its_inbox(client, create, laid):
    own, other = create(SAM, to=LEGAL)["id"], create(KIM, to=LEGAL)["id"]
    key = laid.keys.make("Sam's", scope="inbox", scope_id=SAM).secret
    headers = {"Authorization": f"Bearer {key}"}

    assert client.get(f"/api/v1/drafts/{own}", headers=headers).status_code == 200
    for method, path in (
        ("GET", f"/api/v1/drafts/{other}"),
        ("PATCH", f"/api/v1/drafts/{other}"),
        ("DELETE", f"/api/v1/drafts/{other}"),
        ("POST", f"/api/v1/drafts/{other}/send"),
        ("GET", f"/api/v1/inboxes/{KIM}/drafts"),
        ("POST", f"/api/v1/inboxes/{KIM}/drafts"),
    ):
        body = {"json": {}} if method in ("POST", "PATCH") else {}
        assert client.request(method, path, headers=headers, **body).status_code == 404, (method, path)


def test_a_key_that_only_drafts_sends_nothing(client, create, laid, mailbox):
    draft = create(to=LEGAL)["id"]
    key = laid.keys.make("An intern's", permissions={"draft": True}).secret
    headers = {"Authorization": f"Bearer {key}"}
    assert client.patch(f"/api/v1/drafts/{draft}", json={"subject": "Hi"}, headers=headers).status_code == 200

    assert client.post(f"/api/v1/drafts/{draft}/send", headers=headers).status_code == 403
    assert mailbox.sent == []


def test_a_letter_of_a_sequence_is_seen_and_not_touched(client, laid, clock):
    with laid.store.transaction(clock.now(), "a test") as ledger:
        outcome = enroll(prepare(Prospect(email=IDA, variables={}), sequence()), ledger=ledger)
        assert isinstance(outcome, Enrolled)
    (draft,) = client.get(f"/api/v1/inboxes/{SAM}/drafts").json()["data"]
    path = f"/api/v1/drafts/{draft['id']}"

    assert draft["thread_id"] is not None
    assert client.patch(path, json={"subject": "Mine"}).status_code == 409
    assert client.post(f"{path}/send").status_code == 409
