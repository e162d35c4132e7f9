"""Sequences: how each step fares, which versions there are, what an edit would do, and the brake for one of them."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Literal
from urllib.parse import quote

from dashboard.counted import Known
from dashboard.frame import Answer, Asked, Door, SequenceFile, Shown, Went, reading
from dashboard.funnel import Contender, Contest, Line, bars, lines, rough, widest
from dashboard.show import plural
from engine import canary, revise
from engine.advance import POSITIVE, winners_of
from engine.brake import OF_A_SEQUENCE, SEQUENCE_STOPPED, Receipt, stop_sequence
from engine.errors import NotFound, Refused
from engine.odds import odds
from engine.resume import resume_sequence
from engine.revise import Change, Fate, Revision
from engine.sequence import Sequence as Spoken
from engine.sequence import Step
from engine.states import EnrollmentState
from engine.store import Ledger
from engine.store.funnels import Crowd, Kept, Stage
from engine.winner import Score

#: More people than this are not planned anew for somebody who looks at a page: `relent plan` does that.
_MOST_PLANNED = 20_000
_SOME = 5
_LONG_ENOUGH = 8.0  #: seconds; who is paused then goes on at the next click

OnDisk = Literal["same", "differs", "new", "wrong", "gone", "twice"]

_DISK_WORDS: Mapping[OnDisk, str] = {
    "same": "as it runs",
    "differs": "says something else",
    "new": "not used yet",
    "wrong": "has mistakes",
    "gone": "not in the folder",
    "twice": "stands in two files",
}
_DISK_STATES: Mapping[OnDisk, str] = {
    "same": "done",
    "differs": "changed",
    "new": "draft",
    "wrong": "failed",
    "gone": "quiet",
    "twice": "failed",
}

_FATES: Mapping[Fate, tuple[str, str]] = {
    Fate.TWICE: (
        "Refused",
        "They would be told the same twice. While there is anybody here, nothing is applied.",
    ),
    Fate.APPROVAL_VOID: ("Lose their approval", "Another hour, after a human's yes: held for a new one."),
    Fate.REDATED: ("Re-dated", "The same words at another hour."),
    Fate.HELD: ("Held", "What is pending still goes; then nothing, until what the file needs is there."),
    Fate.STEP_GONE: (
        "Step gone",
        "What is pending is gone from the file. It still goes; what comes next is new.",
    ),
    Fate.FINISHES: ("Finish", "Nothing is left for them after what is pending."),
    Fate.GOES_ON: ("Go on", "What they were paused for is not needed any more."),
    Fate.UNTOUCHED: ("Untouched", "What is pending keeps its words and its hour."),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class People:
    """Who is in a sequence, or in one version of it."""

    active: int = 0
    paused: int = 0
    stopped: int = 0
    finished: int = 0
    together: int = 0  #: of the paused: for a reason for which everybody is

    @property
    def all(self) -> int:
        return self.active + self.paused + self.stopped + self.finished

    @property
    def in_flight(self) -> int:
        return self.active + self.paused


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A sequence, in a list of them."""

    name: str
    href: str
    people: People | None  #: None: not counted yet
    versions: int
    disk: OnDisk
    disk_words: str
    disk_state: str
    file: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """A version, and who is on it."""

    kept: Kept
    people: People
    on_disk: bool
    href: str
    shown: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Those to whom an edit does the same."""

    title: str
    words: str
    number: int
    some: tuple[Change, ...]
    reasons: tuple[tuple[str, int], ...]
    bad: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What an edit would do, in short: all of it need not be remembered."""

    token: str
    version: str
    people: int
    refusal: str | None
    groups: tuple[Group, ...]
    keep_words: int = 0  #: letters that wait, and whose step the file says in other words now


