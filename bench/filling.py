"""A mailbox as it is after years: some drafts are made by the house itself, and the database copies them."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from bench.copying import copy, look_around
from engine.ready import letter_of
from engine.settle import departed
from engine.states import DraftState, HoldReason, StopReason
from engine.store import Ledger, Store
from engine.wish import Author, Wish, draft_of

#: One has most of the drafts; the other has few, and none of them was touched for years.
BUSY, OLD = "sam@acme.example", "archive@acme.example"
#: Many bear the first, a fiftieth the second. Those that bear the third have all had their end, but for a few.
COMMON, RARE, OVER = "outreach", "lighthouse", "winter"

AUTHOR = Author(id="bench")
_INBOXES = {BUSY: 0.7, "kim@acme.example": 0.2, "lou@acme.example": 0.08, "eva@acme.example": 0.02}
_FATES = {
    DraftState.WRITTEN: 0.58,
    DraftState.SENT: 0.2,
    DraftState.SCHEDULED: 0.1,
    DraftState.CANCELLED: 0.06,
    DraftState.FAILED: 0.04,
    DraftState.HELD: 0.02,
}
_LABELS: dict[tuple[str, ...], float] = {(): 0.8, (COMMON,): 0.18, (COMMON, RARE): 0.02}
_MOST_PATTERNS, _FEW = 1_000, 80
#: With fewer there are not all kinds of them.
FEWEST = 50
_APART = timedelta(seconds=30)
_ENDED = {DraftState.SENT, DraftState.CANCELLED}
_WORDS = (
    "I have looked at what you wrote, and there is one thing that I would like to know before Friday. " * 4
)


@dataclass(frozen=True, slots=True)
class Middle:
    """Before it as many drafts were changed as after it."""

    everywhere: datetime
    of_the_old: datetime

    def of(self, inbox_id: str | None) -> datetime:
        return self.of_the_old if inbox_id == OLD else self.everywhere


@dataclass(frozen=True, slots=True)
class _Kind:
    """What is to be made."""

    inbox_id: str
    fate: DraftState
    labels: tuple[str, ...]


def fill(store: Store, drafts: int) -> Middle:
    """With so many drafts, and a few more that are old."""
    patterns = min(_MOST_PATTERNS, max(drafts // 10, FEWEST))
    copies, few = drafts // patterns - 1, min(_FEW, drafts // 10)
    end = datetime.now(UTC) - timedelta(hours=1)
    long_ago = end - timedelta(days=1_500)
    _make(store, _kinds(patterns), end)
    copy(store, copies, patterns * _APART)
    _make(store, [replace(kind, inbox_id=OLD) for kind in _kinds(few)], long_ago)
    _make(store, [_Kind(BUSY, DraftState.WRITTEN, (OVER,))] * few, long_ago)
    look_around(store)
    return Middle(end - (copies + 1) * patterns * _APART / 2, long_ago - few * _APART / 2)


# --- made by the house ---


def _kinds(number: int) -> list[_Kind]:
    """The shares are kept, whatever the number; who bears which label is chance, and the same in every run."""
    chance = random.Random(4)
    dealt = []
    for shares in (_INBOXES, _FATES, _LABELS):
        cards = [what for what, share in shares.items() for _ in range(max(1, round(share * number)))]
        chance.shuffle(cards)
        dealt.append((cards * 2)[:number])
    kinds = [_Kind(*each) for each in zip(*dealt, strict=True)]
    return [replace(kind, labels=(*kind.labels, OVER)) if kind.fate in _ENDED else kind for kind in kinds]


def _make(store: Store, kinds: Sequence[_Kind], end: datetime) -> None:
    """One every half minute, all in one transaction."""
    with store.database.begin() as db:
        for number, kind in enumerate(kinds):
            ledger = Ledger(db, end - (len(kinds) - number) * _APART, AUTHOR.id)
            ledger.threads.open_inbox(kind.inbox_id)
            _make_one(kind, number, ledger)


def _make_one(kind: _Kind, number: int, ledger: Ledger) -> None:
    wish = Wish(
        inbox_id=kind.inbox_id,
        to=(f"p{number}@firm{number // 3}.example",),
        subject=f"A question to firm {number // 3}",
        text=_WORDS,
        labels=kind.labels,
        client_id=f"order-{ledger.now:%Y%m%d%H%M%S}" if number % 2 else None,
        send_at=None if kind.fate == DraftState.WRITTEN else ledger.now + timedelta(days=30),
    )
    new = draft_of(wish, by=AUTHOR, ledger=ledger)
    if kind.fate in (DraftState.SENT, DraftState.FAILED):
        lease = ledger.now + timedelta(minutes=5)
        new = replace(
            new, state=DraftState.CLAIMED, send_at=ledger.now, claim_token="bench", lease_until=lease
        )
    ledger.written.make(new)
    match kind.fate:
        case DraftState.SENT:
            ledger.drafts.pass_gate(new)
            departed(new, letter_of(new, ledger), "", ledger=ledger)
        case DraftState.FAILED:
            ledger.drafts.give_up(new, "550 no such mailbox")
        case DraftState.CANCELLED:
            ledger.drafts.cancel([new.id], StopReason.BY_HAND)
        case DraftState.HELD:
            ledger.drafts.hold(new, HoldReason.ANSWERED, send_at=new.send_at, until=None)
