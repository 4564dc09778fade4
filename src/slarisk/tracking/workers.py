"""Processes that track runs, and which of them have died: what a killed one left can be told.

Every process that starts a run holds a lock file for as long as it lives. The system lets go of
the lock when the process ends, however it ends; so a run that is still RUNNING, and whose lock
nobody holds, was killed.
"""

from __future__ import annotations

import atexit
import os
import uuid
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

WORKER_TAG = "worker"
FOLDER = Path("outputs") / "workers"

_held: dict[tuple[int, Path], FileLock] = {}


def current_worker() -> str:
    """Name this process, and hold its lock from now on."""
    folder = FOLDER.absolute()
    key = os.getpid(), folder  # a fork is another process
    if key not in _held:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / f"{_name_place()}-{uuid.uuid4().hex[:12]}.lock")
        lock.acquire()
        _held[key] = lock
        atexit.register(_leave, lock, os.getpid())
    return Path(_held[key].lock_file).stem


def _name_place() -> str:
    """Name this folder of this machine, by which its workers know each other."""
    path = FOLDER / "place"
    with FileLock(FOLDER / "place.lock"):
        if not path.exists():
            path.write_text(uuid.uuid4().hex[:12])
        return path.read_text()


def is_local_worker(worker: str) -> bool:
    """Whether a process works in this folder of this machine, so that it is known if it died."""
    return (FOLDER / "place").exists() and worker.startswith(f"{_name_place()}-")


def worker_died(worker: str) -> bool:
    """Whether a process is known to be gone.

    Nothing is known of one that works in another folder, or on another machine.
    """
    if not is_local_worker(worker):
        return False
    path = FOLDER / f"{worker}.lock"
    if not path.exists():
        return True
    try:
        with FileLock(path, timeout=0):
            path.unlink(missing_ok=True)
    except Timeout:
        return False
    return True


def _leave(lock: FileLock, process: int) -> None:
    if os.getpid() != process:  # a fork: the lock is its parent's
        return
    with suppress(OSError):
        lock.release()
        Path(lock.lock_file).unlink(missing_ok=True)
