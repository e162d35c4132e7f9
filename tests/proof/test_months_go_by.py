"""Months go by, everything goes wrong that can, and the promises are kept after every step.

Hypothesis thinks up what happens, and in which order: people are enrolled, time passes, letters leave, are refused,
vanish or are taken in silence; answers come early, late, twice, under another name, before our own note that the letter
they answer has left, and while it is in the air; humans approve, edit, throw away, stop and resume; the process dies at
any commit, before it is durable or right after it, or before or after the dot, and another one takes over.

The same months every time; with RELENT_TEST_LONG=1 others, and many more.
"""

import os
import secrets
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from engine import ids, owner
from tests.conftest import empty
from tests.proof.life import Lives
from tests.proof.months import FATES, PEOPLE, SEQUENCES, House
from tests.proof.oracle import Broken

LONG = bool(os.environ.get("RELENT_TEST_LONG"))
PERSON, NUMBER = st.sampled_from(PEOPLE), st.integers(0, 5)
KINDS = ("reply", "reply", "doubtful reply", "machine", "bounce", "complaint")
WAYS = ("by thread", "by letter", "by address")
SPANS = tuple(
    timedelta(**span) for span in ({"minutes": 2}, {"hours": 1}, {"hours": 20}, {"days": 3}, {"days": 30})
)


class Months(RuleBasedStateMachine):
    """Whoever runs it says what each of them lives by."""

    live: Callable[[], Lives]
    seen: Counter[str]  #: what has happened, in all runs

    def __init__(self) -> None:
        super().__init__()
        self.house = House(self.live())

    def teardown(self) -> None:
        try:
            self.house.settle_down()
            self.seen.update(self.house.counted())
        finally:
            self.house.lives.end()
            self.house.lives.looking.dispose()

    @invariant()
    def the_promises_are_kept(self) -> None:
        self.house.check()

    @initialize(
        names=st.sets(st.sampled_from(sorted(SEQUENCES)), min_size=1),
        fates=st.lists(st.sampled_from(FATES), min_size=3, max_size=12),
    )
    def a_list_is_handed_in(self, names: set[str], fates: list[str]) -> None:
        for name in sorted(names):
            self.house.enroll(name, *PEOPLE)
        self.house.post.fates.extend(fates)

    # --- time ---

    @rule(span=st.sampled_from(SPANS))
    def time_passes(self, span: timedelta) -> None:
        self.house.clock.pass_(span)

    @rule()
    def tick(self) -> None:
        self.house.tick()

    @rule(times=st.integers(1, 4))
    def the_next_hours_come(self, times: int) -> None:
        for _ in range(times):
            self.house.go_to_the_next_hour()

    # --- what goes wrong ---

    @rule(fates=st.lists(st.sampled_from(FATES), min_size=1, max_size=4), knows=st.booleans())
    def the_mail_server_has_moods(self, fates: list[str], knows: bool) -> None:
        self.house.post.fates.extend(fates)
        self.house.post.knows_its_letters = knows

    @rule(commits=st.integers(1, 9), durable=st.booleans(), how=st.sampled_from(["dies", "dies", "errs"]))
    def a_commit_will_fail(self, commits: int, durable: bool, how: Any) -> None:
        self.house.lives.falter(commits, durable=durable, how=how)

    # --- what the world says ---

    @rule(kind=st.sampled_from(KINDS), email=PERSON, way=st.sampled_from(WAYS), late=st.booleans())
    def somebody_says_something(self, kind: str, email: str, way: str, late: bool) -> None:
        self.house.say(kind, email, way, late=late)

    @rule(email=PERSON, way=st.sampled_from(WAYS))
    def somebody_answers(self, email: str, way: str) -> None:
        self.house.say("reply", email, way, late=False)

    @precondition(lambda self: self.house.words)
    @rule(which=NUMBER, under_another_name=st.booleans())
    def a_webhook_is_repeated(self, which: int, under_another_name: bool) -> None:
        which %= len(self.house.words)
        if under_another_name:
            self.house.say_twice(which)
        else:
            self.house.repeat(which)

    # --- what people here do ---

    @rule(email=PERSON, name=st.sampled_from(sorted(SEQUENCES)))
    def somebody_is_enrolled(self, email: str, name: str) -> None:
        self.house.enroll(name, email)

    @rule(deed=st.sampled_from(["yes", "stop", "resume", "resume"]), which=NUMBER, email=PERSON)
    def a_human_decides(self, deed: str, which: int, email: str) -> None:
        if deed == "stop":
            self.house.stop(email)
        elif deed == "resume":
            self.house.resume(email)
        elif found := self.house.ids("held", "failed"):
            self.house.approve(found[which % len(found)])

    @rule(which=NUMBER)
    def a_human_says_yes(self, which: int) -> None:
        if found := self.house.ids("held", "failed"):
            self.house.approve(found[which % len(found)])

    @rule(which=NUMBER)
    def a_human_ends_a_doubt(self, which: int) -> None:
        if found := self.house.ids("uncertain"):
            self.house.look_into_the_mailbox(found[which % len(found)])

    @rule(which=NUMBER, wait=st.sampled_from(SPANS))
    def a_human_writes_a_follow_up(self, which: int, wait: timedelta) -> None:
        self.house.follow_up_by_hand(which, wait)

    @rule(which=NUMBER, words=st.sampled_from(["One way", "Another way", "away with it"]))
    def a_human_edits_it(self, which: int, words: str) -> None:
        found = self.house.ids("scheduled", "held", "failed", "written", "uncertain", by_hand=True)
        if found and words == "away with it":
            self.house.discard(found[which % len(found)])
        elif found:
            self.house.edit(found[which % len(found)], words)


