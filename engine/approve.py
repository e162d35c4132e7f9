"""Story: a human says yes to a letter that waits, changes a word, gives it another hour, or says no.

A yes is bound to what was seen: these words, these readers, this sender, this conversation as far as it had come. Whoever
says it says what they saw, and there is one winner: everybody else is told what has changed, by whom and when.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal

from engine import oddity
from engine.advance import advance
from engine.errors import Forbidden, Invalid, Issue, NotFound, Refused, Stale
from engine.evidence import Evidence, evidence_of
from engine.hours import Opening
from engine.model import Draft, content_sha
from engine.plan import Errand, Planned, calendar_of
from engine.resume import hour_if_approved
from engine.seams import Clock
from engine.states import GRAVE, REWORDABLE, DraftState, HoldReason, StopReason
from engine.store import GOOD_FOR, Ledger, Reach, Store, Yes
from engine.wish import conversations_of, placed, still_for
from engine.wording import one_line

_AT_ONCE = 100
_LONGEST_TEXT, _LONGEST_SUBJECT, _LONGEST_REASON = 200_000, 998, 1_000
_LAST_HOUR = datetime.fromisoformat("9000-01-01T00:00:00+00:00")
#: Written by a rule or by a machine; a human's word weighs more.
_BY_ITSELF = "the sequence"

#: What becomes of the person whose letter is rejected.
Then = Literal["pause", "skip", "stop"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reviewer:
    """Who says so, and the names by which a sequence's `approval.by` may know them."""

    id: str
    names: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What somebody looked at when they made up their mind."""

    content_sha: str
    head: int | None = None  #: how far the conversation had come; None: they do not say
    sender_name: str | None = None  #: the name it would leave under; None: they do not say
    held_for: str | None = None  #: why it waited; None: they do not say


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What the letter says from now on. None: as it is."""

    subject: str | None = None
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Approved:
    """It goes at its hour, or at once if that has passed."""

    draft_id: str
    send_at: datetime


@dataclass(frozen=True, slots=True)
class Left:
    """It was not approved with the others, and why."""

    draft_id: str
    why: str


@dataclass(frozen=True, slots=True)
class Edited:
    """It says something else now."""

    draft_id: str
    content_sha: str
    approved: bool
    send_at: datetime


@dataclass(frozen=True, slots=True)
class Rescheduled:
    """The same words at another hour."""

    draft_id: str
    send_at: datetime


@dataclass(frozen=True, slots=True)
class Rejected:
    """It does not go as it is."""

    draft_id: str
    then: Then


@dataclass(frozen=True, slots=True)
class TakenBack:
    """It waits for a yes again."""

    draft_id: str


@dataclass(frozen=True, slots=True)
class Submitted:
    """It waits for somebody's yes."""

    draft_id: str


# --- yes ---


def approve(draft_id: str, *, by: Reviewer, seen: Seen | None = None, store: Store, clock: Clock) -> Approved:
    """Raises NotFound, Forbidden, and Stale when it is not what they saw."""
    with store.transaction(clock.now(), by.id) as ledger:
        draft = _before_me(draft_id, seen, ledger)
        _known_why(draft, seen)
        return _say_yes(draft, by, ledger)


def approve_alike(
    alike: str, *, as_of: datetime, by: Reviewer, store: Store, clock: Clock
) -> Iterator[Approved | Left]:
    """All that say the same in the same way, and were there at that moment; what is odd is left for somebody's eyes.

    Whoever was reworded, called back or made since is not among them: that is nobody's yes.
    """
    after = ""
    while True:
        with store.reading(clock.now()) as ledger:
            some = ledger.drafts.calm(alike, as_of=as_of, after=after, at_most=_AT_ONCE)
            seen = {each.id: seen_of(each, ledger) for each in some}
        for draft in some:
            try:
                yield approve(draft.id, by=by, seen=seen[draft.id], store=store, clock=clock)
            except Forbidden:
                raise
            except (Refused, NotFound) as error:
                yield Left(draft.id, str(error))
        if len(some) < _AT_ONCE:
            return
        after = some[-1].id


