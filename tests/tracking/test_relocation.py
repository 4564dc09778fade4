import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient

from slarisk.config import Tracking
from slarisk.tracking.relocation import follow_move
from slarisk.tracking.store import open_store

NAME = "sla-breach-risk"


def paths(folder):
    """Every artifact path of the store."""
    with closing(sqlite3.connect(folder / "mlflow.db")) as store:
        return [
            path
            for query in (
                "SELECT artifact_location FROM experiments WHERE experiment_id = 1",
                "SELECT artifact_uri FROM runs",
                "SELECT artifact_location FROM logged_models",
                "SELECT storage_location FROM model_versions",
            )
            for (path,) in store.execute(query)
        ]


@pytest.fixture
def promoted(trained, run):
    assert run("promote", "bootstrap_draws=200", "fewest_tickets=100").code == 0
    return trained


def here(folder):
    return [path.startswith(f"{folder}/mlruns/") for path in paths(folder)]


def go(folder, monkeypatch):
    monkeypatch.chdir(folder)
    mlflow.set_tracking_uri(f"sqlite:///{folder / 'mlflow.db'}")


@pytest.mark.slow
def test_a_moved_store_scores_trains_and_promotes(
    promoted, run, train_on, tmp_path_factory, monkeypatch
):
    moved = tmp_path_factory.mktemp("elsewhere") / "moved"
    shutil.move(promoted, moved)
    go(moved, monkeypatch)
    assert not any(here(moved))
    assert run("score").code == 0
    assert all(here(moved))
    assert "files are those that were registered" in run("promote", "action=status").out
    train_on("split.test_size=0.3")
    assert all(here(moved))
    assert mlflow.pyfunc.load_model(f"models:/{NAME}@champion")
    promoted.mkdir()  # the fixture leaves from here


@pytest.mark.slow
def test_a_copy_does_not_live_on_its_original(promoted, run, tmp_path_factory, monkeypatch):
    copy = tmp_path_factory.mktemp("elsewhere") / "copy"
    shutil.copytree(promoted, copy)
    location = MlflowClient().get_model_version_download_uri(NAME, "1")
    lost = copy / Path(location).relative_to(promoted) / "data" / "bundle" / "seen.parquet"
    lost.unlink()
    go(copy, monkeypatch)
    ended = run("score")
    assert ended.code == 2
    assert "data/bundle/seen.parquet is missing" in ended.err
    go(promoted, monkeypatch)
    assert all(here(promoted))
    assert run("score").code == 0


def test_what_is_in_its_place_stays_as_it_is(trained, tmp_path_factory):
    before = paths(trained)
    assert not follow_move(trained / "mlflow.db")
    link = tmp_path_factory.mktemp("links") / "link"
    link.symlink_to(trained)
    assert not follow_move(link / "mlflow.db")
    assert paths(trained) == before


def test_artifacts_that_lie_elsewhere_on_purpose_stay_there(place):
    client = MlflowClient()
    client.create_experiment("one", artifact_location="s3://bucket/mlruns/1")
    client.create_experiment("two", artifact_location=str(place / "pictures"))
    client.create_run(client.get_experiment_by_name("two").experiment_id)
    for number in (1, 2):
        (place / "mlruns" / str(number)).mkdir(parents=True)
    assert not follow_move(place / "mlflow.db")


def test_the_artifacts_of_another_store_are_not_taken_for_its_own(place, tmp_path_factory):
    """A database alone, put beside runs that it does not know."""
    experiment = open_store(Tracking(name="local"))
    MlflowClient().create_run(experiment)
    other = tmp_path_factory.mktemp("other")
    shutil.copy(place / "mlflow.db", other / "mlflow.db")
    (other / "mlruns" / experiment / ("0" * 32)).mkdir(parents=True)
    assert not follow_move(other / "mlflow.db")
