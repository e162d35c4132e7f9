"""What every database must do."""

import threading
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import delete, event, insert, select, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError

import engine.store.connect
from engine.advance import advance
from engine.enroll import enroll_all, prepare
from engine.errors import Unavailable
from engine.model import Prospect
from engine.react import react
from engine.states import DraftState, StopReason
from engine.store import HEAD, Reach, migrate_url, open_store
from engine.store.drafts import Drafts
from engine.store.moves import Desk
from engine.store.tables import audit, draft, metadata
from tests.makers import IDA, enrolled, open_thread, pending, reply, sequence


def _claim(ledger, token="t", at_most=100):
    return ledger.drafts.claim(token=token, owner="nobody/1/1", lease=timedelta(minutes=2), at_most=at_most)


# SQLite cannot say what an index on an expression is; PostgreSQL can, and is asked too
@pytest.mark.filterwarnings("ignore:Skipped unsupported reflection of expression-based index")
@pytest.mark.filterwarnings("ignore:autogenerate skipping metadata-specified expression-based index")
def test_the_migrations_make_exactly_the_tables_that_the_code_speaks_of(store):
    with store.database.connect().execution_options(relent_reading=True) as db:
        context = MigrationContext.configure(db, opts={"compare_server_default": False})
        assert compare_metadata(context, metadata) == []


def test_the_head_that_the_code_knows_is_the_newest_migration():
    folder = Path(engine.store.connect.__file__).parent / "migrations"
    assert ScriptDirectory(str(folder)).get_current_head() == HEAD


def test_opening_again_changes_nothing(store, database_url, clock):
    enrolled(store, clock.now())
    again = open_store(database_url)
    with again.transaction(clock.now(), "a test") as ledger:
        assert _claim(ledger)
    again.close()


def test_migrating_again_changes_nothing(database_url, store):
    assert migrate_url(database_url) == (HEAD, HEAD)


@pytest.mark.parametrize(("version", "words"), [("9999", "upgrade Relent"), ("0000", "relent migrate")])
def test_a_database_of_another_version_is_refused(store, database_url, version, words):
    with store.database.begin() as db:
        db.execute(text(f"UPDATE alembic_version SET version_num = '{version}'"))
    try:
        with pytest.raises(Unavailable, match=words):
            open_store(database_url)
    finally:
        with store.database.begin() as db:
            db.execute(text(f"UPDATE alembic_version SET version_num = '{HEAD}'"))


def test_time_comes_back_aware_and_to_the_millisecond(store, clock):
    clock.pass_(timedelta(milliseconds=1))
    enrolled(store, clock.now())
    assert pending(store, clock.now())[0]["send_at"] == clock.now()


def test_a_transaction_that_fails_leaves_nothing(store, clock):
    def fail():
        with store.transaction(clock.now(), "a test") as ledger:
            ledger.threads.open_inbox("sam@acme.example")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    with store.reading(clock.now()) as ledger:
        assert ledger.threads.our_inboxes(["sam@acme.example"]) == set()


def test_what_is_not_due_is_not_claimed(store, clock):
    enrolled(store, clock.now(), wants=sequence({"after": "1m", "subject": "Hi", "body": "x"}))
    with store.transaction(clock.now(), "a test") as ledger:
        assert _claim(ledger) == []
    clock.pass_(timedelta(minutes=1))
    with store.transaction(clock.now(), "a test") as ledger:
        assert len(_claim(ledger)) == 1


def test_what_is_claimed_is_not_claimed_again(store, clock):
    for number in range(5):
        enrolled(store, clock.now(), f"p{number}@nordic.example")
    taken = []
    for _ in range(4):
        with store.transaction(clock.now(), "a test") as ledger:
            taken += [each.id for each in _claim(ledger, at_most=2)]
    assert len(taken) == len(set(taken)) == 5


def test_the_earliest_goes_first(store, clock):
    for minutes in (3, 1, 2):
        wants = sequence({"after": f"{minutes}m", "subject": "Hi", "body": "x"})
        enrolled(store, clock.now(), f"p{minutes}@nordic.example", wants=wants)
    clock.pass_(timedelta(hours=1))
    with store.transaction(clock.now(), "a test") as ledger:
        assert [each.to[:2] for each in _claim(ledger)] == ["p1", "p2", "p3"]


def test_the_gate_opens_once_and_for_its_owner_only(store, clock):
    enrolled(store, clock.now())
    with store.transaction(clock.now(), "a test") as ledger:
        [mine] = _claim(ledger)
    thief = replace(mine, claim_token="another")
    with store.transaction(clock.now(), "a test") as ledger:
        assert not ledger.drafts.pass_gate(thief)
        assert ledger.drafts.pass_gate(mine)
        assert not ledger.drafts.pass_gate(mine)


