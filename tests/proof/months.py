"""A house in which months go by, the people who answer it, and what is held against everything that happens there.

The books here are kept by whoever looks from outside: what the mail server took, what was acknowledged, and what a human
was told. They are compared with what the house does, and never with what it thinks of itself.
"""

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Select, select
from sqlalchemy.exc import SQLAlchemyError

from engine.addresses import contact
from engine.approve import Reviewer, approve
from engine.brake import stop
from engine.dispatch import dispatch_due
from engine.enroll import enroll_all, prepare
from engine.errors import NoAnswer, NotFound, PermanentFailure, Refused, StillSending, TemporaryFailure
from engine.events import AutoReply, Bounce, Complaint, Event, Reply
from engine.ids import FOLLOW_UP, follow_up_label
from engine.model import Letter, Pace, Prospect, Sent, Withdrawn
from engine.react import react
from engine.recover import recover, settle_doubt
from engine.resume import resume
from engine.seams import Clock, Gate, Trace
from engine.sequence import Sequence
from engine.store import Store
from engine.store.tables import draft, enrollment, message, thread, thread_label
from engine.wake import wake_due
from engine.wish import Author, Wish
from engine.write import Change, discard, update, write
from tests.doubles import MONDAY, FrozenClock, MemoryMailbox
from tests.makers import SAM, sequence
from tests.proof.door import hear_at_the_door
from tests.proof.life import Died, Lives
from tests.proof.oracle import Broken

PEOPLE = ("ida@nordic.example", "kim@nordic.example", "ole@fjord.example", "eva@alpen.example")
BERLIN = ZoneInfo("Europe/Berlin")
A_DAY = 4  #: letters that may leave the mailbox
OFFICE = {"timezone": "Europe/Berlin", "windows": "mon-fri 09:00-17:00"}
ANN = Author(id="Ann")

#: An answer that has to wait is told so at once, and is sent again.
PACE = Pace(gate_deadline=timedelta(seconds=30), ack_wait=timedelta(0))

SEQUENCES: dict[str, Sequence] = {
    each.name: each
    for each in (
        sequence(name="Three letters", schedule=OFFICE, limits={"per_mailbox": f"{A_DAY}/day"}),
        sequence(
            {"subject": "Hello", "body": "One"},
            {"after": "2d", "subject": "Another thing", "body": "Two"},
            {"after": "1d", "body": "Three"},
            name="With a yes",
            approval="first",
            schedule=OFFICE,
            limits={"per_mailbox": f"{A_DAY}/day"},
        ),
        sequence(
            {"subject": "All of you", "body": "One"},
            {"after": "7d", "body": "Two"},
            name="Together",
            stop={"reply": "company"},
            schedule=OFFICE,
            limits={"per_mailbox": f"{A_DAY}/day"},
        ),
    )
}
ENDED = {"sent", "cancelled"}
AT_REST = ENDED | {"failed", "uncertain", "held", "written"}
_DRAFTS = select(
    draft.c["id", "enrollment_id", "thread_id", "state", "send_at", "lease_until", "gate_at"]
).order_by(draft.c.id)
_LIVES = select(enrollment.c["id", "state", "wake_at"])
#: What the mail server does with a letter, and what may come between.
FATES = (
    "taken",
    "later, before the dot",
    "never, before the dot",
    "later, after the dot",
    "never, after the dot",
    "taken, and silence",
    "not taken, and silence",
    "we die before the gate",
    "we die before the dot",
    "we die after the dot",
    "answered before the gate",
    "answered before the dot",
    "answered after the dot",
)


@dataclass(slots=True)
class Word:
    """Something that the world says, until it has been told that it was heard."""

    event: Event
    about: str  #: a person
    thread_id: str | None = None  #: it names this conversation, and does not come from the person
    whom: frozenset[str] | None = None  #: who was running when it was said first
    at: datetime | None = None
    heard: bool = False


def hear(event: Event, *, store: Store, clock: Clock) -> None:
    """Every other one as the webhook's door does it, the others alone. When this has returned, it is acknowledged."""
    if event.id[-1] in "02468":
        hear_at_the_door(event, store=store, clock=clock, pace=PACE)
    else:
        react(event, b"", store=store, clock=clock, pace=PACE)


