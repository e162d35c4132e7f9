"""What lies ahead: tests, previews and simulations, as a person asks for them. No configuration, no database."""

import json
import re
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import pytest
import typer
from typer.testing import CliRunner

from engine.errors import SequenceError, Unavailable
from engine.model import Prospect
from relent.calendar_page import calendar_page
from relent.cli_foresee import register
from relent.fate import Chances
from relent.foretell import LONGEST, Mail, Preview
from relent.simulation import Simulation, simulate, spans
from relent.trials import Tried, TriedFile, junit
from sequences.people import BadRow
from tests.doubles import MONDAY
from tests.makers import IDA, SAM, sequence

SEQUENCE = """\
name: Week
from: sam@acme.example
requires: [first_name]
schedule: { windows: mon-fri 09:00-17:00, fallback_timezone: Europe/Oslo }
limits: { per_mailbox: 2/day }
steps:
  - id: opener
    subject: Hello {{ first_name }}
    body: One
  - id: bump
    after: 3d
    body: Two, <b>{{ first_name }}</b>
  - id: bye
    after: 1w
    subject: Goodbye
    body: Three
"""
TESTS = """
tests:
  - name: an answer stops it
    start: 2026-03-02T10:00:00+01:00
    recipient: { email: ida@nordic.example, first_name: Ida }
    events: [{ at: 1d, reply: "Yes" }]
    expect: { sent: [opener], state: replied }
"""
PEOPLE = """\
email,first_name,timezone
ida@nordic.example,Ida,Europe/Oslo
tom@harbour.example,Tom,America/New_York
eva@harbour.example,,
not an address,Ned,
"""
START = "2026-03-24T10:00:00+01:00"  # a Tuesday; Europe's clocks change on the Sunday after


@pytest.fixture
def app():
    found = typer.Typer()

    @found.callback()
    def everything(context: typer.Context) -> None:
        context.obj = None

    register(found)
    return found


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a sequence, a list, and nothing else."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RELENT_CONFIG", raising=False)
    (tmp_path / "week.yaml").write_text(SEQUENCE)
    (tmp_path / "people.csv").write_text(PEOPLE)
    return tmp_path


def run(app, *words, code=0):
    done = CliRunner().invoke(app, list(words))
    assert done.exit_code == code, done.output
    return done


def preview(app, *words, code=0):
    done = run(app, "preview", "week.yaml", "--start", START, "--json", *words, code=code)
    return json.loads(done.stdout), done.stderr


# --- preview


def test_a_preview_has_every_mail_as_it_would_be_on_the_wire(app, folder):
    mails, _ = preview(app, "--email", IDA, "--var", "first_name=Ida", "--var", "timezone=Europe/Oslo")
    names = "email step subject text send_at local_time timezone reason variant inbox_id"
    assert all(set(names.split()) <= mail.keys() for mail in mails)
    assert [(mail["step"], mail["subject"], mail["text"]) for mail in mails] == [
        ("opener", "Hello Ida", "One\n"),
        ("bump", "Re: Hello Ida", "Two, <b>Ida</b>\n"),
        ("bye", "Goodbye", "Three\n"),
    ]
    assert [(mail["send_at"], mail["local_time"]) for mail in mails] == [
        ("2026-03-24T09:00:00.000Z", "2026-03-24T10:00:00+01:00"),
        ("2026-03-27T09:00:00.000Z", "2026-03-27T10:00:00+01:00"),
        ("2026-04-03T08:00:00.000Z", "2026-04-03T10:00:00+02:00"),
    ]
    assert {(mail["timezone"], mail["inbox_id"], mail["variant"]) for mail in mails} == {
        ("Europe/Oslo", SAM, None)
    }
    assert [mail["reason"] for mail in mails] == ["right after enrolment", "3d after opener", "1w after bump"]


def test_a_follow_up_of_the_second_thread_answers_that_one():
    wanted = sequence(
        {"subject": "One", "body": "x"}, {"body": "x"}, {"subject": "Re: two", "body": "x"}, {"body": "x"}
    )
    foretold = Preview(wanted, (SAM,), MONDAY)
    foretold.admit([Prospect(email=IDA)])
    assert [mail.subject for mail in foretold.play()] == ["One", "Re: One", "Re: two", "Re: two"]