def seen_of(draft: Draft, ledger: Ledger) -> Seen:
    """A letter as it is at this moment, for whoever looks at many of them."""
    return Seen(
        content_sha=draft.content_sha,
        head=ledger.drafts.head(draft.thread_id),
        sender_name=ledger.drafts.sender_name(draft),
        held_for=draft.outcome,
    )


def approve_restored(*, by: Reviewer, store: Store, clock: Clock) -> Iterator[Approved | Left]:
    """Whatever is held because the database was restored or copied: somebody knows that it has not left.

    They say nothing of the words: of what has no yes, or none that holds, each is looked at.
    """
    after = ""
    while True:
        with store.reading(clock.now()) as ledger:
            held = ledger.drafts.restored(after=after, at_most=_AT_ONCE)
            void = {each.id: ledger.drafts.why_void(each) for each in held}
            seen = {each.id: seen_of(each, ledger) for each in held}
        for draft in held:
            if why := void[draft.id]:
                yield Left(draft.id, f"{why}: look at it, and approve it itself")
                continue
            with suppress(Refused):  # called back at this moment
                yield approve(draft.id, by=by, seen=seen[draft.id], store=store, clock=clock)
        if not held:
            return
        after = held[-1].id


def send_now(
    draft_id: str, *, by: Reviewer, seen: Seen | None = None, store: Store, clock: Clock
) -> Approved:
    """A yes that waits for no hour. Limits and stops count all the same."""
    with store.transaction(clock.now(), by.id) as ledger:
        draft = _before_me(draft_id, seen, ledger)
        _known_why(draft, seen)
        now = Opening(ledger.now, f"at once: {by.id} says so")
        if draft.state != DraftState.SCHEDULED:
            return _say_yes(draft, by, ledger, hour=now, hour_by=by.id)
        looked = _allowed(draft, by, ledger)
        yes = _yes(looked, by, ledger.now, hour_by=by.id)
        if not ledger.drafts.renew(draft, yes, send_at=now.at, why=now.reason):
            raise _gone(draft, ledger)
        _keep(looked, by, ledger, now.at)
        return Approved(draft_id, now.at)


def _say_yes(
    draft: Draft, by: Reviewer, ledger: Ledger, *, hour: Opening | None = None, hour_by: str | None = None
) -> Approved:
    looked = _allowed(draft, by, ledger)
    if hour is None:
        chosen = draft.hour_by is not None and draft.send_at > ledger.now
        hour = Opening(draft.send_at, None) if chosen else hour_if_approved(draft, ledger)
        hour_by = draft.hour_by if chosen else None
    yes = _yes(looked, by, hour.at, hour_by=hour_by)
    match draft.state:
        case DraftState.HELD if draft.outcome == HoldReason.REJECTED:
            raise Stale(_rejected(draft, ledger), state=draft.state, approval_state="rejected")
        case DraftState.HELD:
            done = ledger.drafts.approve(draft, yes, send_at=hour.at, why=hour.reason)
        case DraftState.SCHEDULED if ledger.drafts.why_void(draft):
            done = ledger.drafts.renew(draft, yes, send_at=hour.at, why=hour.reason)
        case DraftState.FAILED:
            done = _try_again(draft, hour, yes, ledger)
        case _:
            raise _gone(draft, ledger)
    if not done:
        raise _gone(draft, ledger)
    _keep(looked, by, ledger, hour.at)
    return Approved(draft.id, hour.at)


def _try_again(draft: Draft, hour: Opening, yes: Yes, ledger: Ledger) -> bool:
    done = ledger.drafts.retry(draft, yes)
    if done and hour.at > ledger.now:
        ledger.drafts.redate(draft, send_at=hour.at, why=hour.reason or draft.reason)
    return done


def _yes(looked: Evidence, by: Reviewer, at: datetime, *, hour_by: str | None = None) -> Yes:
    return Yes(by=by.id, head=looked.head, name=looked.sender_name, until=at + GOOD_FOR, hour_by=hour_by)


