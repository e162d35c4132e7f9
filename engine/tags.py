"""What letters and conversations are called: by people, who may say what they like, and by the house, which says what happened. Pure."""

import re
import unicodedata
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from engine.errors import Invalid, Issue
from engine.ids import FOLLOW_UP
from engine.model import Hidden
from engine.states import StopReason

#: They say what happened to a letter; only what happened makes them true.
STATED = frozenset(
    "received sent delivered bounced complained delayed rejected opened scheduled held".split()  # noqa: SIM905
)
#: Before the label that names the draft which a letter was.
DRAFT = "draft:"
#: Whatever is called so is shown only to those who ask for it. Of several, the first says why.
CLASSES: tuple[Hidden, ...] = ("trash", "blocked", "spam", "unauthenticated")

#: Before the label that a follow-up leaves behind when somebody answered before it left.

_FAILED = frozenset(f"failed:{reason}" for reason in StopReason)  # counted: too many, and a sequence pauses
_DRAFT_ID = re.compile(r"drf_[0-9a-hjkmnp-tv-z]{24}")
_LONGEST = 256
_UNSEEN = frozenset({"Cc", "Cs"})


@dataclass(frozen=True, slots=True)
class Relabelling:
    """What something is called from now on besides, and what no more."""

    add: tuple[str, ...]
    remove: tuple[str, ...]

    def applied(self, labels: Iterable[str]) -> tuple[str, ...]:
        found = dict.fromkeys((*labels, *self.add))
        return tuple(label for label in found if label not in self.remove)

    @property
    def hides(self) -> bool:
        """Or shows what was hidden."""
        return not set(CLASSES).isdisjoint((*self.add, *self.remove))


def relabelling(add: Iterable[str], remove: Iterable[str]) -> Relabelling:
    """What is to be both added and removed is removed. Raises Invalid."""
    gone = _read(remove, "remove_labels")
    new = [label for label in _read(add, "add_labels") if label not in gone]
    for number, label in enumerate(new):
        if label.startswith(FOLLOW_UP) and not _DRAFT_ID.fullmatch(named(label)):
            # whoever cancels by the label deletes what it names
            raise Invalid(
                Issue(
                    ("add_labels", number), f"{FOLLOW_UP} is followed by the id of a draft; found {label!r}"
                )
            )
    return Relabelling(tuple(new), gone)


def follow_ups(labels: Iterable[str]) -> list[str]:
    """The drafts that these labels name."""
    return [named(label) for label in labels if label.startswith(FOLLOW_UP)]


def named(label: str) -> str:
    """The draft that this label names."""
    return label.removeprefix(FOLLOW_UP)


def why_hidden(labels: Collection[str]) -> Hidden | None:
    return next((label for label in CLASSES if label in labels), None)


def _read(labels: Iterable[str], field: str) -> tuple[str, ...]:
    folded = [label.strip().lower() for label in labels]
    for number, label in enumerate(folded):
        if why := _refused(label):
            raise Invalid(Issue((field, number), why))
    return tuple(dict.fromkeys(folded))


def _refused(label: str) -> str | None:
    if label in STATED or label in _FAILED or label.startswith(DRAFT):
        return f"the label {label} says what happened: nobody adds or removes it"
    if not label or len(label) > _LONGEST or any(unicodedata.category(sign) in _UNSEEN for sign in label):
        return f"a label has 1 to {_LONGEST} characters that can be seen"
    return None
