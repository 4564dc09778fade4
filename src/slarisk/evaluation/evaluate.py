"""Evaluation of probabilities and decisions on held-out tickets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from slarisk.arrays import Bools, Floats
from slarisk.decisions.costs import CostMatrix
from slarisk.evaluation.baselines import AT_CREATION, Baselines
from slarisk.evaluation.metrics import decision_metrics, probability_metrics
from slarisk.evaluation.regret import Truth
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
    timer : str
        When the learnt timer escalates, in words; empty where there are no timers.
    """

    metrics: dict[str, float]
    best_baseline: str
    losses: Floats
    baseline_losses: dict[str, Floats]
    timer: str


def evaluate(
    breach: Bools,
    probability: Floats,
    escalate: Bools,
    costs: CostMatrix,
    baselines: Baselines,
    draws: int,
    confidence: float,
    seed: int,
    truth: Truth | None = None,
    at: Floats | None = None,
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
    baselines : Baselines
        What each rule does with the same n tickets.
    draws, confidence, seed
        Of the bootstrap intervals of the loss and of ``value_over_baseline``.
    truth : Truth, optional
        The true risk, where the data is synthetic; gives ``regret_at_creation``, and ``regret``
        where it is known how long tickets take.
    at : array of shape (n,), optional
        The age in hours at which each ticket is escalated, if it is; None: at creation.
    """
    at = np.zeros(len(breach)) if at is None else at
    escalate = escalate & (baselines.timed.times.open_hours > at)
    losses = baselines.timed.losses(breach, np.where(escalate, at, np.inf))
    baseline_losses = baselines.losses(breach)
    totals = {name: float(values.sum()) for name, values in baseline_losses.items()}
    best = min(totals, key=totals.__getitem__)
    metrics = {
        **probability_metrics(breach, probability),
        **decision_metrics(breach, escalate, costs, losses),
        **{f"baseline_{name}_loss": total for name, total in totals.items()},
        "best_baseline_loss": totals[best],
        **_interval("expected_loss", losses, draws, confidence, seed),
        "value_over_baseline": float((baseline_losses[best] - losses).sum()),
        **_interval("value_over_baseline", baseline_losses[best] - losses, draws, confidence, seed),
        "breach_rate": float(breach.mean()),
        "test_tickets": float(len(breach)),
    }
    if truth is not None:
        truly = truth.losses(baselines.timed, breach)
        true = {name: float(each.sum()) for name, each in truly.items()}
        loss, at_creation = (
            float(losses.sum()),
            min(total for name, total in totals.items() if name in AT_CREATION),
        )
        metrics |= _regret("regret_at_creation", loss, true["at_creation"], at_creation)
        if "in_time" in true:
            metrics |= _regret("regret", loss, true["in_time"], totals[best])
    return EvaluationResult(metrics, best, losses, baseline_losses, baselines.timer)


def _interval(
    name: str, amounts: Floats, draws: int, confidence: float, seed: int
) -> dict[str, float]:
    """Bootstrap the interval of a sum of dollars over the tickets."""
    low, high = paired_interval(amounts, draws, confidence, np.random.default_rng(seed))
    return {f"{name}_low": low, f"{name}_high": high}


def _regret(name: str, loss: float, true_loss: float, baseline_loss: float) -> dict[str, float]:
    """Measure the share of what the true risk would save that is not saved.

    Undefined where the true risk loses more than the baseline by chance.
    """
    winnable = baseline_loss - true_loss
    return {name: (loss - true_loss) / winnable} if winnable > 0 else {}
