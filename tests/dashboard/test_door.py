"""Nothing changes but by a form of ours, sent by somebody who is in and may: every door of the table is tried."""

import logging
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from sqlalchemy import select

from dashboard.door import HEADERS, Front
from dashboard.frame import Asked, Door, Raw, Shown, Streamed, Went
from dashboard.pages import DOORS
from dashboard.seal import Notice, opened, sealed
from engine.errors import Forbidden, Invalid, Issue, NotFound, Refused, Unavailable
from engine.model import Pace
from engine.store import Store, open_store
from engine.store.tables import metadata, visit
from relent.assemble import House, office
from relent.config import Config
from relent.web import FOR_PROGRAMS, create_app
from tests.dashboard.visitors import HERE, Visitor, come_in
from tests.doubles import FrozenClock, MemoryMailbox
from tests.makers import SECRET

OPEN = [door for door in DOORS if door.role == "anybody"]
CLOSED = [door for door in DOORS if door.role != "anybody"]
LOOKED_AT = [door for door in DOORS if door.method == "GET"]
SENT = [door for door in DOORS if door.method == "POST"]
#: What it shows has no end.
WITHOUT_END = {"/live"}


def named(door: Door) -> str:
    return f"{door.method} {door.path}"


def path_of(door: Door) -> str:
    return re.sub(r"{\w+}", "x", door.path)


def everything(store: Store) -> dict[str, list[str]]:
    """All that is kept; but not when somebody was seen last."""
    with store.database.connect() as db:
        return {
            name: sorted(
                str([value for column, value in row._mapping.items() if column != visit.c.seen_at.name])
                for row in db.execute(select(table))
            )
            for name, table in metadata.tables.items()
        }


@dataclass(frozen=True)
class Town:
    """A house of which nothing must change, and people before and inside of its door: one for all these tests."""

    house: House
    front: Visitor
    by: dict[str, Visitor]

    def at(self, door: Door) -> Visitor:
        """Whoever may go through this door."""
        if door.role == "anybody":
            self.front.knock()
            return self.front
        return self.by["admin"]

    @contextmanager
    def unchanged(self) -> Iterator[None]:
        before = everything(self.house.store)
        yield
        assert everything(self.house.store) == before


