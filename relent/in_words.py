"""What is configured, for people who look at it in a browser. By a list of what may be shown, so that no secret ever is."""

from datetime import timedelta
from urllib.parse import urlsplit

from dashboard.frame import Setting
from engine.store import database_file
from relent.config import Config

_UNITS = (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1))


def settings_in_words(config: Config) -> tuple[Setting, ...]:
    """By their keys in config.yaml. Of secrets, how many there are."""
    dispatch, watch = config.dispatch, config.watch
    return (
        Setting("mailbox.transport", config.mailbox.transport, _transport(config)),
        Setting("database.url", _database(config), "where everything is kept"),
        Setting("redis.url", _redis(config), "carries hints to workers; nothing is kept there"),
        Setting("server.host", f"{config.server.host}:{config.server.port}", "where this server listens"),
        Setting("server.public_url", config.server.public_url or "none", "how the world reaches it"),
        Setting(
            "server.api_keys", _some(len(config.server.api_keys), "key"), "in the configuration; never shown"
        ),
        Setting("server.rate", f"{config.server.rate:,} a second", "requests with one key, at most"),
        Setting("server.domains", ", ".join(config.server.domains) or "any", "of new inboxes"),
        Setting(
            "webhooks.secrets",
            _some(len(config.webhooks.secrets), "secret"),
            "believed of those who tell us of answers; never shown",
        ),
        Setting("webhooks.tolerance", _wait(config.webhooks.tolerance), "how old a signature may be"),
        Setting(
            "webhooks.outbound.allow",
            ", ".join(map(str, config.webhooks.outbound.allow)) or "none",
            "networks inside that our webhooks may reach",
        ),
        Setting(
            "webhooks.outbound.secret",
            "set" if config.webhooks.outbound.secret else "none",
            "signs the webhooks of sequences; never shown",
        ),
        Setting("sequences.path", config.sequences.path, "where sequences are looked for"),
        Setting(
            "dispatch.rate", _number(dispatch.rate, "no limit"), "letters a minute at most, from all inboxes"
        ),
        Setting("dispatch.max_lateness", _wait(dispatch.max_lateness), "later than this, a human decides"),
        Setting(
            "dispatch.retries",
            ", ".join(map(_wait, dispatch.retries)),
            'waits after "not now"; the last repeats',
        ),
        Setting("watch.sweep", _wait(watch.sweep), "how often database, drafts and labels are compared"),
        Setting(
            "watch.silence", _wait(watch.silence), "letters leave and no webhook comes for so long: it brakes"
        ),
        Setting("canary.every", _wait(config.canary.every), "how often she flies"),
        Setting(
            "canary.limit", _wait(config.canary.limit), "an answer that takes longer brakes the whole house"
        ),
    )


def _transport(config: Config) -> str:
    if config.mailbox.transport == "capture":
        return "nothing leaves this machine: letters are kept here, and shown"
    smtp = config.mailbox.smtp
    return f"letters leave by {smtp.host}:{smtp.port}, tls: {smtp.tls}"


def _database(config: Config) -> str:
    file = database_file(config.database.url)
    return str(file) if file else urlsplit(config.database.url).hostname or "PostgreSQL"


def _redis(config: Config) -> str:
    if config.redis.url is None:
        return "none"
    return urlsplit(config.redis.url.get_secret_value()).hostname or "set"


def _some(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _number(value: int | None, otherwise: str) -> str:
    return otherwise if value is None else f"{value:,}"


def _wait(wait: timedelta | None) -> str:
    """`5 minutes`: in the largest unit of which it is a whole number."""
    if wait is None:
        return "never"
    seconds = int(wait.total_seconds())
    name, size = next((name, size) for name, size in _UNITS if seconds % size == 0)
    return _some(seconds // size, name)
