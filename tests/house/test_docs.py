"""Documentation that cannot rot: what is generated is fresh, what is named is there, what is shown runs."""

import importlib.util
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from typer.main import get_command

from relent.cli import app
from relent.config import load_config

ROOT = Path(__file__).parents[2]


def _generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("path", ["config.yaml", "docs/lives.md", "docs/configuration.md", "docs/cli.md"])
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


def test_what_the_readme_shows_runs_as_shown(tmp_path):
    """Every `relent …` of the README, in order, in an empty folder; the demo included."""
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
