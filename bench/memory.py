"""How much memory `relent serve` needs among many pending drafts, against few: it should not care.

`python -m bench memory --drafts 1000000 --seconds 65`
"""

import argparse
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field

from bench.databases import NAMES
from bench.figures import Figures
from bench.load import Requests
from bench.people import Crowd, answers, check, crowd
from bench.servers import Running, relent
from relent.first_day import new_secret

_ENOUGH = 20.0
_FEWEST = 300
_CALM = 2.0


@dataclass(frozen=True, slots=True)
class _Held:
    """By a process and all that it has begun, in MB."""

    resident: float  #: with what it shares with others
    fair: float  #: with its share of that
    own: float  #: without


@dataclass(slots=True)
class _Moments:
    """The same process at several of them."""

    held: dict[str, _Held] = field(default_factory=dict)


def add_flags(words: argparse.ArgumentParser) -> None:
    words.add_argument("--rounds", type=int, default=3)
    words.add_argument(
        "--drafts", type=int, default=1_000_000, help="in the large database; the small one has 1,000"
    )
    words.add_argument(
        "--seconds", type=float, default=65, help="of a worker's rounds; all that it does, it does within"
    )
    words.add_argument("--replies", type=int, default=300, help="after that")
    words.add_argument("--only", choices=NAMES, help="one of the databases")


def run(chosen: argparse.Namespace) -> Figures:
    sizes = max(min(1_000, chosen.drafts // 10), _FEWEST), chosen.drafts
    told = f"{chosen.rounds} rounds of {chosen.seconds:g} s and {chosen.replies} replies"
    figures = Figures("memory", told)
    print(f"medians of {told}, both sizes at once\n")
    for name, databases in chosen.servers.opened(chosen.only):
        places = [crowd(databases, size) for size in sizes]
        rounds = [_round(places, chosen) for _ in range(chosen.rounds)]
        _tell(name, sizes, rounds)
        _note(name, sizes, rounds, figures)
    figures.tell()
    return figures


def _round(places: list[Crowd], chosen: argparse.Namespace) -> list[_Moments]:
    secret = new_secret()
    moments = [_Moments() for _ in places]
    with ExitStack() as stack:
        running = [stack.enter_context(relent(place.url, secret)) for place in places]

        def look(when: str) -> None:
            time.sleep(_CALM)
            for each, server in zip(moments, running, strict=True):
                each.held[when] = _held(server)

        look("after start")
        time.sleep(chosen.seconds)
        look("after a minute")
        for place, server in zip(places, running, strict=True):
            somebody = place.take(chosen.replies)
            with Requests(answers(somebody, secret, server.port)) as prepared:
                prepared.send(server.port, number=len(somebody))
            check(place.url, somebody)
        look("after replies")
    return moments


def _held(server: Running) -> _Held:
    all_of_them = [each.memory_full_info() for each in server.family()]
    return _Held(
        *(
            sum(getattr(each, kind, each.uss) for each in all_of_them) / 1024**2
            for kind in ("rss", "pss", "uss")
        )
    )


def _tell(database: str, sizes: tuple[int, int], rounds: list[list[_Moments]]) -> None:
    for number, size in enumerate(sizes):
        for when, held in rounds[-1][number].held.items():
            print(
                f"  {database:<11}{size:>9,} drafts, {when:<15} {held.resident:7.1f} MB resident, "
                f"{held.fair:7.1f} MB fair, {held.own:7.1f} MB its own"
            )
    print()


_KINDS: dict[str, Callable[[_Held], float]] = {
    "": lambda held: held.resident,
    ", its own pages only": lambda held: held.own,
}


def _note(database: str, sizes: tuple[int, int], rounds: list[list[_Moments]], figures: Figures) -> None:
    few, many = f"{sizes[0]:,}", f"{sizes[1]:,}"
    how = "resident set of a running `relent serve`; both sizes are looked at at the same moment"
    for when in rounds[0][0].held:
        for kind, measure in _KINDS.items():
            more = [measure(large.held[when]) - measure(small.held[when]) for small, large in rounds]
            goal = {} if kind else {"at_most": _ENOUGH}
            what = f"memory {when}, more among {many} than among {few}{kind}"
            figures.note(database, what, "MB", more, how, **goal)
    whole = [small.held["after start"].resident for small, _ in rounds]
    figures.note(database, f"memory after start, among {few}", "MB", whole, how)
