"""Many answer at one moment: they share a commit, and each is heard as if it were alone."""

import random
import re
import threading
from collections import Counter
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import OperationalError

from engine import chorus as chorus_room
from engine import scribe as scribe_room
from engine.chorus import Said, hear_alone, hear_together
from engine.dispatch import dispatch_due
from engine.errors import Overwhelmed, StillSending
from engine.events import AutoReply, Bounce, Reply
from engine.react import Hearing, Ignored, Stopped, react
from engine.scribe import Scribe
from engine.store.tables import draft, draft_label, metadata
from engine.subscribers import Subscription, subscribe
from tests.makers import SAM, Ticket, enrolled, label_a_follow_up, open_thread, sequence, tell

HOUR = timedelta(hours=1)


@dataclass
class World:
    """People of every kind, all under names of their own, and what they say."""

    store: object
    clock: object
    mailbox: object
    pace: object
    name: str
    said: list[Said] = field(default_factory=list)

    def address(self, who, firm=None):
        return f"{who}@{firm or who}-{self.name}.example"

    def enroll(self, who, firm=None, **rules):
        wants = sequence(**{"name": "Quick question", **rules})
        email = self.address(who, firm)
        life = enrolled(self.store, self.clock.now(), email, wants)
        with self.store.reading(self.clock.now()) as ledger:
            return email, ledger.enrollments.get(life)

    def dispatch(self):
        list(dispatch_due(store=self.store, mailbox=self.mailbox, clock=self.clock, pace=self.pace))

    def say(self, kind, thread_id, sender, **more):
        number = len(self.said)
        usual = {
            "id": f"evt_{self.name}_{number}",
            "inbox_id": SAM,
            "thread_id": thread_id,
            "message_id": f"<{self.name}-{number}@there.example>",
        }
        if kind is not Bounce:
            usual |= {"sender": sender, "subject": "Re: Quick question", "text": "Yes", "to": (SAM,)}
        event = kind(**usual | more)
        self.said.append(Said(event, f"{self.name} {number}".encode()))
        return event

    def state(self, who, state):
        with self.store.database.begin() as db:
            db.execute(
                draft.update()
                .where(draft.c.to == who)
                .values(
                    state=state, claim_token="t", claim_owner="x/1/2/3", lease_until=self.clock.now() + HOUR
                )
            )


def _fill(world):
    """One of every kind. Whoever thinks of another kind adds a line."""
    e, life = world.enroll("plain")
    world.say(Reply, life.thread_id, e)
    e, life = world.enroll("shouting")
    world.say(Reply, life.thread_id, e.upper(), inbox_id=SAM.upper())
    e, life = world.enroll("never", stop={"reply": "never"}, name="Never")
    world.say(Reply, life.thread_id, e)
    e, life = world.enroll("firm1", "firm", stop={"reply": "company"}, name="Firm")
    world.enroll("firm2", "firm", stop={"reply": "company"}, name="Firm")
    world.say(Reply, life.thread_id, e)
    e, life = world.enroll("lonely", stop={"reply": "company"}, name="Firm")
    world.say(Reply, life.thread_id, e)
    e, life = world.enroll("twice")
    e, _ = world.enroll("twice", name="Another", **{"from": "kim@acme.example"})
    world.say(Reply, life.thread_id, e)
    e, life = world.enroll("again")
    first = world.say(Reply, life.thread_id, e)
    world.said.append(Said(first, b"once more"))
    world.say(Reply, life.thread_id, e, message_id=first.message_id)
    world.say(Reply, life.thread_id, e)
    e, life = world.enroll("elsewhere")
    world.say(Reply, life.thread_id, "home@" + e.partition("@")[2])
    e, life = world.enroll("unverified")
    world.say(Reply, life.thread_id, e, verified=False)
    e, life = world.enroll("away")
    world.say(AutoReply, life.thread_id, e)
    e, life = world.enroll("bounced")
    world.say(Bounce, life.thread_id, e, permanent=True, recipients=(e,))
    e, life = world.enroll("stranger")
    world.say(Reply, "thr_nobody", e)
    world.say(Reply, "thr_nobody", world.address("nobody"))
    e, life = world.enroll("ourselves")
    world.say(Reply, life.thread_id, "kim@acme.example")
    world.say(Reply, life.thread_id, SAM)
    e, life = world.enroll("mistaken")
    world.say(Reply, life.thread_id, e, inbox_id="kim@acme.example")
    e, life = world.enroll("nameless")
    world.say(Reply, life.thread_id, e, message_id=None)
    for state in ("held", "claimed", "releasing", "failed", "uncertain"):
        e, life = world.enroll(state)
        world.state(e, state)
        world.say(Reply, life.thread_id, e)
    e, life = world.enroll("paused")
    with world.store.transaction(world.clock.now(), "a test") as ledger:
        ledger.enrollments.pause([life.id], "for a test")
    world.say(Reply, life.thread_id, e)
    e, life = world.enroll("stale")
    with world.store.transaction(world.clock.now(), "a test") as ledger:
        ledger.threads.tag(life.thread_id, "follow-up:drf_gone")
    world.say(Reply, life.thread_id, e)
    _fill_by_hand(world)


