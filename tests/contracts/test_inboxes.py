"""The shelves of inboxes, pods and lists, on both databases."""

from datetime import timedelta

import pytest

from engine.errors import Forbidden, Invalid
from engine.model import Inbox
from engine.store.lists import Place
from engine.store.pages import Slice
from tests.doubles import MONDAY
from tests.makers import IDA, SAM

KIM = "kim@acme.example"


def inbox(address=SAM, **more):
    return Inbox(
        **{"id": address, "pod_id": "pod_default", "created_at": MONDAY, "updated_at": MONDAY} | more
    )


@pytest.fixture
def ledger(store, clock):
    with store.transaction(clock.now(), "a test") as ledger:
        yield ledger


# --- inboxes ---


def test_what_was_made_is_found_as_it_was_made(ledger):
    new = inbox(display_name="Sam", client_id="sam-1", paused=True, metadata={"team": "north", "size": 3})

    assert ledger.inboxes.create(new) == new
    assert ledger.inboxes.get(SAM) == new
    assert ledger.inboxes.of([SAM, KIM]) == {SAM: new}
    assert ledger.inboxes.called("sam-1") == new


def test_an_address_is_given_once(ledger):
    ledger.inboxes.create(inbox())

    assert ledger.inboxes.create(inbox(display_name="Another")) is None
    assert ledger.inboxes.get(SAM).display_name is None


def test_one_client_id_is_one_inbox(ledger):
    first = ledger.inboxes.create(inbox(client_id="x"))

    assert ledger.inboxes.create(inbox(KIM, client_id="x")) == first
    assert ledger.inboxes.get(KIM) is None


def test_only_what_is_named_is_changed(ledger):
    ledger.inboxes.create(inbox(display_name="Sam", metadata={"team": "north"}))

    changed = ledger.inboxes.update(SAM, paused=True)

    assert (changed.display_name, changed.paused, changed.metadata) == ("Sam", True, {"team": "north"})
    assert changed == ledger.inboxes.get(SAM)
    assert ledger.inboxes.update(KIM, paused=True) is None


def test_what_was_deleted_is_not_there(ledger):
    ledger.inboxes.create(inbox(client_id="x"))

    assert ledger.inboxes.delete(SAM)

    assert ledger.inboxes.get(SAM) is None
    assert ledger.inboxes.called("x") is None
    assert ledger.inboxes.update(SAM, paused=True) is None
    assert ledger.inboxes.list(Slice()).items == []
    assert ledger.inboxes.search(["sam"], Slice()).items == []
    assert not ledger.inboxes.delete(SAM)


def test_somebody_new_may_move_in_where_somebody_lived(ledger):
    ledger.inboxes.create(inbox(client_id="x", metadata={"team": "north"}))
    ledger.inboxes.delete(SAM)
    new = inbox(created_at=MONDAY + timedelta(days=1), client_id="x")

    assert ledger.inboxes.create(new) == new
    assert ledger.inboxes.get(SAM).metadata == {}


