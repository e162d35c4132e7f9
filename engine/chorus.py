"""Story: many answer at one moment. What is plain is heard together, everything else alone, and each as if it were alone.

A plain answer is the everyday one: a person whom we wrote to answers from the address that we wrote to, in the
conversation that we wrote in, and no letter to them is leaving at this moment. `react` knows what an answer means; this
room knows of which of them that can be said in one breath. Whatever is not certain to be plain is not.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic

from sqlalchemy.exc import SQLAlchemyError

from engine.addresses import CANARY, contact
from engine.companies import company
from engine.events import Event, Reply
from engine.react import Hearing, Stopped, as_message, hear_and_keep, in_a_word
from engine.seams import Clock
from engine.states import RECALLABLE, STOP, StopReason
from engine.store import Ledger, Reach, Store, Undone
from engine.store.answers import Asked, Life, Receipt, Talk, Waiting
from engine.verdict import stop_scope

log = logging.getLogger("relent.chorus")

_BY = "webhook"
_WHY = StopReason.REPLIED
_UNREADABLE = "unreadable"
_A_MOMENT = 0.05  #: in seconds, for those who are heard one after the other in everybody's transaction


@dataclass(frozen=True, slots=True)
class Said:
    """An event, and the bytes that said so."""

    event: Event
    raw: bytes


#: What came of it, or why nothing could be written down.
Heard = Hearing | Exception


def hear_together(said: Sequence[Said], *, store: Store, clock: Clock) -> list[Heard | None]:
    """In their order. What was heard is safe when this returns. None: to be heard alone, by whoever has time to wait."""
    try:
        with store.transaction(clock.now(), _BY) as ledger:
            plain = _hear_plain(said, ledger)
            # where nobody else can be writing, nothing is waited for: so the others share the commit
            rest = {} if store.waits_for_rows else _hear_the_rest(said, plain, ledger)
    except SQLAlchemyError as error:  # the database itself: asked for each of them, it would say the same
        return [error] * len(said)
    except Exception as error:  # noqa: BLE001 (one of them: each will hear for itself)
        log.info("%d answers were not heard together: %s", len(said), error)
        return [None] * len(said)
    heard = rest | plain
    return [heard.get(number) for number in range(len(said))]


def hear_alone(said: Said, *, store: Store, clock: Clock) -> Heard:
    """In a transaction of its own."""
    try:
        with store.transaction(clock.now(), _BY) as ledger:
            return hear_and_keep(said.event, said.raw, ledger)
    except Exception as error:  # noqa: BLE001 (whoever asked is told)
        return error


def _hear_the_rest(said: Sequence[Said], plain: Mapping[int, Hearing], ledger: Ledger) -> dict[int, Heard]:
    """For a moment: a letter may be waiting at its gate until this is safe."""
    until, found = monotonic() + _A_MOMENT, {}
    for number, each in enumerate(said):
        if number not in plain and monotonic() < until:
            found[number] = _within(each, ledger)
    return found


def _within(said: Said, ledger: Ledger) -> Heard:
    """In everybody's transaction; whatever goes wrong with it goes wrong with it alone."""
    try:
        with ledger.apart():
            return hear_and_keep(said.event, said.raw, ledger)
    except Undone:  # and so does everybody else
        raise
    except Exception as error:  # noqa: BLE001 (whoever asked is told)
        return error


def _hear_plain(said: Sequence[Said], ledger: Ledger) -> dict[int, Hearing]:
    cases = _plain(said, ledger)
    if cases:
        _write_down(list(cases.values()), ledger)
    return {number: case.hearing for number, case in cases.items()}


# --- which of them are plain ---


@dataclass(frozen=True, slots=True)
class _Reply:
    """Somebody's answer, with the names by which it is looked up."""

    said: Said
    event: Reply
    inbox: str
    sender: str
    letter: str


@dataclass(frozen=True, slots=True)
class _Case:
    """A plain answer: who it is from, and all that it stops."""

    reply: _Reply
    talk: Talk
    lives: list[Life]
    drafts: list[Waiting]
    labelled: list[str]

    hearing: Hearing


def _plain(said: Sequence[Said], ledger: Ledger) -> dict[int, _Case]:
    replies = dict(_distinct(said))
    if not replies:
        return {}
    everything = _Facts(list(replies.values()), ledger)
    return {number: case for number, reply in replies.items() if (case := everything.case(reply))}


def _distinct(said: Sequence[Said]) -> Iterator[tuple[int, _Reply]]:
    """Ordinary answers, each about something that none before it was about: those wait for it."""
    seen: set[str] = set()
    for number, each in enumerate(said):
        event = each.event
        sender = contact(getattr(event, "sender", None) or "")
        names = {event.id, event.thread_id, event.message_id or "", sender}
        known = seen.intersection(names)
        seen |= names
        if isinstance(event, Reply) and event.verified and event.message_id and sender and not known:
            yield number, _Reply(each, event, contact(event.inbox_id), sender, event.message_id)


