"""The one place where everything is put together."""

import hmac
import logging
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from urllib.parse import urlsplit

from sqlalchemy.exc import SQLAlchemyError

from dashboard.counted import Counted
from dashboard.frame import Office
from engine.errors import ConfigError, RelentError
from engine.inboxes import organization_id
from engine.keys import Keyring, is_loopback
from engine.members import Members
from engine.model import Pace
from engine.moving import refuse_what_has_moved
from engine.outbox import Render
from engine.post import Lend
from engine.receive import receive_sent
from engine.safe import arrive
from engine.seams import Clock, Mailbox
from engine.store import Store, database_file, open_store, refuse_what_is_damaged
from engine.subscribers import Judge
from engine.witness import Memory, Nobody, StateFile, Witness
from mailroom.api.frame import Desk, OnFile
from mailroom.api.rate import Rate
from mailroom.api.seal import Seal
from mailroom.hearsay import told
from mailroom.local import Capture, LocalMailbox, Transport
from mailroom.smtp_out import SmtpSettings, SmtpTransport
from mailroom.telling import render
from relent import __version__
from relent.config import MAKE_A_KEY, Config, Server, Smtp
from relent.ears import Ears
from relent.exposition import Exposition
from relent.folder import Folder
from relent.in_words import settings_in_words
from relent.lines import Lines
from relent.metrics import Meters, Timed
from sequences.templates import read_attachments
from webhooks.sender import Sender, why_never
from webhooks.signature import Verifier, decode_secret

log = logging.getLogger("relent.assemble")
_SHORTEST_KEY = 16  #: with which a server is opened to others
_LINES = 4  #: a mail server gives one customer few connections


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


class Answers:
    """How long the first of those has waited whose answers are not written down yet. Nobody listens here: they wait elsewhere."""

    def __init__(self) -> None:
        self.behind: Callable[[], float] = lambda: 0.0


#: What is told to others, as bytes.
render_telling: Render = render


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """What the doors and the worker hand to the stories."""

    config: Config
    store: Store
    mailbox: Mailbox
    clock: Clock
    pace: Pace
    refusals: Refusals = field(default_factory=Refusals)
    meters: Meters = field(default_factory=Meters)
    redis_answers: Callable[[], bool] | None = None  #: None: there is none
    ears: Ears = field(default_factory=Ears)
    answers: Answers = field(default_factory=Answers)
    render: Render = render_telling
    beside: tuple[Mailbox, ...] = ()  #: more lines out, for a worker who has many letters
    lend: Lend | None = None  #: a mailbox for what somebody waits for; None: the usual one
    witness: Witness = field(default_factory=Nobody)  #: who knows a database that was restored or copied
    memory: Memory | None = None  #: what was known of it when it was opened; None: it is not believed


def assemble(config: Config, clock: Clock | None = None) -> House:
    """Whoever is to send. From a database that may not be the one that it was nothing leaves: see engine/safe.py."""
    _check_redis(config)
    ticking, meters = clock or SystemClock(), Meters()
    dispatch = config.dispatch

    def mailbox() -> Mailbox:
        return Timed(LocalMailbox(_transport(config, ticking)), meters)

    guard, store = believing(config), open_store(config.database.url)
    try:
        refuse_what_is_damaged(store)
        refuse_what_has_moved(store, ticking)
        memory = arrive(guard, store=store, clock=ticking)
        carried = mailbox()
    except (RelentError, SQLAlchemyError):
        store.close()
        raise
    return House(
        config=config,
        store=store,
        witness=guard,
        memory=memory,
        mailbox=carried,
        beside=tuple(mailbox() for _ in range(1, _lines(config))),
        lend=Lines(mailbox).lend,
        meters=meters,
        clock=ticking,
        pace=Pace(
            batch=dispatch.batch,
            lease=dispatch.lease,
            retries=dispatch.retries,
            max_lateness=dispatch.max_lateness,
            rate=dispatch.rate,
        ),
    )


def _lines(config: Config) -> int:
    """Where nothing leaves the machine there is nobody to wait for.

    On SQLite the disk is waited for, and several letters wait for it together. PostgreSQL has others to do that with.
    """
    if config.mailbox.transport == "capture":
        return 1
    return config.dispatch.lines or (_LINES if config.database.url.startswith("sqlite") else 1)


def _check_redis(config: Config) -> None:
    """Whether it answers is not asked: that changes how soon letters leave, and nothing else."""
    if not config.redis.url:
        return
    missing = [name for name in ("redis", "rq") if find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"redis.url is set, and {' and '.join(missing)} not installed: pip install 'relent-engine[redis]'"
        )
    host = urlsplit(config.redis.url.get_secret_value()).hostname
    if config.database.url.startswith("sqlite") and host and not is_loopback(host):
        log.warning(
            "redis.url names another machine, and database.url an SQLite file, which only this machine can open: "
            "workers elsewhere need PostgreSQL (docs/scale.md)"
        )


def exposition(house: House) -> Exposition:
    """How this house fares, for whoever asks."""
    return Exposition(
        meters=house.meters,
        store=house.store,
        clock=house.clock,
        version=__version__,
        keeps_a_canary=house.config.canary.every is not None,
    )


def witness(config: Config) -> Witness:
    """Beside a database that is a file; else in a folder that somebody named, a file for each house."""
    file = database_file(config.database.url)
    beside = StateFile(file.parent, f"{file.name}.state") if file else None
    if config.database.state:
        return StateFile(Path(config.database.state), "relent-{house}.state", earlier=beside)
    return beside or Nobody()


