"""How we fare, in numbers: what was done is counted, what stands in the database is asked, and nobody is named."""

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import event
from sqlalchemy.exc import OperationalError
from starlette.testclient import TestClient

from engine import canary
from engine.addresses import CANARY, CANARYS_READER
from engine.canary import Flight
from engine.enroll import enroll, prepare
from engine.errors import NoAnswer, PermanentFailure, TemporaryFailure
from engine.keys import Keyring
from engine.model import Prospect
from engine.seams import Trace
from engine.store import Store, open_store
from engine.store.watch import drift
from relent.assemble import House
from relent.config import Canary
from relent.exposition import Lookout
from relent.metrics import NUMBERS
from relent.watching import Presence
from relent.web import create_app
from relent.worker import Worker
from tests.makers import IDA, enrolled, open_thread, pending, received, signed
from tests.relent.processes import ROOT, Folder

Numbers = dict[str, float]


def numbers(text: str) -> Numbers:
    """`name{label=value}`: what it is."""
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            found[sample.name + (f"{{{labels}}}" if labels else "")] = sample.value
    return found


@contextmanager
def sitting_here(house: House) -> Iterator[TestClient]:
    """Somebody at this machine."""
    app = create_app(house, with_worker=False)
    with TestClient(
        app, base_url="http://127.0.0.1:8025", client=("127.0.0.1", 1), raise_server_exceptions=False
    ) as client:
        yield client


@pytest.fixture
def here(house: House) -> Iterator[TestClient]:
    with sitting_here(house) as client:
        yield client


def ask(client: TestClient) -> Numbers:
    answer = client.get("/metrics")
    assert answer.status_code == 200, answer.text
    return numbers(answer.text)


def wait_until(client: TestClient, name: str, seconds: float = 20) -> Numbers:
    """What is counted at leisure may come with the next answer."""
    until = time.monotonic() + seconds
    while name not in (found := ask(client)):
        assert time.monotonic() < until, found
        time.sleep(0.05)
    return found


# --- what was done ---


def test_letters_are_counted_by_what_became_of_them(here, house, store, clock, mailbox):
    failures: list[Exception | None] = [
        None,
        TemporaryFailure("450 not now"),
        PermanentFailure("550 no"),
        NoAnswer("nothing"),
    ]

    def fail(_: object) -> None:
        if error := failures.pop(0):
            raise error

    mailbox.after_gate = fail
    mailbox.knows = Trace.UNKNOWN
    for number in range(4):
        enrolled(store, clock.now(), f"p{number}@nordic.example")
    Worker(house).tick()

    found = ask(here)
    assert {
        each: found[f"relent_letters_total{{outcome={each}}}"]
        for each in ("sent", "postponed", "refused", "uncertain", "called_off")
    } == {"sent": 1, "postponed": 1, "refused": 1, "uncertain": 1, "called_off": 0}
    assert found["relent_sent_total"] == 1
    assert found["relent_uncertain"] == 1


def test_a_letter_that_somebody_posts_is_counted_as_well(here):
    here.headers["Authorization"] = "Bearer anybody"
    inbox = here.post("/v0/inboxes", json={}).json()["inbox_id"]
    wish = {"to": IDA, "subject": "Hello", "text": "Hello"}
    assert here.post(f"/v0/inboxes/{inbox}/messages/send", json=wish).status_code == 200

    assert ask(here)["relent_letters_total{outcome=sent}"] == 1


def test_webhooks_are_counted_by_their_answer_and_what_a_reply_cancels(here, house, store, clock):
    enrolled(store, clock.now())
    Worker(house).tick()
    [bump] = pending(store, clock.now())
    assert ask(here)["relent_cancelled_by_reply_total"] == 0
    post = signed(received(bump["thread_id"]), clock.now())
    assert here.post("/webhooks/agentmail", **post).status_code == 204
    assert here.post("/webhooks/agentmail", **post).status_code == 204
    assert here.post("/webhooks/agentmail", content=b"{}").status_code == 401
    assert (
        here.post("/webhooks/agentmail", **signed(b"[]", clock.now(), delivery_id="msg_2")).status_code == 422
    )

    found = ask(here)
    assert found["relent_webhooks_total{answer=204}"] == 2
    assert found["relent_webhooks_total{answer=401}"] == 1
    assert found["relent_webhooks_total{answer=422}"] == 1
    assert found["relent_webhooks_total{answer=503}"] == 0
    assert found["relent_ack_seconds_count"] == 2
    assert 0 < found["relent_ack_seconds_sum"] < 60
    assert found["relent_cancelled_by_reply_total"] == 1


