"""The cellar: the only SQL in the house."""

from engine.store.connect import HEAD, in_words, migrate_url, open_store, version_of
from engine.store.enrollments import Life
from engine.store.ledger import CalledBack, Ledger, Reach, Store, pauses
from engine.store.views import Views

__all__ = [
    "HEAD",
    "CalledBack",
    "Ledger",
    "Life",
    "Reach",
    "Store",
    "Views",
    "in_words",
    "migrate_url",
    "open_store",
    "pauses",
    "version_of",
]
