"""The commands of a human's yes: what waits for it and what is to be seen, yes, no, other words, another hour."""

import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, cast
from zoneinfo import ZoneInfo

import typer

from engine import approve as story
from engine.approve import Approved, Reviewer, Seen, Words
from engine.errors import Forbidden, Invalid, NotFound, Refused, Unavailable
from engine.evidence import Evidence, look
from engine.measures import parse_near_instant, parse_zone
from engine.states import HoldReason
from engine.store import Ledger, Store
from engine.store.queue import Place, Waiting
from relent import show, show_review
from relent.assemble import SystemClock
from relent.options import AsJson, AsLines, ConfigFile, configured, looking, opened
from relent.show_review import harmless

_ME = "the command line"
_PAGE = 500
_LONGEST = 4_000_000  #: bytes of a file that somebody calls a letter
_SHORTEST_SHA = 12
_THEN = ("pause", "skip", "stop")

DraftId = Annotated[str, typer.Argument(help="A draft, as `relent review` names it.", metavar="ID")]
Whose = Annotated[
    list[str] | None,
    typer.Option(
        "--as",
        help="Whose word it is: kim@acme.example, or team:sales. Several may be said.",
        show_default=False,
    ),
]
Sha = Annotated[
    str | None,
    typer.Option(help="Only if it still says what has this content_sha.", metavar="SHA", show_default=False),
]


def register(app: typer.Typer) -> None:
    for name, command in (
        ("review", review),
        ("approve", approve),
        ("reject", reject),
        ("edit", edit),
        ("send-now", send_now),
        ("reschedule", reschedule),
        ("withdraw", withdraw),
    ):
        app.command(name)(command)


# --- what waits ---


def review(
    context: typer.Context,
    draft_id: Annotated[
        str | None,
        typer.Argument(
            help="One of them: all that is to be seen before a yes. [default: a list]",
            metavar="ID",
            show_default=False,
        ),
    ] = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
    as_lines: AsLines = False,
) -> None:
    """What waits for a human's yes, the odd ones first; or one of them, with all that is to be seen."""
    settings = configured(context, config)
    if draft_id is None:
        with looking(settings) as ledger:
            show.as_list(
                map(_row, _waiting(ledger)),
                ("draft_id", "to", "subject", "send_at", "look_at"),
                as_json=as_json,
                as_lines=as_lines,
                for_people=_briefly,
                empty="nothing waits for anybody's yes",
            )
        return
    with opened(settings, looks_only=True) as store:
        seen = look(draft_id, store=store, clock=SystemClock())
    if as_json or as_lines:
        show.as_rows([_seen(seen)], as_lines=True) if as_lines else show.as_json(_seen(seen))
    else:
        show_review.shown(seen)


def _waiting(ledger: Ledger) -> Iterator[Waiting]:
    after: Place | None = None
    while True:
        page = ledger.queue.page(after=after, at_most=_PAGE)
        yield from page.items
        if page.next is None:
            return
        after = page.next


def _row(waiting: Waiting) -> dict[str, Any]:
    return {
        "draft_id": waiting.id,
        "to": waiting.to,
        "name": waiting.name,
        "inbox_id": waiting.inbox_id,
        "sequence": waiting.sequence,
        "step": waiting.step,
        "subject": waiting.subject,
        "preview": waiting.preview,
        "send_at": waiting.send_at,
        "held_for": waiting.outcome,
        "oddities": waiting.oddities,
        "alike": waiting.alike,
        "yes_by": waiting.yes_by,
    }


def _briefly(row: dict[str, Any]) -> dict[str, Any]:
    """What it is held for is worth a word only when it is not a yes alone."""
    why = [f"held: {row['held_for']}"] if row["held_for"] != HoldReason.APPROVAL else []
    told = {name: harmless(row[name]) for name in ("draft_id", "to", "subject")}
    return told | {"send_at": row["send_at"], "look_at": [*why, *map(harmless, row["oddities"])]}


def _seen(seen: Evidence) -> dict[str, Any]:
    draft = seen.draft
    return {
        "draft_id": draft.id,
        "state": draft.state,
        "held_for": draft.outcome,
        "approved_by": draft.approved_by,
        "head": seen.head,
        "zone": seen.zone,
        "template": seen.template,
        "planned": seen.planned,
        "may_say_yes": seen.may_say_yes,
        "yes_by": draft.yes_by,
        "reviews": [
            {"at": each.at, "by": each.by, "verdict": each.verdict, "why": each.why} for each in seen.reviews
        ],
        "conversation": [
            {
                "message_id": each.message_id,
                "direction": each.direction,
                "from": each.sender,
                "timestamp": each.timestamp,
                "subject": each.subject,
                "text": each.text,
            }
            for each in seen.thread
        ],
    } | seen.snapshot()


