"""What `/v1` answers: shapes, and one function a record. Everything is always there; what does not apply is null."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Literal, cast

from typing_extensions import TypedDict  # of Python 3.11's own, pydantic knows too little

from engine.brake import Receipt
from engine.consent import Consent, consent_of, why_unasked
from engine.evidence import Evidence
from engine.happen import Noted
from engine.model import Draft, Message
from engine.resume import Resumed
from engine.safe import Released
from engine.sequence import Sequence
from engine.states import DraftState, EnrollmentState
from engine.store import Life, Review
from engine.store.overview import Line, Shown, Suppressed
from engine.store.views import Before, draft_shown, person_shown
from engine.why import Standing, Why
from mailroom.wire import Moment, Page, SendStatus


class V1File(TypedDict):
    name: str
    content_type: str
    size: int


class V1Draft(TypedDict):
    """A letter that has not left yet, or that once had not; as `relent drafts --json` has it, and more."""

    draft_id: str
    inbox_id: str
    thread_id: str
    enrollment_id: str | None
    sequence: str | None
    version: str | None
    step: str
    variant: str | None
    to: str
    also_to: list[str]
    cc: list[str]
    bcc: list[str]
    subject: str
    text: str
    html: str | None
    attachments: list[V1File]
    send_at: Moment | None
    state: DraftState
    send_status: SendStatus | None
    approval_state: Consent
    auto_send_reason: str | None
    approved_by: str | None
    approved_until: Moment | None
    yes_by: Moment | None
    oddities: list[str]
    alike: str | None
    reason: str
    labels: list[str]
    message_id: str
    held_until: Moment | None
    attempt: int
    content_sha: str
    created_at: Moment
    updated_at: Moment


class V1Drafts(Page):
    drafts: list[V1Draft]


V1Said = TypedDict(
    "V1Said",
    {
        "message_id": str,
        "direction": Literal["sent", "received"],
        "from": str,
        "to": list[str],
        "subject": str,
        "text": str,
        "timestamp": Moment,
    },
)


class V1Review(TypedDict):
    """What a human said of it, and what they saw."""

    review_id: str
    at: Moment
    by: str
    verdict: str
    why: str | None
    content_sha: str
    evidence: dict[str, Any]


class V1Evidence(TypedDict):
    """What somebody must see before they say yes."""

    thread: list[V1Said]
    variables: dict[str, str]
    template: str | None
    template_subject: str | None
    planned: str | None
    leaves_at: Moment
    why_then: str
    zone: str
    may_say_yes: list[str]
    you_may: bool
    reviews: list[V1Review]


class V1DraftWhole(V1Draft):
    """With everything around it that a yes is said to. `head`: how far its conversation has come.

    `held_for`: why it waits; null: it does not. `sender_name`: which it would leave under; "": none. `names`: of its
    readers, by address. `in_reply_to` and `forward_of`: the message that it answers, or passes on with its words and files.
    """

    head: int
    held_for: str | None
    sender_name: str
    names: dict[str, str]
    reply_to: list[str]
    headers: dict[str, str]
    in_reply_to: str | None
    forward_of: str | None
    evidence: V1Evidence


class V1Answer(TypedDict):
    """Of several: what became of this one."""

    draft_id: str
    approved: bool
    send_at: Moment | None
    why: str | None
    changed: dict[str, str] | None


class V1Approved(TypedDict):
    """`next_after`: there are more of those that are alike; ask again with `after`."""

    approved: int
    left: int
    results: list[V1Answer]
    next_after: str | None


class V1Enrollment(TypedDict):
    """One person in one sequence; as `relent people --json` has them, and more."""

    enrollment_id: str
    email: str
    sequence: str
    version: str
    state: EnrollmentState
    stop_reason: str | None
    thread_id: str
    step: str | None
    next_send_at: Moment | None
    reason: str | None
    inbox_id: str
    draft_id: str | None
    variables: dict[str, str]
    created_at: Moment
    updated_at: Moment


class V1Enrollments(Page):
    enrollments: list[V1Enrollment]


class V1Entrant(TypedDict):
    email: str
    enrollment_id: str | None
    reason: str | None


class V1Enrolled(TypedDict):
    """As `relent enroll --json` has it; and by which version of the sequence."""

    sequence: str
    version: str
    enrolled: list[V1Entrant]
    already: list[V1Entrant]
    held: list[V1Entrant]
    skipped: list[V1Entrant]
    suppressed: list[V1Entrant]
    refused: list[V1Entrant]


class V1Standing(TypedDict):
    """Why somebody gets nothing just now, and what would help."""

    enrollment_id: str
    sequence: str
    version: str
    state: EnrollmentState
    reason: str
    since: Moment
    release: str
    zone: str
    step: str | None
    draft_id: str | None
    next_at: Moment | None
    local_time: str | None


class V1Why(TypedDict):
    email: str
    suppressed: str | None
    suppressed_since: Moment | None
    standings: list[V1Standing]


class V1Receipt(TypedDict):
    """What the brake did: `left` may still leave."""

    held_at: Moment
    people: int
    drafts: int
    voided: int
    already_leaving: int
    already_gone: int
    left: int


class V1Resumed(TypedDict):
    enrollment_id: str
    waits_for: str | None


class V1Brake(TypedDict):
    why: str
    since: Moment


class V1Released(TypedDict):
    """What goes on. Of a whole sequence the first five hundred are named; `house` only when it was released."""

    resumed: int
    people: list[V1Resumed]
    house: "V1House | None"


class V1House(TypedDict):
    brake: V1Brake | None
    doubt: str | None
    scheduled: int
    due: int
    late: int
    restored: int


class V1Sequence(TypedDict):
    """`version`: as it was last kept, by enrolling or applying; `file_version`: as a file has it now."""

    name: str
    version: str | None
    kept_at: Moment | None
    file_version: str | None
    senders: list[str]
    approval: str | list[str]
    may_say_yes: list[str]
    steps: int


class V1Sequences(TypedDict):
    count: int
    sequences: list[V1Sequence]


class V1Version(TypedDict):
    version: str
    kept_at: Moment


class V1SequenceWhole(V1Sequence):
    """`says`: the version by which somebody would be enrolled now."""

    versions: list[V1Version]
    says: dict[str, Any]


class V1Suppression(TypedDict):
    address: str
    reason: str
    created_at: Moment


class V1Suppressions(Page):
    suppressions: list[V1Suppression]


class V1SuppressionMade(V1Suppression):
    receipt: V1Receipt


class V1Noted(TypedDict):
    """What came of it. `new` false: heard before."""

    event_id: str
    new: bool
    people: int
    stopped: int
    went_on: int
    suppressed: bool


class V1Line(TypedDict):
    """Somebody did something."""

    seq: int
    at: Moment
    actor: str
    what: str
    draft_id: str | None
    enrollment_id: str | None
    detail: str | None


class V1Log(Page):
    lines: list[V1Line]


# --- records ---


def moment(at: datetime) -> Moment:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _plain(said: Mapping[str, Any]) -> dict[str, Any]:
    return {name: moment(value) if isinstance(value, datetime) else value for name, value in said.items()}


def draft(shown: Shown, sequence: Sequence | None, *, rejected: bool) -> V1Draft:
    """`sequence`: the version whose step it is. `rejected`: the last that a human said of it was no."""
    one = shown.draft
    found = draft_shown(one, followed=shown.followed) | {
        "sequence": shown.sequence,
        "version": shown.version,
        "approval_state": str(consent_of(one, rejected=rejected)),
        "auto_send_reason": why_unasked(one, sequence),
        "approved_until": one.approved_until,
        "alike": one.alike,
        "created_at": shown.created_at,
        "updated_at": shown.moved_at,
    }
    return cast("V1Draft", _plain(found))


def whole(shown: V1Draft, seen: Evidence, *, you_may: bool) -> V1DraftWhole:
    letter = seen.draft
    around = {
        "head": seen.head,
        "held_for": letter.outcome if letter.state == DraftState.HELD else None,
        "sender_name": seen.sender_name,
        "names": dict(letter.names),
        "reply_to": list(letter.reply_to),
        "headers": dict(letter.headers),
        "in_reply_to": letter.in_reply_to,
        "forward_of": letter.forward_of,
    }
    found = {**shown, **around, "evidence": evidence(seen, you_may=you_may)}
    return cast("V1DraftWhole", found)


def evidence(seen: Evidence, *, you_may: bool) -> V1Evidence:
    return {
        "thread": [said(each) for each in seen.thread],
        "variables": dict(seen.variables),
        "template": seen.template,
        "template_subject": seen.template_subject,
        "planned": seen.planned,
        "leaves_at": moment(seen.leaves_at),
        "why_then": seen.why_then,
        "zone": seen.zone,
        "may_say_yes": list(seen.may_say_yes),
        "you_may": you_may,
        "reviews": [review(each) for each in seen.reviews],
    }


def said(letter: Message) -> V1Said:
    return {
        "message_id": letter.message_id,
        "direction": letter.direction,
        "from": letter.sender,
        "to": list(letter.to),
        "subject": letter.subject,
        "text": letter.text,
        "timestamp": moment(letter.timestamp),
    }


def review(one: Review) -> V1Review:
    return {
        "review_id": one.id,
        "at": moment(one.at),
        "by": one.by,
        "verdict": one.verdict,
        "why": one.why,
        "content_sha": one.content_sha,
        "evidence": dict(one.evidence),
    }


def enrollment(life: Life, pending: Draft | None) -> V1Enrollment:
    one = life.enrollment
    found = person_shown(one, _before(pending) if pending else None) | {
        "draft_id": pending.id if pending else None,
        "variables": dict(one.variables),
        "created_at": one.created_at,
        "updated_at": life.since,
    }
    return cast("V1Enrollment", _plain(found))


def _before(one: Draft) -> Before:
    return Before(one.step, one.send_at, one.state, one.outcome, one.reason)


def standing(one: Standing) -> V1Standing:
    local = one.local_time
    found = _plain(asdict(one)) | {"local_time": local.isoformat(timespec="minutes") if local else None}
    return cast("V1Standing", found | {"state": str(one.state)})


def why(told: Why) -> V1Why:
    return {
        "email": told.email,
        "suppressed": told.suppressed,
        "suppressed_since": moment(told.suppressed_since) if told.suppressed_since else None,
        "standings": [standing(each) for each in told.standings],
    }


def receipt(one: Receipt) -> V1Receipt:
    return {
        "held_at": moment(one.held_at),
        "people": one.people,
        "drafts": one.drafts,
        "voided": one.drafts,
        "already_leaving": one.already_leaving,
        "already_gone": one.already_leaving,
        "left": one.left,
    }


def resumed(one: Resumed) -> V1Resumed:
    return {"enrollment_id": one.enrollment_id, "waits_for": one.waits_for}


def house(released: Released) -> V1House:
    brake = released.brake
    return {
        "brake": {"why": brake.why, "since": moment(brake.since)} if brake else None,
        "doubt": released.doubt,
        "scheduled": released.scheduled,
        "due": released.due,
        "late": released.late,
        "restored": released.restored,
    }


def suppression(one: Suppressed) -> V1Suppression:
    return {"address": one.address, "reason": one.reason, "created_at": moment(one.created_at)}


def noted(event_id: str, one: Noted) -> V1Noted:
    return cast("V1Noted", {"event_id": event_id, **asdict(one)})


def line(one: Line) -> V1Line:
    return cast("V1Line", _plain(asdict(one)))
