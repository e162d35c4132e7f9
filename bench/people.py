"""People who were written to and have a follow-up coming, and what they answer: each in words of their own, signed."""

import json
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Literal, cast

from sqlalchemy import Connection, Table, create_engine, func, make_url, select

from bench.copying import WHO, copy, look_around
from bench.databases import Databases
from engine import sequence
from engine.enroll import enroll_all, prepare
from engine.ids import FOLLOW_UP, follow_up_label
from engine.model import Draft, Prospect
from engine.ready import letter_of
from engine.settle import departed
from engine.states import DraftState, EnrollmentState
from engine.store import Ledger, Store, open_store
from engine.store.tables import audit, draft, enrollment, message_label, thread, thread_label
from engine.wish import Author, Wish, draft_of
from mailroom.telling import received_event
from webhooks.signature import decode_secret, sign

INBOX = "sam@acme.example"
PATH = "/webhooks/agentmail"
#: spread: three at a company, in a sequence. domain: the same, all at one company. by hand: no sequence; a draft and a label.
Kind = Literal["spread", "domain", "by-hand"]
KINDS: tuple[Kind, ...] = ("spread", "domain", "by-hand")

_AUTHOR = Author(id="bench")
_COLLEAGUES = 3
_ASKED_AT_ONCE = 500
_DRIVERS = {"sqlite": "sqlite", "postgresql": "postgresql+psycopg"}
_AT_ONCE, _FEWEST_PATTERNS, _MOST_PATTERNS = 75, 30, 150
_MOST_KNOWN = 8_000
_LONGEST_AGO = timedelta(days=20)
_WORDS = "I have looked at what you wrote, and there is one thing that I would like to know before Friday. "
_SEQUENCE = sequence.Sequence.model_validate(
    {
        "name": "Bench",
        "from": INBOX,
        "schedule": {"timezone": "UTC", "windows": "00:00-24:00"},
        "limits": {"per_mailbox": "1000000/day"},
        "steps": [
            {"subject": "A question", "body": _WORDS * 3},
            {"after": "30d", "body": _WORDS},
            {"after": "30d", "body": _WORDS},
        ],
    }
)


@dataclass(frozen=True, slots=True)
class Person:
    """Who got a letter, and will get another one unless they answer."""

    email: str
    thread_id: str
    message_id: str  #: of the letter that they have
    draft_id: str  #: of the one that they must not get any more


@dataclass(frozen=True, slots=True)
class People:
    """In a database of their own."""

    url: str
    everybody: tuple[Person, ...]


@dataclass(slots=True)
class Crowd:
    """Many more than are known by name. Of those nobody is asked twice."""

    url: str
    known: list[Person]

    def take(self, number: int) -> list[Person]:
        taken, self.known = self.known[:number], self.known[number:]
        if len(taken) < number:
            raise ValueError(f"{number} people are asked for, and {len(taken)} are left")
        return taken


def crowd(databases: Databases, number: int) -> Crowd:
    """In a database that others use as well: it is large, and takes long to fill."""
    if ("crowd", number) not in databases.kept:
        found = people(databases.new(), "spread", number, by_name=_MOST_KNOWN, without=(audit, message_label))
        databases.kept["crowd", number] = Crowd(found.url, list(found.everybody))
    return cast("Crowd", databases.kept["crowd", number])


