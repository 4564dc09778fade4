"""Comparisons on the same test tickets, and the reasons that they give against a promotion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from slarisk.checks.check import NO_CHECKS
from slarisk.config import Resample
from slarisk.decisions.costs import dollars
from slarisk.errors import InputError
from slarisk.evaluation.metrics import probability_metrics
from slarisk.reports.formats import format_saving
from slarisk.stats.bootstrap import day_interval, paired_interval

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from slarisk.config import PromoteConfig

# Metrics of every run of train.py; others are reported where they are compared.
REQUIRED_METRICS = ("objective", "expected_loss", "best_baseline_loss", "value_over_baseline")
_ROUNDING = 1e-9  # relative error of a sum of the same dollars in another order
# With few clusters a cluster bootstrap is itself a matter of luck: A. C. Cameron, J. B. Gelbach and
# D. L. Miller (2008), "Bootstrap-Based Improvements for Inference with Clustered Errors".
FEWEST_DAYS = 10


@dataclass(frozen=True)
class Comparison:
    """The losses of a candidate and a rival (a rule, or the champion) on the same tickets.

    ``difference`` is the candidate's loss minus the rival's in dollars per ticket, ``low`` and
    ``high`` are the ends of its paired bootstrap interval, and ``resampled`` is the unit drawn.
    """

    tickets: int
    candidate_loss: float
    rival_loss: float
    difference: float
    low: float
    high: float
    resampled: Resample = Resample.tickets

    @property
    def saved(self) -> tuple[float, float, float]:
        """Dollars that the candidate saves on all tickets, with the ends of the interval."""
        return (
            self.rival_loss - self.candidate_loss,
            -self.high * self.tickets,
            -self.low * self.tickets,
        )


@dataclass
class GateResult:
    """Reasons against a promotion, and the figures they rest on.

    ``notes`` say on which tickets and under which policy the comparison was made. ``tickets``,
    ``breached``, ``loss`` (dollars) and ``rules`` are of all test tickets; ``champion`` and
    ``quality`` (metrics of candidate and champion) of those that the champion was not trained on.
    """

    reasons: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    tickets: int = 0
    breached: int = 0
    loss: float = 0.0
    rules: dict[str, Comparison] = field(default_factory=dict)
    champion: Comparison | None = None
    quality: dict[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def best_rule(self) -> str:
        """The trivial rule that loses least; of equals the first."""
        return min(self.rules, key=lambda name: self.rules[name].rival_loss)


def compare_losses(
    candidate: NDArray[np.float64],
    rival: NDArray[np.float64],
    day: NDArray[np.int64],
    config: PromoteConfig,
) -> Comparison:
    """Compare two sets of decisions on the same tickets by a paired bootstrap.

    Parameters
    ----------
    candidate, rival : arrays of shape (n,)
        Dollars lost on each ticket, n at least 1.
    day : int array of shape (n,)
        The day each ticket was created on, -1 where that is not known.
    config : PromoteConfig
        Its ``bootstrap_draws``, ``confidence``, ``seed`` and ``resample`` make the interval. Days
        are not resampled where there are fewer than ``FEWEST_DAYS``.
    """
    saved = rival - candidate
    draws, confidence = config.bootstrap_draws, config.confidence
    enough_days = count_days(day) >= FEWEST_DAYS
    intervals = {}
    if config.resample is not Resample.days or not enough_days:
        rng = np.random.default_rng(config.seed)
        intervals[Resample.tickets] = paired_interval(saved, draws, confidence, rng)
    if config.resample is not Resample.tickets and enough_days:
        rng = np.random.default_rng(config.seed)
        intervals[Resample.days] = day_interval(saved, day, draws, confidence, rng)
    # the wider one; of equals tickets, which come first
    resampled = max(intervals, key=lambda unit: intervals[unit][1] - intervals[unit][0])
    low, high = intervals[resampled]
    tickets = len(saved)
    return Comparison(
        tickets,
        float(candidate.sum()),
        float(rival.sum()),
        -float(saved.mean()),
        -high / tickets,
        -low / tickets,
        resampled,
    )


def count_days(day: NDArray[np.int64]) -> int:
    """Count the days on which tickets are known to have been created."""
    return len(np.unique(day[day >= 0]))


def measure_quality(
    breach: NDArray[np.bool_], probability: NDArray[np.float64], escalate: NDArray[np.bool_]
) -> dict[str, float]:
    """Measure calibration error, escalation rate and, where they are defined, ROC and PR AUC."""
    metrics = probability_metrics(breach, probability)
    names = ("roc_auc", "pr_auc", "calibration_error")
    quality = {name: metrics[name] for name in names if name in metrics}
    return quality | {"escalation_rate": float(escalate.mean())}


def list_record_reasons(status: str, metrics: Mapping[str, float]) -> list[str]:
    """List reasons why a record is not that of a finished training run."""
    if status != "FINISHED":
        return [f"the run is {status}, not FINISHED"]
    if missing := [name for name in REQUIRED_METRICS if name not in metrics]:
        return [
            f"the run has no metric {', '.join(missing)}: it is not a training run; name one with "
            "run_id=<id>"
        ]
    return []


def list_run_reasons(
    tags: Mapping[str, str], optimistic: bool, failed: str, accepted: Mapping[str, str]
) -> list[str]:
    """List reasons in how the run was made.

    Parameters
    ----------
    tags : mapping of str to str
        Of the run. They can add reasons but not remove any.
    optimistic : bool
        Whether the run's config chose the threshold on the test tickets.
    failed : str
        Codes of failed checks according to the run's table of checks.
    accepted : mapping of str to str
        Failed checks that are accepted, each with a reason.

    Raises
    ------
    InputError
        One is accepted that did not fail, or for no reason.
    """
    if optimistic or tags.get("optimistic") == "true":
        return ["the run is optimistic: its threshold was picked on the test tickets"]
    if "failed_checks" not in tags:
        return ["the run has no tag failed_checks: train again"]
    codes = {code for text in (tags["failed_checks"], failed) for code in text.split()}
    codes -= {NO_CHECKS}
    for code, why in accepted.items():
        if code not in codes or not why.strip():
            raise InputError(
                f"accept.{code}={why}: it takes a reason, and a check that failed. Failed: "
                f"{' '.join(sorted(codes)) or NO_CHECKS}."
            )
    if codes := codes - accepted.keys():
        return [f"failed checks: {' '.join(sorted(codes))}"]
    return []


def list_sample_size_reasons(breach: NDArray[np.bool_], config: PromoteConfig) -> list[str]:
    """List what there is too few of for an interval that can be trusted."""
    tickets, breached = len(breach), int(breach.sum())
    if tickets < config.fewest_tickets:
        return [f"{tickets:,} tickets are too few (fewest_tickets={config.fewest_tickets})"]
    if min(breached, tickets - breached) < config.fewest_breaches:
        return [
            f"{breached:,} of {tickets:,} tickets breached: too few of a kind "
            f"(fewest_breaches={config.fewest_breaches})"
        ]
    return []


def list_value_reasons(comparison: Comparison, rule: str, clearly: bool) -> list[str]:
    """List reasons in the comparison with the best trivial rule."""
    value, low, _ = comparison.saved
    figures = f"value {format_saving(comparison.saved)}"
    if value <= 0:
        return [f"the rule {rule!r} loses no more than this model: {figures}"]
    if clearly and low <= 0:
        return [
            f"it does not clearly beat the rule {rule!r}: {figures}, "
            f"{comparison.resampled.value} resampled; clearly_beat_baseline=false would accept that"
        ]
    return []


def list_loss_mismatches(computed: Mapping[str, float], logged: Mapping[str, float]) -> list[str]:
    """List metrics that the run did not log as they are computed from its stored model.

    Parameters
    ----------
    computed : mapping of str to float
        Dollars on the test tickets, by metric.
    logged : mapping of str to float
        The metrics of the run.
    """
    return [
        f"{name} comes out as {dollars(amount)} when the stored model decides again, not as the "
        f"{dollars(logged[name])} that its run logged"
        if name in logged
        else f"its run did not log {name}: another version of slarisk made it; train again"
        for name, amount in computed.items()
        if not np.isclose(amount, logged.get(name, np.nan), rtol=_ROUNDING, atol=1e-6)
    ]


def list_challenge_reasons(comparison: Comparison, margin: float) -> list[str]:
    """List reasons in the comparison with the champion; ``margin`` is in dollars per ticket."""
    if comparison.high < -margin:
        return []
    verb = "loses more than" if comparison.difference > 0 else "is not clearly better than"
    return [
        f"it {verb} the champion on {comparison.tickets:,} tickets neither was trained on: "
        f"{format_difference(comparison)}" + (f", margin {margin:,.2f}" if margin else "")
    ]


def format_difference(comparison: Comparison) -> str:
    """Write the difference of two losses with its interval."""
    return (
        f"{comparison.difference:+,.2f} dollars per ticket "
        f"[{comparison.low:+,.2f} to {comparison.high:+,.2f}]"
    )
