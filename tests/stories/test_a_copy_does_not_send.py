"""A database that was put back to yesterday, or copied, sends nothing until a human says that it may."""

import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from engine.approve import Reviewer, approve_restored
from engine.dispatch import dispatch_due
from engine.errors import NotFound
from engine.members import Members
from engine.react import Stopped, react
from engine.recover import recover
from engine.safe import Held, arrive, ask_the_mailbox, look, resume
from engine.seams import Trace
from engine.store import Store, open_store
from engine.wake import wake_due
from engine.witness import Memory, StateFile, Witness
from tests.backups import Backup, cloned
from tests.makers import IDA, enrolled, pending, people, reply, sequence

DAY = timedelta(days=1)
_NOBODY = 65534


@dataclass
class Machine:
    """Whoever sends from this database: what they remember of it lies in a folder of theirs."""

    store: Store
    clock: object
    witness: Witness

    def opens(self) -> Memory | None:
        return arrive(self.witness, store=self.store, clock=self.clock)

    def brake(self) -> str | None:
        with self.store.reading(self.clock.now()) as ledger:
            found = ledger.watch.braked()
        return found and found.why

    def looks(self, memory: Memory | None) -> Memory | None:
        return look(memory, self.witness, store=self.store, clock=self.clock)

    def resumes(self):
        return resume(self.witness, by="kim", store=self.store, clock=self.clock)


def machine(store, clock, folder: Path) -> Machine:
    folder.mkdir(exist_ok=True)
    return Machine(store, clock, StateFile(folder, "relent.db.state"))


@pytest.fixture
def here(store, clock, tmp_path) -> Machine:
    return machine(store, clock, tmp_path / "here")


@pytest.fixture
def sends(mailbox, pace):
    """What is due leaves; to whom it went."""

    def send(of: Machine) -> list[str]:
        before = len(mailbox.sent)
        recover(store=of.store, mailbox=mailbox, clock=of.clock, pace=pace)
        wake_due(store=of.store, clock=of.clock)
        list(dispatch_due(store=of.store, mailbox=mailbox, clock=of.clock, pace=pace))
        return [letter.to for letter in mailbox.sent[before:]]

    return send


@pytest.fixture
def restored(here, clock, tmp_path, sends) -> Machine:
    """Ida got her second letter after the backup was made. The backup does not know that."""
    enrolled(here.store, clock.now())
    here.opens()
    assert sends(here) == [IDA]
    backup = Backup(here.store, tmp_path)
    clock.pass_(3 * DAY)
    assert sends(here) == [IDA]
    assert here.looks(here.opens())
    backup.put_back()
    return here


# --- what must brake ---


def test_what_left_after_a_backup_does_not_leave_again_when_it_is_put_back(restored, sends):
    assert restored.opens() is None

    assert sends(restored) == []
    assert restored.brake().startswith("restored: it has forgotten what it knew on Thu 05 Mar 2026 09:00:00")
    [held] = pending(restored.store, restored.clock.now())
    assert (held["step"], held["state"], held["reason"]) == ("step-2", "held", "restored")


def test_whoever_was_in_when_the_backup_was_made_is_not_in_any_more(here, clock, tmp_path):
    """Perhaps they were shut out since, and the backup has forgotten that."""
    members = Members(store=here.store, clock=here.clock)
    link = members.invite("kim@acme.example", "admin", by="a test")
    guest = members.accept(link.token, name="Kim", password="a long enough password")
    open_link = members.invite("lea@acme.example", "admin", by="a test")
    enrolled(here.store, clock.now())
    here.opens()
    backup = Backup(here.store, tmp_path)
    clock.pass_(timedelta(minutes=5))
    with here.store.transaction(clock.now(), "a test") as ledger:
        ledger.enrollments.pause([person["enrollment_id"] for person in people(here.store, clock.now())], "x")
    assert here.looks(here.opens())
    backup.put_back()
    assert here.opens() is None

    assert members.know(guest.token) is None
    with pytest.raises(NotFound):
        members.accept(open_link.token, name="Lea", password="a long enough password")


