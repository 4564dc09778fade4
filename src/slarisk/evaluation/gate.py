"""The gate between a run and the registry: reasons, not scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from slarisk.decisions.costs import dollars
from slarisk.evaluation.bootstrap import paired_interval
from slarisk.evaluation.checks import NO_CHECKS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from slarisk.config import PromoteConfig


# The metrics that a promotion rests on.
EVIDENCE = (
    "expected_loss",
    "expected_loss_per_ticket",
    "best_baseline_loss",
    "value_over_baseline",
    "value_over_baseline_low",
    "value_over_baseline_high",
    "test_tickets",
    "objective",
)


@dataclass(frozen=True)
class Comparison:
    """Candidate against champion on tickets that neither was trained on.

    ``difference`` is the candidate's loss minus the champion's, in dollars per ticket, with the
    ends of its paired interval.
    """

    tickets: int
    candidate_loss: float
    champion_loss: float
    difference: float
    low: float
    high: float


def compare_losses(
    candidate: NDArray[np.float64], champion: NDArray[np.float64], config: PromoteConfig
) -> Comparison:
    """Compare two decisions on the same tickets, pair by pair.

    Parameters
    ----------
    candidate, champion : arrays of shape (n,)
        Dollars lost on each ticket, n at least 1.
    config : PromoteConfig
        Confidence, draws and seed of the interval.
    """
    difference = candidate - champion
    rng = np.random.default_rng(config.seed)
    low, high = paired_interval(difference, config.bootstrap_draws, config.confidence, rng)
    tickets = len(difference)
    return Comparison(
        tickets,
        float(candidate.sum()),
        float(champion.sum()),
        float(difference.mean()),
        low / tickets,
        high / tickets,
    )


def refuse_record(status: str, metrics: Mapping[str, float]) -> list[str]:
    """Find out whether there is a finished training run to judge at all."""
    if status != "FINISHED":
        return [f"the run is {status}, not FINISHED"]
    missing = [name for name in EVIDENCE if name not in metrics]
    if missing:
        return [f"the run has no metric {', '.join(missing)}: it is none of train.py"]
    return []


def refuse_run(tags: Mapping[str, str]) -> list[str]:
    """Find reasons in how the run was made."""
    reasons = []
    if tags.get("optimistic") == "true":
        reasons.append("the run is optimistic: its threshold was picked on the test tickets")
    elif (failed := tags.get("failed_checks", NO_CHECKS)) != NO_CHECKS:
        reasons.append(f"failed checks: {failed}")
    return reasons


def refuse_value(metrics: Mapping[str, float], best_baseline: str, clearly: bool) -> list[str]:
    """Find out whether the run is worth more than the best trivial rule."""
    value = metrics["value_over_baseline"]
    low, high = metrics["value_over_baseline_low"], metrics["value_over_baseline_high"]
    figures = f"value {dollars(value)} [{dollars(low)} to {dollars(high)}]"
    if value <= 0:
        return [f"the rule {best_baseline!r} loses no more than this model: {figures}"]
    if clearly and low <= 0:
        return [
            f"it does not clearly beat the rule {best_baseline!r}: {figures}; "
            "clearly_beat_baseline=false would accept that"
        ]
    return []


def refuse_challenge(comparison: Comparison, margin: float) -> list[str]:
    """Find out whether the candidate clearly loses less than the champion."""
    if comparison.high < -margin:
        return []
    verb = "loses more than" if comparison.difference > 0 else "is not clearly better than"
    return [
        f"it {verb} the champion on {comparison.tickets:,} tickets neither was trained on: "
        f"{comparison.difference:+,.2f} dollars per ticket "
        f"[{comparison.low:+,.2f} to {comparison.high:+,.2f}]"
        + (f", margin {margin:,.2f}" if margin else "")
    ]