def test_copies_and_html_are_told_if_there_are_any():
    wanted = sequence({"subject": "One", "body": "**x**", "cc": ["kim@acme.example"]}, {"body": "x"})
    foretold = Preview(wanted, (SAM,), MONDAY)
    foretold.admit([Prospect(email=IDA)])
    first, second = (mail.row() for mail in foretold.play())
    assert (first["cc"], "<strong>x</strong>" in first["html"]) == (["kim@acme.example"], True)
    assert not {"cc", "bcc", "html"} & second.keys()


def test_a_list_shares_the_caps_and_is_told_in_the_order_of_time(app, folder):
    (folder / "people.csv").write_text(
        "email,first_name\n" + "".join(f"p{n}@c{n}.example,P{n}\n" for n in range(5))
    )
    mails, _ = preview(app, "--people", "people.csv")
    times = [mail["send_at"] for mail in mails]
    days = [mail["local_time"][:10] for mail in mails]
    assert times == sorted(times)
    assert len(mails) == 15
    assert max(days.count(day) for day in days) == 2


def test_whoever_is_not_written_to_is_named_beside_the_mails(app, folder):
    mails, aside = preview(app, "--people", "people.csv", code=2)
    assert {mail["email"] for mail in mails} == {IDA, "tom@harbour.example"}
    assert "held: eva@harbour.example: first_name is missing" in aside
    assert "refused: not an address (line 5): " in aside


def test_many_for_the_same_reason_are_counted_for_whoever_reads(app, folder):
    (folder / "people.csv").write_text("email\n" + "".join(f"p{n}@c{n}.example\n" for n in range(1200)))
    words = run(app, "preview", "week.yaml", "--people", "people.csv").stdout
    assert "held: p0@c0.example, p1@c1.example, p2@c2.example and 1,197 more: first_name is missing" in words
    assert "no mail would leave" in words


def test_somebody_who_is_held_is_no_mistake(app, folder):
    mails, aside = preview(app, "--email", IDA)
    assert (mails, "first_name is missing" in aside) == ([], True)


def test_an_object_a_line_on_demand(app, folder):
    words = ("preview", "week.yaml", "--email", IDA, "--var", "first_name=Ida", "--jsonl")
    lines = run(app, *words).stdout.splitlines()
    assert [json.loads(line)["step"] for line in lines] == ["opener", "bump", "bye"]


def test_without_a_start_it_begins_now(app, folder):
    mails = json.loads(
        run(app, "preview", "week.yaml", "--email", IDA, "--var", "first_name=Ida", "--json").stdout
    )
    first = datetime.fromisoformat(mails[0]["send_at"])
    assert datetime.now(UTC) - timedelta(minutes=1) < first < datetime.now(UTC) + timedelta(days=4)


def test_a_person_reads_the_date_in_their_zone_and_why(app, folder):
    words = run(app, "preview", "week.yaml", "--people", "people.csv", "--start", START, code=2).stdout
    assert "1 · opener · Tue 24 Mar 2026 09:00 America/New_York — window opens Tue 24 Mar 09:00" in words
    assert "3 · bye · Fri 03 Apr 2026 10:00 Europe/Oslo — 1w after bump" in words
    assert "Subject: Re: Hello Ida" in words
    assert "Two, <b>Ida</b>" in words
    assert "6 mails to 2 people, the last on Fri 03 Apr 2026" in words
    assert "held: eva@harbour.example: first_name is missing" in words


def test_tasks_and_webhooks_stand_between_the_mails(app, folder):
    steps = SEQUENCE + "  - { id: call, task: 'Call {{ first_name }}', assign: kim, due: 1bd }\n"
    (folder / "week.yaml").write_text(steps + "  - { id: crm, webhook: https://crm.example.com/x }\n")
    one = ("preview", "week.yaml", "--email", IDA, "--var", "first_name=Ida", "--start", START)
    words = run(app, *one).stdout
    assert "task · call · Fri 03 Apr 2026 10:00 Europe/Oslo — Call Ida" in words
    assert "for kim, due Mon 06 Apr 2026 10:00 Europe/Oslo" in words
    assert "webhook · crm · Fri 03 Apr 2026 10:00 Europe/Oslo — https://crm.example.com/x" in words
    assert [mail["step"] for mail in json.loads(run(app, *one, "--json").stdout)] == ["opener", "bump", "bye"]


