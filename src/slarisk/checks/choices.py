"""Whether a threshold, a calibration or an objective rests on other than the eligible tickets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from slarisk.checks.check import CheckResult, failed, passed
from slarisk.decisions.policies import find_policy
from slarisk.decisions.thresholds import best_threshold
from slarisk.learning.calibration import cross_calibrate, fit_calibrator

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slarisk.arrays import Floats
    from slarisk.checks.context import CheckContext


def check_test_untouched(context: CheckContext) -> CheckResult:
    """SR002: calibration, threshold and objective are those that the training tickets give.

    All three are computed again, on the eligible out-of-fold scores alone, and compared with the
    model and with the logged metrics.
    """
    policy = find_policy(context.config.decision)
    if policy.optimistic:
        return failed("The threshold was picked on the test tickets; the loss is too good.")
    learned, eligible = context.learned, context.learned.eligible
    kind, score, breach = (
        context.config.calibration.name,
        learned.score[eligible],
        context.eligible_breach,
    )
    calibrator = fit_calibrator(kind, score, breach)
    probe = np.linspace(0, 1, 101)
    if not np.allclose(calibrator.apply(probe), learned.model.calibrator.apply(probe), atol=1e-9):
        return failed(
            "The calibration of the model is not the one that the out-of-fold scores of the "
            "training tickets give: other tickets were used to fit it."
        )
    probability = cross_calibrate(kind, score, breach, learned.fold[eligible])
    if not np.allclose(probability, context.eligible_probability, atol=1e-9):
        return failed(
            "The out-of-fold probabilities are not the out-of-fold scores, calibrated on the other "
            "folds: the threshold and the objective rest on other figures."
        )
    other = [
        f"{name} is {used:.6g}, and {again:.6g} on the eligible out-of-fold scores"
        for name, used, again in _list_choices(context, probability)
        if not np.isclose(used, again, rtol=1e-9, atol=1e-12)
    ]
    if other:
        return failed(f"Chosen or measured on other tickets: {'; '.join(other)}.")
    return passed("Test tickets were used once, at the end.")


def _list_choices(context: CheckContext, probability: Floats) -> Iterator[tuple[str, float, float]]:
    """List choices of the run by name: the value it used, and that of the eligible tickets."""
    breach, costs, metrics = context.eligible_breach, context.eligible_costs, context.metrics
    best = best_threshold(probability, breach, costs).finite
    yield "optimal_threshold", metrics["optimal_threshold"], best
    if find_policy(context.config.decision).by_threshold:
        yield "decision_threshold", metrics["decision_threshold"], best
        yield "the threshold of the model", min(context.threshold, 1.0), best
    escalate = context.decide(context.training[context.learned.eligible], probability, costs)
    yield "objective", metrics["objective"], float(costs.losses(breach, escalate).mean())
