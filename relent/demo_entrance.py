"""How a human comes into the demo: by a link that opens once, and a button; nobody has to think of a password."""

import secrets
from threading import Event

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dashboard.door import Front
from dashboard.frame import Answer, Asked, Door, Entered, Office, Shown, Went
from engine.errors import NotFound
from engine.members import USED_UP
from relent.demo_work import WAITING

YOU = "you@acme.example"
_WHAT_TO_DO = (
    f"{WAITING} letters wait for your yes: open Review, press a to approve or e to edit, and see the letter to Mia "
    "vanish when she answers by herself, about a minute later."
)


class Entrance:
    """Before the server: the door that only the demo has; and a bell that rings when somebody has opened the queue."""

    def __init__(self, app: ASGIApp, office: Office) -> None:
        self._app = app
        self._front = Front(office, otherwise=app, doors=_DOORS)
        self.rung = Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"] if scope["type"] == "http" else ""
        if path.startswith("/enter/"):
            await self._front(scope, receive, send)
        else:
            await self._app(scope, receive, self._listening(send) if path.rstrip("/") == "/review" else send)

    def _listening(self, send: Send) -> Send:
        async def listening(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == 200:
                self.rung.set()
            await send(message)

        return listening


def link(office: Office, port: int) -> str:
    made = office.members.invite(YOU, "admin", by="relent demo")
    return f"http://127.0.0.1:{port}/enter/{made.token}"


def _before(asked: Asked) -> Answer:
    """Asking changes nothing: some programs open every link that they see."""
    if asked.guest:
        return Went("/")
    if asked.office.members.invited(asked.path["token"]) is None:
        raise NotFound(USED_UP)
    return Shown("demo.html", {"token": asked.path["token"]})


def _enter(asked: Asked) -> Answer:
    nobody_knows = secrets.token_urlsafe(32)
    guest = asked.office.members.accept(asked.path["token"], nobody_knows, name="You")
    return Entered(guest, "/", _WHAT_TO_DO)


_DOORS = (
    Door("GET", "/enter/{token}", _before, name="enter", role="anybody"),
    Door("POST", "/enter/{token}", _enter, name="enter", role="anybody"),
)
