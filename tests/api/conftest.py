"""A running server, the official SDK pointed at it in both its voices, and mail that arrives."""

import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from typing import Any, cast
from uuid import uuid4

import httpx
import pytest
from agentmail import AgentMail, AgentMailEnvironment, AsyncAgentMail
from agentmail.inboxes.types import CreateInboxRequest, Inbox
from anyio.from_thread import BlockingPortal, start_blocking_portal

from tests.api.house import KEY, Running
from tests.api.tools import PROSPECT, Subscriber, listening

Receive = Callable[..., str]


class Spoken:
    """The async client, called as if it were the sync one: so every promise is kept by both."""

    def __init__(self, voice: object, portal: BlockingPortal) -> None:
        self._voice, self._portal = voice, portal

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._voice, name)
        if inspect.iscoroutinefunction(found):
            return lambda *args, **named: self._portal.call(partial(found, *args, **named))
        return Spoken(found, self._portal)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    running = Running(tmp_path_factory.mktemp("server"))
    yield running
    running.stop()


@pytest.fixture
def base_url(server: Running) -> str:
    return server.url


@pytest.fixture
def key() -> str:
    return KEY


@pytest.fixture
def environment(base_url: str) -> AgentMailEnvironment:
    return AgentMailEnvironment(http=base_url, websockets=base_url.replace("http", "ws", 1))


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(params=["sync", "async"])
def client(
    request: pytest.FixtureRequest, environment: AgentMailEnvironment, key: str
) -> Iterator[AgentMail]:
    """The unmodified SDK, once as `AgentMail` and once as `AsyncAgentMail`."""
    if request.param == "sync":
        with httpx.Client(timeout=60, follow_redirects=True) as http:
            yield AgentMail(environment=environment, api_key=key, httpx_client=http)
        return
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(httpx.AsyncClient(timeout=60, follow_redirects=True)) as http_async,
    ):
        voice = AsyncAgentMail(environment=environment, api_key=key, httpx_client=http_async)
        yield cast("AgentMail", Spoken(voice, portal))


@pytest.fixture
async def async_client(environment: AgentMailEnvironment, key: str) -> AsyncIterator[AsyncAgentMail]:
    """For what only the async client can show: many calls at once."""
    async with httpx.AsyncClient(timeout=60, follow_redirects=True) as http:
        yield AsyncAgentMail(environment=environment, api_key=key, httpx_client=http)


@pytest.fixture
def raw(base_url: str, key: str) -> Iterator[httpx.Client]:
    """HTTP as curl speaks it; redirects are not followed, so that none stays unseen."""
    with httpx.Client(base_url=base_url, headers={"Authorization": f"Bearer {key}"}, timeout=30) as http:
        yield http


@pytest.fixture
def new_inbox(raw: httpx.Client) -> Callable[..., Inbox]:
    """Another inbox on `house.test`, made over plain HTTP so that it needs no fixture of either voice."""

    def make(**wanted: Any) -> Inbox:
        wanted.setdefault("username", f"box-{uuid4().hex[:12]}")
        body = CreateInboxRequest(**wanted).model_dump(exclude_none=True)
        answer = raw.post("/v0/inboxes", json={"domain": "house.test", **body})
        assert answer.status_code == 200, answer.text
        return Inbox(**answer.json())

    return make


@pytest.fixture
def inbox(new_inbox: Callable[..., Inbox]) -> str:
    """The address of an inbox that nobody has used yet."""
    return new_inbox().inbox_id


@pytest.fixture
def receive(server: Running) -> Receive:
    """`receive(inbox_id, **mail)` delivers an inbound message, and says its Message-ID."""

    def one(inbox_id: str, **mail: Any) -> str:
        mail.setdefault("message_id", f"<{uuid4().hex}@mail.prospect.test>")
        mail.setdefault("sender", f"Pat Prospect <{PROSPECT}>")
        mail.setdefault("to", [inbox_id])
        mail.setdefault("subject", "Hello")
        mail.setdefault("text", "Good day.")
        server.deliver(inbox_id, mail)
        return cast("str", mail["message_id"])

    return one


@pytest.fixture
def subscriber() -> Iterator[Subscriber]:
    with listening() as ear:
        yield ear
