"""The HTML of a mail, behind glass: nothing in it runs, nothing is loaded, and it touches nothing of ours.

It is shown in an `<iframe sandbox>`, without a word that would allow it anything; and it says the same of itself, for
whoever opens its address alone.
"""

import re

from dashboard.frame import Raw

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; sandbox;"
        " frame-ancestors 'self'"
    ),
    "X-Frame-Options": "SAMEORIGIN",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
#: On white, as a mail program shows it. A link leads nowhere: the sandbox opens no window.
_BEFORE = (
    '<!doctype html><meta charset="utf-8"><meta name="color-scheme" content="light"><title>Mail</title>'
    '<base target="_blank"><style>html{background:#fff;color:#1c1f21;font:15px/1.55 system-ui,sans-serif;'
    "overflow-wrap:anywhere}img,table{max-width:100%}</style>"
)

# A browser knocks at the door of another house before it asks whether it may load anything from there.
_OPENERS = re.compile(r"<(?=(?:i?frame|frameset|object|embed|portal|link|meta|base)\b)", re.IGNORECASE)


def pane(html: str) -> Raw:
    """A document of its own. What would only fetch something is called by another name, and means nothing."""
    content = (_BEFORE + _OPENERS.sub("<not-", html)).encode("utf-8", "replace")
    return Raw(content, "text/html; charset=utf-8", HEADERS)


def plain(text: str) -> Raw:
    """The same of a text, however long it is."""
    return Raw(text.encode("utf-8", "replace"), "text/plain; charset=utf-8", HEADERS)
