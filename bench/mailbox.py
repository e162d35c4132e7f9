"""What a mailbox costs that holds many drafts, against one with a hundredth of them: to list, get, create, change, delete.

`python -m bench mailbox --rounds 5 --drafts 1000000`
"""

import argparse
import random
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from pydantic import SecretStr
from sqlalchemy import select
from starlette.testclient import TestClient

from bench.databases import SERVERS
from bench.filling import AUTHOR, BUSY, COMMON, FEWEST, OLD, OVER, RARE, Middle, fill
from engine.store import Ledger
from engine.store.letters import Sieve
from engine.store.pages import Mark, Page, Slice
from engine.store.tables import DEFAULT_POD, draft
from engine.store.written import Which
from engine.wish import Wish
from engine.write import Change, discard, update, write
from relent.assemble import House, assemble
from relent.config import Config, Database, Server, Webhooks
from relent.first_day import new_secret
from relent.web import create_app

_ENOUGH = 1.5
_PAGE = 50
_KEY = "bench"
_READER = "pat@prospect.example"
_WORDS: dict[str, Any] = {"subject": "One more thing", "text": "Would Thursday do? " * 10}


@dataclass(slots=True)
class _Place:
    """A filled database, and both ways into it."""

    house: House
    http: TestClient
    middle: Middle
    ids: list[str]  #: of drafts that wait for nothing
    chance: random.Random = field(default_factory=lambda: random.Random(4))
    tokens: dict["_List", str | None] = field(default_factory=dict)
    marks: dict["_List", Mark | None] = field(default_factory=dict)

    def read(self, look: Callable[[Ledger], Any]) -> Any:
        with self.house.store.reading(self.house.clock.now()) as ledger:
            return look(ledger)

    def ask(self, method: str, path: str, **more: Any) -> Any:
        answer = self.http.request(method, f"/v0{path}", **more)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    def any_draft(self) -> str:
        return self.chance.choice(self.ids)

    def take_any_draft(self) -> str:
        place = self.chance.randrange(len(self.ids))
        self.ids[place], self.ids[-1] = self.ids[-1], self.ids[place]
        return self.ids.pop()


@dataclass(frozen=True, slots=True)
class _List:
    """One that somebody may ask for."""

    name: str
    inbox_id: str | None
    labels: tuple[str, ...] = ()
    of: Literal["drafts", "threads", "messages"] = "drafts"
    pod_id: str | None = None
    before: bool = False  #: only what is older than the middle

    def first_told(self, place: _Place) -> object:
        return place.read(
            lambda ledger: self._page(ledger, Slice(limit=_PAGE), self._moment(place, self.before))
        )

    def middle_told(self, place: _Place) -> object:
        if self not in place.marks:
            first = Slice(limit=1)
            place.marks[self] = place.read(lambda ledger: self._page(ledger, first, self._moment(place))).next
        part = Slice(limit=_PAGE, after=place.marks[self])
        return place.read(lambda ledger: self._page(ledger, part, None))

    def first_asked(self, place: _Place) -> object:
        return place.ask("GET", self._path, params=self._filters(place, self.before) | {"limit": _PAGE})

    def middle_asked(self, place: _Place) -> object:
        filters = self._filters(place, True)
        if self not in place.tokens:
            first = place.ask("GET", self._path, params=filters | {"limit": 1})
            place.tokens[self] = first.get("next_page_token")
        part = {"limit": _PAGE, "page_token": place.tokens[self]}
        return place.ask("GET", self._path, params=filters | part)

    def _page(self, ledger: Ledger, part: Slice, before: datetime | None) -> Page[Any]:
        if self.of == "drafts":
            which = Which(inbox_id=self.inbox_id, pod_id=self.pod_id, labels=self.labels, before=before)
            return ledger.written.page_of(which, part)
        sieve = Sieve(inbox_id=self.inbox_id, pod_id=self.pod_id, labels=self.labels, before=before)
        if self.of == "threads":
            return ledger.letters.conversations(sieve, part)
        return ledger.letters.page_of(sieve, part)

    @property
    def _path(self) -> str:
        if self.pod_id is not None:
            return f"/pods/{self.pod_id}/{self.of}"
        return f"/{self.of}" if self.inbox_id is None else f"/inboxes/{self.inbox_id}/{self.of}"

    def _filters(self, place: _Place, before: bool) -> dict[str, Any]:
        moment = self._moment(place, before)
        asked: dict[str, Any] = {"labels": list(self.labels)}
        return asked | ({"before": moment.isoformat()} if moment else {})

    def _moment(self, place: _Place, wanted: bool = True) -> datetime | None:
        return place.middle.of(self.inbox_id) if wanted else None


