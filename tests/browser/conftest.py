"""A real browser before the real server. Without Debian's Chromium these tests are skipped, where that is allowed."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.browser.towns import BUILDERS, Town
from tests.browser.visits import Visit, Visits

_HOW_TO_GET_IT = (
    "tests/browser wants a Chromium: `apt-get install chromium`, or name one in RELENT_TEST_CHROMIUM"
)


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """One for all tests of this folder; it is never downloaded."""
    found = shutil.which(os.environ.get("RELENT_TEST_CHROMIUM") or "chromium")
    if found is None:
        if os.environ.get("RELENT_TEST_BROWSER") == "required":
            pytest.fail(_HOW_TO_GET_IT)
        pytest.skip(_HOW_TO_GET_IT)
    nobody_else_is_here = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=found,
            args=[*nobody_else_is_here, "--disable-dev-shm-usage", "--force-prefers-reduced-motion"],
        )
        yield browser
        browser.close()


# --- towns: houses with something in every room ---


@pytest.fixture(scope="session")
def _built(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Each is built once; whoever wants one gets a copy."""
    known: dict[str, Path] = {}

    def built(name: str) -> Path:
        if name not in known:
            folder = tmp_path_factory.mktemp(name)
            BUILDERS[name](folder)
            known[name] = folder
        return known[name]

    return built


@pytest.fixture
def town(_built: Callable[[str], Path], tmp_path: Path, visits: Visits) -> Iterator[Town]:
    """Of one's own, to be changed. Everybody leaves before its door closes."""
    with Town.opened(_built("full"), tmp_path / "town") as town:
        yield town
        visits.leave()


@pytest.fixture(scope="module")
def still_towns(
    _built: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Town]]:
    """Those that are only looked at: full, empty, hostile."""
    open_ones: dict[str, Town] = {}
    with ExitStack() as all_of_them:

        def opened(name: str) -> Town:
            if name not in open_ones:
                folder = tmp_path_factory.mktemp(f"still-{name}") / "town"
                open_ones[name] = all_of_them.enter_context(Town.opened(_built(name), folder))
            return open_ones[name]

        yield opened


# --- visits ---


@pytest.fixture
def visits(chromium: Browser) -> Iterator[Visits]:
    """Browsers of people; whatever went wrong in one of them fails the test."""
    visits = Visits(chromium)
    yield visits
    visits.leave()
    assert not visits.troubles


@pytest.fixture
def visit(visits: Visits, town: Town) -> Visit:
    """A reviewer, in a town of their own."""
    return visits.by(town, "reviewer")
