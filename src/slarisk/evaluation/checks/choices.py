"""Whether anything was chosen or fitted on the test tickets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from slarisk.decisions.policies import find_policy
from slarisk.evaluation.checks.check import fine, invalid
from slarisk.learning.calibration import fit_calibrator

if TYPE_CHECKING:
    from slarisk.evaluation.checks.check import Finding
    from slarisk.evaluation.checks.evidence import Evidence


def check_untouched(evidence: Evidence) -> Finding:
    """SR002: threshold and calibration are those that the training tickets give.

    The calibration is fitted again, on out-of-fold scores alone, and has to come out as it is in
    the model.
    """
    policy = find_policy(evidence.config.decision)
    if policy.optimistic:
        return invalid("The threshold was picked on the test tickets; the loss is too good.")
    learned, honest = evidence.learned, evidence.learned.honest
    kind = evidence.config.calibration.name
    again = fit_calibrator(kind, learned.score[honest], evidence.breach[honest])
    probe = np.linspace(0, 1, 101)
    if not np.allclose(again.apply(probe), learned.model.calibrator.apply(probe), atol=1e-9):
        return invalid(
            "The calibration of the model is not the one that the out-of-fold scores of the "
            "training tickets give: other tickets were used to fit it."
        )
    if policy.by_threshold:
        chosen = evidence.metrics["optimal_threshold"]
        if not np.isclose(min(evidence.threshold, 1.0), min(chosen, 1.0), atol=1e-12):
            return invalid(
                f"The model decides by the threshold {evidence.threshold:.3f}, but the best on "
                f"the training tickets is {chosen:.3f}: it was chosen on other tickets."
            )
    return fine("Test tickets were used once, at the end.")