def _fill_by_hand(world):
    now = world.clock.now()
    for who in ("byhand", "unlabelled", "both", "somewhere"):
        thread_id = open_thread(world.store, now)
        address = world.address(who)
        with world.store.database.begin() as db:
            db.execute(text("UPDATE thread SET contact = :c WHERE id = :t"), {"c": address, "t": thread_id})
        draft_id = label_a_follow_up(world.store, now, thread_id, now + HOUR)
        with world.store.database.begin() as db:
            db.execute(draft.update().where(draft.c.id == draft_id).values(to=address, labels=["mine"]))
            db.execute(
                draft_label.insert().values(draft_id=draft_id, label="mine", inbox_id=SAM, edited_at=now)
            )
            if who == "unlabelled":
                db.execute(text("DELETE FROM thread_label WHERE thread_id = :t"), {"t": thread_id})
        if who == "both":
            world.enroll(who, who)
        spoken = open_thread(world.store, now) if who == "somewhere" else thread_id
        world.say(Reply, spoken, address)


def _fill_after_sending(world):
    """Their first letter has left; of some, all of them."""
    lives = [world.enroll(f"sent{number}") for number in range(3)]
    short = world.enroll("finished", name="Short", steps=[{"subject": "Hi", "body": "That is all."}])
    world.dispatch()
    for email, life in [*lives, short]:
        world.say(Reply, life.thread_id, email, references=("<a@acme.example>",))


_KEPT = (
    "thread", "enrollment", "draft", "thread_label", "draft_label", "message", "message_label", "inbound_event",
    "inbound_message", "audit", "absence", "suppression",
)  # fmt: skip
_BY_CHANCE = {"seq", "claim_token", "content_sha", "approved_sha", "created_at"}
_ID = re.compile(r"\b[a-z]{3}_[0-9a-z]{20,30}\b")


def _dump(world):
    """All that is kept of this world, with its ids replaced by what they are to it."""
    with world.store.database.connect() as db:
        kept = {name: [row._mapping for row in db.execute(select(metadata.tables[name]))] for name in _KEPT}
    names = _names(kept)
    rows = Counter()
    for name, found in kept.items():
        for each in found:
            line = _in_words({key: value for key, value in each.items() if key not in _BY_CHANCE}, names)
            line, mine = re.subn(world.name, "WORLD", line, flags=re.IGNORECASE)
            rows.update([f"{name}: {line}"] if mine else [])
    return rows


def _in_words(row, names):
    line = "|".join(f"{key}={value}" for key, value in sorted(row.items()))
    for letter in re.findall(r"<[^<>\s]+@[^<>\s]+>", line):
        line = line.replace(letter, names.get(letter, letter))
    return _ID.sub(lambda found: names.get(found[0], "ID"), line)


