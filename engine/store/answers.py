"""The answers' shelf: what many people are about who answer at one moment, and all that their answers stop.

Each verb is one sentence for all of them, in the driver's own words: so it costs little more than for one, and they share
what is dear, the way to the database and its commit. What is decided in between is for `engine.chorus` to say.
"""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from functools import cache, cached_property
from itertools import chain
from json.encoder import encode_basestring_ascii
from typing import Any, TypeVar

from engine.ids import FOLLOW_UP, follow_up_label
from engine.model import Message
from engine.states import CANCEL, DRAFT_ENDS, STOP, EnrollmentState
from engine.store.inbound import SOURCE
from engine.store.moves import Desk
from engine.store.tables import UtcDateTime
from engine.store.threads import with_one_more

T = TypeVar("T")

_TIME = UtcDateTime()
_SIZES = (64, 16, 4, 1)

# --- what is asked ---


@dataclass(frozen=True, slots=True)
class Talk:
    """A conversation, and what it says of itself."""

    id: str
    inbox_id: str
    contact: str
    enrollment_id: str | None
    last_position: int
    message_count: int
    size: int
    hidden: str | None
    senders: list[str]
    recipients: list[str]


@dataclass(frozen=True, slots=True)
class Life:
    """Somebody's time in a sequence."""

    id: str
    state: str
    version: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """A draft that has not had its end."""

    id: str
    state: str
    enrollment_id: str | None
    thread_id: str
    inbox_id: str
    has_labels: bool


@dataclass(frozen=True, slots=True)
class Receipt:
    """Of one event: what came in, and what became of it."""

    event_id: str
    verdict: str
    raw: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The names by which many answers are looked up at once."""

    events: Collection[str]
    inboxes: Collection[str]
    letters: Collection[str]
    threads: Collection[str]
    people: Collection[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What is known of all of them."""

    known: set[str]  #: events heard before, letters that are known here, senders that are ours
    listened: bool  #: somebody elsewhere wants to be told what happens here
    versions: list[str]  #: of every sequence that anybody was ever in
    talks: list[Talk]
    lives: list[Life]  #: but for those that somebody else is moving
    waiting: list[Waiting]  #: whatever has not had its end and is for them, or in these conversations
    busy: set[str]  #: enrollments and conversations of which somebody else is moving a draft just now
    named: dict[str, list[str]]  #: by conversation, the drafts that its labels name


class _Sentence:
    """One sentence of SQL, as each of the two databases wants it. A question names its `columns`.

    `{?}` stands for one value, `{in}` for a list of them. With `{free}` only those rows come that nobody else is moving,
    and nobody else moves them until the commit. SQLite gives all rows at once, as JSON: at every step of its own the
    driver lets other threads run, and to come back costs more than what is done. Whatever it refuses ends the whole
    transaction there (`{or}`), so that it keeps no copies for an end of this sentence alone.
    """

    def __init__(self, text: str, *columns: str) -> None:
        words = {"?": "?", "in": "IN (SELECT value FROM json_each(?))", "free": "", "or": "OR ROLLBACK"}
        theirs = {
            "?": "%s",
            "in": "= ANY(%s::text[])",
            "free": "FOR UPDATE SKIP LOCKED",
            "or": "",
        }
        names = ", ".join(columns)
        at_once = f"WITH found({names}) AS ({text}) SELECT json_group_array(json_array({names})) FROM found"
        self._said = {
            "sqlite": _put(words, at_once if columns else text),
            "postgresql": _put(theirs, text),
        }

    def by(self, dialect: str) -> str:
        return self._said[dialect]


def _put(words: Mapping[str, str], text: str) -> str:
    for name, word in words.items():
        text = text.replace(f"{{{name}}}", word)
    return " ".join(text.split())


def _states(states: Iterable[str]) -> str:
    return "(" + ", ".join(f"'{state}'" for state in sorted(states)) + ")"


