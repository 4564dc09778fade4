"""Parallel jobs divide the processors among them: more threads than that only wait."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from joblib import cpu_count, effective_n_jobs
from threadpoolctl import threadpool_info, threadpool_limits

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# joblib, scikit-learn and LightGBM ask joblib how many processors there are, which reads this
_PROCESSORS = "LOKY_MAX_CPU_COUNT"


def count_parallel(launcher: Mapping[str, Any], jobs: int) -> int:
    """Count how many of the launched jobs run at the same time.

    Examples
    --------
    >>> count_parallel({"n_jobs": 4}, jobs=3)
    3
    >>> count_parallel({}, jobs=3)  # Hydra's own launcher
    1
    """
    workers: int = effective_n_jobs(launcher.get("n_jobs", 1))
    return min(workers, jobs)


@contextmanager
def share_processors(jobs: int) -> Iterator[int]:
    """Limit this process to its share of the processors while ``jobs`` jobs run at the same time.

    Limited are the threads of OpenMP and linear algebra, and what ``n_jobs=-1`` stands for. An
    ``n_jobs`` that is a positive number is kept.

    Yields
    ------
    int
        The share: the number of processors divided by ``jobs``, and at least one.
    """
    share = max(1, cpu_count() // jobs)
    if jobs == 1:
        yield share
        return
    threads = {pool["prefix"]: min(pool["num_threads"], share) for pool in threadpool_info()}
    before = os.environ.get(_PROCESSORS)
    os.environ[_PROCESSORS] = str(share)
    try:
        with threadpool_limits(threads):
            yield share
    finally:
        os.environ.pop(_PROCESSORS)
        if before is not None:
            os.environ[_PROCESSORS] = before
