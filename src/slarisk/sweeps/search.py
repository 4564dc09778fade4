"""A search, step by step: trials, then the winner against the defaults over several seeds."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from hydra.utils import instantiate
from hydra_plugins.hydra_optuna_sweeper._impl import create_params_from_overrides
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from slarisk.config import Stage, TrainConfig
from slarisk.decisions.costs import dollars
from slarisk.errors import InputError, StoreError
from slarisk.sweeps.optuna_study import (
    RANK,
    Search,
    drawn_study,
    find_edges,
    list_values,
    open_study,
    take_defaults,
)
from slarisk.sweeps.parent import (
    SweepRun,
    collect_errors,
    complete_job,
    end_sweep,
    launch_jobs,
    open_tracking,
    parent_run,
    print_results,
    raise_errors,
    tag_command,
)
from slarisk.sweeps.results import tabulate_jobs, write_results
from slarisk.sweeps.runs import (
    JobRun,
    add_figures,
    add_to_parent,
    end_trial,
    list_jobs,
    log_steps,
    resume_parent,
    start_parent,
    tag_runs,
)
from slarisk.tracking.runs import find_run
from slarisk.tracking.source import Source
from slarisk.tracking.tags import TUNING_TAG, Tuning
from slarisk.training.fingerprints import fingerprint_job
from slarisk.training.prepare import prepare
from slarisk.typed_config import take_choices, type_config

if TYPE_CHECKING:
    import optuna
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial, Trial

    from slarisk.sweeps.plugins import SearchSweeper

STUDY_TAG = "study"
_POLL = 1.0  # seconds


@dataclass(frozen=True)
class Task:
    """What is searched: the space, what every trial has in common, and what that composes to."""

    space: dict[str, BaseDistribution]
    fixed: list[str]
    config: TrainConfig
    ground: str
    name: str


def run_search(sweeper: SearchSweeper, config: DictConfig, arguments: Sequence[str]) -> None:
    """Run what is left of a study, and draw its conclusions once it is whole."""
    task = read_task(sweeper, config, arguments)
    experiment = open_tracking(config)
    study, parent = begin_study(sweeper, task, experiment, tag_command(config))

    def find_value(number: int) -> float | None:
        value = find_objective(list_jobs(experiment, parent), number)
        if value is None:
            end_trial(experiment, parent, number)
        return value

    search = Search(
        study,
        sweeper.storage,
        sweeper.n_trials,
        task.space,
        lambda rank: build_sampler(sweeper.sampler, rank),
        find_value,
    )
    search.recover()
    left = search.count_left()
    if left < sweeper.n_trials:
        print(f"study {task.name}: {sweeper.n_trials - left} of {sweeper.n_trials} trials begun")
    resume_parent(parent)
    total = sweeper.n_trials + 2 * len(list_seeds(sweeper, task))
    folder = Path(str(config.hydra.sweep.dir))
    with parent_run(folder, experiment, parent, total, sweeper.n_trials - left) as sweep:
        with release_trials_on_error(search), search.pulse():
            errors = run_trials(sweeper, search, task, sweep)
            while not search.is_whole():
                wait_for_others(search)
                errors += run_trials(sweeper, search, task, sweep)
        if not search.take_finishing():
            print(f"study {task.name}: all trials are done; another worker draws the conclusions")
            return
        try:
            with search.pulse():
                conclude(sweeper, study, task, sweep)
        finally:
            search.leave_finishing()
    end_sweep(parent, errors, sweeper.n_trials, "trials")


def read_task(sweeper: SearchSweeper, config: DictConfig, arguments: Sequence[str]) -> Task:
    """Read the search space and compose what all trials have in common.

    Raises
    ------
    InputError
        There is nothing to search, or the config or the data are wrong: before any trial.
    """
    told = [f"{key!s}={value}" for key, value in (sweeper.params or {}).items()]
    space, values, more = create_params_from_overrides([*told, *arguments])
    space = {name: each for name, each in space.items() if name not in values}
    if not space:
        raise InputError(
            "There is nothing to search: no parameter has a range. See conf/search/*.yaml."
        )
    fixed = [*more, *(f"{name}={value}" for name, value in values.items())]
    typed = compose(sweeper, config, fixed)
    for name, each in space.items():
        for choice in getattr(each, "choices", ()):
            compose(sweeper, config, [*fixed, f"{name}={choice}"])  # refuses one that is none
    prepared = prepare(typed)
    ground = [
        fingerprint_job(typed, prepared.tags, Source("", "")),
        json.dumps({name: repr(each) for name, each in space.items()}, sort_keys=True),
        json.dumps(OmegaConf.to_container(sweeper.sampler), sort_keys=True),
    ]
    fingerprint = hashlib.sha256("\0".join(ground).encode()).hexdigest()[:16]
    model = typed.choices.get("search") or typed.choices.get("model") or "model"
    name = sweeper.study_name or f"{model}-{fingerprint[:8]}"
    return Task(space, fixed, typed, fingerprint, name)


def compose(sweeper: SearchSweeper, config: DictConfig, overrides: Sequence[str]) -> TrainConfig:
    """Compose the config of a job, as a launcher would."""
    assert sweeper.hydra_context is not None
    composed = sweeper.hydra_context.config_loader.load_sweep_config(config, list(overrides))
    choices = take_choices(composed.hydra.runtime.choices)
    with read_write(composed), open_dict(composed):
        del composed["hydra"]
    typed = type_config(composed)
    assert isinstance(typed, TrainConfig)
    typed.choices = choices
    return typed


def begin_study(
    sweeper: SearchSweeper, task: Task, experiment: str, tags: dict[str, str]
) -> tuple[optuna.Study, str]:
    """Open the study, or create it with its parent run and the default parameters to begin with."""

    def set_up(study: optuna.Study) -> str:
        defaults = take_defaults(task.config.model, task.space)
        if defaults is not None and not study.trials:
            study.enqueue_trial(defaults, {RANK: 0})
        all_tags = tags | {STUDY_TAG: task.name}
        return start_parent(experiment, f"search {task.name}", "search", all_tags)

    study, parent = open_study(sweeper.storage, task.name, task.ground, set_up)
    try:
        find_run(parent)
    except InputError as error:
        raise InputError(
            f"The study {task.name} in {sweeper.storage} belongs to the run {parent}, which is not "
            "in this MLflow store. Take the store it was begun with, or another study: "
            "hydra.sweeper.study_name=<name>"
        ) from error
    return study, parent


def build_sampler(sampler: DictConfig, rank: int) -> optuna.samplers.BaseSampler:
    """Build the sampler of the trial with ``rank`` trials before it."""
    trusted = ("optuna.samplers.*", "hydra_plugins.hydra_optuna_sweeper.*")
    seed = sampler.get("seed")
    built: optuna.samplers.BaseSampler = instantiate(
        sampler, seed=None if seed is None else seed + rank, _execution_whitelist_=trusted
    )
    return built


def find_objective(jobs: Sequence[JobRun], trial: int) -> float | None:
    """Find the objective of a trial whose run finished."""
    for job in jobs:
        if job.trial == trial and job.stage is Stage.trial and job.finished:
            return job.metrics["objective"]
    return None


@contextmanager
def release_trials_on_error(search: Search) -> Iterator[None]:
    """Give the trials under way back if this worker is stopped.

    Where the store is gone they stay as they are, and the next start settles them.
    """
    try:
        yield
    except BaseException:
        with suppress(StoreError):
            search.release()
        raise


def run_trials(
    sweeper: SearchSweeper, search: Search, task: Task, sweep: SweepRun
) -> list[Exception]:
    """Run trials until none is left for this worker.

    Returns
    -------
    list of Exception
        Why trials failed.
    """
    errors: list[Exception] = []
    while trials := claim_batch(search, sweeper.n_jobs):
        jobs = [
            [
                *task.fixed,
                *(f"{name}={value}" for name, value in trial.params.items()),
                *sweep.place_overrides(str(trial.number)),
                f"sweep.trial={trial.number}",
            ]
            for trial in trials
        ]
        results = launch_jobs(sweeper, jobs, trials[0].number)
        for trial, result in zip(trials, results, strict=True):
            failed = collect_errors([result])
            if failed and isinstance(failed[0], StoreError):
                raise failed[0]  # the trial is not to blame: it is given back
            if failed:
                search.fail(trial, str(failed[0]))
                errors += failed
            else:
                search.finish(trial, float(result.return_value))
        if len(errors) > sweeper.max_failure_rate * sweeper.n_trials:
            raise_errors(errors, sweeper.n_trials)
    return errors


def wait_for_others(search: Search) -> None:
    """Wait for the last trials, which other workers run; take over those of workers that died."""
    print("no trial is left for this worker: waiting for the last ones, which run elsewhere")
    while not search.is_whole() and search.count_left() <= 0:
        time.sleep(_POLL)
        search.recover()


def claim_batch(search: Search, size: int) -> list[Trial]:
    """Take up to ``size`` trials."""
    trials: list[Trial] = []
    while len(trials) < size and (trial := search.claim()) is not None:
        trials.append(trial)
    return trials


def conclude(sweeper: SearchSweeper, study: optuna.Study, task: Task, sweep: SweepRun) -> None:
    """Compare the winner with the defaults, log its model, and write all of it down."""
    done = [trial for trial in study.trials if trial.value is not None]
    if not done:
        raise InputError("No trial finished: there is nothing to compare.")
    best = study.best_trial
    fits = list_fits(sweeper, best, task)
    run_fits(sweeper, fits, sweep)
    jobs = list_jobs(sweep.experiment, sweep.parent)
    compared = [job for job in jobs if (job.stage, job.overrides) in fits and job.finished]
    trials = [job for job in jobs if job.stage is Stage.trial]
    winner = next(job for job in trials if job.trial == best.number and job.finished)
    tuning = judge_tuning(compared)
    offered = keep_models(winner, jobs, compared, tuning, sweep)
    found = [describe_tuning(compared), describe_offer(winner, offered), describe_edges(best)]
    add_to_parent(
        sweep.parent,
        {"mlflow.note.content": write_results(trials, found), TUNING_TAG: tuning.value},
        {"best_objective": winner.metrics["objective"], **measure_seeds(compared)},
        {
            "results.csv": tabulate_jobs(trials).to_csv(index=False),
            "seeds.csv": tabulate_jobs(compared).to_csv(index=False),
        },
    )
    log_steps(sweep.parent, "best_objective_so_far", list_values(study))
    with drawn_study(study) as figures:
        add_figures(sweep.parent, figures)
    print_results(trials, sweep.parent)
    for words in found:
        print(f"  {words}")


def keep_models(
    winner: JobRun,
    jobs: Sequence[JobRun],
    compared: Sequence[JobRun],
    tuning: Tuning,
    sweep: SweepRun,
) -> JobRun:
    """Log the winner's model, and tell it what the search found.

    If tuning does not pay, a fit of the default parameters gets its model, too, as what the search
    has to offer: that of the middle seed. No run with tuned parameters may then be promoted unless
    it is named.

    Returns
    -------
    JobRun
        The job whose model the search offers for promotion.
    """
    if not winner.has_model:
        complete_job(winner.run_id, sweep)
    told, offered = [winner, *select_stage(compared, Stage.tuned)], winner
    if not tuning.pays:
        told = [job for job in jobs if job.stage is not Stage.default and job.finished]
        defaults = sorted(
            select_stage(compared, Stage.default), key=lambda job: job.metrics["objective"]
        )
        offered = defaults[len(defaults) // 2]
        if not offered.has_model:
            complete_job(offered.run_id, sweep)
    tag_runs([job.run_id for job in told], TUNING_TAG, tuning.value)
    return offered


def list_fits(
    sweeper: SearchSweeper, best: FrozenTrial, task: Task
) -> list[tuple[Stage, tuple[str, ...]]]:
    """List the fits that compare the winner with the default parameters, as stage and overrides."""
    tuned = [f"{name}={value}" for name, value in best.params.items()]
    return [
        (stage, (*task.fixed, *parameters, *seed))
        for stage, parameters in ((Stage.tuned, tuned), (Stage.default, []))
        for seed in list_seeds(sweeper, task)
    ]


def run_fits(
    sweeper: SearchSweeper, fits: Sequence[tuple[Stage, tuple[str, ...]]], sweep: SweepRun
) -> None:
    """Run those fits that have not finished yet."""
    jobs = list_jobs(sweep.experiment, sweep.parent)
    there = {(job.stage, job.overrides) for job in jobs if job.finished}
    missing = [
        [*overrides, *sweep.place_overrides(f"{stage.value}{number}"), f"sweep.stage={stage.value}"]
        for number, (stage, overrides) in enumerate(fits)
        if (stage, overrides) not in there
    ]
    if missing:
        raise_errors(collect_errors(launch_jobs(sweeper, missing, sweeper.n_trials)), len(missing))


def list_seeds(sweeper: SearchSweeper, task: Task) -> list[list[str]]:
    """List the overrides of each fit that is compared; a model without a seed is fitted once."""
    if "random_state" not in task.config.model:
        return [[]] if sweeper.seeds else []
    return [[f"model.random_state={seed}"] for seed in range(1, sweeper.seeds + 1)]


def select_stage(jobs: Sequence[JobRun], stage: Stage) -> list[JobRun]:
    """Pick the jobs of a stage."""
    return [job for job in jobs if job.stage is stage]


def measure_seeds(jobs: Sequence[JobRun]) -> dict[str, float]:
    """Give mean and standard deviation over the seeds, of winner and defaults."""
    figures = {}
    for stage in (Stage.tuned, Stage.default):
        for name in ("objective", "expected_loss"):
            values = [job.metrics[name] for job in select_stage(jobs, stage)]
            if values:
                figures[f"{stage.value}_{name}_mean"] = float(np.mean(values))
                figures[f"{stage.value}_{name}_std"] = _spread(values)
    return figures


def _spread(values: Sequence[float]) -> float:
    return float(np.std(values, ddof=1)) if len(values) > 1 else 0.0


def judge_tuning(jobs: Sequence[JobRun]) -> Tuning:
    """Find out whether tuning helped: winner against defaults, on the same footing.

    The winner was chosen by its objective, so it takes more than a better one: it must be better
    by more than the seeds explain, and also on the test tickets, which no trial has seen.
    """
    tuned, default = select_stage(jobs, Stage.tuned), select_stage(jobs, Stage.default)
    if not tuned or not default:
        return Tuning.not_compared
    objective, loss = (
        [[job.metrics[name] for job in group] for group in (tuned, default)]
        for name in ("objective", "expected_loss")
    )
    better = float(np.mean(objective[1]) - np.mean(objective[0]))
    error = float(np.hypot(_spread(objective[0]), _spread(objective[1])) / np.sqrt(len(tuned)))
    if better <= 0:
        return Tuning.does_not_help
    if better <= 2 * error:
        return Tuning.no_better_than_seed
    if np.mean(loss[0]) >= np.mean(loss[1]):
        return Tuning.only_out_of_fold
    return Tuning.helps if len(tuned) > 1 else Tuning.may_help


_TUNING_WORDS = {
    Tuning.helps: "Tuning helps",
    Tuning.may_help: "Tuning may help",
    Tuning.no_better_than_seed: "Tuning helps no more than another seed would",
    Tuning.only_out_of_fold: "Tuning helps out of fold, but not on the test tickets",
    Tuning.does_not_help: "Tuning does not help",
}


def describe_tuning(jobs: Sequence[JobRun]) -> str:
    """Say whether tuning helped, with the figures of winner and defaults."""
    tuning = judge_tuning(jobs)
    if tuning is Tuning.not_compared:
        return "The winner was not compared with the default parameters (hydra.sweeper.seeds=0)."
    objective, loss = (
        [
            [job.metrics[name] for job in select_stage(jobs, stage)]
            for stage in (Stage.tuned, Stage.default)
        ]
        for name in ("objective", "expected_loss")
    )
    count = len(objective[0])
    seeds = f"{count} seeds" if count > 1 else "one fit each: no seed tells what luck does"
    return (
        f"{_TUNING_WORDS[tuning]} ({seeds}): objective {_say(objective[0])} tuned, "
        f"{_say(objective[1])} with the default parameters; test loss {_say_dollars(loss[0])} and "
        f"{_say_dollars(loss[1])}."
    )


def describe_offer(winner: JobRun, offered: JobRun) -> str:
    """Say which run of the search may be promoted."""
    if offered is winner:
        return f"For promotion it offers the winner: run {winner.run_id}."
    return (
        f"For promotion it offers the default parameters: run {offered.run_id}. The winner is "
        f"promoted only if it is named: run_id={winner.run_id}."
    )


def _say(values: Sequence[float]) -> str:
    spread = f" (sd {_spread(values):.4f})" if len(values) > 1 else ""
    return f"{np.mean(values):.4f}{spread}"


def _say_dollars(values: Sequence[float]) -> str:
    spread = f" (sd {dollars(_spread(values))})" if len(values) > 1 else ""
    return f"{dollars(float(np.mean(values)))}{spread}"


def describe_edges(best: FrozenTrial) -> str:
    """Name the parameters of the winner that lie at the edge of the search space."""
    edges = find_edges(best)
    if not edges:
        return "No parameter of the winner lies at the edge of its space."
    named = ", ".join(f"{name} = {words}" for name, words in edges.items())
    return f"At the edge of its space: {named}. A wider space may hold a better value."
