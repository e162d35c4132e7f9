"""Where the processor's time goes in `relent`, function by function, thread by thread: for whoever makes it faster.

`python -m bench.sampled profile.txt serve --port 8000` runs `relent serve --port 8000`, and writes it down at the end.
"""

import signal
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from types import FrameType

from relent.cli import main

_EVERY = 0.002
_MOST = 45
_ROOT = str(Path(__file__).parents[1]) + "/"


class Profile(threading.Thread):
    """Looks every two milliseconds where each thread is, and gives that place what the thread has used of the processor.

    Linux counts that, to the nanosecond. What waits uses nothing, so it does not show.
    """

    def __init__(self) -> None:
        super().__init__(daemon=True, name="profile")
        self.own: Counter[tuple[str, str]] = Counter()
        self.with_callees: Counter[tuple[str, str]] = Counter()
        self.threads: Counter[str] = Counter()
        self._known: dict[int, int] = {}

    def forget(self, *_: object) -> None:
        """Whoever sends SIGUSR1 wants to see what comes from now on."""
        for counted in (self.own, self.with_callees, self.threads):
            counted.clear()

    def run(self) -> None:
        while True:
            time.sleep(_EVERY)
            frames = sys._current_frames()
            for thread in threading.enumerate():
                if thread is not self and thread.ident in frames and thread.native_id:
                    self._look(thread.name, thread.native_id, frames[thread.ident])

    def _look(self, name: str, native_id: int, frame: FrameType | None) -> None:
        used = self._used(native_id)
        name = name.rstrip("0123456789").rstrip("-_")
        if not used:
            return
        self.threads[name] += used
        seen: set[str] = set()
        while frame is not None:
            place = _place(frame)
            if not seen:
                self.own[name, place] += used
            if place not in seen:
                self.with_callees[name, place] += used
                seen.add(place)
            frame = frame.f_back

    def _used(self, native_id: int) -> int:
        try:
            now = int(Path(f"/proc/self/task/{native_id}/schedstat").read_bytes().split()[0])
        except OSError:
            return 0
        used = now - self._known.get(native_id, now)
        self._known[native_id] = now
        return used

    def told(self) -> str:
        whole = sum(self.threads.values()) or 1
        lines = [f"{whole / 1e9:.2f} s of the processor"]
        lines += [f"  {ns / whole:6.1%}  {name}" for name, ns in self.threads.most_common(8)]
        for title, counted in (("with what it calls", self.with_callees), ("by itself", self.own)):
            lines += ["", title]
            lines += [
                f"  {ns / whole:6.1%}  {name}: {place}" for (name, place), ns in counted.most_common(_MOST)
            ]
        return "\n".join(lines) + "\n"


def _place(frame: FrameType) -> str:
    code = frame.f_code
    file = code.co_filename.removeprefix(_ROOT).rpartition("site-packages/")[2]
    return f"{file}:{code.co_firstlineno} {code.co_qualname if sys.version_info >= (3, 11) else code.co_name}"


if __name__ == "__main__":
    profile, path = Profile(), Path(sys.argv.pop(1))
    signal.signal(signal.SIGUSR1, profile.forget)
    profile.start()
    try:
        main()
    finally:
        path.write_text(profile.told(), "utf-8")
