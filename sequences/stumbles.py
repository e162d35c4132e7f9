"""Where YAML breaks off: what an author can do about it, and how little has to be left out to read on."""

import re
from dataclasses import dataclass

import yaml

from engine.sequence import Sequence
from sequences.page import Line, Page

_KEY = re.compile(r"([a-z_]{2,30}):(?=\s|$)")
_LONG_DASHES = "\N{EN DASH}\N{EM DASH}\N{MINUS SIGN}"
_ENTRY = re.compile(rf"[-{_LONG_DASHES}](?=\s|$|[a-z_]{{2,30}}:)")
_AT_THE_TOP = frozenset(info.alias or name for name, info in Sequence.model_fields.items())
_VALUE = re.compile(r"[ \t]*(?P<dashes>(?:- +)*)(?:(?:[A-Za-z_][\w-]*|\"[^\"]*\"): +)?(?=\S)")
_HEADLESS = re.compile(r"(?:\s*- +)?\s*([A-Za-z_]+):(?:[ \t]*[|>][-+0-9]*)?[ \t]*$")
_GLUED = re.compile(r"\s*(?:- +)?([A-Za-z_]+)(:)(?=[^\s:/])(.*)")
_NO_COLON = "a line without a colon"
_A_COLON = "a colon that has no place here"
_NO_DOCUMENT = "this does not fit what is above it. Check the indentation"
_BELOW = "the text below"
_NEVER_CLOSED = "this quote is never closed. Close it"


@dataclass(frozen=True, slots=True)
class Stumble:
    """What is told, and where; and the place from which nothing can be understood."""

    at: int
    words: str
    broken: int

    @property
    def is_text_out_of_place(self) -> bool:
        return self.words.startswith(_BELOW)


def quoted(words: str) -> str:
    return f"'{words}'" if '"' in words else f'"{words}"'


def explain(error: yaml.MarkedYAMLError, page: Page, last: tuple[int, int] | None) -> Stumble:
    """In words. `last` is the text that was read last: if it swallowed lines, the quote before it is what is wrong."""
    told = f"{error.context}: {error.problem}"
    if "but got ':'" in told and _in_one_line(page, error):
        told = "mapping values are not allowed"
    where, words = next((rest for sign, *rest in _STUMBLES if sign in told), ("problem", f"no YAML: {told}"))
    mark = error.context_mark if where == "context" else error.problem_mark
    at = mark.index if mark else 0
    sign = page.text[at : at + 1]
    if sign == "\t":
        return Stumble(at, "a tab. Write spaces", at)
    if last and _swallowed(page, *last, at):
        return Stumble(last[0], _NEVER_CLOSED, last[0])
    if "block scalar" in told:
        sign = next((each for each in reversed(page.line_text(at)[1]) if each in "|>"), "|")
    if words.startswith(_NO_COLON):
        return _without_colon(page, at, words)
    if words.startswith(_A_COLON):
        return _with_colon(page, at, words)
    if dash := _bad_dash(page, page.line_text(at)[0]):
        return dash
    return Stumble(at, words.replace("SIGN", sign), at)


def _in_one_line(page: Page, error: yaml.MarkedYAMLError) -> bool:
    """What is open, and what does not fit into it."""
    marks = (error.context_mark, error.problem_mark)
    return len({page.line(mark.index) for mark in marks if mark}) == 1


def _swallowed(page: Page, start: int, end: int, at: int) -> bool:
    """A quote that was closed by the next one, lines below: between them stand lines with keys."""
    said = page.text[start:end]
    if said[:1] not in ('"', "'") or not (page.line(end) == page.line(at) or page.text[end : end + 1] == "#"):
        return False
    below = [line.lstrip().removeprefix("- ").lstrip() for line in said.splitlines()[1:]]
    return any(_KEY.match(line) for line in below)


def _without_colon(page: Page, at: int, words: str) -> Stumble:
    start, line = page.line_text(at)
    if other := _other_sign(page, start):
        return other
    if glued := _GLUED.match(line):
        said = f'"{glued[1]}: {glued[3].strip()}"'
        return Stumble(start + glued.start(2), f"a blank is missing after the colon. Write {said}", at)
    above, head = _line_above(page, start)
    if (found := _HEADLESS.match(head)) and _indent(line) <= _indent(head, below_dash=True):
        return Stumble(at, f'{_BELOW} "{found[1]}: |" begins further to the right. Indent it', above)
    return Stumble(at, words, at)


