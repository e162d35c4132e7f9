"""Words with gaps, and conditions over them: Jinja, sandboxed, over plain text only. Pure.

A letter may use what FILTERS, METHODS and TESTS name, and nothing else. All of it makes little out of little: no text
grows beyond `_LONGEST`, no number beyond `_LARGEST`, and nothing repeats. Whatever an author writes is said, or
refused, at once.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache, partial
from inspect import signature
from math import isfinite
from typing import Any
from urllib.parse import quote

from jinja2 import (
    StrictUndefined,
    Template,
    TemplateError,
    TemplateSyntaxError,
    Undefined,
    nodes,
    pass_context,
    pass_environment,
)
from jinja2.filters import do_round, do_title, do_truncate
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.tests import test_in

from engine.errors import Refused
from engine.slips import about_gap, attribute_of_text, bare_text, in_words, never_meant, without_quotes

#: What a gap can be filled with: a text, or several by name, as in `{{ step.id }}`.
Value = str | Mapping[str, str]

_LONGEST = 100_000
_LONGEST_CONDITION = 2_000
_LARGEST = 10**15
_MOST_PARTS = 1_000
_MOST_TOKENS = 6_000
_DEEPEST = 50  # Python's compiler, at work behind Jinja's, has limits of its own, and no kind words for them
_FINEST = 9

#: What a column says that means no.
_NO = frozenset({"", "false", "no", "0"})
_NUMBER = re.compile(r"[+-]?\d{1,16}(\.\d{1,16})?", re.ASCII)
_GROUPED = re.compile(r"[+-]?\d{1,3}([ ,'\u00a0\u202f]\d{3}){1,4}(\.\d{1,16})?", re.ASCII)
_GROUPS = re.compile(r"[ ,'\u00a0\u202f]")

#: Whatever can go wrong inside an author's expression.
_FAILURES = (
    TypeError,
    ValueError,
    ArithmeticError,
    LookupError,
    AttributeError,
    AssertionError,
    MemoryError,
    RecursionError,
)


class Filled(str):
    """What stands in a gap, as against what the author wrote around it."""

    __slots__ = ()

    def __str__(self) -> str:
        return self


class TemplateMistake(Refused):
    """This template does not parse."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = line  #: counted from 1, within the template


# --- what a letter may use ---


def _text(value: object) -> str:
    if isinstance(value, str | int | float | Undefined):
        return str(value)  # of what is missing, this says so
    raise Refused("there is something that is no text")


def _within(text: str) -> str:
    if len(text) > _LONGEST:
        raise Refused(f"a text would be {len(text):,} characters long")
    return text


def _number(value: object) -> int | float | None:
    """As people write it: `1200`, `1,200`, `12 000.5`."""
    if isinstance(value, int | float):
        return value
    text = _text(value).strip()
    if _GROUPED.fullmatch(text):
        text = _GROUPS.sub("", text)
    found = _NUMBER.fullmatch(text)
    if not found:
        return None
    return float(text) if found[1] else int(text)


def _int(value: object, default: int = 0) -> int:
    number = _number(value)
    return default if number is None else int(number)


def _float(value: object, default: float = 0.0) -> float:
    number = _number(value)
    return default if number is None else float(number)


def _abs(value: float) -> float:
    return abs(value)


def _round(value: float, precision: int = 0, method: Any = "common") -> float:
    if abs(precision) > _FINEST:  # 10 ** precision is worked out, whatever it costs
        raise Refused(f"round() goes to {_FINEST} digits")
    return do_round(value, precision, method)


def _default(value: object, default: object = "", boolean: bool = False) -> object:
    return default if isinstance(value, Undefined) or (boolean and not value) else value


def _first(value: Any) -> object:
    return value[0] if value else ""


def _last(value: Any) -> object:
    return value[-1] if value else ""


def _length(value: Any) -> int:
    return len(value)


@pass_environment
def _truncate(
    environment: Any, value: object, length: int = 255, killwords: bool = False, end: str = "..."
) -> str:
    return do_truncate(environment, _text(value), length, killwords, end)


