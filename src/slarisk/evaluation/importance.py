"""Which features the model leans on: permutation importance on held-out tickets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import joblib
import numpy as np
from sklearn.inspection import permutation_importance

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray
    from sklearn.pipeline import Pipeline


@dataclass(frozen=True, eq=False)
class Importance:
    """The average precision lost when a feature is shuffled, over the repeats; most first."""

    names: list[str]
    mean: NDArray[np.float64]
    std: NDArray[np.float64]


def measure_importance(
    pipeline: Pipeline,
    frame: pd.DataFrame,
    breach: NDArray[np.bool_],
    repeats: int,
    most: int,
    seed: int,
) -> Importance | None:
    """Measure permutation importance (Breiman 2001) in average precision.

    Parameters
    ----------
    pipeline : Pipeline
        Fitted on other tickets.
    frame : DataFrame
        The features of held-out tickets; a random ``most`` of them are used if there are more.
    breach : bool array of shape (n,)
    repeats, most, seed : int

    Returns
    -------
    Importance or None
        None without repeats, or without a breach to find.
    """
    if len(frame) > most:
        chosen = np.sort(np.random.default_rng(seed).choice(len(frame), most, replace=False))
        frame, breach = frame.iloc[chosen], breach[chosen]
    if repeats < 1 or not breach.any():
        return None
    # a thread per feature: the numbers stay those of one thread, and no model is copied
    with joblib.parallel_config("threading"):
        result = permutation_importance(
            pipeline,
            frame,
            breach,
            scoring="average_precision",
            n_repeats=repeats,
            random_state=seed,
            n_jobs=-1,
        )
    order = np.argsort(-result.importances_mean, kind="stable")
    return Importance(
        [frame.columns[i] for i in order],
        result.importances_mean[order],
        result.importances_std[order],
    )