# --- yes ---


def approve(
    context: typer.Context,
    draft_ids: Annotated[
        list[str] | None,
        typer.Argument(
            help="Drafts that are held, or that were refused.", metavar="ID...", show_default=False
        ),
    ] = None,
    whose: Whose = None,
    sha: Sha = None,
    restored: Annotated[
        bool, typer.Option("--restored", help="All that a restored or copied database holds back.")
    ] = False,
    alike: Annotated[
        str | None,
        typer.Option(
            help="All that wait at this moment and say what this draft says, in the same words, and are not odd.",
            metavar="ID",
            show_default=False,
        ),
    ] = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Let a held draft go, or tell one that was refused to try again."""
    if bool(draft_ids) + restored + (alike is not None) != 1:
        raise typer.BadParameter("name drafts, or say --restored, or --alike with one of them")
    if sha is not None and len(draft_ids or ()) != 1:
        raise typer.BadParameter("--sha is of one draft: name that one alone")
    by = _reviewer(whose)
    with opened(configured(context, config)) as store:
        said = _said(draft_ids or [], sha, restored, alike, by, store)
        if as_json:
            rows = list(said)
            show.as_json(rows)
        else:
            rows = [_tell_yes(each) for each in said]
    if not all(each["approved"] for each in rows):
        raise typer.Exit(1)
    if not rows and not as_json:
        show.say("nothing was held for that")


def _said(
    draft_ids: list[str], sha: str | None, restored: bool, alike: str | None, by: Reviewer, store: Store
) -> Iterator[dict[str, Any]]:
    """Each of them, also who is not approved and why."""
    if restored:
        for one in story.approve_restored(by=by, store=store, clock=SystemClock()):
            yield _yes(one) if isinstance(one, Approved) else _no(one.draft_id, one.why)
    elif alike is not None:
        yield from _alike(alike, by, store)
    for draft_id in draft_ids:
        try:
            with _kindly(f"relent approve {draft_id}", draft_id, store):
                seen = _seen_as(draft_id, sha, store)
                yield _yes(story.approve(draft_id, by=by, seen=seen, store=store, clock=SystemClock()))
        except (Refused, NotFound) as error:
            yield _no(draft_id, str(error))


def _alike(draft_id: str, by: Reviewer, store: Store) -> Iterator[dict[str, Any]]:
    clock = SystemClock()
    draft = look(draft_id, store=store, clock=clock).draft
    if draft.alike is None:
        raise Refused(f"nothing is like {draft_id}: it was reworded, or no sequence wrote it. Name it itself")
    with _kindly(f"relent approve --alike {draft_id}", draft_id, store):
        for one in story.approve_alike(draft.alike, as_of=clock.now(), by=by, store=store, clock=clock):
            yield _yes(one) if isinstance(one, Approved) else _no(one.draft_id, one.why)


def _yes(approved: Approved) -> dict[str, Any]:
    return {"draft_id": approved.draft_id, "approved": True, "send_at": approved.send_at, "why": None}


def _no(draft_id: str, why: str) -> dict[str, Any]:
    return {"draft_id": draft_id, "approved": False, "send_at": None, "why": why}


def _tell_yes(row: dict[str, Any]) -> dict[str, Any]:
    if row["approved"]:
        show.say(f"approved  {row['draft_id']}  {_leaves(row['send_at'])}")
    else:
        show.say(f"left  {row['draft_id']}: {row['why']}", style="red", on=show.complaints)
    return row


def send_now(
    context: typer.Context,
    draft_id: DraftId,
    whose: Whose = None,
    sha: Sha = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """A yes that waits for no hour. Limits and stops count all the same."""
    with opened(configured(context, config)) as store:
        with _kindly(f"relent send-now {draft_id}", draft_id, store):
            seen = _seen_as(draft_id, sha, store)
            done = story.send_now(draft_id, by=_reviewer(whose), seen=seen, store=store, clock=SystemClock())
        _show({"draft_id": draft_id, "send_at": done.send_at}, f"{draft_id}  leaves now", as_json)


def reschedule(
    context: typer.Context,
    draft_id: DraftId,
    when: Annotated[
        list[str],
        typer.Argument(
            help="2026-03-02T09:30+01:00, or 2026-03-02 09:30 Europe/Oslo.",
            metavar="WHEN",
            show_default=False,
        ),
    ],
    whose: Whose = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Another hour for the same words. What waits for a yes goes on waiting for it."""
    at = _hour(" ".join(when))
    with opened(configured(context, config)) as store:
        with _kindly(f"relent reschedule {draft_id} {at:%Y-%m-%dT%H:%M:%SZ}", draft_id, store):
            done = story.reschedule(draft_id, at, by=_reviewer(whose), store=store, clock=SystemClock())
        told = {"draft_id": draft_id, "send_at": done.send_at}
        _show(told, f"{draft_id}  {_leaves(done.send_at)}", as_json)


def withdraw(
    context: typer.Context,
    draft_id: DraftId,
    why: Annotated[str | None, typer.Option(help="For whoever wonders later.", show_default=False)] = None,
    whose: Whose = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Take a yes back while the letter is still here: it waits for another one."""
    with opened(configured(context, config)) as store:
        with _kindly(f"relent withdraw {draft_id}", draft_id, store):
            story.withdraw(draft_id, why=why, by=_reviewer(whose), store=store, clock=SystemClock())
        _show({"draft_id": draft_id, "withdrawn": True}, f"{draft_id}  waits for a yes again", as_json)


# --- no ---


def reject(
    context: typer.Context,
    draft_id: DraftId,
    why: Annotated[str, typer.Option(help="For whoever wonders later.", show_default=False)],
    then: Annotated[
        str,
        typer.Option(
            help="pause: its person waits, until you resume them and reword it. skip: they go on without this "
            "letter. stop: they hear nothing more.",
            metavar="|".join(_THEN),
        ),
    ] = "pause",
    whose: Whose = None,
    sha: Sha = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """No: it does not go as it is."""
    if then not in _THEN:
        raise typer.BadParameter(f'--then "{then}": write {", ".join(_THEN[:-1])} or {_THEN[-1]}')
    with opened(configured(context, config)) as store:
        with _kindly(f"relent reject {draft_id}", draft_id, store):
            done = story.reject(
                draft_id,
                why=why,
                then=cast("story.Then", then),
                by=_reviewer(whose),
                seen=_seen_as(draft_id, sha, store),
                store=store,
                clock=SystemClock(),
            )
        told = {"draft_id": draft_id, "rejected": True, "then": done.then}
        _show(told, f"rejected  {draft_id}: {_NEXT[done.then]}", as_json)


_NEXT: Mapping[str, str] = {
    "pause": "its person waits. `relent resume` goes on, and it can be reworded then",
    "skip": "its person goes on without it",
    "stop": "its person hears nothing more",
}


# --- other words ---


def edit(
    context: typer.Context,
    draft_id: DraftId,
    text: Annotated[
        str | None,
        typer.Option(
            help="A file with the new words, or - for what comes in. [default: $EDITOR]",
            metavar="FILE",
            show_default=False,
        ),
    ] = None,
    subject: Annotated[
        str | None, typer.Option(help="Of the first letter of a conversation only.", show_default=False)
    ] = None,
    yes: Annotated[bool, typer.Option("--approve", help="It may leave with these words.")] = False,
    whose: Whose = None,
    sha: Sha = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Other words. A yes to the old ones was none to these: it waits for one, unless you say --approve."""
    said = _read(text) if text is not None else None
    if said is None and subject is None and not _at_a_terminal():
        raise typer.BadParameter(
            "there is no terminal for an editor: say --text FILE, or --text - and send the words in, or --subject"
        )
    with opened(configured(context, config)) as store:
        seen = _seen_as(draft_id, sha, store)
        if said is None and subject is None:
            shown = look(draft_id, store=store, clock=SystemClock())
            seen = seen or Seen(content_sha=shown.draft.content_sha, head=shown.head)
            said = _in_an_editor(shown.draft.text)
        with _kindly(f"relent edit {draft_id}", draft_id, store):
            done = story.edit(
                draft_id,
                Words(subject=subject, text=said),
                yes=yes,
                by=_reviewer(whose),
                seen=seen,
                store=store,
                clock=SystemClock(),
            )
        told = {
            "draft_id": draft_id,
            "content_sha": done.content_sha,
            "approved": done.approved,
            "send_at": done.send_at,
        }
        ends = _leaves(done.send_at) if done.approved else f"waits for a yes: relent approve {draft_id}"
        _show(told, f"{draft_id}  {ends}", as_json)


def _read(name: str) -> str:
    """Raises BadParameter, with the name of what cannot be read."""
    try:
        if name == "-":
            content = sys.stdin.buffer.read(_LONGEST + 1)
        else:
            with Path(name).open("rb") as file:
                content = file.read(_LONGEST + 1)
        if len(content) > _LONGEST:
            raise typer.BadParameter(f"--text {name}: that is too long for a letter")
        return str(content, "utf-8-sig")
    except UnicodeDecodeError as error:
        raise typer.BadParameter(f"--text {name}: it is not in UTF-8, see byte {error.start}") from None
    except OSError as error:
        raise typer.BadParameter(f"--text {name}: {error.strerror or error}") from None


def _at_a_terminal() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()


def _in_an_editor(text: str) -> str:
    """What somebody made of it. Raises Exit when they changed nothing."""
    editor = shlex.split(os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi")
    with tempfile.TemporaryDirectory(prefix="relent-") as folder:
        file = Path(folder) / "letter.txt"
        file.write_text(text, "utf-8")
        try:
            ended = subprocess.run([*editor, str(file)], check=False).returncode  # noqa: S603 - their own editor
        except OSError as error:
            raise Unavailable(
                f"{editor[0]}: {error.strerror or error}. Set EDITOR, or say --text FILE"
            ) from None
        said = _read(str(file))
    if ended:
        raise Unavailable(f"{editor[0]} ended with {ended}: nothing was changed")
    if said == text:
        show.say("nothing was changed")
        raise typer.Exit
    return said


# --- what was typed ---


def _reviewer(whose: list[str] | None) -> Reviewer:
    """The log says who typed it, and whose word it is."""
    names = [name.strip().lower() for name in whose or ()]
    if not all(names):
        raise typer.BadParameter("--as: write an address, like kim@acme.example, or a team, like team:sales")
    return Reviewer(id=f"{_ME}, as {', '.join(names)}" if names else _ME, names=frozenset(names))


def _seen_as(draft_id: str, sha: str | None, store: Store) -> Seen | None:
    """A hash may be shortened. Who says none means the letter as it is."""
    if sha is None:
        return None
    said = sha.strip().lower()
    if len(said) < _SHORTEST_SHA:
        raise typer.BadParameter(f'--sha "{sha}": write at least {_SHORTEST_SHA} letters of its content_sha')
    with store.reading(SystemClock().now()) as ledger:
        draft = ledger.drafts.get(draft_id)
    return Seen(content_sha=draft.content_sha if draft and draft.content_sha.startswith(said) else said)


def _hour(said: str) -> datetime:
    """With its offset; or as a clock shows it somewhere, and where that is."""
    wall, _, zone = said.strip().rpartition(" ")
    if not wall or zone[:1].isdigit():
        wall, zone = said.strip(), ""
    try:
        at = datetime.fromisoformat(wall)
        if zone and at.tzinfo is None:
            return _of_the_clock(at, parse_zone(zone))
        if not zone and at.tzinfo is not None:
            return parse_near_instant(at)
    except (ValueError, OverflowError) as error:
        raise typer.BadParameter(
            f'"{said}": {error}. Write 2026-03-02T09:30+01:00, or 2026-03-02 09:30 Europe/Oslo'
        ) from None
    if zone:
        raise typer.BadParameter(f'"{said}" says its zone twice: leave out {zone}')
    raise typer.BadParameter(
        f'"{said}": by which clock? Write {at:%Y-%m-%dT%H:%M}+01:00, or {at:%Y-%m-%d %H:%M} Europe/Oslo'
    )


def _of_the_clock(wall: datetime, name: str) -> datetime:
    at = wall.replace(tzinfo=ZoneInfo(name)).astimezone(UTC)
    if at.astimezone(ZoneInfo(name)).replace(tzinfo=None) != wall:
        raise ValueError(f"the clocks of {name} are put forward then, and never show {wall:%H:%M}")
    return parse_near_instant(at)


@contextmanager
def _kindly(command: str, draft_id: str, store: Store) -> Iterator[None]:
    """Who may not is told who may, and how that is said; what cannot be read is the writer's to mend."""
    try:
        yield
    except Forbidden as error:
        names = look(draft_id, store=store, clock=SystemClock()).may_say_yes
        how = f". If it is their word, say so: {command} --as {names[0]}" if names else ""
        raise Forbidden(f"{error}{how}", error.code) from None
    except Invalid as error:
        raise typer.BadParameter(str(error)) from None


def _leaves(at: datetime) -> str:
    return f"leaves {at:%a %d %b %Y %H:%M} UTC"


def _show(told: dict[str, Any], words: str, as_json: bool) -> None:
    if as_json:
        show.as_json(told)
    else:
        show.say(words)
