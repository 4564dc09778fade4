"""Results that the MLflow store did not take: kept on disk until the same command runs again."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from slarisk.atomic_files import write_whole
from slarisk.errors import StoreError
from slarisk.tracking.source import write_versions

if TYPE_CHECKING:
    from slarisk.training.result import TrainingResult

FOLDER = Path("outputs") / "unsent"


@dataclass(frozen=True, eq=False)
class PendingResult:
    """A result that is not logged, and the MLflow run it belongs to."""

    result: TrainingResult
    run_id: str


def load_pending_result(job: str) -> PendingResult | None:
    """Load the result of a job that was fitted before; None if there is none.

    Parameters
    ----------
    job : str
        The job's fingerprint: config, data and code. The versions of the libraries count too.
    """
    path = _result_path(job)
    if not path.exists():
        return None
    # a pickle, but one that this user's own command wrote, into a folder that is the user's alone
    loaded = pickle.loads(path.read_bytes())
    assert isinstance(loaded, PendingResult)
    return loaded


@contextmanager
def keep_pending_result(job: str, pending: PendingResult) -> Iterator[None]:
    """Keep a result on disk if the store fails, or the user interrupts, while it is logged.

    Raises
    ------
    StoreError
        The store's error, with the path of the result and what to do.
    """
    path = _result_path(job)
    try:
        yield
    except (StoreError, KeyboardInterrupt) as error:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_whole(path, pickle.dumps(pending))
        if isinstance(error, StoreError):
            raise StoreError(
                f"{error} The fit is not lost: it is kept in {path}, and the same command logs it, "
                "without fitting again, once the store is back."
            ) from error
        raise
    path.unlink(missing_ok=True)


def _result_path(job: str) -> Path:
    key = hashlib.sha256(f"{job} {write_versions()}".encode()).hexdigest()[:16]
    return FOLDER / f"{key}.result"