_TALKS = _Sentence(
    """SELECT id, inbox_id, contact, enrollment_id, last_position, message_count, size, hidden, senders, recipients
    FROM thread WHERE id {in} OR contact {in} ORDER BY id {free}""",
    "id", "inbox_id", "contact", "enrollment_id", "last_position", "message_count", "size", "hidden", "senders", "recipients",
)  # fmt: skip
_WHOSE = _Sentence("SELECT id, contact FROM thread WHERE id {in} OR contact {in}", "id", "contact")
_LIVES = _Sentence(
    "SELECT id, state, version FROM enrollment WHERE id {in} ORDER BY id {free}", "id", "state", "version"
)
_FOR_WHOM = f"(enrollment_id {{in}} OR thread_id {{in}}) AND state NOT IN {_states(DRAFT_ENDS)}"
_WAITING = _Sentence(
    f"""SELECT id, state, enrollment_id, thread_id, inbox_id, CAST(labels AS TEXT) <> '[]' FROM draft
    WHERE {_FOR_WHOM} ORDER BY id {{free}}""",
    "id", "state", "enrollment_id", "thread_id", "inbox_id", "has_labels",
)  # fmt: skip
_ALL_WAITING = _Sentence(
    f"SELECT id, enrollment_id, thread_id FROM draft WHERE {_FOR_WHOM}", "id", "enrollment_id", "thread_id"
)
_LABELS = _Sentence("SELECT thread_id, label FROM thread_label WHERE thread_id {in}", "thread_id", "label")
_KNOWN = _Sentence(
    """SELECT event_id FROM inbound_event WHERE source = {?} AND event_id {in}
    UNION ALL SELECT message_id FROM inbound_message WHERE inbox_id {in} AND message_id {in}
    UNION ALL SELECT message_id FROM message WHERE inbox_id {in} AND message_id {in}
    UNION ALL SELECT message_id FROM draft WHERE message_id {in}
    UNION ALL SELECT id FROM inbox WHERE id {in}""",
    "name",
)
_BESIDES = _Sentence(
    """SELECT 'version', id FROM sequence_version
    UNION ALL SELECT 'listener', '' WHERE EXISTS (SELECT 1 FROM webhook WHERE deleted_at IS NULL AND enabled)""",
    "kind",
    "name",
)
_COLLEAGUES = _Sentence(
    """SELECT id, company FROM enrollment
    WHERE company {in} AND version {in} AND (state = 'active' OR state = 'paused')""",
    "id",
    "company",
)

# --- what is said ---

_STOP = _Sentence(
    f"""UPDATE {{or}} enrollment SET state = '{STOP.target}', reason = {{?}}, updated_at = {{?}}, wake_at = NULL
    WHERE id {{in}} AND state IN {_states(STOP.sources)}"""
)
_NOTE_ANSWER = _Sentence(
    f"""UPDATE {{or}} enrollment SET reason = {{?}}
    WHERE id {{in}} AND state = '{EnrollmentState.FINISHED}' AND reason IS NULL"""
)
_CANCEL = _Sentence(
    f"""UPDATE {{or}} draft SET state = '{CANCEL.target}', outcome = {{?}}, updated_at = {{?}}
    WHERE id {{in}} AND state IN {_states(CANCEL.sources)}"""
)
_UNLIST = _Sentence("DELETE FROM draft_label WHERE draft_id {in}")
_UNTAG = _Sentence("DELETE FROM thread_label WHERE label {in}")
_PATIENCE = "SET LOCAL lock_timeout = '1s'"


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    """Many rows in one sentence: where they go, and what kind each column is to PostgreSQL."""

    table: str
    columns: Mapping[str, str]
    key: str | None = None  #: rows are there already, and found by this; None: they are new

    def for_sqlite(self, number: int) -> str:
        """So many of them in one step."""
        row = f"({', '.join('?' * len(self.columns))})"
        rows = f"VALUES {', '.join([row] * number)}"
        if self.key is None:
            return f"INSERT OR ROLLBACK INTO {self.table} ({self._names}) {rows}"
        numbered = {name: f"r.column{number}" for number, name in enumerate(self.columns, 1)}
        put = ", ".join(f'"{name}" = {column}' for name, column in numbered.items() if name != self.key)
        return f'UPDATE OR ROLLBACK {self.table} SET {put} FROM ({rows}) AS r WHERE {self.table}."{self.key}" = {numbered[self.key]}'

    def for_postgresql(self) -> str:
        """Any number, as an array for each column."""
        if self.key is None:
            return f"INSERT INTO {self.table} ({self._names}) SELECT {self._cast()} FROM {self._unnest()}"
        changed = (name for name in self.columns if name != self.key)
        put = ", ".join(f'"{name}" = r."{name}"{self._json(name)}' for name in changed)
        return (
            f'UPDATE {self.table} AS t SET {put} FROM {self._unnest()} WHERE t."{self.key}" = r."{self.key}"'
        )

    @property
    def _names(self) -> str:
        return ", ".join(f'"{name}"' for name in self.columns)

    def _cast(self) -> str:
        return ", ".join(f'r."{name}"{self._json(name)}' for name in self.columns)

    def _json(self, name: str) -> str:
        return "::json" if self.columns[name] == "json" else ""

    def _unnest(self) -> str:
        kinds = ("text" if kind == "json" else kind for kind in self.columns.values())
        return f"unnest({', '.join(f'%s::{kind}[]' for kind in kinds)}) AS r({self._names})"


