"""Versions of the registered model, and the champion among them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from slarisk.errors import InputError
from slarisk.tracking.runs import mlflow_client

CHAMPION = "champion"
FILES_TAG = "files_sha256"  # of a version: the checksums of its files
_MOST_VERSIONS = 10_000  # as many as MLflow gives at once


@dataclass(frozen=True)
class Version:
    """A version of the registered model."""

    number: str
    run_id: str
    tags: dict[str, str]
    description: str = ""


def version_model_uri(name: str, number: str) -> str:
    """Name the model of a registered version."""
    return f"models:/{name}/{number}"


def find_champion(name: str) -> Version | None:
    """Look up the version in charge; None if there is none yet."""
    from mlflow.exceptions import MlflowException

    try:
        entry = mlflow_client().get_model_version_by_alias(name, CHAMPION)
    except MlflowException as error:
        # no such model, or no such alias; a store that fails is not an empty one
        if error.error_code in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}:
            return None
        raise
    return _read_version(entry)


def require_champion(name: str) -> Version:
    """Look up the version in charge.

    Raises
    ------
    InputError
        There is none yet.
    """
    champion = find_champion(name)
    if champion is None:
        raise InputError(f"{name} has no champion yet. Promote a run first: python promote.py")
    return champion


def _read_version(entry: Any) -> Version:
    return Version(str(entry.version), entry.run_id, dict(entry.tags), entry.description or "")


def fetch_versions(name: str) -> list[Version]:
    """Fetch the versions of a registered model, oldest first."""
    entries = mlflow_client().search_model_versions(f"name='{name}'", max_results=_MOST_VERSIONS)
    return sorted(map(_read_version, entries), key=lambda version: int(version.number))
