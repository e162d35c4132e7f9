"""Feather's dialect over real HTTP: the list of drafts, exactly as its OpenAPI document has it."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, FormatChecker
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

from engine.approve import Reviewer, approve, reject, withdraw
from engine.dispatch import dispatch_due
from engine.errors import NoAnswer, PermanentFailure
from engine.ids import new_id
from engine.model import NEVER
from engine.post import Counter, take
from engine.react import react
from engine.states import DraftState, HoldReason
from engine.wish import Author, Wish
from engine.write import Change, discard, update, write
from mailroom.api.door import Api
from mailroom.feather import FEATHER, document, name_of, uuid_of
from relent.assemble import House, desk
from relent.config import Config
from tests.doubles import MONDAY
from tests.makers import IDA, SAM, SECRET, enrolled, reply, sequence

KEY = "feather-key-1"
KIM = "kim@acme.example"
ANN = Author(id=new_id("key", MONDAY))
HOUR = timedelta(hours=1)
PATH = "/v1/email/drafts"

REQUIRED = [
    "id", "organization_id", "session_id", "account_id", "agent_id", "in_reply_to_turn_id", "mode",
    "status", "approval_state", "subject", "body_html", "body_text", "to", "cc", "bcc", "reply_to",
    "approved_by_member_id", "approved_at", "sent_turn_id", "evidence_snapshot", "auto_send_reason",
    "discarded_by_member_id", "discarded_at", "created_at", "updated_at",
]  # fmt: skip


@pytest.fixture
def laid(store, clock, mailbox, pace):
    config = Config(webhooks={"secrets": [SECRET]}, server={"api_keys": [KEY]})
    with store.transaction(clock.now(), "a test") as ledger:
        for each in (SAM, KIM):
            ledger.threads.open_inbox(each)
    return desk(House(config=config, store=store, mailbox=mailbox, clock=clock, pace=pace))


@pytest.fixture
def client(laid):
    server = Starlette(routes=[Mount("/v1/email", Api(laid, FEATHER))])
    with TestClient(server, headers={"x-api-key": KEY}) as client:
        yield client


@pytest.fixture
def drafts(client):
    """What is listed, and held against the document."""

    def listed(**query: Any) -> list[dict[str, Any]]:
        answer = client.get(PATH, params=query)
        assert answer.status_code == 200, answer.text
        fits("FeatherListDraftsResponse", answer.json())
        return answer.json()["drafts"]

    return listed


@pytest.fixture
def writes(laid):
    def one(**more: Any):
        usual = {"inbox_id": SAM, "to": (IDA,), "subject": "Hello", "text": "Good day."}
        return write(Wish(**usual | more), by=ANN, store=laid.store, clock=laid.clock).draft

    return one


def fits(name: str, said: Any) -> None:
    schema = {"$ref": f"#/components/schemas/{name}", **document()}
    Draft202012Validator(schema, format_checker=FormatChecker()).validate(said)


def counter(laid):
    return Counter(store=laid.store, clock=laid.clock, pace=laid.pace, lend=laid.lend)


def dispatch(laid, mailbox, after=HOUR):
    laid.clock.pass_(after)
    return list(dispatch_due(store=laid.store, mailbox=mailbox, clock=laid.clock, pace=laid.pace))


# --- the shape ---


def test_the_document_asks_for_all_twenty_five_fields_and_for_no_others():
    shape = document()["components"]["schemas"]["FeatherDraftResponse"]

    assert sorted(shape["required"]) == sorted(shape["properties"]) == sorted(REQUIRED)
    assert shape["additionalProperties"] is False


def test_the_parameters_are_the_documents():
    said = {each["name"]: each["schema"] for each in document()["paths"][PATH]["get"]["parameters"]}

    assert set(said) == {"session_id", "status", "cursor", "limit"}
    limit = {name: said["limit"][name] for name in ("type", "minimum", "maximum", "default")}
    assert limit == {"type": "integer", "minimum": 1, "maximum": 200, "default": 50}
    assert {"type": "string", "format": "uuid"} in said["session_id"]["anyOf"]


def test_a_draft_is_shown_with_everything_that_is_known_of_it(drafts, writes):
    written = writes(
        to=(IDA, "tom@nordic.example"),
        cc=("cc@x.example",),
        bcc=("bcc@x.example",),
        reply_to=("back@x.example",),
        names={IDA: "Ida Berg"},
        html="<p>Good day.</p>",
    )
    (shown,) = drafts()

    assert shown["to"] == [
        {"address": IDA, "name": "Ida Berg"},
        {"address": "tom@nordic.example", "name": None},
    ]
    assert [shown[kind][0]["address"] for kind in ("cc", "bcc", "reply_to")] == [
        "cc@x.example",
        "bcc@x.example",
        "back@x.example",
    ]
    assert (shown["subject"], shown["body_text"], shown["body_html"]) == (
        "Hello",
        "Good day.",
        "<p>Good day.</p>",
    )
    assert (shown["mode"], shown["agent_id"], shown["evidence_snapshot"]) == ("human_only", None, None)
    assert name_of("drf", UUID(shown["id"])) == written.id
    assert name_of("thr", UUID(shown["session_id"])) == written.thread_id
    assert datetime.fromisoformat(shown["created_at"]).tzinfo is not None


def test_a_letter_in_plain_text_is_shown_as_text_and_never_as_markup(drafts, writes):
    writes(text="Dear Ida,\n\n1 < 2 & <script>alert()</script>\nSam")

    assert drafts()[0]["body_html"] == (
        "<p>Dear Ida,</p><p>1 &lt; 2 &amp; &lt;script&gt;alert()&lt;/script&gt;<br>Sam</p>"
    )


def test_an_address_that_the_document_would_refuse_is_left_out(drafts, laid, writes, clock):
    draft = writes()
    with laid.store.transaction(clock.now(), "a test") as ledger:
        names = {IDA: "I" * 300}
        ledger.written.rewrite(
            draft, replace(draft, cc=("root@localhost",), names=names, content_sha="other")
        )
    (shown,) = drafts()

    assert (shown["cc"], shown["to"][0]["name"]) == ([], "I" * 255)


def test_the_same_inbox_and_the_same_house_have_the_same_name_everywhere(drafts, writes):
    for inbox in (SAM, SAM, KIM):
        writes(inbox_id=inbox)
    shown = drafts()

    assert len({each["organization_id"] for each in shown}) == 1
    assert [each["account_id"] == shown[-1]["account_id"] for each in shown] == [False, True, True]


@given(st.integers(0, 32**24 - 1), st.sampled_from(["drf", "thr"]))
def test_a_name_can_be_told_from_its_uuid(number, prefix):
    digits = "0123456789abcdefghjkmnpqrstvwxyz"
    name = f"{prefix}_" + "".join(digits[number >> 5 * place & 31] for place in reversed(range(24)))

    assert name_of(prefix, uuid_of(name, uuid4())) == name


def test_names_that_sort_by_birth_have_uuids_that_do():
    names = [new_id("drf", MONDAY + timedelta(milliseconds=number)) for number in range(50)]
    uuids = [str(uuid_of(each, uuid4())) for each in names]

    assert uuids == sorted(uuids)


def test_what_was_not_named_here_has_a_uuid_too():
    space = uuid4()

    assert uuid_of("key_config_1", space) == uuid_of("key_config_1", space) != uuid_of("key_config_2", space)
    assert name_of("thr", UUID(int=(5 << 8) + 1)) is None


# --- how far it has come ---


def test_written_is_a_draft_that_nobody_has_submitted(drafts, writes):
    writes()

    assert stand(drafts()) == ("draft", "unsubmitted", None)


def test_with_an_hour_from_its_author_no_human_was_asked_and_it_says_whose_word_it_was(
    drafts, writes, laid, clock
):
    draft = writes()
    clock.pass_(HOUR)
    update(draft.id, Change(send_at=clock.now() + HOUR), by=ANN, store=laid.store, clock=clock)
    (shown,) = drafts()

    assert stand([shown]) == ("approved", "auto_approved", str(uuid_of(ANN.id, uuid4())))
    assert shown["auto_send_reason"] == f"written by {ANN.id}, who may send"
    assert datetime.fromisoformat(shown["approved_at"]) == clock.now()


def test_what_waits_for_a_human_is_submitted_until_one_says_yes(drafts, laid, clock):
    enrolled(laid.store, clock.now(), wants=sequence(approval="all"))
    (shown,) = drafts(status="submitted")
    assert stand([shown]) == ("submitted", "pending", None)
    approve(name_of("drf", UUID(shown["id"])), by=Reviewer(id="sam"), store=laid.store, clock=clock)
    (shown,) = drafts(status="approved")

    assert (shown["approval_state"], shown["approved_by_member_id"] is not None) == ("approved", True)
    assert datetime.fromisoformat(shown["approved_at"]) == clock.now()
    assert shown["auto_send_reason"] is None


def test_what_was_seen_is_shown_with_the_yes(drafts, laid, clock):
    enrolled(laid.store, clock.now(), wants=sequence(approval="all"))
    (shown,) = drafts()
    assert shown["evidence_snapshot"] is None
    draft_id = name_of("drf", UUID(shown["id"]))
    approve(draft_id, by=Reviewer(id="sam"), store=laid.store, clock=clock)
    (shown,) = drafts()

    seen = shown["evidence_snapshot"]
    assert (seen["to"], seen["subject"], seen["text"]) == ([IDA], shown["subject"], shown["body_text"])
    withdraw(draft_id, by=Reviewer(id="sam"), store=laid.store, clock=clock)
    assert stand(drafts(status="submitted")) == ("submitted", "pending", None)
    assert drafts()[0]["evidence_snapshot"] is None


def test_a_letter_that_was_rejected_is_a_draft_again(drafts, laid, clock):
    enrolled(laid.store, clock.now(), wants=sequence(approval="all"))
    draft_id = name_of("drf", UUID(drafts()[0]["id"]))
    reject(draft_id, why="too bold", then="pause", by=Reviewer(id="sam"), store=laid.store, clock=clock)

    assert stand(drafts(status="draft")) == ("draft", "rejected", None)
    assert drafts(status="submitted") == []


def test_a_yes_that_was_followed_by_a_no_is_a_no(drafts, laid, clock):
    enrolled(laid.store, clock.now(), wants=sequence(approval="all"))
    draft_id = name_of("drf", UUID(drafts()[0]["id"]))
    approve(draft_id, by=Reviewer(id="sam"), store=laid.store, clock=clock)
    reject(draft_id, why="wrong person", then="stop", by=Reviewer(id="ann"), store=laid.store, clock=clock)
    (shown,) = drafts(status="discarded")

    assert stand([shown]) == ("discarded", "rejected", None)
    assert shown["discarded_by_member_id"] is not None


def test_what_sleeps_for_an_absence_has_its_yes_and_is_submitted_to_nobody(drafts, laid, clock, pace):
    enrolled(laid.store, clock.now())
    with laid.store.transaction(clock.now(), "a test") as ledger:
        (pending,) = ledger.views.drafts()
        draft = ledger.drafts.get(pending["draft_id"])
        assert ledger.drafts.hold(
            draft, HoldReason.OUT_OF_OFFICE, send_at=clock.now() + HOUR, until=clock.now() + HOUR
        )

    assert stand(drafts(status="approved")) == ("approved", "auto_approved", None)
    assert drafts(status="submitted") == []


@pytest.mark.parametrize(
    ("above", "steps", "why"),
    [
        ({}, None, "approval: none in the sequence"),
        ({"approval": {"steps": ["step-2"]}}, None, "approval: step-2, and this is step-1"),
        (
            {"approval": "all"},
            [{"subject": "Hi", "body": "Hello", "approve": False}],
            "approve: false at step-1",
        ),
    ],
)
def test_what_needs_no_yes_says_why(drafts, laid, clock, above, steps, why):
    enrolled(laid.store, clock.now(), wants=sequence(*(steps or ()), **above))
    (shown,) = drafts()

    assert stand([shown]) == ("approved", "auto_approved", None)
    assert shown["auto_send_reason"] == why


def test_of_a_sequence_that_asks_for_the_first_the_second_says_so(drafts, laid, clock, mailbox):
    enrolled(laid.store, clock.now(), wants=sequence(approval="first"))
    draft_id = name_of("drf", UUID(drafts()[0]["id"]))
    approve(draft_id, by=Reviewer(id="sam"), store=laid.store, clock=clock)
    dispatch(laid, mailbox)
    (shown,) = drafts(status="approved")

    assert shown["auto_send_reason"] == "approval: first, and this is step-2"


def test_what_has_left_is_sent_and_is_a_turn(drafts, writes, laid):
    draft = writes()
    take(draft.id, key=None, by=ANN, counter=counter(laid))
    answer = writes(in_reply_to=draft.message_id)
    shown = {name_of("drf", UUID(each["id"])): each for each in drafts()}

    assert stand([shown[draft.id]])[:2] == ("sent", "auto_approved")
    assert shown[draft.id]["sent_turn_id"] == shown[answer.id]["in_reply_to_turn_id"] is not None
    assert shown[answer.id]["session_id"] == shown[draft.id]["session_id"]


def test_what_is_leaving_is_being_sent(drafts, writes, clock, mailbox, laid):
    seen = []
    mailbox.after_gate = lambda letter: seen.extend(drafts(status="sending"))
    writes(send_at=clock.now() + HOUR)
    dispatch(laid, mailbox)

    assert stand(seen)[:2] == ("sending", "auto_approved")


@pytest.mark.parametrize(("trouble", "state"), [(PermanentFailure, "failed"), (NoAnswer, "uncertain")])
def test_what_was_refused_or_is_in_doubt_has_failed(drafts, writes, clock, mailbox, laid, trouble, state):
    def fail(letter):
        raise trouble("no such user")

    mailbox.after_gate = fail
    draft = writes(send_at=clock.now() + HOUR)
    dispatch(laid, mailbox)
    with laid.store.reading(clock.now()) as ledger:
        assert ledger.drafts.get(draft.id).state == state

    assert [each["status"] for each in drafts(status="failed")] == ["failed"]


def test_what_was_thrown_away_is_discarded_by_whoever_did_it(drafts, writes, laid, clock):
    draft = writes()
    clock.pass_(HOUR)
    discard(draft.id, by=ANN.id, store=laid.store, clock=clock)
    (shown,) = drafts(status="discarded")

    assert (shown["status"], shown["approval_state"]) == ("discarded", "unsubmitted")
    assert shown["discarded_by_member_id"] == str(uuid_of(ANN.id, uuid4()))
    assert datetime.fromisoformat(shown["discarded_at"]) == clock.now()


def test_what_an_answer_has_called_back_nobody_here_has_discarded(drafts, laid, clock, pace):
    enrolled(laid.store, clock.now(), wants=sequence(approval="all"))
    with laid.store.reading(clock.now()) as ledger:
        (draft,) = ledger.views.drafts()
    react(reply(draft["thread_id"]), b"{}", store=laid.store, clock=clock, pace=pace)
    (shown,) = drafts(status="discarded")

    assert (shown["approval_state"], shown["discarded_by_member_id"]) == ("rejected", None)
    assert shown["discarded_at"] is not None


def stand(shown):
    (one,) = shown
    return one["status"], one["approval_state"], one["approved_by_member_id"]


# --- which of them, a page at a time ---


def pages(client, **query: Any) -> Iterator[list[str]]:
    cursor = None
    while True:
        answer = client.get(PATH, params=query | ({"cursor": cursor} if cursor else {})).json()
        yield [name_of("drf", UUID(each["id"])) for each in answer["drafts"]]
        cursor = answer["next_cursor"]
        if cursor is None:
            return


def test_all_of_them_come_once_the_youngest_first_whatever_became_of_them(client, writes, laid, clock):
    made = []
    for number in range(7):
        made.append(writes().id)
        clock.pass_(HOUR)
        if number % 3 == 0:
            discard(made[-1], by="ann", store=laid.store, clock=clock)
    found = list(pages(client, limit=3))

    assert [len(each) for each in found] == [3, 3, 1]
    assert [one for each in found for one in each] == made[::-1]


def test_those_of_one_status_come_once_though_it_is_two_states_of_ours(client, writes, laid, clock):
    made = [writes().id for _ in range(6)]
    with laid.store.transaction(clock.now(), "a test") as ledger:
        for number, each in enumerate(made):
            draft = ledger.drafts.get(each)
            taken = ledger.written.take(draft, token="t", owner="o", lease=HOUR, by="ann")
            assert taken
            if number % 2:
                assert ledger.drafts.give_up(taken, "no such user")
            elif number:
                assert ledger.drafts.pass_gate(taken)
                assert ledger.drafts.doubt(ledger.drafts.get(each), "silence")
    found = list(pages(client, limit=2, status="failed"))

    assert [one for each in found for one in each] == made[:0:-1]
    assert [one for each in pages(client, status="sending") for one in each] == made[:1]


def test_those_of_one_session_are_those_of_its_thread(drafts, writes, laid):
    draft = writes()
    take(draft.id, key=None, by=ANN, counter=counter(laid))
    answers = [writes(in_reply_to=draft.message_id).id for _ in range(2)]
    writes()
    session = drafts()[-1]["session_id"]

    assert {name_of("drf", UUID(each["id"])) for each in drafts(session_id=session)} == {draft.id, *answers}
    assert len(drafts(session_id=session, status="draft")) == 2
    assert drafts(session_id=str(uuid4())) == []


def test_a_key_sees_the_drafts_of_its_scope_only(client, writes, laid, drafts):
    writes()
    own = writes(inbox_id=KIM)
    headers = {"x-api-key": laid.keys.make("Kim's", scope="inbox", scope_id=KIM).secret}
    shown = client.get(PATH, headers=headers).json()["drafts"]
    assert [name_of("drf", UUID(each["id"])) for each in shown] == [own.id]
    headers = {"x-api-key": laid.keys.make("All", scope="pod", scope_id="pod_default").secret}

    assert len(client.get(PATH, headers=headers).json()["drafts"]) == 2


def test_what_was_written_in_an_inbox_that_is_gone_is_not_shown(drafts, writes, laid, clock):
    draft = writes(inbox_id=KIM)
    with laid.store.transaction(clock.now(), "a test") as ledger:
        ledger.drafts.cancel([draft.id], "deleted")
        assert ledger.inboxes.delete(KIM)

    assert drafts() == []


# --- and why not ---


@pytest.mark.parametrize(
    ("query", "name", "kind"),
    [
        ("limit=0", "limit", "greater_than_equal"),
        ("limit=201", "limit", "less_than_equal"),
        ("limit=many", "limit", "int_parsing"),
        ("limit=", "limit", "int_parsing"),
        ("limit=1_0", "limit", "int_parsing"),
        ("status=pending", "status", "enum"),
        ("status=draft&status=DRAFT", "status", "enum"),
        ("status=", "status", "enum"),
        ("session_id=", "session_id", "uuid_parsing"),
        ("session_id=thr_1", "session_id", "uuid_parsing"),
        ("session_id=%7B12345678-1234-5678-1234-567812345678%7D", "session_id", "uuid_parsing"),
    ],
)
def test_a_parameter_that_cannot_be_read_is_422_with_its_place(client, query, name, kind):
    answer = client.get(f"{PATH}?{query}")

    assert answer.status_code == 422
    fits("FeatherHTTPValidationError", answer.json())
    (one,) = answer.json()["detail"]
    assert (one["loc"], one["type"], bool(one["msg"])) == (["query", name], kind, True)


def test_a_query_that_is_no_text_is_422(client):
    assert client.get(f"{PATH}?cursor=%ff").status_code == 422


@pytest.mark.parametrize("query", ["status=null", "session_id=null", "cursor=", "unknown=1", "limit=200"])
def test_what_is_null_or_unknown_is_passed_over(client, query):
    assert client.get(f"{PATH}?{query}").status_code == 200


def test_a_cursor_of_another_list_and_one_that_is_made_up_are_400(client, writes):
    for _ in range(2):
        writes()
    cursor = client.get(f"{PATH}?limit=1&status=draft").json()["next_cursor"]
    assert len(client.get(f"{PATH}?limit=5&status=draft", params={}).json()["drafts"]) == 2

    for query in ({"cursor": cursor}, {"cursor": cursor, "status": "sent"}, {"cursor": "made-up"}):
        answer = client.get(PATH, params=query)
        assert answer.status_code == 400
        fits("FeatherErrorResponse", answer.json())
    assert client.get(PATH, params={"cursor": cursor, "status": "draft", "limit": 9}).status_code == 200


@pytest.mark.parametrize(
    "headers", [{"x-api-key": ""}, {"x-api-key": "nobody's"}, {"x-api-key": "ключ".encode()}]
)
def test_without_a_key_that_somebody_knows_there_is_nothing(client, headers):
    for query in ("", "?limit=0"):
        answer = client.get(PATH + query, headers=headers)
        assert answer.status_code == 401
        fits("FeatherErrorResponse", answer.json())


def test_the_key_of_another_header_opens_nothing(laid):
    server = Starlette(routes=[Mount("/v1/email", Api(laid, FEATHER))])
    with closing(TestClient(server)) as client:
        assert client.get(PATH, headers={"Authorization": f"Bearer {KEY}"}).status_code == 401


def test_a_key_that_may_not_read_drafts_is_told_so(client, laid):
    key = laid.keys.make("Only inboxes", permissions={"inbox_read": True}).secret
    answer = client.get(PATH, headers={"x-api-key": key})

    assert answer.status_code == 403
    fits("FeatherErrorResponse", answer.json())


@pytest.mark.parametrize(("method", "path", "status"), [("POST", PATH, 405), ("GET", f"{PATH}/1", 404)])
def test_nothing_else_of_feather_is_here(client, method, path, status):
    answer = client.request(method, path)

    assert answer.status_code == status
    fits("FeatherErrorResponse", answer.json())


def test_a_written_draft_has_no_hour(writes):
    """What the mapping to `unsubmitted` leans on."""
    assert (writes().send_at, writes().state) == (NEVER, DraftState.WRITTEN)
