"""Story: what lies in an inbox is called something, hidden, or thrown away; and a label that names a follow-up counts from then on."""

from collections.abc import Collection, Iterable
from dataclasses import replace

from engine.addresses import contact
from engine.errors import Busy, Invalid, Issue, NotFound
from engine.ids import follow_up_label
from engine.model import Draft, Message, Thread
from engine.seams import Clock
from engine.states import DRAFT_ENDS, DraftState, HoldReason, StopReason
from engine.store import Ledger, Reach, Store
from engine.store.letters import Sieve
from engine.store.threads import FAILED
from engine.tags import CLASSES, Relabelling, follow_ups, relabelling

#: RFC 3834. An automatic reply is nobody's answer.
_AUTOMATIC = "auto-replied"
_DOUBTFUL = frozenset(CLASSES) - {"trash"}


def label_thread(
    inbox_id: str,
    thread_id: str,
    add: Iterable[str],
    remove: Iterable[str],
    *,
    by: str,
    store: Store,
    clock: Clock,
) -> list[str]:
    """What the conversation is called now. Raises Invalid, and NotFound."""
    change = relabelling(add, remove)
    with store.transaction(clock.now(), by) as ledger:
        _lock([thread_id], change, ledger)
        _here(inbox_id, thread_id, ledger)
        ledger.filing.relabel_thread(thread_id, change)
        for draft_id in follow_ups(change.add):
            _watch_over(draft_id, ledger.threads.get(thread_id), ledger)
        talk = ledger.letters.conversation(Sieve(inbox_id=inbox_id), thread_id)
        return list(talk.labels) if talk else []


def label_message(
    inbox_id: str,
    names: Collection[str],
    add: Iterable[str],
    remove: Iterable[str],
    *,
    by: str,
    store: Store,
    clock: Clock,
) -> Message:
    """The same for one letter, by the ways to read its name."""
    change = relabelling(add, remove)
    with store.transaction(clock.now(), by) as ledger:
        found = _letter(inbox_id, names, ledger)
        labels = _label(inbox_id, [found], change, ledger)
        if found.message_id not in labels:
            raise NotFound(_no_letter(inbox_id, found.message_id))
        return replace(found, labels=labels[found.message_id])


def label_messages(
    inbox_id: str,
    names: Collection[str],
    add: Iterable[str],
    remove: Iterable[str],
    *,
    by: str,
    store: Store,
    clock: Clock,
) -> list[Message]:
    """The same for many: all of them, or none. Raises Invalid when one of them is not there."""
    change = relabelling(add, remove)
    with store.transaction(clock.now(), by) as ledger:
        found = [ledger.letters.get(inbox_id, name) for name in names]
        there = {each.message_id: each for each in found if each}
        labels = _label(inbox_id, there.values(), change, ledger)
        gone = [
            Issue(("message_ids", number), _no_letter(inbox_id, name))
            for number, (name, each) in enumerate(zip(names, found, strict=True))
            if each is None or each.message_id not in labels
        ]
        if gone:
            raise Invalid(*gone)
        return [replace(each, labels=labels[name]) for name, each in there.items()]


def bury_message(inbox_id: str, names: Collection[str], *, by: str, store: Store, clock: Clock) -> None:
    """Gone for good. Its row stays without a word in it: what was said, and that we said it, is history."""
    with store.transaction(clock.now(), by) as ledger:
        found = _letter(inbox_id, names, ledger)
        ledger.threads.lock([found.thread_id])
        found = _letter(inbox_id, [found.message_id], ledger)
        _arrived({found.message_id} & set(ledger.letters.on_its_way(found.thread_id)))
        ledger.filing.erase(inbox_id, found.message_id)


def bury_thread(inbox_id: str, thread_id: str, *, by: str, store: Store, clock: Clock) -> None:
    """With all its letters. First nothing more may leave in it. Raises Busy while something does, and NotFound.

    Whoever answers what was said in it is still recognised: the answer begins the conversation anew.
    """
    with store.transaction(clock.now(), by) as ledger:
        ledger.threads.lock([thread_id])
        _here(inbox_id, thread_id, ledger)
        _arrived(ledger.letters.on_its_way(thread_id))
        called_back = ledger.call_back(Reach(threads=(thread_id,)), StopReason.BY_HAND)
        leaving = _throw_away(ledger.filing.written_in(thread_id), ledger)
        if called_back.in_the_air or leaving:
            raise Busy(f"a letter of {thread_id} is leaving at this moment; nothing was deleted")
        ledger.filing.erase_thread(thread_id)


def _throw_away(drafts: Collection[str], ledger: Ledger) -> list[str]:
    """Those that are leaving at this moment."""
    ledger.drafts.lock(drafts)
    ended = ledger.drafts.cancel(drafts, StopReason.BY_HAND)
    ledger.threads.untag({each.id for each in ended})
    past_the_gate = ledger.drafts.recall(drafts, StopReason.BY_HAND)
    return [each.id for each in past_the_gate if each.state == DraftState.RELEASING]


