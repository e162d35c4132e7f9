"""Whose yes a letter has, and why nobody was asked: the same words everywhere."""

from dataclasses import replace
from datetime import timedelta

import pytest

from engine.consent import THE_SEQUENCE, Consent, Held, consent_of, stage_of, why_unasked
from engine.model import NEVER, Draft
from engine.states import DraftState, HoldReason
from tests.doubles import MONDAY
from tests.makers import IDA, SAM, sequence

DRAFT = Draft(
    id="drf_1",
    inbox_id=SAM,
    thread_id="thr_1",
    enrollment_id="enr_1",
    step="step-2",
    state=DraftState.SCHEDULED,
    send_at=MONDAY,
    to=IDA,
    subject="Hi",
    text="Hello",
    message_id="<1@acme.example>",
    reason="3d after step-1",
    content_sha="a",
    approved_sha="a",
    approved_by=THE_SEQUENCE,
)
S, LATER = DraftState, MONDAY + timedelta(days=3)


@pytest.mark.parametrize(
    ("more", "stage", "consent"),
    [
        ({}, S.SCHEDULED, "auto_approved"),
        ({"approved_by": "kim", "approved_head": 1}, S.SCHEDULED, "approved"),
        ({"approved_by": "kim"}, S.SCHEDULED, "approved"),  # before a yes was bound to a head
        ({"approved_by": "key_1", "enrollment_id": None}, S.SCHEDULED, "auto_approved"),
        ({"approved_by": "kim", "enrollment_id": None, "approved_head": 0}, S.SENT, "approved"),
        ({"approved_sha": "b"}, S.SCHEDULED, "pending"),
        ({"outcome": HoldReason.APPROVAL, "approved_sha": None}, Held.SUBMITTED, "pending"),
        ({"outcome": HoldReason.LATE}, Held.SUBMITTED, "pending"),  # it had its yes, and needs one more
        ({"outcome": HoldReason.REJECTED, "approved_sha": None}, Held.REJECTED, "rejected"),
        ({"outcome": HoldReason.OUT_OF_OFFICE, "held_until": LATER}, Held.ASLEEP, "auto_approved"),
        ({"held_until": LATER, "approved_sha": None}, Held.SUBMITTED, "pending"),
        ({"send_at": NEVER, "approved_by": "key_1", "enrollment_id": None}, S.WRITTEN, "unsubmitted"),
        ({"send_at": NEVER, "enrollment_id": None}, S.CANCELLED, "unsubmitted"),
        ({"approved_sha": None}, S.CANCELLED, "rejected"),
        ({}, S.CANCELLED, "auto_approved"),
        ({}, S.UNCERTAIN, "auto_approved"),
    ],
)
def test_it_is_one_of_feathers_five_words(more, stage, consent):
    state = S.HELD if isinstance(stage, Held) else stage
    draft = replace(DRAFT, state=state, **more)

    assert (stage_of(draft), consent_of(draft)) == (stage, Consent(consent))


def test_a_humans_no_outlives_the_letter():
    assert consent_of(replace(DRAFT, state=S.CANCELLED), rejected=True) == Consent.REJECTED
    assert consent_of(replace(DRAFT, state=S.SENT), rejected=True) == Consent.AUTO_APPROVED


@pytest.mark.parametrize(
    ("rules", "why"),
    [
        (sequence(), "approval: none in the sequence"),
        (sequence(approval="first"), "approval: first, and this is step-2"),
        (
            sequence(approval={"steps": ["step-1", "step-3"]}),
            "approval: step-1, step-3, and this is step-2",
        ),
        (sequence(approval="all"), "approval: all since, and step-2 was written before"),
        (
            sequence({"subject": "Hi", "body": "A"}, {"body": "B", "after": "1d", "approve": False}),
            "approve: false at step-2",
        ),
        (None, "the sequence asked nobody"),
    ],
)
def test_why_nobody_was_asked_stands_in_its_sequence(rules, why):
    assert why_unasked(DRAFT, rules) == why


def test_whoever_wrote_it_by_hand_is_named():
    by_hand = replace(DRAFT, enrollment_id=None, approved_by="key_1")

    assert why_unasked(by_hand, None) == "written by key_1, who may send"
    assert why_unasked(replace(by_hand, approved_by=None), None) == "asked for"


def test_where_somebody_was_asked_there_is_no_such_reason():
    assert why_unasked(replace(DRAFT, approved_by="kim", approved_head=0), sequence()) is None
    assert why_unasked(replace(DRAFT, state=S.HELD, approved_sha=None), sequence()) is None
