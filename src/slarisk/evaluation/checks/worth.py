"""Whether the figures of a run say anything: value, numbers, threshold."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from slarisk.decisions.costs import dollars
from slarisk.decisions.policies import find_policy
from slarisk.evaluation.checks.check import doubt, fine

if TYPE_CHECKING:
    from slarisk.evaluation.checks.check import Finding
    from slarisk.evaluation.checks.evidence import Evidence

_FEW = 30  # below about this many of a kind, a percentile bootstrap interval is too narrow
_WIDE = 0.5  # an interval of thresholds that leaves open what to do with half of the tickets


def check_value(evidence: Evidence) -> Finding:
    """SR001: the model loses clearly less than the best trivial rule."""
    metrics, best_baseline = evidence.metrics, evidence.best_baseline
    value, low = metrics["value_over_baseline"], metrics["value_over_baseline_low"]
    high = metrics["value_over_baseline_high"]
    figures = f"{dollars(value)} [{dollars(low)} to {dollars(high)}] against {best_baseline!r}"
    if low > 0:
        return fine(f"Saves {figures}.")
    if value > 0:
        return doubt(f"Saves {figures}: the interval holds 0, so this may be luck.")
    return doubt(f"Adds nothing: {figures}. Use the rule {best_baseline!r} instead.")


def check_numbers(evidence: Evidence) -> Finding:
    """SR003: breaches enough, and tickets that did not, for the intervals to be as wide as said."""
    tickets, breached = len(evidence.test_breach), int(evidence.test_breach.sum())
    detail = f"{tickets:,} test tickets, {breached:,} breached."
    if min(breached, tickets - breached) >= _FEW:
        return fine(detail)
    return doubt(f"{detail} With fewer than {_FEW} of a kind the intervals are too narrow.")


def check_threshold(evidence: Evidence) -> Finding:
    """SR019: the interval of the threshold leaves open little of what is done."""
    metrics, honest = evidence.metrics, evidence.learned.honest
    low, high = metrics["optimal_threshold_low"], metrics["optimal_threshold_high"]
    scores = evidence.learned.probability[honest]
    most, least = float(np.mean(scores >= low)), float(np.mean(scores >= high))
    detail = (
        f"The best threshold lies from {low:.3f} to {high:.3f}, which escalates from {least:.0%} "
        f"to {most:.0%} of the training tickets."
    )
    if not find_policy(evidence.config.decision).by_threshold:
        return fine(f"{detail} This run does not decide by it.")
    if most - least < _WIDE:
        return fine(detail)
    return doubt(f"{detail} So it is hardly known: decide per ticket, or train on more tickets.")