@dataclass(frozen=True, slots=True)
class _Deed:
    """What is measured: as a story tells it, and as somebody asks for it over HTTP."""

    name: str
    told: Callable[[_Place], object]
    asked: Callable[[_Place], object]


_LISTS = (
    _List("an inbox", BUSY),
    _List("its scheduled ones", BUSY, ("scheduled",)),
    _List("its held ones", BUSY, ("held",)),
    _List("with a label", BUSY, (COMMON,)),
    _List("with a label, scheduled", BUSY, (COMMON, "scheduled")),
    _List("with two labels", BUSY, (COMMON, RARE)),
    _List("with a label of the past", BUSY, (OVER,)),
    _List("a small old inbox", OLD),
    _List("its scheduled ones, old", OLD, ("scheduled",)),
    _List("with a label, old", OLD, (COMMON,)),
    _List("everywhere", None),
    _List("everywhere, scheduled", None, ("scheduled",)),
    _List("everywhere, held", None, ("held",)),
    _List("everywhere, with a label", None, (COMMON,)),
    _List("everywhere, both", None, (COMMON, "scheduled")),
    _List("a pod", None, pod_id=DEFAULT_POD),
    _List("a pod, scheduled", None, ("scheduled",), pod_id=DEFAULT_POD),
    _List("a pod, with a label", None, (COMMON,), pod_id=DEFAULT_POD),
    _List("threads", BUSY, of="threads"),
    _List("threads, old", OLD, of="threads"),
    _List("threads everywhere", None, of="threads"),
    _List("threads of a pod", None, of="threads", pod_id=DEFAULT_POD),
    _List("messages", BUSY, of="messages"),
    _List("messages, by label", BUSY, ("sent",), of="messages"),
)
_BEFORE = (
    _List("an inbox, before a day", BUSY, before=True),
    _List("everywhere, before a day", None, before=True),
)


def _deeds() -> Iterator[_Deed]:
    yield _Deed("get a draft", _get, _http_get)
    for each in (*_LISTS, *_BEFORE):
        yield _Deed(each.name, each.first_told, each.first_asked)
        if not each.before:
            yield _Deed(f"{each.name}: middle", each.middle_told, each.middle_asked)
    yield _Deed("create a draft", _create, _http_create)
    yield _Deed("change a draft", _change, _http_change)
    yield _Deed("delete a draft", _delete, _http_delete)


def _get(place: _Place) -> object:
    name = place.any_draft()
    return place.read(lambda ledger: ledger.written.get(name))


def _http_get(place: _Place) -> object:
    return place.ask("GET", f"/inboxes/{BUSY}/drafts/{place.any_draft()}")


def _create(place: _Place) -> object:
    wish = Wish(inbox_id=BUSY, to=(_READER,), labels=(COMMON,), **_WORDS)
    return write(wish, by=AUTHOR, store=place.house.store, clock=place.house.clock)


def _http_create(place: _Place) -> object:
    return place.ask("POST", f"/inboxes/{BUSY}/drafts", json={"to": [_READER], "labels": [COMMON], **_WORDS})


def _change(place: _Place) -> object:
    change = Change(words=_WORDS, add_labels=(COMMON,))
    return update(place.any_draft(), change, by=AUTHOR, store=place.house.store, clock=place.house.clock)


def _http_change(place: _Place) -> object:
    body = {**_WORDS, "add_labels": [COMMON]}
    return place.ask("PATCH", f"/inboxes/{BUSY}/drafts/{place.any_draft()}", json=body)


