"""The shelf of reviews: what a human said of a letter, when, why, and what they saw when they said it."""

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import func, select

from engine.ids import new_id
from engine.store.moves import Desk
from engine.store.tables import audit, review

Verdict = Literal["approved", "rejected", "withdrawn", "edited", "rescheduled", "expired"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """One word of one human; or of the clock, when nobody said one."""

    id: str
    draft_id: str
    number: int  #: of the words about this letter, the first is 1; clocks may say otherwise
    at: datetime
    by: str
    verdict: Verdict
    why: str | None
    content_sha: str  #: the letter that it was said of
    evidence: Mapping[str, Any]  #: what was there to be seen


#: How the log tells of one; after it the verdict. Its detail begins with the review's id and digest.
REVIEWED = "review: "


def digest(said: Review) -> str:
    """So that the log, which is sealed, vouches for what was seen as well."""
    says = [
        said.id,
        said.draft_id,
        said.number,
        said.by,
        said.verdict,
        said.why,
        said.content_sha,
        said.evidence,
    ]
    return hashlib.sha256(json.dumps(says, sort_keys=True).encode()).hexdigest()


_FIELDS = [review.c[name] for name in Review.__dataclass_fields__]


class Reviews:
    """One transaction's hands on them. Nobody takes a word back: another one is said."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._db = desk.db

    def add(
        self,
        draft_id: str,
        verdict: Verdict,
        *,
        by: str,
        content_sha: str,
        evidence: Mapping[str, Any],
        why: str | None = None,
    ) -> None:
        """Whoever says it has locked the conversation: nobody says another at the same time."""
        last = self._db.scalar(select(func.max(review.c.number)).where(review.c.draft_id == draft_id))
        said = Review(
            id=new_id("rev", self._desk.now),
            draft_id=draft_id,
            number=(last or 0) + 1,
            at=self._desk.now,
            by=by,
            verdict=verdict,
            why=why,
            content_sha=content_sha,
            evidence=dict(evidence),
        )
        self._db.execute(
            review.insert().values({name: getattr(said, name) for name in Review.__dataclass_fields__})
        )
        self._db.execute(
            audit.insert().values(
                at=self._desk.now,
                actor=by,
                what=f"{REVIEWED}{verdict}",
                draft_id=draft_id,
                detail=" ".join(filter(None, (said.id, digest(said), why))),
            )
        )

    def some(self, which: Collection[str]) -> dict[str, Review]:
        """By their own ids."""
        found = self._db.execute(select(*_FIELDS).where(review.c.id.in_(which)))
        return {row.id: Review(**row._mapping) for row in found}

    def count(self) -> int:
        return self._db.scalar(select(func.count()).select_from(review)) or 0

    def of(self, draft_id: str) -> list[Review]:
        """The last word first."""
        return self.of_all([draft_id]).get(draft_id, [])

    def of_all(self, drafts: Collection[str]) -> dict[str, list[Review]]:
        """The same for several, by their ids."""
        found = select(*_FIELDS).where(review.c.draft_id.in_(drafts)).order_by(review.c.number.desc())
        said: dict[str, list[Review]] = {}
        for row in self._db.execute(found):
            said.setdefault(row.draft_id, []).append(Review(**row._mapping))
        return said