def test_the_canary_is_not_counted(here, house, store, clock):
    """Else a door that believes only ourselves would look like one that believes the world."""
    with store.transaction(clock.now(), "a test") as ledger:
        ledger.threads.open_inbox(CANARYS_READER)
        enroll(prepare(Prospect(email=CANARYS_READER), canary.sequence()), ledger=ledger)
    Worker(house).tick()
    with store.reading(clock.now()) as ledger:
        [bump] = ledger.views.drafts(canary=True)
    answer = received(bump["thread_id"], inbox_id=CANARY, **{"from": CANARYS_READER, "to": [CANARY]})
    assert (
        here.post("/webhooks/agentmail", **signed(answer, clock.now(), delivery_id="knock_1")).status_code
        == 204
    )
    with store.reading(clock.now()) as ledger:
        assert list(ledger.views.drafts(canary=True)) == [], "her answer was heard"

    before = ask(here)
    assert before["relent_letters_total{outcome=sent}"] == before["relent_sent_total"] == 0
    assert before["relent_webhooks_total{answer=204}"] == before["relent_ack_seconds_count"] == 0
    assert before["relent_cancelled_by_reply_total"] == 0
    here.post(
        "/webhooks/agentmail", **signed(received("thr_1", event_id="evt_2"), clock.now(), delivery_id="msg_2")
    )
    assert ask(here)["relent_webhooks_total{answer=204}"] == 1, "whoever comes after her is counted"


def test_a_no_to_our_own_knock_is_counted(here, clock):
    """Nobody has believed its name; and a door that is shut is shut for others as well."""
    said = signed(b"{}", clock.now(), delivery_id="knock_1")
    assert here.post("/webhooks/agentmail", **said | {"content": b"forged"}).status_code == 401
    assert ask(here)["relent_webhooks_total{answer=401}"] == 1


def test_a_reply_from_an_inbox_of_ours_counts_as_well(here, house, store, clock):
    jon = "jon@acme.example"
    open_thread(store, clock.now(), inbox=jon)
    enrolled(store, clock.now(), jon)
    worker = Worker(house)
    worker.tick()
    here.headers["Authorization"] = "Bearer anybody"
    [letter] = here.get(f"/v0/inboxes/{jon}/messages").json()["messages"]
    reply = here.post(f"/v0/inboxes/{jon}/messages/{letter['message_id']}/reply", json={"text": "Yes."})
    assert reply.status_code == 200, reply.text

    assert ask(here)["relent_cancelled_by_reply_total"] == 1


def test_the_buckets_of_an_answer_reach_from_half_a_millisecond_to_fifteen_seconds(here):
    bounds = [name for name in ask(here) if name.startswith("relent_ack_seconds_bucket")]
    assert bounds[0] == "relent_ack_seconds_bucket{le=0.0005}"
    assert bounds[-2:] == ["relent_ack_seconds_bucket{le=15.0}", "relent_ack_seconds_bucket{le=+Inf}"]


# --- how things stand ---


def test_what_is_due_what_is_late_and_how_long_the_oldest_waits(here, store, clock):
    enrolled(store, clock.now(), "p1@nordic.example")
    enrolled(store, clock.now() + timedelta(seconds=50), "p2@nordic.example")
    enrolled(store, clock.now() + timedelta(days=1), "p3@nordic.example")
    clock.pass_(timedelta(seconds=90))

    found = wait_until(here, "relent_drafts{state=scheduled}")
    assert found["relent_due"] == 2
    assert found["relent_late"] == 1
    assert found["relent_oldest_due_seconds"] == pytest.approx(90, abs=1)
    assert found["relent_drafts{state=scheduled}"] == 3
    assert found["relent_drafts{state=sent}"] == 0
    assert found["relent_in_flight"] == 0
    assert found["relent_database_up"] == 1


def test_what_waits_for_nobody_is_not_late(here, store, clock):
    """Whoever is paused gets nothing, and that is no fault of a worker's."""
    one = enrolled(store, clock.now(), "p1@nordic.example")
    enrolled(store, clock.now(), "p2@nordic.example")
    with store.transaction(clock.now(), "a test") as ledger:
        ledger.enrollments.pause([one], "a human says so")
    clock.pass_(timedelta(minutes=5))

    found = ask(here)
    assert (found["relent_due"], found["relent_late"]) == (1, 1)
    assert found["relent_oldest_due_seconds"] == pytest.approx(300, abs=1)


