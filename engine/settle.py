"""What became of a letter, and how that is written down: each in one transaction, with its thread locked first."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from engine.addresses import contact
from engine.advance import advance
from engine.errors import Refused
from engine.limits import Full, next_room
from engine.model import Attachment, Draft, Enclosure, Letter, Message, Pace
from engine.plan import calendar_of, place_of_draft
from engine.ready import rejected, unwanted, why_closed
from engine.room import sequence_of
from engine.states import DraftState, HoldReason, StopReason
from engine.store import Forecast, Ledger, Reach


@dataclass(frozen=True, slots=True)
class _Became:
    """What became of a draft."""

    draft_id: str
    canarys: bool = field(default=False, kw_only=True)  #: nobody's letter: it is not counted


@dataclass(frozen=True, slots=True)
class Delivered(_Became):
    """It left, and the next step is a draft."""


@dataclass(frozen=True, slots=True)
class Postponed(_Became):
    """Not now; it will be tried again."""

    why: str
    turned_away: bool = False  #: by the mailbox, which may not want this line at all


@dataclass(frozen=True, slots=True)
class CalledOff(_Became):
    """It was called back, or it changed, while it was being carried. Nothing left."""

    why: str


@dataclass(frozen=True, slots=True)
class GaveUp(_Became):
    """Refused for good."""

    why: str


@dataclass(frozen=True, slots=True)
class InDoubt(_Became):
    """It may have left. A human, or proof, will say."""

    why: str


_MOST_TRIES = 10_000  #: that are counted, one by one
_A_MOMENT = timedelta(seconds=5)
_STATUS = re.compile(r"\d{3}[ -]([245]\.\d{1,3}\.\d{1,3})\b")

Outcome = Delivered | Postponed | CalledOff | GaveUp | InDoubt

#: Who carries a letter whose readers all live here. It arrives in the transaction that says it left, or not at all.
INSIDE = "inside"


def departed(
    draft: Draft,
    letter: Letter,
    note: str,
    *,
    ledger: Ledger,
    refused: Mapping[str, str] | None = None,
    forecast: Forecast | None = None,
) -> Outcome:
    """The letter is a message now, its label is gone, and the next step is a draft: all of it or nothing.

    `refused`: who of its readers will not get it after all, and what the mail server said. `forecast`: of whoever sends
    many letters.
    """
    so_far, somebody_listens = ledger.threads.hold(draft.thread_id)
    if not somebody_listens:
        ledger.outbox.nobody_listens()
    enrollment = ledger.enrollments.lock(draft.enrollment_id) if draft.enrollment_id else None
    if not ledger.drafts.settle(draft, note):
        current = ledger.drafts.get(draft.id)
        if current and current.state == DraftState.SENT:  # our own commit, whose answer was lost on the way
            return Delivered(draft.id)
        return InDoubt(draft.id, "somebody else wrote down what became of it")
    ledger.threads.untag([draft.id])
    ledger.threads.keep(_as_message(draft, letter, ledger.now), so_far)
    if enrollment is None:  # a human has read what comes next without it
        ledger.drafts.void_in([draft.thread_id], besides=draft.id)
    for inbox_id in sorted(letter.inside):
        ledger.arrivals.begin(inbox_id=inbox_id, message_id=draft.message_id, from_inbox=draft.inbox_id)
    _tell(draft, "message.sent", ledger, recipients=list(letter.everybody))
    _tell_of_refusals(draft, refused or {}, ledger)
    if enrollment:
        advance(enrollment, ledger, forecast=forecast, near=so_far.thread)
    return Delivered(draft.id)


def postponed(
    draft: Draft, why: str, wait: timedelta, *, ledger: Ledger, turned_away: bool = False
) -> Outcome:
    ledger.threads.lock([draft.thread_id])
    if ledger.drafts.put_back(draft, send_at=ledger.now + wait, why=why):
        return Postponed(draft.id, why, turned_away)
    return _ended_meanwhile(draft, ledger)


def moved_on(draft: Draft, full: Full, *, ledger: Ledger) -> Outcome:
    """It waits for the next hour in which there is room."""
    ledger.threads.lock([draft.thread_id])
    found = sequence_of(draft, ledger)
    if found is None:
        return postponed(draft, full.why, timedelta(minutes=1), ledger=ledger)
    enrollment, sequence = found
    place = place_of_draft(draft, sequence)
    diary = ledger.diaries.booked_besides(draft.id, sequence.limits)
    calendar = calendar_of(sequence, enrollment.variables)
    try:
        room = next_room(full.until, place, calendar=calendar, sequence=sequence, diary=diary)
    except Refused as error:  # none in the next years
        return postponed(draft, str(error), timedelta(days=1), ledger=ledger)
    why = room.reason or full.why
    if ledger.drafts.move_on(draft, send_at=room.at, why=why):
        return Postponed(draft.id, why)
    return _ended_meanwhile(draft, ledger)


def given_up(draft: Draft, why: str, *, ledger: Ledger) -> Outcome:
    ledger.threads.lock([draft.thread_id])
    if ledger.drafts.give_up(draft, why):
        _tell(draft, "draft.failed", ledger, reason=why)
        _tell(draft, "message.rejected", ledger, reason=why)
        return GaveUp(draft.id, why)
    return _ended_meanwhile(draft, ledger)


def unasked(draft: Draft, why: str, wait: timedelta, pace: Pace, *, ledger: Ledger) -> Outcome:
    """Nobody could say whether somebody has answered: not now. And when that has lasted too long, a human decides."""
    tries = range(min(draft.attempt, _MOST_TRIES))
    waited = sum((pace.retries[min(each, len(pace.retries) - 1)] for each in tries), timedelta(0))
    if waited <= pace.max_lateness:
        return postponed(draft, why, wait, ledger=ledger)
    ledger.threads.lock([draft.thread_id])
    return _held(draft, HoldReason.LATE, ledger)


def doubted(draft: Draft, why: str, *, ledger: Ledger) -> Outcome:
    ledger.threads.lock([draft.thread_id])
    if ledger.drafts.doubt(draft, why):
        _tell(draft, "draft.uncertain", ledger, reason=why)
    return InDoubt(draft.id, why)


def shut_in(draft: Draft, why: str, *, ledger: Ledger) -> Outcome:
    """Its inbox is closed. Who wrote by hand is told so now; a sequence may go on when a human says so."""
    if draft.enrollment_id is None:
        return given_up(draft, why, ledger=ledger)
    ledger.threads.lock([draft.thread_id])
    return _held(draft, HoldReason.INBOX_PAUSED, ledger)


def called_off(draft: Draft, letter: Letter, wait: timedelta, *, ledger: Ledger) -> Outcome:
    """The gate said no. Most often an answer came; if it was something else, see to that."""
    if found := unwanted(draft.inbox_id, letter.everybody, ledger):
        return _not_to_them(draft, found, ledger)
    ledger.threads.lock([draft.thread_id])
    current = ledger.drafts.get(draft.id)
    if current and current.claim_token == draft.claim_token and current.state == DraftState.CLAIMED:
        if closed := why_closed(draft.inbox_id, ledger):
            return shut_in(draft, closed, ledger=ledger)
        if why := ledger.drafts.why_void(current):
            ledger.drafts.take_back_the_yes(current, send_at=current.send_at, why=why)
            _tell(draft, "draft.held", ledger, reason=str(HoldReason.CHANGED))
            return CalledOff(draft.id, f"{HoldReason.CHANGED}: {why}")
    if brake := ledger.watch.braked():  # it keeps its hour, and its patience
        if ledger.drafts.put_back(draft, send_at=draft.send_at, why=brake.why, failed=False):
            return Postponed(draft.id, brake.why)
        return _ended_meanwhile(draft, ledger)
    if ledger.drift.waits_to_be_heard(draft, letter.inside):
        why = "a letter came in just now, and nobody has heard yet what it says"
        if ledger.drafts.put_back(draft, send_at=ledger.now + _A_MOMENT, why=why, failed=False):
            return Postponed(draft.id, why)
        return _ended_meanwhile(draft, ledger)
    why = "the gate was not passed in time"
    if ledger.drafts.put_back(draft, send_at=ledger.now + wait, why=why):
        return Postponed(draft.id, why)
    return _ended_meanwhile(draft, ledger)


def _not_to_them(draft: Draft, found: Mapping[str, str], ledger: Ledger) -> Outcome:
    """Since it was composed, somebody came to stand on the list of those who may not be written to."""
    if draft.enrollment_id is None:
        return given_up(draft, rejected(found), ledger=ledger)
    if why := found.get(contact(draft.to)):
        return _suppressed(draft, why, ledger)
    ledger.threads.lock([draft.thread_id])
    why = "it goes without a copy to " + ", ".join(found)
    if ledger.drafts.put_back(draft, send_at=draft.send_at, why=why, failed=False):
        return Postponed(draft.id, why)
    return _ended_meanwhile(draft, ledger)


def _held(draft: Draft, reason: HoldReason, ledger: Ledger) -> Outcome:
    """Until a human says so; if it is still in these hands."""
    current = ledger.drafts.get(draft.id)
    if (
        current
        and current.claim_token == draft.claim_token
        and ledger.drafts.hold(current, reason, send_at=current.send_at, until=None)
    ):
        _tell(draft, "draft.held", ledger, reason=str(reason))
        return CalledOff(draft.id, reason)
    return _ended_meanwhile(draft, ledger)


def _suppressed(draft: Draft, why: str, ledger: Ledger) -> Outcome:
    """Its whole conversation ends; and so does it, also if the gate had opened for it, too slowly."""
    ledger.call_back(Reach(threads=(draft.thread_id,)), StopReason.SUPPRESSED)
    ledger.drafts.cancel([draft.id], StopReason.SUPPRESSED)
    ledger.drafts.recall([draft.id], StopReason.SUPPRESSED)
    ledger.drafts.put_back(draft, send_at=draft.send_at, why=why)
    ledger.threads.untag_ended(draft.id)
    return CalledOff(draft.id, f"suppressed: {why}")


def _ended_meanwhile(draft: Draft, ledger: Ledger) -> Outcome:
    """It was no longer ours to decide about. If that was its end, its label goes too."""
    ledger.threads.untag_ended(draft.id)
    current = ledger.drafts.get(draft.id)
    return CalledOff(draft.id, (current and current.outcome) or "it is in other hands")


# --- told, and kept ---


def _tell(draft: Draft, kind: str, ledger: Ledger, **says: Any) -> None:
    ledger.outbox.tell(
        kind,
        inbox_id=draft.inbox_id,
        thread_id=draft.thread_id,
        message_id=draft.message_id,
        draft_id=draft.id,
        **says,
    )


def _tell_of_refusals(draft: Draft, refused: Mapping[str, str], ledger: Ledger) -> None:
    """RFC 5321, section 4.2.1: a 5 is for good; after anything else another letter may get through."""
    statuses = {address: _status(words) for address, words in refused.items()}
    for kind, for_good in (("Permanent", True), ("Transient", False)):
        theirs = [
            {"address": address, "status": status}
            for address, status in statuses.items()
            if status.startswith("5") == for_good
        ]
        if theirs:
            _tell(draft, "message.bounced", ledger, type=kind, recipients=theirs)


def _status(words: str) -> str:
    """RFC 3463: `5.1.1` after the `550`, if the server says so much."""
    found = _STATUS.match(words)
    return found[1] if found else f"{words[:1]}.0.0"


def _as_message(draft: Draft, letter: Letter, now: datetime) -> Message:
    said = letter.text + (letter.html or "")
    return Message(
        message_id=letter.message_id,
        inbox_id=draft.inbox_id,
        thread_id=draft.thread_id,
        direction="sent",
        sender=letter.sender,
        to=tuple(address for address in (letter.to, *letter.also_to) if address),
        subject=letter.subject,
        text=letter.text,
        timestamp=now,
        in_reply_to=letter.in_reply_to,
        references=letter.references,
        labels=tuple(dict.fromkeys(("sent", *draft.labels))),
        draft_id=draft.id,
        enrollment_id=draft.enrollment_id,
        step=draft.step,
        html=letter.html,
        cc=letter.cc,
        bcc=letter.bcc,
        names=letter.names,
        reply_to=letter.reply_to,
        headers=letter.headers,
        attachments=_files(draft, letter),
        size=len(said.encode("utf-8", "replace")) + sum(len(file.content) for file in letter.attachments),
    )


def _files(draft: Draft, letter: Letter) -> tuple[Attachment, ...]:
    """Its own, and after them those of a letter that it passed on; each with a name by which it can be asked for."""
    own = len(draft.attachments)
    files = (*draft.attachments, *(_attachment(file) for file in letter.attachments[own:]))
    return tuple(each if each.id else replace(each, id=_file_id(each)) for each in files)


def _attachment(file: Enclosure) -> Attachment:
    return Attachment(
        name=file.name,
        content_type=file.content_type,
        sha=hashlib.sha256(file.content).hexdigest(),
        size=len(file.content),
        disposition=file.disposition,
        content_id=file.content_id,
    )


def _file_id(file: Attachment) -> str:
    """The same file under the same name has the same one."""
    return "att_" + hashlib.sha256(f"{file.sha}\0{file.name}".encode("utf-8", "replace")).hexdigest()[:24]
