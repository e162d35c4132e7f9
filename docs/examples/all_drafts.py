"""Every draft of every inbox: what a dashboard for a human begins with."""

import os

from agentmail import AgentMail, AgentMailEnvironment

url = os.environ.get("RELENT_URL", "http://127.0.0.1:8025")
client = AgentMail(
    environment=AgentMailEnvironment(http=url, websockets=url.replace("http", "ws", 1)),
    api_key=os.environ["AGENTMAIL_API_KEY"],
)

# As AgentMail publishes it.

# Get all drafts across the entire organization
all_drafts = client.drafts.list()

print(f"Found {all_drafts.count} drafts pending review.")
