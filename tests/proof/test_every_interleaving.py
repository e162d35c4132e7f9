"""Whoever comes between whom, at whichever instant: nothing leaves after an answer was acknowledged, or twice, or is lost.

The actors are the real stories, on a real database. Between any two of them anybody else may be next, wherever they touch
the database or the mail server:

- a sender: claim, read, gate, dot, settle; it may die before each of them
- an answer: cancel, check, acknowledge, as the webhook's door does it, or alone, as a sweep does; its server may die too,
  and then it comes again
- a human: approves, or edits, or time brings the next step
- recovery: what the dead left behind is found, and what only seems so, by a clock that is ahead by a lease
- a second sender

Every schedule of each of the companies below is covered: see tests/proof/director.py. On PostgreSQL two transactions may
also overlap: one stands still, with its locks, before its commit (with RELENT_TEST_LONG=1: after any of its statements),
while another one is carried out, as far as the database lets it.

After each schedule the fence passes and recovery runs; then every letter must be at its end, or with a human, its label
gone if it is at its end and there if it is not, and the answer acknowledged.
"""

import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Protocol
from zlib import crc32

import pytest

from engine import ids, owner
from engine.approve import Reviewer, approve
from engine.dispatch import dispatch_due
from engine.errors import Busy, NoAnswer, NotFound, PermanentFailure, Refused, StillSending, TemporaryFailure
from engine.events import Event
from engine.model import Letter, Pace, Sent, Withdrawn
from engine.react import react
from engine.ready import letter_of
from engine.recover import recover
from engine.seams import Clock, Gate
from engine.states import PUT_BACK, DraftState
from engine.store import Store
from engine.store.drafts import NOBODYS, Drafts
from engine.store.enrollments import Enrollments
from engine.store.tables import draft
from engine.store.threads import Threads
from engine.wake import wake_due
from engine.wish import Author
from engine.write import Change, update
from tests.doubles import FrozenClock, MemoryMailbox
from tests.makers import IDA, enrolled, label_a_follow_up, open_thread, pending, reply, sequence
from tests.proof.director import Director, Situation
from tests.proof.door import hear_at_the_door
from tests.proof.oracle import ACKNOWLEDGED, LEFT, Broken
from tests.proof.rooms import PostgresRoom, Room, SqliteRoom
from tests.proof.stage import Again, Stage

LONG = bool(os.environ.get("RELENT_TEST_LONG"))
#: An answer that has to wait is told so at once, and asks again when somebody has moved.
PACE = Pace(gate_deadline=timedelta(seconds=30), ack_wait=timedelta(0))
ENDED = {"sent", "cancelled"}
AT_REST = ENDED | {"failed", "uncertain", "held"}
ANN = Author(id="Ann")


# --- what the mail server says to the dot ---

Fate = Callable[["Play", Letter], Sent]


def takes_it(play: "Play", letter: Letter) -> Sent:
    play.stage.tell(LEFT, letter.key)
    return Sent("250 taken")


def takes_it_in_silence(play: "Play", letter: Letter) -> Sent:
    play.stage.tell(LEFT, letter.key)
    raise NoAnswer("the server hung up")


def wants_it_later(play: "Play", letter: Letter) -> Sent:
    raise TemporaryFailure("451 later")


def never_wants_it(play: "Play", letter: Letter) -> Sent:
    raise PermanentFailure("554 never")


class Mail(MemoryMailbox):
    """Somebody may come between the gate and the dot."""

    def __init__(self, play: "Play", fate: Fate) -> None:
        super().__init__()
        self._play, self._fate = play, fate

    def send(self, letter: Letter, gate: Gate) -> Sent | Withdrawn:
        if not gate():
            return Withdrawn()
        self._play.stage.pause("before the dot")
        return self._fate(self._play, letter)


# --- where it begins ---


@dataclass(frozen=True)
class Scene:
    begins: datetime
    thread_id: str
    draft_id: str = ""


