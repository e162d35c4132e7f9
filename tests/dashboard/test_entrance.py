"""In by a password, in by a link that opens once, and out again."""

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from threading import Barrier

import pytest

from engine.members import IDLE, LINK_LASTS, LONGEST, Members
from relent.web import create_app
from tests.dashboard.visitors import Visitor, come_in

PASSWORD = "four plain words together"


@pytest.fixture
def members(house) -> Members:
    return Members(store=house.store, clock=house.clock)


@pytest.fixture
def ada(members) -> str:
    """An admin with a password."""
    return members.accept(
        members.invite("ada@acme.example", "admin", by="a test").token, PASSWORD
    ).member.email


def sign_in(visitor: Visitor, email="ada@acme.example", password=PASSWORD, **more):
    if not visitor.csrf:
        visitor.knock()
    return visitor.post_form("/login", email=email, password=password, **more)


def is_in(visitor: Visitor) -> bool:
    return visitor.get("/account").status_code == 200


# --- by a password ---


def test_who_has_the_password_comes_in_where_they_wanted_to(front, ada):
    front.knock("/login?next=%2Faccount%3Fa%3Db")

    answer = sign_in(front, next="/account?a=b")

    assert (answer.status_code, answer.headers["location"]) == (303, "/account?a=b")
    assert is_in(front)
    assert front.get("/login").headers["location"] == "/"


def test_a_wrong_password_and_a_wrong_address_are_told_the_same(front, ada):
    wrong = sign_in(front, password="something else")
    nobody = sign_in(front, email="eve@acme.example", password="something else")

    assert (wrong.status_code, nobody.status_code) == (401, 401)
    assert wrong.text.replace("ada@", "eve@") == nobody.text
    assert "do not belong together" in wrong.text
    assert "something else" not in wrong.text
    assert not is_in(front)


@pytest.mark.parametrize(
    "to",
    ["https://evil.example/", "//evil.example", "/\\evil.example", "\\\\evil.example", "/login?next=/", "javascript:alert(1)",
     "/\t/evil.example", "/x\r\nLocation: https://evil.example", "evil.example", "/logout", "/live", "/ü", "http:evil.example"],
)  # fmt: skip
def test_a_link_to_the_login_leads_to_no_other_site(front, ada, to):
    front.knock()

    assert sign_in(front, next=to).headers["location"] == "/"
    assert front.get("/login", params={"next": to}).headers["location"] == "/"


def test_the_cookie_is_for_nobody_but_us(front, ada):
    said = sign_in(front).headers.get_list("set-cookie")
    [mine] = [each for each in said if each.startswith("relent_visit=")]
    words = {part.strip().lower() for part in mine.split(";")[1:]}

    assert {"httponly", "samesite=lax", "path=/"} <= words
    assert not any(word.startswith("domain") or word == "secure" for word in words)
    assert f"max-age={int(LONGEST.total_seconds())}" in words


def test_over_https_it_is_never_sent_in_the_clear(house, ada):
    with Visitor(create_app(house, with_worker=False), "https://localhost") as front:
        answer = sign_in(front)
        [mine] = [each for each in answer.headers.get_list("set-cookie") if "relent_visit" in each]
        assert mine.startswith("__Host-relent_visit=")
        assert "secure" in mine.lower()
        assert is_in(front)
        plain = Visitor(front.app, "https://localhost")
        plain.cookies.set("relent_visit", front.cookies["__Host-relent_visit"], domain="localhost.local")
        assert not is_in(plain), "a cookie that anybody on the way could have set"


def test_a_public_address_with_https_is_enough_to_know(house, ada):
    server = house.config.server.model_copy(update={"public_url": "https://relent.acme.example"})
    public = replace(house, config=house.config.model_copy(update={"server": server}))
    with Visitor(create_app(public, with_worker=False)) as front:
        said = front.get("/login").headers["set-cookie"]

    assert said.startswith("__Host-relent_knock=")
    assert "secure" in said.lower()


# --- somebody who tries ---


def test_who_tries_many_passwords_for_one_address_is_slowed_down(front, ada, clock):
    statuses = [sign_in(front, password=f"guess number {number}").status_code for number in range(9)]
    right = sign_in(front)

    assert statuses == [401] * 6 + [429] * 3
    assert right.status_code == 429, "also the right one is not looked at"
    assert 1 <= int(right.headers["retry-after"]) <= 60
    assert re.search(r"try again in \d+ (seconds|minutes)", right.text)
    clock.pass_(timedelta(minutes=1))
    assert sign_in(front).status_code == 303


def test_who_tries_one_password_for_many_addresses_is_slowed_down(front, ada):
    statuses = [
        sign_in(front, email=f"p{number}@acme.example", password="spring 2026").status_code
        for number in range(33)
    ]

    assert statuses == [401] * 30 + [429] * 3


