"""Story: what a sequence does that is no letter. A webhook is posted, somebody enters another sequence, a task is done."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from engine.advance import advance
from engine.calls import LEASE, WAITS, Call, Post, Rests, wait_after
from engine.enroll import AlreadyIn, Enrolled, NotWanted, Skipped, Waits, enroll, prepare
from engine.errors import NotFound, Refused
from engine.model import Enrollment, Prospect
from engine.plan import Waiting, not_done
from engine.seams import Clock
from engine.states import EnrollmentState, StopReason
from engine.store import Ledger, Store
from engine.store.past import Chore
from engine.trail import about, span

_AT_ONCE = 50


# --- what became of it ---


@dataclass(frozen=True, slots=True)
class Ran:
    """It is over, well or in words."""

    errand_id: str
    what: str


@dataclass(frozen=True, slots=True)
class TriesAgain:
    """Not now."""

    errand_id: str
    why: str
    at: datetime


@dataclass(frozen=True, slots=True)
class LeftToAHuman:
    """Tried as often as makes sense."""

    errand_id: str
    why: str


@dataclass(frozen=True, slots=True)
class NotOurs:
    """Somebody else wrote down what became of it, or called it off."""

    errand_id: str


Outcome = Ran | TriesAgain | LeftToAHuman | NotOurs


# --- what is due ---


def run_next(
    *,
    store: Store,
    clock: Clock,
    post: Post,
    pools: Mapping[str, tuple[str, ...]],
    rests: Rests,
    waits: Sequence[timedelta] = WAITS,
) -> list[Outcome]:
    """One errand that is due, and what can be told of others without any trouble. Nothing: nothing is due."""
    with store.reading(clock.now()) as ledger:
        if not ledger.past.due_errands(1):
            return []
    with store.transaction(clock.now(), "errands") as ledger:
        taken, outcomes = _take(ledger, rests, waits)
    if taken is None:
        return outcomes
    with about(errand_id=taken.id, enrollment_id=taken.enrollment_id), span("errand"):
        if taken.kind == "enter":
            return [*outcomes, _enter(taken, pools, store=store, clock=clock)]
        return [*outcomes, _call(taken, post, rests, waits, store=store, clock=clock)]


def _take(ledger: Ledger, rests: Rests, waits: Sequence[timedelta]) -> tuple[Chore | None, list[Outcome]]:
    """Into one pair of hands only; for so long as a call can take, and then it is due again."""
    outcomes: list[Outcome] = []
    for chore in ledger.past.due_errands(_AT_ONCE):
        if chore.tries > len(waits):  # it has never come back: whoever tries it dies of it
            outcomes.append(
                _failed(chore, chore.tries, "nobody came back to say what became of it", ledger, waits)
            )
        elif chore.kind == "webhook" and (silent := rests.why_not(_host(chore), chore.id, ledger.now)):
            outcomes.append(_failed(chore, chore.tries + 1, silent, ledger, waits))
        elif taken := ledger.past.take_errand(chore, until=ledger.now + LEASE):
            return taken, outcomes
    return None, outcomes


def _call(
    chore: Chore, post: Post, rests: Rests, waits: Sequence[timedelta], *, store: Store, clock: Clock
) -> Outcome:
    """Whoever dies between the post and the note repeats it: the same id tells the other side so."""
    with store.reading(clock.now()) as ledger:
        body = _body(chore, ledger.enrollments.get(chore.enrollment_id))
    answer = post(Call(id=chore.id, url=chore.says["url"], body=body), clock.now())
    rests.note(_host(chore), chore.id, answer, clock.now())
    with store.transaction(clock.now(), "errands") as ledger:
        if not answer.is_yes:
            return _failed(chore, chore.tries, str(answer), ledger, waits)
        ended = ledger.past.settle_errand(chore, str(answer))
        return Ran(chore.id, str(answer)) if ended else NotOurs(chore.id)


def _failed(chore: Chore, tries: int, why: str, ledger: Ledger, waits: Sequence[timedelta]) -> Outcome:
    if (wait := wait_after(tries, chore.id, waits)) is None:
        left = ledger.past.leave_errand(chore, f"failed: {why}", tries=tries)
        return LeftToAHuman(chore.id, why) if left else NotOurs(chore.id)
    again = ledger.past.postpone_errand(chore, ledger.now + wait, why, tries=tries)
    return TriesAgain(chore.id, why, ledger.now + wait) if again else NotOurs(chore.id)


def _body(chore: Chore, life: Enrollment) -> bytes:
    said = {
        "type": "sequence.step",
        "id": chore.id,
        "sequence": life.sequence,
        "step": chore.step,
        "email": life.email,
        "at": chore.at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "data": chore.says.get("with") or {},
    }
    return json.dumps(said, separators=(",", ":")).encode()


def _host(chore: Chore) -> str:
    """Only this much of a URL is told: the rest may have a secret in it."""
    return str(urlsplit(chore.says["url"]).netloc.rpartition("@")[2].lower())


# --- into another sequence ---


def _enter(chore: Chore, pools: Mapping[str, tuple[str, ...]], *, store: Store, clock: Clock) -> Outcome:
    with store.transaction(clock.now(), "errands") as ledger:
        # Whoever answers at this moment comes before us, and is seen; or after us, and stops what we began.
        ledger.threads.lock([ledger.enrollments.get(chore.enrollment_id).thread_id])
        if not ledger.past.hold_errand(chore):
            return NotOurs(chore.id)
        became = _entered(chore, pools, ledger)
        ledger.past.settle_errand(chore, became)
        return Ran(chore.id, became)


def _entered(chore: Chore, pools: Mapping[str, tuple[str, ...]], ledger: Ledger) -> str:
    """By the rules of the sequence as it is now, with what was known of this person then."""
    life, name = ledger.enrollments.get(chore.enrollment_id), chore.says["sequence"]
    version = ledger.past.newest_version(name)
    if version is None:
        return f'not entered: there is no sequence called "{name}"'
    if _has_answered(life, name, chore, ledger):
        return "not entered: they have answered again since. A human decides"
    try:
        ready = prepare(
            Prospect(email=life.email, variables=life.variables), ledger.enrollments.version(version)
        )
        outcome = enroll(ready, ledger=ledger, pools=pools)
    except (Refused, ValueError, LookupError) as error:
        return f"not entered: {error}"
    match outcome:
        case Enrolled():
            return f"entered {name}"
        case Waits(reason=reason):
            return f"entered {name}, and waits: {reason}"
        case AlreadyIn(reason=reason):
            return f"not entered: they are in it, or were: {reason}"
        case Skipped(reason) | NotWanted(reason):
            return f"not entered: {reason}"


def _has_answered(life: Enrollment, name: str, chore: Chore, ledger: Ledger) -> bool:
    """In the conversation that this comes from, or in the sequence that it leads to."""
    known = ledger.enrollments.of_all(name, {life.contact}).get(life.contact)
    if known and known.enrollment.reason == StopReason.REPLIED and known.since > chore.at:
        return True
    conversations = {life.id, *([known.enrollment.id] if known else [])}
    return any(ledger.past.heard(each, since=chore.at) for each in conversations)


# --- a human's part ---


@dataclass(frozen=True, slots=True)
class Finished:
    """A task is done, or what would have been done is called off; and who went on by it."""

    errand_id: str
    what: str
    goes_on: str | None = None


def done(errand_id: str, *, by: str, store: Store, clock: Clock) -> Finished:
    """Raises NotFound, or Refused when it was done before."""
    with store.transaction(clock.now(), by) as ledger:
        chore = _known(errand_id, ledger)
        ledger.threads.lock([ledger.enrollments.get(chore.enrollment_id).thread_id])
        life = ledger.enrollments.lock(chore.enrollment_id)
        what = "done" if chore.kind in ("task", "notice") else "called off"
        if not ledger.past.end_errand(errand_id, what):
            raise Refused(f"{errand_id} is over already: {chore.outcome or 'done'}")
        return Finished(errand_id, what, _go_on(life, chore, ledger))


def retry(errand_id: str, *, store: Store, clock: Clock, by: str) -> None:
    """A webhook that was left to a human is due again, as if it had never been tried."""
    with store.transaction(clock.now(), by) as ledger:
        chore = _known(errand_id, ledger)
        if not ledger.past.retry_errand(errand_id):
            raise Refused(f"{errand_id} has not failed: {_standing(chore)}")


def _known(errand_id: str, ledger: Ledger) -> Chore:
    if (chore := ledger.past.errand(errand_id)) is None:
        raise NotFound(f"there is no task or errand {errand_id}")
    return chore


def _standing(chore: Chore) -> str:
    if chore.ended_at is not None:
        return f"it is over, {chore.outcome}"
    if chore.next_try_at is not None:
        return f"it is tried at {chore.next_try_at:%d %b %Y %H:%M} UTC by itself"
    return "a task is not tried, it is done"


def _go_on(life: Enrollment, chore: Chore, ledger: Ledger) -> str | None:
    """Whoever waits for exactly this. Any other pause is somebody's decision, and stands."""
    if life.state != EnrollmentState.PAUSED or life.reason != not_done(chore.step):
        return None
    ledger.enrollments.resume(life, variables=life.variables, version=life.version)
    planned = advance(ledger.enrollments.lock(life.id), ledger)
    return (
        f"{life.email} waits: {planned.reason}" if isinstance(planned, Waiting) else f"{life.email} goes on"
    )
