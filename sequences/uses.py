"""Where in a text, as it stands in the file, a name is used; and what would be a gap with somebody else's brackets."""

import re
from collections.abc import Iterator

from sequences.page import MOST_ALIKE
from sequences.tree import Node

#: What stands between the braces; a comment, and what is said as it stands, are no gaps.
_BRACES = re.compile(
    r"\{#.*?(?:#\}|\Z)|\{%-?\s*raw\s*-?%\}.*?(?:\{%-?\s*endraw\s*-?%\}|\Z)|(\{[{%])(.*?)(?:[%}]\}|\Z)",
    re.DOTALL,
)
_IN_QUOTES = re.compile(r""""[^"]*"|'[^']*'""")
#: No filter, no attribute, no function, no argument's name, no question that is asked of something.
_NAME = re.compile(r"(?<![\w.|])(?<!\| )(?<!is )(?<!is not )[A-Za-z_]\w*+(?!\s*\(|\s*=[^=])")
_DEFAULTED = re.compile(r"\s*(?:\|\s*(?:d|default)\b|is\s+(?:not\s+)?(?:un)?defined\b)")
_OTHERS = re.compile(
    r"""\[\[\s*(?P<square>\w+)\s*\]\] | %(?P<percent>\w+)% | \$?(?<![{$\w]\{)(?<!\{)\{\s*(?P<one>\w+)\s*\}(?!\})
      | <<\s*(?P<angle>\w+)\s*>>""",
    re.VERBOSE,
)


def names_at(node: Node, *, condition: bool) -> dict[str, list[int]]:
    """Where each name is used that is asked for; one that may be missing there is not."""
    found: dict[str, list[int]] = {}
    for start, said, opens in _expressions(node, condition=condition):
        for name in _NAME.finditer(said):
            if not _DEFAULTED.match(said, name.end()):
                alone = opens is not None and not said[: name.start()].strip(" \t-")
                found.setdefault(name[0], []).append(opens if opens and alone else start + name.start())
    return {name: places[:MOST_ALIKE] for name, places in found.items()}


def other_brackets(node: Node) -> Iterator[tuple[int, str, str]]:
    """`{first_name}`, `[[first_name]]`, `%first_name%`, `${first_name}`: where, as it is written, and the name in it."""
    said = _BRACES.sub(lambda found: " " * len(found[0]), _raw(node))
    for found in _OTHERS.finditer(said):
        name = next(filter(None, found.groups()))
        yield node.start + found.start(), found[0], name


def _expressions(node: Node, *, condition: bool) -> Iterator[tuple[int, str, int | None]]:
    """What Jinja reads, without the texts in it: where it begins, and where its `{{` stands if it has one."""
    said = _raw(node)
    if condition:
        yield node.start, _without_quotes(said), None
        return
    for found in _BRACES.finditer(said):
        if found[1]:
            opens = node.start + found.start() if found[1] == "{{" else None
            yield node.start + found.start(2), _without_quotes(found[2]), opens


def _without_quotes(said: str) -> str:
    return _IN_QUOTES.sub(lambda found: " " * len(found[0]), said)


def _raw(node: Node) -> str:
    """As it stands in the file, letter for letter; YAML's own quotes are none of Jinja's."""
    said = node.page.text[node.start : node.end]
    if node.below is None and said[:1] in ('"', "'"):
        twice = '\\"' if said[0] == '"' else "''"
        return " " + said[1:-1].replace(twice, " " + twice[1]) + " "
    return said
