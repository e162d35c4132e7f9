"""A month in a second: what would happen, if the world does what it is told."""

from collections import Counter, defaultdict
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from statistics import median
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.foresee import Deed, Foresight, World
from engine.hours import calendar
from engine.limits import Diary, Place, next_room
from engine.measures import Ramp
from engine.model import Prospect
from engine.sequence import Schedule
from engine.wording import unsaid
from tests.doubles import MONDAY
from tests.makers import IDA, SAM, sequence

LONG = timedelta(days=1100)
OFFICE = {"fallback_timezone": "Europe/Oslo", "windows": "mon-fri 09:00-17:00"}
OSLO = ZoneInfo("Europe/Oslo")


class Kept(World):
    """Remembers what left, what was done, and when."""

    def __init__(self):
        self.letters = []
        self.errands = []

    def letter(self, life, letter):
        self.letters.append((life.email, letter))
        return ()

    def errand(self, life, errand):
        self.errands.append((life.email, errand))

    def of(self, email):
        return [(letter.step, letter.send_at) for whose, letter in self.letters if whose == email]


def foresee(wanted, people=(IDA,), deeds=None, start=MONDAY, inboxes=(SAM,), say=None, until=LONG):
    """Everybody begins at once; `deeds` by address."""
    kept = Kept()
    world = Foresight(sequence=wanted, start=start, world=kept, **({"say": say} if say else {}))
    lives = {}
    for number, person in enumerate(people):
        prospect = person if isinstance(person, Prospect) else Prospect(email=person)
        inbox = inboxes[number % len(inboxes)]
        lives[prospect.email] = world.enter(prospect, inbox, (deeds or {}).get(prospect.email, ()))
    world.play(start + until)
    return kept, lives


def steps(kept, email=IDA):
    return [step for step, _ in kept.of(email)]


def deed(kind, days=1.0, **more):
    return Deed(at=MONDAY + timedelta(days=days), kind=kind, **more)


def clicked(value="report", days=1.0):
    return deed("event", days, name="clicked", value=value)


# --- when


@pytest.mark.parametrize(
    ("start", "after", "leaves"),
    [
        ("2026-03-27T10:00:00+01:00", "3d", "2026-03-30T10:00:00+02:00"),
        ("2026-03-27T10:00:00+01:00", "72h", "2026-03-30T11:00:00+02:00"),
        ("2026-03-27T10:00:00+01:00", "1bd", "2026-03-30T10:00:00+02:00"),
        ("2026-03-27T16:30:00+01:00", "24h", "2026-03-30T09:00:00+02:00"),
        ("2026-10-23T10:00:00+02:00", "3d", "2026-10-26T10:00:00+01:00"),
        ("2026-10-23T10:00:00+02:00", "72h", "2026-10-26T09:00:00+01:00"),
        ("2026-10-23T16:00:00+02:00", "1w", "2026-10-30T16:00:00+01:00"),
    ],
)
def test_a_wait_keeps_its_hour_when_the_clock_is_changed(start, after, leaves):
    """Worked out by hand: Oslo changes its clock on 29 March and on 25 October."""
    two = sequence({"subject": "Hi", "body": "x"}, {"after": after, "body": "y"}, schedule=OFFICE)
    kept, _ = foresee(two, start=datetime.fromisoformat(start).astimezone(UTC))
    assert kept.of(IDA)[1][1] == datetime.fromisoformat(leaves)


def test_a_late_letter_moves_all_that_follow():
    saturday = datetime(2026, 3, 7, 12, tzinfo=UTC)
    kept, _ = foresee(sequence(schedule=OFFICE), start=saturday)
    assert [at.astimezone(OSLO).strftime("%a %d %H") for _, at in kept.of(IDA)] == [
        "Mon 09 09",
        "Thu 12 09",
        "Tue 17 09",
    ]


def test_everybody_goes_by_their_own_clock():
    zones = {"o@a.example": "Europe/Oslo", "t@b.example": "Asia/Tokyo", "n@c.example": "America/New_York"}
    people = [Prospect(email=email, variables={"timezone": zone}) for email, zone in zones.items()]
    kept, _ = foresee(sequence(schedule=OFFICE), people, start=datetime(2026, 3, 1, tzinfo=UTC))
    first = {email: kept.of(email)[0][1].astimezone(ZoneInfo(zone)) for email, zone in zones.items()}
    assert {at.strftime("%a %H:%M") for at in first.values()} == {"Mon 09:00"}
    assert len({at.astimezone(UTC) for at in first.values()}) == 3


