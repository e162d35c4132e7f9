"""A draft from its beginning to the message that it becomes."""

import os

from agentmail import AgentMail, AgentMailEnvironment

url = os.environ.get("RELENT_URL", "http://127.0.0.1:8025")
client = AgentMail(
    environment=AgentMailEnvironment(http=url, websockets=url.replace("http", "ws", 1)),
    api_key=os.environ["AGENTMAIL_API_KEY"],
)
inbox_id = os.environ["INBOX_ID"]

# As AgentMail publishes it.

# You'll need an inbox ID to create a draft in.

new_draft=client.inboxes.drafts.create(
    inbox_id=inbox_id,
    to=["review-team@example.com"],
    subject="[NEEDS REVIEW] Agent's proposed response"
)

print(f"Draft created successfully with ID: {new_draft.draft_id}")

# Get the draft
draft = client.inboxes.drafts.get(inbox_id = inbox_id, draft_id = new_draft.draft_id)

# This sends the draft and deletes it

sent_message = client.inboxes.drafts.send(inbox_id = inbox_id, draft_id = draft.draft_id)

print(f"Draft sent! New message ID: {sent_message.message_id}")