def _names(kept):
    return (
        {each["id"]: f"thread of {each['contact']}" for each in kept["thread"]}
        | {each["id"]: f"life of {each['contact']} in {each['sequence']}" for each in kept["enrollment"]}
        | {each["id"]: f"draft {each['step']} to {each['to']}" for each in kept["draft"]}
        | {each["message_id"]: f"letter {each['step']} to {each['to']}" for each in kept["draft"]}
    )


def _two_worlds(store, clock, mailbox, pace, fill):
    worlds = [World(store, clock, mailbox, pace, name) for name in ("together", "oneatime")]
    for world in worlds:
        fill(world)
    return worlds


@pytest.mark.parametrize("fill", [_fill, _fill_after_sending])
@pytest.mark.parametrize("listening", [False, True])
def test_together_or_alone_what_is_kept_is_the_same(
    store, clock, mailbox, pace, fill, listening, monkeypatch
):
    plain = []
    write_down = chorus_room._write_down
    monkeypatch.setattr(
        chorus_room, "_write_down", lambda cases, ledger: (plain.extend(cases), write_down(cases, ledger))
    )
    together, alone = _two_worlds(store, clock, mailbox, pace, fill)
    if listening:
        subscribe_to_everything(store, clock)
    patient = replace(pace, ack_wait=timedelta(0))
    heard = hear_together(together.said, store=store, clock=clock)
    for said, found in zip(together.said, heard, strict=True):
        heard_now = found or hear_alone(said, store=store, clock=clock)
        assert isinstance(heard_now, Hearing), heard_now
    for said in alone.said:
        _react(said, store, clock, patient)

    left, right = _dump(together), _dump(alone)
    assert sorted((left - right).elements()) == sorted((right - left).elements())
    assert len(plain) >= (9 if fill is _fill else 4), "nothing was heard together"
    if listening:
        told = _told(store)
        assert told["together"] == told["oneatime"]
        assert told["together"]["followup.cancelled"] > 2


def _react(said, store, clock, pace):
    with suppress(StillSending):
        react(said.event, said.raw, store=store, clock=clock, pace=pace)


def subscribe_to_everything(store, clock):
    subscribe(
        Subscription(
            url="https://there.example/hook", event_types=("followup.cancelled", "enrollment.stopped")
        ),
        by="a test",
        store=store,
        clock=clock,
        judge=lambda url: None,
    )


def _told(store):
    with store.database.connect() as db:
        rows = db.execute(text("SELECT kind, thread_id, says FROM telling")).all()
        names = dict(db.execute(text("SELECT id, contact FROM thread")).all())
    found = {"together": Counter(), "oneatime": Counter()}
    for kind, thread_id, _ in rows:
        for world, counted in found.items():
            if f"-{world}.example" in names[thread_id]:
                counted[kind] += 1
    return found


def _plain(world, number):
    for each in range(number):
        email, life = world.enroll(f"p{each}")
        world.say(Reply, life.thread_id, email)
    return world.said


@pytest.fixture
def world(store, clock, mailbox, pace):
    return World(store, clock, mailbox, pace, "world")


def _cancelled(world):
    with world.store.reading(world.clock.now()) as ledger:
        return sum(each["state"] == "cancelled" for each in ledger.views.drafts(ended=True))


def test_one_that_cannot_be_written_down_takes_nobody_with_it(world, monkeypatch):
    said = _plain(world, 5)
    usual = chorus_room.hear_and_keep

    def poisoned(event, raw, ledger):
        heard = usual(event, raw, ledger)
        if event.id.endswith("_2"):
            raise RuntimeError("poison")
        return heard

    monkeypatch.setattr(chorus_room, "_hear_plain", lambda said, ledger: {})
    monkeypatch.setattr(chorus_room, "hear_and_keep", poisoned)
    heard = [
        found or hear_alone(each, store=world.store, clock=world.clock)
        for each, found in zip(said, hear_together(said, store=world.store, clock=world.clock), strict=True)
    ]

    assert [isinstance(each, Hearing) for each in heard] == [True, True, False, True, True]
    assert _cancelled(world) == 4


