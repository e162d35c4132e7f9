"""YAML, read as YAML 1.2 means it: texts, lists and mappings, each with its place; and nothing cleverer than that."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import islice
from typing import Any, NoReturn

import yaml

from sequences.page import LOST, MOST_ALIKE, UNREADABLE, Page

_DEEPEST = 20
_MOST = 10_000  #: words, lists and mappings in one file; a hundred steps need a tenth of it
_NEAR = 0.65
_MOST_KNOWN = 100  #: words to compare with; no mail has more
_MOST_GUESSES = 200
_LONGEST_WORD = 100
_UNQUOTED_GAP = re.compile(r"""(?:[^"'#{]*[:-]\s+|\s*)(\{[{%])""")
_HINT = "Begin with name:, from: and steps:"
_NOTHING = ("", "~", "null", "Null", "NULL")  # what YAML 1.2 reads as nothing; the word itself wants quotes


@dataclass(slots=True, kw_only=True)
class Node:
    """What stands at one place: a text, a list, a mapping, or nothing."""

    page: Page
    start: int
    end: int
    value: "str | list[Node] | dict[str, Node] | None"
    at: int  #: where a complaint about it points: its key, if it has one
    below: int | None = None  #: lines from its start to its text; None: its lines are not the file's
    told: bool = False  #: complained about already
    spoiled: bool = False  #: ... and of no use
    lost: bool = False  #: a key in it could not be read; what is missing may have been there

    def complain(self, words: str, at: int | None = None) -> None:
        self.told = True
        self.page.complain(self.at if at is None else at, words)

    def nearest(self, word: str, known: Iterable[str], cutoff: float = _NEAR) -> str | None:
        """What was meant, perhaps. Nobody reads hundreds of guesses, and each of them takes its time."""
        if len(word) > _LONGEST_WORD or len(self.page.mistakes) > _MOST_GUESSES:
            return None
        return next(iter(get_close_matches(word, list(islice(known, _MOST_KNOWN)), n=1, cutoff=cutoff)), None)

    @property
    def text(self) -> str | None:
        """What is written here, if it is a text and can be read."""
        return self.value if isinstance(self.value, str) and not self.spoiled else None

    @property
    def entries(self) -> "list[Node]":
        return self.value if isinstance(self.value, list) and not self.spoiled else []

    @property
    def keys(self) -> "dict[str, Node]":
        return self.value if isinstance(self.value, dict) and not self.spoiled else {}

    @property
    def troubled(self) -> bool:
        """Complained about already, it or something in it."""
        inner = self.value.values() if isinstance(self.value, dict) else self.entries
        return self.told or self.spoiled or self.lost or any(each.troubled for each in inner)

    def plain(self) -> Any:
        """Texts, lists and mappings, as a model reads them."""
        if self.spoiled:
            return None
        if isinstance(self.value, dict):
            return {key: inner.plain() for key, inner in self.value.items()}
        if isinstance(self.value, list):
            return [inner.plain() for inner in self.value]
        return self.value


@dataclass(slots=True, kw_only=True)
class _Open:
    """A list or a mapping that is still being read."""

    node: Node
    flow: bool
    key: str | None = None  #: None: no key that could be kept
    key_at: int = -1  #: -1: the next thing is a key


class _Enough(Exception):
    """Whatever else is wrong, it could not be told from the consequences of this."""


class _UnquotedGap(Exception):
    """`subject: {{ company }}`: YAML sees a mapping in a mapping."""

    def __init__(self, at: int, flow: bool) -> None:
        super().__init__()
        self.at = at
        self.flow = flow


def read_tree(page: Page, end: int | None = None, hint: str = _HINT) -> Node | None:
    """What the file says, down to some place in it, or None if it breaks off."""
    for _ in range(MOST_ALIKE):
        try:
            return _Builder(page, hint).read(end)
        except _UnquotedGap as gap:
            _quote(gap, page)
        except _Enough:
            return None
    return None


def _quote(gap: _UnquotedGap, page: Page) -> None:
    """Nobody forgets quotes once only: say so here, and read on as if they were there."""
    end = page.end_of_line(gap.at)
    if gap.flow and (found := re.compile("[}%]}").search(page.text, gap.at, end)):
        end = found.end()
    words = re.split(r"\s#", page.text[gap.at : end])[0].strip()
    page.complain(gap.at, f"text that begins with a gap needs quotes. Put quotes around it: {_quoted(words)}")
    page.cover(gap.at, end)


def _quoted(words: str) -> str:
    return f"'{words}'" if '"' in words else f'"{words}"'


class _Builder:
    """Listens to events: depth is counted before anything recurses, and nothing is built from an anchor."""

    def __init__(self, page: Page, hint: str) -> None:
        self._page = page
        self._hint = hint
        self._root: Node | None = None
        self._open: list[_Open] = []
        self._count = 0

    def read(self, end: int | None) -> Node:
        loader: Any = yaml.BaseLoader(self._page.text[:end])
        try:
            while loader.check_event() and self._take(loader.get_event()):
                pass
        except yaml.MarkedYAMLError as error:
            self._stumble(error)
        except (ValueError, OverflowError):  # "\UFFFFFFFF": PyYAML asks chr() and does not look back
            self._give_up(loader.get_mark().index, r"no such character. Write \\ for a backslash")
        if self._root is None or self._root.value is None:
            self._give_up(0, f"there is nothing in it. {self._hint}")
        return self._root

    def _take(self, event: Any) -> bool:
        """One more event. False: the sequence is over."""
        at: int = event.start_mark.index
        match event:
            case yaml.DocumentStartEvent() if self._root:
                self._page.complain(at, "a second document. One file is one sequence")
                return False
            case yaml.NodeEvent():
                self._take_node(event)
            case yaml.CollectionEndEvent():
                self._open.pop()
        return True

    def _take_node(self, event: Any) -> None:
        at = event.start_mark.index
        self._count += 1
        if self._count > _MOST:
            self._give_up(at, f"too much for one sequence: over {_MOST:,} entries")
        node = Node(page=self._page, start=at, end=event.end_mark.index, value=None, at=at)
        node.spoiled = at in self._page.covered
        self._refuse_references(event, node)
        if isinstance(event, yaml.ScalarEvent):
            self._write(event, node)
        elif isinstance(event, yaml.CollectionStartEvent):
            node.value = {} if isinstance(event, yaml.MappingStartEvent) else []
        self._place(node)
        if isinstance(event, yaml.CollectionStartEvent):
            self._enter(node, bool(event.flow_style))

    def _refuse_references(self, event: yaml.NodeEvent, node: Node) -> None:
        if isinstance(event, yaml.AliasEvent):
            node.spoiled = True
            self._page.complain(
                node.start, f'"*{event.anchor}" is a reference. Write it out, or put quotes around it'
            )
        elif event.anchor:
            self._page.complain(
                node.start, f'"&{event.anchor}" is an anchor. Leave it out, or put quotes around it'
            )
        if getattr(event, "tag", None):
            node.spoiled = True
            self._page.complain(
                node.start, 'a tag, which begins with "!". Leave it out, or put quotes around it'
            )

    def _write(self, event: yaml.ScalarEvent, node: Node) -> None:
        if not event.style and event.value in _NOTHING:
            return
        node.value = event.value
        node.below = 1 if event.style == "|" else None
        if found := UNREADABLE.search(event.value):
            node.spoiled = True
            if LOST not in self._page.text[node.start : node.end]:
                self._page.complain(node.start, f"an unreadable character (U+{ord(found[0]):04X}). Delete it")

    def _enter(self, node: Node, flow: bool) -> None:
        if self._page.text.startswith("{{", node.start):
            raise _UnquotedGap(node.start, flow=any(outer.flow for outer in self._open))
        self._open.append(_Open(node=node, flow=flow))
        if len(self._open) > _DEEPEST:
            self._give_up(node.start, f"nested more than {_DEEPEST} deep. Write another sequence")

    def _place(self, node: Node) -> None:
        if not self._open:
            self._root = node
            return
        outer = self._open[-1]
        if isinstance(outer.node.value, list):
            outer.node.value.append(node)
        elif outer.key_at < 0:
            outer.key_at, outer.key = node.start, self._key(node)
            outer.node.lost |= outer.key is None
        elif isinstance(outer.node.value, dict):
            self._put(node, outer, outer.node.value)

    def _key(self, node: Node) -> str | None:
        if node.spoiled:
            return None
        if not isinstance(node.value, str):
            self._page.complain(node.start, 'a key is a word. Write it before the colon, like "name: …"')
            return None
        if node.value == "<<":
            self._page.complain(node.start, '"<<" copies from elsewhere. Write the lines out')
            return None
        return node.value

    def _put(self, node: Node, outer: _Open, mapping: dict[str, Node]) -> None:
        node.at = outer.key_at
        outer.key_at = -1
        if outer.key is None:
            return
        if first := mapping.get(outer.key):
            line = self._page.line(first.at)
            self._page.complain(
                node.at, f'"{outer.key}" is here twice, first in line {line}. Keep one of them'
            )
        else:
            mapping[outer.key] = node

    def _stumble(self, error: yaml.MarkedYAMLError) -> NoReturn:
        told = f"{error.context}: {error.problem}"
        where, words = next(
            (rest for sign, *rest in _STUMBLES if sign in told), ("problem", f"no YAML: {told}")
        )
        mark = error.context_mark if where == "context" else error.problem_mark
        at = mark.index if mark else 0
        start, line = self._page.line_text(error.problem_mark.index if error.problem_mark else at)
        if found := _UNQUOTED_GAP.match(line):
            raise _UnquotedGap(start + found.start(1), flow=False)
        sign = self._page.text[at : at + 1]
        self._give_up(at, "a tab. Write spaces" if sign == "\t" else words.replace("SIGN", sign))

    def _give_up(self, at: int, words: str) -> NoReturn:
        self._page.complain(at, words)
        raise _Enough


#: What PyYAML says, where to point, and what an author can do about it.
_STUMBLES = (
    ("scanning an alias", "context", 'text cannot begin with "SIGN". Put quotes around it'),
    ("scanning an anchor", "context", 'text cannot begin with "SIGN". Put quotes around it'),
    (" a tag", "context", 'text cannot begin with "SIGN". Put quotes around it'),
    ("scanning a directive", "context", 'text cannot begin with "SIGN". Put quotes around it'),
    ("undefined tag handle", "problem", 'text cannot begin with "SIGN". Put quotes around it'),
    ("mapping keys are not allowed", "problem", 'text cannot begin with "SIGN". Put quotes around it'),
    ("cannot start any token", "problem", 'text cannot begin with "SIGN". Put quotes around it'),
    ("could not find expected ':'", "context", 'a line without a colon. Write "key: value"'),
    (
        "mapping values are not allowed",
        "problem",
        'a colon that has no place here. Put quotes around text with ": " in it, or check the indentation',
    ),
    ("sequence entries are not allowed", "problem", 'a list cannot begin here. Put "-" below its key'),
    (
        "unknown escape character",
        "problem",
        r"no such escape. Write \\ for a backslash, or use single quotes",
    ),
    (
        "expected escape sequence",
        "problem",
        r"no such escape. Write \\ for a backslash, or use single quotes",
    ),
    ("scanning a quoted scalar", "context", "this quote is never closed. Close it"),
    ("scanning a block scalar", "problem", 'after "|" a new line begins. Write the text below it'),
    (
        "parsing a flow",
        "context",
        'this "SIGN" is not finished. Close it, and put commas between its entries',
    ),
    (
        "parsing a block",
        "problem",
        "this does not fit what is above it. Check the indentation and the quotes",
    ),
    ("expected '<document start>'", "problem", "this does not fit what is above it. Check the indentation"),
)
