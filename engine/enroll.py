"""Story: prospects enter a sequence."""

import unicodedata
from collections import deque
from collections.abc import Mapping
from collections.abc import Sequence as Row
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from engine.addresses import contact, valid_address
from engine.advance import advance, draft_of, winners_of
from engine.companies import company
from engine.errors import Refused
from engine.ids import follow_up_label, new_id
from engine.limits import Diary
from engine.model import Draft, Enrollment, Prospect, Thread
from engine.plan import Done, Errand, History, NothingLeft, Planned, Reader, Waiting, plan, reader_of
from engine.render import holds
from engine.sequence import Pool, Sequence
from engine.states import EnrollmentState
from engine.store import Ledger, Life
from engine.wording import lacking, rehearse

_LONGEST_VALUE = 10_000
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
Pools = Mapping[str, tuple[str, ...]]  #: the addresses of each pool


@dataclass(frozen=True, slots=True)
class Enrolled:
    """The first letter is a draft."""

    enrollment_id: str


@dataclass(frozen=True, slots=True)
class AlreadyIn:
    """Nothing was done: this person is in this sequence, or was."""

    enrollment_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Waits:
    """Enrolled, and not written to before what is missing comes."""

    enrollment_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Skipped:
    """The sequence's own rules leave this person out, for now or for good."""

    reason: str


@dataclass(frozen=True, slots=True)
class NotWanted:
    """This address is never to be written to."""

    reason: str


Enrolment = Enrolled | AlreadyIn | Waits | Skipped | NotWanted


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """Looked at from all sides, without a database: somebody who can be enrolled."""

    email: str
    variables: Mapping[str, str]
    sequence: Sequence
    reader: Reader

    @property
    def missing(self) -> str | None:
        return self.reader.missing


def prepare(prospect: Prospect, sequence: Sequence) -> Ready:
    """Every letter is said once, to nobody. Raises Refused, in words, for whom one cannot be written."""
    email = valid_address(prospect.email)
    _check(prospect.variables, sequence, email)
    reader = reader_of(sequence, email, prospect.variables)
    if not reader.missing:
        rehearse(sequence, email, prospect.variables)
    return Ready(email=email, variables=prospect.variables, sequence=sequence, reader=reader)


@dataclass(slots=True)
class Turns:
    """Whose turn it is to write to somebody new. To look that up, everybody who was ever enrolled is counted."""

    sequence: Sequence
    pools: Pools
    inboxes: frozenset[str] = field(default=frozenset(), init=False)
    _order: deque[str] = field(default_factory=deque, init=False)

    def look_up(self, ledger: Ledger) -> None:
        """Once: after that, they take turns. Raises Refused for a pool that nobody has filled."""
        if not self._order:
            self._order.extend(_in_turn(self.sequence, self.pools, ledger))
            self.inboxes = frozenset(self._order)

    def next(self) -> str:
        self._order.rotate(-1)
        return self._order[-1]


def enroll(ready: Ready, *, ledger: Ledger, pools: Pools | None = None) -> Enrolment:
    return enroll_all([ready], ledger=ledger, pools=pools)[0]


def enroll_all(
    people: Row[Ready],
    *,
    ledger: Ledger,
    pools: Pools | None = None,
    diary: Diary | None = None,
    turns: Turns | None = None,
) -> list[Enrolment]:
    """All into one sequence, in this order. Idempotent: a list may be handed in twice.

    `diary`, `turns`: whoever hands in a list piece by piece keeps them from one piece to the next.
    """
    if not people:
        return []
    sequence, contacts = people[0].sequence, {contact(each.email) for each in people}
    ledger.enrollments.one_by_one(_doors(people))
    turns = turns or Turns(sequence, pools or {})
    turns.look_up(ledger)
    entrance = _Entrance(
        sequence=sequence,
        ledger=ledger,
        diary=diary or ledger.diaries.booked(sequence.limits),
        suppressed=ledger.inbound.suppressed_among([each.email for each in people]),
        known=ledger.enrollments.of_all(sequence.name, contacts),
        turns=turns,
    )
    for ready in people:
        entrance.look_at(ready)
    entrance.write_down()
    return [entrance.told[contact(ready.email)] for ready in people]


def _doors(people: Row[Ready]) -> list[str]:
    """Where only one may enter at a time, so that a rule that counts others sees them all."""
    sequence = people[0].sequence
    doors = ["enroll exclusive"] if sequence.enroll.exclusive else []
    if sequence.enroll.per_company is not None:
        firms = {firm for each in people if (firm := company(each.email))}
        doors += [f"enroll {firm} {sequence.name}" for firm in firms]
    return doors


