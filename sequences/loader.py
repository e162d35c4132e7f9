"""YAML comes in; a Sequence goes on, or every mistake at once: file, line, column, what would be right."""

import re
import stat
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import yaml
from pydantic import ValidationError

from engine.errors import SequenceError
from engine.render import TemplateMistake, gaps
from engine.sequence import Schedule, Sequence, Step, parse_windows

_LARGEST = 1024 * 1024
_DEEPEST = 20
_MOST = 10_000  #: words, lists and mappings in one file; a hundred steps need a tenth of it
_MOST_ALIKE = 20  #: complaints about one kind of broken text
_MOST_NAMES = 100  #: to compare with each other; more would take minutes, and no mail has them
_LONGEST_COMPLAINT = 300
_BUILT_IN = ("email", "timezone")
_NEEDED = ("name", "from", "steps", "body")
_TEMPLATES = ("subject", "body")
_ONE_LINE = ("name", "subject")  # a line break in either would be one in a mail's header

_NEWLINE = re.compile(r"\r\n|\r|\n")
# What YAML 1.2 does not print, and the line ends of YAML 1.1 that no editor counts as one. U+FFFD is a word already lost.
_UNREADABLE = re.compile(
    "[^\t\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffc\U00010000-\U0010ffff]"
)
_LOST = "\ufffd"
_UNQUOTED_GAP = re.compile(r"""(?:[^"'#{]*[:-]\s+|\s*)(\{[{%])""")
_HEAD = re.compile(r"(?:[ \t]*(?:[#%][^\r\n]*)?(?:\r\n|\r|\n))*+")
_DIRECTIVE = re.compile(r"^%", re.MULTILINE)
_NOTHING = ("", "~", "null", "Null", "NULL")  # what YAML 1.2 reads as nothing; the word itself wants quotes

_Path = tuple[int | str, ...]


def load(path: Path) -> Sequence:
    with open_regular(path) as file:
        data = file.read(_LARGEST + 1)  # one more than allowed is enough to know
    return parse(data, str(path))