def test_looking_ahead_leaves_nothing_behind(app, folder):
    before = sorted(folder.rglob("*"))
    preview(app, "--people", "people.csv", code=2)
    run(app, "simulate", "week.yaml", "people.csv", code=2)
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ((), "name one person with --email, or a list with --people"),
        (("--email", IDA, "--people", "people.csv"), "name one person with --email, or a list with --people"),
        (("--email", IDA, "--start", "soon"), '"soon" is no instant'),
        (
            ("--email", IDA, "--start", "9999-12-31T23:59:59Z"),
            '--start: "9999-12-31T23:59:59Z" is too far away',
        ),
        (("--email", IDA, "--start", "0001-01-01"), '--start: "0001-01-01" is too far away'),
        (("--email", IDA, "--var", "first name=Ida"), "write --var name=value"),
    ],
)
def test_a_command_that_says_nothing_clear_is_asked_back(app, folder, words, complaint):
    done = run(app, "preview", "week.yaml", *words, code=2)
    assert complaint in re.sub(r"[\s│]+", " ", done.stderr)


@pytest.mark.parametrize("start", ["9999-12-01", "0001-01-01"])
def test_a_simulation_from_too_far_away_is_asked_back(app, folder, start):
    done = run(app, "simulate", "week.yaml", "people.csv", "--start", start, code=2)
    assert "is too far away. Write a year" in re.sub(r"[\s│]+", " ", done.stderr)


def test_a_cell_that_adds_recipients_is_refused_with_its_reason(app, folder):
    (folder / "week.yaml").write_text(
        SEQUENCE.replace("[first_name]", "[first_name, copy]") + '    cc: ["{{ copy }}"]\n'
    )
    (folder / "people.csv").write_text(f'email,first_name,copy\n{IDA},Ida,"nobody, z@f.example"\n')
    mails, aside = preview(app, "--people", "people.csv", code=2)
    assert mails == []
    assert "bye: cc: 'nobody, z@f.example' is no e-mail address" in aside


POOL = SEQUENCE.replace("from: sam@acme.example", "from: { pool: emea }")


def test_a_pool_comes_from_the_configuration_and_its_senders_take_turns(app, folder):
    (folder / "week.yaml").write_text(POOL)
    (folder / "config.yaml").write_text("pools: { emea: [sam@acme.example, kim@acme.example] }")
    mails, _ = preview(app, "--people", "people.csv", code=2)
    senders = {(mail["email"], mail["inbox_id"]) for mail in mails}
    assert senders == {(IDA, SAM), ("tom@harbour.example", "kim@acme.example")}


def test_a_pool_that_nobody_knows_has_a_stand_in_and_that_is_said(app, folder):
    (folder / "week.yaml").write_text(POOL)
    mails, aside = preview(app, "--people", "people.csv", code=2)
    assert {mail["inbox_id"] for mail in mails} == {"emea@pool.example"}
    assert 'there is no pool "emea"' in aside


# --- simulate


def crowd(first, last):
    return [
        Prospect(email=f"p{n}@c{n}.example", variables={"first_name": f"P{n}"}) for n in range(first, last)
    ]


def simulated(people, wanted=None, *, inboxes=(SAM,), days=None, **chances):
    return simulate(
        people,
        wanted or sequence(),
        inboxes=inboxes,
        start=MONDAY,
        until=MONDAY + (timedelta(days=days) if days else LONGEST),
        chances=Chances(**chances),
    )


NOBODY = {"replies": 0.0, "ooo": 0.0, "bounces": 0.0}


def test_the_same_seed_has_the_same_luck_and_another_seed_another():
    first, again, other = (simulated(crowd(0, 300), seed=seed).as_dict() for seed in (7, 7, 8))
    assert first == again
    assert first["days"] != other["days"]


def test_nobodys_fate_depends_on_who_else_is_in_the_list():
    """Two halves of a list come to the same as the whole."""
    whole, one, other = (simulated(crowd(*part)) for part in ((0, 400), (0, 200), (200, 400)))
    for name in ("replied", "bounced", "away", "finished", "written_to"):
        assert whole.people[name] == one.people[name] + other.people[name]
    assert whole.last == max(one.last, other.last)