_EVENTS = _Rows(
    "inbound_event",
    {"source": "text", "event_id": "text", "received_at": "bigint", "verdict": "text", "raw": "bytea"},
)
_LETTERS_HEARD = _Rows("inbound_message", {"inbox_id": "text", "message_id": "text"})
_AUDIT = _Rows(
    "audit",
    {
        "at": "bigint",
        "actor": "text",
        "what": "text",
        "draft_id": "text",
        "enrollment_id": "text",
        "detail": "text",
    },
)
_MESSAGES = _Rows(
    "message",
    {
        "inbox_id": "text", "message_id": "text", "thread_id": "text", "direction": "text", "sender": "text", "to": "json",
        "subject": "text", "text": "text", "attachments": "json", "size": "int", "timestamp": "bigint",
        "updated_at": "bigint", "in_reply_to": "text", "references": "json", "labels": "json", "position": "int",
    },
)  # fmt: skip
_MESSAGE_LABELS = _Rows(
    "message_label",
    {"inbox_id": "text", "message_id": "text", "label": "text", "thread_id": "text", "timestamp": "bigint"},
)
_COUNTERS = _Rows(
    "thread",
    {
        "last_at": "bigint", "received_at": "bigint", "last_message_id": "text", "message_count": "int",
        "last_position": "int", "size": "int", "senders": "json", "recipients": "json", "preview": "text",
        "hidden": "text", "updated_at": "bigint", "id": "text",
    },
    key="id",
)  # fmt: skip


class Crossed(Exception):
    """Somebody else moved one of these meanwhile: nothing of this is kept, and each is heard alone."""


