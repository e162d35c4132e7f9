"""What would come of it: every letter of a preview, every day of a simulation. Nobody is written to, nothing is kept."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

from engine.addresses import contact
from engine.compose import reply_subject
from engine.enroll import prepare
from engine.errors import Refused
from engine.foresee import Deed, Foresight, Life, World
from engine.model import Prospect
from engine.plan import Errand, Planned
from engine.sequence import Sequence
from engine.states import EnrollmentState
from engine.trial import zone_of_person
from sequences.people import BadRow

#: Whatever takes longer is a mistake in the file, or a list for more mailboxes than these.
LONGEST = timedelta(days=3 * 366)

Kind = Literal["begun", "held", "skipped", "refused"]
Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Admitted:
    """A row of the list, and what becomes of it at the door."""

    kind: Kind
    email: str
    reason: str | None
    line: int | None = None


def admit(
    rows: Iterable[Prospect | BadRow], foresight: Foresight, inboxes: tuple[str, ...]
) -> Iterator[Admitted]:
    """In the order of the list, as `relent enroll` does it; the senders take turns."""
    senders = [contact(inbox) for inbox in inboxes]
    turn = 0
    for row in rows:
        if isinstance(row, BadRow):
            yield Admitted("refused", row.email, row.reason, row.line)
            continue
        try:
            ready = prepare(row, foresight.sequence)
        except Refused as error:
            yield Admitted("refused", row.email, str(error))
            continue
        person = Prospect(email=ready.email, variables=ready.variables)
        if why := foresight.rule_against(person):
            yield Admitted("skipped", person.email, why)
            continue
        inbox, turn = senders[turn % len(senders)], turn + 1
        if contact(person.email) in senders:
            yield Admitted("skipped", person.email, f"{person.email} is a sender of this sequence")
            continue
        life = foresight.enter(person, inbox)
        held = life.enrollment.state == EnrollmentState.PAUSED
        yield Admitted("held" if held else "begun", person.email, life.enrollment.reason if held else None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """A letter as it would be on the wire, and when."""

    number: int  #: of this person's letters
    letter: Planned
    email: str
    inbox_id: str
    subject: str
    zone: ZoneInfo

    @property
    def local(self) -> datetime:
        return self.letter.send_at.astimezone(self.zone)

    def row(self) -> dict[str, Any]:
        letter = self.letter
        more = {"html": letter.html, "cc": list(letter.cc), "bcc": list(letter.bcc)}
        return {
            "email": self.email,
            "step": letter.step,
            "subject": self.subject,
            "text": letter.text,
            "send_at": letter.send_at,
            "local_time": self.local.isoformat(timespec="seconds"),
            "timezone": self.zone.key,
            "reason": letter.reason,
            "variant": letter.variant,
            "inbox_id": self.inbox_id,
            "needs_approval": letter.held,
        } | {name: value for name, value in more.items() if value}


@dataclass(frozen=True, slots=True, kw_only=True)
class Chore:
    """A task or a webhook on somebody's way."""

    errand: Errand
    email: str
    zone: ZoneInfo


class Preview(World):
    """Every letter that would leave if nobody answered, the earliest first."""

    def __init__(self, sequence: Sequence, inboxes: tuple[str, ...], start: datetime) -> None:
        self.foresight = Foresight(sequence=sequence, start=start, world=self)
        self.aside: list[Admitted] = []  #: whoever is not written to
        self._inboxes = inboxes
        self._told: list[Mail | Chore] = []
        self._threads: dict[int, str] = {}

    def admit(self, rows: Iterable[Prospect | BadRow], progress: Progress = lambda _: None) -> None:
        for admitted in admit(rows, self.foresight, self._inboxes):
            if admitted.kind != "begun":
                self.aside.append(admitted)
            progress(1)

    def play(self) -> Iterator[Mail | Chore]:
        """Told one by one: a long list is never in memory as a whole."""
        foresight, end = self.foresight, self.foresight.start + LONGEST
        while (at := foresight.next_at) is not None and at <= end:
            foresight.play(at)
            yield from self._told
            self._told.clear()
        held = {admitted.email for admitted in self.aside}
        for life in foresight.lives:
            if life.enrollment.state == EnrollmentState.PAUSED and life.email not in held:
                self.aside.append(Admitted("held", life.email, life.enrollment.reason))

    def letter(self, life: Life, letter: Planned) -> Iterable[Deed]:
        self._told.append(
            Mail(
                number=len(life.history.said),
                letter=letter,
                email=life.email,
                inbox_id=life.enrollment.inbox_id,
                subject=self._subject(life, letter),
                zone=zone_of_person(life.reader),
            )
        )
        return ()

    def errand(self, life: Life, errand: Errand) -> None:
        self._told.append(Chore(errand=errand, email=life.email, zone=zone_of_person(life.reader)))

    def _subject(self, life: Life, letter: Planned) -> str:
        """Without a subject of its own a letter answers the one before it, in the same thread."""
        if letter.subject is not None:
            self._threads[id(life)] = letter.subject
            return letter.subject
        return reply_subject(self._threads.get(id(life), ""))