class Hear(Protocol):
    """By which door an answer comes in."""

    def __call__(self, event: Event, *, store: Store, clock: Clock, pace: Pace) -> object: ...


def react_to(event: Event, *, store: Store, clock: Clock, pace: Pace) -> object:
    return react(event, b"", store=store, clock=clock, pace=pace)


TWO_LETTERS = {"subject": "Hello", "body": "One"}, {"after": "1d", "body": "Two"}


def a_letter_is_due(store: Store, clock: FrozenClock, **above: str) -> Scene:
    enrolled(store, clock.now(), wants=sequence(*TWO_LETTERS, **above))
    [draft] = pending(store, clock.now())
    return Scene(clock.now(), draft["thread_id"], draft["draft_id"])


def a_letter_wants_a_yes(store: Store, clock: FrozenClock) -> Scene:
    return a_letter_is_due(store, clock, approval="first")


def a_follow_up_by_hand_is_due(store: Store, clock: FrozenClock) -> Scene:
    thread_id = open_thread(store, clock.now())
    return Scene(clock.now(), thread_id, label_a_follow_up(store, clock.now(), thread_id, clock.now()))


def a_wait_is_over(store: Store, clock: FrozenClock) -> Scene:
    wait = {"wait_for": 'clicked("report")', "up_to": "5d", "then": [], "else": [{"body": "Two"}]}
    enrolled(store, clock.now(), wants=sequence({"subject": "Hello", "body": "One"}, wait))
    [draft] = pending(store, clock.now())
    list(dispatch_due(store=store, mailbox=MemoryMailbox(), clock=clock, pace=PACE))
    with store.reading(clock.now()) as ledger:
        waking = ledger.enrollments.next_waking()
    assert waking is not None
    return Scene(waking, draft["thread_id"])


# --- what is played ---


@dataclass(frozen=True)
class Company:
    """Who plays together, and where it begins."""

    begins: Callable[[Store, FrozenClock], Scene]
    actors: tuple[str, ...]
    fate: Fate = takes_it


COMPANIES = {
    "a yes": Company(a_letter_wants_a_yes, ("sender", "answer", "yes", "recovery")),
    "an edit": Company(a_follow_up_by_hand_is_due, ("sender", "answer", "edit", "recovery")),
    "the next step": Company(a_wait_is_over, ("sender", "answer", "next step", "recovery")),
    "two senders": Company(a_letter_is_due, ("sender", "second sender", "recovery")),
    "later": Company(a_letter_is_due, ("sender", "answer alone", "recovery"), wants_it_later),
    "never": Company(a_letter_is_due, ("sender", "answer alone", "recovery"), never_wants_it),
    "silence": Company(a_letter_is_due, ("sender", "answer", "recovery"), takes_it_in_silence),
}


