"""Hear of every letter that comes in: Starlette to listen, svix to verify.

Leave it running: it listens on port 9000, or on PORT.
"""

import asyncio
import json
import os
from contextlib import suppress

import uvicorn
from agentmail import AgentMailEnvironment, AsyncAgentMail, MessageReceivedEvent, NotFoundError
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
heard: set[str] = set()  # a webhook may come twice


async def read(event: MessageReceivedEvent) -> None:
    """Here your agent thinks."""
    message = event.message
    print(f"{message.from_} wrote to {message.inbox_id}: {message.subject}", flush=True)
    with suppress(NotFoundError):  # deleted meanwhile; or the sample that `relent webhook test` posts
        await client.inboxes.messages.update(
            message.inbox_id, message.message_id, add_labels=["read-by-my-agent"], remove_labels=["unread"]
        )


async def main() -> None:
    webhook = await client.webhooks.create(
        url=f"http://127.0.0.1:{port}/",
        event_types=["message.received"],
        client_id=f"my-agent-{port}",  # started again, it is the same webhook
    )

    async def hear(request: Request) -> Response:
        body = await request.body()
        try:
            # It says yes by not raising; what it gives back is None. So the body is read here.
            Webhook(webhook.secret).verify(body, dict(request.headers))
        except (WebhookVerificationError, ValueError):  # ValueError: a header that is no signature at all
            return Response(status_code=400)
        event = json.loads(body)
        if event["event_type"] == "message.received" and event["event_id"] not in heard:
            await read(MessageReceivedEvent(**event))
            heard.add(event["event_id"])
        return Response(status_code=204)

    print(f"{webhook.webhook_id} calls {webhook.url}", flush=True)
    app = Starlette(routes=[Route("/", hear, methods=["POST"])])
    await uvicorn.Server(uvicorn.Config(app, port=port)).serve()


asyncio.run(main())
