"""Exports of open tickets: the same by every way in, and consistent from one moment to the next."""

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient

from slarisk.datasets.sample import generate_tickets

QUICK = ["evaluation.bootstrap_draws=50", "evaluation.threshold_draws=20"]
TARGETS = {"Critical": 4, "High": 8, "Medium": 24, "Low": 72}


def find_busy_moment(opened, solved, priority):
    """Find a moment at which most tickets are open, both in time and past their target."""
    opened, solved = (
        pd.to_datetime(opened),
        pd.to_datetime(solved).fillna(pd.Timestamp("2100-01-01")),
    )
    due = opened + pd.to_timedelta(priority.map(TARGETS), unit="h")
    moments = sorted(set(opened))[len(opened) // 2 :]
    still = [(opened <= at) & (solved > at) for at in moments]
    pairs = zip(moments, still, strict=True)
    counts = [min((each & (due > at)).sum(), (each & (due <= at)).sum()) for at, each in pairs]
    return str(moments[int(np.argmax(counts))])


@pytest.fixture(scope="module")
def at(desk_log):
    first = read_log(desk_log).drop_duplicates("number")
    return find_busy_moment(first["opened"], first["solved"], first["prio"])


@pytest.fixture(scope="module")
def table_at(models):
    table = pd.read_csv("tickets.csv")
    names = ("Created At", "Time to Resolution", "Ticket Priority")
    return find_busy_moment(*(table[name] for name in names))


@pytest.fixture(scope="module")
def store(tmp_path_factory, migrated_store, at_store, desk_log):
    """A folder with a store, and two models of open tickets: of a log, and of a table."""
    import shutil

    folder = tmp_path_factory.mktemp("open")
    shutil.copy(migrated_store, folder / "mlflow.db")
    return folder


@pytest.fixture(scope="module")
def models(store, at_store, desk_log):
    """Gives the run ids of the two models; works in the folder of the store."""
    from slarisk.command_line import register_schemas

    register_schemas()
    with at_store(store / "mlflow.db"):
        generate_tickets(2_000, seed=4).tickets.to_csv(store / "tickets.csv", index=False)
        search = f"hydra.searchpath=[file://{desk_log}]"
        yield {
            "log": _train(search, "data=desk", "cost=fading"),
            "table": _train("data.path=tickets.csv", "data.truth=null", "cost=charged"),
        }


def _train(*overrides):
    import runpy
    import sys
    from pathlib import Path
    from unittest.mock import patch

    root = Path(__file__).resolve().parents[2]
    arguments = [
        "train.py",
        "model=gbm",
        "model.n_estimators=20",
        "moment=open",
        *QUICK,
        *overrides,
    ]
    with patch.object(sys, "argv", arguments), pytest.raises(SystemExit) as ended:
        runpy.run_path(str(root / "train.py"), run_name="__main__")
    assert ended.value.code == 0
    return MlflowClient().search_runs(["1"], order_by=["attributes.start_time DESC"])[0].info.run_id


@pytest.fixture
def score(run):
    """Scores, and gives the export by ticket id, with the code of the command."""

    def go(model, *overrides):
        ended = run("score", f"run_id={model}", "output=scored.csv", *overrides)
        assert ended.code == 0, ended.err
        return pd.read_csv("scored.csv", dtype={"Ticket ID": "str"}).set_index("Ticket ID")

    return go


def read_log(desk_log):
    return pd.read_csv(desk_log / "events.csv", dtype="str")


def test_states_are_those_at_the_moment(models, score, at, desk_log):
    log = read_log(desk_log)
    export = score(models["log"], f'at="{at}"')
    first = log.drop_duplicates("number").set_index("number")
    there = first[first["opened"] <= at]
    assert sorted(export.index) == sorted(there.index)
    ended = there["solved"].notna() & (there["solved"] <= at)
    assert export["State"].eq("closed").equals(ended[export.index])
    age = (pd.Timestamp(at) - pd.to_datetime(there["opened"])).dt.total_seconds() / 3600
    targets = there["prio"].map(TARGETS)
    late = export.index[export["State"] == "past_target"]
    still = export.index[export["State"] == "open"]
    assert len(late)
    assert len(still)
    assert (age[late] >= targets[late]).all()
    assert (age[still] < targets[still]).all()
    opened = [*late, *still]
    np.testing.assert_allclose(export.loc[opened, "Age_Hours"], age[opened])
    left = (targets - age)[opened]
    np.testing.assert_allclose(export.loc[opened, "Hours_Left"], left, atol=1e-9)
    # what has come later, nobody knows
    outcomes = ["Resolution_Hours", "Is_SLA_Breach", "Breach_Cost"]
    assert export.loc[opened, outcomes].isna().all(axis=None)
    assert export.loc[export["State"] == "closed", "Resolution_Hours"].notna().all()
    # a ticket past its target has breached, and acting on it averts nothing
    assert (export.loc[late, "Pred_Breach_Prob"] == 1).all()
    assert not export.loc[late, "Escalate"].any()
    assert not export.loc[export["State"] == "closed", "Escalate"].any()
    assert export.loc[late, "Escalate_At"].isna().all()


def test_what_comes_later_changes_nothing(models, score, at, desk_log, tmp_path):
    log = read_log(desk_log)
    export = score(models["log"], f'at="{at}"').drop(columns="Scored_At")
    later = log["updated"] > at
    log.loc[later, ["state", "team", "prio"]] = ["Spoilt", "Nobody", "Low"]
    log.to_csv(tmp_path / "spoilt.csv", index=False)
    again = score(models["log"], f'at="{at}"', f"input={tmp_path / 'spoilt.csv'}")
    pd.testing.assert_frame_equal(again.drop(columns="Scored_At"), export)
    # and nothing is lost if it is not there at all
    log[~later].to_csv(tmp_path / "cut.csv", index=False)
    cut = score(models["log"], f'at="{at}"', f"input={tmp_path / 'cut.csv'}")
    pd.testing.assert_frame_equal(cut.drop(columns="Scored_At"), export)


def test_a_served_model_answers_as_the_export_does(models, score, at, desk_log):
    log = read_log(desk_log)
    export = score(models["log"], f'at="{at}"')
    export = export[export["State"] != "closed"]
    model = mlflow.pyfunc.load_model(f"runs:/{models['log']}/model")
    rows = log[log["number"].isin(export.index) & (log["updated"] <= at)].assign(as_of=at)
    wanted = model.metadata.signature.inputs.input_names()
    said = model.predict(rows[[name for name in wanted if name in rows]])
    said = said.set_axis(rows["number"].to_numpy())
    said = said[~said.index.duplicated(keep="last")].loc[export.index]
    for name, column in {
        "breach_probability": "Pred_Breach_Prob",
        "expected_loss_if_left": "Expected_Loss_If_Left",
        "expected_loss_if_escalated": "Expected_Loss_If_Escalated",
        "escalate": "Escalate",
        "score_origin": "Score_Origin",
    }.items():
        assert said[name].tolist() == export[column].tolist()
    planned, exported = (
        each.astype("object").fillna("").tolist()
        for each in (said["escalate_at"], export["Escalate_At"])
    )
    assert planned == exported

    # each event is answered as of its own moment, whatever comes after it
    one = log[log["number"] == export.index[0]].drop(columns="as_of", errors="ignore")
    one = one[[name for name in wanted if name in one]]
    whole = model.predict(one)
    for count in range(1, len(one) + 1):
        part = model.predict(one.head(count))
        assert part["breach_probability"].tolist() == (
            whole["breach_probability"].head(count).tolist()
        )


def test_a_ticket_of_a_table_is_answered_as_of_a_moment(models, score, table_at):
    table = pd.read_csv("tickets.csv", dtype="str").set_index("Ticket ID", drop=False)
    export = score(models["table"], f'at="{table_at}"')
    export = export[export["State"] != "closed"]
    assert len(export) > 1
    model = mlflow.pyfunc.load_model(f"runs:/{models['table']}/model")
    wanted = model.metadata.signature.inputs.input_names()
    rows = table.loc[export.index].assign(as_of=table_at)
    rows["Customer Age"] = rows["Customer Age"].astype(float)
    said = model.predict(rows[[name for name in wanted if name in rows]])
    assert said["breach_probability"].tolist() == export["Pred_Breach_Prob"].tolist()
    assert said["escalate"].tolist() == export["Escalate"].tolist()
    # without a moment it has just been created
    fresh = model.predict(rows[[name for name in wanted if name in rows and name != "as_of"]])
    assert fresh["breach_probability"].lt(1).all()


def test_who_waits_is_escalated_when_it_was_said(models, score):
    """Nothing happens to tickets of the table but that time passes, and they stay open."""
    table = pd.read_csv("tickets.csv", dtype="str")
    at = pd.to_datetime(table["Created At"]).max()
    table["Time to Resolution"] = pd.NA
    table["Created At"] = (at - pd.to_timedelta(np.arange(len(table)) % 60, unit="min")).astype(str)
    table["Ticket ID"] = "new " + table["Ticket ID"]
    table.to_csv("waits.csv", index=False)
    export = score(models["table"], f'at="{at}"', "input=waits.csv")
    waiting = export[export["Escalate_At"].notna() & ~export["Escalate"]]
    assert len(waiting)
    moments = waiting["Escalate_At"].value_counts()
    for moment in moments.index[:3]:
        due = waiting.index[waiting["Escalate_At"] == moment]
        then = score(models["table"], f'at="{moment}"', "input=waits.csv").loc[due]
        assert (then["State"] == "open").all()
        assert then["Escalate"].all()
        just = pd.Timestamp(moment) - pd.Timedelta(seconds=2)
        if just > at:
            before = score(models["table"], f'at="{just}"', "input=waits.csv").loc[due]
            assert not before["Escalate"].any()


def test_without_a_moment_it_is_that_of_the_export(models, score, desk_log):
    log = read_log(desk_log)
    latest = max(log["updated"].max(), log["solved"].max())
    export = score(models["log"]).drop(columns="Scored_At")
    given = score(models["log"], f'at="{latest}"').drop(columns="Scored_At")
    pd.testing.assert_frame_equal(export, given)


def test_now_is_a_moment_and_tomorrow_is_not(models, run):
    ended = run("score", f"run_id={models['table']}", "output=now.csv", "at=now")
    assert ended.code == 0
    assert "now" not in pd.read_csv("now.csv")["State"].tolist()
    ended = run("score", f"run_id={models['table']}", "output=never.csv", "at=soon")
    assert ended.code == 2
    assert "at=soon" in ended.err


def test_a_moment_in_a_request_is_a_date(models):
    model = mlflow.pyfunc.load_model(f"runs:/{models['table']}/model")
    rows = pd.read_csv("tickets.csv", dtype="str").head(2).assign(as_of=["", "soon"])
    rows["Customer Age"] = rows["Customer Age"].astype(float)
    with pytest.raises(Exception, match="as_of: row 1"):
        model.predict(rows)


def test_an_export_of_a_model_at_creation_says_who_is_open(place, write_tickets, train_on, run):
    write_tickets(place / "tickets.csv")
    train_on()
    (trained,) = MlflowClient().search_runs(["1"])
    table = pd.read_csv("tickets.csv", dtype="str")
    at = table["Created At"].sort_values().iloc[-30]
    ended = run("score", f"run_id={trained.info.run_id}", "output=risk.csv", f'at="{at}"')
    assert ended.code == 0
    export = pd.read_csv("risk.csv")
    assert set(export["State"]) == {"open", "past_target", "closed"}
    assert export["Escalate_At"].isna().all()
    assert export["Age_Hours"].notna().equals(export["State"] != "closed")
