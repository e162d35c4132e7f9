"""What a stranger installs: six packages, and everything in them that is not Python."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def inside(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    folder = tmp_path_factory.mktemp("wheel")
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--wheel-dir",
        str(folder),
        str(ROOT),
    ]
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=110)
    [wheel] = folder.glob("relent_engine-*.whl")
    return set(zipfile.ZipFile(wheel).namelist())


def test_the_wheel_holds_the_six_packages_and_nothing_else(inside):
    tops = {name.split("/")[0] for name in inside if ".dist-info/" not in name}
    assert tops == {"engine", "sequences", "mailroom", "webhooks", "dashboard", "relent"}


def test_the_wheel_holds_the_example_sequences_and_the_migrations(inside):
    assert "sequences/quick-question.yaml" in inside
    for number in ("0001", "0002"):
        assert any(name.startswith(f"engine/store/migrations/versions/{number}") for name in inside)
    assert "engine/store/migrations/env.py" in inside


def test_the_wheel_holds_the_dashboards_pages_and_what_a_browser_fetches(inside):
    assert {f"dashboard/templates/{name}.html" for name in ("base", "parts", "today", "login")} <= inside
    assert {"dashboard/static/css/base.css", "dashboard/static/icons.svg"} <= inside
    assert {f"dashboard/static/js/{name}" for name in ("relent.js", "htmx.min.js", "htmx.LICENSE")} <= inside


def test_the_wheel_says_that_it_is_typed(inside):
    assert {f"{package}/py.typed" for package in ("engine", "mailroom", "relent")} <= inside


def test_every_source_file_is_in_the_wheel(inside):
    packages = ("engine", "sequences", "mailroom", "webhooks", "dashboard", "relent")
    files = {
        str(file.relative_to(ROOT))
        for package in packages
        for file in (ROOT / package).rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    assert files <= inside
