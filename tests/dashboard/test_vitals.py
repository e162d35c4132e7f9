"""Is the brake working, and what needs a human: what Today thinks of what it has seen."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dashboard.vitals import Cancel, Seen, Vital, tasks, vitals
from engine.store import Brake
from engine.store.watch import Sign

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
NOTHING = Seen(now=NOW, signs=(), heard_at=None, refused=0, brake=None, capture=True)
A_WORKER = Sign("worker/one", NOW, {"host": "desk"})


def _seen(*signs: Sign, **more: Any) -> Seen:
    return replace(NOTHING, signs=(A_WORKER, *signs), **more)


def _vital(seen: Seen, name: str) -> Vital:
    return next(each for each in vitals(seen) if each.name == name)


def _tasks(seen: Seen, **more: Any) -> list[str]:
    usual: dict[str, Any] = {"held": {}, "uncertain": 0, "failed": 0, "late": 0, "switched_off": ()}
    return [each.says for each in tasks(seen, **usual | more)]


def test_nothing_needs_a_human_while_somebody_works():
    assert _tasks(_seen()) == []


def test_a_house_without_a_worker_says_so():
    assert _vital(NOTHING, "Workers").tone == "bad"
    assert _tasks(NOTHING) == ["Nobody is there to send."]


def test_a_worker_that_was_not_seen_for_long_is_none():
    gone = replace(NOTHING, signs=(replace(A_WORKER, at=NOW - timedelta(minutes=5)),))
    assert _vital(gone, "Workers").tone == "bad"


def test_the_seconds_from_a_reply_to_the_cancel_are_the_canarys():
    flown = Sign("canary", NOW, {"in_time": True, "seconds": 0.214, "figures": [0.2, 0.214, 0.9]})
    vital = _vital(_seen(flown), "From a reply to the cancel")
    assert (vital.tone, vital.says) == ("good", "0.21\u00a0s")
    assert vital.hint == "Of the last 3: half within 0.21\u00a0s, the slowest 0.90\u00a0s."


def test_a_measurement_of_yesterday_says_nothing_of_now():
    flown = Sign("canary", NOW - timedelta(days=1), {"in_time": True, "seconds": 0.2})
    assert _vital(_seen(flown), "From a reply to the cancel").tone == "doubt"


def test_a_house_without_a_canary_in_which_nobody_answered_yet_says_how_it_is_measured():
    told = _vital(_seen(Sign("canary", NOW, {"in_time": True}), canary=False), "From a reply to the cancel")
    assert (told.tone, told.says) == ("quiet", "no answer has cancelled a letter yet")
    assert "canary.every" in told.hint


def _cancel(seconds: float, ago: timedelta = timedelta(0)) -> Cancel:
    return Cancel(at=NOW - ago, written_at=NOW - ago - timedelta(seconds=seconds))


REAL = "From their letter to the cancel"


def test_without_a_canary_real_letters_are_timed():
    told = _vital(_seen(canary=False, cancels=(_cancel(1.4), _cancel(0.6), _cancel(9))), REAL)
    assert (told.tone, told.says, told.at) == ("good", "1.40\u00a0s", NOW)
    assert told.hint.startswith("Of the last 3: half within 1.40\u00a0s, the slowest 9.00\u00a0s.")


@pytest.mark.parametrize(
    ("cancel", "tone", "says"),
    [
        (_cancel(0), "good", "under 0.01\u00a0s"),
        (_cancel(600), "doubt", "10\u00a0min"),
        (_cancel(3 * 3600), "doubt", "3\u00a0h"),
        (_cancel(2, timedelta(days=3)), "quiet", "2.00\u00a0s"),
    ],
)
def test_only_a_real_letter_that_was_quick_and_came_of_late_gets_a_tick(cancel, tone, says):
    told = _vital(_seen(canary=False, cancels=(cancel,)), REAL)
    assert (told.tone, told.says) == (tone, says)


@pytest.mark.parametrize("seconds", [-3, 3 * 86400])
def test_clocks_that_disagree_measure_nothing(seconds):
    told = _vital(_seen(canary=False, cancels=(_cancel(seconds),)), "From a reply to the cancel")
    assert told.says == "no answer has cancelled a letter yet"
    mixed = _vital(_seen(canary=False, cancels=(_cancel(seconds), _cancel(1))), REAL)
    assert mixed.says == "1.00\u00a0s"


def test_what_the_canary_measured_counts_before_real_letters():
    flown = Sign("canary", NOW, {"in_time": True, "seconds": 0.214})
    assert _vital(_seen(flown, cancels=(_cancel(9),)), "From a reply to the cancel").says == "0.21\u00a0s"


def test_a_canary_that_was_too_slow_says_why():
    flown = Sign("canary", NOW, {"in_time": False, "why": "her answer was taken, and nothing was cancelled"})
    vital = _vital(_seen(flown), "From a reply to the cancel")
    assert (vital.tone, vital.says) == ("bad", "her answer was taken, and nothing was cancelled")


def test_no_drift_is_said_only_when_somebody_has_looked():
    assert _vital(_seen(), "Drift").tone == "quiet"
    looked = Sign("drift", NOW, {"leak": 0, "stuck": 0, "ended_at": NOW.isoformat()})
    assert _vital(_seen(looked), "Drift").says == "0"


def test_drift_is_named_and_needs_a_human():
    looked = Sign("drift", NOW, {"leak": 2, "stuck": 0, "ended_at": NOW.isoformat()})
    assert _vital(_seen(looked), "Drift").says == "2 leak"
    assert "Something is pending that should not be." in _tasks(_seen(looked))


def test_webhooks_that_are_refused_this_hour_are_told_with_their_reasons():
    said = {"hour": "2026-03-02T12", "doubts": {"a wrong signature": 3}}
    vital = _vital(_seen(Sign("webhooks", NOW, said), refused=40), "Webhooks refused")
    assert (vital.tone, vital.says) == ("doubt", "40")
    assert "3 because a wrong signature" in vital.hint


def test_the_last_webhook_is_the_later_of_what_is_written_down_and_what_was_believed():
    said = Sign("webhooks", NOW, {"heard_at": (NOW - timedelta(minutes=1)).isoformat()})
    assert _vital(_seen(said, heard_at=NOW - timedelta(days=1)), "Last webhook heard").at == NOW - timedelta(
        minutes=1
    )


@pytest.mark.parametrize(
    ("heard_at", "left_since", "tone"),
    [
        (NOW - timedelta(hours=1), False, "good"),
        (NOW - timedelta(hours=1), True, "quiet"),
        (NOW - timedelta(days=21), False, "quiet"),
    ],
)
def test_a_webhook_of_long_ago_or_from_before_the_last_letter_gets_no_tick(heard_at, left_since, tone):
    vital = _vital(_seen(heard_at=heard_at, left_since=left_since), "Last webhook heard")
    assert (vital.tone, vital.at) == (tone, heard_at)


@pytest.mark.parametrize(("refused", "tone"), [(0, "good"), (1, "quiet")])
def test_only_where_none_was_refused_there_is_a_tick(refused, tone):
    assert _vital(_seen(refused=refused), "Webhooks refused").tone == tone


def test_what_waits_is_told_by_its_reason_the_most_first():
    said = _tasks(_seen(), held={"late": 1, "approval": 1200}, uncertain=1, failed=2)
    assert said == [
        "1 letter may or may not have left: look into the mailbox.",
        "Waiting for a yes: 1,200 letters.",
        "Too late to leave without a word: 1 letter.",
        "2 letters were refused for good.",
    ]


def test_under_a_brake_that_nothing_leaves_is_no_wonder():
    braked = _seen(brake=Brake("by hand: kim", NOW))
    assert _tasks(braked, late=5) == ["Everything is stopped. When that is over, let it go on."]
