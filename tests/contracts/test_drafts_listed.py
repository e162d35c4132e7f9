"""Lists of drafts, by what a naive reader would say, and by what they may cost."""

from dataclasses import replace
from datetime import timedelta
from itertools import product

import pytest
from sqlalchemy import event, update

from engine.model import NEVER
from engine.states import DraftState
from engine.store.pages import Slice
from engine.store.tables import inbox
from engine.store.written import Filed, Which
from engine.wish import Author, Wish, draft_of

AUTHOR = Author(id="somebody")
INBOXES = ("kim@acme.example", "lou@acme.example", "sam@acme.example")
STATES = (DraftState.WRITTEN, DraftState.SCHEDULED, DraftState.HELD, DraftState.FAILED, DraftState.SENT)
CALLED = ((), ("red",), ("red", "blue"), ("blue",))
LABELS = [
    (),
    ("scheduled",),
    ("held",),
    ("red",),
    ("nobody's",),
    ("scheduled", "held"),
    ("red", "scheduled"),
    ("scheduled", "red"),
    ("red", "blue"),
    ("blue", "red", "held"),
    ("red", "nobody's"),
    ("red", "red"),
]


@pytest.fixture
def written(store, clock) -> list[Filed]:
    """A draft of every kind in each of three inboxes, one of them in a pod; four bear the same instant."""
    names = []
    for number, (state, called, where) in enumerate(product(STATES, CALLED, INBOXES)):
        clock.pass_(timedelta(minutes=1 if number % 4 == 0 else 0))
        with store.transaction(clock.now(), AUTHOR.id) as ledger:
            ledger.threads.open_inbox(where)
            made = draft_of(Wish(inbox_id=where, text="x", labels=called), by=AUTHOR, ledger=ledger)
            ledger.written.make(replace(made, state=state, send_at=NEVER))
            names.append(made.id)
    with store.database.begin() as db:
        db.execute(update(inbox).where(inbox.c.id == "kim@acme.example").values(pod_id="pod_of_kim"))
    with store.reading(clock.now()) as ledger:
        return [found for name in names if (found := ledger.written.get(name))]


def _so(filed: Filed, which: Which) -> bool:
    """What `Which` says, word for word."""
    draft = filed.draft
    called = {*draft.labels, draft.state}
    return (
        draft.state != DraftState.SENT
        and which.inbox_id in (None, draft.inbox_id)
        and (which.pod_id is None or draft.inbox_id == "kim@acme.example")
        and called >= set(which.labels)
        and (which.before is None or filed.edited_at < which.before)
        and (which.after is None or filed.edited_at > which.after)
    )


def _asked(written: list[Filed]) -> list[Which]:
    moments = [filed.edited_at for filed in written]
    early, late = moments[len(moments) // 5], moments[len(moments) * 4 // 5]
    places = [
        Which(),
        Which(after=early, before=late),
        Which(pod_id="pod_of_kim"),
        Which(pod_id="pod_of_kim", before=late),
        Which(inbox_id="sam@acme.example"),
        Which(inbox_id="sam@acme.example", after=early, before=late),
    ]
    return [replace(place, labels=labels) for place, labels in product(places, LABELS)]


@pytest.mark.parametrize("ascending", [False, True])
def test_every_list_has_what_it_should_a_page_at_a_time(store, clock, written, ascending):
    with store.reading(clock.now()) as ledger:
        for which in _asked(written):
            wanted = sorted(
                ((filed.edited_at, filed.draft.id) for filed in written if _so(filed, which)),
                reverse=not ascending,
            )
            found, part = [], Slice(limit=4, ascending=ascending)
            while True:
                page = ledger.written.page_of(which, part)
                found += [(filed.edited_at, filed.draft.id) for filed in page.items]
                if page.next is None:
                    break
                part = replace(part, after=page.next)
            assert found == wanted, which


@pytest.mark.parametrize("ascending", [False, True])
def test_no_list_reads_or_sorts_more_than_its_page(store, clock, written, ascending):
    """SQLite tells it plainly; what PostgreSQL does with a million drafts is for bench/mailbox.py to say."""
    if store.database.dialect.name != "sqlite":
        return
    said = []

    def note(_db, _cursor, statement, parameters, _context, _many):
        said.append((statement, parameters))

    event.listen(store.database, "before_cursor_execute", note)
    with store.reading(clock.now()) as ledger:
        for which in _asked(written):
            said.clear()
            first = ledger.written.page_of(which, Slice(limit=1, ascending=ascending))
            ledger.written.page_of(which, Slice(limit=4, after=first.next, ascending=ascending))
            for step in _steps(store, said):
                assert "TEMP B-TREE" not in step, which
                walked_through = step.startswith("SCAN draft")
                assert not walked_through or (step.endswith("draft_shown_all") and not which.labels), which


def _steps(store, said):
    with store.database.connect().execution_options(relent_reading=True) as db:
        for statement, parameters in [each for each in said if each[0].startswith("SELECT")]:
            yield from (row[-1] for row in db.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters))
