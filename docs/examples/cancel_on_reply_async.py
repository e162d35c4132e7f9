"""Call the follow-up off when somebody answers: the second half of conditional_follow_up.py, behind a real webhook.

Leave it running: it listens on port 9000, or on PORT. It believes only what Relent has signed.
"""

import asyncio
import json
import os
from contextlib import suppress

import uvicorn
from agentmail import AgentMailEnvironment, AsyncAgentMail, NotFoundError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from svix.webhooks import Webhook, WebhookVerificationError

url = os.environ.get("RELENT_URL", "http://127.0.0.1:8025")
client = AsyncAgentMail(
    environment=AgentMailEnvironment(http=url, websockets=url.replace("http", "ws", 1)),
    api_key=os.environ["AGENTMAIL_API_KEY"],
)
port = int(os.environ.get("PORT", "9000"))


async def cancel(inbox_id: str, thread_id: str) -> None:
    # As AgentMail publishes it, with `await`.

    # In your webhook handler for "message.received":
    thread = await client.inboxes.threads.get(inbox_id=inbox_id, thread_id=thread_id)

    for label in thread.labels:
        if label.startswith("follow-up:"):
            draft_id = label.split("follow-up:")[1]
            try:
                await client.inboxes.drafts.delete(inbox_id=inbox_id, draft_id=draft_id)
            except Exception:
                pass # Draft may have already been sent
            await client.inboxes.threads.update(
                inbox_id=inbox_id, thread_id=thread_id,
                remove_labels=[label]
            )
            break


async def main() -> None:
    webhook = await client.webhooks.create(
        url=f"http://127.0.0.1:{port}/webhooks",
        event_types=["message.received"],
        inbox_ids=[os.environ["INBOX_ID"]],
        client_id=f"cancel-on-reply-{port}",  # started again, it is the same webhook
    )

    async def hear(request: Request) -> Response:
        body = await request.body()  # the bytes as they came: they are what was signed
        try:
            Webhook(webhook.secret).verify(body, dict(request.headers))
        except (WebhookVerificationError, ValueError):  # ValueError: a header that is no signature at all
            return Response(status_code=400)
        event = json.loads(body)
        if event["event_type"] == "message.received":
            message = event["message"]
            print(f"{message['from']} has answered in {message['thread_id']}", flush=True)
            with suppress(NotFoundError):  # deleted meanwhile; or the sample that `relent webhook test` posts
                await cancel(message["inbox_id"], message["thread_id"])
        return Response(status_code=204)

    app = Starlette(routes=[Route("/webhooks", hear, methods=["POST"])])
    await uvicorn.Server(uvicorn.Config(app, port=port)).serve()


asyncio.run(main())
