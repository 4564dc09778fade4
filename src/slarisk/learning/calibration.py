"""Turn scores into probabilities, with a map fitted on out-of-fold scores."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from slarisk.config import CalibrationKind

if TYPE_CHECKING:
    from numpy.typing import NDArray

_CLIP = 1e-6  # a forest may score 0 or 1, whose log-odds are infinite


@dataclass(frozen=True)
class Calibrator:
    """A monotone map from score to probability, in numbers that JSON can hold.

    ``sigmoid`` (Platt 1999, on the log-odds of the score) has ``slope`` and ``intercept``;
    ``isotonic`` (Zadrozny and Elkan 2002) interpolates between the ``knots`` and their ``values``.
    """

    kind: CalibrationKind = CalibrationKind.none
    slope: float = 1.0
    intercept: float = 0.0
    knots: list[float] = field(default_factory=list)
    values: list[float] = field(default_factory=list)

    def apply(self, score: NDArray[np.float64]) -> NDArray[np.float64]:
        """Give the probability of each score, shape (n,)."""
        match self.kind:
            case CalibrationKind.none:
                return score
            case CalibrationKind.sigmoid:
                return 1 / (1 + np.exp(-(self.slope * _log_odds(score) + self.intercept)))
            case CalibrationKind.isotonic:
                return np.interp(score, self.knots, self.values)


def _log_odds(score: NDArray[np.float64]) -> NDArray[np.float64]:
    clipped = np.clip(score, _CLIP, 1 - _CLIP)
    odds: NDArray[np.float64] = np.log(clipped / (1 - clipped))
    return odds


def fit_calibrator(
    kind: CalibrationKind, score: NDArray[np.float64], breach: NDArray[np.bool_]
) -> Calibrator:
    """Fit the map on scores of tickets that the scoring models had not seen."""
    match kind:
        case CalibrationKind.none:
            return Calibrator()
        case CalibrationKind.sigmoid:
            # no penalty: two numbers cannot overfit thousands of tickets
            line = LogisticRegression(C=np.inf).fit(_log_odds(score)[:, None], breach)
            return Calibrator(kind, float(line.coef_[0, 0]), float(line.intercept_[0]))
        case CalibrationKind.isotonic:
            steps = IsotonicRegression(out_of_bounds="clip").fit(score, breach.astype(float))
            return Calibrator(
                kind, knots=steps.X_thresholds_.tolist(), values=steps.y_thresholds_.tolist()
            )


def cross_calibrate(
    kind: CalibrationKind,
    score: NDArray[np.float64],
    breach: NDArray[np.bool_],
    fold: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Calibrate each fold's scores with a map fitted on the other folds, shape (n,).

    What is chosen on these probabilities (a threshold) has then seen no ticket's own label.
    """
    if kind is CalibrationKind.none:
        return score
    calibrated = np.empty_like(score)
    for one in np.unique(fold):
        inside = fold == one
        others = ~inside if (~inside).any() else inside
        calibrated[inside] = fit_calibrator(kind, score[others], breach[others]).apply(
            score[inside]
        )
    return calibrated
