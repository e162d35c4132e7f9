"""What in a letter's head may deceive whoever reads it: names that are addresses, letters of other alphabets, signs that turn words round. Pure."""

import re
import unicodedata
from collections.abc import Iterator, Mapping

from engine.addresses import domain

#: They turn the direction of what follows, or have no width at all.
_TURNS = re.compile("[\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069]")
_UNSEEN = re.compile("[\u00ad\u200b-\u200d\u2060-\u2064\ufeff]")
_ADDRESS = re.compile(r"[^\s@<>\"]{1,64}@[^\s@<>\"]{1,255}")
_MARKUP = re.compile(r'[<>"]')
_LOOKED_AT = 20_000


def tricks(people: Mapping[str, str], *, subject: str = "", text: str = "") -> tuple[str, ...]:
    """In words, each once. `people`: the name of everybody in the head, by their address; empty: none."""
    return tuple(dict.fromkeys(_found(people, subject, text)))


def _found(people: Mapping[str, str], subject: str, text: str) -> Iterator[str]:
    for address, name in people.items():
        yield from of_a_name(name, address)
        yield from of_an_address(address)
    yield from _of_words("The subject", subject)
    yield from _of_words("The text", text[:_LOOKED_AT])


def of_a_name(name: str, address: str) -> Iterator[str]:
    """A name that says more than a name."""
    other = _ADDRESS.search(name)
    if other and other[0].lower() != address.lower():
        yield f"The name of {address} is another address: {other[0]}"
    elif _MARKUP.search(name):
        yield f"The name of {address} has signs in it that belong to addresses: < > or quotes"
    yield from _of_words(f"The name of {address}", name)


def of_an_address(address: str) -> Iterator[str]:
    """A domain that may be another one than it looks like."""
    where = domain(address)
    if where.startswith("xn--") or ".xn--" in where:
        yield f"The domain of {address} is written in other letters: {_shown(where)}"
    elif not where.isascii():
        yield f"The domain of {address} has letters that are not a to z; in the mail it is {_plain(where)}"
    if any(len(_scripts(part)) > 1 for part in _shown(where).split(".")):
        yield f"The domain of {address} mixes letters of several alphabets"


def _of_words(what: str, words: str) -> Iterator[str]:
    if _TURNS.search(words):
        yield f"{what} has signs that turn the direction of writing: it may read otherwise than it is"
    if _UNSEEN.search(_without_joined_pictures(words)):
        yield f"{what} has signs that cannot be seen"


def _without_joined_pictures(words: str) -> str:
    """Some pictures are several, joined by a sign without a width: nobody hides anything there."""
    return re.sub("(?<=[\U0001f000-\U0001ffff\u2600-\u27bf\ufe0f])\u200d", "", words)


def _scripts(part: str) -> set[str]:
    names = (unicodedata.name(letter, "").partition(" ")[0] for letter in part if letter.isalpha())
    return {name for name in names if name in {"LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE"}}


def _shown(where: str) -> str:
    try:
        return where.encode("ascii").decode("idna")
    except (UnicodeError, ValueError):
        return where


def _plain(where: str) -> str:
    try:
        return where.encode("idna").decode("ascii")
    except (UnicodeError, ValueError):
        return "no domain at all"
