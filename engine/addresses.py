"""Addresses: which ones can be written to, and when two of them are one person."""

from functools import lru_cache

import email_validator
from email_validator import EmailNotValidError, validate_email

from engine.errors import Refused

# Whether a name may be used in the real world is for DNS to say; `.test` and `.example` are where one tries things out.
email_validator.SPECIAL_USE_DOMAIN_NAMES.clear()

#: The canary, and to whom it writes. RFC 2606: at this domain nobody will ever live, and no letter finds a way to it.
CANARY, CANARYS_READER = "canary@relent.invalid", "reader@relent.invalid"
CANARYS = (CANARY, CANARYS_READER)


@lru_cache(maxsize=4096)
def valid_address(text: str) -> str:
    """The address as it goes on an envelope. Raises Refused with what is wrong with it."""
    if not text.strip():
        raise Refused("there is no e-mail address")
    try:
        found = validate_email(text.strip(), check_deliverability=False, allow_smtputf8=False)
    except EmailNotValidError as error:
        raise Refused(f"{text!r} is no e-mail address: {error}") from error
    return found.ascii_email or found.normalized


def contact(address: str) -> str:
    """The key under which a person is known: no server of today tells `Ida@` from `ida@`."""
    return address.strip().lower()


def domain(address: str) -> str:
    return contact(address).rpartition("@")[2]
