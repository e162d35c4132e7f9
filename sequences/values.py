"""A tree of texts becomes a Sequence. What pydantic thinks of it is told in words, where it stands; never a consequence."""

from typing import Any

from pydantic import ValidationError

from engine.hours import parse_country
from engine.measures import parse_windows
from engine.sequence import Sequence
from sequences.keys import is_list_of_rules, model_at
from sequences.places import Place, along, where
from sequences.tree import Node

_NEEDED = frozenset({"name", "from", "steps", "body", "then", "else", "choose", "up_to"}).union(
    {"at", "start", "recipient", "expect"}
)
_BRANCHES = frozenset({"then", "else"})
_TEXTS = frozenset({"subject", "body", "html"})
_SPOKEN = tuple((key,) for key in ("name", "owner", "signature", "task", "assign", *sorted(_TEXTS)))
_LONGEST_MEASURE = 300
#: Everything else is a duration, a date, a rate: short, and not to be searched for one when it is not.
_WORDY = _TEXTS.union(
    ("name", "owner", "signature", "requires", "by", "cc", "bcc", "template", "attachments", "webhook"),
    ("if", "skip_if", "task", "assign", "label", "notify", "resume"),
    ("reply", "bounce", "complaint", "unsubscribe", "click", "event", "value"),
)
_OF_PEOPLE = frozenset({"defaults", "recipient", "with"})
_WRONG_SHAPE = {
    "string_type": "should be text",
    "dict_type": 'should be lines like "key: value"',
    "model_type": 'should be lines like "key: value"',
    "model_attributes_type": 'should be lines like "key: value"',
    "union_tag_invalid": "should be a word or a list",
}
_CODE = 3  #: letters; a longer word is no code
_HOLIDAYS = ("recipient", "none")
_WRONG_NAME = {
    "id": 'is no id. Write small letters, digits and dashes, like "first-note"',
    "pool": 'is no pool. Write small letters, digits and dashes, like "team-a"',
    "label": "is no label. Write small letters, digits and underscores, like not_now",
    "variable": "is no variable. Write letters, digits and underscores, like first_name",
}


def build(root: Node) -> Sequence | None:
    _check_texts(root, (), root)
    _check_countries(root)
    try:
        return Sequence.model_validate(root.plain())
    except ValidationError as error:
        for mistake in error.errors(include_url=False, include_input=False):
            _tell(dict(mistake), root)
    return None


def _tell(mistake: dict[str, Any], root: Node) -> None:
    place: Place = tuple(part for part in mistake["loc"] if not _is_inside_pydantic(part))
    nodes = list(along(place, root))
    node, kind = nodes[-1], mistake["type"]
    if any(each.spoiled for each in nodes) or node.value is None:
        return  # one mistake, one complaint
    if kind == "missing" and node.lost:
        pass
    elif kind == "missing":
        prefix = f"{where(place[:-1], root)}: " if place[:-1] else ""
        node.page.complain(node.start, f'{prefix}missing "{place[-1]}"')
    elif place[-1:] in (("windows",), ("within",)) and isinstance(node.value, list):
        _tell_windows(node, place, root)
    elif not (node.troubled if isinstance(node.value, dict | list) else node.told):
        node.complain(_words(mistake, place, node, root))
        node.spoiled = True


def _is_inside_pydantic(part: int | str) -> bool:
    return isinstance(part, str) and (part == "[key]" or part.startswith("\0"))


def _words(mistake: dict[str, Any], place: Place, node: Node, root: Node) -> str:
    kind, context, is_key = mistake["type"], mistake.get("ctx", {}), mistake["loc"][-1:] == ("[key]",)
    here = where(place, root) or "a sequence"
    if kind in _WRONG_SHAPE:
        return f"{here} {_advice_on_shape(kind, place, node)}"
    if kind == "tuple_type":
        return f"{here} should be a list. {_as_list(place, node)}"
    if kind in ("string_too_short", "too_short"):
        return _too_short(place, node, context, here)
    if kind in ("string_too_long", "too_long"):
        return _too_long(kind, context, here)
    if kind == "string_pattern_mismatch":
        return _wrong_key(place, root) if is_key else _pattern_words(place, node, root)
    if kind == "literal_error":
        return _literal_words(node, str(context["expected"]), here)
    if kind in ("greater_than_equal", "less_than_equal"):
        word, end = ("small", "least") if kind.startswith("greater") else ("large", "most")
        return f'{here}: "{node.text}" is too {word}. {context.get("ge", context.get("le")):,} is the {end}'
    if kind == "value_error" and (node.text is not None or model_at(place)):
        return f"{here}: {context['error']}"
    if place[-1:] in (("windows",), ("within",)):
        return f"{here} should be a line or a list of lines. Write mon-fri 09:00-17:00"
    return f"{here} should be text" if kind == "value_error" else f"{here}: {mistake['msg']}"


def _advice_on_shape(kind: str, place: Place, node: Node) -> str:
    advice = _WRONG_SHAPE[kind]
    if place == ("from",) and isinstance(node.value, list):
        return f"{advice}. For several mailboxes write {{ pool: NAME }}, and list them in config.yaml"
    if place == ("approval",) and node.entries and all(each.text for each in node.entries):
        return f"{advice}. Write {{ steps: [{', '.join(each.text or '' for each in node.entries)}] }}"
    return advice


def _as_list(place: Place, node: Node) -> str:
    if node.text and not is_list_of_rules(place):
        return f"Write [{node.text}]"
    return 'Write "- " before each of its entries'


