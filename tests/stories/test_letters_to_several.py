"""A letter that somebody wrote by hand goes to all whom it names, once each, or to nobody, and says why."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select

from engine.approve import Reviewer, approve
from engine.brake import suppress
from engine.carry import Hands, carry
from engine.dispatch import dispatch_due
from engine.errors import NoAnswer
from engine.model import Attachment, Enclosure, Message, Sent, Thread
from engine.recover import recover, settle_doubt
from engine.seams import Trace
from engine.settle import INSIDE, CalledOff, Delivered, GaveUp, InDoubt, Postponed
from engine.states import DraftState, HoldReason
from engine.store.lists import Place
from engine.store.tables import arrival, telling
from engine.subscribers import KINDS, Subscription, subscribe
from engine.wish import Author, Wish
from engine.write import write
from mailroom.local import Capture, LocalMailbox
from mailroom.smtp_out import SmtpSettings, SmtpTransport
from tests.makers import IDA, SAM, enrolled, pending, people, sequence
from tests.smtp_server import SmtpServer, refuse

ANN = Author(id="key_ann")
KIM, CRM = "kim@acme.example", "crm@acme.example"
OLE, PER, EVA = "ole@nordic.example", "per@nordic.example", "eva@nordic.example"
PLAN = Enclosure(name="plan.txt", content_type="text/plain", content=b"one two")
DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def inboxes(store, clock):
    """Ours are Sam and Kim; and somebody wants to be told of everything."""
    with store.transaction(clock.now(), "a test") as ledger:
        ledger.threads.open_inbox(SAM)
        ledger.threads.open_inbox(KIM)
    wanted = Subscription(url="https://acme.example/hook", event_types=KINDS)
    subscribe(wanted, by="a test", judge=lambda url: None, store=store, clock=clock)


@pytest.fixture
def wish():
    return Wish(inbox_id=SAM, to=(IDA, OLE), cc=(PER,), bcc=(EVA,), subject="Hello", text="Good day.")


@pytest.fixture
def writes(store, clock):
    """Due now."""
    return lambda wish: write(replace(wish, send_at=clock.now()), by=ANN, store=store, clock=clock).draft


@pytest.fixture
def sends(store, clock, mailbox, pace):
    return lambda by=mailbox: list(dispatch_due(store=store, mailbox=by, clock=clock, pace=pace))


@pytest.fixture
def sent_to(writes, sends, mailbox):
    """What becomes of it."""

    def sent_to(wish):
        writes(wish)
        (outcome,) = sends()
        return outcome

    return sent_to


@pytest.fixture
def kept(store, clock):
    def kept(draft):
        with store.reading(clock.now()) as ledger:
            found = ledger.threads.letter(draft.inbox_id, draft.message_id)
        assert isinstance(found, Message)
        return found

    return kept


@pytest.fixture
def told(store):
    """What our subscriber was told, by kind."""

    def told(kind):
        with store.database.begin() as db:
            return [row.says for row in db.execute(select(telling).where(telling.c.kind == kind))]

    return told


@pytest.fixture
def under_way(store):
    """To which of our inboxes something is on its way."""

    def under_way():
        with store.database.begin() as db:
            return sorted(row.inbox_id for row in db.execute(select(arrival)))

    return under_way


@pytest.fixture
def change(store, clock):
    def change(inbox_id, **values):
        with store.transaction(clock.now(), "a test") as ledger:
            assert ledger.inboxes.update(inbox_id, **values)

    return change


@pytest.fixture
def block(store, clock):
    def block(entry, kind="block", scope="inbox", scope_id=SAM):
        with store.transaction(clock.now(), "a test") as ledger:
            ledger.lists.add(Place(scope=scope, scope_id=scope_id, direction="send", kind=kind), entry)

    return block


def draft_of(store, clock, draft_id):
    with store.reading(clock.now()) as ledger:
        return ledger.drafts.get(draft_id)


# --- everybody gets it ---


def test_one_letter_goes_to_everybody_and_is_remembered_as_it_went(writes, sends, wish, mailbox, kept, told):
    more = {
        "names": {IDA: "Ida Berg", PER: "Per"},
        "reply_to": (CRM,),
        "headers": {"X-Campaign": "north"},
        "labels": ("north", "sent"),
        "html": "<p>Good day.</p>",
        "files": (PLAN,),
    }
    draft = writes(replace(wish, **more))
    assert sends() == [Delivered(draft.id)]

    [letter] = mailbox.sent
    assert (letter.to, letter.also_to, letter.cc, letter.bcc) == (IDA, (OLE,), (PER,), (EVA,))
    message = kept(draft)
    assert (message.to, message.cc, message.bcc) == ((IDA, OLE), (PER,), (EVA,))
    assert (message.names, message.reply_to) == ({IDA: "Ida Berg", PER: "Per"}, (CRM,))
    assert (message.headers, message.html) == ({"X-Campaign": "north"}, "<p>Good day.</p>")
    assert sorted(message.labels) == ["north", "sent"]
    assert message.size == len("Good day.") + len("<p>Good day.</p>") + len(b"one two")
    assert [(each.id, each.name, each.size) for each in message.attachments] == [
        (draft.attachments[0].id, "plan.txt", 7)
    ]
    assert told("message.sent") == [{"recipients": [IDA, OLE, PER, EVA]}]


def test_it_comes_from_the_inbox_as_that_is_called(writes, sends, wish, mailbox, kept, change):
    change(SAM, display_name="Sam of Acme")
    draft = writes(replace(wish, names={IDA: "Ida", SAM: "The bank"}))
    sends()

    assert mailbox.sent[0].names == kept(draft).names == {IDA: "Ida", SAM: "Sam of Acme"}


# --- or nobody does ---

_PLACES = ["to", "also_to", "cc", "bcc"]


def with_reader(wish, place, address):
    if place in ("to", "also_to"):
        return replace(wish, to=(address, OLE) if place == "to" else (IDA, address))
    return replace(wish, **{place: (address,)})


@pytest.mark.parametrize("place", _PLACES)
@pytest.mark.parametrize("banned", [CRM, "acme.example"])
def test_who_is_never_to_be_written_to_stops_a_letter_for_everybody(
    store, clock, sent_to, wish, mailbox, told, place, banned
):
    suppress(banned, why="asked by phone", by="kim", store=store, clock=clock)
    outcome = sent_to(with_reader(wish, place, "CRM@acme.example"))

    assert isinstance(outcome, GaveUp)
    assert outcome.why == f"message_rejected: {CRM} may not be written to, asked by phone"
    assert mailbox.sent == []
    assert draft_of(store, clock, outcome.draft_id).state == DraftState.FAILED
    assert told("draft.failed") == told("message.rejected") == [{"reason": outcome.why}]
    assert told("message.sent") == []


@pytest.mark.parametrize("place", _PLACES)
@pytest.mark.parametrize("scope", [("inbox", SAM), ("organization", ""), ("pod", "pod_default")])
def test_so_does_who_is_blocked(sent_to, wish, mailbox, block, place, scope):
    block(CRM, "block", *scope)
    outcome = sent_to(with_reader(wish, place, CRM))

    assert isinstance(outcome, GaveUp)
    assert outcome.why.startswith(f"message_rejected: {CRM} may not be written to")
    assert mailbox.sent == []


def test_where_some_are_allowed_by_name_nobody_else_is_written_to(sent_to, wish, mailbox, block):
    for one in (IDA, OLE, PER):
        block(one, "allow")
    assert isinstance(sent_to(wish), GaveUp)
    block("nordic.example", "allow")
    assert isinstance(sent_to(wish), Delivered)


@pytest.mark.parametrize("place", _PLACES)
@pytest.mark.parametrize("how", ["suppressed", "blocked", "blocked before"])
def test_who_comes_to_stand_on_the_list_while_it_is_carried_stops_it_at_the_gate(
    store, clock, sent_to, wish, mailbox, told, block, place, how
):
    if how == "blocked before":  # somebody uses the lists, so that they are asked
        block("somebody@else.example")

    def meanwhile(letter):
        if how == "suppressed":
            suppress(CRM, why="asked by phone", by="kim", store=store, clock=clock)
        else:
            block(CRM)

    mailbox.before_gate = meanwhile
    outcome = sent_to(with_reader(wish, place, CRM))

    assert isinstance(outcome, GaveUp)
    assert outcome.why.startswith(f"message_rejected: {CRM} may not")
    assert mailbox.sent == []
    assert draft_of(store, clock, outcome.draft_id).state == DraftState.FAILED
    assert told("message.rejected") == [{"reason": outcome.why}]


def test_a_letter_to_nobody_fails_when_it_is_due(sent_to, wish):
    outcome = sent_to(replace(wish, to=None, cc=None, bcc=None))

    assert isinstance(outcome, GaveUp)
    assert outcome.why.startswith("nobody to write to")


# --- a sequence goes on without a copy ---

_COPIES = {"cc": [KIM, "boss@nordic.example"], "bcc": ["crm@old.example"]}


def _in_sequence(store, clock, **more):
    return enrolled(store, clock.now(), IDA, sequence({"subject": "Hi", "body": "Hello"} | _COPIES, **more))


@pytest.mark.parametrize("how", ["suppressed", "blocked"])
@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_a_copy_that_may_not_be_written_to_is_left_out(store, clock, sends, mailbox, block, how, when):
    _in_sequence(store, clock)

    def ban(letter=None):
        if how == "suppressed":
            suppress("boss@nordic.example", why="asked", by="kim", store=store, clock=clock)
        else:
            block("boss@nordic.example")

    if when == "before":
        ban()
    else:
        mailbox.before_gate = ban
    outcomes = sends()
    if when == "meanwhile":
        [postponed] = outcomes
        assert isinstance(postponed, Postponed)
        assert postponed.why == "it goes without a copy to boss@nordic.example"
        assert mailbox.sent == []
        mailbox.before_gate = lambda letter: None
        outcomes = sends()

    assert [type(outcome) for outcome in outcomes] == [Delivered]
    assert [(letter.cc, letter.bcc) for letter in mailbox.sent] == [((KIM,), ("crm@old.example",))]


@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_a_person_who_is_blocked_is_followed_up_no_more(store, clock, sends, mailbox, block, when):
    _in_sequence(store, clock)
    if when == "before":
        block(IDA)
    else:
        mailbox.before_gate = lambda letter: block(IDA)

    [outcome] = sends()

    assert isinstance(outcome, CalledOff)
    assert mailbox.sent == []
    assert [(one["state"], one["stop_reason"]) for one in people(store, clock.now())] == [
        ("stopped", "suppressed")
    ]


# --- an inbox that is closed ---


@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_a_paused_inbox_lets_nothing_written_by_hand_go(sent_to, wish, mailbox, change, told, when):
    if when == "before":
        change(SAM, paused=True)
    else:
        mailbox.before_gate = lambda letter: change(SAM, paused=True)

    outcome = sent_to(wish)

    assert isinstance(outcome, GaveUp)
    assert outcome.why.startswith("inbox_paused: ")
    assert mailbox.sent == []
    assert told("draft.failed") == [{"reason": outcome.why}]


@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_a_paused_inbox_holds_a_sequence_until_a_human_says_go(
    store, clock, sends, mailbox, change, told, when
):
    enrolled(store, clock.now())
    if when == "before":
        change(SAM, paused=True)
    else:
        mailbox.before_gate = lambda letter: change(SAM, paused=True)

    [outcome] = sends()

    assert isinstance(outcome, CalledOff)
    [held] = pending(store, clock.now())
    assert (held["state"], held["reason"]) == ("held", HoldReason.INBOX_PAUSED)
    assert told("draft.held") == [{"reason": "inbox_paused"}]
    assert people(store, clock.now())[0]["state"] == "active"

    mailbox.before_gate = lambda letter: None
    change(SAM, paused=False)
    assert sends() == []
    approve(held["draft_id"], by=Reviewer(id="kim"), store=store, clock=clock)
    assert [type(outcome) for outcome in sends()] == [Delivered]


def test_what_changed_while_it_was_carried_is_held_and_told(store, clock, sends, mailbox, told):
    enrolled(store, clock.now())
    draft_id = pending(store, clock.now())[0]["draft_id"]

    def reword(letter):
        with store.database.begin() as db:
            db.exec_driver_sql(f"UPDATE draft SET content_sha = 'another' WHERE id = '{draft_id}'")

    mailbox.before_gate = reword
    sends()

    assert draft_of(store, clock, draft_id).outcome == HoldReason.CHANGED
    assert told("draft.held") == [{"reason": "changed"}]


# --- readers who live here ---


def test_a_letter_for_nobody_out_there_needs_no_mailbox(
    store, clock, writes, sends, wish, mailbox, under_way, told
):
    draft = writes(replace(wish, to=("Kim@Acme.example",), cc=(SAM,), bcc=None))

    assert sends() == [Delivered(draft.id)]
    assert mailbox.sent == []
    assert under_way() == [KIM, SAM]
    left = draft_of(store, clock, draft.id)
    assert (left.state, left.carrier) == (DraftState.SENT, INSIDE)
    assert told("message.sent") == [{"recipients": ["Kim@Acme.example", SAM]}]


def test_a_letter_for_both_goes_both_ways(writes, sends, wish, mailbox, under_way):
    writes(replace(wish, cc=(KIM,)))
    sends()

    assert [(letter.inside, letter.cc) for letter in mailbox.sent] == [(frozenset({KIM}), (KIM,))]
    assert under_way() == [KIM]


def test_a_letter_that_is_called_back_at_the_gate_arrives_nowhere(
    store, clock, writes, sends, wish, under_way, change
):
    draft = writes(replace(wish, to=(KIM,), cc=None, bcc=None))
    change(SAM, paused=True)
    sends()

    assert under_way() == []
    assert draft_of(store, clock, draft.id).state == DraftState.FAILED


def test_an_inbox_that_was_deleted_is_somebody_out_there(
    store, clock, writes, sends, wish, mailbox, under_way
):
    with store.transaction(clock.now(), "a test") as ledger:
        assert ledger.inboxes.delete(KIM)
    writes(replace(wish, to=(KIM,), cc=None, bcc=None))
    sends()

    assert [letter.to for letter in mailbox.sent] == [KIM]
    assert under_way() == []


def test_who_died_before_it_was_written_down_has_sent_nothing_to_anybody_here(
    store, clock, writes, sends, wish, mailbox, pace, under_way, told
):
    """Whatever the mailbox says of letters that it never carried."""
    draft = writes(replace(wish, to=(KIM,), cc=None, bcc=None))
    with store.transaction(clock.now(), "somebody who dies") as ledger:
        [claimed] = ledger.drafts.claim(token="t", owner="nobody", lease=pace.lease, at_most=1)
        assert ledger.drafts.pass_gate(claimed, INSIDE, claimed.everybody)
    mailbox.knows = Trace.FOUND
    clock.pass_(timedelta(hours=1))
    for _ in range(2):
        recover(store=store, mailbox=mailbox, clock=clock, pace=pace)

    assert draft_of(store, clock, draft.id).state == DraftState.SCHEDULED
    assert told("draft.uncertain") == [{"reason": "its worker is gone; it may have left"}]
    assert sends() == [Delivered(draft.id)]
    assert under_way() == [KIM]


def test_by_real_smtp_only_those_out_there_are_carried_to(store, clock, pace, writes, sends, wish, under_way):
    with SmtpServer() as server:
        settings = SmtpSettings("127.0.0.1", server.port, tls="none", timeout=5, answer_timeout=5)
        post = LocalMailbox(SmtpTransport(settings, clock))
        writes(replace(wish, to=(KIM, IDA), cc=(SAM,), bcc=None, names={KIM: "Kim", IDA: "Ida, Berg"}))
        writes(replace(wish, to=(KIM,), cc=None, bcc=None))
        assert [type(outcome) for outcome in sends(post)] == [Delivered, Delivered]

    [taken] = server.accepted
    assert (taken.to, taken.copies) == (f"<{IDA}>", ())
    assert b'To: Kim <kim@acme.example>,\r\n "Ida, Berg" <ida@nordic.example>\r\n' in taken.data
    assert under_way() == [KIM, KIM, SAM]


def test_nothing_leaves_the_machine_of_who_only_captures(writes, sends, wish, under_way):
    writes(replace(wish, cc=(KIM,)))
    writes(replace(wish, to=(KIM,), cc=None, bcc=None))

    assert [type(outcome) for outcome in sends(LocalMailbox(Capture()))] == [Delivered, Delivered]
    assert under_way() == [KIM, KIM]


# --- who is refused by the mail server ---


def test_who_cannot_get_it_is_told_and_the_others_get_it(clock, writes, sends, wish, told):
    with SmtpServer() as server:
        server.faults["RCPT"] = refuse(OLE, EVA)
        settings = SmtpSettings("127.0.0.1", server.port, tls="none", timeout=5, answer_timeout=5)
        post = LocalMailbox(SmtpTransport(settings, clock))
        writes(wish)
        assert [type(outcome) for outcome in sends(post)] == [Delivered]

    assert (server.accepted[0].to, server.accepted[0].copies) == (f"<{IDA}>", (f"<{PER}>",))
    assert told("message.sent") == [{"recipients": [IDA, OLE, PER, EVA]}]
    refused = [{"address": one, "status": "5.1.1"} for one in (OLE, EVA)]
    assert told("message.bounced") == [{"type": "Permanent", "recipients": refused}]


@pytest.mark.parametrize(
    ("words", "kind", "status"),
    [
        ("550 no such user", "Permanent", "5.0.0"),
        ("553-5.7.1 not you", "Permanent", "5.7.1"),
        ("450 4.2.0 greylisted", "Transient", "4.2.0"),
        ("452 too many", "Transient", "4.0.0"),
    ],
)
def test_whether_another_letter_may_get_through_is_told_too(
    mailbox, writes, sends, wish, told, words, kind, status
):
    mailbox.send = lambda letter, gate: Sent("250 taken", {OLE: words}) if gate() else None
    writes(wish)
    sends()

    assert told("message.bounced") == [{"type": kind, "recipients": [{"address": OLE, "status": status}]}]


# --- a letter that answers another, or passes it on ---


@pytest.fixture
def asked(store, clock):
    """A letter that came in, with a file, and one of ours after it."""
    with store.transaction(clock.now(), "a test") as ledger:
        ledger.threads.add(
            Thread(id="thr_a", inbox_id=SAM, contact=IDA, subject="The plan", enrollment_id=None)
        )
        sha = "c" * 64
        ledger.drafts.keep_files({sha: b"one"})
        usual = {"inbox_id": SAM, "thread_id": "thr_a", "subject": "The plan", "timestamp": clock.now()}
        plan = Attachment(name="plan.pdf", content_type="application/pdf", sha=sha, size=3, content_id="plan")
        message = Message(
            message_id="<asked@nordic.example>",
            direction="received",
            sender=IDA,
            to=(SAM,),
            text="Here is the plan.",
            references=("<first@acme.example>",),
            attachments=(plan,),
            names={IDA: "Ida Berg"},
            **usual,
        )
        ledger.threads.keep(message)
        later = Message(
            message_id="<later@acme.example>",
            direction="sent",
            sender=SAM,
            to=(IDA,),
            text="Thanks.",
            **usual,
        )
        ledger.threads.keep(later)
    return message


def test_a_reply_answers_what_it_names_and_stays_in_its_conversation(writes, sends, mailbox, kept, asked):
    draft = writes(Wish(inbox_id=SAM, in_reply_to=asked.message_id, text="Yes."))
    sends()

    [letter] = mailbox.sent
    assert (letter.to, letter.in_reply_to) == (IDA, "<asked@nordic.example>")
    assert letter.references == ("<first@acme.example>", "<asked@nordic.example>")
    assert (kept(draft).thread_id, kept(draft).in_reply_to) == ("thr_a", "<asked@nordic.example>")


def test_a_forward_takes_words_and_files_along(writes, sends, mailbox, kept, asked):
    draft = writes(
        Wish(inbox_id=SAM, forward_of=asked.message_id, to=(OLE,), text="See below.", files=(PLAN,))
    )
    sends()

    [letter] = mailbox.sent
    assert (letter.subject, letter.in_reply_to) == ("Fwd: The plan", "<asked@nordic.example>")
    assert "From: Ida Berg <ida@nordic.example>" in letter.text
    assert letter.text.startswith("See below.")
    assert letter.text.endswith("Here is the plan.")
    assert [file.content for file in letter.attachments] == [b"one two", b"one"]
    own, taken = kept(draft).attachments
    assert own.id == draft.attachments[0].id
    assert (taken.name, taken.size, taken.content_id) == ("plan.pdf", 3, "plan")
    assert taken.id.startswith("att_")
    assert kept(draft).text == letter.text


def test_the_same_file_passed_on_again_is_asked_for_by_the_same_name(writes, sends, kept, asked):
    twice = [writes(Wish(inbox_id=SAM, forward_of=asked.message_id, to=(OLE,))) for _ in range(2)]
    sends()

    assert len({kept(draft).attachments[0].id for draft in twice}) == 1


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        ({"in_reply_to": "<asked@nordic.example>"}, "the letter that it answers is not there any more"),
        (
            {"forward_of": "<asked@nordic.example>", "to": (OLE,)},
            "the letter that it passes on is not there any more",
        ),
    ],
)
def test_what_was_deleted_is_neither_answered_nor_passed_on(
    store, writes, sends, mailbox, asked, wanted, why
):
    writes(Wish(inbox_id=SAM, text="Yes.", **wanted))
    with store.database.begin() as db:
        db.exec_driver_sql(
            "UPDATE message SET hidden = 'deleted' WHERE message_id = '<asked@nordic.example>'"
        )
    [outcome] = sends()

    assert isinstance(outcome, GaveUp)
    assert outcome.why == why
    assert mailbox.sent == []


# --- for the books ---


def test_what_may_have_left_is_written_down_as_it_was_whatever_has_happened_since(
    store, clock, writes, sends, mailbox, kept, asked, change, told
):
    def no_answer(letter):
        raise NoAnswer("the line went dead")

    mailbox.after_gate = no_answer
    draft = writes(Wish(inbox_id=SAM, in_reply_to=asked.message_id, text="Yes.", cc=(OLE,)))
    assert [type(outcome) for outcome in sends()] == [InDoubt]
    assert told("draft.uncertain") == [{"reason": "the line went dead"}]

    suppress(OLE, why="asked", by="kim", store=store, clock=clock)
    change(SAM, paused=True)
    with store.database.begin() as db:
        db.exec_driver_sql(
            "UPDATE message SET hidden = 'deleted' WHERE message_id = '<asked@nordic.example>'"
        )
    settle_doubt(draft.id, left=True, by="kim", store=store, clock=clock)

    assert (kept(draft).text, kept(draft).cc) == ("Yes.", (OLE,))
    assert kept(draft).in_reply_to == "<asked@nordic.example>"


def test_what_is_far_too_late_is_held_and_told(store, clock, mailbox, pace, writes, wish, told):
    writes(wish)
    clock.pass_(3 * DAY)
    recover(store=store, mailbox=mailbox, clock=clock, pace=pace)

    assert told("draft.held") == [{"reason": "late"}]


def test_one_letter_can_be_carried_by_whoever_holds_it(store, clock, mailbox, pace, writes, wish):
    draft = writes(wish)
    with store.transaction(clock.now(), "a test") as ledger:
        [claimed] = ledger.drafts.claim(token="t", owner="me", lease=pace.lease, at_most=1)

    assert carry(claimed, Hands(store, mailbox, clock, pace)) == Delivered(draft.id)
    assert isinstance(carry(claimed, Hands(store, mailbox, clock, pace)), CalledOff)
    assert len(mailbox.sent) == 1
