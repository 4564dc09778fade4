import json
import shutil

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from slarisk.config import Tracking, TrainConfig
from slarisk.errors import InputError, Refused
from slarisk.tracking import registry
from slarisk.tracking.registry import (
    fetch_bundle,
    fetch_config,
    find_best_run,
    find_champion,
    find_run,
    register_champion,
    require_champion,
    roll_back,
    run_model_uri,
)
from slarisk.tracking.store import open_store, tracked_run

NAME = "sla-breach-risk"
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


def best(record):
    return find_best_run(record.experiment, "objective").run_id


def test_the_best_run_has_the_lowest_objective(record):
    runs = [record(3.0), record(1.0), record(2.0)]
    assert best(record) == runs[1]


def test_only_finished_runs_compete(record):
    sound = record(3.0)
    record(1.0, status="FAILED")
    record(1.0, status="KILLED")
    record(1.0, status="RUNNING")
    record(1.0, optimistic="true")
    assert best(record) == sound


@pytest.mark.parametrize("tag", TAGS)
def test_only_runs_on_the_ground_of_the_newest_compete(record, tag):
    record(1.0, **{tag: "other"})
    worse, newest = record(3.0), record(2.0)
    assert best(record) == newest
    assert record(4.0, status="FAILED", **{tag: "third"}) != best(record) != worse


def test_without_a_run_there_is_nothing_to_promote(record):
    record(1.0, status="FAILED")
    with pytest.raises(InputError, match=r"python train\.py"):
        best(record)
    record(1.0)
    with pytest.raises(InputError, match="'roc_auc'"):
        find_best_run(record.experiment, "roc_auc")


def test_a_run_is_looked_up(record):
    run_id = record(1.5)
    found = find_run(run_id)
    assert (found.run_id, found.status, found.metrics) == (run_id, "FINISHED", {"objective": 1.5})
    assert found.fingerprints == ("d", "s", "p")
    with pytest.raises(InputError, match="run_id=nope"):
        find_run("nope")


def test_a_store_that_fails_does_not_pass_for_an_empty_one(place, monkeypatch):
    assert find_champion(NAME) is None
    with pytest.raises(InputError, match=r"python promote\.py"):
        require_champion(NAME)

    class Unreachable:
        def get_model_version_by_alias(self, *_):
            raise MlflowException("database is locked")

    monkeypatch.setattr(registry, "_client", Unreachable)
    with pytest.raises(MlflowException, match="locked"):
        find_champion(NAME)


@pytest.fixture
def bundle_of(judged, report, place):
    """Logs a model and registers it, as the champion after the one before."""
    from slarisk.tracking.report import report_start
    from slarisk.tracking.send import send
    from slarisk.tracking.source import Source

    open_store(Tracking(name="local"))
    with tracked_run("run", {}) as run_id:
        send(report_start(judged.config, Source("abc", "")))
        send(report(judged))
    return run_id


def register(run_id):
    return register_champion(NAME, run_id, {"objective": "1"}, "A card.", find_champion(NAME))


def aliases():
    found = MlflowClient().get_registered_model(NAME).aliases
    return {alias: str(number) for alias, number in found.items()}


def test_promotion_moves_both_aliases_and_keeps_the_evidence(bundle_of):
    assert register(bundle_of).number == "1"
    assert aliases() == {"champion": "1"}
    second = register(bundle_of)
    assert aliases() == {"champion": "2", "previous": "1"}
    version = MlflowClient().get_model_version(NAME, "2")
    assert version.description == "A card."
    assert version.tags == {"objective": "1", "replaced_version": "1"}
    assert version.run_id == bundle_of
    assert second == require_champion(NAME)
    assert mlflow.pyfunc.load_model(f"models:/{NAME}@champion")


def test_rolling_back_goes_down_to_the_first_champion_and_no_further(bundle_of):
    for _ in range(3):
        register(bundle_of)
    seen = []
    for _ in range(2):
        old, restored = roll_back(NAME)
        seen.append((old.number, restored.number, aliases()))
    assert seen == [
        ("3", "2", {"champion": "2", "previous": "1"}),
        ("2", "1", {"champion": "1"}),
    ]
    with pytest.raises(Refused, match="version 1 is the first"):
        roll_back(NAME)
    assert register(bundle_of).tags["replaced_version"] == "1"  # version 4
    assert roll_back(NAME)[1].number == "1"


def test_rolling_back_needs_a_version_to_go_back_to(bundle_of):
    with pytest.raises(Refused, match="no champion"):
        roll_back(NAME)
    for _ in range(2):
        register(bundle_of)
    MlflowClient().delete_registered_model_alias(NAME, "previous")
    MlflowClient().delete_model_version(NAME, "1")
    with pytest.raises(Refused, match="version 1, which version 2 replaced"):
        roll_back(NAME)
    assert find_champion(NAME).number == "2"


def test_the_config_of_a_run_comes_back(bundle_of, judged):
    found = fetch_config(bundle_of)
    assert isinstance(found, TrainConfig)
    assert found == judged.config


def test_the_config_of_another_version_is_told(bundle_of):
    for text in ("a: [1", "unknown_key: 1\n", "split: {test_size: big}\n"):
        with mlflow.start_run(bundle_of):
            mlflow.log_text(text, "config.yaml")
        with pytest.raises(InputError, match=rf"config.yaml of run {bundle_of}"):
            fetch_config(bundle_of)


def test_a_run_without_a_config_is_told(record):
    run_id = record(1.0)
    with pytest.raises(InputError, match="cannot be fetched"):
        fetch_config(run_id)
    with pytest.raises(InputError, match="cannot be fetched"):
        fetch_bundle(run_model_uri(run_id))


def test_a_damaged_model_is_told(bundle_of, place):
    (folder,) = place.glob("mlruns/*/models/*/artifacts/data/bundle")
    manifest = json.loads((folder / "bundle.json").read_text())
    for name, content in (
        ("pipeline.skops", b"not what it was"),
        ("seen.parquet", b"not what it was"),
        ("bundle.json", b"not what it was"),
        ("bundle.json", json.dumps(manifest | {"format": 99}).encode()),
        ("bundle.json", json.dumps({"format": manifest["format"]}).encode()),
    ):
        sound = (folder / name).read_bytes()
        (folder / name).write_bytes(content)
        with pytest.raises(InputError, match=f"runs:/{bundle_of}/model cannot be loaded"):
            fetch_bundle(run_model_uri(bundle_of))
        (folder / name).write_bytes(sound)
    assert fetch_bundle(run_model_uri(bundle_of))
    shutil.rmtree(folder)
    with pytest.raises(InputError, match=f"runs:/{bundle_of}/model cannot be loaded"):
        fetch_bundle(run_model_uri(bundle_of))


def test_a_model_is_fetched_whole(bundle_of, judged):
    fetched = fetch_bundle(run_model_uri(bundle_of))
    assert fetched.manifest == judged.bundle.manifest
    assert fetched.seen["identity"].tolist() == judged.bundle.seen["identity"].tolist()
