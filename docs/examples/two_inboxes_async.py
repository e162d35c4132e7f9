"""Two inboxes on one machine: a letter, a follow-up in three days, an answer; and the follow-up is gone."""

import asyncio
import os
from datetime import UTC, datetime, timedelta

from agentmail import AgentMailEnvironment, AsyncAgentMail
from agentmail.inboxes.types import CreateInboxRequest

url = os.environ.get("RELENT_URL", "http://127.0.0.1:8025")
client = AsyncAgentMail(
    environment=AgentMailEnvironment(http=url, websockets=url.replace("http", "ws", 1)),
    api_key=os.environ["AGENTMAIL_API_KEY"],
)


async def inbox(name: str) -> str:
    """Under a client_id an inbox is made once, however often this runs."""
    return (await client.inboxes.create(request=CreateInboxRequest(username=name, client_id=name))).inbox_id


async def scheduled(inbox_id: str) -> int:
    return (await client.inboxes.drafts.list(inbox_id, labels=["scheduled"])).count


async def main() -> None:
    sam, pat = await asyncio.gather(inbox("sam"), inbox("pat"))

    letter = await client.inboxes.messages.send(
        sam, to=[pat], subject="Quick question", text="Shall we talk?"
    )
    follow_up = await client.inboxes.drafts.create(
        sam,
        in_reply_to=letter.message_id,
        text="Did this get buried?",
        send_at=datetime.now(UTC) + timedelta(days=3),
    )
    await client.inboxes.threads.update(
        sam, letter.thread_id, add_labels=[f"follow-up:{follow_up.draft_id}"]
    )
    print(f"Scheduled: {await scheduled(sam)}")

    # Pat reads, and answers. Nobody runs a webhook handler.
    heard = (await client.inboxes.messages.list(pat, labels=["unread"])).messages[0]
    await client.inboxes.messages.reply(pat, heard.message_id, text="Thursday suits me.")

    print(f"Scheduled: {await scheduled(sam)}")
    for message in (await client.inboxes.threads.get(sam, letter.thread_id)).messages:
        print(f"{message.from_}: {message.text}")


asyncio.run(main())