#: The filters that a letter may use, and what they are for.
FILTERS: Mapping[str, tuple[Callable[..., object], str]] = {
    "abs": (_abs, "a number without its minus"),
    "capitalize": (lambda value: _text(value).capitalize(), "The first letter large, the others small"),
    "d": (_default, "short for default"),
    "default": (_default, "other words for whoever has none: {{ first_name | default('there') }}"),
    "first": (_first, "the first letter, or the first of several"),
    "float": (_float, "a number with a fraction; 0.0, or what you say, when it is none"),
    "int": (_int, "a whole number, also out of 1,200; 0, or what you say, when it is none"),
    "last": (_last, "the last letter, or the last of several"),
    "length": (_length, "how many letters, or how many of several"),
    "lower": (lambda value: _text(value).lower(), "in small letters"),
    "round": (_round, "a number rounded: {{ rate | float | round(1) }}"),
    "string": (_text, "a number as text"),
    "title": (lambda value: do_title(_text(value)), "Every Word With A Large Letter"),
    "trim": (lambda value, chars=None: _text(value).strip(chars), "without blanks at both ends"),
    "truncate": (_truncate, "cut at a word: {{ headline | truncate(40) }}"),
    "upper": (lambda value: _text(value).upper(), "IN LARGE LETTERS"),
    "urlencode": (lambda value: _within(quote(_text(value))), "fit to stand in a link's address"),
}
#: The tests that a letter may ask, as in `{% if company is defined %}`.
TESTS: Mapping[str, tuple[Callable[..., bool], str]] = {
    "defined": (lambda value: not isinstance(value, Undefined), "whether there is one"),
    "in": (test_in, "whether it is one of several"),
    "undefined": (lambda value: isinstance(value, Undefined), "whether there is none"),
}
#: What a text can be asked to do, as in `{{ name.split()[0] }}`.
METHODS: Mapping[str, str] = {
    "capitalize": "The first letter large, the others small",
    "endswith": "whether it ends like this",
    "lower": "in small letters",
    "lstrip": "without blanks, or these letters, at its beginning",
    "removeprefix": "without this at its beginning",
    "removesuffix": "without this at its end",
    "rstrip": "without blanks, or these letters, at its end",
    "split": "its words, or its parts between these letters",
    "startswith": "whether it begins like this",
    "strip": "without blanks, or these letters, at both ends",
    "title": "Every Word With A Large Letter",
    "upper": "IN LARGE LETTERS",
}

_FORGIVING_FILTERS = frozenset({"default", "d"})
_FORGIVING_TESTS = frozenset({"defined", "undefined"})
#: How what we put into an author's expression is called; nobody can write a name with a blank in it.
_JUDGED, _JOINED = " judged", " joined"


def _judged(value: object) -> bool:
    """Yes or no, as whoever filled in the column meant it."""
    return value.strip().lower() not in _NO if isinstance(value, str) else bool(value)


def _joined(parts: tuple[object, ...]) -> str:
    """`a ~ b ~ c`, unless it grows too long."""
    texts = [_text(part) for part in parts]
    if (length := sum(map(len, texts))) > _LONGEST:
        raise Refused(f"a text would be {length:,} characters long")
    return "".join(texts)


def _split(text: str, sep: str | None = None, maxsplit: int = -1) -> list[str]:
    """Many small parts need more room than their text."""
    return text.split(sep, maxsplit if 0 <= maxsplit <= _MOST_PARTS else _MOST_PARTS)


# --- the two environments ---


