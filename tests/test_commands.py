"""Commands as a user runs them; a few as processes of their own, with real signals."""

import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import joblib
import pytest

ROOT = Path(__file__).resolve().parents[1]
QUICK = ["evaluation.bootstrap_draws=100", "evaluation.importance_repeats=0"]
QUICK += ["evaluation.threshold_draws=5"]
HERE = ["data.path=tickets.csv", "data.truth=null", *QUICK]

pytestmark = pytest.mark.commands


@pytest.fixture
def folder(tmp_path, write_tickets):
    write_tickets(tmp_path / "tickets.csv")
    return tmp_path


@pytest.fixture
def start(folder):
    """Starts a command in a folder of its own, without a word about MLflow in the environment."""
    environment = {key: value for key, value in os.environ.items() if "MLFLOW" not in key}

    def start_command(command, *overrides, **more):
        return subprocess.Popen(
            [sys.executable, str(ROOT / f"{command}.py"), *overrides],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **more,
        )

    return start_command


@pytest.fixture
def call(start):
    def call_command(command, *overrides):
        process = start(command, *overrides)
        out, err = process.communicate(timeout=300)
        return process.returncode, out, err

    return call_command


def statuses(folder):
    if not (folder / "mlflow.db").exists():
        return []
    with closing(sqlite3.connect(folder / "mlflow.db", timeout=30)) as database:
        try:
            return [row[0] for row in database.execute("SELECT status FROM runs")]
        except sqlite3.OperationalError:  # not created yet
            return []


@pytest.mark.slow
def test_from_an_export_to_decisions(call, folder):
    code, out, err = call("train", "model=lr", *HERE)
    assert (code, err) == (0, "")
    assert out.startswith("lr loses $")
    assert statuses(folder) == ["FINISHED"]
    drawn = [path.stat().st_size for path in folder.glob("mlruns/*/*/artifacts/plots/*.png")]
    assert len(drawn) == 4
    assert min(drawn) > 2000
    code, out, err = call("promote", "fewest_tickets=100")
    assert (code, err) == (0, "")
    assert "Promoted: sla-breach-risk version 1" in out
    code, out, err = call("score")
    assert (code, err) == (0, "")
    assert "tickets in 600 = scored 600 + rejected 0" in out
    assert (folder / "outputs" / "risk_scores.csv").exists()


@pytest.mark.slow
def test_parallel_jobs_share_a_cold_store(call, folder):
    """And the processors: the forest of each of two jobs is fitted by half of them."""
    code, _, err = call(
        *("train", "-m", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "model=rf", *HERE),
        *("model.n_estimators=9", "+model.verbose=1", "split.seed=1,2", "log_models=all"),
    )
    assert code == 0
    # scikit-learn says with how many threads it fits a forest, unless it is one
    assert "Parallel(n_jobs=-1)]: Done" in err
    told = re.findall(r"Using backend \w+ with (\d+) concurrent", err)
    share = max(1, joblib.cpu_count() // 2)
    assert set(told) == ({str(share)} if share > 1 else set())
    assert [line for line in err.splitlines() if not line.startswith("[Parallel(")] == []
    assert statuses(folder).count("FINISHED") >= 3  # the parent run, too
    assert set(statuses(folder)) == {"FINISHED"}


def wait_for_fits(folder, expected):
    """Wait until a job is busy fitting: a signal amid a write would be told by the database, too.

    Every job but the parent run has written its config and versions before it fits.
    """
    deadline = time.monotonic() + 120
    jobs = len(expected) - (len(expected) > 1)
    while (
        sorted(statuses(folder)) != expected
        or len(list(folder.glob("mlruns/*/*/artifacts/versions.json"))) < jobs
    ):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    time.sleep(0.5)


@pytest.mark.slow
def test_a_killed_command_leaves_no_run_running(start, folder):
    process = start("train", "model=rf", "model.n_estimators=100000", *HERE)
    wait_for_fits(folder, ["RUNNING"])
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, "", "interrupted\n")
    assert statuses(folder) == ["KILLED"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.slow
def test_a_parallel_grid_that_is_stopped_keeps_what_finished(start, folder, number):
    """Ctrl-C reaches every process of the terminal, `kill` the command alone."""
    process = start(
        *("train", "-m", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "model=rf", *HERE),
        *("model.n_estimators=1,100000", "model.n_jobs=1"),
        start_new_session=True,
    )
    wait_for_fits(folder, ["FINISHED", "RUNNING", "RUNNING"])
    if number == signal.SIGINT:
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert out.startswith("[1/2] rf notebook sample: objective")
    assert sorted(statuses(folder)) == ["FINISHED", "KILLED", "KILLED"]


@pytest.mark.parametrize("command", ["train", "promote", "score", "analyze"])
@pytest.mark.parametrize("flag", [["--help"], ["--cfg", "job"], ["--info"]], ids="-".join)
def test_a_command_explains_itself(run, folder, monkeypatch, command, flag):
    monkeypatch.chdir(folder)
    ended = run(command, *flag)
    assert (ended.code, ended.err) == (0, "")
    assert len(ended.out.splitlines()) > 5
    assert sorted(path.name for path in folder.iterdir()) == ["tickets.csv"]


@pytest.mark.parametrize(
    ("command", "overrides", "told"),
    [
        ("train", ["modle=rf"], "modle"),
        ("score", ["decision=capcity"], "decision/capcity"),
        ("score", ["output=scores.xlsx"], "output=scores.xlsx"),
        ("train", ["data.path=nowhere.csv"], "nowhere.csv"),
        ("analyze", ["data.path=nowhere.csv"], "nowhere.csv"),
    ],
)
def test_a_mistake_is_one_message(place, run, command, overrides, told):
    ended = run(command, *overrides)
    check_mistake(ended.code, ended.out, ended.err, told)


def test_a_mistake_in_a_process_of_its_own(call):
    check_mistake(*call("train", "modle=rf"), "modle")


def check_mistake(code, out, err, told):
    assert (code, out) == (2, "")
    assert err.startswith("error")
    assert told in err
    assert "Traceback" not in err
