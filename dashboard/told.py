"""What stands in the log, in the words of people who did not write it. Pure."""

from dataclasses import dataclass

from dashboard.show import word
from engine.states import HoldReason, StopReason
from engine.store.faces import Note

_DRAFT = {
    "create": "A letter was planned",
    "approve": "A letter got its yes",
    "submit": "A letter waits for a yes",
    "wake": "A letter woke up",
    "redate": "A letter got another hour",
    "reschedule": "A letter got another hour",
    "edit": "A letter was reworded",
    "hold": "A letter is held",
    "claim": "A worker took a letter",
    "gate": "A letter passed the gate",
    "put back": "A letter waits for another try",
    "settle": "A letter left",
    "found": "A letter was found to have left",
    "give up": "A letter was refused",
    "doubt": "A letter may have left: nobody knows",
    "disprove": "A letter did not leave after all",
    "retry": "A letter is tried again",
    "cancel": "A letter was cancelled",
    "withdraw": "A letter was called back in time",
    "schedule": "A letter got its hour",
    "unschedule": "A letter lost its hour",
    "take": "A letter is sent at once",
}
_ENROLLMENT = {
    "create": "Entered a sequence",
    "pause": "Paused",
    "resume": "Goes on",
    "finish": "Everything was said",
    "stop": "Stopped",
    "revise": "Goes on by another version of the sequence",
    "label": "The answer was labelled",
}
_ERRAND = {
    "end": "A task was done",
    "retry": "A call is tried again",
    "leave to a human": "A call has failed",
}
_LOG = {
    f"{table}: {what}": said
    for table, words in (("draft", _DRAFT), ("enrollment", _ENROLLMENT), ("errand", _ERRAND))
    for what, said in words.items()
}
_GIVEN = {
    "task": "A task was given",
    "notice": "Somebody was told",
    "webhook": "A webhook is called",
    "enter": "Enters another sequence",
    "skipped": "A letter was skipped",
}
_DONE = {
    "task": "A task was done",
    "skipped": "The sequence goes on without a letter",
}
#: What a mailbox notes from which nothing leaves: the whole house says so.
_CAPTURED = "captured"
_WHY = {StopReason.BY_HAND.value: "somebody here said so"}
_VERDICTS = {
    "approved": "A reviewer said yes",
    "rejected": "A reviewer said no",
    "withdrawn": "A reviewer took the yes back",
    "edited": "A reviewer reworded it",
    "expired": "Nobody said yes in time",
    "rescheduled": "A reviewer chose another hour",
}
#: What every letter goes through, and nobody asks about.
_BESIDE = {"draft: claim", "draft: gate", "draft: put back"}


@dataclass(frozen=True, slots=True)
class Told:
    """One line of somebody's story."""

    note: Note
    title: str
    why: str | None
    beside: bool  #: it is shown small


def told(note: Note) -> Told:
    return Told(note, _title(note), _why(note), note.what in _BESIDE)


def _why(note: Note) -> str | None:
    """A reason of ours is one word; what people wrote stays as it is. What the title says already is left out."""
    if note.kind == "decided" and note.what == "draft: settle" and note.why == _CAPTURED:
        return None
    if _is_a_no(note):
        return (note.why or "").partition(":")[2].strip() or None
    if note.why is None or note.kind != "decided" or " " in note.why:
        return note.why
    return _WHY.get(note.why, word(note.why))


def _is_a_no(note: Note) -> bool:
    """Somebody's own words may stand behind the reason."""
    said = (note.why or "").partition(":")[0]
    return note.kind == "decided" and note.what == "draft: submit" and said == HoldReason.REJECTED


def _title(note: Note) -> str:
    match note.kind:
        case "decided" if _is_a_no(note):
            return "A letter was rejected"
        case "decided":
            return _LOG.get(note.what, note.what)
        case "letter":
            return "We wrote" if note.what == "sent" else "They wrote"
        case "reviewed":
            return _VERDICTS.get(note.what, f"A reviewer: {word(note.what)}")
        case "given":
            return _GIVEN.get(note.what, f"{word(note.what)} was begun")
        case "done":
            return _DONE.get(note.what, f"{word(note.what)} is over")
        case "away":
            return "They are away"
        case _:
            return f"Something happened: {note.what}"
