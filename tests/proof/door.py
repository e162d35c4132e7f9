"""An answer as the webhook's door hears it, in one thread: together with others, or alone, and then it waits."""

from engine.chorus import Said, hear_alone, hear_together
from engine.events import Event
from engine.model import Pace
from engine.react import may_be_in_the_air, wait_for_what_is_in_the_air
from engine.seams import Clock
from engine.store import Store


def hear_at_the_door(event: Event, *, store: Store, clock: Clock, pace: Pace) -> None:
    """What engine/scribe.py and webhooks/receiver.py do with it between them. Raises StillSending, as they do."""
    said = Said(event, b"")
    [heard] = hear_together([said], store=store, clock=clock)
    if heard is None:
        heard = hear_alone(said, store=store, clock=clock)
    if isinstance(heard, Exception):
        raise heard
    if may_be_in_the_air(heard):
        wait_for_what_is_in_the_air(heard, store=store, clock=clock, pace=pace)
