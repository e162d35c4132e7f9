"""Story: a human says yes to a letter that waits, or tells one that was refused to try again."""

from dataclasses import dataclass

from engine.errors import NotFound, Refused
from engine.seams import Clock
from engine.states import DraftState
from engine.store import Store


@dataclass(frozen=True, slots=True)
class Approved:
    """It goes at its hour, or at once if that has passed."""

    draft_id: str


def approve(draft_id: str, *, by: str, store: Store, clock: Clock) -> Approved:
    """One winner: who approves what has changed or gone meanwhile is told so."""
    with store.transaction(clock.now(), by) as ledger:
        draft = ledger.drafts.get(draft_id)
        if draft is None:
            raise NotFound(f"there is no draft {draft_id}")
        match draft.state:
            case DraftState.HELD:
                done = ledger.drafts.approve(draft, by=by, send_at=max(draft.send_at, ledger.now))
            case DraftState.FAILED:
                done = ledger.drafts.retry(draft)
            case _:
                raise Refused(f"{draft_id} is {draft.state}: there is nothing to approve")
        if not done:
            raise Refused(f"{draft_id} was called back or changed meanwhile")
    return Approved(draft_id)