def _too_short(place: Place, node: Node, context: dict[str, Any], here: str) -> str:
    if node.value:
        return f"{here} has too few entries. {context['min_length']} are the least"
    return _empty(place, here)


def _too_long(kind: str, context: dict[str, Any], here: str) -> str:
    most = f"{context['max_length']:,}"
    if kind == "too_long":
        return f"{here} has too many entries. {most} are the most"
    return f"{here} is too long. {most} characters are the most"


def _pattern_words(place: Place, node: Node, root: Node) -> str:
    text = node.text or ""
    if "\n" in text or "\r" in text:
        return f"{where(place, root)} has a line break in it. Write one line, in quotes"
    noun = "variable" if place[0] == "requires" else str(place[-1])
    return f'{where(place, root)}: "{text}" {_WRONG_NAME.get(noun, _WRONG_NAME["id"])}'


def _wrong_key(place: Place, root: Node) -> str:
    noun = "label" if place[0] == "on_reply" else "variable"
    return f'{where(place[:-1], root)}: "{place[-1]}" {_WRONG_NAME[noun]}'


def _literal_words(node: Node, expected: str, here: str) -> str:
    known = [word.strip("'") for word in expected.replace(" or ", ", ").split(", ")]
    if node.text is None:
        return f"{here} should be text"
    near = node.nearest(node.text, known)
    advice = f'Did you mean "{near}"?' if near else f"Write {', '.join(known[:-1])} or {known[-1]}"
    return f'{here}: "{node.text}" is not known. {advice}'


def _tell_windows(node: Node, place: Place, root: Node) -> None:
    """Pydantic sees one value here; an author sees lines."""
    if not node.value:
        node.complain(f"{where(place, root)} is empty. Write a line like mon-fri 09:00-17:00")
    for number, line in enumerate(node.entries):
        here = where((*place, number), root)
        if isinstance(line.value, list | dict):
            line.complain(f"{here} should be text")
        elif line.text is not None:
            try:
                parse_windows(line.text)
            except ValueError as error:
                line.complain(f"{here}: {error}")


def _check_countries(root: Node) -> None:
    """Only who knows the world's calendars knows whether there is one."""
    place: Place = ("schedule", "holidays")
    nodes = list(along(place, root))
    if len(nodes) <= len(place) or any(each.spoiled for each in nodes):
        return
    node = nodes[-1]
    if node.text and node.text not in _HOLIDAYS:
        _check_country(node, place, root, alone=True)
    for number, each in enumerate(node.entries):
        if each.text and not each.told:
            _check_country(each, (*place, number), root, alone=False)


def _check_country(node: Node, place: Place, root: Node, *, alone: bool) -> None:
    text = (node.text or "").strip()
    if words := _no_country(text, node.nearest(text, _HOLIDAYS), alone=alone):
        node.complain(f'{where(place, root)}: "{text}" {words}')
        node.spoiled = True


def _no_country(text: str, near: str | None, *, alone: bool) -> str | None:
    if text.lower() in ("no", "false", "off") and text != "NO":
        return "is no country. Write none, or NO for Norway"
    if near and len(text) > _CODE:
        return f"is no country. Did you mean {'' if alone else 'holidays: '}{near}?"
    try:
        code = parse_country(text)
    except ValueError as error:
        return str(error).partition('" ')[2]
    return None if code == text else f"is no code of a country. Write {code}"


# --- what needs no parsing to be wrong ---


def _check_texts(node: Node, place: Place, root: Node) -> None:
    if node.spoiled:
        return
    if node.value == {} and place[:1] == ("tests",) and len(place) == len(("tests", 0)):
        node.complain(f"{where(place, root)} is empty. Write name, start, recipient and expect")
        node.spoiled = True
    elif node.value and place[-1:] in _SPOKEN and node.page.text.startswith("{", node.start):
        node.complain(f'{where(place, root)} should be text. What begins with "{{" needs quotes around it')
        node.spoiled = True
    elif isinstance(node.value, dict):
        for name, inner in node.value.items():
            _check_texts(inner, (*place, name), root)
    elif isinstance(node.value, list) and node.value:
        for number, inner in enumerate(node.value):
            _check_texts(inner, (*place, number), root)
    elif node.told and node.value == []:
        pass  # it does not belong there
    elif words := _objection(node.value, place, root):
        node.complain(words)
        node.spoiled = node.value != []


def _objection(value: object, place: Place, root: Node) -> str | None:
    key = next((part for part in reversed(place) if isinstance(part, str)), "")
    if value is None and root.lost:
        return None  # it may have been what could not be read
    if value is None:
        return _empty(place, where(place, root))
    if len(place) > 1 and place[-2] in _OF_PEOPLE:
        return None  # an author's own names: a default may be blank, and "body" is no body
    if (value == [] and key in _BRANCHES) or (key in _TEXTS and isinstance(value, str) and not value.strip()):
        return _empty(place, where(place, root))
    if isinstance(value, str) and len(value) > _LONGEST_MEASURE and key not in _WORDY:
        return f"{where(place, root)} is too long. {_LONGEST_MEASURE} characters are the most"
    return None


def _empty(place: Place, here: str) -> str:
    if place[-1] == "weight":
        return f"{here} is empty. Write a number, like 50"
    advice = "Write something" if place[-1] in _NEEDED else "Write something, or leave it out"
    return f"{here} is empty. {advice}"
