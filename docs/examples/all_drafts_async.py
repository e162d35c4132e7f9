"""Every draft of every inbox: what a dashboard for a human begins with."""

import asyncio
import os

from agentmail import AgentMailEnvironment, AsyncAgentMail

url = os.environ.get("RELENT_URL", "http://127.0.0.1:8025")
client = AsyncAgentMail(
    environment=AgentMailEnvironment(http=url, websockets=url.replace("http", "ws", 1)),
    api_key=os.environ["AGENTMAIL_API_KEY"],
)


async def main() -> None:
    # As AgentMail publishes it, with `await`.

    # Get all drafts across the entire organization
    all_drafts = await client.drafts.list()

    print(f"Found {all_drafts.count} drafts pending review.")


asyncio.run(main())
