"""Whose things a key may see and touch, and as whom it speaks."""

from engine.approve import Reviewer
from engine.errors import Forbidden, NotFound
from engine.keys import Caller, covers, may
from engine.model import Enrollment
from engine.store import Ledger
from engine.store.overview import Place, Shown
from mailroom.api.frame import Asked


def reviewer(caller: Caller) -> Reviewer:
    """A key is nobody whom a sequence's `approval.by` names: whoever makes keys could call one by any name."""
    return Reviewer(id=caller.key_id)


def place(asked: Asked) -> Place:
    match asked.caller.scope:
        case "inbox":
            return Place(inbox_id=asked.caller.scope_id)
        case "pod":
            return Place(pod_id=asked.caller.scope_id)
        case "organization":
            return Place()


def is_theirs(asked: Asked, inbox_id: str, ledger: Ledger) -> bool:
    """An inbox that nobody has opened yet is the organization's, and whose key ends at it."""
    if asked.caller.scope == "organization":
        return True
    own = ledger.inboxes.get(inbox_id)
    return own is not None and covers(asked.caller, own)


def draft_of(asked: Asked, draft_id: str, ledger: Ledger) -> Shown:
    """Raises NotFound, also when it is none of the caller's."""
    shown = ledger.overview.some_drafts([draft_id]).get(draft_id)
    if shown is None or not is_theirs(asked, shown.draft.inbox_id, ledger):
        raise NotFound(f"There is no draft {draft_id}.")
    return shown


def enrollment_of(asked: Asked, ledger: Ledger) -> Enrollment:
    """The one that the path names. Raises NotFound, also when it is none of the caller's."""
    name = asked.id("enrollment_id")
    found = ledger.enrollments.some([name]).get(name)
    if found is None or not is_theirs(asked, found.inbox_id, ledger):
        raise NotFound(f"There is no enrollment {name}.")
    return found


def whole_house(asked: Asked, needs: str | None = None) -> None:
    """What reaches every inbox is for a key of the organization; and perhaps for one that may do this. Raises Forbidden."""
    if asked.caller.scope != "organization":
        raise Forbidden(
            f"This reaches beyond the {asked.caller.scope} at which this key ends.", "beyond_its_scope"
        )
    if needs and not may(asked.caller, needs):
        raise Forbidden(f"This key lacks the permission {needs}.", "missing_permission")