# --- what stops, and what does not


@pytest.mark.parametrize(
    ("kind", "name", "state"),
    [
        ("reply", "", "replied"),
        ("bounce", "", "bounced"),
        ("complaint", "", "complained"),
        ("unsubscribe", "", "unsubscribed"),
        ("event", "meeting_booked", "meeting"),
    ],
)
def test_whatever_stops_a_person_stops_the_next_letter(kind, name, state):
    kept, lives = foresee(sequence(), deeds={IDA: [deed(kind, name=name)]})
    assert (steps(kept), lives[IDA].state) == (["step-1"], state)


def test_an_answer_at_the_very_instant_of_a_letter_comes_first():
    kept, _ = foresee(sequence(), deeds={IDA: [deed("reply", days=3)]})
    assert steps(kept) == ["step-1"]


@pytest.mark.parametrize(("kind", "name"), [("reply", ""), ("bounce", ""), ("event", "meeting_booked")])
def test_never_means_never(kind, name):
    rules = {"reply": "never", "bounce": "never", "meeting": "never"}
    kept, lives = foresee(sequence(stop=rules), deeds={IDA: [deed(kind, name=name)]})
    assert (steps(kept), lives[IDA].state) == (["step-1", "step-2", "step-3"], "finished")


def test_an_answer_stops_the_colleagues_where_the_sequence_says_so():
    ola, stranger = "ola@nordic.example", "eva@harbour.example"
    kept, lives = foresee(
        sequence(stop={"reply": "company"}),
        [IDA, ola, stranger],
        {IDA: [deed("reply")]},
        inboxes=(SAM, "kim@a.co"),
    )
    assert [len(steps(kept, email)) for email in (IDA, ola, stranger)] == [1, 1, 3]
    assert lives[ola].state == "replied"


def test_people_of_a_free_mail_provider_are_no_colleagues():
    kept, _ = foresee(
        sequence(stop={"reply": "company"}),
        ["a@gmail.com", "b@gmail.com"],
        {"a@gmail.com": [deed("reply")]},
    )
    assert [len(steps(kept, email)) for email in ("a@gmail.com", "b@gmail.com")] == [1, 3]


def test_whoever_has_heard_everything_still_speaks_for_the_company():
    """An answer to the last letter counts for those who are still being written to."""
    wanted = sequence(
        {"subject": "Hi", "body": "x"},
        {"after": "3d", "if": 'team == "long"', "body": "y"},
        stop={"reply": "company"},
    )
    short = Prospect(email=IDA, variables={"team": "short"})
    long = Prospect(email="ola@nordic.example", variables={"team": "long"})
    kept, lives = foresee(wanted, [short, long], {IDA: [deed("reply")]})
    assert lives[IDA].state == "finished"
    assert (steps(kept, long.email), lives[long.email].state) == (["step-1"], "replied")


# --- who is away


def test_a_hold_does_not_use_up_the_wait():
    """One of three days had passed when they went; the other two pass when they are back, a working day after that."""
    kept, _ = foresee(sequence(), deeds={IDA: [deed("out_of_office", back=date(2026, 3, 12))]})
    assert kept.of(IDA)[1] == ("step-2", datetime(2026, 3, 15, tzinfo=UTC))


def test_without_a_date_they_are_away_for_as_long_as_the_sequence_says():
    wanted = sequence(out_of_office={"unknown": "4d"})
    kept, _ = foresee(wanted, deeds={IDA: [deed("out_of_office")]})
    assert kept.of(IDA)[1][1] == MONDAY + timedelta(days=3 + 4)


def test_an_absence_can_end_with_a_human_only():
    wanted = sequence(out_of_office={"resume": "never"})
    kept, lives = foresee(wanted, deeds={IDA: [deed("out_of_office")]})
    assert (steps(kept), lives[IDA].state, lives[IDA].enrollment.reason) == (
        ["step-1"],
        "paused",
        "out_of_office",
    )


# --- ways through the steps

WAITING = (
    {"id": "opener", "subject": "Hi", "body": "x"},
    {
        "id": "wait",
        "wait_for": 'clicked("report")',
        "up_to": "3d",
        "then": [{"id": "call", "task": "Call {{ email }}", "due": "2d"}],
        "else": [{"id": "bump", "body": "y"}],
    },
    {"id": "end", "after": "1d", "body": "z"},
)


