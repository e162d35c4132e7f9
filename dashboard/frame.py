"""What a page is, what lies on the desk before it, what it is asked and what it may answer: the nouns of this wing.

A page is a module in `dashboard/pages` that exports `DOORS`. Each door has a handler, a plain function that is run in a
thread: it gets an `Asked`, and gives back `Shown` (a template), `Went` (elsewhere, with a notice), `Raw` (bytes), or
`Streamed` (for as long as somebody listens). What it raises becomes a kind page: NotFound 404, Forbidden 403, Stale 409,
Invalid 422. It need not ask who may come in, nor where a form comes from: the door has (see dashboard/door.py).

In a template there are always `asked`, `member` (none: nobody is in), `csrf`, `notice` and `here` (the door's name); and
what dashboard/show.py gives to all: `static("css/base.css")`, filters for moments and numbers.
"""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from threading import Event as Flag
from typing import Any, Literal
from zoneinfo import ZoneInfo

from sqlalchemy.exc import SQLAlchemyError

from dashboard.counted import Counted
from dashboard.live import Live
from dashboard.patience import Patience
from dashboard.show import zone_named
from engine.approve import Reviewer
from engine.calls import Post
from engine.errors import RelentError
from engine.events import Event
from engine.keys import Keyring
from engine.members import Guest, Members, may
from engine.model import Pace
from engine.outbox import Render
from engine.seams import Clock
from engine.sequence import Sequence as Spoken
from engine.store import Brake, Ledger, Store
from engine.store.members import Member, Role
from engine.subscribers import Judge
from engine.witness import Nobody, Witness

Kind = Literal["good", "bad"]
#: What a webhook says, by the mailbox's own dialect; None: nothing to us.
Read = Callable[[bytes, str], Event | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceFile:
    """A file in the folder of sequences, as it was read just now."""

    name: str  #: of the sequence; of one that cannot be read, what it seems to be
    file: str  #: its path, as people would type it
    sequence: Spoken | None  #: None: it cannot be read
    complaints: tuple[str, ...] = ()  #: what is wrong with it: file, line, column, what would be right


@dataclass(frozen=True, slots=True)
class Setting:
    """Something that is configured. A secret is none: of those only the number is said."""

    key: str
    value: str
    gloss: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Office:
    """What the pages work with. `relent/assemble.py` furnishes it."""

    store: Store
    clock: Clock
    pace: Pace
    members: Members
    key: bytes = field(repr=False)  #: with which tokens and notices are signed
    keys: Keyring | None = None
    patience: Patience = field(default_factory=Patience)  #: with whoever tries passwords
    mode: str = "capture"  #: capture: nothing leaves; or smtp
    public_url: str | None = None  #: how the world reaches us; None: as this request did
    host: str = "127.0.0.1"  #: where the server listens
    version: str = ""
    folder: str = "./sequences"  #: where sequences are looked for
    sequences: Callable[[], Sequence[SequenceFile]] = tuple  #: the files, also what cannot be read
    read: Read = lambda body, delivery_id: None  #: the bytes of a webhook; raises UnreadableEvent
    post: Post | None = None  #: how we call those who are told; None: nobody is called from here
    render: Render | None = None  #: what they are told, as bytes
    settings: tuple[Setting, ...] = ()  #: what is configured, without a secret
    judge: Judge = lambda url: None  #: what a subscriber's URL is refused for
    pools: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    secrets: int = 0  #: how many may sign a webhook: more than one while they are rotated
    counted: Counted  #: numbers that take long
    live: Live = field(default_factory=Live)  #: who has a page open
    witness: Witness = field(default_factory=Nobody)  #: who knows a database that was restored or copied
    ending: Flag = field(default_factory=Flag)  #: set when the server ends: streams end with it


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request. Who asks may ask it, and a form was sent by a page of ours."""

    office: Office
    member: Member
    guest: Guest | None = None  #: None: nobody is in; only doors that are open to anybody see that
    path: Mapping[str, str] = field(default_factory=dict)  #: the names in the path
    query: Mapping[str, str] = field(default_factory=dict)  #: of two with one name the last
    form: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    here: str = ""  #: the door's name
    url: str = "/"  #: the path and the query, as they were asked for
    partial: bool = False  #: htmx asks for a part of a page (not when it restores its history)
    base: str = ""  #: how they have addressed us: for links that they give to others
    zone: str = "UTC"  #: the reader's own, by its IANA name
    theme: str = ""  #: light, dark; empty: as their machine has it
    address: str = ""  #: whence they ask, as far as we know
    token: str = field(
        default="", repr=False
    )  #: what their browser keeps; before they are in, what it knocks with
    lasts: Callable[[], bool] = lambda: True  #: for a stream: are they still in? It asks the database

    @property
    def now(self) -> datetime:
        return self.office.clock.now()

    @property
    def tz(self) -> ZoneInfo:
        return zone_named(self.zone)

    @property
    def brake(self) -> Brake | None:
        """Looked at anew each time: whoever says what leaves when asks it. A database that is away says nothing of it."""
        try:
            with reading(self) as ledger:
                return ledger.watch.braked()
        except (RelentError, SQLAlchemyError):
            return None

    @property
    def reviewer(self) -> Reviewer:
        """As the stories of a human's yes know them."""
        teams = (f"team:{team}" for team in self.member.teams)
        return Reviewer(id=self.member.email, names=frozenset({self.member.email, *teams}))

    def may(self, role: Role) -> bool:
        """Would a door for this role let them in? For what a page does not even offer."""
        return bool(self.member.id) and may(self.member, role)

    def said(self, name: str, default: str = "") -> str:
        """What the form says under this name, the first of it."""
        return next(iter(self.form.get(name, ())), default)

    def all(self, name: str) -> tuple[str, ...]:
        """Everything that it says under this name."""
        return self.form.get(name, ())


@contextmanager
def reading(asked: Asked) -> Iterator[Ledger]:
    """One look at everything."""
    with asked.office.store.reading(asked.now) as ledger:
        yield ledger


@dataclass(frozen=True, slots=True)
class Shown:
    """A page, or a part of one. Whatever is in the context is escaped."""

    template: str
    context: Mapping[str, Any] = field(default_factory=dict)
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Went:
    """Elsewhere in the dashboard: 303, and what is to be said there, once."""

    to: str
    notice: str | None = None
    kind: Kind = "good"


@dataclass(frozen=True, slots=True)
class Raw:
    """Bytes. Its headers take the place of ours: a frame for a mail has its own Content-Security-Policy."""

    content: bytes = field(repr=False)
    content_type: str = "text/html; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)
    status: int = 200


@dataclass(frozen=True, slots=True)
class Streamed:
    """For as long as somebody listens. It is iterated in the loop, not in a thread."""

    chunks: Callable[[], AsyncIterator[bytes]]
    content_type: str = "text/event-stream"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Entered:
    """They are in from now on, and go there."""

    guest: Guest
    to: str = "/"
    notice: str | None = None


@dataclass(frozen=True, slots=True)
class Left:
    """They are out from now on."""

    to: str = "/login"
    notice: str | None = None


Answer = Shown | Went | Raw | Streamed | Entered | Left


@dataclass(frozen=True, slots=True)
class Door:
    """One line in the table of doors."""

    method: Literal["GET", "POST"]  #: whoever GETs changes nothing
    path: str  #: `{name}` is one part of the path
    handler: Callable[[Asked], Answer]
    name: str = field(kw_only=True)
    #: and those that may do more; anybody: also who is not in
    role: Role | Literal["anybody"] = field(default="viewer", kw_only=True)
