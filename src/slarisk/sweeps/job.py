"""One job of a sweep: a training run nested under the parent run."""

from __future__ import annotations

from slarisk.config import ModelLog, TrainConfig
from slarisk.errors import InputError
from slarisk.sweeps.results import summarise_job
from slarisk.sweeps.runs import tag_job
from slarisk.sweeps.shared_folder import JobOutcome, write_outcome
from slarisk.tracking.log import log_items
from slarisk.tracking.runs import find_finished
from slarisk.tracking.source import find_source
from slarisk.tracking.store import open_store, tracked_run
from slarisk.tracking.tags import JOB_TAG
from slarisk.training.items import start_items
from slarisk.training.prepare import prepare
from slarisk.training.processors import share_processors
from slarisk.training.run import name_run, track


def train_job(config: TrainConfig) -> float:
    """Train as a job of a sweep: nested under its parent run, with the model left out.

    A job that fails, even before it could begin, is a FAILED run.
    """
    experiment = open_store(config.tracking)
    nested = tag_job(config)
    try:
        prepared = prepare(config)
        if config.skip_finished and (done := find_finished(experiment, prepared.tags[JOB_TAG])):
            write_outcome(
                config, JobOutcome("skipped", done.run_id, f"{done.name}: finished before")
            )
            return done.metrics["objective"]
        prepared.tags.update(nested)
    except InputError as error:
        write_outcome(config, JobOutcome("failed", None, f"{name_run(config)} failed: {error}"))
        with tracked_run(name_run(config), nested):
            log_items(start_items(config, find_source()))
            raise
    try:
        with share_processors(config.sweep.at_once):
            trained, run_id = track(config, prepared, with_model=config.log_models is ModelLog.all)
    except Exception as error:
        write_outcome(config, JobOutcome("failed", None, f"{name_run(config)} failed: {error}"))
        raise
    write_outcome(
        config, JobOutcome("finished", run_id, summarise_job(name_run(config), trained.metrics))
    )
    return trained.metrics["objective"]