def _with_colon(page: Page, at: int, words: str) -> Stumble:
    start, line = page.line_text(at)
    above, head = _line_above(page, start)
    if _indent(head) == _indent(line) and re.fullmatch(r"\s*\w[^:]*(?::\w[^:]*)?", head):
        return _without_colon(page, above + _indent(head), f'{_NO_COLON}. Write "key: value"')
    if found := _bad_dash(page, above) or _other_sign(page, above):
        return found
    value = _value_at(page, at)
    if value and page.text[value.start] not in "\"'|>":
        said = re.split(r"\s#", page.text[value.start : start + len(line)])[0].strip()
        return Stumble(at, f"{_A_COLON}. Put quotes around it: {quoted(said)}", at)
    return Stumble(at, words, at)


def _bad_dash(page: Page, start: int) -> Stumble | None:
    """`-subject:`, or a dash that a word processor made long."""
    said = page.line_text(start)[1].lstrip()
    at = start + len(page.line_text(start)[1]) - len(said)
    if not _ENTRY.match(said) or (said[0] == "-" and said[1:2] in ("", " ", "\t")):
        return None
    word = re.match(r".\s*(\w+:)", said)
    advice = f'Write "- {word[1]} …"' if word else 'Write "- "'
    return Stumble(at, f'an entry of a list begins with "-" and a blank. {advice}', at)


def _other_sign(page: Page, start: int) -> Stumble | None:
    found = _LOOKS_LIKE_A_COLON.match(page.line_text(start)[1])
    if not found:
        return None
    return Stumble(start + found.end() - 1, _OTHER_SIGNS[found[1][-1]], start)


def _line_above(page: Page, start: int) -> tuple[int, str]:
    """The nearest that says something."""
    while start > 0:
        start, line = page.line_text(start - 1)
        if not _says_nothing(line):
            return start, line
    return 0, ""


def _says_nothing(line: str) -> bool:
    return not line.strip() or line.lstrip().startswith("#")


def _indent(line: str, *, below_dash: bool = False) -> int:
    line = line.expandtabs()
    if below_dash:
        line = re.sub(r"^(\s*)((?:- +)+)", lambda found: found[1] + " " * len(found[2]), line)
    return len(line) - len(line.lstrip())


# --- reading on ---


@dataclass(frozen=True, slots=True)
class _Value:
    start: int
    indent: int  #: of its key


def leave_out(page: Page, stumble: Stumble, end: int) -> bool:
    """As little as can be: a value, an entry of a list, or what stands below a key at the top. False: it is all of it."""
    lines = page.lines(end)
    if not lines:
        return False
    if stumble.words == _NO_DOCUMENT:
        page.blank(stumble.broken, end)
        page.lost = True
        return bool(page.text[:end].strip())
    number = min(page.line(stumble.broken), len(lines)) - 1
    if (value := _value_at(page, stumble.broken)) and value.start not in page.covered:
        last = _last_below(lines, number, value.indent)
        page.cover(value.start, lines[number].end)
        page.blank(lines[number].end, lines[last].end)
        return True
    top, entry = _around(lines, number)
    belongs = entry == top or _is_known(lines[top])
    if entry is not None and belongs and lines[entry].dash not in page.entries:
        last = _last_of_block(lines, number, _indent(lines[entry].text))
        _empty_entry(page, lines[entry].dash, lines[entry].end)
        page.blank(lines[entry].end, lines[last].end)
        return True
    last = _last_of_block(lines, number, 0, keys_only=True)
    page.blank(lines[top].start, lines[last].end)
    if top and not _is_known(lines[top]):
        _leave_out_above(page, lines, top)
    page.lost = True
    return bool(page.text[:end].strip())


def _is_known(line: Line) -> bool:
    """A key that belongs at the top."""
    key = _KEY.match(line.text)
    return key is not None and key[1] in _AT_THE_TOP


def _leave_out_above(page: Page, lines: list[Line], number: int) -> None:
    """What stands at the top and does not belong there has been torn out of what is above it."""
    above = next((at for at in range(number - 1, -1, -1) if not _says_nothing(lines[at].text)), 0)
    top, entry = _around(lines, above)
    if entry is None:
        page.blank(lines[top].start, lines[above].end)
    else:
        _empty_entry(page, lines[entry].dash, lines[entry].end)
        page.blank(lines[entry].end, lines[above].end)


def _value_at(page: Page, at: int) -> _Value | None:
    """What stands behind a key or a dash in this line, if it ends there: it can be left out, and nothing moves."""
    start, line = page.line_text(at)
    found = _VALUE.match(line)
    if not found or not found[0].strip() or at < start + found.end():
        return None
    said = line[found.end() :]
    if said[0] in "[{" or (
        said[0] in "\"'" and said.count(said[0]) < 2 and not _is_followed(page, start, line)
    ):
        return None
    return _Value(start + found.end(), _indent(line, below_dash=":" in found[0]))


