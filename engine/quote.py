"""A letter that is passed on stands below the words of whoever passes it on, with its head above it. Pure."""

import re
from collections.abc import Iterable, Iterator
from email.utils import format_datetime
from html import escape

from engine.addresses import contact
from engine.model import Draft, Message

_RULE = "---------- Forwarded message ---------"
# without `<` in between, so that a page of a thousand openings is read once and not a thousand times
_BODY_BEGINS = re.compile(r"<body\b[^<>]*>", re.IGNORECASE)
_BODY_ENDS = re.compile(r"</body\s*>", re.IGNORECASE)


def passed_on(draft: Draft, source: Message) -> tuple[str, str | None]:
    """What the letter says as text; and as HTML, if either of the two has any."""
    head = list(_head(source))
    quoted = "\n".join([_RULE, *(f"{name}: {value}" for name, value in head), "", source.text])
    text = f"{draft.text.rstrip()}\n\n{quoted}" if draft.text.strip() else quoted
    if draft.html is None and source.html is None:
        return text, None
    lines = "".join(f"<br>\n<b>{name}:</b> {escape(value)}" for name, value in head)
    inside = _inside(source.html) if source.html is not None else _as_html(source.text)
    below = f"<div>\n<p>{_RULE}{lines}</p>\n{inside}\n</div>\n"
    return text, _with_below(_as_html(draft.text) if draft.html is None else draft.html, below)


def _head(source: Message) -> Iterator[tuple[str, str]]:
    """What its readers saw. Of blind copies nobody is told."""
    names = {contact(address): name for address, name in source.names.items()}
    yield "From", _people([source.sender], names)
    yield "Date", format_datetime(source.timestamp)
    yield "Subject", _on_one_line(source.subject)
    if source.to:
        yield "To", _people(source.to, names)
    if source.cc:
        yield "Cc", _people(source.cc, names)


def _people(addresses: Iterable[str], names: dict[str, str]) -> str:
    found = ((address, names.get(contact(address))) for address in addresses)
    return _on_one_line(", ".join(f"{name} <{address}>" if name else address for address, name in found))


def _on_one_line(text: str) -> str:
    return " ".join(text.split())


def _as_html(text: str) -> str:
    return f'<div style="white-space: pre-wrap">{escape(text.strip())}</div>\n' if text.strip() else ""


def _inside(page: str) -> str:
    """What stands between the ends of its body: a page cannot stand in another page."""
    begins = _BODY_BEGINS.search(page)
    inside = page[begins.end() :] if begins else page
    return inside[: _end_of_body(inside)]


def _with_below(page: str, below: str) -> str:
    end = _end_of_body(page)
    return f"{page[:end]}\n{below}{page[end:]}"


def _end_of_body(page: str) -> int:
    ends = [found.start() for found in _BODY_ENDS.finditer(page)]
    return ends[-1] if ends else len(page)
