"""The text of a file, what is wrong with it, and where."""

import re
import stat
from bisect import bisect_right
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from engine.errors import SequenceError

LARGEST = 1024 * 1024
MOST_ALIKE = 20  #: complaints about one kind of broken text
_LONGEST_COMPLAINT = 300
_NEWLINE = re.compile(r"\r\n|\r|\n")
# What YAML 1.2 does not print, and the line ends of YAML 1.1 that no editor counts as one. U+FFFD is a word already lost.
UNREADABLE = re.compile(
    "[^\t\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffc\U00010000-\U0010ffff]"
)
LOST = "\ufffd"
_HEAD = re.compile(r"(?:[ \t]*(?:[#%][^\r\n]*)?(?:\r\n|\r|\n))*+")
_DIRECTIVE = re.compile(r"^%", re.MULTILINE)


def open_regular(path: Path) -> BinaryIO:
    """The file, open. Raises SequenceError: a pipe would never end, a device would never stop."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise SequenceError(f"{path}  is a {_kind(path)}. Name a file.")
        return path.open("rb")
    except FileNotFoundError as error:
        raise SequenceError(f"{path}  is not there. Check the name and the folder.") from error
    except PermissionError as error:
        raise SequenceError(f"{path}  may not be read. Check who owns it.") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise SequenceError(f"{str(path)!r}  cannot be read: {error}.") from error


def _kind(path: Path) -> str:
    return "folder" if path.is_dir() else "pipe or a device"


class Page:
    """The text of a file, and what is wrong with it."""

    def __init__(self, text: str, name: str) -> None:
        self.text = text
        self.mistakes: set[tuple[int, str]] = set()
        self.covered: set[int] = set()
        self._name = name
        self._lines = [0, *(found.end() for found in _NEWLINE.finditer(text))]

    def complain(self, at: int, words: str) -> None:
        line = " ".join(words.split())
        if len(line) > _LONGEST_COMPLAINT:
            line = line[:_LONGEST_COMPLAINT] + "…"
        self.mistakes.add((at, line if line[-1] in ".?…" else f"{line}."))

    def complaints(self) -> list[str]:
        return [
            f"{self._name}:{self.line(at)}:{self._column(at)}  {words}" for at, words in sorted(self.mistakes)
        ]

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
        self.text = self.text[:start] + "x" * (end - start) + self.text[end:]
        self.covered.add(start)

    def _column(self, at: int) -> int:
        return at - self._lines[self.line(at) - 1] + 1


def decoded(text: str | bytes, name: str) -> str:
    size = len(text) if isinstance(text, bytes) else len(text.encode(errors="surrogatepass"))
    if size > LARGEST:
        raise SequenceError(f"{name}  is larger than 1 MiB. A sequence is a page or two.")
    if isinstance(text, str):
        return text.removeprefix("\ufeff")
    try:
        return text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # `object`: a byte order mark that was taken off no longer counts in `start`
        page = Page(error.object[: error.start].decode("utf-8"), name)
        page.complain(len(page.text), "this is not UTF-8. Save the file as UTF-8")
        raise SequenceError(*page.complaints()) from error


def check_characters(page: Page) -> None:
    for found in islice(UNREADABLE.finditer(page.text), MOST_ALIKE):
        page.complain(found.start(), f"an unreadable character (U+{ord(found[0]):04X}). Delete it")
    page.text = UNREADABLE.sub(LOST, page.text)
    head = _HEAD.match(page.text)
    if head and (directive := _DIRECTIVE.search(head[0])):
        page.complain(directive.start(), 'a line that begins with "%" is for YAML tools. Leave it out')
        page.text = _DIRECTIVE.sub("#", head[0]) + page.text[head.end() :]
