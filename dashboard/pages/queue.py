"""The review queue: letters that wait for a human's yes, and what a human can say to one of them."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from time import monotonic
from typing import Any
from urllib.parse import parse_qs, urlencode

from dashboard.frame import Answer, Asked, Door, Shown, Went, reading
from dashboard.marks import mark_of, word_of
from dashboard.pane import pane
from dashboard.refusals import refusal
from dashboard.sheet import WAITS, sheet
from dashboard.show import plural, when, zone_named
from engine import approve as yes
from engine.approve import Approved, Seen, Words
from engine.errors import Invalid, Issue, NotFound, Refused
from engine.evidence import look
from engine.model import NEVER, Draft
from engine.states import DraftState, HoldReason
from engine.store.queue import GLANCED, MOST, Beside, Place, Queue, Stretch, Which

#: Whoever says yes to thousands hears of it in between, and says so again.
_PATIENCE = 8.0
_LONGEST_NAME = 300
_FILTERS = ("batch", "sequence", "outcome")
_OUTCOMES = (
    HoldReason.APPROVAL,
    HoldReason.CHANGED,
    HoldReason.LATE,
    HoldReason.ANSWERED,
    HoldReason.UNVERIFIED,
    HoldReason.EXPIRED,
    HoldReason.RESTORED,
    HoldReason.INBOX_PAUSED,
    HoldReason.OUT_OF_OFFICE,
)
_STOPPED = "Everything is stopped: it leaves when somebody lets it go on."
_PACE = {
    "pause": "Their sequence waits until somebody resumes it.",
    "skip": "The sequence goes on without it.",
}


@dataclass(frozen=True, slots=True)
class _Complaint:
    """Why what was asked for did not happen, and what was typed: nobody types it twice."""

    said: str
    status: int
    typed: Mapping[str, str] = field(default_factory=dict)

    @property
    def stale(self) -> bool:
        return self.status == 409


# --- looking ---


def review(asked: Asked) -> Answer:
    """The queue, and the letter that is chosen in it, or its first."""
    return _queue(asked, _which(asked.query), asked.query.get("draft", ""))


def alike(asked: Asked) -> Answer:
    """Kinds of letters that could be said yes to at once."""
    with reading(asked) as ledger:
        batches = ledger.queue.batches()
    context = {"batches": [each for each in batches if each.number > 1], "most": GLANCED, "as_of": asked.now}
    return Shown("alike.html", context)


def draft(asked: Asked) -> Answer:
    """One letter, in whatever state it is."""
    return _alone(asked, asked.path["draft_id"])


def mail(asked: Asked) -> Answer:
    """What is more than text in it, behind glass."""
    with reading(asked) as ledger:
        found = ledger.drafts.get(asked.path["draft_id"])
    if found is None or found.html is None:
        raise NotFound("this letter is text alone")
    return pane(found.html)


def _queue(asked: Asked, which: Which, chosen: str, complaint: _Complaint | None = None) -> Shown:
    with reading(asked) as ledger:
        stretch = _part(ledger.queue, which, asked.query, chosen)
        number = ledger.queue.number()
        batch = ledger.queue.batch(which.batch) if which.batch else None
        next_hour = None if stretch.items else ledger.drafts.next_hour(after=asked.now)
        sequences = sorted(ledger.enrollments.sequences())
    shown = chosen or (stretch.items[0].id if stretch.items else "")
    context = {
        "stretch": stretch,
        "number": number,
        "most": MOST,
        "which": which,
        "batch": batch,
        "chosen": shown,
        "explicit": bool(chosen),
        "here_query": _query(which),
        "here_after": asked.query.get("after", "") if _there(shown, stretch) else "",
        "after": word_of(stretch.next),
        "before": word_of(stretch.previous),
        "outcomes": _OUTCOMES,
        "sequences": sequences,
        "next_hour": next_hour,
        **(_panel(asked, shown, which, complaint, _beside(shown, stretch)) if shown else {"sheet": None}),
    }
    if complaint is None:
        return Shown("queue.html", context)
    # whoever loads this page again looks at the letter, and sends nothing
    return Shown("queue.html", context, complaint.status, {"HX-Push-Url": _address(shown, which)})


def _part(queue: Queue, which: Which, query: Mapping[str, str], chosen: str) -> Stretch:
    """The list beside the letter: where it was, unless the letter does not stand there."""
    after, before = (_place(query.get(name, "")) for name in ("after", "before"))
    stretch = queue.page(which, after=after, before=before)
    if before and not stretch.items:
        stretch = queue.page(which)
    place = queue.place(chosen) if chosen and not _there(chosen, stretch) else None
    if place is None:
        return stretch
    previous = queue.page(which, before=place, at_most=1).items
    return queue.page(which, after=previous[0].place) if previous else queue.page(which)


def _there(draft_id: str, stretch: Stretch) -> bool:
    return any(each.id == draft_id for each in stretch.items)


def _beside(draft_id: str, stretch: Stretch) -> Beside | None:
    """Its neighbours, where the list shows both; None: somebody has to look for them."""
    names = [each.id for each in stretch.items]
    if draft_id not in names:
        return None
    at, last = names.index(draft_id), len(names) - 1
    if (at == 0 and stretch.previous) or (at == last and stretch.next):
        return None
    return Beside(previous=names[at - 1] if at else None, next=names[at + 1] if at < last else None)


def _alone(asked: Asked, draft_id: str, complaint: _Complaint | None = None) -> Shown:
    context = {"here_query": None, **_panel(asked, draft_id, None, complaint)}
    return Shown("draft.html", context, complaint.status if complaint else 200)


def _panel(
    asked: Asked,
    draft_id: str,
    which: Which | None,
    complaint: _Complaint | None,
    beside: Beside | None = None,
) -> dict[str, Any]:
    """Everything about one letter. Raises NotFound."""
    evidence = look(draft_id, store=asked.office.store, clock=asked.office.clock)
    waiting = evidence.draft
    with reading(asked) as ledger:
        beside = beside or ledger.queue.beside(draft_id, which)
        kind = ledger.queue.batch(waiting.alike) if waiting.alike and _calm(waiting) else None
    return {
        "sheet": sheet(evidence, asked, everything=asked.query.get("all") == "1"),
        "beside": beside,
        "kind": kind,
        "most": MOST,
        "as_of": asked.now,
        "complaint": complaint,
        "typed": complaint.typed if complaint else dict.fromkeys(_TYPED, ""),
        "waits": WAITS,
        "zones": list(dict.fromkeys((asked.zone, evidence.zone))),
        "earliest": asked.now.astimezone(asked.tz),
        "hour": _hour_of(evidence.leaves_at, asked),
        "never": NEVER,
    }


def _calm(waiting: Draft) -> bool:
    return waiting.rank == 0 and waiting.outcome == HoldReason.APPROVAL


def _hour_of(moment: datetime, asked: Asked) -> str:
    """As a field for an hour has it."""
    return f"{max(moment, asked.now + timedelta(minutes=5)).astimezone(asked.tz):%Y-%m-%dT%H:%M}"


# --- what stands in the address ---


def _which(query: Mapping[str, str]) -> Which:
    """Whatever else is asked for is nothing that we know."""
    said = {name: query[name][:_LONGEST_NAME] for name in _FILTERS if query.get(name)}
    if said.get("outcome") not in (None, *_OUTCOMES):
        said.pop("outcome")
    return Which(**said)


def _query(which: Which) -> str:
    """As it goes into a link, behind what stands there."""
    said = {name: value for name in _FILTERS if (value := getattr(which, name))}
    return urlencode(said)


def _place(word: str) -> Place | None:
    found = mark_of(word, int, int, str)
    return None if found is None else (int(found[0]), int(found[1]), str(found[2]))


def _came_from(asked: Asked) -> Which | None:
    """From the queue, and which part of it; None: from the letter's own page."""
    if not asked.said("queue"):
        return None
    said = parse_qs(asked.said("queue")[:2000], max_num_fields=20)
    return _which({name: values[0] for name, values in said.items()})


