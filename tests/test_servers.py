"""More than one machine, and servers that go away: PostgreSQL and MLflow servers, for real."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from contextlib import contextmanager, suppress
from pathlib import Path

import optuna
import pytest
from mlflow import MlflowClient
from optuna.trial import TrialState

from slarisk.tracking.tags import Tuning

psycopg = pytest.importorskip("psycopg", reason="the extra 'server' is not installed")

ROOT = Path(__file__).resolve().parents[1]
QUICK = ["evaluation.bootstrap_draws=50", "evaluation.importance_repeats=0"]
QUICK += ["evaluation.threshold_draws=5"]
HERE = ["data.path=tickets.csv", "data.truth=null", "tracking=server", *QUICK]
TRIALS = 12

pytestmark = [pytest.mark.commands, pytest.mark.slow]


def find_program(name):
    """Find a program of PostgreSQL's server: Debian keeps them off the path."""
    beside = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return shutil.which(name) or (str(beside[-1]) if beside else None)


def free_port():
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        return opened.getsockname()[1]


@pytest.fixture(scope="module")
def postgres():
    """A PostgreSQL server of its own; gives the address of a database of its own, too."""
    initdb, pg_ctl = find_program("initdb"), find_program("pg_ctl")
    if initdb is None or pg_ctl is None:
        pytest.skip("PostgreSQL's initdb and pg_ctl are not there")
    user = "postgres" if hasattr(os, "geteuid") and os.geteuid() == 0 else None
    folder = tempfile.mkdtemp(prefix="pg")  # pytest's own folders are closed to other users
    if user is not None:  # the server refuses to run as root
        shutil.chown(folder, user)

    def call(*command):
        subprocess.run(command, user=user, cwd=folder, check=True, stdout=subprocess.DEVNULL)

    port, data = free_port(), f"{folder}/data"
    call(initdb, "-D", data, "-U", "postgres", "-A", "trust", "--no-sync")
    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
    call(pg_ctl, "-D", data, "-o", options, "-l", f"{folder}/log", "-w", "start")
    try:
        address = f"postgresql://postgres@127.0.0.1:{port}"
        with psycopg.connect(f"{address}/postgres", autocommit=True) as connection:
            connection.execute("CREATE DATABASE mlflow")
            connection.execute("CREATE DATABASE optuna")
        yield address.replace("postgresql:", "postgresql+psycopg:")
    finally:
        call(pg_ctl, "-D", data, "-m", "immediate", "stop")
        shutil.rmtree(folder)


