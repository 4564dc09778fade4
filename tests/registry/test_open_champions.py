"""The gate compares models at creation and models of open tickets on the same tickets."""

import re

import pandas as pd
import pytest
from mlflow import MlflowClient

QUICK = ["model=lr", "evaluation.bootstrap_draws=50", "evaluation.threshold_draws=20"]
ANYONE = ["clearly_beat_baseline=false", "fewest_tickets=50", "fewest_breaches=5"]


@pytest.fixture
def desk(place, run, desk_log):
    """Trains on the log of the desk, and gives the run."""
    search = f"hydra.searchpath=[file://{desk_log}]"

    def train(*overrides):
        ended = run("train", search, "data=desk", *QUICK, *overrides)
        assert ended.code == 0, ended.err
        return MlflowClient().search_runs(["1"], order_by=["attributes.start_time DESC"])[0]

    return train


def read_losses(text):
    """The losses of the table that the gate prints, by row."""
    rows = re.findall(r"^\| ([^|]+?) +\| +(-?\$[\d,]+) \|", text, flags=re.MULTILINE)
    return {name: float(loss.replace("$", "").replace(",", "")) for name, loss in rows}


@pytest.mark.parametrize("first", ["created", "open"])
def test_either_kind_is_compared_with_the_other(desk, run, first):
    second = {"created": "open", "open": "created"}[first]
    before, after = desk(f"moment={first}"), desk(f"moment={second}")
    ended = run("promote", f"run_id={before.info.run_id}", *ANYONE)
    assert ended.code in (0, 1)
    if ended.code:  # no better than a rule: put it in charge by its decisions all the same
        pytest.skip("the first model of this draw does not beat the rules")
    ended = run("promote", f"run_id={after.info.run_id}", *ANYONE, "dry_run=true", "margin=-1e6")
    losses = read_losses(ended.out)
    assert losses["the candidate"] == round(after.data.metrics["expected_loss"])
    (champion,) = [loss for name, loss in losses.items() if "champion" in name]
    assert champion == round(before.data.metrics["expected_loss"])


def test_a_run_logs_how_good_it_is_at_each_landmark(desk):
    logged = desk("moment=open", "cost=fading")
    path = MlflowClient().download_artifacts(logged.info.run_id, "landmarks.csv")
    table = pd.read_csv(path)
    assert table["landmark"].iloc[0] == "0 of the target"
    assert table["tickets"].is_monotonic_decreasing
    assert table["breach_rate"].iloc[-1] > table["breach_rate"].iloc[0]
    assert logged.data.metrics["test_tickets"] >= table["tickets"].iloc[0]
    for name in ("escalation_age_hours", "escalated_at_creation"):
        assert logged.data.metrics[name] >= 0