def test_a_long_queue_is_counted_too(here, store, clock):
    """Of the first of them everything is known; how many there are is known of all."""
    with store.transaction(clock.now(), "a test") as ledger:
        ledger.threads.open_inbox("sam@acme.example")
    for number in range(3):
        enrolled(store, clock.now(), f"p{number}@nordic.example")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("engine.store.glance._LOOKED_AT", 2)
        clock.pass_(timedelta(minutes=5))
        found = ask(here)
    assert (found["relent_due"], found["relent_late"]) == (3, 3)
    assert found["relent_oldest_due_seconds"] == pytest.approx(300, abs=1)


def test_in_flight_is_what_somebody_holds(here, house, store, clock, mailbox):
    enrolled(store, clock.now())
    seen: list[Numbers] = []
    mailbox.before_gate = mailbox.after_gate = lambda letter: seen.append(ask(here))
    Worker(house).tick()

    assert [each["relent_in_flight"] for each in seen] == [1, 1]
    assert ask(here)["relent_in_flight"] == 0


def keeping_a_canary(house: House) -> House:
    hers = Canary(every=timedelta(minutes=5))
    return replace(house, config=house.config.model_copy(update={"canary": hers}))


def test_the_brake_the_drift_and_the_canary_are_told(house, store, clock):
    with store.transaction(clock.now(), "a test") as ledger:
        ledger.watch.brake("a test says so")
        ledger.watch.sign("drift", labels=2, letters=0, found={"labels": 3}, ended_at="yesterday")
        ledger.watch.sign("canary", seconds=0.25)
    clock.pass_(timedelta(seconds=7))

    with sitting_here(keeping_a_canary(house)) as here:
        found = ask(here)
    assert found["relent_braked"] == 1
    assert found["relent_drift{kind=labels}"] == 2
    assert found["relent_drift{kind=letters}"] == 0
    assert len([name for name in found if name.startswith("relent_drift")]) == 2
    assert found["relent_canary_seconds"] == 0.25
    assert found["relent_canary_age_seconds"] == pytest.approx(7, abs=1)


def test_the_canary_ages_until_her_answer_is_in_time_and_is_told_while_she_is_kept(house, store, clock):
    good = Flight(sent_after=0.5, cancelled_after=0.01, answered_after=0.02)
    bad = Flight(why="our own door did not take her answer: it cannot be reached")
    with sitting_here(keeping_a_canary(house)) as here:
        for flight, age in ((bad, 0), (bad, 300), (good, 0), (bad, 300), (bad, 600)):
            canary.judge(flight, limit=timedelta(seconds=5), store=store, clock=clock)
            found = ask(here)
            assert found["relent_canary_age_seconds"] == pytest.approx(age, abs=1)
            assert ("relent_canary_seconds" in found) == (flight is good)
            clock.pass_(timedelta(seconds=300))
    with sitting_here(house) as here:
        assert not [name for name in ask(here) if name.startswith("relent_canary")]


def test_drift_may_be_told_kind_by_kind(store, clock):
    with store.transaction(clock.now(), "a test") as ledger:
        ledger.watch.sign("drift/labels", number=2)
        ledger.watch.sign("drift/letters", nothing="known")
        ledger.watch.sign("drifter", number=9)
        assert drift(ledger.watch.signs()) == {"labels": 2}


def test_the_worker_tells_when_it_last_looked_and_that_it_is_there(here, house, clock):
    assert "relent_tick_lag_seconds" not in ask(here)
    assert ask(here)["relent_workers"] == 0
    worker = Worker(house)
    worker.tick()
    Presence(house, lambda: worker.lag and worker.lag.looked_at).show()
    clock.pass_(timedelta(seconds=20))

    found = ask(here)
    assert found["relent_tick_lag_seconds"] == pytest.approx(20, abs=1)
    assert found["relent_workers"] == 1
    clock.pass_(timedelta(minutes=1))
    assert ask(here)["relent_workers"] == 0


def test_which_relent_it_is(here, store):
    [name] = [name for name in ask(here) if name.startswith("relent_build_info")]
    assert f"database={store.database.dialect.name}" in name


