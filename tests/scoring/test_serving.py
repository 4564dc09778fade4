"""One ticket, one answer: from score.py, from MLflow, over HTTP and in Spark."""

import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
import textwrap
import time
import urllib.error
import urllib.request
from pathlib import Path

import mlflow
import pandas as pd
import pytest
from mlflow import MlflowClient

from slarisk.tracking.relocation import follow_move

pytestmark = pytest.mark.commands

NAME = "sla-breach-risk"
MODELS = {
    "lr": [],
    "rf": ["model.n_estimators=20"],
    "gbm": ["model.n_estimators=60", "model.n_jobs=1", "features=customer"],
}
NUMBERS = {
    "breach_probability": "Pred_Breach_Prob",
    "expected_loss_if_left": "Expected_Loss_If_Left",
    "expected_loss_if_escalated": "Expected_Loss_If_Escalated",
    "escalate": "Escalate",
    "risk_bucket": "Risk_Bucket",
    "score_origin": "Score_Origin",
}


@pytest.fixture(scope="module")
def store(tmp_path_factory, migrated_store, write_tickets, train_on, at_store):
    """A store with a run of each model; see `here`."""
    folder = tmp_path_factory.mktemp("served")
    shutil.copy(migrated_store, folder / "mlflow.db")
    write_tickets(folder / "tickets.csv")
    with at_store(folder / "mlflow.db"):
        for model, small in MODELS.items():
            train_on(f"model={model}", *small)
        runs = MlflowClient().search_runs(["1"], order_by=["attributes.start_time ASC"])
    return folder, dict(zip(MODELS, [each.info.run_id for each in runs], strict=True))


@pytest.fixture
def here(store, tmp_path, at_store):
    """A copy of it to work in, and the runs by their models."""
    folder, runs = store
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    follow_move(tmp_path / "mlflow.db")
    with at_store(tmp_path / "mlflow.db"):
        yield runs


@pytest.fixture
def scored(here, run):
    """What score.py says of the tickets, with columns named as the model names them."""

    def score(run_id):
        assert run("score", f"run_id={run_id}", "output=scores.csv").code == 0
        table = pd.read_csv("scores.csv")
        return table[list(NUMBERS.values())].set_axis(list(NUMBERS), axis="columns")

    return score


def raw_tickets(model_uri):
    schema = mlflow.pyfunc.load_model(model_uri).metadata.get_input_schema()
    raw = pd.read_csv("tickets.csv", dtype=str)[schema.input_names()]
    if "Customer Age" in raw:
        raw["Customer Age"] = raw["Customer Age"].astype(float)
    return raw


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
def test_mlflow_says_what_score_says(here, scored, model):
    uri = f"runs:/{here[model]}/model"
    said = mlflow.pyfunc.load_model(uri).predict(raw_tickets(uri))
    pd.testing.assert_frame_equal(said[list(NUMBERS)], scored(here[model]), check_exact=True)


# What a data engineer does who has Spark, and not this checkout.
SPARK = """
import json, sys, warnings
warnings.filterwarnings("ignore", message="PySpark does not yet fully support pandas")
import mlflow
from pyspark.sql import SparkSession
from pyspark.sql.functions import col, struct

session = SparkSession.builder.master("local[2]")
for key, value in {
    "spark.ui.enabled": "false", "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1", "spark.sql.shuffle.partitions": "2",
}.items():
    session = session.config(key, value)
spark = session.getOrCreate()
mlflow.set_tracking_uri(sys.argv[1])
raw = spark.read.csv("tickets.csv", header=True)
raw = raw.withColumn("Customer Age", col("Customer Age").cast("double"))
answers = {}
for model, uri in json.loads(sys.argv[2]).items():
    decide = mlflow.pyfunc.spark_udf(spark, uri, env_manager="local")
    names = mlflow.models.get_model_info(uri).signature.inputs.input_names()
    said = raw.select("Ticket ID", decide(struct(*[col(f"`{name}`") for name in names])).alias("d"))
    answers[model] = [row.asDict() for row in said.select("Ticket ID", "d.*").collect()]
print(json.dumps(answers))
"""


