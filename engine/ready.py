"""A draft that is to leave: the letter that it becomes, and who or what forbids it."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from engine.addresses import CANARY, contact
from engine.compose import compose, enclosed, outside
from engine.errors import PermanentFailure
from engine.model import Draft, Enrollment, Inbox, Letter, Message
from engine.sequence import Sequence as Rules
from engine.store import Ledger, Mark

_AT_ONCE = 5_000


class InboxClosed(PermanentFailure):
    """inbox_paused: nothing leaves this inbox."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What is around some letters, read for all of them at once.

    By the time one of them leaves it may be a minute old. Nothing is in here that could forbid a letter without being
    asked again at its gate; a letter that has left in the same conversation meanwhile is missing in its references.
    """

    inboxes: Mapping[str, Inbox]  #: of ours: those that they leave from, and those of readers who live here
    marks: Mapping[str, Sequence[Mark]]  #: by conversation, what was said in it
    lives: Mapping[str, Enrollment]  #: whom a sequence speaks to
    rules: Mapping[str, Rules]  #: and what it says, by its version

    def whose(self, draft: Draft) -> tuple[Enrollment, Rules] | None:
        """Whom it is written to, and by which rules. None: no sequence made it."""
        life = self.lives.get(draft.enrollment_id or "")
        return (life, self.rules[life.version]) if life else None


def look_around(drafts: Collection[Draft], ledger: Ledger) -> Around:
    lives: dict[str, Enrollment] = {}
    for some in _pieces({draft.enrollment_id for draft in drafts if draft.enrollment_id}):
        lives |= ledger.enrollments.some(some)
    inboxes: dict[str, Inbox] = {}
    for some in _pieces({contact(each) for draft in drafts for each in (draft.inbox_id, *draft.everybody)}):
        inboxes |= ledger.inboxes.of(some)
    marks: dict[str, list[Mark]] = {}
    for some in _pieces({draft.thread_id for draft in drafts}):
        marks |= ledger.threads.marks(some)
    rules = {each.version: ledger.enrollments.version(each.version) for each in lives.values()}
    return Around(inboxes=inboxes, marks=marks, lives=lives, rules=rules)


def _pieces(names: Collection[str]) -> Iterator[list[str]]:
    """No database takes a question about everybody."""
    every = sorted(names)
    for begin in range(0, len(every), _AT_ONCE):
        yield every[begin : begin + _AT_ONCE]


def is_plain(draft: Draft) -> bool:
    """All that it needs to become a letter is around it: it has no files, passes nothing on, and goes to one reader."""
    asks = draft.cc or draft.bcc or draft.attachments or draft.in_reply_to or draft.forward_of
    return draft.enrollment_id is not None and not asks


def plain_letter(draft: Draft, around: Around) -> Letter:
    """The same as `letter_of`, for who is plain. Nothing is read."""
    _is_open(draft, around)
    return _composed(draft, around, None, {})


def letter_of(draft: Draft, ledger: Ledger, around: Around | None = None) -> Letter:
    """As it would leave now. Raises PermanentFailure when it may not, or cannot be what it was meant to be.

    A letter of a sequence goes without copies to anybody who may not be written to. What somebody wrote by hand goes
    to all whom it names, or to nobody: who is left out in silence is missed by nobody but the writer.
    """
    around = around or look_around([draft], ledger)
    _is_open(draft, around)
    if draft.enrollment_id is not None:
        draft = _without_unwanted_copies(draft, ledger)
    elif not draft.everybody:
        raise PermanentFailure("nobody to write to: name somebody in to, cc or bcc")
    elif found := unwanted(draft.inbox_id, draft.everybody, ledger):
        raise PermanentFailure(rejected(found))
    source = _source(draft, ledger)
    if (draft.in_reply_to or draft.forward_of) and (source is None or source.hidden == "deleted"):
        meant = "passes on" if draft.forward_of else "answers"
        raise PermanentFailure(f"the letter that it {meant} is not there any more")
    return _composed(draft, around, source, _files(draft, source, ledger))


def as_it_left(draft: Draft, ledger: Ledger) -> Letter:
    """For the books: what has left is not judged any more."""
    if draft.enrollment_id is not None:
        draft = _without_unwanted_copies(draft, ledger)
    source = _source(draft, ledger)
    return _composed(draft, look_around([draft], ledger), source, _files(draft, source, ledger))


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


def _is_open(draft: Draft, around: Around) -> None:
    if why := _why_closed(draft.inbox_id, around.inboxes.get(draft.inbox_id)):
        raise InboxClosed(why)


def _without_unwanted_copies(draft: Draft, ledger: Ledger) -> Draft:
    if not draft.cc and not draft.bcc:
        return draft
    found = unwanted(draft.inbox_id, [*draft.cc, *draft.bcc], ledger)
    cc, bcc = (
        tuple(address for address in addresses if contact(address) not in found)
        for addresses in (draft.cc, draft.bcc)
    )
    return replace(draft, cc=cc, bcc=bcc)


def _source(draft: Draft, ledger: Ledger) -> Message | None:
    """What it answers or passes on."""
    name = draft.in_reply_to or draft.forward_of
    return None if name is None else ledger.threads.letter(draft.inbox_id, name)


def _files(draft: Draft, source: Message | None, ledger: Ledger) -> dict[str, bytes]:
    return ledger.drafts.files(replace(draft, attachments=enclosed(draft, source)))


def _composed(draft: Draft, around: Around, source: Message | None, files: Mapping[str, bytes]) -> Letter:
    here, home = around.inboxes, around.inboxes.get(draft.inbox_id)
    names = {address: name for address, name in draft.names.items() if contact(address) != draft.inbox_id}
    if home and home.display_name:
        names[draft.inbox_id] = home.display_name
    named = draft if names == draft.names else replace(draft, names=names)
    letter = compose(named, around.marks[draft.thread_id], files, source=source)
    inside = frozenset(address for each in letter.everybody if (address := contact(each)) in here)
    letter = replace(letter, inside=inside) if inside else letter
    if draft.inbox_id == CANARY and outside(letter):
        raise PermanentFailure("what the canary writes never leaves the house")
    return letter
