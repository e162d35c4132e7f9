"""Several processes behind one socket, and one that sees to it that there are so many: `relent serve --workers N`.

The one that sees to it opens no database and has no thread, so that whoever is forked from it begins like the first. It
holds the socket: a process that dies takes nobody with it who was still waiting to be let in.
"""

import logging
import os
import select
import signal
import sys
from dataclasses import dataclass, field
from threading import Thread
from time import monotonic

log = logging.getLogger("relent.crew")

_ENDING = (signal.SIGTERM, signal.SIGINT)
_HEEDED = (*_ENDING, signal.SIGCHLD)
_LONG_ENOUGH = 10.0  #: seconds: whoever has lived so long was well
_LONGEST_REST = 30.0
_LONGEST_GOODBYE = 40.0  #: each of them gives up after thirty by itself


@dataclass(slots=True)
class _Place:
    """One of so many, and when it is filled again."""

    number: int
    process: int = 0
    since: float = 0.0
    fell: int = 0  #: times in a row that it did not last
    free_at: float = field(default=0.0)

    def rests(self) -> float:
        """The longer, the oftener it fell. For how many seconds."""
        rest = min(0.25 * 2**self.fell, _LONGEST_REST) if self.fell else 0.0
        self.free_at = monotonic() + rest
        return rest


def rehearse() -> bool:
    """True in a process of its own that should try everything once, and end.

    In the other, False; or that is the end of it, as the rehearsal ended, which has said why.
    """
    process = os.fork()
    if process == 0:
        return True
    if code := os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]):
        sys.exit(code if code > 0 else 1)
    return False


def take_part(number: int) -> bool:
    """True in each of so many processes; False in the one that saw to them, when they have ended.

    Whoever dies is replaced. They end politely when it is asked to, and also when it is gone.
    """
    return _Crew(number).muster()


class _Crew:
    def __init__(self, number: int) -> None:
        self._places = [_Place(each) for each in range(1, number + 1)]
        self._life = os.pipe()  #: nothing is ever written: its end is the end of whoever holds it
        self._bell = os.pipe()
        self._asked = False

    def muster(self) -> bool:
        os.set_blocking(self._bell[1], False)
        signal.set_wakeup_fd(self._bell[1], warn_on_full_buffer=False)
        for each in _HEEDED:
            signal.signal(each, self._heed)
        while not self._asked:
            for place in self._places:
                if not place.process and place.free_at <= monotonic() and self._fill(place):
                    return True
            self._wait(self._pause())
            self._bury()
        self._end()
        return False

    def _heed(self, number: int, _: object) -> None:
        self._asked |= number in _ENDING

    def _fill(self, place: _Place) -> bool:
        """True in the new process. What it is told before it can hear, it hears then."""
        signal.pthread_sigmask(signal.SIG_BLOCK, _HEEDED)
        try:
            process = self._fork(place)
            if process == 0:
                self._begin()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _HEEDED)
        if process is not None:
            place.process, place.since = process, monotonic()
        return process == 0

    def _fork(self, place: _Place) -> int | None:
        """None: the machine has no room for another one just now. Those who are there go on."""
        try:
            return os.fork()
        except OSError as error:
            place.fell += 1
            log.error(
                "process %d of %d cannot begin, and is tried again in %.1f s: %s",
                place.number,
                len(self._places),
                place.rests(),
                error,
            )
            return None

    def _begin(self) -> None:
        """Nothing of what sees to us is ours."""
        signal.set_wakeup_fd(-1)
        for each in _HEEDED:
            signal.signal(each, signal.SIG_DFL)
        for end in (self._life[1], *self._bell):
            os.close(end)
        Thread(target=_end_with, args=(self._life[0],), name="relent-crew", daemon=True).start()

    def _pause(self) -> float | None:
        """Until a place may be filled again; None: until somebody rings."""
        free = [place.free_at for place in self._places if not place.process]
        return max(min(free) - monotonic(), 0.0) if free else None

    def _wait(self, seconds: float | None) -> None:
        if select.select([self._bell[0]], [], [], seconds)[0]:
            os.read(self._bell[0], 4096)

    def _bury(self) -> None:
        """Nobody is waited for here."""
        for place in self._places:
            if not place.process:
                continue
            process, status = os.waitpid(place.process, os.WNOHANG)
            if process:
                self._free(place, os.waitstatus_to_exitcode(status))

    def _free(self, place: _Place, code: int) -> None:
        lasted = monotonic() - place.since >= _LONG_ENOUGH
        place.fell = 0 if lasted else place.fell + 1
        rest = place.rests()
        log.warning(
            "process %d of %d (%d) %s; another one takes its place%s",
            place.number,
            len(self._places),
            place.process,
            f"was killed by signal {-code}" if code < 0 else f"ended with {code}",
            f" in {rest:.1f} s" if rest else "",
        )
        place.process = 0

    def _end(self) -> None:
        """Politely; and whoever hangs, all the same."""
        left = {place.process for place in self._places if place.process}
        _tell(left, signal.SIGTERM)
        until, codes = monotonic() + _LONGEST_GOODBYE, []
        while left:
            for process in sorted(left):
                found, status = os.waitpid(process, os.WNOHANG)
                if found:
                    left.discard(found)
                    codes.append(os.waitstatus_to_exitcode(status))
            if left and monotonic() > until:
                _tell(left, signal.SIGKILL)
            self._wait(0.5 if left else 0.0)
        if any(codes):
            sys.exit(1)


def _tell(processes: set[int], what: signal.Signals) -> None:
    for process in processes:
        os.kill(process, what)  # not waited for yet, so it is still theirs


def _end_with(life: int) -> None:
    """The one that saw to us is gone: nobody else would ever end us."""
    os.read(life, 1)
    os.kill(os.getpid(), signal.SIGTERM)
