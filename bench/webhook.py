"""What it costs to take a signed reply in, and to stop what it stops, against plain yardsticks in the same run.

`python -m bench webhook --rounds 5 --requests 8000`, or `--quick`
"""

import argparse
import statistics
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from bench import commits, load
from bench.databases import NAMES, Databases, lent
from bench.figures import Figures
from bench.people import KINDS, Kind, People, Person, StillComing, answers, check, count_cancelled, people
from bench.servers import KEY, Running, relent, yardstick
from bench.taken import Taken, take
from relent.first_day import new_secret

_YARDSTICKS = ("starlette", "starlette-body", "starlette-plain")
_BARE = "starlette"
_LEAST = {"SQLite": 20.0, "PostgreSQL": 25.0}
_LEAST_PUBLISHED = 12.0
_MOST_P50, _MOST_P99 = 2.0, 20.0
_RATE = 1_000
_MOST_WARM = 2 * load.CONNECTIONS


@dataclass(slots=True)
class _Rounds:
    """What was taken, round by round."""

    bare: dict[str, list[Taken]] = field(default_factory=dict)
    ours: dict[str, list[Taken]] = field(default_factory=dict)
    open: list[Taken] = field(default_factory=list)
    published: list[Taken] = field(default_factory=list)
    alone: list[float] = field(default_factory=list)
    grouped: list[float] = field(default_factory=list)

    def ratios(self, one: list[Taken], other: list[Taken], of: Callable[[Taken], float]) -> list[float]:
        """Round by round: in the same weather."""
        return [of(a) / of(b) for a, b in zip(one, other, strict=True)]


def add_flags(words: argparse.ArgumentParser) -> None:
    words.add_argument("--rounds", type=int, default=3)
    words.add_argument(
        "--requests", type=int, default=4_000, help="replies in each run, each of somebody else"
    )
    words.add_argument(
        "--bare", type=int, default=50_000, help="requests to bare Starlette: for as long as ours"
    )
    words.add_argument("--seconds", type=float, default=3, help=f"of {_RATE:,} a second, in the open loop")
    words.add_argument("--only", choices=NAMES, help="one of the databases")
    words.add_argument(
        "--kinds", nargs="*", choices=KINDS, default=KINDS, help="who answers; the first for all else"
    )
    words.add_argument(
        "--without", nargs="*", choices=("published", "open", "yardsticks"), default=(), help="leave out"
    )
    words.add_argument(
        "--quick", action="store_true", help="one round of 1,500, for whoever changes something"
    )
    words.add_argument(
        "--profile", type=Path, help="write down there where our process spends its time; figures are lower"
    )


def run(chosen: argparse.Namespace) -> Figures:
    if chosen.quick:
        chosen.rounds, chosen.requests, chosen.seconds = 1, 1_500, 1
    figures = Figures("webhook", f"{chosen.rounds} rounds of {chosen.requests:,} replies")
    print(f"sent by {load.who()}, over {load.CONNECTIONS} connections; medians of {chosen.rounds} rounds\n")
    with ExitStack() as stack:
        bare = {each: stack.enter_context(yardstick(each)) for each in _yardsticks(chosen)}
        for name, databases in chosen.servers.opened(chosen.only):
            _note(_Bench(databases, bare, chosen).rounds(), name, figures)
    figures.tell()
    return figures


def _yardsticks(chosen: argparse.Namespace) -> tuple[str, ...]:
    return (_BARE,) if "yardsticks" in chosen.without else _YARDSTICKS


