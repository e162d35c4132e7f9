"""The language as a JSON schema: what an editor completes, shows and underlines while a sequence is being written."""

import json
from typing import Any

from engine.sequence import KINDS, Sequence, Written
from sequences.keys import inner_models

_ID = r"^[a-z0-9][a-z0-9-]{0,63}$"
_ONE_LINE = r"^[^\r\n]*$"
_WORDS = ("^[a-z]", "^[A-Za-z_]")  #: a name of one word may be `true`
_APPROVED = ["none", "first", "all"]
#: What makes no sense without something else.
_NEEDS = {
    "assign": ["task"],
    "blocking": ["task"],
    "due": ["task"],
    "up_to": ["wait_for"],
    "wait_for": ["up_to"],
    "winner": ["variants"],
    "with": ["webhook"],
}
_UNSPOKEN: tuple[Any, ...] = (None, [], {})


def schema() -> dict[str, Any]:
    """JSON Schema, draft 2020-12. What only a whole file shows, `relent check` shows."""
    found: dict[str, Any] = _tidy(Sequence.model_json_schema(by_alias=True))
    parts = found["$defs"]
    del found["properties"]["@enclosed"], parts["Enclosed"]
    for name, model in _models(Sequence).items():
        if model is Sequence or name in parts:
            _show_defaults(found if model is Sequence else parts[name], model)
    _shape_step(parts["Step"])
    approval = found["properties"]["approval"]
    found["properties"]["approval"] = {
        "anyOf": [{"enum": _APPROVED}, {"$ref": approval["$ref"]}],
        "description": approval["description"],
    }
    parts["Approval"]["required"] = ["steps"]
    parts["Choice"]["oneOf"] = [{"required": ["if", "then"]}, {"required": ["else"]}]
    parts["Trial"]["properties"]["recipient"]["required"] = ["email"]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **found,
        "title": "A sequence of Relent",
    }


def render_schema() -> str:
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def _shape_step(step: dict[str, Any]) -> None:
    del step["required"]  # who has no id is called after its place
    step["anyOf"] = [{"required": [kind]} for kind in (*KINDS, "html")]
    step["dependentRequired"] = _NEEDS
    variants = step["properties"]["variants"]
    weight = {"type": "integer", "minimum": 0}
    step["properties"]["variants"] = {
        "anyOf": [
            {key: value for key, value in variants.items() if key != "description"},
            {
                "type": "object",
                "patternProperties": {_ID: weight},
                "additionalProperties": False,
                "minProperties": 2,
            },
        ],
        "description": variants["description"],
    }


def _tidy(part: Any) -> Any:
    """Nothing is null, nobody needs a title that repeats the key, and a name that is none is a mistake."""
    if isinstance(part, list):
        return [_tidy(each) for each in part]
    if not isinstance(part, dict):
        return part
    tidy: dict[str, Any] = {
        key: {name: _tidy(each) for name, each in value.items()} if key == "properties" else _tidy(value)
        for key, value in part.items()
        if key not in ("default", "title")
    }
    shapes: list[Any] = tidy.get("anyOf", [])
    if {"type": "null"} in shapes:
        shapes.remove({"type": "null"})
        if len(shapes) == 1:
            tidy = shapes[0] | {key: value for key, value in tidy.items() if key != "anyOf"}
    if tidy.get("type") == "string" and not {"examples", "enum", "format"} & tidy.keys():
        tidy["type"] = _written_as(tidy.get("pattern"))
    if "patternProperties" in tidy:
        tidy["additionalProperties"] = False
    return tidy


def _written_as(pattern: str | None) -> str | list[str]:
    """To us every word is a text; to an editor `80` is a number, and `true` is no text."""
    if pattern is None or pattern == _ONE_LINE:
        return ["string", "number", "boolean"]
    if pattern == _ID:
        return ["string", "integer", "boolean"]
    return ["string", "boolean"] if pattern.startswith(_WORDS) else "string"


def _show_defaults(part: dict[str, Any], model: type[Written]) -> None:
    """As an author would write them."""
    defaults = model.model_construct().model_dump(mode="json", by_alias=True)
    for key, value in part["properties"].items():
        default = defaults.get(key)
        if default not in _UNSPOKEN and not isinstance(default, dict):
            value["default"] = default


def _models(model: type[Written]) -> dict[str, type[Written]]:
    found = {model.__name__: model}
    waiting = [model]
    while waiting:
        for inner in inner_models(waiting.pop()):
            if inner.__name__ not in found:
                found[inner.__name__] = inner
                waiting.append(inner)
    return found
