"""What a browser fetches once: our own files, and nothing else on this disk."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

_KINDS = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
    ".txt": "text/plain; charset=utf-8",
}


@dataclass(frozen=True, slots=True)
class File:
    """One of ours."""

    content: bytes = field(repr=False)
    kind: str


class Cupboard:
    """Read once, by name: a path that is not on the list leads nowhere, however it is written."""

    def find(self, raw: str) -> File | None:
        return _all().get(raw) if raw.startswith("/static/") else None


@cache
def _all() -> dict[str, File]:
    return dict(_within(files("dashboard").joinpath("static"), "/static"))


def _within(folder: Traversable, path: str) -> Iterator[tuple[str, File]]:
    for each in folder.iterdir():
        here = f"{path}/{each.name}"
        if each.is_dir():
            yield from _within(each, here)
        elif kind := _KINDS.get("." + each.name.rpartition(".")[2]):
            yield here, File(each.read_bytes(), kind)
