"""
AgentMail Drafts — copy into Cursor/Claude.

Setup: pip install agentmail python-dotenv. Set AGENTMAIL_API_KEY in .env.

API reference:
- inboxes.drafts.create(inbox_id, to, subject?, text?, html?, cc?, bcc?, reply_to?, attachments?, send_at?)
- inboxes.drafts.get(inbox_id, draft_id)
- inboxes.drafts.update(inbox_id, draft_id, to?, subject?, text?, html?, send_at?, ...)
- inboxes.drafts.send(inbox_id, draft_id) — converts to Message, deletes draft
- inboxes.drafts.delete(inbox_id, draft_id)
- inboxes.drafts.list(inbox_id, limit?, page_token?, labels?)
- drafts.list(limit?, page_token?) — org-wide

Scheduled sending: pass send_at (ISO 8601 datetime) to create() or update().
Draft is auto-labeled 'scheduled' and sent at the specified time.
send_status: 'scheduled' | 'sending' | 'failed'.
Cancel by deleting the draft. Reschedule by updating send_at.

Errors: SDK raises on 4xx/5xx. Rate limit: 429 with Retry-After.
"""
import asyncio
import os
from datetime import datetime, timedelta
from agentmail import AsyncAgentMail

# The block above and all below is AgentMail's. Ours are these lines, for code that only says `AgentMail(api_key=…)`:
# where the SDK looks for AgentMail is one object, and it is read when a request is made.
from agentmail import AgentMailEnvironment

AgentMailEnvironment.PROD.http = os.environ.get("RELENT_URL", "http://127.0.0.1:8025")
AgentMailEnvironment.PROD.websockets = AgentMailEnvironment.PROD.http.replace("http", "ws", 1)

client = AsyncAgentMail(api_key=os.getenv("AGENTMAIL_API_KEY"))

inbox_id = os.environ["INBOX_ID"]


async def main() -> None:
    # Create and send immediately
    draft = await client.inboxes.drafts.create(inbox_id, to=["review@example.com"], subject="[REVIEW] Proposed reply")
    sent = await client.inboxes.drafts.send(inbox_id, draft.draft_id)
    print(sent.message_id)

    # Schedule for later
    send_time = (datetime.utcnow() + timedelta(days=1)).replace(hour=9, minute=0, second=0)
    scheduled = await client.inboxes.drafts.create(
        inbox_id, to=["prospect@example.com"], subject="Follow up",
        text="Just following up...", send_at=send_time.isoformat() + "Z"
    )
    print(f"Scheduled for {scheduled.send_at}, status: {scheduled.send_status}")

    all_drafts = await client.drafts.list()


asyncio.run(main())
