"""Sweeps in MLflow: the parent run, and a nested run for each job."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from slarisk.config import Stage, TrainConfig
from slarisk.tracking.runs import end_orphan, list_running, mlflow_client, search_runs
from slarisk.tracking.store import FAILURE_TAG, reaching_store
from slarisk.tracking.tags import OVERRIDES_TAG, STAGE_TAG, TRIAL_TAG
from slarisk.tracking.workers import WORKER_TAG, current_worker, worker_died

PARENT_TAG = "mlflow.parentRunId"  # MLflow's own: by it the UI nests the runs
SWEEP_TAG = "sweep"
_STOP_SECONDS = 10.0  # for a job that is being stopped to end its run itself


@dataclass(frozen=True)
class JobRun:
    """The run of a job of a sweep; ``seconds`` is how long it took, None while it runs."""

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
        """Whether it has metrics to compare."""
        return self.status == "FINISHED" and "objective" in self.metrics


def tag_job(config: TrainConfig) -> dict[str, str]:
    """Return the tags that make a run a job of its sweep."""
    job = config.sweep
    assert job.parent is not None
    tags = {PARENT_TAG: job.parent, STAGE_TAG: job.stage.value}
    tags[OVERRIDES_TAG] = json.dumps(config.overrides)
    return tags | ({TRIAL_TAG: str(job.trial)} if job.trial is not None else {})


@reaching_store()
def start_parent(experiment_id: str, name: str, kind: str, tags: Mapping[str, str]) -> str:
    """Start the parent run of a sweep, a ``kind`` of grid, search or study; return its id."""
    from mlflow.utils.mlflow_tags import MLFLOW_RUN_NAME

    all_tags = {MLFLOW_RUN_NAME: name, SWEEP_TAG: kind, WORKER_TAG: current_worker(), **tags}
    run = mlflow_client().create_run(experiment_id, tags=all_tags)
    return str(run.info.run_id)


@reaching_store()
def resume_parent(run_id: str) -> None:
    """Set the parent run of an interrupted sweep to RUNNING, with this process as its worker."""
    client = mlflow_client()
    client.update_run(run_id, status="RUNNING")
    client.set_tag(run_id, WORKER_TAG, current_worker())
    if FAILURE_TAG in client.get_run(run_id).data.tags:
        client.delete_tag(run_id, FAILURE_TAG)


@reaching_store()
def end_jobs(experiment_id: str, parent: str) -> None:
    """Mark the jobs of a sweep that was stopped as KILLED, after ten seconds to end themselves."""
    deadline = time.monotonic() + _STOP_SECONDS
    while running := list_running(experiment_id, f" AND tags.`{PARENT_TAG}` = '{parent}'"):
        dead = [run for run in running if worker_died(run.data.tags.get(WORKER_TAG, ""))]
        for run in dead if time.monotonic() < deadline else running:
            end_orphan(run)
        time.sleep(0.1)


@reaching_store()
def end_trial(experiment_id: str, parent: str, trial: int) -> None:
    """Mark the RUNNING run of a trial whose worker died as KILLED."""
    query = f" AND tags.`{PARENT_TAG}` = '{parent}' AND tags.{TRIAL_TAG} = '{trial}'"
    for run in list_running(experiment_id, query):
        end_orphan(run)


@reaching_store()
def fetch_jobs(experiment_id: str, parent: str, others: Iterable[str] = ()) -> list[JobRun]:
    """Fetch the jobs of a sweep, oldest first, after those with the run ids ``others``."""
    query = f"tags.`{PARENT_TAG}` = '{parent}'"
    nested = search_runs(experiment_id, query, ("attributes.start_time ASC",))
    return [_read_job(run) for run in [*map(mlflow_client().get_run, others), *nested]]


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
def log_findings(
    run_id: str,
    *,
    tags: Mapping[str, str],
    metrics: Mapping[str, Sequence[float]],
    texts: Mapping[str, str],
    figures: Mapping[str, Any] | None = None,
) -> None:
    """Log what a sweep found to its parent run.

    ``metrics`` have a value for each step; ``texts`` and matplotlib ``figures`` are artifacts by
    path.
    """
    client = mlflow_client()
    for path, text in texts.items():
        client.log_text(run_id, text, path)
    for path, figure in (figures or {}).items():
        client.log_figure(run_id, figure, path)
    for name, values in metrics.items():
        for step, value in enumerate(values):
            client.log_metric(run_id, name, value, step=step)
    for tag, text in tags.items():
        client.set_tag(run_id, tag, text)


@reaching_store()
def tag_runs(run_ids: Iterable[str], tag: str, text: str) -> None:
    """Set a tag of several runs."""
    for run_id in run_ids:
        mlflow_client().set_tag(run_id, tag, text)
