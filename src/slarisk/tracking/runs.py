"""Runs looked up in MLflow, and the configs they were made with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from slarisk.config import SweepJob, TrainConfig
from slarisk.errors import InputError
from slarisk.tracking.store import FAILURE_TAG, reaching_store
from slarisk.tracking.tags import CONFIG_FILE, DATA_TAG, JOB_TAG, POLICY_TAG, SPLIT_TAG
from slarisk.tracking.workers import WORKER_TAG, worker_died

_PAGE = 1000  # runs that are fetched together
_NEWEST_FIRST = ("attributes.start_time DESC",)


@dataclass(frozen=True)
class RunRecord:
    """A run as MLflow has it; ``model_id`` names the model it logged, if any."""

    run_id: str
    name: str
    status: str
    metrics: dict[str, float]
    tags: dict[str, str]
    model_id: str | None = None
    params: dict[str, str] = field(default_factory=dict)

    @property
    def fingerprints(self) -> tuple[str | None, ...]:
        """Fingerprints of data, split and policy: runs that share all three can be compared."""
        return tuple(self.tags.get(tag) for tag in (DATA_TAG, SPLIT_TAG, POLICY_TAG))


def mlflow_client() -> Any:
    """Make an MLflow client of the store that was opened."""
    from mlflow import MlflowClient

    return MlflowClient()


def find_run(run_id: str, key: str = "run_id") -> RunRecord:
    """Look up one run; ``key`` is the config key that an error names.

    Raises
    ------
    InputError
        There is no such run.
    """
    from mlflow.exceptions import MlflowException

    try:
        return read_run(mlflow_client().get_run(run_id))
    except MlflowException as error:
        raise InputError(f"{key}={run_id}: there is no such run in the MLflow store.") from error


def has_run(run_id: str) -> bool:
    """Whether the store has a run."""
    try:
        find_run(run_id)
    except InputError:
        return False
    return True


def search_runs(
    experiment_id: str, query: str, order: tuple[str, ...] = _NEWEST_FIRST
) -> Iterator[Any]:
    """Yield every MLflow run that a query finds, page by page."""
    token = None
    while True:
        page = mlflow_client().search_runs(
            [experiment_id], query, max_results=_PAGE, order_by=[*order], page_token=token
        )
        yield from page
        token = page.token
        if not token:
            return


def list_finished_runs(experiment_id: str) -> list[RunRecord]:
    """List the finished runs of an experiment, newest first, of whatever kind."""
    return [read_run(run) for run in search_runs(experiment_id, "attributes.status = 'FINISHED'")]


def list_running(experiment_id: str, condition: str = "") -> list[Any]:
    """List the MLflow runs that are RUNNING; ``condition`` narrows the query."""
    return list(search_runs(experiment_id, f"attributes.status = 'RUNNING'{condition}"))


def read_run(run: Any) -> RunRecord:
    """Read a record from an MLflow run."""
    models = run.outputs.model_outputs if run.outputs else []
    return RunRecord(
        run_id=run.info.run_id,
        name=run.info.run_name,
        status=run.info.status,
        metrics=dict(run.data.metrics),
        tags=dict(run.data.tags),
        model_id=models[0].model_id if models else None,
        params=dict(run.data.params),
    )


@reaching_store()
def find_finished(experiment_id: str, job_fingerprint: str) -> RunRecord | None:
    """Find the newest finished run with the same config, data and code; None if there is none."""
    query = f"attributes.status = 'FINISHED' AND tags.{JOB_TAG} = '{job_fingerprint}'"
    found = next(search_runs(experiment_id, query), None)
    return read_run(found) if found is not None else None


@reaching_store()
def terminate_run(run_id: str, status: str, failure: str | None = None) -> None:
    """Set the final status of a run: FINISHED, FAILED or KILLED, with the reason as a tag."""
    client = mlflow_client()
    if failure:
        client.set_tag(run_id, FAILURE_TAG, failure)
    client.set_terminated(run_id, status)


@reaching_store()
def end_orphans(experiment_id: str) -> None:
    """Mark runs as KILLED whose process was killed before it could set a status."""
    for run in list_running(experiment_id):
        if worker_died(run.data.tags.get(WORKER_TAG, "")):
            end_orphan(run)


def end_orphan(run: Any) -> None:
    """Set the final status of a run whose process is gone."""
    if run.info.end_time is not None:  # it had finished, and was reopened to add artifacts
        mlflow_client().set_terminated(run.info.run_id, "FINISHED", run.info.end_time)
    else:
        terminate_run(run.info.run_id, "KILLED", "its process was killed")


def write_config(config: TrainConfig) -> str:
    """Write the resolved config as YAML, without the store's address: it may hold a password."""
    config = replace(config, tracking=replace(config.tracking, uri=None), sweep=SweepJob())
    return OmegaConf.to_yaml(OmegaConf.structured(config))


def fetch_config(run_id: str) -> TrainConfig:
    """Fetch the config a run was made with.

    Raises
    ------
    InputError
        It is gone, or another version of slarisk wrote it.
    """
    text = fetch_text(run_id, CONFIG_FILE)
    if text is None:
        raise InputError(f"The {CONFIG_FILE} of run {run_id} cannot be fetched.")
    try:
        merged = OmegaConf.merge(OmegaConf.structured(TrainConfig), OmegaConf.create(text))
        config = OmegaConf.to_object(merged)
    except (OmegaConfBaseException, YAMLError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"The {CONFIG_FILE} of run {run_id} is not one of this version: {reason}. Train again."
        ) from error
    assert isinstance(config, TrainConfig)
    return config


def fetch_text(run_id: str, path: str) -> str | None:
    """Fetch a text artifact of a run; None if there is none."""
    import mlflow
    from mlflow.exceptions import MlflowException

    try:
        text: str = mlflow.artifacts.load_text(f"runs:/{run_id}/{path}")
    except (MlflowException, OSError):
        return None
    return text


def run_model_uri(run: RunRecord) -> str:
    """Build the URI of the model that a run logged, by the model's own id.

    By the id of the run MLflow looks for the model first, and what then goes wrong is not told.
    """
    return f"models:/{run.model_id}"
