"""A search, step by step: trials, then the winner against the defaults over several seeds."""

from __future__ import annotations

import hashlib
import itertools
import json
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hydra.utils import instantiate
from hydra_plugins.hydra_optuna_sweeper._impl import create_params_from_overrides
from omegaconf import OmegaConf

from slarisk.config import Stage, TrainConfig
from slarisk.errors import InputError, StoreError
from slarisk.sweeps.optuna_study import RANK, StudyWorker, open_study, take_defaults
from slarisk.sweeps.parent import (
    SweepRun,
    complete_job,
    end_sweep,
    parent_run,
    print_results,
    raise_errors,
)
from slarisk.sweeps.results import format_results, tabulate_jobs
from slarisk.sweeps.runs import (
    JobRun,
    end_trial,
    fetch_jobs,
    log_findings,
    resume_parent,
    start_parent,
    tag_runs,
)
from slarisk.sweeps.study_results import drawn_study, format_edges, list_best_values
from slarisk.sweeps.tuning import classify_tuning, format_tuning, summarise_seeds
from slarisk.tracking.runs import find_run
from slarisk.tracking.source import Source
from slarisk.tracking.tags import DESCRIPTION_TAG, TUNING_TAG, Tuning
from slarisk.training.fingerprints import fingerprint_job
from slarisk.training.prepare import prepare

if TYPE_CHECKING:
    from collections.abc import Sequence

    import optuna
    from omegaconf import DictConfig
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

    from slarisk.sweeps.hydra_sweep import HydraSweep
    from slarisk.sweeps.settings import SearchSettings

STUDY_TAG = "study"
_POLL = 1.0  # seconds


@dataclass(frozen=True)
class SearchPlan:
    """What a search tries, and what all its trials have in common."""

    settings: SearchSettings
    space: dict[str, BaseDistribution]  # by the config key that trials vary
    fixed: list[str]  # the overrides of every trial
    config: TrainConfig  # what these compose to
    context: str  # fingerprint of all that the objective depends on
    name: str  # of the study

    @property
    def seeds(self) -> list[list[str]]:
        """The overrides of each fit that is compared; a model without a seed is fitted once."""
        if "random_state" not in self.config.model:
            return [[]] if self.settings.seeds else []
        return [[f"model.random_state={seed}"] for seed in range(1, self.settings.seeds + 1)]


def run_search(hydra: HydraSweep, settings: SearchSettings, arguments: Sequence[str]) -> None:
    """Run the trials that are left of a study; after the last one, conclude the search."""
    plan = plan_search(hydra, settings, arguments)
    experiment = hydra.open_tracking()
    study, parent = open_search_study(plan, experiment, hydra.tags)

    def fetch_value(number: int) -> float | None:
        for job in fetch_jobs(experiment, parent):
            if job.trial == number and job.stage is Stage.trial and job.finished:
                return job.metrics["objective"]
        end_trial(experiment, parent, number)
        return None

    worker = StudyWorker(
        study,
        settings.storage,
        settings.n_trials,
        plan.space,
        lambda rank: build_sampler(settings.sampler, rank),
        fetch_value,
    )
    worker.recover()
    begun = settings.n_trials - worker.count_left()
    if begun > 0:
        print(f"study {plan.name}: {begun} of {settings.n_trials} trials begun")
    resume_parent(parent)
    total = settings.n_trials + 2 * len(plan.seeds)
    with parent_run(hydra.folder, experiment, parent, total, begun) as sweep:
        try:
            with worker.heartbeat():
                errors = run_trials(hydra, plan, worker, sweep)
                while not worker.is_complete():
                    wait_for_others(worker)
                    errors += run_trials(hydra, plan, worker, sweep)
        except BaseException:
            with suppress(StoreError):  # without the store, the next start recovers the trials
                worker.release()
            raise
        if not worker.claim_conclusion():
            print(f"study {plan.name}: all trials are done; another worker concludes the search")
            return
        try:
            with worker.heartbeat():
                conclude(hydra, plan, study, sweep)
        finally:
            worker.release_conclusion()
    end_sweep(parent, errors, settings.n_trials, "trials")