@dataclass(slots=True)
class Books:
    """What everybody outside knows."""

    left: dict[str, datetime] = field(default_factory=dict)  #: drafts that the mail server took
    stopped: set[str] = field(default_factory=set)  #: enrollments, and drafts by hand, that must be silent
    never: set[str] = field(default_factory=set)  #: people who are never written to
    asleep: dict[str, datetime] = field(default_factory=dict)  #: enrollments that are silent until then
    texts: dict[str, set[str]] = field(default_factory=dict)  #: what a draft by hand may say

    def leaves(self, letter: Letter, life: str | None, now: datetime) -> None:
        """The mail server takes it, now."""
        key, person = letter.key, contact(letter.to)
        if key in self.left:
            raise Broken(f"{key} left twice")
        if key in self.stopped or life in self.stopped:
            raise Broken(f"{key} left to {person} after it was acknowledged that nothing more would")
        if person in self.never:
            raise Broken(f"{key} left to {person}, who is never to be written to")
        if life is not None and now < self.asleep.get(life, now):
            raise Broken(f"{key} left to {person}, who is held until {self.asleep[life]}")
        if life is not None:
            self._in_its_hour(key, now)
        elif letter.text.strip() not in self.texts[key]:
            raise Broken(f"{key} says {letter.text!r}, which nobody wrote")
        self.left[key] = now

    def _in_its_hour(self, key: str, now: datetime) -> None:
        here = now.astimezone(BERLIN)
        if here.weekday() > 4 or not 9 <= here.hour + here.minute / 60 < 17:
            raise Broken(f"{key} left outside office hours: {here:%a %H:%M}")
        today = [at for at in self.left.values() if at.astimezone(BERLIN).date() == here.date()]
        if len(today) >= A_DAY:
            raise Broken(f"{key} is letter number {len(today) + 1} of its day")


class Post(MemoryMailbox):
    """A mail server that does as it is told, and a world that speaks in between."""

    name = "the proof's own double"

    def __init__(self, house: "House") -> None:
        super().__init__()
        self._house = house
        self.fates: deque[str] = deque()
        self.knows_its_letters = False

    def send(self, letter: Letter, gate: Gate) -> Sent | Withdrawn:
        fate = self.fates.popleft() if self.fates else "taken"
        self._before_the_gate(fate, letter)
        if not gate():
            return Withdrawn()
        self._before_the_dot(fate, letter)
        if fate not in ("not taken, and silence", "never, after the dot", "later, after the dot"):
            self._house.takes(letter)
        return self._after_the_dot(fate, letter)

    def find(self, message_id: str) -> Trace:
        if not self.knows_its_letters:
            return Trace.UNKNOWN
        return Trace.FOUND if message_id in self._house.arrived else Trace.ABSENT

    def _before_the_gate(self, fate: str, letter: Letter) -> None:
        match fate:
            case "later, before the dot":
                raise TemporaryFailure("451 later")
            case "never, before the dot":
                raise PermanentFailure("554 never")
            case "we die before the gate":
                self._house.lives.die()
            case "answered before the gate":
                self._house.is_answered(letter)

    def _before_the_dot(self, fate: str, letter: Letter) -> None:
        match fate:
            case "we die before the dot":
                self._house.lives.die()
            case "answered before the dot":
                self._house.is_answered(letter)

    def _after_the_dot(self, fate: str, letter: Letter) -> Sent:
        match fate:
            case "later, after the dot":
                raise TemporaryFailure("451 later, after all")
            case "never, after the dot":
                raise PermanentFailure("554 never, after all")
            case "taken, and silence" | "not taken, and silence":
                raise NoAnswer("the server hung up")
            case "we die after the dot":
                self._house.lives.die()
            case "answered after the dot":
                self._house.is_answered(letter)
        return Sent("250 taken")


