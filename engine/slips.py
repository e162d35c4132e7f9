"""What authors mistype in gaps and conditions, told in their own words instead of a parser's. Pure."""

import re
from collections.abc import Iterator, Mapping
from itertools import pairwise
from math import isfinite

from jinja2 import nodes

_QUOTED = re.compile(r""""[^"\n]*"|'[^'\n]*'""")
_CODE = re.compile(r"\{\{.*?(?:\}\}|\Z)|\{%.*?(?:%\}|\Z)", re.DOTALL)
_KEYWORDS = frozenset({"and", "or", "not", "in", "is", "if", "elif", "else", "defined", "undefined"})

#: What other languages say, and what is said here.
_FOREIGN: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile("&&?"), "Write and"),
    (re.compile(r"\|\|"), "Write or"),
    (re.compile("<>"), "Write !="),
    (re.compile("===|!=="), "Write == or !="),
    (re.compile("=>"), "Write >="),
    (re.compile("=<"), "Write <="),
    (
        re.compile("[\u201c-\u201f\u2018-\u201b\u00ab\u00bb\u2032\u2033`\u00b4]"),
        'Write straight quotes, like "saas"',
    ),
    (re.compile("!(?!=)"), "Write not"),
    (re.compile(r"\b(?:AND|And|OR|Or|NOT|Not|IN|IS|IF|ELSE)\b"), "Write it in small letters"),
    (re.compile(r"\b(?:contains|includes)\b"), 'Write "night" in title'),
    (re.compile(r"\b(?:equals|eq)\b"), "Write =="),
)
_SET = re.compile(r"(?<![=!<>])=(?!=)")
_TWO_WORDS = re.compile(r"\b([^\W\d]\w*)[ \t]+([^\W\d]\w*)\b")
_UNKNOWN_TAG = re.compile(r"Encountered unknown tag '(\w+)'")
_GOT = re.compile(r"(?:got|unexpected(?: char)?) (['\"])(.*?)\1(?:$| at|,)")

_TAGS = "{% if %}, {% elif %}, {% else %} and {% endif %}"
_RIGHT_TAG = {"elseif": "elif", "elsif": "elif", "end": "endif", "fi": "endif", "endfor": "endif"}

#: What the parser says, by a part of it, and what it means; the first that fits.
_MEANT: tuple[tuple[str, str], ...] = (
    ("Jinja was looking for", "an {% if %} has no {% endif %}"),
    ("Missing end of comment", 'a remark begins with "{#" and ends with "#}"'),
    ("Missing end of raw", "a {% raw %} has no {% endraw %}"),
    ("expected ')'", "a bracket is not closed"),
    ("expected ']'", "a bracket is not closed"),
    ("unexpected char '\"'", "a quote has no partner"),
    ('unexpected char "\'"', "a quote has no partner"),
    ("unexpected 'end of template'", "its end is missing"),
    ("expected name or number", 'something is missing after the "."'),
    ("got 'end of print statement'", "something is missing in the gap"),
    ("got 'end of statement block'", "something is missing before the %}"),
)


def in_words(message: str, line: int, text: str, *, condition: bool = False) -> str:
    """Why a text does not parse, and what would be right."""
    code = text if condition else _code_at(text, line)
    plain = _QUOTED.sub('""', code)
    if found := _UNKNOWN_TAG.match(message):
        return _about_tag(found[1])
    for sign, right in _FOREIGN:
        if written := sign.search(plain):
            return f"{_quoted(written[0])} means nothing here. {right}"
    return _about_brackets(message, code, plain) or _about_words(message, plain, condition=condition)


def _quoted(sign: str) -> str:
    return f'"{sign}"' if sign.isascii() else sign


def _code_at(text: str, line: int) -> str:
    """The gaps and the conditions that reach into a line."""
    found = []
    for code in _CODE.finditer(text):
        first = text.count("\n", 0, code.start()) + 1
        if first <= line <= first + code[0].count("\n"):
            found.append(code[0])
    return " ".join(found)


def _about_tag(tag: str) -> str:
    right = _RIGHT_TAG.get(tag, tag.lower())
    if tag in ("elif", "else", "endif"):
        return f"{{% {tag} %}} has no {{% if %}} above it"
    if right != tag and right in ("if", "elif", "else", "endif"):
        return f"there is no {{% {tag} %}}. Write {{% {right} %}}"
    return f"there is no {{% {tag} %}}. A letter has {_TAGS}"


def _about_brackets(message: str, code: str, plain: str) -> str | None:
    if "{{{" in code:
        return "two braces are enough: {{ name }}"
    if not code.startswith(("{{", "{%")):
        return None
    opens, closes = code[:2], {"{{": "}}", "{%": "%}"}[code[:2]]
    unclosed = "'}'" in message or ("end of template" in message and "Jinja" not in message)
    if (
        unclosed
        and "expected ')'" not in message
        and "expected ']'" not in message
        and closes not in plain[2:-2]
    ):
        return f'what begins with "{opens}" ends with "{closes}"'
    return None


