"""Fit an estimator on a feature frame, and turn its scores into breach probabilities."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse import csr_array, issparse
from sklearn.base import BaseEstimator, clone
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier
from sklearn.pipeline import Pipeline

from slarisk.config import Weight
from slarisk.errors import InputError
from slarisk.learning.features import (
    accepts_sparse,
    category_names,
    encoding_for,
    make_encoder,
    make_features,
    validate_frame,
)

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from slarisk.arrays import Floats
    from slarisk.config import FeatureSet
    from slarisk.decisions.costs import CostMatrix
    from slarisk.learning.calibration import Calibrator

_FORESTS = (RandomForestClassifier, ExtraTreesClassifier)


@dataclass(frozen=True)
class BreachModel:
    """A fitted model: tickets in, breach probabilities out."""

    features: FeatureSet
    pipeline: Pipeline
    calibrator: Calibrator

    def probability(self, tickets: pd.DataFrame) -> NDArray[np.float64]:
        """Give the calibrated breach probability of each ticket, shape (n,)."""
        return self.calibrate(make_features(tickets, self.features))

    def calibrate(self, frame: pd.DataFrame) -> NDArray[np.float64]:
        """Give the calibrated breach probability of each row of a feature frame, shape (n,)."""
        return self.calibrator.apply(self.score(frame))

    def score(self, frame: pd.DataFrame) -> NDArray[np.float64]:
        """Give the uncalibrated score of each row of a feature frame, shape (n,)."""
        return breach_scores(self.pipeline, frame)


def validate_unfitted(estimator: BaseEstimator) -> None:
    """Raise an InputError that names a part of the estimator that was fitted before."""
    parts = [estimator, *estimator.get_params(deep=True).values()]
    for part in parts:
        if isinstance(part, BaseEstimator) and clone(part) is part:
            fitted = type(getattr(part, "estimator", part)).__name__
            raise InputError(
                f"model {type(estimator).__name__}: its part {fitted} was fitted before, on "
                "tickets that may be those of the test. Leave it unfitted: each fold fits its own."
            )


def breach_scores(pipeline: Pipeline, frame: pd.DataFrame) -> NDArray[np.float64]:
    """Give the estimator's probability of the class *breach*, shape (n,).

    A row's score does not depend on the other rows.
    """
    if len(frame) == 0:
        return np.empty(0)
    encoded, model = pipeline["encode"].transform(frame), pipeline["model"]
    if hasattr(model, "coef_") and not issparse(encoded):
        # a dense product sums the rows at the edge of a block in another order
        encoded = csr_array(encoded)
    elif isinstance(model, _FORESTS) and issparse(encoded):
        encoded = encoded.astype(np.float32).toarray()  # as its trees want it
    scores: NDArray[np.float64] = model.predict_proba(encoded)[:, 1].astype(np.float64)
    return scores


def make_fit_params(
    estimator: BaseEstimator, costs: CostMatrix, weight: Weight, weights: Floats | None = None
) -> dict[str, Floats]:
    """Build per-ticket fit parameters: ``sample_weight``, or the four costs.

    ``weight=stakes`` weighs each ticket by the dollars that an escalation of it saves if it would
    breach, 1 in the mean. A cost-sensitive estimator, whose fit has the arguments ``tn_cost``,
    ``fp_cost``, ``fn_cost`` and ``tp_cost``, is given the costs.

    Parameters
    ----------
    estimator : BaseEstimator
    costs : CostMatrix
        Of the n training tickets.
    weight : Weight
    weights : float array of shape (n,), optional
        Other weights, which multiply those of the stakes.

    Raises
    ------
    InputError
        The estimator takes no weights, or nothing is at stake.
    """
    takes = inspect.signature(estimator.fit).parameters
    if weight is Weight.stakes:
        saved = np.maximum(costs.fn - costs.tp, 0)
        if not saved.any():
            raise InputError("weight=stakes: no escalation saves anything, so nothing is at stake.")
        weights = saved / saved.mean() * (1 if weights is None else weights)
    if weights is not None and "sample_weight" not in takes:
        key = "half_life, split.settled" if weight is Weight.none else f"weight={weight.value}"
        raise InputError(f"{key}: {type(estimator).__name__} takes no weights.")
    fit_params = {} if weights is None else {"sample_weight": weights}
    if "fn_cost" in takes and weight is not Weight.stakes:
        fit_params |= {f"{name}_cost": getattr(costs, name) for name in ("tn", "fp", "fn", "tp")}
    return fit_params


def weigh_recent(created: pd.Series, half_life: float) -> Floats:
    """Weigh tickets by their age: half as much for each ``half_life`` (days), 1 in the mean.

    Raises
    ------
    InputError
        A ticket has no creation time.

    Examples
    --------
    >>> import pandas as pd
    >>> created = pd.Series(pd.to_datetime(["2024-01-01", "2024-01-31", "2024-01-31"]))
    >>> weigh_recent(created, half_life=30).tolist()
    [0.6, 1.2, 1.2]
    """
    if created.isna().any():
        raise InputError("half_life: some tickets have no creation time, so they have no age.")
    age = (created.max() - created).dt.total_seconds().to_numpy() / 86_400
    weights = 0.5 ** (age / half_life)
    relative: Floats = weights / weights.mean()
    return relative


def fit_pipeline(
    estimator: BaseEstimator,
    features: FeatureSet,
    frame: pd.DataFrame,
    breach: NDArray[np.bool_],
    fit_params: Mapping[str, Floats] | None = None,
) -> Pipeline:
    """Fit a fresh clone of an estimator behind the encoder it needs.

    ``fit_params`` are those of :func:`make_fit_params` for these tickets.

    Raises
    ------
    InputError
        The tickets are all of one class or have a text field without words, or the estimator
        refuses its parameters or the data.
    """
    if breach.all() or not breach.any():
        what = "all breached" if breach.all() else "none breached"
        raise InputError(
            f"{len(breach):,} tickets to train on, {what}: there is nothing to learn. "
            "Check the SLA targets and the label, or take a longer period."
        )
    validate_frame(frame, features)
    encoding = encoding_for(estimator)
    model = clone(estimator)
    encoder = make_encoder(features, encoding, accepts_sparse(model))
    pipeline = Pipeline([("encode", encoder), ("model", model)])
    arguments: dict[str, Any] = {
        f"model__{name}": each for name, each in (fit_params or {}).items()
    }
    columns = list(range(len(category_names(features))))  # the encoder puts categories first
    if encoding == "native_frame":
        arguments["model__cat_features"] = columns
    elif encoding == "native" and columns:
        if "categorical_features" in model.get_params():
            model.set_params(categorical_features=columns)
        else:
            arguments["model__categorical_feature"] = columns
    # A number may be missing in all of one fold, which HistGradientBoosting does not survive. A
    # constant has nothing to split on, so what it stands for plays no part in the scores.
    blank = [name for name in frame if frame[name].isna().all()]
    frame = frame.fillna(dict.fromkeys(blank, 0.0))
    try:
        pipeline.fit(frame, breach.astype(int), **arguments)
    except _list_fit_errors() as error:
        name = type(estimator).__name__
        raise InputError(f"model {name} cannot be fitted: {error}") from error
    if model.get_params().get("n_jobs") not in (None, 1):
        # A forest adds up its trees in the order in which its threads finish: with more than one,
        # the last digits of a score would differ from call to call.
        model.set_params(n_jobs=1)
    return pipeline


def _list_fit_errors() -> tuple[type[Exception], ...]:
    """List what an estimator raises about its parameters or its data."""
    errors: list[type[Exception]] = [ValueError]
    if "lightgbm" in sys.modules:  # not for another estimator: importing it takes a second
        from lightgbm.basic import LightGBMError

        errors.append(LightGBMError)
    if "catboost" in sys.modules:
        errors.append(sys.modules["catboost"].CatBoostError)
    return tuple(errors)
