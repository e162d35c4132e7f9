"""Who may come in by the dashboard: passwords, visits, links that open once, and the last admin."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
from argon2 import PasswordHasher
from sqlalchemy import func, select, text

from engine.errors import Invalid, NotFound, Refused
from engine.members import IDLE, LINK_LASTS, LONGEST, ROLES, Members, may, password_trouble
from engine.store import Store
from engine.store.tables import audit, invitation, member, visit
from tests.doubles import FrozenClock

PASSWORD = "four plain words together"
#: As little work as argon2 will do: these tests are not about how long it takes.
QUICK = {"time_cost": 1, "memory_cost": 8, "parallelism": 1}


class CountingHasher(PasswordHasher):
    """Counts how often it has worked."""

    def __init__(self, **cost):
        super().__init__(**cost)
        self.verified = 0

    def verify(self, hashed, password):
        self.verified += 1
        return super().verify(hashed, password)


@pytest.fixture
def hasher() -> CountingHasher:
    return CountingHasher(**QUICK)


@pytest.fixture
def members(store: Store, clock: FrozenClock, hasher: CountingHasher) -> Members:
    return Members(store=store, clock=clock, hasher=hasher)


def joined(members: Members, email="ada@acme.example", role="admin", password=PASSWORD, teams=()):
    """They were invited, and came."""
    return members.accept(members.invite(email, role, teams=teams, by="a test").token, password)


def lines(store: Store) -> list[str]:
    with store.database.connect() as db:
        return [
            " ".join(map(str, row))
            for row in db.execute(select(audit.c.actor, audit.c.what, audit.c.detail).order_by(audit.c.seq))
        ]


# --- passwords ---


def test_who_has_the_password_comes_in_and_nobody_else_does(members):
    joined(members)

    assert members.sign_in("ada@acme.example", PASSWORD).member.role == "admin"
    assert members.sign_in("  Ada@ACME.example ", PASSWORD) is not None
    assert members.sign_in("ada@acme.example", PASSWORD + " ") is None
    assert members.sign_in("ada@acme.example", "") is None
    assert members.sign_in("bob@acme.example", PASSWORD) is None
    assert members.sign_in("ada@acme.example", "x" * 1_000_000) is None


def test_for_an_address_that_nobody_has_as_much_work_is_done(members, hasher):
    joined(members)
    joined(members, "bob@acme.example", "viewer")
    members.disable("bob@acme.example", by="a test")
    work = []
    for email in ("ada@acme.example", "nobody@acme.example", "bob@acme.example", "no address at all"):
        before = hasher.verified
        members.sign_in(email, "a wrong password")
        work.append(hasher.verified - before)

    assert work == [1, 1, 1, 1]


@pytest.mark.parametrize(
    ("password", "what"),
    [
        ("short one", "at least 10"),
        ("x" * 1025, "at most 1,024"),
        ("ada@acme.example", "the address itself"),
        ("aaaaaaaaaaaaaaa", "over and over"),
    ],
)
def test_what_is_no_password_is_said_kindly(members, password, what):
    link = members.invite("ada@acme.example", "admin", by="a test")

    with pytest.raises(Invalid, match=what):
        members.accept(link.token, password)

    assert password_trouble(password, "ada@acme.example")
    assert members.accept(link.token, PASSWORD), "what was refused has not used up the link"


def test_an_accent_is_the_same_however_a_keyboard_puts_it(members):
    joined(members, password="caf\u00e9 du matin")

    assert members.sign_in("ada@acme.example", "cafe\u0301 du matin")


def test_to_guess_a_password_takes_work_and_memory(store, clock):
    """RFC 9106, the second recommended choice: 64 MiB, three passes."""
    joined(real := Members(store=store, clock=clock))

    assert real.called("ada@acme.example").password.startswith("$argon2id$v=19$m=65536,t=3,p=4$")


def test_a_password_is_hashed_anew_when_more_work_is_wanted(members, store, clock):
    joined(members)
    stronger = Members(store=store, clock=clock, hasher=PasswordHasher(**QUICK | {"time_cost": 2}))
    before = members.called("ada@acme.example").password

    assert stronger.sign_in("ada@acme.example", PASSWORD)

    after = stronger.called("ada@acme.example").password
    assert "t=1" in before
    assert "t=2" in after
    assert stronger.sign_in("ada@acme.example", PASSWORD)


def test_who_changes_their_password_stays_here_and_is_out_everywhere_else(members):
    here, elsewhere = joined(members), members.sign_in("ada@acme.example", PASSWORD)

    fresh = members.change_password(members.know(here.token), PASSWORD, "another one, just as long")

    assert members.know(fresh.token)
    assert members.know(here.token) is None
    assert members.know(elsewhere.token) is None
    assert members.sign_in("ada@acme.example", PASSWORD) is None
    assert members.sign_in("ada@acme.example", "another one, just as long")


def test_only_who_knows_the_old_password_chooses_another(members):
    guest = joined(members)

    with pytest.raises(Refused, match="not your password"):
        members.change_password(guest, "a wrong password", "another one, just as long")

    assert members.know(guest.token)


# --- visits ---


def test_every_visit_has_a_word_of_its_own_and_the_one_before_is_dead(members):
    first = joined(members)
    second = members.sign_in("ada@acme.example", PASSWORD, instead_of=first.token)

    assert first.token != second.token
    assert members.know(first.token) is None
    assert members.know(second.token).member.email == "ada@acme.example"


def test_who_signs_out_is_out_and_so_is_a_thief(members):
    guest = joined(members)
    stolen = guest.token

    members.sign_out(guest.token)
    members.sign_out(guest.token)

    assert members.know(stolen) is None


def test_who_does_nothing_is_out_after_a_while(members, clock):
    guest = joined(members)
    clock.pass_(IDLE - timedelta(seconds=1))
    assert members.know(guest.token)
    clock.pass_(IDLE - timedelta(seconds=1))
    assert members.know(guest.token), "they were there meanwhile"
    clock.pass_(IDLE)
    assert members.know(guest.token) is None


def test_nobody_is_in_for_ever(members, clock):
    guest = joined(members)
    for _ in range(int(LONGEST / timedelta(hours=6)) - 1):
        clock.pass_(timedelta(hours=6))
        assert members.know(guest.token)
    clock.pass_(timedelta(hours=6))
    assert members.know(guest.token) is None


def test_that_somebody_is_there_is_written_at_most_once_a_minute(members, store, clock):
    guest = joined(members)
    seen = []
    for _ in range(9):
        clock.pass_(timedelta(seconds=20))
        members.know(guest.token)
        with store.database.connect() as db:
            seen.append(db.scalar(select(visit.c.seen_at)))

    assert len(set(seen)) == 3 + 1 - (seen[0] != seen[1])


def test_visits_that_ended_by_themselves_are_forgotten(members, store, clock):
    joined(members)
    clock.pass_(IDLE)
    members.sign_in("ada@acme.example", PASSWORD)

    with store.database.connect() as db:
        assert db.scalar(select(func.count()).select_from(visit)) == 1


@pytest.mark.parametrize("word", ["", "x", "x" * 100_000, "\udc80", "0" * 64, "' OR 1=1 --"])
def test_a_word_that_nobody_was_given_opens_nothing(members, word):
    joined(members)

    assert members.know(word) is None


def test_who_reads_the_database_has_nobodys_visit_and_no_link(members, store):
    guest, link = joined(members), members.invite("bob@acme.example", "viewer", by="a test")
    with store.database.connect() as db:
        rows = [
            *db.execute(select(visit)),
            *db.execute(select(invitation)),
            *db.execute(select(member)),
            *db.execute(select(audit)),
        ]
    everything = " ".join(map(str, rows))

    for secret in (guest.token, link.token, PASSWORD):
        assert secret not in everything
        assert secret not in repr((guest, link))
    assert members.know(everything.split()[0]) is None


# --- links that open once ---


def test_a_link_opens_once(members):
    link = members.invite("ada@acme.example", "reviewer", teams=["sales", "team:Legal"], by="a test")
    assert members.invited(link.token) == members.invited(link.token), "looking does not use it"

    guest = members.accept(link.token, PASSWORD, name="Ada")

    assert (guest.member.role, guest.member.teams, guest.member.name) == (
        "reviewer",
        ("sales", "legal"),
        "Ada",
    )
    assert members.invited(link.token) is None
    with pytest.raises(NotFound, match="opens nothing any more"):
        members.accept(link.token, PASSWORD)


def test_of_two_who_come_at_once_one_is_first(members):
    link, both = members.invite("ada@acme.example", "admin", by="a test"), Barrier(2)

    def come(password):
        both.wait(10)
        try:
            return members.accept(link.token, password)
        except (NotFound, Refused):
            return None

    passwords = ["the password of one", "the password of the other"]
    with ThreadPoolExecutor(2) as threads:
        guests = list(threads.map(come, passwords))

    [winner] = [number for number, guest in enumerate(guests) if guest]
    assert members.know(guests[winner].token)
    assert members.sign_in("ada@acme.example", passwords[winner])
    assert members.sign_in("ada@acme.example", passwords[1 - winner]) is None


def test_a_link_grows_old(members, clock):
    link = members.invite("ada@acme.example", "admin", by="a test")
    clock.pass_(LINK_LASTS)

    assert members.invited(link.token) is None
    with pytest.raises(NotFound):
        members.accept(link.token, PASSWORD)


def test_a_newer_link_to_the_same_address_takes_the_place_of_the_older(members):
    older = members.invite("ada@acme.example", "admin", by="a test")
    newer = members.invite("Ada@acme.example", "viewer", by="a test")

    with pytest.raises(NotFound):
        members.accept(older.token, PASSWORD)
    assert members.accept(newer.token, PASSWORD).member.role == "viewer"


def test_who_is_a_member_is_not_invited_again(members):
    joined(members)

    with pytest.raises(Refused, match="member already, as admin"):
        members.invite("ADA@acme.example", "viewer", by="a test")


@pytest.mark.parametrize("email", ["", "ada", "ada@", "ada@acme.example\r\nBcc: x@y.example"])
def test_only_addresses_are_invited(members, email):
    with pytest.raises(Refused):
        members.invite(email, "viewer", by="a test")


def test_a_reset_lets_them_choose_another_password_and_nothing_else(members):
    here = joined(members, role="reviewer", teams=["sales"])
    link = members.reset("ada@acme.example", by="a test")
    assert members.sign_in("ada@acme.example", PASSWORD), "until it is used the old one is good"

    guest = members.accept(link.token, "another one, just as long", name="Somebody else")

    assert (guest.member.role, guest.member.teams, guest.member.name) == ("reviewer", ("sales",), "ada")
    assert members.know(here.token) is None
    assert members.sign_in("ada@acme.example", PASSWORD) is None


def test_the_first_admin_comes_by_a_link_that_a_newer_start_ends(members):
    first = members.welcome()
    second = members.welcome()
    with pytest.raises(NotFound):
        members.accept(first.token, PASSWORD, email="ada@acme.example")
    with pytest.raises(Invalid, match="email"):
        members.accept(second.token, PASSWORD, email="not an address")

    guest = members.accept(second.token, PASSWORD, email="Ada@acme.example")

    assert (guest.member.email, guest.member.role) == ("ada@acme.example", "admin")
    assert members.welcome() is None


def test_the_link_for_the_first_admin_is_dead_once_there_is_one(members):
    link = members.welcome()
    joined(members)

    assert members.invited(link.token) is None
    with pytest.raises(NotFound):
        members.accept(link.token, PASSWORD, email="eve@acme.example")


def test_two_first_admins_at_once_are_one(members):
    link, both = members.welcome(), Barrier(2)

    def come(email):
        both.wait(10)
        try:
            return members.accept(link.token, PASSWORD, email=email)
        except NotFound:
            return None

    with ThreadPoolExecutor(2) as threads:
        guests = list(threads.map(come, ["ada@acme.example", "eve@acme.example"]))

    assert sum(guest is not None for guest in guests) == 1
    assert len(members.list()) == 1


# --- what they may do ---


def test_each_role_may_what_those_before_it_may(members):
    ranks = {}
    for role in ROLES:
        there = joined(members, f"{role}@acme.example", role).member
        ranks[role] = [may(there, each) for each in ROLES]

    assert ranks == {
        "viewer": [True, False, False],
        "reviewer": [True, True, False],
        "admin": [True, True, True],
    }


def test_another_role_begins_with_another_visit(members):
    joined(members)
    kim = joined(members, "kim@acme.example", "viewer")

    assert members.give_role("kim@acme.example", "reviewer", by="ada@acme.example").role == "reviewer"

    assert members.know(kim.token) is None
    assert members.sign_in("kim@acme.example", PASSWORD).member.role == "reviewer"
    with pytest.raises(Invalid, match="viewer, reviewer, admin"):
        members.give_role("kim@acme.example", "king", by="ada@acme.example")
    with pytest.raises(NotFound):
        members.give_role("nobody@acme.example", "viewer", by="ada@acme.example")


def test_who_is_disabled_is_out_at_once_with_every_link_that_they_have(members):
    joined(members)
    kim = joined(members, "kim@acme.example", "reviewer")
    also = members.sign_in("kim@acme.example", PASSWORD)
    link = members.reset("kim@acme.example", by="a test")

    members.disable("kim@acme.example", by="ada@acme.example")

    assert [members.know(guest.token) for guest in (kim, also)] == [None, None]
    assert members.sign_in("kim@acme.example", PASSWORD) is None
    assert members.invited(link.token) is None
    with pytest.raises(Refused, match="disabled"):
        members.reset("kim@acme.example", by="a test")


def test_who_was_disabled_may_be_invited_again(members):
    joined(members)
    joined(members, "kim@acme.example", "reviewer")
    members.disable("kim@acme.example", by="a test")

    back = members.accept(
        members.invite("kim@acme.example", "viewer", by="a test").token, "another, just as long"
    )

    assert (back.member.role, back.member.disabled_at) == ("viewer", None)
    assert members.sign_in("kim@acme.example", PASSWORD) is None


def test_the_last_admin_stays(members):
    joined(members)
    joined(members, "kim@acme.example", "reviewer")
    for deed in (
        lambda: members.disable("ada@acme.example", by="a test"),
        lambda: members.give_role("ada@acme.example", "viewer", by="a test"),
    ):
        with pytest.raises(Refused, match="only admin"):
            deed()

    members.give_role("kim@acme.example", "admin", by="a test")
    members.disable("ada@acme.example", by="a test")
    with pytest.raises(Refused, match="only admin"):
        members.disable("kim@acme.example", by="a test")


def test_two_admins_who_disable_each_other_at_once_leave_one(members):
    for round_ in range(5):
        emails = [f"{name}{round_}@acme.example" for name in ("ada", "eve")]
        for email in emails:
            joined(members, email)
        for each in members.list():
            if each.email not in emails and each.disabled_at is None:
                members.disable(each.email, by="a test")
        both = Barrier(2)

        def out(email, both=both):
            both.wait(10)
            try:
                members.disable(email, by="the other")
            except Refused:
                return False
            return True

        with ThreadPoolExecutor(2) as threads:
            assert sorted(threads.map(out, emails)) == [False, True]


def test_every_change_stands_in_the_log_with_who_made_it_and_no_secret(members, store):
    joined(members)
    link = members.invite("kim@acme.example", "viewer", by="ada@acme.example")
    kim = members.accept(link.token, PASSWORD)
    members.give_role("kim@acme.example", "reviewer", by="ada@acme.example")
    members.change_password(members.sign_in("kim@acme.example", PASSWORD), PASSWORD, "another, just as long")
    members.sign_out(members.sign_in("kim@acme.example", "another, just as long").token)
    members.disable("kim@acme.example", by="ada@acme.example")

    said = [line for line in lines(store) if "kim" in line]
    mem = kim.member.id
    assert said == [
        "ada@acme.example member: invite kim@acme.example viewer",
        f"kim@acme.example member: join {mem} kim@acme.example viewer",
        f"kim@acme.example member: sign in {mem} kim@acme.example",
        f"ada@acme.example member: role {mem} kim@acme.example reviewer",
        f"kim@acme.example member: sign in {mem} kim@acme.example",
        f"kim@acme.example member: password {mem} kim@acme.example",
        f"kim@acme.example member: sign in {mem} kim@acme.example",
        f"kim@acme.example member: sign in {mem} kim@acme.example",
        f"kim@acme.example member: sign out {mem} kim@acme.example",
        f"ada@acme.example member: disable {mem} kim@acme.example",
    ]


def test_a_database_without_members_has_no_admin(store, members):
    with store.database.connect() as db:
        assert db.scalar(text("SELECT count(*) FROM member")) == 0
    assert members.list() == []
    assert members.welcome() is not None