def _allowed(draft: Draft, by: Reviewer, ledger: Ledger) -> Evidence:
    """What they see, if they may say yes to it. Raises Forbidden."""
    looked = evidence_of(draft, ledger)
    if looked.enrollment is not None and looked.sequence is None:
        raise Refused(
            f"the rules of {looked.enrollment.sequence} cannot be read: who may say yes is not known"
        )
    if looked.may_say_yes and not by.names & set(map(str.lower, looked.may_say_yes)):
        who = " or ".join(looked.may_say_yes)
        raise Forbidden(f"only {who} may say yes to {draft.id}; this is {by.id}", "not_a_reviewer")
    return looked


def _keep(looked: Evidence, by: Reviewer, ledger: Ledger, at: datetime, why: str | None = None) -> None:
    ledger.reviews.add(
        looked.draft.id,
        "approved",
        by=by.id,
        content_sha=looked.draft.content_sha,
        evidence=replace(looked, leaves_at=at).snapshot(),
        why=why,
    )


# --- other words, another hour ---


def edit(
    draft_id: str,
    words: Words,
    *,
    yes: bool,
    by: Reviewer,
    seen: Seen | None,
    store: Store,
    clock: Clock,
) -> Edited:
    """A yes to other words was none to these: it waits for one, unless this is one."""
    with store.transaction(clock.now(), by.id) as ledger:
        draft = _before_me(draft_id, seen, ledger)
        if draft.state not in REWORDABLE:
            raise _gone(draft, ledger)
        new = _reworded(draft, words, ledger)
        if new.content_sha != draft.content_sha:
            draft = _rewrite(draft, new, by, ledger)
        if not yes:
            return Edited(draft_id, draft.content_sha, False, draft.send_at)
        _known_why(draft, seen)
        if draft.state == DraftState.SCHEDULED and not ledger.drafts.why_void(draft):
            _allowed(draft, by, ledger)  # nothing was changed, and it has its yes
            return Edited(draft_id, draft.content_sha, True, draft.send_at)
        approved = _say_yes(draft, by, ledger)
        return Edited(draft_id, draft.content_sha, True, approved.send_at)


def _rewrite(draft: Draft, new: Draft, by: Reviewer, ledger: Ledger) -> Draft:
    if not ledger.written.rewrite(draft, new):
        raise _gone(draft, ledger)
    if new.subject != draft.subject:
        ledger.threads.name(draft.thread_id, new.subject)
    if draft.state != DraftState.WRITTEN and not ledger.drafts.ask(new, still_for(draft), why="reworded"):
        raise _gone(draft, ledger)
    before = {"subject": draft.subject, "text": draft.text, "content_sha": draft.content_sha}
    after = {"subject": new.subject, "text": new.text, "content_sha": new.content_sha}
    ledger.reviews.add(
        draft.id,
        "edited",
        by=by.id,
        content_sha=new.content_sha,
        evidence={"before": before, "after": after},
    )
    return ledger.drafts.get(draft.id) or new


def _reworded(draft: Draft, words: Words, ledger: Ledger) -> Draft:
    text = draft.text if words.text is None else _text(words.text)
    subject = draft.subject if words.subject is None else _subject(words.subject)
    if subject != draft.subject and draft.enrollment_id and ledger.drafts.head(draft.thread_id):
        raise Invalid(Issue(("subject",), "a follow-up keeps the subject of its conversation"))
    if (text, subject) == (draft.text, draft.subject):
        return draft
    html = draft.html if text == draft.text else None  # it would go on saying what was said before
    found = _odd(text, draft, ledger)
    new = replace(
        draft,
        text=text,
        subject=subject,
        html=html,
        alike=None,
        oddities=found,
        rank=oddity.rank(found),
        approved_sha=None,
        approved_by=None,
        approved_head=None,
        approved_name=None,
        approved_until=None,
    )
    return replace(new, content_sha=content_sha(new))


def _odd(text: str, draft: Draft, ledger: Ledger) -> tuple[str, ...]:
    """What is strange about its values is so in other words too."""
    looked = evidence_of(draft, ledger)
    return oddity.oddities(text, draft.to, template=looked.template, known=looked.variables)


