"""Documentation that cannot rot: what is generated is fresh, what is named is there, what is shown runs."""

import importlib.util
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from typer.main import get_command

from engine.errors import SequenceError
from engine.sequence import Sequence, Written
from engine.trial import run
from relent.cli import app
from relent.config import load_config
from sequences.keys import inner_models
from sequences.loader import parse
from tests.house.test_floors import FLOORS

ROOT = Path(__file__).parents[2]
LANGUAGE = (ROOT / "docs" / "sequences.md").read_text("utf-8")


def _generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    "path",
    [
        "config.yaml",
        "docs/performance.md",
        "docs/lives.md",
        "docs/configuration.md",
        "docs/cli.md",
        "docs/sequences.md",
        "docs/observability.md",
        "sequences/sequence.schema.json",
    ],
)
def test_generated_pages_are_fresh(path):
    assert (ROOT / path).read_text("utf-8") == _generator().pages()[ROOT / path], "run `make docs`"


def test_the_example_configuration_is_the_defaults():
    config = load_config(ROOT / "config.yaml")
    defaults = type(config).model_construct()
    for part in type(config).model_fields:
        if part not in {"database", "sequences"}:  # relative places are meant from where the file lies
            assert getattr(config, part) == getattr(defaults, part)


def test_every_command_has_help():
    assert not [name for name, command in get_command(app).commands.items() if not command.help]


def test_every_link_in_the_docs_leads_somewhere():
    broken = []
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text("utf-8")):
            if "://" not in target and not (page.parent / target).exists():
                broken.append(f"{page.name}: {target}")
    assert not broken


def test_every_make_target_that_the_readme_names_exists():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    named = set(re.findall(r"\bmake ([a-z]+)\b", (ROOT / "README.md").read_text("utf-8")))
    assert named
    assert named <= targets


