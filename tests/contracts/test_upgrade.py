"""A database that an older Relent filled: migrated, it goes on as if nothing had happened."""

import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import JSON, Connection, LargeBinary, MetaData, create_engine, make_url, text

import engine.store.connect
from engine.approve import Reviewer, approve
from engine.dispatch import dispatch_due
from engine.enroll import Skipped, enroll, prepare
from engine.model import Pace, Prospect
from engine.react import react
from engine.revise import apply, look
from engine.store import HEAD, migrate_url, open_store
from engine.store.letters import Sieve
from engine.store.pages import Slice
from tests.doubles import FrozenClock
from tests.makers import pending, people, reply

#: Saturday night. Ida waits for her second letter, Tom's and Ola's are held because they are away, and somebody has
#: said yes to Ola's; Eva has answered, and nobody knows Kari's first name.
OLD = json.loads((Path(__file__).parents[1] / "fixtures" / "a-database-of-0001.json").read_text())
SATURDAY = datetime(2026, 3, 7, 23, 0, tzinfo=UTC)


@pytest.fixture(params=["sqlite", "postgresql"])
def old_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'old.db'}"
        _fill(url)
        yield url
        return
    server = make_url(request.getfixturevalue("postgres_url")).set(drivername="postgresql+psycopg")
    administrator = create_engine(server, isolation_level="AUTOCOMMIT")
    with administrator.connect() as db:
        db.execute(text("CREATE DATABASE old"))
    url = server.set(database="old").render_as_string(hide_password=False)
    _fill(url)
    yield url
    with administrator.connect() as db:
        db.execute(text("DROP DATABASE old WITH (FORCE)"))
    administrator.dispose()


def _fill(url: str) -> None:
    database = create_engine(url)
    config = Config()
    config.set_main_option("script_location", str(Path(engine.store.connect.__file__).parent / "migrations"))
    with database.begin() as db:
        config.attributes["connection"] = db
        command.upgrade(config, "0001")
        metadata = MetaData()
        metadata.reflect(db)
        for table in metadata.sorted_tables:
            for row in OLD.get(table.name, []):
                db.execute(table.insert().values({key: _value(table.c[key].type, row[key]) for key in row}))
        _count_on(db)
    database.dispose()


def _value(kind: Any, value: Any) -> Any:
    if isinstance(kind, LargeBinary) and value is not None:
        return bytes.fromhex(value["bytes"])
    return json.loads(value) if isinstance(kind, JSON) and value is not None else value


def _count_on(db: Connection) -> None:
    if db.dialect.name == "postgresql":
        db.execute(
            text("SELECT setval(pg_get_serial_sequence('audit', 'seq'), (SELECT max(seq) FROM audit))")
        )


def test_whoever_was_on_their_way_goes_on_at_their_hours(old_database, mailbox, pace):
    assert migrate_url(old_database) == ("0001", HEAD)
    store, clock = open_store(old_database), FrozenClock(SATURDAY)
    [held] = [draft for draft in pending(store, clock.now()) if draft["state"] == "held"]
    approve(held["draft_id"], by=Reviewer(id="kim"), store=store, clock=clock)

    left = []
    while waiting := [draft["send_at"] for draft in pending(store, clock.now())]:
        clock.pass_(min(waiting) - clock.now())
        outcomes = list(dispatch_due(store=store, mailbox=mailbox, clock=clock, pace=pace))
        left += [f"{clock.now():%a %d %H:%M}"] * len(outcomes)

    assert left == [
        "Tue 10 22:00",
        "Tue 10 22:00",  # Ola's, as if she were here: that she is away is what the yes was about
        "Sun 15 22:00",
        "Sun 15 22:00",
        "Tue 17 22:00",
        "Sun 22 22:00",
    ]
    assert Counter(letter.to for letter in mailbox.sent) == dict.fromkeys(
        ("ida@ida.example", "tom@tom.example", "ola@ola.example"), 2
    )
    assert {one["email"]: one["state"] for one in people(store, clock.now())} == {
        "ida@ida.example": "finished",
        "tom@tom.example": "finished",
        "ola@ola.example": "finished",
        "eva@eva.example": "stopped",
        "nobody@kari.example": "paused",
    }
    store.close()


def test_what_was_said_before_is_a_mailbox_like_any_other(old_database):
    migrate_url(old_database)
    store = open_store(old_database)
    with store.reading(SATURDAY) as ledger:
        said = list(ledger.views.messages())
        inbox_id = said[0]["inbox_id"]
        shown = ledger.letters.conversations(Sieve(inbox_id=inbox_id), Slice()).items
        found = ledger.letters.page_of(Sieve(inbox_id=inbox_id, labels=("received",)), Slice()).items
    store.close()

    counted = Counter(each["thread_id"] for each in said)
    assert {each.id: each.message_count for each in shown} == counted
    last = {each["thread_id"]: each["message_id"] for each in said}
    assert {each.id: each.last_message_id for each in shown} == last
    assert {each.message_id for each in found} == {
        each["message_id"] for each in said if each["direction"] == "received"
    }
    assert found


def test_what_the_language_counts_is_known_of_whoever_was_on_their_way(old_database):
    migrate_url(old_database)
    database = create_engine(make_url(old_database).set(drivername=_driver(old_database)))
    with database.connect() as db:
        companies = dict(db.execute(text("SELECT contact, company FROM enrollment")).all())
        letters = db.execute(text('SELECT "to", step, company, domain, opener FROM draft')).all()
    database.dispose()

    assert companies == {
        "ida@ida.example": "ida.example",
        "tom@tom.example": "tom.example",
        "ola@ola.example": "ola.example",
        "nobody@kari.example": "kari.example",
        "eva@eva.example": None,  # she has answered: it is nobody's any more
    }
    assert {(row.to, row.company, row.domain) for row in letters if row.company} == {
        (f"{name}@{name}.example", f"{name}.example", f"{name}.example")
        for name in ("ida", "tom", "ola", "eva")
    }
    assert {(row.step, bool(row.opener)) for row in letters} == {("step-1", True), ("step-2", False)}


def test_an_answer_stops_colleagues_who_were_enrolled_before_the_upgrade(old_database):
    migrate_url(old_database)
    store, clock = open_store(old_database), FrozenClock(SATURDAY)
    firm = {"stop": {"reply": "company"}, "enroll": {"per_company": "1"}}
    with store.reading(clock.now()) as ledger:
        [version] = {one["version"] for one in ledger.views.people()}
        was = ledger.enrollments.version(version)
    edited = was.model_validate(was.dump() | firm)
    apply(edited, look(edited, store=store, clock=clock).token, by="kim", store=store, clock=clock)

    with store.transaction(clock.now(), "a test") as ledger:
        colleague = prepare(Prospect(email="per@ida.example", variables={"first_name": "Per"}), edited)
        assert isinstance(enroll(colleague, ledger=ledger), Skipped)
    boss = reply("thr_unknown", id="evt_boss", message_id="<boss@ida.example>", sender="boss@ida.example")
    react(boss, b"", store=store, clock=clock, pace=Pace())
    states = {one["email"]: one["stop_reason"] for one in people(store, clock.now())}
    assert states["ida@ida.example"] == "replied"
    assert states["tom@tom.example"] is None
    store.close()


def _driver(url: str) -> str:
    return "sqlite" if url.startswith("sqlite") else "postgresql+psycopg"
