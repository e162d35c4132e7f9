"""Schedule a draft, look at what is scheduled, move it to another day, call it off."""

import os

from agentmail import AgentMail, AgentMailEnvironment

url = os.environ.get("RELENT_URL", "http://127.0.0.1:8025")
client = AgentMail(
    environment=AgentMailEnvironment(http=url, websockets=url.replace("http", "ws", 1)),
    api_key=os.environ["AGENTMAIL_API_KEY"],
)
inbox_id = os.environ["INBOX_ID"]

# As AgentMail publishes it.

from datetime import datetime, timedelta

# Schedule an email for tomorrow at 9:00 AM UTC
send_time = (datetime.utcnow() + timedelta(days=1)).replace(
    hour=9, minute=0, second=0
)

scheduled_draft = client.inboxes.drafts.create(
    inbox_id=inbox_id,
    to=["prospect@example.com"],
    subject="Following up on our conversation",
    text="Hi, just wanted to follow up on our chat yesterday...",
    send_at=send_time.isoformat() + "Z"
)

print(f"Draft scheduled for {scheduled_draft.send_at}")
# send_status will be "scheduled"

# List all scheduled drafts in an inbox
scheduled = client.inboxes.drafts.list(
    inbox_id=inbox_id,
    labels=["scheduled"]
)

for draft in scheduled.drafts:
    print(f"{draft.subject} — scheduled for {draft.send_at} ({draft.send_status})")

# Reschedule to a different time
new_time = (datetime.utcnow() + timedelta(days=3)).replace(hour=14, minute=0, second=0)
client.inboxes.drafts.update(
    inbox_id=inbox_id,
    draft_id=scheduled_draft.draft_id,
    send_at=new_time.isoformat() + "Z"
)

# Or cancel by deleting the draft entirely
client.inboxes.drafts.delete(
    inbox_id=inbox_id,
    draft_id=scheduled_draft.draft_id
)
