"""The run's description in the MLflow UI, and what train.py prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slarisk.checks.check import Verdict, list_problems
from slarisk.decisions.costs import dollars
from slarisk.evaluation.baselines import BASELINE_WORDS
from slarisk.evaluation.metrics import format_money_interval

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from slarisk.checks.check import Check
    from slarisk.training.result import TrainingResult


def write_summary(result: TrainingResult) -> str:
    """Write a run's description in Markdown: what was trained, what it loses, what to doubt."""
    return "\n".join(
        [
            f"**{headline(result)}**",
            "",
            *_loss_table(result.metrics),
            "",
            *_list_facts(result),
            "",
            *_say_checks(result.checks),
        ]
    )


def headline(result: TrainingResult) -> str:
    """Say in one sentence what the run is worth."""
    metrics = result.metrics
    rule = BASELINE_WORDS[result.evaluation.best_baseline]
    name = result.bundle.manifest.model_name
    return (
        f"{name} loses {dollars(metrics['expected_loss'])} on {int(metrics['test_tickets']):,} "
        f"test tickets; the best trivial rule ({rule}) loses "
        f"{dollars(metrics['best_baseline_loss'])}. "
        f"Value {format_money_interval(metrics, 'value_over_baseline')}."
    )


def _loss_table(metrics: Mapping[str, float]) -> list[str]:
    tickets = metrics["test_tickets"]
    rows = [("**this run**", metrics["expected_loss"])]
    rows += [(words, metrics[f"baseline_{name}_loss"]) for name, words in BASELINE_WORDS.items()]
    rows.sort(key=lambda row: row[1])
    lines = ["| decision | loss on test | per ticket |", "|---|---:|---:|"]
    lines += [f"| {words} | {dollars(loss)} | ${loss / tickets:,.2f} |" for words, loss in rows]
    return lines


def _list_facts(result: TrainingResult) -> list[str]:
    config, metrics = result.config, result.metrics
    dropped = ", ".join(f"{reason} {n:,}" for reason, n in result.tickets.dropped.items())
    left_out = ", ".join(f"{reason} {n:,}" for reason, n in result.left_out.items())
    lines = [
        f"- data: {config.data.name}, {result.tickets.rows_in:,} tickets in, "
        f"{len(result.tickets.frame):,} labelled" + (f" (dropped: {dropped})" if dropped else ""),
        f"- split: {config.split.name.value}, trained on {len(result.training):,} tickets "
        f"({format_period(result.training)}), tested on {len(result.test):,} "
        f"({format_period(result.test)})" + (f"; left out: {left_out}" if left_out else ""),
        f"- features: {config.features.name}; calibration: {config.calibration.name.value}",
        f"- decision: {result.bundle.manifest.policy.describe()}; "
        f"escalates {metrics['escalation_rate']:.1%}, "
        f"{int(metrics['false_alarms']):,} false alarms, "
        f"{int(metrics['missed_breaches']):,} missed breaches",
        f"- one threshold for all would be {metrics['optimal_threshold']:.3f} "
        f"[{metrics['optimal_threshold_low']:.3f} to {metrics['optimal_threshold_high']:.3f}], "
        "chosen out of fold",
        f"- costs: escalation ${config.cost.escalation_cost:g}, charged "
        f"{config.cost.charged:.0%} on true breaches, averts {config.cost.effectiveness:.0%}; "
        f"breach costs by sla={config.sla.name}",
    ]
    if "roc_auc" in metrics:
        lines.append(
            f"- ROC AUC {metrics['roc_auc']:.3f}, PR AUC {metrics['pr_auc']:.3f}, "
            f"Brier {metrics['brier']:.3f}, calibration error {metrics['calibration_error']:.3f}"
        )
    if "regret" in metrics:
        lines.append(
            f"- regret {metrics['regret']:.2f}: 0 is what the true probabilities lose, 1 the best "
            "trivial rule"
        )
    return lines


def format_period(tickets: pd.DataFrame) -> str:
    """Say when the first and the last of some tickets were created."""
    created = tickets["created_at"]
    if created.isna().all():
        return "no dates"
    return f"{created.min():%Y-%m-%d} to {created.max():%Y-%m-%d}"


def _say_checks(checks: Sequence[Check]) -> list[str]:
    doubts = [f"- {line}" for line in list_problems(checks)]
    passed = [check.code for check in checks if check.verdict is Verdict.ok]
    if not doubts:
        return [f"No check raised a doubt ({len(passed)} checks, figures in `checks.csv`)."]
    return [*doubts, f"- ok {' '.join(passed)}: figures in `checks.csv`"]
