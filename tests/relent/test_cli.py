"""The command line, as a person types it: real processes in a folder of their own."""

import json

import pytest

from engine.store import HEAD
from tests.relent.processes import Folder

PEOPLE = """\
email;First Name;company
ida@nordic.example;Ida;Nordic
;Nobody;X
not an address;Tom;Harbour
IDA@NORDIC.EXAMPLE;Ida;Nordic
eva@harbour.example;;Harbour
=cmd()@evil.example;Eve;Evil
sam@acme.example;Sam;Acme
"""


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path, "sqlite:///relent.db")


def test_a_list_of_people_is_reported_line_by_line(folder):
    (folder.path / "people.csv").write_text(PEOPLE, "utf-8-sig")

    report = json.loads(folder.run("enroll", "seconds.yaml", "people.csv", "--json", code=2))

    assert [line["email"] for line in report["enrolled"]] == ["ida@nordic.example"]
    assert [(line["email"], line["reason"]) for line in report["held"]] == [
        ("eva@harbour.example", "first_name is missing")
    ]
    assert {line["email"] for line in report["refused"]} == {
        "",
        "not an address",
        "IDA@nordic.example",
        "=cmd()@evil.example",
        "sam@acme.example",
    }
    assert all(line["reason"] for line in report["refused"])
    again = json.loads(folder.run("enroll", "seconds.yaml", "people.csv", "--json", code=2))
    assert (len(again["enrolled"]), len(again["already"]), len(again["held"])) == (0, 1, 1)


def test_enrolling_says_in_words_what_happened(folder):
    (folder.path / "people.csv").write_text(PEOPLE)
    words = folder.run("enroll", "seconds.yaml", "people.csv", code=2)
    assert "1  enrolled" in words
    assert "eva@harbour.example: first_name is missing" in words


def test_every_listing_is_json_on_demand(folder):
    for command in ("drafts", "messages", "people"):
        assert folder.json(command) == []
    folder.run("enroll", "seconds.yaml", "--email", "ida@nordic.example", "--var", "first_name=Ida")
    folder.run("work", "--burst")

    [draft] = folder.json("drafts")
    [message] = folder.json("messages")
    [person] = folder.json("people")
    status = folder.json("status")

    names = "draft_id inbox_id thread_id enrollment_id step to subject text send_at state send_status approval_state reason labels"
    assert set(names.split()) <= draft.keys()
    names = "message_id inbox_id thread_id direction from to subject text in_reply_to references labels timestamp draft_id enrollment_id step"
    assert set(names.split()) <= message.keys()
    names = "enrollment_id email sequence version state stop_reason thread_id step next_send_at reason"
    assert set(names.split()) <= person.keys()
    assert {"drafts", "enrollments", "webhooks", "mode", "uncertain", "late"} <= status.keys()
    assert draft["labels"] == [f"follow-up:{draft['draft_id']}", "scheduled"]
    assert draft["thread_id"] == message["thread_id"] == person["thread_id"]
    assert person["next_send_at"] == draft["send_at"]
    assert draft["send_at"].endswith("Z")
    assert status["mode"] == "capture"
    assert [one["step"] for one in folder.json("drafts", "--all")] == ["step-1", "step-2"]
    assert [json.loads(line)["step"] for line in folder.run("drafts", "--all", "--jsonl").splitlines()] == [
        "step-1",
        "step-2",
    ]


def test_the_configuration_may_be_named_before_or_behind_the_command(folder):
    folder.path.joinpath("config.yaml").rename(folder.path / "other.yaml")
    folder.run("status", "--config", "other.yaml")
    folder.run("--config", "other.yaml", "status")
    assert "relent init" in folder.run("status", code=2)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["enroll", "none.yaml", "--email", "a@b.example"], "none.yaml"),
        (["enroll", "seconds.yaml", "none.csv"], "none.csv"),
        (["enroll", "seconds.yaml"], "name a list of people"),
        (["enroll", "seconds.yaml", "--email", "a@b.example", "--var", "nonsense"], "write --var name=value"),
        (["enroll", "seconds.yaml", "--email", "nobody"], "no e-mail address"),
        (["enroll", "config.yaml", "--email", "a@b.example"], "unknown key"),
        (["check", "none.yaml"], "none.yaml"),
        (["nonsense"], "nonsense"),
    ],
)
def test_what_was_written_wrong_is_exit_2_in_words(folder, words, told):
    assert told in folder.run(*words, code=2)


@pytest.mark.parametrize(
    "words", [["approve", "drf_none"], ["resume", "a@b.example"], ["settle", "drf_none", "--left"]]
)
def test_what_is_wrong_in_the_world_is_exit_1_in_words(folder, words):
    assert words[1] in folder.run(*words, code=1)