def test_it_stays_so_however_often_it_is_started_and_whatever_becomes_due(restored, clock, sends):
    restored.opens()
    clock.pass_(5 * DAY)
    assert restored.opens() is None
    assert sends(restored) == []


def test_a_log_that_has_grown_again_is_another_log(restored, clock):
    for number in range(30):
        enrolled(restored.store, clock.now(), f"p{number}@nordic.example")
    assert restored.opens() is None


def test_a_backup_of_a_time_before_anything_was_sent_is_known_too(here, clock, tmp_path):
    enrolled(here.store, clock.now())
    backup = Backup(here.store, tmp_path)
    here.opens()
    backup.put_back()
    assert here.opens() is None


def test_a_database_that_is_put_back_under_the_feet_of_a_worker_is_noticed(here, clock, tmp_path, sends):
    enrolled(here.store, clock.now())
    memory = here.opens()
    backup = Backup(here.store, tmp_path)
    sends(here)
    memory = here.looks(memory)
    backup.put_back()

    assert here.looks(memory) is None
    assert sends(here) == []


def test_a_copy_of_the_file_sends_nothing_and_the_original_goes_on(empty_sqlite, clock, tmp_path, sends):
    original = _of_a_file(Path(shutil.copy(empty_sqlite, tmp_path / "relent.db")), clock)
    enrolled(original.store, clock.now())
    original.opens()
    (tmp_path / "elsewhere").mkdir()
    for name in ("relent.db", "relent.db.state"):  # the whole folder, say
        shutil.copy2(tmp_path / name, tmp_path / "elsewhere" / name)
    copy = _of_a_file(tmp_path / "elsewhere" / "relent.db", clock)

    assert copy.opens() is None
    assert sends(copy) == []
    assert "it is another file than the one that was here" in copy.brake()
    assert original.opens()
    assert sends(original) == [IDA]
    copy.store.close()
    original.store.close()


def test_a_backup_of_the_file_and_of_its_state_file_is_a_copy_as_well(empty_sqlite, clock, tmp_path, sends):
    """Everything put back at once, and the disk gives out the same numbers again: the file was born another time."""
    path = Path(shutil.copy(empty_sqlite, tmp_path / "relent.db"))
    original = _of_a_file(path, clock)
    enrolled(original.store, clock.now())
    original.opens()
    original.store.close()
    shutil.copytree(tmp_path, tmp_path / "backup")
    for name in ("relent.db", "relent.db.state"):
        (tmp_path / name).unlink()
        shutil.copy2(tmp_path / "backup" / name, tmp_path / name)

    again = _of_a_file(path, clock)
    assert again.opens() is None
    assert sends(again) == []
    again.store.close()


def test_a_database_made_from_another_one_sends_nothing_from_a_machine_that_has_never_seen_it(
    postgres_url, store_on_postgresql, clock, tmp_path, sends
):
    original = machine(store_on_postgresql, clock, tmp_path / "here")
    enrolled(original.store, clock.now())
    original.opens()
    original.store.close()
    with cloned(postgres_url) as url:
        copy = machine(open_store(url), clock, tmp_path / "there")
        assert copy.opens() is None
        assert sends(copy) == []
        assert "it was another database on its server" in copy.brake()
        copy.store.close()
    assert original.opens()


@pytest.mark.parametrize("content", [None, "", "{}", "half a fi"])
def test_without_its_state_file_nobody_knows_what_a_file_has_forgotten(
    empty_sqlite, clock, tmp_path, content, sends
):
    here = _of_a_file(Path(shutil.copy(empty_sqlite, tmp_path / "relent.db")), clock)
    enrolled(here.store, clock.now())
    here.opens()
    state = tmp_path / "relent.db.state"
    state.unlink() if content is None else state.write_text(content)

    assert here.opens() is None
    assert "state file beside it is gone" in here.brake()
    here.resumes()
    assert here.opens()
    here.store.close()