@pytest.mark.parametrize(
    ("chances", "name", "share"),
    [({"replies": 0.08}, "replied", 0.08), ({"ooo": 0.2}, "away", 0.2), ({"bounces": 0.5}, "bounced", 0.5)],
)
def test_as_many_as_were_assumed(chances, name, share):
    found = simulated(crowd(0, 3000), **NOBODY | chances)
    assert found.people[name] / 3000 == pytest.approx(share, abs=0.025)
    others = {"replied", "away", "bounced"} - {name}
    assert not any(found.people[other] for other in others)


def test_the_first_letter_gets_the_most_answers():
    """Half as many answer each letter as the one before: of seven who answer, four, two and one."""
    found = simulated(crowd(0, 3500), **NOBODY | {"replies": 1.0})
    first, *later = (
        sum(day.first for day in found.days),
        sum(day.follow_ups for day in found.days),
    )
    assert (first, found.people["replied"]) == (3500, 3500)
    assert later[0] / 3500 == pytest.approx(3 / 7 + 1 / 7, abs=0.04)


def test_when_nobody_answers_everybody_hears_everything():
    found = simulated(crowd(0, 10), **NOBODY)
    assert found.people | {} == found.people | {
        "begun": 10,
        "written_to": 10,
        "finished": 10,
        "still_going": 0,
    }
    assert [(f"{day.day}", day.first, day.follow_ups) for day in found.days] == [
        ("2026-03-02", 10, 0),
        ("2026-03-05", 0, 10),
        ("2026-03-10", 0, 10),
    ]
    assert (found.over, found.last) == (True, MONDAY + timedelta(days=8))


def test_a_cap_is_seen_day_by_day_and_mailbox_by_mailbox():
    wanted = sequence({"subject": "Hi", "body": "x"}, limits={"per_mailbox": "4/day"})
    found = simulated(crowd(0, 10), wanted, inboxes=(SAM, "kim@acme.example"), **NOBODY)
    assert [(day.inbox, day.first, day.cap, day.used) for day in found.days] == [
        ("kim@acme.example", 4, 4, 1.0),
        (SAM, 4, 4, 1.0),
        ("kim@acme.example", 1, 4, 0.25),
        (SAM, 1, 4, 0.25),
    ]
    assert {f"{day.day}" for day in found.full} == {"2026-03-02"}
    assert found.waited == {"per_mailbox 4/day": 2}


@pytest.mark.parametrize(
    ("limits", "used"),
    [
        ({"per_mailbox": "4/hour"}, [1.0]),
        ({"per_mailbox": "40/week"}, [10 / 40]),
        ({"per_mailbox": "40/day", "ramp": "2/day to 40/day over 38d"}, [1.0, 1.0, 1.0, 0.2]),
    ],
    ids=["hour", "week", "ramp"],
)
def test_the_fullest_limit_is_the_one_that_is_shown(limits, used):
    wanted = sequence({"subject": "Hi", "body": "x"}, limits=limits)
    found = simulated(crowd(0, 10), wanted, **NOBODY)
    assert [day.used for day in found.days] == used


def test_everybody_in_the_list_is_accounted_for():
    wanted = sequence(
        {"subject": "Hi {{ company }}", "body": "x"},
        requires=["company"],
        enroll={"skip_if": "customer", "per_company": 2},
    )
    rows = [
        *(Prospect(email=f"p{n}@c.example", variables={"company": "C"}) for n in range(5)),
        *(Prospect(email=f"p{n}@d.example") for n in range(2)),
        Prospect(email=IDA, variables={"company": "N", "customer": "yes"}),
        Prospect(email=SAM, variables={"company": "Acme"}),
        BadRow(11, "not an address", "no"),
        BadRow(12, "", "no e-mail address"),
    ]
    found = simulated(rows, wanted, **NOBODY)
    counted = {
        name: found.people[name] for name in ("listed", "begun", "held", "skipped", "refused", "written_to")
    }
    assert counted == {"listed": 11, "begun": 2, "held": 2, "skipped": 4, "refused": 3, "written_to": 2}
    told = {(group.kind, group.reason): (group.people, group.examples) for group in found.groups}
    assert told["held", "company is missing"] == (2, ["p0@d.example", "p1@d.example"])
    assert told["skipped", "per_company 2: their company has as many already"] == (
        3,
        ["p2@c.example", "p3@c.example", "p4@c.example"],
    )
    assert told["skipped", "skip_if: customer"] == (1, [IDA])
    assert told["refused", "no e-mail address"] == (1, ["line 12"])
    assert any(kind == "refused" and "sender" in reason for kind, reason in told)


