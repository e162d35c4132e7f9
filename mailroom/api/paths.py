"""Which endpoint a path means, read as it came: whoever decodes a path first and splits it then splits it in the wrong places."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote_to_bytes

from mailroom.api.frame import Endpoint

_HOLE = re.compile(r"\{(?P<name>\w+)(?P<path>:path)?\}")
_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})")
_LONGEST = 4096  # bytes: of a link that is its own key; nothing else is that long

#: What every client must escape. The SDK leaves a percent sign alone, so `%41` may be three signs that are meant.
_MUST = frozenset(b'"<>\\^`{|} ') | frozenset(range(0x21)) | frozenset(range(0x7F, 0x100))


@dataclass(frozen=True, slots=True)
class Found:
    """What a path means: perhaps an endpoint, and what its names are; and which methods it has."""

    endpoint: Endpoint | None
    path: Mapping[str, tuple[str, ...]]
    methods: tuple[str, ...]


class Map:
    """All paths of a dialect. Of two that fit, the more exact one is meant, whatever the method."""

    def __init__(self, endpoints: Iterable[Endpoint]) -> None:
        doors: dict[str, dict[str, Endpoint]] = {}
        for each in endpoints:
            doors.setdefault(each.path, {})[each.method] = each
        self._ways = [(_pattern(path), doors[path]) for path in sorted(doors, key=_vagueness)]

    def find(self, method: str, raw_path: str) -> Found:
        for pattern, doors in self._ways:
            if (fit := pattern.fullmatch(raw_path)) is None:
                continue
            names = {name: readings(text) for name, text in fit.groupdict().items()}
            if all(names.values()):
                return Found(doors.get(method), names, tuple(doors))
        return Found(None, {}, ())


@lru_cache(maxsize=1024)
def readings(text: str) -> tuple[str, ...]:
    """The name that these signs of a path are: decoded once, and as it came. None when it can be no name at all."""
    ways = (unquote_to_bytes(text), _ESCAPE.sub(_as_meant, text.encode("latin-1")))
    return tuple(dict.fromkeys(found for way in ways if (found := _name(way)) is not None))


def _as_meant(escape: re.Match[bytes]) -> bytes:
    number = int(escape[1], 16)
    return bytes((number,)) if number in _MUST else escape[0]


def _name(way: bytes) -> str | None:
    try:
        return None if b"\0" in way or len(way) > _LONGEST else way.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _pattern(path: str) -> re.Pattern[str]:
    parts = _HOLE.split(path)  # text, name, `:path` or None, text, …
    said = re.escape(parts[0])
    for name, greedy, text in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
        said += f"(?P<{name}>{'.+' if greedy else '[^/]+'}){re.escape(text)}"
    return re.compile(said, re.DOTALL)


def _vagueness(path: str) -> tuple[int, int]:
    """Words before names, suffixes before the greedy."""
    return path.count(":path}"), -len(_HOLE.sub("", path))