# --- what must not ---


def test_whoever_opens_it_for_the_first_time_or_again_is_not_held_up(here, clock, sends):
    enrolled(here.store, clock.now())
    assert here.opens()
    assert sends(here) == [IDA]
    assert here.opens()
    clock.pass_(3 * DAY)
    assert here.opens()
    assert sends(here) == [IDA]
    assert here.brake() is None


class _Dies(StateFile):
    """Its process is killed when it writes for the second time, right after the commit of a first arrival."""

    written = 0

    def remember(self, memory: Memory) -> None:
        self.written += 1
        if self.written == 2:
            raise KeyboardInterrupt
        super().remember(memory)


def test_whoever_is_killed_on_the_first_day_right_after_the_commit_is_known_again(
    here, clock, tmp_path, sends
):
    enrolled(here.store, clock.now())
    first = Machine(here.store, clock, _Dies(tmp_path / "here", "relent.db.state"))
    with pytest.raises(KeyboardInterrupt):
        first.opens()
    assert here.opens()
    assert here.brake() is None
    assert sends(here) == [IDA]


def test_whoever_is_killed_on_the_first_day_right_before_the_commit_begins_anew(here, clock, sends):
    enrolled(here.store, clock.now())
    with here.store.reading(clock.now()) as ledger:
        here.witness.remember(ledger.lineage.book().memory(clock.now()))
    assert here.opens()
    assert here.brake() is None
    assert sends(here) == [IDA]


def test_many_who_open_it_for_the_first_time_at_one_moment_are_one_house(here, clock):
    with ThreadPoolExecutor(6) as hands:
        remembered = list(hands.map(lambda _: here.opens(), range(6)))
    assert len({each.boot for each in remembered if each}) == 1
    assert None not in remembered
    assert here.brake() is None


def test_what_was_not_remembered_before_a_process_was_killed_does_no_harm(here, clock, sends):
    memory = here.opens()
    for number in range(5):  # and nobody looked
        enrolled(here.store, clock.now(), f"p{number}@nordic.example")
    sends(here)
    assert here.opens().line > (memory.line or 0)
    assert here.brake() is None


def test_a_second_machine_joins_a_house_that_runs_and_one_that_was_away_comes_back(
    store_on_postgresql, clock, tmp_path, sends
):
    first = machine(store_on_postgresql, clock, tmp_path / "first")
    second = machine(store_on_postgresql, clock, tmp_path / "second")
    enrolled(first.store, clock.now())
    assert first.opens()
    assert second.opens()
    sends(first)
    clock.pass_(30 * DAY)
    assert first.opens()
    assert second.opens()
    assert first.brake() is None


def test_a_folder_may_be_moved(empty_sqlite, clock, tmp_path):
    (tmp_path / "here").mkdir()
    here = _of_a_file(Path(shutil.copy(empty_sqlite, tmp_path / "here" / "relent.db")), clock)
    here.opens()
    here.store.close()
    (tmp_path / "here").rename(tmp_path / "there")

    there = _of_a_file(tmp_path / "there" / "relent.db", clock)
    assert there.opens()
    there.store.close()


def test_whoever_begins_anew_in_the_same_place_is_not_held_up(empty_sqlite, clock, tmp_path):
    path = Path(shutil.copy(empty_sqlite, tmp_path / "relent.db"))
    first = _of_a_file(path, clock)
    first.opens()
    first.store.close()
    path.unlink()
    path.with_name("relent.db-wal").unlink(missing_ok=True)

    second = _of_a_file(path, clock)
    enrolled(second.store, clock.now())
    assert second.opens()
    second.store.close()


def test_whoever_cannot_write_the_state_file_is_told_so_and_works_on(store, clock, tmp_path, caplog):
    nowhere = Machine(store, clock, StateFile(tmp_path / "not there", "relent.db.state"))
    assert nowhere.opens()
    assert "could not be written" in caplog.text
    assert "database.state" in caplog.text


