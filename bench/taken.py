"""One run of one server: how many were answered in a second, how long they waited, and what it cost of the processor."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.load import Answers, Requests
from bench.servers import Running


@dataclass(frozen=True, slots=True)
class Taken:
    """What was taken."""

    answers: Answers
    cpu: float  #: µs of the processor for each request, in the server's processes
    elsewhere: float = 0.0  #: and in those that it needs: of the database, or of another server

    @property
    def rate(self) -> float:
        return self.answers.per_second

    @property
    def whole(self) -> float:
        return self.cpu + self.elsewhere


def take(
    server: Running,
    requests: Sequence[bytes],
    *,
    warm: int,
    number: int | None = None,
    rate: float = 0,
    elsewhere: Callable[[], float] = float,
) -> Taken:
    """The first `warm` requests are sent before, and not counted. `number`: of the others, else each once.

    `elsewhere`: seconds of the processor so far.
    """
    number = number or len(requests) - warm
    with Requests(requests) as prepared:
        prepared.send(server.port, number=warm)
        server.begin_profile()
        own, others = server.cpu(), elsewhere()
        told = prepared.send(server.port, first=warm, number=number, rate=rate)
        own, others = server.cpu() - own, elsewhere() - others
    return Taken(told, own / number * 1e6, others / number * 1e6)