def test_what_cannot_be_said_together_is_said_one_by_one(world, monkeypatch):
    said = _plain(world, 5)
    monkeypatch.setattr(chorus_room, "_write_down", lambda cases, ledger: 1 / 0)

    assert hear_together(said, store=world.store, clock=world.clock) == [None] * 5
    assert _cancelled(world) == 0
    for each in said:
        assert isinstance(hear_alone(each, store=world.store, clock=world.clock), Hearing)
    assert _cancelled(world) == 5


def test_nobody_hears_yes_before_the_commit_and_nobody_at_all_when_it_fails(world, monkeypatch):
    said = _plain(world, 3)
    usual = world.store.transaction

    @contextmanager
    def failing(*words, **more):
        with usual(*words, **more) as ledger:
            yield ledger
            raise OperationalError("COMMIT", {}, Exception("the disk is full"))

    monkeypatch.setattr(world.store, "transaction", failing)
    heard = hear_together(said, store=world.store, clock=world.clock)

    assert all(isinstance(each, OperationalError) for each in heard)
    assert _cancelled(world) == 0


def test_a_letter_that_is_claimed_between_question_and_answer_is_still_called_back(world, monkeypatch):
    """On PostgreSQL a worker may claim while the answers are read; on SQLite it comes before or after."""
    said = _plain(world, 3)
    emails = [each.event.sender for each in said]
    world.state(emails[1], "claimed")
    hear_together(said, store=world.store, clock=world.clock)

    assert _cancelled(world) == 3


def test_a_sequence_that_cannot_be_read_any_more_concerns_its_own_people_alone(world, monkeypatch):
    said = _plain(world, 3)
    email, life = world.enroll("newer", name="Newer")
    world.say(Reply, life.thread_id, email)
    with world.store.database.begin() as db:
        db.execute(text("UPDATE sequence_version SET body = '{}' WHERE name = 'Newer'"))
    monkeypatch.setattr(chorus_room, "hear_and_keep", lambda *_: 1 / 0)

    heard = hear_together(said, store=world.store, clock=world.clock)
    assert [isinstance(each, Hearing) for each in heard] == [True, True, True, False]
    assert _cancelled(world) == 3


def test_those_who_are_heard_one_by_one_let_a_letter_at_its_gate_go_first(world, monkeypatch):
    """Where all share one commit, the others get another one."""
    said = _plain(world, 4)
    monkeypatch.setattr(chorus_room, "_A_MOMENT", 0)
    monkeypatch.setattr(chorus_room, "_hear_plain", lambda said, ledger: {})

    assert hear_together(said, store=world.store, clock=world.clock) == [None] * 4
    assert _cancelled(world) == 0


@pytest.mark.parametrize("table", ["draft", "enrollment"])
def test_who_stands_still_with_somebodys_draft_in_hand_holds_up_nobody_else(world, table):
    if not world.store.waits_for_rows:
        return  # there everybody waits for one lock, and nobody holds it for long
    said = _plain(world, 3)
    name = said[1].event.thread_id
    whose = {
        "draft": "SELECT id FROM draft WHERE thread_id = :t FOR UPDATE",
        "enrollment": "SELECT id FROM enrollment WHERE id = (SELECT enrollment_id FROM thread WHERE id = :t) FOR UPDATE",
    }
    with world.store.database.begin() as db:  # a label would betray the draft
        db.execute(text("DELETE FROM thread_label WHERE thread_id = :t"), {"t": name})
    with world.store.database.connect() as frozen:
        assert frozen.execute(text(whose[table]), {"t": name}).all()
        heard = hear_together(said, store=world.store, clock=world.clock)
        assert [isinstance(each, Hearing) for each in heard] == [True, False, True]
        assert heard[1] is None
    assert isinstance(hear_alone(said[1], store=world.store, clock=world.clock), Hearing)
    assert _cancelled(world) == 3


