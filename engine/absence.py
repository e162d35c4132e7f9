"""When somebody is back, according to their out-of-office message. Pure.

Words, not grammar: a day counts only if a phrase of absence or return stands near it in the same sentence; the phrases
of twelve languages are in absence.txt. In doubt there is no answer, and whoever asked waits as long as for a message
that names no day at all.

- "until", "bis", "jusqu'au", "t.o.m." is the last day away, and the day of return the one after it; but "not back until
  Monday" means Monday. If the day after is a Saturday, that is for the window that opens next, not for us.
- A day without a year is the next one of that name. If it has just been, the message is stale; nobody who stays away
  for the better part of a year leaves out the year.
- 9/8 is the ninth of August or the eighth of September. The name of the weekday, another date of the same message, or
  a language in which nobody puts the month first may settle it; English does not.
- An absence that is yet to come says nothing about today.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from enum import Enum
from functools import lru_cache
from itertools import takewhile
from pathlib import Path
from typing import TypeVar

_ENOUGH = 4000  #: characters of a message: who is away says so at once
_FARTHEST = 400  #: days ahead that we believe in
_STALE = 60  #: days for which a date without a year is the past, and not next year
_JUST = 7  #: days for which "the 9th" is the past, and not next month's
_SOON = 3  #: days before an absence at which its notice may already speak: a Friday evening, a zone far east
_NEAR, _FAR = 14, 30  #: words from a phrase to its day; "until" reaches farther back than "on"


def day_of_return(subject: str, text: str, today: date) -> date | None:
    """The first day on which they are back at work; None if the message names none, or more than one."""
    said = _split(_own_words(subject, text))
    claims = [claim for sentence in _sentences(said, list(_days_in(said))) for claim in sentence.claims()]
    return _agreed([found for claim in claims if (found := _dated(claim, today))], today)


# --- What is said


class _Says(Enum):
    """What a phrase says about somebody. The values are the names in absence.txt."""

    BACK = "back"  #: they are there again
    REPLY = "reply"  #: they will answer: as good as back
    GONE = "gone"
    NOTHING = "nothing"  #: it only looks like one of the others


class _How(Enum):
    """What the little words before a day make of it."""

    # Where a word is one of these in Polish and another in Portuguese, it is the first.
    PLAIN = ""
    UNTIL = "until"
    BEFORE = "before"
    AFTER = "after"
    TO = "to"  #: the end of a range, if there is a beginning
    AND = "and"
    BETWEEN = "between"
    FROM = "from"


_Date = tuple[int | None, int | None, int]  # year, month, day; None is what was not said


@dataclass(frozen=True, slots=True, kw_only=True)
class _Day:
    """A day, as it is written at these words."""

    begin: int
    end: int
    readings: tuple[_Date, ...] = ()  #: where two make sense: the day first, then the month first
    weekday: int | None = None
    ahead: int | None = None  #: 0 today, 1 tomorrow
    next_one: bool = False  #: "next Friday", which may be this one or the one after
    first: int | None = None  #: "March 2-11" begins on the 2nd
    meant: int = -1  #: which of two readings, if its message tells
    proves: int = -1  #: which of two readings the other dates of its message have, if this one can tell


@dataclass(frozen=True, slots=True)
class _Cue:
    """A phrase that says something about somebody."""

    begin: int
    end: int
    says: _Says


@dataclass(frozen=True, slots=True, kw_only=True)
class _Claim:
    """What a sentence says about a day: the first day back, or the last one away."""

    says: _Says
    day: _Day
    since: _Day | None = None
    after: bool = False
    that_day_only: bool = False


# --- The phrases

_T = TypeVar("_T")
_Phrase = tuple[str, ...]
_Phrases = dict[str, list[tuple[_Phrase, _T]]]  # under the first word, or the last; the longest first


@dataclass(frozen=True, slots=True, kw_only=True)
class _Speech:
    """absence.txt, ready to be looked up."""

    cues: _Phrases[_Says]
    before: _Phrases[_How]
    behind: dict[str, _How]
    weekdays: _Phrases[int]
    ahead: _Phrases[int]
    months: dict[str, int]
    sets: dict[str, frozenset[str]]

    def __getitem__(self, name: str) -> frozenset[str]:
        return self.sets[name]


@lru_cache(maxsize=1)
def _speech() -> _Speech:
    lines = list(_entries())

    def all_of(name: str) -> list[_Phrase]:
        return [phrase for found, groups in lines if found == name for group in groups for phrase in group]

    def numbered(name: str) -> list[tuple[_Phrase, int]]:
        """Months and weekdays: each language names all of them, in their order."""
        groups = [group for found, groups in lines if found == name for group in groups]
        period = {"months": 12, "weekdays": 7}[name]
        return [(phrase, number % period) for number, group in enumerate(groups) for phrase in group]

    behind = {phrase[0]: how for how in _How for phrase in all_of(f"{how.value}*")}
    sets = {name: frozenset(word for phrase in all_of(name) for word in phrase) for name, _ in lines}
    sets["small"] = frozenset(behind).union(*(phrase for how in _How for phrase in all_of(how.value)))
    return _Speech(
        cues=_under(0, [(phrase, says) for says in _Says for phrase in all_of(says.value)]),
        before=_under(-1, [(phrase, how) for how in _How for phrase in all_of(how.value)]),
        behind=behind,
        weekdays=_under(0, numbered("weekdays")),
        ahead=_under(0, [(phrase, days) for days in range(3) for phrase in all_of(f"days {days}")]),
        months={phrase[0]: number + 1 for phrase, number in numbered("months")},
        sets=sets,
    )


def _entries() -> Iterator[tuple[str, list[list[_Phrase]]]]:
    """Name and groups of phrases, line by line. What a language sounds like is told apart here."""
    language = ""
    for line in _plain(Path(__file__).with_name("absence.txt").read_text("utf-8")).splitlines():
        name, _, rest = line.partition(": ")
        if line.startswith("["):
            language = line.strip("[]")
        elif rest and not line.startswith("#"):
            if name == "sounds":
                name = "english" if language == "english" else "day first"
            yield name, [[tuple(_WORD.findall(one)) for one in group.split(",")] for group in rest.split(";")]


def _under(word: int, phrases: Iterable[tuple[_Phrase, _T]]) -> _Phrases[_T]:
    table: _Phrases[_T] = {}
    for phrase, value in sorted(phrases, key=lambda found: -len(found[0])):
        table.setdefault(phrase[word], []).append((phrase, value))
    return table


def _beginning_at(at: int, table: _Phrases[_T], words: _Phrase) -> tuple[int, _T] | None:
    """The longest phrase that begins here: where it ends, and what it means."""
    for phrase, value in table.get(words[at], ()):
        if words[at : at + len(phrase)] == phrase:
            return at + len(phrase), value
    return None


def _ending_at(end: int, table: _Phrases[_T], words: _Phrase) -> tuple[int, _T] | None:
    """The longest phrase that ends here: where it begins, and what it means."""
    for phrase, value in table.get(words[end - 1], ()):
        if words[end - len(phrase) : end] == phrase:
            return end - len(phrase), value
    return None


# --- From letters to words

_WORD = re.compile(r"[a-z]+|[0-9]+|[^\sa-z0-9'\u2019`]")
_ACCENTS = re.compile("[\u0300-\u036f]+")
_ODD_LETTERS = {"ø": "o", "æ": "ae", "œ": "oe", "ł": "l", "đ": "d", "\u00ad": "", "\u200b": ""}
_DASHES = dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212", "-")
_LETTERS = str.maketrans(_ODD_LETTERS | _DASHES)
_COMPOUND = re.compile(r"(?<=[a-z])-(?=[a-z])")
_DOTTED = re.compile(r"\b(?:t\. ?o\. ?m|f\. ?o\. ?m|m\. ?i\. ?v|t ?/ ?m|d)\b\.? ?(?=[0-9a-z])")
_WHAT_IS_ANSWERED = re.compile(r"\b(?:re|aw|sv|vs|antw|odp|fwd?|wg|tr|rv) ?:")

_WROTE = re.compile(
    r"\b(?:wrote|schrieb|ecrit|escribio|escreveu|scritto|schreef|geschreven|skrev|kirjoitti|napisala?|pisze)\b"
)
_ON_THAT_DAY = ("on ", "am ", "le ", "el ", "em ", "il ", "op ", "den ", "pa ", "w dniu ", "dnia ")
_MESSAGE = re.compile(
    r"\b(?:message|nachricht|mensaje|mensagem|messaggio|bericht|melding|besked|meddelande|viesti|wiadomosc)\b"
)
_FROM = re.compile(r"\W*(?:from|von|de|van|fra|fran|da|od|lahettaja)\W{0,3}:")
_SENT = re.compile(
    r"\W*(?:sent|subject|gesendet|betreff|envoye|objet|enviado|enviado el|asunto|assunto|inviato|oggetto|verzonden"
    r"|onderwerp|sendt|emne|skickat|amne|lahetetty|aihe|wyslano|temat)\W{0,3}:"
)


@dataclass(frozen=True, slots=True)
class _Said:
    """The message, word by word. Behind the end come empty words, so that looking ahead is never too far."""

    words: _Phrase
    glued: tuple[bool, ...]  #: no space before it


def _split(text: str) -> _Said:
    words, glued, end = [], [], -1
    for found in _WORD.finditer(text):
        words.append(found[0])
        glued.append(found.start() == end)
        end = found.end()
    return _Said((*words, *[""] * 8), (*glued, *[False] * 8))


def _own_words(subject: str, text: str) -> str:
    """Without what they answer to: a subject of ours behind "Re:", and our own letter below theirs."""
    heading = _plain(subject[: _ENOUGH // 8])
    if answered := _WHAT_IS_ANSWERED.search(heading):
        heading = heading[: answered.start()]
    most = 2 * _ENOUGH  # without its accents one letter may have become many
    lines = [line.strip() for line in _plain(text[:_ENOUGH])[:most].splitlines()]
    begins = (number for number in range(len(lines)) if _history_begins(lines[number : number + 5]))
    end = next(begins, len(lines))
    own = "\n".join(line or "¶" for line in lines[:end] if not line.startswith(">"))
    return f"{heading} ¶ {own}"


def _plain(text: str) -> str:
    """Lower case, no accents, and no dots in what is one word."""
    text = text.casefold()
    if not text.isascii():
        text = _ACCENTS.sub("", unicodedata.normalize("NFKD", text.translate(_LETTERS)))
    return _DOTTED.sub(lambda found: re.sub(r"[^a-z]", "", found[0]) + " ", _COMPOUND.sub(" ", text))


def _history_begins(lines: Sequence[str]) -> bool:
    """Is this line, with those after it, where somebody's program put the letter that it answers?"""
    first = lines[0]
    if first.startswith("---") and first.endswith("---"):
        return _MESSAGE.search(first) is not None
    if _FROM.match(first):
        return any(_SENT.match(line) for line in lines[1:])
    opening = list(takewhile(bool, lines[:3])) if first.startswith(_ON_THAT_DAY) else lines[:1]
    ends = (number + 1 for number, line in enumerate(opening) if line.endswith(":"))
    return any(_WROTE.search(" ".join(opening[:end])) for end in ends)