def _label(
    inbox_id: str, letters: Collection[Message], change: Relabelling, ledger: Ledger
) -> dict[str, tuple[str, ...]]:
    """A follow-up that is named on a letter is named on its conversation: that is where an answer looks."""
    threads = sorted({each.thread_id for each in letters})
    _lock(threads, change, ledger)
    labels = ledger.filing.relabel(inbox_id, [each.message_id for each in letters], change)
    for thread_id in threads:
        for draft_id in follow_ups(change.add):
            _watch_over(draft_id, ledger.threads.get(thread_id), ledger)
        still = follow_ups(ledger.filing.bears(thread_id, change.remove))
        ledger.threads.untag_here([thread_id], set(follow_ups(change.remove)) - set(still))
    return labels


def _lock(threads: Collection[str], change: Relabelling, ledger: Ledger) -> None:
    """These, and those of the drafts that are named: the gate of a draft asks for its own thread."""
    named = [ledger.drafts.get(draft_id) for draft_id in follow_ups(change.add)]
    ledger.threads.lock({*threads, *(each.thread_id for each in named if each)})


def _here(inbox_id: str, thread_id: str, ledger: Ledger) -> None:
    if ledger.letters.conversation(Sieve(inbox_id=inbox_id), thread_id) is None:
        raise NotFound(f"there is no thread {thread_id} in {inbox_id}")


def _letter(inbox_id: str, names: Collection[str], ledger: Ledger) -> Message:
    found = ledger.letters.get(inbox_id, *names)
    if found is None:
        raise NotFound(_no_letter(inbox_id, next(iter(names))))
    return found


def _no_letter(inbox_id: str, name: str) -> str:
    return f"there is no message {name} in {inbox_id}"


def _arrived(under_way: Collection[str]) -> None:
    """Between two inboxes of this house a letter is for a moment only in the one that it left."""
    if under_way:
        raise Busy(f"{', '.join(under_way)} has not arrived yet; nothing was deleted")


# --- a label that names a follow-up ---


def _watch_over(draft_id: str, thread: Thread, ledger: Ledger) -> None:
    """From now on an answer here cancels it; and one that came before somebody could say so does, too."""
    ledger.drafts.lock([draft_id])
    draft = ledger.drafts.get(draft_id)
    if draft is not None and draft.state in DRAFT_ENDS:
        ledger.threads.untag_here([thread.id], [draft_id])
        return
    ledger.threads.tag(thread.id, follow_up_label(draft_id))
    if draft is None or draft.inbox_id != thread.inbox_id:
        return  # nobody's, or another inbox's: it names it, and has no power over it
    match _too_late(draft, thread, ledger):
        case StopReason() as reason:
            _cancel(draft, thread, reason, ledger)
        case HoldReason() as doubt:
            ledger.drafts.hold(draft, doubt, send_at=draft.send_at, until=None)
        case None:
            pass


def _cancel(draft: Draft, thread: Thread, reason: StopReason, ledger: Ledger) -> None:
    """Unless it is leaving: then its label stays until it has."""
    if draft.enrollment_id is not None:
        ledger.call_back(Reach(threads=(draft.thread_id,)), reason)
    for ended in ledger.drafts.cancel([draft.id], reason):
        ledger.outbox.tell(
            "followup.cancelled",
            inbox_id=ended.inbox_id,
            thread_id=thread.id,
            draft_id=ended.id,
            reason=reason,
            recipients=list(ended.everybody),
        )
    ledger.drafts.recall([draft.id], reason)
    current = ledger.drafts.get(draft.id)
    if current is not None and current.state in DRAFT_ENDS:
        ledger.threads.untag([draft.id])


def _too_late(draft: Draft, thread: Thread, ledger: Ledger) -> StopReason | HoldReason | None:
    """Has somebody answered since, or may have; or did a letter to the same person come back?"""
    if thread.contact in map(contact, draft.everybody):
        labels = ledger.threads.labels(thread.id)
        for reason in StopReason.COMPLAINED, StopReason.BOUNCED:
            if f"{FAILED}{reason}" in labels:
                return reason
    heard = [each for each in ledger.letters.heard_since(thread.id, draft.id) if _is_an_answer(each, thread)]
    if not all(map(_is_doubtful, heard)):
        return StopReason.REPLIED
    return HoldReason.UNVERIFIED if heard else None


def _is_doubtful(answer: Message) -> bool:
    """Nobody vouches for it; or it was deleted, and nobody knows what it said."""
    return answer.hidden == "deleted" or not _DOUBTFUL.isdisjoint(answer.labels)


def _is_an_answer(message: Message, thread: Thread) -> bool:
    """Somebody else's, and no machine's."""
    if contact(message.sender) == thread.inbox_id:
        return False
    said = {
        value.partition(";")[0].strip().lower()
        for name, value in message.headers.items()
        if name.strip().lower() == "auto-submitted"
    }
    return said != {_AUTOMATIC}