@pytest.fixture(scope="module")
def town(empty_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    path = shutil.copy(empty_sqlite, tmp_path_factory.mktemp("town") / "relent.db")
    store = open_store(f"sqlite:///{path}")
    config = Config(webhooks={"secrets": [SECRET]})
    house = House(config=config, store=store, mailbox=MemoryMailbox(), clock=FrozenClock(), pace=Pace())
    with Visitor(create_app(house, with_worker=False)) as front:
        roles = ("viewer", "reviewer", "admin")
        yield Town(house, front, {role: come_in(front, house, role) for role in roles})
    store.close()


@pytest.fixture
def database_url(empty_sqlite: Path, tmp_path: Path) -> str:
    """The door knows nothing of databases: one kind is enough."""
    return f"sqlite:///{shutil.copy(empty_sqlite, tmp_path / 'relent.db')}"


# --- the table ---


def test_no_two_doors_are_at_one_place():
    places = [(door.method, re.sub(r"{\w+}", "{}", door.path)) for door in DOORS]

    assert len(places) == len(set(places))


def test_no_door_leads_where_programs_ask():
    assert not {door.path.split("/")[1] for door in DOORS} & (FOR_PROGRAMS | {"static"})


def test_only_the_entrance_is_open_to_anybody():
    assert {door.path for door in OPEN} == {"/login", "/welcome/{token}"}


def test_whoever_only_looks_changes_nothing_so_what_changes_is_no_door_for_viewers():
    """But their own visit, password and language."""
    own = {"/logout", "/account"}

    assert {door.path for door in SENT if door.role == "viewer"} <= own


# --- who is not in ---


@pytest.mark.parametrize("door", CLOSED, ids=named)
def test_who_is_not_in_is_sent_to_the_login(town, door):
    form = {"csrf": "0" * 64} if door.method == "POST" else None
    with town.unchanged():
        answer = Visitor(town.front.app).request(door.method, path_of(door), data=form)

    assert answer.status_code == 303
    assert answer.headers["location"].split("?")[0] == "/login"


def test_a_part_of_a_page_is_not_the_login(front):
    answer = front.get("/account", headers={"hx-request": "true"})

    assert answer.status_code == 401
    assert answer.headers["hx-redirect"] == "/login"


# --- what a form must be ---


@pytest.mark.parametrize("door", [door for door in SENT if door.role in ("reviewer", "admin")], ids=named)
def test_a_role_that_is_too_low_changes_nothing(town, door):
    too_low = {"reviewer": ["viewer"], "admin": ["viewer", "reviewer"]}[door.role]
    with town.unchanged():
        for role in too_low:
            answer = town.by[role].post_form(path_of(door), draft_id="x", confirm="yes")
            assert answer.status_code == 403
            assert role in answer.text


@pytest.mark.parametrize(
    "door", [door for door in LOOKED_AT if door.role in ("reviewer", "admin")], ids=named
)
def test_a_role_that_is_too_low_sees_nothing(town, door):
    assert town.by["viewer"].get(path_of(door)).status_code == 403


FORGED = {
    "without our word": ({"csrf": ""}, {}),
    "with a word of another visit": ({"csrf": "another"}, {}),
    "from another site": ({}, {"origin": "https://evil.example"}),
    "from another port": ({}, {"origin": "http://127.0.0.1:9999"}),
    "from nowhere": ({}, {"origin": "null"}),
    "from a name that begins like ours": ({}, {"origin": "http://127.0.0.1:8025.evil.example"}),
    "from a page of another site": (
        {},
        {"origin": None, "referer": "https://evil.example/http://127.0.0.1:8025/"},
    ),
    "across sites, says the browser": ({}, {"sec-fetch-site": "cross-site"}),
    "from a sister's site": ({}, {"sec-fetch-site": "same-site"}),
    "from no page at all": ({}, {"origin": None, "sec-fetch-site": "none"}),
}


@pytest.mark.parametrize("door", SENT, ids=named)
def test_what_no_page_of_ours_has_sent_changes_nothing(town, door):
    visitor, another = town.at(door), town.by["viewer"].csrf
    with town.unchanged():
        for how, (said, headers) in FORGED.items():
            word = {"": "", "another": another, None: visitor.csrf}[said.get("csrf")]
            mine = {"origin": HERE, "sec-fetch-site": "same-origin"} | headers
            answer = visitor.post(
                path_of(door),
                data={"csrf": word, "draft_id": "x"},
                headers={name: value for name, value in mine.items() if value is not None},
            )
            assert answer.status_code == 403, how


NO_FORMS = (
    "application/json",
    "text/plain",
    "multipart/form-data; boundary=x",
    "application/x-www-form-urlencoded-not",
    "",
)


@pytest.mark.parametrize("door", SENT, ids=named)
def test_only_forms_are_read(town, door):
    visitor = town.at(door)
    with town.unchanged():
        for kind in NO_FORMS:
            content = f'{{"csrf":"{visitor.csrf}"}}&csrf={visitor.csrf}'
            headers = {"origin": HERE, "content-type": kind}
            assert visitor.post(path_of(door), content=content, headers=headers).status_code == 415


@pytest.mark.parametrize("door", [door for door in LOOKED_AT if door.path not in WITHOUT_END], ids=named)
def test_asking_changes_nothing(town, door):
    admin = town.by["admin"]
    with town.unchanged():
        for query in ("", f"?approve=1&id=x&csrf={admin.csrf}&_method=POST&method=delete"):
            answer = admin.get(path_of(door) + query, headers={"x-http-method-override": "POST"})
            assert answer.status_code < 500
        admin.head(path_of(door))


@pytest.mark.parametrize("door", SENT, ids=named)
def test_what_a_form_does_is_done_by_nothing_else(town, door):
    known = {other.method for other in DOORS if path_of(other) == path_of(door)}
    with town.unchanged():
        for method in {"GET", "PUT", "PATCH", "DELETE"} - known:
            answer = town.by["admin"].request(
                method, path_of(door), params={"csrf": town.by["admin"].csrf}, headers={"origin": HERE}
            )
            assert answer.status_code in (404, 405)
            if answer.status_code == 405:
                assert "POST" in answer.headers["allow"]


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": HERE},
        {"origin": HERE, "sec-fetch-site": "same-origin"},
        {"referer": HERE + "/account"},
        {"sec-fetch-site": "same-origin"},
        {},
    ],
)
def test_a_browser_that_says_little_is_believed_by_our_word(as_viewer, headers):
    assert as_viewer.post("/logout", data={"csrf": as_viewer.csrf}, headers=headers).status_code == 303


