"""Story: are we still told? Letters leave, and nobody says anything; or what is said comes by another clock than ours.

Then the house brakes. But a stranger must not be able to stop it: whatever nobody has signed is counted and told, and that
is all. What comes by a wrong clock was signed with our secret; and since whoever overheard an event can post it again,
only those count that were never heard.
"""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from engine.events import Event
from engine.seams import Clock
from engine.settle import INSIDE
from engine.store import Ledger, Store

log = logging.getLogger("relent.vigil")

#: The sign that tells how it stands with webhooks.
SIGN = "webhooks"
#: How our reasons begin. What we have put on, a human takes off.
OURS = "watch: "

_BY = "the watch"
_HOUR = timedelta(hours=1)
_MANY = 20  #: in an hour, of those whom nobody believes
_REMEMBERED = 20


@dataclass(frozen=True, slots=True)
class Skewed:
    """Signed with our secret, and refused: its time is too far from ours."""

    event: Event
    seconds: int  #: how far; behind us if it is negative


@dataclass(frozen=True, slots=True, kw_only=True)
class Overheard:
    """What the door has noted since somebody last wrote it down."""

    believed_at: datetime | None = None
    doubts: Mapping[str, int] = field(default_factory=dict)
    skewed: Sequence[Skewed] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """When the house brakes by itself. None: never for that."""

    skewed: int | None = 3  #: so many in an hour
    silence: timedelta | None = None


def note(overheard: Overheard, *, store: Store, clock: Clock) -> None:
    """Write it down, and tell of it what a human should know."""
    with store.transaction(clock.now(), _BY) as ledger:
        before = ledger.watch.last(SIGN, to_change=True)
        said: dict[str, Any] = dict(before.says) if before else {"since": _iso(ledger.now)}
        if overheard.believed_at:
            said["heard_at"] = max(_iso(overheard.believed_at), said.get("heard_at", ""))
        _count(overheard.doubts, said, ledger.now)
        new = [each for each in overheard.skewed if not ledger.inbound.knows(each.event)]
        said["skewed"] = _latest(said.get("skewed", []), new, ledger.now)
        ledger.watch.sign(SIGN, **said)
    for each in new:
        log.warning(
            "the event %s was turned away: it is signed with our secret, and its clock is %s ours",
            each.event.id,
            _apart(each.seconds),
        )


def keep(rules: Rules, *, store: Store, clock: Clock) -> str | None:
    """Brake, if it is time for that. Returns why, if so."""
    with store.reading(clock.now()) as ledger:
        why = None if ledger.watch.braked() else _why(rules, ledger)
    if why is None:
        return None
    with store.transaction(clock.now(), _BY) as ledger:
        braked = ledger.watch.brake(why)
    if braked:
        log.error("nothing leaves any more: %s", why)
    return why if braked else None


def _why(rules: Rules, ledger: Ledger) -> str | None:
    """What was known when a human last released the brake is no reason to put it on again."""
    sign = ledger.watch.last(SIGN)
    if sign is None:
        return None
    released = ledger.watch.released_at()
    return _by_another_clock(rules, sign.says, released, ledger.now) or _silence(
        rules, sign.says, released, ledger
    )


def _by_another_clock(
    rules: Rules, said: Mapping[str, Any], released: datetime | None, now: datetime
) -> str | None:
    since = max(now - _HOUR, released or now - _HOUR)
    recent = {each["event"]: each["seconds"] for each in said.get("skewed", []) if each["at"] > _iso(since)}
    if rules.skewed is None or len(recent) < rules.skewed:
        return None
    seconds = sorted(recent.values())[len(recent) // 2]
    return (
        f"{OURS}{len(recent)} signed webhooks were turned away within an hour, their clock is {_apart(seconds)} ours. "
        "Set the clocks right, look for what was missed, then release the brake"
    )


def _silence(rules: Rules, said: Mapping[str, Any], released: datetime | None, ledger: Ledger) -> str | None:
    """Counted from the first letter that left after the last word: nobody answers what nobody wrote."""
    if rules.silence is None:
        return None
    told = [datetime.fromisoformat(said[name]) for name in ("since", "heard_at") if name in said]
    last_word = max([*told, *([released] if released else [])])
    first = ledger.watch.first_letter_after(last_word, but_not_by=INSIDE)
    if first is None or ledger.now - first <= rules.silence:
        return None
    return (
        f"{OURS}letters leave since {first:%d %b %H:%M} UTC, and no webhook has come since {last_word:%d %b %H:%M} UTC. "
        "Look at the provider's webhook and for what was missed, then release the brake"
    )


def _count(doubts: Mapping[str, int], said: dict[str, Any], now: datetime) -> None:
    """By the hour. That many are refused is told once in it."""
    hour = f"{now:%Y-%m-%dT%H}"
    if said.get("hour") != hour:
        said |= {"hour": hour, "doubts": {}, "told": False}
    counted = Counter(said["doubts"])
    counted.update(doubts)
    said["doubts"] = dict(counted)
    if counted.total() >= _MANY and not said["told"]:
        said["told"] = True
        log.warning("many webhooks are refused this hour: %s", in_words(counted))


def in_words(doubts: Mapping[str, int]) -> str:
    return ", ".join(f"{number:,} because {why}" for why, number in sorted(doubts.items()))


def _latest(known: Sequence[Mapping[str, Any]], new: Sequence[Skewed], now: datetime) -> list[Any]:
    """Each event once, however often it is tried."""
    entries = {each["event"]: each for each in known if each["at"] > _iso(now - _HOUR)}
    for each in new:
        entries.setdefault(each.event.id, {"event": each.event.id, "at": _iso(now), "seconds": each.seconds})
    return list(entries.values())[-_REMEMBERED:]


def _apart(seconds: int) -> str:
    minutes = max(abs(seconds) // 60, 1)
    return f"{minutes:,} min {'behind' if seconds < 0 else 'ahead of'}"


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds")