@pytest.mark.slow
def test_spark_says_what_score_says(here, scored, tmp_path):
    for needed, there in (
        ("pyspark", importlib.util.find_spec("pyspark")),
        ("Java", shutil.which("java")),
    ):
        if not there:
            pytest.skip(f"{needed} is not installed: make spark, and a Java runtime of 17 or newer")
    uris = {model: f"runs:/{run_id}/model" for model, run_id in here.items()}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SPARK), mlflow.get_tracking_uri(), json.dumps(uris)],
        env=os.environ | {"PYSPARK_PYTHON": sys.executable},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    answers = json.loads(done.stdout.splitlines()[-1])
    for model, rows in answers.items():
        said = pd.DataFrame(rows).sort_values("Ticket ID", ignore_index=True)
        pd.testing.assert_frame_equal(said[list(NUMBERS)], scored(here[model]), check_exact=True)


# HTTP -------------------------------------------------------------------------------------------


@pytest.fixture
def ask(here, run, tmp_path):
    """Asks `mlflow models serve`, as `make serve` starts it: gives the status and the answer."""
    few = ("bootstrap_draws=200", "fewest_tickets=100")
    assert run("promote", *few, f"run_id={here['gbm']}").code == 0
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    bin_folder = str(Path(sys.executable).parent)
    with (tmp_path / "server.log").open("w") as log:
        server = subprocess.Popen(
            [
                *(sys.executable, "-m", "mlflow", "models", "serve", "--port", str(port)),
                *("--model-uri", f"models:/{NAME}@champion", "--env-manager", "local"),
            ],
            cwd=tmp_path,
            env=os.environ
            | {
                "MLFLOW_TRACKING_URI": mlflow.get_tracking_uri(),
                "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}",
            },
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def post(content):
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/invocations",
            json.dumps(content).encode(),
            {"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, json.load(answer)["predictions"]
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)["message"]

    deadline = time.monotonic() + 120
    try:
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/ping", timeout=5).close()
                break
            except OSError:
                if time.monotonic() > deadline or server.poll() is not None:
                    raise AssertionError((tmp_path / "server.log").read_text()) from None
                time.sleep(0.2)
        yield post
    finally:
        os.killpg(server.pid, 15)
        server.wait(timeout=60)


@pytest.mark.slow
def test_the_served_champion_decides_about_raw_tickets(ask, here, scored):
    expected = scored(here["gbm"])
    raw = raw_tickets(f"models:/{NAME}@champion")
    split = json.loads(raw.to_json(orient="split", index=False))
    status, said = ask({"dataframe_split": split})
    assert status == 200
    pd.testing.assert_frame_equal(pd.DataFrame(said), expected[list(said[0])], check_exact=True)

    records = json.loads(raw.head(5).to_json(orient="records"))
    assert ask({"dataframe_records": records}) == (200, said[:5])

    one = records[0]
    for column in one:
        rest = {key: value for key, value in one.items() if key != column}
        status, told = ask({"dataframe_records": [rest]})
        if column == "Ticket ID":  # without it a ticket is a new one
            assert (status, told[0]["score_origin"]) == (200, "new")
        else:
            assert status == 400
            assert f"Model is missing inputs ['{column}']" in told

    odd = {"Ticket Channel": "Pigeon", "Product Purchased": "Time Machine"}
    blank = dict.fromkeys(one)
    for ticket in (one | odd, blank, one | {"Customer Age": None, "Ticket Type": None}):
        status, (answer,) = ask({"dataframe_records": [ticket]})
        assert status == 200
        assert 0 <= answer["breach_probability"] <= 1
        assert answer["expected_loss_if_left"] >= 0
        assert isinstance(answer["escalate"], bool)
    assert ask({"dataframe_records": [one | {"Weather": "sunny", "Floor": 3}]}) == (200, said[:1])
    assert ask({"dataframe_records": [one | {"Customer Age": int(one["Customer Age"])}]}) == (
        200,
        said[:1],
    )
    assert ask({"tickets": records})[0] == 400
