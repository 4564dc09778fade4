"""Runs and their configs, fetched from MLflow."""

import pytest
from mlflow import MlflowClient

from slarisk.config import Tracking, TrainConfig
from slarisk.errors import InputError
from slarisk.tracking import runs as tracking_runs
from slarisk.tracking.runs import fetch_config, find_run, list_finished_runs
from slarisk.tracking.store import open_store

TAGS = {"data_fingerprint": "d", "split_fingerprint": "s", "policy_fingerprint": "p"}


@pytest.fixture
def record(place):
    """Records a run with an objective, as the newest."""
    experiment = open_store(Tracking(name="local"))
    ticks = iter(range(1_700_000_000_000, 1_800_000_000_000, 1000))

    def record_run(objective, status="FINISHED", **tags):
        run = MlflowClient().create_run(experiment, start_time=next(ticks), tags=TAGS | tags)
        MlflowClient().log_metric(run.info.run_id, "objective", objective)
        if status != "RUNNING":
            MlflowClient().set_terminated(run.info.run_id, status)
        return run.info.run_id

    record_run.experiment = experiment
    return record_run


def test_all_finished_runs_are_listed_the_newest_first(record, monkeypatch):
    """However many pages of them there are."""
    monkeypatch.setattr(tracking_runs, "_PAGE", 2)
    runs = [record(float(number)) for number in range(5)]
    record(0.0, status="FAILED")
    record(0.0, status="RUNNING")
    found = list_finished_runs(record.experiment)
    assert [run.run_id for run in found] == runs[::-1]


def test_a_run_is_looked_up(record):
    run_id = record(1.5)
    found = find_run(run_id)
    assert (found.run_id, found.status, found.metrics) == (run_id, "FINISHED", {"objective": 1.5})
    assert found.fingerprints == ("d", "s", "p")
    with pytest.raises(InputError, match="run_id=nope"):
        find_run("nope")


def test_the_config_of_a_run_comes_back(logged_run, judged):
    found = fetch_config(logged_run)
    assert isinstance(found, TrainConfig)
    assert found == judged.config


def test_the_config_of_another_version_is_told(logged_run, place):
    (config,) = place.glob("mlruns/*/*/artifacts/config.yaml")
    for text in ("a: [1", "unknown_key: 1\n", "split: {test_size: big}\n"):
        config.write_text(text)
        with pytest.raises(InputError, match=rf"config.yaml of run {logged_run}"):
            fetch_config(logged_run)


def test_a_run_without_a_config_is_told(record):
    run_id = record(1.0)
    with pytest.raises(InputError, match=rf"config\.yaml of run {run_id}"):
        fetch_config(run_id)
