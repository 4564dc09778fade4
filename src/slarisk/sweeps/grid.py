"""A grid: every combination of the choices, and what it found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from slarisk.sweeps.parent import complete_job, print_results

if TYPE_CHECKING:
    from slarisk.sweeps.parent import SweepRun


def list_new_choices(jobs: Sequence[list[str]]) -> list[list[str]]:
    """Pick the jobs that bring a choice which none before them had: they show every bad one."""
    seen: set[str] = set()
    new = []
    for job in jobs:
        if not seen.issuperset(job):
            new.append(job)
            seen.update(job)
    return new


def name_sweep(arguments: Sequence[str]) -> str:
    """Name a sweep by what it was asked for."""
    return " ".join(arguments)[:200] or "sweep"


def finish_grid(sweep: SweepRun) -> None:
    """Log the best job's model and the table of all jobs, and say what the grid found."""
    from slarisk.sweeps.results import find_best, tabulate_jobs, write_results
    from slarisk.sweeps.runs import add_to_parent, list_jobs

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
    print_results(jobs, sweep.parent)
