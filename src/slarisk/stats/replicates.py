"""The mean over replicates, with its interval."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import t as student

if TYPE_CHECKING:
    from slarisk.arrays import Floats


def mean_interval(
    values: Floats, overlap: float = 0.0, confidence: float = 0.95
) -> tuple[float, float, float]:
    """Calculate the mean of replicates and its Student's interval.

    Parameters
    ----------
    values : array of shape (n,)
        One for each replicate.
    overlap : float
        0 for replicates that share no tickets. For random splits of the same tickets, the ratio of
        test to training tickets: such replicates are correlated.
    confidence : float

    Returns
    -------
    mean, low, high : float
        With one replicate the ends are nan.

    References
    ----------
    C. Nadeau and Y. Bengio (2003), "Inference for the Generalization Error", Machine Learning 52.

    Examples
    --------
    >>> [round(each, 3) for each in mean_interval(np.array([1.0, 2.0, 3.0]))]
    [2.0, -0.484, 4.484]
    """
    count, mean = len(values), float(np.mean(values))
    if count < 2:
        return mean, np.nan, np.nan
    error = float(np.std(values, ddof=1)) * np.sqrt(1 / count + overlap)
    reach = float(student.ppf((1 + confidence) / 2, count - 1) * error)
    return mean, mean - reach, mean + reach
