"""How good the probabilities are, and how much money the decisions lose."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from sklearn.metrics import average_precision_score, roc_auc_score

from slarisk.arrays import Bools, Floats
from slarisk.decisions.costs import CostMatrix

if TYPE_CHECKING:
    pass

BINS = 10

OUT_OF_FOLD_METRICS = frozenset({"objective"})  # all others are measured on the test tickets


class Better(Enum):
    """Which of two values of a metric is the better one."""

    lower = "lower"
    higher = "higher"


# The metrics of a run that say how good its model is, and are better the one way or the other. The
# others describe it (thresholds, rates, numbers of tickets), or are one side of a trade: never
# escalating has no false alarm.
DIRECTIONS = {
    "objective": Better.lower,
    "expected_loss": Better.lower,
    "expected_loss_per_ticket": Better.lower,
    "savings": Better.higher,
    "value_over_baseline": Better.higher,
    "regret": Better.lower,
    "regret_at_creation": Better.lower,
    "roc_auc": Better.higher,
    "pr_auc": Better.higher,
    "brier": Better.lower,
    "log_loss": Better.lower,
    "calibration_error": Better.lower,
}


def probability_metrics(breach: Bools, probability: Floats) -> dict[str, float]:
    """Measure how well probabilities fit the labels.

    Parameters
    ----------
    breach : bool array of shape (n,)
    probability : array of shape (n,)
        Of breach, from 0 to 1.

    Returns
    -------
    dict
        ``roc_auc``, ``pr_auc`` (average precision), ``brier``, ``log_loss`` and
        ``calibration_error``, without those that are undefined: ``roc_auc`` when all tickets or
        none breached, ``pr_auc`` when none did, all of them when there are no tickets.
    """
    if len(breach) == 0:
        return {}
    metrics = {}
    if breach.any() and not breach.all():
        metrics["roc_auc"] = float(roc_auc_score(breach, probability))
    if breach.any():
        metrics["pr_auc"] = float(average_precision_score(breach, probability))
    metrics["brier"] = float(np.mean((probability - breach) ** 2))
    metrics["log_loss"] = measure_log_loss(breach, probability)
    metrics["calibration_error"] = measure_calibration_error(breach, probability)
    return metrics


def measure_log_loss(breach: Bools, probability: Floats) -> float:
    """Measure the mean negative log-likelihood of the labels.

    Probabilities are clipped to [1e-15, 1 - 1e-15], so that one certain mistake costs 34.5 and not
    infinity.
    """
    clipped = np.clip(probability, 1e-15, 1 - 1e-15)
    return float(-np.mean(np.where(breach, np.log(clipped), np.log1p(-clipped))))


def measure_calibration_error(breach: Bools, probability: Floats) -> float:
    """Measure how far predicted rates lie from observed ones: the expected calibration error.

    It is the mean of |observed rate - mean probability| over bins of equal mass, weighted by their
    tickets. Both arrays have shape (n,), n at least 1.

    References
    ----------
    M. P. Naeini et al. (2015), "Obtaining Well Calibrated Probabilities Using Bayesian Binning",
    AAAI; with bins of equal mass, as in K. Nguyen and B. O'Connor (2015), "Posterior calibration
    and exploratory analysis for natural language processing models", EMNLP.

    Examples
    --------
    >>> measure_calibration_error(np.array([True, False]), np.array([0.5, 0.5]))
    0.0
    """
    surplus = np.bincount(bin_by_mass(probability), weights=breach - probability)
    return float(np.abs(surplus).sum() / len(breach))


def bin_by_mass(probability: Floats, bins: int = BINS) -> npt.NDArray[np.intp]:
    """Put n tickets into bins of about equal size, by rising probability: ints of shape (n,).

    Bins are numbered from 0. Equal probabilities share one, so a bin may be larger, or empty.
    """
    lower = np.searchsorted(np.sort(probability), probability)  # how many lie strictly below
    return lower * bins // len(probability)


def decision_metrics(
    breach: Bools, escalate: Bools, costs: CostMatrix, losses: Floats | None = None
) -> dict[str, float]:
    """Measure what decisions lose, in dollars and in tickets.

    Parameters
    ----------
    breach : bool array of shape (n,)
    escalate : bool array of shape (n,)
    costs : CostMatrix
        Of the same n tickets, n at least 1.
    losses : array of shape (n,), optional
        Dollars lost on each ticket, where they are not escalated at creation.

    Returns
    -------
    dict
        ``expected_loss`` (dollars on all tickets), ``expected_loss_per_ticket``, ``savings`` (the
        share of the loss of the better of never and always escalating that is saved; left out when
        that loses nothing), ``escalation_rate``, ``missed_breaches``, ``false_alarms``.

    References
    ----------
    Savings: A. C. Bahnsen et al. (2015), "Example-dependent cost-sensitive decision trees", Expert
    Systems with Applications 42(19).
    """
    loss = float((costs.losses(breach, escalate) if losses is None else losses).sum())
    never = float(costs.losses(breach, np.zeros_like(breach)).sum())
    always = float(costs.losses(breach, np.ones_like(breach)).sum())
    metrics = {"expected_loss": loss, "expected_loss_per_ticket": loss / len(breach)}
    if min(never, always) != 0:
        metrics["savings"] = 1 - loss / min(never, always)
    metrics["escalation_rate"] = float(escalate.mean())
    metrics["missed_breaches"] = float(np.sum(breach & ~escalate))
    metrics["false_alarms"] = float(np.sum(escalate & ~breach))
    return metrics
