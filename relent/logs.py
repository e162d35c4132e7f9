"""Log lines: one line each, whatever a stranger wrote into them; for people on a terminal, for programs elsewhere.

The rooms log with the standard library, and structlog writes: so the server's and the database's own lines come out alike.
What a line belongs to is not said in it but known: see engine/trail.py.
"""

import base64
import json
import logging
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any, Literal
from urllib.parse import quote, unquote, urlsplit

import structlog
from pydantic import BaseModel, SecretStr
from structlog.stdlib import ProcessorFormatter
from structlog.typing import EventDict, Processor

from engine.store import SECRET_WORDS
from engine.trail import known

Format = Literal["auto", "json", "plain"]

_SHORTEST = 8  #: what is shorter may be a word of ours
_HIDDEN = "[secret]"


def is_plain(form: Format) -> bool:
    """`auto`: for people, if they sit there; else a JSON object a line."""
    return form == "plain" or (form == "auto" and sys.stderr.isatty())


def set_up_logs(form: Format = "auto", level: str = "info", *, secrets: frozenset[str] = frozenset()) -> None:
    plain = is_plain(form)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter(plain=plain, secrets=secrets))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("uvicorn.access").setLevel(logging.WARNING)
    logging.captureWarnings(True)
    if not plain:
        _no_loose_ends()
    structlog.configure(
        processors=[
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.processors.StackInfoRenderer(),
            ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def formatter(*, plain: bool, secrets: frozenset[str] = frozenset()) -> logging.Formatter:
    """How a line is written."""
    hide = [_Hide(secrets)] if secrets else []
    said: list[Processor] = [structlog.processors.format_exc_info, *hide, _plain if plain else _json]
    return _Formatter(processors=said)


class _Formatter(ProcessorFormatter):
    """structlog's own, with a shorter way for the everyday line: there may be thousands in a second."""

    def format(self, record: logging.LogRecord) -> str:
        if record.exc_info or record.stack_info or hasattr(record, "_logger"):
            return super().format(record)
        said: Any = {"event": record.getMessage(), "_record": record, "_from_structlog": False}
        for each in self.processors[1:]:  # there is no exception to be told
            said = each(None, record.levelname.lower(), said)
        return str(said)


def _no_loose_ends() -> None:
    """What ends the program, or one of its threads, is a line like all others, and not twenty of them."""
    log = logging.getLogger("relent")

    def told(kind: type[BaseException], error: BaseException, trace: Any) -> None:
        if issubclass(kind, KeyboardInterrupt):
            sys.__excepthook__(kind, error, trace)
        else:
            log.critical("our own mistake, and the end of it", exc_info=(kind, error, trace))

    def told_of_a_thread(ended: threading.ExceptHookArgs) -> None:
        if ended.exc_value is not None:
            told(ended.exc_type, ended.exc_value, ended.exc_traceback)

    sys.excepthook = told
    threading.excepthook = told_of_a_thread


# --- how it is written ---


class _Second:
    """Many lines are written in one second, and all but its last three digits are the same."""

    def __init__(self, shape: str, *, utc: bool) -> None:
        self._shape, self._clock = shape, time.gmtime if utc else time.localtime
        self._last = 0, ""

    def of(self, moment: float) -> str:
        second, written = self._last
        if int(moment) != second:
            second = int(moment)
            written = time.strftime(self._shape, self._clock(second))
            self._last = second, written
        return f"{written}.{int(moment % 1 * 1000):03d}"


_utc = _Second("%Y-%m-%dT%H:%M:%S", utc=True)
_local = _Second("%Y-%m-%d %H:%M:%S", utc=False)
# ASCII alone: nothing in it can move a cursor, turn a text around or begin a line
_encode = json.JSONEncoder(default=str, ensure_ascii=True).encode


def _json(_: object, __: str, said: EventDict) -> str:
    record: logging.LogRecord = said.pop("_record")
    del said["_from_structlog"]
    line = {
        "time": _utc.of(record.created) + "Z",
        "level": record.levelname.lower(),
        "event": said.pop("event"),
        "logger": record.name,
        "pid": record.process,
        **known(),
        **said,
    }
    return _encode(line).replace("\x7f", "\\u007f")


def _plain(_: object, __: str, said: EventDict) -> str:
    record: logging.LogRecord = said.pop("_record")
    del said["_from_structlog"]
    told, exception = said.pop("event"), said.pop("exception", "")
    more = "".join(f" {name}={value}" for name, value in said.items())
    story = f" [{id_[:8]}]" if (id_ := known().get("story")) else ""
    first = f"{_local.of(record.created)} {record.levelname} {record.name}: {told}{more}{story}"
    return "\n    ".join(map(_visible, [first, *exception.splitlines()]))


def _visible(line: str) -> str:
    """A line break or an escape sequence from outside must not look like a line of ours."""
    if line.isprintable():
        return line
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in line
    )


# --- what is never written ---


class _Hide:
    """Nobody here logs a secret. But a library, or a server that repeats what it was told, might."""

    def __init__(self, secrets: frozenset[str]) -> None:
        self._secrets = sorted(secrets, key=len, reverse=True)

    def __call__(self, _: object, __: str, said: EventDict) -> EventDict:
        for name in said.keys() - {"_record", "_from_structlog"}:
            value = said[name] if isinstance(said[name], str) else str(said[name])
            for secret in self._secrets:
                if secret in value:
                    said[name] = value = value.replace(secret, _HIDDEN)
        return said


def secrets_of(config: BaseModel) -> frozenset[str]:
    """Everything in there that nobody else may know, in every shape in which it travels."""
    shapes = {shape for secret in _secrets_in(config) for shape in _shapes(secret)}
    return frozenset(each for each in shapes if len(each) >= _SHORTEST)


def _secrets_in(value: object) -> Iterator[str]:
    if isinstance(value, SecretStr):
        yield value.get_secret_value()
        yield from _secrets_in(value.get_secret_value())
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _secrets_in(getattr(value, name))
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _secrets_in(each)
    elif isinstance(value, str) and "://" in value:
        yield from _passwords(value)


def _passwords(url: str) -> Iterator[str]:
    """Before its `@`, and after its `?`."""
    try:
        parts = urlsplit(url)
        before = parts.password
    except ValueError:
        return
    after = (pair.partition("=") for pair in parts.query.split("&"))
    yield from filter(None, [before, *(value for name, _, value in after if name.lower() in SECRET_WORDS)])


def _shapes(secret: str) -> Iterator[str]:
    """As it is written in a URL, after whsec_, and as a mail server hears it."""
    yield from (secret, unquote(secret), quote(unquote(secret), safe=""))
    yield secret.removeprefix("whsec_").rstrip("=")
    yield base64.b64encode(secret.encode()).decode().rstrip("=")
