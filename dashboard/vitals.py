"""Rules: is the brake working, and what needs a human now. What they need is handed in; what they think stands on Today."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median
from typing import Any, Literal

from engine import canary, vigil
from engine.states import HoldReason
from engine.store import Brake
from engine.store.watch import Sign, drift, workers

Tone = Literal["good", "doubt", "bad", "quiet"]

#: A canary that flew longer ago says nothing of now.
_STALE = timedelta(hours=2)
#: A webhook heard longer ago proves nothing of now.
_LONG_SILENT = timedelta(days=1)
#: What took longer from their letter to the cancel is nothing to be content with.
_SLOW = timedelta(minutes=1)
#: Beyond this their clock is wrong, or the letter was told of much later: that measures nothing.
_LONGEST = timedelta(days=1)
_ROUND_ENDED = "ended_at"

_HER = "Or let a made-up reader answer now and then, and be timed: canary.every."

#: Why drafts wait for a human.
WAITS: Mapping[str, str] = {
    HoldReason.APPROVAL: "Waiting for a yes",
    HoldReason.CHANGED: "Changed since somebody said yes",
    HoldReason.ANSWERED: "Somebody has answered since",
    HoldReason.LATE: "Too late to leave without a word",
    HoldReason.RESTORED: "Perhaps left already, because the database was restored or copied",
    HoldReason.UNVERIFIED: "Answered, but nobody vouches for the answer",
    HoldReason.REJECTED: "Rejected, waiting for other words",
    HoldReason.EXPIRED: "No yes came in time",
    HoldReason.INBOX_PAUSED: "Their inbox is paused",
}


@dataclass(frozen=True, slots=True)
class Vital:
    """One thing by which it is known that the brake works."""

    name: str
    tone: Tone
    says: str
    at: datetime | None = None
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Task:
    """Something that only a human can do."""

    tone: Tone
    says: str
    to: str = ""  #: where it is done
    action: str = ""
    command: str = ""  #: or how


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancel:
    """A webhook that cancelled something: when it did, and when their letter says that it was written."""

    at: datetime
    written_at: datetime

    @property
    def seconds(self) -> float | None:
        """None: the two clocks cannot be compared."""
        took = self.at - self.written_at
        return took.total_seconds() if timedelta(0) <= took <= _LONGEST else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What was looked at."""

    now: datetime
    signs: Sequence[Sign]
    heard_at: datetime | None
    refused: int
    brake: Brake | None
    capture: bool
    canary: bool = True  #: she flies in this house
    left_since: bool = False  #: letters have left since a webhook was heard last
    cancels: Sequence[Cancel] = ()  #: the last ones, the latest first


# --- is the brake working? ---


def vitals(seen: Seen) -> list[Vital]:
    return [_heard(seen), _answered(seen), _drift(seen), _refused(seen), _hands(seen)]


def _heard(seen: Seen) -> Vital:
    name = "Last webhook heard"
    last = last_heard(seen.signs, seen.heard_at)
    if last is None:
        return Vital(name, "quiet", "none yet", hint="Your mailbox tells us of answers by webhooks.")
    if seen.left_since:
        return Vital(name, "quiet", "", at=last, hint="Letters have left since.")
    return Vital(name, "quiet" if seen.now - last > _LONG_SILENT else "good", "", at=last)


def last_heard(signs: Iterable[Sign], heard_at: datetime | None) -> datetime | None:
    """What is written down, or what was believed: the later of the two."""
    said = next((each.says.get("heard_at") for each in signs if each.name == vigil.SIGN), None)
    return max((each for each in (heard_at, _moment(said)) if each is not None), default=None)


def _answered(seen: Seen) -> Vital:
    """The canary: somebody made up answers, through our own door. Where none flew, by real letters."""
    name = "From a reply to the cancel"
    sign = next((each for each in seen.signs if each.name == canary.SIGN), None)
    if (not seen.canary or sign is None) and (real := _by_real_letters(seen)):
        return real
    if not seen.canary:
        return Vital(name, "quiet", "no answer has cancelled a letter yet", hint=_HER)
    if sign is None:
        return Vital(
            name, "quiet", "not measured yet", hint="A made-up reader answers now and then, and is timed."
        )
    if not sign.says.get("in_time"):
        return Vital(name, "bad", str(sign.says.get("why") or _seconds(sign.says.get("seconds"))), at=sign.at)
    tone: Tone = "doubt" if seen.now - sign.at > _STALE else "good"
    return Vital(name, tone, _seconds(sign.says.get("seconds")), at=sign.at, hint=_figures(sign.says))


def _by_real_letters(seen: Seen) -> Vital | None:
    """From the hour that their letter bears to the cancel: with the time that the mail took, and by two clocks."""
    timed = [(each.at, each.seconds) for each in seen.cancels if each.seconds is not None]
    if not timed:
        return None
    at, took = timed[0]
    tone: Tone = "good" if took <= _SLOW.total_seconds() else "doubt"
    all_of_them = [each for _, each in timed]
    hint = "By the hour that their letter bears, so the mail's own way is in it."
    if len(timed) > 1:
        half, slowest = _span(median(all_of_them)), _span(max(all_of_them))
        told = f"half within {half}, the slowest {slowest}" if half != slowest else f"each {half}"
        hint = f"Of the last {len(timed)}: {told}. {hint}"
    fresh = seen.now - at <= _LONG_SILENT
    return Vital("From their letter to the cancel", tone if fresh else "quiet", _span(took), at=at, hint=hint)


