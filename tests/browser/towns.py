"""Towns to look at: a house with something in every room, one with nothing in any, and one full of hostile words."""

import os
import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from argon2 import PasswordHasher

from dashboard.cookies import VISIT
from engine.brake import suppress
from engine.enroll import enroll, prepare
from engine.ids import new_id
from engine.keys import Keyring
from engine.members import Members
from engine.model import Enclosure, Prospect
from engine.receive import Arrived, receive
from engine.store.members import Role
from engine.subscribers import Subscription, subscribe
from mailroom.hearsay import told
from mailroom.telling import bounced_event, received_event
from relent.assemble import House, assemble
from relent.config import Config
from relent.demo_house import VirtualClock, post_webhook, serving
from relent.demo_work import lay_out
from relent.web import create_app
from relent.worker import Worker
from sequences.loader import parse
from tests.makers import SECRET
from webhooks.signature import decode_secret

ROOT = Path(__file__).parents[2]
ARTEFACTS = Path(os.environ.get("RELENT_TEST_ARTEFACTS") or ROOT / "artefacts")

#: A Thursday. What stands on a page is the same every day.
NOW = datetime(2026, 4, 2, 9, 0, tzinfo=UTC)
PASSWORD = "a word between us two"
ROLES: tuple[Role, ...] = ("admin", "reviewer", "viewer")
#: Real, and quick: nobody steals these passwords.
CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)

#: A page that is not there.
NOWHERE = "/nowhere-at-all"

MIA, NILS, OLGA = "mia@ropery.example", "nils@sawmill.example", "olga@clockworks.example"
IDA, TOM, EVA = "ida@nordic.example", "tom@harbour.example", "eva@lantern.example"


@dataclass(slots=True)
class Town:
    """A house with an open door, and the time in the test's hands."""

    house: House
    clock: VirtualClock
    members: Members
    port: int
    _sessions: dict[str, str] = field(default_factory=dict)

    @classmethod
    @contextmanager
    def opened(cls, built: Path, folder: Path) -> Iterator["Town"]:
        shutil.copytree(built, folder)
        _make_it_at_home(folder)
        with _house(folder, NOW) as (house, clock), _open(house) as port:
            yield cls(house=house, clock=clock, members=_members(house), port=port)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def session(self, who: str) -> tuple[str, str]:
        """The cookie of somebody who is in."""
        if who not in self._sessions:
            guest = self.members.sign_in(f"{who}@acme.example", PASSWORD)
            assert guest, who
            self._sessions[who] = guest.token
        return VISIT, self._sessions[who]

    def work(self) -> None:
        """What is due leaves."""
        Worker(self.house).tick()

    def post(self, event: Mapping[str, Any]) -> int:
        """As the mailbox tells it: signed."""
        return post_webhook(self.port, event, decode_secret(SECRET), self.clock.now)

    def answers(self, email: str, text: str = "Yes, do come.") -> None:
        assert self.post(reply(self.house, email, text)) == 204

    def drafts(self) -> list[dict[str, Any]]:
        with self.house.store.reading(self.clock.now()) as ledger:
            return list(ledger.views.drafts(ended=True))

    def draft(self, email: str, *, step: str | None = None) -> dict[str, Any]:
        """The last one to them."""
        return [
            each for each in self.drafts() if each["to"] == email and (step is None or each["step"] == step)
        ][-1]

    def person(self, email: str) -> dict[str, Any]:
        with self.house.store.reading(self.clock.now()) as ledger:
            return next(each for each in ledger.views.people() if each["email"] == email)

    def pages(self) -> dict[str, str]:
        """Every page that there is, by its name; of those that are about one thing, one."""
        found = {
            "today": "/",
            "review": "/review",
            "calendar": "/calendar",
            "people": "/people",
            "threads": "/threads",
            "sequences": "/sequences",
            "deliveries": "/deliveries",
            "suppressions": "/suppressions",
            "settings": "/settings",
            "account": "/account",
            "start": "/start",
            "nowhere": NOWHERE,
        }
        return found | self._one_of_each()

    def _one_of_each(self) -> dict[str, str]:
        with self.house.store.reading(self.clock.now()) as ledger:
            people, drafts = list(ledger.views.people()), list(ledger.views.drafts())
        if not people or not drafts:
            return {}
        spoken = next((each for each in people if each["email"].startswith("ida")), people[0])
        held = next((each for each in drafts if each["state"] == "held"), drafts[0])
        return {
            "draft": f"/drafts/{held['draft_id']}",
            "person": f"/people/{spoken['enrollment_id']}",
            "thread": f"/threads/{spoken['thread_id']}",
            "sequence": f"/sequences/{_quoted(held_sequence(people, held))}",
        }


def held_sequence(people: list[dict[str, Any]], draft: Mapping[str, Any]) -> str:
    return next(each["sequence"] for each in people if each["enrollment_id"] == draft["enrollment_id"])


def _quoted(name: str) -> str:
    from urllib.parse import quote

    return quote(name, safe="")


# --- how they are built ---


