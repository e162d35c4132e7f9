"""Whether a request speaks to us by a name of ours, and whether a form of ours was sent. Pure."""

import hashlib
import hmac
import re
from collections.abc import Mapping
from ipaddress import ip_address
from urllib.parse import urlsplit

from engine.keys import is_loopback

_HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+))(?::\d{1,5})?")
_USUAL_PORTS = (80, 443)
_LONGEST_PATH = 2000
_NOT_NEXT = ("/login", "/logout", "/live")


def name_of(host: str) -> str:
    """`[::1]:8025` without its port and brackets; empty: no name at all."""
    found = _HOST.fullmatch(host.lower())
    return (found[1] or found[2]) if found else ""


def is_ours(host: str, *, listens: str, public_url: str | None) -> bool:
    """Does this Host header name us?

    Somebody may have their own name point here (DNS rebinding); a page of theirs would then speak for whoever sits at
    this machine. Who listens to the world and has not said by what name cannot know.
    """
    name = name_of(host).rstrip(".")
    public = urlsplit(public_url).hostname if public_url else None
    if is_loopback(name) or name in {listens.lower(), public}:
        return bool(name)
    if is_loopback(listens):
        return False
    return public is None or _is_number(name)


def comes_from_us(headers: Mapping[str, str], *, public_url: str | None) -> bool:
    """Was this sent by a page of ours? Browsers say so; whoever says nothing is believed by the token alone."""
    site = headers.get("sec-fetch-site")
    if site not in (None, "same-origin", "none"):
        return False
    said = headers.get("origin") or headers.get("referer")
    if said is None:
        return site in (None, "same-origin")
    found = _place(said)
    return found is not None and found in {_place(f"//{headers.get('host', '')}"), _place(public_url or "")}


def _place(url: str) -> tuple[str, int | None] | None:
    """Name and port. Not the scheme: a proxy before us may speak https, and we would not know of it."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    return (parts.hostname, None if port in _USUAL_PORTS else port) if parts.hostname else None


def _is_number(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def own_path(said: str, default: str = "/") -> str:
    """Where to go next, if that is a place of ours: whoever has made a link chooses it, and must not choose another site."""
    plain = said.isascii() and said.isprintable() and "\\" not in said and len(said) <= _LONGEST_PATH
    if not plain or not said.startswith("/") or said.startswith("//"):
        return default
    parts = urlsplit(said)
    return default if parts.scheme or parts.netloc or parts.path in _NOT_NEXT else said


def csrf_of(token: str, key: bytes) -> str:
    """What a form must say, so that it was made for the one who sends it."""
    return hmac.new(key, b"a form of ours\0" + token.encode("utf-8", "replace"), hashlib.sha256).hexdigest()


def is_csrf(said: str, token: str, key: bytes) -> bool:
    return bool(token) and hmac.compare_digest(said.encode("utf-8", "replace"), csrf_of(token, key).encode())
