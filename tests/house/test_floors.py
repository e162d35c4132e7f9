"""The plan of the house: who may import whom. Everyone may import `engine`; the wings do not know each other."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WINGS = {"sequences", "mailroom", "webhooks", "dashboard"}
PACKAGES = {"engine", "relent"} | WINGS

#: Rooms of the ground floor, by floor. A room may import what lies below it, and never its own floor.
FLOORS = {
    14: {"engine.dispatch", "engine.post"},
    13: {"engine.approve", "engine.scribe", "engine.carry", "engine.reconcile", "engine.canary"},
    12: {
        "engine.evidence",
        "engine.moving",
        "engine.errands",
        "engine.receive",
        "engine.heed",
        "engine.chorus",
    },
    11: {
        "engine.enroll",
        "engine.resume",
        "engine.members",
        "engine.seal",
        "engine.rehearse",
        "engine.vigil",
        "engine.write",
        "engine.shelve",
        "engine.inboxes",
        "engine.keys",
        "engine.outbox",
        "engine.react",
        "engine.recover",
        "engine.safe",
        "engine.happen",
        "engine.wake",
        "engine.label",
        "engine.revise",
        "engine.why",
        "engine.trial",
    },
    10: {"engine.settle", "engine.brake", "engine.foresee", "engine.subscribers"},
    9: {"engine.advance", "engine.ready", "engine.room", "engine.wish"},
    8: {"engine.store", "engine.compose", "engine.seams"},
    7: {"engine.plan", "engine.verdict", "engine.winner"},
    6: {"engine.wording", "engine.calls"},
    5: {"engine.consent", "engine.limits", "engine.markup", "engine.quote", "engine.tags"},
    4: {"engine.model", "engine.hours", "engine.oddity"},
    3: {"engine.render"},
    2: {"engine.states", "engine.sequence", "engine.companies"},
    1: {
        "engine.events",
        "engine.ids",
        "engine.addresses",
        "engine.owner",
        "engine.witness",
        "engine.absence",
        "engine.measures",
        "engine.headers",
        "engine.slips",
        "engine.trail",
        "engine.differences",
        "engine.odds",
    },
    0: {"engine.errors"},
}
#: Only here may SQL be spoken; SQLAlchemyError alone may be caught elsewhere, so that a database that is away is no crash.
CELLAR = "engine.store"

#: What may be known of the outside world, and where.
OUTSIDE = {
    "starlette": {"webhooks", "mailroom", "dashboard", "relent"},
    "uvicorn": {"relent"},
    "typer": {"relent"},
    "rich": {"relent"},
    "yaml": {"sequences", "relent"},
    "smtplib": {"mailroom"},
    "redis": {"relent"},
    "rq": {"relent"},
    "sqlalchemy": {"engine"},
    "alembic": {"engine"},
    "jinja2": {"engine", "dashboard", "relent"},  # letters; pages; and the page of a simulation
    "argon2": {"engine"},
    "pydantic_settings": {"relent"},
    "structlog": {"relent"},
    "prometheus_client": {"relent"},
    "opentelemetry": {"relent"},
    "svix": set(),
}


def _modules() -> Iterator[tuple[str, ast.Module]]:
    for package in sorted(PACKAGES):
        for file in sorted((ROOT / package).rglob("*.py")):
            if "versions" not in file.parts:
                name = ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
                yield name, ast.parse(file.read_text("utf-8"))


def _imports(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Modules, and the names taken from them."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "say where it is: no relative imports"
            assert node.module
            yield from ((node.module, alias.name) for alias in node.names)


EDGES = [(name, *found) for name, tree in _modules() for found in _imports(tree)]


def _room(module: str, taken: str = "") -> str:
    """`from engine import owner` speaks of engine.owner; everything under engine.store is the cellar."""
    whole = f"{module}.{taken}" if module == "engine" else module
    return ".".join(whole.split(".")[:2])


@pytest.mark.parametrize("package", sorted(PACKAGES))
def test_a_package_imports_only_what_its_place_allows(package):
    allowed = {"engine": {"engine"}, "relent": PACKAGES}.get(package, {"engine", package})
    wrong = {
        (name, module)
        for name, module, _ in EDGES
        if name.split(".")[0] == package and module.split(".")[0] in PACKAGES - allowed
    }
    assert not wrong


def test_imports_on_the_ground_floor_run_downstairs():
    floor = {room: number for number, rooms in FLOORS.items() for room in rooms}
    rooms = {_room(name) for name, _ in _modules() if name.startswith("engine.")}
    assert rooms == set(floor), "a new room needs a floor"
    wrong = {
        f"{name} -> {module}"
        for name, module, taken in EDGES
        if name.startswith("engine.")
        and module.split(".")[0] == "engine"
        and _room(name) != _room(module, taken)
        and floor[_room(module, taken)] >= floor[_room(name)]
    }
    assert not wrong


def test_no_circle_of_imports():
    known = {name for name, _ in _modules()}
    graph: dict[str, set[str]] = {name: set() for name in known}
    for name, module, taken in EDGES:
        target = f"{module}.{taken}" if f"{module}.{taken}" in known else module
        if target in known and target != name:
            graph[name].add(target)
    done: set[str] = set()

    def walk(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " -> ".join((*path, name))
        if name not in done:
            for target in graph[name]:
                walk(target, (*path, name))
            done.add(name)

    for name in graph:
        walk(name, ())


def test_sql_stays_in_the_cellar():
    wrong = {
        (name, module, taken)
        for name, module, taken in EDGES
        if module.split(".")[0] == "sqlalchemy" and not name.startswith(CELLAR) and taken != "SQLAlchemyError"
    }
    assert not wrong


@pytest.mark.parametrize("library", sorted(OUTSIDE))
def test_the_outside_is_known_only_where_it_is_changed(library):
    homes = {
        name.split(".")[0]
        for name, module, taken in EDGES
        if module.split(".")[0] == library and taken != "SQLAlchemyError"
    }
    assert homes == OUTSIDE[library]


def test_nobody_looks_at_the_clock_behind_the_clocks_back():
    """A story asks its clock. Only a clock, and the birth of a database, may ask the machine."""
    wrong = [
        f"{name}:{node.lineno}"
        for name, tree in _modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and node.attr in {"now", "utcnow", "today"}
        and isinstance(node.value, ast.Name)
        and node.value.id in {"datetime", "date"}
        and name not in {"relent.assemble", "engine.store.connect"}
    ]
    assert not wrong


def test_no_import_hides_behind_type_checking():
    assert not [name for name, tree in _modules() if "TYPE_CHECKING" in ast.dump(tree)]


def test_every_room_says_in_its_first_line_what_happens_in_it():
    assert not [name for name, tree in _modules() if not ast.get_docstring(tree)]


def test_nobody_has_to_scroll_through_a_function():
    long = [
        f"{name}.{node.name}: {node.end_lineno - node.lineno + 1} lines"
        for name, tree in _modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno
        and node.end_lineno - node.lineno >= 55
    ]
    assert not long


def test_the_picture_in_the_plan_names_the_same_rooms():
    """docs/house.md shows the floors; whoever moves in writes it down there too."""
    shown = set(re.findall(r"`(engine\.\w+)`", (ROOT / "docs" / "house.md").read_text("utf-8")))
    assert {room for rooms in FLOORS.values() for room in rooms} <= shown