class House:
    """One process at a time, what is done in it, and what the world says to it."""

    def __init__(self, lives: Lives) -> None:
        self.lives, self.clock, self.books = lives, FrozenClock(), Books()
        self.post = Post(self)
        self.words: list[Word] = []
        self.arrived: set[str] = set()  #: Message-IDs
        self.broken: Broken | None = None
        with self._transaction() as ledger:
            ledger.threads.open_inbox(SAM)

    @property
    def tools(self) -> dict[str, Any]:
        return {"store": self.lives.store, "clock": self.clock}

    def attempt(self, deed: Callable[[], object]) -> bool:
        """Whether it came to its end. Whatever it dies of, the next process has to live with."""
        try:
            deed()
        except Died:
            self.lives.end()
            self.lives.begin()
            return False
        except SQLAlchemyError:
            return False
        return True

    def _transaction(self) -> Any:
        return self.lives.store.transaction(self.clock.now(), "Ann")

    # --- what is done here ---

    def enroll(self, name: str, *people: str) -> None:
        def deed() -> None:
            with self._transaction() as ledger:
                enroll_all([prepare(Prospect(email=each), SEQUENCES[name]) for each in people], ledger=ledger)

        self.attempt(deed)

    def go_to_the_next_hour(self) -> None:
        """At which something is due; and everything that is, is done."""
        if (hour := self._next_hour()) is not None:
            self.clock.pass_(max(hour - self.clock.now(), timedelta(minutes=1)))
        self.tick()

    def tick(self) -> None:
        """As relent/worker.py does it."""
        if self.attempt(self._tick):
            self._nothing_is_left_lying()

    def _tick(self) -> None:
        recover(**self.tools, mailbox=self.post, pace=PACE)
        while True:
            woken = wake_due(**self.tools)
            if not list(dispatch_due(**self.tools, mailbox=self.post, pace=PACE)) and not woken:
                break

    def approve(self, draft_id: str) -> None:
        self.books.asleep.pop(self._life_of(draft_id) or "", None)
        self._ask(lambda: approve(draft_id, by=Reviewer(id="Ann"), **self.tools))

    def resume(self, email: str) -> None:
        for life in self._lives(email):
            self.books.asleep.pop(life, None)
        self._ask(lambda: resume(email, by="Ann", **self.tools))

    def stop(self, email: str) -> None:
        running = self._lives(email)
        if self._ask(lambda: stop(email, by="Ann", **self.tools)):
            self.books.stopped |= running

    def follow_up_by_hand(self, which: int, wait: timedelta) -> None:
        """A draft that answers the conversation, and a label that names it there."""
        letters = self.look(
            select(message.c.message_id, message.c.to)
            .where(message.c.direction == "sent")
            .order_by(message.c.timestamp, message.c.message_id)
        )
        if not letters:
            return
        about = letters[which % len(letters)]
        wish = Wish(
            inbox_id=SAM,
            to=tuple(about.to),
            text="By hand",
            in_reply_to=about.message_id,
            send_at=self.clock.now() + wait,
        )

        def deed() -> None:
            made = write(wish, by=ANN, **self.tools).draft
            with self._transaction() as ledger:
                ledger.threads.tag(made.thread_id, follow_up_label(made.id))

        self.attempt(deed)
        for each in self.look(select(draft.c.id).where(draft.c.enrollment_id.is_(None))):
            self.books.texts.setdefault(each.id, {"By hand"})

    def edit(self, draft_id: str, words: str) -> None:
        self.books.texts[draft_id] |= {words}
        change = Change(words={"text": words})
        if self._ask(lambda: update(draft_id, change, by=ANN, **self.tools)):
            self.books.texts[draft_id] = {words}

    def discard(self, draft_id: str) -> None:
        if self._ask(lambda: discard(draft_id, by="Ann", **self.tools)):
            self.books.stopped.add(draft_id)

    def look_into_the_mailbox(self, draft_id: str) -> None:
        """A human ends a doubt, and tells the truth."""
        left = draft_id in self.books.left
        self._ask(lambda: settle_doubt(draft_id, left=left, by="Ann", **self.tools))

    def _ask(self, deed: Callable[[], object]) -> bool:
        """Whether they were told that it is done."""
        done = []

        def ask() -> None:
            with suppress(Refused, NotFound):
                deed()
                done.append(True)

        return self.attempt(ask) and bool(done)

    # --- what the world does ---

    def takes(self, letter: Letter) -> None:
        """The mail server has it, from this instant on."""
        self.arrived.add(letter.message_id)
        try:
            self.books.leaves(letter, self._life_of(letter.key), self.clock.now())
        except Broken as broken:  # whoever carries the letter must not take it for a mistake of their own
            self.broken = broken
            self.lives.die()

    def is_answered(self, letter: Letter) -> None:
        """While it is in our hands: nothing of it stands in our books yet but its Message-ID."""
        event = Reply(
            **self._names("thr_nobodys"),
            sender=letter.to,
            in_reply_to=letter.message_id,
            references=(letter.message_id,),
        )
        self.words.append(Word(event, contact(letter.to)))
        with suppress(SQLAlchemyError):  # then its webhook is told "not now", and nothing else is lost
            self._hear(self.words[-1])

    def say(self, kind: str, email: str, way: str, *, late: bool) -> None:
        """Somebody says something; if the webhook is late, it is heard when somebody repeats it."""
        self.words.append(self._word(kind, email, way))
        if not late:
            self.repeat(len(self.words) - 1)

    def say_twice(self, which: int) -> None:
        """The same mail under another event's name."""
        word = self.words[which]
        self.words.append(Word(replace(word.event, id=f"evt_{len(self.words)}"), word.about, word.thread_id))
        self.repeat(len(self.words) - 1)

    def repeat(self, which: int) -> None:
        self.attempt(lambda: self._hear(self.words[which]))

    def _hear(self, word: Word) -> None:
        if word.whom is None:
            word.whom, word.at = self._whom(word), self.clock.now()
        with suppress(StillSending):
            hear(word.event, **self.tools)
            word.heard = True
            self._acknowledged(word, word.whom, word.at)

    def _word(self, kind: str, email: str, way: str) -> Word:
        found = self.look(select(thread.c.id).where(thread.c.contact == email).order_by(thread.c.id))
        letters = self.look(
            select(message.c.message_id)
            .join(thread, thread.c.id == message.c.thread_id)
            .where(thread.c.contact == email, message.c.direction == "sent")
            .order_by(message.c.timestamp, message.c.message_id)
        )
        threads, ours = [each.id for each in found], tuple(each.message_id for each in letters)
        in_thread = threads[-1] if threads and way == "by thread" else None
        names = self._names(in_thread or "thr_nobodys")
        if kind in ("bounce", "complaint"):
            names["message_id"] = ours[-1] if ours and way == "by letter" else None
            more: dict[str, Any] = {"permanent": True} if kind == "bounce" else {}
            report = (Bounce if kind == "bounce" else Complaint)(**names, **more, recipients=(email,))
            return Word(report, email if in_thread or names["message_id"] else "", in_thread or "by letter")
        names["sender"] = "somebody@elsewhere.example" if in_thread else email
        names["references"] = ours if way == "by letter" else ()
        if kind == "machine":
            return Word(AutoReply(**names, subject="I am away", text="Back some day"), email, in_thread)
        return Word(Reply(**names, verified=kind == "reply"), email, in_thread)

    def _names(self, thread_id: str) -> dict[str, Any]:
        number = len(self.words)
        return {
            "id": f"evt_{number}",
            "inbox_id": SAM,
            "thread_id": thread_id,
            "message_id": f"<{number}@nordic.example>",
        }

    def _whom(self, word: Word) -> frozenset[str]:
        """Everybody whom it is about: who runs now, and what somebody has written by hand to follow up."""
        lives = self._lives(word.about)
        if isinstance(word.event, Reply) and word.event.verified:
            company = word.about.partition("@")[2]
            colleagues = select(enrollment.c.id).where(
                enrollment.c.sequence == "Together", enrollment.c.contact.endswith(f"@{company}")
            )
            lives |= {each.id for each in self.look(colleagues)}
        named = thread_label.c.label == FOLLOW_UP + draft.c.id
        by_hand = select(draft.c.id).where(
            draft.c.enrollment_id.is_(None),
            draft.c.to == word.about,
            select(thread_label.c.label).where(named, thread_label.c.thread_id == draft.c.thread_id).exists(),
        )
        if word.thread_id:
            by_hand = by_hand.where(draft.c.thread_id == word.thread_id)
        return frozenset({*lives, *(each.id for each in self.look(by_hand))})

    def _acknowledged(self, word: Word, whom: frozenset[str], at: datetime | None) -> None:
        assert at is not None
        lives = {each for each in whom if each.startswith("enr")}
        match word.event:
            case Reply(verified=False):
                self.books.asleep |= dict.fromkeys(lives, datetime.max.replace(tzinfo=UTC))
            case AutoReply():
                for life in lives:
                    until = at + timedelta(days=7)
                    self.books.asleep[life] = max(self.books.asleep.get(life, until), until)
            case Complaint() if word.about:
                self.books.stopped |= whom
                self.books.never.add(word.about)
            case Reply() | Bounce():
                self.books.stopped |= whom

    # --- what must be so after every step ---

    def check(self) -> None:
        if self.broken is not None:
            raise self.broken
        drafts = self.look(_DRAFTS)
        pending = [each.enrollment_id for each in drafts if each.enrollment_id and each.state not in ENDED]
        if len(pending) != len(set(pending)):
            raise Broken("an enrollment has two letters pending")
        self._labels_name_what_lives(drafts)
        self._nobody_is_forgotten(drafts)

    def _labels_name_what_lives(self, drafts: list[Any]) -> None:
        found = self.look(select(thread_label).where(thread_label.c.label.startswith(FOLLOW_UP)))
        labels = {each.label.removeprefix(FOLLOW_UP): each.thread_id for each in found}
        for each in drafts:
            if each.state in ENDED and each.id in labels:
                raise Broken(f"{each.id} is {each.state}, and its label is still there")
            if each.state not in ENDED and each.enrollment_id and labels.get(each.id) != each.thread_id:
                raise Broken(f"{each.id} is {each.state}, and no label names it")

    def _nobody_is_forgotten(self, drafts: list[Any]) -> None:
        """Whoever is written to has a letter pending, or an hour at which somebody looks again."""
        pending = {each.enrollment_id: each for each in drafts if each.state not in ENDED}
        for each in self.look(_LIVES):
            letter = pending.get(each.id)
            if each.state == "active" and letter is None and each.wake_at is None:
                raise Broken(f"{each.id} is active, and nobody will ever write to them")
            if each.state == "stopped" and letter and letter.state in ("held", "scheduled", "claimed"):
                raise Broken(f"{each.id} is stopped, and {letter.id} is {letter.state}")

    def _nothing_is_left_lying(self) -> None:
        """After a tick in which nothing went wrong."""
        paused = {each.id for each in self.look(_LIVES) if each.state == "paused"}
        for each in self.look(_DRAFTS):
            lease_is_over = each.state == "claimed" and each.lease_until < self.clock.now()
            fence_is_over = each.state == "releasing" and each.gate_at < self.clock.now() - PACE.fence
            if lease_is_over or fence_is_over:
                raise Broken(f"{each.id} is in nobody's hands, and {each.state}")
            due = each.state == "scheduled" and each.send_at <= self.clock.now()
            if due and each.enrollment_id not in paused:
                raise Broken(f"{each.id} is due, and nobody has looked at it")

    def settle_down(self) -> None:
        """Nothing goes wrong any more: whatever was begun comes to its end, within months."""
        self.lives.end()
        self.lives.begin()
        self.post.fates.clear()
        self.clock.pass_(PACE.fence + timedelta(seconds=1))
        self.tick()
        for number, word in enumerate(self.words):
            if not word.heard:
                self.repeat(number)
                if not word.heard:
                    raise Broken(f"{word} is never acknowledged")
        for _ in range(200):
            if self._next_hour() is None:
                break
            self.go_to_the_next_hour()
            self.check()
        else:
            raise Broken("there is no end to it")
        self.check()
        for each in self.look(_DRAFTS):
            if each.state not in AT_REST:
                raise Broken(f"{each.id} is stuck: {each.state}")

    def counted(self) -> dict[str, int]:
        return {
            "days": (self.clock.now() - MONDAY).days,
            "letters": len(self.books.left),
            "words": len(self.words),
            "acknowledged": sum(word.heard for word in self.words),
            "deaths": self.lives.number - 2,  # the first life, and the one that settles down
        }

    def _next_hour(self) -> datetime | None:
        found: list[datetime | None] = []

        def ask() -> None:
            with self.lives.store.reading(self.clock.now()) as ledger:
                found.extend((ledger.drafts.next_due(), ledger.enrollments.next_waking()))

        self.attempt(ask)
        return min((hour for hour in found if hour is not None), default=None)

    # --- looking from outside ---

    def look(self, what: Select[Any]) -> list[Any]:
        with self.lives.looking.connect() as db:
            return list(db.execute(what))

    def ids(self, *states: str, by_hand: bool = False) -> list[str]:
        """Drafts in one of these states, in order."""
        found = (each for each in self.look(_DRAFTS) if each.state in states)
        return [each.id for each in found if not by_hand or each.enrollment_id is None]

    def _lives(self, email: str) -> set[str]:
        return {each.id for each in self.look(select(enrollment.c.id).where(enrollment.c.contact == email))}

    def _life_of(self, draft_id: str) -> str | None:
        found = self.look(select(draft.c.enrollment_id).where(draft.c.id == draft_id))
        return found[0].enrollment_id if found else None