def test_a_proxy_that_speaks_https_for_us_is_no_other_site(house, as_admin):
    """The browser says https, and nobody has told us: the name is ours all the same."""
    visitor = Visitor(as_admin.app, cookies=as_admin.cookies)

    answer = visitor.post(
        "/logout",
        data={"csrf": as_admin.csrf},
        headers={"host": "localhost", "origin": "https://localhost", "sec-fetch-site": "same-origin"},
    )

    assert answer.headers["location"] == "/login"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"csrf=%00", 400),
        (b"csrf=%ff", 400),
        (b"\xff=1", 400),
        (b"&".join(b"a=1" for _ in range(5000)), 400),
        (b"a=" + b"x" * 1024**2, 413),
        (b"", 403),
    ],
)
def test_a_form_that_cannot_be_read_is_refused_kindly(as_admin, body, status):
    answer = as_admin.post(
        "/logout",
        content=body,
        headers={"origin": HERE, "content-type": "application/x-www-form-urlencoded"},
    )

    assert answer.status_code == status
    assert as_admin.get("/account").status_code == 200


def test_a_stranger_says_little(front, as_admin):
    body = b"a=" + b"x" * 16 * 1024
    headers = {"origin": HERE, "content-type": "application/x-www-form-urlencoded"}

    assert front.post("/login", content=body, headers=headers).status_code == 413
    assert as_admin.post("/account", content=body, headers=headers).status_code == 403


# --- by what name we are asked ---


@pytest.mark.parametrize("host", ["127.0.0.1:8025", "localhost", "LOCALHOST:1", "[::1]:8025", "localhost."])
def test_this_machine_is_asked_by_its_own_names(front, host):
    assert front.get("/login", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "127.0.0.1.evil.example",
        "evil.example:8025",
        "",
        "10.0.0.1",
        "a@127.0.0.1.b",
        "[::1",
        "localhost/x",
    ],
)
def test_a_name_that_somebody_had_point_here_is_not_spoken_to(front, as_admin, host):
    for visitor in (front, as_admin):
        answer = visitor.get("/login", headers={"host": host})
        assert answer.status_code == 421
        assert "csrf" not in answer.text.split("</head>")[1].replace('name="csrf"', "") or visitor is front
    assert as_admin.get("/account", headers={"host": host}).status_code == 421


def serving(house: House, **server: object) -> House:
    return replace(
        house,
        config=house.config.model_copy(update={"server": house.config.server.model_copy(update=server)}),
    )


def test_a_name_that_stands_in_the_configuration_is_ours(house):
    public = serving(house, public_url="https://relent.acme.example/", host="0.0.0.0")
    with Visitor(create_app(public, with_worker=False)) as front:
        found = {
            host: front.get("/login", headers={"host": host}).status_code
            for host in ("relent.acme.example", "10.0.0.7:8025", "localhost", "evil.example")
        }

    assert found == {"relent.acme.example": 200, "10.0.0.7:8025": 200, "localhost": 200, "evil.example": 421}


def test_a_form_that_came_by_the_public_name_is_ours_also_when_a_proxy_says_another(house):
    public = serving(house, public_url="https://relent.acme.example")
    with Visitor(create_app(public, with_worker=False), "https://127.0.0.1:8025") as front:
        front.knock()
        said = {"email": "a@b.example", "password": "x"}
        ours = front.post_form("/login", headers={"origin": "https://relent.acme.example"}, **said)
        theirs = front.post_form("/login", headers={"origin": "https://acme.example"}, **said)

    assert (ours.status_code, theirs.status_code) == (401, 403)


# --- headers ---


