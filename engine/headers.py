"""What may stand in the head of a letter besides what the house itself writes there. Pure.

Asked twice: by whoever lets such a thing in, and by whoever writes it on the wire.
"""

import re
import unicodedata

#: Controls, half characters, and Unicode's own line breaks.
_UNSEEN = frozenset({"Cc", "Cs", "Zl", "Zp"})
_LONGEST_LINE = 998  # RFC 5322, section 2.1.1
_LONGEST_NAME = 76
_LONGEST_VISIBLE = 256
_TOKEN = re.compile(rf"[A-Za-z0-9!#$%&'*+.^_`|~-]{{1,{_LONGEST_NAME}}}")
_CONTENT_ID = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.@-]{1,250}")

#: Whom it is from and for, what it answers and when it left: that is said by its own fields, or by nobody.
_OURS = frozenset(
    {
        "from",
        "to",
        "cc",
        "bcc",
        "apparently-to",
        "sender",
        "reply-to",
        "subject",
        "date",
        "message-id",
        "in-reply-to",
        "references",
        "mime-version",
        "return-path",
        "delivered-to",
        "envelope-to",
        "authentication-results",
        "domainkey-signature",
    }
)
#: Its shape, its way through the world, and what servers swear about it.
_OURS_BEGIN = ("content-", "received", "resent-", "dkim-", "arc-")


def header_trouble(name: str, value: str) -> str | None:
    """Why this header cannot go with a letter; None: it can."""
    if not _TOKEN.fullmatch(name):
        return f"a header's name is at most {_LONGEST_NAME} letters, digits and dashes, like X-Campaign; found {name!r}"
    folded = name.lower()
    if folded in _OURS or folded.startswith(_OURS_BEGIN):
        return f"{name} is written by the mailbox itself: leave it out"
    if not is_one_line(value):
        return f"the value of {name} is one line without control characters; found {value!r}"
    if len(name) + len(": ") + len(value) > _LONGEST_LINE:
        return f"the value of {name} is too long: a line has at most {_LONGEST_LINE} characters"
    return None


def name_trouble(name: str) -> str | None:
    """Why nobody can be called that in a letter's head."""
    if not is_one_line(name):
        return f"a name is one line without control characters; found {name!r}"
    if len(name) > _LONGEST_VISIBLE:
        return f"a name has at most {_LONGEST_VISIBLE} characters; found {len(name)}"
    return None


def content_id_trouble(content_id: str) -> str | None:
    """Why a letter's HTML cannot speak of a file by this name."""
    if _CONTENT_ID.fullmatch(content_id):
        return None
    return f"a content id is one word without brackets, like logo or logo@acme.example; found {content_id!r}"


def is_one_line(text: str) -> bool:
    """Nothing in it ends a line, or is no character at all."""
    return not any(unicodedata.category(sign) in _UNSEEN for sign in text)