# --- From words to days

_ORDINALS = frozenset({"st", "nd", "rd", "th"})
_BEHIND_NUMBERS = _ORDINALS | {".", "er", "o", "a", "ste", "de", "of", "d", "-", "/"}
_BEHIND_WEEKDAYS = frozenset([*",.(", "the", "den", "dem", "der", "le", "el", "il", "dia", "d", "o", "l"])
_TO_OR_UNTIL = frozenset({"-", "to", "through", "thru", "until", "till"})
_NO_DATE_BEFORE = frozenset({"floor", "anniversary", "street", "edition", "annual", "century", "avenue"})
_CLOCK_BEFORE, _CLOCK_BEHIND = {"at", "kl", "klo", "alle", "las"}, {"uhr", "h", "pm", "am", "%"}


def _days_in(said: _Said) -> Iterator[_Day]:
    at = 0
    while at < len(said.words):
        if day := _day_at(said, at):
            yield day
        at = day.end if day else at + 1


def _day_at(said: _Said, at: int) -> _Day | None:
    words, speech = said.words, _speech()
    if _is_number(words[at]) or words[at] in speech.months:
        found = _date_at(said, at)
        return found and _with_weekday_behind(found, words)
    if named := _beginning_at(at, speech.weekdays, words):
        return _weekday_at(said, at, *named)
    if (near := _beginning_at(at, speech.ahead, words)) and words[at - 1] not in speech["no day"]:
        return _Day(begin=at, end=near[0], ahead=near[1])
    return None


