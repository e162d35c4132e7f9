"""What a caller of AgentMail's API may write: bodies and queries, and what is wrong with the ones that are not so.

A name that is not known is passed over: a newer SDK may say more than we understand. On a change, what is absent stays
as it is and null clears it (`model_fields_set` knows); when something is made, null is the same as absent.
"""

import base64
import binascii
import json
import mimetypes
import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal, NamedTuple, Self

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

from engine.addresses import contact, valid_address
from engine.errors import Invalid, Refused
from engine.headers import content_id_trouble, header_trouble, is_one_line, name_trouble
from engine.model import Enclosure
from engine.tags import relabelling

MOST_READERS = 50
_MOST_LABELS = 50
_MOST_VALUES = 500
_LONGEST_LINE = 998  #: RFC 5322
_LONGEST_ADDRESS = 320
_MOST_HEADERS = 50

_CLIENT_ID = re.compile(r"[A-Za-z0-9\-._~]{1,256}")
_NUMBER = re.compile(r"[0-9]{1,100}")
_NAMED = re.compile(r"(?P<name>[^<>]*)<(?P<address>[^<>]+)>")
_QUOTED = re.compile(r"\\(.)", re.DOTALL)
_MOMENT = re.compile(
    r"\d{4}(?:-?\d\d-?\d\d|-?W\d\d(?:-?\d)?|-?\d{3})(?:[T ][\d:.,]+(?:Z|[+-]\d\d(?::?\d\d(?::?\d\d)?)?)?)?",
    re.ASCII,
)
#: The last that is said may have a fraction; Python takes that of an hour or of a minute for one of a second.
_PART = re.compile(r"(?P<before>[^T ]+[T ]\d\d(?P<minute>:?\d\d)?)[.,](?P<part>\d+)(?P<offset>.*)", re.DOTALL)
_DAYS_END = re.compile(r"(?P<day>[^T ]+[T ])24(?P<rest>(?::?00){0,2}(?:[.,]0+)?(?:[Z+-].*)?)", re.DOTALL)
_ORDINAL = re.compile(r"(\d{4})-?(\d{3})(?!\d)(.*)", re.DOTALL)
_TYPE = re.compile(r"[a-z0-9!#$&^_.+-]{1,127}/[a-z0-9!#$&^_.+-]{1,127}", re.IGNORECASE)


class Reader(NamedTuple):
    """Somebody, as they are written: `Name <a@b>`."""

    address: str
    name: str = ""


# --- one value at a time; what is wrong with it is said in a sentence ---


def line(text: object, longest: int = _LONGEST_LINE) -> str:
    """Text that stays on its line: nothing in it can begin another header."""
    if not isinstance(text, str):
        raise ValueError(f"This is text: found {_kind(text)}.")
    if not is_one_line(text):
        raise ValueError("It is one line, without line breaks or other control characters.")
    if len(text) > longest:
        raise ValueError(f"It is longer than {longest} characters.")
    return text


def reader(text: object) -> Reader:
    written = line(text).strip()
    named = _NAMED.fullmatch(written)
    address, name = (named["address"], named["name"]) if named else (written, "")
    if len(address) > _LONGEST_ADDRESS:
        raise ValueError(f"An address has at most {_LONGEST_ADDRESS} characters.")
    name = _unquoted(name.strip())
    if trouble := name_trouble(name):
        raise ValueError(trouble)
    try:
        return Reader(valid_address(address), name)
    except Refused as error:
        raise ValueError(str(error)) from None


def _unquoted(name: str) -> str:
    return _QUOTED.sub(r"\1", name[1:-1]) if len(name) > 1 and name[0] == name[-1] == '"' else name


def readers(value: object) -> list[Reader]:
    """One, or several; nobody twice."""
    found: dict[str, Reader] = {}
    for each in _several(value, MOST_READERS):
        known = reader(each)
        found.setdefault(contact(known.address), known)
    return list(found.values())


def labels(value: object) -> list[str]:
    """Those that a caller may put on; as they are kept, in lower case."""
    return _labels(value, lambda said: relabelling(said, ()).add)