def test_colleagues_fall_silent_together_and_are_counted_apart():
    people = [Prospect(email=f"p{n}@c{n // 2}.example") for n in range(200)]
    found = simulated(people, sequence(stop={"reply": "company"}), **NOBODY | {"replies": 0.5})
    assert found.people["stopped_with_a_colleague"] > 0
    assert (
        found.people["stopped_with_a_colleague"] + found.people["replied"] + found.people["finished"] >= 200
    )


@pytest.mark.parametrize(
    "chances",
    [{}, {"bounces": 1.0}, {"replies": 1.0}, {"replies": 0.5, "bounces": 0.5, "ooo": 0.5}],
)
@pytest.mark.parametrize("days", [None, 4])
def test_what_became_of_them_adds_up_to_those_who_began(chances, days):
    wanted = sequence(stop={"reply": "company", "bounce": "company"}, requires=["first_name"])
    people = [*crowd(0, 100), *(Prospect(email=f"q{n}@c{n}.example") for n in range(5))]
    colleagues = [Prospect(email=f"r{n}@c{n}.example", variables={"first_name": "R"}) for n in range(50)]
    found = simulated([*people, *colleagues], wanted, days=days, **NOBODY | chances).people
    became = ("replied", "stopped_with_a_colleague", "bounced", "finished", "paused", "still_going")
    assert sum(found[each] for each in became) == found["begun"] == 150
    assert found["held"] == 5
    if not days and chances == {"bounces": 1.0}:
        assert (found["finished"], found["replied"]) == (0, 0)


def test_whoever_bounced_has_not_heard_everything():
    wanted = sequence({"subject": "Hi", "body": "One letter"})
    found = simulated(crowd(0, 4), wanted, **NOBODY | {"bounces": 1.0}).people
    assert (found["bounced"], found["finished"]) == (4, 0)


def test_what_goes_on_after_the_last_day_is_said():
    found = simulated(crowd(0, 10), days=4, **NOBODY)
    assert (found.over, found.people["still_going"], found.booked_until) == (
        False,
        10,
        MONDAY + timedelta(days=8),
    )
    assert found.last == MONDAY + timedelta(days=3)


def test_a_sequence_that_would_pause_itself_says_when():
    wanted = sequence(pause_if={"bounce_rate": "5%", "min_sent": 50})
    [note] = simulated(crowd(0, 200), wanted, **NOBODY | {"bounces": 0.2}).notes
    assert note.startswith("the sequence would pause itself on Mon 02 Mar 2026: ")
    assert simulated(crowd(0, 200), wanted, **NOBODY | {"bounces": 0.02}).notes == []


def test_tasks_and_webhooks_are_counted():
    wanted = sequence(
        {"subject": "Hi", "body": "x"},
        {"id": "call", "task": "Call"},
        {"id": "crm", "webhook": "https://crm.example.com/x"},
    )
    found = simulated(crowd(0, 7), wanted, **NOBODY)
    assert (found.tasks, found.webhooks) == ({"call": 7}, {"crm": 7})


def test_a_long_time_is_told_by_the_week_and_a_short_one_by_the_day():
    short, long = (simulated(crowd(0, 20), slow(number), **NOBODY) for number in (42, 43))
    assert [span.label for span in spans(short)] == ["Mon 02 Mar 2026", "Mon 13 Apr 2026"]
    assert [span.label for span in spans(long)] == ["02 Mar to 08 Mar 2026", "13 Apr to 19 Apr 2026"]
    assert [span.letters for span in spans(long)] == [20, 20]


def slow(days):
    return sequence({"subject": "Hi", "body": "x"}, {"after": f"{days}d", "body": "x"})


