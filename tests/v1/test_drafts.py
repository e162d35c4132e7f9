"""Drafts over `/v1`: what is seen before a yes, the verbs, and what who comes too late is told."""

from datetime import timedelta

import pytest

from engine.consent import Consent, consent_of
from engine.dispatch import dispatch_due
from engine.react import react
from engine.states import HoldReason
from engine.store.overview import WhichDrafts
from engine.store.pages import Slice
from engine.wish import Author, Wish
from engine.write import discard, write
from tests.makers import IDA, SAM, enrolled, reply, sequence
from tests.v1.conftest import KIM

HOUR = timedelta(hours=1)
ALL = sequence(approval="all")


@pytest.fixture
def waits(store, clock, ask):
    """Somebody whose first letter waits for a yes."""

    def one(email=IDA, wants=ALL, **variables):
        enrolled(store, clock.now(), email, wants, **variables)
        return ask.get("/v1/drafts", approval_state="pending", to=email)["drafts"][0]

    return one


def dispatch(laid, mailbox, after=HOUR):
    laid.clock.pass_(after)
    return list(dispatch_due(store=laid.store, mailbox=mailbox, clock=laid.clock, pace=laid.pace))


def yes(ask, draft, **more):
    return ask.post(f"/v1/drafts/{draft['draft_id']}/approve", {"content_sha": draft["content_sha"]}, **more)


# --- what is seen ---


def test_a_letter_that_waits_is_shown_with_all_that_a_yes_is_said_to(waits, ask):
    draft = waits(first_name="Ida")
    seen = ask.get(f"/v1/drafts/{draft['draft_id']}")

    assert (seen["state"], seen["approval_state"], seen["auto_send_reason"]) == ("held", "pending", None)
    assert (seen["sequence"], seen["step"], seen["head"]) == ("Quick question", "step-1", 0)
    around = seen["evidence"]
    assert (around["template"], around["planned"].strip()) == ("Hello", "Hello")
    assert (around["variables"], around["thread"], around["reviews"]) == ({"first_name": "Ida"}, [], [])
    assert (around["may_say_yes"], around["you_may"]) == ([], True)
    assert around["leaves_at"]


def test_what_no_text_shows_is_there_as_it_will_leave(laid, ask):
    strange = "<script>alert(1)</script>\x1b[2J"
    wish = Wish(
        inbox_id=SAM,
        to=(IDA,),
        subject="Hello",
        text="Good day.",
        names={IDA: strange},
        reply_to=("desk@acme.example",),
        headers={"X-Campaign": strange},
        labels=("needs-review",),
    )
    made = write(wish, by=Author(id="ann"), store=laid.store, clock=laid.clock).draft
    seen = ask.get(f"/v1/drafts/{made.id}")

    assert (seen["names"], seen["headers"]) == ({IDA: strange}, {"X-Campaign": strange})
    assert seen["reply_to"] == ["desk@acme.example"]
    assert (seen["in_reply_to"], seen["forward_of"]) == (None, None)


def test_a_letter_that_answers_or_passes_on_another_names_it(waits, laid, ask, mailbox):
    yes(ask, waits())
    dispatch(laid, mailbox)
    (second,) = ask.get("/v1/drafts", approval_state="pending")["drafts"]
    (said,) = ask.get(f"/v1/drafts/{second['draft_id']}")["evidence"]["thread"]
    for field in ("in_reply_to", "forward_of"):
        wish = Wish(
            inbox_id=SAM, to=(KIM,), text="Look.", labels=("needs-review",), **{field: said["message_id"]}
        )
        made = write(wish, by=Author(id="ann"), store=laid.store, clock=laid.clock).draft
        seen = ask.get(f"/v1/drafts/{made.id}")
        assert {seen["in_reply_to"], seen["forward_of"]} == {said["message_id"], None}
        assert seen[field] == said["message_id"]


def test_everything_of_the_command_lines_json_is_there(waits, store, clock, ask):
    draft = waits()
    with store.reading(clock.now()) as ledger:
        (row,) = ledger.views.drafts()

    assert row.keys() <= draft.keys()
    same = row.keys() - {"send_at", "held_until", "yes_by"}
    assert {name: row[name] for name in same} == {name: draft[name] for name in same}


