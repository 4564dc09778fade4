"""The gate between a run and the registry: reasons, not scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from slarisk.decisions.costs import dollars
from slarisk.evaluation.bootstrap import paired_interval
from slarisk.evaluation.checks.check import NO_CHECKS
from slarisk.evaluation.metrics import probability_metrics

if TYPE_CHECKING:
    from numpy.typing import NDArray

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
_SAME_LOSS = 1e-9  # relative: the sum of the same dollars in another order


@dataclass(frozen=True)
class Comparison:
    """A candidate against a rival, a rule or the champion, on the same tickets.

    ``difference`` is the candidate's loss minus the rival's, in dollars per ticket, with the ends
    of its paired interval.
    """

    tickets: int
    candidate_loss: float
    rival_loss: float
    difference: float
    low: float
    high: float


@dataclass
class Verdict:
    """What the gate found: reasons against a promotion, and the figures they rest on.

    ``notes`` say on which tickets and under which policy was judged, where that needs saying.
    ``rules`` are the trivial rules on all test tickets, ``champion`` the one in charge on those
    that it was not trained on, and ``quality`` the figures of both there, candidate first.
    """

    reasons: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    tickets: int = 0
    breached: int = 0
    loss: float = 0.0
    rules: dict[str, Comparison] = field(default_factory=dict)
    champion: Comparison | None = None
    quality: dict[str, tuple[float, float]] = field(default_factory=dict)


def compare_losses(
    candidate: NDArray[np.float64],
    rival: NDArray[np.float64],
    draws: int,
    confidence: float,
    seed: int,
) -> Comparison:
    """Compare two decisions on the same tickets, pair by pair.

    Parameters
    ----------
    candidate, rival : arrays of shape (n,)
        Dollars lost on each ticket, n at least 1.
    draws, confidence, seed : int, float, int
        Of the bootstrap interval.
    """
    saved = rival - candidate
    low, high = paired_interval(saved, draws, confidence, np.random.default_rng(seed))
    tickets = len(saved)
    return Comparison(
        tickets,
        float(candidate.sum()),
        float(rival.sum()),
        -float(saved.mean()),
        -high / tickets,
        -low / tickets,
    )


def measure_quality(
    breach: NDArray[np.bool_], probability: NDArray[np.float64], escalate: NDArray[np.bool_]
) -> dict[str, float]:
    """Measure what a change of champion changes beside the loss.

    Returns
    -------
    dict
        ``roc_auc``, ``pr_auc`` and ``calibration_error``, where they are defined, and
        ``escalation_rate``.
    """
    metrics = probability_metrics(breach, probability)
    found = {
        name: metrics[name]
        for name in ("roc_auc", "pr_auc", "calibration_error")
        if name in metrics
    }
    return found | {"escalation_rate": float(escalate.mean())}


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


def refuse_other_losses(found: Mapping[str, float], logged: Mapping[str, float]) -> list[str]:
    """Find losses that the run logged and that do not come out when its model decides again.

    Parameters
    ----------
    found : mapping of str to float
        Dollars lost on the test tickets, by what lost them: ``stored model``, or a rule.
    logged : mapping of str to float
        The same as the run logged it.
    """
    return [
        f"the {name} loses {dollars(loss)} on the test tickets, not the "
        f"{dollars(logged[name])} that its run logged"
        for name, loss in found.items()
        if not np.isclose(loss, logged[name], rtol=_SAME_LOSS, atol=1e-6)
    ]


def refuse_challenge(comparison: Comparison, margin: float) -> list[str]:
    """Find out whether the candidate clearly loses less than the champion."""
    if comparison.high < -margin:
        return []
    verb = "loses more than" if comparison.difference > 0 else "is not clearly better than"
    return [
        f"it {verb} the champion on {comparison.tickets:,} tickets neither was trained on: "
        f"{say_difference(comparison)}" + (f", margin {margin:,.2f}" if margin else "")
    ]


def say_difference(comparison: Comparison) -> str:
    """Write the difference of two losses with its interval."""
    return (
        f"{comparison.difference:+,.2f} dollars per ticket "
        f"[{comparison.low:+,.2f} to {comparison.high:+,.2f}]"
    )
