"""A process that lives by its database, and may die at any commit: before it is durable, or right after it."""

from dataclasses import dataclass, field
from typing import Any, Literal

from sqlalchemy import Engine, create_engine, make_url
from sqlalchemy.exc import OperationalError

from engine.store import Store, open_store
from tests.proof.rooms import hurry

_DRIVERS = {"sqlite": "sqlite", "postgresql": "postgresql+psycopg"}
How = Literal["dies", "errs"]


class Died(BaseException):
    """As after kill -9: nothing of it runs any more."""


@dataclass(slots=True)
class _Fault:
    commits: int  #: how many are still to come until then, this one included
    durable: bool
    how: How


@dataclass(slots=True)
class Lives:
    """One process after the other, on one database. The next one finds what the one before has left."""

    url: str
    number: int = 0
    dead: bool = False
    store: Store = field(init=False)
    looking: Engine = field(init=False)  #: from outside: nothing goes wrong there
    _fault: _Fault | None = None

    def __post_init__(self) -> None:
        self.looking = create_engine(
            make_url(self.url).set(drivername=_DRIVERS[make_url(self.url).get_backend_name()])
        )
        self.begin()

    def begin(self) -> None:
        """Another process, which knows nothing but what stands in the database."""
        self.number, self.dead, self._fault = self.number + 1, False, None
        self.store = open_store(self.url)
        hurry(self.store)
        dialect: Any = self.store.database.dialect
        commit = dialect.do_commit
        dialect.do_commit = lambda dbapi: self._commit(dbapi, commit)

    def end(self) -> None:
        self.dead, self._fault = False, None
        self.store.close()

    def falter(self, commits: int, *, durable: bool, how: How) -> None:
        """The so-manyth commit from now goes wrong."""
        self._fault = _Fault(commits, durable, how)

    def die(self) -> None:
        """Here and now."""
        self.dead = True
        raise Died

    def heal(self) -> None:
        self._fault = None

    @property
    def name(self) -> str:
        return f"life {self.number}"

    def _commit(self, dbapi: Any, commit: Any) -> None:
        if self.dead:  # it does not tidy up either
            raise Died
        fault = self._fault
        if fault is not None:
            fault.commits -= 1
        if fault is None or fault.commits > 0:
            commit(dbapi)
            return
        self._fault = None
        if fault.durable:
            commit(dbapi)
        if fault.how == "dies":
            self.die()
        raise OperationalError("COMMIT", {}, Exception("the database went away"))