@pytest.mark.parametrize(
    ("deeds", "letters", "tasks", "end"),
    [
        ([], ["opener", "bump", "end"], [], 4),
        ([clicked()], ["opener", "end"], ["call"], 2),
        ([clicked(days=2.9)], ["opener", "end"], ["call"], 3.9),
        ([clicked(days=3.1)], ["opener", "bump", "end"], [], 4),
        ([clicked("another")], ["opener", "bump", "end"], [], 4),
    ],
    ids=["nothing came", "it came", "it came late", "it came too late", "something else came"],
)
def test_a_wait_ends_with_what_it_waits_for_or_with_its_time(deeds, letters, tasks, end):
    kept, _ = foresee(sequence(*WAITING), deeds={IDA: deeds})
    assert steps(kept) == letters
    assert [errand.step for _, errand in kept.errands] == tasks
    assert kept.of(IDA)[-1][1] == MONDAY + timedelta(days=end)


def test_what_came_before_the_wait_began_counts():
    later = [{"id": "opener", "subject": "Hi", "body": "x"}, WAITING[1] | {"after": "5d"}]
    kept, _ = foresee(sequence(*later), deeds={IDA: [clicked()]})
    [(_, errand)] = kept.errands
    assert (errand.step, errand.at, errand.says["task"]) == (
        "call",
        MONDAY + timedelta(days=5),
        f"Call {IDA}",
    )
    assert errand.due == MONDAY + timedelta(days=7)


@pytest.mark.parametrize(
    ("size", "sent", "end"),
    [("2000", ["s", "big", "end"], 5), ("5", ["s", "small", "end"], 4), ("", ["s", "end"], 1)],
)
def test_a_choice_is_made_for_the_person_and_a_skipped_step_adds_no_delay(size, sent, end):
    wanted = sequence(
        {"id": "s", "subject": "Hi", "body": "x"},
        {
            "after": "3d",
            "if": "size",
            "choose": [
                {"if": "size | int >= 1000", "then": [{"id": "big", "after": "1d", "body": "x"}]},
                {"else": [{"id": "small", "body": "x"}]},
            ],
        },
        {"id": "end", "after": "1d", "body": "x"},
    )
    kept, _ = foresee(wanted, [Prospect(email=IDA, variables={"size": size})])
    assert steps(kept) == sent
    assert kept.of(IDA)[-1][1] == MONDAY + timedelta(days=end)


def test_a_task_counts_as_done_at_once_so_that_the_letters_behind_it_are_seen():
    wanted = sequence(
        {"id": "ring", "task": "Ring", "blocking": True}, {"id": "m", "subject": "Hi", "body": "x"}
    )
    kept, lives = foresee(wanted)
    assert (steps(kept), lives[IDA].state) == (["m"], "finished")


def test_who_lacks_something_is_held_and_says_what():
    kept, lives = foresee(sequence(requires=["company"]))
    assert (kept.letters, lives[IDA].state, lives[IDA].enrollment.reason) == (
        [],
        "paused",
        "company is missing",
    )


def test_the_sequences_own_rules_leave_people_out():
    wanted = sequence(enroll={"skip_if": "is_customer", "per_company": 1})
    world = Foresight(sequence=wanted, start=MONDAY)
    assert world.rule_against(Prospect(email=IDA, variables={"is_customer": "yes"})) == "skip_if: is_customer"
    assert world.rule_against(Prospect(email=IDA, variables={"is_customer": "no"})) is None
    world.enter(Prospect(email=IDA), SAM)
    assert (
        world.rule_against(Prospect(email="ola@nordic.example"))
        == "per_company 1: nordic.example has as many already"
    )
    assert world.rule_against(Prospect(email="eva@harbour.example")) is None


def test_where_nobody_reads_the_words_the_dates_are_the_same():
    wanted = sequence(schedule=OFFICE, limits={"per_mailbox": "3/day", "gap": "3m-9m"})
    people = [f"p{number}@c{number % 4}.example" for number in range(30)]
    spoken, _ = foresee(wanted, people)
    silent, _ = foresee(wanted, people, say=unsaid)
    assert all(letter.text == "" for _, letter in silent.letters)
    assert [spoken.of(email) for email in people] == [silent.of(email) for email in people]


# --- how much leaves

ZONES = ("Europe/Oslo", "America/New_York", "Asia/Kolkata")


def crowd(number):
    """People of a few companies, in three zones."""
    return [
        Prospect(email=f"p{n}@c{n % 17}.example", variables={"timezone": ZONES[n % len(ZONES)]})
        for n in range(number)
    ]


