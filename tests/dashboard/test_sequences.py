"""The pages of sequences: how they fare, what an edit would do, and the brake for one of them."""

import re
from datetime import timedelta
from html import escape, unescape
from pathlib import Path
from urllib.parse import quote

import pytest

from engine.brake import stop_sequence
from engine.dispatch import dispatch_due
from engine.react import react
from relent.assemble import House
from relent.config import Config
from sequences.loader import load
from tests.dashboard.folders import HOSTILE, QUICK, be_patient
from tests.makers import IDA, SECRET, enrolled, pending, people, reply

NAME = "Quick question"
HERE = "/sequences/Quick%20question"
OLA = "ola@quarry.example"


@pytest.fixture(autouse=True)
def _patience(monkeypatch):
    be_patient(monkeypatch)


@pytest.fixture
def folder(tmp_path):
    found = tmp_path / "sequences"
    found.mkdir()
    (found / "quick.yaml").write_text(QUICK)
    return found


@pytest.fixture
def house(folder, store, clock, mailbox, pace):
    config = Config(webhooks={"secrets": [SECRET]}, sequences={"path": str(folder)})
    return House(config=config, store=store, mailbox=mailbox, clock=clock, pace=pace)


@pytest.fixture
def wants(folder):
    return load(folder / "quick.yaml")


@pytest.fixture
def campaign(store, clock, mailbox, pace, wants):
    """Ida and Ola were written to; Ida has answered."""
    for email in (IDA, OLA):
        enrolled(store, clock.now(), email, wants)
    list(dispatch_due(store=store, mailbox=mailbox, clock=clock, pace=pace))
    thread_id = next(one["thread_id"] for one in people(store, clock.now()) if one["email"] == IDA)
    react(reply(thread_id), b"{}", store=store, clock=clock, pace=pace)


def _rows(page: str) -> list[list[str]]:
    """Every row of every table, as a reader would see it."""
    rows = re.findall(r"<tr>(.*?)</tr>", page, re.S)
    cells = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.S) for row in rows]
    return [[_plain(cell) for cell in row] for row in cells]


def _plain(html: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())


def _row(page: str, first: str) -> list[str]:
    return next(row for row in _rows(page) if row and row[0].startswith(first))


def _states(store, clock):
    return {one["email"]: one["state"] for one in people(store, clock.now())}


# --- all of them ---


def test_every_sequence_is_listed_with_its_people_and_what_its_file_says(as_viewer, campaign):
    page = as_viewer.get("/sequences")

    assert page.status_code == 200
    assert _row(page.text, NAME) == [NAME, "1", "0", "1", "0", "1", "✓ as it runs"]


def test_a_file_that_nobody_uses_one_that_is_wrong_and_one_that_is_gone_stand_there_too(
    as_viewer, folder, campaign
):
    (folder / "quick.yaml").unlink()
    (folder / "new.yaml").write_text(QUICK.replace(NAME, "Brand new"))
    (folder / "odd.yaml").write_text(QUICK.replace(NAME, "Odd one") + "stop_on: reply\n")

    page = as_viewer.get("/sequences").text

    assert _row(page, NAME)[-1].endswith("not in the folder")
    assert "not used yet" in _row(page, "Brand new")[-1]
    assert "has mistakes" in _row(page, "Odd one")[-1]


def test_where_there_is_none_somebody_is_shown_the_way_to_the_first(as_viewer, folder):
    (folder / "quick.yaml").unlink()

    page = as_viewer.get("/sequences").text

    assert "No sequences yet" in page
    assert 'href="/start"' in page


# --- one of them ---


def test_each_step_has_its_wait_as_it_is_written_and_its_numbers_with_what_they_are_worth(
    as_viewer, campaign
):
    page = as_viewer.get(HERE).text

    hello, bump = _row(page, "hello"), _row(page, "bump")
    assert hello[1:4] == ["at once", "0", "2"]
    assert hello[4] == "1 · 50 % 9.5 % – 91 %"
    assert bump[1:4] == ["3d", "1", "0"]
    assert bump[4] == "–"
    assert _row(page, "bye")[1] == "5bd"
    assert page.count("<svg class=") >= 6
    assert " style=" not in page


def test_a_version_tells_since_when_it_is_used_and_who_is_on_it(as_viewer, campaign, wants):
    page = as_viewer.get(HERE).text

    [row] = [row for row in _rows(page) if row[0].startswith(wants.version[:8])]
    assert row[2:] == ["1", "0", "1", "0"]
    assert "2 Mar 2026, 09:00 UTC" in row[1]


