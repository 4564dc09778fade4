"""Whether the probabilities are what they say: a test, and how far off they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, logit
from scipy.stats import chi2

from slarisk.checks.check import passed, warned

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from slarisk.checks.check import Finding
    from slarisk.checks.context import CheckContext

_CLIP = 1e-6
_LEVEL = 0.001
_OFF = 0.05  # mean distance of a probability from what it should be
_FEW = 20  # of a kind


def check_calibration(context: CheckContext) -> Finding:
    """SR020: probabilities on the test tickets are neither too high or low nor too sure.

    Breaches are fitted on the log-odds of the probabilities (Cox 1958): calibrated ones have
    intercept 0 and slope 1. A likelihood ratio test asks both together; the mean distance between
    the probabilities and the fitted ones says whether it matters.
    """
    breach = context.test_breach
    if min(breach.sum(), (~breach).sum()) < _FEW:
        return passed(f"Fewer than {_FEW} test tickets of a kind: cannot be told.")
    odds = logit(np.clip(context.probability, _CLIP, 1 - _CLIP))
    intercept, slope = _fit_line(odds, breach)
    gain = _log_likelihood(odds * slope + intercept, breach) - _log_likelihood(odds, breach)
    chance = float(chi2.sf(max(2 * gain, 0.0), 2))
    off = float(np.mean(np.abs(expit(odds * slope + intercept) - context.probability)))
    detail = (
        f"Intercept {intercept:+.2f}, slope {slope:.2f} (0 and 1 if calibrated, p = {chance:.2g}): "
        f"probabilities are off by {off:.3f} on average."
    )
    if chance < _LEVEL and off >= _OFF:
        return warned(f"{detail} Try calibration=sigmoid or calibration=isotonic.")
    return passed(detail)


def _fit_line(odds: NDArray[np.float64], breach: NDArray[np.bool_]) -> tuple[float, float]:
    def lose(line: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        surplus = expit(line[0] + line[1] * odds) - breach
        loss = -_log_likelihood(line[0] + line[1] * odds, breach) / len(breach)
        return loss, np.array([surplus.mean(), (surplus * odds).mean()])

    found = minimize(lose, np.array([0.0, 1.0]), jac=True, method="BFGS")
    return float(found.x[0]), float(found.x[1])


def _log_likelihood(odds: NDArray[np.float64], breach: NDArray[np.bool_]) -> float:
    return float(np.sum(np.where(breach, -np.logaddexp(0, -odds), -np.logaddexp(0, odds))))
