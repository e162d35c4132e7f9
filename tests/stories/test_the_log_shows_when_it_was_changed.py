"""The log is sealed, and whoever changes, takes away or slips in a line is found; whoever makes it anew is found by a head noted before."""

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import delete, insert, select, text, update
from sqlalchemy.exc import DBAPIError

from engine import seal as sealing
from engine.approve import Reviewer, approve
from engine.brake import stop
from engine.dispatch import dispatch_due
from engine.model import Pace
from engine.moving import move
from engine.seal import Head, Verdict, close, glance, seal, verify
from engine.store import Store, copying, open_store
from engine.store.blocks import Blocks, Gap
from engine.store.tables import audit, audit_block, review
from engine.witness import StateFile
from tests.backups import Backup
from tests.doubles import MONDAY
from tests.makers import IDA, enrolled, pending, sequence

SECOND = timedelta(seconds=1)
LATER = timedelta(minutes=11)


@pytest.fixture
def said(store, clock) -> Callable[..., list[int]]:
    """Lines, written as anybody writes them; their numbers."""
    counted = count(1)

    def write(number: int = 1, *, actor: str = "kim") -> list[int]:
        rows = [
            {"at": clock.now(), "actor": actor, "what": "draft: approve", "detail": f"ü \\ {next(counted)}"}
            for _ in range(number)
        ]
        with store.database.begin() as db:
            made = db.execute(insert(audit).returning(audit.c.seq, sort_by_parameter_order=True), rows)
            return [row.seq for row in made]

    return write


@pytest.fixture
def sealed(store, clock, said) -> list[int]:
    """Three blocks of three lines each, closed at different times; no gap is open any more."""
    numbers: list[int] = []
    for _ in range(3):
        numbers += said(3)
        clock.pass_(LATER)
        assert seal(store, clock) == 3
    clock.pass_(LATER)
    seal(store, clock)
    assert verify(store, clock).whole
    return numbers


@contextmanager
def _as_an_attacker(store: Store) -> Iterator:
    """Whoever has the database needs no permission."""
    with store.database.begin() as db:
        if db.dialect.name == "sqlite":
            dropped = db.execute(
                text("SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name LIKE 'audit%'")
            ).all()
            for name, _ in dropped:
                db.execute(text(f"DROP TRIGGER {name}"))
            yield db
            for _, made in dropped:
                db.execute(text(made))
            return
        for table in ("audit", "audit_block"):
            db.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))
        yield db
        for table in ("audit", "audit_block"):
            db.execute(text(f"ALTER TABLE {table} ENABLE TRIGGER USER"))


def _found(verdict: Verdict) -> list[tuple[str, int | None, tuple[tuple[int, int], ...]]]:
    return [(each.what, each.block, each.lines) for each in verdict.broken]


def _one(number: int) -> tuple[tuple[int, int], ...]:
    return ((number, number),)


# --- sealing ---


def test_what_was_said_is_sealed_once(store, clock, said):
    assert seal(store, clock) == 0
    said(3)
    assert verify(store, clock) == Verdict(
        lines=0, blocks=0, head=None, sealed_at=None, waiting=3, waiting_since=clock.now(), broken=()
    )
    assert seal(store, clock) == 3
    assert seal(store, clock) == 0
    said(2)
    assert seal(store, clock) == 2
    verdict = verify(store, clock)
    assert (verdict.whole, verdict.lines, verdict.blocks, verdict.waiting) == (True, 5, 2, 0)
    assert verdict.sealed_at == clock.now()


def test_whatever_the_house_writes_down_is_sealed_and_whole(store, clock, mailbox, pace):
    enrolled(store, clock.now(), IDA)
    list(dispatch_due(store=store, mailbox=mailbox, clock=clock, pace=pace))
    stop(IDA, by="kim", store=store, clock=clock)
    lines = seal(store, clock)
    assert lines > 3
    verdict = verify(store, clock)
    assert (verdict.whole, verdict.lines, verdict.waiting) == (True, lines, 0)


def test_many_lines_are_sealed_in_blocks_some_at_a_time(store, clock, said, monkeypatch):
    monkeypatch.setattr(sealing, "_AT_MOST", 4)
    said(10)
    assert seal(store, clock, at_most=2) == 8
    assert seal(store, clock, at_most=2) == 2
    verdict = verify(store, clock)
    assert (verdict.whole, verdict.lines, verdict.blocks) == (True, 10, 3)


