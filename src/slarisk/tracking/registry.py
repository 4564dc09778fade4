"""Runs looked up, models fetched, and the aliases of the registered model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from slarisk.config import TrainConfig
from slarisk.errors import InputError, Refused
from slarisk.scoring.bundle import load_bundle
from slarisk.tracking.report import (
    CONFIG_FILE,
    DATA_TAG,
    KIND_TAG,
    OPTIMISTIC_TAG,
    POLICY_TAG,
    SPLIT_TAG,
)
from slarisk.tracking.send import DATA_FOLDER, MODEL_NAME

if TYPE_CHECKING:
    from collections.abc import Mapping

    from slarisk.scoring.bundle import Bundle

CHAMPION, PREVIOUS = "champion", "previous"
REPLACED_TAG = "replaced_version"
_MOST_RUNS = 1000


@dataclass(frozen=True)
class RunRecord:
    """What MLflow knows of a run."""

    run_id: str
    name: str
    status: str
    metrics: dict[str, float]
    tags: dict[str, str]

    @property
    def fingerprints(self) -> tuple[str | None, ...]:
        """Data, split and policy: runs that share them were judged on the same ground."""
        return tuple(self.tags.get(tag) for tag in (DATA_TAG, SPLIT_TAG, POLICY_TAG))


@dataclass(frozen=True)
class Version:
    """A version of the registered model."""

    number: str
    run_id: str
    tags: dict[str, str]


def find_run(run_id: str, key: str = "run_id") -> RunRecord:
    """Look up one run; ``key`` is what a message calls its id.

    Raises
    ------
    InputError
        There is no such run.
    """
    from mlflow.exceptions import MlflowException

    try:
        return _record(_client().get_run(run_id))
    except MlflowException as error:
        raise InputError(f"{key}={run_id}: there is no such run in the MLflow store.") from error


def has_run(run_id: str) -> bool:
    """Whether the store has a run."""
    try:
        find_run(run_id)
    except InputError:
        return False
    return True


def find_best_run(experiment_id: str, select_by: str) -> RunRecord:
    """Find the run with the lowest ``select_by`` among those comparable with the newest.

    Only finished runs count, none whose threshold was picked on the test tickets, and no analyses.

    Raises
    ------
    InputError
        There is no run to choose from.
    """
    found = _client().search_runs(
        [experiment_id],
        filter_string="attributes.status = 'FINISHED'",
        order_by=["attributes.start_time DESC"],
        max_results=_MOST_RUNS,
    )
    runs = [_record(run) for run in found]
    runs = [
        run
        for run in runs
        if select_by in run.metrics
        and run.tags.get(OPTIMISTIC_TAG) != "true"
        and KIND_TAG not in run.tags
    ]
    if not runs:
        raise InputError(
            f"There is no finished run with the metric {select_by!r} to promote. "
            "Train first: python train.py"
        )
    comparable = [run for run in runs if run.fingerprints == runs[0].fingerprints]
    return min(comparable, key=lambda run: run.metrics[select_by])


def _record(run: Any) -> RunRecord:
    return RunRecord(
        run_id=run.info.run_id,
        name=run.info.run_name,
        status=run.info.status,
        metrics=dict(run.data.metrics),
        tags=dict(run.data.tags),
    )


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
    """Fetch a text that a run logged; None if it is not there."""
    import mlflow
    from mlflow.exceptions import MlflowException

    try:
        text: str = mlflow.artifacts.load_text(f"runs:/{run_id}/{path}")
    except (MlflowException, OSError):
        return None
    return text


def fetch_bundle(model_uri: str) -> Bundle:
    """Fetch and load the bundle of a logged or registered model.

    Raises
    ------
    InputError
        There is no such model, or its files are gone or damaged.
    """
    import tempfile

    import mlflow
    from mlflow.exceptions import MlflowException

    with tempfile.TemporaryDirectory() as folder:
        try:
            path = mlflow.artifacts.download_artifacts(model_uri, dst_path=folder)
        except (MlflowException, OSError) as error:
            raise InputError(f"The model {model_uri} cannot be fetched: {error}") from error
        try:
            return load_bundle(Path(path) / "data" / DATA_FOLDER)
        except (InputError, OSError, ValueError, LookupError, BadZipFile) as error:
            raise InputError(f"The model {model_uri} cannot be loaded: {error}") from error


def run_model_uri(run_id: str) -> str:
    """Name the model that a run logged."""
    return f"runs:/{run_id}/{MODEL_NAME}"


def version_uri(name: str, version: Version) -> str:
    """Name a version of the registered model."""
    return f"models:/{name}/{version.number}"


def find_champion(name: str) -> Version | None:
    """Look up the version in charge; None if there is none yet."""
    from mlflow.exceptions import MlflowException

    try:
        found = _client().get_model_version_by_alias(name, CHAMPION)
    except MlflowException as error:
        # no such model, or no such alias; a store that fails must not pass for an empty one
        if error.error_code in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}:
            return None
        raise
    return _version(found)


def require_champion(name: str) -> Version:
    """Look up the champion; without one there is nothing to score with."""
    champion = find_champion(name)
    if champion is None:
        raise InputError(f"{name} has no champion yet. Promote a run first: python promote.py")
    return champion


def _version(found: Any) -> Version:
    return Version(str(found.version), found.run_id, dict(found.tags))


def register_champion(
    name: str, run_id: str, tags: Mapping[str, str], description: str, old: Version | None
) -> Version:
    """Register a run's model with all its evidence, and only then put it in charge."""
    from mlflow.exceptions import MlflowException

    client = _client()
    try:
        client.create_registered_model(
            name, description="Decides which support tickets to escalate before they breach."
        )
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    model_id = client.get_run(run_id).outputs.model_outputs[0].model_id
    evidence = dict(tags) | ({REPLACED_TAG: old.number} if old else {})
    created = client.create_model_version(
        name,
        source=f"models:/{model_id}",
        run_id=run_id,
        tags=evidence,
        description=description,
        model_id=model_id,
    )
    version = _version(created)
    if old is not None:
        client.set_registered_model_alias(name, PREVIOUS, old.number)
    client.set_registered_model_alias(name, CHAMPION, version.number)
    return version


def roll_back(name: str) -> tuple[Version, Version]:
    """Put the version that the champion replaced back in charge.

    Returns
    -------
    tuple
        The version that was in charge, and the one that is now.

    Raises
    ------
    Refused
        There is no champion, none before it, or that one was deleted.
    """
    from mlflow.exceptions import MlflowException

    client = _client()
    champion = find_champion(name)
    if champion is None:
        raise Refused(f"Not rolled back: {name} has no champion.")
    before = champion.tags.get(REPLACED_TAG)
    if before is None:
        raise Refused(f"Not rolled back: version {champion.number} is the first champion.")
    try:
        restored = _version(client.get_model_version(name, before))
    except MlflowException as error:
        raise Refused(
            f"Not rolled back: version {before}, which version {champion.number} replaced, cannot "
            f"be fetched: {error.message}"
        ) from error
    client.set_registered_model_alias(name, CHAMPION, restored.number)
    earlier = restored.tags.get(REPLACED_TAG)
    if earlier is not None:
        client.set_registered_model_alias(name, PREVIOUS, earlier)
    else:
        client.delete_registered_model_alias(name, PREVIOUS)
    return champion, restored


def _client() -> Any:
    from mlflow import MlflowClient

    return MlflowClient()
