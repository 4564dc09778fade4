import os
import re
import signal

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient

from slarisk.commands import train as command
from slarisk.errors import InputError
from slarisk.learning.splits import hold_out
from slarisk.tickets.prepare import prepare_tickets
from slarisk.training import run as job
from slarisk.training.fingerprints import fingerprint_inputs
from slarisk.training.prepare import prepare, read_truth, validate_feature_moments
from slarisk.training.run import name_run

QUICK = ["evaluation.bootstrap_draws=100", "evaluation.importance_repeats=0"]
QUICK += ["evaluation.threshold_draws=50"]
HERE = ["data.path=tickets.csv", "data.truth=null", "cost.effect=fading", "model=lr", *QUICK]


@pytest.fixture
def export(place, write_tickets):
    """A folder with an export in it, as text to be spoilt."""
    write_tickets(place / "tickets.csv")

    def spoil(change):
        table = pd.read_csv(place / "tickets.csv", dtype="str", keep_default_na=False)
        table = change(table) if change else table
        table.to_csv(place / "tickets.csv", index=False)
        return place

    return spoil


def all_runs():
    # by name: a command may have been pointed at another store, which must not spring up here
    client = MlflowClient(f"sqlite:///{os.getcwd()}/mlflow.db")
    experiments = [each.experiment_id for each in client.search_experiments()]
    return client.search_runs(experiments)


def artifacts(run, path=None):
    listed = MlflowClient().list_artifacts(run.info.run_id, path)
    files = [item.path for item in listed if not item.is_dir]
    return files + [name for item in listed if item.is_dir for name in artifacts(run, item.path)]


# What a good run leaves behind ------------------------------------------------------------------


@pytest.fixture
def good(export, run):
    export(None)
    ended = run("train", *HERE, "evaluation.importance_repeats=1")
    (found,) = all_runs()
    return ended, found


def test_a_good_run_is_short_and_quiet(good):
    ended, found = good
    assert (ended.code, ended.err) == (0, "")
    first, last = ended.out.strip().splitlines()
    assert first.startswith("lr loses $")
    assert last == f"  run {found.info.run_id}"


def test_a_good_run_is_tracked_in_full(good):
    _, found = good
    assert found.info.status == "FINISHED"
    assert found.info.run_name == "lr notebook sample"
    assert (
        found.data.params.items()
        >= {
            **{"data": "sample", "sla": "standard", "cost": "charged", "features": "notebook"},
            **{"split": "temporal", "model": "lr", "calibration": "none", "decision": "per_ticket"},
            **{"model.C": "1.0", "model.max_iter": "2000"},
        }.items()
    )
    assert found.data.tags.keys() >= {
        *("data_fingerprint", "split_fingerprint", "policy_fingerprint"),
        *("git_commit", "git_dirty", "optimistic", "mlflow.note.content"),
    }
    assert "failure" not in found.data.tags
    assert found.data.metrics["training_seconds"] > 0
    files = set(artifacts(found))
    assert files - {"uncommitted.diff"} == {
        *("config.yaml", "versions.json", "model_files.json", "checks.csv", "tickets.csv"),
        "importance.csv",
        *("plots/roc.png", "plots/precision_recall.png", "plots/calibration.png"),
        *("plots/loss_by_threshold.png", "plots/importance.png"),
    }
    assert ("uncommitted.diff" in files) == (found.data.tags["git_dirty"] == "true")
    (used,) = found.inputs.dataset_inputs
    assert used.dataset.digest == found.data.tags["data_fingerprint"]


def test_nobody_is_named_anywhere_in_the_store(good, place):
    stored = [place / "mlflow.db", *(place / "mlruns").rglob("*")]
    assert len([path for path in stored if path.is_file()]) > 20
    for path in stored:
        if path.is_file():
            content = path.read_bytes()
            for secret in (b"Lovelace", b"ada@example.com", b"diary", b"T0001"):
                assert secret not in content, path


