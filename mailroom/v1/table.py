"""All endpoints of `/v1` but Feather's, and how they are described."""

from functools import cache
from typing import Any

from mailroom.api.door import Dialect
from mailroom.api.openapi import document
from mailroom.v1 import drafts, house, people, sequences

ENDPOINTS = (*drafts.ENDPOINTS, *people.ENDPOINTS, *sequences.ENDPOINTS, *house.ENDPOINTS)

ENGINE = Dialect(endpoints=ENDPOINTS)


@cache
def described() -> dict[str, Any]:
    """The same for /openapi.json."""
    return document(ENDPOINTS)
