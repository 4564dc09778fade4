"""Grids: ``python train.py -m``."""

import io
import shlex
import signal

import mlflow
import pandas as pd
import pytest
from mlflow import MlflowClient

from slarisk.sweeps.grid import list_new_choices
from slarisk.training import fit, prepare
from slarisk.training import run as training_run

HERE = ["data.path=tickets.csv", "data.truth=null", "evaluation.importance_repeats=0"]
HERE += ["evaluation.bootstrap_draws=50", "evaluation.threshold_draws=5"]


@pytest.fixture
def grid(place, write_tickets, run):
    """Runs train.py -m on a small export; returns how it ended, the parent run and the jobs."""
    write_tickets(place / "tickets.csv")

    def run_grid(*overrides):
        ended = run("train", "-m", *HERE, *overrides)
        return ended, *newest_sweep()

    return run_grid


def newest_sweep():
    client = MlflowClient()
    experiment = client.get_experiment_by_name("sla-breach-risk").experiment_id
    runs = client.search_runs([experiment], order_by=["attributes.start_time DESC"])
    parent = next(run for run in runs if "sweep" in run.data.tags)
    query = f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'"
    jobs = client.search_runs([experiment], query, order_by=["attributes.start_time ASC"])
    return parent, jobs


def read_table(parent):
    text = mlflow.artifacts.load_text(f"runs:/{parent.info.run_id}/results.csv")
    return pd.read_csv(io.StringIO(text))


def has_model(run):
    return bool(run.outputs and run.outputs.model_outputs)


@pytest.mark.slow
def test_a_grid_is_one_parent_with_a_job_for_each_combination(grid, place):
    ended, parent, jobs = grid("model=lr,gbm", "features=notebook,calendar")
    assert (ended.code, ended.err) == (0, "")
    assert parent.info.status == "FINISHED"
    assert parent.info.run_name.endswith("model=lr,gbm features=notebook,calendar")
    assert [run.info.run_name for run in jobs] == [
        *("lr notebook sample", "lr calendar sample"),
        *("gbm notebook sample", "gbm calendar sample"),
    ]
    assert {run.info.status for run in jobs} == {"FINISHED"}

    objective = {run.info.run_id: run.data.metrics["objective"] for run in jobs}
    best = min(jobs, key=lambda run: objective[run.info.run_id])
    assert parent.data.metrics["best_objective"] == best.data.metrics["objective"]
    assert [has_model(run) for run in jobs] == [run is best for run in jobs]

    table = read_table(parent)
    assert list(table.columns[:2]) == ["model", "features"]
    assert {"objective", "expected_loss", "expected_loss_low", "expected_loss_high"} < set(table)
    assert {"value_over_baseline", "seconds"} < set(table)
    assert list(table["objective"]) == sorted(objective.values())
    assert table["run_id"][0] == best.info.run_id

    assert parent.data.tags["mlflow.note.content"].count("\n| ") == 4 + 1
    counted = [line.split()[0] for line in ended.out.splitlines() if line.startswith("[")]
    assert counted == ["[1/4]", "[2/4]", "[3/4]", "[4/4]"]
    assert not list((place / "outputs").glob("sweeps/*"))  # what the jobs shared is gone


@pytest.mark.slow
def test_the_best_jobs_command_can_be_pasted(grid, run, place):
    ended, parent, _ = grid("model=lr", "model.C=0.001,10.0", "sla.costs={Critical: 700}")
    assert ended.code == 0
    (line,) = [line for line in ended.out.splitlines() if "again: " in line]
    assert f"`{line.split('again: ')[1]}`" in parent.data.tags["mlflow.note.content"]
    assert shlex.split(parent.data.tags["command"])[3:] == [
        *(*HERE, "model=lr", "model.C=0.001,10.0", "sla.costs={Critical: 700}")
    ]
    python, script, *overrides = shlex.split(line.split("again: ")[1])
    assert (python, script) == ("python", "train.py")
    assert run("train", *overrides).code == 0
    (again, *_) = MlflowClient().search_runs(["1"], order_by=["attributes.start_time DESC"])
    assert again.data.metrics["objective"] == parent.data.metrics["best_objective"]


@pytest.mark.slow
def test_a_job_that_fails_does_not_stop_the_others(grid):
    ended, parent, jobs = grid("model=lr", "model.C=1.0,-1.0,2.0")
    assert ended.code == 2
    assert "Traceback" not in ended.err
    assert [run.info.status for run in jobs] == ["FINISHED", "FAILED", "FINISHED"]
    assert (parent.info.status, parent.data.tags["failure"][:6]) == ("FAILED", "1 of 3")
    table = read_table(parent)
    assert list(table["status"]) == ["FINISHED", "FINISHED", "FAILED"]
    assert table["failure"][2] == jobs[1].data.tags["failure"]
    assert "'C'" in table["failure"][2]


