"""Story: what happened is told to whoever asked for it, until they say yes; and once more, when somebody asks."""

from base64 import b64decode
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from threading import Lock
from time import monotonic

from engine.calls import LEASE, WAITS, Answer, Call, Post, Rests, wait_after
from engine.errors import NotFound, Refused
from engine.ids import new_id
from engine.model import Message
from engine.seams import Clock
from engine.store import Ledger, Store
from engine.store.letters import Conversation
from engine.store.outbox import Delivery, Telling, conversation_then
from engine.store.subscribers import Subscriber
from engine.subscribers import DELETED, SWITCHED_OFF
from engine.trail import about, span

#: Whoever has not said yes for so long is switched off.
PATIENCE = timedelta(days=5)
#: What everybody has heard is remembered for so long.
MEMORY = timedelta(days=30)

_HANDS = 4
_AT_ONCE = 50
_SWIFT_MS = 1000
_FORGOTTEN_AT_ONCE = 500

#: The bytes that say it: the same ones, however often they are asked for.
Render = Callable[[Telling, Message | None, Conversation | None], bytes]


# --- what became of it ---


@dataclass(frozen=True, slots=True)
class Told:
    """They said yes."""

    delivery_id: str
    what: str


@dataclass(frozen=True, slots=True)
class ToldLater:
    """Not now."""

    delivery_id: str
    why: str
    at: datetime


@dataclass(frozen=True, slots=True)
class NotTold:
    """Tried as often as agreed, or there is nobody to be told any more."""

    delivery_id: str
    why: str


@dataclass(frozen=True, slots=True)
class SwitchedOff:
    """Nobody said yes there for days: it is told nothing more, until somebody switches it on."""

    webhook_id: str
    why: str


@dataclass(frozen=True, slots=True)
class NotOurs:
    """Somebody else wrote down what became of it, or called it off."""

    delivery_id: str


Outcome = Told | ToldLater | NotTold | SwitchedOff | NotOurs


# --- whose turn it is ---


