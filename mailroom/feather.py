"""Feather's dialect: `GET /v1/email/drafts`, the list that a human reviews, as Feather's OpenAPI document has it.

All its names are UUIDs, and ours are not. A name that was made here has 120 bits after its prefix: its UUID is these bits
and eight that are zero, and can be read back. Whatever bears another name has a UUID that is made of it.
"""

import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache
from html import escape
from typing import Annotated, Any, NotRequired
from uuid import UUID, uuid5

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, WithJsonSchema, with_config
from pydantic_core import PydanticCustomError
from starlette.datastructures import Headers
from typing_extensions import TypedDict

from engine.consent import THE_SEQUENCE, Held, Stage, consent_of, stage_of, why_unasked
from engine.errors import Invalid, Unauthorized
from engine.model import Draft
from engine.sequence import Sequence as Rules
from engine.states import DraftState, StopReason
from engine.store import Ledger, Review
from engine.store.pages import Slice
from engine.store.written import Deed, Filed
from mailroom.api.door import Dialect
from mailroom.api.frame import Asked, Endpoint, reading, where
from mailroom.api.refusals import Refusal, Turned, refusal

PATH = "/v1/email/drafts"

# --- what is answered ---

Uuid = Annotated[str, WithJsonSchema({"type": "string", "format": "uuid"})]
Moment = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]

_ADDRESS = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_LONGEST_ADDRESS, _LONGEST_NAME = 320, 255
#: Nothing but what is said here.
_EXACT = ConfigDict(extra="forbid")


class DraftStatus(StrEnum):
    """How far it has come."""

    DRAFT = "draft"
    SUBMITTED = "submitted"
    APPROVED = "approved"
    SENDING = "sending"
    SENT = "sent"
    FAILED = "failed"
    DISCARDED = "discarded"


class DraftApprovalState(StrEnum):
    """Whether somebody has said yes, and whether anybody had to."""

    UNSUBMITTED = "unsubmitted"
    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"
    AUTO_APPROVED = "auto_approved"


class DraftMode(StrEnum):
    """Who writes. Here always the first."""

    HUMAN_ONLY = "human_only"
    COPILOT = "copilot"


@with_config(_EXACT)
class EmailAddress(TypedDict):
    """Somebody, and how people read them."""

    address: Annotated[str, Field(max_length=_LONGEST_ADDRESS, pattern=f"^{_ADDRESS.pattern}$")]
    name: NotRequired[Annotated[str, Field(max_length=_LONGEST_NAME)] | None]


@with_config(_EXACT)
class DraftResponse(TypedDict):
    """A draft. Its inbox is an account, its thread a session, and a letter a turn."""

    id: Uuid
    organization_id: Uuid
    session_id: Uuid
    account_id: Uuid
    agent_id: Uuid | None
    in_reply_to_turn_id: Uuid | None
    mode: DraftMode
    status: DraftStatus
    approval_state: DraftApprovalState
    subject: str
    body_html: str
    body_text: str | None
    to: list[EmailAddress]
    cc: list[EmailAddress]
    bcc: list[EmailAddress]
    reply_to: list[EmailAddress]
    approved_by_member_id: Uuid | None
    approved_at: Moment | None
    sent_turn_id: Uuid | None
    evidence_snapshot: dict[str, Any] | None
    auto_send_reason: str | None
    discarded_by_member_id: Uuid | None
    discarded_at: str | None
    created_at: Moment
    updated_at: Moment


@with_config(_EXACT)
class ListDraftsResponse(TypedDict):
    """A page of them, the youngest first."""

    drafts: list[DraftResponse]
    next_cursor: NotRequired[str | None]


class ErrorResponse(TypedDict):
    """Why not."""

    error: str
    message: str


class ValidationError(TypedDict):
    """What is wrong with a parameter."""

    loc: list[str | int]
    msg: str
    type: str
    input: NotRequired[Any]
    ctx: NotRequired[dict[str, Any]]


class HTTPValidationError(TypedDict):
    """All that is wrong with the parameters."""

    detail: NotRequired[list[ValidationError]]


# --- what is asked ---


def _last(value: object) -> object:
    """Said twice, the last one is meant."""
    return value[-1] if isinstance(value, list) and value else value


def _or_null(value: object) -> object:
    """The document lets all but the limit be null. An empty text is none: nobody who lost an id wants the whole list."""
    said = _last(value)
    return None if said == "null" else said


