"""Fetch the model of a run or a version, and refuse one of which a file was changed."""

from __future__ import annotations

import tempfile
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

_CHECKSUMS = TypeAdapter(dict[str, str])
_MOST_FILES = 5  # named in a message


def fetch_checksums(run: RunRecord) -> dict[str, str]:
    """Fetch the SHA-256 of each file of a run's model, as the run logged them.

    Raises
    ------
    InputError
        The run logged no model, or the list is gone or was changed.
    """
    import mlflow
    from mlflow.exceptions import MlflowException

    if run.model_id is None:
        raise InputError("it logged no model: a job of a sweep does only if it is the best")
    if SEAL_TAG not in run.tags:
        raise InputError(f"it has no tag {SEAL_TAG}, the checksum of its model: train again")
    try:
        text = mlflow.artifacts.load_text(f"runs:/{run.run_id}/{SEAL_FILE}")
        checksums = _CHECKSUMS.validate_json(text)
    except (MlflowException, OSError) as error:
        raise InputError(f"{SEAL_FILE} cannot be fetched: {error}") from error
    except ValueError:  # neither text nor JSON of that shape
        checksums = {}
    if fingerprint_checksums(checksums) != run.tags[SEAL_TAG]:
        raise InputError(f"{SEAL_FILE} was changed after the run logged it")
    return checksums


def read_checksums(version: Version) -> dict[str, str]:
    """Read the SHA-256 of each file of a version from its tag.

    Raises
    ------
    InputError
        It was not registered by ``promote.py``.
    """
    try:
        return _CHECKSUMS.validate_json(version.tags.get(FILES_TAG, ""))
    except ValueError as error:
        raise InputError(
            f"version {version.number} does not say what its files are (tag {FILES_TAG}): it was "
            f"not registered by promote.py. python promote.py run_id={version.run_id} does."
        ) from error


def fetch_bundle(model_uri: str, checksums: Mapping[str, str]) -> Bundle:
    """Fetch and load the bundle of a logged or registered model.

    Parameters
    ----------
    model_uri : str
    checksums : mapping of str to str
        The SHA-256 that each of its files must have.

    Raises
    ------
    InputError
        There is no such model, or a file of it is gone or was changed, which is named.
    """
    import mlflow
    from mlflow.exceptions import MlflowException

    with tempfile.TemporaryDirectory() as folder:
        try:
            path = Path(mlflow.artifacts.download_artifacts(model_uri, dst_path=folder))
        except (MlflowException, OSError) as error:
            raise InputError(f"The model {model_uri} cannot be fetched: {error}") from error
        if changed := list_changed_files(checksums, checksum_model(path)):
            more = len(changed) - _MOST_FILES
            parts = changed[:_MOST_FILES] + ([f"and {more} more"] if more > 0 else [])
            raise InputError(f"The model {model_uri} is not what was logged: {'; '.join(parts)}.")
        try:
            return load_bundle(path / "data" / DATA_FOLDER)
        except (InputError, OSError, ValueError, LookupError, BadZipFile) as error:
            reason = str(error).rstrip(".")
            raise InputError(
                f"The model {model_uri} cannot be loaded: {reason}. Train again: python train.py"
            ) from error


def fetch_version(name: str, version: Version) -> Bundle:
    """Fetch the bundle of a registered version; see `fetch_bundle` and `read_checksums`."""
    return fetch_bundle(version_model_uri(name, version.number), read_checksums(version))


def fetch_run_bundle(run: RunRecord) -> Bundle:
    """Fetch the bundle that a run logged; see `fetch_bundle` and `fetch_checksums`."""
    try:
        checksums = fetch_checksums(run)
    except InputError as error:
        raise InputError(f"run {run.run_id}: {error}.") from error
    return fetch_bundle(run_model_uri(run), checksums)
