"""A draft that is to leave: the letter that it becomes, and who or what forbids it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from engine.addresses import CANARY, contact
from engine.compose import compose, enclosed, outside
from engine.errors import PermanentFailure
from engine.model import Draft, Inbox, Letter, Message
from engine.store import Ledger


class InboxClosed(PermanentFailure):
    """inbox_paused: nothing leaves this inbox."""


def letter_of(draft: Draft, ledger: Ledger) -> Letter:
    """As it would leave now. Raises PermanentFailure when it may not, or cannot be what it was meant to be.

    A letter of a sequence goes without copies to anybody who may not be written to. What somebody wrote by hand goes
    to all whom it names, or to nobody: who is left out in silence is missed by nobody but the writer.
    """
    here = _here(draft, ledger)
    if why := _why_closed(draft.inbox_id, here.get(draft.inbox_id)):
        raise InboxClosed(why)
    if draft.enrollment_id is not None:
        draft = _without_unwanted_copies(draft, ledger)
    elif not draft.everybody:
        raise PermanentFailure("nobody to write to: name somebody in to, cc or bcc")
    elif found := unwanted(draft.inbox_id, draft.everybody, ledger):
        raise PermanentFailure(rejected(found))
    thread = ledger.threads.messages(draft.thread_id)
    source = _source(draft, thread, ledger)
    if (draft.in_reply_to or draft.forward_of) and (source is None or source.hidden == "deleted"):
        meant = "passes on" if draft.forward_of else "answers"
        raise PermanentFailure(f"the letter that it {meant} is not there any more")
    return _composed(draft, thread, source, here, ledger)


def as_it_left(draft: Draft, ledger: Ledger) -> Letter:
    """For the books: what has left is not judged any more."""
    if draft.enrollment_id is not None:
        draft = _without_unwanted_copies(draft, ledger)
    thread = ledger.threads.messages(draft.thread_id)
    return _composed(draft, thread, _source(draft, thread, ledger), _here(draft, ledger), ledger)


def unwanted(inbox_id: str, addresses: Collection[str], ledger: Ledger) -> dict[str, str]:
    """Those of them to whom this inbox may not write, and why; by their contacts."""
    found = ledger.inbound.suppressed_among(addresses)
    for address, said in ledger.lists.verdicts("send", inbox_id, addresses).items():
        if said == "block":
            found.setdefault(contact(address), f"it is blocked for {inbox_id}")
    return found


def rejected(found: Mapping[str, str]) -> str:
    """In words for whoever wrote it."""
    return "message_rejected: " + "; ".join(
        f"{address} may not be written to, {why}" for address, why in found.items()
    )


def why_closed(inbox_id: str, ledger: Ledger) -> str | None:
    """Why nothing leaves it; None: it is open."""
    return _why_closed(inbox_id, ledger.inboxes.get(inbox_id))


def _why_closed(inbox_id: str, inbox: Inbox | None) -> str | None:
    if inbox is None:
        return f"inbox_paused: {inbox_id} was deleted"
    return f"inbox_paused: {inbox_id} is paused, nothing leaves it" if inbox.paused else None


def _here(draft: Draft, ledger: Ledger) -> dict[str, Inbox]:
    """The inbox that it leaves from, and those of its readers who live here."""
    return ledger.inboxes.of({draft.inbox_id, *map(contact, draft.everybody)})


def _without_unwanted_copies(draft: Draft, ledger: Ledger) -> Draft:
    if not draft.cc and not draft.bcc:
        return draft
    found = unwanted(draft.inbox_id, [*draft.cc, *draft.bcc], ledger)
    cc, bcc = (
        tuple(address for address in addresses if contact(address) not in found)
        for addresses in (draft.cc, draft.bcc)
    )
    return replace(draft, cc=cc, bcc=bcc)


def _source(draft: Draft, thread: Sequence[Message], ledger: Ledger) -> Message | None:
    """What it answers or passes on: most often of its own conversation, which is read in any case."""
    name = draft.in_reply_to or draft.forward_of
    if name is None:
        return None
    near = next((message for message in thread if message.message_id == name), None)
    return near or ledger.threads.letter(draft.inbox_id, name)


def _composed(
    draft: Draft, thread: Sequence[Message], source: Message | None, here: Mapping[str, Inbox], ledger: Ledger
) -> Letter:
    files = ledger.drafts.files(replace(draft, attachments=enclosed(draft, source)))
    home = here.get(draft.inbox_id)
    names = {address: name for address, name in draft.names.items() if contact(address) != draft.inbox_id}
    if home and home.display_name:
        names[draft.inbox_id] = home.display_name
    letter = compose(replace(draft, names=names), thread, files, source=source)
    letter = replace(letter, inside=frozenset(here.keys() & set(map(contact, letter.everybody))))
    if draft.inbox_id == CANARY and outside(letter):
        raise PermanentFailure("what the canary writes never leaves the house")
    return letter
