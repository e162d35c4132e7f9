"""Why not, in AgentMail's words: one table from our errors to a status, a name and a code."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from engine.errors import (
    Forbidden,
    Invalid,
    NotFound,
    Refused,
    Rejected,
    Stale,
    TooMany,
    Unauthorized,
    Unavailable,
    Unprocessable,
)

#: The nearest class in an error's family decides.
STATUS: dict[type[Exception], int] = {
    NotFound: 404,
    Refused: 409,
    Invalid: 400,
    Unprocessable: 422,
    Unauthorized: 401,
    Forbidden: 403,
    Rejected: 403,
    TooMany: 429,
    Unavailable: 503,
    SQLAlchemyError: 503,
    Exception: 500,
}

NAMES = {
    400: "ValidationError",
    401: "UnauthorizedError",
    403: "ForbiddenError",
    404: "NotFoundError",
    405: "MethodNotAllowedError",
    408: "RequestTimeoutError",
    409: "ConflictError",
    413: "PayloadTooLargeError",
    415: "UnsupportedMediaTypeError",
    422: "UnprocessableError",
    429: "RateLimitError",
    500: "InternalError",
    503: "ServiceUnavailableError",
}

CODES = {
    400: "validation_error",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    408: "request_timeout",
    409: "conflict",
    413: "payload_too_large",
    415: "unsupported_media_type",
    422: "unprocessable",
    429: "rate_limit_exceeded",
    500: "internal_error",
    503: "service_unavailable",
}

_FIX = {
    "validation_error": "Change what `errors` names, and ask again.",
    "missing_authorization": "Send the header `Authorization: Bearer <key>`.",
    "invalid_token_type": "Write the header as `Authorization: Bearer <key>`, with one blank and a capital B.",
    "unknown_api_key": "Look at the key: it was never made here, has expired, or was deleted.",
    "missing_permission": "Use a key that has this permission.",
    "not_a_reviewer": "Ask somebody whom `approval.by` of the sequence names: they say it in the dashboard. A key is nobody's name.",
    "beyond_its_scope": "Use a key of the whole organization.",
    "not_found": "Look at the path and the id; a key sees only what is in its scope.",
    "not_offered": "This server does not have it. Everything that it has is listed at /docs.",
    "method_not_allowed": "Look at the header Allow.",
    "conflict": "Look at what it is now, and ask again if that is still what you want.",
    "payload_too_large": "Send less.",
    "unsupported_media_type": "Send `Content-Type: application/json`, and no Content-Encoding.",
    "unprocessable": "Give it what is missing.",
    "rate_limit_exceeded": "Ask again after the time in Retry-After.",
    "internal_error": "Our fault, and it is in the log.",
    "service_unavailable": "Ask again after the time in Retry-After.",
}
_DOCS = "/docs#errors"


class Turned(Exception):
    """Shown out before any story was asked."""

    def __init__(self, status: int, message: str, code: str | None = None, allow: str | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.allow = status, code or CODES[status], allow


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """What the caller is told."""

    status: int
    body: dict[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)


def refusal(error: Exception) -> Refusal:
    """AgentMail's shape of an error."""
    status = status_of(error)
    code = getattr(error, "code", CODES[status])
    if not isinstance(code, str) or isinstance(error, SQLAlchemyError):
        code = CODES[status]
    body: dict[str, Any] = {"name": _name(error, status), "message": _message(error, status), "code": code}
    if isinstance(error, Invalid):
        body["errors"] = [
            {"path": list(each.path), "message": each.message, "code": each.code} for each in error.issues
        ]
    if isinstance(error, Stale) and error.changed:
        body["changed"] = dict(error.changed)
    if code in _FIX:
        body["fix"] = _FIX[code]
    return Refusal(status=status, body=body | {"docs": _DOCS}, headers=_headers(error, status))


def status_of(error: Exception) -> int:
    if isinstance(error, Turned):
        return error.status
    return next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)


def _name(error: Exception, status: int) -> str:
    return "MessageRejectedError" if isinstance(error, Rejected) else NAMES[status]


def _message(error: Exception, status: int) -> str:
    """What a database or a mistake of ours says is for the log."""
    if status == 500:
        return "Something went wrong here."
    return "The database does not answer." if isinstance(error, SQLAlchemyError) else str(error)


def _headers(error: Exception, status: int) -> dict[str, str]:
    if isinstance(error, TooMany):
        return {"Retry-After": str(max(1, error.after))}
    if isinstance(error, Turned) and error.allow:
        return {"Allow": error.allow}
    if status == 401:
        return {"WWW-Authenticate": "Bearer"}
    return {"Retry-After": "5"} if status == 503 else {}
