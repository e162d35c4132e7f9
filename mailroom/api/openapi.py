"""The API described: /openapi.json, made of the same table that routes; and /docs, the same for people.

Another dialect describes itself (`document(…)`, or by hand) and is merged in.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter

from mailroom import wire
from mailroom.api.frame import Endpoint
from mailroom.api.refusals import NAMES

Json = dict[str, Any]

_VERSION = "3.1.0"
_REF = "#/components/schemas/{model}"
_HOLE = re.compile(r"\{(\w+)(?::path)?\}")

_BEARER: Json = {
    "type": "http",
    "scheme": "bearer",
    "description": "A key: `relent key create` makes one, or POST /v0/api-keys.",
}
_ONCE: Json = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "The same key with the same request sends once, however often it is asked.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 256},
}


def document(endpoints: Iterable[Endpoint]) -> Json:
    """All that these endpoints have: paths, and the shapes that they speak of."""
    table = sorted(endpoints, key=lambda each: (each.name.split(".")[-2:], each.path))
    schemas, names = _schemas(table)
    paths: dict[str, Json] = {}
    for each in table:
        paths.setdefault(_HOLE.sub(r"{\1}", each.path), {})[each.method.lower()] = _operation(
            each, schemas, names
        )
    return {
        "paths": dict(sorted(paths.items())),
        "components": {"schemas": schemas, "securitySchemes": {"key": _BEARER}},
    }


def merged(documents: Iterable[Json], *, version: str) -> Json:
    """One document of several. A path belongs to one of them; a name means one thing."""
    whole: Json = {
        "openapi": _VERSION,
        "info": {
            "title": "Relent",
            "version": version,
            "summary": "A mailbox that the AgentMail SDK cannot tell from AgentMail.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": {},
        "components": {"schemas": {}, "securitySchemes": {}},
    }
    for each in documents:
        _put(whole["paths"], each["paths"])
        for kind, shapes in each.get("components", {}).items():
            _put(whole["components"].setdefault(kind, {}), shapes)
    return whole


def _put(here: Json, more: Mapping[str, Any]) -> None:
    for name, what in more.items():
        if here.setdefault(name, what) != what:
            raise ValueError(f"{name} means two things in the documents that are to be one")


# --- one endpoint ---


def _operation(each: Endpoint, schemas: Json, names: Mapping[tuple[Any, str], Json]) -> Json:
    said: Json = {
        "operationId": each.name,
        "summary": each.summary,
        "tags": [_family(each)],
        "security": [] if each.open else [{"key": []}],
    }
    if each.needs:
        said["description"] = f"Needs the permission `{each.needs}`."
    if parameters := [*_in_path(each), *_in_query(each), *([_ONCE] if each.once else [])]:
        said["parameters"] = parameters
    if each.body is not None:
        said["requestBody"] = {
            "required": not each.bare,
            "content": {"application/json": {"schema": names[each.body, "validation"]}},
        }
    return said | {"responses": _responses(each, names)}


def _family(each: Endpoint) -> str:
    """`inboxes.drafts.create` is one of the drafts."""
    return each.name.split(".")[-2]


def _in_path(each: Endpoint) -> list[Json]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in _HOLE.findall(each.path)
    ]


def _in_query(each: Endpoint) -> list[Json]:
    if each.query is None:
        return []
    shown = each.query.model_json_schema()
    found = []
    for name, schema in shown["properties"].items():
        plain = {key: value for key, value in _not_null(schema).items() if key not in ("title", "default")}
        found.append(
            {"name": name, "in": "query", "required": name in shown.get("required", ()), "schema": plain}
        )
    return found


def _not_null(schema: Json) -> Json:
    """A query says nothing, or something; it cannot say null."""
    kinds = [each for each in schema.get("anyOf", ()) if each != {"type": "null"}]
    return kinds[0] if len(kinds) == 1 else schema


def _responses(each: Endpoint, names: Mapping[tuple[Any, str], Json]) -> Json:
    wrong = names[wire.ValidationRefusal, "serialization"]
    refused = names[wire.Refusal, "serialization"]
    said: Json = {"204": {"description": "Done."}}
    if each.answers is bytes:
        said = {"200": {"description": "The bytes.", "content": {"application/octet-stream": {}}}}
    elif each.answers is not None:
        said = {"200": _in_json("Done.", names[each.answers, "serialization"])}
    codes = {*each.errors, *({404} if _HOLE.search(each.path) else ()), *(() if each.open else (401, 403))}
    if each.body is not None or each.query is not None or each.once:
        said["400"] = _in_json(NAMES[400], wrong)
    for code in sorted(codes - {400}):
        said[str(code)] = _in_json(NAMES[code], refused)
    said["429"] = _in_json(NAMES[429], refused) | {
        "headers": {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer", "minimum": 1}}}
    }
    return said | {"default": _in_json("Anything else that went wrong.", refused)}


def _in_json(description: str, schema: Json) -> Json:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _schemas(table: Sequence[Endpoint]) -> tuple[Json, dict[tuple[Any, str], Json]]:
    """Every shape once, under its own name."""
    wanted: dict[tuple[Any, Any], TypeAdapter[Any]] = {}
    for shape in (wire.Refusal, wire.ValidationRefusal):
        wanted[shape, "serialization"] = TypeAdapter(shape)
    for each in table:
        if each.body is not None:
            wanted[each.body, "validation"] = TypeAdapter(each.body)
        if each.answers not in (None, bytes):
            wanted[each.answers, "serialization"] = TypeAdapter(each.answers)
    inputs = [(key, key[1], adapter) for key, adapter in wanted.items()]
    refs, whole = TypeAdapter.json_schemas(inputs, ref_template=_REF)
    names = {key: refs[key, key[1]] for key in wanted}
    shapes = whole.get("$defs", {})
    spoken_of = json.dumps([*names.values(), shapes])
    known = {
        name: shapes[name] for name in sorted(shapes) if json.dumps(_REF.format(model=name)) in spoken_of
    }
    return known, names
