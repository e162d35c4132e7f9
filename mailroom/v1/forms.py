"""What a caller of `/v1` may write: bodies and queries, and what is wrong with the ones that are not so."""

from collections.abc import Callable
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import CoreSchema

from engine.addresses import valid_address
from engine.consent import Consent
from engine.errors import Refused
from engine.states import DraftState, EnrollmentState
from mailroom.forms import Moment, Paged, Sorted, Text, line

MOST_AT_ONCE = 500
_LONGEST_NAME, _LONGEST_REASON, _LONGEST_ADDRESS = 200, 1_000, 320
_WHERE_IT_IS = (
    "Say what you have looked at: `content_sha`, as GET /v1/drafts/{draft_id} shows it. "
    "A yes is good for these very words."
)


# --- values ---


def _last(value: object) -> object:
    """In a query: said twice, the last one is meant; an empty one is none."""
    return (value[-1] or None) if isinstance(value, list) and value else value


def _sha(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(_WHERE_IT_IS)
    return line(value, 128)


def _scalar(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError("It is a text or a number.")
    return str(value)


def _as_address(value: object) -> str:
    try:
        return valid_address(line(value, _LONGEST_ADDRESS))
    except Refused as error:
        raise ValueError(str(error)) from None


def _line(longest: int) -> Callable[[object], str]:
    def read(value: object) -> str:
        return line(_last(value), longest)

    return read


def _shown(**more: Any) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", **more})


Name = Annotated[str, BeforeValidator(_line(_LONGEST_NAME)), _shown(maxLength=_LONGEST_NAME)]
Reason = Annotated[str, BeforeValidator(_line(_LONGEST_REASON)), _shown(maxLength=_LONGEST_REASON)]
Sha = Annotated[str, BeforeValidator(_sha), _shown(maxLength=128)]
Variable = Annotated[str, BeforeValidator(_scalar), WithJsonSchema({"type": ["string", "number"]})]
Somebody = Annotated[str, BeforeValidator(_line(_LONGEST_ADDRESS)), _shown(maxLength=_LONGEST_ADDRESS)]
Address = Annotated[str, BeforeValidator(_as_address), _shown(format="email")]


class _Body(BaseModel):
    """A name that is not known is a slip: here it would be a decision that nobody hears."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


def _needed(name: str) -> Callable[[dict[str, Any]], None]:
    """It is needed; that it is not there is told in our own words."""

    def change(schema: dict[str, Any]) -> None:
        schema["properties"][name].pop("default", None)
        schema["required"] = [*schema.get("required", ()), name]

    return change


class _Saw(_Body):
    """What else was on the page, for who wants to be told when it is no longer so."""

    head: Annotated[int, Field(ge=0)] | None = None
    sender_name: Annotated[str, Field(max_length=1_000)] | None = None
    held_for: Annotated[str, Field(max_length=100)] | None = None


class _Looked(_Saw):
    """Who says something of a letter says which one they have looked at."""

    content_sha: Sha = Field(default="", validate_default=True)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        shown = handler.resolve_ref_schema(handler(schema))
        _needed("content_sha")(shown)
        return shown


class _PerhapsLooked(_Saw):
    content_sha: Sha | None = None


# --- drafts ---


class V1Approve(_Looked):
    """Yes, to these very words."""


class V1Edit(_Looked):
    """Other words; with `approve` it is a yes to them at once."""

    subject: Text | None = None
    text: Text | None = None
    approve: bool = False

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.subject is None and self.text is None:
            raise ValueError("Say at least one of subject and text.")
        return self


class V1SendNow(_Looked):
    """Yes, and it waits for no hour."""


class V1Reschedule(_PerhapsLooked):
    """The same words at another hour."""

    send_at: Moment


class V1Reject(_PerhapsLooked):
    """No. `then`: what becomes of the person."""

    reason: Reason
    then: Literal["pause", "skip", "stop"] = "pause"


class V1Withdraw(_PerhapsLooked):
    """A yes is taken back."""

    reason: Reason | None = None


class V1Nothing(_Body):
    """There is nothing to say."""


class V1Yes(_Looked):
    """One of several."""

    draft_id: Annotated[str, Field(min_length=1, max_length=100)]


class V1ApproveSeveral(_Body):
    """Those that are alike, without what is odd; or each by its name."""

    alike: Annotated[str, Field(min_length=1, max_length=400)] | None = None
    as_of: Moment | None = None
    after: str | None = None
    drafts: Annotated[list[V1Yes], Field(min_length=1, max_length=MOST_AT_ONCE)] | None = None

    @model_validator(mode="after")
    def _is_one_or_the_other(self) -> Self:
        if (self.alike is None) == (self.drafts is None):
            raise ValueError(
                "Name drafts, each with its content_sha; or those that are `alike`, and `as_of`."
            )
        if self.alike is not None and self.as_of is None:
            raise ValueError("as_of: say when you looked at them. What was made or changed since is left.")
        return self


class V1DraftFilter(Paged):
    """Which drafts, and in which order."""

    state: Annotated[DraftState | None, BeforeValidator(_last)] = None
    approval_state: Annotated[Consent | None, BeforeValidator(_last)] = None
    sequence: Name | None = None
    inbox_id: Somebody | None = None
    to: Somebody | None = None
    order: Annotated[Literal["newest", "next"], BeforeValidator(_last)] = "newest"


# --- people ---


class V1Person(_Body):
    """Somebody to be written to."""

    email: Annotated[str, Field(max_length=_LONGEST_ADDRESS)]
    variables: dict[Annotated[str, Field(max_length=64)], Variable] = Field(default={}, max_length=200)


class V1Enroll(_Body):
    """People enter a sequence. Harmless to repeat."""

    sequence: Name
    version: Annotated[str, Field(max_length=64)] | None = None
    people: Annotated[list[V1Person], Field(min_length=1, max_length=MOST_AT_ONCE)]


class V1PeopleFilter(Paged):
    sequence: Name | None = None
    email: Somebody | None = None
    state: Annotated[EnrollmentState | None, BeforeValidator(_last)] = None


class V1Whom(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    email: Somebody


# --- the house ---


class _Reach(_Body):
    """One of three."""

    email: Address | None = None
    sequence: Name | None = None
    all: Literal[True] | None = None

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if sum(each is not None for each in (self.email, self.sequence, self.all)) != 1:
            raise ValueError('Say one of: "email", "sequence", or "all": true.')
        return self


class V1Stop(_Reach):
    """Whom, or what, nothing more goes to."""


class V1Resume(_Reach):
    """Who, or what, goes on."""


class V1Suppress(_Body):
    """Never again: an address, or a domain."""

    address: Somebody
    reason: Reason = "by hand"


class V1Event(_Body):
    """Something that happened elsewhere."""

    name: Annotated[str, Field(max_length=200)]
    email: Address
    value: Annotated[str, Field(max_length=200)] | None = None
    event_id: Annotated[str, Field(min_length=1, max_length=200)] | None = None


class V1Lines(Sorted):
    """Of whom."""

    draft_id: Name | None = None
    enrollment_id: Name | None = None
