"""The Spark engine against the local one: the same rows, to the last digit."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import mlflow
import pandas as pd
import pytest
from mlflow import MlflowClient

from slarisk.errors import InputError
from slarisk.scoring.spark.session import open_session

pytestmark = pytest.mark.commands

SMALL = ["model.n_estimators=20", "model.n_jobs=1", "evaluation.importance_repeats=0"]
# Each case is scored by both engines, all of Spark's in one session.
SCRIPT = """
import json, sys
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from slarisk.jobs.command import register_schemas
from slarisk.jobs.score import score
register_schemas()
with initialize_config_dir(sys.argv[1]):
    for name, overrides in json.loads(sys.argv[2]).items():
        for engine in ("local", "spark"):
            output = overrides[0].format(engine=engine)
            print("==", name, engine, flush=True)
            config = compose("score", [output, f"engine={engine}", *overrides[1:]])
            score(OmegaConf.to_object(config))
"""


def compare(cases, conf):
    """Scores every case by both engines; gives what the command said."""
    for needed, there in (
        ("pyspark", importlib.util.find_spec("pyspark")),
        ("Java", shutil.which("java")),
    ):
        if not there:
            pytest.skip(f"{needed} is not installed: make spark, and a Java runtime of 17 or newer")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(conf), json.dumps(cases)],
        env=os.environ | {"MLFLOW_TRACKING_URI": mlflow.get_tracking_uri()},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    said = {}
    for block in done.stdout.split("== ")[1:]:
        first, _, rest = block.partition("\n")
        said[tuple(first.split())] = rest.splitlines()
    return said


def read(path):
    """Reads an export, of either engine, in an order that both can have."""
    text = {"Ticket ID": "str", "Model_Version": "str"}
    files = sorted(path.glob("part-*")) if path.is_dir() else [path]
    if path.suffix == ".parquet":
        frames = [pd.read_parquet(each) for each in files]
    else:
        frames = [pd.read_csv(each, dtype=text) for each in files]
    whole = pd.concat(frames).drop(columns="Scored_At")
    return whole.sort_values("Ticket ID", ignore_index=True).convert_dtypes()


def check(name, said, ending="csv"):
    local, spark = (Path(f"{name}-{engine}.{ending}") for engine in ("local", "spark"))
    pd.testing.assert_frame_equal(read(spark), read(local), check_exact=True)
    wrong = [Path(f"{path}.rejected.csv").read_text() for path in (local, spark)]
    assert wrong[0] == wrong[1]
    for line, other in zip(said[name, "local"][1:-1], said[name, "spark"][1:-1], strict=True):
        assert line == other
    return read(local)


@pytest.fixture
def conf():
    return Path(__file__).parents[2] / "conf"


@pytest.fixture
def trained(tmp_path, migrated_store, write_tickets, train_on, at_store):
    """A folder with a run of a small model on made-up tickets; gives its id."""
    shutil.copy(migrated_store, tmp_path / "mlflow.db")
    write_tickets(tmp_path / "tickets.csv")
    with at_store(tmp_path / "mlflow.db"):
        train_on("model=gbm", "features=customer", *SMALL)
        (run,) = MlflowClient().search_runs(["1"])
        yield run.info.run_id


def lay_files(folder):
    """An export in two files, with repeated ids, wrong rows and quoted newlines."""
    table = pd.read_csv("tickets.csv", dtype="str", keep_default_na=False)
    table["Ticket Subject"] = "line one\nline two, " + table["Ticket Subject"]
    table.loc[[10, 400, 590], "Ticket ID"] = "twice"
    table.loc[[20, 500], "Created At"] = "soon"
    table.loc[30, "Ticket ID"] = " "
    table.loc[40, "Ticket Channel"] = '=HYPERLINK("x")'
    table.loc[[50, 51], "Customer Age"] = ["old", "1e400"]
    Path(folder).mkdir()
    table.iloc[:300].to_csv(f"{folder}/a.csv", index=False)
    table.iloc[300:].to_csv(f"{folder}/b.csv", index=False)
    lines = Path(folder, "b.csv").read_text().splitlines(keepends=True)
    lines[1:1] = ["too,few\n", '"never closed,Phone\n']
    Path(folder, "b.csv").write_text("".join(lines))


def test_both_engines_say_the_same(trained, conf):
    lay_files("in")
    typed = pd.read_csv("tickets.csv", parse_dates=["Created At"]).convert_dtypes()
    typed.to_parquet("typed.parquet", row_group_size=97)
    Path("spoilt-spark.csv").write_text("an older result, a file")
    run = f"run_id={trained}"
    said = compare(
        {
            "spoilt": ["output=spoilt-{engine}.csv", "input=in", run],
            "rationed": [
                "output=rationed-{engine}.parquet",
                "input=in",
                run,
                "decision=capacity",
                "decision.per_day=2",
            ],
            "typed": ["output=typed-{engine}.csv", "input=typed.parquet", run],
        },
        conf,
    )
    export = check("spoilt", said)
    assert len(export) == 600 - 5
    rejected = pd.read_csv("spoilt-spark.csv.rejected.csv")
    assert rejected["reason"].value_counts().to_dict() == {
        "duplicate_ticket_id": 2,
        "unreadable_date": 2,
        "no_ticket_id": 1,
        "wrong_number_of_fields": 1,
        "broken_quote": 1,
    }
    assert check("rationed", said, "parquet").groupby("Ticket_Date")["Escalate"].sum().max() == 2
    assert set(check("typed", said)["Score_Origin"]) == {"out_of_fold", "test", "new"}
    assert not list(Path().glob(".*spool*"))


@pytest.mark.real_data
def test_both_engines_say_the_same_of_real_exports(
    tmp_path, migrated_store, run, at_store, real_data, conf
):
    shutil.copy(migrated_store, tmp_path / "mlflow.db")
    os.chdir(tmp_path)
    files = {"kaggle": "customer_support_tickets.csv", "servicenow": "incident_event_log.zip"}
    cases = {}
    with at_store(tmp_path / "mlflow.db"):
        for data, file in files.items():
            ended = run(
                "train", "model=gbm", f"data={data}", f"data.path={real_data(file)}", *SMALL
            )
            assert ended.code == 0
            made = ended.out.split()[-1]
            cases[data] = [f"output={data}-{{engine}}.csv", f"run_id={made}"]
        said = compare(cases, conf)
        assert len(check("kaggle", said)) > 8000
        assert len(check("servicenow", said)) == 24_918


def test_without_spark_there_is_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyspark", None)
    with pytest.raises(InputError, match=r"needs pyspark and a Java runtime.*make spark"):
        open_session()


def test_without_java_there_is_one_line(monkeypatch):
    pytest.importorskip("pyspark")
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(InputError, match="There is no java here"):
        open_session()
