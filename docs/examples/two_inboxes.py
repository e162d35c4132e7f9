"""Two inboxes on one machine: a letter, a follow-up in three days, an answer; and the follow-up is gone."""

import os
from datetime import UTC, datetime, timedelta

from agentmail import AgentMail, AgentMailEnvironment
from agentmail.inboxes.types import CreateInboxRequest

url = os.environ.get("RELENT_URL", "http://127.0.0.1:8025")
client = AgentMail(
    environment=AgentMailEnvironment(http=url, websockets=url.replace("http", "ws", 1)),
    api_key=os.environ["AGENTMAIL_API_KEY"],
)

# Under a client_id an inbox is made once, however often this runs.
sam = client.inboxes.create(request=CreateInboxRequest(username="sam", client_id="sam")).inbox_id
pat = client.inboxes.create(request=CreateInboxRequest(username="pat", client_id="pat")).inbox_id

letter = client.inboxes.messages.send(sam, to=[pat], subject="Quick question", text="Shall we talk?")
follow_up = client.inboxes.drafts.create(
    sam,
    in_reply_to=letter.message_id,
    text="Did this get buried?",
    send_at=datetime.now(UTC) + timedelta(days=3),
)
client.inboxes.threads.update(sam, letter.thread_id, add_labels=[f"follow-up:{follow_up.draft_id}"])
print(f"Scheduled: {client.inboxes.drafts.list(sam, labels=['scheduled']).count}")

# Pat reads, and answers. Nobody runs a webhook handler.
heard = client.inboxes.messages.list(pat, labels=["unread"]).messages[0]
client.inboxes.messages.reply(pat, heard.message_id, text="Thursday suits me.")

print(f"Scheduled: {client.inboxes.drafts.list(sam, labels=['scheduled']).count}")
for message in client.inboxes.threads.get(sam, letter.thread_id).messages:
    print(f"{message.from_}: {message.text}")