def test_check_tells_every_mistake_of_every_file(folder):
    (folder.path / "one.yaml").write_text("name: One\nfrom: nobody\nsteps: []\n")
    (folder.path / "two.yaml").write_text(
        "name: Two\nfrom: sam@acme.example\nsteps:\n  - body: x\n    after: 3 days\n"
    )
    told = folder.run("check", "one.yaml", "two.yaml", "seconds.yaml", code=2)
    assert "seconds.yaml: good" in told
    for place in ("one.yaml:2:", "one.yaml:3:", "two.yaml:5:"):
        assert place in told


def test_check_tells_a_wrong_list_once_and_hides_nothing_behind_it(folder):
    (folder.path / "one.yaml").write_text("name: One\nfrom: nobody\nsteps: []\n")
    told = folder.run("check", "seconds.yaml", "one.yaml", "seconds.yaml", "--people", "no.csv", code=2)
    assert "one.yaml:2:" in told
    assert told.count("no.csv  is not there") == 1


def test_in_a_pipe_no_line_is_folded(folder):
    long = folder.path / ("a" * 90)
    long.mkdir()
    (long / "seconds.yaml").write_text((folder.path / "seconds.yaml").read_text())
    assert folder.run("check", f"{long.name}/seconds.yaml").count("\n") == 1


@pytest.mark.parametrize("words", ["schema", "version", "check seconds.yaml", "people", "drafts --json"])
def test_whoever_closes_the_output_is_told_no_tale(folder, words):
    folder.run("migrate")
    done = folder.shell(f"relent {words} >&-")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_long_list_is_counted_and_its_reasons_come_to_an_end(folder):
    rows = "".join(f"p{n}@a.example,Ida\n" for n in range(300)) + "nobody,Ida\n" * 1200
    (folder.path / "people.csv").write_text("email,first_name\n" + rows)
    told = folder.run("check", "seconds.yaml", "--people", "people.csv", code=2)
    assert "   300  could be written to" in told
    assert " 1,200  refused" in told
    assert "        and 200 more, for other reasons" in told
    assert told.count("is no e-mail address") == 1000


def test_a_value_that_looks_like_markup_is_shown_as_it_is(folder):
    folder.run(
        "enroll",
        "seconds.yaml",
        "--email",
        "ida@nordic.example",
        "--var",
        "first_name=[bold red]X[/]\x1b[31m",
        code=2,
    )
    folder.run(
        "enroll", "seconds.yaml", "--email", "ida@nordic.example", "--var", "first_name=[bold red]X[/]"
    )
    assert "[bold red]X[/]" in folder.run("drafts")


def test_migrating_a_new_database_and_an_old_one(folder):
    assert f"new → {HEAD}" in folder.run("migrate")
    assert "nothing to do" in folder.run("migrate")


def test_the_version_is_told(folder):
    assert folder.run("version").startswith("relent 0.")


def test_a_second_enrolment_hands_in_what_was_missing(folder):
    who = ["--email", "ida@nordic.example"]
    held = folder.json("enroll", "seconds.yaml", *who)
    assert held["held"][0]["reason"] == "first_name is missing"
    assert folder.json("people")[0]["reason"] == "first_name is missing"
    enrolled = folder.json("enroll", "seconds.yaml", *who, "--var", "first_name=Ida")
    assert enrolled["enrolled"][0]["enrollment_id"] == held["held"][0]["enrollment_id"]


def test_a_long_list_is_enrolled_in_one_go(folder):
    rows = "\n".join(f"p{number}@nordic.example,P{number}" for number in range(1001))
    (folder.path / "people.csv").write_text(f"email,first_name\n{rows}\n")
    told = folder.run("enroll", "seconds.yaml", "people.csv")
    assert "1,001  enrolled" in told
    assert "the next letter leaves" in told  # on a Saturday that is Monday's news


def test_the_demo_tells_a_story_in_which_a_signed_webhook_cancels_a_follow_up(folder):
    told = folder.run("demo", "--no-dashboard")
    assert "answers. Webhook 204" in told
    assert "1 follow-up cancelled" in told
    assert "Webhook 401" in told
    assert "0 sent after an answer, 0 sent twice" in told


def test_two_overlapping_lists_can_be_enrolled_at_once(tmp_path, postgres_url, emptied_postgres):
    folder = Folder(tmp_path, postgres_url)
    rows = [f"p{number}@overlap.example,P{number}" for number in range(400)]
    (folder.path / "one.csv").write_text("email,first_name\n" + "\n".join(rows) + "\n")
    (folder.path / "two.csv").write_text("email,first_name\n" + "\n".join(reversed(rows)) + "\n")
    folder.run("migrate")

    processes = [folder.start("enroll", "seconds.yaml", name) for name in ("one.csv", "two.csv")]

    assert [process.wait(60) for process in processes] == [0, 0]
    people = [person for person in folder.json("people") if person["email"].endswith("@overlap.example")]
    assert len(people) == 400


