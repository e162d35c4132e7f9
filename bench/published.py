"""The published handler, to compare with: on `message.received`, three calls to the API, one after the other.

What AgentMail's documentation shows under "Cancel on reply via webhook", with an asynchronous client that keeps its
connections. It believes whoever calls; to check a signature would cost it more.

`python -m bench.published --port 8001 --api http://127.0.0.1:8000/v0 --key am_…`
"""

import argparse
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpx2
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bench.people import PATH
from relent.listen import listen


def _app(api: str, key: str) -> Starlette:
    client = httpx2.AsyncClient(base_url=api, headers={"authorization": f"Bearer {key}"}, timeout=60)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with client:
            yield

    async def webhook(request: Request) -> Response:
        event = await request.json()
        if event["event_type"] == "message.received":
            await _cancel(client, event["message"])
        return Response(status_code=204)

    return Starlette(routes=[Route(PATH, webhook, methods=["POST"])], lifespan=lifespan)


async def _cancel(client: httpx2.AsyncClient, message: dict[str, Any]) -> None:
    inbox = f"/inboxes/{message['inbox_id']}"
    thread = f"{inbox}/threads/{message['thread_id']}"
    found = await client.get(thread)
    found.raise_for_status()
    for label in found.json()["labels"]:
        if label.startswith("follow-up:"):
            draft_id = label.split("follow-up:")[1]
            with suppress(Exception):  # draft may have already been sent
                await client.delete(f"{inbox}/drafts/{draft_id}")
            (await client.patch(thread, json={"remove_labels": [label]})).raise_for_status()
            break


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.published", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--api", required=True)
    parser.add_argument("--key", required=True)
    chosen = parser.parse_args()
    listen(_app(chosen.api, chosen.key), socket.create_server(("127.0.0.1", chosen.port), backlog=2048))


if __name__ == "__main__":
    main()
