"""What an endpoint is, what lies on the desk before it, and what it is asked: the three nouns of this room."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal, TypeVar

from pydantic import BaseModel

from engine.enroll import Pools
from engine.errors import Invalid, Issue, NotFound
from engine.keys import Caller, Keyring, covers
from engine.model import Inbox, Pace
from engine.post import Counter, Key, Lend
from engine.seams import Clock
from engine.sequence import Sequence
from engine.settle import Outcome
from engine.store import Ledger, Store
from engine.store.inboxes import Pod, Scope
from engine.store.pages import Page, Slice
from engine.subscribers import Judge
from engine.witness import Nobody, Witness
from mailroom import wire
from mailroom.api.rate import Rate
from mailroom.api.seal import Seal

T = TypeVar("T")
R = TypeVar("R")

Method = Literal["GET", "POST", "PATCH", "DELETE"]


@dataclass(frozen=True, slots=True, kw_only=True)
class OnFile:
    """A sequence as a file here has it just now."""

    sequence: Sequence
    files: Callable[[], Mapping[str, bytes]] = (
        dict  #: what it attaches, by its SHA-256; read when it is wanted
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What the endpoints work with. `relent/assemble.py` lays it."""

    store: Store
    clock: Clock
    pace: Pace
    keys: Keyring
    lend: Lend  #: a mailbox of one's own for one letter
    #: what a letter, by its inbox and its name, says to inboxes of ours is heard there
    arrive: Callable[[str, str], object] = lambda inbox_id, message_id: None
    carried: Callable[[Outcome], object] = lambda outcome: None  #: whoever counts letters is told of each
    seal: Seal
    organization_id: str
    judge: Judge  #: what a subscriber's URL is refused for
    rate: Rate = field(default_factory=Rate)
    domains: tuple[str, ...] = ()  #: of new inboxes
    anywhere: bool = False  #: while there are none: any, because nothing leaves
    public_url: str | None = None  #: how the world reaches us; None: as this request did
    max_body: int = 10 * 1024**2
    sequences: Callable[[], Iterable[OnFile]] = tuple  #: those that can be read, from the folder of sequences
    pools: Pools = field(default_factory=dict)
    witness: Witness = field(default_factory=Nobody)  #: who knows a database that was restored or copied


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One line in the table: it is routed by it, and described by it in /openapi.json."""

    method: Method
    path: str  #: `{name}` is one part of the path, `{name:path}` may have slashes in it
    handler: Callable[["Asked"], Any]  #: what it gives back is the answer; None answers 204
    name: str  #: as the SDK calls it: `inboxes.drafts.create`
    summary: str
    needs: str | None = None  #: the permission, by AgentMail's name; None: any key will do
    body: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    answers: Any = None  #: the shape of the answer; None: 204, without a body
    errors: tuple[int, ...] = ()  #: besides those that everybody may meet
    bare: bool = False  #: the body may be left out altogether
    once: bool = False  #: understands the header Idempotency-Key
    open: bool = False  #: asks for no key


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """An answer that is no JSON."""

    content: bytes = field(repr=False)
    content_type: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """Whose things are asked for."""

    scope: Scope
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request: authorized, bounded and validated before anybody looks at it."""

    desk: Desk
    endpoint: Endpoint
    caller: Caller
    path: Mapping[str, tuple[str, ...]]  #: the names in the path, each in every way that it can be read
    query: Any = None  #: an instance of the endpoint's query
    body: Any = None  #: and of its body
    key: str | None = None  #: Idempotency-Key
    origin: str = ""  #: `http://host:port`, as this request found us

    def id(self, name: str) -> str:
        """The name in the path, in the likeliest reading."""
        return self.path[name][0]

    @property
    def now(self) -> datetime:
        return self.desk.clock.now()

    @property
    def once(self) -> Key | None:
        """Under which name this is to be done once; and what it is, so that the name can be held to it."""
        if self.key is None:
            return None
        said = self.body.model_dump(mode="json", exclude_unset=True) if self.body else None
        return Key(name=self.key, request=json.dumps([self.endpoint.name, self._ids(), said], sort_keys=True))

    @property
    def counter(self) -> Counter:
        """What a letter is posted with."""
        desk = self.desk
        return Counter(
            store=desk.store,
            clock=desk.clock,
            pace=desk.pace,
            lend=desk.lend,
            arrive=desk.arrive,
            carried=desk.carried,
        )

    def part(self) -> Slice:
        """Which part of the list is asked for. Raises Invalid for a token of another list, or of nobody's."""
        after = None
        if token := self.query.page_token:
            mark = self.desk.seal.open(self._list, token)
            if mark is None:
                raise Invalid(Issue(("page_token",), "This is no token of this list.", "invalid_page_token"))
            after = (mark[0], mark[1])
        return Slice(
            limit=self.query.limit, after=after, ascending=getattr(self.query, "ascending", None) or False
        )

    def listed(self, shape: type[R], page: Page[T], item: Callable[[T], Any]) -> R:
        """A page in its envelope: `shape` is a list of AgentMail's, and says by which name its items go."""
        name = next(each for each in shape.__annotations__ if each not in wire.Page.__annotations__)
        shown: Any = self.envelope(page) | {name: [item(each) for each in page.items]}
        return shown  # type: ignore[no-any-return]

    def envelope(self, page: Page[Any]) -> dict[str, Any]:
        """What every list has."""
        shown: dict[str, Any] = {"count": len(page.items), "limit": self.query.limit}
        if page.next is not None:
            shown["next_page_token"] = self.desk.seal.close(self._list, page.next)
        return shown

    def link(self, path: str) -> str:
        """The whole address of something here."""
        return (self.desk.public_url or self.origin).rstrip("/") + path

    def _ids(self) -> dict[str, str]:
        return {name: ways[0].lower() for name, ways in self.path.items()}

    @property
    def _list(self) -> str:
        """Which list, with which filters: a page token is good for one of them."""
        filters = self.query.model_dump(mode="json", exclude={"limit", "page_token"})
        return json.dumps(["page", self.endpoint.name, self._ids(), filters], sort_keys=True)