def simulation(app, *words, code=0):
    return run(app, "simulate", "week.yaml", "people.csv", "--start", START, *words, code=code)


def test_the_numbers_are_json_on_demand(app, folder):
    found = json.loads(simulation(app, "--json", "--seed", "3", code=2).stdout)
    names = "sequence start until timezone assumptions people reasons letters days full waited tasks webhooks last over"
    assert set(names.split()) <= found.keys()
    assert found["assumptions"] == {"replies": 0.08, "ooo": 0.03, "bounces": 0.02, "seed": 3}
    assert (found["people"]["listed"], found["people"]["held"], found["people"]["refused"]) == (4, 1, 1)
    assert found["days"][0] == {
        "date": "2026-03-24",
        "inbox_id": SAM,
        "first": 2,
        "follow_ups": 0,
        "cap": 2,
        "used": 1.0,
    }
    assert found["last"].endswith("Z")


def test_a_person_reads_a_line_a_day_and_what_became_of_everybody(app, folder):
    words = simulation(app, "--replies", "0%", "--bounces", "0%", "--ooo", "0%", code=2).stdout
    assert re.search(r"Tue 24 Mar 2026 +2 \+ 0 +100%", words)
    assert "4  in the list, 2 begin" in words
    assert "eva@harbour.example: first_name is missing" in words
    assert "2  heard everything and never answered" in words
    assert "the last letter leaves on Fri 03 Apr 2026" in words
    assert max(map(len, words.splitlines()[:8])) <= 80


@pytest.mark.parametrize("option", ["--replies", "--ooo", "--bounces"])
def test_a_share_is_a_percentage(app, folder, option):
    done = simulation(app, option, "0.08", code=2)
    assert '"0.08" is no percentage' in re.sub(r"[\s│]+", " ", done.stderr)


# --- the page


