"""The Spark engine against the local one: the same rows, to the last digit."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import mlflow
import pandas as pd
import pytest
from mlflow import MlflowClient

pytestmark = pytest.mark.commands

SMALL = ["model.n_estimators=20", "model.n_jobs=1", "evaluation.importance_repeats=0"]
SMALL += ["evaluation.bootstrap_draws=50", "evaluation.threshold_draws=5"]
SCORED_AT = re.compile(rb'"\d{4}-\d\d-\d\dT[\d:]{8}\+00:00"')
RECORD = re.compile(rb'(?:[^"\n]|"(?:[^"]|"")*")*\n')
# Each case is scored by both engines, all of Spark's in one session.
SCRIPT = """
import json, sys
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from slarisk.errors import InputError
from slarisk.command_line import register_schemas
from slarisk.commands.score import score
from slarisk.scoring.spark import rows
rows.PIECE_ROWS = 100
register_schemas()
with initialize_config_dir(sys.argv[1]):
    for name, overrides in json.loads(sys.argv[2]).items():
        for engine in ("local", "spark"):
            output = overrides[0].format(engine=engine)
            print("==", name, engine, flush=True)
            config = compose("score", [output, f"engine={engine}", *overrides[1:]])
            try:
                score(OmegaConf.to_object(config))
            except InputError as error:
                print("error:", error)
