"""`relent demo`: a month of a small campaign in seconds. Everything is real but the people and the time."""

import heapq
import shutil
import sys
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from time import monotonic

from engine.enroll import enroll, prepare
from engine.errors import RelentError
from engine.model import Prospect
from engine.sequence import Sequence
from engine.settle import Delivered
from mailroom.simulate import Answer, Deed, answer_to
from relent import show
from relent.assemble import House, assemble
from relent.demo_desk import Plan, leave_open, stay
from relent.demo_house import VirtualClock, config_in, post_webhook, serving
from relent.demo_work import lay_out
from relent.first_day import new_secret
from relent.logs import set_up_logs
from relent.web import create_app
from relent.worker import Worker
from sequences.loader import parse
from webhooks.signature import decode_secret

_BEGIN = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
_END = _BEGIN + timedelta(days=31)

_PEOPLE = (
    ("Ada", "ada+reply-2d@loom.example", "Loom & Daughters"),
    ("Ben", "ben@quarry.example", "Quarry Nine"),
    ("Cleo", "cleo+reply-4d@tannery.example", "Old Tannery"),
    ("Dov", "dov+bounce@mill.example", "Paper Mill"),
    ("Eva", "eva+away@harbour.example", "Harbour Logistics"),
    ("Finn", "finn@brewery.example", "North Brewery"),
    ("Gro", "gro+reply-3h@bakery.example", "Corner Bakery"),
    ("Hal", "hal@foundry.example", "Bell Foundry"),
    ("Ines", "ines+reply-7d@orchard.example", "Orchard Press"),
    ("Jon", "jon@shipyard.example", "Shipyard Vik"),
    ("Kim", "kim@glass.example", "Glassworks"),
    ("Lea", "lea+reply-10d@print.example", "Print House"),
)


@dataclass(slots=True)
class _Story:
    """What happened, for the summary."""

    sent: dict[str, list[str]] = field(default_factory=dict)
    answers: dict[str, Deed] = field(default_factory=dict)
    cancelled: int = 0


def play(*, dashboard: bool = True) -> None:
    """A month, and what it came to; then the dashboard, where a human goes on."""
    set_up_logs(level="critical")  # the timeline is the story; the server's own log would only tell it twice
    folder = Path(tempfile.mkdtemp(prefix="relent-demo-"))
    plan = Plan(folder=folder, secret=new_secret(), begin=_END)
    with ExitStack() as ours:
        ours.callback(shutil.rmtree, folder, ignore_errors=True)
        _month(plan, and_work=dashboard)
        if not dashboard:
            return
        if sys.stdout.isatty():
            stay(plan)
        else:
            leave_open(plan)
            ours.pop_all()  # the folder is no longer ours


def _month(plan: Plan, *, and_work: bool) -> None:
    begun, clock = monotonic(), VirtualClock(_BEGIN)
    house = assemble(config_in(plan.folder, plan.secret), clock)
    try:
        app = create_app(house, with_worker=False)
        with serving(app, app.state.ending) as port:
            _campaign(_Player(house, clock, port, plan.secret), begun)
        if and_work:
            lay_out(house, clock, _END, plan.folder)
    finally:
        house.store.close()


def _campaign(player: "_Player", begun: float) -> None:
    sequence = _sequence()
    _introduce(sequence, player.port)
    player.enroll(sequence)
    player.month()
    player.summary(sequence)
    show.console.print(
        f"\n31 days in {monotonic() - begun:.1f} s. No mail left this machine. Your own: relent init\n",
        highlight=False,
    )


def _sequence() -> Sequence:
    name = "quick-question.yaml"
    return parse(files("sequences").joinpath(name).read_bytes(), name)


def _introduce(sequence: Sequence, port: int) -> None:
    waits = ", ".join(f"after {step.after}" for step in sequence.steps[1:])
    show.console.print(
        f"\n[bold]{sequence.name}[/bold], from {sequence.sender}: {len(sequence.steps)} mails ({waits}), "
        f"{len(_PEOPLE)} people.\n"
        f"The real server listens on 127.0.0.1:{port}; every answer below is a signed webhook sent to it.\n",
        highlight=False,
        soft_wrap=True,
    )