def test_the_numbers_of_a_run_fit_each_other(export, train_on):
    export(None)
    objective = train_on()
    (found,) = all_runs()
    metrics = found.data.metrics
    assert metrics["objective"] == objective
    assert metrics["expected_loss"] == pytest.approx(
        metrics["expected_loss_per_ticket"] * metrics["test_tickets"]
    )
    assert metrics["value_over_baseline"] == pytest.approx(
        metrics["best_baseline_loss"] - metrics["expected_loss"]
    )
    assert metrics["value_over_baseline_low"] > 0  # the channel tells, and no rule sees it
    assert metrics["test_tickets"] == 120
    assert metrics["optimal_threshold_low"] <= metrics["optimal_threshold"]
    assert metrics["optimal_threshold"] <= metrics["optimal_threshold_high"]
    assert "regret" not in metrics
    assert "decision_threshold" not in metrics


def test_the_loss_is_that_of_the_rule_by_hand(export, composed, judge):
    """Each ticket against its own break-even probability: cost / (0.8 * breach cost)."""
    export(None)
    trained = judge()
    cost = {"Critical": 500, "High": 200, "Normal": 50}
    lost = 0.0
    for ticket, probability in zip(trained.test.itertuples(), trained.probability, strict=True):
        breach_cost = cost[ticket.priority]
        escalate = probability > 20 / (0.8 * breach_cost)
        if escalate:
            lost += 20 + (0.2 * breach_cost if ticket.breach else 0)
        elif ticket.breach:
            lost += breach_cost
    assert trained.metrics["expected_loss"] == pytest.approx(lost)


@pytest.fixture
def judge(composed):
    def judge_here(*overrides):
        config = composed(*HERE, *overrides)
        return job.fit_and_evaluate(config, prepare(config))

    return judge_here


@pytest.mark.slow
def test_one_threshold_is_chosen_on_training_tickets_alone(export, judge):
    """Another outcome of the test tickets moves no threshold but the grid's."""
    place = export(None)
    before = {kind: judge(f"decision={kind}").metrics for kind in ("threshold", "grid")}
    table = pd.read_csv(place / "tickets.csv")
    test = table.index >= 480
    soon = pd.to_datetime(table["Created At"]) + pd.Timedelta(hours=1)
    table.loc[test, "Time to Resolution"] = soon[test].dt.strftime("%Y-%m-%d %H:%M:%S")
    table.to_csv(place / "tickets.csv", index=False)
    after = {kind: judge(f"decision={kind}").metrics for kind in ("threshold", "grid")}

    for key in ("decision_threshold", "optimal_threshold", "objective"):
        assert before["threshold"][key] == after["threshold"][key]
    assert before["threshold"]["decision_threshold"] == before["threshold"]["optimal_threshold"]
    assert before["grid"]["decision_threshold"] != after["grid"]["decision_threshold"]


def test_capacity_escalates_no_more_a_day(export, judge):
    export(None)
    trained = judge("decision=capacity", "decision.per_day=1")
    free = judge("decision=capacity", "decision.per_day=99")
    days = trained.test["created_at"].dt.date.nunique()
    escalated = trained.metrics["escalation_rate"] * len(trained.test)
    assert 0 < escalated <= days < free.metrics["escalation_rate"] * len(trained.test) + days
    assert trained.metrics["escalation_rate"] < free.metrics["escalation_rate"]


@pytest.mark.slow
def test_what_was_decided_at_other_costs_is_paid_at_the_true_ones(export, judge):
    """Escalations cost $40 and were taken to cost $20: the same ones, each $20 dearer."""
    export(None)
    assumed = judge("cost.escalation_cost=20").metrics
    true = judge("cost.escalation_cost=40").metrics
    wrong = judge("cost.escalation_cost=40", "decision.break_even_factor=0.5").metrics

    for key in ("escalation_rate", "missed_breaches", "false_alarms"):
        assert wrong[key] == assumed[key] != true[key]
    escalated = wrong["escalation_rate"] * wrong["test_tickets"]
    assert wrong["expected_loss"] == pytest.approx(assumed["expected_loss"] + 20 * escalated)
    assert wrong["best_baseline_loss"] == true["best_baseline_loss"]


