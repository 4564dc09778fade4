"""``train.py -m``: jobs under one parent run, as a grid or as a search.

These are Hydra's sweepers. A grid is Hydra's own; a search takes the Optuna sweeper's search
spaces and samplers, with a loop that survives being killed (see :mod:`slarisk.jobs.study`).
"""

from __future__ import annotations

import io
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper, BasicSweeperConf
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from slarisk.config import MISSING, Count, Positive, Share, SweepJob, Tracking
from slarisk.constraints import OneOf, check_config
from slarisk.errors import InputError, StoreError
from slarisk.jobs.processors import count_parallel

if TYPE_CHECKING:
    from hydra.core.utils import JobReturn

    from slarisk.jobs.sharing import Outcome, Watch

_LONGEST_TAG = 8000  # characters, as MLflow has it


@dataclass(frozen=True)
class SweepRun:
    """A sweep under way: its parent run, and the folder its jobs share."""

    experiment: str
    parent: str
    folder: Path
    watch: Watch

    def say_place(self, job: str) -> list[str]:
        """Write the overrides that tell a job its place."""
        return [f"sweep.parent={self.parent}", f"sweep.folder='{self.folder}'", f"sweep.job={job}"]


@dataclass
class GridConfig(BasicSweeperConf):
    """``hydra/sweeper=basic``: Hydra's own keys."""

    _target_: str = "slarisk.jobs.sweepers.GridSweeper"


class GridSweeper(BasicSweeper):
    """Every combination of the choices."""

    def sweep(self, arguments: list[str]) -> None:
        """Run the jobs; one that fails does not stop the others."""
        from slarisk.tracking.sweeps import start_parent

        assert self.config is not None
        assert self.hydra_context is not None
        assert self.launcher is not None
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        parsed = parser.parse_overrides([*self._parse_config(), *arguments])
        for override in parsed:
            if override.key_or_group == "search":
                raise InputError(f"{override.input_line}: choose one search a command.")
        batches = self.split_arguments(parsed, self.max_batch_size)
        self.validate_batch_is_legal(pick_new([job for batch in batches for job in batch]))
        total = sum(len(batch) for batch in batches)
        experiment = open_tracking(self.config)
        parent = start_parent(experiment, name_sweep(arguments), "grid", tag_command(self.config))
        errors: list[Exception] = []
        folder = Path(str(self.config.hydra.sweep.dir))
        with parent_run(folder, experiment, parent, total) as sweep:
            done = 0
            for batch in batches:
                jobs = [
                    [*job, *sweep.say_place(str(number))] for number, job in enumerate(batch, done)
                ]
                errors += collect_errors(launch_jobs(self, jobs, done))
                done += len(jobs)
            finish_grid(sweep)
        end_sweep(parent, errors, total, "jobs")


def pick_new(jobs: Sequence[list[str]]) -> list[list[str]]:
    """Pick the jobs that bring a choice which none before them had: they show every bad one."""
    seen: set[str] = set()
    new = []
    for job in jobs:
        if not seen.issuperset(job):
            new.append(job)
            seen.update(job)
    return new


def open_tracking(config: DictConfig) -> str:
    """Open the store once, before any worker does, and tidy up after commands that were killed.

    Returns
    -------
    str
        The experiment's id.
    """
    from slarisk.tracking.store import open_store
    from slarisk.tracking.sweeps import end_orphans

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


def name_sweep(arguments: Sequence[str]) -> str:
    """Name a sweep by what it was asked for."""
    return " ".join(arguments)[:200] or "sweep"


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
    from slarisk.jobs.sharing import Watch, share_folder
    from slarisk.tracking.sweeps import end_jobs, end_parent

    try:
        with (
            share_folder(folder) as shared,
            show_progress(total, done) as say,
            Watch(shared, say) as watch,
        ):
            yield SweepRun(experiment, parent, shared, watch)
    except BaseException as error:
        with suppress(StoreError):  # it would hide what went wrong first
            end_jobs(experiment, parent)
            if isinstance(error, KeyboardInterrupt | SystemExit):
                end_parent(parent, "KILLED", "interrupted")
            else:
                end_parent(parent, "FAILED", str(error))
        raise


@contextmanager
def show_progress(total: int, done: int = 0) -> Iterator[Callable[[Outcome], None]]:
    """Show how far a sweep is: a bar on a terminal, plain lines otherwise."""
    if not sys.stderr.isatty():
        count = iter(range(done + 1, sys.maxsize))
        yield lambda outcome: print(f"[{next(count)}/{total}] {outcome.words}", flush=True)
        return
    from tqdm import tqdm

    with tqdm(total=total, initial=done, unit="job", dynamic_ncols=True) as bar:

        def say(outcome: Outcome) -> None:
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
    from slarisk.tracking.sweeps import end_parent

    if errors:
        end_parent(parent, "FAILED", f"{len(errors)} of {total} {what} failed")
    else:
        end_parent(parent, "FINISHED")
    raise_errors(errors, total)


