"""The dashboard behind its door, and people who are in: whoever writes a page tries it as an admin, a reviewer and a viewer."""

from collections.abc import Iterator
from datetime import timedelta
from functools import partial

import pytest
from argon2 import PasswordHasher

from engine.model import Pace
from relent.assemble import House
from relent.web import create_app
from tests.dashboard.visitors import Visitor, come_in


@pytest.fixture(autouse=True)
def _quick_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same argon2, with as little work as it will do: nobody guesses the passwords of these tests."""
    quick = partial(PasswordHasher, time_cost=1, memory_cost=8, parallelism=1)
    monkeypatch.setattr("engine.members.PasswordHasher", quick)


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that is busy with other things counts as slowly as a database of millions."""
    monkeypatch.setattr("dashboard.counted.PATIENCE", 20.0)


@pytest.fixture
def pace() -> Pace:
    """A receipt waits for what is at its gate, as long as a gate may take."""
    return Pace(gate_deadline=timedelta(seconds=2))


@pytest.fixture
def front(house: House) -> Iterator[Visitor]:
    """Somebody who is not in."""
    with Visitor(create_app(house, with_worker=False)) as client:
        yield client


@pytest.fixture
def as_admin(front: Visitor, house: House) -> Visitor:
    return come_in(front, house, "admin")


@pytest.fixture
def as_reviewer(front: Visitor, house: House) -> Visitor:
    return come_in(front, house, "reviewer")


@pytest.fixture
def as_viewer(front: Visitor, house: House) -> Visitor:
    return come_in(front, house, "viewer")
