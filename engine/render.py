"""Words with gaps, and what goes into the gaps: Jinja, sandboxed, over plain text only. Pure."""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from jinja2 import StrictUndefined, TemplateError, TemplateSyntaxError, meta, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from engine.errors import Refused

_LONGEST = 100_000
_NO_LETTER: dict[type[nodes.Node], str] = {
    nodes.For: "a letter has no loops",
    nodes.Macro: "a letter has no macros",
    nodes.CallBlock: "a letter has no macros",
    nodes.Assign: "a letter sets no variables",
    nodes.AssignBlock: "a letter sets no variables",
    nodes.Include: "a letter cannot take in another",
    nodes.Import: "a letter cannot take in another",
    nodes.FromImport: "a letter cannot take in another",
    nodes.Extends: "a letter cannot take in another",
    nodes.Pow: '"**" is not for letters',
}
_FORGIVING_FILTERS = frozenset({"default", "d"})
_FORGIVING_TESTS = frozenset({"defined", "undefined"})


class _PlainEnvironment(ImmutableSandboxedEnvironment):
    """No arithmetic that makes much out of little: `'a' * 10**9` is an outage, not a mail."""

    intercepted_binops = frozenset({"*", "**", "%"})

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        if operator == "**" or isinstance(left, str) or isinstance(right, str):
            raise Refused(f'"{operator}" is not for letters')
        return super().call_binop(context, operator, left, right)


_environment = _PlainEnvironment(
    undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False, optimized=False
)
_environment.globals.clear()
for _filter in (
    "center",
    "format",
    "indent",
    "replace",
):  # small words and large numbers make an endless text
    del _environment.filters[_filter]


class TemplateMistake(Refused):
    """This template does not parse."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = line  #: counted from 1, within the template


def render(template: str, variables: Mapping[str, str]) -> str:
    """The text with its gaps filled. Raises Refused, in words, when it cannot be."""
    try:
        text = str(_template(template).render(dict(variables)))
    except TemplateError as error:
        raise Refused(f"{error.message}") from error
    except (TypeError, ValueError, ArithmeticError, MemoryError, RecursionError) as error:
        raise Refused(f"the template fails: {error}") from error
    if len(text) > _LONGEST:
        raise Refused(f"the text would be {len(text):,} characters long")
    return text


@lru_cache(maxsize=1024)
def gaps(template: str) -> tuple[str, ...]:
    """The variables that a template cannot do without, in order of first use. Raises TemplateMistake."""
    try:
        parsed = _environment.parse(template)
        _refuse_what_is_no_letter(parsed)
        unknown = meta.find_undeclared_variables(parsed)
    except TemplateSyntaxError as error:
        raise TemplateMistake(error.message or "not a template", error.lineno) from error
    except (RecursionError, ValueError, ArithmeticError) as error:
        raise TemplateMistake("it is too tangled", 1) from error
    return tuple(dict.fromkeys(name for name in _needed(parsed) if name in unknown))


def _refuse_what_is_no_letter(parsed: nodes.Template) -> None:
    """A letter has gaps and conditions. What repeats, defines or takes in belongs into a program, and can run for ever."""
    for kind, words in _NO_LETTER.items():
        for found in parsed.find_all(kind):
            raise TemplateMistake(words, found.lineno)
    for call in parsed.find_all(nodes.Call):
        if isinstance(call.node, nodes.Name):
            raise TemplateMistake(f"{call.node.name}() is not for letters", call.lineno)
    for attribute in parsed.find_all(nodes.Getattr):
        if attribute.attr.startswith("_"):
            raise TemplateMistake(f"{attribute.attr} is not for letters", attribute.lineno)


def _needed(node: nodes.Node) -> Iterator[str]:
    if isinstance(node, nodes.Name) and node.ctx == "load":
        yield node.name
    forgiven = _forgiven(node)
    for child in node.iter_child_nodes():
        if child is not forgiven:
            yield from _needed(child)


def _forgiven(node: nodes.Node) -> nodes.Node | None:
    """In `a | default(b)` and `a is defined`, `a` may be missing; `b` may not."""
    if (isinstance(node, nodes.Filter) and node.name in _FORGIVING_FILTERS) or (
        isinstance(node, nodes.Test) and node.name in _FORGIVING_TESTS
    ):
        return node.node if isinstance(node.node, nodes.Name) else None
    return None


@lru_cache(maxsize=1024)
def _template(text: str) -> Any:
    return _environment.from_string(text)
