"""A human's yes: an agent writes, somebody looks, approves, rewords, says no; and who comes too late is told why."""

import os

import httpx
from agentmail import AgentMail, AgentMailEnvironment

url = os.environ.get("RELENT_URL", "http://127.0.0.1:8025")
agent = AgentMail(
    environment=AgentMailEnvironment(http=url, websockets=url.replace("http", "ws", 1)),
    api_key=os.environ["AGENTMAIL_API_KEY"],
)
inbox_id = os.environ["INBOX_ID"]
review = httpx.Client(
    base_url=f"{url}/v1", headers={"Authorization": f"Bearer {os.environ['AGENTMAIL_API_KEY']}"}
)

# The agent writes three letters, and asks for somebody's eyes.
for name in ("ann", "bob", "cyd"):
    agent.inboxes.drafts.create(
        inbox_id,
        to=[f"{name}@example.com"],
        subject="Quick question",
        text=f"Dear {name}, shall we talk?",
        labels=["needs-review"],
    )

# What waits, in this inbox.
waiting = review.get("/drafts", params={"approval_state": "pending", "inbox_id": inbox_id}).json()["drafts"]
print(f"{len(waiting)} wait for a yes")
cyd, bob, ann = waiting  # the youngest first

# Look at one, with everything around it; then say yes to exactly what was seen.
seen = review.get(f"/drafts/{ann['draft_id']}").json()
print(f"to {seen['to']}: {seen['text']} ({len(seen['evidence']['thread'])} letters before)")
yes = {"content_sha": seen["content_sha"], "head": seen["head"]}
done = review.post(f"/drafts/{ann['draft_id']}/approve", json=yes).raise_for_status().json()
print(f"{done['approval_state']} by {done['approved_by']}")

# Other words, and a yes to them at once.
words = {
    "content_sha": bob["content_sha"],
    "text": "Dear Bob, have you a minute on Thursday?",
    "approve": True,
}
done = review.post(f"/drafts/{bob['draft_id']}/edit", json=words).raise_for_status().json()
print(f"{done['approval_state']}: {done['text'].strip()}")

# Somebody else still has the old words before them.
late = review.post(f"/drafts/{bob['draft_id']}/approve", json={"content_sha": bob["content_sha"]})
print(f"{late.status_code}: {sorted(late.json()['changed'])}")

# No, and why.
done = review.post(f"/drafts/{cyd['draft_id']}/reject", json={"reason": "she asked us to stop"}).json()
print(f"{done['approval_state']}: {done['reason']}")