def by(kept, key):
    """Letters counted by whatever they have in common, and by the sender's day."""
    days = Counter()
    for email, letter in kept.letters:
        days[key(email, letter), letter.send_at.astimezone(OSLO).date()] += 1
    return days


@settings(max_examples=20, deadline=None)
@given(
    per_mailbox=st.integers(2, 9),
    per_company=st.one_of(st.none(), st.integers(1, 2)),
    gap=st.sampled_from([None, "3m-9m", "20m-40m"]),
    ramp=st.sampled_from([None, "1/day to 8/day over 5d"]),
    answers=st.lists(st.tuples(st.integers(0, 39), st.integers(1, 9000)), max_size=12),
)
def test_no_cap_is_ever_exceeded_no_gap_narrowed_no_window_missed(
    per_mailbox, per_company, gap, ramp, answers
):
    limits = {"per_mailbox": f"{per_mailbox}/day", "gap": gap, "ramp": ramp}
    limits |= {"per_company": f"{per_company}/day" if per_company else None, "per_domain": "4/day"}
    wanted = sequence(schedule=OFFICE, limits={name: value for name, value in limits.items() if value})
    people, deeds = crowd(40), defaultdict(list)
    for whose, minute in answers:
        kind = "out_of_office" if minute % 3 == 0 else "reply"
        deeds[people[whose].email].append(Deed(at=MONDAY + timedelta(minutes=minute), kind=kind))

    kept, lives = foresee(wanted, people, deeds, inboxes=(SAM, "kim@acme.example"))

    assert {life.state for life in lives.values()} <= {"finished", "replied"}
    assert max(by(kept, lambda _, letter: letter.place.inbox).values()) <= per_mailbox
    assert max(by(kept, lambda email, _: email.partition("@")[2]).values()) <= min(per_company or 4, 4)
    for inbox in (SAM, "kim@acme.example"):
        sent = [letter.send_at for _, letter in kept.letters if letter.place.inbox == inbox]
        assert sent == sorted(sent)
        if gap:
            least = timedelta(minutes=int(gap.partition("m")[0]))
            assert all(later - sooner >= least for sooner, later in pairwise(sent))
        if ramp:
            _within_the_ramp(sent)
    for email, letter in kept.letters:
        local = letter.send_at.astimezone(ZoneInfo(lives[email].enrollment.variables["timezone"]))
        assert local.weekday() < 5
        assert 9 <= local.hour < 17


def _within_the_ramp(sent):
    """Counted from the first hour that was ever planned, whether or not that letter left in the end."""
    allowed, begin = Ramp(1, 8, 5), MONDAY.date()
    days = Counter(at.astimezone(OSLO).date() for at in sent)
    assert all(number <= allowed.on((day - begin).days) for day, number in days.items())


@pytest.mark.parametrize(
    "limits", [{"per_mailbox": "10/day"}, {"per_mailbox": "500/day", "gap": "20m-60m"}], ids=["cap", "gap"]
)
def test_a_long_list_of_first_letters_keeps_no_second_letter_waiting(limits):
    wanted = sequence(schedule=OFFICE, limits=limits)
    people = [f"p{number}@c{number}.example" for number in range(200)]
    kept, lives = foresee(wanted, people)
    waits = []
    for email in people:
        (_, first), (_, second), (_, third) = kept.of(email)
        waits += [second - first - timedelta(days=3), third - second - timedelta(days=5)]
    # what falls on a weekend waits for Monday, and a full Monday for Tuesday; the list itself takes a month
    assert max(waits) <= timedelta(days=5)
    assert median(waits) <= timedelta(days=2)
    assert {life.state for life in lives.values()} == {"finished"}


def test_a_first_letter_that_had_to_stand_back_leaves_later_and_says_why():
    wanted = sequence(schedule=OFFICE, limits={"per_mailbox": "4/day"})
    people = [f"p{number}@c{number}.example" for number in range(40)]
    kept = Kept()
    world = Foresight(sequence=wanted, start=MONDAY, world=kept)
    promised = {email: world.enter(Prospect(email=email), SAM).next.send_at for email in people}
    world.play(MONDAY + LONG)
    left = {email: kept.of(email)[0][1] for email in people}
    late = [email for email in people if left[email] > promised[email]]
    assert late
    assert all(left[email] >= promised[email] for email in people)
    told = {email: letter.reason for email, letter in kept.letters if letter.step == "step-1"}
    assert all(told[email].startswith("per_mailbox 4/day is full until") for email in late)


