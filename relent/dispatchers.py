"""Redis and RQ carry "look at these drafts now", and nothing else: ids only, and nobody depends on them.

The truth is in the database, and everybody who works looks there too. A hint that is lost, late, doubled or forged costs a
look at the database. Whoever can write into Redis can write whatever they like: so nothing that stands there is run, and
of a job nothing is read but a short list of ids.
"""

import json
import logging
import math
import os
import re
import secrets
import socket
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import timedelta
from hashlib import sha256
from threading import Event, Lock, Thread
from time import monotonic
from typing import Any
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import ResponseError
from redis.retry import Retry
from rq import Queue, SimpleWorker
from rq import worker_registration as attendance
from rq.exceptions import DequeueTimeout, DuplicateJobError, NoSuchJobError
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.utils import as_text
from sqlalchemy.exc import SQLAlchemyError

from engine.errors import RelentError
from engine.inboxes import organization_id
from relent.assemble import House

log = logging.getLogger("relent.dispatchers")

#: What our jobs are called. It is a word, and no path: nothing is imported because of it.
FUNCTION = "relent.look"
_DRAFT = re.compile(r"drf_[0-9a-z]{1,60}")

_POLL = 1.0
_PATIENCE = timedelta(seconds=1)  #: how long whoever was told gets, before we look ourselves
_TOGETHER = 50  #: drafts in a hint: a job each would be the bottleneck
_AT_ONCE = 500  #: drafts that somebody is told of, and has not taken yet
_DEEP = 200  #: hints in the queue: whoever should listen does not
_FRESH = 10  #: seconds after which a hint is worth nothing, and is given once more if need be
_LONGEST = 64 * 1024  #: bytes of a job, packed or not
_SEEN = 30  #: seconds for which somebody who listens is believed to be there
_SHOW_UP = 10.0
_ANSWER, _CONNECT = 5.0, 2.0  #: seconds that Redis gets; a hint that takes longer is none
_IN_VAIN = 50  #: hints in a row that move nothing, before we stop running for each


class NotOurs(RelentError):
    """A job that no Relent wrote."""


def connect(url: SecretStr) -> "Redis":
    """Nothing is asked yet. Whoever waits for Redis waits for seconds, and tries again when it is time."""
    client: Redis = Redis.from_url(
        url.get_secret_value(),
        socket_timeout=_ANSWER,
        socket_connect_timeout=_CONNECT,
        retry=Retry(NoBackoff(), 0),
        protocol=2,  # with 3 a server may tell its clients to go elsewhere
    )
    return client


def place(url: SecretStr) -> str:
    """Where it is, for a log: without a name and a password."""
    parts = urlsplit(url.get_secret_value())
    return parts.path if parts.scheme == "unix" else f"{parts.hostname}:{parts.port or 6379}"


def why_silent(url: SecretStr) -> str | None:
    """Why Redis carries nothing for us just now; None: it would."""
    client = connect(url)
    try:
        client.set(f"relent:hint:{secrets.token_hex(8)}", 1, ex=1)
    except Exception as error:  # noqa: BLE001 (whatever it says is the answer)
        return _words(error, url)
    finally:
        client.close()
    return None


def _words(error: BaseException, url: SecretStr) -> str:
    told = " ".join(str(error).split()) or type(error).__name__
    password = urlsplit(url.get_secret_value()).password or ""
    for secret in filter(None, (password, unquote(password))):
        told = told.replace(secret, "…")
    return told[:300]


class Line:
    """How it stands between us and Redis. An outage is told once, however many trip over it."""

    def __init__(self, url: SecretStr) -> None:
        self._url = url
        self._lock = Lock()
        self._waits: dict[str, float] = {}
        self._since = self._told_at = -math.inf

    def broke(self, doing: str, error: BaseException) -> float:
        """How long to leave it alone."""
        with self._lock:
            whole, now = not self._waits, monotonic()
            wait = self._waits[doing] = min(self._waits.get(doing, 0.25) * 2, 30.0)
            if whole:
                self._since = now
            level = logging.WARNING if whole and now - self._told_at > 30 else logging.DEBUG
            self._told_at = now if level == logging.WARNING else self._told_at
        log.log(
            level,
            "Redis at %s is of no use, everybody looks at the database instead: %s",
            place(self._url),
            _words(error, self._url),
        )
        log.debug("while %s", doing, exc_info=error)
        return wait

    def holds(self, doing: str) -> None:
        with self._lock:
            was_broken = self._waits.pop(doing, None) is not None
            back, after = was_broken and not self._waits, monotonic() - self._since
            told = self._told_at >= self._since
        if back:
            log.log(
                logging.INFO if told else logging.DEBUG,
                "Redis at %s is back, after %.0f s",
                place(self._url),
                after,
            )