def _way_on(asked: Asked, draft_id: str, which: Which | None) -> str:
    """To the next letter; asked before this one leaves the queue."""
    if which is None:
        return f"/drafts/{draft_id}"
    with reading(asked) as ledger:
        beside = ledger.queue.beside(draft_id, which)
    return _address(beside.next or beside.previous, which)


def _address(draft_id: str | None, which: Which) -> str:
    """A letter in its queue; None: its first."""
    chosen = urlencode({"draft": draft_id}) if draft_id else ""
    query = "&".join(part for part in (chosen, _query(which)) if part)
    return f"/review?{query}" if query else "/review"


# --- saying something ---


@dataclass(frozen=True, slots=True)
class _Done:
    """What came of it, in a sentence."""

    said: str
    stays: bool = False  #: the same letter is looked at again


Deed = Callable[[Asked, str], _Done]


def _verb(deed: Deed) -> Callable[[Asked], Answer]:
    """One consequence, said on the next page; or why there was none, beside what is so now."""

    def handle(asked: Asked) -> Answer:
        draft_id, which = asked.path["draft_id"], _came_from(asked)
        onward = _way_on(asked, draft_id, which)
        try:
            done = deed(asked, draft_id)
        except NotFound:
            raise
        except Refused as error:
            told = refusal(error)
            complaint = _Complaint(
                _plainly(told.message, draft_id), told.status, {name: asked.said(name) for name in _TYPED}
            )
            if which is None:
                return _alone(asked, draft_id, complaint)
            return _queue(asked, which, draft_id, complaint)
        return Went(_address(draft_id, which) if done.stays and which else onward, done.said)

    return handle


