"""Searches: ``python train.py -m search=<model>``."""

import io
import sqlite3
from contextlib import closing
from pathlib import Path

import mlflow
import numpy as np
import optuna
import pandas as pd
import pytest
from hydra import compose, initialize_config_dir
from hydra_plugins.hydra_optuna_sweeper._impl import create_params_from_overrides
from mlflow import MlflowClient
from omegaconf import OmegaConf

from slarisk.command_line import register_schemas
from slarisk.errors import StoreError
from slarisk.registry.selection import choose_run
from slarisk.sweeps import search as search_module
from slarisk.sweeps.optuna_study import take_defaults
from slarisk.tracking.tags import Tuning
from slarisk.training import run as training_run

CONF = Path(__file__).resolve().parents[2] / "conf"
HERE = ["data.path=tickets.csv", "data.truth=null", "evaluation.importance_repeats=0"]
HERE += ["evaluation.bootstrap_draws=50", "evaluation.threshold_draws=5"]
SMALL = ["model.n_estimators=int(interval(5,20))", "hydra.sweeper.seeds=2"]


@pytest.fixture
def search(place, write_tickets, run, monkeypatch):
    """Searches on a small export; returns how it ended, the parent runs and all others."""
    monkeypatch.delenv("SLARISK_STUDY_STORAGE", raising=False)
    write_tickets(place / "tickets.csv")

    def run_search(model, trials, *overrides):
        count = f"hydra.sweeper.n_trials={trials}"
        ended = run("train", "-m", f"search={model}", count, *HERE, *overrides)
        found = MlflowClient().search_runs(["1"], order_by=["attributes.start_time ASC"])
        parents = [each for each in found if "sweep" in each.data.tags]
        return ended, parents, [each for each in found if each not in parents]

    return run_search


def of_stage(jobs, stage):
    return [each for each in jobs if each.data.tags["stage"] == stage]


def read_artifact(parent, name):
    return mlflow.artifacts.load_text(f"runs:/{parent.info.run_id}/{name}")


@pytest.mark.slow
def test_a_search_is_one_parent_with_its_trials_and_a_verdict(search, place):
    ended, (parent,), jobs = search("gbm", 4, *SMALL)
    assert (ended.code, ended.err) == (0, "")
    assert parent.info.status == "FINISHED"
    assert parent.info.run_name.startswith("search gbm-")
    assert {each.data.tags["mlflow.parentRunId"] for each in jobs} == {parent.info.run_id}
    assert {each.info.status for each in jobs} == {"FINISHED"}

    trials = of_stage(jobs, "trial")
    assert [each.data.tags["trial"] for each in trials] == ["0", "1", "2", "3"]
    assert "default" not in trials[0].info.run_name
    study = optuna.load_study(
        study_name=parent.info.run_name.split()[1],
        storage=(storage := optuna.storages.RDBStorage(f"sqlite:///{place}/optuna.db")),
    )
    values = [trial.value for trial in study.trials]
    parameters = [trial.params for trial in study.trials]
    storage.remove_session()
    storage.engine.dispose()
    assert values == [each.data.metrics["objective"] for each in trials]
    for drawn, logged in zip(parameters, trials, strict=True):
        for key, value in drawn.items():
            assert float(logged.data.params[key]) == value

    winner = trials[int(np.argmin(values))]
    assert parent.data.metrics["best_objective"] == min(values)
    assert [bool(each.outputs and each.outputs.model_outputs) for each in trials] == [
        each is winner for each in trials
    ]
    for stage in ("tuned", "default"):
        seeds = of_stage(jobs, stage)
        assert [each.data.params["model.random_state"] for each in seeds] == ["1", "2"]
        objective = [each.data.metrics["objective"] for each in seeds]
        assert parent.data.metrics[f"{stage}_objective_mean"] == pytest.approx(np.mean(objective))
        assert parent.data.metrics[f"{stage}_objective_std"] == pytest.approx(
            np.std(objective, ddof=1)
        )

    assert (
        f"{parent.data.metrics['tuned_objective_mean']:.4f}"
        in (parent.data.tags["mlflow.note.content"])
    )
    plots = {item.path for item in MlflowClient().list_artifacts(parent.info.run_id, "plots")}
    assert {"plots/history.png", "plots/param_importances.png"} <= plots
    assert len(pd.read_csv(io.StringIO(read_artifact(parent, "results.csv")))) == 4
    assert len(pd.read_csv(io.StringIO(read_artifact(parent, "seeds.csv")))) == 4
    history = MlflowClient().get_metric_history(parent.info.run_id, "best_objective_so_far")
    assert [each.value for each in history] == list(np.minimum.accumulate(values))


