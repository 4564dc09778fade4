"""Whether the figures of a run say anything: value, numbers, threshold."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from slarisk.checks.check import failed, passed, warned
from slarisk.decisions.costs import dollars
from slarisk.decisions.policies import find_policy
from slarisk.decisions.thresholds import bootstrap_threshold
from slarisk.evaluation.baselines import fit_baselines
from slarisk.evaluation.evaluate import evaluate
from slarisk.stats.bootstrap import paired_interval

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from slarisk.checks.check import Finding
    from slarisk.checks.context import CheckContext
    from slarisk.evaluation.evaluate import Evaluation

_FEW = 30  # below about this many of a kind, a percentile bootstrap interval is too narrow
# The intervals that verdicts rest on; those of the metrics may be as narrow as a config likes.
_CONFIDENCE, _DRAWS, _THRESHOLD_DRAWS, _SEED = 0.95, 2000, 200, 0
_WIDE = 0.5  # an interval of thresholds that leaves open what to do with half of the tickets


def check_value(evidence: CheckContext) -> Finding:
    """SR001: the model loses clearly less than the best trivial rule.

    Probabilities, decisions, trivial rules and losses are computed again; a logged metric that
    differs fails.
    """
    again = _evaluate_again(evidence)
    other = [
        f"{name} {evidence.metrics.get(name, np.nan):.6g} instead of {value:.6g}"
        for name, value in again.metrics.items()
        if not np.isclose(evidence.metrics.get(name, np.nan), value, rtol=1e-9, atol=1e-9)
    ]
    if other:
        return failed(
            f"Logged metrics are not those of the model on the test tickets: {'; '.join(other)}."
        )
    best = again.best_baseline
    saved = again.baseline_losses[best] - again.losses
    low, high = paired_interval(saved, _DRAWS, _CONFIDENCE, np.random.default_rng(_SEED))
    value = float(saved.sum())
    figures = f"{dollars(value)} [{dollars(low)} to {dollars(high)}] against {best!r}"
    if low > 0:
        return passed(f"Saves {figures}.")
    if value > 0:
        return warned(f"Saves {figures}: the interval holds 0, so this may be luck.")
    return warned(f"Adds nothing: {figures}. Use the rule {best!r} instead.")


def _evaluate_again(evidence: CheckContext) -> Evaluation:
    """Evaluate the model and the trivial rules on the test tickets, as the run is to have done."""
    training, test, settings = evidence.training, evidence.test, evidence.config.evaluation
    rules = fit_baselines(
        *_read_rule_fields(evidence, training), evidence.breach, evidence.price(training)
    )
    costs = evidence.price(test)
    fields = _read_rule_fields(evidence, test)
    return evaluate(
        evidence.test_breach,
        evidence.probability,
        evidence.decide(test, evidence.probability),
        costs,
        {rule.name: rule.escalate(*fields, costs) for rule in rules},
        settings.bootstrap_draws,
        settings.confidence,
        settings.seed,
    )


def _read_rule_fields(
    evidence: CheckContext, tickets: pd.DataFrame
) -> tuple[NDArray[np.object_] | None, list[NDArray[np.object_]]]:
    """Read what the trivial rules go by: the priority, and the fields of the segments."""
    names = [name for name in evidence.config.data.segments if name in tickets]
    priority = tickets["priority"].to_numpy(dtype=object) if "priority" in tickets else None
    return priority, [tickets[name].to_numpy(dtype=object) for name in names]


def check_numbers(evidence: CheckContext) -> Finding:
    """SR003: breaches enough, and tickets that did not, for the intervals to be as wide as said."""
    tickets, breached = len(evidence.test_breach), int(evidence.test_breach.sum())
    detail = f"{tickets:,} test tickets, {breached:,} breached."
    if min(breached, tickets - breached) >= _FEW:
        return passed(detail)
    return warned(f"{detail} With fewer than {_FEW} of a kind the intervals are too narrow.")


def check_threshold(evidence: CheckContext) -> Finding:
    """SR019: the interval of the threshold leaves open little of what is done.

    The interval is computed again on the eligible out-of-fold scores; a logged one that differs
    fails.
    """
    settings, metrics = evidence.config.evaluation, evidence.metrics
    logged = [metrics["optimal_threshold_low"], metrics["optimal_threshold_high"]]
    again = _bound_threshold(evidence, settings.threshold_draws, settings.confidence, settings.seed)
    if not np.allclose(logged, again, rtol=1e-9, atol=1e-12):
        return failed(
            f"The logged interval of the best threshold, {logged[0]:.3f} to {logged[1]:.3f}, is "
            f"not that of the eligible out-of-fold scores, {again[0]:.3f} to {again[1]:.3f}."
        )
    low, high = _bound_threshold(evidence, _THRESHOLD_DRAWS, _CONFIDENCE, _SEED)
    scores = evidence.learned.probability[evidence.learned.eligible]
    most, least = float(np.mean(scores >= low)), float(np.mean(scores >= high))
    detail = (
        f"The best threshold lies from {low:.3f} to {high:.3f}, which escalates from {least:.0%} "
        f"to {most:.0%} of the training tickets."
    )
    if not find_policy(evidence.config.decision).by_threshold:
        return passed(f"{detail} This run does not decide by it.")
    if most - least < _WIDE:
        return passed(detail)
    return warned(f"{detail} So it is hardly known: decide per ticket, or train on more tickets.")


def _bound_threshold(
    evidence: CheckContext, draws: int, confidence: float, seed: int
) -> tuple[float, float]:
    """Bound the best threshold of the eligible out-of-fold scores."""
    eligible = evidence.learned.eligible
    return bootstrap_threshold(
        evidence.learned.probability[eligible],
        evidence.breach[eligible],
        evidence.price(evidence.training[eligible]),
        draws,
        confidence,
        np.random.default_rng(seed),
    )
