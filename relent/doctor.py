"""`relent doctor`: is everything there that the promises stand on, and what is to be done about what is not?

Each look changes nothing and has an end. One that cannot look says so.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median
from time import monotonic
from typing import Any, Literal

from sqlalchemy.exc import SQLAlchemyError

from engine import canary, vigil
from engine.errors import ConfigError, MailboxError, RelentError
from engine.keys import is_loopback
from engine.seal import glance
from engine.store import Store, in_words
from engine.store.checkup import Health, examine
from engine.store.drift import Drift, Finding
from engine.store.inbound import MISSED
from engine.store.watch import Sign
from relent.assemble import SystemClock, try_mail_server, verifier
from relent.config import Config
from relent.knock import knock, our_door
from relent.watching import WORKER

_APART = timedelta(seconds=2)
_TOO_LITTLE = 200 * 1024**2
_SILENT = timedelta(seconds=60)
_HANGS = timedelta(minutes=2)
_HOUR = timedelta(hours=1)
_UNSEALED = timedelta(minutes=15)
_FEW = 5
_TEST = b'{"type": "event", "event_type": "relent.test", "event_id": "evt_doctor"}'
_KNOCK_PATIENCE = 10.0
_LATE = "is `relent serve` running, and quick enough? What is held as late waits for `relent approve`"


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What one look found; and what to do about it."""

    check: str
    state: Literal["well", "ill", "off"]
    says: str
    do: str | None = None


@dataclass(frozen=True, slots=True)
class Patient:
    """What is looked at."""

    config: Config
    store: Store

    @property
    def now(self) -> datetime:
        return SystemClock().now()

    def sign(self, name: str) -> Sign | None:
        with self.store.reading(self.now) as ledger:
            return ledger.watch.last(name)


def _well(check: str, says: str, hint: str | None = None) -> Diagnosis:
    return Diagnosis(check, "well", says, hint)


def _ill(check: str, says: str, do: str) -> Diagnosis:
    return Diagnosis(check, "ill", says, do)


def _off(check: str, says: str, hint: str | None = None) -> Diagnosis:
    return Diagnosis(check, "off", says, hint)


def examine_all(patient: Patient) -> Iterator[Diagnosis]:
    """Everything but the drift, which takes its time."""
    for check, looks in _CHECKS.items():
        try:
            yield from looks(patient)
        except SQLAlchemyError as error:
            yield _ill(check, f"the database does not answer: {in_words(error)}", "mend the database first")
        except (RelentError, OSError) as error:
            yield _ill(check, str(error), "see docs/doctor.md")


def beside_the_database(config: Config) -> Iterator[Diagnosis]:
    """What can be looked at when there is none."""
    yield from _redis(config)
    yield from _mailbox(config)


def of_the_database(error: Exception) -> Diagnosis:
    """It could not even be opened."""
    words = in_words(error) if isinstance(error, SQLAlchemyError) else str(error)
    return _ill("database", words, "look at database.url, and whether its server runs")


# --- clock and database ---


def _clock_and_database(patient: Patient) -> Iterator[Diagnosis]:
    before = monotonic()
    health = examine(patient.store, patient.now)
    yield _clock(health, patient.now, timedelta(seconds=monotonic() - before))
    yield _database(health)


def _clock(health: Health, now: datetime, took: timedelta) -> Diagnosis:
    """Against the database's own; and what was written down lies in the past."""
    do = "set this machine's clock right (NTP): letters leave, and webhooks are believed, by it"
    if health.clock and (apart := abs(now - health.clock)) > _APART + took:
        side = "ahead of" if now > health.clock else "behind"
        return _ill("clock", f"ours is {apart.total_seconds():.0f} s {side} the database's", do)
    if health.latest and health.latest - now > _APART:
        ahead = (health.latest - now).total_seconds()
        return _ill("clock", f"the last line in the log was written {ahead:.0f} s in the future", do)
    whose = "it and the database's agree" if health.clock else "nothing was written in the future"
    return _well("clock", f"{now:%Y-%m-%d %H:%M:%S} UTC, {whose}")


def _database(health: Health) -> Diagnosis:
    if health.damage:
        do = "stop everything, copy the file, and restore a backup. See docs/doctor.md"
        return _ill("database", f"{health.kind}, and it is damaged: {'; '.join(health.damage[:_FEW])}", do)
    if health.refuses:
        do = "look at the rights on it, its disk, and who holds it"
        return _ill("database", f"{health.kind}, and it takes nothing: {health.refuses}", do)
    if health.weak:
        do = "a power loss may undo what was promised: set it right, and restart"
        return _ill("database", f"{health.kind} runs with {', '.join(health.weak)}", do)
    if health.room is not None and health.room < _TOO_LITTLE:
        return _ill("database", f"{health.room // 1024**2} MiB are free on its disk", "make room")
    whole = "" if health.looked_at_all else ", not looked at to the end"
    return _well("database", f"{health.kind} answers, takes, and is whole{whole}")


# --- what it is connected to ---