def test_the_newest_comes_first_and_nobody_is_lost_between_pages(ledger):
    made = [f"box-{number}@acme.example" for number in range(7)]
    for number, address in enumerate(made):
        born = MONDAY + timedelta(minutes=number // 2)  # some at the same instant
        ledger.inboxes.create(inbox(address, created_at=born))

    for ascending in (False, True):
        found, part = [], Slice(limit=3, ascending=ascending)
        while True:
            page = ledger.inboxes.list(part)
            found += [each.id for each in page.items]
            if page.next is None:
                break
            part = Slice(limit=3, ascending=ascending, after=page.next)
        assert found == (made if ascending else made[::-1])


def test_a_pod_lists_its_own(ledger):
    pod = ledger.inboxes.create_pod("north", None)
    ledger.inboxes.create(inbox())
    ledger.inboxes.create(inbox(KIM, pod_id=pod.id))

    assert [each.id for each in ledger.inboxes.list(Slice(), pod_id=pod.id).items] == [KIM]
    assert [each.id for each in ledger.inboxes.list(Slice(), inbox_id=SAM).items] == [SAM]
    assert ledger.inboxes.list(Slice(), pod_id=pod.id, inbox_id=SAM).items == []


def test_a_search_looks_for_every_word_in_address_and_name(ledger):
    ledger.inboxes.create(inbox(display_name="Sam from Sales"))
    ledger.inboxes.create(inbox("kim_100@acme.example", display_name="50% Kim"))

    def found(*words):
        return [each.id for each in ledger.inboxes.search(words, Slice()).items]

    assert found("SALES", "acme") == [SAM]
    assert found("sales", "kim") == []
    assert found("%") == ["kim_100@acme.example"]
    assert found("_") == ["kim_100@acme.example"]
    assert found("m_1") == ["kim_100@acme.example"]
    assert len(found("acme")) == 2


def test_everything_is_counted(ledger):
    for address in (SAM, KIM, "a@north.example", "b@gone.example"):
        ledger.inboxes.create(inbox(address))
    ledger.inboxes.delete("b@gone.example")

    count = ledger.inboxes.count()

    assert (count.inboxes, count.domains) == (3, 2)
    assert count.created_at.tzinfo


def test_a_domain_is_served_where_somebody_lives(ledger):
    ledger.inboxes.create(inbox("a@ac_me.example"))

    assert ledger.inboxes.serves("ac_me.example")
    assert not ledger.inboxes.serves("acxme.example")
    assert not ledger.inboxes.serves("me.example")


# --- pods ---


def test_a_new_database_has_one_pod(ledger):
    [only] = ledger.inboxes.pods(Slice()).items
    assert only.id == "pod_default"


def test_a_pod_is_made_once_for_each_client_id(ledger):
    first = ledger.inboxes.create_pod("north", "x")

    assert ledger.inboxes.create_pod("south", "x") == first == ledger.inboxes.pod(first.id)
    assert ledger.inboxes.create_pod("north", None) != first
    assert ledger.inboxes.create_pod(None, None).name.startswith("pod_")


def test_a_pod_that_was_deleted_is_not_there_and_nothing_of_it_holds(ledger):
    pod = ledger.inboxes.create_pod("north", "x")
    place = Place(scope="pod", scope_id=pod.id, direction="send", kind="block")
    ledger.lists.add(place, IDA)

    ledger.inboxes.delete_pod(pod.id)

    assert ledger.inboxes.pod(pod.id) is None
    assert ledger.inboxes.enter_pod(pod.id) is None
    assert ledger.lists.get(place, IDA) is None
    assert ledger.inboxes.create_pod("north", "x").id != pod.id


# --- lists ---

BLOCKED = Place(scope="inbox", scope_id=SAM, direction="send", kind="block")


def test_somebody_is_put_on_a_list_once(ledger):
    first = ledger.lists.add(BLOCKED, "Ida@Nordic.Example", "asked us to stop")

    assert (first.entry, first.reason, first.read_only) == (IDA, "asked us to stop", False)
    assert ledger.lists.add(BLOCKED, IDA, "again") == first == ledger.lists.get(BLOCKED, IDA.upper())
    assert ledger.lists.remove(BLOCKED, IDA)
    assert not ledger.lists.remove(BLOCKED, IDA)
    assert ledger.lists.get(BLOCKED, IDA) is None


def test_a_domain_stands_on_a_list_without_its_sign(ledger):
    assert ledger.lists.add(BLOCKED, "Nordic.Example").entry == "nordic.example"


@pytest.mark.parametrize(
    "entry", ["", "no address", "@", "a@@b", "@nordic.example", "a b@c.example", "x" * 300]
)
def test_what_is_neither_an_address_nor_a_domain_is_refused(ledger, entry):
    with pytest.raises(Invalid):
        ledger.lists.add(BLOCKED, entry)


def test_a_list_is_read_by_name_a_page_at_a_time(ledger):
    names = ["a.example", "b@x.example", "c.example", "d.example", "e.example"]
    for name in reversed(names):
        ledger.lists.add(BLOCKED, name)

    first = ledger.lists.list(BLOCKED, Slice(limit=2))
    second = ledger.lists.list(BLOCKED, Slice(limit=2, after=first.next))
    third = ledger.lists.list(BLOCKED, Slice(limit=2, after=second.next))

    assert [each.entry for page in (first, second, third) for each in page.items] == names
    assert third.next is None


def test_lists_do_not_mix(ledger):
    ledger.lists.add(BLOCKED, IDA)
    for other in (
        Place(direction="send", kind="block"),
        Place(scope="inbox", scope_id=KIM, direction="send", kind="block"),
        Place(scope="inbox", scope_id=SAM, direction="receive", kind="block"),
        Place(scope="inbox", scope_id=SAM, direction="send", kind="allow"),
        Place(scope="pod", scope_id=SAM, direction="send", kind="block"),
    ):
        assert ledger.lists.get(other, IDA) is None


def test_who_is_never_written_to_again_stands_among_the_blocked_and_stays_there(ledger):
    everywhere = Place(direction="send", kind="block")
    ledger.inbound.suppress(IDA, "complained")
    ledger.inbound.suppress("tom@harbour.example", "bounced")
    ledger.lists.add(everywhere, "a.example")

    listed = ledger.lists.list(everywhere, Slice(limit=2))
    rest = ledger.lists.list(everywhere, Slice(limit=2, after=listed.next))

    assert [(each.entry, each.read_only) for page in (listed, rest) for each in page.items] == [
        ("a.example", False),
        (IDA, True),
        ("tom@harbour.example", True),
    ]
    assert ledger.lists.add(everywhere, IDA, "mine").reason == "complained"
    with pytest.raises(Forbidden) as told:
        ledger.lists.remove(everywhere, IDA)
    assert told.value.code == "cannot_delete"
    assert ledger.lists.list(BLOCKED, Slice()).items == []


def test_who_is_blocked_and_then_suppressed_stands_there_once(ledger):
    everywhere = Place(direction="send", kind="block")
    ledger.lists.add(everywhere, IDA, "by hand")
    ledger.inbound.suppress(IDA, "complained")

    [only] = ledger.lists.list(everywhere, Slice()).items

    assert (only.reason, only.read_only) == ("complained", True)


def _say(ledger, where, kind, *entries, direction="send"):
    scopes = {"inbox": SAM, "pod": "pod_default", "organization": ""}
    for entry in entries:
        ledger.lists.add(Place(scope=where, scope_id=scopes[where], direction=direction, kind=kind), entry)


@pytest.mark.parametrize(
    ("said", "verdict"),
    [
        ([], None),
        ([("organization", "block", IDA)], "block"),
        ([("organization", "allow", IDA)], "allow"),
        ([("organization", "block", "nordic.example")], "block"),
        ([("organization", "block", "another.example")], None),
        ([("organization", "block", "ordic.example")], None),
        ([("organization", "allow", "another.example")], "block"),
        ([("organization", "block", IDA), ("pod", "allow", IDA)], "allow"),
        ([("pod", "block", IDA), ("inbox", "allow", IDA)], "allow"),
        ([("inbox", "block", IDA), ("organization", "allow", IDA)], "block"),
        ([("inbox", "allow", IDA), ("inbox", "block", "nordic.example")], "block"),
        ([("inbox", "allow", "nordic.example"), ("inbox", "block", IDA)], "block"),
        ([("inbox", "block", "another.example"), ("pod", "block", IDA)], "block"),
        ([("inbox", "block", "another.example"), ("organization", "allow", IDA)], "allow"),
        ([("inbox", "allow", "another.example"), ("organization", "allow", IDA)], "block"),
        ([("pod", "allow", "another.example"), ("inbox", "allow", IDA)], "allow"),
    ],
)
def test_who_is_nearer_has_the_last_word_and_a_block_beats_an_allowance(ledger, said, verdict):
    ledger.inboxes.create(inbox())
    for each in said:
        _say(ledger, *each)

    assert ledger.lists.verdict("send", SAM, "IDA@nordic.example") == verdict
    assert ledger.lists.verdict("receive", SAM, IDA) is None


def test_several_are_judged_at_once(ledger):
    ledger.inboxes.create(inbox())
    _say(ledger, "inbox", "allow", IDA, "harbour.example", direction="reply")

    assert ledger.lists.verdicts("reply", SAM, [IDA, "tom@harbour.example", KIM]) == {
        IDA: "allow",
        "tom@harbour.example": "allow",
        KIM: "block",
    }


def test_a_pod_says_nothing_to_inboxes_of_another(ledger):
    pod = ledger.inboxes.create_pod("north", None)
    ledger.inboxes.create(inbox())
    ledger.inboxes.create(inbox(KIM, pod_id=pod.id))
    ledger.lists.add(Place(scope="pod", scope_id=pod.id, direction="send", kind="block"), IDA)

    assert ledger.lists.verdict("send", KIM, IDA) == "block"
    assert ledger.lists.verdict("send", SAM, IDA) is None


def test_an_inbox_that_is_deleted_takes_its_lists_along(ledger):
    ledger.inboxes.create(inbox())
    _say(ledger, "inbox", "block", IDA)
    _say(ledger, "organization", "block", "harbour.example")

    ledger.inboxes.delete(SAM)
    ledger.inboxes.create(inbox())

    assert ledger.lists.verdict("send", SAM, IDA) is None
    assert ledger.lists.verdict("send", SAM, "tom@harbour.example") == "block"
