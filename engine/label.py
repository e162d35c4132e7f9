"""Story: a human says what an answer was, and the sequence does what it does besides. After the stop, never instead of it."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass

from engine.addresses import contact, domain
from engine.companies import company
from engine.errors import NotFound, Refused
from engine.model import Enrollment
from engine.plan import Errand, calendar_of
from engine.render import render
from engine.seams import Clock
from engine.sequence import OnReply, Sequence
from engine.states import STOP, EnrollmentState, StopReason
from engine.store import Ledger, Reach, Store
from engine.wording import known_of, one_line

log = logging.getLogger("relent.label")


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """One thing that was done, in words."""

    sequence: str
    what: str
    errand_id: str | None = None  #: what somebody has to do, or what is done later


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """One answer, and what its sequence says about it."""

    life: Enrollment
    sequence: Sequence
    rule: OnReply
    label: str


def label_reply(email: str, label: str, *, by: str, store: Store, clock: Clock) -> list[Effect]:
    """What was done by it now: the same label a second time does nothing, another one does its own.

    Raises NotFound, or Refused: nobody answered, or nobody knows this label.
    """
    with store.transaction(clock.now(), by) as ledger:
        cases = _cases(email, label, ledger)
        bans = {case.life.id: _ban(case, ledger) for case in cases if case.rule.suppress}
        _lock({contact(email)}.union(*(ban.people for ban in bans.values())), ledger)
        new = [case for case in cases if ledger.past.label_answer(case.life.id, case.life.thread_id, label)]
        effects = [effect for case in new for effect in _besides(case, ledger)]
        effects += _suppress([(case, bans[case.life.id]) for case in new if case.rule.suppress], ledger)
    for effect in effects:
        log.info("%s: %s", effect.sequence, effect.what)
    return effects


def _cases(email: str, label: str, ledger: Ledger) -> list[_Case]:
    lives = [ledger.enrollments.get(each) for each in ledger.past.latest_lives(contact(email))]
    if not lives:
        raise NotFound(f"nobody here writes to {email}")
    versions = [(life, ledger.enrollments.version(life.version)) for life in lives]
    found = [(life, sequence) for life, sequence in versions if _has_answered(life, sequence, ledger)]
    if not found:
        raise Refused(f"{email} has not answered: a label is for an answer")
    cases = [
        _Case(life=life, sequence=sequence, rule=rule, label=label)
        for life, sequence in found
        if (rule := sequence.on_reply.get(label))
    ]
    if not cases:
        raise Refused(_unknown(label, [sequence for _, sequence in found]))
    return cases


def _has_answered(life: Enrollment, sequence: Sequence, ledger: Ledger) -> bool:
    """It stopped them; or it came after the last letter, or where answers stop nobody: then there was nothing to stop."""
    if (life.state, life.reason) == (EnrollmentState.STOPPED, StopReason.REPLIED):
        return True
    unstoppable = life.state in STOP.sources and sequence.stop.reply == "never"
    if life.state != EnrollmentState.FINISHED and not unstoppable:
        return False
    return ledger.past.heard(life.id)


def _unknown(label: str, sequences: list[Sequence]) -> str:
    names = ", ".join(sequence.name for sequence in sequences)
    labels = sorted({known for sequence in sequences for known in sequence.on_reply})
    if not labels:
        return f"{names}: it knows no labels. Write them under on_reply"
    return f'{names}: there is no label "{label}". Known: {", ".join(labels)}'


def _besides(case: _Case, ledger: Ledger) -> Iterator[Effect]:
    rule = case.rule
    if rule.label:
        ledger.threads.tag(case.life.thread_id, rule.label)
        yield Effect(sequence=case.sequence.name, what=f"labelled {rule.label}")
    if rule.notify:
        told = {
            "task": f"{case.life.email} answered: {case.label}",
            "assign": _in_their_words(rule.notify, case),
        }
        yield from _errand(case, "notice", told, f"told {told['assign']}", ledger)
    if rule.task:
        task = {"task": _in_their_words(rule.task, case)}
        owner = {"assign": case.sequence.owner} if case.sequence.owner else {}
        yield from _errand(case, "task", task | owner, f"a task: {task['task']}", ledger)
    if rule.resume:
        yield from _enter_later(case, rule.resume, ledger)


def _enter_later(case: _Case, name: str, ledger: Ledger) -> Iterator[Effect]:
    hour = ledger.now
    if case.rule.after:
        hour = calendar_of(case.sequence, case.life.variables).add(case.rule.after, ledger.now)
    words = f"enters {name} on {hour:%d %b %Y}"
    step = _step(case, "resume")
    errand = Errand(step=step, kind="enter", at=hour, says={"sequence": name})
    if errand_id := ledger.past.note_errand(case.life.id, errand):
        yield Effect(sequence=case.sequence.name, what=words, errand_id=errand_id)


def _errand(case: _Case, kind: str, says: dict[str, str], words: str, ledger: Ledger) -> Iterator[Effect]:
    errand = Errand(step=_step(case, kind), kind=kind, at=ledger.now, says=says)
    if errand_id := ledger.past.note_errand(case.life.id, errand):
        yield Effect(sequence=case.sequence.name, what=words, errand_id=errand_id)


def _step(case: _Case, what: str) -> str:
    """No step of the sequence can be called so: ids have no slash."""
    return f"reply/{case.label}/{what}"


def _in_their_words(text: str, case: _Case) -> str:
    """With its gaps filled; as it is written if it cannot be: a task that reads oddly is better than none."""
    try:
        return one_line(
            render(text, known_of(case.sequence, case.life.email, case.life.variables)), "the task"
        )
    except Refused:
        return text


@dataclass(frozen=True, slots=True)
class _Ban:
    """Who is never to be written to again."""

    keys: tuple[str, ...]  #: addresses, or domains
    people: frozenset[str]  #: whom a sequence speaks to there


def _ban(case: _Case, ledger: Ledger) -> _Ban:
    person = case.life.contact
    employer = company(person) if case.rule.suppress == "company" else None
    if employer is None:  # a free-mail domain is nobody's company
        return _Ban((person,), frozenset(ledger.enrollments.living_at(person)))
    keys = tuple(sorted({employer, domain(person)}))
    colleagues = {each.contact for each in ledger.enrollments.colleagues(employer)}
    return _Ban(keys, frozenset(colleagues.union(*map(ledger.enrollments.living_at, keys))))


def _suppress(bans: list[tuple[_Case, _Ban]], ledger: Ledger) -> Iterator[Effect]:
    for case, ban in bans:
        for key in ban.keys:
            ledger.inbound.suppress(key, f"answered: {case.label}")
        yield Effect(sequence=case.sequence.name, what=f"never again: {', '.join(ban.keys)}")
    if people := frozenset[str]().union(*(ban.people for _, ban in bans)):
        ledger.call_back(Reach(threads=(), contacts=people), StopReason.SUPPRESSED)


def _lock(people: set[str], ledger: Ledger) -> None:
    """Everybody whom this may stop, first and in order: so nobody waits for us who has what we want."""
    ledger.threads.lock([each.id for each in ledger.threads.of_people(people, ())])
