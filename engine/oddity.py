"""What a reviewer should look at twice, before two hundred letters that look alike: pure, and only ever a hint.

A value that is empty, or that nobody can have meant; a letter far from as long as it was written; another language,
another script; signs that cannot be seen.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache

from engine.errors import Refused
from engine.render import used

MOST = 12
_LOOKED_AT = 20_000  #: signs of a text; whoever writes more is odd already
_LONG_VALUE = 60
_USUAL_VALUE = 10
_ENOUGH_WORDS = 4

#: What somebody typed where they did not know what to write.
_STOPGAPS = frozenset(
    {
        "n/a",
        "na",
        "none",
        "null",
        "nil",
        "nan",
        "undefined",
        "unknown",
        "test",
        "todo",
        "tbd",
        "xxx",
        "-",
        "--",
        "?",
        ".",
    }
    | {"firstname", "first_name", "name", "company", "company name", "#n/a", "#ref!", "asdf"}
)
_LEFT_OVER = re.compile(r"\{\{|\}\}|\{%|%\}|\[[a-z]+[_ ][a-z]+\]|%\([a-z_]+\)s|<<[a-z_]+>>", re.IGNORECASE)
_WORD = re.compile(r"[^\W\d_]+")
#: Right-to-left overrides, joiners and other signs without a width. Emoji are joined by some of them, and are left alone.
_UNSEEN = re.compile("[\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff\u00ad]")

_COMMON = {
    "English": "the and you for with that this have your are was not would from can about will our they if",
    "German": "der die das und ist nicht ich sie mit für auf ein eine wir zu den von haben auch noch",
    "French": "le la les et vous pour avec est une des que dans nous pas sur votre ce au merci bonjour",
    "Spanish": "el los las y que para con una por su está usted nos pero como más gracias hola del es",
    "Italian": "il lo gli e che per con una di non sono è vi della grazie ciao anche come questo nel",
    "Dutch": "de het een en van voor met dat niet ik je zijn op ook naar maar wij uw dank heb",
    "Norwegian": "og det er ikke en på for med til jeg vi du har som av hei takk vil dere eller",
    "Swedish": "och det är inte en på för med till jag vi du har som av hej tack att ni eller",
    "Portuguese": "o os as e que para com uma por não está você nos mas como mais obrigado olá do seu",
    "Polish": "i w nie na jest się z do to że dla jak od za po czy ale dzień dziękuję proszę",
}
_TONGUES = {tongue: frozenset(words.split()) for tongue, words in _COMMON.items()}


def of_a_value(name: str, value: str, *, among: str) -> Iterator[str]:
    """What is strange about it, in words. `among`: the author's own words around it."""
    said = value.strip()
    if not said:
        yield f"{name} is empty"
        return
    if said.lower() in _STOPGAPS:
        yield f"{name} reads like a stopgap: {said[:20]}"
    if len(said) > _LONG_VALUE:
        yield f"{name} is {len(said):,} characters long"
    if "\n" in said or "\r" in said:
        yield f"{name} has several lines"
    if len(said) > 3 and said.isupper() and " " in said:
        yield f"{name} is all in capitals"
    yield from _of_its_script(name, said, among)


def of_a_text(text: str) -> Iterator[str]:
    """What is strange about the words, whoever wrote them."""
    if found := _LEFT_OVER.search(text[:_LOOKED_AT]):
        yield f"a gap was not filled: {found[0][:20]}"
    if _UNSEEN.search(text[:_LOOKED_AT]):
        yield "it has signs that cannot be seen"


def of_its_length(text: str, template: str) -> Iterator[str]:
    """Far from what the author had before their eyes."""
    words = re.sub(r"\{[{%#].*?[}%#]\}", " " * _USUAL_VALUE, template[:_LOOKED_AT], flags=re.DOTALL)
    usual, length = max(len(words.strip()), 1), len(text.strip())
    if length > 40 + usual * 1.6:
        yield f"much longer than the template: {length:,} instead of some {usual:,} characters"
    elif usual > 60 and length < usual * 0.5:
        yield f"much shorter than the template: {length:,} instead of some {usual:,} characters"


def of_an_address(address: str) -> Iterator[str]:
    """One that may not be what it looks like."""
    where = address.rpartition("@")[2]
    if any(part.startswith("xn--") for part in where.lower().split(".")):
        yield f"the domain of {address} is written in other letters than it shows"


def oddities(
    text: str, to: str, *, template: str | None = None, known: Mapping[str, object] | None = None
) -> tuple[str, ...]:
    """All that was found, the plainest first. Without a template nothing can be compared."""
    return tuple(dict.fromkeys(_found(text, to, template, known or {})))[:MOST]


def rank(found: Iterable[str]) -> int:
    """The odder, the lower."""
    return -len(tuple(found))


def alike(version: str, step: str, variant: str | None) -> str:
    """What letters have in common that are one way to say one step."""
    return ".".join((version, step, variant or ""))


def version_in(alike: str) -> str:
    """Of the sequence that they are of."""
    return alike.partition(".")[0]


def _found(text: str, to: str, template: str | None, known: Mapping[str, object]) -> Iterator[str]:
    if template is not None:
        for name in _names(template):
            if name not in {"step", "email", "sequence", "owner"}:
                yield from of_a_value(name, str(known.get(name, "")), among=template)
        yield from of_its_length(text, template)
    yield from of_a_text(text)
    yield from of_an_address(to)


def _names(template: str) -> tuple[str, ...]:
    try:
        return used(template)
    except Refused:
        return ()


def _of_its_script(name: str, value: str, among: str) -> Iterator[str]:
    script, usual = _script(value[:200]), _script(among[:2000])
    if script and usual and script != usual:
        yield f"{name} is written in {script.title()} letters"
    elif _UNSEEN.search(value):
        yield f"{name} has signs that cannot be seen"
    else:
        yield from _of_its_tongue(name, value, among)


def _of_its_tongue(name: str, value: str, among: str) -> Iterator[str]:
    said, usual = _tongue(value[:2000]), _tongue(among[:_LOOKED_AT])
    if said and usual and said != usual:
        yield f"{name} seems to be {said}, the letter {usual}"


@lru_cache(maxsize=1024)
def _script(text: str) -> str | None:
    """In whose letters most of it is written."""
    counted = Counter(unicodedata.name(letter, "").partition(" ")[0] for letter in text if letter.isalpha())
    return counted.most_common(1)[0][0] if counted else None


@lru_cache(maxsize=1024)
def _tongue(text: str) -> str | None:
    """The one whose small words it uses most; None when that is not clear."""
    words = [word.lower() for word in _WORD.findall(text)]
    if len(words) < _ENOUGH_WORDS:
        return None
    counted = sorted(
        ((sum(word in known for word in words), tongue) for tongue, known in _TONGUES.items()), reverse=True
    )
    (most, tongue), (next_most, _) = counted[0], counted[1]
    return tongue if most >= 2 and most > next_most else None
