"""``python train.py``: from an export to a tracked, evaluated model."""

from __future__ import annotations

import sys

from slarisk.checks.check import list_problems
from slarisk.config import TrainConfig
from slarisk.sweeps.job import train_job
from slarisk.tracking.runs import end_orphans, find_finished
from slarisk.tracking.store import open_store
from slarisk.tracking.tags import JOB_TAG
from slarisk.training.prepare import prepare
from slarisk.training.result import TrainingResult
from slarisk.training.run import track
from slarisk.training.summary import headline


def train(config: TrainConfig) -> float:
    """Train, evaluate and track one model, alone or as a job of a sweep.

    Returns
    -------
    float
        The objective: out-of-fold expected loss per training ticket, in dollars.
    """
    if config.from_run is not None:
        from slarisk.commands.repeat import repeat

        return repeat(config)
    if config.sweep.parent is not None:
        return train_job(config)
    if config.choices.get("search"):
        print(f"search={config.choices['search']} without -m: one run, no search", file=sys.stderr)
    prepared = prepare(config)
    experiment = open_store(config.tracking)
    end_orphans(experiment)
    if config.skip_finished and (done := find_finished(experiment, prepared.tags[JOB_TAG])):
        print(f"finished before, with the same config, data and code: run {done.run_id}")
        return done.metrics["objective"]
    result, run_id = track(config, prepared, with_model=True)
    print_result(result, run_id)
    return result.metrics["objective"]


def print_result(result: TrainingResult, run_id: str) -> None:
    """Print the headline, notes on the split, the problems that checks found, and the run id."""
    print(headline(result))
    for note in result.notes:
        print(f"  {note}")
    for problem in list_problems(result.checks):
        print(f"  {problem}")
    print(f"  run {run_id}", flush=True)
