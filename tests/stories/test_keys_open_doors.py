"""A key opens what it was made for: it is shown once, kept by nobody, known at once, revoked at once."""

import hashlib
import threading
from datetime import timedelta

import pytest
from sqlalchemy import event, text

from engine.errors import Forbidden, Invalid, NotFound
from engine.inboxes import Wanted, open_inbox, open_pod
from engine.keys import WORDS, Caller, Keyring, may
from engine.store.pages import Slice
from tests.doubles import FrozenClock
from tests.makers import SAM

KIM = "kim@acme.example"
HOME = "localhost:8025"


@pytest.fixture
def ring(store, clock):
    return Keyring(store=store, clock=clock)


@pytest.fixture
def at_home(store, clock):
    """Only this machine can reach it, and nobody has thought about keys."""
    return Keyring(store=store, clock=clock, at_home=True)


@pytest.fixture
def inbox(store, clock):
    return _open(store, clock, SAM)


@pytest.fixture
def asked(store):
    """What the database is asked from here on."""
    statements = []
    event.listen(store.database, "before_cursor_execute", lambda *said: statements.append(said[2]))
    return statements


def _open(store, clock, address, **more):
    wanted = Wanted(username=address.partition("@")[0], domain="acme.example", **more)
    return open_inbox(wanted, domains=("acme.example",), by="a test", store=store, clock=clock).id


def _caller(ring, **wanted):
    return ring.know(ring.make("one", **wanted).secret)


# --- made, and known again ---


def test_a_key_is_known_by_itself_alone(ring):
    made = ring.make("  Sam's laptop ")

    caller = ring.know(made.secret)

    assert (caller.key_id, caller.scope, caller.scope_id) == (made.key.id, "organization", "")
    assert (caller.permissions, caller.name) == (None, "Sam's laptop")
    for other in (made.secret[:-1], made.secret + "x", made.secret.swapcase(), made.key.prefix, made.key.id):
        assert ring.know(other) is None


def test_a_key_has_the_shape_that_scripts_expect(ring):
    secret = ring.make("one").secret

    assert secret.startswith("am_")
    assert len(secret) == 46
    assert len({ring.make("one").secret for _ in range(20)}) == 20


def test_nobody_keeps_the_key_itself(ring, store):
    made = ring.make("one")

    with store.database.connect() as db:
        for name in ("api_key", "audit"):
            rows = db.execute(text(f"SELECT * FROM {name}")).all()
            assert rows
            assert made.secret not in str(rows)
            assert made.secret[13:] not in str(rows)
        [row] = db.execute(text("SELECT hash, prefix FROM api_key")).all()
    assert row == (hashlib.sha256(made.secret.encode()).hexdigest(), made.secret[:12])
    assert made.secret not in repr(made)
    assert made.key.hash not in repr(made)


def test_keys_that_begin_alike_are_not_taken_for_each_other(ring, store, clock):
    first, second = ring.make("first"), ring.make("second")
    with store.database.begin() as db:
        db.execute(text("UPDATE api_key SET prefix = 'am_aaaaaaaaa'"))

    assert ring.know(first.secret).name == "first"
    assert ring.know(second.secret).name == "second"
    assert ring.know("am_aaaaaaaaa" + first.secret[12:]) is None


def test_a_key_of_the_configuration_may_do_everything_and_is_kept_nowhere(store, clock, asked):
    ring = Keyring(store=store, clock=clock, configured=["first key", "am_" + "x" * 43])

    caller = ring.know("first key")

    assert (caller.key_id, caller.scope, caller.permissions) == ("key_config_1", "organization", None)
    assert ring.know("am_" + "x" * 43).key_id == "key_config_2"
    assert ring.know("First key") is None
    assert asked == []


@pytest.mark.parametrize(
    "token",
    ["", "am_", "rk_" + "x" * 43, "am_" + "x" * 42, "am_" + "x" * 44, "am_" + "ä" * 43, "am_" + "x" * 42 + "\n", "x" * 10**6],
)  # fmt: skip
def test_what_cannot_be_a_key_is_turned_away_without_a_question(ring, asked, token):
    assert ring.know(token, HOME) is None
    assert asked == []


def test_a_wrong_key_changes_nothing(ring, asked):
    assert ring.know("am_" + "x" * 43) is None
    assert [statement for statement in asked if not statement.startswith(("SELECT", "BEGIN"))] == []


def test_a_key_that_was_just_seen_is_not_asked_for_again(ring, clock, asked):
    made = ring.make("one")
    ring.know(made.secret)
    asked.clear()

    ring.know(made.secret)
    assert asked == []

    clock.pass_(timedelta(seconds=1))
    assert ring.know(made.secret)
    assert asked


# --- and no more ---


def test_a_revoked_key_opens_nothing_from_that_moment_on(ring):
    made = ring.make("one")
    assert ring.know(made.secret)

    ring.revoke(made.key.id)

    assert ring.know(made.secret) is None
    with pytest.raises(NotFound):
        ring.revoke(made.key.id)
    with pytest.raises(NotFound):
        ring.find(made.key.id)


