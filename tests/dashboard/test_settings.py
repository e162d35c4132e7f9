"""Settings: members, keys, secrets, and how the house is set up. No secret in any page but the one that shows it once."""

import base64
import re
from datetime import timedelta
from html import unescape

import pytest

from engine import canary
from engine.keys import Keyring
from engine.members import Members
from engine.seal import seal
from engine.store.pages import Slice
from engine.subscribers import Subscription, subscribe
from relent.assemble import House
from relent.config import Config
from tests.dashboard.folders import HOSTILE, be_patient
from tests.dashboard.visitors import come_in
from tests.makers import SAM, SECRET, enrolled

KEY = "a-key-that-opens-everything"
OUTBOUND = "whsec_" + base64.b64encode(b"what our own calls are signed with").decode()
SMTP = "smtp-password-of-ours"
REDIS = "redis-password-of-ours"
DATABASE = "database-password-of-ours"


@pytest.fixture(autouse=True)
def _patience(monkeypatch):
    be_patient(monkeypatch)


@pytest.fixture
def house(store, clock, mailbox, pace):
    """With every secret that a configuration may have."""
    config = Config(
        webhooks={"secrets": [SECRET], "outbound": {"secret": OUTBOUND}},
        server={"api_keys": [KEY]},
        mailbox={"smtp": {"password": SMTP, "host": "smtp.acme.example", "username": "sam"}},
        redis={"url": f"redis://sam:{REDIS}@redis.acme.example/0"},
        database={"url": f"postgresql://sam:{DATABASE}@db.acme.example/relent"},
    )
    return House(config=config, store=store, mailbox=mailbox, clock=clock, pace=pace)


def _plain(html):
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())


def _shown_once(answer):
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    found = re.search(r'<code tabindex="0">([^<]+)</code>', answer.text)
    return unescape(found[1])


def _ring(store, clock):
    return Keyring(store=store, clock=clock)


# --- no secret ---


def test_no_page_has_a_secret_in_it(as_admin, store, clock, house):
    reader = subscribe(
        Subscription(
            url="https://crm.example/hook/path-secret",
            event_types=("message.received",),
            headers={"x-api-key": "header-secret"},
        ),
        by="a test",
        judge=lambda _: None,
        store=store,
        clock=clock,
    )
    made = _ring(store, clock).make("the CRM")
    invited = house_members(house).invite("ann@acme.example", "viewer", by="a test")
    with store.reading(clock.now()) as ledger:
        hashed, instance = ledger.keys.get(made.key.id).hash, ledger.instance_key()
    secrets = [
        SECRET, SECRET.removeprefix("whsec_"), OUTBOUND, OUTBOUND.removeprefix("whsec_"), KEY, SMTP, REDIS, DATABASE,
        reader.secret, reader.secret.removeprefix("whsec_"), "path-secret", "header-secret",
        made.secret, hashed, invited.token, instance.hex(),
    ]  # fmt: skip

    pages = [
        as_admin.get(path)
        for path in (
            "/settings",
            "/settings/audit",
            "/deliveries",
            "/deliveries/out",
            "/suppressions",
            "/sequences",
        )
    ]

    assert [page.status_code for page in pages] == [200] * len(pages)
    for page in pages:
        whole = unescape(page.text) + repr(dict(page.headers))
        assert not [secret for secret in secrets if secret in whole]


def house_members(house):
    return Members(store=house.store, clock=house.clock)


def test_what_is_configured_is_told_and_how_many_secrets_there_are(as_admin):
    page = _plain(as_admin.get("/settings").text)

    assert "mailbox.transport capture" in page
    assert "server.api_keys 1 key" in page
    assert "webhooks.secrets 1 secret" in page
    assert "1 secret is believed. It stands in the configuration, and no page shows it." in page
    assert "1 secret is believed" in page
    assert "db.acme.example" in page
    assert "redis.acme.example" in page


@pytest.mark.parametrize("role", ["reviewer", "viewer"])
def test_settings_are_for_admins(front, house, role):
    visitor = come_in(front, house, role)

    for path in ("/settings", "/settings/audit"):
        assert visitor.get(path).status_code == 403
    for path in ("/settings/members", "/settings/keys", "/settings/keys/key_x/revoke"):
        assert (
            visitor.post_form(path, email="x@acme.example", role="admin", name="x", may="admin").status_code
            == 403
        )
    for deed in ("role", "teams", "reset", "disable"):
        path = f"/settings/members/{role}%40acme.example/{deed}"
        assert visitor.post_form(path, role="admin", teams="x").status_code == 403
    assert [member.role for member in house_members(house).list()] == [role]