class _Plain(ImmutableSandboxedEnvironment):
    """Texts, numbers, lists of them, and no way to anything else."""

    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "%", "**"})

    def __init__(self, undefined: type[Undefined]) -> None:
        super().__init__(
            undefined=undefined,
            finalize=_fill,
            keep_trailing_newline=True,
            autoescape=False,
            optimized=False,
            cache_size=0,
        )
        self.globals.clear()
        self.filters = {name: filter_ for name, (filter_, _) in FILTERS.items()}
        self.filters |= {_JUDGED: _judged, _JOINED: _joined}
        self.tests = {name: test for name, (test, _) in TESTS.items()}

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """No arithmetic that makes much out of little: `'a' * 10**9` is an outage, not a mail."""
        for side in (left, right):
            if isinstance(side, Undefined):
                str(side)  # says that it is missing
            if isinstance(side, int | float) and abs(side) > _LARGEST:
                raise Refused(f"{_LARGEST:,} is the largest number that a letter can reckon with")
        if isinstance(left, int | float) and isinstance(right, int | float) and operator != "**":
            return super().call_binop(context, operator, left, right)
        if operator == "+" and isinstance(left, str) and isinstance(right, str):
            return _joined((left, right))
        raise Refused(f'"{operator}" is for numbers. Write name | int to get one out of a text')

    def getattr(self, obj: Any, attribute: str) -> Any:
        if isinstance(obj, str) and attribute in METHODS:
            return partial(_split, obj) if attribute == "split" else getattr(obj, attribute)
        return self.getitem(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        if isinstance(obj, Undefined):
            str(obj)  # says that it is missing
        if isinstance(obj, str | list | tuple | Mapping):
            try:
                return obj[argument]
            except (TypeError, LookupError):
                pass
        return self.undefined(obj=obj, name=argument)


@pass_context  # so that nothing is worked out while a template is being read
def _fill(context: Any, value: object) -> Filled:
    return Filled(_text(value))


class _Nothing(Undefined):
    """In a condition, what somebody lacks is an empty text."""

    def __new__(cls, *_: object, **__: object) -> str:  # type: ignore[misc]
        return ""


def _default_for_nothing(value: object, default: object = "", boolean: bool = False) -> object:
    return _default(value, default, value == "" or boolean)


_letters = _Plain(StrictUndefined)
_conditions = _Plain(_Nothing)
_conditions.filters |= dict.fromkeys(_FORGIVING_FILTERS, _default_for_nothing)
_conditions.tests |= {"defined": lambda value: value != "", "undefined": lambda value: value == ""}


# --- saying it ---


def render(template: str, variables: Mapping[str, Value]) -> str:
    """The text with its gaps filled. Raises Refused, in words, when it cannot be."""
    return "".join(pieces(template, variables))


def pieces(template: str, variables: Mapping[str, Value]) -> list[str]:
    """The same, not yet put together: the pieces that are `Filled` are values, the others the author's own words."""
    compiled, names = _template(template)
    said: list[str] = []
    length = 0
    try:
        for piece in _say(compiled, names, variables):
            said.append(piece)
            if (length := length + len(piece)) > _LONGEST:
                raise Refused(f"the text would be more than {_LONGEST:,} characters long")
    except TemplateError as error:
        raise Refused(f"{error.message}") from error
    except _FAILURES as error:
        raise Refused(f"the template fails: {error}") from error
    return said


def holds(condition: str, variables: Mapping[str, Value]) -> bool:
    """Is it so, for this person? What they lack counts as empty, and a bare `no`, `false` or `0` means no.

    Raises TemplateMistake when it is no condition, and Refused when it compares what cannot be compared.
    """
    compiled, names = _condition(condition)
    try:
        return any(True for _ in _say(compiled, names, variables))
    except TemplateError as error:
        raise Refused(f"{error.message}") from error
    except _FAILURES as error:
        raise Refused(f"the condition fails: {error}") from error


def _say(compiled: Template, names: tuple[str, ...], variables: Mapping[str, Value]) -> Iterator[str]:
    known = {name: variables[name] for name in names if name in variables}
    for name, value in known.items():
        if isinstance(value, str) and len(value) > _LONGEST:
            raise Refused(f"{name} is {len(value):,} characters long")
    return compiled.root_render_func(compiled.new_context(known, shared=True))


# --- reading it ---


@lru_cache(maxsize=1024)
def gaps(template: str) -> tuple[str, ...]:
    """The variables that a template cannot do without, in order of first use. Raises TemplateMistake."""
    return tuple(dict.fromkeys(_needed(_read_letter(template))))


@lru_cache(maxsize=1024)
def used(template: str) -> tuple[str, ...]:
    """The variables that a template speaks of, also those that it can do without. Raises TemplateMistake."""
    return _template(template)[1]


def names_in(condition: str) -> tuple[str, ...]:
    """The variables that a condition is about, unless it says what to do without them. Raises TemplateMistake."""
    return tuple(dict.fromkeys(_needed(_read_condition(condition))))


@lru_cache(maxsize=1024)
def unquoted(text: str, *, condition: bool) -> Mapping[str, str]:
    """Names that are compared with another name, and how they would be compared as texts. Raises TemplateMistake."""
    return dict(without_quotes(_read_condition(text) if condition else _read_letter(text)))


def says_nothing(template: str) -> bool:
    """Is it empty, whoever it is said to? Raises TemplateMistake."""
    return next(_read_letter(template).find_all(nodes.Name), None) is None and not _said_to_nobody(template)


def outline(template: str) -> Iterator[tuple[str, int]]:
    """What the author wrote around the gaps, and `Filled` for each gap, with their lines. Raises TemplateMistake."""
    _read_letter(template)
    for line, token, written in _letters.lex(template):
        if token == "data":  # noqa: S105
            yield written, line
        elif token == "variable_begin":  # noqa: S105
            yield Filled(), line


@lru_cache(maxsize=1024)
def _template(text: str) -> tuple[Template, tuple[str, ...]]:
    return _compiled(_letters, _read_letter(text))


@lru_cache(maxsize=1024)
def _condition(text: str) -> tuple[Template, tuple[str, ...]]:
    yes = nodes.Output([nodes.TemplateData("yes")])
    asked = nodes.Template([nodes.If(_read_condition(text), [yes], [], [])])
    for choice in asked.find_all(nodes.CondExpr):
        choice.expr2 = choice.expr2 or nodes.Const("")
    return _compiled(_conditions, asked)


def _compiled(environment: _Plain, parsed: nodes.Template) -> tuple[Template, tuple[str, ...]]:
    names = dict.fromkeys(name.name for name in parsed.find_all(nodes.Name))
    _make_safe(parsed)
    for node in (parsed, *parsed.find_all(nodes.Node)):
        node.lineno = node.lineno or 1
    parsed.set_environment(environment)
    with _complaining():
        return environment.from_string(parsed), tuple(names)


def _said_to_nobody(template: str) -> str:
    try:
        return render(template, {}).strip()
    except Refused:
        return "why not is told elsewhere"


def _read_letter(template: str) -> nodes.Template:
    with _complaining(template):
        _look_at_tokens(_letters.lex(template))
        parsed = _letters.parse(template)
    _inspect(parsed)
    return parsed


def _read_condition(condition: str) -> nodes.Expr:
    if len(condition) > _LONGEST_CONDITION:
        raise TemplateMistake(f"it is {len(condition):,} characters long", 1)
    with _complaining(condition, condition=True):
        _look_at_tokens(_conditions.lexer.tokeniter(condition, None, state="variable"))
        parser = Parser(_conditions, condition, state="variable")
        parsed = parser.parse_expression()
        if not parser.stream.eos:
            parser.fail(f"unexpected '{parser.stream.current.value}'", parser.stream.current.lineno)
    _inspect(parsed)
    if why := bare_text(parsed):
        raise TemplateMistake(why, 1)
    return parsed


def _look_at_tokens(tokens: Iterable[tuple[int, str, str]]) -> None:
    """Before anything is built out of them. Two texts side by side would silently become one."""
    before = ""
    for count, (line, token, written) in enumerate(tokens):
        if count > _MOST_TOKENS:
            raise TemplateMistake("it has too many gaps", line)
        if token == before == "string":  # noqa: S105
            raise TemplateMistake(f"a comma is missing before {written}", line)
        before = before if token == "whitespace" else token  # noqa: S105


@contextmanager
def _complaining(text: str = "", *, condition: bool = False) -> Iterator[None]:
    try:
        yield
    except TemplateSyntaxError as error:
        words = in_words(error.message or "", error.lineno, text, condition=condition)
        raise TemplateMistake(words, error.lineno) from error
    except (*_FAILURES, SyntaxError) as error:
        raise TemplateMistake("it is too tangled", 1) from error


def _needed(node: nodes.Node) -> Iterator[str]:
    if isinstance(node, nodes.Name):
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


def _make_safe(parsed: nodes.Template) -> None:
    """Where yes or no is asked, a text is judged by what it says; and what is joined has an end."""
    choices: list[nodes.If | nodes.CondExpr] = [*parsed.find_all(nodes.If), *parsed.find_all(nodes.CondExpr)]
    for choice in choices:
        choice.test = _to_judge(choice.test)
    for denial in list(parsed.find_all(nodes.Not)):
        denial.node = _to_judge(denial.node)
    for chain in list(parsed.find_all(nodes.Concat)):
        chain.nodes = [_filter(nodes.Tuple(chain.nodes, "load"), _JOINED)]


def _to_judge(expression: nodes.Node) -> nodes.Expr:
    if isinstance(expression, nodes.And | nodes.Or):
        expression.left, expression.right = _to_judge(expression.left), _to_judge(expression.right)
        return expression
    return _filter(expression, _JUDGED)


def _filter(node: nodes.Node, name: str) -> nodes.Filter:
    return nodes.Filter(node, name, [], [], None, None)


# --- what is no letter ---

_NO_LETTER: Mapping[type[nodes.Node], str] = {
    nodes.For: "a letter has no loops",
    nodes.Macro: "a letter has no macros",
    nodes.CallBlock: "a letter has no macros",
    nodes.Assign: "a letter sets no variables",
    nodes.AssignBlock: "a letter sets no variables",
    nodes.With: "a letter sets no variables",
    nodes.Include: "a letter cannot take in another",
    nodes.Import: "a letter cannot take in another",
    nodes.FromImport: "a letter cannot take in another",
    nodes.Extends: "a letter cannot take in another",
    nodes.Block: "a letter has no blocks",
    nodes.FilterBlock: "a filter goes into the gap: {{ name | upper }}",
    nodes.Pow: '"**" is not for letters',
}
_LETTER = (
    nodes.Template,
    nodes.Output,
    nodes.TemplateData,
    nodes.If,
    nodes.CondExpr,
    nodes.Const,
    nodes.Name,
    nodes.Getattr,
    nodes.Getitem,
    nodes.Slice,
    nodes.Call,
    nodes.Filter,
    nodes.Test,
    nodes.Keyword,
    nodes.Compare,
    nodes.Operand,
    nodes.And,
    nodes.Or,
    nodes.Not,
    nodes.Concat,
    nodes.Add,
    nodes.Sub,
    nodes.Mul,
    nodes.Div,
    nodes.FloorDiv,
    nodes.Mod,
    nodes.Neg,
    nodes.Pos,
    nodes.List,
    nodes.Tuple,
)


def _inspect(parsed: nodes.Node) -> None:
    """A letter has gaps and conditions. What repeats, defines or takes in belongs into a program, and can run for ever."""
    waiting: list[tuple[nodes.Node, nodes.Node | None, int, int]] = [(parsed, None, 0, 1)]
    while waiting:  # no recursion: `a + a + a …` is as deep as it is long
        node, parent, depth, line = waiting.pop()
        line = node.lineno or next((each.lineno for each in node.find_all(nodes.Node) if each.lineno), line)
        if depth > _DEEPEST:
            raise TemplateMistake("it is too tangled", line)
        if why := _objection(node) or _out_of_place(node, parent):
            raise TemplateMistake(why, line)
        waiting += [(child, node, depth + 1, line) for child in reversed([*node.iter_child_nodes()])]


def _out_of_place(node: nodes.Node, parent: nodes.Node | None) -> str | None:
    why = about_gap(node) if isinstance(parent, nodes.Output) else None
    is_called = isinstance(parent, nodes.Call) and parent.node is node
    if isinstance(node, nodes.Getattr | nodes.Getitem) and not is_called:
        why = why or _about_attribute(node)
    if isinstance(node, nodes.Name) and node.name == "step":
        return None if isinstance(parent, nodes.Getattr | nodes.Getitem) else "step is no text. Write step.id"
    return why


def _objection(node: nodes.Node) -> str | None:
    match node:
        case nodes.Call():
            return _about_call(node)
        case nodes.Getattr(attr=name) if name.startswith("_"):
            return f"{name} is not for letters"
        case nodes.Name(name="self"):
            return "self is not for letters"
        case nodes.Const(value=float() as number) if not isfinite(number):
            return "there is a number beyond all reason"
        case nodes.Filter(name=name) if name not in FILTERS:
            return f'the filter "{name}" is not for letters. There are {", ".join(FILTERS)}'
        case nodes.Filter() if not _takes(node):
            return f'the filter "{node.name}" is not used like this: {FILTERS[node.name][1]}'
        case nodes.Test(name=name) if name not in TESTS:
            return f'the test "{name}" is not for letters. There are {", ".join(TESTS)}'
        case _ if not isinstance(node, _LETTER):
            return _NO_LETTER.get(type(node), "a letter has gaps and conditions, and nothing else")
    return never_meant(node)


def _about_attribute(node: nodes.Getattr | nodes.Getitem) -> str | None:
    if isinstance(node, nodes.Getattr) and node.attr in METHODS:
        return f"write .{node.attr}(), with its brackets"
    return attribute_of_text(node)


def _takes(filter_: nodes.Filter) -> bool:
    """Whether the filter can be asked with so many words beside it."""
    handed = [None] * (len(filter_.args) + (2 if filter_.name == "truncate" else 1))
    try:
        signature(FILTERS[filter_.name][0]).bind(*handed, **{str(each.key): None for each in filter_.kwargs})
    except TypeError:
        return False
    return not (filter_.dyn_args or filter_.dyn_kwargs)


def _about_call(call: nodes.Call) -> str | None:
    if isinstance(call.node, nodes.Name):
        return f"{call.node.name}() is not for letters"
    if not isinstance(call.node, nodes.Getattr) or call.dyn_args or call.dyn_kwargs:
        return "such a call is not for letters"
    if call.node.attr not in METHODS:
        return f".{call.node.attr}() is not for letters. There are {', '.join(METHODS)}"
    return None