def _weekday_at(said: _Said, at: int, end: int, weekday: int) -> _Day | None:
    """Monday, and the date that goes with it, if there is one."""
    words, speech = said.words, _speech()
    after = _skip(words, end, _BEHIND_WEEKDAYS, 3)
    if date_behind := _date_at(said, after):
        return replace(date_behind, begin=at, weekday=weekday)
    if words[at] in speech["short"] or words[at - 1] in speech["last"]:
        return None
    if _upto(words[after], 31) and not _is_clock(said, after):
        end = _skip(words, after + 1, _ORDINALS, 1)
        return _Day(begin=at, end=end, readings=((None, None, int(words[after])),), weekday=weekday)
    return _Day(begin=at, end=end, weekday=weekday, next_one=words[at - 1] in speech["next"])


def _with_weekday_behind(day: _Day, words: _Phrase) -> _Day:
    """12/03/2026 (Thursday)"""
    begin = day.end + (words[day.end] in ("(", ","))
    named = _beginning_at(begin, _speech().weekdays, words)
    return replace(day, end=named[0], weekday=named[1]) if named else day


def _date_at(said: _Said, at: int) -> _Day | None:
    for read in (_year_first, _numbers, _number_and_month, _month_and_number, _number_alone):
        if day := read(said, at):
            return day
    return None