class Answers:
    """One transaction's hands on what many answers are about."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._dialect = desk.db.dialect.name
        self._notes: list[tuple[Any, ...]] = []  #: for the log
        self._expected: list[tuple[Any, int]] = []  #: what was said, and how many it must have moved

    # --- what they are about ---

    def look_up(self, asked: "Asked") -> "Found":
        """Everything about all of them. Conversations, lives and drafts are locked until the commit.

        But for what somebody else is moving just now: nobody waits for that, and it is told apart.
        """
        with self._in_one_breath():
            if self._shares_rows:
                self._driver.execute(_PATIENCE)
            known = self._ask(
                _KNOWN, SOURCE, asked.events, asked.inboxes, asked.letters, asked.inboxes, asked.letters,
                asked.letters, asked.people,
            )  # fmt: skip
            besides = self._ask(_BESIDES)
            everywhere = self._ask(_WHOSE, asked.threads, asked.people) if self._shares_rows else None
            talking = self._ask(_TALKS, asked.threads, asked.people)
        talks = _not_busy([_talk(row) for row in self._found(talking)], self._found(everywhere))
        enrolled, threads = (
            {each.enrollment_id for each in talks if each.enrollment_id},
            {each.id for each in talks},
        )
        with self._in_one_breath():
            lives = self._ask(_LIVES, enrolled)
            everything = self._ask(_ALL_WAITING, enrolled, threads) if self._shares_rows else None
            drafts = self._ask(_WAITING, enrolled, threads)
            labels = self._ask(_LABELS, threads)
        waiting = [Waiting(*row) for row in self._found(drafts)]
        told = self._found(besides)
        return Found(
            known={row[0] for row in self._found(known)},
            versions=[name for kind, name in told if kind == "version"],
            listened=any(kind == "listener" for kind, _ in told),
            talks=talks,
            lives=[Life(*row) for row in self._found(lives)],
            waiting=waiting,
            busy=_busy(waiting, self._found(everything)),
            named=_named(self._found(labels)),
        )

    def colleagues(self, companies: Collection[str], versions: Collection[str]) -> dict[str, set[str]]:
        """Whom these versions of sequences speak to at these companies."""
        found: dict[str, set[str]] = {}
        for enrollment_id, company in self._found(self._ask(_COLLEAGUES, companies, versions)):
            found.setdefault(company, set()).add(enrollment_id)
        return found

    # --- what they stop ---

    def note_events(self, receipts: Iterable[Receipt]) -> None:
        now = _ms(self._desk.now)
        self._write(_EVENTS, [(SOURCE, each.event_id, now, each.verdict, each.raw) for each in receipts])

    def note_letters(self, letters: Iterable[tuple[str, str]]) -> None:
        """By inbox and Message-ID: the same mail under another event's name is known by it."""
        self._write(_LETTERS_HEARD, list(letters))

    def stop(self, lives: Collection[Life], reason: str, *, unsaid: Collection[str] = ()) -> None:
        """`unsaid`: of whom nothing stands in the log."""
        living = [each.id for each in lives if each.state in STOP.sources]
        self._move(_STOP, len(living), reason, _ms(self._desk.now), living)
        if len(living) < len(lives):
            self._ask(_NOTE_ANSWER, reason, [each.id for each in lives])
        self._note(
            f"enrollment: {STOP.name}", [(None, each) for each in living if each not in unsaid], reason
        )

    def cancel(self, drafts: Collection[Waiting], reason: str, *, unsaid: Collection[str] = ()) -> None:
        cancelled = [each.id for each in drafts]
        self._move(_CANCEL, len(cancelled), reason, _ms(self._desk.now), cancelled)
        if labelled := [each.id for each in drafts if each.has_labels]:
            self._ask(_UNLIST, labelled)
        said = [(each.id, each.enrollment_id) for each in drafts if each.id not in unsaid]
        self._note(f"draft: {CANCEL.name}", said, reason)

    def untag(self, drafts: Collection[str]) -> None:
        if drafts:
            self._ask(_UNTAG, [follow_up_label(each) for each in drafts])

    def keep(self, letters: Sequence[tuple[Talk, Message]]) -> None:
        """Each in a conversation of its own."""
        self._write(_MESSAGES, [_message(talk, letter) for talk, letter in letters])
        self._write(
            _MESSAGE_LABELS,
            [
                (letter.inbox_id, letter.message_id, label, letter.thread_id, _ms(letter.timestamp))
                for _, letter in letters
                for label in letter.labels
            ],
        )
        self._write(_COUNTERS, [_counters(talk, letter) for talk, letter in letters])

    @contextmanager
    def in_one_go(self) -> Iterator[None]:
        """Said one after the other, and answered at the end. Raises Crossed when somebody else was faster."""
        with self._in_one_breath():
            yield
            self._write(_AUDIT, self._notes)
        if any(said.rowcount != number for said, number in self._expected):
            raise Crossed

    # --- how it is said ---

    @contextmanager
    def _in_one_breath(self) -> Iterator[None]:
        """PostgreSQL is elsewhere: what need not wait for an answer goes there together."""
        with self._driver.pipeline() if self._dialect == "postgresql" else nullcontext():
            yield

    @property
    def _shares_rows(self) -> bool:
        """On SQLite nobody else writes while we do."""
        return self._dialect == "postgresql"

    @cached_property
    def _driver(self) -> Any:
        return self._desk.db.connection.driver_connection

    def _note(self, what: str, about: Iterable[tuple[str | None, str | None]], why: str) -> None:
        at, by = _ms(self._desk.now), self._desk.by
        self._notes += [(at, by, what, draft_id, enrollment_id, why) for draft_id, enrollment_id in about]

    def _move(self, sentence: _Sentence, number: int, *values: Any) -> None:
        if number:
            self._expected.append((self._ask(sentence, *values), number))

    def _ask(self, sentence: _Sentence, *values: Any) -> Any:
        return self._driver.execute(sentence.by(self._dialect), [self._given(value) for value in values])

    def _found(self, asked: Any) -> list[Sequence[Any]]:
        if asked is None:
            return []
        found: list[Sequence[Any]] = asked.fetchall()
        return json.loads(found[0][0]) if self._dialect == "sqlite" else found

    def _given(self, value: Any) -> Any:
        if isinstance(value, str | int):
            return value
        return _texts(value) if self._dialect == "sqlite" else _array(value)

    def _write(self, rows: _Rows, values: Sequence[tuple[Any, ...]]) -> None:
        if not values:
            return
        if self._dialect == "sqlite":
            for group in _groups(values):
                self._driver.execute(_for_sqlite(rows, len(group)), list(chain.from_iterable(group)))
        else:
            columns = [_array(column) for column in zip(*values, strict=True)]
            self._driver.execute(rows.for_postgresql(), columns)


