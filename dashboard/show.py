"""How a page is said: the templates, and what they need to speak of moments, numbers and states."""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from jinja2 import Environment, PackageLoader, StrictUndefined

_STYLES = (
    "base",
    "today",
    "entrance",
    "queue",
    "calendar",
    "people",
    "threads",
    "sequences",
    "deliveries",
    "suppressions",
    "settings",
    "mail",
)
_SCRIPTS = ("htmx.min", "relent", "queue", "calendar")

#: What a state looks like. The shape stands beside the word: nobody has to tell colours apart.
_SHAPES = {"good": "✓", "wait": "◷", "busy": "◐", "bad": "✕", "doubt": "▲", "quiet": "○"}
_LOOKS = {
    "good": "sent active finished approved auto_approved delivered yes open replied meeting heard on done",
    "wait": "held scheduled pending submitted unsubmitted due waiting draft written invited",
    "busy": "claimed releasing sending",
    "bad": "failed rejected bounced complained disabled revoked late off missing",
    "doubt": "uncertain paused expired restored changed unverified answered refused retrying",
}
_LOOK = {word: look for look, words in _LOOKS.items() for word in words.split()}

#: A state in the words of the people who look at it.
_WORDS = {
    "claimed": "leaving",
    "releasing": "leaving",
    "uncertain": "perhaps left",
    "auto_approved": "approved by rule",
    "written": "being written",
}
#: They turn round the direction of what follows: in a name nobody needs them, and whoever reads is deceived.
_TURNS = dict.fromkeys((*range(0x202A, 0x202F), *range(0x2066, 0x206A)), "\N{REPLACEMENT CHARACTER}")
_STEPS = ((60, 1, "second"), (3600, 60, "minute"), (86_400, 3600, "hour"), (30 * 86_400, 86_400, "day"))


def render(template: str, context: Mapping[str, Any]) -> str:
    return environment().get_template(template).render(context)


@cache
def environment() -> Environment:
    """Everything is escaped, and a name that nobody gave is an error and no empty place."""
    pages = Environment(
        loader=PackageLoader("dashboard"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pages.filters |= {
        "when": when,
        "clock": clock_time,
        "day": day,
        "iso": iso,
        "ago": ago,
        "plural": plural,
        "short": short,
        "harmless": harmless,
        "number": number,
        "look": look,
        "shape": shape,
        "word": word,
        "percent": percent,
    }
    pages.globals |= {"static": static, "styles": _there("css", _STYLES), "scripts": _there("js", _SCRIPTS)}
    return pages


# --- moments ---


def zone_named(name: str) -> ZoneInfo:
    """A cookie is a stranger's word: what is no zone is UTC."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo("UTC")


def when(moment: datetime, zone: str = "UTC") -> str:
    """`Sat 21 Nov 2026, 22:04 Europe/Oslo`."""
    return f"{moment.astimezone(zone_named(zone)):%a %-d %b %Y, %H:%M} {zone_named(zone).key}"


def clock_time(moment: datetime, zone: str = "UTC") -> str:
    """`22:04`. Whoever shows it says the zone elsewhere."""
    return f"{moment.astimezone(zone_named(zone)):%H:%M}"


def day(moment: datetime, zone: str = "UTC") -> str:
    return f"{moment.astimezone(zone_named(zone)):%a %-d %b}"


def iso(moment: datetime) -> str:
    """For `<time datetime>`."""
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def ago(moment: datetime, now: datetime) -> str:
    """`3 minutes ago`, `in 2 hours`, `now`."""
    seconds = (moment - now).total_seconds()
    distance = abs(seconds)
    if distance < 5:
        return "now"
    unit, name = next(((unit, name) for limit, unit, name in _STEPS if distance < limit), (86_400, "day"))
    words = plural(int(distance // unit), name)
    return f"in {words}" if seconds > 0 else f"{words} ago"


# --- numbers and words ---


def number(value: float) -> str:
    return f"{value:,}"


def plural(count: int, one: str, many: str | None = None) -> str:
    """`1 letter`, `1,204 letters`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def percent(share: float | None) -> str:
    return "\N{EN DASH}" if share is None else f"{100 * share:.3g} %"


def short(text: str, most: int = 80) -> str:
    """One line of it, and not all of a long one."""
    line = harmless(" ".join(text[: 4 * most].split()))
    return line if len(line) <= most else line[: most - 1].rstrip() + "…"


def harmless(text: str) -> str:
    """A name turns no line round: the signs for it are seen, and not obeyed. The words of a mail stay as they are."""
    return str(text).translate(_TURNS)


def look(state: str) -> str:
    return _LOOK.get(str(state), "quiet")


def shape(state: str) -> str:
    return _SHAPES[look(state)]


def word(state: str) -> str:
    return _WORDS.get(str(state), str(state).replace("_", " "))


# --- what a browser fetches once ---


@cache
def static(name: str) -> str:
    """Where it is fetched: another content has another address, so that it may be kept for ever."""
    content = files("dashboard").joinpath("static", *name.split("/")).read_bytes()
    return f"/static/{name}?v={sha256(content).hexdigest()[:12]}"


def _there(kind: str, names: tuple[str, ...]) -> tuple[str, ...]:
    folder = files("dashboard").joinpath("static", kind)
    return tuple(f"{kind}/{name}.{kind}" for name in names if folder.joinpath(f"{name}.{kind}").is_file())
