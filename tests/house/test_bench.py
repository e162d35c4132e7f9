"""The benchmarks run, and tell their ratios; how fast anything is, no test can know."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TINY = {
    "webhook": "--rounds 1 --requests 20 --seconds 0.02",
    "language": "--rounds 1 --people 100",
    "mailbox": "--rounds 1 --calls 1 --drafts 500",
}


def _ran(*words: str) -> str:
    return subprocess.run(
        [sys.executable, "-m", "bench", *words],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
        timeout=100,
        check=True,
    ).stdout


@pytest.mark.parametrize("database", ["SQLite", "PostgreSQL"])
def test_the_webhook_path_is_measured_against_bare_starlette(database: str):
    told = _ran("webhook", *TINY["webhook"].split(), "--only", database, "--kinds", "by hand")
    for what in (
        "signed reply to 204, drafts by hand with labels, of bare Starlette",
        "the published handler's rate goes into ours",
    ):
        assert re.search(rf"^  {database} +{what} +[\d.,]+ ?[%x] +≥", told, re.M), told
    assert len(re.findall(rf"^  {database} +reply received to 204, p\d+ +[\d.,]+ ms +≤", told, re.M)) == 2


def test_the_language_is_measured_against_plain_yardsticks():
    told = _ran("language", *TINY["language"].split())
    ratios = re.findall(r"^  ratio: (.*) costs \d+\.\d+x (.*)$", told, re.M)
    assert [what for what, _ in ratios] == [
        "reading a file",
        "a plan",
        "a person among 10",
        "a person among 100",
        "a person among 10",
        "a person among 100",
    ]
    assert len(re.findall(r"\d+\.\dx bare inserts$", told, re.M)) == 3
    assert re.findall(r"^  ([\d,]+) people ", told, re.M) == ["1", "10", "100"] * 2


def test_a_large_mailbox_is_measured_against_a_small_one():
    told = _ran("mailbox", *TINY["mailbox"].split())
    assert re.findall(r"^(\w+): ([\d,]+) drafts", told, re.M) == [
        ("SQLite", "50"),
        ("SQLite", "500"),
        ("PostgreSQL", "50"),
        ("PostgreSQL", "500"),
    ]
    for deed in ("get a draft", "everywhere, scheduled: middle", "create a draft", "delete a draft"):
        assert len(re.findall(rf"^  {deed} (?: +[\d.]+ +[\d.]+ ms +[\d.]+x[! ]){{2}}$", told, re.M)) == 2
    assert len(re.findall(r"^  among 500 drafts, against 50; above 1\.5x: ", told, re.M)) == 2
