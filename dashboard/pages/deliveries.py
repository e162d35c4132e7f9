"""Deliveries: what was told to us, and what came of it; what we told others, and whether they took it."""

from collections.abc import Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any, cast
from urllib.parse import quote, urlsplit

from dashboard.frame import Answer, Asked, Door, Shown, Went, reading
from dashboard.marks import mark_of, word_of
from dashboard.raw import peek
from dashboard.show import plural
from engine import calls, outbox, subscribers
from engine.errors import Invalid, NotFound, Refused, UnreadableEvent
from engine.events import AutoReply, Bounce, Complaint, Event, Incoming, Reply
from engine.store.heard import Receipt
from engine.store.inbound import MISSED, REFUSED
from engine.store.pages import Mark, Slice
from engine.store.subscribers import Subscriber
from engine.subscribers import KINDS, Change, Subscription

_AT_ONCE = 50

_CALLED: tuple[tuple[type[Event], str], ...] = (
    (AutoReply, "an automatic reply"),
    (Reply, "an answer"),
    (Bounce, "a bounce"),
    (Complaint, "a complaint"),
)
#: How a verdict begins, and what it looks like.
_LOOKS = {"stopped": "done", "held": "held", "unreadable": "failed", "hearing": "busy"}
_STATES = {"on": "on", "off": "off", "failing": "retrying"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """Something that was told to us."""

    receipt: Receipt
    kind: str
    whom: str  #: who said it, or whom it is about
    thread_id: str | None
    look: str
    verdict: str
    did: str
    href: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Somebody who is told. Of where they are, a host says enough: the rest may be a secret."""

    id: str
    host: str
    kinds: tuple[str, ...]
    places: tuple[str, ...]
    state: str
    look: str
    why_off: str | None
    failing_since: Any
    both_until: Any  #: until then the old secret signs as well
    waiting: int | None


# --- what was told to us ---


def heard(asked: Asked) -> Answer:
    after = cast("Mark | None", mark_of(asked.query.get("after", ""), int, str))
    with reading(asked) as ledger:
        page = ledger.heard.page_of(Slice(limit=_AT_ONCE, after=after))
        refused, missed = ledger.inbound.counted(REFUSED), ledger.inbound.counted(MISSED)
    context = {
        "lines": [_line(each, asked) for each in page.items],
        "refused": refused,
        "missed": missed,
        "last": page.items[0].received_at if page.items and after is None else None,
        "next": f"/deliveries?after={word_of(page.next)}" if page.next else None,
        "first": "/deliveries" if after else None,
        "secrets": asked.office.secrets,
    }
    return Shown("deliveries.html", context)


def _line(receipt: Receipt, asked: Asked) -> Line:
    event = _event(receipt, asked)
    verdict, _, did = receipt.verdict.partition(": ")
    return Line(
        receipt=receipt,
        kind=_kind(event, receipt),
        whom=_whom(event),
        thread_id=event.thread_id if event else None,
        look=_LOOKS.get(verdict, "quiet"),
        verdict=verdict,
        did=did,
        href=f"/deliveries/in/{quote(receipt.source, safe='')}/{quote(receipt.event_id, safe='')}",
    )


def _event(receipt: Receipt, asked: Asked) -> Event | None:
    """What it says, by the mailbox's own dialect. None: it cannot be read, or only at length."""
    if receipt.raw is None:
        return None
    try:
        return asked.office.read(receipt.raw, receipt.event_id)
    except UnreadableEvent:
        return None


def _kind(event: Event | None, receipt: Receipt) -> str:
    if event is not None:
        return next(words for kind, words in _CALLED if isinstance(event, kind))
    return "a long one" if receipt.raw is None else "something else"


def _whom(event: Event | None) -> str:
    match event:
        case Incoming(sender=sender):
            return sender or ""
        case Bounce(recipients=whom) | Complaint(recipients=whom):
            return ", ".join(whom[:3])
        case _:
            return ""


def raw(asked: Asked) -> Answer:
    """The bytes as they came, so far as they can be looked at."""
    with reading(asked) as ledger:
        receipt = ledger.heard.one(asked.path["source"], asked.path["event_id"])
    if receipt is None:
        raise NotFound("Nothing of that name was told to us.")
    context = {"line": _line(receipt, asked), "peek": peek(receipt.raw or b"")}
    return Shown("delivery_raw.html", context)


# --- what we told others ---


def told(asked: Asked) -> Answer:
    return _told(asked, {})


def _told(asked: Asked, filled: Mapping[str, Any], *, status: int = 200) -> Answer:
    after = cast("Mark | None", mark_of(asked.query.get("after", ""), str, str))
    chosen = asked.query.get("webhook", "")
    with reading(asked) as ledger:
        everybody = list(ledger.subscribers.everybody())
        page = ledger.outbox.page_of(Slice(limit=_AT_ONCE, after=after), chosen or None)
    waiting = _waiting(asked)
    here = f"/deliveries/out?webhook={quote(chosen, safe='')}" if chosen else "/deliveries/out"
    more = f"{here}{'&' if chosen else '?'}after={word_of(page.next)}" if page.next else None
    context = {
        "readers": [_reader(each, waiting.value, asked) for each in everybody],
        "as_of": waiting.as_of,
        "rows": [each | {"to": host(each["to"])} for each in page.items],
        "chosen": chosen,
        "next": more,
        "first": here if after else None,
        "kinds": KINDS,
        "filled": {"url": "", "kinds": (), "error": "", **filled},
        "can_call": asked.office.post is not None,
    }
    return Shown("deliveries_out.html", context, status)


def _waiting(asked: Asked) -> Any:
    def count() -> dict[str, int]:
        with reading(asked) as ledger:
            return ledger.outbox.waiting()

    return asked.office.counted.see("deliveries that wait", count)


def _reader(of: Subscriber, waiting: Mapping[str, int] | None, asked: Asked) -> Reader:
    state = "off" if not of.enabled else "on" if of.failing_since is None else "failing"
    return Reader(
        id=of.id,
        host=host(of.url),
        kinds=of.event_types,
        places=(*of.inbox_ids, *of.pod_ids, *(each for each in (of.inbox_id, of.pod_id) if each)),
        state=state,
        look=_STATES[state],
        why_off=of.why_off,
        failing_since=of.failing_since,
        both_until=of.old_until if len(of.keys(asked.now)) > 1 else None,
        waiting=None if waiting is None else waiting.get(of.id, 0),
    )


def host(url: str) -> str:
    """Without a name and a password before it."""
    try:
        return str(urlsplit(url).netloc.rpartition("@")[2])
    except ValueError:
        return ""


# --- what somebody does about it ---


def redeliver(asked: Asked) -> Answer:
    office, name = asked.office, asked.path["delivery_id"]
    back = _back(asked)
    try:
        again = outbox.redeliver(name, by=asked.member.email, store=office.store, clock=office.clock)
    except Refused as error:
        return Went(back, str(error).replace("First: relent webhook enable", "Switch it on first:"), "bad")
    words = "It is tried at once." if again == name else f"It is told once more, as {again}."
    return Went(back, words)


def _back(asked: Asked) -> str:
    chosen = asked.said("webhook")
    return f"/deliveries/out?webhook={quote(chosen, safe='')}" if chosen else "/deliveries/out"


def try_out(asked: Asked) -> Answer:
    """A sample, signed and posted as everything is; nothing of it is kept."""
    office = asked.office
    with reading(asked) as ledger:
        reader = ledger.subscribers.get(asked.path["webhook_id"])
    if reader is None:
        raise NotFound("There is no webhook of that name.")
    if office.post is None or office.render is None:
        raise Refused("Nobody is called from here.")
    began = monotonic()
    answer = outbox.try_out(reader, post=office.post, render=office.render, clock=office.clock)
    took = int((monotonic() - began) * 1000)
    words = f"{came_of(answer, host(reader.url))}, in {took:,} ms. The sample is not kept."
    return Went("/deliveries/out", words, "good" if answer.is_yes else "bad")


def came_of(answer: calls.Answer, where: str) -> str:
    """Nobody says that nobody answered."""
    if answer.status is not None:
        return f"{where} said: {answer}"
    said = answer.words.removeprefix("it cannot be reached: ") or "no answer"
    return f"It could not be reached: {said}" if where in said else f"{where} could not be reached: {said}"


def switch(asked: Asked) -> Answer:
    on = asked.said("on") == "yes"
    _change(asked, Change(enabled=on))
    words = (
        "It is told what happens from now on. What it missed is not told by itself: tell it once more below."
    )
    return Went("/deliveries/out", words if on else "It is told nothing more, until somebody switches it on.")


def _change(asked: Asked, wish: Change) -> None:
    office = asked.office
    subscribers.change(
        asked.path["webhook_id"], wish, by=asked.member.email, store=office.store, clock=office.clock
    )


def rotate(asked: Asked) -> Answer:
    """A new secret, shown once."""
    office = asked.office
    changed = subscribers.rotate(
        asked.path["webhook_id"], by=asked.member.email, store=office.store, clock=office.clock
    )
    return once(
        title="A new secret",
        secret=changed.secret,
        words=(
            f"Deliveries to {host(changed.url)} are signed with it from now on. Until the hour below the old one signs beside "
            "it, so whoever checks either believes us: put the new one there before then."
        ),
        until=changed.old_until,
        back="/deliveries/out",
    )


def once(*, title: str, secret: str, words: str, back: str, until: Any = None) -> Shown:
    """The only page that ever has it; nothing of it is kept, by us or by the browser."""
    return Shown(
        "shown_once.html", {"title": title, "secret": secret, "words": words, "until": until, "back": back}
    )


def add(asked: Asked) -> Answer:
    office, url, kinds = asked.office, asked.said("url").strip(), asked.all("kinds")
    try:
        new = subscribers.subscribe(
            Subscription(url=url, event_types=kinds),
            by=asked.member.email,
            judge=office.judge,
            store=office.store,
            clock=office.clock,
        )
    except Invalid as error:
        return _told(asked, {"url": url, "kinds": kinds, "error": _without_names(error)}, status=422)
    return once(
        title="Somebody more is told",
        secret=new.secret,
        words=f"{host(new.url)} hears of {plural(len(kinds), 'kind')} of events. It checks our signature with this secret.",
        back="/deliveries/out",
    )


def _without_names(error: Invalid) -> str:
    """The form's fields are seen: what they are called in a program is of no use here."""
    said = "; ".join(issue.message for issue in error.issues)
    return said[:1].upper() + said[1:]


def remove(asked: Asked) -> Answer:
    office = asked.office
    subscribers.unsubscribe(
        asked.path["webhook_id"], by=asked.member.email, store=office.store, clock=office.clock
    )
    return Went("/deliveries/out", "It hears nothing more. What it was told stays in the log for a month.")


DOORS = (
    Door("GET", "/deliveries", heard, name="deliveries"),
    Door("GET", "/deliveries/in/{source}/{event_id}", raw, name="deliveries.raw", role="admin"),
    Door("GET", "/deliveries/out", told, name="deliveries.out"),
    Door(
        "POST",
        "/deliveries/out/{delivery_id}/redeliver",
        redeliver,
        name="deliveries.redeliver",
        role="reviewer",
    ),
    Door("POST", "/deliveries/webhooks", add, name="deliveries.add", role="admin"),
    Door("POST", "/deliveries/webhooks/{webhook_id}/test", try_out, name="deliveries.test", role="reviewer"),
    Door("POST", "/deliveries/webhooks/{webhook_id}/switch", switch, name="deliveries.switch", role="admin"),
    Door("POST", "/deliveries/webhooks/{webhook_id}/rotate", rotate, name="deliveries.rotate", role="admin"),
    Door("POST", "/deliveries/webhooks/{webhook_id}/remove", remove, name="deliveries.remove", role="admin"),
)