def _shown_commands() -> list[str]:
    """The lines after `$` in the README's console blocks, but for those that install or never end."""
    blocks = re.findall(r"```console\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
    return [line[2:] for block in blocks for line in block.splitlines() if line.startswith("$ ")]


def test_what_the_readme_shows_of_the_demo_is_what_it_prints(tmp_path):
    """But for its times, its port and its one-time link."""
    ran = _ran("relent demo", tmp_path)
    for process in re.findall(r"kill (\d+)", ran.stdout):
        os.kill(int(process), signal.SIGTERM)
    [shown] = re.findall(
        r"```text\n(Quick question, .*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL
    )

    printed = {_without_chance(line) for line in ran.stdout.splitlines()}
    assert [line for line in shown.splitlines() if line != "…" and _without_chance(line) not in printed] == []


def _without_chance(line: str) -> str:
    for by_chance in (r"127\.0\.0\.1:\d+", r"\d+ ms", r"[\d.]+ s\b", r"/enter/\S+"):
        line = re.sub(by_chance, "…", line)
    return line.rstrip()


def test_the_readme_leads_to_the_dashboard():
    readme = (ROOT / "README.md").read_text("utf-8")
    assert "](docs/dashboard.md)" in readme
    assert "dashboard" in readme.partition("## Why it exists")[0]


def test_what_the_readme_shows_runs_as_shown(tmp_path):
    """Every `relent …` of the README's console blocks, in order, in an empty folder."""
    commands = [command for command in _shown_commands() if command.startswith("relent ")]
    assert len(commands) >= 5
    environment = {key: value for key, value in os.environ.items() if not key.startswith("RELENT_")}
    for command in commands:
        if command == "relent serve":  # never ends by itself; tests/relent/test_serve.py has it running
            continue
        words = shlex.split(command, comments=True)
        ran = subprocess.run(
            [sys.executable, "-m", *words],
            cwd=tmp_path,
            env=environment | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert ran.returncode == 0, f"{command}\n{ran.stdout}\n{ran.stderr}"


# --- the language ---

HEAD = "name: Shown\nfrom: sam@acme.example\n"
STEPS = "steps:\n  - { id: opener, subject: Hi, body: Hello }\n"


def _completed(block: str) -> str:
    """What is shown of a sequence, with as much around it as makes it whole."""
    if re.search("^name:", block, re.MULTILINE):
        return block
    if block.startswith("- "):
        return HEAD + STEPS + "".join(f"  {line}\n" for line in block.splitlines())
    return HEAD + block + ("" if re.search("^steps:", block, re.MULTILINE) else STEPS)


def _shown_sequences() -> dict[str, str]:
    """By the page and the line on which they stand."""
    found = {}
    for name in ("README.md", "docs/sequences.md", "docs/webhooks.md"):
        page = (ROOT / name).read_text("utf-8")
        for block in re.finditer("^```yaml\n(?!# bad.yaml)(.*?)^```$", page, re.MULTILINE | re.DOTALL):
            found[f"{name}:{page.count(chr(10), 0, block.start()) + 1}"] = _completed(block[1])
    return found


SHOWN = _shown_sequences()


@pytest.mark.parametrize("place", SHOWN)
def test_every_sequence_that_is_shown_is_one_and_its_tests_pass(place):
    shown = parse(SHOWN[place], place)

    assert {trial.name: run(shown, trial) for trial in shown.tests} == {each.name: () for each in shown.tests}


def test_a_sequence_with_tests_is_shown():
    assert any("\ntests:\n" in shown for shown in SHOWN.values())


#: What is shown of a command: the line after `$`, and what it prints; `…` stands for what is left out.
SESSIONS = dict(
    re.findall(
        "^```console\n\\$ (relent \\w+ nights.yaml[^\n]*)\n(.*?)^```$", LANGUAGE, re.MULTILINE | re.DOTALL
    )
)


@pytest.fixture
def nights(tmp_path):
    """The file on the page, and a list of three hundred people, one of whom lacks something."""
    shown = next(text for text in SHOWN.values() if "name: Who plans the nights" in text)
    (tmp_path / "nights.yaml").write_text(shown, "utf-8")
    rows = [f"p{n}@firm{n}.example,{'' if n == 7 else f'Firm {n}'}" for n in range(300)]
    (tmp_path / "people.csv").write_text("\n".join(["email,company", *rows]), "utf-8")
    return tmp_path


def _ran(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("RELENT_")}
    return subprocess.run(
        [sys.executable, "-m", *shlex.split(command)],
        cwd=folder,
        env=environment | {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8", "COLUMNS": "100"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
    )


@pytest.mark.parametrize("command", SESSIONS)
def test_what_is_shown_of_a_command_is_what_it_prints(nights, command):
    ran = _ran(command, nights)
    printed = iter([line.rstrip() for line in ran.stdout.splitlines()])
    shown = [line.rstrip() for line in SESSIONS[command].splitlines() if line != "…"]
    assert [line for line in shown if line not in printed] == [], ran.stdout + ran.stderr


@pytest.mark.parametrize("command", [each for each in SESSIONS if each.split()[1] in ("preview", "simulate")])
def test_every_key_of_their_json_is_told_of(nights, command):
    printed = json.loads(_ran(f"{command} --json", nights).stdout)
    page = (ROOT / "docs" / "json.md").read_text("utf-8").partition(f"## relent {command.split()[1]}\n")[2]
    told = re.findall(r"^\| (`.*?`) \|", page.partition("\n## ")[0], re.MULTILINE)
    keys = printed if isinstance(printed, dict) else printed[0]
    assert set(keys) <= set(re.findall(r"`(\w+)`", " ".join(told)))


def test_all_that_look_ahead_are_shown():
    assert {command.split()[1] for command in SESSIONS} == {"check", "test", "preview", "simulate"}


def test_the_complaints_that_are_shown_are_those_that_are_told():
    bad = re.search(
        "^```yaml\n(# bad.yaml\n.*?)^```$.*?^```text\n(.*?)^```$", LANGUAGE, re.MULTILINE | re.DOTALL
    )
    assert bad
    with pytest.raises(SequenceError) as told:
        parse(bad[1], "bad.yaml")
    assert list(told.value.complaints) == bad[2].splitlines()


def _models(model: type[Written]) -> set[type[Written]]:
    """Everything that an author may write."""
    found, waiting = {model}, [model]
    while waiting:
        new = set(inner_models(waiting.pop())) - found
        found |= new
        waiting += new
    return found


def test_every_key_of_the_language_has_its_line():
    """Each key of each model once, also those that several models have."""
    keys = [
        info.alias or name
        for model in _models(Sequence)
        for name, info in model.model_fields.items()
        if info.description
    ]
    tables = LANGUAGE.partition("<!-- keys")[2]
    assert sorted(re.findall(r"^\| `(\w+)` \|", tables, re.MULTILINE)) == sorted(keys)


def test_the_floors_are_shown_as_they_are_held():
    page = (ROOT / "docs" / "house.md").read_text("utf-8")
    rows = re.findall(r"^\| (\d+) \| (.*) \|$", page, re.MULTILINE)
    assert {int(floor): set(re.findall(r"`(engine\.\w+)`", rooms)) for floor, rooms in rows} == FLOORS
