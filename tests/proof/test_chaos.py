"""Half a minute of chaos in every run of the tests; `make chaos MINUTES=60` is the long one. docs/proof.md says what it is."""

import shutil
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.proof.chaos import Plan, run, surroundings
from tests.proof.verdict import Dot, Drafts, Logs, judge

_ENOUGH = {"letters": 50, "people acknowledged": 4, "kills": 3, "stops": 10, "posts": 8}


def _kept(folder: Path) -> str:
    return f"the logs are in {shutil.copytree(folder, f'{folder}-kept', dirs_exist_ok=True)}"


@pytest.mark.timeout(420)
@pytest.mark.parametrize(
    "plan",
    [
        Plan(database="postgresql", seconds=30, seed=5, wave=30, wave_every=12, steps=4),
        Plan(database="sqlite", seconds=12, seed=5, wave=40, wave_every=15, steps=4, workers=1),
    ],
    ids=lambda plan: plan.database,
)
def test_processes_die_and_freeze_and_no_promise_is_broken(plan, tmp_path, counted):
    with surroundings(plan.database) as (server, redis):
        verdict = run(plan, tmp_path, server, redis)
    counted(f"chaos on {plan.database}: {verdict.told()}")
    assert not verdict.broken, f"{verdict.told()}\n{_kept(tmp_path)}"
    for what, least in _ENOUGH.items():
        assert verdict.counted.get(what, 0) >= least, f"this was no chaos: {verdict.told()}"
    if plan.database == "postgresql":
        assert verdict.counted["database restarts"]
        assert verdict.counted["flushes"] >= 5


@dataclass(frozen=True)
class _Row:
    id: str = "drf_1"
    state: str = "sent"
    message_id: str = "<one@acme.example>"
    to: str = "ida@nordic.example"
    outcome: str | None = None
    send_at: datetime = datetime(2026, 1, 1, tzinfo=UTC)


_ONE = Dot(1_000, "<one@acme.example>", "ida@nordic.example")
_WRONG = {
    "a letter left after the answer was acknowledged": (
        Logs([_ONE], Counter(), Counter(), {_ONE.to: 999}),
        _Row(),
    ),
    "a letter left twice": (Logs([_ONE, _ONE], Counter(), Counter(), {}), _Row()),
    "a draft is due, and stuck": (Logs([], Counter(), Counter(), {}), _Row(state="claimed")),
    "a draft is said to be sent, and never left": (Logs([], Counter(), Counter(), {}), _Row()),
    "a letter has left, and its draft will leave again": (
        Logs([_ONE], Counter(), Counter(), {}),
        _Row(state="failed"),
    ),
    "a draft of somebody who was acknowledged waits to leave": (
        Logs([], Counter(), Counter(), {_ONE.to: 2_000}),
        _Row(state="held"),
    ),
}


@pytest.mark.parametrize("promise", _WRONG)
def test_the_oracle_sees_what_is_wrong(promise):
    logs, row = _WRONG[promise]
    verdict = judge(logs, Drafts([row], [], None), done=Counter(), peace=0)
    assert list(verdict.broken) == [promise]


def test_the_oracle_sees_who_was_forgotten_and_who_stands_on_the_brake():
    verdict = judge(Logs([], Counter(), Counter(), {}), Drafts([], [_ONE.to], "why"), done=Counter(), peace=0)
    assert set(verdict.broken) == {
        "somebody is to be written to, and nothing waits for its hour",
        "the house braked itself",
    }


def test_what_was_refused_in_words_may_leave_again():
    logs = Logs([_ONE, _ONE], Counter([_ONE.letter]), Counter(), {_ONE.to: 1_000})
    assert not judge(logs, Drafts([_Row()], [], None), done=Counter(), peace=0).broken
