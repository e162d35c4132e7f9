"""The shelf of keys, on both databases."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy.exc import IntegrityError

from engine.model import Inbox
from engine.store.keys import ApiKey
from engine.store.pages import Slice
from tests.doubles import MONDAY
from tests.makers import SAM

KIM = "kim@acme.example"


def key(number=1, **more):
    usual = {
        "id": f"key_{number}",
        "prefix": "am_aaaaaaaaa",
        "name": "ours",
        "scope": "organization",
        "scope_id": "",
        "permissions": None,
        "created_at": MONDAY,
        "updated_at": MONDAY,
        "hash": f"{number:064}",
    }
    return ApiKey(**usual | more)


@pytest.fixture
def ledger(store, clock):
    with store.transaction(clock.now(), "a test") as ledger:
        yield ledger


@pytest.mark.parametrize("permissions", [None, {}, {"draft_read": True, "draft_send": False}])
def test_a_key_is_found_by_its_hash_as_it_was_made(ledger, permissions):
    new = key(permissions=permissions, expires_at=MONDAY + timedelta(days=1))
    ledger.keys.add(new)

    assert ledger.keys.hashed(new.hash) == new == ledger.keys.get(new.id)
    assert ledger.keys.hashed(new.hash[:-1] + "9") is None


def test_no_two_keys_have_one_hash(store, clock):
    with store.transaction(clock.now(), "a test") as ledger:
        ledger.keys.add(key(1))
    with pytest.raises(IntegrityError), store.transaction(clock.now(), "a test") as ledger:
        ledger.keys.add(key(2, hash=key(1).hash))


def test_many_keys_may_begin_alike(ledger):
    ledger.keys.add(key(1))
    ledger.keys.add(key(2))

    assert ledger.keys.hashed(key(2).hash).id == "key_2"


def test_a_key_that_was_revoked_is_not_there(ledger):
    ledger.keys.add(key())

    assert ledger.keys.revoke("key_1")

    assert ledger.keys.hashed(key().hash) is None
    assert ledger.keys.get("key_1") is None
    assert ledger.keys.list(Slice()).items == []
    assert ledger.keys.change(key(name="mine")) is None
    assert not ledger.keys.revoke("key_1")
    assert ledger.keys.any_ever()
    assert not ledger.keys.any_good()


def test_a_key_is_good_until_it_expires(store, clock):
    with store.transaction(clock.now(), "a test") as ledger:
        assert not ledger.keys.any_ever()
        ledger.keys.add(key(expires_at=MONDAY + timedelta(days=1)))
        assert ledger.keys.any_good()
    with store.reading(MONDAY + timedelta(days=1)) as ledger:
        assert not ledger.keys.any_good()


def test_only_its_name_and_what_it_may_ever_change(ledger):
    ledger.keys.add(key())
    wanted = key(name="theirs", permissions={"draft_read": True}, scope="pod", hash="x", prefix="y")

    changed = ledger.keys.change(wanted)

    assert changed == replace(key(), name="theirs", permissions={"draft_read": True}, updated_at=ledger.now)


def test_the_last_use_never_goes_back(ledger):
    ledger.keys.add(key(1))
    ledger.keys.add(key(2))

    ledger.keys.note_uses({})
    ledger.keys.note_uses({"key_1": MONDAY + timedelta(minutes=2), "key_nobody": MONDAY})
    ledger.keys.note_uses({"key_1": MONDAY + timedelta(minutes=1), "key_2": MONDAY})

    assert ledger.keys.get("key_1").used_at == MONDAY + timedelta(minutes=2)
    assert ledger.keys.get("key_2").used_at == MONDAY


def test_a_list_ends_where_its_scope_ends(ledger):
    pod = ledger.inboxes.create_pod("north", None).id
    for address, where in ((SAM, "pod_default"), (KIM, pod)):
        ledger.inboxes.create(Inbox(id=address, pod_id=where, created_at=MONDAY, updated_at=MONDAY))
    scopes = [("organization", ""), ("pod", "pod_default"), ("pod", pod), ("inbox", SAM), ("inbox", KIM)]
    for number, (scope, scope_id) in enumerate(scopes):
        born = MONDAY + timedelta(seconds=number)
        ledger.keys.add(key(number, scope=scope, scope_id=scope_id, created_at=born))

    def listed(**where):
        return [each.id for each in ledger.keys.list(Slice(), **where).items]

    assert listed() == ["key_4", "key_3", "key_2", "key_1", "key_0"]
    assert listed(scope="pod", scope_id=pod) == ["key_4", "key_2"]
    assert listed(scope="inbox", scope_id=SAM) == ["key_3"]


def test_an_inbox_that_is_deleted_takes_its_keys_along(ledger):
    ledger.inboxes.create(Inbox(id=SAM, pod_id="pod_default", created_at=MONDAY, updated_at=MONDAY))
    ledger.keys.add(key(1, scope="inbox", scope_id=SAM))
    ledger.keys.add(key(2, scope="pod", scope_id="pod_default"))

    ledger.inboxes.delete(SAM)

    assert [each.id for each in ledger.keys.list(Slice()).items] == ["key_2"]
