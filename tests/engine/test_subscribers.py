"""Somebody asks to be told: where to, what of, and for whom; and what is wrong with it is said."""

from base64 import b64decode
from datetime import timedelta
from ipaddress import ip_network

import pytest

from engine.errors import Forbidden, Invalid, NotFound
from engine.store.pages import Slice
from engine.store.subscribers import Within
from engine.subscribers import (
    KINDS,
    Change,
    Subscription,
    change,
    change_headers,
    rotate,
    subscribe,
    unsubscribe,
)
from tests.makers import SAM, open_thread
from webhooks.sender import why_never

URL = "https://crm.example/hook?key=secret-token"
KIM = "kim@acme.example"
HERE = Within(inbox_id=SAM)
POD = Within(pod_id="pod_default")


@pytest.fixture
def hands(store, clock):
    return {"by": "a test", "store": store, "clock": clock}


@pytest.fixture
def wants(hands):
    """Somebody asks to be told."""

    def wants(*, within=Within(), allow=(), **more):  # noqa: B008 - it is frozen
        usual = {"url": URL, "event_types": ["message.received"]}
        return subscribe(
            Subscription(**usual | more), within=within, judge=lambda url: why_never(url, allow), **hands
        )

    return wants


@pytest.fixture
def inboxes(store, clock):
    for address in (SAM, KIM):
        open_thread(store, clock.now(), address)


def wrong(raised):
    return [".".join(map(str, each.path)) for each in raised.value.issues]


def listed(store, clock, part=None, within=Within()):  # noqa: B008 - it is frozen
    with store.reading(clock.now()) as ledger:
        return ledger.subscribers.page_of(part or Slice(), within)


def test_everybody_gets_a_secret_of_their_own(wants):
    first, second = wants(), wants()
    assert first.secret != second.secret
    assert first.id.startswith("ep_")
    assert first.secret.startswith("whsec_")
    assert len(b64decode(first.secret.removeprefix("whsec_"))) == 32
    assert first.enabled


def test_it_is_kept_as_it_was_asked_for(store, clock, inboxes, wants):
    made = wants(
        event_types=["message.sent", "message.sent", "draft.held"],
        inbox_ids=["Sam@Acme.Example"],
        headers={"X-Token": "a"},
    )
    with store.reading(clock.now()) as ledger:
        kept = ledger.subscribers.get(made.id)
    assert kept == made
    assert (kept.event_types, kept.inbox_ids) == (("message.sent", "draft.held"), (SAM,))
    assert "secret" not in repr(kept)


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_is_told_may_be_asked_for(wants, kind):
    assert wants(event_types=[kind]).event_types == (kind,)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "x.test",
        "ftp://x.test/",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "http://",
        "http://x.test:99999/",
        "http://user:word@x.test/",
        "http://@x.test/",
        "http://x.test/a b",
        "http://x.test/\r\nHost: y.test",
        "http://x.test/\t",
        f"http://x.test/{'a' * 2048}",
        "http://127.0.0.1/",
        "http://127.1/",
        "http://127.0.0.1./",
        "http://0x7f.1/",
        "http://0x7f000001/",
        "http://2130706433/",
        "http://0177.0.0.1/",
        "http://0/",
        "http://①②⑦.0.0.1/",
        "http://127。0。0。1/",
        "http://[::1]/",
        "http://[::ffff:10.0.0.1]/",
        "http://[fe80::1]/",
        "http://10.0.0.1/",
        "http://0x0a000001/",
        "http://169.254.169.254/latest",
        "http://localhost/",
        "https://LOCALHOST:8443/hook",
        "http://localhost./",
        "http://anything.localhost/",
    ],
)
def test_what_can_never_be_right_is_refused_at_once(wants, url):
    with pytest.raises(Invalid) as refused:
        wants(url=url)
    assert wrong(refused) == ["url"]


