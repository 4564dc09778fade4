"""Where MLflow lives, and runs that end as what they were: finished, failed or killed."""

from __future__ import annotations

import logging
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from slarisk.errors import InputError, Refused

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from slarisk.config import Tracking

DEFAULT_URI = "sqlite:///mlflow.db"  # MLflow's own, so that `mlflow ui` needs no flags
FAILURE_TAG = "failure"
_TAG_LENGTH = 4000


def open_store(tracking: Tracking) -> str:
    """Point MLflow at the store, creating it and the experiment if need be.

    Returns
    -------
    str
        The experiment's id.

    Raises
    ------
    InputError
        The store cannot be reached or opened.
    """
    import mlflow
    from mlflow.exceptions import MlflowException

    # what MLflow says of its own housekeeping is of no use to the reader of a run
    for name in ("mlflow.store.db.utils", "mlflow.tracking.fluent", "mlflow.pyfunc", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    uri = tracking.uri or os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_URI
    mlflow.set_tracking_uri(uri)
    try:
        with _creation_lock(uri):
            experiment = mlflow.set_experiment(tracking.experiment)
    except MlflowException as error:
        raise InputError(f"The MLflow store {uri} cannot be opened: {error.message}") from error
    experiment_id: str = experiment.experiment_id
    return experiment_id


@contextmanager
def _creation_lock(uri: str) -> Iterator[None]:
    """Let one process at a time create a SQLite store: its migrations race otherwise."""
    if not uri.startswith("sqlite:///"):
        yield
        return
    path = Path(uri.removeprefix("sqlite:///"))
    if not path.absolute().parent.is_dir():
        raise InputError(f"The MLflow store {uri} cannot be opened: no folder {path.parent}.")
    with FileLock(f"{path}.lock"):
        yield


@contextmanager
def tracked_run(name: str, tags: Mapping[str, str]) -> Iterator[str]:
    """Track what happens inside as one MLflow run.

    The run ends FINISHED; FAILED, with the reason in the tag ``failure``, if anything is raised;
    or KILLED if it is interrupted. It is never left RUNNING.

    Yields
    ------
    str
        The run's id.
    """
    import mlflow

    run = mlflow.start_run(run_name=name, tags=dict(tags))
    try:
        yield run.info.run_id
    except (KeyboardInterrupt, SystemExit):
        mlflow.set_tag(FAILURE_TAG, "interrupted")
        mlflow.end_run("KILLED")
        raise
    except BaseException as error:
        mlflow.set_tag(FAILURE_TAG, _reason(error)[:_TAG_LENGTH])
        mlflow.end_run("FAILED")
        raise
    mlflow.end_run("FINISHED")


def _reason(error: BaseException) -> str:
    return str(error) if isinstance(error, InputError | Refused) else repr(error)
