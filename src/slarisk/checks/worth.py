"""Whether the figures of a run say anything: value, numbers, threshold."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from slarisk.checks.check import CheckResult, failed, passed, warned
from slarisk.decisions.costs import dollars
from slarisk.decisions.policies import find_policy
from slarisk.decisions.thresholds import bootstrap_threshold
from slarisk.evaluation.evaluate import evaluate
from slarisk.stats.bootstrap import paired_interval

if TYPE_CHECKING:
    from slarisk.checks.context import CheckContext
    from slarisk.evaluation.evaluate import EvaluationResult

_FEW = 30  # below about this many of a kind, a percentile bootstrap interval is too narrow
# The intervals that verdicts rest on; those of the metrics may be as narrow as a config likes.
_CONFIDENCE, _DRAWS, _THRESHOLD_DRAWS, _SEED = 0.95, 2000, 200, 0
_WIDE = 0.5  # an interval of thresholds that leaves open what to do with half of the tickets


def check_value(context: CheckContext) -> CheckResult:
    """SR001: the model loses clearly less than the best trivial rule.

    Probabilities, decisions, trivial rules and losses are computed again; a logged metric that
    differs fails.
    """
    again = _evaluate_again(context)
    other = [
        f"{name} {context.metrics.get(name, np.nan):.6g} instead of {value:.6g}"
        for name, value in again.metrics.items()
        if not np.isclose(context.metrics.get(name, np.nan), value, rtol=1e-9, atol=1e-9)
    ]
    if other:
        return failed(
            f"Logged metrics are not those of the model on the test tickets: {'; '.join(other)}."
        )
    best = again.best_baseline
    saved = again.baseline_losses[best] - again.losses
    value = float(saved.sum())
    settings = context.config.evaluation
    if settings.confidence == _CONFIDENCE and settings.bootstrap_draws >= _DRAWS:
        low, high = (again.metrics[f"value_over_baseline_{end}"] for end in ("low", "high"))
    else:
        low, high = paired_interval(saved, _DRAWS, _CONFIDENCE, np.random.default_rng(_SEED))
    figures = f"{dollars(value)} [{dollars(low)} to {dollars(high)}] against {best!r}"
    if low > 0:
        return passed(f"Saves {figures}.")
    if value > 0:
        return warned(f"Saves {figures}: the interval holds 0, so this may be luck.")
    return warned(f"Adds nothing: {figures}. Use the rule {best!r} instead.")


def _evaluate_again(context: CheckContext) -> EvaluationResult:
    """Evaluate the model and the trivial rules on the test tickets, as the run should have done."""
    settings = context.config.evaluation
    return evaluate(
        context.test_breach,
        context.probability,
        np.isfinite(context.ages),
        context.test_costs,
        context.baselines,
        settings.bootstrap_draws,
        settings.confidence,
        settings.seed,
        at=context.ages,
    )


def check_numbers(context: CheckContext) -> CheckResult:
    """SR003: breached tickets enough, and others, for the intervals to be as wide as said."""
    tickets, breached = len(context.test_breach), int(context.test_breach.sum())
    detail = f"{tickets:,} test tickets, {breached:,} breached."
    if min(breached, tickets - breached) >= _FEW:
        return passed(detail)
    return warned(f"{detail} With fewer than {_FEW} of a kind the intervals are too narrow.")


def check_threshold(context: CheckContext) -> CheckResult:
    """SR019: the interval of the threshold leaves open little of what is done.

    The interval is computed again on the eligible out-of-fold scores; a logged one that differs
    fails.
    """
    settings, metrics = context.config.evaluation, context.metrics
    logged = [metrics["optimal_threshold_low"], metrics["optimal_threshold_high"]]
    scores = context.eligible_probability
    scored = (scores, context.eligible_breach, context.eligible_costs)
    rng = np.random.default_rng(settings.seed)
    again = bootstrap_threshold(*scored, settings.threshold_draws, settings.confidence, rng)
    if not np.allclose(logged, again, rtol=1e-9, atol=1e-12):
        return failed(
            f"The logged interval of the best threshold, {logged[0]:.3f} to {logged[1]:.3f}, is "
            f"not that of the eligible out-of-fold scores, {again[0]:.3f} to {again[1]:.3f}."
        )
    low, high = again
    if settings.confidence != _CONFIDENCE or settings.threshold_draws < _THRESHOLD_DRAWS:
        rng = np.random.default_rng(_SEED)
        low, high = bootstrap_threshold(*scored, _THRESHOLD_DRAWS, _CONFIDENCE, rng)
    most, least = float(np.mean(scores >= low)), float(np.mean(scores >= high))
    detail = (
        f"The best threshold lies from {low:.3f} to {high:.3f}, which escalates from {least:.0%} "
        f"to {most:.0%} of the training tickets."
    )
    if not find_policy(context.config.decision).by_threshold:
        return passed(f"{detail} This run does not decide by it.")
    if most - least < _WIDE:
        return passed(detail)
    return warned(f"{detail} So it is hardly known: decide per ticket, or train on more tickets.")
