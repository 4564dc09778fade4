"""Build the estimator that a config names, from trusted packages only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hydra.errors import HydraException
from hydra.utils import instantiate

from slarisk.errors import InputError

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator


# Hydra builds nothing outside these packages, whatever a config says.
TRUSTED_TARGETS = ("sklearn.*", "lightgbm.*", "xgboost.*", "catboost.*", "empulse.*")


def build_estimator(model: dict[str, Any]) -> BaseEstimator:
    """Build the estimator that ``conf/model`` names.

    Raises
    ------
    InputError
        It is no classifier of a trusted package, or refuses its parameters.
    """
    name = model.get("_target_")
    if not name:
        raise InputError("model: the config has no _target_, the class of the estimator.")
    try:
        estimator = instantiate(model, _convert_="all", _execution_whitelist_=TRUSTED_TARGETS)
    except (HydraException, TypeError, ValueError) as error:
        reason = " ".join(str(error.__cause__ or error).split())
        raise InputError(f"model {name} cannot be built: {reason}") from error
    if not (hasattr(estimator, "fit") and hasattr(estimator, "predict_proba")):
        raise InputError(f"model {name} is not a classifier that gives probabilities.")
    return estimator
