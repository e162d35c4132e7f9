"""Strict JSON: what two readers could read in two ways is not read."""

import json
import math
import re
from typing import NoReturn

Json = dict[str, object]

DEEPEST = 50

#: A string to its end, or a bracket. Never tries a string twice, so it is linear in anything.
_NESTING = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[{]|[\]}]', re.DOTALL)


#: One that would be a whole one beside another: only then it is worth looking.
_HALF = re.compile(r"\\u[dD][89a-fA-F]")


class NotStrict(ValueError):
    """What is wrong with it, as the end of a sentence: `it is not UTF-8`."""


def read_object(body: bytes) -> Json:
    """The one JSON object that these bytes are. Raises NotStrict."""
    if body.startswith(b"\xef\xbb\xbf"):
        raise NotStrict("it starts with a byte order mark. JSON has none.")
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise NotStrict("it is not UTF-8.") from None
    if _is_too_deep(text):
        raise NotStrict(f"it is nested more than {DEEPEST} levels deep.")
    found = _parsed(text)
    if not isinstance(found, dict):
        raise NotStrict("it is no JSON object.")
    return found


def _parsed(text: str) -> object:
    try:
        found: object = _DECODER.decode(text)
        if _HALF.search(text):  # the bytes were UTF-8, so half a character can only have been written out
            json.dumps(found, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        raise NotStrict("a text in it has half a character (a lone surrogate).") from None
    except json.JSONDecodeError as error:
        raise NotStrict(f"it is not JSON: {error.msg}, line {error.lineno}, column {error.colno}.") from None
    except NotStrict:
        raise
    except ValueError:  # Python's own limit: an integer of more than 4300 digits
        raise NotStrict("a number in it is beyond all reason.") from None
    return found


def _is_too_deep(text: str) -> bool:
    """Looks before the parser falls in."""
    if text.count("{") + text.count("[") <= DEEPEST:
        return False
    depth = 0
    for token in _NESTING.finditer(text):
        match token[0][0]:
            case "[" | "{":
                depth += 1
                if depth > DEEPEST:
                    return True
            case "]" | "}":
                depth -= 1
    return False


def _no_name_twice(pairs: list[tuple[str, object]]) -> Json:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise NotStrict("an object in it has the same name twice.")
    return found


def _no_number(name: str) -> NoReturn:
    raise NotStrict(f"{name} is no number in JSON.")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise NotStrict("a number in it is beyond all reason.")
    return number


_DECODER = json.JSONDecoder(object_pairs_hook=_no_name_twice, parse_constant=_no_number, parse_float=_finite)
