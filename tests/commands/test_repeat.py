"""``python train.py from_run=<id>``."""

import pandas as pd
import pytest
from mlflow import MlflowClient

from slarisk.tracking.source import Source
from slarisk.training import comparison
from slarisk.training.comparison import compare_metrics, compare_versions
from slarisk.training.result import differing_metrics

HERE = ["data.path=tickets.csv", "data.truth=null", "evaluation.importance_repeats=0"]
HERE += ["evaluation.bootstrap_draws=50", "evaluation.threshold_draws=5"]


@pytest.fixture
def train(place, write_tickets, run):
    """Trains on a small export, and gives the newest run with how the command ended."""
    write_tickets(place / "tickets.csv")

    def train_with(*overrides):
        ended = run("train", *overrides)
        runs = MlflowClient().search_runs(["1"], order_by=["attributes.start_time DESC"])
        return ended, runs[0]

    return train_with


@pytest.mark.parametrize(
    "choices",
    [
        ["model=lr", "calibration=isotonic", "decision=threshold", "features.scale=false"],
        ["model=rf", "model.n_estimators=20", "model.random_state=7", "split=random"],
        ["model=gbm", "decision=capacity", "decision.per_day=3", "sla.costs={Critical: 700}"],
    ],
    ids=["lr", "rf", "gbm"],
)
@pytest.mark.slow
def test_a_run_comes_to_the_same_again(train, choices):
    _, old = train(*HERE, *choices)
    ended, new = train(f"from_run={old.info.run_id}")
    assert (ended.code, ended.err) == (0, "")
    assert "  differs" not in ended.out
    assert "metrics are equal to the last digit" in ended.out
    assert new.info.run_id != old.info.run_id
    assert new.data.tags["repeats"] == old.info.run_id
    assert new.data.params == old.data.params
    assert new.data.metrics.keys() == old.data.metrics.keys()
    for name, value in old.data.metrics.items():
        if name != "training_seconds":
            assert new.data.metrics[name] == value
            assert f" {value!r}  " in ended.out
    assert new.outputs.model_outputs


@pytest.mark.slow
def test_a_job_of_a_sweep_is_repeated_as_a_single_run(train, run):
    assert run("train", "-m", *HERE, "model=lr", "model.C=0.1,1.0").code == 0
    jobs = [each for each in MlflowClient().search_runs(["1"]) if "stage" in each.data.tags]
    ended, new = train(f"from_run={jobs[0].info.run_id}")
    assert ended.code == 0
    assert "mlflow.parentRunId" not in new.data.tags


@pytest.mark.slow
def test_other_data_are_named_and_the_exit_code_says_so(train, write_tickets, place):
    _, old = train(*HERE, "model=lr")
    write_tickets(place / "tickets.csv", seed=1)
    ended, new = train(f"from_run={old.info.run_id}")
    assert ended.code == 1
    assert "  differs: the tickets (data_fingerprint " in ended.out
    assert "roc_auc" in ended.err
    assert "what differs is listed above" in ended.err
    assert new.info.status == "FINISHED"


@pytest.mark.slow
def test_a_file_that_moved_is_named_on_the_command_line(train, place):
    _, old = train(*HERE, "model=lr")
    (place / "tickets.csv").rename(place / "moved.csv")
    ended, _ = train(f"from_run={old.info.run_id}")
    assert ended.code == 2
    assert "tickets.csv" in ended.err
    ended, new = train(f"from_run={old.info.run_id}", "data.path=moved.csv")
    assert ended.code == 0
    assert new.data.tags["data_fingerprint"] == old.data.tags["data_fingerprint"]


