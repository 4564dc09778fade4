"""Whether the probabilities are calibrated: a test, and their mean error."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit, logit
from scipy.stats import chi2
from sklearn.linear_model import LogisticRegression

from slarisk.checks.check import CheckResult, passed, warned

if TYPE_CHECKING:
    from slarisk.arrays import Bools, Floats
    from slarisk.checks.context import CheckContext

_CLIP = 1e-6
_LEVEL = 0.001
_OFF = 0.05  # mean distance of the probabilities from the calibrated ones
_FEW = 20  # of a kind


def check_calibration(context: CheckContext) -> CheckResult:
    """SR020: the probabilities of the test tickets are calibrated.

    Breaches are fitted on the log-odds of the probabilities (Cox 1958): calibrated ones have
    intercept 0 and slope 1. A likelihood ratio test is of both together; the mean distance between
    the probabilities and the fitted ones is the size of the effect.
    """
    breach = context.test_breach
    if min(breach.sum(), (~breach).sum()) < _FEW:
        return passed(f"Fewer than {_FEW} test tickets of a kind: cannot be told.")
    odds = logit(np.clip(context.probability, _CLIP, 1 - _CLIP))
    fit = LogisticRegression(C=np.inf, tol=1e-8).fit(odds[:, np.newaxis], breach)
    intercept, slope = float(fit.intercept_[0]), float(fit.coef_[0, 0])
    gain = _log_likelihood(odds * slope + intercept, breach) - _log_likelihood(odds, breach)
    chance = float(chi2.sf(max(2 * gain, 0.0), 2))
    error = float(np.mean(np.abs(expit(odds * slope + intercept) - context.probability)))
    detail = (
        f"Intercept {intercept:+.2f}, slope {slope:.2f} (0 and 1 if calibrated, p = {chance:.2g}): "
        f"probabilities are off by {error:.3f} on average."
    )
    if chance < _LEVEL and error >= _OFF:
        return warned(f"{detail} Try calibration=sigmoid or calibration=isotonic.")
    return passed(detail)


def _log_likelihood(odds: Floats, breach: Bools) -> float:
    return float(np.sum(np.where(breach, -np.logaddexp(0, -odds), -np.logaddexp(0, odds))))