def _plainly(said: str, draft_id: str) -> str:
    """It stands beside the letter that it speaks of."""
    said = said.replace(draft_id, "this letter")
    return said[:1].upper() + said[1:]


_TYPED = ("subject", "text", "why", "then", "at", "zone")


def _seen(asked: Asked) -> Seen:
    """What was on the page when they pressed the button."""
    head = asked.said("head")
    if not asked.said("content_sha"):
        raise Invalid(Issue((), "the form does not say what was looked at: load the page again"))
    return Seen(
        content_sha=asked.said("content_sha"),
        head=int(head) if head.isdecimal() and len(head) < 10 else None,
        sender_name=next(iter(asked.all("sender_name")), None),
        held_for=asked.said("held_for"),
    )


def _hands(asked: Asked) -> dict[str, Any]:
    return {"by": asked.reviewer, "store": asked.office.store, "clock": asked.office.clock}


def _leaves(at: datetime, asked: Asked) -> str:
    if asked.brake:
        return _STOPPED
    if at <= asked.now:
        return "It leaves at once."
    return f"It leaves {when(at, asked.zone)}."


def _approve(asked: Asked, draft_id: str) -> _Done:
    done = yes.approve(draft_id, seen=_seen(asked), **_hands(asked))
    return _Done(f"Approved. {_leaves(done.send_at, asked)}")


def _edit(asked: Asked, draft_id: str) -> _Done:
    words = Words(
        subject=asked.said("subject") if "subject" in asked.form else None,
        text=asked.said("text") if "text" in asked.form else None,
    )
    done = yes.edit(draft_id, words, yes=asked.said("yes") == "yes", seen=_seen(asked), **_hands(asked))
    if done.approved:
        return _Done(f"Saved and approved. {_leaves(done.send_at, asked)}")
    return _Done("Saved. It waits for a yes to the new words.", stays=True)


def _send_now(asked: Asked, draft_id: str) -> _Done:
    yes.send_now(draft_id, seen=_seen(asked), **_hands(asked))
    how = _STOPPED if asked.brake else "It leaves at once, as soon as the limits have room."
    return _Done(f"Approved. {how}")


def _reschedule(asked: Asked, draft_id: str) -> _Done:
    done = yes.reschedule(draft_id, _moment(asked), seen=_seen(asked), **_hands(asked))
    zone = asked.said("zone") or asked.zone
    waits = " It still waits for a yes." if _is_held(asked, draft_id) else ""
    return _Done(f"Its hour is {when(done.send_at, zone)} now.{waits}", stays=True)


def _is_held(asked: Asked, draft_id: str) -> bool:
    with reading(asked) as ledger:
        found = ledger.drafts.get(draft_id)
    return found is not None and found.state == DraftState.HELD


def _moment(asked: Asked) -> datetime:
    zone = zone_named(asked.said("zone") or asked.zone)
    try:
        local = datetime.fromisoformat(asked.said("at")[:32])
    except ValueError:
        raise Invalid(Issue(("at",), "that is no day and hour, like 2026-03-03T09:00")) from None
    at = local.replace(tzinfo=zone) if local.tzinfo is None else local
    if at <= asked.now:
        raise Invalid(
            Issue(("at",), f"{when(at, zone.key)} has passed already; it is {when(asked.now, zone.key)}")
        )
    return at


