"""Sweeps as MLflow has them: a parent run, and a nested run for each job."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from slarisk.config import Stage, TrainConfig
from slarisk.tracking.registry import RunRecord, find_run
from slarisk.tracking.report import JOB_TAG, OVERRIDES_TAG
from slarisk.tracking.store import FAILURE_TAG, reaching_store
from slarisk.tracking.workers import WORKER_TAG, has_died, this_worker

PARENT_TAG = "mlflow.parentRunId"  # MLflow's own: by it the UI nests the runs
SWEEP_TAG = "sweep"
STAGE_TAG, TRIAL_TAG = "stage", "trial"
SEEDS = ("random_state", "seed", "random_seed")  # what the libraries call the seed of a model
TUNING_TAG = "tuning"  # of a search, and of its runs with tuned parameters
_PAGE = 1000
_LAST_WORDS = 10.0  # seconds that a job which is being stopped has to end its run itself


class Tuning(Enum):
    """What a search found when it compared its winner with the default parameters."""

    helps = "helps"
    may_help = "may_help"  # better, but without a seed that says what luck does
    not_compared = "not_compared"
    no_better_than_seed = "no_better_than_seed"
    only_out_of_fold = "only_out_of_fold"
    does_not_help = "does_not_help"

    @property
    def pays(self) -> bool:
        """Whether tuned parameters may be promoted: nothing was found against them."""
        return self in {Tuning.helps, Tuning.may_help, Tuning.not_compared}


@dataclass(frozen=True)
class JobRun:
    """A job of a sweep, as its run tells it; ``seconds`` is how long the run took."""

    run_id: str
    name: str
    status: str
    stage: Stage
    trial: int | None
    overrides: tuple[str, ...]
    metrics: dict[str, float]
    failure: str | None
    seconds: float | None
    has_model: bool

    @property
    def finished(self) -> bool:
        """Whether there are figures to compare."""
        return self.status == "FINISHED" and "objective" in self.metrics


def tag_job(config: TrainConfig) -> dict[str, str]:
    """Tags by which a run is a job of its sweep."""
    job = config.sweep
    assert job.parent is not None
    tags = {PARENT_TAG: job.parent, STAGE_TAG: job.stage.value}
    tags[OVERRIDES_TAG] = json.dumps(config.overrides)
    return tags | ({TRIAL_TAG: str(job.trial)} if job.trial is not None else {})


@reaching_store()
def start_parent(experiment_id: str, name: str, kind: str, tags: Mapping[str, str]) -> str:
    """Begin the parent run of a sweep.

    Returns
    -------
    str
        Its id.
    """
    from mlflow.utils.mlflow_tags import MLFLOW_RUN_NAME

    all_tags = {MLFLOW_RUN_NAME: name, SWEEP_TAG: kind, WORKER_TAG: this_worker(), **tags}
    run = _client().create_run(experiment_id, tags=all_tags)
    run_id: str = run.info.run_id
    return run_id


@reaching_store()
def resume_parent(run_id: str) -> None:
    """Put the parent run of a sweep that was interrupted back to work."""
    client = _client()
    client.update_run(run_id, status="RUNNING")
    client.set_tag(run_id, WORKER_TAG, this_worker())
    if FAILURE_TAG in client.get_run(run_id).data.tags:
        client.delete_tag(run_id, FAILURE_TAG)


@reaching_store()
def end_parent(run_id: str, status: str, failure: str | None = None) -> None:
    """End the parent run of a sweep as FINISHED, FAILED or KILLED."""
    client = _client()
    if failure:
        client.set_tag(run_id, FAILURE_TAG, failure)
    client.set_terminated(run_id, status)


@reaching_store()
def end_jobs(experiment_id: str, parent: str) -> None:
    """Mark the jobs of a sweep that were stopped as KILLED, once they had their chance to."""
    deadline = time.monotonic() + _LAST_WORDS
    while running := _running(experiment_id, f" AND tags.`{PARENT_TAG}` = '{parent}'"):
        dead = [run for run in running if has_died(run.data.tags.get(WORKER_TAG, ""))]
        for run in dead if time.monotonic() < deadline else running:
            _end_orphan(run)
        time.sleep(0.1)


@reaching_store()
def end_trial(experiment_id: str, parent: str, trial: int) -> None:
    """Mark the run of a trial as KILLED if it is still RUNNING: its worker is gone."""
    query = f" AND tags.`{PARENT_TAG}` = '{parent}' AND tags.{TRIAL_TAG} = '{trial}'"
    for run in _running(experiment_id, query):
        _end_orphan(run)


@reaching_store()
def end_orphans(experiment_id: str) -> None:
    """Mark runs whose process was killed, and could not say so, as KILLED."""
    for run in _running(experiment_id):
        if has_died(run.data.tags.get(WORKER_TAG, "")):
            _end_orphan(run)


def _running(experiment_id: str, more: str = "") -> list[Any]:
    query = f"attributes.status = 'RUNNING'{more}"
    return list(_client().search_runs([experiment_id], query, max_results=_PAGE))


def _end_orphan(run: Any) -> None:
    if run.info.end_time is not None:  # it had ended, and was being added to
        _client().set_terminated(run.info.run_id, "FINISHED", run.info.end_time)
    else:
        end_parent(run.info.run_id, "KILLED", "its process was killed")


@reaching_store()
def find_finished(experiment_id: str, job_fingerprint: str) -> RunRecord | None:
    """Find a FINISHED run of the same config, data and code; the newest, if there are more."""
    query = f"attributes.status = 'FINISHED' AND tags.{JOB_TAG} = '{job_fingerprint}'"
    found = _client().search_runs(
        [experiment_id], query, max_results=1, order_by=["attributes.start_time DESC"]
    )
    return find_run(found[0].info.run_id) if found else None


@reaching_store()
def list_jobs(experiment_id: str, parent: str, more: Iterable[str] = ()) -> list[JobRun]:
    """List the jobs of a sweep, oldest first; ``more`` are ids of runs it took over."""
    client = _client()
    query, order = f"tags.`{PARENT_TAG}` = '{parent}'", ["attributes.start_time ASC"]
    runs, token = [], None
    while True:
        page = client.search_runs(
            [experiment_id], query, max_results=_PAGE, order_by=order, page_token=token
        )
        runs += page
        token = page.token
        if not token:
            break
    return [_read_job(run) for run in [*(client.get_run(run_id) for run_id in more), *runs]]


def _read_job(run: Any) -> JobRun:
    tags, info = run.data.tags, run.info
    ended = info.end_time is not None and info.status != "RUNNING"
    return JobRun(
        run_id=info.run_id,
        name=info.run_name,
        status=info.status,
        stage=Stage(tags.get(STAGE_TAG, Stage.trial.value)),
        trial=int(tags[TRIAL_TAG]) if TRIAL_TAG in tags else None,
        overrides=tuple(json.loads(tags.get(OVERRIDES_TAG, "[]"))),
        metrics=dict(run.data.metrics),
        failure=tags.get(FAILURE_TAG),
        seconds=(info.end_time - info.start_time) / 1000 if ended else None,
        has_model=bool(run.outputs and run.outputs.model_outputs),
    )


@reaching_store()
def add_to_parent(
    run_id: str, tags: Mapping[str, str], metrics: Mapping[str, float], texts: Mapping[str, str]
) -> None:
    """Log what a sweep found on its parent run; ``texts`` are artifacts by path."""
    client = _client()
    for path, text in texts.items():
        client.log_text(run_id, text, path)
    for name, value in metrics.items():
        client.log_metric(run_id, name, value)
    for tag, text in tags.items():
        client.set_tag(run_id, tag, text)


@reaching_store()
def tag_runs(run_ids: Iterable[str], tag: str, text: str) -> None:
    """Set a tag of several runs."""
    for run_id in run_ids:
        _client().set_tag(run_id, tag, text)


@reaching_store()
def log_steps(run_id: str, name: str, values: Iterable[tuple[int, float]]) -> None:
    """Log how a figure went, as (step, value)."""
    for step, value in values:
        _client().log_metric(run_id, name, value, step=step)


@reaching_store()
def add_figures(run_id: str, figures: Mapping[str, Any]) -> None:
    """Log matplotlib figures, by artifact path."""
    for path, figure in figures.items():
        _client().log_figure(run_id, figure, path)


def _client() -> Any:
    from mlflow import MlflowClient

    return MlflowClient()
