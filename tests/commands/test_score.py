import os
import re

import pandas as pd
import pytest
from mlflow import MlflowClient

from slarisk.commands import score as score_module
from slarisk.errors import StoreError
from slarisk.scoring.export import EXPORT_COLUMNS
from slarisk.scoring.rejections import REJECTED_COLUMNS


@pytest.fixture
def score(run):
    return lambda *overrides: run("score", *overrides)


def read(name="outputs/risk_scores.csv"):
    return pd.read_csv(name, dtype={"Ticket ID": "str", "Model_Version": "str"})


def numbers(line):
    return [int(each) for each in re.findall(r"\d+", line)]


def test_the_champion_scores_what_it_was_trained_on(champion, score):
    ended = score()
    assert (ended.code, ended.err) == (0, "")
    first, second = ended.out.splitlines()[:2]
    assert {"tickets.csv", "outputs/risk_scores.csv,", "sla-breach-risk", "1"} <= set(first.split())
    assert numbers(second) == [600, 600, 0]
    assert len(ended.out.splitlines()) < 10

    export = read()
    assert tuple(export) == EXPORT_COLUMNS
    assert set(export["Model_Version"]) == {"1"}
    origins = export["Score_Origin"].value_counts()
    assert origins["test"] == 120
    assert origins["out_of_fold"] == 478
    assert origins["new"] == 2  # left out: their label came after the cut
    assert read("outputs/risk_scores.csv.rejected.csv").empty


def test_the_scores_earn_what_the_run_said(champion, score):
    """The export's decisions on the test tickets lose what the run logged."""
    score()
    test = read().query("Score_Origin == 'test'")
    worth = test["Ticket Priority"].map({"Critical": 500, "High": 200, "Normal": 50})
    escalated = 20 + 0.2 * worth * test["Is_SLA_Breach"]
    left = worth * test["Is_SLA_Breach"]
    logged = MlflowClient().get_registered_model("sla-breach-risk").latest_versions[0].tags
    lost = escalated.where(test["Escalate"], left).sum()
    assert lost == pytest.approx(float(logged["expected_loss"]))


@pytest.fixture
def new_tickets(champion, write_tickets):
    table = pd.read_csv(write_tickets(champion / "new.csv", tickets=40, seed=9), dtype="str")
    table["Ticket ID"] = "N" + table["Ticket ID"]
    table.loc[:9, "Time to Resolution"] = None
    table.loc[:9, "Ticket Status"] = "Open"
    table.loc[20, "Ticket ID"] = "NT0021"  # twice now
    table.loc[30, "Created At"] = "soon"
    table.to_csv(champion / "new.csv", index=False)
    return champion


def test_an_export_of_its_own_is_scored_and_accounted_for(new_tickets, score):
    ended = score("input=new.csv", "output=deep/down/scores.csv")
    assert (ended.code, ended.err) == (0, "")
    assert [40, 38, 2] in map(numbers, ended.out.splitlines())
    assert [38, 10] in map(numbers, ended.out.splitlines())  # new, and open
    export = read("deep/down/scores.csv")
    assert len(export) == 38
    assert export.loc[:9, ["Resolution_Hours", "Is_SLA_Breach", "Breach_Cost"]].isna().all().all()
    assert export["Pred_Breach_Prob"].between(0, 1).all()
    rejected = pd.read_csv("deep/down/scores.csv.rejected.csv")
    assert tuple(rejected) == REJECTED_COLUMNS
    assert sorted(rejected["reason"]) == ["duplicate_ticket_id", "unreadable_date"]
    for secret in ("Lovelace", "ada@example.com", "diary"):
        assert secret not in (new_tickets / "deep/down/scores.csv").read_text()


def test_parquet_by_the_file_ending(new_tickets, score):
    assert score("input=new.csv", "output=scores.parquet").code == 0
    assert tuple(pd.read_parquet("scores.parquet")) == EXPORT_COLUMNS
    assert os.path.exists("scores.parquet.rejected.csv")


def test_a_run_can_score_without_being_in_charge(trained, score):
    ended = score()
    assert (ended.code, ended.out) == (2, "")
    assert "sla-breach-risk" in ended.err
    assert "python promote.py" in ended.err
    assert not os.path.exists("outputs/risk_scores.csv")
    experiment = MlflowClient().get_experiment_by_name("sla-breach-risk").experiment_id
    found = MlflowClient().search_runs([experiment])[0].info.run_id
    ended = score(f"run_id={found}")
    assert (ended.code, ended.err) == (0, "")
    assert found in ended.out.splitlines()[0]
    assert set(read()["Model_Version"]) == {f"run {found}"}


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["input=nowhere.csv"], "nowhere.csv: "),
        (["run_id=nope"], "run_id=nope"),
        (["output=tickets.csv/scores.csv"], "tickets.csv/scores.csv: "),
        (["output=folder.csv"], "output=folder.csv: "),
        (["output=scores.xlsx"], "output=scores.xlsx: "),
        (["output=scores.json"], "output=scores.json: "),
        (["output=scores"], "output=scores: "),
        (["output=scores.csv.gz"], "output=scores.csv.gz: "),
        (["output=scores.xlsx", "export=notebook"], "output=scores.xlsx: "),
        (["output=scores.xlsx", "engine=spark"], "output=scores.xlsx: "),
        (["rejected=wrong.parquet"], "rejected=wrong.parquet: "),
        (["rejected=-"], "rejected=-: "),
        (["max_rejected=1.5"], "max_rejected=1.5: "),
        (["output=./tickets.csv"], "output=tickets.csv: "),
        (["rejected=./tickets.csv"], "rejected=tickets.csv: "),
        (["output=scores.csv", "rejected=./scores.csv"], "rejected=scores.csv: "),
        (["export=fancy"], "fancy"),
        (["outptu=x.csv"], "outptu"),
        (["tracking.registered_model=other"], "other"),
    ],
)
def test_wrong_input_is_told_and_nothing_is_written(champion, score, overrides, told):
    os.mkdir("folder.csv")
    before = sorted(os.listdir())
    ended = score(*overrides)
    assert (ended.code, ended.out) == (2, "")
    assert told in ended.err
    assert "Traceback" not in ended.err
    assert sorted(os.listdir()) == before