@contextmanager
def mlflow_server(store, artifacts, port):
    """Run a tracking server until the end of the block; gives its process."""
    command = [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--port", str(port)]
    command += ["--backend-store-uri", store, "--artifacts-destination", str(artifacts)]
    with open(artifacts.parent / "server.log", "a") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    try:
        deadline = time.monotonic() + 120
        while not answers(port):
            assert process.poll() is None, (artifacts.parent / "server.log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.2)
        yield process
    finally:
        kill(process)


def answers(port):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
            return True
    except OSError:
        return False


def kill(process):
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.fixture
def start(tmp_path, write_tickets):
    """Starts train.py in a folder of that name, as on a machine of its own."""
    started = []

    def start_in(name, port, *overrides, **environment):
        folder = tmp_path / name
        if not folder.exists():
            folder.mkdir()
            write_tickets(folder / "tickets.csv")
        known = {key: value for key, value in os.environ.items() if "MLFLOW" not in key}
        known |= {"MLFLOW_TRACKING_URI": f"http://127.0.0.1:{port}", **environment}
        process = subprocess.Popen(
            [sys.executable, str(ROOT / "train.py"), *overrides, *HERE],
            cwd=folder,
            env=known,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start_in
    for process in started:
        kill(process)
        process.stdout.close()


def wait_for(condition, seconds=120):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def count_finished(database):
    """Count the finished trials, also while the tables are being made."""
    with psycopg.connect(database.replace("+psycopg", "")) as connection:
        try:
            (count,) = connection.execute(
                "SELECT count(*) FROM trials WHERE state = 'COMPLETE'"
            ).fetchone()
        except psycopg.errors.UndefinedTable:
            return 0
    return count


def read_trials(database):
    storage = optuna.storages.RDBStorage(database)
    study = optuna.load_study(study_name="shared", storage=storage)
    trials = study.trials
    storage.remove_session()
    storage.engine.dispose()
    return trials


def test_two_machines_work_on_one_study_and_one_is_killed(postgres, start, tmp_path):
    port, storage = free_port(), f"{postgres}/optuna"
    search = ["-m", "search=lr", f"hydra.sweeper.n_trials={TRIALS}"]
    search += ["hydra.sweeper.study_name=shared", f"hydra.sweeper.storage={storage}"]

    with mlflow_server(f"{postgres}/mlflow", tmp_path / "artifacts", port):
        workers = [start(name, port, *search) for name in ("one", "two")]
        wait_for(lambda: count_finished(storage) >= 3)
        kill(workers[1])
        workers[1] = start("two", port, *search)
        said = [worker.communicate(timeout=240)[0] for worker in workers]
        assert [worker.returncode for worker in workers] == [0, 0], said

        told = read_trials(storage)
        failures = [trial.user_attrs["failure"] for trial in told if "failure" in trial.user_attrs]
        assert failures == []
        trials = [trial for trial in told if trial.state is TrialState.COMPLETE]
        assert len(trials) == TRIALS, said
        assert len({trial.params["model.C"] for trial in trials}) == TRIALS
        client = MlflowClient(f"http://127.0.0.1:{port}")
        runs = client.search_runs(["1"])
        parents = [run for run in runs if "sweep" in run.data.tags]
        assert [run.info.status for run in parents] == ["FINISHED"]
        jobs = [run for run in runs if run not in parents]
        assert {run.data.tags["mlflow.parentRunId"] for run in jobs} == {parents[0].info.run_id}
        values = {
            int(run.data.tags["trial"]): run.data.metrics["objective"]
            for run in jobs
            if "trial" in run.data.tags and run.info.status == "FINISHED"
        }
        assert values.items() >= {trial.number: trial.value for trial in trials}.items()
        ended = Counter(run.info.status for run in jobs)
        assert ended["RUNNING"] == 0
        assert ended["FINISHED"] >= TRIALS + 2  # and a fit each of the winner and the defaults
        assert sum("; best: lr" in words for words in said) >= 1
        stored = [run for run in jobs if run.outputs and run.outputs.model_outputs]
        best = min(trial.value for trial in trials)
        (winner,) = [run for run in stored if "trial" in run.data.tags]
        assert winner.data.metrics["objective"] == best
        pays = Tuning(parents[0].data.tags["tuning"]).pays
        assert len(stored) == (1 if pays else 2)  # the other has the default parameters


def test_a_server_that_goes_away_costs_no_fit(start, tmp_path):
    port, store = free_port(), f"sqlite:///{tmp_path}/server.db"
    job = ["model=rf", "model.n_estimators=1000", "model.n_jobs=1"]
    with mlflow_server(store, tmp_path / "artifacts", port) as server:
        worker = start("one", port, *job, MLFLOW_HTTP_REQUEST_MAX_RETRIES="1")
        wait_for(lambda: list(tmp_path.glob("artifacts/**/versions.json")))
        time.sleep(1)  # in the midst of the fits
        kill(server)
        said, _ = worker.communicate(timeout=240)
    assert worker.returncode == 2
    assert "Traceback" not in said
    assert f"http://127.0.0.1:{port} is out of reach" in said
    assert "The fit is not lost: it is kept in outputs/unsent/" in said
    (kept,) = (tmp_path / "one" / "outputs" / "unsent").iterdir()

    with mlflow_server(store, tmp_path / "artifacts", port):
        client = MlflowClient(f"http://127.0.0.1:{port}")
        (cut_off,) = client.search_runs(["1"])
        assert cut_off.info.status == "RUNNING"
        worker = start("one", port, *job)
        said, _ = worker.communicate(timeout=240)
        (run,) = client.search_runs(["1"])
    assert (worker.returncode, "Traceback" in said) == (0, False), said
    assert "fitted before" in said
    assert (run.info.run_id, run.info.status) == (cut_off.info.run_id, "FINISHED")
    assert run.outputs.model_outputs
    assert "failure" not in run.data.tags
    assert not kept.exists()
