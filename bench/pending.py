"""What it costs to find and claim what is due, and to stop what somebody answered, among ever more pending drafts.

`python -m bench pending --drafts 1000000 --rounds 5`
"""

import argparse
import gc
import random
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from pydantic import SecretStr
from sqlalchemy import bindparam, update

from bench import load
from bench.databases import NAMES, Databases
from bench.figures import Figures
from bench.people import Crowd, Person, answers, check, crowd, reply
from bench.servers import relent
from bench.taken import Taken, take
from engine.react import Stopped, react
from engine.store.tables import draft
from relent.assemble import House, assemble
from relent.config import Config, Database, Webhooks
from relent.first_day import new_secret
from relent.worker import Worker

_ENOUGH = 1.3
_AT_ONCE = 100
_LEASE = timedelta(minutes=5)
_WARM = 5
_MOST_DUE, _FEWEST = 1_000, 300
_NOBODYS = {"claim_token": None, "claim_owner": None, "lease_until": None}


@dataclass(frozen=True, slots=True)
class _Took:
    """Seconds on the wall, and of this thread on the processor: what the database's own process does is in the first only."""

    wall: float
    cpu: float


@dataclass(slots=True)
class _Place:
    """A database with so many pending drafts in it."""

    size: int
    house: House
    due: list[Person]  #: whose drafts become due, again and again
    somebody: Iterator[Person]  #: who answers, once
    chance: random.Random = field(default_factory=lambda: random.Random(4))


@dataclass(frozen=True, slots=True)
class _Deed:
    """What is measured, and what goes before it and is not."""

    name: str
    prepare: Callable[[_Place], Any]
    do: Callable[[_Place, Any], object]
    after: Callable[[_Place, Any], None] = lambda place, prepared: None  #: also not measured
    how: str = ""


# --- the deeds ---


def _make_due(place: _Place) -> list[Person]:
    """Of every age, all over the database."""
    people = place.chance.sample(place.due, _AT_ONCE)
    _redate(place, people, place.house.clock.now() - timedelta(minutes=1))
    return people


def _redate(place: _Place, people: list[Person], hour: datetime) -> None:
    later = (
        update(draft)
        .where(draft.c.id == bindparam("name"))
        .values(state="scheduled", send_at=hour, **_NOBODYS)
    )
    with place.house.store.database.begin() as db:
        db.execute(later, [{"name": each.draft_id} for each in people])


def _put_back(place: _Place, people: list[Person]) -> None:
    _redate(place, people, place.house.clock.now() + timedelta(days=25))


def _find(place: _Place, _: object) -> object:
    with place.house.store.reading(place.house.clock.now()) as ledger:
        return ledger.drafts.next_due()


def _claim(place: _Place, people: list[Person]) -> None:
    with place.house.store.transaction(place.house.clock.now(), "bench") as ledger:
        claimed = ledger.drafts.claim(token="bench", owner="bench", lease=_LEASE, at_most=_AT_ONCE)
    assert {each.id for each in claimed} == {each.draft_id for each in people}


def _hear(place: _Place) -> Any:
    person = next(place.somebody)
    body = reply(person, datetime.now(UTC))
    return place.house.mailbox.read(body, f"msg_{person.draft_id[4:]}"), body, person


def _react(place: _Place, heard: Any) -> None:
    event, body, person = heard
    house = place.house
    became = react(event, body, store=house.store, clock=house.clock, pace=house.pace)
    assert isinstance(became, Stopped), became
    assert became.drafts == (person.draft_id,), became


def _tick(place: _Place, _: object) -> None:
    """A new worker's first one: whatever is looked at now and then, it looks at now."""
    sent = Worker(place.house).tick()
    assert not sent, sent


_DEEDS = (
    _Deed("when the next draft is due", lambda place: None, _find, how="the worker's look; a read alone"),
    _Deed(
        "a worker's round, nothing due",
        lambda place: None,
        _tick,
        how="everything that it looks at now and then",
    ),
    _Deed(
        f"find and claim {_AT_ONCE} due drafts",
        _make_due,
        _claim,
        _put_back,
        how="one transaction, committed; the due ones are strewn over the whole database",
    ),
    _Deed(
        "cancel by thread: a reply",
        _hear,
        _react,
        how="the whole transaction of the acknowledgement, committed, one by one: noted, matched, stopped, kept",
    ),
)


# --- the run ---


def add_flags(words: argparse.ArgumentParser) -> None:
    words.add_argument("--rounds", type=int, default=5)
    words.add_argument("--calls", type=int, default=20, help="of each kind, in each round")
    words.add_argument(
        "--drafts",
        type=int,
        default=1_000_000,
        help="in the largest; the others have a tenth and a hundredth",
    )
    words.add_argument("--replies", type=int, default=600, help="over HTTP, in each round")
    words.add_argument("--only", choices=NAMES, help="one of the databases")


