"""Population stability index: how far a distribution moved."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

MODERATE, MAJOR = 0.1, 0.25  # the bands in use since the index comes from credit scoring
_SMOOTHING = 0.5  # tickets added to each bin, so that an empty one does not make the index infinite

Band = Literal["stable", "moderate", "major"]


def population_stability_index(expected_counts: ArrayLike, actual_counts: ArrayLike) -> float:
    """Measure how far a distribution has moved.

    Parameters
    ----------
    expected_counts, actual_counts : arrays of shape (bins,)
        Tickets in each bin, such as those of the training part and those of now.

    Returns
    -------
    float
        The sum over the bins of ``(actual share - expected share) * ln(actual / expected share)``,
        0 where the shares are equal. Half a ticket is added to each bin; bins that are empty on
        both sides are left out. Of two samples of n and m tickets from one distribution it is
        about ``(bins - 1) * (1 / n + 1 / m)`` by chance alone.

    Raises
    ------
    ValueError
        The counts are of two lengths, negative, not finite, or there are no tickets on one side.

    References
    ----------
    B. Yurdakul and J. Naranjo (2020), "Statistical properties of the population stability index",
    Journal of Risk Model Validation 14(4).

    Examples
    --------
    >>> population_stability_index([50, 50], [500, 500])
    0.0
    >>> round(population_stability_index([500, 500], [250, 750]), 3)
    0.274
    """
    expected = np.asarray(expected_counts, dtype=float)
    actual = np.asarray(actual_counts, dtype=float)
    if expected.ndim != 1 or expected.shape != actual.shape:
        raise ValueError(f"counts of bins do not fit: {expected.shape} and {actual.shape}")
    if not all((np.isfinite(side) & (side >= 0)).all() for side in (expected, actual)):
        raise ValueError("counts must be finite and at least 0")
    if not (expected.sum() > 0 and actual.sum() > 0):
        raise ValueError("no tickets to compare")
    filled = (expected > 0) | (actual > 0)
    smoothed = [side[filled] + _SMOOTHING for side in (expected, actual)]
    before, now = (side / side.sum() for side in smoothed)
    return float(np.sum((now - before) * np.log(now / before)))


def band(index: float) -> Band:
    """Name the band of an index.

    Examples
    --------
    >>> band(0.05), band(0.1), band(0.25)
    ('stable', 'moderate', 'moderate')
    >>> band(0.3)
    'major'
    """
    if index < MODERATE:
        return "stable"
    return "moderate" if index <= MAJOR else "major"