@pytest.fixture
def scribe(store, clock):
    scribe = Scribe(store=store, clock=clock, tell=tell)
    yield scribe
    scribe.close()


def test_whoever_comes_while_others_are_written_down_shares_the_next_commit(world, scribe, monkeypatch):
    said = _plain(world, 40)
    batches = []
    usual = scribe_room.hear_together

    def counted(batch, **more):
        batches.append(len(batch))
        return usual(batch, **more)

    monkeypatch.setattr(scribe_room, "hear_together", counted)
    tickets = [Ticket() for _ in said]
    for each, ticket in zip(said, tickets, strict=True):
        scribe.write(each, ticket)
    for ticket in tickets:
        assert ticket.told.wait(30)

    assert all(isinstance(each.heard.reaction, Stopped) for each in tickets)
    assert sum(batches) == 40
    assert len(batches) < 20
    assert _cancelled(world) == 40


def test_a_thousand_times_the_same_from_all_sides_is_one_effect(world, scribe):
    said = _plain(world, 1)[0]
    tickets = [Ticket() for _ in range(200)]
    sides = [
        threading.Thread(
            target=lambda mine: [scribe.write(said, each) for each in mine], args=(tickets[n::8],)
        )
        for n in range(8)
    ]
    for side in sides:
        side.start()
    for side in sides:
        side.join()
    for ticket in tickets:
        assert ticket.told.wait(60)

    kinds = Counter(type(each.heard.reaction) for each in tickets)
    assert kinds == {Stopped: 1, Ignored: 199}


def test_a_full_queue_says_so_at_once(world, scribe, monkeypatch):
    monkeypatch.setattr(scribe_room, "_MOST_WAITING", 4)
    held, go_on = threading.Event(), threading.Event()
    usual = scribe_room.hear_together

    def slow(batch, **more):
        held.set()
        go_on.wait(30)
        return usual(batch, **more)

    monkeypatch.setattr(scribe_room, "hear_together", slow)
    said = _plain(world, 5)
    tickets = [Ticket() for _ in said]
    scribe.write(said[0], tickets[0])
    assert held.wait(10)
    for each, ticket in zip(said[1:4], tickets[1:4], strict=True):
        scribe.write(each, ticket)
    with pytest.raises(Overwhelmed):
        scribe.write(said[4], tickets[4])
    assert scribe.behind() > 0
    go_on.set()
    for ticket in tickets[:4]:
        assert ticket.told.wait(30)
    assert _cancelled(world) == 4


def test_whoever_was_heard_is_written_down_though_the_server_ends(world, store, clock):
    said = _plain(world, 10)
    leaving = Scribe(store=store, clock=clock, tell=tell)
    tickets = [Ticket() for _ in said]
    for each, ticket in zip(said, tickets, strict=True):
        leaving.write(each, ticket)
    leaving.close()

    assert all(ticket.told.is_set() for ticket in tickets)
    assert _cancelled(world) == 10


@pytest.mark.parametrize("seed", range(3))
def test_in_any_order_and_any_company(store, clock, mailbox, pace, seed):
    """Cut into batches by chance: what one batch holds does not change what becomes of anybody."""
    chance = random.Random(seed)
    together, alone = _two_worlds(store, clock, mailbox, pace, _fill)
    patient = replace(pace, ack_wait=timedelta(0))
    begin = 0
    while begin < len(together.said):
        size = chance.randint(1, 9)
        batch = together.said[begin : begin + size]
        for said, found in zip(batch, hear_together(batch, store=store, clock=clock), strict=True):
            assert isinstance(found or hear_alone(said, store=store, clock=clock), Hearing)
        begin += size
    for said in alone.said:
        _react(said, store, clock, patient)

    left, right = _dump(together), _dump(alone)
    assert sorted((left - right).elements()) == sorted((right - left).elements())