def test_nobody_can_change_or_erase_a_seal(store, clock, sealed):
    for deed in (update(audit_block).values(hash="0"), delete(audit_block)):
        with pytest.raises(DBAPIError, match="append-only"), store.database.begin() as db:
            db.execute(deed)


def test_of_two_who_seal_at_once_one_puts_the_block_there(store, clock, said, monkeypatch):
    said(3)
    add, tried = Blocks.add, []

    def somebody_was_quicker(self: Blocks, block) -> bool:
        tried.append(block.number)
        if len(tried) == 1:
            with monkeypatch.context() as undisturbed:
                undisturbed.setattr(Blocks, "add", add)
                other = sealing._next(store, clock)
                assert other is not None
                assert add(self, other)
        return add(self, block)

    monkeypatch.setattr(Blocks, "add", somebody_was_quicker)
    assert seal(store, clock) == 0
    assert (verify(store, clock).lines, verify(store, clock).blocks, verify(store, clock).whole) == (
        3,
        1,
        True,
    )


def test_many_who_seal_at_once_seal_everything_once(store, clock, said):
    said(40)
    ready = threading.Barrier(4)
    done: list[int] = []

    def work() -> None:
        ready.wait(10)
        for _ in range(10):
            said(2)
            done.append(seal(store, clock))

    hands = [threading.Thread(target=work) for _ in range(4)]
    for hand in hands:
        hand.start()
    for hand in hands:
        hand.join(60)
    done.append(seal(store, clock))
    verdict = verify(store, clock)
    assert (verdict.broken, verdict.lines, verdict.waiting, sum(done)) == ((), 120, 0, 120)


def test_a_kill_between_looking_and_writing_leaves_nothing_half_done(store, clock, said, monkeypatch):
    said(3)

    def dies(_self: Blocks, _block) -> bool:
        add(_self, _block)
        raise KeyboardInterrupt

    add = Blocks.add
    with monkeypatch.context() as killed:
        killed.setattr(Blocks, "add", dies)
        with pytest.raises(KeyboardInterrupt):
            seal(store, clock)
    assert verify(store, clock).blocks == 0
    assert seal(store, clock) == 3
    assert verify(store, clock).whole


def test_a_line_that_is_committed_after_a_later_one_is_sealed_later(emptied_on_postgresql, clock):
    store = open_store(emptied_on_postgresql)
    line = insert(audit).values(at=clock.now(), actor="kim", what="x")
    with store.database.connect() as slow, store.database.connect() as never:
        slow.execute(line)
        never.execute(line)
        with store.database.begin() as quick:
            quick.execute(line)
        assert seal(store, clock) == 1
        slow.commit()
        never.rollback()
    assert verify(store, clock).waiting == 1
    assert seal(store, clock) == 1
    verdict = verify(store, clock)
    assert (verdict.broken, verdict.lines, verdict.waiting) == ((), 2, 0)
    clock.pass_(LATER)
    assert seal(store, clock) == 0
    with store.reading(clock.now()) as ledger:
        assert ledger.blocks.last().gaps == ()
    store.close()


def test_many_write_and_many_give_up_while_it_is_sealed(emptied_on_postgresql, clock):
    store = open_store(emptied_on_postgresql)
    over = threading.Event()
    written: list[int] = []

    def write(number: int) -> None:
        for turn in range(40):
            line = insert(audit).values(at=clock.now(), actor=f"{number}", what="x", detail=str(turn))
            with store.database.connect() as db:
                for _ in range(1 + turn % 3):
                    db.execute(line)
                if (turn + number) % 3:
                    db.commit()
                    written.append(1 + turn % 3)
                else:
                    db.rollback()

    def keep_sealing() -> None:
        while not over.is_set():
            seal(store, clock)

    writers = [threading.Thread(target=write, args=(number,)) for number in range(6)]
    sealers = [threading.Thread(target=keep_sealing) for _ in range(2)]
    for each in writers + sealers:
        each.start()
    for each in writers:
        each.join(60)
    over.set()
    for each in sealers:
        each.join(60)
    seal(store, clock)
    verdict = verify(store, clock)
    assert (verdict.broken, verdict.lines, verdict.waiting) == ((), sum(written), 0)
    store.close()


# --- tampering ---