def _figures(says: Mapping[str, Any]) -> str:
    figures = [each for each in says.get("figures", ()) if isinstance(each, int | float)]
    if len(figures) < 2:
        return ""
    return f"Of the last {len(figures)}: half within {_seconds(median(figures))}, the slowest {_seconds(max(figures))}."


def _drift(seen: Seen) -> Vital:
    name = "Drift"
    said = _sign(seen, "drift")
    if _ROUND_ENDED not in said:
        return Vital(
            name, "quiet", "not looked for yet", hint="Whether anything is pending that should not be."
        )
    found = {kind: int(number) for kind, number in drift(seen.signs).items() if number}
    at = _moment(said[_ROUND_ENDED])
    if not found:
        return Vital(name, "good", "0", at=at, hint="Nothing is pending that should not be.")
    words = ", ".join(f"{number:,} {kind.replace('_', ' ')}" for kind, number in sorted(found.items()))
    return Vital(name, "bad", words, at=at, hint="relent doctor says what to do.")


def _refused(seen: Seen) -> Vital:
    """By strangers, or by a wrong clock: nothing of it was believed."""
    doubts = _sign(seen, vigil.SIGN)
    lately = doubts.get("hour") == f"{seen.now:%Y-%m-%dT%H}" and sum(doubts.get("doubts", {}).values())
    hint = f"This hour: {vigil.in_words(doubts['doubts'])}." if lately else "Nothing of them was believed."
    tone: Tone = "doubt" if lately else "quiet" if seen.refused else "good"
    return Vital("Webhooks refused", tone, f"{seen.refused:,}", hint=hint if seen.refused or lately else "")


def _hands(seen: Seen) -> Vital:
    there = workers(seen.signs, seen.now)
    if not there:
        return Vital(
            "Workers", "bad", "none was seen within half a minute", hint="Nothing leaves without one."
        )
    hosts = ", ".join(sorted({str(each.says.get("host", "?")) for each in there}))
    words = "1 at work" if len(there) == 1 else f"{len(there):,} at work"
    return Vital("Workers", "good", words, at=max(each.at for each in there), hint=hosts)


# --- what needs a human? ---


def tasks(
    seen: Seen,
    *,
    held: Mapping[str, int],
    uncertain: int,
    failed: int,
    late: int,
    switched_off: Iterable[Mapping[str, Any]],
) -> list[Task]:
    return [
        *_about_the_house(seen, late),
        *([_uncertain(uncertain)] if uncertain else []),
        *_about_drafts(held, failed),
        *(
            Task("doubt", f"A webhook of yours was switched off: {each['why_off']}", "/deliveries", "Look")
            for each in switched_off
        ),
    ]


def _about_the_house(seen: Seen, late: int) -> Iterator[Task]:
    if seen.brake is not None:
        yield Task(
            "bad", "Everything is stopped. When that is over, let it go on.", "/resume", "Let it go on…"
        )
    gone = not workers(seen.signs, seen.now)
    if gone:
        yield Task("bad", "Nobody is there to send.", command="relent serve")
    if late and not gone and seen.brake is None:
        yield Task(
            "doubt", f"{_letters(late)} should have left a minute ago or more.", command="relent doctor"
        )
    if any(drift(seen.signs).values()):
        yield Task("bad", "Something is pending that should not be.", command="relent doctor")


def _uncertain(number: int) -> Task:
    return Task(
        "doubt",
        f"{_letters(number)} may or may not have left: look into the mailbox.",
        "#uncertain",
        "Settle",
    )


def _about_drafts(held: Mapping[str, int], failed: int) -> Iterator[Task]:
    for reason, number in sorted(held.items(), key=lambda item: -item[1]):
        words = WAITS.get(reason) or (f"Held ({reason.replace('_', ' ')})" if reason else "Held")
        tone: Tone = "quiet" if reason == HoldReason.APPROVAL else "doubt"
        where = ("/people?state=paused", "Look") if reason == HoldReason.REJECTED else ("/review", "Review")
        yield Task(tone, f"{words}: {_letters(number)}.", *where)
    if failed:
        yield Task(
            "bad",
            f"{_letters(failed)} {'was' if failed == 1 else 'were'} refused for good.",
            command="relent drafts",
        )


# --- small words ---


def _letters(number: int) -> str:
    return "1 letter" if number == 1 else f"{number:,} letters"


def _sign(seen: Seen, name: str) -> Mapping[str, Any]:
    return next((each.says for each in seen.signs if each.name == name), {})


def _moment(said: object) -> datetime | None:
    return datetime.fromisoformat(said) if isinstance(said, str) and said else None


def _span(seconds: float) -> str:
    """Seconds while they are few. No clock is so exact that nothing at all would be a measurement."""
    if seconds < 0.01:
        return "under 0.01\u00a0s"
    if seconds < 120:
        return _seconds(seconds)
    minutes = round(seconds / 60)
    return f"{minutes}\u00a0min" if minutes < 120 else f"{round(seconds / 3600)}\u00a0h"


def _seconds(said: object) -> str:
    return f"{said:.2f}\u00a0s" if isinstance(said, int | float) else "not measured"
