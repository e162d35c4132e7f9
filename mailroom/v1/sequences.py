"""Sequences: what the files say now, what was kept of them, and by which of the two somebody is enrolled."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import cast

from engine.addresses import contact
from engine.brake import refuse_unknown
from engine.enroll import senders
from engine.errors import NotFound, Refused
from engine.sequence import Sequence
from engine.store import Ledger
from engine.store.overview import Kept
from mailroom.api.frame import Asked, Endpoint, OnFile, reading
from mailroom.v1 import wire
from mailroom.v1.scope import is_theirs


@dataclass(slots=True)
class _Known:
    """All that is known of one name."""

    kept: list[Kept] = field(default_factory=list)  #: the newest first
    file: OnFile | None = None


def wanted(asked: Asked, name: str, version: str | None) -> OnFile:
    """By which somebody is enrolled: as the file says it now; where there is none, as it was last kept.

    `version`: this one and no other. Raises NotFound; Refused when it is another by now.
    """
    with reading(asked) as ledger:
        known = _known(asked, ledger)
        refuse_unknown(name, _theirs(known, asked, ledger))
        found = _says(known[name], ledger, version)
    if found is None:
        raise Refused(
            f'"{name}" is another version by now: look at GET /v1/sequences, and say which you mean'
        )
    return found


def page(asked: Asked) -> wire.V1Sequences:
    with reading(asked) as ledger:
        known = _known(asked, ledger)
        names = sorted(_theirs(known, asked, ledger))
        shown = [_shown(name, known[name], asked, ledger) for name in names]
    return {"count": len(shown), "sequences": shown}


def get(asked: Asked) -> wire.V1SequenceWhole:
    name = asked.id("name")
    with reading(asked) as ledger:
        known = _known(asked, ledger, name)
        if name not in known or not _writes_from_theirs(known[name], asked, ledger):
            raise NotFound(f'There is no sequence called "{name}".')
        says = _says(known[name], ledger)
        found = {
            **_shown(name, known[name], asked, ledger),
            "versions": [
                {"version": each.version, "kept_at": wire.moment(each.created_at)}
                for each in known[name].kept
            ],
            "says": says.sequence.dump() if says else {},
        }
    return cast("wire.V1SequenceWhole", found)


def _known(asked: Asked, ledger: Ledger, name: str | None = None) -> dict[str, _Known]:
    found: dict[str, _Known] = {}
    for kept in ledger.overview.versions(name):
        found.setdefault(kept.name, _Known()).kept.append(kept)
    for file in asked.desk.sequences():
        if name in (None, file.sequence.name):
            found.setdefault(file.sequence.name, _Known()).file = file
    return found


def _says(known: _Known, ledger: Ledger, version: str | None = None) -> OnFile | None:
    """None: of a newer Relent; or it is not the version that is asked for."""
    if known.file is not None and version in (None, known.file.sequence.version):
        return known.file
    kept = next((each for each in known.kept if version in (None, each.version)), None)
    try:
        return OnFile(sequence=ledger.enrollments.version(kept.version)) if kept else None
    except ValueError:
        return None


def _theirs(known: Mapping[str, _Known], asked: Asked, ledger: Ledger) -> list[str]:
    return [name for name, each in known.items() if _writes_from_theirs(each, asked, ledger)]


def _writes_from_theirs(known: _Known, asked: Asked, ledger: Ledger) -> bool:
    """Whoever's key ends at an inbox knows of what is written from there, and from nowhere else."""
    if asked.caller.scope == "organization":
        return True
    found = _says(known, ledger)
    inboxes = _senders(found.sequence, asked) if found else []
    return bool(inboxes) and all(is_theirs(asked, contact(each), ledger) for each in inboxes)


def _senders(sequence: Sequence, asked: Asked) -> list[str]:
    try:
        return list(senders(sequence, asked.desk.pools))
    except Refused:  # a pool that nobody has filled
        return []


def _shown(name: str, known: _Known, asked: Asked, ledger: Ledger) -> wire.V1Sequence:
    found = _says(known, ledger)
    sequence = found.sequence if found else None
    newest = next(iter(known.kept), None)
    steps = sequence.approval.steps if sequence else "none"
    return {
        "name": name,
        "version": newest.version if newest else None,
        "kept_at": wire.moment(newest.created_at) if newest else None,
        "file_version": known.file.sequence.version if known.file else None,
        "senders": _senders(sequence, asked) if sequence else [],
        "approval": steps if isinstance(steps, str) else _listed(steps),
        "may_say_yes": list(sequence.approval.by) if sequence else [],
        "steps": sum(1 for _ in sequence.every_step()) if sequence else 0,
    }


def _listed(steps: Iterable[str]) -> list[str]:
    return list(steps)


ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/v1/sequences",
        handler=page,
        name="v1_sequences.list",
        summary="Every sequence that a file has, or by which somebody was enrolled.",
        needs="draft_read",
        answers=wire.V1Sequences,
    ),
    Endpoint(
        method="GET",
        path="/v1/sequences/{name}",
        handler=get,
        name="v1_sequences.get",
        summary="One, with all its versions and what it says now.",
        needs="draft_read",
        answers=wire.V1SequenceWhole,
    ),
)