@contextmanager
def _as_an_ordinary_user():
    """Root may write everywhere."""
    was = os.geteuid()
    if was == 0:
        os.seteuid(_NOBODY)
    try:
        yield
    finally:
        os.seteuid(was)


def test_a_folder_that_may_not_be_written_is_told_before_it_is_relied_on():
    with TemporaryDirectory() as name:  # where every user may look, unlike what pytest makes
        folder = Path(name)
        file = StateFile(folder, "relent.db.state")
        folder.chmod(0o777)
        with _as_an_ordinary_user():
            assert file.trouble() is None
            assert "there is no folder" in StateFile(folder / "not there", "relent.db.state").trouble()
        folder.chmod(0o555)
        with _as_an_ordinary_user():
            assert "may not be written" in file.trouble()
        assert list(folder.iterdir()) == []
        folder.chmod(0o700)


# --- what a human says ---


def test_answers_are_heard_meanwhile_and_stop_what_is_held(restored, clock, pace):
    restored.opens()
    [person] = people(restored.store, clock.now())
    outcome = react(reply(person["thread_id"]), b"", store=restored.store, clock=clock, pace=pace)
    assert isinstance(outcome, Stopped)
    assert pending(restored.store, clock.now()) == []


def test_a_human_lets_go_and_what_may_have_left_still_waits_for_a_word(restored, clock, sends):
    restored.opens()
    enrolled(restored.store, clock.now() + DAY, "tom@harbour.example")

    released = restored.resumes()

    assert released.doubt.startswith("it has forgotten")
    assert (released.restored, released.scheduled, released.due) == (1, 1, 0)
    assert restored.brake() is None
    assert sends(restored) == []
    assert restored.opens()
    clock.pass_(DAY)
    assert sends(restored) == ["tom@harbour.example"]

    assert len(list(approve_restored(by=Reviewer(id="kim"), store=restored.store, clock=clock))) == 1
    assert sends(restored) == [IDA]


def test_what_came_due_before_the_human_spoke_may_have_left_the_twin(restored, clock, sends):
    restored.opens()
    enrolled(restored.store, clock.now() + DAY, "tom@harbour.example")
    clock.pass_(2 * DAY)
    assert restored.resumes().held == Held(drafts=1, people=0)
    assert sends(restored) == []


def test_whoever_should_have_woken_in_the_time_that_is_lost_waits_for_a_human(here, clock, tmp_path, sends):
    wait = {
        "id": "wait",
        "wait_for": "meeting_booked",
        "up_to": "1d",
        "then": [],
        "else": [{"id": "two", "body": "Two"}],
    }
    waits = sequence({"subject": "Hello", "body": "One"}, wait)
    enrolled(here.store, clock.now(), wants=waits)
    here.opens()
    sends(here)
    backup = Backup(here.store, tmp_path)
    clock.pass_(2 * DAY)
    sends(here)
    here.looks(here.opens())
    backup.put_back()

    here.opens()
    here.resumes()

    assert sends(here) == []
    [person] = people(here.store, clock.now())
    assert person["state"] == "paused"
    assert person["reason"].startswith("restored: it has forgotten")


def test_other_machines_learn_that_a_human_has_seen_to_it(store_on_postgresql, clock, tmp_path, sends):
    first = machine(store_on_postgresql, clock, tmp_path / "first")
    second = machine(store_on_postgresql, clock, tmp_path / "second")
    enrolled(first.store, clock.now())
    first.opens()
    second.opens()
    backup = Backup(first.store, tmp_path)
    sends(first)
    known = second.looks(second.opens())
    first.looks(first.opens())
    backup.put_back()

    assert first.opens() is None
    first.resumes()
    clock.pass_(timedelta(seconds=5))

    assert second.looks(known)  # a process that was running all the time
    assert second.opens()  # and one that is started
    assert first.opens()
    assert first.brake() is None