def _number(value: object) -> object:
    said = _last(value)
    if isinstance(said, str):
        if not re.fullmatch(r"-?[0-9]{1,9}", said):
            raise PydanticCustomError("int_parsing", "Input should be a valid integer")
        return int(said)
    return said


def _uuid(value: object) -> object:
    """As everybody writes them: the library reads more, and an id with its hyphens elsewhere is a slip."""
    said = _or_null(value)
    if isinstance(said, str) and not re.fullmatch(
        r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", said
    ):
        raise PydanticCustomError("uuid_parsing", "Input should be a valid UUID")
    return said


class ListDraftsQuery(BaseModel):
    """Which of them."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    session_id: Annotated[UUID | None, BeforeValidator(_uuid)] = None
    status: Annotated[DraftStatus | None, BeforeValidator(_or_null)] = None
    cursor: Annotated[str | None, BeforeValidator(_or_null)] = None
    limit: Annotated[int, Field(ge=1, le=200), BeforeValidator(_number)] = 50


# --- our words in theirs ---

#: Whoever said no wants other words: it is a draft again. What sleeps goes by itself, by the yes that it has.
_STATUS: dict[Stage, DraftStatus] = {
    DraftState.WRITTEN: DraftStatus.DRAFT,
    Held.REJECTED: DraftStatus.DRAFT,
    Held.SUBMITTED: DraftStatus.SUBMITTED,
    Held.ASLEEP: DraftStatus.APPROVED,
    DraftState.SCHEDULED: DraftStatus.APPROVED,
    DraftState.CLAIMED: DraftStatus.SENDING,
    DraftState.RELEASING: DraftStatus.SENDING,
    DraftState.SENT: DraftStatus.SENT,
    DraftState.FAILED: DraftStatus.FAILED,
    DraftState.UNCERTAIN: DraftStatus.FAILED,
    DraftState.CANCELLED: DraftStatus.DISCARDED,
}
#: What is written down when somebody says yes.
_YESES = ("approve", "write", "rewrite", "schedule", "take")

_DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"
_OURS = re.compile(f"[a-z]+_([{_DIGITS}]{{24}})")
_SESSION = "thr"
_EVERYWHERE = UUID("6f0d7a52-5f0b-5c1e-9f5e-0d2a54f2c6b1")  # of names that are not UUIDs, at any house


def uuid_of(name: str, space: UUID) -> UUID:
    """What was named here can be told from its UUID again."""
    ours = _OURS.fullmatch(name)
    if ours is None:
        return uuid5(space, name)
    number = 0
    for digit in ours[1]:
        number = number * 32 + _DIGITS.index(digit)
    return UUID(int=number << 8)


def name_of(prefix: str, uuid: UUID) -> str | None:
    """The name that has this UUID; None: it is of no name that was made here."""
    number, rest = divmod(uuid.int, 1 << 8)
    if rest:
        return None
    return f"{prefix}_" + "".join(_DIGITS[number >> 5 * place & 31] for place in reversed(range(24)))


def list_drafts(asked: Asked) -> ListDraftsResponse:
    query: ListDraftsQuery = asked.query
    space = uuid5(_EVERYWHERE, asked.desk.organization_id)
    thread_id = name_of(_SESSION, query.session_id) if query.session_id else None
    if query.session_id and thread_id is None:
        return {"drafts": [], "next_cursor": None}
    with reading(asked) as ledger:
        place = where(asked, ledger)
        found = ledger.written.every(
            Slice(limit=query.limit, after=_after(asked)),
            stages=[stage for stage, status in _STATUS.items() if status == query.status],
            thread_id=thread_id,
            inbox_id=place.id if place.scope == "inbox" else None,
            pod_id=place.id if place.scope == "pod" else None,
        )
        known = _Known(found.items, ledger)
        drafts = [_draft(each, known, space) for each in found.items]
    return {
        "drafts": drafts,
        "next_cursor": asked.desk.seal.close(_purpose(query), found.next) if found.next else None,
    }


class _Known:
    """What stands in the books of these drafts, asked for once."""

    def __init__(self, some: Collection[Filed], ledger: Ledger) -> None:
        ids = [each.draft.id for each in some]
        lives = ledger.enrollments.some({each.draft.enrollment_id or "" for each in some})
        self._ledger = ledger
        self._versions = {name: life.version for name, life in lives.items()}
        self._deeds = ledger.written.signed(ids)
        self._reviews = ledger.reviews.of_all(ids)

    def deeds(self, draft: Draft) -> Mapping[str, Deed]:
        return self._deeds[draft.id]

    def reviews(self, draft: Draft) -> Sequence[Review]:
        """The last word first."""
        return self._reviews.get(draft.id, ())

    def yes(self, draft: Draft) -> Review | None:
        """The last that a human has said to these very words, if it was yes."""
        said = (each for each in self.reviews(draft) if each.verdict == "approved")
        last = next(said, None)
        return last if last and last.content_sha == draft.content_sha else None

    def rejected(self, draft: Draft) -> bool:
        return any(each.verdict == "rejected" for each in self.reviews(draft)[:1])

    def rules(self, draft: Draft) -> Rules | None:
        """The sequence whose step it is."""
        version = self._versions.get(draft.enrollment_id or "")
        try:
            return self._ledger.enrollments.version(version) if version else None
        except ValueError:  # of a newer Relent
            return None


def _after(asked: Asked) -> tuple[str, str] | None:
    if not asked.query.cursor:  # some ask for the first page with an empty one
        return None
    mark = asked.desk.seal.open(_purpose(asked.query), asked.query.cursor)
    if mark is None:
        raise Turned(400, "This is no cursor of this list: begin without one.", "invalid_cursor")
    return str(mark[0]), str(mark[1])


def _purpose(query: ListDraftsQuery) -> str:
    """A cursor is good for one list, with its filters; the size of a page may change."""
    return json.dumps([PATH, query.model_dump(mode="json", include={"session_id", "status"})], sort_keys=True)


def _draft(filed: Filed, known: _Known, space: UUID) -> DraftResponse:
    draft = filed.draft
    approval = DraftApprovalState(consent_of(draft, rejected=known.rejected(draft)))
    yes = _yes(filed, approval, known)
    no = _no(filed, known)
    said = known.yes(draft) if approval == DraftApprovalState.APPROVED else None
    return {
        "id": str(uuid_of(draft.id, space)),
        "organization_id": str(space),
        "session_id": str(uuid_of(draft.thread_id, space)),
        "account_id": str(uuid5(space, draft.inbox_id)),
        "agent_id": None,
        "in_reply_to_turn_id": _turn(draft, draft.in_reply_to, space),
        "mode": DraftMode.HUMAN_ONLY,
        "status": _STATUS[stage_of(draft)],
        "approval_state": approval,
        "subject": draft.subject,
        "body_html": _in_html(draft.text) if draft.html is None else draft.html,
        "body_text": draft.text,
        "to": _people((*((draft.to,) if draft.to else ()), *draft.also_to), draft.names),
        "cc": _people(draft.cc, draft.names),
        "bcc": _people(draft.bcc, draft.names),
        "reply_to": _people(draft.reply_to, draft.names),
        "approved_by_member_id": _member(yes, space),
        "approved_at": _moment(yes.at) if yes else None,
        "sent_turn_id": _turn(draft, draft.message_id if draft.state == DraftState.SENT else None, space),
        "evidence_snapshot": dict(said.evidence) if said else None,
        "auto_send_reason": why_unasked(draft, known.rules(draft)),
        "discarded_by_member_id": _member(no, space),
        "discarded_at": _moment(filed.moved_at) if draft.state == DraftState.CANCELLED else None,
        "created_at": _moment(filed.created_at),
        "updated_at": _moment(filed.moved_at),
    }


def _yes(filed: Filed, approval: DraftApprovalState, known: _Known) -> Deed | None:
    """Who has let it go, and when; None: nobody, or it is not written down."""
    draft = filed.draft
    if approval not in (DraftApprovalState.APPROVED, DraftApprovalState.AUTO_APPROVED):
        return None
    if draft.approved_by == THE_SEQUENCE:
        return Deed(THE_SEQUENCE, filed.created_at)
    if (review := known.yes(draft)) is not None:
        return Deed(review.by, review.at)
    deeds = known.deeds(draft)
    said = [deeds[what] for what in _YESES if what in deeds and deeds[what].by == draft.approved_by]
    return max(said, key=lambda deed: deed.at, default=None)


def _no(filed: Filed, known: _Known) -> Deed | None:
    """Who has thrown it away; None: nobody here did. Somebody answered, perhaps."""
    draft = filed.draft
    by_hand = draft.outcome == StopReason.BY_HAND or known.rejected(draft)
    return known.deeds(draft).get("cancel") if by_hand and draft.state == DraftState.CANCELLED else None


def _member(deed: Deed | None, space: UUID) -> str | None:
    return None if deed is None or deed.by == THE_SEQUENCE else str(uuid_of(deed.by, space))


def _turn(draft: Draft, message_id: str | None, space: UUID) -> str | None:
    return None if message_id is None else str(uuid5(space, f"{draft.inbox_id} {message_id}"))


def _people(addresses: Iterable[str], names: Mapping[str, str]) -> list[EmailAddress]:
    """What Feather would not take for an address is left out: somebody may once have written from `root@localhost`."""
    known = {address.lower(): name for address, name in names.items()}
    return [
        {"address": each, "name": known.get(each.lower(), "")[:_LONGEST_NAME] or None}
        for each in addresses
        if _ADDRESS.fullmatch(each) and len(each) <= _LONGEST_ADDRESS
    ]


def _in_html(text: str) -> str:
    """The same words, for whoever shows nothing else."""
    paragraphs = [each.strip("\n") for each in re.split(r"\n{2,}", text.replace("\r\n", "\n"))]
    return "".join(f"<p>{escape(each).replace(chr(10), '<br>')}</p>" for each in paragraphs if each)


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


# --- who asks, and why not ---


def _token(headers: Headers) -> str:
    said = headers.getlist("x-api-key")
    if len(said) != 1 or not said[0].strip():
        raise Unauthorized("Send the header x-api-key, once, with a key in it.", "missing_api_key")
    return said[0].strip()


def _refused(error: Exception) -> Refusal:
    """The same refusals, as Feather says them."""
    told = refusal(error)
    if isinstance(error, Invalid):
        detail: list[ValidationError] = [
            {"loc": _place(each.path), "msg": each.message, "type": each.code} for each in error.issues
        ]
        return Refusal(status=422, body={"detail": detail})
    headers = dict(told.headers)
    if told.status == 401:
        headers["WWW-Authenticate"] = "APIKey"
    return Refusal(
        status=told.status,
        body={"error": told.body["code"], "message": told.body["message"]},
        headers=headers,
    )


def _place(path: tuple[str | int, ...]) -> list[str | int]:
    return ["query", *(part for part in path if part != "query")]


_LIST = Endpoint(
    method="GET",
    path=PATH,
    handler=list_drafts,
    name="feather.list_email_drafts",
    summary="List drafts, also those that have left or were discarded, the youngest first.",
    needs="draft_read",
    query=ListDraftsQuery,
    answers=ListDraftsResponse,
)

FEATHER = Dialect(endpoints=(_LIST,), token=_token, refused=_refused)

# --- how /openapi.json has it ---

_REFUSALS = {
    "400": "A cursor that is none of this list.",
    "401": "No key, or none that anybody here knows.",
    "403": "A key that may not read drafts.",
    "429": "Too many requests with this key.",
    "default": "Anything else that went wrong.",
}


@cache
def document() -> dict[str, Any]:
    """Paths and components, each shape under Feather's own name for it, with `Feather` before it."""
    shapes = (ListDraftsQuery, ListDraftsResponse, ErrorResponse, HTTPValidationError)
    inputs = [(shape, "validation", TypeAdapter(shape)) for shape in shapes]
    refs, whole = TypeAdapter.json_schemas(
        inputs,  # type: ignore[arg-type]
        ref_template="#/components/schemas/Feather{model}",
    )
    asked = whole["$defs"].pop(ListDraftsQuery.__name__)["properties"]
    known = {shape: _in_json(refs[shape, "validation"]) for shape in shapes[1:]}
    parameters = [
        {"name": name, "in": "query", "required": False, "schema": _parameter(schema)}
        for name, schema in asked.items()
    ]
    operation = {
        "operationId": "listEmailDrafts",
        "summary": _LIST.summary,
        "description": "In Feather's dialect. Needs the permission `draft_read`.",
        "tags": ["feather"],
        "security": [{"featherKey": []}],
        "parameters": parameters,
        "responses": {
            "200": {"description": "A page.", "content": known[ListDraftsResponse]},
            "422": {"description": "Parameters that cannot be read.", "content": known[HTTPValidationError]},
            **{
                status: {"description": said, "content": known[ErrorResponse]}
                for status, said in _REFUSALS.items()
            },
        },
    }
    return {
        "paths": {PATH: {"get": operation}},
        "components": {
            "schemas": {f"Feather{name}": shape for name, shape in sorted(whole["$defs"].items())},
            "securitySchemes": {"featherKey": {"type": "apiKey", "in": "header", "name": "x-api-key"}},
        },
    }


def _in_json(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _parameter(schema: Mapping[str, Any]) -> dict[str, Any]:
    """What is not said is not said as null."""
    return {name: said for name, said in schema.items() if (name, said) != ("default", None)}
