"""The oracle of the chaos: two logs and what the database says in the end, and every promise that they break."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from sqlalchemy import select

from engine.store import Store
from engine.store.tables import draft, enrollment, instance

_ON_THEIR_WAY = ("scheduled", "claimed", "releasing")
_NOT_ENDED = (*_ON_THEIR_WAY, "held", "failed", "uncertain", "written")


@dataclass(frozen=True)
class Dot:
    """A letter whose final dot the mail server has read."""

    at: int
    letter: str
    to: str


@dataclass(frozen=True)
class Logs:
    dots: list[Dot]
    refused: Counter[str]  #: dots to which it said no: the letter may come again
    faults: Counter[str]
    acks: dict[str, int]  #: of each person, the first

    @classmethod
    def read(cls, dots: Path, acks: Path) -> Self:
        left, refused, faults, first = [], Counter[str](), Counter[str](), dict[str, int]()
        for what, *words in _lines(dots):
            match what, words:
                case "dot", [at, letter, to]:
                    left.append(Dot(int(at), letter, to))
                case "refused", [letter]:
                    refused[letter] += 1
                case _:
                    faults[" ".join(words)] += 1
        for _, at, person in _lines(acks):
            first[person] = min(int(at), first.get(person, int(at)))
        return cls(left, refused, faults, first)


def _lines(path: Path) -> Iterator[list[str]]:
    if path.exists():
        yield from (line.split() for line in path.read_text().splitlines())


@dataclass(frozen=True)
class Drafts:
    """What the database says when nothing moves any more."""

    rows: list[Any]
    idle: list[str]  #: people who are to be written to, and for whom nothing is waiting
    brake: str | None

    @classmethod
    def read(cls, store: Store) -> Self:
        wanted = (draft.c.id, draft.c.state, draft.c.message_id, draft.c.send_at, draft.c.to, draft.c.outcome)
        waiting = select(draft.c.enrollment_id).where(draft.c.state.in_(_NOT_ENDED))
        idle = select(enrollment.c.email).where(
            enrollment.c.state == "active", enrollment.c.wake_at.is_(None), enrollment.c.id.not_in(waiting)
        )
        with store.database.connect() as db:
            rows = db.execute(select(*wanted)).all()
            return cls(list(rows), list(db.scalars(idle)), db.scalar(select(instance.c.braked_why)))

    @property
    def moving(self) -> bool:
        return any(row.state in _ON_THEIR_WAY for row in self.rows) or bool(self.idle)


@dataclass(frozen=True)
class Verdict:
    counted: dict[str, int]
    broken: dict[str, list[str]] = field(default_factory=dict)

    def told(self) -> str:
        lines = [", ".join(f"{number:,} {what}" for what, number in self.counted.items())]
        for promise, proofs in self.broken.items():
            lines += [f"BROKEN, {len(proofs)} times: {promise}", *(f"  {proof}" for proof in proofs[:10])]
        return "\n".join(lines if self.broken else [*lines, "No promise was broken."])


def judge(logs: Logs, drafts: Drafts, *, done: Counter[str], peace: int) -> Verdict:
    found = {
        "a letter left after the answer was acknowledged": _after_an_ack(logs),
        "a letter left twice": _twice(logs),
        "a draft is due, and stuck": _stuck(drafts),
        "a draft is said to be sent, and never left": _never_left(logs, drafts),
        "a letter has left, and its draft will leave again": _again(logs, drafts),
        "somebody is to be written to, and nothing waits for its hour": drafts.idle,
        "a draft of somebody who was acknowledged waits to leave": _waiting_after_an_ack(logs, drafts),
        "the house braked itself": [drafts.brake] if drafts.brake else [],
    }
    states = Counter(row.state for row in drafts.rows)
    counted = {
        "letters": len(logs.dots),
        "letters before the peace": sum(dot.at < peace for dot in logs.dots),
        "acks": done["acks"],
        "people acknowledged": len(logs.acks),
        "people acknowledged before the peace": sum(at < peace for at in logs.acks.values()),
        **{what: number for what, number in done.items() if what != "acks"},
        "faults of the mail server": logs.faults.total(),
        **{f"drafts {state}": number for state, number in sorted(states.items())},
    }
    return Verdict(counted, {promise: proofs for promise, proofs in found.items() if proofs})


def _after_an_ack(logs: Logs) -> list[str]:
    return [
        f"{dot.letter} to {dot.to}, {(dot.at - acked) / 1e6:.1f} ms after it"
        for dot in logs.dots
        if (acked := logs.acks.get(dot.to)) is not None and dot.at > acked
    ]


def _twice(logs: Logs) -> list[str]:
    """What the server has refused in so many words did not leave."""
    dots: dict[str, list[Dot]] = defaultdict(list)
    for dot in logs.dots:
        dots[dot.letter].append(dot)
    return [
        f"{letter}: {len(each)} times"
        for letter, each in dots.items()
        if len(each) - logs.refused[letter] > 1
    ]


def _stuck(drafts: Drafts) -> list[str]:
    now = datetime.now(UTC)
    return [
        f"{row.id} to {row.to} is {row.state}: {row.outcome}"
        for row in drafts.rows
        if row.state in _ON_THEIR_WAY and row.send_at <= now
    ]


def _never_left(logs: Logs, drafts: Drafts) -> list[str]:
    left = {dot.letter for dot in logs.dots}
    return [
        f"{row.id} to {row.to}" for row in drafts.rows if row.state == "sent" and row.message_id not in left
    ]


def _again(logs: Logs, drafts: Drafts) -> list[str]:
    left = Counter(dot.letter for dot in logs.dots) - logs.refused
    return [
        f"{row.id} to {row.to} is {row.state}"
        for row in drafts.rows
        if row.state in (*_ON_THEIR_WAY, "held", "failed") and left[row.message_id]
    ]


def _waiting_after_an_ack(logs: Logs, drafts: Drafts) -> list[str]:
    return [
        f"{row.id} to {row.to} is {row.state}"
        for row in drafts.rows
        if row.state in (*_ON_THEIR_WAY, "held", "failed") and row.to in logs.acks
    ]
