"""The pages of the dashboard; and the table of all their doors."""

from dashboard.frame import Door
from dashboard.pages import (
    calendar,
    deliveries,
    entrance,
    live,
    people,
    queue,
    sequences,
    settings,
    start,
    suppressions,
    threads,
    today,
)

DOORS: tuple[Door, ...] = (
    *entrance.DOORS,
    *today.DOORS,
    *live.DOORS,
    *start.DOORS,
    *queue.DOORS,
    *calendar.DOORS,
    *people.DOORS,
    *threads.DOORS,
    *sequences.DOORS,
    *deliveries.DOORS,
    *suppressions.DOORS,
    *settings.DOORS,
)
