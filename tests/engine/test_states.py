"""The tables of moves hold together."""

import pytest

from engine.states import (
    DRAFT_ENDS,
    DRAFT_MOVES,
    ENROLLMENT_MOVES,
    DraftState,
    EnrollmentState,
)


@pytest.mark.parametrize(
    ("states", "moves"), [(DraftState, DRAFT_MOVES), (EnrollmentState, ENROLLMENT_MOVES)]
)
def test_every_state_can_be_reached_and_every_arrow_ends_in_a_state(states, moves):
    reached = {move.target for move in moves.values()}
    assert reached <= set(states)
    assert reached | {DraftState.HELD, EnrollmentState.ACTIVE} >= set(states)
    assert {source for move in moves.values() for source in move.sources} <= set(states)


def test_nothing_leads_out_of_an_end():
    for move in DRAFT_MOVES.values():
        assert not move.sources & DRAFT_ENDS
    for move in ENROLLMENT_MOVES.values():
        assert not move.sources & {EnrollmentState.FINISHED, EnrollmentState.STOPPED}


def test_past_the_gate_nothing_can_be_cancelled():
    assert not DRAFT_MOVES["cancel"].allows(DraftState.RELEASING)


def test_a_doubt_never_leads_back_to_the_queue_but_by_proof():
    ways = [
        name
        for name, move in DRAFT_MOVES.items()
        if move.allows(DraftState.UNCERTAIN) and move.target == "scheduled"
    ]
    assert ways == ["disprove"]


def test_only_a_claim_leads_to_the_gate():
    assert DRAFT_MOVES["gate"].sources == {DraftState.CLAIMED}
    assert [name for name, move in DRAFT_MOVES.items() if move.target == DraftState.RELEASING] == ["gate"]