def test_every_answer_says_what_a_browser_may_do_with_it(front, as_admin, as_viewer):
    answers = [
        as_admin.get("/account"),
        as_admin.head("/account"),
        front.get("/login"),
        front.get("/account"),
        front.get("/account", headers={"hx-request": "true"}),
        front.get("/nowhere/at/all"),
        front.get("/%ff%fe"),
        front.get("/login", headers={"host": "evil.example"}),
        front.post("/login", data={"a": "b"}),
        front.put("/login"),
        front.options("/login"),
        front.post("/login", content=b"{}", headers={"content-type": "application/json"}),
        front.get("/welcome/x"),
        front.get("/static/css/base.css"),
        as_viewer.post_form("/logout"),
    ]

    assert {answer.status_code for answer in answers} >= {200, 204, 303, 401, 403, 404, 405, 415, 421}
    for answer in answers:
        for name, value in HEADERS.items():
            assert answer.headers[name] == value, (answer.url, answer.status_code)
    policy = HEADERS["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy


def test_no_page_has_a_script_or_a_style_in_it(front, as_admin):
    for answer in (
        front.get("/login"),
        front.get("/nowhere"),
        as_admin.get("/account"),
        front.get("/welcome/x"),
    ):
        assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=|javascript:", answer.text)


def test_a_file_of_ours_may_be_kept_for_ever_under_the_name_of_its_content(front):
    page = front.get("/login").text
    href = re.search(r'href="(/static/css/base\.css\?v=\w+)"', page)[1]

    answer = front.get(href)

    assert "immutable" in answer.headers["cache-control"]
    assert answer.headers["content-type"].startswith("text/css")
    assert "cookie" not in answer.headers.get("vary", "").lower()


@pytest.mark.parametrize(
    "path",
    [
        "/static/",
        "/static/../door.py",
        "/static/%2e%2e/door.py",
        "/static/css",
        "/static/..%2fdoor.py",
        "/static//etc/passwd",
    ],
)
def test_nothing_else_of_this_disk_is_a_file_of_ours(front, path):
    answer = front.get(path)

    assert answer.status_code == 404
    assert "import" not in answer.text


# --- what is nowhere ---


def test_what_is_nowhere_is_a_page_for_people_and_json_for_programs(front, as_viewer):
    page = front.get("/nowhere")
    told = front.get("/nowhere", headers={"accept": "application/json"})

    assert (page.status_code, told.status_code) == (404, 404)
    assert page.headers["content-type"].startswith("text/html")
    assert told.json()["name"] == "NotFoundError"
    assert "/logout" in as_viewer.get("/nowhere").text, "who is in has the way back to everything"


@pytest.mark.parametrize(
    "path", ["/v0/nowhere", "/v1", "/v1/nowhere", "/api/v1/nowhere", "/webhooks/nowhere", "/healthz/x", "/u"]
)
def test_where_programs_ask_they_are_answered_as_programs_whatever_they_accept(front, path):
    answer = front.get(path)

    assert answer.headers["content-type"].startswith("application/json")
    assert answer.status_code in (401, 404)


def test_a_webhook_is_no_page(front):
    assert front.get("/webhooks/agentmail").status_code == 405
    assert front.post("/webhooks/agentmail", content=b"{}").status_code in (400, 401)


# --- what a page may answer, and what its mistakes become ---


@pytest.fixture
def a_page(front: Visitor, house: House) -> Callable[..., Visitor]:
    """A dashboard that has one page, and somebody who is in."""
    there = come_in(front, house, "reviewer", teams=("sales",))

    def made(handler: Callable[[Asked], object], **more: object) -> Visitor:
        async def nobody(scope, receive, send) -> None:
            raise AssertionError

        door = Door("GET", "/page/{name}", handler, name="page", **more)
        visitor = Visitor(Front(office(house), otherwise=nobody, doors=[door]), cookies=there.cookies)
        visitor.csrf = there.csrf
        return visitor

    return made


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (NotFound("there is no draft <script>alert(1)</script>"), 404),
        (Forbidden("approval.by names team:legal"), 403),
        (Refused("kim approved it at 10:00"), 409),
        (Invalid(Issue(("name",), "there is nothing in it")), 422),
        (Unavailable("the mail server does not answer"), 503),
    ],
)
def test_an_error_of_a_story_is_a_kind_page(a_page, error, status):
    def fail(asked):
        raise error

    for headers in ({}, {"hx-request": "true"}):
        answer = a_page(fail).get("/page/x", headers=headers)
        assert answer.status_code == status
        assert "<script>alert" not in answer.text
        assert str(error).split()[-1].split("<")[0].strip('".') in answer.text
        assert "Traceback" not in answer.text
    assert (status == 503) == ("retry-after" in answer.headers)


def test_our_own_mistake_tells_nothing_of_the_house(a_page, caplog):
    def fail(asked):
        raise KeyError("s3cret")

    with caplog.at_level(logging.ERROR):
        answer = a_page(fail).get("/page/a-secret-in-the-path")

    assert answer.status_code == 500
    assert "s3cret" not in answer.text
    assert "KeyError" not in answer.text
    assert "in the log" in answer.text
    assert "s3cret" in caplog.text
    assert "a-secret-in-the-path" not in caplog.text


