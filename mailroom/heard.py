"""AgentMail's events -> ours: what is of the wrong kind is not there, and what two could read in two ways is not read."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parseaddr
from typing import TypedDict

from engine.errors import UnreadableEvent
from engine.events import AutoReply, Bounce, Complaint, Event, Reply
from mailroom.strict import Json, NotStrict, read_object

_RECEIVED = "message.received"
_PAYLOADS = {
    _RECEIVED: "message",
    "message.bounced": "bounce",
    "message.complained": "complaint",
    "message.rejected": "reject",
}

_LONGEST_LINE = 998  # bytes, RFC 5322; and PostgreSQL cannot index much more
_LONGEST_TEXT = 100_000
_LONGEST_ADDRESS = 320
_MOST = 100
_A_FEW = 8

_ID = re.compile(r"<[^<>\s]{1,250}>")
_BARE_ID = re.compile(r"[^<>\s]{1,250}")
#: `a@b` and `Name <a@b>`, as nearly everybody writes them: there is only one way to read these, and it is quick.
_PLAIN = re.compile(
    r"""(?:"?[^\W_][\w .'-]*"?\s+<)?([A-Za-z0-9._+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+)(>?)"""
)
_COMMENT = re.compile(r"\((?:[^()\\]|\\.)*+\)", re.DOTALL)

#: RFC 3834, and RFC 5436 for the last. A header that merely advises against answering proves nothing.
_AUTOMATIC = "auto-replied"
#: A help desk puts these on what a human typed, too: a human may look.
_PERHAPS_AUTOMATIC = frozenset({"auto-generated", "auto-notified"})


class _Heard(TypedDict):
    id: str
    inbox_id: str
    thread_id: str
    message_id: str | None
    at: datetime | None


class _Incoming(_Heard):
    sender: str | None
    subject: str
    text: str
    in_reply_to: str | None
    references: tuple[str, ...]
    to: tuple[str, ...]


def read_event(body: bytes, fallback_id: str = "") -> Event | None:
    """None: understood, and nothing to us. Raises UnreadableEvent. An event without a name gets the delivery's."""
    envelope = _parsed_body(body)
    kind = _line(envelope.get("event_type"))
    if not kind:
        raise UnreadableEvent('Signed, but "event_type" is missing or no text.')
    received = kind == _RECEIVED or kind.startswith(f"{_RECEIVED}.")
    key = "message" if received else _PAYLOADS.get(kind)
    if key is None:
        return None
    payload = envelope.get(key)
    if not isinstance(payload, dict):
        raise UnreadableEvent(f'Signed, but this {kind[:60]!r} has no "{key}" object in it.')
    heard = _heard(payload, key, _line(envelope.get("event_id")) or fallback_id)
    if received:
        return _incoming(heard, payload, verified=kind == _RECEIVED)
    match key:
        case "bounce":
            return _bounce(heard, payload)
        case "complaint":
            return Complaint(**heard, recipients=_addresses(payload.get("recipients")))
        case _:
            return Bounce(**heard, permanent=True, recipients=_addresses(payload.get("recipients")))


def _parsed_body(body: bytes) -> Json:
    try:
        return read_object(body)
    except NotStrict as error:
        raise UnreadableEvent(f"Signed, but {error}") from None


# --- what the events are made of ---


def _heard(payload: Json, key: str, event_id: str) -> _Heard:
    if not event_id:
        raise UnreadableEvent('Signed, but "event_id" is missing or no text.')
    return {
        "id": event_id,
        "inbox_id": _needed(payload, key, "inbox_id"),
        "thread_id": _needed(payload, key, "thread_id"),
        "message_id": _line(payload.get("message_id")) or None,
        "at": _moment(payload.get("timestamp")),
    }


def _needed(payload: Json, key: str, name: str) -> str:
    if found := _line(payload.get(name)):
        return found
    raise UnreadableEvent(
        f'Signed, but "{key}.{name}" is missing, empty, no text, or longer than {_LONGEST_LINE} bytes.'
    )


def _incoming(heard: _Heard, message: Json, *, verified: bool) -> Reply | AutoReply:
    answered = _ids(message.get("in_reply_to"))
    letter: _Incoming = {
        **heard,
        "sender": _sender(message),
        "subject": _text(message.get("subject")),
        "text": _text(message.get("text")) or _text(message.get("extracted_text")),
        "in_reply_to": answered[0] if answered else None,
        "references": _ends((*_ids(message.get("references")), *answered[1:])),
        "to": _addresses(message.get("to")),
    }
    submitted = _submitted(message.get("headers"))
    if verified and submitted == _AUTOMATIC:
        return AutoReply(**letter)
    return Reply(**letter, verified=verified and submitted not in _PERHAPS_AUTOMATIC)


def _bounce(heard: _Heard, bounce: Json) -> Bounce:
    """For good when the provider says so of all of them, or the mail server (RFC 3463: 5.x.x) of some of them."""
    if _line(bounce.get("type")).lower() == "permanent":
        return Bounce(**heard, permanent=True, recipients=_addresses(bounce.get("recipients")))
    lost = [each for each in _several(bounce.get("recipients")) if _status(each).startswith("5.")]
    return Bounce(
        **heard, permanent=bool(lost), recipients=_addresses(lost if lost else bounce.get("recipients"))
    )


def _status(recipient: object) -> str:
    return _line(recipient.get("status")) if isinstance(recipient, dict) else ""


# --- tolerant reading: what is of the wrong kind is not there ---


def _several(value: object) -> list[object]:
    if isinstance(value, list):
        return value
    return [] if value is None else [value]


def _text(value: object) -> str:
    """Without NUL, which PostgreSQL cannot store."""
    return value.replace("\0", "")[:_LONGEST_TEXT] if isinstance(value, str) else ""


def _line(value: object) -> str:
    """An id, or a word; nothing when it is too long to be one."""
    line = _text(value).strip()
    return line if len(line) * 4 <= _LONGEST_LINE or len(line.encode()) <= _LONGEST_LINE else ""


def _moment(value: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(_line(value).upper())
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _sender(message: Json) -> str | None:
    found = _addresses(message.get("from")) or _addresses(message.get("from_"))
    return found[0] if found else None


def _addresses(value: object) -> tuple[str, ...]:
    return tuple(address for each in _several(value)[:_MOST] if (address := _address(each)))


def _address(value: object) -> str | None:
    """`a@b` out of `a@b`, `Name <a@b>`, `{"email": "a@b"}` and `{"address": "a@b"}`."""
    if isinstance(value, dict):
        return _address(value.get("email")) or _address(value.get("address"))
    written = _text(value).strip()
    found = _found(written) if len(written) <= _LONGEST_LINE else ""  # the parser is slow
    if "@" not in found and written.endswith(">"):
        # `Doe, Ida <ida@x.test>`: two addresses to a parser, one to a human
        _, _, found = written[:-1].rpartition("<")
    return found if "@" in found and len(found) <= _LONGEST_ADDRESS else None


def _found(written: str) -> str:
    plain = _PLAIN.fullmatch(written)
    if plain and bool(plain[2]) == ("<" in written) and written.count('"') in (0, 2):
        return plain[1]
    return _parsed(written)


def _parsed(written: str) -> str:
    try:
        return parseaddr(written)[1]
    except (RecursionError, ValueError, IndexError, AttributeError, TypeError):  # `((((…`, and worse
        return ""


def _ids(value: object) -> tuple[str, ...]:
    """Message-IDs from a list of them or from one header; some write them without their brackets."""
    found: dict[str, None] = {}
    for each in _several(value):
        written = each.replace("\0", "") if isinstance(each, str) else ""  # uncut: the last ones matter most
        if "<" in written:
            found.update(dict.fromkeys(_ID.findall(written)))
        else:
            found.update((f"<{word}>", None) for word in written.split() if _BARE_ID.fullmatch(word))
    return _ends(tuple(found))


def _ends(ids: tuple[str, ...]) -> tuple[str, ...]:
    """A conversation's first letters and its last: those are the ones that are ours."""
    return ids if len(ids) <= _MOST else ids[: _MOST // 2] + ids[-_MOST // 2 :]


# --- is it a machine? ---


def _submitted(headers: object) -> str:
    """The one keyword of Auto-Submitted, or nothing: a human taken for a machine is written to again."""
    said = [value for name, value in _header_lines(headers) if name.lower() == "auto-submitted"]
    keywords = {_keyword(value) for value in said[:_A_FEW]}
    return keywords.pop() if len(said) <= _A_FEW and len(keywords) == 1 else ""


def _header_lines(headers: object) -> Iterator[tuple[str, object]]:
    """From `{name: value}`, `{name: [value, …]}` and `[{"name": …, "value": …}, …]`."""
    if isinstance(headers, dict):
        pairs = list(headers.items())
    else:
        pairs = [
            (each.get("name"), each.get("value")) for each in _several(headers) if isinstance(each, dict)
        ]
    for name, value in pairs:
        if isinstance(name, str):
            for each in value if isinstance(value, list) else [value]:
                yield name.strip(), each


def _keyword(value: object) -> str:
    """RFC 3834: a keyword, perhaps parameters, and comments anywhere. Empty: nothing to rely on."""
    if not isinstance(value, str) or len(value) > _LONGEST_LINE:
        return ""
    bare, found = _COMMENT.subn(" ", value)
    while found:  # they nest
        bare, found = _COMMENT.subn(" ", bare)
    # not casefold(), not any blank: what merely looks like the word is not the word
    return bare.partition(";")[0].strip(" \t\r\n").lower()