def _is_followed(page: Page, start: int, line: str) -> bool:
    """By a line that begins something else."""
    end = start + len(line)
    for each in page.text[end : end + 2000].splitlines()[1:]:
        if not _says_nothing(each):
            begins = _KEY.match(each.lstrip()) or _ENTRY.match(each.lstrip())
            return bool(begins) and _indent(each) <= _indent(line, below_dash=True)
    return True


def _last_below(lines: list[Line], number: int, indent: int) -> int:
    """The last of the lines that go on with a value: they stand further to the right than its key."""
    last = number
    for at in range(number + 1, len(lines)):
        if lines[at].text.strip():
            if _indent(lines[at].text) <= indent:
                break
            last = at
    return last


def _around(lines: list[Line], number: int) -> tuple[int, int | None]:
    """The line at the top that this one stands below; and the outermost entry of a list, if it stands in one."""
    entry, least = None, 1_000_000
    for at in range(number, -1, -1):
        text = lines[at].text
        indent = _indent(text)
        if _says_nothing(text) or indent >= least:
            continue
        least = indent
        if _ENTRY.match(text.lstrip()):
            entry = at
        if indent == 0:
            return at, entry
    return 0, entry


def _last_of_block(lines: list[Line], number: int, indent: int, *, keys_only: bool = False) -> int:
    """Down to the next line that begins something else: text that has lost its place begins nothing."""
    for at in range(number + 1, len(lines)):
        text, to_the_right = lines[at].text.lstrip(), _indent(lines[at].text)
        key = _KEY.match(text)
        if key and to_the_right <= indent and (to_the_right or key[1] in _AT_THE_TOP):
            return at - 1
        if not keys_only and to_the_right == indent and _ENTRY.match(text):
            return at - 1
    return len(lines) - 1


def _empty_entry(page: Page, dash: int, end: int) -> None:
    """It keeps its place in the list, so that those below it keep their numbers."""
    page.entries.add(dash)
    page.covered |= {dash + 1, dash + 2}
    page.put(dash, "- ".ljust(end - dash, "x")[: end - dash])


#: What looks like a colon, or like the blank behind it, and is none.
_OTHER_SIGNS = {
    "\N{FULLWIDTH COLON}": 'this is not the sign ":". Write ":" and a blank',
    "\N{NO-BREAK SPACE}": "a no-break space. Write an ordinary blank",
}

_LOOKS_LIKE_A_COLON = re.compile(r"\s*(?:- +)?[a-z_]{2,30}(:\xa0|\uff1a)")

#: What PyYAML says, where to point, and what an author can do about it.
_STUMBLES = (
    ("scanning an alias", "context", 'text cannot begin with "SIGN". Put quotes around it'),
    ("scanning an anchor", "context", 'text cannot begin with "SIGN". Put quotes around it'),
    (" a tag", "context", 'text cannot begin with "SIGN". Put quotes around it'),
    ("scanning a directive", "context", 'text cannot begin with "SIGN". Put quotes around it'),
    ("undefined tag handle", "problem", 'text cannot begin with "SIGN". Put quotes around it'),
    ("mapping keys are not allowed", "problem", 'text cannot begin with "SIGN". Put quotes around it'),
    ("cannot start any token", "problem", 'text cannot begin with "SIGN". Put quotes around it'),
    ("could not find expected ':'", "context", f'{_NO_COLON}. Write "key: value"'),
    (
        "mapping values are not allowed",
        "problem",
        f'{_A_COLON}. Put quotes around text with ": " in it, or check the indentation',
    ),
    ("sequence entries are not allowed", "problem", 'a list cannot begin here. Put "-" below its key'),
    (
        "unknown escape character",
        "problem",
        r"no such escape. Write \\ for a backslash, or use single quotes",
    ),
    (
        "expected escape sequence",
        "problem",
        r"no such escape. Write \\ for a backslash, or use single quotes",
    ),
    ("scanning a quoted scalar", "context", "this quote is never closed. Close it"),
    ("scanning a block scalar", "problem", 'after "SIGN" a new line begins. Write the text below it'),
    (
        "parsing a flow",
        "context",
        'this "SIGN" is not finished. Close it, and put commas between its entries',
    ),
    (
        "parsing a block",
        "problem",
        "this does not fit what is above it. Check the indentation and the quotes",
    ),
    ("expected '<document start>'", "problem", _NO_DOCUMENT),
)
