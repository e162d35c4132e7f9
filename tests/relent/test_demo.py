"""`relent demo`, to its end: the dashboard is open, a link lets somebody in once, and there is work for a human."""

import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from engine.store import open_store
from relent.demo import _END, _month
from relent.demo_desk import Plan, leave_open
from relent.demo_house import VirtualClock
from relent.demo_work import MIA, WAITING
from relent.first_day import new_secret
from tests.relent.processes import ROOT, Folder


@dataclass
class Left:
    """What a demo has left behind."""

    told: str
    temporary: Path
    link: str = field(init=False)
    process: int = field(init=False)

    def __post_init__(self) -> None:
        self.link = re.search(r"Open (http://127\.0\.0\.1:\d+/enter/\S+)", self.told)[1]
        self.process = int(re.search(r"kill (\d+)", self.told)[1])

    @property
    def url(self) -> str:
        return self.link.partition("/enter/")[0]

    @property
    def folders(self) -> list[Path]:
        return list(self.temporary.glob("relent-demo-*"))

    def is_open(self) -> bool:
        with suppress(httpx.TransportError):
            return httpx.get(f"{self.url}/healthz").status_code == 200
        return False


def _ended(left: Left) -> bool:
    until = time.monotonic() + 20
    while left.is_open() or left.folders:
        if time.monotonic() > until:
            return False
        time.sleep(0.1)
    return True


@contextmanager
def _temporary(folder: Path) -> Iterator[Folder]:
    """With a place of its own for what is temporary."""
    user = Folder(folder / "user", "sqlite:///relent.db")
    (folder / "tmp").mkdir()
    user.environment["TMPDIR"] = str(folder / "tmp")
    yield user


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Left]:
    """As a script leaves it."""
    folder = tmp_path_factory.mktemp("demo")
    with _temporary(folder) as user:
        found = Left(user.run("demo"), folder / "tmp")
    yield found
    os.kill(found.process, signal.SIGTERM)
    assert _ended(found)


@pytest.fixture
def browser() -> Iterator[httpx.Client]:
    with httpx.Client(headers={"Accept": "text/html"}, timeout=30) as browser:
        yield browser


def _enter(left: Left, browser: httpx.Client) -> httpx.Response:
    """As a browser does it: look at the page, press its button."""
    page = browser.get(left.link)
    word = re.search(r'name="csrf" value="([^"]+)"', page.text)[1]
    return browser.post(left.link, data={"csrf": word}, headers={"Origin": left.url})


def test_the_link_lets_one_in_once_and_the_first_page_says_what_to_do(left, browser):
    assert left.is_open()
    assert browser.get(f"{left.url}/review").headers["location"].startswith("/login")
    for _ in range(3):  # asking does not use it up
        assert "Enter the demo" in browser.get(left.link).text
    entered = _enter(left, browser)
    assert (entered.status_code, entered.headers["location"]) == (303, "/")

    assert f"{WAITING} letters wait for your yes: open Review" in browser.get(f"{left.url}/").text
    assert browser.get(left.link).headers["location"] == "/"
    assert httpx.get(left.link, headers={"Accept": "text/html"}).status_code == 404


def test_the_queue_holds_what_a_human_would_stop_at(left):
    with (
        closing(open_store(f"sqlite:///{left.folders[0] / 'demo.db'}")) as store,
        store.reading(_END) as ledger,
    ):
        drafts = list(ledger.views.drafts())
        held = [ledger.drafts.get(each["draft_id"]) for each in drafts if each["state"] == "held"]

    assert len(held) == WAITING
    odd = " ".join(found for each in held for found in each.oddities)
    assert "company is empty" in odd
    assert "much longer than the template" in odd
    assert "German" in odd
    assert sum(each["state"] == "scheduled" for each in drafts) >= 3


@pytest.fixture
def impatient(tmp_path: Path) -> Iterator[tuple[Left, subprocess.Popen[bytes]]]:
    """Where somebody answers at once."""
    plan = Plan(folder=tmp_path / "relent-demo-1", secret=new_secret(), begin=_END, answer_after=0.5)
    plan.folder.mkdir()
    _month(plan, and_work=True)
    opened = leave_open(plan)
    yield Left(f"Open {opened.link}\nkill {opened.process.pid}", tmp_path), opened.process
    opened.process.terminate()
    opened.process.wait(20)


def test_somebody_answers_by_themselves_and_their_letter_goes(impatient, browser):
    left, _ = impatient
    _enter(left, browser)
    assert browser.get(f"{left.url}/review").status_code == 200
    with closing(open_store(f"sqlite:///{left.folders[0] / 'demo.db'}")) as store:
        until = time.monotonic() + 20
        while _state_of_mia(store) == "held":
            assert time.monotonic() < until
            time.sleep(0.1)
        assert _state_of_mia(store) == "cancelled"


def test_it_ends_when_its_folder_is_gone(impatient):
    left, process = impatient
    [folder] = left.folders
    folder.rename(left.temporary / "elsewhere")
    assert process.wait(20) == 0


def _state_of_mia(store) -> str:
    with store.reading(VirtualClock(_END + timedelta(minutes=1)).now()) as ledger:
        return [each["state"] for each in ledger.views.drafts(ended=True) if each["to"] == MIA][-1]


def test_whoever_wants_no_dashboard_gets_none(tmp_path):
    with _temporary(tmp_path) as user:
        told = user.run("demo", "--no-dashboard")
    assert "0 sent after an answer, 0 sent twice" in told
    assert "Open http" not in told
    assert list((tmp_path / "tmp").iterdir()) == []


def test_the_environment_leads_it_nowhere_else(tmp_path):
    """Somebody has exported what their own house needs."""
    with _temporary(tmp_path) as user:
        user.environment |= {"RELENT_DATABASE__URL": "sqlite:///mine.db", "RELENT_MAILBOX__TRANSPORT": "smtp"}
        user.run("demo", "--no-dashboard")
    assert not (user.path / "mine.db").exists()


def test_on_a_terminal_it_stays_until_ctrl_c(tmp_path):
    with _temporary(tmp_path) as user:
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-m", "relent", "demo"],
            cwd=user.path,
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(ROOT),
                "TMPDIR": str(tmp_path / "tmp"),
                "COLUMNS": "200",
            },
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        told = _until(ours, "Ctrl-C ends the demo")
        url = re.search(r"Open (http://127\.0\.0\.1:\d+)/enter/", told)[1]
        assert httpx.get(f"{url}/healthz").status_code == 200
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
        os.close(ours)
    assert list((tmp_path / "tmp").iterdir()) == []


def _until(terminal: int, words: str) -> str:
    told, until = "", time.monotonic() + 60
    while words not in told:
        assert time.monotonic() < until, told
        told += os.read(terminal, 4096).decode("utf-8", "replace")
    return re.sub(r"\x1b\[[0-9;]*m", "", told)
