import json

import numpy as np
import pytest
from omegaconf import OmegaConf

from slarisk.checks.check import Check, Verdict, read_checks, tabulate_checks
from slarisk.tracking.items import Dataset, Metrics, Model, Params, Plot, Table, Tags, Text
from slarisk.tracking.runs import write_config
from slarisk.tracking.source import Source, identify_source
from slarisk.training.items import describe_choices, result_items, start_items

CLEAN, DIRTY = Source("abc", ""), Source("abc", "diff --git a b\n")


@pytest.fixture(scope="module")
def items(judged, report):
    return report(judged)


def of_kind(items, kind):
    return [item for item in items if isinstance(item, kind)]


def test_params_are_the_choices_and_the_tuned_values_flat(judged):
    params = describe_choices(judged.config)
    assert params["data"] == "sample"
    assert params["model"] == "lr"
    assert params["model._target_"] == "sklearn.linear_model.LogisticRegression"
    assert params["model.C"] == "1.0"
    assert params["cost.escalation_cost"] == "20.0"
    assert params["split.test_size"] == "0.2"
    assert params["moment"] == "created"
    assert all(isinstance(value, str) for value in params.values())
    assert "split.test_from" not in params
    assert "decision.per_day" not in params


def test_params_name_what_only_some_runs_have(composed):
    config = composed("data=servicenow", "decision=capacity", "decision.per_day=7")
    params = describe_choices(config)
    assert params["split.test_from"] == "2016-05-01"
    assert params["split.test_until"] == "2016-06-01"
    assert params["decision.per_day"] == "7"


def test_a_run_begins_with_its_config(judged):
    params, config, versions = start_items(judged.config, CLEAN)
    assert isinstance(params, Params)
    assert config.path == "config.yaml"
    assert OmegaConf.create(config.text).split.folds == 5
    assert versions.path == "versions.json"
    assert json.loads(versions.text)["numpy"] == np.__version__


def test_the_config_is_whole_but_for_the_address_of_the_store(composed):
    config = composed("tracking.uri=postgresql://me:secret@host/db")
    text = write_config(config)
    assert "secret" not in text
    written = OmegaConf.to_container(OmegaConf.create(text))
    config.tracking.uri = None
    assert written == OmegaConf.to_container(OmegaConf.structured(config), enum_to_str=True)


def test_uncommitted_changes_are_kept_only_if_there_are_any(judged):
    def texts(source):
        return {item.path: item.text for item in of_kind(start_items(judged.config, source), Text)}

    assert set(texts(CLEAN)) == {"config.yaml", "versions.json"}
    assert texts(DIRTY)["uncommitted.diff"] == DIRTY.diff
    assert identify_source(CLEAN) == {"git_commit": "abc", "git_dirty": "false"}
    assert identify_source(DIRTY)["git_dirty"] == "true"


def test_the_metrics_of_the_design_are_reported(items):
    metrics = {}
    for item in of_kind(items, Metrics):
        metrics |= item.values
    assert {
        *("roc_auc", "pr_auc", "brier", "log_loss", "calibration_error"),
        *("optimal_threshold", "optimal_threshold_low", "optimal_threshold_high"),
        *("expected_loss", "expected_loss_per_ticket", "savings", "escalation_rate"),
        *("missed_breaches", "false_alarms", "baseline_never_loss", "baseline_always_loss"),
        *("baseline_priority_loss", "baseline_segment_loss", "best_baseline_loss"),
        *("value_over_baseline", "value_over_baseline_low", "value_over_baseline_high"),
        *("train_tickets", "test_tickets", "breach_rate", "objective"),
    } <= set(metrics)
    assert metrics["train_tickets"] + metrics["test_tickets"] == 600 - left_out(items)
    baselines = [metrics[f"baseline_{name}_loss"] for name in ("never", "always", "priority")]
    assert metrics["best_baseline_loss"] <= min(baselines)


def left_out(items):
    (table,) = [item.frame for item in of_kind(items, Table) if item.path == "tickets.csv"]
    counts = table.set_index("tickets")["count"]
    assert counts["rows in"] == 600
    return counts[counts.index.str.startswith(("left out", "dropped"))].sum()


def test_the_verdict_is_in_the_tags(items, judge_tickets):
    (tags,) = of_kind(items, Tags)
    assert tags.values["optimistic"] == "false"
    assert tags.values["failed_checks"] == "none"
    assert tags.values["best_baseline"] in {"never", "always", "priority", "segment"}
    assert tags.values["mlflow.note.content"].startswith("**lr loses $")
    grid = judge_tickets("decision=grid", "evaluation.importance_repeats=0")
    (tags,) = of_kind(result_items(grid), Tags)
    assert tags.values["optimistic"] == "true"
    assert tags.values["failed_checks"] == "SR002"


def test_the_plots_lie_under_plots(items):
    assert {item.path for item in of_kind(items, Plot)} == {
        "plots/roc.png",
        "plots/precision_recall.png",
        "plots/calibration.png",
        "plots/loss_by_threshold.png",
        "plots/importance.png",
    }


def test_checks_are_a_table():
    table = tabulate_checks([Check("SR001", "title", Verdict.ok, "detail")])
    assert table.to_dict("records") == [
        {"code": "SR001", "check": "title", "verdict": "ok", "detail": "detail"}
    ]


def test_the_data_set_is_the_features_and_the_label(items, judged):
    (dataset,) = of_kind(items, Dataset)
    assert dataset.name == "sample"
    assert dataset.fingerprint == judged.tickets.fingerprint
    assert dataset.target == "breach"
    assert set(dataset.frame) == {
        *("ticket_type", "priority", "channel", "product", "subject", "created_at", "breach")
    }


def test_nobody_is_named(items, judged):
    for item in [*items, *start_items(judged.config, CLEAN)]:
        text = repr(item)
        if isinstance(item, Table | Dataset):
            text = item.frame.to_csv()
        if isinstance(item, Model):
            text = item.bundle.seen.to_csv() + repr(item.bundle.manifest)
        for secret in ("Ada", "Lovelace", "ada@example.com", "diary"):
            assert secret not in text


def test_checks_are_read_as_they_were_written():
    checks = [
        Check("SR001", "title", Verdict.warning, 'Saves $1,000: "luck", so to say.'),
        Check("SR002", "NA", Verdict.ok, "1.0"),
    ]
    assert read_checks(tabulate_checks(checks).to_csv(index=False)) == checks