class Hint(Job):
    """A job as it stands in Redis, of which only a short list of ids is read.

    RQ would also import and call what a job names, tell URLs of its end, run what waits for it and try it again. Whoever
    can write into Redis could use all of that, and a hint needs none of it.
    """

    def refresh(self) -> None:
        """Nothing but `data`, and no more of it than we would have written."""
        pipeline = self.connection.pipeline()
        pipeline.hstrlen(self.key, "data")
        pipeline.exists(self.key)
        try:
            length, there = pipeline.execute()
        except ResponseError as error:
            raise NotOurs("it is no job at all") from error
        if not there:
            raise NoSuchJobError(self.key)
        if not 0 < length <= _LONGEST:
            raise NotOurs(f"{length} bytes")
        self.data = self.connection.hget(self.key, "data") or b""

    @property
    def func(self) -> Any:
        """A name that stands in Redis is never looked up."""
        raise NotOurs("nothing is called that stands in Redis")

    @property
    def draft_ids(self) -> list[str]:
        """Whom it is about. Raises NotOurs."""
        try:
            name, instance, arguments, named = json.loads(_unpacked(self.data))
            [ids] = arguments
        except (ValueError, TypeError, RecursionError, zlib.error) as error:
            raise NotOurs("not readable") from error
        if name != FUNCTION or instance is not None or named != {}:
            raise NotOurs(f"it calls {name[:60]!r}" if isinstance(name, str) else "it calls nothing")
        if not isinstance(ids, list) or len(ids) > _AT_ONCE:
            raise NotOurs("it has no list of drafts")
        if not all(isinstance(each, str) and _DRAFT.fullmatch(each) for each in ids):
            raise NotOurs("what it names are no drafts")
        return ids


def _unpacked(data: bytes) -> bytes:
    """A few bytes can be packed so that they become gigabytes."""
    packed = zlib.decompressobj()
    plain = packed.decompress(data, _LONGEST)
    if packed.unconsumed_tail:
        raise NotOurs("too long")
    return plain


class Listener(SimpleWorker):
    """RQ's worker, in a thread of ours, without all that is done to a job before and after it.

    It takes no orders over Redis (`shutdown`, `suspend`): `relent stop --all` is the brake. A job is not timed by signals: an
    exception at any moment could come between a letter's last byte and the note that it left. Who carries letters looks
    at the time themselves.
    """

    job_class = Hint
    queue_class = Queue

    def __init__(self, queue: str, look: Callable[[list[str]], int], connection: "Redis") -> None:
        host = re.sub(r"[^A-Za-z0-9.-]", "-", socket.gethostname())
        name = f"relent-{host}-{os.getpid()}-{secrets.token_hex(3)}"
        super().__init__(
            [queue],
            name=name,
            connection=connection,
            job_class=Hint,
            serializer=JSONSerializer,
            worker_ttl=_SEEN,
        )
        self._look = look
        self._shown_at = -math.inf
        self._in_vain = 0
        self.refused: list[str] = []  #: why, of those that were not ours

    @property
    def connection_timeout(self) -> int:
        """RQ would wait for minutes."""
        return int(_ANSWER)

    def show_up(self) -> None:
        """Now and then: Redis may have forgotten everything."""
        if monotonic() - self._shown_at < _SHOW_UP:
            return
        if self.birth_date is None:
            self.register_birth()  # type: ignore[no-untyped-call]
        with self.connection.pipeline() as pipeline:
            self.heartbeat(_SEEN, pipeline=pipeline)
            pipeline.hset(self.key, mapping=self.serialize())
            attendance.register(self, pipeline)
            pipeline.execute()
        self._shown_at = monotonic()

    def listen(self, seconds: int) -> None:
        """One hint, if there is one within this time."""
        queue = self.queues[0]
        try:
            _, told = Queue.lmove(self.connection, queue.key, seconds)
        except DequeueTimeout:
            return
        try:
            job = self.job_class.fetch(as_text(told), connection=self.connection, serializer=self.serializer)
        except (NotOurs, ValueError) as error:  # RQ's own word for an id that is none
            self._refuse(told, str(error))
        except NoSuchJobError:
            self._forget(told)  # too old, or forgotten
        else:
            self.execute_job(job, queue)

    def execute_job(self, job: Job, queue: Queue) -> None:
        """The hint is taken out of Redis first: if we die now, the letters wait in the database like all others."""
        try:
            draft_ids = job.draft_ids if isinstance(job, Hint) else []
        except NotOurs as error:
            self._refuse(job.id, str(error))
            return
        self._forget(job.id)
        self._in_vain = 0 if self._look(draft_ids) else self._in_vain + 1

    @property
    def rest(self) -> float:
        """Seconds. Whoever hints at nothing, again and again, does not keep us and the database running."""
        return min(max(self._in_vain - _IN_VAIN, 0) * 0.01, 0.5)

    def leave(self) -> None:
        """Who goes without a word is missed after half a minute."""
        if self.birth_date is not None:
            self.register_death()  # type: ignore[no-untyped-call]

    def _refuse(self, told: str | bytes, why: str) -> None:
        self._in_vain += 1
        self.refused.append(why)
        self._forget(told)

    def _forget(self, told: str | bytes) -> None:
        queue, name = self.queues[0], told.encode() if isinstance(told, str) else told
        with self.connection.pipeline() as pipeline:
            pipeline.delete(Hint.redis_job_namespace_prefix.encode() + name)
            # as it came, whether it is text or not
            pipeline.lrem(queue.intermediate_queue_key, 1, name)  # type: ignore[arg-type]
            pipeline.expire(queue.intermediate_queue_key, _SEEN)  # what others died with
            pipeline.execute()


