"""`relent` on a SQLite that is set up differently: `python with_pragma.py synchronous=NORMAL serve`.

The product has no switch for this, and needs none.
"""

import sys
from importlib import import_module
from typing import Any

from sqlalchemy import Engine, event

from relent.cli import main


def set_up_with(pragma: str) -> None:
    """After everything that the store itself says to a new connection."""
    connecting: Any = import_module("engine.store.connect")
    as_it_is = connecting._sqlite

    def differently(url: str) -> Engine:
        database: Engine = as_it_is(url)

        @event.listens_for(database, "connect")
        def say(dbapi: Any, _record: Any) -> None:
            dbapi.execute(f"PRAGMA {pragma}").close()

        return database

    connecting._sqlite = differently


if __name__ == "__main__":
    set_up_with(sys.argv.pop(1))
    main()
