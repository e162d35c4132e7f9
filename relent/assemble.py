"""The one place where everything is put together."""

import ipaddress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Lock

from engine.errors import ConfigError
from engine.model import Pace
from engine.seams import Clock, Mailbox
from engine.store import Store, open_store
from mailroom.local import Capture, LocalMailbox, Transport
from mailroom.smtp_out import SmtpSettings, SmtpTransport
from relent.config import Config, Smtp
from webhooks.sender import Sender
from webhooks.signature import Verifier, decode_secret


class SystemClock:
    """The clock of this machine."""

    def now(self) -> datetime:
        return datetime.now(UTC)


class Refusals:
    """Webhooks that nobody believed, counted here so that a stranger cannot make us write to the database."""

    def __init__(self) -> None:
        self.number = 0
        self._lock = Lock()

    def count(self) -> None:
        with self._lock:
            self.number += 1

    def forget(self, written_down: int) -> None:
        with self._lock:
            self.number -= written_down


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """What the doors and the worker hand to the stories."""

    config: Config
    store: Store
    mailbox: Mailbox
    clock: Clock
    pace: Pace
    refusals: Refusals = field(default_factory=Refusals)


def assemble(config: Config, clock: Clock | None = None) -> House:
    ticking = clock or SystemClock()
    dispatch = config.dispatch
    return House(
        config=config,
        store=open_store(config.database.url),
        mailbox=LocalMailbox(_transport(config, ticking)),
        clock=ticking,
        pace=Pace(
            batch=dispatch.batch,
            lease=dispatch.lease,
            retries=dispatch.retries,
            max_lateness=dispatch.max_lateness,
        ),
    )


def verifier(config: Config) -> Verifier:
    """Without a secret nobody could tell us about an answer, and every follow-up would go out."""
    if not config.webhooks.secrets:
        raise ConfigError(
            "webhooks.secrets is empty: nobody could tell us that somebody answered. "
            "`relent init` makes one; or set RELENT_WEBHOOKS__SECRETS='[\"whsec_…\"]'."
        )
    return Verifier(secrets=_secrets(config), tolerance=config.webhooks.tolerance)


def sender(config: Config) -> Sender:
    """Whoever checks our signature can also make it: so what goes out is signed with a secret of its own."""
    own = config.webhooks.outbound.secret
    if own and own in config.webhooks.secrets:
        raise ConfigError(
            "webhooks.outbound.secret is one of webhooks.secrets: whoever we call could forge answers. "
            "`relent init` in an empty folder makes fresh ones."
        )
    try:
        secret = decode_secret(own.get_secret_value()) if own else None
    except ConfigError as error:
        raise ConfigError(f"webhooks.outbound.secret: {error}") from None
    return Sender(secret=secret, allow=config.webhooks.outbound.allow)


def _secrets(config: Config) -> tuple[bytes, ...]:
    try:
        return tuple(decode_secret(secret.get_secret_value()) for secret in config.webhooks.secrets)
    except ConfigError as error:
        raise ConfigError(f"webhooks.secrets: {error}") from None


def check_listening(config: Config) -> None:
    """Beyond this machine only with a key."""
    if not config.server.api_keys and not _is_loopback(config.server.host):
        raise ConfigError(
            f"server.host {config.server.host} is open to others and server.api_keys is empty. "
            "Set a key, or listen on 127.0.0.1."
        )


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _transport(config: Config, clock: Clock) -> Transport:
    if config.mailbox.transport == "capture":
        return Capture()
    return SmtpTransport(_smtp_settings(config.mailbox.smtp), clock)


def _smtp_settings(smtp: Smtp) -> SmtpSettings:
    if smtp.tls == "none" and smtp.password and not _is_loopback(smtp.host):
        raise ConfigError(
            f"mailbox.smtp: with tls: none the password would travel to {smtp.host} in the clear. "
            "Write starttls or implicit."
        )
    return SmtpSettings(
        host=smtp.host,
        port=smtp.port,
        username=smtp.username,
        password=smtp.password.get_secret_value() if smtp.password else None,
        tls=smtp.tls,
        ca_file=smtp.ca_file,
    )