def _text(said: str) -> str:
    text = said.replace("\r\n", "\n").replace("\r", "\n").strip() + "\n"
    if not text.strip():
        raise Invalid(Issue(("text",), "there is nothing in it"))
    if len(text) > _LONGEST_TEXT:
        raise Invalid(Issue(("text",), f"{len(text):,} characters; {_LONGEST_TEXT:,} are the most"))
    if any(ord(sign) < 32 and sign not in "\n\t" for sign in text) or not _can_be_kept(text):
        raise Invalid(Issue(("text",), "there is a control character in it"))
    return text


def _subject(said: str) -> str:
    if len(said) > _LONGEST_SUBJECT:
        raise Invalid(Issue(("subject",), f"{len(said):,} characters; {_LONGEST_SUBJECT} are the most"))
    try:
        subject = one_line(said, "the subject")
    except Refused as error:
        raise Invalid(Issue(("subject",), str(error))) from error
    if not _can_be_kept(subject):
        raise Invalid(Issue(("subject",), "there is a control character in it"))
    return subject


def _can_be_kept(text: str) -> bool:
    """No half of a sign: no database keeps it."""
    return not any("\ud800" <= sign <= "\udfff" for sign in text)


def reschedule(
    draft_id: str,
    send_at: datetime,
    *,
    by: Reviewer,
    seen: Seen | None = None,
    store: Store,
    clock: Clock,
) -> Rescheduled:
    """No window is closed to an hour that a human chose. What waits for a yes goes on waiting for it."""
    with store.transaction(clock.now(), by.id) as ledger:
        draft = _before_me(draft_id, seen, ledger)
        if not ledger.now < send_at < _LAST_HOUR:
            raise Invalid(
                Issue(
                    ("send_at",), f"{send_at.isoformat()} is no hour to come; it is {ledger.now.isoformat()}"
                )
            )
        if draft.state not in (DraftState.HELD, DraftState.SCHEDULED) or draft.recalled:
            raise _gone(draft, ledger)
        looked = _allowed(draft, by, ledger)
        if not ledger.drafts.choose_hour(draft, send_at=send_at, by=by.id, why=f"chosen by {by.id}"):
            raise _gone(draft, ledger)
        ledger.reviews.add(
            draft_id,
            "rescheduled",
            by=by.id,
            content_sha=draft.content_sha,
            evidence=replace(looked, leaves_at=send_at).snapshot(),
        )
        return Rescheduled(draft_id, send_at)


# --- no ---


def reject(
    draft_id: str,
    *,
    why: str,
    then: Then,
    by: Reviewer,
    seen: Seen | None = None,
    store: Store,
    clock: Clock,
) -> Rejected:
    """It does not go. Its person waits, goes on without it, or hears nothing more."""
    why = _why(why)
    with store.transaction(clock.now(), by.id) as ledger:
        draft = _before_me(draft_id, seen, ledger)
        if draft.state not in REWORDABLE:
            raise _gone(draft, ledger)
        looked = evidence_of(draft, ledger)
        if draft.enrollment_id is None:
            then = "stop"  # nothing comes after it
        ledger.reviews.add(
            draft_id, "rejected", by=by.id, content_sha=draft.content_sha, evidence=looked.snapshot(), why=why
        )
        match then:
            case "pause":
                _pause(draft, why, ledger)
            case "skip":
                skip(draft, f"{HoldReason.REJECTED}: {why}", ledger)
            case "stop":
                _stop(draft, why, ledger)
        return Rejected(draft_id, then)


def skip(draft: Draft, why: str, ledger: Ledger) -> None:
    """Its step is passed, and the wait for the next is counted from now. The caller has locked the conversation."""
    assert draft.enrollment_id is not None  # noqa: S101 (only a sequence has steps)
    enrollment = ledger.enrollments.lock(draft.enrollment_id)
    is_first, all_speak = ledger.drafts.head(draft.thread_id) == 0, _speak_for_themselves(draft, ledger)
    if not ledger.drafts.cancel([draft.id], why):
        raise _gone(draft, ledger)
    ledger.threads.untag([draft.id])
    ledger.tell_of([draft.id], [], StopReason.BY_HAND)
    passed = Errand(step=draft.step, kind="skipped", at=ledger.now, says={"why": why})
    if noted := ledger.past.note_errand(enrollment.id, passed):
        ledger.past.end_errand(noted, why)
    planned = advance(enrollment, ledger)
    speaks = planned.subject is not None if isinstance(planned, Planned) else all_speak
    if is_first and not speaks:  # and nothing of all this has happened
        raise Refused(
            f"{draft.id} is the first letter, and the next ones answer it: reword it, pause, or stop {draft.to}"
        )