@pytest.mark.parametrize(
    ("column", "value"), [("detail", "nothing"), ("actor", "eve"), ("at", MONDAY), ("draft_id", "drf_1")]
)
def test_a_line_that_was_changed_is_named(store, clock, sealed, column, value):
    with _as_an_attacker(store) as db:
        db.execute(update(audit).where(audit.c.seq == sealed[4]).values({column: value}))
        if column == "at":
            db.execute(update(audit).where(audit.c.seq == sealed[4]).values(at=MONDAY - SECOND))
    verdict = verify(store, clock)
    assert _found(verdict) == [("changed", 2, _one(sealed[4]))]
    assert f"line {sealed[4]} is not as it was when it was sealed 2026-03-02" in verdict.broken[0].says


def test_a_line_that_was_taken_away_is_named(store, clock, sealed):
    with _as_an_attacker(store) as db:
        db.execute(delete(audit).where(audit.c.seq == sealed[4]))
    assert _found(verify(store, clock)) == [("missing", 2, _one(sealed[4]))]


def test_what_was_taken_away_does_not_hide_what_was_changed(store, clock, sealed):
    with _as_an_attacker(store) as db:
        db.execute(delete(audit).where(audit.c.seq == sealed[3]))
        db.execute(update(audit).where(audit.c.seq == sealed[5]).values(actor="eve"))
    assert _found(verify(store, clock)) == [("missing", 2, _one(sealed[3])), ("changed", 2, _one(sealed[5]))]


def test_what_a_reviewer_saw_is_vouched_for_by_the_log(store, clock):
    enrolled(store, clock.now(), wants=sequence(approval="all"))
    which = pending(store, clock.now())[0]["draft_id"]
    approve(which, by=Reviewer(id="kim"), store=store, clock=clock)
    clock.pass_(LATER)
    seal(store, clock)
    assert verify(store, clock).whole
    with store.database.begin() as db:
        db.execute(update(review).values(evidence={"text": "something else"}))
    (broken,) = verify(store, clock).broken
    assert (broken.what, "is not what it was" in broken.says) == ("review", True)
    with store.database.begin() as db:
        db.execute(delete(review))
    assert "is missing" in verify(store, clock).broken[0].says


def test_two_lines_that_changed_places_are_named(store, clock, sealed):
    first, second = sealed[3], sealed[5]
    with _as_an_attacker(store) as db:
        for was, becomes in ((first, -1), (second, first), (-1, second)):
            db.execute(update(audit).where(audit.c.seq == was).values(seq=becomes))
    assert _found(verify(store, clock)) == [("changed", 2, _one(first)), ("changed", 2, _one(second))]


def test_a_line_that_was_slipped_into_a_gap_is_named(store, clock, said):
    said(2)
    with store.database.begin() as db:
        last = db.scalars(select(audit.c.seq).order_by(audit.c.seq.desc())).first()
        db.execute(insert(audit).values(seq=last + 5, at=clock.now(), actor="kim", what="x"))
    clock.pass_(LATER)
    assert seal(store, clock) == 3
    with store.database.begin() as db:
        db.execute(insert(audit).values(seq=last + 2, at=clock.now(), actor="eve", what="x"))
        db.execute(insert(audit).values(seq=last + 3, at=clock.now(), actor="eve", what="x"))
        db.execute(insert(audit).values(seq=-7, at=clock.now(), actor="eve", what="x"))
    seal(store, clock)
    verdict = verify(store, clock)
    assert _found(verdict) == [("added", 1, ((-7, -7), (last + 2, last + 3)))]
    assert "no seal covers lines -7, " in verdict.broken[0].says
    assert "eve" in verdict.broken[0].says


@pytest.mark.parametrize(
    ("values", "what"),
    [
        ({"hash": "0" * 64}, {("block", 2), ("chain", 3)}),
        ({"previous": "0" * 64}, {("block", 2), ("chain", 2)}),
        ({"at": MONDAY}, {("block", 2)}),
        ({"marks": "0" * 24}, {("changed", 2)}),
        ({"gaps": [[1, 2, 3]]}, {("block", 2)}),
        ({"lines": 2}, {("block", 2)}),
        ({"up_to": 10**12}, None),
        ({"ranges": [[1, 10**12]]}, None),
    ],
)
def test_a_block_that_was_changed_is_named(store, clock, sealed, values, what):
    with _as_an_attacker(store) as db:
        db.execute(update(audit_block).where(audit_block.c.number == 2).values(values))
    found = {(each.what, each.block) for each in verify(store, clock).broken}
    assert found == what if what else 2 in {block for _, block in found}


