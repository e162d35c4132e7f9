"""Lines out, for those who wait: a letter that somebody posts now is carried beside the worker, not behind its queue."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import Empty, LifoQueue

from engine.seams import Mailbox

_MOST = 4  #: a mail server gives one customer few connections
_PATIENCE = 10.0


class Lines:
    """A few mailboxes, each in one pair of hands at a time: a connection to a mail server cannot be shared."""

    def __init__(self, make: Callable[[], Mailbox]) -> None:
        self._free: LifoQueue[Mailbox | None] = LifoQueue()
        self._make = make
        for _ in range(_MOST):
            self._free.put(None)

    @contextmanager
    def lend(self) -> Iterator[Mailbox | None]:
        """None: all of them were busy for as long as anybody should be kept waiting."""
        try:
            mailbox = self._free.get(timeout=_PATIENCE) or self._make()
        except Empty:
            yield None
            return
        try:
            yield mailbox
        finally:
            mailbox.rest()
            self._free.put(mailbox)
