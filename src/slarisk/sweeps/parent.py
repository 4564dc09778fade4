"""The parent run of a sweep: progress, errors, and the best job."""

from __future__ import annotations

import itertools
import sys
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tqdm import tqdm

from slarisk.config import SweepJob
from slarisk.errors import InputError, StoreError
from slarisk.sweeps.results import (
    find_best,
    format_command,
    format_sweep_summary,
    format_value_summary,
)
from slarisk.sweeps.runs import end_jobs
from slarisk.sweeps.shared_folder import OutcomeWatcher, shared_folder
from slarisk.tracking.runs import fetch_config, terminate_run
from slarisk.training.run import complete_run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from slarisk.sweeps.runs import JobRun
    from slarisk.sweeps.shared_folder import JobOutcome


@dataclass(frozen=True)
class SweepRun:
    """A sweep under way: its experiment and parent run, and the folder its jobs share."""

    experiment: str
    parent: str
    folder: Path
    watcher: OutcomeWatcher

    def place_overrides(self, job: str) -> list[str]:
        """Return the overrides that make a training run this job of the sweep."""
        return [f"sweep.parent={self.parent}", f"sweep.folder='{self.folder}'", f"sweep.job={job}"]


@contextmanager
def parent_run(
    folder: Path, experiment: str, parent: str, total: int, done: int = 0
) -> Iterator[SweepRun]:
    """Show the progress of the jobs; after an error, end their runs and the parent run.

    Parameters
    ----------
    folder : Path
        Holds the shared folder while the sweep runs.
    experiment, parent : str
        Ids of the experiment and of the parent run.
    total, done : int
        The number of jobs, and how many of them ended in earlier commands.
    """
    try:
        with (
            shared_folder(folder) as shared,
            show_job_progress(total, done) as report,
            OutcomeWatcher(shared, report) as watcher,
        ):
            yield SweepRun(experiment, parent, shared, watcher)
    except BaseException as error:
        with suppress(StoreError):  # it would hide the first error
            end_jobs(experiment, parent)
            if isinstance(error, KeyboardInterrupt | SystemExit):
                terminate_run(parent, "KILLED", "interrupted")
            else:
                terminate_run(parent, "FAILED", str(error))
        raise


@contextmanager
def show_job_progress(total: int, done: int = 0) -> Iterator[Callable[[JobOutcome], None]]:
    """Show how many jobs have ended: a bar on a terminal, plain lines otherwise.

    Yields
    ------
    function
        To be called with the outcome of each job.
    """
    if not sys.stderr.isatty():
        count = itertools.count(done + 1)
        yield lambda outcome: print(f"[{next(count)}/{total}] {outcome.summary}", flush=True)
        return
    with tqdm(total=total, initial=done, unit="job", dynamic_ncols=True) as bar:

        def report(outcome: JobOutcome) -> None:
            tqdm.write(outcome.summary)
            bar.update()

        yield report


def end_sweep(parent: str, errors: Sequence[Exception], total: int, unit: str) -> None:
    """End the parent run, as FAILED if any job failed, and raise what the jobs raised.

    ``unit`` is what the jobs are called in the run's failure: jobs or trials.
    """
    if errors:
        terminate_run(parent, "FAILED", f"{len(errors)} of {total} {unit} failed")
    else:
        terminate_run(parent, "FINISHED")
    raise_errors(errors, total)


def raise_errors(errors: Sequence[Exception], total: int) -> None:
    """Raise the first error that is a bug, with its traceback, or else one error for all."""
    for error in errors:
        if not isinstance(error, InputError):
            raise error
    if errors:
        reasons = dict.fromkeys(str(error) for error in errors)
        raise InputError(f"{len(errors)} of {total} jobs failed: " + "; ".join(reasons))


def complete_job(run_id: str, sweep: SweepRun) -> None:
    """Fit a job once more, and log its model."""
    config = fetch_config(run_id)
    complete_run(run_id, replace(config, sweep=SweepJob(folder=str(sweep.folder))))


def print_results(jobs: Sequence[JobRun], parent: str) -> None:
    """Print the best job of a sweep, and whether any job beats the trivial rules."""
    print(format_sweep_summary(jobs))
    best = find_best(jobs)
    if best is not None:
        print(format_value_summary(jobs).replace("**", ""))
        print(f"  again: {format_command(best.overrides)}")
        print(f"  its model is logged: run {best.run_id}")
    print(f"  all jobs: run {parent}", flush=True)
