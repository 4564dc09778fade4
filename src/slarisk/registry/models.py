"""Fetch the model of a run or a version: complete, unchanged, or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import BadZipFile

from pydantic import TypeAdapter

from slarisk.errors import InputError
from slarisk.model.bundle import load_bundle
from slarisk.model.checksums import fingerprint_checksums, list_changed_files
from slarisk.registry.versions import FILES_TAG, version_model_uri
from slarisk.tracking.log import DATA_FOLDER, SEAL_FILE, SEAL_TAG, checksum_model
from slarisk.tracking.runs import run_model_uri

if TYPE_CHECKING:
    from collections.abc import Mapping

    from slarisk.model.bundle import Bundle
    from slarisk.registry.versions import Version
    from slarisk.tracking.runs import RunRecord


def fetch_checksums(run: RunRecord) -> dict[str, str]:
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
    if fingerprint_checksums(seal) != run.tags[SEAL_TAG]:
        raise InputError(f"{SEAL_FILE} was changed after the run logged it")
    return seal


def read_checksums(version: Version) -> dict[str, str]:
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
        if damage := list_changed_files(seal, checksum_model(path)):
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
    return fetch_bundle(version_model_uri(name, version.number), read_checksums(version))


def fetch_run_bundle(run: RunRecord) -> Bundle:
    """Fetch and load the model of a run, if its files are those that it logged."""
    try:
        seal = fetch_checksums(run)
    except InputError as error:
        raise InputError(f"run {run.run_id}: {error}.") from error
    return fetch_bundle(run_model_uri(run.run_id), seal)