@pytest.mark.parametrize("tuning", [Tuning.helps, Tuning.no_better_than_seed])
@pytest.mark.slow
def test_what_a_search_found_decides_what_it_offers(search, monkeypatch, tuning):
    monkeypatch.setattr(search_module, "classify_tuning", lambda _: tuning)
    monkeypatch.setattr(search_module, "format_tuning", lambda _: "")
    ended, (parent,), jobs = search(
        "gbm", 2, "model.n_estimators=int(interval(5,20))", "hydra.sweeper.seeds=3"
    )
    assert ended.code == 0
    assert parent.data.tags["tuning"] == tuning.value
    trials, tuned = of_stage(jobs, "trial"), of_stage(jobs, "tuned")
    winner = min(trials, key=lambda each: each.data.metrics["objective"])
    tagged = {each.info.run_id for each in jobs if each.data.tags.get("tuning") == tuning.value}
    assert tagged >= {each.info.run_id for each in [winner, *tuned]}
    with_model = {each.info.run_id for each in jobs if each.outputs and each.outputs.model_outputs}
    chosen = choose_run("1", "objective").run.run_id
    if tuning.pays:
        assert with_model == {chosen} == {winner.info.run_id}
        return
    assert tagged == {each.info.run_id for each in [*trials, *tuned]}
    defaults = sorted(of_stage(jobs, "default"), key=lambda each: each.data.metrics["objective"])
    assert chosen == defaults[1].info.run_id  # the middle one
    assert with_model == {winner.info.run_id, chosen}


@pytest.mark.slow
def test_a_search_goes_on_where_it_was(search):
    ended, (parent,), first = search("lr", 3)
    assert ended.code == 0
    ended, parents, jobs = search("lr", 5)
    assert ended.code == 0
    assert [each.info.run_id for each in parents] == [parent.info.run_id]
    assert len(of_stage(jobs, "trial")) == 5
    assert [each.info.run_id for each in jobs[: len(first)]] == [run.info.run_id for run in first]
    ended, _, again = search("lr", 5)
    assert ended.code == 0
    assert len(of_stage(again, "trial")) == 5  # nothing is left to do


@pytest.mark.slow
def test_an_interrupted_search_becomes_that_of_one_nobody_disturbed(search, monkeypatch, place):
    _, _, undisturbed = search("lr", 6)
    (place / "optuna.db").unlink()
    client = MlflowClient()
    for each in client.search_runs(["1"]):
        client.delete_run(each.info.run_id)
    fits = []

    def fit_four_times(*arguments):
        fits.append(arguments)
        if len(fits) == 4:
            raise KeyboardInterrupt
        return fit_and_evaluate(*arguments)

    fit_and_evaluate = training_run.fit_and_evaluate
    monkeypatch.setattr(training_run, "fit_and_evaluate", fit_four_times)
    ended, (parent,), jobs = search("lr", 6)
    assert ended.code == 130
    assert parent.info.status == "KILLED"
    assert [each.info.status for each in jobs] == ["FINISHED"] * 3 + ["KILLED"]
    ended, (parent,), jobs = search("lr", 6)
    assert (ended.code, parent.info.status) == (0, "FINISHED")
    assert "failure" not in parent.data.tags
    finished = [each for each in of_stage(jobs, "trial") if each.info.status == "FINISHED"]
    assert [(each.data.params["model.C"], each.data.metrics["objective"]) for each in finished] == [
        (each.data.params["model.C"], each.data.metrics["objective"])
        for each in of_stage(undisturbed, "trial")
    ]


@pytest.mark.slow
def test_a_store_that_goes_away_costs_no_trial(search, monkeypatch):
    def lose(*_):
        raise StoreError("The MLflow store is out of reach.")

    with monkeypatch.context() as patch:
        patch.setattr(training_run, "result_items", lose)
        ended, _, jobs = search("lr", 3)
    assert ended.code == 2
    assert [each.info.status for each in jobs] == ["FAILED"]
    with monkeypatch.context() as patch:
        fits = []
        fit = training_run.fit_and_evaluate
        patch.setattr(training_run, "fit_and_evaluate", lambda *a: fits.append(a) or fit(*a))
        ended, _, jobs = search("lr", 3)
    assert ended.code == 0
    trials = of_stage(jobs, "trial")
    assert [each.info.status for each in trials] == ["FINISHED"] * 3
    # two trials, the winner's model, and a fit each of winner and defaults: the first is not
    # fitted; where tuning does not pay, the model of the defaults, too
    pays = Tuning(trials[0].data.tags.get("tuning", "helps")).pays
    assert len(fits) == 2 + 1 + 2 + (not pays)