"""


def run_both(cases, conf):
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
    assert "Exception" not in done.stderr, "a refusal is one line"
    said = {}
    for block in done.stdout.split("== ")[1:]:
        first, _, rest = block.partition("\n")
        said[tuple(first.split())] = rest.splitlines()
    return said


def read_parts(path, ending):
    """Reads an export of either engine: what each file begins with, and all rows, in one order."""
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    if ending == "parquet":
        frames = [pd.read_parquet(file).drop(columns="Scored_At") for file in files]
        columns = {tuple(frame.dtypes.astype("str").items()) for frame in frames}
        return columns, pd.concat(frames).sort_values("Ticket ID", ignore_index=True)
    records = []
    for file in files:
        text = file.read_bytes()
        records.append(RECORD.findall(text))
        assert b"".join(records[-1]) == text
    heads = {each[0] for each in records}
    rows = sorted(SCORED_AT.sub(b"", row) for each in records for row in each[1:])
    return heads, pd.DataFrame({"row": rows})


def check(name, said, ending="csv"):
    """Both engines wrote the same, to the byte, and said the same; gives the local export."""
    local, spark = (Path(f"out put/{name}-{engine}.{ending}") for engine in ("local", "spark"))
    found, expected = read_parts(spark, ending), read_parts(local, ending)
    assert found[0] == expected[0]
    pd.testing.assert_frame_equal(found[1], expected[1], check_exact=True)
    wrong = [Path(f"{path}.rejected.csv").read_bytes() for path in (local, spark)]
    assert wrong[0] == wrong[1]
    assert said[name, "local"][1:-1] == said[name, "spark"][1:-1]
    # no more than there are processors to do them: each loads the model
    assert len(list(spark.iterdir())) <= os.cpu_count()
    return pd.read_parquet(local) if ending == "parquet" else pd.read_csv(local)


@pytest.fixture
def conf():
    return Path(__file__).parents[3] / "conf"


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
    """An export in three files, with new and repeated ids, wrong rows and quoted newlines."""
    table = pd.read_csv("tickets.csv", dtype="str", keep_default_na=False)
    table["Ticket Subject"] = "line one\nline two, " + table["Ticket Subject"]
    table.loc[300:450, "Ticket ID"] = "N" + table.loc[300:450, "Ticket ID"]
    table.loc[[10, 400, 590], "Ticket ID"] = "twice"
    table.loc[[20, 500], "Created At"] = "soon"
    table.loc[30, "Ticket ID"] = " "
    table.loc[[40, 41, 42], "Product Purchased"] = ['=HYPERLINK("x")', "\x01\\", " #5\u00a0"]
    table.loc[[50, 51], "Customer Age"] = ["old", "1e400"]
    Path(folder).mkdir()
    table.iloc[:300].to_csv(f"{folder}/a.csv", index=False)
    table.iloc[300:].to_csv(f"{folder}/b.csv", index=False)
    table.iloc[:0].to_csv(f"{folder}/c.csv", index=False)
    lines = Path(folder, "b.csv").read_text().splitlines(keepends=True)
    lines[1:1] = ["too,few\n", '"never closed,Phone\n']
    Path(folder, "b.csv").write_text("".join(lines))


def lay_ties(path):
    """Tickets that differ in priority and channel alone, some created at the same time."""
    table = pd.read_csv("tickets.csv", dtype="str", keep_default_na=False)
    table["Customer Age"], table["Product Purchased"] = "40", "Camera"
    table["Ticket Type"] = "Refund request"
    table["Created At"] = [f"2024-03-{1 + n // 200:02} {8 + n % 3:02}:00:00" for n in range(600)]
    table.sample(frac=1, random_state=4).to_csv(path, index=False)


@pytest.mark.slow
def test_both_engines_say_the_same(trained, conf):
    lay_files("in")
    lay_ties("tied.csv")
    typed = pd.read_csv("tickets.csv", parse_dates=["Created At"]).convert_dtypes()
    typed.loc[[3, 400], "Ticket ID"] = typed.loc[200, "Ticket ID"]
    typed.to_parquet("typed.parquet", row_group_size=97)
    Path("empty").mkdir()
    for name in ("a", "b"):
        Path(f"empty/{name}.csv").touch()
    Path("nameless.csv").write_text(Path("tickets.csv").read_text().replace("\nT", "\n,"))
    Path("out put/kept-spark.csv").mkdir(parents=True)
    for name in ("out put/spoilt-spark.csv", "out put/kept-spark.csv/old"):
        Path(name).write_text("an older result")
    run = f"run_id={trained}"
    rationed = ["decision=capacity", "decision.per_day=2"]
    said = run_both(
        {
            "spoilt": ["output='out put/spoilt-{engine}.csv'", "input=in", run],
            "rationed": ["output='out put/rationed-{engine}.parquet'", "input=in", run, *rationed],
            "tied": ["output='out put/tied-{engine}.csv'", "input=tied.csv", run, *rationed],
            "typed": ["output='out put/typed-{engine}.csv'", "input=typed.parquet", run],
            "all_wrong": [
                "output='out put/all_wrong-{engine}.parquet'",
                "input=nameless.csv",
                run,
                "max_rejected=1",
            ],
            "too_much": [
                "output='out put/kept-{engine}.csv'",
                "input=in",
                run,
                "max_rejected=0.01",
            ],
            "broken": ["output='out put/kept-{engine}.csv'", "input=empty", run],
        },
        conf,
    )
    export = check("spoilt", said)
    assert len(export) == 600 - 5
    assert set(export["Score_Origin"]) == {"out_of_fold", "test", "new"}
    rejected = pd.read_csv("out put/spoilt-spark.csv.rejected.csv")
    assert rejected["reason"].value_counts().to_dict() == {
        "duplicate_ticket_id": 2,
        "unreadable_date": 2,
        "no_ticket_id": 1,
        "wrong_number_of_fields": 1,
        "broken_quote": 1,
    }
    assert check("rationed", said, "parquet").groupby("Ticket_Date")["Escalate"].sum().max() == 2
    tied = check("tied", said)
    assert tied.groupby("Ticket_Date")["Escalate"].sum().tolist() == [2, 2, 2]
    assert len(check("typed", said)) == 600 - 2
    assert len(check("all_wrong", said, "parquet")) == 0
    for name, told in (("too_much", "7 of 602 rows"), ("broken", "empty")):
        (line,) = said[name, "spark"]
        assert told in line
        assert line == said[name, "local"][0] or name == "broken"  # which of two, is not said
    assert Path("out put/kept-spark.csv/old").read_text() == "an older result"
    assert not list(Path("out put").glob(".*"))


def spoil_log(source, columns):
    """A part of an event log in two files, in disorder, with events and tickets that are wrong."""
    with zipfile.ZipFile(source) as archive, archive.open(archive.namelist()[0]) as file:
        log = pd.read_csv(file, dtype="str", keep_default_na=False, nrows=3000)
    log = log.sample(frac=1, random_state=3, ignore_index=True)
    order, ticket, created = (columns[name] for name in ("mod_count", "ticket_id", "created_at"))
    log.loc[[10, 11, 1600], order] = "soon"
    log.loc[[20, 21, 1700], ticket] = ""
    log.loc[30:60, created] = "never"
    log[ticket] = log[ticket].mask(log.index % 2 == 0, log[ticket] + " ")
    Path("log").mkdir()
    log.iloc[:1500].to_csv("log/a.csv", index=False)
    log.iloc[1500:].to_csv("log/b.csv", index=False)
    with Path("log/b.csv").open("a") as file:
        file.write("too,few\n")


@pytest.mark.real_data
@pytest.mark.slow
def test_both_engines_say_the_same_of_real_exports(
    tmp_path, migrated_store, run, at_store, real_data, conf, composed
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
            made = f"run_id={ended.out.split()[-1]}"
            cases[data] = [f"output='out put/{data}-{{engine}}.csv'", made]
        spoil_log(real_data(files["servicenow"]), composed("data=servicenow").data.columns)
        cases["log"] = ["output='out put/log-{engine}.csv'", "input=log", made]
        said = run_both(cases, conf)
        assert len(check("kaggle", said)) > 8000
        assert len(check("servicenow", said)) == 24_918
        check("log", said)
    reasons = pd.read_csv("out put/log-spark.csv.rejected.csv")["reason"].value_counts()
    assert reasons["unreadable_event_order"] == 3
    assert reasons["no_ticket_id"] == 3
    assert reasons["wrong_number_of_fields"] == 1
    assert reasons["unreadable_date"] > 0


@pytest.mark.slow
def test_both_engines_look_at_open_tickets_alike(
    tmp_path, migrated_store, run, at_store, desk_log, conf
):
    shutil.copy(migrated_store, tmp_path / "mlflow.db")
    search = f"hydra.searchpath=[file://{desk_log}]"
    with at_store(tmp_path / "mlflow.db"):
        ended = run("train", search, "data=desk", "model=gbm", "moment=open", *SMALL)
        assert ended.code == 0
        made = f"run_id={ended.out.split()[-1]}"
        cases = {
            "then": ["output='out put/then-{engine}.csv'", made, "at='2024-06-05 15:00'"],
            "latest": ["output='out put/latest-{engine}.csv'", made],
        }
        said = run_both(cases, conf)
        states = set(check("then", said)["State"])
        assert "closed" in states
        assert len(states) > 1
        check("latest", said)
        rejected = pd.read_csv("out put/then-spark.csv.rejected.csv")
        assert set(rejected["reason"]) == {"after_the_moment"}


@pytest.mark.slow
def test_both_engines_remember_the_same(
    tmp_path, migrated_store, write_tickets, train_on, at_store, conf
):
    """With the history of the export, and with one that is given; every fifth ticket is open."""
    shutil.copy(migrated_store, tmp_path / "mlflow.db")
    table = pd.read_csv(write_tickets(tmp_path / "tickets.csv"), dtype="str")
    table.loc[table.index % 5 == 2, "Time to Resolution"] = None
    table.to_csv(tmp_path / "tickets.csv", index=False)
    with at_store(tmp_path / "mlflow.db"):
        train_on(
            *["model=gbm", *SMALL, "model.min_child_samples=10"],
            "features.load=[{by: [all, priority], hours: [24, 72]}]",
            "features.rates=[{by: [all, channel]}]",
            "features.past=[{of: [product], days: 20}]",
        )
        (found,) = MlflowClient().search_runs(["1"])
        lay_files("in")
        table.head(400).to_csv("old.csv", index=False)
        table.tail(250).to_csv("new.csv", index=False)
        run = f"run_id={found.info.run_id}"
        cases = {
            "spoilt": ["output='out put/spoilt-{engine}.csv'", "input=in", run],
            "given": [
                "output='out put/given-{engine}.parquet'", "input=new.csv", "history=old.csv", run
            ],
            "stale": ["output='out put/stale-{engine}.csv'", "input=new.csv", "history=in", run],
            "piped": ["output='out put/piped-{engine}.csv'", "input=new.csv", "history='-'", run],
        }  # fmt: skip
        said = run_both(cases, conf)
        whole = check("spoilt", said)
        assert whole["Pred_Breach_Prob"].nunique() > 100
        check("given", said, "parquet")
        check("stale", said)
        assert said["piped", "spark"] == said["piped", "local"]
        assert "history" in [each.path for each in MlflowClient().list_artifacts(found.info.run_id)]