def _redis(config: Config) -> Iterator[Diagnosis]:
    """As those who carry hints ask it; so it says the same, and no more of its password."""
    url = config.redis.url
    if url is None:
        yield _off("redis", "none: the database is asked each second, and nothing else is needed")
        return
    try:
        from relent.dispatchers import why_silent
    except ModuleNotFoundError:
        yield _ill("redis", "its driver is not there", "pip install 'relent-engine[redis]'")
        return
    began = monotonic()
    if why := why_silent(url):
        do = "nothing is lost without it; other machines hear of what is due a second later"
        yield _ill("redis", f"it carries nothing for us: {why}", do)
        return
    yield _well("redis", f"answers, in {1000 * (monotonic() - began):.0f} ms")


def _mailbox(config: Config) -> Iterator[Diagnosis]:
    try:
        words = try_mail_server(config)
    except MailboxError as error:
        yield _ill("mailbox", str(error), "look at mailbox.smtp")
        return
    if words is None:
        yield _off("mailbox", "transport: capture; nothing leaves this machine")
    else:
        yield _well("mailbox", words)


def _webhook(patient: Patient) -> Iterator[Diagnosis]:
    config = patient.config
    try:
        verifier(config)
    except ConfigError as error:
        yield _ill("webhook", str(error), "set webhooks.secrets, and restart")
        return
    began, url = monotonic(), our_door(config)
    answer = knock(config, _TEST, SystemClock(), patience=_KNOCK_PATIENCE)
    if not answer.is_yes:
        yield _ill("webhook", f"{url}: {answer}", _what_to_do_about(answer.status))
        return
    says = f"{url} answers {answer.status} to a signed event, in {1000 * (monotonic() - began):.0f} ms"
    nobody_out_there = config.server.public_url is None and is_loopback(config.server.host)
    hint = "nobody beyond this machine reaches it: set server.public_url" if nobody_out_there else None
    yield _well("webhook", says, hint)


def _what_to_do_about(status: int | None) -> str:
    match status:
        case None:
            return "is `relent serve` running, and is server.public_url where the world reaches it?"
        case 401:
            return "whoever answers there has other webhooks.secrets, or another clock: restart it"
        case 503:
            return "its database does not answer: look at its log"
        case _:
            return "something else answers there: look at server.public_url, and at the proxy in between"


def _told(patient: Patient) -> Iterator[Diagnosis]:
    """What the door has overheard; and what webhooks have missed."""
    sign = patient.sign(vigil.SIGN)
    said: Mapping[str, Any] = sign.says if sign else {}
    recent = [each for each in said.get("skewed", ()) if _is_recent(each["at"], patient.now)]
    if recent:
        yield _ill(
            "webhooks",
            f"{len(recent)} signed events were turned away within the hour: their clock is not ours",
            "set the clocks right, then look at the provider for what was missed",
        )
        return
    heard = (
        f"the last one came {_ago(said['heard_at'], patient.now)}"
        if "heard_at" in said
        else "none has come yet"
    )
    refused = vigil.in_words(said.get("doubts", {})) if sign and _is_recent(sign.at, patient.now) else ""
    with patient.store.reading(patient.now) as ledger:
        missed = ledger.inbound.counted(MISSED)
    hints = [f"refused this hour: {refused}"] if refused else []
    hints += [f"{missed:,} answers were found that no webhook had told of"] if missed else []
    yield _well("webhooks", heard, "; ".join(hints) or None)


def _subscribers(patient: Patient) -> Iterator[Diagnosis]:
    with patient.store.reading(patient.now) as ledger:
        off = ledger.subscribers.switched_off()
    for each in off:
        yield _ill(
            "subscribers",
            f"{each['webhook_id']} is told nothing: {each['why_off']}",
            f"when it is well: `relent webhook enable {each['webhook_id']}`",
        )
    if not off:
        yield _well("subscribers", "nobody who wants to be told is switched off")


# --- who is at work, and how it goes ---


def _workers(patient: Patient) -> Iterator[Diagnosis]:
    with patient.store.reading(patient.now) as ledger:
        signs = ledger.watch.signs(WORKER)
    alive = [each for each in signs if patient.now - each.at <= _SILENT]
    if not alive:
        yield _ill("workers", "nobody sends", "start `relent serve`, or `relent work`")
        return
    for each in alive:
        looked = each.says.get("looked_at")
        if looked and patient.now - datetime.fromisoformat(looked) > _HANGS:
            yield _ill(
                "workers",
                f"{each.says.get('host')}, process {each.says.get('pid')}, hangs since {_ago(looked, patient.now)}",
                "look at its log: a mail server or a database that does not answer? Then restart it",
            )
            return
    hosts = Counter(str(each.says.get("host", "?")) for each in alive)
    yield _well("workers", ", ".join(f"{number} on {host}" for host, number in sorted(hosts.items())))


