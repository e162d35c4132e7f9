"""How we fare, in numbers: what this process has done, and how things stand in the database at this moment.

What is counted is counted by each process for itself and begins anew with it; that is how Prometheus wants it. What must
outlive a process is not counted but asked of the database, and every process of a house gives the same answer. There is no
person in any of it: no address, no id, nothing that somebody wrote.
"""

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from time import perf_counter
from typing import Literal

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    values,
)
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from engine import outbox
from engine.events import Event
from engine.model import Letter, Sent, Withdrawn
from engine.react import Reaction, Stopped
from engine.seams import Gate, Mailbox, Trace
from engine.settle import CalledOff, Delivered, GaveUp, InDoubt, Outcome, Postponed
from engine.states import StopReason

_FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # the library's own name for it

# --- what there is ---


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """One of them, as docs/observability.md has it."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    labels: tuple[str, ...] = ()
    says: str


def _gauge(name: str, says: str, *labels: str) -> Number:
    return Number(name=name, kind="gauge", labels=labels, says=says)


def _counter(name: str, says: str, *labels: str) -> Number:
    return Number(name=name, kind="counter", labels=labels, says=says)


def _histogram(name: str, says: str) -> Number:
    return Number(name=name, kind="histogram", says=says)


NUMBERS = (
    _gauge("relent_database_up", "1: it answered this very request; 0: it did not, and what it knows is left out"),
    _gauge("relent_due", "drafts whose hour has come; up to 100,000 are counted"),
    _gauge("relent_late", "of those, the ones whose hour came a minute ago or more"),
    _gauge("relent_oldest_due_seconds", "how long the one waits that waits longest"),
    _gauge("relent_in_flight", "drafts in a worker's hands: claimed or releasing"),
    _gauge("relent_uncertain", "drafts that may or may not have left: a human, or proof, must say"),
    _gauge("relent_drafts", "drafts by state; counted at leisure, so up to a minute or so old", "state"),
    _gauge("relent_braked", "1: somebody, or something, stands on the brake, and nothing leaves"),
    _gauge("relent_workers", "workers that were seen within the last half minute, wherever they run"),
    _gauge("relent_drift", "differences that reconciliation has found and that are still there", "kind"),
    _gauge("relent_canary_seconds", "from the canary's reply to its cancelled draft, the last time, if somebody took it"),
    _gauge("relent_canary_age_seconds", "since the canary's reply was last in time; like the one before, only while you keep one"),
    _gauge("relent_tick_lag_seconds", "since this process's own worker last looked at what is due"),
    _counter("relent_letters_total", "what became of letters that were taken in hand", "outcome"),
    _counter("relent_sent_total", "letters that left"),
    _counter("relent_cancelled_by_reply_total", "drafts that somebody's reply cancelled"),
    _counter("relent_webhooks_total", "webhooks received, by the status of the answer", "answer"),
    _histogram("relent_ack_seconds", "from the last byte of a webhook to its 204"),
    _histogram("relent_send_seconds", "how long the mailbox took for one letter, with the gate in it"),
    _counter("relent_subscriber_deliveries_total", "webhooks of ours to subscribers, by what became of a try", "outcome"),
    _gauge("relent_build_info", "1; which Relent this is, and on which database", "version", "database"),
)  # fmt: skip

#: The same, to be found.
BY_NAME: Mapping[str, Number] = {each.name: each for each in NUMBERS}

_ACKS = (
    0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.02, 0.03, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 8, 15,
)  # fmt: skip
_SENDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 600)

_OUTCOMES: Mapping[type[Outcome], str] = {
    Delivered: "sent",
    Postponed: "postponed",
    CalledOff: "called_off",
    GaveUp: "refused",
    InDoubt: "uncertain",
}
_TELLINGS: Mapping[type[outbox.Outcome], str] = {
    outbox.Told: "told",
    outbox.ToldLater: "later",
    outbox.NotTold: "given_up",
    outbox.SwitchedOff: "switched_off",
}
_ANSWERS = (204, 400, 401, 413, 422, 500, 503)


# --- what this process has done ---


class Meters:
    """Each call costs a microsecond or two, and may come from any thread."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        # chosen when the library was imported, which may have been before our parent said where to count together
        values.ValueClass = values.get_value_class()  # type: ignore[no-untyped-call]
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self.letters = self._counter("relent_letters_total", _OUTCOMES.values())
        self.sent = self._counter("relent_sent_total")
        self.cancelled_by_reply = self._counter("relent_cancelled_by_reply_total")
        self.webhooks = self._counter("relent_webhooks_total", map(str, _ANSWERS))
        self._yes = self.webhooks.labels("204")
        self.tellings = self._counter("relent_subscriber_deliveries_total", _TELLINGS.values())
        self.acks = self._histogram("relent_ack_seconds", _ACKS)
        self.sends = self._histogram("relent_send_seconds", _SENDS)
        self.looked_at: datetime | None = None  #: when this process's worker last looked, if it has one

    def answered(self, status: int) -> None:
        """A webhook got its answer."""
        self.webhooks.labels(str(status)).inc()

    def acknowledged(self, seconds: float) -> None:
        """The same, if the answer was 204: so long after its last byte."""
        self._yes.inc()
        self.acks.observe(seconds)

    def reacted(self, reaction: Reaction) -> None:
        """The world spoke, and it is written down what that changed."""
        if isinstance(reaction, Stopped) and reaction.reason == StopReason.REPLIED and reaction.drafts:
            self.cancelled_by_reply.inc(len(reaction.drafts))

    def carried(self, outcome: Outcome) -> None:
        """A letter was taken in hand, and let go again."""
        if outcome.canarys:
            return
        self.letters.labels(_OUTCOMES[type(outcome)]).inc()
        if isinstance(outcome, Delivered):
            self.sent.inc()

    def told(self, outcome: outbox.Outcome) -> None:
        """A subscriber was told something, or was not."""
        if word := _TELLINGS.get(type(outcome)):
            self.tellings.labels(word).inc()

    def looked(self, now: datetime) -> None:
        self.looked_at = now

    def collect(self) -> Iterable[Metric]:
        """Of this process; or of all that count into one folder."""
        if (folder := os.environ.get(_FOLDER)) is None:
            return self._registry.collect()
        together: Collector = MultiProcessCollector(None, folder)  # type: ignore[no-untyped-call]
        return together.collect()

    def _counter(self, name: str, at_zero: Iterable[str] = ()) -> Counter:
        """`at_zero`: what may happen any day; whoever asks how often it did must find a number before it has."""
        number = BY_NAME[name]
        made = Counter(number.name, number.says, number.labels, registry=self._registry)
        for value in at_zero:
            made.labels(value)
        return made

    def _histogram(self, name: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(name, BY_NAME[name].says, buckets=buckets, registry=self._registry)


@contextmanager
def counting_together() -> Iterator[None]:
    """For a parent, around the life of its children: whichever of them is asked answers for all of them.

    What the dead have counted goes on to count. A child that was forked leaves by the same door, and takes nothing along.
    """
    folder, parent = tempfile.mkdtemp(prefix="relent-metrics-"), os.getpid()
    os.environ[_FOLDER] = folder
    try:
        yield
    finally:
        del os.environ[_FOLDER]
        if os.getpid() == parent:
            shutil.rmtree(folder, ignore_errors=True)


class Timed:
    """A mailbox, and a watch beside it."""

    def __init__(self, mailbox: Mailbox, meters: Meters) -> None:
        self._mailbox, self._meters = mailbox, meters

    @property
    def name(self) -> str:
        return self._mailbox.name

    def send(self, letter: Letter, gate: Gate) -> Sent | Withdrawn:
        begun = perf_counter()
        try:
            return self._mailbox.send(letter, gate)
        finally:
            self._meters.sends.observe(perf_counter() - begun)

    def find(self, message_id: str) -> Trace:
        return self._mailbox.find(message_id)

    def answers_to(self, letter: Letter, thread_id: str) -> Sequence[Event]:
        return self._mailbox.answers_to(letter, thread_id)

    def rest(self) -> None:
        self._mailbox.rest()

    def read(self, body: bytes, delivery_id: str) -> Event | None:
        return self._mailbox.read(body, delivery_id)