def _year_first(said: _Said, at: int) -> _Day | None:
    """2026-03-12"""
    year, sign, month, again, day = said.words[at : at + 5] if _year(said.words[at]) else ("",) * 5
    if sign in ("-", "/", ".") and sign == again and _upto(month, 12) and _upto(day, 31):
        return _Day(begin=at, end=at + 5, readings=((int(year), int(month), int(day)),))
    return None


def _numbers(said: _Said, at: int) -> _Day | None:
    """12.03., 12.3.2026, 12/3, 12/03/26, 12-03-2026"""
    one, sign, other, again = said.words[at : at + 4]
    if not (_upto(one, 31) and sign in ("-", "/", ".") and _upto(other, 31)):
        return None
    if _inside_a_longer_number(said, at):
        return None
    year, end = None, at + 3
    if again == sign and (year := _short_or_long_year(said, at + 4)):
        end = at + 5
    elif sign == "-" or not _is_date_without_year(said, at):
        return None
    elif again == sign == ".":
        end = at + 4
    return None if _number_goes_on(said, end) else _as_day(at, end, sign, int(one), int(other), year)


def _is_date_without_year(said: _Said, at: int) -> bool:
    """And not a time, a version, a percentage, or "24/7"."""
    words = said.words
    if words[at - 1] in _CLOCK_BEFORE or words[at + 3] in _CLOCK_BEHIND:
        return False
    both_dotted = words[at + 3] == words[at + 1] == "."
    return (
        said.glued[at + 1] and (said.glued[at + 2] or both_dotted) and words[at : at + 3] != ("24", "/", "7")
    )


def _is_clock(said: _Said, at: int) -> bool:
    """A number that is an hour, or the first of two."""
    behind = said.words[at + 1]
    return behind in _CLOCK_BEHIND or (behind in (":", ".", "-") and _is_number(said.words[at + 2]))


def _inside_a_longer_number(said: _Said, at: int) -> bool:
    return said.glued[at] and said.words[at - 1] in ("+", ".", "/", ":") and not said.words[at - 2].isalpha()


def _number_goes_on(said: _Said, end: int) -> bool:
    sign, behind = said.words[end], said.words[end + 1]
    if said.glued[end] and _is_number(sign):
        return True
    return sign in (".", ":", "/") and said.glued[end] and said.glued[end + 1] and _is_number(behind)


def _as_day(begin: int, end: int, sign: str, one: int, other: int, year: int | None) -> _Day | None:
    day_first: list[_Date] = [(year, other, one)] if other <= 12 else []
    month_first: list[_Date] = [(year, one, other)] if one <= 12 and sign != "." and one != other else []
    readings = tuple(day_first + month_first)
    proves = -1
    if sign != "." and year and one != other:  # dots are the same everywhere, and 3/31 may be no date at all
        proves = 0 if not month_first else 1 if not day_first else -1
    return _Day(begin=begin, end=end, readings=readings, proves=proves) if readings else None


