"""The server that these tests speak to: everything real, in one process, and a mail server outside that has its moods."""

import asyncio
import socket
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_bytes
from email.utils import parseaddr
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from aiosmtpd.controller import Controller

from engine.ids import new_id
from engine.model import Enclosure
from engine.receive import Arrived, receive
from mailroom.hearsay import told
from relent.assemble import House, assemble
from relent.config import Config
from relent.web import create_app
from tests.api.tools import BOUNCING, BROKEN, SLOW
from tests.makers import SECRET, signed

KEY = "am_" + "k" * 43
DOMAIN = "house.test"


@dataclass(frozen=True, slots=True)
class World:
    """Takes all mail, but for what is sent to three addresses."""

    url: str

    async def handle_RCPT(  # noqa: N802 (aiosmtpd calls it so)
        self, server: Any, session: Any, envelope: Any, address: str, options: Any
    ) -> str:
        if address == BROKEN:
            return "550 5.1.1 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        if SLOW in envelope.rcpt_tos:
            await asyncio.sleep(3)
        if BOUNCING in envelope.rcpt_tos:
            letter = message_from_bytes(envelope.content)
            threading.Timer(0.5, self._bounce, [parseaddr(letter["From"])[1], letter["Message-ID"]]).start()
        return "250 OK"

    def _bounce(self, inbox_id: str, message_id: str) -> None:
        """As a mailbox elsewhere would tell it."""
        bounce = {
            "inbox_id": inbox_id,
            "thread_id": "thr_unknown",
            "message_id": message_id,
            "type": "Permanent",
            "recipients": [{"address": BOUNCING, "status": "5.1.1"}],
        }
        name = new_id("evt", datetime.now(UTC))
        event = {"type": "event", "event_type": "message.bounced", "event_id": name, "bounce": bounce}
        said = signed(event, datetime.now(UTC), delivery_id=f"msg_{name[4:]}")
        httpx.post(f"{self.url}/webhooks/agentmail", **said).raise_for_status()


class Running:
    """A house whose door is open."""

    def __init__(self, folder: Path, database_url: str | None = None, **server: Any) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        outside = _free_port()
        self._world = Controller(World(self.url), hostname="127.0.0.1", port=outside)
        self._world.start()
        self.house: House = assemble(
            Config(
                database={"url": database_url or f"sqlite:///{folder / 'relent.db'}"},
                mailbox={
                    "transport": "smtp",
                    "smtp": {"host": "127.0.0.1", "port": outside, "tls": "none"},
                },
                webhooks={
                    "secrets": [SECRET],
                    "outbound": {"allow": ["127.0.0.1/32"], "retries": ["1s", "1s", "1s"]},
                },
                server={"api_keys": [KEY], "domains": [DOMAIN], "rate": 10_000} | server,
            )
        )
        settings = uvicorn.Config(create_app(self.house), log_config=None, ws="none")
        self._server = uvicorn.Server(settings)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._listener]})
        self._thread.start()
        while not self._server.started:
            assert self._thread.is_alive(), "the server did not start"
            time.sleep(0.01)

    def deliver(self, inbox_id: str, mail: dict[str, Any]) -> None:
        """A letter lands, and all that it stops is stopped."""
        sender, names = _address(mail["sender"])
        receive(
            Arrived(
                event_id=new_id("evt", datetime.now(UTC)),
                inbox_id=inbox_id,
                message_id=mail["message_id"],
                sender=sender,
                names=names,
                to=tuple(mail["to"]),
                cc=tuple(mail.get("cc", ())),
                subject=mail["subject"],
                text=mail["text"],
                html=mail.get("html"),
                in_reply_to=mail.get("in_reply_to"),
                references=tuple(mail.get("references", ())),
                headers=mail.get("headers", {}),
                files=tuple(
                    Enclosure(name=name, content_type="application/octet-stream", content=content)
                    for name, content in mail.get("attachments", {}).items()
                ),
                authentic=mail.get("authentication", "pass"),
                spam=mail.get("spam", False),
            ),
            read=told,
            store=self.house.store,
            clock=self.house.clock,
            pace=self.house.pace,
        )

    def state(self, draft_id: str) -> str:
        with self.house.store.reading(self.house.clock.now()) as ledger:
            found = ledger.drafts.get(draft_id)
        return str(found.state) if found else "gone"

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._world.stop()
        self._listener.close()
        self.house.store.close()


def _address(written: str) -> tuple[str, dict[str, str]]:
    name, address = parseaddr(written)
    return address, {address: name} if name else {}


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])
