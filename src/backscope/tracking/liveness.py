"""Whether the processes of a sweep are alive: each holds a lock, which ends with it however it ends.

The parent holds one alone, the workers share another, both in the spool. A sweep can be taken over once its parent's
lock is free and the workers that it left behind have let go of theirs.
"""

import fcntl
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import IO, Any

from backscope.tracking.spool import root

PATIENCE = 30.0  # seconds for workers without a parent to end
HOST = "host"  # the tag of a sweep's parent that says where these locks are


def host() -> str:
    return platform.node()


def take(sweep_id: str) -> IO[Any] | None:
    """Become the parent of a sweep, new or left behind, until the file is closed; None if its own parent lives."""
    root().mkdir(parents=True, exist_ok=True)
    file = _open(sweep_id, "sweep")
    if not _lock(file, fcntl.LOCK_EX):
        file.close()
        return None
    with _open(sweep_id, "workers") as workers:
        started = time.monotonic()
        while not _lock(workers, fcntl.LOCK_EX):
            if time.monotonic() - started > PATIENCE:
                file.close()
                return None
            time.sleep(0.1)
    return file


def is_held(sweep_id: str) -> bool:
    """Whether the parent of a sweep holds its lock, as far as this machine's file system shows it."""
    try:
        with _open(sweep_id, "sweep") as file:
            return not _lock(file, fcntl.LOCK_SH)
    except OSError:
        return False


def working(sweep_id: str | None) -> Any:
    """The context in which a worker runs a job of this sweep."""
    return _working(sweep_id) if sweep_id else nullcontext()


@contextmanager
def _working(sweep_id: str) -> Iterator[None]:
    root().mkdir(parents=True, exist_ok=True)
    with _open(sweep_id, "workers") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        yield


def forget(sweep_id: str) -> None:
    """Remove the locks of a sweep that came to its end."""
    for role in ("sweep", "workers"):
        (root() / f"{sweep_id}.{role}").unlink(missing_ok=True)  # folders stay: another sweep may be about to use them


def _open(sweep_id: str, role: str) -> IO[Any]:
    return (root() / f"{sweep_id}.{role}").open("a")


def _lock(file: IO[Any], kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