def _delete(place: _Place) -> object:
    return discard(place.take_any_draft(), by=AUTHOR.id, store=place.house.store, clock=place.house.clock)


def _http_delete(place: _Place) -> object:
    return place.ask("DELETE", f"/inboxes/{BUSY}/drafts/{place.take_any_draft()}")


def add_flags(words: argparse.ArgumentParser) -> None:
    words.add_argument("--rounds", type=int, default=5)
    words.add_argument("--calls", type=int, default=20, help="of each kind, in each round")
    words.add_argument(
        "--drafts", type=int, default=1_000_000, help="in the large database; the small one has a hundredth"
    )
    words.add_argument("--only", choices=list(SERVERS), help="one of the databases")


def run(chosen: argparse.Namespace) -> None:
    sizes = max(chosen.drafts // 100, FEWEST), chosen.drafts
    print(f"medians of {chosen.rounds} rounds of {chosen.calls} calls, small and large in turns\n")
    for name, server in SERVERS.items():
        if chosen.only in (None, name):
            with server() as new_url, ExitStack() as stack:
                small, large = (stack.enter_context(_filled(name, new_url(), size)) for size in sizes)
                _tell(small, large, sizes, chosen.rounds, chosen.calls)


def _tell(small: _Place, large: _Place, sizes: tuple[int, int], rounds: int, calls: int) -> None:
    ways = "by its story", "over HTTP"
    print(f"\n  {'':<32}{ways[0]:>16}{'':>16}{ways[1]:>12}")
    above = []
    for deed in _deeds():
        found = [_compared(way, small, large, rounds, calls) for way in (deed.told, deed.asked)]
        _line(deed.name, found)
        above += [f"{deed.name} {way}" for way, each in zip(ways, found, strict=True) if each.ratio > _ENOUGH]
    print(
        f"\n  among {sizes[1]:,} drafts, against {sizes[0]:,}; above {_ENOUGH}x: {', '.join(above) or 'nothing'}\n"
    )


@dataclass(frozen=True, slots=True)
class _Compared:
    """Seconds for one call, and how often the one goes into the other: round by round, in the same weather."""

    few: float
    many: float
    ratio: float


def _compared(
    deed: Callable[[_Place], object], small: _Place, large: _Place, rounds: int, calls: int
) -> _Compared:
    for place in (small, large):
        deed(place)
    few, many = [], []
    for _ in range(rounds):
        pairs = [(_took(deed, small), _took(deed, large)) for _ in range(calls)]
        few.append(statistics.median(pair[0] for pair in pairs))
        many.append(statistics.median(pair[1] for pair in pairs))
    ratios = [after / before for before, after in zip(few, many, strict=True)]
    return _Compared(*map(statistics.median, (few, many, ratios)))


def _took(deed: Callable[[_Place], object], place: _Place) -> float:
    begun = time.perf_counter()
    deed(place)
    return time.perf_counter() - begun


def _line(name: str, found: list[_Compared]) -> None:
    each = (
        f"{one.few * 1000:>8.2f} {one.many * 1000:>8.2f} ms {one.ratio:>6.2f}x{'!' if one.ratio > _ENOUGH else ' '}"
        for one in found
    )
    print(f"  {name:<32}{'  '.join(each)}")


# --- databases ---


@contextmanager
def _filled(name: str, url: str, size: int) -> Iterator[_Place]:
    house = assemble(
        Config(
            database=Database(url=url),
            webhooks=Webhooks(secrets=(SecretStr(new_secret()),)),
            server=Server(api_keys=(SecretStr(_KEY),), rate=1_000_000),
        )
    )
    begun = time.perf_counter()
    middle = fill(house.store, size)
    print(f"{name}: {size:,} drafts filled in within {time.perf_counter() - begun:.0f} s")
    written = select(draft.c.id).where(draft.c.inbox_id == BUSY, draft.c.state == "written")
    with house.store.database.connect() as db:
        ids = list(db.scalars(written))
    with TestClient(
        create_app(house, with_worker=False), headers={"Authorization": f"Bearer {_KEY}"}
    ) as http:
        yield _Place(house, http, middle, ids)
    house.store.close()