# --- keys ---


def test_a_key_is_shown_once_and_opens_what_it_may(as_admin, store, clock):
    answer = as_admin.post_form("/settings/keys", name="the CRM", may="read", lasts="30", inbox="")
    secret = _shown_once(answer)

    caller = _ring(store, clock).know(secret)
    page = as_admin.get("/settings").text
    assert caller.name == "the CRM"
    assert "draft_send" not in caller.permissions
    assert caller.expires_at == clock.now() + timedelta(days=30)
    assert secret not in page
    assert secret[:12] in page
    assert "the CRM" in page
    with store.database.connect() as db:
        actors = db.exec_driver_sql("SELECT actor FROM audit WHERE what = 'key: create'").all()
    assert [row[0] for row in actors] == ["admin@acme.example"]


def test_a_key_for_one_inbox_ends_there(as_admin, store, clock):
    enrolled(store, clock.now())

    secret = _shown_once(
        as_admin.post_form("/settings/keys", name="x", may="draft", lasts="never", inbox=SAM)
    )

    caller = _ring(store, clock).know(secret)
    assert (caller.scope, caller.scope_id, caller.expires_at) == ("inbox", SAM, None)


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"may": "anything"},
        {"may": ""},
        {"lasts": "0"},
        {"lasts": "-1"},
        {"inbox": "nobody@acme.example"},
        {"name": "two\nlines"},
    ],
)
def test_a_key_that_cannot_be_is_refused_kindly(as_admin, store, clock, wrong):
    fields = {"name": "x", "may": "read", "lasts": "30", "inbox": "", **wrong}

    answer = as_admin.post_form("/settings/keys", **fields)

    assert answer.status_code == 422
    assert 'role="alert"' in answer.text
    assert _ring(store, clock).list(Slice()).items == []


def test_a_key_is_revoked(as_admin, store, clock):
    made = _ring(store, clock).make("the CRM")

    assert as_admin.post_form(f"/settings/keys/{made.key.id}/revoke").status_code == 303

    assert _ring(store, clock).know(made.secret) is None
    assert as_admin.post_form(f"/settings/keys/{made.key.id}/revoke").status_code == 404


def test_many_keys_are_listed_a_page_at_a_time(as_admin, store, clock):
    for number in range(60):
        clock.pass_(timedelta(seconds=1))
        _ring(store, clock).make(f"key number {number:02}")

    first = as_admin.get("/settings").text
    onward = unescape(re.search(r'href="([^"]+)" rel="next"', first)[1])
    rest = as_admin.get(onward).text

    seen = re.findall(r"key number (\d\d)</bdi>(?:</th>|<br>| )", first + rest)
    assert sorted(set(seen)) == [f"{number:02}" for number in range(60)]


# --- members ---


def test_somebody_is_invited_by_a_link_that_opens_once(front, as_admin, house):
    answer = as_admin.post_form(
        "/settings/members", email="ann@acme.example", role="reviewer", teams="sales, ops"
    )
    link = _shown_once(answer)

    assert link.startswith("http://127.0.0.1:8025/welcome/")
    assert "ann@acme.example" in front.get(link.removeprefix("http://127.0.0.1:8025")).text
    guest = house_members(house).accept(link.rpartition("/")[2], "four words of hers alone", name="Ann")
    assert (guest.member.role, guest.member.teams) == ("reviewer", ("sales", "ops"))
    assert link not in as_admin.get("/settings").text


@pytest.mark.parametrize(
    "wrong", [{"email": "nobody"}, {"role": "owner"}, {"email": "admin@acme.example"}, {"teams": "x" * 100}]
)
def test_an_invitation_that_cannot_be_is_refused_kindly(as_admin, wrong):
    answer = as_admin.post_form(
        "/settings/members", **{"email": "ann@acme.example", "role": "viewer", "teams": "", **wrong}
    )

    assert answer.status_code == 422
    assert 'role="alert"' in answer.text
    assert "`relent" not in _plain(answer.text)


def test_a_role_and_teams_are_changed(front, as_admin, house):
    come_in(front, house, "viewer", "ann+x@acme.example")
    there = "/settings/members/ann%2Bx%40acme.example"
    assert f'action="{there}/role"' in as_admin.get("/settings").text

    changed = as_admin.post_form(f"{there}/role", role="reviewer")
    as_admin.post_form(f"{there}/teams", teams="Sales,  team:ops ,")

    assert changed.headers["location"] == "/settings"  # at its top, where it is told

    ann = next(each for each in house_members(house).list() if each.email == "ann+x@acme.example")
    assert (ann.role, ann.teams) == ("reviewer", ("sales", "ops"))
    assert "is in sales, ops from now on" in _plain(as_admin.get("/settings").text)