@pytest.mark.slow
def test_other_code_and_versions_are_named(train, monkeypatch):
    from slarisk.training import prepare as prepare_module

    monkeypatch.setattr(prepare_module, "find_source", lambda: Source("a" * 40, "diff of then"))
    _, old = train(*HERE, "model=lr")
    for source, words in (
        (Source("b" * 40, "diff of then"), f"the code (commit {'a' * 40}, now {'b' * 40})"),
        (Source("a" * 40, "diff of now"), "(then uncommitted changes, now others)"),
        (Source("a" * 40, ""), "(then uncommitted changes, now none)"),
    ):
        monkeypatch.setattr(prepare_module, "find_source", lambda source=source: source)
        ended, _ = train(f"from_run={old.info.run_id}")
        assert ended.code == 0
        assert words in ended.out
        assert ended.out.count("  differs: ") == 1
    monkeypatch.setattr(prepare_module, "find_source", lambda: Source("a" * 40, "diff of then"))
    monkeypatch.setattr(comparison, "find_versions", lambda: {"numpy": "0.1", "blas": "abacus"})
    ended, _ = train(f"from_run={old.info.run_id}")
    assert "  differs: blas (" in ended.out
    assert ", now abacus)" in ended.out


@pytest.mark.slow
def test_what_the_run_says_cannot_be_chosen(train):
    _, old = train(*HERE, "model=lr")
    ended, _ = train(f"from_run={old.info.run_id}", "model=gbm", "split.seed=3")
    assert ended.code == 2
    assert "model=gbm split.seed=3 cannot be chosen" in ended.err
    ended, _ = train("-m", f"from_run={old.info.run_id}")
    assert ended.code == 2
    assert "leave -m away" in ended.err


@pytest.mark.slow
def test_what_cannot_be_compared_is_refused(train, run):
    ended, failed = train(*HERE, "model=lr", "model.C=-1")
    assert ended.code == 2
    ended, _ = train(f"from_run={failed.info.run_id}")
    assert ended.code == 2
    assert "is no training run that finished (FAILED)" in ended.err
    ended, _ = train("from_run=nobody")
    assert ended.code == 2
    assert "from_run=nobody: there is no such run" in ended.err
    run("train", "-m", *HERE, "model=lr")
    (parent,) = [each for each in MlflowClient().search_runs(["1"]) if "sweep" in each.data.tags]
    ended, _ = train(f"from_run={parent.info.run_id}")
    assert ended.code == 2
    assert "is no training run" in ended.err


def test_a_metric_is_the_same_to_the_last_digit_or_not():
    old = {"a": 0.1 + 0.2, "b": float("nan"), "training_seconds": 1.0, "gone": 1.0}
    new = {"a": 0.3, "b": float("nan"), "training_seconds": 2.0, "new": 1.0}
    assert differing_metrics(old, new) == ["a", "new", "gone"]
    assert differing_metrics(old, dict(old)) == []
    table = compare_metrics(old, new, ["a", "new", "gone"])
    assert "0.30000000000000004                     0.3  differs" in table
    assert table.endswith("1 of 4 metrics are equal to the last digit (training_seconds aside)")


def test_a_version_that_is_not_known_is_told():
    assert list(compare_versions({"numpy": "1"}, {"numpy": "1"})) == []
    assert list(compare_versions({"numpy": "1"}, {"scipy": "2"})) == [
        "numpy (1, now unknown)",
        "scipy (unknown, now 2)",
    ]


@pytest.mark.real_data
@pytest.mark.parametrize("model", ["lr", "rf", "gbm"])
@pytest.mark.slow
def test_runs_on_real_tickets_come_to_the_same_again(train, real_data, model):
    path = real_data("customer_support_tickets.csv")
    quick = ["evaluation.bootstrap_draws=50", "evaluation.importance_repeats=0"]
    _, old = train("data=kaggle", f"data.path={path}", f"model={model}", *quick)
    ended, _ = train(f"from_run={old.info.run_id}")
    assert (ended.code, ended.err) == (0, "")


@pytest.mark.slow
def test_what_cannot_be_labelled_is_compared_too(train, place):
    _, old = train(*HERE, "model=lr")
    tickets = pd.read_csv(place / "tickets.csv")
    odd = tickets.head(1).assign(**{"Ticket ID": "T9999", "Time to Resolution": "soon"})
    pd.concat([tickets, odd]).to_csv(place / "tickets.csv", index=False)
    ended, _ = train(f"from_run={old.info.run_id}")
    assert ended.code == 1
    assert "dropped_unreadable_date" in ended.err
