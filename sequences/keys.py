"""Every key is one that is known where it stands. One that is not is told with the nearest that is, and read as that one."""

from collections.abc import Iterator
from functools import cache
from typing import Any, get_args, get_origin

from pydantic.fields import FieldInfo

from engine.sequence import KINDS, Choice, Sequence, Step, Written, belonging
from sequences.places import Place
from sequences.tree import Node

#: Other people's words for ours.
_SAME = {
    "begin": "start",
    "default": "else",
    "otherwise": "else",
    "timeout": "up_to",
    "within": "up_to",
    "condition": "if",
    "content": "body",
    "delay": "after",
    "email": "from",
    "message": "body",
    "sender": "from",
    "text": "body",
    "timezone": "schedule",
    "url": "webhook",
    "wait": "after",
    "when": "if",
}


def check_keys(node: Node, model: type[Written] = Sequence) -> None:
    """The whole file, along the models; who has the wrong shape is left to them."""
    known = _known(model, node.keys)
    for key in list(node.keys):
        if key not in known:
            check_key(node, key, known, _missing(model, node.keys))
    for key, (shape, inner) in _inside(model).items():
        if key in node.keys:
            for each in _those(node.keys[key], shape):
                check_keys(each, inner)


def check_key(node: Node, key: str, known: list[str], missing: list[str]) -> None:
    """Tell of this one, and go on as if it were spelt right: what is below it may be wrong as well."""
    near = _meant(node, key, known, missing)
    advice = f'Did you mean "{near}"?' if near else f"Known here: {', '.join(known)}"
    mapping = node.keys
    if mapping[key].value is None and _follows_a_comma(node, mapping[key]):
        words = "a comma between braces begins another entry"
        mapping[key].complain(f"{words}. Put quotes around text with commas, and brackets [ ] around a list")
    else:
        mapping[key].complain(f'unknown key "{key}". {advice}')
    right = {
        near if name == key and near and near not in mapping else name: at for name, at in mapping.items()
    }
    right.pop(key, None)
    node.value = right
    node.told = True  # a consequence is no second mistake


def _follows_a_comma(node: Node, inner: Node) -> bool:
    """`{ windows: mon 09:00-11:00, 13:00-17:00 }`: one text became two entries."""
    text = node.page.text
    return text.startswith("{", node.start) and text[node.start : inner.at].rstrip().endswith(",")


def _meant(node: Node, key: str, known: list[str], missing: list[str]) -> str | None:
    if _SAME.get(key) in known:
        return _SAME[key]
    if known == _known(Choice, {}) and key in Step.model_fields:
        return "then" if "if" in node.keys or "then" not in node.keys else "else"
    return node.nearest(key, known) or (missing[0] if len(missing) == 1 else None)


def _missing(model: type[Written], mapping: dict[str, Node]) -> list[str]:
    """What has to be there and is not. A step without a name gets one."""
    fields = model.model_fields.items() if model is not Step else ()
    return [key for name, info in fields if info.is_required() and (key := info.alias or name) not in mapping]


def model_at(place: Place) -> type[Written] | None:
    """What is written there, if it is more than a value."""
    model: type[Written] = Sequence
    rest = list(place)
    while rest:
        inner = _inside(model).get(str(rest.pop(0)))
        if inner is None:
            return None
        shape, model = inner
        if shape != "one":
            if not rest:
                return None
            rest.pop(0)
    return model


def inner_models(model: type[Written]) -> list[type[Written]]:
    return [inner for _, inner in _inside(model).values()]


def is_list_of_rules(place: Place) -> bool:
    model = model_at(place[:-1])
    return model is not None and str(place[-1]) in _inside(model)


def _those(node: Node, shape: str) -> Iterator[Node]:
    if shape == "list":
        yield from node.entries
    elif shape == "dict":
        yield from node.keys.values()
    else:
        yield node


def _known(model: type[Written], mapping: dict[str, Node]) -> list[str]:
    """A step knows the keys of its kind; until it has one, those of all."""
    everything = [info.alias or name for name, info in model.model_fields.items() if not is_filled_in(info)]
    kinds = [kind for kind in KINDS if kind in mapping] if model is Step else []
    if not kinds:
        return everything
    own = belonging(kinds)
    return [key for key in everything if key in own or key in mapping]


def is_filled_in(info: FieldInfo) -> bool:
    """Not by an author."""
    return (info.alias or "").startswith("@")


@cache
def _inside(model: type[Written]) -> dict[str, tuple[str, type[Written]]]:
    """Below which keys another model stands: once, in a list, or by names."""
    found = {}
    for name, info in model.model_fields.items():
        if inner := _inner(info.annotation, "one"):
            found[info.alias or name] = inner
    return found


def _inner(annotation: Any, shape: str) -> tuple[str, type[Written]] | None:
    if isinstance(annotation, type) and issubclass(annotation, Written):
        return shape, annotation
    within = {tuple: "list", dict: "dict"}.get(get_origin(annotation), shape)
    return next(filter(None, (_inner(each, within) for each in get_args(annotation))), None)