def _about_words(message: str, plain: str, *, condition: bool) -> str:
    if condition and plain.startswith("if "):
        return 'leave out "if": it is said already'
    for words in _TWO_WORDS.finditer(plain):
        if not _KEYWORDS & {words[1], words[2]}:
            return f"a name has no blanks in it. Write {words[1]}_{words[2]}"
    if _SET.search(plain):
        return '"=" compares nothing. Write =='
    for part, meaning in _MEANT:
        if part in message:
            return meaning
    found = _GOT.search(message)
    return f"there is an odd {found[2]}" if found else message.rstrip(".")


# --- what parses, and can never be what was meant ---

_SIGNS = {"eq": "==", "ne": "!=", "lt": "<", "lteq": "<=", "gt": ">", "gteq": ">="}
_TURNED = {"eq": "in", "ne": "not in"}
_RECKONING: Mapping[type[nodes.Node], str] = {
    nodes.Sub: "-",
    nodes.Mul: "*",
    nodes.Div: "/",
    nodes.FloorDiv: "//",
    nodes.Mod: "%",
}
_AS_NUMBERS = "\0"  #: here follows how it would be right
_NUMBER = re.compile(r"[+-]?\d{1,16}(\.\d{1,16})?", re.ASCII)
_GIVES_NUMBER = frozenset({"int", "float", "length", "round", "abs"})
_GIVES_TEXT = frozenset({"capitalize", "lower", "string", "title", "trim", "truncate", "upper", "urlencode"})


def never_meant(node: nodes.Node) -> str | None:
    """What is wrong with it, although it parses, and what would be right; None: nothing."""
    match node:
        case nodes.Compare():
            return _about_comparison(node)
        case nodes.And() | nodes.Or():
            return _about_choice(node)
        case nodes.If() | nodes.CondExpr():
            return bare_text(node.test)
        case nodes.BinExpr():
            return _about_reckoning(node)
    return None


def attribute_of_text(node: nodes.Getattr | nodes.Getitem) -> str | None:
    """`{{ company.name }}`: what is known of a person is a text, and has no parts by name."""
    if not isinstance(node.node, nodes.Name):
        return None
    name, part = node.node.name, _part(node)
    if part is None or (name == "step" and part == "id"):
        return None
    if name == "step":
        return f"step has an id, and no {part}. Write step.id"
    return f"{name} is a text and has no {part}. If a column is called so, write {name}_{part}"


def _part(node: nodes.Getattr | nodes.Getitem) -> str | None:
    if isinstance(node, nodes.Getattr):
        return str(node.attr)
    inner = node.arg
    return inner.value if isinstance(inner, nodes.Const) and isinstance(inner.value, str) else None


def bare_text(test: nodes.Node) -> str | None:
    """`if: industry == "a" or "b"`: a text alone is always so."""
    waiting = [test]
    while waiting:
        asked = waiting.pop()
        if isinstance(asked, nodes.Not):
            waiting.append(asked.node)
        elif isinstance(asked, nodes.And | nodes.Or):
            for side in (asked.left, asked.right):
                if isinstance(side, nodes.Const) and isinstance(side.value, str):
                    return _alone(side, asked.left)
            waiting += [asked.right, asked.left]
    return None


def without_quotes(parsed: nodes.Node) -> Iterator[tuple[str, str]]:
    """`industry == saas`: a name that is compared with another by its own, and how it would be as a text."""
    own = [parsed] if isinstance(parsed, nodes.Compare) else []
    for comparison in (*own, *parsed.find_all(nodes.Compare)):
        for left, operand, right in _pairs(comparison):
            sign = _SIGNS.get(operand)
            if sign and isinstance(left, nodes.Name) and isinstance(right, nodes.Name):
                yield right.name, f'{left.name} {sign} "{right.name}"'


def _pairs(comparison: nodes.Compare) -> Iterator[tuple[nodes.Expr, str, nodes.Expr]]:
    sides = [comparison.expr, *(operand.expr for operand in comparison.ops)]
    for (left, right), operand in zip(pairwise(sides), comparison.ops, strict=True):
        yield left, operand.op, right


def _about_comparison(comparison: nodes.Compare) -> str | None:
    for left, operand, right in _pairs(comparison):
        if operand in _SIGNS and (
            why := _about_pair(left, operand, right) or _about_numbers(left, operand, right)
        ):
            words = _as_numbers(comparison)
            return why.replace(_AS_NUMBERS, f". Write {words}" if words else "")
    return None


def _about_pair(left: nodes.Expr, operand: str, right: nodes.Expr) -> str | None:
    for side, other in ((left, right), (right, left)):
        if isinstance(side, nodes.Const) and side.value is None:
            return f"nothing is ever none here. Ask for {_said(other)}, or not {_said(other)}"
        if isinstance(side, nodes.List | nodes.Tuple) and operand in _TURNED:
            return f"a text is never a list. Write {_said(other)} {_TURNED[operand]} {_said(side)}"
    return None


