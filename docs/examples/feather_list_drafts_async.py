"""Feather's list of drafts: every letter with its state and who approved it, a page at a time."""

import asyncio
import os

import httpx

client = httpx.AsyncClient(
    base_url=os.environ.get("RELENT_URL", "http://127.0.0.1:8025"),
    headers={"x-api-key": os.environ["AGENTMAIL_API_KEY"]},
)


async def main() -> None:
    params = {"limit": 2}
    while True:
        page = (await client.get("/v1/email/drafts", params=params)).raise_for_status().json()
        for draft in page["drafts"]:
            print(f"{draft['id']} {draft['status']}, {draft['approval_state']}: {draft['subject']}")
        if not page.get("next_cursor"):
            break
        params["cursor"] = page["next_cursor"]

    approved = (await client.get("/v1/email/drafts", params={"status": "approved"})).raise_for_status().json()
    print(f"{len(approved['drafts'])} will go out by themselves")

    refused = await client.get("/v1/email/drafts", params={"limit": 201})
    print(f"{refused.status_code}: {refused.json()['detail'][0]['msg']}")
    await client.aclose()


asyncio.run(main())
