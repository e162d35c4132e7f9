"""Story: the whole house moves into another database, and this one sends nothing any more.

Two databases of one house would send everything twice. So the brake is put on before the first row is read, and after it
nothing is written here that anybody could rely on: a webhook is told to come again, until it comes to the new one.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from time import monotonic, sleep

from sqlalchemy.exc import SQLAlchemyError

from engine import owner
from engine.errors import Busy, Refused, Unavailable
from engine.model import Pace
from engine.safe import doubt_of
from engine.seams import Clock
from engine.store import GONE, Copied, Ledger, Progress, Store, copying, database_file, named, passes
from engine.witness import Witness

_PATIENCE = 30.0
_LOOK_EVERY = 0.1
MOVED = "moved"


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """What stands in the other database now, and equals what stands here."""

    tables: tuple[Copied, ...]
    here: str
    there: str
    braked: bool  #: this one sends nothing any more

    @property
    def rows(self) -> int:
        return sum(each.here.rows for each in self.tables)


def move(
    to: str,
    *,
    keep: bool = False,
    by: str,
    witness: Witness,
    store: Store,
    clock: Clock,
    pace: Pace,
    progress: Progress,
) -> Moved:
    """`keep`: this house goes on as it is, and the copy is braked: it is there to be looked at."""
    with copying.opened(to) as target:
        there = named(target.url)
        _refuse_what_is_doubtful(witness, store, clock)
        copying.refuse_what_takes_no_copy(store, target)
        with _kept(store, clock, there) if keep else _closed(target, by, store, clock, pace) as brake:
            copied = copying.copy(store, target, brake=brake, now=clock.now(), progress=progress)
    here = named(store.database.url)
    return Moved(tables=tuple(copied), here=here, there=there, braked=not keep)


def rehearse(to: str, *, store: Store, progress: Progress) -> Moved:
    """What would be moved, if that can be. Nothing is written, here or there; not even an empty file."""
    file = database_file(to)
    with copying.opened(to) as target:
        there = named(target.url)
        if file is None or file.exists():
            copying.refuse_what_takes_no_copy(store, target)
    here = named(store.database.url)
    return Moved(tables=tuple(copying.count(store, progress)), here=here, there=there, braked=False)


def _refuse_what_is_doubtful(witness: Witness, store: Store, clock: Clock) -> None:
    """Moved, nobody could tell any more that it had forgotten something."""
    if why := doubt_of(witness, store=store, clock=clock):
        raise Refused(f"this database is not believed yet: {why}. First `relent resume --all`, then move it")


@contextmanager
def _kept(store: Store, clock: Clock, there: str) -> Iterator[tuple[str, datetime]]:
    yield f"a copy of {named(store.database.url)}, which goes on sending", clock.now()


@contextmanager
def _closed(
    target: copying.Target, by: str, store: Store, clock: Clock, pace: Pace
) -> Iterator[tuple[str, datetime] | None]:
    """Braked, and shut; open again if anything goes wrong. Killed in between, it stays shut, and says what helps."""
    there = named(target.url)
    with store.transaction(clock.now(), by) as ledger:
        gone = ledger.lineage.moved()  # of somebody who was killed in between
        ledger.lineage.reopen()
        brake = ledger.watch.braked()
        before = gone.brake if gone else (brake.why, brake.since) if brake else None
        ledger.watch.brake(f"{MOVED} to {there}", firmly=True)
    try:
        _wait_for_what_is_in_the_air(store, clock, pace)
        _shut(there, before, by, store, clock)
        yield before
    except BaseException as error:
        if why := _may_be_there(store, target):
            raise Unavailable(f"{why}. What went wrong: {error or type(error).__name__}") from error
        _open_again(before, by, store, clock)
        raise


def _may_be_there(store: Store, target: copying.Target) -> str | None:
    """Why this one has to stay closed: its last word was lost, or ours. Two that send are worse than none."""
    there = named(target.url)
    try:
        if not copying.has_arrived(store, target):
            return None
    except (Unavailable, SQLAlchemyError):
        return (
            f"whether everything is in {there} cannot be asked, so nothing is sent from here any more. When it answers, "
            "run the same command again: it moves what is not there. Or `relent resume --all` stays here"
        )
    return f"everything is in {there}, and nothing is sent from here any more: name that in database.url"


def _open_again(before: tuple[str, datetime] | None, by: str, store: Store, clock: Clock) -> None:
    """With the brake that was on before, as it was; but whoever has put on another one meanwhile keeps theirs."""
    with store.transaction(clock.now(), by) as ledger:
        ledger.lineage.reopen()
        if ledger.watch.release("it did not move", only=MOVED) and before:
            why, since = before
            ledger.watch.brake(why, since=since)


def _shut(there: str, before: tuple[str, datetime] | None, by: str, store: Store, clock: Clock) -> None:
    """Every table, while others write: whoever got in their way, or was in ours, tries again."""
    until = monotonic() + _PATIENCE
    while True:
        try:
            with store.transaction(clock.now(), by) as ledger:
                ledger.lineage.close(there, before)
            return
        except SQLAlchemyError as error:
            if not passes(error) or monotonic() > until:
                raise


def _wait_for_what_is_in_the_air(store: Store, clock: Clock, pace: Pace) -> None:
    """Its fate belongs into the copy. And a gate that was just opening when the brake came is open soon, or never."""
    begun = monotonic()
    while True:
        with store.transaction(clock.now(), "recovery") as ledger:
            asked, leaving = monotonic(), _leaving(ledger, pace)
        if not leaving and asked - begun > pace.gate_deadline.total_seconds():
            return
        if asked - begun > _PATIENCE:
            raise Busy(
                f"{leaving} letters are just leaving, and their fate is not known yet: try again in a minute"
            )
        sleep(_LOOK_EVERY)


def _leaving(ledger: Ledger, pace: Pace) -> int:
    """Whoever died with a letter in the air will not say any more what became of it."""
    ledger.drafts.doubt_abandoned(owner.dead(ledger.drafts.owners()), fence=pace.fence)
    return len(ledger.views.leaving())


def refuse_what_has_moved(store: Store, clock: Clock) -> None:
    """Whoever would send from it. Raises Unavailable."""
    with store.reading(clock.now()) as ledger:
        gone = ledger.lineage.moved()
    if gone:
        raise Unavailable(
            f"{GONE}{gone.where}: name that in database.url. If the move was broken off, "
            "`relent resume --all` opens this one again"
        )
