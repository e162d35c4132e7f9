"""`relent audit`: what was done, and whether the log is what was written."""

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.relent.processes import Folder


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    folder = Folder(tmp_path, "sqlite:///relent.db")
    for name in ("ida", "tom"):
        folder.run("enroll", "seconds.yaml", "--email", f"{name}@nordic.example", "--var", "first_name=X")
    return folder


def _tamper(folder: Folder, *statements: str) -> None:
    """As whoever has the file."""
    with closing(sqlite3.connect(folder.path / "relent.db", isolation_level=None)) as db:
        names = [row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")]
        for statement in (*(f"DROP TRIGGER {name}" for name in names), *statements):
            db.execute(statement)


def test_what_commands_have_said_is_listed_and_sealed(folder):
    rows = folder.json("audit", "list")
    assert [row["seq"] for row in rows] == sorted(row["seq"] for row in rows)
    assert {"seq", "at", "actor", "what", "draft_id", "enrollment_id", "detail"} == rows[0].keys()
    assert rows[0]["at"].endswith("Z")

    ida = folder.json("audit", "list", "--person", "IDA@nordic.example")
    assert 0 < len(ida) < len(rows)
    draft = next(row["draft_id"] for row in ida if row["draft_id"])
    assert {row["draft_id"] for row in folder.json("audit", "list", "--draft", draft)} == {draft}
    assert folder.json("audit", "list", "--last", "1") == rows[-1:]
    assert folder.json("audit", "list", "--since", "1h") == rows
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    assert folder.json("audit", "list", "--since", tomorrow) == []
    assert "draft: create" in folder.run("audit", "list")
    assert len(folder.run("audit", "list", "--jsonl").splitlines()) == len(rows)

    verdict = folder.json("audit", "verify")
    assert (verdict["whole"], verdict["lines"], verdict["waiting"], verdict["broken"]) == (
        True,
        len(rows),
        0,
        [],
    )
    told = folder.run("audit", "verify")
    assert f"{len(rows)} lines in 2 blocks, sealed until " in told
    assert f"whole. Head {verdict['head']}" in told
    assert verdict["head"].startswith("2:")
    assert "is still there" in folder.run("audit", "verify", "--head", verdict["head"])


def test_a_line_that_was_changed_is_named_and_ends_in_1(folder):
    _tamper(folder, "UPDATE audit SET actor = 'eve' WHERE seq = 2")
    told = folder.run("audit", "verify", code=1)
    assert "block 1: line 2 is not as it was when it was sealed" in told
    assert "eve" in told
    verdict = json.loads(folder.run("audit", "verify", "--json", code=1))
    assert verdict["whole"] is False
    [broken] = verdict["broken"]
    assert (broken["what"], broken["block"], broken["lines"]) == ("changed", 1, [[2, 2]])
    checks = {each["check"]: each for each in json.loads(folder.run("doctor", "--json", code=1))["checks"]}
    assert checks["log"]["state"] == "ill"
    assert "relent audit verify" in checks["log"]["do"]


def test_a_tail_that_was_cut_off_is_found_by_its_head(folder):
    head = folder.json("audit", "verify")["head"]
    _tamper(
        folder,
        "DELETE FROM audit WHERE seq > (SELECT up_to FROM audit_block WHERE number = 1)",
        "DELETE FROM audit_block WHERE number > 1",
    )
    assert "whole" in folder.run("audit", "verify")
    assert "the chain ends with block 1: block 2 was cut off" in folder.run(
        "audit", "verify", "--head", head, code=1
    )


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("verify", "--head", "17"), "write it as"),
        (("verify", "--head", "17:abc"), "at least sixteen letters"),
        (("list", "--since", "yesterday"), "write 2h, 30d"),
    ],
)
def test_what_was_written_wrong_is_exit_2_in_words(folder, words, told):
    assert told in folder.run("audit", *words, code=2)


def test_a_worker_seals_what_it_does(folder):
    folder.run("work", "--burst")
    verdict = folder.json("audit", "verify")
    assert (verdict["whole"], verdict["waiting"]) == (True, 0)
    assert folder.json("audit", "list")[-1]["what"].startswith(("draft", "enrollment"))


def test_a_server_seals_while_it_runs_and_when_it_ends(folder):
    with folder.serving():
        folder.run("stop", "ida@nordic.example")
        folder.wait_for(lambda: (folder.path / "log.txt").read_text().count("the log is sealed up to line"))
    verdict = folder.json("audit", "verify")
    assert (verdict["whole"], verdict["waiting"]) == (True, 0)
