import random
import shutil
from dataclasses import replace

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from slarisk.config import Tracking, TrainConfig
from slarisk.errors import InputError
from slarisk.registry import models as registry
from slarisk.registry.models import fetch_bundle, fetch_checksums, fetch_run_bundle, read_checksums
from slarisk.registry.versions import Version, find_champion, require_champion
from slarisk.tracking.runs import fetch_config, find_run, list_finished_runs, run_model_uri
from slarisk.tracking.store import open_store

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


def test_all_finished_runs_are_listed_the_newest_first(record, monkeypatch):
    """However many pages of them there are."""
    monkeypatch.setattr(registry, "_PAGE", 2)
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


def test_a_run_without_a_config_or_a_model_is_told(record):
    run_id = record(1.0)
    with pytest.raises(InputError, match="cannot be fetched"):
        fetch_config(run_id)
    with pytest.raises(InputError, match="cannot be fetched"):
        fetch_bundle(run_model_uri(run_id), {})
    with pytest.raises(InputError, match=f"run {run_id}: it logged no model"):
        fetch_run_bundle(find_run(run_id))


def test_a_model_is_fetched_whole(logged_run, judged):
    fetched = fetch_run_bundle(find_run(logged_run))
    assert fetched.manifest == judged.bundle.manifest
    assert fetched.seen["identity"].tolist() == judged.bundle.seen["identity"].tolist()


def test_a_seal_names_every_file_of_the_model(logged_run, place):
    seal = fetch_checksums(find_run(logged_run))
    (folder,) = place.glob("mlruns/*/models/*/artifacts")
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert {*seal} == there - {"registered_model_meta"}  # MLflow's own note
    assert {"MLmodel", "data/bundle/pipeline.skops", "code/slarisk/scoring/model.py"} <= {*seal}


def test_each_file_altered_by_one_byte_is_named(logged_run, place):
    """Also those that only another MLflow client reads: its MLmodel, its code."""
    run = find_run(logged_run)
    seal = fetch_checksums(run)
    (folder,) = place.glob("mlruns/*/models/*/artifacts")
    rng = random.Random(0)
    code = [name for name in seal if name.startswith("code/")]
    for name in [*(name for name in seal if name not in code), *code[::8]]:
        sound = (folder / name).read_bytes()
        altered = bytearray(sound or b" ")
        if sound:
            altered[rng.randrange(len(altered))] ^= 1 << rng.randrange(8)
        (folder / name).write_bytes(altered)
        with pytest.raises(InputError) as refused:
            fetch_bundle(run_model_uri(logged_run), seal)
        assert str(refused.value).endswith(f"is not what was logged: {name} was changed.")
        (folder / name).write_bytes(sound)
    assert fetch_bundle(run_model_uri(logged_run), seal)


def test_a_file_that_is_gone_or_new_is_named(logged_run, place):
    seal = fetch_checksums(find_run(logged_run))
    (folder,) = place.glob("mlruns/*/models/*/artifacts")
    (folder / "code" / "slarisk" / "sitecustomize.py").write_text("print()")
    with pytest.raises(InputError, match=r"code/slarisk/sitecustomize\.py was added\."):
        fetch_bundle(run_model_uri(logged_run), seal)
    shutil.rmtree(folder / "data")
    with pytest.raises(InputError, match=r"data/bundle/seen\.parquet is missing"):
        fetch_bundle(run_model_uri(logged_run), seal)
    shutil.rmtree(folder / "code")
    with pytest.raises(InputError, match=r"MLmodel|and \d+ more\.$"):
        fetch_bundle(run_model_uri(logged_run), seal)


def test_what_python_leaves_beside_code_is_no_damage(logged_run, place):
    (folder,) = place.glob("mlruns/*/models/*/artifacts")
    (folder / "code" / "slarisk" / "__pycache__").mkdir()
    (folder / "code" / "slarisk" / "__pycache__" / "errors.cpython-311.pyc").write_bytes(b"...")
    assert fetch_run_bundle(find_run(logged_run))


def test_a_list_of_files_that_was_replaced_is_told(logged_run, place):
    """Whoever replaces the model and the list of its files cannot replace the tag with them."""
    run = find_run(logged_run)
    (listed,) = place.glob("mlruns/*/*/artifacts/model_files.json")
    sound = listed.read_text()
    for text in (sound.replace("a", "b"), "{}", "[1]", "no JSON"):
        listed.write_text(text)
        with pytest.raises(InputError, match=r"model_files\.json was changed after the run"):
            fetch_checksums(run)
    listed.unlink()
    with pytest.raises(InputError, match=r"model_files\.json cannot be fetched"):
        fetch_checksums(run)
    with pytest.raises(InputError, match="did not write down"):
        fetch_checksums(replace(run, tags={}))


def test_a_version_of_unknown_files_is_not_loaded(logged_run):
    with pytest.raises(InputError, match=r"version 7 .*python promote\.py run_id=abc does"):
        read_checksums(Version("7", "abc", {}))
    assert read_checksums(Version("7", "abc", {"files_sha256": '{"a": "01"}'})) == {"a": "01"}
