"""Where in a file something is, as people count: `step 5 (angle), choose 2, then 1 (funding), body`."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from engine.sequence import KINDS, name_steps
from sequences.tree import Node

Place = tuple[int | str, ...]

_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,63}", re.ASCII)
_ONE_OF = {"steps": "step", "tests": "test", "variants": "variant", "events": "event"}
_LISTS_AT_THE_TOP = ("steps", "tests")


def along(place: Place, root: Node) -> Iterator[Node]:
    """The nodes on a way down, as far as they are there."""
    node = root
    yield node
    for part in place:
        if isinstance(node.value, dict) and part in node.value:
            node = node.value[str(part)]
        elif isinstance(node.value, list) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
        else:
            return
        yield node


def where(place: Place, root: Node) -> str:
    """In words. What a file beside it says is told in that file: there, a key is place enough."""
    nodes = list(along(place, root))
    if nodes[-1].page is not root.page:
        return str(place[len(nodes) - 2])
    parts = list(_parts(place[: len(nodes) - 1], nodes))
    return (", " if place[:1] and place[0] in _LISTS_AT_THE_TOP else ".").join(parts)


def _parts(place: Place, nodes: list[Node]) -> Iterator[str]:
    for number, part in enumerate(place):
        following = place[number + 1] if number + 1 < len(place) else None
        if isinstance(part, int):
            word = str(place[number - 1])
            one = _ONE_OF.get(word, word) if number == 1 or nodes[number + 1].keys else word
            yield f"{one} {part + 1}{_named(nodes[number + 1], said_next=following)}"
        elif not isinstance(following, int):
            yield part


def _named(node: Node, said_next: int | str | None) -> str:
    name = node.keys.get("id")
    if name is None or said_next == "id" or not _ID.fullmatch(name.text or ""):
        return ""
    return f" ({name.text})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A step in the file, whatever it is inside of."""

    node: Node
    place: Place
    id: str  #: its own, or the one that it is given by its place; empty, if its own cannot be read
    conditions: tuple[Node, ...]  #: what must be true of a person before they come to it
    choices: int  #: how many it is inside of

    @property
    def kind(self) -> str:
        """By the first of the keys that make a step what it is."""
        found = next((key for key in KINDS if key in self.node.keys), "body")
        return "mail" if found in ("body", "template", "variants") else found


def every_step(root: Node) -> Iterator[Found]:
    """Top to bottom, those inside others too."""
    steps = root.keys.get("steps")
    if steps:
        yield from _steps(steps, ("steps",), name_steps(steps.plain()), (), 0)


def _steps(
    steps: Node, place: Place, named: list[dict[str, object]], conditions: tuple[Node, ...], choices: int
) -> Iterator[Found]:
    for number, node in enumerate(steps.entries):
        keys = node.keys
        if not isinstance(node.value, dict) or node.spoiled:
            continue
        here, names = (*place, number), named[number]
        own = (*conditions, keys["if"]) if "if" in keys else conditions
        name = names["id"] if isinstance(names["id"], str) else ""
        yield Found(node=node, place=here, id=name, conditions=own, choices=choices)
        for key in ("then", "else"):
            if key in keys:
                yield from _steps(keys[key], (*here, key), _list(names[key]), own, choices)
        if "choose" in keys:
            yield from _choices(keys["choose"], (*here, "choose"), _list(names["choose"]), own, choices + 1)


def _choices(
    choose: Node, place: Place, named: list[dict[str, object]], conditions: tuple[Node, ...], choices: int
) -> Iterator[Found]:
    for number, choice in enumerate(choose.entries):
        keys = choice.keys
        own = (*conditions, keys["if"]) if "if" in keys else conditions
        for key in ("then", "else"):
            if key in keys:
                inner = _list(named[number][key])
                yield from _steps(keys[key], (*place, number, key), inner, own, choices)


def _list(value: object) -> list[dict[str, object]]:
    return value if isinstance(value, list) else []