@pytest.mark.parametrize(
    "spoilt", [{"approved_sha": None}, {"approved_sha": "another"}, {"content_sha": "another"}]
)
def test_the_gate_is_closed_to_what_nobody_approved(store, clock, spoilt):
    enrolled(store, clock.now())
    with store.transaction(clock.now(), "a test") as ledger:
        [mine] = _claim(ledger)
    with store.database.begin() as db:
        db.execute(update(draft).values(**spoilt))
    with store.transaction(clock.now(), "a test") as ledger:
        assert not ledger.drafts.pass_gate(mine)


def test_the_gate_is_closed_after_the_lease(store, clock):
    enrolled(store, clock.now())
    with store.transaction(clock.now(), "a test") as ledger:
        [mine] = _claim(ledger)
    clock.pass_(timedelta(minutes=2))
    with store.transaction(clock.now(), "a test") as ledger:
        assert not ledger.drafts.pass_gate(mine)


def test_one_enrollment_has_one_pending_draft(store, clock):
    enrolled(store, clock.now())
    with store.transaction(clock.now(), "a test") as ledger:
        [first] = _claim(ledger)
        second = replace(first, id="drf_second", step="step-2", message_id="<second@acme.example>")
        assert not ledger.drafts.add(second)


def test_a_step_exists_once(store, clock):
    enrolled(store, clock.now())
    with store.transaction(clock.now(), "a test") as ledger:
        [first] = _claim(ledger)
        ended = replace(first, id="drf_second", state=DraftState.SENT, message_id="<second@acme.example>")
        assert not ledger.drafts.add(ended)


def test_the_audit_log_tells_every_move_and_who_made_it(store, clock):
    enrolled(store, clock.now())
    with store.transaction(clock.now(), "kim") as ledger:
        [mine] = _claim(ledger)
        ledger.drafts.pass_gate(mine)
        ledger.drafts.settle(mine, "250 ok")
    with store.database.connect().execution_options(relent_reading=True) as db:
        lines = db.execute(select(audit.c.actor, audit.c.what, audit.c.draft_id).order_by(audit.c.seq)).all()
    assert [line.what for line in lines if line.draft_id == mine.id] == [
        "draft: create",
        "draft: claim",
        "draft: gate",
        "draft: settle",
    ]
    assert {line.actor for line in lines} == {"a test", "kim"}


@pytest.mark.parametrize(
    "deed", [update(audit).values(actor="nobody"), delete(audit)], ids=["change", "erase"]
)
def test_nobody_can_change_or_erase_the_audit_log(store, clock, deed):
    enrolled(store, clock.now())
    with pytest.raises(DBAPIError, match="append-only"), store.database.begin() as db:
        db.execute(deed)


def test_the_due_query_uses_its_index(store, clock):
    """At five million rows a scan inside the write lock takes half a second."""
    with store.transaction(clock.now() + timedelta(days=1), "a test") as ledger:
        enroll_all(
            [prepare(Prospect(email=f"p{number}@x.example"), sequence()) for number in range(300)],
            ledger=ledger,
        )
    seen: list[str] = []
    with store.database.begin() as db:
        if db.dialect.name == "postgresql":
            db.execute(text("ANALYZE draft"))
            db.execute(text("SET LOCAL enable_seqscan = off"))  # the table is small here

        def look(_conn, _cursor, statement, parameters, _context, _many):
            if not statement.startswith("EXPLAIN") and "claim_token" in statement:
                seen.append(statement)
                plan = db.exec_driver_sql(
                    ("EXPLAIN " if db.dialect.name == "postgresql" else "EXPLAIN QUERY PLAN ") + statement,
                    parameters,
                )
                seen.append("\n".join(str(tuple(row)) for row in plan))

        event.listen(db, "before_cursor_execute", look)
        Drafts(Desk(db, clock.now(), "a test")).claim(
            token="t", owner="o", lease=timedelta(minutes=1), at_most=10
        )
    assert "draft_due" in seen[1]