def raise_errors(errors: Sequence[Exception], total: int) -> None:
    """Fail if a job did: with its traceback if it is a bug, in one message otherwise."""
    for error in errors:
        if not isinstance(error, InputError):
            raise error
    if errors:
        reasons = dict.fromkeys(str(error) for error in errors)
        raise InputError(f"{len(errors)} of {total} jobs failed: " + "; ".join(reasons))


def finish_grid(sweep: SweepRun) -> None:
    """Log the best job's model and the table of all jobs, and say what the grid found."""
    from slarisk.tracking.results import find_best, tabulate_jobs, write_results
    from slarisk.tracking.sweeps import add_to_parent, list_jobs

    sweep.watch.catch_up()
    skipped = [each.run_id for each in sweep.watch.outcomes.values() if each.status == "skipped"]
    jobs = list_jobs(sweep.experiment, sweep.parent, [run for run in skipped if run])
    best = find_best(jobs)
    if best is not None and not best.has_model:
        complete_job(best.run_id, sweep)
    add_to_parent(
        sweep.parent,
        {"mlflow.note.content": write_results(jobs)},
        {} if best is None else {"best_objective": best.metrics["objective"]},
        {"results.csv": tabulate_jobs(jobs).to_csv(index=False)},
    )
    tell_results(jobs, sweep.parent)


def complete_job(run_id: str, sweep: SweepRun) -> None:
    """Log the model of a job, fitted once more."""
    from slarisk.jobs.train import complete_run
    from slarisk.tracking.registry import fetch_config

    config = fetch_config(run_id)
    complete_run(run_id, replace(config, sweep=SweepJob(folder=str(sweep.folder))))


def tell_results(jobs: Sequence[Any], parent: str) -> None:
    """Say on the terminal what a sweep found."""
    from slarisk.tracking.results import find_best, say_sweep, say_worth, write_command

    print(say_sweep(jobs))
    best = find_best(jobs)
    if best is not None:
        print(say_worth(jobs).replace("**", ""))
        print(f"  again: {write_command(best.overrides)}")
        print(f"  its model is logged: run {best.run_id}")
    print(f"  all jobs: run {parent}", flush=True)


@dataclass
class SearchConfig:
    """``hydra/sweeper=search``: the keys of :class:`SearchSweeper`."""

    _target_: str = "slarisk.jobs.sweepers.SearchSweeper"
    defaults: list[Any] = field(default_factory=lambda: [{"sampler": "tpe"}])
    sampler: Any = MISSING
    direction: Annotated[str, OneOf("minimize")] = MISSING  # the objective is a loss
    storage: str = MISSING
    study_name: str | None = None
    n_trials: Positive = MISSING
    n_jobs: Positive = 1
    max_failure_rate: Share = 0.2
    seeds: Count = 5
    params: dict[str, str] = field(default_factory=dict)


class SearchSweeper(Sweeper):
    """An Optuna search over the parameters of a model, told in ``conf/search``.

    Parameters
    ----------
    sampler : mapping
        An Optuna sampler, of the group ``hydra/sweeper/sampler``; its ``seed`` is the search's.
    direction : str
        ``minimize``: the objective is a loss.
    storage : str
        Address of the database that keeps the study.
    study_name : str or None
        None names it after the model and a fingerprint of all that the objective depends on.
    n_trials : int
        How many trials the study has in all, whoever runs them, however often it is interrupted.
    n_jobs : int
        Trials that are launched together.
    max_failure_rate : float
        The share of the trials that may fail before the search gives up.
    seeds : int
        Fits of the winner, and of the default parameters, that are compared at the end.
    params : mapping
        The search space, in Hydra's grammar, by config key.
    """

    def __init__(
        self,
        sampler: DictConfig,
        direction: str,
        storage: str,
        study_name: str | None,
        n_trials: int,
        n_jobs: int,
        max_failure_rate: float,
        seeds: int,
        params: DictConfig,
    ) -> None:
        self.sampler, self.direction, self.storage = sampler, direction, storage
        self.study_name, self.n_trials, self.n_jobs = study_name, n_trials, n_jobs
        self.max_failure_rate, self.seeds, self.params = max_failure_rate, seeds, params
        self.config: DictConfig | None = None
        self.launcher: Launcher | None = None
        self.hydra_context: HydraContext | None = None

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Take what Hydra hands over.

        Raises
        ------
        InputError
            A value of the search's own config is none.
        """
        check_config(OmegaConf.to_object(config.hydra.sweeper), "hydra.sweeper.")
        self.config, self.hydra_context = config, hydra_context
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        """Run what is left of the study, and draw its conclusions once it is whole."""
        from slarisk.jobs.search import run_search

        assert self.config is not None
        assert self.launcher is not None
        run_search(self, self.config, arguments)
