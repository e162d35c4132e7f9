"""What was measured, kept in a file, and told as the table in docs/performance.md: figures are written by nobody."""

import json
import os
import platform
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One of them: the median of several runs."""

    bench: str
    database: str
    what: str
    unit: str  #: %, x, ms, µs, MB, /s
    runs: tuple[float, ...]
    how: str  #: it was taken, in a sentence
    at_least: float | None = None
    at_most: float | None = None

    @property
    def value(self) -> float:
        return statistics.median(self.runs)

    @property
    def goal(self) -> str:
        if self.at_least is not None:
            return f"≥ {in_unit(self.at_least, self.unit)}"
        return "" if self.at_most is None else f"≤ {in_unit(self.at_most, self.unit)}"

    @property
    def reached(self) -> bool | None:
        """None: nobody has set a goal."""
        if self.at_least is not None:
            return self.value >= self.at_least
        return None if self.at_most is None else self.value <= self.at_most

    @property
    def spread(self) -> str:
        """The least and the most of them."""
        return "" if len(self.runs) < 2 else f"{_short(min(self.runs))} … {_short(max(self.runs))}"

    def line(self) -> str:
        mark = {True: "reached", False: "MISSED", None: ""}[self.reached]
        goal = f"{self.goal:>10} {mark}"
        return f"  {self.database:<11}{self.what:<74}{in_unit(self.value, self.unit):>12} {goal:<20}{self.spread}".rstrip()


def in_unit(value: float, unit: str) -> str:
    return f"{_short(value)}{'' if unit in ('x', '/s') else ' '}{unit}"


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


@dataclass(slots=True)
class Figures:
    """All of a run, as they come."""

    bench: str
    sizes: str  #: how long, and how often
    all: list[Figure] = field(default_factory=list)

    def note(
        self, database: str, what: str, unit: str, runs: Iterable[float], how: str, **goal: float
    ) -> None:
        values = tuple(float(each) for each in runs)
        if values:
            self.all.append(
                Figure(
                    bench=self.bench, database=database, what=what, unit=unit, runs=values, how=how, **goal
                )
            )

    def tell(self) -> None:
        for each in self.all:
            print(each.line())


def keep(path: Path, figures: Sequence[Figure], sizes: str) -> None:
    """Beside those of other benchmarks; what was measured again takes the place of what it was."""
    known = [Figure(**_tuples(each)) for each in _read(path)["figures"]] if path.exists() else []
    again = {(each.bench, each.database) for each in figures}
    both = [each for each in known if (each.bench, each.database) not in again] + list(figures)
    taken = (_read(path).get("taken", {}) if path.exists() else {}) | {
        f"{bench}, {database}": f"{datetime.now(UTC):%Y-%m-%d}, {sizes}" for bench, database in sorted(again)
    }
    text = {"machine": machine(), "taken": taken, "figures": [asdict(each) for each in both]}
    path.write_text(json.dumps(text, indent=1, ensure_ascii=False) + "\n", "utf-8")


def _tuples(each: dict[str, Any]) -> dict[str, Any]:
    return each | {"runs": tuple(each["runs"])}


def _read(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text("utf-8")))


def table(path: Path) -> str:
    """In Markdown: what has a goal, and what stands beside it."""
    if not path.exists():
        return f"Nothing has been measured yet into {path.name}.\n"
    kept = _read(path)
    all_of_them = [Figure(**_tuples(each)) for each in kept["figures"]]
    aimed = [each for each in all_of_them if each.reached is not None]
    lines = [
        f"{kept['machine']}.",
        "",
        *_rows("| what | database | goal | reached | | runs | how it was taken |", map(_aimed, aimed)),
        "",
        *_rows(
            "| beside them | database | | runs | how it was taken |",
            (_beside(each) for each in all_of_them if each not in aimed),
        ),
        "",
        *(f"- {what}: {when}" for what, when in sorted(kept["taken"].items())),
    ]
    return "\n".join(lines) + "\n"


def _rows(head: str, rows: Iterable[tuple[str, ...]]) -> list[str]:
    ruler = "| " + " | ".join(["---"] * (head.count("|") - 1)) + " |"
    return [head, ruler, *("| " + " | ".join(cells) + " |" for cells in rows)]


def _aimed(each: Figure) -> tuple[str, ...]:
    mark = "✓" if each.reached else "**missed**"
    return each.what, each.database, each.goal, in_unit(each.value, each.unit), mark, each.spread, each.how


def _beside(each: Figure) -> tuple[str, ...]:
    return each.what, each.database, in_unit(each.value, each.unit), each.spread, each.how


def machine() -> str:
    """In general words."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3
    return (
        f"{platform.system()}, {os.cpu_count()} cores, {memory:.0f} GB, "
        f"{platform.python_implementation()} {platform.python_version()}"
    )
