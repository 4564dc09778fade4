"""Runs and versions looked up, and their models fetched: whole, unchanged, or not at all."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import TypeAdapter
from yaml import YAMLError

from slarisk.config import TrainConfig
from slarisk.errors import InputError
from slarisk.scoring.bundle import load_bundle
from slarisk.scoring.seal import find_damage, fingerprint_seal
from slarisk.tracking.report import (
    CONFIG_FILE,
    DATA_TAG,
    POLICY_TAG,
    SPLIT_TAG,
)
from slarisk.tracking.send import DATA_FOLDER, MODEL_NAME, SEAL_FILE, SEAL_TAG, seal_model

if TYPE_CHECKING:
    from collections.abc import Mapping

    from slarisk.scoring.bundle import Bundle

CHAMPION = "champion"
FILES_TAG = "files_sha256"  # of a version: the seal of its files
_PAGE = 1000
_MOST_VERSIONS = 10_000  # as many as MLflow gives at once


@dataclass(frozen=True)
class RunRecord:
    """What MLflow knows of a run; ``model_id`` is of the model that it logged."""

    run_id: str
    name: str
    status: str
    metrics: dict[str, float]
    tags: dict[str, str]
    model_id: str | None = None
    params: dict[str, str] = field(default_factory=dict)

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
    description: str = ""


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


def list_finished_runs(experiment_id: str) -> list[RunRecord]:
    """List all finished runs of an experiment, newest first, whatever they are of."""
    runs: list[RunRecord] = []
    token = None
    while True:
        page = _client().search_runs(
            [experiment_id],
            filter_string="attributes.status = 'FINISHED'",
            order_by=["attributes.start_time DESC"],
            max_results=_PAGE,
            page_token=token,
        )
        runs += [_record(run) for run in page]
        token = page.token
        if not token:
            return runs


def _record(run: Any) -> RunRecord:
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


def fetch_seal(run: RunRecord) -> dict[str, str]:
    """Fetch what a run wrote down of the files of its model.

    Raises
    ------
    InputError
        It logged no model, or the list is gone or was changed.
    """
    import mlflow
    from mlflow.exceptions import MlflowException

    if run.model_id is None:
        raise InputError("it logged no model: a job of a sweep does only if it is the best")
    if SEAL_TAG not in run.tags:
        raise InputError("it did not write down what the files of its model are: train again")
    try:
        text = mlflow.artifacts.load_text(f"runs:/{run.run_id}/{SEAL_FILE}")
        seal = TypeAdapter(dict[str, str]).validate_json(text)
    except (MlflowException, OSError) as error:
        raise InputError(f"{SEAL_FILE} cannot be fetched: {error}") from error
    except ValueError:  # not JSON, not text, or no seal
        seal = {}
    if fingerprint_seal(seal) != run.tags[SEAL_TAG]:
        raise InputError(f"{SEAL_FILE} was changed after the run logged it")
    return seal


def read_seal(version: Version) -> dict[str, str]:
    """Read what a version's files were when it was registered.

    Raises
    ------
    InputError
        It was registered by other means than ``promote.py``.
    """
    try:
        return TypeAdapter(dict[str, str]).validate_json(version.tags.get(FILES_TAG, ""))
    except ValueError as error:
        raise InputError(
            f"version {version.number} does not say what its files are (tag {FILES_TAG}): it was "
            f"not registered by promote.py. python promote.py run_id={version.run_id} does."
        ) from error


def fetch_bundle(model_uri: str, seal: Mapping[str, str]) -> Bundle:
    """Fetch and load the bundle of a logged or registered model.

    Parameters
    ----------
    model_uri : str
    seal : mapping of str to str
        What its files have to be.

    Raises
    ------
    InputError
        There is no such model, or a file of it is gone or was changed, which is named.
    """
    import tempfile

    import mlflow
    from mlflow.exceptions import MlflowException

    with tempfile.TemporaryDirectory() as folder:
        try:
            path = Path(mlflow.artifacts.download_artifacts(model_uri, dst_path=folder))
        except (MlflowException, OSError) as error:
            raise InputError(f"The model {model_uri} cannot be fetched: {error}") from error
        if damage := find_damage(seal, seal_model(path)):
            raise InputError(f"The model {model_uri} is not what was logged: {_list_few(damage)}.")
        try:
            return load_bundle(path / "data" / DATA_FOLDER)
        except (InputError, OSError, ValueError, LookupError, BadZipFile) as error:
            raise InputError(f"The model {model_uri} cannot be loaded: {error}") from error


def _list_few(items: list[str], most: int = 5) -> str:
    more = f"; and {len(items) - most} more" if len(items) > most else ""
    return "; ".join(items[:most]) + more


def fetch_version(name: str, version: Version) -> Bundle:
    """Fetch and load a registered version, if its files are those that were registered."""
    return fetch_bundle(version_model_uri(name, version.number), read_seal(version))


def fetch_run_bundle(run: RunRecord) -> Bundle:
    """Fetch and load the model of a run, if its files are those that it logged."""
    try:
        seal = fetch_seal(run)
    except InputError as error:
        raise InputError(f"run {run.run_id}: {error}.") from error
    return fetch_bundle(run_model_uri(run.run_id), seal)


def version_model_uri(name: str, number: str) -> str:
    """Name the model of a registered version."""
    return f"models:/{name}/{number}"


def run_model_uri(run_id: str) -> str:
    """Name the model that a run logged."""
    return f"runs:/{run_id}/{MODEL_NAME}"


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
    return Version(str(found.version), found.run_id, dict(found.tags), found.description or "")


def list_versions(name: str) -> list[Version]:
    """List the versions of a registered model, oldest first."""
    found = _client().search_model_versions(f"name='{name}'", max_results=_MOST_VERSIONS)
    return sorted(map(_version, found), key=lambda version: int(version.number))


def _client() -> Any:
    from mlflow import MlflowClient

    return MlflowClient()