def _speak_for_themselves(draft: Draft, ledger: Ledger) -> bool:
    """Has every letter that may come later a subject of its own?"""
    looked = evidence_of(draft, ledger)
    steps = list(looked.sequence.every_step()) if looked.sequence else []
    here = next((place for place, step in enumerate(steps) if step.id == draft.step), len(steps))
    later = [step for step in steps[here + 1 :] if step.kind == "mail"]
    return all(way.subject is not None for step in later for way in step.ways)


def _pause(draft: Draft, why: str, ledger: Ledger) -> None:
    if still_for(draft) == HoldReason.RESTORED:
        raise Refused(
            f"nobody knows whether {draft.id} has left: look for it among what was sent, then approve it, skip it or stop {draft.to}"
        )
    if not ledger.drafts.ask(draft, HoldReason.REJECTED, why=f"{HoldReason.REJECTED}: {why}"):
        raise _gone(draft, ledger)
    ledger.enrollments.pause([draft.enrollment_id or ""], f"{HoldReason.REJECTED}: {why}")


def _stop(draft: Draft, why: str, ledger: Ledger) -> None:
    if draft.enrollment_id is not None:
        ledger.call_back(Reach(threads=(draft.thread_id,)), StopReason.BY_HAND)
    if ledger.drafts.cancel([draft.id], f"{HoldReason.REJECTED}: {why}"):
        ledger.tell_of([draft.id], [], StopReason.BY_HAND)
    ledger.threads.untag_ended(draft.id)


def withdraw(
    draft_id: str,
    *,
    why: str | None = None,
    by: Reviewer,
    seen: Seen | None = None,
    store: Store,
    clock: Clock,
) -> TakenBack:
    """A yes is taken back while the letter is still here, whoever gave it: it waits for another one."""
    with store.transaction(clock.now(), by.id) as ledger:
        draft = _before_me(draft_id, seen, ledger)
        asleep = draft.state == DraftState.HELD and draft.approved_sha == draft.content_sha
        if draft.state not in (DraftState.SCHEDULED, DraftState.CLAIMED) and not asleep:
            raise _gone(draft, ledger)
        until = _waits_until(draft, ledger)
        said = _why(why) if why else "withdrawn"
        if not ledger.drafts.unsay(draft, still_for(draft), why=said, yes_by=until):
            raise _gone(draft, ledger)
        ledger.reviews.add(
            draft_id, "withdrawn", by=by.id, content_sha=draft.content_sha, evidence={}, why=why
        )
        return TakenBack(draft_id)


def _waits_until(draft: Draft, ledger: Ledger) -> datetime | None:
    """The wait for a yes begins anew."""
    looked = evidence_of(draft, ledger)
    if looked.sequence is None or looked.enrollment is None or looked.sequence.approval.expires is None:
        return None
    calendar = calendar_of(looked.sequence, looked.enrollment.variables)
    return calendar.add(looked.sequence.approval.expires, ledger.now)


def submit(draft_id: str, *, by: Reviewer, store: Store, clock: Clock) -> Submitted:
    """Somebody has written it by hand, and wants a human's yes before it leaves."""
    with store.transaction(clock.now(), by.id) as ledger:
        draft = _before_me(draft_id, None, ledger)
        if draft.state not in REWORDABLE or draft.state == DraftState.HELD:
            raise _gone(draft, ledger)
        if not draft.everybody:
            raise Invalid(Issue(("to",), "it is for nobody yet"))
        draft = _where_it_belongs(draft, ledger)
        send_at = None if draft.has_an_hour else ledger.now
        if not ledger.drafts.ask(draft, HoldReason.APPROVAL, send_at=send_at):
            raise _gone(draft, ledger)
        return Submitted(draft_id)