@pytest.mark.parametrize(
    ("url", "allow"),
    [
        ("https://crm.example/hook", ""),
        ("http://8.8.8.8:8080/", ""),
        ("http://[2606:4700:4700::1111]/", ""),
        ("http://127.0.0.1:9/", "127.0.0.0/8"),
        ("http://localhost:9/", "127.0.0.0/8"),
        ("http://localhost:9/", "::1/128"),
        ("http://10.1.2.3/", "10.1.0.0/16"),
    ],
)
def test_what_may_be_right_is_taken(wants, url, allow):
    assert wants(url=url, allow=[ip_network(allow)] if allow else []).url == url


@pytest.mark.parametrize(
    ("asked", "where"),
    [
        ({"event_types": []}, ["event_types"]),
        ({"event_types": ["message.sent", "message.dreamt"]}, ["event_types.1"]),
        ({"inbox_ids": ["nobody@acme.example"]}, ["inbox_ids.0"]),
        ({"pod_ids": ["pod_nobody"]}, ["pod_ids.0"]),
        ({"headers": {"Host": "x.test"}}, ["headers.Host"]),
        ({"headers": {"X-Token": "a\r\nHost: x.test"}}, ["headers.X-Token"]),
        ({"headers": {"X-Token": "a", "x-token": "b"}}, ["headers"]),
        ({"headers": {f"X-{number}": "a" for number in range(21)}}, ["headers"]),
        ({"url": "x.test", "event_types": []}, ["url", "event_types"]),
    ],
)
def test_what_is_wrong_is_said_and_where(wants, asked, where):
    with pytest.raises(Invalid) as refused:
        wants(**asked)
    assert wrong(refused) == where


def test_of_places_ten_can_be_named(wants):
    with pytest.raises(Invalid) as refused:
        wants(inbox_ids=[f"b{number}@acme.example" for number in range(11)])
    assert wrong(refused)[0] == "inbox_ids"


def test_who_belongs_to_one_place_names_no_other(inboxes, wants):
    for within, asked in (
        (HERE, {"inbox_ids": [KIM]}),
        (HERE, {"pod_ids": ["pod_default"]}),
        (POD, {"pod_ids": ["pod_default"]}),
    ):
        with pytest.raises(Invalid) as refused:
            wants(within=within, **asked)
        assert wrong(refused) == list(asked)
    assert wants(within=POD, inbox_ids=[KIM]).pod_id == "pod_default"


def test_who_belongs_to_an_inbox_belongs_to_its_pod(inboxes, wants, store, clock):
    made = wants(within=HERE)
    assert (made.inbox_id, made.pod_id) == (SAM, "pod_default")
    assert listed(store, clock, within=HERE).items == [made]
    assert listed(store, clock, within=POD).items == [made]
    assert listed(store, clock, within=Within(inbox_id=KIM)).items == []
    assert made.hears_of(SAM, "pod_default")
    assert not made.hears_of(KIM, "pod_default")


def test_of_another_place_nobody_knows(inboxes, wants, hands, store, clock):
    made = wants(within=Within(inbox_id=KIM))
    for ask in (
        lambda: change(made.id, Change(enabled=False), within=HERE, **hands),
        lambda: change_headers(made.id, {"X": "a"}, within=HERE, **hands),
        lambda: rotate(made.id, within=HERE, **hands),
        lambda: unsubscribe(made.id, within=HERE, **hands),
    ):
        with pytest.raises(NotFound):
            ask()
    with store.reading(clock.now()) as ledger:
        assert ledger.subscribers.get(made.id, HERE) is None


# --- asked twice ---


def test_the_same_name_gives_the_first_again(wants):
    first = wants(client_id="mine")
    assert wants(client_id="mine", url="https://elsewhere.example/", event_types=["draft.held"]) == first


def test_a_name_of_another_place_is_taken_and_its_secret_is_told_to_nobody(inboxes, wants):
    wants(client_id="mine")
    with pytest.raises(Forbidden) as refused:
        wants(client_id="mine", within=HERE)
    assert refused.value.code == "resource_taken"


