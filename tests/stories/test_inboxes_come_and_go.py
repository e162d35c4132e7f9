"""An inbox is opened, changed, paused; and when it is deleted, nothing leaves it any more, and nobody else's mail stays behind."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import timedelta

import pytest

from engine.dispatch import dispatch_due
from engine.errors import Busy, Forbidden, Invalid, NotFound, Rejected
from engine.ids import follow_up_label
from engine.inboxes import (
    Change,
    Wanted,
    delete,
    delete_pod,
    open_inbox,
    open_pod,
    organization,
    organization_id,
    update,
)
from engine.keys import Keyring
from engine.model import Message
from engine.post import Counter, post
from engine.receive import Arrived, receive
from engine.store.letters import Sieve
from engine.store.lists import Place
from engine.store.pages import Slice
from engine.wake import wake_due
from engine.wish import Author, Wish
from engine.write import write
from mailroom.hearsay import told
from tests.makers import IDA, SAM, enrolled, label_a_follow_up, open_thread, pending, people, sequence

KIM = "kim@acme.example"
SERVED = ("acme.example", "second.example")


@pytest.fixture
def tell(store, clock):
    """What every story here is told with."""
    return {"by": "a test", "store": store, "clock": clock}


def _open(tell, **wanted):
    return open_inbox(Wanted(**{"username": "sam"} | wanted), domains=SERVED, **tell)


def _send_due(store, clock, mailbox, pace):
    return list(dispatch_due(store=store, mailbox=mailbox, clock=clock, pace=pace))


# --- opened ---


def test_an_inbox_gets_the_name_and_the_first_domain_that_is_served(tell):
    assert _open(tell).id == SAM
    assert _open(tell, username=" Kim+News ", domain="SECOND.example").id == "kim+news@second.example"


def test_an_inbox_of_which_nothing_is_said_has_an_address(tell):
    one, other = (open_inbox(Wanted(), domains=SERVED, **tell) for _ in range(2))

    assert one.id.endswith("@acme.example")
    assert one.id != other.id
    assert one.pod_id == "pod_default"
    assert one.created_at == one.updated_at


def test_where_no_domain_is_named_ours_will_do_and_those_in_use(tell, store, clock):
    def at(domain):
        return open_inbox(Wanted(username="sam", domain=domain), domains=(), **tell).id

    assert at(None) == "sam@relent.local"
    with pytest.raises(Forbidden):
        at("acme.example")
    with store.transaction(clock.now(), "a test") as ledger:
        ledger.threads.open_inbox(KIM)
    assert at("acme.example") == SAM


def test_while_nothing_leaves_an_inbox_may_be_anywhere_unless_domains_are_named(tell):
    wanted = Wanted(username="agent", domain="AgentMail.to")
    assert open_inbox(wanted, domains=(), anywhere=True, **tell).id == "agent@agentmail.to"
    with pytest.raises(Forbidden):
        open_inbox(wanted, domains=SERVED, anywhere=True, **tell)


@pytest.mark.parametrize("name", ["agent", None])
@pytest.mark.parametrize("domain", ["no domain", "a..b", "a/b.example", "-a.example", "[::1]", "localhost"])
def test_where_nobody_can_live_nobody_does(tell, name, domain):
    with pytest.raises(Invalid):
        open_inbox(Wanted(username=name, domain=domain), domains=(), anywhere=True, **tell)


def test_a_made_up_name_has_a_domain_that_goes_on_an_envelope(tell):
    made = open_inbox(Wanted(domain="M\u00fcnchen.example"), domains=(), anywhere=True, **tell)
    assert made.id.endswith("@xn--mnchen-3ya.example")


@pytest.mark.parametrize(
    "domain", ["elsewhere.example", "sub.acme.example", "cme.example", "relent.local", "", "@"]
)
def test_a_domain_that_is_not_served_is_refused(tell, domain):
    with pytest.raises(Forbidden) as told:
        _open(tell, domain=domain)
    assert told.value.code == "domain_not_verified"


@pytest.mark.parametrize(
    "username", ["", " ", "a b", "a@b", "a/b", "a#b", "a?b", "a%b", ".sam", "sam.", "a..b", "-x", "ü", "x" * 65, "a\nb", "<x>"]
)  # fmt: skip
def test_a_name_that_could_not_stand_in_a_path_is_told_of(tell, username):
    with pytest.raises(Invalid) as told:
        _open(tell, username=username)
    assert told.value.issues[0].path == ("username",)


def test_a_name_that_is_taken_is_refused(tell):
    _open(tell)

    with pytest.raises(Forbidden) as told:
        _open(tell, username="SAM")
    assert told.value.code == "resource_taken"


def test_the_same_client_id_gives_the_first_inbox_unchanged(tell):
    first = _open(tell, client_id="x", display_name="First")

    assert _open(tell, client_id="x", display_name="Second") == first
    assert _open(tell, client_id="x", username="kim", domain="elsewhere.example") == first


def test_two_who_open_it_at_once_get_the_same(tell):
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: open_inbox(Wanted(client_id="x"), domains=SERVED, **tell), range(8)))

    assert len({each.id for each in made}) == 1


def test_a_client_id_of_another_pod_tells_nothing_of_it(tell):
    north = open_pod("north", None, **tell).id
    _open(tell, client_id="x", pod_id=north)

    with pytest.raises(Forbidden) as told:
        _open(tell, client_id="x", username="kim")
    assert SAM not in str(told.value)


@pytest.mark.parametrize("client_id", ["", "a@b", "a:b", "a b", "ä", "x" * 257, "x\n"])
def test_a_client_id_of_other_signs_is_refused(tell, client_id):
    with pytest.raises(Invalid):
        _open(tell, client_id=client_id)


@pytest.mark.parametrize("name", ["two\nlines", "a\rb", "a\0b", "a\u2028b", "x" * 257])
def test_a_display_name_is_a_line(tell, name):
    with pytest.raises(Invalid):
        _open(tell, display_name=name)


def test_a_pod_that_is_none_has_no_inboxes(tell):
    with pytest.raises(NotFound):
        _open(tell, pod_id="pod_none")


# --- changed ---


def test_a_name_is_changed_and_taken_away(tell, clock):
    _open(tell, display_name="Sam")
    clock.pass_(timedelta(seconds=1))

    changed = update(SAM, Change(words={"display_name": "Samira"}), **tell)

    assert (changed.display_name, changed.updated_at) == ("Samira", clock.now())
    assert update(SAM, Change(words={"display_name": None}), **tell).display_name is None


def test_metadata_is_merged_and_a_key_without_a_value_goes(tell):
    _open(tell, metadata={"team": "north", "size": 3})

    assert update(SAM, Change(metadata={"size": 4, "vip": True}), **tell).metadata == {
        "team": "north",
        "size": 4,
        "vip": True,
    }
    assert update(SAM, Change(metadata={"team": None, "nobody": None}), **tell).metadata == {
        "size": 4,
        "vip": True,
    }
    assert update(SAM, Change(metadata={}), **tell).metadata == {"size": 4, "vip": True}
    assert update(SAM, Change(metadata=None), **tell).metadata == {}


@pytest.mark.parametrize(
    "metadata",
    [{"": 1}, {"x" * 257: 1}, {"x": "y" * 4097}, {"x": float("nan")}, {str(n): n for n in range(257)}],
)
def test_metadata_has_an_end(tell, metadata):
    _open(tell)

    for deed in (
        lambda: update(SAM, Change(metadata=metadata), **tell),
        lambda: _open(tell, username="kim", metadata=metadata),
    ):
        with pytest.raises(Invalid):
            deed()


def test_two_who_change_it_at_once_lose_nothing(tell):
    _open(tell)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: update(SAM, Change(metadata={str(n): n}), **tell), range(8)))

    assert len(update(SAM, Change(metadata={}), **tell).metadata) == 8


def test_a_change_of_nothing_or_of_what_never_changes_is_refused(tell):
    _open(tell)

    for change in (Change(), Change(words={"pod_id": "pod_x"})):
        with pytest.raises(Invalid):
            update(SAM, change, **tell)
    with pytest.raises(NotFound):
        update(KIM, Change(words={"paused": True}), **tell)


def test_a_paused_inbox_lets_nothing_leave_until_it_goes_on(tell, store, clock, mailbox, pace):
    thread = open_thread(store, clock.now())
    update(SAM, Change(words={"paused": True}), **tell)
    label_a_follow_up(store, clock.now(), thread, clock.now())
    _send_due(store, clock, mailbox, pace)
    assert mailbox.sent == []

    assert not update(SAM, Change(words={"paused": False}), **tell).paused
    after = label_a_follow_up(store, clock.now(), thread, clock.now())
    _send_due(store, clock, mailbox, pace)

    assert [letter.key for letter in mailbox.sent] == [after]


# --- deleted ---


def test_what_a_deleted_inbox_still_had_to_say_is_not_said(tell, store, clock, mailbox, pace):
    enrollment = enrolled(store, clock.now())
    thread = open_thread(store, clock.now())
    later = clock.now() + timedelta(hours=1)
    by_hand = label_a_follow_up(store, clock.now(), thread, later)
    unlabelled = label_a_follow_up(store, clock.now(), thread, later)
    with store.transaction(clock.now(), "a test") as ledger:
        ledger.threads.untag([unlabelled])

    delete(SAM, **tell)

    clock.pass_(timedelta(hours=2))
    _send_due(store, clock, mailbox, pace)
    assert mailbox.sent == []
    assert pending(store, clock.now()) == []
    ended = {
        row["draft_id"]: (row["state"], row["reason"]) for row in pending(store, clock.now(), ended=True)
    }
    assert {by_hand, unlabelled} < set(ended)
    assert set(ended.values()) == {("cancelled", "by_hand")}
    [person] = people(store, clock.now())
    assert (person["enrollment_id"], person["state"], person["stop_reason"]) == (
        enrollment,
        "stopped",
        "by_hand",
    )
    with store.reading(clock.now()) as ledger:
        assert follow_up_label(by_hand) not in ledger.threads.labels(thread)


def test_who_waits_for_their_next_step_is_not_written_to_either(tell, store, clock, mailbox, pace):
    enrolled(store, clock.now())
    _send_due(store, clock, mailbox, pace)
    assert len(mailbox.sent) == 1

    delete(SAM, **tell)
    clock.pass_(timedelta(days=4))
    wake_due(store=store, clock=clock)
    _send_due(store, clock, mailbox, pace)

    assert len(mailbox.sent) == 1
    assert people(store, clock.now())[0]["state"] == "stopped"


def test_no_other_inbox_is_touched(tell, store, clock, mailbox, pace):
    enrolled(store, clock.now())
    other = sequence(name="Another", **{"from": KIM})
    enrolled(store, clock.now(), wants=other)  # the same person, spoken to from somewhere else
    delete(SAM, **tell)

    _send_due(store, clock, mailbox, pace)

    assert [letter.sender for letter in mailbox.sent] == [KIM]
    assert {person["sequence"]: person["state"] for person in people(store, clock.now())} == {
        "Quick question": "stopped",
        "Another": "active",
    }


def test_a_letter_that_is_leaving_is_waited_for_and_nothing_is_half_done(tell, store, clock, mailbox, pace):
    enrolled(store, clock.now())
    enrolled(store, clock.now(), "tom@harbour.example")
    told = []

    def while_it_leaves(_):
        with pytest.raises(Busy) as busy:
            delete(SAM, **tell)
        told.append(busy.value)

    mailbox.after_gate = while_it_leaves
    _send_due(store, clock, mailbox, pace)

    assert len(mailbox.sent) == len(told) == 2
    assert {person["state"] for person in people(store, clock.now())} == {"active"}
    delete(SAM, **tell)
    assert pending(store, clock.now()) == []


def test_a_letter_in_somebodys_hands_is_still_called_back(tell, store, clock, mailbox, pace):
    enrolled(store, clock.now())
    mailbox.before_gate = lambda _: delete(SAM, **tell)

    _send_due(store, clock, mailbox, pace)

    assert mailbox.sent == []


def test_who_writes_and_is_written_to_while_it_is_deleted_hears_no_or_is_gone_with_it(
    tell, store, clock, mailbox, pace
):
    """Whatever is begun there takes the conversation first and then the inbox, as who deletes it does: else both hang."""

    @contextmanager
    def lend():
        yield mailbox

    counter = Counter(store=store, clock=clock, pace=pace, lend=lend)
    ann = Author(id="key_ann")
    for number in range(8):
        _open(tell)
        first = post(Wish(inbox_id=SAM, to=(IDA,), text="Hi"), key=None, by=ann, counter=counter)

        def write_on(each, first=first, number=number):
            soon = Wish(
                inbox_id=SAM,
                in_reply_to=first.message_id,
                text="So?",
                send_at=clock.now() + timedelta(hours=1),
            )
            came = Arrived(
                event_id=f"evt_{number}_{each}",
                inbox_id=SAM,
                message_id=f"<{number}.{each}@nordic.example>",
                sender=IDA,
                to=(SAM,),
            )
            with suppress(Busy, NotFound, Rejected):
                match each % 4:
                    case 0:
                        delete(SAM, **tell)
                    case 1:
                        receive(came, read=told, store=store, clock=clock, pace=pace)
                    case 2:
                        post(replace(soon, send_at=None), key=None, by=ann, counter=counter)
                    case _:
                        write(soon, by=ann, store=store, clock=clock)

        with ThreadPoolExecutor(8) as hands:
            list(hands.map(write_on, range(1, 17)))
        with suppress(NotFound):
            delete(SAM, **tell)
        with store.reading(clock.now()) as ledger:
            assert ledger.inboxes.still_to_be_said(SAM) == []
            assert ledger.letters.page_of(Sieve(inbox_id=SAM), Slice(limit=10)).items == []
            assert ledger.letters.conversations(Sieve(inbox_id=SAM), Slice(limit=10)).items == []


def test_what_was_said_is_gone_and_that_it_was_said_is_known(tell, store, clock):
    thread = open_thread(store, clock.now())
    letter = Message(
        message_id="<1@acme.example>",
        inbox_id=SAM,
        thread_id=thread,
        direction="sent",
        sender=SAM,
        to=(IDA,),
        subject="A secret",
        text="of ours",
        timestamp=clock.now(),
    )
    with store.transaction(clock.now(), "a test") as ledger:
        ledger.threads.keep(letter)

    delete(SAM, **tell)

    with store.reading(clock.now()) as ledger:
        [left] = ledger.threads.messages(thread)
        assert (left.hidden, left.subject, left.text) == ("deleted", "", "")
        assert ledger.threads.last_word_to(IDA) == clock.now()
        assert list(ledger.views.messages()) == []


def test_its_keys_and_lists_go_with_it_and_do_not_come_back(tell, store, clock):
    _open(tell, client_id="x")
    ring = Keyring(store=store, clock=clock)
    secret = ring.make("one", scope="inbox", scope_id=SAM).secret
    with store.transaction(clock.now(), "a test") as ledger:
        ledger.lists.add(Place(scope="inbox", scope_id=SAM, direction="send", kind="block"), IDA)

    delete(SAM, **tell)
    _open(tell, client_id="x")
    clock.pass_(timedelta(seconds=1))

    assert ring.know(secret) is None
    with store.reading(clock.now()) as ledger:
        assert ledger.lists.verdict("send", SAM, IDA) is None


def test_nothing_of_an_earlier_life_leaves_when_somebody_moves_in(tell, store, clock, mailbox, pace):
    thread = open_thread(store, clock.now())
    delete(SAM, **tell)
    label_a_follow_up(store, clock.now(), thread, clock.now())  # somebody was just writing

    _open(tell)
    _send_due(store, clock, mailbox, pace)

    assert mailbox.sent == []
    assert pending(store, clock.now()) == []


def test_a_deleted_inbox_is_deleted_once(tell):
    _open(tell)
    delete(SAM, **tell)

    for inbox_id in (SAM, KIM, ""):
        with pytest.raises(NotFound):
            delete(inbox_id, **tell)


def test_more_than_fit_in_one_question_are_called_back_all_the_same(tell, store, clock):
    thread = open_thread(store, clock.now())
    for _ in range(3):
        label_a_follow_up(store, clock.now(), thread, clock.now() + timedelta(hours=1))
    with store.transaction(clock.now(), "a test") as ledger:
        [one] = [draft for draft in [ledger.drafts.get(pending(store, clock.now())[0]["draft_id"])] if draft]
        many = [replace(one, id=f"drf_{n}", message_id=f"<{n}@acme.example>") for n in range(1200)]
        ledger.drafts.add_all(many)

    delete(SAM, **tell)

    assert pending(store, clock.now()) == []


# --- pods ---


def test_a_pod_is_deleted_when_nobody_lives_in_it(tell, store, clock):
    north = open_pod("north", None, **tell).id
    _open(tell, pod_id=north)

    with pytest.raises(Forbidden) as told:
        delete_pod(north, **tell)
    assert told.value.code == "cannot_delete"

    delete(SAM, **tell)
    secret = (ring := Keyring(store=store, clock=clock)).make("one", scope="pod", scope_id=north).secret
    delete_pod(north, **tell)
    assert ring.know(secret) is None
    with pytest.raises(NotFound):
        delete_pod(north, **tell)
    with pytest.raises(NotFound):
        _open(tell, username="kim", pod_id=north)


def test_the_pod_of_everybody_else_is_never_deleted(tell):
    with pytest.raises(Forbidden) as told:
        delete_pod("pod_default", **tell)
    assert told.value.code == "cannot_delete"


@pytest.mark.parametrize("name", ["", " ", "two\nlines", "x" * 257])
def test_the_name_of_a_pod_is_a_line(tell, name):
    with pytest.raises(Invalid):
        open_pod(name, None, **tell)


def test_a_pod_is_made_once_for_each_client_id(tell):
    assert open_pod("north", "x", **tell) == open_pod("south", "x", **tell)
    with pytest.raises(Invalid):
        open_pod("north", "a b", **tell)


# --- and whose all this is ---


def test_the_organisation_is_the_same_for_ever_and_tells_nothing_of_the_key(tell, store, clock):
    _open(tell)
    _open(tell, domain="second.example")
    with store.reading(clock.now()) as ledger:
        ours, key = organization(ledger), ledger.instance_key()

    assert (ours.inbox_count, ours.domain_count) == (2, 2)
    assert ours.id == organization_id(key) != organization_id(key[::-1])
    assert ours.id.startswith("org_")
    assert len(ours.id) == 28
    assert ours.id == ours.id.lower()
    assert key.hex()[:8] not in ours.id


def test_a_page_of_inboxes_never_shows_a_deleted_one(tell, store, clock):
    for number in range(5):
        _open(tell, username=f"box-{number}")
    delete("box-3@acme.example", **tell)

    with store.reading(clock.now()) as ledger:
        page = ledger.inboxes.list(Slice(limit=10))
    assert [each.id for each in page.items] == [f"box-{n}@acme.example" for n in (4, 2, 1, 0)]
