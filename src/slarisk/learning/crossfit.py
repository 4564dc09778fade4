"""Cross-fitting: learn from the training tickets, and score each of them without its own label."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from slarisk.learning.calibration import cross_calibrate, fit_calibrator
from slarisk.learning.features import check_types, make_features
from slarisk.learning.models import BreachModel, breach_scores, fit_pipeline, refuse_fitted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    from numpy.typing import NDArray
    from sklearn.base import BaseEstimator

    from slarisk.config import CalibrationKind, FeatureSet
    from slarisk.learning.splits import Fold


@dataclass(frozen=True)
class Learned:
    """A model, and the out-of-fold probability of every training ticket.

    ``score`` (before calibration), ``fold`` (which one it was scored in), ``probability`` and
    ``honest`` have shape (training tickets,); thresholds and objectives rest on the honest ones
    alone (see :class:`~slarisk.learning.splits.Fold`).
    """

    model: BreachModel
    score: NDArray[np.float64]
    fold: NDArray[np.int64]
    probability: NDArray[np.float64]
    honest: NDArray[np.bool_]


def learn(
    estimator: BaseEstimator,
    features: FeatureSet,
    calibration: CalibrationKind,
    training: pd.DataFrame,
    folds: Sequence[Fold],
    beside: Mapping[str, NDArray[np.float64]] | None = None,
) -> Learned:
    """Cross-fit, calibrate on the out-of-fold scores, and fit the model on all training tickets.

    Parameters
    ----------
    estimator : scikit-learn classifier
        Unfitted; every fit takes a fresh clone.
    features : FeatureSet
        What the model sees.
    calibration : CalibrationKind
        How scores become probabilities.
    training : DataFrame
        Labelled tickets.
    folds : sequence of Fold
        Together they score every training ticket once.
    beside : mapping of str to array of shape (training tickets,), optional
        What a fit takes of each ticket beside its features (:func:`~.models.stakes`).

    Raises
    ------
    InputError
        A field is not of the kind that the features take it for, there is nothing to learn, or the
        estimator was fitted before.
    """
    refuse_fitted(estimator)
    check_types(training, features)
    frame = make_features(training, features)
    breach = training["breach"].to_numpy()
    score, fold_of, honest = _cross_fit(estimator, features, frame, breach, folds, beside or {})
    calibrator = fit_calibrator(calibration, score[honest], breach[honest])
    probability = calibrator.apply(score).copy()
    probability[honest] = cross_calibrate(
        calibration, score[honest], breach[honest], fold_of[honest]
    )
    pipeline = fit_pipeline(estimator, features, frame, breach, beside)
    model = BreachModel(features, pipeline, calibrator)
    return Learned(model, score, fold_of, probability, honest)


def _cross_fit(
    estimator: BaseEstimator,
    features: FeatureSet,
    frame: pd.DataFrame,
    breach: NDArray[np.bool_],
    folds: Sequence[Fold],
    beside: Mapping[str, NDArray[np.float64]],
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.bool_]]:
    score = np.full(len(frame), np.nan)
    fold_of = np.full(len(frame), -1)
    honest = np.zeros(len(frame), dtype=bool)
    for number, fold in enumerate(folds):
        part = {name: each[fold.fit] for name, each in beside.items()}
        pipeline = fit_pipeline(estimator, features, frame.iloc[fold.fit], breach[fold.fit], part)
        score[fold.score] = breach_scores(pipeline, frame.iloc[fold.score])
        fold_of[fold.score] = number
        honest[fold.score] = fold.honest
    return score, fold_of, honest