def believing(config: Config) -> Witness:
    """The same, for whoever will rely on it: a file that was never written is missed at the next start."""
    guard, named = witness(config), config.database.state and database_file(config.database.url)
    if named and isinstance(guard, StateFile) and (why := guard.trouble()):
        raise ConfigError(
            f"database.state: {why}. There is remembered by what a restored database is known: make that folder, "
            "mount its disk, or name another one"
        )
    return guard


def desk(house: House) -> Desk:
    """What the endpoints of `/v0` work with."""
    config = house.config
    with house.store.reading(house.clock.now()) as ledger:
        key = ledger.instance_key()
    return Desk(
        store=house.store,
        clock=house.clock,
        pace=house.pace,
        keys=Keyring(
            store=house.store,
            clock=house.clock,
            configured=[each.get_secret_value() for each in config.server.api_keys],
            at_home=is_loopback(config.server.host),
        ),
        lend=house.lend or (lambda: nullcontext(house.mailbox)),
        arrive=partial(_arrive, house),
        carried=house.meters.carried,
        seal=Seal(key),
        organization_id=organization_id(key),
        judge=judge(config),
        rate=Rate(config.server.rate),
        domains=config.server.domains,
        anywhere=config.mailbox.transport == "capture",
        public_url=config.server.public_url,
        sequences=partial(on_file, Folder(config.sequences.path)),
        pools=config.pools,
        witness=house.witness,
    )


def on_file(folder: Folder) -> Iterator[OnFile]:
    """The sequences there that can be read."""
    for each in folder():
        if each.sequence is not None:
            files = partial(read_attachments, Path(each.file), each.sequence)
            yield OnFile(sequence=each.sequence, files=files)


def office(house: House, keys: Keyring | None = None) -> Office:
    """What the pages of the dashboard work with."""
    config = house.config
    with house.store.reading(house.clock.now()) as ledger:
        key = hmac.digest(ledger.instance_key(), b"relent: the dashboard", "sha256")
    return Office(
        store=house.store,
        clock=house.clock,
        pace=house.pace,
        members=Members(store=house.store, clock=house.clock),
        key=key,
        keys=keys,
        mode=config.mailbox.transport,
        public_url=config.server.public_url,
        host=config.server.host,
        version=__version__,
        folder=config.sequences.path,
        sequences=Folder(config.sequences.path),
        read=house.mailbox.read,
        post=sender(config).post,
        render=house.render,
        settings=settings_in_words(config),
        counted=Counted(now=house.clock.now),
        judge=judge(config),
        pools=config.pools,
        secrets=len(config.webhooks.secrets),
        witness=house.witness,
    )


def _arrive(house: House, inbox_id: str, message_id: str) -> None:
    """What a letter, by its inbox and its name, says to inboxes of ours is heard there."""
    for reaction in receive_sent(
        inbox_id, message_id, read=told, store=house.store, clock=house.clock, pace=house.pace
    ):
        house.meters.reacted(reaction)


def verifier(config: Config) -> Verifier:
    """Without a secret nobody could tell us about an answer, and every follow-up would go out."""
    if not config.webhooks.secrets:
        raise ConfigError(
            "webhooks.secrets is empty: nobody could tell us that somebody answered. "
            "`relent init` makes one; or set RELENT_WEBHOOKS__SECRETS='[\"whsec_…\"]'."
        )
    return Verifier(secrets=_secrets(config), tolerance=config.webhooks.tolerance)


def judge(config: Config) -> Judge:
    """What a URL of a subscriber is refused for, before anybody has been called."""
    return lambda url: why_never(url, config.webhooks.outbound.allow)


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


def check_listening(house: House) -> None:
    """Beyond this machine only with a key: one that stands in the configuration, or one that somebody has made."""
    server = house.config.server
    if is_loopback(server.host):
        return
    if server.api_keys:
        _refuse_what_can_be_guessed(server)
        return
    with house.store.reading(house.clock.now()) as ledger:
        if ledger.keys.any_good():
            return
    raise ConfigError(
        f"server.host {server.host} is open to others and server.api_keys is empty. "
        "Set a key, make one with `relent key create`, or listen on 127.0.0.1."
    )


def _refuse_what_can_be_guessed(server: Server) -> None:
    if any(len(each.get_secret_value().strip()) < _SHORTEST_KEY for each in server.api_keys):
        raise ConfigError(
            f"server.host {server.host} is open to others and one of server.api_keys has fewer than "
            f"{_SHORTEST_KEY} letters: it can be guessed. {MAKE_A_KEY}."
        )


def try_mail_server(config: Config) -> str | None:
    """Who takes our letters, in words; None: nobody, they are captured. Raises TemporaryFailure."""
    if config.mailbox.transport == "capture":
        return None
    return SmtpTransport(_smtp_settings(config.mailbox.smtp), SystemClock()).try_out()


def _transport(config: Config, clock: Clock) -> Transport:
    if config.mailbox.transport == "capture":
        return Capture()
    return SmtpTransport(_smtp_settings(config.mailbox.smtp), clock)


def _smtp_settings(smtp: Smtp) -> SmtpSettings:
    if smtp.tls == "none" and smtp.password and not is_loopback(smtp.host):
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
