"""The description of a training run in the MLflow UI, and its headline."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slarisk.checks.check import Verdict, list_problems
from slarisk.decisions.costs import dollars
from slarisk.decisions.effect import describe_effect
from slarisk.evaluation.baselines import BASELINE_WORDS
from slarisk.reports.formats import format_money_interval
from slarisk.reports.markdown import render_markdown
from slarisk.times.clock import describe_clock
from slarisk.times.zones import show_local

if TYPE_CHECKING:
    import pandas as pd

    from slarisk.config import DataPolicy
    from slarisk.training.result import TrainingResult


def headline(result: TrainingResult) -> str:
    """Format in one sentence what the run loses, beside the best trivial rule."""
    metrics, best = result.metrics, result.evaluation.best_baseline
    rule = BASELINE_WORDS[best]
    if best == "timer":
        rule += f": {result.evaluation.timer}"
    return (
        f"{result.bundle.manifest.model_name} loses {dollars(metrics['expected_loss'])} on "
        f"{int(metrics['test_tickets']):,} test tickets; the best trivial rule ({rule}) loses "
        f"{dollars(metrics['best_baseline_loss'])}. "
        f"Value {format_money_interval(metrics, 'value_over_baseline')}."
    )


def format_summary(result: TrainingResult) -> str:
    """Format the description of a run in Markdown: its loss, its choices, problems found."""
    metrics = result.metrics
    rules = [name for name in BASELINE_WORDS if f"baseline_{name}_loss" in metrics]
    losses = {BASELINE_WORDS[name]: metrics[f"baseline_{name}_loss"] for name in rules}
    losses["**this run**"] = metrics["expected_loss"]
    return render_markdown(
        "run.md.j2",
        headline=headline(result),
        losses=sorted(losses.items(), key=lambda pair: pair[1]),
        metrics=metrics,
        config=result.config,
        timer=result.evaluation.timer,
        effect=describe_effect(result.config.cost),
        clock=describe_clock(result.config.sla, result.config.data.timezone),
        tickets=result.tickets,
        left_out=result.left_out,
        notes=result.notes,
        training=result.training,
        training_period=format_period(result.training, result.config.data),
        test=result.test,
        test_period=format_period(result.test, result.config.data),
        decision=result.bundle.manifest.policy.describe(),
        problems=list_problems(result.checks),
        passed=[check.code for check in result.checks if check.verdict is Verdict.ok],
    )


def format_period(tickets: pd.DataFrame, data: DataPolicy) -> str:
    """Format the days on which the first and the last of some tickets were created."""
    created = show_local(tickets["created_at"], data.timezone)
    if created.isna().all():
        return "no dates"
    return f"{created.min():%Y-%m-%d} to {created.max():%Y-%m-%d}"