def test_the_model_remembers_whom_it_met(export, judge):
    export(None)
    trained = judge()
    seen = trained.bundle.seen
    assert seen["origin"].value_counts().to_dict() == {
        "out_of_fold": len(trained.training),
        "test": len(trained.test),
    }
    assert seen["probability"].notna().sum() == len(trained.training)
    in_sample = trained.bundle.model.probability(trained.training)
    out_of_fold = seen.loc[seen["origin"] == "out_of_fold", "probability"]
    assert not np.isclose(in_sample, out_of_fold.to_numpy()).all()


# Fingerprints -----------------------------------------------------------------------------------


@pytest.fixture
def grounds(composed, export):
    export(None)

    def fingerprint(*overrides):
        config = composed(*HERE, *overrides)
        tickets = prepare_tickets(config.data, config.sla, config.cost)
        return fingerprint_inputs(config, tickets, hold_out(tickets.frame, config.split))

    return fingerprint


@pytest.mark.parametrize(
    "same",
    [
        ["model=rf"],
        ["features=customer"],
        ["calibration=sigmoid", "decision=threshold"],
        ["split.folds=3"],
        ["evaluation.seed=1"],
        ["tracking.experiment=other"],
    ],
    ids=" ".join,
)
def test_runs_on_the_same_ground_share_their_fingerprints(grounds, same):
    assert grounds(*same) == grounds()


