"""One job of a sweep: a training run nested under the parent run."""

from __future__ import annotations

from slarisk.config import ModelLog, TrainConfig
from slarisk.errors import InputError
from slarisk.sweeps.results import format_job_summary
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
    """Train as a job of a sweep: nested under its parent run, without logging the model.

    A job that fails, even before its run could begin, is a FAILED run.

    Returns
    -------
    float
        The objective; that of an earlier run if the config skips what finished.
    """
    experiment = open_store(config.tracking)
    tags, name = tag_job(config), name_run(config)
    try:
        try:
            prepared = prepare(config)
        except InputError:
            with tracked_run(name, tags):
                log_items(start_items(config, find_source()))
                raise
        if config.skip_finished and (done := find_finished(experiment, prepared.tags[JOB_TAG])):
            summary = f"{done.name}: finished before"
            write_outcome(config, JobOutcome("skipped", done.run_id, summary))
            return done.metrics["objective"]
        prepared.tags.update(tags)
        with share_processors(config.sweep.at_once):
            trained, run_id = track(config, prepared, with_model=config.log_models is ModelLog.all)
    except Exception as error:
        write_outcome(config, JobOutcome("failed", None, f"{name} failed: {error}"))
        raise
    summary = format_job_summary(name, trained.metrics)
    write_outcome(config, JobOutcome("finished", run_id, summary))
    return trained.metrics["objective"]
