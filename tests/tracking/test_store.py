import os
import re
import sqlite3
import threading

import mlflow
import pytest
import requests
import sqlalchemy
from mlflow import MlflowClient
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE, TEMPORARILY_UNAVAILABLE

from slarisk.config import Tracking
from slarisk.errors import InputError, StoreError
from slarisk.tracking.store import open_store, reaching_store, tracked_run

LOCAL = Tracking(name="local")


@pytest.fixture
def default_store(place, monkeypatch):
    """No address in the environment: the store is `mlflow.db` in the working folder."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    return place


@pytest.mark.slow
def test_the_default_store_is_mlflows_own(default_store):
    (default_store / "mlflow.db").unlink()
    (default_store / "deeper").mkdir()
    os.chdir(default_store / "deeper")
    open_store(LOCAL)
    assert mlflow.get_tracking_uri() == "sqlite:///mlflow.db"
    assert (default_store / "deeper" / "mlflow.db").exists()
    assert not (default_store / "mlflow.db").exists()


def test_the_environment_names_the_store_and_the_config_has_the_last_word(place, monkeypatch):
    other = place / "other"
    other.mkdir()
    (place / "mlflow.db").rename(other / "env.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{other}/env.db")
    open_store(LOCAL)
    assert mlflow.get_tracking_uri().endswith("/other/env.db")
    assert not (place / "mlflow.db").exists()
    open_store(Tracking(name="local", uri=f"sqlite:///{other}/config.db"))
    assert mlflow.get_tracking_uri().endswith("/other/config.db")


def test_a_run_of_its_experiment(place):
    experiment = open_store(LOCAL)
    assert mlflow.get_experiment(experiment).name == "sla-breach-risk"
    assert open_store(LOCAL) == experiment
    assert open_store(Tracking(name="local", experiment="other")) != experiment


@pytest.mark.parametrize("content", [b"this is a diary", os.urandom(100_000)])
def test_a_file_that_is_no_store_is_told(place, content):
    (place / "diary.db").write_bytes(content)
    with pytest.raises(InputError) as told:
        open_store(Tracking(name="local", uri="sqlite:///diary.db"))
    assert str(told.value).count("\n") == 0
    assert "sqlite:///diary.db" in str(told.value)
    assert (place / "diary.db").read_bytes() == content


@pytest.mark.timeout(20)  # MLflow itself would try for minutes
def test_a_store_that_cannot_be_opened_is_told_soon(place, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0")
    for uri, reason in (
        (f"sqlite:///{place}", "unable to open"),
        ("sqlite:////no/such/folder/mlflow.db", "no folder /no/such/folder"),
        ("http://127.0.0.1:9", "Connection refused"),
        ("carrier-pigeon://loft", "unsupported URI"),
    ):
        with pytest.raises(InputError, match=reason):
            open_store(Tracking(name="server", uri=uri))
    assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "5"  # for the run itself


def test_a_password_is_not_told(place):
    with pytest.raises(InputError) as told:
        open_store(Tracking(name="server", uri="carrier-pigeon://me:secret@loft/db"))
    assert "secret" not in str(told.value)
    assert "carrier-pigeon://***@loft/db" in str(told.value)


def test_a_deleted_experiment_is_told(place):
    mlflow.delete_experiment(open_store(LOCAL))
    with pytest.raises(InputError, match="deleted"):
        open_store(LOCAL)


def test_one_at_a_time_creates_a_store(place):
    """What is begun while another holds the lock waits for it."""
    from filelock import FileLock

    opened = threading.Event()

    def opener():
        open_store(LOCAL)
        opened.set()

    with FileLock(f"{place}/mlflow.db.lock"):
        thread = threading.Thread(target=opener)
        thread.start()
        assert not opened.wait(0.5)
    assert opened.wait(30)
    thread.join()


def ended(run_id):
    run = MlflowClient().get_run(run_id)
    return run.info.status, run.data.tags.get("failure")


def test_a_run_that_ends_is_finished(place):
    open_store(LOCAL)
    with tracked_run("name", {"git_commit": "abc"}) as run_id:
        assert ended(run_id) == ("RUNNING", None)
    assert ended(run_id) == ("FINISHED", None)
    run = MlflowClient().get_run(run_id)
    assert (run.info.run_name, run.data.tags["git_commit"]) == ("name", "abc")


@pytest.mark.parametrize(
    ("error", "ending"),
    [
        (InputError("no such column"), ("FAILED", "no such column")),
        (InputError("x" * 9000), ("FAILED", "x" * 4000)),
        (KeyboardInterrupt(), ("KILLED", "interrupted")),
        (SystemExit(3), ("KILLED", "interrupted")),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_run_that_is_broken_off_says_why(place, error, ending):
    open_store(LOCAL)
    with pytest.raises(type(error)), tracked_run("name", {}) as run_id:
        raise error
    assert ended(run_id) == ending
    assert mlflow.active_run() is None


def test_a_bug_is_told_by_its_place_and_quotes_no_ticket(place):
    open_store(LOCAL)
    with pytest.raises(ValueError, match="Lovelace"), tracked_run("name", {}) as run_id:
        float("Ada Lovelace")
    status, reason = ended(run_id)
    assert status == "FAILED"
    assert re.fullmatch(r"ValueError in test_store\.py, line \d+", reason)


def test_a_run_ends_though_its_reason_cannot_be_told(place, monkeypatch):
    open_store(LOCAL)
    monkeypatch.setattr(mlflow, "set_tag", fail_with(OSError("disk full")))
    with pytest.raises(ZeroDivisionError), tracked_run("name", {}) as run_id:
        raise ZeroDivisionError  # the disk must not hide it
    assert ended(run_id) == ("FAILED", None)


def fail_with(error):
    def fail(*_, **__):
        raise error

    return fail


def test_a_store_that_is_lost_leaves_the_run_to_the_next_command(place, monkeypatch):
    open_store(LOCAL)
    gone = mlflow.exceptions.MlflowException("no route to host")
    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "set_terminated", fail_with(gone))
        with pytest.raises(InputError, match="wrong column"), tracked_run("name", {}) as run_id:
            raise InputError("wrong column")
    assert mlflow.active_run() is None
    assert ended(run_id) == ("RUNNING", "wrong column")
    with tracked_run("name", {}, run_id) as resumed:
        assert resumed == run_id
        assert ended(run_id) == ("RUNNING", None)
    assert ended(run_id) == ("FINISHED", None)


@pytest.mark.parametrize(
    "error",
    [
        mlflow.exceptions.MlflowException("API request failed: Max retries exceeded"),
        mlflow.exceptions.MlflowException("busy", error_code=TEMPORARILY_UNAVAILABLE),
        requests.ConnectionError("Max retries exceeded"),
        sqlalchemy.exc.OperationalError("INSERT", {}, Exception("Max retries exceeded")),
        OSError("No space left on device"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_the_many_errors_of_a_store_become_one(place, error):
    open_store(Tracking(name="local", uri=f"sqlite:///{place}/mlflow.db"))
    with (
        pytest.raises(StoreError, match=r"mlflow.db is out of reach: .*(Max|busy|space)"),
        reaching_store(),
    ):
        raise error


@pytest.mark.parametrize(
    "error",
    [
        mlflow.exceptions.MlflowException("not a number", error_code=INVALID_PARAMETER_VALUE),
        ZeroDivisionError(),
        InputError("wrong column"),
        KeyboardInterrupt(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_other_errors_are_not_blamed_on_the_store(place, error):
    with pytest.raises(type(error)) as told, reaching_store():
        raise error
    assert told.value is error


@pytest.mark.slow
def test_nothing_is_said_of_housekeeping(place, capsys):
    (place / "fresh").mkdir()
    open_store(Tracking(name="local", uri=f"sqlite:///{place}/fresh/mlflow.db"))
    assert capsys.readouterr() == ("", "")
    with sqlite3.connect(place / "fresh" / "mlflow.db") as database:
        assert database.execute("SELECT count(*) FROM runs").fetchone() == (0,)
    database.close()
