import time

import mlflow
import pytest
from mlflow import MlflowClient

from slarisk.config import Stage, SweepJob, Tracking
from slarisk.sweeps import runs as module
from slarisk.sweeps.runs import (
    end_jobs,
    fetch_jobs,
    log_findings,
    resume_parent,
    start_parent,
    tag_job,
)
from slarisk.tracking.runs import end_orphans, find_finished, terminate_run
from slarisk.tracking.store import open_store, reopened_run, tracked_run
from slarisk.tracking.tags import JOB_TAG
from slarisk.tracking.workers import current_worker

ELSEWHERE = "123456abcdef-123456abcdef"


@pytest.fixture
def experiment(place):
    return open_store(Tracking(name="local"))


@pytest.fixture
def dead(experiment):
    """The name of a worker of this folder that is gone."""
    return current_worker().rpartition("-")[0] + "-gone"


@pytest.fixture
def parent(experiment):
    return start_parent(experiment, "grid", "grid", {})


@pytest.fixture
def record(experiment):
    """Records a run, each a second after the one before; RUNNING until it is ended."""
    starts = iter(range(1_700_000_000_000, 1_800_000_000_000, 1000))

    def record_run(status="RUNNING", **tags):
        tags = {name.replace("__", "."): value for name, value in tags.items()}
        start = next(starts)
        run_id = MlflowClient().create_run(experiment, start, tags).info.run_id
        if status != "RUNNING":
            MlflowClient().set_terminated(run_id, status, start + 500)
        return run_id

    return record_run


def ended(run_id):
    run = MlflowClient().get_run(run_id)
    return run.info.status, run.data.tags.get("failure")


# A parent and its jobs --------------------------------------------------------------------------


def test_jobs_are_nested_under_their_parent(experiment, composed):
    parent = start_parent(experiment, "model=lr,rf", "grid", {"study": "lr-1"})
    found = MlflowClient().get_run(parent)
    assert (found.info.run_name, found.info.status) == ("model=lr,rf", "RUNNING")
    expected = {"sweep": "grid", "study": "lr-1", "worker": current_worker()}
    assert found.data.tags.items() >= expected.items()

    config = composed("model=lr")
    config.overrides = ["model=lr", "model.C=0.5"]
    config.sweep = SweepJob(parent=parent, stage=Stage.tuned, trial=3)
    with tracked_run("lr", tag_job(config)) as run_id:
        mlflow.log_metric("objective", 2.5)
    assert MlflowClient().get_run(run_id).data.tags["mlflow.parentRunId"] == parent
    (job,) = fetch_jobs(experiment, parent)
    assert (job.run_id, job.name, job.status) == (run_id, "lr", "FINISHED")
    assert (job.stage, job.trial) == (Stage.tuned, 3)
    assert job.overrides == ("model=lr", "model.C=0.5")
    assert (job.metrics, job.finished, job.failure) == ({"objective": 2.5}, True, None)
    assert 0 <= job.seconds < 60
    assert not job.has_model


def test_a_job_of_a_grid_has_no_trial(experiment, parent, composed):
    config = composed("model=lr")
    config.sweep = SweepJob(parent=parent)
    assert "trial" not in tag_job(config)
    with pytest.raises(ZeroDivisionError), tracked_run("lr", tag_job(config)) as run_id:
        MlflowClient().log_metric(run_id, "objective", 1 / 0)
    (job,) = fetch_jobs(experiment, parent)
    assert (job.stage, job.trial, job.overrides) == (Stage.trial, None, ())
    assert (job.status, job.failure[:17]) == ("FAILED", "ZeroDivisionError")
    assert not job.finished


def test_a_running_job_has_no_seconds(experiment, parent, record):
    run_id = record(mlflow__parentRunId=parent)
    record(status="FINISHED", mlflow__parentRunId=parent)
    # one that had ended, and is being added to
    MlflowClient().set_terminated(run_id, "FINISHED")
    MlflowClient().update_run(run_id, "RUNNING")
    assert [job.seconds for job in fetch_jobs(experiment, parent)] == [None, 0.5]


def test_all_jobs_are_listed_oldest_first(experiment, parent, record, monkeypatch):
    monkeypatch.setattr(mlflow.tracking.fluent, "NUM_RUNS_PER_PAGE_PANDAS", 2)
    before = record("FINISHED")
    jobs = [record("FINISHED", mlflow__parentRunId=parent) for _ in range(5)]
    record("FINISHED", mlflow__parentRunId="another")
    assert [job.run_id for job in fetch_jobs(experiment, parent)] == jobs
    taken_over = [job.run_id for job in fetch_jobs(experiment, parent, [before])]
    assert taken_over == [before, *jobs]
    assert fetch_jobs(experiment, "a parent without jobs") == []


def test_a_job_with_a_model_is_told_apart(experiment, parent, record):
    with_model, without = (record("FINISHED", mlflow__parentRunId=parent) for _ in range(2))
    model = MlflowClient().create_logged_model(experiment, "model", source_run_id=with_model)
    MlflowClient().log_outputs(
        with_model, [mlflow.entities.LoggedModelOutput(model.model_id, step=0)]
    )
    jobs = {job.run_id: job.has_model for job in fetch_jobs(experiment, parent)}
    assert jobs == {with_model: True, without: False}