def open_regular(path: Path) -> BinaryIO:
    """The file, open. Raises SequenceError: a pipe would never end, a device would never stop."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise SequenceError(f"{path}  is a {_kind(path)}. Name a file.")
        return path.open("rb")
    except FileNotFoundError as error:
        raise SequenceError(f"{path}  is not there. Check the name and the folder.") from error
    except PermissionError as error:
        raise SequenceError(f"{path}  may not be read. Check who owns it.") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise SequenceError(f"{str(path)!r}  cannot be read: {error}.") from error


def _kind(path: Path) -> str:
    return "folder" if path.is_dir() else "pipe or a device"


def parse(text: str | bytes, name: str) -> Sequence:
    page = _Page(_decoded(text, name), name)
    _check_characters(page)
    root = _tree(page)
    sequence = _understand(root, page) if root else None
    if page.mistakes or sequence is None:
        raise SequenceError(*page.complaints())
    return sequence


# --- the text


class _Page:
    """The text of a file, and what is wrong with it."""

    def __init__(self, text: str, name: str) -> None:
        self.text = text
        self.mistakes: set[tuple[int, str]] = set()
        self.covered: set[int] = set()
        self._name = name
        self._lines = [0, *(found.end() for found in _NEWLINE.finditer(text))]

    def complain(self, at: int, words: str) -> None:
        line = " ".join(words.split())
        if len(line) > _LONGEST_COMPLAINT:
            line = line[:_LONGEST_COMPLAINT] + "…"
        self.mistakes.add((at, line if line[-1] in ".?…" else f"{line}."))

    def complaints(self) -> list[str]:
        return [
            f"{self._name}:{self.line(at)}:{self._column(at)}  {words}" for at, words in sorted(self.mistakes)
        ]

    def line(self, at: int) -> int:
        return bisect_right(self._lines, at)

    def line_start(self, at: int, lines: int = 0) -> int:
        """Where the line starts that is so many lines below."""
        return self._lines[min(self.line(at) + lines, len(self._lines)) - 1]

    def line_text(self, at: int) -> tuple[int, str]:
        """Where a line starts, and what it says."""
        start = self.line_start(at)
        return start, self.text[start : self.end_of_line(start)]

    def end_of_line(self, at: int) -> int:
        found = _NEWLINE.search(self.text, at)
        return found.start() if found else len(self.text)

    def cover(self, start: int, end: int, mark: str = "x") -> None:
        """Make one place harmless and move nothing, so that the rest can still be read."""
        self.text = self.text[:start] + mark * (end - start) + self.text[end:]
        self.covered.add(start)

    def _column(self, at: int) -> int:
        return at - self._lines[self.line(at) - 1] + 1


def _decoded(text: str | bytes, name: str) -> str:
    size = len(text) if isinstance(text, bytes) else len(text.encode(errors="surrogatepass"))
    if size > _LARGEST:
        raise SequenceError(f"{name}  is larger than 1 MiB. A sequence is a page or two.")
    if isinstance(text, str):
        return text.removeprefix("\ufeff")
    try:
        return text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # `object`: a byte order mark that was taken off no longer counts in `start`
        page = _Page(error.object[: error.start].decode("utf-8"), name)
        page.complain(error.start and len(page.text), "this is not UTF-8. Save the file as UTF-8")
        raise SequenceError(*page.complaints()) from error


def _check_characters(page: _Page) -> None:
    for found in islice(_UNREADABLE.finditer(page.text), _MOST_ALIKE):
        page.complain(found.start(), f"an unreadable character (U+{ord(found[0]):04X}). Delete it")
    page.text = _UNREADABLE.sub(_LOST, page.text)
    head = _HEAD.match(page.text)
    if head and (directive := _DIRECTIVE.search(head[0])):
        page.complain(directive.start(), 'a line that begins with "%" is for YAML tools. Leave it out')
        page.text = _DIRECTIVE.sub("#", head[0]) + page.text[head.end() :]


# --- the tree


@dataclass(slots=True, kw_only=True)
class _Node:
    """What stands at one place: a text, a list, a mapping, or nothing."""

    start: int
    end: int
    value: "str | list[_Node] | dict[str, _Node] | None"
    at: int  #: where a complaint about it points: its key, if it has one
    literal: bool = False  #: after `|`: its lines are the file's lines
    spoiled: bool = False  #: complained about already


@dataclass(slots=True, kw_only=True)
class _Open:
    """A list or a mapping that is still being read."""

    node: _Node
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


def _tree(page: _Page) -> _Node | None:
    """What the file says, or None if it breaks off."""
    for _ in range(_MOST_ALIKE):
        try:
            return _Builder(page).read()
        except _UnquotedGap as gap:
            _quote(gap, page)
        except _Enough:
            return None
    return None


def _quote(gap: _UnquotedGap, page: _Page) -> None:
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

    def __init__(self, page: _Page) -> None:
        self._page = page
        self._root: _Node | None = None
        self._open: list[_Open] = []
        self._count = 0

    def read(self) -> _Node:
        loader: Any = yaml.BaseLoader(self._page.text)
        try:
            while loader.check_event() and self._take(loader.get_event()):
                pass
        except yaml.MarkedYAMLError as error:
            self._stumble(error)
        except (ValueError, OverflowError):  # "\UFFFFFFFF": PyYAML asks chr() and does not look back
            self._give_up(loader.get_mark().index, r"no such character. Write \\ for a backslash")
        if self._root is None or self._root.value is None:
            self._give_up(0, "there is nothing in it. Begin with name:, from: and steps:")
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
        node = _Node(start=at, end=event.end_mark.index, at=at, value=None, spoiled=at in self._page.covered)
        self._refuse_references(event, node)
        if isinstance(event, yaml.ScalarEvent):
            self._write(event, node)
        elif isinstance(event, yaml.CollectionStartEvent):
            node.value = {} if isinstance(event, yaml.MappingStartEvent) else []
        self._place(node)
        if isinstance(event, yaml.CollectionStartEvent):
            self._enter(node, bool(event.flow_style))

    def _refuse_references(self, event: yaml.NodeEvent, node: _Node) -> None:
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

    def _write(self, event: yaml.ScalarEvent, node: _Node) -> None:
        if not event.style and event.value in _NOTHING:
            return
        node.value = event.value
        node.literal = event.style == "|"
        if found := _UNREADABLE.search(event.value):
            node.spoiled = True
            if _LOST not in self._page.text[node.start : node.end]:
                self._page.complain(node.start, f"an unreadable character (U+{ord(found[0]):04X}). Delete it")

    def _enter(self, node: _Node, flow: bool) -> None:
        if self._page.text.startswith("{{", node.start):
            raise _UnquotedGap(node.start, flow=any(outer.flow for outer in self._open))
        self._open.append(_Open(node=node, flow=flow))
        if len(self._open) > _DEEPEST:
            self._give_up(node.start, f"nested more than {_DEEPEST} deep. A sequence needs four")

    def _place(self, node: _Node) -> None:
        if not self._open:
            self._root = node
            return
        outer = self._open[-1]
        if isinstance(outer.node.value, list):
            outer.node.value.append(node)
        elif outer.key_at < 0:
            outer.key_at, outer.key = node.start, self._key(node)
        elif isinstance(outer.node.value, dict):
            self._put(node, outer, outer.node.value)

    def _key(self, node: _Node) -> str | None:
        if node.spoiled:
            return None
        if not isinstance(node.value, str):
            self._page.complain(node.start, 'a key is a word. Write it before the colon, like "name: …"')
            return None
        if node.value == "<<":
            self._page.complain(node.start, '"<<" copies from elsewhere. Write the lines out')
            return None
        return node.value

    def _put(self, node: _Node, outer: _Open, mapping: dict[str, _Node]) -> None:
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


# --- the meaning


def _understand(root: _Node, page: _Page) -> Sequence | None:
    try:
        sequence = Sequence.model_validate(_plain(root))
    except ValidationError as error:
        sequence = None
        for mistake in error.errors(include_url=False, include_input=False):
            _tell(dict(mistake), root, page)
    _check_empty(root, (), page)
    _check_first_subject(root, page)
    _check_ids(root, page)
    _check_templates(root, page)
    if sequence is None and not page.mistakes:
        page.complain(root.start, "this is no sequence")
    return sequence


def _plain(node: _Node) -> Any:
    if node.spoiled:
        return None
    if isinstance(node.value, dict):
        return {key: _plain(inner) for key, inner in node.value.items()}
    if isinstance(node.value, list):
        return [_plain(inner) for inner in node.value]
    return node.value


def _tell(mistake: dict[str, Any], root: _Node, page: _Page) -> None:
    path: _Path = tuple(part for part in mistake["loc"] if part != "[key]")
    nodes = list(_along(path, root))
    node = nodes[-1]
    kind, context = mistake["type"], mistake.get("ctx", {})
    if any(one.spoiled for one in nodes) or (node.value is None and kind != "extra_forbidden"):
        return  # one mistake, one complaint
    if kind == "missing":
        page.complain(node.start, f'{_prefix(path[:-1])}missing "{path[-1]}"')
    elif kind == "extra_forbidden":
        node.spoiled = True
        page.complain(node.at, _unknown_key(path))
    elif (kind == "value_error" and not path) or (kind == "too_short" and node.value):
        pass  # about the whole, and about a list whose entries are all wrong: told entry by entry
    elif path[-1:] == ("windows",) and isinstance(node.value, list):
        _tell_windows(node, path, page)
    else:
        node.spoiled = True
        page.complain(node.at, _words(kind, path, node, context, str(mistake["msg"])))


def _along(path: _Path, root: _Node) -> Iterator[_Node]:
    """The nodes on a way down, as far as they are there."""
    node = root
    yield node
    for part in path:
        if isinstance(node.value, dict) and part in node.value:
            node = node.value[str(part)]
        elif isinstance(node.value, list) and isinstance(part, int):
            node = node.value[part]
        else:
            return
        yield node


def _unknown_key(path: _Path) -> str:
    known = list(_keys(path[:-1]))
    near = get_close_matches(str(path[-1]), known, n=1, cutoff=0.75)
    advice = f'Did you mean "{near[0]}"?' if near else f"Known here: {', '.join(known)}"
    return f'unknown key "{path[-1]}". {advice}'


def _keys(path: _Path) -> Iterator[str]:
    models: dict[str, type[Step] | type[Schedule]] = {"steps": Step, "schedule": Schedule}
    model = models[str(path[0])] if path else Sequence
    for name, info in model.model_fields.items():
        yield info.alias or name


_WRONG_SHAPE = {
    "string_type": "should be text",
    "tuple_type": "should be a list",
    "dict_type": 'should be lines like "key: value"',
    "model_type": 'should be lines like "key: value"',
    "model_attributes_type": 'should be lines like "key: value"',
}


def _words(kind: str, path: _Path, node: _Node, context: dict[str, Any], message: str) -> str:
    where = _dotted(path) or "a sequence"
    if kind in _WRONG_SHAPE:
        return f"{where} {_WRONG_SHAPE[kind]}"
    if kind in ("string_too_short", "too_short"):
        return _empty(path)
    if kind == "string_too_long":
        return f"{where} is too long. {context['max_length']:,} characters are the most"
    if kind == "too_long":
        return f"{where} has too many entries. {context['max_length']} are the most"
    if kind == "string_pattern_mismatch":
        return _pattern_words(path, node)
    if kind == "value_error" and (isinstance(node.value, str) or path[-1:] == ("windows",)):
        return f"{where}: {context['error']}"
    return f"{where} should be text" if kind == "value_error" else f"{where}: {message}"


def _pattern_words(path: _Path, node: _Node) -> str:
    if path[-1] == "id":
        return f'{_dotted(path)}: "{node.value}" is no id. Write small letters, digits and dashes, like "first-note"'
    name = path[-1] if path[0] == "defaults" else node.value
    return f'{path[0]}: "{name}" is no variable. Write letters, digits and underscores, like first_name'


def _tell_windows(node: _Node, path: _Path, page: _Page) -> None:
    """Pydantic sees one value here; an author sees lines."""
    if not node.value:
        page.complain(node.at, f"{_dotted(path)} is empty. Write a line like mon-fri 09:00-17:00")
    for number, line in enumerate(node.value if isinstance(node.value, list) else ()):
        where = _dotted((*path, number))
        if isinstance(line.value, list | dict):
            page.complain(line.at, f"{where} should be text")
        elif line.value and not line.spoiled:
            try:
                parse_windows(line.value)
            except ValueError as error:
                page.complain(line.at, f"{where}: {error}")


def _check_empty(node: _Node, path: _Path, page: _Page) -> None:
    if node.spoiled:
        return
    if node.value is None:
        page.complain(node.at, _empty(path))
    elif path and path[-1] in _ONE_LINE and isinstance(node.value, str) and "\n" in node.value:
        page.complain(node.at, f"{_dotted(path)} has a line break in it. Write one line, in quotes")
    elif isinstance(node.value, dict):
        for key, inner in node.value.items():
            _check_empty(inner, (*path, key), page)
    elif isinstance(node.value, list):
        for number, inner in enumerate(node.value):
            _check_empty(inner, (*path, number), page)


def _empty(path: _Path) -> str:
    advice = "Write something" if path[-1] in _NEEDED else "Write something, or leave it out"
    return f"{_dotted(path)} is empty. {advice}"


def _check_first_subject(root: _Node, page: _Page) -> None:
    for number, step, keys in _steps(root):
        if number == 0 and "subject" not in keys:
            page.complain(step.start, "steps.0 needs a subject: it starts the thread")


def _check_ids(root: _Node, page: _Page) -> None:
    seen: set[str] = set()
    for number, step, keys in _steps(root):
        given = keys.get("id")
        name = given.value if given else f"step-{number + 1}"
        if isinstance(name, str) and name in seen:
            at = given.at if given else step.start
            page.complain(at, f'steps.{number}: two steps are called "{name}". Give this one another id')
        elif isinstance(name, str):
            seen.add(name)


def _check_templates(root: _Node, page: _Page) -> None:
    needed: dict[str, list[_Node]] = {}
    for number, _, keys in _steps(root):
        for key in _TEMPLATES:
            node = keys.get(key)
            if node and isinstance(node.value, str) and not node.spoiled:
                for name in _gaps(node, node.value, f"steps.{number}.{key}", page):
                    needed.setdefault(name, []).append(node)
    _check_names(needed, _known_variables(root), page)


def _gaps(node: _Node, template: str, where: str, page: _Page) -> list[str]:
    try:
        return gaps(template)
    except TemplateMistake as error:
        page.complain(_template_line(node, error.line, page), f"{where} does not parse: {error}")
    except Exception as error:  # noqa: BLE001 - nobody lists what Jinja raises; the mistake is the author's
        line, words = getattr(error, "lineno", 1), getattr(error, "message", None) or "it is too tangled"
        page.complain(_template_line(node, line, page), f"{where} does not parse: {words}")
    return []


def _check_names(needed: dict[str, list[_Node]], known: list[str], page: _Page) -> None:
    strangers = [name for name in needed if name not in known]
    for name in strangers[:_MOST_NAMES]:
        for near in get_close_matches(name, known[:_MOST_NAMES], n=1, cutoff=0.8):
            words = f'{{{{ {name} }}}} is known from nowhere. Did you mean "{near}"?'
            for node in needed[name]:
                page.complain(_first_use(node, name, page), words)


def _known_variables(root: _Node) -> list[str]:
    """None at all, unless the author lists some: then every other name may be right."""
    top = root.value if isinstance(root.value, dict) else {}
    requires, defaults = top.get("requires"), top.get("defaults")
    if not requires and not defaults:
        return []
    listed = requires.value if requires and isinstance(requires.value, list) else []
    fallbacks = defaults.value if defaults and isinstance(defaults.value, dict) else {}
    return [*(one.value for one in listed if isinstance(one.value, str)), *fallbacks, *_BUILT_IN]


def _first_use(node: _Node, name: str, page: _Page) -> int:
    said = page.text[node.start : node.end]
    found = re.search(rf"\{{\{{-?\s*{name}\b", said) or re.search(rf"\b{name}\b", said)
    return node.start + (found.start() if found else 0)


def _template_line(node: _Node, line: int, page: _Page) -> int:
    """Only after `|` are a text's lines the file's lines; folded text is shown from its beginning."""
    if not node.literal:
        return node.start
    start, said = page.line_text(min(page.line_start(node.start, line), node.end))
    return start + len(said) - len(said.lstrip())


def _steps(root: _Node) -> Iterator[tuple[int, _Node, dict[str, _Node]]]:
    steps = root.value.get("steps") if isinstance(root.value, dict) else None
    for number, step in enumerate(steps.value if steps and isinstance(steps.value, list) else ()):
        if isinstance(step.value, dict) and not step.spoiled:
            yield number, step, step.value


def _dotted(path: _Path) -> str:
    return ".".join(str(part) for part in path)


def _prefix(path: _Path) -> str:
    return f"{_dotted(path)}: " if path else ""