def test_an_address_that_nobody_has_is_slowed_down_the_same(front, ada):
    statuses = [sign_in(front, email="eve@acme.example", password="x").status_code for _ in range(8)]

    assert statuses == [401] * 6 + [429] * 2


def test_who_comes_in_at_last_has_mistyped_for_nothing(front, ada):
    for _ in range(3):
        for _ in range(5):
            assert sign_in(front, password="mistyped it").status_code == 401
        assert sign_in(front).status_code == 303
        front.cookies.clear()
        front.csrf = ""


def test_who_has_somebodys_open_browser_does_not_guess_their_password(front, ada):
    sign_in(front)
    front.csrf = re.search(r'name="csrf" value="(\w+)"', front.get("/account").text)[1]
    fields = {"password": "another one, just as long", "again": "another one, just as long"}

    statuses = [
        front.post_form("/account", old=f"guess {number}", **fields).status_code for number in range(8)
    ]

    assert statuses == [422] * 6 + [429] * 2


def test_a_stranger_at_the_login_keeps_nobody_who_is_in_from_another_password(front, house, ada):
    sign_in(front)
    front.csrf = re.search(r'name="csrf" value="(\w+)"', front.get("/account").text)[1]
    with Visitor(create_app(house, with_worker=False)) as stranger:
        stranger.knock()
        for number in range(8):
            sign_in(stranger, password=f"guess number {number}")
    new = "another one, just as long"

    assert front.post_form("/account", old=PASSWORD, password=new, again=new).status_code == 303


# --- a word that somebody else knows ---


def test_a_word_that_was_put_into_a_browser_is_worth_nothing_after_the_login(front, house, ada):
    """Session fixation."""
    eves = come_in(front, house, "viewer", "eve@acme.example")
    planted = eves.cookies["relent_visit"]
    victim = Visitor(front.app)
    victim.cookies.set("relent_visit", planted, domain="127.0.0.1", path="/")
    victim.cookies.set("relent_knock", "planted", domain="127.0.0.1", path="/")
    victim.csrf = eves.csrf

    answer = sign_in(victim)

    assert answer.status_code == 303
    assert victim.cookies["relent_visit"] != planted
    assert not is_in(eves)
    assert is_in(victim)


def test_a_cookie_that_was_stolen_is_dead_after_the_logout(front, ada):
    sign_in(front)
    thief = Visitor(front.app, cookies=front.cookies)
    assert is_in(thief)
    front.csrf = re.search(r'name="csrf" value="(\w+)"', front.get("/account").text)[1]

    answer = front.post_form("/logout")

    assert answer.headers["location"] == "/login"
    assert "You are signed out" in front.get("/login").text
    assert not is_in(front)
    assert not is_in(thief)


def test_nobody_is_signed_out_by_a_picture_on_another_page(as_viewer):
    assert as_viewer.get("/logout").status_code == 405
    assert is_in(as_viewer)


def test_who_does_nothing_is_out_after_a_while(front, ada, clock):
    sign_in(front)
    clock.pass_(IDLE)

    assert not is_in(front)


def test_who_was_signed_out_meanwhile_is_told_that_nothing_was_done(front, ada, clock):
    sign_in(front)
    front.csrf = re.search(r'name="csrf" value="(\w+)"', front.get("/account").text)[1]
    clock.pass_(IDLE)

    answer = front.post_form(
        "/account", old=PASSWORD, password="another one, long", again="another one, long"
    )

    assert (answer.status_code, answer.headers["location"]) == (303, "/login")
    assert "You were signed out. Nothing was done." in front.get("/login").text
    front.csrf = ""
    assert sign_in(front).status_code == 303, "with the password of before"


def test_with_another_password_everybody_else_is_out(front, ada):
    sign_in(front)
    elsewhere = Visitor(front.app)
    sign_in(elsewhere)
    before = front.cookies["relent_visit"]
    front.csrf = re.search(r'name="csrf" value="(\w+)"', front.get("/account").text)[1]

    short = front.post_form("/account", old=PASSWORD, password="short", again="short")
    differ = front.post_form("/account", old=PASSWORD, password="another one, long", again="another one, lon")
    done = front.post_form("/account", old=PASSWORD, password="another one, long", again="another one, long")

    assert (short.status_code, differ.status_code, done.status_code) == (422, 422, 303)
    assert "at least 10 characters" in short.text
    assert "not the same" in differ.text
    assert front.cookies["relent_visit"] != before
    assert "Your password is changed" in front.get("/account").text
    assert not is_in(elsewhere)


# --- by a link ---


