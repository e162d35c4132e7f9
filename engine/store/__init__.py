"""The cellar: the only SQL in the house."""

from engine.store.connect import HEAD, migrate_url, open_store
from engine.store.ledger import CalledBack, Ledger, Reach, Store
from engine.store.views import Views

__all__ = ["HEAD", "CalledBack", "Ledger", "Reach", "Store", "Views", "migrate_url", "open_store"]
