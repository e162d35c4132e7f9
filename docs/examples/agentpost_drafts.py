"""AgentPost's drafts, as its documents show them with curl: write, change, send, answer in a thread."""

import os

import httpx

client = httpx.Client(
    base_url=os.environ.get("RELENT_URL", "http://127.0.0.1:8025") + "/api/v1",
    headers={"Authorization": f"Bearer {os.environ['AGENTMAIL_API_KEY']}"},
)
inbox_id = os.environ["INBOX_ID"]


def told(answer: httpx.Response) -> dict:
    return answer.raise_for_status().json()


# Creating a draft
draft = told(
    client.post(
        f"/inboxes/{inbox_id}/drafts",
        json={
            "to": [{"email": "legal@acmeco.com", "name": "Legal Team"}],
            "subject": "Contract review request: Vendor Agreement #891",
            "text_body": "Please review the attached vendor agreement.",
        },
    )
)
print(f"Draft created: {draft['id']}")

# Updating a draft
updated = told(
    client.patch(
        f"/drafts/{draft['id']}",
        json={
            "cc": [{"email": "cfo@acmeco.com", "name": "CFO"}],
            "text_body": "Updated: Please review the attached vendor agreement.",
        },
    )
)
print(f"To {updated['to_addresses']}, copy to {updated['cc_addresses']}")

# Sending a draft
message = told(client.post(f"/drafts/{draft['id']}/send"))
print(f"Draft sent as message: {message['id']}")

# Thread-linked drafts
reply_draft = told(
    client.post(
        f"/inboxes/{inbox_id}/drafts",
        json={
            "thread_id": message["thread_id"],
            "in_reply_to": message["id"],
            "to": [{"email": "alice@example.com"}],
            "text_body": "Working on this now. Will have an update by end of day.",
        },
    )
)
reply = told(client.post(f"/drafts/{reply_draft['id']}/send"))
print(f"Sent in the same thread: {reply['thread_id'] == message['thread_id']}")

# Validation at send time: a thread that does not exist is no trouble before
stray = told(
    client.post(
        f"/inboxes/{inbox_id}/drafts",
        json={"thread_id": "thr_ghi789", "to": [{"email": "alice@example.com"}], "text_body": "Hello?"},
    )
)
refused = client.post(f"/drafts/{stray['id']}/send")
print(f"{refused.status_code}: {refused.json()}")

# Deleting a draft
client.delete(f"/drafts/{stray['id']}").raise_for_status()
