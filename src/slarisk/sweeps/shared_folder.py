"""The folder that the jobs of a sweep share: the tickets that they train on, and their outcomes.

It is there for as long as the command runs, and readable by its user alone.
"""

from __future__ import annotations

import json
import shutil
import threading
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from slarisk.atomic_files import write_whole
from slarisk.tracking.workers import current_worker, worker_died

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from slarisk.config import TrainConfig

_POLL = 0.5  # seconds
_PREFIX = "sharing-"


@dataclass(frozen=True)
class JobOutcome:
    """How a job ended: ``finished``, ``skipped`` or ``failed``, its run if any, and a summary."""

    status: str
    run_id: str | None
    summary: str


@contextmanager
def shared_folder(parent: Path) -> Iterator[Path]:
    """Make a sweep's folder below ``parent`` while it runs; remove those of killed commands."""
    for abandoned in parent.parent.glob(f"*/{_PREFIX}*"):
        if worker_died(abandoned.name.removeprefix(_PREFIX)):
            _remove(abandoned)
    folder = parent.absolute() / f"{_PREFIX}{current_worker()}"
    parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        _remove(folder)


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    with suppress(OSError):
        folder.parent.rmdir()  # if nothing else is in it


def write_outcome(config: TrainConfig, outcome: JobOutcome) -> None:
    """Write how a job ended into the folder of its sweep."""
    assert config.sweep.folder is not None
    path = Path(config.sweep.folder) / f"{config.sweep.job}.outcome"
    write_whole(path, json.dumps(asdict(outcome)).encode())


class OutcomeWatcher:
    """Reads the outcomes of jobs from their shared folder, and reports each once.

    Parameters
    ----------
    folder : Path
    report : function
        Called with each :class:`JobOutcome`, from a thread of its own.
    """

    def __init__(self, folder: Path, report: Callable[[JobOutcome], None]) -> None:
        self.folder, self.report = folder, report
        self.outcomes: dict[str, JobOutcome] = {}
        self._ended = threading.Event()
        self._reading = threading.Lock()
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def __enter__(self) -> OutcomeWatcher:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join()
        self.read_new()

    def _follow(self) -> None:
        while not self._ended.wait(_POLL):
            self.read_new()

    def read_new(self) -> None:
        """Read and report the outcomes that were written since, in their order."""
        with self._reading:
            paths = [
                path for path in self.folder.glob("*.outcome") if path.stem not in self.outcomes
            ]
            for path in sorted(paths, key=lambda path: path.stat().st_mtime_ns):
                self.outcomes[path.stem] = JobOutcome(**json.loads(path.read_bytes()))
                self.report(self.outcomes[path.stem])
