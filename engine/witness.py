"""What is remembered of a database outside of it: by this one that was restored or copied is known.

A database cannot say of itself that it was put back to yesterday. So a small file beside it, or beside the configuration,
remembers one line of its log. A database in which that line does not stand has forgotten something.
"""

import ctypes
import json
import logging
import os
import re
import secrets
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from stat import S_IMODE
from tempfile import TemporaryFile
from typing import Any, Protocol

log = logging.getLogger("relent.witness")

_ABOUT = (
    "Written by Relent: by this it knows a database that was restored or copied, and sends nothing from it. "
    "Leave it where it is; see docs/moving.md."
)
#: The life of a database from which nobody has sent yet.
UNBORN = ""
_HALF = re.compile(r"\.[0-9a-f]{16}")  # what half a file ends on
_LEFT_BEHIND = 60.0  # seconds after which it is nobody's any more
_NEW = os.O_CREAT | os.O_EXCL | os.O_WRONLY
_STATX_BTIME, _AT_FDCWD, _BTIME_AT = 0x800, -100, 80  # linux/stat.h


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """One line of the log, as it once stood there."""

    house: str  #: whose database it was
    boot: str  #: in which of its lives
    line: int | None  #: the number of the line; None: the log was empty
    said: str | None  #: what the line said, as a hash
    at: datetime  #: when it was read


class Witness(Protocol):
    """Whoever remembers."""

    def recall(self, house: str, boot: str | None = None) -> Memory | None:
        """What was last known of this house, or of the one that was here before it. None: nothing.

        `boot`: which of its lives its database speaks of.
        """
        ...

    def remember(self, memory: Memory) -> None:
        """Whoever cannot says so, and what was known before stays known."""
        ...


class Nobody:
    """Nothing is remembered: for a house that ends with its process."""

    def recall(self, house: str, boot: str | None = None) -> Memory | None:
        return None

    def remember(self, memory: Memory) -> None:
        """It is forgotten at once."""


class StateFile:
    """A small file. `name` may have a gap for the house: where several houses may be looked after from one folder.

    `earlier`: where it lies if nobody has named a folder for it. Whoever names one later does not lose it.
    """

    def __init__(self, folder: Path, name: str, *, earlier: "StateFile | None" = None) -> None:
        self._folder, self._name, self._earlier = folder, name, earlier
        self._complained = self._tidied = False

    def path(self, house: str) -> Path:
        return self._folder / self._name.replace("{house}", house)

    def trouble(self) -> str | None:
        """Why it cannot be written, in words."""
        try:
            TemporaryFile(dir=self._folder).close()
        except (FileNotFoundError, NotADirectoryError):
            return f"there is no folder {self._folder}"
        except OSError as error:  # of rights, or of a disk that is full or mounted for reading alone
            return f"{self._folder} may not be written: {error.strerror}"
        return None

    def recall(self, house: str, boot: str | None = None) -> Memory | None:
        """A file that cannot be read is as good as none."""
        path = self.path(house)
        if self._earlier is None or path.exists():
            return _read(path)
        before = self._earlier.recall(house)
        return before if before and (before.house, before.boot) == (house, boot or UNBORN) else None

    def remember(self, memory: Memory) -> None:
        try:
            self._write(memory, self.path(memory.house))
        except OSError as error:
            if not self._complained:
                log.warning(
                    "%s could not be written (%s): a database that is restored is not known as such from here. "
                    "Name a folder for it in database.state",
                    self.path(memory.house),
                    error.strerror or error,
                )
            self._complained = True
        else:
            self._take_over(memory.house)
            if not self._tidied:
                self._tidy_up(memory.house)
            self._tidied = True

    def _take_over(self, house: str) -> None:
        """Of two, one would grow old, and be believed when the other is lost."""
        earlier, self._earlier = self._earlier, None
        if earlier is not None and (known := earlier.recall(house)) and known.house == house:
            with suppress(OSError):
                earlier.path(house).unlink()

    def _write(self, memory: Memory, path: Path) -> None:
        """Wholly or not at all, also when the power goes. In another container somebody may have our process's number."""
        half = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
        text = json.dumps({"about": _ABOUT} | asdict(memory) | {"at": memory.at.isoformat()}, indent=2)
        try:
            with os.fdopen(os.open(half, _NEW, _mode(path)), "w", encoding="utf-8") as file:
                file.write(text + "\n")
                file.flush()
                os.fsync(file.fileno())
            half.replace(path)
        except OSError:
            half.unlink(missing_ok=True)
            raise

    def _tidy_up(self, house: str) -> None:
        """Half a file of somebody who was killed while they wrote it."""
        for half in self._folder.glob(f"{self.path(house).name}.*"):
            with suppress(OSError):
                if _HALF.fullmatch(half.suffix) and time.time() - half.stat().st_mtime > _LEFT_BEHIND:
                    half.unlink()


def _mode(path: Path) -> int:
    """A new one is its owner's alone; whoever lets others read it is not overruled."""
    try:
        return S_IMODE(path.stat().st_mode)
    except OSError:
        return 0o600


def _read(path: Path) -> Memory | None:
    try:
        said: dict[str, Any] = json.loads(path.read_text("utf-8"))
        return Memory(
            house=str(said["house"]),
            boot=str(said["boot"]),
            line=None if said["line"] is None else int(said["line"]),
            said=said["said"],
            at=datetime.fromisoformat(said["at"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def file_place(path: str) -> dict[str, Any]:
    """Where a file lies: who copies it makes another one, and its birth tells it from one that took its number.

    Moving it within a disk changes nothing. Its path says nothing: a folder may be mounted elsewhere tomorrow.
    """
    return {"inode": Path(path).stat().st_ino, "born": _born(path), "machine": _machine()}


@cache
def _machine() -> str | None:
    """machine-id(5). None: this one has none, as in most containers."""
    try:
        return Path("/etc/machine-id").read_text("ascii").strip() or None
    except (OSError, ValueError):
        return None


def _born(path: str) -> int | None:
    """In nanoseconds; Python's own stat does not tell on Linux. None: the file system does not know."""
    told = getattr(Path(path).stat(), "st_birthtime", None)
    if told is not None:
        return int(told * 1_000_000_000)
    look = getattr(ctypes.CDLL(None), "statx", None) if os.name == "posix" else None
    if look is None:
        return None
    found = ctypes.create_string_buffer(256)
    if look(_AT_FDCWD, os.fsencode(path), 0, _STATX_BTIME, found) != 0:
        return None
    if not int.from_bytes(found.raw[:4], "little") & _STATX_BTIME:
        return None
    seconds, nanoseconds = (
        int.from_bytes(found.raw[_BTIME_AT + begin : _BTIME_AT + end], "little")
        for begin, end in ((0, 8), (8, 12))
    )
    return seconds * 1_000_000_000 + nanoseconds
