"""What the language costs: to read a file, plan a letter, foresee a list and enroll it. Ratios count, not speeds.

`python -m bench language --rounds 5 --people 100000`
"""

import argparse
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import jinja2
import yaml

from engine.advance import look_ahead
from engine.enroll import enroll, prepare
from engine.limits import Diary, Place, counted
from engine.model import Enrollment, Prospect
from engine.plan import History, Planned, Said, plan
from engine.sequence import Sequence
from engine.states import EnrollmentState
from engine.store import open_store
from relent.assemble import SystemClock
from relent.enrolling import AT_ONCE, enroll_all
from relent.fate import Chances
from relent.simulation import simulate
from sequences.loader import load
from sequences.people import read_people

_ROOT = Path(__file__).parents[1]
_WHOLE = _ROOT / "sequences" / "the-whole-language.yaml"
_FIVE = Path(__file__).with_name("five-letters.yaml")

_MONDAY = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
_LOOK = timedelta(days=60)
_A_LIST_FOR_ONE = 250  # people for each mailbox: a longer list has more of them
_COLLEAGUES = 3
_ZONES = ("Europe/Oslo", "Europe/London", "America/New_York", "America/Los_Angeles", "Asia/Tokyo", "")
_IDA = Prospect(
    email="ida@nordic.example",
    variables={"first_name": "Ida", "company": "Nordic", "headcount": "40", "timezone": "Europe/Oslo"},
)
_KIM = "kim@acme.example"

_LOAD_ONCE = """
import sys, time
from pathlib import Path
from sequences.loader import load
begun = time.process_time()
load(Path(sys.argv[1]))
print(time.process_time() - begun)
"""


@dataclass(frozen=True, slots=True)
class _Took:
    """Seconds on the wall, and of the processor: a busy machine bends the first only."""

    wall: float
    cpu: float

    def __truediv__(self, number: float) -> "_Took":
        return _Took(self.wall / number, self.cpu / number)


def add_flags(words: argparse.ArgumentParser) -> None:
    words.add_argument("--rounds", type=int, default=3)
    words.add_argument(
        "--people", type=int, default=100_000, help="the longest list; the others are a tenth and a hundredth"
    )