def test_one_that_asks_nobody_says_why(store, clock, ask):
    enrolled(store, clock.now())
    (draft,) = ask.get("/v1/drafts")["drafts"]

    assert (draft["approval_state"], draft["auto_send_reason"]) == (
        "auto_approved",
        "approval: none in the sequence",
    )


def test_a_draft_that_is_not_there_is_404(ask):
    ask.get("/v1/drafts/drf_1", status=404)
    ask.post("/v1/drafts/drf_1/submit", status=404)


# --- the verbs ---


def test_a_yes_lets_it_go_and_what_was_seen_is_kept(waits, ask, laid, mailbox):
    draft = waits()
    done = yes(ask, draft)

    assert (done["state"], done["approval_state"], done["approved_by"]) == (
        "scheduled",
        "approved",
        "key_config_1",
    )
    dispatch(laid, mailbox)
    assert [each.text for each in mailbox.sent] == [draft["text"]]
    (review,) = ask.get(f"/v1/drafts/{draft['draft_id']}")["evidence"]["reviews"]
    assert (review["verdict"], review["content_sha"], review["evidence"]["text"]) == (
        "approved",
        draft["content_sha"],
        draft["text"],
    )


@pytest.mark.parametrize("verb", ["approve", "edit", "send-now"])
def test_without_the_words_that_were_looked_at_it_is_400_and_says_where_they_are(waits, ask, verb):
    draft = waits()
    more = {"text": "Hi"} if verb == "edit" else {}
    refused = ask.post(f"/v1/drafts/{draft['draft_id']}/{verb}", more, status=400)

    (issue,) = refused["errors"]
    assert issue["path"] == ["content_sha"]
    assert "GET /v1/drafts/{draft_id}" in issue["message"]


def test_a_word_that_nobody_knows_is_400_and_nothing_is_decided(waits, ask):
    draft = waits()
    body = {"content_sha": draft["content_sha"], "aprove": True, "text": "Hi"}
    ask.post(f"/v1/drafts/{draft['draft_id']}/edit", body, status=400)

    assert ask.get(f"/v1/drafts/{draft['draft_id']}")["text"] == draft["text"]


def test_other_words_wait_for_a_yes_of_their_own(waits, ask):
    draft = waits()
    yes(ask, draft)
    body = {"content_sha": draft["content_sha"], "text": "Good morning"}
    changed = ask.post(f"/v1/drafts/{draft['draft_id']}/edit", body)

    assert (changed["text"], changed["approval_state"]) == ("Good morning\n", "pending")
    assert changed["content_sha"] != draft["content_sha"]


def test_edit_and_approve_is_one_request(waits, ask, laid, mailbox):
    draft = waits()
    body = {"content_sha": draft["content_sha"], "text": "Good morning", "approve": True}
    changed = ask.post(f"/v1/drafts/{draft['draft_id']}/edit", body)
    assert (changed["state"], changed["approval_state"]) == ("scheduled", "approved")
    dispatch(laid, mailbox)

    assert [each.text for each in mailbox.sent] == ["Good morning\n"]


def test_sent_now_it_waits_for_no_hour(waits, ask, laid, mailbox, clock):
    draft = waits(wants=sequence(approval="all", schedule={"timezone": "UTC", "windows": "13:00-14:00"}))
    ask.post(f"/v1/drafts/{draft['draft_id']}/send-now", {"content_sha": draft["content_sha"]})
    dispatch(laid, mailbox, timedelta(0))

    assert len(mailbox.sent) == 1


def test_another_hour_is_no_yes(waits, ask, clock):
    draft = waits()
    at = clock.now() + 5 * HOUR
    moved = ask.post(f"/v1/drafts/{draft['draft_id']}/reschedule", {"send_at": at.isoformat()})

    assert (moved["send_at"], moved["approval_state"]) == ("2026-03-02T14:00:00.000Z", "pending")
    assert yes(ask, moved)["send_at"] == moved["send_at"]
    ask.post(f"/v1/drafts/{draft['draft_id']}/reschedule", {"send_at": "2020-01-01T00:00:00Z"}, status=400)


@pytest.mark.parametrize(
    ("then", "state", "person"),
    [("pause", "held", "paused"), ("stop", "cancelled", "stopped")],
)
def test_a_no_says_why_and_what_becomes_of_the_person(waits, ask, then, state, person):
    draft = waits()
    body = {"reason": "too bold", "then": then, "content_sha": draft["content_sha"]}
    shown = ask.post(f"/v1/drafts/{draft['draft_id']}/reject", body)

    assert (shown["state"], shown["approval_state"]) == (state, "rejected")
    assert ask.get(f"/v1/enrollments/{draft['enrollment_id']}")["state"] == person
    ask.post(f"/v1/drafts/{draft['draft_id']}/reject", {"then": then}, status=400)