@dataclass(frozen=True, slots=True, kw_only=True)
class Fares:
    """How a sequence fares, counted."""

    stages: tuple[Stage, ...]
    scores: Mapping[str, tuple[Score, ...]]  #: by step, of those that have several ways
    winners: Mapping[str, str]  #: by step, the way that everybody gets from now on


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What is known of a sequence: its file, its versions, and the one that is shown."""

    name: str
    file: SequenceFile | None
    others: tuple[SequenceFile, ...]  #: more files that say they are it
    versions: tuple[Kept, ...]
    shown: Spoken | None

    @property
    def disk(self) -> OnDisk:
        return _disk((self.file, *self.others) if self.file else (), self.versions)


# --- all of them ---


def everything(asked: Asked) -> Answer:
    files = _by_name(asked.office.sequences())
    with reading(asked) as ledger:
        kept = [each for each in ledger.funnels.versions() if each.sequence != _HERS]
    versions: dict[str, list[Kept]] = {}
    for each in kept:
        versions.setdefault(each.sequence, []).append(each)
    counted = _people(asked)
    names = sorted({*files, *versions}, key=lambda name: (name.casefold(), name))
    rows = [_row(name, files.get(name, ()), versions.get(name, []), counted) for name in names]
    context = {"rows": rows, "as_of": counted.as_of, "folder": asked.office.folder}
    return Shown("sequences.html", context)


_HERS = canary.sequence().name
_PEOPLE = "people by sequence"


def _row(
    name: str, files: Sequence[SequenceFile], versions: Sequence[Kept], counted: Known[list[Crowd]]
) -> Row:
    file = files[0] if files else None
    disk = _disk(files, versions)
    people = (
        None if counted.value is None else _gathered(each for each in counted.value if each.sequence == name)
    )
    return Row(
        name=name,
        href=href(name),
        people=people,
        versions=len(versions),
        disk=disk,
        disk_words=_DISK_WORDS[disk],
        disk_state=_DISK_STATES[disk],
        file=file.file if file else None,
    )


def href(name: str) -> str:
    """Whatever a sequence is called, its page has one address."""
    return f"/sequences/{quote(name, safe='')}"


def _by_name(files: Iterable[SequenceFile]) -> dict[str, tuple[SequenceFile, ...]]:
    """Two files may say that they are one sequence: those that can be read come first."""
    found: dict[str, list[SequenceFile]] = {}
    for each in files:
        found.setdefault(each.name, []).append(each)
    return {name: tuple(sorted(some, key=lambda each: each.sequence is None)) for name, some in found.items()}


def _disk(files: Sequence[SequenceFile], versions: Sequence[Kept]) -> OnDisk:
    if not files:
        return "gone"
    file = files[0]
    if file.sequence is None:
        return "wrong"
    if any(each.sequence for each in files[1:]):
        return "twice"  # nobody can say which of them is meant
    if not versions:
        return "new"
    return "same" if versions[0].version == file.sequence.version else "differs"


def _people(asked: Asked) -> Known[list[Crowd]]:
    """One count for all pages that ask for it."""

    def count() -> list[Crowd]:
        with reading(asked) as ledger:
            return ledger.funnels.people(OF_A_SEQUENCE)

    return asked.office.counted.see(_PEOPLE, count)


def _moved(asked: Asked, name: str) -> None:
    """Whoever has just stopped a sequence wants to see that it is."""
    asked.office.counted.forget(_PEOPLE, f"paused {name}")


def _gathered(crowds: Iterable[Crowd]) -> People:
    numbers: Counter[str] = Counter()
    for each in crowds:
        numbers[each.state] += each.number
        numbers["together"] += each.number if each.together else 0
    return People(
        active=numbers[EnrollmentState.ACTIVE],
        paused=numbers[EnrollmentState.PAUSED],
        stopped=numbers[EnrollmentState.STOPPED],
        finished=numbers[EnrollmentState.FINISHED],
        together=numbers["together"],
    )


# --- one of them ---


def one(asked: Asked) -> Answer:
    with reading(asked) as ledger:
        known = _known(asked, ledger)
    crowds, fares = _people(asked), _fares(asked, known)
    theirs = [each for each in crowds.value or () if each.sequence == known.name]
    stages = fares.value.stages if fares.value else ()
    shown = bars(known.shown, stages)
    people = None if crowds.value is None else _gathered(theirs)
    context = {
        "name": known.name,
        "href": href(known.name),
        "file": known.file,
        "others": known.others,
        "disk": known.disk,
        "disk_words": _DISK_WORDS[known.disk],
        "disk_state": _DISK_STATES[known.disk],
        "sequence": known.shown,
        "lines": _lines(known.shown),
        "bars": shown,
        "scale": widest(shown),
        "counted": fares.value is not None,
        "as_of": fares.as_of,
        "people": people,
        "people_as_of": crowds.as_of,
        "versions": _versions(known, theirs),
        "contests": _contests(known.shown, fares.value),
        "paused_for": _paused_for(asked, known.name, people),
        "rough": rough,
    }
    return Shown("sequence.html", context)


def _known(asked: Asked, ledger: Ledger) -> Subject:
    """Raises NotFound for what is neither in the folder nor in the books."""
    name = asked.path["name"]
    files = _by_name(asked.office.sequences()).get(name, ())
    versions = tuple(ledger.funnels.versions(name)) if name != _HERS else ()
    if not files and not versions:
        raise NotFound(
            "There is no sequence of that name: neither a file in the folder, nor anybody who was ever in it."
        )
    file = files[0] if files else None
    wanted = asked.query.get("version", "")
    known = {each.version for each in versions}
    if wanted and wanted not in known:
        raise NotFound("There is no such version of this sequence.")
    chosen = wanted or (versions[0].version if versions else "")
    shown = ledger.enrollments.version(chosen) if chosen else (file.sequence if file else None)
    return Subject(name=name, file=file, others=files[1:], versions=versions, shown=shown)


def _lines(shown: Spoken | None) -> list[Line]:
    return lines(shown) if shown else []


def _fares(asked: Asked, known: Subject) -> Known[Fares]:
    several = [step for step in known.shown.every_step() if step.variants] if known.shown else []

    def count() -> Fares:
        with reading(asked) as ledger:
            return Fares(
                stages=tuple(ledger.funnels.of(known.name)),
                scores={step.id: _scores(known.name, step, ledger) for step in several},
                winners=winners_of(known.shown, ledger) if known.shown and several else {},
            )

    version = known.shown.version if known.shown else ""
    return asked.office.counted.see(f"funnel {version} {known.name}", count)


def _paused_for(asked: Asked, name: str, people: People | None) -> str | None:
    """Why everybody in it is paused, if somebody is."""
    if people is None or not people.together:
        return None

    def find() -> str | None:
        with reading(asked) as ledger:
            first = ledger.enrollments.paused_in(name, OF_A_SEQUENCE, after="", at_most=1)
        return first[0].enrollment.reason if first else None

    why = asked.office.counted.see(f"paused {name}", find).value
    return "somebody stopped it" if why == SEQUENCE_STOPPED else why


def _scores(name: str, step: Step, ledger: Ledger) -> tuple[Score, ...]:
    """As the house itself counts them when it looks for the best."""
    positive = step.winner is not None and step.winner.by == "positive_reply"
    return tuple(ledger.enrollments.scores(name, step.id, POSITIVE if positive else None))


def _contests(shown: Spoken | None, fares: Fares | None) -> list[Contest]:
    if shown is None or fares is None:
        return []
    return [
        _contest(step, fares.scores.get(step.id, ()), fares.winners.get(step.id))
        for step in shown.every_step()
        if step.variants
    ]


def _contest(step: Step, scores: Sequence[Score], best: str | None) -> Contest:
    by_name = {score.variant: score for score in scores}
    weights = sum(each.weight for each in step.ways)
    ways = [
        Contender(
            name=each.id or "",
            share_of=f"{each.weight / weights:.0%}",
            subject=each.subject,
            sent=(score := by_name.get(each.id or "", Score(each.id or "", 0, 0))).sent,
            replied=odds(score.won, score.sent),
        )
        for each in step.ways
    ]
    rule = "No winner is looked for: the file has no winner rule for this step."
    if step.winner is not None:
        what = "positive replies" if step.winner.by == "positive_reply" else "replies"
        rule = (
            f"The one with most {what} wins, once each was sent {step.winner.min_sent:,} times "
            f"and it is {step.winner.confidence:.1%} certain."
        )
    return Contest(step=step.id, rule=rule, best=best, ways=tuple(ways))


def _versions(known: Subject, crowds: Sequence[Crowd]) -> list[Version]:
    on_disk = known.file.sequence.version if known.file and known.file.sequence else None
    shown = known.shown.version if known.shown else None
    return [
        Version(
            kept=each,
            people=_gathered(crowd for crowd in crowds if crowd.version == each.version),
            on_disk=each.version == on_disk,
            href=f"{href(known.name)}?version={each.version}",
            shown=each.version == shown,
        )
        for each in known.versions
    ]


# --- what an edit would do ---


def plan(asked: Asked) -> Answer:
    with reading(asked) as ledger:
        known = _known(asked, ledger)
    context: dict[str, object] = {
        "name": known.name,
        "href": href(known.name),
        "file": known.file,
        "others": known.others,
        "disk": known.disk,
        "outlook": None,
        "as_of": None,
        "too_many": 0,
        "waiting": False,
    }
    if known.file is None or known.file.sequence is None or known.disk == "twice":
        return Shown("sequence_plan.html", context)
    seen = _look(asked, known.file.sequence)
    if isinstance(seen.value, int):
        context["too_many"] = seen.value
    else:
        context |= {"outlook": seen.value, "as_of": seen.as_of, "waiting": seen.value is None}
    return Shown("sequence_plan.html", context)


def _look(asked: Asked, sequence: Spoken) -> Known[Outlook | int]:
    """What it would do; or how many people they are, when they are too many for a page."""
    store, clock = asked.office.store, asked.office.clock

    def work_out() -> Outlook | int:
        with reading(asked) as ledger:
            number = ledger.funnels.in_flight_elsewhere(sequence.name, sequence.version)
        if number > _MOST_PLANNED:
            return number
        return outlook(revise.look(sequence, store=store, clock=clock))

    return asked.office.counted.see(f"plan {sequence.version} {sequence.name}", work_out)


def outlook(revision: Revision) -> Outlook:
    """In short."""
    groups = [(fate, changes) for fate in _FATES if (changes := revision.of(fate))]
    return Outlook(
        token=revision.token,
        version=revision.version,
        people=len(revision.changes),
        refusal=revision.refusal,
        groups=tuple(_group(fate, changes) for fate, changes in groups),
        keep_words=sum(each.reworded for each in revision.changes),
    )


def _group(fate: Fate, changes: Sequence[Change]) -> Group:
    title, words = _FATES[fate]
    reasons = Counter(each.why for each in changes if each.why)
    return Group(
        title=title,
        words=words,
        number=len(changes),
        some=tuple(changes[:_SOME]),
        reasons=tuple(reasons.most_common(_SOME)),
        bad=fate in (Fate.TWICE, Fate.APPROVAL_VOID),
    )


def apply(asked: Asked) -> Answer:
    """What was shown, and nothing else: the plan is worked out once more, and must be the same."""
    with reading(asked) as ledger:
        known = _known(asked, ledger)
    if known.file is None or known.file.sequence is None:
        raise Refused("The file cannot be read as it is now, so nothing was applied.")
    if known.disk == "twice":
        raise Refused(
            "Two files say that they are this sequence: give one of them a name of its own. Nothing was applied."
        )
    office = asked.office
    try:
        done = revise.apply(
            known.file.sequence,
            asked.said("plan"),
            by=asked.member.email,
            store=office.store,
            clock=office.clock,
        )
    except Refused as error:
        return Went(f"{href(known.name)}/plan", f"Nothing was applied. {_for_a_page(str(error))}", "bad")
    _moved(asked, known.name)
    moved = sum(done.counts.values())
    words = f"Version {done.version[:8]} is the one for everybody from now on: {plural(moved, 'person', 'people')} moved to it."
    if done.left:
        words += f" {plural(len(done.left), 'person was', 'people were')} moving just then and kept theirs: look again."
    return Went(href(known.name), words)


def _for_a_page(words: str) -> str:
    return (
        words.replace("Run relent plan again", "Look at what it would do now, and apply that").rstrip(".")
        + "."
    )


# --- the brake for one sequence ---


def stop(asked: Asked) -> Answer:
    name, office = asked.path["name"], asked.office
    receipt = stop_sequence(
        name,
        by=asked.member.email,
        store=office.store,
        clock=office.clock,
        gate_deadline=office.pace.gate_deadline,
    )
    _moved(asked, name)
    return Went(href(name), _in_words(receipt), "bad" if receipt.left else "good")


def _in_words(receipt: Receipt) -> str:
    left = (
        f" {plural(receipt.left, 'letter')} had passed the gate, and it is not known yet whether it left: look at Today."
        if receipt.left
        else ""
    )
    return (
        f"Stopped at {receipt.held_at:%H:%M:%S} UTC. {plural(receipt.people, 'person', 'people')} paused, "
        f"{plural(receipt.drafts, 'letter')} held back; already gone: {receipt.already_leaving:,}; "
        f"still in the air: {receipt.left:,}.{left}"
    )


def resume(asked: Asked) -> Answer:
    """Everybody whom it was that paused. Who waits for something of their own goes on waiting."""
    name, office = asked.path["name"], asked.office
    begun, on, waits, over = monotonic(), 0, 0, True
    for each in resume_sequence(name, by=asked.member.email, store=office.store, clock=office.clock):
        on, waits = on + (each.waits_for is None), waits + (each.waits_for is not None)
        if monotonic() - begun > _LONG_ENOUGH:
            over = False
            break
    words = (
        f"{plural(on, 'person goes', 'people go')} on: what comes next is planned anew, nothing bursts out."
    )
    if not on and not waits:
        words = "Nobody in it was paused as a whole."
    if waits:
        words += f" {plural(waits, 'person waits', 'people wait')} for something of their own."
    if not over:
        words += " There are more of them: resume once more."
    return Went(href(name), words)


DOORS = (
    Door("GET", "/sequences", everything, name="sequences"),
    Door("GET", "/sequences/{name}", one, name="sequence"),
    Door("GET", "/sequences/{name}/plan", plan, name="sequence.plan"),
    Door("POST", "/sequences/{name}/apply", apply, name="sequence.apply", role="admin"),
    Door("POST", "/sequences/{name}/stop", stop, name="sequence.stop", role="reviewer"),
    Door("POST", "/sequences/{name}/resume", resume, name="sequence.resume", role="reviewer"),
)