class Page(HTMLParser):
    """What a browser would see: tags in pairs, and where they point to."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.links, self.words = [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [
            value
            for name, value in attrs
            if name in ("href", "src", "action", "data") or name.startswith("on")
        ]
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def test_the_page_stands_alone_and_runs_nothing():
    people = [*crowd(0, 90), BadRow(2, "<b>x", "<img src=https://evil.example/x>")]
    wanted = sequence(name="<script>alert(1)</script>", limits={"per_mailbox": "4/day"})
    text = calendar_page(simulated(people, wanted))
    page = Page(text)
    assert page.links == []
    assert not {"script", "img", "iframe", "link", "b", "object"} & set(page.tags)
    assert not re.search(r"url\(|@import|https?://", text.replace("https://evil.example", ""))
    assert "<script>alert(1)</script>" in "".join(page.words)


def test_the_page_says_in_words_and_numbers_what_it_shows_in_colours():
    found = simulated(
        crowd(0, 9), sequence(limits={"per_mailbox": "4/day"}), inboxes=(SAM, "kim@a.co"), **NOBODY
    )
    page = Page(calendar_page(found))
    words = " ".join(page.words)
    assert page.tags.count("rect") == 2 * len(spans(found)) + 1
    assert "Mon 02 Mar 2026: 8 first letters, 0 follow-ups" in words
    assert {SAM, "kim@a.co"} <= set(page.words)
    assert "4 + 0 100%" in words


def test_the_page_of_an_empty_list_says_so(tmp_path):
    assert "No letter would leave" in "".join(Page(calendar_page(simulated([]))).words)


def test_the_page_is_written_where_it_is_wanted(app, folder):
    simulation(app, "--html", "out.html", code=2)
    assert "Week" in "".join(Page((folder / "out.html").read_text("utf-8")).words)


# --- the tests in the files


def test_tests_that_pass_are_told_line_by_line(app, folder):
    (folder / "week.yaml").write_text(SEQUENCE + TESTS)
    (folder / "other.yaml").write_text(SEQUENCE)
    words = run(app, "test", "week.yaml", "other.yaml").stdout
    assert re.search(r"(✓|passed) an answer stops it", words)
    assert "other.yaml: Week has no tests" in words
    assert "1 passed, 1 file has no tests" in words


def test_a_test_that_fails_says_what_went_otherwise(app, folder):
    (folder / "week.yaml").write_text(SEQUENCE + TESTS.replace("[opener]", "[opener, bump]"))
    words = run(app, "test", "week.yaml", code=1).stdout
    assert re.search(r"(✗|FAILED) an answer stops it\n +sent: expected opener, bump; got opener\n", words)
    assert "0 passed, 1 failed" in words


@pytest.mark.parametrize("wrong", ["name: Wrong\n", SEQUENCE + TESTS.replace("2026", "9999")])
def test_a_file_that_is_wrong_does_not_hide_the_tests_of_another(app, folder, wrong):
    (folder / "week.yaml").write_text(SEQUENCE + TESTS)
    (folder / "wrong.yaml").write_text(wrong)
    done = CliRunner().invoke(app, ["test", "wrong.yaml", "week.yaml", "--junit", "out.xml"])
    assert isinstance(done.exception, SequenceError)  # the console script tells it, and exits with 2
    assert "wrong.yaml" in str(done.exception)
    assert "1 passed, 1 file is wrong" in done.stdout
    assert ET.parse(folder / "out.xml").getroot().get("errors") == "1"


def test_without_a_file_all_sequences_are_tested(app, folder):
    (folder / "sequences").mkdir()
    (folder / "sequences" / "a.yaml").write_text(SEQUENCE + TESTS)
    (folder / "sequences" / "b.yml").write_text(SEQUENCE + TESTS)
    (folder / "config.yaml").write_text("sequences: { path: ./sequences }")
    assert "2 passed" in run(app, "test").stdout


def test_a_server_reads_what_passed_and_what_failed(app, folder):
    two = TESTS + TESTS.replace("\ntests:\n", "").replace(
        "an answer stops it", "it <never> stops & goes on"
    ).replace("[opener]", "[bump]")
    (folder / "week.yaml").write_text(SEQUENCE + two)
    run(app, "test", "week.yaml", "--junit", "out.xml", code=1)
    root = ET.parse(folder / "out.xml").getroot()
    [suite] = root.findall("testsuite")
    assert (root.tag, root.get("tests"), root.get("failures"), root.get("errors")) == (
        "testsuites",
        "2",
        "1",
        "0",
    )
    assert (suite.get("name"), suite.get("tests"), suite.get("failures")) == ("week.yaml", "2", "1")
    good, bad = suite.findall("testcase")
    assert (good.get("classname"), good.get("name"), list(good)) == ("Week", "an answer stops it", [])
    assert float(good.get("time")) >= 0
    [failure] = bad.findall("failure")
    assert (bad.get("name"), failure.get("message")) == (
        "it <never> stops & goes on",
        "sent: expected bump; got opener",
    )


def test_a_report_that_cannot_be_written_is_told_by_its_name(app, folder):
    (folder / "week.yaml").write_text(SEQUENCE + TESTS)
    for words in (["test", "week.yaml", "--junit"], ["simulate", "week.yaml", "people.csv", "--html"]):
        done = CliRunner().invoke(app, [*words, "nowhere/out"])
        assert isinstance(done.exception, Unavailable)
        assert str(done.exception) == "nowhere/out could not be written: No such file or directory"


def test_what_no_xml_can_hold_does_not_break_the_report(tmp_path):
    name = "a\x00b\x1b[31m\ud800 ]]> \ufffe"
    test = Tried(name=name, failures=(name,), seconds=0.1)
    root = ET.fromstring(junit([TriedFile(path=tmp_path / "x.yaml", sequence=name, tests=(test,))]))
    [case] = root.iter("testcase")
    assert case.get("name") == "a\ufffdb\ufffd[31m\ufffd ]]> \ufffd"


def test_a_mail_knows_the_hour_on_the_wall():
    foretold = Preview(sequence(), (SAM,), MONDAY)
    foretold.admit([Prospect(email=IDA, variables={"timezone": "Asia/Tokyo"})])
    first = next(one for one in foretold.play() if isinstance(one, Mail))
    assert f"{first.local:%H:%M %Z}" == "18:00 JST"


def test_a_simulation_is_plain_data():
    found = simulated(crowd(0, 3))
    assert isinstance(found, Simulation)
    assert json.loads(json.dumps(found.as_dict(), default=str))["people"]["listed"] == 3
