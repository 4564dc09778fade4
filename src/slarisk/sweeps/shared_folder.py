"""The folder through which the jobs of one sweep report how they ended."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from slarisk.atomic_files import write_whole
from slarisk.tracking.workers import current_worker, worker_died

if TYPE_CHECKING:
    from slarisk.config import TrainConfig


_POLL = 0.5  # seconds


_PREFIX = "sharing-"


@dataclass(frozen=True)
class JobOutcome:
    """How a job ended: ``finished``, ``skipped`` or ``failed``, its run if it has one, in words."""

    status: str
    run_id: str | None
    words: str


@contextmanager
def shared_folder(beside: Path) -> Iterator[Path]:
    """Make the folder of a sweep, for as long as it runs; those of killed ones go now."""
    for left in beside.parent.glob(f"*/{_PREFIX}*"):
        if worker_died(left.name.removeprefix(_PREFIX)):
            shutil.rmtree(left, ignore_errors=True)
            with suppress(OSError):
                left.parent.rmdir()
    folder = beside.absolute() / f"{_PREFIX}{current_worker()}"
    beside.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):
            beside.rmdir()  # if nothing else is in it


def write_outcome(config: TrainConfig, outcome: JobOutcome) -> None:
    """Let the sweep know how a job ended."""
    assert config.sweep.folder is not None
    path = Path(config.sweep.folder) / f"{config.sweep.job}.outcome"
    write_whole(path, json.dumps(asdict(outcome)).encode())


class OutcomeWatcher:
    """Follows the jobs of a sweep through their folder, and hands on each outcome once.

    Parameters
    ----------
    folder : Path
    say : function
        Called with each :class:`JobOutcome`, from a thread of its own.
    """

    def __init__(self, folder: Path, say: Callable[[JobOutcome], None]) -> None:
        self.folder, self.say = folder, say
        self.outcomes: dict[str, JobOutcome] = {}
        self._ended = threading.Event()
        self._looking = threading.Lock()
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def __enter__(self) -> OutcomeWatcher:
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
            outcome = JobOutcome(**json.loads(path.read_bytes()))
            self.outcomes[path.stem] = outcome
            self.say(outcome)
