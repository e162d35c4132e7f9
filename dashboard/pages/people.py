"""People: a list, and one page for each of them: where they stand, why, everything that was said; stop, resume, suppress."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote, urlencode

from dashboard.frame import Answer, Asked, Door, Shown, Went, reading
from dashboard.marks import mark_of, word_of
from dashboard.show import plural, when
from dashboard.told import told
from engine.addresses import contact
from engine.brake import Receipt, stop, suppress
from engine.companies import company
from engine.errors import Invalid, Issue, NotFound
from engine.model import Enrollment
from engine.rehearse import rehearse
from engine.resume import resume
from engine.states import STOP, DraftState, EnrollmentState
from engine.store import Ledger, Life
from engine.store.faces import WALK, Crowd, Faces, Place
from engine.store.pages import Slice
from engine.why import Why, why

_AT_ONCE = 50
_STORY = 40
_LONGEST = 320
_MOST_WORDS = 500

# --- everybody ---


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wish:
    """Who is looked for."""

    q: str
    state: EnrollmentState | None
    sequence: str

    def href(self, after: str | None = None) -> str:
        said = {"q": self.q, "state": self.state or "", "sequence": self.sequence, "after": after or ""}
        return "/people?" + urlencode({name: value for name, value in said.items() if value})


def everybody(asked: Asked) -> Answer:
    wish = _wish(asked.query)
    with reading(asked) as ledger:
        found, how, marked = _found(wish, asked.query.get("after", ""), ledger)
        sequences = sorted(ledger.enrollments.sequences())
    context = {
        "wish": wish,
        "people": found.items,
        "how": how,
        "sequences": sequences,
        "states": list(EnrollmentState),
        "next": wish.href(onward) if (onward := word_of(found.next)) else None,
        "first": wish.href() if marked else None,
        "walked": WALK if found.walked else None,
    }
    return Shown("people.html", context)


def _wish(query: Mapping[str, str]) -> _Wish:
    state = query.get("state", "")
    return _Wish(
        q=query.get("q", "").strip()[:_LONGEST],
        state=EnrollmentState(state) if state in set(EnrollmentState) else None,
        sequence=query.get("sequence", "")[:_LONGEST],
    )


def _found(wish: _Wish, after: str, ledger: Ledger) -> tuple[Crowd, str, bool]:
    """Who they are, how they were looked for, and whether this is a later page."""
    mark = mark_of(after, str, str)
    part = Slice(limit=_AT_ONCE, after=(mark[0], str(mark[1])) if mark else None)
    if not wish.q:
        found = ledger.faces.page(part, state=wish.state, sequence=wish.sequence or None)
        return found, "newest", mark is not None
    return *_sought(wish.q, part, ledger.faces), mark is not None


def _sought(q: str, part: Slice, faces: Faces) -> tuple[Crowd, str]:
    """By an address or how it begins; by a domain, who is written to there."""
    there = company(q)
    if q.startswith("@"):
        return faces.at_company(there or q, part), "company"
    found = faces.beginning_with(q, part)
    if found.items or there is None or "@" in q:
        return found, "address"
    return faces.at_company(there, part), "company"


# --- one of them ---


def somebody(asked: Asked) -> Answer:
    who = _who(asked)
    mark = mark_of(asked.query.get("after", ""), int, int, int) or mark_of(
        asked.query.get("after", ""), int, int, str
    )
    with reading(asked) as ledger:
        lives = ledger.enrollments.lives(who)[::-1]
        story = ledger.faces.story(who, limit=_STORY, after=_place(mark))
    standing = _why(who, asked)
    here = _path(who, lives)
    return Shown(
        "person.html",
        {
            "email": lives[0].enrollment.email if lives else who,
            "lives": lives,
            "living": any(life.enrollment.state in STOP.sources for life in lives),
            "standing": standing,
            "resumes": rehearse(who, store=asked.office.store, clock=asked.office.clock),
            "variables": _variables(lives),
            "story": [told(note) for note in story.notes],
            "sequences": {life.enrollment.id: life.enrollment.sequence for life in lives},
            "path": here,
            "next": f"{here}?after={onward}#story" if (onward := word_of(story.next)) else None,
            "first": f"{here}#story" if mark else None,
        },
    )


def _who(asked: Asked) -> str:
    """By an enrollment's id, or by an address. Raises NotFound for somebody of whom nobody here has heard."""
    said = asked.path["who"][:_LONGEST]
    with reading(asked) as ledger:
        if "@" not in said:
            found = ledger.faces.contact_of(said)
            if found is None:
                raise NotFound(f'Nobody here is called "{said}". Look for them by their address.')
            return found
        person = contact(said)
        known = ledger.enrollments.lives(person) or ledger.faces.knows(person)
        if not known and ledger.views.suppressed_since(person) is None:
            raise NotFound(
                f"Nobody here has ever written to {said}. Whoever is enrolled has a page of their own."
            )
    return person


