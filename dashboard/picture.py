"""Days by inboxes as a picture: bars on each other, under the line of what may leave. Pure: loads in, places out."""

from collections.abc import Sequence
from dataclasses import dataclass

from dashboard.days import Day
from engine.store.agenda import Load

#: In the picture's own units.
COLUMN, LABEL, BARS, GAP = 64, 34, 56, 14
_ROW = LABEL + BARS + GAP
_BAR = 34
_KINDS = ("left", "planned", "held", "paused")  # from the ground up
_LEAST = 2.0  #: a single letter is seen beside a thousand


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One inbox over some days."""

    inbox_id: str
    loads: tuple[Load, ...]
    caps: tuple[int | None, ...]  #: how many may leave on each day; None: nobody has said so

    @property
    def letters(self) -> int:
        return sum(_height(load) for load in self.loads)

    @property
    def cells(self) -> list[tuple[Load, int | None]]:
        return list(zip(self.loads, self.caps, strict=True))


@dataclass(frozen=True, slots=True)
class Bar:
    """Letters of one kind on one day."""

    kind: str
    x: float
    y: float
    height: float
    width: float = _BAR


@dataclass(frozen=True, slots=True)
class Column:
    """One inbox on one day."""

    bars: tuple[Bar, ...]
    number: int
    x: float  #: its middle
    top: float  #: where its number stands
    left: float
    cap: int | None
    cap_y: float | None  #: None: too far above, or nobody has said so
    says: str  #: to whoever points at it


@dataclass(frozen=True, slots=True)
class Line:
    """One inbox in the picture."""

    inbox_id: str
    allowed: str  #: `at most 50 a day`; empty: nobody has said so
    y: float
    ground: float
    columns: tuple[Column, ...]


@dataclass(frozen=True, slots=True)
class Picture:
    """All of it."""

    width: int
    height: int
    lines: tuple[Line, ...]
    today: float | None  #: where the column of today begins

    @property
    def has_caps(self) -> bool:
        """Is any line drawn?"""
        return any(column.cap_y is not None for line in self.lines for column in line.columns)


def picture(rows: Sequence[Row], days: Sequence[Day]) -> Picture:
    scale = BARS / _highest(rows)
    lines = tuple(_line(row, number * _ROW, days, scale) for number, row in enumerate(rows))
    now = next((number * COLUMN for number, day in enumerate(days) if day.is_today), None)
    return Picture(len(days) * COLUMN, max(len(rows) * _ROW, 1), lines, now)


def _highest(rows: Sequence[Row]) -> int:
    """What reaches the top: the fullest day, and the lines above it that are not far above."""
    most = max((_height(load) for row in rows for load in row.loads), default=0)
    lines = [cap for row in rows for cap in row.caps if cap and cap <= max(2 * most, 1)]
    return max([most, *lines, 1])


def _line(row: Row, y: float, days: Sequence[Day], scale: float) -> Line:
    ground = y + LABEL + BARS
    columns = tuple(
        _column(load, cap, number * COLUMN, ground, scale, f"{row.inbox_id}, {day.name}")
        for number, (day, (load, cap)) in enumerate(zip(days, row.cells, strict=True))
    )
    return Line(row.inbox_id, _allowed(row.caps), y, ground, columns)


def _allowed(caps: Sequence[int | None]) -> str:
    """Over all the days: while an inbox is warmed up, they have more and more."""
    said = sorted({cap for cap in caps if cap})
    if not said:
        return ""
    least, most = said[0], said[-1]
    return f"at most {most:,} a day" if least == most else f"at most {least:,} to {most:,} a day"


def _column(load: Load, cap: int | None, left: float, ground: float, scale: float, where: str) -> Column:
    bars, top = [], ground
    for kind in _KINDS:
        if number := getattr(load, kind):
            height = max(number * scale, _LEAST)
            top -= height
            bars.append(Bar(kind, left + (COLUMN - _BAR) / 2, round(top, 1), round(height, 1)))
    line = ground - cap * scale if cap else None
    seen = line is not None and line >= ground - BARS - 1
    return Column(
        bars=tuple(bars),
        number=_height(load),
        x=left + COLUMN / 2,
        top=round(top - 4, 1),
        left=left,
        cap=cap,
        cap_y=round(line, 1) if seen and line is not None else None,
        says=f"{where}: {in_words(load, cap)}",
    )


def in_words(load: Load, cap: int | None) -> str:
    """`12 planned, 3 held, at most 50 a day`."""
    parts = [
        f"{getattr(load, kind):,} {kind}"
        for kind in ("left", "planned", "held", "paused")
        if getattr(load, kind)
    ]
    return ", ".join([*(parts or ["nothing"]), *([f"at most {cap:,} a day"] if cap else [])])


def _height(load: Load) -> int:
    return load.letters + load.paused