@dataclass(slots=True, kw_only=True)
class _Entrance:
    """Where people are looked at one by one, and written down together."""

    sequence: Sequence
    ledger: Ledger
    diary: Diary
    suppressed: Mapping[str, str]
    known: Mapping[str, Life]
    turns: Turns
    told: dict[str, Enrolment] = field(default_factory=dict)
    _enrollments: list[Enrollment] = field(default_factory=list)
    _threads: list[Thread] = field(default_factory=list)
    _drafts: list[Draft] = field(default_factory=list)
    _errands: list[tuple[str, Errand]] = field(default_factory=list)
    _key: bytes = field(init=False)
    _winners: Mapping[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self._key = self.ledger.instance_key()
        self._winners = winners_of(self.sequence, self.ledger)

    def look_at(self, ready: Ready) -> None:
        person = contact(ready.email)
        if person in self.told:
            return
        if why := self.suppressed.get(person):
            self.told[person] = NotWanted(why)
        elif life := self.known.get(person):
            self.told[person] = self._again(life, ready)
        elif why := self._rule_against(ready):
            self.told[person] = Skipped(why)
        else:
            self.told[person] = self._enter(ready)

    def write_down(self) -> None:
        """In the order in which the tables need each other; whoever came in elsewhere at this moment is left out."""
        ledger = self.ledger
        if not self._enrollments:
            return
        # By person: two lists that share people must not wait for each other in a circle.
        self._enrollments.sort(key=lambda each: each.contact)
        ledger.enrollments.keep_version(self.sequence)
        for inbox in sorted({each.inbox_id for each in self._enrollments}):
            ledger.threads.open_inbox(inbox)
        entered = ledger.enrollments.add_all(self._enrollments)
        for each in self._enrollments:
            if each.id not in entered:
                self.told[each.contact] = AlreadyIn("", "enrolled at this very moment")
        ledger.threads.add_all([each for each in self._threads if each.enrollment_id in entered])
        for enrollment_id, errand in self._errands:
            if enrollment_id in entered:
                ledger.past.note_errand(enrollment_id, errand)
        drafts = [each for each in self._drafts if each.enrollment_id in entered]
        made = ledger.drafts.add_all(drafts)
        ledger.threads.tag_all(
            [(each.thread_id, follow_up_label(each.id)) for each in drafts if each.id in made]
        )

    def _again(self, life: Life, ready: Ready) -> Enrolment:
        known, ledger = life.enrollment, self.ledger
        if known.state == EnrollmentState.PAUSED:
            lacked = lacking(ledger.enrollments.version(known.version), known.variables)
            if known.reason == lacked and not ready.missing:
                return _go_on(known, ready, ledger)
            return Waits(
                known.id, known.reason or known.state
            )  # a human paused it, or only a human may judge
        again_after = self.sequence.enroll.again_after
        if known.state == EnrollmentState.ACTIVE or again_after is None:
            return AlreadyIn(known.id, known.reason or known.state)
        since = ready.reader.calendar.add(again_after, life.since)
        if ledger.now < since:
            return AlreadyIn(known.id, f"{known.reason or known.state}; not again before {since:%d %b %Y}")
        why = self._rule_against(ready)
        return Skipped(why) if why else self._enter(ready)

    def _enter(self, ready: Ready) -> Enrolment:
        enrollment = _new_enrollment(ready, self._writer(contact(ready.email)), self.ledger.now)
        if enrollment.contact in self.turns.inboxes:
            return Skipped(f"{ready.email} is a sender of this sequence")
        self._threads.append(
            Thread(
                id=enrollment.thread_id,
                inbox_id=enrollment.inbox_id,
                contact=enrollment.contact,
                subject="",  # its first letter will give it one
                enrollment_id=enrollment.id,
            )
        )
        self._enrollments.append(self._first_step(enrollment, ready.reader))
        if ready.missing:
            return Waits(enrollment.id, ready.missing)
        return Enrolled(enrollment.id)

    def _writer(self, person: str) -> str:
        """Who wrote first to somebody goes on writing to them, as long as they are one of us."""
        before = self.known.get(person)
        if before and before.enrollment.inbox_id in self.turns.inboxes:
            return before.enrollment.inbox_id
        return self.turns.next()

    def _first_step(self, enrollment: Enrollment, reader: Reader) -> Enrollment:
        """What the planner says about somebody who has no past."""
        done: list[Done] = []
        while True:
            past = History(done=tuple(done))
            planned = plan(
                self.sequence,
                enrollment,
                past,
                self.ledger.now,
                diary=self.diary,
                winners=self._winners,
                reader=reader,
            )
            if not (isinstance(planned, Errand) and planned.at <= self.ledger.now):
                break
            done.append(Done(planned.step, planned.at))
            self._errands.append((enrollment.id, planned))
        match planned:
            case Planned():
                thread = replace(self._threads[-1], subject=planned.subject or "")
                self._threads[-1] = thread
                self._drafts.append(
                    draft_of(planned, enrollment, thread, self.sequence, self.ledger, self._key)
                )
                self.diary.book(planned.place, planned.send_at)
            case Errand(at=at) | Waiting(until=datetime() as at):
                return replace(enrollment, wake_at=at)
            case Waiting(reason) if enrollment.state == EnrollmentState.ACTIVE:
                return replace(enrollment, state=EnrollmentState.PAUSED, reason=reason)
            case NothingLeft():
                return replace(enrollment, state=EnrollmentState.FINISHED)
        return enrollment

    def _rule_against(self, ready: Ready) -> str | None:
        """Which of the sequence's own rules leaves this person out."""
        sequence, ledger = self.sequence, self.ledger
        rules, person = sequence.enroll, contact(ready.email)
        if rules.skip_if and holds(rules.skip_if, ready.reader.known):
            return f"skip_if: {rules.skip_if}"
        if rules.exclusive and (others := ledger.enrollments.living(person)):
            return f"exclusive: in {others[0].sequence} already"
        if rules.quiet_period and (last := ledger.threads.last_word_to(person)):
            quiet = ready.reader.calendar.add(rules.quiet_period, last)
            if ledger.now < quiet:
                return f"quiet_period {rules.quiet_period}: somebody here wrote to them on {last:%d %b %Y}"
        return self._too_many_at_their_company(ready)

    def _too_many_at_their_company(self, ready: Ready) -> str | None:
        most = self.sequence.enroll.per_company
        if most is None or (employer := company(ready.email)) is None:
            return None
        inside = sum(
            each.sequence == self.sequence.name for each in self.ledger.enrollments.colleagues(employer)
        )
        inside += sum(each.company == employer for each in self._enrollments)
        return f"per_company {most}: {employer} has as many already" if inside >= most else None


def _in_turn(sequence: Sequence, pools: Pools, ledger: Ledger) -> list[str]:
    inboxes = [contact(address) for address in senders(sequence, pools)]
    if len(inboxes) == 1:
        return inboxes
    uses = ledger.enrollments.last_uses(inboxes)
    if isinstance(sequence.sender, Pool) and sequence.sender.rotate == "round_robin":
        turn = sum(number for _, number in uses.values()) % len(inboxes)
        return inboxes[turn:] + inboxes[:turn]
    return sorted(inboxes, key=lambda inbox: uses[inbox][0] or _LONG_AGO)


def senders(sequence: Sequence, pools: Pools) -> tuple[str, ...]:
    """Who may write: one address, or the pool's. Raises Refused for a pool that nobody has filled."""
    if isinstance(sequence.sender, str):
        return (sequence.sender,)
    if not (addresses := pools.get(sequence.sender.pool)):
        raise Refused(
            f'there is no pool "{sequence.sender.pool}": list its addresses under pools in config.yaml'
        )
    return addresses


def _new_enrollment(ready: Ready, inbox: str, now: datetime) -> Enrollment:
    return Enrollment(
        id=new_id("enr", now),
        sequence=ready.sequence.name,
        version=ready.sequence.version,
        inbox_id=inbox,
        email=ready.email,
        contact=contact(ready.email),
        variables=dict(ready.variables),
        state=EnrollmentState.PAUSED if ready.missing else EnrollmentState.ACTIVE,
        reason=ready.missing,
        thread_id=new_id("thr", now),
        created_at=now,
        company=company(ready.email),
    )


def _go_on(known: Enrollment, ready: Ready, ledger: Ledger) -> Enrolment:
    """Somebody handed in what was missing."""
    ledger.threads.lock([known.thread_id])
    current = ledger.enrollments.lock(known.id)
    if (current.state, current.reason) != (known.state, known.reason):  # it now waits for something else
        return AlreadyIn(known.id, current.reason or current.state)
    ledger.enrollments.keep_version(ready.sequence)
    ledger.enrollments.resume(known, variables=ready.variables, version=ready.sequence.version)
    advance(ledger.enrollments.lock(known.id), ledger)
    return Enrolled(known.id)


def _check(variables: Mapping[str, str], sequence: Sequence, email: str) -> None:
    """What would break a letter days from now is refused today, by name."""
    if isinstance(sequence.sender, str) and contact(email) == contact(sequence.sender):
        raise Refused(f"{email} is the sender of this sequence")
    for name, value in variables.items():
        if len(value) > _LONGEST_VALUE:
            raise Refused(f"{name} is {len(value):,} characters long")
        if any(unicodedata.category(letter) in {"Cc", "Cs"} and letter not in "\n\r\t" for letter in value):
            raise Refused(f"{name} has a control character in it")