class Giver:
    """Tells whoever listens what is due, some drafts at a time, and nobody of the same one twice."""

    def __init__(self, house: House, line: Line, enough: Event) -> None:
        self._house = house
        self._line = line
        self._enough = enough
        self._redis = connect(_url(house))
        self._name = ""
        self._cleaned_at = self._answered_at = -math.inf
        self._told: dict[tuple[str, int], float] = {}  #: by whomever
        self._heard = False  #: is there anybody to be told, and do they listen?

    @property
    def flows(self) -> bool:
        return self._heard and monotonic() - self._answered_at < 3 * _POLL

    def run(self) -> None:
        while not self._enough.is_set():
            self._enough.wait(self._step())
        self._redis.close()

    def _step(self) -> float:
        """Seconds until it is worth looking again."""
        house, now = self._house, self._house.clock.now()
        try:
            with house.store.reading(now) as ledger:
                due = ledger.drafts.due(at_most=_AT_ONCE, max_lateness=house.pace.max_lateness)
                coming = ledger.drafts.next_hour(after=now)
            name = self._name = self._name or queue_of(house)
        except SQLAlchemyError as error:  # the worker beside us says so, louder
            log.debug("the database does not answer, nobody is told of anything: %s", error)
            return _POLL
        except Exception:
            log.exception("our own mistake; nobody is told of anything")
            return _POLL
        try:
            heard = self._hand_over(Queue(name, connection=self._redis, serializer=JSONSerializer), due)
        except Exception as error:  # noqa: BLE001 (a Redis that lies makes its client trip in any way)
            self._heard = False
            return self._line.broke("handing over", error)
        self._heard, self._answered_at = heard, monotonic()
        self._line.holds("handing over")
        longest = _POLL / 2 if due and heard else _POLL  # when some have left, others may be told of
        return longest if coming is None else min(max((coming - now).total_seconds(), 0.02), longest)

    def _hand_over(self, queue: Queue, due: Sequence[tuple[str, int]]) -> bool:
        """Is there anybody who listens?"""
        listening, depth = self._attendance(queue)
        if not listening or depth >= _DEEP:
            return False
        if due:
            self._tell(queue, due, listening)
        return True

    def _attendance(self, queue: Queue) -> tuple[int, int]:
        """How many listen, and how much they have not heard yet."""
        if monotonic() - self._cleaned_at > _SHOW_UP:
            attendance.clean_worker_registry(queue)
            self._cleaned_at = monotonic()
        pipeline = self._redis.pipeline()
        pipeline.scard(attendance.WORKERS_BY_QUEUE_KEY % queue.name)
        pipeline.llen(queue.key)
        listening, depth = pipeline.execute()
        return int(listening), int(depth)

    def _tell(self, queue: Queue, due: Sequence[tuple[str, int]], listening: int) -> None:
        new = self._not_told_of(due)
        together = min(_TOGETHER, math.ceil(len(new) / listening))
        for batch in _parts(new, together or 1):
            with suppress(DuplicateJobError):
                queue.enqueue(
                    FUNCTION,
                    args=([draft_id for draft_id, _ in batch],),
                    job_id=_job_id(batch),
                    unique=True,
                    description=f"look at {len(batch)} drafts",
                    ttl=_FRESH,
                    result_ttl=0,
                    job_timeout=max(int(self._house.pace.lease.total_seconds() / 2), 1),
                )
        if new:
            self._redis.expire(queue.key, 6 * _FRESH)

    def _not_told_of(self, due: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
        """Whoever comes first says it; the others of us, and we ourselves next time, need not."""
        old = monotonic() - _FRESH
        self._told = {each: at for each, at in self._told.items() if at > old}
        unsure = [each for each in due if each not in self._told]
        if not unsure:
            return []
        pipeline = self._redis.pipeline(transaction=False)
        for draft_id, attempt in unsure:
            pipeline.set(f"relent:hint:{draft_id}-{attempt}", 1, nx=True, ex=_FRESH)
        new = [each for each, first in zip(unsure, pipeline.execute(), strict=True) if first]
        self._told |= dict.fromkeys(unsure, monotonic())
        return new


class Taker:
    """Hears what the others tell, and has it looked at."""

    def __init__(self, house: House, line: Line, enough: Event, look: Callable[[list[str]], int]) -> None:
        self._house = house
        self._line = line
        self._enough = enough
        self._look = look
        self._refused, self._told_at = 0, -math.inf

    def run(self) -> None:
        while not self._enough.is_set():
            try:
                queue = queue_of(self._house)
            except SQLAlchemyError as error:
                log.debug("the database does not answer, nobody listens: %s", error)
                self._enough.wait(_POLL)
            else:
                self._enough.wait(self._until_it_breaks(queue))

    def _until_it_breaks(self, queue: str) -> float:
        client = connect(_url(self._house))
        try:
            self._listen(Listener(queue, self._look, client))
        except Exception as error:  # noqa: BLE001 (a Redis that lies makes its client trip in any way)
            return self._line.broke("listening", error)
        finally:
            client.close()
        return 0.0

    def _listen(self, listener: Listener) -> None:
        while not self._enough.is_set():
            listener.show_up()
            listener.listen(1)
            self._line.holds("listening")
            self._count(listener)
            if listener.rest:
                self._enough.wait(listener.rest)
        listener.leave()

    def _count(self, listener: Listener) -> None:
        self._refused += len(listener.refused)
        if self._refused and monotonic() - self._told_at > 30:
            why = listener.refused[-1] if listener.refused else "as before"
            log.warning(
                "refused %d jobs in Redis that no Relent wrote (%s): who else can write there?",
                self._refused,
                why,
            )
            self._refused, self._told_at = 0, monotonic()
        listener.refused.clear()


class Hints:
    """What one process has to do with Redis. Each part has a thread, so that nobody's mail waits for Redis."""

    def __init__(self, house: House, enough: Event, look: Callable[[list[str]], int] | None) -> None:
        """`look`: what to do about a hint. None: this process tells others, and listens to nobody."""
        line = Line(_url(house))
        self._enough = enough
        self._giver = Giver(house, line, enough)
        self._parts: list[Giver | Taker] = [self._giver]
        if look is not None:
            self._parts.append(Taker(house, line, enough, look))
        self._threads: list[Thread] = []

    @property
    def patience(self) -> timedelta:
        """How long whoever was told gets, before we look ourselves. Nothing, if nobody could be told."""
        return _PATIENCE if self._giver.flows else timedelta(0)

    def __enter__(self) -> "Hints":
        for part in self._parts:
            name = f"relent-{type(part).__name__.lower()}"
            self._threads.append(Thread(target=part.run, name=name, daemon=True))
            self._threads[-1].start()
        return self

    def __exit__(self, *_: object) -> None:
        """The letter at hand is finished; a Redis that hangs is waited for as long as it may take to answer."""
        self._enough.set()
        for thread in self._threads:
            thread.join()


def queue_of(house: House) -> str:
    """One for each database: two Relents that share a Redis do not hear each other."""
    with house.store.reading(house.clock.now()) as ledger:
        return f"relent-{organization_id(ledger.instance_key()).removeprefix('org_')}"


def _url(house: House) -> SecretStr:
    url = house.config.redis.url
    assert url is not None  # noqa: S101 (nobody asks who has none)
    return url


def _job_id(batch: Sequence[tuple[str, int]]) -> str:
    """The same drafts, tried as often, are the same job."""
    if len(batch) == 1:
        return f"d-{batch[0][0]}-{batch[0][1]}"
    return f"d-{sha256(repr(batch).encode()).hexdigest()[:32]}"


def _parts(whole: Sequence[tuple[str, int]], size: int) -> Iterator[Sequence[tuple[str, int]]]:
    for begin in range(0, len(whole), size):
        yield whole[begin : begin + size]
