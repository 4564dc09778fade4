"""What the jobs of one sweep share, through a folder: prepared tickets, and how far they are.

The jobs may run in other processes. The folder belongs to one command, is readable to its user
alone, and goes when the command ends.
"""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from slarisk.tickets.labels import LabelledTickets, prepare_tickets
from slarisk.tracking.workers import has_died, this_worker

if TYPE_CHECKING:
    from slarisk.config import TrainConfig

_POLL = 0.5  # seconds
_PREFIX = "sharing-"


@dataclass(frozen=True)
class Outcome:
    """How a job ended: ``finished``, ``skipped`` or ``failed``, its run if it has one, in words."""

    status: str
    run_id: str | None
    words: str


@contextmanager
def share_folder(beside: Path) -> Iterator[Path]:
    """Make the folder of a sweep, for as long as it runs; those of killed ones go now."""
    for left in beside.parent.glob(f"*/{_PREFIX}*"):
        if has_died(left.name.removeprefix(_PREFIX)):
            shutil.rmtree(left, ignore_errors=True)
            with suppress(OSError):
                left.parent.rmdir()
    folder = beside.absolute() / f"{_PREFIX}{this_worker()}"
    beside.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):
            beside.rmdir()  # if nothing else is in it


def prepare_once(config: TrainConfig) -> LabelledTickets:
    """Prepare the tickets; in a sweep only the first job that needs these does."""
    if config.sweep.folder is None:
        return prepare_tickets(config.data, config.sla, config.cost)
    asked = repr((config.data, config.sla, config.cost))
    name = hashlib.sha256(asked.encode()).hexdigest()[:16]
    path = Path(config.sweep.folder) / f"{name}.tickets"
    with FileLock(f"{path}.lock"):
        if path.exists():
            tickets = pickle.loads(path.read_bytes())  # written by a job of this very sweep
            assert isinstance(tickets, LabelledTickets)
            return tickets
        tickets = prepare_tickets(config.data, config.sla, config.cost)
        write_whole(path, pickle.dumps(tickets))
        return tickets


def tell_outcome(config: TrainConfig, outcome: Outcome) -> None:
    """Let the sweep know how a job ended."""
    assert config.sweep.folder is not None
    path = Path(config.sweep.folder) / f"{config.sweep.job}.outcome"
    write_whole(path, json.dumps(asdict(outcome)).encode())


def write_whole(path: Path, content: bytes) -> None:
    """Write a file that appears whole or not at all."""
    partial = path.with_suffix(f".{os.getpid()}")
    partial.write_bytes(content)
    partial.replace(path)


class Watch:
    """Follows the jobs of a sweep through their folder, and hands on each outcome once.

    Parameters
    ----------
    folder : Path
    say : function
        Called with each :class:`Outcome`, from a thread of its own.
    """

    def __init__(self, folder: Path, say: Callable[[Outcome], None]) -> None:
        self.folder, self.say = folder, say
        self.outcomes: dict[str, Outcome] = {}
        self._ended = threading.Event()
        self._looking = threading.Lock()
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join()
        self.catch_up()

    def _follow(self) -> None:
        while not self._ended.wait(_POLL):
            self.catch_up()

    def catch_up(self) -> None:
        """Hand on what is there already."""
        with self._looking:
            self._look()

    def _look(self) -> None:
        new = [path for path in self.folder.glob("*.outcome") if path.stem not in self.outcomes]
        for path in sorted(new, key=lambda path: path.stat().st_mtime_ns):
            outcome = Outcome(**json.loads(path.read_bytes()))
            self.outcomes[path.stem] = outcome
            self.say(outcome)