class Play:
    """One company, in one room."""

    def __init__(self, company: Company, room: Room) -> None:
        self.store = room.store
        self.scene = company.begins(room.store, FrozenClock())
        self.clock, self.fate = FrozenClock(self.scene.begins), company.fate
        stories: dict[str, Callable[[], object]] = {
            "sender": self.send,
            "second sender": self.send,
            "answer": lambda: self.answer(hear_at_the_door),
            "answer alone": lambda: self.answer(react_to),
            "yes": self.approve,
            "edit": self.edit,
            "next step": lambda: wake_due(store=self.store, clock=self.clock),
            "recovery": self.recover,
        }
        self.stage = Stage(room, {name: stories[name] for name in company.actors})
        self.director = Director(
            room=room,
            stage=self.stage,
            mortal=frozenset({"sender", "answer", "answer alone"}),
            finish=self.aftermath,
            interrupted=_interrupted(room),
        )

    def send(self) -> None:
        mail = Mail(self, self.fate)
        list(dispatch_due(store=self.store, mailbox=mail, clock=self.clock, pace=PACE))

    def answer(self, hear: Hear) -> None:
        try:
            hear(reply(self.scene.thread_id), store=self.store, clock=self.clock, pace=PACE)
        except StillSending:
            raise Again from None
        self.stage.tell(ACKNOWLEDGED, IDA)  # at once: later could only be easier to keep

    def approve(self) -> None:
        with suppress(Refused, NotFound):
            approve(self.scene.draft_id, by=Reviewer(id="kim"), store=self.store, clock=self.clock)

    def edit(self) -> None:
        with suppress(Busy, NotFound):
            change = Change(words={"text": "other words"})
            update(self.scene.draft_id, change, by=ANN, store=self.store, clock=self.clock)

    def recover(self) -> None:
        ahead = FrozenClock(self.scene.begins + PACE.lease + timedelta(seconds=1))
        recover(store=self.store, mailbox=MemoryMailbox(), clock=ahead, pace=PACE)

    def aftermath(self, last: Situation) -> None:
        """The fence passes, then whatever time it takes; nobody else comes between any more."""
        oracle, clock = last.oracle, FrozenClock(self.scene.begins + PACE.fence + timedelta(seconds=1))
        oracle = oracle.hears(self._work(clock))
        if not oracle.acknowledged and {"answer", "answer alone"} & self.stage.stories.keys():
            try:
                hear_at_the_door(
                    reply(self.scene.thread_id), store=self.store, clock=clock, pace=PACE
                )  # its sender repeats it until it is told yes
            except StillSending as error:
                raise Broken(f"nobody ever acknowledges the answer: {error}") from error
            oracle = oracle.hears([(ACKNOWLEDGED, IDA)])
        while (hour := self._next_hour(clock)) is not None:
            clock.pass_(max(hour - clock.now(), timedelta(minutes=1)))
            assert clock.now() < self.scene.begins + timedelta(days=30), "there is no end to it"
            oracle = oracle.hears(self._work(clock))
        for each in pending(self.store, clock.now(), ended=True):
            _at_its_end(each["draft_id"], each["state"], each["labels"])

    def _work(self, clock: FrozenClock) -> list[tuple[str, str]]:
        mailbox = MemoryMailbox()
        recover(store=self.store, mailbox=mailbox, clock=clock, pace=PACE)
        wake_due(store=self.store, clock=clock)
        list(dispatch_due(store=self.store, mailbox=mailbox, clock=clock, pace=PACE))
        return [(LEFT, letter.key) for letter in mailbox.sent]

    def _next_hour(self, clock: FrozenClock) -> datetime | None:
        with self.store.reading(clock.now()) as ledger:
            hours = ledger.drafts.next_due(), ledger.enrollments.next_waking()
        return min((hour for hour in hours if hour is not None), default=None)


def _interrupted(room: Room) -> tuple[int, ...] | None:
    if not isinstance(room, PostgresRoom):
        return None
    return tuple(range(1, 60)) if LONG else ()


def _at_its_end(draft_id: str, state: str, labels: list[str]) -> None:
    if state not in AT_REST:
        raise Broken(f"{draft_id} is stuck: {state}")
    labelled = any(label.startswith(ids.FOLLOW_UP) for label in labels)
    if labelled == (state in ENDED):
        raise Broken(f"{draft_id} is {state}, and its label is {'still there' if labelled else 'gone'}")


# --- on both databases ---


@pytest.fixture
def room(database_url: str) -> Iterator[Room]:
    path = database_url.removeprefix("sqlite:///")
    found = PostgresRoom(database_url) if path == database_url else SqliteRoom(Path(path))
    yield found
    found.close()


@pytest.fixture
def plays(room: Room, monkeypatch: pytest.MonkeyPatch) -> Callable[[Company], Play]:
    """Names come out the same in every schedule, and whoever has been struck dead is known to be."""

    def begin(company: Company) -> Play:
        births = count()
        monkeypatch.setattr(ids, "_birth", _Birth(lambda: str(next(births))))
        play = Play(company, room)
        monkeypatch.setattr(ids, "_birth", _Birth(play.stage.new_name))
        monkeypatch.setattr(secrets, "token_hex", lambda _: play.stage.new_name())
        monkeypatch.setattr(owner, "me", play.stage.whose)
        monkeypatch.setattr(owner, "dead", lambda owners: [one for one in owners if one in _dead(play)])
        return play

    return begin


