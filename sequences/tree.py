"""YAML, read as YAML 1.2 means it: texts, lists and mappings, each with its place; and nothing cleverer than that."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import islice
from typing import Any, NoReturn

import yaml

from sequences.page import LOST, MOST_ALIKE, UNREADABLE, Page
from sequences.stumbles import Stumble, explain, leave_out, quoted

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
        spelt = {each.lower(): each for each in islice(known, _MOST_KNOWN)}
        return next(
            (spelt[each] for each in get_close_matches(word.lower(), spelt, n=1, cutoff=cutoff)), None
        )

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

    @property
    def gaps_in_it(self) -> bool:
        """Something in it could not be read."""
        inner = self.value.values() if isinstance(self.value, dict) else self.entries
        return self.spoiled or any(each.gaps_in_it for each in inner)

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


class _Stumbled(Exception):
    """Here is no YAML; there may be some below."""

    def __init__(self, stumble: Stumble) -> None:
        super().__init__()
        self.stumble = stumble


def read_tree(page: Page, end: int | None = None, hint: str = _HINT) -> Node | None:
    """What the file says, down to some place in it, as far as it can be read; or None."""
    for _ in range(MOST_ALIKE):
        told = set(page.mistakes)
        try:
            return _Builder(page, hint).read(end)
        except _UnquotedGap as gap:
            _quote(gap, page)
        except _Stumbled as error:
            # What was told behind it was a consequence, or will be told again.
            page.mistakes = {each for each in page.mistakes if each in told or each[0] < error.stumble.broken}
            page.complain(error.stumble.at, error.stumble.words)
            if not leave_out(page, error.stumble, len(page.text) if end is None else end):
                return None
        except _Enough:
            return None
    return None


def _quote(gap: _UnquotedGap, page: Page) -> None:
    """Nobody forgets quotes once only: say so here, and read on as if they were there."""
    end = page.end_of_line(gap.at)
    if gap.flow and (found := re.compile("[}%]}").search(page.text, gap.at, end)):
        end = found.end()
    words = re.split(r"\s#", page.text[gap.at : end])[0].strip()
    page.complain(gap.at, f"text that begins with a gap needs quotes. Put quotes around it: {quoted(words)}")
    page.cover(gap.at, end)


class _Builder:
    """Listens to events: depth is counted before anything recurses, and nothing is built from an anchor."""

    def __init__(self, page: Page, hint: str) -> None:
        self._page = page
        self._hint = hint
        self._root: Node | None = None
        self._open: list[_Open] = []
        self._count = 0
        self._last: tuple[int, int] | None = None  #: the text that was read last

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
        self._root.lost |= self._page.lost
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
            self._last = (node.start, node.end)
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
            first.told = True
            line = self._page.line(first.at)
            self._page.complain(
                node.at, f'"{outer.key}" is here twice, first in line {line}. Keep one of them'
            )
        else:
            mapping[outer.key] = node

    def _stumble(self, error: yaml.MarkedYAMLError) -> NoReturn:
        stumble = explain(error, self._page, self._last)
        start, line = self._page.line_text(error.problem_mark.index if error.problem_mark else 0)
        is_gap = not stumble.is_text_out_of_place and "'\\t'" not in (error.problem or "")
        if is_gap and (found := _UNQUOTED_GAP.match(line)):
            raise _UnquotedGap(start + found.start(1), flow=False)
        raise _Stumbled(stumble)

    def _give_up(self, at: int, words: str) -> NoReturn:
        self._page.complain(at, words)
        raise _Enough