def _drafts(patient: Patient) -> Iterator[Diagnosis]:
    with patient.store.reading(patient.now) as ledger:
        state, (doubtful, first) = ledger.views.status(ledger.now), ledger.drafts.in_doubt(_FEW + 1)
    if doubtful:
        yield _ill(
            "drafts",
            f"{doubtful:,} may or may not have left: {_few(first)}",
            "look into the mailbox, then `relent settle DRAFT_ID --left` or `--did-not-leave`",
        )
    if state["late"]:
        yield _ill("drafts", f"{state['late']:,} should have left already", _LATE)
    if failed := state["drafts"]["failed"]:
        yield _ill(
            "drafts",
            f"{failed:,} were refused for good",
            "`relent drafts` says why; `relent approve` tries again",
        )
    if not (doubtful or state["late"] or failed):
        yield _well(
            "drafts", f"{state['drafts']['scheduled']:,} wait for their hour, none is late or in doubt"
        )


def _brake(patient: Patient) -> Iterator[Diagnosis]:
    with patient.store.reading(patient.now) as ledger:
        brake = ledger.watch.braked()
    if brake is None:
        yield _well("brake", "off: letters leave")
        return
    do = "see to that; then `relent resume --all`"
    if brake.why.startswith(canary.OURS) and patient.config.canary.every is not None:
        do = "see to that: it is taken off by itself when an answer is in time again"
    yield _ill("brake", f"on since {brake.since:%d %b %H:%M} UTC, nothing leaves: {brake.why}", do)


def _canary(patient: Patient) -> Iterator[Diagnosis]:
    settings = patient.config.canary
    if settings.every is None:
        yield _off("canary", "none", "`canary: {every: 5m}` tells how fast an answer stops a follow-up")
        return
    sign = patient.sign(canary.SIGN)
    do = "is `relent serve` running? Its log says what she does"
    if sign is None:
        yield _ill("canary", "she has not flown yet", do)
    elif patient.now - sign.at > 3 * settings.every + _SILENT:
        yield _ill("canary", f"she was last seen {_ago(sign.at.isoformat(), patient.now)}", do)
    elif not sign.says["in_time"]:
        yield _ill(
            "canary",
            sign.says["why"] or "her answer was too slow",
            "look at the log, and at the load of the database",
        )
    else:
        figures = sign.says["figures"]
        yield _well(
            "canary",
            f"{sign.says['seconds']:.2f} s from her answer to the cancelled draft and our 204; "
            f"of the last {len(figures)}, half within {median(figures):.2f} s, all within {max(figures):.2f} s",
        )


# --- the log ---


def _log(patient: Patient) -> Iterator[Diagnosis]:
    """The last blocks only: `relent audit verify` looks at every line."""
    found = glance(patient.store, SystemClock())
    if found.broken:
        first = "; ".join(each.says for each in found.broken[:_FEW])
        yield _ill("log", f"it is not what was sealed: {first}", "`relent audit verify` looks at all of it")
    elif found.waiting_since and patient.now - found.waiting_since > _UNSEALED:
        since = _ago(found.waiting_since.isoformat(), patient.now)
        do = "`relent serve` and `relent work` seal it every few seconds"
        yield _ill("log", f"{found.waiting:,} lines are not sealed, the oldest was written {since}", do)
    elif found.head is None:
        yield _well("log", "nothing was written down yet")
    else:
        yield _well("log", f"what was sealed last is whole, head {found.head.number}:{found.head.hash[:16]}")


# --- drift ---


def drift(found: Iterable[Finding]) -> tuple[Diagnosis, dict[str, int]]:
    """What a whole round has found, counted; and the first few by their names."""
    counted: dict[str, int] = dict.fromkeys((kind.value for kind in Drift), 0)
    first: list[str] = []
    for each in found:
        counted[each.kind.value] += 1
        if len(first) < _FEW:
            first.append(each.words)
    if number := sum(counted.values()):
        kinds = ", ".join(f"{n:,} {kind}" for kind, n in counted.items() if n)
        do = (
            "`relent doctor --fix` puts it right, as a worker does every few minutes; docs/doctor.md says how"
        )
        return _ill("drift", f"{number:,}: {kinds}. {'; '.join(first)}", do), counted
    return _well("drift", "0: database, drafts, labels and answers agree"), counted


_Check = Callable[[Patient], Iterator[Diagnosis]]

#: By the name under which one is told of that cannot look.
_CHECKS: dict[str, _Check] = {
    "database": _clock_and_database,
    "redis": lambda patient: _redis(patient.config),
    "mailbox": lambda patient: _mailbox(patient.config),
    "webhook": _webhook,
    "webhooks": _told,
    "subscribers": _subscribers,
    "workers": _workers,
    "drafts": _drafts,
    "brake": _brake,
    "canary": _canary,
    "log": _log,
}


def _few(names: list[str]) -> str:
    return ", ".join(names[:_FEW]) + (", …" if len(names) > _FEW else "")


def _is_recent(moment: str | datetime, now: datetime) -> bool:
    at = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    return now - at <= _HOUR


def _ago(moment: str, now: datetime) -> str:
    seconds = max((now - datetime.fromisoformat(moment)).total_seconds(), 0)
    for name, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {name} ago"
    return f"{seconds:.0f} s ago"
