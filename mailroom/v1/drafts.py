"""Drafts and a human's yes: listed with what must be seen, approved, reworded, sent now, moved, rejected, taken back."""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import TypedDict

from engine import approve as story
from engine.addresses import contact
from engine.approve import Reviewer, Seen, Words
from engine.consent import consent_of
from engine.errors import Forbidden, NotFound, Refused, Stale
from engine.evidence import evidence_of
from engine.keys import may
from engine.seams import Clock
from engine.sequence import Sequence
from engine.states import HoldReason
from engine.store import Ledger, Review, Store
from engine.store.overview import Shown, WhichDrafts
from mailroom.api.frame import Asked, Endpoint, reading
from mailroom.v1 import forms, wire
from mailroom.v1.scope import draft_of, is_theirs, place, reviewer

# --- looked at ---


def page(asked: Asked) -> wire.V1Drafts:
    query: forms.V1DraftFilter = asked.query
    which = WhichDrafts(
        place=place(asked),
        inbox_id=contact(query.inbox_id) if query.inbox_id else None,
        state=query.state,
        consent=query.approval_state,
        sequence=query.sequence,
        to=query.to,
        order=query.order,
    )
    with reading(asked) as ledger:
        found = ledger.overview.drafts(which, asked.part())
        item = _items(found.items, ledger)
        return asked.listed(wire.V1Drafts, found, item)


def get(asked: Asked) -> wire.V1DraftWhole:
    with reading(asked) as ledger:
        shown = draft_of(asked, asked.id("draft_id"), ledger)
        seen = evidence_of(shown.draft, ledger)
        names = reviewer(asked.caller).names
        you_may = not seen.may_say_yes or bool(names & set(map(str.lower, seen.may_say_yes)))
        return wire.whole(_items([shown], ledger)(shown), seen, you_may=you_may)


def _items(some: Collection[Shown], ledger: Ledger) -> Callable[[Shown], wire.V1Draft]:
    """What it takes to show them, asked for once."""
    reviews = ledger.reviews.of_all([each.draft.id for each in some])

    def item(shown: Shown) -> wire.V1Draft:
        no = said_no(reviews.get(shown.draft.id, ()))
        return wire.draft(shown, _version(shown.version, ledger), rejected=no)

    return item


def said_no(reviews: Collection[Review]) -> bool:
    """The last word of a human was no."""
    return any(each.verdict == "rejected" for each in [*reviews][:1])


def _version(version: str | None, ledger: Ledger) -> Sequence | None:
    try:
        return ledger.enrollments.version(version) if version else None
    except ValueError:  # of a newer Relent
        return None


def _as_it_is(asked: Asked) -> wire.V1Draft:
    with reading(asked) as ledger:
        shown = draft_of(asked, asked.id("draft_id"), ledger)
        return _items([shown], ledger)(shown)


# --- one at a time ---

#: Who says one of these says, or may say, which letter they have looked at.
_Word = (
    forms.V1Approve | forms.V1Edit | forms.V1SendNow | forms.V1Reschedule | forms.V1Reject | forms.V1Withdraw
)


def approve(asked: Asked) -> wire.V1Draft:
    body: forms.V1Approve = asked.body
    with _before(asked) as draft_id:
        story.approve(draft_id, **_said_by(asked, _seen(body)))
    return _as_it_is(asked)


def edit(asked: Asked) -> wire.V1Draft:
    body: forms.V1Edit = asked.body
    if body.approve and not may(asked.caller, "draft_send"):
        raise Forbidden(
            "This key lacks the permission draft_send: it may edit, and not approve.", "missing_permission"
        )
    with _before(asked) as draft_id:
        story.edit(
            draft_id,
            Words(subject=body.subject, text=body.text),
            yes=body.approve,
            **_said_by(asked, _seen(body)),
        )
    return _as_it_is(asked)


def send_now(asked: Asked) -> wire.V1Draft:
    body: forms.V1SendNow = asked.body
    with _before(asked) as draft_id:
        story.send_now(draft_id, **_said_by(asked, _seen(body)))
    return _as_it_is(asked)


def reschedule(asked: Asked) -> wire.V1Draft:
    body: forms.V1Reschedule = asked.body
    with _before(asked) as draft_id:
        story.reschedule(draft_id, body.send_at, **_said_by(asked, _seen(body)))
    return _as_it_is(asked)


