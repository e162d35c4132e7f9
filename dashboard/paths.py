"""Which door a path leads to. Pure: a table is made once, and asked for every request."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes

from dashboard.frame import Door

_LONGEST = 2048


@dataclass(frozen=True, slots=True)
class Found:
    """What is at a path: a door for the method that was asked for, or the methods that it knows."""

    door: Door | None = None
    path: Mapping[str, str] = field(default_factory=dict)
    methods: frozenset[str] = frozenset()


class Map:
    """Of two doors at one path, the one with fewer names in it is meant: `/people/new` is nobody's id."""

    def __init__(self, doors: Iterable[Door]) -> None:
        self._doors: dict[int, list[tuple[tuple[str, ...], Door]]] = {}
        for door in doors:
            parts = tuple(_parts(door.path))
            self._doors.setdefault(len(parts), []).append((parts, door))
        for known in self._doors.values():
            known.sort(key=lambda each: [part.startswith("{") for part in each[0]])

    def find(self, method: str, raw: str) -> Found:
        """`raw`: as it came, so that `%2F` is a letter of a name and no end of it."""
        said = _said(raw)
        if said is None:
            return Found()
        here: list[tuple[Door, dict[str, str]]] = []
        for parts, door in self._doors.get(len(said), ()):
            names = _match(parts, said)
            if names is not None:
                here.append((door, names))
        methods = frozenset(door.method for door, _ in here)
        for door, names in here:
            if door.method == method:
                return Found(door, names, methods)
        return Found(methods=methods)


def _parts(path: str) -> list[str]:
    return path.strip("/").split("/") if path.strip("/") else []


def _said(raw: str) -> list[str] | None:
    """The parts of a path in plain text; None: nothing of ours has such a path."""
    if len(raw) > _LONGEST or not raw.startswith("/"):
        return None
    parts = raw[1:].removesuffix("/").split("/") if raw != "/" else []
    try:
        plain = [unquote_to_bytes(part).decode() for part in parts]
    except UnicodeDecodeError:
        return None
    return None if any(not part or "\0" in part for part in plain) else plain


def _match(parts: tuple[str, ...], said: list[str]) -> dict[str, str] | None:
    names = {}
    for part, word in zip(parts, said, strict=True):
        if part.startswith("{"):
            names[part[1:-1]] = word
        elif part != word:
            return None
    return names