def test_who_asks_to_be_left_alone_is_stopped_with_a_receipt(folder):
    folder.run("enroll", "seconds.yaml", "--email", "ida@nordic.example", "--var", "first_name=Ida")
    receipt = folder.json("stop", "Ida@nordic.example")
    assert receipt.pop("held_at").endswith("Z")
    assert receipt == {
        "people": 1,
        "drafts": 1,
        "voided": 1,
        "left": 0,
        "already_leaving": 0,
        "already_gone": 0,
    }
    assert (folder.json("people")[0]["stop_reason"], folder.json("drafts")) == ("by_hand", [])
    assert "nobody here writes to" in folder.run("stop", "tom@harbour.example", code=1)


def test_a_suppressed_domain_is_stopped_and_nobody_of_it_is_enrolled_again(folder):
    for name in ("ida", "tom"):
        folder.run("enroll", "seconds.yaml", "--email", f"{name}@nordic.example", "--var", "first_name=X")
    assert folder.json("suppress", "nordic.example", "--why", "asked")["people"] == 2
    report = folder.json("enroll", "seconds.yaml", "--email", "eva@nordic.example", "--var", "first_name=Eva")
    assert report["suppressed"][0]["reason"] == "asked"
    assert "neither an address nor a domain" in folder.run("suppress", "nonsense", code=1)


def test_a_variable_on_the_command_line_is_for_everybody_whose_row_does_not_say(folder):
    (folder.path / "people.csv").write_text("email,first_name\na@b.example,Ann\nc@d.example,\n")
    folder.run("enroll", "seconds.yaml", "people.csv", "--var", "first_name=friend")
    assert [draft["subject"] for draft in folder.json("drafts")] == ["Hello Ann", "Hello friend"]


@pytest.mark.parametrize(
    ("name", "value", "code", "told"),
    [
        ("RELENT_FOO", "1", 2, "unknown RELENT_FOO"),
        ("RELENT_SERVERR__PORT", "1", 2, "Did you mean RELENT_SERVER?"),
        ("RELENT_SERVER__PORT", "many", 2, "server.port: write a number"),
        ("RELENT_SERVER__PRT", "1", 2, "unknown key server.prt"),
        ("RELENT_DATABASE__URL", "sqlite:////no/such/folder/x.db", 1, "/no/such/folder/x.db: unable to open"),
    ],
)
def test_a_wrong_environment_is_told_in_words(folder, monkeypatch, name, value, code, told):
    folder.environment[name] = value
    assert told in folder.run("status", code=code)


def test_one_secret_in_the_environment_needs_no_brackets(folder):
    folder.environment["RELENT_WEBHOOKS__SECRETS"] = "whsec_" + "A" * 31
    assert "webhooks.secrets: The webhook secret holds 23 bytes" in folder.run("serve", code=2)


@pytest.mark.parametrize(
    "words", [["serve", "--port", "99999"], ["serve", "--port", "-1"], ["settle", "drf_x"]]
)
def test_what_cannot_be_meant_is_exit_2(folder, words):
    folder.run(*words, code=2)


@pytest.fixture(scope="module")
def busy_folder(tmp_path_factory):
    folder = Folder(tmp_path_factory.mktemp("busy"), "sqlite:///relent.db")
    rows = "\n".join(f"p{number}@b.example,P{number}" for number in range(300))
    (folder.path / "people.csv").write_text(f"email,first_name\n{rows}\n")
    folder.run("enroll", "seconds.yaml", "people.csv")
    return folder


@pytest.mark.parametrize("target", ["> /dev/full", ">&-", "| head -1"])
@pytest.mark.parametrize("command", ["status", "drafts --json", "people --jsonl", "version"])
def test_an_output_that_takes_nothing_is_no_traceback(busy_folder, command, target):
    done = busy_folder.shell(f"relent {command} {target}")
    assert done.returncode in {0, 1}
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


def test_json_is_all_that_stands_on_stdout(folder):
    (folder.path / "people.csv").write_text("email,first_name\na@b.example,Ann\nnobody,\n")
    done = folder.shell("relent enroll seconds.yaml people.csv --json")
    assert json.loads(done.stdout)["enrolled"]
    assert done.stderr == ""


def test_a_configuration_without_secrets_is_not_passed_over_by_init(tmp_path):
    (tmp_path / "config.yaml").write_text("server: {port: 1}\n")
    folder = Folder(tmp_path / "elsewhere", "sqlite:///relent.db")
    assert "has no webhooks.secrets" in folder.run("init", str(tmp_path), code=2)