def _why(who: str, asked: Asked) -> Why | None:
    """None: they are in no sequence, and never were."""
    try:
        return why(who, store=asked.office.store, clock=asked.office.clock)
    except NotFound:
        return None


def _place(mark: tuple[int | str, ...] | None) -> Place | None:
    return None if mark is None else (int(mark[0]), int(mark[1]), mark[2])


def _path(who: str, lives: list[Life]) -> str:
    return f"/people/{quote(lives[0].enrollment.id if lives else who, safe='@')}"


def _variables(lives: list[Life]) -> list[tuple[str, str]]:
    """What is known of them: what was said last counts."""
    known: dict[str, str] = {}
    for life in reversed(lives):
        known |= life.enrollment.variables
    return sorted(known.items())


# --- what can be done ---


def halt(asked: Asked) -> Answer:
    who = _who(asked)
    receipt = stop(who, by=asked.reviewer.id, store=asked.office.store, clock=asked.office.clock)
    return Went(_back(asked, who), f"Stopped. {_receipt(receipt, asked)}")


def go_on(asked: Asked) -> Answer:
    who = _who(asked)
    resumed = resume(who, by=asked.reviewer.id, store=asked.office.store, clock=asked.office.clock)
    with reading(asked) as ledger:
        dates = [
            _then(ledger.enrollments.get(each.enrollment_id), each.waits_for, ledger, asked)
            for each in resumed
        ]
    return Went(_back(asked, who), " ".join(dates))


def never_again(asked: Asked) -> Answer:
    who = _who(asked)
    reason = " ".join(asked.said("why").split())
    if not reason:
        raise Invalid(Issue(("why",), "say why, in a few words: whoever finds this later will want to know"))
    if len(reason) > _MOST_WORDS:
        raise Invalid(Issue(("why",), f"that are {len(reason)} letters; {_MOST_WORDS} are the most"))
    receipt = suppress(
        who, why=reason, by=asked.reviewer.id, store=asked.office.store, clock=asked.office.clock
    )
    return Went(_back(asked, who), f"Nobody here writes to {who} again. {_receipt(receipt, asked)}")


def _back(asked: Asked, who: str) -> str:
    with reading(asked) as ledger:
        return _path(who, ledger.enrollments.lives(who)[::-1])


def _receipt(receipt: Receipt, asked: Asked) -> str:
    """What it did, in numbers."""
    done = f"{plural(receipt.people, 'enrollment')} stopped, {plural(receipt.drafts, 'letter')} cancelled"
    left = (
        f"{receipt.already_leaving} were already leaving and may still arrive"
        if receipt.already_leaving
        else "none was leaving"
    )
    return f"{done}, {left}; {_at(receipt.held_at, asked)}."


def _then(life: Enrollment, waits_for: str | None, ledger: Ledger, asked: Asked) -> str:
    pending = ledger.drafts.of(life.id)
    if waits_for:
        return f"{life.sequence}: still waits for {waits_for}."
    if pending is None:
        return f"{life.sequence}: goes on."
    held = ", once somebody says yes" if pending.state == DraftState.HELD else ""
    return (
        f"{life.sequence}: goes on, the next letter on {_at(max(pending.send_at, asked.now), asked)}{held}."
    )


def _at(moment: datetime, asked: Asked) -> str:
    return when(moment, asked.zone)


_ONE = "/people/{who}"
DOORS: tuple[Door, ...] = (
    Door(method="GET", path="/people", handler=everybody, name="people"),
    Door(method="GET", path=_ONE, handler=somebody, name="person"),
    Door(method="POST", path=f"{_ONE}/stop", handler=halt, name="person.stop", role="reviewer"),
    Door(method="POST", path=f"{_ONE}/resume", handler=go_on, name="person.resume", role="reviewer"),
    Door(
        method="POST", path=f"{_ONE}/suppress", handler=never_again, name="person.suppress", role="reviewer"
    ),
)