@pytest.mark.parametrize(
    ("other", "changed"),
    [
        (["split.test_size=0.3"], {"split_fingerprint"}),
        (["split=random"], {"split_fingerprint"}),
        (["cost=notebook"], {"policy_fingerprint"}),
        (["cost.effectiveness=0.7"], {"policy_fingerprint"}),
        (["sla.costs.Critical=501"], {"policy_fingerprint"}),
        (["data.costs.breach=customer_age"], {"policy_fingerprint"}),
        (["data.label.observed_at=2030-01-01"], {"policy_fingerprint"}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_other_ground_has_other_fingerprints(grounds, other, changed):
    before, after = grounds(), grounds(*other)
    assert {name for name in before if before[name] != after[name]} == changed


def test_fingerprints_follow_the_content_and_not_the_place(grounds, place):
    before = grounds()
    (place / "elsewhere").mkdir()
    table = pd.read_csv(place / "tickets.csv")
    table.to_parquet(place / "elsewhere" / "renamed.parquet")
    assert grounds("data.path=elsewhere/renamed.parquet") == before
    table.loc[599, "Product Purchased"] = "Toaster"
    table.to_csv(place / "tickets.csv", index=False)
    after = grounds()
    assert {name for name in before if before[name] != after[name]} == {"data_fingerprint"}


# What is refused --------------------------------------------------------------------------------


def damage(column, value, rows=slice(None, 1)):
    def change(table):
        table.loc[table.index[rows], column] = value
        return table

    return change


AGE, NONE = "data.costs.breach=customer_age", ["max_rejected=0"]
WRONG = {
    "missing file": (None, ["data.path=nowhere.csv"], "nowhere.csv: no such file"),
    "missing column": (lambda t: t.drop(columns="Ticket Channel"), [], "'Ticket Channel'"),
    "header only": (lambda t: t.iloc[:0], [], "only a header"),
    "one class only": (
        None,
        ["sla.targets.Critical=999", "sla.targets.High=999", "sla.targets.Normal=999"],
        "rarer class|nothing to learn",
    ),
    "unreadable dates": (
        damage("Created At", "soon", slice(None)),
        [],
        "(?=.*Created At)(?=.*row 1)",
    ),
    "unknown priority": (damage("Ticket Priority", "Urgent"), [], "row 1: .*'Urgent'"),
    "no rejects, duplicate ids": (
        damage("Ticket ID", "T0005"),
        NONE,
        "'T0005' in tickets.csv, row 1 and row",
    ),
    "no rejects, negative cost": (damage("Customer Age", "-5"), [*NONE, AGE], "'-5'"),
    "no rejects, missing cost": (damage("Customer Age", ""), [*NONE, AGE], "row 1: "),
    "no rejects, text for a cost": (damage("Customer Age", "dear"), [*NONE, AGE], "'dear'"),
    "unknown key": (None, ["split.sized=3"], "sized"),
    "late feature": (None, ["features.categorical=[resolved_at]"], "known at: resolved"),
    "unlisted feature": (None, ["features.categorical=[status]"], "known at: never"),
    "wrong number of draws": (None, ["evaluation.bootstrap_draws=0"], "bootstrap_draws=0"),
    "wrong confidence": (None, ["evaluation.confidence=95"], "confidence=95"),
    "wrong capacity": (None, ["decision=capacity", "decision.per_day=-1"], "per_day=-1"),
    "wrong sample": (None, ["evaluation.importance_tickets=0"], "importance_tickets=0"),
    "wrong share": (None, ["split.test_size=2"], "split.test_size=2"),
    "negative costs": (None, ["cost.escalation_cost=-1"], "escalation_cost=-1"),
    "no truth": (None, ["data.truth=nowhere.csv"], "data.truth=nowhere.csv"),
    "no class": (None, ["model._target_=sklearn.nothing"], "sklearn.nothing"),
    "no store": (None, ["tracking.uri=sqlite:///nowhere/mlflow.db"], "no folder nowhere"),
}


@pytest.mark.parametrize(("change", "overrides", "told"), WRONG.values(), ids=WRONG)
def test_wrong_input_is_one_message_and_no_run(export, run, change, overrides, told):
    export(change)
    ended = run("train", *HERE, *overrides)
    assert ended.code == 2
    assert ended.out == ""
    assert ended.err.startswith("error")
    assert re.search(told, ended.err)
    assert "Traceback" not in ended.err
    if not overrides or not overrides[0].startswith(("split.sized", "sla.targets")):
        assert ended.err.count("\n") == 1
    assert [found for found in all_runs() if "sla.targets" not in str(overrides)] == []


FILES = {
    "binary": ("t.csv", os.urandom(500) + b"\0" * 9, "binary file"),
    "latin-1": ("t.csv", "Ticket ID,Zürich\n1,ü\n".encode("latin-1"), "data.encoding"),
    "empty": ("t.csv", b"", "empty"),
    "truncated zip": ("t.zip", b"PK\x03\x04" + b"\0" * 50, "damaged or cut short"),
    "false parquet": ("t.parquet", b"PAR1 not at all", "Parquet"),
}


@pytest.mark.parametrize(("name", "content", "told"), FILES.values(), ids=FILES)
def test_a_file_that_cannot_be_read_is_told(place, run, name, content, told):
    (place / name).write_bytes(content)
    ended = run("train", *HERE, f"data.path={name}")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith(f"error: {name}")
    assert told in ended.err
    assert ended.err.count("\n") == 1
    assert all_runs() == []


def test_a_decision_policy_is_checked_before_anything_is_read(composed):
    config = composed("decision=capacity", "decision.per_day=null", "data.path=nowhere.csv")
    with pytest.raises(InputError, match=r"decision\.per_day"):
        prepare(config)


def test_a_feature_is_known_by_the_prediction_moment(composed):
    late = ["features.days_since=[first_response_at]", "features=notebook"]
    with pytest.raises(InputError, match="known at: first_response"):
        validate_feature_moments(composed(*late))
    validate_feature_moments(composed(*late, "moment=first_response"))


def test_the_truth_is_read_by_ticket(tmp_path):
    path = tmp_path / "truth.csv"
    tickets = pd.DataFrame({"ticket_id": ["b", "a"]})
    path.write_text("ticket_id,breach_probability\na,0.25\nb,0.5\nc,1\n")
    truth = read_truth(str(path), tickets)
    assert truth.probability.tolist() == [0.5, 0.25]
    assert truth.median_hours is None
    assert read_truth(None, tickets) is None
    assert read_truth(str(path), pd.DataFrame({"ticket_id": ["a", "z"]})) is None
    for wrong in (
        "id,p\na,1\n",
        "ticket_id,breach_probability\na,0.1\na,0.2\n",
        "ticket_id,breach_probability\na,x\n",
        "",
    ):
        path.write_text(wrong)
        with pytest.raises(InputError, match=r"data\.truth=.*truth\.csv"):
            read_truth(str(path), tickets)


# How a run ends that does not end well ----------------------------------------------------------


def test_a_model_that_cannot_be_fitted_fails_the_run(export, run):
    export(None)
    ended = run("train", *HERE, "model.C=-1")
    assert ended.code == 2
    assert "C" in ended.err
    (found,) = all_runs()
    assert found.info.status == "FAILED"
    assert found.data.tags["failure"] in ended.err
    assert "config.yaml" in artifacts(found)  # enough to explain it


def test_a_bug_fails_the_run_and_keeps_its_traceback(export, run, monkeypatch):
    export(None)
    monkeypatch.setattr(job, "fit_and_evaluate", lambda *_: 1 / 0)
    ended = run("train", *HERE)
    assert ended.code == 70
    assert "ZeroDivisionError" in ended.err
    (found,) = all_runs()
    assert found.info.status == "FAILED"
    assert found.data.tags["failure"].startswith("ZeroDivisionError in test_train.py, line ")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_run_is_killed(export, run, monkeypatch, number):
    export(None)
    monkeypatch.setattr(job, "fit_and_evaluate", lambda *_: os.kill(os.getpid(), number))
    ended = run("train", *HERE)
    assert (ended.code, ended.out, ended.err) == (130, "", "interrupted\n")
    (found,) = all_runs()
    assert (found.info.status, found.data.tags["failure"]) == ("KILLED", "interrupted")


def test_a_run_is_finished_before_it_is_told(export, train_on, monkeypatch):
    """`python train.py | head -0`: nobody listens, but the run is complete."""
    export(None)

    def gone(*_):
        raise BrokenPipeError

    monkeypatch.setattr(command, "print_result", gone)
    with pytest.raises(BrokenPipeError):
        train_on()
    (found,) = all_runs()
    assert found.info.status == "FINISHED"


# Several runs -----------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_grid_gives_each_choice_a_run_of_its_own(export, run):
    export(None)
    ended = run("train", "-m", *HERE, "model=lr,gbm")
    assert (ended.code, ended.err) == (0, "")
    runs = [found for found in all_runs() if "model" in found.data.params]
    assert sorted(found.data.params["model"] for found in runs) == ["gbm", "lr"]
    assert {found.info.status for found in runs} == {"FINISHED"}
    assert len({found.data.tags["split_fingerprint"] for found in runs}) == 1


@pytest.mark.slow
def test_a_grid_with_a_bad_choice_tells_which_and_runs_the_others(export, run):
    export(None)
    ended = run("train", "-m", *HERE, "split.folds=1,3")
    assert ended.code == 2
    assert "split.folds=1" in ended.err
    assert ended.err.endswith("1 of 2 jobs failed: split.folds=1: must be at least 2.\n")
    assert "Traceback" not in ended.err
    runs = [found for found in all_runs() if found.data.params.get("split.folds") == "3"]
    assert [found.info.status for found in runs] == ["FINISHED"]


def test_a_run_is_named_by_its_choices(composed):
    config = composed("model=gbm")
    config.choices = {"model": "gbm"}
    assert name_run(config) == "gbm notebook sample"
    config = composed("features=calendar", "decision=threshold", "calibration=isotonic")
    assert name_run(config) == "RandomForestClassifier calendar sample threshold isotonic"
