from pathlib import Path

import pytest
from mlflow import MlflowClient

from lab.recipe import StudyJob
from lab.report import BEGIN, END
from lab.results import read_results
from lab.runner import run_study
from lab.study import Study, compose_job, draw_samples
from slarisk.command_line import register_schemas
from slarisk.errors import InputError

CONF = Path(__file__).resolve().parents[2] / "conf"
RECIPE = """
overrides: [data.truth=null, evaluation.threshold_draws=1, evaluation.bootstrap_draws=50]
axes:
  rule: {one: decision=threshold, each: decision=per_ticket}
parts:
  here: {overrides: [model=lr, data.path=tickets.csv]}
  there: {overrides: [model=lr, data.path=others.csv], over: splits, draws: [split.seed=1]}
tables:
  - columns: {value: {metric: value_over_baseline}}
    figure: {file: value.svg, column: value}
"""


@pytest.fixture(autouse=True, scope="module")
def schemas():
    register_schemas()


@pytest.fixture
def study(place, write_tickets):
    write_tickets(place / "tickets.csv")
    folder = place / "tiny"
    folder.mkdir()
    (folder / "study.yaml").write_text(RECIPE)
    (folder / "README.md").write_text(f"# Tiny\n\n{BEGIN}\n{END}\n")
    return Study(folder, CONF)


def read_all(study):
    return {path.name: path.read_bytes() for path in study.folder.iterdir()}


def list_runs():
    client = MlflowClient()
    experiment = client.get_experiment_by_name("study-tiny").experiment_id
    return [run for run in client.search_runs([experiment]) if "sweep" not in run.data.tags]


@pytest.mark.slow
def test_a_study_end_to_end(study, place, write_tickets, capsys):
    assert run_study(study, workers=1) is False
    assert "others.csv" in capsys.readouterr().out
    results = read_results(study.folder)
    assert results[["data", "rule", "draw"]].to_numpy().tolist() == [
        ["here", "one", "1"],
        ["here", "each", "1"],
    ]
    runs = list_runs()
    assert {run.data.params["study.rule"] for run in runs} == {"one", "each"}
    losses = {run.data.params["study.rule"]: run.data.metrics["expected_loss"] for run in runs}
    tabulated = results["expected_loss"].astype(float).tolist()
    assert tabulated == pytest.approx([losses["one"], losses["each"]], abs=0.005)

    first = read_all(study)
    run_study(study, workers=1)  # takes over what finished, and changes nothing
    assert len(list_runs()) == 2
    assert read_all(study) == first

    write_tickets(place / "others.csv", seed=1)  # now the other part can run
    assert run_study(study, workers=1) is True
    assert read_results(study.folder)["data"].tolist() == ["here", "here", "there", "there"]
    (place / "others.csv").unlink()  # and its results outlive its tickets
    whole = read_all(study)
    assert run_study(study, workers=1) is False
    assert read_all(study) == whole


@pytest.mark.slow
def test_a_model_whose_package_is_absent_keeps_its_results_and_their_place(study, capsys):
    run_study(study, workers=1)
    here = read_results(study.folder)
    absent = RECIPE.replace("model=lr, ", "").replace("one: ", "one: [model=away, ")
    absent = absent.replace("decision=threshold", "decision=threshold]")
    (study.folder / "study.yaml").write_text(absent)
    (study.folder / "conf" / "model").mkdir(parents=True)
    away = study.folder / "conf" / "model" / "away.yaml"
    away.write_text("_target_: no_such_package.Classifier\n")
    capsys.readouterr()
    assert run_study(study, workers=1) is False
    assert "no_such_package" in capsys.readouterr().out
    results = read_results(study.folder)
    assert results["rule"].tolist() == ["one", "each"]
    assert results.iloc[0].to_dict() == here.iloc[0].to_dict()
    assert results.iloc[1].to_dict() != here.iloc[1].to_dict()  # it ran, with the default model


@pytest.mark.slow
def test_a_job_that_fails_leaves_the_results_alone(study):
    (study.folder / "results.csv").write_text("before\n")
    text = RECIPE.replace("decision=per_ticket", "model.C=-1.0")
    (study.folder / "study.yaml").write_text(text)
    with pytest.raises(InputError, match="'C'"):
        run_study(study, workers=1)
    assert (study.folder / "results.csv").read_text() == "before\n"
    assert len([run for run in list_runs() if run.info.status == "FINISHED"]) == 1


def test_a_study_may_bring_a_model_of_its_own(study):
    (study.folder / "conf" / "model").mkdir(parents=True)
    own = study.folder / "conf" / "model" / "mine.yaml"
    own.write_text("_target_: sklearn.naive_bayes.GaussianNB\n")
    config = compose_job(study, StudyJob({"data": "here"}, ("model=mine",)))
    assert config.model == {"_target_": "sklearn.naive_bayes.GaussianNB"}
    assert config.choices["model"] == "mine"


def test_a_fresh_sample_is_drawn_once_and_its_path_composed(study, place):
    job = StudyJob({"data": "sample"}, ("sample=40x3",))
    draw_samples([job])
    config = compose_job(study, job)
    assert len(Path(config.data.path).read_text().splitlines()) == 41
    assert len(Path(config.data.truth or "").read_text().splitlines()) == 41
    before = Path(config.data.path).stat().st_mtime_ns
    draw_samples([job])
    assert Path(config.data.path).stat().st_mtime_ns == before
