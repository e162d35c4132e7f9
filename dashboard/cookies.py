"""What a browser keeps for us: a visit, what it knocks with before there is one, a notice; and two wishes of its reader."""

import secrets
from collections.abc import Mapping
from typing import Final

from starlette.responses import Response

from dashboard.show import zone_named
from engine.members import LONGEST as LONGEST_VISIT

VISIT: Final = "relent_visit"
KNOCK: Final = "relent_knock"
NOTICE: Final = "relent_notice"
LONGEST: Final = int(LONGEST_VISIT.total_seconds())


def named(name: str, secure: bool) -> str:
    """Over https with a prefix that no other site of this domain, and nobody on the way, can give a cookie (RFC 6265bis)."""
    return f"__Host-{name}" if secure else name


def give(response: Response, name: str, word: str, *, secure: bool, lasts: int | None = None) -> None:
    """No script sees it, and no form of another site sends it. `lasts`: seconds; None: while the browser is open."""
    response.set_cookie(
        named(name, secure), word, max_age=lasts, path="/", secure=secure, httponly=True, samesite="lax"
    )


def drop(response: Response, name: str, *, secure: bool) -> None:
    response.delete_cookie(named(name, secure), path="/", secure=secure, httponly=True, samesite="lax")


def fresh() -> str:
    return secrets.token_urlsafe(24)


def zone(kept: Mapping[str, str]) -> str:
    """The reader's own, by its IANA name; what is no zone is UTC."""
    return zone_named(kept.get("relent_zone", "UTC").replace("%2F", "/")).key


def theme(kept: Mapping[str, str]) -> str:
    wish = kept.get("relent_theme", "")
    return wish if wish in ("light", "dark") else ""