def test_nobody_is_named(here, house, store, clock):
    """Whatever is in the database and in the requests: of people there is nothing in the numbers."""
    enrolled(store, clock.now(), "somebody@very-special.example", first_name="Rumpelstilz")
    Worker(house).tick()
    [bump] = pending(store, clock.now())
    here.post("/webhooks/agentmail", **signed(received(bump["thread_id"]), clock.now()))

    text = here.get("/metrics").text
    assert not re.search("very-special|Rumpelstilz|acme|nordic|drf_|enr_|thr_|evt_", text)


# --- when the database is away ---


def test_it_is_told_that_the_database_is_away_and_what_is_known_without_it(house, monkeypatch):
    with sitting_here(house) as here:
        house.meters.answered(204)
        with monkeypatch.context() as patched:
            patched.setattr(Store, "reading", _away)
            found = ask(here)
        assert found["relent_database_up"] == 0
        assert found["relent_webhooks_total{answer=204}"] == 1
        assert "relent_due" not in found
        assert ask(here)["relent_database_up"] == 1


def _away(*_: object) -> None:
    raise OperationalError("SELECT", {}, Exception("the database is away"))


def test_a_database_that_hangs_is_not_waited_for_and_not_asked_twice():
    asked, hanging = [], [True]

    def look() -> str:
        asked.append("")
        while hanging:
            time.sleep(0.01)
        return "well"

    lookout = Lookout(look, patience=0.05)
    assert [lookout.see(), lookout.see()] == [None, None]
    assert len(asked) == 1
    hanging.clear()
    until = time.monotonic() + 10
    while lookout.see() != "well":
        assert time.monotonic() < until


def test_what_takes_long_is_looked_at_seldom():
    looks = []
    lookout = Lookout(lambda: looks.append("") or len(looks), patience=5, leisure=1000)
    assert lookout.see() == lookout.see() == 1
    assert lookout.seen == 1


# --- at a million ---


@pytest.fixture
def sqlite_store(empty_sqlite: Any, tmp_path: Any) -> Iterator[Store]:
    import shutil

    store = open_store(f"sqlite:///{shutil.copy(empty_sqlite, tmp_path / 'relent.db')}")
    yield store
    store.close()


def test_a_look_walks_through_no_table(sqlite_store, clock):
    """Each statement goes by an index of those rows only that it is about, however many others there are."""
    statements: list[tuple[str, Any]] = []

    @event.listens_for(sqlite_store.database, "before_cursor_execute")
    def note(_db: Any, _cursor: Any, statement: str, values: Any, *_: Any) -> None:
        statements.append((statement, values))

    with sqlite_store.reading(clock.now()) as ledger:
        ledger.glance.standing()
    asked = [each for each in statements if "FROM draft" in each[0]]
    assert len(asked) == 6
    with sqlite_store.database.connect() as db:
        for statement, values in asked:
            plan = [row[-1] for row in db.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)]
            on_drafts = [step for step in plan if re.match(r"(SCAN|SEARCH) draft\b", step)]
            assert len(on_drafts) == 1, plan
            assert re.match(
                r"SEARCH draft USING (COVERING )?INDEX draft_(due|open|releasing|doubtful) ", on_drafts[0]
            ), plan


# --- whom it is shown to ---


def _get(client: TestClient, **headers: str) -> int:
    return client.get(
        "/metrics", headers={name.replace("_", "-"): value for name, value in headers.items()}
    ).status_code


def test_whoever_sits_at_this_machine_needs_no_key(here):
    assert _get(here) == 200
    assert _get(here, host="localhost:8025") == 200
    assert _get(here, host="[::1]:8025") == 200


def test_a_name_that_was_made_to_point_here_is_not_this_machine(here):
    assert _get(here, host="evil.example") == 401


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP", "Via"])
def test_whoever_is_passed_on_by_somebody_who_sits_here_does_not_sit_here(here, header):
    assert _get(here, **{header: "127.0.0.1"}) == 401


def test_from_elsewhere_only_with_a_key(house, store, clock):
    keyring = Keyring(store=store, clock=clock)
    reader = keyring.make(name="prometheus", permissions={"read": True})
    blind = keyring.make(name="blind", permissions={"inbox_read": True})
    with TestClient(
        create_app(house, with_worker=False), base_url="http://127.0.0.1:8025", client=("192.0.2.7", 1)
    ) as client:
        answer = client.get("/metrics")
        assert answer.status_code == 401
        assert answer.json()["code"] == "missing_authorization"
        assert _get(client, authorization="Bearer nonsense") == 401
        assert _get(client, authorization="nonsense") == 401
        assert _get(client, authorization=f"Bearer {reader.secret}") == 200
        assert _get(client, authorization=f"Bearer {blind.secret}") == 403