def _groups(values: Sequence[T]) -> Iterator[Sequence[T]]:
    """All of them, in groups of few sizes: the driver knows the sentence for each by heart."""
    begin = 0
    for size in _SIZES:
        while len(values) - begin >= size:
            yield values[begin : begin + size]
            begin += size


@cache
def _for_sqlite(rows: _Rows, number: int) -> str:
    return rows.for_sqlite(number)


def _talk(row: Sequence[Any]) -> Talk:
    return Talk(*row[:8], _read(row[8]), _read(row[9]))  # type: ignore[call-arg]


def _not_busy(talks: list[Talk], everywhere: Iterable[Sequence[str]]) -> list[Talk]:
    here = {each.id for each in talks}
    busy = {contact for thread_id, contact in everywhere if thread_id not in here}
    return [each for each in talks if each.contact not in busy]


def _busy(free: Iterable[Waiting], everything: Iterable[Sequence[str | None]]) -> set[str]:
    here = {each.id for each in free}
    return {name for draft_id, *whose in everything if draft_id not in here for name in whose if name}


def _named(labels: Iterable[Sequence[str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for thread_id, label in labels:
        if label.startswith(FOLLOW_UP):
            found.setdefault(thread_id, []).append(label.removeprefix(FOLLOW_UP))
    return found


def _array(values: Iterable[Any]) -> str:
    """As PostgreSQL writes an array. The driver's own way looks at every element with a regular expression."""
    return f"{{{','.join(map(_element, values))}}}"


def _element(value: Any) -> str:
    match value:
        case None:
            return "NULL"
        case str():
            quoted = value.replace("\\", "\\\\").replace('"', '\\"')
            return f'"{quoted}"'
        case bytes():
            return f'"\\\\x{value.hex()}"'
    return str(value)


def _ms(moment: datetime) -> int:
    found: int = _TIME.process_bind_param(moment, None)  # type: ignore[arg-type, assignment]
    return found


def _read(kept: Any) -> list[str]:
    """SQLite keeps JSON as text, and the driver of PostgreSQL has read it already."""
    found: list[str] = json.loads(kept) if isinstance(kept, str) else kept
    return found


def _texts(values: Iterable[str]) -> str:
    """As JSON. The library's own way sets up an encoder for each."""
    return f"[{', '.join(map(encode_basestring_ascii, values))}]"


def _message(talk: Talk, letter: Message) -> tuple[Any, ...]:
    at = _ms(letter.timestamp)
    return (
        letter.inbox_id, letter.message_id, letter.thread_id, letter.direction, letter.sender, _texts(letter.to),
        letter.subject, letter.text, "[]", letter.size, at,
        at, letter.in_reply_to, _texts(letter.references), _texts(letter.labels), talk.last_position + 1,
    )  # fmt: skip


def _counters(talk: Talk, letter: Message) -> tuple[Any, ...]:
    said, at = with_one_more(talk, letter), _ms(letter.timestamp)
    return (
        at, at, letter.message_id, said["message_count"],
        said["last_position"], said["size"], _texts(said["senders"]), _texts(said["recipients"]), said["preview"],
        None, at, talk.id,
    )  # fmt: skip
