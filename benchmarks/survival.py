"""Whether sweeps survive parallel starts without a store, and ``kill -9``.

``python benchmarks/survival.py cold [rounds]``: 16 jobs, 4 workers, no store yet; all must finish.

``python benchmarks/survival.py kill [rounds]``: a search of 30 trials is killed at a random moment
and started again. Its 30 trials must be those of an undisturbed search, and no run may be left
RUNNING.

Both work on a part of the bundled sample, in a folder of their own, and print round by round.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TICKETS = 1200
QUICK = ["evaluation.bootstrap_draws=50", "evaluation.importance_repeats=0"]
GRID = ["-m", "model=gbm", "features=notebook,calendar", "model.num_leaves=7,15"]
GRID += ["model.n_estimators=20,30,40,50", "hydra/launcher=joblib", "hydra.launcher.n_jobs=4"]
SEARCH = ["-m", "search=lr", "hydra.sweeper.n_trials=30", "hydra.sweeper.study_name=survival"]


def copy_sample(folder):
    """Copy a part of the sample to where the config looks for it."""
    (folder / "data").mkdir(parents=True)
    lines = (ROOT / "data" / "sample_tickets.csv").read_text(encoding="utf-8").splitlines(True)
    (folder / "data" / "sample_tickets.csv").write_text("".join(lines[: TICKETS + 1]))
    shutil.copy(ROOT / "data" / "sample_truth.csv", folder / "data")


def start(arguments, folder):
    """Start train.py in a folder, with its own store and study."""
    shared = {"MLFLOW_TRACKING_URI", "SLARISK_STUDY_STORAGE"}
    return subprocess.Popen(
        [sys.executable, str(ROOT / "train.py"), *arguments, *QUICK],
        cwd=folder,
        env={key: value for key, value in os.environ.items() if key not in shared},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def count_runs(folder):
    """Count the runs of a store by status and whether they are the parent of a sweep."""
    import mlflow

    mlflow.set_tracking_uri(f"sqlite:///{folder / 'mlflow.db'}")
    runs = mlflow.MlflowClient().search_runs(["1"], max_results=10_000)
    return Counter((run.info.status, "sweep" in run.data.tags) for run in runs)


def start_cold(rounds):
    """Run grids on stores that do not exist yet."""
    passed = 0
    for number in range(rounds):
        with tempfile.TemporaryDirectory() as name:
            copy_sample(folder := Path(name))
            process = start(GRID, folder)
            output, _ = process.communicate()
            runs = count_runs(folder)
        finished = runs["FINISHED", False]
        passed += finished == 16 and process.returncode == 0
        print(
            f"round {number + 1}: {finished} of 16 finished, exit {process.returncode}", flush=True
        )
        if finished != 16:
            print(output)
    print(f"cold start: all 16 jobs finished in {passed} of {rounds} rounds")
    return passed == rounds


def list_trials(folder):
    """List the finished trials of the study, in order: parameters and value."""
    import optuna

    database = folder / "optuna.db"
    if not database.exists():
        return []
    try:
        study = optuna.load_study(study_name="survival", storage=f"sqlite:///{database}")
    except KeyError:  # no study yet
        return []
    done = study.get_trials(states=[optuna.trial.TrialState.COMPLETE])
    return [(tuple(trial.params.items()), trial.value) for trial in done]


def kill_searches(rounds, seed=0):
    """Kill searches at random moments, start them again, and compare with an undisturbed one."""
    rng = random.Random(seed)
    passed = 0
    with tempfile.TemporaryDirectory() as name:
        copy_sample(folder := Path(name))
        started = time.perf_counter()
        output, _ = start(SEARCH, folder).communicate()
        length = time.perf_counter() - started
        expected = list_trials(folder)
        assert len(expected) == 30, output
    print(f"undisturbed: {len(expected)} trials in {length:.0f} s", flush=True)
    for number in range(rounds):
        with tempfile.TemporaryDirectory() as name:
            copy_sample(folder := Path(name))
            process = start(SEARCH, folder)
            moment = rng.uniform(0, length)
            try:
                process.wait(moment)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            before = len(list_trials(folder))
            again = start(SEARCH, folder)
            output, _ = again.communicate()
            trials, runs = list_trials(folder), count_runs(folder)
        running = sum(count for (status, _), count in runs.items() if status == "RUNNING")
        good = trials == expected and not running and again.returncode == 0
        passed += good
        print(
            f"round {number + 1}: killed after {moment:.1f} s and {before} trials; resumed to "
            f"{len(trials)}, {'equal' if trials == expected else 'NOT EQUAL'}, "
            f"{running} runs left RUNNING, exit {again.returncode}",
            flush=True,
        )
        if not good:
            print(output)
    print(f"kill -9: equal after the second start in {passed} of {rounds} rounds")
    return passed == rounds


if __name__ == "__main__":
    name, *rounds = sys.argv[1:]
    function, default = {"cold": (start_cold, 10), "kill": (kill_searches, 20)}[name]
    sys.exit(not function(int(rounds[0]) if rounds else default))