def test_a_block_that_was_taken_away_is_named(store, clock, sealed):
    with _as_an_attacker(store) as db:
        db.execute(delete(audit_block).where(audit_block.c.number == 2))
    verdict = verify(store, clock)
    assert ("chain", 2, ()) in _found(verdict)
    assert any(each.says == "block 2 is missing" for each in verdict.broken)
    assert ("added", 3, ((sealed[3], sealed[5]),)) in _found(verdict)


def test_a_tail_that_was_cut_off_is_found_by_a_head_that_was_noted(store, clock, sealed):
    head = verify(store, clock).head
    assert verify(store, clock, noted=head).whole
    assert verify(store, clock, noted=Head(head.number, head.hash[:16])).whole
    with _as_an_attacker(store) as db:
        db.execute(delete(audit_block).where(audit_block.c.number >= 3))
        db.execute(delete(audit).where(audit.c.seq > sealed[5]))
    assert verify(store, clock).whole
    [broken] = verify(store, clock, noted=head).broken
    assert (broken.what, broken.block) == ("head", head.number)
    assert "was cut off" in broken.says


def test_lines_that_were_cut_off_without_their_blocks_are_missing(store, clock, sealed):
    with _as_an_attacker(store) as db:
        db.execute(delete(audit).where(audit.c.seq > sealed[6]))
    assert _found(verify(store, clock)) == [("missing", 3, ((sealed[7], sealed[8]),))]


def test_a_chain_that_was_made_anew_is_found_by_a_head_that_was_noted(store, clock, sealed):
    head = verify(store, clock).head
    with _as_an_attacker(store) as db:
        db.execute(update(audit).where(audit.c.seq == sealed[0]).values(actor="eve"))
        db.execute(delete(audit_block))
    while seal(store, clock, at_most=1):
        pass
    for _ in range(head.number):
        clock.pass_(LATER)
        with store.database.begin() as db:
            db.execute(insert(audit).values(at=clock.now(), actor="kim", what="x"))
        seal(store, clock)
    assert verify(store, clock).whole
    [broken] = verify(store, clock, noted=head).broken
    assert "the chain was made anew" in broken.says


def test_the_last_blocks_are_looked_at_for_little(store, clock, said):
    numbers = []
    for _ in range(6):
        numbers += said(2)
        clock.pass_(LATER)
        seal(store, clock)
    said(1)
    few = glance(store, clock)
    assert (few.whole, few.blocks, few.lines, few.waiting) == (True, 3, 6, 1)
    with _as_an_attacker(store) as db:
        db.execute(update(audit).where(audit.c.seq.in_([numbers[0], numbers[11]])).values(actor="eve"))
    assert _found(glance(store, clock)) == [("changed", 6, _one(numbers[11]))]
    assert len(verify(store, clock).broken) == 2


def test_a_few_blocks_are_looked_at_though_a_line_came_late(emptied_on_postgresql, clock):
    store = open_store(emptied_on_postgresql)
    line = insert(audit).values(at=clock.now(), actor="kim", what="x")
    with store.database.connect() as slow:
        slow.execute(line)
        for _ in range(5):
            with store.database.begin() as quick:
                quick.execute(line)
            seal(store, clock)
        slow.commit()
    assert glance(store, clock).waiting == 1
    seal(store, clock)
    found = glance(store, clock)
    assert (found.broken, found.lines, found.waiting) == ((), 3, 0)
    store.close()


def test_broken_places_without_end_are_counted(store, clock, said, monkeypatch):
    monkeypatch.setattr(sealing, "_TOLD", 2)
    said(5)
    seal(store, clock)
    with _as_an_attacker(store) as db:
        db.execute(update(audit).values(actor="eve"))
    verdict = verify(store, clock)
    assert (len(verdict.broken), verdict.more) == (2, 3)


# --- elsewhere ---


@pytest.fixture(params=["sqlite", "postgresql"])
def elsewhere(request, tmp_path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'other.db'}"
        return
    from tests.stories.test_the_house_moves import _new_database

    with _new_database(request.getfixturevalue("postgres_url"), "sealed_elsewhere") as url:
        yield url


