"""The page that nobody sees: what moves, told to the pages that are open."""

from functools import partial

from dashboard.frame import Answer, Asked, Door, Raw, Streamed
from dashboard.live import listening

_FULL = b"Too many pages listen to this server just now. This one works all the same: load it again to see what moved.\n"


def listen(asked: Asked) -> Answer:
    office = asked.office
    listener = office.live.join(asked.member.id, office.store, office.clock)
    if listener is None:
        return Raw(_FULL, "text/plain; charset=utf-8", {"Retry-After": "60"}, 503)
    chunks = partial(listening, listener, office.live, lasts=asked.lasts, ending=office.ending)
    # a proxy that gathers what it passes on would make news old
    return Streamed(chunks, headers={"X-Accel-Buffering": "no"})


DOORS = (Door(method="GET", path="/live", handler=listen, name="live"),)
