"""A simulation as one page: nothing in it runs, nothing is loaded from elsewhere, and a phone can show it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from importlib.resources import files
from zoneinfo import ZoneInfo

from jinja2 import Environment, StrictUndefined, Template

from relent.simulation import Simulation, Span, spans

_HEIGHT, _WIDTH, _GAP = 160, 18, 4  #: of the bars, in the picture's own units
_MOST_COLUMNS = 12  #: inboxes beside each other; more are added up


@dataclass(frozen=True, slots=True)
class Bar:
    """A day or a week in the picture."""

    x: int
    first: float  #: heights
    follow_ups: float
    words: str  #: what a screen reader says, and a mouse finds


def calendar_page(found: Simulation) -> str:
    rows, zone = spans(found), ZoneInfo(found.zone)
    return _template().render(
        found=found,
        rows=rows,
        unit="week" if rows and rows[0].first_day != rows[0].last_day else "day",
        inboxes=found.inboxes if len(found.inboxes) <= _MOST_COLUMNS else [],
        bars=list(_bars(rows)),
        height=_HEIGHT,
        width=_WIDTH,
        picture_width=max(len(rows) * (_WIDTH + _GAP), 1),
        most=max((row.letters for row in rows), default=0),
        clock=lambda at: _clock(at, zone),
        percent=lambda share: "" if share is None else f"{100 * share:.3g}%",
        level=_level,
        number=lambda number: f"{number:,}",
    )


def _bars(rows: list[Span]) -> Iterator[Bar]:
    most = max((row.letters for row in rows), default=1)
    for number, row in enumerate(rows):
        words = f"{row.label}: {row.first:,} first letters, {row.follow_ups:,} follow-ups"
        scale = _HEIGHT / most
        yield Bar(
            number * (_WIDTH + _GAP), round(row.first * scale, 1), round(row.follow_ups * scale, 1), words
        )


def _clock(at: datetime, zone: ZoneInfo) -> str:
    return f"{at.astimezone(zone):%a %d %b %Y %H:%M} {zone.key}"


def _level(share: float | None) -> str:
    """How dark a cell is. Nobody has to tell colours apart: the number stands in it."""
    if share is None or share < 0.5:
        return ""
    return "full" if share >= 1 else "busy"


@lru_cache(maxsize=1)
def _template() -> Template:
    pages = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return pages.from_string(files("relent").joinpath("simulation.html").read_text("utf-8"))