def test_who_saw_more_than_the_one_who_let_go_brakes_once_more(store_on_postgresql, clock, tmp_path, sends):
    """Another backup is put back after a human let this one go: whoever remembers that word knows."""
    first = machine(store_on_postgresql, clock, tmp_path / "first")
    enrolled(first.store, clock.now())
    first.opens()
    backup = Backup(first.store, tmp_path)
    sends(first)
    first.looks(first.opens())
    for _ in range(2):
        backup.put_back()
        assert first.opens() is None
        first.resumes()
        assert first.opens()


def test_a_human_may_say_so_before_anybody_has_opened_it(restored):
    assert restored.resumes().doubt
    assert restored.opens()


def test_nobody_who_lets_go_of_a_brake_of_theirs_lets_go_of_this_one(restored, clock):
    with restored.store.transaction(clock.now(), "the canary") as ledger:
        ledger.watch.brake("canary: no answer was heard")
    restored.opens()
    assert restored.brake().startswith("restored: ")
    with restored.store.transaction(clock.now(), "the canary") as ledger:
        ledger.watch.release("canary: it sings")  # whoever does not ask whose brake it is
    assert restored.looks(None) is None
    assert restored.brake().startswith("restored: ")


def test_a_mailbox_that_remembers_says_what_has_left(restored, clock, mailbox):
    restored.opens()
    mailbox.knows = Trace.UNKNOWN
    assert ask_the_mailbox(store=restored.store, mailbox=mailbox, clock=clock) == 0
    mailbox.knows = Trace.ABSENT  # so it says today; it may not have heard yet
    assert ask_the_mailbox(store=restored.store, mailbox=mailbox, clock=clock) == 0
    mailbox.knows = Trace.FOUND
    assert ask_the_mailbox(store=restored.store, mailbox=mailbox, clock=clock) == 1

    every = pending(restored.store, clock.now(), ended=True)
    assert {(draft["step"], draft["state"]) for draft in every} == {
        ("step-1", "sent"),
        ("step-2", "sent"),
        ("step-3", "scheduled"),
    }


def test_the_state_file_is_written_wholly_and_half_ones_are_cleared_away(here, clock, tmp_path):
    here.opens()
    folder = tmp_path / "here"
    [state] = folder.iterdir()
    assert json.loads(state.read_text())["about"].startswith("Written by Relent")
    memory = here.witness.recall("any")
    left, just_now, not_ours = (
        folder / f"relent.db.state.{end}" for end in ("0123456789abcdef", "fedcba9876543210", "20260302")
    )
    for each in (left, just_now, not_ours):
        each.write_text("{")
    for each in (left, not_ours):
        os.utime(each, (0, 0))
    machine(here.store, clock, folder).witness.remember(replace(memory, line=7))
    assert here.witness.recall("any").line == 7
    assert set(folder.iterdir()) == {state, just_now, not_ours}


def test_two_who_have_one_number_write_two_files(here, tmp_path, monkeypatch):
    """In two containers, say, that share a folder."""
    here.opens()
    memory = here.witness.recall("any")
    other = StateFile(tmp_path / "here", "relent.db.state")
    flush = os.fsync

    def in_between(number: int) -> None:
        monkeypatch.setattr(os, "fsync", flush)
        other.remember(replace(memory, line=8))
        flush(number)

    monkeypatch.setattr(os, "fsync", in_between)
    here.witness.remember(replace(memory, line=700_000_000))
    assert here.witness.recall("any").line == 700_000_000
    assert len(list((tmp_path / "here").iterdir())) == 1


def _of_a_file(path: Path, clock) -> Machine:
    return Machine(open_store(f"sqlite:///{path}"), clock, StateFile(path.parent, f"{path.name}.state"))


@pytest.fixture
def store_on_postgresql(emptied_on_postgresql):
    store = open_store(emptied_on_postgresql)
    yield store
    store.close()