def test_two_writers_wait_for_each_other(store, clock):
    """Read, think, write: nobody's work is lost, and nobody is told that the database is locked."""
    with store.transaction(clock.now(), "a test") as ledger:
        ledger.inbound.count("x", 1)
    errors = []

    def add_ten():
        try:
            for _ in range(10):
                with store.transaction(clock.now(), "a test") as ledger:
                    ledger.inbound.count("x", 1)
        except Exception as error:  # noqa: BLE001 (whatever it is, the test must hear of it)
            errors.append(error)

    threads = [threading.Thread(target=add_ten) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert errors == []
    with store.database.connect().execution_options(relent_reading=True) as db:
        assert db.scalar(text("SELECT number FROM tally WHERE name = 'x'")) == 61


def test_an_answer_either_sees_the_next_step_or_prevents_it(store, clock):
    """The next step is being made while the answer comes in: there is no order in which a draft survives it."""
    for number in range(10):
        email = f"p{number}@nordic.example"
        enrollment_id = enrolled(store, clock.now(), email)
        with store.transaction(clock.now(), "a test") as ledger:
            [first] = _claim(ledger)
            ledger.drafts.pass_gate(first)
        start = threading.Barrier(2)

        def next_step(first=first, enrollment_id=enrollment_id, start=start):
            start.wait()
            with store.transaction(clock.now(), "next step") as ledger:
                ledger.threads.lock([first.thread_id])
                enrollment = ledger.enrollments.lock(enrollment_id)
                ledger.drafts.settle(first, "")
                advance(enrollment, ledger)

        def answer(first=first, email=email, start=start):
            start.wait()
            with store.transaction(clock.now(), "answer") as ledger:
                reach = Reach(threads=(first.thread_id,), contacts=frozenset({email}))
                ledger.call_back(reach, StopReason.REPLIED)

        threads = [threading.Thread(target=next_step), threading.Thread(target=answer)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert pending(store, clock.now()) == []


def test_a_duplicate_receipt_is_no_error(store, clock):
    for expected in (True, False):
        with store.transaction(clock.now(), "a test") as ledger:
            assert ledger.inbound.note_receipt("agentmail", "evt_1", b"raw", "heard") is expected


def test_parents_come_before_children(store, clock):
    with pytest.raises(IntegrityError), store.database.begin() as db:
        db.execute(insert(metadata.tables["thread_label"]).values(thread_id="thr_none", label="x"))


def test_a_suppressed_domain_covers_its_addresses_and_no_others(store, clock):
    with store.transaction(clock.now(), "a test") as ledger:
        ledger.inbound.suppress("nordic.example", "asked")
        asked = [IDA.upper(), "ida@sub.nordic.example"]
        assert ledger.inbound.suppressed_among(asked) == {IDA: "asked"}


def test_a_reader_sees_one_moment_and_holds_nobody_up(store, clock):
    thread_id = open_thread(store, clock.now())
    with store.reading(clock.now()) as before:
        before.threads.labels(thread_id)
        with store.transaction(clock.now(), "a test") as ledger:
            ledger.threads.tag(thread_id, "later")
    with store.reading(clock.now()) as after:
        assert after.threads.labels(thread_id) == ["later"]


def _scans(db, statement, parameters):
    """The lines of the plan that read a whole table, though an index would do."""
    cursor = db.connection.cursor()
    if db.dialect.name == "postgresql":
        cursor.execute("SET LOCAL enable_seqscan = off")  # of ten rows it would rather read all
        plan = cursor.execute("EXPLAIN " + statement, parameters)
        return [line for (line,) in plan if "Seq Scan" in line]
    plan = cursor.execute("EXPLAIN QUERY PLAN " + statement, parameters)
    return [
        line
        for *_, line in plan
        if line.startswith("SCAN ") and "CONSTANT" not in line and "subquery" not in line
    ]


def test_nothing_on_the_cancel_path_reads_a_whole_table(store, clock, pace):
    """A scan costs nothing in a test and half a second, inside the write lock, at five million rows."""
    enrolled(store, clock.now())
    thread_id = pending(store, clock.now())[0]["thread_id"]
    scans: list[str] = []

    def look(db, _cursor, statement, parameters, _context, many):
        if statement.startswith(("SELECT", "UPDATE", "DELETE")):
            found = _scans(db, statement, parameters[0] if many else parameters)
            scans.extend(f"{line} <- {statement}" for line in found)

    event.listen(store.database, "before_cursor_execute", look)
    answer = reply(thread_id, references=("<a@b>",), in_reply_to="<c@d>")
    react(answer, b"", store=store, clock=clock, pace=pace)
    react(answer, b"", store=store, clock=clock, pace=pace)

    # whoever wants to be told is asked each time, all of them: a handful
    assert [scan for scan in scans if not scan.startswith("SCAN webhook USING INDEX webhook_made")] == []
    assert pending(store, clock.now()) == []


def test_what_is_harmless_to_repeat_is_repeated_when_the_database_stumbles(store, clock):
    tried = []

    def stumble(ledger):
        tried.append(ledger.instance_key())
        if len(tried) < 3:
            raise OperationalError("COMMIT", {}, Exception("database is locked"))
        return "done"

    with pytest.raises(OperationalError):
        store.insist(stumble, now=clock.now, by="a test", pauses=iter([None]))
    assert len(tried) == 2
    assert store.insist(stumble, now=clock.now, by="a test", pauses=iter([None])) == "done"