def test_another_version_can_be_read(as_viewer, campaign, folder, store, clock, wants):
    (folder / "quick.yaml").write_text(QUICK.replace("I stop here.", "Farewell."))
    enrolled(store, clock.now() + timedelta(minutes=1), "eva@harbour.example", load(folder / "quick.yaml"))

    newest, first = as_viewer.get(HERE).text, as_viewer.get(f"{HERE}?version={wants.version}").text

    assert "Farewell." in newest
    assert "I stop here." not in newest
    assert "I stop here." in first
    assert as_viewer.get(f"{HERE}?version=nobodys").status_code == 404


def test_a_step_that_only_an_earlier_version_had_keeps_its_numbers(as_viewer, campaign, folder, store, clock):
    (folder / "quick.yaml").write_text(QUICK.replace("id: hello", "id: welcome"))
    enrolled(store, clock.now() + timedelta(minutes=1), "eva@harbour.example", load(folder / "quick.yaml"))

    page = as_viewer.get(HERE).text

    assert _row(page, "welcome")[2:4] == ["1", "0"]
    assert _row(page, "hello in earlier versions only")[3] == "2"


def test_two_ways_to_say_it_stand_side_by_side(as_viewer, folder, store, clock, mailbox, pace):
    (folder / "quick.yaml").write_text(
        QUICK.replace(
            "    subject: Quick question\n    body: Hello\n",
            "    variants:\n      - { id: short, subject: Hi, body: Hi }\n      - { id: long, subject: Hello, body: Hello there }\n"
            "    winner: { min_sent: 1, confidence: 90% }\n",
        )
    )
    wants = load(folder / "quick.yaml")
    for number in range(12):
        enrolled(store, clock.now(), f"person{number}@company{number}.example", wants)
    list(dispatch_due(store=store, mailbox=mailbox, clock=clock, pace=pace))

    page = _plain(as_viewer.get(HERE).text)

    assert "Ways to say hello" in page
    assert page.count("Chosen for 50%") == 2
    assert "wins, once each was sent 1 times and it is 90.0% certain. Nobody can tell yet." in page


def test_a_sequence_of_every_kind_of_step_can_be_shown(as_viewer, folder):
    source = Path("../shared/sequences")
    for file in source.glob("*.y*ml") if source.is_dir() else ():
        (folder / file.name).write_bytes(file.read_bytes())
    for file in source.glob("*.md") if source.is_dir() else ():
        (folder / file.name).write_bytes(file.read_bytes())
    (folder / "all.yaml").write_text(
        "name: All kinds\nfrom: sam@acme.example\nsteps:\n"
        "  - { subject: Hi, body: Hi }\n"
        "  - { id: ring, task: Call them, assign: sam@acme.example, after: 1d }\n"
        "  - { id: tell, webhook: 'https://crm.example/hook?key=very-secret', after: 1d }\n"
        "  - id: listen\n    wait_for: meeting_booked\n    up_to: 2d\n    then: [{ id: yes, body: Yes }]\n"
        "    else: [{ id: no, body: No }]\n"
        "  - id: which\n    choose:\n      - { if: 'industry == \"saas\"', then: [{ id: saas, body: S }] }\n"
        "      - { else: [{ id: other, body: O }] }\n"
        "defaults: { industry: none }\n"
    )

    page = as_viewer.get("/sequences/All%20kinds")

    assert page.status_code == 200, page.text
    told = _plain(page.text)
    assert "Call them, for sam@acme.example" in told
    assert "calls crm.example" in told
    assert "very-secret" not in page.text
    assert "when meeting_booked did not come" in told
    assert "waits for meeting_booked, up to 2 days" in told
    listed = re.findall(r'href="(/sequences/[^"/]+)"', as_viewer.get("/sequences").text)
    assert [as_viewer.get(unescape(each)).status_code for each in set(listed)] == [200] * len(set(listed))


def test_what_is_not_there_is_not_there(as_viewer):
    assert as_viewer.get("/sequences/Nobody%27s").status_code == 404
    assert as_viewer.get("/sequences/relent%3A%20canary").status_code == 404