def test_another_process_hears_of_it_within_a_second(ring, store, clock):
    elsewhere, made = Keyring(store=store, clock=clock), ring.make("one")
    assert elsewhere.know(made.secret)

    ring.revoke(made.key.id)
    clock.pass_(timedelta(seconds=1))

    assert elsewhere.know(made.secret) is None


def test_a_key_expires_to_the_moment_also_while_it_is_remembered(ring, clock):
    made = ring.make("one", expires_at=clock.now() + timedelta(milliseconds=500))
    assert ring.know(made.secret)

    clock.pass_(timedelta(milliseconds=500))

    assert ring.know(made.secret) is None


def test_a_key_that_has_expired_already_is_not_made(ring, clock):
    with pytest.raises(Invalid):
        ring.make("one", expires_at=clock.now())


@pytest.mark.parametrize("name", ["", "  ", "two\nlines", "x" * 257])
def test_a_name_is_a_line(ring, name):
    with pytest.raises(Invalid):
        ring.make(name)


# --- for whom ---


def test_a_key_is_for_somebody_who_is_there(ring, inbox):
    assert _caller(ring, scope="inbox", scope_id=inbox).scope_id == inbox
    for scope, scope_id in (("inbox", KIM), ("pod", "pod_none"), ("organization", "org_x")):
        with pytest.raises(NotFound):
            ring.make("one", scope=scope, scope_id=scope_id)


def test_a_key_makes_keys_for_its_own_scope_and_below(ring, store, clock, inbox):
    north = open_pod("north", None, by="a test", store=store, clock=clock).id
    _open(store, clock, KIM, pod_id=north)
    of_pod = _caller(ring, scope="pod", scope_id=north)
    of_inbox = _caller(ring, scope="inbox", scope_id=KIM)

    assert ring.make("one", scope="pod", scope_id=north, by=of_pod)
    assert ring.make("one", scope="inbox", scope_id=KIM, by=of_pod)
    assert ring.make("one", scope="inbox", scope_id=KIM, by=of_inbox)
    for maker in (of_pod, of_inbox):
        with pytest.raises(Forbidden) as told:
            ring.make("one", by=maker)
        assert told.value.code == "permission_escalation"
        for scope, scope_id in (("pod", "pod_default"), ("inbox", inbox)):
            with pytest.raises(NotFound):
                ring.make("one", scope=scope, scope_id=scope_id, by=maker)
    with pytest.raises(NotFound):
        ring.make("one", scope="pod", scope_id=north, by=of_inbox)


def test_a_key_of_another_scope_has_never_been_heard_of(ring, store, clock, inbox):
    north = open_pod("north", None, by="a test", store=store, clock=clock).id
    _open(store, clock, KIM, pod_id=north)
    of_pod = _caller(ring, scope="pod", scope_id=north)
    own = ring.make("own", scope="inbox", scope_id=KIM).key
    others = [
        ring.make("everybody's").key.id,
        ring.make("another pod's", scope="pod", scope_id="pod_default").key.id,
        ring.make("another's inbox", scope="inbox", scope_id=inbox).key.id,
    ]

    assert ring.find(own.id, by=of_pod).name == "own"
    for key_id in [*others, "key_none"]:
        for ask in (ring.find, ring.change, ring.revoke):
            with pytest.raises(NotFound) as told:
                ask(key_id, by=of_pod)
            assert str(told.value) == f"There is no key {key_id}."
    ring.revoke(own.id, by=of_pod)


# --- for what ---


def test_no_key_makes_one_that_may_more(ring):
    maker = _caller(ring, permissions={"api_key_create": True, "draft_read": True})

    for more in ({"message_send": True}, {"read": True}, {"admin": True}, {"draft_read": True, "send": True}):
        with pytest.raises(Forbidden) as told:
            ring.make("more", permissions=more, by=maker)
        assert told.value.code == "permission_escalation"
    same = ring.make("same", permissions={"draft_read": True, "message_send": False}, by=maker)
    assert may(ring.know(same.secret), "draft_read")
    assert not may(ring.know(same.secret), "message_send")


def test_of_whose_key_nothing_is_said_may_what_its_maker_may(ring):
    maker = _caller(ring, permissions={"draft": True})

    child = _caller(ring, by=maker)

    assert child.permissions == WORDS["draft"]
    assert _caller(ring, by=Caller(key_id="key_1")).permissions is None


def test_no_key_makes_one_that_lasts_longer(ring, clock):
    end = clock.now() + timedelta(days=1)
    maker = _caller(ring, expires_at=end)

    assert ring.make("one", by=maker).key.expires_at == end
    assert ring.make("one", expires_at=end - timedelta(hours=1), by=maker).key.expires_at < end
    with pytest.raises(Forbidden):
        ring.make("one", expires_at=end + timedelta(seconds=1), by=maker)


def test_nothing_is_allowed_where_nothing_is_named(ring):
    nobody = _caller(ring, permissions={})

    assert nobody.permissions == frozenset()