def reject(asked: Asked) -> wire.V1Draft:
    body: forms.V1Reject = asked.body
    if body.then == "skip" and not may(asked.caller, "draft_send"):  # what comes next may leave sooner
        raise Forbidden(
            "This key lacks the permission draft_send: it may say no, and not go on.", "missing_permission"
        )
    with _before(asked) as draft_id:
        story.reject(draft_id, why=body.reason, then=body.then, **_said_by(asked, _seen(body)))
    return _as_it_is(asked)


def withdraw(asked: Asked) -> wire.V1Draft:
    body: forms.V1Withdraw = asked.body
    with _before(asked) as draft_id:
        story.withdraw(draft_id, why=body.reason, **_said_by(asked, _seen(body)))
    return _as_it_is(asked)


def submit(asked: Asked) -> wire.V1Draft:
    with _before(asked) as draft_id:
        story.submit(draft_id, by=reviewer(asked.caller), store=asked.desk.store, clock=asked.desk.clock)
    return _as_it_is(asked)


class _Said(TypedDict):
    """What every word about a letter is said with."""

    by: Reviewer
    seen: Seen | None
    store: Store
    clock: Clock


def _said_by(asked: Asked, seen: Seen | None) -> _Said:
    return _Said(by=reviewer(asked.caller), seen=seen, store=asked.desk.store, clock=asked.desk.clock)


def _seen(body: _Word) -> Seen | None:
    return _looked_at(body.content_sha, body) if body.content_sha else None


def _looked_at(content_sha: str, said: _Word | forms.V1Yes) -> Seen:
    """Who does not say why it waited took it for a letter that wants a yes, and nothing graver."""
    held_for = said.held_for or HoldReason.APPROVAL
    return Seen(content_sha=content_sha, head=said.head, sender_name=said.sender_name, held_for=held_for)


@contextmanager
def _before(asked: Asked) -> Iterator[str]:
    """The draft of the path, if it is the caller's; and to whoever comes too late is said what it has become."""
    draft_id = asked.id("draft_id")
    with reading(asked) as ledger:
        draft_of(asked, draft_id, ledger)
    try:
        yield draft_id
    except Stale as error:
        raise _told(error, draft_id, asked) from error


def _told(error: Stale, draft_id: str, asked: Asked) -> Stale:
    with reading(asked) as ledger:
        now = draft_of(asked, draft_id, ledger).draft
        no = said_no(ledger.reviews.of(draft_id))
    known = {
        "state": str(now.state),
        "approval_state": str(consent_of(now, rejected=no)),
        "content_sha": now.content_sha,
    }
    return Stale(str(error), **known | error.changed)


# --- several at once ---


def approve_several(asked: Asked) -> wire.V1Approved:
    """Each is a yes of its own: who is too late for one of them is not too late for the others."""
    body: forms.V1ApproveSeveral = asked.body
    after = None
    if body.drafts is not None:
        asked_for = [(each.draft_id, _looked_at(each.content_sha, each)) for each in body.drafts]
    else:
        asked_for, after = _alike(asked, body)
    results = [_one_of_several(draft_id, seen, asked) for draft_id, seen in asked_for]
    approved = sum(each["approved"] for each in results)
    return {
        "approved": approved,
        "left": len(results) - approved,
        "results": results,
        "next_after": after,
    }


def _alike(asked: Asked, body: forms.V1ApproveSeveral) -> tuple[list[tuple[str, Seen]], str | None]:
    """Of one way to say one step, nothing odd about them, and as they were at that moment; in the inboxes of the caller."""
    most, after = forms.MOST_AT_ONCE, body.after or ""
    with reading(asked) as ledger:
        as_of = body.as_of or asked.now
        while True:
            some = ledger.drafts.calm(body.alike or "", as_of=as_of, after=after, at_most=most)
            theirs = {inbox: is_theirs(asked, inbox, ledger) for inbox in {each.inbox_id for each in some}}
            found = [(each.id, story.seen_of(each, ledger)) for each in some if theirs[each.inbox_id]]
            if found or len(some) < most:
                break
            after = some[-1].id  # none of theirs among so many: nobody else's is named to them
    return found, found[-1][0] if len(some) == most else None


