"""The calendar: what is planned, day by inbox, against what may leave; the letters of a day, and another hour for them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from threading import BoundedSemaphore
from typing import Literal, get_args
from urllib.parse import urlencode

from dashboard.caps import Caps, caps
from dashboard.counted import Known
from dashboard.days import Day, day_named, days, instant_of, today, wall_of
from dashboard.frame import Answer, Asked, Door, Shown, Went, reading
from dashboard.marks import Mark, mark_of, word_of
from dashboard.origin import own_path
from dashboard.picture import Row, in_words, picture
from dashboard.show import when, zone_named
from engine.approve import Seen, reschedule
from engine.errors import Invalid, Issue, Refused
from engine.plan import zone_of
from engine.states import DraftState
from engine.store import Ledger
from engine.store.agenda import Entry, Hours, Load, What

_DAYS = 14
_MOST_ROWS = 20
_AT_ONCE = 40
_MOVABLE = {DraftState.SCHEDULED, DraftState.HELD}
#: What a mark of each list is made of: see engine/store/agenda.py.
_MARKS: dict[What, tuple[type, ...]] = {
    "planned": (int, int, str, str),
    "held": (int, str),
    "left": (str, int, str),
}

#: Whoever leafs through the years must not keep the database from sending letters.
_a_few_at_a_time = BoundedSemaphore(2)

Loads = dict[str, tuple[Load, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wish:
    """What the address asks for."""

    first: date
    inbox: str  #: a piece of its address
    day: date | None
    what: What | Literal[""]  #: empty: nobody has chosen among the lists of the day
    of: str  #: the letters of this inbox alone

    def href(self, **changed: object) -> str:
        """The same, but for this."""
        now = replace(self, **changed)  # type: ignore[arg-type]
        said = {"from": now.first, "inbox": now.inbox, "day": now.day, "of": now.of}
        said["what"] = now.what if now.day else ""
        return "/calendar?" + urlencode({name: value for name, value in said.items() if value})


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A letter of the chosen day, as it is shown."""

    entry: Entry
    zone: str | None  #: the reader's own; None: nobody knows it
    at: datetime  #: when it leaves, or left
    wall: str  #: that hour, as a form says it in the zone of whoever looks
    movable: bool


def look(asked: Asked) -> Answer:
    wish = _wish(asked)
    shown = days(wish.first, _DAYS, now=asked.now, zone=asked.tz)
    counted = _counted(asked, shown)
    loads = counted.value or {}
    counts = _counts(counted.value, wish, shown)
    wish = replace(wish, what=wish.what or _first(counts))
    wanted = [inbox for inbox in loads if wish.inbox in inbox]
    wanted.sort(key=lambda inbox: (-sum(each.letters + each.paused for each in loads[inbox]), inbox))
    with reading(asked) as ledger:
        allowed = caps(wanted[:_MOST_ROWS], shown, pools=asked.office.pools, ledger=ledger)
        context = {
            "overdue": ledger.agenda.overdue(asked.now),
            "braked": ledger.watch.braked(),
            "letters": _letters(asked, wish, ledger) if wish.day else None,
            "counts": counts,
        }
    rows = [
        Row(inbox_id=inbox, loads=loads[inbox], caps=allowed.by_inbox[inbox]) for inbox in wanted[:_MOST_ROWS]
    ]
    return Shown("calendar.html", context | _frame(asked, wish, shown, counted, wanted, rows, allowed))


def _frame(
    asked: Asked,
    wish: _Wish,
    shown: Sequence[Day],
    counted: Known[Loads],
    wanted: Sequence[str],
    rows: Sequence[Row],
    allowed: Caps,
) -> dict[str, object]:
    now = today(asked.now, asked.tz)
    weeks = timedelta(days=_DAYS)
    return {
        "wish": wish,
        "days": shown,
        "totals": [_total(counted.value, number) for number in range(len(shown))],
        "rows": rows,
        "picture": picture(rows, shown),
        "rules": allowed.rules,
        "more": max(len(wanted) - _MOST_ROWS, 0),
        "known": counted.value is not None,
        "as_of": counted.as_of,
        "in_words": in_words,
        "earlier": wish.href(first=wish.first - weeks, day=None) if wish.first.year > 1970 else None,
        "later": wish.href(first=wish.first + weeks, day=None) if wish.first.year < 8999 else None,
        "back_to_today": wish.href(first=now, day=None) if wish.first != now else None,
        "chosen": next((day for day in shown if day.date == wish.day), None),
    }


