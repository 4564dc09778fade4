"""Run a study: its training runs, then its results, tables and figures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from joblib import Parallel, delayed

from lab.recipe import plan_jobs, read_recipe
from lab.report import write_study_report
from lab.results import join_results, keep_results, tabulate_runs
from lab.study import compose_job, draw_samples, list_missing_reasons
from slarisk.command_line import register_schemas
from slarisk.config import SweepJob
from slarisk.sweeps.job import train_job
from slarisk.sweeps.parent import end_sweep, parent_run
from slarisk.sweeps.runs import start_parent
from slarisk.tracking.runs import end_orphans, find_run
from slarisk.tracking.store import open_store
from slarisk.training.processors import count_parallel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lab.recipe import StudyJob
    from lab.study import Study

_SHARED = Path("outputs/sweeps")


def run_study(study: Study, workers: int) -> bool:
    """Run a study, ``workers`` runs at a time, and write its results, tables and figures.

    Runs that finished before, with the same config, tickets and code, are not repeated. Jobs whose
    ticket file or model package is missing are skipped, and keep the results they have.

    Returns
    -------
    bool
        Whether every job could be run.
    """
    recipe = read_recipe(study.folder)
    register_schemas()
    jobs = plan_jobs(recipe)
    draw_samples(jobs)
    reasons = list_missing_reasons(study, jobs)
    for reason in dict.fromkeys(filter(None, reasons)):
        print(f"{study.name}: {reason}")
    runnable = [job for job, reason in zip(jobs, reasons, strict=True) if reason is None]
    skipped = [job for job, reason in zip(jobs, reasons, strict=True) if reason is not None]
    if runnable:
        results = tabulate_runs(runnable, run_jobs(study, runnable, workers))
        kept = keep_results(study.folder, skipped)
        write_study_report(study.folder, recipe, join_results(jobs, [results, kept]))
    return not skipped


def run_jobs(study: Study, jobs: Sequence[StudyJob], workers: int) -> list[dict[str, float]]:
    """Run jobs in parallel, under one parent run.

    Returns
    -------
    list of dict
        The metrics of each job.

    Raises
    ------
    InputError
        A job failed. Those that finished are not repeated the next time.
    """
    experiment = open_store(compose_job(study, jobs[0]).tracking)
    end_orphans(experiment)
    command = {"command": f"python experiments/run.py {study.name}"}
    parent = start_parent(experiment, study.name, "study", command)
    at_once = count_parallel({"n_jobs": workers}, len(jobs))
    with parent_run(_SHARED / study.name, experiment, parent, len(jobs)) as sweep:
        shared = SweepJob(parent=sweep.parent, folder=str(sweep.folder), at_once=at_once)
        errors = Parallel(n_jobs=workers, batch_size=1)(
            delayed(run_study_job)(study, job, replace(shared, job=str(number)))
            for number, job in enumerate(jobs)
        )
    end_sweep(parent, [error for error in errors if error is not None], len(jobs), "jobs")
    runs = [sweep.watcher.outcomes[str(number)].run_id for number in range(len(jobs))]
    return [find_run(run).metrics for run in runs if run is not None]


def run_study_job(study: Study, job: StudyJob, sweep: SweepJob) -> Exception | None:
    """Run one job in a worker process; an error is returned, so that the other jobs go on."""
    register_schemas()
    try:
        config = compose_job(study, job)
        config.sweep = sweep
        train_job(config)
    except Exception as error:
        return error
    return None
