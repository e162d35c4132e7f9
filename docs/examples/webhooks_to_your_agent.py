"""Hear of every letter that comes in, with nothing but the standard library to listen and svix to verify.

Leave it running: it listens on port 9000, or on PORT.
"""

import json
import os
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer

from agentmail import AgentMail, AgentMailEnvironment, MessageReceivedEvent, NotFoundError
from svix.webhooks import Webhook, WebhookVerificationError

url = os.environ.get("RELENT_URL", "http://127.0.0.1:8025")
client = AgentMail(
    environment=AgentMailEnvironment(http=url, websockets=url.replace("http", "ws", 1)),
    api_key=os.environ["AGENTMAIL_API_KEY"],
)
port = int(os.environ.get("PORT", "9000"))
webhook = client.webhooks.create(
    url=f"http://127.0.0.1:{port}/",
    event_types=["message.received"],
    client_id=f"my-agent-{port}",  # started again, it is the same webhook
)
heard: set[str] = set()  # a webhook may come twice


def read(event: MessageReceivedEvent) -> None:
    """Here your agent thinks."""
    message = event.message
    print(f"{message.from_} wrote to {message.inbox_id}: {message.subject}", flush=True)
    with suppress(NotFoundError):  # deleted meanwhile; or the sample that `relent webhook test` posts
        client.inboxes.messages.update(
            message.inbox_id, message.message_id, add_labels=["read-by-my-agent"], remove_labels=["unread"]
        )


class Ear(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(self.hear(body))
        self.end_headers()

    def hear(self, body: bytes) -> int:
        try:
            # It says yes by not raising; what it gives back is None. So the body is read here.
            Webhook(webhook.secret).verify(body, dict(self.headers))
        except (WebhookVerificationError, ValueError):  # ValueError: a header that is no signature at all
            return 400
        event = json.loads(body)
        if event["event_type"] == "message.received" and event["event_id"] not in heard:
            read(MessageReceivedEvent(**event))
            heard.add(event["event_id"])
        return 204


print(f"{webhook.webhook_id} calls {webhook.url}", flush=True)
HTTPServer(("127.0.0.1", port), Ear).serve_forever()
