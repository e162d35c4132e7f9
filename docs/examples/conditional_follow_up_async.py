"""Write, and follow up in three days, but only if they have not answered: the first half.

The second half is cancel_on_reply.py. Relent does it by itself, too.
"""

import asyncio
import os
from datetime import datetime, timedelta

from agentmail import AgentMailEnvironment, AsyncAgentMail

url = os.environ.get("RELENT_URL", "http://127.0.0.1:8025")
client = AsyncAgentMail(
    environment=AgentMailEnvironment(http=url, websockets=url.replace("http", "ws", 1)),
    api_key=os.environ["AGENTMAIL_API_KEY"],
)
inbox_id = os.environ["INBOX_ID"]


async def main() -> None:
    # As AgentMail publishes it, with `await`.

    # Send initial email
    initial = await client.inboxes.messages.send(
        inbox_id=inbox_id,
        to=["prospect@example.com"],
        subject="Quick question about your workflow",
        text="Hi, I noticed your team is scaling quickly..."
    )

    # Schedule follow-up for 3 days later
    follow_up_time = (datetime.utcnow() + timedelta(days=3)).replace(hour=9, minute=0, second=0)

    follow_up = await client.inboxes.drafts.create(
        inbox_id=inbox_id,
        to=["prospect@example.com"],
        subject="Re: Quick question about your workflow",
        text="Hi again — just bumping this in case it got buried...",
        in_reply_to=initial.message_id,
        send_at=follow_up_time.isoformat() + "Z"
    )

    # Tag the thread so your webhook handler can find the draft
    await client.inboxes.threads.update(
        inbox_id=inbox_id,
        thread_id=initial.thread_id,
        add_labels=[f"follow-up:{follow_up.draft_id}"]
    )

    # Until here.
    print(f"Unless they answer, {follow_up.draft_id} goes out at {follow_up.send_at}")


asyncio.run(main())