class _Facts:
    """What is known of all of them, in a few questions."""

    def __init__(self, replies: Sequence[_Reply], ledger: Ledger) -> None:
        people = {each.sender for each in replies}
        found = ledger.answers.look_up(
            Asked(
                events={each.event.id for each in replies},
                inboxes={each.inbox for each in replies},
                letters={each.letter for each in replies},
                threads={each.event.thread_id for each in replies},
                people=people,
            )
        )
        if not found.listened:
            ledger.outbox.nobody_listens()
        self._known = found.known
        self._talks = {each.id: each for each in found.talks}
        self._lives = {each.id: each for each in found.lives}
        self._waiting, self._busy = _by_whom(found.waiting), found.busy
        self._labels = found.named
        self._theirs = _by_person(found.talks)
        scopes = {each: _scope(each, ledger) for each in found.versions}
        self._never = {each for each, scope in scopes.items() if scope in (None, _UNREADABLE)}
        together = {each for each, scope in scopes.items() if scope in ("company", _UNREADABLE)}
        self._colleagues: Mapping[str, set[str]] = {}
        if together:
            employers = {employer for each in people if (employer := company(each))}
            self._colleagues = ledger.answers.colleagues(employers, together)

    def case(self, reply: _Reply) -> _Case | None:
        """None: not plain."""
        talk = self._talks.get(reply.event.thread_id)
        if talk is None or talk.inbox_id != reply.inbox or talk.contact != reply.sender:
            return None
        if reply.sender == reply.inbox or self._known & {reply.event.id, reply.letter, reply.sender}:
            return None
        enrolled = [each for each in self._theirs[reply.sender] if each.enrollment_id]
        if enrolled and talk.enrollment_id is None:
            return None
        whose = {each.enrollment_id or "" for each in enrolled}
        if not whose <= self._lives.keys():
            return None
        lives = [self._lives[each] for each in whose]
        if any(each.state in STOP.sources and each.version in self._never for each in lives):
            return None
        if self._concerns_colleagues(reply, lives, enrolled):
            return None
        drafts = self._drafts(talk, lives)
        if drafts is None:
            return None
        return _Case(reply, talk, lives, drafts, self._labels.get(talk.id, []), _heard(talk, drafts))

    def _concerns_colleagues(self, reply: _Reply, lives: list[Life], talks: list[Talk]) -> bool:
        if not self._colleagues:
            return False
        at_work = self._colleagues.get(company(reply.sender) or "", set())
        return bool(at_work - {each.id for each in lives}) or (bool(at_work) and len(talks) > 1)

    def _drafts(self, talk: Talk, lives: list[Life]) -> list[Waiting] | None:
        """All that it calls back. None: something is in the air, or waits that no sequence and no label speaks of."""
        theirs = {each.id for each in lives}
        here = {each.id for each in self._theirs[talk.contact] if each.inbox_id == talk.inbox_id}
        if not self._busy.isdisjoint(theirs | here):
            return None
        found, labelled = [], set(self._labels.get(talk.id, ()))
        for each in self._waiting_for(theirs | here):
            by_hand = each.enrollment_id not in theirs
            if each.state not in RECALLABLE or (
                by_hand and not (each.id in labelled and each.thread_id == talk.id)
            ):
                return None
            found.append(each)
        return found if labelled <= {each.id for each in found if each.inbox_id == talk.inbox_id} else None

    def _waiting_for(self, whom: set[str]) -> list[Waiting]:
        found = {each.id: each for name in whom for each in self._waiting.get(name, ())}
        return [found[name] for name in sorted(found)]


def _scope(version: str, ledger: Ledger) -> str | None:
    """Whom an answer stops. What cannot be read any more makes nobody plain whom it could concern."""
    try:
        return stop_scope("reply", ledger.enrollments.version(version))
    except (ValueError, LookupError):
        return _UNREADABLE


def _heard(talk: Talk, drafts: Sequence[Waiting]) -> Hearing:
    contacts = frozenset([talk.contact] if talk.enrollment_id else ())
    stopped = Stopped(_WHY, tuple(each.id for each in drafts))
    return Hearing(
        reaction=stopped, reach=Reach(threads=(talk.id,), contacts=contacts, home=talk.id), home=talk.id
    )


def _by_whom(drafts: Sequence[Waiting]) -> dict[str, list[Waiting]]:
    """By their enrollments, and by their conversations."""
    found: dict[str, list[Waiting]] = {}
    for each in drafts:
        for name in (each.enrollment_id, each.thread_id):
            if name is not None:
                found.setdefault(name, []).append(each)
    return found


def _by_person(talks: Sequence[Talk]) -> dict[str, list[Talk]]:
    found: dict[str, list[Talk]] = {}
    for each in talks:
        found.setdefault(each.contact, []).append(each)
    return found


# --- what they stop ---


def _write_down(cases: Sequence[_Case], ledger: Ledger) -> None:
    shelf = ledger.answers
    receipts = [
        Receipt(each.reply.event.id, in_a_word(each.hearing.reaction), each.reply.said.raw) for each in cases
    ]
    lives = [life for each in cases for life in each.lives]
    drafts = [draft for each in cases for draft in each.drafts]
    canarys = [each for each in cases if each.reply.inbox == CANARY]
    hers = {life.id for each in canarys for life in each.lives}
    hers |= {draft.id for each in canarys for draft in each.drafts}
    with shelf.in_one_go():
        shelf.note_events(receipts)
        shelf.note_letters([(each.reply.inbox, each.reply.letter) for each in cases])
        shelf.stop(lives, _WHY, unsaid=hers)
        shelf.cancel(drafts, _WHY, unsaid=hers)
        shelf.untag({name for each in cases for name in each.labelled} | {each.id for each in drafts})
        shelf.keep([(each.talk, as_message(each.reply.event, each.talk.id, ledger.now)) for each in cases])
    living = [each.id for each in lives if each.state in STOP.sources]
    ledger.tell_of([each.id for each in drafts], living, _WHY)