def test_a_step_can_be_passed_over(waits, ask, laid, mailbox):
    draft = waits()
    yes(ask, draft)
    dispatch(laid, mailbox)
    (second,) = ask.get("/v1/drafts", approval_state="pending")["drafts"]
    body = {"reason": "once is enough", "then": "skip"}
    ask.post(f"/v1/drafts/{second['draft_id']}/reject", body)
    (third,) = ask.get("/v1/drafts", approval_state="pending")["drafts"]

    assert (second["step"], third["step"]) == ("step-2", "step-3")


def test_the_first_letter_is_not_passed_over_and_it_says_why(waits, ask):
    draft = waits()
    refused = ask.post(f"/v1/drafts/{draft['draft_id']}/reject", {"reason": "no", "then": "skip"}, status=409)

    assert "first letter" in refused["message"]


def test_a_yes_can_be_taken_back(waits, ask, laid, mailbox):
    draft = waits()
    yes(ask, draft)
    back = ask.post(f"/v1/drafts/{draft['draft_id']}/withdraw", {"reason": "wait"})

    assert (back["state"], back["approval_state"], back["approved_by"]) == ("held", "pending", None)
    assert dispatch(laid, mailbox) == []


def test_a_letter_by_hand_asks_for_a_yes_and_goes_at_once_when_it_has_it(laid, ask, mailbox):
    wish = Wish(inbox_id=SAM, to=(IDA,), subject="Hello", text="Good day.")
    made = write(wish, by=Author(id="ann"), store=laid.store, clock=laid.clock).draft
    (shown,) = ask.get("/v1/drafts", approval_state="unsubmitted")["drafts"]
    assert (shown["draft_id"], shown["send_at"]) == (made.id, None)
    asked = ask.post(f"/v1/drafts/{made.id}/submit")
    assert asked["approval_state"] == "pending"
    yes(ask, asked)
    dispatch(laid, mailbox, timedelta(0))

    assert [each.to for each in mailbox.sent] == [IDA]


# --- who comes too late ---


def test_who_says_yes_to_other_words_is_told_who_changed_them(waits, ask, clock):
    draft = waits()
    ask.post(
        f"/v1/drafts/{draft['draft_id']}/edit", {"content_sha": draft["content_sha"], "text": "Other words"}
    )
    refused = yes(ask, draft, status=409)

    now = ask.get(f"/v1/drafts/{draft['draft_id']}")
    assert refused["name"] == "ConflictError"
    assert refused["changed"] == {
        "state": "held",
        "approval_state": "pending",
        "content_sha": now["content_sha"],
        "by": "key_config_1",
        "at": refused["changed"]["at"],
        "why": "edited",
    }


def test_who_says_yes_twice_is_told_of_the_first(waits, ask):
    draft = waits()
    yes(ask, draft)
    refused = yes(ask, draft, status=409)

    assert "approved by key_config_1 already" in refused["message"]
    assert refused["changed"]["approval_state"] == "approved"


def test_who_says_yes_after_an_answer_is_told_of_it(waits, ask, laid, pace):
    draft = waits()
    react(reply(draft["thread_id"]), b"{}", store=laid.store, clock=laid.clock, pace=pace)
    refused = yes(ask, draft, status=409)

    assert refused["changed"]["state"] == "cancelled"
    assert refused["changed"]["why"] == "replied"


def test_a_head_that_has_moved_is_409(waits, ask):
    draft = waits()
    body = {"content_sha": draft["content_sha"]}
    refused = ask.post(f"/v1/drafts/{draft['draft_id']}/approve", body | {"head": 7}, status=409)

    assert refused["changed"]["approval_state"] == "pending"
    ask.post(f"/v1/drafts/{draft['draft_id']}/approve", body | {"head": 0, "sender_name": ""})


