"""Calibration: a map from scores to probabilities, fitted on out-of-fold scores."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import isotonic_regression
from scipy.special import expit, logit
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from slarisk.config import CalibrationKind
from slarisk.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_STEPS = 1000  # of a score, for Venn-Abers
_CLIP = 1e-6  # a forest may score 0 or 1, whose log-odds are infinite


@dataclass(frozen=True)
class Calibrator:
    """A non-decreasing map from score to probability, in numbers that JSON can hold.

    ``sigmoid`` (Platt 1999, on the log-odds of the score) has ``slope`` and ``intercept``;
    ``isotonic`` (Zadrozny and Elkan 2002) interpolates between the ``knots`` and their ``values``;
    ``venn_abers`` (Vovk and Petej 2014) has a value for each score in thousandths.
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
                raised: NDArray[np.float64] = expit(self.slope * _log_odds(score) + self.intercept)
                return raised
            case CalibrationKind.isotonic:
                return np.interp(score, self.knots, self.values)
            case CalibrationKind.venn_abers:
                return np.array(self.values)[_round(score)]


def _log_odds(score: NDArray[np.float64]) -> NDArray[np.float64]:
    odds: NDArray[np.float64] = logit(np.clip(score, _CLIP, 1 - _CLIP))
    return odds


def fit_calibrator(
    kind: CalibrationKind, score: NDArray[np.float64], breach: NDArray[np.bool_]
) -> Calibrator:
    """Fit the map on scores of tickets that the scoring models had not seen."""
    match kind:
        case CalibrationKind.none:
            return Calibrator()
        case CalibrationKind.sigmoid:
            return _fit_sigmoid(score, breach)
        case CalibrationKind.venn_abers:
            return _fit_venn_abers(score, breach)
        case CalibrationKind.isotonic:
            steps = IsotonicRegression(out_of_bounds="clip").fit(score, breach.astype(float))
            return Calibrator(
                kind, knots=steps.X_thresholds_.tolist(), values=steps.y_thresholds_.tolist()
            )


def _round(score: NDArray[np.float64]) -> NDArray[np.intp]:
    return np.rint(np.clip(score, 0, 1) * _STEPS).astype(np.intp)


def _fit_venn_abers(score: NDArray[np.float64], breach: NDArray[np.bool_]) -> Calibrator:
    """Fit the inductive Venn-Abers map of the rounded scores.

    A new ticket of some score takes part in the isotonic regression twice, once as a breach and
    once not; the two probabilities are merged so that the log loss is least in the worse case.
    """
    rounded = _round(score)
    tickets = np.bincount(rounded, minlength=_STEPS + 1)
    breaches = np.bincount(rounded, breach, _STEPS + 1)
    merged = []
    for place in range(_STEPS + 1):
        new = np.arange(_STEPS + 1) == place
        present = (tickets > 0) | new
        weight = (tickets + new)[present]
        low, high = (
            isotonic_regression((breaches + label * new)[present] / weight, weights=weight).x[
                new[present]
            ][0]
            for label in (0, 1)
        )
        merged.append(float(high / (1 - low + high)))
    return Calibrator(CalibrationKind.venn_abers, values=np.maximum.accumulate(merged).tolist())


def _fit_sigmoid(score: NDArray[np.float64], breach: NDArray[np.bool_]) -> Calibrator:
    # Platt's targets, just short of 0 and 1, keep the fit finite where scores separate the classes
    # perfectly, or there is one class only. Each ticket has a row of each class, weighted by them.
    breached, others = int(breach.sum()), int((~breach).sum())
    target = np.where(breach, (breached + 1) / (breached + 2), 1 / (others + 2))
    line = LogisticRegression(C=np.inf).fit(
        np.tile(_log_odds(score), 2)[:, None],
        np.repeat([True, False], len(score)),
        sample_weight=np.concatenate([target, 1 - target]),
    )
    slope, intercept = float(line.coef_[0, 0]), float(line.intercept_[0])
    if slope < 0:
        # a score that ranks backwards is noise: predict the rate of all tickets
        slope, intercept = 0.0, float(logit(target.mean()))
    return Calibrator(CalibrationKind.sigmoid, slope, intercept)


def cross_calibrate(
    kind: CalibrationKind,
    score: NDArray[np.float64],
    breach: NDArray[np.bool_],
    fold: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Calibrate each fold's scores with a map fitted on the other folds, shape (n,).

    No map is fitted on the label of a ticket that it maps, so a threshold chosen on these
    probabilities does not rest on an overfitted map.

    Raises
    ------
    InputError
        There is only one fold, so none to fit its map on.
    """
    if kind is CalibrationKind.none:
        return score
    if len(np.unique(fold)) < 2:
        raise InputError(
            f"calibration={kind.value} needs out-of-fold scores from at least two folds, and a "
            "temporal split has one fewer than split.folds: set split.folds=3 or more."
        )
    calibrated = np.empty_like(score)
    for one in np.unique(fold):
        inside = fold == one
        calibrator = fit_calibrator(kind, score[~inside], breach[~inside])
        calibrated[inside] = calibrator.apply(score[inside])
    return calibrated