def plan_search(
    hydra: HydraSweep, settings: SearchSettings, arguments: Sequence[str]
) -> SearchPlan:
    """Read the search space and compose what all trials have in common.

    Raises
    ------
    InputError
        There is nothing to search, or the config or the data are wrong: before any trial.
    """
    overrides = [f"{key!s}={value}" for key, value in settings.params.items()]
    space, values, more = create_params_from_overrides([*overrides, *arguments])
    space = {name: each for name, each in space.items() if name not in values}
    if not space:
        raise InputError(
            "There is nothing to search: no parameter has a range. See conf/search/*.yaml."
        )
    fixed = [*more, *(f"{name}={value}" for name, value in values.items())]
    config = hydra.compose(fixed)
    for name, each in space.items():
        for choice in getattr(each, "choices", ()):
            hydra.compose([*fixed, f"{name}={choice}"])  # refuses a choice that does not exist
    context = [
        fingerprint_job(config, prepare(config).tags, Source("", "")),
        json.dumps({name: repr(each) for name, each in space.items()}, sort_keys=True),
        json.dumps(OmegaConf.to_container(settings.sampler), sort_keys=True),
    ]
    fingerprint = hashlib.sha256("\0".join(context).encode()).hexdigest()[:16]
    model = config.choices.get("search") or config.choices.get("model") or "model"
    name = settings.study_name or f"{model}-{fingerprint[:8]}"
    return SearchPlan(settings, space, fixed, config, fingerprint, name)


def open_search_study(
    plan: SearchPlan, experiment: str, tags: dict[str, str]
) -> tuple[optuna.Study, str]:
    """Open the study; a new one gets a parent run, and the default parameters as first trial.

    Raises
    ------
    InputError
        The study cannot be opened, or its parent run is not in this MLflow store.
    """

    def set_up(study: optuna.Study) -> str:
        defaults = take_defaults(plan.config.model, plan.space)
        if defaults is not None and not study.trials:
            study.enqueue_trial(defaults, {RANK: 0})
        all_tags = tags | {STUDY_TAG: plan.name}
        return start_parent(experiment, f"search {plan.name}", "search", all_tags)

    storage = plan.settings.storage
    study, parent = open_study(storage, plan.name, plan.context, set_up)
    try:
        find_run(parent)
    except InputError as error:
        raise InputError(
            f"The study {plan.name} in {storage} belongs to the run {parent}, which is not "
            "in this MLflow store. Take the store it was begun with, or another study: "
            "hydra.sweeper.study_name=<name>"
        ) from error
    return study, parent


def build_sampler(sampler: DictConfig, rank: int) -> optuna.samplers.BaseSampler:
    """Build the sampler of a trial: the config's, with ``rank`` added to its seed."""
    trusted = ("optuna.samplers.*", "hydra_plugins.hydra_optuna_sweeper.*")
    seed = sampler.get("seed")
    built: optuna.samplers.BaseSampler = instantiate(
        sampler, seed=None if seed is None else seed + rank, _execution_whitelist_=trusted
    )
    return built


def run_trials(
    hydra: HydraSweep, plan: SearchPlan, worker: StudyWorker, sweep: SweepRun
) -> list[Exception]:
    """Run trials until none is left for this worker; return why trials failed.

    Raises
    ------
    InputError
        Too many trials failed.
    """
    settings = plan.settings
    errors: list[Exception] = []
    while trials := list(itertools.islice(iter(worker.claim, None), settings.n_jobs)):
        jobs = [
            [
                *plan.fixed,
                *(f"{name}={value}" for name, value in trial.params.items()),
                *sweep.place_overrides(str(trial.number)),
                f"sweep.trial={trial.number}",
            ]
            for trial in trials
        ]
        for trial, result in zip(trials, hydra.launch(jobs, trials[0].number), strict=True):
            if isinstance(result, StoreError):
                raise result  # the trial is not at fault: it is queued again
            if isinstance(result, Exception):
                worker.fail(trial, str(result))
                errors.append(result)
            else:
                worker.finish(trial, result)
        if len(errors) > settings.max_failure_rate * settings.n_trials:
            raise_errors(errors, settings.n_trials)
    return errors


def wait_for_others(worker: StudyWorker) -> None:
    """Wait until other workers have ended the last trials, or one of these is free again."""
    print("no trial is left for this worker: waiting for the last ones, which run elsewhere")
    while not worker.is_complete() and worker.count_left() <= 0:
        time.sleep(_POLL)
        worker.recover()


