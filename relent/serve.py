"""`relent serve`: one process that listens and sends; or several that share what there is to hear."""

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import SQLAlchemyError

from engine.errors import Unavailable
from engine.members import LINK_LASTS, Members
from engine.store import in_words
from relent import crew, show
from relent.assemble import House, assemble, check_listening
from relent.config import Config, Server
from relent.guard import warn
from relent.listen import listen
from relent.logs import is_plain
from relent.metrics import counting_together
from relent.stay import settle_in
from relent.traces import drawing
from relent.web import create_app

log = logging.getLogger("relent.serve")


def serve(config: Config, *, host: str | None, port: int | None, workers: int = 1) -> None:
    chosen = {"host": host, "port": port}
    server = config.server.model_copy(
        update={key: value for key, value in chosen.items() if value is not None}
    )
    config = config.model_copy(update={"server": server})
    if workers > 1:
        _serve_together(config, workers)
        return
    with _opened(config) as house, _listener(server) as listener:
        # listening comes before anything is sent: two of us on one port would be a mistake
        app = create_app(house)
        _tell(config, listener.getsockname()[1])
        _welcome(house, listener.getsockname()[1])
        warn(house)
        settle_in()
        listen(app, listener)


def _serve_together(config: Config, workers: int) -> None:
    """What is wrong is found, and told, once. After that, each of them is a server like the only one."""
    with _listener(config.server) as listener:
        if crew.rehearse():
            with _opened(config) as house:
                create_app(house)
                _welcome(house, listener.getsockname()[1])
            return
        _tell(config, listener.getsockname()[1])
        with counting_together():
            if crew.take_part(workers):
                with _opened(config) as house:
                    warn(house)
                    app = create_app(house)
                    settle_in()
                    listen(app, listener)


@contextmanager
def _opened(config: Config) -> Iterator[House]:
    house = assemble(config)
    try:
        check_listening(house)
        with drawing(config.traces.endpoint):
            yield house
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
    public = (config.server.public_url or here).rstrip("/")
    for line in (
        f"Relent listens on {here}; {leaves[config.mailbox.transport]}.",
        f"Point your mailbox's webhook at {public}/webhooks/agentmail",
        f"The API, as AgentMail has it: {public}/v0, to read at {public}/docs",
        f"The dashboard: {front_of(config.server, port)}/",
    ):
        if is_plain(config.log.format):
            show.say(line, on=show.complaints)
        else:
            log.info("%s", line)


def _welcome(house: House, port: int) -> None:
    """How the first admin comes in. A secret: it is told to whoever started us, and never to the log.

    Where standard error is the log, for machines to read, it goes to standard output.
    """
    try:
        link = Members(store=house.store, clock=house.clock).welcome()
    except SQLAlchemyError as error:  # answers are heard all the same
        log.warning("no link for a first admin could be made: %s", in_words(error))
        return
    if link is None:
        return
    show.say(
        f"Nobody may come in yet. Open this and you are the first admin; it opens once, within "
        f"{LINK_LASTS.total_seconds() / 3600:.0f} hours:\n{front_of(house.config.server, port)}/welcome/{link.token}",
        on=show.complaints if is_plain(house.config.log.format) else show.console,
    )


def front_of(server: Server, port: int) -> str:
    """Where a browser on this machine finds the dashboard; or where the world does."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(server.host, server.host)  # noqa: S104
    return (server.public_url or f"http://{f'[{host}]' if ':' in host else host}:{port}").rstrip("/")
