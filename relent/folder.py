"""The folder of sequences as it lies on the disk, read again when something in it has changed."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from threading import Lock

from dashboard.frame import SequenceFile
from engine.errors import RelentError, SequenceError
from sequences.loader import load
from sequences.page import LARGEST, open_regular

_MOST = 500  #: files in one folder; whoever has more keeps something else there
_LOOKED_AT = 5000
_NAME = re.compile(r"""^name:[ \t]*(?P<quote>["']?)(?P<name>[^\n]*?)(?P=quote)[ \t]*(?:\s\#[^\n]*)?$""", re.M)

#: Of every file what changes when it is written.
Mark = frozenset[tuple[str, int, int]]


class Folder:
    """Call it: the files as they are now. Reading them all takes long, so it is done when one of them has changed."""

    def __init__(self, path: str) -> None:
        self._path, self._lock = Path(path), Lock()
        self._mark: Mark | None = None
        self._files: tuple[SequenceFile, ...] = ()

    def __call__(self) -> tuple[SequenceFile, ...]:
        with self._lock:
            mark = frozenset(_marks(self._path))
            if mark != self._mark:
                self._files = tuple(map(_read, sorted(self._path.glob("*.y*ml"))[:_MOST]))
                self._mark = mark
            return self._files


def _marks(folder: Path) -> Iterator[tuple[str, int, int]]:
    """Templates and attachments lie beside the sequences: a sequence changes with them."""
    seen = 0
    for here, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            seen += 1
            if seen > _LOOKED_AT:
                return
            file = Path(here, name)
            try:
                found = file.stat()
            except OSError:
                continue  # it went while we looked
            yield str(file), found.st_mtime_ns, found.st_size


def _read(file: Path) -> SequenceFile:
    try:
        sequence = load(file)
    except SequenceError as error:
        return SequenceFile(name=_called(file), file=str(file), sequence=None, complaints=error.complaints)
    except (RelentError, OSError) as error:
        return SequenceFile(name=file.stem, file=str(file), sequence=None, complaints=(f"{file}  {error}",))
    return SequenceFile(name=sequence.name, file=str(file), sequence=sequence)


def _called(file: Path) -> str:
    """What a file that cannot be read seems to speak of: so that its mistakes stand where people look for them."""
    try:
        with open_regular(file) as there:
            text = there.read(LARGEST).decode("utf-8", "replace")
    except (RelentError, OSError):
        return file.stem
    found = _NAME.search(text)
    return (found["name"].strip()[:200] if found else "") or file.stem