def _one_of_several(draft_id: str, seen: Seen, asked: Asked) -> wire.V1Answer:
    try:
        with reading(asked) as ledger:
            draft_of(asked, draft_id, ledger)
        done = story.approve(draft_id, **_said_by(asked, seen))
    except (NotFound, Refused) as error:
        told = _told(error, draft_id, asked) if isinstance(error, Stale) else error
        return _answer(draft_id, why=str(told), changed=told.changed if isinstance(told, Stale) else None)
    return _answer(draft_id, send_at=wire.moment(done.send_at))


def _answer(
    draft_id: str,
    *,
    send_at: str | None = None,
    why: str | None = None,
    changed: dict[str, str] | None = None,
) -> wire.V1Answer:
    return {
        "draft_id": draft_id,
        "approved": send_at is not None,
        "send_at": send_at,
        "why": why,
        "changed": changed,
    }


_ONE = "/v1/drafts/{draft_id}"

ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/v1/drafts",
        handler=page,
        name="v1_drafts.list",
        summary="Letters: what waits for a yes, what leaves next, what became of others.",
        needs="draft_read",
        query=forms.V1DraftFilter,
        answers=wire.V1Drafts,
    ),
    Endpoint(
        method="GET",
        path=_ONE,
        handler=get,
        name="v1_drafts.get",
        summary="One letter, and everything that must be seen before somebody says yes to it.",
        needs="draft_read",
        answers=wire.V1DraftWhole,
    ),
    Endpoint(
        method="POST",
        path=f"{_ONE}/approve",
        handler=approve,
        name="v1_drafts.approve",
        summary="Yes, to these very words: it leaves at its hour.",
        needs="draft_send",
        body=forms.V1Approve,
        answers=wire.V1Draft,
        errors=(409,),
    ),
    Endpoint(
        method="POST",
        path="/v1/drafts/approve",
        handler=approve_several,
        name="v1_drafts.approve_several",
        summary="Yes to several, each by its name, or to all that are alike; 200 says what became of each.",
        needs="draft_send",
        body=forms.V1ApproveSeveral,
        answers=wire.V1Approved,
    ),
    Endpoint(
        method="POST",
        path=f"{_ONE}/edit",
        handler=edit,
        name="v1_drafts.edit",
        summary="Other words. They wait for a yes, unless `approve` is one: that needs `draft_send`, too.",
        needs="draft_update",
        body=forms.V1Edit,
        answers=wire.V1Draft,
        errors=(409,),
    ),
    Endpoint(
        method="POST",
        path=f"{_ONE}/send-now",
        handler=send_now,
        name="v1_drafts.send_now",
        summary="Yes, and it waits for no hour; limits and stops count all the same.",
        needs="draft_send",
        body=forms.V1SendNow,
        answers=wire.V1Draft,
        errors=(409,),
    ),
    Endpoint(
        method="POST",
        path=f"{_ONE}/reschedule",
        handler=reschedule,
        name="v1_drafts.reschedule",
        summary="The same words at another hour. No yes is lost by it, and none is given.",
        needs="draft_send",
        body=forms.V1Reschedule,
        answers=wire.V1Draft,
        errors=(409,),
    ),
    Endpoint(
        method="POST",
        path=f"{_ONE}/reject",
        handler=reject,
        name="v1_drafts.reject",
        summary="No, and why: its person waits, goes on without it, or hears nothing more.",
        needs="draft_update",
        body=forms.V1Reject,
        answers=wire.V1Draft,
        errors=(409,),
    ),
    Endpoint(
        method="POST",
        path=f"{_ONE}/withdraw",
        handler=withdraw,
        name="v1_drafts.withdraw",
        summary="A yes is taken back while the letter is still here.",
        needs="draft_update",
        body=forms.V1Withdraw,
        bare=True,
        answers=wire.V1Draft,
        errors=(409,),
    ),
    Endpoint(
        method="POST",
        path=f"{_ONE}/submit",
        handler=submit,
        name="v1_drafts.submit",
        summary="A letter written by hand asks for a yes.",
        needs="draft_update",
        body=forms.V1Nothing,
        bare=True,
        answers=wire.V1Draft,
        errors=(409,),
    ),
)