def test_two_files_of_one_name_are_told_and_neither_is_applied(as_admin, folder, campaign, store, clock):
    (folder / "twin.yaml").write_text(QUICK.replace("after: 3d", "after: 4d"))
    before = pending(store, clock.now())

    pages = [as_admin.get(path).text for path in ("/sequences", HERE, f"{HERE}/plan")]

    assert "stands in two files" in _row(pages[0], NAME)[-1]
    assert all("twin.yaml" in page for page in pages[1:])
    assert 'name="plan"' not in pages[2]
    assert as_admin.post_form(f"{HERE}/apply", plan="0-0-0").status_code == 409
    assert pending(store, clock.now()) == before


# --- mistakes ---


def test_a_mistake_is_shown_with_file_line_and_column_as_it_is(as_viewer, folder, campaign):
    (folder / "quick.yaml").write_text(QUICK + "stop_on: reply\nlimit: 4\n")

    page, plan = as_viewer.get(HERE).text, as_viewer.get(f"{HERE}/plan").text

    for text in (page, plan):
        assert f"{folder / 'quick.yaml'}:15:1" in _plain(text)
        assert f"{folder / 'quick.yaml'}:16:1" in _plain(text)
        assert 'Did you mean "stop"?' in _plain(text)
    assert "goes on with the version that they have" in _plain(page)


# --- what an edit would do ---


def test_an_edit_is_shown_before_it_is_done_and_done_as_it_was_shown(
    as_admin, folder, campaign, store, clock
):
    (folder / "quick.yaml").write_text(QUICK.replace("after: 3d", "after: 4d"))
    [before] = pending(store, clock.now())

    plan = as_admin.get(f"{HERE}/plan").text
    assert "Re-dated" in plan
    assert escape(OLA) in plan
    assert "Thu 5 Mar 2026, 09:00 UTC" in plan
    assert "Fri 6 Mar 2026, 09:00 UTC" in plan
    assert pending(store, clock.now()) == [before]

    answer = as_admin.post_form(f"{HERE}/apply", plan=_token(plan))

    assert answer.headers["location"] == HERE
    [after] = pending(store, clock.now())
    assert after["send_at"] - before["send_at"] == timedelta(days=1)
    assert "1 person moved to it" in _plain(as_admin.get(HERE).text)


def _token(page: str) -> str:
    found = re.search(r'name="plan" value="([^"]+)"', page)
    assert found, page
    return found[1]


def test_letters_that_keep_words_which_the_file_has_no_more_are_counted(as_admin, folder, campaign):
    words = "1 letter that waits keeps the words it has"
    edited = QUICK.replace("after: 3d", "after: 4d")
    (folder / "quick.yaml").write_text(edited)
    assert words not in _plain(as_admin.get(f"{HERE}/plan").text)
    (folder / "quick.yaml").write_text(edited.replace("Did you see it?", "Did you, perhaps?"))
    assert words in _plain(as_admin.get(f"{HERE}/plan").text)


def test_what_has_moved_since_is_told_and_nothing_happens(
    as_admin, folder, campaign, store, clock, mailbox, pace
):
    (folder / "quick.yaml").write_text(QUICK.replace("after: 3d", "after: 4d"))
    token = _token(as_admin.get(f"{HERE}/plan").text)
    clock.pass_(timedelta(minutes=1))
    stop_sequence(NAME, by="somebody else", store=store, clock=clock, gate_deadline=timedelta(0))

    answer = as_admin.post_form(f"{HERE}/apply", plan=token)

    assert answer.headers["location"] == f"{HERE}/plan"
    told = _plain(as_admin.get(f"{HERE}/plan").text)
    assert "Nothing was applied. something moved since" in told
    assert "relent plan" not in told
    assert {one["version"] for one in people(store, clock.now())} == {load_version(QUICK, folder)}


def load_version(text: str, folder) -> str:
    (folder / "again.yml").write_text(text)
    return load(folder / "again.yml").version


def test_an_edit_that_would_say_something_twice_is_refused_and_offers_no_button(as_admin, folder, campaign):
    (folder / "quick.yaml").write_text(QUICK.replace("id: hello", "id: welcome"))

    page = as_admin.get(f"{HERE}/plan").text

    assert "It cannot be applied so" in page
    assert 'name="plan"' not in page


@pytest.mark.parametrize("plan", ["", "0-0-0", "../../etc", "ffffffffffff-aaaaaaaa-bbbbbbbb"])
def test_a_plan_that_nobody_made_applies_nothing(as_admin, folder, campaign, store, clock, plan):
    (folder / "quick.yaml").write_text(QUICK.replace("after: 3d", "after: 4d"))
    before = pending(store, clock.now())

    answer = as_admin.post_form(f"{HERE}/apply", plan=plan)

    assert answer.status_code == 303
    assert pending(store, clock.now()) == before


