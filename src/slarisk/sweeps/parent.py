"""The parent run of a sweep: progress, errors, and the best job."""

from __future__ import annotations

import io
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from slarisk.config import SweepJob, Tracking
from slarisk.errors import InputError, StoreError
from slarisk.sweeps.shared_folder import OutcomeWatcher
from slarisk.training.processors import count_parallel

if TYPE_CHECKING:
    from hydra.core.utils import JobReturn

    from slarisk.sweeps.plugins import GridSweeper, SearchSweeper
    from slarisk.sweeps.shared_folder import JobOutcome


_LONGEST_TAG = 8000  # characters, as MLflow has it


@dataclass(frozen=True)
class SweepRun:
    """A sweep under way: its parent run, and the folder its jobs share."""

    experiment: str
    parent: str
    folder: Path
    watch: OutcomeWatcher

    def place_overrides(self, job: str) -> list[str]:
        """Write the overrides that tell a job its place."""
        return [f"sweep.parent={self.parent}", f"sweep.folder='{self.folder}'", f"sweep.job={job}"]


def open_tracking(config: DictConfig) -> str:
    """Open the store once, before any worker does, and tidy up after commands that were killed.

    Returns
    -------
    str
        The experiment's id.
    """
    from slarisk.tracking.runs import end_orphans
    from slarisk.tracking.store import open_store

    tracking = OmegaConf.to_object(config.tracking)
    assert isinstance(tracking, Tracking)
    experiment = open_store(tracking)
    end_orphans(experiment)
    return experiment


def tag_command(config: DictConfig) -> dict[str, str]:
    """Tell the parent run the command that runs the sweep again."""
    said = config.hydra.overrides
    overrides = [each for each in said.hydra if not each.startswith("hydra.mode=")]
    command = shlex.join(["python", "train.py", "-m", *said.task, *overrides])
    return {"command": command[:_LONGEST_TAG]}


def launch_jobs(
    sweeper: GridSweeper | SearchSweeper, jobs: Sequence[list[str]], first: int
) -> Sequence[JobReturn]:
    """Launch jobs from number ``first``, and tell each how many run at the same time."""
    assert sweeper.config is not None
    assert sweeper.launcher is not None
    at_once = count_parallel(sweeper.config.hydra.launcher, len(jobs))
    told = [[*job, f"sweep.at_once={at_once}"] for job in jobs]
    return sweeper.launcher.launch(told, initial_job_idx=first)


@contextmanager
def parent_run(
    folder: Path, experiment: str, parent: str, total: int, done: int = 0
) -> Iterator[SweepRun]:
    """Show the jobs' progress; if they are stopped, end their runs and the parent's.

    What the jobs share is kept beside ``folder``. ``total`` is the number of jobs, ``done`` of
    those done before.
    """
    from slarisk.sweeps.runs import end_jobs
    from slarisk.sweeps.shared_folder import OutcomeWatcher, shared_folder
    from slarisk.tracking.runs import terminate_run

    try:
        with (
            shared_folder(folder) as shared,
            show_progress(total, done) as say,
            OutcomeWatcher(shared, say) as watch,
        ):
            yield SweepRun(experiment, parent, shared, watch)
    except BaseException as error:
        with suppress(StoreError):  # it would hide what went wrong first
            end_jobs(experiment, parent)
            if isinstance(error, KeyboardInterrupt | SystemExit):
                terminate_run(parent, "KILLED", "interrupted")
            else:
                terminate_run(parent, "FAILED", str(error))
        raise


@contextmanager
def show_progress(total: int, done: int = 0) -> Iterator[Callable[[JobOutcome], None]]:
    """Show how far a sweep is: a bar on a terminal, plain lines otherwise."""
    if not sys.stderr.isatty():
        count = iter(range(done + 1, sys.maxsize))
        yield lambda outcome: print(f"[{next(count)}/{total}] {outcome.words}", flush=True)
        return
    from tqdm import tqdm

    with tqdm(total=total, initial=done, unit="job", dynamic_ncols=True) as bar:

        def say(outcome: JobOutcome) -> None:
            tqdm.write(outcome.words)
            bar.update()

        yield say


def collect_errors(results: Sequence[JobReturn]) -> list[Exception]:
    """Take from the jobs' results what they raised."""
    errors: list[Exception] = []
    for result in results:
        try:
            with redirect_stderr(io.StringIO()):  # Hydra writes the overrides there
                _ = result.return_value
        except Exception as error:
            errors.append(error)
    return errors


def end_sweep(parent: str, errors: Sequence[Exception], total: int, what: str) -> None:
    """End the parent run as its jobs ended, and fail if one did; ``what`` names the jobs."""
    from slarisk.tracking.runs import terminate_run

    if errors:
        terminate_run(parent, "FAILED", f"{len(errors)} of {total} {what} failed")
    else:
        terminate_run(parent, "FINISHED")
    raise_errors(errors, total)


def raise_errors(errors: Sequence[Exception], total: int) -> None:
    """Fail if a job did: with its traceback if it is a bug, in one message otherwise."""
    for error in errors:
        if not isinstance(error, InputError):
            raise error
    if errors:
        reasons = dict.fromkeys(str(error) for error in errors)
        raise InputError(f"{len(errors)} of {total} jobs failed: " + "; ".join(reasons))


def complete_job(run_id: str, sweep: SweepRun) -> None:
    """Log the model of a job, fitted once more."""
    from slarisk.tracking.runs import fetch_config
    from slarisk.training.run import complete_run

    config = fetch_config(run_id)
    complete_run(run_id, replace(config, sweep=SweepJob(folder=str(sweep.folder))))


def print_results(jobs: Sequence[Any], parent: str) -> None:
    """Say on the terminal what a sweep found."""
    from slarisk.sweeps.results import find_best, summarise_sweep, summarise_value, write_command

    print(summarise_sweep(jobs))
    best = find_best(jobs)
    if best is not None:
        print(summarise_value(jobs).replace("**", ""))
        print(f"  again: {write_command(best.overrides)}")
        print(f"  its model is logged: run {best.run_id}")
    print(f"  all jobs: run {parent}", flush=True)