def test_what_has_moved_is_as_whole_as_it_was(store, clock, sealed, said, elsewhere, tmp_path):
    said(2)
    head = verify(store, clock).head
    try:
        move(
            elsewhere,
            keep=False,
            by="kim",
            witness=StateFile(tmp_path, "relent.db.state"),
            store=store,
            clock=clock,
            pace=Pace(gate_deadline=timedelta(milliseconds=20)),
            progress=lambda table, rows: None,
        )
        there = open_store(elsewhere)
        moved = verify(there, clock, noted=head)
        assert (moved.broken, moved.head, moved.lines) == ((), head, 9)
        assert moved.waiting >= 2
        assert seal(there, clock) == moved.waiting
        with there.database.begin() as db:
            db.execute(insert(audit).values(at=clock.now(), actor="kim", what="x"))
        assert seal(there, clock) == 1
        assert verify(there, clock, noted=head).whole
        with pytest.raises(DBAPIError), there.database.begin() as db:
            db.execute(delete(audit_block))
        there.close()
    finally:
        with store.transaction(clock.now(), "a test") as ledger:
            ledger.lineage.reopen()


def test_a_backup_that_was_put_back_is_whole_and_lacks_what_came_after(store, clock, sealed, said, tmp_path):
    backup = Backup(store, tmp_path)
    early = verify(store, clock).head
    said(3)
    seal(store, clock)
    late = verify(store, clock).head
    backup.put_back()
    assert verify(store, clock, noted=early).whole
    assert "a backup from before it was put back" in verify(store, clock, noted=late).broken[0].says


def test_copying_knows_the_table(store):
    assert "audit_block" in {table.name for table in copying._tables()}


# --- the rule of gaps ---


def _line(number: int, second: int):
    return (number, int(MONDAY.timestamp() * 1000) + 1000 * second, "kim", "x", None, None, None)


def test_a_gap_is_open_until_the_line_above_is_ten_minutes_old():
    first = close(None, [_line(3, 0), _line(4, 1), _line(9, 2)], MONDAY + 5 * SECOND)
    began = _line(3, 0)[1]
    assert first.gaps == (Gap(1, 2, began), Gap(5, 8, began + 2000))
    second = close(first, [_line(6, 3)], MONDAY + timedelta(minutes=10, seconds=1))
    assert second.gaps == (Gap(5, 5, began + 2000), Gap(7, 8, began + 2000))
    assert (second.up_to, second.ranges) == (9, ((6, 6),))
    third = close(second, [], MONDAY + timedelta(minutes=10, seconds=2))
    assert (third.gaps, third.lines, third.previous) == ((), 0, second.hash)


@given(st.lists(st.sets(st.integers(min_value=1, max_value=60), max_size=12), max_size=8))
def test_whatever_comes_in_whatever_order_is_open_or_sealed(batches):
    """A number is seen, or in a gap, or above all that was seen."""
    before, seen = None, set()
    for batch in batches:
        lines = [_line(number, 0) for number in sorted(batch - seen)]
        before = close(before, lines, MONDAY)
        seen |= batch
        gaps = {number for gap in before.gaps for number in range(gap.first, gap.last + 1)}
        assert gaps == set(range(1, before.up_to + 1)) - seen


def test_a_block_is_the_bytes_that_the_docs_say():
    """docs/audit.md: whoever has the rows needs nothing of ours to check them."""
    moment = 1772442000000
    said = [
        [1, moment, "kim", "draft: approve", "drf_1", None, "ü"],
        [3, moment + 1, "kim", "x", None, None, None],
    ]
    block = close(None, [tuple(line) for line in said], MONDAY)
    lines = [json.dumps(line, separators=(",", ":")).encode() + b"\n" for line in said]
    marks = "".join(hashlib.sha256(line).hexdigest()[:8] for line in lines)
    head = [1, moment, 2, [[1, 1], [3, 3]], 3, [[2, 2, moment]], marks, "0" * 64]
    whole = json.dumps(head, separators=(",", ":")).encode() + b"\n" + b"".join(lines)
    assert block.hash == hashlib.sha256(whole).hexdigest()
    assert block.hash == "559903e55f30792d40c676ab1c6f81e2d93dcf68556e3e0215467cf9bacdcec1"