class Turns:
    """Who is told at this moment, by the hands of this process. Whoever does not answer holds up nobody else.

    One delivery at a time to each; several, but never all hands, to who said yes at once the last time. Those who are
    failing share half of the hands, however many they are.
    """

    def __init__(self, hands: int = _HANDS) -> None:
        self._most = max(1, hands - 1)
        self._most_failing = max(1, hands // 2)
        self._lock = Lock()
        self._choosing = Lock()
        self._told: Counter[str] = Counter()
        self._failing: set[str] = set()
        self._swift: set[str] = set()
        self.rests = Rests()

    def choosing(self) -> AbstractContextManager[object]:
        """One pair of hands chooses at a time: so each sees what the others have taken."""
        return self._choosing

    def busy(self) -> list[str]:
        """They get nothing more for now."""
        with self._lock:
            return [
                each
                for each, number in self._told.items()
                if number >= (self._most if each in self._swift else 1)
            ]

    def are_short(self) -> bool:
        """What hands are left is for those who are well."""
        with self._lock:
            return sum(self._told[each] for each in self._failing) >= self._most_failing

    def begin(self, subscriber: Subscriber) -> None:
        with self._lock:
            self._told[subscriber.id] += 1
            if subscriber.failing_since is not None:
                self._failing.add(subscriber.id)

    def end(self, subscriber_id: str) -> None:
        with self._lock:
            self._told[subscriber_id] -= 1
            if self._told[subscriber_id] <= 0:
                del self._told[subscriber_id]
                self._failing.discard(subscriber_id)

    def note(self, taken: Delivery, answer: Answer, took_ms: int, now: datetime) -> None:
        # by subscriber, not by host: two of them at one host need not be one machine
        self.rests.note(taken.webhook_id, taken.id, answer, now)
        with self._lock:
            if answer.is_yes and took_ms < _SWIFT_MS:
                self._swift.add(taken.webhook_id)
            else:
                self._swift.discard(taken.webhook_id)


# --- what is due ---


def tell_next(
    *,
    store: Store,
    clock: Clock,
    post: Post,
    render: Render,
    turns: Turns,
    waits: Sequence[timedelta] = WAITS,
) -> list[Outcome]:
    """One delivery that is due, and what can be said of others without any trouble. Nothing: nothing is due."""
    with turns.choosing():
        with store.reading(clock.now()) as ledger:
            if not ledger.outbox.has_any_due(but_not=turns.busy(), only_well=turns.are_short()):
                return []
        with store.transaction(clock.now(), "outbox") as ledger:
            taken, outcomes = _take(ledger, turns, waits)
        if taken is None:
            return outcomes
        turns.begin(taken.reader)
    try:
        with about(delivery_id=taken.delivery.id, event_id=taken.delivery.telling_id), span("telling"):
            return [*outcomes, *_deliver(taken, post, render, turns, waits, store=store, clock=clock)]
    finally:
        turns.end(taken.reader.id)


@dataclass(frozen=True, slots=True)
class _Taken:
    """In our hands, and for whom."""

    delivery: Delivery
    reader: Subscriber


def _take(ledger: Ledger, turns: Turns, waits: Sequence[timedelta]) -> tuple[_Taken | None, list[Outcome]]:
    """For so long as a call can take, and then it is due again."""
    outcomes: list[Outcome] = []
    readers: dict[str, Subscriber | None] = {}
    for each in ledger.outbox.due(_AT_ONCE, but_not=turns.busy(), only_well=turns.are_short()):
        if each.webhook_id not in readers:
            readers[each.webhook_id] = ledger.subscribers.get(each.webhook_id)
        reader = readers[each.webhook_id]
        if reader is None or not reader.enabled:
            outcomes.append(_call_off(each, DELETED if reader is None else SWITCHED_OFF, ledger))
        elif each.tries > len(waits):  # it has never come back: whoever tries it dies of it
            outcomes.append(_call_off(each, "nobody came back to say what became of it", ledger))
        elif silent := turns.rests.why_not(each.webhook_id, each.id, ledger.now):
            why = Answer(None, f"counted as tried: {silent}")
            outcomes.append(_failed(each, each.tries + 1, why, 0, ledger, waits))
        elif taken := ledger.outbox.take(each, until=ledger.now + LEASE):
            return _Taken(taken, reader), outcomes
    return None, outcomes


def _deliver(
    taken: _Taken,
    post: Post,
    render: Render,
    turns: Turns,
    waits: Sequence[timedelta],
    *,
    store: Store,
    clock: Clock,
) -> list[Outcome]:
    """Whoever dies between the post and the note repeats it: the same id tells the other side so."""
    with store.reading(clock.now()) as ledger:
        body = _said(ledger.outbox.telling(taken.delivery.telling_id), render, ledger)
    call, began = _call(taken.delivery.id, taken.reader, body, clock.now()), monotonic()
    answer = post(call, clock.now())
    took_ms = int((monotonic() - began) * 1000)
    turns.note(taken.delivery, answer, took_ms, clock.now())
    with store.transaction(clock.now(), "outbox") as ledger:
        if answer.is_yes:
            return [_accepted(taken.delivery, answer, took_ms, ledger)]
        # the subscriber before the delivery: two hands that take them in another order wait for each other
        reader = ledger.subscribers.lock(taken.reader.id)
        failed = _failed(taken.delivery, taken.delivery.tries, answer, took_ms, ledger, waits)
        return [failed, *_lose_patience(reader, answer, ledger)]


def _said(told: Telling, render: Render, ledger: Ledger) -> bytes:
    """From what never changes, and from what was noted then: so that it is the same at every try."""
    letter = ledger.outbox.letter_of(told) if told.message_id else None
    if letter and (labels := told.says.get("labels")) is not None:
        letter = replace(letter, labels=tuple(labels), updated_at=None)
    return render(told, letter, conversation_then(told))


def _call(delivery_id: str, reader: Subscriber, body: bytes, now: datetime) -> Call:
    keys = tuple(b64decode(key.removeprefix("whsec_")) for key in reader.keys(now))
    return Call(id=delivery_id, url=reader.url, body=body, secrets=keys, headers=reader.headers)


def _accepted(taken: Delivery, answer: Answer, took_ms: int, ledger: Ledger) -> Outcome:
    ledger.subscribers.said_yes(taken.webhook_id)
    if not ledger.outbox.end(taken, str(answer), status=answer.status, tries=taken.tries):
        return NotOurs(taken.id)
    ledger.outbox.note(taken, taken.tries, answer, took_ms)
    return Told(taken.id, str(answer))


def _failed(
    due: Delivery, tries: int, answer: Answer, took_ms: int, ledger: Ledger, waits: Sequence[timedelta]
) -> Outcome:
    wait = wait_after(tries, due.id, waits)
    if wait is None:
        why = f"failed: {answer}"
        mine = ledger.outbox.end(due, why, status=answer.status, tries=tries)
        outcome: Outcome = NotTold(due.id, why)
    else:
        again = ledger.now + wait
        mine = ledger.outbox.postpone(due, again, str(answer), status=answer.status, tries=tries)
        outcome = ToldLater(due.id, str(answer), again)
    if not mine:
        return NotOurs(due.id)
    ledger.outbox.note(due, tries, answer, took_ms)
    return outcome


def _call_off(due: Delivery, why: str, ledger: Ledger) -> Outcome:
    ended = ledger.outbox.end(due, why, status=due.status, tries=due.tries)
    return NotTold(due.id, why) if ended else NotOurs(due.id)


def _lose_patience(reader: Subscriber | None, answer: Answer, ledger: Ledger) -> list[Outcome]:
    """Whoever says no, to everything and for days, is not there any more."""
    if reader is None or not reader.enabled:
        return []
    since = ledger.subscribers.said_no(reader)
    if ledger.now - since < PATIENCE:
        return []
    why = f"it has taken nothing since {since:%d %b %Y %H:%M} UTC; at last: {answer}"
    ledger.subscribers.switch_off(reader, why)
    ledger.outbox.end_all(reader.id, SWITCHED_OFF)
    return [SwitchedOff(reader.id, why)]


def forget(*, store: Store, clock: Clock) -> int:
    """What was told long ago, and to everybody who wanted to know: some of it at a time."""
    with store.transaction(clock.now(), "outbox") as ledger:
        return ledger.outbox.forget(ledger.now - MEMORY, _FORGOTTEN_AT_ONCE)


# --- a human's part ---


def redeliver(delivery_id: str, *, by: str, store: Store, clock: Clock) -> str:
    """The same event, told once more, under an id of its own; what waits for its next try is tried at once.

    Raises NotFound, or Refused when there is nobody to be told.
    """
    with store.transaction(clock.now(), by) as ledger:
        if (old := ledger.outbox.delivery(delivery_id)) is None:
            raise NotFound(f"There is no delivery {delivery_id}.")
        reader = ledger.subscribers.get(old.webhook_id)
        if reader is None:
            raise Refused(f"The webhook {old.webhook_id} was deleted: nobody is there to be told.")
        if not reader.enabled:
            raise Refused(
                f"The webhook {reader.id} is switched off. First: relent webhook enable {reader.id}"
            )
        if old.ended_at is None and ledger.outbox.hasten(old):
            return old.id
        if (again := ledger.outbox.again(old)) is None:
            raise NotFound(f"What {delivery_id} said is forgotten by now.")
        return again


def try_out(reader: Subscriber, *, post: Post, render: Render, clock: Clock) -> Answer:
    """A sample, signed and posted as everything is; nothing of it is kept. What they said is the answer."""
    now = clock.now()
    body = render(*_sample(now))
    return post(_call(new_id("msg", now), reader, body, now), now)


def _sample(now: datetime) -> tuple[Telling, Message, Conversation]:
    """A letter that nobody wrote, to an inbox that nobody has."""
    inbox, sender, subject = "test@relent.example", "somebody@relent.example", "A test"
    thread_id = new_id("thr", now)
    message_id = f"<{new_id('test', now)}@relent.example>"
    letter = Message(
        inbox_id=inbox,
        thread_id=thread_id,
        message_id=message_id,
        direction="received",
        sender=sender,
        to=(inbox,),
        subject=subject,
        text="This is what `relent webhook test` says. Nobody wrote it.",
        timestamp=now,
        labels=("received", "unread"),
        size=57,
    )
    shown = Conversation(
        id=thread_id,
        inbox_id=inbox,
        subject=subject,
        last_at=now,
        received_at=now,
        last_message_id=message_id,
        message_count=1,
        size=letter.size,
        created_at=now,
        updated_at=now,
        senders=(sender,),
        recipients=(inbox,),
        labels=letter.labels,
    )
    told = Telling(
        id=new_id("evt", now),
        kind="message.received",
        inbox_id=inbox,
        thread_id=thread_id,
        message_id=message_id,
        draft_id=None,
        says={},
        at=now,
    )
    return told, letter, shown
