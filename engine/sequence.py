"""What an author may write: a list of mails with waits between, and the few rules above it. Pure.

The values here are parsed from plain text, so that a YAML file, a database row and a test say the same words.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from functools import cached_property
from ipaddress import ip_address
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    WithJsonSchema,
    model_validator,
)

from engine.addresses import valid_address
from engine.errors import Refused
from engine.measures import (
    DatesField,
    Flag,
    GapField,
    Number,
    PercentField,
    RampField,
    Rate,
    RateField,
    Wait,
    WaitField,
    WindowsField,
    ZoneField,
    ZoneOrRecipient,
    parse_day,
    parse_near_instant,
    parse_windows,
)

MOST_STEPS = 100
DEEPEST_CHOICE = 3
MOST_VARIANTS = 26
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_COUNTRY = re.compile(r"[A-Z]{2}(-[A-Z0-9]{1,3})?", re.ASCII)
_TEAM = re.compile(r"team:[a-z0-9][a-z0-9-]{0,63}", re.ASCII)
_CLICKED = re.compile(r"""clicked\(\s*(["'])([^"'()]{1,200})\1\s*\)""")
_CALLED = re.compile(r"""([a-z][a-z0-9_]{0,63})\(\s*["'“”]?([^"'“”(){}]{1,200}?)["'“”]?\s*\)""")
_EVENT = re.compile(r"[a-z][a-z0-9_]{0,63}", re.ASCII)
_HOST = re.compile(r"(?:\w(?:[\w-]{0,61}\w)?\.)*\w(?:[\w-]{0,61}\w)?\.?")
_SAID_ALOUD = "there is a name or a password before the @. Leave it out: a sequence holds no secrets"

Id = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
Name = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")]
Text = Annotated[str, Field(min_length=1, max_length=100_000)]
#: A line break in any of these would be one in somebody's header, or in the middle of a list.
Line = Annotated[str, Field(min_length=1, max_length=998, pattern=r"^[^\r\n]*$")]
Label = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
Condition = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)]
FileName = Annotated[str, Field(min_length=1, max_length=255)]
#: What a person is known by: YAML may show it as a number or a truth, but it is read as text.
Value = Annotated[str, Field(max_length=10_000), WithJsonSchema({"type": ["string", "number", "boolean"]})]

_HEAVIEST = 1_000_000
Count = Annotated[Number, Field(ge=1), WithJsonSchema({"type": "integer", "minimum": 1})]
Weight = Annotated[
    Number, Field(ge=0, le=_HEAVIEST), WithJsonSchema({"type": "integer", "minimum": 0, "maximum": _HEAVIEST})
]

# A value may be written in two shapes. Which of them is meant is asked first, so that a mistake is told about that one only.
# The names of the shapes stand in pydantic's places; nobody can write a NUL, so they are never taken for a key.
_WORD, _LIST, _RULES = "\0word", "\0list", "\0rules"


def _shape(value: object) -> str:
    if isinstance(value, str):
        return _WORD
    return _LIST if isinstance(value, list | tuple) else _RULES


def _listed(value: object) -> object:
    """One is a list of one."""
    return value if isinstance(value, list | tuple) else [value]


def address_or_gap(text: str) -> str:
    """Who stands in a copy: an address, or a gap that one goes into."""
    try:
        return text if "{{" in text else valid_address(text)
    except Refused as error:
        raise ValueError(str(error)) from error


class Written(BaseModel):
    """Something an author wrote."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)


# --- the rules above the steps ---


class Pool(Written):
    """Whoever of them writes first to a person, goes on writing to them."""

    pool: Id = Field(description="a name from `pools` in config.yaml")
    rotate: Literal["least_recent", "round_robin"] = Field(
        "least_recent", description="whose turn it is: who has waited longest, or one after the other"
    )


def _sender(text: str) -> str:
    try:
        return valid_address(text)
    except Refused as error:
        raise ValueError(str(error)) from error


def _country(code: str) -> str:
    if _COUNTRY.fullmatch(code):
        return code
    raise ValueError(f'"{code}" is no country. Write recipient, none, or countries like [NO, US-CA]')


def _holidays(value: object) -> object:
    return value if value in ("recipient", "none") else _listed(value)


_COUNTRIES: dict[str, Any] = {"type": "string", "pattern": r"^[A-Z]{2}(-[A-Z0-9]{1,3})?$"}
_HOLIDAYS = {
    "anyOf": [
        {"enum": ["recipient", "none"]},
        _COUNTRIES,
        {"type": "array", "items": _COUNTRIES, "minItems": 1},
    ]
}
_DATES: dict[str, Any] = {
    "type": "string",
    "pattern": r"^\s*\d{4}-\d{2}-\d{2}\s*(\.\.\s*\d{4}-\d{2}-\d{2}\s*)?$",
    "examples": ["2026-12-24..2027-01-02"],
}


class Schedule(Written):
    """When somebody may be written to."""

    timezone: ZoneOrRecipient = Field("recipient", description="`recipient`, or an IANA name")
    fallback_timezone: ZoneField = Field("UTC", description="for people whose zone is not known")
    windows: WindowsField = Field(
        parse_windows("mon-fri 09:00-17:00"), description="a line or a list of lines: days, then hours"
    )
    holidays: Annotated[
        Annotated[Literal["recipient", "none"], Tag(_WORD)]
        | Annotated[tuple[Annotated[str, AfterValidator(_country)], ...], Field(min_length=1), Tag(_LIST)],
        Discriminator(_shape),
        BeforeValidator(_holidays),
        WithJsonSchema(_HOLIDAYS),
    ] = Field(
        "none", description="public holidays on which nobody is written to: `recipient`, `none`, [NO, US-CA]"
    )
    skip: Annotated[
        tuple[DatesField, ...],
        BeforeValidator(_listed),
        WithJsonSchema({"anyOf": [_DATES, {"type": "array", "items": _DATES}]}),
    ] = Field((), description="days and ranges of days on which nobody is written to")


class Stops(Written):
    """Whom an answer stops."""

    reply: Literal["person", "company", "never"] = Field(
        "person", description="who is written to no more after an answer"
    )
    bounce: Literal["person", "company", "never"] = Field("person", description="after a permanent bounce")
    complaint: Literal["person", "company", "everywhere"] = Field(
        "everywhere", description="after a complaint"
    )
    unsubscribe: Literal["person", "company", "everywhere"] = Field(
        "everywhere", description="after an unsubscribe"
    )
    meeting: Literal["person", "company", "never"] = Field(
        "person", description="after the event meeting_booked"
    )


class OutOfOffice(Written):
    """An automatic reply is nobody's answer; it holds, and does not use up the wait."""

    resume: Literal["return_date", "never"] = Field(
        "return_date", description="`never`: until a human says so"
    )
    grace: WaitField = Field(
        Wait(1, "bd"), description="after the day of return: let them empty the inbox first"
    )
    unknown: WaitField = Field(Wait(7, "d"), description="how long, when the message names no date")


def _approver(text: str) -> str:
    """Who may say yes."""
    if _TEAM.fullmatch(text):
        return text
    try:
        return valid_address(text)
    except Refused as error:
        raise ValueError(f'"{text}" is neither an address nor a team. Write team:name for a team') from error


class Approval(Written):
    """Which letters a human must release."""

    steps: Annotated[
        Annotated[Literal["none", "first", "all"], Tag(_WORD)]
        | Annotated[tuple[Id, ...], Field(min_length=1), Tag(_LIST)],
        Discriminator(_shape),
        WithJsonSchema(
            {"anyOf": [{"enum": ["none", "first", "all"]}, {"type": "array", "items": {"type": "string"}}]}
        ),
    ] = Field("none", description="`none`, `first`, `all`, or ids of mails")
    by: tuple[Annotated[Line, AfterValidator(_approver)], ...] = Field(
        (), description="who may say yes: addresses, `team:name`"
    )
    expires: WaitField | None = Field(None, description="how long a letter waits for its yes")
    on_expire: Literal["hold", "skip"] = Field("hold", description="what then")


def _approval(value: object) -> object:
    return {"steps": value} if isinstance(value, str) else value


class Enroll(Written):
    """Who may enter."""

    again_after: WaitField | None = Field(
        None, description="the same person once more, so long after their last time"
    )
    exclusive: Flag = Field(False, description="not while active in another sequence")
    quiet_period: WaitField | None = Field(None, description="nor if anybody here mailed them within it")
    per_company: Count | None = Field(None, description="at most so many people of one company at a time")
    skip_if: Condition | None = Field(None, description="a condition: whom not to enroll")


class Limits(Written):
    """How much leaves, and how fast."""

    per_mailbox: RateField = Field(Rate(50, "day"), description="letters from one mailbox, like 40/day")
    per_company: RateField | None = Field(None, description="letters to one company")
    per_domain: RateField | None = Field(None, description="letters to one domain, free-mail domains too")
    gap: GapField | None = Field(None, description="between two letters from one mailbox, like 3m-9m; seeded")
    ramp: RampField | None = Field(None, description="like 10/day to 40/day over 14d")


class PauseIf(Written):
    """When the whole sequence pauses itself, and says so."""

    bounce_rate: PercentField = Field(0.05, description="share of letters that bounced")
    complaint_rate: PercentField = Field(0.001, description="share of letters that were called spam")
    min_sent: Count = Field(50, description="not before so many were sent")


class OnReply(Written):
    """What happens besides, when somebody has labelled an answer. After the stop, never instead of it."""

    label: Line | None = Field(None, description="a label for the thread")
    notify: Line | None = Field(None, description="whom to tell")
    task: Line | None = Field(None, description="a task for the owner")
    suppress: Literal["person", "company"] | None = Field(None, description="never to be written to again")
    resume: Line | None = Field(None, description="the name of a sequence to enter later")
    after: WaitField | None = Field(None, description="how much later")

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if self.after is not None and self.resume is None:
            raise ValueError('"after" says when to resume: name the sequence with "resume"')
        if not self.model_fields_set:
            raise ValueError("it says nothing. Write label, notify, task, suppress or resume")
        return self


# --- the steps ---


class Words(Written):
    """What a mail says. No subject: the same thread goes on."""

    subject: Line | None = Field(None, description="a new thread; without one, the same thread goes on")
    body: Text | None = Field(None, description="plain text or Markdown, with {{ gaps }}")
    html: Text | None = Field(None, description="a way out: HTML, beside the body or instead of it")


class Variant(Words):
    """One of several ways to say it."""

    id: Id | None = Field(None, description="its name; without one, a, b, c by its place")
    weight: Weight = Field(1, description="how often, compared with the others")


def _sure_enough(share: float) -> float:
    if 0.5 <= share <= 0.999:
        return share
    raise ValueError("it lies between 50% and 99.9%")


class Winner(Written):
    """From when on everybody gets the variant that does best."""

    by: Literal["reply", "positive_reply"] = Field("reply", description="what counts")
    min_sent: Count = Field(200, description="letters of each variant before anything is decided")
    confidence: Annotated[PercentField, AfterValidator(_sure_enough)] = Field(
        0.95, description="how sure one has to be, like 95%"
    )


def _condition(value: object) -> object:
    """`clicked("report")` is the event `clicked` with the value `report`; any other word is an event's name."""
    if isinstance(value, str) and (_EVENT.fullmatch(value.strip()) or _CLICKED.fullmatch(value.strip())):
        return value.strip()
    raise ValueError(f'"{value}" is no event. {_right_event(str(value))}')


def _right_event(written: str) -> str:
    """What they may have meant."""
    if found := _CALLED.fullmatch(written.strip()):
        return (
            f'Write {found[1]}, or clicked("{found[2]}")'
            if found[1] != "clicked"
            else f'Write clicked("{found[2]}")'
        )
    close = re.sub(r"[^a-z0-9]+", "_", written.strip().lower()).strip("_")
    if _EVENT.fullmatch(close) and " " in written.strip() and "(" not in written:
        return f"Write {close}"
    return 'Write clicked("report"), meeting_booked or any name of your own'


def _url(text: str) -> str:
    try:
        parts = urlsplit(text)
        if parts.username is not None and parts.hostname:
            raise ValueError(_SAID_ALOUD)
        sound = parts.scheme in ("http", "https") and _is_host(parts.hostname or "") and text.isprintable()
        if sound and " " not in text and (parts.port or 1) > 0:
            return text
    except ValueError as error:  # half a bracket, a port that is no number
        if str(error) == _SAID_ALOUD:
            raise
    raise ValueError(
        f'"{text}" is no URL. Write https://crm.example.com/hook, and put what varies below "with"'
    )


def _is_host(name: str) -> bool:
    """A name of one word or several, or an address in numbers."""
    return _HOST.fullmatch(name) is not None or (":" in name and ip_address(name) is not None)


class Choice(Written):
    """One way on, and when to take it."""

    when: Annotated[
        Condition | None, Field(alias="if", description="a condition; the first that is true is taken")
    ] = None
    then: Annotated[tuple["Step", ...], Field(min_length=1, max_length=MOST_STEPS)] | None = Field(
        None, description="the steps to take then"
    )
    otherwise: Annotated[
        tuple["Step", ...] | None,
        Field(alias="else", min_length=1, max_length=MOST_STEPS, description="when nothing else was true"),
    ] = None

    @model_validator(mode="after")
    def _is_one_of_two(self) -> Self:
        if (self.when is None) != (self.then is None) or (self.when is None) == (self.otherwise is None):
            raise ValueError('write "if" and "then", or a last "else" alone')
        return self

    @property
    def steps(self) -> tuple["Step", ...]:
        return self.then or self.otherwise or ()


class Step(Words):
    """One mail, one task, one webhook, one wait for something, or one choice."""

    id: Id = Field(description="its name; without one, step-1, step-2 by its place")
    after: WaitField = Field(Wait(0, "d"), description="since the mail before it really left")
    when: Annotated[
        Condition | None, Field(alias="if", description="a condition; a step that is skipped adds no delay")
    ] = None
    approve: Flag | None = Field(None, description="whether a human must release this letter")

    template: FileName | None = Field(None, description="a file beside the sequence that holds the words")
    variants: Annotated[tuple[Variant, ...], Field(min_length=2, max_length=MOST_VARIANTS)] | None = Field(
        None, description="several ways to say it; beside a template, names and weights: { a: 50, b: 50 }"
    )
    winner: Winner | None = Field(None, description="from when on everybody gets the variant that does best")
    cc: tuple[Annotated[Line, AfterValidator(address_or_gap)], ...] = Field(
        (), description="who gets a copy; addresses or {{ gaps }}"
    )
    bcc: tuple[Annotated[Line, AfterValidator(address_or_gap)], ...] = Field(
        (), description="who gets a copy that nobody sees"
    )
    attachments: Annotated[tuple[FileName, ...], Field(max_length=20)] = Field(
        (), description="files beside the sequence"
    )

    task: Line | None = Field(None, description="what somebody has to do")
    assign: Line | None = Field(None, description="who")
    due: WaitField | None = Field(None, description="by when")
    blocking: Flag = Field(False, description="true: the next step waits until it is done")

    webhook: Annotated[str, Field(min_length=1, max_length=2000), AfterValidator(_url)] | None = Field(
        None, description="a URL to call"
    )
    with_: Annotated[
        dict[Name, Value], Field(alias="with", description="what to tell it: `name: value`")
    ] = {}

    wait_for: Annotated[str, BeforeValidator(_condition)] | None = Field(
        None, description='clicked("report"), meeting_booked, any name'
    )
    up_to: WaitField | None = Field(None, description="how long to wait at most")
    then: Annotated[tuple["Step", ...], Field(max_length=MOST_STEPS)] = Field(
        (), description="the steps to take when it came"
    )
    otherwise: Annotated[
        tuple["Step", ...],
        Field(alias="else", max_length=MOST_STEPS, description="the steps to take when it did not"),
    ] = ()

    choose: Annotated[tuple[Choice, ...], Field(min_length=1, max_length=20)] | None = Field(
        None, description="a list of `if` and `then`, and a last `else`: the first that is true is taken"
    )

    @cached_property
    def kind(self) -> str:
        return next(
            (kind for kind in ("task", "webhook", "wait_for", "choose") if getattr(self, kind) is not None),
            "mail",
        )

    @property
    def _given(self) -> set[str]:
        """What its author wrote, as they spell it."""
        fields = type(self).model_fields
        return {
            fields[name].alias or name
            for name in self.model_fields_set
            if getattr(self, name) != fields[name].default
        }

    @property
    def inner(self) -> Iterator["Step"]:
        """The steps inside it, whichever way they are reached."""
        for choice in self.choose or ():
            yield from choice.steps
        yield from self.then
        yield from self.otherwise

    @cached_property
    def ways(self) -> tuple[Variant, ...]:
        """A mail without variants has one way to say it."""
        return self.variants or (Variant(subject=self.subject, body=self.body, html=self.html),)

    @model_validator(mode="after")
    def _is_one_thing(self) -> Self:
        kinds = [kind for kind in KINDS if getattr(self, kind) is not None]
        if self.html is not None and not kinds:
            kinds = ["html"]
        if not kinds:
            raise ValueError(f"it says nothing. Write one of {', '.join(KINDS)}")
        if len(kinds) > 1:
            raise ValueError(f"it is {' and '.join(kinds)} at once. One step is one thing")
        for key in strangers(self._given, kinds[0]):
            raise ValueError(f'"{key}" does not belong to a step with "{kinds[0]}"')
        if self.wait_for is not None and self.up_to is None:
            raise ValueError("a wait needs an end. Write up_to: 3d")
        if self.variants:
            check_variants(self.variants)
        return self


def check_variants(variants: tuple[Variant, ...]) -> None:
    """Raises ValueError unless chance can pick any of them and the thread stays the same."""
    if not all(each.body or each.html for each in variants):
        raise ValueError("every variant needs a body")
    if not any(each.weight for each in variants):
        raise ValueError("one of the variants needs a weight above 0")
    if len({each.subject is None for each in variants}) > 1:
        raise ValueError("all variants have a subject, or none: chance must not decide about the thread")
    if len({each.id for each in variants if each.id}) < sum(each.id is not None for each in variants):
        raise ValueError("two variants are called the same")


#: What makes a step what it is: it has exactly one of them. A mail may have `html` besides its body, or instead.
KINDS = ("body", "template", "variants", "task", "webhook", "wait_for", "choose")
_ANY_STEP = frozenset({"id", "after", "if"})
_MAIL = frozenset({"cc", "bcc", "attachments", "approve"})
_BELONGS = {
    "body": _MAIL | {"subject", "body", "html"},
    "template": _MAIL | {"template"},
    "variants": _MAIL | {"variants", "winner"},
    "task": {"task", "assign", "due", "blocking"},
    "webhook": {"webhook", "with"},
    "wait_for": {"wait_for", "up_to", "then", "else"},
    "choose": {"choose"},
}


def belonging(kinds: Iterable[str]) -> frozenset[str]:
    """The keys that a step of this kind may have, or of these."""
    return _ANY_STEP.union(*(_BELONGS["body" if kind == "html" else kind] for kind in kinds))


def strangers(keys: Iterable[str], kind: str) -> list[str]:
    """Which of these keys do not belong to a step of this kind."""
    return sorted(set(keys) - belonging([kind]))


Choice.model_rebuild()  # now that there is a Step


# --- tests that sit in the file ---


def _return_day(text: str) -> str:
    if text.strip() != "unknown":
        parse_day(text)
    return text.strip()


def _event(text: str) -> str:
    """As `relent event` takes it."""
    if _EVENT.fullmatch(text.strip()):
        return text.strip()
    raise ValueError(f'"{text}" is no name of an event. Write meeting_booked or any name of your own')


class Happening(Written):
    """What the world does in a test, so long after its start."""

    at: WaitField = Field(description="how long after the start, like 2d")
    reply: Value | None = Field(None, description="they answer: what they write")
    out_of_office: Annotated[str, AfterValidator(_return_day)] | None = Field(
        None, description="the day of return, like 2026-03-12, or `unknown`"
    )
    bounce: Value | None = Field(None, description="the letter comes back: why")
    complaint: Value | None = Field(None, description="they call it spam: any word")
    unsubscribe: Value | None = Field(None, description="they want no more: any word")
    click: Value | None = Field(None, description="which link")
    event: Annotated[Line, AfterValidator(_event)] | None = Field(None, description="any other event's name")
    value: Value | None = Field(None, description="what the event carries")

    @model_validator(mode="after")
    def _is_one_thing(self) -> Self:
        kinds = self.model_fields_set - {"at", "value"}
        if len(kinds) != 1:
            raise ValueError(
                "write what happens, one thing: reply, out_of_office, bounce, complaint, unsubscribe, click or event"
            )
        if self.value is not None and self.event is None:
            raise ValueError(f'"value" is what an "event" carries. {self.kind} says it itself')
        return self

    @property
    def kind(self) -> str:
        return next(iter(self.model_fields_set - {"at", "value"}))

    @property
    def said(self) -> str:
        return str(getattr(self, self.kind))


def _day_or_instant(text: str) -> str:
    """`2026-03-13` or an instant, as it was written."""
    try:
        parse_near_instant(text.strip())
    except ValueError as error:
        if "far away" in str(error):
            raise
        raise ValueError(f'"{text}" is no date. Write 2026-03-13, or 2026-03-13T09:00:00+01:00') from error
    return text.strip()


class Expectation(Written):
    """What must have become of it in the end."""

    sent: tuple[Id, ...] | None = Field(None, description="the mails, in order")
    state: Line | None = Field(
        None, description="active, paused, held, skipped, finished, or why it stopped: replied, bounced, …"
    )
    tasks: tuple[Id, ...] | None = Field(None, description="the tasks that were given, in order")
    webhooks: tuple[Id, ...] | None = Field(None, description="the webhooks that were called, in order")
    not_before: dict[Id, Annotated[Line, AfterValidator(_day_or_instant)]] = Field(
        {}, description="mails that leave on a day or later: `bump: 2026-03-13`"
    )
    within: WindowsField | None = Field(None, description="the windows in which every mail left")


class Trial(Written):
    """A test: somebody, on some day, and what must come of it."""

    name: Annotated[str, Field(min_length=1, max_length=200)] = Field(
        description="a sentence: what it promises"
    )
    start: Annotated[
        datetime,
        BeforeValidator(parse_near_instant),
        WithJsonSchema({"type": "string", "format": "date-time"}),
    ] = Field(description="when they are enrolled, like 2026-03-02T10:00:00+01:00")
    recipient: dict[Name, Value] = Field(description="somebody made up: `email`, and their variables")
    events: tuple[Happening, ...] = Field((), description="what happens meanwhile")
    expect: Expectation = Field(description="what must have become of it in the end")


# --- the whole ---


def _one_or_pool(value: object) -> str:
    return _RULES if isinstance(value, dict | Pool) else _WORD


class Enclosed(Written):
    """What a file that is attached was when the sequence was read."""

    content_type: str
    sha: str
    size: int


class Sequence(Written):
    """A sequence as its author wrote it."""

    name: Annotated[Line, Field(max_length=200)] = Field(
        description="what it is called; two files of one name are one sequence"
    )
    sender: Annotated[
        Annotated[str, AfterValidator(_sender), Tag(_WORD)] | Annotated[Pool, Tag(_RULES)],
        Discriminator(_one_or_pool),
        Field(alias="from", description="the address that writes, or a pool of them"),
    ]
    owner: Line | None = Field(None, description="whose sequence it is")
    signature: Text | None = Field(None, description="below every mail")
    requires: tuple[Name, ...] = Field((), description="variables that a person must have")
    defaults: dict[Name, Value] = Field({}, description="values for people who have none of their own")
    schedule: Schedule = Field(Schedule(), description="when somebody may be written to")
    stop: Stops = Field(Stops(), description="whom an answer stops")
    out_of_office: OutOfOffice = Field(
        OutOfOffice(), description="what an automatic reply holds, and how long"
    )
    approval: Annotated[Approval, BeforeValidator(_approval)] = Field(
        Approval(), description="which letters a human must release"
    )
    enroll: Enroll = Field(Enroll(), description="who may enter")
    limits: Limits = Field(Limits(), description="how much leaves, and how fast")
    pause_if: PauseIf = Field(PauseIf(), description="when the whole sequence pauses itself")
    on_reply: dict[Label, OnReply] = Field(
        {}, description="what happens besides, by the label that a human gives the answer"
    )
    steps: Annotated[tuple[Step, ...], Field(min_length=1, max_length=MOST_STEPS)] = Field(
        description="what happens, from top to bottom"
    )
    tests: Annotated[tuple[Trial, ...], Field(max_length=200)] = Field(
        (), description="somebody, on some day, and what must come of it"
    )
    #: Nobody writes it: whoever reads the file fills it in, so that a changed attachment is another version too.
    enclosed: dict[str, Enclosed] = Field({}, alias="@enclosed")

    @model_validator(mode="before")
    @classmethod
    def _name_the_steps(cls, data: Any) -> Any:
        """Who has no id is called after its place; inside a choice or a wait, after the step around it too."""
        if not isinstance(data, dict) or "steps" not in data:
            return data
        return data | {"steps": name_steps(data["steps"])}

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        first = next((step for step in self.every_step() if step.kind == "mail"), None)
        if first and any(way.subject is None for way in first.ways) and first.template is None:
            raise ValueError("the first mail needs a subject: it starts the thread")
        seen: set[str] = set()
        for step in self.every_step():
            if step.id in seen:
                raise ValueError(f'two steps are called "{step.id}"')
            seen.add(step.id)
        if len(seen) > MOST_STEPS:
            raise ValueError(f"{len(seen)} steps. {MOST_STEPS} are the most")
        return self

    def every_step(self) -> Iterator[Step]:
        """Top to bottom, those inside others too."""

        def walk(steps: Iterable[Step]) -> Iterator[Step]:
            for step in steps:
                yield step
                yield from walk(step.inner)

        return walk(self.steps)

    def dump(self) -> dict[str, Any]:
        """As plain data that `Sequence.model_validate` reads back."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)

    @cached_property
    def version(self) -> str:
        """The hash of what it says: a changed file is another version."""
        said = {key: value for key, value in self.dump().items() if key != "tests"}
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]


def name_steps(steps: Any, around: str = "step") -> Any:
    """As written, with an id for everyone who has none."""
    if not isinstance(steps, list | tuple):
        return steps
    return [_named(step, f"{around}-{number}") for number, step in enumerate(steps, start=1)]


def _named(step: Any, name: str) -> Any:
    if not isinstance(step, dict):
        return step
    named: dict[str, Any] = {"id": name} | step
    own = named["id"] if isinstance(named["id"], str) else name
    if isinstance(step.get("variants"), list | tuple):
        named["variants"] = [_lettered(variant, number) for number, variant in enumerate(step["variants"])]
    if isinstance(step.get("choose"), list | tuple):
        named["choose"] = [
            _named_choice(choice, own, number) for number, choice in enumerate(step["choose"], start=1)
        ]
    for key in ("then", "else"):
        if key in step:
            named[key] = name_steps(step[key], f"{own}-{key}")
    return named


def _lettered(variant: Any, number: int) -> Any:
    if not isinstance(variant, dict) or number >= MOST_VARIANTS:
        return variant
    return {"id": _LETTERS[number]} | variant


def _named_choice(choice: Any, around: str, number: int) -> Any:
    if not isinstance(choice, dict):
        return choice
    return choice | {
        key: name_steps(choice[key], f"{around}-{number}") for key in ("then", "else") if key in choice
    }