def test_who_is_disabled_is_out_at_once(front, as_admin, house):
    ann = come_in(front, house, "viewer", "ann@acme.example")
    assert ann.get("/sequences").status_code == 200

    as_admin.post_form("/settings/members/ann%40acme.example/disable")

    assert ann.get("/sequences").status_code == 303
    assert "disabled" in as_admin.get("/settings").text


def test_a_link_for_another_password_is_shown_once(front, as_admin, house):
    come_in(front, house, "viewer", "ann@acme.example")

    link = _shown_once(as_admin.post_form("/settings/members/ann%40acme.example/reset"))

    assert house_members(house).invited(link.rpartition("/")[2]).email == "ann@acme.example"


@pytest.mark.parametrize(("deed", "fields"), [("disable", {}), ("role", {"role": "viewer"})])
def test_the_last_admin_stays(as_admin, house, deed, fields):
    as_admin.post_form(f"/settings/members/admin%40acme.example/{deed}", **fields)

    page = as_admin.get("/settings")
    assert page.status_code == 200
    assert "is the only admin" in _plain(page.text)


def test_to_the_only_admin_nothing_is_offered_that_would_be_refused(front, as_admin, house):
    come_in(front, house, "viewer", "ann@acme.example")
    page = as_admin.get("/settings").text
    assert 'action="/settings/members/ann%40acme.example/disable"' in page
    assert 'action="/settings/members/admin%40acme.example/disable"' not in page
    assert 'action="/settings/members/admin%40acme.example/role"' not in page

    as_admin.post_form("/settings/members/ann%40acme.example/role", role="admin")

    page = as_admin.get("/settings").text
    assert 'action="/settings/members/admin%40acme.example/disable"' in page


# --- the house ---


def test_the_log_is_told_to_be_whole_with_its_last_block(as_admin, store, clock):
    enrolled(store, clock.now())
    seal(store, clock)
    with store.reading(clock.now()) as ledger:
        last = ledger.blocks.last()

    page, whole = _plain(as_admin.get("/settings").text), _plain(as_admin.get("/settings/audit").text)

    assert f"Last block {last.number}" in page
    assert last.hash in page
    assert "whole" in page
    assert "It is whole" in whole


def test_a_log_that_was_changed_is_told_with_the_place(as_admin, store, clock):
    enrolled(store, clock.now())
    seal(store, clock)
    _forge(store)

    page, whole = _plain(as_admin.get("/settings").text), _plain(as_admin.get("/settings/audit").text)

    assert "It is not what was sealed" in page
    assert "is not as it was when it was sealed" in whole
    assert "<script>alert" not in as_admin.get("/settings/audit").text


def _forge(store):
    """As somebody would who has the database: who may own it may take its guards away."""
    with store.database.begin() as db:
        if store.database.dialect.name == "sqlite":
            for (name,) in db.exec_driver_sql(
                "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'audit'"
            ).all():
                db.exec_driver_sql(f"DROP TRIGGER {name}")
            db.exec_driver_sql(
                "UPDATE audit SET detail = ? WHERE seq = (SELECT min(seq) FROM audit)", (HOSTILE,)
            )
        else:
            db.exec_driver_sql("SET LOCAL session_replication_role = replica")
            db.exec_driver_sql(
                "UPDATE audit SET detail = %s WHERE seq = (SELECT min(seq) FROM audit)", (HOSTILE,)
            )


def test_the_canary_is_told_of(as_admin, store, clock):
    assert "None is kept. Set canary.every" in _plain(as_admin.get("/settings").text)
    canary.judge(
        canary.Flight(why=f"the door is shut {HOSTILE}"), limit=timedelta(seconds=5), store=store, clock=clock
    )

    page = as_admin.get("/settings").text

    assert "the door is shut" in page
    assert "<script>alert" not in page


def test_hostile_names_are_text(front, as_admin, house, store, clock):
    _ring(store, clock).make("<b onclick=alert(1)>the CRM</b>")
    subscribe(
        Subscription(url="https://crm.example/<script>alert(1)</script>", event_types=("message.received",)),
        by="a test",
        judge=lambda _: None,
        store=store,
        clock=clock,
    )

    page = as_admin.get("/settings").text

    assert "<b onclick" not in page
    assert "<script>alert" not in page
