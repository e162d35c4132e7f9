"""The text of a file, what is wrong with it, and where."""

import re
import stat
from bisect import bisect_right
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from engine.errors import SequenceError

LARGEST = 1024 * 1024
MOST_TOLD = 200
_NO_UTF_8 = "this is not UTF-8. Save the file as UTF-8"
_SO_MANY = 4  #: one in so many letters is a NUL
MOST_ALIKE = 20  #: complaints about one kind of broken text
_LONGEST_COMPLAINT = 300
_LONG_VALUE = re.compile(r"""(["'])((?:(?!\1).){60})(?:(?!\1).){20,}\1""")
_NEWLINE = re.compile(r"\r\n|\r|\n")
# What YAML 1.2 does not print, and the line ends of YAML 1.1 that no editor counts as one. U+FFFD is a word already lost.
UNREADABLE = re.compile(
    "[^\t\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffc\U00010000-\U0010ffff]"
)
LOST = "\ufffd"
_HEAD = re.compile(r"(?:[ \t]*(?:[#%][^\r\n]*)?(?:\r\n|\r|\n))*+")
_DIRECTIVE = re.compile(r"^%", re.MULTILINE)


class Unreadable(Exception):
    """Why a file cannot be opened, in words."""


def open_regular(path: Path) -> BinaryIO:
    """The file, open. Raises SequenceError."""
    try:
        return try_to_open(path)
    except Unreadable as error:
        name = str(path) if str(path).isprintable() else repr(str(path))
        raise SequenceError(f"{name}  {error}.") from error


def try_to_open(path: Path) -> BinaryIO:
    """The file, open. Raises Unreadable: a pipe would never end, a device would never stop."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise Unreadable(f"is a {_kind(path)}. Name a file")
        return path.open("rb")
    except FileNotFoundError as error:
        raise Unreadable("is not there. Check the name and the folder") from error
    except PermissionError as error:
        raise Unreadable("may not be read. Check who owns it") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise Unreadable(f"cannot be read: {reason}") from error


def _kind(path: Path) -> str:
    return "folder" if path.is_dir() else "pipe or a device"


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a file, without its end."""

    start: int
    end: int
    text: str

    @property
    def dash(self) -> int:
        """Where its first sign stands."""
        return self.start + len(self.text) - len(self.text.lstrip())


class Page:
    """The text of a file, and what is wrong with it."""

    def __init__(self, text: str, name: str) -> None:
        self.text = text
        self.mistakes: set[tuple[int, str]] = set()
        self.covered: set[int] = set()
        self.entries: set[int] = set()  #: of lists, by their dashes, that were left out
        self.lost = False  #: something was left out, and nobody knows what it was
        self.name = name
        self._lines = [0, *(found.end() for found in _NEWLINE.finditer(text))]

    def complain(self, at: int, words: str) -> None:
        line = " ".join(words.split())
        if len(line) > _LONGEST_COMPLAINT:
            line = _LONG_VALUE.sub(r"\1\2…\1", line)
        if len(line) > _LONGEST_COMPLAINT:
            line = line[:_LONGEST_COMPLAINT] + "…"
        self.mistakes.add((at, line if line[-1] in ".?…" else f"{line}."))

    def complaints(self) -> list[str]:
        """From top to bottom; nobody reads the thousandth."""
        told = [
            f"{self.name}:{self.line(at)}:{self._column(at)}  {words}"
            for at, words in sorted(self.mistakes)[:MOST_TOLD]
        ]
        more = len(self.mistakes) - len(told)
        return [*told, f"{self.name}  and {more:,} more mistakes."] if more else told

    def line(self, at: int) -> int:
        return bisect_right(self._lines, at)

    def line_start(self, at: int, lines: int = 0) -> int:
        """Where the line starts that is so many lines below."""
        return self._lines[min(self.line(at) + lines, len(self._lines)) - 1]

    def line_text(self, at: int) -> tuple[int, str]:
        """Where a line starts, and what it says."""
        start = self.line_start(at)
        return start, self.text[start : self.end_of_line(start)]

    def end_of_line(self, at: int) -> int:
        found = _NEWLINE.search(self.text, at)
        return found.start() if found else len(self.text)

    def cover(self, start: int, end: int) -> None:
        """Make one place harmless and move nothing, so that the rest can still be read."""
        self.put(start, "x" * (end - start))
        self.covered.add(start)

    def blank(self, start: int, end: int) -> None:
        """As if nothing had been written there."""
        self.put(start, re.sub(r"[^\r\n]", " ", self.text[start:end]))

    def put(self, start: int, words: str) -> None:
        self.text = self.text[:start] + words + self.text[start + len(words) :]

    def lines(self, end: int) -> list["Line"]:
        """Those above some place."""
        return [
            Line(start, self.end_of_line(start), self.text[start : self.end_of_line(start)])
            for start in self._lines
            if start < end
        ]

    def _column(self, at: int) -> int:
        return at - self._lines[self.line(at) - 1] + 1


def decoded(text: str | bytes, name: str, largest: int = LARGEST) -> str:
    size = len(text) if isinstance(text, bytes) else len(text.encode(errors="surrogatepass"))
    if size > largest:
        words = "1 MiB. A sequence" if largest == LARGEST else f"{largest // 1024} KiB. A mail"
        raise SequenceError(f"{name}  is larger than {words} is a page or two.")
    if isinstance(text, str):
        return text.removeprefix("\ufeff")
    if text.count(0) * _SO_MANY > len(text):  # UTF-16, and nobody says so
        page = Page("", name)
        page.complain(0, _NO_UTF_8)
        raise SequenceError(*page.complaints())
    try:
        return text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # `object`: a byte order mark that was taken off no longer counts in `start`
        page = Page(error.object[: error.start].decode("utf-8"), name)
        page.complain(len(page.text), _NO_UTF_8)
        raise SequenceError(*page.complaints()) from error


def check_characters(page: Page) -> None:
    for found in islice(UNREADABLE.finditer(page.text), MOST_ALIKE):
        page.complain(found.start(), f"an unreadable character (U+{ord(found[0]):04X}). Delete it")
    page.text = UNREADABLE.sub(LOST, page.text)


def check_directives(page: Page) -> None:
    head = _HEAD.match(page.text)
    if head and (directive := _DIRECTIVE.search(head[0])):
        page.complain(directive.start(), 'a line that begins with "%" is for YAML tools. Leave it out')
        page.text = _DIRECTIVE.sub("#", head[0]) + page.text[head.end() :]
