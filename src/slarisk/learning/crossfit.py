"""Cross-fitting: fit on the training tickets, and score each of them out of fold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from slarisk.learning.calibration import cross_calibrate, fit_calibrator
from slarisk.learning.features import make_features, validate_types
from slarisk.learning.models import BreachModel, breach_scores, fit_pipeline, validate_unfitted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    from numpy.typing import NDArray
    from sklearn.base import BaseEstimator

    from slarisk.config import CalibrationKind, FeatureSet
    from slarisk.learning.splits import Fold


@dataclass(frozen=True)
class CrossFit:
    """A model, and the out-of-fold probability of every training ticket.

    ``score`` (before calibration), ``fold`` (which one it was scored in), ``probability`` and
    ``eligible`` have shape (training tickets,); thresholds and objectives rest on the eligible ones
    alone (see :class:`~slarisk.learning.splits.Fold`).
    """

    model: BreachModel
    score: NDArray[np.float64]
    fold: NDArray[np.int64]
    probability: NDArray[np.float64]
    eligible: NDArray[np.bool_]


def cross_fit(
    estimator: BaseEstimator,
    features: FeatureSet,
    calibration: CalibrationKind,
    training: pd.DataFrame,
    folds: Sequence[Fold],
    fit_params: Mapping[str, NDArray[np.float64]] | None = None,
    fitted: NDArray[np.bool_] | None = None,
) -> CrossFit:
    """Cross-fit, calibrate on the out-of-fold scores, and fit the model on all training tickets.

    Parameters
    ----------
    estimator : scikit-learn classifier
        Unfitted; every fit takes a fresh clone.
    features : FeatureSet
    calibration : CalibrationKind
    training : DataFrame
        Labelled tickets.
    folds : sequence of Fold
        Together they score every training ticket once.
    fit_params : mapping of str to array of shape (training tickets,), optional
        Of :func:`~.models.make_fit_params`.
    fitted : bool array of shape (training tickets,), optional
        Those that models and calibration are fitted on; the others are only scored.

    Raises
    ------
    InputError
        A field is not of the type that its feature needs, there is nothing to learn, or the
        estimator was fitted before.
    """
    validate_unfitted(estimator)
    validate_types(training, features)
    frame = make_features(training, features)
    breach = training["breach"].to_numpy()
    fitted = np.ones(len(frame), dtype=bool) if fitted is None else fitted
    fit_params = fit_params or {}
    score, fold_of, eligible = _cross_fit(
        estimator, features, frame, breach, folds, fit_params, fitted
    )
    chosen = eligible & fitted
    calibrator = fit_calibrator(calibration, score[chosen], breach[chosen])
    probability = calibrator.apply(score).copy()
    probability[chosen] = cross_calibrate(
        calibration, score[chosen], breach[chosen], fold_of[chosen]
    )
    part = {name: each[fitted] for name, each in fit_params.items()}
    pipeline = fit_pipeline(estimator, features, frame[fitted], breach[fitted], part)
    model = BreachModel(features, pipeline, calibrator)
    return CrossFit(model, score, fold_of, probability, eligible)


def _cross_fit(
    estimator: BaseEstimator,
    features: FeatureSet,
    frame: pd.DataFrame,
    breach: NDArray[np.bool_],
    folds: Sequence[Fold],
    fit_params: Mapping[str, NDArray[np.float64]],
    fitted: NDArray[np.bool_],
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.bool_]]:
    score = np.full(len(frame), np.nan)
    fold_of = np.full(len(frame), -1)
    eligible = np.zeros(len(frame), dtype=bool)
    for number, fold in enumerate(folds):
        rows = fold.fit[fitted[fold.fit]]
        part = {name: each[rows] for name, each in fit_params.items()}
        pipeline = fit_pipeline(estimator, features, frame.iloc[rows], breach[rows], part)
        score[fold.score] = breach_scores(pipeline, frame.iloc[fold.score])
        fold_of[fold.score] = number
        eligible[fold.score] = fold.eligible
    return score, fold_of, eligible