@contextmanager
def reading(asked: Asked) -> Iterator[Ledger]:
    """One look at everything."""
    with asked.desk.store.reading(asked.now) as ledger:
        yield ledger


def inbox_of(asked: Asked, ledger: Ledger) -> Inbox:
    """The inbox that the path names. Raises NotFound, also when it is none of the caller's."""
    names = [way.lower() for way in asked.path["inbox_id"]]
    known = ledger.inboxes.of(names)
    found = next((known[name] for name in names if name in known), None)
    elsewhere = found and "pod_id" in asked.path and found.pod_id != asked.id("pod_id")
    if found is None or elsewhere or not covers(asked.caller, found):
        raise NotFound(f"There is no inbox {names[0]}.")
    return found


def pod_of(asked: Asked, ledger: Ledger) -> Pod:
    """The pod that the path names. Raises NotFound, also when it is none of the caller's."""
    name = asked.id("pod_id")
    found = ledger.inboxes.pod(name)
    if found is None or asked.caller.scope == "inbox" or asked.caller.scope_id not in ("", name):
        raise NotFound(f"There is no pod {name}.")
    return found


def where(asked: Asked, ledger: Ledger) -> Where:
    """Whose things the path speaks of: an inbox's, a pod's, or all that the caller may see. Raises NotFound."""
    if "inbox_id" in asked.path:
        return Where(scope="inbox", id=inbox_of(asked, ledger).id)
    if "pod_id" in asked.path:
        return Where(scope="pod", id=pod_of(asked, ledger).id)
    return Where(scope=asked.caller.scope, id=asked.caller.scope_id)


def everywhere(endpoint: Endpoint, *, inside: Any = None) -> tuple[Endpoint, ...]:
    """The same for everybody here, for a pod, for an inbox. `inside`: what is answered in the latter two, if it is more."""
    head, _, tail = endpoint.path.partition("/v0/")
    scopes = {"": "", "pods.": "pods/{pod_id}/", "inboxes.": "inboxes/{inbox_id}/"}
    return tuple(
        replace(
            endpoint,
            path=f"{head}/v0/{scope}{tail}",
            name=f"{name}{endpoint.name}",
            answers=(inside if scope else None) or endpoint.answers,
        )
        for name, scope in scopes.items()
    )