def test_the_first_admin_comes_in_by_the_link_that_the_server_prints(front, members):
    path = f"/welcome/{members.welcome().token}"
    for _ in range(3):  # a chat looks at it before a human does
        assert "you are the first" in front.get(path).text
    front.knock(path)

    answer = front.post_form(path, email="Ada@acme.example", name="Ada", password=PASSWORD, again=PASSWORD)

    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert is_in(front)
    [ada] = members.list()
    assert (ada.email, ada.name, ada.role) == ("ada@acme.example", "Ada", "admin")
    used = front.get(path)
    assert used.status_code == 404
    assert "opens nothing any more" in used.text


def test_what_is_wrong_on_the_way_in_is_said_and_the_link_is_not_used_up(front, members):
    path = f"/welcome/{members.welcome().token}"
    front.knock(path)
    fields = {"email": "ada@acme.example", "name": "Ada <b>", "password": PASSWORD, "again": PASSWORD}

    for wrong, words in (
        ({"again": "something else"}, "not the same"),
        ({"password": "short", "again": "short"}, "at least 10 characters"),
        ({"email": "ada"}, "no e-mail address"),
        ({"name": "A\nda"}, "one line"),
    ):
        answer = front.post_form(path, **fields | wrong)
        assert answer.status_code == 422
        assert words in answer.text
        assert PASSWORD not in answer.text
        assert "<b>" not in answer.text
    assert front.post_form(path, **fields).status_code == 303


def test_an_invitation_is_for_one_address_and_one_role(front, members, ada):
    path = f"/welcome/{members.invite('kim@acme.example', 'viewer', by='a test').token}"
    front.knock(path)

    front.post_form(path, email="eve@evil.example", role="admin", password=PASSWORD, again=PASSWORD)

    assert [(each.email, each.role) for each in members.list()] == [
        ("ada@acme.example", "admin"),
        ("kim@acme.example", "viewer"),
    ]


def test_of_two_browsers_with_one_link_one_comes_in(front, members):
    path, both = f"/welcome/{members.welcome().token}", Barrier(2)
    visitors = [Visitor(front.app), Visitor(front.app)]
    for visitor in visitors:
        visitor.knock(path)

    def come(number):
        both.wait(10)
        return (
            visitors[number]
            .post_form(path, email=f"p{number}@acme.example", password=PASSWORD, again=PASSWORD)
            .status_code
        )

    with ThreadPoolExecutor(2) as threads:
        assert sorted(threads.map(come, range(2))) == [303, 404]
    assert len(members.list()) == 1
    assert sorted(map(is_in, visitors)) == [False, True]


@pytest.mark.parametrize("token", ["x", "%00", "x" * 1000, "..%2f..", "%F0%9F%92%8C"])
def test_a_link_that_nobody_made_opens_nothing(front, token):
    answer = front.get(f"/welcome/{token}")

    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith("text/html")


def test_a_link_grows_old(front, members, clock):
    path = f"/welcome/{members.welcome().token}"
    clock.pass_(LINK_LASTS)

    assert front.get(path).status_code == 404


def test_a_reset_is_for_another_password(front, members, ada):
    path = f"/welcome/{members.reset(ada, by='a test').token}"
    assert "Choose another password" in front.get(path).text
    front.knock(path)

    assert front.post_form(path, password="another one, long", again="another one, long").status_code == 303

    elsewhere = Visitor(front.app)
    assert sign_in(elsewhere).status_code == 401
    assert sign_in(elsewhere, password="another one, long").status_code == 303


# --- somebody else decides ---


def test_who_is_disabled_or_has_another_role_is_out_at_once(
    front, house, members, ada, as_reviewer, as_viewer
):
    members.disable(as_viewer.member.email, by=ada)
    members.give_role(as_reviewer.member.email, "viewer", by=ada)

    assert not is_in(as_viewer)
    assert not is_in(as_reviewer)


def test_no_secret_is_in_a_page_or_in_the_log(front, members, ada, caplog):
    caplog.set_level(0)
    link = members.invite("kim@acme.example", "viewer", by=ada).token
    front.knock(f"/welcome/{link}")
    pages = [
        sign_in(front, password="a wrong s3cret"),
        front.post_form(f"/welcome/{link}", password="kims own s3cret", again="kims own s3cret"),
        front.get("/account"),
        front.get(f"/welcome/{link}"),
        front.get("/nowhere"),
    ]

    cookie = front.cookies["relent_visit"]
    assert not any(secret in page.text for page in pages for secret in ("s3cret", cookie, "$argon2"))
    ours = "\n".join(record.getMessage() for record in caplog.records if not record.name.startswith("httpx"))
    assert not any(secret in ours for secret in ("s3cret", cookie, link, "$argon2"))
