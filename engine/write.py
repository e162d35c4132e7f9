"""Story: somebody writes a letter by hand, changes it, gives it an hour, throws it away."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from time import monotonic, sleep
from typing import Any, Literal

from engine.addresses import contact
from engine.errors import Busy, NotFound
from engine.model import NEVER, Attachment, Draft, Enclosure, content_sha
from engine.seams import Clock
from engine.states import REWORDABLE, DraftState, HoldReason, StopReason
from engine.store import Ledger, Reach, Store
from engine.store.written import Filed
from engine.wish import (
    Author,
    Wish,
    approved,
    check_files,
    check_readers,
    conversations_of,
    draft_of,
    for_review,
    hour,
    keep_files,
    may_schedule,
    only_a_human,
    placed,
    still_for,
    still_here,
)

_PATIENCE, _POLL = timedelta(seconds=2), 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What becomes different. What is not named stays."""

    words: Mapping[str, Any] = field(default_factory=dict)  #: fields of a draft, by name
    to: tuple[str, ...] | None = None
    send_at: datetime | Literal["as it is"] | None = "as it is"  #: None: no hour any more
    add_files: tuple[Enclosure, ...] = ()
    remove_files: frozenset[str] = frozenset()
    add_labels: tuple[str, ...] = ()
    remove_labels: frozenset[str] = frozenset()


def write(wish: Wish, *, by: Author, store: Store, clock: Clock) -> Filed:
    """Under a name that was given before, what was written then: also what has left, or was thrown away."""
    with store.transaction(clock.now(), by.id) as ledger:
        if known := _written_before(wish, ledger):
            return known
        draft = draft_of(wish, by=by, ledger=ledger)
        if ledger.written.make(draft):
            still_here(draft, ledger)
            return _filed(draft.id, ledger)
        raced = _written_before(wish, ledger)
    if raced is None:
        raise Busy("somebody is writing under the same name just now")
    return raced


def update(draft_id: str, change: Change, *, by: Author, store: Store, clock: Clock) -> Filed:
    """One winner: whoever changes what is leaving, or was changed meanwhile, is told so."""
    with store.transaction(clock.now(), by.id) as ledger:
        files = keep_files(change.add_files, ledger)
        draft, locked = _in_hand(draft_id, ledger)
        if draft.enrollment_id is not None:
            raise Busy(
                f"{draft_id} is a letter of a sequence: `relent stop` stops it, an edit of the sequence changes it"
            )
        if draft.state not in REWORDABLE:
            raise Busy(_why_not(draft))
        changed = _changed(draft, change, files, ledger)
        if isinstance(change.send_at, datetime):
            changed = placed(changed, locked, ledger)
        if changed != draft:
            changed = _with_a_yes(draft, changed, by)
        asks = _asks(draft, changed, change)
        if asks:
            changed = _for_eyes(changed, locked, ledger)
        if not asks and (draft.state == DraftState.SCHEDULED or isinstance(change.send_at, datetime)):
            may_schedule(by)
        if changed != draft and not ledger.written.rewrite(draft, changed):
            raise Busy(f"{draft_id} was changed by somebody else meanwhile")
        if asks:
            _submit(changed, change, ledger)
        else:
            _redate(changed, change, by, ledger)
        return _filed(draft_id, ledger)


def discard(draft_id: str, *, by: str, store: Store, clock: Clock) -> None:
    """It never leaves. Raises Busy if it is leaving at this moment, and NotFound if it has left."""
    with store.transaction(clock.now(), by) as ledger:
        draft, _ = _in_hand(draft_id, ledger)
        if draft.enrollment_id is not None:
            ledger.call_back(Reach(threads=(draft.thread_id,)), StopReason.BY_HAND)
        ledger.drafts.cancel([draft_id], StopReason.BY_HAND)
        leaving = ledger.drafts.recall([draft_id], StopReason.BY_HAND)
        ledger.threads.untag_ended(draft_id)
    if leaving:
        _wait_for(draft_id, store=store, clock=clock)


def _written_before(wish: Wish, ledger: Ledger) -> Filed | None:
    return ledger.written.called(wish.inbox_id, wish.client_id) if wish.client_id else None


def _filed(draft_id: str, ledger: Ledger) -> Filed:
    found = ledger.written.get(draft_id)
    if found is None:
        raise NotFound(f"there is no draft {draft_id}")
    return found


