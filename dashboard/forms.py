"""What a form says: bounded, of one kind, and read once."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl

import anyio
from starlette.requests import Request

from dashboard.refusals import Turned

#: Bytes of a form, and of one of somebody who is not in.
LARGEST: Final = 1024**2
LARGEST_OF_STRANGERS: Final = 16 * 1024
_SLOWEST, _SLOWEST_STRANGER = 60.0, 10.0  #: seconds
_MOST_FIELDS = 2000
_KIND = "application/x-www-form-urlencoded"


async def read_form(request: Request, *, of_stranger: bool = False) -> Mapping[str, tuple[str, ...]]:
    """Every name with all that was said under it. Raises Turned."""
    most, slowest = (LARGEST_OF_STRANGERS, _SLOWEST_STRANGER) if of_stranger else (LARGEST, _SLOWEST)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != _KIND:  # what another kind says could be sent by a page of anybody's without asking us first
        raise Turned(415, f'This page reads forms ({_KIND}), and not "{kind[:60]}".')
    if request.headers.get("content-encoding", "identity") != "identity":
        raise Turned(415, "The form is compressed.")
    try:
        body = (await _body(request, most, slowest)).decode("ascii")
        pairs = parse_qsl(body, keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS)
    except ValueError:
        raise Turned(400, "The form cannot be read: too many fields, or not UTF-8.") from None
    if any("\0" in name or "\0" in value for name, value in pairs):
        raise Turned(400, "There is a NUL in the form: no database keeps it, and no mail carries it.")
    form: dict[str, list[str]] = {}
    for name, value in pairs:
        form.setdefault(name, []).append(value)
    return {name: tuple(values) for name, values in form.items()}


def read_query(said: bytes) -> Mapping[str, str]:
    """What stands behind the `?`. What cannot be read is not there."""
    try:
        pairs = parse_qsl(
            said.decode("ascii"), keep_blank_values=True, errors="replace", max_num_fields=_MOST_FIELDS
        )
    except ValueError:
        return {}
    return {name: value.replace("\0", "\N{REPLACEMENT CHARACTER}") for name, value in pairs}


async def _body(request: Request, most: int, slowest: float) -> bytes:
    too_much = Turned(413, f"The form is larger than {most:,} bytes.")
    said = request.headers.get("content-length", "")
    if said.isdecimal() and int(said) > most:
        raise too_much
    body = bytearray()
    try:
        with anyio.fail_after(slowest):
            async for chunk in request.stream():
                body += chunk
                if len(body) > most:
                    raise too_much
    except TimeoutError:
        raise Turned(408, "The form did not arrive in time.") from None
    return bytes(body)