def test_another_name_of_the_sender_is_409(waits, ask):
    draft = waits()
    whole = ask.get(f"/v1/drafts/{draft['draft_id']}")
    body = {"content_sha": draft["content_sha"], "sender_name": "Sam of Acme"}
    assert whole["sender_name"] == ""
    for path, said in (
        (f"{draft['draft_id']}/approve", body),
        (f"{draft['draft_id']}/reschedule", body | {"send_at": "2030-01-01T09:00:00Z"}),
    ):
        assert ask.post(f"/v1/drafts/{path}", said, status=409)["changed"]["why"] == "renamed"
    several = ask.post("/v1/drafts/approve", {"drafts": [body | {"draft_id": draft["draft_id"]}]})
    assert several["results"][0]["changed"]["why"] == "renamed"


def test_who_has_not_read_the_last_letter_is_told_who_wrote_it(waits, ask, laid, mailbox):
    draft = waits()
    yes(ask, draft)
    dispatch(laid, mailbox)
    (second,) = ask.get("/v1/drafts", approval_state="pending")["drafts"]
    seen = ask.get(f"/v1/drafts/{second['draft_id']}")
    assert [each["text"] for each in seen["evidence"]["thread"]] == [draft["text"]]
    body = {"content_sha": second["content_sha"], "head": seen["head"] - 1}
    refused = ask.post(f"/v1/drafts/{second['draft_id']}/approve", body, status=409)

    assert (refused["changed"]["by"], refused["changed"]["why"]) == (SAM, "the conversation went on")


# --- who may say yes ---


def test_no_key_is_somebody_whom_the_sequence_names(waits, ask, key_of):
    draft = waits(wants=sequence(approval={"steps": "all", "by": [KIM]}))
    assert ask.get(f"/v1/drafts/{draft['draft_id']}")["evidence"]["you_may"] is False
    refused = yes(ask, draft, status=403)
    assert (refused["code"], KIM in refused["message"]) == ("not_a_reviewer", True)
    called_kim = key_of("send", name=KIM)

    assert yes(ask, draft, status=403, key=called_kim)["code"] == "not_a_reviewer"


@pytest.mark.parametrize("verb", ["approve", "send-now", "reschedule"])
def test_a_key_that_only_drafts_lets_nothing_leave(waits, ask, key_of, verb):
    draft = waits()
    body = {"content_sha": draft["content_sha"]}
    refused = ask.post(f"/v1/drafts/{draft['draft_id']}/{verb}", body, key=key_of("draft"), status=403)

    assert refused["code"] == "missing_permission"


def test_a_key_that_only_drafts_edits_and_rejects_and_does_not_approve_by_the_way(waits, ask, key_of):
    draft, key = waits(), key_of("draft")
    path = f"/v1/drafts/{draft['draft_id']}"
    body = {"content_sha": draft["content_sha"], "text": "Hi"}
    ask.post(f"{path}/edit", body | {"approve": True}, key=key, status=403)
    assert ask.get(path)["content_sha"] == draft["content_sha"]
    changed = ask.post(f"{path}/edit", body, key=key)
    assert changed["approval_state"] == "pending"
    ask.post(f"{path}/reject", {"reason": "no"}, key=key)


def test_a_key_that_only_reads_changes_nothing(waits, ask, key_of):
    draft, key = waits(), key_of("read")
    path = f"/v1/drafts/{draft['draft_id']}"
    ask.get(path, key=key)
    for verb in ("approve", "edit", "send-now", "reschedule", "reject", "withdraw", "submit"):
        ask.post(f"{path}/{verb}", {}, key=key, status=403)


# --- several at once ---


def test_all_that_are_alike_are_approved_and_the_odd_one_is_left(waits, ask, clock):
    told = sequence({"subject": "Hi", "body": "Hello {{ company }}"}, approval="all")
    plain = [waits(f"p{number}@x{number}.example", told, company=f"Firm {number}") for number in range(3)]
    odd = waits("odd@odd.example", told, company="null")
    assert odd["oddities"]
    as_of = clock.now()
    clock.pass_(HOUR)
    late = waits("late@late.example", told, company="Later")
    body = {"alike": plain[0]["alike"], "as_of": as_of.isoformat()}
    done = ask.post("/v1/drafts/approve", body)

    assert (done["approved"], done["left"], done["next_after"]) == (3, 0, None)
    assert {each["draft_id"] for each in done["results"]} == {each["draft_id"] for each in plain}
    waiting = {each["draft_id"] for each in ask.get("/v1/drafts", approval_state="pending")["drafts"]}
    assert waiting == {odd["draft_id"], late["draft_id"]}


