"""`relent serve`: one process that listens and sends."""

import os
import socket

from engine.errors import Unavailable
from relent import show
from relent.assemble import assemble, check_listening
from relent.config import Config, Server
from relent.guard import warn
from relent.listen import listen
from relent.web import create_app


def serve(config: Config, *, host: str | None, port: int | None) -> None:
    chosen = {"host": host, "port": port}
    server = config.server.model_copy(
        update={key: value for key, value in chosen.items() if value is not None}
    )
    config = config.model_copy(update={"server": server})
    house = assemble(config)
    try:
        check_listening(house)
        with _listener(
            server
        ) as listener:  # before anything is sent: two of us on one port would be a mistake
            app = create_app(house)
            _tell(config, listener.getsockname()[1])
            warn(house)
            listen(app, listener)
    finally:
        house.store.close()


def _listener(server: Server) -> socket.socket:
    family = socket.AF_INET6 if ":" in server.host else socket.AF_INET
    try:
        return socket.create_server((server.host, server.port), family=family, backlog=2048)
    except OSError as error:
        why = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
        raise Unavailable(f"could not listen on {server.host}:{server.port}: {why}") from error


def _tell(config: Config, port: int) -> None:
    leaves = {
        "capture": "nothing leaves this machine (mailbox.transport: capture)",
        "smtp": f"letters leave through {config.mailbox.smtp.host}",
    }
    here = f"http://{config.server.host}:{port}"
    public = config.server.public_url or here
    show.complaints.print(
        f"Relent listens on {here}; {leaves[config.mailbox.transport]}.\n"
        f"Point your mailbox's webhook at {public.rstrip('/')}/webhooks/agentmail\n"
        f"The API, as AgentMail has it: {public.rstrip('/')}/v0, to read at {public.rstrip('/')}/docs",
        highlight=False,
        soft_wrap=True,
    )
