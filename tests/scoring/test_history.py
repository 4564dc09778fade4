"""Scoring with context: a ticket and its history give the same score in every way of scoring."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.tracking._tracking_service import utils as tracking

from slarisk.learning.context import NEVER, remember_tickets, take_tickets
from slarisk.model.history import load_history, save_history
from slarisk.model.pyfunc import HISTORY_FILE
from slarisk.scoring.export_reader import read_export
from slarisk.scoring.history import record_export
from slarisk.tickets.prepare import prepare_tickets
from slarisk.tracking.relocation import follow_move

CONTEXT = [
    "features.categorical=[channel]",
    "features.load=[{by: [all, priority], hours: [24, 72]}]",
    "features.rates=[{by: [all, channel], days: [30]}]",
    "features.past=[{of: [product], days: 20}]",
]
SMALL = ["model=gbm", "model.n_estimators=20", "model.n_jobs=1"]
SMALL += ["model.min_child_samples=10", "model.learning_rate=0.3"]
OLD, ALL = 600, 700
PROBABILITY = "Pred_Breach_Prob"


@pytest.fixture(scope="module")
def context_store(tmp_path_factory, migrated_store, write_tickets, train_on, at_store):
    """A model of the first 600 tickets, an export of all 700, and one of the last 100."""
    folder = tmp_path_factory.mktemp("context")
    table = pd.read_csv(write_tickets(folder / "whole.csv", tickets=ALL), dtype="str")
    # every fifth is never resolved: its label is known when its target passes
    table.loc[table.index % 5 == 2, "Time to Resolution"] = None
    table.to_csv(folder / "whole.csv", index=False)
    table.head(OLD).to_csv(folder / "tickets.csv", index=False)
    table.tail(ALL - OLD).to_csv(folder / "new.csv", index=False)
    shutil.copy(migrated_store, folder / "mlflow.db")
    with at_store(folder / "mlflow.db"):
        train_on(*SMALL, *CONTEXT)
        train_on(*SMALL)
    return folder


@pytest.fixture
def runs(context_store, tmp_path, at_store):
    """The runs of the model with context, and of one without, in a copy of the store."""
    # MLflow remembers by its id where the artifacts of a run are, and each test has its own copy
    tracking._artifact_repos_cache.clear()
    shutil.copytree(context_store, tmp_path, dirs_exist_ok=True)
    follow_move(tmp_path / "mlflow.db")
    with at_store(tmp_path / "mlflow.db"):
        without, with_context = MlflowClient().search_runs(
            ["1"], order_by=["attributes.start_time DESC"]
        )
        yield with_context.info.run_id, without.info.run_id


@pytest.fixture
def score(runs, run):
    """Scores with the model with context; gives its export and what the command said."""

    def score_export(name, *overrides):
        ended = run("score", f"run_id={runs[0]}", f"output={name}.parquet", *overrides)
        assert ended.code == 0, ended.err
        return pd.read_parquet(f"{name}.parquet").set_index("Ticket ID"), ended.out

    return score_export


@pytest.fixture
def expected(score):
    """The last 100 tickets, as they are scored in the whole export."""
    whole, _ = score("whole", "input=whole.csv")
    new = whole.loc[pd.read_csv("new.csv")["Ticket ID"]]
    assert set(new["Score_Origin"]) == {"new"}
    assert new[PROBABILITY].nunique() > 20, "the context must tell tickets apart"
    return new


def same(found, expected):
    pd.testing.assert_frame_equal(
        found.drop(columns="Scored_At"), expected.drop(columns="Scored_At"), check_exact=True
    )


def test_a_history_gives_the_scores_of_the_whole_export(score, expected):
    found, _ = score("apart", "input=new.csv", "history=tickets.csv")
    same(found, expected)
    alone, out = score("alone", "input=new.csv")
    assert (alone[PROBABILITY] != expected[PROBABILITY]).any()
    assert "100 tickets from" in out


@pytest.mark.slow
def test_files_of_a_folder_are_one_history(score, expected):
    table = pd.read_csv("tickets.csv", dtype="str")
    Path("log").mkdir()
    for part in range(3):
        table.iloc[part::3].to_csv(f"log/{part}.csv", index=False)
    for history in ("log", "'log/*.csv'"):
        found, _ = score("parts", "input=new.csv", f"history={history}")
        same(found, expected)


def test_what_is_kept_beside_the_model_is_updated_by_each_scoring(score, runs, context_store):
    table = pd.read_csv("new.csv", dtype="str")
    table.head(60).to_csv("first.csv", index=False)
    table.tail(40).to_csv("second.csv", index=False)
    score("first", "input=first.csv", "history=kept")
    kept = load_kept(runs[0])
    assert len(kept) == OLD + 60
    found, _ = score("second", "input=second.csv", "history=kept")
    assert len(load_kept(runs[0])) == ALL
    whole, _ = score("whole", "input=whole.csv")
    same(found, whole.loc[found.index])
    assert len(load_kept(runs[0])) == ALL  # each ticket once


def load_kept(run_id):
    path = mlflow.artifacts.download_artifacts(
        run_id=run_id, artifact_path="history/history.parquet"
    )
    return load_history(Path(path), ["all", "priority"])


def test_a_served_ticket_gets_its_score_of_the_export(score, runs, expected, monkeypatch):
    raw = pd.read_csv("new.csv", dtype="str")
    model = mlflow.pyfunc.load_model(f"runs:/{runs[0]}/model")
    columns = [each for each in model.metadata.signature.inputs.input_names() if each in raw]
    first = model.predict(raw[columns])  # with the history of training
    created = pd.to_datetime(raw["Created At"])
    ends = pd.read_csv("tickets.csv", parse_dates=["Created At", "Time to Resolution"])
    ends = ends[["Created At", "Time to Resolution"]].max().max()
    hours = (created - ends).dt.total_seconds().clip(lower=0) / 3600
    assert first["history_age_hours"].tolist() == hours.tolist()
    assert (first["breach_probability"].to_numpy() != expected[PROBABILITY].to_numpy()).any()

    kept = load_kept(runs[0])
    save_history(take_tickets(kept, np.arange(300)), Path("served.parquet"))
    os.utime("served.parquet", (1, 1))
    monkeypatch.setenv(HISTORY_FILE, "served.parquet")
    model.predict(raw[columns])
    save_history(kept, Path("served.parquet"))  # a newer one is read without a restart
    served = model.predict(raw[columns])
    assert served["breach_probability"].tolist() == expected[PROBABILITY].tolist()
    assert (served["history_age_hours"] == 0).all()
    one = model.predict(raw[columns].iloc[[50]])
    assert one["breach_probability"].item() == expected[PROBABILITY].iloc[50]


@pytest.mark.slow
def test_a_history_that_ends_too_early_is_told_and_counted(score):
    pd.read_csv("tickets.csv", dtype="str").head(300).to_csv("old.csv", index=False)
    score("stale", "input=new.csv", "history=old.csv")
    (newest,) = MlflowClient().search_runs(
        ["2"], order_by=["attributes.start_time DESC"], max_results=1
    )
    assert newest.data.metrics["history_stale"] == 100
    assert newest.data.metrics["history_short"] == 2  # of no label in the 30 days before it
    score("alone", "input=new.csv")
    (newest,) = MlflowClient().search_runs(
        ["2"], order_by=["attributes.start_time DESC"], max_results=1
    )
    assert newest.data.metrics["history_stale"] == 0
    # five hours apart: 15 tickets are created in the first 72 hours
    assert newest.data.metrics["history_short"] == 15


def test_a_model_without_context_has_no_use_for_a_history(runs, run):
    ended = run("score", f"run_id={runs[1]}", "input=new.csv", "history=tickets.csv")
    assert ended.code == 2
    assert run("score", f"run_id={runs[1]}", "input=new.csv", "output=a.csv").code == 0
    assert "history" not in [each.path for each in MlflowClient().list_artifacts(runs[1])]
    model = mlflow.artifacts.download_artifacts(f"runs:/{runs[1]}/model")
    assert not list(Path(model).rglob("history.parquet"))


@pytest.mark.parametrize("history", ["-", "nowhere.csv", "empty.csv"])
def test_a_history_that_cannot_be_read_costs_one_sentence(runs, run, history):
    Path("empty.csv").write_text(Path("new.csv").read_text().partition("\n")[0] + "\n")
    ended = run("score", f"run_id={runs[0]}", "input=new.csv", f"history='{history}'")
    assert ended.code == 2
    assert len(ended.err.strip().splitlines()) == 1
    assert not Path("outputs/risk_scores.csv").exists()


def test_no_text_of_a_ticket_is_in_the_history(runs):
    model = Path(mlflow.artifacts.download_artifacts(f"runs:/{runs[0]}/model"))
    (path,) = model.rglob("history.parquet")
    kinds = set(pd.read_parquet(path).dtypes.astype("str"))
    assert kinds == {"uint64", "int64", "bool"}
    assert path.stat().st_size < 60 * OLD


@pytest.mark.parametrize("spoil", ["cut", "other"])
@pytest.mark.slow
def test_a_damaged_or_foreign_history_is_refused(runs, run, spoil, monkeypatch):
    run("score", f"run_id={runs[0]}", "input=new.csv", "output=a.csv")
    (path,) = Path("mlruns").glob(f"**/{runs[0]}/artifacts/history/history.parquet")
    if spoil == "cut":
        path.write_bytes(path.read_bytes()[:200])
    else:
        pd.DataFrame({"a": [1]}).to_parquet(path)
    ended = run("score", f"run_id={runs[0]}", "input=new.csv", "history=kept", "output=b.csv")
    assert ended.code == 2
    assert not Path("b.csv").exists()
    renewed = run("score", f"run_id={runs[0]}", "input=new.csv", "output=b.csv")
    assert renewed.code == 0
    assert len(load_kept(runs[0])) == ALL


PAUSE = ["sla.pause.begins=first_response_at", "sla.pause.ends=resolved_at"]


@pytest.mark.parametrize(
    "clock",
    [[], ["clock=business_hours", "data.timezone=Europe/Berlin"], ["clock=business_hours", *PAUSE]],
    ids=["always", "business hours", "paused"],
)
def test_training_and_scoring_record_the_same_history(
    composed, export_file, train, tmp_path, clock
):
    """Every fifth ticket is open, and late once its target has passed on the clock."""
    config = composed(f"data.path={export_file}", "features=context", *clock)
    tickets = prepare_tickets(config.data, config.sla, config.cost)
    trained = remember_tickets(tickets, config.features, config.data)
    manifest = replace(
        train().bundle.manifest, data=config.data, sla=config.sla, features=config.features
    )
    bundle = replace(train().bundle, manifest=manifest)
    export = read_export(bundle, None, str(export_file), tmp_path, lambda _: None)
    scored = record_export(manifest, export)
    assert scored.as_of == trained.as_of
    orders = np.argsort(trained.identity), np.argsort(scored.identity)
    for name in ("identity", "created", "ended", "known"):
        assert (getattr(trained, name)[orders[0]] == getattr(scored, name)[orders[1]]).all(), name
    known = trained.known[orders[0]] != NEVER
    assert (trained.breach[orders[0]] == scored.breach[orders[1]])[known].all()
    waits = trained.ended == NEVER
    late = waits & (trained.known != NEVER)
    assert 0 < late.sum() < len(trained)
    for name, hashes in trained.groups.items():
        assert (hashes[orders[0]] == scored.groups[name][orders[1]]).all()
