"""people.csv comes in; prospects go on, and a line for each row that cannot be one. Never the whole file at once."""

import codecs
import csv
import io
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TextIO

from engine.addresses import contact, valid_address
from engine.errors import Refused, SequenceError
from engine.model import Prospect
from sequences.page import open_regular

_CHUNK = 1024 * 1024
_LONGEST_ROW = 1024 * 1024  #: characters; more is a quote that was never closed
_FIRST_LETTERS = 16  #: bytes that tell UTF-16
_LONGEST_ADDRESS = 254  # RFC 5321, 4.5.3.1.3, without the angle brackets
_MOST_COLUMNS = 1000
_DELIMITERS = ",;\t"
_HINT = re.compile(r'"?sep=([,;\t])"?[,;\t]*\s*')
_ADDRESS_COLUMNS = {"e_mail", "email_address", "mail"}
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}", re.ASCII)
# Control characters, line ends that no editor counts as one, and bytes that no encoding explains (surrogates).
_UNREADABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffd-\uffff]")


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that nobody can be written to with."""

    line: int  #: where the row starts
    email: str  #: as far as it can be read
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Table:
    """How this file writes its rows."""

    encoding: str
    delimiter: str
    columns: list[str]


class _Overlong(csv.Error):
    """A row that does not end."""


def read_people(path: Path) -> Iterator[Prospect | BadRow]:
    """Whoever the file names, one by one. Raises SequenceError at once if it is no list of people."""
    return _people(path, _table(path))


def _people(path: Path, table: _Table) -> Iterator[Prospect | BadRow]:
    seen: dict[str, int] = {}
    with _opened(path, table.encoding) as file:
        rows = _rows(file, table.delimiter)
        next(rows, None)
        for line, row in rows:
            found = row if isinstance(row, BadRow) else _person(line, row, table.columns)
            yield _once(found, line, seen) if isinstance(found, Prospect) else found


def _person(line: int, row: list[str], columns: list[str]) -> Prospect | BadRow:
    cells = {name: text for name, cell in zip(columns, row, strict=False) if (text := _text(cell))}
    email = cells.pop("email", "")
    if reason := _objection(email, row, len(columns)):
        return BadRow(line, _readable(email), reason)
    try:
        return Prospect(email=valid_address(email), variables=cells)
    except Refused as error:
        return BadRow(line, _readable(email), str(error))


def _text(cell: str) -> str:
    return re.sub("\r\n?", "\n", cell).strip() if "\r" in cell else cell.strip()


def _objection(email: str, row: list[str], columns: int) -> str | None:
    if any(cell.strip() for cell in row[columns:]):  # spreadsheets like to end rows with empty cells
        return f"{len(row)} cells under {columns} columns. Put quotes around text with a delimiter in it"
    if found := _UNREADABLE.search("\t".join(row)):
        return f"an unreadable character (U+{ord(found[0]):04X}). Delete it"
    if not email:
        return "no e-mail address"
    if len(email) > _LONGEST_ADDRESS:
        return f"an e-mail address has at most {_LONGEST_ADDRESS} characters"
    return None


def _once(person: Prospect, line: int, seen: dict[str, int]) -> Prospect | BadRow:
    first = seen.setdefault(contact(person.email), line)
    return person if first == line else BadRow(line, person.email, f"already in line {first}")


def _readable(email: str) -> str:
    return "".join(sign if sign.isprintable() else "?" for sign in email[:_LONGEST_ADDRESS])


# --- rows


class _Lines:
    """The lines of a file, counted; a row may take many of them, but not all."""

    def __init__(self, file: TextIO) -> None:
        self.number = 0
        self._file = file
        self.next_row()

    def skip_hint(self) -> None:
        """`sep=;`, which one spreadsheet writes for another, is no row."""
        start = self._file.tell()
        if _HINT.fullmatch(self._file.readline(_LONGEST_ROW)):
            self.number += 1
        else:
            self._file.seek(start)

    def next_row(self) -> int:
        """The line in which it starts."""
        self._room = _LONGEST_ROW
        self._quotes = 0
        return self.number + 1

    @property
    def inside_quotes(self) -> bool:
        return self._quotes % 2 == 1

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._file.readline(_LONGEST_ROW)
        if not line:
            raise StopIteration
        self.number += 1
        self._room -= len(line)
        self._quotes += line.count('"')
        if self._room < 0 or len(line) == _LONGEST_ROW:
            self._skip(line)
            raise _Overlong
        return line

    def _skip(self, line: str) -> None:
        while line and not line.endswith(("\n", "\r")):
            line = self._file.readline(_LONGEST_ROW)
            self._quotes += line.count('"')


def _rows(file: TextIO, delimiter: str) -> Iterator[tuple[int, list[str] | BadRow]]:
    """Every row that is not blank, with the line it starts in. The header is the first."""
    lines = _Lines(file)
    lines.skip_hint()
    reader = csv.reader(lines, delimiter=delimiter, strict=True, skipinitialspace=True)
    while True:
        start = lines.next_row()
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield start, BadRow(start, "", _broken(error, start, lines))
            if lines.inside_quotes:
                return  # an address further down may stand in somebody's note: nobody is written to by a guess
            continue
        if any(cell.strip() for cell in row):
            yield start, row


def _broken(error: csv.Error, start: int, lines: _Lines) -> str:
    if lines.inside_quotes:
        return (
            f"a quote has no partner. All from line {start} on is left out: mend it, and read the file again"
        )
    lost = f". Lines {start} to {lines.number} are left out" if lines.number > start else ""
    if "field limit" in str(error):
        return f"a field has more than {csv.field_size_limit():,} letters{lost}"
    if isinstance(error, _Overlong):
        return f"too long for a row{lost}"
    return f'quotes in the wrong place. Write "" for a quote inside quotes{lost}'


# --- the file


def _table(path: Path) -> _Table:
    name = str(path)
    encoding = _encoding(path)
    with _opened(path, encoding) as file:
        delimiter = _delimiter(file)
    with _opened(path, encoding) as file:
        header = next(_rows(file, delimiter), None)
    if header is None:
        raise SequenceError(f"{name}  is empty. Begin with a header, like email,first_name,company.")
    line, row = header
    if isinstance(row, BadRow):
        raise SequenceError(f"{name}:{line}  the header cannot be read: {row.reason.partition('. ')[0]}.")
    return _Table(encoding=encoding, delimiter=delimiter, columns=_columns(row, f"{name}:{line}"))


def _encoding(path: Path) -> str:
    """UTF-8 if all of it is; else what old spreadsheets write."""
    with open_regular(path) as file:
        start = file.read(_CHUNK)
        if what := _no_csv(start):
            raise SequenceError(f"{path}  is {what}. Save it as CSV UTF-8.")
        if start.startswith(codecs.BOM_UTF8):
            return "utf-8-sig"
        return "utf-8" if _is_utf8(chain([start], iter(lambda: file.read(_CHUNK), b""))) else "cp1252"


def _no_csv(start: bytes) -> str | None:
    """What spreadsheets write besides; UTF-16 also without a mark, by the empty half of its first letters."""
    if start.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        return "a workbook"
    letters = start[:_FIRST_LETTERS]
    halves = (letters[::2], letters[1::2])
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or any(
        half and not any(half) for half in halves
    ):
        return "UTF-16"
    return None


def _is_utf8(chunks: Iterable[bytes]) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for chunk in chunks:
            decoder.decode(chunk)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _opened(path: Path, encoding: str) -> TextIO:
    # What is not of this encoding becomes surrogates, and those spoil their own row only.
    return io.TextIOWrapper(open_regular(path), encoding=encoding, errors="surrogateescape", newline="")


def _delimiter(file: TextIO) -> str:
    header = next((line for line in iter(lambda: file.readline(_LONGEST_ROW), "") if line.strip()), "")
    if hint := _HINT.fullmatch(header):
        return hint[1]
    outside = re.sub(r'"[^"]*"', "", header)
    return max(_DELIMITERS, key=outside.count)


def _columns(header: list[str], where: str) -> list[str]:
    if any("@" in cell for cell in header):
        raise SequenceError(
            f"{where}  no header. Begin with a line of column names, like email,first_name,company."
        )
    while header and not header[-1].strip():  # spreadsheets like to end it with empty cells
        header = header[:-1]
    if len(header) > _MOST_COLUMNS:
        raise SequenceError(f"{where}  {len(header):,} columns. {_MOST_COLUMNS} are the most.")
    columns = [re.sub(r"[\s-]+", "_", cell.strip().lower()) for cell in header]
    columns = ["email" if name in _ADDRESS_COLUMNS else name for name in columns]
    complaints = [f"{where}  {words}" for words in (*_misnamed(columns, header), *_twice(columns))]
    if "email" not in columns:
        complaints.append(f'{where}  no column "email". Found: {_readable(", ".join(columns))}.')
    if complaints:
        raise SequenceError(*complaints)
    return columns


def _misnamed(columns: list[str], header: list[str]) -> Iterator[str]:
    for number, (name, cell) in enumerate(zip(columns, header, strict=True), start=1):
        if not name:
            yield f"column {number} has no name. Write one, or delete the column."
        elif not _NAME.fullmatch(name):
            yield f'column {number}: {cell[:80]!r} is no name for a variable. Write it like "{_suggestion(name)}".'


def _suggestion(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name.replace("ß", "ss")).encode("ascii", "ignore").decode()
    words = re.sub(r"[^a-z0-9]+", "_", plain).strip("_")[:40]
    return words if _NAME.fullmatch(words) else f"column_{words}".rstrip("_")


def _twice(columns: list[str]) -> Iterator[str]:
    for number, name in enumerate(columns, start=1):
        if name and name in columns[: number - 1]:
            first = columns.index(name) + 1
            yield f'columns {first} and {number} are both "{name}". Rename one, or delete it.'
