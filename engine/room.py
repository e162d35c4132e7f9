"""Whether there is room for a letter whose hour has come; and room that is kept for several of them at once."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from engine.limits import Full, Place, What, counted, keys, period, rates, room_now, sequence_zone
from engine.model import Draft, Enrollment
from engine.plan import calendar_of, place_of_draft
from engine.sequence import Sequence
from engine.store import Forecast, Ledger


def no_room(draft: Draft, ledger: Ledger, *, in_turn: bool = False) -> Full | None:
    """Its hour has come; but has its window closed since, or does a limit of its sequence say no?

    `in_turn`: nobody else may count on the same room until this transaction is over.
    """
    found = sequence_of(draft, ledger)
    if found is None:
        return None
    enrollment, sequence = found
    if full := window_closed(draft, enrollment, sequence, ledger.now):
        return full
    place = place_of_draft(draft, sequence)
    if in_turn:
        ledger.diaries.queue_up([place], sequence.limits)
    left, waiting = ledger.diaries.left(besides=draft.id), ledger.diaries.waiting()
    return room_now(ledger.now, place, sequence=sequence, sent=left, waiting=waiting)


def window_closed(draft: Draft, enrollment: Enrollment, sequence: Sequence, now: datetime) -> Full | None:
    """To an hour that a human chose no window is closed."""
    if draft.hour_by is not None:
        return None
    opens = calendar_of(sequence, enrollment.variables).next_open(now)
    return Full(opens.reason, opens.at) if opens.reason else None


def sequence_of(draft: Draft, ledger: Ledger) -> tuple[Enrollment, Sequence] | None:
    """Whom it is written to, and by which rules. None: no sequence made it."""
    if draft.enrollment_id is None:
        return None
    enrollment = ledger.enrollments.get(draft.enrollment_id)
    return enrollment, ledger.enrollments.version(enrollment.version)


#: Whom a letter is written to, and by which rules. None: no sequence made it.
Whose = Callable[[Draft], tuple[Enrollment, Sequence] | None]


def keep_room(
    claimed: Collection[Draft], whose: Whose, ledger: Ledger, forecast: Forecast
) -> dict[str, datetime]:
    """Those whose limits are far from full, by their ids, and until when nobody needs to count at their gate.

    What is kept counts for everybody else as if it had left, and is let go with the claim. For as many again there
    must be room besides: what somebody posts by hand asks nobody, and counts as well. Where letters keep a distance
    nothing is kept, and the clock has the last word.
    """
    asking = [each for each in _askers(claimed, whose) if each.sequence.limits.gap is None]
    if not asking:
        return {}
    ledger.diaries.queue_up([each.place for each in asking], *(each.sequence.limits for each in asking))
    room = _Room(ledger, forecast, Counter(key for each in asking for key in keys(each.place)))
    until = {each.draft.id: end for each in asking if (end := room.kept_until(each))}
    return ledger.drafts.keep_room(claimed, until)


@dataclass(frozen=True, slots=True)
class _Asker:
    """A letter that some limits count."""

    draft: Draft
    place: Place
    sequence: Sequence


def _askers(claimed: Collection[Draft], whose: Whose) -> Iterator[_Asker]:
    for draft in claimed:
        if found := whose(draft):
            _, sequence = found
            yield _Asker(draft, place_of_draft(draft, sequence), sequence)


@dataclass(slots=True)
class _Room:
    """What is counted once for all who ask."""

    ledger: Ledger
    forecast: Forecast
    wanted: Counter[tuple[What, str]]  #: how many ask for the same mailbox, company or domain
    _taken: dict[tuple[What, str, datetime, datetime, bool], int] = field(default_factory=dict, init=False)
    _began: dict[str, datetime | None] = field(default_factory=dict, init=False)
    _ends: dict[tuple[object, ...], datetime | None] = field(default_factory=dict, init=False)

    def kept_until(self, asker: _Asker) -> datetime | None:
        """When the first of its periods ends. None: one of them may become full."""
        place, rules = asker.place, asker.sequence
        whats = counted(rules.limits)
        alike = rules.version, place.opener, *(each for each in keys(place) if each[0] in whats)
        if alike not in self._ends:
            self._ends[alike] = self._first_end(asker)
        return self._ends[alike]

    def _first_end(self, asker: _Asker) -> datetime | None:
        now, place, ends = self.ledger.now, asker.place, []
        zone = sequence_zone(asker.sequence)
        for _, what, key, rate in rates(place, asker.sequence.limits, now, zone, self):
            begin, end = period(now, rate.period, zone)
            if self._count(what, key, begin, end, place.opener) + 2 * self.wanted[what, key] > rate.number:
                return None
            ends.append(end)
        return min(ends)

    def began(self, inbox: str) -> datetime | None:
        if inbox not in self._began:
            self._began[inbox] = self.ledger.diaries.waiting().began(inbox)
        return self._began[inbox]

    def _count(self, what: What, key: str, begin: datetime, end: datetime, opener: bool) -> int:
        asked = what, key, begin, end, opener
        if asked not in self._taken:
            diaries = self.ledger.diaries
            taken = diaries.left().count(what, key, begin, end, openers=True)
            if opener:  # whoever is being followed up goes first
                taken += diaries.to_come(what, key, self.ledger.now, end, self.forecast)
            self._taken[asked] = taken
        return self._taken[asked]
