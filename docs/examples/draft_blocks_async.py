"""What the seven draft blocks do (create, get, list, list all, update, send, delete), as calls of the SDK.

A block hands on only what was filled in: what is not named stays as it is, and None clears it.
"""

import asyncio
import os
from datetime import UTC, datetime, timedelta

from agentmail import AgentMailEnvironment, AsyncAgentMail

url = os.environ.get("RELENT_URL", "http://127.0.0.1:8025")
client = AsyncAgentMail(
    environment=AgentMailEnvironment(http=url, websockets=url.replace("http", "ws", 1)),
    api_key=os.environ["AGENTMAIL_API_KEY"],
)
inbox_id = os.environ["INBOX_ID"]
tomorrow = datetime.now(UTC) + timedelta(days=1)


async def main() -> None:
    # Create Draft
    params = {"to": ["user@example.com"], "subject": "Your order", "text": "It is on its way."}
    draft = await client.inboxes.drafts.create(inbox_id, **params)
    print(f"created {draft.draft_id}: send_status {draft.send_status}")

    scheduled = await client.inboxes.drafts.create(inbox_id, **params, send_at=tomorrow.isoformat())
    print(f"created {scheduled.draft_id}: send_status {scheduled.send_status}")

    # Get Draft
    draft = await client.inboxes.drafts.get(inbox_id, draft.draft_id)
    print(f"{draft.subject}: {draft.text}")

    # Update Draft: what is not named stays ...
    changed = await client.inboxes.drafts.update(inbox_id, scheduled.draft_id, subject="Your order, once more")
    print(f"{changed.subject}, still {changed.send_status}, still: {changed.text}")

    # ... and None clears: without an hour it waits for somebody to send it.
    changed = await client.inboxes.drafts.update(inbox_id, scheduled.draft_id, send_at=None)
    print(f"send_status {changed.send_status}, send_at {changed.send_at}")

    # List Drafts, a page at a time
    params = {"limit": 1}
    while True:
        page = await client.inboxes.drafts.list(inbox_id, **params)
        print(f"{page.count} on this page: {[each.draft_id for each in page.drafts]}")
        if not page.next_page_token:
            break
        params["page_token"] = page.next_page_token

    # List Org Drafts
    everywhere = await client.drafts.list(limit=100)
    print(f"{everywhere.count} in all inboxes")

    # Send Draft
    sent = await client.inboxes.drafts.send(inbox_id, draft.draft_id)
    print(f"sent: {sent.message_id} in {sent.thread_id}")

    # Delete Draft
    await client.inboxes.drafts.delete(inbox_id, scheduled.draft_id)
    left = await client.inboxes.drafts.list(inbox_id)
    print(f"{left.count} left")


asyncio.run(main())
