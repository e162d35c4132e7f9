"""The cellar: the only SQL in the house."""

from engine.store.connect import (
    HEAD,
    SECRET_WORDS,
    database_file,
    in_words,
    is_outage,
    migrate_url,
    named,
    open_store,
    passes,
    version_of,
)
from engine.store.copying import Copied, Progress
from engine.store.diaries import Forecast
from engine.store.drafts import GOOD_FOR, Doubtful, Yes
from engine.store.enrollments import Life
from engine.store.health import damage, file_of, network_disk, refuse_what_is_damaged, write_into_the_file
from engine.store.ledger import CalledBack, Ledger, Reach, Store, Undone, pauses
from engine.store.lineage import GONE, Book, Doubt, Place
from engine.store.reviews import Review
from engine.store.threads import Mark
from engine.store.together import Together
from engine.store.views import Views
from engine.store.watch import Brake

__all__ = [
    "GONE",
    "GOOD_FOR",
    "HEAD",
    "SECRET_WORDS",
    "Book",
    "Brake",
    "CalledBack",
    "Copied",
    "Doubt",
    "Doubtful",
    "Forecast",
    "Ledger",
    "Life",
    "Mark",
    "Place",
    "Progress",
    "Reach",
    "Review",
    "Store",
    "Together",
    "Undone",
    "Views",
    "Yes",
    "damage",
    "database_file",
    "file_of",
    "in_words",
    "is_outage",
    "migrate_url",
    "named",
    "network_disk",
    "open_store",
    "passes",
    "pauses",
    "refuse_what_is_damaged",
    "version_of",
    "write_into_the_file",
]