def _number_and_month(said: _Said, at: int) -> _Day | None:
    """12 March, 12th of March 2026, 12. März, 1er mars, 12 de marzo de 2026, 12-Mar-26"""
    words = said.words
    if not _upto(words[at], 31):
        return None
    behind = _skip(words, at + 1, _BEHIND_NUMBERS, 3)
    if not (month := _speech().months.get(words[behind])):
        return None
    at_year = _skip(words, behind + 1, {",", ".", "de", "del", "-", "/"}, 2)
    year = _year(words[at_year])
    if not year and words[behind + 1] in ("-", "/") and said.glued[behind + 2]:
        year = _short_or_long_year(said, behind + 2)
    return _Day(begin=at, end=at_year + 1 if year else behind + 1, readings=((year, month, int(words[at])),))


def _month_and_number(said: _Said, at: int) -> _Day | None:
    """March 12, Mar. 12th, March 2-11, 2026"""
    words, months = said.words, _speech().months
    month, behind = months.get(words[at]), _skip(words, at + 1, {".", "the"}, 2)
    if (
        not month
        or not _upto(words[behind], 31)
        or words[_skip(words, behind + 1, _BEHIND_NUMBERS, 2)] in months
    ):
        return None  # in "mar. 12 mars" it is a Tuesday
    day, first, end = int(words[behind]), None, _skip(words, behind + 1, _ORDINALS, 1)
    if words[end] in _TO_OR_UNTIL and _upto(words[end + 1], 31) and int(words[end + 1]) > day:
        behind = _skip(words, end + 2, _ORDINALS, 1)
        if words[behind] not in months and not _number_goes_on(said, behind):
            day, first, end = int(words[end + 1]), day, behind
    at_year = _skip(words, end, {","}, 1)
    year = _year(words[at_year])
    return _Day(begin=at, end=at_year + 1 if year else end, readings=((year, month, day),), first=first)


def _number_alone(said: _Said, at: int) -> _Day | None:
    """the 12th, am 12."""
    number, sign, behind, before = *said.words[at : at + 3], said.words[at - 1]
    if not _upto(number, 31) or behind in _NO_DATE_BEFORE:
        return None
    english = before == "the" and sign in _ORDINALS
    german = before in ("am", "zum") and sign == "." and said.glued[at + 1]
    return _Day(begin=at, end=at + 2, readings=((None, None, int(number)),)) if english or german else None


def _skip(words: _Phrase, at: int, these: Iterable[str], most: int) -> int:
    end = at + most
    while at < end and words[at] in these:
        at += 1
    return at


def _is_number(word: str) -> bool:
    return word.isascii() and word.isdigit()


def _upto(word: str, most: int) -> bool:
    return len(word) <= 2 and _is_number(word) and 1 <= int(word) <= most


def _year(word: str) -> int | None:
    return int(word) if len(word) == 4 and _is_number(word) and word.startswith("20") else None


def _short_or_long_year(said: _Said, at: int) -> int | None:
    word = said.words[at]
    short = len(word) == 2 and _is_number(word) and said.glued[at]
    return 2000 + int(word) if short else _year(word)