def test_a_file_that_became_unreadable_is_not_applied(as_admin, folder, campaign):
    (folder / "quick.yaml").write_text(QUICK + "stop_on: reply\n")

    assert as_admin.post_form(f"{HERE}/apply", plan="0-0-0").status_code == 409


# --- the brake ---


def test_a_sequence_is_stopped_with_a_receipt_and_goes_on_again(as_reviewer, campaign, store, clock):
    assert "Stop this sequence" in as_reviewer.get(HERE).text

    assert as_reviewer.post_form(f"{HERE}/stop").headers["location"] == HERE

    told = _plain(as_reviewer.get(HERE).text)
    assert "1 person paused, 1 letter held back; already gone: 0; still in the air: 0." in told
    assert _states(store, clock) == {IDA: "stopped", OLA: "paused"}
    assert "Resume this sequence" in told
    assert "The whole sequence is paused somebody stopped it" in told

    assert as_reviewer.post_form(f"{HERE}/resume").status_code == 303

    assert "1 person goes on" in _plain(as_reviewer.get(HERE).text)
    assert _states(store, clock) == {IDA: "stopped", OLA: "active"}


def test_who_did_it_stands_in_the_log(as_reviewer, campaign, store, clock):
    as_reviewer.post_form(f"{HERE}/stop")

    with store.database.connect() as db:
        actors = {
            row[0] for row in db.exec_driver_sql("SELECT actor FROM audit WHERE what = 'enrollment: pause'")
        }
    assert actors == {"reviewer@acme.example"}


def test_nobody_stops_what_is_not_there(as_reviewer):
    assert as_reviewer.post_form("/sequences/Nobody%27s/stop").status_code == 404


@pytest.mark.parametrize("deed", ["apply", "stop", "resume"])
def test_a_viewer_changes_nothing_and_is_offered_nothing(as_viewer, campaign, folder, store, clock, deed):
    (folder / "quick.yaml").write_text(QUICK.replace("after: 3d", "after: 4d"))
    before = pending(store, clock.now())
    pages = as_viewer.get(HERE).text + as_viewer.get(f"{HERE}/plan").text
    token = "0-0-0"

    assert as_viewer.post_form(f"{HERE}/{deed}", plan=token).status_code == 403
    assert as_viewer.get(f"{HERE}/{deed}").status_code == 405

    assert f'action="{HERE}/{deed}"' not in pages
    assert pending(store, clock.now()) == before
    assert _states(store, clock) == {IDA: "stopped", OLA: "active"}


def test_a_reviewer_applies_no_edit(as_reviewer, folder, campaign):
    assert as_reviewer.post_form(f"{HERE}/apply", plan="0-0-0").status_code == 403


# --- strangers ---


def test_hostile_names_words_and_yaml_are_text(as_admin, folder, store, clock, mailbox, pace):
    quoted = HOSTILE.replace("'", "''").replace("\u202e", "")
    (folder / "evil.yaml").write_text(
        QUICK.replace("name: Quick question", f"name: '{quoted}'")
        .replace("subject: Quick question", f"subject: '{quoted}'")
        .replace("body: Hello", f"body: '{quoted}'")
        .replace("after: 3d", "after: 3d\n    if: 'email == \"<b>\"'")
    )
    (folder / "worse.yaml").write_text(f"name: Worse\n'{quoted}': 1\n")
    (folder / "<img src=x onerror=alert(3)>.yaml").write_text("name: [\n")
    wants = load(folder / "evil.yaml")
    enrolled(store, clock.now(), IDA, wants)
    name = quote(wants.name, safe="")

    pages = [
        as_admin.get(path).text
        for path in ("/sequences", f"/sequences/{name}", f"/sequences/{name}/plan", "/sequences/Worse")
    ]

    for page in pages:
        assert "<script>alert" not in page
        assert "<img" not in page
        assert "onerror=alert(1)" not in page
    assert wants.name in unescape(pages[0])
    assert unescape(pages[1]).count(wants.name) >= 3


def test_a_name_with_a_slash_has_a_page(as_viewer, folder):
    (folder / "quick.yaml").write_text(QUICK.replace(NAME, "a/b ?c#d %e"))

    href = re.search(r'href="(/sequences/[^"]+)"', as_viewer.get("/sequences").text)[1]

    assert as_viewer.get(unescape(href)).status_code == 200
