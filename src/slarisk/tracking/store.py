"""Where MLflow lives, and runs that end as what they were: finished, failed or killed."""

from __future__ import annotations

import logging
import os
import re
import sqlite3
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from slarisk.errors import InputError, Refused
from slarisk.tracking.relocation import follow_move
from slarisk.tracking.workers import WORKER_TAG, this_worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

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

    _keep_quiet()
    uri = tracking.uri or os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_URI
    mlflow.set_tracking_uri(uri)
    try:
        with _creation_lock(uri), _little_patience():
            experiment = mlflow.set_experiment(tracking.experiment)
    except Exception as error:  # every kind of store, and every driver, has errors of its own
        reason = next(iter(str(error).strip().splitlines()), repr(error))
        raise InputError(
            f"The MLflow store {hide_password(uri)} cannot be opened: {hide_password(reason)}"
        ) from error
    experiment_id: str = experiment.experiment_id
    return experiment_id


def _keep_quiet() -> None:
    """Silence what MLflow says of its own housekeeping: it is of no use to the reader of a run."""
    for name in ("mlflow.tracking.fluent", "mlflow.pyfunc", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in ("mlflow.store.db.utils", "urllib3.connectionpool"):  # each retry is a warning
        logging.getLogger(name).setLevel(logging.ERROR)
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")


def hide_password(text: str) -> str:
    """Blot out what stands before the host in an address.

    Examples
    --------
    >>> hide_password("postgresql://me:secret@host/db")
    'postgresql://***@host/db'
    """
    return re.sub(r"//[^/@\s]*@", "//***@", text)


@contextmanager
def _creation_lock(uri: str) -> Iterator[None]:
    """Let one process at a time create a SQLite store: its migrations race otherwise."""
    if not uri.startswith("sqlite:///"):
        yield
        return
    path = Path(uri.removeprefix("sqlite:///"))
    if not path.absolute().parent.is_dir():
        raise FileNotFoundError(f"no folder {path.parent}.")
    with FileLock(f"{path}.lock"):
        # MLflow would try a file that is no database for two minutes
        with closing(sqlite3.connect(path)) as database:
            database.execute("PRAGMA schema_version")
        create_whole(path, _create_tables)
        follow_move(path)
        yield


def create_whole(path: Path, create: Callable[[str], None]) -> None:
    """Create a SQLite database that is not there yet; killed in the middle, it leaves none.

    ``create`` is given the address under which to create it.
    """
    if path.exists() and path.stat().st_size:
        return
    partial = path.with_name(f"{path.name}.partial")
    partial.unlink(missing_ok=True)
    create(f"sqlite:///{partial}")
    partial.replace(path)


def _create_tables(uri: str) -> None:
    from mlflow.store.db.utils import _initialize_tables, create_sqlalchemy_engine

    engine = create_sqlalchemy_engine(uri)  # type: ignore[no-untyped-call]
    _initialize_tables(engine)  # type: ignore[no-untyped-call]
    engine.dispose()


@contextmanager
def _little_patience() -> Iterator[None]:
    """Give up on a server after seconds; once a run is under way, MLflow tries for minutes."""
    key = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"
    before = os.environ.get(key)
    os.environ[key] = before or "2"
    try:
        yield
    finally:
        if before is None:
            del os.environ[key]


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

    run = mlflow.start_run(run_name=name, tags=dict(tags) | {WORKER_TAG: this_worker()})
    try:
        yield run.info.run_id
    except BaseException as error:
        killed = isinstance(error, KeyboardInterrupt | SystemExit)
        try:
            mlflow.set_tag(FAILURE_TAG, "interrupted" if killed else _reason(error))
        finally:
            mlflow.end_run("KILLED" if killed else "FAILED")
        raise
    mlflow.end_run("FINISHED")


@contextmanager
def reopened_run(run_id: str) -> Iterator[None]:
    """Add to a run that has FINISHED; it stays FINISHED, whatever happens inside."""
    import mlflow

    mlflow.start_run(run_id=run_id)
    try:
        mlflow.set_tag(WORKER_TAG, this_worker())
        yield
    finally:
        mlflow.end_run("FINISHED")


def _reason(error: BaseException) -> str:
    text = str(error) if isinstance(error, InputError | Refused) else repr(error)
    return text[:_TAG_LENGTH]