def _make_it_at_home(folder: Path) -> None:
    """Nothing would leave a copy: it is made to believe that it has always been here."""
    with closing(sqlite3.connect(folder / "town.db")) as db, db:
        db.execute("DELETE FROM sign WHERE name = 'home'")
    (folder / "town.db.state").unlink(missing_ok=True)


@contextmanager
def _house(folder: Path, now: datetime) -> Iterator[tuple[House, VirtualClock]]:
    clock = VirtualClock(now)
    config = Config(
        database={"url": f"sqlite:///{folder / 'town.db'}"},
        webhooks={"secrets": [SECRET], "outbound": {"allow": ["127.0.0.1/32"]}},
        sequences={"path": str(folder / "sequences")},
    )
    house = assemble(config, clock)
    try:
        yield house, clock
    finally:
        house.store.close()


@contextmanager
def _open(house: House) -> Iterator[int]:
    """Without a worker: a test says when letters leave."""
    app = create_app(house, with_worker=False)
    with serving(app, app.state.ending) as port:
        yield port


def _members(house: House) -> Members:
    return Members(store=house.store, clock=house.clock, hasher=CHEAP)


def _settle(house: House, names: Mapping[Role, str]) -> None:
    """Three people who may come in."""
    members = _members(house)
    for role, name in names.items():
        made = members.invite(f"{role}@acme.example", role, by="a test")
        members.accept(made.token, PASSWORD, name=name)


def build_empty(folder: Path) -> None:
    """As `relent init` leaves it, with people to look at it."""
    with _house(folder, NOW) as (house, _):
        _settle(house, {"admin": "Ann Admin", "reviewer": "Rey Viewer", "viewer": "Vic Viewer"})


def build_newborn(folder: Path) -> None:
    """Nobody may come in yet."""
    with _house(folder, NOW):
        pass


def build(folder: Path) -> None:
    """Ten days, of the kind that most are."""
    with _house(folder, NOW - timedelta(days=10)) as (house, clock):
        _settle(house, {"admin": "Ann Admin", "reviewer": "Rey Viewer", "viewer": "Vic Viewer"})
        Keyring(store=house.store, clock=clock).make("Robot arm")
        _subscribe(house, "http://127.0.0.1:9/told")
        question = (ROOT / "sequences" / "quick-question.yaml").read_bytes()
        sequence = parse(question, "quick-question.yaml")
        with house.store.transaction(clock.now(), "a test") as ledger:
            for email, company in ((IDA, "Nordic Mills"), (TOM, "Harbour & Sons"), (EVA, "Lantern")):
                known = {"first_name": email.partition("@")[0].title(), "company": company}
                enroll(prepare(Prospect(email=email, variables=known), sequence), ledger=ledger)
            enroll(prepare(Prospect(email="nobody@nameless.example"), sequence), ledger=ledger)
        Worker(house).tick()
        clock.move_to(clock.now() + timedelta(hours=5))
        with _open(house) as port:
            _tell(house, port, bounce(house, TOM))
        _lands(house, IDA, html=_DECENT, text="Thursday at ten suits me well.\n\nIda")
        suppress("asked.example", why="asked by phone", by="a test", store=house.store, clock=clock)
        lay_out(house, clock, NOW, folder)


_DECENT = (
    "<p>Thursday at <b>ten</b> suits me well.</p>"
    '<p><img src="https://elsewhere.example/pixel.png" width="1" height="1">Ida, <a href="https://nordic.example">Nordic</a></p>'
)


def _subscribe(house: House, url: str) -> None:
    subscribe(
        Subscription(url=url, event_types=("message.sent", "message.received")),
        by="a test",
        judge=lambda _: None,
        store=house.store,
        clock=house.clock,
    )


def _tell(house: House, port: int, event: Mapping[str, Any]) -> None:
    assert post_webhook(port, event, decode_secret(SECRET), house.clock.now) == 204


def _last_letter(house: House, email: str) -> Any:
    with house.store.reading(house.clock.now()) as ledger:
        row = next(each for each in ledger.views.people() if each["email"] == email)
        return [each for each in ledger.threads.messages(row["thread_id"]) if each.direction == "sent"][-1]


def reply(house: House, email: str, text: str) -> dict[str, Any]:
    asked, now = _last_letter(house, email), house.clock.now()
    return received_event(
        event_id=new_id("evt", now),
        inbox_id=asked.inbox_id,
        thread_id=asked.thread_id,
        message_id=f"<{new_id('msg', now)}@answers.example>",
        sender=email,
        to=[asked.inbox_id],
        subject=f"Re: {asked.subject}",
        text=text,
        at=now,
        in_reply_to=asked.message_id,
        references=[asked.message_id],
    )


def bounce(house: House, email: str) -> dict[str, Any]:
    asked, now = _last_letter(house, email), house.clock.now()
    return bounced_event(
        event_id=new_id("evt", now),
        inbox_id=asked.inbox_id,
        thread_id=asked.thread_id,
        message_id=asked.message_id,
        recipient=email,
        at=now,
    )