def _dead(play: Play) -> set[str]:
    return play.director.here.dead if play.director.here else set()


class _Birth:
    def __init__(self, name: Callable[[], str]) -> None:
        self._name = name

    def number(self, milliseconds: int) -> tuple[int, int]:
        return milliseconds, crc32(self._name().encode())


@pytest.mark.parametrize("name", COMPANIES)
def test_whoever_comes_between_the_promises_are_kept(name, plays, room, caplog, counted):
    explored = plays(COMPANIES[name]).director.explore()
    counted(f"every interleaving, {name}, {room.store.database.dialect.name}: {explored}")

    assert explored.schedules > 100
    assert "mistake" not in caplog.text
    assert "did not answer" not in caplog.text  # nobody was in a deadlock, nor waited too long for a lock


# --- and a promise that is not kept is found out ---


def selects_then_sends(play: Play) -> None:
    """As is usual: what is due is looked up, handed over, and noted as sent."""
    with play.store.reading(play.clock.now()) as ledger:
        due = [each["draft_id"] for each in ledger.views.drafts() if each["state"] == "scheduled"]
        letters = [letter_of(draft, ledger) for draft in map(ledger.drafts.get, due) if draft]
    for letter in letters:
        Mail(play, play.fate).send(letter, lambda: True)
        with play.store.transaction(play.clock.now(), "a naive sender") as ledger:
            ledger.drafts.cancel([letter.key], "sent")
            ledger.threads.untag_ended(letter.key)


def tries_again(drafts: Drafts, dead: list[str], *, fence: timedelta) -> object:
    """Recovery that takes "its worker is gone" for "it has not left"."""
    where = draft.c.claim_owner.in_(dead)
    return drafts._sweep(PUT_BACK, DraftState.RELEASING, where, why="its worker is gone", **NOBODYS)


BROKEN: dict[str, tuple[str, str, object]] = {
    "the acknowledgement does not wait": (
        "a yes",
        "engine.react._wait",
        lambda *_, **__: None,
    ),
    "nothing is claimed": (
        "two senders",
        "tests.proof.test_every_interleaving.Play.send",
        selects_then_sends,
    ),
    "nothing is claimed, and somebody answers": (
        "a yes",
        "tests.proof.test_every_interleaving.Play.send",
        selects_then_sends,
    ),
    "the gate is always open": ("a yes", "engine.store.drafts.Drafts.pass_gate", lambda *_, **__: True),
    "what the dead let go is sent again": (
        "two senders",
        "engine.store.drafts.Drafts.doubt_abandoned",
        tries_again,
    ),
    "the dead are not found": ("two senders", "engine.store.drafts.Drafts.free_abandoned", lambda *_: ()),
    "labels stay": ("an edit", "engine.store.threads.Threads.untag", lambda *_: None),
}


@pytest.mark.parametrize("what", BROKEN)
def test_what_does_not_keep_them_is_found_out(what, plays, monkeypatch):
    company, place, instead = BROKEN[what]
    monkeypatch.setattr(place, instead)
    with pytest.raises(Broken) as broken:
        plays(COMPANIES[company]).director.explore()
    assert broken.value.__notes__[0].count("then"), "nobody has told how it came to that"


def test_on_postgresql_it_is_the_locks_that_keep_them(plays, room, monkeypatch):
    """SQLite lets one write at a time, and needs none."""
    monkeypatch.setattr(Threads, "lock", lambda *_: None)
    monkeypatch.setattr(Enrollments, "lock", Enrollments.get)
    director = plays(COMPANIES["the next step"]).director
    if isinstance(room, SqliteRoom):
        assert director.explore().schedules > 100
    else:
        with pytest.raises(Broken, match="stuck"):
            director.explore()