@pytest.fixture
def machine(database_url: str, request: pytest.FixtureRequest) -> type[Months]:
    if database_url.startswith("sqlite"):
        return request.getfixturevalue("machine_on_sqlite")
    return _machine(
        request, lambda _: database_url, lambda: empty(request.getfixturevalue("emptied_postgres"))
    )


@pytest.fixture
def machine_on_sqlite(empty_sqlite: Path, tmp_path: Path, request: pytest.FixtureRequest) -> type[Months]:
    return _machine(
        request, lambda name: f"sqlite:///{shutil.copy(empty_sqlite, tmp_path / f'{name}.db')}", lambda: None
    )


def _machine(
    request: pytest.FixtureRequest, url: Callable[[int], str], sweep: Callable[[], None]
) -> type[Months]:
    """Names come out the same in every run, and whoever has died is known to be dead."""
    monkeypatch, numbers = request.getfixturevalue("monkeypatch"), count(1)
    monkeypatch.setattr(ids, "_birth", _Birth(numbers))
    monkeypatch.setattr(secrets, "token_hex", lambda _: f"token {next(numbers)}")
    monkeypatch.setattr("engine.store.ledger.sleep", lambda _: None)

    def live() -> Lives:
        sweep()
        lives = Lives(url(next(numbers)))
        monkeypatch.setattr(owner, "me", lambda: lives.name)
        monkeypatch.setattr(owner, "dead", lambda owners: [one for one in owners if one != lives.name])
        return lives

    return type("MonthsHere", (Months,), {"live": staticmethod(live), "seen": Counter()})


class _Birth:
    def __init__(self, numbers: Iterator[int]) -> None:
        self._numbers = numbers

    def number(self, milliseconds: int) -> tuple[int, int]:
        return milliseconds, next(self._numbers)


def play(machine: type[Months], examples: int) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=1000 if LONG else examples,
            stateful_step_count=40,
            deadline=None,
            derandomize=not LONG,
            database=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate, *([Phase.shrink] if LONG else [])],
        ),
    )


@pytest.mark.timeout(0 if LONG else 300)
def test_months_go_by_and_the_promises_are_kept(machine, database_url, counted, caplog):
    database = database_url.partition(":")[0]
    play(machine, 30 if database == "sqlite" else 8)

    counted(
        f"months go by, {database}: {', '.join(f'{number:,} {what}' for what, number in machine.seen.items())}"
    )
    assert "mistake" not in caplog.text
    for what in ("letters", "words", "acknowledged", "deaths"):
        assert machine.seen[what] > 10, f"too little has happened: {machine.seen}"


BROKEN = {
    "the acknowledgement does not wait": ("engine.react._wait", lambda *_, **__: None),
    "the gate is always open": ("engine.store.drafts.Drafts.pass_gate", lambda *_, **__: True),
    "what is in the air cannot be called back": ("engine.store.drafts.Drafts.recall", lambda *_, **__: []),
    "colleagues are forgotten": ("engine.react._colleagues", lambda *_: []),
    "labels stay": ("engine.store.threads.Threads.untag", lambda *_: None),
    "the dead are not found": ("engine.store.drafts.Drafts.free_abandoned", lambda *_: ()),
}


@pytest.mark.parametrize("what", BROKEN)
def test_what_does_not_keep_them_is_found_out(what, machine_on_sqlite, monkeypatch):
    monkeypatch.setattr(*BROKEN[what])
    with pytest.raises(Broken):
        play(machine_on_sqlite, 30)
