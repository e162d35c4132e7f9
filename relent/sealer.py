"""The seal, beside the worker: every few seconds what the log says is closed into a block. Nobody waits for it."""

import logging
from contextlib import suppress
from datetime import datetime, timedelta
from threading import Event

from sqlalchemy.exc import SQLAlchemyError

from engine.seal import seal
from relent.assemble import House
from relent.watching import Hand

log = logging.getLogger("relent.sealer")

_EVERY = timedelta(seconds=5)
_TELL_EVERY = timedelta(hours=1)
_BLOCKS = 4  #: in one go: more of them would take the machine from those who send


class Sealer(Hand):
    """Any number of them: whoever comes second finds it done."""

    def __init__(self, house: House, enough: Event) -> None:
        super().__init__(house, enough)
        self._sealed_at: datetime | None = None
        self._told_at: datetime | None = None

    def work_off(self) -> None:
        now = self._house.clock.now()
        if self._sealed_at is not None and abs(now - self._sealed_at) < _EVERY:
            return
        self._sealed_at = now
        while (
            seal(self._house.store, self._house.clock, at_most=_BLOCKS)
            and self.are_beside
            and not self._enough.wait(0.1)
        ):
            pass
        self._tell(now)

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        with suppress(SQLAlchemyError):
            seal(self._house.store, self._house.clock, at_most=_BLOCKS)

    def _tell(self, now: datetime) -> None:
        """Logs go elsewhere, as a rule: so a head is noted where nobody who has the database can change it."""
        if self._told_at is not None and abs(now - self._told_at) < _TELL_EVERY:
            return
        with self._house.store.reading(now) as ledger:
            head = ledger.blocks.last()
        if head is not None:
            self._told_at = now
            log.info("the log is sealed up to line %d, head %d:%s", head.up_to, head.number, head.hash)
