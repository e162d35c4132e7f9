"""What `relent demo` leaves open: the dashboard on its world, until Ctrl-C, or in a process of its own for half an hour."""

import json
import os
import shutil
import signal
import subprocess
import sys
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from threading import Event, Thread
from time import monotonic, sleep

from engine.errors import RelentError
from engine.ids import new_id
from mailroom.telling import received_event
from relent import show
from relent.assemble import House, assemble, office
from relent.demo_entrance import Entrance, link
from relent.demo_house import OffsetClock, config_in, post_webhook, serving
from relent.demo_work import MIA, WAITING
from relent.logs import set_up_logs
from relent.web import create_app
from webhooks.signature import decode_secret

_HALF_AN_HOUR = 30 * 60.0
_LONGEST_START = 60.0
_OPEN, _LOG = "open.json", "desk.log"
_MINUTE = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What whoever opens the desk must know."""

    folder: Path
    secret: str
    begin: datetime  #: where the demo's month ended
    answer_after: float = _MINUTE  #: seconds after somebody has opened the queue


# --- on a terminal ---


def stay(plan: Plan) -> None:
    """Until somebody says that it is enough."""
    with _signalled() as enough, _open(plan, enough) as way_in:
        _say_what_to_do(way_in)
        show.console.print("Ctrl-C ends the demo, and its database goes with it.\n", highlight=False)
        if _has_a_display():
            webbrowser.open(way_in)
        enough.wait()


def _has_a_display() -> bool:
    """A browser that would open in the terminal itself would hide what stands there."""
    return sys.platform in {"darwin", "win32"} or any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY")
    )


def _say_what_to_do(way_in: str) -> None:
    show.console.print(
        f"\n[bold]Open {way_in}[/bold]\n"
        f"{WAITING} letters wait for your yes there, and about a minute after you have opened Review somebody answers.",
        highlight=False,
        soft_wrap=True,
    )


# --- where nobody sits ---


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A desk that stays open by itself."""

    link: str
    process: "subprocess.Popen[bytes]"


def leave_open(plan: Plan) -> Opened:
    """In a process of its own: a script goes on. The folder is that process's from here on."""
    process = _start(plan)
    opened = _wait_for(plan.folder / _OPEN, process)
    _say_what_to_do(opened.link)
    show.console.print(
        f"The dashboard stays open for half an hour, and its database goes with it. To end it: kill {opened.process.pid}\n",
        highlight=False,
        soft_wrap=True,
    )
    return opened


def _start(plan: Plan) -> "subprocess.Popen[bytes]":
    told = {
        "folder": str(plan.folder),
        "secret": plan.secret,
        "begin": plan.begin.isoformat(),
        "answer_after": plan.answer_after,
    }
    kept = {key: value for key, value in os.environ.items() if not key.startswith("RELENT_")}
    with (plan.folder / _LOG).open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "relent.demo_desk"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=log,
            cwd=plan.folder,
            env=kept | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            start_new_session=True,
        )
    assert process.stdin  # noqa: S101 (it was asked for)
    with suppress(BrokenPipeError), process.stdin as words:
        words.write(json.dumps(told).encode())  # by a pipe: what stands on a command line everybody can read
    return process


def _wait_for(file: Path, process: "subprocess.Popen[bytes]") -> Opened:
    until = monotonic() + _LONGEST_START
    while not file.exists():
        if process.poll() is not None or monotonic() > until:
            process.kill()
            why = (file.parent / _LOG).read_text("utf-8", "replace").strip() or "it did not say why"
            raise RelentError(f"the demo's dashboard did not open: {why}")
        sleep(0.05)
    return Opened(link=json.loads(file.read_text("utf-8"))["link"], process=process)


def main() -> None:
    """The process of its own: `python -m relent.demo_desk`, with the plan on its standard input."""
    set_up_logs(level="critical")
    told = json.load(sys.stdin)
    plan = Plan(
        folder=Path(told["folder"]),
        secret=told["secret"],
        begin=datetime.fromisoformat(told["begin"]),
        answer_after=told["answer_after"],
    )
    with _gone_at_the_end(plan.folder), _signalled() as enough, _open(plan, enough) as way_in:
        written = plan.folder / f"{_OPEN}.new"
        written.write_text(json.dumps({"link": way_in}), "utf-8")
        written.replace(plan.folder / _OPEN)
        until = monotonic() + _HALF_AN_HOUR
        while plan.folder.exists() and monotonic() < until and not enough.wait(1):
            pass


@contextmanager
def _gone_at_the_end(folder: Path) -> Iterator[None]:
    try:
        yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)


# --- both ---


@contextmanager
def _signalled() -> Iterator[Event]:
    """Set when somebody wants it to end: by Ctrl-C, by `kill`, or by closing the terminal."""
    enough = Event()
    before = {
        number: signal.signal(number, lambda *_: enough.set())
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    }
    try:
        yield enough
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _open(plan: Plan, enough: Event) -> Iterator[str]:
    """The link that lets a human in, once."""
    house = assemble(config_in(plan.folder, plan.secret), OffsetClock(plan.begin))
    try:
        app, desk = create_app(house), office(house)
        entrance = Entrance(app, desk)
        with serving(entrance, app.state.ending) as port:
            heard = (plan, house, port, entrance.rung, enough)
            mia = Thread(target=_answer, args=heard, name="mia", daemon=True)
            mia.start()
            yield link(desk, port)
            enough.set()
            mia.join()
    finally:
        house.store.close()


def _answer(plan: Plan, house: House, port: int, rung: Event, enough: Event) -> None:
    """Mia answers by herself, and the mailbox tells us so by a signed webhook."""
    while not rung.wait(0.2):
        if enough.is_set():
            return
    if enough.wait(plan.answer_after):
        return
    now = house.clock.now()
    with house.store.reading(now) as ledger:
        row = next(row for row in ledger.views.people() if row["email"] == MIA)
        asked = ledger.threads.messages(row["thread_id"])[-1]
    event = received_event(
        event_id=new_id("evt", now),
        inbox_id=asked.inbox_id,
        thread_id=asked.thread_id,
        message_id=f"<{new_id('msg', now)}@ropery.example>",
        sender=f"Mia <{MIA}>",
        to=[asked.inbox_id],
        subject=f"Re: {asked.subject}",
        text="Hello Sam,\n\nyes, come by. Any morning after the 20th; the coffee is ready at seven.\n\nMia",
        at=now,
        in_reply_to=asked.message_id,
        references=[asked.message_id],
    )
    post_webhook(port, event, decode_secret(plan.secret), house.clock.now)


if __name__ == "__main__":
    main()
