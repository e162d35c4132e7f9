"""What is told to whoever asks how we fare: what this process has counted, and how things stand in the database.

A look at the database has a time limit, and only one is under way: whoever asks every few seconds, while it is ill, must
not make it worse. Everything that needs it is left out then, and the rest is told.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from time import monotonic
from typing import Generic, TypeVar

from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from sqlalchemy.exc import SQLAlchemyError

from engine import canary
from engine.errors import Unavailable
from engine.keys import asks_this_machine
from engine.seams import Clock
from engine.store import Store
from engine.store.glance import Standing
from engine.store.watch import Sign, drift, workers
from relent.metrics import BY_NAME, Meters

log = logging.getLogger("relent.metrics")

T = TypeVar("T")


class Lookout(Generic[T]):
    """One look at a time, in a thread of its own, and nobody waits longer for it than this.

    `leisure`: how many times as long as a look took nobody looks again.
    """

    def __init__(self, look: Callable[[], T], *, patience: float, leisure: float = 0.0) -> None:
        self._look, self._patience, self._leisure = look, patience, leisure
        self._lock = Lock()
        self._looking: Future[T] | None = None
        self._again_at = 0.0
        self.seen: T | None = None  #: the last time that anything was

    def see(self) -> T | None:
        """None: the database does not answer, or not in time."""
        try:
            return self._next().result(self._patience)
        except TimeoutError:
            return None
        except SQLAlchemyError as error:  # whoever sends letters says so, louder
            log.debug("the database does not answer: %s", error)
            return None
        except Exception:
            log.exception("our own mistake; how things stand is not told")
            return None

    def _next(self) -> Future[T]:
        with self._lock:
            if self._looking is None or (self._looking.done() and monotonic() >= self._again_at):
                self._looking = Future()
                Thread(target=self._go, args=(self._looking,), name="relent-lookout", daemon=True).start()
            return self._looking

    def _go(self, looking: Future[T]) -> None:
        begun = monotonic()
        try:
            self.seen = self._look()
        except Exception as error:  # noqa: BLE001 (whoever waits for it is told)
            looking.set_exception(error)
        else:
            self._again_at = monotonic() + self._leisure * (monotonic() - begun)
            looking.set_result(self.seen)


class Exposition:
    """Everything that is told to whoever asks how we fare."""

    def __init__(
        self, *, meters: Meters, store: Store, clock: Clock, version: str, keeps_a_canary: bool = False
    ) -> None:
        self._meters, self._store, self._clock = meters, store, clock
        self._keeps_a_canary = keeps_a_canary
        self._build = version, store.database.dialect.name
        self._standing = Lookout(self._stand, patience=2.0)
        self._by_state = Lookout(self._count, patience=0.5, leisure=100.0)

    def text(self, accept: str = "") -> tuple[bytes, str]:
        """And what kind of text it is."""
        encode, kind = choose_encoder(accept)
        return encode(self), kind

    def collect(self) -> Iterator[Metric]:
        yield from self._meters.collect()
        yield _told("relent_build_info", 1, *self._build)
        if (looked_at := self._meters.looked_at) is not None:
            yield _told("relent_tick_lag_seconds", self._since(looked_at))
        standing = self._standing.see()
        yield _told("relent_database_up", 0 if standing is None else 1)
        if standing is not None:
            yield from self._of(standing)
            counted = self._by_state.see() or self._by_state.seen
            if counted is not None:
                yield _family("relent_drafts", {(state,): number for state, number in counted.items()})

    def _of(self, standing: Standing) -> Iterator[Metric]:
        oldest = standing.oldest_due
        yield _told("relent_due", standing.due)
        yield _told("relent_late", standing.late)
        yield _told("relent_oldest_due_seconds", self._since(oldest) if oldest else 0)
        yield _told("relent_in_flight", standing.in_flight)
        yield _told("relent_uncertain", standing.uncertain)
        yield _told("relent_braked", 1 if standing.braked else 0)
        yield _told("relent_workers", len(workers(standing.signs, self._clock.now())))
        yield _family("relent_drift", {(kind,): number for kind, number in drift(standing.signs).items()})
        if self._keeps_a_canary:
            yield from self._of_the_canary(standing.signs)

    def _of_the_canary(self, signs: Iterable[Sign]) -> Iterator[Metric]:
        for sign in signs:
            if sign.name == canary.SIGN:
                well_at = datetime.fromisoformat(sign.says.get("well_at", sign.at.isoformat()))
                yield _told("relent_canary_age_seconds", self._since(well_at))
                if (seconds := _a_number(sign.says.get("seconds"))) is not None:
                    yield _told("relent_canary_seconds", seconds)

    def _stand(self) -> Standing:
        with self._store.reading(self._clock.now()) as ledger:
            return ledger.glance.standing()

    def _count(self) -> Mapping[str, int]:
        with self._store.reading(self._clock.now()) as ledger:
            return ledger.glance.by_state()

    def _since(self, moment: datetime) -> float:
        return max((self._clock.now() - moment).total_seconds(), 0.0)


@contextmanager
def shown_at(port: int | None, told: Exposition) -> Iterator[None]:
    """For a process that does not listen: to this machine alone. None: it does not show them."""
    if port is None:
        yield
        return
    try:
        server = ThreadingHTTPServer(("127.0.0.1", port), type("Shown", (_Shown,), {"told": told}))
    except OSError as error:
        raise Unavailable(f"could not listen on 127.0.0.1:{port}: {error.strerror or error}") from error
    with server:
        log.info("metrics at http://127.0.0.1:%d/metrics", server.server_port)
        thread = Thread(target=server.serve_forever, name="relent-metrics", daemon=True)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


class _Shown(BaseHTTPRequestHandler):
    """One page, for whoever sits here; and not for a page in their browser that had its own name point here."""

    told: Exposition
    timeout = 10

    def do_GET(self) -> None:
        if self.path.partition("?")[0] != "/metrics" or not asks_this_machine(self.headers.get("Host", "")):
            self.send_error(404)
            return
        text, kind = self.told.text(self.headers.get("Accept", ""))
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class's name)
        log.debug(format, *args)


def _a_number(said: object) -> float | None:
    return float(said) if isinstance(said, int | float) and not isinstance(said, bool) else None


def _told(name: str, value: float, *labels: str) -> Metric:
    return _family(name, {labels: value})


def _family(name: str, said: Mapping[tuple[str, ...], float]) -> Metric:
    number = BY_NAME[name]
    family = GaugeMetricFamily(name, number.says, labels=number.labels)
    for labels, value in said.items():
        family.add_metric(labels, value)
    return family
