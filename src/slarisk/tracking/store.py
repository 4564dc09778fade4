"""Where MLflow lives, and runs that end as what they were: finished, failed or killed."""

from __future__ import annotations

import logging
import os
import re
import sqlite3
import traceback
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from slarisk.errors import InputError, Refused, StoreError
from slarisk.tracking.relocation import follow_move
from slarisk.tracking.workers import WORKER_TAG, current_worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from slarisk.config import Tracking

DEFAULT_URI = "sqlite:///mlflow.db"  # MLflow's own, so that `mlflow ui` needs no flags
FAILURE_TAG = "failure"
_TAG_LENGTH = 4000
_RETRIES = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"
_PATIENCE = "5"  # retries, each after twice the pause: about a minute; MLflow's own 7 are four


def open_store(tracking: Tracking) -> str:
    """Point MLflow at the store, creating it and the experiment if need be.

    Returns
    -------
    str
        The experiment's id.

    Raises
    ------
    StoreError
        The store cannot be reached or opened.
    """
    import mlflow

    _keep_quiet()
    os.environ.setdefault(_RETRIES, _PATIENCE)
    uri = tracking.uri or os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_URI
    mlflow.set_tracking_uri(uri)
    try:
        with _creation_lock(uri), _little_patience():
            experiment = mlflow.set_experiment(tracking.experiment)
    except Exception as error:  # every kind of store, and every driver, has errors of its own
        raise StoreError(
            f"The MLflow store {hide_password(uri)} cannot be opened: {_first_line(error)}"
        ) from error
    experiment_id: str = experiment.experiment_id
    return experiment_id


def _first_line(error: Exception) -> str:
    return hide_password(next(iter(str(error).strip().splitlines()), repr(error)))


@contextmanager
def reaching_store() -> Iterator[None]:
    """Turn the many errors of a store that is gone into one.

    Raises
    ------
    StoreError
        The store did not answer, for about a minute, or it could not be written.
    """
    try:
        yield
    except Exception as error:
        if not _is_out_of_reach(error):
            raise
        import mlflow

        uri = hide_password(mlflow.get_tracking_uri())
        raise StoreError(f"The MLflow store {uri} is out of reach: {_first_line(error)}") from error


def _is_out_of_reach(error: Exception) -> bool:
    """Whether an error is the store's; one that says that we asked for nonsense is a bug."""
    from mlflow.exceptions import MlflowException
    from requests import RequestException
    from sqlalchemy.exc import SQLAlchemyError

    if isinstance(error, MlflowException):
        return error.error_code in {"INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE"}
    return isinstance(error, RequestException | SQLAlchemyError | OSError)


def _keep_quiet() -> None:
    """Silence what MLflow says of its own housekeeping: it is of no use to the reader of a run."""
    for name in ("mlflow.tracking.fluent", "mlflow.pyfunc", "mlflow.models", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in ("mlflow.store.db.utils", "urllib3.connectionpool"):  # each retry is a warning
        logging.getLogger(name).setLevel(logging.ERROR)
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")


def hide_password(text: str) -> str:
    """Blot out what stands before the host in an address; passwords may hold ``/`` and ``@``.

    Examples
    --------
    >>> hide_password("postgresql://me:secret@host/db")
    'postgresql://***@host/db'
    """
    return re.sub(r"//\S*@", "//***@", text)


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
    """Give up on a server after seconds: where nothing is lost yet, or no more can be saved."""
    before = os.environ.get(_RETRIES, _PATIENCE)
    os.environ[_RETRIES] = str(min(int(before), 2))
    try:
        yield
    finally:
        os.environ[_RETRIES] = before


@contextmanager
def tracked_run(name: str, tags: Mapping[str, str], run_id: str | None = None) -> Iterator[str]:
    """Track what happens inside as one MLflow run; ``run_id`` is one that was cut off.

    The run ends FINISHED; FAILED, with the reason in the tag ``failure``, if anything is raised;
    or KILLED if it is interrupted. It is left RUNNING only if the store is gone; then the next
    command marks it.

    Yields
    ------
    str
        The run's id.
    """
    import mlflow

    own = dict(tags) | {WORKER_TAG: current_worker()}
    with reaching_store():
        run = mlflow.start_run(run_id, run_name=name, tags=own)
    if FAILURE_TAG in run.data.tags:
        mlflow.delete_tag(FAILURE_TAG)
    try:
        yield run.info.run_id
    except BaseException as error:
        killed = isinstance(error, KeyboardInterrupt | SystemExit)
        _end_badly("KILLED" if killed else "FAILED", "interrupted" if killed else _reason(error))
        raise
    with reaching_store():
        mlflow.end_run("FINISHED")


def _end_badly(status: str, failure: str) -> None:
    """End the active run with a reason; a store that is gone must not hide what went wrong."""
    import mlflow

    with suppress(StoreError), _little_patience(), reaching_store():
        try:
            mlflow.set_tag(FAILURE_TAG, failure)
        finally:
            mlflow.end_run(status)


@contextmanager
def reopened_run(run_id: str) -> Iterator[None]:
    """Add to a run that has FINISHED; it stays FINISHED, whatever happens inside."""
    import mlflow

    mlflow.start_run(run_id=run_id)
    try:
        mlflow.set_tag(WORKER_TAG, current_worker())
        yield
    finally:
        mlflow.end_run("FINISHED")


def _reason(error: BaseException) -> str:
    if isinstance(error, InputError | Refused):
        return str(error)[:_TAG_LENGTH]
    # The message of a bug may quote a value of a ticket: only the terminal shows it.
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} in {Path(place.filename).name}, line {place.lineno}"