def test_a_key_for_one_inbox_does_not_open_everybodys_numbers(here, store, clock):
    open_thread(store, clock.now())
    narrow = Keyring(store=store, clock=clock).make(
        name="narrow", permissions={"read": True}, scope="inbox", scope_id="sam@acme.example"
    )
    assert _get(here, authorization=f"Bearer {narrow.secret}") == 403


def test_prometheus_gets_the_kind_of_text_that_it_asks_for(here):
    plain = here.get("/metrics")
    assert plain.headers["content-type"].startswith("text/plain; version=0.0.4")
    open_metrics = here.get("/metrics", headers={"accept": "application/openmetrics-text; version=1.0.0"})
    assert open_metrics.headers["content-type"].startswith("application/openmetrics-text")
    assert open_metrics.text.endswith("# EOF\n")


# --- several processes ---

_TOGETHER = """
import os
from prometheus_client import generate_latest
from relent.metrics import Meters, counting_together

class All:
    def collect(self):
        return meters.collect()

with counting_together():
    for number in (1, 2):
        child = os.fork()
        if child == 0:
            meters = Meters()
            for _ in range(number):
                meters.acknowledged(0.002)
            os._exit(0)
        os.waitpid(child, 0)
    if os.fork() == 0:
        meters = Meters()
        meters.answered(401)
        print(generate_latest(All()).decode(), flush=True)
    else:
        os.wait()
        parent = os.environ["PROMETHEUS_MULTIPROC_DIR"]
        assert os.path.isdir(parent)
        os.environ["FOLDER"] = parent
if "FOLDER" in os.environ:
    assert not os.path.exists(os.environ["FOLDER"])
"""


def test_whichever_process_of_a_crew_is_asked_answers_for_all_of_them():
    """Also for those who have died meanwhile; and a child that ends takes nobody's numbers along."""
    done = subprocess.run(
        [sys.executable, "-c", _TOGETHER], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    found = numbers(done.stdout)
    assert found["relent_webhooks_total{answer=204}"] == 3
    assert found["relent_webhooks_total{answer=401}"] == 1
    assert found["relent_ack_seconds_count"] == 3
    assert found["relent_ack_seconds_bucket{le=0.002}"] == 3


def test_a_worker_shows_its_own_on_a_port_of_this_machine(tmp_path, database_url):
    folder = Folder(tmp_path / "house", database_url)
    folder.run("enroll", "seconds.yaml", "--email", IDA, "--var", "first_name=Ida")
    worker = folder.start("work", "--metrics", str(folder.port))
    try:
        folder.wait_for(lambda: folder.get("/metrics") == 200)
        folder.wait_for(lambda: numbers(folder.text("/metrics")).get("relent_sent_total"))
        found = numbers(folder.text("/metrics"))
        assert found["relent_workers"] == 1
        assert found["relent_tick_lag_seconds"] < 30
        assert folder.get("/else") == 404
    finally:
        worker.terminate()
        assert worker.wait(20) == 0
    assert folder.json("status")["workers"] == []


def test_a_port_that_is_taken_is_told_in_words(folder):
    with folder.serving():
        assert "could not listen" in folder.run("work", "--metrics", str(folder.port), code=1)


@pytest.fixture
def folder(tmp_path: Any, database_url: str) -> Folder:
    return Folder(tmp_path / "house", database_url)


# --- what is said of them ---


def test_every_number_that_is_told_is_one_that_is_known(house, store, clock):
    """And the other way round."""
    with store.transaction(clock.now(), "a test") as ledger:
        ledger.watch.sign("drift", labels=2)
        ledger.watch.sign("canary", seconds=1)
    with sitting_here(keeping_a_canary(house)) as here:
        Worker(house).tick()
        wait_until(here, "relent_drafts{state=sent}")
        families = {
            family.name: family
            for family in text_string_to_metric_families(here.get("/metrics").text)
            if not family.name.startswith("process_")  # the library's own, on Linux
        }
    known = {number.name.removesuffix("_total"): number for number in NUMBERS}
    assert set(families) == set(known)
    for name, family in families.items():
        assert family.type == known[name].kind
        assert family.documentation == known[name].says
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        assert labels == set(known[name].labels), name
