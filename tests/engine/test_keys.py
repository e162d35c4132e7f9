"""What a key may do, and where: the rules, without a database."""

import re
from pathlib import Path
from typing import get_type_hints

import pytest
from agentmail.api_keys.types import ApiKeyPermissions

from engine.errors import Invalid
from engine.keys import PERMISSIONS, WORDS, Caller, covers, is_loopback, may, spelt_out
from engine.model import Inbox
from tests.doubles import MONDAY
from tests.makers import SAM

HERE = Inbox(id=SAM, pod_id="pod_north", created_at=MONDAY, updated_at=MONDAY)


def caller(*permissions, **more):
    return Caller(key_id="key_1", permissions=frozenset(permissions) if permissions else None, **more)


def test_every_permission_of_the_sdk_is_known():
    assert set(get_type_hints(ApiKeyPermissions)) - {"model_config"} == PERMISSIONS


def test_each_word_holds_those_before_it():
    read, draft, send, admin = WORDS.values()
    assert list(WORDS) == ["read", "draft", "send", "admin"]
    assert read < draft < send < admin == PERMISSIONS


def test_who_drafts_lets_nothing_leave_and_who_sends_makes_no_keys_and_hears_no_webhooks():
    assert not {"draft_send", "message_send", "message_reply"} & WORDS["draft"]
    assert not [name for name in WORDS["send"] if name.startswith(("webhook_", "api_key_"))]
    assert all(name.endswith("_read") for name in WORDS["read"])


def test_a_key_of_which_nothing_is_said_may_do_everything():
    assert all(may(caller(), name) for name in PERMISSIONS)


def test_of_a_key_of_which_something_is_said_the_rest_is_denied():
    assert may(caller("draft_read"), "draft_read")
    assert not may(caller("draft_read"), "draft_create")
    assert not may(Caller(key_id="key_1", permissions=frozenset()), "draft_read")


@pytest.mark.parametrize("name", ["", "everything", "read", "admin", "draft_sned"])
def test_a_name_that_nobody_knows_allows_nothing(name):
    assert not may(caller(), name)


@pytest.mark.parametrize(
    ("scope", "denied"),
    [
        ("organization", set()),
        ("pod", {"pod_create", "pod_delete"}),
        ("inbox", {"inbox_create", "pod_read", "pod_create", "pod_update", "pod_delete"}),
    ],
)
def test_nobody_reaches_beyond_their_scope_whatever_was_permitted(scope, denied):
    for one in (caller(scope=scope, scope_id="x"), caller(*PERMISSIONS, scope=scope, scope_id="x")):
        assert {name for name in PERMISSIONS if not may(one, name)} == denied


@pytest.mark.parametrize(
    ("scope", "scope_id", "covered"),
    [
        ("organization", "", True),
        ("pod", "pod_north", True),
        ("pod", "pod_south", False),
        ("pod", SAM, False),
        ("inbox", SAM, True),
        ("inbox", "kim@acme.example", False),
        ("inbox", "pod_north", False),
    ],
)
def test_a_key_is_for_the_inboxes_of_its_scope(scope, scope_id, covered):
    assert covers(Caller(key_id="key_1", scope=scope, scope_id=scope_id), HERE) is covered


def test_our_words_are_spelt_out_and_what_is_denied_by_name_stays_denied():
    said = spelt_out({"draft": True, "draft_delete": False, "send": False, "inbox_update": None})

    assert {name for name, so in said.items() if so} == WORDS["draft"] - {"draft_delete"}
    assert said["draft_delete"] is False
    assert said["inbox_update"] is False
    assert not said.keys() & WORDS.keys()
    assert spelt_out({}) == {}


def test_a_permission_that_nobody_knows_is_told_of():
    with pytest.raises(Invalid) as told:
        spelt_out({"draft_sned": True, "draft_read": True})
    assert [issue.path for issue in told.value.issues] == [("permissions", "draft_sned")]


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.9.1", "::1"])
def test_this_machine_knows_itself(host):
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host", ["", "0.0.0.0", "::", "10.0.0.1", "127.1", "localhost.evil.example", "127.0.0.1.evil.example"]
)
def test_nobody_else_is_this_machine(host):
    assert not is_loopback(host)


def test_the_page_about_keys_says_what_each_word_means():
    page = (Path(__file__).parents[2] / "docs" / "keys.md").read_text("utf-8")
    rows = dict(re.findall(r"^\| `(read|draft|send)` \| (.*) \|$", page, re.MULTILINE))
    told = {word: set(re.findall(r"`(\w+)`", said)) for word, said in rows.items()}

    assert told["read"] == WORDS["read"]
    assert told["draft"] == WORDS["draft"] - WORDS["read"]
    assert told["send"] == WORDS["send"] - WORDS["draft"]