def test_whose_key_ends_at_an_inbox_hears_of_no_letter_in_another(waits, ask, clock, key_of, monkeypatch):
    monkeypatch.setattr("mailroom.v1.forms.MOST_AT_ONCE", 2)
    drafts = [waits(f"p{number}@x{number}.example") for number in range(5)]
    body = {"alike": drafts[0]["alike"], "as_of": clock.now().isoformat()}
    done = ask.post("/v1/drafts/approve", body, key=key_of(scope="inbox", scope_id=KIM))
    assert (done["results"], done["next_after"]) == ([], None)

    first = ask.post("/v1/drafts/approve", body, key=key_of(scope="inbox", scope_id=SAM))
    assert first["next_after"] == first["results"][-1]["draft_id"]


def test_of_several_each_is_told_what_became_of_it(waits, ask):
    good, gone, other = waits(), waits("tom@x.example"), waits("eva@y.example")
    yes(ask, gone)
    wanted = [
        {"draft_id": good["draft_id"], "content_sha": good["content_sha"]},
        {"draft_id": gone["draft_id"], "content_sha": gone["content_sha"]},
        {"draft_id": other["draft_id"], "content_sha": "0" * 64},
        {"draft_id": "drf_nobody", "content_sha": "0" * 64},
    ]
    done = ask.post("/v1/drafts/approve", {"drafts": wanted})

    assert [each["approved"] for each in done["results"]] == [True, False, False, False]
    assert done["results"][1]["changed"]["approval_state"] == "approved"
    assert done["results"][2]["changed"]["content_sha"] == other["content_sha"]
    assert "no draft" in done["results"][3]["why"]
    assert (done["approved"], done["left"]) == (1, 3)


@pytest.mark.parametrize(
    "body",
    [{}, {"alike": "x"}, {"drafts": []}, {"alike": "x", "as_of": "2026-03-02", "drafts": [{}]}],
)
def test_it_is_said_which_of_them(ask, body):
    ask.post("/v1/drafts/approve", body, status=400)


# --- lists ---


def test_every_filter_finds_what_it_says(waits, ask, store, clock, laid):
    waits()
    enrolled(store, clock.now(), "tom@x.example", sequence(name="Other", **{"from": KIM}))
    wish = Wish(inbox_id=SAM, to=("eva@y.example",), subject="Hello", text="Good day.")
    hand = write(wish, by=Author(id="ann"), store=store, clock=clock).draft

    def found(**query):
        return [each["to"] for each in ask.get("/v1/drafts", **query)["drafts"]]

    assert found() == ["eva@y.example", "tom@x.example", IDA]
    assert found(state="held") == found(sequence="Quick question") == found(to=IDA.upper()) == [IDA]
    assert found(inbox_id=KIM) == found(sequence="Other") == found(order="next") == ["tom@x.example"]
    assert found(approval_state="unsubmitted") == ["eva@y.example"]
    assert found(approval_state="auto_approved", sequence="Other") == ["tom@x.example"]
    assert found(approval_state="approved") == found(sequence="Nobody's") == []
    discard(hand.id, by="ann", store=store, clock=clock)
    assert found(state="cancelled") == ["eva@y.example"]
    ask.get("/v1/drafts", state="pending", status=400)
    ask.get("/v1/drafts", order="oldest", status=400)


@pytest.mark.parametrize("query", [{}, {"approval_state": "pending"}, {"sequence": "Quick question"}])
def test_a_list_comes_once_a_page_at_a_time(waits, ask, clock, query):
    made = []
    for number in range(7):
        made.append(waits(f"p{number}@x{number}.example")["draft_id"])
        clock.pass_(HOUR)
    found, token = [], None
    while True:
        page = ask.get("/v1/drafts", limit=3, page_token=token, **query)
        found.append([each["draft_id"] for each in page["drafts"]])
        token = page.get("next_page_token")
        if token is None:
            break

    assert [len(each) for each in found] == [3, 3, 1]
    assert [one for each in found for one in each] == made[::-1]
    ask.get("/v1/drafts", page_token="made-up", status=400)


