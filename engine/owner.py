"""Who holds a claim, and are they still alive? Only a process of this machine can be declared dead here."""

import os
import socket
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import psutil


@cache
def _machine() -> str:
    """This boot of this machine, and this container on it: elsewhere the same process number is another process."""
    try:
        return (
            Path("/proc/sys/kernel/random/boot_id").read_text().strip()
            + "/"
            + str(Path("/proc/self/ns/pid").readlink())
        )
    except OSError:
        return f"{socket.gethostname()}/{psutil.boot_time():.0f}"


def me() -> str:
    """This process, by a name that no other one will ever bear."""
    return f"{_machine()}/{os.getpid()}/{_born(os.getpid())}"


def dead(owners: Iterable[str]) -> list[str]:
    """Those of them who are proven gone. A frozen one is not dead, nor is one on another machine."""
    return [owner for owner in owners if _is_gone(owner)]


def _is_gone(owner: str) -> bool:
    machine, _, rest = owner.rpartition("/")
    machine, _, number = machine.rpartition("/")
    if machine != _machine() or not number.isdigit():
        return False
    try:
        return _born(int(number)) != rest
    except OSError:  # no more open files, say: then nobody is proven anything
        return False


def _born(process: int) -> str:
    """Empty: there is no such process, or what is left of it runs no more."""
    if Path("/proc/self/stat").exists():
        return _born_by_the_kernel(process)
    try:
        found = psutil.Process(process)
        return "" if found.status() == psutil.STATUS_ZOMBIE else f"{found.create_time():.2f}"
    except psutil.NoSuchProcess:
        return ""


def _born_by_the_kernel(process: int) -> str:
    """In ticks since the machine started, which no clock that is set right can move."""
    try:
        state, *rest = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return "" if state in {"Z", "X"} else rest[18]