def _lands(house: House, email: str, *, text: str, html: str | None = None, **more: Any) -> None:
    """An answer with everything that a real one has."""
    asked, now = _last_letter(house, email), house.clock.now()
    usual: dict[str, Any] = {
        "event_id": new_id("evt", now),
        "inbox_id": asked.inbox_id,
        "message_id": f"<{new_id('msg', now)}@answers.example>",
        "sender": email,
        "to": (asked.inbox_id,),
        "subject": f"Re: {asked.subject}",
        "text": text,
        "html": html,
        "in_reply_to": asked.message_id,
        "references": (asked.message_id,),
    }
    receive(Arrived(**usual | more), read=told, store=house.store, clock=house.clock, pace=house.pace)


# --- words of people who mean harm ---

HACK = "window.__hacked=1"
HOSTILE = (
    f"<script>{HACK}</script>",
    f'"><img src=x onerror="{HACK}">',
    f"<svg onload={HACK}>",
    f"javascript:{HACK}",
    f"</script><script>{HACK}</script>",
    "{{7*7}}{% raw %}${7*7}<%= 7*7 %>",
    "\u202egnp.tset\u202c\u2066",
    "x\r\nSet-Cookie: hacked=1\r\n\r\n<b>",
    f"' onmouseover='{HACK}' autofocus onfocus='{HACK}' x='",
    "W" * 9_000,
    "<style>*{display:none!important}</style><base href=https://evil.example/>",
)
_HOSTILE_MAIL = f"""<html><head><base href="https://evil.example/"><meta http-equiv="refresh" content="0;url=https://evil.example/">
<link rel="stylesheet" href="https://evil.example/x.css"><style>@import url(https://evil.example/y.css);
body{{background:url(https://evil.example/z.png)}}</style></head><body onload="{HACK}">
<script>{HACK};top.{HACK}</script><img src="https://evil.example/pixel.png" onerror="{HACK}">
<svg onload="{HACK}"><script>{HACK}</script></svg><iframe src="javascript:{HACK}"></iframe>
<form action="https://evil.example/"><input autofocus onfocus="{HACK}"></form><video src="https://evil.example/v.mp4"></video>
<a href="javascript:{HACK}">click</a><div style="position:fixed;inset:0;width:9999px">over everything</div>
<object data="https://evil.example/o"></object><embed src="https://evil.example/e"></body></html>"""


def build_hostile(folder: Path) -> None:
    """Whatever a stranger may have said, wherever we may show it."""
    with _house(folder, NOW - timedelta(days=10)) as (house, clock):
        _settle(house, {"admin": HOSTILE[0], "reviewer": HOSTILE[1][:60], "viewer": HOSTILE[2]})
        Keyring(store=house.store, clock=clock).make(HOSTILE[1])
        _subscribe(house, "https://127.0.0.1:9/?<script>" + HACK + "</script>")
        source = _HOSTILE_SEQUENCE.encode()
        (folder / "sequences").mkdir()
        (folder / "sequences" / "hostile.yaml").write_bytes(source)
        sequence = parse(source, "hostile.yaml")
        with house.store.transaction(clock.now(), "a test") as ledger:
            for number, words in enumerate(HOSTILE):
                email = f"{'ida' if number == 0 else 'h'}{number}@evil{number}.example"
                known = {"first_name": words.replace("\r\n", " ")[:200], "company": words}
                enroll(prepare(Prospect(email=email, variables=known), sequence), ledger=ledger)
        Worker(house).tick()
        clock.move_to(clock.now() + timedelta(hours=5))
        for number, email in enumerate(("ida0@evil0.example", "h1@evil1.example", "h2@evil2.example")):
            _lands(
                house,
                email,
                text="A" * 1_000_000 if number == 1 else "\n".join(HOSTILE),
                html=_HOSTILE_MAIL if number != 1 else None,
                subject=HOSTILE[number],
                names={email: HOSTILE[number][:200].replace("\r\n", " ")},
                files=(Enclosure(name=HOSTILE[1], content_type="text/html", content=b"<script>1</script>"),),
            )
        suppress("evil.example", why="".join(HOSTILE[:5]), by=HOSTILE[0], store=house.store, clock=clock)
        clock.move_to(NOW)
        Worker(house).tick()


_HOSTILE_SEQUENCE = f"""\
name: "<script>{HACK}</script><img src=x onerror={HACK}>"
from: sam@acme.example
approval: {{ steps: [second] }}
schedule: {{ windows: "00:00-24:00" }}
steps:
  - id: first
    subject: "<svg onload={HACK}> {{{{ first_name }}}}"
    body: |
      Hello {{{{ first_name }}}}, <script>{HACK}</script>
      [click](https://evil.example/"onmouseover="{HACK})
      {{{{ company }}}}
  - id: second
    after: 3d
    body: |
      Once more: {{{{ company }}}} <img src=x onerror={HACK}>
  - id: third
    after: 30d
    body: |
      Last.
"""


BUILDERS = {"full": build, "empty": build_empty, "newborn": build_newborn, "hostile": build_hostile}
