"""The benchmarks run, and tell their ratios; how fast anything is, no test can know."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
TINY = {
    "webhook": "--rounds 1 --requests 64",
    "language": "--rounds 1 --people 100",
    "mailbox": "--rounds 1 --calls 1 --drafts 500",
    "sending": "--rounds 1 --letters 60",
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


def test_the_webhook_path_is_measured_against_bare_starlette():
    assert re.search(
        r"^median: .* costs \d+\.\d% of bare Starlette's rate$",
        _ran("webhook", *TINY["webhook"].split()),
        re.M,
    )


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


def test_sending_is_measured_against_raw_smtp():
    told = _ran("sending", *TINY["sending"].split())
    assert re.findall(r"^median: (.*): \d+\.\d\d$", told, re.M) == [
        "SQLite, of raw SMTP",
        "SQLite, of raw SMTP with bytes at hand",
        "PostgreSQL, of raw SMTP",
        "PostgreSQL, of raw SMTP with bytes at hand",
        "PostgreSQL, 2 workers against one",
    ]