# --- From days to what is said about them


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sentence:
    """What stands between two full stops: days, and phrases that may be about them."""

    words: _Phrase
    begin: int
    end: int
    days: tuple[_Day, ...]
    cues: tuple[_Cue, ...]
    heading: bool  #: just before it somebody said that they are away, or nobody says anything else at all

    def claims(self) -> Iterator[_Claim]:
        starts = [self._start(number) for number in range(len(self.days))]
        taken = {(start.begin, start.end) for start in starts if start}
        for number, day in enumerate(self.days):
            if (day.begin, day.end) not in taken and (claim := self._claim(number, starts[number])):
                yield claim

    def _claim(self, number: int, start: _Day | None) -> _Claim | None:
        how, begin = self._how(self.days[number])
        if start or how is _How.UNTIL:
            return self._to_the_end(number, start, start.begin if start else begin)
        return self._on_the_day(number, how, begin)

    def _how(self, day: _Day) -> tuple[_How, int]:
        """The preposition, and where it begins."""
        speech = _speech()
        begin = self._before_fillers(self._before_hour(self._before_fillers(day.begin)))
        found = _ending_at(begin, speech.before, self.words)
        if found and found[0] >= self.begin:
            return found[1], found[0]
        return speech.behind.get(self.words[day.end], _How.PLAIN), begin

    def _before_fillers(self, end: int) -> int:
        """Where the little words begin that end here."""
        while end > self.begin and self._is_little(end - 1):
            end -= 1
        return end

    def _is_little(self, at: int) -> bool:
        """Like "am" in German, but not in "8 am"; and the dot of "approx."."""
        word, before = self.words[at], self.words[at - 1]
        return not (word == "am" and _is_number(before)) and (
            _is_light(word) or (word == "." and _is_light(before))
        )

    def _before_hour(self, end: int) -> int:
        """In "until 8:00 am on Monday" the hour is a little word, too."""
        words = self.words
        hour = end - (words[end - 1] in _CLOCK_BEHIND)
        minutes = 2 if words[hour - 2] in (":", ".") and _is_number(words[hour - 1]) else 0
        is_hour = (minutes or hour < end) and _is_number(words[hour - 1 - minutes])
        return max(self.begin, hour - 1 - minutes) if is_hour else end

    def _start(self, number: int) -> _Day | None:
        """Where the duration began that ends on this day."""
        day = self.days[number]
        if day.first:
            return _Day(begin=day.begin, end=day.begin, readings=((None, None, day.first),))
        how, begin = self._how(day)
        if how not in (_How.TO, _How.UNTIL, _How.AND):
            return None
        before = self.days[number - 1] if number else None
        near = before and how is _How.UNTIL and begin - before.end < _NEAR
        if before and near and self._how(before)[0] in (_How.FROM, _How.BETWEEN):
            return before
        start = before if before and self._before_fillers(begin) <= before.end else self._bare_number(begin)
        return start if start and self._may_begin_there(start, day, how) else None

    def _may_begin_there(self, start: _Day, day: _Day, how: _How) -> bool:
        """Two weekdays with nothing before them are office hours, or every week's."""
        first = self._how(start)[0]
        only_weekdays = start.weekday is not None and not (start.readings or day.readings)
        if only_weekdays and first not in (_How.FROM, _How.BETWEEN):
            return how is _How.UNTIL
        return how is not _How.AND or first in (_How.PLAIN, _How.BETWEEN)

    def _bare_number(self, end: int) -> _Day | None:
        """In "2. bis 11. März" the 2."""
        at = end - 1 - (self.words[end - 1] in _BEHIND_NUMBERS)
        if at < self.begin or not _upto(self.words[at], 31) or self.words[at - 1] == ":":
            return None
        return _Day(begin=at, end=end, readings=((None, None, int(self.words[at])),))

    def _to_the_end(self, number: int, start: _Day | None, begin: int) -> _Claim | None:
        """Of a duration. Away until then, or not back until then; a range of days to be back on is no day."""
        day = self.days[number]
        cue = self._cue_before(begin, _FAR, (_Says.BACK, _Says.GONE)) or self._cue_behind(number)
        says = cue.says if cue else _Says.GONE if self.heading and self._says_nothing_else() else None
        if says is _Says.GONE:
            return _Claim(says=says, day=day, since=start)
        not_back = cue and says is _Says.BACK and self._is_denied(cue)
        return _Claim(says=_Says.BACK, day=day) if not_back and not start else None

    def _is_denied(self, cue: _Cue) -> bool:
        """Nobody is back until a day; they are not."""
        return any(word in _speech()["not"] for word in self.words[self.begin : cue.begin])

    def _on_the_day(self, number: int, how: _How, begin: int) -> _Claim | None:
        day = self.days[number]
        behind = self._cue_behind(number)
        since = self.days[number - 1].end if number else self.begin
        back = behind if behind and behind.says is not _Says.GONE else None
        back = back or self._cue_before(begin, _NEAR, (_Says.BACK, _Says.REPLY), since=since)
        if back:
            return _Claim(says=_Says.BACK, day=day, after=how is _How.AFTER)
        gone = behind or self._cue_before(begin, _NEAR, (_Says.GONE,), since=since)
        if gone and how is _How.BEFORE:  # "not in the office before Monday"
            return _Claim(says=_Says.BACK, day=day)
        return _Claim(says=_Says.GONE, day=day, that_day_only=True) if gone and how is _How.PLAIN else None

    def _cue_before(self, begin: int, most: int, these: tuple[_Says, ...], since: int = -1) -> _Cue | None:
        """The last one that may be about a day here. Since a day before it, a comma begins another thought."""
        least = max(since, self.begin)
        for cue in reversed(self.cues):
            if cue.says in these and least <= cue.begin < begin <= cue.end + most:
                between = self.words[cue.end : begin]
                parted = since >= 0 and ("," in between or "-" in between)
                return None if parted or self._something_else(cue.end, begin) else cue
        return None

    def _cue_behind(self, number: int) -> _Cue | None:
        """The first one, if nothing but little words part it from the day, and no other day is nearer to it."""
        day = self.days[number]
        last = number + 1 == len(self.days)
        cue = next((cue for cue in self.cues if cue.begin >= day.end), None)
        if not cue or cue.begin >= day.end + _NEAR:
            return None
        if not last and self._is_nearer_to(self.days[number + 1], cue):
            return None
        begin = day.end + (self.words[day.end] == ")")
        alone = not any(cue.begin < day.begin for cue in self.cues)
        if self.words[begin] == "," and (alone or (last and cue.begin == begin + 1)):
            begin += 1
        parted = any(word in _PAUSES or word in _speech()["but"] for word in self.words[begin : cue.begin])
        return None if parted or self._something_else(self.begin if alone else day.end, cue.begin) else cue

    def _is_nearer_to(self, following: _Day, cue: _Cue) -> bool:
        """In "after the holiday on 6 March I am back on 9 March" it is the 9th."""
        how, begin = self._how(following)
        pause = any(word in _PAUSES for word in self.words[cue.end : following.begin])
        joined = how not in (_How.AND, _How.TO) and begin <= cue.end and not pause
        return cue.begin >= following.begin or joined

    def _something_else(self, begin: int, end: int) -> bool:
        """Is it about our fair, rather than about them?"""
        speech, words = _speech(), self.words
        others = (at for at in range(begin, end) if words[at] in speech["else"])
        return any(words[at + 1] not in speech["home"] for at in others)

    def _says_nothing_else(self) -> bool:
        dated = {at for day in self.days for at in range(day.begin, day.end)}
        words = (self.words[at] for at in range(self.begin, self.end) if at not in dated)
        return all(_is_light(word) or _is_number(word) or word in _speech()["small"] for word in words)


