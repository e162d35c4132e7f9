"""How long the dashboard's pages take among many drafts, a part of which waits for somebody's yes.

`python -m bench pages --drafts 1000000 --held 50000`
"""

import argparse
import random
import re
import secrets
import statistics
import time
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from urllib.parse import quote

from sqlalchemy import bindparam, select, update

from bench.databases import NAMES
from bench.figures import Figures
from bench.people import Crowd, crowd
from bench.servers import relent
from engine.members import Members
from engine.oddity import alike
from engine.store import open_store
from engine.store.tables import draft, enrollment
from relent.assemble import SystemClock
from relent.first_day import new_secret

_ENOUGH = 100.0
_WARM = 3
_ODD = "company reads like a stopgap: N/A"
_NEXT = re.compile(rb'href="(/review\?[^"]*after=[^"]+)"')


def add_flags(words: argparse.ArgumentParser) -> None:
    words.add_argument("--drafts", type=int, default=1_000_000)
    words.add_argument("--held", type=int, default=50_000, help="of them, that wait for a yes")
    words.add_argument("--rounds", type=int, default=21, help="how often each page is asked for")
    words.add_argument("--only", choices=NAMES, help="one of the databases")


def run(chosen: argparse.Namespace) -> Figures:
    told = f"{chosen.drafts:,} drafts, {chosen.held:,} of them held; {chosen.rounds} requests for each page"
    figures = Figures("pages", told)
    print(told, end="\n\n")
    for name, databases in chosen.servers.opened(chosen.only):
        place = crowd(databases, chosen.drafts)
        _hold(place.url, min(chosen.held, chosen.drafts // 2))
        with relent(place.url, new_secret()) as server:
            cookie = _come_in(place.url)
            for path, took in _look(server.port, cookie, list(_paths(place)), chosen.rounds):
                figures.note(
                    name, f"page {path}", "ms", took, "asked for and read to its end", at_most=_ENOUGH
                )
    figures.tell()
    return figures


def _hold(url: str, number: int) -> None:
    """Strewn over the whole database; one in fifty is odd."""
    chance = random.Random(6)
    with closing(open_store(url)) as store, store.database.begin() as db:
        waiting = db.execute(select(draft.c.id, draft.c.enrollment_id).where(draft.c.state == "scheduled"))
        some = chance.sample([row.id for row in waiting], number)
        version = db.scalar(select(enrollment.c.version).limit(1)) or ""
        held = update(draft).where(draft.c.id == bindparam("which"))
        kind = alike(version, "step-2", None)
        held = held.values(
            state="held",
            outcome="approval",
            approved_sha=None,
            approved_by=None,
            alike=kind,
            rank=bindparam("odd"),
            oddities=bindparam("oddities_now", type_=draft.c.oddities.type),
        )
        rows = [
            {"which": each, "odd": -1 if odd else 0, "oddities_now": [_ODD] if odd else []}
            for each in some
            for odd in (chance.random() < 0.02,)
        ]
        db.execute(held, rows)
    with closing(open_store(url)) as store, store.database.begin() as db:
        db.exec_driver_sql("ANALYZE")


def _come_in(url: str) -> str:
    """As anybody would, by a link."""
    with closing(open_store(url)) as store:
        members = Members(store=store, clock=SystemClock())
        link = members.invite(f"{secrets.token_hex(4)}@acme.example", "admin", by="bench")
        guest = members.accept(link.token, secrets.token_urlsafe())
    return f"relent_visit={guest.token}"


def _paths(place: Crowd) -> Iterator[str]:
    person = place.known[0]
    with closing(open_store(place.url)) as store, store.database.begin() as db:
        held = db.scalars(select(draft.c.id).where(draft.c.state == "held").limit(1)).one()
        sequence = db.scalars(select(enrollment.c.sequence).limit(1)).one()
    yield from ("/", "/review", "/review ...", f"/drafts/{held}", "/calendar", "/people")
    yield f"/people?q={quote(person.email)}"
    yield f"/people/{quote(person.email)}"
    yield from ("/threads", f"/threads/{person.thread_id}", "/sequences", f"/sequences/{quote(sequence)}")
    yield from ("/deliveries", "/suppressions", "/settings", "/start")


def _look(port: int, cookie: str, paths: list[str], rounds: int) -> Iterator[tuple[str, list[float]]]:
    connection = HTTPConnection("127.0.0.1", port, timeout=120)
    for path in paths:
        took = []
        asked = _far_down(connection, cookie) if path.endswith("...") else path
        for number in range(_WARM + rounds):
            began = time.perf_counter()
            status, _ = _get(connection, cookie, asked)
            if number >= _WARM:
                took.append((time.perf_counter() - began) * 1000)
            assert status == 200, (asked, status)
        name = re.sub(r"/(drafts|people|threads|sequences)/.+", r"/\1/…", path).partition("?")
        name_told = name[0].replace(" ...", ", page 40") + ("?q=…" if name[1] else "")
        print(f"  {name_told:<30} {statistics.median(took):8.1f} ms, at most {max(took):8.1f}", flush=True)
        yield name_told, took


def _far_down(connection: HTTPConnection, cookie: str) -> str:
    """By the links, as a person would go: a thousand letters further."""
    path = "/review"
    for _ in range(39):
        found = _NEXT.search(_get(connection, cookie, path)[1])
        assert found, path
        path = found[1].decode().replace("&amp;", "&")
    return path


def _get(connection: HTTPConnection, cookie: str, path: str) -> tuple[int, bytes]:
    connection.request("GET", path, headers={"Cookie": cookie, "Accept": "text/html"})
    answer = connection.getresponse()
    return answer.status, answer.read()