def _in_hand(draft_id: str, ledger: Ledger) -> tuple[Draft, set[str]]:
    """With its conversations and itself locked; as it is once they are."""
    seen = _filed(draft_id, ledger).draft
    locked = conversations_of(seen, ledger)
    ledger.threads.lock(locked)
    ledger.drafts.lock([draft_id])
    draft = _filed(draft_id, ledger).draft
    if draft.state in (DraftState.SENT, DraftState.CANCELLED):
        raise NotFound(f"{draft_id} is {draft.state}")
    return draft, locked


def _why_not(draft: Draft) -> str:
    if draft.state == DraftState.UNCERTAIN:
        return f"{draft.id} may have left, nobody can say: look for it among what was sent"
    return f"{draft.id} is leaving at this moment"


def _changed(draft: Draft, change: Change, files: tuple[Attachment, ...], ledger: Ledger) -> Draft:
    words = dict(change.words)
    if change.to is not None:
        words |= {"to": change.to[0] if change.to else "", "also_to": change.to[1:]}
    labels = dict.fromkeys((*draft.labels, *change.add_labels))
    kept = tuple(each for each in draft.attachments if each.id not in change.remove_files)
    new = replace(
        draft,
        **words,
        labels=tuple(label for label in labels if label not in change.remove_labels),
        attachments=(*kept, *files),
    )
    check_readers(new)
    check_files(new)
    if new.kind == "plain" and (new.to, new.subject) != (draft.to, draft.subject):
        ledger.threads.readdress(draft.thread_id, contact(new.to), new.subject)
    return new


def _with_a_yes(was: Draft, draft: Draft, by: Author) -> Draft:
    """What its author wants looked at gets nobody's yes by being changed; what it has, it keeps with the same words."""
    if not only_a_human(draft):
        return approved(draft, by)
    same = only_a_human(was) and content_sha(draft) == was.content_sha
    return draft if same else for_review(draft)


def _for_eyes(draft: Draft, locked: set[str], ledger: Ledger) -> Draft:
    """Whoever says yes must see what it answers, so that is looked for now."""
    found = placed(draft, locked, ledger)
    return draft if found == draft else for_review(found)


def _asks(was: Draft, draft: Draft, change: Change) -> bool:
    """Is it for somebody's eyes now? It was said so just now, it says something else, or it gets an hour."""
    if not only_a_human(draft):
        return False
    if not only_a_human(was):
        return True
    if was.state == DraftState.WRITTEN:
        return isinstance(change.send_at, datetime)
    return draft.approved_sha != draft.content_sha and change.send_at is not None


def _submit(draft: Draft, change: Change, ledger: Ledger) -> None:
    if isinstance(change.send_at, datetime):
        send_at = hour(change.send_at, ledger.now)
    else:
        send_at = draft.send_at if draft.has_an_hour else ledger.now
    if not ledger.drafts.ask(draft, still_for(draft), send_at=send_at):
        raise Busy(f"{draft.id} was changed by somebody else meanwhile")


def _redate(draft: Draft, change: Change, by: Author, ledger: Ledger) -> None:
    match change.send_at:
        case datetime() if draft.state == DraftState.HELD:
            raise Busy(
                f"{draft.id} is held ({draft.outcome}): send it, or take its hour away first (send_at: null)"
            )
        case datetime() as send_at:
            done = ledger.written.schedule(draft, hour(send_at, ledger.now), by=by.id)
        case None if still_for(draft) == HoldReason.RESTORED:
            raise Busy(
                f"{draft.id} may have left: look for it among what was sent, then delete it or approve it"
            )
        case None if draft.state != DraftState.WRITTEN:
            done = ledger.written.unschedule(draft, NEVER)
        case _:
            done = True
    if not done:
        raise Busy(f"{draft.id} was changed by somebody else meanwhile")


def _wait_for(draft_id: str, *, store: Store, clock: Clock) -> None:
    """It is in the air. What is not yet known in a moment is not known now."""
    until = monotonic() + _PATIENCE.total_seconds()
    while monotonic() < until:
        with store.reading(clock.now()) as ledger:
            draft = _filed(draft_id, ledger).draft
        if draft.state == DraftState.CANCELLED:
            return
        if draft.state == DraftState.SENT:
            raise NotFound(f"{draft_id} has left already")
        sleep(_POLL)
    raise Busy(_why_not(draft))