def people(
    url: str, kind: Kind, number: int, *, by_name: int | None = None, without: Collection[Table] = ()
) -> People:
    """Fills an empty database with so many: some are made by the house, and the database copies them.

    `by_name`: as many of them are told, else all. `without`: tables whose rows are not copied.
    """
    patterns = min(number, max(_FEWEST_PATTERNS, number // 10), _MOST_PATTERNS)
    copies = -(-number // patterns) - 1
    with closing(open_store(url)) as store:
        for first in range(0, patterns, _AT_ONCE):
            numbers = range(first, min(first + _AT_ONCE, patterns))
            with store.database.begin() as db:
                ledger = Ledger(db, datetime.now(UTC) - timedelta(hours=1), _AUTHOR.id)
                if kind == "by-hand":
                    _written_to_by_hand(numbers, ledger)
                else:
                    _enrolled([_address(each, kind) for each in numbers], ledger)
        copy(store, copies, _LONGEST_AGO / (copies + 1), without=without)
        look_around(store)
        return People(url, tuple(_everybody(store, by_name or number)))


def _address(number: int, kind: Kind) -> str:
    """In the copies, of other people."""
    if kind == "domain":
        return f"p{number}-{WHO}@one-company.example"
    return f"p{number}@firm{number // _COLLEAGUES}-{WHO}.example"


def _enrolled(addresses: list[str], ledger: Ledger) -> None:
    """Their first letter has left, and so the second one waits."""
    enroll_all([prepare(Prospect(email=each), _SEQUENCE) for each in addresses], ledger=ledger)
    while claimed := ledger.drafts.claim(
        token="bench", owner="bench", lease=timedelta(minutes=5), at_most=_AT_ONCE
    ):
        for each in claimed:
            _let_leave(each, ledger)


def _written_to_by_hand(numbers: range, ledger: Ledger) -> None:
    """As the published recipe does it: a letter, a draft with an hour that answers it, and a label on the thread."""
    ledger.threads.open_inbox(INBOX)
    for number in numbers:
        words = Wish(inbox_id=INBOX, to=(_address(number, "by-hand"),), subject="A question", text=_WORDS * 3)
        first = draft_of(words, by=_AUTHOR, ledger=ledger)
        first = replace(
            first,
            state=DraftState.CLAIMED,
            send_at=ledger.now,
            claim_token="bench",
            lease_until=ledger.now + timedelta(minutes=5),
        )
        ledger.written.make(first)
        _let_leave(first, ledger)
        later = ledger.now + timedelta(days=30)
        wish = Wish(inbox_id=INBOX, in_reply_to=first.message_id, text=_WORDS, send_at=later)
        follow_up = draft_of(wish, by=_AUTHOR, ledger=ledger)
        ledger.written.make(follow_up)
        ledger.threads.tag(follow_up.thread_id, follow_up_label(follow_up.id))


def _let_leave(claimed: Draft, ledger: Ledger) -> None:
    ledger.drafts.pass_gate(claimed)
    departed(claimed, letter_of(claimed, ledger), "", ledger=ledger)


def _everybody(store: Store, number: int) -> Iterator[Person]:
    """Of every age, in an order that has to do with nothing."""
    first, second = draft.alias(), draft.alias()
    columns = first.c.to, first.c.thread_id, first.c.message_id, second.c.id
    pairs = first.join(second, first.c.thread_id == second.c.thread_id)
    found = (
        select(*columns)
        .select_from(pairs)
        .where(first.c.state == DraftState.SENT, second.c.state == DraftState.SCHEDULED)
        .order_by(func.substr(first.c.id, -6), first.c.id)
        .limit(number)
    )
    with store.database.connect() as db:
        for row in db.execute(found):
            yield Person(*row)


# --- what they answer ---


def answers(everybody: Sequence[Person], secret: str, port: int) -> list[bytes]:
    """An HTTP request for each. Signed now: a signature is believed for some minutes."""
    now, key = datetime.now(UTC), decode_secret(secret)
    return [_request(each, key, now, port) for each in everybody]


def reply(person: Person, now: datetime) -> bytes:
    """As the mailbox tells it."""
    name = _name(person)
    event = received_event(
        event_id=f"evt_{name}",
        inbox_id=INBOX,
        thread_id=person.thread_id,
        message_id=f"<{name}@there.example>",
        sender=person.email,
        to=INBOX,
        subject="Re: A question",
        text="Yes, please. " * 25,
        at=now,
        in_reply_to=person.message_id,
        references=[person.message_id],
    )
    return json.dumps(event).encode()


def _name(person: Person) -> str:
    return person.draft_id.partition("_")[2]


def _request(person: Person, key: bytes, now: datetime, port: int) -> bytes:
    body = reply(person, now)
    headers = {
        "host": f"127.0.0.1:{port}",
        "user-agent": "Svix-Webhooks/1.62",
        "content-type": "application/json",
        "content-length": str(len(body)),
    } | sign(body, key, delivery_id=f"msg_{_name(person)}", now=now)
    lines = "".join(f"{key}: {value}\r\n" for key, value in headers.items())
    return f"POST {PATH} HTTP/1.1\r\n{lines}\r\n".encode() + body


# --- what became of them ---


class StillComing(Exception):
    """Somebody answered, was told so, and would have got another letter."""


def check(url: str, everybody: Sequence[Person], *, enrolled: bool = True) -> None:
    """All of them have answered. Raises StillComing unless nothing more goes out to any of them."""
    with _looking(url) as db:
        for first in range(0, len(everybody), _ASKED_AT_ONCE):
            _check(everybody[first : first + _ASKED_AT_ONCE], db, enrolled)


def _check(some: Sequence[Person], db: Connection, enrolled: bool) -> None:
    names, talks = [each.draft_id for each in some], [each.thread_id for each in some]
    cancelled = select(draft.c.id).where(draft.c.id.in_(names), draft.c.state == DraftState.CANCELLED)
    pairs = thread.join(enrollment, enrollment.c.id == thread.c.enrollment_id)
    stopped = enrollment.c.state == EnrollmentState.STOPPED
    living = select(thread.c.id).select_from(pairs).where(thread.c.id.in_(talks), ~stopped)
    labels = select(thread_label.c.thread_id).where(
        thread_label.c.thread_id.in_(talks), thread_label.c.label.startswith(FOLLOW_UP)
    )
    for waiting in set(names) - set(db.scalars(cancelled)):
        raise StillComing(f"somebody answered, and {waiting} would go out")
    for talk in db.scalars(living) if enrolled else ():
        raise StillComing(f"somebody answered in {talk}, and their sequence goes on")
    for talk in db.scalars(labels):
        raise StillComing(f"somebody answered in {talk}, and its label is still there")


def count_cancelled(url: str) -> int:
    with _looking(url) as db:
        return db.scalar(select(func.count()).where(draft.c.state == DraftState.CANCELLED)) or 0


@contextmanager
def _looking(url: str) -> Iterator[Connection]:
    database = create_engine(make_url(url).set(drivername=_DRIVERS[make_url(url).get_backend_name()]))
    try:
        with database.connect() as db:
            yield db
    finally:
        database.dispose()