def run(chosen: argparse.Namespace) -> Figures:
    calls = chosen.rounds * chosen.calls + _WARM
    asked = calls + chosen.rounds * (_warm(chosen) + chosen.replies)
    sizes = sorted({max(chosen.drafts // share, 2 * asked, _FEWEST) for share in (100, 10, 1)})
    told = f"{chosen.rounds} rounds of {chosen.calls} calls, all sizes in turns"
    figures = Figures("pending", told)
    print(f"medians of {told}\n")
    for name, databases in chosen.servers.opened(chosen.only):
        with ExitStack() as stack:
            places = [stack.enter_context(_filled(databases, name, size, calls)) for size in sizes]
            for deed in _DEEDS:
                _note(deed, places, chosen, name, figures)
        crowds = [crowd(databases, size) for size in sizes]
        _note_together(_together(databases, crowds, chosen), sizes, name, figures)
    figures.tell()
    return figures


@contextmanager
def _filled(databases: Databases, name: str, size: int, calls: int) -> Iterator[_Place]:
    begun = time.perf_counter()
    known = crowd(databases, size)
    print(f"{name}: {size:,} drafts filled in within {time.perf_counter() - begun:.0f} s", flush=True)
    secrets = Webhooks(secrets=(SecretStr(new_secret()),))
    house = assemble(Config(database=Database(url=known.url), webhooks=secrets))
    try:
        yield _Place(size, house, known.take(min(_MOST_DUE, size // 2)), iter(known.take(calls)))
    finally:
        house.store.close()


def _note(
    deed: _Deed, places: list[_Place], chosen: argparse.Namespace, database: str, figures: Figures
) -> None:
    for _ in range(_WARM):
        for place in places:
            _took(deed, place)
    wall: list[list[float]] = [[] for _ in places]
    cpu: list[list[float]] = [[] for _ in places]
    for _ in range(chosen.rounds):
        calls = [[_took(deed, place) for place in places] for _ in range(chosen.calls)]
        for number in range(len(places)):
            wall[number].append(statistics.median(call[number].wall for call in calls))
            cpu[number].append(statistics.median(call[number].cpu for call in calls))
    few = f"{places[0].size:,}"
    figures.note(database, f"{deed.name}, among {few}", "ms", [each * 1000 for each in wall[0]], deed.how)
    for number, place in enumerate(places[1:], 1):
        goal = {"at_most": _ENOUGH} if place is places[-1] else {}
        for title, found in (("", wall), (", by the processor's time", cpu)):
            ratios = [many / one for one, many in zip(found[0], found[number], strict=True)]
            what = f"{deed.name}, among {place.size:,} against {few}{title}"
            figures.note(database, what, "x", ratios, deed.how, **(goal if found is wall else {}))


def _took(deed: _Deed, place: _Place) -> _Took:
    prepared = deed.prepare(place)
    gc.disable()
    wall, cpu = time.perf_counter(), time.thread_time()
    deed.do(place, prepared)
    took = _Took(time.perf_counter() - wall, time.thread_time() - cpu)
    gc.enable()
    deed.after(place, prepared)
    return took


# --- many at once ---


def _together(databases: Databases, crowds: list[Crowd], chosen: argparse.Namespace) -> list[list[Taken]]:
    """Over HTTP: what `relent serve` makes of them among few drafts and among many, in turns."""
    secret, warm = new_secret(), _warm(chosen)
    rounds = []
    for _ in range(chosen.rounds):
        taken = []
        for each in crowds:
            somebody = each.take(warm + chosen.replies)
            with relent(each.url, secret) as server:
                used = partial(databases.cpu, each.url)
                replies = answers(somebody, secret, server.port)
                taken.append(take(server, replies, warm=warm, elsewhere=used))
            check(each.url, somebody)
        rounds.append(taken)
    return rounds


def _warm(chosen: argparse.Namespace) -> int:
    return min(2 * load.CONNECTIONS, int(chosen.replies))


def _note_together(rounds: list[list[Taken]], sizes: list[int], database: str, figures: Figures) -> None:
    few, how = f"{sizes[0]:,}", f"`relent serve`, a run of {rounds[0][0].answers.requests:,} in each round"
    deed = f"replies over {load.CONNECTIONS} connections"
    times = [1000 / taken[0].rate for taken in rounds]
    figures.note(database, f"{deed}, among {few}", "ms", times, how)
    for number, size in enumerate(sizes[1:], 1):
        goal = {"at_most": _ENOUGH} if size == sizes[-1] else {}
        what = f"{deed}, among {size:,} against {few}"
        figures.note(database, what, "x", [each[0].rate / each[number].rate for each in rounds], how, **goal)
        costs = [each[number].whole / each[0].whole for each in rounds]
        figures.note(
            database, f"{what}, by the processor's time", "x", costs, "the database's processes counted in"
        )
