"""Evaluation of probabilities and decisions on held-out tickets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from slarisk.arrays import Bools, Floats
from slarisk.decisions.costs import CostMatrix
from slarisk.decisions.policies import PerTicket
from slarisk.evaluation.metrics import decision_metrics, probability_metrics
from slarisk.stats.bootstrap import paired_interval


@dataclass(frozen=True, eq=False)
class EvaluationResult:
    """Losses and metrics of decisions on n held-out tickets, and of the baselines.

    Parameters
    ----------
    metrics : dict
        The metrics of the probabilities and of the decisions, each baseline's loss, the value over
        the best of them, and the intervals. One that is undefined on these tickets is left out.
    best_baseline : str
        The baseline that loses least; of equals the first.
    losses : array of shape (n,)
        Dollars that the decision lost on each ticket.
    baseline_losses : dict of arrays of shape (n,)
        The same for each baseline.
    """

    metrics: dict[str, float]
    best_baseline: str
    losses: Floats
    baseline_losses: dict[str, Floats]


def evaluate(
    breach: Bools,
    probability: Floats,
    escalate: Bools,
    costs: CostMatrix,
    baselines: Mapping[str, Bools],
    draws: int,
    confidence: float,
    seed: int,
    truth: Floats | None = None,
) -> EvaluationResult:
    """Evaluate probabilities and decisions against the labels and the baselines.

    Parameters
    ----------
    breach : bool array of shape (n,)
        Whether each ticket breached, or would have if left; n at least 1.
    probability : array of shape (n,)
        The model's probability of breach.
    escalate : bool array of shape (n,)
        The decision.
    costs : CostMatrix
        Of the same n tickets.
    baselines : mapping of str to bool array of shape (n,)
        What each baseline would escalate; at least one.
    draws, confidence, seed
        Of the bootstrap intervals of the loss and of ``value_over_baseline``.
    truth : array of shape (n,), optional
        The true probabilities, where the data is synthetic; gives ``regret``.
    """
    losses = costs.losses(breach, escalate)
    baseline_losses = {name: costs.losses(breach, baselines[name]) for name in baselines}
    totals = {name: float(values.sum()) for name, values in baseline_losses.items()}
    best = min(totals, key=totals.__getitem__)
    metrics = {
        **probability_metrics(breach, probability),
        **decision_metrics(breach, escalate, costs),
        **{f"baseline_{name}_loss": total for name, total in totals.items()},
        "best_baseline_loss": totals[best],
        **_interval("expected_loss", losses, draws, confidence, seed),
        "value_over_baseline": float((baseline_losses[best] - losses).sum()),
        **_interval("value_over_baseline", baseline_losses[best] - losses, draws, confidence, seed),
        "breach_rate": float(breach.mean()),
        "test_tickets": float(len(breach)),
    }
    if truth is not None:
        true_loss = float(costs.losses(breach, PerTicket().decide(truth, costs)).sum())
        metrics |= _regret(float(losses.sum()), true_loss, totals[best])
    return EvaluationResult(metrics, best, losses, baseline_losses)


def _interval(
    name: str, amounts: Floats, draws: int, confidence: float, seed: int
) -> dict[str, float]:
    """Bootstrap the interval of a sum of dollars over the tickets."""
    low, high = paired_interval(amounts, draws, confidence, np.random.default_rng(seed))
    return {f"{name}_low": low, f"{name}_high": high}


def _regret(loss: float, true_loss: float, baseline_loss: float) -> dict[str, float]:
    """Measure the share of what the true probabilities would save that is not saved.

    Undefined where the true probabilities lose more than the baseline by chance.
    """
    winnable = baseline_loss - true_loss
    return {"regret": (loss - true_loss) / winnable} if winnable > 0 else {}
