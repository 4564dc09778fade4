"""The history that scorings keep beside a model: a file with the run that trained it.

The files of a model never change, so what it remembers lies beside them: numbers and hashes of
tickets, read as data and never as code.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from slarisk.learning.context import list_groups
from slarisk.model.bundle import HISTORY
from slarisk.model.history import load_history
from slarisk.tracking.runs import mlflow_client
from slarisk.tracking.store import reaching_store

if TYPE_CHECKING:
    from slarisk.learning.context import History
    from slarisk.model.bundle import Bundle

FOLDER = "history"  # among the artifacts of the run


def fetch_kept_history(bundle: Bundle, run_id: str) -> History:
    """Fetch what earlier scorings kept beside a model; before the first, that of its training."""
    import mlflow

    assert bundle.history is not None
    with reaching_store():
        kept = [each.path for each in mlflow_client().list_artifacts(run_id, FOLDER)]
    if f"{FOLDER}/{HISTORY}" not in kept:
        return bundle.history
    with tempfile.TemporaryDirectory() as folder, reaching_store():
        path = mlflow.artifacts.download_artifacts(
            run_id=run_id, artifact_path=f"{FOLDER}/{HISTORY}", dst_path=folder
        )
        return load_history(Path(path), list_groups(bundle.manifest.features))


def keep_history(path: Path, run_id: str) -> None:
    """Keep a history beside a model, in place of an older one."""
    with reaching_store():
        mlflow_client().log_artifact(run_id, str(path), FOLDER)
