"""What a training run logs to MLflow, item by item."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from slarisk.checks.check import Verdict, list_codes, tabulate_checks
from slarisk.decisions.policies import find_policy, list_parameters
from slarisk.evaluation.baselines import BASELINE_WORDS
from slarisk.learning.features import feature_fields
from slarisk.reports.plots import (
    plot_calibration,
    plot_importance,
    plot_loss_by_age,
    plot_loss_curve,
    plot_precision_recall,
    plot_roc,
)
from slarisk.tracking.items import Dataset, Item, Metrics, Model, Params, Plot, Table, Tags, Text
from slarisk.tracking.runs import write_config
from slarisk.tracking.source import write_versions
from slarisk.tracking.tags import (
    BASELINE_TAG,
    CHECKS_FILE,
    CONFIG_FILE,
    DESCRIPTION_TAG,
    DIFF_FILE,
    FAILED_CHECKS_TAG,
    OPTIMISTIC_TAG,
    VERSIONS_FILE,
    WARNINGS_TAG,
)
from slarisk.training.summary import format_summary

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slarisk.config import TrainConfig
    from slarisk.evaluation.importance import Importance
    from slarisk.tracking.source import Source
    from slarisk.training.result import TrainingResult


def describe_choices(config: TrainConfig) -> dict[str, str]:
    """Flatten the choices of a run and its tuned values into params."""
    params = dict(config.choices)
    params |= {f"model.{key}": str(value) for key, value in config.model.items()}
    params |= {
        "moment": config.moment.value,
        "cost.escalation_cost": str(config.cost.escalation_cost),
        "cost.charged": str(config.cost.charged),
        "cost.effectiveness": str(config.cost.effectiveness),
        "cost.effect": config.cost.effect.value,
        "split.folds": str(config.split.folds),
        "split.seed": str(config.split.seed),
    }
    for key in ("test_size", "test_from", "test_until"):
        if (value := getattr(config.split, key)) is not None:
            params[f"split.{key}"] = str(value)
    parameters = list_parameters(config.decision)
    return params | {f"decision.{key}": str(value) for key, value in parameters.items()}


def start_items(config: TrainConfig, source: Source) -> Iterator[Item]:
    """What is known before anything is fitted, so that a failed run can be explained too."""
    yield Params(describe_choices(config))
    yield Text(CONFIG_FILE, write_config(config))
    yield Text(VERSIONS_FILE, write_versions())
    if source.dirty:
        yield Text(DIFF_FILE, source.diff)


def result_items(result: TrainingResult) -> Iterator[Item]:
    """What the run found out, in figures and words."""
    yield Metrics(result.all_metrics)
    yield Tags(
        {
            BASELINE_TAG: result.evaluation.best_baseline,
            OPTIMISTIC_TAG: str(result.optimistic).lower(),
            WARNINGS_TAG: list_codes(result.checks, Verdict.warning),
            FAILED_CHECKS_TAG: list_codes(result.checks, Verdict.failed),
            DESCRIPTION_TAG: format_summary(result),
        }
    )
    yield Table(CHECKS_FILE, tabulate_checks(result.checks))
    yield Table("tickets.csv", count_tickets(result))
    if result.followed is not None:
        yield Table("landmarks.csv", result.followed.table)
    yield from _dataset(result)
    if result.config.choices.get("experiment"):
        yield Tags({"recipe": result.config.choices["experiment"]})


def model_items(result: TrainingResult, importance: Importance | None) -> Iterator[Item]:
    """The model itself, and the plots that show how it works."""
    yield from _plots(result, importance)
    if importance is not None:
        yield Table("importance.csv", _tabulate_importance(importance))
    yield Model(result.bundle)


def count_tickets(result: TrainingResult) -> pd.DataFrame:
    """Account for every ticket of the export: where it went, and why."""
    rows = [("rows in", result.tickets.rows_in), ("labelled", len(result.tickets.frame))]
    rows += [(f"dropped: {reason}", count) for reason, count in result.tickets.dropped.items()]
    for column, counts in result.tickets.precision.items():
        rows += [(f"{column}, written to the {word}", count) for word, count in counts.items()]
    rows += [("training", len(result.training)), ("test", len(result.test))]
    rows += [(f"left out: {reason}", count) for reason, count in result.left_out.items()]
    return pd.DataFrame(rows, columns=["tickets", "count"])


def _dataset(result: TrainingResult) -> Iterator[Item]:
    config = result.config
    fields = [name for name in feature_fields(config.features) if name in result.training]
    frame = result.tickets.frame
    yield Dataset(
        name=config.data.name,
        source=config.data.path,
        fingerprint=result.tickets.fingerprint,
        frame=frame[fields].assign(breach=frame["breach"]),
        target="breach",
        context="training",
    )


def _plots(result: TrainingResult, importance: Importance | None) -> Iterator[Item]:
    breach, probability = result.test["breach"].to_numpy(), result.probability
    metrics = result.metrics
    yield Plot("plots/roc.png", plot_roc(breach, probability))
    yield Plot("plots/precision_recall.png", plot_precision_recall(breach, probability))
    yield Plot("plots/calibration.png", plot_calibration(breach, probability))
    losses = {
        BASELINE_WORDS[rule]: float(each.sum())
        for rule, each in result.evaluation.baseline_losses.items()
    }
    yield Plot(
        "plots/loss_by_threshold.png",
        plot_loss_curve(
            result.curve,
            chosen=metrics["optimal_threshold"],
            low=metrics["optimal_threshold_low"],
            high=metrics["optimal_threshold_high"],
            baselines=losses,
            decision_loss=metrics["expected_loss"],
            title=f"Loss by threshold, {len(breach):,} test tickets",
            decision_label=find_policy(result.config.decision).label,
        ),
    )
    if result.followed is not None and len(result.followed.timers):
        names = ("priority", "timer")
        lines = {BASELINE_WORDS[name]: losses[BASELINE_WORDS[name]] for name in names}
        lines[find_policy(result.config.decision).label] = metrics["expected_loss"]
        title = f"Loss by age, {len(breach):,} test tickets"
        yield Plot("plots/loss_by_age.png", plot_loss_by_age(result.followed.timers, lines, title))
    if importance is not None:
        plot = plot_importance(importance.names, importance.mean, importance.std)
        yield Plot("plots/importance.png", plot)


def _tabulate_importance(importance: Importance) -> pd.DataFrame:
    return pd.DataFrame(
        {"feature": importance.names, "mean": importance.mean, "std": importance.std}
    )