class _Bench:
    """On one database."""

    def __init__(self, databases: Databases, bare: dict[str, Running], chosen: argparse.Namespace) -> None:
        self._databases, self._bare, self._chosen = databases, bare, chosen
        self._secret = new_secret()
        self._known: dict[str, People] = {}
        self._late = round(chosen.seconds * _RATE)
        self._warm = min(_MOST_WARM, chosen.requests)

    def rounds(self) -> _Rounds:
        chosen, rounds = self._chosen, _Rounds()
        print(self._databases.settings())
        for number in range(chosen.rounds):
            for each, server in self._bare.items():
                rounds.bare.setdefault(each, []).append(self._bare_run(server))
            for kind in chosen.kinds:
                rounds.ours.setdefault(kind, []).append(self._our_run(kind, chosen.requests))
            if "open" not in chosen.without:
                rounds.open.append(self._our_run(chosen.kinds[0], self._late, _RATE))
            if "published" not in chosen.without:
                rounds.published.append(self._published_run(max(chosen.requests // 10, self._warm)))
            for batch, found in ((1, rounds.alone), (commits.BATCH, rounds.grouped)):
                with lent(self._databases) as url:
                    found.append(commits.commits(url, chosen.requests, batch))
            _tell(number + 1, rounds)
        return rounds

    def _bare_run(self, server: Running) -> Taken:
        somebody = self._people(self._chosen.kinds[0]).everybody
        replies = answers(somebody, self._secret, server.port)
        return take(server, replies, warm=self._warm, number=max(self._chosen.bare, len(replies)))

    def _our_run(self, kind: Kind, number: int, rate: float = 0) -> Taken:
        """Into a copy of the same database each time; and what it says to have done is looked for afterwards."""
        known = self._people(kind)
        with lent(self._databases, known.url) as url:
            with relent(url, self._secret, profile=self._chosen.profile) as server:
                replies = answers(known.everybody[: number + self._warm], self._secret, server.port)
                used = partial(self._databases.cpu, url)
                taken = take(server, replies, warm=self._warm, rate=rate, elsewhere=used)
            self._check(url, known.everybody[: number + self._warm])
        return taken

    def _published_run(self, number: int) -> Taken:
        """Theirs asks our API, which runs in a process of its own; the worker's time is that of both."""
        known = self._people("by-hand")
        with lent(self._databases, known.url) as url:
            with relent(url, self._secret) as api:
                used = partial(_sum, partial(self._databases.cpu, url), api.cpu)
                words = "--api", f"http://127.0.0.1:{api.port}/v0", "--key", KEY
                with yardstick("published", *words) as handler:
                    replies = answers(known.everybody[: number + self._warm], self._secret, handler.port)
                    taken = take(handler, replies, warm=self._warm, elsewhere=used)
            self._check(url, known.everybody[: number + self._warm], enrolled=False)
        return taken

    def _people(self, kind: Kind) -> People:
        """As many as the longest run needs."""
        if kind not in self._known:
            number = max(self._chosen.requests, self._late, self._warm) + self._warm
            self._known[kind] = people(self._databases.new(), kind, number)
        return self._known[kind]

    def _check(self, url: str, answered: Sequence[Person], *, enrolled: bool = True) -> None:
        """Theirs, and nobody else's."""
        check(url, answered, enrolled=enrolled)
        if (cancelled := count_cancelled(url)) != len(answered):
            raise StillComing(f"{len(answered)} answered, and {cancelled} drafts are cancelled")


def _sum(*each: Callable[[], float]) -> float:
    return sum(one() for one in each)


# --- told ---


def _tell(number: int, rounds: _Rounds) -> None:
    print(f"round {number}")
    for name, taken in rounds.bare.items():
        _line(name, taken[-1], rounds)
    for name, taken in rounds.ours.items():
        _line(f"Relent, {name}", taken[-1], rounds)
    if rounds.open:
        _line(f"Relent, {_RATE:,} a second", rounds.open[-1], rounds)
    if rounds.published:
        _line("published handler", rounds.published[-1], rounds)
    print(
        f"  raw commits: {rounds.alone[-1]:,.0f}/s alone, {rounds.grouped[-1]:,.0f}/s by {commits.BATCH}\n",
        flush=True,
    )


def _line(name: str, taken: Taken, rounds: _Rounds) -> None:
    bare, told = rounds.bare[_BARE][-1], taken.answers
    beside = f" + {taken.elsewhere:,.0f} elsewhere" if taken.elsewhere else ""
    print(
        f"  {name:<24}{taken.rate:>9,.0f}/s {taken.rate / bare.rate:>7.1%}   "
        f"{taken.cpu:>7,.0f} µs of CPU {bare.cpu / taken.cpu:>7.1%}   "
        f"p50 {told.p50:.2f}  p99 {told.p99:.2f}  p99.9 {told.p999:.2f}  max {told.longest:.1f} ms{beside}"
    )


def _note(rounds: _Rounds, database: str, figures: Figures) -> None:
    bare = rounds.bare[_BARE]
    for kind, ours in rounds.ours.items():
        rates = [share * 100 for share in rounds.ratios(ours, bare, lambda one: one.rate)]
        costs = [share * 100 for share in rounds.ratios(bare, ours, lambda one: one.cpu)]
        who = {"spread": "", "domain": ", all at one company", "by-hand": ", drafts by hand with labels"}[
            kind
        ]
        how = f"{ours[0].answers.requests:,} replies of as many people over 64 connections, closed loop"
        goal = _LEAST[database]
        figures.note(database, f"signed reply to 204{who}, of bare Starlette", "%", rates, how, at_least=goal)
        figures.note(
            database,
            f"the same{who}, by the processor's time",
            "%",
            costs,
            "bare Starlette's CPU time, by ours",
        )
    first = next(iter(rounds.ours.values()))
    grouped = [100 * one.rate / other for one, other in zip(first, rounds.grouped, strict=True)]
    how = f"three statements each, by the bare driver, {commits.BATCH} in a commit"
    figures.note(database, "signed reply to 204, of raw commits", "%", grouped, how)
    _note_published(rounds, database, figures)
    if rounds.open:
        how = f"{rounds.open[0].answers.requests:,} replies, open loop at {_RATE:,}/s, from the moment each was due"
        p50, p99 = ([getattr(one.answers, name) for one in rounds.open] for name in ("p50", "p99"))
        figures.note(database, "reply received to 204, p50", "ms", p50, how, at_most=_MOST_P50)
        figures.note(database, "reply received to 204, p99", "ms", p99, how, at_most=_MOST_P99)
    for name in list(rounds.bare)[1:]:
        shares = [share * 100 for share in rounds.ratios(rounds.bare[name], bare, lambda one: one.rate)]
        figures.note(database, f"yardstick: {name}, of bare Starlette", "%", shares, "the same bytes")


def _note_published(rounds: _Rounds, database: str, figures: Figures) -> None:
    ours = rounds.ours.get("by-hand") or next(iter(rounds.ours.values()))
    if not rounds.published:
        return
    times = rounds.ratios(ours, rounds.published, lambda one: one.rate)
    costs = [one.whole / other.whole for one, other in zip(rounds.published, ours, strict=True)]
    how = f"{rounds.published[0].answers.requests:,} of the same replies; its three calls go to our API in a process beside it"
    figures.note(
        database, "the published handler's rate goes into ours", "x", times, how, at_least=_LEAST_PUBLISHED
    )
    figures.note(
        database, "the same by the processor's time", "x", costs, "of both its processes, and the database's"
    )
    p99 = statistics.median(one.answers.p99 for one in rounds.published)
    figures.note(database, "the published handler's own p99", "ms", [p99], how)
