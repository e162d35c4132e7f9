"""The gaps in the words, and the conditions: they parse, and every name in them is one that somebody provides."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from engine.markup import check_html
from engine.render import Filled, TemplateMistake, gaps, names_in, outline, says_nothing, unquoted
from sequences.places import Found, Place, along, every_step, where
from sequences.stumbles import quoted
from sequences.tree import Node
from sequences.uses import names_at, other_brackets

_MOST_NAMES = 100  #: to compare with each other; more would take minutes, and no mail has them
_NEAR = 0.8
_BUILT_IN = ("email", "timezone", "country", "step", "sequence")
_WORDS = ("subject", "body", "html", "task", "assign")
_SPOKEN = ("subject", "body", "html", "task")
_ALWAYS = {
    "email": "it is the address of each person",
    "sequence": "it is the name of this sequence",
    "step": "step.id is the id of each step",
    "owner": 'whose sequence it is stands above the steps, as "owner: …"',
}
_ADVICE = {"owner": 'Write "owner: …" above the steps'}
_MARKS = re.compile(r"[{%<\[]")
_CUT = re.compile(r"[ \t]+(#\d[^\r\n]*)")
_NO_GAPS = "it is the same for everybody. Write it without braces"
_FROM_NOWHERE = "is known from nowhere: not in requires or defaults"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Said:
    """A text with gaps, or a condition."""

    node: Node
    place: Place
    asked: tuple[Node, ...] = ()  #: conditions that are true whenever it is said
    condition: bool = False


def check_words(root: Node) -> None:
    _check_defaults(root)
    used: dict[str, list[tuple[_Said, bool]]] = {}  #: by name; and whether that text can do without
    texts = list(_everything(root))
    for said in texts:
        if said.node.text:
            asked = {name for condition in said.asked for name in _asked(condition)}
            unread = any(condition.spoiled for condition in said.asked)
            for name in _names(said, where(said.place, root)):
                used.setdefault(name, []).append((said, said.condition or unread or name in asked))
    known = _known(root)
    _check_brackets(texts, {*known, *(() if known else used)})
    _check_plain(root)
    _check_comments([*_below(root, ("name",)), *texts])
    if _is_unsure(root):
        return  # what nobody seems to provide may stand in what could not be read
    _check_quotes(used, known)
    if known:
        _check_names(used, known)


def _check_defaults(root: Node) -> None:
    defaults = root.keys.get("defaults")
    for name, node in (defaults.keys if defaults else {}).items():
        if why := _ALWAYS.get(name):
            node.complain(f'defaults: "{name}" needs none: {why}')


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
        words = f'{place} needs no braces. Write it plainly, like industry == "saas"'
        said.node.complain(words, said.node.start)
        return ()
    try:
        if said.place[-1] == "html":
            check_html(text)
        if said.place[-1] in _SPOKEN and text.strip() and says_nothing(text):
            said.node.complain(f"{place} is empty, whoever gets it. Write something")
        if said.place[-2:-1] in (("cc",), ("bcc",)) and _is_several(text):
            said.node.complain(f"{place} holds one address. Write several as a list")
        return names_in(text) if said.condition else gaps(text)
    except TemplateMistake as error:
        at = _line(said.node, error.line)
        said.node.complain(f"{place} does not parse: {error}", at)
    return ()


def _is_several(address: str) -> bool:
    return any(sign in part for part, _ in outline(address) if not isinstance(part, Filled) for sign in ",;")


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


def _is_unsure(root: Node) -> bool:
    lists = [root.keys[key] for key in ("requires", "defaults") if key in root.keys]
    return root.lost or any(each.gaps_in_it for each in lists)


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


def _check_quotes(used: dict[str, list[tuple[_Said, bool]]], known: list[str]) -> None:
    """`industry == saas`: what nobody provides, or nothing else speaks of, is meant as a text."""
    for name in [name for name, uses in used.items() if name not in (known or _BUILT_IN) and len(uses) == 1]:
        [(said, _)] = used[name]
        meant = unquoted(said.node.text or "", condition=said.condition).get(name)
        if meant and not said.node.nearest(name, known, _NEAR):
            advice = (
                f"If it is a text, put quotes around it: {meant}. If it is a column, put it into requires"
            )
            said.node.complain(f"{name} is known from nowhere. {advice}", _uses(said, name)[0])
            del used[name]


def _tell_stranger(said: _Said, name: str, near: str | None) -> None:
    shown = name if said.condition else f"{{{{ {name} }}}}"
    advice = f'Did you mean "{near}"?' if near else _ADVICE.get(name, "Put it into requires")
    for at in _uses(said, name):
        said.node.complain(f"{shown} {_FROM_NOWHERE}. {advice}", at)


def _uses(said: _Said, name: str) -> list[int]:
    """Where it stands; at least one."""
    return names_at(said.node, condition=said.condition).get(name) or [said.node.start]


# --- what is no gap ---


def _check_brackets(texts: list[_Said], known: set[str]) -> None:
    """Other tools have other brackets; here they would be sent to people as they stand."""
    for said in texts:
        if said.condition or not said.node.text or not _MARKS.search(said.node.text):
            continue
        for at, written, name in other_brackets(said.node):
            right = re.sub(r"\W", "_", name.lower())
            if right in known:
                words = f'"{written}" is no gap, and would be sent as it stands. Write {{{{ {right} }}}}'
                said.node.complain(words, at)


def _check_comments(texts: list[_Said]) -> None:
    """`We are #1` would be `We are`. Nobody begins a comment with a digit."""
    for said in texts:
        node = said.node
        if (
            node.text
            and node.page.text[node.start] not in "\"'|>"
            and (found := _CUT.match(node.page.text, node.end))
        ):
            whole = f"{node.text}{found[0].rstrip()}"
            words = f'" #" begins a comment, and cuts off what follows. Put quotes around it: {quoted(whole)}'
            node.complain(words, found.start(1))


def _check_plain(root: Node) -> None:
    """Where nothing is filled in, braces would stay braces."""
    places: list[Place] = [("name",), ("owner",)]
    labels = root.keys["on_reply"].keys if "on_reply" in root.keys else ()
    places += [("on_reply", label, key) for label in labels for key in ("label", "resume")]
    places += [(*step.place, key) for step in every_step(root) for key in ("wait_for", "webhook")]
    for place in places:
        for said in _below(root, place):
            if not said.node.told and ("{{" in (said.node.text or "") or "{%" in (said.node.text or "")):
                said.node.complain(f"{where(place, root)} has no gaps: {_NO_GAPS}", said.node.start)
                said.node.told = True