def _where_it_belongs(draft: Draft, ledger: Ledger) -> Draft:
    """In the conversation that it answers: whoever says yes must see that. Raises Unprocessable."""
    locked = conversations_of(draft, ledger)
    ledger.threads.lock(locked)
    found = placed(draft, locked, ledger)
    if found != draft:
        found = replace(found, content_sha=content_sha(found))
        if not ledger.written.rewrite(draft, found):
            raise _gone(draft, ledger)
    return found


def _why(said: str) -> str:
    why = " ".join(said.split())
    if not why:
        raise Invalid(Issue(("reason",), "say why: whoever wonders later will read it"))
    if len(why) > _LONGEST_REASON:
        raise Invalid(Issue(("reason",), f"{len(why):,} characters; {_LONGEST_REASON:,} are the most"))
    if any(not sign.isprintable() for sign in why) or not _can_be_kept(why):
        raise Invalid(Issue(("reason",), "there is a control character in it"))
    return why


# --- nobody says yes ---


def expire(*, store: Store, clock: Clock) -> int:
    """What waited for its yes until the sequence's own limit: it waits on and says so, or its step is passed."""
    done = 0
    while True:
        with store.reading(clock.now()) as ledger:
            braked = ledger.watch.braked() is not None  # perhaps the clock is wrong
            over = [] if braked else ledger.drafts.unanswered(at_most=_AT_ONCE)
        for seen in over:
            with store.transaction(clock.now(), "recovery") as ledger:
                _expire(seen, ledger)
        done += len(over)
        if len(over) < _AT_ONCE:
            return done


def _expire(seen: Draft, ledger: Ledger) -> None:
    ledger.threads.lock([seen.thread_id])
    draft = ledger.drafts.get(seen.id)
    if draft is None or draft.state != DraftState.HELD or draft.yes_by is None or draft.yes_by > ledger.now:
        return
    looked = evidence_of(draft, ledger)
    active = looked.enrollment is not None and looked.enrollment.state == "active"
    goes_on = looked.sequence is not None and looked.sequence.approval.on_expire == "skip"
    ledger.reviews.add(
        draft.id, "expired", by="the clock", content_sha=draft.content_sha, evidence=looked.snapshot()
    )
    if goes_on and active:
        # the first letter is not passed over: it waits, as without that rule
        with suppress(Refused), ledger.apart():
            skip(draft, HoldReason.EXPIRED, ledger)
            return
    ledger.drafts.expire(draft)


# --- what is before us, and what has become of it ---


def _before_me(draft_id: str, seen: Seen | None, ledger: Ledger) -> Draft:
    """With its conversation locked, and as it was seen. Raises NotFound and Stale."""
    first = ledger.drafts.get(draft_id)
    if first is None:
        raise NotFound(f"there is no draft {draft_id}")
    ledger.threads.lock([first.thread_id])
    ledger.drafts.lock([draft_id])
    draft = ledger.drafts.get(draft_id) or first
    if draft.thread_id != first.thread_id:  # the lock is on the one before
        raise Stale(
            f"{draft_id} was moved to another conversation just now. Look at it again", state=draft.state
        )
    if seen is None:
        return draft
    if seen.content_sha != draft.content_sha:
        raise _other_words(draft, ledger)
    if draft.state in REWORDABLE and seen.head not in (None, ledger.drafts.head(draft.thread_id)):
        raise _answered(draft, ledger)
    if draft.state in REWORDABLE and seen.sender_name not in (None, name := ledger.drafts.sender_name(draft)):
        raise _renamed(draft, name)
    return draft


def _known_why(draft: Draft, seen: Seen | None) -> None:
    """Whoever says yes knows that somebody may have answered, or that it may have left. Raises Stale."""
    if seen is None or seen.held_for is None or draft.state != DraftState.HELD:
        return
    if draft.outcome in GRAVE and draft.outcome != seen.held_for:
        raise Stale(
            f"{draft.id} is held for another reason by now: {draft.outcome}. Look at it again",
            state=draft.state,
            why=draft.outcome,
            held_for=draft.outcome,
        )


