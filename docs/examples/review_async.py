"""A human's yes: an agent writes, somebody looks, approves, rewords, says no; and who comes too late is told why."""

import asyncio
import os

import httpx
from agentmail import AgentMailEnvironment, AsyncAgentMail

url = os.environ.get("RELENT_URL", "http://127.0.0.1:8025")
agent = AsyncAgentMail(
    environment=AgentMailEnvironment(http=url, websockets=url.replace("http", "ws", 1)),
    api_key=os.environ["AGENTMAIL_API_KEY"],
)
inbox_id = os.environ["INBOX_ID"]
review = httpx.AsyncClient(
    base_url=f"{url}/v1", headers={"Authorization": f"Bearer {os.environ['AGENTMAIL_API_KEY']}"}
)


async def main() -> None:
    # The agent writes three letters, and asks for somebody's eyes.
    for name in ("ann", "bob", "cyd"):
        await agent.inboxes.drafts.create(
            inbox_id,
            to=[f"{name}@example.com"],
            subject="Quick question",
            text=f"Dear {name}, shall we talk?",
            labels=["needs-review"],
        )

    # What waits, in this inbox.
    page = await review.get("/drafts", params={"approval_state": "pending", "inbox_id": inbox_id})
    waiting = page.json()["drafts"]
    print(f"{len(waiting)} wait for a yes")
    cyd, bob, ann = waiting  # the youngest first

    # Look at one, with everything around it; then say yes to exactly what was seen.
    seen = (await review.get(f"/drafts/{ann['draft_id']}")).json()
    print(f"to {seen['to']}: {seen['text']} ({len(seen['evidence']['thread'])} letters before)")
    yes = {"content_sha": seen["content_sha"], "head": seen["head"]}
    done = (await review.post(f"/drafts/{ann['draft_id']}/approve", json=yes)).raise_for_status().json()
    print(f"{done['approval_state']} by {done['approved_by']}")

    # Other words, and a yes to them at once.
    text = "Dear Bob, have you a minute on Thursday?"
    words = {"content_sha": bob["content_sha"], "text": text, "approve": True}
    done = (await review.post(f"/drafts/{bob['draft_id']}/edit", json=words)).raise_for_status().json()
    print(f"{done['approval_state']}: {done['text'].strip()}")

    # Somebody else still has the old words before them.
    old = {"content_sha": bob["content_sha"]}
    late = await review.post(f"/drafts/{bob['draft_id']}/approve", json=old)
    print(f"{late.status_code}: {sorted(late.json()['changed'])}")

    # No, and why.
    no = {"reason": "she asked us to stop"}
    done = (await review.post(f"/drafts/{cyd['draft_id']}/reject", json=no)).json()
    print(f"{done['approval_state']}: {done['reason']}")
    await review.aclose()


asyncio.run(main())