def unlabels(value: object) -> list[str]:
    """And those that they may take away."""
    return _labels(value, lambda said: relabelling((), said).remove)


def _labels(value: object, read: Callable[[list[str]], Iterable[str]]) -> list[str]:
    said = [line(each) for each in _several(value, _MOST_LABELS)]
    try:
        return list(read(said))
    except Invalid as error:
        raise ValueError(error.issues[0].message) from None


def moment(value: object) -> datetime:
    """ISO 8601 in any of its forms; without an offset it is UTC, and without an hour midnight."""
    written = line(value, 64).strip().upper() if not isinstance(value, datetime) else value.isoformat()
    try:
        if not _MOMENT.fullmatch(written):
            raise ValueError
        found = _instant(_calendar(written))
        found = (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
        if found.year > 9998:  # a year that is kept for what has no hour
            raise ValueError
    except (ValueError, OverflowError):
        raise ValueError("This is no moment that can be, like 2026-08-02T08:28:47Z.") from None
    return found


def _calendar(written: str) -> str:
    """The 32nd day of a year is the 1st of February; Python reads only the latter."""
    if found := _ORDINAL.fullmatch(written):
        year, day = int(found[1]), int(found[2])
        date = datetime(year, 1, 1, tzinfo=UTC) + timedelta(days=day - 1)
        if day < 1 or date.year != year:
            raise ValueError
        return date.strftime("%Y-%m-%d") + found[3]
    return written


def _instant(written: str) -> datetime:
    """With half past nine as `09.5`, and the midnight at which a day ends."""
    later = timedelta()
    if found := _PART.fullmatch(written):
        later = timedelta(**{"minutes" if found["minute"] else "hours": float(f"0.{found['part']}")})
        written = found["before"] + found["offset"]
    if not later and (found := _DAYS_END.fullmatch(written)):
        later, written = timedelta(days=1), f"{found['day']}00{found['rest']}"
    return datetime.fromisoformat(written) + later


def client_id(value: object) -> str:
    if not isinstance(value, str) or not _CLIENT_ID.fullmatch(value):
        raise ValueError("A client_id is 1 to 256 of A-Z a-z 0-9 - . _ ~")
    return value


def _headers(value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        raise ValueError(f"These are names and values: found {_kind(value)}.")
    if len(value) > _MOST_HEADERS:
        raise ValueError(f"These are more than {_MOST_HEADERS}.")
    for name, said in value.items():
        if trouble := header_trouble(name, line(said)):
            raise ValueError(trouble)
    if len({name.lower() for name in value}) < len(value):
        raise ValueError("A header stands there twice.")
    return value


def _metadata(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"These are names and values: found {_kind(value)}.")
    for name, said in value.items():
        if not (said is None or isinstance(said, str | int | float | bool)):
            raise ValueError(f"{name[:80]!r} is a text, a number or a boolean: found {_kind(said)}.")
        if isinstance(said, int) and abs(said) >= 2**53:
            raise ValueError(f"{name[:80]!r} is a number that not everybody can read exactly.")
    return value


def _several(value: object, most: int) -> list[object]:
    """A single one is a list of one."""
    if value is None:
        return []
    found = value if isinstance(value, list) else [value]
    if len(found) > most:
        raise ValueError(f"These are more than {most}.")
    return found


def _kind(value: object) -> str:
    names = {
        bool: "a boolean",
        int: "a number",
        float: "a number",
        str: "text",
        list: "a list",
        dict: "an object",
    }
    return names.get(type(value), "null")


# --- the same, as types: how pydantic reads them, and how /openapi.json shows them ---


def _shown(kind: str, **more: Any) -> WithJsonSchema:
    return WithJsonSchema({"type": kind, **more})


_TEXTS = {"type": "array", "items": {"type": "string"}, "maxItems": _MOST_LABELS}
_TEXT_OR_TEXTS = WithJsonSchema({"anyOf": [{"type": "string"}, _TEXTS, {"type": "null"}]})

#: Of what may be in it. Half characters need not be named: no JSON that we read has any.
_ON_ONE_LINE = r"^[^\u0000-\u001f\u007f-\u009f\u2028\u2029]*$"
_NO_NUL = r"^[^\u0000]*$"

Line = Annotated[str, BeforeValidator(line), _shown("string", maxLength=_LONGEST_LINE, pattern=_ON_ONE_LINE)]
Name = Annotated[
    str, BeforeValidator(lambda text: line(text, 256)), _shown("string", maxLength=256, pattern=_ON_ONE_LINE)
]
Text = Annotated[str, _shown("string", pattern=_NO_NUL)]
Readers = Annotated[list[Reader], BeforeValidator(readers), _TEXT_OR_TEXTS]
Labels = Annotated[list[str], BeforeValidator(labels), _TEXT_OR_TEXTS]
Unlabels = Annotated[list[str], BeforeValidator(unlabels), _TEXT_OR_TEXTS]
Moment = Annotated[datetime, BeforeValidator(moment), _shown("string", format="date-time")]
ClientId = Annotated[str, BeforeValidator(client_id), _shown("string", pattern=r"^[A-Za-z0-9\-._~]{1,256}$")]
Headers = Annotated[dict[str, str], BeforeValidator(_headers)]
Scalar = str | int | float | bool
Metadata = Annotated[dict[str, Scalar | None], BeforeValidator(_metadata)]


class _Body(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    def said(self, name: str) -> bool:
        """Was it named at all, were it only to clear it?"""
        return name in self.model_fields_set


class _New(_Body):
    """Something is made: null is the same as absent."""

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        shown = handler.resolve_ref_schema(handler(schema))
        for name, said in shown.get("properties", {}).items():
            if name not in shown.get("required", ()) and {"type": "null"} not in said.get("anyOf", ()):
                shown["properties"][name] = {"anyOf": [said, {"type": "null"}]}
        return shown

    @model_validator(mode="before")
    @classmethod
    def _without_null(cls, value: Any) -> Any:
        return (
            {name: said for name, said in value.items() if said is not None}
            if isinstance(value, dict)
            else value
        )


class File(_New):
    """A file to attach: base64, in the request itself."""

    filename: Line | None = None
    content_type: str | None = None
    content_disposition: Literal["inline", "attachment"] = "attachment"
    content_id: Line | None = None
    content: str = Field(default="", json_schema_extra={"contentEncoding": "base64"})
    url: str | None = None

    @model_validator(mode="after")
    def _is_here(self) -> Self:
        if self.content_id is not None and (trouble := content_id_trouble(self.content_id)):
            raise ValueError(trouble)
        if self.url is not None:
            raise ValueError("Files are not fetched from elsewhere: send `content`.")
        if not self.said("content"):
            raise ValueError("A file has `content`, in base64.")
        if self.content_type is not None and not _TYPE.fullmatch(self.content_type.partition(";")[0].strip()):
            raise ValueError("content_type is like text/plain.")
        self.enclosure()
        return self

    def enclosure(self) -> Enclosure:
        try:
            content = base64.b64decode("".join(self.content.split()), validate=True)
        except (binascii.Error, ValueError):
            raise ValueError("content is not base64.") from None
        return Enclosure(
            name=self.filename or "",
            content_type=(self.content_type or self._usual_type()).partition(";")[0].strip().lower(),
            content=content,
            disposition=self.content_disposition,
            content_id=self.content_id,
        )

    def _usual_type(self) -> str:
        """What a file of this name most often is."""
        return mimetypes.guess_type(self.filename or "")[0] or "application/octet-stream"


class _Letter(_New):
    """What every letter may have."""

    labels: Labels = []
    reply_to: Readers = []
    text: Text | None = None
    html: Text | None = None
    attachments: list[File] = Field(default=[], max_length=100)
    headers: Headers = {}
    track_opens: bool = False  # nothing is tracked here


class Send(_Letter):
    """A letter, now. Also what a forward is."""

    to: Readers = []
    cc: Readers = []
    bcc: Readers = []
    subject: Line | None = None


class Answer(_Letter):
    """An answer, now: to whoever wrote, or to whom it says."""

    to: Readers | None = None
    cc: Readers | None = None
    bcc: Readers | None = None
    reply_all: bool = False


class AnswerAll(_Letter):
    """An answer to everybody, now."""


class NewDraft(_Letter):
    """A letter for later."""

    to: Readers | None = None
    cc: Readers | None = None
    bcc: Readers | None = None
    subject: Line | None = None
    in_reply_to: Line | None = None
    forward_of: Line | None = None
    reply_all: bool = False
    send_at: Moment | None = None
    client_id: ClientId | None = None


class DraftChange(_Body):
    """What becomes different in a draft. Absent stays, null clears."""

    reply_to: Readers | None = None
    to: Readers | None = None
    cc: Readers | None = None
    bcc: Readers | None = None
    subject: Line | None = None
    text: Text | None = None
    html: Text | None = None
    send_at: Moment | None = None
    add_attachments: list[File] | None = Field(default=None, max_length=100)
    remove_attachments: list[str] | None = Field(default=None, max_length=100)
    add_labels: Labels = []
    remove_labels: Unlabels = []


class LabelChange(_Body):
    """What somebody calls it, from now on."""

    add_labels: Labels = []
    remove_labels: Unlabels = []


MessageId = Line


class Batch(_Body):
    """Many messages, by their ids."""

    message_ids: list[MessageId] = Field(max_length=500)


class BatchChange(LabelChange):
    """Many messages, labelled together: all of them, or none."""

    message_ids: list[MessageId] = Field(max_length=50)


class _InboxWords(_Body):
    display_name: Name | None = None
    status: Literal["active", "paused"] | None = None
    metadata: Metadata | None = None


class NewInbox(_InboxWords, _New):
    """Another address. What is not said is made up."""

    username: Line | None = None
    domain: Line | None = None
    client_id: ClientId | None = None


class InboxChange(_InboxWords):
    """What becomes different in an inbox; at least one of these."""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("Name at least one of display_name, status and metadata.")
        return self


class NewPod(_New):
    """Inboxes that belong together."""

    name: Name | None = None
    client_id: ClientId | None = None


class KeyWords(_Body):
    """What a key is called, and what it may."""

    name: Name | None = None
    permissions: dict[str, bool | None] | None = None


class NewKey(KeyWords, _New):
    """Another key. Without permissions it may all that its maker may."""

    type: Literal["bearer"] = "bearer"
    expires_at: Moment | None = None


class NewEntry(_New):
    """An address or a domain, for a list."""

    entry: Line
    reason: Line | None = None


HookHeaders = Annotated[dict[str, str], Field(max_length=_MOST_HEADERS)]


class NewWebhook(_New):
    """Somebody who wants to hear what happens."""

    url: str = Field(max_length=2048)
    event_types: list[str] = Field(min_length=1, max_length=50)
    client_id: ClientId | None = None
    headers: HookHeaders = {}
    inbox_ids: list[str] = Field(default=[], max_length=10)
    pod_ids: list[str] = Field(default=[], max_length=10)


class WebhookChange(_Body):
    """What they want to hear from now on. An empty list of events changes nothing."""

    event_types: list[str] | None = Field(default=None, max_length=50)
    enabled: bool | None = None
    add_inbox_ids: list[str] | None = Field(default=None, max_length=10)
    remove_inbox_ids: list[str] | None = Field(default=None, max_length=10)
    add_pod_ids: list[str] | None = Field(default=None, max_length=10)
    remove_pod_ids: list[str] | None = Field(default=None, max_length=10)


class WebhookHeaders(_Body):
    """What goes along with every event; the values are told to nobody."""

    headers: HookHeaders | None = None
    remove_headers: list[str] | None = Field(default=None, max_length=_MOST_HEADERS)

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.headers and not self.remove_headers:
            raise ValueError("Name at least one of headers and remove_headers.")
        both = {name.lower() for name in self.headers or ()} & {
            name.lower() for name in self.remove_headers or ()
        }
        if both:
            raise ValueError(f"{sorted(both)[0]!r} is set and removed at once.")
        return self


# --- queries: every value comes as the list of how often it was said ---


def _last(value: object) -> str:
    """Said twice, the last one is meant."""
    return str(value[-1]) if isinstance(value, list) and value else str(value)


def _limit(value: object) -> int:
    said = _last(value) if isinstance(value, list) else str(value)
    if not _NUMBER.fullmatch(said) or int(said) < 1:
        raise ValueError("A limit is a number from 1 on; more than 100 is 100.")
    return min(int(said), 100)


def _flag(value: object) -> bool:
    said = str(value).lower() if isinstance(value, bool) else _last(value).lower()
    if said not in ("true", "false", "1", "0"):
        raise ValueError("It is true or false.")
    return said in ("true", "1")


def _listed(value: object) -> list[str]:
    """As the SDKs write it, as a form does, with commas, or bare. Only the first has room for a comma in a value."""
    said = value if isinstance(value, list) else [value]
    if len(said) == 1 and str(said[0]).lstrip().startswith("["):
        try:
            found = json.loads(str(said[0]))
        except (ValueError, RecursionError):
            raise ValueError("This begins like a list in JSON, and is none.") from None
    else:
        found = [part for each in said for part in str(each).split(",")]
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        raise ValueError("It is a list of texts.")
    if len(found) > _MOST_LABELS:
        raise ValueError(f"These are more than {_MOST_LABELS}.")
    return [_storable(each) for each in found if each.strip()]


def _storable(text: str) -> str:
    """What JSON may hide in a query: a NUL, half a character."""
    if "\0" in text or any("\ud800" <= sign <= "\udfff" for sign in text):
        raise ValueError("There is a NUL in it, or half a character.")
    return text


def _words(value: object) -> str:
    said = _last(value).strip()
    if len(said) > _LONGEST_LINE:
        raise ValueError(f"It is longer than {_LONGEST_LINE} characters.")
    if not said:
        raise ValueError("What is to be found? Here is nothing to look for.")
    return said


Limit = Annotated[int, BeforeValidator(_limit), _shown("integer", minimum=1)]
Token = Annotated[str, BeforeValidator(_last)]
Flag = Annotated[bool, BeforeValidator(_flag)]
Listed = Annotated[list[str], BeforeValidator(_listed), WithJsonSchema(_TEXTS)]
Filter = Annotated[
    list[str],
    BeforeValidator(lambda value: [each.strip().lower() for each in _listed(value)]),
    WithJsonSchema(_TEXTS),
]
When = Annotated[
    datetime, BeforeValidator(lambda value: moment(_last(value))), _shown("string", format="date-time")
]
Words = Annotated[
    str,
    BeforeValidator(_words),
    _shown("string", pattern=r"^[^\u0000]*[^\s\u0000][^\u0000]*$", maxLength=_LONGEST_LINE),
]


class Paged(BaseModel):
    """Which page of a list."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    limit: Limit = 50
    page_token: Token = ""


class Sorted(Paged):
    """And in which order."""

    ascending: Flag = False


class Found(Paged):
    """A search."""

    q: Words


class Filtered(Sorted):
    """By labels, all of which must be there, and by time, without the moment itself."""

    labels: Filter = []
    before: When | None = None
    after: When | None = None


class FoundIn(Found):
    """A search within a time."""

    before: When | None = None
    after: When | None = None


class _Shown(Filtered):
    include_spam: Flag = False
    include_blocked: Flag = False
    include_unauthenticated: Flag = False
    include_trash: Flag = False

    @property
    def hidden(self) -> frozenset[str]:
        """What is to be shown although it is hidden."""
        kinds = ("spam", "blocked", "unauthenticated", "trash")
        return frozenset(kind for kind in kinds if getattr(self, f"include_{kind}"))


class MessageFilter(_Shown):
    """Pieces of what a message says of itself; every one must be there."""

    sender: Listed = Field(default=[], alias="from")
    to: Listed = []
    subject: Listed = []


class ThreadFilter(_Shown):
    """The same of a thread."""

    senders: Listed = []
    recipients: Listed = []
    subject: Listed = []


# --- what the engine is handed ---


def addresses(said: Iterable[Reader]) -> tuple[str, ...]:
    return tuple(each.address for each in said)


def names(*said: Iterable[Reader] | None) -> dict[str, str]:
    """Of those who were named: address -> name."""
    return {each.address: each.name for some in said for each in some or () if each.name}
