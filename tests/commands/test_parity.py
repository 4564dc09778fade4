"""The notebook's numbers, and what models are worth on the two public data sets."""

import pandas as pd
import pytest
from mlflow import MlflowClient

pytestmark = pytest.mark.real_data

QUICK = ["evaluation.bootstrap_draws=100", "evaluation.threshold_draws=50"]


@pytest.fixture
def train(place, run):
    """Trains with a command line; gives the run."""

    def train_with(*overrides):
        ended = run("train", *overrides)
        assert (ended.code, ended.err) == (0, "")
        experiment = MlflowClient().get_experiment_by_name("sla-breach-risk").experiment_id
        return MlflowClient().search_runs([experiment], order_by=["attributes.start_time DESC"])[0]

    return train_with


@pytest.fixture
def kaggle(real_data):
    return f"data.path={real_data('customer_support_tickets.csv')}"


def artifact(place, run, name):
    (path,) = place.glob(f"mlruns/*/{run.info.run_id}/artifacts/{name}")
    return path


@pytest.mark.slow
def test_the_notebooks_forest(train, kaggle, place, run):
    found = train("experiment=notebook", "model=rf", kaggle, *QUICK)
    metrics = found.data.metrics
    assert metrics["roc_auc"] == pytest.approx(0.892585, abs=5e-7)
    assert metrics["decision_threshold"] == pytest.approx(0.35)
    assert metrics["expected_loss"] == 152
    assert found.data.tags["optimistic"] == "true"

    table = pd.read_csv(artifact(place, found, "importance.csv")).set_index("feature")["mean"]
    expected = {
        "priority": 0.3709,
        "weekday": 0.0791,
        "hour": 0.0365,
        "channel": 0.0005,
        "weekend": 0,
    }
    assert table[list(expected)].round(4).to_dict() == expected

    ended = run("score", "export=notebook", f"run_id={found.info.run_id}", "output=nb.csv")
    assert (ended.code, ended.err) == (0, "")
    lines = (place / "nb.csv").read_text().splitlines()
    assert len(lines) - 1 == 1721
    assert lines[0].split(",").count("Breach_Cost") == 2


def test_the_notebooks_logistic_regression(train, kaggle):
    found = train("experiment=notebook", "model=lr", kaggle, *QUICK)
    metrics = found.data.metrics
    assert metrics["decision_threshold"] == pytest.approx(0.25)
    assert metrics["expected_loss"] == 148
    # 0.892127 and 0.728142 with one kernel of OpenBLAS, 0.891974 and 0.727873 with another
    assert metrics["roc_auc"] == pytest.approx(0.892127, abs=3e-4)
    assert metrics["pr_auc"] == pytest.approx(0.728142, abs=3e-4)


@pytest.mark.slow
def test_servicenow_is_worth_a_model(train, real_data):
    path = real_data("incident_event_log.zip")
    found = train(
        *("data=servicenow", "model=gbm", f"data.path={path}", "cost=fading"),
        *("evaluation.importance_repeats=0", "evaluation.threshold_draws=50"),
    )
    metrics = found.data.metrics
    assert metrics["test_tickets"] == 7508
    assert metrics["roc_auc"] >= 0.768
    assert metrics["pr_auc"] >= 0.49
    assert metrics["brier"] <= 0.153
    assert metrics["value_over_baseline_low"] > 0
    assert found.data.tags["failed_checks"] == "none"