def test_the_next_to_leave_come_by_their_hours(store, clock, ask):
    for number in range(5):
        enrolled(store, clock.now(), f"p{number}@x{number}.example")
        clock.pass_(-HOUR)
    found, token = [], None
    while token is not None or not found:
        page = ask.get("/v1/drafts", order="next", limit=2, page_token=token)
        found += [each["send_at"] for each in page["drafts"]]
        token = page.get("next_page_token")

    assert len(found) == 5
    assert found == sorted(found)


def test_a_page_of_a_rare_thing_may_be_empty_and_goes_on(waits, ask, store, clock, monkeypatch):
    monkeypatch.setattr("engine.store.overview._A_FEW", 2)
    monkeypatch.setattr("engine.store.overview._LOOKED_THROUGH", 3)
    rare = waits()
    for number in range(8):
        enrolled(store, clock.now(), f"p{number}@x{number}.example", sequence(name="Other"))
    found, token, pages = [], None, 0
    while token is not None or pages == 0:
        page = ask.get("/v1/drafts", sequence="Quick question", page_token=token)
        found += page["drafts"]
        token, pages = page.get("next_page_token"), pages + 1

    assert [each["draft_id"] for each in found] == [rare["draft_id"]]
    assert pages == 4  # nine, three at a time; the last page has to look that nothing is left


def test_the_database_says_of_every_letter_what_the_engine_says_of_it(
    waits, ask, laid, store, clock, mailbox
):
    """Which consent a letter has stands in Python and in SQL: they are the same."""
    author = Author(id="ann")
    for number, made in enumerate([waits(f"p{number}@x{number}.example") for number in range(6)]):
        path = f"/v1/drafts/{made['draft_id']}"
        if number in (1, 3, 5):
            yes(ask, made)
        if number in (2, 3):
            ask.post(f"{path}/reject", {"reason": "no", "then": "pause" if number == 2 else "stop"})
        if number == 4:
            react(reply(made["thread_id"]), b"{}", store=store, clock=clock, pace=laid.pace)
        if number == 5:
            dispatch(laid, mailbox)
    enrolled(store, clock.now(), "free@free.example", sequence(name="Free"))
    for send_at in (None, clock.now() + HOUR):
        wish = Wish(inbox_id=SAM, to=(IDA,), subject="Hi", text="Ho", send_at=send_at)
        made = write(wish, by=author, store=store, clock=clock).draft
        write(wish, by=author, store=store, clock=clock)
        discard(made.id, by="ann", store=store, clock=clock)
    with store.reading(clock.now()) as ledger:
        every = ledger.overview.drafts(WhichDrafts(), Slice(limit=100)).items
        reviews = ledger.reviews.of_all([each.draft.id for each in every])
        said = {
            each.draft.id: consent_of(
                each.draft,
                rejected=any(one.verdict == "rejected" for one in reviews.get(each.draft.id, [])[:1]),
            )
            for each in every
        }
        asked = {
            each.draft.id: consent
            for consent in Consent
            for each in ledger.overview.drafts(WhichDrafts(consent=consent), Slice(limit=100)).items
        }

    assert asked == said
    assert set(said.values()) == set(Consent)


def test_who_does_not_know_that_somebody_may_have_answered_says_no_yes(waits, ask, store, clock):
    draft = waits()
    path, body = f"/v1/drafts/{draft['draft_id']}", {"content_sha": draft["content_sha"], "head": 0}
    with store.transaction(clock.now(), "a test") as ledger:
        found = ledger.drafts.get(draft["draft_id"])
        ledger.drafts.hold(found, HoldReason.UNVERIFIED, send_at=found.send_at, until=None)
    for verb in ("approve", "send-now"):
        assert ask.post(f"{path}/{verb}", body, status=409)["changed"]["held_for"] == "unverified"
    several = ask.post("/v1/drafts/approve", {"drafts": [body | {"draft_id": draft["draft_id"]}]})
    assert several["results"][0]["changed"]["why"] == "unverified"
    assert ask.get(path)["held_for"] == "unverified"
    assert ask.post(f"{path}/approve", body | {"held_for": "unverified"})["approval_state"] == "approved"


def test_no_letter_leaves_sooner_by_a_key_that_may_not_send(waits, ask, key_of):
    draft = waits()
    body = {"reason": "not this one", "then": "skip"}
    path = f"/v1/drafts/{draft['draft_id']}/reject"
    refused = ask.post(path, body, key=key_of("draft"), status=403)
    assert "draft_send" in refused["message"]
    ask.post(path, body | {"then": "pause"}, key=key_of("draft"))
