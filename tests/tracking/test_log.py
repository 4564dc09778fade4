import json
import pickletools
import zipfile
from pathlib import Path

import mlflow
import pandas as pd
import pytest
from matplotlib.figure import Figure
from mlflow import MlflowClient, log_figure
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import BAD_REQUEST

from slarisk.config import Tracking
from slarisk.tracking.items import Dataset, Metrics, Params, Plot, Table, Tags, Text
from slarisk.tracking.log import log_items
from slarisk.tracking.store import open_store, tracked_run


@pytest.fixture
def log(place):
    """Sends items to a run of their own."""
    open_store(Tracking(name="local"))

    def send_items(*items):
        with tracked_run("run", {}) as run_id:
            log_items(items)
        return MlflowClient().get_run(run_id)

    return send_items


def read(run, path):
    return mlflow.artifacts.load_text(f"{run.info.artifact_uri}/{path}")


def test_every_item_finds_its_place(log, monkeypatch):
    monkeypatch.setattr(mlflow, "log_figure", log_figure)  # the real one, which others go without
    run = log(
        Params({"model": "lr"}),
        Metrics({"loss": 2.5}),
        Tags({"optimistic": "false"}),
        Text("config.yaml", "a: 1\n"),
        Table("checks.csv", pd.DataFrame({"code": ["SR001"]})),
        Plot("plots/roc.png", Figure()),
    )
    assert run.data.params == {"model": "lr"}
    assert run.data.metrics == {"loss": 2.5}
    assert run.data.tags["optimistic"] == "false"
    assert read(run, "config.yaml") == "a: 1\n"
    assert read(run, "checks.csv") == "code\nSR001\n"
    plots = MlflowClient().list_artifacts(run.info.run_id, "plots")
    assert [(plot.path, plot.file_size > 1000) for plot in plots] == [("plots/roc.png", True)]


def test_a_data_set_is_logged_without_its_rows(log, place):
    frame = pd.DataFrame({"priority": ["Secret"] * 3, "breach": [True, False, True]})
    run = log(Dataset("sample", "data/t.csv", "0123456789abcdef", frame, "breach", "training"))
    (used,) = run.inputs.dataset_inputs
    assert (used.dataset.name, used.dataset.digest) == ("sample", "0123456789abcdef")
    assert json.loads(used.dataset.source) == {"uri": "data/t.csv"}
    assert json.loads(used.dataset.profile)["num_rows"] == 3
    assert "priority" in used.dataset.schema
    assert b"Secret" not in (place / "mlflow.db").read_bytes()


def test_a_data_set_that_another_worker_has_just_logged_is_logged_for_this_run_too(
    log, monkeypatch
):
    frame = pd.DataFrame({"priority": ["High"], "breach": [True]})
    calls = []

    def lose_the_race(*arguments, **more):
        calls.append(arguments)
        if len(calls) == 1:
            raise MlflowException("UNIQUE constraint failed: datasets.name", BAD_REQUEST)
        return log_input(*arguments, **more)

    log_input = mlflow.log_input
    monkeypatch.setattr(mlflow, "log_input", lose_the_race)
    run = log(Dataset("sample", "data/t.csv", "0123456789abcdef", frame, "breach", "training"))
    assert len(calls) == 2
    assert run.inputs.dataset_inputs[0].dataset.name == "sample"


@pytest.fixture
def logged(log, judged, report):
    return log(*report(judged))


def test_the_model_decides_about_raw_tickets(logged, judged):
    model = mlflow.pyfunc.load_model(f"runs:/{logged.info.run_id}/model")
    example = model.input_example
    raw = pd.concat([example] * 2).assign(**{"Ticket ID": ["a", "b"], "Nobody": "asked"})
    decided = model.predict(raw)
    assert list(decided) == [
        "breach_probability",
        "risk_bucket",
        "escalate",
        "expected_loss_if_left",
        "expected_loss_if_escalated",
        "score_origin",
    ]
    assert len(decided) == 2
    inputs = {column.name: column for column in model.metadata.signature.inputs}
    assert {column.type.name for column in inputs.values()} <= {"string", "double"}
    assert not inputs["Ticket ID"].required
    assert inputs["Ticket Priority"].required


@pytest.mark.slow
def test_a_model_of_another_package_says_so(log, judge_tickets, report):
    pytest.importorskip("empulse", reason="the extra 'empulse' is not installed")
    outsider = judge_tickets(
        "model._target_=empulse.models.CSBoostClassifier",
        "~model.C",
        "~model.max_iter",
        "+model.estimator={_target_: lightgbm.LGBMClassifier, n_estimators: 5, verbosity: -1}",
    )
    folder = f"runs:/{log(*report(outsider)).info.run_id}/model"
    requirements = mlflow.artifacts.load_text(f"{folder}/requirements.txt").split()
    assert [line.split("==")[0] for line in requirements].count("empulse") == 1
    model = mlflow.pyfunc.load_model(folder)
    assert len(model.predict(model.input_example)) == len(model.input_example)


def test_the_model_travels_with_its_code_and_without_a_pickle(logged):
    folder = mlflow.artifacts.download_artifacts(f"runs:/{logged.info.run_id}/model")
    model = mlflow.pyfunc.load_model(folder)
    assert "slarisk.model.pyfunc" in str(model.metadata.flavors["python_function"])
    requirements = mlflow.artifacts.load_text(f"{folder}/requirements.txt").split()
    assert all("==" in line for line in requirements)
    assert {"mlflow", "skops", "lightgbm"} <= {line.split("==")[0] for line in requirements}
    files = {path.name: path for path in _walk(folder)}
    assert {"bundle.json", "pipeline.skops", "seen.parquet", "bundle.py"} <= set(files)
    for path in _walk(folder):
        assert not _is_pickle(path), path
    with zipfile.ZipFile(files["pipeline.skops"]) as archive:
        assert not [name for name in archive.namelist() if name.endswith((".pkl", ".joblib"))]


def _walk(folder):
    return [path for path in Path(folder).rglob("*") if path.is_file()]


def _is_pickle(path):
    content = path.read_bytes()
    if not content.startswith(b"\x80"):
        return False
    try:
        return bool(list(pickletools.genops(content)))
    except ValueError:
        return False
