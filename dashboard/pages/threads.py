"""Threads: conversations as they went, what is still to be said in them, and the HTML of a mail behind glass."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from urllib.parse import quote, urlencode

from dashboard.frame import Answer, Asked, Door, Shown, reading
from dashboard.marks import mark_of, word_of
from dashboard.pane import pane, plain
from engine.addresses import CANARYS, contact
from engine.errors import NotFound
from engine.model import Hidden, Inbox, Message
from engine.store import Ledger
from engine.store.letters import Conversation, Sieve
from engine.store.pages import Slice
from engine.store.talks import SHOWN

_AT_ONCE = 40
_LETTERS = 20
_MOST_INBOXES = 200
_LONGEST = 320
_NOT_SHOWN: frozenset[Hidden] = frozenset({"trash", "blocked", "spam", "unauthenticated"})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wish:
    """Which conversations are asked for."""

    inbox: str
    also: bool  #: those that are not shown without being asked for

    def href(self, after: str | None = None) -> str:
        said = {"inbox": self.inbox, "also": "hidden" if self.also else "", "after": after or ""}
        return "/threads?" + urlencode({name: value for name, value in said.items() if value})


def everything(asked: Asked) -> Answer:
    query = asked.query
    wish = _Wish(inbox=query.get("inbox", "").strip().lower()[:_LONGEST], also=query.get("also") == "hidden")
    mark = mark_of(query.get("after", ""), int, str)
    part = Slice(limit=_AT_ONCE, after=(mark[0], str(mark[1])) if mark else None)
    sieve = Sieve(inbox_id=wish.inbox or None, shown=_NOT_SHOWN if wish.also else frozenset())
    with reading(asked) as ledger:
        found = ledger.letters.conversations(sieve, part)
        inboxes = ledger.inboxes.list(Slice(limit=_MOST_INBOXES)).items
    onward = word_of(found.next)
    context = {
        "wish": wish,
        "talks": [talk for talk in found.items if talk.inbox_id not in CANARYS],
        "with": _with,
        "inboxes": _named(inboxes),
        "next": wish.href(onward) if onward else None,
        "first": wish.href() if mark else None,
    }
    return Shown("threads.html", context)


def _with(talk: Conversation) -> tuple[list[str], bool]:
    """Whom our inbox speaks with there; and whether any of them has said something."""

    def others(names: Sequence[str]) -> list[str]:
        return [each for each in names if contact(each) != talk.inbox_id]

    spoke = others(talk.senders)
    return list(dict.fromkeys((*spoke, *others(talk.recipients)))), bool(spoke)


def _named(inboxes: Sequence[Inbox]) -> list[str]:
    return sorted(each.id for each in inboxes)


def one(asked: Asked) -> Answer:
    mark = mark_of(asked.query.get("before", ""), int)
    with reading(asked) as ledger:
        talk = _talk(asked, ledger)
        found = ledger.talks.letters(
            talk.id, talk.hidden, limit=_LETTERS, before=int(mark[0]) if mark else None
        )
        context = {
            "talk": replace(talk, labels=tuple(sorted(talk.labels))),
            "letters": found.letters,
            "to_come": [] if mark else ledger.talks.to_come(talk.id),
            "names": _names([each.letter for each in found.letters]),
        }
    path = f"/threads/{quote(talk.id, safe='')}"
    earlier = word_of((found.before,)) if found.before is not None else None
    more = {
        "path": path,
        "earlier": f"{path}?before={earlier}" if earlier else None,
        "latest": path if mark else None,
        "shown": SHOWN,
    }
    return Shown("thread.html", context | more)


def _names(letters: Sequence[Message]) -> dict[str, str]:
    """What people call themselves, by their addresses."""
    return {address: name for letter in letters for address, name in letter.names.items()}


def _talk(asked: Asked, ledger: Ledger) -> Conversation:
    """Raises NotFound."""
    name = asked.path["thread_id"][:_LONGEST]
    found = ledger.letters.conversation(Sieve(), name)
    if found is None or found.inbox_id in CANARYS:
        raise NotFound("There is no such conversation: nothing was said in it yet, or it was deleted.")
    return found


# --- one letter, alone ---


def mail(asked: Asked) -> Answer:
    """As its sender laid it out."""
    letter = _letter(asked)
    if letter.html is None:
        raise NotFound("This letter has no HTML: the conversation shows all of it.")
    return pane(letter.html)


def text(asked: Asked) -> Answer:
    """All of it, however long."""
    return plain(_letter(asked).text)


def _letter(asked: Asked) -> Message:
    place = asked.path["place"]
    with reading(asked) as ledger:
        talk = _talk(asked, ledger)
        is_place = place.isascii() and place.isdecimal() and len(place) < 10
        found = ledger.talks.letter_at(talk.id, int(place)) if is_place else None
    if found is None:
        raise NotFound("There is no such letter in this conversation.")
    return found


_ONE = "/threads/{thread_id}"
_LETTER = f"{_ONE}/messages/{{place}}"
DOORS: tuple[Door, ...] = (
    Door(method="GET", path="/threads", handler=everything, name="threads"),
    Door(method="GET", path=_ONE, handler=one, name="thread"),
    Door(method="GET", path=f"{_LETTER}/mail", handler=mail, name="message.mail"),
    Door(method="GET", path=f"{_LETTER}/text", handler=text, name="message.text"),
)