def test_a_column_the_decision_needs_is_missed(champion, score):
    pd.read_csv("tickets.csv").drop(columns="Ticket Channel").to_csv("less.csv", index=False)
    ended = score("input=less.csv")
    assert ended.code == 2
    assert "'Ticket Channel'" in ended.err
    pd.read_csv("tickets.csv").drop(columns=["Time to Resolution", "Customer Age"]).to_csv(
        "enough.csv", index=False
    )
    assert score("input=enough.csv").code == 0
    assert read()["Is_SLA_Breach"].isna().all()


def test_an_unseen_category_is_scored_and_told(champion, score):
    table = pd.read_csv("tickets.csv")
    table.loc[:4, "Ticket Channel"] = "Fax"
    table.to_csv("tickets.csv", index=False)
    ended = score()
    assert ended.code == 0
    (line,) = [line for line in ended.out.splitlines() if "channel" in line and "5" in line]
    assert numbers(line) == [5]


def test_the_notebooks_own_export(champion, score):
    ended = score("export=notebook", "output=nb.csv")
    assert (ended.code, ended.err) == (0, "")
    with open("nb.csv") as file:
        header = file.readline().strip().split(",")
    assert header.count("Breach_Cost") == 2
    assert set(pd.read_csv("nb.csv")["Score_Origin"]) == {"in_sample", "test", "new"}


def scorings():
    found = MlflowClient().get_experiment_by_name("sla-breach-risk-scoring")
    return MlflowClient().search_runs([found.experiment_id]) if found else []


def test_a_scoring_is_a_run_of_its_own(new_tickets, score):
    ended = score("input=new.csv", "output=scores.csv")
    (run,) = scorings()
    assert f"run {run.info.run_id}" in ended.out
    assert run.info.status == "FINISHED"
    assert (run.data.tags["kind"], run.data.tags["model_version"]) == ("scoring", "1")
    assert run.data.params["decision"] == "per_ticket"
    export = read("scores.csv")
    assert run.data.metrics["scored"] == len(export) == 38
    assert run.data.metrics["rejected_duplicate_ticket_id"] == 1
    assert run.data.metrics["escalated"] == export["Escalate"].sum()
    loss = export["Expected_Loss_If_Escalated"].where(
        export["Escalate"], export["Expected_Loss_If_Left"]
    )
    assert run.data.metrics["expected_loss"] == pytest.approx(loss.sum(), abs=0.01)
    assert run.data.metrics["psi_channel"] >= 0
    files = {each.path for each in MlflowClient().list_artifacts(run.info.run_id)}
    assert {"config.yaml", "drift.csv", "plots"} <= files


def test_a_scoring_that_fails_says_why_in_its_run(champion, score):
    assert score("input=nowhere.csv").code == 2
    (run,) = scorings()
    assert run.info.status == "FAILED"
    assert "nowhere.csv" in run.data.tags["failure"]


@pytest.mark.slow
def test_scorings_are_no_candidates(champion, score, run):
    score()
    assert run("promote", "action=status").code == 0
    again = run("promote", "dry_run=true", "fewest_tickets=100")
    assert "already" in again.out + again.err


def test_a_capacity_at_scoring_time(champion, score):
    ended = score("decision=capacity", "decision.per_day=1")
    assert (ended.code, ended.err) == (0, "")
    per_day = read().groupby("Ticket_Date")["Escalate"].sum()
    assert per_day.max() == 1
    (run,) = scorings()
    assert run.data.params["decision.per_day"] == "1"


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["decision=capacity", "decision.per_day=-1"], "decision.per_day=-1"),
        (["decision=grid"], "decision=grid"),
        (["max_rejected=2"], "max_rejected=2"),
        (["max_rejected=0", "input=half.csv"], "unreadable_date: 1"),
    ],
)
def test_what_cannot_be_is_told(champion, score, overrides, told):
    head = pd.read_csv("tickets.csv", dtype="str").head(2)
    head.loc[0, "Created At"] = "soon"
    head.to_csv("half.csv", index=False)
    ended = score(*overrides)
    assert (ended.code, ended.out) == (2, "")
    assert told in ended.err
    assert not os.path.exists("outputs/risk_scores.csv")


def test_on_standard_output_there_are_only_scores(champion, score):
    ended = score("output=-", "rejected=wrong.csv")
    assert ended.code == 0
    lines = ended.out.splitlines()
    assert len(lines) == 601
    assert lines[0].startswith('"Ticket ID","Ticket_Date"')
    assert [600, 600, 0] in map(numbers, ended.err.splitlines())
    assert os.path.exists("wrong.csv")


def test_a_store_that_goes_away_takes_no_scores_with_it(champion, score, monkeypatch):
    def lose(*_):
        raise StoreError("the store is out of reach")

    monkeypatch.setattr(score_module, "scoring_items", lose)
    ended = score()
    assert ended.code == 0
    assert "the store is out of reach" in ended.err
    assert len(read()) == 600
