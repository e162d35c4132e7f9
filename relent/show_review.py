"""How a letter is shown to whoever is to say yes: the conversation so far, the words and where they come from, why then."""

import unicodedata
from collections.abc import Iterator
from zoneinfo import ZoneInfo

from rich.rule import Rule
from rich.text import Text

from engine.differences import Piece, differences
from engine.errors import Refused
from engine.evidence import Evidence
from engine.markup import text_of
from engine.model import NEVER, Message
from relent import show
from relent.show import say

_STYLES = {"said": "", "filled": "cyan", "changed": "bold yellow", "removed": "red strike"}
#: Without colours, as `git diff --word-diff` has it. What filled a gap is what everybody's letter has.
_SIGNS = {"changed": ("{+", "+}"), "removed": ("[-", "-]")}
_TURNS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c")


def harmless(text: str) -> str:
    """What a stranger wrote moves no cursor, and turns no line around."""
    return "".join(sign if _is_plain(sign) else "\N{REPLACEMENT CHARACTER}" for sign in text)


def _is_plain(sign: str) -> bool:
    return sign in "\n\t" or (unicodedata.category(sign) not in ("Cc", "Cs") and sign not in _TURNS)


def shown(seen: Evidence) -> None:
    """From top to bottom, as one reads before one answers."""
    for message in seen.thread:
        _show_message(message)
    show.console.print(Rule(style="dim"))
    draft = seen.draft
    say(f"{draft.id}  {_waits_for(seen)}", style="bold")
    for name, value in _facts(seen):
        if value:
            # on one line: whatever a stranger wrote, it does not look like the next fact
            say(f"{name + ':':<11}{harmless(' '.join(value.splitlines()))}")
    for odd in draft.oddities:
        say(f"{'Odd:':<11}{harmless(odd)}", style="bold yellow")
    show.console.print()
    show.console.print(_letter(seen), soft_wrap=True, highlight=False)
    if draft.html is not None:
        _show_html(draft.html)
    _show_what_was_said(seen)
    say(f"content_sha {draft.content_sha}", style="dim")


def _show_message(message: Message) -> None:
    show.console.print(Rule(style="dim"))
    way = "to" if message.direction == "sent" else "from"
    whom = ", ".join(message.to) if message.direction == "sent" else message.sender
    say(
        f"{message.timestamp:%a %d %b %Y %H:%M} UTC {way} {harmless(whom)}: {harmless(message.subject)}",
        style="dim",
    )
    say(f"\n{harmless(message.text).rstrip()}\n")


def _waits_for(seen: Evidence) -> str:
    draft = seen.draft
    until = f", until {draft.yes_by:%a %d %b %H:%M} UTC" if draft.yes_by else ""
    return f"{draft.state}{f': {draft.outcome}' if draft.outcome else ''}{until}"


def _facts(seen: Evidence) -> Iterator[tuple[str, str]]:
    draft, sequence = seen.draft, seen.sequence
    yield "From", draft.inbox_id + (f", called {seen.sender_name}" if seen.sender_name else "")
    yield "To", ", ".join(each for each in (draft.to, *draft.also_to) if each)
    yield "Cc", ", ".join(draft.cc)
    yield "Bcc", ", ".join(draft.bcc)
    for address, name in sorted(draft.names.items()):
        yield "Called", f"{address}: {name}"
    yield "Reply to", ", ".join(draft.reply_to)
    yield "Subject", draft.subject
    for name, value in sorted(draft.headers.items()):
        yield "Header", f"{name}: {value}"
    yield "Answers", draft.in_reply_to or ""
    yield "Forwards", f"{draft.forward_of}, with its words and its files" if draft.forward_of else ""
    yield "Files", ", ".join(each.name for each in draft.attachments)
    if sequence:
        yield (
            "Sequence",
            f"{sequence.name}, step {draft.step}" + (f", variant {draft.variant}" if draft.variant else ""),
        )
    yield "Known", ", ".join(f"{name}={value}" for name, value in sorted(seen.variables.items()))
    yield "Leaves", _leaves(seen)
    yield "Yes of", " or ".join(seen.may_say_yes)


def _leaves(seen: Evidence) -> str:
    if seen.leaves_at >= NEVER:
        return "nobody has said when"
    zone = ZoneInfo(seen.zone)
    return f"{seen.leaves_at.astimezone(zone):%a %d %b %Y %H:%M} {zone.key}, if approved now: {seen.why_then}"


def _letter(seen: Evidence) -> Text:
    whole = Text()
    for piece in differences(seen.template, seen.planned, seen.draft.text):
        whole.append(_signed(piece), style=_STYLES[piece.kind])
    return whole


def _signed(piece: Piece) -> str:
    before, after = _SIGNS.get(piece.kind, ("", ""))
    return f"{before}{harmless(piece.text)}{after}"


def _show_html(html: str) -> None:
    """Nobody promises that it says what the text says, and most readers see nothing else."""
    try:
        reads = text_of(html)
    except Refused:
        reads = ""
    if reads.strip():
        say("\nIt has an HTML part, too. That reads:\n", style="dim")
    else:
        say("\nIt has an HTML part, too, without words that could be read. Its source:\n", style="dim")
    say(f"{harmless(reads.strip() or html)}\n")


def _show_what_was_said(seen: Evidence) -> None:
    for each in seen.reviews:
        why = f": {harmless(each.why)}" if each.why else ""
        say(f"{each.verdict} by {harmless(each.by)} {each.at:%a %d %b %Y %H:%M} UTC{why}", style="dim")
