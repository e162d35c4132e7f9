"""We knock at our own door, as those do who tell us of answers: signed, over the wire, and by the address that they use."""

from dataclasses import replace
from ipaddress import ip_network

from engine.calls import Answer, Call
from engine.errors import ConfigError
from engine.ids import new_id
from engine.seams import Clock
from relent.assemble import sender
from relent.config import Config
from relent.ears import OUR_OWN
from webhooks.signature import decode_secret

_ANYWHERE = (ip_network("0.0.0.0/0"), ip_network("::/0"))
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 (where a server listens, and where it is reached)


def our_door(config: Config) -> str:
    """As the world reaches it, else where it listens."""
    server = config.server
    host = _EVERYWHERE.get(server.host, server.host)
    here = f"http://{f'[{host}]' if ':' in host else host}:{server.port}"
    return f"{(server.public_url or here).rstrip('/')}/webhooks/agentmail"


def knock(config: Config, body: bytes, clock: Clock, *, patience: float = 15.0) -> Answer:
    """Raises ConfigError when nothing can be signed. That nobody answers is an answer."""
    if not config.webhooks.secrets:
        raise ConfigError("webhooks.secrets is empty: nobody could be believed. `relent init` makes one.")
    key = decode_secret(config.webhooks.secrets[0].get_secret_value())
    name = new_id(OUR_OWN.removesuffix("_"), clock.now())
    call = Call(id=name, url=our_door(config), body=body, secrets=(key,))
    return replace(sender(config), allow=_ANYWHERE, patience=patience).post(call, clock.now())