@pytest.mark.slow
def test_a_trial_that_fails_counts_and_too_many_end_the_search(search):
    space = "model.min_samples_leaf=int(interval(-5,-1))"
    ended, (parent,), jobs = search("rf", 10, "model.n_estimators=5", space)
    assert ended.code == 2
    assert "min_samples_leaf" in ended.err
    assert [each.info.status for each in jobs] == ["FAILED"] * 3
    assert parent.info.status == "FAILED"


@pytest.mark.slow
def test_the_objective_does_not_know_the_test_tickets(search, place):
    """Every outcome in the test set turned round: the search comes to the same."""
    _, (parent,), _ = search("lr", 3)
    before = parent.data.metrics["best_objective"]
    tickets = pd.read_csv(place / "tickets.csv")
    late = tickets.index >= 480  # the latest fifth is what the temporal split holds out
    created = pd.to_datetime(tickets["Created At"])
    took = pd.to_datetime(tickets["Time to Resolution"]) - created
    allowed = tickets["Ticket Priority"].map({"Critical": 4, "High": 8, "Normal": 24})
    turned = np.where(took.dt.total_seconds() / 3600 > allowed, 0.5, 1.5) * allowed
    resolved = created + pd.to_timedelta(turned, unit="h")
    tickets.loc[late, "Time to Resolution"] = resolved[late].dt.strftime("%Y-%m-%d %H:%M:%S")
    tickets.to_csv(place / "tickets.csv", index=False)
    (place / "optuna.db").unlink()
    _, parents, jobs = search("lr", 3)
    assert parents[1].data.metrics["best_objective"] == before
    losses = {each.data.metrics["expected_loss"] for each in jobs if each.info.run_name[-1] == "0"}
    assert len(losses) == 2


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        (["hydra.sweeper.n_trials=0"], "hydra.sweeper.n_trials=0: "),
        (["hydra.sweeper.n_jobs=0"], "hydra.sweeper.n_jobs=0: "),
        (["hydra.sweeper.seeds=-1"], "hydra.sweeper.seeds=-1: "),
        (["hydra.sweeper.direction=maximize"], "hydra.sweeper.direction=maximize: "),
        (["model.C=1.0"], "conf/search/"),
        (["data.path=nowhere.csv"], "nowhere.csv"),
        (["hydra.sweeper.storage=sqlite:////no/such/folder/o.db"], "/no/such/folder"),
        (["hydra.sweeper.storage=carrier-pigeon://me:secret@loft/o"], "carrier-pigeon://***@loft"),
        (["hydra.sweeper.steps=3"], "steps"),
    ],
)
@pytest.mark.slow
def test_what_cannot_be_searched_is_told_before_any_trial(search, overrides, reason):
    ended, parents, jobs = search("lr", 3, *overrides)
    assert ended.code == 2
    assert reason in ended.err
    assert "Traceback" not in ended.err
    assert "secret" not in ended.err
    assert (parents, jobs) == ([], [])


@pytest.mark.slow
def test_a_study_of_another_store_is_refused(search, place):
    assert search("lr", 2)[0].code == 0
    with closing(sqlite3.connect(place / "mlflow.db")) as database, database:
        database.execute("DELETE FROM tags")
        database.execute("UPDATE runs SET run_uuid = 'other' || run_uuid")
    ended, _, _ = search("lr", 3)
    assert ended.code == 2
    assert "hydra.sweeper.study_name=" in ended.err


@pytest.mark.slow
def test_search_without_m_is_one_run(search, run):
    ended = run("train", "search=lr", *HERE)
    assert ended.code == 0
    assert "search=lr without -m" in ended.err
    assert len(MlflowClient().search_runs(["1"])) == 1


@pytest.mark.parametrize("model", sorted(path.stem for path in (CONF / "search").glob("*.yaml")))
def test_every_space_holds_the_defaults_and_minimises_a_loss(model):
    register_schemas()
    with initialize_config_dir(str(CONF), job_name="test"):
        config = compose("train", [f"search={model}"], return_hydra_config=True)
    sweeper = config.hydra.sweeper
    assert (sweeper.direction, sweeper.sampler.seed) == ("minimize", 42)
    told = [f"{key}={value}" for key, value in sweeper.params.items()]
    space, fixed, _ = create_params_from_overrides(told)
    assert fixed == {}
    defaults = take_defaults(OmegaConf.to_container(config.model), space)
    assert defaults is not None
    assert defaults.keys() == space.keys()