def _renamed(draft: Draft, name: str) -> Stale:
    by = f"under the name {name}" if name else "without a name"
    return Stale(
        f"{draft.id} would leave {by} by now: {draft.inbox_id} was renamed. Look at it again",
        state=draft.state,
        why="renamed",
    )


def _other_words(draft: Draft, ledger: Ledger) -> Stale:
    edited = next((each for each in ledger.reviews.of(draft.id) if each.verdict == "edited"), None)
    if draft.state not in REWORDABLE:
        return _gone(draft, ledger)
    who = f"{edited.by} changed it {_at(edited.at)}" if edited else "somebody changed it"
    return Stale(
        f"{draft.id} says something else by now: {who}. Look at it again",
        state=draft.state,
        content_sha=draft.content_sha,
        by=edited.by if edited else None,
        at=_iso(edited.at) if edited else None,
        why="edited",
    )


def _answered(draft: Draft, ledger: Ledger) -> Stale:
    said = ledger.threads.messages(draft.thread_id, last=1)
    if not said:
        again = "has not come as far as you say. Look at it again"
        return Stale(
            f"the conversation of {draft.id} {again}", state=draft.state, content_sha=draft.content_sha
        )
    last = said[-1]
    who = last.sender if last.direction == "received" else draft.inbox_id
    return Stale(
        f"{who} has written in this conversation {_at(last.timestamp)}. Read that before you say yes to {draft.id}",
        state=draft.state,
        content_sha=draft.content_sha,
        by=who,
        at=_iso(last.timestamp),
        why="the conversation went on",
    )


def _gone(draft: Draft, ledger: Ledger) -> Stale:
    """What it is by now, in the words of whoever did it last."""
    now = ledger.drafts.get(draft.id) or draft
    verdict = next(iter(ledger.reviews.of(draft.id)), None)
    deed = ledger.written.last_deed(draft.id)
    return Stale(
        f"{draft.id} {_became(now, ledger)}" + (f": {deed.by}, {_at(deed.at)}" if deed else ""),
        state=now.state,
        content_sha=now.content_sha,
        by=deed.by if deed else None,
        at=_iso(deed.at) if deed else None,
        why=now.outcome or (verdict.verdict if verdict else None),
    )


def _became(draft: Draft, ledger: Ledger) -> str:
    match draft.state:
        case DraftState.SENT:
            return "has left"
        case DraftState.CANCELLED:
            return f"was cancelled ({draft.outcome})"
        case DraftState.RELEASING | DraftState.CLAIMED:
            return "is leaving at this moment"
        case DraftState.UNCERTAIN:
            return "may have left, nobody can say: relent settle says what you found"
        case DraftState.SCHEDULED if draft.approved_by not in (None, _BY_ITSELF):
            return f"is approved by {draft.approved_by} already"
        case DraftState.SCHEDULED:
            return "needs no yes: it is scheduled"
        case DraftState.WRITTEN:
            return "is still being written, and nobody asked for a yes"
        case DraftState.HELD if draft.outcome == HoldReason.APPROVAL and not _is_wanted(draft, ledger):
            return "waits, because its person is not written to just now: resume them first"
        case DraftState.HELD if draft.outcome == HoldReason.APPROVAL:
            return "waits for a yes"
        case _:
            return f"is {draft.state} ({draft.outcome})"


def _is_wanted(draft: Draft, ledger: Ledger) -> bool:
    return draft.enrollment_id is None or ledger.enrollments.get(draft.enrollment_id).state == "active"


def _rejected(draft: Draft, ledger: Ledger) -> str:
    said = next((each for each in ledger.reviews.of(draft.id) if each.verdict == "rejected"), None)
    who = f" by {said.by} {_at(said.at)}: {said.why}" if said else ""
    return f"{draft.id} was rejected{who}. Resume {draft.to}, then it can be reworded and approved"


def _at(moment: datetime) -> str:
    return f"on {moment:%a %d %b %Y at %H:%M:%S} UTC"


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