def test_the_name_of_who_was_deleted_is_free_again(wants, hands):
    first = wants(client_id="mine")
    unsubscribe(first.id, **hands)
    assert wants(client_id="mine").id != first.id


# --- changed ---


def test_what_is_not_said_stays_as_it_is(inboxes, wants, hands):
    made = wants(event_types=["message.sent", "draft.held"], inbox_ids=[SAM])
    assert change(made.id, Change(), **hands) == made
    assert change(made.id, Change(event_types=[], add_inbox_ids=[]), **hands) == made
    assert change(made.id, Change(event_types=["message.sent"]), **hands).event_types == ("message.sent",)
    assert change(made.id, Change(add_inbox_ids=[KIM, SAM]), **hands).inbox_ids == (SAM, KIM)
    assert change(made.id, Change(remove_inbox_ids=["SAM@acme.example"]), **hands).inbox_ids == (KIM,)
    seen = change(made.id, Change(add_pod_ids=["pod_default"], enabled=False), **hands)
    assert (seen.pod_ids, seen.enabled, seen.why_off) == (("pod_default",), False, None)
    assert change(made.id, Change(remove_pod_ids=["pod_default"]), **hands).pod_ids == ()


def test_a_change_is_looked_at_as_closely(inboxes, wants, hands):
    made = wants()
    for wish, where in (
        (Change(event_types=["message.dreamt"]), "event_types.0"),
        (Change(add_inbox_ids=["nobody@acme.example"]), "add_inbox_ids.0"),
        (Change(add_inbox_ids=[f"b{number}@acme.example" for number in range(11)]), "add_inbox_ids"),
    ):
        with pytest.raises(Invalid) as refused:
            change(made.id, wish, **hands)
        assert wrong(refused)[0] == where


def test_who_is_switched_off_by_hand_is_no_news_any_more(wants, hands, store, clock):
    made = wants()
    with store.transaction(clock.now(), "a test") as ledger:
        ledger.subscribers.switch_off(made, "it has taken nothing for days")
    assert change(made.id, Change(enabled=False), **hands).why_off is None
    with store.reading(clock.now()) as ledger:
        assert ledger.subscribers.switched_off() == []


def test_a_header_is_one_however_it_is_spelt(wants, hands):
    made = wants(headers={"X-Token": "a", "X-Other": "b"})
    assert change_headers(made.id, {"x-token": "c"}, **hands).headers == {"X-Other": "b", "x-token": "c"}
    assert change_headers(made.id, {}, ["X-OTHER", "x-never"], **hands).headers == {"x-token": "c"}
    with pytest.raises(Invalid):
        change_headers(made.id, {"Host": "x.test"}, **hands)
    with pytest.raises(Invalid):
        change_headers(made.id, {f"X-{number}": "a" for number in range(20)}, **hands)


def test_a_secret_is_replaced_and_the_one_before_it_lasts_a_day(wants, hands, clock):
    first = wants()
    second = rotate(first.id, **hands)
    assert second.keys(clock.now()) == (second.secret, first.secret)
    third = rotate(first.id, **hands)
    assert third.keys(clock.now()) == (third.secret, second.secret)
    assert third.keys(clock.now() + timedelta(days=1)) == (third.secret,)


def test_who_was_deleted_is_not_there(wants, hands, store, clock):
    made = wants()
    unsubscribe(made.id, **hands)
    assert listed(store, clock).items == []
    with pytest.raises(NotFound):
        unsubscribe(made.id, **hands)


def test_the_newest_comes_first_a_page_at_a_time(wants, store, clock):
    made = []
    for _ in range(5):
        made.append(wants())
        clock.pass_(timedelta(seconds=1))
    first = listed(store, clock, Slice(limit=2))
    second = listed(store, clock, Slice(limit=2, after=first.next))
    third = listed(store, clock, Slice(limit=2, after=second.next))
    assert [*first.items, *second.items, *third.items] == made[::-1]
    assert third.next is None
    assert listed(store, clock, Slice(ascending=True)).items == made
