"""The gaps in the words, and the conditions: they parse, and every name in them is one that somebody provides."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from engine.render import TemplateMistake, gaps, names_in
from sequences.places import Found, Place, along, every_step, where
from sequences.tree import Node

_MOST_NAMES = 100  #: to compare with each other; more would take minutes, and no mail has them
_NEAR = 0.8
_BUILT_IN = ("email", "timezone", "country", "step", "sequence")
_WORDS = ("subject", "body", "html", "task", "assign")
_ADVICE = {"owner": 'Write "owner: …" above the steps'}
_FROM_NOWHERE = "is known from nowhere: not in requires or defaults"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Said:
    """A text with gaps, or a condition."""

    node: Node
    place: Place
    asked: tuple[Node, ...] = ()  #: conditions that are true whenever it is said
    condition: bool = False


def check_words(root: Node) -> None:
    used: dict[str, list[tuple[_Said, bool]]] = {}  #: by name; and whether that text can do without
    for said in _everything(root):
        if said.node.text:
            asked = {name for condition in said.asked for name in _asked(condition)}
            for name in _names(said, where(said.place, root)):
                used.setdefault(name, []).append((said, said.condition or name in asked))
    if known := _known(root):
        _check_names(used, known)


# --- where there are words ---


def _everything(root: Node) -> Iterator[_Said]:
    yield from _below(root, ("signature",))
    yield from _below(root, ("enroll", "skip_if"), condition=True)
    for label in root.keys["on_reply"].keys if "on_reply" in root.keys else ():
        for key in ("task", "notify"):
            yield from _below(root, ("on_reply", label, key))
    for step in every_step(root):
        yield from _in_step(step, root)


def _below(
    root: Node, place: Place, asked: tuple[Node, ...] = (), *, condition: bool = False
) -> Iterator[_Said]:
    nodes = list(along(place, root))
    if len(nodes) == len(place) + 1:
        yield _Said(node=nodes[-1], place=place, asked=asked, condition=condition)


def _in_step(step: Found, root: Node) -> Iterator[_Said]:
    keys = step.node.keys
    for key in _WORDS:
        yield from _below(root, (*step.place, key), step.conditions)
    for key in ("cc", "bcc"):
        for number in range(len(keys[key].entries) if key in keys else 0):
            yield from _below(root, (*step.place, key, number), step.conditions)
    for name in keys["with"].keys if "with" in keys else ():
        yield from _below(root, (*step.place, "with", name), step.conditions)
    for number in range(len(keys["variants"].entries) if "variants" in keys else 0):
        for key in ("subject", "body", "html"):
            yield from _below(root, (*step.place, "variants", number, key), step.conditions)
    yield from _below(root, (*step.place, "if"), condition=True)
    for number in range(len(keys["choose"].entries) if "choose" in keys else 0):
        yield from _below(root, (*step.place, "choose", number, "if"), condition=True)


# --- what they need ---


def _names(said: _Said, place: str) -> tuple[str, ...]:
    """Complains if it does not parse."""
    text = said.node.text or ""
    if said.condition and ("{{" in text or "{%" in text):
        said.node.complain(f'{place} needs no braces. Write it plainly, like industry == "saas"')
        return ()
    try:
        return names_in(text) if said.condition else gaps(text)
    except TemplateMistake as error:
        at = _line(said.node, error.line)
        said.node.complain(f"{place} does not parse: {error}", at)
    return ()


def _asked(condition: Node) -> tuple[str, ...]:
    try:
        return names_in(condition.text or "")
    except TemplateMistake:
        return ()


def _line(node: Node, line: int) -> int:
    """Folded and quoted text is shown from its beginning: its lines are not the lines of the file."""
    if node.below is None:
        return node.start
    start, said = node.page.line_text(min(node.page.line_start(node.start, line - 1 + node.below), node.end))
    return start + len(said) - len(said.lstrip())


# --- who provides it ---


def _known(root: Node) -> list[str]:
    """None at all, unless the author lists some: then every other name may be a column of the list."""
    listed = [*_listed(root.keys.get("requires")), *_listed(root.keys.get("defaults"))]
    own = ["owner"] if root.keys.get("owner") else []
    return [*listed, *_BUILT_IN, *own] if listed else []


def _listed(node: Node | None) -> list[str]:
    """Also where the list is no list: that is told elsewhere, and is no reason to call its word unknown."""
    if node is None:
        return []
    return [text for each in (node, *node.entries) if (text := each.text)] + list(node.keys)


def _check_names(used: dict[str, list[tuple[_Said, bool]]], known: list[str]) -> None:
    provided = set(known)
    strangers = [name for name in used if name not in provided]
    for name in strangers[:_MOST_NAMES]:
        near = used[name][0][0].node.nearest(name, known, _NEAR)
        for said, may_lack in used[name]:
            if near or not may_lack:
                _tell_stranger(said, name, near)


def _tell_stranger(said: _Said, name: str, near: str | None) -> None:
    shown = name if said.condition else f"{{{{ {name} }}}}"
    advice = f'Did you mean "{near}"?' if near else _ADVICE.get(name, "Put it into requires")
    said.node.complain(f"{shown} {_FROM_NOWHERE}. {advice}", _first_use(said.node, name))


def _first_use(node: Node, name: str) -> int:
    said = node.page.text[node.start : node.end]
    found = re.search(rf"\{{\{{-?\s*{name}\b", said) or re.search(rf"\b{name}\b", said)
    return node.start + (found.start() if found else 0)
