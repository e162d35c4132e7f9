"""/docs: the document of the API as a page that people read. It is made once, and asks nobody for anything."""

import base64
import hashlib
import json
from collections.abc import Iterable, Iterator
from html import escape
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mailroom.api.openapi import merged
from mailroom.api.refusals import CODES, NAMES

Json = dict[str, Any]

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --dim: #888; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1.5rem; }
nav a { margin-right: 1rem; } h2 { margin-top: 3rem; border-bottom: 1px solid var(--line); }
article { margin: 1.2rem 0; padding: .2rem 1rem; border: 1px solid var(--line); border-radius: .4rem; }
h3 { font-size: 1rem; margin: .6rem 0; overflow-wrap: anywhere; } b.method { display: inline-block; min-width: 4rem; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; } td, th { text-align: left; padding: .15rem .6rem .15rem 0; vertical-align: top; }
code { font-family: ui-monospace, monospace; } .dim { color: var(--dim); }
"""
_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
}


def routes(documents: Iterable[Json], *, version: str) -> list[Route]:
    """/openapi.json and /docs, of all of these together."""
    whole = merged(documents, version=version)
    plain = json.dumps(whole, ensure_ascii=False, indent=1).encode()
    page = "".join(_page(whole)).encode()

    async def openapi(_: Request) -> Response:
        return Response(plain, headers=_HEADERS, media_type="application/json")

    async def docs(_: Request) -> Response:
        return Response(page, headers=_HEADERS, media_type="text/html")

    return [Route("/openapi.json", openapi, methods=["GET"]), Route("/docs", docs, methods=["GET"])]


def _page(whole: Json) -> Iterator[str]:
    families = _families(whole)
    yield '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Relent: the API</title>'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<style>{_STYLE}</style></head><body><h1>Relent: the API</h1>"
    yield f"<p>{escape(whole['info']['summary'])} For programs: <a href='/openapi.json'>/openapi.json</a>.</p><nav>"
    yield from (f'<a href="#{escape(name)}">{escape(name)}</a>' for name in (*families, "shapes", "errors"))
    yield "</nav>"
    for name, operations in families.items():
        yield f'<h2 id="{escape(name)}">{escape(name)}</h2>'
        for path, method, said in operations:
            yield from _operation(path, method, said)
    yield '<h2 id="shapes">shapes</h2>'
    for name, schema in whole["components"]["schemas"].items():
        yield f'<article id="shape-{escape(name)}"><h3>{escape(name)}</h3>'
        yield f"<p>{escape(schema.get('description', ''))}</p>{_fields(schema)}</article>"
    yield '<h2 id="errors">errors</h2><p>Every refusal is an object in JSON with <code>name</code>, <code>message</code>, '
    yield "<code>code</code> and, where something can be done about it, <code>fix</code>.</p><table>"
    yield from (
        f"<tr><td>{status}</td><td><code>{NAMES[status]}</code></td><td><code>{CODES[status]}</code></td></tr>"
        for status in NAMES
    )
    yield "</table></body></html>\n"


def _families(whole: Json) -> dict[str, list[tuple[str, str, Json]]]:
    found: dict[str, list[tuple[str, str, Json]]] = {}
    for path, methods in whole["paths"].items():
        for method, said in methods.items():
            if isinstance(said, dict) and "responses" in said:
                family = (said.get("tags") or ["others"])[0]
                found.setdefault(family, []).append((path, method, said))
    return dict(sorted(found.items()))


def _operation(path: str, method: str, said: Json) -> Iterator[str]:
    yield f'<article><h3><b class="method">{escape(method.upper())}</b> <code>{escape(path)}</code></h3>'
    yield f"<p>{escape(said.get('summary', ''))} <span class='dim'>{escape(said.get('description', ''))}</span></p>"
    if parameters := [each for each in said.get("parameters", ()) if each.get("in") != "path"]:
        yield "<table>"
        for each in parameters:
            must = " (needed)" if each.get("required") else ""
            yield f"<tr><td><code>{escape(each['name'])}</code>{must}</td><td>{_kind(each.get('schema', {}))}</td>"
            yield f"<td class='dim'>{escape(each.get('description', ''))}</td></tr>"
        yield "</table>"
    for content in said.get("requestBody", {}).get("content", {}).values():
        yield f"<p>Body: {_kind(content.get('schema', {}))}</p>"
    for status, answer in said["responses"].items():
        if status.startswith("2"):
            kinds = [_kind(each.get("schema", {})) for each in answer.get("content", {}).values()]
            yield f"<p>{escape(status)}: {', '.join(kinds) or 'nothing'}</p>"
    yield "</article>"


def _fields(schema: Json) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(name)}</code>{' (always)' if name in schema.get('required', ()) else ''}</td>"
        f"<td>{_kind(each)}</td></tr>"
        for name, each in schema.get("properties", {}).items()
    )
    return f"<table>{rows}</table>" if rows else ""


def _kind(schema: Json) -> str:
    """What it is, in a word or two."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f'<a href="#shape-{escape(name)}">{escape(name)}</a>'
    if "anyOf" in schema:
        return " or ".join(_kind(each) for each in schema["anyOf"])
    if "enum" in schema or "const" in schema:
        values = schema.get("enum", [schema.get("const")])
        return " | ".join(f"<code>{escape(str(each))}</code>" for each in values)
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    if schema.get("type") == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"names to {_kind(schema['additionalProperties'])}"
    kind = schema.get("type", "anything")
    said = kind if isinstance(kind, str) else " or ".join(kind)
    return escape(f"{said} ({schema['format']})" if "format" in schema else said)
