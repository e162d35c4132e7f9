"""What is foreseen is what happens: the same people, rules and events, once in the mind and once in the database."""

from datetime import UTC, datetime, timedelta

from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

from engine.dispatch import dispatch_due
from engine.enroll import enroll_all, prepare
from engine.errors import Refused
from engine.events import AutoReply, Reply
from engine.foresee import Deed, Foresight, World
from engine.happen import happen
from engine.model import Pace, Prospect
from engine.react import react
from engine.recover import recover
from engine.sequence import Sequence
from engine.store import open_store
from engine.wake import wake_due
from tests.doubles import FrozenClock, MemoryMailbox
from tests.makers import SAM

START = datetime(2026, 3, 20, 7, 30, tzinfo=UTC)  # a Friday; clocks change in the weeks after it
LONG = timedelta(days=120)

waits = st.sampled_from(["0d", "45s", "30m", "5h", "1d", "3d", "1w", "1bd", "3bd"])
zones = st.sampled_from(["Europe/Oslo", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", ""])
kinds = st.sampled_from(["mail", "thread", "if", "choose", "wait", "task", "webhook"])


def _step(kind: str, number: int, after: str) -> dict:
    mail = {"id": f"s{number}", "after": after, "body": "Text {{ email }}"}
    match kind:
        case "thread":
            return mail | {"subject": f"Thread {number}"}
        case "if":
            return mail | {"if": 'team == "red"'}
        case "choose":
            ways = [
                {"if": 'team == "red"', "then": [{"id": f"red{number}", "body": "Red"}]},
                {"else": [{"id": f"blue{number}", "after": "1d", "body": "Blue"}]},
            ]
            return {"id": f"c{number}", "after": after, "choose": ways}
        case "wait":
            return {
                "id": f"w{number}",
                "after": after,
                "wait_for": "ping",
                "up_to": "2d",
                "then": [{"id": f"came{number}", "body": "It came"}],
                "else": [{"id": f"late{number}", "after": "3h", "body": "It did not"}],
            }
        case "task":
            return {"id": f"t{number}", "after": after, "task": "Call {{ email }}"}
        case "webhook":
            return {"id": f"h{number}", "after": after, "webhook": "https://crm.example.com/hook"}
        case _:
            return mail


@st.composite
def sequences(draw) -> Sequence:
    steps = [{"id": "opener", "after": draw(waits), "subject": "Hello", "body": "Hello {{ email }}"}]
    for number in range(draw(st.integers(0, 4))):
        steps.append(_step(draw(kinds), number, draw(waits)))
    whole = {
        "name": "Random",
        "from": SAM,
        "steps": steps,
        "stop": {"reply": draw(st.sampled_from(["person", "company"]))},
    }
    if draw(st.booleans()):
        whole["schedule"] = {
            "fallback_timezone": "Europe/London",
            "windows": draw(
                st.sampled_from(
                    ["mon-fri 09:00-17:00", ["mon-thu 09:00-11:30, 13:00-16:00", "fri 09:00-12:00"]]
                )
            ),
            "holidays": draw(st.sampled_from(["none", "recipient", ["NO"]])),
            "skip": draw(st.sampled_from([[], ["2026-04-01..2026-04-03"]])),
        }
    if draw(st.booleans()):
        whole["limits"] = {"per_mailbox": draw(st.sampled_from(["2/day", "50/day", "3/hour"]))}
        if draw(st.booleans()):
            whole["limits"]["gap"] = "3m-9m"
        if draw(st.booleans()):
            whole["limits"]["per_company"] = "1/day"
        if draw(st.booleans()):
            whole["limits"]["ramp"] = "1/day to 4/day over 5d"
    return Sequence.model_validate(whole)


@st.composite
def people(draw) -> list[Prospect]:
    found = []
    for number in range(draw(st.integers(1, 5))):
        firm = draw(st.sampled_from(["mill.example", "quarry.example"]))
        variables = {"timezone": draw(zones), "team": draw(st.sampled_from(["red", "blue"]))}
        found.append(Prospect(email=f"p{number}@{firm}", variables=variables))
    return found


@st.composite
def deeds(draw) -> list[tuple[int, Deed]]:
    """Whose deed, and what."""
    found = []
    for _ in range(draw(st.integers(0, 4))):
        # never at the second of a letter's hour: who is first at one instant is a matter of luck in the world
        at = START + timedelta(minutes=draw(st.integers(1, 60 * 24 * 20)), seconds=17, milliseconds=1)
        kind = draw(st.sampled_from(["reply", "out_of_office", "event"]))
        found.append(
            (draw(st.integers(0, 4)), Deed(at=at, kind=kind, name="ping" if kind == "event" else ""))
        )
    return found


class _Kept(World):
    """Remembers what left."""

    def __init__(self) -> None:
        self.letters: dict[str, list] = {}

    def letter(self, life, letter):
        self.letters.setdefault(life.email, []).append((letter.step, letter.send_at, letter.text))
        return ()


def _foreseen(sequence, prospects, doings):
    kept = _Kept()
    world = Foresight(sequence=sequence, start=START, world=kept)
    for number, prospect in enumerate(prospects):
        world.enter(prospect, SAM, [deed for whose, deed in doings if whose % len(prospects) == number])
    world.play(START + LONG)
    return {prospect.email: kept.letters.get(prospect.email, []) for prospect in prospects}


class _Production:
    """The real stories over a real database; only time is moved by hand, from one hour that matters to the next."""

    def __init__(self, path) -> None:
        self.store = open_store(f"sqlite:///{path}")
        self.clock, self.mailbox, self.pace = FrozenClock(START), MemoryMailbox(), Pace()
        self.sent: dict[str, list] = {}

    def run(self, sequence, prospects, doings):
        with self.store.transaction(self.clock.now(), "a test") as ledger:
            enroll_all([prepare(prospect, sequence) for prospect in prospects], ledger=ledger)
        self.sent = {prospect.email: [] for prospect in prospects}
        todo = sorted(
            ((deed.at, number, deed) for number, (_, deed) in enumerate(doings)), key=lambda each: each[:2]
        )
        while True:
            self._tick()
            due = self._next_hour()
            if todo and (due is None or todo[0][0] <= due):
                at, number, deed = todo.pop(0)
                self._move_to(at)
                self._happen(prospects[doings[number][0] % len(prospects)].email, deed, number)
            elif due is None or due > START + LONG:
                break
            else:
                self._move_to(due)
        self.store.close()
        return self.sent

    def _tick(self) -> None:
        outside = {"store": self.store, "mailbox": self.mailbox, "clock": self.clock, "pace": self.pace}
        while True:
            recover(**outside)
            woken = wake_due(store=self.store, clock=self.clock)
            done = list(dispatch_due(**outside))
            if not woken and not done:
                break
        with self.store.reading(self.clock.now()) as ledger:
            for mail in ledger.views.messages():
                if mail["direction"] == "sent":
                    told = (mail["step"], mail["timestamp"], mail["text"])
                    if told not in self.sent[mail["to"][0]]:
                        self.sent[mail["to"][0]].append(told)

    def _next_hour(self):
        with self.store.reading(self.clock.now()) as ledger:
            hours = ledger.drafts.next_due(), ledger.enrollments.next_waking()
        return min((hour for hour in hours if hour is not None), default=None)

    def _move_to(self, at) -> None:
        self.clock.pass_(max(at - self.clock.now(), timedelta(0)))

    def _happen(self, email, deed, number) -> None:
        if deed.kind == "event":
            happen(f"evt_{number}", deed.name, email, None, by="a test", store=self.store, clock=self.clock)
            return
        with self.store.reading(self.clock.now()) as ledger:
            thread = next(one["thread_id"] for one in ledger.views.people() if one["email"] == email)
        kind = Reply if deed.kind == "reply" else AutoReply
        event = kind(
            id=f"evt_{number}",
            inbox_id=SAM,
            thread_id=thread,
            sender=email,
            message_id=f"<{number}@x.example>",
        )
        react(event, b"", store=self.store, clock=self.clock, pace=self.pace)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(sequences(), people(), deeds())
def test_what_is_foreseen_is_what_happens_to_the_second(tmp_path_factory, sequence, prospects, doings):
    try:
        foreseen = _foreseen(sequence, prospects, doings)
    except Refused:
        reject()  # another one; a skip would end the whole test here
    happened = _Production(tmp_path_factory.mktemp("p") / "relent.db").run(sequence, prospects, doings)
    assert happened == foreseen


def test_a_follow_up_of_this_very_instant_goes_before_the_next_first_letter_in_both(tmp_path):
    steps = [
        {"id": "opener", "subject": "Hello", "body": "Hello {{ email }}"},
        {"id": "at-once", "body": "One thing more"},
    ]
    wants = Sequence.model_validate(
        {"name": "Two at once", "from": SAM, "steps": steps, "limits": {"per_mailbox": "2/day"}}
    )
    prospects = [Prospect(email=f"p{number}@mill.example") for number in range(2)]
    foreseen = _foreseen(wants, prospects, [])
    assert _Production(tmp_path / "relent.db").run(wants, prospects, []) == foreseen
    assert [f"{at:%a}" for each in foreseen.values() for _, at, _ in each] == ["Fri", "Fri", "Mon", "Mon"]