@pytest.mark.slow
def test_a_job_that_fails_before_it_began_is_a_failed_run(grid):
    ended, _, jobs = grid("model=lr", "data.path=tickets.csv,nowhere.csv")
    assert ended.code == 2
    assert [run.info.status for run in jobs] == ["FINISHED", "FAILED"]
    assert "nowhere.csv" in jobs[1].data.tags["failure"]
    assert jobs[1].data.params["model"] == "lr"


@pytest.mark.slow
def test_a_bug_in_a_job_keeps_its_traceback(grid, monkeypatch):
    def divide(*_):
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr(fit, "decide_baselines", divide)
    ended, parent, jobs = grid("model=lr,gbm")
    assert ended.code == 70
    assert "Traceback" in ended.err
    assert [run.info.status for run in jobs] == ["FAILED", "FAILED"]
    assert parent.info.status == "FAILED"
    assert "best_objective" not in parent.data.metrics


def test_a_choice_that_does_not_exist_is_refused_before_anything_is_run(place, write_tickets, run):
    write_tickets(place / "tickets.csv")
    ended = run("train", "-m", *HERE, "model=lr,oracle")
    assert ended.code == 2
    assert "oracle" in ended.err
    assert MlflowClient().search_runs(["0", "1"]) == []


@pytest.mark.slow
def test_when_no_job_beats_the_rules_that_is_said(grid):
    blind = ["features.categorical=[priority]", "features.calendar=[]"]
    ended, parent, _ = grid("model=lr", "model.C=0.1,1.0", *blind)
    summary = "No job beats the best trivial rule"
    assert summary in ended.out
    assert f"**{summary}**" in parent.data.tags["mlflow.note.content"]


@pytest.mark.slow
def test_what_finished_before_is_skipped(grid, write_tickets, place):
    _, _, first = grid("model=lr", "model.C=0.1,1.0")
    ended, parent, jobs = grid("model=lr", "model.C=0.1,1.0,10.0", "skip_finished=true")
    assert ended.code == 0
    assert ended.out.count("lr notebook sample: finished before") == 2
    assert [run.data.params["model.C"] for run in jobs] == ["10.0"]
    assert set(read_table(parent)["run_id"]) == {run.info.run_id for run in [*first, *jobs]}

    write_tickets(place / "tickets.csv", seed=1)  # other data: another job
    ended, _, jobs = grid("model=lr", "model.C=0.1,1.0", "skip_finished=true")
    assert (ended.code, len(jobs)) == (0, 2)


@pytest.mark.slow
def test_a_single_run_that_finished_before_is_skipped(grid, run):
    grid("model=lr", "model.C=0.1,1.0")
    ended = run("train", *HERE, "model=lr", "model.C=0.1", "skip_finished=true")
    assert ended.code == 0
    assert len(MlflowClient().search_runs(["1"])) == 3  # the parent and its two jobs


@pytest.mark.slow
def test_all_models_are_logged_if_asked_for(grid):
    _, _, jobs = grid("model=lr", "model.C=0.1,1.0", "log_models=all")
    assert [has_model(run) for run in jobs] == [True, True]


@pytest.mark.slow
def test_the_tickets_are_prepared_once(grid, monkeypatch):
    prepared = []

    def count(*policies):
        prepared.append(policies)
        return prepare_tickets(*policies)

    prepare_tickets = prepare.prepare_tickets
    monkeypatch.setattr(prepare, "prepare_tickets", count)
    assert grid("model=lr", "model.C=0.1,1.0,10.0")[0].code == 0
    assert len(prepared) == 1


@pytest.mark.slow
def test_an_interrupted_grid_keeps_what_finished(grid, monkeypatch):
    fits = []

    def fit_twice(*arguments):
        fits.append(arguments)
        if len(fits) == 2:
            signal.raise_signal(signal.SIGINT)
        return fit_and_evaluate(*arguments)

    fit_and_evaluate = training_run.fit_and_evaluate
    monkeypatch.setattr(training_run, "fit_and_evaluate", fit_twice)
    ended, parent, jobs = grid("model=lr", "model.C=0.1,1.0,10.0")
    assert ended.code == 130
    assert [run.info.status for run in jobs] == ["FINISHED", "KILLED"]
    assert (parent.info.status, parent.data.tags["failure"]) == ("KILLED", "interrupted")


def test_new_choices_are_picked_once():
    jobs = [[f"model={model}", f"seed={seed}"] for model in "ab" for seed in "123"]
    picked = list_new_choices(jobs)
    assert picked[0] == jobs[0]
    assert {choice for each in picked for choice in each} == {
        choice for each in jobs for choice in each
    }
    assert len(picked) == 4