def conclude(hydra: HydraSweep, plan: SearchPlan, study: optuna.Study, sweep: SweepRun) -> None:
    """Compare the winner with the default parameters, log its model, and log the results."""
    if all(trial.value is None for trial in study.trials):
        raise InputError("No trial finished: there is nothing to compare.")
    best = study.best_trial
    fits = run_fits(hydra, plan, best, sweep)
    jobs = fetch_jobs(sweep.experiment, sweep.parent)
    compared = [job for job in jobs if (job.stage, job.overrides) in fits and job.finished]
    trials = [job for job in jobs if job.stage is Stage.trial]
    winner = next(job for job in trials if job.trial == best.number and job.finished)
    tuning = classify_tuning(compared)
    offered = log_models(winner, jobs, compared, tuning, sweep)
    findings = [format_tuning(compared), format_offer(winner, offered), format_edges(best)]
    with drawn_study(study) as figures:
        log_findings(
            sweep.parent,
            tags={DESCRIPTION_TAG: format_results(trials, findings), TUNING_TAG: tuning.value},
            metrics={
                "best_objective": [winner.metrics["objective"]],
                "best_objective_so_far": list_best_values(study),
                **summarise_seeds(compared),
            },
            texts={
                "results.csv": tabulate_jobs(trials).to_csv(index=False),
                "seeds.csv": tabulate_jobs(compared).to_csv(index=False),
            },
            figures=figures,
        )
    print_results(trials, sweep.parent)
    for finding in findings:
        print(f"  {finding}")


def run_fits(
    hydra: HydraSweep, plan: SearchPlan, best: FrozenTrial, sweep: SweepRun
) -> list[tuple[Stage, tuple[str, ...]]]:
    """Fit the best and the default parameters with each seed, unless that finished before.

    Returns
    -------
    list of tuple
        Stage and overrides of each fit.
    """
    tuned = [f"{name}={value}" for name, value in best.params.items()]
    fits: list[tuple[Stage, tuple[str, ...]]] = [
        (stage, (*plan.fixed, *parameters, *seed))
        for stage, parameters in ((Stage.tuned, tuned), (Stage.default, []))
        for seed in plan.seeds
    ]
    jobs = fetch_jobs(sweep.experiment, sweep.parent)
    finished = {(job.stage, job.overrides) for job in jobs if job.finished}
    missing = [
        [*overrides, *sweep.place_overrides(f"{stage.value}{number}"), f"sweep.stage={stage.value}"]
        for number, (stage, overrides) in enumerate(fits)
        if (stage, overrides) not in finished
    ]
    if missing:
        results = hydra.launch(missing, plan.settings.n_trials)
        raise_errors([each for each in results if isinstance(each, Exception)], len(missing))
    return fits


def log_models(
    winner: JobRun,
    jobs: Sequence[JobRun],
    compared: Sequence[JobRun],
    tuning: Tuning,
    sweep: SweepRun,
) -> JobRun:
    """Log the winner's model, and tag the runs with tuned parameters with the result of tuning.

    If tuning does not pay, the model of the default parameters is logged as well, from the fit
    with the median objective: no run with tuned parameters is then promoted unless it is named.

    Returns
    -------
    JobRun
        The job whose model the search offers for promotion.
    """
    tuned = [winner, *(job for job in compared if job.stage is Stage.tuned)]
    offered = winner
    if not tuning.pays:
        tuned = [job for job in jobs if job.stage is not Stage.default and job.finished]
        defaults = [job for job in compared if job.stage is Stage.default]
        defaults.sort(key=lambda job: job.metrics["objective"])
        offered = defaults[len(defaults) // 2]
    for job in [winner] if offered is winner else [winner, offered]:
        if not job.has_model:
            complete_job(job.run_id, sweep)
    tag_runs([job.run_id for job in tuned], TUNING_TAG, tuning.value)
    return offered


def format_offer(winner: JobRun, offered: JobRun) -> str:
    """Format which run of the search may be promoted."""
    if offered is winner:
        return f"For promotion it offers the winner: run {winner.run_id}."
    return (
        f"For promotion it offers the default parameters: run {offered.run_id}. The winner is "
        f"promoted only if it is named: run_id={winner.run_id}."
    )
