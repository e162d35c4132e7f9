"""One table that turns errors into pages. Nobody is shown how the house looks from inside."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy.exc import SQLAlchemyError

from engine.errors import (
    Busy,
    Forbidden,
    Invalid,
    NotFound,
    Refused,
    RelentError,
    StillSending,
    TooMany,
    Unauthorized,
    Unavailable,
    Unprocessable,
)
from engine.store import is_outage

#: The nearest class in an error's family decides.
STATUS: Mapping[type[Exception], int] = {
    NotFound: 404,
    Forbidden: 403,
    Unauthorized: 401,
    Invalid: 422,
    Unprocessable: 422,
    TooMany: 429,
    StillSending: 503,
    Busy: 503,
    Unavailable: 503,
    Refused: 409,
    RelentError: 500,
}

TITLES = {
    400: "That could not be read",
    401: "You are not signed in",
    403: "That is not for you to do",
    404: "There is nothing here",
    405: "That is not how this is done",
    408: "That took too long",
    409: "That did not happen",
    413: "That is too much at once",
    415: "That is no form",
    421: "That is not our name",
    422: "Something in it is not right",
    429: "Not so fast",
    500: "Our own mistake",
    503: "Not just now",
}


class Turned(Exception):
    """Shown out at the door, before anybody in the house has heard of it."""

    def __init__(self, status: int, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status = status
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a page says of an error."""

    status: int
    message: str
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def title(self) -> str:
        return TITLES.get(self.status, "That did not work")


def refusal(error: Exception) -> Refusal:
    if isinstance(error, Turned):
        return Refusal(error.status, str(error), error.headers)
    if isinstance(error, SQLAlchemyError) and is_outage(error):
        return Refusal(
            503, "The database does not answer. Nothing was changed: try again soon.", {"Retry-After": "5"}
        )
    status = next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 500)
    if status == 500:
        return Refusal(500, "This is our fault, and it is in the log. Nothing that you did was wrong.")
    return Refusal(status, _sentence(str(error)), _later(error, status))


def _later(error: Exception, status: int) -> Mapping[str, str]:
    if isinstance(error, TooMany):
        return {"Retry-After": str(error.after)}
    return {"Retry-After": "5"} if status == 503 else {}


def _sentence(said: str) -> str:
    """Errors are written for a terminal: here they begin like a sentence, and end like one."""
    said = said.strip()
    if not said:
        return said
    first = said.partition(" ")[0]
    said = said[0].upper() + said[1:] if first.isalpha() and first.islower() else said
    return said if said[-1] in ".!?…" else f"{said}."
