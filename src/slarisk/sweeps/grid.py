"""A grid: every combination of the choices, under one parent run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slarisk.sweeps.parent import SweepRun, complete_job, end_sweep, parent_run, print_results
from slarisk.sweeps.results import find_best, format_results, tabulate_jobs
from slarisk.sweeps.runs import fetch_jobs, log_findings, start_parent
from slarisk.tracking.tags import DESCRIPTION_TAG

if TYPE_CHECKING:
    from collections.abc import Sequence

    from slarisk.sweeps.hydra_sweep import HydraSweep


def run_grid(hydra: HydraSweep, batches: Sequence[Sequence[list[str]]], name: str) -> None:
    """Run the jobs batch by batch; one that fails does not stop the others.

    Raises
    ------
    InputError
        Jobs failed, after all have run.
    """
    total = sum(map(len, batches))
    experiment = hydra.open_tracking()
    parent = start_parent(experiment, name, "grid", hydra.tags)
    errors: list[Exception] = []
    with parent_run(hydra.folder, experiment, parent, total) as sweep:
        first = 0
        for batch in batches:
            jobs = [
                [*job, *sweep.place_overrides(str(number))]
                for number, job in enumerate(batch, first)
            ]
            results = hydra.launch(jobs, first)
            errors += [result for result in results if isinstance(result, Exception)]
            first += len(jobs)
        finish_grid(sweep)
    end_sweep(parent, errors, total, "jobs")


def list_new_choices(jobs: Sequence[list[str]]) -> list[list[str]]:
    """List the jobs with a choice that no job before them has: together they have every choice."""
    seen: set[str] = set()
    new = []
    for job in jobs:
        if not seen.issuperset(job):
            new.append(job)
            seen.update(job)
    return new


def finish_grid(sweep: SweepRun) -> None:
    """Log the best job's model and the table of all jobs, and print the results."""
    sweep.watcher.read_new()
    outcomes = sweep.watcher.outcomes.values()
    skipped = [each.run_id for each in outcomes if each.status == "skipped" and each.run_id]
    jobs = fetch_jobs(sweep.experiment, sweep.parent, skipped)
    best = find_best(jobs)
    if best is not None and not best.has_model:
        complete_job(best.run_id, sweep)
    log_findings(
        sweep.parent,
        tags={DESCRIPTION_TAG: format_results(jobs)},
        metrics={} if best is None else {"best_objective": [best.metrics["objective"]]},
        texts={"results.csv": tabulate_jobs(jobs).to_csv(index=False)},
    )
    print_results(jobs, sweep.parent)