def test_a_parent_that_is_resumed_has_not_failed(parent, monkeypatch):
    terminate_run(parent, "KILLED", "interrupted")
    assert ended(parent) == ("KILLED", "interrupted")
    monkeypatch.setattr(module, "current_worker", lambda: "the next")
    resume_parent(parent)
    assert ended(parent) == ("RUNNING", None)
    assert MlflowClient().get_run(parent).data.tags["worker"] == "the next"
    resume_parent(parent)  # there is no failure to take away
    terminate_run(parent, "FINISHED")
    assert ended(parent) == ("FINISHED", None)


def test_what_a_sweep_found_is_added_to_its_parent(parent, place):
    figure = pytest.importorskip("matplotlib.figure").Figure()
    log_findings(
        parent,
        tags={"note": "text"},
        metrics={"best": [1.5], "so_far": [3.0, 2.0]},
        texts={"tables/results.csv": "a,b\n"},
        figures={"plots/history.png": figure},
    )
    client = MlflowClient()
    run = client.get_run(parent)
    assert run.data.tags["note"] == "text"
    assert run.data.metrics == {"best": 1.5, "so_far": 2.0}
    assert mlflow.artifacts.load_text(f"runs:/{parent}/tables/results.csv") == "a,b\n"
    assert client.list_artifacts(parent, "plots")[0].path == "plots/history.png"
    steps = [(each.step, each.value) for each in client.get_metric_history(parent, "so_far")]
    assert steps == [(0, 3.0), (1, 2.0)]
    assert run.info.status == "RUNNING"  # adding is not ending


# Runs that were left ----------------------------------------------------------------------------


def test_runs_of_workers_that_died_are_killed_and_no_others(experiment, dead, record):
    left = record(worker=dead)
    spared = [record(worker=current_worker()), record(worker=ELSEWHERE), record()]
    over = record("FAILED", worker=dead)
    end_orphans(experiment)
    assert ended(left) == ("KILLED", "its process was killed")
    assert [ended(run_id) for run_id in spared] == [("RUNNING", None)] * 3
    assert ended(over) == ("FAILED", None)


def test_a_run_that_had_finished_stays_finished_though_adding_to_it_was_cut_off(
    experiment, dead, record
):
    run_id = record("FINISHED")
    before = MlflowClient().get_run(run_id).info.end_time
    with reopened_run(run_id):
        MlflowClient().set_tag(run_id, "worker", dead)
        assert ended(run_id) == ("RUNNING", None)
        end_orphans(experiment)
        assert ended(run_id) == ("FINISHED", None)
        assert MlflowClient().get_run(run_id).info.end_time == before


@pytest.fixture
def patience(monkeypatch):
    """How long a job may take to end itself."""
    monkeypatch.setattr(module, "_STOP_SECONDS", 0.5)


def test_jobs_that_are_stopped_may_end_themselves_first(
    experiment, parent, dead, record, monkeypatch, patience
):
    alive = record(worker=current_worker(), mlflow__parentRunId=parent)
    killed = record(worker=dead, mlflow__parentRunId=parent)
    other_sweep = record(worker=dead, mlflow__parentRunId="another")
    seen = []

    def wait(_):
        seen.append(ended(killed)[0])
        terminate_run(alive, "KILLED", "interrupted")  # its last words

    monkeypatch.setattr(module.time, "sleep", wait)
    end_jobs(experiment, parent)
    assert seen == ["KILLED"]  # at once, and the other is waited for
    assert ended(alive) == ("KILLED", "interrupted")
    assert ended(other_sweep) == ("RUNNING", None)


def test_jobs_that_do_not_end_themselves_are_killed_in_the_end(
    experiment, parent, record, patience
):
    stuck = [
        record(worker=current_worker(), mlflow__parentRunId=parent),
        record(worker=ELSEWHERE, mlflow__parentRunId=parent),
    ]
    start = time.monotonic()
    end_jobs(experiment, parent)
    assert time.monotonic() - start >= 0.5
    assert [ended(run_id) for run_id in stuck] == [("KILLED", "its process was killed")] * 2
    assert ended(parent) == ("RUNNING", None)  # the sweep ends that itself


# Finished before --------------------------------------------------------------------------------


def test_the_newest_finished_run_of_a_job_is_found(experiment, record):
    assert find_finished(experiment, "abc") is None
    record("FAILED", **{JOB_TAG: "abc"})
    record("KILLED", **{JOB_TAG: "abc"})
    record(**{JOB_TAG: "abc"})
    assert find_finished(experiment, "abc") is None
    runs = [record("FINISHED", **{JOB_TAG: fingerprint}) for fingerprint in ("abc", "abc", "d")]
    record("FAILED", **{JOB_TAG: "abc"})
    assert find_finished(experiment, "abc").run_id == runs[1]
    assert find_finished(experiment, "d").run_id == runs[2]
    assert find_finished("0", "abc") is None
