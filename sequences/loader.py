"""YAML comes in; a Sequence goes on, or every mistake at once: file, line, column, what would be right."""

import re
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from engine.errors import SequenceError
from engine.render import TemplateMistake, gaps
from engine.sequence import Schedule, Sequence, Step, parse_windows
from sequences.page import LARGEST, Page, check_characters, decoded, open_regular
from sequences.tree import Node, read_tree

_MOST_NAMES = 100  #: to compare with each other; more would take minutes, and no mail has them
_BUILT_IN = ("email", "timezone")
_NEEDED = ("name", "from", "steps", "body")
_TEMPLATES = ("subject", "body")
_ONE_LINE = ("name", "subject")  # a line break in either would be one in a mail's header

Place = tuple[int | str, ...]


def load(path: Path) -> Sequence:
    with open_regular(path) as file:
        data = file.read(LARGEST + 1)  # one more than allowed is enough to know
    return parse(data, str(path))


def parse(text: str | bytes, name: str) -> Sequence:
    page = Page(decoded(text, name), name)
    check_characters(page)
    root = read_tree(page)
    sequence = _understand(root, page) if root else None
    if page.mistakes or sequence is None:
        raise SequenceError(*page.complaints())
    return sequence


def _understand(root: Node, page: Page) -> Sequence | None:
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


def _plain(node: Node) -> Any:
    if node.spoiled:
        return None
    if isinstance(node.value, dict):
        return {key: _plain(inner) for key, inner in node.value.items()}
    if isinstance(node.value, list):
        return [_plain(inner) for inner in node.value]
    return node.value


def _tell(mistake: dict[str, Any], root: Node, page: Page) -> None:
    path: Place = tuple(part for part in mistake["loc"] if part != "[key]")
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


def _along(path: Place, root: Node) -> Iterator[Node]:
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


def _unknown_key(path: Place) -> str:
    known = list(_keys(path[:-1]))
    near = get_close_matches(str(path[-1]), known, n=1, cutoff=0.75)
    advice = f'Did you mean "{near[0]}"?' if near else f"Known here: {', '.join(known)}"
    return f'unknown key "{path[-1]}". {advice}'


def _keys(path: Place) -> Iterator[str]:
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


def _words(kind: str, path: Place, node: Node, context: dict[str, Any], message: str) -> str:
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


def _pattern_words(path: Place, node: Node) -> str:
    if path[-1] == "id":
        return f'{_dotted(path)}: "{node.value}" is no id. Write small letters, digits and dashes, like "first-note"'
    name = path[-1] if path[0] == "defaults" else node.value
    return f'{path[0]}: "{name}" is no variable. Write letters, digits and underscores, like first_name'


def _tell_windows(node: Node, path: Place, page: Page) -> None:
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


def _check_empty(node: Node, path: Place, page: Page) -> None:
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


def _empty(path: Place) -> str:
    advice = "Write something" if path[-1] in _NEEDED else "Write something, or leave it out"
    return f"{_dotted(path)} is empty. {advice}"


def _check_first_subject(root: Node, page: Page) -> None:
    for number, step, keys in _steps(root):
        if number == 0 and "subject" not in keys:
            page.complain(step.start, "step 1 needs a subject: it starts the thread")


def _check_ids(root: Node, page: Page) -> None:
    seen: set[str] = set()
    for number, step, keys in _steps(root):
        given = keys.get("id")
        name = given.value if given else f"step-{number + 1}"
        if isinstance(name, str) and name in seen:
            at = given.at if given else step.start
            page.complain(at, f'step {number + 1}: two steps are called "{name}". Give this one another id')
        elif isinstance(name, str):
            seen.add(name)


def _check_templates(root: Node, page: Page) -> None:
    needed: dict[str, list[Node]] = {}
    for number, _, keys in _steps(root):
        for key in _TEMPLATES:
            node = keys.get(key)
            if node and isinstance(node.value, str) and not node.spoiled:
                for name in _gaps(node, node.value, _dotted(("steps", number, key)), page):
                    needed.setdefault(name, []).append(node)
    _check_names(needed, _known_variables(root), page)


def _gaps(node: Node, template: str, where: str, page: Page) -> list[str]:
    try:
        return list(gaps(template))
    except TemplateMistake as error:
        page.complain(_template_line(node, error.line, page), f"{where} does not parse: {error}")
    return []


def _check_names(needed: dict[str, list[Node]], known: list[str], page: Page) -> None:
    strangers = [name for name in needed if name not in known]
    for name in strangers[:_MOST_NAMES]:
        for near in get_close_matches(name, known[:_MOST_NAMES], n=1, cutoff=0.8):
            words = f'{{{{ {name} }}}} is known from nowhere. Did you mean "{near}"?'
            for node in needed[name]:
                page.complain(_first_use(node, name, page), words)


def _known_variables(root: Node) -> list[str]:
    """None at all, unless the author lists some: then every other name may be right."""
    top = root.value if isinstance(root.value, dict) else {}
    requires, defaults = top.get("requires"), top.get("defaults")
    if not requires and not defaults:
        return []
    listed = requires.value if requires and isinstance(requires.value, list) else []
    fallbacks = defaults.value if defaults and isinstance(defaults.value, dict) else {}
    return [*(one.value for one in listed if isinstance(one.value, str)), *fallbacks, *_BUILT_IN]


def _first_use(node: Node, name: str, page: Page) -> int:
    said = page.text[node.start : node.end]
    found = re.search(rf"\{{\{{-?\s*{name}\b", said) or re.search(rf"\b{name}\b", said)
    return node.start + (found.start() if found else 0)


def _template_line(node: Node, line: int, page: Page) -> int:
    """Only after `|` are a text's lines the file's lines; folded text is shown from its beginning."""
    if not node.literal:
        return node.start
    start, said = page.line_text(min(page.line_start(node.start, line), node.end))
    return start + len(said) - len(said.lstrip())


def _steps(root: Node) -> Iterator[tuple[int, Node, dict[str, Node]]]:
    steps = root.value.get("steps") if isinstance(root.value, dict) else None
    for number, step in enumerate(steps.value if steps and isinstance(steps.value, list) else ()):
        if isinstance(step.value, dict) and not step.spoiled:
            yield number, step, step.value


def _dotted(path: Place) -> str:
    """As people count: `step 1, body`."""
    if len(path) > 1 and path[0] == "steps" and isinstance(path[1], int):
        return ", ".join((f"step {path[1] + 1}", *map(str, path[2:])))
    return ".".join(str(part) for part in path)


def _prefix(path: Place) -> str:
    return f"{_dotted(path)}: " if path else ""
