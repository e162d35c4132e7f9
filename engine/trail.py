"""The trail of a story: one id that goes through everything it does, and how long its parts take.

A story is what one webhook, one request, one letter, one tick brings about. Its trail goes along by itself, into every
function and into whatever thread that is started for it; so nobody hands it on, and the log knows whose line it writes.
Who writes logs, and who draws spans, is not known here: `relent` reads `known()` and sets a tracer.
"""

import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from contextvars import ContextVar, Token
from types import MappingProxyType, TracebackType
from typing import Protocol, Self

_NOTHING: Mapping[str, str] = MappingProxyType({})
_known: ContextVar[Mapping[str, str]] = ContextVar("relent_trail", default=_NOTHING)


def known() -> Mapping[str, str]:
    """What is known of the story at hand: its id under `story`, and the ids of what it is about. Empty: there is none."""
    return _known.get()


def begin(**ids: str | None) -> None:
    """A new story, to the end of whatever runs now: for who has a task or a thread to themselves."""
    _known.set(_new(ids))


class _Known:
    """What is known from here to the end of the block."""

    __slots__ = ("_before", "_now")

    def __init__(self, now: Mapping[str, str]) -> None:
        self._now = now
        self._before: Token[Mapping[str, str]] | None = None

    def __enter__(self) -> Self:
        self._before = _known.set(self._now)
        return self

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            _known.reset(self._before)


def story(**ids: str | None) -> AbstractContextManager[object]:
    """A new story, whatever was told before; that goes on when this one has ended."""
    return _Known(_new(ids))


def about(**ids: str | None) -> AbstractContextManager[object]:
    """The same story, and what it is about."""
    return _Known({**_known.get(), **{name: value for name, value in ids.items() if value}})


def _new(ids: Mapping[str, str | None]) -> Mapping[str, str]:
    """Its id is as long as a trace's, so that it can be one."""
    new = {"story": os.urandom(16).hex()}
    for name, value in ids.items():
        if value:
            new[name] = value
    return new


# --- how long its parts take ---


class Span(Protocol):
    """A part of a story, while it lasts."""

    def says(self, **what: str | int) -> None:
        """How it was. Never a person's address, and never what somebody wrote."""
        ...


Tracer = Callable[[str], AbstractContextManager[Span]]


class _Untold:
    """Nobody wants to know how long it takes: it costs nothing."""

    __slots__ = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def says(self, **what: str | int) -> None:
        pass


_UNTOLD = _Untold()


def _untold(_: str) -> AbstractContextManager[Span]:
    return _UNTOLD


_tracer: Tracer = _untold


def span(name: str) -> AbstractContextManager[Span]:
    """A part of the story at hand, from here to the end of the block."""
    return _tracer(name)


def draw_spans(tracer: Tracer | None) -> None:
    """From now on this one is told of every span; None: nobody is."""
    global _tracer
    _tracer = tracer or _untold