def _wish(asked: Asked) -> _Wish:
    """What cannot be read is not there: a link that somebody has shortened shows today."""
    query = asked.query
    what = query.get("what", "")
    now = today(asked.now, asked.tz)
    chosen = day_named(query.get("day", ""))
    first = day_named(query.get("from", "")) or now
    if chosen and not first <= chosen < first + timedelta(days=_DAYS):
        first = chosen
    return _Wish(
        first=first,
        inbox=query.get("inbox", "").strip().lower()[:200],
        day=chosen,
        what=what if what in get_args(What) else "",  # type: ignore[arg-type]
        of=query.get("of", "").strip().lower()[:320],
    )


def _counted(asked: Asked, shown: Sequence[Day]) -> Known[Loads]:
    edges = [shown[0].begin, *(day.end for day in shown)]
    store, clock = asked.office.store, asked.office.clock

    def count() -> Loads:
        with _a_few_at_a_time, store.reading(clock.now()) as ledger:
            return ledger.agenda.loads(edges)

    return asked.office.counted.see(f"calendar {edges[0]:%Y%m%d%H%M} {edges[-1]:%Y%m%d%H%M}", count)


def _total(loads: Loads | None, number: int) -> Load | None:
    if loads is None:
        return None
    of_all = [each[number] for each in loads.values()]
    return Load(
        **{
            kind: sum(getattr(each, kind) for each in of_all)
            for kind in ("planned", "paused", "held", "left")
        }
    )


# --- the letters of a day ---


def _counts(loads: Loads | None, wish: _Wish, shown: Sequence[Day]) -> dict[What, int] | None:
    """How long each list of the chosen day is. None: no day is chosen, or nobody has counted yet."""
    number = next((number for number, day in enumerate(shown) if day.date == wish.day), None)
    if loads is None or number is None:
        return None
    of_all = [loads[wish.of]] if wish.of in loads else [] if wish.of else list(loads.values())
    here = [each[number] for each in of_all]
    return {
        "planned": sum(each.planned + each.paused for each in here),
        "held": sum(each.held for each in here),
        "left": sum(each.left for each in here),
    }


def _first(counts: dict[What, int] | None) -> What:
    """The list that is opened when nobody has chosen one: the first that has something in it."""
    return next((what for what, number in (counts or {}).items() if number), "planned")


def _letters(asked: Asked, wish: _Wish, ledger: Ledger) -> dict[str, object]:
    [day] = days(wish.day or wish.first, 1, now=asked.now, zone=asked.tz)
    hours = Hours(begin=day.begin, end=day.end, inbox_id=wish.of or None)
    what = wish.what or "planned"
    kinds = (int, str) if what == "planned" and wish.of else _MARKS[what]
    after: Mark | None = mark_of(asked.query.get("after", ""), *kinds)
    found = ledger.agenda.letters(what, hours, limit=_AT_ONCE, after=after)
    onward = word_of(found.next)
    return {
        "items": [_letter(each, asked, ledger) for each in found.items],
        "next": f"{wish.href()}&after={onward}" if onward else None,
        "first": wish.href() if after else None,
    }


def _letter(entry: Entry, asked: Asked, ledger: Ledger) -> Letter:
    at = entry.gate_at if entry.gate_at and entry.state not in _MOVABLE else entry.send_at
    return Letter(
        entry=entry,
        zone=_zone(entry, ledger),
        at=at,
        wall=wall_of(max(at, asked.now), asked.tz),
        movable=entry.state in _MOVABLE,
    )


def _zone(entry: Entry, ledger: Ledger) -> str | None:
    if entry.version is None:
        return None
    try:
        return zone_of(ledger.enrollments.version(entry.version), entry.variables or {})
    except (Refused, ValueError):
        return None


# --- another hour ---


def move(asked: Asked) -> Answer:
    """The same form, whether somebody wrote the hour or drew the letter onto another day."""
    draft_id, sha = asked.said("draft"), asked.said("sha")
    if not draft_id:
        raise Invalid(Issue(("draft",), "say which letter"))
    zone = zone_named(asked.said("zone", asked.zone))
    moved = reschedule(
        draft_id,
        instant_of(asked.said("at"), zone),
        by=asked.reviewer,
        seen=Seen(content_sha=sha) if sha else None,
        store=asked.office.store,
        clock=asked.office.clock,
    )
    notice = f"Moved: it leaves on {when(moved.send_at, zone.key)}."
    return Went(own_path(asked.said("back"), "/calendar"), notice)


DOORS: tuple[Door, ...] = (
    Door(method="GET", path="/calendar", handler=look, name="calendar"),
    Door(method="POST", path="/calendar/move", handler=move, name="calendar.move", role="reviewer"),
)
