"""Story: it goes now. A letter is born in our hands, or taken into them, and carried like any other.

From the commit that makes it on, whoever asks hears a yes, or a no for good: told "later" or "our fault" they would ask
once more, and there would be two letters.
"""

import hashlib
import logging
import secrets
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from threading import Event

from sqlalchemy.exc import SQLAlchemyError

from engine import owner
from engine.carry import Hands, carry
from engine.errors import Busy, Invalid, Issue, NotFound, Rejected, Unprocessable
from engine.model import Draft, Pace, content_sha
from engine.ready import rejected, unwanted
from engine.seams import Clock, Mailbox
from engine.settle import CalledOff, GaveUp, Outcome
from engine.states import REWORDABLE, DraftState, HoldReason
from engine.store import Ledger, Store
from engine.wish import (
    NEEDS_REVIEW,
    Author,
    Wish,
    approved,
    conversations_of,
    draft_of,
    only_a_human,
    placed,
    referred_to,
    still_for,
    still_here,
)

log = logging.getLogger("relent.post")

#: A mailbox to carry one letter; None: all of them are busy, and the worker will do it.
Lend = Callable[[], AbstractContextManager[Mailbox | None]]

#: It does not leave, unless somebody says so once more.
_STAYS = frozenset({DraftState.WRITTEN, DraftState.HELD, DraftState.FAILED, DraftState.CANCELLED})