_PAUSES = frozenset({",", ":", "(", "["})
_BEHIND_DOTTED_DAYS = frozenset({"-", "bis", "und", "til", "till", "og", "och", "ja"})  # "2. bis 11. März"
_BREAKS = frozenset({".", "!", "?", ";", "¶", "•", "*", "|"})


def _is_light(word: str) -> bool:
    return word in _PAUSES or word in _speech()["filler"]


def _sentences(said: _Said, days: Sequence[_Day]) -> Iterator[_Sentence]:
    proven = {day.proves for day in days} - {-1}
    cues = list(_cues(said.words))
    bounds = [(begin, end) for begin, end in _bounds(said, days) if begin < end]
    alone = len(bounds) == 1
    for begin, end in bounds:
        own = [day for day in days if begin <= day.begin < end]
        if own:
            meant = min(proven) if len(proven) == 1 else _by_language(said.words[begin:end], said.words)
            yield _Sentence(
                words=said.words,
                begin=begin,
                end=end,
                days=tuple(replace(day, meant=meant) for day in own),
                cues=tuple(cue for cue in cues if begin <= cue.begin < end),
                heading=alone
                or any(cue.says is _Says.GONE and begin - _FAR < cue.end <= begin for cue in cues),
            )


def _bounds(said: _Said, days: Iterable[_Day]) -> Iterator[tuple[int, int]]:
    inside = {at for day in days for at in range(day.begin, day.end)}
    begin = 0
    for at, word in enumerate(said.words):
        stops = word in _BREAKS and at not in inside and (word != "." or _ends_a_sentence(said, at, inside))
        if stops or not word:
            yield begin, at
            begin = at + 1


def _ends_a_sentence(said: _Said, at: int, inside: set[int]) -> bool:
    """The dot of a number, of an abbreviation or of a domain does not."""
    before = said.words[at - 1]
    if said.glued[at + 1] or at - 1 in inside:
        return not said.glued[at + 1]
    if _upto(before, 99):
        return said.words[at + 1] not in _BEHIND_DOTTED_DAYS
    return not (len(before) == 1 and before.isalpha()) and before not in _speech()["abbreviations"]