def _reject(asked: Asked, draft_id: str) -> _Done:
    then: Any = asked.said("then", "pause")
    if then not in ("pause", "skip", "stop"):
        raise Invalid(Issue(("then",), "pause, skip or stop"))
    if not asked.said("why").strip():
        raise Invalid(Issue(("why",), "say in a few words why: whoever wrote it wants to know"))
    done = yes.reject(draft_id, why=asked.said("why"), then=then, seen=_seen(asked), **_hands(asked))
    return _Done(f"Rejected. {_PACE.get(done.then, 'It never leaves, and nothing follows it.')}")


def _withdraw(asked: Asked, draft_id: str) -> _Done:
    yes.withdraw(draft_id, why=asked.said("why").strip() or None, seen=_seen(asked), **_hands(asked))
    return _Done("The yes is taken back. It waits for another one.")


def _submit(asked: Asked, draft_id: str) -> _Done:
    yes.submit(draft_id, **_hands(asked))
    return _Done("Submitted. It waits in the queue for somebody's yes.")


def approve_all(asked: Asked) -> Answer:
    """Those of one kind that were there when the page was shown, and have nothing odd."""
    name = asked.said("alike")[:_LONGEST_NAME]
    until, approved, at_once, left = monotonic() + _PATIENCE, 0, 0, Counter[str]()
    every = yes.approve_alike(name, as_of=_as_of(asked), **_hands(asked))
    for done in every:
        match done:
            case Approved():
                approved += 1
                at_once += done.send_at <= asked.now
            case _:
                left[_without_name(done.why, done.draft_id)] += 1
        if monotonic() > until:
            break
    over = monotonic() > until
    onward = "/review" if approved and not over else f"/review?{_query(Which(batch=name))}"
    hours = f" {_hours(at_once, asked)}" if approved else ""
    return Went(onward, _told(approved, hours, left, over=over), "good" if approved else "bad")


def _hours(at_once: int, asked: Asked) -> str:
    """When those leave that got their yes together."""
    if asked.brake:
        return "Everything is stopped: they leave when somebody lets it go on."
    return f"Each leaves at its own hour{f'; {at_once:,} at once' if at_once else ''}."


def _as_of(asked: Asked) -> datetime:
    """When the page was shown; nobody says yes to what comes after now."""
    try:
        at = datetime.fromisoformat(asked.said("as_of"))
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise Invalid(Issue(("as_of",), "the form does not say when it was shown: load the page again"))
    return min(at, asked.now)


def _without_name(why: str, draft_id: str) -> str:
    return why.replace(draft_id, "it")[:80]


def _told(approved: int, hours: str, left: Counter[str], *, over: bool) -> str:
    said = [f"{plural(approved, 'letter')} approved.{hours}"]
    if left:
        reasons = "; ".join(f"{number} because {why}" for why, number in islice(left.most_common(), 3))
        said.append(f"{plural(left.total(), 'letter')} left: {reasons}.")
    if over:
        said.append("There are more of them: say so again to go on.")
    elif not approved and not left:
        said.append("None of them waits any more as it was shown to you: look at those that are left.")
    return " ".join(said)


def _posts(name: str, path: str, deed: Deed) -> Door:
    return Door(
        method="POST",
        path="/drafts/{draft_id}/" + path,
        handler=_verb(deed),
        name=f"draft_{name}",
        role="reviewer",
    )


DOORS: tuple[Door, ...] = (
    Door(method="GET", path="/review", handler=review, name="review"),
    Door(method="GET", path="/review/alike", handler=alike, name="review_alike"),
    Door(
        method="POST",
        path="/review/approve-alike",
        handler=approve_all,
        name="review_approve",
        role="reviewer",
    ),
    Door(method="GET", path="/drafts/{draft_id}", handler=draft, name="draft"),
    Door(method="GET", path="/drafts/{draft_id}/mail", handler=mail, name="draft_mail"),
    _posts("approve", "approve", _approve),
    _posts("edit", "edit", _edit),
    _posts("send_now", "send-now", _send_now),
    _posts("reschedule", "reschedule", _reschedule),
    _posts("reject", "reject", _reject),
    _posts("withdraw", "withdraw", _withdraw),
    _posts("submit", "submit", _submit),
)