def _about_numbers(left: nodes.Expr, operand: str, right: nodes.Expr) -> str | None:
    """`headcount > 80` is never what it looks like: a variable is a text, and "9" comes after "80"."""
    for name, other in ((left, right), (right, left)):
        value = other.value if isinstance(other, nodes.Const) else None
        if isinstance(name, nodes.Name) and _looks_like_a_number(value, ordered=operand not in ("eq", "ne")):
            return f"{name.name} is a text{_AS_NUMBERS}"
    return (
        f"a number is compared with a text{_AS_NUMBERS}"
        if {_kind(left), _kind(right)} == {"number", "text"}
        else None
    )


def _as_numbers(comparison: nodes.Compare) -> str | None:
    """The whole of it, in its own order: turned round, it would be true of everybody else."""
    said = _reckoned(comparison.expr)
    for operand in comparison.ops:
        said += f" {_SIGNS.get(operand.op, '?')} {_reckoned(operand.expr)}"
    return None if "?" in said else said


def _looks_like_a_number(value: object, *, ordered: bool) -> bool:
    if isinstance(value, str):
        return ordered and _NUMBER.fullmatch(value) is not None
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def _reckoned(side: nodes.Expr) -> str:
    """As a number; `?` where nobody can say how."""
    match side:
        case nodes.Name(name=name):
            return f"{name} | int"
        case nodes.Const(value=str() as value) if _NUMBER.fullmatch(value):
            return value
        case nodes.Const(value=int() | float() as number):
            return str(number)
        case nodes.Filter(node=nodes.Name(name=name), name=filter_) if (
            filter_ in _GIVES_NUMBER and not side.args
        ):
            return f"{name} | {filter_}"
    return "?"


def _said(side: nodes.Expr) -> str:
    """About as its author wrote it."""
    match side:
        case nodes.Name(name=name):
            return str(name)
        case nodes.Const(value=str() as value):
            return f'"{value}"'
        case nodes.Const(value=value):
            return str(value)
        case nodes.List(items=items) | nodes.Tuple(items=items):
            return f"[{', '.join(map(_said, items))}]"
    return "it"


def _kind(side: nodes.Node) -> str | None:
    """Whether it is a number or a text, as far as that can be said without knowing anybody."""
    match side:
        case nodes.Name(name=name):
            return None if name == "step" else "text"
        case nodes.Const(value=str()) | nodes.Concat():
            return "text"
        case nodes.Const(value=bool()):
            return None
        case nodes.Const(value=float() as value) if not isfinite(value):
            return None
        case nodes.Sub(left=nodes.Name(), right=nodes.Name()):
            return None  # meant as a name with a dash in it
        case nodes.Const(value=int() | float()) | nodes.Neg() | nodes.Pos():
            return "number"
        case nodes.Filter(name=name):
            return "number" if name in _GIVES_NUMBER else "text" if name in _GIVES_TEXT else None
    return "number" if type(side) in _RECKONING else None


def _about_reckoning(node: nodes.BinExpr) -> str | None:
    sign, sides = _RECKONING.get(type(node)), (node.left, node.right)
    if sign is None:
        mixed = isinstance(node, nodes.Add) and {_kind(side) for side in sides} == {"number", "text"}
        return _numbers_only("+", sides) if mixed else None
    if sign == "-" and all(isinstance(side, nodes.Name) for side in sides):
        return f'a name has no "-" in it. Write {_said(node.left)}_{_said(node.right)}'
    return _numbers_only(sign, sides) if "text" in map(_kind, sides) else None


def _numbers_only(sign: str, sides: tuple[nodes.Expr, nodes.Expr]) -> str:
    name = next((side.name for side in sides if isinstance(side, nodes.Name)), "name")
    return f'"{sign}" is for numbers. Write {name} | int to get one out of a text'


def _about_choice(choice: nodes.And | nodes.Or) -> str | None:
    """Beside a comparison a value alone is always so, also where no yes or no is asked."""
    sides = (choice.left, choice.right)
    if any(isinstance(side, nodes.Compare) for side in sides):
        for side in sides:
            if isinstance(side, nodes.Const) and not isinstance(side.value, bool):
                return _alone(side, choice.left)
    return None


def _alone(value: nodes.Const, left: nodes.Expr) -> str:
    if isinstance(left, nodes.Or | nodes.And):
        left = left.right
    match left:
        case nodes.Compare(
            expr=name, ops=[nodes.Operand(op="eq" | "ne" as sign, expr=nodes.Const() as other)]
        ):
            right = f"Write {_said(name)} {_TURNED[sign]} [{_said(other)}, {_said(value)}]"
        case _:
            right = f"Write what it is compared with, like name == {_said(value)}"
    return f"{_said(value)} alone compares nothing, and is always so. {right}"


def about_gap(gap: nodes.Node) -> str | None:
    """What is shown there can be no text."""
    match gap:
        case nodes.Tuple(items=[nodes.Name(name=name), nodes.Const(value=str() as other), *_]):
            return f'a gap holds one value. For whoever has none: {{{{ {name} | default("{other}") }}}}'
        case nodes.Tuple() | nodes.List():
            return "a gap holds one value"
        case nodes.Const(value=bool() | None):
            return f"{str(gap.value).lower()} is no text"
        case nodes.Call(node=nodes.Getattr(attr="split")):
            return ".split() gives several. Take one of them: {{ name.split()[0] }}"
    return None
