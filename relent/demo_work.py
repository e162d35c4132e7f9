"""What the demo leaves for a human: letters that wait for a yes, a few of them odd, and some that are planned."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from importlib.resources import files
from pathlib import Path

from engine.approve import Reviewer, approve
from engine.enroll import enroll, prepare
from engine.model import Prospect
from engine.sequence import Sequence
from relent.assemble import House
from relent.demo_house import VirtualClock
from relent.worker import Worker
from sequences.loader import parse

#: Who said yes while nobody looked.
SAM = Reviewer(id="sam@acme.example", names=frozenset({"sam@acme.example"}))
#: Her letter waits for a yes, and she answers before anybody has looked at it long.
MIA = "mia@ropery.example"

_Person = tuple[str, str, dict[str, str]]

#: Written to on Monday; what comes next waits for a yes.
_KNOWN: tuple[_Person, ...] = (
    (
        "Mia",
        MIA,
        {"company": "Mia's Ropery", "town": "Bergen", "line": "your ropes hold half the harbour, I am told."},
    ),
    (
        "Nils",
        "nils@sawmill.example",
        {"company": "Sawmill Nilsen", "town": "Voss", "line": "I walked past your new drying shed in March."},
    ),
    (
        "Olga",
        "olga@clockworks.example",
        {
            "company": "Clockworks Olga",
            "town": "Moss",
            "line": "your tower clock keeps my whole street in time.",
        },
    ),
)

#: Nobody has written to them yet.
_NEW: tuple[_Person, ...] = (
    (
        "Per",
        "per@cooperage.example",
        {
            "company": "Cooper & Per",
            "town": "Moss",
            "line": "your barrels came up twice at the brewers' evening.",
        },
    ),
    (
        "Quinn",
        "quinn@lantern.example",
        {
            "company": "Lantern Hall",
            "town": "Hamar",
            "line": "I read your piece on night work with a pencil.",
        },
    ),
    (
        "Rosa",
        "rosa@pottery.example",
        {"company": "", "town": "Skien", "line": "your blue glaze stands on our kitchen table."},
    ),
    (
        "Sven",
        "sven@lindqvist.example",
        {
            "company": (
                "Lindqvist & Lindqvist Förvaltnings- och Utvecklingsaktiebolag, formerly Lindqvist Brothers Steam "
                "Laundry and Mangle, with its branches in Arvika, Karlstad, Kongsvinger and Hamar"
            ),
            "town": "Hamar",
            "line": "may I say how much I admire a laundry that has survived three owners and two fires? "
            * 6,
        },
    ),
    (
        "Tove",
        "tove@bindery.example",
        {
            "company": "Tove's Bindery",
            "town": "Voss",
            "line": "the atlas that you bound for my aunt is still in use.",
        },
    ),
    (
        "Uma",
        "uma@seeds.example",
        {
            "company": "Seed House Uma",
            "town": "Bergen",
            "line": "your catalogue is the best reading of my February.",
        },
    ),
    (
        "Wim",
        "wim@ferries.example",
        {
            "company": "Fjord Ferries",
            "town": "Bergen",
            "line": "your morning boat has never once left without me.",
        },
    ),
    (
        "Yara",
        "yara@glashuette.example",
        {
            "company": "Glashütte am Fjord",
            "town": "Skien",
            "line": (
                "Ihr Vortrag über die Nachtschichten in der Glashütte hat mir sehr gut gefallen, und ich würde "
                "gerne mehr darüber hören, wie Sie das mit den Öfen am Wochenende halten."
            ),
        },
    ),
)

#: Their next letter has its hour already.
_PLANNED: tuple[_Person, ...] = (
    ("Anna", "anna@weaver.example", {"company": "Anna Weaves"}),
    ("Bo", "bo@chandlery.example", {"company": "Ship Chandler Bo"}),
    ("Carl", "carl@quarry.example", {"company": "Granite Carl"}),
    ("Dora", "dora@mapworks.example", {"company": "Dora's Maps"}),
)


#: How many letters wait for a human when everything is laid out.
WAITING = len(_KNOWN) + len(_NEW)


def lay_out(house: House, clock: VirtualClock, end: datetime, folder: Path) -> None:
    """Until the month's end, quietly."""
    question, visits = (
        _kept("sequences", "quick-question.yaml", folder),
        _kept("relent", "spring-visits.yaml", folder),
    )
    worker = Worker(house)
    clock.move_to(end - timedelta(days=3))
    _enter(_KNOWN, visits, house, clock)
    _say_yes(house, clock)
    worker.tick()
    clock.move_to(end - timedelta(days=2))
    _enter(_PLANNED[:2], question, house, clock)
    worker.tick()
    clock.move_to(end - timedelta(days=1))
    _enter(_PLANNED[2:], question, house, clock)
    worker.tick()
    clock.move_to(end)
    _enter(_NEW, visits, house, clock)
    worker.tick()


def _kept(package: str, name: str, folder: Path) -> Sequence:
    """Beside the database, as a user would have it."""
    written = files(package).joinpath(name).read_bytes()
    (folder / "sequences").mkdir(exist_ok=True)
    (folder / "sequences" / name).write_bytes(written)
    return parse(written, name)


def _enter(people: Iterable[_Person], sequence: Sequence, house: House, clock: VirtualClock) -> None:
    with house.store.transaction(clock.now(), "demo") as ledger:
        for name, email, known in people:
            person = Prospect(email=email, variables={"first_name": name} | known)
            enroll(prepare(person, sequence), ledger=ledger)


def _say_yes(house: House, clock: VirtualClock) -> None:
    """As a human would have done it on Monday."""
    with house.store.reading(clock.now()) as ledger:
        waiting = [draft["draft_id"] for draft in ledger.views.drafts() if draft["state"] == "held"]
    for draft_id in waiting:
        approve(draft_id, by=SAM, store=house.store, clock=clock)