def test_what_a_key_may_is_changed_at_once(ring):
    made = ring.make("one", permissions={"read": True})
    assert not may(ring.know(made.secret), "draft_send")

    changed = ring.change(made.key.id, permissions={"send": True}, name="two")

    assert (changed.name, may(ring.know(made.secret), "draft_send")) == ("two", True)
    ring.change(made.key.id, permissions=None)
    assert ring.know(made.secret).permissions is None
    assert ring.change(made.key.id).name == "two"


def test_no_key_lifts_itself_or_another(ring):
    made = ring.make("one", permissions={"api_key_update": True})
    weak, strong = ring.know(made.secret), ring.make("strong").key

    for key_id in (made.key.id, strong.id):
        with pytest.raises(Forbidden):
            ring.change(key_id, permissions={"admin": True}, by=weak)
    ring.change(made.key.id, permissions=None, by=weak)

    assert ring.know(made.secret).permissions == {"api_key_update"}


# --- while nobody has thought about keys ---


@pytest.mark.parametrize("host", [HOME, "localhost", "LOCALHOST:1", "127.0.0.1:8025", "[::1]:8025", "[::1]"])
def test_at_home_any_token_will_do_until_somebody_makes_a_key(at_home, host):
    assert at_home.know("whatever", host).key_id == "key_open"
    assert at_home.know("am_" + "x" * 43, host).permissions is None
    assert at_home.know("", host) is None

    made = at_home.make("one")

    assert at_home.know("whatever", host) is None
    assert at_home.know(made.secret, host)


@pytest.mark.parametrize(
    "host",
    [
        "", "evil.example", "evil.example:8025", "localhost.evil.example", "127.0.0.1.evil.example", "127.0.0.1@evil.example",
        "localhost:8025:evil", "[::1].evil.example", "evil.example/localhost", "0.0.0.0:8025", "localhost, evil.example",
    ],
)  # fmt: skip
def test_a_page_that_has_its_name_point_here_stays_outside(at_home, host):
    assert at_home.know("whatever", host) is None


def test_it_does_not_open_again_when_the_last_key_is_revoked(at_home, clock):
    at_home.revoke(at_home.make("one").key.id)
    clock.pass_(timedelta(minutes=1))

    assert at_home.know("whatever", HOME) is None


def test_a_key_made_elsewhere_closes_it_within_a_second(at_home, store, clock):
    assert at_home.know("whatever", HOME)

    Keyring(store=store, clock=clock).make("one")
    clock.pass_(timedelta(seconds=1))

    assert at_home.know("whatever", HOME) is None


def test_who_is_reached_from_elsewhere_or_has_a_key_is_never_open(store, clock):
    for ring in (
        Keyring(store=store, clock=clock, at_home=False),
        Keyring(store=store, clock=clock, at_home=True, configured=["key"]),
    ):
        assert ring.know("whatever", HOME) is None


# --- who has used theirs ---


def test_its_last_use_is_shown_at_once_and_written_down_once_a_minute(ring, store, clock):
    made = ring.make("one")
    assert ring.find(made.key.id).used_at is None
    clock.pass_(timedelta(seconds=10))
    ring.know(made.secret)
    used = clock.now()

    assert ring.find(made.key.id).used_at == used
    assert ring.list(Slice()).items[0].used_at == used
    ring.write_down_uses()
    assert _written(store, clock, made) is None

    clock.pass_(timedelta(minutes=1))
    ring.write_down_uses()
    assert _written(store, clock, made) == used


def test_at_the_end_of_the_day_it_is_written_down_in_any_case(ring, store, clock):
    made = ring.make("one")
    ring.know(made.secret)

    ring.write_down_uses(at_once=True)

    assert _written(store, clock, made) == clock.now()


def test_a_database_that_is_away_loses_no_use(ring, store, clock, monkeypatch):
    made = ring.make("one")
    ring.know(made.secret)

    def away(*_):
        raise RuntimeError("away")

    with monkeypatch.context() as patched:
        patched.setattr(store, "transaction", away)
        with pytest.raises(RuntimeError):
            ring.write_down_uses(at_once=True)
    ring.write_down_uses(at_once=True)

    assert _written(store, clock, made) == clock.now()


def test_asking_is_not_writing(ring, clock, asked):
    made = ring.make("one")
    asked.clear()

    for _ in range(50):
        ring.know(made.secret)
        ring.write_down_uses()
        clock.pass_(timedelta(seconds=1))

    assert [statement for statement in asked if not statement.startswith(("SELECT", "BEGIN"))] == []


def test_many_may_ask_at_once(store):
    clock = FrozenClock()
    ring = Keyring(store=store, clock=clock)
    made = [ring.make(str(number)) for number in range(4)]
    wrong = []

    def ask(number):
        for _ in range(40):
            clock.pass_(timedelta(milliseconds=300))
            caller = ring.know(made[number].secret)
            if caller is None or caller.name != str(number):
                wrong.append((number, caller))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def _written(store, clock, made):
    with store.reading(clock.now()) as ledger:
        return ledger.keys.get(made.key.id).used_at
