"""Is the database well? Damage that SQLite finds in its file, and disks on which a file is in two hands at once."""

from pathlib import Path

import psutil
from sqlalchemy import text
from sqlalchemy.exc import DatabaseError

from engine.errors import Unavailable
from engine.store.ledger import Store

#: Looking through a file takes about a second for a hundred megabytes: whoever starts should not wait for long.
_CHEAP = 32 * 1024**2
_FINDINGS = 10
#: Locks do not reach, or reach too late, from one machine to another.
_NETWORKS = frozenset(
    [
        "9p",
        "afpfs",
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "davfs",
        "fuse.davfs2",
        "fuse.glusterfs",
        "fuse.rclone",
        "fuse.s3fs",
        "fuse.sshfs",
        "gfs2",
        "glusterfs",
        "lustre",
        "ncpfs",
        "nfs",
        "nfs4",
        "ocfs2",
        "smb2",
        "smb3",
        "smbfs",
    ]
)


def refuse_what_is_damaged(store: Store) -> None:
    """At every start, if it is quick. Raises Unavailable, in words."""
    file = file_of(store)
    if file is not None and file.stat().st_size <= _CHEAP and (found := damage(store, thorough=False)):
        raise Unavailable(
            f"{file} is damaged: {found[0]}. Nothing is sent from it. Put a backup in its place, or rescue what can be "
            "read with `sqlite3 relent.db .recover`; docs/moving.md says what to look for afterwards"
        )


def damage(store: Store, *, thorough: bool = True) -> list[str]:
    """What SQLite finds wrong in its file, in its words. PostgreSQL has tools of its own: pg_amcheck."""
    if store.database.dialect.name != "sqlite":
        return []
    check = "integrity_check" if thorough else "quick_check"
    try:
        with store.database.connect().execution_options(relent_reading=True) as db:
            found = list(db.scalars(text(f"PRAGMA {check}({_FINDINGS})")))
    except DatabaseError as error:
        return [" ".join(str(error.orig).split())]
    return [] if found == ["ok"] else [" ".join(line.split()) for line in found]


def write_into_the_file(store: Store) -> None:
    """What stands in SQLite's log beside it only, too: whoever copies nothing but the file copies this."""
    if store.database.dialect.name == "sqlite":
        driver = store.database.raw_connection()
        try:
            driver.cursor().execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        finally:
            driver.close()


def file_of(store: Store) -> Path | None:
    """The file that a SQLite database is."""
    if store.database.dialect.name != "sqlite":
        return None
    return database_path(store.database.url.database)


def database_path(name: str | None) -> Path | None:
    return Path((name or "").removeprefix("file:")).absolute() if name else None


def network_disk(file: Path) -> str | None:
    """Which kind of network this file lies on. None: on a disk of this machine, as far as it can tell."""
    mounts = {each.mountpoint: each.fstype for each in psutil.disk_partitions(all=True)}
    return kind_of_disk(file.resolve(), mounts)


def kind_of_disk(file: Path, mounts: dict[str, str]) -> str | None:
    """By the nearest folder above it at which something is mounted."""
    nearest = next((mounts[str(folder)] for folder in file.parents if str(folder) in mounts), "")
    return nearest if nearest in _NETWORKS else None
