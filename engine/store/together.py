"""Deeds of several hands in one commit: on SQLite one is written after the other in any case, and to be safe is what costs.

Whoever comes while another one is writing waits, and so do those behind; then one of them writes for all of them. So
nobody waits for the sake of company, and the more wait, the cheaper it is for each.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from threading import Lock
from typing import Any, TypeVar

from engine.store.ledger import Ledger, Store, Undone

T = TypeVar("T")

_INTERRUPTED = Undone("whoever wrote for all of us was interrupted")


@dataclass(slots=True, eq=False)
class _Deed:
    """What somebody wants done, and what came of it."""

    do: Callable[[Ledger], Any]
    over: bool = field(default=False, init=False)
    result: Any = field(default=None, init=False)
    error: Exception | None = field(default=None, init=False)

    def alone(self, ledger: Ledger) -> None:
        self.result = self.do(ledger)

    def among_others(self, ledger: Ledger) -> None:
        """Whatever goes wrong with it goes wrong with it alone."""
        try:
            with ledger.apart():
                self.result = self.do(ledger)
        except Undone:  # and so does everybody else
            raise
        except Exception as error:  # noqa: BLE001 (whoever wanted it is told)
            self.error = error

    def fail(self, error: Exception) -> None:
        self.result, self.error = None, error


class Together:
    """What several hands write through. With PostgreSQL each writes alone: there, rows are waited for, and not the disk."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._alone = store.waits_for_rows
        self._waiting: deque[_Deed] = deque()
        self._writing = Lock()

    def do(self, deed: Callable[[Ledger], T], *, now: Callable[[], datetime], by: str) -> T:
        """It is safe when this returns. Raises what went wrong with it, or with the commit; then nothing of it is kept."""
        if self._alone:
            with self._store.transaction(now(), by, first=True) as ledger:
                return deed(ledger)
        mine = _Deed(deed)
        self._waiting.append(mine)
        with self._writing:
            if not mine.over:
                self._write(now(), by)
        if mine.error is not None:
            raise mine.error
        result: T = mine.result
        return result

    def _write(self, now: datetime, by: str) -> None:
        taken = [self._waiting.popleft() for _ in range(len(self._waiting))]
        try:
            with self._store.transaction(now, by, first=True) as ledger:
                for each in taken:
                    if len(taken) == 1:
                        each.alone(ledger)
                    else:
                        each.among_others(ledger)
        except BaseException as error:
            why = error if isinstance(error, Exception) else _INTERRUPTED
            for each in taken:
                each.fail(why)
            if why is _INTERRUPTED:
                raise
        finally:
            for each in taken:
                each.over = True
