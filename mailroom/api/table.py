"""All of AgentMail's endpoints that are offered here, and the names of those that are not."""

import re
from functools import cache
from typing import Any

from mailroom.api import account, drafts, events, files, inboxes, lists, messages, sending, threads, webhooks
from mailroom.api.door import Dialect
from mailroom.api.openapi import document

#: What AgentMail has and we have not: domains of one's own, calendars, files, apps, what is measured, and polling.
_NOT_OFFERED = re.compile(
    r"/v0/(?:(?:inboxes|pods)/[^/]+/)?(?:"
    r"(?:domains|calendar|files|apps|accounts|metrics|agent)(?:/.*)?"
    r"|webhooks/polling(?:/.*)?"
    r"|organizations/labs"
    r"|messages/.+/agent-armor/.+"
    r"|authorize"
    r")",
    re.DOTALL,
)

ENDPOINTS = (
    *account.ENDPOINTS,
    *inboxes.ENDPOINTS,
    *lists.ENDPOINTS,
    *drafts.ENDPOINTS,
    *files.ENDPOINTS,
    *sending.ENDPOINTS,
    *messages.ENDPOINTS,
    *threads.ENDPOINTS,
    *events.ENDPOINTS,
    *webhooks.ENDPOINTS,
)

AGENTMAIL = Dialect(endpoints=ENDPOINTS, offered=lambda path: not _NOT_OFFERED.fullmatch(path))


@cache
def described() -> dict[str, Any]:
    """The same for /openapi.json."""
    return document(ENDPOINTS)
