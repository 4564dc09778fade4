"""The gate between a run and the registry: reasons, not scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from slarisk.checks.check import NO_CHECKS
from slarisk.config import Resample
from slarisk.decisions.costs import dollars
from slarisk.evaluation.metrics import probability_metrics
from slarisk.stats.bootstrap import day_interval, paired_interval

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from slarisk.config import PromoteConfig

# The metrics that the gate compares with what it finds itself.
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
# With few clusters a cluster bootstrap is itself a matter of luck: A. C. Cameron, J. B. Gelbach and
# D. L. Miller (2008), "Bootstrap-Based Improvements for Inference with Clustered Errors".
FEWEST_DAYS = 10


@dataclass(frozen=True)
class Comparison:
    """A candidate against a rival, a rule or the champion, on the same tickets.

    ``difference`` is the candidate's loss minus the rival's, in dollars per ticket, with the ends
    of its paired interval; ``resampled`` says what was drawn for it, tickets or days.
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
        """Dollars that the candidate saves on all tickets, with the ends of their interval."""
        return (
            self.rival_loss - self.candidate_loss,
            -self.high * self.tickets,
            -self.low * self.tickets,
        )


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
    """Compare two decisions on the same tickets, pair by pair.

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
    intervals = {}
    if config.resample is not Resample.days or count_days(day) < FEWEST_DAYS:
        intervals[Resample.tickets] = paired_interval(
            saved, draws, confidence, np.random.default_rng(config.seed)
        )
    if config.resample is not Resample.tickets and count_days(day) >= FEWEST_DAYS:
        intervals[Resample.days] = day_interval(
            saved, day, draws, confidence, np.random.default_rng(config.seed)
        )
    # the first of equals: tickets
    resampled = max(intervals, key=lambda drawn: intervals[drawn][1] - intervals[drawn][0])
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


def list_record_reasons(status: str, metrics: Mapping[str, float]) -> list[str]:
    """Find out whether there is a finished training run to judge at all."""
    if status != "FINISHED":
        return [f"the run is {status}, not FINISHED"]
    missing = [name for name in EVIDENCE if name not in metrics]
    if missing:
        return [f"the run has no metric {', '.join(missing)}: it is none of train.py"]
    return []


def list_run_reasons(tags: Mapping[str, str], optimistic: bool, failed: str) -> list[str]:
    """Find reasons in how the run was made.

    Parameters
    ----------
    tags : mapping of str to str
        Of the run. They may add to the reasons, but take none away.
    optimistic : bool
        Whether, by its config, the run chose its threshold on the test tickets.
    failed : str
        The codes of its failed checks, as its table of checks has them.
    """
    if optimistic or tags.get("optimistic") == "true":
        return ["the run is optimistic: its threshold was picked on the test tickets"]
    if "failed_checks" not in tags:
        return ["the run does not say which of its checks failed: train again"]
    codes = {code for text in (tags["failed_checks"], failed) for code in text.split()}
    if codes := codes - {NO_CHECKS}:
        return [f"failed checks: {' '.join(sorted(codes))}"]
    return []


def refuse_few(breach: NDArray[np.bool_], fewest_tickets: int, fewest_breaches: int) -> list[str]:
    """Find out whether there are tickets enough for an interval that can be trusted."""
    tickets, breached = len(breach), int(breach.sum())
    if tickets < fewest_tickets:
        return [f"{tickets:,} tickets are too few (fewest_tickets={fewest_tickets})"]
    if min(breached, tickets - breached) < fewest_breaches:
        return [
            f"{breached:,} of {tickets:,} tickets breached: too few of a kind "
            f"(fewest_breaches={fewest_breaches})"
        ]
    return []


def list_value_reasons(comparison: Comparison, rule: str, clearly: bool) -> list[str]:
    """Find out whether the candidate loses less than the best trivial rule."""
    value, low, high = comparison.saved
    figures = f"value {dollars(value)} [{dollars(low)} to {dollars(high)}]"
    if value <= 0:
        return [f"the rule {rule!r} loses no more than this model: {figures}"]
    if clearly and low <= 0:
        return [
            f"it does not clearly beat the rule {rule!r}: {figures}, "
            f"{comparison.resampled.value} resampled; clearly_beat_baseline=false would accept that"
        ]
    return []


def list_loss_mismatches(found: Mapping[str, float], logged: Mapping[str, float]) -> list[str]:
    """Find amounts that the run logged and that do not come out when its model decides again.

    Parameters
    ----------
    found : mapping of str to float
        Dollars on the test tickets, by the metric that has them.
    logged : mapping of str to float
        The metrics of the run.
    """
    return [
        f"{name} comes out as {dollars(amount)} when the stored model decides again, not as the "
        f"{dollars(logged[name])} that its run logged"
        if name in logged
        else f"its run did not log {name}: another version of slarisk made it; train again"
        for name, amount in found.items()
        if not np.isclose(amount, logged.get(name, np.nan), rtol=_SAME_LOSS, atol=1e-6)
    ]


def list_challenge_reasons(comparison: Comparison, margin: float) -> list[str]:
    """Find out whether the candidate clearly loses less than the champion."""
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