#: What a refusal begins with, when it is the inbox that is closed.
PAUSED = "inbox_paused"
_MEMORY = timedelta(hours=24)
_FORGOTTEN_AT_ONCE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Posted:
    """It has left, or it is on its way and leaves by itself."""

    message_id: str
    thread_id: str
    draft_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A name under which something is asked for once, and what was asked for."""

    name: str
    request: str

    @property
    def sha(self) -> str:
        return hashlib.sha256(self.request.encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Counter:
    """What a letter is posted with."""

    store: Store
    clock: Clock
    pace: Pace
    lend: Lend
    #: what a letter, by its inbox and its name, says to inboxes of ours is heard there
    arrive: Callable[[str, str], object] = lambda inbox_id, message_id: None
    carried: Callable[[Outcome], object] = lambda outcome: None  #: whoever counts letters is told of each


class _AskedBefore(Exception):
    """A twin was faster: nothing of ours is kept."""


def post(wish: Wish, *, key: Key | None, by: Author, counter: Counter) -> Posted:
    """Raises Rejected when it will not be carried, and Invalid, NotFound, Unprocessable before anything is kept."""
    try:
        with counter.store.transaction(counter.clock.now(), by.id) as ledger:
            if known := _asked_before(key, ledger):
                return _as_before(known)
            if NEEDS_REVIEW in wish.labels:
                raise Invalid(Issue(("labels",), f"what is {NEEDS_REVIEW} is no letter yet: make it a draft"))
            draft = draft_of(wish, by=by, ledger=ledger)
            _sendable(draft, ledger)
            born = _claimed(draft, counter.pace, ledger)
            ledger.written.make(born)
            still_here(born, ledger)
            _reserve(key, born, ledger)
    except _AskedBefore:
        return _again(key, counter)
    outcome = _carry(born, counter)
    if isinstance(outcome, GaveUp | CalledOff):  # nobody kept it as a draft, so it does not stay as one
        with suppress(SQLAlchemyError), counter.store.transaction(counter.clock.now(), by.id) as ledger:
            ledger.threads.lock([born.thread_id])
            ledger.drafts.cancel([born.id], outcome.why)
    return _told(born, outcome, counter)


def take(
    draft_id: str,
    *,
    add_labels: tuple[str, ...] = (),
    remove_labels: frozenset[str] = frozenset(),
    key: Key | None,
    by: Author,
    counter: Counter,
) -> Posted:
    """A draft leaves now, whatever hour it had."""
    try:
        with counter.store.transaction(counter.clock.now(), by.id) as ledger:
            if known := _asked_before(key, ledger):
                return _as_before(known)
            draft, locked = _to_be_taken(draft_id, ledger)
            labels = dict.fromkeys((*draft.labels, *add_labels))
            wanted = replace(
                placed(draft, locked, ledger),
                labels=tuple(each for each in labels if each not in remove_labels),
            )
            _sendable(wanted, ledger)
            _unreviewed(draft, wanted)
            said_yes = wanted if only_a_human(draft) else approved(wanted, by)
            taken = _take(draft, said_yes, by, counter.pace, ledger)
            _reserve(key, taken, ledger)
    except _AskedBefore:
        return _again(key, counter)
    return _told(taken, _carry(taken, counter), counter)


def _sendable(draft: Draft, ledger: Ledger) -> None:
    """Asked again when it leaves; but here a no costs nothing, and the key may be used once more."""
    if not draft.everybody:
        raise Unprocessable("there is nobody to send it to: name at least one address in to, cc or bcc")
    inbox = ledger.inboxes.get(draft.inbox_id)
    if inbox is None:
        raise NotFound(f"there is no inbox {draft.inbox_id}")
    if inbox.paused:
        raise Rejected(f"{draft.inbox_id} is paused: nothing leaves it", PAUSED)
    if found := unwanted(draft.inbox_id, draft.everybody, ledger):
        raise Rejected(rejected(found))


def _unreviewed(draft: Draft, wanted: Draft) -> None:
    """What waits for a human's yes does not leave by its author's word. Raises Busy."""
    asked = only_a_human(draft) or only_a_human(wanted)
    if asked and draft.approved_sha != content_sha(wanted):
        raise Busy(
            f"{draft.id} waits for a human's yes: /v1/drafts/{draft.id}, the dashboard, or relent approve"
        )


def _claimed(draft: Draft, pace: Pace, ledger: Ledger) -> Draft:
    return replace(
        draft,
        state=DraftState.CLAIMED,
        send_at=ledger.now,
        attempt=1,
        claim_token=secrets.token_hex(16),
        claim_owner=owner.me(),
        lease_until=ledger.now + pace.lease,
    )


def _to_be_taken(draft_id: str, ledger: Ledger) -> tuple[Draft, set[str]]:
    """With its conversations locked, and what it refers to still there."""
    seen = ledger.drafts.get(draft_id)
    if seen is None:
        raise NotFound(f"there is no draft {draft_id}")
    locked = conversations_of(seen, ledger)
    ledger.threads.lock(locked)
    ledger.drafts.lock([draft_id])
    draft = ledger.drafts.get(draft_id) or seen
    if draft.state == DraftState.SENT:
        raise NotFound(f"{draft_id} has left: it is message {draft.message_id} of thread {draft.thread_id}")
    if draft.state == DraftState.CANCELLED:
        raise NotFound(f"{draft_id} was called back: {draft.outcome}")
    if draft.enrollment_id is not None:
        raise Busy(
            f"{draft_id} is a letter of a sequence: it leaves at its hour, or when `relent approve` says so"
        )
    if draft.state not in REWORDABLE:
        raise Busy(f"{draft_id} is leaving at this moment, or may have left")
    if still_for(draft) == HoldReason.RESTORED:
        raise Busy(
            f"{draft_id} may have left before the database was restored: look for it, then `relent approve {draft_id}`"
        )
    for name in () if draft.unplaced else (draft.in_reply_to, draft.forward_of):
        if name is not None:
            referred_to(draft.inbox_id, name, ledger)
    return draft, locked


def _take(draft: Draft, wanted: Draft, by: Author, pace: Pace, ledger: Ledger) -> Draft:
    if wanted != draft and not ledger.written.rewrite(draft, wanted):
        raise Busy(f"{draft.id} was changed by somebody else meanwhile")
    taken = ledger.written.take(
        wanted, token=secrets.token_hex(16), owner=owner.me(), lease=pace.lease, by=by.id
    )
    if taken is None:
        raise Busy(f"{draft.id} was changed by somebody else meanwhile")
    return taken


def _carry(draft: Draft, counter: Counter) -> Outcome | None:
    """None: nobody had a hand free, and it is due."""
    with counter.lend() as mailbox:
        if mailbox is not None:
            outcome = carry(draft, Hands(counter.store, mailbox, counter.clock, counter.pace, _SOON))
            counter.carried(outcome)
            _arrive(draft, counter)
            return outcome
    # unless the database is away; then its lease ends by itself
    with suppress(SQLAlchemyError), counter.store.transaction(counter.clock.now(), "post") as ledger:
        ledger.drafts.put_back(draft, send_at=draft.send_at, why="every line out is busy", failed=False)
    return None


def _arrive(draft: Draft, counter: Counter) -> None:
    """Before anybody hears that it left, whoever it stops is stopped. If it cannot be now, the worker sees to it."""
    try:
        counter.arrive(draft.inbox_id, draft.message_id)
    except Exception:
        log.exception("what was sent to an inbox of ours arrives later")


def _settled() -> Event:
    event = Event()
    event.set()
    return event


#: Somebody waits for an answer: a database that is away is not waited for as long as a worker would.
_SOON = _settled()


def _told(draft: Draft, outcome: Outcome | None, counter: Counter) -> Posted:
    match outcome:
        case GaveUp(why=why):
            raise _refusal(why)
        case CalledOff(why=why) if not _goes_on(draft, counter):
            raise Rejected(why)
        case _:
            return _yes(draft)


def _yes(draft: Draft) -> Posted:
    return Posted(message_id=draft.message_id, thread_id=draft.thread_id, draft_id=draft.id)


def _goes_on(draft: Draft, counter: Counter) -> bool:
    """It was too slow in our hands, and others have it by now: a no would be one more letter."""
    with suppress(SQLAlchemyError), counter.store.reading(counter.clock.now()) as ledger:
        current = ledger.drafts.get(draft.id)
        return current is not None and current.state not in _STAYS
    return False


def _refusal(why: str) -> Rejected:
    return Rejected(why, PAUSED if why.startswith(PAUSED) else "message_rejected")


# --- asked for once ---


def forget_keys(*, store: Store, clock: Clock) -> None:
    """What was asked for long ago may be asked for again; some of it at a time."""
    with store.transaction(clock.now(), "post") as ledger:
        ledger.written.forget_keys(ledger.now - _MEMORY, _FORGOTTEN_AT_ONCE)


def _asked_before(key: Key | None, ledger: Ledger) -> Draft | None:
    known = ledger.written.reserved(key.name) if key else None
    if key is None or known is None:
        return None
    if known.request_sha != key.sha:
        raise Busy("this Idempotency-Key was used for something else: take a new one")
    return ledger.drafts.get(known.draft_id)


def _reserve(key: Key | None, draft: Draft, ledger: Ledger) -> None:
    if key and not ledger.written.reserve(key.name, key.sha, draft.id):
        raise _AskedBefore


def _again(key: Key | None, counter: Counter) -> Posted:
    with counter.store.reading(counter.clock.now()) as ledger:
        known = _asked_before(key, ledger)
    if known is None:
        raise Busy("the same is just being asked for by somebody else")
    return _as_before(known)


def _as_before(draft: Draft) -> Posted:
    """The ids are fixed at birth, so the answer never changes."""
    match draft.state:
        case DraftState.CLAIMED | DraftState.RELEASING:
            raise Busy("the first request under this key is still under way")
        case state if state in _STAYS:
            raise _refusal(draft.outcome or "it was called back")
        case _:
            return _yes(draft)