def test_who_answers_makes_room_for_others():
    """The room of a follow-up that will not be needed is found again."""
    wanted = sequence(schedule=OFFICE, limits={"per_mailbox": "2/day"})
    people = [f"p{number}@c{number}.example" for number in range(12)]
    last = {
        bool(deeds): max(letter.send_at for _, letter in foresee(wanted, people, deeds)[0].letters)
        for deeds in ({}, {email: [deed("reply", days=0.5)] for email in people[:2]})
    }
    assert last[True] < last[False]


def test_a_follow_up_keeps_its_distance_from_the_letter_that_has_just_left():
    wanted = sequence({"subject": "Hi", "body": "x"}, {"body": "y"}, limits={"gap": "3m-9m"})
    kept = Kept()
    world = Foresight(sequence=wanted, start=MONDAY, world=kept)
    life = world.enter(Prospect(email=IDA), SAM)
    world.play(MONDAY)
    promised = life.next.send_at
    world.play(MONDAY + LONG)
    assert kept.of(IDA) == [("step-1", MONDAY), ("step-2", promised)]
    assert timedelta(minutes=3) < promised - MONDAY <= timedelta(minutes=9)


def test_a_company_that_hears_enough_keeps_nobody_else_waiting():
    people = [*(f"p{number}@nordic.example" for number in range(5)), "eva@harbour.example"]
    one = sequence({"subject": "Hi", "body": "x"}, limits={"per_company": "1/day"})
    kept, _ = foresee(one, people)
    first = [kept.of(email)[0][1].date() - MONDAY.date() for email in people]
    assert [wait.days for wait in first] == [0, 1, 2, 3, 4, 0]


class Book:
    """A mailbox's diary, and who wants room in it."""

    def __init__(self, rate):
        self.wanted = sequence(schedule={"timezone": "Europe/Oslo"}, limits={"per_mailbox": rate})
        self.hours = calendar(Schedule(timezone="Europe/Oslo"), "Europe/Oslo", None)
        self.diary, self.booked = Diary(), []

    def ask(self, day, *, opener=True, diary=None):
        place = Place(inbox=SAM, company=None, domain="a.example", opener=opener, seed="x")
        earliest = MONDAY + timedelta(days=day)
        return place, next_room(
            earliest, place, calendar=self.hours, sequence=self.wanted, diary=diary or self.diary
        ).at

    def book(self, day, *, opener=True):
        entry = self.ask(day, opener=opener)
        self.diary.book(*entry)
        self.booked.append(entry)
        return (entry[1].date() - MONDAY.date()).days

    def strike(self, number):
        self.diary.strike(*self.booked.pop(number))

    def as_new(self):
        fresh = Diary()
        for entry in self.booked:
            fresh.book(*entry)
        return fresh


def test_days_that_nobody_looked_at_are_not_taken_for_full():
    book = Book("1/day")
    assert [book.book(day) for day in (0, 0, 0, 0, 9, 9, 9)] == [0, 1, 2, 3, 9, 10, 11]
    assert book.book(7) == 7


def test_a_letter_that_will_not_leave_frees_its_whole_week():
    book = Book("2/week")
    assert [book.book(0) // 7 for _ in range(6)] == [0, 0, 1, 1, 2, 2]
    book.strike(2)
    assert book.book(8) == 8


def test_a_day_among_full_ones_is_found_again_when_somebody_leaves():
    book = Book("1/day")
    assert [book.book(0) for _ in range(4)] == [0, 1, 2, 3]
    book.strike(1)
    assert book.book(0) == 1
    assert book.book(0) == 4


@settings(max_examples=200, deadline=None)
@given(
    deeds=st.lists(
        st.tuples(st.booleans(), st.integers(0, 12), st.integers(0, 30), st.booleans()),
        min_size=1,
        max_size=60,
    ),
    rate=st.sampled_from(["1/day", "2/day", "5/week", "1/hour"]),
)
def test_what_is_remembered_of_full_days_never_hides_room(deeds, rate):
    """A diary that has looked often answers as one that looks for the first time."""
    book = Book(rate)
    for opener, day, whose, strikes in deeds:
        if strikes and book.booked:
            book.strike(whose % len(book.booked))
            continue
        assert book.ask(day, opener=opener) == book.ask(day, opener=opener, diary=book.as_new())
        book.book(day, opener=opener)