class _Player:
    """Moves the time on, and plays the people."""

    def __init__(self, house: House, clock: VirtualClock, port: int, secret: str) -> None:
        self._house = house
        self._clock = clock
        self._worker = Worker(house)
        self._secret = decode_secret(secret)
        self._names = {email: name for name, email, _ in _PEOPLE}
        self._coming: list[tuple[datetime, str, Answer]] = []
        self._story = _Story()
        self._forged = False
        self.port = port

    def enroll(self, sequence: Sequence) -> None:
        with self._house.store.transaction(self._clock.now(), "demo") as ledger:
            for name, email, company in _PEOPLE:
                person = Prospect(email=email, variables={"first_name": name, "company": company})
                enroll(prepare(person, sequence), ledger=ledger)

    def month(self) -> None:
        while (at := self._next()) and at <= _END:
            self._clock.move_to(at)
            while self._coming and self._coming[0][0] <= at:
                self._answer(heapq.heappop(self._coming)[2])
            self._send()
            if not self._forged and at > _BEGIN:
                self._forge()

    def _next(self) -> datetime | None:
        with self._house.store.reading(self._clock.now()) as ledger:
            due = ledger.drafts.next_due()
        coming = self._coming[0][0] if self._coming else None
        return min((at for at in (due, coming) if at), default=None)

    def _send(self) -> None:
        for outcome in self._worker.tick():
            if not isinstance(outcome, Delivered):
                continue
            with self._house.store.reading(self._clock.now()) as ledger:
                draft = ledger.drafts.get(outcome.draft_id)
                assert draft  # noqa: S101 (it was just sent)
                letters = ledger.threads.messages(draft.thread_id)
            self._story.sent.setdefault(draft.to, []).append(draft.step)
            self._tell("→", draft.to, f"{draft.step}: {draft.subject}", "cyan")
            if answer := answer_to([letter for letter in letters if letter.direction == "sent"]):
                heapq.heappush(self._coming, (answer.at, answer.email, answer))

    def _answer(self, answer: Answer) -> None:
        """A person does something, and the mailbox tells us so by a signed webhook."""
        waiting = self._waiting(answer.email)
        begun = monotonic()
        status = self._post(answer.event, self._secret)
        took = (monotonic() - begun) * 1000
        self._story.answers[answer.email] = answer.deed
        words = {
            Deed.REPLY: "answers",
            Deed.BOUNCE: "does not exist: the mail bounces",
            Deed.AWAY: "is away: an automatic reply is no answer",
        }
        gone = waiting - self._waiting(answer.email)
        self._story.cancelled += gone
        effect = f"{gone} follow-up cancelled" if gone else "nothing was left to cancel"
        colour = "green"
        if answer.deed is Deed.AWAY:
            effect, colour = "the follow-up is held for a week", "yellow"
        self._tell(
            "←", answer.email, f"{words[answer.deed]}. Webhook {status} in {took:.0f} ms: {effect}", colour
        )

    def _forge(self) -> None:
        """Somebody who does not know the secret says that Ben has answered."""
        self._forged = True
        _, email, _ = _PEOPLE[1]
        with self._house.store.reading(self._clock.now()) as ledger:
            row = next(row for row in ledger.views.people() if row["email"] == email)
        message = {"inbox_id": row["inbox_id"], "thread_id": row["thread_id"], "from": email}
        event = {
            "type": "event",
            "event_type": "message.received",
            "event_id": "evt_forged",
            "message": message,
        }
        status = self._post(event, b"not the secret, but 24 b")
        left = self._waiting(email)
        self._tell(
            "✗",
            email,
            f"a stranger forges an answer. Webhook {status}: {left} follow-up still planned",
            "red",
        )

    def _waiting(self, email: str) -> int:
        with self._house.store.reading(self._clock.now()) as ledger:
            return sum(1 for draft in ledger.views.drafts() if draft["to"] == email)

    def _post(self, event: Mapping[str, object], secret: bytes) -> int:
        return post_webhook(self.port, event, secret, self._clock.now)

    def _tell(self, arrow: str, email: str, what: str, colour: str) -> None:
        when = f"{self._clock.now():%a %d %b %H:%M}"
        show.console.print(
            f"{when}  [{colour}]{arrow}[/]  {self._names[email]:<5} {what}", highlight=False, soft_wrap=True
        )

    def summary(self, sequence: Sequence) -> None:
        """Who got what, and what was avoided."""
        rows = []
        for name, email, _ in _PEOPLE:
            got = len(self._story.sent.get(email, []))
            deed = self._story.answers.get(email)
            ended = {
                None: "never answered",
                Deed.REPLY: "answered",
                Deed.BOUNCE: "bounced",
                Deed.AWAY: "was away",
            }[deed]
            spared = len(sequence.steps) - got
            rows.append({"who": name, "mails": got, "and then": ended, "not sent": spared or ""})
        show.console.print()
        show.as_table(rows, ("who", "mails", "and then", "not sent"), empty="")
        spared = sum(row["not sent"] or 0 for row in rows)  # type: ignore[misc]
        show.console.print(
            f"\n[bold]{self._story.cancelled} follow-ups cancelled by a signed webhook[/bold], so {spared} mails that nobody "
            "wanted any more were never sent;\n0 sent after an answer, 0 sent twice.",
            highlight=False,
            soft_wrap=True,
        )
        self._prove()

    def _prove(self) -> None:
        """The summary above is a promise: look whether it was kept."""
        if not self._story.cancelled:
            raise RelentError("the demo failed: no follow-up was cancelled")
        with self._house.store.reading(self._clock.now()) as ledger:
            letters = list(ledger.views.messages())
        answered: set[str] = set()
        seen: set[tuple[str, str]] = set()
        for letter in letters:
            if letter["direction"] == "received" and not letter["subject"].startswith("Automatic"):
                answered.add(letter["thread_id"])
            elif letter["direction"] == "sent" and letter["thread_id"] in answered:
                raise RelentError(f"the demo failed: {letter['to']} was written to after an answer")
            elif letter["direction"] == "sent" and (key := (letter["thread_id"], letter["step"])) in seen:
                raise RelentError(f"the demo failed: {key} was sent twice")
            else:
                seen.add((letter["thread_id"], letter["step"] or ""))