def run(chosen: argparse.Namespace) -> None:
    print(f"medians of {chosen.rounds} rounds; the longest list once. Times are the processor's own.\n")
    _tell_reading(chosen.rounds)
    _tell_planning(chosen.rounds)
    sizes = sorted({max(chosen.people // share, 1) for share in (100, 10, 1)})
    with tempfile.TemporaryDirectory(prefix="relent-bench-") as folder:
        _tell_simulating(sizes, chosen.rounds, Path(folder))
        _tell_enrolling(sizes, chosen.rounds, Path(folder))


# --- reading a file ---


def _tell_reading(rounds: int) -> None:
    text, fast = _WHOLE.read_text("utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    times = 5
    first, again, bare, pure = [], [], [], []
    for _ in range(rounds):
        first.append(_first_reading())
        again.append(_took(lambda: load(_WHOLE), times).cpu)
        bare.append(_took(lambda: yaml.load(text, fast), times).cpu)
        pure.append(_took(lambda: yaml.load(text, yaml.SafeLoader), times).cpu)
    print(f"reading {_WHOLE.name}, {len(text.splitlines())} lines: checked, templates and all")
    _line("yaml alone, in C", f"{_median(bare) * 1000:.1f} ms")
    _line("yaml alone, in Python", f"{_median(pure) * 1000:.1f} ms", _times(pure, bare))
    _line("a file, first of all", f"{_median(first) * 1000:.1f} ms", _times(first, bare))
    _line("the same file again", f"{_median(again) * 1000:.1f} ms", _times(again, bare))
    print(
        f"  ratio: reading a file costs {_times(first, bare)} yaml in C, {_times(first, pure)} yaml in Python\n"
    )


def _first_reading() -> float:
    """In a process that has read nothing before, so that nothing is known by heart."""
    told = subprocess.run(
        [sys.executable, "-c", _LOAD_ONCE, str(_WHOLE)], cwd=_ROOT, capture_output=True, text=True, check=True
    )
    return float(told.stdout)


# --- planning a letter ---


def _tell_planning(rounds: int) -> None:
    sequence = load(_WHOLE)
    render, plan_one = _bare_render(sequence), _second_letter(sequence)
    times = 500
    bare, pure, stored = [], [], []
    with tempfile.TemporaryDirectory(prefix="relent-bench-") as folder:
        ask = _first_letter_of_the_stored(sequence, Path(folder))
        for _ in range(rounds):
            bare.append(_took(render, times).cpu)
            pure.append(_took(plan_one, times).cpu)
            stored.append(_took(ask, times // 5).cpu)
    print("planning a letter: which one, its words, its hour between the limits, and why then")
    _line("its words by bare jinja2", f"{_median(bare) * 1e6:.0f} µs")
    _line("the planner", f"{_median(pure) * 1e6:.0f} µs", _times(pure, bare))
    _line("with what it asks SQLite", f"{_median(stored) * 1e6:.0f} µs", _times(stored, bare))
    print(
        f"  ratio: a plan costs {_times(pure, bare)} one render; with what it asks SQLite, {_times(stored, pure)} that\n"
    )


def _bare_render(sequence: Sequence) -> Callable[[], object]:
    body = next(step.body for step in sequence.every_step() if step.id == "anybody")
    template = jinja2.Environment(autoescape=False).from_string(body or "")
    return lambda: template.render(_IDA.variables)


def _second_letter(sequence: Sequence) -> Callable[[], object]:
    """By business days, behind a choice, into a diary in which a mailbox has forty letters a day."""
    enrollment, diary = _enrollment(sequence), Diary(counts=counted(sequence.limits))
    history = History(said=(Said("opener", _MONDAY),))
    for number in range(400):
        hour = _MONDAY + timedelta(days=number // 40, minutes=10 * (number % 40))
        diary.book(Place(inbox=_KIM, company=None, domain="x.example", opener=True, seed=f"{number}"), hour)

    def planned() -> Planned:
        found = plan(sequence, enrollment, history, _MONDAY, diary=diary)
        assert isinstance(found, Planned)
        return found

    assert planned().step == "anybody"
    return planned


def _enrollment(sequence: Sequence) -> Enrollment:
    ready = prepare(_IDA, sequence)
    return Enrollment(
        id="enr_ida",
        sequence=sequence.name,
        version=sequence.version,
        inbox_id=_KIM,
        email=ready.email,
        contact=ready.email,
        variables=ready.variables,
        state=EnrollmentState.ACTIVE,
        reason=None,
        thread_id="thr_ida",
        created_at=_MONDAY,
    )


def _first_letter_of_the_stored(sequence: Sequence, folder: Path) -> Callable[[], object]:
    """As the worker asks for it: history, diary and the winner among the variants are looked up."""
    store = open_store(f"sqlite:///{folder}/relent.db")
    with store.transaction(_MONDAY, "bench") as ledger:
        enroll(prepare(_IDA, sequence), ledger=ledger, pools={"north": (_KIM,)})
        [life] = ledger.enrollments.living(_IDA.email)

    def asked() -> object:
        with store.reading(_MONDAY) as ledger:
            return look_ahead(life, ledger).plan

    assert isinstance(asked(), Planned)
    return asked


# --- foreseeing a list ---


def _tell_simulating(sizes: list[int], rounds: int, folder: Path) -> None:
    sequence = load(_FIVE)
    print(f"simulating {_FIVE.name}: 5 letters, {_LOOK.days} days, cap + gap + company stop, 8% answer")
    _simulated(sequence, 50, folder / "warm.csv")
    costs = []
    for size in sizes:
        found = [
            _simulated(sequence, size, folder / f"s{size}-{number}.csv")
            for number in _turns(size, sizes, rounds)
        ]
        each, letters = _middle([took for took, _ in found]), found[0][1]
        costs.append(each.cpu / size)
        _line(
            f"{size:,} people",
            f"{each.cpu:.2f} s",
            f"{letters:,} letters",
            f"{each.cpu / letters * 1e6:.0f} µs a letter",
            f"{each.cpu / size * 1e6:.0f} µs a person",
        )
    _tell_flatness(sizes, costs)


def _simulated(sequence: Sequence, size: int, csv: Path) -> tuple[_Took, int]:
    _write_people(csv, size)
    found = []
    took = _took(
        lambda: found.append(
            simulate(
                read_people(csv),
                sequence,
                inboxes=_mailboxes(size),
                start=_MONDAY,
                until=_MONDAY + _LOOK,
                chances=Chances(),
            )
        )
    )
    assert found[0].people["begun"] == size
    return took, sum(day.letters for day in found[0].days)


# --- enrolling a list ---


def _tell_enrolling(sizes: list[int], rounds: int, folder: Path) -> None:
    sequence = load(_FIVE)
    print(f"enrolling them from a CSV into SQLite, {AT_ONCE} people a transaction")
    _enrolled(sequence, 50, folder / "warm.csv")
    costs = []
    for size in sizes:
        ours, bare = [], []
        for number in _turns(size, sizes, rounds):
            ours.append(_enrolled(sequence, size, folder / f"e{size}-{number}.csv"))
            bare.append(_bare_inserts(size, folder / f"bare{size}-{number}.db"))
        each, times = _middle(ours), [one.wall / plain.wall for one, plain in zip(ours, bare, strict=True)]
        costs.append(each.cpu / size)
        _line(
            f"{size:,} people",
            f"{each.wall:.2f} s",
            f"{size / each.wall:,.0f} people a second",
            f"{each.cpu / size * 1e6:.0f} µs a person",
            f"{_median(times):.1f}x bare inserts",
        )
    _tell_flatness(sizes, costs)


def _enrolled(sequence: Sequence, size: int, csv: Path) -> _Took:
    _write_people(csv, size)
    store = open_store(f"sqlite:///{csv.with_suffix('.db')}")
    found = []
    took = _took(
        lambda: found.append(
            enroll_all(
                read_people(csv),
                sequence,
                pools={"bench": _mailboxes(size)},
                files={},
                store=store,
                clock=SystemClock(),
                progress=lambda _: None,
            )
        )
    )
    store.close()
    assert len(found[0]["enrolled"]) == size
    return took


def _bare_inserts(size: int, file: Path) -> _Took:
    """Person, conversation, letter and label as four narrow rows: the least that would have to be written."""
    db = sqlite3.connect(file, isolation_level=None)
    tables = ("person", "conversation", "letter", "label")
    for words in ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL"):
        db.execute(words)
    for table in tables:
        db.execute(f"CREATE TABLE {table} (id TEXT PRIMARY KEY, whose TEXT, at INTEGER)")

    def insert() -> None:
        for begin in range(0, size, AT_ONCE):
            rows = [
                (f"id_{one:020}", f"p{one}@firm.example", one)
                for one in range(begin, min(begin + AT_ONCE, size))
            ]
            db.execute("BEGIN IMMEDIATE")
            for table in tables:
                db.executemany(f"INSERT INTO {table} VALUES (?, ?, ?)", rows)
            db.execute("COMMIT")

    took = _took(insert)
    db.close()
    return took


# --- lists ---


def _write_people(csv: Path, size: int) -> None:
    """Nobody stands in two lists, so that nothing is known by heart from the one before."""
    with csv.open("w", encoding="utf-8") as file:
        file.write("email,first_name,company,timezone\n")
        for number in range(size):
            firm = f"firm{number // _COLLEAGUES}-{csv.stem}"
            zone = _ZONES[number // _COLLEAGUES % len(_ZONES)]
            file.write(f"p{number}@{firm}.example,Ida {number},{firm},{zone}\n")


def _mailboxes(size: int) -> tuple[str, ...]:
    return tuple(f"sam{number}@acme.example" for number in range(-(-size // _A_LIST_FOR_ONE)))


def _turns(size: int, sizes: list[int], rounds: int) -> range:
    return range(1 if size == sizes[-1] else rounds)


# --- measuring and telling ---


def _took(deed: Callable[[], object], times: int = 1) -> _Took:
    """Each time, on average."""
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(times):
        deed()
    return _Took(time.perf_counter() - wall, time.process_time() - cpu) / times


def _middle(found: list[_Took]) -> _Took:
    return _Took(_median([one.wall for one in found]), _median([one.cpu for one in found]))


def _median(found: list[float]) -> float:
    return statistics.median(found)


def _times(ours: list[float], plain: list[float]) -> str:
    """Round by round, so that both have seen the same weather."""
    return f"{_median([one / other for one, other in zip(ours, plain, strict=True)]):.1f}x"


def _tell_flatness(sizes: list[int], costs: list[float]) -> None:
    for (fewer, before), (more, after) in pairwise(zip(sizes, costs, strict=True)):
        print(f"  ratio: a person among {more:,} costs {after / before:.2f}x one among {fewer:,}")
    print()


def _line(what: str, *told: str) -> None:
    print(f"  {what:<26}{'   '.join(f'{words:>12}' for words in told)}")