def test_a_page_that_cannot_be_shown_is_no_crash(a_page):
    answer = a_page(lambda asked: Shown("there-is-no-such-template.html")).get("/page/x")

    assert answer.status_code == 500
    assert answer.headers["x-frame-options"] == "DENY"


def test_a_page_is_told_what_was_asked(a_page):
    seen = []

    def look(asked):
        seen.append(asked)
        return Raw(b"ok", "text/plain")

    visitor = a_page(look)
    visitor.cookies.set("relent_zone", "Europe/Oslo", domain="127.0.0.1")
    visitor.cookies.set("relent_theme", "dark", domain="127.0.0.1")
    visitor.get("/page/a%2Fb%20%C3%A9?x=1&x=2&y=%00", headers={"hx-request": "true"})
    visitor.cookies.set("relent_zone", "../../etc/passwd", domain="127.0.0.1")
    visitor.get("/page/x/", headers={"hx-request": "true", "hx-history-restore-request": "true"})

    first, second = seen
    assert first.path == {"name": "a/b é"}
    assert first.query == {"x": "2", "y": "\N{REPLACEMENT CHARACTER}"}
    assert (first.partial, first.zone, first.theme, first.here) == (True, "Europe/Oslo", "dark", "page")
    assert first.reviewer.id == "reviewer@acme.example"
    assert first.reviewer.names == {"reviewer@acme.example", "team:sales"}
    assert [first.may(role) for role in ("viewer", "reviewer", "admin")] == [True, True, False]
    assert (second.partial, second.zone) == (False, "UTC")


def test_a_frame_for_mail_has_rules_of_its_own(a_page):
    own = {"Content-Security-Policy": "sandbox; default-src 'none'", "X-Frame-Options": "SAMEORIGIN"}

    answer = a_page(lambda asked: Raw(b"<p>hello", headers=own)).get("/page/x")

    assert answer.headers.get_list("content-security-policy") == ["sandbox; default-src 'none'"]
    assert answer.headers.get_list("x-frame-options") == ["SAMEORIGIN"]
    assert answer.headers["cache-control"] == "no-store"


def test_a_stream_is_sent_as_it_comes_and_its_head_has_an_end(a_page):
    ended = []

    async def chunks():
        try:
            yield b"one"
            yield b"two"
        finally:
            ended.append(True)

    visitor = a_page(lambda asked: Streamed(chunks))

    assert visitor.get("/page/x").text == "onetwo"
    assert visitor.head("/page/x").text == ""
    assert ended == [True, True]


@pytest.mark.parametrize(
    "to", ["https://evil.example", "//evil.example", "/\\evil.example", "javascript:alert(1)", "/\r\nx: y"]
)
def test_no_page_sends_anybody_to_another_site(a_page, to):
    assert a_page(lambda asked: Went(to)).get("/page/x").headers["location"] == "/"


def test_a_way_with_letters_that_no_address_has_is_spelt_out(a_page):
    answer = a_page(lambda asked: Went("/people/jörg@acme.example?q=é#später")).get("/page/x")

    assert answer.headers["location"] == "/people/j%C3%B6rg@acme.example?q=%C3%A9#sp%C3%A4ter"


def test_a_notice_is_said_once_and_only_to_whom_it_is_meant_for(front, house, a_page):
    visitor = a_page(lambda asked: Went("/account", "3 letters <b>approved</b>"))
    sent = visitor.get("/page/x")
    word = sent.cookies["relent_notice"]
    reader = come_in(front, house, "reviewer")
    reader.cookies = visitor.cookies

    said = reader.get("/account").text
    again = reader.get("/account").text

    assert "3 letters &lt;b&gt;approved&lt;/b&gt;" in said
    assert "3 letters" not in again
    other = come_in(front, house, "admin")
    other.cookies.set("relent_notice", word, domain="127.0.0.1", path="/")
    assert "3 letters" not in other.get("/account").text
    for forged in ("x", "", "é", "A" * 400):
        other.cookies.set("relent_notice", forged.encode().hex(), domain="127.0.0.1", path="/")
        assert other.get("/account").status_code == 200


@pytest.mark.parametrize("letter", ["a", "é", "\N{GRINNING FACE}", "\x01", '"', "\ud800"])
def test_a_notice_has_room_in_a_cookie_whatever_it_is_written_in(letter, clock):
    word = sealed(Notice(letter * 5000), key=b"k", reader="r", now=clock.now())
    told = opened(word, key=b"k", reader="r", now=clock.now())

    assert len(word) < 3700
    assert len(told.text) > 300
