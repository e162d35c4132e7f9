"""Today: what is due, what was sent, who answered, what needs a human; and the brake, with its receipt."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from dashboard.counted import Known
from dashboard.frame import Answer, Asked, Door, Shown, Went, reading
from dashboard.pages.start import checklist
from dashboard.show import when
from dashboard.vitals import Cancel, Seen, last_heard, tasks, vitals
from engine import brake, recover, safe
from engine.errors import Forbidden, Invalid, Issue, Stale, UnreadableEvent
from engine.settle import INSIDE
from engine.states import HoldReason, StopReason
from engine.store import Brake, Ledger
from engine.store.glance import MOST
from engine.store.inbound import REFUSED

T = TypeVar("T")

_NEXT, _UNCERTAIN, _CANCELS = 8, 5, 5
_STANDING = ("due", "late", "uncertain")
#: How the brake begins that a human has put on; whoever may stop may let that one go.
_BY_HAND = "by hand: "


@dataclass(frozen=True, slots=True)
class Numeral:
    """One number of the day."""

    label: str
    value: int | None
    as_of: datetime | None = None
    href: str = ""
    hint: str = ""
    tone: str = ""

    @property
    def more(self) -> bool:
        return self.value is not None and self.value >= MOST


def today(asked: Asked) -> Answer:
    """htmx asks for the part that changes."""
    return Shown("today_day.html" if asked.partial else "today.html", _day(asked))


def _day(asked: Asked) -> Mapping[str, Any]:
    midnight = asked.now.astimezone(asked.tz).replace(hour=0, minute=0, second=0, microsecond=0)
    counts = _counts(asked, midnight)
    with reading(asked) as ledger:
        seen = _seen(asked, ledger)
        leaving = ledger.today.next_to_leave(_NEXT)
        uncertain = ledger.today.uncertain(_UNCERTAIN)
        switched_off = ledger.subscribers.switched_off()
        empty = not (leaving or ledger.today.furnished().person)
    standing = counts["standing"].value
    return {
        "midnight": midnight,
        "brake": seen.brake,
        "numerals": _numerals(counts),
        "vitals": vitals(seen),
        "tasks": tasks(
            seen,
            held=counts["held"].value or {},
            uncertain=standing.uncertain if standing else len(uncertain),
            failed=counts["failed"].value or 0,
            late=standing.late if standing else 0,
            switched_off=switched_off,
        ),
        "leaving": leaving,
        "uncertain": uncertain,
        "may_stop": asked.may("reviewer"),
        "steps": checklist(asked) if empty else (),
    }


def _seen(asked: Asked, ledger: Ledger) -> Seen:
    signs, heard_at = tuple(ledger.watch.signs()), ledger.today.heard_at()
    last = last_heard(signs, heard_at)
    left = last and ledger.watch.first_letter_after(last, but_not_by=INSIDE)
    return Seen(
        now=asked.now,
        signs=signs,
        heard_at=heard_at,
        refused=ledger.inbound.counted(REFUSED),
        brake=ledger.watch.braked(),
        capture=asked.office.mode == "capture",
        canary=("canary.every", "never") not in {(each.key, each.value) for each in asked.office.settings},
        left_since=left is not None,
        cancels=tuple(_cancels(asked, ledger)),
    )


def _cancels(asked: Asked, ledger: Ledger) -> Iterator[Cancel]:
    """Of those whose letter says when it was written."""
    for each in ledger.today.cancelling(_CANCELS):
        with suppress(UnreadableEvent):
            event = asked.office.read(each.raw, each.event_id)
            if event is not None and event.at is not None:
                yield Cancel(at=each.at, written_at=event.at)


def _counts(asked: Asked, midnight: datetime) -> Mapping[str, Known[Any]]:
    """What may take long, all at once."""
    day = midnight.isoformat()
    found = asked.office.counted.see_all(
        {
            "standing": _look(asked, lambda ledger: ledger.glance.standing()),
            "held": _look(asked, lambda ledger: ledger.today.held()),
            "failed": _look(asked, lambda ledger: ledger.today.failed()),
            f"sent {day}": _look(asked, lambda ledger: ledger.today.sent(midnight)),
            f"stopped {day}": _look(asked, lambda ledger: ledger.today.stopped(midnight)),
        }
    )
    return {name.partition(" ")[0]: known for name, known in found.items()}


def _look(asked: Asked, at: Callable[[Ledger], T]) -> Callable[[], T]:
    def look() -> T:
        with reading(asked) as ledger:
            return at(ledger)

    return look


def _numerals(counts: Mapping[str, Known[Any]]) -> list[Numeral]:
    standing, held, stopped, sent = (counts[name] for name in ("standing", "held", "stopped", "sent"))
    due, late, uncertain = (
        None if standing.value is None else getattr(standing.value, name) for name in _STANDING
    )
    waiting = None if held.value is None else _asked_for_a_yes(held.value)
    answered, bounced = (_of(stopped.value, reason) for reason in (StopReason.REPLIED, StopReason.BOUNCED))
    return [
        Numeral("Due now", due, standing.as_of, hint="their hour has come"),
        Numeral("Held", waiting, held.as_of, "/review", "for a yes"),
        Numeral("Sent today", sent.value, sent.as_of),
        Numeral(
            "Answered today",
            answered,
            stopped.as_of,
            hint="and get nothing more",
            tone="good" if answered else "",
        ),
        Numeral("Bounced today", bounced, stopped.as_of, tone="doubt" if bounced else ""),
        Numeral("Late", late, standing.as_of, hint="a minute or more", tone="bad" if late else ""),
        Numeral(
            "Uncertain", uncertain, standing.as_of, hint="perhaps left", tone="doubt" if uncertain else ""
        ),
    ]


def _asked_for_a_yes(held: Mapping[str, int]) -> int:
    """As many as the review shows: what somebody said no to waits there for nobody."""
    return sum(number for reason, number in held.items() if reason != HoldReason.REJECTED)


def _of(stopped: Mapping[str, int] | None, reason: StopReason) -> int | None:
    return None if stopped is None else stopped.get(reason, 0)


# --- stop everything, and let it go on ---


def before_the_stop(asked: Asked) -> Answer:
    with reading(asked) as ledger:
        return Shown("stop.html", {"brake": ledger.watch.braked()})


def stop(asked: Asked) -> Answer:
    """At once: whoever needs this has no time for a question. Nothing is lost by it."""
    office = asked.office
    receipt = brake.stop_everything(
        by=asked.reviewer.id, store=office.store, clock=office.clock, gate_deadline=office.pace.gate_deadline
    )
    with reading(asked) as ledger:
        now = ledger.watch.braked()
    return Shown("stopped.html", {"receipt": receipt, "brake": now})


def before_the_release(asked: Asked) -> Answer:
    """What will leave, and what will not."""
    counts: Mapping[str, Known[Any]] = asked.office.counted.see_all(
        {
            "standing": _look(asked, lambda ledger: ledger.glance.standing()),
            "held": _look(asked, lambda ledger: ledger.today.held()),
            "scheduled": _look(asked, lambda ledger: ledger.today.scheduled()),
        }
    )
    with reading(asked) as ledger:
        on, doubt = ledger.watch.braked(), ledger.lineage.doubt()
    held = counts["held"].value or {}
    return Shown(
        "resume.html",
        {
            "brake": on,
            "doubt": doubt,
            "standing": counts["standing"].value,
            "scheduled": counts["scheduled"].value,
            "late": held.get("late", 0),
            "restored": held.get("restored", 0),
            "most": MOST,
            "may_release": on is None or _may_release(asked, on),
        },
    )


def resume(asked: Asked) -> Answer:
    """Of the brake that was looked at, and of no other that somebody has put on meanwhile."""
    with reading(asked) as ledger:
        on = ledger.watch.braked()
    if on is None:
        return Went("/", "Nobody stood on the brake: letters leave at their hours.")
    if asked.said("why") != on.why:
        raise Stale(
            f"the brake is on for another reason than the one you looked at, since {when(on.since, asked.zone)}: "
            f"{on.why}. It is still on"
        )
    if not _may_release(asked, on):
        raise Forbidden("this brake was not put on by hand: an admin looks at why, and lets everything go on")
    office = asked.office
    released = safe.resume(office.witness, by=asked.reviewer.id, store=office.store, clock=office.clock)
    return Shown("resumed.html", {"released": released})


def _may_release(asked: Asked, on: Brake) -> bool:
    return asked.may("admin" if not on.why.startswith(_BY_HAND) else "reviewer")


# --- what may have left ---


def settle(asked: Asked) -> Answer:
    """They have looked into the mailbox."""
    said = asked.said("left")
    if said not in {"yes", "no"}:
        raise Invalid(Issue(("left",), 'did it leave? Say "yes" or "no"'))
    draft_id = asked.path["draft_id"]
    office = asked.office
    recover.settle_doubt(
        draft_id, left=said == "yes", by=asked.reviewer.id, store=office.store, clock=office.clock
    )
    words = "Noted: it left." if said == "yes" else "Noted: it did not leave. It is sent at its next hour."
    return Went("/", words)


DOORS = (
    Door(method="GET", path="/", handler=today, name="today"),
    Door(method="GET", path="/stop", handler=before_the_stop, name="stop", role="reviewer"),
    Door(method="POST", path="/stop", handler=stop, name="stop", role="reviewer"),
    Door(method="GET", path="/resume", handler=before_the_release, name="resume", role="reviewer"),
    Door(method="POST", path="/resume", handler=resume, name="resume", role="reviewer"),
    Door(method="POST", path="/uncertain/{draft_id}", handler=settle, name="today", role="reviewer"),
)