def _cues(words: _Phrase) -> Iterator[_Cue]:
    at = 0
    while at < len(words):
        found = _beginning_at(at, _speech().cues, words)
        if found and found[1] is not _Says.NOTHING:
            yield _Cue(at, *found)
        at = found[0] if found else at + 1


def _by_language(sentence: _Phrase, message: _Phrase) -> int:
    """Which of two readings is meant, by the language of the sentence, or of the whole: the day first, or who knows."""
    speech = _speech()
    for words in (sentence, message):
        day_first = sum(word in speech["day first"] for word in words)
        english = sum(word in speech["english"] for word in words)
        if day_first != english:
            return 0 if day_first > english else -1
    return -1


# --- From what is said to a date


def _dated(claim: _Claim, today: date) -> tuple[_Says, date] | None:
    day = _date_of(claim.day, today)
    if not day or (claim.that_day_only and day != today):
        return None
    if claim.since and (since := _beginning(claim.since, day, today)) and (since - today).days > _SOON:
        return None
    return claim.says, _later(day, 1) if claim.after else day


def _agreed(said: Sequence[tuple[_Says, date]], today: date) -> date | None:
    """A day of return is believed before a last day away; two of them that differ are none."""
    believable = [(says, day) for says, day in said if 0 <= (day - today).days <= _FARTHEST]
    back = {day for says, day in believable if says is _Says.BACK and day > today}
    last = {day for says, day in believable if says is _Says.GONE}
    if back:
        return max(back) if len(back) == 1 and max(last, default=today) <= max(back) else None
    found = _later(max(last), 1) if len(last) == 1 else today
    return found if 0 < (found - today).days <= _FARTHEST else None


def _date_of(day: _Day, today: date) -> date | None:
    if day.ahead is not None:
        return _later(today, day.ahead)
    if not day.readings:
        return _next_weekday(day, today)
    found = [_next(reading, today) for reading in day.readings]
    if len(found) == 1:
        return None if _is_another_weekday(day, found[0]) else found[0]
    on_that_weekday = [one for one in found if one and one.weekday() == day.weekday]
    if len(on_that_weekday) == 1:
        return on_that_weekday[0]
    return found[day.meant] if day.meant >= 0 else None


def _is_another_weekday(day: _Day, found: date | None) -> bool:
    """Of "Monday the 9th" both must hold; with a month beside it, the weekday may be a slip."""
    alone = day.weekday is not None and day.readings[0][1] is None
    return alone and found is not None and found.weekday() != day.weekday


def _next_weekday(day: _Day, today: date) -> date | None:
    """Not today's own: it may be meant, or the one in a week. "Next Friday" is clear only when this week's has been."""
    if day.weekday is None or (days := (day.weekday - today.weekday()) % 7) == 0:
        return None
    return None if day.next_one and day.weekday > today.weekday() else _later(today, days)


def _next(written: _Date, today: date) -> date | None:
    year, month, day = written
    if year and month:
        return _day_of(year, month, day)
    if month:
        around = [_day_of(today.year + years, month, day) for years in (-1, 0, 1)]
        stale = _STALE
    else:
        months = [divmod(today.year * 12 + today.month - 1 + step, 12) for step in (-1, 0, 1)]
        around = [_day_of(year, month + 1, day) for year, month in months]
        stale = _JUST
    distances = [((found - today).days, found) for found in around if found]
    if any(-stale <= days < 0 for days, _ in distances):
        return None
    return next((found for days, found in distances if days >= 0), None)


def _beginning(start: _Day, end: date, today: date) -> date | None:
    """When a duration begins that ends then: what it leaves out, its end has said."""
    if start.ahead is not None:
        return _later(today, start.ahead)
    if not start.readings:
        return _later(end, -((end.weekday() - (start.weekday or 0)) % 7))
    if len(start.readings) > 1 and start.meant < 0:
        return None
    year, month, day = start.readings[start.meant if len(start.readings) > 1 else 0]
    found = _day_of(year or end.year, month or end.month, day)
    return _day_of(end.year - 1, month or end.month, day) if found and found > end and not year else found


def _day_of(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None


def _later(day: date, days: int) -> date:
    """At either end of the calendar it stands still."""
    return date.fromordinal(min(max(day.toordinal() + days, date.min.toordinal()), date.max.toordinal()))
