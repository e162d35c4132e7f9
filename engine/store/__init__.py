"""The cellar: the only SQL in the house."""

from engine.store.connect import HEAD, in_words, migrate_url, open_store
from engine.store.diaries import Forecast
from engine.store.enrollments import Life
from engine.store.ledger import CalledBack, Ledger, Reach, Store, pauses
from engine.store.threads import Mark
from engine.store.together import Together
from engine.store.views import Views

__all__ = [
    "HEAD",
    "CalledBack",
    "Forecast",
    "Ledger",
    "Life",
    "Mark",
    "Reach",
    "Store",
    "Together",
    "Views",
    "in_words",
    "migrate_url",
    "open_store",
    "pauses",
]
